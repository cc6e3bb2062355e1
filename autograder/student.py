"""What students call in their notebook: `check = load_checks("week07_vae")`, then `check(function)`."""

from __future__ import annotations

import io
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch

from autograder import _environment, forbidden, freshness
from autograder.bundle import SUFFIX, Published
from autograder.results import ExerciseResult
from autograder.trials import LocalReplayer
from autograder.uses import used_by


def load_checks(week: str, folder: Path | str | None = None) -> Check:
    """The checks of a week, from the file `<week>.checks` beside the notebook.

    Args:
        week: the assignment's name, such as "week07_vae".
        folder: where the file is; by default the working directory or a folder above it.

    Raises:
        FileNotFoundError: says where it was looked for.
        ValueError: the file is damaged or of another version.
    """
    if _environment.IN_GUEST:
        return Check(week, None)
    freshness.watch()
    start = (Path(folder) if folder is not None else Path.cwd()).resolve()
    for place in [start, *start.parents]:
        path = place / f"{week}{SUFFIX}"
        if path.is_file():
            return Check(week, Published.load(path))
    others = [p.name for p in sorted(start.glob(f"*{SUFFIX}*"))] if start.is_dir() else []
    found = f" (there is {', '.join(others)})" if others else ""
    raise FileNotFoundError(
        f"{week}{SUFFIX} is not in {start} or above it{found}: put the file that came with the notebook "
        f"there, or say where it is, load_checks({week!r}, folder=...)"
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
        with _undisturbed() as printed:
            result = judge(self._bench, name, namespace)
            if result.status != "passed":
                result.notes += self._broken(name, namespace, caller)
        forbids = self._bench.week.exercise(name).forbids
        sources = [str(source) for source in caller.get("In", ())][1:]  # IPython begins with an empty one
        result.notes += forbidden.remarks(forbidden.uses(sources, name, forbids), forbids)
        if printed.getvalue():
            result.notes.append("what your code prints is left out here: run an example to see it")
        feedback = Feedback(result, freshness.notes(name, namespace))
        if not os.environ.get("NBGRADER_EXECUTION"):
            return feedback
        if not feedback.passed:
            raise ChecksFailed(repr(feedback))
        return None  # nbgrader takes what a test cell shows for its score

    def _broken(self, name: str, namespace: Mapping[str, Any], caller: Mapping[str, Any]) -> list[str]:
        """The first of the other exercises that this one calls in vain, as a note."""
        assert self._bench is not None
        used = used_by(namespace.get(name), caller)
        for other in self._bench.functions:
            if other in used and other != name and judge(self._bench, other, namespace).status != "passed":
                return [f"it calls your `{other}`, which does not pass its own checks yet: begin there"]
        return []

    def _exercise(self, function: Callable[..., Any] | str, caller: Mapping[str, Any]) -> str:
        """The exercise that a function answers: by the name it has in the notebook, else by its own."""
        assert self._bench is not None
        exercises = self._bench.functions
        own = function if isinstance(function, str) else getattr(function, "__name__", "")
        bound = [n for n in exercises if caller.get(n) is function]  # a lambda, a partial, an object
        for name in (n for n in (own, *bound) if n in exercises and (n in bound or not bound)):
            return name
        if not callable(function) and not isinstance(function, str):
            raise TypeError(
                f"check wants the function itself, as in check({exercises[0]}), not {type(function).__name__}"
            )
        raise ValueError(
            f"{own or function!r} is no exercise of {self.week}: its names are {', '.join(exercises)}"
        )


def judge(bench: Published, exercise: str, namespace: Mapping[str, Any]) -> ExerciseResult:
    """Judge one exercise by its public checks, in this process."""
    return bench.judge_exercise(exercise, LocalReplayer(namespace), ("public",), shrink=False)


@contextmanager
def _undisturbed() -> Iterator[io.StringIO]:
    """Leave no trace: random states and figures are put back, prints and warnings kept away."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        with (
            _captured() as printed,
            _figures_hidden(),
            warnings.catch_warnings(),
            torch.enable_grad(),
        ):
            warnings.simplefilter("ignore")
            yield printed
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def _figures_hidden() -> Iterator[None]:
    """Let plots begin with no figures, and have the former ones back: in notebooks plt.show() closes all."""
    before = _figures()
    figures = dict(before)
    before.clear()
    try:
        yield
    finally:
        if after := _figures():
            sys.modules["matplotlib.pyplot"].close("all")
        after.update(figures)


def _figures() -> MutableMapping[Any, Any]:
    """matplotlib's open figures by number, the current one last."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    return helpers.Gcf.figs if helpers else {}


@contextmanager
def _captured() -> Iterator[io.StringIO]:
    """Keep what is printed; in a notebook, what is displayed is kept away, too."""
    printed = io.StringIO()
    with ExitStack() as stack:
        if "IPython" in sys.modules:
            from IPython.utils.capture import capture_output

            stack.enter_context(capture_output(stdout=False, stderr=False))
        stack.enter_context(redirect_stdout(printed))
        stack.enter_context(redirect_stderr(printed))
        yield printed


class ChecksFailed(AssertionError):
    """A public check fails where nbgrader runs the notebook: an error is what it counts."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


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
