"""How good a week's checks are, measured: what they catch, and whom they wrong.

Three questions, each asked of every exercise. Do its known answers get the marks they should (`qualify`)?
How many mutants of its reference lose points, and how many without any comparison with the reference? Does
a right answer ever lose one: accepted answers and oracles, over corpora of other seeds, with one thread of
torch and with two?
"""

from __future__ import annotations

import hashlib
import inspect
import multiprocessing
import os
import signal
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from autograder import grading, results, wire
from autograder.calls import LocalSession
from autograder.course import CourseError, Week, load_module, marked
from autograder.exercises import Check, Exercise, Solution
from autograder.judge import Bench
from autograder.qualify import MOST_LEFT_OUT, qualify
from autograder.quality.mutants import Mutant, module_of, mutants
from autograder.traces import trace
from autograder.trials import LocalReplayer, Trial

SEEDS = 20
THREADS = (1, 2)
ENOUGH = 0.99  # the share of mutants that have to lose points
SECONDS = 1.0  # of CPU time for one example
CHUNK = 12  # mutants to a job


@dataclass(frozen=True)
class Verdict:
    """What came of a mutant: the first check by which it loses points, of all checks and of properties alone.

    `note` says of one that loses none how its answers differ from the reference's.
    """

    mutant: Mutant
    caught: str
    by_property: str
    note: str = ""


@dataclass(frozen=True)
class Equivalent:
    """A change declared to make no difference, and why."""

    exercise: str
    before: str
    after: str
    reason: str


@dataclass
class Measured:
    """What was measured of one exercise; `problems` lists in words what is not as it should be."""

    exercise: str
    qualified: tuple[int, int] = (0, 0)  # known answers and checks as expected, of all
    verdicts: list[Verdict] = field(default_factory=list)
    equivalent: list[Verdict] = field(default_factory=list)
    survivors: list[Verdict] = field(default_factory=list)
    right: tuple[int, int] = (0, 0)  # judgements of right answers that gave full marks, of all
    problems: list[str] = field(default_factory=list)

    @property
    def judged(self) -> list[Verdict]:
        """The mutants that should lose points."""
        return [v for v in self.verdicts if v not in self.equivalent]

    @property
    def caught(self) -> int:
        return sum(bool(v.caught) for v in self.judged)

    @property
    def by_property(self) -> int:
        return sum(bool(v.by_property) for v in self.judged)


# Mutants


def compares(check: Check) -> bool:
    """The check compares with the reference's answers; others are properties."""
    if check.battery:
        return check.name != "pure"
    return "reference" in inspect.signature(check.body).parameters


class _Overran(BaseException):
    """An example takes too long. No answer of a student's: it must not be caught as one."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise `_Overran` where the block takes more CPU time."""

    def stop(*_: Any) -> None:
        raise _Overran

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@dataclass
class _Trying:
    """A mutant's way through the checks, until it fails one."""

    bench: Bench
    replayer: LocalReplayer
    seconds: float
    trouble: str = ""  # what kept it from being judged

    def fails(self, check: Check) -> bool:
        """Whether the mutant fails a check. A time-out is no failure, but ends the check."""
        for trial in self.bench.material(check).judged:
            try:
                with _limited(self.seconds):
                    (outcome,) = self.replayer.replay([self.bench.job(check, trial)])
            except _Overran:
                self.trouble = "takes too long on some examples"
                return False
            except Exception as error:  # not in the mutant, or the judge would have caught it
                self.trouble = f"a fault of {check.name}: {type(error).__name__}: {error}"
                return False
            if outcome.error is not None:
                return True
        return False


def try_mutant(bench: Bench, mutant: Mutant, seconds: float = SECONDS) -> Verdict:
    """Judge a mutant by the checks of its exercise, up to the first lost point."""
    exercise = bench.week.exercise(mutant.exercise)
    # A check without points costs some only where the others depend on it.
    checks = [c for c in bench.week.checks_of(exercise.name) if c.points or c.gate]
    try:
        function = mutant.build(module_of(exercise))
    except Exception as error:
        where = f"{type(error).__name__} where it is defined"
        return Verdict(mutant, where, where)
    namespace = {**bench.week.references, exercise.name: function}
    trying = _Trying(bench, LocalReplayer(namespace), seconds)
    by_property = next((c.name for c in checks if not compares(c) and trying.fails(c)), "")
    caught = by_property or next((c.name for c in checks if compares(c) and trying.fails(c)), "")
    if caught:
        return Verdict(mutant, caught, by_property)
    if trying.trouble:
        return Verdict(mutant, "", "", trying.trouble)
    alike = all(_alike(bench, check, namespace) for check in checks)
    return Verdict(mutant, "", "", "the same, bit by bit" if alike else "the same within the tolerances")


def _alike(bench: Bench, check: Check, namespace: dict[str, Any]) -> bool:
    """All that the check is told is the same, bit by bit, as of the reference."""

    def told(namespace: dict[str, Any], trial: Trial) -> bytes:
        return wire.encode(trace(bench.job(check, trial)(LocalSession(namespace)).log))

    try:
        trials = bench.material(check).judged
        return all(told(namespace, t) == told(bench.week.references, t) for t in trials)
    except wire.Unsendable:  # what the checks did not look at is of another kind
        return False


def equivalents(path: Path) -> list[Equivalent]:
    """The mutants that a week declares to be right answers, from its solutions' `equivalent.toml`.

        [[squared_distance]]
        reason = "A square has no sign."
        before = "return (a - b) ** 2"
        after = ["return (b - a) ** 2"]

    Raises CourseError where the file is not like that.
    """
    if not path.is_file():
        return []
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        return [
            Equivalent(exercise, entry["before"], after, entry["reason"])
            for exercise, entries in tables.items()
            for entry in entries
            for after in entry["after"]
        ]
    except (tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise CourseError(
            f"{path}: {type(error).__name__}: {error}: expected [[exercise]] tables with reason, before and "
            "after, a list"
        ) from None


def sort_out(found: Measured, declared: Sequence[Equivalent]) -> None:
    """Tell the survivors that are declared equivalent from the others, and stale declarations."""
    reasons = {(e.before, e.after): e.reason for e in declared if e.exercise == found.exercise}
    lost = {v.mutant.change for v in found.verdicts if not v.caught}
    every = {v.mutant.change for v in found.verdicts}
    for verdict in found.verdicts:
        if not verdict.caught:
            known = verdict.mutant.change in reasons
            (found.equivalent if known else found.survivors).append(verdict)
    for change, reason in reasons.items():
        if not reason.strip():
            found.problems.append(f"{said(change)}: declared equivalent without a reason")
        if change not in every:
            found.problems.append(f"{said(change)}: declared equivalent, but there is no such mutant")
        elif change not in lost:
            found.problems.append(f"{said(change)}: declared equivalent, but it loses points")


def said(change: tuple[str, str]) -> str:
    return " -> ".join(change)


# Right answers


def right_answers(week: Week, root: Path) -> list[Solution]:
    """The accepted answers of a week, and the implementations by others in its solutions' `oracles.py`."""
    path = root / "solutions" / week.name / "oracles.py"
    oracles = marked(load_module(path), Solution) if path.is_file() else []
    for oracle in oracles:
        week.exercise(oracle.exercise)
        unknown = sorted(set(oracle.without) - {c.name for c in week.checks_of(oracle.exercise)})
        if unknown:
            raise CourseError(
                f"{path}: {oracle.name} is without {', '.join(unknown)}, no check of {oracle.exercise}"
            )
    return [s for s in [*week.solutions, *oracles] if not s.is_mistake]


def reseeded(week: Week, number: int, most: int | None = None) -> Week:
    """The week with other examples, in a cache of their own.

    Args:
        week: the week.
        number: of the seed.
        most: how many examples a check has at most, and none made of mistakes: for a quick look.
    """
    seed = hashlib.sha256(f"quality {number}".encode()).hexdigest()[:32]
    again = replace(week, seed=seed, cache=week.cache / "quality" / str(number))
    if most is not None:
        again.checks = [replace(c, examples=min(c.examples, most)) for c in week.checks]
        again.solutions = [s for s in week.solutions if not s.is_mistake]
    return again


def judge_right(
    bench: Bench, answers: Iterable[Solution], threads: Iterable[int] = THREADS
) -> tuple[int, list[str]]:
    """How many judgements were made of right answers, and in words those that cost points."""
    count, lost = 0, []
    before = torch.get_num_threads()
    try:
        for answer in answers:
            for n in threads:
                torch.set_num_threads(n)
                count += 1
                replayer = LocalReplayer(bench.namespace(answer))
                lost += _lost(bench, answer, replayer)
    finally:
        torch.set_num_threads(before)
    return count, lost


def _lost(bench: Bench, answer: Solution, replayer: LocalReplayer) -> list[str]:
    result = bench.judge_exercise(answer.exercise, replayer, shrink=False)
    failed = [c for c in result.checks if c.verdict != results.PASSED and c.name not in answer.without]
    return [f"{answer.name} fails {c.name}: {c.message}" for c in failed[:1]]


# All of it


def measure(
    root: Path,
    week: Week,
    exercises: Sequence[Exercise],
    seeds: int = SEEDS,
    jobs: int = 2,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[Measured]:
    """Measure the checks of some exercises of a week, see the module.

    Args:
        root: the course folder.
        week: the week.
        exercises: those to measure.
        seeds: how many other corpora the right answers are judged on.
        jobs: processes at work.
        progress: told what is being done, how much of it is done, and of how much.
    """
    declared = equivalents(root / "solutions" / week.name / "equivalent.toml")
    unknown = {e.exercise for e in declared} - {e.name for e in week.exercises}
    if unknown:
        raise CourseError(
            f"equivalent.toml of {week.name}: there is no exercise {', '.join(sorted(unknown))}"
        )
    found = {e.name: Measured(e.name) for e in exercises}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:

        def each(what: str, job: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
            progress(what, 0, len(tasks))
            outcomes = pool.map(job, *zip(*((root, week.name, *t) for t in tasks), strict=True))
            for done, (task, outcome) in enumerate(zip(tasks, outcomes, strict=True), 1):
                progress(what, done, len(tasks))
                yield found[task[0]], outcome

        tasks: list[tuple[Any, ...]] = [(name,) for name in found]
        for measured, (qualified, exceptions) in each("qualifying", _qualify, tasks):
            measured.qualified = qualified
            measured.problems += exceptions
        counts = {name: len(_mutants(root, week.name, name)) for name in found}
        tasks = [
            (name, range(k, min(k + CHUNK, counts[name])))
            for name in found
            for k in range(0, counts[name], CHUNK)
        ]
        for measured, verdicts in each("mutants", _try_mutants, tasks):
            measured.verdicts += verdicts
        for measured in found.values():
            sort_out(measured, declared)
        tasks = [(name, number) for number in range(seeds) for name in found]
        for measured, (count, lost, odd) in each("right answers", _judge_right, tasks):
            right, of = measured.right
            measured.right = right + count - len(lost), of + count
            measured.problems += [*lost, *odd]
    return list(found.values())


def _begin() -> None:
    """Make a process ready: one thread, and no warnings about what mutants do."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def _qualify(root: Path, week: str, exercise: str) -> tuple[tuple[int, int], list[str]]:
    found = qualify(grading.bench(root, week).week, only=[exercise])
    good = [r.as_expected for r in found.rows] + [not c.problem for c in found.checks]
    return (sum(good), len(good)), found.exceptions


@lru_cache(maxsize=64)
def _mutants(root: Path, week: str, exercise: str) -> list[Mutant]:
    loaded = grading.bench(root, week).week
    return mutants(loaded.exercise(exercise), [e.name for e in loaded.exercises])


def _try_mutants(root: Path, week: str, exercise: str, numbers: Sequence[int]) -> list[Verdict]:
    every = _mutants(root, week, exercise)
    with grading.bounded_memory():
        return [try_mutant(grading.bench(root, week), every[i]) for i in numbers]


def _judge_right(root: Path, week: str, exercise: str, number: int) -> tuple[int, list[str], list[str]]:
    """What `judge_right` says with other examples, and the checks that leave out too many of them."""
    loaded = grading.bench(root, week).week
    answers = [s for s in right_answers(loaded, root) if s.exercise == exercise]
    bench = Bench(reseeded(loaded, number))
    count, lost = judge_right(bench, answers)
    materials = [bench.material(c) for c in bench.week.checks_of(exercise)]
    few = [m for m in materials if len(m.left_out) > MOST_LEFT_OUT * len(m.trials)]
    odd = [f"{m.check.name} leaves out {len(m.left_out)} of {len(m.trials)}" for m in few]
    seed = f"with examples of seed {number}, "
    return count, [seed + line for line in lost], [seed + line for line in odd]
