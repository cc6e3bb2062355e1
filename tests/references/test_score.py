"""The references of week 12 agree with autograd, scipy, numpy written out and with exact expectations."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats

from autograder.probes import KINDS, Density, Diffusion, Drift, Energy, Power, Probe, TimeModel, VectorField
from reference_impl.score import (
    annealed_langevin,
    contrastive_divergence_loss,
    denoising_score_matching_loss,
    denoising_sde_step,
    edm_preconditioning,
    edm_sigmas,
    euler_maruyama,
    fokker_planck_residual,
    gaussian_score,
    implicit_score_matching_loss,
    langevin_step,
    mixture_score,
    probability_flow_drift,
    reverse_sde_drift,
    score_to_velocity,
    sliced_score_matching_loss,
    tweedie,
    ve_marginal,
    ve_sde,
    velocity_to_score,
    vp_marginal,
    vp_sde,
)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(12)


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_score_is_the_slope_of_scipys_log_density(rng):
    x, mean = normal(4, 3, generator=rng), normal(4, 3, generator=rng)
    std = normal(4, 3, generator=rng).exp()
    h = 1e-5
    up, down = (stats.norm.logpdf(x.numpy() + s, mean.numpy(), std.numpy()) for s in (h, -h))
    np.testing.assert_allclose(gaussian_score(x, mean, std), (up - down) / (2 * h), rtol=1e-6, atol=1e-8)


def test_score_golden_number_and_broadcasting(rng):
    assert gaussian_score(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([2.0])).tolist() == [-0.5]
    x, mean, std = normal(5, 2, generator=rng), normal(2, generator=rng), normal(2, generator=rng).exp()
    torch.testing.assert_close(
        gaussian_score(x, mean, std), gaussian_score(x, mean.expand(5, 2), std.expand(5, 2))
    )


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_std_outside_its_domain_is_rejected(bad):
    with pytest.raises(ValueError, match="std"):
        gaussian_score(torch.zeros(2), torch.zeros(2), torch.tensor([1.0, bad]))


@pytest.mark.parametrize("event", [(3,), (2, 3), (1, 2, 3)])
def test_loss_written_out_in_numpy(event, rng):
    z, eps = normal(4, *event, generator=rng), normal(4, *event, generator=rng)
    t = torch.tensor([0.0, 0.25, 0.5, 0.9], dtype=torch.float64)
    total = 0.0
    for i, time in enumerate(t.numpy()):
        x = time * z[i].numpy() + (1 - time) * eps[i].numpy()
        score = np.tanh(0.5 * x + 0.25) * np.cos(0.75 * time + 1) + time * x / 4
        conditional = -(x - time * z[i].numpy()) / (1 - time) ** 2
        total += (1 - time) ** 1.5 * ((score - conditional) ** 2).sum()
    loss = denoising_score_matching_loss(TimeModel(), z, eps, t, lambda t: (1 - t) ** 1.5)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(total / 4, rel=1e-12)


def test_weighted_by_beta_squared_it_is_noise_prediction(rng):
    z, eps, t = (
        normal(6, 2, 3, generator=rng),
        normal(6, 2, 3, generator=rng),
        torch.linspace(0, 0.9, 6).double(),
    )
    beta = 1 - t[:, None, None]
    predicted = -beta * TimeModel()((1 - beta) * z + beta * eps, t)
    loss = denoising_score_matching_loss(TimeModel(), z, eps, t, Power(2.0))
    torch.testing.assert_close(loss, 6 * torch.nn.functional.mse_loss(predicted, eps))


def test_the_score_of_the_noised_data_is_the_minimiser():
    """Data N(1, 1/4) noised to t = 1/2: away from the marginal score the loss grows by E|model - score|^2."""
    m, s, t = 1.0, 0.5, 0.5
    points, weights = np.polynomial.hermite_e.hermegauss(20)
    data, noise = (
        torch.from_numpy(v.ravel())[:, None] for v in np.meshgrid(m + s * points, points, indexing="ij")
    )
    weight = torch.from_numpy(np.outer(weights, weights).ravel() / weights.sum() ** 2)
    times = torch.full((400,), t, dtype=torch.float64)
    mean, std = torch.tensor([[t * m], [math.hypot(t * s, 1 - t)]], dtype=torch.float64)

    def marginal(x, _):
        return gaussian_score(x, mean, std)

    def other(x, _):
        return marginal(x, _) + 0.3 * x - 0.2

    def loss(model):
        return denoising_score_matching_loss(model, data, noise, times, lambda _: 400 * weight)

    x = t * data + (1 - t) * noise
    excess = (weight * (0.3 * x - 0.2).square()[:, 0]).sum()
    torch.testing.assert_close(loss(other), loss(marginal) + excess)


def test_gradients_reach_model_data_and_noise(rng):
    model = torch.nn.Linear(2, 2).double()
    z, eps = normal(3, 2, generator=rng).requires_grad_(), normal(3, 2, generator=rng).requires_grad_()
    t = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    denoising_score_matching_loss(lambda x, _: model(x), z, eps, t).backward()
    assert all(v.grad.abs().min() > 0 for v in (model.weight, model.bias, z, eps))


@pytest.mark.parametrize("bad", [1.0, 1.5, -0.1, math.nan])
def test_times_outside_their_domain_are_rejected(bad):
    with pytest.raises(ValueError, match="t must lie"):
        denoising_score_matching_loss(
            TimeModel(), torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor([0.5, bad])
        )


def test_langevin_golden_number():
    assert langevin_step(torch.ones(1), -torch.ones(1), 0.5, 2 * torch.ones(1)).tolist() == [2.5]


def test_langevin_chain_on_a_gaussian_has_the_variance_of_its_recursion():
    """For the score -x, var' = (1 - h)^2 var + 2 h: exact in the pair of opposite points and noises."""
    h, variance = 0.25, 0.0
    x = torch.zeros(1, dtype=torch.float64)
    for _ in range(40):
        signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(len(x))
        x = langevin_step(x.repeat_interleave(2), -x.repeat_interleave(2), h, signs)
        variance = (1 - h) ** 2 * variance + 2 * h
        assert x.square().mean().item() == pytest.approx(variance)
        x = x.square().mean().sqrt().repeat(2) * torch.tensor([1.0, -1.0], dtype=torch.float64)
    assert variance == pytest.approx(1 / (1 - h / 2))


def test_negative_steps_are_rejected():
    with pytest.raises(ValueError, match="step"):
        langevin_step(torch.zeros(1), torch.zeros(1), -0.1, torch.zeros(1))


def test_power_is_a_probe():
    assert KINDS["Power"] is Power
    assert Probe("Power", {"p": 2.0}).build()(torch.tensor([0.5, 0.0])).tolist() == [0.25, 1.0]
    with pytest.raises(ValueError, match="tensor"):
        Power()(0.5)


def gauss(n=60):
    """Points and weights with which sums are expectations under N(0, 1)."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(points), torch.from_numpy(weights / weights.sum())


def test_mixture_score_is_the_slope_of_scipys_log_density(rng):
    x, means, stds = (
        normal(4, 3, generator=rng),
        normal(2, 3, generator=rng),
        normal(2, 3, generator=rng).exp(),
    )
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)

    def log_density(points):
        logs = stats.norm.logpdf(points[:, None], means.numpy(), stds.numpy()).sum(-1)
        return special.logsumexp(logs + np.log(weights.numpy()), axis=-1)

    h, slopes = 1e-5, []
    for axis in np.eye(3):
        slopes.append((log_density(x.numpy() + h * axis) - log_density(x.numpy() - h * axis)) / (2 * h))
    np.testing.assert_allclose(
        mixture_score(x, weights, means, stds), np.stack(slopes, -1), rtol=1e-5, atol=1e-8
    )


def test_mixture_score_far_away_is_that_of_the_widest():
    x = torch.tensor([[1e3, -1e3]])
    weights, means, stds = torch.tensor([0.5, 0.5]), torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    torch.testing.assert_close(mixture_score(x, weights, means, stds), -x / 4)


def test_a_component_of_weight_zero_is_none(rng):
    x, means, stds = (
        normal(4, 2, generator=rng),
        normal(3, 2, generator=rng),
        normal(3, 2, generator=rng).exp(),
    )
    weights = torch.tensor([0.25, 0.0, 0.75], dtype=torch.float64)
    kept = mixture_score(x, weights[[0, 2]], means[[0, 2]], stds[[0, 2]])
    torch.testing.assert_close(mixture_score(x, weights, means, stds), kept)


@pytest.mark.parametrize(
    ("name", "weights", "std"),
    [("weights", [0.5, 0.6], 1.0), ("weights", [1.5, -0.5], 1.0), ("stds", [0.5, 0.5], 0.0)],
)
def test_mixtures_outside_their_domain_are_rejected(name, weights, std):
    with pytest.raises(ValueError, match=name):
        mixture_score(torch.zeros(1), torch.tensor(weights), torch.zeros(2, 1), torch.full((2, 1), std))


@pytest.mark.parametrize("event", [(3,), (2, 2)])
def test_implicit_loss_of_the_jacobian_by_differences(event, rng):
    model, x = VectorField(0.5, -0.25, 0.75), normal(3, *event, generator=rng)
    h, n = 1e-6, math.prod(event)
    trace = 0
    for i in range(n):
        axis = torch.eye(n, dtype=torch.float64)[i].reshape(event)
        trace = trace + ((model(x + h * axis) - model(x - h * axis)) / (2 * h)).reshape(3, -1)[:, i]
    expected = (trace + model(x).reshape(3, -1).square().sum(1) / 2).mean()
    torch.testing.assert_close(implicit_score_matching_loss(model, x), expected, rtol=1e-8, atol=1e-8)


def test_implicit_loss_is_explicit_score_matching_up_to_a_constant():
    """E ||s - grad log p||^2 / 2 - E ||grad log p||^2 / 2 for data N(1, 1/4), by quadrature."""
    m, s = 1.0, 0.5
    points, weight = gauss()
    x = (m + s * points)[:, None]
    truth = gaussian_score(
        x, torch.full((1,), m, dtype=torch.float64), torch.full((1,), s, dtype=torch.float64)
    )
    model = VectorField(0.5, -0.25, 0.25)
    losses = torch.stack([implicit_score_matching_loss(model, row[None]) for row in x])
    explicit = ((model(x) - truth).square() / 2 - truth.square() / 2)[:, 0]
    torch.testing.assert_close((weight * losses).sum(), (weight * explicit).sum())


def test_sliced_loss_is_implicit_in_the_mean_over_directions(rng):
    """E v v^T = I: exact over v = +-sqrt(2) along the axes of the plane."""
    model, x = VectorField(0.5, -0.25, 0.75), normal(3, 2, generator=rng)
    axes = math.sqrt(2) * torch.cat([torch.eye(2), -torch.eye(2)]).double()
    losses = [sliced_score_matching_loss(model, x, v.expand_as(x)) for v in axes]
    torch.testing.assert_close(sum(losses) / 4, implicit_score_matching_loss(model, x))


def test_sliced_loss_written_out(rng):
    model, x, v = (
        VectorField(0.5, -0.25, 0.75),
        normal(3, 2, 2, generator=rng),
        normal(3, 2, 2, generator=rng),
    )
    total = 0
    for point, direction in zip(x, v.flatten(1), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda p: model(p[None])[0], point).reshape(4, 4)
        total += direction @ jacobian @ direction + (direction @ model(point[None]).flatten()) ** 2 / 2
    torch.testing.assert_close(sliced_score_matching_loss(model, x, v), total / 3)


def test_gradients_of_both_terms_reach_the_parameters(rng):
    """For s = -theta x the losses are known: mean(-theta |v|^2 + theta^2 (v x)^2 / 2)."""
    theta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    x, v = normal(5, 3, generator=rng), normal(5, 3, generator=rng)
    (slope,) = torch.autograd.grad(implicit_score_matching_loss(lambda x: -theta * x, x), theta)
    torch.testing.assert_close(slope, 0.7 * x.square().sum(1).mean() - 3)
    (slope,) = torch.autograd.grad(sliced_score_matching_loss(lambda x: -theta * x, x, v), theta)
    torch.testing.assert_close(slope, 0.7 * (v * x).sum(1).square().mean() - v.square().sum(1).mean())


def test_contrastive_divergence_has_the_gradient_of_the_likelihood():
    """p = exp(-a x^2 / 2) / Z, samples by quadrature: the slope of -log p is x^2 / 2 - 1 / (2 a)."""
    energy = Energy(2.0, 0.0)
    energy.a.requires_grad_()
    points, weight = gauss()
    counts = (1e6 * weight).round().long()
    samples = (points / math.sqrt(2.0)).repeat_interleave(counts)[:, None].requires_grad_()
    data = torch.tensor([[0.5], [-2.0], [1.0]], dtype=torch.float64)
    loss = contrastive_divergence_loss(energy, data, samples)
    slope, to_samples = torch.autograd.grad(loss, (energy.a, samples), allow_unused=True)
    assert to_samples is None
    assert slope.item() == pytest.approx((data.square() / 2).mean().item() - 1 / 4, abs=1e-4)


def test_tweedie_is_the_posterior_mean_by_quadrature():
    """z from a mixture of two points, x = 0.6 z + 0.5 eps: Bayes' rule against the score of p(x)."""
    z, prior = torch.tensor([-1.0, 2.0], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)
    x = torch.linspace(-2, 3, 7, dtype=torch.float64)[:, None]
    likelihood = torch.from_numpy(stats.norm.pdf(x.numpy(), 0.6 * z.numpy(), 0.5))
    posterior = prior * likelihood / (prior * likelihood).sum(1, keepdim=True)
    score = mixture_score(x, prior, 0.6 * z[:, None], torch.full((2, 1), 0.5, dtype=torch.float64))
    torch.testing.assert_close(tweedie(x, score, 0.6, 0.5)[:, 0], posterior @ z)


@pytest.mark.parametrize(
    ("alpha", "beta", "name"), [(0.0, 1.0, "alpha"), (-1.0, 1.0, "alpha"), (1.0, -1.0, "beta")]
)
def test_coefficients_outside_their_domain_are_rejected(alpha, beta, name):
    with pytest.raises(ValueError, match=name):
        tweedie(torch.zeros(1), torch.zeros(1), alpha, beta)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_velocity_and_score_of_gaussian_data(schedule, rng):
    """z from N(m, s^2): x has mean a m and variance v = (a s)^2 + b^2, and u moves both as they should."""
    m, s = 1.5, 0.5
    t = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64, requires_grad=True)
    a = t if schedule == "linear" else torch.sin(math.pi / 2 * t)
    b = 1 - t if schedule == "linear" else torch.cos(math.pi / 2 * t)
    mean, std = a * m, ((a * s) ** 2 + b**2).sqrt()
    d_mean, d_std = (torch.autograd.grad(v.sum(), t, retain_graph=True)[0] for v in (mean, std))
    mean, std, t = (v.detach()[:, None] for v in (mean, std, t))
    x = normal(3, 2, generator=rng)
    u = d_mean[:, None] + d_std[:, None] / std * (x - mean)
    score = (mean - x) / std**2
    torch.testing.assert_close(score_to_velocity(score, x, t[:, 0], schedule), u)
    torch.testing.assert_close(velocity_to_score(u, x, t[:, 0], schedule), score)


def test_conversions_are_inverse_to_each_other_and_reach_their_ends(rng):
    t = torch.tensor([0.1, 0.6, 0.8], dtype=torch.float64)
    score, x = normal(3, 2, 2, generator=rng), normal(3, 2, 2, generator=rng)
    for schedule in ("linear", "cosine"):
        u = score_to_velocity(score, x, t, schedule)
        torch.testing.assert_close(velocity_to_score(u, x, t, schedule), score)
    torch.testing.assert_close(score_to_velocity(score, x, torch.ones_like(t)), x)
    torch.testing.assert_close(velocity_to_score(score, x, torch.zeros_like(t), "cosine"), -x)


@pytest.mark.parametrize("convert", [score_to_velocity, velocity_to_score])
def test_conversions_outside_their_domain_are_rejected(convert):
    x = torch.zeros(2, 1)
    bad = 0.0 if convert is score_to_velocity else 1.0
    with pytest.raises(ValueError, match="t must lie"):
        convert(x, x, torch.tensor([0.5, bad]))
    with pytest.raises(ValueError, match="schedule"):
        convert(x, x, torch.tensor([0.5, 0.5]), "quadratic")


def test_annealed_langevin_written_out_in_numpy(rng):
    x, noises = normal(2, 3, generator=rng), normal(3, 2, 2, 3, generator=rng)
    sigmas = torch.tensor([1.5, 0.8, 0.5], dtype=torch.float64)
    point = x.numpy()
    for i, sigma in enumerate(sigmas.numpy()):
        alpha = 0.3 * sigma**2 / 0.5**2  # Song and Ermon's step size
        for j in range(2):
            score = np.tanh(0.5 * point + 0.25) * np.cos(0.75 * sigma + 1) + sigma * point / 4
            point = point + alpha / 2 * score + np.sqrt(alpha) * noises[i, j].numpy()
    np.testing.assert_allclose(annealed_langevin(TimeModel(), x, sigmas, 0.3, noises), point, rtol=1e-12)


@pytest.mark.parametrize(("sigma", "eps", "name"), [(0.0, 0.1, "sigmas"), (1.0, 0.0, "eps")])
def test_annealing_outside_its_domain_is_rejected(sigma, eps, name):
    with pytest.raises(ValueError, match=name):
        annealed_langevin(TimeModel(), torch.zeros(1, 1), torch.tensor([sigma]), eps, torch.zeros(1, 1, 1, 1))


@pytest.mark.parametrize("ts", [[0.0, 0.25, 1.0, 1.2], [1.2, 1.0, 0.25, 0.0]])
def test_euler_maruyama_written_out_in_numpy(ts, rng):
    x, noises = normal(2, 3, generator=rng), normal(3, 2, 3, generator=rng)
    drift, diffusion = Drift(0.5, -1.0, 0.25), Diffusion(0.5, 0.25)
    point = x.numpy()
    for k in range(3):
        h = ts[k + 1] - ts[k]
        point = (
            point
            + h * (0.5 + (-1 + 0.25 * ts[k]) * point)
            + np.sqrt(abs(h)) * (0.5 + 0.25 * ts[k]) * noises[k].numpy()
        )
    times = torch.tensor(ts, dtype=torch.float64)
    np.testing.assert_allclose(euler_maruyama(drift, diffusion, x, times, noises), point, rtol=1e-12)


def test_euler_maruyama_is_of_first_order_without_noise():
    """dX = -X dt to t = 1: halving the step halves the error."""
    errors = []
    for n in (64, 128):
        ts = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        end = euler_maruyama(
            lambda x, t: -x, lambda t: 0.0, torch.ones(1, 1).double(), ts, torch.zeros(n, 1, 1)
        )
        errors.append(abs(end.item() - math.exp(-1)))
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.02)


def test_a_time_too_few_is_rejected():
    with pytest.raises(ValueError, match="ts"):
        euler_maruyama(Drift(), Diffusion(), torch.zeros(1, 1), torch.zeros(2), torch.zeros(2, 1, 1))


def test_denoising_sde_keeps_the_marginals_for_any_noise():
    """Gaussian data, linear path: the moments after many exact steps of the moments are the path's own."""
    m, s, n = 1.5, 0.5, 4000
    for sigma in (0.0, 0.7, 1.4):
        mean, variance = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
        for k in range(n // 2):
            t = k / n
            path_mean, path_variance = t * m, (t * s) ** 2 + (1 - t) ** 2
            slope = (t * s**2 - (1 - t)) / path_variance

            def step(x, noise, a=path_mean, v=path_variance, slope=slope, sigma=sigma):
                return denoising_sde_step(x, m + slope * (x - a), (a - x) / v, sigma, 1 / n, noise)

            zero, one = 0 * mean, 0 * mean + 1
            gain = step(one, zero) - step(zero, zero)
            mean, variance = step(mean, zero), gain**2 * variance + (step(zero, one) - step(zero, zero)) ** 2
        assert mean.item() == pytest.approx(m / 2, abs=1e-3)
        assert variance.item() == pytest.approx((s / 2) ** 2 + 1 / 4, abs=1e-3)


def test_denoising_step_golden_number_and_domain():
    one = torch.ones(1)
    assert denoising_sde_step(one, 2 * one, -one, 2.0, 0.25, one).tolist() == [2.0]
    for name, sigma, dt in (("sigma", -1.0, 0.1), ("dt", 1.0, -0.1)):
        with pytest.raises(ValueError, match=name):
            denoising_sde_step(one, one, one, sigma, dt, one)


def test_vp_golden_numbers():
    """Song et al. (2021): b from 0.1 to 20, at t = 0.3."""
    m, s = vp_marginal(torch.tensor([0.3], dtype=torch.float64))
    assert m.item() == pytest.approx(0.629550, abs=1e-6)
    assert s.item() == pytest.approx(0.776960, abs=1e-6)
    drift, diffusion = vp_sde(torch.full((1, 2), 2.0), torch.tensor([0.5]))
    assert drift.tolist() == [[pytest.approx(-10.05), pytest.approx(-10.05)]]
    assert diffusion.tolist() == [pytest.approx(math.sqrt(10.05))]


def test_ve_golden_number():
    """Song et al. (2021): sigma from 0.01 to 50, at t = 0.3."""
    m, s = ve_marginal(torch.tensor([0.3], dtype=torch.float64))
    assert m.item() == 1
    assert s.item() == pytest.approx(0.128733, abs=1e-6)


@pytest.mark.parametrize(
    ("sde", "marginal", "v0"), [(vp_sde, vp_marginal, 0.0), (ve_sde, ve_marginal, 0.01**2)], ids=["vp", "ve"]
)
def test_marginals_solve_the_moments_equations_of_their_sde(sde, marginal, v0):
    """mean' = f(mean) and variance' = 2 variance f(1) + g^2, integrated by scipy."""

    def slope(t, moments):
        time = torch.tensor([t], dtype=torch.float64)
        drift, diffusion = sde(torch.ones(1, 1, dtype=torch.float64), time)
        return [drift.item() * moments[0], 2 * drift.item() * moments[1] + diffusion.item() ** 2]

    mean, variance = integrate.solve_ivp(slope, (0, 0.7), [1.0, v0], rtol=1e-9, atol=1e-12).y[:, -1]
    m, s = marginal(torch.tensor(0.7, dtype=torch.float64))
    assert m.item() == pytest.approx(mean, rel=1e-6)
    assert s.item() ** 2 == pytest.approx(variance, rel=1e-6)


@pytest.mark.parametrize("function", [vp_sde, vp_marginal, ve_sde, ve_marginal])
def test_processes_outside_their_domain_are_rejected(function):
    x = [torch.zeros(1, 1)] if function in (vp_sde, ve_sde) else []
    with pytest.raises(ValueError, match="t must lie"):
        function(*x, torch.tensor([1.5]))
    with pytest.raises(ValueError, match="beta_min" if function in (vp_sde, vp_marginal) else "sigma_min"):
        function(*x, torch.tensor([0.5]), 2.0, 1.0)


def test_drifts_back_and_along_carry_the_same_density(rng):
    """Under each of three processes the moments of the VP-SDE's Gaussian change as the marginals say."""
    t = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    m, s = vp_marginal(t)
    mean, variance = 0.8 * m, (0.5 * m) ** 2 + s**2  # data N(0.8, 1/4)
    d_mean, d_variance = (torch.autograd.grad(v, t, retain_graph=True)[0] for v in (mean, variance))
    mean, variance, t = mean.detach(), variance.detach(), t.detach()
    x = torch.stack([mean, mean + 1])  # the drifts are linear: their value and slope at the mean
    forward, g = vp_sde(x, t.expand(2))
    score = (mean - x) / variance
    reverse, flow = (f(forward, g, score) for f in (reverse_sde_drift, probability_flow_drift))
    # noise of variance g^2 dt comes in forwards, goes out backwards, and is not there along the flow
    for drift, noise in ((forward, g[0] ** 2), (reverse, -(g[0] ** 2)), (flow, 0)):
        torch.testing.assert_close(drift[0], d_mean)
        torch.testing.assert_close(2 * (drift[1] - drift[0]) * variance + noise, d_variance)


def test_drifts_for_images_and_numbers(rng):
    f, s = normal(2, 3, 2, generator=rng), normal(2, 3, 2, generator=rng)
    g = torch.tensor([1.0, 2.0], dtype=torch.float64)
    torch.testing.assert_close(reverse_sde_drift(f, g, s)[1], f[1] - 4 * s[1])
    torch.testing.assert_close(probability_flow_drift(f, g[1], s), f - 2 * s)


def test_fokker_planck_residual_by_differences():
    p, u, sigma = Density(0.5, 1.0, 1.0, 0.5), Drift(0.5, -1.0, 0.25), 1.5
    x, t = (torch.tensor(v, dtype=torch.float64) for v in ([0.3, -1.0, 2.0], [0.0, 0.7, 1.5]))

    def density(x, t):
        return stats.norm.pdf(x, 0.5 + t, np.sqrt(1 + 0.5 * t))

    h, a, b = 1e-4, x.numpy(), t.numpy()

    def flux(x, t):
        return density(x, t) * (0.5 + (-1 + 0.25 * t) * x)

    expected = (density(a, b + h) - density(a, b - h)) / (2 * h) + (flux(a + h, b) - flux(a - h, b)) / (2 * h)
    curvature = (density(a + h, b) - 2 * density(a, b) + density(a - h, b)) / h**2
    residual = fokker_planck_residual(p, u, sigma, x, t)
    np.testing.assert_allclose(residual.detach(), expected - sigma**2 / 2 * curvature, atol=1e-6)


def test_true_pairs_have_no_residual():
    """A Gaussian that relaxes under dX = -X dt + sqrt(2) dW: mean e^-t, variance 1 + 3 e^-2t."""

    def p(x, t):
        variance = 1 + 3 * torch.exp(-2 * t)
        return torch.exp(-((x - torch.exp(-t)) ** 2) / (2 * variance)) / variance.sqrt()

    x, t = torch.linspace(-3, 3, 7).double(), torch.linspace(0, 2, 7).double()
    residual = fokker_planck_residual(p, lambda x, t: -x, math.sqrt(2), x, t)
    torch.testing.assert_close(residual, torch.zeros_like(x), rtol=0, atol=1e-14)
    constant = fokker_planck_residual(lambda x, t: 0 * (x + t) + 1, lambda x, t: 2 + 0 * x, 1.0, x, t)
    torch.testing.assert_close(constant, torch.zeros_like(x))
    with pytest.raises(ValueError, match="sigma"):
        fokker_planck_residual(p, lambda x, t: -x, -1.0, x, t)


def test_edm_coefficients_are_the_least_squares_ones():
    """c_skip is the regression of z on x, c_out what it leaves, c_in one over the deviation of x."""
    sigma = torch.tensor([0.002, 0.5, 80.0], dtype=torch.float64)
    c_skip, c_out, c_in, c_noise = edm_preconditioning(sigma)
    np.testing.assert_allclose(c_skip, 0.25 / (0.25 + sigma.numpy() ** 2))
    np.testing.assert_allclose(c_out**2, 0.25 - 0.25**2 / (0.25 + sigma.numpy() ** 2), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(c_in, 1 / np.hypot(0.5, sigma.numpy()))
    np.testing.assert_allclose(c_noise, np.log(sigma.numpy()) / 4)


def test_edm_golden_levels():
    levels = edm_sigmas(18)
    assert levels.dtype == torch.float32
    assert levels.shape == (18,)
    assert levels[0].item() == pytest.approx(80)
    assert levels[1].item() == pytest.approx(57.58598, rel=1e-6)
    assert levels[-1].item() == pytest.approx(0.002, rel=1e-5)
    assert edm_sigmas(4, dtype=torch.float64).dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("sigma", lambda: edm_preconditioning(torch.tensor([0.0]))),
        ("sigma_data", lambda: edm_preconditioning(torch.ones(1), 0.0)),
        ("n must", lambda: edm_sigmas(1)),
        ("sigma_min", lambda: edm_sigmas(3, 2.0, 1.0)),
        ("rho", lambda: edm_sigmas(3, rho=0.0)),
    ],
)
def test_edm_outside_its_domain_is_rejected(name, call):
    with pytest.raises(ValueError, match=name):
        call()


def test_probes_say_what_they_take():
    x = torch.zeros(3)
    for kind in ("VectorField", "Energy"):
        with pytest.raises(ValueError, match="batch dimension"):
            Probe(kind).build()(x)
    with pytest.raises(ValueError, match="t must be one time"):
        Drift()(torch.zeros(3, 2), torch.zeros(2))
    times = torch.tensor([0.5, 0.5, 0.5])
    torch.testing.assert_close(Drift()(torch.ones(3, 2), times), Drift()(torch.ones(3, 2), 0.5))
    torch.testing.assert_close(Density()(x, times), Density()(x, times[0]))
    assert Diffusion()(0.5) == Diffusion()(times[0]).item() == 0.625
