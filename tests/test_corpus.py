"""Examples are drawn once, from the seed, varied and smallest first; failures shrink to nice values."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autograder import corpus
from autograder.corpus import Example, Source
from autograder.course import Course
from autograder.judge import Bench
from tests.conftest import ROOT


@pytest.fixture()
def week(tmp_path: Path):
    week = Course.load(ROOT).week("week07_vae")
    week.cache = tmp_path
    return week


def _check(week, name: str):
    return next(c for c in week.checks_of("kl_to_standard_normal") if c.name == name)


def _source(week, name: str = "agrees", seed: str = "0" * 32) -> Source:
    return Source.of(_check(week, name), week.exercise("kl_to_standard_normal"), [], seed, week.name)


def _draw(week, name: str = "agrees", seed: str = "0" * 32) -> list[Example]:
    return corpus.draw(_source(week, name, seed))


def _same(a: list[Example], b: list[Example]) -> bool:
    return [e.choices for e in a] == [e.choices for e in b]


def test_the_seed_decides_and_nothing_else(week) -> None:
    torch.manual_seed(1)
    first = _draw(week)
    torch.manual_seed(2)
    assert _same(first, _draw(week))
    assert not _same(first, _draw(week, seed="1" * 32))


def test_public_examples_do_not_tell_the_hidden_ones(week) -> None:
    published = {str(e.values) for e in _draw(week, "published") if _is_generic(e)}
    assert published and not published & {str(e.values) for e in _draw(week)}


def _is_generic(example: Example) -> bool:
    return bool((example.values["mu"] * 4 % 1).any())


def test_examples_are_varied_and_smallest_first(week) -> None:
    examples = _draw(week)
    assert len(examples) == 64
    assert len({tuple(e.values["mu"].shape) for e in examples}) >= 9
    sizes = [len(e.choices) for e in examples]
    assert sizes == sorted(sizes)
    assert sum(map(_is_generic, examples)) >= 16, "numbers that are not nice are drawn as well"


def test_a_failure_shrinks_to_nice_small_values(week) -> None:
    large = next(e for e in reversed(_draw(week)) if e.values["mu"].shape[-1] >= 3)

    def fails(example: Example) -> bool:
        return example.values["mu"].shape[-1] >= 2

    smallest = corpus.shrink(_source(week), large, fails)
    assert smallest.values["mu"].tolist() == [[1.0, 1.0]]
    assert _same([smallest], [corpus.shrink(_source(week), large, fails)])


def test_corpora_are_kept_and_not_drawn_again(week, monkeypatch: pytest.MonkeyPatch) -> None:
    check = _check(week, "pure")
    first = Bench(week).material(check)
    monkeypatch.setattr(corpus, "draw", None)
    again = Bench(week).material(check)
    assert _same([t.example for t in first.trials], [t.example for t in again.trials])
    assert [t.calibration for t in first.trials] == [t.calibration for t in again.trials]


def test_a_damaged_cache_is_made_again(week) -> None:
    check = _check(week, "pure")
    first = Bench(week).material(check)
    for path in week.cache.rglob("*.*"):
        path.write_bytes(path.read_bytes()[:-7])
    again = Bench(week).material(check)
    assert _same([t.example for t in first.trials], [t.example for t in again.trials])
