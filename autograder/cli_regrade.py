"""The commands for marks that are questioned: `explain`, `compare` and `accept`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder.cli_common import COURSE, FAULT, LOST, confined, open_course

if TYPE_CHECKING:
    from autograder.results import Report
    from autograder.submissions import Submission

REPORT = click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
SUBMISSION = click.option(
    "--submission",
    type=click.Path(exists=True, path_type=Path),
    help="What was handed in, or the class. Default: looked for beside REPORT and in submitted/.",
)


def _report(path: Path) -> Report:
    from autograder.results import Report

    try:
        return Report.load(path)
    except (OSError, ValueError, RecursionError) as error:
        raise click.UsageError(f"{path}: {error}") from None


@contextlib.contextmanager
def _handed_in(path: Path, report: Report, given: Path | None) -> Iterator[Submission]:
    """The submission that a report is about; says if it has changed since."""
    import tempfile

    from autograder.explain import submission_of

    with tempfile.TemporaryDirectory(prefix="submissions-") as scratch:
        submission, remark = submission_of(report, path, given, Path(scratch))
        if remark:
            click.echo(remark, err=True)
        yield submission


@click.command()
@REPORT
@click.option("--exercise", required=True, help="The exercise in question.")
@click.option("--replay", is_flag=True, help="Judge it again now, in a guest, and tell what comes out.")
@SUBMISSION
@click.option("--require-confinement", is_flag=True, help="With --replay, as for `autograder grade`.")
@click.option("--allow-unconfined", is_flag=True, help="With --replay, as for `autograder grade`.")
@COURSE
def explain(
    report: Path,
    exercise: str,
    replay: bool,
    submission: Path | None,
    require_confinement: bool,
    allow_unconfined: bool,
    course: Path | None,
) -> None:
    """Tell in words what was checked of an exercise in REPORT, with what inputs, and what came out.

    For answering a regrade request. Without a course it tells what the report has.

    \b
    Example: autograder explain reports/ada.json --exercise gae
             autograder explain reports/ada.json --exercise gae --replay
    """
    from autograder.course import CourseError
    from autograder.explain import explained, replayed
    from autograder.grading import bench, secret_files

    found = _report(report)
    try:
        root = open_course(course).root
        ready = bench(root, found.assignment)
    except CourseError:
        if course or replay:
            raise
        click.echo(explained(found, exercise))
        return
    click.echo(explained(found, exercise, ready))
    if replay:
        secrets = secret_files(root, found.assignment)
        tier = "hidden" if "hidden" in found.tiers else "public"
        with _handed_in(report, found, submission) as handed_in:
            level = confined(secrets, tier, require_confinement, allow_unconfined)
            click.echo(f"\n{replayed(found, exercise, ready, handed_in, level, secrets)}")


@click.command()
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
def compare(before: Path, after: Path) -> None:
    """List every mark that changed between two runs, and why.

    BEFORE and AFTER are folders of reports, or reports. Exit code 0 if all marks are the same, 1 if any
    changed, 3 if one changed although nothing else did that reports record, which must not happen.

    \b
    Example: autograder compare reports-monday reports
    """
    from autograder import compare as comparing
    from autograder import results
    from autograder.pages import plain

    runs = []
    for path in (before, after):
        reports, problems = results.load(path)
        for problem in problems:
            click.echo(plain(f"left out: {problem}", 600), err=True)
        if not reports:
            raise click.UsageError(
                f"no report in {path}: `autograder grade WEEK ... --out {path}` writes them"
            )
        runs.append(reports)
    found = comparing.compare(*runs)
    click.echo(comparing.text(found))
    if found.unexplained:
        raise SystemExit(FAULT)
    if found.changed or found.lost or found.new:
        raise SystemExit(LOST)


@click.command()
@REPORT
@click.argument("exercise")
@SUBMISSION
@click.option(
    "--reports",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Reports in which to look for others whom it affects. Default: the folder of REPORT.",
)
@click.option("--yes", is_flag=True, help="Don't ask: the code has been read.")
@COURSE
def accept(
    report: Path,
    exercise: str,
    submission: Path | None,
    reports: Path | None,
    yes: bool,
    course: Path | None,
) -> None:
    """Add the answer to EXERCISE that REPORT is about to the accepted answers, if it is right.

    The exercise is qualified with it. If it gets full marks and all known answers still get what they
    should, it goes into accepted.py, tolerances become as wide as it needs, and you are told who else lost
    points in the same way. If not, you see on which input it is wrong, and nothing changes (exit code 1).

    \b
    Example: autograder accept reports/ada.json gae
    """
    from autograder import accept as accepting
    from autograder.display import exercise_text
    from autograder.explain import exercise_of
    from autograder.pages import number, plain
    from autograder.results import load

    found = _report(report)
    week = open_course(course).week(found.assignment)
    week.exercise(exercise)
    result = exercise_of(found, exercise)
    if result.checks and result.score == result.max_score:
        raise click.UsageError(f"{exercise} has full marks in {report}: there is nothing to accept")
    path = accepting.accepted_file(week)
    with _handed_in(report, found, submission) as handed_in:
        beside = path.read_text(encoding="utf-8") if path.is_file() else accepting.EMPTY
        answer = accepting.written(week, exercise, handed_in, found, beside)
    click.echo(plain(answer))
    click.echo(
        f"This is a student's code. In {path} it is run as your own, outside of any guest: read it.", err=True
    )
    if not yes and not click.confirm("Run it and, if it is right, add it?", err=True):
        raise SystemExit(LOST)
    click.echo(f"qualifying {exercise} with it ...", err=True)
    tried = accepting.accept(week, exercise, answer)
    if tried.against:
        click.echo("It is not accepted, and nothing was changed:")
        for reason in tried.against:
            click.echo(f"  {plain(reason, 2000)}")
        if tried.result.score < tried.result.max_score:
            click.echo(exercise_text(tried.result))
            click.echo("If you are sure that it is right, a check asks too much, or the reference is wrong.")
        raise SystemExit(LOST)
    click.echo(f"It is right, and now in {path}.")
    for name, factor in tried.widened.items():
        click.echo(f"  {name}: tolerances are up to {factor:.3g} times as wide")
    callers = [e.name for e in week.exercises if exercise in e.uses]
    if callers:
        click.echo(
            "What calls it was excused as long as it was rejected: once the class is graded again, "
            f"{', '.join(callers)} may need the same."
        )
    click.echo("Who lost points by the same checks, and is to be graded again:")
    for other, theirs in accepting.affected(found, exercise, load(reports or report.parent)[0]):
        score = f"{number(theirs.score)} of {number(theirs.max_score)}"
        known = f" (a known mistake: {theirs.misconception})" if theirs.misconception else ""
        click.echo(plain(f"  {other.student}: {score} in {exercise}{known}", 1000))


def commands() -> list[click.Command]:
    """What the command line takes from here."""
    return [explain, compare, accept]
