"""A script with a report's failing examples, to run with the student's own notebook and nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.pages import plain, sentence
from autograder.results import FAILED, Report
from autograder.templating import environment


@dataclass(frozen=True)
class Failure:
    exercise: str
    check: str
    expected: str
    graded: str
    code: list[str]


def failures(report: Report) -> list[Failure]:
    """The examples of the checks that fail; one that several share stands once."""
    found: dict[str, Failure] = {}
    for exercise in report.exercises:
        for check in exercise.checks:
            example = check.counterexample
            if check.verdict == FAILED and example is not None and exercise.status != "untouched":
                title, code = sentence(check.title), plain(example.code).splitlines()
                failure = Failure(
                    plain(exercise.name), title, plain(example.expected), plain(example.got), code
                )
                found.setdefault(example.code, failure)
    return list(found.values())


def script(report: Report, file: str) -> str:
    """Python source that runs the failing examples; "" where none fails.

    Args:
        report: what may be shown of it to whoever gets the script.
        file: the script's name, for its own instructions.
    """
    found = failures(report)
    jinja = environment()
    jinja.filters["ascii"] = ascii
    template = jinja.get_template("report/repro.py.j2")
    # The name of a folder of the course's, but nothing in a docstring is taken on trust.
    name = "".join(c for c in report.assignment if c.isalnum() or c in "_-.")
    return template.render(assignment=name, file=file, failures=found) if found else ""
