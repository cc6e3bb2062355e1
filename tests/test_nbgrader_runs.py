"""What a notebook's cells earn by nbgrader's rules, and what nothing in the notebook can change."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode, v4
from nbgrader.utils import determine_grade

from autograder import grading
from autograder.confinement import Limits
from autograder.guests import Zygote, ZygoteFailed
from autograder.nbgrader.execute import GuestExecute, _insert
from autograder.nbgrader.runs import TESTS, CodeCell, Job, Outcome, run
from autograder.results import ExerciseResult
from tests import small_course
from tests.conftest import ROOT

TEST = "assert double(2) == 4\nassert double(5) == 10"
RIGHT, WRONG = "def double(x): return 2 * x", "def double(x): return x"
LIMITS = Limits(cell_cpu=2.0, wall_factor=1.0)


def _grade(zygote: Zygote, *sources: str, points: float = 2.0, **settings: object) -> tuple[float, Outcome]:
    """Run cells of which the last has tests: what nbgrader makes of its outputs."""
    cells = [CodeCell(s, f"cell-{i}") for i, s in enumerate(sources[:-1])]
    cells.append(CodeCell(sources[-1], "tests", TESTS, points))
    job = Job("ada", "ps1", "p1", tuple(cells), **{"limits": LIMITS, **settings})  # type: ignore[arg-type]
    outcome = run(job, zygote)
    notebook = v4.new_notebook(cells=[v4.new_code_cell(s) for s in sources])
    _insert(notebook, job, outcome)
    nbformat.validate(notebook)
    cell = notebook.cells[-1]
    cell.metadata["nbgrader"] = NotebookNode(grade=True, solution=False, points=points, grade_id="t")
    assert cell.outputs, "a graded cell is never left without output"
    return determine_grade(cell)[0], outcome


@pytest.mark.parametrize(("answer", "score"), [(RIGHT, 2), (WRONG, 0), ("", 0), ("def double(x", 0)])
def test_asserts(clean_zygote: Zygote, answer: str, score: float) -> None:
    assert _grade(clean_zygote, answer, TEST)[0] == score


@pytest.mark.parametrize(
    ("last", "score"),
    [
        ("1.5", 1.5),
        ("0", 0),
        ("2", 2),
        ("1.5;", 2),  # not shown, so not said
        ("'well done'", 2),  # nbgrader's rule: what is no number is full credit
        ("True", 2),
        ("float('nan')", 0),
        ("-1", 0),
        ("display('fine')", 2),
        ("print('fine')", 2),
        ("import sys; print('hm', file=sys.stderr)", 0),
        ("import warnings; warnings.warn('hm')", 0),
        ("1.5\nraise ValueError", 0),
        ("%time 1", 1),
    ],
)
def test_partial_credit(clean_zygote: Zygote, last: str, score: float) -> None:
    assert _grade(clean_zygote, RIGHT, f"{TEST}\n{last}")[0] == score


def test_warnings_may_be_free(clean_zygote: Zygote) -> None:
    warns = "import warnings\ndef double(x): warnings.warn('hm'); return 2 * x"
    assert _grade(clean_zygote, warns, TEST)[0] == 0
    assert _grade(clean_zygote, warns, TEST, ignore_stderr=True)[0] == 2
    assert _grade(clean_zygote, warns.replace("2 *", ""), TEST, ignore_stderr=True)[0] == 0


def test_more_than_the_points_is_a_fault_and_no_grade(clean_zygote: Zygote) -> None:
    _, outcome = _grade(clean_zygote, RIGHT, "5")
    assert "5 of 2 points" in outcome.faults[1]


# Each is put above a wrong answer and, as a twin, above a right one.
TRICKS = {
    "strips asserts": """
import ast
class Strip(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
get_ipython().ast_transformers.append(Strip())""",
    "runs nothing": "get_ipython().run_cell = lambda *a, **k: None\nget_ipython().run_cell_async = None",
    "empties cells": "get_ipython().input_transformers_cleanup.append(lambda lines: [])",
    "no compiler": "get_ipython().run_code = lambda *a, **k: False",
}
HARMLESS_TO_ASSERTS = {
    "hides errors": "get_ipython().showtraceback = lambda *a, **k: None",
    "handles errors": "get_ipython().set_custom_exc((Exception,), lambda *a, **k: None)",
    "redefines AssertionError": "import builtins\nbuiltins.AssertionError = type('A', (Exception,), {})",
    "forges a result": "import sys\nsys.displayhook(2.0)",
    "writes outputs": "from IPython.display import publish_display_data as p\np({'text/plain': '2.0'})",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_with_how_cells_run_earn_nothing(clean_zygote: Zygote, trick: str) -> None:
    score, outcome = _grade(clean_zygote, WRONG, TRICKS[trick], TEST)
    assert score == 0
    assert outcome.outputs[-1][0]["output_type"] == "error"


@pytest.mark.parametrize("trick", HARMLESS_TO_ASSERTS)
def test_tricks_that_change_no_mark(clean_zygote: Zygote, trick: str) -> None:
    assert _grade(clean_zygote, WRONG, HARMLESS_TO_ASSERTS[trick], TEST)[0] == 0
    assert _grade(clean_zygote, RIGHT, HARMLESS_TO_ASSERTS[trick], TEST)[0] == 2


@pytest.mark.parametrize(
    "body",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "exit()",
        "raise KeyboardInterrupt",
        "import ctypes; ctypes.string_at(0)",
        "import sys; sys.displayhook(2.0); raise ValueError",
        "get_ipython().displayhook(2.0); return 0",
        "while True: pass",
        "import time; time.sleep(60)",
        "return [0] * (1 << 40)",
    ],
)
def test_answers_that_die_hang_or_lie_earn_nothing(clean_zygote: Zygote, body: str) -> None:
    assert _grade(clean_zygote, f"def double(x): {body}", TEST)[0] == 0


def test_a_number_shown_by_an_answer_is_not_the_tests_number(clean_zygote: Zygote) -> None:
    shows = "import sys\ndef double(x):\n    sys.displayhook({})\n    return 2 * x"
    assert _grade(clean_zygote, shows.format(0.5), TEST)[0] == 2
    assert _grade(clean_zygote, shows.format(2.0), "double(1)\n1.0")[0] == 1


def test_cells_after_one_that_died_still_count(clean_zygote: Zygote) -> None:
    score, outcome = _grade(clean_zygote, RIGHT, "import os; os._exit(1)", "x = 1", TEST)
    assert score == 2
    assert [o[0]["ename"] for o in outcome.outputs if o and o[0]["output_type"] == "error"] == ["SystemExit"]


def test_files_beside_the_notebook_are_there_and_what_it_writes_comes_back(
    clean_zygote: Zygote, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_text("4")
    files = {"data.csv": tmp_path / "data.csv", "lib/helper.py": tmp_path / "data.csv"}
    writes = (
        "open('out.txt', 'w').write('mine')\nopen('timestamp.txt', 'w').write('2000-01-01')\n"
        "open('data.csv', 'w').write('7')\nimport os\nos.symlink('/etc/passwd', 'link.txt')"
    )
    test = "assert open('lib/helper.py').read() == '4' and open('data.csv').read() == '7'"
    score, outcome = _grade(clean_zygote, writes, test, files=files)
    assert score == 2
    assert set(outcome.written) == {"out.txt"}
    assert (tmp_path / "data.csv").read_text() == "4"


def test_numbers_of_cells_are_as_in_jupyter(clean_zygote: Zygote) -> None:
    _, outcome = _grade(clean_zygote, "'a'", "1 + 1", "Out[2], len(In)", "2.0")
    assert outcome.counts == [1, 2, 3, 4]
    assert [o[0]["execution_count"] for o in outcome.outputs] == [1, 2, 3, 4]
    assert outcome.outputs[2][0]["data"]["text/plain"].startswith("(2,")


def test_nbgraders_variables_reach_the_notebook(clean_zygote: Zygote) -> None:
    test = "import os\nassert os.environ['NBGRADER_EXECUTION'] == 'autograde'"
    assert _grade(clean_zygote, test, environment={"NBGRADER_EXECUTION": "autograde"})[0] == 2
    assert _grade(clean_zygote, test)[0] == 0


def test_the_key_changes_with_what_decides(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_text("1")
    job = Job("ada", "ps1", "p1", (CodeCell("1", "a", TESTS, 2),), {"x": file})
    keys = {job.key()}
    keys.add(Job("ada", "ps1", "p1", (CodeCell("2", "a", TESTS, 2),), {"x": file}).key())
    keys.add(Job("ada", "ps1", "p1", (CodeCell("1", "a", TESTS, 3),), {"x": file}).key())
    keys.add(Job("bob", "ps1", "p1", (CodeCell("1", "a", TESTS, 2),), {"x": file}).key())
    keys.add(Job("ada", "ps1", "p1", (CodeCell("1", "a", TESTS, 2),), {"x": file}, limits=LIMITS).key())
    file.write_text("2")
    keys.add(job.key())
    assert len(keys) == 6


def test_an_outcome_is_read_as_it_was_written(clean_zygote: Zygote) -> None:
    _, outcome = _grade(clean_zygote, RIGHT, TEST)
    assert Outcome.from_json(outcome.to_json()) == outcome
    with pytest.raises((ValueError, KeyError, TypeError)):
        Outcome.from_json(json.dumps({"key": "x"}))


def test_our_fault_is_no_zero(monkeypatch: pytest.MonkeyPatch, clean_zygote: Zygote) -> None:
    def fail(*_: object) -> None:
        raise ZygoteFailed("no room")

    monkeypatch.setattr(Zygote, "guest", fail)
    _, outcome = _grade(clean_zygote, RIGHT, TEST)
    assert list(outcome.faults) == [1] and "no room" in outcome.faults[1]


# Check cells


def _checked(zygote: Zygote, source: str, shown: str = "check(reparameterize)", points: float = 0) -> Outcome:
    ready = grading.bench(ROOT, "week07_vae")
    points = points or ready.week.max_points("reparameterize")
    cells = (CodeCell(source, "a"), CodeCell(shown, "b", "reparameterize", points))
    return run(Job("ada", "w", "week07_vae", cells, root=str(ROOT), week="week07_vae"), zygote, ready)


REPARAMETERIZE = "def reparameterize(mu, logvar, eps):\n    return mu + (logvar / 2).exp() * eps"
FORGERIES = [
    "import sys\nsys.displayhook(99.0)",
    "99.0",
    "import os\nos._exit(0)",
    "class check:\n    pass\n99",
    "get_ipython().run_cell = None",
]


@pytest.mark.parametrize("shown", ["check(reparameterize)", "", *FORGERIES])
def test_a_check_cell_holds_the_judges_score_whatever_it_does(clean_zygote: Zygote, shown: str) -> None:
    feedback, score = _checked(clean_zygote, REPARAMETERIZE, shown).outputs[1]
    full = grading.bench(ROOT, "week07_vae").week.max_points("reparameterize")
    assert feedback["output_type"] == "display_data" and "reparameterize" in feedback["data"]["text/html"]
    assert score["output_type"] == "execute_result" and float(score["data"]["text/plain"]) == full
    wrong = REPARAMETERIZE.replace("/ 2", "")
    feedback, error = _checked(clean_zygote, wrong, shown).outputs[1]
    assert error["output_type"] == "error" and "points" in feedback["data"]["text/html"]


def test_a_score_is_of_the_gradebooks_points(clean_zygote: Zygote) -> None:
    _, score = _checked(clean_zygote, REPARAMETERIZE, points=3).outputs[1]
    assert score["data"]["text/plain"] == "3.0"


def test_the_report_counts_the_notebooks_own_cells(clean_zygote: Zygote) -> None:
    outcome = _checked(clean_zygote, REPARAMETERIZE, "1 / 0")
    assert outcome.report is not None
    assert [(c.cell, c.name) for c in outcome.report.cells] == [(2, "ZeroDivisionError")]


def test_a_fault_of_the_judge_leaves_the_cell_ungraded(
    clean_zygote: Zygote, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = grading.bench(ROOT, "week07_vae")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the judge stumbled")

    monkeypatch.setattr(ready, "judge_exercise", fail)
    outcome = _checked(clean_zygote, REPARAMETERIZE)
    assert "the judge stumbled" in outcome.faults[1]


def test_of_an_earlier_outcome_is_kept_what_holds(
    clean_zygote: Zygote, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = grading.bench(small, small_course.WEEK)
    cells = (CodeCell(small_course.SUMMED + small_course.HALF, "a"), CodeCell("", "b", "half_error", 4))
    job = Job("ada", "w", "w", cells, root=str(small), week=small_course.WEEK)
    judged: list[str] = []
    real = ready.judge_exercise

    def spy(name: str, *arguments: Any, **options: Any) -> ExerciseResult:
        judged.append(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(ready, "judge_exercise", spy)
    first = run(job, clean_zygote, ready)
    assert first.faults == {} and first.report is not None
    assert set(judged) == {"squared_error", "half_error"}
    judged.clear()
    again = run(job, clean_zygote, ready, first)
    assert judged == [] and again.outputs == first.outputs
    run(job, clean_zygote, ready, first, ["half_error"])
    assert set(judged) == {"half_error"}
    judged.clear()
    stale = dataclasses.replace(first.report.exercises[1], key="of other checks")
    report = dataclasses.replace(first.report, exercises=[first.report.exercises[0], stale])
    assert run(job, clean_zygote, ready, dataclasses.replace(first, report=report)).outputs == first.outputs
    assert set(judged) == {"half_error"}
    judged.clear()
    other = dataclasses.replace(job, cells=(CodeCell(small_course.HALF, "a"), *cells[1:]))
    run(other, clean_zygote, ready, first)
    assert set(judged) == {"squared_error", "half_error"}


def test_the_preprocessor_works_alone_on_any_notebook() -> None:
    notebook = v4.new_notebook(cells=[v4.new_code_cell("print(6 * 7)"), v4.new_markdown_cell("x")])
    notebook, _ = GuestExecute().preprocess(notebook, {})
    assert notebook.cells[0].outputs[0].text == "42\n"
