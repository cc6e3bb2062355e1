"""check(...) as students meet it: in a real kernel, in a terminal, and where the file of checks is amiss."""

from __future__ import annotations

import functools
import math
import os
import random
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from nbclient import NotebookClient
from nbformat import NotebookNode, v4

from autograder import load_checks, notebooks
from autograder.course import Course
from autograder.display import exercise_html, exercise_text
from autograder.literals import shown
from autograder.release import release
from autograder.results import CheckResult, Counterexample, ExerciseResult
from autograder.student import Check
from reference_impl import vae
from tests.conftest import ROOT
from tests.sample_reports import hostile

WEEK = "week07_vae"
KL = "kl_to_standard_normal"
MARKED = "<strong style=[^>]*>(.*?)</strong>"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What students get of week 7."""
    folder = tmp_path_factory.mktemp("bundles")
    release(Course.load(ROOT), WEEK, folder, force_unqualified=True)
    return folder / WEEK


@pytest.fixture(scope="module")
def check(bundle: Path) -> Check:
    return load_checks(WEEK, bundle)


# In a kernel


class Kernel:
    """The released notebook in a kernel, its cells sent with their ids as JupyterLab does."""

    def __init__(self, notebook: NotebookNode, folder: Path) -> None:
        self.cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
        self._client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}})

    def __enter__(self) -> Kernel:
        self._context = self._client.setup_kernel()
        self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(*error)

    def run(self, cell: str, source: str | None = None) -> NotebookNode:
        """Run a cell, with another source where one is given, and return it with its outputs."""
        if cell not in self.cells:
            self.cells[cell] = v4.new_code_cell(id=cell)
            self._client.nb.cells.append(self.cells[cell])
        node = self.cells[cell]
        node.source = node.source if source is None else source
        self._client.kc.session.metadata = {"cellId": cell}
        return self._client.execute_cell(node, self._client.nb.cells.index(node))

    def said(self, cell: str, source: str | None = None) -> str:
        """What a cell prints, or its value as text."""
        return "".join(o.get("text") or o["data"]["text/plain"] for o in self.run(cell, source).outputs)


@pytest.fixture(scope="module")
def kernel(bundle: Path) -> Iterator[Kernel]:
    """A kernel that has run the whole notebook with the model solution."""
    released = nbformat.read(bundle / f"{WEEK}.ipynb", 4)
    answers = {e.name: notebooks.marked_source(e.reference) for e in Course.load(ROOT).week(WEEK).exercises}
    with Kernel(notebooks.solve(released, answers), bundle) as kernel:
        for cell in list(kernel.cells):
            kernel.run(cell)
        yield kernel


def test_the_model_solution_passes_in_a_kernel(kernel: Kernel) -> None:
    checks = [cell for name, cell in kernel.cells.items() if name.startswith("check_")]
    assert len(checks) == len(Course.load(ROOT).week(WEEK).exercises)
    for cell in checks:
        assert [o.output_type for o in cell.outputs] == ["execute_result"]
        data = cell.outputs[0].data
        assert re.fullmatch(r"✓ \w+: passed, (\d) of \1 public checks pass", data["text/plain"])
        assert "✓ passed" in data["text/html"] and "<script" not in data["text/html"]


@pytest.fixture
def fresh(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel, with the right answer put back afterwards."""
    right = kernel.cells[KL].source
    yield kernel
    kernel.run(KL, right)


STATE = """
import random, numpy
def state():
    return random.getstate(), repr(numpy.random.get_state()), torch.get_rng_state().tolist()
"""
NOISY = """
import warnings
def kl_to_standard_normal(mu, logvar):
    print("trying")
    warnings.warn("careful")
    plt.figure()
    if mu.numel() == 1:
        plt.show()
    torch.rand(3); random.random(); numpy.random.rand()
    torch.set_grad_enabled(False)
    display(mu)
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)
"""


def test_a_check_leaves_no_trace_in_the_kernel(fresh: Kernel) -> None:
    fresh.run("backend", "%matplotlib inline")
    fresh.run("state", STATE + "\nrandom.seed(1); numpy.random.seed(2); torch.manual_seed(3)")
    fresh.run(KL, NOISY)
    cell = fresh.run(
        "probe",
        "old, mine = plt.figure(), plt.figure()\nbefore = state()\nfeedback = check(kl_to_standard_normal)\n"
        "print(state() == before, plt.get_fignums() == [old.number, mine.number], plt.gcf() is mine, "
        "torch.is_grad_enabled(), feedback.passed, feedback.result.notes)\nplt.close('all')",
    )
    printed = "what your code prints is left out here: run an example to see it"
    assert [o.output_type for o in cell.outputs] == ["stream"], cell.outputs
    assert cell.outputs[0].text == f"True True True True True {[printed]!r}\n"


def test_cells_out_of_order_are_noticed(fresh: Kernel) -> None:
    right = fresh.cells[KL].source
    fresh.run("helper", "def half(x):\n    return x / 2")
    fresh.run(KL, f"def {KL}(mu, logvar):\n    return half(mu**2 + logvar.exp() - 1 - logvar).sum(-1)")
    assert "Note" not in fresh.said(f"check_{KL}")
    fresh.run("helper", "pass")
    said = fresh.said(f"check_{KL}")
    gone = f"`half`, which `{KL}` uses, is defined by no cell any more: in a fresh run it would be missing"
    assert said.startswith("✓") and f"Note: {gone}" in said
    fresh.run(KL, right)
    assert "Note" not in fresh.said(f"check_{KL}")


MEAN = """
def kl_to_standard_normal(m, s):
    return 0.5 * (m**2 + torch.exp(s) - 1 - s).mean(dim=-1)
"""


def test_a_wrong_function_is_explained_by_code_that_shows_it(fresh: Kernel) -> None:
    right = fresh.cells[KL].source
    fresh.run(KL, MEAN)
    data = fresh.run(f"check_{KL}").outputs[0].data
    html, text = data["text/html"], data["text/plain"]
    misconception = "You average over the latent dimensions; the KL of independent dimensions adds up."
    assert f"What probably went wrong:</strong> {misconception}" in html and misconception in text
    panels = [unescape(re.sub("<[^>]+>", "", p)) for p in re.findall("<pre[^>]*>(.*?)</pre>", html, re.S)]
    expected, got, code = panels
    assert re.findall(MARKED, html) == [expected.strip("[]"), got.strip("[]")]
    assert code in text
    pasted = fresh.said("paste", code)
    assert pasted.startswith(f"tensor({got[:5]}"), "what the student's function really gives"
    fresh.run(KL, right)
    assert fresh.said("paste", code).startswith(f"tensor({expected[:5]}")
    assert fresh.said(f"check_{KL}").startswith("✓")


# In plain Python


def test_a_terminal_shows_text(bundle: Path) -> None:
    program = f"from autograder import load_checks\ncheck = load_checks('{WEEK}')\nprint(check)\n{MEAN}"
    run = subprocess.run(
        [sys.executable, "-c", f"import torch\n{program}print(check({KL}))"],
        cwd=bundle, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, *rest = run.stdout.splitlines()
    assert first == f"<checks of {WEEK}>"
    assert rest[0] == f"✗ {KL}: not yet, 2 of 3 public checks pass"
    assert rest[1].startswith("  What probably went wrong: You average")
    assert any(line.startswith("mu = torch.tensor(") for line in rest), "code that can be copied"


class _Callable:
    def __call__(self, m, s):
        return vae.kl_to_standard_normal(m, s)


def _elsewhere(mean, log_variance):
    return vae.kl_to_standard_normal(mean, log_variance)


@pytest.mark.parametrize(
    "function",
    [
        _elsewhere,
        lambda *both: vae.kl_to_standard_normal(*both),
        functools.partial(lambda scale, a, b: scale * vae.kl_to_standard_normal(a, b), 1.0),
        _Callable(),
        _Callable().__call__,
        functools.lru_cache(lambda *both: vae.kl_to_standard_normal(*both)),
    ],
)
def test_whatever_can_be_called_can_be_checked(check: Check, function: Any) -> None:
    names = {"check": check, KL: function}
    for call in (f"check({KL})", f"check('{KL}')"):
        assert eval(call, names).passed


def test_names_decide_which_exercise_is_meant(check: Check) -> None:
    assert check(vae.elbo).result.name == "elbo"
    swapped = {"check": check, "elbo": vae.vae_loss}
    assert eval("check(elbo)", swapped).result.name == "elbo"
    with pytest.raises(ValueError, match=r"'_elsewhere' is no exercise of week07_vae: .*reparameterize, kl_"):
        check(_elsewhere)
    with pytest.raises(TypeError, match=r"wants the function itself, as in check\(reparameterize\), not Ten"):
        check(torch.ones(1))
    assert check(KL).result.status == "missing"


def test_an_exercise_that_calls_a_wrong_one_says_where_to_begin(check: Check) -> None:
    source = """
def kl_to_standard_normal(mu, logvar):
    raise NotImplementedError()
def elbo(x, logits, mu, logvar):
    return bernoulli_log_likelihood(logits, x) - kl_to_standard_normal(mu, logvar)
"""
    names = {"check": check, "bernoulli_log_likelihood": vae.bernoulli_log_likelihood}
    exec(source, names)
    note = "it calls your `kl_to_standard_normal`, which does not pass its own checks yet: begin there"
    assert names["check"](names["elbo"]).result.notes == []  # called from here, where these names are not
    assert eval("check(elbo)", names).result.notes == [note]
    assert eval("check(kl_to_standard_normal)", names).result.notes == []


def test_random_state_and_figures_stay_in_plain_python(check: Check, capsys: pytest.CaptureFixture) -> None:
    def noisy(mu, logvar):
        print("trying", file=sys.stderr)
        return vae.kl_to_standard_normal(mu, logvar) + 0 * torch.rand(()) * random.random() * np.random.rand()

    def draws() -> list[float]:
        return [random.random(), np.random.rand(), torch.rand(()).item()]

    for function in (noisy, _raising):
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()
        expected = draws()
        random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
        eval(f"check({KL})", {"check": check, KL: function})
        assert draws() == expected
    assert capsys.readouterr() == ("", "")


def _raising(mu, logvar):
    torch.manual_seed(5)
    raise SystemExit


def test_interrupting_a_check_puts_everything_back(check: Check) -> None:
    def interrupted(mu, logvar):
        torch.manual_seed(5)
        raise KeyboardInterrupt

    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        eval(f"check({KL})", {"check": check, KL: interrupted})
    assert torch.equal(torch.get_rng_state(), before) and sys.stdout is not None


def test_every_exercise_is_checked_in_less_than_a_second(check: Check) -> None:
    names = {"check": check, **{n: getattr(vae, n) for n in check._bench.functions}}
    for name in check._bench.functions:
        begun = time.process_time()
        assert eval(f"check({name})", names).passed
        assert time.process_time() - begun < 1


# The display


def _shown(message: str, expected: Any, got: Any, where: str = "") -> str:
    example = Counterexample("f(x)", shown(expected), shown(got), where)
    check = CheckResult("c", "It is right.", "public", "failed", 0, 1, message, example)
    return exercise_html(ExerciseResult("f", 0, 1, [check], "failed"))


def test_the_first_difference_is_marked_in_a_matrix_with_a_line_per_row() -> None:
    got = torch.tensor([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    expected = got.clone()
    expected[1, 0, 1] = 0.5
    html = _shown(
        "a different value at [1, 0, 1] (1 of 8 elements): expected 0.5, got 6", expected, got, "[1, 0, 1]"
    )
    assert "A different value at [1, 0, 1] (1 of 8 elements)</div>" in html
    assert re.findall(MARKED, html) == ["0.5", "6.0"]
    assert "[[[1.0, 2.0],\n  [3.0, 4.0]],\n [[5.0, " in html
    assert html.count("shape (2, 2, 2)") == 2
    part = _shown(
        "a different value at [0][1]: expected 3, got 2", torch.tensor([1.0, 3.0]), got[0, 0], "[0][1]"
    )
    assert re.findall(MARKED, part) == ["3.0", "2.0"], "one of several outputs"


def test_rows_stay_whole_and_matrices_without_room_stand_one_below_the_other() -> None:
    widths = []
    for columns in (2, 6):
        got = torch.full((2, columns), math.pi)
        got[1, 0] = math.nan
        html = _shown("a different value at [1, 0]", torch.full((2, columns), math.pi), got, "[1, 0]")
        assert html.count('white-space:pre">[[') == 2 and ">nan</strong>" in html and "float(" not in html
        widths += [float(w) for w in re.findall(r"flex:1 1 ([\d.]+)em", html)]
    assert widths[0] == widths[1] == 16 and widths[2] == widths[3] > 27, "half of 54 em is the room for one"


def test_what_can_not_be_seen_is_not_shown_side_by_side() -> None:
    one = torch.ones(1)
    html = _shown("expected torch.float32, got torch.float64", one, one.double())
    assert "your result" not in html and "Expected torch.float32, got torch.float64" in html
    assert "expected above, shape" in _shown(
        "not above the bound: expected above 1, got 0", one, 0 * one, "[0]"
    )


def test_nothing_that_a_student_writes_is_taken_for_html() -> None:
    for exercise in hostile().exercises:
        html = exercise_html(exercise)
        assert not re.search("<(script|img|a|style|iframe)\\b", html) and "\x1b" not in html
        assert "\x1b" not in exercise_text(exercise)


# Without the file, or with another


def test_a_missing_file_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "week07_vae.checks (1).txt").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load_checks(WEEK)
    said = str(caught.value)
    assert str(tmp_path) in said and "week07_vae.checks (1).txt" in said and "folder=" in said


def test_the_file_is_found_from_a_folder_below(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = bundle / "deeper"
    below.mkdir()
    monkeypatch.chdir(below)
    assert repr(load_checks(WEEK)) == "<checks of week07_vae>"


def test_damaged_files_are_told_from_right_ones(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / f"{WEEK}.checks"
    right = (bundle / path.name).read_bytes()
    rng = random.Random(0)
    flipped = [bytearray(right) for _ in range(20)]
    for data in flipped:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    cut = [right[: rng.randrange(len(right))] for _ in range(20)]
    others = [b"", b"<html>Please log in</html>", zlib.compress(b"nonsense"), right[:-1], os.urandom(1000)]
    for data in [*flipped, *cut, *others]:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="is damaged: take it from the assignment's folder again"):
            load_checks(WEEK, tmp_path)


def test_in_a_guest_the_judge_asks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("autograder._environment.IN_GUEST", True)
    check = load_checks("week99_unknown")
    assert check(F.relu) is None
    assert capsys.readouterr().out == "The judge checks this when the notebook is graded.\n"
