"""How long one submission takes: here, with nbgrader alone, and without guests; in one run, side by side.

\b
python benchmarks/grading.py [--week 7] [--copies 5] [--jobs 2]

The submission is a week's solved notebook, lesson cells included. nbgrader gets the same notebook, but its
check cells (one per exercise, as ours) make the calls that our public and hidden checks make on the recorded
examples, and assert the recorded answers and gradients by torch.allclose. "without guests" runs cells and
checks in this warm process: the least that a grader with these checks can take. "without lesson cells" is our
default: only what the functions depend on is run. The four take turns, so that what else the machine does is
shared; the ratios are of each turn.
Left out is what a class needs once: imports, examples and tolerances, our zygote, nbgrader's release.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # kernels inherit them
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader runs alembic

import contextlib
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from typing import Any

import click
import nbformat
import psutil
import torch
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from plain_asserts import recorded, with_plain_asserts, without_our_checks
from rich.console import Console
from rich.table import Table
from traitlets.config import Config

from autograder.collect import Entry
from autograder.course import Course
from autograder.grading import Execute, bench, grade_all, grade_submission
from autograder.guests import Zygote
from autograder.judge import Bench
from autograder.notebooks import build_source
from autograder.submissions import read_submission
from autograder.trials import LocalReplayer

Seconds = tuple[float, float]  # wall, CPU


def timed(action: Callable[[], None]) -> Seconds:
    """Wall time and CPU time of this process and all its descendants."""

    def cpu() -> float:
        me = psutil.Process()
        return sum(sum(p.cpu_times()[:4]) for p in (me, *me.children(recursive=True)))  # ended children too

    wall, used = time.perf_counter(), cpu()
    action()
    return time.perf_counter() - wall, cpu() - used


def release(ready: Bench, notebook: NotebookNode, root: Path, students: list[str]) -> NbGraderAPI:
    """A stock nbgrader course of plain asserts, its one assignment handed in by every student."""
    notebook, name = with_plain_asserts(ready, notebook, root), ready.week.name
    for folder in ("source", *(f"submitted/{student}" for student in students)):
        (root / folder / name).mkdir(parents=True)
        nbformat.write(notebook, root / folder / name / f"{name}.ipynb")
    api = NbGraderAPI(config=Config({"CourseDirectory": {"root": str(root)}}))
    require(api.generate_assignment(name))
    return api


def require(result: dict[str, Any]) -> None:
    if not result["success"]:
        raise SystemExit(f"nbgrader failed: {result.get('error', '')}{result.get('log', '')}")


@click.command(help=__doc__)
@click.option("--week", default="7", show_default=True)
@click.option("--copies", default=5, show_default=True, help="Submissions measured, after one that is not.")
@click.option("--jobs", default=1, show_default=True, help="Measure our grading in so many processes, too.")
def main(week: str, copies: int, jobs: int) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # nbgrader's database layer is talkative
    course = Course.find()
    ready = bench(course.root, course.resolve(week))
    notebook, name = build_source(ready.week), ready.week.name
    students = [f"student{i}" for i in range(copies + 1)]
    code = [cell.source for cell in without_our_checks(notebook).cells if cell.cell_type == "code"]
    times: dict[str, list[Seconds]] = {}

    with tempfile.TemporaryDirectory() as folder, Zygote() as zygote:
        file = Path(folder) / f"{name}.ipynb"
        nbformat.write(notebook, file)
        api = release(ready, notebook, Path(folder), students)
        points = sum(ready.week.max_points(e) for e in ready.functions)
        cells: list[float] = []

        def ours(student: str, execute: Execute) -> None:
            report = grade_submission(ready, read_submission(file, name, student), zygote, execute=execute)
            if execute == "all":
                cells.append(report.times["notebook"])
            if (report.score, report.executed, report.cells) != (points, execute, []):
                raise SystemExit(f"our grade is {report.score} of {points}: {report.problems} {report.cells}")

        def marks(student: str) -> float:
            with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
                return gradebook.find_submission(name, student).score

        def run_cells(namespace: dict[str, Any]) -> None:
            with contextlib.redirect_stdout(None):
                for source in code:
                    exec(source, namespace)

        def check(namespace: dict[str, Any]) -> None:
            replayer = LocalReplayer(namespace)
            if sum(ready.judge_exercise(e, replayer).score for e in ready.functions) != points:
                raise SystemExit("the notebook does not get full marks without guests")

        for i, student in enumerate(students):
            namespace: dict[str, Any] = {}
            turn = {
                "ours": timed(lambda s=student: ours(s, "all")),
                "needed": timed(lambda s=student: ours(s, "needed")),
                "nbgrader autograde": timed(lambda s=student: require(api.autograde(name, s))),
                "cells": timed(lambda n=namespace: run_cells(n)),
                "checks": timed(lambda n=namespace: check(n)),
            }
            if (score := marks(student)) != points:
                raise SystemExit(f"nbgrader's grade is {score} of {points}")
            for what, seconds in turn.items():
                times.setdefault(what, []).extend([seconds] if i else [])  # the first warms everything up
        level = str(zygote.level)
    show(ready, level, times, median(cells[1:]))
    if jobs > 1:
        print(in_parallel(course.root, name, notebook, jobs, copies, times))


def in_parallel(root: Path, name: str, notebook: NotebookNode, jobs: int, copies: int, times: Any) -> str:
    """Our time per submission in several judges, each one's first submission not counted."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.ipynb"
        nbformat.write(notebook, file)
        submissions = [Entry(f"student{i}", file) for i in range(jobs * (copies + 1))]
        ends = [time.perf_counter() for _ in grade_all(root, name, submissions, jobs=jobs, execute="all")]
    each = (ends[-1] - ends[jobs - 1]) / (len(ends) - jobs)
    ratio = median(wall for wall, _ in times["nbgrader autograde"]) / each
    return f"ours in {jobs} processes: {each:.2f} s each; nbgrader (in one) takes {ratio:.2f} times as long"


def show(ready: Bench, level: str, times: dict[str, list[Seconds]], cells: float) -> None:
    """Print the table, the ratios of each turn, and what was measured on what."""
    console = Console(width=100, highlight=False)
    direct = [(a + c, b + d) for (a, b), (c, d) in zip(times["cells"], times["checks"], strict=True)]
    rows = {
        "ours, in a guest": times["ours"],
        "ours, without lesson cells": times["needed"],
        "nbgrader autograde, plain asserts": times["nbgrader autograde"],
        "without guests": direct,
        "  of which the notebook's cells": times["cells"],
        "  of which the checks": times["checks"],
    }
    title = f"{ready.week.name}: one submission, medians of {len(direct)} turns"
    table = Table("", title=title, title_justify="left")
    for heading in ("wall", "fastest", "slowest", "CPU", "per hour and core"):
        table.add_column(heading, justify="right")
    for what, seconds in rows.items():
        wall, cpu = zip(*seconds, strict=True)
        columns = [f"{s:.2f} s" for s in (median(wall), min(wall), max(wall), median(cpu))]
        table.add_row(what, *columns, f"{3600 / median(cpu):.0f}")
    console.print(table)
    for i, clock in enumerate(("wall", "CPU")):
        pairs = list(zip(times["ours"], times["nbgrader autograde"], direct, strict=True))
        ratios = [stock[i] / ours[i] for ours, stock, _ in pairs]
        overhead = 1e3 * median(ours[i] - least[i] for ours, _, least in pairs)
        shares = [less[i] / ours[i] for less, ours in zip(times["needed"], times["ours"], strict=True)]
        console.print(
            f"{clock}: nbgrader takes {median(ratios):.2f} times as long as ours ({min(ratios):.2f} to "
            f"{max(ratios):.2f}); guests cost {overhead:.0f} ms per submission; without lesson cells "
            f"ours takes {median(shares):.2f} of that ({min(shares):.2f} to {max(shares):.2f})"
        )
    examples = sum(len(ready.material(c).judged) for c in ready.week.checks)
    calls = sum(len(recorded(ready, e)) for e in ready.functions)
    packages = ("torch", "nbgrader", "nbclient", "ipykernel", "genai-autograder")
    console.print(
        f"of ours, {cells:.2f} s until the cells have run in the guest; {len(ready.week.checks)} checks of "
        f"{len(ready.functions)} exercises, {examples} examples, {calls} calls; one thread each; {level}\n"
        f"{cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}, {', '.join(f'{p} {version(p)}' for p in packages)}"
    )


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
