"""The record survives a round trip through JSON, and its schema says exactly what it holds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import sample_reports
from jsonschema import Draft202012Validator

import autograder.results
from autograder.results import FORMAT, Report

SCHEMA = json.loads(
    (Path(autograder.results.__file__).parent / "report.schema.json").read_text(encoding="utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)
RECORDS = {
    name: record
    for name, record in vars(autograder.results).items()
    if dataclasses.is_dataclass(record) and isinstance(record, type)
}


@pytest.mark.parametrize("report", sample_reports.class_of_week_7(), ids=lambda r: r.student)
def test_a_report_comes_back_as_it_was_and_obeys_the_schema(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert Report.load(path) == report
    VALIDATOR.validate(json.loads(report.to_json()))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == FORMAT


@pytest.mark.parametrize("name", RECORDS)
def test_the_schema_names_every_field_and_no_other(name: str) -> None:
    fields = {f.name for f in dataclasses.fields(RECORDS[name])}
    definition = SCHEMA["$defs"][name]
    assert set(definition["properties"]) == set(definition["required"]) == fields
    assert definition["additionalProperties"] is False


def test_the_sample_holds_every_verdict_and_status() -> None:
    """Otherwise the pages and formats would be tested on less than there is."""
    reports = sample_reports.class_of_week_7()
    exercises = [e for r in reports for e in r.exercises]
    found = {
        "Report": {r.status for r in reports},
        "ExerciseResult": {e.status for e in exercises},
        "CheckResult": {c.verdict for e in exercises for c in e.checks},
    }
    for record, field in (("Report", "status"), ("ExerciseResult", "status"), ("CheckResult", "verdict")):
        assert found[record] == set(SCHEMA["$defs"][record]["properties"][field]["enum"])


def _spoil(path: str, value: Any) -> dict[str, Any]:
    """The sample report with one value replaced; `...` takes it out."""
    data = json.loads(sample_reports.half_way().to_json())
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place: Any = data
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("comment", "more"),
        ("exercises.0.comment", "more"),
        ("exercises.0.checks.0.comment", "more"),
        ("exercises.1.checks.0.counterexample.comment", "more"),
        ("cells.0.comment", "more"),
        ("confinement.comment", "more"),
        ("confinement.seal", ...),
        ("confinement.box", "cardboard"),
        ("status", "ungraded"),
        ("exercises.0.status", ""),
        ("exercises.0.checks.0.verdict", "maybe"),
        ("exercises.0.checks.0.tier", "secret"),
        ("exercises.0.score", "7"),
        ("exercises.0.score", -1),
        ("exercises.0.checks.0.examples", 1.5),
        ("versions.torch", 2.13),
        ("times.notebook", -1.0),
        ("format", "genai-autograder/report/v2"),
        ("student", ...),
    ],
)
def test_the_schema_rejects_what_a_report_never_is(path: str, value: Any) -> None:
    assert not VALIDATOR.is_valid(_spoil(path, value))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no JSON"),
        ("[]", "a JSON object, not list"),
        ("{}", "format None"),
        (
            json.dumps(_spoil("format", "genai-autograder/report/v0")),
            "read it with the version that wrote it",
        ),
        (json.dumps(_spoil("exercises", ...)), "lacks 'exercises'"),
        (json.dumps(_spoil("exercises.0.checks.0.counterexample", ...)), "lacks 'counterexample'"),
        (json.dumps(_spoil("student", ...)), "student"),
        (json.dumps(_spoil("comment", "more")), "comment"),
        (json.dumps(_spoil("exercises", [1])), "report.schema.json"),
    ],
)
def test_a_report_that_cannot_be_read_says_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Report.from_json(text)


def test_whatever_students_write_can_be_stored(tmp_path: Path) -> None:
    report = sample_reports.hostile()
    path = tmp_path / "report.json"
    path.write_text(report.to_json(), encoding="utf-8")
    assert Report.load(path) == report


def test_a_score_that_is_no_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        dataclasses.replace(sample_reports.half_way(), score=float("nan")).to_json()
