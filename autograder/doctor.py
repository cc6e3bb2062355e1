"""What works on this machine: the findings that `autograder doctor` prints."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from autograder import __version__
from autograder.confinement import BOXES, SEALS, Level, levels
from autograder.course import Course, CourseError
from autograder.grading import secret_files
from autograder.guests import GuestDied, Zygote, ZygoteFailed, settle


@dataclass(frozen=True)
class Finding:
    """One thing that was tried; `optional` ones don't make the machine unfit."""

    what: str
    ok: bool
    detail: str
    optional: bool = False


def findings(course: Path | None) -> Iterator[Finding]:
    """Try everything that grading needs, one thing after another."""
    yield Finding(
        "versions",
        True,
        f"autograder {__version__}, Python {platform.python_version()}, {platform.platform()}",
    )
    capability = torch.backends.cpu.get_cpu_capability()
    yield Finding(
        "torch", True, f"{torch.__version__}, CPU capability {capability}, {torch.get_num_threads()} threads"
    )
    gpu = torch.cuda.is_available()
    yield Finding(
        "gpu", gpu, torch.cuda.get_device_name() if gpu else "none: the gpu tier is skipped", optional=True
    )
    for package, why in (("nbgrader", "to build and release"), ("ipython", "to run notebooks")):
        try:
            yield Finding(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            hint = f"not installed, needed {why}: pip install 'genai-autograder[instructor]'"
            yield Finding(package, False, hint, optional=package == "nbgrader")
    secrets: list[Path] = []
    try:
        found = Course.find(course)
        detail = f"{found.root} ({found.title}; {len(found.names)} weeks)"
        yield Finding("course", True, detail)
        secrets = [path for name in found.names for path in secret_files(found.root, name)]
    except CourseError as error:
        yield Finding("course", False, str(error), optional=True)
    yield from _guests(tuple(dict.fromkeys(secrets)))


def _guests(secrets: tuple[Path, ...]) -> Iterator[Finding]:
    try:
        level, failures = settle(secrets)
        with Zygote(level=level, secrets=secrets) as zygote:
            begun = time.perf_counter()
            with zygote.guest() as guest:
                guest.run([{"source": "def double(x):\n    return 2 * x", "id": "a"}])
                answer = guest.perform([{"op": "call", "name": "double", "args": [torch.tensor(21.0)]}])[0]
            took = 1000 * (time.perf_counter() - begun)
            ok = "value" in answer and float(answer["value"]) == 42
            yield Finding("guest", ok, f"forked, ran a cell, answered and was cleaned up in {took:.0f} ms")
    except (ZygoteFailed, GuestDied) as error:
        yield Finding("guest", False, str(error))
        return
    yield from _confinement(level, failures)


def _confinement(level: Level, failures: Sequence[str]) -> Iterator[Finding]:
    """The level, and for each box and seal that this machine lacks why, and how to get it."""
    for name in BOXES[:-1]:
        reason = levels.why_no_box(name)
        yield Finding(f"box {name}", not reason, reason or "works", optional=True)
    for name in SEALS[:-1]:
        reason = levels.why_no_seal(name)
        yield Finding(f"seal {name}", not reason, reason or "works", optional=True)
    for failure in failures:
        yield Finding("confinement", False, failure, optional=True)
    yield Finding(
        "confinement", level.seal != "none", f"guests run with {level}{_meaning(level)}", optional=True
    )


def _meaning(level: Level) -> str:
    if level.seal == "none":
        return (
            ": they are processes of their own with limits, but could read what you can and write their own "
            "grade; hidden checks need --allow-unconfined"
        )
    if level.box == "none":
        return ": they can't reach the grade or a secret; a box would hide the machine's other processes, too"
    return ", tried just now: what is forbidden failed in a throw-away guest"
