"""Week 11: the checks that students have too."""

from itertools import pairwise

import torch

from autograder.author import at_least, check, close, equal, floating_dtype, holds, integer, number, real
from autograder.probes import Probe


@check("linear_betas", examples=4, dtype=floating_dtype())
def is_the_schedule_of_the_paper_by_default(linear_betas, dtype):
    """1000 betas from 1e-4 to 0.02, as in Ho et al., are 0.01005 half-way; these ends are the defaults."""
    betas = linear_betas(1000, 1e-4, 0.02, dtype)
    close(betas[0], 1e-4)
    close((betas[499] + betas[500]) / 2, 0.01005)
    close(betas[999], 0.02)
    default = linear_betas(1000)
    close(default, linear_betas(1000, 1e-4, 0.02, torch.float32))
    holds(default.dtype == torch.float32, "the betas are float32 where no dtype is given")


@check("linear_betas", first=real(0.05, 0.2, dims=""), last=real(0.3, 0.8, dims=""), dtype=floating_dtype())
def rises_by_equal_steps(linear_betas, first, last, dtype):
    """Five betas from `first` to `last` have four equal steps between them, each (last - first) / 4."""
    betas = linear_betas(5, float(first), float(last), dtype)
    close(betas[1:] - betas[:-1], ((last - first) / 4).expand(4))


@check("alpha_bars", examples=4)
def gives_the_numbers_of_the_linear_schedule(alpha_bars, betas):
    """For 1000 betas from 1e-4 to 0.02, alpha_bar is 0.0785872 half-way and 4.03583e-5 at the end."""
    bars = alpha_bars(torch.linspace(1e-4, 0.02, 1000, dtype=betas.dtype))
    close(bars[499], 0.07858724288178)
    close(bars[999], 4.0358297653757e-5)


@check("alpha_bars")
def every_step_keeps_the_share_one_minus_beta(alpha_bars, betas):
    """alpha_bar starts with 1 - beta_0, and each next one is the last times 1 - beta_t."""
    bars = alpha_bars(betas)
    close(bars[0], 1 - betas[0])
    close(bars[1:], bars[:-1] * (1 - betas[1:]))


@check("cosine_alpha_bars", examples=4, dtype=floating_dtype())
def gives_the_numbers_of_the_cosine_schedule(cosine_alpha_bars, dtype):
    """For T = 1000 and s = 0.008 alpha_bar is 0.493844 half-way and 2.42877e-6 at the last step but one."""
    bars = cosine_alpha_bars(1000, 0.008, dtype)
    close(bars[499], 0.4938435904406384)
    close(bars[998], 2.4287669070355447e-06)


@check("cosine_alpha_bars", T=integer(2, 8), s=number(0.25, 0.0, 1.0, low=0), dtype=floating_dtype())
def follows_the_squared_cosine(cosine_alpha_bars, T, s, dtype):
    """The factors f((t + 1) / T) / f(t / T) multiply to f((t + 1) / T) / f(0); only the last beta is cut."""
    bars = cosine_alpha_bars(T, s, dtype)
    u = torch.arange(T, dtype=dtype) / T
    f = torch.cos(torch.pi / 2 * (u + s) / (1 + s)) ** 2
    close(bars[:-1], f[1:] / f[0])
    close(bars[-1], 0.001 * f[-1] / f[0])


@check("q_sample", examples=4)
def gives_the_worked_example(q_sample, alpha_bars):
    """Where alpha_bar is 0.36, x0 = 5 and eps = 10 give 0.6 * 5 + 0.8 * 10 = 11; t differs by example."""
    x0, eps, bars, x_t = alpha_bars.new_tensor([[5.0, 10.0], [10.0, -5.0], [0.64, 0.36], [11.0, 5.0]])
    close(q_sample(x0[:, None], torch.tensor([1, 0]), eps[:, None], bars), x_t[:, None])


@check("q_sample", examples=24)
def keeps_the_variance_of_standardised_data(q_sample, x0, t, alpha_bars):
    """Data of variance 1 stays so: the squares of the coefficients of x0 and eps add up to 1."""
    one, zero = torch.ones_like(x0), torch.zeros_like(x0)
    signal, noise = q_sample(one, t, zero, alpha_bars), q_sample(zero, t, one, alpha_bars)
    close(signal**2 + noise**2, one)
    at_least(signal, 0)
    at_least(noise, 0)


@check("noise_prediction_loss", examples=8)
def costs_a_quarter_where_half_the_noise_is_found(noise_prediction_loss, eps):
    """Where x0 = 0 and alpha_bar = 0.75, x_t is eps / 2: the model x misses the other half of the noise."""
    same = Probe("TimeModel", {"a": 0.0, "b": 0.0})  # t x / 4, and t is 4
    t = torch.full((len(eps),), 4)
    bars = torch.full_like(eps.flatten()[:1], 0.75).expand(5)
    close(noise_prediction_loss(same, 0 * eps, t, eps, bars), (eps**2).mean() / 4)


@check("noise_prediction_loss", examples=12)
def is_a_mean_over_all_elements(noise_prediction_loss, x0, eps, alpha_bars):
    """A model that predicts no noise costs the mean of eps^2: over the batch and all other dimensions."""
    none = Probe("TimeModel", {"a": 0.0, "b": 0.0})  # t x / 4, and t is 0
    t = torch.zeros(len(eps), dtype=torch.int64)
    close(noise_prediction_loss(none, x0, t, eps, alpha_bars), (eps**2).sum() / eps.numel())


@check("noise_prediction_loss", examples=12)
def weighs_all_examples_alike(noise_prediction_loss, model, x0, t, eps, alpha_bars):
    """The loss of a batch is the mean of its examples' losses, each at a step of its own."""
    alone = [
        noise_prediction_loss(model, x0[i : i + 1], t[i : i + 1], eps[i : i + 1], alpha_bars)
        for i in range(len(x0))
    ]
    close(noise_prediction_loss(model, x0, t, eps, alpha_bars), sum(alone) / len(alone))


@check("predict_x0", examples=4)
def finds_the_data_of_the_worked_example(predict_x0, alpha_bars):
    """Where alpha_bar is 0.36, x_t = 11 and eps = 10 come from x0 = (11 - 0.8 * 10) / 0.6 = 5."""
    x_t, eps, bars, x0 = alpha_bars.new_tensor([[11.0, 5.0], [10.0, -5.0], [0.64, 0.36], [5.0, 10.0]])
    close(predict_x0(x_t[:, None], torch.tensor([1, 0]), eps[:, None], bars), x0[:, None])


@check("predict_x0", examples=24, x0=real(dims="batch *event"))
def undoes_the_noise(predict_x0, x0, t, eps, alpha_bars):
    """Noise x0 with eps, and predict_x0 with the same eps gives x0 back."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    close(predict_x0(bar.sqrt() * x0 + (1 - bar).sqrt() * eps, t, eps, alpha_bars), x0)


@check("predict_eps", examples=4)
def finds_the_noise_of_the_worked_example(predict_eps, alpha_bars):
    """Where alpha_bar is 0.36, x0 = 5 became x_t = 11 by eps = (11 - 0.6 * 5) / 0.8 = 10."""
    x_t, x0, bars, eps = alpha_bars.new_tensor([[11.0, 5.0], [5.0, 10.0], [0.64, 0.36], [10.0, -5.0]])
    close(predict_eps(x_t[:, None], torch.tensor([1, 0]), x0[:, None], bars), eps[:, None])


@check("predict_eps", examples=24)
def makes_x_t_of_the_data(predict_eps, x_t, t, x0, alpha_bars):
    """Noise x0 with the noise that was predicted, and it is x_t: that is what was asked."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    close(bar.sqrt() * x0 + (1 - bar).sqrt() * predict_eps(x_t, t, x0, alpha_bars), x_t)


@check("velocity", examples=4)
def gives_the_worked_velocity(velocity, alpha_bars):
    """Where alpha_bar is 0.36, x0 = 5 and eps = 10 give v = 0.6 * 10 - 0.8 * 5 = 2."""
    x0, eps, bars, v = alpha_bars.new_tensor([[5.0, 10.0], [10.0, -5.0], [0.64, 0.36], [2.0, -10.0]])
    close(velocity(x0[:, None], torch.tensor([1, 0]), eps[:, None], bars), v[:, None])


@check("velocity", examples=24)
def tells_data_and_noise(velocity, x0, t, eps, alpha_bars):
    """x_t and v are x0 and eps, turned: x0 = sqrt(alpha_bar) x_t - sqrt(1 - alpha_bar) v."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    x_t, v = bar.sqrt() * x0 + (1 - bar).sqrt() * eps, velocity(x0, t, eps, alpha_bars)
    close(bar.sqrt() * x_t - (1 - bar).sqrt() * v, x0)
    close((1 - bar).sqrt() * x_t + bar.sqrt() * v, eps)


@check("score_from_eps", examples=4)
def gives_the_worked_score(score_from_eps, alpha_bars):
    """Where alpha_bar is 0.36, the noise 8 means a score of -8 / 0.8 = -10: back, against the noise."""
    eps, bars, score = alpha_bars.new_tensor([[8.0, -3.0], [0.64, 0.36], [-10.0, 5.0]])
    close(score_from_eps(eps[:, None], torch.tensor([1, 0]), bars), score[:, None])


@check("score_from_eps", examples=24, x0=real(dims="batch *event"))
def is_the_slope_of_the_log_density(score_from_eps, x0, eps, t, alpha_bars):
    """It is the gradient of log N(x_t; sqrt(alpha_bar) x0, (1 - alpha_bar) I) with respect to x_t."""
    bar = alpha_bars[t].reshape(-1, *[1] * (x0.ndim - 1))
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    close(score_from_eps(eps, t, alpha_bars), (bar.sqrt() * x0 - x_t) / (1 - bar))


@check("posterior_mean_variance", examples=4)
def gives_a_worked_posterior(posterior_mean_variance, betas):
    """With betas 0.36, 0.4375 and t = 1, the mean is (0.35 x0 + 0.27 x_1) / 0.64, the variance 0.24609."""
    x0, x_t, betas, mean = betas.new_tensor([[64.0, 5.0], [0.0, 64.0], [0.36, 0.4375], [35.0, 5.0]])
    found = posterior_mean_variance(x0[:, None], x_t[:, None], torch.tensor([1, 0]), betas)
    close(found, [mean[:, None], betas.new_tensor([[0.24609375], [0.0]])])
    found = posterior_mean_variance(0 * x0[:, None], x_t[:, None], torch.tensor([0, 1]), betas)
    close(found, [betas.new_tensor([[0.0], [27.0]]), betas.new_tensor([[0.0], [0.24609375]])])


@check("posterior_mean_variance", examples=16)
def knows_the_data_at_the_first_step(posterior_mean_variance, x0, x_t, t, betas):
    """Before step 0 there is the data: its mean is x0 for any x_t, and nothing is left to vary."""
    mean, variance = posterior_mean_variance(x0, x_t, 0 * t, betas)
    close(mean, x0)
    close(variance, 0 * x0.flatten(1)[:, 0].reshape(-1, *[1] * (x0.ndim - 1)))


@check("ddpm_step", examples=4)
def takes_a_worked_step(ddpm_step, betas):
    """With betas 0.36, 0.4375 and t = 1, x = 11.75 and eps = 16 lead to (11.75 - 8.75) / 0.75 = 4."""
    x_t, eps, one = betas.new_tensor([[[11.75]], [[16.0]], [[1.0]]])
    mean = ddpm_step(x_t, 1, eps, betas.new_tensor([0.36, 0.4375]), 0 * one)
    close(mean, 4 * one)
    drawn = ddpm_step(x_t, 1, eps, betas.new_tensor([0.36, 0.4375]), one)
    close((drawn - mean) ** 2, 0.24609375 * one)  # the posterior's variance


@check("ddpm_step", examples=16)
def ends_without_noise(ddpm_step, x_t, eps, betas, noise):
    """The step from t = 0 adds no noise: it leads to x0 = (x - sqrt(beta_0) eps) / sqrt(1 - beta_0)."""
    x0 = (x_t - betas[0].sqrt() * eps) / (1 - betas[0]).sqrt()
    close(ddpm_step(x_t, 0, eps, betas, noise), x0)


@check("sample", examples=8)
def with_one_step_predicts_the_data(sample, model, x_T, betas):
    """T = 1 takes one call, eps = model(x_T, 0), and gives (x_T - sqrt(beta) eps) / sqrt(1 - beta)."""
    beta = betas[:1]
    eps = model.build()(x_T, torch.zeros(len(x_T), dtype=torch.int64))
    x0 = sample(model, x_T, beta, torch.ones_like(x_T)[None])
    close(x0, (x_T - beta.sqrt() * eps) / (1 - beta).sqrt())


@check("ddim_step", examples=24, x0=real(dims="batch *event"))
def returns_to_the_data_in_one_step(ddim_step, x0, t, eps, alpha_bars, eta, noise):
    """With the true noise the step to t_prev = -1, where alpha_bar is 1, gives x0, whatever eta and noise."""
    bar = alpha_bars[t]
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    close(ddim_step(x_t, t, -1, eps, alpha_bars, eta, noise), x0)


@check("ddim_step", examples=24)
def is_ddpm_with_eta_one_and_adjacent_steps(ddim_step, x_t, t, eps, alpha_bars, noise):
    """With eta = 1 and t_prev = t - 1 the step is DDPM's: the posterior's mean and its standard deviation."""
    bar = alpha_bars[t]
    before = alpha_bars[t - 1] if t > 0 else 1.0
    beta = 1 - bar / before
    mean = (x_t - beta / (1 - bar).sqrt() * eps) / (1 - beta).sqrt()
    close(
        ddim_step(x_t, t, t - 1, eps, alpha_bars, 1.0, noise),
        mean + (beta * (1 - before) / (1 - bar)).sqrt() * noise,
    )


@check("ddim_timesteps")
def gives_the_worked_steps(ddim_timesteps):
    """4 of 1000 steps are 750, 500, 250 and 0; 3 of 10 are 6, 3 and 0, as 10 // 3 is 3."""
    equal(ddim_timesteps(1000, 4), [750, 500, 250, 0])
    equal(ddim_timesteps(10, 3), [6, 3, 0])


@check("ddim_timesteps")
def falls_to_zero_by_equal_gaps(ddim_timesteps, T, n):
    """There are n steps, each T // n below the one before, and the last is 0."""
    steps = ddim_timesteps(T, n)
    equal(len(steps), n)
    equal(steps[-1], 0)
    equal([a - b for a, b in pairwise(steps)], [T // n] * (n - 1))


@check("guided_noise")
def has_both_predictions_at_its_ends(guided_noise, eps_uncond, eps_cond):
    """A weight of 0 ignores the condition; a weight of 1 is the conditional prediction, no more."""
    close(guided_noise(eps_uncond, eps_cond, 0.0), eps_uncond)
    close(guided_noise(eps_uncond, eps_cond, 1.0), eps_cond)


@check("guided_noise", examples=4)
def goes_beyond_the_condition(guided_noise, eps_cond):
    """From 1 without to 2 with the condition, a weight of 7.5 leads to 8.5: 7.5 times as far."""
    one = torch.ones_like(eps_cond)
    close(guided_noise(one, 2 * one, 7.5), 8.5 * one)


@check("latent_diffusion_loss", examples=4)
def gives_a_worked_latent_loss(latent_diffusion_loss, eps):
    """The latent v / 4 = 2.5, scaled by 2, is 5. With eps = 10 at alpha_bar = 0.36 the model x costs 1."""
    x, noise, bars = eps.new_tensor([[3.0, 10.0]]), eps.new_tensor([[10.0]]), eps.new_tensor([0.36]).expand(5)
    quarter, same = Probe("PairEncoder", {"a": 0.0}), Probe("TimeModel", {"a": 0.0, "b": 0.0})  # t x / 4
    # 0.6 * 5 + 0.8 * 10 = 11, which misses eps by 1.
    loss = latent_diffusion_loss(quarter, 2.0, same, x, torch.tensor([4]), noise, bars)
    close(loss, noise[0, 0] / 10)


@check("latent_diffusion_loss", examples=12)
def averages_over_the_latents(latent_diffusion_loss, encode, scale, x, eps, alpha_bars):
    """A model that predicts no noise costs the mean of eps^2 over the elements of the latents."""
    none = Probe("TimeModel", {"a": 0.0, "b": 0.0})  # t x / 4, and t is 0
    t = torch.zeros(len(eps), dtype=torch.int64)
    loss = latent_diffusion_loss(encode, scale, none, x, t, eps, alpha_bars)
    close(loss, (eps**2).sum() / eps.numel())


@check("cascade_condition", examples=24)
def makes_blocks_of_pixels(cascade_condition, low, factor, eps, t, alpha_bars):
    """Without noise every pixel of the small image, times sqrt(alpha_bar), is a block of equal ones."""
    large = cascade_condition(low, factor, 0 * eps, t, alpha_bars)
    for i in range(factor):
        for j in range(factor):
            close(large[:, :, i::factor, j::factor], alpha_bars[t].sqrt()[:, None, None, None] * low)


@check("cascade_condition", examples=24)
def noises_every_large_pixel(cascade_condition, low, factor, eps, t, alpha_bars):
    """Of a black image only noise is seen, its own at each large pixel: sqrt(1 - alpha_bar) eps."""
    noise = cascade_condition(0 * low, factor, eps, t, alpha_bars)
    close(noise, (1 - alpha_bars[t]).sqrt()[:, None, None, None] * eps)


@check("action_chunk_denoise", examples=8)
def begins_like_the_whole_plan(action_chunk_denoise, model, noise, betas, noises, execute):
    """The actions to execute are the beginning of the plan, which does not depend on how many they are."""
    plan = action_chunk_denoise(model, noise, betas, noises, noise.shape[1])
    close(action_chunk_denoise(model, noise, betas, noises, execute), plan[:, :execute])


@check("action_chunk_denoise", examples=8)
def plans_in_one_step(action_chunk_denoise, model, noise, betas, execute):
    """T = 1 takes one call, eps = model(noise, 0), of the whole plan, and predicts it without fresh noise."""
    beta = betas[:1]
    eps = model.build()(noise, torch.zeros(len(noise), dtype=torch.int64))
    plan = (noise - beta.sqrt() * eps) / (1 - beta).sqrt()
    found = action_chunk_denoise(model, noise, beta, torch.ones_like(noise)[None], execute)
    close(found, plan[:, :execute])
