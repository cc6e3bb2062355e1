"""Week 7: variational autoencoders (Kingma and Welling, 2014)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
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


def gaussian_log_likelihood(
    x: Float[Tensor, "*batch data"],
    mean: Float[Tensor, "*batch data"],
    logvar: Float[Tensor, "*batch data"],
) -> Float[Tensor, "*batch"]:
    """log N(x; mean, diag(sigma^2)) in nats with sigma^2 = exp(logvar), the constant included.

    One number per example: summed over the data dimension. The gradient reaches all three.
    (Kingma and Welling, 2014, appendix C.2.)
    """
    return -0.5 * ((x - mean).square() * torch.exp(-logvar) + logvar + math.log(2 * math.pi)).sum(-1)


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


def iwae_bound(log_w: Float[Tensor, "samples batch"]) -> Float[Tensor, "batch"]:
    """The importance-weighted bound log (1/K sum_k w_k) in nats per example, from K >= 1 samples of each.

    log_w[k, b] = log p(x_b, z_k) - log q(z_k | x_b), finite, a row per sample: estimates of the ELBO from one
    sample each, and for K = 1 the bound is that. Right also where exp(log_w) would overflow or vanish, with
    log-weights of +-1e4, for each example apart from the others. (Burda et al., 2016, equation 8.)
    """
    require(len(log_w) > 0, f"log_w must hold at least one sample, not have shape {tuple(log_w.shape)}")
    return log_w.logsumexp(0) - math.log(len(log_w))


def vector_quantize(
    z: Float[Tensor, "n dim"], codebook: Float[Tensor, "codes dim"]
) -> tuple[Float[Tensor, "n dim"], Int64[Tensor, "n"], Float[Tensor, ""], Float[Tensor, ""]]:
    """Replace each row of z by the nearest code: (quantized, indices, codebook loss, commitment loss).

    indices[i] is the row of the codebook nearest to z[i] in Euclidean distance, the first one where several
    are. `quantized` has the values of these codes, and its gradient goes to z as if nothing had been
    replaced (straight-through), none to the codebook. Both losses are the mean over all elements of the
    squared difference of code and z, a scalar without a weight: the codebook loss moves the codes alone (z is
    detached), the commitment loss z alone (the codes are detached). (van den Oord et al., 2017, equation 3.)
    """
    require(
        len(codebook) > 0, f"codebook must hold at least one code, not have shape {tuple(codebook.shape)}"
    )
    distances = (z[:, None] - codebook).square().sum(-1)  # (n, codes)
    indices = distances.argmin(-1)
    codes = codebook[indices]
    codebook_loss = (codes - z.detach()).square().mean()
    commitment_loss = (z - codes.detach()).square().mean()
    return z + (codes - z).detach(), indices, codebook_loss, commitment_loss


def interpolate_latents(
    z0: Float[Tensor, "*batch latent"], z1: Float[Tensor, "*batch latent"], n: int, spherical: bool = False
) -> Float[Tensor, "n *batch latent"]:
    """n >= 2 points from z0 to z1 at t = 0, 1/(n-1), ..., 1, stacked along a new first dimension.

    Along the straight line, (1 - t) z0 + t z1; or, where `spherical`,
    (sin((1 - t) a) z0 + sin(t a) z1) / sin(a), for unit vectors the great circle's arc. The angle a in
    [0, pi) is that between z0 and z1, of the normalised vectors, over the last dimension, for each pair of a
    batch its own; the weights are put on z0 and z1 as they are, which need not be of the same length. At
    a = 0 this is its limit, the straight line. Where `spherical`, neither vector is 0, and the two don't
    point in opposite directions. (Shoemake, 1985.)
    """
    require(n >= 2, f"n must be at least 2, both ends included, not {n}")
    t = torch.linspace(0, 1, n, dtype=z0.dtype, device=z0.device).reshape(-1, *[1] * z0.ndim)
    if not spherical:
        return (1 - t) * z0 + t * z1
    lengths = [z.norm(dim=-1, keepdim=True) for z in (z0, z1)]
    require(all((v > 0).all() for v in lengths), "z0 and z1 must not be 0 where spherical: there is no angle")
    u0, u1 = z0 / lengths[0], z1 / lengths[1]
    apart, together = (v.norm(dim=-1, keepdim=True) for v in (u0 - u1, u0 + u1))
    require((together > 1e-6).all(), "z0 and z1 must not be opposite where spherical: no arc is the shortest")
    angle = 2 * torch.atan2(apart, together) / math.pi  # in half turns; exact also where acos is not, near 0
    # sin(t a) / sin(a) = t sinc(t a) / sinc(a), and sinc(0) = 1
    return ((1 - t) * torch.sinc((1 - t) * angle) * z0 + t * torch.sinc(t * angle) * z1) / torch.sinc(angle)


def conv_vae_tables() -> tuple[list[tuple[tuple[int, ...], int]], list[tuple[tuple[int, ...], int]]]:
    """The layers of a convolutional VAE for faces, with output shapes and parameters: (encoder, decoder).

    Both are lists with a row (output shape of one example, number of parameters) for each layer, in order:

    - encoder: the input, an image (3, 32, 32); four times a convolution to 128 channels, kernel 3, stride 2,
      padding 1, then batch normalisation, then LeakyReLU; flattening; the linear layers `mu` and `logvar`,
      both from the flattened features to 200; the draw z. These are 17 rows.
    - decoder: the input z, 200 numbers; a linear layer to as many features as the encoder flattened, batch
      normalisation of these, LeakyReLU; back to the shape that was flattened; four times a transposed
      convolution to 128 channels, kernel 3, stride 2, padding 1, output padding 1, then batch normalisation,
      then LeakyReLU; a transposed convolution to 3 channels, kernel 3, stride 1, padding 1, whose sigmoid
      has no row of its own. These are 18 rows.

    Shapes are tuples of integers without the batch dimension, channels first: (channels, height, width), or
    (features,). Convolutions and linear layers have biases. Batch normalisation counts four numbers for each
    channel or feature, as printed summaries do: scale and shift, which are learned, and running mean and
    variance, which are only kept. Layers that hold nothing count 0. (Foster, 2023, chapter 3.)
    """
    features, latent = 128, 200

    def block(channels: int, size: int) -> list[tuple[tuple[int, ...], int]]:
        """(Transposed) convolution, batch normalisation and LeakyReLU: the weights are as many both ways."""
        shape = (features, size, size)
        return [(shape, 3 * 3 * channels * features + features), (shape, 4 * features), (shape, 0)]

    channels, size = 3, 32
    encoder: list[tuple[tuple[int, ...], int]] = [((channels, size, size), 0)]
    for _ in range(4):
        size = (size + 2 - 3) // 2 + 1
        encoder += block(channels, size)
        channels = features
    flat = features * size * size
    encoder += [((flat,), 0), *[((latent,), flat * latent + latent)] * 2, ((latent,), 0)]

    decoder: list[tuple[tuple[int, ...], int]] = [((latent,), 0), ((flat,), latent * flat + flat)]
    decoder += [((flat,), 4 * flat), ((flat,), 0), ((features, size, size), 0)]
    for _ in range(4):
        size = 2 * (size - 1) - 2 + 3 + 1
        decoder += block(features, size)
    decoder += [((3, size, size), 3 * 3 * features * 3 + 3)]
    return encoder, decoder
