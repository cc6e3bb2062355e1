"""Fuzzing what the judge reads, guided by coverage: bytes from a guest give a value or a refusal.

`make fuzz` takes a minute. One target for longer:

    python tests/fuzz_wire.py replies --seconds 600

An input on which a target crashes, takes long or holds too much is printed in hex.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import nbformat
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autograder import wire
from autograder.calls import Request
from autograder.guests import Guest, Limits, Zygote, _decoder, _reply
from autograder.probes import Generator, Probe

SECONDS = 20
LIMITS = wire.Limits(  # within reach of short inputs
    frame_bytes=1 << 16, values=300, tensors=20, depth=16, ndim=8, integer_bits=72, collisions=1 << 12
)
_GUEST = Limits(frame_bytes=1 << 16, exchange_bytes=1 << 18)

REQUESTS: tuple[Request, ...] = (
    {"op": "call", "name": "f", "args": [1.0]},
    {"op": "new", "name": "Net", "args": [], "handle": 1},
    {"op": "method", "handle": 1, "name": "", "args": [1.0], "wrt": [0], "parameters": True},
    {"op": "call", "name": "f", "args": [1.0, 2.0], "after": True},
    {"op": "forget"},
)


# What must hold


@contextmanager
def frugal(size: int) -> Iterator[None]:
    """What runs inside holds no more than some tens of bytes per byte read, and tensors of `size` bytes."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    try:
        with _Allocations() as tensors:
            yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        if not tracing:
            tracemalloc.stop()
    assert peak - before <= 32 * size + (1 << 18), f"{peak - before} bytes held for {size} read"
    assert tensors.bytes <= size, f"tensors of {tensors.bytes} bytes made from {size}"


class _Allocations(TorchDispatchMode):
    """Counts the bytes of all tensors that are made."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and the guard is slow

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor) and not any(r.alias_info for r in func._schema.returns):
            self.bytes += out.untyped_storage().nbytes()
        return out


def decoded(data: bytes, limits: wire.Limits = LIMITS) -> list[Any]:
    """The value that the bytes stand for, alone in a list, or nothing; fails if anything else happens."""
    with frugal(len(data)):
        try:
            value = wire.decode(data, limits)
        except wire.WireError:
            return []
    _check_within(value, limits)
    canonical = wire.encode(value)
    assert wire.encode(wire.decode(canonical)) == canonical
    return [value]


def _check_within(value: Any, limits: wire.Limits) -> None:
    values = tensors = 0
    left = [(value, 0)]
    while left:
        v, depth = left.pop()
        values += 1
        if isinstance(v, Tensor):
            tensors += 1
            assert type(v) is Tensor and v.is_contiguous() and v.ndim <= limits.ndim and not v.requires_grad
            assert v.untyped_storage().nbytes() == v.nbytes
        elif isinstance(v, (list, tuple, dict, Probe, Generator)):
            assert depth < limits.depth
            assert limits.probes or not isinstance(v, (Probe, Generator))
            if isinstance(v, dict):
                left += [(part, depth + 1) for item in v.items() for part in item]
            elif isinstance(v, Probe):
                left += [(v.kind, depth + 1), (v.parameters, depth + 1)]
            else:
                left += [(item, depth + 1) for item in ([v.seed] if isinstance(v, Generator) else v)]
        elif type(v) is int:
            assert (v + (v < 0)).bit_length() < limits.integer_bits
        else:
            assert v is None or type(v) in (bool, float, complex, str, bytes, torch.dtype)
    assert values <= limits.values and tensors <= limits.tensors


def check_reply(reply: Any, request: Request) -> None:
    """What `_reply` lets pass has the form that calls.py describes."""
    assert isinstance(reply.get("printed", ""), str)
    if "error" in reply:
        assert reply.keys() <= {"printed", "error"}
        assert reply["error"].keys() == {"kind", "type", "message", "traceback"}
        kinds = ("missing", "raised", "state", "gradient", "memory", "unsendable")
        assert reply["error"]["kind"] in kinds
        assert all(type(text) is str and len(text) <= 20_000 for text in reply["error"].values())
        return
    names = {"value"}
    if "wrt" in request or request.get("parameters"):
        names |= {"gradients"}
        assert all(g is None or isinstance(g, Tensor) for g in reply["gradients"])
    if request.get("parameters"):
        names |= {"parameter_gradients"}
        assert all(
            isinstance(n, str) and isinstance(g, Tensor | None)
            for n, g in reply["parameter_gradients"].items()
        )
    if request.get("after"):
        names |= {"after"}
        assert len(reply["after"]) == len(request["args"])
    if request["op"] == "new":
        assert all(type(n) is int and n >= 0 for shape in reply["value"].values() for n in shape)
    assert names <= reply.keys() <= names | {"printed"}


def check_cells(results: Sequence[Any]) -> None:
    """What `Guest.run` gives can be written into a notebook."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": "", "metadata": {}, **result}
        for i, result in enumerate(results)
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    nbformat.validate(json.loads(json.dumps(notebook, allow_nan=False)))


# Targets: each takes any bytes, and returns


def decode(data: bytes) -> None:
    """One value."""
    decoded(data)


def replies(data: bytes) -> None:
    """A stream of replies to `REQUESTS` as turned by the first byte, in pieces as long as the second."""
    turn, step, stream = data[0] if data else 0, 1 + data[1] if data[1:] else 1, data[2:]
    requests = [REQUESTS[(turn + i) % len(REQUESTS)] for i in range(len(REQUESTS))]
    guest = _guest([stream[i : i + step] for i in range(0, len(stream), step)])
    answered: list[Any] = []
    with frugal(len(data)), suppress(EOFError, wire.WireError):
        while True:
            guest._read(answered, lambda value, i: _reply(value, requests[i]), 0, len(requests))
    for reply, request in zip(answered, requests, strict=False):
        check_reply(reply, request)


def cells(data: bytes) -> None:
    """The results of a notebook's cells, as a list."""
    try:
        value = wire.decode(data, LIMITS)
    except wire.WireError:
        return
    results = value if isinstance(value, list) else [value]
    guest = _guest([])
    guest._exchange = lambda _, count, take, *rest: [take(v, i) for i, v in enumerate(results)]  # type: ignore
    with suppress(wire.WireError):
        guest.run([])
    check_cells(guest._cells)


TARGETS: dict[str, Callable[[bytes], None]] = {f.__name__: f for f in (decode, replies, cells)}


def _guest(pieces: list[bytes]) -> Guest:
    """The judge's side of a guest that says these pieces and closes its end."""

    class Socket:
        left = iter(pieces)

        def recv(self, size: int) -> bytes:
            return next(self.left, b"")

    guest = object.__new__(Guest)
    guest._socket = Socket()  # type: ignore[assignment]
    guest._reading = 0.0
    guest._frames, guest._decoder = wire.Frames(wire.from_guest(_GUEST.frame_bytes)), _decoder(_GUEST)
    guest._cells, guest.limits = [], _GUEST
    return guest


# Running them


_NOTEBOOK = """
import sys, torch
import matplotlib.pyplot as plt
from IPython.display import display, HTML
from torch import nn
def f(x, y=None):
    print("called")
    empty = torch.ones(2, 0, dtype=torch.bfloat16)
    return {"x": [x, (True, None, 2**70, "é", b"b", 1j)], ("a", 1): torch.arange(3), 7: [empty, empty.dtype]}
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.w, self.unused = (nn.Parameter(torch.ones(2, dtype=torch.float64)) for _ in range(2))
    def forward(self, x): return (self.w * x).sum()
---
print("out"); print("err", file=sys.stderr); display(HTML("<b>x</b>"))
shown = display({"application/json": {"a": [1, 2.5, None, True]}}, raw=True, display_id="d")
torch.arange(3)
---
shown.update({"text/plain": "other"}, raw=True)
1 / 0
"""


def traffic(zygote: Zygote) -> dict[str, list[bytes]]:
    """For each target, what a real guest sends."""
    heard: list[bytes] = []

    class Recording(wire.Frames):
        def next(self) -> tuple[int, bytearray] | None:
            if frame := super().next():
                heard.append(bytes(frame[1]))
            return frame

    with zygote.guest() as guest:
        guest._frames = Recording(wire.from_guest(guest.limits.frame_bytes))
        guest.run([{"source": source, "id": ""} for source in _NOTEBOOK.split("---\n")])
        ran = heard.copy()
        x = torch.ones((), dtype=torch.float64)
        more: list[Request] = [{"args": [x]}, {}, {"args": [x], "cotangents": [x]}, {"args": [x, x]}, {}]
        requests = [{**request, **other} for request, other in zip(REQUESTS, more, strict=True)]
        guest.perform([*requests, {"op": "call", "name": "missing", "args": []}])
    called = heard[len(ran) :]
    asked = wire.encode([*requests, Probe("TimeModel", {"a": 0.5}), Generator(7)])
    results = [wire.decode(payload) for payload in ran]
    single = [{**result, "outputs": [o]} for result in results for o in result["outputs"]]
    return {
        "decode": [*ran, *called, asked],
        "replies": [
            b"\0\x40" + b"".join(wire.frame(i, p) for i, p in enumerate(called[:-1])),
            *(bytes((i, 255)) + wire.frame(0, p) for i, p in enumerate(called[:-1])),
            *(bytes((i, 6)) + wire.frame(0, called[-1]) for i in range(len(REQUESTS))),
        ],
        "cells": [*ran, wire.encode(results), *map(wire.encode, single)],
    }


_CHILD = """
import sys, atheris
with atheris.instrument_imports(include=["autograder.wire", "autograder.guests"]):
    import fuzz_wire
fuzz_wire.fuzz(atheris, *sys.argv)
"""


def fuzz(atheris: Any, program: str, target: str, *flags: str) -> None:
    """Runs in a process of its own: never returns."""
    tracemalloc.start()
    atheris.Setup([program, *flags], TARGETS[target])
    atheris.Fuzz()


class Found(Exception):
    """An input that breaks a target, in hex, and how."""


def run(target: str, seconds: int, seeds: Sequence[bytes]) -> str:
    """Fuzz one target; returns the last thing that the fuzzer says of its progress.

    Raises:
        Found: an input on which the target raises, runs for more than ten seconds or takes 2 GiB.
    """
    here = Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as folder:
        corpus, found = Path(folder, "corpus"), Path(folder, "found")
        for made in (corpus, found):
            made.mkdir()
        for i, seed in enumerate(seeds):
            (corpus / str(i)).write_bytes(seed)
        flags = f"-max_total_time={seconds} -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1"
        # A shell between: a process that we start ourselves counts our own largest memory as its own.
        fuzzer = [
            sys.executable,
            "-c",
            _CHILD,
            target,
            *flags.split(),
            f"-artifact_prefix={found}/",
            str(corpus),
        ]
        child = subprocess.run(
            ["sh", "-c", '"$@"; exit $?', "sh", *fuzzer],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + 300,
        )
        inputs = [f"{path.name}: bytes.fromhex('{path.read_bytes().hex()}')" for path in found.iterdir()]
    if child.returncode or inputs:
        raise Found("\n".join([f"{target} breaks on", *inputs, child.stdout[-4000:]]))
    return child.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help="all unless named")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    options = parser.parse_args()
    with Zygote() as zygote:
        seeds = traffic(zygote)
    for target in options.target or TARGETS:
        print(target, *run(target, options.seconds, seeds[target]).splitlines()[-8:], sep="\n  ")


if __name__ == "__main__":
    main()
