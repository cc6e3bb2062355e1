"""How long a guest takes, layer by layer of its confinement: from fork to answer to clean-up, and per call.

python benchmarks/guest.py [ROUNDS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from autograder import wire
from autograder.calls import LocalSession
from autograder.confinement import Level, levels
from autograder.guests import Zygote

CELL = {"source": "def double(x): return 2 * x", "id": "a"}
CALL = {"op": "call", "name": "double", "args": [torch.ones(3, 4)]}
BATCH = 64
LAYERS = {
    "a process with limits": Level("none", "none"),
    "and seccomp": Level("none", "none"),
    "and Landlock": Level("none", "landlock"),
    "and bubblewrap": Level("bubblewrap", "landlock"),
}


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


def zygotes() -> Iterator[tuple[str, Zygote]]:
    """A zygote for each layer that this machine has."""
    for layer, level in LAYERS.items():
        if levels.why_not(level):
            continue
        why = levels._why_no_seccomp
        levels._why_no_seccomp = (lambda: "left out") if layer == "a process with limits" else why
        zygote = Zygote(level=level)
        levels._why_no_seccomp = why
        yield layer, zygote


def main(rounds: int) -> None:
    table = Table("what", "median", "90 %", "fastest", title=f"{rounds} rounds")

    def row(what: str, seconds: list[float], per: int = 1) -> None:
        values = (statistics.median(seconds), statistics.quantiles(seconds, n=10)[8], min(seconds))
        table.add_row(what, *(f"{1e3 * v / per:.3f} ms" for v in values))

    with ExitStack() as stack:
        layers = {layer: stack.enter_context(zygote) for layer, zygote in zygotes()}
        begun: dict[str, list[float]] = {layer: [] for layer in layers}
        answered: dict[str, list[float]] = {layer: [] for layer in layers}

        def first_answer(zygote: Zygote) -> None:
            with zygote.guest() as guest:
                guest.perform([])

        def notebook_and_call(zygote: Zygote) -> None:
            with zygote.guest() as guest:
                guest.run([CELL])
                guest.perform([CALL])

        for _ in range(rounds):  # in turn, so that what else the machine does is shared
            for layer, zygote in layers.items():
                begun[layer] += timed(lambda z=zygote: first_answer(z), 1)
                answered[layer] += timed(lambda z=zygote: notebook_and_call(z), 1)
        for layer in layers:
            row(f"{layer}: fork, seal, greet, end, clean up", begun[layer])
            row(f"{layer}: the same with a cell and a call", answered[layer])
        zygote = layers[layer]
        with zygote.guest() as guest:
            guest.run([CELL])
            row("one call", timed(lambda: guest.perform([CALL]), rounds))
            here = LocalSession({"double": lambda x: 2 * x})
            batched: list[float] = []
            direct: list[float] = []
            cpu: list[float] = []
            for _ in range(rounds):
                clock = [time.process_time() + guest.cpu_seconds]
                batched += timed(lambda: guest.perform([CALL] * BATCH, held=True), 1)
                clock.append(time.process_time() + guest.cpu_seconds)
                direct += timed(lambda: [here.perform(CALL) for _ in range(BATCH)], 1)
                clock.append(time.process_time() + guest.cpu_seconds)
                cpu.append((clock[1] - clock[0] - (clock[2] - clock[1])) / BATCH)
            row(f"one of {BATCH} calls in a frame", batched, per=BATCH)
            row("the same call in this process", direct, per=BATCH)
            size = mapped(guest.pid)
            added = [1e6 * (a - b) / BATCH for a, b in zip(batched, direct, strict=True)]
    data = wire.encode(CALL["args"][0])
    row("encode a 3 x 4 tensor", timed(lambda: wire.encode(CALL["args"][0]), 1000))
    row("decode it", timed(lambda: wire.decode(data), 1000))
    console = Console()
    console.print(table)
    console.print(
        f"the pipe adds {statistics.median(added):.0f} microseconds to a call in a batch "
        f"({min(added):.0f} to {max(added):.0f}; target 30), {1e6 * statistics.mean(cpu):.0f} of CPU in both "
        f"processes; load {os.getloadavg()[0]:.1f}"
    )
    console.print(f"a guest has {size[0]:.0f} MiB of addresses, {size[1]:.0f} MiB resident")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
