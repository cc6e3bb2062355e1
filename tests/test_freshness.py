"""What check(...) says of a notebook that a fresh run would see otherwise, and that it says nothing else."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from autograder import freshness

ASK = "from autograder import freshness; found = freshness.notes('f', globals())"
HOUR = 3600


class Notebook:
    """Cells that are run in IPython as a front end sends them, with the cells' ids."""

    def __init__(self, shell: InteractiveShell, path: Path) -> None:
        self.shell, self.path = shell, path
        self.ids = True

    def run(self, **cells: str) -> None:
        for cell, source in cells.items():
            self.shell.run_cell(source, store_history=True, cell_id=cell if self.ids else None)

    def notes(self, cell: str = "check") -> list[str]:
        """What is found when `cell` checks the function f."""
        self.run(**{cell: ASK})
        return self.shell.user_ns["found"]

    def saved(self, age: float = -HOUR, **cells: str) -> None:
        """Save these cells `age` seconds ago; by default after everything that is run here."""
        code = [
            {"id": i, "cell_type": "code", "source": s.splitlines(keepends=True)} for i, s in cells.items()
        ]
        text = {"id": "text", "cell_type": "markdown", "source": "def f(): ..."}
        self.path.write_text(json.dumps({"cells": [text, *code], "metadata": {}}))
        os.utime(self.path, (time.time() - age,) * 2)
        os.environ["JPY_SESSION_NAME"] = str(self.path)


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    monkeypatch.setattr(freshness, "_runs", [])
    monkeypatch.setenv("JPY_SESSION_NAME", "")
    main = sys.modules["__main__"]
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    freshness.watch()
    yield Notebook(shell, tmp_path / "lesson.ipynb")
    InteractiveShell.clear_instance()
    sys.modules["__main__"] = main


HELPER = "def helper(x):\n    return 2 * x"
F = "def f(x):\n    return helper(x)"


def test_a_run_from_top_to_bottom_says_nothing(notebook: Notebook) -> None:
    cells = {
        "setup": "import math\nfrom collections import Counter as C\n%matplotlib inline",
        "timed": "%%time\nscale = 3",
        "helper": HELPER,
        "again": "def helper(x):\n    return scale * math.exp(x)",
        "class": "class A:\n    @property\n    def p(self):\n        return helper(C())",
        "f": "def f(x):\n    return [A().p for _ in range(x)]",
    }
    notebook.run(**cells)
    assert notebook.notes() == []
    later = {"later": "scale = 4\nhelper = A = None"}
    notebook.run(**later)
    notebook.saved(**cells, check=ASK, **later)
    assert notebook.notes() == [], "checked again when all has run"


def test_a_helper_whose_cell_was_deleted(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.saved(f=F, check=ASK)
    assert notebook.notes() == [
        "`helper`, which `f` uses, is defined by no cell any more: in a fresh run it would be missing"
    ]


def test_a_helper_that_was_edited_away(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F, check="pass")
    notebook.run(a="unrelated = 1")
    assert "is defined by no cell any more" in notebook.notes()[0]


def test_a_renamed_exercise_is_found_in_the_kernel_only(notebook: Notebook) -> None:
    notebook.run(f="def f(): ...")
    notebook.run(f="def g(): ...")
    assert notebook.notes() == ["`f` is defined by no cell any more: in a fresh run it would be missing"]


def test_a_cell_that_was_edited_but_not_run(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.saved(a=HELPER.replace("2", "3"), f=F.replace("(x)", "(y)"), check=ASK)
    assert notebook.notes() == [
        "`f` has been edited since its cell ran as [2]: run that cell again",
        "`helper`, which `f` uses, has been edited since its cell ran as [1]: run that cell again",
    ]


def test_cells_that_ran_out_of_order(notebook: Notebook) -> None:
    notebook.run(a=HELPER, b=HELPER.replace("2", "3"), f=F)
    assert notebook.notes() == []
    notebook.run(a=HELPER)
    expected = (
        "`helper`, which `f` uses, is here what the cell run as [5] made of it, but the cell that defines it "
        "last in the notebook is the one that ran as [2]: a fresh run uses that one"
    )
    assert notebook.notes() == [expected]
    notebook.run(b=HELPER.replace("2", "3"))
    assert notebook.notes() == []


def test_a_cell_that_was_skipped(notebook: Notebook) -> None:
    cells = {"a": HELPER, "b": HELPER.replace("2", "3"), "f": F}
    notebook.saved(age=HOUR, **cells, check=ASK)
    notebook.run(a=cells["a"], f=cells["f"])
    assert "is one that has not been run: a fresh run uses that one" in notebook.notes()[0]


def test_values_that_functions_use(notebook: Notebook) -> None:
    notebook.run(k="rate, steps = 0.1, 10", f="def f():\n    return (lambda: rate)()", k2="rate = 0.2")
    notebook.run(k="rate, steps = 0.1, 10")
    assert "`rate`, which `f` uses" in notebook.notes()[0]


@pytest.mark.parametrize(
    "f",
    [
        "import functools\nf = functools.partial(lambda y, x: helper(x), 1)",
        "class F:\n    def __call__(self, x):\n        return helper(x)\nf = F()",
        "class f:\n    @staticmethod\n    def go(x):\n        return helper(x)",
        "class B:\n    def go(self, x):\n        return helper(x)\nclass f(B):\n    pass",
        "def f(x):\n    def inner():\n        return [helper(y) for y in x]\n    return inner()",
        "def twice(g):\n    def wrapped(x):\n        return g(g(x))\n    return wrapped\n"
        "@twice\ndef f(x):\n    return helper(x)",
        "def g(x):\n    return helper(x) if x else f(x)\ndef f(x):\n    return g(x)",
    ],
)
def test_all_kinds_of_functions_are_looked_into(notebook: Notebook, f: str) -> None:
    notebook.run(a=HELPER, f=f)
    assert notebook.notes() == []
    notebook.run(a="pass")
    assert len(notebook.notes()) == 1


def test_comments_and_layout_do_not_matter(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.saved(a="other = 1\n\n" + HELPER.replace("2 * x", "2*x  # twice"), f=F, check=ASK)
    assert notebook.notes() == []


def test_an_attribute_of_the_same_name_is_no_use_of_it(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f="def f(x):\n    return x.helper(helper=x)")
    notebook.run(a="pass")
    assert notebook.notes() == []


def test_a_file_older_than_the_run_is_not_believed(notebook: Notebook) -> None:
    notebook.saved(age=HOUR, a="def helper(x):\n    return x", f="def f(x):\n    ...", check=ASK)
    notebook.run(a=HELPER, new="def newer(x):\n    return x", f=F + " + newer(x)")
    assert notebook.notes() == []


def test_a_cell_that_does_not_parse_or_fails_is_no_evidence(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.saved(a="def helper(x:\n    return", f=F, check=ASK)
    assert notebook.notes() == []
    notebook.saved(age=HOUR, a=HELPER, b="1 / 0\n" + HELPER, f=F, check=ASK)
    notebook.run(b="1 / 0\n" + HELPER.replace("2", "3"))
    assert notebook.notes() == []
    notebook.run(a=HELPER)
    assert notebook.notes() == []


def test_what_a_console_on_the_same_kernel_defines_has_no_place(notebook: Notebook) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.ids = False
    notebook.run(console=HELPER.replace("2", "3"))
    notebook.ids = True
    assert notebook.notes() == []


def test_editors_with_ids_of_their_own(notebook: Notebook) -> None:
    cells = {"a": HELPER, "f": F}
    notebook.run(**{f"vscode-notebook-cell:{name}": source for name, source in cells.items()})
    notebook.saved(**cells, check=ASK)
    notebook.shell.user_ns["__vsc_ipynb_file__"] = os.environ.pop("JPY_SESSION_NAME")
    assert notebook.notes("vscode-notebook-cell:check") == []
    notebook.saved(a=HELPER.replace("2", "3"), f=F, check=ASK)
    assert "a fresh run uses that one" in notebook.notes("vscode-notebook-cell:check")[0]


def test_another_object_than_the_name_stands_for(notebook: Notebook) -> None:
    notebook.run(f="def f(): ...")
    notebook.run(check="found = freshness.notes('f', {'f': lambda: 0})")
    notebook.run(check="from autograder import freshness\nfound = freshness.notes('f', {'f': lambda: 0})")
    assert notebook.shell.user_ns["found"] == [
        "what you check here is not what `f` stands for in the notebook, which is what counts"
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": 3}', '{"cells": [{}]}', "\0"])
def test_a_broken_file_does_no_harm(notebook: Notebook, text: str) -> None:
    notebook.run(a=HELPER, f=F)
    notebook.saved(a=HELPER, f=F)
    notebook.path.write_text(text)
    assert notebook.notes() == []


def test_there_is_nothing_to_say_without_a_notebook(notebook: Notebook) -> None:
    assert freshness.notes("f", {"f": len}) == []
    notebook.ids = False
    notebook.run(a=HELPER, f=F)
    notebook.run(a=HELPER.replace("2", "3"))
    assert notebook.notes() == [], "a terminal: the cells have no place"
    InteractiveShell.clear_instance()
    assert freshness.notes("f", {"f": len}) == []


def test_it_is_fast_in_a_long_notebook(notebook: Notebook) -> None:
    cells = {f"c{i}": f"def g{i}(x):\n    return {f'g{i - 1}(x)' if i else 'x'} + {i}" for i in range(100)}
    cells["f"] = "def f(x):\n    return g99(x)"
    notebook.run(**cells)
    notebook.saved(**cells, check=ASK)
    assert notebook.notes() == []
    begun = time.process_time()
    assert freshness.notes("f", notebook.shell.user_ns) == []
    assert time.process_time() - begun < 0.1


def _fresh(sources: list[str]) -> Any:
    """What f() gives after these cells have run in a fresh process."""
    names: dict[str, Any] = {}
    for source in sources:
        exec(source, names)
    return _outcome(names)


def _outcome(names: dict[str, Any]) -> Any:
    try:
        return names["f"]()
    except (KeyError, NameError):
        return "missing"


CALLS = {"f": "+ a() + b()", "a": "+ b()", "b": ""}


@pytest.mark.parametrize("seed", range(4))
def test_notes_agree_with_fresh_runs(notebook: Notebook, seed: int) -> None:
    """Cells are edited, run, skipped, moved and deleted at random, then f is checked and really run afresh.

    Each definition answers with a number of its own, so f() tells which definitions it has met.
    """
    rng = random.Random(seed)
    numbers = iter(range(100_000))

    def definition(name: str) -> str:
        return f"def {name}():\n    return [{next(numbers)}] {CALLS[name]}"

    seen = {True: 0, False: 0}
    for _ in range(100):
        freshness._runs.clear()
        for name in CALLS:
            notebook.shell.user_ns.pop(name, None)
        names = ["b", "a", "f", *rng.choices("fab", k=rng.choice([0, 0, 1, 2]))]
        cells = {f"c{i}": definition(name) for i, name in enumerate(names)}
        for cell in list(cells):
            if rng.random() < 0.95:
                notebook.run(**{cell: cells[cell]})
        for _ in range(rng.randint(0, 3)):
            cell = rng.choice(list(cells))
            action = rng.choice(["run", "edit", "edit and run", "rename and run", "delete", "move"])
            if "edit" in action:
                cells[cell] = definition(cells[cell][4])
            if "rename" in action:
                cells[cell] = definition(rng.choice("fab"))
            if "run" in action:
                notebook.run(**{cell: cells[cell]})
            if action == "delete" and len(cells) > 1:
                del cells[cell]
            if action == "move":
                cells[cell] = cells.pop(cell)
        here = rng.randint(0, len(cells))
        above, below = list(cells.items())[:here], list(cells.items())[here:]
        notebook.saved(**dict(above), check=ASK, **dict(below))
        mine = _outcome(notebook.shell.user_ns)
        if mine == "missing":
            continue  # the check itself shows that
        notes = notebook.notes()
        sources = [source for _, source in above + below]
        fresh = [_fresh(sources[:here]), _fresh(sources)]
        if notes:
            assert mine not in fresh, (sources, here, notes)
        if len({source[4] for source in sources}) == len(sources):
            assert bool(notes) == (mine != fresh[1]), (sources, here, notes)
            seen[bool(notes)] += 1
    assert min(seen.values()) >= 5, "both kinds of notebooks are met"
