"""Whatever is killed or damaged at random moments: a rerun ends with the marks of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import small_course
from tests.conftest import ROOT
from tests.small_course import HALF, SQUARED, SUMMED, WEEK

RUNS, BLOWS = 5, 10
STUDENTS = 12

pytestmark = pytest.mark.slow


class Class:
    """A class of right, wrong and slow answers, graded by the command in two judges."""

    def __init__(self, folder: Path) -> None:
        self.course = small_course.write(folder / "course")
        self.submitted, self.out = folder / "submitted", folder / "reports"
        self.submitted.mkdir()
        answers = (SQUARED + HALF, SUMMED + HALF, "import time\ntime.sleep(0.3)\n" + SQUARED + HALF)
        for i in range(STUDENTS):
            (self.submitted / f"s{i}.py").write_text(f"{answers[i % 3]}\nnumber = {i}\n")

    def start(self) -> subprocess.Popen[bytes]:
        arguments = ["grade", WEEK, self.submitted, "--out", self.out, "--course", self.course, "--jobs", "2"]
        command = [sys.executable, "-m", "autograder.cli", *map(str, arguments), "--allow-unconfined"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def reports(self) -> dict[str, Any]:
        found = {path.stem: json.loads(path.read_text()) for path in self.out.glob("*.json")}
        for report in found.values():
            report["times"] = {}
        return found


def _descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _strike(made: Class, running: subprocess.Popen[bytes], dice: random.Random) -> str:
    """Kill one of the run's processes, or damage a file that it goes by."""
    kind = dice.choice(["process", "process", "process", "cache", "report"])
    if kind == "process":
        if found := _descendants(running):
            victim = dice.choice(found)
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                return "nobody"
            return "a process"
        return "nobody"
    folder, pattern = (made.course / ".autograder", "**/*.*") if kind == "cache" else (made.out, "*.json")
    if files := sorted(path for path in folder.glob(pattern) if path.is_file()):
        path = dice.choice(files)
        try:
            data = path.read_bytes()
            path.write_bytes(dice.choice([b"", data[: len(data) // 2], dice.randbytes(100)]))
        except FileNotFoundError:
            return "nobody"
    return kind


def test_marks_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    made = Class(tmp_path)
    assert made.start().wait(300) == 1
    expected = made.reports()
    assert len(expected) == STUDENTS and {r["status"] for r in expected.values()} == {"graded"}
    assert {r["score"] < r["max_score"] for r in expected.values()} == {True, False}
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    for run in range(RUNS):
        for path in made.out.glob("*"):
            path.unlink()
        story = []
        running = made.start()
        deadline = time.monotonic() + 300
        while running.poll() is None and len(story) < BLOWS - 1:
            assert time.monotonic() < deadline
            time.sleep(dice.uniform(0.1, 1.0))
            story.append(_strike(made, running, dice))
        time.sleep(dice.uniform(0, 1))
        running.send_signal(signal.SIGKILL)
        running.wait()
        before = {path.name: path.read_bytes() for path in made.out.glob("*.json")}
        assert made.start().wait(300) == 1, (seed, run, story)
        assert made.reports() == expected, (seed, run, story)
        for name, data in before.items():  # nothing is graded twice but what was damaged
            whole = data.endswith(b"}\n") and json.loads(data)["status"] == "graded"
            assert not whole or (made.out / name).read_bytes() == data, (seed, run, story)
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(p.info["cmdline"])]


def test_a_full_disk_ends_the_run_in_words_and_loses_nothing(tmp_path: Path) -> None:
    """As far as a process can be told that there is no room: by a limit on the size of its files."""
    made = Class(tmp_path)
    script = (
        "import resource, signal, sys\n"
        "from autograder import store\n"
        "from autograder.cli import main\n"
        "write, left = store.write_text, [3]\n"
        "def full(path, text):\n"
        "    left[0] -= 1\n"
        "    if left[0] < 0:\n"
        "        raise OSError(28, 'No space left on device')\n"
        "    write(path, text)\n"
        "store.write_text = full\n"
        "main()\n"
    )
    arguments = ["grade", WEEK, str(made.submitted), "--out", str(made.out), "--course", str(made.course)]
    command = [sys.executable, "-c", script, *arguments, "--allow-unconfined", "--jobs", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 3 and "No space left" in done.stderr and "Traceback" not in done.stderr
    kept = {path.name: path.read_bytes() for path in made.out.glob("*.json")}
    assert len(kept) == 3
    assert made.start().wait(300) == 1
    assert len(made.reports()) == STUDENTS
    assert all((made.out / name).read_bytes() == data for name, data in kept.items())
