"""A class of which most attack, and the commands that grade it: the others don't notice."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from autograder.collect import Entry
from autograder.grading import grade_all
from autograder.replay import MOST_DEATHS_IN_CELLS, MOST_NOTEBOOKS
from autograder.results import Report
from tests.attacks.attack import POINTS, TARGET, WEEK, honest, notebook
from tests.attacks.conftest import (
    LIMITS,
    Belongings,
    Judge,
    artefacts,
    breaches,
    dangers,
    redirected,
    secrets_in,
)
from tests.attacks.suite import ATTACKS, gains_nothing

HONEST = {
    "right": {},
    "overflows": {TARGET: "def log_sum_exp(x):\n    return x.exp().sum(-1).log()"},
    "begun": {TARGET: "def log_sum_exp(x):\n    raise NotImplementedError()"},
    "crashes": {"Affine": "1 / 0", TARGET: "def log_sum_exp(x):\n    return x.sum(-1).view(7, 7)"},
}


def a_class(judge: Judge, folder: Path) -> list[Entry]:
    """All attackers, and an honest student after every second."""
    entries: list[Entry] = []
    for i, attack in enumerate(ATTACKS):
        entries.append(Entry(attack.name, attack.hand_in(folder, judge.world)))
        if i % 2:
            kind = list(HONEST)[i // 2 % len(HONEST)]
            name = f"honest-{kind}-{i}"
            entries.append(Entry(name, honest(folder, name, HONEST[kind])))
    return entries


def test_in_a_class_attackers_gain_nothing_and_others_lose_nothing(the_judge: Judge, tmp_path: Path) -> None:
    if the_judge.confinement.bare:
        pytest.skip("two judges choose a level for themselves, and this is none")
    entries = a_class(the_judge, tmp_path)
    resource_tracker.ensure_running()  # multiprocessing has it for as long as this process lives
    before = Belongings.now(the_judge.folder)
    with redirected(tmp_path / "told"):
        level = the_judge.confinement.level
        graded = list(grade_all(the_judge.course, WEEK, entries, "hidden", LIMITS, 2, level, "all"))
    assert Belongings.now(the_judge.folder) == before
    reports = {report.student: report for report in graded}
    assert reports.keys() == {entry.student for entry in entries}

    found = artefacts(graded, tmp_path)
    for attack in ATTACKS:
        own = {what: text for what, text in found.items() if what.endswith(f" {attack.name}")}
        gains_nothing(attack, reports[attack.name], own, the_judge.confinement)
    nobody_else_pays(reports, the_judge, tmp_path)
    nobody_takes_more_time_than_is_given(reports)

    come = the_judge.listeners.come()
    if not any(breaches(report) for report in graded):
        # What is only the honest students' own may stand in their own reports.
        others = {what: text for what, text in found.items() if " honest-" not in what}
        told = (tmp_path / "told").read_text(errors="replace")
        assert not secrets_in({**others, "told": told}, the_judge)
        assert not come


def nobody_else_pays(reports: dict[str, Report], judge: Judge, folder: Path) -> None:
    """Honest students' reports are, but for times, what they are without attackers."""
    for kind, answers in HONEST.items():
        alone = judge.grade(honest(folder, kind, answers))
        same = [r for name, r in reports.items() if name.startswith(f"honest-{kind}-")]
        assert len(same) > 20
        for report in same:
            assert _but_for_times(report) == _but_for_times(alone)


def _but_for_times(report: Report) -> str:
    """A report without what differs between two honest submissions that say the same."""
    return dataclasses.replace(report, student="", submission={}, times={}).to_json()


def nobody_takes_more_time_than_is_given(reports: dict[str, Report]) -> None:
    """In CPU time of guests, which is the same however busy a machine is."""
    notebooks = (MOST_DEATHS_IN_CELLS + 1 + MOST_NOTEBOOKS) * LIMITS.notebook_cpu
    most = notebooks + len(POINTS) * (LIMITS.exercise_cpu + LIMITS.call_cpu)
    used = {name: report.times.get("guest_cpu", 0.0) for name, report in reports.items()}
    assert max(used.values()) <= most
    honestly = sum(seconds for name, seconds in used.items() if name.startswith("honest-"))
    print(f"of {sum(used.values()):.1f} s of guests' CPU time, {honestly:.1f} s were used honestly")


NAMES = [
    *(
        "Ada",
        "ada",
        "ADA",
        "e\u0301ve",
        "\u00e9ve",
        "index",
        "con",
        "nul",
        "-rf",
        "--help",
        "x" * 120,
        "a" * 240,
    ),
    *('=HYPERLINK("http:x")', "@SUM(1)", "+1", "-1", "[red]x", "[@click=x]", "{{7*7}}", "%s%n", "a'b", 'a"b'),
    *("<script>alert(1)<script>", "\x1b[2J\x1b]0;x\x07", "a\nb", "a\rb", "\u202ecilbup", "\udcff", " "),
    *("..\\..\\up", "$(id)", "`id`", "neighbour.json", ".hidden", "..."),
]


def test_the_command_withstands_names_of_all_kinds(the_judge: Judge, tmp_path: Path) -> None:
    handed_in, out = tmp_path / "handed in", tmp_path / "out"
    handed_in.mkdir()
    for name in NAMES:
        (handed_in / f"{name}.ipynb").write_text(notebook(["def tally(words): return {}"]))
    honest(handed_in, "neighbour", {})
    (handed_in / "torch.py").write_text("raise SystemExit")
    for attack in ATTACKS[::30]:
        attack.hand_in(handed_in, the_judge.world)
    grade = [WEEK, str(handed_in), "--out", str(out), "--jobs", "2", "--course", str(the_judge.course)]
    limits = ["--call-seconds", "0.3", "--cell-seconds", "0.6", "--allow-unconfined"]
    graded = _autograder("grade", *grade, *limits)
    assert graded.returncode == 1, graded.stderr
    made = _autograder("report", str(out))
    assert made.returncode == 0, made.stderr
    told = {"graded": graded.stdout + graded.stderr, "made": made.stdout + made.stderr}
    assert "Traceback" not in "".join(told.values())
    reports = [Report.load(path) for path in out.glob("*.json")]
    assert len(reports) == len([n for n in os.listdir(handed_in) if not n.startswith(".")])
    assert len({report.student.casefold() for report in reports}) == len(reports)
    assert {p.parent for p in tmp_path.rglob("*") if p.suffix in (".json", ".html")} == {
        out,
        out / "feedback",
    }
    files = [path for path in out.rglob("*") if path.is_file()]
    found = {str(path.relative_to(out)): path.read_text() for path in files} | told
    for name, text in found.items():
        assert name.endswith(".json") or not dangers(text), name
    if not any(breaches(report) for report in reports):
        assert not secrets_in(found, the_judge)


def _autograder(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "autograder.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "200", "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", env=environment, timeout=600, check=False
    )
