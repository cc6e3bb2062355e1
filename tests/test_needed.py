"""Judging without the lesson's cells: what is left out, what stays, and marks that don't depend on it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder.cli import main
from autograder.grading import Execute, bench, grade_submission
from autograder.guests import Zygote
from autograder.needed import cut
from autograder.results import Report
from autograder.submissions import read_submission
from tests.small_course import HALF, SQUARED, SUMMED, WEEK, notebook

F = "def f(x):\n    return x + 1"
USES_G = "def f(x):\n    return g(x)"


@pytest.mark.parametrize(
    ("cells", "kept"),
    [
        ([F, "f(1)"], [F, ""]),
        ([f"{F}\nprint(f(1))\nprint(f(2))  # and so on"], [F]),
        (["a = 1; b = 2; c = 3", "def f(x, y=a):\n    return y + b"], ["a = 1; b = 2", None]),
        (["ä = 1; ö = 2; ü = 3", "def f(x):\n    return x + ö"], ["ä = 1; ö = 2", None]),
        (["import torch", "import math", "def f(x):\n    return math.exp(x)"], ["", None, None]),
        (["import math", "def g(x):\n    return math.exp(x)", "h = 2", USES_G], [None, None, "", None]),
        (["x = 3", F, "for x in range(3):\n    f(x)"], ["", None, ""]),
        (["class f:\n    def __init__(self, x):\n        self.x = x", "f(3).x"], [None, ""]),
        (
            [
                "import torch\n%matplotlib inline\n!pip install x\ny = 1",
                "def f(x):\n    return torch.exp(x)",
                "f?",
            ],
            [None, None, ""],
        ),
        ([F, "%%time\nfor i in range(3):\n    f(i)"], [None, ""]),
        (["import torch", F, "torch.manual_seed(0)\nx = torch.rand(3)"], ["", None, ""]),
        (["import torch", F, "p = torch.zeros(2)\np.requires_grad = True\np[0] = f(1)"], ["", None, ""]),
    ],
)
def test_what_nothing_graded_needs_is_left_out(cells: list[str], kept: list[str | None]) -> None:
    """None: the cell as it is."""
    assert cut(cells, ["f"]) == [c if k is None else k for c, k in zip(cells, kept, strict=True)]


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param([F, "f = 3"], id="bound again"),
        pytest.param([F, "for f in ():\n    pass"], id="bound by a loop"),
        pytest.param([F, "del f"], id="deleted"),
        pytest.param([F, "def g():\n    global f\n    f = 3", "g()"], id="bound in a function"),
        pytest.param(["def f(x):\n    return sum(x)", "sum = 0"], id="a built-in function's name"),
        pytest.param(["print(1)\n1 / 0\n" + F], id="what may raise above it"),
        pytest.param(["x = g()", f"assert x\n{F}"], id="what that depends on"),
        pytest.param(["g = []", f"print(len(h()))\n{F}"], id="what that may depend on"),
        pytest.param(["a = [1]", "def f(x):\n    return a", "a.append(2)"], id="a list"),
        pytest.param(["a = [1]", "def f(x):\n    return a", "b = a", "b[0] = 2"], id="a list's other name"),
        pytest.param(["def f(x, a=[]):\n    return a", "f(1)"], id="a default that remembers"),
        pytest.param(["class f:\n    a = []", "f.a.append(1)"], id="a class that remembers"),
        pytest.param([USES_G, "def g(x):\n    g.n = x", "g(2)"], id="a function that remembers"),
        pytest.param(["import functools", "@functools.cache\n" + F, "f(1)"], id="a decorator that remembers"),
        pytest.param(
            ["import torch", "torch.rand(3)", "a = torch.rand(3)", "def f(x):\n    return a"], id="draws"
        ),
        pytest.param(["import torch", F, "torch.set_default_dtype(torch.float64)"], id="torch's settings"),
        pytest.param(["from torch import set_default_dtype as s", "s(3)", F], id="a setting's other name"),
        pytest.param(["import torch", F, "g = torch.nn", "g.functional.relu = 3"], id="a module patched"),
        pytest.param(["import torch", F, "def g():\n    torch.exp = 3", "g()"], id="patched in a function"),
        pytest.param([F, "import os", "os.environ['A'] = '1'"], id="other modules"),
        pytest.param([F, "from math import *"], id="everything imported"),
        pytest.param(["from __future__ import annotations", F], id="the future"),
        pytest.param([f"if True:\n    {F.replace(chr(10), chr(10) + '    ')}"], id="a condition"),
    ],
)
def test_what_may_change_an_answer_stays(cells: list[str]) -> None:
    assert cut(cells, ["f"]) == cells


@pytest.mark.parametrize(
    "cells",
    [
        ["g = 1"],  # no f
        [F, "globals()['f'] = 3"],
        [F, "exec('f = 3')"],
        [F, "import torch\nt = torch"],
        [F, "f.__globals__['f'] = 3"],
        [F, "%reset -f"],
        [F, "%%javascript\nalert(1)"],
        [F, "In[1]: f = 3"],  # which IPython takes for its own prompt
        [F, "print(_)"],
        [F, "this is no Python"],
        [F, "x = " + "(" * 5000],
        [F, "x = 1\0"],
        [F, "return 3"],
        [F, "x = 1;" * 3000],
    ],
)
def test_what_the_text_does_not_tell_is_not_cut(cells: list[str]) -> None:
    assert cut(cells, ["f"]) is None


# Marks


def _grade(cells: list[str], small: Path, zygote: Zygote, folder: Path, execute: Execute) -> Report:
    path = folder / f"{WEEK}.ipynb"
    path.write_text(notebook(*cells))
    report = grade_submission(bench(small, WEEK), read_submission(path, WEEK), zygote, execute=execute)
    assert report.status == "graded"
    return report


LESSON = "losses = [squared_error(torch.ones(3), torch.zeros(3)) for _ in range(9)]"


def test_a_lesson_is_left_out_and_the_report_says_so(
    small: Path, clean_zygote: Zygote, tmp_path: Path
) -> None:
    cells = [SQUARED, HALF, LESSON + "\nraise RuntimeError('a late lesson')"]
    needed, all_ = (_grade(cells, small, clean_zygote, tmp_path, how) for how in ("needed", "all"))
    assert (needed.executed, needed.score, needed.cells) == ("needed", needed.max_score, [])
    assert (all_.executed, all_.score, [c.name for c in all_.cells]) == (
        "all",
        all_.max_score,
        ["RuntimeError"],
    )


def test_where_points_are_lost_all_is_run_and_told(small: Path, clean_zygote: Zygote, tmp_path: Path) -> None:
    cells = [SUMMED, HALF, "raise RuntimeError('a late lesson')"]
    needed, all_ = (_grade(cells, small, clean_zygote, tmp_path, how) for how in ("needed", "all"))
    assert needed.executed == "all" and needed.score < needed.max_score
    needed.times = all_.times
    assert needed == all_


def test_a_right_answer_that_hangs_on_what_was_left_out_keeps_its_points(
    small: Path, clean_zygote: Zygote, tmp_path: Path
) -> None:
    odd = "import matplotlib.pyplot as plt\ndef half_error(x, y):\n"
    odd += "    return squared_error(x, y) / plt.rcParams['figure.dpi']"
    cells = [SQUARED, odd, "plt.rcParams['figure.dpi'] = 2"]
    assert cut(cells, ["squared_error", "half_error"]) == [SQUARED.rstrip(), odd, ""]
    report = _grade(cells, small, clean_zygote, tmp_path, "needed")
    assert (report.executed, report.score) == ("all", report.max_score)


def test_errors_in_what_is_run_lead_to_all(small: Path, clean_zygote: Zygote, tmp_path: Path) -> None:
    """Had `squared_error` been the second one, it would be wrong."""
    cells = [SQUARED + HALF, "1 / 0\n" + SUMMED, LESSON]
    report = _grade(cells, small, clean_zygote, tmp_path, "needed")
    assert (report.executed, [c.name for c in report.cells]) == ("all", ["ZeroDivisionError"])
    assert report.score == report.max_score


PIECES = [
    "import torch",
    SQUARED.strip(),
    SQUARED.strip(),
    SUMMED.strip(),
    HALF.strip(),
    HALF.strip(),
    "def half_error(x, y):\n    return squared_error(x, y) * SCALE",
    "def half_error(x, y):\n    return squared_error(x, y) * SCALES[0]",
    "def squared_error(x, y):\n    return sum((x - y) ** 2) / len(x)",
    "def squared_error(x, y, *, seen=[]):\n    seen.append(x)\n"
    "    return ((x - y) ** 2).mean() + (len(seen) > 1000)",
    "def squared_error(x, y):\n    return torch.square(x - y).mean() * (1 if chance < 0.5 else 2)",
    "squared_error = lambda x, y: torch.nn.functional.mse_loss(x, y)",
    "SCALE = 0.5",
    "SCALE = 0.25",
    "SCALE *= 2",
    "SCALES = [0.5]",
    "SCALES[0] = 1",
    "SCALES.insert(0, 0.5)",
    "other = SCALES\nother[0] = 0.5",
    "chance = torch.rand(())",
    "torch.rand(3)",
    "torch.manual_seed(1)",
    "torch.set_default_dtype(torch.float64)",
    "torch.square = torch.exp",
    "def patch():\n    torch.Tensor.mean = torch.Tensor.sum",
    "patch()",
    "def rescale():\n    global SCALE\n    SCALE = 1",
    "rescale()",
    "for sum in range(2):\n    pass",
    "del half_error",
    "squared_error, former = half_error, squared_error",
    "former = squared_error",
    "squared_error = former",
    "try:\n    squared_error = unknown\nexcept NameError as error:\n    pass",
    "raise RuntimeError",
    "assert torch.rand(()) < 0.5",
    "1 / 0",
    LESSON,
    LESSON,
    "with torch.no_grad():\n    error = half_error(torch.ones(2), torch.zeros(2))",
    "for step in range(1002):\n    squared_error(torch.ones(1), torch.ones(1))",
    "%matplotlib inline",
    "!pip install torch",
    "print(squared_error)",
]


def random_notebook(seed: int) -> list[str]:
    """A few pieces in random order: most are wrong, some right, and a few right by luck."""
    chance = random.Random(seed)
    pieces = chance.sample(PIECES, chance.randint(2, 6))
    if chance.random() < 0.7:
        pieces = ["import torch", SQUARED.strip(), HALF.strip(), *pieces]
    cells = [""]
    for piece in pieces:
        cells += [piece] if chance.random() < 0.6 else [f"{cells.pop()}\n{piece}"]
    return [cell.strip("\n") for cell in cells if cell.strip()]


def test_marks_are_those_of_the_whole_notebook(small: Path, clean_zygote: Zygote, tmp_path: Path) -> None:
    """Where points are lost everything has been run; full marks without it must be full marks with it."""
    seen = {"needed": 0, "all": 0}
    for seed in range(40):
        cells = random_notebook(seed)
        report = _grade(cells, small, clean_zygote, tmp_path, "needed")
        seen[report.executed] += 1
        if report.executed == "needed":
            whole = _grade(cells, small, clean_zygote, tmp_path, "all")
            assert whole.score == report.score == report.max_score, "\n# %%\n".join(cells)
    assert min(seen.values()) > 5


@pytest.mark.parametrize("execute", ["needed", "all"])
def test_the_command_line_says_which(execute: Execute, small: Path, tmp_path: Path) -> None:
    (tmp_path / "ada.ipynb").write_text(notebook(SQUARED, HALF, LESSON))
    out = tmp_path / "reports"
    arguments = ["grade", WEEK, str(tmp_path / "ada.ipynb"), "--out", str(out), "--execute", execute]
    result = CliRunner().invoke(main, [*arguments, "--course", str(small)])
    assert result.exit_code == 0, result.output
    assert Report.load(out / "ada.json").executed == execute
