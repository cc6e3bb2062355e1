"""The sample class of `autograder demo`: notebooks handed in by students of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from autograder import notebooks
from autograder.collect import Entry
from autograder.course import CourseError, Week, load_module

WEEK = "week07_vae"


@dataclass(frozen=True)
class Student:
    """What one student of the sample class hands in, and what should come of it.

    `answers` are sources by exercise; exercises that are in neither `answers` nor `untouched` get the model
    solution. `edit` changes the finished notebook.
    """

    about: str
    answers: Mapping[str, str] = field(default_factory=dict)
    untouched: tuple[str, ...] = ()
    edit: Callable[[nbformat.NotebookNode], None] = lambda notebook: None


def hand_in(week: Week, folder: Path) -> list[Entry]:
    """Write `<folder>/<student>/<week>/<week>.ipynb` for the whole class."""
    path = week.folder.parent.parent / "solutions" / week.name / "demo.py"
    if not path.is_file():
        raise CourseError(f"{path} is missing: it lists the students of the sample class")
    students: dict[str, Student] = load_module(path).STUDENTS
    source = notebooks.build_source(week)
    released = notebooks.clear_solutions(source)
    model = {e.name: notebooks.marked_source(e.reference) for e in week.exercises}
    handed_in = []
    for name, student in students.items():
        answers = {n: s for n, s in {**model, **student.answers}.items() if n not in student.untouched}
        notebook = notebooks.solve(released, answers)
        student.edit(notebook)
        target = folder / name / week.name / f"{week.name}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, target)
        handed_in.append(Entry(name, target))
    return handed_in
