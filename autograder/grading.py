"""Grading functions and submissions: the judge put to work."""

from __future__ import annotations

import ast
import atexit
import contextlib
import copy
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from autograder import __version__, forbidden, needed
from autograder.course import CONFIG, Course, checks_key
from autograder.exercises import Exercise
from autograder.judge import Bench
from autograder.pages import plain
from autograder.results import PASSED, CellProblem, ExerciseResult, Report
from autograder.similarity import fingerprints
from autograder.store import fingerprint, source_of
from autograder.trials import LocalReplayer
from autograder.workers import InProcess, Lost, Processes, Workers

if TYPE_CHECKING:
    from autograder.collect import Entry
    from autograder.confinement import Level
    from autograder.guests import Limits, Zygote
    from autograder.replay import Sitting
    from autograder.submissions import Submission

Execute = Literal["needed", "all"]

TIERS_UP_TO = {"public": ("public",), "hidden": ("public", "hidden")}


@lru_cache(maxsize=32)
def bench(root: Path, week: str) -> Bench:
    """The bench of a week, made once per process."""
    return Bench(Course.load(root).week(week))


def grade_function(
    week: str,
    exercise: str,
    function: Callable[..., Any],
    tier: str = "hidden",
    course: Path | str | None = None,
) -> ExerciseResult:
    """Judge a function (or class) in this process: for authors of exercises, not for students' code.

    Args:
        week: the week's name, such as "week07_vae".
        exercise: the exercise that the function answers.
        function: the answer; the exercise's other functions are the references.
        tier: "public" for the checks that students have, "hidden" for these and the instructor's.
        course: the course folder; by default the one around the working directory.

    Returns:
        the exercise's result, with `score`, `max_score` and `checks`.
    """
    if tier not in TIERS_UP_TO:
        raise ValueError(f"tier {tier!r} is not one of {', '.join(TIERS_UP_TO)}")
    found = Course.find(course)
    ready = bench(found.root, found.resolve(week))
    ready.week.exercise(exercise)
    namespace = {**ready.week.references, exercise: function}
    return ready.judge_exercise(exercise, LocalReplayer(namespace), TIERS_UP_TO[tier])


@dataclass(frozen=True)
class Staged:
    """A sitting whose cells are not the submission's alone: `places` says where these stand among them."""

    sitting: Sitting
    places: Sequence[int]


def grade_submission(
    ready: Bench,
    submission: Submission,
    zygote: Zygote,
    tier: str = "hidden",
    limits: Limits | None = None,
    progress: Callable[[str], None] = lambda exercise: None,
    staged: Staged | None = None,
    kept: Mapping[str, ExerciseResult] | None = None,
    execute: Execute = "needed",
) -> Report:
    """Run one submission's notebook in guests and judge its functions. Never raises: a fault is a report too.

    Args:
        ready: the week's bench.
        submission: what the student handed in.
        zygote: makes the guests.
        tier: "public" or "hidden", which includes the public checks.
        limits: of each guest; the zygote's if left out.
        progress: told each exercise's name before it is judged.
        staged: a sitting to use, which stays open; by default one is made of the submission's cells.
        kept: results of exercises that still hold, by name: these are not judged again.
        execute: "all" to run every cell; "needed" to run first only what the functions depend on, and every
            cell before a mark is lost. A staged sitting is used as it is.
    """
    # Prepares what all submissions share.
    report = _empty_report(ready, submission, zygote.level, tier, limits or zygote.limits)
    begun = time.perf_counter()
    if submission.problems:
        report.status = "unreadable"
        report.problems = list(submission.problems)
        return report
    examined = examination(ready, submission, zygote, tier, limits, staged, kept, execute)
    try:
        examined.sitting.guest()
        report.times["notebook"] = round(time.perf_counter() - begun, 3)
        with bounded_memory():
            for i, exercise in enumerate(ready.week.exercises):
                progress(exercise.name)
                report.exercises[i] = examined.judged(exercise.name)
            report.exercises = [examined.result(e.name) for e in ready.week.exercises]
        codes = fingerprints([c.source for c in submission.code], ready.functions)
        for result in report.exercises:
            result.code = codes.get(result.name, "") if result.status != "untouched" else ""
            result.key = _key(ready, result.name)
        report.cells = cell_problems(examined.sitting, examined.places)
        report.executed = examined.executed
    except Exception as error:
        _fault(report, f"{type(error).__name__}: {error}")
    finally:
        if staged is None:
            examined.sitting.close()
    if any(e.status == "fault" for e in report.exercises):
        report.status = "fault"
    report.score = sum(e.score for e in report.exercises)
    report.times["total"] = round(time.perf_counter() - begun, 3)
    report.times["guest_cpu"] = round(examined.cpu_seconds, 3)
    return report


def ungraded(ready: Bench, submission: Submission, level: Level, tier: str, reason: str) -> Report:
    """The report of a submission that could not be judged, by our fault."""
    report = _empty_report(ready, submission, level, tier)
    _fault(report, reason)
    return report


WRONG = ("failed", "partial")


@dataclass
class Examination:
    """A submission judged an exercise at a time; `places` says where its cells stand in the sitting.

    If there is a `whole` sitting, then `sitting` runs only what is needed, and `whole` takes its place before
    a mark is lost.
    """

    ready: Bench
    submission: Submission
    sitting: Sitting
    places: Sequence[int]
    tiers: tuple[str, ...]
    kept: Mapping[str, ExerciseResult]  # results that still hold
    whole: Sitting | None = None
    _judged: dict[str, ExerciseResult] = field(default_factory=dict)
    _cpu_before: float = 0.0

    @property
    def executed(self) -> Execute:
        """Which of the cells' statements have been run."""
        return "needed" if self.whole else "all"

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of all guests that have ended."""
        return self._cpu_before + self.sitting.cpu_seconds

    def judged(self, name: str) -> ExerciseResult:
        """What comes out against the references alone."""
        if name in self.kept:
            return self.kept[name]
        if name not in self._judged:
            if self.whole and self._stumbles():
                self._begin_again(self.whole)
            self.sitting.begin()
            result = self.ready.judge_exercise(name, self.sitting, self.tiers, shrink=not self.whole)
            if self.whole and any(check.verdict != PASSED for check in result.checks):
                self._begin_again(self.whole)
                return self.judged(name)
            self._judged[name] = result
        return self._judged[name]

    def _stumbles(self) -> bool:
        """A cell does not run to its end, which may be for what was left out."""
        self.sitting.guest()
        return any(problem.name != "Refused" for problem in cell_problems(self.sitting, self.places))

    def _begin_again(self, whole: Sitting) -> None:
        """Run all cells, and judge what has been judged once more when it is asked for."""
        self.sitting.close()
        self._cpu_before = self.sitting.cpu_seconds
        self.sitting, self.whole = whole, None
        self._judged.clear()

    def result(self, name: str) -> ExerciseResult:
        """What counts: judged again if it calls the student's own wrong answers to earlier exercises."""
        from autograder.replay import OneByOne

        if name in self.kept:
            return self.kept[name]
        exercise = self.ready.week.exercise(name)
        result = self.judged(name)
        if result.status in WRONG and self.ready.can_shrink:
            # Wrong is also what will be excused: what calls it has its answers to go by.
            earlier = [n for n in exercise.uses if n in self.ready.functions]
            broken = [n for n in earlier if self.judged(n).status in WRONG]
            if broken:
                self.sitting.begin()
                result = self.ready.excuse(result, OneByOne(self.sitting), broken, self.tiers)
        result = copy.deepcopy(result)
        _forbid(exercise, result, self.submission)
        if result.status == "missing":
            cells = cell_problems(self.sitting, self.places)
            _explain_missing(result, self.ready.functions, self.submission, cells)
        return result


def examination(
    ready: Bench,
    submission: Submission,
    zygote: Zygote,
    tier: str = "hidden",
    limits: Limits | None = None,
    staged: Staged | None = None,
    kept: Mapping[str, ExerciseResult] | None = None,
    execute: Execute = "needed",
) -> Examination:
    """An examination of what `grade_submission` takes; the caller closes its sitting if it is not staged."""
    from autograder.replay import Sitting

    def sitting(sources: Sequence[str]) -> Sitting:
        cells = [{"source": s, "id": c.id} for s, c in zip(sources, submission.code, strict=True)]
        return Sitting(zygote, cells, limits or zygote.limits)

    tiers, kept = TIERS_UP_TO[tier], kept or {}
    if staged is not None:
        return Examination(ready, submission, staged.sitting, staged.places, tiers, kept)
    sources = [c.source for c in submission.code]
    less = needed.cut(sources, ready.functions) if execute == "needed" else None
    whole = sitting(sources)
    if less is None or less == sources:
        return Examination(ready, submission, whole, range(len(sources)), tiers, kept)
    return Examination(ready, submission, sitting(less), range(len(sources)), tiers, kept, whole)


def _fault(report: Report, reason: str) -> None:
    report.status = "fault"
    report.problems.append(f"a fault of the grader, not of the submission: {reason}")


def _empty_report(
    ready: Bench, submission: Submission, level: Level, tier: str, limits: Limits | None = None
) -> Report:
    week, tiers = ready.week, TIERS_UP_TO[tier]
    exercises = [
        ExerciseResult(e.name, 0, week.max_points(e.name, tiers), status="failed", key=_key(ready, e.name))
        for e in week.exercises
    ]
    return Report(
        assignment=week.name,
        title=week.title,
        student=submission.id,
        score=0,
        max_score=sum(e.max_score for e in exercises),
        exercises=exercises,
        submission={"file": submission.path.name, "digest": submission.digest},
        tiers=list(tiers),
        confinement={"box": level.box, "seal": level.seal},
        corpus=ready.corpus_id(tiers),
        versions=versions(ready),
        key=submission_key(submission, tier, limits, level) if limits else "",
    )


def versions(ready: Bench) -> dict[str, str]:
    """Of the programs that decide about marks, and of the course's checks."""
    found = {"autograder": __version__, "python": platform.python_version(), "torch": torch.__version__}
    root = ready.week.folder.parent.parent
    if ready.can_shrink:  # from a course, not from a bundle
        found["checks"] = checks_key(str(root), ready.week.name)
    return found


@contextlib.contextmanager
def bounded_memory(room: int = 2 << 30) -> Iterator[None]:
    """Have what would take more than `room` bytes of new memory fail.

    Checks compute with students' answers: a small row plus a small column can make a huge matrix.
    """
    try:
        import resource

        before = resource.getrlimit(resource.RLIMIT_AS)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):  # not on Linux
        yield
        return
    soft, hard = (n if n != resource.RLIM_INFINITY else sys.maxsize for n in before)
    resource.setrlimit(resource.RLIMIT_AS, (min(used + room, soft, hard), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


MOST_PROBLEMS = 20  # that a report lists; who makes more has made them up
MOST_PROBLEMS_OF_A_CELL = 3


def cell_problems(sitting: Sitting, places: Sequence[int]) -> list[CellProblem]:
    """The cells in these places of a sitting that did not run to their end; the first of too many."""
    problems: list[CellProblem] = []
    for i, place in enumerate(places):
        result = sitting.results[place] if place < len(sitting.results) else None
        if place in sitting.fatal:
            death = sitting.fatal[place]
            what = "it and all cells after it were" if place == sitting.end else "the cell was"
            rest = "those before it" if place == sitting.end else "the others"
            message = f"{death.detail}; {what} left out and {rest} were run in a fresh process"
            problems.append(CellProblem(i + 1, death.kind, message))
        errors = [o for o in (result or {}).get("outputs", ()) if o["output_type"] == "error"]
        for output in errors[:MOST_PROBLEMS_OF_A_CELL]:
            text = plain("\n".join(output["traceback"])[-50_000:])[-8000:]
            problems.append(
                CellProblem(i + 1, plain(output["ename"], 200), plain(output["evalue"], 2000), text)
            )
    return problems[:MOST_PROBLEMS]


def _forbid(exercise: Exercise, result: ExerciseResult, submission: Submission) -> None:
    """Say if an answer uses what it may not, and take the points where that is binding."""
    sources = [c.source for c in submission.code]
    found = forbidden.uses(sources, exercise.name, exercise.forbids) if exercise.forbids else []
    result.notes += forbidden.remarks(found, exercise.forbids)
    if result.score and any(exercise.forbids[use.name] == "binding" for use in found):
        result.score, result.status = 0, "failed"
        for check in result.checks:
            if check.points:
                check.points = 0
                check.message = "passed, but it counts only without what this exercise forbids"


def _explain_missing(
    result: ExerciseResult, names: Sequence[str], submission: Submission, cells: Sequence[CellProblem]
) -> None:
    """Say of a missing function what kept its cell from defining it, or what the cell defines instead."""
    own = [c.source for c in submission.code if c.grade_id == result.name]
    others = [name for source in own for name in _defined(source) if name not in names]
    broken = [c for c in cells if c.name != "NotImplementedError" and c.message]
    if others:
        result.notes.append(f"its cell defines {', '.join(others)} instead: the name must be {result.name}")
    elif broken:
        said = "; ".join(f"code cell {c.cell} ({c.name}: {c.message.splitlines()[0]})" for c in broken[:3])
        result.notes.append(f"cells that did not run to their end: {said}")


def _defined(source: str) -> list[str]:
    """The functions and classes that a cell defines."""
    tree = forbidden.parsed(source)
    body = tree.body if tree else []
    return [node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]


@dataclass(frozen=True)
class Task:
    """A submission to grade, with all that a worker has to know; `kept` are results that still hold."""

    root: Path
    week: str
    submission: Submission
    tier: str = "hidden"
    limits: Limits | None = None
    level: Level | None = None
    execute: Execute = "needed"
    kept: Mapping[str, ExerciseResult] | None = None


def grade_one(task: Task) -> Report:
    """Grade a submission with this process' own bench and zygote."""
    from autograder.guests import ZygoteFailed, settle

    ready = bench(task.root, task.week)
    secrets = secret_files(task.root, task.week)
    level = task.level or settle(secrets).level
    try:
        zygote = own_zygote(level, secrets)
    except ZygoteFailed as error:
        return ungraded(ready, task.submission, level, task.tier, f"{type(error).__name__}: {error}")
    return grade_submission(
        ready, task.submission, zygote, task.tier, task.limits, kept=task.kept, execute=task.execute
    )


@lru_cache(maxsize=1)
def own_zygote(level: Level | None = None, secrets: tuple[Path, ...] = ()) -> Zygote:
    """The zygote of this process, made once.

    Args:
        level: how guests are confined; the best that holds on this machine if left out.
        secrets: files that no guest may read.
    """
    from autograder.guests import Zygote

    zygote = Zygote(level=level, secrets=secrets)
    atexit.register(zygote.close)
    return zygote


def secret_files(root: Path, week: str) -> tuple[Path, ...]:
    """What no guest may read of a course: its seed, a week's checks, known answers and references."""
    folders = (root / "assignments" / week, root / "solutions" / week, root / "reference_impl")
    found = (path for folder in folders for kind in ("*.py", "*.toml") for path in sorted(folder.glob(kind)))
    return (root / CONFIG, *found)


def grade_all(
    root: Path,
    week: str,
    submissions: Sequence[Entry],
    tier: str = "hidden",
    limits: Limits | None = None,
    jobs: int = 1,
    level: Level | None = None,
    execute: Execute = "needed",
    old: Mapping[str, Report] | None = None,
    again: Collection[str] = (),
    workers: Workers | None = None,
) -> Iterator[Report]:
    """Grade submissions, each in guests of its own; reports come as they are ready.

    Submissions with the same cells are judged once.

    Args:
        root: the course folder.
        week: the assignment's full name.
        submissions: whose they are, and where, as `collect.find_submissions` finds them.
        tier: "public" or "hidden".
        limits: of each guest.
        jobs: how many judges, each a process with a zygote.
        level: how guests are confined; the best that holds on this machine if left out.
        execute: as for `grade_submission`.
        old: earlier reports by student; what of them still holds comes back as it is.
        again: exercises that are judged again in any case.
        workers: who grades, instead of `jobs` processes; ready to begin.
    """
    from autograder.guests import Limits, settle
    from autograder.submissions import read_submission

    level = level or settle(secret_files(root, week)).level
    limits = limits or Limits()
    ready = bench(root, week)
    alike: dict[str, list[Entry]] = {}
    kept: dict[str, dict[str, ExerciseResult]] = {}
    for entry in submissions:
        submission = read_submission(entry.path, week, entry.student, entry.problem)
        key = submission_key(submission, tier, limits, level)
        report = (old or {}).get(entry.student)
        results = holding(ready, report, key, again, execute)
        if report is not None and len(results) == len(ready.functions):
            yield report
            continue
        alike.setdefault(key, []).append(entry)
        kept.setdefault(key, {}).update(results)

    def tasks() -> Iterator[Task]:
        for key, (entry, *_) in alike.items():
            submission = read_submission(entry.path, week, entry.student, entry.problem)
            yield Task(root, week, submission, tier, limits, level, execute, kept[key])

    jobs = min(jobs, len(alike))
    with contextlib.ExitStack() as stack:
        if workers is None:
            workers = stack.enter_context(Processes(jobs) if jobs > 1 else InProcess())
            if jobs > 1:
                prepare_all(ready, root, tier, workers)
        for task, result in workers.each(grade_one, tasks()):
            if isinstance(result, Lost):
                result = ungraded(ready, task.submission, level, tier, result.reason)
            yield result
            for entry in alike[submission_key(task.submission, tier, limits, level)][1:]:
                file = {**result.submission, "file": entry.path.name}
                yield replace(result, student=entry.student, submission=file, times={})


def submission_key(submission: Submission, tier: str, limits: Limits, level: Level) -> str:
    """A fingerprint of what decides about marks besides the course: the submission, how it is run, us."""
    cells = [asdict(cell) for cell in submission.code]
    how = [tier, asdict(limits), level.box, level.seal]
    return fingerprint(json.dumps([cells, submission.problems, how]), engine_key())


def holding(
    ready: Bench, report: Report | None, key: str, again: Collection[str] = (), execute: Execute = "all"
) -> dict[str, ExerciseResult]:
    """The results in an earlier report that would come out again, by exercise, but for those in `again`."""
    if report is None or not key or report.key != key or report.status == "fault":
        return {}
    if report.executed != "all" and execute == "all":
        return {}
    return {
        e.name: e for e in report.exercises if e.key and e.key == _key(ready, e.name) and e.name not in again
    }


def _key(ready: Bench, exercise: str) -> str:
    """The exercise's key, or nothing where there is no course but recorded answers."""
    return ready.week.key(exercise) if ready.can_shrink and exercise in ready.functions else ""


@cache
def engine_key() -> str:
    """A fingerprint of this package and of what it stands on."""
    versions = (
        __version__,
        platform.python_version(),
        torch.__version__,
        importlib.metadata.version("ipython"),
    )
    return fingerprint(source_of(sorted(Path(__file__).parent.rglob("*.py"))), *versions)


def prepare_all(ready: Bench, root: Path, tier: str, workers: Workers) -> None:
    """Put all examples and tolerances of a week into the course's cache, an exercise at a time."""
    list(workers.each(prepare, [(root, ready.week.name, name, tier) for name in ready.functions]))


def prepare(what: tuple[Path, str, str, str]) -> None:
    """Put an exercise's examples and tolerances into the course's cache: root, week, exercise and tier."""
    root, week, exercise, tier = what
    ready = bench(root, week)
    for check in ready.week.checks_of(exercise, TIERS_UP_TO[tier]):
        ready.material(check)
