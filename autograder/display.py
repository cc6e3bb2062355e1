"""What `check(...)` shows, and the table that grading ends with."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.pages import number, plain
from autograder.results import FAILED, PASSED, CheckResult, ExerciseResult, Report
from autograder.templating import environment

_PASSED, _LOST, _NOTHING = (
    ("✓", "passed", "#1a7f4b"),
    ("✗", "not yet", "#c2410c"),
    ("·", "not begun", "#6b7280"),
)


def _state(result: ExerciseResult) -> tuple[str, str, str]:
    if result.status in ("untouched", "missing"):
        return _NOTHING
    return _PASSED if result.status == "passed" else _LOST


def exercise_html(result: ExerciseResult) -> str:
    """One exercise as HTML for a notebook's output: no scripts, nothing from outside."""
    symbol, word, colour = _state(result)
    failed = [c for c in result.checks if c.verdict == FAILED]
    return environment().get_template("check.html.j2").render(
        result=result,
        symbol=symbol,
        word=word,
        colour=colour,
        passed=sum(c.verdict == PASSED for c in result.checks),
        failed=failed,
        shown=[c.counterexample for c in failed],
    )  # fmt: skip


def exercise_text(result: ExerciseResult) -> str:
    """The same as plain text, for terminals."""
    symbol, word, _ = _state(result)
    passed = sum(c.verdict == PASSED for c in result.checks)
    lines = [f"{symbol} {result.name}: {word}, {passed} of {len(result.checks)} public checks pass"]
    if result.misconception:
        lines.append(f"  What probably went wrong: {result.misconception}")
    lines += [f"  Note: {note}" for note in result.notes]
    shown = []
    for check in result.checks:
        if check.verdict != FAILED:
            continue
        lines += [f"  ✗ {check.title}", f"    {check.message}"]
        example = check.counterexample
        if example and example not in shown:
            shown.append(example)
            lines += ["    The smallest example, to paste:", "", example.code, ""]
            lines += [f"    expected     {example.expected}"] if example.expected else []
            lines += [f"    your result  {example.got}"]
            lines += [f"    first difference at {example.where}"] if example.where else []
    return plain("\n".join(lines), 20_000)


def summary(reports: Sequence[Report]) -> Table:
    """A class on one screen: of each student the score and, in a few words, what happened."""
    table = Table(title=f"{reports[0].title}" if reports else None, title_justify="left", pad_edge=False)
    table.add_column("student", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("what happened")
    for report in reports:
        style = "" if report.status == "graded" else "yellow"
        score = (
            f"{number(report.score)} / {number(report.max_score)}"
            if report.status == "graded"
            else report.status
        )
        table.add_row(Text(plain(report.student, 60)), score, Text(what_happened(report)), style=style)
    return table


def what_happened(report: Report) -> str:
    """A report in a few words."""
    if report.status != "graded":
        return plain("; ".join(report.problems) or report.status, 300)
    if report.score == report.max_score:
        return "full marks"
    words = []
    for status in ("untouched", "missing"):
        names = [e.name for e in report.exercises if e.status == status]
        if names:
            what = "not written" if status == "untouched" else "missing"
            words.append(
                f"{what}: {', '.join(names) if len(names) < len(report.exercises) else 'everything'}"
            )
    lost: dict[str, list[str]] = {}
    for exercise in report.exercises:
        if exercise.status == "failed":
            words.append(f"{exercise.name}: {exercise.misconception or _first_loss(exercise).message}")
        elif exercise.status == "partial":
            for check in exercise.checks:
                if check.points < check.max_points:
                    lost.setdefault(check.name, []).append(exercise.name)
    words += [f"loses {check} in {', '.join(names)}" for check, names in lost.items()]
    words += dict.fromkeys(note for exercise in report.exercises for note in exercise.notes)
    broken = [cell for cell in report.cells if cell.name != "NotImplementedError"]
    if broken:
        words.append(f"code cell {broken[0].cell} did not run to its end ({broken[0].name})")
    return plain("; ".join(words), 500)


def _first_loss(exercise: ExerciseResult) -> CheckResult:
    return next(c for c in exercise.checks if c.points < c.max_points)


def to_text(table: Table, width: int = 120) -> str:
    """A rich table as plain text."""
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(table)
    return buffer.getvalue()
