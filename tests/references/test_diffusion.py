"""Week 11 against golden numbers, Gaussian algebra in numpy, and data whose best denoiser is known."""

import math

import numpy as np
import pytest
import torch

from autograder.probes import PairEncoder, TimeModel
from reference_impl.diffusion import (
    action_chunk_denoise,
    alpha_bars,
    cascade_condition,
    cosine_alpha_bars,
    ddim_step,
    ddim_timesteps,
    ddpm_step,
    guided_noise,
    latent_diffusion_loss,
    linear_betas,
    noise_prediction_loss,
    posterior_mean_variance,
    predict_eps,
    predict_x0,
    q_sample,
    sample,
    score_from_eps,
    velocity,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


BETAS = torch.tensor([0.1, 0.15, 0.3, 0.45, 0.5], dtype=torch.float64)
BARS = torch.tensor([0.9, 0.765, 0.5355, 0.294525, 0.1472625], dtype=torch.float64)


def test_linear_schedule_of_ho_et_al():
    betas = linear_betas(1000, dtype=torch.float64)
    bars = alpha_bars(betas)
    assert float(bars[-1]) == pytest.approx(4.0358298e-5, rel=1e-7)
    assert float(bars[499]) == pytest.approx(0.0785872, abs=5e-8)
    assert float(betas[1] * (1 - bars[0]) / (1 - bars[1])) == pytest.approx(5.45319e-5, rel=1e-6)


@pytest.mark.parametrize("T", [1, 2, 7, 1000])
def test_linear_betas_are_numpys(T):
    np.testing.assert_allclose(
        linear_betas(T, 0.01, 0.3, torch.float64), np.linspace(0.01, 0.3, T), rtol=1e-14
    )
    assert linear_betas(T).dtype is torch.float32


def test_alpha_bars_by_hand():
    torch.testing.assert_close(alpha_bars(BETAS), BARS)


def test_q_sample_has_the_moments_of_the_chain_of_steps():
    mean, variance = 1.0, 0.0
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    for t, beta in enumerate(BETAS.tolist()):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        assert float(q_sample(one, torch.tensor([t]), zero, BARS)) == pytest.approx(mean)
        assert float(q_sample(zero, torch.tensor([t]), one, BARS)) == pytest.approx(math.sqrt(variance))


def test_q_sample_takes_a_step_per_example():
    x0, eps, t = random(3, 2, 4, seed=1), random(3, 2, 4, seed=2), torch.tensor([4, 0, 2])
    for i, x in enumerate(q_sample(x0, t, eps, BARS)):
        a = float(BARS[t[i]])
        torch.testing.assert_close(x, math.sqrt(a) * x0[i] + math.sqrt(1 - a) * eps[i])


def test_cosine_schedule_of_nichol_and_dhariwal():
    bars = cosine_alpha_bars(1000, dtype=torch.float64)
    assert 1 - float(bars[0]) == pytest.approx(4.12842e-5, rel=1e-5)
    assert float(bars[499]) == pytest.approx(0.493844, abs=5e-7)
    assert float(bars[-1]) == pytest.approx(2.4288e-9, rel=2e-5)
    assert cosine_alpha_bars(3).dtype is torch.float32


@pytest.mark.parametrize(("T", "s"), [(1, 0.008), (2, 0.0), (7, 0.008), (50, 0.3)])
def test_cosine_alpha_bars_step_by_step(T, s):
    def f(u):
        return math.cos(math.pi / 2 * (u + s) / (1 + s)) ** 2

    share, expected = 1.0, []
    for t in range(T):
        share *= 1 - min(0.999, 1 - f((t + 1) / T) / f(t / T))
        expected.append(share)
    np.testing.assert_allclose(cosine_alpha_bars(T, s, torch.float64), expected, rtol=1e-12)


STEPS = torch.tensor([4, 0, 2])


def test_the_noise_loss_is_numpys_mean():
    x0, eps, model = random(3, 2, 4, seed=1), random(3, 2, 4, seed=2), TimeModel(mixing=0.5)
    squares = []
    for i, t in enumerate(STEPS.tolist()):
        a = float(BARS[t])
        x_t = math.sqrt(a) * x0[i].numpy() + math.sqrt(1 - a) * eps[i].numpy()
        told = np.tanh(0.5 * x_t + 0.25) * np.cos(0.75 * t + 1) + t * x_t / 4 + 0.5 * x_t.mean()
        squares.append((told - eps[i].numpy()) ** 2)
    assert noise_prediction_loss(model, x0, STEPS, eps, BARS).item() == pytest.approx(np.mean(squares))


def test_the_noise_loss_trains_the_model():
    """The gradient by the model's parameter a, by central differences."""
    x0, eps = random(3, 2, seed=1), random(3, 2, seed=2)
    model = TimeModel().requires_grad_()
    noise_prediction_loss(model, x0, STEPS, eps, BARS).backward()
    up, down = (noise_prediction_loss(TimeModel(a=a), x0, STEPS, eps, BARS) for a in (0.501, 0.499))
    assert model.a.grad.item() == pytest.approx(float(up - down) / 0.002, rel=1e-5)


def test_data_noise_and_velocity_lie_on_a_circle():
    """Angle phi with cos(phi) = sqrt(alpha_bar): x_t = cos x0 + sin eps and v is its derivative by phi."""
    x0, eps = random(3, 2, 4, seed=1), random(3, 2, 4, seed=2)
    phi = torch.acos(BARS.sqrt())[STEPS][:, None, None]
    x_t = torch.cos(phi) * x0 + torch.sin(phi) * eps
    torch.testing.assert_close(q_sample(x0, STEPS, eps, BARS), x_t)
    torch.testing.assert_close(predict_x0(x_t, STEPS, eps, BARS), x0)
    torch.testing.assert_close(predict_eps(x_t, STEPS, x0, BARS), eps)
    h = 1e-5
    ahead, behind = (torch.cos(phi + d) * x0 + torch.sin(phi + d) * eps for d in (h, -h))
    torch.testing.assert_close(
        velocity(x0, STEPS, eps, BARS), (ahead - behind) / (2 * h), atol=1e-9, rtol=1e-9
    )


def test_the_score_is_the_gradient_of_the_log_density():
    x0, eps = random(3, 2, 4, seed=1), random(3, 2, 4, seed=2)
    x_t = q_sample(x0, STEPS, eps, BARS).requires_grad_()
    a = BARS[STEPS][:, None, None]
    density = torch.distributions.Normal(a.sqrt() * x0, (1 - a).sqrt())
    (gradient,) = torch.autograd.grad(density.log_prob(x_t).sum(), x_t)
    torch.testing.assert_close(score_from_eps(eps, STEPS, BARS), gradient)


def test_one_step_for_all_is_taken_too():
    x0, eps, all_two = random(3, 2, seed=1), random(3, 2, seed=2), torch.full((3,), 2)
    for function in (q_sample, predict_x0, predict_eps, velocity):
        torch.testing.assert_close(function(x0, 2, eps, BARS), function(x0, all_two, eps, BARS))
    torch.testing.assert_close(score_from_eps(eps, 2, BARS), score_from_eps(eps, all_two, BARS))
    for one, many in zip(
        posterior_mean_variance(x0, eps, 2, BETAS),
        posterior_mean_variance(x0, eps, all_two, BETAS),
        strict=True,
    ):
        torch.testing.assert_close(one.expand(3, -1), many.expand(3, -1))


@pytest.mark.parametrize(("t", "t_prev"), [(4, 3), (4, 1), (3, 0), (2, -1), (0, -1)])
def test_deterministic_ddim_is_eulers_step_of_the_flow_in_noise_to_signal(t, t_prev):
    """Song et al., 2021, equation 13: x / sqrt(a) moves by eps times the change of sqrt((1 - a) / a)."""
    x, eps, noise = (random(2, 3, seed=s) for s in range(3))
    a, b = float(BARS[t]), float(BARS[t_prev]) if t_prev >= 0 else 1.0
    moved = x / math.sqrt(a) + (math.sqrt((1 - b) / b) - math.sqrt((1 - a) / a)) * eps
    torch.testing.assert_close(ddim_step(x, t, t_prev, eps, BARS, 0.0, noise), math.sqrt(b) * moved)


def posterior(x0, x, t):
    """Mean and variance of q(x_{t-1} | x_t, x_0), t > 0, by Bayes' rule: precisions of Gaussians add up."""
    beta, before = float(BETAS[t]), float(BARS[t - 1])
    prior, likelihood = 1 / (1 - before), (1 - beta) / beta
    mean = (prior * math.sqrt(before) * x0 + likelihood * x / math.sqrt(1 - beta)) / (prior + likelihood)
    return mean, 1 / (prior + likelihood)


def test_the_posterior_is_that_of_bayes_rule():
    x0, x_t, t = random(5, 2, 3, seed=1), random(5, 2, 3, seed=2), torch.tensor([3, 0, 4, 1, 2])
    means, variances = posterior_mean_variance(x0, x_t, t, BETAS)
    assert variances.shape == (5, 1, 1)
    for i, step in enumerate(t.tolist()):
        mean, variance = posterior(x0[i], x_t[i], step) if step else (x0[i], 0.0)
        torch.testing.assert_close(means[i], mean)
        assert float(variances[i]) == pytest.approx(variance)


def test_posterior_variances_of_the_linear_schedule():
    betas, x = linear_betas(1000, dtype=torch.float64), random(2, 1)
    mean, variance = posterior_mean_variance(x, random(2, 1, seed=1), torch.tensor([1, 0]), betas)
    assert variance.flatten().tolist() == [pytest.approx(5.45319e-5, rel=1e-6), 0.0]
    torch.testing.assert_close(mean[1], x[1], rtol=1e-15, atol=0)


def test_at_the_first_step_the_posterior_is_the_data_also_in_float32():
    x, t = random(4, 2).float(), torch.zeros(4, dtype=torch.int64)
    mean, _ = posterior_mean_variance(x, 100 * x, t, linear_betas(1000))
    torch.testing.assert_close(mean, x, rtol=2e-7, atol=0)


@pytest.mark.parametrize("t", range(5))
def test_a_ddpm_step_draws_from_the_posterior_at_the_predicted_data(t):
    x, eps, noise = (random(2, 3, seed=s) for s in range(3))
    a = float(BARS[t])
    x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
    mean, variance = posterior(x0, x, t) if t else (x0, 0.0)
    torch.testing.assert_close(ddpm_step(x, t, eps, BETAS, noise), mean + math.sqrt(variance) * noise)


@pytest.mark.parametrize("t", range(5))
def test_ddpm_is_ddim_with_eta_one_and_adjacent_steps(t):
    x, eps, noise = (random(2, 3, seed=s) for s in range(3))
    torch.testing.assert_close(
        ddpm_step(x, t, eps, BETAS, noise), ddim_step(x, t, t - 1, eps, BARS, 1.0, noise)
    )


def test_ddim_timesteps_by_hand():
    assert ddim_timesteps(1000, 4) == [750, 500, 250, 0]
    assert ddim_timesteps(10, 3) == [6, 3, 0]
    assert ddim_timesteps(5, 5) == [4, 3, 2, 1, 0]
    assert ddim_timesteps(5, 3) == [2, 1, 0]
    assert ddim_timesteps(7, 1) == [0]


@pytest.mark.parametrize("t", range(1, 5))
def test_ddim_with_eta_one_draws_from_the_posterior(t):
    x0, eps, noise = (random(2, 3, seed=s) for s in range(3))
    x = q_sample(x0, torch.full((2,), t), eps, BARS)
    mean, variance = posterior(x0, x, t)
    torch.testing.assert_close(
        ddim_step(x, t, t - 1, eps, BARS, 1.0, noise), mean + math.sqrt(variance) * noise
    )


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("t", "t_prev"), [(4, 3), (4, 1), (3, 0), (2, -1), (0, -1)])
def test_ddim_keeps_the_marginals(t, t_prev, eta):
    """The step takes x_t = sqrt(a) x0 + sqrt(1 - a) eps to mean sqrt(b) x0 and variance 1 - b."""
    one, zero = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    a, b = float(BARS[t]), float(BARS[t_prev]) if t_prev >= 0 else 1.0
    mean = ddim_step(math.sqrt(a) * one, t, t_prev, zero, BARS, eta, zero)
    direction = ddim_step(math.sqrt(1 - a) * one, t, t_prev, one, BARS, eta, zero)
    fresh = ddim_step(zero, t, t_prev, zero, BARS, eta, one)
    assert float(mean) == pytest.approx(math.sqrt(b))
    assert float(direction**2 + fresh**2) == pytest.approx(1 - b, abs=1e-12)


def test_sample_predicts_x0_and_draws_from_the_posterior():
    x, noises = random(2, 3, seed=4), random(5, 2, 3, seed=5)
    found = sample(TimeModel(counting=True), x, BETAS, noises)
    model = TimeModel(counting=True)
    for t in (4, 3, 2, 1, 0):
        a = float(BARS[t])
        x0 = (x - math.sqrt(1 - a) * model(x, torch.full((2,), t))) / math.sqrt(a)
        if t:
            mean, variance = posterior(x0, x, t)
            x = mean + math.sqrt(variance) * noises[t]
    torch.testing.assert_close(found, x0)


def test_sample_draws_gaussian_data_with_the_best_denoiser():
    """For data N(m, s^2) the best prediction of the noise is linear; many steps give mean and std back."""
    m, s, T, n = 2.0, 0.5, 200, 20_000
    betas = linear_betas(T, 1e-3, 0.1, torch.float64)
    bars = alpha_bars(betas)

    def best(x, t):
        a = bars[t[0]]
        return (1 - a).sqrt() * (x - a.sqrt() * m) / (a * s**2 + 1 - a)

    x = sample(best, random(n, 1, seed=6), betas, random(T, n, 1, seed=7))
    assert float(x.mean()) == pytest.approx(m, abs=0.03)
    assert float(x.std()) == pytest.approx(s, abs=0.03)


def test_guidance_goes_through_both_predictions():
    uncond, cond = random(2, 3, seed=1), random(2, 3, seed=2)
    for w in (-1.0, 0.0, 0.3, 1.0, 7.5):
        torch.testing.assert_close(guided_noise(uncond, cond, w), torch.lerp(uncond, cond, w))


def test_guidance_is_the_score_of_a_sharpened_posterior():
    """p(x) p(c | x)^w: for Gaussians of one width its score is that of the mixed noises."""
    x = random(4, 1)
    std = 0.7
    uncond, cond = (torch.distributions.Normal(m, std) for m in (0.0, 1.5))
    x.requires_grad_()
    for w in (0.5, 3.0):
        log_density = uncond.log_prob(x) + w * (cond.log_prob(x) - uncond.log_prob(x))
        (score,) = torch.autograd.grad(log_density.sum(), x)
        mixed = guided_noise(x.detach() / std, (x.detach() - 1.5) / std, w)
        torch.testing.assert_close(score, -mixed / std)


def test_latent_diffusion_is_the_noise_loss_of_scaled_latents():
    x, eps = random(3, 2, 4, seed=1), random(3, 2, 2, seed=2)
    latents = 0.4 * np.stack(
        [np.tanh(0.5 * x[..., 2 * i].numpy()) + x[..., 2 * i + 1].numpy() / 4 for i in (0, 1)], -1
    )
    a = BARS[STEPS].numpy()[:, None, None]
    z_t = np.sqrt(a) * latents + np.sqrt(1 - a) * eps.numpy()
    t = STEPS.numpy()[:, None, None]
    told = np.tanh(0.5 * z_t + 0.25) * np.cos(0.75 * t + 1) + t * z_t / 4
    loss = latent_diffusion_loss(PairEncoder(), 0.4, TimeModel(), x, STEPS, eps, BARS)
    assert loss.item() == pytest.approx(np.mean((told - eps.numpy()) ** 2))


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_the_condition_of_a_cascade_pixel_by_pixel(factor):
    low, eps, t = (
        random(2, 3, 2, 4, seed=1),
        random(2, 3, 2 * factor, 4 * factor, seed=2),
        torch.tensor([3, 1]),
    )
    found = cascade_condition(low, factor, eps, t, BARS)
    for b in range(2):
        a = float(BARS[t[b]])
        for i in range(2 * factor):
            for j in range(4 * factor):
                pixel = (
                    math.sqrt(a) * low[b, :, i // factor, j // factor] + math.sqrt(1 - a) * eps[b, :, i, j]
                )
                torch.testing.assert_close(found[b, :, i, j], pixel)


def test_a_plan_is_sampled_whole_and_cut_afterwards():
    noise, noises = random(2, 4, 3, seed=1), random(5, 2, 4, 3, seed=2)
    plan = sample(TimeModel(mixing=0.5), noise, BETAS, noises)
    for execute in (1, 3, 4):
        found = action_chunk_denoise(TimeModel(mixing=0.5), noise, BETAS, noises, execute)
        torch.testing.assert_close(found, plan[:, :execute])


X = torch.zeros(2, 3)
SCHEDULE = torch.tensor([0.75, 0.5])
T01 = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("T", lambda: linear_betas(0)),
        ("first", lambda: linear_betas(3, 0.0, 0.5)),
        ("last", lambda: linear_betas(3, 0.1, 1.0)),
        ("betas", lambda: alpha_bars(torch.tensor([0.1, 1.0]))),
        ("t", lambda: q_sample(X, torch.tensor([0, 2]), X, SCHEDULE)),
        ("t", lambda: q_sample(X, torch.tensor([-1, 0]), X, SCHEDULE)),
        ("alpha_bars", lambda: q_sample(X, torch.tensor([0, 1]), X, torch.tensor([1.5, 0.5]))),
        ("T", lambda: cosine_alpha_bars(0)),
        ("s", lambda: cosine_alpha_bars(3, -0.1)),
        ("t", lambda: noise_prediction_loss(TimeModel(), X, torch.tensor([0, 2]), X, SCHEDULE)),
        ("t", lambda: predict_x0(X, torch.tensor([0, 2]), X, SCHEDULE)),
        ("alpha_bars", lambda: predict_x0(X, T01, X, torch.tensor([0.5, 0.0]))),
        ("t", lambda: predict_eps(X, torch.tensor([-1, 0]), X, SCHEDULE)),
        ("alpha_bars", lambda: predict_eps(X, T01, X, torch.tensor([1.0, 0.5]))),
        ("t", lambda: velocity(X, torch.tensor([0, 2]), X, SCHEDULE)),
        ("alpha_bars", lambda: velocity(X, T01, X, torch.tensor([-0.5, 0.5]))),
        ("t", lambda: score_from_eps(X, torch.tensor([0, 2]), SCHEDULE)),
        ("alpha_bars", lambda: score_from_eps(X, T01, torch.tensor([1.0, 0.5]))),
        ("t", lambda: posterior_mean_variance(X, X, torch.tensor([0, 2]), SCHEDULE)),
        ("betas", lambda: posterior_mean_variance(X, X, T01, torch.tensor([0.5, 1.0]))),
        ("t", lambda: ddpm_step(X, 2, X, SCHEDULE, X)),
        ("t", lambda: ddpm_step(X, -1, X, SCHEDULE, X)),
        ("betas", lambda: ddpm_step(X, 0, X, torch.tensor([0.5, 0.0]), X)),
        ("n", lambda: ddim_timesteps(5, 6)),
        ("n", lambda: ddim_timesteps(5, 0)),
        ("eps_cond", lambda: guided_noise(X, X[:1], 0.5)),
        ("scale", lambda: latent_diffusion_loss(PairEncoder(), 0.0, TimeModel(), X, T01, X, SCHEDULE)),
        ("factor", lambda: cascade_condition(X[None], 0, X[None], T01[:1], SCHEDULE)),
        ("eps", lambda: cascade_condition(X[None, None], 2, X[None, None], T01[:1], SCHEDULE)),
        ("execute", lambda: action_chunk_denoise(TimeModel(), X[None], SCHEDULE, X[None, None], 3)),
        ("execute", lambda: action_chunk_denoise(TimeModel(), X[None], SCHEDULE, X[None, None], 0)),
        ("t", lambda: ddim_step(X, 2, 0, X, SCHEDULE, 0.0, X)),
        ("t_prev", lambda: ddim_step(X, 1, 1, X, SCHEDULE, 0.0, X)),
        ("t_prev", lambda: ddim_step(X, 1, -2, X, SCHEDULE, 0.0, X)),
        ("eta", lambda: ddim_step(X, 1, 0, X, SCHEDULE, 1.5, X)),
        ("alpha_bars", lambda: ddim_step(X, 1, 0, X, torch.tensor([1.0, 0.5]), 0.0, X)),
        ("noises", lambda: sample(TimeModel(), X, SCHEDULE, torch.zeros(3, 2, 3))),
        ("betas", lambda: sample(TimeModel(), X, torch.tensor([0.5, 1.5]), torch.zeros(2, 2, 3))),
    ],
)
def test_outside_the_domain_the_argument_is_named(argument, call):
    with pytest.raises(ValueError, match=rf"^{argument} must"):
        call()
