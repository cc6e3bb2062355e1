"""Week 11: the checks that only the instructor has; the battery comes on top."""

import torch

from autograder.author import check, choice, close, differ, equal, floating_dtype, holds, number, probe, real
from autograder.probes import Probe


@check("linear_betas", first=number(0.1, 0.02, 0.3, low=0.01, high=0.9), dtype=floating_dtype())
def has_one_beta_when_T_is_one(linear_betas, first, dtype):
    """T = 1 is a schedule too: its only beta is `first`."""
    close(linear_betas(1, first, 0.5, dtype), torch.tensor([first], dtype=dtype))


@check("cosine_alpha_bars", examples=4, dtype=floating_dtype())
def keeps_a_thousandth_in_the_last_step(cosine_alpha_bars, dtype):
    """f(1) is 0: without the cut at 0.999 nothing would be left of the data at the end, or at T = 1."""
    close(cosine_alpha_bars(1, 0.008, dtype), torch.tensor([0.001], dtype=dtype))
    close(cosine_alpha_bars(2, 0.0, dtype), torch.tensor([0.5, 0.0005], dtype=dtype))


@check("cosine_alpha_bars")
def has_the_defaults_of_the_paper(cosine_alpha_bars, T):
    """Where they are not given, s is 0.008 and the dtype float32."""
    default = cosine_alpha_bars(T)
    close(default, cosine_alpha_bars(T, 0.008, torch.float32))
    holds(default.dtype == torch.float32, "the alpha_bars are float32 where no dtype is given")


@check("q_sample", examples=24)
def treats_every_example_on_its_own(q_sample, x0, t, eps, alpha_bars):
    """Each example has a step of its own: alone in a batch it gets the same x_t."""
    alone = [q_sample(x0[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars) for i in range(len(x0))]
    close(q_sample(x0, t, eps, alpha_bars), torch.cat(alone))


@check(
    "noise_prediction_loss", examples=12, more=real(dims="batch *event"), eps_more=real(dims="batch *event")
)
def has_no_weights_between_steps(noise_prediction_loss, x0, t, eps, more, eps_more, alpha_bars):
    """Two batches of one size, put together, cost the mean of what they cost, whatever their steps are."""
    model = Probe("TimeModel", {"c": 0.5})
    first = noise_prediction_loss(model, x0, t, eps, alpha_bars)
    second = noise_prediction_loss(model, more, 0 * t, eps_more, alpha_bars)
    together = (torch.cat(pair) for pair in ((x0, more), (t, 0 * t), (eps, eps_more)))
    close(noise_prediction_loss(model, *together, alpha_bars), (first + second) / 2)


@check("predict_x0", examples=24)
def predicts_every_example_on_its_own(predict_x0, x_t, t, eps, alpha_bars):
    """Each example has a step of its own: alone in a batch it gets the same x0."""
    alone = [predict_x0(x_t[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars) for i in range(len(x_t))]
    close(predict_x0(x_t, t, eps, alpha_bars), torch.cat(alone))


@check("predict_x0", examples=24)
def clips_nothing(predict_x0, t, eps, alpha_bars):
    """Data is not always between -1 and 1: the prediction stays as large as it is."""
    bar = alpha_bars[t].reshape(-1, *[1] * (eps.ndim - 1))
    large = 100 * torch.ones_like(eps)
    close(predict_x0(bar.sqrt() * large + (1 - bar).sqrt() * eps, t, eps, alpha_bars), large)


@check("predict_eps", examples=24, eps=real(dims="batch *event"))
def finds_every_noise_at_its_own_step(predict_eps, x0, t, eps, alpha_bars):
    """Noise x0 with eps, each example at a step of its own, and predict_eps gives this eps back."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    close(predict_eps(bar.sqrt() * x0 + (1 - bar).sqrt() * eps, t, x0, alpha_bars), eps)


@check("velocity", examples=24)
def is_as_large_as_data_and_noise(velocity, x0, t, eps, alpha_bars):
    """A turn keeps lengths: v^2 + x_t^2 = x0^2 + eps^2, element by element, at every example's own step."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    close(velocity(x0, t, eps, alpha_bars) ** 2 + x_t**2, x0**2 + eps**2)


@check("score_from_eps", examples=24)
def is_steeper_where_there_is_less_noise(score_from_eps, eps, t, alpha_bars):
    """Times the standard deviation of the noise at its own step, the score is minus eps for every example."""
    std = (1 - alpha_bars[t]).sqrt().reshape(-1, *[1] * (eps.ndim - 1))
    close(score_from_eps(eps, t, alpha_bars) * std, -eps)


@check("posterior_mean_variance", examples=16)
def leads_from_each_marginal_to_the_one_before(posterior_mean_variance, x0, t, betas):
    """Averaged over x_t given x0, it has the mean sqrt(b) x0 and the variance 1 - b of q(x_{t-1} | x0)."""
    bars = torch.cumprod(1 - betas, 0)
    bar, b = (v[t].reshape(-1, *[1] * (x0.ndim - 1)) for v in (bars, bars / (1 - betas)))
    mean, _ = posterior_mean_variance(x0, bar.sqrt() * x0, t, betas)
    close(mean, b.sqrt() * x0)
    slope, variance = posterior_mean_variance(0 * x0, torch.ones_like(x0), t, betas)
    close(slope**2 * (1 - bar) + variance, (1 - b) * torch.ones_like(x0))


@check("posterior_mean_variance", examples=16)
def finds_every_posterior_on_its_own(posterior_mean_variance, x0, x_t, t, betas):
    """Each example has a step of its own: alone in a batch it has the same posterior."""
    alone = [
        posterior_mean_variance(x0[i : i + 1], x_t[i : i + 1], t[i : i + 1], betas) for i in range(len(x0))
    ]
    together = [torch.cat(parts) for parts in zip(*alone, strict=True)]
    close(posterior_mean_variance(x0, x_t, t, betas), together)


@check("ddpm_step", examples=16, x0=real(dims="batch *event"))
def has_the_mean_of_the_posterior(ddpm_step, x0, t, eps, betas):
    """With the true noise and no fresh one, the step leads to the mean of q(x_{t-1} | x_t, x0)."""
    bar = torch.cumprod(1 - betas, 0)[t]
    b = bar / (1 - betas[t])
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    mean = (b.sqrt() * betas[t] * x0 + (1 - betas[t]).sqrt() * (1 - b) * x_t) / (1 - bar)
    close(ddpm_step(x_t, t, eps, betas, 0 * eps), mean)


@check("ddpm_step", examples=16)
def spreads_by_the_posterior(ddpm_step, x_t, t, eps, betas, noise):
    """Opposite noises lead to points 2 sigma |noise| apart, sigma^2 the posterior's variance, 0 at t = 0."""
    bar = torch.cumprod(1 - betas, 0)[t]
    variance = betas[t] * (1 - bar / (1 - betas[t])) / (1 - bar)
    up, down = ddpm_step(x_t, t, eps, betas, noise), ddpm_step(x_t, t, eps, betas, -noise)
    close((up - down) ** 2, 4 * variance * noise**2)


@check("ddim_step", examples=24)
def leaves_the_marginal_variance_the_same(ddim_step, x_t, t, t_prev, alpha_bars, eta):
    """For any eta, the parts of eps and of the fresh noise have variance 1 - alpha_bar of t_prev together."""
    one, zero = torch.ones_like(x_t), torch.zeros_like(x_t)
    bar = alpha_bars[t]
    before = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    direction = ddim_step((1 - bar).sqrt() * one, t, t_prev, one, alpha_bars, eta, zero)
    fresh = ddim_step(zero, t, t_prev, zero, alpha_bars, eta, one)
    close(direction**2 + fresh**2, (1 - before) * one)


@check("ddim_step", examples=24, x0=real(dims="batch *event"))
def follows_the_noise_without_randomness_when_eta_is_zero(ddim_step, x0, t, t_prev, eps, alpha_bars, noise):
    """With eta = 0 and the true noise, the step lands on the x of t_prev that has the same x0 and eps."""
    bar = alpha_bars[t]
    before = alpha_bars[t_prev] if t_prev >= 0 else 1.0
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    there = before**0.5 * x0 + (1 - before) ** 0.5 * eps
    close(ddim_step(x_t, t, t_prev, eps, alpha_bars, 0.0, noise), there)


@check("sample", examples=8)
def uses_each_noise_at_its_own_step(sample, model, x_T):
    """noises[t] belongs to step t: noises[1] moves the sample, noises[0] doesn't, since t = 0 adds none."""
    betas = torch.tensor([0.25, 0.5], dtype=x_T.dtype)
    one, zero = torch.ones_like(x_T), torch.zeros_like(x_T)
    plain = sample(model, x_T, betas, torch.stack([zero, zero]))
    close(sample(model, x_T, betas, torch.stack([one, zero])), plain)
    differ(sample(model, x_T, betas, torch.stack([zero, one])), plain)


@check("sample", examples=8)
def calls_the_model_once_per_step(sample, model, x_T, betas, noises, reference):
    """T steps take T calls of the model and no more: each is the work of a whole network."""
    frugal = Probe("TimeModel", {**model.parameters, "most": len(betas)})
    close(sample(frugal, x_T, betas, noises), reference(frugal, x_T, betas, noises))


@check("sample", examples=8, linear=probe("TimeModel", a=choice(0.0), b=choice(0.0)))
def draws_from_the_posterior(sample, linear, x_T):
    """Each step adds noise with the variance of q(x_{t-1} | x_t, x_0), which is less than beta_t."""
    # alpha_bars are 0.75 and 0.375: the variance at t = 1 is 0.5 * 0.25 / 0.625 = 0.2.
    betas = torch.tensor([0.25, 0.5], dtype=x_T.dtype)
    zero = torch.zeros_like(x_T)  # where this model predicts no noise; x_T itself serves as the fresh noise
    close(sample(linear, zero, betas, torch.stack([zero, x_T])), (0.2 / 0.75) ** 0.5 * x_T)


@check("ddim_timesteps")
def takes_all_steps_or_one(ddim_timesteps, T):
    """Of T steps out of T none is left out; a single step is taken from 0."""
    equal(ddim_timesteps(T, T), list(range(T))[::-1])
    equal(ddim_timesteps(T, 1), [0])


@check("ddim_timesteps")
def gives_integers(ddim_timesteps, T, n):
    """Steps look up a place in a schedule: they are integers, no floating-point numbers."""
    holds(all(isinstance(step, int) for step in ddim_timesteps(T, n)), "all steps are integers")


@check("guided_noise")
def moves_in_proportion_to_the_weight(guided_noise, eps_uncond, eps_cond, w):
    """It moves away from the unconditional prediction by w times the difference of the two, for any w."""
    moved = guided_noise(eps_uncond, eps_cond, w) - eps_uncond
    close(moved, w * (eps_cond - eps_uncond))
    close(guided_noise(eps_uncond, eps_uncond, w), eps_uncond)


@check("latent_diffusion_loss", examples=12)
def scales_what_is_encoded(latent_diffusion_loss, scale, model, x, t, eps, alpha_bars):
    """For an encoder that is linear, to scale the latents is to scale the data: the noise stays as it is."""
    linear = Probe("PairEncoder", {"a": 0.0})
    scaled = latent_diffusion_loss(linear, scale, model, x, t, eps, alpha_bars)
    close(scaled, latent_diffusion_loss(linear, 1.0, model, scale * x, t, eps, alpha_bars))


@check("cascade_condition", examples=24)
def conditions_every_example_on_its_own(cascade_condition, low, factor, eps, t, alpha_bars):
    """Each example has a step of its own: alone in a batch it gets the same condition."""
    alone = [
        cascade_condition(low[i : i + 1], factor, eps[i : i + 1], t[i : i + 1], alpha_bars)
        for i in range(len(low))
    ]
    close(cascade_condition(low, factor, eps, t, alpha_bars), torch.cat(alone))


@check("action_chunk_denoise", examples=8)
def plans_with_one_call_per_step(action_chunk_denoise, model, noise, betas, noises, execute, reference):
    """T steps take T calls of the model and no more: each is the work of a whole network."""
    frugal = Probe("TimeModel", {**model.parameters, "most": len(betas)})
    close(
        action_chunk_denoise(frugal, noise, betas, noises, execute),
        reference(frugal, noise, betas, noises, execute),
    )
