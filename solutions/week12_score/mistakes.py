"""Week 12: wrong ways to write the answers, each with the misunderstanding behind it."""

import math

import torch

from autograder.author import mistake
from reference_impl import score as scores


@mistake("gaussian_score", "The sign is turned: the score points uphill, towards the mean.")
def points_away(x, mean, std):
    return (x - mean) / std.square()


@mistake("gaussian_score", "You divide by std once; the log-density has the variance in its denominator.")
def divided_by_std(x, mean, std):
    return (mean - x) / std


@mistake("gaussian_score", "You take std for log std: it is the standard deviation itself.")
def std_as_its_logarithm(x, mean, std):
    return (mean - x) / (2 * std).exp()


@mistake("gaussian_score", "You use one average variance for all dimensions; each has its own.")
def isotropic_variance(x, mean, std):
    return (mean - x) / std.square().mean(-1, keepdim=True)


@mistake("gaussian_score", "You forget the mean: this is the score of a Gaussian around 0.")
def centred_at_zero(x, mean, std):
    return -x / std.square() + 0 * mean


@mistake(
    "gaussian_score", "You keep the factor 1/2 of the exponent; the derivative of the square cancels it."
)
def with_a_half(x, mean, std):
    return 0.5 * (mean - x) / std.square()


@mistake(
    "gaussian_score",
    "This is the log-density of each coordinate; the score is its derivative with respect to x.",
)
def log_density(x, mean, std):
    return -0.5 * ((x - mean) / std).square() - std.log() - 0.5 * math.log(2 * math.pi)


@mistake("gaussian_score", "You sum over the dimensions: the score is a vector, not a number.")
def summed_over_dimensions(x, mean, std):
    return ((mean - x) / std.square()).sum(-1)


@mistake(
    "gaussian_score",
    "You multiply by the variance where you should divide: a wide Gaussian has a small score.",
)
def times_the_variance(x, mean, std):
    return (mean - x) * std.square()


@mistake("gaussian_score", "You subtract the mean from x in place: the caller's tensor must stay as it is.")
def centres_in_place(x, mean, std):
    x -= mean
    return -x / std.square()


def _noised(z, eps, t):
    column = (-1, *[1] * (z.ndim - 1))
    beta = (1 - t).reshape(column)
    return (1 - beta) * z + beta * eps, beta


def _squares(error):
    return error.square().flatten(1).sum(1)


def _weights(weighting, t):
    return torch.ones_like(t) if weighting is None else weighting(t)


@mistake(
    "denoising_score_matching_loss",
    "The target's sign is turned: the score of the noised data is -eps / beta.",
)
def turned_target(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    return (_weights(weighting, t) * _squares(model(x, t) - eps / beta)).mean()


@mistake(
    "denoising_score_matching_loss",
    "You compare the score with -eps; dividing by beta is what makes it a score.",
)
def target_without_beta(model, z, eps, t, weighting=None):
    x, _ = _noised(z, eps, t)
    return (_weights(weighting, t) * _squares(model(x, t) + eps)).mean()


@mistake("denoising_score_matching_loss", "You divide eps by beta^2: (x - t z) / beta^2 is eps / beta.")
def target_over_beta_squared(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    return (_weights(weighting, t) * _squares(model(x, t) + eps / beta.square())).mean()


@mistake(
    "denoising_score_matching_loss", "Your time runs the other way: here t = 0 is noise and t = 1 is data."
)
def reversed_time(model, z, eps, t, weighting=None):
    x, beta = _noised(eps, z, t)
    return (_weights(weighting, t) * _squares(model(x, t) + eps / (1 - beta).clamp(min=1e-3))).mean()


@mistake(
    "denoising_score_matching_loss", "You average over the event dimensions; the squared norm is their sum."
)
def mean_over_events(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    return (_weights(weighting, t) * (model(x, t) + eps / beta).square().flatten(1).mean(1)).mean()


@mistake(
    "denoising_score_matching_loss", "You sum over one event dimension alone; images have more than one."
)
def sum_over_the_last_dimension(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    weights = _weights(weighting, t).reshape(beta.shape[:-1])
    return (weights * (model(x, t) + eps / beta).square().sum(-1)).mean()


@mistake("denoising_score_matching_loss", "You sum over the batch: the loss is the mean over its examples.")
def sum_over_the_batch(model, z, eps, t, weighting=None):
    return len(z) * scores.denoising_score_matching_loss(model, z, eps, t, weighting)


@mistake("denoising_score_matching_loss", "You leave the weighting out.")
def ignores_the_weighting(model, z, eps, t, weighting=None):
    return scores.denoising_score_matching_loss(model, z, eps, t)


@mistake(
    "denoising_score_matching_loss",
    "You weigh the error before squaring it: the weight belongs to its square.",
)
def weighs_inside_the_square(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    weights = _weights(weighting, t).reshape(beta.shape)
    return _squares(weights * (model(x, t) + eps / beta)).mean()


@mistake("denoising_score_matching_loss", "You weigh by the mean weight: every example has its own.")
def mean_weight(model, z, eps, t, weighting=None):
    return _weights(weighting, t).mean() * scores.denoising_score_matching_loss(model, z, eps, t)


@mistake(
    "denoising_score_matching_loss",
    "You divide by the sum of the weights; the loss is a mean over the batch.",
)
def normalised_weights(model, z, eps, t, weighting=None):
    return scores.denoising_score_matching_loss(model, z, eps, t, weighting) / _weights(weighting, t).mean()


@mistake("denoising_score_matching_loss", "You call weighting with beta; it takes the time t.")
def weighting_of_beta(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    return (_weights(weighting, 1 - t) * _squares(model(x, t) + eps / beta)).mean()


@mistake("denoising_score_matching_loss", "Without a weighting you weigh by beta^2; None means 1 everywhere.")
def noise_prediction_by_default(model, z, eps, t, weighting=None):
    return scores.denoising_score_matching_loss(model, z, eps, t, weighting or (lambda t: (1 - t) ** 2))


@mistake("denoising_score_matching_loss", "You keep a factor 1/2: the loss is the squared norm itself.")
def halved(model, z, eps, t, weighting=None):
    return 0.5 * scores.denoising_score_matching_loss(model, z, eps, t, weighting)


@mistake("denoising_score_matching_loss", "You take the norm without its square.")
def norm_without_square(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    return (_weights(weighting, t) * _squares(model(x, t) + eps / beta).sqrt()).mean()


@mistake(
    "denoising_score_matching_loss",
    "You use the path sqrt(t) z + sqrt(1 - t) eps of diffusion; here it is linear.",
)
def variance_preserving_path(model, z, eps, t, weighting=None):
    beta = (1 - t).reshape(-1, *[1] * (z.ndim - 1))
    x = (1 - beta).sqrt() * z + beta.sqrt() * eps
    return (_weights(weighting, t) * _squares(model(x, t) + eps / beta.sqrt())).mean()


@mistake("denoising_score_matching_loss", "You give the model the clean data; it must see the noised point.")
def model_sees_clean_data(model, z, eps, t, weighting=None):
    _, beta = _noised(z, eps, t)
    return (_weights(weighting, t) * _squares(model(z, t) + eps / beta)).mean()


@mistake(
    "denoising_score_matching_loss", "You call the model without gradients, so that it could never learn."
)
def model_without_gradient(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    with torch.no_grad():
        score = model(x, t)
    return (_weights(weighting, t) * _squares(score + eps / beta)).mean()


@mistake("denoising_score_matching_loss", "You divide eps in place: the caller's noise must stay as it is.")
def scales_the_noise_in_place(model, z, eps, t, weighting=None):
    x, beta = _noised(z, eps, t)
    eps /= beta
    return (_weights(weighting, t) * _squares(model(x, t) + eps)).mean()


@mistake("langevin_step", "You scale the noise by sqrt(step); the factor is sqrt(2 step).")
def without_the_two(x, score, step, noise):
    return x + step * score + step**0.5 * noise


@mistake(
    "langevin_step", "You scale the noise by 2 step itself; a variance of 2 step has the root as its std."
)
def noise_without_root(x, score, step, noise):
    return x + step * score + 2 * step * noise


@mistake("langevin_step", "You step against the score: Langevin dynamics climbs the log-density.")
def downhill(x, score, step, noise):
    return x - step * score + (2 * step) ** 0.5 * noise


@mistake(
    "langevin_step", "You take half the drift with the full noise: that samples the density to the power 1/2."
)
def half_the_drift(x, score, step, noise):
    return x + step / 2 * score + (2 * step) ** 0.5 * noise


@mistake("langevin_step", "You forget the noise: this is gradient ascent, which ends at a mode.")
def gradient_ascent(x, score, step, noise):
    return x + step * score


@mistake("langevin_step", "You return the increment; the new point is x plus that.")
def increment(x, score, step, noise):
    return step * score + (2 * step) ** 0.5 * noise


@mistake(
    "langevin_step",
    "This is Welling and Teh's form with half the step in the drift; here the step is not halved.",
)
def welling_and_teh(x, score, step, noise):
    return x + step / 2 * score + step**0.5 * noise


@mistake("langevin_step", "You scale by 2 sqrt(step); the two stands under the root: sqrt(2 step).")
def two_outside_the_root(x, score, step, noise):
    return x + step * score + 2 * step**0.5 * noise


@mistake("langevin_step", "You work on x in place: the caller's tensor must stay as it is.")
def steps_in_place(x, score, step, noise):
    x += step * score + (2 * step) ** 0.5 * noise
    return x
