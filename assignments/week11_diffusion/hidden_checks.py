"""Week 11: the checks that only the instructor has; the battery comes on top."""

import torch

from autograder.author import check, choice, close, differ, floating_dtype, number, probe, real
from autograder.probes import Probe


@check("linear_betas", first=number(0.1, 0.02, 0.3, low=0.01, high=0.9), dtype=floating_dtype())
def has_one_beta_when_T_is_one(linear_betas, first, dtype):
    """T = 1 is a schedule too: its only beta is `first`."""
    close(linear_betas(1, first, 0.5, dtype), torch.tensor([first], dtype=dtype))


@check("q_sample")
def treats_every_example_on_its_own(q_sample, x0, t, eps, alpha_bars):
    """Each example has a step of its own: alone in a batch it gets the same x_t."""
    alone = [q_sample(x0[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars) for i in range(len(x0))]
    close(q_sample(x0, t, eps, alpha_bars), torch.cat(alone))


@check("ddim_step")
def leaves_the_marginal_variance_the_same(ddim_step, x_t, t, t_prev, alpha_bars, eta):
    """For any eta, the parts of eps and of the fresh noise have variance 1 - alpha_bar of t_prev together."""
    one, zero = torch.ones_like(x_t), torch.zeros_like(x_t)
    bar = alpha_bars[t]
    before = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    direction = ddim_step((1 - bar).sqrt() * one, t, t_prev, one, alpha_bars, eta, zero)
    fresh = ddim_step(zero, t, t_prev, zero, alpha_bars, eta, one)
    close(direction**2 + fresh**2, (1 - before) * one)


@check("ddim_step", x0=real(dims="batch *event"))
def follows_the_noise_without_randomness_when_eta_is_zero(ddim_step, x0, t, t_prev, eps, alpha_bars, noise):
    """With eta = 0 and the true noise, the step lands on the x of t_prev that has the same x0 and eps."""
    bar = alpha_bars[t]
    before = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    there = before**0.5 * x0 + (1 - before) ** 0.5 * eps
    close(ddim_step(x_t, t, t_prev, eps, alpha_bars, 0.0, noise), there)


@check("sample")
def uses_each_noise_at_its_own_step(sample, model, x_T):
    """noises[t] belongs to step t: noises[1] moves the sample, noises[0] doesn't, since t = 0 adds none."""
    betas = torch.tensor([0.25, 0.5], dtype=x_T.dtype)
    one, zero = torch.ones_like(x_T), torch.zeros_like(x_T)
    plain = sample(model, x_T, betas, torch.stack([zero, zero]))
    close(sample(model, x_T, betas, torch.stack([one, zero])), plain)
    differ(sample(model, x_T, betas, torch.stack([zero, one])), plain)


@check("sample")
def calls_the_model_once_per_step(sample, model, x_T, betas, noises, reference):
    """T steps take T calls of the model and no more: each is the work of a whole network."""
    frugal = Probe("TimeModel", {**model.parameters, "most": len(betas)})
    close(sample(frugal, x_T, betas, noises), reference(frugal, x_T, betas, noises))


@check("sample", linear=probe("TimeModel", a=choice(0.0), b=choice(0.0)))
def draws_from_the_posterior(sample, linear, x_T):
    """Each step adds noise with the variance of q(x_{t-1} | x_t, x_0), which is less than beta_t."""
    # alpha_bars are 0.75 and 0.375: the variance at t = 1 is 0.5 * 0.25 / 0.625 = 0.2.
    betas = torch.tensor([0.25, 0.5], dtype=x_T.dtype)
    zero = torch.zeros_like(x_T)  # where this model predicts no noise; x_T itself serves as the fresh noise
    close(sample(linear, zero, betas, torch.stack([zero, x_T])), (0.2 / 0.75) ** 0.5 * x_T)
