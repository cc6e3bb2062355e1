"""Where the time goes: what one right and one wrong submission of a week take, stage by stage.

\b
python benchmarks/stages.py [--week 7] [--turns 3]

First what a judge takes once: imports, the week with its stored examples and tolerances, the zygote, and
the first right submission, for which the reference answers. Then each stage of grading: milliseconds of wall
time, the median of some turns. A stage's time is without that of other stages in it, but the notebook,
shrinking, diagnosis and "wrong answers composed" are with all that they call. Every third function of the
wrong submission is wrong, each turn's in another way. The guest computes while the judge works: "waiting" is
what is left.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
import nbformat
import torch
from handed_in import solved, spoilt
from nbformat import NotebookNode
from rich.console import Console
from rich.table import Table

from autograder import corpus, dashboard, grading, wire
from autograder.comparisons import Decider
from autograder.course import Course
from autograder.grading import bench, grade_submission
from autograder.guests import Guest, Zygote
from autograder.judge import Bench
from autograder.replay import Sitting
from autograder.results import Report
from autograder.submissions import read_submission

REST = "checks' own code, replay"
WITH_ALL = ("notebook", "shrinking", "diagnosis", "wrong answers composed")


class Stages:
    """Wall seconds by stage; the innermost stage counts, within one of `WITH_ALL` that one."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.entered: Counter[str] = Counter()
        self.points = (0.0, 0.0)
        self._stack = [REST]
        self._since = time.perf_counter()

    def _switch(self) -> None:
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.entered[name] += 1
        self._switch()
        self._stack.append(self._stack[-1] if self._stack[-1] in WITH_ALL else name)
        try:
            yield
        finally:
            self._switch()
            self._stack.pop()

    def watch(self, owner: Any, function: str, name: str) -> Callable[[], None]:
        """Count what a function takes; returns what puts it back. It may not switch greenlets."""
        original = getattr(owner, function)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return original(*args, **kwargs)

        setattr(owner, function, timed)
        return lambda: setattr(owner, function, original)


class _Poll:
    """A guest's poll object, watched."""

    def __init__(self, stages: Stages, poll: Any) -> None:
        self.register, self._poll, self._stages = poll.register, poll, stages

    def poll(self, milliseconds: float) -> Any:
        with self._stages.stage("waiting for the guest's answers"):
            return self._poll.poll(milliseconds)


@contextmanager
def watching(stages: Stages) -> Iterator[None]:
    begin = Guest.__init__

    def watched(guest: Guest, *args: Any) -> None:
        begin(guest, *args)
        guest._poll = _Poll(stages, guest._poll)

    Guest.__init__ = watched
    back = [lambda: setattr(Guest, "__init__", begin)]
    back += [
        stages.watch(owner, function, name)
        for owner, function, name in (
            (Guest, "__init__", "fork, seal"),
            (Sitting, "close", "end, clean up"),
            (Guest, "run", "notebook"),
            (wire, "encode", "wire"),
            (wire.Decoder, "decode", "wire"),
            (Decider, "compare", "comparison"),
            (corpus, "shrink", "shrinking"),
            (Bench, "diagnose", "diagnosis"),
            (Bench, "excuse", "wrong answers composed"),
            (grading, "fingerprints", "fingerprints of the code"),
            (Report, "to_json", "report"),
            (dashboard, "write", "pages"),
        )
    ]
    try:
        yield
    finally:
        for undo in reversed(back):
            undo()


def graded(ready: Bench, zygote: Zygote, notebook: NotebookNode, folder: Path) -> Stages:
    """Grade a notebook and write its report and pages."""
    file = folder / "handed_in.ipynb"
    nbformat.write(notebook, file)
    stages = Stages()
    with watching(stages):
        with stages.stage("reading the submission"):
            submission = read_submission(file, ready.week.name, "student")
        report = grade_submission(ready, submission, zygote)
        (folder / "student.json").write_text(report.to_json())
        dashboard.write(folder, [report])
        stages._switch()
    if report.status != "graded":
        raise SystemExit(f"it is not graded: {report.problems}")
    stages.points = (report.score, report.max_score)
    return stages


@click.command(help=__doc__)
@click.option("--week", default="7", show_default=True)
@click.option("--turns", default=3, show_default=True)
def main(week: str, turns: int) -> None:
    torch.set_num_threads(1)
    console = Console(width=100, highlight=False)
    course = Course.find()
    once: dict[str, float] = {}

    def timed(what: str, action: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        value = action()
        once[what] = time.perf_counter() - begun
        return value

    def week_of_course() -> Bench:
        ready = bench(course.root, course.resolve(week))
        for check in ready.week.checks:
            ready.material(check)
        return ready

    imports = [sys.executable, "-c", "import autograder.grading, autograder.guests"]
    timed("starting Python, imports", lambda: subprocess.run(imports, check=True))
    ready = timed("the week, its stored examples", week_of_course)
    with tempfile.TemporaryDirectory() as name, timed("zygote, confinement tried", Zygote) as zygote:
        folder, notebook = Path(name), solved(ready)
        timed("the first submission", lambda: graded(ready, zygote, notebook, folder))
        turned = [
            [graded(ready, zygote, hand_in(ready, turn), folder) for hand_in in (solved, spoilt)]
            for turn in range(turns)
        ]
    table = Table("once per judge", title=f"{ready.week.name}, {zygote.level}", title_justify="left")
    table.add_column("ms", justify="right")
    for what, seconds in once.items():
        table.add_row(what, f"{1e3 * seconds:.0f}")
    console.print(table)
    show(console, dict(zip(("right", "wrong"), zip(*turned, strict=True), strict=True)))


def show(console: Console, turns: dict[str, Sequence[Stages]]) -> None:
    """The medians of each stage, and what a call takes."""
    table = Table(title="each submission, in the order of its stages", title_justify="left")
    for heading in ("stage", *(f"{kind}, ms" for kind in turns)):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    stages = dict.fromkeys(name for of_kind in turns.values() for s in of_kind for name in s.seconds)
    for name in stages:
        columns = [f"{1e3 * median(s.seconds[name] for s in of_kind):.1f}" for of_kind in turns.values()]
        table.add_row(name, *columns)
    table.add_section()
    totals = [f"{1e3 * median(sum(s.seconds.values()) for s in k):.0f}" for k in turns.values()]
    table.add_row("total", *totals)
    console.print(table)
    for kind, of_kind in turns.items():
        last = of_kind[-1]
        counts = ", ".join(f"{last.entered[n]} {n}" for n in ("comparison", "shrinking", "diagnosis"))
        console.print(f"{kind}: {last.points[0]:g} of {last.points[1]:g} points; {counts}")
    console.print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
