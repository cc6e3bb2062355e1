"""nbgrader courses: the gradebook after grading, regrading, faults and interruptions."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner
from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.tests import run_nbgrader

from autograder.cli import main
from autograder.course import CourseError
from autograder.nbgrader import classroom, execute
from autograder.nbgrader.classroom import Classroom
from autograder.nbgrader.runs import Job, Outcome, failed
from tests.conftest import ROOT
from tests.test_nbgrader_restore import _cell

CONFIG = "c = get_config()\nfrom autograder.nbgrader import configure\nconfigure(c)\n"
RIGHT, WRONG = "def double(x):\n    return 2 * x", "def double(x):\n    return x"


def _source() -> NotebookNode:
    solution = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    hidden = "assert double(1) == 2\n### BEGIN HIDDEN TESTS\nassert double(21) == 42\n### END HIDDEN TESTS"
    return v4.new_notebook(
        cells=[
            _cell("code", solution, "double", solution=True),
            _cell("code", hidden, "test_double", grade=True, points=4),
            _cell("markdown", "Why?", "why", grade=True, solution=True, points=2),
        ],
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
    )


class NbgraderCourse:
    """A course with one assignment, ps1, of a notebook with asserts and a written answer."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.db = f"sqlite:///{root}/gradebook.db"

    def set_up(self) -> None:
        (self.root / "nbgrader_config.py").write_text(CONFIG)
        (self.root / "source" / "ps1").mkdir(parents=True)
        nbformat.write(_source(), self.root / "source" / "ps1" / "p1.ipynb")
        self.run("generate_assignment", "ps1")

    def run(self, *arguments: str, rc: int = 0) -> str:
        with contextlib.chdir(self.root):
            return run_nbgrader(list(arguments), retcode=rc)

    def submit(
        self,
        student: str,
        answer: str = RIGHT,
        written: str = "Because.",
        name: str = "p1",
        time: str = "",
        edit: Callable[[NotebookNode], None] = lambda notebook: None,
    ) -> Path:
        notebook = nbformat.read(self.root / "release" / "ps1" / "p1.ipynb", 4)
        notebook.cells[0].source = answer or notebook.cells[0].source
        notebook.cells[2].source = written or notebook.cells[2].source
        edit(notebook)
        path = self.root / "submitted" / student / "ps1" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        if time:
            (path.parent / "timestamp.txt").write_text(time)
        return path

    def grade(self, *students: str, force: bool = False) -> Classroom:
        room = Classroom(self.root, "ps1", students)
        room.grade(room.pending(force), jobs=1)
        room.book(room.due(force))
        return room

    def score(self, student: str) -> tuple[float, bool]:
        with Gradebook(self.db) as gradebook:
            found = gradebook.find_submission("ps1", student)
            return found.score, bool(found.needs_manual_grade)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    NbgraderCourse(folder).set_up()
    return folder


@pytest.fixture
def course(fresh: Path, tmp_path: Path) -> NbgraderCourse:
    return NbgraderCourse(Path(shutil.copytree(fresh, tmp_path / "course")))


@pytest.fixture(params=["autograde", "grade"])
def graded(request: pytest.FixtureRequest, course: NbgraderCourse) -> Callable[..., None]:
    """Both ways of grading: nbgrader's command and ours."""

    def grade(rc: int = 0) -> None:
        if request.param == "grade":
            course.grade()
        else:
            course.run("autograde", "ps1", "--force", rc=rc)

    return grade


def test_scores_come_into_the_gradebook(course: NbgraderCourse, graded: Callable[..., None]) -> None:
    course.submit("ada", RIGHT)
    course.submit("bob", WRONG, written="")
    course.submit("cyd", "", written="")
    graded()
    assert course.score("ada") == (4, True)
    assert course.score("bob") == (0, False)
    assert course.score("cyd") == (0, False)


def test_whatever_was_done_to_the_cells_what_is_there_counts(
    course: NbgraderCourse, graded: Callable[..., None]
) -> None:
    def drop_test(notebook: NotebookNode) -> None:
        del notebook.cells[1]

    def keep_answer_only(notebook: NotebookNode) -> None:
        del notebook.cells[1:]
        notebook.cells[0].metadata = {}

    def copy_all(notebook: NotebookNode) -> None:
        notebook.cells += [NotebookNode(c, id=f"copy-{i}") for i, c in enumerate(notebook.cells)]

    def other_points(notebook: NotebookNode) -> None:
        notebook.cells[1].metadata.nbgrader.points = 100
        notebook.cells[1].source = "print('fine')"

    def other_ids(notebook: NotebookNode) -> None:
        for cell in notebook.cells:
            cell.metadata.nbgrader.grade_id += "-mine"

    def other_schema(notebook: NotebookNode) -> None:
        for number, cell in zip((1, 99, "x"), notebook.cells, strict=True):
            cell.metadata.nbgrader.schema_version = number

    edits = {
        "drop": drop_test,
        "only": keep_answer_only,
        "copy": copy_all,
        "points": other_points,
        "ids": other_ids,
        "schema": other_schema,
    }
    for name, edit in edits.items():
        course.submit(f"{name}-right", RIGHT, edit=edit)
        course.submit(f"{name}-wrong", WRONG, edit=edit)
    graded()
    assert {s: course.score(f"{s}-right")[0] for s in edits} == dict.fromkeys(edits, 4)
    assert {s: course.score(f"{s}-wrong")[0] for s in edits} == dict.fromkeys(edits, 0)


def test_renamed_and_extra_notebooks(course: NbgraderCourse, graded: Callable[..., None]) -> None:
    course.submit("ada", RIGHT, name="homework final (3)")
    course.submit("bob", WRONG)
    nbformat.write(v4.new_notebook(), course.submit("bob", RIGHT, name="Untitled").with_name("scratch.ipynb"))
    graded()
    assert (course.score("ada")[0], course.score("bob")[0]) == (4, 0)


def test_what_cannot_be_read_does_not_stop_the_class(course: NbgraderCourse) -> None:
    course.submit("bad").write_text("{")
    course.submit("ada")
    room = course.grade()
    assert (course.score("ada")[0], course.score("bad")) == (4, (0, False))
    row = next(r for r in room.results() if r.student == "bad")
    assert "can't be read" in row.problems[0]
    course.submit("bad")
    course.grade()
    assert course.score("bad")[0] == 4


def test_a_fault_of_ours_stays_ungraded_and_is_put_right_by_the_next_run(
    course: NbgraderCourse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    course.submit("ada")
    course.submit("bob", WRONG)

    def fail(job: Job, *_: object) -> Outcome:
        if job.student == "ada":
            return failed(job, job.key(), "the machine is full")
        return run(job, *_)  # type: ignore[arg-type]

    run = classroom.run
    with monkeypatch.context() as patch:
        patch.setattr(classroom, "run", fail)
        room = course.grade()
    assert course.score("ada") == (0, True) and course.score("bob")[0] == 0
    with Gradebook(course.db) as gradebook:
        assert gradebook.find_grade("test_double", "p1", "ps1", "ada").auto_score is None
        assert gradebook.find_grade("test_double", "p1", "ps1", "bob").auto_score == 0
    assert "the machine is full" in next(r for r in room.results() if r.student == "ada").faults[0]
    course.grade()
    assert course.score("ada") == (4, True)


def test_nbgraders_own_command_goes_on_after_a_fault(
    course: NbgraderCourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    course.submit("ada")
    course.submit("bob")

    def fail(job: Job, *_: object) -> Outcome:
        if job.student == "ada":
            raise RuntimeError("the machine is full")
        return run(job, *_)  # type: ignore[arg-type]

    run = execute.run
    monkeypatch.setattr(execute, "run", fail)
    log = course.run("autograde", "ps1")
    assert "NOT GRADED" in log and "the machine is full" in log
    with Gradebook(course.db) as gradebook:
        grade = gradebook.find_grade("test_double", "p1", "ps1", "ada")
        assert grade.auto_score is None and grade.needs_manual_grade
    assert course.score("bob")[0] == 4


def test_what_people_entered_survives_a_regrade(course: NbgraderCourse, graded: Callable[..., None]) -> None:
    course.run("db", "assignment", "add", "ps1", "--duedate", "2015-02-02 14:58:23 UTC")
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    course.submit("late", time="2015-02-03 14:58:23 UTC")
    course.submit("ada", WRONG, time="2015-02-01 14:58:23 UTC")
    graded()
    with Gradebook(course.db) as gradebook:
        gradebook.find_grade("why", "p1", "ps1", "ada").manual_score = 2
        gradebook.find_grade("test_double", "p1", "ps1", "ada").extra_credit = 1
        gradebook.find_comment("why", "p1", "ps1", "ada").manual_comment = "Well said."
        gradebook.db.commit()
    course.submit("ada", RIGHT, time="2015-02-02 10:58:23 UTC")
    graded()
    with Gradebook(course.db) as gradebook:
        ada = gradebook.find_submission("ps1", "ada")
        assert ada.score == 4 + 2 + 1
        assert gradebook.find_comment("why", "p1", "ps1", "ada").comment == "Well said."
        late = gradebook.find_submission("ps1", "late")
        assert late.score == late.late_submission_penalty == 4


def _runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    run = classroom.run

    def spy(job: Job, *rest: object) -> Outcome:
        seen.append(job.student)
        return run(job, *rest)  # type: ignore[arg-type]

    def never(*_: object) -> Outcome:
        raise AssertionError("the pass over the gradebook executes nothing")

    monkeypatch.setattr(classroom, "run", spy)
    monkeypatch.setattr(execute, "run", never)
    return seen


def test_only_what_changed_is_graded_again(course: NbgraderCourse, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _runs(monkeypatch)
    course.submit("ada")
    course.submit("bob", WRONG)
    course.grade()
    assert sorted(seen) == ["ada", "bob"]
    course.grade()
    assert len(seen) == 2
    course.submit("bob", RIGHT)
    course.grade()
    assert seen[2:] == ["bob"] and course.score("bob")[0] == 4
    course.grade(force=True)
    assert sorted(seen[3:]) == ["ada", "bob"]
    course.submit("ada", WRONG)
    course.submit("bob", WRONG)
    course.grade("bob")
    assert seen[5:] == ["bob"] and course.score("ada")[0] == 4
    with pytest.raises(CourseError, match="eve"):
        course.grade("eve")


def test_a_changed_test_and_a_changed_engine_are_graded_again(
    course: NbgraderCourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _runs(monkeypatch)
    course.submit("ada")
    course.grade()
    source = nbformat.read(course.root / "source" / "ps1" / "p1.ipynb", 4)
    source.cells[1].source += "\nassert double(0) == 1"
    nbformat.write(source, course.root / "source" / "ps1" / "p1.ipynb")
    course.run("generate_assignment", "ps1", "--force")
    course.grade()
    assert len(seen) == 2 and course.score("ada")[0] == 0
    monkeypatch.setattr("autograder.nbgrader.runs.engine_key", lambda: "another")
    course.grade()
    assert len(seen) == 3


def test_an_older_release_is_graded_by_todays_tests(course: NbgraderCourse) -> None:
    course.submit("ada", WRONG)
    source = nbformat.read(course.root / "source" / "ps1" / "p1.ipynb", 4)
    source.cells.insert(0, _cell("code", "assert True", "new", grade=True, points=1))
    source.cells[2].source = "assert double(1) == 1"
    nbformat.write(source, course.root / "source" / "ps1" / "p1.ipynb")
    course.run("generate_assignment", "ps1", "--force")
    course.grade()
    assert course.score("ada")[0] == 5


def test_a_new_written_answer_reaches_the_graders_without_a_run(
    course: NbgraderCourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _runs(monkeypatch)
    course.submit("ada", written="First.")
    course.grade()
    course.submit("ada", written="Second.")
    course.grade()
    assert seen == ["ada"]
    assert "Second." in (course.root / "autograded" / "ada" / "ps1" / "p1.ipynb").read_text()


def test_hidden_tests_and_judge_never_meet_students_files(course: NbgraderCourse) -> None:
    """What a notebook can open is what lies beside it, and the gradebook is out of its reach."""
    steal = (
        "import os, glob\nfound = glob.glob('**/*', recursive=True)\n"
        "assert not [f for f in found if f.endswith(('.db', '.checks', '.ipynb'))], found\n" + RIGHT
    )
    course.submit("ada", steal)
    course.grade()
    assert course.score("ada")[0] == 4
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db")) as db:
        assert db.execute("select count(*) from grade where auto_score = 4").fetchone() == (1,)


def test_side_effects_come_back_but_replace_nothing(course: NbgraderCourse) -> None:
    course.submit("ada", "open('plot.txt', 'w').write('mine')\nopen('p1.ipynb', 'w').write('x')\n" + RIGHT)
    course.grade()
    folder = course.root / "autograded" / "ada" / "ps1"
    assert (folder / "plot.txt").read_text() == "mine"
    assert nbformat.read(folder / "p1.ipynb", 4).cells


def test_one_week_of_ours_in_an_nbgrader_course(course: NbgraderCourse) -> None:
    """A notebook named like a week of ours is graded by the judge, beside others with asserts."""
    with (course.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.GuestExecute.course = {str(ROOT)!r}\n")
    from autograder.course import Course
    from autograder.notebooks import build_source, marked_source, solve

    week = Course.load(ROOT).week("week07_vae")
    (course.root / "source" / "ps2").mkdir()
    nbformat.write(build_source(week), course.root / "source" / "ps2" / "week07_vae.ipynb")
    course.run("generate_assignment", "ps2")
    released = nbformat.read(course.root / "release" / "ps2" / "week07_vae.ipynb", 4)
    first = week.exercises[0]
    answers = {"ada": {first.name: marked_source(first.reference)}, "bob": {}}
    for student, given in answers.items():
        path = course.root / "submitted" / student / "ps2" / "week07_vae.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(solve(released, given), path)
    room = Classroom(course.root, "ps2")
    room.grade(room.pending(False), jobs=1)
    room.book(room.due(False))
    scores = {row.student: row.score for row in room.results()}
    assert scores == {"ada": week.max_points(first.name), "bob": 0}
    # Judging one exercise again keeps the others' results.
    report = room.outcomes["ada", "week07_vae"].report
    assert report is not None
    report.exercises[0].score = 1.0
    execute.save(course.root, room.submissions[0].jobs[0], room.outcomes["ada", "week07_vae"])
    again = Classroom(course.root, "ps2", ["ada"])
    second = week.exercises[1].name
    again.grade(again.pending(False, [second]), 1, [second])
    kept = again.outcomes["ada", "week07_vae"].report
    assert kept is not None and kept.exercises[0].score == 1.0
    again.grade(again.pending(False, [first.name]), 1, [first.name])
    anew = again.outcomes["ada", "week07_vae"].report
    assert anew is not None and anew.exercises[0].score == week.max_points(first.name)


def test_the_command(course: NbgraderCourse) -> None:
    course.submit("ada")
    course.submit("bob", WRONG)
    runner = CliRunner()
    arguments = ["grade", "ps1", "--course", str(course.root), "--jobs", "1"]
    result = runner.invoke(main, arguments, env={"COLUMNS": "120"})
    assert result.exit_code == 1, result.output
    assert "ada" in result.output and "4 / 6" in result.output and "by hand" in result.output
    assert runner.invoke(main, [*arguments, "--student", "eve"]).exit_code == 2
    assert runner.invoke(main, [*arguments, "--exercise", "nix"]).exit_code == 2
    assert runner.invoke(main, ["grade", "ps9", "--course", str(course.root)]).exit_code == 2
    assert runner.invoke(main, ["grade", "ps1", "--course", "/"]).exit_code == 2


@pytest.fixture
def killed(course: NbgraderCourse) -> Iterator[NbgraderCourse]:
    """A course whose grading was ended by kill -9 after the first results."""
    for i in range(6):
        course.submit(f"s{i}", f"import time\ntime.sleep(0.5)\n{RIGHT}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "autograder.cli", "grade", "ps1", "--course", str(course.root)]
    process = subprocess.Popen(
        [*command, "--jobs", "2"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    results = course.root / ".autograder" / "results" / "ps1"
    deadline = time.monotonic() + 300
    while len(list(results.glob("p1-*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    yield course


def test_a_killed_run_goes_on_where_it_stopped(
    killed: NbgraderCourse, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = _runs(monkeypatch)
    killed.grade()
    assert len(seen) <= 4
    assert [killed.score(f"s{i}")[0] for i in range(6)] == [4] * 6


def test_students_without_a_submission_are_left_alone(course: NbgraderCourse) -> None:
    course.run("db", "student", "add", "zoe")
    course.submit("ada")
    course.grade()
    with Gradebook(course.db) as gradebook, pytest.raises(MissingEntry):
        gradebook.find_submission("ps1", "zoe")
