"""Which boxes and seals this machine has, why not the others, and how to get them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autograder.confinement import BOXES, SEALS, Level, Limits, box, landlock, seccomp
from autograder.confinement.seal import Seal


def candidates() -> Iterator[Level]:
    """The levels that this machine seems to have, the best first; (none, none) is always the last."""
    seals = [s for s in SEALS if not why_no_seal(s)]
    for name in BOXES:
        if not why_no_box(name):
            yield from (Level(name, s) for s in seals if s == "none" or not why_not(Level(name, s)))


def why_not(level: Level) -> str | None:
    """Why this machine doesn't have a level and how to get it, or None if it seems to have it."""
    return why_no_box(level.box) or why_no_seal(level.seal) or _why_no_user(level)


def lacking(level: Level) -> list[str]:
    """Why this machine has no better box and no better seal, and how to get them."""
    boxes = map(why_no_box, BOXES[: BOXES.index(level.box)])
    seals = map(why_no_seal, SEALS[: SEALS.index(level.seal)])
    return [reason for reason in (*boxes, *seals) if reason]


def why_no_box(name: str) -> str | None:
    """Why this machine doesn't have a box and how to get it, or None."""
    why = {"bubblewrap": _why_no_bubblewrap, "container": _why_no_container}.get(name)
    return why() if why else None


def why_no_seal(name: str) -> str | None:
    """Why this machine doesn't have a seal and how to get it, or None."""
    why = {"landlock": _why_no_landlock, "uid": _why_no_uid}.get(name)
    return why() if why else None


@functools.cache
def _why_no_bubblewrap() -> str | None:
    if sys.platform != "linux":
        return "bubblewrap is for Linux alone"
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed: apt install bubblewrap"
    with tempfile.TemporaryDirectory() as folder:
        command = box.bubblewrap([sys.executable, "-I", "-S", "-c", ""], Path(folder), Limits())
        try:
            tried = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"bubblewrap can't be run ({error})"
    if not tried.returncode:
        return None
    reason = (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]
    return (
        f"bubblewrap is installed but fails ({reason}): allow user namespaces (sysctl "
        "user.max_user_namespaces, kernel.unprivileged_userns_clone=1 on older Debian, "
        "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)"
    )


@functools.cache
def _why_no_container() -> str | None:
    engine = box.engine()
    if not engine:
        return "neither podman nor docker is installed: apt install podman"
    name = Path(engine).name
    try:
        asked = [engine, "image", "inspect", "--format", "{{.Id}}", box.IMAGE]
        tried = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{name} can't be run ({error})"
    if not tried.returncode:
        return None
    reason = (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]
    return f"{name} has no image {box.IMAGE} ({reason}): {name} build -t {box.IMAGE} -f Containerfile ."


@functools.cache
def _why_no_landlock() -> str | None:
    if sys.platform != "linux":
        return "Landlock is for Linux alone"
    if not landlock.abi():
        return (
            "this kernel has no Landlock (Linux 5.13 and later have it), or it is switched off: add landlock "
            "to the kernel's lsm= list"
        )
    return _why_no_seccomp()


@functools.cache
def _why_no_seccomp() -> str | None:
    try:
        seccomp.program()
    except seccomp.Unavailable as reason:
        return str(reason)
    return None


@functools.cache
def _why_no_uid() -> str | None:
    if sys.platform != "linux":
        return "guests get a user of their own on Linux alone"
    if os.getuid():
        return "only a judge that runs as root can give guests a user of their own: run it in a container"
    return _why_no_seccomp()


def _why_no_user(level: Level) -> str | None:
    """Without a box a guest must reach the interpreter where it lies."""
    if level.seal == "uid" and level.box == "none" and (path := box.out_of_reach()):
        return f"{path} can be read by root alone: install Python where everybody can read it"
    return None


def plan(level: Level) -> Seal:
    """How guests seal themselves at a level: with all that this machine has, whatever the level asks for.

    Raises:
        ValueError: the machine doesn't have the level.
    """
    if reason := why_not(level):
        raise ValueError(f"{level} is not to be had here: {reason}")
    root = sys.platform == "linux" and os.getuid() == 0
    own = root and (level.box == "bubblewrap" or (level.box == "none" and not box.out_of_reach()))
    return Seal(
        uid=box.spare_uid() if own else 0,
        program=b"" if _why_no_seccomp() or sys.platform != "linux" else seccomp.program(),
        landlock=landlock.abi() if level.seal == "landlock" else 0,
        read=box.readable() if level.box != "container" else (),
    )
