"""Every attack is handed in, alone and among honest submissions, and gains nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.attacks import control_flow, forging, gaming, protocol, resources, stealing
from autograder.confinement import Level
from tests.attacks.attack import POINTS, TARGET, WEEK, Attack, honest
from tests.attacks.conftest import Belongings, Judge, artefacts, breaches, secrets_in

ATTACKS: list[Attack] = [
    *forging.ATTACKS,
    *control_flow.ATTACKS,
    *stealing.ATTACKS,
    *protocol.ATTACKS,
    *gaming.ATTACKS,
    *resources.ATTACKS,
]
README = Path(__file__).parent / "README.md"


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gains_nothing(attack: Attack, the_judge: Judge, tmp_path: Path) -> None:
    path = attack.hand_in(tmp_path, the_judge.world)
    before = Belongings.now(the_judge.folder / "tmp")
    report = the_judge.grade(path)
    assert Belongings.now(the_judge.folder / "tmp") == before

    assert report.status == attack.status, report.problems
    if attack.status == "graded":
        assert {e.name: e.score for e in report.exercises} == {**POINTS, **attack.earns}
    found = artefacts([report], tmp_path)
    shown = "\n".join(found.values())
    if attack.says:
        assert re.search(attack.says, report.to_json()), report.to_json()
    if attack.silent:
        assert not re.search(attack.silent, shown)

    open_to = attack.open_to(the_judge.level.box, the_judge.level.seal)
    assert breaches(report) <= open_to
    if the_judge.level == Level("none", "none"):
        certain = {what for what in open_to if "chance" not in attack.stopped_by[what]}
        assert certain <= breaches(report)
    if not breaches(report):
        assert secrets_in(found, the_judge) == set()
        assert the_judge.listeners.come() == set()
    the_judge.listeners.come()
