"""What works on this machine: the findings that `autograder doctor` prints."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from autograder import __version__


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
    yield _course(course)
    yield from _guests()


def _course(path: Path | None) -> Finding:
    from autograder.course import Course, CourseError

    try:
        course = Course.find(path)
        return Finding("course", True, f"{course.root} ({course.title}; {len(course.names)} weeks)")
    except CourseError as error:
        return Finding("course", False, str(error), optional=True)


def _guests() -> Iterator[Finding]:
    from autograder.guests import GuestDied, Zygote, ZygoteFailed

    try:
        with Zygote() as zygote:
            begun = time.perf_counter()
            with zygote.guest() as guest:
                guest.run([{"source": "def double(x):\n    return 2 * x", "id": "a"}])
                answer = guest.perform([{"op": "call", "name": "double", "args": [torch.tensor(21.0)]}])[0]
            took = 1000 * (time.perf_counter() - begun)
            ok = "value" in answer and float(answer["value"]) == 42
            yield Finding("guest", ok, f"forked, ran a cell, answered and was cleaned up in {took:.0f} ms")
            level = zygote.level
    except (ZygoteFailed, GuestDied) as error:
        yield Finding("guest", False, str(error))
        return
    confined = level.seal != "none"
    detail = f"{level}" + (
        ""
        if confined
        else ": guests are processes of their own with limits, but could read what you can; grade only "
        "submissions that you would run yourself"
    )
    yield Finding("confinement", confined, detail, optional=True)
