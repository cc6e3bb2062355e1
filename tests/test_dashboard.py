"""What the class page works out, and that its controls work."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autograder import dashboard
from autograder.grading import bench, grade_submission
from autograder.guests import Limits, Zygote
from autograder.results import CellProblem, CheckResult, ExerciseResult, Report
from autograder.similarity import fingerprints, pairs
from autograder.submissions import Cell, Submission
from tests.small_course import WEEK


def _report(student: str, *right: bool, codes: str = "") -> Report:
    """A report with an exercise of one check for each of `right`, and a letter of `codes` as its code."""
    exercises = []
    for i, passed in enumerate(right):
        check = CheckResult("agrees", "It agrees.", "hidden", "passed" if passed else "failed", 2 * passed, 2)
        status = "passed" if passed else "failed"
        code = codes[i : i + 1].strip()
        exercises.append(ExerciseResult(f"e{i}", check.points, 2, [check], status, code=code))
    return Report("week", "Week", student, sum(e.score for e in exercises), 2 * len(right), exercises)


def _item(reports: list[Report], exercise: str) -> dashboard.Item:
    (found,) = [i for i in dashboard.items(reports, ["e0", "e1", "e2"]) if i.exercise == exercise]
    return found


def test_a_check_that_the_good_lose_is_doubtful_and_its_twin_is_not() -> None:
    reports = [_report(f"s{i}", i < 3, i >= 5, i >= 5) for i in range(10)]
    odd, sound = _item(reports, "e0"), _item(reports, "e1")
    assert odd.share == 0.3 and odd.discrimination == pytest.approx(-0.6547, abs=1e-4) and odd.doubtful
    assert sound.share == 0.5 and sound.discrimination is not None and not sound.doubtful


def test_a_small_class_and_a_check_that_all_pass_correlate_with_nothing() -> None:
    few = [_report(f"s{i}", i < 3, i >= 5) for i in range(7)]
    assert _item(few, "e0").discrimination is None
    same = [_report(f"s{i}", True, i >= 5) for i in range(10)]
    assert _item(same, "e0").discrimination is None and _item(same, "e0").share == 1


def test_faults_and_skipped_checks_are_not_counted_as_lost() -> None:
    reports = [_report(f"s{i}", True) for i in range(9)]
    reports[0].exercises[0].checks[0].verdict = "fault"
    assert _item(reports, "e0").share == 1


@pytest.mark.parametrize(
    ("scores", "counts"),
    [
        ([0, 0.99, 1, 9.99, 10], [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]),
        ([3.0000000000000004, 2.9999999999999996], [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]),
        ([], [0] * 10),
    ],
)
def test_scores_fall_into_tenths(scores: list[float], counts: list[int]) -> None:
    bins = dashboard.distribution(scores, 10)
    assert [b.count for b in bins] == counts
    assert bins[0].low == 0 and bins[-1].high == 10
    assert dashboard.distribution(scores, 0) == []


# Answers that are alike

ONE = '''
def elbo(x, logits, mu, logvar):
    """The bound."""
    reconstruction = bernoulli_log_likelihood(logits, x)
    kl = kl_to_standard_normal(mu, logvar)
    return reconstruction - kl
'''
RENAMED = """
def elbo(data, out, m: Tensor, lv) -> Tensor:  # mine
    a = bernoulli_log_likelihood(out, data); b = kl_to_standard_normal(
        m, lv)
    return a - b
"""
OTHER = ONE.replace("reconstruction - kl", "-(kl - reconstruction)")
SWAPPED = ONE.replace("(x, logits, mu, logvar)", "(x, logits, logvar, mu)")
SHORT = "def elbo(x):\n    return x"


def test_names_comments_and_formatting_make_no_difference_and_the_rest_does() -> None:
    one, renamed, other, swapped = (fingerprints([s], ["elbo"]) for s in (ONE, RENAMED, OTHER, SWAPPED))
    assert one == renamed and len(one["elbo"]) == 16
    assert len({one["elbo"], other["elbo"], swapped["elbo"]}) == 3


def test_what_is_short_missing_or_no_python_has_none() -> None:
    assert fingerprints([SHORT], ["elbo"]) == fingerprints(["def elbo(:"], ["elbo"]) == {}
    assert fingerprints([ONE], ["gae"]) == fingerprints(["(" * 5000], ["elbo"]) == {}
    deep = "def elbo(x):\n    return " + "-" * 3000 + "x"
    assert fingerprints([deep, ONE], ["elbo"]) == fingerprints([ONE], ["elbo"])  # the last counts


def test_pairs_share_what_few_others_write() -> None:
    codes = ["abcd", "abcd", "axyz", "auvw", "aklm"]
    reports = [_report(f"s{i}", *[True] * 4, codes=c) for i, c in enumerate(codes)]
    (pair,) = pairs(reports)
    assert (pair.first, pair.second, pair.exercises) == (0, 1, ("e1", "e2", "e3"))
    assert pair.bits == pytest.approx(3 * 1.3219, abs=1e-3)


def test_two_short_coincidences_or_no_code_are_no_pair() -> None:
    codes = ["abxy", "abuv", "cdkl", "    ", "    "]
    assert pairs([_report(f"s{i}", *[True] * 4, codes=c) for i, c in enumerate(codes)]) == []


def test_a_class_of_copies_ends_in_time() -> None:
    reports = [_report(f"s{i}", *[True] * 4, codes="abcd" if i < 40 else "    ") for i in range(1000)]
    assert pairs(reports) == []  # all of those who wrote anything wrote the same


def test_an_unusual_ending_is_said_once_and_a_usual_one_is_not() -> None:
    report = _report("s", False, False)
    report.cells = [
        CellProblem(1, "exited", "the guest ended itself with exit status 0"),
        CellProblem(2, "NameError", "x"),
    ]
    first, second = (e.checks[0] for e in report.exercises)
    first.message, second.message = (
        "the guest broke the protocol: frame 3 answers nothing",
        "it raises ValueError",
    )
    assert dashboard.oddities(report) == [
        "a cell: the guest ended itself with exit status 0",
        "e0: the guest broke the protocol: frame 3 answers nothing",
    ]


ENDINGS = {
    "exits": "import os; os._exit(0)",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "forges": "import os; os.write(3, bytes(64))",
    "fills": "import time; open('f', 'wb').write(bytes(1 << 22)); time.sleep(9)",
}


@pytest.mark.parametrize("kind", [*ENDINGS, "raises", "right"])
def test_real_endings_are_told_from_mistakes(kind: str, small: Path, clean_zygote: Zygote) -> None:
    """The engine's own words, as they come: whoever changes them finds the page no longer sees them."""
    body = {**ENDINGS, "raises": "1 / 0", "right": "pass"}[kind]
    source = f"def squared_error(x, y):\n    {body}\n    return ((x - y) ** 2).mean()"
    submission = Submission("ada", Path("ada.py"), (Cell(source, "a"),), "")
    limits = replace(Limits(), scratch_bytes=1 << 20)
    report = grade_submission(bench(small, WEEK), submission, clean_zygote, limits=limits)
    messages = [c.message for c in report.exercises[0].checks]
    assert bool(dashboard.oddities(report)) == (kind in ENDINGS), messages
    assert (kind == "right") == (set(messages) == {""})


# In a browser


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    rng = random.Random(0)
    reports = [_report(f"s{i:02d}", *(rng.random() < 0.6 for _ in range(4))) for i in range(30)]
    reports[7].status = "unreadable"
    (tmp_path / "index.html").write_text(dashboard.class_page(reports), "utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"file://{tmp_path}/index.html")
    yield page
    page.close()
    assert said == []


def _scores(page: Any) -> list[float]:
    cells = page.locator("table").first.locator("tbody tr td:nth-child(2)")
    return [float(cells.nth(i).get_attribute("data-value")) for i in range(cells.count())]


def test_columns_are_sorted_by_mouse_and_keyboard(page: Any) -> None:
    score = page.locator("th:nth-child(2) button").first
    before = sorted(_scores(page))
    score.click()
    assert _scores(page) == before[::-1]
    assert page.locator("th:nth-child(2)").first.get_attribute("aria-sort") == "descending"
    score.press("Enter")
    assert _scores(page) == before
    page.locator("th:nth-child(1) button").first.click()
    assert page.locator("tbody th a").first.inner_text() == "s00"


def test_rows_are_found_by_name_and_state(page: Any) -> None:
    rows = page.locator("table").first.locator("tbody tr:visible")
    page.get_by_label("Find").fill("S1")
    assert rows.count() == 10 and page.locator("output").inner_text() == "10 of 30"
    page.get_by_label("Find").fill("")
    page.get_by_label("Show").select_option("unreadable")
    assert rows.count() == 1 and "s07" in rows.first.inner_text()
    page.get_by_label("Show").select_option("")
    assert rows.count() == 30 and page.locator("output").inner_text() == ""


def test_rows_off_the_screen_are_laid_out_when_they_are_wanted(browser: Any, tmp_path: Path) -> None:
    reports = [_report(f"s{i:03d}", *[i % 2 > 0] * 12) for i in range(300)]
    (tmp_path / "index.html").write_text(dashboard.class_page(reports), "utf-8")
    page = browser.new_page(viewport={"width": 800, "height": 600})
    page.goto(f"file://{tmp_path}/index.html")
    cells = page.locator("table").first.locator("tbody .cell")
    laid_out = "e => e.checkVisibility({contentVisibilityAuto: true})"
    assert cells.count() == 3600 and not cells.last.evaluate(laid_out)
    cells.last.scroll_into_view_if_needed()
    page.wait_for_function(
        "e => e.checkVisibility({contentVisibilityAuto: true})", arg=cells.last.element_handle()
    )
    edges = "row => [...row.cells].map(c => Math.round(c.getBoundingClientRect().right))"
    first = page.locator("table").first
    assert first.locator("thead tr").evaluate(edges) == first.locator("tbody tr").last.evaluate(edges)
    page.emulate_media(media="print")
    assert cells.first.evaluate(laid_out) and not page.locator(".controls").is_visible()
    page.close()


def test_without_scripts_all_is_there_and_no_dead_controls(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(dashboard.class_page([_report("ada", True)]), "utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"file://{tmp_path}/index.html")
    assert page.get_by_role("link", name="ada").is_visible()
    assert not page.locator(".controls").is_visible() and page.locator("thead button").count() == 0
    context.close()
