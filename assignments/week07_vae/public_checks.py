"""Week 7: the checks that students have too."""

import math

import torch

from autograder.author import above, at_least, check, close


@check("kl_to_standard_normal", points=1)
def is_zero_only_at_the_prior(kl_to_standard_normal, mu, logvar):
    """KL is never negative, and it is zero when q is the prior N(0, I), only then."""
    at_least(kl_to_standard_normal(mu, logvar), 0)
    close(kl_to_standard_normal(0 * mu, 0 * logvar), torch.zeros(mu.shape[:-1]))
    above(kl_to_standard_normal(mu.abs() + 1, logvar), 0)


@check("kl_to_standard_normal", points=1)
def gives_the_worked_example(kl_to_standard_normal):
    """KL(N(1, 2^2) || N(0, 1)) = 2 - ln 2 = 1.306853 nats: logvar is ln 4."""
    value = kl_to_standard_normal(torch.tensor([1.0]), torch.tensor([math.log(4)]))
    close(value, torch.tensor(2 - math.log(2)))
