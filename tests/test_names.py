"""Names of students become names of files, and no two of them the same one."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.names import DEVICES, clean, unused


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Zoë Müller-Lüdenscheidt", "Zoë Müller-Lüdenscheidt"),
        ("李小龍", "李小龍"),
        ("ש. אגנון", "ש. אגנון"),
        ("o'brien+ml@x.edu", "o'brien+ml@x.edu"),
        ("Zoe\u0308", "Zoë"),
        ("a\nb\x1b[31m\u202e", "a_b_[31m_"),
        ("a\u200bb\u3164c\u2800", "a_b_c_"),
        ("a\ttab", "a_tab"),
        ("..", "unnamed"),
        ("...", "unnamed"),
        ("", "unnamed"),
        (".hidden", "hidden"),
        ("a/../b", "a_.._b"),
        ("a\\..\\b", "a_.._b"),
        ("C:<b>", "C__b_"),
        ("  a   b. ", "a b"),
        ("con", "con_"),
        ("NUL.txt", "NUL.txt_"),
        ("console", "console"),
        ("x" * 10_000, "x" * 120),
        ("é" * 100, "é" * 60),
        ("\ud800", "_"),
        (os.fsdecode(b"\xff"), "_"),
    ],
)
def test_names_are_safe_and_honest_ones_are_left_alone(name: str, expected: str) -> None:
    assert clean(name) == expected


@given(st.text())
def test_any_text_becomes_one_part_of_a_path(text: str) -> None:
    name = clean(text)
    assert name and name not in (".", "..") and not set(name) & set('/\\:*?"<>|\0')
    assert len(name.encode()) <= 121 and name == name.strip()
    assert all(unicodedata.category(c)[0] != "C" for c in name)
    assert not DEVICES.fullmatch(name)
    assert clean(name) == name


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ada", "bob"], ["ada", "bob"]),
        (["ada", "ada", "ada"], ["ada", "ada-2", "ada-3"]),
        (["ada", "Ada", "ADA-2"], ["ada", "Ada-2", "ADA-2-2"]),
        (["ada-2", "ada", "ada"], ["ada-2", "ada", "ada-3"]),
        (["straße", "STRASSE"], ["straße", "STRASSE-2"]),
        (["ﬁn", "fin"], ["ﬁn", "fin-2"]),
        (["Ａda", "ada"], ["Ａda", "ada-2"]),
    ],
)
def test_names_that_a_file_system_may_take_for_the_same_are_told_apart(names, expected) -> None:
    taken: dict[str, int] = {}
    assert [unused(name, taken) for name in names] == expected


def test_the_ending_of_a_file_stays_at_its_end() -> None:
    taken: dict[str, int] = {}
    assert [unused("a", taken, ".py") for _ in range(2)] == ["a.py", "a-2.py"]
    assert unused("a", taken, ".ipynb") == "a.ipynb"


def test_a_great_many_of_one_name_take_no_great_time() -> None:
    """Counted in look-ups, so that it doesn't depend on the machine."""

    class Counting(dict):
        looked_up = 0

        def __contains__(self, key: object) -> bool:
            Counting.looked_up += 1
            return super().__contains__(key)

    taken = Counting()
    assert len({unused("a", taken) for _ in range(5_000)}) == 5_000
    assert Counting.looked_up <= 3 * 5_000
