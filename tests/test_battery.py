"""The standard battery: what an exercise gets for free, and what its author may say about it."""

import pytest

from autograder import battery
from autograder.author import exercise
from reference_impl import vae


def test_numbers_of_examples_and_points_are_the_authors_where_declared():
    declared = exercise(vae.kl_to_standard_normal, points={"pure": 3}, examples={"agrees": 5})
    checks = {check.name: check for check in battery.checks(declared)}
    assert checks["agrees"].examples == 5
    assert checks["precision"].examples == battery.EXAMPLES["precision"]
    assert checks["pure"].points == 3
    assert checks["agrees"].points == battery.POINTS["agrees"]


@pytest.mark.parametrize("declared", [{"examples": {"agree": 5}}, {"points": {"agree": 5}}])
def test_a_check_that_the_battery_does_not_have_is_named(declared):
    with pytest.raises(ValueError, match="agree not in the battery"):
        battery.checks(exercise(vae.kl_to_standard_normal, **declared))
