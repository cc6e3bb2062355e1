"""The commands as a person calls them: what they print, what they write, how they exit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner, Result

from autograder.cli import main
from autograder.results import Report
from tests.conftest import ROOT
from tests.sample_reports import without_ours

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
    names = {"index.html", "scores.csv", "ada.html", "bob.html", "eve.html"}
    assert names <= {p.name for p in out.iterdir()}
    assert "reparameterize" in (out / "ada.html").read_text()


def test_grade_with_two_judges_gives_the_same(
    submissions: Path, graded: tuple[Path, Result], tmp_path: Path
) -> None:
    _run("grade", "7", str(submissions), "--out", str(tmp_path), "--jobs", "2", *COURSE)
    for path in graded[0].glob("*.json"):
        one, two = (json.loads(p.read_text()) for p in (path, tmp_path / path.name))
        one["times"] = two["times"] = {}
        assert one == two


HIJACK = """
if __name__ != "__main__":
    open("hijacked", "a").write(__name__)
"""
DEEP = {"cell_type": "code", "source": "+" * 100_000 + "1", "metadata": {"nbgrader": {"grade_id": "elbo"}}}
RAISING = "raise type('<script>x</script>', (Exception,), {})('\\x1b]0;title\\x07\\x9b31m<b>')"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.mark.slow
def test_a_hostile_class_is_graded_from_its_own_folder(tmp_path: Path) -> None:
    """Its files have the names of modules that workers begin with, and none runs outside of a guest."""
    folder, out, scratch = tmp_path / "class", tmp_path / "reports", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    for name in ("multiprocessing", "struct", "torch"):
        (folder / f"{name}.py").write_text(HIJACK)
    (folder / "[link=attacker.example][red]x\x1b[2J.py").write_text(RIGHT)
    (folder / "=1+1.py").write_text(RAISING)
    (folder / "deep.ipynb").write_text(json.dumps({"cells": [DEEP]}))
    (folder / "link.py").symlink_to("=1+1.py")
    (folder / "broken.zip").write_bytes(b"PK")
    with zipfile.ZipFile(folder / "ada.zip", "w") as archive:
        archive.writestr("homework/final.py", RIGHT)
        archive.writestr("../../escaped.py", RIGHT)
    script = tmp_path / "autograder"
    script.write_text("from autograder.cli import main\n\nif __name__ == '__main__':\n    main()\n")
    command = [sys.executable, str(script), "grade", "7", ".", "--out", str(out), "--tier", "public"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(scratch)}
    environment.pop("PYTHONSAFEPATH", None)
    done = subprocess.run(
        [*command, "--jobs", "2", *COURSE], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert not (folder / "hijacked").exists()
    assert not OBEYED.search(done.stdout + done.stderr)
    assert "../../escaped.py: its name leads out" in done.stderr and "called [link=attacker" in done.stderr
    assert not list(tmp_path.rglob("escaped*")) and not list(scratch.iterdir())
    reports = {r.student: r for r in map(Report.load, out.glob("*.json"))}
    names = ["=1+1", "[link=attacker.example][red]x_[2J", "ada", "broken", "deep", "link"]
    assert sorted(reports) == sorted([*names, "multiprocessing", "struct", "torch"])
    unreadable = {name for name, report in reports.items() if report.status == "unreadable"}
    assert unreadable == {"broken", "link"}
    assert {r.status for name, r in reports.items() if name not in unreadable} == {"graded"}
    assert reports["ada"].score == reports["[link=attacker.example][red]x_[2J"].score > 0
    assert [(c.name, c.message) for c in reports["=1+1"].cells] == [("<script>x</script>", "<b>")]
    for path in out.glob("*.json"):
        assert not OBEYED.search(path.read_text("utf-8"))
    assert _run("report", str(out)).exit_code == 0
    rows = (out / "scores.csv").read_text("utf-8").splitlines()
    assert len(rows) == 10 and sum(row.startswith("'=1+1,") for row in rows) == 1
    for path in out.glob("*.html"):
        page = path.read_text("utf-8")
        assert "<script" not in without_ours(page)
        assert "Content-Security-Policy" in page and not OBEYED.search(page)


def test_what_was_left_out_costs_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all that could be graded has full marks."""
    full = Report("week07_vae", "Autoencoders", "ada", 1.0, 1.0, [])
    monkeypatch.setattr("autograder.grading.grade_all", lambda *args, **options: iter([full]))
    archive = tmp_path / "class.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("ada.py", RIGHT)
    arguments = ("grade", "7", str(archive), "--out", str(tmp_path / "reports"), *COURSE)
    assert _run(*arguments).exit_code == 0
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("/bob.py", RIGHT)
    result = _run(*arguments)
    assert result.exit_code == 1 and "left out: class.zip: /bob.py: its name leads out" in result.stderr


def test_reports_of_another_week_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ada.py").write_text(RIGHT)
    kept = tmp_path / "reports" / "ada.json"
    kept.parent.mkdir()
    kept.write_text(Report("week06_transformers", "Transformers", "ada", 1.0, 1.0, []).to_json())
    before = kept.read_text()
    result = _run("grade", "7", str(tmp_path / "ada.py"), "--out", str(kept.parent), *COURSE)
    assert result.exit_code == 2 and "holds reports of week06_transformers" in result.stderr
    assert kept.read_text() == before


def test_a_disk_without_room_is_our_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autograder.collect.find_submissions", full)
    result = _run("grade", "7", str(tmp_path), "--out", str(tmp_path / "reports"), *COURSE)
    assert result.exit_code == 3 and "No space left on device" in result.stderr and "TMPDIR" in result.stderr


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
    assert "guest: forked" in result.output and "guests run with box" in result.output
    assert all(f" {what}: " in result.output for what in ("box bubblewrap", "box container", "seal landlock"))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["build", "week99", "--to", "x"], "week99"),
        (["grade", "7", ".", "--out", "x", "--jobs", "0"], "--jobs"),
        (["report", "."], "autograder grade"),
        (["grade", "7", "nowhere", "--out", "x"], "nowhere"),
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
