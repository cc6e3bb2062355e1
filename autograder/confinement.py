"""Confinement: a box around the zygote, a seal around each guest, and what a guest may use.

The box is made once, by the command that starts the zygote; the seal is what a freshly forked guest does
to itself before it reads its first request. Which of them hold on this machine is the level.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOCKET = 3  # the descriptor of the guest's only socket once it is sealed


@dataclass(frozen=True)
class Limits:
    """What a guest may use, in seconds and bytes.

    CPU time decides about time-outs. Time spent neither computing nor waiting for a processor (sleep, disk)
    is allowed up to `wall_factor` times as long. `memory_bytes`, `file_bytes` (each file), `open_files` and
    `threads` come on top of what the zygote and the user's other processes have.
    """

    cell_cpu: float = 60.0
    call_cpu: float = 5.0
    notebook_cpu: float = 600.0  # all cells
    exercise_cpu: float = 120.0  # all calls of an exercise, with what it takes to read their answers
    wall_factor: float = 4.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 64 << 20
    open_files: int = 256
    threads: int = 512
    frame_bytes: int = 64 << 20
    exchange_bytes: int = 256 << 20  # all replies to one request together


@dataclass(frozen=True)
class Level:
    """How far guests are confined.

    `box` is "bubblewrap", "container" or "none", `seal` is "landlock", "uid" or "none".
    """

    box: str = "none"
    seal: str = "none"

    def __str__(self) -> str:
        return f"box {self.box}, seal {self.seal}"


def level() -> Level:
    """The level that holds on this machine."""
    return Level()


def box(command: Sequence[str], scratch: Path) -> list[str]:
    """The command line that runs `command` in the box, with `scratch` its only writable folder."""
    return list(command)


def seal(limits: Limits, scratch: Path, socket: int, tasks: int) -> None:
    """Give up, in a guest, all that answering requests doesn't need.

    What remains: the socket, now descriptor `SOCKET`, and the scratch folder as working directory, HOME and
    TMPDIR. There is no way back.

    Args:
        tasks: how many processes and threads this user already has (`user_tasks()`).
    """
    os.setsid()
    die_with_parent()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as preference:
        preference.write("1000")  # if the machine runs out of memory, let it be this process that ends

    os.dup2(socket, SOCKET)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(SOCKET):
        os.dup2(nothing, stream)
    os.closerange(SOCKET + 1, min(os.sysconf("SC_OPEN_MAX"), 1 << 20))

    os.chdir(scratch)
    os.environ["HOME"] = os.environ["TMPDIR"] = str(scratch)

    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, 3600)  # should the judge be unable to count
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    if os.getuid() and tasks:  # the kernel ignores this one for root
        _limit(resource.RLIMIT_NPROC, tasks + limits.threads)
    if used := _address_space():
        _limit(resource.RLIMIT_AS, used + limits.memory_bytes)

    _prctl(_SET_DUMPABLE, 0)
    _prctl(_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends."""
    _prctl(_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parents end."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def user_tasks() -> int:
    """How many processes and threads this user has, or 0 where that can't be known."""
    tasks = 0
    with contextlib.suppress(OSError):
        for process in os.scandir("/proc"):
            if process.name.isdigit():
                with contextlib.suppress(OSError):
                    if process.stat().st_uid == os.getuid():
                        tasks += len(os.listdir(f"/proc/{process.name}/task"))
    return tasks


def delete(folder: Path) -> bool:
    """Delete a folder that may hold anything; False if something remains.

    Folders in it are emptied into it first, so that no depth, name or permission is in the way.
    """
    prefix, taken = secrets.token_hex(8), 0
    try:
        os.chmod(folder, 0o700)
        while entries := list(os.scandir(folder)):
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                for name in os.listdir(entry.path):
                    inner = os.path.join(entry.path, name)
                    if os.path.isdir(inner) and not os.path.islink(inner):
                        os.chmod(inner, 0o700)  # a folder that can't be written to can't be moved
                    taken += 1
                    os.rename(inner, folder / f"{prefix}-{taken}")
                os.rmdir(entry.path)
        os.rmdir(folder)
    except OSError:
        return False
    return True


_SET_PDEATHSIG, _SET_DUMPABLE, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 4, 36, 38

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _prctl(option: int, value: int) -> None:
    if _libc is not None and _libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) failed")


def _limit(kind: int, value: int) -> None:
    """Set a limit, hard and soft, unless a lower one holds already."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _address_space() -> int:
    """The bytes mapped by this process, or 0 where that can't be known."""
    with contextlib.suppress(OSError), open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()
    return 0
