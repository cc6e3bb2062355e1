"""Values as Python source that a student can paste and run."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from autograder.calls import Log, Request
from autograder.probes import Generator, Probe

MAX_ELEMENTS = 2000


def literal(value: Any) -> str:
    """Source of an equal value: `torch.tensor([[1.0]])`, `[1, 2]`, `TimeModel(a=0.5)`."""
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, Probe):
        return f"{value.kind}({', '.join(f'{k}={literal(v)}' for k, v in value.parameters.items())})"
    if isinstance(value, Generator):
        return f"torch.Generator().manual_seed({value.seed})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, float):
        return _number(value)
    return repr(value)


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def _tensor(value: Tensor) -> str:
    value = value.detach()
    if value.numel() > MAX_ELEMENTS:
        return f"... # {tuple(value.shape)} {value.dtype}: too large to print"
    dtype = "" if value.dtype in (torch.float32, torch.int64, torch.bool) else f", dtype={value.dtype}"
    if value.numel() == 0:
        return f"torch.zeros({tuple(value.shape)}{dtype or f', dtype={value.dtype}'})"
    return f"torch.tensor({_nested(value)}{dtype})"


def _nested(value: Tensor) -> str:
    if value.ndim:
        return "[" + ", ".join(_nested(v) for v in value) + "]"
    item = value.item()
    if not isinstance(item, float):
        return repr(item)
    if not math.isfinite(item):
        return _number(item)
    if value.dtype is torch.float64:
        return repr(item)
    return _shortest(item)


def _shortest(item: float) -> str:
    """The shortest decimal that is this float32: 0.1, not 0.10000000149011612."""
    for digits in range(1, 10):
        text = f"{item:.{digits}g}"
        if torch.tensor(float(text)).item() == torch.tensor(item).item():
            return repr(float(text))
    return repr(item)


def shown(value: Any, limit: int = 600) -> str:
    """A value as text to read: what literal() says, without `torch.tensor`, cut where it is long."""
    if isinstance(value, Tensor) and value.numel() <= MAX_ELEMENTS:
        value = value.detach()
        text = _nested(value.float() if value.dtype is torch.float64 else value) if value.numel() else "[]"
        text = f"{text}" if value.ndim == 0 else f"{text}  # shape {tuple(value.shape)}"
    else:
        text = literal(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def script(log: Log, signatures: Mapping[str, Sequence[str]]) -> str:
    """The calls of one example as code to paste under the student's own definitions.

    Args:
        log: the requests and replies of the example; the last call is the one that failed.
        signatures: parameter names by function, class or "Class.method".
    """
    requests = [request for request, _ in log if request["op"] != "forget"]
    probes = sorted({v.kind for r in requests for v in r.get("args", ()) if isinstance(v, Probe)})
    lines = ["import torch"]
    if probes:
        lines.append(f"from autograder.probes import {', '.join(probes)}")
    lines.append("")
    names: dict[int, str] = {}
    classes: dict[int, str] = {}
    bound: dict[str, str] = {}
    for request in requests:
        lines.extend(_statement(request, signatures, names, classes, bound))
    if wanted := _gradients(requests[-1], lines[-1], names):
        lines[-1:] = wanted
    return "\n".join(lines)


def _gradients(request: Request, call: str, names: Mapping[int, str]) -> list[str]:
    """Lines in the place of a call whose gradients were asked for, where these are of plain tensors."""
    if not request.get("cotangents") or not all(
        isinstance(request["args"][i], Tensor) for i in request["wrt"]
    ):
        return []
    statement = ast.parse(call).body[0]
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    inputs = [ast.unparse(statement.value.args[i]) for i in request["wrt"]]
    lines = [f"{name}.requires_grad_()" for name in inputs]
    if request.get("parameters"):
        inputs.append(f"*{names[request['handle']]}.parameters()")
    weights = literal(request["cotangents"] if len(request["cotangents"]) > 1 else request["cotangents"][0])
    lines += [f"value = {call}", f"weights = {weights}"]
    return [*lines, f"torch.autograd.grad(value, [{', '.join(inputs)}], weights, allow_unused=True)"]


def _statement(
    request: Request,
    signatures: Mapping[str, Sequence[str]],
    names: dict[int, str],
    classes: dict[int, str],
    bound: dict[str, str],
) -> list[str]:
    lines = []
    if request["op"] == "load":
        return [f"{names[request['handle']]}.load_state_dict({literal(request['state'])})"]
    handle = request.get("handle", 0)
    if request["op"] == "method":
        function = names[handle] + (f".{request['name']}" if request["name"] else "")
        key = f"{classes[handle]}.{request['name'] or 'forward'}"
    else:
        function = key = request["name"]
    arguments = []
    wanted = signatures.get(key, ())
    for i, value in enumerate(request["args"]):
        text = literal(value)
        if i < len(wanted) and (isinstance(value, (Tensor, Probe, list)) or len(text) > 20):
            name = wanted[i]
            if bound.get(name) != text:
                lines.append(f"{name} = {text}")
                bound[name] = text
            text = name
        arguments.append(text)
    call = f"{function}({', '.join(arguments)})"
    if request["op"] == "new":
        names[handle] = variable = _variable(request["name"], names)
        classes[handle] = request["name"]
        call = f"{variable} = {call}"
    return [*lines, call]


def _variable(class_name: str, names: Mapping[int, str]) -> str:
    base = "".join(
        "_" + c.lower() if c.isupper() and i and not class_name[i - 1].isupper() else c.lower()
        for i, c in enumerate(class_name)
    )
    taken = sum(1 for n in names.values() if n.startswith(base))
    return base + (str(taken + 1) if taken else "")


def signatures_of(references: Mapping[str, Any]) -> dict[str, list[str]]:
    """Parameter names of functions, classes and their public methods, for `script`."""
    found = {}
    for name, reference in references.items():
        found[name] = [p for p in inspect.signature(reference).parameters if p != "self"]
        if inspect.isclass(reference):
            for method, function in vars(reference).items():
                if inspect.isfunction(function):
                    found[f"{name}.{method}"] = [
                        p for p in inspect.signature(function).parameters if p != "self"
                    ]
    return found
