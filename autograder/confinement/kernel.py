"""Calls into Linux that Python doesn't have, by ctypes."""

from __future__ import annotations

import ctypes
import functools
import os
import sys


@functools.cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int, what: str) -> int:
    """The result of a call that says -1 where it failed.

    Raises:
        OSError: with the call's errno.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, what: str, *arguments: object) -> int:
    """A system call by number; integers and pointers as arguments."""
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return checked(libc().syscall(ctypes.c_long(number), *passed), what)


def prctl(option: int, value: int) -> int:
    """Change or read what the kernel keeps of this process; nothing outside Linux."""
    if sys.platform != "linux":
        return 0
    zero = ctypes.c_ulong(0)
    return checked(libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero), f"prctl({option})")
