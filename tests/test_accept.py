"""A right answer that was rejected becomes a known answer; a wrong one does not, and nothing changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from autograder.accept import EMPTY, written
from autograder.cli import main
from autograder.course import Course, CourseError
from autograder.results import ExerciseResult, Report
from autograder.submissions import read_submission
from tests import small_course
from tests.conftest import ROOT
from tests.small_course import HALF, ROUNDABOUT, SQUARED, WEEK


def _run(*arguments: object, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["accept", *map(str, arguments)], input=answer)


@pytest.fixture
def course(small: Path, small_reports: Path, tmp_path: Path) -> Path:
    """A copy of the course, with what has been computed of it."""
    return Path(shutil.copytree(small, tmp_path / "course"))


def _accepted(course: Path) -> Path:
    return course / "solutions" / WEEK / "accepted.py"


def test_a_right_answer_is_added_and_passes_from_then_on(
    course: Path, small_reports: Path, clean_zygote, tmp_path: Path
) -> None:
    """Also in the report of the next run; and who lost points in the same way is listed."""
    before = Report.load(small_reports / "cleo.json").exercises[0]
    assert before.score < before.max_score
    result = _run(small_reports / "cleo.json", "squared_error", "--course", course, "--yes")
    assert result.exit_code == 0, result.output
    assert "It is right, and now in " in result.output and "tolerances are up to " in result.output
    affected = result.output.split("is to be graded again:")[1]
    assert "cleo: 0 of 7 in squared_error\n" in affected and "dan: " in affected and "ada" not in affected
    assert "bob: 0 of 7 in squared_error (a known mistake: You add the squares up" in affected

    text = _accepted(course).read_text()
    assert '@accepted("squared_error")\ndef squared_error_from_report_' in text
    assert "cleo" not in text and "a person with a name" not in text and "a remark" not in text
    week = Course.load(course).week(WEEK)
    names = [s.name for s in week.solutions_of("squared_error", mistakes=False)]
    assert len(names) == 2 and names[0] == "by_torch" and names[1].startswith("squared_error_from_report_")

    (tmp_path / "again").mkdir()
    again = small_course.grade(course, tmp_path / "again", clean_zygote)
    scores = {s: Report.load(again / f"{s}.json").exercises[0].score for s in small_course.CLASS}
    assert scores == {"ada": 7, "bob": 0, "cleo": 7, "dan": 7}

    compared = CliRunner().invoke(main, ["compare", str(small_reports), str(again)])
    assert compared.exit_code == 1, compared.output
    assert "2 changed, 2 the same" in compared.output
    assert "checks, references or known answers of the course changed" in compared.output

    once_more = _run(small_reports / "cleo.json", "squared_error", "--course", course, "--yes")
    assert once_more.exit_code == 2 and "already" in once_more.output

    # What calls it was excused until now, and needs the same room.
    assert "half_error may need the same" in result.output
    reports = [Report.load(folder / "cleo.json").exercises[1] for folder in (small_reports, again)]
    assert [e.score for e in reports] == [6, 0]
    caller = _run(again / "cleo.json", "half_error", "--course", course, "--yes")
    assert caller.exit_code == 0 and "d = moved(x) - moved(y)" in caller.output, caller.output


def test_a_wrong_answer_is_shown_and_nothing_changes(course: Path, small_reports: Path) -> None:
    before = {p: p.read_bytes() for p in course.rglob("*") if p.is_file()}
    result = _run(small_reports / "bob.json", "squared_error", "--course", course, "--yes")
    assert result.exit_code == 1
    assert "It is not accepted, and nothing was changed" in result.output
    assert "What probably went wrong: You add the squares up" in result.output
    assert "squared_error(x, y)" in result.output and "expected" in result.output
    assert {p: p.read_bytes() for p in course.rglob("*") if p.is_file() and p.suffix != ".pyc"} == {
        p: data for p, data in before.items() if p.suffix != ".pyc"
    }


def test_an_answer_with_which_the_exercise_does_not_qualify_is_refused(
    course: Path, small_reports: Path
) -> None:
    """It gives the right values, but with what its exercise forbids."""
    assignment = course / "assignments" / WEEK / "assignment.py"
    forbidding = 'exercise(squared_error, forbids={"torch.Tensor.mean": "binding"}, '
    assignment.write_text(assignment.read_text().replace("exercise(squared_error, ", forbidding))
    text = _accepted(course).read_text()
    result = _run(small_reports / "cleo.json", "squared_error", "--course", course, "--yes")
    assert result.exit_code == 1, result.output
    assert "uses torch.Tensor.mean, which is forbidden" in result.output
    assert "accepted by_torch" not in result.output and "reference reference" not in result.output
    assert _accepted(course).read_text() == text


def test_nothing_is_run_before_a_person_has_read_it(course: Path, small_reports: Path) -> None:
    text = _accepted(course).read_text()
    result = _run(small_reports / "cleo.json", "squared_error", "--course", course, answer="n\n")
    assert result.exit_code == 1 and "moved(x)" in result.output and "outside of any guest" in result.output
    assert "qualifying" not in result.output and _accepted(course).read_text() == text


def test_full_marks_need_no_accepting(course: Path, small_reports: Path) -> None:
    result = _run(small_reports / "ada.json", "squared_error", "--course", course)
    assert result.exit_code == 2 and "nothing to accept" in result.output


def test_what_the_documentation_says_works(
    course: Path, small_reports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the request to the list of what changed, in the order of the page."""
    shutil.copytree(small_reports.parent, course, dirs_exist_ok=True)
    (course / "submitted" / "cleo.py").rename(course / "submitted" / "ada.py")
    report = Report.load(course / "reports" / "cleo.json")
    report.student = "ada"
    (course / "reports" / "ada.json").write_text(report.to_json())
    (course / "reports" / "cleo.json").unlink()
    monkeypatch.chdir(course)
    said = {}
    for program, name, *arguments in small_course.documented(ROOT / "docs" / "regrading.md"):
        assert program == "autograder"
        arguments += ["--jobs", "1"] if name == "grade" else []
        result = CliRunner().invoke(main, [name, *arguments], input="y\n" if name == "accept" else None)
        said[name, "--replay" in arguments] = (result.exit_code, result.output)
    outputs = {key: output for key, (_, output) in said.items()}
    assert [code for code, _ in said.values()] == [0, 0, 0, 1, 1], outputs
    assert "Run again now: 0 of 7" in outputs["explain", True]
    assert "Run again now" not in outputs["explain", False]
    assert "squared_error, agrees (hidden): 0 of 2 → 2 of 2" in outputs["compare", False]


# Taking an answer out of a notebook


def _written(
    small: Path, tmp_path: Path, source: str, exercise: str, *right: str, beside: str = EMPTY
) -> str:
    path = tmp_path / "work.py"
    path.write_text(source)
    names = ("squared_error", "half_error")
    results = [ExerciseResult(n, 1, 1, status="passed" if n in right else "failed") for n in names]
    report = Report(WEEK, "", "ada", 0, 0, results)
    submission = read_submission(path, WEEK)
    return written(Course.load(small).week(WEEK), exercise, submission, report, beside)


def _called(text: str, *arguments: object) -> object:
    """What the answer gives in a file like accepted.py."""
    space: dict[str, object] = {}
    exec(f"{EMPTY}\n{text}", space)
    answer = next(v for n, v in space.items() if "_from_report_" in n)
    assert answer.__autograder__.exercise in ("squared_error", "half_error")
    return answer(*arguments)  # type: ignore[operator]


X, Y = torch.tensor([1.0, 5.0]), torch.tensor([3.0, 5.0])


@pytest.mark.parametrize(
    "source",
    [
        SQUARED,
        ROUNDABOUT,
        "def squared_error(x, y, *, power=2):\n    '''Ada's.'''\n    return ((x - y) ** power).mean()",
        "from torch import mean as m\nsquared_error = lambda x, y: m((x - y) ** 2)",
        "from functools import partial\ndef f(p, x, y):\n    return ((x - y) ** p).mean()\n"
        "squared_error = partial(f, 2)",
        "def squared_error(x, y, k=None):\n    return sum((a - b) ** 2 for a, b in zip(x, y)) / len(x)",
        "def squared_error(x, y):\n    d = x[0] - y[0]\n    rest = squared_error(x[1:], y[1:]) * (len(x) - 1)"
        " if len(x) > 1 else 0\n    return (d * d + rest) / len(x)",
        "%matplotlib inline\n# %%\ndef squared_error(x, y):\n    raise NotImplementedError\n# %%\n" + SQUARED,
        "class Sum:\n    def __init__(self, n):\n        self.n = n\n    def of(self, d):\n"
        "        return (d * d).sum() / self.n\n\ndef squared_error(x, y):\n    return Sum(len(x)).of(x - y)",
    ],
)  # fmt: skip
def test_an_answer_comes_with_what_it_needs(small: Path, tmp_path: Path, source: str) -> None:
    text = _written(small, tmp_path, f"unused = open\n{source}", "squared_error")
    assert _called(text, X, Y) == 2 and "unused" not in text and "Ada" not in text


def test_a_plain_function_is_written_as_one(small: Path, tmp_path: Path) -> None:
    """What accepted.py imports is not imported again."""
    beside = "import torch\n" + EMPTY
    source = (
        "import torch\nimport math\ndef squared_error(x: 'a', y):\n    return torch.mean((x - y) ** math.e)"
    )
    text = _written(small, tmp_path, source, "squared_error", beside=beside)
    lines = text.splitlines()
    assert lines[0] == '@accepted("squared_error")'
    assert lines[1].startswith("def squared_error_from_report_") and lines[1].endswith("(x, y):")
    assert lines[2].startswith('    """Right, and rejected once: ')
    assert lines[3:] == ["    import math", "    return torch.mean((x - y) ** math.e)"]


def test_other_exercises_are_the_students_own_where_they_are_right(small: Path, tmp_path: Path) -> None:
    source = "def squared_error(x, y):\n    return 7\n" + HALF
    assert _called(_written(small, tmp_path, source, "half_error", "squared_error"), X, Y) == 3.5
    text = _written(small, tmp_path, source, "half_error")
    assert "from small_references import squared_error" in text and _called(text, X, Y) == 1


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("half = 1", "does not define squared_error"),
        (
            "from torch import *\ndef squared_error(x, y):\n    return mean((x - y) ** 2)",
            "from torch import \\*",
        ),
        (
            "n = 0\ndef squared_error(x, y):\n    global n\n    n += 1\n    return ((x - y) ** 2).mean()",
            "global",
        ),
    ],
)
def test_what_can_not_be_taken_out_is_said(small: Path, tmp_path: Path, source: str, word: str) -> None:
    with pytest.raises(CourseError, match=word):
        _written(small, tmp_path, source, "squared_error")
