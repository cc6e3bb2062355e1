"""What all tests share: one thread for torch, the course of this repository, one zygote per worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from autograder.course import Course
from autograder.guests import Zygote

torch.set_num_threads(1)

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
def clean_zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote
