"""The script that a student gets runs the failing examples with their own notebook."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat import v4

from autograder import repro
from tests import sample_reports

NOTEBOOK = [
    "import torch\nfrom autograder import load_checks\ncheck = load_checks('week07_vae')",
    "%matplotlib inline\n1 / 0",
    "def kl_to_standard_normal(mu, logvar):\n    return (mu**2 + logvar.exp() - logvar - 1).sum(-1)",
    "check(kl_to_standard_normal)",
]


def _notebook(path: Path, cells: list[str]) -> Path:
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells]), path)
    return path


def test_it_shows_what_comes_out_now_beside_what_was_expected(tmp_path: Path) -> None:
    report = sample_reports.a_report("ada", kl_to_standard_normal=sample_reports.wrong_kl())
    script = tmp_path / "ada-repro.py"
    script.write_text(repro.script(report, script.name))
    notebook = _notebook(tmp_path / "mine.ipynb", NOTEBOOK)
    command = [sys.executable, "-I", str(script), str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert "cell 2 does not run: ZeroDivisionError" in done.stdout and "cell 4" not in done.stdout
    example = next(c.counterexample for c in report.exercises[1].checks if c.counterexample)
    assert f"expected: {example.expected}" in done.stdout and f"graded:   {example.got}" in done.stdout
    assert "now:      tensor(" in done.stdout and not done.stderr


def test_nothing_fails_nothing_is_written() -> None:
    assert repro.script(sample_reports.a_report("ada"), "x.py") == ""


def test_what_students_write_stays_text() -> None:
    script = repro.script(sample_reports.hostile(), "x.py")
    assert script.isascii() and "\x1b" not in script
    harmless = repro.script(sample_reports.a_report("ada", elbo=sample_reports.wrong_kl()), "x.py")
    assert _calls(script) == _calls(harmless)


def _calls(source: str) -> set[str]:
    return {ast.unparse(n.func) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)}
