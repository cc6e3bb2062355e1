"""The judge's side of guests: starting them, asking them, and ending them.

    with Zygote() as zygote, zygote.guest() as guest:
        guest.run([{"source": "def double(x): return 2 * x", "id": "a"}])
        guest.perform([{"op": "call", "name": "double", "args": [21]}])   # [{"value": 42}]

Nothing a guest does blocks the judge, crashes it, or makes it hold more than `Limits` allows: whatever
comes that is no well-formed answer to what was asked ends the guest.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, NoReturn, TypeVar

from torch import Tensor

from autograder import wire
from autograder.calls import Reply, Request
from autograder.confinement import Level, Limits, box, levels, probe, scratch
from autograder.confinement.seal import Seal
from autograder.zygote import CONTROL, JSON_TYPE, OUT_OF_MEMORY

__all__ = ["Allowance", "Guest", "GuestDied", "Limits", "Zygote", "ZygoteFailed", "best_zygote", "settle"]

log = logging.getLogger(__name__)

T = TypeVar("T")
Cell = dict[str, str]
CellResult = dict[str, Any]

# Runs in the zygote: imports this package and nothing that lies beside it.
_START = """
import importlib.util, sys
folder, control = sys.argv[1:]
spec = importlib.util.spec_from_file_location(
    "autograder", folder + "/__init__.py", submodule_search_locations=[folder]
)
sys.modules["autograder"] = package = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from autograder.zygote import main
main(control)
"""
_CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group
_PACKAGE = Path(__file__).resolve().parent
_START_SECONDS = 300.0
_ANSWER_SECONDS = 60.0
_LOOK_SECONDS = 0.25


class ZygoteFailed(RuntimeError):
    """The machinery failed, not the student's code."""


class GuestDied(Exception):
    """A guest ended, or had to be ended, before it had answered everything.

    Attributes:
        kind: "time", "memory", "disk", "crashed" (a signal), "exited", or "protocol" (it sent what it
            should not).
        detail: what happened, as a sentence.
        answered: the replies that came before, always fewer than were asked for.
        killed: by SIGKILL or with its zygote: perhaps not the student's doing.
    """

    def __init__(self, kind: str, detail: str, answered: list[Any], killed: bool = False) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.answered, self.killed = kind, detail, answered, killed


@dataclass
class Allowance:
    """CPU seconds that several requests may take together, be they to guests that follow each other."""

    seconds: float
    what: str  # that they are for
    spent: float = 0.0

    @property
    def overrun(self) -> str:
        """What to say once it is used up, until then nothing."""
        return f"took more than {self.seconds:g} s in {self.what}" if self.spent > self.seconds else ""


@functools.cache
def _starter(process: int) -> ThreadPoolExecutor:
    """The thread of this process that starts zygotes; it lives as long as the process.

    The kernel ends a zygote with the thread that started it, not with the process.
    """
    return ThreadPoolExecutor(1, thread_name_prefix="autograder-zygotes")


class Zygote:
    """A clean process with everything imported, from which guests are forked, one at a time.

    A zygote that has died is replaced when the next guest is asked for, with an error in the log.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        level: Level | None = None,
        secrets: Sequence[Path] = (),
        bare: bool = False,
    ) -> None:
        """Start a zygote, and try in a throw-away guest that the level holds.

        Args:
            limits: of its guests.
            level: how they are confined; the best that holds on this machine if left out.
            secrets: files and folders that no guest may read.
            bare: import nothing and run no notebooks: its guests can only be probed.

        Raises:
            ZygoteFailed: it doesn't start, or the level doesn't hold.
        """
        self.limits = limits or Limits()
        self.level = level or settle(tuple(secrets)).level
        self._secrets, self._bare = tuple(secrets), bare
        self._guest: Guest | None = None
        self._start()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def guest(self, limits: Limits | None = None) -> Guest:
        """A fresh guest, with the zygote's limits unless others are given.

        Raises:
            ZygoteFailed: no guest can be made here, for a reason that is not the student's.
        """
        if self._guest is not None and self._guest.alive:
            raise RuntimeError("this zygote has a live guest; end it first")
        if self._spoilt or self._process is None or self._process.poll() is not None:
            log.error(
                "the zygote has ended or was left unclean (%s); starting another",
                self._log_tail() or "no word",
            )
            self._restart()
        try:
            self._guest = Guest(self, limits or self.limits)
        except ZygoteFailed:
            log.exception("the zygote failed; starting another")
            self._restart()
            self._guest = Guest(self, limits or self.limits)
        return self._guest

    def close(self) -> None:
        """End the zygote and its guest, and delete their files."""
        if self._guest is not None:
            self._guest.kill()
        self._control.close()
        if self._process is not None:
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()
        if self._folder.exists() and not scratch.delete(self._folder):
            log.error("%s could not be deleted", self._folder)

    def _start(self) -> None:
        try:
            how = levels.plan(self.level)
        except ValueError as error:
            raise ZygoteFailed(str(error)) from None
        self._spoilt = False
        self._number = 0
        self._folder = Path(tempfile.mkdtemp(prefix="autograder-"))
        if how.uid:
            os.chown(self._folder, how.uid, how.uid)
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self._control = socket.socket(socket.AF_UNIX)  # to nobody yet
        try:
            self._control = self._contained() if self.level.box == "container" else self._forked()
            self._ask({"op": "start", "seal": _plain(how), "bare": self._bare}, seconds=_START_SECONDS)
            if held := self._holes():
                raise ZygoteFailed(f"{self.level} does not hold here: a guest could {', '.join(held)}")
        except ZygoteFailed:
            self.close()
            raise

    def _forked(self) -> socket.socket:
        """Start the process as a child in bubblewrap or in no box, on a socket that it inherits."""
        ours, theirs = socket.socketpair()
        with theirs:
            inner = [sys.executable, "-s", "-P", "-c", _START, str(_PACKAGE), str(theirs.fileno())]
            boxed = self.level.box == "bubblewrap"
            command = box.bubblewrap(inner, self._folder, self.limits) if boxed else inner
            self._run(command, box.environment(self._folder), (theirs.fileno(),))
        return ours

    def _contained(self) -> socket.socket:
        """Start the process in a container, which connects to a socket in a folder that it is shown."""
        meeting = self._folder / "meeting"
        meeting.mkdir()
        path = meeting / "control"
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(str(path))
            except OSError as error:
                raise ZygoteFailed(
                    f"{path} can't be a socket ({error}): set TMPDIR to a shorter path"
                ) from error
            meeting.chmod(0o755)
            path.chmod(0o666)  # whoever the container's user is; the folder around it is the judge's alone
            listener.listen(1)
            listener.settimeout(0.2)
            inner = ["python", "-s", "-P", "-m", "autograder.zygote", f"{box.INNER}/{path.name}"]
            self._run(box.container(inner, meeting, self.limits), dict(os.environ), ())
            deadline = time.monotonic() + _START_SECONDS
            while time.monotonic() < deadline and self._process and self._process.poll() is None:
                with contextlib.suppress(TimeoutError):
                    control, _ = listener.accept()
                    control.setblocking(True)
                    return control
        raise ZygoteFailed(f"no zygote came out of the container: {self._log_tail()}")

    def _run(self, command: Sequence[str], environment: dict[str, str], descriptors: tuple[int, ...]) -> None:
        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=descriptors,
                start_new_session=True,
            )

        self._process = _starter(os.getpid()).submit(start).result()

    def _holes(self) -> list[str]:
        """What a throw-away guest can do though the level promises that it can't."""
        if self.level.seal == "none":
            return []
        with probe.Canary(self._secrets) as canary:
            try:
                with Guest(self, self.limits) as guest:
                    found = set(guest.probe(canary.targets))
            except GuestDied as death:
                raise ZygoteFailed(f"a guest that was to try {self.level} failed: {death}") from death
            found |= set(canary.harmed())
        return sorted(found - probe.ALLOWED[self.level.seal])

    def _restart(self) -> None:
        self._guest = None
        self.close()
        self._start()

    def _ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = (), seconds: float | None = None
    ) -> dict[str, Any]:
        self._number += 1
        try:
            if descriptors:
                socket.send_fds(self._control, [b"\0"], list(descriptors))
            else:
                self._control.sendall(b"\0")
            wire.send(self._control, self._number, request, CONTROL)
        except OSError as error:
            self._spoilt = True
            raise ZygoteFailed(f"the zygote can't be reached ({error}): {self._log_tail()}") from error
        return self._expect(self._number, seconds or _ANSWER_SECONDS)

    def _expect(self, number: int, seconds: float) -> dict[str, Any]:
        try:
            got, answer = wire.receive(self._control, CONTROL, time.monotonic() + seconds)
        except (OSError, EOFError, wire.WireError) as error:
            self._spoilt = True
            raise ZygoteFailed(f"the zygote does not answer ({error}): {self._log_tail()}") from error
        if got != number or not isinstance(answer, dict) or "error" in answer:
            self._spoilt = True
            raise ZygoteFailed(f"the zygote answers {answer!r:.200}")
        return answer

    def _log_tail(self) -> str:
        """The last that the zygote and its guests have written, without what terminals obey."""
        with contextlib.suppress(OSError, ValueError):
            size = os.fstat(self._log.fileno()).st_size
            tail = os.pread(self._log.fileno(), 4000, max(0, size - 4000)).decode(errors="replace")
            return re.sub(r"[^\n -~]", "?", tail).strip()
        return ""

    def _reap(self, patience: float) -> dict[str, Any]:
        """End the guest and clean up after it: how it ended. (See zygote.py.)"""
        answer = self._ask({"op": "reap", "patience": patience})
        if not answer["clean"]:
            log.error("something of a guest could not be removed; its zygote is given up")
            self._spoilt = True
        return answer


def _plain(how: Seal) -> dict[str, Any]:
    return {**asdict(how), "read": list(how.read)}


class Settled(NamedTuple):
    """The best level that holds here, and what came of trying those that seemed better."""

    level: Level
    failures: tuple[str, ...]


@functools.cache
def settle(secrets: tuple[Path, ...] = ()) -> Settled:
    """Find the best level by trying: the forbidden things, in a throw-away guest of each that seems to work.

    Args:
        secrets: files and folders that no guest may read.
    """
    zygote, failures = _first(secrets, bare=True)
    zygote.close()
    return Settled(zygote.level, failures)


def best_zygote(secrets: Sequence[Path] = ()) -> Zygote:
    """A zygote at the best level that holds. Where one is all it takes, this is quicker than to settle first.

    Args:
        secrets: files and folders that no guest may read.

    Raises:
        ZygoteFailed: no guest can be made here.
    """
    return _first(secrets)[0]


def _first(secrets: Sequence[Path], bare: bool = False) -> tuple[Zygote, tuple[str, ...]]:
    """A zygote at the best level that holds, and why those that seemed better don't."""
    failures: list[str] = []
    for level in levels.candidates():
        try:
            return Zygote(level=level, secrets=secrets, bare=bare), tuple(failures)
        except ZygoteFailed as error:
            failures.append(str(error))
            log.error("%s", error)
    raise ZygoteFailed(f"no guest can be made here: {'; '.join(failures)}")


class Guest:
    """One student's process: it runs the cells of a notebook, then answers calls of its functions."""

    def __init__(self, zygote: Zygote, limits: Limits) -> None:
        self.limits = limits
        self.alive = True
        self._zygote = zygote
        self._cpu = 0.0
        self._reading = 0.0  # CPU seconds of ours
        self._waited = 0.0  # seconds in which replies were late for no good reason
        self._number = 1
        self._cells: list[CellResult] = []
        self._frames = wire.Frames(wire.from_guest(limits.frame_bytes))
        self._decoder = _decoder(limits)
        self._socket, theirs = socket.socketpair()
        with theirs:
            if hasattr(socket, "SO_PASSCRED"):
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            pid = zygote._ask({"op": "fork", "limits": asdict(limits)}, [theirs.fileno()])["pid"]
        try:
            self.pid = self._sender() or pid
        except OSError as error:
            self.kill()
            raise ZygoteFailed(f"a guest did not begin ({error})") from error
        self._clock = _Clock(self.pid)
        self._look_next = time.monotonic() + _LOOK_SECONDS
        self._socket.setblocking(False)
        self._poll = select.poll()

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the guest has used; once it has ended, with that of its own children."""
        return self._clock.cpu() if self.alive else self._cpu

    def run(self, cells: Sequence[Cell], together: Allowance | None = None) -> list[CellResult]:
        """Run the cells in order; a cell that raises does not stop the ones after it.

        Args:
            cells: {"source": ..., "id": ...} of each code cell.
            together: what they may take; by default the limit for a notebook.

        Returns:
            {"outputs": [...], "execution_count": n} of each, outputs as in nbformat 4.

        Raises:
            GuestDied: with the results of the cells before.
        """

        def take(value: Any, index: int) -> CellResult:
            result, updates = _cell_result(value)
            for cell, output, data, metadata in updates:
                if cell < len(self._cells) and output < len(self._cells[cell]["outputs"]):
                    old = self._cells[cell]["outputs"][output]
                    if old["output_type"] == "display_data":
                        old.update(data=data, metadata=metadata)
            self._cells.append(result)
            return result

        request = {"op": "run", "cells": [{"source": c["source"], "id": c["id"]} for c in cells]}
        together = together or Allowance(self.limits.notebook_cpu, "all cells")
        return self._exchange(request, len(cells), take, "cell", self.limits.cell_cpu, together)

    def perform(
        self,
        requests: Sequence[Request],
        heard: Callable[[int, Reply], None] | None = None,
        together: Allowance | None = None,
        held: bool = False,
    ) -> list[Reply]:
        """The replies to calls (see calls.py), in order.

        Args:
            heard: called with each reply as it comes and its place, while the guest goes on with the next.
            together: what these calls may take with others; on top of what one may.
            held: quick replies come some at a time, which costs less.

        Raises:
            GuestDied: with the replies that came before; the next request is the one that ended it, unless
                replies were held.
        """
        request = {"op": "calls", "requests": list(requests), "held": held}

        def take(value: Any, index: int) -> Reply:
            reply = _reply(value, requests[index])
            if heard is not None:
                heard(index, reply)
            return reply

        together = together or Allowance(float("inf"), "all calls")
        return self._exchange(request, len(requests), take, "call", self.limits.call_cpu, together)

    def probe(self, targets: dict[str, Any]) -> list[str]:
        """What the guest can do of what no guest may do. (See confinement/probe.py.)"""

        def take(value: Any, index: int) -> list[str]:
            _require(isinstance(value, list) and all(isinstance(v, str) for v in value), "no list of deeds")
            return list(value)

        unlimited = Allowance(float("inf"), "all probes")
        return self._exchange({"op": "probe", "targets": targets}, 1, take, "probe", 30.0, unlimited)[0]

    def _sender(self) -> int:
        """Wait for the guest's first byte; its process's number as this process sees it, 0 if unknown."""
        self._socket.settimeout(_ANSWER_SECONDS)
        space = socket.CMSG_SPACE(_CREDENTIALS.size)
        byte, ancillary, _, _ = self._socket.recvmsg(1, space)
        if byte != b"\0":
            raise ConnectionError(f"it said {byte!r}")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, getattr(socket, "SCM_CREDENTIALS", 2)):
                return int(_CREDENTIALS.unpack_from(data)[0])
        return 0

    def kill(self) -> None:
        """End the guest; its process, its children and its files are gone afterwards."""
        if self.alive:
            with contextlib.suppress(ZygoteFailed):
                self._end(0)

    @property
    def _taken(self) -> float:
        """The seconds that count against an allowance."""
        return self.cpu_seconds + self._reading + self._waited / self.limits.wall_factor

    def _end(self, patience: float) -> dict[str, Any]:
        self._cpu = self._clock.cpu()
        self.alive = False
        self._socket.close()
        end = self._zygote._reap(patience)
        self._cpu = end["cpu"]
        return end

    def _exchange(
        self,
        request: dict[str, Any],
        count: int,
        take: Callable[[Any, int], T],
        what: str,
        cpu_limit: float,
        together: Allowance,
    ) -> list[T]:
        """Send one request and collect its `count` replies, each checked by `take` and within `cpu_limit`.

        Reading and writing alternate, so that neither side can wait for the other for ever.
        """
        if not self.alive:
            raise RuntimeError("this guest has ended")
        begun = self._taken - together.spent
        limits = wire.Limits(frame_bytes=self.limits.frame_bytes)
        self._decoder = _decoder(self.limits)
        first, self._number = self._number, self._number + count
        unsent = memoryview(wire.frame(first, wire.encode(request, limits)))
        answered: list[T] = []
        wall = self.limits.wall_factor * cpu_limit
        try:
            if self._read(answered, lambda value, index: value, first, 0):
                raise wire.WireError("it spoke before it was asked")
            received = 0
            start: _Reading | None = None  # taken once a reply is not there at once
            while len(answered) < count:
                used = self._clock.since(start) if start else None
                timeout = 0.005 if used is None else min(0.2, max(0.01, cpu_limit - used.cpu))
                self._poll.register(self._socket, select.POLLIN | (select.POLLOUT if unsent else 0))
                events = dict(self._poll.poll(timeout * 1000)).get(self._socket.fileno(), 0)
                if unsent and events & select.POLLOUT:
                    with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                        unsent = unsent[self._socket.send(unsent) :]
                before, size, late = len(answered), 0, 0.0
                if events & ~select.POLLOUT:
                    late = self._clock.since(start).idle if start else 0.0
                    size = self._read(answered, take, first, count)
                    received += size
                    if received > self.limits.exchange_bytes:
                        raise wire.WireError(f"it answered with more than {self.limits.exchange_bytes} bytes")
                self._look_at_scratch(answered)
                if len(answered) > before:
                    self._waited += late
                    start = None
                elif start is None:
                    start = self._clock.read()
                elif used is not None and used.cpu > cpu_limit:
                    self._overrun(f"used more than {cpu_limit:g} s of CPU time in one {what}", answered)
                elif used is not None and used.idle > (
                    10 * wall if size else wall
                ):  # its answer is on the way
                    self._overrun(f"waited for more than {wall:g} s in one {what}", answered)
                together.spent = self._taken - begun
                if len(answered) < count and together.overrun:
                    self._overrun(together.overrun, answered)
            if self._frames.pending:
                raise wire.WireError("it said more than it was asked")
        except wire.WireError as error:
            with contextlib.suppress(ZygoteFailed):
                self._end(0)
            unspoilt = answered[: max(0, count - 1)]  # one request has ended it, be it the last
            raise GuestDied("protocol", f"the guest broke the protocol: {error}", unspoilt) from None
        except EOFError:
            self._died(answered)
        finally:
            together.spent = self._taken - begun
        return answered

    def _read(self, answered: list[T], take: Callable[[Any, int], T], first: int, count: int) -> int:
        """Take what can be read now; returns its size.

        Raises:
            EOFError: the guest has closed its end.
            wire.WireError: what came is no answer to what was asked.
        """
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return 0
        except ConnectionError:
            raise EOFError from None
        if not data:
            raise EOFError
        self._frames.feed(data)
        while (frame := self._frames.next()) is not None:
            number, payload = frame
            if len(answered) >= count or number != first + len(answered):
                raise wire.WireError(f"frame {number} answers nothing")
            begun = time.process_time()
            value = self._decoder.decode(payload)
            self._reading += time.process_time() - begun
            answered.append(take(value, len(answered)))
        return len(data)

    def _look_at_scratch(self, answered: list[Any]) -> None:
        """Now and then, end a guest that has written too much."""
        if time.monotonic() < self._look_next:
            return
        self._look_next = time.monotonic() + _LOOK_SECONDS
        limits = self.limits
        try:
            used = self._zygote._ask({"op": "usage"})
        except ZygoteFailed:
            self._died(answered)
        if used["bytes"] > limits.scratch_bytes:
            self._overrun(f"wrote more than {limits.scratch_bytes >> 20} MiB to files", answered, "disk")
        if used["files"] > limits.scratch_files:
            self._overrun(f"made more than {limits.scratch_files} files", answered, "disk")

    def _overrun(self, detail: str, answered: list[Any], kind: str = "time") -> NoReturn:
        with contextlib.suppress(ZygoteFailed):
            self._end(0)
        raise GuestDied(kind, detail, answered)

    def _died(self, answered: list[Any]) -> NoReturn:
        """Find out how the guest has ended."""
        try:
            end = self._end(patience=1)
        except ZygoteFailed:
            raise GuestDied("crashed", "the guest ended the process that made it", answered, True) from None
        if end["killed"]:
            raise GuestDied("protocol", "the guest closed its connection", answered)
        status = end["status"]
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            kind = "time" if number == signal.SIGXCPU else "crashed"
            name = (signal.strsignal(number) or "unknown").lower()
            detail = f"the guest was ended by signal {number} ({name})"
            raise GuestDied(kind, detail, answered, number == signal.SIGKILL)
        code = os.WEXITSTATUS(status)
        if code == OUT_OF_MEMORY:
            raise GuestDied("memory", "the guest had no memory left to answer", answered)
        raise GuestDied("exited", f"the guest ended itself with exit status {code}", answered)


def _decoder(limits: Limits) -> wire.Decoder:
    """Decodes the answers to one request.

    Small values take many times their bytes, so that these alone don't bound what all answers may hold.
    """
    held = limits.exchange_bytes
    frame = wire.from_guest(limits.frame_bytes)
    return wire.Decoder(replace(frame, values=held // 64, tensors=held // 2048))


class _Reading:
    """A process' clocks at one moment, or the time between two, in seconds."""

    def __init__(self, cpu: float, wall: float, waited: float) -> None:
        self.cpu, self.wall, self.waited = cpu, wall, waited

    @property
    def idle(self) -> float:
        """Time in which the process neither computed nor waited for a processor."""
        return self.wall - self.cpu - self.waited


class _Clock:
    """The CPU clock of another process. Outside Linux it stands still, and the wall clock alone decides."""

    def __init__(self, pid: int) -> None:
        self._id = (~pid << 3) | 2  # CPUCLOCK_SCHED, see clock_getcpuclockid(3)
        self._schedstat = f"/proc/{pid}/schedstat"
        self._last = 0.0

    def cpu(self) -> float:
        with contextlib.suppress(OSError):
            self._last = time.clock_gettime(self._id)
        return self._last

    def read(self) -> _Reading:
        waited = 0.0
        with contextlib.suppress(OSError, ValueError, IndexError), open(self._schedstat) as file:
            waited = int(file.read().split()[1]) / 1e9
        return _Reading(self.cpu(), time.monotonic(), waited)

    def since(self, start: _Reading) -> _Reading:
        now = self.read()
        return _Reading(now.cpu - start.cpu, now.wall - start.wall, now.waited - start.waited)


_ERROR_KINDS = ("missing", "raised", "state", "gradient", "memory", "unsendable")


def _reply(value: Any, request: Request) -> Reply:
    """A reply with the form that the request asks for, or WireError."""
    _require(isinstance(value, dict), "a reply that is no dict")
    reply: Reply = {}
    if "printed" in value:
        _require(isinstance(value["printed"], str), "something printed that is no string")
        reply["printed"] = value["printed"][:20_000]
    if "error" in value:
        error = value["error"]
        names = {"kind", "type", "message", "traceback"}
        _require(isinstance(error, dict) and error.keys() == names, "an error without its parts")
        _require(all(isinstance(part, str) for part in error.values()), "an error that is no text")
        _require(error["kind"] in _ERROR_KINDS, "an error of an unknown kind")
        reply["error"] = {name: text[:20_000] for name, text in error.items()}
        return reply
    _require("value" in value, "a reply without a value")
    reply["value"] = value["value"]
    if request["op"] == "new":
        _require(_is_shapes(reply["value"]), "an object without the shapes of its state")
    if "wrt" in request or request.get("parameters"):
        gradients = value.get("gradients")
        _require(isinstance(gradients, list) and all(map(_is_gradient, gradients)), "no gradients")
        reply["gradients"] = gradients
    if request.get("parameters"):
        named = value.get("parameter_gradients", {})
        valid = isinstance(named, dict) and all(
            isinstance(n, str) and _is_gradient(g) for n, g in named.items()
        )
        _require(valid, "no gradients of parameters")
        reply["parameter_gradients"] = named
    if request.get("after"):
        after = value.get("after")
        _require(
            isinstance(after, list) and len(after) == len(request["args"]), "no arguments after the call"
        )
        reply["after"] = after
    return reply


def _is_gradient(value: Any) -> bool:
    return value is None or isinstance(value, Tensor)


def _is_shapes(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and isinstance(shape, list) and all(map(_is_count, shape))
        for name, shape in value.items()
    )


def _cell_result(value: Any) -> tuple[CellResult, list[tuple[int, int, Any, Any]]]:
    """A cell's result in nbformat's form and its updates of earlier outputs, or WireError."""
    form = isinstance(value, dict) and value.keys() == {"outputs", "execution_count", "updates"}
    _require(form and all(isinstance(value[n], list) for n in ("outputs", "updates")), "no result of a cell")
    _require(_is_count(value["execution_count"]), "no execution count")
    for output in value["outputs"]:
        _require(_is_output(output), "an output that nbformat doesn't know")
    updates = []
    for update in value["updates"]:
        _require(isinstance(update, list) and len(update) == 4, "no update of an output")
        cell, output, data, metadata = update
        _require(_is_count(cell) and _is_count(output), "an update of no output")
        _require(_is_bundle(data) and _is_object(metadata), "an update without data")
        updates.append((cell, output, data, metadata))
    return {"outputs": value["outputs"], "execution_count": value["execution_count"]}, updates


def _is_output(output: Any) -> bool:
    if not isinstance(output, dict):
        return False
    text = functools.partial(map, lambda name: isinstance(output.get(name), str))
    names = output.keys() - {"output_type"}
    match output.get("output_type"):
        case "stream":
            return (
                names == {"name", "text"} and output["name"] in ("stdout", "stderr") and all(text(("text",)))
            )
        case "display_data":
            return (
                names == {"data", "metadata"}
                and _is_bundle(output["data"])
                and _is_object(output["metadata"])
            )
        case "execute_result":
            return (
                names == {"data", "metadata", "execution_count"}
                and _is_count(output["execution_count"])
                and _is_bundle(output["data"])
                and _is_object(output["metadata"])
            )
        case "error":
            lines = output.get("traceback")
            return (
                names == {"ename", "evalue", "traceback"}
                and all(text(("ename", "evalue")))
                and isinstance(lines, list)
                and all(isinstance(line, str) for line in lines)
            )
    return False


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_bundle(value: Any) -> bool:
    """A dict from MIME types to text, or to JSON where the type is one of JSON's."""
    return _is_object(value) and all(
        _is_text(content) or JSON_TYPE.fullmatch(mime) for mime, content in value.items()
    )


def _is_text(value: Any) -> bool:
    """A string, or the list of its lines."""
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) for v in value))


def _is_object(value: Any) -> bool:
    """A dict that JSON can hold as it is."""
    return isinstance(value, dict) and _is_json(value)


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_json(v) for name, v in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return value - value == 0  # finite
    return value is None or isinstance(value, (str, int))


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise wire.WireError(reason)
