"""A class through stock `nbgrader autograde` and through ours: time for each submission, on two processors.

    python benchmarks/classroom.py --students 100 --week week07_vae

Both grade copies of the same solved notebook, its lesson cells left out. Stock nbgrader gets less to do: its
test cells only assert that the functions are there, ours are judged by all checks, hidden ones included.
Bookkeeping, nbgrader's own serial pass over the gradebook, is printed apart.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.course import Course
from autograder.nbgrader.classroom import Classroom
from autograder.notebooks import build_source

ROOT = Path(__file__).resolve().parent.parent


def notebook(week_name: str, stock: bool) -> NotebookNode:
    """The week's solved notebook without its lesson; for stock nbgrader with asserts in its check cells."""
    source = build_source(Course.load(ROOT).week(week_name))
    kept = []
    for cell in source.cells:
        about = cell.metadata.get("nbgrader")
        if cell.cell_type != "code" or (about is None and "load_checks" not in cell.source):
            continue
        if stock and about is None:
            cell.source = cell.source.split("\n\nfrom autograder")[0]
        elif stock and about["grade"]:
            cell.source = f"assert callable({about['grade_id'].removeprefix('check_')})"
        kept.append(cell)
    source.cells = kept
    return source


def course(folder: Path, week: str, students: int, stock: bool) -> None:
    ours = f"from autograder.nbgrader import configure\nconfigure(c)\nc.GuestExecute.course = {str(ROOT)!r}\n"
    for place in ["source", *(f"submitted/s{i:03d}" for i in range(students))]:
        (folder / place / week).mkdir(parents=True)
        nbformat.write(notebook(week, stock), folder / place / week / f"{week}.ipynb")
    (folder / "nbgrader_config.py").write_text("c = get_config()\n" + ("" if stock else ours))
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", week]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@contextlib.contextmanager
def clock(what: str, students: int) -> Iterator[dict[str, float]]:
    def cpu() -> float:
        me, mine = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return me.ru_utime + me.ru_stime + mine.ru_utime + mine.ru_stime

    begun, used = time.perf_counter(), cpu()
    taken: dict[str, float] = {}
    yield taken
    taken["wall"] = (time.perf_counter() - begun) / students
    taken["cpu"] = (cpu() - used) / students
    print(
        f"{what:<28} {taken['wall']:7.3f} s a submission, {taken['cpu']:7.3f} s of it computing in this tree"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=20)
    parser.add_argument("--week", default="week07_vae")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        stock, ours = Path(name) / "stock", Path(name) / "ours"
        course(stock, given.week, given.students, stock=True)
        course(ours, given.week, given.students, stock=False)
        command = [sys.executable, "-m", "nbgrader", "autograde", given.week]
        print(f"{given.students} submissions of {given.week}, {os.cpu_count()} processors")
        with clock("stock nbgrader", given.students) as theirs:
            subprocess.run(command, cwd=stock, check=True, capture_output=True)
        room = Classroom(ours, given.week)
        todo = room.pending(False)
        with clock("ours, running and judging", given.students) as judged:
            room.grade(todo, jobs=os.cpu_count() or 1)
        due = room.due(False)
        with clock("ours, bookkeeping", given.students) as booked:
            room.book(due)
        scores = {(row.score, row.max_score) for row in room.results()}
        print(f"scores: {scores}")
        print(
            f"{theirs['wall'] / judged['wall']:.1f} times stock's rate before bookkeeping, "
            f"{theirs['wall'] / (judged['wall'] + booked['wall']):.1f} times with it"
        )


if __name__ == "__main__":
    main()
