"""Week 1: other right ways to write the answers. All of them must get full marks."""

import torch

from autograder.author import accepted


@accepted("squared_error")
def by_torch(x, y):
    return torch.nn.functional.mse_loss(x, y, reduction="none").mean(-1)


@accepted("squared_error")
def by_a_norm(x, y):
    return (x - y).pow(2).sum(-1) / x.shape[-1]
