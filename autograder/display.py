"""What `check(...)` shows, and the table that grading ends with."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from markupsafe import Markup
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.pages import capital, inline, marked, number, plain, readable, remark, sentence
from autograder.pictures import picture
from autograder.results import FAILED, PASSED, CheckResult, ExerciseResult, Report
from autograder.templating import environment

# White on these colours can be read, whatever the notebook's own are.
_PASSED, _LOST, _NOTHING = (
    ("✓", "passed", "#1a7f4b"),
    ("✗", "not yet", "#c2410c"),
    ("·", "not begun", "#6b7280"),
)
# No <mark>: it has a colour of its own, which untrusted notebooks let nobody change.
_MARK, _END = (
    Markup('<strong style="background:rgba(240,130,40,.35);border-radius:3px">'),
    Markup("</strong>"),
)


def _state(result: ExerciseResult) -> tuple[str, str, str]:
    if result.status in ("untouched", "missing"):
        return _NOTHING
    return _PASSED if result.status == "passed" else _LOST


def _failed(result: ExerciseResult) -> list[CheckResult]:
    """The checks that fail, in the order in which they are worth a look; none where nothing is written."""
    return [] if _state(result) is _NOTHING else [c for c in result.checks if c.verdict == FAILED]


def _headline(result: ExerciseResult) -> str:
    if result.status == "untouched":
        return "it still ends in `raise NotImplementedError()`"
    graded = any(c.tier != "public" for c in result.checks)
    if result.status == "missing":
        return "the notebook does not define it" if graded else "it is not defined: run its cell first"
    passed = sum(c.verdict == PASSED for c in result.checks)
    return f"{passed} of {len(result.checks)} {'' if graded else 'public '}checks pass"


def _next(check: CheckResult) -> str:
    """What to do with the example of a check that fails."""
    assert check.counterexample is not None
    if not check.counterexample.expected:
        return "To see where it happens, run this in a new cell:"
    return "To find out why, run this in a new cell and follow the numbers step by step:"


def _values(check: CheckResult) -> list[tuple[str, str]]:
    """What was expected and what came, each under its title."""
    example = check.counterexample
    if example is None or example.expected in ("", example.got):  # the dtypes differ, or there is no result
        return []
    bound = re.search(r": (expected (?:at least|at most|above|below)) ", check.message)
    return [(bound[1] if bound else "expected", example.expected), ("your result", example.got)]


def exercise_html(result: ExerciseResult, score: tuple[float, float] | None = None) -> str:
    """One exercise as HTML for a notebook's output: no scripts, nothing from outside.

    Args:
        score: the points that it gets in a gradebook, and how many it could get.
    """
    symbol, word, colour = _state(result)
    points = f"; {number(score[0])} of {number(score[1])} points" if score else ""
    failed = _failed(result)
    example = failed[0].counterexample if failed else None
    message = failed[0].message if failed else ""
    values, longest = [], 0
    for title, text in _values(failed[0]) if failed else ():
        value, _, shape = text.partition("  # ")
        rows = _by_rows(_marked(value, example.where if example else ""))
        values.append((title, plain(shape, 200), rows))
        longest = max(longest, *(len(row.striptags()) for row in rows.split("\n")))
    if values and all(_MARK in value or "[" not in value for *_, value in values):
        message = message.partition(": expected ")[0]  # the numbers are there to see
    return environment().get_template("check.html.j2").render(
        name=plain(result.name, 200),
        symbol=symbol,
        word=word,
        colour=colour,
        headline=inline(_headline(result) + points),
        misconception=inline(result.misconception),
        first=inline(sentence(failed[0].title)) if failed else "",
        message=inline(capital(message)),
        values=values,
        longest=longest,
        picture=picture(example.expected, example.got, example.where) if example else "",
        next=_next(failed[0]) if example else "",
        code=plain(example.code) if example else "",
        others=[(inline(sentence(c.title)), inline(capital(c.message))) for c in failed[1:]],
        notes=[inline(capital(note)) for note in result.notes],
    )  # fmt: skip


def _marked(text: str, where: str) -> Markup:
    """A value with its first difference marked; where it is part of a structure, it may be shown alone."""
    whole = marked(text, where)
    found = whole if "<mark>" in whole else marked(text, where[where.rfind("[") :])
    return found.replace(Markup("<mark>"), _MARK).replace(Markup("</mark>"), _END)


def _by_rows(text: Markup) -> Markup:
    """A matrix on a line per row."""
    depth = len(text) - len(text.lstrip("["))
    return Markup(re.sub(r"(\]+), (\[+)", lambda m: f"{m[1]},\n{' ' * (depth - len(m[2]))}{m[2]}", text))


def exercise_text(result: ExerciseResult) -> str:
    """The same as plain text, for terminals."""
    symbol, word, _ = _state(result)
    lines = [f"{symbol} {result.name}: {word}, {_headline(result)}"]
    if result.misconception:
        lines.append(f"  What probably went wrong: {result.misconception}")
    lines += [f"  Note: {capital(note)}" for note in result.notes]
    for i, check in enumerate(_failed(result)):
        lines += [f"  ✗ {sentence(check.title)}", f"    {capital(check.message)}"]
        lines += _example_lines(check) if i == 0 else []
    return plain("\n".join(lines), 20_000)


def check_text(result: ExerciseResult, check: CheckResult) -> str:
    """One check that lost points as plain text: first what is wrong, then all that explains it."""
    lost = f"{number(check.points)} of {number(check.max_points)} points"
    lines = [remark(check) or lost, f"  ✗ {sentence(check.title)} ({lost})"]
    lines += [f"  What probably went wrong: {result.misconception}"] if result.misconception else []
    lines += [f"  Note: {capital(note)}" for note in result.notes]
    return plain("\n".join([*lines, *_example_lines(check)]), 20_000)


def _example_lines(check: CheckResult) -> list[str]:
    """What was expected and what came, and the code that shows it; nothing where there is no example."""
    if check.counterexample is None:
        return []
    values = _values(check)
    width = max((len(title) for title, _ in values), default=0)
    lines = [f"    {title:<{width}}  {readable(value)}" for title, value in values]
    return [*lines, f"    {_next(check)}", "", check.counterexample.code, ""]


def summary(reports: Sequence[Report]) -> Table:
    """A class on one screen: of each student the score and, in a few words, what happened."""
    title = Text(plain(reports[0].title, 200)) if reports else None
    table = Table(title=title, title_justify="left", pad_edge=False)
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
    lost: dict[str, dict[str, str]] = {}  # check -> exercise -> message
    for exercise in report.exercises:
        if exercise.status == "failed":
            words.append(f"{exercise.name}: {exercise.misconception or _first_loss(exercise).message}")
        elif exercise.status == "partial":
            for check in exercise.checks:
                if check.points < check.max_points:
                    lost.setdefault(check.name, {})[exercise.name] = check.message
    for check_name, messages in lost.items():
        why = f" ({next(iter(messages.values()))})" if len(messages) == 1 else ""
        words.append(f"loses {check_name} in {', '.join(messages)}{why}")
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
