"""What students see of the checks that they don't have is what the instructor says, and no less."""

from __future__ import annotations

import copy
import dataclasses
import json

import pytest
import sample_reports
from jsonschema import Draft202012Validator

from autograder.results import FAILED, Report
from autograder.reveal import LEVELS, NOT_GRADED, is_hidden, revealed
from tests.test_results import SCHEMA

SECRET = "0.424242"


def with_a_secret(tier: str) -> Report:
    """A report whose checks of one tier tell a number in message and example."""
    report = copy.deepcopy(sample_reports.half_way())
    report.exercises = [e for e in report.exercises if e.name == "kl_to_standard_normal"]
    for check in report.exercises[0].checks:
        if check.verdict == FAILED and (check.tier == "public") == (tier == "public"):
            check.message = f"expected {SECRET}"
            assert check.counterexample
            check.counterexample = dataclasses.replace(check.counterexample, got=SECRET)
    return report


@pytest.mark.parametrize(("level", "times"), [("names", 0), ("hints", 5), ("examples", 10)])
def test_hidden_checks_tell_what_the_level_says(level: str, times: int) -> None:
    assert revealed(with_a_secret("hidden"), level).to_json().count(SECRET) == times


@pytest.mark.parametrize("level", LEVELS)
def test_public_checks_tell_everything(level: str) -> None:
    report = with_a_secret("public")
    assert revealed(report, level).to_json().count(SECRET) == report.to_json().count(SECRET) == 2


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("report", sample_reports.class_of_week_7(), ids=lambda r: r.student)
def test_names_verdicts_and_points_stay_and_the_given_report_too(report: Report, level: str) -> None:
    before = copy.deepcopy(report)
    seen = revealed(report, level)
    assert report == before
    Draft202012Validator(SCHEMA).validate(json.loads(seen.to_json()))
    for exercise, shown in zip(report.exercises, seen.exercises, strict=True):
        for check, its in zip(exercise.checks, shown.checks, strict=True):
            assert (its.title, its.verdict, its.points) == (check.title, check.verdict, check.points)
            if not is_hidden(check):
                assert its == check
            elif level == "names":
                assert not its.message and its.counterexample is None
    assert (seen.score, seen.status) == (report.score, report.status)


def test_the_misconception_is_a_hint_unless_public_checks_alone_failed() -> None:
    report = with_a_secret("public")
    assert revealed(report, "hints").exercises[0].misconception == sample_reports.LOG_STD
    assert revealed(report, "names").exercises[0].misconception == ""
    for check in report.exercises[0].checks:
        if is_hidden(check):
            check.verdict = "passed"
    assert revealed(report, "names").exercises[0].misconception == sample_reports.LOG_STD


def test_why_we_failed_is_for_instructors_where_hidden_checks_were_done() -> None:
    report = sample_reports.our_fault()
    assert revealed(report, "examples").problems == report.problems
    report.tiers = ["public"]
    assert revealed(report, "names").problems == report.problems
    report.tiers = ["public", "hidden"]
    for level in ("names", "hints"):
        assert revealed(report, level).problems == [NOT_GRADED]


def test_there_is_no_other_level() -> None:
    with pytest.raises(ValueError, match="names, hints, examples"):
        revealed(sample_reports.half_way(), "all")
