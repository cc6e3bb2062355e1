"""Work in several processes: every task gets its result, whatever ends a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autograder.workers import MOST_TRIES, InProcess, Lost, Processes
from tests.conftest import ROOT


def square(x: int) -> int:
    return x * x


def die_unless_marked(path: Path) -> str:
    """Ends its process, but for the last time that it is tried."""
    with path.open("a") as file:
        file.write("x")
    if path.stat().st_size < int(path.stem):
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def nap(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with Processes(2) as workers:
        yield workers


def test_all_tasks_are_done_here_and_elsewhere(processes: Processes) -> None:
    for workers in (InProcess(), processes):
        assert sorted(workers.each(square, range(20))) == [(i, i * i) for i in range(20)]
        assert list(workers.each(square, [])) == []


def test_tasks_are_taken_as_they_can_be_done(processes: Processes) -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for i in range(20):
            taken.append(i)
            yield i

    for count, _ in enumerate(processes.each(square, tasks()), 1):
        assert len(taken) <= count + 2


def test_a_process_that_ends_costs_its_task_a_try_and_the_others_nothing(
    processes: Processes, tmp_path: Path
) -> None:
    often, once = tmp_path / f"{MOST_TRIES + 1}.often", tmp_path / "2.once"
    paths = [tmp_path / f"1.{i}" for i in range(6)]
    found = dict(processes.each(die_unless_marked, [often, once, *paths]))
    assert {path: path.name for path in (once, *paths)}.items() <= found.items()
    assert isinstance(found[often], Lost) and len(often.read_text()) == MOST_TRIES
    assert all(len(path.read_text()) == 1 for path in paths)


def test_one_that_is_ended_while_it_is_idle_is_replaced(processes: Processes) -> None:
    for _, pid in list(processes.each(nap, [0.2, 0.2])):
        os.kill(pid, signal.SIGKILL)  # type: ignore[arg-type]
        psutil.wait_procs([psutil.Process(pid)], timeout=10)  # type: ignore[arg-type]
    assert sorted(processes.each(square, [1, 2, 3])) == [(1, 1), (2, 4), (3, 9)]


def test_they_end_with_whoever_started_them(tmp_path: Path) -> None:
    script = "\n".join(
        [
            "from autograder.workers import Processes",
            "from tests.test_workers import nap",
            "if __name__ == '__main__':",
            "    with Processes(2) as workers:",
            "        for _, pid in workers.each(nap, [0.1, 0.1, 60, 60]):",
            "            print(pid, flush=True)",
        ]
    )
    (tmp_path / "main.py").write_text(script)
    command = [sys.executable, str(tmp_path / "main.py")]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE
    ) as made:
        assert made.stdout
        workers = [psutil.Process(int(made.stdout.readline())) for _ in range(2)]
        made.kill()
    gone, alive = psutil.wait_procs(workers, timeout=20)
    assert len(gone) == len(set(workers)) and not alive
