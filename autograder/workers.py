"""Work spread over processes of this machine. (Past it: cluster.py.)

A process that ends over a task costs that task another try and the others nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

from autograder.confinement.seal import die_with_parent

T = TypeVar("T")

MOST_TRIES = 3


@dataclass(frozen=True)
class Lost:
    """What comes of a task instead of a result where every process that took it has ended."""

    reason: str


class Workers(AbstractContextManager["Workers"]):
    """Who does tasks, until the end of the block that they are entered for."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def each(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[tuple[Any, T | Lost]]:
        """Each task with its result, as they come; tasks are taken from the iterable as they can be done."""


class InProcess(Workers):
    """No processes: tasks are done here, one after another."""

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """There is nothing to end."""

    def each(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[tuple[Any, T | Lost]]:
        for task in tasks:
            yield task, function(task)


class Processes(Workers):
    """A few processes, each with a judge of its own; they end with this object, or with this process."""

    def __init__(self, count: int) -> None:
        # Or else a worker would import what it starts with from the working directory, where there may be a
        # submission called struct.py.
        os.environ["PYTHONSAFEPATH"] = "1"
        self._slots = [_process() for _ in range(count)]

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for slot in self._slots:
            slot.shutdown(wait=error is None, cancel_futures=True)

    def each(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[tuple[Any, T | Lost]]:
        """Each task with its result, as they come; results and tasks are pickled."""
        left, again = iter(tasks), deque[tuple[Any, int]]()
        free = list(range(len(self._slots)))
        running: dict[Future[T], tuple[Any, int, int]] = {}
        while True:
            while free and (found := again.popleft() if again else _next(left)):
                (task, tries), slot = found, free.pop()
                running[self._submit(slot, function, task)] = task, tries, slot
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task, tries, slot = running.pop(future)
                free.append(slot)
                try:
                    result: T | Lost = future.result()
                except BrokenProcessPool:
                    self._renew(slot)
                    if tries + 1 < MOST_TRIES:
                        again.append((task, tries + 1))
                        continue
                    result = Lost(f"the process that graded it was ended, {MOST_TRIES} times")
                yield task, result

    def _submit(self, slot: int, function: Callable[[Any], T], task: Any) -> Future[T]:
        try:
            return self._slots[slot].submit(function, task)
        except BrokenProcessPool:  # it was ended while it had nothing to do
            self._renew(slot)
            return self._slots[slot].submit(function, task)

    def _renew(self, slot: int) -> None:
        self._slots[slot].shutdown(wait=False)
        self._slots[slot] = _process()


def _next(tasks: Iterator[Any]) -> tuple[Any, int] | None:
    for task in tasks:
        return task, 0
    return None


def _process() -> ProcessPoolExecutor:
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(os.getpid(),))


def _begin(parent: int) -> None:
    if sys.platform == "linux":
        die_with_parent()
    if os.getppid() != parent:  # it has ended before it could be told
        os._exit(1)
    torch.set_num_threads(1)
