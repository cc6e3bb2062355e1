"""Week 12: score matching and Langevin dynamics (Vincent, 2011; Song and Ermon, 2019)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from reference_impl._require import require


def gaussian_score(
    x: Float[Tensor, "*batch dim"], mean: Float[Tensor, "*batch dim"], std: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """The score of N(mean, diag(std^2)) at x: the gradient of its log-density with respect to x, per point.

    Its unit is 1 / that of x; nothing is summed. std > 0 is the standard deviation. `mean` and `std` have the
    shape of x or are one vector (dim,) for all points: they broadcast. (Song and Ermon, 2019, section 2.)
    """
    require((std > 0).all(), f"std must be positive, not {std.min()}")
    return (mean - x) / std.square()


def denoising_score_matching_loss(
    model: Callable[[Tensor, Tensor], Tensor],
    z: Float[Tensor, "batch *event"],
    eps: Float[Tensor, "batch *event"],
    t: Float[Tensor, "batch"],
    weighting: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, ""]:
    """The mean over the batch of weighting(t) ||model(x, t) + eps / beta||^2, a scalar, on the linear path.

    x = alpha z + beta eps with alpha = t and beta = 1 - t: data z at t = 1, noise eps at t = 0, a time
    0 <= t < 1 for each example. The squared norm is summed over all event dimensions (z has one or more).
    `model(x, t)` takes x (batch, ...) and t (batch,) and returns a score of x's shape. `weighting(t)` takes
    and returns (batch,) tensors; None means 1 everywhere. The gradient reaches the model's parameters; z and
    eps are data, from which none is asked. (Vincent, 2011; weighted as in Song et al., 2021, equation 7.)
    """
    require(((t >= 0) & (t < 1)).all(), f"t must lie in [0, 1), not reach from {t.min()} to {t.max()}")
    column = (-1, *[1] * (z.ndim - 1))  # one time per example
    alpha, beta = t.reshape(column), (1 - t).reshape(column)
    x = alpha * z + beta * eps
    error = (model(x, t) + eps / beta).square().flatten(1).sum(1)
    weights = torch.ones_like(t) if weighting is None else weighting(t)
    return (weights * error).mean()


def langevin_step(
    x: Float[Tensor, "*batch dim"],
    score: Float[Tensor, "*batch dim"],
    step: float,
    noise: Float[Tensor, "*batch dim"],
) -> Float[Tensor, "*batch dim"]:
    """One step of unadjusted Langevin dynamics: x + step score + sqrt(2 step) noise.

    `score` is the score at x (values, no function), `step` >= 0 the step size, `noise` a draw from N(0, I).
    (Euler-Maruyama for dX = score dt + sqrt(2) dW; Welling and Teh, 2011, with eps = 2 step.)
    """
    require(step >= 0, f"step must not be negative, got {step}")
    return x + step * score + (2 * step) ** 0.5 * noise
