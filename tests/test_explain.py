"""Regrade requests answered: what was asked, with what inputs, what came out, then and now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from autograder.cli import main
from autograder.explain import described
from autograder.probes import Generator
from autograder.results import Report
from tests.sample_reports import HOSTILE, hostile


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


@pytest.fixture
def copied(small_reports: Path, tmp_path: Path) -> Path:
    """The reports with what was handed in, to be changed."""
    return Path(shutil.copytree(small_reports.parent, tmp_path / "class")) / "reports"


def test_a_loss_is_told_with_inputs_and_tolerances(small: Path, small_reports: Path) -> None:
    result = _run(small_reports / "bob.json", "--exercise", "squared_error", "--course", small)
    assert result.exit_code == 0, result.output
    for words in (
        "squared_error, handed in by bob: 0 of 7 points (failed)",
        "Graded from bob.py (digest ",
        "What probably went wrong: You add the squares up; the squared error is their mean.",
        "✗ agrees (hidden, 0 / 2 points)",
        "What was asked: It agrees with the reference on examples drawn from the whole domain.",
        "examples, the same for everyone.",
        "x: float32, ",
        "values from -",
        "Besides its last digits, a right answer may be off by ",
        "What came out: A different value: expected 0.5, got 1",
        "  The smallest input found on which it fails:\n\n    import torch\n",
        "    squared_error(x, y)\n",
        "✓ is_symmetric (hidden, 0 / 1 points)",
        "What came out: Passed, but it counts only once",
    ):
        assert words in result.output, words
    assert "float64" in result.output.split("precision (hidden")[1].split("pure (hidden")[0]
    assert "have changed" not in result.output


def test_full_marks_are_told_too(small: Path, small_reports: Path) -> None:
    result = _run(small_reports / "ada.json", "--exercise", "half_error", "--course", small)
    assert result.exit_code == 0
    assert result.output.count("What came out: right on all of them.") == 5
    assert "handed in by ada: 6 of 6 points (passed)" in result.output


def test_what_has_changed_since_is_said(small: Path, copied: Path) -> None:
    for key, value, words in (
        ("corpus", "another", "The examples have changed since then"),
        ("versions", {"checks": "another"}, "Checks, references or known answers have changed"),
    ):
        report = Report.load(copied / "bob.json")
        setattr(report, key, value)
        (copied / "changed.json").write_text(report.to_json())
        result = _run(copied / "changed.json", "--exercise", "squared_error", "--course", small)
        assert words in result.output


@pytest.mark.parametrize(("student", "mark"), [("bob", "0 of 7"), ("ada", "7 of 7")])
def test_a_replay_gives_the_same_mark(small: Path, small_reports: Path, student: str, mark: str) -> None:
    """The submission is found beside the reports, in submitted/."""
    arguments = ("--exercise", "squared_error", "--replay", "--allow-unconfined", "--course", small)
    result = _run(small_reports / f"{student}.json", *arguments)
    assert result.exit_code == 0, result.output
    assert f"Run again now: {mark} points" in result.output
    assert "The mark is the same as in the report." in result.output
    assert ("agrees fails on " in result.output) == (student == "bob")
    if student == "bob":
        assert "is_symmetric fails" not in result.output


def test_a_replay_of_something_else_says_so(small: Path, copied: Path) -> None:
    """Bob has repaired his answer: the mark would be another."""
    bobs = copied.parent / "submitted" / "bob.py"
    bobs.write_text(bobs.read_text().replace(".sum()", ".mean()"))
    arguments = ("--exercise", "squared_error", "--replay", "--allow-unconfined", "--course", small)
    refused = _run(copied / "bob.json", *arguments)
    assert refused.exit_code == 2 and "--submission PATH" in refused.output
    result = _run(copied / "bob.json", *arguments, "--submission", bobs)
    assert "is not what the report is about" in result.output
    assert "The report says 0 of 7: the mark would change." in result.output
    assert "agrees: failed in the report, passed now." in result.output


def test_without_a_course_the_report_is_told(small_reports: Path, tmp_path: Path) -> None:
    result = _run(small_reports / "bob.json", "--exercise", "squared_error")
    assert result.exit_code == 0, result.output  # the course of this repository has no such week
    assert "nothing can be said of the inputs" in result.output and "expected 0.5, got 1" in result.output


def test_an_exercise_that_is_not_there_is_a_usage_error(small: Path, small_reports: Path) -> None:
    result = _run(small_reports / "bob.json", "--exercise", "klee", "--course", small)
    assert result.exit_code == 2 and "squared_error, half_error" in result.output


def test_what_students_wrote_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(hostile().to_json())
    result = _run(tmp_path / "x.json", "--exercise", HOSTILE)
    assert result.exit_code == 0, result.output
    assert not set("\x1b\x9b\x07\x00\u202e") & set(result.output)


def test_inputs_are_described_by_what_they_have_in_common() -> None:
    tensors = [torch.tensor([1.0, -2.0]), torch.zeros(2, 3), torch.tensor([float("inf")])]
    assert described(tensors) == (
        "float32, 3 shapes from (1,) to (2, 3), values from -2 to 1, also infinite or nan"
    )
    assert described([3, 5]) == "int, values from 3 to 5"
    assert described([True, False, None]) == "False or True or None"
    assert described([[1], [1, 2]]) == "list of length 1 to 2"
    assert described([torch.zeros(1, dtype=torch.int64), 0.5]) == (
        "int64, shape (1,), values from 0 to 0 or float, values from 0.5 to 0.5"
    )
    assert described([Generator(1)]) == "Generator (1 example)"
