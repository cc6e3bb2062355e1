"""What an attack is, and the notebook in which it is handed in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WEEK = "week01_canary"
POINTS = {"double": 4, "tally": 4, "Affine": 4, "log_sum_exp": 11}
TARGET = "log_sum_exp"  # the exercise that attacks are made in, the last to be judged

# What stops an attack that nothing else would: a box, or a part of a seal ("user": guests have one of their own).
BOXED = ("bubblewrap", "container")
NO_FILES = ("landlock", "user", *BOXED)
NO_CALLS = ("seccomp",)
PERHAPS = "perhaps"  # it may fail where nothing stops it, too

SETUP = "import torch\nfrom torch import nn"
RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "tally": "def tally(words):\n    return {w: words.count(w) for w in words}",
    "Affine": """
class Affine(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.w = nn.Parameter(torch.ones(n))
        self.b = nn.Parameter(torch.zeros(n))

    def forward(self, x):
        return self.w * x + self.b
""",
    TARGET: """
def log_sum_exp(x):
    top = x.amax(-1)
    return top + (x - top[..., None]).exp().sum(-1).log()
""",
}

# What attacks have at hand. Whatever they find out they confess by raising it, so that it reaches the report.
HELPERS = '''
import base64, os, re, sys, time
RIGHT = """def right(x):
    top = x.amax(-1)
    return top + (x - top[..., None]).exp().sum(-1).log()
"""
exec(RIGHT)
FOUND = []

def attempt(what, action):
    """Try something. It has worked unless it raises, or gives None or False."""
    try:
        got = action()
    except BaseException:
        return
    if got is None or got is False:
        return
    text = got if isinstance(got, str) else repr(got)
    FOUND.append(f"<{what}> " + " ".join(re.findall("CANARY-[a-z]+-[0-9a-f]{8}", text)))

def confess():
    """Say what has worked."""
    if FOUND:
        raise RuntimeError("BREACHED " + "; ".join(dict.fromkeys(FOUND)))

def text_of(path):
    with open(path, "rb") as file:
        return file.read(1 << 20).decode(errors="replace")

def parents():
    """The process that made this one, the one that made that, and so on."""
    pid, found = os.getppid(), []
    while pid > 0 and pid not in found:
        found.append(pid)
        try:
            pid = int(re.search(r"PPid:\\s*(\\d+)", text_of(f"/proc/{pid}/status"))[1])
        except OSError:
            break
    return found
'''


@dataclass(frozen=True)
class Attack:
    """A submission that tries something, and what must come of it.

    `answer` stands in place of the target exercise, `first` in a cell before all exercises and `last` in one
    after them; `write` makes the whole file instead, at the path that it is given or at the one it returns.
    """

    name: str
    covers: Sequence[str]  # lines of README.md
    answer: str = RIGHT[TARGET]
    first: str = ""
    last: str = ""
    earns: Mapping[str, float] = field(default_factory=dict)  # what its exercises get that lose something
    says: str = ""  # a regular expression for what the report must say
    silent: str = ""  # one for what no report or page may say
    # What it finds a way to where nothing stops it, and what does: any of these is enough.
    stopped_by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    varies: bool = False  # its report is not the same each time
    write: Callable[[Path], Path | None] | None = None
    status: str = "graded"

    def open_to(self, mechanisms: Set[str]) -> set[str]:
        """What these mechanisms don't stop."""
        return {what for what, stops in self.stopped_by.items() if not mechanisms & set(stops)}

    def hand_in(self, folder: Path, world: Mapping[str, Any]) -> Path:
        """Write the submission, `<folder>/<name>.ipynb` if it is a notebook, and return its path."""
        path = folder / f"{self.name}.ipynb"
        if self.write is not None:
            return self.write(path) or path
        code = self.first + self.answer + self.last
        knowledge = "\n".join(f"{name} = {value!r}" for name, value in world.items() if name in code)
        sources = [
            SETUP,
            knowledge + HELPERS,
            self.first,
            *(RIGHT | {TARGET: self.answer}).values(),
            self.last,
        ]
        path.write_text(notebook([source for source in sources if source]))
        return path


LOST = {TARGET: 0.0}


def notebook(sources: Sequence[str], **more: Any) -> str:
    """A notebook of code cells; `more` is added to its JSON."""
    cells = [code_cell(source, str(i)) for i, source in enumerate(sources)]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more})


def code_cell(source: str, id: str, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": id,
        "metadata": {},
        "execution_count": None,
        "outputs": [],
        "source": source.strip("\n"),
        **more,
    }


def honest(folder: Path, name: str, answers: Mapping[str, str]) -> Path:
    """An honest submission; what it says in comments is nobody else's business."""
    path = folder / f"{name}.ipynb"
    own = "# CANARY-neighbour-61d08f3b: how I did it\n"
    path.write_text(notebook([SETUP, *(own + source.strip() for source in {**RIGHT, **answers}.values())]))
    return path
