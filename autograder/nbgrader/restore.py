"""Puts a submitted notebook's graded cells back as they were released, whatever was done to them.

Students delete, copy, merge, renumber and edit cells, and their notebooks may come from an older release.
nbgrader's gradebook knows every cell that counts: here the notebook gets each of them exactly once, with
the gradebook's own metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook
from nbgrader.nbgraderformat import SCHEMA_VERSION
from nbgrader.preprocessors import OverwriteCells
from nbgrader.utils import compute_checksum

MISSING = "was missing from the submission and was put back"
CHANGED = "had been changed and is graded as it was released"
NOTE = "autograder_note"  # in a cell's metadata: what was done to it, for its author


@dataclass(frozen=True)
class Released:
    """A cell that counts, as the gradebook knows it."""

    name: str
    kind: str  # "code" or "markdown"
    source: str
    checksum: str
    locked: bool
    grade: bool
    solution: bool
    task: bool
    points: float | None

    def metadata(self) -> dict[str, Any]:
        """nbgrader's metadata of this cell."""
        found = {
            "cell_type": self.kind,
            "checksum": self.checksum,
            "grade": self.grade,
            "grade_id": self.name,
            "locked": self.locked,
            "schema_version": SCHEMA_VERSION,
            "solution": self.solution,
            "task": self.task,
        }
        return found if self.points is None else {**found, "points": self.points}


def released_cells(gradebook: Gradebook, notebook: str, assignment: str) -> list[Released]:
    """The cells of a notebook that count, in their order."""
    found = gradebook.find_notebook(notebook, assignment)
    points = {c.name: float(c.max_score) for c in [*found.grade_cells, *found.task_cells]}
    graded = {c.name for c in found.grade_cells}
    solutions = {c.name for c in found.solution_cells}
    tasks = {c.name for c in found.task_cells}
    return [
        Released(
            cell.name,
            cell.cell_type,
            cell.source or "",
            cell.checksum or "",
            bool(cell.locked),
            cell.name in graded,
            cell.name in solutions,
            cell.name in tasks,
            points.get(cell.name),
        )
        for cell in found.source_cells
    ]


def restore(notebook: NotebookNode, released: Sequence[Released], missing: str) -> list[str]:
    """Make every released cell stand in the notebook once, with its metadata and, if locked, its source.

    Args:
        notebook: what was handed in; changed in place.
        released: the cells that count, in their order.
        missing: what a cell that is put back begins with; `{cell_id}` stands for its name.

    Returns:
        what had to be done, in sentences.
    """
    for cell in notebook.cells:
        cell.setdefault("metadata", NotebookNode())
        cell.setdefault("source", "")
        _become(cell, cell.get("cell_type", "raw"))
    by_name = {cell.name: cell for cell in released}
    chosen = _chosen(notebook.cells, by_name)
    notes = []
    for i, cell in enumerate(notebook.cells):
        name = _grade_id(cell)
        if name is not None and chosen.get(name) != i:
            what = "is in the notebook more than once" if name in by_name else "is not of this assignment"
            notes.append(f"cell {name!r} {what}: this copy does not count")
        if name is None or chosen.get(name) != i:
            cell.metadata.pop("nbgrader", None)
            continue
        was = by_name[name]
        if cell.cell_type != was.kind:
            _become(cell, was.kind)
            notes.append(f"cell {name!r} had become a cell of another type")
        cell.metadata["nbgrader"] = NotebookNode(was.metadata())
        if was.locked and compute_checksum(cell) != was.checksum:
            cell.source = was.source
            cell.metadata[NOTE] = f"This cell {CHANGED}."
            notes.append(f"cell {name!r} {CHANGED}")
    notes += [f"cell {name!r} {MISSING}" for name in _put_back(notebook, released, set(chosen), missing)]
    return notes


def _grade_id(cell: NotebookNode) -> str | None:
    """What the cell claims to be; None where it claims nothing that counts."""
    claims = cell.metadata.get("nbgrader")
    name = claims.get("grade_id") if isinstance(claims, Mapping) else None
    return name if isinstance(name, str) and name else None


def _chosen(cells: Sequence[NotebookNode], by_name: Mapping[str, Released]) -> dict[str, int]:
    """The place of the copy of each cell that counts: the last one; of answers, the last that was edited."""
    chosen: dict[str, int] = {}
    for i, cell in enumerate(cells):
        name = _grade_id(cell)
        if name is None or name not in by_name:
            continue
        was = by_name[name]
        untouched = cell.source.strip() == was.source.strip()
        if name in chosen and was.solution and untouched:
            continue
        chosen[name] = i
    return chosen


def _become(cell: NotebookNode, kind: str) -> None:
    """Make it a cell of this kind, with just what such cells have."""
    cell.cell_type = kind
    if kind == "code":
        cell.pop("attachments", None)
        cell.setdefault("outputs", [])
        cell.setdefault("execution_count", None)
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def _put_back(
    notebook: NotebookNode, released: Sequence[Released], present: set[str], missing: str
) -> Iterable[str]:
    """Insert the cells that are not there, each after the one that came before it; their names.

    What students only wrote code in has left nothing to grade, so that it is not put back.
    """
    for i, cell in enumerate(released):
        if cell.name in present or not (cell.grade or cell.task):
            continue
        before = {other.name for other in released[:i]}
        after = {other.name for other in released[i + 1 :]}
        names = [_grade_id(c) for c in notebook.cells]
        places = [k + 1 for k, name in enumerate(names) if name in before]
        ends = [k for k, name in enumerate(names) if name in after]
        place = places[-1] if places else (len(names) if cell.kind == "code" or not ends else ends[0])
        notice = missing.format(cell_id=cell.name)
        if cell.kind == "code":
            new = v4.new_code_cell("# " + notice + cell.source)
        else:
            new = v4.new_markdown_cell(notice + cell.source)
        if notebook.get("nbformat_minor", 0) < 5:
            new.pop("id", None)
        metadata = cell.metadata()
        new.metadata["nbgrader"] = NotebookNode(metadata)
        if cell.solution:  # an answer that was deleted is one that was not given: its checksum says so
            new.metadata["nbgrader"]["checksum"] = compute_checksum(new)
        new.metadata[NOTE] = f"This cell {MISSING}."
        notebook.cells.insert(place, new)
        present.add(cell.name)
        yield cell.name


class RestoreCells(OverwriteCells):
    """In place of nbgrader's DeduplicateIds and OverwriteCells: repairs what they stop at.

    Missing cells are always put back: a cell that isn't there can't be graded.
    """

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        about = resources["nbgrader"]
        with Gradebook(about["db_url"]) as gradebook:
            released = released_cells(gradebook, about["notebook"], about["assignment"])
        for note in restore(nb, released, self.missing_cell_notification):
            self.log.warning("%s of %s: %s", about["notebook"], about["student"], note)
        return nb, resources
