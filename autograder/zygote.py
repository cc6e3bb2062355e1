"""The zygote: a clean process that has everything imported, and forks one guest at a time.

The judge starts it by exec (`guests.Zygote`) and speaks to it over a control socket that no guest
ever holds. It runs no code of students, starts no threads and knows no test. Requests and answers:

    {"op": "start", "seal": {...}, "bare": False}, once; bare zygotes have no notebooks, only guests to probe
    {"ready": True}

    {"op": "fork", "limits": {...}} and the guest's socket
    {"pid": 123}

    {"op": "reap", "patience": 0.5}
    {"status": 9, "killed": True, "cpu": 1.5, "clean": True}

    {"op": "usage"}
    {"bytes": 4096, "files": 1}

`status` is the guest's wait status, `killed` says whether it had to be ended here, `cpu` is in seconds,
and `clean` that neither processes nor files of it are left. Afterwards the next one can be forked. `usage` is
that of its scratch folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import random
import re
import signal
import site
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from autograder import _environment, calls, wire
from autograder.confinement import SOCKET, Limits, probe, scratch, seal
from autograder.confinement.seal import Seal

if TYPE_CHECKING:
    from autograder.shell import NotebookShell

OUT_OF_MEMORY = 77  # the exit status of a guest that has no memory left to answer with
CONTROL = wire.Limits(frame_bytes=1 << 16, values=1000, tensors=0, probes=False)
JSON_TYPE = re.compile(r"application/(.*\+)?json")  # outputs of other types are text, says nbformat
_HELD_SECONDS, _HELD_BYTES = 0.002, 1 << 14  # of replies that wait for others
_PERSISTENCE = 5.0  # seconds to go on killing a guest's processes


def main(control: str) -> NoReturn:
    """Serve the judge's control socket until the judge closes it.

    Args:
        control: the socket's descriptor, or the path to connect to.
    """
    if control.isdigit():
        sock = socket.socket(fileno=int(control))
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(control)
    (number, config), _ = _receive(sock)
    how = Seal(**config["seal"])
    if how.uid:
        seal.drop_privileges(how.uid)
    seal.shut_out()
    seal.die_with_parent()
    seal.adopt_orphans()
    sys.argv = ["notebook"]
    _hide_neighbours()
    shell = None if config["bare"] else load()
    _environment.IN_GUEST = True
    if (threads := _threads()) > 1:
        raise RuntimeError(f"the zygote has {threads} threads; forked guests could hang")
    gc.collect()
    gc.freeze()
    if shell is not None:
        _gather_pages()
    with contextlib.suppress(EOFError, ConnectionError):
        wire.send(sock, number, {"ready": True})
        _serve(sock, shell, how)
    os._exit(0)


def _hide_neighbours() -> None:
    """Keep guests from importing what lies beside this package in a source tree, such as references."""
    beside = str(Path(__file__).resolve().parent.parent)
    if beside not in map(os.path.realpath, site.getsitepackages()):
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != beside]


def _threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def load() -> NotebookShell:
    """Import what released notebooks import, make the shell, and use once what is loaded lazily."""
    import jaxtyping  # noqa: F401
    import matplotlib
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    from autograder import shell as module
    from autograder import student  # noqa: F401

    shell = module.NotebookShell.instance()
    matplotlib.use("module://matplotlib_inline.backend_inline")
    shell.enable_matplotlib()
    import matplotlib.pyplot as plt

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    optimiser = torch.optim.Adam(model.parameters())
    loss = torch.nn.functional.mse_loss(model(torch.randn(3, 2)), torch.zeros(3, 2))
    loss.backward()
    optimiser.step()
    torch.distributions.kl_divergence(
        torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(0.0, 1.0)
    )
    np.linalg.svd(np.eye(2))

    shell.run("import torch\nprint(1)\ntorch.zeros(1)")
    shell.run("raise ValueError")
    plt.plot([0, 1])
    plt.title("$x$")
    with shell.calling():
        plt.show()
    module.close_figures()
    module.forget_traceback()
    shell.reset(new_session=True)
    shell.recorder = module.Recorder()
    shell.execution_count = 1
    shell.forget_loop()
    module.refuse_the_rest()
    _seed()
    return shell


def _gather_pages() -> None:
    """Have the kernel keep this process' data in huge pages, where it can: a fork takes a third of the time.

    A fork copies an entry of the page table for each page that was ever written to: 60 000 small ones, or
    a few hundred. (MADV_COLLAPSE, Linux 6.1.)
    """
    libc = ctypes.CDLL(None)
    size, collapse = 2 << 20, 25
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:
        for line in maps.readlines():
            addresses, access, _, _, _, *name = line.split()
            if not access.startswith("rw-p") or name not in ([], ["[heap]"]):
                continue
            start, end = (int(address, 16) for address in addresses.split("-"))
            for address in range(-(-start // size) * size, end // size * size, size):
                libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(size), collapse)


def _serve(control: socket.socket, shell: NotebookShell | None, how: Seal) -> None:
    home = Path(tempfile.gettempdir())
    guest: _Guest | None = None
    while True:
        (number, request), descriptors = _receive(control)
        if request["op"] == "fork" and guest is None:
            limits = Limits(**request["limits"])
            folder = Path(tempfile.mkdtemp(prefix="guest-", dir=home))
            pid = os.fork()
            if not pid:
                _become_guest(shell, how, limits, folder, descriptors[0])
            guest = _Guest(pid, folder, limits)
            answer: dict[str, Any] = {"pid": pid}
        elif request["op"] == "usage" and guest is not None:
            answer = guest.usage()
        elif request["op"] == "reap" and guest is not None:
            answer = guest.reap(request["patience"])
            guest = None
        else:
            answer = {"error": f"{request['op']} while there is {'a' if guest else 'no'} guest"}
        for descriptor in descriptors:
            os.close(descriptor)
        wire.send(control, number, answer)


def _receive(control: socket.socket) -> tuple[tuple[int, Any], list[int]]:
    """One request, and the descriptors that came with the byte before it."""
    first, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not first:
        raise EOFError
    return wire.receive(control, CONTROL), descriptors


class _Guest:
    """A forked guest as the zygote sees it."""

    def __init__(self, pid: int, folder: Path, limits: Limits) -> None:
        self.pid, self.folder, self.limits = pid, folder, limits

    def usage(self) -> dict[str, int]:
        """What lies in its folder, counted as far as its limits reach."""
        size, files = scratch.usage(self.folder, self.limits.scratch_files)
        return {"bytes": size, "files": files}

    def reap(self, patience: float) -> dict[str, Any]:
        """Wait up to `patience` seconds for the guest to end by itself, then end all that is left of it."""
        deadline = time.monotonic() + patience
        ended = self._has_ended()
        while not ended and time.monotonic() < deadline:
            time.sleep(0.0005)
            ended = self._has_ended()
        for kill in (os.killpg, os.kill):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)
        _, status, usage = os.wait4(self.pid, 0)
        alone = _end_children()
        clean = scratch.delete(self.folder)
        killed = not ended and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        cpu = usage.ru_utime + usage.ru_stime
        return {"status": status, "killed": killed, "cpu": cpu, "clean": alone and clean}

    def _has_ended(self) -> bool:
        """The guest is a zombie; it stays one, so that its number remains its own."""
        if not hasattr(os, "waitid"):  # macOS, before Python 3.13
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_children() -> bool:
    """Kill what the guest has left running, which is this process' child by now; False if some remain."""
    deadline = time.monotonic() + _PERSISTENCE
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if not pid:
            for child in _children():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            time.sleep(0.0005)
    return False


def _children() -> Iterator[int]:
    me = os.getpid()
    with contextlib.suppress(OSError):
        for process in os.listdir("/proc"):
            if process.isdigit():
                with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as stat:
                    if int(stat.read().rpartition(b")")[2].split()[1]) == me:
                        yield int(process)


def _become_guest(
    shell: NotebookShell | None, how: Seal, limits: Limits, folder: Path, sock: int
) -> NoReturn:
    """Seal this freshly forked process and answer requests until the judge closes the socket."""
    try:
        seal.apply(how, limits, folder, sock)
        tempfile.tempdir = None
        sys.path.append(str(folder))  # last, so that no file there can take a library's place
        judge = socket.socket(fileno=SOCKET)
        judge.sendall(b"\0")  # its sender's number is what the judge asks the kernel for
        if shell is not None:
            _seed()
        serve(judge, shell, limits)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException:
        os._exit(1)
    os._exit(0)


def _seed() -> None:
    """Every guest starts so, that a notebook draws the same random numbers each time."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def serve(sock: socket.socket, shell: NotebookShell | None, limits: Limits) -> None:
    """Answer the judge's requests: one frame for each cell or call, numbered from the request's own number.

    {"op": "run", "cells": [{"source", "id"}, ...]} is answered by what `NotebookShell.run` gives,
    {"op": "calls", "requests": [...], "held"} by what `calls.perform` gives, with "printed" if something was,
    each at once or, if "held", with others that come within milliseconds,
    {"op": "probe", "targets": {...}} by what `probe.succeeded` gives.
    """
    inward = wire.Limits(frame_bytes=limits.frame_bytes)
    outward = wire.from_guest(limits.frame_bytes)
    objects: dict[int, Any] = {}
    while True:
        try:
            number, request = wire.receive(sock, inward)
        except (EOFError, ConnectionError):
            return
        if shell is None or request["op"] == "probe":
            wire.send(sock, number, probe.succeeded(request["targets"]))
        elif request["op"] == "run":
            for i, cell in enumerate(request["cells"]):
                wire.send(sock, number + i, shell.run(cell["source"], cell["id"]), outward)
        else:
            hold = _HELD_SECONDS if request["held"] else 0.0
            waiting, last = bytearray(), time.monotonic()
            for i, call in enumerate(request["requests"]):
                waiting += wire.frame(number + i, answer(call, shell, objects, outward))
                if not hold or len(waiting) >= _HELD_BYTES or time.monotonic() - last >= hold:
                    sock.sendall(waiting)
                    waiting, last = bytearray(), time.monotonic()
            sock.sendall(waiting)


def answer(
    request: calls.Request, shell: NotebookShell, objects: dict[int, Any], limits: wire.Limits
) -> bytes:
    """The encoded reply to one call. Whatever the student's code does, it is a reply."""
    from autograder.shell import clean

    printed: object = ""
    try:
        with shell.calling() as printed:
            reply = calls.perform(request, shell.user_ns, objects)
    except BaseException as error:
        reply = _raised(error)
    try:
        if _lacks_memory(reply.get("error")):
            reply["error"]["kind"] = "memory"
        if "error" in reply:
            reply["error"] = {name: clean(text) for name, text in reply["error"].items()}
        if text := str(printed):
            reply["printed"] = text
        return wire.encode(reply, limits)
    except wire.Unsendable as error:
        message = clean(str(error).replace("value['value']", "value", 1))
        return wire.encode(_error("unsendable", "", message), limits)
    except MemoryError:
        return wire.encode(_error("memory", "MemoryError", "the answer did not fit into memory"), limits)
    except BaseException as error:
        return wire.encode(
            _error("unsendable", "", f"{type(error).__name__} while the answer was read"), limits
        )


def _raised(error: BaseException) -> calls.Reply:
    from autograder.shell import described

    name, message, lines = described(error)
    return _error("raised", name, message[:2000], "".join(lines)[-8000:])


def _error(kind: str, type: str, message: str, traceback: str = "") -> calls.Reply:
    return {"error": {"kind": kind, "type": type, "message": message, "traceback": traceback}}


def _lacks_memory(error: dict[str, str] | None) -> bool:
    if error is None or error["kind"] != "raised":
        return False
    return error["type"] == "MemoryError" or "can't allocate memory" in error["message"]


if __name__ == "__main__":  # in a container
    main(sys.argv[1])
