"""The documentation builds, needs nothing from outside, and says what is so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from autograder import author
from autograder.cli import main
from tests.conftest import ROOT

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
