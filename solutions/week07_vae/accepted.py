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
