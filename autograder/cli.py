"""The command line. Exit codes: 0 all well, 1 points lost or not qualified, 2 usage, 3 a fault of ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder import __version__

if TYPE_CHECKING:
    from autograder.course import Course
    from autograder.qualify import Qualification

LOST, USAGE, FAULT = 1, 2, 3

COURSE = click.option(
    "--course",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The course folder. Default: the one around the working directory.",
)


class _Commands(click.Group):
    """Turns our own errors into a line and an exit code instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        from autograder.course import CourseError

        try:
            return super().invoke(ctx)
        except CourseError as error:
            raise click.UsageError(str(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of an instructor's week, not of the alphabet


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=__doc__.split(". ", 1)[1])
@click.version_option(__version__, prog_name="autograder")
def main() -> None:
    """Build, release, check, grade and explain assignments that grade themselves."""


def _course(path: Path | None) -> Course:
    import torch

    from autograder.course import Course

    torch.set_num_threads(1)
    return Course.find(path)


def _weeks(course: Course, name: str) -> list[str]:
    return course.names if name == "all" else [course.resolve(name)]


@main.command()
@click.argument("week", default="all")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", help="How to print the matrix.")
@click.option("--exercise", multiple=True, help="Only this exercise (may be repeated).")
@COURSE
def qualify(week: str, form: str, exercise: tuple[str, ...], course: Path | None) -> None:
    """Judge every known answer: is the assignment fit for release?

    Every accepted answer must get full marks, every mistake must lose points and be named, stubs and junk must
    earn nothing, every check must catch something. Exit code 1 if anything is not as it should be.

    \b
    Example: autograder qualify week07_vae
    """
    from autograder.qualify import qualify as run

    found = _course(course)
    reports = []
    for name in _weeks(found, week):
        loaded = found.week(name)
        if exercise:
            for wanted in exercise:
                loaded.exercise(wanted)
        progress = (lambda e: click.echo(f"{name}: {e} ...", err=True)) if sys.stderr.isatty() else (lambda e: None)
        reports.append(run(loaded, progress, exercise or None))
    if form == "json":
        click.echo(json.dumps(_merged([r.to_dict() for r in reports]), indent=2, ensure_ascii=False))
    else:
        for report in reports:
            _print_matrix(report)
    if not all(r.passed for r in reports):
        raise SystemExit(LOST)


def _merged(reports: list[dict[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {
        kind: {key: sum(r[kind][key] for r in reports) for key in ("total", "as_expected")}
        for kind in ("accepted", "mistakes", "stubs")
    }
    merged["exceptions"] = [f"{r['week']}: {e}" for r in reports for e in r["exceptions"]]
    merged["weeks"] = reports
    return merged


def _print_matrix(report: Qualification) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=report.week, title_justify="left")
    for heading in ("exercise", "kind", "answer"):
        table.add_column(heading)
    table.add_column("score", justify="right")
    table.add_column("fails")
    table.add_column("as expected")
    for row in report.rows:
        verdict = "yes" if row.as_expected else f"NO: {row.problem}"
        score = f"{row.score:g}/{row.max_score:g}"
        table.add_row(row.exercise, row.kind, row.answer, score, ", ".join(row.failed), verdict)
    console.print(table)
    totals = report.to_dict()
    for kind in ("accepted", "mistakes", "stubs"):
        console.print(f"{kind}: {totals[kind]['as_expected']} of {totals[kind]['total']} as expected")
    for problem in report.exceptions:
        console.print(f"[red]✗[/red] {problem}", highlight=False)
    console.print("qualified" if report.passed else f"not qualified: {len(report.exceptions)} exceptions")


if __name__ == "__main__":
    main()
