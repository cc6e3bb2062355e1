"""The references of week 7 agree with scipy, with quadrature and with numpy written out."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from reference_impl.vae import (
    VAE,
    bernoulli_log_likelihood,
    elbo,
    kl_to_standard_normal,
    reparameterize,
    vae_loss,
)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(7)


def normal(*shape, generator):
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def nodes(n=80):
    """Points and weights with which sums are expectations under N(0, 1)."""
    points, weights = np.polynomial.hermite_e.hermegauss(n)
    return torch.from_numpy(points), torch.from_numpy(weights / weights.sum())


def test_reparameterized_draws_have_the_right_mean_and_variance():
    mu, logvar = torch.tensor(-1.5, dtype=torch.float64), torch.tensor(math.log(4.0), dtype=torch.float64)
    eps, weight = nodes()
    z = reparameterize(mu.expand(80, 1), logvar.expand(80, 1), eps[:, None])[:, 0]
    mean = (weight * z).sum()
    torch.testing.assert_close(mean, mu)
    torch.testing.assert_close((weight * (z - mean) ** 2).sum(), logvar.exp())


def test_reparameterized_draws_are_quantiles_of_the_normal(rng):
    mu, logvar, eps = (normal(3, 2, generator=rng) for _ in range(3))
    expected = stats.norm.ppf(stats.norm.cdf(eps.numpy()), mu.numpy(), np.sqrt(np.exp(logvar.numpy())))
    np.testing.assert_allclose(reparameterize(mu, logvar, eps), expected, rtol=1e-9)


def test_gradients_reach_mean_and_variance():
    mu, logvar = torch.zeros(1, 1, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    reparameterize(mu, logvar, torch.full((1, 1), 3.0)).sum().backward()
    assert (mu.grad.item(), logvar.grad.item()) == (1.0, 1.5)


def test_kl_golden_number():
    one = torch.ones(1)
    torch.testing.assert_close(
        kl_to_standard_normal(one, math.log(4) * one), torch.tensor(1.306853), atol=1e-6, rtol=0
    )


def test_kl_is_the_expected_log_ratio(rng):
    mu, logvar = normal(4, 3, generator=rng), normal(4, 3, generator=rng)
    std = np.sqrt(np.exp(logvar.numpy()))
    points, weights = nodes(20)
    expected = np.zeros((4, 3))
    for point, weight in zip(points.numpy(), weights.numpy(), strict=True):
        z = mu.numpy() + std * point
        expected += weight * (stats.norm.logpdf(z, mu.numpy(), std) - stats.norm.logpdf(z))
    np.testing.assert_allclose(kl_to_standard_normal(mu, logvar), expected.sum(-1), rtol=1e-9)


def test_kl_is_torchs(rng):
    mu, logvar = normal(2, 5, generator=rng), normal(2, 5, generator=rng)
    q = torch.distributions.Normal(mu, logvar.exp().sqrt())
    prior = torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(mu))
    torch.testing.assert_close(
        kl_to_standard_normal(mu, logvar), torch.distributions.kl_divergence(q, prior).sum(-1)
    )


def test_bernoulli_agrees_with_scipy(rng):
    logits = normal(5, 3, generator=rng)
    x = (normal(5, 3, generator=rng) > 0).double()
    expected = stats.bernoulli.logpmf(x.numpy(), 1 / (1 + np.exp(-logits.numpy()))).sum(-1)
    np.testing.assert_allclose(bernoulli_log_likelihood(logits, x), expected, rtol=1e-9)


def test_bernoulli_interpolates_grey_values(rng):
    logits = normal(4, 1, generator=rng)
    grey = torch.full_like(logits, 0.25)
    black = bernoulli_log_likelihood(logits, torch.zeros_like(logits))
    white = bernoulli_log_likelihood(logits, torch.ones_like(logits))
    torch.testing.assert_close(bernoulli_log_likelihood(logits, grey), 0.75 * black + 0.25 * white)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bernoulli_survives_large_logits(dtype):
    logits = torch.tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype)
    x = torch.tensor([1.0, 0.0, 0.0, 1.0], dtype=dtype)
    assert bernoulli_log_likelihood(logits[:, None], x[:, None]).tolist() == [0.0, 0.0, -1e4, -1e4]


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_x_outside_the_unit_interval_is_rejected(bad):
    logits, x, latent = torch.zeros(1, 2), torch.tensor([[0.5, bad]]), torch.zeros(1, 1)
    for call in (
        lambda: bernoulli_log_likelihood(logits, x),
        lambda: elbo(x, logits, latent, latent),
        lambda: vae_loss(x, logits, latent, latent),
    ):
        with pytest.raises(ValueError, match="x must lie"):
            call()


def test_negative_beta_is_rejected():
    with pytest.raises(ValueError, match="beta"):
        vae_loss(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 1), torch.zeros(1, 1), -0.5)


def test_elbo_bounds_the_evidence_and_meets_it_at_the_posterior():
    """One latent, two pixels with logits w z + b: E_q[elbo] = log p(x) - KL(q || p(z | x)), by quadrature."""
    w, b = torch.tensor([0.75, -0.5]), torch.tensor([0.25, 0.5])
    x = torch.tensor([1.0, 0.0])
    grid = np.linspace(-12, 12, 20001)
    logits = grid[:, None] * w.numpy() + b.numpy()
    likelihood = np.prod(np.where(x.numpy() == 1, 1, np.exp(-logits)) / (1 + np.exp(-logits)), -1)
    joint = stats.norm.pdf(grid) * likelihood
    evidence = integrate.trapezoid(joint, grid)
    posterior = joint / evidence
    points, weights = nodes()
    for mean, logvar in [(0.0, 0.0), (0.5, -0.25), (1.0, -1.0)]:
        mu, lv = torch.full((80, 1), mean).double(), torch.full((80, 1), logvar).double()
        z = reparameterize(mu, lv, points[:, None])
        bound = (weights * elbo(x.double().expand(80, 2), z * w + b, mu, lv)).sum().item()
        q = stats.norm.pdf(grid, mean, math.exp(logvar / 2))
        gap = integrate.trapezoid(
            q * (stats.norm.logpdf(grid, mean, math.exp(logvar / 2)) - np.log(posterior)), grid
        )
        assert bound <= math.log(evidence)
        assert bound == pytest.approx(math.log(evidence) - gap, abs=1e-8)


def test_loss_is_minus_the_mean_elbo_and_beta_weighs_the_kl(rng):
    x = torch.rand(2, 3, 5, generator=rng, dtype=torch.float64)
    logits, mu, logvar = (normal(2, 3, d, generator=rng) for d in (5, 2, 2))
    per_example = elbo(x, logits, mu, logvar)
    assert per_example.shape == (2, 3)
    torch.testing.assert_close(vae_loss(x, logits, mu, logvar), -per_example.sum() / 6)
    extra = 3 * kl_to_standard_normal(mu, logvar).mean()
    torch.testing.assert_close(vae_loss(x, logits, mu, logvar, 4.0), vae_loss(x, logits, mu, logvar) + extra)


def test_vae_written_out_in_numpy(rng):
    model = VAE(5, 3, 2).double()
    x, eps = torch.rand(4, 5, generator=rng, dtype=torch.float64), normal(4, 2, generator=rng)
    p = {name: value.detach().numpy() for name, value in model.state_dict().items()}

    def layer(name, v):
        return v @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    h = np.tanh(layer("encoder", x.numpy()))
    mu, logvar = layer("mu", h), layer("logvar", h)
    expected = layer("logits", np.tanh(layer("decoder", mu + np.exp(logvar) ** 0.5 * eps.numpy())))
    for got, right in zip(model(x, eps), (expected, mu, logvar), strict=True):
        np.testing.assert_allclose(got.detach(), right, rtol=1e-12)
    pixels = 1 / (1 + np.exp(-layer("logits", np.tanh(layer("decoder", eps.numpy())))))
    np.testing.assert_allclose(model.sample(eps).detach(), pixels, rtol=1e-12)


def test_vae_learns():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = VAE(4, 8, 1)
    x = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]).repeat(16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(300):
        loss = vae_loss(x, *model(x, torch.randn(32, 1, generator=generator)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 2.5
    assert sum(losses[-20:]) / 20 < 1.2  # the evidence of one of two patterns is ln 2 = 0.69
