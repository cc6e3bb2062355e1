"""The guard at the door of a reference. It is no part of the mathematics: model solutions leave it out."""

import math

import torch
from torch import Tensor


def require(condition: object, message: str) -> None:
    """Raise ValueError(message) unless the condition holds; the message names the argument and its domain."""
    if not condition:
        raise ValueError(message)


def are_steps(t: Tensor, schedule: Tensor) -> bool:
    """Whether t, a step for each example or one for all, indexes the schedule of a diffusion from 0."""
    steps = torch.as_tensor(t)
    return bool(((steps >= 0) & (steps < len(schedule))).all())


def are_shares(alpha_bars: Tensor, below: float = math.inf) -> bool:
    """Whether all are shares of variance, in (0, 1], and less than `below`."""
    return bool(((alpha_bars > 0) & (alpha_bars <= 1) & (alpha_bars < below)).all())
