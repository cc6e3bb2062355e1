"""The command that grades: submissions wherever they lie, or the class of an nbgrader course."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder.cli_common import COURSE, EXECUTE, FAULT, LOST, confined, exit_for, open_course

if TYPE_CHECKING:
    from autograder.cluster import Cluster
    from autograder.collect import Found
    from autograder.course import Course
    from autograder.grading import Execute
    from autograder.results import Report


@click.command()
@click.argument("week")
@click.argument("submissions", nargs=-1, type=click.Path(path_type=Path, readable=False))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the reports go. Default in an nbgrader course: reports/WEEK.",
)
@click.option(
    "--tier", type=click.Choice(["public", "hidden"]), default="hidden", help="hidden includes public."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Judges at work. Default: one per processor."
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Grade on the workers of this Dask scheduler, such as tcp://10.0.0.1:8786 (docs: cluster).",
)
@click.option("--call-seconds", type=float, default=5.0, show_default=True, help="CPU limit of one call.")
@click.option("--cell-seconds", type=float, default=60.0, show_default=True, help="CPU limit of one cell.")
@EXECUTE
@click.option("--require-confinement", is_flag=True, help="Refuse unless guests are boxed and sealed.")
@click.option(
    "--allow-unconfined",
    is_flag=True,
    help="Grade with hidden checks even where guests can't be sealed: their code could write its own grade.",
)
@click.option("--student", "only", multiple=True, help="Grade only this one (may be repeated).")
@click.option("--exercise", multiple=True, help="Judge only this again (may be repeated).")
@click.option("--force", is_flag=True, help="Grade also what has not changed.")
@COURSE
def grade(
    week: str,
    submissions: tuple[Path, ...],
    out: Path | None,
    tier: str,
    jobs: int | None,
    scheduler: str | None,
    call_seconds: float,
    cell_seconds: float,
    execute: Execute,
    require_confinement: bool,
    allow_unconfined: bool,
    only: tuple[str, ...],
    exercise: tuple[str, ...],
    force: bool,
    course: Path | None,
) -> None:
    """Grade SUBMISSIONS of WEEK: files, folders, archives (.zip, .tar.gz), or an nbgrader submitted/ tree.

    Writes <student>.json for each into --out. What can't be read gets a report that says why, and the rest is
    graded. Exit code 1 if points were lost or anything was left out, 3 for a fault of ours.

    Without SUBMISSIONS it grades what is in submitted/ of an nbgrader course, as `nbgrader autograde` does,
    but in parallel, and only what has changed; limits are those of nbgrader_config.py, and all cells are run,
    as nbgrader shows their outputs.

    \b
    Example: autograder grade week07_vae submitted/ --out reports
             autograder grade week07_vae moodle.zip --out reports
             autograder grade week07_vae --course .
             autograder grade week07_vae submitted/ --out reports --scheduler tcp://10.0.0.1:8786
    """
    import dataclasses
    import tempfile

    if not submissions:
        if scheduler:
            raise click.UsageError(
                "--scheduler grades SUBMISSIONS into --out: name submitted/ of the nbgrader course"
            )
        flags = (require_confinement, allow_unconfined)
        _grade_class(week, course, out, tier, jobs, only, exercise, force, *flags)
        return
    if out is None:
        raise click.UsageError("say with --out where the reports go")

    from autograder.collect import find_submissions
    from autograder.grading import grade_all, secret_files
    from autograder.guests import Limits
    from autograder.pages import plain

    found = open_course(course)
    name = found.resolve(week)
    for wanted in exercise:
        found.week(name).exercise(wanted)
    for path in submissions:
        if not os.path.lexists(path):
            raise click.UsageError(f"there is no {plain(str(path), 300)}")
    with tempfile.TemporaryDirectory(prefix="submissions-") as scratch:
        try:
            handed_in = find_submissions(submissions, name, Path(scratch))
        except OSError as error:
            click.echo(f"{tempfile.gettempdir()}: {error.strerror}: set TMPDIR to another folder", err=True)
            raise SystemExit(FAULT) from None
        _say_what_is_special(handed_in)
        if not handed_in.entries:
            places = plain(", ".join(map(str, submissions)), 600)
            raise click.UsageError(f"no submission of {name} in {places}")
        entries = [e for e in handed_in.entries if not only or e.student in only]
        if lost := set(only) - {e.student for e in entries}:
            raise click.UsageError(f"no submission of {name} by {plain(', '.join(sorted(lost)), 600)}")
        limits = dataclasses.replace(Limits(), call_cpu=call_seconds, cell_cpu=cell_seconds)
        old = _earlier(name, out)
        jobs = jobs or usual_jobs(len(entries))
        policy = (tier, require_confinement, allow_unconfined)
        secrets = secret_files(found.root, name)
        cluster = _cluster(scheduler, found, name, tier, jobs) if scheduler else None
        with cluster or contextlib.nullcontext():
            level = confined(secrets, *policy, elsewhere=cluster.level() if cluster else None)
            old = {} if force else old
            coming = grade_all(
                found.root, name, entries, tier, limits, jobs, level, execute, old, exercise, cluster
            )
            reports = graded(coming, f"grading {name}", len(entries), out)
    exit_for(reports)
    if handed_in.left_out:
        raise SystemExit(LOST)


def _cluster(address: str, course: Course, week: str, tier: str, jobs: int) -> Cluster:
    """Workers elsewhere, with the course and its examples on them."""
    from autograder.grading import bench, prepare_all
    from autograder.workers import Processes

    try:
        from autograder.cluster import Cluster
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{error}: pip install 'genai-autograder[cluster]'") from None
    with Processes(jobs) as here:
        prepare_all(bench(course.root, week), course.root, tier, here)
    return Cluster(address, course, week)


def _earlier(week: str, out: Path) -> dict[str, Report]:
    """The reports in a folder by student; refuses those of another week, which would be lost."""
    from autograder import results

    found = results.load(out)[0]
    for report in found:
        if report.assignment != week:
            raise click.UsageError(
                f"{out} holds reports of {report.assignment}: give those of {week} a folder of their own"
            )
    return {report.student: report for report in found}


def _say_what_is_special(found: Found) -> None:
    """Tell the person at the terminal what is not graded, and who has another name now."""
    from autograder.pages import plain

    for mark, lines in (("left out: ", found.left_out), ("", found.remarks)):
        for line in lines[:20]:
            click.echo(mark + " ".join(plain(line, 400).split()), err=True)
        if len(lines) > 20:
            click.echo(f"{mark}{len(lines) - 20} more", err=True)


def _grade_class(
    week: str,
    course: Path | None,
    out: Path | None,
    tier: str,
    jobs: int | None,
    students: tuple[str, ...],
    exercises: tuple[str, ...],
    force: bool,
    require: bool,
    allow: bool,
) -> None:
    """Grade an nbgrader course's submissions in parallel, then write them into its gradebook."""
    import torch
    from rich.console import Console

    from autograder.grading import secret_files
    from autograder.nbgrader.classroom import Classroom

    torch.set_num_threads(1)
    root, assignment = _nbgrader_course(course, week)
    try:
        classroom = Classroom(root, assignment, students, tier)
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{error}: pip install 'genai-autograder[instructor]'") from None
    classroom.require(exercises)
    for folder, name in classroom.weeks:
        confined(secret_files(folder, name), tier, require, allow)
    todo = classroom.pending(force, exercises)
    count = len(todo)
    with _progress(f"grading {assignment}", count) as advance:
        classroom.grade(
            todo,
            jobs or usual_jobs(count),
            exercises,
            lambda _, job: advance(job.student),
        )
    due = classroom.due(force)
    with _progress("writing the gradebook", len(due)) as advance:
        classroom.book(due, advance)
    rows = classroom.results()
    classroom.write_reports(out or root / "reports" / assignment)
    Console().print(classroom.table(rows))
    if any(row.faults for row in rows):
        raise SystemExit(FAULT)
    if any(row.score < row.max_score or row.problems for row in rows):
        raise SystemExit(LOST)


def _nbgrader_course(folder: Path | None, week: str) -> tuple[Path, str]:
    """The folder of an nbgrader course, and the full name of an assignment in it."""
    from autograder.course import Course, CourseError

    start = folder or Path.cwd()
    root = next(
        (p for p in [start.resolve(), *start.resolve().parents] if (p / "nbgrader_config.py").is_file()), None
    )
    if root is None:
        raise click.UsageError(
            f"no nbgrader_config.py in {start.resolve()} or above it: name an nbgrader course with --course "
            "DIR, or the SUBMISSIONS to grade and --out"
        )
    if (root / "source" / week).is_dir():
        return root, week
    try:
        return root, Course.find(root).resolve(week)
    except CourseError:
        return root, week


@contextlib.contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar with the time that is left; its function is called with each name as it is done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from autograder.pages import plain

    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)

        def advance(name: str) -> None:
            progress.advance(task)
            progress.update(task, description=f"{what}: {plain(name)}")

        yield advance


def usual_jobs(submissions: int) -> int:
    """As many judges as there are processors, fewer for few submissions: to start one takes seconds."""
    return min(os.cpu_count() or 1, 1 + submissions // 4)


def graded(reports: Iterator[Report], what: str, total: int, out: Path) -> list[Report]:
    """Write reports as they come, with a progress bar, and show the class."""
    from rich.console import Console

    from autograder import store
    from autograder.display import summary

    try:
        out.mkdir(parents=True, exist_ok=True)
        with _progress(what, total) as advance:
            done = []
            for report in reports:
                store.write_text(out / f"{report.student}.json", report.to_json())
                advance(report.student)
                done.append(report)
    except OSError as error:
        click.echo(f"{error}: what is graded is kept; run the command again", err=True)
        raise SystemExit(FAULT) from None
    done.sort(key=lambda r: r.student)
    Console().print(summary(done))
    return done
