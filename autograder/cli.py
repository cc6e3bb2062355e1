"""The command line. Exit codes: 0 all well, 1 points lost or not qualified, 2 usage, 3 a fault of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder import __version__, cli_ci, cli_corpus, cli_grade, cli_quality, cli_regrade
from autograder.cli_common import (
    COURSE,
    EXECUTE,
    FAULT,
    LOST,
    REVEAL,
    confined,
    exit_for,
    open_course,
    weeks,
)

if TYPE_CHECKING:
    from autograder.grading import Execute


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


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=__doc__.split(". ", 1)[1]
)
@click.version_option(__version__, prog_name="autograder")
def main() -> None:
    """Build, release, check, grade and explain assignments that grade themselves."""


@main.command("new-course")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--title", default=None, help="Default: the folder's name.")
def new_course(folder: Path, title: str | None) -> None:
    """Write a new course into FOLDER: nbgrader's configuration, and an example week that works.

    \b
    Example: autograder new-course my-course
    """
    from autograder.nbgrader.scaffold import EXAMPLE
    from autograder.nbgrader.scaffold import new_course as write

    for path in write(folder, title or folder.resolve().name):
        click.echo(path)
    click.echo(
        f"next: cd {folder}; autograder build {EXAMPLE}; nbgrader generate_assignment {EXAMPLE}", err=True
    )


@main.command()
@click.argument("week")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), help="Default: source/ in the course folder."
)
@COURSE
def build(week: str, to: Path | None, course: Path | None) -> None:
    """Write what nbgrader releases of WEEK (or all): the source notebook and the public checks.

    \b
    Example: autograder build week07_vae
    """
    from autograder.release import build as write

    found = open_course(course)
    for name in weeks(found, week):
        try:
            for path in write(found.week(name), to or found.root / "source"):
                click.echo(path)
        except ValueError as error:
            raise click.UsageError(str(error)) from None


@main.command()
@click.argument("week")
@click.option(
    "--to", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where to write <WEEK>/."
)
@COURSE
def release(week: str, to: Path, course: Path | None) -> None:
    """Write the bundle that students get of WEEK: notebook, public checks, what to install.

    Refuses (exit code 1) if the assignment does not qualify, or if anything of the solutions, the hidden
    checks or the seed is in the bundle.

    \b
    Example: autograder release week07_vae --to bundles
    """
    from autograder.release import ReleaseRefused
    from autograder.release import release as write

    found = open_course(course)
    for name in weeks(found, week):
        click.echo(f"qualifying {name} ...", err=True)
        try:
            for path in write(found, name, to):
                click.echo(path)
        except ReleaseRefused as refused:
            click.echo(str(refused), err=True)
            raise SystemExit(LOST) from None


@main.command()
@click.argument("notebook", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--checks", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Default: beside NOTEBOOK."
)
@EXECUTE
def check(notebook: Path, checks: Path | None, execute: Execute) -> None:
    """For students: run NOTEBOOK from the top in a fresh process and do its public checks.

    Exit code 0 if all pass, 1 if points are lost.

    \b
    Example: autograder check week07_vae.ipynb
    """
    import torch
    from rich.console import Console

    from autograder.bundle import SUFFIX, Published
    from autograder.grading import grade_submission
    from autograder.guests import best_zygote
    from autograder.pages import show
    from autograder.submissions import read_submission

    torch.set_num_threads(1)
    if checks is None:
        folder = notebook if notebook.is_dir() else notebook.parent
        found = sorted(folder.glob(f"*{SUFFIX}"))
        named = [p for p in found if notebook.stem.startswith(p.stem)]
        if len(named or found) != 1:
            raise click.UsageError(
                f"{len(found)} files *{SUFFIX} in {folder.resolve()}: keep the one you were given beside "
                "the notebook, or name it with --checks FILE"
            )
        checks = (named or found)[0]
    try:
        bench = Published.load(checks)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    submission = read_submission(notebook, bench.week.name)
    with best_zygote() as zygote:
        report = grade_submission(bench, submission, zygote, "public", execute=execute)
    show(report, Console())
    exit_for([report])


main.add_command(cli_grade.grade)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@REVEAL
def report(folder: Path, reveal: str) -> None:
    """Write pages from the reports in FOLDER: one per student, index.html and scores.csv for the class.

    These are yours. What students may see is in FOLDER/feedback: a page for each and, where examples fail, a
    script that runs them with the student's own notebook.

    \b
    Example: autograder report reports
             autograder report reports --reveal examples
    """
    from autograder import dashboard, results, scores
    from autograder.pages import plain

    reports, problems = results.load(folder)
    for problem in problems:
        click.echo(plain(f"left out: {problem}", 600), err=True)
    if not reports:
        raise click.UsageError(
            f"no report in {folder}: `autograder grade WEEK ... --out {folder}` writes them"
        )
    dashboard.write(folder, reports, reveal)
    scores.write(folder / "scores.csv", reports)
    click.echo(folder / "index.html")
    click.echo(folder / "scores.csv")
    click.echo(folder / "feedback")


@main.command()
@COURSE
def doctor(course: Path | None) -> None:
    """Say what works on this machine, and how guests are confined.

    \b
    Example: autograder doctor
    """
    from autograder.doctor import findings

    worst = 0
    for finding in findings(course):
        mark = click.style("ok ", fg="green") if finding.ok else click.style("NO ", fg="red")
        click.echo(f"{mark} {finding.what}: {finding.detail}")
        worst = max(worst, 0 if finding.ok or finding.optional else LOST)
    raise SystemExit(worst)


@main.command()
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where everything goes."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Judges at work. Default: one per processor."
)
@COURSE
def demo(out: Path, jobs: int | None, course: Path | None) -> None:
    """Build and grade a sample class for week 7, and say of each student what happened.

    \b
    Example: autograder demo --out demo-out
    """
    import dataclasses

    from autograder import dashboard
    from autograder.demo import WEEK, hand_in
    from autograder.grading import grade_all, secret_files
    from autograder.guests import Limits

    found = open_course(course)
    name = found.resolve(WEEK)
    click.echo(f"building {name} and a class that hands it in ...", err=True)
    students = hand_in(found.week(name), out / "submitted")
    limits = dataclasses.replace(Limits(), call_cpu=2.0, cell_cpu=10.0, memory_bytes=1 << 30)
    level = confined(secret_files(found.root, name), "hidden", require=False, allow=True)
    jobs = jobs or cli_grade.usual_jobs(len(students))
    coming = grade_all(found.root, name, students, limits=limits, jobs=jobs, level=level)
    reports = cli_grade.graded(coming, f"grading {name}", len(students), out / "reports")
    dashboard.write(out / "reports", reports)
    click.echo(f"\nopen {out / 'reports' / 'index.html'} in a browser")
    if any(r.status == "fault" for r in reports):
        raise SystemExit(FAULT)


for _module in (cli_quality, cli_corpus, cli_regrade, cli_ci):
    for _command in _module.commands():
        main.add_command(_command)


if __name__ == "__main__":
    main()
