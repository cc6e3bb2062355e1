"""Checks are measured: a weak one lets mutants survive, each is listed, and no right answer loses a point."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.course import Course, CourseError, Week
from autograder.exercises import Solution
from autograder.grading import secret_files
from autograder.judge import Bench
from autograder.quality import document
from autograder.quality.measure import (
    Equivalent,
    Measured,
    Verdict,
    compares,
    equivalents,
    judge_right,
    reseeded,
    right_answers,
    sort_out,
    try_mutant,
)
from autograder.quality.mutants import mutants
from tests.conftest import ROOT

COURSE = Course.load(ROOT)
REFERENCE = '''
import torch
from jaxtyping import Float
from torch import Tensor


def total(x: Float[Tensor, "n"], scale: int) -> Float[Tensor, ""]:
    """scale times the sum of all entries."""
    return scale * x.sum(-1)


def halvings(n: int) -> int:
    """How often n can be halved, rounding down, until it is 1."""
    count = 0
    while n > 1:
        n = n // 2
        count += 1
    return count
'''
ASSIGNMENT = """
from autograder.author import Assignment, exercise, integer
import {module} as reference

few = {{"published": 6, "agrees": 6, "precision": 4, "pure": 2}}
assignment = Assignment("Sums", [
    exercise(
        reference.total, inputs={{"scale": integer(2, 3)}}, sizes={{"n": {sizes}}}, examples=few
    ),
    {more}
])
"""
ENDLESS = 'exercise(reference.halvings, inputs={"n": integer(2, 9)}, examples=few),'
PUBLIC = '''
from autograder.author import check, close


@check("total", examples=6)
def is_proportional(total, x, scale):
    """Twice the scale, twice the result."""
    close(total(x, 2 * scale), 2 * total(x, scale))
'''
ACCEPTED = """
from autograder.author import accepted


@accepted("total")
def in_a_loop(x, scale):
    return scale * sum(x[i] for i in range(len(x)))
"""
ORACLES = """
import torch

from autograder.author import oracle


@oracle("total"{without})
def with_numpy(x, scale):
    return torch.as_tensor(scale * x.numpy().sum()){fault}
"""
EQUIVALENT = """
[[total]]
reason = "There is one dimension."
before = "return scale * x.sum(-1)"
after = ["return scale * x.sum()", "return scale * x.sum(0)"]
"""


@pytest.fixture()
def course(tmp_path: Path):
    """Makes a course with a week of one exercise, with inputs of these sizes, and `more` of them."""

    def make(sizes: tuple[int, int], more: str = "", **files: str) -> tuple[Path, Week]:
        module = f"sums_{tmp_path.name}"
        texts = {
            "course.toml": f'title = "Sums"\nseed = "{"5" * 32}"\n',
            f"{module}.py": REFERENCE,
            "assignments/week01_sums/assignment.py": ASSIGNMENT.format(module=module, sizes=sizes, more=more),
            "assignments/week01_sums/public_checks.py": PUBLIC,
            "solutions/week01_sums/accepted.py": ACCEPTED,
            **{f"solutions/week01_sums/{name.replace('_', '.')}": text for name, text in files.items()},
        }
        for name, text in texts.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path, Course.load(tmp_path).week("week01_sums")

    return make


def _tried(week: Week, name: str, **more) -> dict[str, Verdict]:
    bench, made = Bench(week), mutants(week.exercise(name), [e.name for e in week.exercises])
    return {m.after: try_mutant(bench, m, **more) for m in made}


def test_a_weak_check_lets_a_mutant_survive(course) -> None:
    verdicts = _tried(course((1, 1))[1], "total")
    survivor = verdicts["return scale * x.mean(-1)"]
    assert (survivor.caught, survivor.note) == ("", "the same, bit by bit")
    assert verdicts["return scale / x.sum(-1)"].caught


def test_its_right_twin_does_not(course) -> None:
    verdicts = _tried(course((1, 4))[1], "total")
    survivors = {after for after, v in verdicts.items() if not v.caught}
    assert survivors == {"return scale * x.sum()", "return scale * x.sum(0)"}
    assert verdicts["return scale * x.mean(-1)"].caught == "published"


def test_what_properties_catch_alone_is_told_apart(course) -> None:
    week = course((1, 4))[1]
    verdicts = _tried(week, "total")
    alone = {after: v.by_property for after, v in verdicts.items() if v.caught}
    assert alone["return x.sum(-1)"] == "is_proportional" and alone["return -(scale * x.sum(-1))"] == ""
    assert {c.name for c in week.checks_of("total") if not compares(c)} == {"is_proportional", "pure"}


def test_checks_that_ask_for_the_reference_are_no_properties() -> None:
    checks = {c.name: c for c in COURSE.week("week07_vae").checks_of("VAE")}
    assert compares(checks["is_right_for_large_weights_too"]) and compares(checks["agrees"])
    assert not compares(checks["encodes_without_seeing_the_noise"])


def test_a_time_out_is_not_caught_and_a_wrong_answer_is(course) -> None:
    verdicts = _tried(course((1, 4), ENDLESS)[1], "halvings", seconds=0.05)
    endless = verdicts["n = n // 1"]
    assert (endless.caught, endless.note) == ("", "takes too long on some examples")
    assert verdicts["count -= 1"].caught and verdicts["while n > 2:"].caught


def _measured(week: Week) -> Measured:
    return Measured("total", verdicts=list(_tried(week, "total").values()))


def test_declared_mutants_are_not_counted(course) -> None:
    root, week = course((1, 4), equivalent_toml=EQUIVALENT)
    found = _measured(week)
    sort_out(found, equivalents(root / "solutions/week01_sums/equivalent.toml"))
    assert (found.survivors, found.problems, len(found.equivalent)) == ([], [], 2)
    assert found.caught == len(found.judged) == len(found.verdicts) - 2
    assert document.is_good([found])


@pytest.mark.parametrize(
    ("before", "after", "reason", "problem"),
    [
        ("return scale * x.sum(-1)", "return x.sum(-1)", "So be it.", "it loses points"),
        ("return scale * x.sum(-1)", "return scale * x.max(-1)", "So be it.", "there is no such mutant"),
        ("return scale * x.sum(-1)", "return scale * x.sum()", " ", "without a reason"),
    ],
)
def test_what_is_declared_wrongly_is_a_problem(course, before, after, reason, problem) -> None:
    found = _measured(course((1, 4))[1])
    sort_out(found, [Equivalent("total", before, after, reason)])
    (said,) = found.problems
    assert problem in said and after in said
    assert not document.is_good([found])


@pytest.mark.parametrize(
    "text", ["[[total]]\nbefore = 'a'", "total = 1", "[[total", "[[total]]\nreason='a'\nbefore='b'\nafter=1"]
)
def test_a_file_that_is_not_as_it_should_be_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "equivalent.toml"
    path.write_text(text)
    with pytest.raises(CourseError, match=r"equivalent\.toml"):
        equivalents(path)


def test_a_right_answer_that_loses_a_point_is_told(course) -> None:
    root, week = course((1, 4), oracles_py=ORACLES.format(without="", fault=""))
    right = [s for s in right_answers(week, root) if s.exercise == "total"]
    assert [s.name for s in right] == ["in_a_loop", "with_numpy"]
    assert judge_right(Bench(reseeded(week, 1, most=3)), right) == (4, [])
    wrong = Solution("total", "wrong", lambda x, scale: x.sum())
    count, lost = judge_right(Bench(reseeded(week, 1, most=3)), [wrong])
    assert count == len(lost) == 2 and "wrong fails published" in lost[0]


def test_an_oracle_is_not_asked_what_it_cannot_answer(course) -> None:
    for without, lost in (("", 2), (', without=["precision"]', 0)):
        text = ORACLES.format(without=without, fault=".double()")
        root, week = course((1, 4), oracles_py=text)
        (oracle,) = [s for s in right_answers(week, root) if s.name == "with_numpy"]
        assert len(judge_right(Bench(reseeded(week, 1, most=3)), [oracle])[1]) == lost


def test_an_oracle_without_a_check_that_is_none_is_an_error(course) -> None:
    root, week = course((1, 4), oracles_py=ORACLES.format(without=', without=["gradient"]', fault=""))
    with pytest.raises(CourseError, match="with_numpy is without gradient, no check of total"):
        right_answers(week, root)


def test_guests_may_read_neither_oracles_nor_what_is_declared_equivalent() -> None:
    names = {p.name for p in secret_files(ROOT, "week07_vae")}
    assert {"oracles.py", "equivalent.toml"} <= names


def test_other_seeds_have_other_examples() -> None:
    week = COURSE.week("week07_vae")
    one, two = reseeded(week, 1), reseeded(week, 2)
    assert len({week.seed, one.seed, two.seed}) == len({week.cache, one.cache, two.cache}) == 3
    assert reseeded(week, 1).seed == one.seed


def test_the_command_lists_survivors_and_writes_the_document(course) -> None:
    root, _ = course((1, 1))
    out = root / "quality.md"
    out.write_text("# Old\n\n## week01_sums\n\nold\n\n## week02_other\n\nkept\n")
    arguments = ["quality", "1", "--seeds", "1", "--jobs", "1", "--out", str(out), "--course", str(root)]
    result = CliRunner().invoke(main, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 1, result.output
    assert (
        "survives: total, line 9, function: return scale * x.sum(-1) -> return scale * x.mean(-1)"
        in result.output
    )
    text = out.read_text()
    assert "`return scale * x.sum(-1)` → `return scale * x.mean(-1)`" in text
    assert "old" not in text and "## week02_other\n\nkept" in text
    assert "2/2" in text  # the accepted answer, with one thread and with two


def test_what_is_good_enough_and_what_is_not() -> None:
    def found(caught: int, missed: int, **more) -> list[Measured]:
        verdicts = [Verdict(None, "agrees", "")] * caught + [Verdict(None, "", "")] * missed  # type: ignore[arg-type]
        return [Measured("total", verdicts=verdicts, **more)]

    assert document.is_good(found(99, 1)) and not document.is_good(found(98, 2))
    assert not document.is_good(found(99, 1, problems=["a right answer loses a point"]))


RIGHT = [
    pytest.param(name, exercise.name, marks=[pytest.mark.slow] if exercise.is_class else [])
    for name in COURSE.names
    if (ROOT / "solutions" / name / "oracles.py").is_file()
    for exercise in COURSE.week(name).exercises
]


@pytest.mark.parametrize(("name", "exercise"), RIGHT)
def test_right_answers_lose_nothing_with_other_examples(tmp_path: Path, name: str, exercise: str) -> None:
    """A quick look; `make quality` takes twenty seeds and all examples."""
    week = COURSE.week(name)
    answers = [s for s in right_answers(week, ROOT) if s.exercise == exercise]
    again = reseeded(week, 1, most=1)
    again.cache = tmp_path
    count, lost = judge_right(Bench(again), answers)
    assert count and lost == []
