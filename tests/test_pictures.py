"""Pictures show matrices and series, and nothing else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
import torch

from autograder.literals import shown
from autograder.pictures import picture

MATRIX = torch.tensor([[1.0, 0.0, float("nan")], [0.5, 0.25, float("inf")]])
SERIES = torch.linspace(0, 1, 8) ** 2


def test_a_matrix_is_a_heat_map_with_the_first_difference_framed() -> None:
    other = MATRIX.clone()
    other[1, 0] = 0.7
    root = ET.fromstring(picture(shown(MATRIX), shown(other), "[1, 0]"))
    cells = [r for r in root.iter("rect") if r.get("fill", "").startswith("#") and r.get("height") == "24.0"]
    assert len(cells) == 12 and sum(r.get("fill") == "none" for r in root.iter("rect")) == 2
    assert [a.get("fill") == b.get("fill") for a, b in zip(cells[:6], cells[6:], strict=True)] == [
        *(True, True, True),
        *(False, True, True),
    ]
    assert [t.text for t in root.iter("text")] == ["expected", "your result", "0 to 1"]


def test_masks_are_matrices_and_of_stacked_ones_the_different_is_drawn() -> None:
    right = torch.tril(torch.ones(3, 4, 4)).bool()
    wrong = right.clone()
    wrong[2, 0, 1] = True
    root = ET.fromstring(picture(shown(right), shown(wrong), "[2, 0, 1]"))
    assert [t.text for t in root.iter("text")][:2] == ["expected [2]", "your result [2]"]


def test_a_series_is_two_curves_with_gaps_where_there_is_no_number() -> None:
    wrong = SERIES.sqrt()
    wrong[3] = float("nan")
    root = ET.fromstring(picture(shown(SERIES), shown(wrong)))
    _, right, _, mine, _ = (path.get("d", "") for path in root.iter("path"))
    assert right.count("M") == 1 and right.count("L") == 7
    assert mine.count("M") == 2 and mine.count("L") == 5


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ("1.0", "2.0"),
        ("[1.0, 2.0]  # shape (2,)", "[1.0, 3.0]  # shape (2,)"),
        (shown(MATRIX), shown(MATRIX.T)),
        (shown(MATRIX), "no gradient"),
        (shown(SERIES), "[0.0, 0.02, 0.0…"),
        ("[[1.0], [2.0, 3.0]]", "[[1.0], [2.0, 4.0]]"),
        ("[]  # shape (0,)", "[]  # shape (0,)"),
        ("['a', 'b', 'c', 'd', 'e']", "['a', 'b', 'c', 'd', 'f']"),
        (shown(MATRIX), "__import__('os').system('x')"),
    ],
)
def test_where_a_picture_says_nothing_there_is_none(expected: str, got: str) -> None:
    assert picture(expected, got, "[0]") == ""


def test_what_untrusted_notebooks_leave_of_it_can_be_read() -> None:
    for made in (picture(shown(MATRIX), shown(2 * MATRIX)), picture(shown(SERIES), shown(1 - SERIES))):
        text = " ".join("".join(ET.fromstring(made).itertext()).split())
        assert re.fullmatch(r"Trust this notebook to see a picture: expected your result \d to \d", text)


def test_numbers_alone_get_into_it() -> None:
    made = picture(shown(MATRIX), shown(2 * MATRIX), "[0, 0]<script>")
    assert "<script" not in made and not re.search(r"style|on\w+=|http", made)
