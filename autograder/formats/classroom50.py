"""Classroom 50: `result.json`, which an assignment's autograder.py leaves in the student's checkout.

https://github.com/foundation50/classroom50/wiki/Advanced-Autograding and its schemas/result-v1.schema.json
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from autograder.formats import require_graded
from autograder.formats.rows import Row, rows
from autograder.results import PASSED, SKIPPED, Report

SCHEMA = "classroom50/result/v1"
NEEDED = ("CLASSROOM", "ASSIGNMENT", "SUBMISSION_TAG", "GITHUB_REPOSITORY", "GITHUB_SHA")
_FACTORS = (1, 10, 100, 1000, 10_000)


def result(report: Report, environ: Mapping[str, str], now: datetime | None = None) -> str:
    """The `result.json` of a submission.

    Scores have to be integers. Where points are not, all of them, and the maxima, are multiplied by the
    smallest power of ten that makes them so (at most 10,000; then they are rounded): no percentage changes.

    Args:
        report: as its student may see it: the result is published in the student's repository.
        environ: the variables that Classroom 50's runner sets; those that it lacks come from GitHub's.
        now: when it was graded.

    Raises:
        NotGraded: by a fault of ours. Without a result.json, Classroom 50 records an error.
        ValueError: a variable is missing.
    """
    require_graded(report)
    require_runner(environ)
    tests = [row for row in rows(report) if row.verdict != SKIPPED]
    factor = _factor([p for row in tests for p in (row.points, row.max_points)])
    results = [_test(row, factor) for row in tests]
    submission = environ["SUBMISSION_TAG"]
    repository = f"{environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{environ['GITHUB_REPOSITORY']}"
    commit = environ.get("COMMIT_URL") or f"{repository}/commit/{environ['GITHUB_SHA']}"
    prefix = f"{environ['CLASSROOM']}-{environ['ASSIGNMENT']}-".lower()
    name = environ["GITHUB_REPOSITORY"].rpartition("/")[2]
    owner = name[len(prefix) :] if name.lower().startswith(prefix) else environ.get("GITHUB_ACTOR", "")
    mode = environ.get("MODE", "").strip().lower()
    data = {
        "schema": SCHEMA,
        "classroom": environ["CLASSROOM"],
        "assignment": environ["ASSIGNMENT"],
        "assignment_type": mode if mode in ("group", "team") else "individual",
        "owner": environ.get("USERNAME") or owner or report.student,
        "submission": submission,
        "commit": commit,
        "release": environ.get("RELEASE_URL") or f"{repository}/releases/tag/{quote(submission, safe='')}",
        "review": environ.get("REVIEW_URL") or commit,
        "datetime": f"{now or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "score": sum(t["score"] for t in results),
        "max-score": sum(t["max-score"] for t in results),
        "tests": results,
    }
    return json.dumps(data, indent=2, ensure_ascii=True) + "\n"


def require_runner(environ: Mapping[str, str]) -> None:
    """Raises ValueError for a variable that is missing."""
    lacking = [name for name in NEEDED if not environ.get(name)]
    if lacking:
        raise ValueError(f"not set: {', '.join(lacking)}, as Classroom 50's runner sets them")


def _factor(points: list[float]) -> int:
    """The smallest power of ten that makes all of them whole, or the last."""
    whole = (f for f in _FACTORS if all(abs(f * p - round(f * p)) < 1e-6 for p in points))
    return next(whole, _FACTORS[-1])


def _test(row: Row, factor: int) -> dict[str, Any]:
    test: dict[str, Any] = {
        "test-name": row.name,
        "passed": row.verdict == PASSED and row.points >= row.max_points,
        "score": round(factor * row.points),
        "max-score": round(factor * row.max_points),
    }
    return test | ({"message": row.text} if row.text else {})
