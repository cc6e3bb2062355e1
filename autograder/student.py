"""What students call in their notebook: `check = load_checks("week07_vae")`, then `check(function)`."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from autograder import _environment
from autograder.bundle import SUFFIX, Published
from autograder.judge import LocalReplayer
from autograder.results import ExerciseResult


def load_checks(week: str, folder: Path | str | None = None) -> Check:
    """The checks of a week, from the file `<week>.checks` beside the notebook.

    Args:
        week: the assignment's name, such as "week07_vae".
        folder: where the file is; by default the working directory or a folder above it.

    Raises:
        FileNotFoundError: says where it was looked for.
    """
    if _environment.IN_GUEST:
        return Check(week, None)
    start = Path(folder) if folder is not None else Path.cwd()
    for place in [start, *start.resolve().parents]:
        path = place / f"{week}{SUFFIX}"
        if path.is_file():
            return Check(week, Published.load(path))
    raise FileNotFoundError(
        f"{week}{SUFFIX} is not in {start.resolve()} or above it: keep it beside the notebook"
    )


class Check:
    """`check(function)` runs the public checks of one exercise and shows what came out."""

    def __init__(self, week: str, bench: Published | None) -> None:
        self.week = week
        self._bench = bench

    def __repr__(self) -> str:
        return f"<checks of {self.week}>"

    def __call__(self, function: Callable[..., Any] | str) -> Feedback | None:
        """Check a function or class, or the one of a name; random state and figures stay as they are.

        Args:
            function: the exercise's function as defined in the notebook.
        """
        if self._bench is None:
            print("The judge checks this when the notebook is graded.")
            return None
        caller = sys._getframe(1).f_globals
        name = self._exercise(function, caller)
        namespace = dict(caller)
        if not isinstance(function, str):
            namespace[name] = function
        with _undisturbed():
            result = judge(self._bench, name, namespace)
        return Feedback(result, freshness_notes(name, namespace))

    def _exercise(self, function: Callable[..., Any] | str, caller: Mapping[str, Any]) -> str:
        assert self._bench is not None
        exercises = self._bench.functions
        names = [function] if isinstance(function, str) else [getattr(function, "__name__", "")]
        names += [n for n in exercises if caller.get(n) is function]  # a lambda, a partial, another name
        for name in names:
            if name in exercises:
                return name
        raise ValueError(
            f"{names[0] or function!r} is no exercise of {self.week}: there are {', '.join(exercises)}"
        )


def judge(bench: Published, exercise: str, namespace: Mapping[str, Any]) -> ExerciseResult:
    """Judge one exercise by its public checks, in this process."""
    return bench.judge_exercise(exercise, LocalReplayer(namespace), ("public",), shrink=False)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put random states back and close figures that were opened meanwhile."""
    states: list[tuple[Callable[[Any], Any], Any]] = [
        (random.setstate, random.getstate()),
        (torch.set_rng_state, torch.get_rng_state()),
    ]
    if numpy := sys.modules.get("numpy"):
        states.append((numpy.random.set_state, numpy.random.get_state()))
    grad = torch.is_grad_enabled()
    pyplot = sys.modules.get("matplotlib.pyplot")
    figures = set(pyplot.get_fignums()) if pyplot else set()
    try:
        with torch.enable_grad():
            yield
    finally:
        for restore, state in states:
            restore(state)
        torch.set_grad_enabled(grad)
        if pyplot:
            for number in set(pyplot.get_fignums()) - figures:
                pyplot.close(number)


def freshness_notes(name: str, namespace: Mapping[str, Any]) -> list[str]:
    """Why a fresh run of the notebook would give another result, as far as that can be seen from here."""
    try:
        from autograder.freshness import notes
    except ImportError:
        return []
    return notes(name, namespace)


class Feedback:
    """The outcome of `check(...)`: shown as HTML in a notebook, as text elsewhere."""

    def __init__(self, result: ExerciseResult, notes: list[str]) -> None:
        self.result = result
        self.result.notes.extend(notes)

    @property
    def passed(self) -> bool:
        return self.result.status == "passed"

    def __repr__(self) -> str:
        from autograder.display import exercise_text

        return exercise_text(self.result)

    def _repr_html_(self) -> str:
        from autograder.display import exercise_html

        return exercise_html(self.result)
