"""JUnit's XML, which GitLab, Jenkins and others show: a suite for each exercise, a case for each check.

A fault of ours is an `error`, what students got wrong is a `failure`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from autograder.formats.rows import Row, rows
from autograder.pages import plain
from autograder.results import FAILED, FAULT, PASSED, SKIPPED, Report

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {FAILED: "failure", FAULT: "error", SKIPPED: "skipped"}
_COUNTS = {"failures": FAILED, "errors": FAULT, "skipped": SKIPPED}


def xml(reports: Sequence[Report]) -> str:
    """The reports of one or several students, as they may see them."""
    suites = ElementTree.Element("testsuites", name="autograder")
    for report in reports:
        for exercise, its_rows in groupby(rows(report), key=lambda row: row.exercise):
            _suite(suites, report, exercise, list(its_rows), len(reports) > 1)
    ElementTree.indent(suites)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(suites, encoding='unicode')}\n"


def _suite(
    suites: ElementTree.Element, report: Report, exercise: str, its_rows: list[Row], several: bool
) -> None:
    place = [report.student] if several else []
    names = [_text(part, 200) for part in (*place, report.assignment, exercise) if part]
    suite = ElementTree.SubElement(suites, "testsuite", name=".".join(names), tests=str(len(its_rows)))
    for count, verdict in _COUNTS.items():
        suite.set(count, str(sum(row.verdict == verdict for row in its_rows)))
    for row in its_rows:
        case = ElementTree.SubElement(
            suite, "testcase", classname=".".join(names), name=_text(row.title, 500)
        )
        if row.verdict != PASSED:
            why = _text(row.text)
            brief = why.split("\n")[0] or row.verdict
            ElementTree.SubElement(case, _TAGS[row.verdict], message=brief, type=row.verdict).text = why


def _text(text: str, limit: int = 10_000) -> str:
    return _NO_XML.sub("\ufffd", plain(text, limit))
