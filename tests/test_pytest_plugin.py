"""pytest with submissions: what is collected, what passes, what is said, and what is left alone."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from autograder import cli, pytest_plugin
from autograder.bundle import write as write_bundle
from autograder.confinement import Level
from autograder.grading import bench
from autograder.guests import Settled
from autograder.judge import Bench
from autograder.results import FAULT, CheckResult, ExerciseResult
from tests import small_course
from tests.conftest import ROOT
from tests.small_course import HALF, SQUARED, SUMMED, WEEK, notebook

pytest_plugins = ["pytester"]

CHECKS = {
    "squared_error": ["published", "agrees", "precision", "pure", "is_four_two_apart", "is_symmetric"],
    "half_error": ["published", "agrees", "precision", "pure", "vanishes_at_the_target"],
}


@pytest.fixture(scope="module")
def loaded(small: Path) -> Path:
    """The small course, its modules imported: pytester drops those that a test is the first to import."""
    assert bench(small, WEEK) and cli.main
    return small


@pytest.fixture
def run(pytester: pytest.Pytester, loaded: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs pytest with the plugin, as if it were installed, in an empty folder."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(*arguments: str, own_process: bool = False) -> pytest.RunResult:
        how = pytester.runpytest_subprocess if own_process else pytester.runpytest_inprocess
        return how(
            "-p", "autograder.pytest_plugin", "--week=1", f"--course={loaded}", "--allow-unconfined",
            *arguments,
        )  # fmt: skip

    return run


@pytest.fixture
def right(pytester: pytest.Pytester) -> str:
    return f"--submission={pytester.makefile('.ipynb', ada=notebook(SQUARED, HALF))}"


@pytest.fixture
def wrong(pytester: pytest.Pytester) -> str:
    return f"--submission={pytester.makefile('.ipynb', bob=notebook(SUMMED, HALF))}"


def test_a_right_answer_passes_a_test_for_each_check(run, right: str) -> None:
    result = run(right, "-v")
    result.assert_outcomes(passed=11)
    names = [f"ada::{exercise}::{check}" for exercise, checks in CHECKS.items() for check in checks]
    for name in names:
        result.stdout.re_match_lines([rf"{name}\[(public|hidden)\] PASSED.*"])
    result.stdout.fnmatch_lines(["submissions: 1 of week01_errors, hidden checks, *", "*collected 11 items"])


def test_a_wrong_answer_is_explained_without_a_traceback(run, wrong: str) -> None:
    """What calls it is excused, as in grading; a check that passes earns nothing where agreement fails."""
    result = run(wrong)
    result.assert_outcomes(failed=6, passed=5)
    result.stdout.fnmatch_lines(
        [
            "_* bob::squared_error::agrees[[]hidden[]] *_",
            "A different value: expected 0.5, got 1",
            "*It agrees with the reference on examples drawn from the whole domain. (0 of 2 points)",
            "*What probably went wrong: You add the squares up; the squared error is their mean.",
            "squared_error(x, y)",
            "_* bob::squared_error::is_symmetric[[]hidden[]] *_",
            "Passed, but it counts only once the function agrees with the reference",
            "FAILED bob::squared_error::published[[]public[]]*",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        (["-m", "public"], 3),
        (["-m", "half_error and hidden"], 4),
        (["-k", "agrees"], 2),
        (["-k", "squared_error and not published"], 5),
        (["--deselect", "ada::half_error"], 6),
        (["--tier", "public"], 3),
        (["--strict-markers", "-m", "squared_error"], 6),
    ],
    ids=str,
)
def test_checks_are_chosen_as_tests_are(run, right: str, choice: list[str], chosen: int) -> None:
    result = run(right, "--collect-only", "-q", *choice)
    assert sum("::" in line for line in result.outlines) == chosen


def test_collecting_runs_no_student_code(run, pytester: pytest.Pytester) -> None:
    """Neither does a conftest.py of the student's, or a file that looks like tests."""
    mark = pytester.path / "was-run"
    source = f"open({str(mark)!r}, 'w').write('x')\n"
    pytester.makeconftest(source)
    path = pytester.makepyfile(test_ada=f"{source}\n# %%\n{SQUARED}")
    run("--submission", path.name, "--collect-only").stdout.fnmatch_lines(["*collected 11 items"])
    assert not mark.exists()
    run("--submission", path.name).assert_outcomes(passed=6, failed=5)  # half_error is missing
    assert not mark.exists()


def test_settings_of_a_student_are_not_read(
    run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pytest.ini can have anything imported: paths that pytest would take for its own are refused."""
    mark = pytester.path / "was-run"
    folder = pytester.mkdir("ada")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\naddopts = -p evil\n")
    (folder / "evil.py").write_text(f"open({str(mark)!r}, 'w').write('x')\n")
    (folder / "work.py").write_text(SQUARED + HALF)
    run("--submission=ada/work.py", "-k", "agrees").assert_outcomes(passed=2, deselected=9)
    assert not mark.exists()
    (folder / "pytest.ini").unlink()
    refused = [run("--submission", "ada/work.py")]
    monkeypatch.setenv("PYTEST_ADDOPTS", "--submission ada/work.py")
    for result in [*refused, run()]:
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["*write --submission=ada/work.py, with =*"])


def test_names_of_students_are_harmless(run, pytester: pytest.Pytester) -> None:
    """They are what names of tests are made of."""
    folder = pytester.mkdir("class")
    for name in ("=1+1 [a-b]", "Zoë::x", "%41\x1b[2J"):
        (folder / f"{name}.py").write_text(SQUARED + HALF)
    result = run(f"--submission={folder}", "-k", "agrees", "--junitxml=report.xml", "-v")
    result.assert_outcomes(passed=6, deselected=27)
    result.stdout.fnmatch_lines(["*=1+1 [[]a-b[]]::half_error::agrees[[]hidden[]] PASSED*", "*Zoë__x::*"])
    result.stdout.no_fnmatch_line("*\x1b*")
    assert len(ET.parse(pytester.path / "report.xml").getroot().findall(".//testcase")) == 6


def test_x_stops_at_the_first_loss(run, wrong: str) -> None:
    result = run(wrong, "-x", "-m", "hidden")
    result.assert_outcomes(failed=1, deselected=3)


def test_a_class_with_what_can_not_be_read(run, right: str, pytester: pytest.Pytester) -> None:
    folder = pytester.mkdir("class")
    (folder / "eve.ipynb").write_text("no notebook")
    with zipfile.ZipFile(folder / "zoe.zip", "w") as archive:
        archive.writestr("work.py", SQUARED + HALF)
        archive.writestr("../escaped.py", SQUARED)
    result = run(right, f"--submission={folder}", "-k", "published or left-out")
    result.assert_outcomes(passed=4, failed=3, deselected=27)
    result.stdout.fnmatch_lines(
        ["eve.ipynb: it is no notebook: *", "left out: *escaped.py: its name leads out*"]
    )


def test_a_fault_of_ours_is_an_error(run, right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Bench.judge_exercise

    def faulty(self: Bench, name: str, *arguments: object, **more: object) -> ExerciseResult:
        if name == "half_error":
            raise OSError(28, "No space left on device")
        result = judged(self, name, *arguments, **more)  # type: ignore[arg-type]
        result.checks[0] = CheckResult("published", "", "public", FAULT, 0, 1, "every example was left out")
        return result

    monkeypatch.setattr(Bench, "judge_exercise", faulty)
    result = run(right)
    result.assert_outcomes(passed=5, errors=6)
    result.stdout.fnmatch_lines(["a fault of ours: every example was left out", "*No space left on device*"])


def test_junit_has_each_check_with_its_explanation(run, wrong: str, pytester: pytest.Pytester) -> None:
    run(wrong, "--junitxml=report.xml")
    cases = ET.parse(pytester.path / "report.xml").getroot().findall(".//testcase")
    assert {(c.get("classname"), c.get("name")) for c in cases} >= {
        ("bob.squared_error", "agrees[hidden]"),
        ("bob.half_error", "vanishes_at_the_target[hidden]"),
    }
    failures = [c.find("failure") for c in cases if c.find("failure") is not None]
    assert len(cases) == 11 and len(failures) == 6
    assert all("their mean" in (f.text or "") for f in failures if f is not None)


@pytest.mark.slow
def test_xdist_gives_the_same(run, right: str, wrong: str) -> None:
    result = run(
        "-p", "xdist", "-n", "2", right, wrong, "-v", own_process=True
    )  # fmt: skip
    result.assert_outcomes(failed=6, passed=16)
    lines = [line.split() for line in result.outlines if line.startswith("[gw")]
    workers = {name: {w[0] for w in lines if w[-1].startswith(f"{name}::")} for name in ("ada", "bob")}
    assert all(len(found) == 1 for found in workers.values()), workers  # a notebook is run once


DOCUMENTED = small_course.documented(ROOT / "docs" / "pytest.md")


@pytest.mark.parametrize("command", DOCUMENTED, ids=" ".join)
def test_what_the_documentation_says_works(run, pytester: pytest.Pytester, command: list[str]) -> None:
    """Ada's answer is right, and so is all of the class'."""
    source = notebook(SQUARED, HALF)
    pytester.makefile(".ipynb", ada=source)
    folder = pytester.mkdir("submitted")
    for student in ("bob", "eve"):
        (folder / f"{student}.ipynb").write_text(source)
    program, *arguments = command
    distributed = "-n" in arguments
    result = run(*arguments, *(["-p", "xdist"] if distributed else []), own_process=distributed)
    assert program == "pytest" and result.ret == 0
    assert result.parseoutcomes()["passed"] > 0


def test_students_bundles_will_do(pytester: pytest.Pytester, small: Path, right: str, run) -> None:
    stubs = "".join(f"def {name}(x, y):\n    raise NotImplementedError\n\n" for name in CHECKS)
    path = pytester.path / f"{WEEK}.checks"
    write_bundle(bench(small, WEEK), stubs, path)
    run(right, f"--week={path}").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--submission", "nowhere.ipynb"], "there is no nowhere.ipynb"),
        (["--submission", ".", "--week=7"], "week '7' is not in"),
        (["--submission", ".", "--week="], "--week week07_vae"),
        (["--submission", ".", "test_it.py"], "nothing else is run"),
        (["--submission", ".", "--week=gone.checks"], "gone.checks"),
        (["--submission", "."], "no submission of week01_errors"),
    ],
)
def test_usage_errors_name_the_way_out(
    run, pytester: pytest.Pytester, arguments: list[str], word: str
) -> None:
    result = run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{word}*"])


def test_missing_confinement_is_refused(run, right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograder.guests.settle", lambda secrets: Settled(Level("none", "none"), ()))
    result = run(right, "--require-confinement")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*not confined as required*"])


def test_other_projects_keep_their_options_and_their_time(pytester: pytest.Pytester) -> None:
    """Without --submission nothing is imported, and --week and --tier may be anybody's."""
    pytester.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--week')\n")
    pytester.makepyfile(
        "import sys\n\ndef test_it(request):\n    assert request.config.getoption('week') == '9'\n"
        "    assert not {'torch', 'autograder.grading', 'autograder.cli'} & set(sys.modules)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "autograder.pytest_plugin", "--week", "9"]
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=pytester.path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_package_registers_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert import_module(project["entry-points"]["pytest11"]["autograder"]) is pytest_plugin


def test_the_small_course_is_not_touched(small: Path) -> None:
    assert all((small / name).read_text() == text.lstrip("\n") for name, text in small_course.FILES.items())
