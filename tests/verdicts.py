"""What comes out for every known answer, as JSON: to be run under other processor capabilities and threads.

python -m tests.verdicts COURSE CACHE THREADS [--few N] WEEK[/EXERCISE]...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from autograder import corpus
from autograder.closeness import Calibration
from autograder.corpus import Example
from autograder.course import Course, Week
from autograder.exercises import Check
from autograder.judge import Bench
from autograder.trials import LocalReplayer


class Few(Bench):
    """A bench with a few examples of each check, without those that mistakes shrink to."""

    def __init__(self, week: Week, few: int) -> None:
        super().__init__(
            replace(week, checks=[replace(c, examples=min(few, c.examples)) for c in week.checks])
        )

    def _draw(self, check: Check) -> list[Example]:
        return corpus.draw(self.source(check))


def verdicts(ready: Bench, exercise: str) -> dict[str, dict[str, str]]:
    """The verdict of every check on each known answer, reference included, and the mistake it is named."""
    right, wrong = (ready.week.solutions_of(exercise, mistakes=kind) for kind in (False, True))
    answers = {s.name: ready.namespace(s) for s in [*right, *wrong]}
    found = {}
    for answer, namespace in {"the reference": ready.week.references, **answers}.items():
        result = ready.judge_exercise(exercise, LocalReplayer(namespace), shrink=False)
        checks = {f"{c.tier}/{c.name}": c.verdict for c in result.checks}
        found[f"{exercise}: {answer}"] = {**checks, "named": result.misconception}
    return found


def main(course: str, cache: str, threads: int, few: int, exercises: Sequence[str]) -> dict[str, Any]:
    """The verdicts under this processor's capability, and how many checks earned their tolerances for it."""
    torch.set_num_threads(threads)
    found: dict[str, dict[str, str]] = {}
    earned = []
    original = Bench._calibrations

    def calibrations(bench: Bench, check: Check, examples: Sequence[Example]) -> list[Calibration]:
        earned.append(check.name)
        return original(bench, check, examples)

    Bench._calibrations = calibrations  # type: ignore[method-assign]
    for wanted in exercises:
        name, _, exercise = wanted.partition("/")
        week = replace(Course.load(Path(course)).week(name), cache=Path(cache))
        ready = Few(week, few) if few else Bench(week)
        for each in [exercise] if exercise else ready.functions:
            found |= verdicts(ready, each)
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "capability": capability,
        "threads": torch.get_num_threads(),
        "earned": len(earned),
        "verdicts": found,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("course")
    parser.add_argument("cache")
    parser.add_argument("threads", type=int)
    parser.add_argument("exercises", nargs="+")
    parser.add_argument("--few", type=int, default=0)
    given = parser.parse_args()
    json.dump(main(given.course, given.cache, given.threads, given.few, given.exercises), sys.stdout)
