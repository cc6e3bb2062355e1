"""A corpus can be looked at: which examples there are, what is expected on each, and how closely."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from autograder.cli import main
from autograder.grading import bench
from tests import small_course
from tests.conftest import ROOT


def _show(course: Path, *arguments: object) -> Result:
    words = ["corpus", "show", small_course.WEEK, *map(str, arguments), "--course", str(course)]
    return CliRunner().invoke(main, words)


def test_checks_are_listed_with_the_id_that_reports_carry(small: Path) -> None:
    result = _show(small)
    assert result.exit_code == 0, result.output
    ready = bench(small, small_course.WEEK)
    assert result.output.startswith(f"{small_course.WEEK}: corpus {ready.corpus_id(('public', 'hidden'))}\n")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines()]
    listed = [row[:3] for row in rows if row]
    checks = [c for e in ready.functions for c in ready.week.checks_of(e)]
    assert listed == [[c.name, c.tier, str(len(ready.material(c).trials))] for c in checks]
    assert len({row[5] for row in rows if row}) >= len(checks) - 1, "each has examples of its own"


def test_what_is_left_out_is_counted(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = bench(small, small_course.WEEK)
    check = next(c for c in ready.week.checks if (c.exercise, c.name) == ("half_error", "pure"))
    calibration = ready.material(check).trials[0].calibration
    assert "50%" not in _show(small, "--exercise", "half_error").output
    monkeypatch.setattr(calibration, "left_out", "rounding moves the answer by more than a thousandth")
    assert "1 (50%)" in _show(small, "--exercise", "half_error").output
    shown = _show(small, "--exercise", "half_error", "--check", "pure", "--example", 1).output
    assert "# left out for everyone: rounding moves the answer" in shown


@pytest.mark.parametrize("number", [1, 5, 8])
def test_an_example_is_code_with_its_answer(small: Path, number: int) -> None:
    result = _show(small, "--exercise", "squared_error", "--check", "agrees", "--example", number)
    assert result.exit_code == 0, result.output
    code, _, answer = result.output.partition("\n\n# expected ")
    given: dict[str, object] = {}
    exec(small_course.SQUARED, given)
    *lines, call = code.splitlines()
    exec("\n".join(lines), given)
    tolerance = float(re.findall(r"give or take (\S+),", answer)[0])
    expected = torch.tensor(float(answer.split()[0]))
    assert 0 < tolerance < 1e-3
    torch.testing.assert_close(eval(call, given), expected, atol=tolerance, rtol=1e-6)


def test_gradients_are_code_that_runs() -> None:
    arguments = ["--exercise", "elbo", "--check", "gradients", "--example", "9", "--course", str(ROOT)]
    result = CliRunner().invoke(main, ["corpus", "show", "7", *arguments])
    assert result.exit_code == 0, result.output
    *lines, call = result.output.partition("\n\n#")[0].splitlines()
    given = dict(bench(ROOT, "week07_vae").week.references)
    exec("\n".join(lines), given)
    assert len(eval(call, given)) == result.output.count("# expected ") == 3


def test_what_is_not_there_is_said(small: Path) -> None:
    for arguments, words in (
        (("--exercise", "cube"), "it has squared_error, half_error"),
        (("--check", "agree"), "there are published, agrees,"),
        (("--example", 1), "name it with --exercise"),
        (("--exercise", "half_error", "--check", "pure", "--example", 99), "pure has 2 examples"),
        (("--example", 0), "0 is not in the range"),
    ):
        result = _show(small, *arguments)
        assert result.exit_code == 2 and words in result.output, result.output


def test_the_documented_commands_run(small: Path) -> None:
    commands = [c for c in small_course.documented(ROOT / "docs" / "writing.md") if c[1] == "corpus"]
    assert len(commands) == 3
    for program, *arguments in commands:
        assert program == "autograder"
        result = CliRunner().invoke(main, [*arguments, "--course", str(small)])
        assert result.exit_code == 0, result.output
