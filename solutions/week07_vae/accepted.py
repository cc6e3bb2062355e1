"""Week 7: other right ways to write the answers."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from autograder.author import accepted


@accepted("reparameterize")
def by_addcmul(mean, log_variance, noise):
    return torch.addcmul(mean, log_variance.mul(0.5).exp(), noise)


@accepted("reparameterize")
def by_the_root_of_the_variance(mu, logvar, eps):
    variance = logvar.exp()
    return eps * variance.sqrt() + mu


@accepted("reparameterize")
def in_double_and_back(mu, logvar, eps):
    wide = [v.double() for v in (mu, logvar, eps)]
    return (wide[0] + math.e ** (wide[1] / 2) * wide[2]).to(mu.dtype)


@accepted("reparameterize")
def dimension_by_dimension(mu, logvar, eps):
    columns = [mu[..., i] + torch.exp(0.5 * logvar[..., i]) * eps[..., i] for i in range(mu.shape[-1])]
    return torch.stack(columns, dim=-1)


@accepted("kl_to_standard_normal")
def with_torch_distributions(mean, log_variance):
    posterior = Normal(mean, (log_variance / 2).exp())
    return kl_divergence(posterior, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(dim=-1)


@accepted("kl_to_standard_normal")
def as_in_the_paper(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=-1)


@accepted("kl_to_standard_normal")
def loop_in_place_on_its_own_sum(mu, logvar):
    total = torch.zeros(mu.shape[:-1], dtype=mu.dtype)
    for i in range(mu.shape[-1]):
        m, lv = mu[..., i], logvar[..., i]
        total += 0.5 * (m * m + torch.expm1(lv) - lv)
    return total


@accepted("kl_to_standard_normal")
def term_by_term_with_einsum(mu, logvar):
    sigma = torch.exp(logvar / 2)
    squares = torch.einsum("...i,...i->...", mu, mu) + torch.einsum("...i,...i->...", sigma, sigma)
    return (squares - logvar.sum(-1) - mu.shape[-1]) / 2


@accepted("bernoulli_log_likelihood")
def with_binary_cross_entropy(logits, target):
    return -F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)


@accepted("bernoulli_log_likelihood")
def with_log_sigmoids(logits, x):
    return torch.sum(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits), -1)


@accepted("bernoulli_log_likelihood")
def with_a_distribution(logits, x):
    return Independent(Bernoulli(logits=logits), 1).log_prob(x)


@accepted("bernoulli_log_likelihood")
def by_hand_without_overflow(logits, x):
    positive = torch.where(logits > 0, logits, torch.zeros_like(logits))
    return (x * logits - positive - torch.log1p(torch.exp(-torch.abs(logits)))).sum(-1)


@accepted("bernoulli_log_likelihood")
def by_logaddexp_and_einsum(l, x):
    return torch.einsum("...i,...i->...", x, l) - torch.logaddexp(l, torch.zeros_like(l)).sum(-1)


@accepted("gaussian_log_likelihood")
def with_a_normal_distribution(x, mean, logvar):
    return Independent(Normal(mean, (logvar / 2).exp()), 1).log_prob(x)


@accepted("gaussian_log_likelihood")
def of_the_standardised_residual(data, location, log_variance):
    residual = (data - location) / torch.exp(0.5 * log_variance)
    constant = data.shape[-1] * math.log(2 * math.pi)
    return -(torch.einsum("...i,...i->...", residual, residual) + log_variance.sum(-1) + constant) / 2


@accepted("gaussian_log_likelihood")
def with_the_gaussian_loss(x, mean, logvar):
    costs = F.gaussian_nll_loss(mean, x, logvar.exp(), full=True, eps=0.0, reduction="none")
    return -costs.sum(dim=-1)


@accepted("gaussian_log_likelihood")
def with_a_full_covariance(x, mean, logvar):
    scale = torch.diag_embed(torch.exp(logvar / 2))
    return torch.distributions.MultivariateNormal(mean, scale_tril=scale).log_prob(x)


@accepted("gaussian_log_likelihood")
def dimension_after_dimension(x, mean, logvar):
    total = x.new_zeros(x.shape[:-1])
    for d in range(x.shape[-1]):
        sigma = logvar[..., d].exp().sqrt()
        total = total - ((x[..., d] - mean[..., d]) / sigma) ** 2 / 2 - sigma.log()
    return total - x.shape[-1] * 0.9189385332046727


@accepted("elbo")
def with_distributions(x, logits, mu, logvar):
    q = Independent(Normal(mu, (0.5 * logvar).exp()), 1)
    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    decoder = Independent(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)
    return decoder.log_prob(x) - kl_divergence(q, prior)


@accepted("elbo")
def in_one_expression(x, logits, mu, logvar):
    likelihood = (logits * x + F.logsigmoid(-logits)).sum(-1)
    return likelihood + 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)


@accepted("elbo")
def minus_two_costs(x, logits, mu, logvar):
    def reconstruction():
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=-1)

    def regularisation():
        return (mu * mu + torch.expm1(logvar) - logvar).sum(dim=-1) / 2

    return -(reconstruction() + regularisation())


@accepted("elbo")
def looping_over_pixels_and_latents(x, logits, mu, logvar):
    bound = torch.zeros(x.shape[:-1], dtype=x.dtype)
    for d in range(x.shape[-1]):
        l = logits[..., d]
        bound = bound + x[..., d] * l - F.softplus(l)
    for k in range(mu.shape[-1]):
        bound = bound - 0.5 * (mu[..., k] ** 2 + logvar[..., k].exp() - 1 - logvar[..., k])
    return bound


@accepted("vae_loss")
def sums_over_a_flat_batch(x, logits, mu, logvar, beta=1.0):
    x, logits = x.reshape(-1, x.shape[-1]), logits.reshape(-1, x.shape[-1])
    mu, logvar = mu.reshape(-1, mu.shape[-1]), logvar.reshape(-1, mu.shape[-1])
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return (reconstruction + beta * kl) / x.shape[0]


@accepted("vae_loss")
def mean_of_each_term(x, logits, mu, logvar, weight=1.0):
    q, prior = Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu))
    log_p = Bernoulli(logits=logits).log_prob(x).sum(-1)
    return weight * kl_divergence(q, prior).sum(-1).mean() - log_p.mean()


@accepted("vae_loss")
def means_rescaled(x, logits, mu, logvar, beta=1.0):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x) * x.shape[-1]
    kl = (mu.square() + logvar.exp() - 1 - logvar).mean() * mu.shape[-1] / 2
    return reconstruction + beta * kl


@accepted("vae_loss")
def one_concatenated_sum(x, logits, mu, logvar, beta=1.0):
    pixels = F.softplus(logits) - x * logits
    latents = beta * 0.5 * (mu**2 + torch.expm1(logvar) - logvar)
    return torch.cat([pixels, latents], dim=-1).sum(-1).mean()


@accepted("vae_loss")
def elbo_with_another_weight(x, logits, mu, logvar, beta=1.0):
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)
    elbo = (x * logits - F.softplus(logits)).sum(-1) - kl
    return ((beta - 1) * kl - elbo).mean()


@accepted("VAE")
class WithSequentialHelpers(nn.Module):
    def __init__(self, data, hidden, latent):
        super().__init__()
        self.encoder = nn.Linear(data, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.decoder = nn.Linear(latent, hidden)
        self.logits = nn.Linear(hidden, data)

    def decode(self, z):
        return self.logits(self.decoder(z).tanh())

    def forward(self, x, eps):
        h = self.encoder(x).tanh()
        mean, log_variance = self.mu(h), self.logvar(h)
        return self.decode(mean + (0.5 * log_variance).exp() * eps), mean, log_variance

    def sample(self, noise):
        return self.decode(noise).sigmoid()


@accepted("VAE")
class WithBothHeadsInOneProduct(nn.Module):
    def __init__(self, data, hidden, latent):
        super().__init__()
        shapes = {"encoder": (data, hidden), "mu": (hidden, latent), "logvar": (hidden, latent)}
        shapes |= {"decoder": (latent, hidden), "logits": (hidden, data)}
        for name, (n_in, n_out) in shapes.items():
            self.add_module(name, nn.Linear(n_in, n_out))

    def forward(self, x, eps):
        h = torch.tanh(F.linear(x, self.encoder.weight, self.encoder.bias))
        weight = torch.cat([self.mu.weight, self.logvar.weight])
        bias = torch.cat([self.mu.bias, self.logvar.bias])
        mu, logvar = F.linear(h, weight, bias).chunk(2, dim=-1)
        hidden = torch.tanh(
            F.linear(torch.addcmul(mu, torch.exp(logvar / 2), eps), *self.decoder.parameters())
        )
        return F.linear(hidden, *self.logits.parameters()), mu, logvar

    def sample(self, noise):
        hidden = torch.tanh(noise @ self.decoder.weight.mT + self.decoder.bias)
        return 1 / (1 + torch.exp(-(hidden @ self.logits.weight.mT + self.logits.bias)))


@accepted("VAE")
class WithComposedStages(nn.Module):
    def __init__(self, n_data, n_hidden, n_latent):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(n_data, n_hidden), nn.Linear(n_latent, n_hidden)
        self.mu, self.logvar = nn.Linear(n_hidden, n_latent), nn.Linear(n_hidden, n_latent)
        self.logits = nn.Linear(n_hidden, n_data)

    def encode(self, x):
        features = nn.Sequential(self.encoder, nn.Tanh())(x)
        return self.mu(features), self.logvar(features)

    def forward(self, x, eps):
        mu, logvar = self.encode(x)
        z = mu + logvar.exp().sqrt() * eps
        return nn.Sequential(self.decoder, nn.Tanh(), self.logits)(z), mu, logvar

    @torch.no_grad()
    def sample(self, noise):
        return nn.Sequential(self.decoder, nn.Tanh(), self.logits, nn.Sigmoid())(noise)


@accepted("iwae_bound")
def by_hand_below_the_largest(log_w):
    largest = log_w.max(dim=0).values
    return largest + torch.log(torch.exp(log_w - largest).mean(0))


@accepted("iwae_bound")
def adding_two_at_a_time(log_weights):
    total = log_weights[0]
    for row in log_weights[1:]:
        total = torch.logaddexp(total, row)
    return total - math.log(log_weights.shape[0])


@accepted("iwae_bound")
def with_the_mean_inside(log_w):
    k = torch.tensor(log_w.shape[0], dtype=log_w.dtype)
    return torch.logsumexp((log_w - k.log()).mT, dim=-1)


@accepted("iwae_bound")
def through_softmax(log_w):
    # Whichever k: log sum exp(l) = l_k - log softmax(l)_k.
    return (log_w - F.log_softmax(log_w, dim=0)).mean(0) - math.log(len(log_w))


@accepted("vector_quantize")
def with_cdist_and_mse(z, codebook):
    with torch.no_grad():
        nearest = torch.cdist(z, codebook).argmin(dim=1)
    e = F.embedding(nearest, codebook)
    return z + (e - z).detach(), nearest, F.mse_loss(e, z.detach()), F.mse_loss(z, e.detach())


@accepted("vector_quantize")
def with_the_square_multiplied_out(z_e, embedding):
    distances = (z_e**2).sum(1, keepdim=True) - 2 * z_e @ embedding.T + (embedding**2).sum(1)
    indices = torch.argmin(distances, dim=1)
    z_q = F.one_hot(indices, len(embedding)).to(z_e.dtype) @ embedding
    to_codebook = torch.mean((z_q - z_e.detach()) ** 2)
    to_encoder = torch.mean((z_q.detach() - z_e) ** 2)
    return z_q.detach() + (z_e - z_e.detach()), indices, to_codebook, to_encoder


@accepted("vector_quantize")
def vector_by_vector(z, codebook):
    indices = []
    for row in z.detach():
        distances = [torch.dist(row, code).item() for code in codebook.detach()]
        indices.append(distances.index(min(distances)))
    indices = torch.tensor(indices)
    chosen = torch.index_select(codebook, 0, indices)
    straight = _StraightThrough.apply(z, chosen)
    return (
        straight,
        indices,
        (chosen - z.detach()).pow(2).sum() / z.numel(),
        (z - chosen.detach()).pow(2).sum() / z.numel(),
    )


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, code):
        return code.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


@accepted("interpolate_latents")
def point_by_point(z0, z1, n, spherical=False):
    points = []
    for i in range(n):
        t = i / (n - 1)
        if not spherical:
            points.append(z0 + t * (z1 - z0))
            continue
        u0 = z0 / torch.linalg.vector_norm(z0, dim=-1, keepdim=True)
        u1 = z1 / torch.linalg.vector_norm(z1, dim=-1, keepdim=True)
        angle = torch.arccos(torch.clamp((u0 * u1).sum(-1, keepdim=True), -1, 1))
        line = (1 - t) * z0 + t * z1
        arc = (torch.sin((1 - t) * angle) * z0 + torch.sin(t * angle) * z1) / torch.sin(angle)
        points.append(torch.where(angle.abs() < 1e-3, line, arc))
    return torch.stack(points)


@accepted("interpolate_latents")
def with_weights_and_lerp(start, end, steps, spherical=False):
    t = torch.arange(steps, dtype=start.dtype).div(steps - 1).view(-1, *[1] * start.ndim)
    if not spherical:
        return torch.lerp(start, end, t)
    unit_start, unit_end = F.normalize(start, dim=-1), F.normalize(end, dim=-1)
    difference = (unit_start - unit_end).norm(dim=-1, keepdim=True)
    omega = 2 * torch.atan2(difference, (unit_start + unit_end).norm(dim=-1, keepdim=True))
    parallel = omega < 1e-2
    safe = torch.where(parallel, torch.ones_like(omega), omega)
    first = torch.where(parallel, 1 - t, torch.sin((1 - t) * safe) / torch.sin(safe))
    second = torch.where(parallel, t, torch.sin(t * safe) / torch.sin(safe))
    return first * start + second * end


@accepted("interpolate_latents")
def by_rotating_in_the_plane(z0, z1, n, spherical=False):
    t = torch.arange(n).to(z0) / (n - 1)
    if not spherical:
        return torch.einsum("n,...->n...", 1 - t, z0) + torch.einsum("n,...->n...", t, z1)
    cosine = F.cosine_similarity(z0, z1, dim=-1).clamp(-1, 1)
    if torch.all(cosine > 0.9995):
        return by_rotating_in_the_plane(z0, z1, n)
    angle = torch.acos(cosine).unsqueeze(-1)
    # z1 = r (cos(a) u + sin(a) v) with unit vectors u along z0 and v at a right angle to it.
    u, r0, r1 = F.normalize(z0, dim=-1), z0.norm(dim=-1, keepdim=True), z1.norm(dim=-1, keepdim=True)
    v = F.normalize(z1 - (z1 * u).sum(-1, keepdim=True) * u, dim=-1)
    w0, w1 = (torch.stack([torch.sin(s * angle) for s in w]) / torch.sin(angle) for w in (1 - t, t))
    return (w0 * r0 + w1 * r1 * torch.cos(angle)) * u + w1 * r1 * torch.sin(angle) * v


@accepted("conv_vae_tables")
def counted_from_modules():
    def rows(x, layers):
        table = [(tuple(x.shape[1:]), 0)]
        for layer in layers:
            x = layer(x)
            kept = [b for name, b in layer.named_buffers() if name != "num_batches_tracked"]
            table.append((tuple(x.shape[1:]), sum(t.numel() for t in [*layer.parameters(), *kept])))
        return table, x

    layers = []
    for channels in (3, 128, 128, 128):
        layers += [nn.Conv2d(channels, 128, 3, 2, 1), nn.BatchNorm2d(128), nn.LeakyReLU()]
    encoder, features = rows(torch.zeros(2, 3, 32, 32), [*layers, nn.Flatten()])
    width = features.shape[1]
    head = sum(p.numel() for p in nn.Linear(width, 200).parameters())
    encoder += [((200,), head), ((200,), head), ((200,), 0)]
    layers = [nn.Linear(200, width), nn.BatchNorm1d(width), nn.LeakyReLU(), nn.Unflatten(1, (128, 2, 2))]
    for _ in range(4):
        layers += [nn.ConvTranspose2d(128, 128, 3, 2, 1, 1), nn.BatchNorm2d(128), nn.LeakyReLU()]
    decoder, _ = rows(torch.zeros(2, 200), [*layers, nn.ConvTranspose2d(128, 3, 3, 1, 1)])
    return encoder, decoder


@accepted("conv_vae_tables")
def written_down():
    encoder = [[[3, 32, 32], 0]]
    for size, parameters in (16, 3584), (8, 147584), (4, 147584), (2, 147584):
        encoder += [[[128, size, size], count] for count in (parameters, 512, 0)]
    encoder += [[[512], 0], [[200], 102600], [[200], 102600], [[200], 0]]
    decoder = [[[200], 0], [[512], 102912], [[512], 2048], [[512], 0], [[128, 2, 2], 0]]
    for size in (4, 8, 16, 32):
        decoder += [[[128, size, size], count] for count in (147584, 512, 0)]
    return [encoder, [*decoder, [[3, 32, 32], 3459]]]


@accepted("conv_vae_tables")
def by_recursion():
    def convolution(n_in, n_out, kernel=3):
        return n_out * (n_in * kernel**2 + 1)

    def blocks(n_in, sizes):
        if not sizes:
            return []
        shape = (128, sizes[0], sizes[0])
        block = [(shape, convolution(n_in, 128)), (shape, 2 * 128 + 2 * 128), (shape, 0)]
        return block + blocks(128, sizes[1:])

    sizes = [32 >> k for k in range(5)]
    flat = 128 * sizes[-1] ** 2
    latent = [((200,), (flat + 1) * 200)] * 2
    encoder = [((3, 32, 32), 0), *blocks(3, sizes[1:]), ((flat,), 0), *latent, ((200,), 0)]
    dense = [((200,), 0), ((flat,), (200 + 1) * flat), ((flat,), 4 * flat), ((flat,), 0), ((128, 2, 2), 0)]
    return encoder, [*dense, *blocks(128, sizes[-2::-1]), ((3, 32, 32), convolution(128, 3))]
