"""Week 11 against golden numbers, Gaussian algebra in numpy, and data whose best denoiser is known."""

import math

import numpy as np
import pytest
import torch

from autograder.probes import TimeModel
from reference_impl.diffusion import alpha_bars, ddim_step, linear_betas, q_sample, sample


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


X = torch.zeros(2, 3)
SCHEDULE = torch.tensor([0.75, 0.5])


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
