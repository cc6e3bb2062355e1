"""Requests are answered as the protocol says, and no answer depends on what was asked before."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn

from autograder.calls import CallFailed, Class, Function, LocalSession, cast, perform, tree_map
from autograder.probes import Generator, Probe

Pair = namedtuple("Pair", "a b")


def _ask(function, *args, **more):
    return perform({"op": "call", "name": "f", "args": list(args), **more}, {"f": function}, {})


def test_a_call_gives_a_detached_value() -> None:
    reply = _ask(lambda x: x.requires_grad_() * 2, torch.tensor(3.0))
    assert float(reply["value"]) == 6 and not reply["value"].requires_grad


def test_arguments_are_the_students_own_copies() -> None:
    x = torch.ones(2)
    reply = _ask(lambda v: v.add_(1), x, after=True)
    assert x.tolist() == [1, 1]
    assert reply["after"][0].tolist() == [2, 2]


def test_gradients_of_arguments_and_parameters() -> None:
    x = torch.tensor([1.0, 2.0])
    reply = _ask(lambda v, w: v.square(), x, x, wrt=[0, 1], cotangents=[torch.ones(2)])
    assert reply["gradients"][0].tolist() == [2, 4]
    assert reply["gradients"][1] is None
    namespace: dict[str, object] = {"Linear": nn.Linear}
    objects: dict[int, object] = {}
    perform({"op": "new", "name": "Linear", "args": [2, 1], "handle": 1}, namespace, objects)
    state = {"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.zeros(1)}
    perform({"op": "load", "handle": 1, "state": state}, namespace, objects)
    request = {"op": "method", "handle": 1, "name": "", "args": [x], "wrt": [0], "parameters": True}
    reply = perform({**request, "cotangents": [torch.ones(1)]}, namespace, objects)
    assert reply["value"].tolist() == [5]
    assert reply["gradients"][0].tolist() == [1, 2]
    assert reply["parameter_gradients"]["weight"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("function", "kind", "type_"),
    [
        (None, "missing", ""),
        (lambda x: 1 / 0, "raised", "ZeroDivisionError"),
        (lambda: 0, "raised", "TypeError"),
        (lambda x: exec("raise SystemExit(0)"), "raised", "SystemExit"),
    ],
)
def test_errors_are_replies(function, kind: str, type_: str) -> None:
    error = _ask(function, torch.ones(1))["error"]
    assert (error["kind"], error["type"]) == (kind, type_)


def test_a_state_that_does_not_fit_is_named() -> None:
    linear = Class("Linear", LocalSession({"Linear": nn.Linear}))(2, 1)
    with pytest.raises(CallFailed, match="'bias'"):
        linear.load({"weight": torch.ones(1, 2)})
    with pytest.raises(CallFailed, match=r"\(1, 2\)"):
        linear.load({"weight": torch.ones(2, 2), "bias": torch.ones(1)})


def test_float64_parameters_make_a_float64_module() -> None:
    linear = Class("Linear", LocalSession({"Linear": nn.Linear}))(2, 1)
    linear.load({"weight": torch.ones(1, 2).double(), "bias": torch.ones(1).double()})
    assert linear(torch.ones(2).double()).dtype is torch.float64


def test_an_instance_has_a_length_and_is_true_even_when_empty() -> None:
    made = Class("list", LocalSession({"list": list}))()
    assert len(made) == 0
    assert made


def test_global_randomness_starts_from_the_calls_number() -> None:
    function = Function("f", LocalSession({"f": lambda: torch.rand(3)}))
    again = Function("f", LocalSession({"f": lambda: torch.rand(3)}))
    first, second = function(), function()
    torch.rand(5)
    assert torch.equal(again(), first)
    assert torch.equal(again(), second)
    assert not torch.equal(first, second)


def test_probes_and_generators_are_built_where_they_are_used() -> None:
    reply = _ask(lambda model, x: model(x, torch.zeros(1)), Probe("TimeModel", {}), torch.zeros(1, 2))
    assert reply["value"].shape == (1, 2)
    draws = [_ask(lambda g: torch.rand(2, generator=g), Generator(7))["value"] for _ in range(2)]
    assert torch.equal(*draws)


def test_trees_keep_their_form() -> None:
    tree = {"a": [1, (2, Pair(3, 4))]}
    assert tree_map(lambda v: v + 1, tree) == {"a": [2, (3, Pair(4, 5))]}
    moved = cast([torch.ones(1), torch.tensor([1]), torch.float32, Probe("Power", {"p": 1.0})], torch.float64)
    assert [moved[0].dtype, moved[1].dtype, moved[2]] == [torch.float64, torch.int64, torch.float64]


def test_gradients_reach_the_parameters_of_a_model_that_is_handed_over() -> None:
    request = {"op": "call", "name": "f", "args": [Probe("TimeModel", {"a": 0.5}), torch.ones(2, 3)]}
    namespace = {"f": lambda model, x: model(x, torch.zeros(2)).sum()}
    assert not namespace["f"](Probe("TimeModel").build(), torch.ones(2, 3)).requires_grad
    reply = perform({**request, "wrt": [0], "cotangents": [torch.tensor(1.0)]}, namespace, {})
    a = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    (6 * torch.tanh(a + 0.25) * math.cos(1)).backward()
    torch.testing.assert_close(reply["gradients"][0], a.grad, atol=1e-6, rtol=0)


def test_numpys_numbers_come_as_pythons() -> None:
    namespace = {"f": lambda: (np.float32(0.5), np.int64(3))}
    reply = perform({"op": "call", "name": "f", "args": []}, namespace, {})
    assert [type(v) for v in reply["value"]] == [float, int]
