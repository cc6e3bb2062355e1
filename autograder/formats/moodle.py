"""Moodle: an assignment's offline grading worksheet, downloaded there, filled in and uploaded again.

https://docs.moodle.org/en/Offline_Grading_Worksheet. Moodle finds columns by their titles, which are in the
course's language, so that all stay as they are. It drops a grade above the maximum without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from autograder.formats import is_graded
from autograder.formats.rows import remarks, telling, total
from autograder.formats.tables import Students, TableError, column, once, read, written
from autograder.results import Report
from autograder.scores import grade

GRADE, MAXIMUM, FEEDBACK = "Grade", "Maximum Grade", "Feedback comments"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


def worksheet(
    reports: Sequence[Report], sheet: str, grade_column: str = "", feedback_column: str = ""
) -> tuple[str, list[str]]:
    """The worksheet with a row for each student that was graded, and remarks for the person who uploads it.

    Grades are scaled to the assignment's maximum in Moodle. Rows of all others are left out: what is not in
    the sheet, Moodle leaves as it is.

    Args:
        reports: of one assignment, as their students may see them.
        sheet: the text of the worksheet, as downloaded.
        grade_column: its title; left out, it is the one before the maximum.
        feedback_column: the title of the column for feedback; left out, it is the English one, if there.

    Raises:
        TableError: a column is not there, or the first one is not Moodle's identifier.
    """
    header, students = read(sheet)
    if not students or not all(re.fullmatch(r"\D*\d+", row[0].strip()) for row in students):
        raise TableError(
            f"the first column, {header[0]!r}, does not identify participants by a number at its end: take "
            "the worksheet as downloaded (in the assignment: Download grading worksheet)"
        )
    at, maximum = _grades(header, students, grade_column)
    said = []
    feedback_at = column(header, feedback_column or FEEDBACK)
    if feedback_at is None:
        if feedback_column:
            raise TableError(f"there is no column {feedback_column!r}: there are {_listed(header)}")
        said.append(
            f"there is no column {FEEDBACK!r}: name yours with --feedback-column, or there is no feedback"
        )
    known = Students((i, row[1:at]) for i, row in enumerate(students))
    found = {r.student: _row(r.student, students, at, known) for r in reports}
    twice = once(found)
    said += [f"{name} is in one row with another one: left out" for name in twice]
    filled = []
    for report in reports:
        row = found[report.student]
        if not is_graded(report):
            said.append(f"{report.student} is not graded, by a fault of ours: left out")
        elif row is None:
            said.append(f"{report.student} is not in the worksheet: left out")
        elif report.student not in twice:
            cells = list(students[row])
            cells[at] = grade(report, maximum)
            if feedback_at is not None:
                cells[feedback_at] = feedback(report)
            filled.append((row, cells))
    return written(header, [cells for _, cells in sorted(filled)], feedback_at), said


def _row(student: str, students: Sequence[Sequence[str]], at: int, known: Students) -> int | None:
    """A student's row: by what it says of people, or by the number and name in Moodle's folders' names.

    These are called "Ada Lovelace_17_assignsubmission_file", or "Participant_17_..." where names are hidden.
    """
    folder = re.fullmatch(r"(.+)_(\d+)", student, re.DOTALL)
    if (row := known.find(student)) is not None or not folder:
        return row
    for i, cells in enumerate(students):
        label, number = re.fullmatch(r"(\D*)(\d+)", cells[0].strip()).groups()  # type: ignore[union-attr]
        if number == folder[2] and _letters(folder[1]) in map(_letters, (label, *cells[1:at])):
            return i
    return None


def _letters(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum())


def _grades(header: Sequence[str], students: Sequence[Sequence[str]], name: str) -> tuple[int, float | None]:
    """The column of the grades, and the maximum that stands in the one after it."""
    at = column(header, name or GRADE)
    maximum = column(header, MAXIMUM)
    if name and at is None:
        raise TableError(f"there is no column {name!r}: there are {_listed(header)}")
    if at is None:  # in another language: the maximum is the same number in all rows, the grade is before it
        same = [
            i
            for i in range(2, len(header))
            if len({row[i] for row in students}) == 1
            and _NUMBER.fullmatch(students[0][i].strip())
            and all(not row[i - 1].strip() or _NUMBER.fullmatch(row[i - 1].strip()) for row in students)
        ]
        if len(same) != 1:
            raise TableError(
                f"which column is for the grade? Name it with --grade-column; there are {_listed(header)}"
            )
        at, maximum = same[0] - 1, same[0]
    if maximum is None and at + 1 < len(header):
        maximum = at + 1
    text = students[0][maximum].strip() if maximum is not None else ""
    return at, float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else None


def _listed(header: Sequence[str]) -> str:
    return ", ".join(map(repr, header))


def feedback(report: Report) -> str:
    """What a student reads, as HTML on one line, with all signs that begin a formula as entities."""
    return "".join(_paragraphs(report))


def _paragraphs(report: Report) -> Iterator[str]:
    yield f"<p>{_html(total(report))}</p>"
    for remark in remarks(report):
        yield f"<p>{_html(remark)}</p>"
    for row in telling(report):
        yield f"<p><strong>{_html(row.name)}</strong></p>"
        if row.text:
            yield f"<pre>{_html(row.text)}</pre>"


def _html(text: str) -> str:
    text = re.sub(r"[=+\-@]", lambda m: f"&#{ord(m[0])};", escape(text))
    return text.replace("\t", "    ").replace("\n", "<br>")
