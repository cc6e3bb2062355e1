"""The command line. Exit codes: 0 all well, 1 points lost or not qualified, 2 usage, 3 a fault of ours."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder import __version__, cli_ci

if TYPE_CHECKING:
    from autograder.collect import Entry, Found
    from autograder.confinement import Level
    from autograder.course import Course
    from autograder.guests import Limits
    from autograder.qualify import Qualification
    from autograder.results import Report
    from autograder.submissions import Submission

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


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=__doc__.split(". ", 1)[1]
)
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

    found = _course(course)
    for name in _weeks(found, week):
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

    found = _course(course)
    for name in _weeks(found, week):
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
    from autograder.guests import Zygote
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
    with Zygote() as zygote:
        report = grade_submission(bench, submission, zygote, "public")
    show(report, Console())
    _exit([report])


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

    found = _course(course)
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
    _exit(reports)
    if handed_in.left_out:
        raise SystemExit(LOST)


def _only_of(week: str, out: Path) -> None:
    """Refuse a folder that holds the reports of another week: those of the same students would be lost."""
    from autograder.results import Report

    for path in sorted(out.glob("*.json")):
        try:
            other = Report.load(path).assignment
        except (OSError, ValueError, RecursionError):
            continue
        if other != week:
            raise click.UsageError(
                f"{out} holds reports of {other}: give those of {week} a folder of their own"
            )


def _say_what_is_special(found: Found) -> None:
    """Tell the person at the terminal what is not graded, and who has another name now."""
    from autograder.pages import plain

    for mark, lines in (("left out: ", found.left_out), ("", found.remarks)):
        for line in lines[:20]:
            click.echo(mark + " ".join(plain(line, 400).split()), err=True)
        if len(lines) > 20:
            click.echo(f"{mark}{len(lines) - 20} more", err=True)


def confined(secrets: tuple[Path, ...], tier: str, require: bool, allow: bool) -> Level:
    """The best level that this machine has; says what is missing, and refuses where it is too little.

    Args:
        secrets: files that no guest may read.
        tier: whose checks are judged.
        require: refuse unless guests are boxed and sealed.
        allow: hidden checks even where guests can't be sealed.
    """
    from autograder.confinement import Level, levels
    from autograder.guests import settle

    level, failures = settle(secrets)
    missing = "".join(f"\n  {reason}" for reason in (*levels.lacking(level), *failures))
    if require and not level.at_least(Level("container", "uid")):
        raise click.UsageError(f"guests are not confined as required ({level}):{missing}")
    if level.seal == "none" and tier != "public" and not allow:
        raise click.UsageError(
            f"guests can't be sealed here ({level}), so that students' code could read the hidden checks and "
            f"write its own grade:{missing}\nGrade where they can be (see autograder doctor), with --tier "
            "public, or with --allow-unconfined."
        )
    if missing:
        click.echo(f"guests run with {level}; better would need:{missing}", err=True)
    return level


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

    from autograder.display import summary
    from autograder.grading import grade_all

    out.mkdir(parents=True, exist_ok=True)
    reports = []
    jobs = jobs or min(os.cpu_count() or 1, 1 + len(students) // 4)
    with _progress(f"grading {week}", len(students)) as advance:
        for report in grade_all(course.root, week, students, tier, limits, jobs, level):
            write_atomically(out / f"{report.student}.json", report.to_json())
            advance(report.student)
            reports.append(report)
    reports.sort(key=lambda r: r.student)
    Console().print(summary(reports))
    return reports


def write_atomically(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _exit(reports: list[Report]) -> None:
    if any(r.status == "fault" for r in reports):
        raise SystemExit(FAULT)
    if any(r.score < r.max_score or r.status != "graded" for r in reports):
        raise SystemExit(LOST)


@main.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@cli_ci.REVEAL
def report(folder: Path, reveal: str) -> None:
    """Write pages from the reports in FOLDER: one per student, index.html and scores.csv for the class.

    These are yours. What students may see is in FOLDER/feedback: a page for each and, where examples fail, a
    script that runs them with the student's own notebook.

    \b
    Example: autograder report reports
             autograder report reports --reveal examples
    """
    from autograder import dashboard, scores
    from autograder.pages import plain
    from autograder.results import Report

    reports = []
    for path in sorted(folder.glob("*.json")):
        try:
            reports.append(Report.load(path))
        except (OSError, ValueError, RecursionError) as error:
            click.echo(plain(f"{path} is left out: {error}", 600), err=True)
    if not reports:
        raise click.UsageError(
            f"no report in {folder}: `autograder grade WEEK ... --out {folder}` writes them"
        )
    dashboard.write(folder, reports, reveal)
    scores.write(folder / "scores.csv", reports)
    click.echo(folder / "index.html")
    click.echo(folder / "scores.csv")
    click.echo(folder / "feedback")


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


@main.command()
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
        root = _course(course).root
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


@main.command()
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

    runs = []
    for path in (before, after):
        reports, problems = comparing.load(path)
        for problem in problems:
            click.echo(problem, err=True)
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


@main.command()
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
    from autograder.compare import load
    from autograder.display import exercise_text
    from autograder.explain import exercise_of
    from autograder.pages import number, plain

    found = _report(report)
    week = _course(course).week(found.assignment)
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


@main.command()
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

    found = _course(course)
    reports = []
    for name in _weeks(found, week):
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


@main.command()
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

    from autograder.quality import document
    from autograder.quality.measure import measure

    found = _course(course)
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
            write_atomically(out, document.updated(old, name, results, seeds))
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

    found = _course(course)
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


for _command in cli_ci.commands():
    main.add_command(_command)


if __name__ == "__main__":
    main()
