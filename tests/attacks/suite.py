"""All attacks, and what must come of each."""

from __future__ import annotations

import re

from autograder.results import Report
from tests.attacks import control_flow, forging, further, gaming, protocol, resources, stealing, submissions
from tests.attacks.attack import PERHAPS, POINTS, Attack
from tests.attacks.conftest import Confinement, breaches, dangers, words

MODULES = (forging, control_flow, stealing, protocol, gaming, resources, submissions, further)
ATTACKS: list[Attack] = [attack for module in MODULES for attack in module.ATTACKS]
LARGEST_REPORT = 200_000  # characters


def gains_nothing(attack: Attack, report: Report, found: dict[str, str], confinement: Confinement) -> None:
    """Assert all that must come of an attack in its report and in what is made of it."""
    assert report.status == attack.status, report.problems
    if attack.status == "graded":
        assert {e.name: e.score for e in report.exercises} == {**POINTS, **attack.earns}, words(report)
    assert len(report.to_json()) < LARGEST_REPORT
    assert not attack.says or re.search(attack.says, words(report)), words(report)
    for what, text in found.items():
        assert not attack.silent or not re.search(attack.silent, text), what
        assert what.startswith("report") or not dangers(text), what
    open_to = attack.open_to(confinement.mechanisms)
    assert breaches(report) <= open_to
    if confinement.bare:
        assert {what for what in open_to if PERHAPS not in attack.stopped_by[what]} <= breaches(report)
