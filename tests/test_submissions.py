"""Submissions: whatever is handed in is read or refused in words, and nothing raises."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import v3, v4

from autograder import submissions
from autograder.submissions import Cell, read_submission

WEEK = "week07_vae"


def notebook(*sources: str) -> nbformat.NotebookNode:
    return v4.new_notebook(cells=[v4.new_code_cell(source) for source in sources])


def write(path: Path, *sources: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook(*sources), path)
    return path


def problem(path: Path) -> str:
    submission = read_submission(path, WEEK)
    assert submission.cells == ()
    (text,) = submission.problems
    return text


def test_a_notebook_is_read_cell_by_cell(tmp_path):
    graded = v4.new_code_cell(
        "def f():\n    pass", metadata={"nbgrader": {"grade_id": "f", "solution": True}}
    )
    cells = [v4.new_markdown_cell("# Title"), graded, v4.new_raw_cell("raw"), v4.new_code_cell("f()")]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "alice.ipynb")
    submission = read_submission(tmp_path / "alice.ipynb", WEEK)
    assert submission.problems == ()
    assert submission.id == "alice"
    assert submission.cells == (
        Cell("# Title", cells[0].id, "markdown"),
        Cell("def f():\n    pass", cells[1].id, "code", "f"),
        Cell("raw", cells[2].id, "raw"),
        Cell("f()", cells[3].id),
    )
    assert [cell.source for cell in submission.code] == ["def f():\n    pass", "f()"]


def test_a_source_may_be_a_list_of_lines_with_any_line_ends(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": ["x = 1\r\n", "y = 2\r", "z = 3"]}]})
    )
    assert read_submission(path, WEEK).cells == (Cell("x = 1\ny = 2\nz = 3", "cell-1"),)


@pytest.mark.parametrize("minor", range(6))
def test_every_minor_of_nbformat_4_is_read(tmp_path, minor):
    old = notebook("x = 1", "y = 2")
    old.nbformat_minor = minor
    if minor < 5:
        for cell in old.cells:
            del cell["id"]
    nbformat.write(old, tmp_path / "a.ipynb")
    assert [cell.source for cell in read_submission(tmp_path / "a.ipynb", WEEK).code] == ["x = 1", "y = 2"]


def test_nbformat_3_is_read(tmp_path):
    sheets = [
        v3.new_worksheet(cells=[v3.new_heading_cell("Title"), v3.new_code_cell("x = 1")]),
        v3.new_worksheet(cells=[v3.new_text_cell("markdown", "text"), v3.new_code_cell("y = 2")]),
    ]
    (tmp_path / "a.ipynb").write_text(v3.writes_json(v3.new_notebook(worksheets=sheets)))
    cells = read_submission(tmp_path / "a.ipynb", WEEK).cells
    assert [(c.kind, c.source) for c in cells] == [
        ("markdown", "Title"),
        ("code", "x = 1"),
        ("markdown", "text"),
        ("code", "y = 2"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_notebook_saved_in_another_encoding_of_unicode_is_read(tmp_path, encoding):
    (tmp_path / "a.ipynb").write_text(nbformat.writes(notebook("σ = 1")), encoding=encoding)
    assert read_submission(tmp_path / "a.ipynb", WEEK).code[0].source == "σ = 1"


def test_a_python_file_is_one_cell(tmp_path):
    (tmp_path / "a.py").write_bytes("\ufeffx = 1\r\n# %d\r\ny = 2\r\n".encode())
    assert read_submission(tmp_path / "a.py", WEEK).cells == (Cell("x = 1\n# %d\ny = 2", "cell-1"),)


def test_a_python_file_may_be_divided_into_cells(tmp_path):
    (tmp_path / "a.py").write_text(
        "import torch\n\n# %%\nx = 1\n#%% second\ny = 2\n# %% [markdown]\n# words\n"
    )
    assert [(c.kind, c.source) for c in read_submission(tmp_path / "a.py", WEEK).cells] == [
        ("code", "import torch"),
        ("code", "# %%\nx = 1"),
        ("code", "#%% second\ny = 2"),
        ("markdown", "# %% [markdown]\n# words"),
    ]


def test_the_digest_is_of_code_alone_and_of_its_division_into_cells(tmp_path):
    def digest(*cells) -> str:
        nbformat.write(v4.new_notebook(cells=list(cells)), tmp_path / "a.ipynb")
        return read_submission(tmp_path / "a.ipynb", WEEK).digest

    code, words = v4.new_code_cell, v4.new_markdown_cell
    once = digest(code("x\n"), code("y"))
    assert once == digest(words("Hello"), code("x\n", execution_count=3), code("y"))
    assert len({once, digest(code("x\ny")), digest(code("y"), code("x\n"))}) == 3


def test_cells_have_ids_of_their_own(tmp_path):
    ids = ["a", "a", "../b", 7, None, "cell-3"]
    cells = [{"cell_type": "code", "source": "", "id": id} for id in ids]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    found = [cell.id for cell in read_submission(tmp_path / "a.ipynb", WEEK).cells]
    assert found == ["a", "a-2", "cell-3", "cell-4", "cell-5", "cell-3-2"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"print(1)\n", "no JSON at line 1"),
        (b'{"cells": [\n\n', "no JSON at line 3"),
        (b"\xff\xfe\x00", "no JSON that can be read"),
        (b"[" * 100_000, "no JSON"),
        (b"1" * 10_000, "no JSON that can be read"),
        (b"[]", "no list of cells"),
        (b"{}", "no list of cells"),
        (b'{"worksheets": []}', "no list of cells"),
        (b'{"worksheets": [3]}', "no list of cells"),
        (b'{"cells": {"a": 1}}', "no list of cells"),
        (b'{"cells": [{}, 3]}', "its cell 2 is no text"),
        (b'{"cells": [{"source": 3}]}', "its cell 1 is no text"),
        (b'{"cells": [{"source": ["a", ["b"]]}]}', "its cell 1 is no text"),
    ],
)
def test_what_is_no_notebook_is_refused_in_words(tmp_path, content, words):
    (tmp_path / "a.ipynb").write_bytes(content)
    assert problem(tmp_path / "a.ipynb").startswith("a.ipynb: ")
    assert words in problem(tmp_path / "a.ipynb")


def test_metadata_of_any_shape_is_no_obstacle(tmp_path):
    metadata = [None, [], {"nbgrader": 3}, {"nbgrader": {"grade_id": {}}}, {"nbgrader": {"grade_id": "f"}}]
    cells = [{"cell_type": "code", "metadata": value, "source": "x"} for value in metadata]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert [cell.grade_id for cell in read_submission(tmp_path / "a.ipynb", WEEK).cells] == [None] * 4 + ["f"]


def test_what_a_notebook_says_twice_counts_as_in_jupyter(tmp_path):
    (tmp_path / "a.ipynb").write_text(
        '{"cells": [], "cells": [{"cell_type": "code", "source": "x", "source": "y = 2"}]}'
    )
    assert [cell.source for cell in read_submission(tmp_path / "a.ipynb", WEEK).code] == ["y = 2"]


@pytest.mark.parametrize("kind", ["lists", "objects", "integer"])
def test_what_no_reader_can_hold_is_refused_wherever_it_stands(tmp_path, kind):
    value = {
        "lists": "[" * 100_000 + "]" * 100_000,
        "objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "integer": "9" * 5_000,
    }[kind]
    cell = f'{{"cell_type": "code", "source": "x", "outputs": [{value}]}}'
    (tmp_path / "a.ipynb").write_text(f'{{"cells": [{cell}]}}')
    assert "no JSON that can be read" in problem(tmp_path / "a.ipynb")


def test_lone_surrogates_are_replaced(tmp_path):
    (tmp_path / "a.ipynb").write_text('{"cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}')
    assert read_submission(tmp_path / "a.ipynb", WEEK).code[0].source == "x = '?'"


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "a.ipynb", "x = 1", "y = 2", "z = 3")
    monkeypatch.setattr(submissions, "MAX_CELLS", 3)
    assert len(read_submission(path, WEEK).cells) == 3
    monkeypatch.setattr(submissions, "MAX_CELLS", 2)
    assert "more than 2 cells" in problem(path)
    monkeypatch.setattr(submissions, "MAX_BYTES", path.stat().st_size)
    assert "more than 2 cells" in problem(path)
    monkeypatch.setattr(submissions, "MAX_BYTES", path.stat().st_size - 1)
    assert "clear the outputs" in problem(path)


def test_a_large_file_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "a.ipynb").open("wb") as file:
        file.truncate(1 << 40)
    assert "larger than 20 MB" in problem(tmp_path / "a.ipynb")


def test_what_can_not_be_opened_is_refused(tmp_path):
    assert "no such file" in problem(tmp_path / "a.ipynb")
    assert "only .ipynb and .py" in problem(Path("/dev/zero"))
    os.mkfifo(tmp_path / "pipe.ipynb")
    assert "not a regular file" in problem(tmp_path / "pipe.ipynb")
    (tmp_path / "loop.ipynb").symlink_to("loop.ipynb")
    assert problem(tmp_path / "loop.ipynb")
    (tmp_path / "a.py").write_bytes(b"x = '\xe9'")
    assert "no UTF-8" in problem(tmp_path / "a.py")
    assert read_submission("a\0.ipynb", WEEK).problems


def test_no_link_is_followed_out_of_its_folder(tmp_path):
    secret = write(tmp_path / "bob" / f"{WEEK}.ipynb", "secret = 1")
    alice = tmp_path / "alice"
    alice.mkdir()
    (alice / f"{WEEK}.ipynb").symlink_to(secret)
    assert "symbolic link" in problem(alice)
    assert "symbolic link" in problem(alice / f"{WEEK}.ipynb")
    (alice / WEEK).symlink_to(tmp_path / "bob")
    assert "symbolic link" in problem(alice / WEEK)
    inside = write(tmp_path / "carol" / "final.ipynb", "x = 1")
    (tmp_path / "carol" / f"{WEEK}.ipynb").symlink_to(inside)
    assert read_submission(tmp_path / "carol", WEEK).code[0].source == "x = 1"


def test_a_folder_is_read_by_the_name_of_the_week_or_if_there_is_no_choice(tmp_path):
    assert "there is no notebook" in problem(tmp_path)
    (tmp_path / "helper.py").write_text("h = 1")
    assert read_submission(tmp_path, WEEK).code[0].source == "h = 1"
    write(tmp_path / "first.ipynb", "x = 1")
    write(tmp_path / ".ipynb_checkpoints" / "first-checkpoint.ipynb", "old")
    (tmp_path / "._first.ipynb").write_text("what macOS leaves behind")
    assert read_submission(tmp_path, WEEK).code[0].source == "x = 1"
    write(tmp_path / "second.ipynb", "y = 2")
    assert f"several files (first.ipynb, second.ipynb): name one of them {WEEK}.ipynb" in problem(tmp_path)
    (tmp_path / f"{WEEK}.py").write_text("z = 3")
    assert read_submission(tmp_path, WEEK).code[0].source == "z = 3"
    write(tmp_path / f"{WEEK}.ipynb", "w = 4")
    assert read_submission(tmp_path, WEEK).code[0].source == "w = 4"


def test_a_submission_without_a_name_of_its_own_gets_a_safe_one():
    assert read_submission(Path("/nowhere") / "a\x1b[31m\u202eb.ipynb", WEEK).id == "a_[31m_b"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
cells = st.dictionaries(
    st.sampled_from(["source", "input", "cell_type", "metadata", "id"]), values, max_size=5
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=50)
    | st.dictionaries(st.sampled_from(["cells", "worksheets"]), values | st.lists(cells | values)).map(
        json.dumps
    )
)
def test_nothing_that_is_handed_in_raises(tmp_path, content):
    for name in ("a.ipynb", "a.py"):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        submission = read_submission(tmp_path / name, WEEK)
        assert not (submission.cells and submission.problems)
        assert all(cell.source.encode() is not None for cell in submission.cells)
        assert len({cell.id for cell in submission.cells}) == len(submission.cells)
