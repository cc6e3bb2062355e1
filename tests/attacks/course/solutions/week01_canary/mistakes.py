"""A known mistake."""

from autograder.author import mistake

SECRET = "CANARY-mistake-b3092d6e"


@mistake("log_sum_exp", "You take the exponentials as they are, so that they overflow.")
def overflows(x):
    return x.exp().sum(-1).log()
