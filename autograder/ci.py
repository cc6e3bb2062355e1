"""Grading one submission in a CI job, and telling the job's surroundings in the formats that they read."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from autograder.bundle import SUFFIX
from autograder.course import CONFIG, Course
from autograder.formats import classroom50, github, gradescope, is_graded, junit
from autograder.results import Report
from autograder.reveal import revealed
from autograder.submissions import SUFFIXES

_CLASSROOM50_RESULT = Path("result.json")
DEEPEST = 3  # folders below the job's in which files are looked for


def surroundings(environ: Mapping[str, str]) -> list[str]:
    """The formats that are wanted where this job runs."""
    found = []
    if environ.get("GITHUB_ACTIONS") == "true":
        found.append("github")
    if environ.get("GITLAB_CI") == "true":
        found.append("gitlab")
    if (gradescope_root(environ) / "submission_metadata.json").is_file():
        found.append("gradescope")
    if all(environ.get(name) for name in classroom50.NEEDED):
        found.append("classroom50")
    return found


def gradescope_root(environ: Mapping[str, str]) -> Path:
    """Where Gradescope keeps its files: /autograder, or what AUTOGRADER_GRADESCOPE says."""
    return Path(environ.get("AUTOGRADER_GRADESCOPE") or "/autograder")


def find_course(given: Path | None, environ: Mapping[str, str]) -> Course | None:
    """The course that is named, or around the working directory; None where there is only what students have.

    Raises:
        CourseError: the one that is named is none.
    """
    named = given or environ.get("AUTOGRADER_COURSE")
    if named:
        return Course.find(named)
    for folder in (Path.cwd(), *Path.cwd().parents):
        if (folder / CONFIG).is_file() and (folder / "reference_impl").is_dir():
            return Course.load(folder)
    return None


def find_checks(start: Path, week: str = "") -> list[Path]:
    """The released files of public checks in a folder and a few below it, of one week or of any.

    Args:
        start: a student's repository.
        week: as people say it: "week07_vae", "7" or "vae".
    """
    found = [path for path in _files(start) if path.suffix == SUFFIX]
    return [path for path in found if not week or is_called(path.stem, week)]


def _files(start: Path) -> Iterator[Path]:
    """Files in a folder and a few below it, without those that programs keep for themselves; no links."""
    for folder, below, names in os.walk(start):
        depth = len(Path(folder).relative_to(start).parts)
        hidden = (".", "__")
        below[:] = sorted(n for n in below if depth < DEEPEST and not n.startswith(hidden) and n != "venv")
        yield from (path for path in (Path(folder, name) for name in sorted(names)) if not path.is_symlink())


def is_called(name: str, week: str) -> bool:
    """Whether people may call "week07_vae" so: by its whole name, its number or what comes after it."""
    number = f"week{int(week):02d}" if week.isdecimal() else week
    return name in (week, number) or name.startswith(f"{number}_") or name.endswith(f"_{week}")


def find_notebook(folder: Path, week: str) -> Path:
    """The file that answers a week: the one of its name, also if it alone has it a few folders below.

    Without one it is the folder itself, in which `read_submission` looks further, or says what is there.
    """
    for suffix in SUFFIXES:
        found = [path for path in _files(folder) if path.name == f"{week}{suffix}"]
        beside = [path for path in found if path.parent == folder]
        if beside or len(found) == 1:
            return (beside or found)[0]
    return folder


@dataclass(frozen=True)
class Job:
    """What was asked for: the formats, where files go, and how much students may see."""

    formats: tuple[str, ...]
    out: Path
    reveal: str
    advisory: bool
    file: str = ""  # the notebook's path in the repository
    hidden: str = "after_published"  # when Gradescope shows hidden tests


def deliver(report: Report, job: Job, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Write a report in the formats of a job; workflow commands are said.

    What has no way to say that we failed is not written.
    """
    job.out.mkdir(parents=True, exist_ok=True)
    (job.out / "report.json").write_text(report.to_json(), encoding="utf-8")
    seen = revealed(report, job.reveal)
    for name in job.formats:
        _DELIVERIES[name](seen, job, environ, say)


def clear(formats: Sequence[str], out: Path, environ: Mapping[str, str]) -> None:
    """Delete what an earlier run or a student has left there: it must not pass for this run's."""
    paths = [out / "report.json", out / "junit.xml"]
    paths += [_gradescope_results(environ)] if "gradescope" in formats else []
    paths += [_CLASSROOM50_RESULT] if "classroom50" in formats else []
    for path in paths:
        path.unlink(missing_ok=True)


def _to_github(report: Report, job: Job, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    if path := environ.get("GITHUB_STEP_SUMMARY"):
        _append(Path(path), github.summary(report, job.advisory))
    if path := environ.get("GITHUB_OUTPUT"):
        _append(Path(path), f"result={github.grading_result(report)}\n")
    say(github.commands(report, job.file, job.advisory))


def _to_junit(report: Report, job: Job, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    (job.out / "junit.xml").write_text(junit.xml([report]), encoding="utf-8")


def _to_gradescope(report: Report, job: Job, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    path = _gradescope_results(environ)
    if is_graded(report):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(gradescope.results(report, job.hidden), encoding="utf-8")


def _gradescope_results(environ: Mapping[str, str]) -> Path:
    return gradescope_root(environ) / "results" / "results.json"


def _to_classroom50(report: Report, job: Job, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
    if is_graded(report):
        _CLASSROOM50_RESULT.write_text(classroom50.result(report, environ), encoding="utf-8")


_DELIVERIES = {
    "github": _to_github,
    "gitlab": _to_junit,
    "junit": _to_junit,
    "gradescope": _to_gradescope,
    "classroom50": _to_classroom50,
}


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


@contextmanager
def unobeyed(active: bool, say: Callable[[str], None]) -> Iterator[None]:
    """Have GitHub's runner obey nothing of what is printed meanwhile: it may quote what students wrote."""
    token = secrets.token_hex(16)
    if active:
        say(f"::stop-commands::{token}\n")
    try:
        yield
    finally:
        if active:
            say(f"::{token}::\n")
