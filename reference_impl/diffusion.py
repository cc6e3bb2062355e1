"""Week 11: denoising diffusion (Ho et al., 2020; Song et al., 2021)."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from reference_impl._require import are_shares, are_steps, require


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


def cosine_alpha_bars(T: int, s: float = 0.008, dtype: torch.dtype = torch.float32) -> Float[Tensor, "steps"]:
    """The alpha_bars of the cosine schedule: alpha_bar_t = (1 - beta_0) ... (1 - beta_t), where

        beta_t = min(0.999, 1 - f((t + 1) / T) / f(t / T)),   f(u) = cos^2(pi / 2 (u + s) / (1 + s)).

    (T,), computed in float64, returned in `dtype`. T >= 1 and s >= 0. What is returned are the alpha_bars;
    alpha_bar_0 has beta_0 in it, so it is not 1. (Nichol and Dhariwal, 2021, section 3.2.)
    """
    require(T >= 1, f"T must be at least 1, not {T}")
    require(s >= 0, f"s must not be negative, got {s}")
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos(math.pi / 2 * (u + s) / (1 + s)).square()
    betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return alpha_bars(betas).to(dtype)


def q_sample(
    x0: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *event"]:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps, a draw from q(x_t | x_0) given eps ~ N(0, I).

    x0 and eps are (B, ...) with one or more dimensions after the first. Every example has a step of its
    own: t is (B,), int64, from 0 to T - 1. `alpha_bars` is (T,), here the numbers themselves, not the
    function of this name, with entries in (0, 1]. The gradient reaches x0. (Ho et al., 2020, equation 4.)
    """
    require(are_steps(t, alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(are_shares(alpha_bars), f"alpha_bars must lie in (0, 1], not be {alpha_bars.tolist()}")
    alpha_bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    return torch.sqrt(alpha_bar) * x0 + torch.sqrt(1 - alpha_bar) * eps


def noise_prediction_loss(
    model: Callable[[Tensor, Tensor], Tensor],
    x0: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, ""]:
    """The loss of a denoiser: the mean over all elements of (model(x_t, t) - eps)^2, a scalar.

    x_t is x0 (B, ...), noised with eps (B, ...) at the steps t (B,), int64, each example at its own:
    x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps. `model(x, t)` takes x_t (B, ...) and the same t
    (B,) and returns a prediction of eps. The mean is over the batch and over all other dimensions alike,
    without a weight. `alpha_bars` is (T,) with entries in (0, 1]. The gradient reaches the model's
    parameters. (Ho et al., 2020, equation 14.)
    """
    x_t = q_sample(x0, t, eps, alpha_bars)
    return (model(x_t, t) - eps).square().mean()


def predict_x0(
    x_t: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *event"]:
    """The x0 that became x_t by the noise eps: x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.

    x_t and eps are (B, ...), t is (B,), int64, a step for each example. `alpha_bars` is (T,) with entries in
    (0, 1]. Nothing is clipped. No gradient is asked for. (Ho et al., 2020, equation 15.)
    """
    require(are_steps(t, alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(are_shares(alpha_bars), f"alpha_bars must lie in (0, 1], not be {alpha_bars.tolist()}")
    alpha_bar = alpha_bars[t].reshape(-1, *[1] * (x_t.ndim - 1))
    return (x_t - torch.sqrt(1 - alpha_bar) * eps) / torch.sqrt(alpha_bar)


def predict_eps(
    x_t: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    x0: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *event"]:
    """The noise eps by which x0 became x_t: x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.

    x_t and x0 are (B, ...), t is (B,), int64, a step for each example. `alpha_bars` is (T,) with entries in
    (0, 1). No gradient is asked for. (Ho et al., 2020, equation 4, solved for eps.)
    """
    require(are_steps(t, alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(are_shares(alpha_bars, below=1), f"alpha_bars must lie in (0, 1), not be {alpha_bars.tolist()}")
    alpha_bar = alpha_bars[t].reshape(-1, *[1] * (x_t.ndim - 1))
    return (x_t - torch.sqrt(alpha_bar) * x0) / torch.sqrt(1 - alpha_bar)


def velocity(
    x0: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *event"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch *event"]:
    """The target of v-prediction: v = sqrt(alpha_bar_t) eps - sqrt(1 - alpha_bar_t) x0.

    x0 and eps are (B, ...), t is (B,), int64, a step for each example. `alpha_bars` is (T,) with entries in
    (0, 1]. A target: no gradient is asked for. (Salimans and Ho, 2022, section 4.)
    """
    require(are_steps(t, alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(are_shares(alpha_bars), f"alpha_bars must lie in (0, 1], not be {alpha_bars.tolist()}")
    alpha_bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    return torch.sqrt(alpha_bar) * eps - torch.sqrt(1 - alpha_bar) * x0


def score_from_eps(
    eps: Float[Tensor, "batch *event"], t: Int64[Tensor, "batch"], alpha_bars: Float[Tensor, "steps"]
) -> Float[Tensor, "batch *event"]:
    """The score at x_t, where eps is the noise in it: -eps / sqrt(1 - alpha_bar_t).

    It is the gradient of log q(x_t | x0) with respect to x_t and, where eps is the best prediction of the
    noise, that of log q(x_t). eps is (B, ...), t is (B,), int64, a step for each example. `alpha_bars` is
    (T,) with entries in (0, 1). No gradient is asked for. (Vincent, 2011; Song et al., 2021, Score-Based
    Generative Modeling through Stochastic Differential Equations.)
    """
    require(are_steps(t, alpha_bars), f"t must lie in 0 ... {len(alpha_bars) - 1}, not be {t}")
    require(are_shares(alpha_bars, below=1), f"alpha_bars must lie in (0, 1), not be {alpha_bars.tolist()}")
    return -eps / torch.sqrt(1 - alpha_bars[t]).reshape(-1, *[1] * (eps.ndim - 1))


def posterior_mean_variance(
    x0: Float[Tensor, "batch *event"],
    x_t: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    betas: Float[Tensor, "steps"],
) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch *ones"]]:
    """(mean, variance) of the Gaussian q(x_{t-1} | x_t, x_0), where x_{t-1} is the data x0 itself for t = 0.

    With b = alpha_bar_{t-1}, which is 1 for t = 0, and alpha_bar_t = (1 - beta_t) b,

        mean = (sqrt(b) beta_t x0 + sqrt(1 - beta_t) (1 - b) x_t) / (1 - alpha_bar_t),
        variance = beta_t (1 - b) / (1 - alpha_bar_t).

    x0, x_t and the mean are (B, ...), t is (B,), int64, a step for each example, from 0 to T - 1. The
    variance is one number for each example, in the shape (B, 1, ..., 1) with as many dimensions as x_t: it
    broadcasts. At t = 0 the mean is x0 and the variance 0. `betas` is (T,) with entries in (0, 1). No
    gradient is asked for. (Ho et al., 2020, equations 6 and 7.)
    """
    require(are_steps(t, betas), f"t must lie in 0 ... {len(betas) - 1}, not be {t}")
    bars = alpha_bars(betas)
    before = torch.cat([torch.ones_like(bars[:1]), bars])  # alpha_bar_{t-1} at index t
    beta, b = (v[t].reshape(-1, *[1] * (x0.ndim - 1)) for v in (betas, before))
    noise = 1 - b + b * beta  # 1 - alpha_bar_t, at t = 0 without rounding
    mean = (torch.sqrt(b) * beta * x0 + torch.sqrt(1 - beta) * (1 - b) * x_t) / noise
    return mean, beta * (1 - b) / noise


def ddpm_step(
    x_t: Float[Tensor, "batch *event"],
    t: int,
    eps: Float[Tensor, "batch *event"],
    betas: Float[Tensor, "steps"],
    noise: Float[Tensor, "batch *event"],
) -> Float[Tensor, "batch *event"]:
    """One step of DDPM back from step t: a draw from q(x_{t-1} | x_t, x0) at the x0 that eps predicts,

        (x_t - beta_t / sqrt(1 - alpha_bar_t) eps) / sqrt(1 - beta_t) + sigma_t noise,

    where sigma_t^2 = beta_t (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t), the posterior's variance, not beta_t.
    At t = 0 it is 0: no noise is added, and the result is the predicted x0.

    x_t, the predicted noise `eps` and the fresh `noise` ~ N(0, I) are (B, ...). t is a Python integer for the
    whole batch, from 0 to T - 1. `betas` is (T,) with entries in (0, 1). Nothing is clipped. No gradient is
    asked for. (Ho et al., 2020, equations 7 and 11, and algorithm 2.)
    """
    require(0 <= t < len(betas), f"t must lie in 0 ... {len(betas) - 1}, not be {t}")
    steps = torch.full(x_t.shape[:1], t, device=x_t.device)
    x0 = predict_x0(x_t, steps, eps, alpha_bars(betas))
    mean, variance = posterior_mean_variance(x0, x_t, steps, betas)
    return mean + torch.sqrt(variance) * noise if t > 0 else mean


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
    require(are_shares(alpha_bars, below=1), f"alpha_bars must lie in (0, 1), not be {alpha_bars.tolist()}")
    a = alpha_bars[t]
    b = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    x0 = predict_x0(x_t, torch.full(x_t.shape[:1], t, device=x_t.device), eps, alpha_bars)
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
    return b**0.5 * x0 + (1 - b - sigma**2) ** 0.5 * eps + sigma * noise


def ddim_timesteps(T: int, n: int) -> list[int]:
    """The n steps of a short DDIM sampler, out of T: (T // n) i for i = n - 1, ..., 1, 0, falling to 0.

    A list of n Python integers, 1 <= n <= T; // is division without remainder. The step to take after the
    last one, t_prev = -1, is not in it. (Song et al., 2021, appendix D.2.)
    """
    require(1 <= n <= T, f"n must lie in 1 ... T = {T}, not be {n}")
    return [T // n * i for i in reversed(range(n))]


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
    x = x_T
    for t in reversed(range(len(betas))):
        eps = model(x, torch.full(x.shape[:1], t, device=x.device))
        x = ddpm_step(x, t, eps, betas, noises[t])
    return x


def guided_noise(
    eps_uncond: Float[Tensor, "*shape"], eps_cond: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """Classifier-free guidance: (1 - w) eps_uncond + w eps_cond, element by element.

    w is a Python number: 0 ignores the condition, 1 is the conditional prediction, and above 1 goes beyond
    it, away from the unconditional one. (The paper's weight is less by one: there 0 is the conditional one.)
    Both predictions have the same shape, any. No gradient is asked for. (Ho and Salimans, 2022, equation 6.)
    """
    require(
        eps_uncond.shape == eps_cond.shape,
        f"eps_cond must have the shape {tuple(eps_uncond.shape)} of eps_uncond, not {tuple(eps_cond.shape)}",
    )
    return (1 - w) * eps_uncond + w * eps_cond


def latent_diffusion_loss(
    encode: Callable[[Tensor], Tensor],
    scale: float,
    model: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "batch *event"],
    t: Int64[Tensor, "batch"],
    eps: Float[Tensor, "batch *latent"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, ""]:
    """The noise-prediction loss in the latent space of an autoencoder: a mean over all elements, a scalar.

    The data is z0 = scale encode(x): `encode` takes x (B, ...) to latents (B, ...) of another shape, and
    `scale` > 0, a Python number, brings them to about unit variance. They are noised with eps, which has the
    latents' shape, at the steps t (B,), int64; `model(z_t, t)` predicts eps, and the loss is the mean of
    (model(z_t, t) - eps)^2. `alpha_bars` is (T,) with entries in (0, 1]. The gradient reaches the model's
    parameters; the autoencoder was trained before, and whether any gradient reaches it is left free.
    (Rombach et al., 2022, equation 2 and appendix G.)
    """
    require(scale > 0, f"scale must be positive, got {scale}")
    return noise_prediction_loss(model, scale * encode(x), t, eps, alpha_bars)


def cascade_condition(
    low: Float[Tensor, "batch channels height width"],
    factor: int,
    eps: Float[Tensor, "batch channels factor*height factor*width"],
    t: Int64[Tensor, "batch"],
    alpha_bars: Float[Tensor, "steps"],
) -> Float[Tensor, "batch channels factor*height factor*width"]:
    """What the second model of a cascade is shown: the small image, enlarged and then noised.

    `low` (B, C, H, W) is enlarged to (B, C, factor H, factor W) by nearest neighbours, each pixel becoming a
    block of factor x factor equal ones. The result, as x0, is noised with eps, of the large shape, at the
    steps t (B,), int64, each example at its own: sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps.
    `alpha_bars` is (T,) with entries in (0, 1]; factor >= 1. No gradient is asked for. (Conditioning
    augmentation, Ho et al., 2022, Cascaded Diffusion Models.)
    """
    require(factor >= 1, f"factor must be at least 1, not {factor}")
    large = low.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
    require(eps.shape == large.shape, f"eps must have shape {tuple(large.shape)}, not {tuple(eps.shape)}")
    return q_sample(large, t, eps, alpha_bars)


def action_chunk_denoise(
    model: Callable[[Tensor, Tensor], Tensor],
    noise: Float[Tensor, "batch horizon dim"],
    betas: Float[Tensor, "steps"],
    noises: Float[Tensor, "steps batch horizon dim"],
    execute: int,
) -> Float[Tensor, "batch execute dim"]:
    """A plan of `horizon` actions is sampled whole by diffusion; its first `execute` actions are returned.

    From `noise` (B, horizon, D), DDPM as in `sample`: model(x, t) sees all actions of the plan at once, with
    t a (B,) tensor, and is called once per step, t = T - 1, ..., 0; `noises` (T, B, horizon, D) is indexed by
    t, and noises[0] goes unused. The result is (B, execute, D), 1 <= execute <= horizon. `betas` is (T,) with
    entries in (0, 1). No gradient is asked for. (Chi et al., 2023, Diffusion Policy.)
    """
    require(1 <= execute <= noise.shape[1], f"execute must lie in 1 ... {noise.shape[1]}, not be {execute}")
    return sample(model, noise, betas, noises)[:, :execute]
