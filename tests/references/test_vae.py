"""The references of week 7 agree with scipy, with quadrature and with numpy written out."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from scipy.cluster.vq import vq
from scipy.spatial import geometric_slerp
from torch import nn

from reference_impl.vae import (
    VAE,
    bernoulli_log_likelihood,
    conv_vae_tables,
    elbo,
    gaussian_log_likelihood,
    interpolate_latents,
    iwae_bound,
    kl_to_standard_normal,
    reparameterize,
    vae_loss,
    vector_quantize,
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


def test_gaussian_agrees_with_scipy(rng):
    x, mean, logvar = (normal(2, 4, 3, generator=rng) for _ in range(3))
    expected = stats.norm.logpdf(x.numpy(), mean.numpy(), np.exp(logvar.numpy() / 2)).sum(-1)
    np.testing.assert_allclose(gaussian_log_likelihood(x, mean, logvar), expected, rtol=1e-12)


def test_gaussian_golden_numbers():
    zero, one = torch.zeros(1), torch.ones(1)
    assert gaussian_log_likelihood(zero, zero, zero).item() == pytest.approx(-0.9189385)
    assert gaussian_log_likelihood(2 * one, zero, math.log(4) * one).item() == pytest.approx(-2.1120857)


@pytest.mark.parametrize("logvar", [-20.0, 20.0])
def test_gaussian_is_right_for_extreme_variances(logvar):
    x, mean = torch.tensor([100.0]), torch.tensor([-1.0])
    expected = stats.norm.logpdf(100, -1, math.exp(logvar / 2))
    assert gaussian_log_likelihood(x, mean, torch.tensor([logvar])).item() == pytest.approx(
        expected, rel=1e-6
    )


def test_kl_is_the_mean_difference_of_gaussian_log_likelihoods(rng):
    mu, logvar = normal(1, generator=rng), normal(1, generator=rng)
    points, weights = nodes()
    z = reparameterize(mu.expand(80, 1), logvar.expand(80, 1), points[:, None])
    log_q = gaussian_log_likelihood(z, mu.expand(80, 1), logvar.expand(80, 1))
    log_p = gaussian_log_likelihood(z, torch.zeros_like(z), torch.zeros_like(z))
    torch.testing.assert_close((weights * (log_q - log_p)).sum(), kl_to_standard_normal(mu, logvar))


def test_iwae_agrees_with_scipy(rng):
    log_w = 30 * normal(7, 5, generator=rng)
    expected = special.logsumexp(log_w.numpy(), axis=0, b=1 / 7)
    np.testing.assert_allclose(iwae_bound(log_w), expected, rtol=1e-12)


def test_iwae_is_the_evidence_where_q_is_the_posterior(rng):
    """z ~ N(0, 1) and x ~ N(z, 1): p(x) = N(0, 2), and the posterior is N(x / 2, 1 / 2)."""
    x = normal(4, generator=rng)
    half = torch.full((6, 4, 1), math.log(0.5), dtype=torch.float64)
    z = reparameterize((x / 2)[:, None].expand(6, 4, 1), half, normal(6, 4, 1, generator=rng))
    zero = torch.zeros_like(z)
    log_w = gaussian_log_likelihood(x[:, None].expand(6, 4, 1), z, zero)
    log_w += gaussian_log_likelihood(z, zero, zero)
    log_w -= gaussian_log_likelihood(z, (x / 2)[:, None].expand(6, 4, 1), half)
    np.testing.assert_allclose(iwae_bound(log_w), stats.norm.logpdf(x.numpy(), 0, math.sqrt(2)), rtol=1e-12)


def test_iwae_grows_from_the_elbo_towards_the_evidence(rng):
    """The same model with q = N(0, 1): exact expectations over K = 1 and K = 2 samples, by quadrature."""
    points, weights = nodes()
    log_w = gaussian_log_likelihood(torch.ones(80, 1).double(), points[:, None], torch.zeros(80, 1).double())
    elbo_ = (weights * iwae_bound(log_w[None])).sum().item()
    pairs = torch.stack([log_w.repeat_interleave(80), log_w.repeat(80)])
    two = ((weights[:, None] * weights).flatten() * iwae_bound(pairs)).sum().item()
    assert elbo_ == pytest.approx(-math.log(2 * math.pi) / 2 - 1)  # E (1 - z)^2 / 2 = 1
    assert elbo_ < two - 0.1 and two < stats.norm.logpdf(1, 0, math.sqrt(2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_iwae_survives_large_weights_side_by_side(dtype):
    log_w = torch.tensor([[1e4, -1e4], [1e4, -1e4]], dtype=dtype)
    assert iwae_bound(log_w).tolist() == pytest.approx([1e4, -1e4])


def test_iwae_without_samples_is_rejected():
    with pytest.raises(ValueError, match="log_w"):
        iwae_bound(torch.zeros(0, 3))


def test_codes_are_scipys(rng):
    z, codebook = normal(50, 3, generator=rng), normal(7, 3, generator=rng)
    quantized, indices, codebook_loss, commitment_loss = vector_quantize(z, codebook)
    expected, distances = vq(z.numpy(), codebook.numpy())
    assert indices.tolist() == expected.tolist() and indices.dtype is torch.int64
    torch.testing.assert_close(quantized, codebook[indices])
    for loss in (codebook_loss, commitment_loss):
        assert loss.item() == pytest.approx((distances**2).sum() / z.numel())


def test_gradients_of_quantization(rng):
    z, codebook = (normal(n, 3, generator=rng).requires_grad_() for n in (5, 4))
    arriving = normal(5, 3, generator=rng)
    quantized, indices, codebook_loss, commitment_loss = vector_quantize(z, codebook)

    def gradients(loss):
        return torch.autograd.grad(loss, (z, codebook), allow_unused=True, retain_graph=True)

    to_z, to_codes = gradients((quantized * arriving).sum())
    torch.testing.assert_close(to_z, arriving)
    assert to_codes is None
    to_z, to_codes = gradients(codebook_loss)
    expected = torch.zeros_like(codebook).index_add(0, indices, 2 * (codebook[indices] - z) / 15)
    assert to_z is None
    torch.testing.assert_close(to_codes, expected)
    to_z, to_codes = gradients(commitment_loss)
    torch.testing.assert_close(to_z, 2 * (z - codebook[indices]) / 15)
    assert to_codes is None


def test_ties_go_to_the_first_code():
    codes = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    z = torch.tensor([[0.0, 3.0], [1.0, 0.0], [-2.0, 0.0]])
    assert vector_quantize(z, codes)[1].tolist() == [0, 0, 1]


def test_an_empty_codebook_is_rejected():
    with pytest.raises(ValueError, match="codebook"):
        vector_quantize(torch.zeros(2, 3), torch.zeros(0, 3))


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_slerp_is_scipys_on_the_unit_sphere(dim, rng):
    z0, z1 = nn.functional.normalize(normal(2, dim, generator=rng), dim=-1)
    expected = geometric_slerp(z0.numpy(), z1.numpy(), np.linspace(0, 1, 6))
    np.testing.assert_allclose(interpolate_latents(z0, z1, 6, True), expected, rtol=1e-9)


def test_slerp_has_the_published_weights_on_vectors_of_any_length(rng):
    z0, z1 = 3 * normal(2, 4, 3, generator=rng)
    path = interpolate_latents(z0, z1, 5, spherical=True)
    for i in range(4):
        a = math.acos(z0[i] @ z1[i] / (z0[i].norm() * z1[i].norm()))
        for k in range(5):
            t = k / 4
            expected = (math.sin((1 - t) * a) * z0[i] + math.sin(t * a) * z1[i]) / math.sin(a)
            torch.testing.assert_close(path[k, i], expected)


def test_line_is_numpys(rng):
    z0, z1 = normal(2, 4, 3, generator=rng)
    expected = np.linspace(z0.numpy(), z1.numpy(), 7)
    np.testing.assert_allclose(interpolate_latents(z0, z1, 7), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-3])
def test_slerp_of_vectors_in_one_direction_is_the_line(angle, dtype):
    z0 = torch.tensor([2.0, 0.0], dtype=dtype)
    z1 = torch.tensor([3 * math.cos(angle), 3 * math.sin(angle)], dtype=dtype)
    path = interpolate_latents(z0, z1, 5, True)
    torch.testing.assert_close(path, interpolate_latents(z0, z1, 5), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("z0", "z1", "n", "word"),
    [
        ([1.0, 0.0], [0.0, 1.0], 1, "n must"),
        ([0.0, 0.0], [0.0, 1.0], 3, "z0"),
        ([1.0, 2.0], [-2.0, -4.0], 3, "z1"),
    ],
)
def test_paths_outside_the_domain_are_rejected(z0, z1, n, word):
    with pytest.raises(ValueError, match=word):
        interpolate_latents(torch.tensor(z0), torch.tensor(z1), n, True)


def test_lines_through_the_origin_are_lines():
    path = interpolate_latents(torch.tensor([1.0, 2.0]), torch.tensor([-1.0, -2.0]), 3)
    assert path.tolist() == [[1.0, 2.0], [0.0, 0.0], [-1.0, -2.0]]


def summary(x, layers):
    """Output shapes and numbers of parameters and running statistics of torch's own layers."""
    rows = [(tuple(x.shape[1:]), 0)]
    for layer in layers:
        x = layer(x)
        state = layer.state_dict()
        rows.append((tuple(x.shape[1:]), sum(v.numel() for v in state.values() if v.is_floating_point())))
    return rows


def test_the_tables_are_those_of_torchs_layers():
    encoder, decoder = conv_vae_tables()
    layers = []
    for channels in (3, 128, 128, 128):
        layers += [nn.Conv2d(channels, 128, 3, stride=2, padding=1), nn.BatchNorm2d(128), nn.LeakyReLU()]
    assert encoder[:14] == summary(torch.zeros(2, 3, 32, 32), [*layers, nn.Flatten()])
    head = summary(torch.zeros(2, 512), [nn.Linear(512, 200)])[1]
    assert encoder[14:] == [head, head, ((200,), 0)]
    layers = [nn.Linear(200, 512), nn.BatchNorm1d(512), nn.LeakyReLU(), nn.Unflatten(1, (128, 2, 2))]
    for _ in range(4):
        layers.append(nn.ConvTranspose2d(128, 128, 3, stride=2, padding=1, output_padding=1))
        layers += [nn.BatchNorm2d(128), nn.LeakyReLU()]
    layers.append(nn.ConvTranspose2d(128, 3, 3, stride=1, padding=1))
    assert decoder == summary(torch.zeros(2, 200), layers)


def test_the_tables_totals():
    assert [sum(count for _, count in table) for table in conv_vae_tables()] == [653_584, 700_803]
