"""Reports in the formats of learning platforms and CI: of each a module, with functions from reports to text.

They are made from `results.Report` and from nothing else. What students are not to see is taken out before,
by `reveal.revealed`. A fault of ours is a zero in none of them: what can't be left open is not written, and
`NotGraded` is raised.
"""

from __future__ import annotations

from autograder.pages import faults, plain
from autograder.results import FAULT, Report


class NotGraded(ValueError):
    """A format has no way to say that this report is no grade; the message says what went wrong."""


def is_graded(report: Report) -> bool:
    """Whether the score says something: not if we failed at any part of it."""
    return report.status != FAULT and not faults(report)


def require_graded(report: Report) -> None:
    """Raises NotGraded for a fault of ours."""
    if not is_graded(report):
        why = plain("; ".join(f"{where}: {message}" for where, message in faults(report)), 2000)
        raise NotGraded(f"{plain(report.student, 200)} is not graded, by a fault of ours: {why}")
