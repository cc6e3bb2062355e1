"""What checks say about values: close, equal, at_least, above, ... with tolerances that are earned.

A comparison has no tolerance of its own. While a check runs, a `Comparer` is current: a `Recorder`
(closeness.py) measures how far rounding moves each comparison when the functions are the reference;
a `Decider` then holds a student's values to eight times that. Comparisons are matched between runs by
the line they stand on and how often it was reached.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Key = tuple[int, int]  # line, how often it was reached before

UNIT_ROUNDOFF = {
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
    torch.float32: 2.0**-24,
    torch.float64: 2.0**-53,
}


class CheckFailed(Exception):
    """A comparison that did not hold; the message is for the student."""

    def __init__(
        self, message: str, expected: Any = None, got: Any = None, where: str = "", kind: str = "value"
    ):
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.got = got
        self.where = where
        self.kind = kind  # "value", "shape", "dtype", "type", "finite"


@dataclass
class Tolerance:
    """What a comparison of one example allows: `absolute` everywhere, plus 4 u |expected| per element."""

    absolute: float
    left_out: str = ""


class Comparer:
    """Receives the comparisons of one run of a check."""

    def __init__(self) -> None:
        self._reached: dict[int, int] = {}

    def key(self) -> Key:
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__") in _OWN_MODULES:
            assert frame.f_back is not None
            frame = frame.f_back
        # The battery's own lines may move between versions; its comparisons are told apart by their order.
        line = 0 if frame.f_globals.get("__name__") == "autograder.battery" else frame.f_lineno
        count = self._reached.get(line, 0)
        self._reached[line] = count + 1
        return line, count

    def compare(self, key: Key, relation: str, got: Any, expected: Any, path: str) -> None:
        raise NotImplementedError


_OWN_MODULES = {__name__, "autograder.closeness"}
_current: contextvars.ContextVar[Comparer | None] = contextvars.ContextVar("comparer", default=None)


@contextmanager
def comparing(comparer: Comparer) -> Iterator[Comparer]:
    """Make `comparer` receive the comparisons of this context (of this greenlet)."""
    token = _current.set(comparer)
    try:
        yield comparer
    finally:
        _current.reset(token)


def _leaves(got: Any, expected: Any, path: str = "") -> Iterator[tuple[Any, Any, str]]:
    """Pairs of corresponding leaves of two nested structures; raises CheckFailed where these differ."""
    if isinstance(expected, (list, tuple)):
        if not isinstance(got, (list, tuple)):
            raise CheckFailed(
                f"expected {_kind(expected)}{_at(path)}, got {_kind(got)}", expected, got, path, "type"
            )
        if len(got) != len(expected):
            raise CheckFailed(
                f"expected {len(expected)} items{_at(path)}, got {len(got)}", expected, got, path, "shape"
            )
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            yield from _leaves(g, e, f"{path}[{i}]")
    elif isinstance(expected, dict):
        if not isinstance(got, dict) or set(got) != set(expected):
            keys = sorted(map(str, got)) if isinstance(got, dict) else _kind(got)
            raise CheckFailed(
                f"expected the keys {sorted(map(str, expected))}{_at(path)}, got {keys}", expected, got
            )
        for name in expected:
            yield from _leaves(got[name], expected[name], f"{path}[{name!r}]")
    else:
        yield got, expected, path


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    return {"NoneType": "None", "str": "a string", "int": "an integer"}.get(
        type(value).__name__, f"a {type(value).__name__}"
    )


def _at(path: str) -> str:
    return f" at {path}" if path else ""


def is_numeric(value: Any) -> bool:
    """A tensor or a number."""
    return isinstance(value, Tensor) or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def _compare(relation: str, got: Any, expected: Any, structure: bool = True) -> None:
    comparer = _current.get() or Decider({}, torch.float32)
    key = comparer.key()
    pairs = _leaves(got, expected) if structure else [(got, expected, "")]
    for i, (g, e, path) in enumerate(pairs):
        comparer.compare((key[0], key[1] * 1000 + i), relation, g, e, path)


def close(got: Any, expected: Any) -> None:
    """`got` equals `expected` up to rounding: same shape, same kind of dtype, finite where it is finite.

    Nested lists, tuples and dicts are compared leaf by leaf. A number stands for itself at any shape.
    """
    _compare("close", got, expected)


def at_least(got: Any, bound: Any) -> None:
    """got >= bound everywhere, up to rounding."""
    _compare("at_least", got, bound, structure=False)


def at_most(got: Any, bound: Any) -> None:
    """got <= bound everywhere, up to rounding."""
    _compare("at_most", got, bound, structure=False)


def above(got: Any, bound: Any) -> None:
    """got > bound everywhere. Examples in which the reference is above by less than rounding are left out."""
    _compare("above", got, bound, structure=False)


def below(got: Any, bound: Any) -> None:
    """got < bound everywhere. Examples in which the reference is below by less than rounding are left out."""
    _compare("below", got, bound, structure=False)


def differ(got: Any, other: Any) -> None:
    """The two values differ by more than rounding somewhere."""
    _compare("differ", got, other, structure=False)


def equal(got: Any, expected: Any) -> None:
    """Exactly equal; lists and tuples with equal items are equal, as are equal tensors."""
    _compare("equal", got, expected)


def holds(condition: Any, message: str) -> None:
    """The condition, whatever it is, holds; `message` completes "it does not hold that ..."."""
    if isinstance(condition, Tensor):
        condition = bool(condition.all())
    if not condition:
        raise CheckFailed(f"it does not hold that {message}")


def rejects(function: Callable[..., Any], *arguments: Any) -> None:
    """Calling function(*arguments) raises ValueError."""
    from autograder.calls import CallFailed

    try:
        value = function(*arguments)
    except CallFailed as error:
        if error.type != "ValueError":
            raise
    except ValueError:
        pass
    else:
        raise CheckFailed(f"expected a ValueError, got {_kind(value)}", got=value, kind="type")


@dataclass
class Decider(Comparer):
    """Holds values to the tolerances that were earned for this example."""

    tolerances: dict[Key, Tolerance]
    dtype: torch.dtype
    strict_dtype: bool = False
    compared: int = 0
    lenient: bool = False  # the expected value was computed from the student's own
    _reached: dict[int, int] = field(default_factory=dict)

    def compare(self, key: Key, relation: str, got: Any, expected: Any, path: str) -> None:
        tolerance = self.tolerances.get(key, Tolerance(16 * UNIT_ROUNDOFF[self.dtype]))
        if tolerance.left_out:
            return
        self.compared += 1
        if self.lenient:
            size = as_wide(expected).abs().nan_to_num(0, 0, 0) if is_numeric(expected) else torch.zeros(0)
            largest = float(size.max()) if size.numel() else 0.0
            tolerance = Tolerance(8 * tolerance.absolute + 64 * UNIT_ROUNDOFF[self.dtype] * largest)
        strict = self.dtype if self.strict_dtype else None
        decide(relation, got, expected, path, tolerance, self.dtype, strict)


def decide(
    relation: str,
    got: Any,
    expected: Any,
    path: str,
    tolerance: Tolerance,
    dtype: torch.dtype,
    strict: torch.dtype | None = None,
) -> None:
    """Raise CheckFailed unless the relation holds between two leaves.

    Floating results are held to dtype `strict` where it is given; `dtype` is that of the tolerance.
    """
    if relation in ("close", "equal") and not isinstance(expected, Tensor) and not _is_number(expected):
        if type(got) is not type(expected) or got != expected:
            raise CheckFailed("a different value" + _at(path), expected, got, path)
        return
    for value in (got, expected):
        if not (isinstance(value, Tensor) or _is_number(value)):
            raise CheckFailed(
                f"expected {'a tensor' if isinstance(expected, Tensor) else 'a number'}{_at(path)}, "
                f"got {_kind(got)}",
                expected,
                got,
                path,
                "type",
            )
    if relation == "equal" and not isinstance(expected, Tensor):
        if isinstance(got, Tensor) or got != expected:
            raise CheckFailed("a different value" + _at(path), expected, got, path)
        return
    if relation in ("close", "equal") and isinstance(expected, Tensor):
        _same_form(got, expected, path, strict)
        if relation == "close" and _plainly_close(got, expected, tolerance):
            return
    g, e = as_wide(got), as_wide(expected)
    try:
        g, e = torch.broadcast_tensors(g, e)
    except RuntimeError:
        raise CheckFailed(
            f"expected shape {tuple(e.shape)}{_at(path)}, got {tuple(g.shape)}", expected, got, path, "shape"
        ) from None
    if not g.numel():
        return
    bad = _violations(relation, g, e, tolerance, UNIT_ROUNDOFF.get(dtype, 0.0), exact=is_exact(got, expected))
    if bad.any():
        where = path + first(bad)
        finite = bool((~torch.isfinite(g) & torch.isfinite(e))[bad].any()) if relation == "close" else False
        raise CheckFailed(
            _sentence(relation, bad, where, g, e), expected, got, where, "finite" if finite else "value"
        )


def _same_form(got: Any, expected: Tensor, path: str, strict: torch.dtype | None) -> None:
    """A tensor of the same shape and kind of dtype, and of dtype `strict` where that is asked."""
    if not isinstance(got, Tensor):
        raise CheckFailed(
            f"expected {_kind(expected)}{_at(path)}, got {_kind(got)}", expected, got, path, "type"
        )
    if got.shape != expected.shape:
        raise CheckFailed(
            f"expected shape {tuple(expected.shape)}{_at(path)}, got {tuple(got.shape)}",
            expected,
            got,
            path,
            "shape",
        )
    kinds = [("complex", t.is_complex()) for t in (got, expected)]
    same = kinds[0] == kinds[1] and got.is_floating_point() == expected.is_floating_point()
    same = same and (got.dtype is torch.bool) == (expected.dtype is torch.bool)
    wanted = strict if strict is not None and expected.is_floating_point() else expected.dtype
    if not same or (strict is not None and got.is_floating_point() and got.dtype != wanted):
        raise CheckFailed(
            f"expected dtype {wanted}{_at(path)}, got {got.dtype}", expected, got, path, "dtype"
        )


def as_wide(value: Any) -> Tensor:
    """As a float64 (or complex128) tensor without gradient; integers keep theirs."""
    tensor = value.detach() if isinstance(value, Tensor) else torch.tensor(value, dtype=_wide_dtype(value))
    if tensor.is_floating_point():
        return tensor.to(torch.float64)
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.to(torch.int64)


def _wide_dtype(value: Any) -> torch.dtype:
    if isinstance(value, complex):
        return torch.complex128
    return torch.int64 if isinstance(value, int) and abs(value) < 2**62 else torch.float64


def is_exact(got: Any, expected: Any) -> bool:
    """Both are integers or booleans, compared without tolerance."""
    return all(
        not (v.is_floating_point() or v.is_complex()) if isinstance(v, Tensor) else isinstance(v, int)
        for v in (got, expected)
    )


def _plainly_close(got: Tensor, expected: Tensor, tolerance: Tolerance) -> bool:
    """Finite real numbers within the absolute tolerance: most answers are, and numpy sees it soonest."""
    if any(t.dtype not in _REAL or t.layout is not torch.strided or t.is_meta for t in (got, expected)):
        return False
    with np.errstate(invalid="ignore"):
        difference = np.subtract(got.numpy(force=True), expected.numpy(force=True), dtype=np.float64)
    return bool((abs(difference) <= tolerance.absolute).all())


_REAL = (torch.float32, torch.float64)


def _violations(relation: str, g: Tensor, e: Tensor, tolerance: Tolerance, u: float, exact: bool) -> Tensor:
    if exact or relation == "equal":
        slack = torch.zeros(e.shape, dtype=torch.float64)
    else:
        slack = tolerance.absolute + 4 * u * torch.nan_to_num(e.abs().to(torch.float64), 0.0, 0.0, 0.0)
    if relation in ("close", "equal", "differ"):
        same = (g == e) | (torch.isnan(g) & torch.isnan(e))
        near = torch.isfinite(g) & torch.isfinite(e) & ((g - e).abs() <= slack)
        agree = same | near
        return agree.all().expand(agree.shape) if relation == "differ" else ~agree
    if relation == "at_least":
        return ~(g >= e - slack)
    if relation == "at_most":
        return ~(g <= e + slack)
    return ~(g > e) if relation == "above" else ~(g < e)


def first(bad: Tensor) -> str:
    """The index of the first True, written as in code: "[0, 2]", or "" for a scalar."""
    if not bad.ndim:
        return ""
    return "[" + ", ".join(map(str, torch.nonzero(bad)[0].tolist())) + "]"


_RELATIONS = {
    "close": "a different value",
    "equal": "a different value",
    "at_least": "too small",
    "at_most": "too large",
    "above": "not above the bound",
    "below": "not below the bound",
    "differ": "the same value, where they should differ",
}


def _sentence(relation: str, bad: Tensor, where: str, g: Tensor, e: Tensor) -> str:
    i = tuple(torch.nonzero(bad)[0].tolist())
    count = (
        f" ({int(bad.sum())} of {bad.numel()} elements)" if bad.numel() > 1 and relation != "differ" else ""
    )
    at = f" at {where}" if where else ""
    words = {"at_least": "at least ", "at_most": "at most ", "above": "above ", "below": "below "}.get(
        relation, ""
    )
    return f"{_RELATIONS[relation]}{at}{count}: expected {words}{number(e[i])}, got {number(g[i])}"


def number(value: Tensor) -> str:
    """A scalar as a person would write it."""
    item = value.item()
    return f"{item:.8g}" if isinstance(item, float) else str(item)
