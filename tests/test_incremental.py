"""A class graded again: only what changed is judged, and what is the same is judged once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from autograder import grading
from autograder.cli import main
from autograder.collect import Entry
from autograder.confinement import Level
from autograder.course import CourseError
from autograder.grading import grade_all
from autograder.guests import Limits, Zygote
from autograder.results import Report
from tests.small_course import HALF, SQUARED, SUMMED, WEEK

NAMES = ["squared_error", "half_error"]


@pytest.fixture
def course(small: Path, tmp_path: Path) -> Path:
    """A copy to be changed, whose examples and tolerances are there already."""
    grading.bench(small, WEEK).corpus_id(("public", "hidden"))
    return Path(shutil.copytree(small, tmp_path / "course"))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Who is judged, each exercise apart."""
    seen: list[str] = []
    real = grading.grade_submission

    def spy(ready: Any, submission: Any, *arguments: Any, **options: Any) -> Report:
        kept = options.get("kept") or {}
        seen.extend(f"{submission.id} {e}" for e in ready.functions if e not in kept)
        return real(ready, submission, *arguments, **options)

    monkeypatch.setattr(grading, "grade_submission", spy)
    yield seen
    grading.bench.cache_clear()


Grade = Callable[..., dict[str, Report]]


@pytest.fixture
def grade(course: Path, tmp_path: Path, clean_zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> Grade:
    monkeypatch.setattr(grading, "own_zygote", lambda *_: clean_zygote)

    def run(
        answers: dict[str, str], old: dict[str, Report] | None = None, **options: Any
    ) -> dict[str, Report]:
        grading.bench.cache_clear()
        entries = []
        for student, source in answers.items():
            path = tmp_path / f"{student}.py"
            path.write_text(source)
            entries.append(Entry(student, path))
        options = {"level": clean_zygote.level, **options}
        return {r.student: r for r in grade_all(course, WEEK, entries, old=old, **options)}

    return run


CLASS = {"ada": SQUARED + HALF, "bob": SUMMED + HALF}


def test_what_has_not_changed_is_not_judged_again(grade: Grade, judged: list[str]) -> None:
    first = grade(CLASS)
    assert sorted(judged) == sorted(f"{s} {e}" for s in CLASS for e in NAMES)
    judged.clear()
    assert grade(CLASS, first) == first
    assert judged == []
    changed = grade({**CLASS, "bob": SQUARED + HALF}, first)
    assert judged == [f"bob {e}" for e in NAMES]
    assert changed["ada"] == first["ada"]
    assert changed["bob"].score == changed["bob"].max_score > first["bob"].score


def test_a_changed_check_is_judged_again_and_what_calls_its_exercise(
    grade: Grade, judged: list[str], course: Path
) -> None:
    first = grade(CLASS)
    hidden = course / "assignments" / WEEK / "hidden_checks.py"
    text = hidden.read_text()
    judged.clear()
    hidden.write_text(text.replace('"half_error", examples', '"half_error", points=3, examples'))
    second = grade(CLASS, first)
    assert sorted(judged) == ["ada half_error", "bob half_error"]
    assert second["ada"].score == first["ada"].score + 2 == second["ada"].max_score
    assert second["ada"].exercises[0] == first["ada"].exercises[0]
    judged.clear()
    hidden.write_text(
        text.replace("squared_error(x, y), squared_error(y, x)", "squared_error(y, x), squared_error(x, y)")
    )
    assert grade(CLASS, first)["ada"].score == first["ada"].score
    assert sorted(judged) == sorted(f"{s} {e}" for s in CLASS for e in NAMES)
    judged.clear()
    hidden.write_text("\n\n" + text)
    assert grade(CLASS, first) == first
    assert judged == []
    mistakes = course / "solutions" / WEEK / "mistakes.py"
    mistakes.write_text(mistakes.read_text().replace("You forget to halve.", "Halve it."))
    grade(CLASS, first)
    assert sorted(judged) == ["ada half_error", "bob half_error"]


def test_a_helper_that_checks_share_is_part_of_them(grade: Grade, judged: list[str], course: Path) -> None:
    hidden = course / "assignments" / WEEK / "hidden_checks.py"
    text = hidden.read_text().replace("0 * x[0])", "zero(x))") + "\n\ndef zero(x):\n    return 0 * x[0]\n"
    hidden.write_text(text)
    first = grade(CLASS)
    judged.clear()
    hidden.write_text(text.replace("return 0 * x[0]", "return (x - x)[0]"))
    assert grade(CLASS, first)["ada"].score == first["ada"].score
    assert sorted(judged) == sorted(f"{s} {e}" for s in CLASS for e in NAMES)


@pytest.mark.parametrize("what", ["engine", "limits", "tier", "confinement", "execute", "fault", "again"])
def test_what_else_decides_is_judged_again(
    what: str, grade: Grade, judged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = grade({"ada": CLASS["ada"]})
    judged.clear()
    options: dict[str, Any] = {}
    if what == "engine":
        monkeypatch.setattr(grading, "engine_key", lambda: "another")
    elif what == "limits":
        options["limits"] = replace(Limits(), call_cpu=4.0)
    elif what == "tier":
        options["tier"] = "public"
    elif what == "confinement":
        options["level"] = Level("container", "uid")
    elif what == "execute":
        first = grade({"ada": CLASS["ada"] + "print('a lesson')\n"})
        assert first["ada"].executed == "needed"
        judged.clear()
        options["execute"] = "all"
    elif what == "fault":
        first["ada"].status = "fault"
    else:
        options["again"] = ["half_error"]
    lesson = "print('a lesson')\n" if what == "execute" else ""
    found = grade({"ada": CLASS["ada"] + lesson}, first, **options)
    assert judged == [f"ada {e}" for e in NAMES if what != "again" or e == "half_error"]
    assert found["ada"].score == found["ada"].max_score


def test_identical_submissions_are_judged_once(grade: Grade, judged: list[str]) -> None:
    same = dict.fromkeys(("ada", "bob", "cleo"), SUMMED + HALF)
    found = grade({**same, "dan": f"{SUMMED}{HALF}# mine"})
    assert sorted(judged) == sorted(f"{s} {e}" for s in ("ada", "dan") for e in NAMES)
    assert [found[name].submission["file"] for name in same] == ["ada.py", "bob.py", "cleo.py"]
    for report in found.values():
        assert [e.score for e in report.exercises] == [e.score for e in found["ada"].exercises]
        assert report.exercises[0].misconception.startswith("You add the squares up")
    judged.clear()
    assert grade(same, found) == {name: found[name] for name in same}
    assert judged == []


def test_a_check_that_the_reference_fails_is_the_courses_fault(grade: Grade, course: Path) -> None:
    hidden = course / "assignments" / WEEK / "hidden_checks.py"
    hidden.write_text(hidden.read_text().replace("0 * x[0])", "0 * x[0] + 1)"))
    message = "the reference of half_error fails the check vanishes_at_the_target: .*expected 1, got 0"
    with pytest.raises(CourseError, match=message):
        grade(CLASS)


def test_the_command_goes_by_the_reports_it_has_written(small: Path, tmp_path: Path) -> None:
    submitted, out = tmp_path / "submitted", tmp_path / "reports"
    submitted.mkdir()
    for student, source in CLASS.items():
        (submitted / f"{student}.py").write_text(source)

    def run(*options: str, rc: int = 1) -> dict[str, str]:
        arguments = ["grade", WEEK, str(submitted), "--out", str(out), "--course", str(small), *options]
        result = CliRunner().invoke(main, [*arguments, "--allow-unconfined"])
        assert result.exit_code == rc, result.output
        return {path.stem: path.read_text() for path in out.glob("*.json")}

    first = run()
    assert run() == first
    (out / "ada.json").write_text(first["ada"][:300])
    mended = run()
    assert mended["bob"] == first["bob"]
    assert Report.from_json(mended["ada"]).score == Report.from_json(first["ada"]).score
    assert run("--student", "bob", "--force")["ada"] == mended["ada"]
    run("--student", "eve", rc=2)
    run("--exercise", "nix", rc=2)
