"""References that call a student's own functions: for exercises that build on earlier, wrong answers."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from autograder.calls import Function, Reply, Request, Session
from autograder.exercises import Exercise
from autograder.trials import Outcome, Replayer


class Direct:
    """A session that hands each call to a replayer of its own."""

    def __init__(self, replayer: Replayer) -> None:
        self._replayer = replayer

    def perform(self, request: Request) -> Reply:
        replies: list[Reply] = []

        def ask(session: Session) -> Outcome:
            replies.append(session.perform(request))
            return Outcome(None, [])

        self._replayer.replay([ask])
        return replies[0]


class _Remote(torch.autograd.Function):
    """A student's function of tensors inside a reference: its gradient is asked of the student too."""

    @staticmethod
    def forward(ctx: Any, function: Function, *args: Any) -> Any:
        ctx.function, ctx.args = function, args
        return function(*(a.detach() if isinstance(a, torch.Tensor) else a for a in args))

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        args = [a.detach() if isinstance(a, torch.Tensor) else a for a in ctx.args]
        wrt = [i for i, a in enumerate(args) if isinstance(a, torch.Tensor) and a.is_floating_point()]
        gradients = ctx.function.ask(args, wrt=wrt, cotangents=list(cotangents))["gradients"]
        by_position = dict(zip(wrt, gradients, strict=True))
        return (None, *(by_position.get(i) for i in range(len(args))))


def composed(exercise: Exercise, names: Sequence[str], session: Session) -> Any:
    """The reference of `exercise`, calling the session's functions `names` instead of the references."""
    calls = {name: functools.partial(_Remote.apply, Function(name, session)) for name in names}
    reference = exercise.reference
    if not exercise.is_class:
        return _patched(reference, calls)
    methods = {
        n: _patched(f, calls) for n, f in vars(reference).items() if inspect.isfunction(f) and n != "__init__"
    }
    return type(reference.__name__, (reference,), methods)


def _patched(function: Any, names: Mapping[str, Any]) -> Any:
    """A copy of a function that finds other functions under some global names."""
    patched = types.FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    patched.__kwdefaults__ = function.__kwdefaults__
    return patched
