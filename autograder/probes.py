"""Probes: small named functions that exist in judge and guest, sent by name and parameters.

An exercise that takes a model is called with a probe. Which arguments it was called with, how
often and in what order is encoded in the values it returns: a log kept in the guest could be forged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Probe:
    """A probe to be built where it is needed: `kind` names a class or function of this module."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Callable[..., Any]:
        if self.kind not in KINDS:
            raise ValueError(f"kind {self.kind!r} is no probe; there are {', '.join(KINDS)}")
        return KINDS[self.kind](**self.parameters)


@dataclass(frozen=True)
class Generator:
    """A torch.Generator to be built where it is needed."""

    seed: int

    def build(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed)


class TimeModel(nn.Module):
    """model(x, t), smooth and non-linear in x, different at every t: tanh(a x + b) cos(c t + 1) + t x / 4.

    x is (B, ...) and t a (B,) tensor. With `counting`, the result also carries how often the model
    has been called, so that an extra or a missing call shows; the call after the one of number `most`
    raises, if that is not 0. `mixing` times the mean of each example is added to all of its elements, so
    that a model that is shown part of an example answers otherwise.
    """

    def __init__(
        self,
        a: float = 0.5,
        b: float = 0.25,
        c: float = 0.75,
        counting: bool = False,
        most: int = 0,
        mixing: float = 0.0,
    ) -> None:
        super().__init__()
        self.a, self.b, self.c = _numbers(a, b, c)
        self.counting, self.most, self.mixing, self.calls = counting, most, mixing, 0

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        if not isinstance(t, Tensor) or t.shape != x.shape[:1]:
            got = f"shape {tuple(t.shape)}" if isinstance(t, Tensor) else type(t).__name__
            raise ValueError(
                f"model(x, t) takes t as a tensor of shape ({x.shape[0] if x.ndim else ''},), not {got}"
            )
        t = t.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        self.calls += 1
        if self.most and self.calls > self.most:
            raise RuntimeError(f"the model is called more often than {self.most} times")
        told: float | Tensor = self.calls / 8 if self.counting else 0
        if self.mixing:
            told = told + self.mixing * x.flatten(1).mean(1).reshape(t.shape)
        return torch.tanh(self.a * x + self.b) * torch.cos(self.c * t + 1) + t * x / 4 + told


class PairEncoder:
    """encode(x), half as long as x in the last dimension: tanh(a u) + v / 4 of neighbours (u, v)."""

    def __init__(self, a: float = 0.5) -> None:
        self.a = a

    def __call__(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or not x.ndim or x.shape[-1] % 2:
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"encode(x) takes a tensor whose last dimension is even, not {got}")
        return torch.tanh(self.a * x[..., ::2]) + x[..., 1::2] / 4


class Power:
    """weighting(t) = (1 - t) ** p of a tensor of times t in [0, 1), element by element."""

    def __init__(self, p: float = 2.0) -> None:
        self.p = p

    def __call__(self, t: Tensor) -> Tensor:
        if not isinstance(t, Tensor):
            raise ValueError(f"weighting(t) takes t as a tensor, not {type(t).__name__}")
        return (1 - t) ** self.p


class VectorField(nn.Module):
    """model(x) of a time-less score, (B, ...) as x: tanh(a w x + c x_) + b w x.

    x_ has the entry before in the place of each (the last before the first), of an example's entries in a
    row, and w grows along them: no entry is like another, and the Jacobian is neither diagonal nor
    symmetric.
    """

    def __init__(self, a: float = 0.5, b: float = -0.25, c: float = 0.25) -> None:
        super().__init__()
        self.a, self.b, self.c = _numbers(a, b, c)

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or x.ndim < 2:
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"model(x) takes x with a batch dimension, (batch, ...), not {got}")
        flat = x.flatten(1)
        weighted = flat * (1 + torch.arange(flat.shape[1], dtype=x.dtype) / 4)
        return (torch.tanh(self.a * weighted + self.c * flat.roll(1, 1)) + self.b * weighted).reshape(x.shape)


class Energy(nn.Module):
    """energy(x), (B,) energies of x (B, ...): the sum of a x^2 / 2 + sin(b x + k) over an example's entries.

    k = 0, 1, ... counts the entries.
    """

    def __init__(self, a: float = 0.5, b: float = 1.0) -> None:
        super().__init__()
        self.a, self.b = _numbers(a, b)

    def forward(self, x: Tensor) -> Tensor:
        if not isinstance(x, Tensor) or x.ndim < 2:
            got = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"energy(x) takes x with a batch dimension, (B, ...), not {got}")
        flat = x.flatten(1)
        places = torch.arange(flat.shape[1], dtype=x.dtype)
        return (self.a * flat.square() / 2 + torch.sin(self.b * flat + places)).sum(1)


class Drift:
    """drift(x, t) = a + (b + c t) x, of x's shape; t is one time for all points, or one for each."""

    def __init__(self, a: float = 0.5, b: float = -1.0, c: float = 0.25) -> None:
        self.a, self.b, self.c = a, b, c

    def __call__(self, x: Tensor, t: Tensor | float) -> Tensor:
        return self.a + (self.b + self.c * _time(x, t)) * x


class Diffusion:
    """diffusion(t) = a + b t: a number, or a tensor of t's shape."""

    def __init__(self, a: float = 0.5, b: float = 0.25) -> None:
        self.a, self.b = a, b

    def __call__(self, t: Tensor | float) -> Tensor | float:
        return self.a + self.b * t


class Density:
    """p(x, t), the density at x of a Gaussian with mean a + b t and variance c + d t, point by point."""

    def __init__(self, a: float = 0.0, b: float = 0.5, c: float = 1.0, d: float = 0.25) -> None:
        self.a, self.b, self.c, self.d = a, b, c, d

    def __call__(self, x: Tensor, t: Tensor | float) -> Tensor:
        t = _time(x, t)
        variance = self.c + self.d * t
        return torch.exp(-((x - self.a - self.b * t) ** 2) / (2 * variance)) / (2 * math.pi * variance).sqrt()


def _numbers(*values: float) -> list[nn.Parameter]:
    """Parameters without gradients until someone asks for them: elsewhere they are plain numbers."""
    return [nn.Parameter(torch.tensor(v, dtype=torch.float64), requires_grad=False) for v in values]


def _time(x: Tensor, t: Tensor | float) -> Tensor:
    """One time for all points, or one for each of (B, ...), as what multiplies x."""
    if not isinstance(x, Tensor):
        raise ValueError(f"x must be a tensor, not {type(x).__name__}")
    t = torch.as_tensor(t, dtype=x.dtype)
    if t.numel() != 1 and t.shape != x.shape[:1]:
        raise ValueError(f"t must be one time, or one for each of {len(x)} points, not {tuple(t.shape)}")
    return t.reshape(-1, *[1] * (x.ndim - 1)) if x.ndim else t.reshape(())


class TokenModel(nn.Module):
    """model(tokens) -> (B, T, V) logits that depend on the whole prefix, and on its order.

    (B, T) tokens. `table` (V, V) scores the next token after the last one; the tokens before it count
    with a weight that falls with distance, so that a wrong or a reordered prefix gives other logits.
    """

    table: Tensor

    def __init__(self, table: Tensor, decay: float = 0.25) -> None:
        super().__init__()
        self.register_buffer("table", table)
        self.decay = decay

    def forward(self, tokens: Tensor) -> Tensor:
        if not isinstance(tokens, Tensor) or tokens.ndim != 2:
            got = f"shape {tuple(tokens.shape)}" if isinstance(tokens, Tensor) else type(tokens).__name__
            raise ValueError(f"model(tokens) takes a (B, T) tensor of token indices, not {got}")
        state = torch.zeros_like(self.table[tokens[:, 0]]) if tokens.shape[1] else self.table[:0]
        logits = []
        for t in range(tokens.shape[1]):
            state = self.decay * state + self.table[tokens[:, t]]
            logits.append(state)
        return (
            torch.stack(logits, 1)
            if logits
            else self.table.new_zeros(tokens.shape[0], 0, self.table.shape[0])
        )


class MatrixProduct:
    """product(v) = matrix v, for vectors v (n,) alone: all that is to be known of a matrix (n, n)."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def __call__(self, v: Tensor) -> Tensor:
        return self.matrix.to(v.dtype) @ _of_shape(v, self.matrix.shape[1:], "product(v) takes v")


class Quadratic:
    """f(x) = offset + sum of weights (x - centre)^2, a scalar, for vectors x (n,)."""

    def __init__(self, centre: Tensor, weights: Tensor, offset: float = 0.0) -> None:
        self.centre, self.weights, self.offset = centre, weights, offset

    def __call__(self, x: Tensor) -> Tensor:
        away = _of_shape(x, self.centre.shape, "f(x) takes x") - self.centre.to(x.dtype)
        return self.offset + (self.weights.to(x.dtype) * away.square()).sum()


class Policy:
    """policy(states) = 2 tanh(states weight^T): (..., state) -> (..., action), for weight (action, state)."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def __call__(self, states: Tensor) -> Tensor:
        weight = self.weight.to(states.dtype)
        return 2 * torch.tanh(_of_width(states, weight.shape[1], "policy(states) takes states") @ weight.mT)


class Critic:
    """q(states, actions) = tanh(states a) + sin(actions b): (..., state), (..., action) -> (...)."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        self.a, self.b = a, b

    def __call__(self, states: Tensor, actions: Tensor) -> Tensor:
        of_states = _of_width(states, len(self.a), "q(states, actions) takes states") @ self.a.to(
            states.dtype
        )
        of_actions = _of_width(actions, len(self.b), "q(states, actions) takes actions") @ self.b.to(
            actions.dtype
        )
        return torch.tanh(of_states) + torch.sin(of_actions)


def _of_shape(value: Tensor, shape: tuple[int, ...], what: str) -> Tensor:
    if not isinstance(value, Tensor) or value.shape != shape:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{what} as a tensor of shape {tuple(shape)}, not {got}")
    return value


def _of_width(value: Tensor, width: int, what: str) -> Tensor:
    if not isinstance(value, Tensor) or value.shape[-1:] != (width,):
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{what} as a tensor of shape (..., {width}), not {got}")
    return value


_KINDS = (
    *(TimeModel, PairEncoder, Power, VectorField, Energy, Drift, Diffusion, Density, TokenModel),
    *(MatrixProduct, Quadratic, Policy, Critic),
)
KINDS: dict[str, Callable[..., Any]] = {kind.__name__: kind for kind in _KINDS}
