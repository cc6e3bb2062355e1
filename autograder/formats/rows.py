"""A report as lines of a table: one for each check, as most formats have one for each test."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autograder.formats import is_graded
from autograder.pages import capital, complaint, number, plain, remark, sentence, status, unconfined
from autograder.results import FAILED, FAULT, PASSED, SKIPPED, CheckResult, ExerciseResult, Report
from autograder.reveal import is_hidden

ADVISORY = (
    "These are the public checks, run where you can change everything: they advise you and grade nothing. "
    "The grade also counts checks that you don't have."
)


@dataclass(frozen=True)
class Row:
    """One check, or an exercise or submission of which no check was run. Texts are plain, but not escaped."""

    number: str  # of exercise and check, such as "2.1"
    exercise: str
    title: str
    verdict: str  # as in results.CheckResult
    points: float
    max_points: float
    text: str  # why it did not pass, in lines; empty if there is nothing to say
    hidden: bool = False
    tier: str = ""

    @property
    def name(self) -> str:
        return f"{self.exercise}: {self.title}" if self.exercise else self.title


def rows(report: Report, apart: bool = False) -> list[Row]:
    """The checks of a report, in their order; skipped ones have no points to win.

    Args:
        apart: hidden checks may be shown later than public ones, or never: each kind says all by itself.
    """
    found: list[Row] = []
    for i, exercise in enumerate(report.exercises, 1):
        name = plain(exercise.name, 200)
        told: dict[bool, set[str]] = {True: set(), False: set()}
        for j, check in enumerate(exercise.checks, 1):
            hidden = is_hidden(check)
            text = "\n".join(_why(exercise, check, told[apart and hidden]))
            most = check.max_points if check.verdict in (PASSED, FAILED) else 0.0
            place, title, points = f"{i}.{j}", sentence(check.title), check.points
            found.append(Row(place, name, title, check.verdict, points, most, text, hidden, check.tier))
        if not exercise.checks and report.status != FAULT:
            verdict = {"passed": PASSED, "fault": FAULT}.get(status(exercise), FAILED)
            text = "\n".join(capital(plain(note, 2000)) for note in exercise.notes)
            title = "all of its checks"
            most = exercise.max_score if verdict != FAULT else 0.0
            found.append(Row(f"{i}", name, title, verdict, exercise.score, most, text))
    if report.status != "graded":
        fault = report.status == FAULT
        title = "The submission is graded." if fault else "The submission can be read."
        text = "\n".join(capital(plain(p, 2000)) for p in report.problems)
        found.insert(0, Row("0", "", title, FAULT if fault else FAILED, 0.0, 0.0, text))
    return found


def telling(report: Report) -> list[Row]:
    """The rows that people want to read: what was lost or failed by our fault; one of what is not there."""
    absent = {plain(e.name, 200) for e in report.exercises if status(e) in ("untouched", "missing")}
    found: list[Row] = []
    for row in rows(report):
        if not row.exercise or row.verdict == SKIPPED or (row.verdict == PASSED and not row.text):
            continue
        if row.exercise not in absent or row.exercise not in {other.exercise for other in found}:
            found.append(row)
    return found


def _why(exercise: ExerciseResult, check: CheckResult, told: set[str]) -> Iterator[str]:
    """Why a check gave less than it could; what is true of several checks stands at the first."""
    if check.verdict == PASSED and check.points == check.max_points:
        return
    general = [f"What probably went wrong: {exercise.misconception}"] if exercise.misconception else []
    if check.verdict == FAILED:
        yield from (capital(plain(line, 2000)) for line in _new([*general, *exercise.notes], told))
    if message := plain(remark(check), 2000):
        yield message
    example = check.counterexample
    if example and list(_new([example.code], told)):
        yield f"On this input:\n{plain(example.code, 4000)}"
        if example.expected:
            yield f"expected: {plain(example.expected, 2000)}"
        yield f"got: {plain(example.got, 2000)}"


def _new(lines: Iterable[str], told: set[str]) -> Iterator[str]:
    """What was not told yet; now it is."""
    for line in lines:
        if line not in told:
            told.add(line)
            yield line


def total(report: Report) -> str:
    """The score in words."""
    if not is_graded(report):
        return "not graded, by a fault of ours"
    return f"{number(report.score)} of {number(report.max_score)} points"


def remarks(report: Report) -> list[str]:
    """What is to be said of the whole submission, in sentences."""
    said = [capital(plain(problem, 2000)) for problem in report.problems]
    for cell in report.cells:
        said.append(f"Code cell {cell.cell} did not run to its end: {plain(complaint(cell), 2000)}")
    if unconfined(report) and any(tier != "public" for tier in report.tiers):
        said.append("The code ran without confinement: it could have written its own grade.")
    return said


def lost(exercise: ExerciseResult) -> bool:
    """Whether an exercise gave less than it could, by its answer."""
    return status(exercise) != FAULT and exercise.score < exercise.max_score
