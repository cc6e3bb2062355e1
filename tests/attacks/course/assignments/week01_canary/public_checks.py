"""The checks that students have too."""

from autograder.author import at_least, check


@check("log_sum_exp", examples=8)
def is_at_least_the_largest(log_sum_exp, x):
    """No term of the sum is negative."""
    at_least(log_sum_exp(x), x.amax(-1))
