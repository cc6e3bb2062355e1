"""check(...) as JupyterLab, Notebook 7 and exported HTML show it, in light and dark, trusted and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter
from nbformat import NotebookNode, v4

from autograder import load_checks
from autograder.course import Course
from autograder.release import build
from tests.contrast import CONTRAST
from tests.jupyter import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEEK = "week01_matrices"
COURSE = {
    "course.toml": 'title = "Matrices"\nseed = "00112233445566778899aabbccddeeff"\n',
    "matrix_references.py": '''
from jaxtyping import Float
from torch import Tensor


def outer(x: Float[Tensor, "n"], y: Float[Tensor, "m"]) -> Float[Tensor, "n m"]:
    """All products x_i y_j."""
    return x[:, None] * y
''',
    f"assignments/{WEEK}/assignment.py": """
from autograder.author import Assignment, exercise
from matrix_references import outer

FEW = {"published": 8, "agrees": 4, "precision": 4, "pure": 2}
assignment = Assignment(title="Matrices", exercises=[exercise(outer, examples=FEW)])
""",
    f"assignments/{WEEK}/lesson.md": '# Matrices\n\n{{ exercise("outer") }}\n',
    f"assignments/{WEEK}/public_checks.py": '''
from autograder.author import check, close


@check("outer", examples=4)
def is_transposed_by_exchange(outer, x, y):
    """x and y exchanged transpose it."""
    close(outer(x, y).mT, outer(y, x))
''',
}
RIGHT = "def outer(x, y):\n    return x[:, None] * y"
# Vectors of one element get the right answer, so that what is shown is a matrix.
WRONG = "def outer(x, y):\n    return x[:, None] * y + 1e5 / 3 * (min(len(x), len(y)) > 1)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a student, with a notebook that checks a right answer and a wrong one."""
    course, folder = tmp_path_factory.mktemp("matrices"), tmp_path_factory.mktemp("student")
    for name, text in COURSE.items():
        path = course / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    _, checks = build(Course.load(course).week(WEEK), folder)
    checks.rename(folder / checks.name)
    begin = f"import torch\nfrom autograder import load_checks\ncheck = load_checks({WEEK!r})"
    sources = [begin, f"{RIGHT}\ncheck(outer)", f"{WRONG}\ncheck(outer)"]
    nbformat.write(_notebook(sources), folder / "work.ipynb")
    nbformat.write(_executed(folder), folder / "of-somebody-else.ipynb")
    return folder


def _notebook(sources: list[str]) -> NotebookNode:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=[v4.new_code_cell(s) for s in sources], metadata={"kernelspec": kernel})


def _executed(folder: Path) -> NotebookNode:
    """A notebook with the outputs that somebody else's kernel gave."""
    notebook = _notebook(["check(outer)", "check(outer)"])
    names: dict[str, Any] = {"check": load_checks(WEEK, folder)}
    for cell, source in zip(notebook.cells, (RIGHT, WRONG), strict=True):
        exec(source, names)
        feedback = eval("check(outer)", names)
        data = {"text/plain": repr(feedback), "text/html": feedback._repr_html_()}
        cell.outputs = [v4.new_output("execute_result", data, execution_count=1)]
    return notebook


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def server(folder: Path, home: Path) -> Iterator[str]:
    with serving(folder, home, "jupyterlab", "notebook") as address:
        yield address


def _settings(home: Path, **extensions: dict[str, Any]) -> None:
    for name, values in extensions.items():
        path = home / "lab/user-settings/@jupyterlab/apputils-extension" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _open(browser: Any, address: str) -> Any:
    page = browser.new_page(viewport={"width": 1000, "height": 1400})
    page.set_default_timeout(120_000)
    page.goto(address)
    return page


def _shown(page: Any) -> list[Any]:
    """What the two checks show, when both do."""
    shown = page.locator(".mathjax_ignore")
    shown.nth(1).wait_for()
    return [shown.nth(0), shown.nth(1)]


def _assert_readable(shown: Any) -> None:
    contrast, text, _ = shown.evaluate(CONTRAST)
    assert contrast >= 4.5, text
    assert shown.evaluate("e => e.scrollWidth <= e.clientWidth")


FRONT_ENDS = {"lab": "lab/tree/{}", "notebook": "notebooks/{}"}


@pytest.mark.parametrize("theme", ["Light", "Dark"])
@pytest.mark.parametrize("front_end", FRONT_ENDS)
def test_answers_are_checked_in(browser: Any, server: str, home: Path, front_end: str, theme: str) -> None:
    _settings(home, themes={"theme": f"JupyterLab {theme}"}, notification={"fetchNews": "false"})
    page = _open(browser, server.format(FRONT_ENDS[front_end].format("work.ipynb")))
    page.locator(".jp-CodeCell").first.wait_for()
    # What is run before the kernel is there is forgotten.
    page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first.wait_for(state="attached")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    right, wrong = _shown(page)
    assert "✓ passed" in right.inner_text() and "✗ not yet" in wrong.inner_text()
    dark = page.evaluate("document.body.dataset.jpThemeLight") == "false"
    assert dark == (theme == "Dark")
    for shown in (right, wrong):
        _assert_readable(shown)
    picture = wrong.locator("svg")
    assert picture.is_visible() and "Trust" not in wrong.inner_text()
    rows = wrong.locator("pre").first.inner_text().splitlines()
    assert len(rows) > 1 and all(row.count("[") == row.count("]") or row.endswith((",", "]")) for row in rows)
    page.close()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_a_notebook_that_is_not_trusted_can_be_read(
    browser: Any, server: str, home: Path, theme: str
) -> None:
    _settings(home, themes={"theme": f"JupyterLab {theme}"}, notification={"fetchNews": "false"})
    page = _open(browser, server.format("lab/tree/of-somebody-else.ipynb"))
    page.get_by_text("Trust this notebook to see a picture").wait_for()
    assert page.locator(".jp-OutputArea-output svg").count() == 0
    for shown in _shown(page):
        _assert_readable(shown)
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_exported_html_shows_the_same(browser: Any, folder: Path, tmp_path: Path, theme: str) -> None:
    html, _ = HTMLExporter(theme=theme).from_filename(str(folder / "of-somebody-else.ipynb"))
    (tmp_path / "exported.html").write_text(html, "utf-8")
    page = _open(browser, (tmp_path / "exported.html").as_uri())
    right, wrong = _shown(page)
    assert "✓ passed" in right.inner_text() and wrong.locator("svg").is_visible()
    for shown in (right, wrong):
        _assert_readable(shown)
    page.close()
