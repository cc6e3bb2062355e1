"""What one right submission takes: here, in stock nbgrader, in Otter, and without any of them; side by side.

\b
python benchmarks/grading.py [--week 7] [--copies 3] [--otter VENV]

The submission is a week's solved notebook, lesson cells included. nbgrader gets the same notebook, but its
check cells (one per exercise, as ours) make the calls that our public and hidden checks make on the recorded
examples, and assert the recorded answers and gradients by torch.allclose; Otter gets the same as tests of its
own. "checks, called directly" runs cells and checks in this warm process: the least that a grader with these
checks can take. "functions alone" runs the cells and makes the same calls, and nobody looks at what comes
out: time beyond it is overhead. All take turns, so that what else the machine does is shared; ratios are of
each turn.
Left out is what a class needs once: imports, examples and tolerances, our zygote, nbgrader's release.

Otter wants a virtual environment: python -m venv VENV; VENV/bin/pip install --editable . otter-grader
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MPLBACKEND": "agg"}  # kernels inherit them
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader runs alembic

import contextlib
import json
import platform
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
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
from plain_asserts import for_otter, recorded, with_plain_asserts, without_our_checks
from rich.console import Console
from rich.table import Table
from traitlets.config import Config

from autograder.calls import LocalSession
from autograder.course import Course
from autograder.grading import Execute, bench, grade_submission
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


def otter(venv: Path, ready: Bench, notebook: NotebookNode, folder: Path) -> Callable[[], None]:
    """A run of Otter on the submission, in a process of its own, as `otter run` is meant to be used."""
    tests = for_otter(ready, folder)
    nbformat.write(without_our_checks(notebook), folder / "submission.ipynb")
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}

    def call(*arguments: str) -> None:
        command = [str(venv / "bin" / "otter"), *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")

    def run() -> None:
        call("run", "-a", "autograder.zip", "submission.ipynb")
        tests = json.loads((folder / "results.json").read_text())["tests"]
        scores = {test["name"]: test.get("score") for test in tests if test["name"] in ready.functions}
        if scores != dict.fromkeys(ready.functions, 1.0):
            raise SystemExit(f"Otter's grades are {scores}")

    call("generate", "-t", str(tests), "-o", "autograder.zip")
    return run


@click.command(help=__doc__)
@click.option("--week", default="7", show_default=True)
@click.option("--copies", default=3, show_default=True, help="Submissions measured, after one that is not.")
@click.option("--otter", "venv", type=click.Path(path_type=Path), help="Default: the one `otter` is in.")
def main(week: str, copies: int, venv: Path | None) -> None:
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

        def ours(student: str, execute: Execute = "needed") -> None:
            report = grade_submission(ready, read_submission(file, name, student), zygote, execute=execute)
            cells.append(report.times["notebook"])
            if report.score != points or report.cells:
                raise SystemExit(f"our grade is {report.score} of {points}: {report.problems} {report.cells}")

        def marks(student: str) -> float:
            with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
                return gradebook.find_submission(name, student).score

        def run_cells(namespace: dict[str, Any]) -> None:
            with contextlib.redirect_stdout(None):
                for source in code:
                    exec(source, namespace)

        calls = [request for e in ready.functions for request, _ in recorded(ready, e)]

        def call(namespace: dict[str, Any]) -> None:
            run_cells(namespace)
            session = LocalSession(namespace)
            for request in calls:
                session.perform(request)

        def check(namespace: dict[str, Any]) -> None:
            run_cells(namespace)
            replayer = LocalReplayer(namespace)
            if sum(ready.judge_exercise(e, replayer).score for e in ready.functions) != points:
                raise SystemExit("the notebook does not get full marks without guests")

        run_otter = None
        if venv or shutil.which("otter"):
            (Path(folder) / "otter").mkdir()
            place = venv or Path(shutil.which("otter") or "").parent.parent
            run_otter = otter(place.resolve(), ready, notebook, Path(folder) / "otter")
        for i, student in enumerate(students):
            turn = {
                "needed": timed(lambda s=student: ours(s)),
                "ours": timed(lambda s=student: ours(s, "all")),
                "nbgrader": timed(lambda s=student: require(api.autograde(name, s))),
                **({"Otter": timed(run_otter)} if run_otter else {}),
                "direct": timed(lambda: check({})),
                "functions": timed(lambda: call({})),
            }
            if (score := marks(student)) != points:
                raise SystemExit(f"nbgrader's grade is {score} of {points}")
            for what, seconds in turn.items():
                times.setdefault(what, []).extend([seconds] if i else [])  # the first warms everything up
        level = str(zygote.level)
    show(ready, level, times, median(cells[1:]))


ROWS = {
    "needed": "ours, in a guest",
    "ours": "the same, all lesson cells run",
    "nbgrader": "nbgrader autograde, plain asserts",
    "Otter": "otter run, the same asserts",
    "direct": "checks, called directly",
    "functions": "functions alone",
}


def show(ready: Bench, level: str, times: dict[str, list[Seconds]], cells: float) -> None:
    """Print the table, the ratios of each turn, and what was measured on what."""
    console = Console(width=100, highlight=False)
    title = f"{ready.week.name}: one submission, medians of {len(times['ours'])} turns"
    table = Table("", title=title, title_justify="left")
    for heading in ("wall", "fastest", "slowest", "CPU", "overhead, CPU"):
        table.add_column(heading, justify="right")
    overhead = {
        what: [max(0.0, mine[1] - least[1]) for mine, least in zip(of, times["functions"], strict=True)]
        for what, of in times.items()
    }
    for what, seconds in times.items():
        wall, cpu = zip(*seconds, strict=True)
        columns = [median(wall), min(wall), max(wall), median(cpu), median(overhead[what])]
        table.add_row(ROWS[what], *(f"{s:.2f} s" for s in columns))
    console.print(table)
    pairs = list(zip(times["ours"], times["direct"], strict=True))
    console.print(
        f"ours takes {_spread([a[0] / b[0] for a, b in pairs])} times as long as the checks called directly, "
        f"{_spread([a[1] / b[1] for a, b in pairs])} times the CPU (target 2)"
    )
    for other in ("nbgrader", "Otter"):
        if other not in times:
            console.print(f"{other} is left out: it is not installed (see --help)")
            continue
        pairs = list(zip(times[other], times["ours"], strict=True))
        spent = zip(overhead[other], overhead["ours"], strict=True)
        console.print(
            f"{other} takes {_spread([a[0] / b[0] for a, b in pairs])} times as long as ours, "
            f"{_spread([a[1] / b[1] for a, b in pairs])} times the CPU, "
            f"{_spread([a / max(b, 1e-3) for a, b in spent])} times the overhead (target 15)"
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


def _spread(ratios: Sequence[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
