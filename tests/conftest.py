"""What tests share: one thread for torch, the course of this repository, one zygote per worker, a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from autograder.course import Course
from autograder.guests import Zygote
from tests import small_course

torch.set_num_threads(1)

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--levels",
        choices=("best", "all"),
        default="best",
        help="Attack the best confinement that this machine has, or all that it has.",
    )


@pytest.fixture(scope="session")
def course() -> Course:
    return Course.load(ROOT)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small course, to be left as it is."""
    return small_course.write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def clean_zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


@pytest.fixture(scope="session")
def small_reports(small: Path, clean_zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of the small course's class, beside submitted/; to be left as they are."""
    return small_course.grade(small, tmp_path_factory.mktemp("class"), clean_zygote)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'genai-autograder[dev]'")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield chromium
        chromium.close()
