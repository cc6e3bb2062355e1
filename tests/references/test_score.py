"""The references of week 12 agree with autograd, with numpy written out and with exact expectations."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from autograder.probes import KINDS, Power, Probe, TimeModel
from reference_impl.score import denoising_score_matching_loss, gaussian_score, langevin_step


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
