"""How long a guest takes: from fork to answer to clean-up, per call, and how large zygote and guest are.

python benchmarks/guest.py [ROUNDS]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from autograder import wire
from autograder.guests import Zygote

CELL = {"source": "def double(x): return 2 * x", "id": "a"}
CALL = {"op": "call", "name": "double", "args": [torch.ones(3, 4)]}


def timed(action: Callable[[], object], rounds: int) -> list[float]:
    """The seconds that each of `rounds` repetitions takes."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return seconds


def mapped(pid: int) -> tuple[float, float]:
    """Address space and resident memory of a process, in MiB."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return int(pages[0]) / 256, int(pages[1]) / 256


def main(rounds: int) -> None:
    table = Table("what", "median", "90 %", "fastest", title=f"{rounds} rounds")

    def row(what: str, seconds: list[float], per: int = 1) -> None:
        values = (statistics.median(seconds), statistics.quantiles(seconds, n=10)[8], min(seconds))
        table.add_row(what, *(f"{1e3 * v / per:.3f} ms" for v in values))

    start = time.perf_counter()
    with Zygote() as zygote:
        started = time.perf_counter() - start

        def first_answer() -> None:
            with zygote.guest() as guest:
                guest.perform([])

        def notebook_and_call() -> None:
            with zygote.guest() as guest:
                guest.run([CELL])
                guest.perform([CALL])

        timed(notebook_and_call, 3)
        row("fork, seal, greet, end, clean up", timed(first_answer, rounds))
        row("the same with a cell and a call", timed(notebook_and_call, rounds))
        with zygote.guest() as guest:
            guest.run([CELL])
            row("one call", timed(lambda: guest.perform([CALL]), rounds))
            row("one of 64 calls in a frame", timed(lambda: guest.perform([CALL] * 64), rounds), per=64)
            sizes = {"zygote": mapped(zygote._process.pid), "guest": mapped(guest.pid)}
    data = wire.encode(CALL["args"][0])
    row("encode a 3 x 4 tensor", timed(lambda: wire.encode(CALL["args"][0]), 1000))
    row("decode it", timed(lambda: wire.decode(data), 1000))
    console = Console()
    console.print(table)
    console.print(f"zygote started in {started:.1f} s, confined by {zygote.level}")
    for name, (space, resident) in sizes.items():
        console.print(f"{name}: {space:.0f} MiB of addresses, {resident:.0f} MiB resident")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
