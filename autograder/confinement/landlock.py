"""The files that a sealed guest may touch: Landlock, by the system calls themselves (landlock(7)).

A process that restricts itself can't get back what it gave up, whoever its user is. The rights that a kernel
doesn't know yet (`abi`) are refused by seccomp instead: truncate before 3, connect and bind before 4, signals
to others and abstract sockets before 6.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import stat
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from autograder.confinement.kernel import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION, _BENEATH = 1, 1

_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_SOCK, _MAKE_BLOCK = 1 << 6, 1 << 9, 1 << 11
_EXECUTE, _TRUNCATE, _IOCTL = 1 << 0, 1 << 14, 1 << 15
_NEVER = _EXECUTE | _MAKE_CHAR | _MAKE_SOCK | _MAKE_BLOCK | _IOCTL
_OF_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE


@functools.cache
def abi() -> int:
    """The version of this kernel's Landlock, 0 without any."""
    if sys.platform != "linux":
        return 0
    with contextlib.suppress(OSError):
        return syscall(_CREATE, "landlock", None, 0, _VERSION)
    return 0


def restrict(abi: int, read: Iterable[str | Path], write: Iterable[str | Path]) -> None:
    """Leave this process reading beneath `read`, and reading and writing beneath `write`, and nothing else.

    Paths that don't exist are left out. No execution, no devices, no network, no signals to others.

    Args:
        abi: the version to use, at most the kernel's.
    """
    rights = (1 << (13, 14, 15, 15, 16)[min(abi, 5) - 1]) - 1
    network, scope = (0b11 if abi >= 4 else 0), (0b11 if abi >= 6 else 0)
    attributes = struct.pack("QQQ", rights, network, scope)[: 24 if abi >= 6 else 16 if abi >= 4 else 8]
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = syscall(_CREATE, "landlock", buffer, len(attributes), 0)
    try:
        for path in read:
            _allow(ruleset, path, (_READ_FILE | _READ_DIR) & rights)
        for path in write:
            _allow(ruleset, path, rights & ~_NEVER)
        syscall(_RESTRICT, "landlock", ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str | Path, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            rights &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, beneath), 12)
        syscall(_ADD, "landlock", ruleset, _BENEATH, rule, 0)
    finally:
        os.close(beneath)
