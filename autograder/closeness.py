"""Earning tolerances: how far may a right answer be from the reference?

The check is run with the reference in float64, again and again with every floating operation's inputs
and outputs multiplied by 1 + u xi, xi uniform in [-1, 1] and u the unit roundoff of the student's
dtype. A right answer in that dtype makes errors of that kind and size, in whatever style it is written. The
tolerance of a comparison is 8 times the largest deviation seen, also of the accepted answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

from autograder.calls import CallFailed
from autograder.comparisons import (
    UNIT_ROUNDOFF,
    CheckFailed,
    Comparer,
    Key,
    Tolerance,
    as_wide,
    comparing,
    decide,
    is_exact,
)

RUNS = 16
FACTOR = 8.0
LEFT_OUT_ABOVE = 1e-3  # of the answer's scale: an example on which rounding moves more is no test
KINK_STEP = 1e-6

# Operations that move or compare data and round nothing.
_MOVES = {
    f"aten::{name}"
    for name in """
    clone copy copy_ _to_copy cat stack index index_put index_put_ index_select gather scatter scatter_
    where masked_fill masked_fill_ fill fill_ flip roll repeat zeros_like ones_like full_like empty_like
    new_zeros new_ones new_full new_empty zero_ zeros ones full scalar_tensor arange eye tril triu sort
    topk max min amax amin maximum minimum relu clamp clamp_min clamp_max neg abs sign detach lift_fresh
    constant_pad_nd isfinite empty empty_strided resize_ set_ unbind split _local_scalar_dense embedding
    argmax argmin cummax cummin median slice_scatter select_scatter slice_backward select_backward
    as_strided_scatter threshold_backward floor ceil round bernoulli randperm randint rand randn normal
    uniform_ normal_ one_hot lt le gt ge eq ne isnan isinf
    """.split()
}


@lru_cache(maxsize=RUNS)
def _factors(seed: int) -> Tensor:
    """1 + u xi, for float32's u, from which the noise is dealt in turn."""
    xi = torch.rand(2**14 + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1
    return 1 + UNIT_ROUNDOFF[torch.float32] * xi


class Noise(TorchDispatchMode):
    """Multiplies the inputs and outputs of floating operations by 1 + u xi."""

    def __init__(self, seed: int, in_calls_only: bool = False) -> None:
        super().__init__()
        self.paused = in_calls_only  # the check's own arithmetic is left exact
        self._factors = _factors(seed)
        self._used = 0

    def _perturb(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.device.type != "cpu":
            return value
        if value.is_complex():
            return torch.view_as_complex(self._perturb(torch.view_as_real(value.resolve_conj()).clone()))
        if not value.is_floating_point():
            return value
        n = value.numel()
        if self._used + n > len(self._factors):
            self._used = 0
        factors = self._factors[self._used : self._used + n]
        if len(factors) < n:
            factors = factors.repeat(-(-n // len(factors)))[:n]
        self._used += n
        return value * factors.view(value.shape).to(value.dtype)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the guard costs more than the noise

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.paused or _rounds_nothing(func):
            return func(*args, **kwargs)
        if func._schema.is_mutable:
            out = func(*args, **kwargs)
            target = args[0] if args else None
            if isinstance(target, Tensor) and target.is_floating_point():
                target.copy_(self._perturb(target.clone()))
            return out
        if func in _FUSED:  # rounding inside it, of a mean that is subtracted say, would go unseen
            with self:
                return _FUSED[func](*args, **kwargs)
        args = [
            [self._perturb(v) for v in a] if isinstance(a, (list, tuple)) else self._perturb(a) for a in args
        ]
        out = func(*args, **kwargs)
        if isinstance(out, (tuple, list)):
            return type(out)(self._perturb(v) for v in out)
        return self._perturb(out)


_FUSED = {
    op: decomposition_table[op]
    for op in (
        torch.ops.aten.native_layer_norm.default,
        torch.ops.aten.native_group_norm.default,
        torch.ops.aten.native_batch_norm.default,
    )
    if op in decomposition_table
}


@cache
def _rounds_nothing(func: Any) -> bool:
    """The operation is a view, or moves or compares data."""
    schema = func._schema
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
    return is_view or schema.name in _MOVES


_active: list[Noise] = []


@contextmanager
def noise_paused(paused: bool) -> Iterator[None]:
    """Turn the noise off (the reference's answer is exact) or on (a call in the student's place)."""
    if not _active:
        yield
        return
    noise = _active[-1]
    before, noise.paused = noise.paused, paused
    try:
        with torch._C._DisableTorchDispatch() if paused else nullcontext():  # faster than passing all through
            yield
    finally:
        noise.paused = before


@dataclass
class Recorder(Comparer):
    """Keeps what a check compares instead of judging it."""

    compared: dict[Key, tuple[str, Any, Any]] = field(default_factory=dict)
    _reached: dict[int, int] = field(default_factory=dict)

    def compare(self, key: Key, relation: str, got: Any, expected: Any, path: str) -> None:
        self.compared[key] = (relation, got, expected)


class Unfit(Exception):
    """The reference itself does not pass the check on this example: a fault of the course."""


Run = Callable[[], Any]
Compared = dict[Key, tuple[str, Any, Any]]  # relation, got, expected


@dataclass
class Calibration:
    """The tolerances of one example of one check, or why it is left out."""

    tolerances: dict[Key, Tolerance]
    left_out: str = ""

    def to_list(self) -> list[Any]:
        """As plain data, for the cache and for students' bundles."""
        return [self.left_out, [[*key, t.absolute, t.left_out] for key, t in self.tolerances.items()]]

    @classmethod
    def from_list(cls, data: list[Any]) -> Calibration:
        left_out, tolerances = data
        return cls({(line, n): Tolerance(absolute, why) for line, n, absolute, why in tolerances}, left_out)


def record(run: Run, noise: Noise | None = None) -> Compared:
    """Run a check and return what it compared, by key. Raises whatever the check raises."""
    recorder = Recorder()
    with comparing(recorder):
        if noise is None:
            run()
        else:
            _active.append(noise)
            try:
                with noise:
                    run()
            finally:
                _active.pop()
    return recorder.compared


def calibrate(
    run: Run,
    dtype: torch.dtype,
    accepted: Iterable[Run] = (),
    moved: Iterable[Run] = (),
    scales: dict[Key, float] | None = None,
    runs: int = RUNS,
    exact: Compared | None = None,
) -> Calibration:
    """Earn the tolerances of one example.

    Args:
        run: runs the check in float64 with the reference in the student's place.
        dtype: the students' dtype; float64 takes float32's noise and scales it by 2^-29.
        accepted: runs with accepted answers in the students' dtype; their errors count too.
        moved: runs with inputs moved by a little, for gradients: a kink in between leaves the example out.
        scales: typical sizes of the compared values over the corpus, by key.
        runs: how many noisy runs.
        exact: what `record(run)` gave, if it is known.
    """
    u32, u = UNIT_ROUNDOFF[torch.float32], UNIT_ROUNDOFF[dtype]
    exact = record(run) if exact is None else exact
    for relation, got, expected in exact.values():
        _reference_passes(relation, got, expected)
    deviation = dict.fromkeys(exact, 0.0)
    own = scales_of(exact)
    scale = {key: max(own[key], (scales or {}).get(key, 0.0)) or 1.0 for key in exact}
    for k in range(runs):
        try:
            try:
                noisy = record(run, Noise(seed=k))
            except CallFailed:  # noise in what the check computes can lead out of the domain: 1 - x above 1
                noisy = record(run, Noise(seed=k, in_calls_only=True))
        except (CheckFailed, CallFailed):
            return Calibration({}, "rounding changes the form of the result or leaves the domain")
        if noisy.keys() != exact.keys():
            return Calibration({}, "rounding changes which comparisons are made")
        for key in exact:
            moved_by = _deviation(exact[key], noisy[key])
            if moved_by is None:
                return Calibration({}, "rounding changes a discrete result")
            deviation[key] = max(deviation[key], moved_by * (u / u32))
            if moved_by > LEFT_OUT_ABOVE * scale[key]:
                return Calibration({}, "rounding moves the answer by more than a thousandth")
    for shifted in moved:
        try:
            there = record(shifted)
        except (CheckFailed, CallFailed):
            return Calibration({}, "a kink is near")
        for key in exact:
            moved_by = _moved_by(exact[key], there.get(key))
            if moved_by is None or moved_by > LEFT_OUT_ABOVE * scale[key]:
                return Calibration({}, "a kink is near")
    for run_accepted in accepted:
        try:
            answers = record(run_accepted)
        except Exception:
            continue  # a wrong accepted answer is qualification's business
        for key in exact.keys() & answers.keys():
            error = _deviation(exact[key], answers[key])
            if error is not None and error <= LEFT_OUT_ABOVE * scale[key] * (u / u32):
                deviation[key] = max(deviation[key], error)
    tolerances = {}
    for key, (relation, got, expected) in exact.items():
        # Where the answer is 0 for want of terms, other right answers have terms that cancel, up to rounding.
        cancelled = 0.0 if own[key] else u * (scales or {}).get(key, 0.0)
        tolerance = Tolerance(max(FACTOR * deviation[key], cancelled))
        if relation in ("above", "below", "differ"):
            gap = (as_wide(got) - as_wide(expected)).abs().to(torch.float64)
            decided = gap.max() if relation == "differ" else gap.min()
            slack = tolerance.absolute + 4 * u * own[key]
            if gap.numel() and float(decided) <= 4 * slack:
                tolerance = Tolerance(
                    tolerance.absolute, "the reference is as close to the bound as rounding"
                )
        tolerances[key] = tolerance
    return Calibration(tolerances)


def _reference_passes(relation: str, got: Any, expected: Any) -> None:
    if relation in ("above", "below", "differ"):
        relation = {"above": "at_least", "below": "at_most", "differ": ""}[relation]
    if relation:
        scale = max(_scale(got, expected), 1.0)
        decide(relation, got, expected, "", Tolerance(1e-9 * scale), torch.float64)


def scales_of(compared: Compared) -> dict[Key, float]:
    """The magnitude of each compared value, from which typical scales over a corpus are made."""
    return {key: _scale(got, expected) for key, (_, got, expected) in compared.items()}


def _scale(*values: Any) -> float:
    """The largest finite magnitude."""
    largest = 0.0
    for value in values:
        if isinstance(value, (Tensor, int, float, complex)) and not isinstance(value, bool):
            magnitude = as_wide(value).abs().to(torch.float64)
            magnitude = magnitude[torch.isfinite(magnitude)]
            largest = max(largest, float(magnitude.max()) if magnitude.numel() else 0.0)
    return largest


def _moved_by(exact: tuple[str, Any, Any], there: tuple[str, Any, Any] | None) -> float | None:
    """How far the answer itself is from the one at a place nearby; None where its form is another."""
    if there is None:
        return None
    return _deviation(exact, (exact[0], there[1], exact[2]))


def _deviation(exact: tuple[str, Any, Any], other: tuple[str, Any, Any]) -> float | None:
    """How far got - expected moved; None where a discrete value, a shape or finiteness changed."""
    _, g0, e0 = exact
    _, g1, e1 = other
    if not all(isinstance(v, (Tensor, int, float, complex)) for v in (g0, e0, g1, e1)):
        return 0.0 if (g0 == g1 and e0 == e1) else None
    a0, b0, a1, b1 = (as_wide(v) for v in (g0, e0, g1, e1))
    if a0.shape != a1.shape or b0.shape != b1.shape:
        return None
    if is_exact(g0, e0):
        return 0.0 if bool((a0 == a1).all() and (b0 == b1).all()) else None
    if not (_same_finiteness(a0, a1) and _same_finiteness(b0, b1)):
        return None
    moved = torch.nan_to_num(_finite(a1) - _finite(b1) - (_finite(a0) - _finite(b0)))
    return float(moved.abs().max()) if moved.numel() else 0.0


def _finite(value: Tensor) -> Tensor:
    return torch.where(torch.isfinite(value), value, torch.zeros_like(value))


def _same_finiteness(a: Tensor, b: Tensor) -> bool:
    odd = ~torch.isfinite(a)
    return bool(
        (odd == ~torch.isfinite(b)).all() and torch.equal(torch.nan_to_num(a[odd]), torch.nan_to_num(b[odd]))
    )
