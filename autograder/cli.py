"""The command line. Exit codes: 0 all well, 1 points lost or not qualified, 2 usage, 3 a fault of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder import __version__, cli_ci, cli_corpus, cli_quality, cli_regrade
from autograder.cli_common import COURSE, FAULT, LOST, REVEAL, confined, exit_for, open_course, weeks

if TYPE_CHECKING:
    from autograder.collect import Entry, Found
    from autograder.confinement import Level
    from autograder.course import Course
    from autograder.guests import Limits
    from autograder.results import Report


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
def check(notebook: Path, checks: Path | None) -> None:
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
        report = grade_submission(bench, submission, zygote, "public")
    show(report, Console())
    exit_for([report])


@main.command()
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
@click.option("--call-seconds", type=float, default=5.0, show_default=True, help="CPU limit of one call.")
@click.option("--cell-seconds", type=float, default=60.0, show_default=True, help="CPU limit of one cell.")
@click.option("--require-confinement", is_flag=True, help="Refuse unless guests are boxed and sealed.")
@click.option(
    "--allow-unconfined",
    is_flag=True,
    help="Grade with hidden checks even where guests can't be sealed: their code could write its own grade.",
)
@click.option(
    "--student", "only", multiple=True, help="In an nbgrader course: only this one (may be repeated)."
)
@click.option(
    "--exercise", multiple=True, help="In an nbgrader course: judge only this again (may be repeated)."
)
@click.option("--force", is_flag=True, help="In an nbgrader course: grade also what has not changed.")
@COURSE
def grade(
    week: str,
    submissions: tuple[Path, ...],
    out: Path | None,
    tier: str,
    jobs: int | None,
    call_seconds: float,
    cell_seconds: float,
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
    but in parallel, and only what has changed; limits are those of nbgrader_config.py.

    \b
    Example: autograder grade week07_vae submitted/ --out reports
             autograder grade week07_vae moodle.zip --out reports
             autograder grade week07_vae --course .
    """
    import dataclasses
    import os
    import tempfile

    if not submissions:
        flags = (require_confinement, allow_unconfined)
        _grade_class(week, course, out, tier, jobs, only, exercise, force, *flags)
        return
    if out is None:
        raise click.UsageError("say with --out where the reports go")
    if only or exercise or force:
        raise click.UsageError(
            "--student, --exercise and --force are for nbgrader courses, without SUBMISSIONS"
        )

    from autograder.collect import find_submissions
    from autograder.grading import secret_files
    from autograder.guests import Limits
    from autograder.pages import plain

    found = open_course(course)
    name = found.resolve(week)
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
        limits = dataclasses.replace(Limits(), call_cpu=call_seconds, cell_cpu=cell_seconds)
        _only_of(name, out)
        level = confined(secret_files(found.root, name), tier, require_confinement, allow_unconfined)
        reports = _grade(found, name, handed_in.entries, out, tier, limits, jobs, level)
    exit_for(reports)
    if handed_in.left_out:
        raise SystemExit(LOST)


def _only_of(week: str, out: Path) -> None:
    """Refuse a folder that holds the reports of another week: those of the same students would be lost."""
    from autograder import results

    for report in results.load(out)[0]:
        if report.assignment != week:
            raise click.UsageError(
                f"{out} holds reports of {report.assignment}: give those of {week} a folder of their own"
            )


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
    import os

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
            jobs or min(os.cpu_count() or 1, 1 + count // 4),
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


def _grade(
    course: Course,
    week: str,
    students: list[Entry],
    out: Path,
    tier: str,
    limits: Limits,
    jobs: int | None,
    level: Level,
) -> list[Report]:
    """Grade with a progress bar and write the reports as they come."""
    import os

    from rich.console import Console

    from autograder import store
    from autograder.display import summary
    from autograder.grading import grade_all

    out.mkdir(parents=True, exist_ok=True)
    reports = []
    jobs = jobs or min(os.cpu_count() or 1, 1 + len(students) // 4)
    with _progress(f"grading {week}", len(students)) as advance:
        for report in grade_all(course.root, week, students, tier, limits, jobs, level):
            store.write_text(out / f"{report.student}.json", report.to_json())
            advance(report.student)
            reports.append(report)
    reports.sort(key=lambda r: r.student)
    Console().print(summary(reports))
    return reports


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
    from autograder.grading import secret_files
    from autograder.guests import Limits

    found = open_course(course)
    name = found.resolve(WEEK)
    click.echo(f"building {name} and a class that hands it in ...", err=True)
    students = hand_in(found.week(name), out / "submitted")
    limits = dataclasses.replace(Limits(), call_cpu=2.0, cell_cpu=10.0, memory_bytes=1 << 30)
    level = confined(secret_files(found.root, name), "hidden", require=False, allow=True)
    reports = _grade(found, name, students, out / "reports", "hidden", limits, jobs, level)
    dashboard.write(out / "reports", reports)
    click.echo(f"\nopen {out / 'reports' / 'index.html'} in a browser")
    if any(r.status == "fault" for r in reports):
        raise SystemExit(FAULT)


for _module in (cli_quality, cli_corpus, cli_regrade, cli_ci):
    for _command in _module.commands():
        main.add_command(_command)


if __name__ == "__main__":
    main()
