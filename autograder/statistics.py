"""Statistical checks, with both error rates stated: what a right sampler risks, what a wrong one can hide.

Scipy is not among the few packages that a student installs, so the bounds are computed here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autograder.comparisons import CheckFailed

FALSE_ALARM = 1e-7  # per check, so that a whole submission stays below 1e-6


def uniform_counts(counts: Sequence[int], draws: int) -> None:
    """Each of len(counts) outcomes came up in `draws` fair draws as often as it should.

    Hoeffding's inequality over all outcomes: a fair sampler, with replacement or without, fails with
    probability below `FALSE_ALARM`. Caught with probability 0.99: any outcome whose probability
    is off by `smallest_deviation(len(counts), draws)` or more.
    """
    n = len(counts)
    bound = math.sqrt(draws * math.log(2 * n / FALSE_ALARM) / 2)
    for outcome, count in enumerate(counts):
        if abs(count - draws / n) > bound:
            raise CheckFailed(
                f"outcome {outcome} came up {count} times in {draws} draws; "
                f"a uniform sampler gives {draws / n:.0f} +- {bound:.0f}",
                expected=draws / n,
                got=count,
            )


def smallest_deviation(outcomes: int, draws: int) -> float:
    """The smallest error of a probability that `uniform_counts` catches with probability at least 0.99."""
    alarm = math.sqrt(math.log(2 * outcomes / FALSE_ALARM) / (2 * draws))
    return alarm + math.sqrt(math.log(1 / 0.01) / (2 * draws))
