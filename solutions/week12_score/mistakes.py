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


def _mixture(x, weights, means, stds, exponent=2):
    """Distances, log of weight times density, and the components' scores."""
    away = means - x[..., None, :]
    log_joint = weights.log() - ((away / stds).square() / 2 + stds.log()).sum(-1)
    return away, log_joint, away / stds**exponent


def _mean_of(r, component_scores):
    return (r[..., None] * component_scores).sum(-2)


@mistake(
    "mixture_score",
    "You weigh the components' scores by their weights alone; far from a component its score hardly counts.",
)
def prior_weights(x, weights, means, stds):
    return _mean_of(weights, _mixture(x, weights, means, stds)[2])


@mistake("mixture_score", "You leave the weights out of the probabilities of the components.")
def without_the_weights(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    return _mean_of((log_joint - weights.log()).softmax(-1), component_scores)


@mistake(
    "mixture_score",
    "This is the gradient of p(x); the score is that of log p(x), so it is divided by p(x).",
)
def gradient_of_the_density(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    return _mean_of(log_joint.exp() / (2 * math.pi) ** (x.shape[-1] / 2), component_scores)


@mistake(
    "mixture_score",
    "Far away all your densities underflow, and 0 is divided by 0: compare their logarithms instead.",
)
def underflows(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    joint = log_joint.exp()
    return _mean_of(joint / joint.sum(-1, keepdim=True), component_scores)


@mistake(
    "mixture_score",
    "A small number added to p(x) keeps 0 / 0 away, but where p(x) is smaller than that, the score vanishes.",
)
def underflows_quietly(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    joint = log_joint.exp()
    return _mean_of(joint / (joint.sum(-1, keepdim=True) + 1e-12), component_scores)


@mistake(
    "mixture_score",
    "You leave 1 / std out of the densities: narrow components are higher, which is no constant here.",
)
def without_the_normalisers(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    return _mean_of((log_joint + stds.log().sum(-1)).softmax(-1), component_scores)


@mistake("mixture_score", "You take the likeliest component alone: the score is a mean over all of them.")
def nearest_component(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds)
    return _mean_of(torch.nn.functional.one_hot(log_joint.argmax(-1), len(weights)), component_scores)


@mistake(
    "mixture_score",
    "You divide by std once in the components' scores; the variance belongs there.",
)
def component_scores_over_std(x, weights, means, stds):
    _, log_joint, component_scores = _mixture(x, weights, means, stds, exponent=1)
    return _mean_of(log_joint.softmax(-1), component_scores)


@mistake(
    "mixture_score",
    "You give each dimension its own probabilities of the components; a point as a whole belongs to one.",
)
def responsibilities_per_dimension(x, weights, means, stds):
    away, _, component_scores = _mixture(x, weights, means, stds)
    log_joint = weights.log()[:, None] - (away / stds).square() / 2 - stds.log()
    return (log_joint.softmax(-2) * component_scores).sum(-2)


@mistake("mixture_score", "The sign is turned: the score points to where the density grows.")
def mixture_points_away(x, weights, means, stds):
    return -scores.mixture_score(x, weights, means, stds)


def _traces(model, x, create_graph=True):
    """The point, the scores in rows, and the trace of each example's Jacobian."""
    x = x.detach().requires_grad_()
    score = model(x).flatten(1)
    trace = torch.zeros_like(score[:, 0])
    for i in range(score.shape[1]):
        (gradient,) = torch.autograd.grad(score[:, i].sum(), x, create_graph=create_graph, retain_graph=True)
        trace = trace + gradient.flatten(1)[:, i]
    return x, score, trace


@mistake("implicit_score_matching_loss", "The squared norm has the factor 1/2, which is missing.")
def norm_without_the_half(model, x):
    _, score, trace = _traces(model, x)
    return (trace + score.square().sum(1)).mean()


@mistake(
    "implicit_score_matching_loss", "The trace is added, not subtracted: integration by parts made it so."
)
def minus_the_trace(model, x):
    _, score, trace = _traces(model, x)
    return (score.square().sum(1) / 2 - trace).mean()


@mistake("implicit_score_matching_loss", "You halve both terms; 1/2 belongs to the squared norm alone.")
def halves_the_trace_too(model, x):
    _, score, trace = _traces(model, x)
    return (trace + score.square().sum(1)).mean() / 2


@mistake(
    "implicit_score_matching_loss",
    "You differentiate the sum of the scores: that adds up all entries of the Jacobian, not its diagonal.",
)
def sum_of_the_jacobian(model, x):
    x = x.detach().requires_grad_()
    score = model(x)
    (gradient,) = torch.autograd.grad(score.sum(), x, create_graph=True)
    return (gradient.flatten(1).sum(1) + score.flatten(1).square().sum(1) / 2).mean()


@mistake(
    "implicit_score_matching_loss", "You leave the trace out: what is left is smallest for a score of 0."
)
def norm_alone(model, x):
    return (model(x).flatten(1).square().sum(1) / 2).mean()


@mistake(
    "implicit_score_matching_loss",
    "The trace is computed without `create_graph`: no gradient of it reaches the model, which then learns 0.",
)
def trace_without_graph(model, x):
    _, score, trace = _traces(model, x, create_graph=False)
    return (trace.detach() + score.square().sum(1) / 2).mean()


@mistake("implicit_score_matching_loss", "You average over the entries of an example; both terms are sums.")
def implicit_mean_over_entries(model, x):
    return scores.implicit_score_matching_loss(model, x) / x[0].numel()


@mistake("implicit_score_matching_loss", "You sum over the batch: the loss is the mean over its examples.")
def implicit_sum_over_the_batch(model, x):
    return len(x) * scores.implicit_score_matching_loss(model, x)


@mistake(
    "implicit_score_matching_loss",
    "You take the diagonal over the last event dimension alone: an image is one vector, with one trace.",
)
def trace_over_the_last_dimension(model, x):
    x = x.detach().requires_grad_()
    score = model(x)
    trace = 0
    for i in range(x.shape[-1]):
        (gradient,) = torch.autograd.grad(score[..., i].sum(), x, create_graph=True)
        trace = trace + gradient[..., i].flatten(1).sum(1)
    return (trace + score.flatten(1).square().sum(1) / 2).mean()


def _along(model, x, v):
    x = x.detach().requires_grad_()
    score = model(x)
    along = (v * score).flatten(1).sum(1)
    (gradient,) = torch.autograd.grad(along.sum(), x, create_graph=True)
    return score, along, gradient


@mistake("sliced_score_matching_loss", "You leave out one v: v^T J v needs it on both sides of the Jacobian.")
def one_v_too_few(model, x, v):
    _, along, gradient = _along(model, x, v)
    return (gradient.flatten(1).sum(1) + along.square() / 2).mean()


@mistake(
    "sliced_score_matching_loss",
    "This is the variant with half the whole squared norm; here the score is projected on v, too.",
)
def with_the_whole_norm(model, x, v):
    score, _, gradient = _along(model, x, v)
    return ((v * gradient).flatten(1).sum(1) + score.flatten(1).square().sum(1) / 2).mean()


@mistake("sliced_score_matching_loss", "The factor 1/2 of the squared projection is missing.")
def projection_without_the_half(model, x, v):
    _, along, gradient = _along(model, x, v)
    return ((v * gradient).flatten(1).sum(1) + along.square()).mean()


@mistake("sliced_score_matching_loss", "You normalise v; it is used as it is.")
def normalised_direction(model, x, v):
    length = v.flatten(1).norm(dim=1).clamp(min=1e-6).reshape(-1, *[1] * (v.ndim - 1))
    return scores.sliced_score_matching_loss(model, x, v / length)


@mistake("sliced_score_matching_loss", "The first term is added, not subtracted.")
def minus_the_curvature(model, x, v):
    _, along, gradient = _along(model, x, v)
    return (along.square() / 2 - (v * gradient).flatten(1).sum(1)).mean()


@mistake(
    "sliced_score_matching_loss",
    "You square the products entry by entry: (v^T s)^2 is the square of their sum.",
)
def squares_before_summing(model, x, v):
    score, _, gradient = _along(model, x, v)
    return ((v * gradient).flatten(1).sum(1) + (v * score).square().flatten(1).sum(1) / 2).mean()


@mistake(
    "sliced_score_matching_loss",
    "v^T J v is computed without `create_graph`: no gradient of it reaches the model.",
)
def curvature_without_graph(model, x, v):
    _, along, gradient = _along(model, x, v)
    return ((v * gradient.detach()).flatten(1).sum(1) + along.square() / 2).mean()


@mistake("sliced_score_matching_loss", "You use the first example's v for all of them; each has its own.")
def one_direction_for_all(model, x, v):
    return scores.sliced_score_matching_loss(model, x, v[:1].expand_as(v))


@mistake("sliced_score_matching_loss", "You average over the entries of an example; the products are sums.")
def sliced_mean_over_entries(model, x, v):
    _, along, gradient = _along(model, x, v)
    n = x[0].numel()
    return ((v * gradient).flatten(1).mean(1) + (along / n).square() / 2).mean()


@mistake("sliced_score_matching_loss", "You sum over the batch: the loss is the mean over its examples.")
def sliced_sum_over_the_batch(model, x, v):
    return len(x) * scores.sliced_score_matching_loss(model, x, v)


@mistake(
    "contrastive_divergence_loss",
    "The sign is turned: descent on this would raise the energy of the data.",
)
def raises_the_data(energy, x_data, x_model):
    return energy(x_model.detach()).mean() - energy(x_data).mean()


@mistake("contrastive_divergence_loss", "You add the two energies; that of the samples is subtracted.")
def adds_both(energy, x_data, x_model):
    return energy(x_data).mean() + energy(x_model.detach()).mean()


@mistake(
    "contrastive_divergence_loss",
    "A gradient flows into the samples: detach them, they are draws from the model and no parameters.",
)
def samples_with_gradient(energy, x_data, x_model):
    return energy(x_data).mean() - energy(x_model).mean()


@mistake("contrastive_divergence_loss", "You leave the samples out: the energy would fall everywhere.")
def data_alone(energy, x_data, x_model):
    return energy(x_data).mean()


@mistake(
    "contrastive_divergence_loss", "You sum the energies; with more data than samples they don't balance."
)
def sums_of_energies(energy, x_data, x_model):
    return energy(x_data).sum() - energy(x_model.detach()).sum()


@mistake(
    "contrastive_divergence_loss",
    "You divide both sums by the number of data; there may be more samples, or fewer.",
)
def one_count_for_both(energy, x_data, x_model):
    return (energy(x_data).sum() - energy(x_model.detach()).sum()) / len(x_data)


@mistake(
    "contrastive_divergence_loss",
    "You detach the energies of the samples: then nothing raises the energy where the model samples.",
)
def samples_energy_detached(energy, x_data, x_model):
    return energy(x_data).mean() - energy(x_model).mean().detach()


@mistake("contrastive_divergence_loss", "You average over the entries as well: one energy is one example's.")
def energy_per_entry(energy, x_data, x_model):
    return scores.contrastive_divergence_loss(energy, x_data, x_model) / x_data[0].numel()


@mistake("tweedie", "You scale the score by beta; its variance beta^2 belongs there.")
def beta_without_its_square(x, score, alpha, beta):
    return (x + beta * score) / alpha


@mistake("tweedie", "You subtract the score; it points to where the data are.")
def away_from_the_data(x, score, alpha, beta):
    return (x - beta**2 * score) / alpha


@mistake("tweedie", "You forget to divide by alpha: this is the mean of alpha z.")
def mean_of_the_scaled(x, score, alpha, beta):
    return x + beta**2 * score


@mistake("tweedie", "You divide x alone by alpha: the score's term is divided, too.")
def divides_x_alone(x, score, alpha, beta):
    return x / alpha + beta**2 * score


@mistake("tweedie", "You multiply by alpha; going back from x to z is a division.")
def times_alpha(x, score, alpha, beta):
    return (x + beta**2 * score) * alpha


@mistake("tweedie", "You take 1 - alpha^2 for beta^2, which holds for one schedule and not for all.")
def variance_preserving_beta(x, score, alpha, beta):
    return (x + (1 - alpha**2) * score) / alpha


@mistake("tweedie", "You divide by alpha^2; x is alpha z, not alpha^2 z.")
def over_alpha_squared(x, score, alpha, beta):
    return (x + beta**2 * score) / alpha**2


@mistake("tweedie", "You move x in place: the caller's tensor must stay as it is.")
def tweedie_in_place(x, score, alpha, beta):
    x += beta**2 * score
    return x / alpha


def _path(t, x, schedule):
    """alpha, beta and their derivatives, to multiply x."""
    t = t.reshape(-1, *[1] * (x.ndim - 1))
    if schedule == "linear":
        return t, 1 - t, torch.ones_like(t), -torch.ones_like(t)
    angle, rate = math.pi / 2 * t, math.pi / 2
    return angle.sin(), angle.cos(), rate * angle.cos(), -rate * angle.sin()


@mistake("score_to_velocity", "You use the linear path whatever the schedule is.")
def always_linear_velocity(score, x, t, schedule="linear"):
    return scores.score_to_velocity(score, x, t)


@mistake("score_to_velocity", "The derivatives of sin(pi t / 2) and cos(pi t / 2) have a factor pi / 2.")
def derivatives_without_the_chain_rule(score, x, t, schedule="linear"):
    u = scores.score_to_velocity(score, x, t, schedule)
    return u if schedule == "linear" else u / (math.pi / 2)


@mistake("score_to_velocity", "beta' is negative: on this path the noise recedes.")
def noise_that_grows(score, x, t, schedule="linear"):
    alpha, beta, d_alpha, d_beta = _path(t, x, schedule)
    return (d_alpha * x + beta * (d_alpha * beta + alpha * d_beta) * score) / alpha


@mistake("score_to_velocity", "You leave out a factor beta of the score's term.")
def one_beta_too_few(score, x, t, schedule="linear"):
    alpha, beta, d_alpha, d_beta = _path(t, x, schedule)
    return (d_alpha * x + (d_alpha * beta - alpha * d_beta) * score) / alpha


@mistake("score_to_velocity", "Your time runs the other way: here t = 0 is noise and t = 1 is data.")
def velocity_in_reversed_time(score, x, t, schedule="linear"):
    return scores.score_to_velocity(score, x, (1 - t).clamp(min=1e-3), schedule)


@mistake("score_to_velocity", "You forget to divide by alpha: the formula gives alpha u.")
def alpha_times_the_velocity(score, x, t, schedule="linear"):
    alpha = _path(t, x, schedule)[0]
    return alpha * scores.score_to_velocity(score, x, t, schedule)


@mistake("score_to_velocity", "You subtract the score's term; it is added.")
def against_the_score(score, x, t, schedule="linear"):
    return scores.score_to_velocity(-score, x, t, schedule)


@mistake("score_to_velocity", "You use the first example's time for all of them; each has its own.")
def first_time_for_all(score, x, t, schedule="linear"):
    return scores.score_to_velocity(score, x, t[:1].expand_as(t), schedule)


@mistake("score_to_velocity", "This is the denoised mean E[z | x], not the velocity.")
def clean_instead_of_velocity(score, x, t, schedule="linear"):
    alpha, beta, _, _ = _path(t, x, schedule)
    return (x + beta.square() * score) / alpha


@mistake("velocity_to_score", "You use the linear path whatever the schedule is.")
def always_linear_score(u, x, t, schedule="linear"):
    return scores.velocity_to_score(u, x, t)


@mistake(
    "velocity_to_score", "You leave the factor pi / 2 out of the derivatives of sin(pi t / 2) and its cosine."
)
def score_without_the_chain_rule(u, x, t, schedule="linear"):
    alpha, beta, d_alpha, d_beta = _path(t, x, schedule)
    rate = 1 if schedule == "linear" else math.pi / 2
    return (alpha * u - d_alpha / rate * x) / (beta * (d_alpha * beta - alpha * d_beta) / rate)


@mistake("velocity_to_score", "This is the score's negative: the x term is subtracted from alpha u.")
def turned_score(u, x, t, schedule="linear"):
    return -scores.velocity_to_score(u, x, t, schedule)


@mistake("velocity_to_score", "You divide by beta^2 where beta times (alpha' beta - alpha beta') belongs.")
def over_beta_squared(u, x, t, schedule="linear"):
    alpha, beta, d_alpha, _ = _path(t, x, schedule)
    return (alpha * u - d_alpha * x) / beta.square()


@mistake("velocity_to_score", "You forget the factor alpha of the velocity.")
def velocity_without_alpha(u, x, t, schedule="linear"):
    alpha, beta, d_alpha, d_beta = _path(t, x, schedule)
    return (u - d_alpha * x) / (beta * (d_alpha * beta - alpha * d_beta))


@mistake("velocity_to_score", "Your time runs the other way: here t = 0 is noise and t = 1 is data.")
def score_in_reversed_time(u, x, t, schedule="linear"):
    return scores.velocity_to_score(u, x, (1 - t).clamp(max=0.999), schedule)


@mistake("velocity_to_score", "You forget to divide by beta.")
def score_times_beta(u, x, t, schedule="linear"):
    return _path(t, x, schedule)[1] * scores.velocity_to_score(u, x, t, schedule)


@mistake("velocity_to_score", "You use the first example's time for all; each example has its own.")
def one_time_for_all(u, x, t, schedule="linear"):
    return scores.velocity_to_score(u, x, t[:1].expand_as(t), schedule)


@mistake("velocity_to_score", "This is the mean of the noise, E[eps | x]; the score is that over -beta.")
def noise_instead_of_score(u, x, t, schedule="linear"):
    return -_path(t, x, schedule)[1] * scores.velocity_to_score(u, x, t, schedule)


def _anneal(
    model, x, sigmas, noises, step_of, given=lambda sigma: sigma, scale=lambda step: (2 * step) ** 0.5
):
    for sigma, level in zip(sigmas, noises, strict=True):
        step = step_of(sigma)
        for noise in level:
            x = x + step * model(x, given(sigma).expand(len(x))) + scale(step) * noise
    return x


@mistake(
    "annealed_langevin",
    "Your step is twice too large: the paper's alpha_i enters the drift halved, step = alpha_i / 2.",
)
def alpha_as_the_step(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas, noises, lambda s: eps * s**2 / sigmas[-1] ** 2)


@mistake(
    "annealed_langevin",
    "The paper's alpha_i is twice the step: you scale the score by alpha_i and the noise by sqrt(alpha_i).",
)
def full_alpha_in_the_drift(model, x, sigmas, eps, noises):
    return _anneal(
        model, x, sigmas, noises, lambda s: eps * s**2 / sigmas[-1] ** 2, scale=lambda step: step**0.5
    )


@mistake("annealed_langevin", "You use one step size at all levels; it falls with sigma_i^2.")
def same_step_everywhere(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas, noises, lambda s: eps / 2 + 0 * s)


@mistake(
    "annealed_langevin", "You compare with the largest sigma; steps are measured by the last, the smallest."
)
def relative_to_the_first(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas, noises, lambda s: eps * s**2 / (2 * sigmas[0] ** 2))


@mistake("annealed_langevin", "You take sigma_i / sigma_L; the steps go with its square.")
def ratio_without_square(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas, noises, lambda s: eps * s / (2 * sigmas[-1]))


@mistake("annealed_langevin", "You don't divide by sigma_L^2: eps is meant for the last level.")
def absolute_steps(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas, noises, lambda s: eps * s**2 / 2)


@mistake(
    "annealed_langevin", "You go from the smallest sigma to the largest: annealing ends with little noise."
)
def heating(model, x, sigmas, eps, noises):
    return _anneal(model, x, sigmas.flip(0), noises, lambda s: eps * s**2 / (2 * sigmas[-1] ** 2))


@mistake("annealed_langevin", "You take one step per level; each has as many as there are noises for it.")
def one_step_per_level(model, x, sigmas, eps, noises):
    return scores.annealed_langevin(model, x, sigmas, eps, noises[:, :1])


@mistake(
    "annealed_langevin", "You begin every level at the first x: it goes on from where the last one ended."
)
def every_level_from_the_start(model, x, sigmas, eps, noises):
    end = x
    for sigma, level in zip(sigmas, noises, strict=True):
        step = eps * sigma**2 / (2 * sigmas[-1] ** 2)
        end = x
        for noise in level:
            end = end + step * model(end, sigma.expand(len(x))) + (2 * step) ** 0.5 * noise
    return end


@mistake(
    "annealed_langevin", "You compute the score once per level; it is taken at the present x in each step."
)
def one_score_per_level(model, x, sigmas, eps, noises):
    for sigma, level in zip(sigmas, noises, strict=True):
        step = eps * sigma**2 / (2 * sigmas[-1] ** 2)
        score = model(x, sigma.expand(len(x)))
        for noise in level:
            x = x + step * score + (2 * step) ** 0.5 * noise
    return x


@mistake("annealed_langevin", "You give the model sigma^2; it takes sigma.")
def model_sees_the_variance(model, x, sigmas, eps, noises):
    return _anneal(
        model, x, sigmas, noises, lambda s: eps * s**2 / (2 * sigmas[-1] ** 2), given=lambda s: s**2
    )


@mistake("annealed_langevin", "You scale the noise by sqrt(step); the factor is sqrt(2 step).")
def annealed_without_the_two(model, x, sigmas, eps, noises):
    return _anneal(
        model, x, sigmas, noises, lambda s: eps * s**2 / (2 * sigmas[-1] ** 2), scale=lambda step: step**0.5
    )


@mistake("annealed_langevin", "You leave the noise of the very last step out; here every step has its noise.")
def last_step_without_noise(model, x, sigmas, eps, noises):
    noises = noises.clone()
    noises[-1, -1] = 0
    return scores.annealed_langevin(model, x, sigmas, eps, noises)


def _march(drift, diffusion, x, ts, noises, size=lambda h: h.abs() ** 0.5, at=0, h_of=None):
    for k, noise in enumerate(noises):
        h = ts[k + 1] - ts[k] if h_of is None else h_of(k)
        t = ts[k + at]
        x = x + h * drift(x, t) + size(h) * diffusion(t) * noise
    return x


@mistake(
    "euler_maruyama", "You scale the noise by h; a Brownian increment has the variance |h|, so sqrt(|h|)."
)
def noise_scaled_by_h(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, size=lambda h: h)


@mistake(
    "euler_maruyama", "You scale the noise by |h|; a Brownian increment has the standard deviation sqrt(|h|)."
)
def noise_scaled_by_size(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, size=lambda h: h.abs())


@mistake(
    "euler_maruyama", "Where times fall, h is negative and has no root: the noise is as large as for |h|."
)
def root_of_a_negative_step(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, size=lambda h: h**0.5)


@mistake("euler_maruyama", "Where times fall, no noise is added: it is as large as for |h|.")
def no_noise_backwards(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, size=lambda h: h.clamp(min=0) ** 0.5)


@mistake("euler_maruyama", "You take |h| in the drift, too: where times fall, the drift is run backwards.")
def drift_always_forwards(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, h_of=lambda k: (ts[k + 1] - ts[k]).abs())


@mistake(
    "euler_maruyama", "You use the time at the end of each step; drift and diffusion belong to its beginning."
)
def at_the_end_of_the_step(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, at=1)


@mistake("euler_maruyama", "You use the first step's length for all; the times need not be equally spaced.")
def equal_steps(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, h_of=lambda k: ts[1] - ts[0])


@mistake("euler_maruyama", "You use the mean step for all; the times need not be equally spaced.")
def mean_steps(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises, h_of=lambda k: (ts[-1] - ts[0]) / len(noises))


@mistake("euler_maruyama", "You stop one step early: n + 1 times make n steps.")
def one_step_short(drift, diffusion, x0, ts, noises):
    return _march(drift, diffusion, x0, ts, noises[:-1])


@mistake("euler_maruyama", "You square the diffusion; it multiplies the noise as it is.")
def squared_diffusion(drift, diffusion, x0, ts, noises):
    return _march(drift, lambda t: diffusion(t) ** 2, x0, ts, noises)


@mistake("euler_maruyama", "You forget the noise: this is Euler's method for the drift alone.")
def without_diffusion(drift, diffusion, x0, ts, noises):
    return _march(drift, lambda t: 0.0, x0, ts, noises)


@mistake("euler_maruyama", "You evaluate the drift at x0 in every step; it belongs to the present x.")
def drift_at_the_start(drift, diffusion, x0, ts, noises):
    return _march(lambda x, t: drift(x0, t), diffusion, x0, ts, noises)


def _residual(p, u, x, t, terms):
    x, t = x.detach().requires_grad_(), t.detach().requires_grad_()

    def d(value, by):
        return torch.autograd.grad(value.sum(), by, create_graph=True)[0]

    density, velocity = p(x, t), u(x, t)
    dp_dx = d(density, x)
    found = {
        "p": density, "u": velocity, "p_t": d(density, t), "p_x": dp_dx, "p_xx": d(dp_dx, x),
        "u_x": d(velocity, x), "flux": d(density * velocity, x),
    }  # fmt: skip
    return terms(**found)


@mistake("fokker_planck_residual", "The sign of the diffusion is turned: noise smooths peaks, p'' < 0, away.")
def diffusion_with_a_plus(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, p_xx, **_: p_t + flux + sigma**2 / 2 * p_xx)


@mistake("fokker_planck_residual", "The diffusion has the factor sigma^2 / 2; you leave out the 1/2.")
def diffusion_without_the_half(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, p_xx, **_: p_t + flux - sigma**2 * p_xx)


@mistake("fokker_planck_residual", "You take sigma / 2 for sigma^2 / 2.")
def sigma_without_its_square(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, p_xx, **_: p_t + flux - sigma / 2 * p_xx)


@mistake("fokker_planck_residual", "You leave the diffusion out: this is the continuity equation.")
def continuity_alone(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, **_: p_t + flux)


@mistake(
    "fokker_planck_residual",
    "You take u dp/dx for d(p u)/dx: where the drift changes with x, density is gathered, too.",
)
def advection_alone(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, u, p_x, p_xx, **_: p_t + u * p_x - sigma**2 / 2 * p_xx)


@mistake("fokker_planck_residual", "You take p du/dx for d(p u)/dx: the product rule has two terms.")
def gathering_alone(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, p, u_x, p_xx, **_: p_t + p * u_x - sigma**2 / 2 * p_xx)


@mistake("fokker_planck_residual", "The sign of d(p u)/dx is turned: it stands beside dp/dt with a plus.")
def flux_with_a_minus(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, p_xx, **_: p_t - flux - sigma**2 / 2 * p_xx)


@mistake("fokker_planck_residual", "You leave dp/dt out: that is zero for densities that don't change alone.")
def stationary_equation(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda flux, p_xx, **_: flux - sigma**2 / 2 * p_xx)


@mistake("fokker_planck_residual", "You take the first derivative of p in the diffusion; it is the second.")
def first_derivative(p, u, sigma, x, t):
    return _residual(p, u, x, t, lambda p_t, flux, p_x, **_: p_t + flux - sigma**2 / 2 * p_x)


@mistake("fokker_planck_residual", "You add the residuals up: each point has its own.")
def total_residual(p, u, sigma, x, t):
    return scores.fokker_planck_residual(p, u, sigma, x, t).sum()


@mistake("denoising_sde_step", "You take all of sigma^2 in the drift; half of it balances the noise.")
def whole_variance_in_the_drift(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma**2 * score) + sigma * dt**0.5 * noise


@mistake("denoising_sde_step", "You take sigma / 2 for sigma^2 / 2 in the drift.")
def half_sigma_in_the_drift(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma / 2 * score) + sigma * dt**0.5 * noise


@mistake("denoising_sde_step", "You subtract the score's term: forwards in time it is added.")
def score_subtracted(x, u, score, sigma, dt, noise):
    return x + dt * (u - sigma**2 / 2 * score) + sigma * dt**0.5 * noise


@mistake("denoising_sde_step", "You scale the noise by dt; its variance is sigma^2 dt, so by sqrt(dt).")
def noise_times_dt(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma**2 / 2 * score) + sigma * dt * noise


@mistake("denoising_sde_step", "You scale the noise by sigma alone: in a short step there is little of it.")
def noise_without_dt(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma**2 / 2 * score) + sigma * noise


@mistake("denoising_sde_step", "You scale the noise by sqrt(2 dt): the two belongs to Langevin's own sigma.")
def langevins_two(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma**2 / 2 * score) + sigma * (2 * dt) ** 0.5 * noise


@mistake(
    "denoising_sde_step", "You leave the score out: the noise is not balanced, and the marginals spread."
)
def unbalanced_noise(x, u, score, sigma, dt, noise):
    return x + dt * u + sigma * dt**0.5 * noise


@mistake("denoising_sde_step", "You forget the noise, but take its balance in the drift.")
def balance_without_noise(x, u, score, sigma, dt, noise):
    return x + dt * (u + sigma**2 / 2 * score)


@mistake(
    "denoising_sde_step", "You leave the velocity out: this is a Langevin step, in which no time passes."
)
def without_the_velocity(x, u, score, sigma, dt, noise):
    return x + dt * sigma**2 / 2 * score + sigma * dt**0.5 * noise


def _rate(t, beta_min, beta_max):
    return beta_min + t * (beta_max - beta_min)


def _column(value, x):
    return value.reshape(-1, *[1] * (x.ndim - 1))


@mistake("vp_sde", "The drift has the factor 1/2, which is missing.")
def drift_without_the_half(x, t, beta_min=0.1, beta_max=20.0):
    rate = _rate(t, beta_min, beta_max)
    return -_column(rate, x) * x, rate.sqrt()


@mistake("vp_sde", "The drift pulls towards 0: it has a minus sign.")
def drift_outwards(x, t, beta_min=0.1, beta_max=20.0):
    rate = _rate(t, beta_min, beta_max)
    return _column(rate, x) / 2 * x, rate.sqrt()


@mistake("vp_sde", "You return g^2 = b(t); the diffusion is its root.")
def diffusion_without_root(x, t, beta_min=0.1, beta_max=20.0):
    rate = _rate(t, beta_min, beta_max)
    return -_column(rate, x) / 2 * x, rate


@mistake("vp_sde", "Time runs from data to noise here, b grows from beta_min to beta_max.")
def rate_in_reversed_time(x, t, beta_min=0.1, beta_max=20.0):
    return scores.vp_sde(x, 1 - t, beta_min, beta_max)


@mistake("vp_sde", "You leave beta_min out of the slope: b reaches beta_max, not beta_min + beta_max.")
def rate_too_steep(x, t, beta_min=0.1, beta_max=20.0):
    rate = beta_min + t * beta_max
    return -_column(rate, x) / 2 * x, rate.sqrt()


@mistake("vp_sde", "You take the integral of b from 0 to t; the drift has b(t) itself.")
def integrated_rate(x, t, beta_min=0.1, beta_max=20.0):
    rate = t * beta_min + t**2 / 2 * (beta_max - beta_min)
    return -_column(rate, x) / 2 * x, rate.sqrt()


@mistake("vp_sde", "You interpolate the logarithms of b; it grows linearly.")
def geometric_rate(x, t, beta_min=0.1, beta_max=20.0):
    rate = beta_min * (beta_max / beta_min) ** t
    return -_column(rate, x) / 2 * x, rate.sqrt()


@mistake("vp_sde", "You take the drift by sqrt(b), as the diffusion; it goes with b.")
def root_in_the_drift(x, t, beta_min=0.1, beta_max=20.0):
    rate = _rate(t, beta_min, beta_max)
    return -_column(rate.sqrt(), x) / 2 * x, rate.sqrt()


@mistake("vp_sde", "You exchange the two: the drift comes first.")
def diffusion_first(x, t, beta_min=0.1, beta_max=20.0):
    return scores.vp_sde(x, t, beta_min, beta_max)[::-1]


@mistake("vp_sde", "You use the first example's time for all of them.")
def first_rate_for_all(x, t, beta_min=0.1, beta_max=20.0):
    return scores.vp_sde(x, t[:1].expand_as(t), beta_min, beta_max)


def _integral(t, beta_min, beta_max):
    return t * beta_min + t**2 / 2 * (beta_max - beta_min)


@mistake("vp_marginal", "You return the variance; asked is the standard deviation, its root.")
def variance_of_the_marginal(t, beta_min=0.1, beta_max=20.0):
    m, s = scores.vp_marginal(t, beta_min, beta_max)
    return m, s.square()


@mistake("vp_marginal", "The mean decays with half the integral of b; yours does with all of it.")
def decays_twice_as_fast(t, beta_min=0.1, beta_max=20.0):
    integral = _integral(t, beta_min, beta_max)
    return torch.exp(-integral), torch.sqrt(-torch.expm1(-2 * integral))


@mistake("vp_marginal", "You take 1 - m for the standard deviation; it is m^2 + s^2 that is 1.")
def std_as_one_minus_mean(t, beta_min=0.1, beta_max=20.0):
    m = scores.vp_marginal(t, beta_min, beta_max)[0]
    return m, 1 - m


@mistake("vp_marginal", "You take the root of 1 - m: it is 1 - m^2 that is the variance.")
def variance_as_one_minus_mean(t, beta_min=0.1, beta_max=20.0):
    m = scores.vp_marginal(t, beta_min, beta_max)[0]
    return m, torch.sqrt(1 - m)


@mistake("vp_marginal", "The integral of t is t^2 / 2; you leave out the 1/2.")
def integral_without_the_half(t, beta_min=0.1, beta_max=20.0):
    integral = t * beta_min + t**2 * (beta_max - beta_min)
    return torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))


@mistake("vp_marginal", "You leave beta_min out of the slope of b.")
def slope_of_beta_max(t, beta_min=0.1, beta_max=20.0):
    integral = t * beta_min + t**2 / 2 * beta_max
    return torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))


@mistake("vp_marginal", "You forget the part of beta_min: the rate does not begin with 0.")
def rate_from_zero(t, beta_min=0.1, beta_max=20.0):
    integral = t**2 / 2 * (beta_max - beta_min)
    return torch.exp(-integral / 2), torch.sqrt(-torch.expm1(-integral))


@mistake("vp_marginal", "Your time runs the other way: t = 0 is the data here, where nothing is lost yet.")
def marginal_in_reversed_time(t, beta_min=0.1, beta_max=20.0):
    return scores.vp_marginal(1 - t, beta_min, beta_max)


@mistake("vp_marginal", "You return m^2, which is alpha-bar; the factor of the mean is its root.")
def alpha_bar_for_the_mean(t, beta_min=0.1, beta_max=20.0):
    m, s = scores.vp_marginal(t, beta_min, beta_max)
    return m.square(), s


def _sigma(t, sigma_min, sigma_max):
    return sigma_min * (sigma_max / sigma_min) ** t


@mistake("ve_sde", "You return sigma_t as the diffusion; g^2 is the growth of sigma_t^2.")
def sigma_as_the_diffusion(x, t, sigma_min=0.01, sigma_max=50.0):
    return torch.zeros_like(x), _sigma(t, sigma_min, sigma_max)


@mistake("ve_sde", "The factor is sqrt(2 log(max / min)); you leave out the 2, which comes from the square.")
def growth_without_the_two(x, t, sigma_min=0.01, sigma_max=50.0):
    return torch.zeros_like(x), _sigma(t, sigma_min, sigma_max) * math.log(sigma_max / sigma_min) ** 0.5


@mistake("ve_sde", "You leave out the root: the factor is sqrt(2 log(max / min)).")
def growth_without_the_root(x, t, sigma_min=0.01, sigma_max=50.0):
    return torch.zeros_like(x), _sigma(t, sigma_min, sigma_max) * 2 * math.log(sigma_max / sigma_min)


@mistake("ve_sde", "You take the base 10: the derivative of an exponential has the natural logarithm.")
def decimal_logarithm(x, t, sigma_min=0.01, sigma_max=50.0):
    return torch.zeros_like(x), _sigma(t, sigma_min, sigma_max) * (
        2 * math.log10(sigma_max / sigma_min)
    ) ** 0.5


@mistake("ve_sde", "You return g^2; the diffusion is its root.")
def squared_ve_diffusion(x, t, sigma_min=0.01, sigma_max=50.0):
    drift, g = scores.ve_sde(x, t, sigma_min, sigma_max)
    return drift, g.square()


@mistake("ve_sde", "Nothing pulls back here: the drift of the variance-exploding SDE is 0.")
def with_a_drift(x, t, sigma_min=0.01, sigma_max=50.0):
    g = scores.ve_sde(x, t, sigma_min, sigma_max)[1]
    return -_column(g.square(), x) / 2 * x, g


@mistake("ve_sde", "Your time runs the other way: t = 0 is the data here, with sigma_min.")
def ve_in_reversed_time(x, t, sigma_min=0.01, sigma_max=50.0):
    return scores.ve_sde(x, 1 - t, sigma_min, sigma_max)


@mistake("ve_sde", "You interpolate sigma linearly; it grows geometrically.")
def linear_sigma_diffusion(x, t, sigma_min=0.01, sigma_max=50.0):
    sigma = sigma_min + t * (sigma_max - sigma_min)
    return torch.zeros_like(x), torch.sqrt(2 * sigma * (sigma_max - sigma_min))


@mistake("ve_sde", "You give the diffusion the shape of x; it is one number for each example, like t.")
def diffusion_like_x(x, t, sigma_min=0.01, sigma_max=50.0):
    drift, g = scores.ve_sde(x, t, sigma_min, sigma_max)
    return drift, _column(g, x) + 0 * x


@mistake("ve_marginal", "You interpolate sigma linearly; it grows geometrically.")
def linear_sigma(t, sigma_min=0.01, sigma_max=50.0):
    return torch.ones_like(t), sigma_min + t * (sigma_max - sigma_min)


@mistake("ve_marginal", "You return the variance; asked is the standard deviation.")
def variance_of_ve(t, sigma_min=0.01, sigma_max=50.0):
    return torch.ones_like(t), _sigma(t, sigma_min, sigma_max).square()


@mistake("ve_marginal", "The mean is kept: its factor is 1, not 0.")
def mean_of_zero(t, sigma_min=0.01, sigma_max=50.0):
    return torch.zeros_like(t), _sigma(t, sigma_min, sigma_max)


@mistake("ve_marginal", "Your time runs the other way: at t = 0 the standard deviation is sigma_min.")
def ve_marginal_in_reversed_time(t, sigma_min=0.01, sigma_max=50.0):
    return scores.ve_marginal(1 - t, sigma_min, sigma_max)


@mistake("ve_marginal", "You leave sigma_min out in front: at t = 0 the standard deviation would be 1.")
def ratio_alone(t, sigma_min=0.01, sigma_max=50.0):
    return torch.ones_like(t), (sigma_max / sigma_min) ** t


@mistake("ve_marginal", "Variance is not preserved here: the mean keeps the factor 1, whatever the noise is.")
def preserved_variance(t, sigma_min=0.01, sigma_max=50.0):
    sigma = _sigma(t, sigma_min, sigma_max)
    return 1 / (1 + sigma.square()).sqrt(), sigma


@mistake("ve_marginal", "You return the diffusion of the SDE; asked is the standard deviation of x(t).")
def diffusion_for_the_std(t, sigma_min=0.01, sigma_max=50.0):
    growth = (2 * math.log(sigma_max / sigma_min)) ** 0.5
    return torch.ones_like(t), growth * _sigma(t, sigma_min, sigma_max)


@mistake(
    "ve_marginal",
    "You subtract sigma_min^2, the noise that the data begin with; here sigma_t counts that, too.",
)
def noise_added_since(t, sigma_min=0.01, sigma_max=50.0):
    sigma = _sigma(t, sigma_min, sigma_max)
    return torch.ones_like(t), (sigma.square() - sigma_min**2).clamp(min=0).sqrt()


@mistake("reverse_sde_drift", "You take half of g^2: that is the probability flow, which has no noise.")
def flow_for_the_reverse(drift, diffusion, score):
    return drift - _column(diffusion, score) ** 2 / 2 * score


@mistake("reverse_sde_drift", "You take g where g^2 belongs.")
def reverse_without_square(drift, diffusion, score):
    return drift - _column(diffusion, score) * score


@mistake("reverse_sde_drift", "You add the score's term; dt is negative, so that it is subtracted.")
def reverse_plus_score(drift, diffusion, score):
    return drift + _column(diffusion, score) ** 2 * score


@mistake(
    "reverse_sde_drift",
    "The sign of it all is turned: this is for a time that grows; here t runs backwards, dt < 0.",
)
def for_growing_time(drift, diffusion, score):
    return _column(diffusion, score) ** 2 * score - drift


@mistake("reverse_sde_drift", "You turn the sign of the drift alone: backwards, dt itself is negative.")
def turned_drift(drift, diffusion, score):
    return -drift - _column(diffusion, score) ** 2 * score


@mistake("reverse_sde_drift", "You leave the drift out.")
def score_alone(drift, diffusion, score):
    return -(_column(diffusion, score) ** 2) * score


@mistake("reverse_sde_drift", "You use the mean g^2 of the batch; each example has its own.")
def mean_diffusion(drift, diffusion, score):
    return drift - diffusion.square().mean() * score


@mistake(
    "reverse_sde_drift",
    "You multiply g along the last dimension of the score; it has one entry for each example.",
)
def diffusion_along_the_last(drift, diffusion, score):
    return drift - diffusion**2 * score


@mistake("reverse_sde_drift", "You change the drift in place: the caller's tensor must stay as it is.")
def reverse_in_place(drift, diffusion, score):
    drift -= _column(diffusion, score) ** 2 * score
    return drift


@mistake("probability_flow_drift", "The factor 1/2 is missing: this is the drift of the reverse-time SDE.")
def reverse_for_the_flow(drift, diffusion, score):
    return drift - _column(diffusion, score) ** 2 * score


@mistake("probability_flow_drift", "You halve the drift as well; 1/2 belongs to the score's term alone.")
def halved_drift(drift, diffusion, score):
    return (drift - _column(diffusion, score) ** 2 * score) / 2


@mistake("probability_flow_drift", "You take g / 2 where g^2 / 2 belongs.")
def flow_without_square(drift, diffusion, score):
    return drift - _column(diffusion, score) / 2 * score


@mistake("probability_flow_drift", "You square g / 2, which makes g^2 / 4; it is g^2 / 2.")
def quarter_of_the_square(drift, diffusion, score):
    return drift - (_column(diffusion, score) / 2) ** 2 * score


@mistake(
    "probability_flow_drift", "You add the score's term: the flow goes down the density, as noise spreads."
)
def flow_plus_score(drift, diffusion, score):
    return drift + _column(diffusion, score) ** 2 / 2 * score


@mistake("probability_flow_drift", "You leave the drift out.")
def flow_of_the_score_alone(drift, diffusion, score):
    return -(_column(diffusion, score) ** 2) / 2 * score


@mistake("probability_flow_drift", "You use the first example's g for all of them; each has its own.")
def first_diffusion_for_all(drift, diffusion, score):
    return drift - diffusion[0] ** 2 / 2 * score


@mistake(
    "probability_flow_drift",
    "You multiply g along the last dimension of the score; there is one entry for each example.",
)
def flow_along_the_last(drift, diffusion, score):
    return drift - diffusion**2 / 2 * score


@mistake("probability_flow_drift", "You change the drift in place: the caller's tensor must stay as it is.")
def flow_in_place(drift, diffusion, score):
    drift -= _column(diffusion, score) ** 2 / 2 * score
    return drift


def _edm(sigma, sigma_data):
    return sigma.square() + sigma_data**2


@mistake(
    "edm_preconditioning", "c_skip and its complement are exchanged: with little noise D is nearly x itself."
)
def skips_the_noise(sigma, sigma_data=0.5):
    _, c_out, c_in, c_noise = scores.edm_preconditioning(sigma, sigma_data)
    return sigma**2 / _edm(sigma, sigma_data), c_out, c_in, c_noise


@mistake("edm_preconditioning", "c_skip has sigma_data^2 in its numerator, not sigma_data.")
def skip_without_square(sigma, sigma_data=0.5):
    _, c_out, c_in, c_noise = scores.edm_preconditioning(sigma, sigma_data)
    return sigma_data / _edm(sigma, sigma_data), c_out, c_in, c_noise


@mistake("edm_preconditioning", "c_out is divided by the root of sigma^2 + sigma_data^2; yours has no root.")
def out_without_root(sigma, sigma_data=0.5):
    c_skip, _, c_in, c_noise = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, sigma * sigma_data / _edm(sigma, sigma_data), c_in, c_noise


@mistake("edm_preconditioning", "c_in is one over the standard deviation of x, not over its variance.")
def in_without_root(sigma, sigma_data=0.5):
    c_skip, c_out, _, c_noise = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, c_out, 1 / _edm(sigma, sigma_data), c_noise


@mistake("edm_preconditioning", "c_noise is log(sigma) / 4; the quarter is missing.")
def noise_without_the_quarter(sigma, sigma_data=0.5):
    c_skip, c_out, c_in, _ = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, c_out, c_in, sigma.log()


@mistake("edm_preconditioning", "c_noise has the natural logarithm, yours is to the base 2.")
def binary_logarithm(sigma, sigma_data=0.5):
    c_skip, c_out, c_in, _ = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, c_out, c_in, sigma.log2() / 4


@mistake("edm_preconditioning", "c_noise is log(sigma) / 4, not sigma / 4.")
def noise_without_logarithm(sigma, sigma_data=0.5):
    c_skip, c_out, c_in, _ = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, c_out, c_in, sigma / 4


@mistake(
    "edm_preconditioning", "Standard deviations don't add up: the variance of x is sigma^2 + sigma_data^2."
)
def adds_standard_deviations(sigma, sigma_data=0.5):
    total = sigma + sigma_data
    return sigma_data**2 / total**2, sigma * sigma_data / total, 1 / total, sigma.log() / 4


@mistake("edm_preconditioning", "You use 1/2 whatever sigma_data is.")
def fixed_sigma_data(sigma, sigma_data=0.5):
    return scores.edm_preconditioning(sigma, 0.5)


@mistake("edm_preconditioning", "The order is c_skip, c_out, c_in, c_noise; you exchange c_out and c_in.")
def in_before_out(sigma, sigma_data=0.5):
    c_skip, c_out, c_in, c_noise = scores.edm_preconditioning(sigma, sigma_data)
    return c_skip, c_in, c_out, c_noise


def _levels(w, sigma_min, sigma_max, rho, dtype):
    root = sigma_max ** (1 / rho) + w * (sigma_min ** (1 / rho) - sigma_max ** (1 / rho))
    return (root**rho).to(dtype)


@mistake("edm_sigmas", "You divide by n; between n levels there are n - 1 steps.")
def one_step_too_many(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return _levels(torch.arange(n, dtype=torch.float64) / n, sigma_min, sigma_max, rho, dtype)


@mistake("edm_sigmas", "The levels fall from sigma_max to sigma_min; yours grow.")
def growing_levels(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return scores.edm_sigmas(n, sigma_min, sigma_max, rho, dtype).flip(0)


@mistake("edm_sigmas", "You append the final 0; it is not asked for here.")
def with_a_final_zero(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    levels = scores.edm_sigmas(n, sigma_min, sigma_max, rho, dtype)
    return torch.cat([levels, levels.new_zeros(1)])


@mistake("edm_sigmas", "You return the rho-th roots; raise them to the power rho again.")
def roots_alone(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return (scores.edm_sigmas(n, sigma_min, sigma_max, rho, torch.float64) ** (1 / rho)).to(dtype)


@mistake("edm_sigmas", "You space the powers evenly; it is the rho-th roots, sigma^(1 / rho).")
def powers_for_roots(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return scores.edm_sigmas(n, sigma_min, sigma_max, 1 / rho, dtype)


@mistake("edm_sigmas", "You use rho = 7 whatever it is.")
def always_rho_seven(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return scores.edm_sigmas(n, sigma_min, sigma_max, 7.0, dtype)


@mistake("edm_sigmas", "You space the logarithms evenly, a geometric sequence; it is the rho-th roots.")
def geometric_levels(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    ends = math.log(sigma_max), math.log(sigma_min)
    return torch.linspace(*ends, n, dtype=torch.float64).exp().to(dtype)


@mistake("edm_sigmas", "You space the levels themselves evenly; it is their rho-th roots.")
def evenly_spaced(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return torch.linspace(sigma_max, sigma_min, n, dtype=torch.float64).to(dtype)


@mistake("edm_sigmas", "You ignore dtype: the result is float32 whatever is asked.")
def always_float32(n, sigma_min=0.002, sigma_max=80.0, rho=7.0, dtype=torch.float32):
    return scores.edm_sigmas(n, sigma_min, sigma_max, rho, torch.float32)
