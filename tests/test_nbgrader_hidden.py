"""Hidden checks never reach students: neither by what nbgrader releases nor by the feedback that it makes."""

from __future__ import annotations

import html
import inspect
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import nbformat
import pytest

from autograder import release
from autograder.course import Course
from autograder.nbgrader.classroom import Classroom
from autograder.notebooks import solve
from tests.conftest import ROOT
from tests.test_nbgrader_course import CONFIG, NbgraderCourse

WEEKS = Course.load(ROOT).names


@pytest.mark.slow
@pytest.mark.parametrize("name", WEEKS)
def test_nothing_that_students_or_the_gradebook_hold_tells_a_hidden_check(name: str, tmp_path: Path) -> None:
    week = Course.load(ROOT).week(name)
    made = NbgraderCourse(tmp_path)
    (tmp_path / "nbgrader_config.py").write_text(f"{CONFIG}c.GuestExecute.course = {str(ROOT)!r}\n")
    release.build(week, tmp_path / "source")
    made.run("generate_assignment", name)

    # A student with a known mistake in every exercise, who is told of as many failing checks as can be.
    released = nbformat.read(tmp_path / "release" / name / f"{name}.ipynb", 4)
    answers = {}
    for exercise in week.exercises:
        mistake = week.solutions_of(exercise.name, mistakes=True)[0].function
        source = inspect.getsource(mistake)
        source = source[re.search(r"^(def|class) ", source, re.MULTILINE).start() :]  # type: ignore[union-attr]
        answers[exercise.name] = re.sub(rf"\b{mistake.__name__}\b", exercise.name, source)
    path = tmp_path / "submitted" / "ada" / name / f"{name}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(solve(released, answers), path)
    room = Classroom(tmp_path, name)
    room.grade(room.pending(False), jobs=1)
    room.book(room.due(False))
    (graded,) = room.results()
    assert not graded.faults
    assert all(e.score < e.max_score for e in graded.reports[0].exercises)
    made.run("generate_feedback", name)

    with closing(sqlite3.connect(tmp_path / "gradebook.db")) as database:
        cells = [source or "" for (source,) in database.execute("select source from source_cell")]
    assert any("check(" in cell for cell in cells)
    gradebook = tmp_path / "gradebook.txt"
    gradebook.write_text("\n".join(cells))
    page = (tmp_path / "feedback" / "ada" / name / f"{name}.html").read_text()
    assert "checks pass" in page
    feedback = tmp_path / "feedback.txt"
    feedback.write_text(html.unescape(re.sub("<[^>]+>", "", page)))

    files = [p for p in (tmp_path / "release" / name).iterdir() if p.is_file()]
    assert {p.suffix for p in files} == {".ipynb", ".checks"}
    assert release.secrets_in(week, [*files, gradebook]) == []
    told = release.secrets_in(week, [feedback])
    assert [line for line in told if "of the hidden checks" in line or "the seed" in line] == []
    # The scan itself sees what it looks for.
    for secret in ((week.folder / "hidden_checks.py").read_text(), week.seed):
        feedback.write_text(secret)
        assert release.secrets_in(week, [feedback])
