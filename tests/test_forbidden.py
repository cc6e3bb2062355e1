"""Forbidden functions are found where they are used, under whatever name, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograder import bundle
from autograder.bundle import Published
from autograder.course import Course, Week
from autograder.exercises import Exercise, exercise
from autograder.forbidden import Use, parsed, uses
from autograder.judge import Bench
from autograder.qualify import _forbidden
from autograder.results import ExerciseResult
from autograder.student import Check

FORBIDDEN = [
    "torch.logsumexp",
    "torch.Tensor.logsumexp",
    "torch.nn.functional.layer_norm",
    "torch.distributions",
]


def _found(*cells: str) -> list[str]:
    return sorted({use.name for use in uses(cells, "f", FORBIDDEN)})


@pytest.mark.parametrize(
    "cells",
    [
        ["import torch\ndef f(x):\n    return torch.logsumexp(x, -1)"],
        ["import torch as t", "def f(x):\n    return t.logsumexp(x, -1)"],
        ["from torch import logsumexp", "def f(x):\n    return logsumexp(x, -1)"],
        ["from torch import logsumexp as sum_", "def f(x):\n    return sum_(x, -1)"],
        ["from torch import logsumexp as f"],
        ["from torch import *", "def f(x):\n    return logsumexp(x, -1)"],
        ["def f(x):\n    import torch\n    return torch.logsumexp(x, -1)"],
        ["def f(x):\n    from torch import logsumexp as g\n    return g(x, -1)"],
        ["import torch\nf = torch.logsumexp"],
        ["import torch\nf = lambda x: torch.logsumexp(x, -1)"],
        ["import functools, torch\nf = functools.partial(torch.logsumexp, dim=-1)"],
        ["import torch\ng = torch.logsumexp", "def f(x):\n    return g(x, -1)"],
        ["import torch\ndef f(x):\n    g = torch.logsumexp\n    return g(x, -1)"],
        ["import torch\ndef f(x):\n    return getattr(torch, 'logsumexp')(x, -1)"],
        ["import torch\ndef g(x):\n    return torch.logsumexp(x, -1)", "def f(x):\n    return g(x)"],
        ["import torch\nclass f:\n    def go(self, x):\n        return torch.logsumexp(x, -1)"],
        ["import torch\n@torch.no_grad()\ndef f(x):\n    return [torch.logsumexp(r, -1) for r in x]"],
        [
            "import torch\ntry:\n    from torch import logsumexp as g\nexcept ImportError:\n    pass",
            "def f(x): return g(x)",
        ],
        ["%%time\nimport torch\ndef f(x): return torch.logsumexp(x, -1)"],
        ["%matplotlib inline\nimport torch\n!ls\nfiles = !ls\ndef f(x): return torch.logsumexp(x, -1)\nf?"],
    ],
)
def test_it_is_found_under_any_name(cells: list[str]) -> None:
    assert _found(*cells) == ["torch.logsumexp"]


@pytest.mark.parametrize(
    ("cells", "name"),
    [
        (["def f(x):\n    return x.logsumexp(-1)"], "torch.Tensor.logsumexp"),
        (["def f(x):\n    return (x + 1).exp().logsumexp(-1)"], "torch.Tensor.logsumexp"),
        (["import torch\nf = torch.Tensor.logsumexp"], "torch.Tensor.logsumexp"),
        (["import torch.nn.functional as F\ndef f(x): return F.layer_norm(x, x.shape)"], FORBIDDEN[2]),
        (["from torch.nn import functional as F\ndef f(x): return F.layer_norm(x, x.shape)"], FORBIDDEN[2]),
        (
            ["import torch.nn.functional\ndef f(x): return torch.nn.functional.layer_norm(x, (2,))"],
            FORBIDDEN[2],
        ),
        (["from torch import nn\ndef f(x): return nn.functional.layer_norm(x, (2,))"], FORBIDDEN[2]),
        (["import torch.distributions as D\ndef f(x): return D.Normal(0, x)"], "torch.distributions"),
        (
            ["from torch.distributions.normal import Normal\ndef f(x): return Normal(0, x)"],
            "torch.distributions",
        ),
    ],
)
def test_methods_and_modules_are_found(cells: list[str], name: str) -> None:
    assert _found(*cells) == [name]


@pytest.mark.parametrize(
    "cells",
    [
        ["import torch\ndef f(x):\n    # torch.logsumexp would do it\n    return x.exp().sum(-1).log()"],
        ["import torch\ndef f(x):\n    'Like torch.logsumexp(x, -1).'\n    return 'torch.logsumexp'"],
        ["def logsumexp(x):\n    return x.exp().sum(-1).log()", "def f(x):\n    return logsumexp(x)"],
        ["from torch import logsumexp", "def logsumexp(x): return x", "def f(x):\n    return logsumexp(x)"],
        ["import torch\nprint(torch.logsumexp(torch.zeros(2), -1))", "def f(x): return x"],
        [
            "import torch\ndef g(x): return torch.logsumexp(x, -1)",
            "def f(x): return x",
            "assert g(1) == f(1)",
        ],
        ["import torch\ndef f(x): return torch.logsumexp(x, -1)", "def f(x): return x"],
        ["class Mine:\n    def logsumexp(self): return 1", "def f(x):\n    return Mine().logsumexp()"],
        ["import mine as torch\ndef f(x): return torch.logsumexp(x, -1)"],
        ["import torch\ndef f(x, torch): return torch.sum(x)"],
        ["import torch\ndef f(x):\n    logsumexp = x.exp()\n    return logsumexp.sum()"],
        ["import torch.nn.functional as F\ndef f(layer_norm): return F.softmax(layer_norm, -1)"],
        ["import torch\ndef f(x): return torch.logsumexp_of_mine(x)"],
        ["def f(x:", "this is no Python"],
        [],
    ],
)
def test_other_uses_of_the_word_are_none(cells: list[str]) -> None:
    assert _found(*cells) == []


def test_where_it_stands() -> None:
    cells = [
        "import torch",
        "def g(x):\n\n    return torch.logsumexp(x, 0)",
        "def f(x):\n    return g(x) + g(x)",
    ]
    assert uses(cells, "f", FORBIDDEN) == [Use("torch.logsumexp", 2, 3)]


@pytest.mark.parametrize(
    "source",
    [
        "-" * 50_000 + "1",
        "(" * 50_000,
        "x = 1" + "+1" * 40_000,
        "def f(x): return x" + ".a" * 40_000,
        "def f(x): return (" + ", ".join(["x" + ".a" * 900] * 50) + ")",
        "def f(x):\n" + "\n".join(f"    a{i} = a{i + 1}.x\n    a{i} = a{i + 1}.y" for i in range(1000)),
        "def f(x):\n" + "\n".join(f"    x = x.a{i}; x = y.a; y = x.b" for i in range(1000)),
        "\n".join(f"def f{i}(): return f{i + 1}() + f{i}()" for i in range(1000)) + "\nf = f0",
        "!" * 90_000,
        "%" * 90_000 + "\n" + "x?" * 9_000,
        "a." * 45_000 + "= !ls",
    ],
)
def test_no_text_is_too_much(source: str) -> None:
    """Some of these would take hours, or all memory, were every path followed."""
    assert uses([source] * 3, "f", FORBIDDEN) == []


def test_what_can_not_be_parsed_is_none() -> None:
    assert parsed("\ud800") is None and parsed("\0") is None and parsed("x" * 200_000) is None


# What comes of it: attacks/gaming.py has it graded; here are the other places.


def test_students_have_the_rule_in_their_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = Exercise(relu, forbids={"torch.relu": "binding", "torch.clamp": "advisory"})
    week = Week("week", Path(), "Week", [exercise], [], [], "", Path())
    monkeypatch.setattr("autograder.student.judge", lambda *_: ExerciseResult("relu", 1, 1, [], "passed"))
    check = Check("week", Published.__new__(Published))
    check._bench.week = week
    monkeypatch.setitem(globals(), "In", ["", "import torch", "def relu(x):\n    return torch.relu(x)"])
    (note,) = check(relu).result.notes
    assert note.startswith(
        "this exercise is to be solved without `torch.relu`, which line 2 of code cell 2 uses"
    )
    monkeypatch.setitem(globals(), "In", ["", "def relu(x):\n    return x * (x > 0)"])
    assert check(relu).result.notes == []


def relu(x: torch.Tensor) -> torch.Tensor:
    return torch.clamp(x, min=0)


def test_our_own_answers_may_not_use_what_costs_students_the_points() -> None:
    assert _forbidden(Exercise(relu, forbids={"torch.clamp": "binding"}), relu) == ["torch.clamp"]
    assert _forbidden(Exercise(relu, forbids={"torch.clamp": "advisory"}), relu) == []
    assert _forbidden(Exercise(relu, forbids={"torch.relu": "binding"}), relu) == []


def test_a_rule_is_advisory_or_binding() -> None:
    with pytest.raises(ValueError, match=r"'torch.relu' is 'maybe', not one of advisory, binding"):
        exercise(relu, forbids={"torch.relu": "maybe"})


def test_the_rule_goes_to_students_with_the_checks(course: Course, tmp_path: Path) -> None:
    ready = Bench(Course.load(course.root).week("week07_vae"))  # one of its own: it is changed here
    ready.week.exercises[:] = [
        replace(e, forbids={"torch.relu": "advisory"}) for e in ready.week.exercises[:1]
    ]
    ready.week.checks[:] = ready.week.checks_of(ready.week.exercises[0].name, ("public",))
    stubs = "import torch\ndef reparameterize(mu, logvar, eps):\n    raise NotImplementedError()\n"
    bundle.write(ready, stubs, tmp_path / "week.checks")
    published = Published.load(tmp_path / "week.checks")
    assert published.week.exercise("reparameterize").forbids == {"torch.relu": "advisory"}
