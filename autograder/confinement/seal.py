"""The seal: what a freshly forked guest gives up before it reads its first request. There is no way back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.confinement import SOCKET, Limits, landlock, seccomp
from autograder.confinement.kernel import checked, libc, prctl

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 4, 36, 38

# Read by libraries of their own accord; nothing in them is a secret.
_KERNEL_FILES = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")
_DEVICES = ("/dev/zero", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Seal:
    """How guests of a zygote seal themselves; made in the judge, which knows the machine.

    Args:
        uid: the user (and group) that a root judge's zygote becomes; 0 to stay who it is.
        program: seccomp's filter, or nothing to do without.
        landlock: the version of Landlock to use, or 0 to do without.
        read: what guests may read, where Landlock is used.
    """

    uid: int = 0
    program: bytes = b""
    landlock: int = 0
    read: Sequence[str] = ()


def drop_privileges(uid: int) -> None:
    """Become an ordinary user, for ever. Capabilities end with it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def apply(how: Seal, limits: Limits, scratch: Path, socket: int) -> None:
    """Give up, in a guest, all that answering requests doesn't need.

    What remains: the socket, now descriptor `SOCKET`, and the scratch folder as working directory, HOME and
    TMPDIR.
    """
    os.setsid()
    die_with_parent()
    prctl(_SET_DUMPABLE, 1)  # or the next file would be root's
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as preference:
        preference.write("1000")  # if the machine runs out of memory, let it be this process that ends
    shut_out()

    os.dup2(socket, SOCKET)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(SOCKET):
        os.dup2(nothing, stream)
    os.closerange(SOCKET + 1, min(os.sysconf("SC_OPEN_MAX"), 1 << 20))

    os.umask(0o077)
    os.chdir(scratch)
    os.environ["HOME"] = os.environ["TMPDIR"] = str(scratch)

    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, 3600)  # should the judge be unable to count
    _limit(resource.RLIMIT_FSIZE, limits.file_bytes)
    _limit(resource.RLIMIT_NOFILE, limits.open_files)
    if os.getuid() and (tasks := _tasks()):  # counted for the user, and ignored for root
        _limit(resource.RLIMIT_NPROC, tasks + limits.threads)
    if used := _address_space():
        _limit(resource.RLIMIT_AS, used + limits.memory_bytes)

    drop_capabilities()
    prctl(_SET_NO_NEW_PRIVS, 1)
    if how.landlock:
        read = (*how.read, *_KERNEL_FILES, *_DEVICES)
        landlock.restrict(how.landlock, read, (str(scratch), os.devnull))
    if how.program:
        seccomp.install(how.program)


def drop_capabilities() -> None:
    """Give up what root may do beyond owning files (capset(2), version 3: no capability in any set)."""
    if sys.platform == "linux":
        header = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)
        checked(libc().capset(header, ctypes.create_string_buffer(24)), "capset")


def shut_out() -> None:
    """Keep processes of the same user from reading and tracing this one."""
    prctl(_SET_DUMPABLE, 0)


def die_with_parent() -> None:
    """Have the kernel end this process when the thread that started it ends."""
    prctl(_SET_PDEATHSIG, 9)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parents end."""
    prctl(_SET_CHILD_SUBREAPER, 1)


def _tasks() -> int:
    """How many processes and threads this machine has: no user has more. 0 where that can't be known."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/loadavg") as load:
        return int(load.read().split()[3].split("/")[1])
    return 0


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
