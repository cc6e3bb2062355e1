"""The code of an example does what the judge's calls did."""

from __future__ import annotations

import ast
from typing import Any

import torch
from torch import nn

from autograder.calls import LocalSession, Log, Request
from autograder.literals import script, signatures_of
from autograder.probes import Probe


def _stretch(mu: Any, logvar: Any) -> Any:
    return mu * logvar.exp(), logvar**2


class _Net(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(size))

    def forward(self, x: Any) -> Any:
        return (self.w * x).sum()


NAMES = {"stretch": _stretch, "first": lambda mu, logvar: _stretch(mu, logvar)[0], "Net": _Net}
MU, LOGVAR = torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0])


def _run(*requests: Request) -> tuple[Any, Any]:
    """The last reply, and what the last line of the code gives."""
    session = LocalSession(NAMES)
    log: Log = [(request, session.perform(request)) for request in requests]
    *lines, last = ast.parse(script(log, signatures_of(NAMES))).body
    namespace = dict(NAMES)
    exec(compile(ast.Module(lines, []), "code", "exec"), namespace)
    assert isinstance(last, ast.Expr)
    return log[-1][1], eval(compile(ast.Expression(last.value), "code", "eval"), namespace)


def test_a_call_gives_its_value() -> None:
    reply, value = _run({"op": "call", "name": "stretch", "args": [MU, LOGVAR]})
    torch.testing.assert_close(value, reply["value"])


def test_gradients_that_were_asked_for_are_computed() -> None:
    one = {"op": "call", "name": "first", "args": [MU, LOGVAR], "wrt": [0, 1], "cotangents": [MU]}
    reply, value = _run(one)
    torch.testing.assert_close(list(value), reply["gradients"])
    reply, value = _run({**one, "name": "stretch", "wrt": [1], "cotangents": [MU, LOGVAR]})
    torch.testing.assert_close(list(value), reply["gradients"])


def test_gradients_of_an_objects_parameters_too() -> None:
    new = {"op": "new", "name": "Net", "args": [2], "handle": 1}
    load = {"op": "load", "handle": 1, "state": {"w": LOGVAR}}
    method = {"op": "method", "handle": 1, "name": "", "args": [MU]}
    more = {"wrt": [0], "parameters": True, "cotangents": [torch.tensor(2.0)]}
    reply, value = _run(new, load, {**method, **more})
    torch.testing.assert_close(list(value), [*reply["gradients"], *reply["parameter_gradients"].values()])


def test_what_is_differentiated_by_a_model_is_just_called() -> None:
    more = {"wrt": [1], "cotangents": [MU]}
    request = {"op": "call", "name": "first", "args": [MU, Probe("TimeModel", {"a": 0.5})], **more}
    assert script([(request, {})], signatures_of(NAMES)).endswith("\nfirst(mu, logvar)")
