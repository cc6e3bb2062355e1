"""Another right answer."""

import torch

from autograder.author import accepted

SECRET = "CANARY-accepted-44f17a0c"


@accepted("log_sum_exp")
def by_pairs(x):
    total = x[..., 0]
    for i in range(1, x.shape[-1]):
        total = torch.logaddexp(total, x[..., i])
    return total
