"""Statistical checks, with both error rates stated: what a right sampler risks, what a wrong one can hide.

Scipy is not among the few packages that a student installs, so the binomial tails are summed here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from autograder.comparisons import CheckFailed

FALSE_ALARM = 1e-7  # per call; a submission stays below 1e-6 with ten calls, examples counted
MISS = 0.01  # of a deviation by `smallest_deviation` or more


def uniform_counts(counts: Sequence[int] | Mapping[Any, int], draws: int) -> None:
    """Each outcome came up in `draws` fair draws about as often as any other, and nothing else came up.

    `counts` holds a count for each of the n outcomes, under its name in a mapping.

    A fair sampler fails with probability below `FALSE_ALARM`: each count must lie between exact quantiles
    of Binomial(draws, 1 / n), and a union bound covers the n outcomes. The draws may be independent, or
    come in independent batches drawn without replacement: then a count is a sum of independent
    indicators with the same mean, and such a sum leaves an interval around its mean at most as often as
    the binomial does (Hoeffding, 1956, theorem 5). Caught with probability 1 - `MISS`: independent draws
    in which an outcome's probability is off by `smallest_deviation(len(counts), draws)` or more.

    Raises ValueError where `draws` are too few to miss an outcome that never comes up.
    """
    n = len(counts)
    named = dict(counts if isinstance(counts, Mapping) else enumerate(counts))
    low, high = accepted_counts(n, draws)
    if others := draws - sum(named.values()):
        raise CheckFailed(f"{others} of {draws} draws gave none of the outcomes {', '.join(map(str, named))}")
    for outcome, count in named.items():
        if not low <= count <= high:
            raise CheckFailed(
                f"outcome {outcome} came up {count} times in {draws} draws; "
                f"a uniform sampler gives about {draws / n:.0f}, between {low} and {high}",
                expected=draws / n,
                got=count,
            )


@lru_cache
def accepted_counts(outcomes: int, draws: int) -> tuple[int, int]:
    """The smallest and the largest count of one outcome that `uniform_counts` lets pass."""
    tail = FALSE_ALARM / (2 * outcomes)
    probability = 1 / outcomes
    low, below = 0, _binomial(0, draws, probability)
    while below < tail:  # below = P(count <= low)
        low += 1
        below += _binomial(low, draws, probability)
    high, above = draws, _binomial(draws, draws, probability)
    while above < tail:  # above = P(count >= high)
        high -= 1
        above += _binomial(high, draws, probability)
    if outcomes > 1 and low == 0:
        raise ValueError(
            f"draws = {draws} are too few for {outcomes} outcomes: one that never comes up would pass"
        )
    return low, high


def smallest_deviation(outcomes: int, draws: int) -> float:
    """The smallest error of a probability that `uniform_counts` catches with probability at least 1 - MISS.

    At least two outcomes. An error of this size or more is caught, up or down (down: as far as 0).
    """
    low, high = accepted_counts(outcomes, draws)

    def hidden(probability: float) -> float:
        return math.fsum(_binomial(count, draws, probability) for count in range(low, high + 1))

    def caught_from(end: float) -> float:
        """The probability nearest to 1 / outcomes, towards `end`, at which at most MISS is hidden."""
        inner, outer = 1 / outcomes, end
        while abs(outer - inner) > 1e-9:
            middle = (inner + outer) / 2
            inner, outer = (inner, middle) if hidden(middle) <= MISS else (middle, outer)
        return outer

    return max(caught_from(1.0) - 1 / outcomes, 1 / outcomes - caught_from(0.0))


def _binomial(count: int, draws: int, probability: float) -> float:
    """P(X = count) for X ~ Binomial(draws, probability)."""
    if probability in (0.0, 1.0):
        return float(count == draws * probability)
    log_ways = math.lgamma(draws + 1) - math.lgamma(count + 1) - math.lgamma(draws - count + 1)
    return math.exp(log_ways + count * math.log(probability) + (draws - count) * math.log1p(-probability))
