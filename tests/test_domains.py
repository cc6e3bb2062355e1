"""Domains draw what they say, at the sizes the shapes say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autograder import domains
from autograder.domains import Domain, Drawing


def _f(
    x: Float[Tensor, "*batch n"],
    w: Float[Tensor, "n 2*m"],
    keep: Bool[Tensor, "*batch n"],
    i: Int[Tensor, " m"],
    k: int,
) -> None: ...


ANNOTATIONS = {name: p.annotation for name, p in inspect.signature(_f, eval_str=True).parameters.items()}


def _drawn(check: Callable[[Drawing], None], mode: str = "core", **given_domains: Domain) -> None:
    """Hold `check` on many drawings."""

    @settings(max_examples=100, database=None)
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check(Drawing(data.draw, ANNOTATIONS, given_domains, {"n": (1, 4)}, mode))

    run()


def test_shapes_agree_between_parameters() -> None:
    def check(d: Drawing) -> None:
        x, w, keep = d["x"], d["w"], d["keep"]
        assert x.shape == keep.shape and x.ndim == 2
        assert w.shape == (x.shape[-1], 2 * d.size("m"))
        assert (x.dtype, keep.dtype) == (torch.float32, torch.bool)

    _drawn(check)


def test_batch_mode_draws_other_ranks() -> None:
    ranks = set()
    _drawn(lambda d: ranks.add(d["x"].ndim - 1), mode="batch")
    assert ranks == {0, 2, 3}


@pytest.mark.parametrize(
    ("drawn", "holds"),
    [
        (domains.real(low=-1, high=2), lambda v: ((v >= -1) & (v <= 2)).all()),
        (domains.positive(), lambda v: (v > 0).all()),
        (domains.unit(), lambda v: ((v >= 0) & (v <= 1)).all()),
        (domains.unit(closed=False), lambda v: ((v > 0) & (v < 1)).all()),
        (domains.uniform(), lambda v: ((v >= 0) & (v < 1)).all()),
        (domains.binary(), lambda v: ((v == 0) | (v == 1)).all()),
        (domains.flags(), lambda v: ((v == 0) | (v == 1)).all() and v.dtype == torch.float32),
        (domains.probability(), lambda v: torch.allclose(v.sum(-1), torch.ones(v.shape[:-1]))),
        (domains.mask(keep_one=True), lambda v: v.any(-1).all() and v.dtype == torch.bool),
        (domains.index("n"), lambda v: v.dtype == torch.int64 and ((v >= 0) & (v < 4)).all()),
    ],
    ids=lambda v: str(v) if isinstance(v, Domain) else "",
)
def test_values_lie_in_the_domain(drawn: Domain, holds: Callable[[Tensor], Any]) -> None:
    def check(d: Drawing) -> None:
        assert d["x"].shape[-1] == d.size("n")
        assert holds(d["x"])

    _drawn(check, x=drawn)


def test_numbers_and_dimensions() -> None:
    def check(d: Drawing) -> None:
        assert 0 <= d["k"] <= 3
        assert d["i"] == d["x"].shape[-1]

    _drawn(check, k=domains.number(1.0, 0.0, low=0, high=3), i=domains.dimension("n"))


def test_edges_are_drawn_in_edge_mode_alone() -> None:
    seen: dict[str, float] = {"core": 0.0, "edge": 0.0}
    for mode in ("core", "edge"):
        _drawn(lambda d, mode=mode: seen.update({mode: max(seen[mode], float(d["x"].abs().max()))}), mode,
               x=domains.real(edge=1e4))  # fmt: skip
    assert seen["core"] < 10 and seen["edge"] == 1e4


def test_a_parameter_may_depend_on_another() -> None:
    def check(d: Drawing) -> None:
        assert 0 <= d["k"] < d["x"].shape[-1]

    _drawn(check, k=domains.domain(lambda d: d.integer(0, d["x"].shape[-1] - 1)))


def test_a_parameter_without_a_domain_is_named() -> None:
    with pytest.raises(TypeError, match="'k'"):
        _drawn(lambda d: d["k"])
