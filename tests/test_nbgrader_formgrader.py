"""nbgrader's formgrader in a real browser: our feedback and scores, and a score given by hand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.nbgrader.classroom import Classroom
from autograder.notebooks import build_source, marked_source, solve
from tests.conftest import ROOT
from tests.jupyter import serving
from tests.test_nbgrader_course import NbgraderCourse

WEEK, EXERCISE = "week07_vae", "kl_to_standard_normal"
PICTURES = ROOT / "docs" / "images"  # new ones are taken where AUTOGRADER_PICTURES is set

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> NbgraderCourse:
    """Week 7 with a student who mistakes logvar, and has answered the question."""
    made = NbgraderCourse(tmp_path_factory.mktemp("formgrader"))
    made.set_up()
    with (made.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.GuestExecute.course = {str(ROOT)!r}\n")
    week = Course.load(ROOT).week(WEEK)
    folder = made.root / "source" / WEEK
    folder.mkdir()
    nbformat.write(build_source(week), folder / f"{WEEK}.ipynb")
    made.run("generate_assignment", WEEK)
    released = nbformat.read(made.root / "release" / WEEK / f"{WEEK}.ipynb", 4)
    answers = {e.name: marked_source(e.reference) for e in week.exercises}
    answers[EXERCISE] = answers[EXERCISE].replace("mu.square()", "mu")
    for cell in released.cells:
        if cell.cell_type == "markdown" and cell.metadata.get("nbgrader", {}).get("grade"):
            cell.source = "The reconstruction error pulls the posterior to the data, the KL to the prior."
    path = made.root / "submitted" / "ada" / WEEK / f"{WEEK}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(solve(released, answers), path)
    room = Classroom(made.root, WEEK)
    room.grade(room.pending(False), jobs=1)
    room.book(room.due(False))
    return made


@pytest.fixture(scope="module")
def formgrader(course: NbgraderCourse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Jupyter server with the formgrader, for this machine alone."""
    extension = "nbgrader.server_extensions.formgrader"
    with serving(course.root, tmp_path_factory.mktemp("home"), extension) as address:
        yield address


@pytest.fixture(scope="module")
def page(formgrader: str, browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(formgrader.format("login"))
    yield page
    page.close()


def _picture(page: Any, name: str) -> None:
    if os.environ.get("AUTOGRADER_PICTURES"):
        page.screenshot(path=PICTURES / f"{name}.png")


def _submission(course: NbgraderCourse) -> str:
    with Gradebook(course.db) as gradebook:
        return str(gradebook.find_submission_notebook(WEEK, WEEK, "ada").id)


def _question(course: NbgraderCourse) -> str:
    notebook = nbformat.read(course.root / "release" / WEEK / f"{WEEK}.ipynb", 4)
    graded = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    return str(next(c.metadata.nbgrader.grade_id for c in graded if c.cell_type == "markdown"))


def test_the_class_is_listed_with_its_scores(course: NbgraderCourse, formgrader: str, page: Any) -> None:
    page.goto(formgrader.format(f"formgrader/gradebook/{WEEK}/{WEEK}"))
    row = page.locator("table tbody tr").first
    row.wait_for()
    page.wait_for_function("document.body.innerText.includes('Submission #1')")
    _picture(page, "formgrader-class")
    with Gradebook(course.db) as gradebook:
        found = gradebook.find_submission(WEEK, "ada")
        assert 0 < found.score < found.max_score
        assert f"{found.score:g} / {found.max_score:g}" in " ".join(row.inner_text().split())


def test_feedback_and_scores_are_shown_and_one_by_hand_is_kept(
    course: NbgraderCourse, formgrader: str, page: Any
) -> None:
    address = formgrader.format(f"formgrader/submissions/{_submission(course)}/")
    page.goto(address)
    score = page.locator(f"#check_{EXERCISE}")
    page.wait_for_function(f"document.getElementById('check_{EXERCISE}').placeholder !== ''")
    with Gradebook(course.db) as gradebook:
        grade = gradebook.find_grade(f"check_{EXERCISE}", WEEK, WEEK, "ada")
        assert float(score.get_attribute("placeholder")) == grade.auto_score < grade.max_score
    text = page.inner_text("body")
    assert "checks pass" in text and "points" in text
    score.scroll_into_view_if_needed()
    page.evaluate("window.scrollBy(0, 200)")
    _picture(page, "formgrader-feedback")

    question = _question(course)
    box = page.locator(f"#{question}")
    box.fill("1")
    box.press("Tab")
    page.locator(f"#{question}-comment").fill("Which of the two grows with beta?")
    page.locator(f"#{question}-comment").press("Tab")
    for _ in range(300):
        with Gradebook(course.db) as gradebook:
            grade = gradebook.find_grade(question, WEEK, WEEK, "ada")
            comment = gradebook.find_comment(question, WEEK, WEEK, "ada")
            if grade.manual_score == 1 and comment.manual_comment:
                break
        page.wait_for_timeout(100)
    else:
        raise AssertionError("the score by hand has not reached the gradebook")
    box.scroll_into_view_if_needed()
    _picture(page, "formgrader-by-hand")

    room = Classroom(course.root, WEEK)
    room.grade(room.pending(True), jobs=1)
    room.book(room.due(True))
    page.goto(address)
    page.wait_for_function(f"document.getElementById('{question}').value === '1'")
    assert page.locator(f"#{question}-comment").input_value() == "Which of the two grows with beta?"
