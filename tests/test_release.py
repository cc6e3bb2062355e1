"""What students get holds all they need, and nothing of the solutions, the hidden checks or the seed."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from pathlib import Path
from textwrap import dedent

import nbformat
import pytest
from click.testing import CliRunner

from autograder import bundle, notebooks, store
from autograder.cli import main
from autograder.course import Course
from autograder.release import ReleaseRefused, release, secrets_in
from tests.conftest import ROOT

VAE = "week07_vae"
SEED = "00112233445566778899aabbccddeeff"
TINY = {
    "course.toml": f'title = "Tiny"\nseed = "{SEED}"\n',
    "tiny_references/__init__.py": '"""References of a course with one exercise."""\n',
    "tiny_references/mean.py": '''
        """Averages."""

        from jaxtyping import Float
        from torch import Tensor


        def weighted_mean(x: Float[Tensor, "n"], w: Float[Tensor, "n"]) -> Float[Tensor, ""]:
            """The mean of x with weights w, which are positive and need not add up to 1."""
            weighted_total = (w * x).sum()
            return weighted_total / w.sum()
        ''',
    "assignments/week01_tiny/assignment.py": '''
        """Week 1."""

        from autograder.author import Assignment, exercise, positive
        from tiny_references import mean

        assignment = Assignment(
            "Averages", [exercise(mean.weighted_mean, inputs={"w": positive()}, differentiable=["x"])]
        )
        ''',
    "assignments/week01_tiny/lesson.md": "# Averages\n\nSome count more. {{ exercise('weighted_mean') }}\n",
    "assignments/week01_tiny/public_checks.py": '''
        """Week 1: the checks that students have too."""

        import torch

        from autograder.author import check, close


        @check("weighted_mean")
        def keeps_constants(weighted_mean, w):
            """The mean of equal numbers is that number."""
            close(weighted_mean(3 * torch.ones_like(w), w), 3 * torch.ones_like(w).mean())
        ''',
    "assignments/week01_tiny/hidden_checks.py": '''
        """Week 1: the checks that only the instructor has."""

        from autograder.author import check, close


        @check("weighted_mean")
        def forgets_the_scale_of_weights(weighted_mean, x, w):
            """Weights that are all doubled give the same mean."""
            close(weighted_mean(x, 2 * w), weighted_mean(x, w))
        ''',
    "solutions/week01_tiny/accepted.py": '''
        """Right answers."""

        from autograder.author import accepted


        @accepted("weighted_mean")
        def with_shares(x, w):
            return (x * (w / w.sum())).sum()
        ''',
    "solutions/week01_tiny/mistakes.py": '''
        """Wrong answers."""

        from autograder.author import mistake


        @mistake("weighted_mean", "You divide by the number of weights, not by their sum.")
        def divided_by_the_number(x, w):
            return (w * x).mean()


        @mistake("weighted_mean", "You forget to divide.")
        def a_sum(x, w):
            return (w * x).sum()


        @mistake("weighted_mean", "You leave the weights out.")
        def unweighted(x, w):
            return x.mean()
        ''',
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A course with one exercise."""
    root = tmp_path / "course"
    for name, text in TINY.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(dedent(text).lstrip("\n"))
    path = list(sys.path)
    yield root
    sys.path[:] = path
    for name in [n for n in sys.modules if n.split(".")[0] == "tiny_references"]:
        del sys.modules[name]


def _add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + dedent(text))


# What is refused


def test_a_small_course_of_another_instructor_is_released(tiny: Path, tmp_path: Path) -> None:
    paths = release(Course.load(tiny), "week01", tmp_path / "out")
    assert [p.name for p in paths[:3]] == ["week01_tiny.ipynb", "week01_tiny.checks", "README.md"]
    assert all(p.is_file() and p.parent == tmp_path / "out" / "week01_tiny" for p in paths)
    with pytest.raises(ReleaseRefused, match="is not empty: release into a new folder"):
        release(Course.load(tiny), "week01", tmp_path / "out", force_unqualified=True)


def test_a_week_that_does_not_qualify_is_not_released(tiny: Path, tmp_path: Path) -> None:
    wrong = """

        @accepted("weighted_mean")
        def nearly_right(x, w):
            return (w * x).sum() / (w.sum() + 1e-3)
        """
    _add(tiny / "solutions" / "week01_tiny" / "accepted.py", wrong)
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["release", "1", "--to", str(out), "--course", str(tiny)])
    assert result.exit_code == 1
    assert "does not qualify, so it is not released" in result.output
    assert "weighted_mean: accepted nearly_right" in result.output
    assert not out.exists()


SOLUTION, HIDDEN = "weighted_total = (w * x).sum()", "close(weighted_mean(x, 2 * w), weighted_mean(x, w))"


def test_a_solution_left_in_the_notebook_is_not_released(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "clear_solutions", lambda notebook: notebook)
    with pytest.raises(ReleaseRefused) as caught:
        release(Course.load(tiny), "week01", tmp_path / "out", force_unqualified=True)
    assert f"a line of the solution of weighted_mean in week01_tiny.ipynb: {SOLUTION!r}" in str(caught.value)
    assert not (tmp_path / "out" / "week01_tiny").exists(), "nothing is left to be sent by mistake"


def test_public_checks_that_give_the_solution_away_are_not_released(tiny: Path, tmp_path: Path) -> None:
    leak = f'''

        @check("weighted_mean")
        def is_the_formula(weighted_mean, x, w):
            """It is the quotient of two sums."""
            {SOLUTION}
            close(weighted_mean(x, w), weighted_total / w.sum())
        '''
    _add(tiny / "assignments" / "week01_tiny" / "public_checks.py", leak)
    with pytest.raises(ReleaseRefused, match=r"the solution of weighted_mean in week01_tiny\.checks"):
        release(Course.load(tiny), "week01", tmp_path / "out", force_unqualified=True)


def test_a_planted_line_is_found_in_every_file(tiny: Path, tmp_path: Path) -> None:
    course = Course.load(tiny)
    week = course.week("week01")
    notebook, checks, readme, wheel = release(course, "week01", tmp_path / "out", force_unqualified=True)
    assert secrets_in(week, [notebook, checks, readme, wheel]) == []
    format_, content = store.unpack(checks.read_bytes())
    planted = {
        "the solution of weighted_mean": "    " + SOLUTION.replace(" ", "  "),
        "the hidden checks": HIDDEN,
        "the titles of hidden checks": "Weights that are all doubled give the same mean.",
        "the seed": f"seed = {SEED}",
    }
    for what, line in planted.items():
        paths = [tmp_path / f"planted{p.suffix}" for p in (notebook, checks, readme, wheel)]
        nb = nbformat.read(notebook, 4)
        nb.cells[0].source += f"\n{line}"
        nbformat.write(nb, paths[0])
        store.save(paths[1], format_, {**content, "stubs": content["stubs"] + f"\n{line}\n"})
        paths[2].write_text(readme.read_text() + line)
        shutil.copy(wheel, paths[3])
        with zipfile.ZipFile(paths[3], "a") as archive:
            archive.writestr("genai_autograder.dist-info/NOTES", line)
        for path in paths:
            found = [found.split(" in planted")[0] for found in secrets_in(week, [path])]
            ours = "titles" in what and path.suffix == ".whl"  # the package's example may have such a title
            assert found == ([] if ours else [f"a line of {what}"]), path


# What is in the bundle of a real week


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    paths = release(Course.load(ROOT), VAE, tmp_path_factory.mktemp("bundle"), force_unqualified=True)
    return {path.suffix: path for path in paths}


def test_the_wheel_holds_the_engine_and_its_templates_alone(files: dict[str, Path]) -> None:
    with zipfile.ZipFile(files[".whl"]) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(next(n for n in names if n.endswith("/METADATA"))).decode())
        everything = "\n".join(archive.read(n).decode() for n in names)
    engine = {str(p.relative_to(ROOT)) for p in (ROOT / "autograder").rglob("*.py")}
    templates = {
        f"autograder/templates/{p.relative_to(ROOT / 'templates')}"
        for p in (ROOT / "templates").rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert engine | templates <= names
    others = names - engine - templates
    assert all(re.match(r"autograder/[a-z.]+\.json$|genai_autograder-[\d.]+\.dist-info/", n) for n in others)
    needed = {re.split(r"[^\w-]", r)[0] for r in metadata.get_all("Requires-Dist") if "extra ==" not in r}
    assert {"torch", "numpy", "hypothesis", "jaxtyping"} <= needed
    assert not needed & {"nbgrader", "dask", "distributed", "scipy", "nbconvert", "playwright", "pytest"}
    assert Course.load(ROOT).seed not in everything


def test_the_checks_hold_answers_but_no_code_that_gives_them(files: dict[str, Path]) -> None:
    content = repr(store.unpack(files[bundle.SUFFIX].read_bytes()))
    week = Course.load(ROOT).week(VAE)
    assert "reference_impl" not in content
    for solution in week.solutions:
        assert f"def {solution.name}(" not in content and f"class {solution.name}(" not in content
    hidden = [c for c in week.checks if c.tier == "hidden" and not c.battery]
    assert hidden and not any(c.name in content or c.title in content for c in hidden)


def test_the_released_notebook_is_one_of_nbgrader(files: dict[str, Path]) -> None:
    notebook = nbformat.read(files[".ipynb"], 4)
    nbformat.validate(notebook)
    week = Course.load(ROOT).week(VAE)
    cells = {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}
    for exercise in week.exercises:
        answer, check = cells[exercise.name], cells[f"check_{exercise.name}"]
        assert answer.metadata.nbgrader.solution and not answer.metadata.nbgrader.locked
        assert "raise NotImplementedError()" in answer.source
        assert inspect.getdoc(exercise.reference).splitlines()[0] in answer.source
        assert check.source == f"check({exercise.name})" and check.metadata.nbgrader.locked
        assert check.metadata.nbgrader.points == week.max_points(exercise.name)
        assert check.metadata.nbgrader.checksum
    assert not any(c.get("outputs") for c in notebook.cells)


def test_the_way_to_begin_names_the_files(files: dict[str, Path]) -> None:
    readme = files[".md"].read_text()
    for path in files.values():
        assert path.name in readme or path.name == "README.md"
    assert f"pip install ./{files['.whl'].name}" in readme and f"autograder check {VAE}.ipynb" in readme


def test_a_bundle_can_be_read_where_the_references_are_not(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [e.name for e in Course.load(ROOT).week(VAE).exercises]
    monkeypatch.setitem(sys.modules, "reference_impl", None)
    with pytest.raises(ImportError):
        importlib.import_module("reference_impl")
    published = bundle.Published.load(files[bundle.SUFFIX])
    assert published.functions == names
    assert {c.tier for c in published.week.checks} == {"public"}
