"""Week 1: wrong ways to write the answers, each with the misunderstanding behind it."""

from autograder.author import mistake


@mistake("squared_error", "You take the mean over the whole batch; it is over the last dimension only.")
def mean_over_everything(x, y):
    return (x - y).square().mean()


@mistake("squared_error", "You add the squares up; the squared error here is their mean.")
def sum_of_squares(x, y):
    return (x - y).square().sum(-1)


@mistake("squared_error", "You take absolute values; they have to be squared.")
def absolute_error(x, y):
    return (x - y).abs().mean(-1)


@mistake("squared_error", "You square the mean difference; the mean comes last.")
def square_of_the_mean(x, y):
    return (x - y).mean(-1).square()


@mistake("squared_error", "You multiply the difference by x; it is multiplied by itself.")
def lopsided(x, y):
    return ((x - y) * x).mean(-1)
