"""The examples of a check: drawn once per course by Hypothesis, replayed for every student."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from hypothesis.control import current_build_context
from hypothesis.database import ExampleDatabase, choices_to_bytes
from hypothesis.errors import HypothesisException
from torch import Tensor

from autograder import battery
from autograder.domains import Drawing
from autograder.exercises import Check, Exercise

OVERSAMPLED = 6  # examples drawn for each that is kept

_QUIET: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "verbosity": Verbosity.quiet,
    "print_blob": False,
    "report_multiple_bugs": False,
}


@dataclass(frozen=True)
class Example:
    """The drawn values of a check's parameters, with the choices from which Hypothesis shrinks."""

    values: Mapping[str, Any]
    choices: tuple[Any, ...] = ()


def drawn_parameters(check: Check, exercise: Exercise, functions: Sequence[str]) -> list[str]:
    """The parameters of a check that are drawn: all but functions and the reference."""
    if check.battery:
        return [*battery.parameters(exercise), *(["state"] if exercise.is_class else [])]
    own = battery.parameters(exercise)
    drawn = []
    for name in inspect.signature(check.body).parameters:
        if (
            name in check.inputs
            or (name in own and name != exercise.name)
            or (name == "state" and exercise.is_class)
        ):
            drawn.append(name)
        elif name not in functions and name != "reference":
            raise ValueError(
                f"check {check.name!r}: parameter {name!r} is neither an input of {exercise.name} "
                f"nor an exercise; give it a domain: @check({exercise.name!r}, {name}=real(...))"
            )
    return drawn


@dataclass(frozen=True)
class Source:
    """What a check's examples are drawn from: its domains and a seed of its own.

    It comes from the course's seed and the check's name: published examples tell nothing of hidden ones.
    """

    check: Check
    exercise: Exercise
    functions: Sequence[str]  # names of the week's exercises, which are not drawn
    seed: int

    @classmethod
    def of(
        cls, check: Check, exercise: Exercise, functions: Sequence[str], course_seed: str, week: str
    ) -> Source:
        parts = [course_seed, week, check.exercise, check.tier, check.name]
        digest = hashlib.sha256("\n".join(parts).encode()).digest()
        return cls(check, exercise, functions, int.from_bytes(digest[:16], "big"))


def strategy(source: Source) -> st.SearchStrategy[dict[str, Any]]:
    """The Hypothesis strategy of a check's drawn parameters, as a dict by name."""
    check, exercise = source.check, source.exercise
    names = drawn_parameters(check, exercise, source.functions)
    annotations = battery.parameters(exercise)
    annotations.update(
        {n: p.annotation for n, p in inspect.signature(check.body).parameters.items() if n in check.inputs}
    )
    methods = {name: d for method in exercise.methods.values() for name, d in method.items()}
    domains = {**methods, **exercise.inputs, **check.inputs}

    @st.composite
    def draw_values(draw: Callable[[Any], Any]) -> dict[str, Any]:
        drawing = Drawing(draw, annotations, domains, exercise.sizes, check.mode, source.seed)
        values = {name: drawing[name] for name in names if name != "state"}
        if "state" in names:
            constructor = [drawing[n] for n in battery.argument_names(exercise)]
            values["state"] = _draw_state(exercise, constructor, drawing.integer(0, 2**16))
        return values

    return draw_values()


def _draw_state(exercise: Exercise, constructor: list[Any], number: int) -> dict[str, Tensor]:
    """A state dict for the class, its numbers in eighths between -1 and 1."""
    generator = np.random.default_rng(number)
    state = {}
    for name, tensor in exercise.reference(*constructor).state_dict().items():
        eighths = generator.integers(-8, 9, size=tuple(tensor.shape)) / 8
        state[name] = (
            torch.from_numpy(np.asarray(eighths, dtype=np.float32)) if tensor.is_floating_point() else tensor
        )
    return state


def draw(source: Source) -> list[Example]:
    """The examples of a check, smallest first, from its source alone."""
    count = source.check.examples
    if not drawn_parameters(source.check, source.exercise, source.functions):
        return [Example({})]
    examples: list[Example] = []

    @settings(max_examples=OVERSAMPLED * count, database=None, phases=[Phase.generate], **_QUIET)
    @seed(source.seed)
    @given(strategy(source))
    def collect(values: dict[str, Any]) -> None:
        examples.append(Example(values, tuple(current_build_context().data.choices)))

    collect()
    return sorted(_varied(examples, count), key=size)


def _varied(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` of the examples, of as many different forms as there are.

    Hypothesis follows each fresh example with mutations of it that have the same sizes.
    """
    forms: dict[Any, list[Example]] = {}
    for example in examples:
        forms.setdefault(_form(dict(example.values)), []).append(example)
    chosen: list[Example] = []
    while len(chosen) < min(count, len(examples)):
        for group in forms.values():
            if group and len(chosen) < count:
                chosen.append(group.pop(0))
    return chosen


def _form(value: Any) -> Any:
    """What can differ between two values besides numbers: sizes, lengths, None."""
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, dict):
        return tuple((k, _form(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_form(v) for v in value)
    return value if isinstance(value, (bool, int, type(None))) else type(value).__name__


def size(example: Example) -> tuple[int, float]:
    """How much there is to read in an example."""
    return len(example.choices), sum(float(abs(c)) for c in example.choices if isinstance(c, (int, float)))


class _Saved(ExampleDatabase):
    """A database that holds one choice sequence. Hypothesis shrinks what it finds as secondary examples."""

    def __init__(self, choices: Sequence[Any]) -> None:
        super().__init__()
        self._saved = choices_to_bytes(choices)

    def fetch(self, key: bytes) -> list[bytes]:
        return [self._saved] if key.endswith(b".secondary") else []

    def save(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes, value: bytes) -> None: ...

    def move(self, src: bytes, dest: bytes, value: bytes) -> None: ...


class _Failing(Exception):
    pass


def shrink(source: Source, example: Example, fails: Callable[[Example], bool], budget: int = 250) -> Example:
    """The smallest example found on which `fails` holds, starting from one on which it does.

    The budget counts runs of `fails`, not seconds, so that the same submission gets the same example.
    """
    if not example.choices:
        return example
    best, left = example, budget

    # settings() goes outermost: seed() would take the database away.
    @settings(
        max_examples=1000, database=_Saved(example.choices), phases=[Phase.reuse, Phase.shrink], **_QUIET
    )
    @seed(0)
    @given(strategy(source))
    def attempt(values: dict[str, Any]) -> None:
        nonlocal best, left
        if left <= 0:
            return
        left -= 1
        candidate = Example(values, tuple(current_build_context().data.choices))
        if fails(candidate):
            if size(candidate) <= size(best):
                best = candidate
            raise _Failing

    # HypothesisException says that a run past the budget did not fail again.
    with contextlib.suppress(_Failing, HypothesisException):
        attempt()
    return best
