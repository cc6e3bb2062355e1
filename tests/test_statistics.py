"""Both error rates of the statistical checks are what their docstrings say."""

import numpy as np
import pytest
from scipy.stats import binom, multinomial

from autograder.comparisons import CheckFailed
from autograder.statistics import FALSE_ALARM, MISS, accepted_counts, smallest_deviation, uniform_counts

SIZES = [(2, 60), (4, 400), (5, 800), (6, 300), (10, 300), (25, 5000)]


def fails(counts, draws):
    try:
        uniform_counts(counts, draws)
    except CheckFailed:
        return True
    return False


@pytest.mark.parametrize("outcomes, draws", SIZES)
def test_a_fair_sampler_fails_less_often_than_stated(outcomes, draws):
    low, high = accepted_counts(outcomes, draws)
    outside = binom.cdf(low - 1, draws, 1 / outcomes) + binom.sf(high, draws, 1 / outcomes)
    assert outcomes * outside < FALSE_ALARM


@pytest.mark.parametrize("outcomes, draws", SIZES)
def test_the_interval_is_the_shortest_that_keeps_the_rate(outcomes, draws):
    low, high = accepted_counts(outcomes, draws)
    tail = FALSE_ALARM / (2 * outcomes)
    assert binom.cdf(low, draws, 1 / outcomes) >= tail
    assert binom.sf(high - 1, draws, 1 / outcomes) >= tail


@pytest.mark.parametrize(
    "outcomes, batch, batches", [(4, 2, 200), (4, 3, 300), (5, 4, 250), (6, 5, 600), (3, 3, 100)]
)
def test_a_sampler_without_replacement_fails_less_often_than_stated(outcomes, batch, batches):
    low, high = accepted_counts(outcomes, batch * batches)
    counts = binom(batches, batch / outcomes)  # a batch holds an outcome once or not at all
    assert outcomes * (counts.cdf(low - 1) + counts.sf(high)) < FALSE_ALARM


@pytest.mark.parametrize("outcomes, draws", SIZES)
@pytest.mark.parametrize("side", [-1, 1])
def test_a_deviation_is_caught_as_often_as_stated(outcomes, draws, side):
    low, high = accepted_counts(outcomes, draws)
    deviation = smallest_deviation(outcomes, draws)
    for factor in (1.0, 1.3, 2.0):
        probability = 1 / outcomes + side * factor * deviation
        if 0 <= probability <= 1:
            hidden = binom.cdf(high, draws, probability) - binom.cdf(low - 1, draws, probability)
            assert hidden <= MISS + 1e-6


@pytest.mark.parametrize("outcomes, draws", SIZES)
def test_no_smaller_deviation_is_promised(outcomes, draws):
    low, high = accepted_counts(outcomes, draws)
    deviation = 0.99 * smallest_deviation(outcomes, draws)
    probabilities = np.array([1 / outcomes + deviation, 1 / outcomes - deviation])
    hidden = binom.cdf(high, draws, probabilities) - binom.cdf(low - 1, draws, probabilities)
    assert max(hidden[(probabilities >= 0) & (probabilities <= 1)]) > MISS


def test_simulated_samplers_pass_or_fail_as_they_should():
    rng = np.random.default_rng(15)
    fair = multinomial(800, [1 / 5] * 5).rvs(2000, random_state=rng)
    assert not any(fails(counts.tolist(), 800) for counts in fair)
    d = smallest_deviation(5, 800)
    for probabilities in ([0.2 + d, *[0.2 - d / 4] * 4], [0.2 - d, *[0.2 + d / 4] * 4]):
        unfair = multinomial(800, probabilities).rvs(2000, random_state=rng)
        assert np.mean([fails(counts.tolist(), 800) for counts in unfair]) > 0.98


def test_the_message_names_the_outcome_and_what_is_fair():
    with pytest.raises(CheckFailed, match="outcome 2 came up 0 times in 400 draws"):
        uniform_counts([133, 133, 0, 134], 400)
    with pytest.raises(CheckFailed, match="outcome b came up 0 times in 400 draws"):
        uniform_counts({"a": 150, "b": 0, "c": 125, "d": 125}, 400)


def test_draws_of_something_else_are_no_fair_draws():
    with pytest.raises(CheckFailed, match="80 of 400 draws gave none of the outcomes 0, 1, 2, 3"):
        uniform_counts([80, 80, 80, 80], 400)


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="draws = 20 are too few for 4 outcomes"):
        uniform_counts([5, 5, 5, 5], 20)


def test_a_single_outcome_always_comes_up():
    uniform_counts([30], 30)
    with pytest.raises(CheckFailed):
        uniform_counts([29], 30)
