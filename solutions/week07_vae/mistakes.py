"""Week 7: wrong ways to write the answers, each with the misunderstanding behind it."""

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
