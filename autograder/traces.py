"""What answers are told apart by: the values that a check's calls gave."""

from __future__ import annotations

from typing import Any

import torch

from autograder.calls import Log


def trace(log: Log) -> list[Any]:
    """The values that calls gave, errors as their type: what two answers are compared by."""
    values: list[Any] = []
    for request, reply in log:
        if "error" in reply:
            values.append(("error", reply["error"]["type"] or reply["error"]["kind"]))
        elif request["op"] not in ("forget", "load", "new"):
            values.append([reply[k] for k in ("value", "gradients", "parameter_gradients") if k in reply])
    return values


def has_value(values: list[Any]) -> bool:
    """There is more in a trace than errors."""
    return any(not (isinstance(v, tuple) and v and v[0] == "error") for v in values)


def same_trace(mine: Any, theirs: Any) -> bool:
    """The same values up to the rounding of their dtype."""
    if isinstance(mine, torch.Tensor) and isinstance(theirs, torch.Tensor):
        if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
            return False
        if not mine.is_floating_point():
            return torch.equal(mine, theirs)
        u = torch.finfo(mine.dtype).eps
        scale = torch.nan_to_num(theirs.abs(), 0.0, 0.0, 0.0)
        size = float(scale.max()) if scale.numel() else 0.0
        return torch.allclose(mine, theirs, rtol=64 * u, atol=64 * u * max(size, 1e-3), equal_nan=True)
    if isinstance(mine, float) and isinstance(theirs, float):
        return (
            abs(mine - theirs) <= 1e-9 * max(1.0, abs(theirs))
            or mine == theirs
            or (mine != mine and theirs != theirs)
        )
    if isinstance(mine, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(mine) == len(theirs) and all(map(same_trace, mine, theirs))
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return mine.keys() == theirs.keys() and all(same_trace(mine[k], theirs[k]) for k in mine)
    return type(mine) is type(theirs) and bool(mine == theirs)
