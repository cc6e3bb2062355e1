"""A class: wall time and memory of judging it on several processors, and what a thousand would take.

\b
python benchmarks/classroom.py [--sizes 10,30] [--week 6 --week 7 --week 15] [--jobs 2]

The submissions of the weeks, lesson cells included, in equal parts; in a third of them every third function
is wrong in the student's own way, so that it is shrunk and tried against the known mistakes. They are graded
as `autograder grade` does, reports written, one week after the other. What a week's judges take to start
counts, once: "each more" is by how much a larger class took longer. Memory is that of all processes at once,
shared pages counted once. Beside it nbgrader's bookkeeping: its own serial pass over the gradebook. Left out
is what a course needs once: examples and tolerances.
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
from handed_in import solved, spoilt
from rich.console import Console

from autograder import store
from autograder.collect import Entry
from autograder.course import Course
from autograder.grading import bench, grade_all
from autograder.nbgrader.classroom import Classroom

OURS = """
from autograder.nbgrader import configure
c = get_config()
configure(c)
c.GuestExecute.course = {!r}
"""
CLASS = 1000


@dataclass
class Cost:
    """Seconds of wall time and of all processes' CPU; the most MiB held at once."""

    wall: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


class Meter:
    """Measures this process and its descendants while it is entered."""

    def __enter__(self) -> Cost:
        self.cost = Cost()
        self._before, self._begun = self._cpu(), time.perf_counter()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self.cost

    def __exit__(self, *_: object) -> None:
        self.cost.wall = time.perf_counter() - self._begun
        self.cost.cpu = self._cpu() - self._before
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            self.cost.memory = max(self.cost.memory, self._memory())

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


def hand_in(root: Path, week: str, folder: Path, students: int) -> list[Entry]:
    """The submissions of a week; of every third student some answers are wrong."""
    ready, entries = bench(root, week), []
    for i in range(students):
        file = folder / f"student{i:04d}" / week / f"{week}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write((solved if i % 3 else spoilt)(ready, i), file)
        entries.append(Entry(f"student{i:04d}", file))
    return entries


def judge(root: Path, week: str, entries: list[Entry], jobs: int, out: Path) -> None:
    """Grade, and write the reports as they come."""
    out.mkdir()
    for i, report in enumerate(grade_all(root, week, entries, jobs=jobs)):
        store.write_text(out / f"{report.student}.json", report.to_json())
        if report.status != "graded" or (report.score == report.max_score) != bool(
            int(report.student[-4:]) % 3
        ):
            raise SystemExit(f"submission {i}: {report.status}, {report.score} of {report.max_score}")


def book(root: Path, week: str, folder: Path, students: int, jobs: int) -> Cost:
    """What nbgrader's pass over a class of one week takes, once it is judged."""
    name = bench(root, week).week.name
    hand_in(root, week, folder / "submitted", students)
    (folder / "source" / name).mkdir(parents=True)
    nbformat.write(solved(bench(root, week)), folder / "source" / name / f"{name}.ipynb")
    (folder / "nbgrader_config.py").write_text(OURS.format(str(root)))
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nbgrader generate_assignment failed:\n{done.stderr[-3000:]}")
    room = Classroom(folder, name)
    room.grade(room.pending(False), jobs=jobs)
    with Meter() as cost:
        room.book(room.due(False))
    return cost


@click.command(help=__doc__)
@click.option("--sizes", default="10,30", show_default=True, help="Submissions of all weeks together.")
@click.option("--week", "weeks", multiple=True, default=("6", "7", "15"), show_default=True)
@click.option("--jobs", default=2, show_default=True)
def main(sizes: str, weeks: tuple[str, ...], jobs: int) -> None:
    torch.set_num_threads(1)
    console = Console(width=110, highlight=False)
    course = Course.find()
    names = [course.resolve(week) for week in weeks]
    for name in names:
        for check in bench(course.root, name).week.checks:
            bench(course.root, name).material(check)
    console.print(
        f"{', '.join(names)}; {jobs} judges on {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
    before: tuple[int, Cost] | None = None
    for size in map(int, sizes.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            shares = [size // len(names) + (i < size % len(names)) for i in range(len(names))]
            classes = [
                (week, hand_in(course.root, week, Path(folder) / week, share))
                for week, share in zip(names, shares, strict=True)
            ]
            with Meter() as cost:
                for week, entries in classes:
                    judge(course.root, week, entries, jobs, Path(folder) / f"{week}.reports")
        said = (
            f"{size:5} submissions: {cost.wall:6.1f} s, {cost.wall / size:.2f} s each, "
            f"{cost.cpu / size:.2f} s of CPU; {cost.memory:.0f} MiB"
        )
        if before:
            more = (cost.wall - before[1].wall) / (size - before[0])
            total = cost.wall + (CLASS - size) * more
            said += f"; {more:.2f} s for each more: {total / 60:.1f} minutes for {CLASS:,} (target 12)"
        console.print(said)
        before = size, cost
    with tempfile.TemporaryDirectory() as folder:
        students = 4
        cost = book(course.root, names[0], Path(folder), students, jobs)
    each = cost.wall / students
    console.print(
        f"nbgrader's bookkeeping: {each:.2f} s each, one after another: {each * CLASS / 60:.1f} minutes more"
    )


if __name__ == "__main__":
    main()
