"""Week 7: wrong ways to write the answers, each with the misunderstanding behind it."""

import math

import torch
import torch.nn.functional as F

from autograder.author import mistake
from reference_impl import vae


@mistake(
    "reparameterize", "You scale the noise by the variance exp(logvar); the standard deviation is its root."
)
def variance_for_std(mu, logvar, eps):
    return mu + logvar.exp() * eps


@mistake("reparameterize", "You scale the noise by logvar itself; the standard deviation is exp(logvar / 2).")
def logvar_for_std(mu, logvar, eps):
    return mu + logvar * eps


@mistake(
    "reparameterize", "You double logvar where it should be halved: sqrt(exp(logvar)) is exp(logvar / 2)."
)
def doubled_logvar(mu, logvar, eps):
    return mu + torch.exp(2 * logvar) * eps


@mistake("reparameterize", "You add the noise as it is: it has to be scaled by the standard deviation.")
def unscaled_noise(mu, logvar, eps):
    return mu + eps


@mistake("reparameterize", "You return the mean: a draw needs the noise.")
def without_noise(mu, logvar, eps):
    return mu.clone()


@mistake("reparameterize", "You use one noise for all latent dimensions; each has its own.")
def one_noise_for_all(mu, logvar, eps):
    return mu + torch.exp(logvar / 2) * eps[..., :1]


@mistake(
    "reparameterize", "You detach the standard deviation, so that logvar would never learn from the decoder."
)
def detached_std(mu, logvar, eps):
    return mu + torch.exp(logvar / 2).detach() * eps


@mistake(
    "reparameterize", "You draw without gradients, but letting gradients through is what the trick is for."
)
def without_gradient(mu, logvar, eps):
    with torch.no_grad():
        return mu + torch.exp(logvar / 2) * eps


@mistake("reparameterize", "You scale eps in place: the caller's noise must stay as it is.")
def scales_the_noise_in_place(mu, logvar, eps):
    eps *= torch.exp(logvar / 2)
    return mu + eps


@mistake(
    "kl_to_standard_normal", "You treat logvar as the logarithm of the standard deviation; it is log sigma^2."
)
def log_std_for_logvar(mu, logvar):
    return 0.5 * (mu.square() + (2 * logvar).exp() - 1 - 2 * logvar).sum(-1)


@mistake("kl_to_standard_normal", "The factor 1/2 in front of the sum is missing.")
def without_the_half(mu, logvar):
    return (mu.square() + logvar.exp() - 1 - logvar).sum(-1)


@mistake("kl_to_standard_normal", "The sign is turned: this is minus the KL divergence.")
def wrong_sign(mu, logvar):
    return -vae.kl_to_standard_normal(mu, logvar)


@mistake(
    "kl_to_standard_normal",
    "You average over the latent dimensions; the KL of independent dimensions adds up.",
)
def mean_over_latent(mu, logvar):
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).mean(-1)


@mistake("kl_to_standard_normal", "You sum over the batch too: every example has a KL of its own.")
def sum_over_batch(mu, logvar):
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum()


@mistake("kl_to_standard_normal", "This is the reverse divergence KL(N(0, I) || q); the prior comes second.")
def reversed_arguments(mu, logvar):
    return 0.5 * ((1 + mu.square()) / logvar.exp() - 1 + logvar).sum(-1)


@mistake("kl_to_standard_normal", "You leave the squared mean out: moving q away from the prior costs, too.")
def variance_part_alone(mu, logvar):
    return 0.5 * (logvar.exp() - 1 - logvar).sum(-1)


@mistake("kl_to_standard_normal", "You square mu in place: the caller's tensor must stay as it is.")
def squares_in_place(mu, logvar):
    return 0.5 * (mu.square_() + logvar.exp() - 1 - logvar).sum(-1)


@mistake(
    "bernoulli_log_likelihood",
    "log(sigmoid(l)) is log 0 for large |l|: work from the logits, with softplus or logsigmoid.",
)
def log_of_sigmoid(logits, x):
    p = torch.sigmoid(logits)
    return (x * torch.log(p) + (1 - x) * torch.log(1 - p)).sum(-1)


@mistake(
    "bernoulli_log_likelihood",
    "You apply the sigmoid first; clamping its logarithm hides the overflow and gives -100 in place of -|l|.",
)
def clamped_log_of_sigmoid(logits, x):
    return -F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1)


@mistake("bernoulli_log_likelihood", "This is the cross-entropy: the log-likelihood is minus that.")
def cross_entropy(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


@mistake(
    "bernoulli_log_likelihood",
    "You average over the pixels; the log-likelihood of independent pixels adds up.",
)
def mean_over_pixels(logits, x):
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").mean(-1)


@mistake(
    "bernoulli_log_likelihood",
    "You count the pixels that are 1 alone: a pixel that is 0 has a likelihood as well.",
)
def ones_alone(logits, x):
    return (x * F.logsigmoid(logits)).sum(-1)


@mistake("bernoulli_log_likelihood", "You sum over the batch too: every example has a likelihood of its own.")
def total_likelihood(logits, x):
    return vae.bernoulli_log_likelihood(logits, x).sum()


@mistake(
    "bernoulli_log_likelihood",
    "You apply the sigmoid twice: what it gives are probabilities, no logits any more.",
)
def sigmoid_twice(logits, x):
    return vae.bernoulli_log_likelihood(torch.sigmoid(logits), x)


@mistake("bernoulli_log_likelihood", "You multiply x in place: the caller's images must stay as they are.")
def weighs_x_in_place(logits, x):
    x *= logits
    return (x - F.softplus(logits)).sum(-1)


def gaussian(x, mean, logvar):
    return 0.5 * ((x - mean).square() / logvar.exp() + logvar + math.log(2 * math.pi))


@mistake("gaussian_log_likelihood", "The constant is missing: each dimension has its own -1/2 ln 2 pi.")
def without_the_constant(x, mean, logvar):
    return -0.5 * ((x - mean).square() / logvar.exp() + logvar).sum(-1)


@mistake("gaussian_log_likelihood", "You count the constant -1/2 ln 2 pi once; each dimension has its own.")
def one_constant_for_all(x, mean, logvar):
    return without_the_constant(x, mean, logvar) - 0.5 * math.log(2 * math.pi)


@mistake("gaussian_log_likelihood", "The factor 1/2 in front of the squared error is missing.")
def without_half_the_square(x, mean, logvar):
    return -(gaussian(x, mean, logvar) + 0.5 * (x - mean).square() / logvar.exp()).sum(-1)


@mistake("gaussian_log_likelihood", "The sign is turned: this is the cost, minus the log-likelihood.")
def gaussian_cost(x, mean, logvar):
    return gaussian(x, mean, logvar).sum(-1)


@mistake("gaussian_log_likelihood", "You take logvar for log sigma; it is log sigma^2.")
def log_sigma_for_logvar(x, mean, logvar):
    return -gaussian(x, mean, 2 * logvar).sum(-1)


@mistake(
    "gaussian_log_likelihood",
    "You divide the squared error by sigma; it is divided by the variance, sigma^2 = exp(logvar).",
)
def divides_by_sigma(x, mean, logvar):
    square = (x - mean).square() / torch.exp(logvar / 2)
    return -0.5 * (square + logvar + math.log(2 * math.pi)).sum(-1)


@mistake(
    "gaussian_log_likelihood",
    "The normalisation is log sigma = logvar / 2 per dimension; you subtract all of logvar.",
)
def log_of_the_variance(x, mean, logvar):
    return -(gaussian(x, mean, logvar) + 0.5 * logvar).sum(-1)


@mistake("gaussian_log_likelihood", "You leave the variance out: this is the density for sigma = 1.")
def with_unit_variance(x, mean, logvar):
    return -gaussian(x, mean, 0 * logvar).sum(-1)


@mistake("gaussian_log_likelihood", "You average over the dimensions; the log-likelihood adds up.")
def mean_over_dimensions(x, mean, logvar):
    return -gaussian(x, mean, logvar).mean(-1)


@mistake("gaussian_log_likelihood", "You sum over the batch too: every example has a likelihood of its own.")
def gaussian_of_the_batch(x, mean, logvar):
    return -gaussian(x, mean, logvar).sum()


@mistake(
    "gaussian_log_likelihood", "You add a small number to the variance: for a narrow Gaussian it is all."
)
def variance_kept_from_zero(x, mean, logvar):
    return -gaussian(x, mean, torch.log(logvar.exp() + 1e-6)).sum(-1)


@mistake("gaussian_log_likelihood", "You detach the variance, so that the decoder can't learn its spread.")
def detached_variance(x, mean, logvar):
    return -gaussian(x, mean, logvar.detach()).sum(-1)


@mistake("elbo", "You add the KL; it is the price of q and is taken from the likelihood.")
def adds_the_kl(x, logits, mu, logvar):
    return vae.bernoulli_log_likelihood(logits, x) + vae.kl_to_standard_normal(mu, logvar)


@mistake("elbo", "This is minus the ELBO, the loss: the bound itself is likelihood minus KL.")
def negative_elbo(x, logits, mu, logvar):
    return -vae.elbo(x, logits, mu, logvar)


@mistake("elbo", "The likelihood's log(sigmoid(l)) is log 0 for large |l|: work from the logits.")
def unstable_elbo(x, logits, mu, logvar):
    return log_of_sigmoid(logits, x) - vae.kl_to_standard_normal(mu, logvar)


@mistake("elbo", "You average the likelihood over the pixels but sum the KL: this changes their balance.")
def likelihood_per_pixel(x, logits, mu, logvar):
    return mean_over_pixels(logits, x) - vae.kl_to_standard_normal(mu, logvar)


@mistake("elbo", "You average the KL over the latent dimensions; it adds up.")
def kl_per_latent(x, logits, mu, logvar):
    return vae.bernoulli_log_likelihood(logits, x) - mean_over_latent(mu, logvar)


@mistake("elbo", "You average over the batch: the bound is asked for each example.")
def mean_elbo(x, logits, mu, logvar):
    return vae.elbo(x, logits, mu, logvar).mean()


@mistake(
    "elbo", "You take a squared error as the likelihood: that is a Gaussian decoder, this one is Bernoulli."
)
def gaussian_decoder(x, logits, mu, logvar):
    return -0.5 * (x - torch.sigmoid(logits)).square().sum(-1) - vae.kl_to_standard_normal(mu, logvar)


@mistake("elbo", "You detach q, so that the encoder would never feel the KL.")
def detached_kl(x, logits, mu, logvar):
    return vae.bernoulli_log_likelihood(logits, x) - vae.kl_to_standard_normal(mu, logvar).detach()


@mistake("elbo", "You multiply x in place: the caller's images must stay as they are.")
def elbo_in_place(x, logits, mu, logvar):
    return weighs_x_in_place(logits, x) - vae.kl_to_standard_normal(mu, logvar)


@mistake("vae_loss", "You average over pixels and latent dimensions, too; both terms are sums per example.")
def mean_over_elements(x, logits, mu, logvar, beta=1.0):
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar)
    return F.binary_cross_entropy_with_logits(logits, x) + beta * kl.mean()


@mistake(
    "vae_loss", "You average the reconstruction over the pixels but sum the KL: q collapses to the prior."
)
def reconstruction_per_pixel(x, logits, mu, logvar, beta=1.0):
    return F.binary_cross_entropy_with_logits(logits, x) + beta * vae.kl_to_standard_normal(mu, logvar).mean()


@mistake("vae_loss", "beta weighs the reconstruction here; it belongs to the KL.")
def beta_on_the_reconstruction(x, logits, mu, logvar, beta=1.0):
    return (vae.kl_to_standard_normal(mu, logvar) - beta * vae.bernoulli_log_likelihood(logits, x)).mean()


@mistake("vae_loss", "beta weighs the whole loss here; it belongs to the KL alone.")
def beta_on_everything(x, logits, mu, logvar, beta=1.0):
    return -beta * vae.elbo(x, logits, mu, logvar).mean()


@mistake("vae_loss", "You leave beta out.")
def ignores_beta(x, logits, mu, logvar, beta=1.0):
    return -vae.elbo(x, logits, mu, logvar).mean()


@mistake("vae_loss", "The sign is turned: minimising this would make the bound as small as it gets.")
def maximised_objective(x, logits, mu, logvar, beta=1.0):
    return -vae.vae_loss(x, logits, mu, logvar, beta)


@mistake("vae_loss", "The KL has the wrong sign: minimising this pushes q away from the prior.")
def rewards_the_kl(x, logits, mu, logvar, beta=1.0):
    return vae.vae_loss(x, logits, mu, logvar, 0.0) - beta * vae.kl_to_standard_normal(mu, logvar).mean()


@mistake("vae_loss", "You sum over the batch: the loss is the mean over examples.")
def sum_over_examples(x, logits, mu, logvar, beta=1.0):
    return (beta * vae.kl_to_standard_normal(mu, logvar) - vae.bernoulli_log_likelihood(logits, x)).sum()


@mistake("vae_loss", "You average over the first dimension alone; the mean is over all batch dimensions.")
def mean_over_first_dimension(x, logits, mu, logvar, beta=1.0):
    losses = beta * vae.kl_to_standard_normal(mu, logvar) - vae.bernoulli_log_likelihood(logits, x)
    return losses.mean(0) if losses.ndim else losses


@mistake("vae_loss", "The reconstruction's log(sigmoid(l)) is log 0 for large |l|: work from the logits.")
def unstable_loss(x, logits, mu, logvar, beta=1.0):
    return (beta * vae.kl_to_standard_normal(mu, logvar) - log_of_sigmoid(logits, x)).mean()


@mistake("vae_loss", "Where no beta is given it should be 1, not 4.")
def another_default(x, logits, mu, logvar, beta=4.0):
    return vae.vae_loss(x, logits, mu, logvar, beta)


@mistake("vae_loss", "You multiply x in place: the caller's images must stay as they are.")
def loss_in_place(x, logits, mu, logvar, beta=1.0):
    return (beta * vae.kl_to_standard_normal(mu, logvar) - weighs_x_in_place(logits, x)).mean()


@mistake("VAE", "`sample` returns logits; the pixel means are their sigmoid.")
class SampleReturnsLogits(vae.VAE):
    def sample(self, noise):
        return self.logits(torch.tanh(self.decoder(noise)))


@mistake("VAE", "`forward` returns pixel means; the loss wants logits.")
class ForwardReturnsMeans(vae.VAE):
    def forward(self, x, eps):
        logits, mu, logvar = super().forward(x, eps)
        return torch.sigmoid(logits), mu, logvar


@mistake("VAE", "The decoder's hidden layer lacks its tanh.")
class LinearDecoder(vae.VAE):
    def forward(self, x, eps):
        _, mu, logvar = super().forward(x, eps)
        return self.logits(self.decoder(vae.reparameterize(mu, logvar, eps))), mu, logvar

    def sample(self, noise):
        return torch.sigmoid(self.logits(self.decoder(noise)))


@mistake("VAE", "The hidden layers are tanh layers, these are ReLU.")
class ReluLayers(vae.VAE):
    def decode(self, z):
        return self.logits(F.relu(self.decoder(z)))

    def forward(self, x, eps):
        hidden = F.relu(self.encoder(x))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        return self.decode(vae.reparameterize(mu, logvar, eps)), mu, logvar

    def sample(self, noise):
        return torch.sigmoid(self.decode(noise))


@mistake(
    "VAE", "You decode the mean and never use the noise: this is an autoencoder without the variational part."
)
class DecodesTheMean(vae.VAE):
    def forward(self, x, eps):
        return super().forward(x, 0 * eps)


@mistake(
    "VAE", "You scale the noise by exp(logvar), the variance; the standard deviation is exp(logvar / 2)."
)
class VarianceForStd(vae.VAE):
    def forward(self, x, eps):
        hidden = torch.tanh(self.encoder(x))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        return self.logits(torch.tanh(self.decoder(mu + logvar.exp() * eps))), mu, logvar


@mistake("VAE", "You return the draw z in the place of mu: the KL needs the mean of q.")
class ReturnsTheDraw(vae.VAE):
    def forward(self, x, eps):
        logits, mu, logvar = super().forward(x, eps)
        return logits, vae.reparameterize(mu, logvar, eps), logvar


@mistake("VAE", "You return the variance; the third output is its logarithm.")
class ReturnsTheVariance(vae.VAE):
    def forward(self, x, eps):
        logits, mu, logvar = super().forward(x, eps)
        return logits, mu, logvar.exp()


@mistake("VAE", "You detach z, so that the encoder learns nothing from the reconstruction.")
class DetachedDraw(vae.VAE):
    def forward(self, x, eps):
        _, mu, logvar = super().forward(x, eps)
        z = vae.reparameterize(mu, logvar, eps).detach()
        return self.logits(torch.tanh(self.decoder(z))), mu, logvar


@mistake("VAE", "You scale eps in place: the caller's noise must stay as it is.")
class ScalesTheNoiseInPlace(vae.VAE):
    def forward(self, x, eps):
        hidden = torch.tanh(self.encoder(x))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        eps *= torch.exp(logvar / 2)
        return self.logits(torch.tanh(self.decoder(mu + eps))), mu, logvar


@mistake("VAE", "You clamp logvar, so that q(z | x) can't become as narrow or as wide as the encoder says.")
class ClampsLogvar(vae.VAE):
    def forward(self, x, eps):
        hidden = torch.tanh(self.encoder(x))
        mu, logvar = self.mu(hidden), self.logvar(hidden).clamp(-6, 6)
        return self.logits(torch.tanh(self.decoder(vae.reparameterize(mu, logvar, eps)))), mu, logvar


@mistake("VAE", "You keep the pixel means away from 0 and 1; the sigmoid's values are the means.")
class ClampsPixelMeans(vae.VAE):
    def sample(self, noise):
        return super().sample(noise).clamp(1e-3, 1 - 1e-3)


@mistake(
    "iwae_bound", "You average log w: that is the ELBO's estimate. Average the weights, then take the log."
)
def mean_of_logarithms(log_w):
    return log_w.mean(0)


@mistake("iwae_bound", "The weights are averaged, not added up: log K is missing.")
def without_log_k(log_w):
    return log_w.logsumexp(0)


@mistake("iwae_bound", "You divide by K outside the logarithm; inside, it is the subtraction of log K.")
def divides_outside(log_w):
    return log_w.logsumexp(0) / len(log_w)


@mistake("iwae_bound", "You take exp(log w) as it is: it overflows or vanishes. Take the largest out first.")
def overflows(log_w):
    return log_w.exp().mean(0).log()


@mistake(
    "iwae_bound",
    "You take out the largest log-weight of the whole batch; the other examples vanish: each has its own.",
)
def one_largest_for_all(log_w):
    largest = log_w.max()
    return largest + (log_w - largest).exp().mean(0).log()


@mistake("iwae_bound", "A small number inside the logarithm hides the underflow and changes the bound.")
def with_an_epsilon(log_w):
    return torch.log(log_w.exp().mean(0) + 1e-10)


@mistake("iwae_bound", "You average over the examples; the samples are dimension 0.")
def over_the_batch(log_w):
    return log_w.logsumexp(1) - math.log(log_w.shape[1])


@mistake("iwae_bound", "You average over samples and examples together; each example has its own bound.")
def one_bound_for_all(log_w):
    return log_w.logsumexp((0, 1)) - math.log(log_w.numel())


@mistake("iwae_bound", "You keep the largest log-weight alone: log K and the other samples are missing.")
def the_largest_alone(log_w):
    return log_w.amax(0)


@mistake("iwae_bound", "You take the largest log-weight out and never put it back.")
def without_the_largest(log_w):
    return (log_w - log_w.amax(0)).exp().mean(0).log()


@mistake("iwae_bound", "You detach the weights: nothing could learn from this bound.")
def detached_weights(log_w):
    return vae.iwae_bound(log_w.detach())


def quantized(z, codebook, indices):
    """All four results, right for these indices."""
    codes = codebook[indices]
    codebook_loss, commitment_loss = (
        (codes - z.detach()).square().mean(),
        (z - codes.detach()).square().mean(),
    )
    return z + (codes - z).detach(), indices, codebook_loss, commitment_loss


@mistake(
    "vector_quantize",
    "You take the code with the largest inner product; long codes then win. Take the nearest.",
)
def largest_inner_product(z, codebook):
    return quantized(z, codebook, (z @ codebook.T).argmax(-1))


@mistake("vector_quantize", "You compare directions; the code is the nearest one, at the smallest distance.")
def largest_cosine(z, codebook):
    return quantized(z, codebook, F.cosine_similarity(z[:, None], codebook[None], dim=-1).argmax(-1))


@mistake("vector_quantize", "You take the farthest code: argmax where it should be argmin.")
def farthest_code(z, codebook):
    return quantized(z, codebook, torch.cdist(z, codebook).argmax(-1))


@mistake("vector_quantize", "You measure the distance by absolute differences; it is the Euclidean one.")
def nearest_by_absolute_differences(z, codebook):
    return quantized(z, codebook, (z[:, None] - codebook).abs().sum(-1).argmin(-1))


@mistake("vector_quantize", "Of codes at the same distance you take the last; the first is asked for.")
def last_of_equal_codes(z, codebook):
    last = len(codebook) - 1
    return quantized(z, codebook, last - torch.cdist(z, codebook.flip(0)).argmin(-1))


@mistake("vector_quantize", "You look for the vector nearest to each code; each vector looks for its code.")
def nearest_vector_of_each_code(z, codebook):
    return quantized(z, codebook, (z[:, None] - codebook).square().sum(-1).argmin(0))


@mistake(
    "vector_quantize", "You return the codes as they are: no gradient can reach the encoder through argmin."
)
def without_straight_through(z, codebook):
    _, indices, *losses = vae.vector_quantize(z, codebook)
    return codebook[indices], indices, *losses


@mistake("vector_quantize", "You return z in the place of its code: the decoder must see what it gets later.")
def passes_z_on(z, codebook):
    return z.clone(), *vae.vector_quantize(z, codebook)[1:]


@mistake("vector_quantize", "The two losses are exchanged: the codebook loss comes first and detaches z.")
def losses_exchanged(z, codebook):
    straight, indices, codebook_loss, commitment_loss = vae.vector_quantize(z, codebook)
    return straight, indices, commitment_loss, codebook_loss


@mistake(
    "vector_quantize",
    "Nothing is detached in the losses: each of them then moves the codes and z alike.",
)
def nothing_detached(z, codebook):
    straight, indices, *_ = vae.vector_quantize(z, codebook)
    return straight, indices, F.mse_loss(codebook[indices], z), F.mse_loss(z, codebook[indices])


@mistake("vector_quantize", "You add up the squares of each vector; the losses are means over all elements.")
def sum_over_dimensions(z, codebook):
    straight, indices, *losses = vae.vector_quantize(z, codebook)
    return straight, indices, *(loss * z.shape[1] for loss in losses)


@mistake("vector_quantize", "You weigh the commitment loss by 0.25: it is asked without a weight.")
def weighted_commitment(z, codebook):
    *others, commitment_loss = vae.vector_quantize(z, codebook)
    return *others, 0.25 * commitment_loss


@mistake("vector_quantize", "You take the root of the distance: the losses are squared differences.")
def root_of_the_square(z, codebook):
    straight, indices, *losses = vae.vector_quantize(z, codebook)
    return straight, indices, *(torch.sqrt(loss) for loss in losses)


@mistake(
    "interpolate_latents", "You stop a step before z1: the n points include both ends, at t = k / (n - 1)."
)
def without_the_end(z0, z1, n, spherical=False):
    return vae.interpolate_latents(z0, z1, n + 1, spherical)[:-1]


@mistake("interpolate_latents", "You leave both ends out: the first point is z0, the last is z1.")
def without_both_ends(z0, z1, n, spherical=False):
    return vae.interpolate_latents(z0, z1, n + 2, spherical)[1:-1]


@mistake("interpolate_latents", "You go from z1 to z0: the weight of z1 is t.")
def from_the_end(z0, z1, n, spherical=False):
    return vae.interpolate_latents(z1, z0, n, spherical)


@mistake("interpolate_latents", "You never look at `spherical`: this is always the straight line.")
def always_straight(z0, z1, n, spherical=False):
    return vae.interpolate_latents(z0, z1, n)


@mistake("interpolate_latents", "Where `spherical` is not given, the path is the straight line.")
def spherical_by_default(z0, z1, n, spherical=True):
    return vae.interpolate_latents(z0, z1, n, spherical)


def weights(n, like):
    return torch.linspace(0, 1, n, dtype=like.dtype).reshape(-1, *[1] * like.ndim)


def along_an_arc(z0, z1, n, cosine):
    angle, t = torch.acos(cosine.clamp(-1 + 1e-6, 1 - 1e-6)), weights(n, z0)
    return (torch.sin((1 - t) * angle) * z0 + torch.sin(t * angle) * z1) / torch.sin(angle)


@mistake(
    "interpolate_latents", "The weights are put on the normalised vectors: z0 and z1 keep their own lengths."
)
def on_the_unit_sphere(z0, z1, n, spherical=False):
    if not spherical:
        return vae.interpolate_latents(z0, z1, n)
    return vae.interpolate_latents(F.normalize(z0, dim=-1), F.normalize(z1, dim=-1), n, True)


@mistake("interpolate_latents", "The angle comes from the inner product of the normalised vectors.")
def angle_of_raw_vectors(z0, z1, n, spherical=False):
    if not spherical:
        return vae.interpolate_latents(z0, z1, n)
    return along_an_arc(z0, z1, n, (z0 * z1).sum(-1, keepdim=True))


@mistake("interpolate_latents", "You take one angle for the whole batch: every pair has its own.")
def one_angle_for_all(z0, z1, n, spherical=False):
    if not spherical:
        return vae.interpolate_latents(z0, z1, n)
    return along_an_arc(z0, z1, n, (z0 * z1).sum() / (z0.norm() * z1.norm()))


@mistake("interpolate_latents", "At the angle 0 you divide 0 by 0; the limit of sin(t a) / sin(a) is t.")
def nothing_where_there_is_no_angle(z0, z1, n, spherical=False):
    path = vae.interpolate_latents(z0, z1, n, spherical)
    cosine = F.cosine_similarity(z0, z1, dim=-1)[..., None]
    return path.masked_fill(cosine > 1 - 1e-6, math.nan) if spherical else path


@mistake("interpolate_latents", "The weights of an arc are divided by sin(a), not by the angle a itself.")
def divides_by_the_angle(z0, z1, n, spherical=False):
    path = vae.interpolate_latents(z0, z1, n, spherical)
    angle = F.cosine_similarity(z0, z1, dim=-1)[..., None].clamp(-1, 1).acos() / math.pi
    return path * torch.sinc(angle) if spherical else path


@mistake(
    "interpolate_latents",
    "You normalise the straight line's points: they then are not evenly spaced in angle.",
)
def normalised_line(z0, z1, n, spherical=False):
    line = vae.interpolate_latents(z0, z1, n)
    if not spherical:
        return line
    lengths = vae.interpolate_latents(z0.norm(dim=-1, keepdim=True), z1.norm(dim=-1, keepdim=True), n)
    return F.normalize(line, dim=-1) * lengths


@mistake("interpolate_latents", "Your t is always float32: for float64 vectors it is too coarse.")
def coarse_steps(z0, z1, n, spherical=False):
    t = torch.linspace(0, 1, n).reshape(-1, *[1] * z0.ndim)
    if not spherical:
        return (1 - t) * z0 + t * z1
    angle = F.cosine_similarity(z0, z1, dim=-1)[..., None].clamp(-1, 1).acos() / math.pi
    return ((1 - t) * torch.sinc((1 - t) * angle) * z0 + t * torch.sinc(t * angle) * z1) / torch.sinc(angle)


@mistake("interpolate_latents", "The points are stacked along a new first dimension, before the batch's.")
def points_after_the_batch(z0, z1, n, spherical=False):
    return vae.interpolate_latents(z0, z1, n, spherical).movedim(0, -2)


def changed(rows):
    """The right tables, each row put through `rows(table, index, shape, count)`."""
    tables = dict(zip(("encoder", "decoder"), vae.conv_vae_tables(), strict=True))
    return tuple(
        [rows(name, i, shape, count) for i, (shape, count) in enumerate(table)]
        for name, table in tables.items()
    )


def is_batch_norm(name, i):
    return i in ((2, 5, 8, 11) if name == "encoder" else (2, 6, 9, 12, 15))


def is_convolution(name, i):
    return i in ((1, 4, 7, 10) if name == "encoder" else (5, 8, 11, 14, 17))


@mistake(
    "conv_vae_tables", "Batch normalisation also keeps a running mean and variance: four numbers per channel."
)
def learned_numbers_alone():
    return changed(lambda name, i, shape, count: (shape, count // 2 if is_batch_norm(name, i) else count))


@mistake("conv_vae_tables", "The biases are missing: a convolution has one per output channel.")
def convolutions_without_bias():
    return changed(
        lambda name, i, shape, count: (shape, count - shape[0] if is_convolution(name, i) else count)
    )


@mistake("conv_vae_tables", "A bias belongs to an output channel, not to every pixel of it.")
def bias_for_every_pixel():
    def row(name, i, shape, count):
        return (shape, count - shape[0] + math.prod(shape)) if is_convolution(name, i) else (shape, count)

    return changed(row)


@mistake("conv_vae_tables", "The channels come first: (channels, height, width).")
def channels_last():
    return changed(lambda name, i, shape, count: (shape[1:] + shape[:1], count))


@mistake("conv_vae_tables", "The shapes are those of one example: without the batch dimension.")
def with_a_batch_dimension():
    return changed(lambda name, i, shape, count: ((1, *shape), count))


@mistake("conv_vae_tables", "The kernel has 3 x 3 weights for every input channel; you count 3.")
def kernels_of_one_dimension():
    def row(name, i, shape, count):
        return (shape, (count - shape[0]) // 3 + shape[0]) if is_convolution(name, i) else (shape, count)

    return changed(row)


@mistake(
    "conv_vae_tables", "Stride 2 halves the sizes also in the padded convolution: (32 + 2 - 3) // 2 + 1 = 16."
)
def without_padding():
    encoder, decoder = vae.conv_vae_tables()
    small = {16: 15, 8: 7, 4: 3, 2: 1}
    flat = 128
    encoder = [((shape[0], *(small.get(s, s) for s in shape[1:])), count) for shape, count in encoder]
    encoder[13:16] = [((flat,), 0), *[((200,), 200 * flat + 200)] * 2]
    return encoder, decoder


@mistake(
    "conv_vae_tables",
    "You make mu and logvar in one layer; in this model each has a linear layer of its own.",
)
def one_head_of_both():
    encoder, decoder = vae.conv_vae_tables()
    return [*encoder[:14], ((400,), 512 * 400 + 400), *encoder[16:]], decoder


@mistake("conv_vae_tables", "The last transposed convolution goes to 3 channels: 3 biases, not 128.")
def biases_of_the_input_channels():
    encoder, decoder = vae.conv_vae_tables()
    return encoder, [*decoder[:-1], ((3, 32, 32), 3 * 3 * 128 * 3 + 128)]
