"""A week's life in a new course by the documented commands alone, on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import html
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

from tests.conftest import ROOT
from tests.postgres import server
from tests.small_course import commands

WEEK = "week01_squared_error"
RIGHT = "def squared_error(x, y):\n    return ((x - y) ** 2).mean(-1)"
WRONG = "def squared_error(x, y):\n    return ((x - y) ** 2).sum(-1)"

pytestmark = pytest.mark.slow


class Terminal:
    """Commands as a person types them, in a folder, with a home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        self.ran: list[str] = []
        home.mkdir(exist_ok=True)

    def __call__(self, command: str, rc: int = 0) -> str:
        self.ran.append(command)
        program, *arguments = command.split()
        module = {"autograder": "autograder.cli", "nbgrader": "nbgrader"}[program]
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
        }
        made = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert made.returncode == rc, f"{command}\n{made.stdout}\n{made.stderr}"
        return made.stdout + made.stderr


def _configure(course: Path, exchange: Path, *lines: str) -> None:
    exchange.mkdir(exist_ok=True)
    exchange.chmod(0o777)
    with (course / "nbgrader_config.py").open("a") as file:
        file.write("\n".join([f"c.Exchange.root = {str(exchange)!r}", *lines, ""]))


def _answer(notebook: Path, code: str, written: str) -> None:
    nb = nbformat.read(notebook, 4)
    for cell in nb.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = {"squared_error": code, "why_squared": written}.get(name) or cell.source
    nbformat.write(nb, notebook)


def _grades(course: Path) -> dict[str, float]:
    with (course / "grades.csv").open() as file:
        return {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)}


def test_a_week_from_nothing_to_feedback(tmp_path: Path) -> None:
    """With every command that docs/instructor.md names."""
    course, exchange = tmp_path / "my-course", tmp_path / "exchange"
    begin = Terminal(tmp_path, tmp_path / "home")
    begin("autograder new-course my-course --title Course")
    _configure(course, exchange)
    teacher = Terminal(course, tmp_path / "home")
    assert "qualified" in teacher(f"autograder qualify {WEEK}")
    teacher(f"autograder build {WEEK}")
    teacher(f"nbgrader generate_assignment {WEEK}")
    teacher(f"nbgrader release_assignment {WEEK}")

    desk = tmp_path / "desk"
    desk.mkdir()
    shutil.copy(course / "nbgrader_config.py", desk)
    student = Terminal(desk, tmp_path / "student")
    student(f"nbgrader fetch_assignment {WEEK}")
    assert sorted(p.name for p in (desk / WEEK).iterdir()) == [f"{WEEK}.checks", f"{WEEK}.ipynb"]
    _answer(desk / WEEK / f"{WEEK}.ipynb", WRONG, "It is smooth.")
    assert "VALIDATION FAILED" in student(f"nbgrader validate {WEEK}/{WEEK}.ipynb")
    _answer(desk / WEEK / f"{WEEK}.ipynb", RIGHT, "It is smooth.")
    assert "Success" in student(f"nbgrader validate {WEEK}/{WEEK}.ipynb")
    student(f"nbgrader submit {WEEK}")

    teacher(f"nbgrader collect {WEEK}")
    (me,) = (p.name for p in (course / "submitted").iterdir())
    _answer(desk / WEEK / f"{WEEK}.ipynb", WRONG, "")
    archive = course / "downloaded" / WEEK / "archive"
    archive.mkdir(parents=True)
    with zipfile.ZipFile(archive / "class.zip", "w") as file:
        file.write(desk / WEEK / f"{WEEK}.ipynb", f"bob_2020-01-01-10-00-00_{WEEK}.ipynb")
    teacher(f"nbgrader zip_collect {WEEK}")

    teacher(f"nbgrader autograde {WEEK}")
    teacher("nbgrader export")
    by_nbgrader = _grades(course)
    assert set(by_nbgrader) == {me, "bob"} and by_nbgrader[me] > by_nbgrader["bob"] == 0
    shutil.rmtree(course / ".autograder" / "results")
    assert "left to grade by hand" in teacher(f"autograder grade {WEEK} --jobs 2", rc=1)
    teacher("nbgrader export")
    assert _grades(course) == by_nbgrader

    teacher(f"nbgrader generate_feedback {WEEK}")
    # nbgrader releases feedback for what came through the exchange; bob's page is handed on otherwise.
    teacher(f"nbgrader release_feedback {WEEK} --CourseDirectory.student_id_exclude=bob")
    page = (course / "feedback" / "bob" / WEEK / f"{WEEK}.html").read_text()
    assert "You add the squares up" in page
    student(f"nbgrader fetch_feedback {WEEK}")
    assert list(desk.rglob("feedback/**/*.html"))
    teacher(f"autograder report reports/{WEEK}")
    assert (course / "reports" / WEEK / "bob.html").is_file()

    ran = [f"{line} " for line in (*begin.ran, "cd my-course", *teacher.ran)]
    named = commands(ROOT / "docs" / "instructor.md")
    assert [line for line in named if not any(r.startswith(f"{line} ") for r in ran)] == []

    hidden = (course / "assignments" / WEEK / "hidden_checks.py").read_text()
    telling = [line.strip() for line in hidden.splitlines() if "f(x, y)" in line]
    assert telling
    released = [p.read_text(errors="replace") for p in desk.rglob("*") if p.is_file()]
    with sqlite3.connect(course / "gradebook.db") as db:
        released += [source or "" for (source,) in db.execute("select source from source_cell")]
    released.append(html.unescape(re.sub("<[^>]+>", "", page)))
    assert not [line for line in telling if any(line in text for text in released)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The URL of a database on a PostgreSQL server that was started for this test."""
    with server() as url:
        yield url


def test_the_gradebook_may_be_on_postgresql(tmp_path: Path, postgres: str) -> None:
    course = tmp_path / "course"
    Terminal(tmp_path, tmp_path / "home")("autograder new-course course")
    _configure(course, tmp_path / "exchange", f"c.CourseDirectory.db_url = {postgres!r}")
    teacher = Terminal(course, tmp_path / "home")
    teacher(f"autograder build {WEEK}")
    teacher(f"nbgrader generate_assignment {WEEK}")
    for name, code in (("ada", RIGHT), ("bob", WRONG)):
        path = course / "submitted" / name / WEEK / f"{WEEK}.ipynb"
        path.parent.mkdir(parents=True)
        shutil.copy(course / "release" / WEEK / f"{WEEK}.ipynb", path)
        _answer(path, code, "It is smooth.")
    teacher(f"autograder grade {WEEK} --jobs 1", rc=1)
    teacher("nbgrader export")
    ours = _grades(course)
    assert ours["ada"] > ours["bob"] == 0
    teacher(f"nbgrader autograde {WEEK} --force")
    teacher("nbgrader export")
    assert _grades(course) == ours
    assert not (course / "gradebook.db").exists()
