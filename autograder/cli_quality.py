"""The commands that try the checks themselves: `qualify` and `quality`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder.cli_common import COURSE, LOST, open_course, weeks

if TYPE_CHECKING:
    from autograder.qualify import Qualification


@click.command()
@click.argument("week", default="all")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the matrix."
)
@click.option("--exercise", multiple=True, help="Only this exercise (may be repeated).")
@COURSE
def qualify(week: str, form: str, exercise: tuple[str, ...], course: Path | None) -> None:
    """Judge every known answer: is the assignment fit for release?

    Every accepted answer must get full marks, every mistake must lose points and be named, stubs and junk
    must earn nothing, every check must catch something. Exit code 1 if anything is not as it should be.

    \b
    Example: autograder qualify week07_vae
    """
    from autograder.qualify import qualify as run

    found = open_course(course)
    reports = []
    for name in weeks(found, week):
        loaded = found.week(name)
        for wanted in exercise:
            loaded.exercise(wanted)
        reports.append(run(loaded, _said(name), exercise or None))
    if form == "json":
        click.echo(json.dumps(_merged([r.to_dict() for r in reports]), indent=2, ensure_ascii=False))
    else:
        for report in reports:
            _print_matrix(report)
    if not all(r.passed for r in reports):
        raise SystemExit(LOST)


def _said(week: str) -> Callable[[str], None]:
    """Tells a person at a terminal which exercise is at work."""

    def say(exercise: str) -> None:
        if sys.stderr.isatty():
            click.echo(f"{week}: {exercise} ...", err=True)

    return say


_KINDS = ("accepted", "mistakes", "stubs", "checks")


def _merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {
        kind: {key: sum(r[kind][key] for r in reports) for key in ("total", "as_expected")} for kind in _KINDS
    }
    merged["exceptions"] = [f"{r['week']}: {e}" for r in reports for e in r["exceptions"]]
    merged["weeks"] = reports
    return merged


def _print_matrix(report: Qualification) -> None:
    """Per exercise two tables: the known answers, and the checks judged alone."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for name in dict.fromkeys(row.exercise for row in report.rows):
        checks = [c for c in report.checks if c.exercise == name]
        answers = Table("answer", "", "score", "fails", "as expected", title=f"{report.week} · {name}")
        answers.title_justify = "left"
        for row in (r for r in report.rows if r.exercise == name):
            fails = "all" if len(row.failed) == len(checks) else ", ".join(row.failed)
            verdict = "yes" if row.as_expected else f"NO: {row.problem}"
            answers.add_row(row.answer, row.kind, f"{row.score:g}/{row.max_score:g}", fails, Text(verdict))
        console.print(answers)
        alone = Table("check", "tier", "examples", "left out", "catches", "shifted reference")
        for check in checks:
            numbers = (str(check.examples), str(check.left_out))
            alone.add_row(check.check, check.tier, *numbers, check.catches or "NOTHING", check.shifted)
        console.print(alone)
    totals = report.to_dict()
    for kind in _KINDS:
        console.print(f"{kind}: {totals[kind]['as_expected']} of {totals[kind]['total']} as expected")
    for problem in report.exceptions:
        console.print(Text.assemble(("✗ ", "red"), problem))
    console.print("qualified" if report.passed else f"not qualified: {len(report.exceptions)} exceptions")


@click.command()
@click.argument("weeks", nargs=-1)
@click.option("--exercise", multiple=True, help="Only this exercise (may be repeated).")
@click.option(
    "--seeds",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="How many other corpora right answers are judged on.",
)
@click.option(
    "--list", "listed", is_flag=True, help="List also the mutants that properties alone don't catch."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write what was found into this Markdown file, a section per week; other weeks' sections stay.",
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Processes at work. Default: one per processor."
)
@COURSE
def quality(
    weeks: tuple[str, ...],
    exercise: tuple[str, ...],
    seeds: int,
    listed: bool,
    out: Path | None,
    jobs: int | None,
    course: Path | None,
) -> None:
    """Measure the checks of WEEKS (default: all): do they catch mutants of the references, and nobody right?

    Exit code 1 if a known answer is not judged as it should be, if of a week fewer than 99 in 100 mutants
    lose points, or if a right answer loses one.

    \b
    Example: autograder quality week07_vae --exercise elbo --seeds 2
    """
    import os

    from rich.console import Console

    from autograder import store
    from autograder.quality import document
    from autograder.quality.measure import measure

    found = open_course(course)
    names = [found.resolve(w) for w in weeks] or found.names
    if exercise and (len(names) > 1 or out):
        raise click.UsageError("--exercise is for one week, and not with --out: a section is of a whole week")
    good = True
    for name in names:
        week = found.week(name)
        chosen = [week.exercise(e) for e in exercise] or week.exercises
        with _measuring(name) as progress:
            results = measure(found.root, week, chosen, seeds, jobs or os.cpu_count() or 1, progress)
        document.show(Console(), name, results, listed)
        good = good and document.is_good(results)
        if out:
            old = out.read_text(encoding="utf-8") if out.is_file() else ""
            store.write_text(out, document.updated(old, name, results, seeds))
    if not good:
        raise SystemExit(LOST)


@contextlib.contextmanager
def _measuring(week: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar of several jobs, one after another."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(f"{week}: {what}", total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield advance


def commands() -> list[click.Command]:
    """What the command line takes from here."""
    return [qualify, quality]
