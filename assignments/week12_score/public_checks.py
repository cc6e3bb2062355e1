"""Week 12: the checks that students have too."""

import math

import torch

from autograder.author import above, check, close, holds, real
from autograder.probes import Probe


@check("gaussian_score", examples=4)
def gives_the_worked_example(gaussian_score, x):
    """The score of N(1, 2^2) at x = 3 is -(3 - 1) / 2^2 = -1/2: it points back to the mean."""
    one = torch.ones_like(x)
    close(gaussian_score(3 * one, one, 2 * one), -one / 2)


@check("gaussian_score", examples=12)
def points_to_the_mean(gaussian_score, x, std):
    """It vanishes at the mean, and is opposite at opposite sides of it."""
    origin = torch.zeros_like(x)
    close(gaussian_score(x, x, std), origin)
    close(gaussian_score(-x, origin, std), -gaussian_score(x, origin, std))


@check("denoising_score_matching_loss", examples=4)
def gives_a_worked_loss(denoising_score_matching_loss, z):
    """The model t x / 4 with z = 3, eps = 1, t = 1/2: x = 2, score 1/4, target -2: (9/4)^2 per dimension."""
    one = torch.ones_like(z)
    t = torch.full_like(one.reshape(len(z), -1)[:, 0], 0.5)
    model = Probe("TimeModel", {"a": 0.0, "b": 0.0})
    close(denoising_score_matching_loss(model, 3 * one, one, t), 81 / 16 * one[0].sum())


@check("denoising_score_matching_loss", examples=12)
def is_the_mean_of_the_examples_losses(denoising_score_matching_loss, model, z, eps, t, weighting):
    """The loss of a batch is the mean of the losses of its examples, each with its own time and weight."""
    alone = [
        denoising_score_matching_loss(model, z[i : i + 1], eps[i : i + 1], t[i : i + 1], weighting)
        for i in range(len(z))
    ]
    close(denoising_score_matching_loss(model, z, eps, t, weighting), sum(alone) / len(alone))


@check("langevin_step", examples=4)
def gives_a_worked_step(langevin_step, x):
    """From x = 1 with score -1, a step of 1/2 with noise 2 leads to 1 - 1/2 + sqrt(2 * 1/2) * 2 = 5/2."""
    one = torch.ones_like(x)
    close(langevin_step(one, -one, 0.5, 2 * one), 2.5 * one)


@check("langevin_step", examples=12)
def stays_with_a_step_of_zero(langevin_step, x, score, noise):
    """A step of size 0 leads nowhere."""
    close(langevin_step(x, score, 0.0, noise), x)


@check("mixture_score", examples=4)
def weighs_by_what_is_likely_here(mixture_score, x):
    """Means 1 and -1, std 1: at 0 the score is 3/4 - 1/4 for weights 3/4 and 1/4, and 0 for equal ones."""
    one = torch.ones_like(x[0, :1])
    means, stds = torch.stack([one, -one]), torch.stack([one, one])
    close(mixture_score(0 * one, torch.stack([3 * one[0], one[0]]) / 4, means, stds), one / 2)
    close(mixture_score(0 * one, torch.stack([one[0], one[0]]) / 2, means, stds), 0 * one)
    # At x = 1 the means are at distances 0 and 2: the first is likelier by e^2.
    second = one / (1 + math.exp(2))
    close(mixture_score(one, torch.stack([one[0], one[0]]) / 2, means, stds), -2 * second)


@check("mixture_score", examples=8)
def is_the_gaussian_score_of_a_single_component(mixture_score, x, means, stds):
    """A mixture of one component is that Gaussian, with the score (mean - x) / std^2."""
    alone = mixture_score(x, torch.ones_like(means[:1, 0]), means[:1], stds[:1])
    close(alone, (means[0] - x) / stds[0].square())


@check("implicit_score_matching_loss", examples=4)
def gives_a_worked_loss_for_a_linear_field(implicit_score_matching_loss, x):
    """The field s_k = -w_k x_k has the trace -sum w; at x = 2 half its squared norm is 2 sum w^2."""
    model = Probe("VectorField", {"a": 0.0, "b": -1.0, "c": 0.0})
    w = 1 + torch.arange(x[0].numel(), dtype=x.dtype) / 4
    close(implicit_score_matching_loss(model, torch.full_like(x, 2.0)), 2 * w.square().sum() - w.sum())


@check("implicit_score_matching_loss", examples=8)
def is_the_mean_over_the_examples(implicit_score_matching_loss, model, x):
    """The loss of a batch is the mean of the losses of its examples."""
    alone = [implicit_score_matching_loss(model, x[i : i + 1]) for i in range(len(x))]
    close(implicit_score_matching_loss(model, x), sum(alone) / len(alone))


@check("sliced_score_matching_loss", examples=4)
def gives_a_worked_loss_for_a_direction(sliced_score_matching_loss, x):
    """The field s_k = -w_k x_k at x = 1, along v = 2: v^T J v is -4 sum w, (v^T s)^2 / 2 is 2 (sum w)^2."""
    model = Probe("VectorField", {"a": 0.0, "b": -1.0, "c": 0.0})
    one = torch.ones_like(x)
    w = 1 + torch.arange(x[0].numel(), dtype=x.dtype) / 4
    close(sliced_score_matching_loss(model, one, 2 * one), 2 * w.sum().square() - 4 * w.sum())


@check("sliced_score_matching_loss", examples=8)
def is_the_same_in_the_opposite_direction(sliced_score_matching_loss, model, x, v):
    """Both terms are of second order in v: -v gives the same loss as v, and v = 0 gives 0."""
    loss = sliced_score_matching_loss(model, x, v)
    close(sliced_score_matching_loss(model, x, -v), loss)
    close(sliced_score_matching_loss(model, x, 0 * v), 0 * loss)


@check("contrastive_divergence_loss", examples=4)
def gives_a_worked_difference(contrastive_divergence_loss, x_data, x_model):
    """With the energy x^2, data at 3 and samples at 1, the loss is 9 - 1 = 8 for each entry of an example."""
    energy = Probe("Energy", {"a": 2.0, "b": 0.0})
    loss = contrastive_divergence_loss(energy, 3 * torch.ones_like(x_data), torch.ones_like(x_model))
    close(loss, 8 * torch.ones_like(x_data[0]).sum())


@check("contrastive_divergence_loss", examples=8)
def is_balanced_when_the_model_samples_the_data(contrastive_divergence_loss, energy, x_data, x_model):
    """Samples that are the data cost nothing; data and samples exchanged, the loss has the other sign."""
    loss = contrastive_divergence_loss(energy, x_data, x_model)
    close(contrastive_divergence_loss(energy, x_data, x_data), 0 * loss)
    close(contrastive_divergence_loss(energy, x_model, x_data), -loss)


@check("tweedie", examples=8)
def shrinks_a_gaussian_to_its_posterior_mean(tweedie, x, alpha, beta):
    """For z from N(0, I), x has variance v = alpha^2 + beta^2, score -x / v, and E[z | x] is alpha x / v."""
    v = alpha**2 + beta**2
    close(tweedie(x, -x / v, alpha, beta), alpha / v * x)


@check("tweedie", examples=4)
def gives_a_worked_denoising(tweedie, x):
    """With alpha = 1/2, beta = 2: x = 3 with the score -1/2 comes from (3 - 4 / 2) / (1/2) = 2 on average."""
    one = torch.ones_like(x)
    close(tweedie(3 * one, -one / 2, 0.5, 2.0), 2 * one)


@check("score_to_velocity", examples=8, z=real(dims="batch *event"), eps=real(dims="batch *event"))
def knows_the_velocity_of_a_single_point(score_to_velocity, z, eps, t):
    """All data at z: the score is -eps / beta, and on the linear path all points move with z - eps."""
    t = 0.9 * t  # beta is not 0
    alpha = t.reshape(-1, *[1] * (z.ndim - 1))
    beta = 1 - alpha
    close(score_to_velocity(-eps / beta, alpha * z + beta * eps, t), z - eps)


@check("score_to_velocity", examples=4)
def is_right_halfway(score_to_velocity, score, x):
    """At t = 1/2: linear, u = 2 x + score; cosine, u = pi / 2 (x + score)."""
    t = torch.full_like(x.reshape(len(x), -1)[:, 0], 0.5)
    close(score_to_velocity(score, x, t, "linear"), 2 * x + score)
    root = torch.full_like(x, 0.5).sqrt()  # cos(pi / 4)
    close(score_to_velocity(score, x, t, "cosine"), math.pi / 2 * (x + score * root / root))


@check("velocity_to_score", examples=8, z=real(dims="batch *event"), eps=real(dims="batch *event"))
def knows_the_score_of_a_single_point(velocity_to_score, z, eps, t):
    """All data at z: on the linear path all points move with z - eps, and the score is -eps / beta."""
    alpha = t.reshape(-1, *[1] * (z.ndim - 1))
    beta = 1 - alpha
    close(velocity_to_score(z - eps, alpha * z + beta * eps, t), -eps / beta)


@check("velocity_to_score", examples=8)
def is_the_score_of_noise_at_the_start(velocity_to_score, u, x, t, schedule):
    """At t = 0 there is nothing but noise: the score is -x, whatever the velocity is."""
    close(velocity_to_score(u, x, 0 * t, schedule), -x)


@check("annealed_langevin", examples=4)
def gives_two_worked_levels(annealed_langevin, x):
    """The score sigma x / 4, levels 2 and 1, eps 1/2, no noise: from 1 to 1.5, and on to 1.59375."""
    one = torch.ones_like(x)
    model = Probe("TimeModel", {"a": 0.0, "b": 0.0})
    sigmas, noises = x.new_tensor([2.0, 1.0]), torch.zeros_like(x).expand(2, 1, *x.shape)
    close(annealed_langevin(model, one, sigmas, 0.5, noises), 1.59375 * one)


@check("annealed_langevin", examples=8)
def goes_on_from_where_it_is(annealed_langevin, model, x, sigmas, eps, noises):
    """At one noise level, some steps and then some more are all these steps."""
    sigma, noises = sigmas[:1], noises[:1]
    once = annealed_langevin(model, x, sigma, eps, noises)
    twice = annealed_langevin(model, once, sigma, eps, noises.flip(1))
    close(annealed_langevin(model, x, sigma, eps, torch.cat([noises, noises.flip(1)], 1)), twice)


@check("euler_maruyama", examples=4)
def gives_a_worked_step_of_diffusion(euler_maruyama, x0):
    """dX = -X dt + 2 dW from 1, with the noise 1 over a time of 1/4: 1 - 1/4 + 2 * 1/2 * 1 = 1.75."""
    one = torch.ones_like(x0)
    drift, diffusion = (
        Probe("Drift", {"a": 0.0, "b": -1.0, "c": 0.0}),
        Probe("Diffusion", {"a": 2.0, "b": 0.0}),
    )
    close(euler_maruyama(drift, diffusion, one, x0.new_tensor([0.0, 0.25]), one[None]), 1.75 * one)


@check("euler_maruyama", examples=8)
def can_stop_and_go_on(euler_maruyama, drift, diffusion, x0, ts, noises):
    """One step alone, and then the others from there, are the whole way."""
    first = euler_maruyama(drift, diffusion, x0, ts[:2], noises[:1])
    rest = euler_maruyama(drift, diffusion, first, ts[1:], noises[1:])
    close(euler_maruyama(drift, diffusion, x0, ts, noises), rest)


@check("fokker_planck_residual", examples=8)
def vanishes_for_heat_that_spreads(fokker_planck_residual, x, t):
    """N(t, 1 + 4 t) is the density of dX = dt + 2 dW: the residual is 0. Without the noise it is not."""
    p, u = (
        Probe("Density", {"a": 0.0, "b": 1.0, "c": 1.0, "d": 4.0}),
        Probe("Drift", {"a": 1.0, "b": 0.0, "c": 0.0}),
    )
    close(1 + fokker_planck_residual(p, u, 2.0, x, t), torch.ones_like(x))
    above(fokker_planck_residual(p, u, 0.0, 0 * x, 0 * t).abs(), 0.5)


@check("fokker_planck_residual", examples=8)
def vanishes_where_drift_and_noise_balance(fokker_planck_residual, x, t):
    """The process dX = (1 - 2 X) dt + 2 dW keeps its density N(1/2, 1) for ever: the residual is 0."""
    p, u = (
        Probe("Density", {"a": 0.5, "b": 0.0, "c": 1.0, "d": 0.0}),
        Probe("Drift", {"a": 1.0, "b": -2.0, "c": 0.0}),
    )
    close(1 + fokker_planck_residual(p, u, 2.0, x, t), torch.ones_like(x))


@check("denoising_sde_step", examples=8)
def is_the_flow_without_noise(denoising_sde_step, x, u, score, dt, noise):
    """With sigma = 0 it is the Euler step of the flow, x + dt u: neither score nor noise takes part."""
    close(denoising_sde_step(x, u, score, 0.0, dt, noise), x + dt * u)


@check("denoising_sde_step", examples=4)
def gives_a_worked_denoising_step(denoising_sde_step, x):
    """From 1 with u = 2, score = -1, sigma = 2, dt = 1/4, noise 1: 1 + (2 - 2) / 4 + 2 * 1/2 = 2."""
    one = torch.ones_like(x)
    close(denoising_sde_step(one, 2 * one, -one, 2.0, 0.25, one), 2 * one)


@check("vp_sde", examples=8)
def keeps_a_variance_of_one(vp_sde, x, t, beta_min, beta_max):
    """The variance v of dx = f dt + g dw has v' = g^2 + 2 v f / x: for v = 1 this is 0."""
    drift, diffusion = vp_sde(x, t, beta_min, beta_max)
    g = diffusion.reshape(-1, *[1] * (x.ndim - 1))
    close(2 * drift, -g.square() * x)


@check("vp_sde", examples=4)
def begins_slowly_and_ends_fast(vp_sde, x, t):
    """With b from 0.1 to 20: at t = 0 the drift is -x / 20, at t = 1 it is -10 x, with diffusion sqrt(20)."""
    one = torch.ones_like(t)
    close(vp_sde(x, 0 * t), (-x / 20, math.sqrt(0.1) * one))
    close(vp_sde(x, one), (-10 * x, math.sqrt(20) * one))


@check("vp_marginal", examples=4)
def gives_the_published_values(vp_marginal, t):
    """With the usual b from 0.1 to 20, at t = 0.3: the mean's factor is 0.629550, the std 0.776960."""
    one = torch.ones_like(t)
    close(vp_marginal(0.3 * one), (0.6295500003364488 * one, 0.7769599713475446 * one))


@check("vp_marginal", examples=8)
def keeps_unit_variance_together(vp_marginal, t, beta_min, beta_max):
    """Data of variance 1 stay so, m^2 + s^2 = 1; at t = 0 they are untouched: m = 1 and s = 0."""
    m, s = vp_marginal(t, beta_min, beta_max)
    close(m.square() + s.square(), torch.ones_like(t))
    close(vp_marginal(0 * t, beta_min, beta_max), (torch.ones_like(t), 0 * t))


@check("ve_sde", examples=4)
def gives_a_worked_diffusion(ve_sde, x, t):
    """From sigma 1 to e: drift 0, diffusion sqrt(2) e^t. By default from 0.01 to 50: 0.041273 at t = 0."""
    close(ve_sde(x, t, 1.0, math.e), (0 * x, math.sqrt(2) * t.exp()))
    close(ve_sde(x, 0 * t), (0 * x, 0.0412727348049926 * torch.ones_like(t)))


@check("ve_sde", examples=8)
def grows_as_much_as_the_noise(ve_sde, x, t, sigma_min, sigma_max):
    """From t = 0 to t = 1 the diffusion grows by the factor sigma_max / sigma_min."""
    start, end = ve_sde(x, 0 * t, sigma_min, sigma_max)[1], ve_sde(x, 0 * t + 1, sigma_min, sigma_max)[1]
    close(end / start, sigma_max / sigma_min * torch.ones_like(t))


@check("ve_marginal", examples=4)
def gives_the_usual_values(ve_marginal, t):
    """With the usual sigmas, 0.01 to 50, at t = 0.3: the mean stays, and the std is 0.128733."""
    one = torch.ones_like(t)
    close(ve_marginal(0.3 * one), (one, 0.12873332935452236 * one))


@check("ve_marginal", examples=8)
def reaches_both_ends(ve_marginal, t, sigma_min, sigma_max):
    """The standard deviation is sigma_min at t = 0 and sigma_max at t = 1."""
    one = torch.ones_like(t)
    close(ve_marginal(0 * t, sigma_min, sigma_max), (one, sigma_min * one))
    close(ve_marginal(one, sigma_min, sigma_max), (one, sigma_max * one))


@check("reverse_sde_drift", examples=8)
def brings_equilibrium_back(reverse_sde_drift, diffusion, score):
    """N(0, I), with the score -x, is kept by the drift -g^2 x / 2: backwards, the drift is + g^2 x / 2."""
    x, g = -score, diffusion.reshape(-1, *[1] * (score.ndim - 1))
    close(reverse_sde_drift(-g.square() / 2 * x, diffusion, score), g.square() / 2 * x)


@check("reverse_sde_drift", examples=4)
def gives_a_worked_drift(reverse_sde_drift, drift, diffusion):
    """f = 1, g = 2 and score = 3 give 1 - 4 * 3 = -11."""
    one = torch.ones_like(drift)
    close(reverse_sde_drift(one, 2 * torch.ones_like(diffusion), 3 * one), -11 * one)


@check("probability_flow_drift", examples=8)
def stands_still_in_equilibrium(probability_flow_drift, diffusion, score):
    """N(0, I), with the score -x, is kept by the drift -g^2 x / 2: there is no flow, the velocity is 0."""
    x, g = -score, diffusion.reshape(-1, *[1] * (score.ndim - 1))
    close(probability_flow_drift(-g.square() / 2 * x, diffusion, score), 0 * x)


@check("probability_flow_drift", examples=4)
def gives_a_worked_velocity(probability_flow_drift, drift, diffusion):
    """f = 1, g = 2 and score = 3 give 1 - 4 / 2 * 3 = -5."""
    one = torch.ones_like(drift)
    close(probability_flow_drift(one, 2 * torch.ones_like(diffusion), 3 * one), -5 * one)


@check("edm_preconditioning", examples=4)
def is_even_where_noise_equals_data(edm_preconditioning, sigma):
    """At sigma = sigma_data = 1/2: c_skip = 1/2, c_out = sqrt(1/8), c_in = sqrt(2), c_noise = -ln(2) / 4."""
    one = torch.ones_like(sigma)
    right = one / 2, math.sqrt(1 / 8) * one, math.sqrt(2) * one, -math.log(2) / 4 * one
    close(edm_preconditioning(one / 2), right)


@check("edm_preconditioning", examples=8)
def gives_inputs_of_variance_one(edm_preconditioning, sigma, sigma_data):
    """What the network gets, c_in (z + sigma eps), has the variance c_in^2 (sigma_data^2 + sigma^2) = 1."""
    c_in = edm_preconditioning(sigma, sigma_data)[2]
    close(c_in.square() * (sigma_data**2 + sigma.square()), torch.ones_like(sigma))


@check("edm_sigmas")
def gives_the_published_levels(edm_sigmas):
    """With 18 levels and the published constants they begin with 80 and 57.58598 and end with 0.002."""
    levels = edm_sigmas(18)
    close(levels[[0, 1, -1]], torch.tensor([80.0, 57.58598472124816, 0.002]))
    holds(levels.dtype is torch.float32, "the levels are float32 where no dtype is given")


@check("edm_sigmas", examples=8)
def is_evenly_spaced_for_rho_one(edm_sigmas, n, sigma_min, sigma_max, dtype):
    """With rho = 1 nothing is bent: the levels fall from sigma_max to sigma_min by equal steps."""
    step = (sigma_max - sigma_min) / (n - 1)
    right = torch.tensor([sigma_max - i * step for i in range(n)], dtype=dtype)
    close(edm_sigmas(n, sigma_min, sigma_max, 1.0, dtype), right)
