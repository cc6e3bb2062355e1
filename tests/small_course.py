"""A course of one week, small enough to be drawn and judged in a second or two."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from autograder.grading import bench, grade_submission
from autograder.guests import Zygote
from autograder.submissions import read_submission

WEEK = "week01_errors"

FILES = {
    "course.toml": 'title = "Small"\nseed = "00112233445566778899aabbccddeeff"\n',
    # Its own name: tests have this repository's reference_impl already.
    "small_references.py": '''
from jaxtyping import Float
from torch import Tensor


def squared_error(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """The mean of (x - y)^2."""
    d = x - y
    return (d * d).mean()


def half_error(x: Float[Tensor, "n"], y: Float[Tensor, "n"]) -> Float[Tensor, ""]:
    """Half the squared error."""
    return squared_error(x, y) / 2
''',
    f"assignments/{WEEK}/assignment.py": """
from autograder.author import Assignment, exercise
from small_references import half_error, squared_error

FEW = {"published": 4, "agrees": 8, "precision": 4, "pure": 2}
assignment = Assignment(
    title="Errors",
    exercises=[
        exercise(squared_error, examples=FEW),
        exercise(half_error, uses=["squared_error"], examples=FEW),
    ],
)
""",
    f"assignments/{WEEK}/lesson.md": """
# Errors

{{ exercise("squared_error") }}

{{ exercise("half_error") }}
""",
    f"assignments/{WEEK}/public_checks.py": '''
from autograder.author import check, close


@check("squared_error", examples=4)
def is_four_two_apart(squared_error, x):
    """Vectors that differ by 2 everywhere have the squared error 4."""
    close(squared_error(0 * x + 3, 0 * x + 1), 0 * x[0] + 4)
''',
    f"assignments/{WEEK}/hidden_checks.py": '''
from autograder.author import check, close


@check("squared_error", examples=4)
def is_symmetric(squared_error, x, y):
    """Which of the two is the target does not matter."""
    close(squared_error(x, y), squared_error(y, x))


@check("half_error", examples=4)
def vanishes_at_the_target(half_error, x):
    """Of a vector and itself it is zero."""
    close(half_error(x, x), 0 * x[0])
''',
    f"solutions/{WEEK}/accepted.py": '''
"""Other right ways to write the answers."""

import torch

from autograder.author import accepted


@accepted("squared_error")
def by_torch(x, y):
    return torch.nn.functional.mse_loss(x, y)
''',
    f"solutions/{WEEK}/mistakes.py": """
from autograder.author import mistake


@mistake("squared_error", "You add the squares up; the squared error is their mean.")
def sum_of_squares(x, y):
    return (x - y).square().sum()


@mistake("squared_error", "You take absolute values; they have to be squared.")
def absolute_error(x, y):
    return (x - y).abs().mean()


@mistake("squared_error", "You multiply the difference by x; it is multiplied by itself.")
def lopsided(x, y):
    return ((x - y) * x).mean()


@mistake("half_error", "You forget to halve.")
def whole_error(x, y):
    return (x - y).square().mean()
""",
}

SQUARED = "import torch\n\ndef squared_error(x, y):\n    return ((x - y) ** 2).mean()\n"
HALF = "\ndef half_error(x, y):\n    return squared_error(x, y) / 2\n"
SUMMED = SQUARED.replace(".mean()", ".sum()")
# Right, with more rounding than its tolerances allow as long as it is no known answer.
ROUNDABOUT = """
import torch
from torch import stack

OFFSET = 50.0
OFFSET += 50

def moved(x):
    \"\"\"Written by a person with a name.\"\"\"
    return x + OFFSET  # a remark

def squared_error(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    d = moved(x) - moved(y)
    return (d * d).mean()
"""
CLASS = {"ada": SQUARED + HALF, "bob": SUMMED + HALF, "cleo": ROUNDABOUT + HALF, "dan": f"# %%\n{ROUNDABOUT}"}


def write(folder: Path) -> Path:
    """Write the course into a folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"), encoding="utf-8")
    return folder


def notebook(*cells: str) -> str:
    """A notebook of code cells, as JSON."""
    made = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "source": source, "outputs": []}
        for i, source in enumerate(cells)
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def grade(course: Path, folder: Path, zygote: Zygote) -> Path:
    """Hand in the class below a folder, and grade it: the folder of the reports."""
    (folder / "submitted").mkdir()
    (folder / "reports").mkdir()
    for student, answer in CLASS.items():
        path = folder / "submitted" / f"{student}.py"
        path.write_text(answer)
        report = grade_submission(bench(course, WEEK), read_submission(path, WEEK), zygote)
        (folder / "reports" / f"{student}.json").write_text(report.to_json())
    return folder / "reports"


def documented(page: Path) -> list[list[str]]:
    """The commands of a page, as words, with this course's names in the place of week 7's."""
    found = commands(page)
    for name, own in {"week07_vae": WEEK, "elbo": "squared_error"}.items():
        found = [line.replace(name, own) for line in found]
    return [shlex.split(line) for line in found]


def commands(page: Path) -> list[str]:
    """The commands of a page's blocks of bash, without remarks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    lines = [line.partition("  # ")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
