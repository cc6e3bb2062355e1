"""Running a check once: who stands in the student's place, who answers for the reference, what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from autograder.calls import CallFailed, Class, Function, LocalSession, Log, Reply, Request, Session, cast
from autograder.closeness import Calibration, noise_paused
from autograder.comparisons import CheckFailed
from autograder.corpus import Example
from autograder.course import Week
from autograder.exercises import Check, Exercise


class Exact:
    """A session whose answers are the reference's own, in float64 and free of noise."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._session = LocalSession(namespace)

    def perform(self, request: Request) -> Reply:
        request = {
            k: cast(v, torch.float64) if k in ("args", "state", "cotangents") else v
            for k, v in request.items()
        }
        with noise_paused(True):
            return self._session.perform(request)


class Perturbed(LocalSession):
    """The reference in the student's place while tolerances are earned."""

    def perform(self, request: Request) -> Reply:
        with noise_paused(request["op"] in ("new", "load")):
            return super().perform(request)


def run_body(
    week: Week, check: Check, session: Session, reference: Session, values: Mapping[str, Any], log: Log
) -> None:
    """Run the check's body once; raises CheckFailed or CallFailed where it fails."""
    exercise = week.exercise(check.exercise)
    if check.battery:
        student, right = _proxy(exercise, session, log), _proxy(exercise, reference, [])
        check.body(exercise, student, right, values)
        return
    functions = {e.name: e for e in week.exercises}
    arguments: dict[str, Any] = {}
    for name in _parameter_names(check):
        if name in values:
            arguments[name] = values[name]
        elif name == "reference":
            arguments[name] = _proxy(exercise, reference, [])
        else:
            arguments[name] = _proxy(functions[name], session, log)
    check.body(**arguments)


def _parameter_names(check: Check) -> Sequence[str]:
    return check.body.__code__.co_varnames[: check.body.__code__.co_argcount]


def _proxy(exercise: Exercise, session: Session, log: Log) -> Function | Class:
    return (Class if exercise.is_class else Function)(exercise.name, session, log)


@dataclass
class Trial:
    """An example with what it takes to judge an answer on it.

    `values` are the example's in the dtype of the check, `replies` the reference's to the battery's
    questions, which are the same for every student: both are made when they are first needed.
    """

    example: Example
    calibration: Calibration
    values: dict[str, Any] | None = None
    replies: list[Reply] | None = None


class Recording:
    """A session that keeps the replies it passes on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.replies: list[Reply] = []

    def perform(self, request: Request) -> Reply:
        reply = self._session.perform(request)
        self.replies.append(reply)
        return reply


class Recorded:
    """A session that answers with what was recorded, in order."""

    def __init__(self, replies: Sequence[Reply]) -> None:
        self._replies = iter(replies)

    def perform(self, request: Request) -> Reply:
        return next(self._replies)


@dataclass
class Material:
    """A check made ready: its examples, smallest first, and their tolerances."""

    check: Check
    trials: list[Trial]

    @property
    def left_out(self) -> list[Trial]:
        return [t for t in self.trials if t.calibration.left_out]

    @property
    def judged(self) -> list[Trial]:
        return [t for t in self.trials if not t.calibration.left_out]


@dataclass
class Outcome:
    """What came of one example: None, or the failure; and the log of calls."""

    error: CheckFailed | CallFailed | None
    log: Log
    compared: int = 0


class Replayer(Protocol):
    """Runs jobs that make calls, each with a session, and returns what they return, in order."""

    def replay(self, jobs: Sequence[Callable[[Session], Outcome]]) -> list[Outcome]: ...


class LocalReplayer:
    """Replays in this process."""

    def __init__(self, namespace: Mapping[str, Any]) -> None:
        self._namespace = namespace

    def replay(self, jobs: Sequence[Callable[[Session], Outcome]]) -> list[Outcome]:
        return [job(LocalSession(self._namespace)) for job in jobs]


def dtype_of(check: Check) -> torch.dtype:
    return torch.float64 if check.double else torch.float32
