"""The commands as a person calls them: what they print, what they write, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from autograder.cli import main
from autograder.results import Report
from tests.conftest import ROOT

COURSE = ["--course", str(ROOT)]
SCHEMA = json.loads((ROOT / "autograder" / "report.schema.json").read_text())

RIGHT = """
def reparameterize(mu, logvar, eps):
    return mu + (logvar / 2).exp() * eps
"""


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def submissions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Python file that answers one exercise, something unreadable, and an empty notebook."""
    folder = tmp_path_factory.mktemp("handed-in")
    (folder / "ada.py").write_text(RIGHT)
    (folder / "bob.ipynb").write_text("this is no notebook")
    (folder / "eve.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    return folder


@pytest.fixture(scope="module")
def graded(submissions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("reports")
    return out, _run("grade", "week07_vae", str(submissions), "--out", str(out), "--jobs", "1", *COURSE)


def test_every_command_has_help_with_an_example() -> None:
    for name in main.commands:
        result = _run(name, "--help")
        assert result.exit_code == 0 and "Example: autograder " + name in result.output


def test_grade_writes_reports_that_the_schema_knows(graded: tuple[Path, Result]) -> None:
    out, result = graded
    assert result.exit_code == 1, result.output
    assert sorted(p.name for p in out.glob("*.json")) == ["ada.json", "bob.json", "eve.json"]
    for path in out.glob("*.json"):
        jsonschema.validate(json.loads(path.read_text()), SCHEMA)
    ada, bob, eve = (Report.load(out / f"{name}.json") for name in ("ada", "bob", "eve"))
    assert ada.exercises[0].status == "passed" and {e.status for e in ada.exercises[1:]} == {"missing"}
    assert ada.score == ada.exercises[0].max_score > 0
    assert bob.status == "unreadable" and bob.problems
    assert eve.status == "graded" and eve.score == 0


def test_report_makes_pages(graded: tuple[Path, Result]) -> None:
    out, _ = graded
    result = _run("report", str(out))
    assert result.exit_code == 0
    assert {"index.html", "ada.html", "bob.html", "eve.html"} <= {p.name for p in out.iterdir()}
    assert "reparameterize" in (out / "ada.html").read_text()


def test_grade_with_two_judges_gives_the_same(
    submissions: Path, graded: tuple[Path, Result], tmp_path: Path
) -> None:
    _run("grade", "7", str(submissions), "--out", str(tmp_path), "--jobs", "2", *COURSE)
    for path in graded[0].glob("*.json"):
        one, two = (json.loads(p.read_text()) for p in (path, tmp_path / path.name))
        one["times"] = two["times"] = {}
        assert one == two


def test_build_writes_the_source_notebook(tmp_path: Path) -> None:
    result = _run("build", "vae", "--to", str(tmp_path), *COURSE)
    assert result.exit_code == 0, result.output
    notebook = json.loads((tmp_path / "week07_vae" / "week07_vae.ipynb").read_text())
    assert any("### BEGIN SOLUTION" in "".join(cell["source"]) for cell in notebook["cells"])


def test_qualify_as_json() -> None:
    result = _run("qualify", "7", "--exercise", "reparameterize", "--format", "json", *COURSE)
    found = json.loads(result.stdout)
    assert result.exit_code == 0
    assert found["exceptions"] == []
    for kind in ("accepted", "mistakes", "stubs", "checks"):
        assert found[kind]["total"] == found[kind]["as_expected"] > 0


def test_doctor_says_how_guests_are_confined() -> None:
    result = _run("doctor", *COURSE)
    assert result.exit_code == 0, result.output
    assert "guest: forked" in result.output and "box none, seal none" in result.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["build", "week99", "--to", "x"], "week99"),
        (["grade", "7", ".", "--out", "x", "--jobs", "0"], "--jobs"),
        (["report", "."], "autograder grade"),
        (["check", "README.md"], ".checks"),
        (["qualify", "7", "--exercise", "klee"], "klee"),
        (["build", "7", "--course", "/"], "course.toml"),
    ],
)
def test_usage_errors_exit_with_2_and_name_the_way_out(
    arguments: list[str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = _run(*arguments)
    assert result.exit_code == 2, result.output
    assert word in result.output
