"""Comparisons: each rejects what is wrong and accepts its right twin."""

from __future__ import annotations

import math

import pytest
import torch

from autograder.comparisons import (
    CheckFailed,
    above,
    at_least,
    at_most,
    below,
    close,
    differ,
    equal,
    holds,
    rejects,
)

ONE = torch.tensor([1.0, 2.0])
NAN, INF = math.nan, math.inf

RIGHT = [
    (close, ONE + 1e-7, ONE),
    (close, [ONE, (ONE, 3)], (ONE, [ONE, 3])),
    (close, {"a": ONE}, {"a": ONE}),
    (close, torch.tensor([NAN, INF, -INF]), torch.tensor([NAN, INF, -INF])),
    (close, ONE.double(), ONE),
    (close, ONE, 1.0 * ONE),
    (close, torch.zeros(0, 3), torch.zeros(0, 3)),
    (close, torch.tensor(0.5), 0.5),
    (close, "abc", "abc"),
    (close, None, None),
    (close, torch.tensor([True]), torch.tensor([True])),
    (equal, [("a", "b")], [["a", "b"]]),
    (equal, torch.tensor([1, 2]), torch.tensor([1, 2])),
    (at_least, torch.tensor([-6e-8, 1.0]), 0),
    (at_most, torch.tensor([1.0 + 6e-8]), 1),
    (above, torch.tensor([0.5]), 0),
    (below, torch.tensor([-0.5]), 0),
    (differ, ONE, 2 * ONE),
]

WRONG = [
    (close, ONE + 1e-4, ONE),
    (close, torch.tensor([1.0, NAN]), ONE),
    (close, torch.tensor([1.0, INF]), ONE),
    (close, ONE, torch.tensor([1.0, NAN])),
    (close, -torch.tensor([INF]), torch.tensor([INF])),
    (close, ONE[None], ONE),
    (close, ONE[:1], ONE[:1].reshape(())),
    (close, torch.zeros(0), ONE),
    (close, ONE.long(), ONE),
    (close, torch.tensor([1, 0]), torch.tensor([True, False])),
    (close, 1.0, torch.tensor(1.0)),
    (close, [ONE], ONE),
    (close, [ONE], [ONE, ONE]),
    (close, {"a": ONE}, {"b": ONE}),
    (close, None, ONE),
    (close, "abc", "abd"),
    (close, torch.tensor([2]), torch.tensor([3])),
    (close, ONE + 0j, ONE),
    (equal, ONE + 1e-7 * ONE, ONE),
    (equal, [("a", "b")], [["a", "c"]]),
    (equal, True, 1),
    (at_least, torch.tensor([-1e-3, 1.0]), 0),
    (at_least, torch.tensor([NAN]), 0),
    (at_most, torch.tensor([1.001]), 1),
    (above, torch.tensor([0.0]), 0),
    (above, torch.tensor([NAN]), 0),
    (below, torch.tensor([0.0]), 0),
    (differ, ONE, ONE + 1e-7),
]


@pytest.mark.parametrize(("relation", "got", "expected"), RIGHT)
def test_right_values_pass(relation, got, expected) -> None:
    relation(got, expected)


@pytest.mark.parametrize(("relation", "got", "expected"), WRONG)
def test_wrong_values_fail(relation, got, expected) -> None:
    with pytest.raises(CheckFailed):
        relation(got, expected)


def test_a_failure_says_where_and_what() -> None:
    with pytest.raises(CheckFailed) as caught:
        close(torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert caught.value.message == "a different value at [1, 1] (1 of 4 elements): expected 4, got 5"
    assert caught.value.where == "[1, 1]"


class _Agreeable:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __sub__(self, other: object) -> float:
        return 0.0


def test_an_object_that_equals_everything_is_not_close() -> None:
    for relation in (close, equal, at_least):
        with pytest.raises(CheckFailed):
            relation(_Agreeable(), ONE)


def test_holds_and_rejects() -> None:
    holds(torch.tensor([True, True]), "all is well")
    with pytest.raises(CheckFailed, match="all is well"):
        holds(torch.tensor([True, False]), "all is well")

    def refuses(x: float) -> float:
        if x < 0:
            raise ValueError("x")
        return x

    rejects(refuses, -1.0)
    with pytest.raises(CheckFailed, match="ValueError"):
        rejects(refuses, 1.0)
