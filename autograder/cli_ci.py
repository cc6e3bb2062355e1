"""The commands for CI and learning platforms: `ci`, `init-ci` and `export`."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from autograder.cli_common import COURSE, EXECUTE, FAULT, REVEAL, confined, exit_for, open_course

if TYPE_CHECKING:
    from autograder.course import Course
    from autograder.grading import Execute
    from autograder.results import Report

VISIBILITY = click.option(
    "--hidden-tests",
    type=click.Choice(["hidden", "after_due_date", "after_published", "visible"]),
    default="after_published",
    show_default=True,
    help="Gradescope: when students see hidden checks, and with them their total.",
)


@click.command()
@click.argument("week", default="")
@click.option(
    "--notebook", type=click.Path(exists=True, path_type=Path), help="Default: the week's, beside the checks."
)
@click.option(
    "--checks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The released public checks.",
)
@click.option(
    "--tier",
    type=click.Choice(["public", "hidden"]),
    default=None,
    help="Default: hidden where there is a course folder, else public.",
)
@click.option("--student", default=None, help="Whose it is. Default: what the surroundings or the path say.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("autograder-report"),
    show_default=True,
    help="Where report.json and junit.xml go.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(["github", "gitlab", "gradescope", "classroom50", "junit"]),
    multiple=True,
    help="Default: what the surroundings ask for (may be repeated).",
)
@REVEAL
@VISIBILITY
@EXECUTE
@click.option("--require-confinement", is_flag=True, help="Refuse unless guests are boxed and sealed.")
@click.option("--allow-unconfined", is_flag=True, help="Do hidden checks even where guests can't be sealed.")
@COURSE
def ci(
    week: str,
    notebook: Path | None,
    checks: Path | None,
    tier: str | None,
    student: str | None,
    out: Path,
    formats: tuple[str, ...],
    reveal: str,
    hidden_tests: str,
    execute: Execute,
    require_confinement: bool,
    allow_unconfined: bool,
    course: Path | None,
) -> None:
    """Grade one submission in a CI job, and report as GitHub, GitLab, Gradescope or Classroom 50 want it.

    In a student's repository these are the public checks, from the file that came with the notebook, and what
    comes out is advice. With a course folder (--course, AUTOGRADER_COURSE, or around the working directory)
    hidden checks are done, too: only where students can change neither the workflow nor the runner.

    Exit code 0 if all points are there, 1 if some are lost, 2 for usage, 3 for a fault of ours, which is
    never a zero.

    \b
    Example: autograder ci
             autograder ci week07_vae --course /autograder/source/course
    """
    import torch
    from rich.console import Console

    from autograder import ci as work
    from autograder.formats import classroom50
    from autograder.formats.rows import ADVISORY
    from autograder.pages import plain, show
    from autograder.reveal import revealed

    torch.set_num_threads(1)
    wanted = tuple(dict.fromkeys(formats or work.surroundings(os.environ)))
    found = None if checks else work.find_course(course, os.environ)
    advisory = found is None and "classroom50" not in wanted
    if "classroom50" in wanted:
        try:
            classroom50.require_runner(os.environ)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
    if found is None and tier == "hidden":
        raise click.UsageError("hidden checks need a course folder: name it with --course DIR")
    work.clear(wanted, out, os.environ)
    with work.unobeyed("github" in wanted, _said), _broken_is_a_fault():
        student = student or _student(wanted, advisory)
        if found is not None:
            flags = (require_confinement, allow_unconfined)
            report, path = _by_course(found, week, notebook, tier or "hidden", student, flags, execute)
        else:
            report, path = _by_checks(week, notebook, checks, student, execute)
        show(revealed(report, reveal), Console(width=None if sys.stdout.isatty() else 110))
        if advisory:
            click.echo(f"\n{ADVISORY}")
    file = plain(os.path.relpath(path, os.environ.get("GITHUB_WORKSPACE") or "."), 500)
    job = work.Job(wanted, out, reveal, advisory, file, hidden_tests)
    with _broken_is_a_fault():
        work.deliver(report, job, os.environ, _said)
    exit_for([report])


@contextlib.contextmanager
def _broken_is_a_fault() -> Iterator[None]:
    """Exit with the code of a fault for what nobody foresaw: Python's own is that of lost points."""
    from autograder.course import CourseError

    try:
        yield
    except (CourseError, click.ClickException):
        raise
    except Exception:
        traceback.print_exc()
        raise SystemExit(FAULT) from None


def _said(text: str) -> None:
    sys.stdout.flush()
    click.echo(text, nl=False)
    sys.stdout.flush()


def _student(wanted: Sequence[str], advisory: bool) -> str | None:
    """Whose submission it is, as far as the surroundings know."""
    from autograder import ci as work
    from autograder.formats import gradescope
    from autograder.names import clean

    if "gradescope" in wanted:
        metadata = work.gradescope_root(os.environ) / "submission_metadata.json"
        try:
            return gradescope.student(metadata.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise click.UsageError(f"{metadata}: {error}") from None
    if "classroom50" in wanted and os.environ.get("USERNAME"):
        return clean(os.environ["USERNAME"])
    # Elsewhere than in a student's repository, who started the job is an instructor.
    names = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN") if advisory else ()
    return next((clean(os.environ[name]) for name in names if os.environ.get(name)), None)


def _by_course(
    course: Course,
    week: str,
    notebook: Path | None,
    tier: str,
    student: str | None,
    flags: tuple[bool, bool],
    execute: Execute,
) -> tuple[Report, Path]:
    """Grade with the references; the submission is Gradescope's, or lies around the working directory."""
    from autograder import ci as work
    from autograder.collect import Entry
    from autograder.grading import grade_all, secret_files
    from autograder.submissions import student_of

    if not week:
        raise click.UsageError(f"which week? There are {', '.join(course.names)}")
    name = course.resolve(week)
    if notebook is None:
        handed_in = work.gradescope_root(os.environ) / "submission"
        notebook = work.find_notebook(handed_in if handed_in.is_dir() else Path.cwd(), name)
    level = confined(secret_files(course.root, name), tier, *flags)
    entry = Entry(student or student_of(notebook, name), notebook)
    (report,) = grade_all(course.root, name, [entry], tier, level=level, execute=execute)
    return report, notebook


def _by_checks(
    week: str, notebook: Path | None, checks: Path | None, student: str | None, execute: Execute
) -> tuple[Report, Path]:
    """Do the public checks, with what students have."""
    from autograder import ci as work
    from autograder.bundle import SUFFIX, Published
    from autograder.confinement import Level
    from autograder.grading import grade_submission, ungraded
    from autograder.guests import Zygote, ZygoteFailed
    from autograder.pages import plain
    from autograder.submissions import read_submission

    folder = Path.cwd()  # of a submission whose checks are elsewhere
    if checks is None:
        start = Path.cwd()
        if notebook is not None:
            start = notebook if notebook.is_dir() else notebook.parent
        found = work.find_checks(start, week)
        if len(found) != 1:
            names = " ".join(plain(", ".join(map(str, found[:5])), 600).split()) or f"no file *{SUFFIX}"
            what = f" of {week}" if week else ""
            raise click.UsageError(
                f"there is {names}{what} in {start}: say which week, as in autograder ci week07_vae; the "
                "file that came with the notebook belongs beside it. With a course folder: --course DIR"
            )
        checks = found[0]
        folder = checks.parent
    try:
        bench = Published.load(checks)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if week and not work.is_called(bench.week.name, week):
        raise click.UsageError(f"{checks} holds the checks of {bench.week.name}, not of {week}")
    path = notebook or work.find_notebook(folder, bench.week.name)
    submission = read_submission(path, bench.week.name, student)
    try:
        with Zygote() as zygote:
            return grade_submission(bench, submission, zygote, "public", execute=execute), path
    except ZygoteFailed as error:
        return ungraded(bench, submission, Level("none", "none"), "public", str(error)), path


@click.command("init-ci")
@click.argument("platform", type=click.Choice(["github", "gitlab", "gradescope"]))
@click.option("--week", default="", help="Check this week only. Default: the one whose checks are there.")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("."),
    help="The repository; for gradescope the course. Default: the working directory.",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
def init_ci(platform: str, week: str, to: Path, force: bool) -> None:
    """Write the workflow that runs the public checks at every push; for Gradescope, the autograder's scripts.

    Students can change a workflow in their repository, so that it only advises. What `gradescope` writes is
    yours to adapt: `autograder export gradescope WEEK` takes it from there.

    \b
    Example: autograder init-ci github
             autograder init-ci gitlab --week week07_vae
    """
    from autograder.formats.gradescope import SCRIPTS, template
    from autograder.templating import environment

    if week and not week.replace("_", "").replace("-", "").isalnum():
        raise click.UsageError(f"{week!r} is no name of a week")
    files = {}
    if platform == "gradescope":
        files = {Path("gradescope", script): template(script, week) for script in SCRIPTS}
    else:
        name = {"github": ".github/workflows/autograder.yml", "gitlab": ".gitlab-ci.yml"}[platform]
        files = {Path(name): environment().get_template(f"ci/{platform}.yml.j2").render(week=week)}
    there = [str(to / path) for path in files if (to / path).exists()]
    if there and not force:
        raise click.UsageError(f"{', '.join(there)} exists: --force writes over it")
    for path, text in files.items():
        (to / path).parent.mkdir(parents=True, exist_ok=True)
        (to / path).write_text(text, encoding="utf-8")
        if path.name in SCRIPTS:
            (to / path).chmod(0o755)
        click.echo(to / path)


REPORTS = click.argument("reports", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
OUT = click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file to write. Default: the terminal."
)
SHEET = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def export() -> None:
    """Write reports in the formats of learning platforms, or the zip of a Gradescope autograder.

    REPORTS are files that `autograder grade` wrote, or folders of them. A fault of ours is a zero in none of
    the formats: its cell is empty, its row left out, or the file not written, and the exit code is 3.

    \b
    Example: autograder export canvas reports --assignment 'Week 7 (12345)' --out canvas.csv
    """


def _reports(paths: Sequence[Path]) -> list[Report]:
    """The reports in files and folders."""
    from autograder.results import load

    reports = []
    for path in paths:
        found, problems = load(path)
        if problems:
            raise click.UsageError(problems[0])
        reports += found
    if not reports:
        raise click.UsageError(f"no report in {', '.join(map(str, paths))}: `autograder grade` writes them")
    return reports


def _of_one_assignment(reports: list[Report]) -> list[Report]:
    names = sorted({report.assignment for report in reports})
    if len(names) > 1:
        raise click.UsageError(f"these are reports of {', '.join(names)}: give those of one")
    return reports


def _one(paths: Sequence[Path]) -> Report:
    reports = _reports(paths)
    if len(reports) > 1:
        raise click.UsageError(f"this format is for one submission, and these are {len(reports)} reports")
    return reports[0]


def _write(out: Path | None, text: str, remarks: Sequence[str] = ()) -> None:
    from autograder.pages import plain

    for remark in remarks:
        click.echo(plain(remark, 600), err=True)
    if out is None:
        sys.stdout.write(text)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8", newline="")


def _faults(reports: Sequence[Report]) -> None:
    from autograder.formats import is_graded

    if not all(map(is_graded, reports)):
        raise SystemExit(FAULT)


def _or_fault(make: Callable[[], str]) -> str:
    """The text, or the exit for what can't be graded."""
    from autograder.formats import NotGraded

    try:
        return make()
    except NotGraded as error:
        click.echo(str(error), err=True)
        raise SystemExit(FAULT) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@export.command("csv")
@REPORTS
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write."
)
def to_csv(reports: tuple[Path, ...], out: Path) -> None:
    """A table of scores: a row for each report, a column for each exercise.

    \b
    Example: autograder export csv reports --out scores.csv
    """
    from autograder import scores

    found = _reports(reports)
    scores.write(out, found)
    _faults(found)


@export.command()
@REPORTS
@click.option("--assignment", default="", help="Its title in Canvas with its id: 'Week 7 (12345)'.")
@click.option("--roster", type=SHEET, help="The gradebook as exported from Canvas, which knows the students.")
@OUT
def canvas(reports: tuple[Path, ...], assignment: str, roster: Path | None, out: Path | None) -> None:
    """The table that Canvas' gradebook imports.

    \b
    Example: autograder export canvas reports --roster gradebook.csv --assignment 'Week 7' --out canvas.csv
    """
    from autograder.formats.canvas import gradebook

    found = _of_one_assignment(_reports(reports))
    _table(found, out, lambda: gradebook(found, assignment, _text(roster) if roster else ""))


@export.command()
@REPORTS
@click.option(
    "--worksheet", type=SHEET, required=True, help="The grading worksheet as downloaded from Moodle."
)
@click.option("--grade-column", default="", help="Its title, if it isn't found in your language.")
@click.option("--feedback-column", default="", help="The title of 'Feedback comments' in your language.")
@REVEAL
@OUT
def moodle(
    reports: tuple[Path, ...],
    worksheet: Path,
    grade_column: str,
    feedback_column: str,
    reveal: str,
    out: Path | None,
) -> None:
    """Moodle's offline grading worksheet, filled in.

    \b
    Example: autograder export moodle reports --worksheet Grades.csv --out graded.csv
    """
    from autograder.formats.moodle import worksheet as filled
    from autograder.reveal import revealed

    found = _of_one_assignment(_reports(reports))
    seen = [revealed(report, reveal) for report in found]
    _table(found, out, lambda: filled(seen, _text(worksheet), grade_column, feedback_column))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not in UTF-8: take it as the platform gives it out") from None


def _table(reports: list[Report], out: Path | None, make: Callable[[], tuple[str, list[str]]]) -> None:
    from autograder.formats.tables import TableError

    try:
        text, remarks = make()
    except TableError as error:
        raise click.UsageError(str(error)) from None
    _write(out, text, remarks)
    _faults(reports)


@export.command("junit")
@REPORTS
@REVEAL
@OUT
def to_junit(reports: tuple[Path, ...], reveal: str, out: Path | None) -> None:
    """JUnit's XML, which GitLab, Jenkins and others show.

    \b
    Example: autograder export junit reports/ada.json --out junit.xml
    """
    from autograder.formats.junit import xml
    from autograder.reveal import revealed

    found = _reports(reports)
    _write(out, xml([revealed(report, reveal) for report in found]))
    _faults(found)


@export.command("github")
@REPORTS
@REVEAL
@OUT
def to_github(reports: tuple[Path, ...], reveal: str, out: Path | None) -> None:
    """The Markdown of a job's summary.

    \b
    Example: autograder export github reports/ada.json
    """
    from autograder.formats.github import summary
    from autograder.reveal import revealed

    report = _one(reports)
    _write(out, summary(revealed(report, reveal)))
    _faults([report])


@export.command("classroom50")
@REPORTS
@REVEAL
@OUT
def to_classroom50(reports: tuple[Path, ...], reveal: str, out: Path | None) -> None:
    """Classroom 50's result.json, with the variables that its runner sets.

    \b
    Example: autograder export classroom50 autograder-report/report.json --out result.json
    """
    from autograder.formats.classroom50 import result
    from autograder.reveal import revealed

    report = revealed(_one(reports), reveal)
    _write(out, _or_fault(lambda: result(report, os.environ)))


@export.command("gradescope-results")
@REPORTS
@REVEAL
@VISIBILITY
@OUT
def to_gradescope_results(
    reports: tuple[Path, ...], reveal: str, hidden_tests: str, out: Path | None
) -> None:
    """Gradescope's results.json.

    \b
    Example: autograder export gradescope-results reports/ada.json --out results.json
    """
    from autograder.formats.gradescope import results
    from autograder.reveal import revealed

    report = revealed(_one(reports), reveal)
    _write(out, _or_fault(lambda: results(report, hidden_tests)))


@export.command("gradescope")
@click.argument("week")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Default: WEEK-gradescope.zip.")
@COURSE
def to_gradescope(week: str, out: Path | None, course: Path | None) -> None:
    """The zip to upload to Gradescope as the autograder of WEEK.

    It holds the references and the hidden checks: keep it from students. Examples and tolerances are computed
    here and go with it.

    \b
    Example: autograder export gradescope week07_vae
    """
    from autograder.formats.gradescope import autograder_zip
    from autograder.grading import bench, prepare

    found = open_course(course)
    name = found.resolve(week)
    for exercise in bench(found.root, name).week.exercises:
        prepare((found.root, name, exercise.name, "hidden"))
    path = out or Path(f"{name}-gradescope.zip")
    path.write_bytes(autograder_zip(found, name))
    click.echo(path)


def commands() -> list[Any]:
    """What the command line takes from here."""
    return [ci, init_ci, export]
