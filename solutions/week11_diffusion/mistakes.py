"""Week 11: wrong ways to write the answers, each with the misunderstanding behind it."""

import numpy as np
import torch
import torch.nn.functional as F

from autograder.author import mistake
from reference_impl import diffusion


@mistake(
    "linear_betas",
    "The square roots of your betas are equally spaced; in this schedule the betas themselves are.",
)
def scaled_linear(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first**0.5, last**0.5, T, dtype=torch.float64).square().to(dtype)


@mistake(
    "linear_betas",
    "Your betas stop one step before `last`: T values span T - 1 equal steps, both ends included.",
)
def end_excluded(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T + 1, dtype=torch.float64)[:-1].to(dtype)


@mistake(
    "linear_betas",
    "Your first beta is already one step above `first`: index 0 is the schedule's first value.",
)
def start_excluded(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T + 1, dtype=torch.float64)[1:].to(dtype)


@mistake("linear_betas", "Your schedule is turned round: index 0 is the step that adds the least noise.")
def turned_round(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float64).flip(0).to(dtype)


@mistake("linear_betas", "Your betas grow by equal factors; a linear schedule grows by equal differences.")
def geometric(T, first=1e-4, last=0.02, dtype=torch.float32):
    exponents = torch.linspace(0, 1, T, dtype=torch.float64)
    return (first * (last / first) ** exponents).to(dtype)


@mistake(
    "linear_betas", "With T = 1 you divide zero by zero: there is no step between betas then, only `first`."
)
def divides_by_zero(T, first=1e-4, last=0.02, dtype=torch.float32):
    steps = torch.arange(T, dtype=torch.float64) / torch.tensor(T - 1, dtype=torch.float64)
    return (first + (last - first) * steps).to(dtype)


@mistake("linear_betas", "You return the alphas 1 - beta; the noise variances beta are asked for.")
def alphas(T, first=1e-4, last=0.02, dtype=torch.float32):
    return 1 - torch.linspace(first, last, T, dtype=torch.float64).to(dtype)


@mistake("linear_betas", "You return float32 whatever `dtype` says.")
def always_float32(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float32)


@mistake("linear_betas", "You use 1e-4 and 0.02 whatever `first` and `last` say: they are only the defaults.")
def always_the_defaults(T, first=1e-4, last=0.02, dtype=torch.float32):
    return torch.linspace(1e-4, 0.02, T, dtype=torch.float64).to(dtype)


@mistake("linear_betas", "Your default for `last` is 0.2; it is 0.02.")
def another_default(T, first=1e-4, last=0.2, dtype=torch.float32):
    return torch.linspace(first, last, T, dtype=torch.float64).to(dtype)


@mistake("alpha_bars", "You multiply the betas; what remains of the data after a step is its share 1 - beta.")
def product_of_betas(betas):
    return torch.cumprod(betas, 0)


@mistake("alpha_bars", "You return alpha_t = 1 - beta_t; alpha_bar_t is the product of all alphas up to t.")
def not_accumulated(betas):
    return 1 - betas


@mistake(
    "alpha_bars",
    "Your product stops before step t: alpha_bar_t includes 1 - beta_t itself, so alpha_bar_0 is not 1.",
)
def current_step_excluded(betas):
    return torch.cumprod(torch.cat([torch.ones_like(betas[:1]), 1 - betas[:-1]]), 0)


@mistake(
    "alpha_bars",
    "You subtract the sum of the betas; that is the product only to first order, for tiny betas.",
)
def one_minus_the_sum(betas):
    return 1 - torch.cumsum(betas, 0)


@mistake(
    "alpha_bars",
    "exp(-sum of betas) is the limit of infinitely many tiny steps; here the factors are 1 - beta.",
)
def continuous_limit(betas):
    return torch.exp(-torch.cumsum(betas, 0))


@mistake(
    "alpha_bars",
    "You return sqrt(alpha_bar), the factor in front of x0; alpha_bar itself is a share of variance.",
)
def square_root(betas):
    return torch.cumprod(1 - betas, 0).sqrt()


@mistake("alpha_bars", "You multiply from the end backwards; alpha_bar_t collects the steps from 0 to t.")
def from_the_end(betas):
    return torch.cumprod((1 - betas).flip(0), 0).flip(0)


@mistake(
    "alpha_bars",
    "You return one number, the product over all steps; every step t has an alpha_bar of its own.",
)
def total_product(betas):
    return (1 - betas).prod()


@mistake(
    "alpha_bars", "You return 1 - alpha_bar, the variance of the noise; alpha_bar is the share of the data."
)
def share_of_the_noise(betas):
    return 1 - torch.cumprod(1 - betas, 0)


@mistake("alpha_bars", "You turn the caller's betas into alphas in place; work on a copy, as 1 - betas is.")
def overwrites_the_betas(betas):
    return betas.neg_().add_(1).cumprod(0)


def cosine(T, s, cut=0.999, power=2, shift=0.0):
    """The alpha_bars of the cosine schedule, with numbers to change."""
    u = (torch.arange(T + 1, dtype=torch.float64) + shift) / T
    f = torch.cos(torch.pi / 2 * (u + s) / (1 + s)).abs() ** power
    return (f[1:] / f[:-1]).clamp(min=1 - cut).cumprod(0)


@mistake(
    "cosine_alpha_bars",
    "The last beta is 1 in your schedule: cut the betas off at 0.999, or nothing is left to divide by.",
)
def without_the_cut(T, s=0.008, dtype=torch.float32):
    return cosine(T, s, cut=1.0).to(dtype)


@mistake("cosine_alpha_bars", "You cut the alpha_bars off at 0.001; it is the betas that are cut, at 0.999.")
def cuts_the_alpha_bars(T, s=0.008, dtype=torch.float32):
    return cosine(T, s, cut=1.0).clamp(min=0.001).to(dtype)


@mistake("cosine_alpha_bars", "You cut the betas off at 0.9999; the limit is 0.999.")
def cuts_too_late(T, s=0.008, dtype=torch.float32):
    return cosine(T, s, cut=0.9999).to(dtype)


@mistake(
    "cosine_alpha_bars",
    "Your alpha_bars are f((t + 1) / T), not divided by f(0): that is 1 only where s = 0.",
)
def not_divided_by_f_of_zero(T, s=0.008, dtype=torch.float32):
    f = torch.cos(torch.tensor(torch.pi / 2 * s / (1 + s), dtype=torch.float64)).square()
    return (f * cosine(T, s)).to(dtype)


@mistake(
    "cosine_alpha_bars",
    "Your alpha_bars begin with f(0) / f(0) = 1; alpha_bar_0 has the noise of step 0 in it already.",
)
def begins_with_one(T, s=0.008, dtype=torch.float32):
    return torch.cat([torch.ones(1, dtype=torch.float64), cosine(T, s)[:-1]]).to(dtype)


@mistake("cosine_alpha_bars", "The square is missing: f is the squared cosine.")
def without_the_square(T, s=0.008, dtype=torch.float32):
    return cosine(T, s, power=1).to(dtype)


@mistake("cosine_alpha_bars", "You use s = 0.008 whatever s says: that is only the default.")
def ignores_s(T, s=0.008, dtype=torch.float32):
    return cosine(T, 0.008).to(dtype)


@mistake("cosine_alpha_bars", "Your default for s is 0.08; it is 0.008.")
def another_offset(T, s=0.08, dtype=torch.float32):
    return cosine(T, s).to(dtype)


@mistake(
    "cosine_alpha_bars",
    "Your u takes T - 1 steps to get to 1; the T betas need the T + 1 values u = 0, 1 / T, ..., 1.",
)
def one_step_too_few(T, s=0.008, dtype=torch.float32):
    u = torch.linspace(0, 1, T, dtype=torch.float64)
    f = torch.cos(torch.pi / 2 * (u + s) / (1 + s)).square()
    before = torch.cat([f[:1], f[:-1]])
    return (f / before).clamp(min=0.001).cumprod(0).to(dtype)


@mistake("cosine_alpha_bars", "You don't divide u + s by 1 + s: the cosine gets to 0 before the last step.")
def not_divided_by_one_plus_s(T, s=0.008, dtype=torch.float32):
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos(torch.pi / 2 * (u + s)).square()
    return (f[1:] / f[:-1]).clamp(min=0.001).cumprod(0).to(dtype)


@mistake(
    "cosine_alpha_bars", "You return the betas; their alpha_bars, the products of 1 - beta, are asked for."
)
def betas_instead(T, s=0.008, dtype=torch.float32):
    u = torch.arange(T + 1, dtype=torch.float64) / T
    f = torch.cos(torch.pi / 2 * (u + s) / (1 + s)).square()
    return (1 - f[1:] / f[:-1]).clamp(max=0.999).to(dtype)


@mistake("cosine_alpha_bars", "You return float32 whatever `dtype` says.")
def cosine_in_float32(T, s=0.008, dtype=torch.float32):
    return diffusion.cosine_alpha_bars(T, s)


@mistake("cosine_alpha_bars", "Where no dtype is given the alpha_bars should be float32.")
def cosine_in_float64(T, s=0.008, dtype=torch.float64):
    return diffusion.cosine_alpha_bars(T, s, dtype)


def per_example(values, x):
    return values.reshape(-1, *[1] * (x.ndim - 1))


@mistake(
    "q_sample",
    "The square roots are missing: alpha_bar and 1 - alpha_bar are variances, you need standard deviations.",
)
def without_roots(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar * x0 + (1 - bar) * eps


@mistake(
    "q_sample",
    "You scale the noise by its variance 1 - alpha_bar; its standard deviation is the square root of that.",
)
def noise_without_root(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar.sqrt() * x0 + (1 - bar) * eps


@mistake("q_sample", "The two coefficients are swapped: at small t the data should dominate, not the noise.")
def swapped(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return (1 - bar).sqrt() * x0 + bar.sqrt() * eps


@mistake(
    "q_sample", "You use the first example's t for the whole batch; every example has a step of its own."
)
def first_t_for_all(x0, t, eps, alpha_bars):
    bar = alpha_bars[t[0]]
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def counted_from_one(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0, (t - 1) % len(alpha_bars), eps, alpha_bars)


@mistake(
    "q_sample",
    "alpha_bar is broadcast along the last dimension; it belongs to the examples, so to the first one.",
)
def broadcast_along_the_last_dimension(x0, t, eps, alpha_bars):
    bar = alpha_bars[t]
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You reshape alpha_bar for images (B, C, H, W); x0 may have any number of dimensions.")
def for_images_only(x0, t, eps, alpha_bars):
    bar = alpha_bars[t].reshape(-1, 1, 1, 1)
    return bar.sqrt() * x0 + (1 - bar).sqrt() * eps


@mistake("q_sample", "You take alpha_bar for the factor of x0; it is that factor's square.")
def amplitude_for_variance(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar * x0 + (1 - bar**2).sqrt() * eps


@mistake("q_sample", "You accumulate the product once more: alpha_bars already is the product of the alphas.")
def accumulated_twice(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0, t, eps, alpha_bars.cumprod(0))


@mistake(
    "q_sample",
    "The gradient with respect to x0 is cut; an encoder that gives x0 could not be trained through it.",
)
def detached(x0, t, eps, alpha_bars):
    return diffusion.q_sample(x0.detach(), t, eps, alpha_bars)


@mistake("q_sample", "You add the noise into x0 itself: the caller's data is no longer clean afterwards.")
def in_place(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    x0 *= bar.sqrt()
    x0 += (1 - bar).sqrt() * eps
    return x0


@mistake(
    "q_sample",
    "You add noise with the whole variance 1 - alpha_bar and forget to shrink x0: the variance explodes.",
)
def data_not_shrunk(x0, t, eps, alpha_bars):
    return x0 + (1 - per_example(alpha_bars[t], x0)).sqrt() * eps


@mistake("noise_prediction_loss", "You sum the squares; the loss is their mean over all elements.")
def sum_of_squares(model, x0, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, x0, t, eps, alpha_bars) * eps.numel()


@mistake(
    "noise_prediction_loss",
    "You sum over the dimensions of an example; here the mean is over these as well as over the batch.",
)
def sum_over_dimensions(model, x0, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, x0, t, eps, alpha_bars) * eps[0].numel()


@mistake("noise_prediction_loss", "There is no factor 1/2 in this loss.")
def half_the_loss(model, x0, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, x0, t, eps, alpha_bars) / 2


@mistake("noise_prediction_loss", "You take the mean absolute error; the errors are squared.")
def absolute_errors(model, x0, t, eps, alpha_bars):
    return (model(diffusion.q_sample(x0, t, eps, alpha_bars), t) - eps).abs().mean()


@mistake("noise_prediction_loss", "You take the root of the mean square; the loss is the mean square itself.")
def root_mean_square(model, x0, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, x0, t, eps, alpha_bars).sqrt()


@mistake("noise_prediction_loss", "The model is shown the clean x0; it must find the noise in x_t.")
def model_sees_the_data(model, x0, t, eps, alpha_bars):
    return (model(x0, t) - eps).square().mean()


@mistake("noise_prediction_loss", "You compare the prediction with x0; this model predicts the noise eps.")
def compares_with_the_data(model, x0, t, eps, alpha_bars):
    return (model(diffusion.q_sample(x0, t, eps, alpha_bars), t) - x0).square().mean()


@mistake(
    "noise_prediction_loss",
    "You compare the prediction with the noise as it was added, sqrt(1 - alpha_bar) eps; it is eps itself.",
)
def compares_with_scaled_noise(model, x0, t, eps, alpha_bars):
    scaled = (1 - per_example(alpha_bars[t], x0)).sqrt() * eps
    return (model(diffusion.q_sample(x0, t, eps, alpha_bars), t) - scaled).square().mean()


@mistake("noise_prediction_loss", "The model gets t / T; it is called with the steps t as they are.")
def model_trained_on_fractions(model, x0, t, eps, alpha_bars):
    return (model(diffusion.q_sample(x0, t, eps, alpha_bars), t / len(alpha_bars)) - eps).square().mean()


@mistake(
    "noise_prediction_loss", "You noise the whole batch at the first example's step: each has its own t."
)
def noised_at_the_first_step(model, x0, t, eps, alpha_bars):
    x_t = diffusion.q_sample(x0, t[:1].expand(len(t)), eps, alpha_bars)
    return (model(x_t, t) - eps).square().mean()


@mistake(
    "noise_prediction_loss",
    "You weigh the squares by alpha_bar / (1 - alpha_bar), so that errors of x0 count; here all count alike.",
)
def weighted_as_errors_of_the_data(model, x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    error = model(diffusion.q_sample(x0, t, eps, alpha_bars), t) - eps
    return ((1 - bar) / bar * error.square()).mean()


@mistake(
    "noise_prediction_loss", "You noise with alpha_bar and 1 - alpha_bar; their roots are the coefficients."
)
def noised_without_roots(model, x0, t, eps, alpha_bars):
    return (model(without_roots(x0, t, eps, alpha_bars), t) - eps).square().mean()


@mistake(
    "noise_prediction_loss", "You return the loss of each example; one number, their mean, is asked for."
)
def loss_of_each_example(model, x0, t, eps, alpha_bars):
    error = model(diffusion.q_sample(x0, t, eps, alpha_bars), t) - eps
    return error.square().flatten(1).mean(1)


@mistake(
    "noise_prediction_loss", "You detach the prediction: no gradient reaches the model, and it can't learn."
)
def detached_prediction(model, x0, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, x0, t, eps, alpha_bars).detach()


@mistake(
    "noise_prediction_loss", "You noise x0 in place: the next epoch would begin with data full of noise."
)
def noises_the_data_in_place(model, x0, t, eps, alpha_bars):
    return (model(in_place(x0, t, eps, alpha_bars), t) - eps).square().mean()


@mistake("predict_x0", "You don't divide by sqrt(alpha_bar): what is left is x0 as it was shrunk.")
def not_enlarged(x_t, t, eps, alpha_bars):
    return x_t - (1 - per_example(alpha_bars[t], x_t)).sqrt() * eps


@mistake("predict_x0", "You divide by alpha_bar; x0 was multiplied by its square root.")
def divided_by_alpha_bar(x_t, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (x_t - (1 - bar).sqrt() * eps) / bar


@mistake("predict_x0", "You subtract (1 - alpha_bar) eps; the noise in x_t is sqrt(1 - alpha_bar) eps.")
def subtracts_without_root(x_t, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (x_t - (1 - bar) * eps) / bar.sqrt()


@mistake("predict_x0", "You subtract eps as it is; it was scaled by sqrt(1 - alpha_bar) when it was added.")
def subtracts_all_of_eps(x_t, t, eps, alpha_bars):
    return (x_t - eps) / per_example(alpha_bars[t], x_t).sqrt()


@mistake("predict_x0", "You add the noise once more; to get back it is subtracted.")
def adds_the_noise(x_t, t, eps, alpha_bars):
    return diffusion.predict_x0(x_t, t, -eps, alpha_bars)


@mistake("predict_x0", "You divide only x_t by sqrt(alpha_bar); the noise goes out before the division.")
def divides_too_early(x_t, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return x_t / bar.sqrt() - (1 - bar).sqrt() * eps


@mistake(
    "predict_x0", "You clip the prediction to [-1, 1], which not all data keeps to: nothing is clipped here."
)
def clipped_prediction(x_t, t, eps, alpha_bars):
    return diffusion.predict_x0(x_t, t, eps, alpha_bars).clamp(-1, 1)


@mistake("predict_x0", "You use the first example's step for the whole batch: each has its own t.")
def predicts_at_the_first_step(x_t, t, eps, alpha_bars):
    return diffusion.predict_x0(x_t, t[:1].expand(len(t)), eps, alpha_bars)


@mistake("predict_x0", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def predicts_one_step_off(x_t, t, eps, alpha_bars):
    return diffusion.predict_x0(x_t, (t - 1) % len(alpha_bars), eps, alpha_bars)


@mistake(
    "predict_x0",
    "alpha_bar is broadcast along the last dimension; it belongs to the examples, the first one.",
)
def predicts_along_the_last_dimension(x_t, t, eps, alpha_bars):
    bar = alpha_bars[t]
    return (x_t - (1 - bar).sqrt() * eps) / bar.sqrt()


@mistake(
    "predict_x0", "A small number added to the denominator keeps it from 0, but alters every prediction."
)
def with_an_epsilon(x_t, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (x_t - (1 - bar).sqrt() * eps) / (bar.sqrt() + 1e-4)


@mistake("predict_x0", "You take the noise out of x_t in place: the sampler still needs x_t.")
def takes_the_noise_out_in_place(x_t, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return x_t.sub_((1 - bar).sqrt() * eps).div_(bar.sqrt())


@mistake("predict_eps", "You don't divide by sqrt(1 - alpha_bar): that is the noise as it was scaled.")
def noise_not_rescaled(x_t, t, x0, alpha_bars):
    return x_t - per_example(alpha_bars[t], x_t).sqrt() * x0


@mistake(
    "predict_eps", "You divide by 1 - alpha_bar, the variance; eps was scaled by the standard deviation."
)
def noise_over_the_variance(x_t, t, x0, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (x_t - bar.sqrt() * x0) / (1 - bar)


@mistake("predict_eps", "You subtract x0 as it is; in x_t it is shrunk by sqrt(alpha_bar).")
def subtracts_all_of_the_data(x_t, t, x0, alpha_bars):
    return (x_t - x0) / (1 - per_example(alpha_bars[t], x_t)).sqrt()


@mistake("predict_eps", "You shrink x0 by alpha_bar; the coefficient is its square root.")
def data_shrunk_without_root(x_t, t, x0, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (x_t - bar * x0) / (1 - bar).sqrt()


@mistake("predict_eps", "This is the score, minus the noise over its standard deviation; eps is asked for.")
def score_for_noise(x_t, t, x0, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    return (bar.sqrt() * x0 - x_t) / (1 - bar)


@mistake("predict_eps", "The sign is turned: eps points from the shrunk data to x_t.")
def noise_with_its_sign_turned(x_t, t, x0, alpha_bars):
    return -diffusion.predict_eps(x_t, t, x0, alpha_bars)


@mistake(
    "predict_eps", "The two roots are exchanged: sqrt(alpha_bar) goes with x0, sqrt(1 - alpha_bar) with eps."
)
def roots_exchanged(x_t, t, x0, alpha_bars):
    return diffusion.predict_eps(x_t, t, x0, 1 - alpha_bars)


@mistake("predict_eps", "You use the first example's step for the whole batch: each has its own t.")
def noise_at_the_first_step(x_t, t, x0, alpha_bars):
    return diffusion.predict_eps(x_t, t[:1].expand(len(t)), x0, alpha_bars)


@mistake("predict_eps", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def noise_one_step_off(x_t, t, x0, alpha_bars):
    return diffusion.predict_eps(x_t, (t - 1) % len(alpha_bars), x0, alpha_bars)


@mistake(
    "predict_eps",
    "alpha_bar is broadcast along the last dimension; it belongs to the examples, the first one.",
)
def noise_along_the_last_dimension(x_t, t, x0, alpha_bars):
    bar = alpha_bars[t]
    return (x_t - bar.sqrt() * x0) / (1 - bar).sqrt()


@mistake("predict_eps", "You shrink the caller's x0 in place: it is data, and stays as it is.")
def shrinks_the_data_in_place(x_t, t, x0, alpha_bars):
    bar = per_example(alpha_bars[t], x_t)
    x0 *= bar.sqrt()
    return (x_t - x0) / (1 - bar).sqrt()


@mistake("velocity", "This is eps - x0, the velocity of a straight path; on this one both have coefficients.")
def straight_velocity(x0, t, eps, alpha_bars):
    return eps - x0


@mistake("velocity", "The sign is turned: v leads from the data to the noise, so eps has the plus sign.")
def velocity_towards_the_data(x0, t, eps, alpha_bars):
    return -diffusion.velocity(x0, t, eps, alpha_bars)


@mistake("velocity", "The two roots are exchanged: in v, sqrt(alpha_bar) goes with eps.")
def velocity_with_roots_exchanged(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return (1 - bar).sqrt() * eps - bar.sqrt() * x0


@mistake("velocity", "The roots are missing: alpha_bar and 1 - alpha_bar are variances.")
def velocity_without_roots(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    return bar * eps - (1 - bar) * x0


@mistake("velocity", "You add the two terms: the data is subtracted, as the path leads away from it.")
def velocity_with_a_plus(x0, t, eps, alpha_bars):
    return diffusion.velocity(-x0, t, eps, alpha_bars)


@mistake("velocity", "You put x_t in the place of x0: v is made of clean data and noise.")
def velocity_from_x_t(x0, t, eps, alpha_bars):
    return diffusion.velocity(diffusion.q_sample(x0, t, eps, alpha_bars), t, eps, alpha_bars)


@mistake("velocity", "You use the first example's step for the whole batch: each has its own t.")
def velocity_at_the_first_step(x0, t, eps, alpha_bars):
    return diffusion.velocity(x0, t[:1].expand(len(t)), eps, alpha_bars)


@mistake("velocity", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def velocity_one_step_off(x0, t, eps, alpha_bars):
    return diffusion.velocity(x0, (t - 1) % len(alpha_bars), eps, alpha_bars)


@mistake(
    "velocity", "alpha_bar is broadcast along the last dimension; it belongs to the examples, the first one."
)
def velocity_along_the_last_dimension(x0, t, eps, alpha_bars):
    bar = alpha_bars[t]
    return bar.sqrt() * eps - (1 - bar).sqrt() * x0


@mistake("velocity", "You scale the caller's noise in place: q_sample needs the same eps.")
def scales_the_noise_in_place(x0, t, eps, alpha_bars):
    bar = per_example(alpha_bars[t], x0)
    eps *= bar.sqrt()
    return eps - (1 - bar).sqrt() * x0


@mistake(
    "score_from_eps", "The minus is missing: the score points against the noise, back to likelier points."
)
def score_along_the_noise(eps, t, alpha_bars):
    return -diffusion.score_from_eps(eps, t, alpha_bars)


@mistake(
    "score_from_eps",
    "You divide by the variance 1 - alpha_bar: right for the offset sqrt(1 - alpha_bar) eps, not for eps.",
)
def score_over_the_variance(eps, t, alpha_bars):
    return -eps / (1 - per_example(alpha_bars[t], eps))


@mistake(
    "score_from_eps",
    "You multiply by the standard deviation; the less noise there is, the steeper the score.",
)
def score_times_std(eps, t, alpha_bars):
    return -eps * (1 - per_example(alpha_bars[t], eps)).sqrt()


@mistake("score_from_eps", "You divide by sqrt(alpha_bar), the data's share; the noise has 1 - alpha_bar.")
def score_over_the_signal(eps, t, alpha_bars):
    return -eps / per_example(alpha_bars[t], eps).sqrt()


@mistake("score_from_eps", "Minus eps is not yet the score: the standard deviation of the noise divides it.")
def score_not_scaled(eps, t, alpha_bars):
    return -eps


@mistake("score_from_eps", "You divide by 1 - sqrt(alpha_bar); it is the root of 1 - alpha_bar.")
def root_of_the_wrong_number(eps, t, alpha_bars):
    return -eps / (1 - per_example(alpha_bars[t], eps).sqrt())


@mistake("score_from_eps", "You use the first example's step for the whole batch: each has its own t.")
def score_at_the_first_step(eps, t, alpha_bars):
    return diffusion.score_from_eps(eps, t[:1].expand(len(t)), alpha_bars)


@mistake("score_from_eps", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0.")
def score_one_step_off(eps, t, alpha_bars):
    return diffusion.score_from_eps(eps, (t - 1) % len(alpha_bars), alpha_bars)


@mistake(
    "score_from_eps",
    "alpha_bar is broadcast along the last dimension; it belongs to the examples, the first one.",
)
def score_along_the_last_dimension(eps, t, alpha_bars):
    return -eps / (1 - alpha_bars[t]).sqrt()


@mistake("score_from_eps", "You divide eps in place: the caller's prediction must stay as it is.")
def divides_in_place(eps, t, alpha_bars):
    return eps.div_((1 - per_example(alpha_bars[t], eps)).sqrt()).neg()


def bayes(x0, x_t, t, betas, before=None):
    """beta, b, alpha_bar, and the posterior's mean and variance; b is alpha_bar_{t-1}, or `before`."""
    bars = torch.cumprod(1 - betas, 0)
    if before is None:
        before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])[t]
    beta, b, bar = (per_example(v, x0) for v in (betas[t], before, bars[t]))
    mean = (b.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - b) * x_t) / (1 - bar)
    return beta, b, bar, mean, beta * (1 - b) / (1 - bar)


@mistake(
    "posterior_mean_variance", "The variance is not beta_t, the forward step's: knowing x0 makes it smaller."
)
def variance_of_the_forward_step(x0, x_t, t, betas):
    beta, _, _, mean, _ = bayes(x0, x_t, t, betas)
    return mean, beta


@mistake(
    "posterior_mean_variance", "You return the standard deviation; its square, the variance, is asked for."
)
def std_of_the_posterior(x0, x_t, t, betas):
    *_, mean, variance = bayes(x0, x_t, t, betas)
    return mean, variance.sqrt()


@mistake(
    "posterior_mean_variance",
    "At t = 0 you look up alpha_bars[-1], which is the last one; before the first step alpha_bar is 1.",
)
def wraps_at_the_first_step(x0, x_t, t, betas):
    *_, mean, variance = bayes(x0, x_t, t, betas, torch.cumprod(1 - betas, 0)[t - 1])
    return mean, variance


@mistake(
    "posterior_mean_variance",
    "You put the variance of t = 1 in the place of that at t = 0, as is done for logarithms; here it is 0.",
)
def variance_cut_off_from_zero(x0, x_t, t, betas):
    *_, mean, variance = bayes(x0, x_t, t, betas)
    after = bayes(x0, x_t, (0 * t + 1).clamp(max=len(betas) - 1), betas)[-1]
    return mean, torch.where(per_example(t, x0) == 0, after, variance)


@mistake(
    "posterior_mean_variance",
    "The two weights are exchanged: at small t the mean is close to x0, not to x_t.",
)
def weights_exchanged(x0, x_t, t, betas):
    *_, mean, variance = bayes(x_t, x0, t, betas)
    return mean, variance


@mistake("posterior_mean_variance", "x0 is weighted by alpha_bar of step t - 1; you take that of step t.")
def data_shrunk_to_the_wrong_step(x0, x_t, t, betas):
    beta, b, bar, _, variance = bayes(x0, x_t, t, betas)
    return (bar.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - b) * x_t) / (1 - bar), variance


@mistake("posterior_mean_variance", "The roots in the mean are missing: sqrt(b) and sqrt(1 - beta_t).")
def mean_without_roots(x0, x_t, t, betas):
    beta, b, bar, _, variance = bayes(x0, x_t, t, betas)
    return (b * beta * x0 + (1 - beta) * (1 - b) * x_t) / (1 - bar), variance


@mistake("posterior_mean_variance", "The weight of x_t has sqrt(1 - beta_t), of one step, not of all steps.")
def all_steps_for_one(x0, x_t, t, betas):
    beta, b, bar, _, variance = bayes(x0, x_t, t, betas)
    return (b.sqrt() * beta * x0 + bar.sqrt() * (1 - b) * x_t) / (1 - bar), variance


@mistake("posterior_mean_variance", "This is the mean of q(x_{t-1} | x0): x_t tells something as well.")
def mean_without_x_t(x0, x_t, t, betas):
    _, b, _, _, variance = bayes(x0, x_t, t, betas)
    return b.sqrt() * x0 + 0 * x_t, variance


@mistake(
    "posterior_mean_variance", "You use the first example's step for the whole batch: each has its own t."
)
def posterior_of_the_first_step(x0, x_t, t, betas):
    return diffusion.posterior_mean_variance(x0, x_t, t[:1].expand(len(t)), betas)


@mistake(
    "posterior_mean_variance",
    "Your variance has the shape of x_t; it is one number per example, in the shape (B, 1, ..., 1).",
)
def variance_of_every_element(x0, x_t, t, betas):
    *_, mean, variance = bayes(x0, x_t, t, betas)
    return mean, variance.expand_as(x0)


@mistake("posterior_mean_variance", "The variance comes second; the mean is first.")
def variance_first(x0, x_t, t, betas):
    return diffusion.posterior_mean_variance(x0, x_t, t, betas)[::-1]


def denoised(x_t, t, eps, betas, noise, weight=None, keep=None, std=None):
    """A DDPM step with one thing changed: each argument, if given, replaces what is right."""
    bars = torch.cumprod(1 - betas, 0)
    before = bars[t - 1] if t else torch.ones_like(bars[0])
    weight = betas[t] / (1 - bars[t]).sqrt() if weight is None else weight
    keep = (1 - betas[t]).sqrt() if keep is None else keep
    std = (betas[t] * (1 - before) / (1 - bars[t])).sqrt() if std is None else std
    return (x_t - weight * eps) / keep + std * noise


@mistake(
    "ddpm_step", "You add noise with the variance beta_t of the forward step; the posterior's is asked for."
)
def noise_of_the_forward_step(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, std=betas[t].sqrt() if t else 0)


@mistake("ddpm_step", "You add noise at t = 0 too, where the data is reached; there the variance is 0.")
def noise_on_the_data(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, std=None if t else betas[0].sqrt())


@mistake("ddpm_step", "You never add the noise: a step is a draw, not only its mean.")
def mean_alone(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, std=0)


@mistake("ddpm_step", "You scale the noise by the variance; its root, the standard deviation, belongs there.")
def noise_times_variance(x_t, t, eps, betas, noise):
    std = denoised(0 * x_t, t, 0 * eps, betas, torch.ones_like(noise))
    return denoised(x_t, t, eps, betas, noise, std=std**2)


@mistake("ddpm_step", "The noise that eps tells of is that of all steps: divide by sqrt(1 - alpha_bar_t).")
def one_step_for_all(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, weight=betas[t].sqrt())


@mistake(
    "ddpm_step", "You take out all the noise, sqrt(1 - alpha_bar_t) eps; a step undoes its own share only."
)
def takes_out_all_the_noise(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, weight=(1 - torch.cumprod(1 - betas, 0)[t]).sqrt())


@mistake(
    "ddpm_step", "You divide by sqrt(alpha_bar_t); a single step back enlarges by sqrt(1 - beta_t) alone."
)
def enlarged_by_all_steps(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, keep=torch.cumprod(1 - betas, 0)[t].sqrt())


@mistake("ddpm_step", "The mean is not divided by sqrt(1 - beta_t): forward, the step shrank x.")
def mean_not_enlarged(x_t, t, eps, betas, noise):
    return denoised(x_t, t, eps, betas, noise, keep=1)


@mistake("ddpm_step", "You use eps with alpha_bar of step t - 1; the model saw x at step t.")
def noise_of_the_step_before(x_t, t, eps, betas, noise):
    bars = torch.cumprod(1 - betas, 0)
    return denoised(x_t, t, eps, betas, noise, weight=betas[t] / (1 - bars[t - 1 if t else 0]).sqrt())


@mistake(
    "ddpm_step", "You clip the predicted data to [-1, 1], which not all data keeps to: nothing is clipped."
)
def clips_the_data(x_t, t, eps, betas, noise):
    steps = torch.full((len(x_t),), t)
    x0 = diffusion.predict_x0(x_t, steps, eps, torch.cumprod(1 - betas, 0)).clamp(-1, 1)
    mean, variance = diffusion.posterior_mean_variance(x0, x_t, steps, betas)
    return mean + variance.sqrt() * noise


@mistake("ddpm_step", "You denoise x_t in place: the caller's state must stay as it is.")
def denoises_in_place(x_t, t, eps, betas, noise):
    return x_t.copy_(denoised(x_t, t, eps, betas, noise))


def ddim(x_t, a, b, eps, sigma, noise):
    """The step with all its numbers given; what is left of the variance never below zero."""
    x0 = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    return b**0.5 * x0 + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


def two_bars(alpha_bars, t, t_prev):
    return alpha_bars[t], alpha_bars[t_prev] if t_prev >= 0 else torch.ones_like(alpha_bars[0])


def ddim_sigma(a, b):
    return ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5


@mistake(
    "ddim_step",
    "At t_prev = -1 you read alpha_bars[-1], the noisiest entry; before the first step alpha_bar is 1.",
)
def wraps_around(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = alpha_bars[t], alpha_bars[t_prev]
    sigma = eta * ((1 - b) / (1 - a) * (1 - a / b)).clamp(min=0) ** 0.5
    return ddim(x_t, a, b, eps, sigma, noise)


@mistake(
    "ddim_step",
    "At t_prev = -1 you stop at alpha_bars[0]; the data lies one step further, where alpha_bar is 1.",
)
def clamped_at_zero(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = alpha_bars[t], alpha_bars[max(t_prev, 0)]
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b), noise)


@mistake(
    "ddim_step",
    "The coefficient of eps forgets sigma: with fresh noise added, sqrt(1 - b - sigma^2) is left for it, "
    "or the variance grows too large.",
)
def direction_without_sigma(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    return ddim(x_t, a, b, eps, 0 * sigma, noise) + sigma * noise


@mistake("ddim_step", "eta multiplies the standard deviation sigma; yours multiplies the variance.")
def eta_on_the_variance(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta**0.5 * ddim_sigma(a, b), noise)


@mistake("ddim_step", "You step to t - 1 whatever t_prev says: DDIM may skip steps.")
def always_adjacent(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t - 1)
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b), noise)


@mistake(
    "ddim_step",
    "Your sigma is the forward step's, sqrt(1 - a / b); the posterior's has sqrt((1 - b) / (1 - a)) as well.",
)
def forward_variance(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta * (1 - a / b) ** 0.5, noise)


@mistake("ddim_step", "You use the variance where sigma, its square root, belongs.")
def variance_for_sigma(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    return ddim(x_t, a, b, eps, eta * ddim_sigma(a, b) ** 2, noise)


@mistake("ddim_step", "You don't divide by sqrt(a) when you predict x0 from x_t.")
def prediction_not_rescaled(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x0 = x_t - (1 - a) ** 0.5 * eps
    return b**0.5 * x0 + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


@mistake("ddim_step", "You never add the noise: eta is ignored, and the step is deterministic.")
def ignores_eta(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars, 0.0, noise)


@mistake("ddim_step", "You add the full posterior noise whatever eta says.")
def eta_is_always_one(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars, 1.0, noise)


@mistake(
    "ddim_step", "The direction to x_t takes the predicted noise eps; you use the fresh noise there as well."
)
def fresh_noise_for_direction(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x0 = (x_t - (1 - a) ** 0.5 * eps) / a**0.5
    return b**0.5 * x0 + ((1 - b - sigma**2).clamp(min=0) ** 0.5 + sigma) * noise


@mistake(
    "ddim_step", "You accumulate the product once more: alpha_bars already is the product of the alphas."
)
def accumulates_once_more(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    return diffusion.ddim_step(x_t, t, t_prev, eps, alpha_bars.cumprod(0), eta, noise)


@mistake("ddim_step", "You turn x_t into the predicted x0 in place: the caller's x_t is lost.")
def overwrites_x_t(x_t, t, t_prev, eps, alpha_bars, eta, noise):
    a, b = two_bars(alpha_bars, t, t_prev)
    sigma = eta * ddim_sigma(a, b)
    x_t -= (1 - a) ** 0.5 * eps
    x_t /= a**0.5
    return b**0.5 * x_t + (1 - b - sigma**2).clamp(min=0) ** 0.5 * eps + sigma * noise


def sampler(model, x, betas, noises, steps=None, weight=None, std=None, keep=None, shown=None, index=None):
    """DDPM with one thing changed: each argument, a function of (t, betas, bars), replaces what is right."""
    bars = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])
    for t in reversed(range(len(betas))) if steps is None else steps:
        eps = model(x, torch.full((len(x),), shown(t) if shown else t))
        coefficient = weight(t, betas, bars) if weight else betas[t] / (1 - bars[t]).sqrt()
        x = (x - coefficient * eps) / (keep(t, betas, bars) if keep else (1 - betas[t]).sqrt())
        posterior = (betas[t] * (1 - before[t]) / (1 - bars[t])).sqrt()
        x = x + (std(t, posterior, betas) if std else posterior) * noises[index(t) if index else t]
    return x


@mistake(
    "sample",
    "You add noise with the variance beta_t of the forward step; the posterior's is asked for, smaller by "
    "the factor (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t).",
)
def with_the_forward_variance(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: betas[t].sqrt() if t else 0)


@mistake(
    "sample", "You add noise at t = 0 too: the last step ends at the data, whose variance given x_0 is zero."
)
def noise_at_the_end(model, x_T, betas, noises):
    return sampler(
        model, x_T, betas, noises, std=lambda t, posterior, betas: posterior if t else betas[0].sqrt()
    )


@mistake(
    "sample",
    "You take the noises in the order of the steps; noises[t] belongs to step t, so the last comes first.",
)
def noises_in_order_of_use(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, index=lambda t: len(betas) - 1 - t)


@mistake("sample", "You go from t = 0 upwards; sampling starts at the noisiest step, T - 1.")
def forwards_in_time(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, steps=range(len(betas)))


@mistake("sample", "You leave out the step t = 0: the loop stops before it gets to the data.")
def stops_before_zero(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, steps=range(len(betas) - 1, 0, -1))


@mistake("sample", "You call the model with t + 1, the papers' count from 1; here t counts from 0.")
def model_counts_from_one(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: t + 1)


@mistake(
    "sample", "You call the model with t = T - 1 at every step; it must be told the step at which it is."
)
def model_sees_the_first_t(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: len(betas) - 1)


@mistake("sample", "The model gets t / T; it was trained on the integer step t.")
def model_sees_a_fraction(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, shown=lambda t: t / len(betas))


@mistake(
    "sample", "You call the model twice per step; once is enough, and each call costs a network evaluation."
)
def calls_the_model_twice(model, x_T, betas, noises):
    def again(x, t):
        model(x, t)
        return model(x, t)

    return diffusion.sample(again, x_T, betas, noises)


@mistake(
    "sample",
    "You divide by sqrt(1 - alpha_t); the noise of all steps together is predicted: sqrt(1 - alpha_bar_t).",
)
def alpha_for_alpha_bar(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, weight=lambda t, betas, bars: betas[t].sqrt())


@mistake(
    "sample",
    "You subtract the whole noise sqrt(1 - alpha_bar_t) eps at each step; a step undoes only its own share.",
)
def removes_all_the_noise(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, weight=lambda t, betas, bars: (1 - bars[t]).sqrt())


@mistake(
    "sample",
    "The mean is not divided by sqrt(alpha_t): a forward step shrinks x, so the way back enlarges it.",
)
def not_rescaled(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, keep=lambda t, betas, bars: torch.ones_like(betas[t]))


@mistake(
    "sample", "You scale the noise by the variance; its square root, the standard deviation, belongs there."
)
def variance_for_std(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: posterior**2)


@mistake("sample", "You never add fresh noise: this is no draw from the posteriors, only their means.")
def means_only(model, x_T, betas, noises):
    return sampler(model, x_T, betas, noises, std=lambda t, posterior, betas: 0)


@mistake(
    "sample",
    "You denoise x_T in place: the caller's noise is gone, and a second sample would start elsewhere.",
)
def overwrites_the_start(model, x_T, betas, noises):
    return x_T.copy_(diffusion.sample(model, x_T, betas, noises))


@mistake("sample", "You return all the states on the way; only the last one is the sample.")
def whole_trajectory(model, x_T, betas, noises):
    states = []

    def watched(x, t):
        states.append(x)
        return model(x, t)

    return torch.stack([diffusion.sample(watched, x_T, betas, noises), *reversed(states)])


@mistake("sample", "You clip the predicted data; the sampler of the paper's algorithm 2 leaves it as it is.")
def clips_the_predicted_data(model, x_T, betas, noises):
    bars = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones_like(bars[:1]), bars[:-1]])
    x = x_T
    for t in reversed(range(len(betas))):
        x0 = (x - (1 - bars[t]).sqrt() * model(x, torch.full((len(x),), t))) / bars[t].sqrt()
        kept = (1 - betas[t]).sqrt() * (1 - before[t]) * x
        mean = (before[t].sqrt() * betas[t] * x0.clamp(-5, 5) + kept) / (1 - bars[t])
        x = mean + (betas[t] * (1 - before[t]) / (1 - bars[t])).sqrt() * noises[t]
    return x


@mistake("ddim_timesteps", "Your steps rise; a sampler begins with the noisiest of them.")
def rising_steps(T, n):
    return [T // n * i for i in range(n)]


@mistake("ddim_timesteps", "Your steps begin at T - 1 and leave 0 out; here they begin lower and end at 0.")
def from_the_last_step(T, n):
    return [T // n * (i + 1) - 1 + T % n for i in reversed(range(n))]


@mistake("ddim_timesteps", "Your steps are spread evenly over 0 ... T - 1; here the gaps are exactly T // n.")
def spread_evenly(T, n):
    return [round(x) for x in np.linspace(0, T - 1, n)[::-1]]


@mistake(
    "ddim_timesteps",
    "Where n does not divide T you take more than n steps: count the steps, not the way to T.",
)
def as_many_as_fit(T, n):
    return list(range(0, T, T // n))[::-1]


@mistake(
    "ddim_timesteps", "You round down after multiplying, T i // n; the gap T // n itself is rounded down."
)
def rounds_at_the_end(T, n):
    return [T * i // n for i in reversed(range(n))]


@mistake("ddim_timesteps", "You count from 1, as papers do: the last step is 0 here, not T // n.")
def counted_like_papers(T, n):
    return [T // n * i for i in range(n, 0, -1)]


@mistake("ddim_timesteps", "Your list has n + 1 steps: T // n times n is too much, and may lie beyond T - 1.")
def one_step_too_many(T, n):
    return [T // n * i for i in range(n, -1, -1)]


@mistake("ddim_timesteps", "Your steps are floating-point numbers; alpha_bars is looked up at integers.")
def floating_steps(T, n):
    return [float(step) for step in diffusion.ddim_timesteps(T, n)]


@mistake("ddim_timesteps", "You add the -1 that comes after the last step; it is not asked for.")
def with_the_data_at_the_end(T, n):
    return [*diffusion.ddim_timesteps(T, n), -1]


@mistake("guided_noise", "The weights are exchanged: w belongs to the conditional prediction.")
def weights_turned_round(eps_uncond, eps_cond, w):
    return w * eps_uncond + (1 - w) * eps_cond


@mistake(
    "guided_noise",
    "This is the paper's way to count, (1 + w) eps_cond - w eps_uncond; here w = 1 is the plain condition.",
)
def weight_of_the_paper(eps_uncond, eps_cond, w):
    return (1 + w) * eps_cond - w * eps_uncond


@mistake("guided_noise", "You go the wrong way, away from the condition.")
def away_from_the_condition(eps_uncond, eps_cond, w):
    return eps_uncond + w * (eps_uncond - eps_cond)


@mistake("guided_noise", "You add w times the conditional prediction; it is the difference that is scaled.")
def adds_the_condition(eps_uncond, eps_cond, w):
    return eps_uncond + w * eps_cond


@mistake("guided_noise", "You keep w between 0 and 1; guidance lives on weights above 1.")
def weight_kept_below_one(eps_uncond, eps_cond, w):
    return diffusion.guided_noise(eps_uncond, eps_cond, min(max(w, 0.0), 1.0))


@mistake("guided_noise", "You divide by the sum of absolute weights; (1 - w) and w already add up to 1.")
def weights_normalised(eps_uncond, eps_cond, w):
    return diffusion.guided_noise(eps_uncond, eps_cond, w) / (abs(1 - w) + abs(w))


@mistake(
    "guided_noise", "You rescale the result to the length of the conditional prediction; it stays as it is."
)
def rescaled_to_the_condition(eps_uncond, eps_cond, w):
    mixed = diffusion.guided_noise(eps_uncond, eps_cond, w)
    return mixed * eps_cond.norm() / mixed.norm()


@mistake("guided_noise", "You guide in place: the unconditional prediction is gone afterwards.")
def guides_in_place(eps_uncond, eps_cond, w):
    eps_uncond += w * (eps_cond - eps_uncond)
    return eps_uncond


@mistake("latent_diffusion_loss", "You leave the scale out: the latents would not have unit variance.")
def latents_not_scaled(encode, scale, model, x, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, encode(x), t, eps, alpha_bars)


@mistake(
    "latent_diffusion_loss", "You divide by the scale; that is done before decoding. Here it multiplies."
)
def latents_divided(encode, scale, model, x, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, encode(x) / scale, t, eps, alpha_bars)


@mistake("latent_diffusion_loss", "You scale x before it is encoded; what is scaled are the latents.")
def scaled_before_encoding(encode, scale, model, x, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, encode(scale * x), t, eps, alpha_bars)


@mistake("latent_diffusion_loss", "You scale after adding the noise; the noise must keep its unit variance.")
def scaled_after_noising(encode, scale, model, x, t, eps, alpha_bars):
    z_t = scale * diffusion.q_sample(encode(x), t, eps, alpha_bars)
    return (model(z_t, t) - eps).square().mean()


@mistake(
    "latent_diffusion_loss", "You scale the noise with the latents; the model should predict eps as it is."
)
def noise_scaled_too(encode, scale, model, x, t, eps, alpha_bars):
    return diffusion.noise_prediction_loss(model, scale * encode(x), t, scale * eps, alpha_bars)


@mistake("latent_diffusion_loss", "The model is shown the clean latents; it must find the noise in z_t.")
def model_sees_clean_latents(encode, scale, model, x, t, eps, alpha_bars):
    return (model(scale * encode(x), t) - eps).square().mean()


@mistake(
    "latent_diffusion_loss", "You compare the prediction with the latents; this model predicts the noise."
)
def compares_with_the_latents(encode, scale, model, x, t, eps, alpha_bars):
    z = scale * encode(x)
    return (model(diffusion.q_sample(z, t, eps, alpha_bars), t) - z).square().mean()


@mistake("latent_diffusion_loss", "You divide by the number of data elements; the mean is over the latents.")
def mean_over_the_data(encode, scale, model, x, t, eps, alpha_bars):
    loss = diffusion.latent_diffusion_loss(encode, scale, model, x, t, eps, alpha_bars)
    return loss * eps.numel() / x.numel()


@mistake("latent_diffusion_loss", "You sum over an example's latents; the mean is over all elements alike.")
def sum_over_the_latents(encode, scale, model, x, t, eps, alpha_bars):
    loss = diffusion.latent_diffusion_loss(encode, scale, model, x, t, eps, alpha_bars)
    return loss * eps[0].numel()


@mistake(
    "latent_diffusion_loss", "You work without gradients; only the autoencoder is frozen, the model learns."
)
def model_frozen_too(encode, scale, model, x, t, eps, alpha_bars):
    with torch.no_grad():
        return diffusion.latent_diffusion_loss(encode, scale, model, x, t, eps, alpha_bars)


def enlarged(low, factor):
    return low.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


@mistake("cascade_condition", "You lay the small image out as tiles; each of its pixels becomes a block.")
def tiles_for_blocks(low, factor, eps, t, alpha_bars):
    return diffusion.q_sample(low.repeat(1, 1, factor, factor), t, eps, alpha_bars)


@mistake(
    "cascade_condition", "You enlarge smoothly, by bilinear interpolation; nearest neighbours make blocks."
)
def bilinear(low, factor, eps, t, alpha_bars):
    large = F.interpolate(low, scale_factor=factor, mode="bilinear")
    return diffusion.q_sample(large, t, eps, alpha_bars)


@mistake(
    "cascade_condition",
    "You noise the small image and enlarge then: blocks of equal noise are no white noise.",
)
def noised_before_enlarging(low, factor, eps, t, alpha_bars):
    return enlarged(diffusion.q_sample(low, t, eps[:, :, ::factor, ::factor], alpha_bars), factor)


@mistake(
    "cascade_condition", "You enlarge only; the noise is what makes the second model robust to the first."
)
def without_noise(low, factor, eps, t, alpha_bars):
    return enlarged(low, factor)


@mistake("cascade_condition", "You add the noise without shrinking the image: its variance grows above 1.")
def image_not_shrunk(low, factor, eps, t, alpha_bars):
    return enlarged(low, factor) + (1 - per_example(alpha_bars[t], low)).sqrt() * eps


@mistake("cascade_condition", "You use the first example's step for the whole batch: each has its own t.")
def condition_at_the_first_step(low, factor, eps, t, alpha_bars):
    return diffusion.cascade_condition(low, factor, eps, t[:1].expand(len(t)), alpha_bars)


@mistake(
    "cascade_condition", "You look up t - 1, the papers' count from 1; here t indexes alpha_bars from 0."
)
def condition_one_step_off(low, factor, eps, t, alpha_bars):
    return diffusion.cascade_condition(low, factor, eps, (t - 1) % len(alpha_bars), alpha_bars)


@mistake("cascade_condition", "You noise without square roots: alpha_bar and 1 - alpha_bar are variances.")
def condition_without_roots(low, factor, eps, t, alpha_bars):
    return without_roots(enlarged(low, factor), t, eps, alpha_bars)


@mistake("cascade_condition", "alpha_bar is broadcast along the width; it belongs to the examples.")
def condition_along_the_width(low, factor, eps, t, alpha_bars):
    bar = alpha_bars[t]
    return bar.sqrt() * enlarged(low, factor) + (1 - bar).sqrt() * eps


@mistake(
    "cascade_condition",
    "You enlarge the height alone and let the rest be broadcast; the width grows as well.",
)
def height_alone(low, factor, eps, t, alpha_bars):
    tall = low.repeat_interleave(factor, -2)
    return diffusion.q_sample(tall.repeat(1, 1, 1, factor), t, eps, alpha_bars)


@mistake("action_chunk_denoise", "You return the end of the plan; its beginning is to be executed now.")
def end_of_the_plan(model, noise, betas, noises, execute):
    return diffusion.sample(model, noise, betas, noises)[:, -execute:]


@mistake(
    "action_chunk_denoise", "You return the whole plan; all but the first actions are planned again later."
)
def whole_plan(model, noise, betas, noises, execute):
    return diffusion.sample(model, noise, betas, noises)


@mistake(
    "action_chunk_denoise",
    "You cut before denoising: the model plans all of the horizon, and sees it whole.",
)
def cut_before_denoising(model, noise, betas, noises, execute):
    return diffusion.sample(model, noise[:, :execute], betas, noises[:, :, :execute])


@mistake(
    "action_chunk_denoise", "You cut the batch; the actions follow each other along the second dimension."
)
def cuts_the_batch(model, noise, betas, noises, execute):
    return diffusion.sample(model, noise, betas, noises)[:execute]


@mistake("action_chunk_denoise", "You leave the first action out: the plan begins now, at index 0.")
def first_action_left_out(model, noise, betas, noises, execute):
    plan = diffusion.sample(model, noise, betas, noises)
    return torch.cat([plan[:, 1:], plan[:, -1:]], 1)[:, :execute]


@mistake(
    "action_chunk_denoise", "You cut the dimensions of an action; it is the number of actions that is meant."
)
def cuts_the_dimensions(model, noise, betas, noises, execute):
    return diffusion.sample(model, noise, betas, noises)[..., :execute]


@mistake(
    "action_chunk_denoise", "You denoise action by action; the model is called once per step, with the plan."
)
def action_by_action(model, noise, betas, noises, execute):
    plan = [diffusion.sample(model, noise[:, [i]], betas, noises[:, :, [i]]) for i in range(execute)]
    return torch.cat(plan, 1)


@mistake("action_chunk_denoise", "You add noise at t = 0 too: the actions would tremble.")
def trembling_actions(model, noise, betas, noises, execute):
    return noise_at_the_end(model, noise, betas, noises)[:, :execute]


@mistake(
    "action_chunk_denoise", "You add noise with the forward step's variance; the posterior's is asked for."
)
def plan_with_the_forward_variance(model, noise, betas, noises, execute):
    return with_the_forward_variance(model, noise, betas, noises)[:, :execute]


@mistake(
    "action_chunk_denoise", "You take the noises in the order of the steps; noises[t] belongs to step t."
)
def plan_with_noises_in_order(model, noise, betas, noises, execute):
    return noises_in_order_of_use(model, noise, betas, noises)[:, :execute]


@mistake("action_chunk_denoise", "You clip the actions to [-1, 1]; they stay as they are sampled.")
def clipped_actions(model, noise, betas, noises, execute):
    return diffusion.action_chunk_denoise(model, noise, betas, noises, execute).clamp(-1, 1)


@mistake("linear_betas", "Where no dtype is given the betas should be float32.")
def float64_by_default(T, first=1e-4, last=0.02, dtype=torch.float64):
    return diffusion.linear_betas(T, first, last, dtype)
