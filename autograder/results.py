"""The record of a graded submission. Every page and format is made from it and from nothing else."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FORMAT = "genai-autograder/report/v1"

# What terminals obey (C1 controls), what turns text around or hides in it, and what UTF-8 can't hold.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)

PASSED, FAILED, SKIPPED, FAULT = "passed", "failed", "skipped", "fault"


@dataclass
class Counterexample:
    """The smallest input found on which a check fails."""

    code: str  # to paste under the student's own definitions
    expected: str
    got: str
    where: str = ""  # the first place where they differ, as an index


@dataclass
class CheckResult:
    """One check of one exercise. `verdict` is passed, failed, skipped or fault (ours: never a zero)."""

    name: str
    title: str
    tier: str
    verdict: str
    points: float
    max_points: float
    message: str = ""
    counterexample: Counterexample | None = None
    examples: int = 0
    left_out: int = 0


@dataclass
class ExerciseResult:
    """One exercise: its score, its checks, the misconception if it is a known one, and remarks."""

    name: str
    score: float
    max_score: float
    checks: list[CheckResult] = field(default_factory=list)
    status: str = ""  # "passed", "partial", "failed", "untouched", "missing", "fault"
    misconception: str = ""
    notes: list[str] = field(default_factory=list)
    code: str = ""  # a hash of the answer without names and formatting (see similarity.py)
    key: str = ""  # of all in the course that decides about it: the result holds while that is the same


@dataclass
class CellProblem:
    """A cell of the notebook that did not run to its end."""

    cell: int
    name: str
    message: str
    traceback: str = ""


@dataclass
class Report:
    """Everything that is known about one graded submission."""

    assignment: str
    title: str
    student: str
    score: float
    max_score: float
    exercises: list[ExerciseResult]
    status: str = "graded"  # or "unreadable" (what was handed in), "fault" (ours: not graded)
    problems: list[str] = field(default_factory=list)
    cells: list[CellProblem] = field(default_factory=list)
    submission: dict[str, str] = field(default_factory=dict)  # file name and digest
    executed: str = "all"  # the cells' statements, or "needed": those that the graded functions depend on
    tiers: list[str] = field(default_factory=list)
    confinement: dict[str, str] = field(default_factory=dict)  # box and seal
    corpus: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)  # seconds; all else is reproducible
    key: str = ""  # of the submission, the engine, and how it was run
    format: str = FORMAT

    def to_json(self) -> str:
        """The report as JSON text, keys in a fixed order, fit for terminals whatever students wrote."""
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return _UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], text)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read a report; ValueError names what is wrong with it."""
        try:
            data: dict[str, Any] = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the report is no JSON: {error}") from None
        if not isinstance(data, dict):
            raise ValueError(f"a report is a JSON object, not {type(data).__name__}")
        if data.get("format") != FORMAT:
            raise ValueError(
                f"format {data.get('format')!r} is not {FORMAT!r}: read it with the version that wrote it"
            )
        try:
            data["exercises"] = [_exercise(e) for e in data["exercises"]]
            data["cells"] = [CellProblem(**c) for c in data["cells"]]
            return cls(**data)
        except KeyError as error:
            raise ValueError(f"the report lacks {error}") from None
        except (AttributeError, TypeError) as error:
            raise ValueError(f"the report is not as report.schema.json says: {error}") from None

    @classmethod
    def load(cls, path: Path) -> Report:
        return cls.from_json(path.read_text(encoding="utf-8"))


def load(path: Path) -> tuple[list[Report], list[str]]:
    """The reports in a folder, or the one in a file; and what could not be read, in words."""
    reports, problems = [], []
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        try:
            reports.append(Report.load(file))
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{file}: {error}")
    return reports, problems


def _exercise(data: dict[str, Any]) -> ExerciseResult:
    checks = []
    for check in data.pop("checks"):
        example = check.pop("counterexample")
        checks.append(CheckResult(**check, counterexample=Counterexample(**example) if example else None))
    return ExerciseResult(**data, checks=checks)
