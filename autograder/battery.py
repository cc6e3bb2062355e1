"""The standard battery: the checks that every exercise gets for free from its reference."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jaxtyping
import torch
from torch import Tensor, nn

from autograder.calls import cast, tree_leaves
from autograder.comparisons import CheckFailed, close, equal
from autograder.exercises import Check, Exercise
from autograder.probes import Probe

POINTS = {"published": 1, "agrees": 2, "gradients": 1, "precision": 1, "batches": 1, "edges": 1, "pure": 1}
EXAMPLES = {
    "published": 24,
    "agrees": 64,
    "gradients": 32,
    "precision": 32,
    "batches": 32,
    "edges": 32,
    "pure": 8,
}

TITLES = {
    "published": "It gives the published answers on the published examples.",
    "agrees": "It agrees with the reference on examples drawn from the whole domain.",
    "gradients": "Its gradients agree with the reference's: nothing is detached that should not be.",
    "precision": "In float64 it is right to float64's precision, and the dtype of the inputs is kept.",
    "batches": "It works with any number of leading batch dimensions, also with none.",
    "edges": "It stays right at the edges of the domain, without overflow.",
    "pure": "It leaves its inputs as they are and gives the same answer twice.",
}

Values = Mapping[str, Any]


def checks(exercise: Exercise) -> list[Check]:
    """The battery of one exercise: what applies to its signature and was not left out."""
    unknown = {*exercise.without, *exercise.points, *exercise.examples} - set(POINTS)
    if unknown:
        raise ValueError(
            f"{exercise.name}: {', '.join(sorted(unknown))} not in the battery: {', '.join(POINTS)}"
        )
    if exercise.is_class and not issubclass(exercise.reference, nn.Module):
        return []
    bodies = _CLASS_BODIES if exercise.is_class else _FUNCTION_BODIES
    made = []
    for name in POINTS:
        if name in exercise.without or not _applies(name, exercise):
            continue
        made.append(
            Check(
                exercise.name,
                name,
                bodies.get(name, bodies["agrees"]),
                TITLES[name],
                tier="public" if name == "published" else "hidden",
                points=exercise.points.get(name, POINTS[name]),
                examples=exercise.examples.get(name, EXAMPLES[name]),
                mode={"batches": "batch", "edges": "edge"}.get(name, "core"),
                double=name == "precision",
                battery=True,
                gate=name in ("published", "agrees"),
            )
        )
    return made


def _applies(name: str, exercise: Exercise) -> bool:
    annotations = list(parameters(exercise).values())
    shapes = [a.dim_str for a in annotations if _is_array(a)]
    if name == "gradients":
        return bool(exercise.differentiable)
    if name == "batches":
        return any(token.startswith("*") for dims in shapes for token in dims.split())
    if name == "edges":
        domains = [*exercise.inputs.values(), *(d for m in exercise.methods.values() for d in m.values())]
        return any(d.has_edge for d in domains)
    if name == "precision":
        outputs = [*annotations, *returns(exercise)]
        return any(a is torch.dtype or "Float[" in str(a) or "Complex[" in str(a) for a in outputs)
    return True


def _is_array(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, jaxtyping.AbstractArray)


def parameters(exercise: Exercise) -> dict[str, Any]:
    """Parameter name -> annotation, of the function, or of the constructor and all compared methods."""
    functions = [exercise.reference]
    functions += [getattr(exercise.reference, name) for name in exercise.methods]
    found: dict[str, Any] = {}
    for function in functions:
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
            if name != "self":
                found.setdefault(name, parameter.annotation)
    return found


def returns(exercise: Exercise) -> list[Any]:
    """The annotations of what the function or the methods return."""
    functions = [getattr(exercise.reference, n) for n in exercise.methods] or [exercise.reference]
    return [inspect.signature(f, eval_str=True).return_annotation for f in functions]


def argument_names(exercise: Exercise, method: str | None = None) -> list[str]:
    """The parameters of the function, of the constructor, or of a method, in order."""
    return _argument_names(getattr(exercise.reference, method) if method else exercise.reference)


@functools.cache
def _argument_names(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


def _arguments(exercise: Exercise, values: Values, method: str | None = None) -> list[Any]:
    return [values[name] for name in argument_names(exercise, method)]


def _cotangents(value: Any) -> list[Tensor]:
    """Fixed weights of the outputs, all different, so that no error in a gradient cancels."""
    outputs = [
        v for v in tree_leaves(value) if isinstance(v, Tensor) and (v.is_floating_point() or v.is_complex())
    ]
    return [
        torch.ones_like(v)
        if v.ndim == 0
        else torch.cos(torch.arange(v.numel()) + 1.0).reshape(v.shape).to(v.dtype)
        for v in outputs
    ]


def _same_gradients(got: Mapping[str, Any], expected: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
    """Gradients agree by name; None stands for zero."""
    for name, right in expected.items():
        mine = got.get(name)
        if right is None and mine is None:
            continue
        if mine is None and right.any():
            raise CheckFailed(
                f"no gradient reaches {name}: the result is detached from it", right, None, name, "gradient"
            )
        zero = torch.zeros_like(right if right is not None else mine)  # type: ignore[arg-type]
        try:
            close(zero if mine is None else mine, zero if right is None else right)
        except CheckFailed as error:
            why = " (a gradient flows where none should)" if right is None else ""
            message = f"the gradient with respect to {name} has {error.message}{why}"
            raise CheckFailed(message, error.expected, error.got, error.where, "gradient") from None


def _agrees(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    arguments = _arguments(exercise, values)
    close(student(*arguments), reference(*arguments))


def _gradients(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    arguments = _arguments(exercise, values)
    names = differentiated(exercise)
    wrt = [i for i, name in enumerate(argument_names(exercise)) if name in names]
    cotangents = _cotangents(reference(*arguments))
    more = {"wrt": wrt, "cotangents": cotangents}
    mine = student.ask(arguments, **more)["gradients"]
    right = reference.ask(arguments, **more)["gradients"]
    labels = [n for i in wrt for n in _labels(argument_names(exercise)[i], arguments[i])]
    _same_gradients(dict(zip(labels, mine, strict=True)), dict(zip(labels, right, strict=True)), values)


def _labels(name: str, argument: Any) -> list[str]:
    """One label per floating tensor in an argument, in the order in which `calls` differentiates them."""
    if isinstance(argument, Probe):
        module = argument.build()
        return [f"{name}.{p}" for p, _ in module.named_parameters()] if isinstance(module, nn.Module) else []
    leaves = [v for v in tree_leaves(argument) if isinstance(v, Tensor) and v.is_floating_point()]
    return [name] if isinstance(argument, Tensor) else [f"{name}[{i}]" for i in range(len(leaves))]


def differentiated(exercise: Exercise) -> list[str]:
    """The inputs whose gradients are compared: those declared, or all that are floating tensors."""
    if isinstance(exercise.differentiable, tuple) and not exercise.is_class:
        return list(exercise.differentiable)
    return [n for n, a in parameters(exercise).items() if "Float[" in str(a)]


def _precision(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    arguments = _arguments(exercise, values)
    close(student(*arguments), reference(*arguments))
    _keeps_dtype(student(*cast(arguments, torch.float32)))


def _keeps_dtype(value: Any) -> None:
    for leaf in tree_leaves(value):
        if isinstance(leaf, Tensor) and leaf.dtype is torch.float64:
            raise CheckFailed("float32 inputs give a float64 result: keep the dtype", kind="dtype")


def _pure(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    arguments = _arguments(exercise, values)
    first = student.ask(arguments, after=True)
    _untouched(argument_names(exercise), arguments, first["after"])
    close(student(*arguments), first["value"])


def _untouched(names: list[str], before: list[Any], after: list[Any]) -> None:
    for name, old, new in zip(names, before, after, strict=True):
        if not isinstance(old, (Tensor, list, dict)):
            continue
        try:
            equal(new, old)
        except CheckFailed as error:
            raise CheckFailed(
                f"the input {name} is not the same after the call: work on a copy",
                old,
                new,
                error.where,
                "mutation",
            ) from None


def _instance(exercise: Exercise, maker: Any, values: Values) -> Any:
    return maker(*_arguments(exercise, values)).load(values["state"])


def _class_agrees(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    mine, right = _instance(exercise, student, values), _instance(exercise, reference, values)
    for method in exercise.methods:
        arguments = _arguments(exercise, values, method)
        close(mine.ask(_public(method), arguments)["value"], right.ask(_public(method), arguments)["value"])


def _public(method: str) -> str:
    return "" if method == "forward" else method


def _class_gradients(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    mine, right = _instance(exercise, student, values), _instance(exercise, reference, values)
    names = differentiated(exercise)
    methods = exercise.differentiable if isinstance(exercise.differentiable, tuple) else exercise.methods
    for method in methods:
        arguments = _arguments(exercise, values, method)
        labels = argument_names(exercise, method)
        wrt = [i for i, name in enumerate(labels) if name in names]
        cotangents = _cotangents(right.ask(_public(method), arguments)["value"])
        more = {"wrt": wrt, "parameters": True, "cotangents": cotangents}
        replies = [o.ask(_public(method), arguments, **more) for o in (mine, right)]
        gradients = [
            dict(zip([labels[i] for i in wrt], r["gradients"], strict=True)) | r["parameter_gradients"]
            for r in replies
        ]
        _same_gradients(gradients[0], gradients[1], values)


def _class_precision(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    _class_agrees(exercise, student, reference, values)
    values = cast(dict(values), torch.float32)
    mine = _instance(exercise, student, values)
    for method in exercise.methods:
        _keeps_dtype(mine.ask(_public(method), _arguments(exercise, values, method))["value"])


def _class_pure(exercise: Exercise, student: Any, reference: Any, values: Values) -> None:
    mine = _instance(exercise, student, values)
    for method in exercise.methods:
        arguments = _arguments(exercise, values, method)
        first = mine.ask(_public(method), arguments, after=True)
        _untouched(argument_names(exercise, method), arguments, first["after"])
        close(mine.ask(_public(method), arguments)["value"], first["value"])


Body = Callable[[Exercise, Any, Any, Values], None]
_FUNCTION_BODIES: dict[str, Body] = {
    "agrees": _agrees,
    "gradients": _gradients,
    "precision": _precision,
    "pure": _pure,
}
_CLASS_BODIES: dict[str, Body] = {
    "agrees": _class_agrees,
    "gradients": _class_gradients,
    "precision": _class_precision,
    "pure": _class_pure,
}
