"""GitHub Actions: a job's summary, annotations, and the step output that GitHub's grading reporter reads.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions and
https://github.com/classroom-resources/autograding-grading-reporter
"""

from __future__ import annotations

import base64
import json
import re
import string
from collections.abc import Iterator

from autograder.formats import is_graded
from autograder.formats.rows import ADVISORY, Row, lost, remarks, rows, telling, total
from autograder.pages import STATUSES, SYMBOLS, capital, number, plain, status
from autograder.results import FAILED, FAULT, PASSED, ExerciseResult, Report

MOST_SUMMARY = 1 << 20  # bytes; GitHub drops what is longer
MOST_ANNOTATIONS = 10  # of a kind that GitHub shows of a step
_ENOUGH = MOST_SUMMARY - (1 << 16)
_STATUSES = {PASSED: "pass", FAILED: "fail", FAULT: "error"}


def summary(report: Report, advisory: bool = False) -> str:
    """Markdown for `$GITHUB_STEP_SUMMARY`, below its limit.

    Args:
        report: as its student may see it.
        advisory: say that this is no grade.
    """
    parts = [f"## {_markdown(report.title)}\n", f"**{_capital(total(report))}**\n"]
    if advisory:
        parts.append(f"> {_markdown(ADVISORY)}\n")
    parts += [f"- {_markdown(remark)}" for remark in remarks(report)]
    exercises = report.exercises if report.status == "graded" else [e for e in report.exercises if e.checks]
    if exercises:
        parts += ["\n| | exercise | points |", "|---|---|---|"]
        parts += [_line(exercise) for exercise in exercises]
    by_exercise: dict[str, list[Row]] = {}
    for row in telling(report):
        by_exercise.setdefault(row.number.partition(".")[0], []).append(row)
    size = len("\n".join(parts).encode())
    for i, exercise in enumerate(report.exercises, 1):
        section = "\n".join(_section(exercise, by_exercise.get(str(i), [])))
        size += len(section.encode()) + 1
        if size > _ENOUGH:
            parts.append("\nThere is more in the job's report, but not room for it here.")
            break
        parts.append(section)
    return "\n".join(filter(None, parts)) + "\n"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _line(exercise: ExerciseResult) -> str:
    kind = status(exercise)
    points = "not graded" if kind == FAULT else f"{number(exercise.score)} / {number(exercise.max_score)}"
    return f"| {SYMBOLS[kind]} | <code>{_entities(plain(exercise.name, 200))}</code> | {points} |"


def _section(exercise: ExerciseResult, its_rows: list[Row]) -> Iterator[str]:
    """What is to be said of one exercise."""
    if not its_rows and not exercise.notes:
        return
    yield f"\n### <code>{_entities(plain(exercise.name, 200))}</code>\n"
    if not its_rows:
        yield from (f"- {_markdown(capital(note))}" for note in exercise.notes)
    for row in its_rows:
        verdict = "not graded: " if row.verdict == FAULT else ""
        yield f"- **{verdict}{_markdown(row.title)}**"
        before, found, example = row.text.partition("On this input:\n")
        for line in filter(str.strip, before.split("\n")):
            yield f"  <br>{_markdown(line)}"
        if found:
            yield "\n  " + "\n  ".join(["On this input:\n", *_fenced(example, "python")])


def _fenced(code: str, language: str) -> list[str]:
    """A block of code whose fence is longer than any row of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return [f"{fence}{language}", *code.split("\n"), fence]


# All but what means nothing where it stands: the full stop and colon of prose, not those of links and lists.
_SIGNS = "".join(c for c in string.punctuation if c not in ",;?'\".:")
_PUNCTUATION = re.compile(rf"[{re.escape(_SIGNS)}]|(?<![^\W\d_])\.|\.(?=\w)|:(?!\s|$)")


def _entities(text: str) -> str:
    """Text in which Markdown and HTML find nothing: what could mean something as entities, on one line."""
    return _PUNCTUATION.sub(lambda m: f"&#{ord(m[0])};", " ".join(text.split()))


def _markdown(text: str) -> str:
    """A sentence in which only what stands between backticks is marked, as code."""
    pieces = re.split("`([^`\n]+)`", plain(text, 4000))
    return "".join(f"<code>{_entities(p)}</code>" if i % 2 else _spaced(p) for i, p in enumerate(pieces))


def _spaced(text: str) -> str:
    """Prose between code keeps the blanks at its ends."""
    middle = _entities(text)
    return (" " if text[:1].isspace() else "") + middle + (" " if middle and text[-1:].isspace() else "")


def commands(report: Report, file: str = "", advisory: bool = False) -> str:
    """Workflow commands, a line each: an error for each exercise that lost points, to be printed by the job.

    Args:
        report: as its student may see it.
        file: the notebook's path in the repository.
        advisory: annotate with warnings.
    """
    kind = "warning" if advisory else "error"
    found = []
    where = {"file": plain(file, 500)} if file else {}
    by_exercise = rows(report)
    for i, exercise in enumerate(report.exercises, 1):
        texts = [row.text for row in by_exercise if row.number.partition(".")[0] == str(i) and row.text]
        if not lost(exercise) or report.status != "graded":
            continue
        texts.append(STATUSES[status(exercise)])
        score = f"{number(exercise.score)} of {number(exercise.max_score)} points"
        title = f"{plain(exercise.name, 200)}: {score}"
        found.append(command(kind, texts[0].partition("\nOn this input:\n")[0], title=title, **where))
    if report.status != "graded":
        title = "Not graded, by a fault of ours" if report.status == FAULT else "The submission can't be read"
        found = [command("error", "\n".join(remarks(report)) or title, title=title, **where)]
    if len(found) > MOST_ANNOTATIONS:
        left = len(found) - MOST_ANNOTATIONS + 1
        found = found[: MOST_ANNOTATIONS - 1]
        found.append(command(kind, f"{left} more exercises lost points: see the summary", **where))
    return "".join(f"{line}\n" for line in found)


def command(name: str, message: str, **properties: str) -> str:
    """A workflow command: `::error file=a.ipynb::message`, with what has a meaning there escaped."""
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' if listed else ''}{listed}::{_data(message)}"


def _data(text: str) -> str:
    return plain(text, 4000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def grading_result(report: Report) -> str:
    """The step output `result` for the grading reporter: JSON in Base64.

    A fault of ours has the status `error` and no points to win, so that no score is reported.
    """
    fault = not is_graded(report)
    tests = [
        {
            "name": row.name,
            "status": _STATUSES[row.verdict] if row.points >= row.max_points else "fail",
            "score": row.points,
            "message": row.text,
        }
        for row in rows(report)
        if row.verdict in (PASSED, FAILED)
    ]
    if fault:
        message = "\n".join(remarks(report)) or "not graded, by a fault of ours"
        tests = [{"name": "grading", "status": "error", "message": message}]
    whole = not fault and report.status == "graded" and report.score >= report.max_score
    data = {
        "version": 1,
        "status": "error" if fault else "pass" if whole else "fail",
        "max_score": 0 if fault else report.max_score,
        "tests": tests,
    }
    return base64.b64encode(json.dumps(data, ensure_ascii=True).encode()).decode()
