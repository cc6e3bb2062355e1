"""Week 7: variational autoencoders."""

from torch import Tensor

from autograder.author import Assignment, Drawing, binary, dimension, domain, exercise, number, real, unit
from reference_impl import vae


def nonzero_logits(d: Drawing) -> Tensor:
    """Logits other than 0, where the right max(l, 0) - x l + log(1 + e^-|l|) has a kink for autograd."""
    logits = real(edge=(1e4, -1e4, 6.0, -6.0)).draw(d)
    return logits.masked_fill(logits == 0, 0.75)


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
    ],
)
