"""The records an assignment is made of: exercises, checks, accepted answers and mistakes.

Nothing is registered globally: decorators mark functions, and `course.py` collects the marked ones
from a module in the order in which they are written.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autograder.domains import Domain

TIERS = ("public", "hidden", "gpu", "slow")
CONSEQUENCES = ("advisory", "binding")


@dataclass(frozen=True)
class Exercise:
    """One function or class that students write, specified by its reference implementation.

    `inputs` maps parameters to domains; floating tensors without one are real. For a class the
    parameters are those of the constructor, and `methods` says with what its methods are called.
    `forbids` maps what an answer may not use to what that costs, one of `CONSEQUENCES`.
    """

    reference: Any  # a function or a class
    inputs: Mapping[str, Domain] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    differentiable: bool | tuple[str, ...] = False
    methods: Mapping[str, Mapping[str, Domain]] = field(default_factory=dict)
    uses: tuple[str, ...] = ()
    points: Mapping[str, int] = field(default_factory=dict)
    examples: Mapping[str, int] = field(default_factory=dict)
    without: Mapping[str, str] = field(default_factory=dict)
    forbids: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.reference.__name__)

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.reference)

    @property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.reference)


def exercise(
    reference: Callable[..., Any],
    *,
    inputs: Mapping[str, Domain] | None = None,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    differentiable: bool | Sequence[str] = False,
    methods: Mapping[str, Mapping[str, Domain]] | None = None,
    uses: Sequence[str] = (),
    points: Mapping[str, int] | None = None,
    examples: Mapping[str, int] | None = None,
    without: Mapping[str, str] | None = None,
    forbids: Mapping[str, str] | None = None,
) -> Exercise:
    """Declare an exercise; everything that the reference's signature says need not be said again.

    Args:
        reference: the function or class; its name, jaxtyping shapes and docstring are the students' too.
        inputs: domains of parameters, by name. Left out: floating tensors are `real()`.
        sizes: (smallest, largest) of a named dimension; (1, 4) if left out.
        differentiable: True, or the names of the inputs (for a class: of the methods) whose gradients
            are compared.
        methods: for a class, the methods to compare, each with the domains of its parameters.
        uses: earlier exercises that a student's answer is likely to call.
        points: points of the battery's checks where they differ from `battery.POINTS`.
        examples: how many examples the battery's checks draw where it differs from `battery.EXAMPLES`.
        without: checks of the battery to leave out, each with the reason.
        forbids: functions, methods and modules that an answer may not use, such as "torch.logsumexp" and
            "torch.Tensor.logsumexp", each "advisory" (a remark) or "binding" (it costs the points). A rule
            about the notebook's text: see forbidden.py.
    """
    for name, consequence in (forbids or {}).items():
        if consequence not in CONSEQUENCES:
            raise ValueError(f"forbids: {name!r} is {consequence!r}, not one of {', '.join(CONSEQUENCES)}")
    if not isinstance(differentiable, bool):
        differentiable = tuple(differentiable)
    return Exercise(
        reference,
        inputs or {},
        sizes or {},
        differentiable,
        methods or {},
        tuple(uses),
        points or {},
        examples or {},
        without or {},
        forbids or {},
    )


@dataclass(frozen=True)
class Check:
    """One question asked of a student's function, on many examples.

    `body` is called with the functions it names, then with values drawn for its other parameters.
    """

    exercise: str
    name: str
    body: Callable[..., None]
    title: str
    tier: str = "hidden"
    points: int = 1
    examples: int = 64
    inputs: Mapping[str, Domain] = field(default_factory=dict)
    mode: str = "core"  # how the exercise's inputs are drawn: "core", "batch" or "edge"
    double: bool = False  # run in float64 instead of float32
    battery: bool = False
    gate: bool = False  # the agreement on which the exercise's other points depend


@dataclass(frozen=True)
class Solution:
    """A known answer to an exercise; `sentence` is the misunderstanding behind a wrong one.

    `without` names the checks that an answer made of somebody else's code can't be asked.
    """

    exercise: str
    name: str
    function: Callable[..., Any]
    sentence: str | None = None
    without: tuple[str, ...] = ()

    @property
    def is_mistake(self) -> bool:
        return self.sentence is not None


@dataclass(frozen=True)
class Assignment:
    """One week: a title and its exercises in the order of the lesson."""

    title: str
    exercises: Sequence[Exercise]


def check(
    exercise: str,
    *,
    points: int = 1,
    examples: int = 64,
    tier: str | None = None,
    mode: str = "core",
    double: bool = False,
    gate: bool = False,
    **inputs: Domain,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Mark a function as a check of `exercise`; its docstring is what a student reads when it fails.

    Parameters named after exercises receive the student's functions, `reference` the reference (hidden
    checks only); other parameters are drawn, from `inputs` or from the exercise's own domains.

    Args:
        exercise: the name of the exercise.
        points: what the check is worth.
        examples: how many examples it is run on; without drawn parameters it is run once.
        tier: "public" or "hidden" by the file the check stands in, unless said here ("gpu", "slow").
        mode: how the inputs are drawn: "core", "batch" (0, 2 or 3 leading dimensions) or "edge".
        double: run in float64.
        gate: the exercise's other points depend on this check, as they do on the battery's agreement.
    """

    def mark(body: Callable[..., None]) -> Callable[..., None]:
        if not body.__doc__:
            raise ValueError(
                f"check {body.__name__!r} needs a docstring: students read it when the check fails"
            )
        title = inspect.cleandoc(body.__doc__)
        body.__autograder__ = Check(  # type: ignore[attr-defined]
            exercise,
            body.__name__,
            body,
            title,
            tier or "",
            points,
            examples,
            inputs,
            mode,
            double,
            gate=gate,
        )
        return body

    return mark


def accepted(exercise: str) -> Callable[[Any], Any]:
    """Mark a function or class as another right answer to `exercise`."""

    def mark(function: Any) -> Any:
        function.__autograder__ = Solution(exercise, function.__name__, function)
        return function

    return mark


def oracle(exercise: str, *, without: Sequence[str] = ()) -> Callable[[Any], Any]:
    """Mark a function or class, made of an implementation by others, as a right answer to `exercise`.

    Its errors earn no tolerance: `autograder quality` has it judged as a student's answer would be.

    Args:
        exercise: the exercise that it answers.
        without: checks that it is not asked, such as "gradients" where it does not compute with torch.
    """

    def mark(function: Any) -> Any:
        function.__autograder__ = Solution(exercise, function.__name__, function, without=tuple(without))
        return function

    return mark


def mistake(exercise: str, sentence: str) -> Callable[[Any], Any]:
    """Mark a function or class as a wrong answer to `exercise`; the sentence tells students what is wrong."""

    def mark(function: Any) -> Any:
        function.__autograder__ = Solution(exercise, function.__name__, function, sentence)
        return function

    return mark
