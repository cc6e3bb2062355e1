"""Week 1: the checks that students don't have."""

from autograder.author import check, close


@check("squared_error")
def is_symmetric(squared_error, x, y):
    """Which of the two is the target does not matter."""
    f = squared_error
    close(f(x, y), f(y, x))
