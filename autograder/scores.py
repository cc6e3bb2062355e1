"""The scores of a class as a table for spreadsheets."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from autograder.pages import judged, plain, status
from autograder.results import FAULT, Report

COLUMNS = ("student", "assignment", "score", "max", "status")

# What a spreadsheet takes for a formula: behind blanks and quotes, in full width, and after other separators
# than ours, too (OWASP, "CSV Injection").
_FORMULA = re.compile(r"""(^|[,;|\t\n])(?=[\s"']*[=+\-@\uff1d\uff0b\uff0d\uff20])""")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def escaped(text: str) -> str:
    """Text for a cell of a CSV file: an apostrophe stands before what would be calculated; numbers stay."""
    text = plain(text, 1000).strip()
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub(r"\1'", text)


def write(path: Path, reports: Sequence[Report]) -> None:
    """Write a row per report, in UTF-8, with a column per exercise; what we failed to grade is left empty."""
    reports = sorted(reports, key=lambda r: (r.assignment, r.student.casefold(), r.student))
    exercises = list(dict.fromkeys(e.name for r in reports for e in r.exercises))
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*COLUMNS, *map(escaped, exercises)])
        for report in reports:
            total = grade(report)
            scores = {e.name: _number(e.score) for e in judged(report) if status(e) != FAULT}
            table.writerow(
                [
                    *map(escaped, (report.student, report.assignment)),
                    *(total, _number(report.max_score), escaped(report.status)),
                    *(scores.get(name, "") for name in exercises),
                ]
            )


def grade(report: Report, most: float | None = None) -> str:
    """The score as text, in parts of `most` points if that is given; empty for what we failed to grade."""
    if report.status == FAULT:
        return ""
    scale = most / report.max_score if most is not None and report.max_score else 1
    return _number(report.score * scale)


def _number(value: float) -> str:
    """A score to four places: 3, 14.5, 0.3333."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
