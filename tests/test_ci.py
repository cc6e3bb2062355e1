"""CI jobs from the outside: what they print, write and exit with, where students and instructors run them."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import junitparser
import pytest
import sample_reports
from check_jsonschema.builtin_schemas import get_builtin_schema
from click.testing import CliRunner, Result
from jsonschema.validators import validator_for
from ruamel.yaml import YAML

from autograder import ci as work
from autograder.cli import main
from autograder.guests import ZygoteFailed
from autograder.nbgrader.scaffold import EXAMPLE
from autograder.results import Report
from tests.conftest import ROOT
from tests.test_formats import CLASSROOM50, GRADESCOPE, ROSTER, RUNNER, WORKSHEET, everything
from tests.test_results import VALIDATOR

RIGHT = "def squared_error(x, y):\n    return ((x - y) ** 2).mean(-1)\n"
WRONG = "def squared_error(x, y):\n    return ((x - y) ** 2).sum(-1)\n"
HOSTILE = WRONG + "\nprint('::error::printed')\nraise ValueError('\\n::error::raised\\n##[error]old')\n"
# What this test's own surroundings may have set.
CLEARED = dict.fromkeys(
    ["GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_WORKSPACE", "GITHUB_ACTOR",
     "GITLAB_CI", "GITLAB_USER_LOGIN", "AUTOGRADER_COURSE", "AUTOGRADER_GRADESCOPE", *RUNNER]
)  # fmt: skip


@pytest.fixture(autouse=True)
def a_process_of_their_own() -> Iterator[None]:
    """Commands find the references of their own course, as if no other course had been loaded before."""

    def references() -> dict[str, ModuleType]:
        return {n: m for n, m in sys.modules.items() if n.partition(".")[0] == "reference_impl"}

    kept, path = references(), sys.path.copy()
    for name in kept:
        del sys.modules[name]
    yield
    for name in references():
        del sys.modules[name]
    sys.modules.update(kept)
    sys.path[:] = path


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a new course and, beside it, what students get of its week."""
    folder = tmp_path_factory.mktemp("released")
    # As commands: two courses in one process would share the name of their references.
    for words in (("new-course", "course"), ("build", EXAMPLE, "--to", ".", "--course", "course")):
        command = [sys.executable, "-m", "autograder.cli", *words]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def repository(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A student's repository, with a wrong answer; the working directory."""
    folder = tmp_path / "repository"
    shutil.copytree(released / EXAMPLE, folder / "homework")
    _answer(folder / "homework" / f"{EXAMPLE}.ipynb", WRONG)
    monkeypatch.chdir(folder)
    return folder


def _answer(notebook: Path, code: str) -> None:
    data = json.loads(notebook.read_text())
    (cell,) = (
        c for c in data["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "squared_error"
    )
    cell["source"] = code
    notebook.write_text(json.dumps(data))


def autograder(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={**CLEARED, "COLUMNS": "120", **environment})


Handing = Callable[[Report], None]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handing:
    """Have public checks come to a given report."""

    def hand(report: Report) -> None:
        monkeypatch.setattr("autograder.grading.grade_submission", lambda *_, **__: report)
        monkeypatch.setattr("autograder.guests.Zygote", _NoZygote)

    return hand


class _NoZygote:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


# Where students push


def test_in_a_students_repository_on_github_public_checks_advise(repository: Path, tmp_path: Path) -> None:
    _answer(repository / "homework" / f"{EXAMPLE}.ipynb", HOSTILE)
    files = {"GITHUB_STEP_SUMMARY": tmp_path / "summary.md", "GITHUB_OUTPUT": tmp_path / "output"}
    files["GITHUB_STEP_SUMMARY"].write_text("Before.\n")
    done = autograder(
        "ci", GITHUB_ACTIONS="true", GITHUB_ACTOR="ada", **{k: str(v) for k, v in files.items()}
    )
    assert done.exit_code == 1, done.output
    report = Report.load(repository / "autograder-report" / "report.json")
    VALIDATOR.validate(json.loads(report.to_json()))
    assert (report.student, report.tiers, report.score) == ("ada", ["public"], 0)
    assert report.cells and "::error::raised" in report.cells[0].message

    # What the job printed: nothing of the student's is where the runner looks for commands.
    begin = re.match(r"::stop-commands::([0-9a-f]{32})\n", done.stdout)
    assert begin
    shown, found, said = done.stdout.partition(f"\n::{begin[1]}::\n")
    assert found and "::error::raised" in shown and "advise you and grade nothing" in " ".join(shown.split())
    (line,) = said.splitlines()
    assert line.startswith("::warning title=squared_error%3A 0 of 2 points,file=homework/")
    assert "You add the squares up" in line

    summary = files["GITHUB_STEP_SUMMARY"].read_text()
    assert summary.startswith("Before.\n## Squared error\n") and "advise you" in summary
    name, _, value = files["GITHUB_OUTPUT"].read_text().partition("=")
    assert name == "result" and json.loads(base64.b64decode(value))["status"] == "fail"


def test_a_right_answer_passes_on_gitlab(repository: Path) -> None:
    _answer(repository / "homework" / f"{EXAMPLE}.ipynb", RIGHT)
    done = autograder("ci", "1", GITLAB_CI="true", GITLAB_USER_LOGIN="ada")
    assert done.exit_code == 0, done.output
    assert "::" not in done.stdout
    (suite,) = junitparser.JUnitXml.fromfile("autograder-report/junit.xml")
    assert (suite.tests, suite.failures, suite.errors) == (2, 0, 0)


@pytest.mark.parametrize("platform", ["GITHUB_ACTIONS", "GITLAB_CI", ""])
@pytest.mark.parametrize(
    ("report", "code"),
    [
        (sample_reports.a_report("ada"), 0),
        (everything(), 1),
        (sample_reports.unreadable(), 1),
        (sample_reports.our_fault(), 3),
    ],
    ids=["passed", "lost", "unreadable", "fault"],
)
def test_exit_codes(repository: Path, handed: Handing, report: Report, code: int, platform: str) -> None:
    handed(report)
    done = autograder("ci", **({platform: "true"} if platform else {}))
    assert done.exit_code == code, done.output
    assert Report.load(repository / "autograder-report" / "report.json") == report
    assert (repository / "autograder-report" / "junit.xml").is_file() == (platform == "GITLAB_CI")
    assert ("::stop-commands::" in done.stdout) == (platform == "GITHUB_ACTIONS")


def test_no_guest_is_a_fault(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZygoteFailed("no memory")

    monkeypatch.setattr("autograder.guests.Zygote", fails)
    done = autograder("ci", GITLAB_CI="true")
    assert done.exit_code == 3, done.output
    (case,) = next(iter(junitparser.JUnitXml.fromfile("autograder-report/junit.xml")))
    assert [type(r) for r in case.result] == [junitparser.Error]


def test_what_nobody_foresaw_is_a_fault_and_no_lost_points(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.bundle.Published.load", lambda path: 1 / 0)
    done = autograder("ci", GITHUB_ACTIONS="true")
    assert done.exit_code == 3 and "ZeroDivisionError" in done.stderr
    assert (
        done.stdout.splitlines()[-1].startswith("::") and "stop-commands" not in done.stdout.splitlines()[-1]
    )


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["week02_other"], "no file *.checks of week02_other"),
        (["--tier", "hidden"], "need a course folder"),
        (["week02_other", "--checks", f"homework/{EXAMPLE}.checks"], "not of week02_other"),
        (["--course", "homework"], "no course.toml"),
        (["--format", "classroom50"], "CLASSROOM, ASSIGNMENT"),
    ],
)
def test_wrong_usage_says_the_way_out(
    repository: Path, handed: Handing, arguments: list[str], complaint: str
) -> None:
    handed(sample_reports.a_report("ada"))
    done = autograder("ci", *arguments)
    assert done.exit_code == 2 and complaint in " ".join(done.stderr.split())


def test_several_weeks_have_to_be_told_apart(repository: Path, handed: Handing) -> None:
    handed(sample_reports.a_report("ada"))
    other = repository / "other"
    other.mkdir()
    shutil.copy(repository / "homework" / f"{EXAMPLE}.checks", other / "week02_other.checks")
    assert "say which week" in " ".join(autograder("ci").stderr.split())
    for name in (EXAMPLE, "1", "squared_error"):
        assert autograder("ci", name).exit_code == 0


def test_checks_of_other_projects_in_hidden_folders_are_not_found(repository: Path) -> None:
    shutil.copytree(repository / "homework", repository / ".cache" / "homework")
    shutil.copytree(repository / "homework", repository / "a" / "b" / "c" / "d")
    assert work.find_checks(repository) == [repository / "homework" / f"{EXAMPLE}.checks"]


def test_classroom50_finds_its_result(repository: Path, handed: Handing) -> None:
    handed(everything())
    checks = f"homework/{EXAMPLE}.checks"
    assert (
        autograder("ci", "--checks", checks, GITHUB_ACTIONS="true", USERNAME="eve", **RUNNER).exit_code == 1
    )
    data = json.loads(Path("result.json").read_text())
    CLASSROOM50.validate(data)
    assert (data["owner"], data["score"], data["max-score"]) == ("eve", 34, 44)
    assert "advise" not in autograder("ci", "--checks", checks, **RUNNER).output  # there, it is the score
    handed(sample_reports.our_fault())
    assert autograder("ci", "--checks", checks, **RUNNER).exit_code == 3
    assert not Path("result.json").exists()


def test_a_result_that_a_student_has_put_there_is_not_taken_for_ours(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if grading ends in a way that nobody foresaw."""
    outside = repository.parent / "outside.json"
    outside.write_text("{}")
    Path("result.json").symlink_to(outside)
    (repository / "autograder-report").mkdir()
    (repository / "autograder-report" / "report.json").write_text(sample_reports.a_report("ada").to_json())
    monkeypatch.setattr("autograder.bundle.Published.load", lambda path: 1 / 0)
    done = autograder("ci", "--checks", f"homework/{EXAMPLE}.checks", **RUNNER)
    assert done.exit_code == 3, done.output
    assert not os.path.lexists("result.json") and outside.read_text() == "{}"
    assert not list((repository / "autograder-report").iterdir())


# Where instructors run them


@pytest.mark.slow
def test_with_a_course_hidden_checks_are_done_and_show_what_is_revealed(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ada.py").write_text(WRONG)
    summary = tmp_path / "summary.md"
    surroundings = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTOR": "teacher"}
    given = ["--course", str(released / "course"), "--notebook", "ada.py", "--reveal", "names"]
    done = autograder("ci", EXAMPLE, *given, "--allow-unconfined", **surroundings)
    assert done.exit_code == 1, done.output
    report = Report.load(Path("autograder-report/report.json"))
    assert (report.student, report.tiers) == ("ada", ["public", "hidden"])
    (agrees,) = (c for c in report.exercises[0].checks if c.name == "agrees")
    assert agrees.tier == "hidden" and agrees.counterexample and report.exercises[0].misconception
    for text in (done.output, summary.read_text()):
        assert "advise" not in text and "You add the squares up" not in text
        assert "agrees with the reference on examples" in " ".join(text.split())
    secret = _inputs(report, "hidden") - _inputs(report, "public")
    assert secret and not [code for code in secret if code in done.output + summary.read_text()]
    assert "::error title=squared_error%3A 0 of 9 points" in done.stdout


@pytest.fixture(scope="module")
def archive(released: Path) -> Path:
    path = released / "autograder.zip"
    done = autograder(
        "export", "gradescope", EXAMPLE, "--course", str(released / "course"), "--out", str(path)
    )
    assert done.exit_code == 0, done.output
    return path


def test_the_gradescope_zip_holds_one_week_and_what_it_needs(released: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        names = set(file.namelist())
        modes = {i.filename: i.external_attr >> 16 & 0o777 for i in file.infolist()}
        requirements = file.read("requirements.txt").decode().splitlines()
    assert {
        "setup.sh",
        "run_autograder",
        "course/course.toml",
        "course/reference_impl/squared_error.py",
    } <= names
    assert f"course/assignments/{EXAMPLE}/hidden_checks.py" in names
    assert any(n.startswith(f"course/.autograder/{EXAMPLE}/squared_error/hidden-agrees") for n in names)
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755 and modes["course/course.toml"] == 0o644
    assert requirements[0].startswith("./genai_autograder-") and requirements[0][2:] in names
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in requirements[1:])
    assert {"torch", "hypothesis", "pyseccomp"} <= {line.split("==")[0] for line in requirements[1:]}


def test_scripts_of_the_course_go_into_the_zip(released: Path, tmp_path: Path) -> None:
    from autograder.formats.gradescope import scripts

    ours = scripts(released / "course", EXAMPLE)
    assert autograder("init-ci", "gradescope", "--to", str(tmp_path)).exit_code == 0
    (tmp_path / "gradescope" / "setup.sh").write_text("#!/bin/sh\n")
    theirs = scripts(tmp_path, EXAMPLE)
    assert theirs["setup.sh"] == "#!/bin/sh\n" and theirs["run_autograder"] != ours["run_autograder"]


class Container:
    """Gradescope's folders in another place than /autograder."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root
        (root / "submission").mkdir(parents=True)
        (root / "results").mkdir()
        with zipfile.ZipFile(archive) as file:
            file.extractall(root / "source")
        shutil.copy(root / "source" / "run_autograder", root)
        users = [{"email": "ada@x.edu", "id": 7, "name": "Ada"}]
        (root / "submission_metadata.json").write_text(json.dumps({"id": 1, "users": users}))
        tool = root / "tool"
        tool.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m autograder.cli "$@"\n')
        tool.chmod(0o755)
        self.environment = {k: v for k, v in os.environ.items() if k not in CLEARED} | {
            "AUTOGRADER_GRADESCOPE": str(root), "AUTOGRADER": str(tool), "PYTHONPATH": str(ROOT)
        }  # fmt: skip
        self.results = root / "results" / "results.json"

    def run(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(self.root / "run_autograder")], env=self.environment, cwd=self.root,
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip


@pytest.fixture
def container(archive: Path, tmp_path: Path) -> Iterator[Container]:
    yield Container(tmp_path / "autograder", archive)


@pytest.mark.slow
def test_gradescope_grades_a_submission_with_hidden_checks(container: Container) -> None:
    (container.root / "submission" / "my homework.py").write_text(WRONG)
    done = container.run()
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(container.results.read_text())
    GRADESCOPE.validate(data)
    assert data["score"] == 0 and data["extra_data"]["max_score"] == 9 == sum(
        t["max_score"] for t in data["tests"]
    )
    assert {(t["tags"][-1], t["visibility"]) for t in data["tests"]} == {
        ("public", "visible"), ("hidden", "after_published")
    }  # fmt: skip
    report = Report.load(container.root / "autograder-report" / "report.json")
    assert report.student == "ada@x.edu"
    secret = _inputs(report, "hidden") - _inputs(report, "public")
    assert secret and not [code for code in secret if json.dumps(code)[1:-1] in container.results.read_text()]


def _inputs(report: Report, tier: str) -> set[str]:
    """The inputs on which checks of a tier fail."""
    checks = [c for e in report.exercises for c in e.checks if c.tier == tier]
    return {c.counterexample.code for c in checks if c.counterexample}


def test_what_breaks_on_gradescope_leaves_no_results(container: Container) -> None:
    container.results.write_text('{"score": 9}')  # of an earlier run
    (container.root / "submission" / "homework.py").write_text(RIGHT)
    (container.root / "source" / "course" / "reference_impl" / "squared_error.py").write_text("1 / 0\n")
    done = container.run()
    assert done.returncode not in (0, 1) and not container.results.exists(), done.stdout


# Workflows


def complaints(schema: str, workflow: str) -> list[str]:
    """What the schema that its platform publishes finds wrong with a workflow."""
    rules = get_builtin_schema(schema)
    data = YAML(typ="safe").load(workflow)  # YAML 1.2: `on` is no boolean
    return [error.message for error in validator_for(rules)(rules).iter_errors(data)]


@pytest.mark.parametrize("week", [[], ["--week", EXAMPLE]])
@pytest.mark.parametrize(
    ("platform", "name", "needed"),
    [("github", ".github/workflows/autograder.yml", "runs-on:"), ("gitlab", ".gitlab-ci.yml", " script:")],
)
def test_the_workflows_are_what_their_schemas_say(
    tmp_path: Path, platform: str, name: str, needed: str, week: list[str]
) -> None:
    assert autograder("init-ci", platform, "--to", str(tmp_path), *week).exit_code == 0
    text = (tmp_path / name).read_text()
    schema = {"github": "vendor.github-workflows", "gitlab": "vendor.gitlab-ci"}[platform]
    assert complaints(schema, text) == [] and complaints(
        schema, text.replace(needed, needed.replace(":", "x:"))
    )
    assert f"autograder ci{' ' + EXAMPLE if week else ''}\n" in text


def test_the_workflow_of_the_docs_is_what_its_schema_says() -> None:
    (workflow,) = re.findall(r"^```yaml\n(on:.*?)^```", DOCS, re.M | re.S)
    assert complaints("vendor.github-workflows", workflow) == []


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="no actionlint on this machine")
@pytest.mark.parametrize("week", [[], ["--week", EXAMPLE]])
def test_actionlint_accepts_the_workflow(tmp_path: Path, week: list[str]) -> None:
    assert autograder("init-ci", "github", "--to", str(tmp_path), *week).exit_code == 0
    path = tmp_path / ".github" / "workflows" / "autograder.yml"
    run = partial(subprocess.run, ["actionlint", str(path)], capture_output=True, text=True, check=False)
    assert (done := run()).returncode == 0, done.stdout
    path.write_text(path.read_text().replace("${{ !cancelled() }}", "${{ !canceled() }}"))
    assert "canceled" in run().stdout


def test_the_scripts_are_bash(tmp_path: Path) -> None:
    assert autograder("init-ci", "gradescope", "--to", str(tmp_path)).exit_code == 0
    for script in ("setup.sh", "run_autograder"):
        path = tmp_path / "gradescope" / script
        assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
        assert os.access(path, os.X_OK)


def test_files_that_are_there_are_not_written_over(tmp_path: Path) -> None:
    workflow = tmp_path / ".gitlab-ci.yml"
    workflow.write_text("mine")
    done = autograder("init-ci", "gitlab", "--to", str(tmp_path))
    assert done.exit_code == 2 and "--force" in done.stderr and workflow.read_text() == "mine"
    assert autograder("init-ci", "gitlab", "--to", str(tmp_path), "--force").exit_code == 0
    assert workflow.read_text() != "mine"
    done = autograder("init-ci", "github", "--week", "x; rm -rf /", "--to", str(tmp_path))
    assert done.exit_code == 2 and "no name of a week" in done.stderr


# Export


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    for report in (everything(), sample_reports.a_report("kurt")):
        (folder / f"{report.student}.json").write_text(report.to_json())
    (tmp_path / "roster.csv").write_text(ROSTER)
    (tmp_path / "worksheet.csv").write_text(WORKSHEET.replace("@x.edu", ""))
    (tmp_path / "fault.json").write_text(sample_reports.our_fault().to_json())
    return folder


TABLES = {
    "csv": [],
    "canvas": ["--assignment", "Week 7", "--roster", "roster.csv"],
    "moodle": ["--worksheet", "worksheet.csv"],
    "junit": [],
}


@pytest.mark.parametrize("name", TABLES)
def test_a_class_is_exported(reports: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reports.parent)
    done = autograder("export", name, "reports", *TABLES[name], "--out", "made")
    assert done.exit_code == 0, done.output
    text = Path("made").read_bytes().decode()
    if name == "junit":
        assert len({s.name.split(".")[0] for s in junitparser.JUnitXml.fromstring(text.encode())}) == 2
    else:
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
        assert len(rows) == {"csv": 2, "canvas": 3, "moodle": 2}[name]
    done = autograder("export", name, "reports", "fault.json", *TABLES[name], "--out", "made")
    assert done.exit_code == 3, done.output


@pytest.mark.parametrize("name", ["github", "classroom50", "gradescope-results"])
def test_one_submission_is_exported(reports: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reports.parent)
    done = autograder("export", name, "reports/ada.json", "--out", "made", **RUNNER)
    assert done.exit_code == 0, done.output
    text = Path("made").read_text()
    if name == "github":
        assert text.startswith("## Variational autoencoders")
    else:
        {"classroom50": CLASSROOM50, "gradescope-results": GRADESCOPE}[name].validate(json.loads(text))
    assert autograder("export", name, "reports/ada.json", **RUNNER).stdout.startswith(text[:10])
    assert autograder("export", name, "fault.json", "--out", "other", **RUNNER).exit_code == 3
    assert Path("other").exists() == (name == "github")
    done = autograder("export", name, "reports", **RUNNER)
    assert done.exit_code == 2 and "for one submission" in done.stderr


def test_exports_say_what_they_lack(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(reports.parent)
    Path("empty").mkdir()
    Path("broken.json").write_text("{")
    other = sample_reports.a_report("eve")
    other.assignment = "week08_gan"
    Path("other.json").write_text(other.to_json())
    for arguments, complaint in (
        (["junit", "empty"], "autograder grade"),
        (["junit", "broken.json"], "no JSON"),
        (["canvas", "reports"], "--assignment"),
        (["canvas", "reports", "other.json", "--assignment", "W (1)"], "week07_vae, week08_gan"),
        (["moodle", "reports", "--worksheet", "roster.csv"], "does not identify"),
        (["classroom50", "reports/ada.json"], "CLASSROOM, ASSIGNMENT"),
    ):
        done = autograder("export", *arguments)
        assert done.exit_code == 2 and complaint in " ".join(done.stderr.split()), done.output


def test_every_export_has_help_with_an_example() -> None:
    group = main.commands["export"]
    for name in group.commands:  # type: ignore[attr-defined]
        done = autograder("export", name, "--help")
        assert done.exit_code == 0 and f"Example: autograder export {name} " in done.output


# Documentation

DOCS = (ROOT / "docs" / "ci.md").read_text()
SECTIONS = {
    section.splitlines()[0]: [
        line
        for block in re.findall(r"^```bash\n(.*?)^```", section, re.M | re.S)
        for line in block.splitlines()
    ]
    for section in DOCS.split("\n## ")[1:]
}


@pytest.mark.slow
@pytest.mark.parametrize("section", [name for name, lines in SECTIONS.items() if lines])
def test_the_commands_of_the_docs_work(
    released: Path, tmp_path: Path, section: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a course that was just made, beside a student's repository and what a class handed in."""
    shutil.copytree(released / "course", tmp_path / "course")
    shutil.copytree(released / EXAMPLE, tmp_path / "repository")
    _answer(tmp_path / "repository" / f"{EXAMPLE}.ipynb", WRONG)
    (tmp_path / "handed-in").mkdir()
    (tmp_path / "handed-in" / "ada.py").write_text(WRONG)
    (tmp_path / "gradebook.csv").write_text(ROSTER.replace("Week 7", "Week 1"))
    (tmp_path / "worksheet.csv").write_text(WORKSHEET.replace("ada@x.edu", "ada"))
    monkeypatch.chdir(tmp_path)
    for line in SECTIONS[section]:
        program, *arguments = shlex.split(line)
        if program == "cd":
            monkeypatch.chdir(arguments[0])
            continue
        assert program == "autograder", line
        done = autograder(*arguments)
        lost = arguments[0] in ("ci", "grade")  # the answers are wrong
        assert done.exit_code == (1 if lost else 0), f"{line}\n{done.output}"
        written = [arguments[i + 1] for i, a in enumerate(arguments) if a == "--out"]
        assert all(Path(path).exists() for path in written)


def test_the_docs_name_what_there_is() -> None:
    for platform in ("github", "gitlab", "gradescope"):
        assert f"autograder init-ci {platform}" in DOCS
    for option in re.findall(r"`(--[a-z-]+)`", DOCS):
        assert any(option in p.opts for c in (*main.commands.values(), *_exports()) for p in c.params), option


def _exports() -> list[object]:
    return list(main.commands["export"].commands.values())  # type: ignore[attr-defined]
