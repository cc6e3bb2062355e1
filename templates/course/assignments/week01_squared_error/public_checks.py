"""Week 1: the checks that students have too."""

import torch

from autograder.author import check, close


@check("squared_error", examples=8)
def gives_the_worked_example(squared_error, x):
    """Vectors that differ by 2 everywhere have the squared error 4."""
    one = torch.ones_like(x)
    close(squared_error(3 * one, one), 4 * one[..., 0])
