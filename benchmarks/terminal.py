"""How long a student waits for `autograder check` in a terminal, beside torch's import and Python's start.

python benchmarks/terminal.py [--week 7] [--turns 5]

The notebook is the week's, solved, with and without its lesson cells; all take turns. `check` imports torch
twice: in the judge, and in the process from which the notebook's is forked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import nbformat
import torch
from handed_in import solved
from rich.console import Console

from autograder.course import Course
from autograder.grading import bench
from autograder.release import build

CHECK = [sys.executable, "-m", "autograder.cli", "check"]


def wall(command: list[str]) -> float:
    """The seconds that a command takes; it must succeed."""
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - begun


@click.command(help=__doc__)
@click.option("--week", default="7", show_default=True)
@click.option("--turns", default=5, show_default=True)
def main(week: str, turns: int) -> None:
    torch.set_num_threads(1)
    course = Course.find()
    ready = bench(course.root, course.resolve(week))
    with tempfile.TemporaryDirectory() as name:
        build(ready.week, Path(name))
        (folder,) = (path.parent for path in Path(name).rglob("*.checks"))
        notebook, own = solved(ready), folder / f"{ready.week.name}.ipynb"
        nbformat.write(notebook, own)
        notebook.cells = [c for c in notebook.cells if "nbgrader" in c.metadata or "import torch" in c.source]
        nbformat.write(notebook, bare := folder / f"{ready.week.name}_answers.ipynb")
        commands = {
            "Python": [sys.executable, "-c", ""],
            "import torch": [sys.executable, "-c", "import torch"],
            "check, without lesson cells": [*CHECK, str(bare)],
            "check": [*CHECK, str(own)],
        }
        times: dict[str, list[float]] = {what: [] for what in commands}
        for _ in range(turns):
            for what, command in commands.items():
                times[what].append(wall(command))
    console = Console(width=110, highlight=False)
    for what, seconds in times.items():
        shares = [t / i for t, i in zip(seconds, times["import torch"], strict=True)]
        console.print(
            f"{what}: {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
            f"{median(shares):.1f} times torch's import"
        )
    console.print(f"target: check in 2.5 s; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
