"""A class through stock `nbgrader autograde` and through ours: time for each submission, on all processors.

    python benchmarks/classroom.py [--students 100] [--week 6 --week 7 --week 15]

Both grade copies of the same solved notebooks, their lesson cells left out. Stock nbgrader's test cells make
the calls that our public and hidden checks make and compare the answers by torch.allclose; ours are judged by
the checks, in guests. Bookkeeping, nbgrader's own serial pass over the gradebook, is printed apart: stock
nbgrader's time includes it. Left out is what a course needs once: examples and tolerances.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # kernels inherit them
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader runs alembic

import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass

import click
import nbformat
import psutil
import torch
from nbformat import NotebookNode
from plain_asserts import with_plain_asserts
from rich.console import Console
from rich.table import Table

from autograder.course import Course
from autograder.grading import bench
from autograder.judge import Bench
from autograder.nbgrader.classroom import Classroom
from autograder.notebooks import build_source

OURS = "from autograder.nbgrader import configure\nconfigure(c)\nc.GuestExecute.course = {root!r}\n"


def without_lesson(notebook: NotebookNode) -> NotebookNode:
    """The notebook's answers, checks and imports."""
    kept = [c for c in notebook.cells if "nbgrader" in c.metadata or "load_checks" in c.source]
    notebook.cells = [c for c in kept if c.cell_type == "code"]
    return notebook


def make_course(folder: Path, ready: Bench, notebook: NotebookNode, students: int, config: str) -> None:
    """An nbgrader course whose one assignment every student has handed in."""
    week = ready.week.name
    for place in ["source", *(f"submitted/s{i:04d}" for i in range(students))]:
        (folder / place / week).mkdir(parents=True)
        nbformat.write(notebook, folder / place / week / f"{week}.ipynb")
    (folder / "nbgrader_config.py").write_text("c = get_config()\n" + config)
    nbgrader(folder, "generate_assignment", week)


def nbgrader(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nbgrader {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")


@dataclass
class Cost:
    """What a submission took: seconds of wall time and of all processes' CPU; the most MiB held at once."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


class Meter:
    """Measures this process and its descendants while it is entered; memory grows by what they share once."""

    def __init__(self, students: int) -> None:
        self.students, self.cost = students, Cost()

    def __enter__(self) -> Cost:
        self._before, self._begun = self._cpu(), time.perf_counter()
        self._base = self._memory()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self.cost

    def __exit__(self, *_: object) -> None:
        self.cost.wall = (time.perf_counter() - self._begun) / self.students
        self.cost.cpu = (self._cpu() - self._before) / self.students
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.5):
            self.cost.memory = max(self.cost.memory, self._memory() - self._base)

    def _cpu(self) -> float:
        me = psutil.Process()
        return sum(sum(p.cpu_times()[:4]) for p in (me, *me.children(recursive=True)))  # ended children too

    def _memory(self) -> float:
        """Proportional set sizes: pages that processes share count once."""
        total = 0
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue  # it has ended
        return total / 2**20


@click.command(help=__doc__)
@click.option("--students", default=10, show_default=True)
@click.option("--week", "weeks", multiple=True, default=("6", "7", "15"), show_default=True)
def main(students: int, weeks: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    course = Course.find()
    rows: dict[str, dict[str, Cost]] = {}
    for week in map(course.resolve, weeks):
        rows[week] = measure(bench(course.root, week), course.root, students)
    table = Table(
        "", title=f"{students} submissions of each, {os.cpu_count()} processors", title_justify="left"
    )
    for heading in ("wall", "CPU", "memory", "stock's rate"):
        table.add_column(heading, justify="right")
    for week, costs in rows.items():
        for what, cost in costs.items():
            ratio = costs["stock nbgrader"].wall / cost.wall
            figures = (
                f"{cost.wall:.2f} s",
                f"{cost.cpu:.2f} s",
                f"{cost.memory:.0f} MiB",
                f"{ratio:.1f} times",
            )
            table.add_row(f"{week}: {what}", *figures)
    Console(width=110, highlight=False).print(table)


def measure(ready: Bench, root: Path, students: int) -> dict[str, Cost]:
    """What a submission costs in stock nbgrader, in our judges, and in the bookkeeping after them."""
    week = ready.week.name
    for check in ready.week.checks:
        ready.material(check)
    with tempfile.TemporaryDirectory() as name:
        stock, ours, calls = (Path(name) / part for part in ("stock", "ours", "calls"))
        calls.mkdir()
        notebook = without_lesson(build_source(ready.week))
        make_course(stock, ready, with_plain_asserts(ready, notebook, calls), students, "")
        make_course(ours, ready, notebook, students, OURS.format(root=str(root)))
        with Meter(students) as theirs:
            nbgrader(stock, "autograde", week)
        room = Classroom(ours, week)
        with Meter(students) as judged:
            room.grade(room.pending(False), jobs=os.cpu_count() or 1)
        with Meter(students) as booked:
            room.book(room.due(False))
        if any(row.score != row.max_score for row in room.results()):
            raise SystemExit(f"not all get full marks: {[(r.score, r.max_score) for r in room.results()]}")
    return {"stock nbgrader": theirs, "ours, judging": judged, "ours, bookkeeping": booked}


if __name__ == "__main__":
    main()
