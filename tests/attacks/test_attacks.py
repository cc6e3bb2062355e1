"""Every attack is handed in alone: it gains nothing, harms nobody and leaves nothing."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import pytest

from tests.attacks.attack import Attack
from tests.attacks.conftest import Belongings, Judge, artefacts, breaches, secrets_in
from tests.attacks.suite import ATTACKS, gains_nothing

README = Path(__file__).parent / "README.md"
LARGEST_JUDGE = 3 << 20  # KiB by which a judge may grow


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gains_nothing(attack: Attack, the_judge: Judge, tmp_path: Path) -> None:
    path = attack.hand_in(tmp_path, the_judge.world)
    before, size = Belongings.now(the_judge.folder), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = the_judge.grade(path)
    assert Belongings.now(the_judge.folder) == before
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - size < LARGEST_JUDGE
    found = artefacts([report], tmp_path)
    gains_nothing(attack, report, found, the_judge.confinement)
    come = the_judge.listeners.come()
    if not breaches(report):
        assert not come
        assert not secrets_in(found, the_judge)


def test_every_line_of_the_list_is_an_attack() -> None:
    lines = re.findall(r"^- (.*)$", README.read_text().partition("\n## ")[2], re.M)
    by_name = {"CSV formulas and terminal escapes in ids"}  # see the command below
    assert set(lines) == {line for attack in ATTACKS for line in attack.covers} | by_name
    assert len(lines) == len(set(lines))


def test_every_attack_has_a_name_of_its_own() -> None:
    names = [attack.name.casefold() for attack in ATTACKS]
    assert len(names) == len(set(names))
