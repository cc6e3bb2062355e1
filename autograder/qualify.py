"""Qualification: an assignment is fit for release when its checks tell known right answers from wrong ones.

Every accepted answer must get full marks; every mistake must lose points and be named by its own
sentence; untouched stubs, constants, inputs returned and neighbours' references must not pass. Judged alone,
every check must catch something, and a reference shifted by ten tolerances must fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autograder import forbidden
from autograder.calls import CallFailed, tree_leaves, tree_map
from autograder.comparisons import (
    UNIT_ROUNDOFF,
    CheckFailed,
    Decider,
    Key,
    Tolerance,
    comparing,
    decide,
    is_exact,
)
from autograder.course import Week
from autograder.exercises import Check, Exercise
from autograder.judge import Bench
from autograder.results import FAILED, PASSED, ExerciseResult
from autograder.trials import LocalReplayer, Perturbed, dtype_of, run_body

MOST_LEFT_OUT = 0.2
SHIFT = 10.0


@dataclass
class Row:
    """One known answer and what came of it."""

    exercise: str
    kind: str  # "reference", "accepted", "mistake" or "stub"
    answer: str
    score: float
    max_score: float
    failed: list[str]  # the checks that it fails
    as_expected: bool
    problem: str = ""


@dataclass
class CheckRow:
    """One check, judged alone: what it catches, and whether a reference shifted by ten tolerances fails."""

    exercise: str
    check: str
    tier: str
    examples: int
    left_out: int
    catches: str  # the first known wrong answer that fails it, or the sabotage of the reference that does
    shifted: str  # "fails", or "nothing to shift" where the check compares no floating values for closeness
    problem: str = ""


@dataclass
class Qualification:
    """What qualifying one week showed; `exceptions` lists in words all that is not as it should be."""

    week: str
    rows: list[Row] = field(default_factory=list)
    checks: list[CheckRow] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.exceptions

    def to_dict(self) -> dict[str, Any]:
        """For --format json: totals by kind, the matrix and the exceptions."""
        by_kind = {"accepted": ("reference", "accepted"), "mistakes": ("mistake",), "stubs": ("stub",)}
        good = {
            name: [r.as_expected for r in self.rows if r.kind in kinds] for name, kinds in by_kind.items()
        }
        good["checks"] = [not c.problem for c in self.checks]
        return {
            "week": self.week,
            **{name: {"total": len(g), "as_expected": sum(g)} for name, g in good.items()},
            "exceptions": self.exceptions,
            "rows": [asdict(r) for r in self.rows],
            "check_rows": [asdict(c) for c in self.checks],
        }


def qualify(
    week: Week, progress: Callable[[str], None] = lambda exercise: None, only: Collection[str] | None = None
) -> Qualification:
    """Qualify the exercises of a week, or `only` some; `progress` is told each one's name as it begins."""
    bench = Bench(week)
    found = Qualification(week.name)
    for exercise in week.exercises:
        if only and exercise.name not in only:
            continue
        progress(exercise.name)
        for row in _rows(bench, exercise):
            found.rows.append(row)
            if row.problem:
                found.exceptions.append(f"{row.exercise}: {row.kind} {row.answer}: {row.problem}")
        for check in bench.week.checks_of(exercise.name):
            row_of_check = _judged_alone(bench, check, exercise, found.rows)
            found.checks.append(row_of_check)
            if row_of_check.problem:
                found.exceptions.append(f"{exercise.name}: check {check.name} {row_of_check.problem}")
    return found


def _rows(bench: Bench, exercise: Exercise) -> Iterator[Row]:
    """The known answers of one exercise, each judged."""

    def judge(answer: Any) -> ExerciseResult:
        namespace = {**bench.week.references, exercise.name: answer}
        return bench.judge_exercise(exercise.name, LocalReplayer(namespace), shrink=False)

    for kind, name, answer in [
        ("reference", "reference", exercise.reference),
        *(("accepted", s.name, s.function) for s in bench.week.solutions_of(exercise.name, mistakes=False)),
    ]:
        result = judge(answer)
        lost = [f"{c.name}: {c.message}" for c in result.checks if c.verdict != PASSED]
        used = _forbidden(exercise, answer)
        yield _row(
            exercise, kind, name, result, "; ".join(lost + [f"uses {u}, which is forbidden" for u in used])
        )
    for solution in bench.week.solutions_of(exercise.name, mistakes=True):
        result = judge(solution.function)
        problem = ""
        if result.score >= result.max_score:
            problem = "loses no points"
        elif result.misconception != solution.sentence:
            problem = (
                f"is diagnosed as {result.misconception!r}" if result.misconception else "is not diagnosed"
            )
        yield _row(exercise, "mistake", solution.name, result, problem)
    for name, answer in stubs(bench.week, exercise):
        result = judge(answer)
        yield _row(exercise, "stub", name, result, f"earns {result.score:g} points" if result.score else "")


def _forbidden(exercise: Exercise, answer: Any) -> list[str]:
    """What an answer of ours uses although it would cost a student the points."""
    binding = [name for name, consequence in exercise.forbids.items() if consequence == "binding"]
    if not binding:
        return []
    source = Path(inspect.getfile(answer)).read_text(encoding="utf-8")
    return list(dict.fromkeys(use.name for use in forbidden.uses([source], answer.__name__, binding)))


def _row(exercise: Exercise, kind: str, answer: str, result: ExerciseResult, problem: str) -> Row:
    failed = [c.name for c in result.checks if c.verdict == FAILED]
    return Row(exercise.name, kind, answer, result.score, result.max_score, failed, not problem, problem)


def stubs(week: Week, exercise: Exercise) -> Iterator[tuple[str, Any]]:
    """Answers without any thought in them, which must earn nothing."""
    if exercise.is_class:
        yield "untouched", _untouched_class(exercise.reference)
        for name, value in (("zeros", 0.0), ("ones", 1.0)):
            yield name, _constant_class(exercise, value)
        return

    def untouched(*args: Any) -> Any:
        raise NotImplementedError

    yield "untouched", untouched
    for name, value in (("zeros", 0), ("ones", 1)):
        yield name, _constant(exercise.reference, value)
    for i, parameter in enumerate(inspect.signature(exercise.reference).parameters):
        yield f"returns {parameter}", lambda *args, i=i: args[i]
    arity = len(inspect.signature(exercise.reference).parameters)
    for other in week.exercises:
        if other.name != exercise.name and not other.is_class and len(other.signature.parameters) == arity:
            yield f"the neighbour {other.name}", other.reference


def _constant(reference: Callable[..., Any], value: int) -> Callable[..., Any]:
    """A function that gives the right form with `value` everywhere."""

    def fill(leaf: Any) -> Any:
        if isinstance(leaf, Tensor):
            return torch.full_like(leaf, value)
        if isinstance(leaf, str):
            return "a" * value
        return type(leaf)(value) if isinstance(leaf, (bool, int, float)) else leaf

    return lambda *args: tree_map(fill, reference(*args))


def _untouched_class(reference: type) -> type:
    def refuse(self: Any, *args: Any) -> Any:
        raise NotImplementedError

    methods = {n: refuse for n, f in vars(reference).items() if inspect.isfunction(f) and n != "__init__"}
    return type(reference.__name__, (reference,), methods)


def _constant_class(exercise: Exercise, value: float) -> type:
    methods = {}
    for name, function in vars(exercise.reference).items():
        if inspect.isfunction(function) and name != "__init__":
            methods[name] = _constant(function, int(value))
    return type(exercise.reference.__name__, (exercise.reference,), methods)


# What must be caught, whatever the exercise: one sabotage of the reference for each check of the battery.


def _saboteurs(exercise: Exercise) -> dict[str, Callable[..., Any]]:
    reference = exercise.reference
    calls = {"count": 0}

    def in_single_precision(*args: Any) -> Any:
        narrow = tree_map(lambda v: v.float() if _is_floating(v) else v, list(args))
        wide = next((v.dtype for v in tree_leaves(list(args)) if _is_floating(v)), torch.float32)
        return tree_map(lambda v: v.to(wide) if _is_floating(v) else v, reference(*narrow))

    def detached(*args: Any) -> Any:
        return tree_map(lambda v: v.detach() if isinstance(v, Tensor) else v, reference(*args))

    def changes_its_inputs(*args: Any) -> Any:
        value = reference(*args)
        for leaf in tree_leaves(list(args)):
            if isinstance(leaf, Tensor) and leaf.numel() and not leaf.requires_grad:
                leaf.view(-1)[0] = leaf.view(-1)[0] + 1 if leaf.dtype is not torch.bool else ~leaf.view(-1)[0]
        return value

    def changes_its_mind(*args: Any) -> Any:
        calls["count"] += 1
        return tree_map(_nudged if calls["count"] % 2 else lambda v: v, reference(*args))

    return {
        "in single precision": in_single_precision,
        "detached": detached,
        "changes its inputs": changes_its_inputs,
        "changes its mind": changes_its_mind,
    }


def _is_floating(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _nudged(value: Any) -> Any:
    if isinstance(value, Tensor):
        return ~value if value.dtype is torch.bool else value + 1
    if isinstance(value, str):
        return value + "a"
    return value + 1 if isinstance(value, (int, float)) else value


def _judged_alone(bench: Bench, check: Check, exercise: Exercise, rows: Sequence[Row]) -> CheckRow:
    """What is to be said of a check itself."""
    wrong = [r for r in rows if r.exercise == exercise.name and r.kind in ("mistake", "stub")]
    thoughtful = [
        r for r in wrong if not r.answer.startswith(("untouched", "the neighbour"))
    ]  # no mere crash
    catches = next((r.answer for r in thoughtful if check.name in r.failed), "")
    catches = catches or _saboteur_caught(bench, check, exercise)
    shifted, survivor = _shifted(bench, check)
    material = bench.material(check)
    problems = []
    if len(material.left_out) > MOST_LEFT_OUT * len(material.trials):
        reasons = "; ".join(sorted({t.calibration.left_out for t in material.left_out}))
        problems.append(f"leaves out {len(material.left_out)} of {len(material.trials)} examples ({reasons})")
    if not catches:
        problems.append("catches no mistake")
    if survivor:
        problems.append(f"passes a wrong answer: {survivor}")
    return CheckRow(
        exercise.name,
        check.name,
        check.tier,
        len(material.trials),
        len(material.left_out),
        catches,
        shifted,
        " and ".join(problems),
    )


def _saboteur_caught(bench: Bench, check: Check, exercise: Exercise) -> str:
    """The sabotage of the reference (of a class: of each of its methods) that fails this check, or ""."""
    if not check.battery:
        return ""
    for name in _saboteurs(exercise):
        answer = _sabotaged_class(exercise, name) if exercise.is_class else _saboteurs(exercise)[name]
        replayer = LocalReplayer({**bench.week.references, exercise.name: answer})
        outcomes = replayer.replay([bench.job(check, t) for t in bench.material(check).judged])
        if any(o.error is not None for o in outcomes):
            return f"the reference, {name}"
    return ""


def _sabotaged_class(exercise: Exercise, name: str) -> type:
    methods = {}
    for method in exercise.methods:
        original = getattr(exercise.reference, method)
        methods[method] = _as_method(_saboteurs(Exercise(original))[name])
    return type(exercise.reference.__name__, (exercise.reference,), methods)


def _as_method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args: function(self, *args)


class _Shifted(Decider):
    """Moves what it got by ten tolerances before it decides, one comparison at a time."""

    def compare(self, key: Key, relation: str, got: Any, expected: Any, path: str) -> None:
        tolerance = self.tolerances.get(key, Tolerance(0.0, "unknown"))
        if relation != "close" or tolerance.left_out or is_exact(got, expected) or not _is_floating(got):
            return
        if not got.numel() or not bool(torch.isfinite(got).all()):
            return
        u = UNIT_ROUNDOFF[self.dtype]
        slack = tolerance.absolute + 4 * u * torch.as_tensor(expected, dtype=torch.float64).detach().abs()
        shifted = got.detach().to(torch.float64) + SHIFT * slack
        if not bool((slack > 0).any()):
            return  # an exact zero, known to be one: there is no tolerance to shift by
        self.compared += 1
        try:
            decide(relation, shifted, expected, path, tolerance, self.dtype)
        except CheckFailed:
            return
        raise _Survived(f"a reference shifted by {SHIFT:g} tolerances passes{f' at {path}' if path else ''}")


class _Survived(Exception):
    pass


def _shifted(bench: Bench, check: Check) -> tuple[str, str]:
    """Whether a shifted reference fails wherever there is something to shift; and why it doesn't, or ""."""
    compared = 0
    for trial in bench.material(check).judged:
        decider = _Shifted(trial.calibration.tolerances, dtype_of(check))
        values = bench.values(check, trial.example)
        with comparing(decider):
            try:
                run_body(bench.week, check, Perturbed(bench.week.references), bench.exact, values, [])
            except _Survived as survived:
                return "passes", str(survived)
            except (CheckFailed, CallFailed) as failure:
                return "fails", f"the reference itself fails: {failure}"
        compared += decider.compared
    return ("fails" if compared else "nothing to shift"), ""
