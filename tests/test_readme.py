"""What the README says, tried: its exercise is written as it says, and qualifies."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder.cli import main
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(
    r"^```(?:python|markdown)\n(?:# |<!-- )(\S+\.(?:py|md))(?: -->)?\n(.*?)^```", README, re.M | re.S
)
NEEDED = {
    "reference_impl/vae.py",
    "assignments/week07_vae/assignment.py",
    "assignments/week07_vae/public_checks.py",
    "assignments/week07_vae/lesson.md",
    "solutions/week07_vae/mistakes.py",
}


def test_the_example_is_whole_and_at_most_thirty_lines() -> None:
    assert {path for path, _ in BLOCKS} == NEEDED
    typed = [line for _, text in BLOCKS for line in text.splitlines() if line.strip()]
    assert len(typed) <= 30


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("course")
    shutil.copy(ROOT / "course.toml", folder)
    shutil.copytree(ROOT / "reference_impl", folder / "reference_impl")
    for kind in ("assignments", "solutions"):
        shutil.copytree(ROOT / kind / "week07_vae", folder / kind / "week07_vae")
    for path, text in BLOCKS:
        target = folder / path
        if path.endswith("assignment.py"):
            head, tail = target.read_text().rsplit("    ],\n", 1)
            target.write_text(f"{head}{text}    ],\n{tail}")
        else:
            target.write_text(f"{target.read_text().rstrip()}\n\n\n{text}")
    return folder


def _autograder(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autograder.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )


def test_the_new_exercise_qualifies(course: Path) -> None:
    done = _autograder(
        "qualify", "week07_vae", "--exercise", "cauchy_log_likelihood", "--course", str(course)
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mistakes: 3 of 3 as expected" in done.stdout


def test_the_new_exercise_is_built(course: Path, tmp_path: Path) -> None:
    done = _autograder("build", "week07_vae", "--to", str(tmp_path), "--course", str(course))
    assert done.returncode == 0, done.stderr
    assert "check(cauchy_log_likelihood)" in (tmp_path / "week07_vae" / "week07_vae.ipynb").read_text()


def test_the_commands_of_the_readme_exist() -> None:
    for name in re.findall(r"^autograder ([\w-]+)", README, re.M):
        assert name in main.commands


def test_the_files_of_the_readme_exist() -> None:
    for path in re.findall(r"\]\((docs/\S+)\)|`((?:autograder|docs|assignments|solutions)/[\w./]+)`", README):
        assert (ROOT / next(filter(None, path))).exists(), path
