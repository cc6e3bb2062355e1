"""Building source notebooks and releasing assignments to students."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from autograder import __version__, bundle, notebooks
from autograder.course import Course, CourseError, Week
from autograder.judge import Bench
from autograder.qualify import qualify
from autograder.templating import environment

TITLES = "the titles of hidden checks"


class ReleaseRefused(CourseError):
    """The assignment is not fit for students; the message says why."""


def build(week: Week, folder: Path) -> list[Path]:
    """Write `<folder>/<week>`, from which nbgrader releases: the notebook with the model solutions, and the
    public checks, which go to students as they are.
    """
    path = folder / week.name / f"{week.name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    source = notebooks.build_source(week)
    nbformat.write(source, path)
    checks = path.with_name(week.name + bundle.SUFFIX)
    stubs = bundle.stub_source(notebooks.clear_solutions(source), [e.name for e in week.exercises])
    bundle.write(Bench(week), stubs, checks)
    return [path, checks]


def release(course: Course, name: str, to: Path, force_unqualified: bool = False) -> list[Path]:
    """Write the student bundle of a week into `<to>/<week>`: notebook, public checks, how to begin.

    Raises:
        ReleaseRefused: the assignment does not qualify, or something secret is in the bundle.
    """
    week = course.week(name)
    ready = Bench(week)
    if not force_unqualified:
        found = qualify(week)
        if not found.passed:
            problems = "\n".join(f"  {problem}" for problem in found.exceptions)
            raise ReleaseRefused(f"{week.name} does not qualify, so it is not released:\n{problems}")
    folder = to / week.name
    if folder.exists() and any(folder.iterdir()):
        raise ReleaseRefused(f"{folder} is not empty: release into a new folder, or delete it first")
    folder.mkdir(parents=True, exist_ok=True)
    source = notebooks.build_source(week)
    released = notebooks.clear_solutions(source)
    paths = [folder / f"{week.name}.ipynb", folder / f"{week.name}{bundle.SUFFIX}", folder / "README.md"]
    nbformat.write(released, paths[0])
    stubs = bundle.stub_source(released, [e.name for e in week.exercises])
    bundle.write(ready, stubs, paths[1])
    wheel = build_wheel(folder)
    files = {
        paths[0].name: "the notebook: lesson, exercises, and a cell to check each",
        paths[1].name: "the public checks with recorded answers; keep it beside the notebook",
    }
    if wheel is not None:
        files[wheel.name] = "the package to install, which runs the checks"
        paths.append(wheel)
    readme = environment().get_template("README-student.md.j2")
    requirement = f"./{wheel.name}" if wheel is not None else f"genai-autograder=={__version__}"
    paths[2].write_text(readme.render(week=week, files=files, requirement=requirement))
    leaks = list(secrets_in(week, paths))
    if leaks:
        shutil.rmtree(folder)
        raise ReleaseRefused(f"{week.name} is not released, since the bundle would hold {'; '.join(leaks)}")
    return paths


def build_wheel(folder: Path) -> Path | None:
    """The package, built into a folder where its source is at hand; CourseError says why it can't be."""
    source = Path(__file__).resolve().parent.parent
    if not (source / "pyproject.toml").is_file():
        return None
    build = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(folder.resolve())],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise CourseError(f"the students' wheel can't be built: {made.stderr.strip().splitlines()[-1]}")
    return folder / made.stdout.split()[-1]


def secrets_in(week: Week, paths: list[Path]) -> list[str]:
    """What of the solutions, the hidden checks or the seed stands in these files, in words."""
    found = []
    texts = {path: _text(path) for path in paths}
    for what, lines in _secrets(week).items():
        for path, text in texts.items():
            if what == TITLES and path.suffix == ".whl":
                continue  # its example course has titles of its own
            for line in lines:
                if _squeezed(line) in text:
                    found.append(f"a line of {what} in {path.name}: {line.strip()!r}")
                    break
    return found


def _text(path: Path) -> str:
    if path.suffix == bundle.SUFFIX:
        from autograder.store import unpack

        return _squeezed(repr(unpack(path.read_bytes())).replace("\\n", "\n"))
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return _squeezed("\n".join(archive.read(n).decode(errors="replace") for n in archive.namelist()))
    if path.suffix == ".ipynb":
        return _squeezed("\n".join(cell.source for cell in nbformat.read(path, 4).cells))
    return _squeezed(path.read_text())


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\\'\"]", "", text)


def _secrets(week: Week) -> dict[str, list[str]]:
    """Lines that students may not see, by what they are from."""
    public = (
        _squeezed((week.folder / "public_checks.py").read_text())
        if (week.folder / "public_checks.py").is_file()
        else ""
    )
    lesson = _squeezed((week.folder / "lesson.md").read_text())
    secrets = {"the seed": [week.seed]}
    hidden = week.folder / "hidden_checks.py"
    if hidden.is_file():
        titles, code = _docstrings_and_code(hidden.read_text())
        secrets["the hidden checks"] = _telling(code, public + lesson)
        # Feedback tells these; before it, students don't know what they will be asked. Sentences they have.
        sentences = _squeezed("\n".join(s.sentence or "" for s in week.solutions))
        secrets[TITLES] = _telling(titles, public + lesson + sentences)
    for exercise in week.exercises:
        solution = _model_solution(exercise.reference)
        secrets[f"the solution of {exercise.name}"] = _telling(
            solution, lesson + _squeezed(exercise.reference.__doc__ or "")
        )
    return secrets


def _model_solution(reference: object) -> str:
    marked = notebooks.marked_source(reference)  # type: ignore[arg-type]
    parts = re.findall(rf"{notebooks.BEGIN}\n(.*?){notebooks.END}", marked, re.DOTALL)
    return "\n".join(parts)


def _docstrings_and_code(source: str) -> tuple[str, str]:
    lines = source.splitlines()
    titles = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.end_lineno:
            titles |= set(range(node.lineno - 1, node.end_lineno))
    told = [line.replace('"""', "") for i, line in enumerate(lines) if i in titles]
    return "\n".join(told), "\n".join(line for i, line in enumerate(lines) if i not in titles)


def _telling(source: str, known: str) -> list[str]:
    """The lines long enough to be told from chance, that students don't have anyway."""
    lines = []
    for line in source.splitlines():
        code = line.split("#")[0].strip()
        if (
            len(code) >= 24
            and not code.startswith(("from ", "import "))
            and not code.endswith(":")
            and _squeezed(code) not in known
        ):
            lines.append(code)
    return lines
