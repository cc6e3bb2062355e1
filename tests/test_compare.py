"""Two runs compared: every mark that changed is listed with its reason, and what must not happen is said."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from autograder.cli import main
from autograder.compare import compare, text
from autograder.results import FAULT, Report
from tests.sample_reports import a_check, a_report, an_exercise, class_of_week_7, hostile, wrong_kl

KL = "kl_to_standard_normal"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def _written(folder: Path, *reports: Report) -> Path:
    folder.mkdir()
    for report in reports:
        (folder / f"{report.student}.json").write_text(report.to_json())
    return folder


def test_a_run_is_the_same_as_itself(tmp_path: Path) -> None:
    folder = _written(tmp_path / "run", *class_of_week_7())
    result = _run(folder, folder)
    assert result.exit_code == 0 and result.output == "0 changed, 16 the same, 0 new, 0 lost\n"
    one = folder / "paul.json"
    assert _run(one, one).exit_code == 0


def test_a_change_is_told_with_its_check_and_its_reason(tmp_path: Path) -> None:
    before, after = a_report("ada"), a_report("ada", kl_to_standard_normal=wrong_kl())
    after.submission["digest"] = "f" * 64
    old, new = _written(tmp_path / "old", before), _written(tmp_path / "new", after)
    result = _run(old, new)
    assert result.exit_code == 1
    assert f"  {KL}, agrees (hidden): 2 of 2 → 0 of 2; now: " in result.output
    assert "why: the submission changed (digest " in result.output
    assert "examples" not in result.output and "1 changed, 0 the same" in result.output
    back = _run(new, old)
    assert f"  {KL}, agrees (hidden): 0 of 2 → 2 of 2; before: " in back.output


REASONS: list[tuple[Callable[[Report], None], str]] = [
    (lambda r: setattr(r, "corpus", "another"), "the examples changed"),
    (lambda r: r.versions.update(torch="3.0"), "torch changed (2.13.0 → 3.0)"),
    (lambda r: r.versions.update(autograder="9"), "the engine changed (0.1.0 → 9)"),
    (lambda r: r.versions.update(checks="ab"), "checks, references or known answers of the course changed"),
    (
        lambda r: setattr(r, "confinement", {"box": "none", "seal": "none"}),
        "guests were confined in another way",
    ),
    (lambda r: setattr(r, "tiers", ["public"]), "other checks were asked"),
]


@pytest.mark.parametrize(("change", "reason"), REASONS, ids=[r for _, r in REASONS])
def test_each_reason_is_found(change: Callable[[Report], None], reason: str) -> None:
    before, after = a_report("ada"), a_report("ada", kl_to_standard_normal=wrong_kl())
    change(after)
    found = compare([before], [after])
    assert [c.student for c in found.changed] == ["ada"] and not found.unexplained
    assert found.changed[0].reasons and reason in text(found)


def test_reasons_without_a_changed_mark_are_no_change() -> None:
    before, after = a_report("ada"), a_report("ada")
    for change, _ in REASONS:
        change(after)
    after.times["total"] = 100.0
    assert compare([before], [after]).same == ["ada"]


def test_a_mark_that_changes_by_itself_is_a_fault(tmp_path: Path) -> None:
    before, after = a_report("ada"), a_report("ada", kl_to_standard_normal=wrong_kl())
    after.times["total"] = 100.0
    result = _run(_written(tmp_path / "old", before), _written(tmp_path / "new", after))
    assert (
        result.exit_code == 3 and "no mark may change" in result.output and "please report" in result.output
    )


def test_new_and_lost_students_are_listed(tmp_path: Path) -> None:
    old = _written(tmp_path / "old", a_report("ada"), a_report("bob"))
    new = _written(tmp_path / "new", a_report("ada"), a_report("cleo"))
    result = _run(old, new)
    assert result.exit_code == 1
    assert (
        "in the first run only: bob\n" in result.output and "in the second run only: cleo\n" in result.output
    )
    assert "0 changed, 1 the same, 1 new, 1 lost" in result.output


def test_faults_and_new_checks_are_changes() -> None:
    before, after = a_report("ada"), a_report("ada")
    after.exercises[0] = copy.deepcopy(after.exercises[0])
    after.exercises[0].checks.append(a_check("gpu"))
    after.exercises[0].max_score += 1
    after.max_score += 1
    after.versions["checks"] = "ab"
    assert "gpu (hidden): not asked → 1 of 1" in text(compare([before], [after]))

    broken = a_report(
        "ada", vae_loss=an_exercise("vae_loss", "fault", gradients=a_check("gradients", FAULT, "no"))
    )
    broken.status = FAULT
    found = compare([broken], [before])
    assert "not graded (a fault of ours) → 1 of 1" in text(
        found
    ) and "in the first run it was a fault" in text(found)


def test_an_unreadable_submission_is_told_by_exercise() -> None:
    graded, unreadable = a_report("grace"), a_report("grace")
    unreadable.status, unreadable.score, unreadable.problems = "unreadable", 0.0, ["no JSON"]
    for exercise in unreadable.exercises:
        exercise.checks, exercise.score, exercise.status = [], 0.0, "failed"
    said = text(compare([graded], [unreadable]))
    assert (
        "agrees (hidden): 2 of 2 → not asked" in said
        and "in the second run it was unreadable (no JSON)" in said
    )


def test_what_students_wrote_is_harmless(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    folder = _written(tmp_path / "old", a_report("ada"))
    changed = hostile()
    changed.assignment, changed.student = "week07_vae", "ada"
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "ada.json").write_text(changed.to_json())
    result = _run(folder, tmp_path / "new")
    assert not set("\x1b\x9b\x07\x00\u202e") & set(result.output)
    assert _run(folder, tmp_path / "bad.json").exit_code == 2
