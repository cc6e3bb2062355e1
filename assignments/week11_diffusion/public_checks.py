"""Week 11: the checks that students have too."""

import torch

from autograder.author import at_least, check, close, floating_dtype, holds, real


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


@check("q_sample", examples=4)
def gives_the_worked_example(q_sample, alpha_bars):
    """Where alpha_bar is 0.36, x0 = 5 and eps = 10 give 0.6 * 5 + 0.8 * 10 = 11; t differs by example."""
    x0, eps, bars, x_t = alpha_bars.new_tensor([[5.0, 10.0], [10.0, -5.0], [0.64, 0.36], [11.0, 5.0]])
    close(q_sample(x0[:, None], torch.tensor([1, 0]), eps[:, None], bars), x_t[:, None])


@check("q_sample")
def keeps_the_variance_of_standardised_data(q_sample, x0, t, alpha_bars):
    """Data of variance 1 stays so: the squares of the coefficients of x0 and eps add up to 1."""
    one, zero = torch.ones_like(x0), torch.zeros_like(x0)
    signal, noise = q_sample(one, t, zero, alpha_bars), q_sample(zero, t, one, alpha_bars)
    close(signal**2 + noise**2, one)
    at_least(signal, 0)
    at_least(noise, 0)


@check("ddim_step", x0=real(dims="batch *event"))
def returns_to_the_data_in_one_step(ddim_step, x0, t, eps, alpha_bars, eta, noise):
    """With the true noise the step to t_prev = -1, where alpha_bar is 1, gives x0, whatever eta and noise."""
    bar = alpha_bars[t]
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * eps
    close(ddim_step(x_t, t, -1, eps, alpha_bars, eta, noise), x0)


@check("ddim_step")
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


@check("sample")
def with_one_step_predicts_the_data(sample, model, x_T, betas):
    """T = 1 takes one call, eps = model(x_T, 0), and gives (x_T - sqrt(beta) eps) / sqrt(1 - beta)."""
    beta = betas[:1]
    eps = model.build()(x_T, torch.zeros(len(x_T), dtype=torch.int64))
    x0 = sample(model, x_T, beta, torch.ones_like(x_T)[None])
    close(x0, (x_T - beta.sqrt() * eps) / (1 - beta).sqrt())
