"""Notebooks: built from a lesson and references, released as nbgrader would, and solved again."""

import ast
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from autograder.course import Course, load_module
from autograder.exercises import Exercise, exercise
from autograder.notebooks import BEGIN, END, build_source, clear_solutions, marked_source, solve
from autograder.templating import environment

ROOT = Path(__file__).parents[1]
MODULE = '''\
"""Two functions and a class."""

import math
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor, nn

from reference_impl._require import require

Row = Tensor


def root(x: Float[Tensor, "n"], base: float | None = None) -> Float[Tensor, "n"]:
    """The square root.

    Its docstring has an empty line.
    """
    require((x >= 0).all(), f"x must be >= 0, not {x}")

    # Reasons stay with the code.
    if base is not None:
        require(base > 0, "base must be positive")
    for value in x:
        # A loop that keeps one of its statements.
        require(
            value < math.inf,
            "x must be finite",
        )
        value + 1
    if x.ndim:
        require(True, "never")
    else:
        x = x.reshape(1)

    return x.sqrt()


def twice(x):
    # What comes before the first statement is part of the answer.
    y = root(x) ** 2

    return 2 * y


class Scale(nn.Module):
    """Scales by a learned factor."""

    factor = 3

    def __init__(self, size: int) -> None:
        super().__init__()
        require(size > 0, "size must be positive")
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        """weight * x"""
        return self._scale(x)

    @torch.no_grad()
    def _scale(self, x):
        return self.weight * x
'''
LESSON = """\
# A title

An introduction with $\\mathrm{KL}$ and `{{ week.title }}`.

## Roots

{{ exercise("root") }}

```python
print(root(torch.ones(2)))
```

```text
# shown, not run: {{ 1 + 1 }}
```

{{ exercise("twice") }}
{{ exercise("Scale") }}

## A question

Why?

{{ question("why", points=2) }}
"""


@dataclass
class Stand:
    """What `build_source` needs of a week."""

    name: str
    folder: Path
    title: str
    exercises: list[Exercise]

    def max_points(self, exercise: str) -> int:
        return len(exercise)


@pytest.fixture
def week(tmp_path: Path):
    def make(lesson: str = LESSON, module: str = MODULE) -> Stand:
        (tmp_path / "lesson.md").write_text(lesson)
        references = tmp_path / "reference_impl"
        references.mkdir(exist_ok=True)
        (references / "numbers.py").write_text(module)
        loaded = load_module(references / "numbers.py")
        names = re.findall(r"^(?:def|class) (\w+)", module, re.MULTILINE)
        exercises = [exercise(getattr(loaded, name)) for name in names if not name.startswith("_")]
        return Stand("week01_numbers", tmp_path, "Numbers", exercises)

    return make


def cell(notebook, name):
    return next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def test_a_lesson_becomes_cells_in_its_order(week):
    cells = build_source(week()).cells
    assert [(c.cell_type, c.source.split("\n")[0].split("(")[0]) for c in cells] == [
        ("markdown", "# A title"),
        ("code", "import math"),
        ("markdown", "## Roots"),
        ("code", "def root"),
        ("code", "check"),
        ("code", "print"),
        ("markdown", "```text"),
        ("code", "def twice"),
        ("code", "check"),
        ("code", "class Scale"),
        ("code", "check"),
        ("markdown", "## A question"),
        ("markdown", "YOUR ANSWER HERE"),
    ]
    assert cells[0].source.endswith("$\\mathrm{KL}$ and `Numbers`.")
    assert cells[6].source == "```text\n# shown, not run: 2\n```"


def test_the_first_code_cell_imports_what_the_references_do_and_loads_the_checks(week):
    assert build_source(week()).cells[1].source == (
        "import math\n"
        "from functools import reduce\n"
        "import matplotlib.pyplot as plt\n"
        "import torch\n"
        "from jaxtyping import Float\n"
        "from torch import Tensor, nn\n"
        "\n"
        "from autograder import load_checks\n"
        "\n"
        'check = load_checks("week01_numbers")'
    )


def test_a_solution_is_the_reference_without_its_guards(week):
    assert cell(build_source(week()), "root").source == (
        'def root(x: Float[Tensor, "n"], base: float | None = None) -> Float[Tensor, "n"]:\n'
        '    """The square root.\n'
        "\n"
        "    Its docstring has an empty line.\n"
        '    """\n'
        "\n"
        "    ### BEGIN SOLUTION\n"
        "    # Reasons stay with the code.\n"
        "    for value in x:\n"
        "        # A loop that keeps one of its statements.\n"
        "        value + 1\n"
        "    if x.ndim:\n"
        "        pass\n"
        "    else:\n"
        "        x = x.reshape(1)\n"
        "\n"
        "    return x.sqrt()\n"
        "    ### END SOLUTION"
    )


def test_comments_above_the_first_statement_are_part_of_the_solution(week):
    assert cell(build_source(week()), "twice").source == (
        "def twice(x):\n"
        "    ### BEGIN SOLUTION\n"
        "    # What comes before the first statement is part of the answer.\n"
        "    y = root(x) ** 2\n"
        "\n"
        "    return 2 * y\n"
        "    ### END SOLUTION"
    )


def test_a_class_keeps_its_constructor_and_hides_its_methods(week):
    assert cell(clear_solutions(build_source(week())), "Scale").source == (
        "class Scale(nn.Module):\n"
        '    """Scales by a learned factor."""\n'
        "\n"
        "    factor = 3\n"
        "\n"
        "    def __init__(self, size: int) -> None:\n"
        "        super().__init__()\n"
        "        self.weight = nn.Parameter(torch.ones(size))\n"
        "\n"
        "    def forward(self, x: Tensor) -> Tensor:\n"
        '        """weight * x"""\n'
        "        # YOUR CODE HERE\n"
        "        raise NotImplementedError()\n"
        "\n"
        "    @torch.no_grad()\n"
        "    def _scale(self, x):\n"
        "        # YOUR CODE HERE\n"
        "        raise NotImplementedError()"
    )


def test_graded_cells_carry_the_metadata_of_nbgrader_and_others_none(week):
    notebook = build_source(week())
    common = {"schema_version": 3, "task": False}
    assert cell(notebook, "root").metadata.nbgrader == common | {
        "cell_type": "code",
        "grade_id": "root",
        "grade": False,
        "solution": True,
        "locked": False,
    }
    assert cell(notebook, "check_root").source == "check(root)"
    assert cell(notebook, "check_root").metadata.nbgrader == common | {
        "cell_type": "code",
        "grade_id": "check_root",
        "grade": True,
        "solution": False,
        "locked": True,
        "points": 4,
    }
    assert cell(notebook, "why").metadata.nbgrader == common | {
        "cell_type": "markdown",
        "grade_id": "why",
        "grade": True,
        "solution": True,
        "locked": False,
        "points": 2,
    }
    assert sum("nbgrader" in c.metadata for c in notebook.cells) == 7


def test_a_mark_scheme_is_in_the_source_and_not_in_the_release(week):
    scheme = "- 1 point: $\\mathrm{KL}$\n\n```python\n1/0\n```"
    block = '{% call question("why", points=2) %}\n\n' + scheme + "\n{% endcall %}"
    source = build_source(week(LESSON.replace('{{ question("why", points=2) }}', block)))
    assert cell(source, "why").source == "**Mark scheme** (2 points)\n\n" + scheme
    assert cell(source, "why").metadata == cell(build_source(week()), "why").metadata
    release = clear_solutions(source)
    assert cell(release, "why").source == "YOUR ANSWER HERE"
    assert "scheme" not in nbformat.writes(release)
    assert nbformat.writes(release) == nbformat.writes(clear_solutions(build_source(week())))


def test_cell_ids_are_valid_and_unique_even_for_equal_cells(week):
    demo = "```python\nprint(1)\n```\n\n"
    notebook = build_source(week(LESSON + demo * 3))
    ids = [c.id for c in notebook.cells]
    assert ids == [c.id for c in build_source(week(LESSON + demo * 3)).cells]
    assert len(set(ids)) == len(ids)
    assert {"root", "check_root", "why"} <= set(ids)
    nbformat.validate(notebook, relax_add_props=False)


def test_ids_depend_on_their_own_cell_alone(week):
    before = {c.source: c.id for c in build_source(week()).cells}
    after = {c.source: c.id for c in build_source(week("# New\n\n" + LESSON)).cells}
    assert all(after[source] == id for source, id in before.items())


def test_the_build_is_the_same_to_the_byte_in_every_process(week):
    here = week()
    code = (
        "import sys, hashlib, nbformat; sys.path.insert(0, sys.argv[2]); from pathlib import Path; "
        "import test_notebooks as t; from autograder.notebooks import build_source as build; "
        "m = t.load_module(Path(sys.argv[1]) / 'reference_impl/numbers.py'); "
        "w = t.Stand('week01_numbers', Path(sys.argv[1]), 'Numbers', "
        "[t.exercise(f) for f in (m.root, m.twice, m.Scale)]); "
        "print(hashlib.sha256(nbformat.writes(build(w)).encode()).hexdigest())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(here.folder), str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == hashlib.sha256(nbformat.writes(build_source(here)).encode()).hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "file", "line", "words"),
    [
        ('exercise("root")', 'exercise("roof")', "lesson.md", 7, "'roof' is no exercise of week01_numbers"),
        ('exercise("twice")', 'exercise("root")', "lesson.md", 17, "'root' stands in the lesson twice"),
        (
            '{{ exercise("twice") }}',
            "",
            "reference_impl/numbers.py",
            40,
            "twice is an exercise of week01_numbers, but",
        ),
        ('question("why", points=2)', 'question("why")', "lesson.md", 24, "points"),
        ('question("why"', 'question("root"', "lesson.md", 24, "has the name of an exercise's cell"),
        ('question("why"', 'question("check_root"', "lesson.md", 24, "has the name of an exercise's cell"),
        ('question("why"', 'question("Why not?"', "lesson.md", 24, "can't name a cell"),
        ("$\\mathrm{KL}$", "$\\frac{{a}}{b}$", "lesson.md", 3, "'a' is undefined"),
        ("$\\mathrm{KL}$", "$\\frac{%a}{b}$", "lesson.md", 3, "unknown tag 'a'"),
        ("```\n\n```text", "```text", "lesson.md", 11, "no Python"),
        ("print(root(torch.ones(2)))", "x = 1\nprint(", "lesson.md", 11, "no Python: '(' was never closed"),
        ("## A question", "```python", "lesson.md", 20, "this code block has no end"),
    ],
)
def test_a_wrong_lesson_is_refused_with_its_line(week, old, new, file, line, words):
    assert LESSON.count(old) == 1
    here = week(LESSON.replace(old, new))
    with pytest.raises(
        ValueError, match=re.escape(f"{here.folder / file}:{line}: ") + ".*" + re.escape(words)
    ):
        build_source(here)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("x.sqrt()", "_helper(x)", 37, "root uses _helper"),
        ("x.sqrt()", "twice(x)", 37, "root uses twice"),
        ("return 2 * y", "return [require(y) for _ in range(2)]", 44, "twice uses require"),
        ('-> Float[Tensor, "n"]', "-> Row", 15, "root uses Row"),
        ("x.sqrt()", "EPSILON + x", 37, "root uses EPSILON"),
        (
            "def twice(x):\n    #",
            "def twice(x): return 1\n    #",
            40,
            "twice has no body on lines of its own",
        ),
    ],
)
def test_a_reference_that_the_notebook_could_not_run_is_refused_with_its_line(week, old, new, line, words):
    assert MODULE.count(old) == 1
    module = MODULE.replace(old, new)
    if "return 1" in new:
        module = re.sub(r"(return 1\n).*?(\nclass)", r"\1\n\2", module, flags=re.DOTALL)
    here = week(module=module)
    with pytest.raises(
        ValueError, match=re.escape(f"{here.folder / 'reference_impl/numbers.py'}:{line}: {words}")
    ):
        build_source(here)


def test_a_reference_without_marks_for_students_is_refused(week):
    module = "class Empty:\n    def __init__(self):\n        self.x = 1\n"
    here = week('{{ exercise("Empty") }}', module)
    with pytest.raises(ValueError, match=r"numbers\.py:1: Empty leaves students no method"):
        build_source(here)


def test_a_lesson_that_is_missing_is_named(week):
    here = week()
    (here.folder / "lesson.md").unlink()
    with pytest.raises(ValueError, match="there is no such lesson"):
        build_source(here)


def test_no_solution_survives_in_the_release(week):
    source = build_source(week())
    release = clear_solutions(source)
    text = nbformat.writes(release)
    assert not any(
        secret in text for secret in ("sqrt()", "2 * y", "self.weight * x", "BEGIN", "END", "require")
    )
    assert nbformat.writes(source) == nbformat.writes(build_source(week()))  # the source itself is untouched
    assert [c.id for c in release.cells] == [c.id for c in source.cells]


def test_solve_puts_answers_into_the_cells_of_their_names(week):
    release = clear_solutions(build_source(week()))
    solved = solve(release, {"twice": "def twice(x):\n    return 2 * x", "why": "Because."})
    assert cell(solved, "twice").source == "def twice(x):\n    return 2 * x"
    assert cell(solved, "why").source == "Because."
    changed = [a.id for a, b in zip(release.cells, solved.cells, strict=True) if a.source != b.source]
    assert changed == ["twice", "why"]
    with pytest.raises(ValueError, match="'check_twice' is no solution cell"):
        solve(release, {"check_twice": ""})


def test_the_readme_of_a_bundle_names_its_files_and_how_to_check_and_submit(week):
    text = (
        environment()
        .get_template("README-student.md.j2")
        .render(
            week=week(), files={"week01_numbers.ipynb": "the lesson", "public.bin": "the checks <you> have"}
        )
    )
    assert text.startswith(
        "# Numbers\n\n- `week01_numbers.ipynb`: the lesson\n- `public.bin`: the checks <you> have\n\n"
    )
    assert "\npip install genai-autograder jupyterlab matplotlib\njupyter lab week01_numbers.ipynb\n" in text
    assert "\nautograder check week01_numbers.ipynb\n" in text
    assert "Hand in `week01_numbers.ipynb` alone" in text


def generate(tmp_path: Path, name: str, source) -> nbformat.NotebookNode:
    """What `nbgrader generate_assignment` makes of a source notebook."""
    folder = tmp_path / "course" / "source" / name
    folder.mkdir(parents=True)
    nbformat.write(source, folder / f"{name}.ipynb")
    course = tmp_path / "course"
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", name, f"--course-dir={course}"],
        cwd=course,
        env=os.environ
        | {
            "JUPYTER_CONFIG_DIR": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        check=True,
        capture_output=True,
    )
    return nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)


def assert_same_release(ours, theirs) -> None:
    assert [(c.cell_type, c.source, c.id) for c in ours.cells] == [
        (c.cell_type, c.source, c.id) for c in theirs.cells
    ]
    assert [c.metadata for c in ours.cells] == [c.metadata for c in theirs.cells]


@pytest.mark.parametrize(
    "asked", ['{{ question("why", points=2) }}', '{% call question("why", points=2) %}So.{% endcall %}']
)
def test_nbgrader_makes_the_same_release(week, tmp_path, asked):
    source = build_source(week(LESSON.replace('{{ question("why", points=2) }}', asked)))
    assert_same_release(clear_solutions(source), generate(tmp_path, "week01_numbers", source))


WEEKS = sorted(p.parent.name for p in (ROOT / "assignments").glob("*/lesson.md"))


@pytest.fixture(scope="module")
def course() -> Course:
    return Course(ROOT, "test", "0" * 32)


@pytest.mark.parametrize("name", WEEKS)
def test_every_week_is_built_and_released_without_its_solutions(course, name):
    here = course.week(name)
    source = build_source(here)
    release = clear_solutions(source)
    graded = [c.metadata.nbgrader.grade_id for c in release.cells if "nbgrader" in c.metadata]
    assert {e.name for e in here.exercises} <= set(graded)
    for e in here.exercises:
        solution, stub = cell(source, e.name).source, cell(release, e.name).source
        assert BEGIN in solution and END in solution and "require(" not in solution
        assert BEGIN not in stub and "raise NotImplementedError()" in stub
        assert type(ast.parse(stub).body[0]) is type(ast.parse(solution).body[0])


def test_the_notebook_of_a_week_runs_from_top_to_bottom(course, tmp_path, monkeypatch):
    """Also its release with the answers put back, which is what a perfect student hands in."""
    from nbclient import NotebookClient

    here = course.week("week07_vae")
    answers = {e.name: marked_source(e.reference) for e in here.exercises}
    notebook = solve(clear_solutions(build_source(here)), answers)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    setup = next(c for c in notebook.cells if c.cell_type == "code")
    setup.source = setup.source.replace(
        "from autograder import load_checks", "load_checks = lambda name: print"
    )
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(tmp_path))
    assert all(c.execution_count for c in notebook.cells if c.cell_type == "code")
