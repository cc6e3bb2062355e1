"""Week 11: denoising diffusion (Ho et al., 2020; Song et al., 2021)."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from reference_impl._require import require


def linear_betas(
    T: int, first: float = 1e-4, last: float = 0.02, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "steps"]:
    """The noise variances beta_0, ..., beta_{T-1}, equally spaced from `first` to `last`, both included.

    (T,), computed in float64, returned in `dtype`. `first` and `last` lie in (0, 1); T >= 1, and T = 1 gives
    [first]. (Ho et al., 2020, section 4.)
    """
    require(T >= 1, f"T must be at least 1, not {T}")
    require(0 < first < 1, f"first must lie in (0, 1), not be {first}")
    require(0 < last < 1, f"last must lie in (0, 1), not be {last}")
    return torch.linspace(first, last, T, dtype=torch.float64).to(dtype)


def alpha_bars(betas: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """alpha_bar_t = (1 - beta_0) (1 - beta_1) ... (1 - beta_t), the share of the data's variance left at t.

    `betas` is (T,) with entries in (0, 1), and so is the result. (Ho et al., 2020, section 2.)
    """
    require(((betas > 0) & (betas < 1)).all(), f"betas must lie in (0, 1), not be {betas.tolist()}")
    return torch.cumprod(1 - betas, 0)


def q_sample(
    x0: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *event"]:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, a draw from q(x_t | x_0) given eps ~ N(0, I).

    x0 and eps are (B, ...) with one or more dimensions after the first. Every example has a step of its
    own: t is (B,), int64, from 0 to T - 1. `alpha_bars` is (T,), here the numbers themselves, not the
    function of this name. The gradient reaches x0. (Ho et al., 2020, equation 4.)
    """
    require(
        ((t >= 0) & (t < len(alpha_bars))).all(), f"t must lie in 0 ... {len(alpha_bars) - 1}: {t.tolist()}"
    )
    require(
        ((alpha_bars > 0) & (alpha_bars <= 1)).all(),
        f"alpha_bars must lie in (0, 1], not be {alpha_bars.tolist()}",
    )
    alpha_bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    return torch.sqrt(alpha_bar) * x0 + torch.sqrt(1 - alpha_bar) * eps


def ddim_step(
    x_t: Float[Tensor, "batch *event"],
    t: int,
    t_prev: int,
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
    eta: float,
    noise: Float[Tensor, "batch *event"],
) -> Float[Tensor, "batch *event"]:
    """One step of DDIM from step t to an earlier one, t_prev, which need not be t - 1.

    With a = alpha_bar_t and b = alpha_bar_{t_prev} the result is

        sqrt(b) x0 + sqrt(1 - b - sigma^2) eps + sigma noise,

    where x0 = (x_t - sqrt(1 - a) eps) / sqrt(a) and sigma = eta sqrt((1 - b) / (1 - a)) sqrt(1 - a / b).

    x_t, the predicted noise `eps` and the fresh `noise` ~ N(0, I) are (B, ...). t and t_prev are Python
    integers for the whole batch, -1 <= t_prev < t < T; t_prev = -1 is the data, where alpha_bar is 1.
    `alpha_bars` is (T,) with entries in (0, 1). eta lies in [0, 1]: 0 is deterministic, and 1 with
    t_prev = t - 1 is the step of DDPM. No gradient is asked for. (Song et al., 2021, equations 12 and 16.)
    """
    require(0 <= t < len(alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(-1 <= t_prev < t, f"t_prev must lie in -1 ... {t - 1}, not be {t_prev}")
    require(0 <= eta <= 1, f"eta must lie in [0, 1], not be {eta}")
    require(
        ((alpha_bars > 0) & (alpha_bars < 1)).all(),
        f"alpha_bars must lie in (0, 1), not be {alpha_bars.tolist()}",
    )
    a = alpha_bars[t]
    b = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    x0 = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
    return b**0.5 * x0 + (1 - b - sigma**2) ** 0.5 * eps + sigma * noise


def sample(
    model: Callable[[Tensor, Tensor], Tensor],
    x_T: Float[Tensor, "batch *event"],
    betas: Float[Tensor, "steps"],
    noises: Float[Tensor, "steps batch *event"],
) -> Float[Tensor, "batch *event"]:
    """DDPM's ancestral sampling: from the noise x_T through t = T - 1, ..., 0 to a sample of the data.

    model(x, t) predicts the noise in x; it is called once per step, with t a (B,) tensor that holds the step
    (int64, as in training; floating is accepted). With alpha_t = 1 - beta_t a step takes x to

        (x - beta_t / sqrt(1 - alpha_bar_t) model(x, t)) / sqrt(alpha_t) + sigma_t noises[t],

    where sigma_t^2 = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), the variance of q(x_{t-1} | x_t, x_0).
    At t = 0 it is zero: no noise is added, and noises[0] goes unused. x_T is (B, ...), `betas` (T,) with
    entries in (0, 1), `noises` (T, B, ...). No gradient is asked for. (Ho et al., 2020, algorithm 2.)
    """
    require(
        noises.shape == betas.shape + x_T.shape,
        f"noises must have shape {tuple(betas.shape + x_T.shape)}, not {tuple(noises.shape)}",
    )
    alpha_bar = alpha_bars(betas)
    x = x_T
    for t in reversed(range(len(betas))):
        eps = model(x, torch.full(x.shape[:1], t, device=x.device))
        x = (x - betas[t] / torch.sqrt(1 - alpha_bar[t]) * eps) / torch.sqrt(1 - betas[t])
        if t > 0:
            variance = betas[t] * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
            x = x + torch.sqrt(variance) * noises[t]
    return x
