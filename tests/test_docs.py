"""The documentation builds, needs nothing from outside, and says what is so."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import nbformat
import pytest
from click.testing import CliRunner

from autograder import author
from autograder.cli import main
from autograder.course import Course
from autograder.notebooks import solve
from autograder.release import build
from tests import small_course
from tests.conftest import ROOT
from tests.small_course import commands
from tests.test_formats import WORKSHEET

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
CODE = re.compile(r"^```(?:python|toml)\n# (\S+/\S+\.\w+)\n(.*?)^```", re.M | re.S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_in_the_menu() -> None:
    menu = re.findall(r"\b(\w+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert sorted(menu) == [page.name for page in PAGES]


def test_the_site_opens_without_a_network(site: Path) -> None:
    pages = list(site.glob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = re.findall(r"<(?:script|img)[^>]*\bsrc=\"(\S+?)\"", page.read_text())
        loaded += re.findall(r"<link[^>]*rel=\"(?:stylesheet|icon)[^>]*href=\"(\S+?)\"", page.read_text())
        assert not [url for url in loaded if url.startswith(("http:", "https:", "//"))], page.name


def test_what_is_public_is_in_the_reference(site: Path) -> None:
    page = (site / "reference.html").read_text()
    for name in author.__all__:
        assert re.search(rf'id="autograder\.\w+\.{name}"', page), name


def test_code_that_names_a_file_is_in_it() -> None:
    found = 0
    for page in PAGES:
        for path, code in CODE.findall(page.read_text()):
            assert code.rstrip() in (ROOT / path).read_text(), f"{page.name}: {path}"
            found += 1
    assert found >= 10


def test_commands_and_their_options_exist() -> None:
    found = 0
    for page in PAGES:
        for line in re.findall(r"^autograder (.*)$", page.read_text(), re.M):
            words = line.partition("  #")[0].split()
            command: Any = main.commands[words[0]]
            if isinstance(command, click.Group):
                command = command.commands[words[1]]
            known = {option for p in command.params for option in p.opts}
            assert {w.partition("=")[0] for w in words if w.startswith("--")} <= known, line
            found += 1
    assert found >= 5


# The tests that take a page's commands from the page and run them all, but for these.
RUN_BY = {
    "README.md": "test_docs.py",
    "ci.md": "test_ci.py",
    "cluster.md": "test_cluster.py",
    "instructor.md": "test_nbgrader_life.py",
    "pytest.md": "test_pytest_plugin.py",
    "regrading.md": "test_accept.py",
    "student.md": "test_docs.py",
    "writing.md": "test_docs.py",
}
NOT_RUN = {
    "make demo": "makes a virtual environment from the network; test_demo.py grades the same class",
    "make test": "runs this",
    "pip install 'genai-autograder[cluster]'": "takes torch from the network",
    "pip install genai_autograder-*.whl": "takes torch from the network; test_release.py opens it",
}


def test_every_command_is_run_by_a_test() -> None:
    named = {page.name: set(commands(page)) for page in (ROOT / "README.md", *PAGES)}
    assert set.union(*named.values()) >= set(NOT_RUN)
    for page in (ROOT / "README.md", *PAGES):
        assert not re.search("^```(sh|shell|console|zsh)\\b", page.read_text(), re.M), (
            f"{page.name}: say bash"
        )
        if named[page.name] - set(NOT_RUN):
            test = Path(__file__).with_name(RUN_BY[page.name])
            assert f'"{page.name}"' in test.read_text(), f"{page.name}: {test.name} does not read it"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course in which week07_vae is a small week, what its class handed in, and a worksheet; entered."""
    course = small_course.write(tmp_path / "course")
    for kind in ("assignments", "solutions"):
        (course / kind / small_course.WEEK).rename(course / kind / "week07_vae")
    (course / "submitted").mkdir()
    (course / "submitted" / "ada.py").write_text(small_course.SQUARED + small_course.HALF)
    (course / "grades.csv").write_text(WORKSHEET.replace("ada@x.edu", "ada"))
    monkeypatch.chdir(course)
    return course


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/student.md", "docs/writing.md"])
def test_the_commands_of_a_page_work(desk: Path, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "docs/student.md":
        notebook, checks = build(Course.load(desk).week("week07_vae"), desk / "bundle")
        answers = {"squared_error": small_course.SQUARED, "half_error": small_course.HALF}
        nbformat.write(solve(nbformat.read(notebook, 4), answers), desk / notebook.name)
        checks.rename(desk / checks.name)
    for line in commands(ROOT / page):
        if line in NOT_RUN:
            continue
        program, *arguments = shlex.split(line.replace("--exercise elbo", "--exercise squared_error"))
        assert program == "autograder", line
        if in_ci := arguments[0] == "ci":  # in a student's repository, which holds what was released
            shutil.copytree(desk / "bundles" / "week07_vae", desk.parent / "repository")
        monkeypatch.chdir(desk.parent / "repository" if in_ci else desk)
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == (1 if in_ci else 0), f"{line}\n{done.output}"


def test_files_that_are_named_exist() -> None:
    for page in PAGES:
        for path in re.findall(
            r"`((?:autograder|docs|assignments|solutions|tests|benchmarks)/[\w./]+)`", page.read_text()
        ):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_it_can_be_read_in_a_browser(browser: Any, site: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"file://{site}/index.html")
    page.get_by_role("link", name="For students").first.click()
    assert page.locator("h1").first.inner_text().startswith("For students")
    assert page.locator("img").first.evaluate("image => image.complete && image.naturalWidth > 0")
    page.close()
    assert not said
