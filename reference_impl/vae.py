"""Week 7: variational autoencoders (Kingma and Welling, 2014)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from reference_impl._require import require


def reparameterize(
    mu: Float[Tensor, "*batch latent"],
    logvar: Float[Tensor, "*batch latent"],
    eps: Float[Tensor, "*batch latent"],
) -> Float[Tensor, "*batch latent"]:
    """A draw z = mu + sigma eps from N(mu, diag(sigma^2)), with sigma^2 = exp(logvar).

    `eps` is the noise, already drawn from N(0, I): draw nothing yourself. The gradient reaches mu and
    logvar (and eps) through z. (Kingma and Welling, 2014, section 2.4.)
    """
    return mu + torch.exp(logvar / 2) * eps


def kl_to_standard_normal(
    mu: Float[Tensor, "*batch latent"], logvar: Float[Tensor, "*batch latent"]
) -> Float[Tensor, "*batch"]:
    """KL(N(mu, diag(exp(logvar))) || N(0, I)) in nats per example: summed over the latent dimension.

    (Kingma and Welling, 2014, appendix B.)
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(-1)


def bernoulli_log_likelihood(
    logits: Float[Tensor, "*batch data"], x: Float[Tensor, "*batch data"]
) -> Float[Tensor, "*batch"]:
    """log p(x) = sum_i x_i log s(l_i) + (1 - x_i) log(1 - s(l_i)) in nats, with s the logistic sigmoid.

    One number per example: summed over the data dimension. `x` holds zeros and ones (the formula takes grey
    values in between as well, of which none is asked here). Finite and exact for any finite logits, +-1e4
    included. (Kingma and Welling, 2014, appendix C.1, from logits.)
    """
    require(((x >= 0) & (x <= 1)).all(), f"x must lie in [0, 1], not reach from {x.min()} to {x.max()}")
    return (x * logits - F.softplus(logits)).sum(-1)


def elbo(
    x: Float[Tensor, "*batch data"],
    logits: Float[Tensor, "*batch data"],
    mu: Float[Tensor, "*batch latent"],
    logvar: Float[Tensor, "*batch latent"],
) -> Float[Tensor, "*batch"]:
    """The evidence lower bound log p(x | z) - KL(q(z | x) || p(z)) in nats per example, from one sample z.

    The decoder is Bernoulli with `logits` = decoder(z), x of zeros and ones; q is N(mu, diag(exp(logvar))),
    the prior is N(0, I). Stable for logits up to +-1e4. (Kingma and Welling, 2014, equation 10 with L = 1.)
    """
    return bernoulli_log_likelihood(logits, x) - kl_to_standard_normal(mu, logvar)


def vae_loss(
    x: Float[Tensor, "*batch data"],
    logits: Float[Tensor, "*batch data"],
    mu: Float[Tensor, "*batch latent"],
    logvar: Float[Tensor, "*batch latent"],
    beta: float = 1.0,
) -> Float[Tensor, ""]:
    """The loss to minimise: the mean over all examples of beta KL - log p(x | z), a scalar in nats.

    Both terms are sums over their event dimension, as in `elbo`; the mean is over all batch dimensions.
    beta >= 0, and beta = 1 gives minus the mean ELBO. (Higgins et al., 2017, equation 4.)
    """
    require(beta >= 0, f"beta must not be negative, got {beta}")
    return (beta * kl_to_standard_normal(mu, logvar) - bernoulli_log_likelihood(logits, x)).mean()


class VAE(nn.Module):
    """A variational autoencoder for vectors in [0, 1], with one hidden tanh layer on each side.

    VAE(data, hidden, latent). Its layers by name, all nn.Linear: `encoder` (data -> hidden) and `decoder`
    (latent -> hidden), each followed by tanh; the heads `mu` and `logvar` (hidden -> latent); the output
    `logits` (hidden -> data). The methods add no parameters. (Kingma and Welling, 2014, appendix C.)
    """

    def __init__(self, data: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Linear(data, hidden)
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.decoder = nn.Linear(latent, hidden)
        self.logits = nn.Linear(hidden, data)

    def forward(
        self, x: Float[Tensor, "*batch data"], eps: Float[Tensor, "*batch latent"]
    ) -> tuple[Float[Tensor, "*batch data"], Float[Tensor, "*batch latent"], Float[Tensor, "*batch latent"]]:
        """Encode x, draw z with the noise eps, decode: (logits, mu, logvar)."""
        hidden = torch.tanh(self.encoder(x))
        mu, logvar = self.mu(hidden), self.logvar(hidden)
        z = reparameterize(mu, logvar, eps)
        return self.logits(torch.tanh(self.decoder(z))), mu, logvar

    def sample(self, noise: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch data"]:
        """The pixel means sigmoid(logits) decoded from draws of the prior, z = noise. Needs no gradient."""
        return torch.sigmoid(self.logits(torch.tanh(self.decoder(noise))))
