"""Domains: the sets from which Hypothesis draws the inputs of an exercise.

A domain is drawn inside a `Drawing`, which knows the sizes of named dimensions, the inputs drawn so
far and the mode. Every number is first one of a few nice values, so that counterexamples shrink to
something a person would write, and is then moved by a jitter that is either off or on for the whole
example. Floating tensors are float32 here; a check in float64 gets the same numbers.
"""

from __future__ import annotations

import inspect
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jaxtyping
import numpy as np
import torch
from hypothesis import strategies as st

from autograder.probes import Generator, Probe

NICE = (1.0, 0.0, -1.0, 2.0, 0.5, -0.5, -2.0, 3.0, 1.5, -1.5, 0.25, -0.25, -3.0)
NICE_POSITIVE = (1.0, 2.0, 0.5, 3.0, 1.5, 0.25, 4.0)
NICE_UNIT = (1.0, 0.0, 0.5, 0.25, 0.75, 0.125)


@dataclass(frozen=True)
class Domain:
    """A set of values and a way to draw from it; `description` identifies it in a corpus' fingerprint."""

    description: str
    draw: Callable[[Drawing], Any] = field(compare=False, repr=False)
    has_edge: bool = False  # draws differently in edge mode

    def __repr__(self) -> str:
        return self.description


def domain(draw: Callable[[Drawing], Any], has_edge: bool = False) -> Domain:
    """A domain of one's own, from a function of the `Drawing`:

    domain(lambda d: d.integer(0, d["T"] - 1))

    `has_edge`: it draws differently in edge mode.
    """
    return Domain(inspect.getsource(draw), draw, has_edge)


class Drawing:
    """One example being drawn: `d["mu"]` is another parameter's value, `d.size("latent")` a dimension.

    Args:
        draw: Hypothesis' draw function.
        annotations: parameter name -> annotation, for the shapes.
        domains: parameter name -> domain.
        sizes: (smallest, largest) by dimension.
        mode: "core", "batch" (0, 2 or 3 leading dimensions) or "edge" (values at the edges of the domain).
        seed: of the jitter, together with the number that is drawn for it.
    """

    def __init__(
        self,
        draw: Callable[[Any], Any],
        annotations: Mapping[str, Any],
        domains: Mapping[str, Domain],
        sizes: Mapping[str, tuple[int, int]],
        mode: str = "core",
        seed: int = 0,
    ) -> None:
        self.draw = draw
        self.mode = mode
        self._seed = seed
        self.values: dict[str, Any] = {}
        self._annotations = annotations
        self._domains = domains
        self._ranges = sizes
        self._sizes: dict[str, Any] = {}
        self._current = ""
        self._jitter: int = draw(st.one_of(st.just(0), st.integers(1, 2**31 - 1)))
        self._unequal: bool = draw(st.booleans())

    def __getitem__(self, name: str) -> Any:
        """The value of parameter `name`, drawn now if it was not yet."""
        if name not in self.values:
            outer, self._current = self._current, name
            self.values[name] = self._domain(name).draw(self)
            self._current = outer
        return self.values[name]

    def _domain(self, name: str) -> Domain:
        if name in self._domains:
            return self._domains[name]
        annotation = self._annotations.get(name, inspect.Parameter.empty)
        if isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray):
            if annotation.dtype in (jaxtyping.Float, jaxtyping.Complex):
                return real()
            if annotation.dtype is jaxtyping.Bool:
                return flags(as_float=False)
        raise TypeError(f"parameter {name!r} ({annotation}) has no domain: give it one in `inputs`")

    def size(self, name: str) -> int:
        """The size of a named dimension, the same wherever the name stands in this example."""
        if name not in self._sizes:
            low, high = self._ranges.get(name, (1, 4))
            candidates = list(range(low, high + 1))
            if self._unequal:  # equal sizes hide mistakes
                candidates = [n for n in candidates if n not in self._sizes.values()] or candidates
            self._sizes[name] = self.draw(st.sampled_from(candidates))
        return self._sizes[name]

    def batch(self, name: str) -> tuple[int, ...]:
        """The sizes of a variadic dimension such as `*batch`."""
        if "*" + name not in self._sizes:
            if name in self._ranges:
                rank = self.draw(st.integers(*self._ranges[name]))
            else:
                rank = self.draw(st.sampled_from((0, 2, 3))) if self.mode == "batch" else 1
            self._sizes["*" + name] = tuple(self.draw(st.integers(1, 3)) for _ in range(rank))
        return self._sizes["*" + name]

    def shape(self, dims: str | None = None) -> tuple[int, ...]:
        """The shape written as in jaxtyping ("*batch heads 2*dim"); of the current parameter if None."""
        if dims is None:
            dims = self._annotations[self._current].dim_str
        shape: list[int] = []
        for token in dims.split():
            if token.startswith("*"):
                shape.extend(self.batch(token[1:]))
            else:
                shape.append(self._evaluate(token))
        return tuple(shape)

    def _evaluate(self, token: str) -> int:
        if token.isidentifier():
            return self.size(token)
        names = {name: self.size(name) for name in compile(token, token, "eval").co_names}
        return int(eval(token, {"__builtins__": {}}, names))

    @property
    def noise(self) -> np.random.Generator | None:
        """The jitter of the current parameter, or None where this example has none."""
        return (
            np.random.default_rng([self._seed, self._jitter, zlib.crc32(self._current.encode())])
            if self._jitter
            else None
        )

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return self.draw(st.integers(low, high))

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options; counterexamples shrink towards the first."""
        return self.draw(st.sampled_from(list(options)))

    def array(self, shape: Sequence[int], options: Sequence[Any]) -> np.ndarray:
        """An array whose elements are options; counterexamples shrink towards the first."""
        element = st.sampled_from(list(options))
        return np.array([self.draw(element) for _ in range(math.prod(shape))], dtype=np.float64).reshape(
            shape
        )


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape))


def _edges(d: Drawing, nice: Sequence[float], edge: float | Sequence[float] | None) -> list[float]:
    """What to draw elements from: near the edges of the domain in edge mode, nice values otherwise."""
    if d.mode != "edge" or edge is None:
        return list(nice)
    extremes = [edge, -edge] if isinstance(edge, (int, float)) else list(edge)
    return [*extremes, *nice[:3]]


def real(
    low: float = -math.inf,
    high: float = math.inf,
    edge: float | Sequence[float] | None = None,
    scale: float = 1.0,
    dims: str | None = None,
) -> Domain:
    """Real tensors, mostly within +-3 scale, clipped to [low, high].

    Args:
        edge: what the edge check draws as well: +-edge, or the values listed.
        dims: the shape, as in jaxtyping, where the annotation doesn't say it.
    """

    def draw(d: Drawing) -> torch.Tensor:
        shape = d.shape(dims)
        allowed = [scale * v for v in NICE if low <= scale * v <= high]
        if not allowed:
            allowed = [low + (high - low) * v for v in NICE_UNIT]
        values = d.array(shape, _edges(d, allowed, edge))
        if d.noise is not None and d.mode != "edge":
            values = values + scale * 0.5 * d.noise.standard_normal(shape)
        return _tensor(np.clip(values, low, high))

    return Domain(f"real({low}, {high}, edge={edge}, scale={scale}, dims={dims})", draw, edge is not None)


def positive(
    edge: float | Sequence[float] | None = None, scale: float = 1.0, dims: str | None = None
) -> Domain:
    """Positive tensors around `scale`; the edge check also draws edge and 1 / edge."""

    def draw(d: Drawing) -> torch.Tensor:
        shape = d.shape(dims)
        extremes = [edge, 1 / edge] if isinstance(edge, (int, float)) else edge
        values = d.array(shape, _edges(d, [scale * v for v in NICE_POSITIVE], extremes))
        if d.noise is not None and d.mode != "edge":
            values = values * np.exp(0.3 * d.noise.standard_normal(shape))
        return _tensor(values)

    return Domain(f"positive(edge={edge}, scale={scale}, dims={dims})", draw, edge is not None)


def unit(closed: bool = True, dims: str | None = None) -> Domain:
    """Tensors in [0, 1], or in (0, 1) if not `closed`."""

    def draw(d: Drawing) -> torch.Tensor:
        shape = d.shape(dims)
        values = d.array(shape, NICE_UNIT if closed else NICE_UNIT[2:])
        if d.noise is not None:
            values = values + 0.2 * d.noise.standard_normal(shape)
        margin = 0.0 if closed else 1e-3
        return _tensor(np.clip(values, margin, 1 - margin))

    return Domain(f"unit(closed={closed}, dims={dims})", draw)


def uniform(dims: str | None = None) -> Domain:
    """Uniform random numbers in [0, 1), as samplers take them."""

    def draw(d: Drawing) -> torch.Tensor:
        shape = d.shape(dims)
        values = d.array(shape, (0.5, 0.25, 0.75, 0.125, 0.9375, 0.0))
        if d.noise is not None:
            values = d.noise.random(shape)
        return _tensor(np.clip(values, 0, 1 - 2**-24))

    return Domain(f"uniform(dims={dims})", draw)


def binary(dims: str | None = None) -> Domain:
    """Floating tensors of zeros and ones."""
    return Domain(f"binary(dims={dims})", lambda d: _tensor(d.array(d.shape(dims), (0.0, 1.0))))


def probability(dims: str | None = None, zeros: bool = True) -> Domain:
    """Probability vectors along the last dimension, some entries 0 where `zeros` allows it."""

    def draw(d: Drawing) -> torch.Tensor:
        shape = d.shape(dims)
        weights = d.array(shape, (1.0, 2.0, 3.0, 0.0) if zeros else (1.0, 2.0, 3.0))
        if d.noise is not None:
            weights = weights * np.exp(0.3 * d.noise.standard_normal(shape))
        weights[..., 0] += weights.sum(-1) == 0
        return _tensor(weights / weights.sum(-1, keepdims=True))

    return Domain(f"probability(dims={dims}, zeros={zeros})", draw)


def index(below: str | int, dims: str | None = None) -> Domain:
    """int64 tensors of indices 0 <= i < below, a number or the name of a dimension."""

    def draw(d: Drawing) -> torch.Tensor:
        n = below if isinstance(below, int) else d._evaluate(below)
        return torch.from_numpy(d.array(d.shape(dims), range(n)).astype(np.int64))

    return Domain(f"index({below}, dims={dims})", draw)


def flags(as_float: bool = True, dims: str | None = None) -> Domain:
    """Independent coin flips: zeros and ones (done flags), or booleans."""

    def draw(d: Drawing) -> torch.Tensor:
        values = _tensor(d.array(d.shape(dims), (0.0, 1.0)))
        return values if as_float else values.bool()

    return Domain(f"flags(as_float={as_float}, dims={dims})", draw)


def mask(dims: str | None = None, keep_one: bool = False) -> Domain:
    """Boolean masks, True = takes part; with `keep_one`, every row (last dimension) keeps something."""

    def draw(d: Drawing) -> torch.Tensor:
        values = d.array(d.shape(dims), (1.0, 0.0)).astype(bool)
        if keep_one:
            values[..., 0] |= ~values.any(-1)
        return torch.from_numpy(values)

    return Domain(f"mask(dims={dims}, keep_one={keep_one})", draw)


def integer(low: int, high: int) -> Domain:
    """A Python integer from low to high, both included."""
    return Domain(f"integer({low}, {high})", lambda d: d.integer(low, high))


def number(*nice: float, low: float = -math.inf, high: float = math.inf) -> Domain:
    """A Python float: one of `nice` or near one, within [low, high]."""

    def draw(d: Drawing) -> float:
        value = d.choice(nice)
        if d.noise is not None:
            value = round(value + 0.2 * (abs(value) or 1.0) * float(d.noise.standard_normal()), 4)
        return float(min(max(value, low), high))

    return Domain(f"number({nice}, {low}, {high})", draw)


def dimension(name: str) -> Domain:
    """A Python integer that is the size of a dimension named in other parameters' shapes."""
    return Domain(f"dimension({name})", lambda d: d._evaluate(name))


def choice(*options: Any) -> Domain:
    """One of the options, as they are."""
    return Domain(f"choice{options}", lambda d: d.choice(options))


def optional(inner: Domain) -> Domain:
    """None or a value of `inner`."""
    return Domain(f"optional({inner})", lambda d: None if d.choice((True, False)) else inner.draw(d))


def strategy(hypothesis_strategy: st.SearchStrategy[Any]) -> Domain:
    """Whatever a Hypothesis strategy gives."""
    return Domain(repr(hypothesis_strategy), lambda d: d.draw(hypothesis_strategy))


def floating_dtype() -> Domain:
    """The `dtype` parameter of functions without a tensor input: float32, and float64 in a float64 check."""
    return Domain("floating_dtype()", lambda d: torch.float32)


def generator() -> Domain:
    """A torch.Generator with a seed of its own."""
    return Domain("generator()", lambda d: Generator(d.integer(0, 2**31 - 1)))


def probe(kind: str, **parameters: Domain) -> Domain:
    """A callable known on both sides (see `probes.py`), with drawn parameters."""

    def draw(d: Drawing) -> Probe:
        return Probe(kind, {name: parameter.draw(d) for name, parameter in parameters.items()})

    return Domain(f"probe({kind}, {parameters})", draw)
