"""Week 12: the checks that only the instructor has; the battery comes on top."""

import math

import torch

from autograder.author import above, at_least, check, close, number, real
from autograder.probes import Probe


@check("gaussian_score", examples=12, unit=number(2.0, 0.5, 4.0, low=0.1))
def has_the_unit_of_an_inverse_length(gaussian_score, x, mean, std, unit):
    """In a smaller unit of length, x, mean and std are larger numbers, and the score is smaller as much."""
    close(gaussian_score(unit * x, unit * mean, unit * std), gaussian_score(x, mean, std) / unit)


@check("denoising_score_matching_loss", examples=12)
def weighted_by_beta_squared_it_is_noise_prediction(denoising_score_matching_loss, model, z, eps, t):
    """With weights beta^2 it is the squared error of the noise that the score stands for, -beta score."""
    beta = (1 - t).reshape(-1, *[1] * (z.ndim - 1))
    score = model.build()((1 - beta) * z + beta * eps, t)
    error = (eps - (-beta * score)).square().sum() / len(z)
    close(denoising_score_matching_loss(model, z, eps, t, Probe("Power", {"p": 2.0})), error)


@check("denoising_score_matching_loss", examples=12)
def counts_every_example_once_without_weighting(denoising_score_matching_loss, model, z, eps, t):
    """No weighting means weights of 1, and a batch shown twice has the loss of the batch."""
    loss = denoising_score_matching_loss(model, z, eps, t, None)
    close(denoising_score_matching_loss(model, z, eps, t, Probe("Power", {"p": 0.0})), loss)
    twice = [torch.cat([v, v]) for v in (z, eps, t)]
    close(denoising_score_matching_loss(model, *twice, None), loss)


@check("langevin_step", examples=12)
def adds_drift_and_diffusion(langevin_step, x, score, step, noise):
    """Opposite noises lead to points around x + step * score, 2 sqrt(2 step) |noise| apart."""
    up, down = langevin_step(x, score, step, noise), langevin_step(x, score, step, -noise)
    close((up + down) / 2, x + step * score)
    close((up - down).square(), 8 * step * noise.square())


@check("mixture_score", examples=4)
def is_exact_far_away(mixture_score, x):
    """At 60 both densities underflow, N(0, 1) and N(0, 3^2); the wider one is likelier by e^1600."""
    one = torch.ones_like(x[0, :1])
    weights, means = torch.stack([one[0], one[0]]) / 2, torch.stack([0 * one, 0 * one])
    close(mixture_score(60 * one, weights, means, torch.stack([one, 3 * one])), -60 / 9 * one)


@check("mixture_score", examples=8)
def is_the_same_in_any_order(mixture_score, x, weights, means, stds):
    """The order of the components makes no difference, nor does one that is split into two halves."""
    score = mixture_score(x, weights, means, stds)
    close(mixture_score(x, weights.flip(0), means.flip(0), stds.flip(0)), score)
    close(mixture_score(x, *(torch.cat([v, v]) for v in (weights / 2, means, stds))), score)


@check("implicit_score_matching_loss", examples=8)
def sees_an_image_as_one_vector(implicit_score_matching_loss, model, x):
    """All event dimensions count as one vector: written in a row, the same entries have the same loss."""
    close(implicit_score_matching_loss(model, x), implicit_score_matching_loss(model, x.flatten(1)))


@check("implicit_score_matching_loss", examples=8)
def is_lowest_at_the_right_slope(implicit_score_matching_loss, x):
    """Of the fields -c w x, the best has c = sum w / sum (w x)^2: on both sides of it the loss grows."""
    w = 1 + torch.arange(x[0].numel(), dtype=x.dtype) / 4
    x = (x + 1.5 * x.abs().amax() + 0.5)[:1]
    best = float(w.sum() / (w * x.flatten(1)).square().sum())
    losses = [
        implicit_score_matching_loss(Probe("VectorField", {"a": 0.0, "b": -c * best, "c": 0.0}), x)
        for c in (0.5, 1.0, 1.5)
    ]
    above(losses[0], losses[1])
    close(losses[0], losses[2])


@check("sliced_score_matching_loss", examples=8)
def adds_up_over_the_axes(sliced_score_matching_loss, x):
    """Along each axis once, the terms add up to the trace and half the squared norm: nothing is lost."""
    w = 1 + torch.arange(x[0].numel(), dtype=x.dtype) / 4
    field = Probe("VectorField", {"a": 0.0, "b": -1.0, "c": 0.0})
    axes = torch.eye(len(w), dtype=x.dtype).reshape(-1, 1, *x.shape[1:])
    total = sum(sliced_score_matching_loss(field, x, axis.expand_as(x)) for axis in axes)
    close(total, (w * x.flatten(1)).square().sum() / (2 * len(x)) - w.sum())


@check("sliced_score_matching_loss", examples=8)
def gives_every_example_its_own_direction(sliced_score_matching_loss, model, x, v):
    """The loss of a batch is the mean of the losses of its examples, each along its own v."""
    alone = [sliced_score_matching_loss(model, x[i : i + 1], v[i : i + 1]) for i in range(len(x))]
    close(sliced_score_matching_loss(model, x, v), sum(alone) / len(alone))


@check("contrastive_divergence_loss", examples=8)
def does_not_see_how_many_there_are(contrastive_divergence_loss, energy, x_data, x_model):
    """Both terms are means: data shown twice, or samples three times, leave the loss as it is."""
    loss = contrastive_divergence_loss(energy, x_data, x_model)
    close(contrastive_divergence_loss(energy, torch.cat([x_data] * 2), x_model), loss)
    close(contrastive_divergence_loss(energy, x_data, torch.cat([x_model] * 3)), loss)


@check("tweedie", examples=8, z=real(dims="*batch dim"), eps=real(dims="*batch dim"))
def finds_a_single_point(tweedie, z, eps, alpha, beta):
    """All data at z: the score -eps / beta leads back from alpha z + beta eps to z."""
    beta = beta + 0.25
    close(tweedie(alpha * z + beta * eps, -eps / beta, alpha, beta), z)


@check("score_to_velocity", examples=8, z=real(dims="batch *event"), eps=real(dims="batch *event"))
def follows_the_quarter_circle(score_to_velocity, z, eps, t):
    """All data at z on the cosine path: u = pi / 2 (cos z - sin eps), a velocity along the circle."""
    t = 0.9 * t
    angle = math.pi / 2 * t.reshape(-1, *[1] * (z.ndim - 1))
    sin, cos = angle.sin(), angle.cos()
    u = score_to_velocity(-eps / cos, sin * z + cos * eps, t, "cosine")
    close(u, math.pi / 2 * (cos * z - sin * eps))


@check("score_to_velocity", examples=8)
def is_alpha_over_alpha_at_the_data(score_to_velocity, score, x, t):
    """At t = 1 beta is 0 and the score takes no part: u = x on the linear path."""
    close(score_to_velocity(score, x, 0 * t + 1, "linear"), x)


@check("velocity_to_score", examples=8, z=real(dims="batch *event"), eps=real(dims="batch *event"))
def leaves_the_quarter_circle(velocity_to_score, z, eps, t):
    """All data at z on the cosine path: from u = pi / 2 (cos z - sin eps) the score is -eps / cos."""
    angle = math.pi / 2 * t.reshape(-1, *[1] * (z.ndim - 1))
    sin, cos = angle.sin(), angle.cos()
    u = math.pi / 2 * (cos * z - sin * eps)
    close(velocity_to_score(u, sin * z + cos * eps, t, "cosine"), -eps / cos)


@check("annealed_langevin", examples=8)
def spreads_as_its_steps_say(annealed_langevin, model, x, sigmas, eps, noises):
    """In a first step at level i, opposite noises lead 2 sqrt(eps) sigma_i / sigma_L |noise| apart."""
    sigmas, noise = torch.stack([sigmas[0] + sigmas[-1], sigmas[-1]]), noises[0, 0]
    stay = torch.zeros_like(noise).expand(2, 1, *noise.shape)
    model = Probe("TimeModel", {"a": 0.0, "b": 0.5, "c": 0.5})  # with the slope sigma / 4
    ends = [
        annealed_langevin(model, x, sigmas, eps, torch.cat([sign * noise[None, None], stay[1:]]))
        for sign in (1, -1)
    ]
    ratio = sigmas[0] / sigmas[1]
    growth = 1 + eps / 2 * sigmas[1] / 4  # of a difference, in the second step
    close((ends[0] - ends[1]).square(), 4 * eps * ratio.square() * growth.square() * noise.square())


@check("euler_maruyama", examples=8)
def runs_backwards_too(euler_maruyama, drift, diffusion, x0, ts, noises):
    """Over times that fall, h is negative and the noise real: sqrt(|h|)."""
    ends = torch.stack([ts[0] + 0.25, ts[0]])
    up, down = (euler_maruyama(drift, diffusion, x0, ends, sign * noises[:1]) for sign in (1, -1))
    g = diffusion.build()(ends[0])
    close(up - down, g * noises[0])
    close((up + down) / 2, x0 - drift.build()(x0, ends[0]) / 4)


@check("fokker_planck_residual", examples=8)
def carries_without_noise(fokker_planck_residual, x, t):
    """N(3 t, 1) is carried by the velocity 3; with the noise sigma what is missing is -sigma^2 / 2 p''."""
    p, u = (
        Probe("Density", {"a": 0.0, "b": 3.0, "c": 1.0, "d": 0.0}),
        Probe("Drift", {"a": 3.0, "b": 0.0, "c": 0.0}),
    )
    close(1 + fokker_planck_residual(p, u, 0.0, x, t), torch.ones_like(x))
    away = x - 3 * t
    curvature = (away.square() - 1) * p.build()(x, t)
    close(1 + fokker_planck_residual(p, u, 1.5, x, t), 1 - 1.125 * curvature)


@check("denoising_sde_step", examples=8)
def adds_noise_of_variance_sigma_squared_dt(denoising_sde_step, x, u, score, sigma, dt, noise):
    """Opposite noises end 2 sigma sqrt(dt) |noise| apart, around x + dt (u + sigma^2 / 2 score)."""
    up, down = (denoising_sde_step(x, u, score, sigma, dt, n) for n in (noise, -noise))
    close((up - down).square(), 4 * sigma**2 * dt * noise.square())
    close((up + down) / 2, x + dt * u + dt * sigma**2 / 2 * score)


@check("vp_sde", examples=8)
def gives_every_example_its_time(vp_sde, x, t, beta_min, beta_max):
    """Each example has its own rate b(t): alone it has the drift that it has in the batch."""
    drift, diffusion = vp_sde(x, t, beta_min, beta_max)
    alone = [vp_sde(x[i : i + 1], t[i : i + 1], beta_min, beta_max) for i in range(len(x))]
    close(drift, torch.cat([a[0] for a in alone]))
    close(diffusion, torch.cat([a[1] for a in alone]))


@check("vp_marginal", examples=8)
def forgets_by_the_mean_rate(vp_marginal, t, beta_min, beta_max):
    """At t = 1 the integral of b is its mean, (beta_min + beta_max) / 2: m is e to minus half of it."""
    m = vp_marginal(0 * t + 1, beta_min, beta_max)[0]
    close(m, math.exp(-(beta_min + beta_max) / 4) * torch.ones_like(t))


@check("ve_sde", examples=8)
def makes_the_variance_grow_as_sigma_squared(ve_sde, x, t, sigma_min, sigma_max):
    """g^2 is the derivative of sigma_t^2 = sigma_min^2 (sigma_max / sigma_min)^(2 t), and nothing drifts."""
    drift, diffusion = ve_sde(x, t, sigma_min, sigma_max)
    ratio = sigma_max / sigma_min
    close(diffusion.square(), 2 * math.log(ratio) * sigma_min**2 * ratio ** (2 * t))
    close(drift, 0 * x)


@check("ve_marginal", examples=8)
def grows_geometrically(ve_marginal, t, sigma_min, sigma_max):
    """Halfway in time the standard deviation is the geometric mean: s(t / 2)^2 = sigma_min s(t)."""
    whole, half = (ve_marginal(v, sigma_min, sigma_max)[1] for v in (t, t / 2))
    close(half.square(), sigma_min * whole)


@check("reverse_sde_drift", examples=8)
def squares_the_diffusion_of_each_example(reverse_sde_drift, drift, diffusion, score):
    """Twice the diffusion is four times the score, for each example with its own g."""
    close(reverse_sde_drift(drift, 2 * diffusion, score), reverse_sde_drift(drift, diffusion, 4 * score))
    alone = [reverse_sde_drift(*(v[i : i + 1] for v in (drift, diffusion, score))) for i in range(len(drift))]
    close(reverse_sde_drift(drift, diffusion, score), torch.cat(alone))


@check("probability_flow_drift", examples=8)
def takes_half_of_the_squared_diffusion(probability_flow_drift, drift, diffusion, score):
    """Twice the diffusion is four times the score, for each example with its own g."""
    fast, slow = probability_flow_drift(drift, 2 * diffusion, score), 4 * score
    close(fast, probability_flow_drift(drift, diffusion, slow))
    alone = [
        probability_flow_drift(*(v[i : i + 1] for v in (drift, diffusion, score))) for i in range(len(drift))
    ]
    close(probability_flow_drift(drift, diffusion, score), torch.cat(alone))


@check("edm_preconditioning", examples=8)
def asks_for_targets_of_variance_one(edm_preconditioning, sigma, sigma_data):
    """F's target (z - c_skip (z + sigma eps)) / c_out has variance 1; c_skip makes c_out smallest."""
    c_skip, c_out, _, _ = edm_preconditioning(sigma, sigma_data)
    variance = (1 - c_skip).square() * sigma_data**2 + c_skip.square() * sigma.square()
    close(variance, c_out.square())
    at_least((c_skip - 0.01).square() * sigma.square() + (1.01 - c_skip).square() * sigma_data**2, variance)


@check("edm_sigmas", examples=8)
def has_evenly_spaced_roots(edm_sigmas, n, sigma_min, sigma_max, rho, dtype):
    """The rho-th roots of the levels are evenly spaced, both ends included."""
    roots = edm_sigmas(n + 1, sigma_min, sigma_max, rho, dtype) ** (1 / rho)
    close(roots[:-2] + roots[2:], 2 * roots[1:-1])
    close(roots[[0, -1]], torch.tensor([sigma_max, sigma_min], dtype=dtype) ** (1 / rho))
