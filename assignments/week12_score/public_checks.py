"""Week 12: the checks that students have too."""

import torch

from autograder.author import check, close
from autograder.probes import Probe


@check("gaussian_score", examples=8)
def gives_the_worked_example(gaussian_score, x):
    """The score of N(1, 2^2) at x = 3 is -(3 - 1) / 2^2 = -1/2: it points back to the mean."""
    one = torch.ones_like(x)
    close(gaussian_score(3 * one, one, 2 * one), -one / 2)


@check("gaussian_score")
def points_to_the_mean(gaussian_score, x, std):
    """It vanishes at the mean, and is opposite at opposite sides of it."""
    origin = torch.zeros_like(x)
    close(gaussian_score(x, x, std), origin)
    close(gaussian_score(-x, origin, std), -gaussian_score(x, origin, std))


@check("denoising_score_matching_loss", examples=8)
def gives_a_worked_loss(denoising_score_matching_loss, z):
    """The model t x / 4 with z = 3, eps = 1, t = 1/2: x = 2, score 1/4, target -2: (9/4)^2 per dimension."""
    one = torch.ones_like(z)
    t = torch.full_like(one.reshape(len(z), -1)[:, 0], 0.5)
    model = Probe("TimeModel", {"a": 0.0, "b": 0.0})
    close(denoising_score_matching_loss(model, 3 * one, one, t), 81 / 16 * one[0].sum())


@check("denoising_score_matching_loss")
def is_the_mean_of_the_examples_losses(denoising_score_matching_loss, model, z, eps, t, weighting):
    """The loss of a batch is the mean of the losses of its examples, each with its own time and weight."""
    alone = [
        denoising_score_matching_loss(model, z[i : i + 1], eps[i : i + 1], t[i : i + 1], weighting)
        for i in range(len(z))
    ]
    close(denoising_score_matching_loss(model, z, eps, t, weighting), sum(alone) / len(alone))


@check("langevin_step", examples=8)
def gives_a_worked_step(langevin_step, x):
    """From x = 1 with score -1, a step of 1/2 with noise 2 leads to 1 - 1/2 + sqrt(2 * 1/2) * 2 = 5/2."""
    one = torch.ones_like(x)
    close(langevin_step(one, -one, 0.5, 2 * one), 2.5 * one)


@check("langevin_step")
def stays_with_a_step_of_zero(langevin_step, x, score, noise):
    """A step of size 0 leads nowhere."""
    close(langevin_step(x, score, 0.0, noise), x)
