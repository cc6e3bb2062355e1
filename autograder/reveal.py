"""What students may see of the checks that they don't have: `revealed(report, level)`."""

from __future__ import annotations

import dataclasses

from autograder.results import FAILED, FAULT, CheckResult, ExerciseResult, Report

NAMES, HINTS, EXAMPLES = LEVELS = ("names", "hints", "examples")
DEFAULT = HINTS

NOT_GRADED = "this submission could not be graded, through no fault of yours; your instructor knows why"


def revealed(report: Report, level: str = DEFAULT) -> Report:
    """The report as its student may see it; the given one stays as it is.

    Args:
        report: what grading came to.
        level: of each check that is not public, "names" shows title, verdict and points; "hints" also its
            message and the misconception; "examples" also the input on which it fails, which is everything.

    Raises:
        ValueError: there is no such level.
    """
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is not one of {', '.join(LEVELS)}")
    if level == EXAMPLES or not _holds_hidden(report):
        return report
    return dataclasses.replace(
        report,
        exercises=[_exercise(e, level) for e in report.exercises],
        # What broke may be a hidden check, or say where the course is.
        problems=[NOT_GRADED] if report.status == FAULT else report.problems,
    )


def is_hidden(check: CheckResult) -> bool:
    """Whether students don't have this check."""
    return check.tier != "public"


def _holds_hidden(report: Report) -> bool:
    return any(tier != "public" for tier in report.tiers) or any(
        is_hidden(c) for e in report.exercises for c in e.checks
    )


def _exercise(exercise: ExerciseResult, level: str) -> ExerciseResult:
    # Only where no hidden check failed was the misconception certainly found by those that students have.
    told = level == HINTS or not any(is_hidden(c) and c.verdict == FAILED for c in exercise.checks)
    return dataclasses.replace(
        exercise,
        checks=[_check(c, level) if is_hidden(c) else c for c in exercise.checks],
        misconception=exercise.misconception if told else "",
    )


def _check(check: CheckResult, level: str) -> CheckResult:
    told = level == HINTS and check.verdict != FAULT
    return dataclasses.replace(check, message=check.message if told else "", counterexample=None)
