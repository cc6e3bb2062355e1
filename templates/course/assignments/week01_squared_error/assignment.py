"""Week 1: what students write. All that signature and docstring say of an exercise need not be said here."""

from autograder.author import Assignment, exercise
from reference_impl.squared_error import squared_error

assignment = Assignment(
    title="Squared error",
    exercises=[exercise(squared_error, differentiable=True)],
)
