"""Grading on the workers of a Dask scheduler, which need this package and nothing else.

The course travels as one hashed bundle to every worker, present and future, and lies in the worker's own
folder. What may happen to processes loses nothing: a task whose worker is lost is done by another; results
that come twice count once; for a straggler the task is done elsewhere, too; all that a scheduler forgets when
it is started again is handed in anew. Results are the caller's as soon as they are there.

Dask pickles what it sends: who can reach the scheduler can run code on workers and here. Keep it on a network
of your own, or have it use TLS.
"""

from __future__ import annotations

import io
import itertools
import logging
import threading
import time
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, TypeVar
from uuid import uuid4

import torch
from distributed import Client, Future, TimeoutError, get_worker, wait
from distributed.diagnostics.plugin import WorkerPlugin

from autograder.confinement import BOXES, SEALS, Level
from autograder.course import Course, CourseError
from autograder.grading import Task, engine_key, secret_files
from autograder.guests import settle
from autograder.store import fingerprint
from autograder.workers import MOST_TRIES, Lost, Workers

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 600.0  # seconds for a scheduler to come back
FIRST_WORKER = 120.0  # seconds for a first worker to come
STRAGGLES = 5.0  # times the usual time that a task may take before it is also done elsewhere, ...
STRAGGLES_AT_LEAST = 60.0  # ... and seconds
AHEAD = 2  # tasks handed in for each worker


@dataclass(frozen=True)
class Parcel:
    """What grading one week needs of a course, in a zip; `name` is a hash of it."""

    week: str
    name: str
    data: bytes

    @classmethod
    def of(cls, course: Course, week: str) -> Parcel:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path in course.files(week):
                entry = zipfile.ZipInfo(path.relative_to(course.root).as_posix())
                file.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
        return cls(week, fingerprint(week, archive.getvalue()), archive.getvalue())

    def unpack(self, folder: Path) -> Path:
        """Write the course into a folder of its own there, unless it is there already."""
        place = folder / f"course-{self.name}"
        if not place.is_dir():
            begun = folder / f"begun-{uuid4().hex}"
            begun.mkdir(mode=0o700)
            with zipfile.ZipFile(io.BytesIO(self.data)) as file:
                file.extractall(begun)
            begun.rename(place)
        return place


class _Course(WorkerPlugin):
    """Puts the course on a worker before it does anything."""

    def __init__(self, parcel: Parcel, engine: str) -> None:
        self.name, self.parcel, self.engine = f"autograder-{parcel.name}", parcel, engine

    def setup(self, worker: Any) -> None:
        if engine_key() != self.engine:
            raise CourseError(
                f"{worker.address} has another version of genai-autograder, torch, IPython or Python than "
                "whoever grades: install the same, or marks may differ"
            )
        torch.set_num_threads(1)
        self.parcel.unpack(Path(worker.local_directory))


_one_at_a_time = threading.Lock()  # a worker of several threads has one judge all the same


def _do(name: str, function: Callable[[Task], T], task: Task) -> T:
    root = Path(get_worker().local_directory) / f"course-{name}"
    with _one_at_a_time:
        return function(replace(task, root=root))


def _settled(name: str, week: str) -> tuple[str, str]:
    root = Path(get_worker().local_directory) / f"course-{name}"
    level = settle(secret_files(root, week)).level
    return level.box, level.seal


class Cluster(Workers):
    """The workers of a scheduler, with a course on them.

    Args:
        address: the scheduler's, such as tcp://10.0.0.1:8786.
        course: where submissions belong.
        week: the assignment's full name.

    Raises:
        CourseError: the scheduler doesn't answer, or its workers have other versions.
    """

    def __init__(self, address: str, course: Course, week: str) -> None:
        self._address = address
        self._parcel = Parcel.of(course, week)
        try:
            self._client = self._connected(30)
        except (OSError, TimeoutError) as error:
            raise CourseError(f"no scheduler answers at {address}: {error}") from None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close(timeout=10)

    def level(self) -> Level:
        """The best level of confinement that all workers have: found by trying it on each."""
        try:
            self._client.wait_for_workers(1, timeout=FIRST_WORKER)
        except TimeoutError:
            raise CourseError(
                f"no workers at {self._address}: start some with `dask worker {self._address}`"
            ) from None
        asked = [
            self._client.submit(_settled, self._parcel.name, self._parcel.week, workers=[place], pure=False)
            for place in self._places()
        ]
        found = self._client.gather(asked, errors="skip")
        if not found:
            reasons = {repr(future.exception()) for future in asked}
            raise CourseError(
                f"the workers at {self._address} fail: {'; '.join(sorted(reasons)) or 'all ended'}"
            )
        boxes, seals = zip(*found, strict=True)
        return Level(max(boxes, key=BOXES.index), max(seals, key=SEALS.index))

    def each(self, function: Callable[[Any], T], tasks: Iterable[Any]) -> Iterator[tuple[Any, T | Lost]]:
        """Each task with its result, as they come; the tasks' course is the one on the workers."""
        return _Run(self, function, tasks).results()

    def submit(self, function: Callable[[Task], Any], task: Task) -> Future:
        """Hand in a task, to be done once more each time that it is handed in."""
        key = f"{function.__name__}-{uuid4().hex}"
        return self._client.submit(_do, self._parcel.name, function, task, key=key, pure=False)

    def places(self) -> int:
        """How many tasks can be done at once: one for each worker."""
        return max(1, len(self._places()))

    def _places(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])

    def renew(self) -> None:
        """Reach the scheduler again after it was lost."""
        log.warning("the scheduler at %s is lost; waiting for it", self._address)
        deadline = time.monotonic() + PATIENCE
        self._client.close(timeout=1)
        while True:
            try:
                self._client = self._connected(10)
                return
            except (OSError, TimeoutError):
                if time.monotonic() > deadline:
                    raise CourseError(
                        f"the scheduler at {self._address} did not come back; what is graded is kept: run "
                        "the command again"
                    ) from None
                time.sleep(1)

    @property
    def lost(self) -> bool:
        return self._client.status != "running"

    def _connected(self, seconds: float) -> Client:
        client = Client(self._address, timeout=seconds, set_as_default=False)
        for left in reversed(range(MOST_TRIES)):
            try:
                client.register_plugin(_Course(self._parcel, engine_key()))
                return client
            except OSError:  # a worker has ended that was to be told
                if not left:
                    client.close(timeout=1)
                    raise
                time.sleep(2)
            except BaseException:
                client.close(timeout=1)
                raise
        raise AssertionError("not reached")


class _Run:
    """Tasks on their way through a cluster."""

    def __init__(self, cluster: Cluster, function: Callable[[Task], Any], tasks: Iterable[Task]) -> None:
        self.cluster, self.function = cluster, function
        self.left = enumerate(tasks)
        self.again: deque[tuple[int, Task]] = deque()
        self.running: dict[Future, tuple[int, Task, float]] = {}
        self.tries: Counter[int] = Counter()
        self.done: set[int] = set()
        self.took: list[float] = []

    def results(self) -> Iterator[tuple[Task, Any]]:
        while True:
            if self.cluster.lost:
                self._hand_in_anew()
            self._fill()
            if not self.running:
                return
            finished = self._finished()
            for future in finished:
                if future.status not in ("finished", "error"):
                    continue
                i, task, begun = self.running.pop(future)
                result = self._result(i, task, begun, future)
                future.release()
                if result is not None and i not in self.done:
                    self.done.add(i)
                    yield task, result
            if any(future in self.running for future in finished):
                self._hand_in_anew()  # cancelled: a scheduler that was started again knows of nothing
            self._spread_stragglers()

    def _fill(self) -> None:
        room = AHEAD * self.cluster.places() - len(self.running)
        for i, task in itertools.islice(self._waiting(), max(room, 0)):
            self.running[self.cluster.submit(self.function, task)] = i, task, time.monotonic()

    def _waiting(self) -> Iterator[tuple[int, Task]]:
        while self.again:
            i, task = self.again.popleft()
            if i not in self.done:
                yield i, task
        yield from self.left

    def _finished(self) -> list[Future]:
        try:
            return list(wait(list(self.running), timeout=1, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            return []
        except Exception:  # cancelled, by a scheduler that was lost
            return [future for future in self.running if future.done()]

    def _result(self, i: int, task: Task, begun: float, future: Future) -> Any:
        """What came of a task, or None where it is tried again."""
        if future.status == "finished":
            self.took.append(time.monotonic() - begun)
            return future.result(timeout=60)
        self.tries[i] += 1
        reason = repr(future.exception(timeout=60))
        if self.tries[i] >= MOST_TRIES:
            return Lost(f"its workers failed {MOST_TRIES} times, at last with {reason}")
        log.warning("%s of %s: once more (%s)", task.week, task.submission.id, reason)
        self.again.append((i, task))
        return None

    def _hand_in_anew(self) -> None:
        self.again.extend((i, task) for i, task, _ in self.running.values())
        self.running.clear()
        self.cluster.renew()

    def _spread_stragglers(self) -> None:
        """Where others are done and one takes long, have another worker do it, too."""
        usual = STRAGGLES * median(self.took) if self.took else float("inf")
        twice = Counter(i for i, _, _ in self.running.values())
        for i, task, begun in list(self.running.values()):
            if time.monotonic() - begun > max(usual, STRAGGLES_AT_LEAST) and twice[i] < 2:
                twice[i] += 1
                self.running[self.cluster.submit(self.function, task)] = i, task, time.monotonic()
