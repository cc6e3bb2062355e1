"""Submitted notebooks, put back as they were released whatever was done to them."""

from __future__ import annotations

import copy

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode, v4
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum, is_locked

from autograder.nbgrader.renamed import adopt
from autograder.nbgrader.restore import NOTE, Released, restore

MISSING = "{cell_id} was missing.\n\n"


def _cell(kind: str, source: str, name: str = "", **roles: object) -> NotebookNode:
    cell = v4.new_code_cell(source) if kind == "code" else v4.new_markdown_cell(source)
    if name:
        roles = {"grade": False, "solution": False, "task": False, "locked": False, **roles}
        cell.metadata["nbgrader"] = NotebookNode(grade_id=name, schema_version=3, cell_type=kind, **roles)
        cell.metadata["nbgrader"]["locked"] = is_locked(cell)
        cell.metadata["nbgrader"]["checksum"] = compute_checksum(cell)
    return cell


def _notebook() -> NotebookNode:
    return v4.new_notebook(
        cells=[
            _cell("markdown", "# Title", "title", locked=True),
            _cell("code", "import math"),
            _cell("code", "def f(x):\n    raise NotImplementedError()", "f", solution=True),
            _cell("code", "assert f(1) == 1", "test_f", grade=True, points=2),
            _cell("code", "def g(x):\n    raise NotImplementedError()", "g", solution=True),
            _cell("code", "assert g(1) == 1", "test_g", grade=True, points=3),
            _cell("markdown", "YOUR ANSWER HERE", "why", grade=True, solution=True, points=1),
            _cell("markdown", "Draw a figure.", "draw", task=True, locked=True, points=4),
        ]
    )


def _released(notebook: NotebookNode) -> list[Released]:
    found = []
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader")
        if about:
            roles = (about["grade"], about["solution"], about["task"], about.get("points"))
            text = (about["grade_id"], cell.cell_type, cell.source, about["checksum"], about["locked"])
            found.append(Released(*text, *roles))
    return found


RELEASED = _released(_notebook())
COUNTED = {cell.name for cell in RELEASED if cell.grade or cell.task}


def _named(notebook: NotebookNode) -> dict[str, NotebookNode]:
    return {c.metadata["nbgrader"]["grade_id"]: c for c in notebook.cells if "nbgrader" in c.metadata}


@st.composite
def _edits(draw: st.DrawFn) -> NotebookNode:
    """A notebook to which a student has done anything that an editor can do."""
    notebook = _notebook()
    cells = notebook.cells
    for _ in range(draw(st.integers(0, 8))):
        if not cells:
            break
        i = draw(st.integers(0, len(cells) - 1))
        j = draw(st.integers(0, len(cells)))
        about = cells[i].metadata.get("nbgrader")
        match draw(
            st.sampled_from(("delete", "copy", "move", "edit", "type", "merge", "meta", "junk", "split"))
        ):
            case "delete":
                del cells[i]
            case "copy":
                cells.insert(j, NotebookNode(copy.deepcopy(cells[i]), id=f"copy-{len(cells)}-{i}-{j}"))
            case "move":
                cells.insert(min(j, len(cells) - 1), cells.pop(i))
            case "edit":
                cells[i].source = draw(st.text(max_size=20))
            case "type":
                cells[i] = NotebookNode(
                    cells[i], cell_type=draw(st.sampled_from(("code", "markdown", "raw")))
                )
            case "merge" if i + 1 < len(cells):
                cells[i].source += "\n\n" + cells.pop(i + 1).source
            case "split":
                cells.insert(i + 1, v4.new_code_cell(cells[i].source[5:]))
                cells[i].source = cells[i].source[:5]
            case "meta" if isinstance(about, dict) and about:
                key = draw(st.sampled_from(sorted(about)))
                junk = st.one_of(st.none(), st.integers(-5, 99), st.text(max_size=8), st.booleans())
                about[key] = draw(st.one_of(junk, st.sampled_from(["f", "test_f", "why", "draw"])))
                if draw(st.booleans()):
                    del about[draw(st.sampled_from(sorted(about)))]
            case "junk":
                cells[i].metadata = NotebookNode(nbgrader=draw(st.sampled_from([[], "x", 3, {}, None])))
    return notebook


@settings(max_examples=300, deadline=None)
@given(_edits())
def test_every_cell_that_counts_is_there_once_with_its_own_metadata(notebook: NotebookNode) -> None:
    restore(notebook, RELEASED, MISSING)
    names = [c.metadata["nbgrader"]["grade_id"] for c in notebook.cells if "nbgrader" in c.metadata]
    assert len(names) == len(set(names)) and set(names) >= COUNTED
    for was in RELEASED:
        cell = _named(notebook).get(was.name)
        if cell is None:
            continue
        assert cell.cell_type == was.kind
        found = dict(cell.metadata["nbgrader"])
        if was.solution and cell.metadata.get(NOTE):
            found.pop("checksum")  # of an answer that was put back: it says that none was given
        assert found.items() <= was.metadata().items()
        if was.locked and not cell.metadata.get(NOTE, "").endswith("put back."):
            assert cell.source == was.source
    MetadataValidator().validate_nb(notebook)
    nbformat.validate(notebook)


def test_an_untouched_notebook_stays_as_it_is() -> None:
    notebook = _notebook()
    assert restore(notebook, RELEASED, MISSING) == []
    assert [c.source for c in notebook.cells] == [c.source for c in _notebook().cells]


def test_a_deleted_test_comes_back_after_its_answer_and_runs_as_code() -> None:
    notebook = _notebook()
    del notebook.cells[3]
    assert restore(notebook, RELEASED, MISSING) == [
        "cell 'test_f' was missing from the submission and was put back"
    ]
    assert notebook.cells[3].source == "# test_f was missing.\n\nassert f(1) == 1"


def test_both_an_answer_and_its_test_deleted() -> None:
    notebook = _notebook()
    del notebook.cells[2:4]
    restore(notebook, RELEASED, MISSING)
    sources = [c.source for c in notebook.cells]
    assert sources.index("# test_f was missing.\n\nassert f(1) == 1") == 1
    assert "f" not in _named(notebook)


def test_of_copies_the_edited_answer_counts_wherever_it_stands() -> None:
    for first, second in (("It is smooth.", "YOUR ANSWER HERE"), ("YOUR ANSWER HERE", "It is smooth.")):
        notebook = _notebook()
        notebook.cells[6].source = first
        notebook.cells.append(copy.deepcopy(notebook.cells[6]))
        notebook.cells[-1].source = second
        notebook.cells[-1].id = "copy"
        restore(notebook, RELEASED, MISSING)
        assert _named(notebook)["why"].source == "It is smooth."


def test_an_answer_that_was_deleted_is_one_not_given() -> None:
    notebook = _notebook()
    del notebook.cells[6]
    restore(notebook, RELEASED, MISSING)
    cell = _named(notebook)["why"]
    assert cell.metadata["nbgrader"]["checksum"] == compute_checksum(cell)


@pytest.mark.parametrize("key", ["schema_version", "points", "locked", "grade", "solution"])
@pytest.mark.parametrize("value", [0, 99, "x", None, True])
def test_metadata_is_the_gradebooks(key: str, value: object) -> None:
    notebook = _notebook()
    for cell in notebook.cells:
        if "nbgrader" in cell.metadata:
            cell.metadata["nbgrader"][key] = value
    restore(notebook, RELEASED, MISSING)
    assert [dict(c.metadata["nbgrader"]) for c in notebook.cells if "nbgrader" in c.metadata] == [
        was.metadata() for was in RELEASED
    ]


def test_an_edited_test_is_graded_as_released_and_says_so() -> None:
    notebook = _notebook()
    notebook.cells[3].source = "pass"
    restore(notebook, RELEASED, MISSING)
    assert notebook.cells[3].source == "assert f(1) == 1"
    assert "as it was released" in notebook.cells[3].metadata[NOTE]


def test_a_renamed_notebook_is_found_by_its_cells(tmp_path) -> None:
    for name in ("source", "handed-in"):
        (tmp_path / name).mkdir()
    nbformat.write(_notebook(), tmp_path / "source" / "p1.ipynb")
    nbformat.write(v4.new_notebook(), tmp_path / "handed-in" / "scratch.ipynb")
    nbformat.write(_notebook(), tmp_path / "handed-in" / "p1 (2) final.ipynb")
    assert adopt(tmp_path / "handed-in", tmp_path / "source") == [tmp_path / "handed-in" / "p1.ipynb"]
    assert (tmp_path / "handed-in" / "p1.ipynb").read_bytes() == (
        tmp_path / "handed-in" / "p1 (2) final.ipynb"
    ).read_bytes()


def test_of_two_that_could_be_it_none_is_taken(tmp_path) -> None:
    for name in ("source", "handed-in"):
        (tmp_path / name).mkdir()
    nbformat.write(_notebook(), tmp_path / "source" / "p1.ipynb")
    for name in ("a", "b"):
        nbformat.write(_notebook(), tmp_path / "handed-in" / f"{name}.ipynb")
    assert adopt(tmp_path / "handed-in", tmp_path / "source") == []
