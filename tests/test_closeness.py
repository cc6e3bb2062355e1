"""Tolerances are wide enough for right answers in any style, and no wider."""

from __future__ import annotations

import pytest
import torch

from autograder.closeness import Noise, calibrate, record
from autograder.comparisons import CheckFailed, close, decide


def _calibrated(reference, dtype, *inputs):
    """A function that holds an answer to the tolerance earned by the reference on these inputs."""
    exact = reference(*(v.double() for v in inputs))

    def run() -> None:
        close(reference(*(v.double() for v in inputs)), exact)  # the line that keys the comparison

    calibration = calibrate(run, dtype)
    assert not calibration.left_out
    (tolerance,) = calibration.tolerances.values()

    def accepts(answer) -> bool:
        try:
            decide("close", answer, exact, "", tolerance, dtype)
        except CheckFailed:
            return False
        return True

    return accepts, exact, tolerance


def _softmax(x):
    return torch.softmax(x, -1)


def _variance(x):
    return (x - x.mean(-1, keepdim=True)).square().mean(-1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_right_styles_are_close(dtype: torch.dtype) -> None:
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(1)) * 3
    accepts, _, _ = _calibrated(_softmax, dtype, x)
    y = x.to(dtype)
    assert accepts(y.exp() / y.exp().sum(-1, keepdim=True))
    assert accepts((y - y.logsumexp(-1, keepdim=True)).exp())
    shifted = (y - y.amax(-1, keepdim=True)).exp()
    assert accepts(torch.stack([row / sum(row) for row in shifted]))


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_small_errors_are_not_close(dtype: torch.dtype, error: float) -> None:
    x = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    accepts, exact, _ = _calibrated(_softmax, dtype, x)
    assert accepts(exact.to(dtype))
    assert not accepts((exact + error).to(dtype))


def test_a_right_answer_in_float64_is_close_in_a_float32_check() -> None:
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    accepts, exact, _ = _calibrated(_variance, torch.float32, x)
    assert accepts(exact.float())
    assert accepts(exact)


def test_noise_moves_arithmetic_and_nothing_else() -> None:
    x = torch.arange(1.0, 7.0, dtype=torch.float64).reshape(2, 3)
    with Noise(seed=0):
        moved = x.t().contiguous().reshape(3, 2)[1:]
        product = x * x
    assert torch.equal(moved, x.t()[1:])
    assert not torch.equal(product, x * x)
    assert torch.allclose(product, x * x, rtol=1e-6)


def test_noise_reaches_inside_layer_norm() -> None:
    """Of two nearly equal entries: the fused operation would hide the rounding of the mean."""
    x = torch.tensor([[2.4756, 2.4487]])
    accepts, _, tolerance = _calibrated(lambda v: torch.nn.functional.layer_norm(v, (2,)), torch.float32, x)
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, correction=0, keepdim=True)
    by_hand = x * (variance + 1e-5).rsqrt() - mean * (variance + 1e-5).rsqrt()
    assert accepts(by_hand)
    assert tolerance.absolute > 0


def test_an_example_on_which_rounding_decides_is_left_out() -> None:
    x = torch.tensor([1.0, 1.0])

    def deciding() -> None:
        close((x.double() * 0.1).sum().gt(0.2).long(), (x.double() * 0.1).sum().gt(0.2).long())

    assert "discrete" in calibrate(deciding, torch.float32).left_out

    def cancelling() -> None:
        close((x.double() * 1e8 + 1.0 - x.double() * 1e8).sum(), 2.0)

    assert "thousandth" in calibrate(cancelling, torch.float32).left_out


def test_comparisons_are_matched_by_line_and_order() -> None:
    def run() -> None:
        for value in (1.0, 2.0):
            close(torch.tensor(value), value)
        close(torch.tensor(3.0), 3.0)

    keys = list(record(run))
    assert len(set(keys)) == 3
    assert keys[0][0] == keys[1][0] != keys[2][0]


def test_a_kink_nearby_leaves_the_example_out_and_a_smooth_slope_does_not() -> None:
    def slope(x: float) -> torch.Tensor:
        at = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(torch.relu(at) + at.square(), at)
        return gradient

    def runs(x: float):
        return [lambda d=d: close(slope(x + d), slope(x + d)) for d in (0.0, 1e-5, -1e-5)]

    kinked, *moved = runs(0.0)
    assert calibrate(kinked, torch.float32, moved=moved).left_out == "a kink is near"
    smooth, *moved = runs(0.5)
    assert not calibrate(smooth, torch.float32, moved=moved).left_out
