"""Confinement: a box around the zygote, a seal around each guest, and what a guest may use.

    box.py       the command that starts the zygote inside bubblewrap, a container, or nothing
    seal.py      what a freshly forked guest does to itself before it reads its first request
    landlock.py  which files it may touch from then on
    seccomp.py   which system calls it may make
    levels.py    which of these this machine has, and how to get the others
    probe.py     tries the forbidden things in a throw-away guest, so that a level is never only claimed
    scratch.py   the folder that a guest may write to: its size, and its end
    kernel.py    calls into Linux that Python doesn't have

What is promised, and what is not, stands in docs/security.md.
"""

from __future__ import annotations

from dataclasses import dataclass

SOCKET = 3  # the descriptor of the guest's only socket once it is sealed


@dataclass(frozen=True)
class Limits:
    """What a guest may use, in seconds and bytes.

    CPU time decides about time-outs. Time spent neither computing nor waiting for a processor (sleep, disk)
    is allowed up to `wall_factor` times as long. `memory_bytes`, `file_bytes` (each file), `open_files` and
    `threads` come on top of what the zygote and the user's other processes have. `scratch_bytes` and
    `scratch_files` are for all files together.
    """

    cell_cpu: float = 60.0
    call_cpu: float = 5.0
    notebook_cpu: float = 600.0  # all cells
    exercise_cpu: float = 120.0  # all calls of an exercise, with what it takes to read their answers
    wall_factor: float = 4.0
    memory_bytes: int = 2 << 30
    file_bytes: int = 64 << 20
    scratch_bytes: int = 256 << 20
    scratch_files: int = 10_000
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

    def __post_init__(self) -> None:
        if self.box not in BOXES or self.seal not in SEALS:
            raise ValueError(f"{self} is no level: a box is one of {BOXES}, a seal one of {SEALS}")

    def __str__(self) -> str:
        return f"box {self.box}, seal {self.seal}"

    def at_least(self, other: Level) -> bool:
        """Whether this level holds all that the other holds."""
        return BOXES.index(self.box) <= BOXES.index(other.box) and SEALS.index(self.seal) <= SEALS.index(
            other.seal
        )


BOXES = ("bubblewrap", "container", "none")  # the best first
SEALS = ("landlock", "uid", "none")
