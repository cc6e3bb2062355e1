"""Every exercise of the course qualifies: its checks tell known right answers from known wrong ones."""

from __future__ import annotations

import pytest

from autograder.course import Course
from autograder.exercises import Solution
from autograder.qualify import qualify
from tests.conftest import ROOT

COURSE = Course.load(ROOT)
EXERCISES = [(name, e.name) for name in COURSE.names for e in COURSE.week(name).exercises]


@pytest.mark.parametrize(("week", "exercise"), EXERCISES, ids=lambda v: v)
def test_an_exercise_qualifies(week: str, exercise: str) -> None:
    found = qualify(COURSE.week(week), only=[exercise])
    assert found.exceptions == []
    kinds = [row.kind for row in found.rows]
    assert kinds.count("accepted") >= 3 and kinds.count("mistake") >= 5 and kinds.count("stub") >= 3


def _qualified_with(solution: Solution) -> list[str]:
    """The exceptions once `solution` is among the known answers."""
    week = Course.load(ROOT).week("week07_vae")
    week.solutions = [s for s in week.solutions if s.name != solution.name] + [solution]
    return qualify(week, only=[solution.exercise]).exceptions


def test_a_wrong_accepted_answer_is_an_exception() -> None:
    def wrong(mu, logvar, eps):
        return mu + logvar * eps

    exceptions = _qualified_with(Solution("reparameterize", "wrong", wrong))
    assert any("accepted wrong" in e for e in exceptions)


def test_a_mistake_that_is_right_is_an_exception() -> None:
    def right(mu, logvar, eps):
        return mu + (logvar / 2).exp() * eps

    exceptions = _qualified_with(Solution("reparameterize", "right", right, "This is no mistake."))
    assert any("mistake right: loses no points" in e for e in exceptions)


def test_two_mistakes_that_can_not_be_told_apart_are_an_exception() -> None:
    week = Course.load(ROOT).week("week07_vae")
    twin = next(s for s in week.solutions_of("reparameterize", mistakes=True))
    exceptions = _qualified_with(Solution(twin.exercise, "twin", twin.function, "Another sentence."))
    assert any("is not diagnosed" in e or "is diagnosed as" in e for e in exceptions)
