"""Week 12: score matching, Langevin dynamics and stochastic differential equations."""

import math
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


def mixture_score(
    x: Float[Tensor, "*batch dim"],
    weights: Float[Tensor, "components"],
    means: Float[Tensor, "components dim"],
    stds: Float[Tensor, "components dim"],
) -> Float[Tensor, "*batch dim"]:
    """The score of the mixture p(x) = sum_k weights[k] N(x; means[k], diag(stds[k]^2)), per point.

    weights > 0 add up to 1, stds > 0 are standard deviations. Right also where every density underflows, far
    away from all means: nothing is divided by a p(x) that is rounded to 0. (The gradient of log p.)
    """
    require((weights >= 0).all(), f"weights must not be negative, got {weights.min()}")
    require((weights.sum() - 1).abs() < 1e-4, f"weights must add up to 1, not to {weights.sum()}")
    require((stds > 0).all(), f"stds must be positive, not {stds.min()}")
    away = (means - x[..., None, :]) / stds  # (..., components, dim)
    log_joint = weights.log() - (away.square() / 2 + stds.log()).sum(-1)  # without a constant common to all
    responsibilities = log_joint.softmax(-1)
    return (responsibilities[..., None] * away / stds).sum(-2)


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


def implicit_score_matching_loss(
    model: Callable[[Tensor], Tensor], x: Float[Tensor, "batch *event"]
) -> Float[Tensor, ""]:
    """The mean over the batch of tr(J) + ||s||^2 / 2, a scalar: s = model(x), J = ds/dx its Jacobian.

    x (batch, ...) has one or more event dimensions, which count as one vector: the trace is the sum of the
    derivatives of each entry of s by the same entry of x. `model(x)` gives a score of x's shape, each
    example's from that example alone. The trace is exact. The gradient reaches the model's parameters
    through both terms; of x none is asked. (Hyvärinen, 2005, theorem 1.)
    """
    x = x.detach().requires_grad_()
    score = model(x).flatten(1)
    trace = torch.zeros_like(score[:, 0])
    for i in range(score.shape[1]):
        (gradient,) = torch.autograd.grad(score[:, i].sum(), x, create_graph=True)
        trace = trace + gradient.flatten(1)[:, i]
    return (trace + score.square().sum(1) / 2).mean()


def sliced_score_matching_loss(
    model: Callable[[Tensor], Tensor], x: Float[Tensor, "batch *event"], v: Float[Tensor, "batch *event"]
) -> Float[Tensor, ""]:
    """The mean over the batch of v^T J v + (v^T s)^2 / 2, a scalar: s = model(x), J = ds/dx its Jacobian.

    One direction v for each example, already drawn (say from N(0, I)) and used as it is: not normalised. x
    and v (batch, ...) have one or more event dimensions, which count as one vector. `model(x)` gives a score
    of x's shape, each example's from that example alone. The gradient reaches the model's parameters through
    both terms; of x and v none is asked. (Song, Garg, Shi and Ermon, 2019.)
    """
    x = x.detach().requires_grad_()
    along = (v * model(x)).flatten(1).sum(1)  # v^T s
    (gradient,) = torch.autograd.grad(along.sum(), x, create_graph=True)  # J^T v
    curvature = (v * gradient).flatten(1).sum(1)
    return (curvature + along.square() / 2).mean()


def contrastive_divergence_loss(
    energy: Callable[[Tensor], Tensor],
    x_data: Float[Tensor, "n_data *event"],
    x_model: Float[Tensor, "n_model *event"],
) -> Float[Tensor, ""]:
    """The mean energy of the data minus the mean energy of the model's samples, a scalar.

    Its gradient with respect to the parameters of p(x) = exp(-energy(x)) / Z estimates that of the data's
    mean negative log-likelihood. `energy(x)` takes (B, ...) and gives (B,) energies. There may be more data
    than samples, or fewer. The samples are constants: no gradient reaches x_model; it reaches the parameters
    of `energy` through both terms. (Hinton, 2002.)
    """
    return energy(x_data).mean() - energy(x_model.detach()).mean()


def score_to_velocity(
    score: Float[Tensor, "batch *event"],
    x: Float[Tensor, "batch *event"],
    t: Float[Tensor, "batch"],
    schedule: str = "linear",
) -> Float[Tensor, "batch *event"]:
    """The marginal velocity u(x, t) of a Gaussian path from its score, for each example at its time.

    On the path x = alpha z + beta eps, with data z and noise eps, alpha and beta depend on t as `schedule`
    says: "linear" is alpha = t, beta = 1 - t; "cosine" is alpha = sin(pi t / 2), beta = cos(pi t / 2). With
    ' for the derivative by t,

        alpha u = alpha' x + beta (alpha' beta - alpha beta') score.

    0 < t <= 1: at t = 0 the score says nothing about the velocity. Any number of event dimensions.
    """
    require(((t > 0) & (t <= 1)).all(), f"t must lie in (0, 1], not reach from {t.min()} to {t.max()}")
    require(schedule in ("linear", "cosine"), f'schedule must be "linear" or "cosine", not {schedule!r}')
    t = t.reshape(t.shape + (1,) * (x.ndim - t.ndim))  # one time per example
    if schedule == "linear":
        alpha, beta, d_alpha, d_beta = t, 1 - t, torch.ones_like(t), -torch.ones_like(t)
    else:
        angle, rate = math.pi / 2 * t, math.pi / 2
        alpha, beta, d_alpha, d_beta = angle.sin(), angle.cos(), rate * angle.cos(), -rate * angle.sin()
    return (d_alpha * x + beta * (d_alpha * beta - alpha * d_beta) * score) / alpha


def velocity_to_score(
    u: Float[Tensor, "batch *event"],
    x: Float[Tensor, "batch *event"],
    t: Float[Tensor, "batch"],
    schedule: str = "linear",
) -> Float[Tensor, "batch *event"]:
    """The score of a Gaussian path from its marginal velocity u(x, t), for each example at its time.

    The inverse of `score_to_velocity`, on the same paths ("linear" or "cosine"):

        score = (alpha u - alpha' x) / (beta (alpha' beta - alpha beta')).

    0 <= t < 1: at t = 0 it is -x, the score of the noise; at t = 1 beta is 0. Any number of event dimensions.
    """
    require(((t >= 0) & (t < 1)).all(), f"t must lie in [0, 1), not reach from {t.min()} to {t.max()}")
    require(schedule in ("linear", "cosine"), f'schedule must be "linear" or "cosine", not {schedule!r}')
    t = t.reshape(t.shape + (1,) * (x.ndim - t.ndim))  # one time per example
    if schedule == "linear":
        alpha, beta, d_alpha, d_beta = t, 1 - t, torch.ones_like(t), -torch.ones_like(t)
    else:
        angle, rate = math.pi / 2 * t, math.pi / 2
        alpha, beta, d_alpha, d_beta = angle.sin(), angle.cos(), rate * angle.cos(), -rate * angle.sin()
    return (alpha * u - d_alpha * x) / (beta * (d_alpha * beta - alpha * d_beta))


def tweedie(
    x: Float[Tensor, "*batch dim"], score: Float[Tensor, "*batch dim"], alpha: float, beta: float
) -> Float[Tensor, "*batch dim"]:
    """The posterior mean E[z | x] of the clean z behind x = alpha z + beta eps: (x + beta^2 score) / alpha.

    eps is N(0, I) and independent of z, of whatever distribution; `score` is the score at x of the
    distribution of x. alpha > 0 and beta >= 0 are numbers, the same for all points. (Efron, 2011, equation
    1.4.)
    """
    require(alpha > 0, f"alpha must be positive, got {alpha}")
    require(beta >= 0, f"beta must not be negative, got {beta}")
    return (x + beta**2 * score) / alpha


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


def annealed_langevin(
    model: Callable[[Tensor, Tensor], Tensor],
    x: Float[Tensor, "batch *event"],
    sigmas: Float[Tensor, "levels"],
    eps: float,
    noises: Float[Tensor, "levels steps batch *event"],
) -> Float[Tensor, "batch *event"]:
    """The points x after annealed Langevin dynamics: `steps` Langevin steps at each noise level, in order.

    At level i each step is x + step score + sqrt(2 step) noise with score = model(x, sigma) at the present
    x, step = eps sigmas[i]^2 / (2 sigmas[-1]^2) and noise = noises[i, j]. sigmas > 0 go from the largest to
    the smallest; eps > 0 is twice the last level's step. `model(x, sigma)` takes x (batch, ...) and sigma as
    a (batch,) tensor and returns a score of x's shape. No gradient is asked. (Song and Ermon, 2019,
    algorithm 1, where alpha_i = 2 step.)
    """
    require((sigmas > 0).all(), f"sigmas must be positive, not {sigmas.min()}")
    require(eps > 0, f"eps must be positive, got {eps}")
    for sigma, noise_of_level in zip(sigmas, noises, strict=True):
        step = eps * sigma.square() / (2 * sigmas[-1].square())
        for noise in noise_of_level:
            x = x + step * model(x, sigma.expand(len(x))) + (2 * step).sqrt() * noise
    return x


def euler_maruyama(
    drift: Callable[[Tensor, Tensor], Tensor],
    diffusion: Callable[[Tensor], Tensor],
    x0: Float[Tensor, "batch *event"],
    ts: Float[Tensor, "steps+1"],
    noises: Float[Tensor, "steps batch *event"],
) -> Float[Tensor, "batch *event"]:
    """The points at time ts[-1] that began as x0 at ts[0] and followed dX = drift(X, t) dt + diffusion(t) dW.

    One step from each time to the next, with drift and diffusion at the step's beginning: with h = ts[k+1] -
    ts[k], x + h drift(x, ts[k]) + sqrt(|h|) diffusion(ts[k]) noises[k]. The times grow, or they fall, which
    runs the process backwards: then h < 0, and the noise is as large as for -h. They need not be equally
    spaced. `drift(x, t)` gives x's shape, `diffusion(t)` one number; t is one time for all points, the entry
    of ts (a tensor of no dimension). No gradient is asked. (Kloeden and Platen, 1992, section 9.1.)
    """
    require(len(ts) == len(noises) + 1, f"ts must hold one time more than noises steps, not {len(ts)}")
    x = x0
    for k, noise in enumerate(noises):
        h = ts[k + 1] - ts[k]
        x = x + h * drift(x, ts[k]) + h.abs().sqrt() * diffusion(ts[k]) * noise
    return x


def denoising_sde_step(
    x: Float[Tensor, "*batch dim"],
    u: Float[Tensor, "*batch dim"],
    score: Float[Tensor, "*batch dim"],
    sigma: float,
    dt: float,
    noise: Float[Tensor, "*batch dim"],
) -> Float[Tensor, "*batch dim"]:
    """One Euler-Maruyama step of dX = (u + sigma^2 / 2 score) dt + sigma dW, from noise towards data.

    `u` is the velocity and `score` the score of the path at x and the present time (values, no functions),
    sigma >= 0 the noise that is put in besides, dt >= 0 the time step, `noise` a draw from N(0, I). For any
    sigma the process has the same marginals; sigma = 0 is the flow's Euler step. (Albergo et al., 2023.)
    """
    require(sigma >= 0, f"sigma must not be negative, got {sigma}")
    require(dt >= 0, f"dt must not be negative, got {dt}")
    return x + dt * (u + sigma**2 / 2 * score) + sigma * math.sqrt(dt) * noise


def vp_sde(
    x: Float[Tensor, "batch *event"],
    t: Float[Tensor, "batch"],
    beta_min: float = 0.1,
    beta_max: float = 20.0,
) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch"]]:
    """(drift, diffusion) of the variance-preserving SDE dx = -b(t) x / 2 dt + sqrt(b(t)) dw.

    b(t) = beta_min + t (beta_max - beta_min), 0 < beta_min <= beta_max. Here t = 0 is the data and t = 1
    noise, a time in [0, 1] for each example. drift has the shape of x, diffusion that of t. (Song et al.,
    2021, appendix C.)
    """
    require(0 < beta_min <= beta_max, f"0 < beta_min <= beta_max must hold, not {beta_min}, {beta_max}")
    require(((t >= 0) & (t <= 1)).all(), f"t must lie in [0, 1], not reach from {t.min()} to {t.max()}")
    rate = beta_min + t * (beta_max - beta_min)
    return -rate.reshape(t.shape + (1,) * (x.ndim - t.ndim)) / 2 * x, rate.sqrt()


def vp_marginal(
    t: Float[Tensor, "*batch"], beta_min: float = 0.1, beta_max: float = 20.0
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """The law of x(t) given x(0) under the variance-preserving SDE, N(m x(0), s^2 I): (m, s), of t's shape.

    m is the factor of the mean, s the standard deviation (not the variance). t in [0, 1], t = 0 is the data;
    b(t) = beta_min + t (beta_max - beta_min), 0 < beta_min <= beta_max. (Song et al., 2021, appendix C.)
    """
    require(0 < beta_min <= beta_max, f"0 < beta_min <= beta_max must hold, not {beta_min}, {beta_max}")
    require(((t >= 0) & (t <= 1)).all(), f"t must lie in [0, 1], not reach from {t.min()} to {t.max()}")
    integral = t * beta_min + t.square() / 2 * (beta_max - beta_min)  # of b from 0 to t
    return torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))


def ve_sde(
    x: Float[Tensor, "batch *event"],
    t: Float[Tensor, "batch"],
    sigma_min: float = 0.01,
    sigma_max: float = 50.0,
) -> tuple[Float[Tensor, "batch *event"], Float[Tensor, "batch"]]:
    """(drift, diffusion) of the variance-exploding SDE dx = sqrt(d sigma_t^2 / dt) dw.

    sigma_t = sigma_min (sigma_max / sigma_min)^t, 0 < sigma_min < sigma_max. Here t = 0 is the data and t = 1
    noise, a time in [0, 1] for each example. drift, 0 everywhere, has the shape of x, diffusion that of t.
    (Song et al., 2021, appendix C.)
    """
    require(0 < sigma_min < sigma_max, f"0 < sigma_min < sigma_max must hold, not {sigma_min}, {sigma_max}")
    require(((t >= 0) & (t <= 1)).all(), f"t must lie in [0, 1], not reach from {t.min()} to {t.max()}")
    growth = math.log(sigma_max / sigma_min)
    return torch.zeros_like(x), sigma_min * torch.exp(growth * t) * math.sqrt(2 * growth)


def ve_marginal(
    t: Float[Tensor, "*batch"], sigma_min: float = 0.01, sigma_max: float = 50.0
) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch"]]:
    """The law of x(t) under the variance-exploding SDE, N(m z, s^2 I) for clean data z: (m, s), of t's shape.

    m, the factor of the mean, is 1; s = sigma_t = sigma_min (sigma_max / sigma_min)^t is the standard
    deviation: at t = 0 the data already have noise of sigma_min. t in [0, 1], 0 < sigma_min < sigma_max.
    (Song et al., 2021, appendix C.)
    """
    require(0 < sigma_min < sigma_max, f"0 < sigma_min < sigma_max must hold, not {sigma_min}, {sigma_max}")
    require(((t >= 0) & (t <= 1)).all(), f"t must lie in [0, 1], not reach from {t.min()} to {t.max()}")
    return torch.ones_like(t), sigma_min * (sigma_max / sigma_min) ** t


def reverse_sde_drift(
    drift: Float[Tensor, "batch *event"],
    diffusion: Float[Tensor, "batch"],
    score: Float[Tensor, "batch *event"],
) -> Float[Tensor, "batch *event"]:
    """The drift of the reverse-time SDE dx = (f - g^2 score) dt + g dw, in which t runs backwards, dt < 0.

    All three are values at the same points and times, no functions: `drift` f and `diffusion` g of the
    forward SDE dx = f dt + g dw (as `vp_sde` gives them), a g >= 0 for each example, and the `score` of its
    marginal. (Anderson, 1982; Song et al., 2021, equation 6.)
    """
    g = diffusion.reshape(diffusion.shape + (1,) * (score.ndim - diffusion.ndim))
    return drift - g.square() * score


def probability_flow_drift(
    drift: Float[Tensor, "batch *event"],
    diffusion: Float[Tensor, "batch"],
    score: Float[Tensor, "batch *event"],
) -> Float[Tensor, "batch *event"]:
    """The velocity dx/dt = f - g^2 score / 2 of the ODE with the marginals of the SDE dx = f dt + g dw.

    All three are values at the same points and times, no functions: `drift` f and `diffusion` g of the
    forward SDE (as `vp_sde` gives them), a g >= 0 for each example, and the `score` of its marginal. It can
    be followed in both directions of time. (Song et al., 2021, equation 13.)
    """
    g = diffusion.reshape(diffusion.shape + (1,) * (score.ndim - diffusion.ndim))
    return drift - g.square() / 2 * score


def fokker_planck_residual(
    p: Callable[[Tensor, Tensor], Tensor],
    u: Callable[[Tensor, Tensor], Tensor],
    sigma: float,
    x: Float[Tensor, "n"],
    t: Float[Tensor, "n"],
) -> Float[Tensor, "n"]:
    """dp/dt + d(p u)/dx - sigma^2 / 2 d^2p/dx^2 at the n points (x[i], t[i]), one number each, by autograd.

    Zero everywhere if and only if p(x, t) evolves as the density of dX = u(X, t) dt + sigma dW, on the line.
    `p(x, t)` and `u(x, t)` take and give (n,) tensors, point by point, and p is computed from both x and t;
    sigma >= 0 is a number. No gradient of the result is asked for. (Risken, 1996, chapter 4, with the
    diffusion coefficient sigma^2 / 2.)
    """
    require(sigma >= 0, f"sigma must not be negative, got {sigma}")
    x, t = x.detach().requires_grad_(), t.detach().requires_grad_()
    density = p(x, t)
    dp_dx, dp_dt = torch.autograd.grad(density.sum(), (x, t), create_graph=True)
    flux = density * u(x, t) - sigma**2 / 2 * dp_dx
    (divergence,) = torch.autograd.grad(flux.sum(), x)
    return dp_dt + divergence


def edm_preconditioning(
    sigma: Float[Tensor, "*batch"], sigma_data: float = 0.5
) -> tuple[
    Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"], Float[Tensor, "*batch"]
]:
    """The coefficients (c_skip, c_out, c_in, c_noise) of a preconditioned denoiser, each of sigma's shape:

        D(x, sigma) = c_skip x + c_out F(c_in x, c_noise),

    for x = z + sigma eps with data z of standard deviation sigma_data > 0, sigma > 0. c_in gives the network
    F an input, and c_out a target, of variance 1; c_skip makes c_out as small as it gets; c_noise is
    log(sigma) / 4. (Karras et al., 2022, table 1.)
    """
    require((sigma > 0).all(), f"sigma must be positive, not {sigma.min()}")
    require(sigma_data > 0, f"sigma_data must be positive, got {sigma_data}")
    variance = sigma.square() + sigma_data**2  # of x
    return sigma_data**2 / variance, sigma * sigma_data / variance.sqrt(), variance.rsqrt(), sigma.log() / 4


def edm_sigmas(
    n: int,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "n"]:
    """n >= 2 noise levels from sigma_max down to sigma_min, both included, with evenly spaced rho-th roots.

    The final 0 that samplers append is not among them. 0 < sigma_min < sigma_max, rho > 0. Computed in
    float64 and returned in `dtype`. (Karras et al., 2022, equation 5.)
    """
    require(n >= 2, f"n must be at least 2, both ends included, not {n}")
    require(0 < sigma_min < sigma_max, f"0 < sigma_min < sigma_max must hold, not {sigma_min}, {sigma_max}")
    require(rho > 0, f"rho must be positive, got {rho}")
    first, last = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (torch.linspace(first, last, n, dtype=torch.float64) ** rho).to(dtype)
