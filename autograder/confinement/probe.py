"""Tries, in a throw-away guest, what no guest may do; what it can do decides about the level.

`Canary` is the judge's side: a secret file, a listener and a process. `succeeded` runs in the guest.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from autograder.confinement import SOCKET
from autograder.confinement.kernel import libc

# What a seal leaves possible, and a box around it may still stop.
ALLOWED: dict[str, frozenset[str]] = {
    "landlock": frozenset(),
    "uid": frozenset({"write a temporary file elsewhere"}),
}

_REFUSED = (errno.EPERM, errno.EACCES, errno.ENOSYS)


class Canary:
    """What a guest must not reach, as a context manager.

    Args:
        secrets: files and folders that no guest may read.
    """

    def __init__(self, secrets: Sequence[Path] = ()) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="autograder-canary-")
        self.file = Path(self._folder.name) / "secret"
        self.file.write_text("canary")
        self.file.chmod(0o600)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.targets: dict[str, Any] = {
            "file": str(self.file),
            "port": self._listener.getsockname()[1],
            "pid": os.getpid(),
            "secrets": [str(path) for path in secrets],
        }

    def __enter__(self) -> Canary:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._listener.close()
        self._folder.cleanup()

    def harmed(self) -> list[str]:
        """What has happened to it, whatever the guest says."""
        harm = []
        with contextlib.suppress(BlockingIOError):
            self._listener.accept()[0].close()
            harm.append("connect to a port")
        if os.listdir(self._folder.name) != ["secret"] or self.file.read_text() != "canary":
            harm.append("change a file")
        elif self.file.stat().st_mode & 0o777 != 0o600:
            harm.append("change a file's mode")
        return harm


def succeeded(targets: dict[str, Any]) -> list[str]:
    """Try everything; the deeds that were possible."""
    file, pid, port = targets["file"], targets["pid"], targets["port"]
    folder = os.path.dirname(file)
    call = libc()

    def read(path: str) -> Callable[[], object]:
        return lambda: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)

    def refused_by_seccomp(*arguments: Any) -> Callable[[], object]:
        """A system call by name that fails, but not for its arguments."""

        def attempt() -> object:
            name, *rest = arguments
            if getattr(call, name)(*rest) < 0 and ctypes.get_errno() in _REFUSED:
                raise PermissionError
            return True

        return attempt

    deeds: dict[str, Callable[[], object]] = {
        "use a descriptor of the judge": _inherited,
        "use a capability": _capable,  # before a namespace could give some
        "change a file's mode": lambda: _reopened(file),
        "read a file": read(file),
        "list a folder": read(folder),
        "write a file": lambda: open(f"{folder}/written", "w").close(),
        "write a temporary file elsewhere": lambda: _written_and_removed("/var/tmp"),
        "replace a file": lambda: os.replace(file, f"{folder}/moved"),
        "truncate a file": lambda: os.truncate(file, 0),
        "link a file": lambda: os.link(file, f"{folder}/link"),
        "read a process's environment": read(f"/proc/{pid}/environ"),
        "read a process's memory": read(f"/proc/{pid}/mem"),
        "read its parent's environment": read(f"/proc/{os.getppid()}/environ"),
        "signal a process": lambda: os.kill(pid, 0),
        "signal its parent": lambda: os.kill(os.getppid(), 0),
        "signal its group": lambda: os.killpg(0, signal.SIGCONT),
        "own a descriptor's signals": lambda: fcntl.fcntl(SOCKET, fcntl.F_SETOWN, os.getppid()),
        "start a process": _forked,
        "run a program": refused_by_seccomp("execve", b"/nonexistent", None, None),
        "trace a process": refused_by_seccomp("ptrace", 16, os.getppid(), 0, 0),
        "make a namespace": refused_by_seccomp("unshare", 0x10000000),
        "mount": refused_by_seccomp("mount", b"none", b"/", None, 0, None),
        "make memory that no limit counts": refused_by_seccomp("memfd_create", b"x", 0),
        "open a socket": lambda: socket.socket().close(),
        "connect to a port": lambda: socket.create_connection(("127.0.0.1", port), 2).close(),
    }
    deeds |= {f"read {path}": read(path) for path in targets["secrets"]}
    return [name for name, deed in deeds.items() if _happens(deed)]


def _happens(deed: Callable[[], object]) -> bool:
    try:
        return deed() is not False
    except (OSError, RuntimeError, ValueError):
        return False


def _reopened(file: str) -> bool:
    os.chmod(file, 0o644)
    return os.stat(file).st_mode & 0o777 == 0o644


def _written_and_removed(folder: str) -> None:
    descriptor, path = tempfile.mkstemp(dir=folder)
    os.close(descriptor)
    os.unlink(path)


def _forked() -> bool:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def _inherited() -> bool:
    """Whether anything but the streams and the socket is open."""
    for descriptor in range(SOCKET + 1, 1024):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            return True
    return False


def _capable() -> bool:
    """Whether any capability is effective (capget(2), version 3)."""
    header = ctypes.create_string_buffer(b"\x22\x05\x08\x20" + bytes(4), 8)
    sets = (ctypes.c_uint32 * 6)()
    if libc().capget(header, sets) < 0:
        return True
    return any(sets)
