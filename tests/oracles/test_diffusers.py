"""Week 11 agrees with the schedulers of diffusers, where that is installed."""

import pytest
import torch

from reference_impl.diffusion import (
    alpha_bars,
    cosine_alpha_bars,
    ddim_step,
    ddim_timesteps,
    ddpm_step,
    linear_betas,
    predict_x0,
    q_sample,
    velocity,
)

diffusers = pytest.importorskip("diffusers", reason="install diffusers to compare with its schedulers")
pytestmark = pytest.mark.oracle

T = 50
COMMON = {"num_train_timesteps": T, "beta_start": 1e-3, "beta_end": 0.2, "clip_sample": False}


def random(seed: int) -> torch.Tensor:
    return torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["linear", "squaredcos_cap_v2"])
def ddpm(request):
    return diffusers.DDPMScheduler(**COMMON, beta_schedule=request.param, variance_type="fixed_small")


@pytest.fixture(params=["linear", "squaredcos_cap_v2"])
def ddim(request):
    return diffusers.DDIMScheduler(**COMMON, beta_schedule=request.param, set_alpha_to_one=True)


def test_schedules(ddpm):
    if ddpm.config.beta_schedule == "linear":
        torch.testing.assert_close(linear_betas(T, 1e-3, 0.2), ddpm.betas)
        torch.testing.assert_close(alpha_bars(ddpm.betas), ddpm.alphas_cumprod)
    else:
        torch.testing.assert_close(cosine_alpha_bars(T), ddpm.alphas_cumprod, rtol=1e-4, atol=1e-9)


def test_noise_and_velocity(ddpm):
    x0, eps, t, bars = random(0), random(1), torch.tensor([0, 10, 49, 3]), ddpm.alphas_cumprod
    torch.testing.assert_close(q_sample(x0, t, eps, bars), ddpm.add_noise(x0, eps, t))
    torch.testing.assert_close(velocity(x0, t, eps, bars), ddpm.get_velocity(x0, eps, t))


@pytest.mark.parametrize("t", [49, 20, 1, 0])
def test_ddpm_step(ddpm, t):
    x, eps = random(0), random(1)
    theirs = ddpm.step(eps, t, x, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(ddpm_step(x, t, eps, ddpm.betas, random(2)), theirs.prev_sample)
    x0 = predict_x0(x, torch.full((4,), t), eps, ddpm.alphas_cumprod)
    torch.testing.assert_close(x0, theirs.pred_original_sample)


@pytest.mark.parametrize("n", [1, 7, 10, 50])
def test_ddim_timesteps(ddim, n):
    ddim.set_timesteps(n)
    assert ddim_timesteps(T, n) == ddim.timesteps.tolist()


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("t", [45, 20, 5, 0])
def test_ddim_step(ddim, t, eta):
    ddim.set_timesteps(10)
    x, eps, noise = random(0), random(1), random(2)
    theirs = ddim.step(eps, t, x, eta=eta, variance_noise=noise).prev_sample
    found = ddim_step(x, t, t - 5 if t else -1, eps, ddim.alphas_cumprod, eta, noise)
    torch.testing.assert_close(found, theirs)
