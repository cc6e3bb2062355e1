"""Grading functions and submissions: the judge put to work."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from autograder.course import Course
from autograder.judge import Bench, LocalReplayer
from autograder.results import ExerciseResult

TIERS_UP_TO = {"public": ("public",), "hidden": ("public", "hidden")}


@lru_cache(maxsize=32)
def bench(root: Path, week: str) -> Bench:
    """The bench of a week, made once per process."""
    return Bench(Course.load(root).week(week))


def grade_function(
    week: str,
    exercise: str,
    function: Callable[..., Any],
    tier: str = "hidden",
    course: Path | str | None = None,
) -> ExerciseResult:
    """Judge a function (or class) in this process: for authors of exercises, not for students' code.

    Args:
        week: the week's name, such as "week07_vae".
        exercise: the exercise that the function answers.
        function: the answer; the exercise's other functions are the references.
        tier: "public" for the checks that students have, "hidden" for these and the instructor's.
        course: the course folder; by default the one around the working directory.

    Returns:
        the exercise's result, with `score`, `max_score` and `checks`.
    """
    if tier not in TIERS_UP_TO:
        raise ValueError(f"tier {tier!r} is not one of {', '.join(TIERS_UP_TO)}")
    found = Course.find(course)
    ready = bench(found.root, found.resolve(week))
    ready.week.exercise(exercise)
    namespace = {**ready.week.references, exercise: function}
    return ready.judge_exercise(exercise, LocalReplayer(namespace), TIERS_UP_TO[tier])
