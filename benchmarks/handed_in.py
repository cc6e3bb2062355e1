"""What a class hands in: solved notebooks of a week, some with wrong answers that no known mistake gives."""

from __future__ import annotations

from copy import deepcopy

from nbformat import NotebookNode

from autograder.judge import Bench
from autograder.notebooks import build_source

WRONG_EVERY = 3  # exercises

_SCALED = """
def _scaled(value, factor={factor}):
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return factor * value
    if isinstance(value, (list, tuple)):
        return type(value)(map(_scaled, value))
    return value
"""
_WRAPPED = """
_right_{name} = {name}

def {name}(*args):
    return _scaled(_right_{name}(*args))
"""


def solved(ready: Bench, student: int = 0) -> NotebookNode:
    """The model solution, lesson cells included; no two students' are the same text."""
    notebook = build_source(ready.week)
    _setup(notebook).source += f"\n\nstudent = {student}"
    return notebook


def spoilt(ready: Bench, student: int) -> NotebookNode:
    """The same with every third function's floating answers scaled, by another factor for each student."""
    notebook = deepcopy(solved(ready, student))
    wrong = {e.name for e in ready.week.exercises[::WRONG_EVERY] if not e.is_class}
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if name in wrong:
            cell.source += "\n" + _WRAPPED.format(name=name)
    _setup(notebook).source += "\n" + _SCALED.format(factor=1.5 + student / 1000)
    return notebook


def _setup(notebook: NotebookNode) -> NotebookNode:
    """The first code cell, which has the imports."""
    return next(cell for cell in notebook.cells if cell.cell_type == "code")
