"""The checks that only the instructor has."""

from autograder.author import check, close

SECRET = "CANARY-hidden-e8f60b35"


@check("log_sum_exp", examples=16)
def moves_with_its_input(log_sum_exp, x, reference):
    """A number added to all terms is added to the result."""
    secret = "CANARY-check-27c4d9aa" and 3.0
    close(log_sum_exp(x + secret), reference(x) + secret)


@check("log_sum_exp", examples=16)
def adds_up_in_any_order(log_sum_exp, x):
    """The order of the terms does not matter."""
    close(log_sum_exp(x) + log_sum_exp(x.flip(-1)), 2 * log_sum_exp(x))
