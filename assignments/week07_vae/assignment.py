"""Week 7: variational autoencoders."""

import torch
from torch import Tensor

from autograder.author import (
    Assignment,
    Drawing,
    binary,
    choice,
    dimension,
    domain,
    exercise,
    integer,
    number,
    real,
    unit,
)
from reference_impl import vae


def nonzero_logits(d: Drawing) -> Tensor:
    """Logits other than 0, where the right max(l, 0) - x l + log(1 + e^-|l|) has a kink for autograd."""
    logits = real(edge=(1e4, -1e4, 6.0, -6.0)).draw(d)
    return logits.masked_fill(logits == 0, 0.75)


def distinct_codes(d: Drawing) -> Tensor:
    """A codebook without two codes closer than 0.2 to each other."""
    codes = real().draw(d)
    for k in range(1, len(codes)):
        while (codes[:k] - codes[k]).norm(dim=-1).min() < 0.2:
            codes[k] += 0.75
    return codes


def near_one_code(d: Drawing) -> Tensor:
    """Vectors that are nearer to one code than to any other by far more than rounding."""
    z, codebook = real().draw(d), d["codebook"]
    if len(codebook) == 1:
        return z
    away = 0.3 * torch.sqrt(torch.arange(2.0, 2.0 + z.shape[1]))  # on no plane between two codes for long
    for row in z:
        while True:
            nearest, second = torch.cdist(row[None], codebook)[0].square().sort().values[:2]
            if second - nearest > 0.05:
                break
            row += away
    return z


def start(d: Drawing) -> Tensor:
    """Vectors that are not 0."""
    z = real().draw(d)
    z[..., 0] += 2 * (z.norm(dim=-1) < 0.25)
    return z


def end(d: Drawing) -> Tensor:
    """Vectors at an angle to those at the start that is neither close to 0 nor to pi."""
    z0, z1 = d["z0"], start(d)
    across = torch.cat([-z0[..., 1:2], z0[..., :1], 0 * z0[..., 2:]], -1)
    across[..., 0] += across.norm(dim=-1) < 0.1
    times = ((z1.norm(dim=-1) + 1) / across.norm(dim=-1)).ceil()[..., None]
    aligned = torch.cosine_similarity(z0, z1, dim=-1).abs()[..., None] > 0.9
    return torch.where(aligned, z1 + times * across, z1)


LOGITS = domain(nonzero_logits, has_edge=True)

assignment = Assignment(
    title="Variational autoencoders",
    exercises=[
        exercise(vae.reparameterize, inputs={"logvar": real(edge=20)}, differentiable=True),
        exercise(
            vae.kl_to_standard_normal,
            inputs={"mu": real(edge=100), "logvar": real(edge=20)},
            differentiable=True,
        ),
        exercise(
            vae.bernoulli_log_likelihood, inputs={"logits": LOGITS, "x": binary()}, differentiable=["logits"]
        ),
        exercise(
            vae.gaussian_log_likelihood,
            inputs={"x": real(edge=100), "logvar": real(edge=20)},
            differentiable=True,
        ),
        exercise(
            vae.elbo,
            inputs={"x": binary(), "logits": LOGITS},
            differentiable=["logits", "mu", "logvar"],
            uses=["bernoulli_log_likelihood", "kl_to_standard_normal"],
        ),
        exercise(
            vae.vae_loss,
            inputs={"x": binary(), "logits": LOGITS, "beta": number(1.0, 4.0, 0.5, 0.0, low=0)},
            differentiable=["logits", "mu", "logvar"],
            uses=["bernoulli_log_likelihood", "kl_to_standard_normal", "elbo"],
        ),
        exercise(
            vae.VAE,
            inputs={"data": dimension("data"), "hidden": dimension("hidden"), "latent": dimension("latent")},
            methods={"forward": {"x": unit()}, "sample": {}},
            differentiable=["forward"],
            without={"batches": "one batch dimension is enough"},
            uses=["reparameterize"],
        ),
        exercise(
            vae.iwae_bound,
            inputs={"log_w": real(edge=(1e4, -1e4, 300.0, -300.0))},
            sizes={"samples": (1, 5)},
            differentiable=True,
        ),
        exercise(
            vae.vector_quantize,
            inputs={"z": domain(near_one_code), "codebook": domain(distinct_codes)},
            sizes={"codes": (1, 5)},
            differentiable=True,
        ),
        exercise(
            vae.interpolate_latents,
            inputs={
                "z0": domain(start),
                "z1": domain(end),
                "n": integer(2, 5),
                "spherical": choice(False, True),
            },
            sizes={"latent": (2, 4)},
        ),
        exercise(
            vae.conv_vae_tables,
            without={"published": "its only example is the whole answer"},
        ),
    ],
)
