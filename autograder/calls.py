"""Calling a student's functions: requests, replies, and the two ways to have them performed.

A request is a small dict that the wire can carry; `perform` answers it, in the guest or, for authors
and students, in this process. Checks see neither: they hold a `Function` or an `Instance`.

    {"op": "call", "name": "kl", "args": [...]}                       value of kl(*args)
    {"op": "new", "name": "VAE", "args": [...], "handle": 1}          an object, kept behind a number
    {"op": "method", "handle": 1, "name": "sample", "args": [...]}    value of the method; "" calls the object
    {"op": "load", "handle": 1, "state": {...}}                       load_state_dict, by name
    {"op": "forget"}                                                  drops all objects

A call or method may ask for more: "wrt": [0, 1] (positions of arguments, of a model its parameters) and
"parameters": True ask for gradients of the sum of value * cotangent over all floating outputs, with
"cotangents" a list in their order; "after": True asks for the arguments as they are after the call.
"seed" is where the global random generators start: how many calls the same check has made before.
"distorted" lists functions that the call finds distorted in the namespace, so that what it makes of their
answers can be told from what it would answer anyway.

A reply is {"value": ...} with "gradients" (a list, None where there is none), "parameter_gradients"
(by name) and "after" as asked, or {"error": {"kind", "type", "message", "traceback"}}, where kind is
"missing" (no such name), "raised", "state" (parameters don't fit), "gradient" (nothing to
differentiate) or one that the guest adds ("time", "memory", "died", "unsendable").
"""

from __future__ import annotations

import inspect
import math
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from autograder.probes import Generator, Probe

Request = dict[str, Any]
Reply = dict[str, Any]
Log = list[tuple[Request, Reply]]


class CallFailed(Exception):
    """The student's code gave no value: it is missing, raised, died or took too long."""

    def __init__(self, kind: str, type: str, message: str, traceback: str = "") -> None:
        super().__init__(f"{type}: {message}" if type else message)
        self.kind, self.type, self.message, self.traceback = kind, type, message, traceback


class _Refused(Exception):
    """A request that can't be performed, with the kind of error to answer."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """The structure of lists, tuples and dicts with `function` applied to its leaves."""
    if isinstance(value, (list, tuple)):
        leaves = [tree_map(function, v) for v in value]
        return leaves if isinstance(value, list) else tuple(leaves)  # named tuples too
    if isinstance(value, dict):
        return {k: tree_map(function, v) for k, v in value.items()}
    return function(value)


def tree_leaves(value: Any) -> Iterator[Any]:
    """The leaves of a structure of lists, tuples and dicts, in order."""
    if isinstance(value, (list, tuple)):
        for v in value:
            yield from tree_leaves(v)
    elif isinstance(value, dict):
        for v in value.values():
            yield from tree_leaves(v)
    else:
        yield value


def cast(value: Any, dtype: torch.dtype) -> Any:
    """All floating tensors and dtypes in a structure as `dtype` (complex ones accordingly)."""

    def leaf(v: Any) -> Any:
        if isinstance(v, Tensor):
            if v.is_floating_point():
                return v.to(dtype)
            if v.is_complex():
                return v.to(torch.complex128 if dtype is torch.float64 else torch.complex64)
        if isinstance(v, torch.dtype) and v.is_floating_point:
            return dtype
        if isinstance(v, Probe):
            return Probe(v.kind, cast(dict(v.parameters), dtype))
        return v

    return tree_map(leaf, value)


def perform(
    request: Request, namespace: MutableMapping[str, Any], objects: MutableMapping[int, Any]
) -> Reply:
    """Answer one request with the functions of `namespace`; never raises an ordinary exception."""
    _seed(request.get("seed", 0))
    try:
        with _distorting(namespace, request.get("distorted", ())):
            return _perform(request, namespace, objects)
    except _Refused as error:
        return {"error": {"kind": error.kind, "type": "", "message": str(error), "traceback": ""}}
    except (Exception, SystemExit) as error:
        return {
            "error": {
                "kind": "raised",
                "type": type(error).__name__,
                "message": str(error)[:2000],
                "traceback": "".join(traceback.format_exception(error))[-8000:],
            }
        }


def _seed(number: int) -> None:
    """Make what an answer draws from global random state the same wherever and whenever it is asked."""
    random.seed(number)
    np.random.seed(number)
    torch.default_generator.manual_seed(number)


@contextmanager
def _distorting(namespace: MutableMapping[str, Any], names: Sequence[str]) -> Iterator[None]:
    """Put distorted functions in the place of those named, where there are any."""
    own = {name: namespace[name] for name in names if callable(namespace.get(name))}
    namespace.update({name: distorted(function) for name, function in own.items()})
    try:
        yield
    finally:
        namespace.update(own)


def distorted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, or a class's `forward`, that answers with a quarter of something else.

    That quarter of each floating number depends on the inputs and on where the number stands. What is between
    0 and 1, or positive, remains so; gradients reach the other three quarters.
    """
    if inspect.isclass(function):
        forward = getattr(function, "forward", None)
        return type(function.__name__, (function,), {"forward": distorted(forward)} if forward else {})

    def distort(*args: Any) -> Any:
        known = [torch.as_tensor(v).detach() for v in tree_leaves(args) if _is_floating(v)]
        phase = sum(float(v.double().tanh().mean()) for v in known if v.numel())
        count = 0

        def leaf(v: Any) -> Any:
            nonlocal count
            if not _is_floating(v):
                return v
            count += 1
            shape = tuple(v.shape) if isinstance(v, Tensor) else ()
            places = torch.arange(math.prod(shape), dtype=torch.float64).reshape(shape)
            other = 0.5 + 0.4 * torch.sin(places + count + phase)
            return 0.75 * v + 0.25 * (other.to(v) if isinstance(v, Tensor) else float(other))

        return tree_map(leaf, function(*args))

    return distort


def _is_floating(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def _perform(request: Request, namespace: Mapping[str, Any], objects: MutableMapping[int, Any]) -> Reply:
    op = request["op"]
    if op == "forget":
        objects.clear()
        return {"value": None}
    if op == "load":
        return _load(objects[request["handle"]], request["state"])
    if op == "method":
        owner = objects[request["handle"]]
        if request["name"] and not callable(getattr(owner, request["name"], None)):
            raise _Refused("missing", f"{type(owner).__name__} has no method {request['name']}")
        function = getattr(owner, request["name"]) if request["name"] else owner
    else:
        owner = None
        if not callable(namespace.get(request["name"])):
            raise _Refused("missing", f"{request['name']} is not defined")
        function = namespace[request["name"]]
    arguments = [_receive(a) for a in request["args"]]
    if op == "new":
        objects[request["handle"]] = instance = function(*arguments)
        state = instance.state_dict() if isinstance(instance, nn.Module) else {}
        return {"value": {name: list(t.shape) for name, t in state.items()}}
    if "wrt" not in request and not request.get("parameters"):
        reply = {"value": _detached(function(*arguments))}
    else:
        reply = _differentiate(request, function, arguments, owner)
    if request.get("after"):
        reply["after"] = _detached([a if isinstance(a, (Tensor, list, dict)) else None for a in arguments])
    return reply


def _receive(argument: Any) -> Any:
    """The argument as the student's function gets it: a copy of its own, probes built."""
    return tree_map(
        lambda v: (
            v.build() if isinstance(v, (Probe, Generator)) else v.clone() if isinstance(v, Tensor) else v
        ),
        argument,
    )


def _detached(value: Any) -> Any:
    return tree_map(_plain, value)


def _plain(leaf: Any) -> Any:
    """The leaf as the wire would bring it: without gradient, and numpy's numbers and strings as Python's."""
    if isinstance(leaf, Tensor):
        return leaf.detach()
    return leaf.item() if isinstance(leaf, np.generic) else leaf


def _load(owner: Any, state: Mapping[str, Tensor]) -> Reply:
    if not isinstance(owner, nn.Module):
        raise _Refused("state", f"{type(owner).__name__} is not a torch.nn.Module")
    own = owner.state_dict()
    for name in state.keys() | own.keys():
        if name not in own:
            raise _Refused(
                "state", f"{type(owner).__name__} has no parameter {name!r}; it has {', '.join(own)}"
            )
        if name not in state:
            raise _Refused(
                "state", f"{type(owner).__name__} has a parameter {name!r} that should not be there"
            )
        if own[name].shape != state[name].shape:
            raise _Refused(
                "state",
                f"parameter {name!r} has shape {tuple(own[name].shape)}, not {tuple(state[name].shape)}",
            )
    floating = [t.dtype for t in state.values() if t.is_floating_point()]
    if floating:
        owner.to(floating[0])
    owner.load_state_dict(dict(state))
    return {"value": None}


def _differentiate(request: Request, function: Callable[..., Any], arguments: list[Any], owner: Any) -> Reply:
    """Call the function and pull the cotangents back to arguments and parameters."""
    sources: list[Tensor] = []
    for i in request.get("wrt", ()):
        sources.extend(_made_differentiable(arguments[i]))
    names: list[str] = []
    if request.get("parameters"):
        if not isinstance(owner, nn.Module):
            raise _Refused("gradient", f"{type(owner).__name__} is not a torch.nn.Module")
        named = dict(owner.named_parameters())
        names = list(named)
        sources.extend(named.values())
    value = function(*arguments)
    outputs = [
        v for v in tree_leaves(value) if isinstance(v, Tensor) and (v.is_floating_point() or v.is_complex())
    ]
    cotangents: Sequence[Tensor] = request["cotangents"]
    if len(outputs) != len(cotangents) or any(
        o.shape != c.shape for o, c in zip(outputs, cotangents, strict=True)
    ):
        shapes = ", ".join(str(tuple(c.shape)) for c in cotangents)
        raise _Refused("gradient", f"expected floating tensors of shapes {shapes} to differentiate")
    attached = [(o, c.to(o.dtype)) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    if attached and sources:
        gradients: Sequence[Tensor | None] = torch.autograd.grad(
            [o for o, _ in attached], sources, [c for _, c in attached], allow_unused=True
        )
    else:
        gradients = (None,) * len(sources)
    n = len(sources) - len(names)
    reply = {"value": _detached(value), "gradients": list(gradients[:n])}
    if names:
        reply["parameter_gradients"] = dict(zip(names, gradients[n:], strict=True))
    return reply


def _made_differentiable(argument: Any) -> Iterator[Tensor]:
    """The floating tensors in an argument, of a module its parameters, from now on with gradients."""
    for leaf in tree_leaves(argument):
        for v in leaf.parameters() if isinstance(leaf, nn.Module) else [leaf]:
            if isinstance(v, Tensor) and v.is_floating_point():
                yield v.requires_grad_()


class Session(Protocol):
    """Something that performs requests: this process, or a guest."""

    def perform(self, request: Request) -> Reply: ...


class LocalSession:
    """Performs requests in this process, for authors and for students in their own kernel."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self.namespace = dict(namespace)
        self._objects: dict[int, Any] = {}

    def perform(self, request: Request) -> Reply:
        return perform(request, self.namespace, self._objects)


class Function:
    """A student's (or the reference's) function as a check sees it: call it, or ask for more."""

    def __init__(self, name: str, session: Session, log: Log | None = None) -> None:
        self.__name__ = name
        self._session = session
        self._log = log if log is not None else []

    def __call__(self, *args: Any) -> Any:
        return self.ask(args)["value"]

    def ask(self, args: Sequence[Any], **more: Any) -> Reply:
        """The reply to a call that asks for more than the value."""
        return _ask(
            self._session, {"op": "call", "name": self.__name__, "args": list(args), **more}, self._log
        )


class Class:
    """A student's class as a check sees it: calling it makes an `Instance`."""

    def __init__(self, name: str, session: Session, log: Log | None = None) -> None:
        self.__name__ = name
        self._session = session
        self._log = log if log is not None else []
        self._made = 0

    def __call__(self, *args: Any) -> Instance:
        handle = next_handle()
        request = {"op": "new", "name": self.__name__, "args": list(args), "handle": handle}
        shapes = _ask(self._session, request, self._log)["value"]
        return Instance(self.__name__, handle, shapes, self._session, self._log)


class Instance:
    """An object that stays with the student; `shapes` are those of its state dict."""

    def __init__(
        self, name: str, handle: int, shapes: dict[str, list[int]], session: Session, log: Log
    ) -> None:
        self._name, self._handle, self._session, self._log = name, handle, session, log
        self.shapes = shapes

    def load(self, state: Mapping[str, Tensor]) -> Instance:
        """Load parameters and buffers by name, in their dtype; returns the instance."""
        _ask(self._session, {"op": "load", "handle": self._handle, "state": dict(state)}, self._log)
        return self

    def __call__(self, *args: Any) -> Any:
        return self.ask("", args)["value"]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *args: self.ask(method, args)["value"]

    def __len__(self) -> int:
        size = self.ask("__len__", ())["value"]
        if type(size) is not int or size < 0:
            raise CallFailed("raised", "TypeError", f"__len__ gives {size!r}, which is no length")
        return size

    def __bool__(self) -> bool:
        return True  # an object is there, however short

    def ask(self, method: str, args: Sequence[Any], **more: Any) -> Reply:
        """The reply to a method call that asks for more than the value; "" calls the object itself."""
        request = {"op": "method", "handle": self._handle, "name": method, "args": list(args), **more}
        return _ask(self._session, request, self._log)


_handles = iter(range(1, 2**62))


def next_handle() -> int:
    """A number that no object of this process' sessions has yet."""
    return next(_handles)


def _ask(session: Session, request: Request, log: Log) -> Reply:
    request["seed"] = len(log)
    reply = session.perform(request)
    log.append((request, reply))
    if "error" in reply:
        error = reply["error"]
        raise CallFailed(error["kind"], error["type"], error["message"], error["traceback"])
    return reply
