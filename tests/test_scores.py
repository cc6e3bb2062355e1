"""A table of scores says what the reports say, and a spreadsheet calculates nothing in it."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
import sample_reports
from hypothesis import given
from hypothesis import strategies as st

from autograder import scores
from autograder.results import Report
from autograder.scores import escaped


def table(folder: Path, reports: list[Report]) -> list[dict[str, str]]:
    path = folder / "scores.csv"
    scores.write(path, reports)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_student_with_a_column_for_each_exercise(tmp_path: Path) -> None:
    reports = sample_reports.class_of_week_7()
    rows = {row["student"]: row for row in table(tmp_path, reports)}
    assert set(rows) == {r.student for r in reports} and list(rows) == sorted(rows, key=str.casefold)
    for report in reports:
        row = rows[report.student]
        assert row["assignment"] == "week07_vae" and float(row["max"]) == report.max_score
        assert row["status"] == report.status
        if report.status == "graded":
            assert float(row["score"]) == report.score
            for exercise in report.exercises:
                assert row[exercise.name] == ("" if exercise.status == "fault" else f"{exercise.score:g}")


def test_a_fault_of_ours_is_empty_and_what_can_not_be_read_is_zero(tmp_path: Path) -> None:
    fault, unreadable = table(tmp_path, [sample_reports.our_fault(), sample_reports.unreadable()])[::-1]
    assert (fault["student"], fault["score"], fault["status"]) == ("li.wei", "", "fault")
    assert (unreadable["student"], unreadable["score"], unreadable["status"]) == ("grace", "0", "unreadable")
    assert fault["elbo"] == unreadable["elbo"] == ""


def test_several_assignments_share_a_table(tmp_path: Path) -> None:
    first = sample_reports.a_report("ada")
    second = dataclasses.replace(
        first, assignment="week08_gan", exercises=[dataclasses.replace(first.exercises[0], name="generator")]
    )
    rows = table(tmp_path, [second, first])
    assert [row["assignment"] for row in rows] == ["week07_vae", "week08_gan"]
    assert [(row["elbo"] != "", row["generator"] != "") for row in rows] == [(True, False), (False, True)]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(1,1)",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://x.example","y")',
        "\t=1+1",
        "\r=1+1",
        "\n=1+1",
        "  =1+1",
        "\u00a0=1+1",
        "'=1+1",
        '"=1+1',
        "\" '=1+1",
        "＝1+1",
        "＋1+1",
        "－1+1",
        "＠SUM(1)",
        "\x00=1+1",
        "\x1b[31m=1+1",
        "\ufeff=1+1",
        "-",
        "=",
        "-1-1",
        "--1",
        "+A1",
        "-1e5",
    ],
)
def test_what_a_spreadsheet_would_calculate_is_text(text: str) -> None:
    assert escaped(text).startswith("'")
    assert "\r" not in escaped(text) and not escaped(text).startswith(("\t", "\n"))


@pytest.mark.parametrize("text", ["ada;=1+1", "ada,=1+1", "ada\t=1+1", "ada\n=1+1", "ada| =1+1", 'a;b;"@x"'])
def test_nor_where_it_cuts_a_line_at_another_separator(text: str) -> None:
    cells = [cell for line in escaped(text).split("\n") for cell in line.replace(";", ",").split(",")]
    cells = [part for cell in cells for part in cell.replace("|", "\t").split("\t")]
    assert not any(cell.strip(' "').startswith(("=", "@")) for cell in cells)


@pytest.mark.parametrize(
    "text",
    ["-1", "+1", "-0.5", "12", "ada", "ada.lovelace@x.edu", "Zoë Müller-Lüdenscheidt", "o'brien", "a=b",
     "x - y", "Curie, Marie", "a;b", "ש. אגנון", "graded", ""],
)  # fmt: skip
def test_honest_cells_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


@given(st.text())
def test_a_cell_begins_with_nothing_dangerous(text: str) -> None:
    cell = escaped(text)
    assert not cell.startswith(("=", "@", "\t", "\r", "\n"))
    assert not cell.startswith(("+", "-")) or float(cell) is not None


def test_whatever_students_are_called_the_table_has_its_shape(tmp_path: Path) -> None:
    hostile = sample_reports.hostile('=1+1",\r\n"=2+2\x1b[2J\u202e;@x')
    rows = table(tmp_path, [hostile, sample_reports.half_way()])
    assert len(rows) == 2 and all(None not in row for row in rows)
    raw = (tmp_path / "scores.csv").read_bytes()
    assert b"\x1b" not in raw and "\u202e".encode() not in raw
    assert not any(
        str(cell).startswith(("=", "@", "+", "\t")) for row in rows for cell in [*row, *row.values()]
    )
