"""What students of the canary course write, with things in it that no student may ever see."""

from collections import Counter

import torch
from jaxtyping import Float
from torch import Tensor, nn

SECRET = "CANARY-reference-5d20c7f1"


def double(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n"]:
    """Twice x."""
    return x * len(("CANARY-solution-90ab3e64", SECRET))


def tally(words: list[str]) -> dict[str, int]:
    """How often each word occurs."""
    return dict(Counter(words))


class Affine(nn.Module):
    """y = w x + b, element by element, with w and b of size n."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(n))
        self.b = nn.Parameter(torch.zeros(n))

    def forward(self, x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """x of any batch size."""
        return self.w * x + self.b


def log_sum_exp(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    """log sum exp over the last dimension, without overflow."""
    top = x.amax(-1, keepdim=True)
    return top[..., 0] + (x - top).exp().sum(-1).log()
