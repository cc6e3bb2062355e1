"""Every attack is handed in, alone and in a class: it gains nothing, harms nobody and leaves nothing."""

from __future__ import annotations

import dataclasses
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from autograder.collect import Entry
from autograder.grading import grade_all
from autograder.replay import MOST_DEATHS_IN_CELLS, MOST_NOTEBOOKS
from autograder.results import Report
from tests.attacks import control_flow, forging, further, gaming, protocol, resources, stealing, submissions
from tests.attacks.attack import PERHAPS, POINTS, TARGET, WEEK, Attack, honest, notebook
from tests.attacks.conftest import (
    LIMITS,
    Belongings,
    Confinement,
    Judge,
    artefacts,
    breaches,
    dangers,
    redirected,
    secrets_in,
    words,
)

MODULES = (forging, control_flow, stealing, protocol, gaming, resources, submissions, further)
ATTACKS: list[Attack] = [attack for module in MODULES for attack in module.ATTACKS]
README = Path(__file__).parent / "README.md"
LARGEST_REPORT = 200_000  # characters
LARGEST_JUDGE = 3 << 20  # KiB by which a judge may grow


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


# A class

HONEST = {
    "right": {},
    "overflows": {TARGET: "def log_sum_exp(x):\n    return x.exp().sum(-1).log()"},
    "begun": {TARGET: "def log_sum_exp(x):\n    raise NotImplementedError()"},
    "crashes": {"Affine": "1 / 0", TARGET: "def log_sum_exp(x):\n    return x.sum(-1).view(7, 7)"},
}


@dataclass(frozen=True)
class Class:
    """A class of honest students and attackers that two judges have graded, and what there was around it."""

    reports: dict[str, Report]
    found: dict[str, str]
    told: str  # by the judges, to whoever started them
    before: Belongings
    after: Belongings
    come: set[str]


@pytest.fixture(scope="session")
def graded(the_judge: Judge, tmp_path_factory: pytest.TempPathFactory) -> Class:
    if the_judge.confinement.bare:
        pytest.skip("judges of their own choose a level for themselves, and this is none")
    folder = tmp_path_factory.mktemp("class")
    students: list[Entry] = []
    for i, attack in enumerate(ATTACKS):
        students.append(Entry(attack.name, attack.hand_in(folder, the_judge.world)))
        if i % 2:
            kind = list(HONEST)[i // 2 % len(HONEST)]
            name = f"honest-{kind}-{i}"
            students.append(Entry(name, honest(folder, name, HONEST[kind])))
    resource_tracker.ensure_running()  # multiprocessing has it for as long as this process lives
    before, level = Belongings.now(the_judge.folder), the_judge.confinement.level
    with redirected(folder / "told"):
        reports = {
            r.student: r for r in grade_all(the_judge.course, WEEK, students, "hidden", LIMITS, 2, level)
        }
    assert reports.keys() == {entry.student for entry in students}
    return Class(
        reports,
        artefacts(list(reports.values()), folder),
        (folder / "told").read_text(errors="replace"),
        before,
        Belongings.now(the_judge.folder),
        the_judge.listeners.come(),
    )


def _but_for_times(report: Report) -> Report:
    """A report without what differs between two honest submissions that say the same."""
    return dataclasses.replace(report, student="", submission={}, times={})


def test_honest_students_of_a_class_have_the_reports_that_they_would_have_without_attackers(
    graded: Class, the_judge: Judge, tmp_path: Path
) -> None:
    for kind, answers in HONEST.items():
        alone = the_judge.grade(honest(tmp_path, kind, answers))
        same = [r for name, r in graded.reports.items() if name.startswith(f"honest-{kind}-")]
        assert len(same) > 20
        for report in same:
            assert _but_for_times(report).to_json() == _but_for_times(alone).to_json()


def test_attackers_of_a_class_gain_nothing(graded: Class, the_judge: Judge) -> None:
    for attack in ATTACKS:
        report = graded.reports[attack.name]
        found = {what: text for what, text in graded.found.items() if what.endswith(f" {attack.name}")}
        gains_nothing(attack, report, found, the_judge.confinement)


def test_nothing_of_a_class_is_left(graded: Class) -> None:
    assert graded.before == graded.after


def test_no_secret_of_the_course_comes_out_of_a_class(graded: Class, the_judge: Judge) -> None:
    if any(breaches(report) for report in graded.reports.values()):
        pytest.skip("at this level attackers find ways, which each attack's own test lists")
    # What is only the honest students' own may stand in their own reports.
    found = {what: text for what, text in graded.found.items() if not what.split()[-1].startswith("honest-")}
    assert not secrets_in({**found, "told": graded.told}, the_judge)
    assert not graded.come


def test_attackers_take_no_more_time_than_they_are_given(graded: Class) -> None:
    """In CPU time of guests, which is the same however busy a machine is."""
    notebooks = (MOST_DEATHS_IN_CELLS + 1 + MOST_NOTEBOOKS) * LIMITS.notebook_cpu
    most = notebooks + len(POINTS) * (LIMITS.exercise_cpu + LIMITS.call_cpu)
    used = {name: report.times.get("guest_cpu", 0.0) for name, report in graded.reports.items()}
    assert max(used.values()) <= most
    mine = [seconds for name, seconds in used.items() if name.startswith("honest-")]
    print(f"{len(mine)} honest submissions took {sum(mine):.1f} s of {sum(used.values()):.1f} s")


# The command, and names of all kinds

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
    assert {p.parent for p in tmp_path.rglob("*") if p.suffix in (".json", ".html")} == {out}
    found = {path.name: path.read_text() for path in out.iterdir()} | told
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
