"""Grading on a scheduler's workers: real ones, on loopback, that are killed, stopped and started again."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from autograder import results
from autograder.collect import Entry
from autograder.course import Course, CourseError
from autograder.grading import bench, grade_all
from autograder.results import Report
from tests.conftest import ROOT
from tests.small_course import HALF, SQUARED, SUMMED, WEEK, commands

cluster = pytest.importorskip("autograder.cluster", reason="pip install 'genai-autograder[cluster]'")

pytestmark = pytest.mark.slow


class Machines:
    """A scheduler and workers, each a process as `dask` starts it."""

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self.start_scheduler()
        self.workers = [self.start_worker(i) for i in range(workers)]

    def start_scheduler(self) -> subprocess.Popen[bytes]:
        return self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def start_worker(self, number: int) -> subprocess.Popen[bytes]:
        folder = str(self.folder / f"worker{number}")
        limits = ("--nthreads", "1", "--nworkers", "1", "--no-dashboard", "--memory-limit", "0")
        return self._start("worker", self.address, *limits, "--local-directory", folder)

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def processes(self) -> list[psutil.Process]:
        """The workers themselves, below the nannies that start them again."""
        return [child for w in self.workers for child in psutil.Process(w.pid).children()]

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            try:
                family = psutil.Process(process.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                family = []
            process.kill()
            process.wait()
            for member in family:
                if member.is_running():
                    member.kill()


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("machines"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("submitted")
    found = []
    for i in range(12):
        path = folder / f"s{i}.py"
        path.write_text(f"{(SQUARED, SUMMED)[i % 2]}{HALF}\nnumber = {i}\n")
        found.append(Entry(path.stem, path))
    return found


@pytest.fixture(scope="module")
def expected(small: Path, entries: list[Entry]) -> dict[str, Report]:
    bench(small, WEEK).corpus_id(("public", "hidden"))
    return _plain(grade_all(small, WEEK, entries))


def _plain(reports: Iterator[Report]) -> dict[str, Report]:
    """Reports by student, without what no two runs have in common; nobody is graded twice."""
    found = [replace(report, times={}) for report in reports]
    assert len({r.student for r in found}) == len(found)
    return {r.student: r for r in found}


@contextmanager
def _meanwhile(action: Callable[[], Any], delay: float) -> Iterator[None]:
    timer = threading.Timer(delay, action)
    timer.start()
    yield
    timer.join()


def _grade(small: Path, entries: list[Entry], workers: Any) -> dict[str, Report]:
    return _plain(grade_all(small, WEEK, entries, level=workers.level(), workers=workers))


def test_a_class_gets_the_marks_that_it_gets_here(
    small: Path, entries: list[Entry], expected: dict[str, Report], machines: Machines
) -> None:
    with cluster.Cluster(machines.address, Course.load(small), WEEK) as workers:
        workers._client.wait_for_workers(2, timeout=120)
        assert workers.places() == 2
        assert _grade(small, entries, workers) == expected
    homes = [p for p in machines.folder.rglob("course-*") if p.is_dir()]
    assert len(homes) == 2 and all(p.stat().st_mode & 0o77 == 0 for p in homes)


def test_lost_workers_lose_nothing(
    small: Path, entries: list[Entry], expected: dict[str, Report], machines: Machines
) -> None:
    def kill() -> None:
        random.choice(machines.processes()).kill()

    with cluster.Cluster(machines.address, Course.load(small), WEEK) as workers:
        level = workers.level()
        with _meanwhile(kill, 0.5), _meanwhile(kill, 2.0):
            found = _plain(grade_all(small, WEEK, entries, level=level, workers=workers))
    assert found == expected


def test_a_straggler_is_overtaken(
    small: Path,
    entries: list[Entry],
    expected: dict[str, Report],
    machines: Machines,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "STRAGGLES_AT_LEAST", 2.0)
    with cluster.Cluster(machines.address, Course.load(small), WEEK) as workers:
        level = workers.level()
        slow = machines.processes()[0]
        with _meanwhile(slow.suspend, 0.3):
            found = _plain(grade_all(small, WEEK, entries, level=level, workers=workers))
        slow.resume()
    assert found == expected


def test_a_scheduler_that_is_started_again_loses_nothing(
    small: Path, entries: list[Entry], expected: dict[str, Report], machines: Machines
) -> None:
    def restart() -> None:
        machines.scheduler.kill()
        machines.scheduler.wait()
        machines.scheduler = machines.start_scheduler()
        machines.workers += [machines.start_worker(len(machines.workers))]

    with cluster.Cluster(machines.address, Course.load(small), WEEK) as workers:
        level = workers.level()
        with _meanwhile(restart, 0.5):
            found = _plain(grade_all(small, WEEK, entries, level=level, workers=workers))
    assert found == expected


def test_the_commands_of_the_page_work(small: Path, tmp_path: Path) -> None:
    course = Path(shutil.copytree(small, tmp_path / "course"))
    for kind in ("assignments", "solutions"):
        (course / kind / WEEK).rename(course / kind / "week07_vae")
    (course / "submitted").mkdir()
    for i in range(4):
        (course / "submitted" / f"s{i}.py").write_text(f"{SQUARED}{HALF}\nnumber = {i}\n")
    machines = Machines(course, workers=0)
    machines.scheduler.kill()
    asked = [line for line in commands(ROOT / "docs" / "cluster.md") if not line.startswith("pip ")]
    scheduler, worker, grade = (
        line.replace("10.0.0.1:8786", f"127.0.0.1:{machines.port}").replace("10.0.0.1", "127.0.0.1").split()
        for line in asked
    )
    try:
        machines.scheduler = machines._start(*scheduler[1:], "--port", str(machines.port), "--no-dashboard")
        machines.workers = [machines._start(*worker[1:], "--no-dashboard", "--memory-limit", "0")]
        command = [sys.executable, "-m", "autograder.cli", *grade[1:], "--allow-unconfined"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=course, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        machines.close()
    reports, problems = results.load(course / "reports")
    assert [r.score == r.max_score for r in reports] == [True] * 4 and not problems


def test_other_versions_are_refused(small: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "engine_key", lambda: "another")
    course = Course.load(small)
    (small / ".autograder" / WEEK).mkdir(parents=True, exist_ok=True)
    with pytest.raises(CourseError, match="another version of genai-autograder"):
        cluster.Cluster(machines.address, course, WEEK)


def test_a_scheduler_without_workers_is_no_endless_wait(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "FIRST_WORKER", 0.5)
    machines = Machines(tmp_path, workers=0)
    try:
        found = cluster.Cluster(machines.address, Course.load(small), WEEK)
        with found, pytest.raises(CourseError, match=f"no workers at {machines.address}: start some"):
            found.level()
    finally:
        machines.close()


def test_where_no_scheduler_answers_it_is_said(small: Path) -> None:
    begun = time.monotonic()
    with pytest.raises(CourseError, match=r"no scheduler answers at tcp://127.0.0.1:1\b"):
        cluster.Cluster("tcp://127.0.0.1:1", Course.load(small), WEEK)
    assert time.monotonic() - begun < 120


def test_the_same_course_makes_the_same_parcel(small: Path, tmp_path: Path) -> None:
    course = Course.load(small)
    parcel = cluster.Parcel.of(course, WEEK)
    assert parcel == cluster.Parcel.of(course, WEEK)
    place = parcel.unpack(tmp_path)
    assert place == parcel.unpack(tmp_path)
    for path in course.files(WEEK):
        assert (place / path.relative_to(small)).read_bytes() == path.read_bytes()
