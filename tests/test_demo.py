"""The sample class, graded through real guests: what the report says of each student."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from autograder.confinement import Limits
from autograder.course import Course
from autograder.demo import WEEK, hand_in
from autograder.display import what_happened
from autograder.grading import bench, grade_submission
from autograder.guests import Zygote
from autograder.results import Report
from autograder.submissions import read_submission
from tests.conftest import ROOT

FULL = ("model", "alternative", "loops", "deletes-checks", "noisy")
LIMITS = dataclasses.replace(Limits(), call_cpu=2.0, cell_cpu=20.0, memory_bytes=1 << 30)
LOSS, KL, GAUSS = "vae_loss", "kl_to_standard_normal", "gaussian_log_likelihood"

# student -> (exercises that lose points, a word of what the report says)
LOSING = {
    "untouched": (None, "not written: everything"),
    "half-done": (
        (
            GAUSS,
            "elbo",
            LOSS,
            "VAE",
            "iwae_bound",
            "vector_quantize",
            "interpolate_latents",
            "conv_vae_tables",
        ),
        "not written: gaussian_log_likelihood, elbo, vae_loss, VAE, iwae_bound",
    ),
    "missing-half": ((KL,), "The factor 1/2 in front of the sum is missing."),
    "wrong-sign": ((LOSS,), "sign is turned"),
    "single-precision": (
        ("reparameterize", KL, "bernoulli_log_likelihood", GAUSS, "elbo", LOSS),
        "precision",
    ),
    "detached": ((LOSS,), "detach"),
    "syntax-error": (("elbo",), "SyntaxError"),
    "crashes": ((LOSS,), "segmentation fault"),
    "exits": ((LOSS,), "exit status 0"),
    "loops-forever": ((LOSS,), "CPU time in one call"),
    "eats-memory": ((LOSS,), "memory"),
    "renames-function": ((KL,), "kl_divergence"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("class")
    hand_in(Course.load(ROOT).week(WEEK), folder)
    return folder


def _grade(folder: Path, student: str, zygote: Zygote) -> Report:
    submission = read_submission(folder / student / WEEK / f"{WEEK}.ipynb", WEEK, student)
    return grade_submission(bench(ROOT, WEEK), submission, zygote, limits=LIMITS)


def test_the_class_is_the_one_expected(folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == set(FULL) | set(LOSING)


@pytest.mark.parametrize("student", FULL)
def test_full_marks(student: str, folder: Path, clean_zygote: Zygote) -> None:
    report = _grade(folder, student, clean_zygote)
    assert (report.status, report.score) == ("graded", report.max_score), what_happened(report)


@pytest.mark.parametrize("student", LOSING)
def test_lost_points_and_why(student: str, folder: Path, clean_zygote: Zygote) -> None:
    report = _grade(folder, student, clean_zygote)
    losing, word = LOSING[student]
    assert report.status == "graded"
    assert word in what_happened(report)
    expected = {e.name for e in report.exercises} if losing is None else set(losing)
    assert {e.name for e in report.exercises if e.score < e.max_score} == expected
    if student == "untouched":
        assert report.score == 0
    if student == "single-precision":
        lost = {c.name for e in report.exercises for c in e.checks if c.points < c.max_points}
        assert lost == {"precision"}


def test_the_same_submission_gets_the_same_bytes(folder: Path, clean_zygote: Zygote) -> None:
    texts = []
    for _ in range(2):
        report = _grade(folder, "missing-half", clean_zygote)
        report.times = {}
        texts.append(report.to_json())
    assert texts[0] == texts[1]
