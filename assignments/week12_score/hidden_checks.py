"""Week 12: the checks that only the instructor has; the battery comes on top."""

import torch

from autograder.author import check, close, number
from autograder.probes import Probe


@check("gaussian_score", unit=number(2.0, 0.5, 4.0, low=0.1))
def has_the_unit_of_an_inverse_length(gaussian_score, x, mean, std, unit):
    """In a smaller unit of length, x, mean and std are larger numbers, and the score is smaller as much."""
    close(gaussian_score(unit * x, unit * mean, unit * std), gaussian_score(x, mean, std) / unit)


@check("denoising_score_matching_loss")
def weighted_by_beta_squared_it_is_noise_prediction(denoising_score_matching_loss, model, z, eps, t):
    """With weights beta^2 it is the squared error of the noise that the score stands for, -beta score."""
    beta = (1 - t).reshape(-1, *[1] * (z.ndim - 1))
    score = model.build()((1 - beta) * z + beta * eps, t)
    error = (eps - (-beta * score)).square().sum() / len(z)
    close(denoising_score_matching_loss(model, z, eps, t, Probe("Power", {"p": 2.0})), error)


@check("denoising_score_matching_loss")
def counts_every_example_once_without_weighting(denoising_score_matching_loss, model, z, eps, t):
    """No weighting means weights of 1, and a batch shown twice has the loss of the batch."""
    loss = denoising_score_matching_loss(model, z, eps, t, None)
    close(denoising_score_matching_loss(model, z, eps, t, Probe("Power", {"p": 0.0})), loss)
    twice = [torch.cat([v, v]) for v in (z, eps, t)]
    close(denoising_score_matching_loss(model, *twice, None), loss)


@check("langevin_step")
def adds_drift_and_diffusion(langevin_step, x, score, step, noise):
    """Opposite noises lead to points around x + step * score, 2 sqrt(2 step) |noise| apart."""
    up, down = langevin_step(x, score, step, noise), langevin_step(x, score, step, -noise)
    close((up + down) / 2, x + step * score)
    close((up - down).square(), 8 * step * noise.square())
