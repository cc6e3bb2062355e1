"""References that call a student's own functions: for exercises that build on earlier, wrong answers."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from autograder.calls import Class, Function, Instance, Reply, Request, Session, distorted
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


class _RemoteMethod(torch.autograd.Function):
    """A method of a student's object inside a reference; its parameters, too, get the student's gradients."""

    @staticmethod
    def forward(ctx: Any, make: Callable[[], Instance], method: str, names: list[str], *values: Any) -> Any:
        ctx.ask = functools.partial(make().ask, method)
        ctx.names = names
        ctx.args = [a.detach() if isinstance(a, torch.Tensor) else a for a in values[len(names) :]]
        return ctx.ask(ctx.args)["value"]

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        wrt = [i for i, a in enumerate(ctx.args) if isinstance(a, torch.Tensor) and a.is_floating_point()]
        reply = ctx.ask(ctx.args, wrt=wrt, parameters=True, cotangents=list(cotangents))
        of_arguments = dict(zip(wrt, reply["gradients"], strict=True))
        of_parameters = (reply["parameter_gradients"].get(name) for name in ctx.names)
        return (None, None, None, *of_parameters, *(of_arguments.get(i) for i in range(len(ctx.args))))


def _remote_class(reference: Any, session: Session) -> Any:
    """A class with the reference's parameters, whose public methods are the student's."""

    def __init__(self: Any, *args: Any) -> None:
        reference.__init__(self, *args)
        self._made_with = args

    def remote(method: str) -> Callable[..., Any]:
        def ask(self: Any, *args: Any) -> Any:
            def make() -> Instance:
                state = {name: tensor.detach() for name, tensor in self.state_dict().items()}
                return Class(reference.__name__, session)(*self._made_with).load(state)

            parameters = dict(self.named_parameters())
            called = "" if method == "forward" else method
            return _RemoteMethod.apply(make, called, list(parameters), *parameters.values(), *args)

        return ask

    public = [n for n, f in vars(reference).items() if inspect.isfunction(f) and not n.startswith("_")]
    return type(reference.__name__, (reference,), {"__init__": __init__, **{n: remote(n) for n in public}})


class Distorting:
    """A session in which calls find the named answers distorted (see `calls.distorted`)."""

    def __init__(self, session: Session, names: Sequence[str]) -> None:
        self._session, self._names = session, list(names)

    def perform(self, request: Request) -> Reply:
        return self._session.perform({**request, "distorted": self._names} if self._names else request)


def composed(
    exercise: Exercise, names: Sequence[str], session: Session, distort: Collection[str] = ()
) -> Any:
    """The reference of `exercise`, calling the session's answers to the exercises `names`, at any depth.

    Those in `distort` are distorted here: the session's own word on that would not be worth much.
    """
    reference = exercise.reference
    module = sys.modules[reference.__module__]
    space = dict(
        vars(module)
    )  # the module once more: its functions find each other, and the student's, in here
    for name, own in vars(module).items():
        if getattr(own, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(own):
            space[name] = _in(space, own)
        elif inspect.isclass(own):
            methods = {n: _in(space, f) for n, f in vars(own).items() if inspect.isfunction(f)}
            space[name] = type(name, (own,), methods)
    for name in names:
        own = Distorting(session, [n for n in distort if n != name])
        if inspect.isclass(space.get(name)):
            remote = _remote_class(space[name], own)
        else:
            remote = functools.partial(_Remote.apply, Function(name, own))
        space[name] = distorted(remote) if name in distort else remote
    return space[reference.__name__]


def _in(space: dict[str, Any], function: Any) -> Any:
    """A copy of a function that finds its global names in `space`."""
    copy = types.FunctionType(
        function.__code__, space, function.__name__, function.__defaults__, function.__closure__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy
