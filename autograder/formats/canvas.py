"""Canvas: the table that its gradebook imports.

Its guide is called "How do I import grades in the Gradebook?". An empty cell changes nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from autograder.formats import is_graded
from autograder.formats.tables import Students, TableError, column, once, read, written
from autograder.results import Report
from autograder.scores import grade

COLUMNS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
# In a download of submissions, files are called lovelaceada_LATE_12345_67890_week07.ipynb: 12345 is the ID.
_DOWNLOADED = re.compile(r"[^_]+(?:_LATE)?_(\d+)_\d+(?:_.*)?")


def gradebook(reports: Sequence[Report], title: str = "", roster: str = "") -> tuple[str, list[str]]:
    """The table to import, and remarks for the person who does.

    Args:
        reports: of one assignment.
        title: the column: the assignment's title with its id, as in "Week 7 (12345)", or the title of a
            column of `roster`.
        roster: the gradebook as exported from Canvas, which knows the students' IDs. With it, scores are
            scaled to the points that are possible in Canvas.

    Raises:
        TableError: the column has no id, so that Canvas would make a new assignment of it.
    """
    header, students = read(roster) if roster else (list(COLUMNS), [])
    title, place = _column(header, title)
    points = [row for row in students if row[0].strip() == "Points Possible"]
    students = [row for row in students if row not in points and row[0].strip() != "Student, Test"]
    most = _amount(points[0][place]) if points and place is not None else None
    places = [column(header, name) for name in COLUMNS]
    identities = [[row[i] if i is not None else "" for i in places] for row in students]
    known = Students((i, identity[:4]) for i, identity in enumerate(identities))
    found: dict[str, int | None] = {}
    for report in reports:
        downloaded = _DOWNLOADED.fullmatch(report.student)
        found[report.student] = known.find(report.student, *(downloaded.groups() if downloaded else ()))
    twice = once(found)
    remarks = [f"{name} is in one row with another one: left out" for name in twice]
    cells: dict[int, str] = {}
    rows = []
    for report in reports:
        row = found[report.student]
        if not is_graded(report):
            remarks.append(f"{report.student} is not graded, by a fault of ours: the cell is empty")
        elif roster and row is None:
            remarks.append(f"{report.student} is not in the gradebook: left out")
        elif not roster:
            downloaded = _DOWNLOADED.fullmatch(report.student)
            number = downloaded[1] if downloaded else ""
            rows.append([report.student, number, "", "" if number else report.student, "", grade(report)])
        elif row is not None and report.student not in twice:
            cells[row] = grade(report, most)
    rows += [[*identity, cells[i]] for i, identity in enumerate(identities) if i in cells]
    highest = most if most is not None else max((r.max_score for r in reports), default=0)
    possible = ["    Points Possible", *[""] * 4, f"{highest:g}"]
    return written([*COLUMNS, title], [possible, *rows]), remarks


def _column(header: Sequence[str], title: str) -> tuple[str, int | None]:
    """The title of the assignment's column, and its place in the roster."""
    if re.search(r"\(\d+\)$", title.strip()):
        return title.strip(), column(header, title)
    alike = [
        i
        for i, name in enumerate(header)
        if re.fullmatch(rf"{re.escape(title.strip())} \(\d+\)", name.strip())
    ]
    if title and len(alike) == 1:
        return header[alike[0]].strip(), alike[0]
    raise TableError(
        f"{title!r} is no assignment with its id: say --assignment 'TITLE (ID)' with the number at the end "
        "of the assignment's address, or Canvas makes a new assignment; with --roster, its title is enough"
    )


def _amount(text: str) -> float | None:
    try:
        return float(text.replace(",", ".")) or None
    except ValueError:
        return None  # "(read only)"
