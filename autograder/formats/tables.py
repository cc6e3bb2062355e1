"""Tables that learning platforms give out and take back: reading them, and finding students in them."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from autograder.scores import escaped


class TableError(ValueError):
    """A table in which something is not where it should be; the message says what, and the way out."""


def read(text: str) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a CSV with commas, semicolons or tabs, rows as long as the header.

    Raises:
        TableError: there is no header.
    """
    first = text.removeprefix("\ufeff").partition("\n")[0]
    separator = max(",;\t", key=first.count)
    lines = io.StringIO(text.removeprefix("\ufeff"), newline="")
    rows = list(csv.reader(lines, delimiter=separator))
    header = rows.pop(0) if rows else []
    if not any(header):
        raise TableError("the table is empty: take the file as the platform gives it out")
    width = len(header)
    return header, [(row + [""] * width)[:width] for row in rows if any(cell.strip() for cell in row)]


def written(header: Sequence[str], rows: Iterable[Sequence[str]], html: int | None = None) -> str:
    """A CSV in which no spreadsheet calculates anything; the column `html` holds no sign of a formula."""
    file = io.StringIO(newline="")
    table = csv.writer(file)
    table.writerow(map(escaped, header))
    table.writerows([c if i == html else escaped(c) for i, c in enumerate(row)] for row in rows)
    return file.getvalue()


def column(header: Sequence[str], name: str) -> int | None:
    """The place of a column, whatever its case."""
    folded = [title.strip().casefold() for title in header]
    return folded.index(name.strip().casefold()) if name.strip().casefold() in folded else None


class Students:
    """Who is in which row, by whatever is said of them: a value that two rows share finds neither."""

    def __init__(self, rows: Iterable[tuple[int, Iterable[str]]]) -> None:
        self._rows: dict[str, int | None] = {}
        for row, values in rows:
            for key in {_key(value) for value in values} - {""}:
                self._rows[key] = row if self._rows.get(key, row) == row else None

    def find(self, *names: str) -> int | None:
        """The row of the first of these names that is known."""
        found = (self._rows.get(_key(name)) for name in names)
        return next((row for row in found if row is not None), None)


def _key(value: str) -> str:
    return " ".join(unicodedata.normalize("NFC", value).casefold().split())


def once(found: Mapping[str, int | None]) -> list[str]:
    """The students who were found in the same row as another one."""
    rows = list(found.values())
    return [student for student, row in found.items() if row is not None and rows.count(row) > 1]
