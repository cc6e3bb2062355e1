"""What students hand in: notebooks, or Python files of the same name, read without trusting a byte.

Nothing here executes anything or follows a link out of its folder, and nothing raises: a submission that
can't be read says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIXES = (".ipynb", ".py")  # in this order of preference
MAX_BYTES = 20_000_000
MAX_CELLS = 2_000


@dataclass(frozen=True)
class Cell:
    """One cell of a submission; `kind` is "code", "markdown" or "raw", `grade_id` is nbgrader's."""

    source: str
    id: str
    kind: str = "code"
    grade_id: str | None = None


@dataclass(frozen=True)
class Submission:
    """What a student handed in: cells in order, or the problems that kept it from being read.

    `digest` is the SHA-256 of the sources of the code cells; with problems there are no cells.
    """

    id: str
    path: Path
    cells: tuple[Cell, ...]
    digest: str
    problems: tuple[str, ...] = ()

    @property
    def code(self) -> tuple[Cell, ...]:
        """The cells that are executed."""
        return tuple(cell for cell in self.cells if cell.kind == "code")


class _Unreadable(Exception):
    """Why a submission can't be read, in words for its author."""


def read_submission(path: Path | str, week_name: str, student: str | None = None) -> Submission:
    """Read a notebook (nbformat 3 or 4), a Python file, or the folder that holds one of them.

    Args:
        path: the file or folder.
        week_name: in a folder, a file of this name is preferred; else there must be just one.
        student: the submission's id; left out, it comes from the path as in `find_submissions`.
    """
    path = Path(path)
    cells: tuple[Cell, ...] = ()
    problems: tuple[str, ...] = ()
    try:
        file = _file_of(path, week_name)
        data = _read(file)
        cells = _identified(_python_cells(data) if file.suffix.lower() == ".py" else _notebook_cells(data))
    except _Unreadable as error:
        problems = (f"{_clean(path.absolute().name)}: {error}",)
    sources = [cell.source for cell in cells if cell.kind == "code"]
    digest = hashlib.sha256(json.dumps(sources).encode()).hexdigest()
    return Submission(student or _student(path, week_name), path, cells, digest, problems)


def find_submissions(paths: Iterable[Path | str], week_name: str) -> list[tuple[str, Path]]:
    """(student, path) of every submission, sorted by path; the path is a file, or the folder that holds it.

    Each of `paths` is a file, one student's folder, a folder of files named after students, or a folder of
    students' folders, such as nbgrader's `submitted`. All students differ, in more than upper and lower case.
    """
    taken: set[str] = set()
    return [
        (_unused(_student(path, week_name), taken), path)
        for start in paths
        for path in sorted(_submissions_in(Path(start), week_name))
    ]


def _submissions_in(path: Path, week_name: str) -> Iterator[Path]:
    if not os.path.isdir(path) or any(week_name + suffix in _names(path) for suffix in SUFFIXES):
        yield path
    elif os.path.isdir(path / week_name):
        yield path / week_name
    else:
        for entry in (path / name for name in os.listdir(path) if not name.startswith((".", "__"))):
            if not os.path.isdir(entry):
                if entry.suffix.lower() in SUFFIXES:
                    yield entry
            elif os.path.isdir(entry / week_name):
                yield entry / week_name
            elif not _holds_folders_only(entry):
                yield entry


def _student(path: Path, week_name: str) -> str:
    """A student's name from the file or, where that is named after the week, from the folder it is in."""
    path = Path(os.path.abspath(path))
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
    names = (name for name in (stem, *(parent.name for parent in path.parents)) if name != week_name)
    return _clean(next(names, ""))


def _clean(name: str) -> str:
    """A name that is safe in paths, pages and terminals: NFC, one line, no separators, at most 120 bytes."""
    name = unicodedata.normalize("NFC", name)
    name = "".join("_" if c in '/\\:*?"<>|' or unicodedata.category(c)[0] == "C" else c for c in name)
    name = " ".join(name.split()).strip(". ").encode()[:120].decode(errors="ignore")
    return name.strip(". ") or "unnamed"


def _unused(name: str, taken: set[str]) -> str:
    """`name`, or the first of name-2, name-3, ... that differs from all taken ones; it is taken then."""
    count, candidate = 1, name
    while candidate.casefold() in taken:
        count += 1
        candidate = f"{name}-{count}"
    taken.add(candidate.casefold())
    return candidate


def _names(folder: Path) -> list[str]:
    """The files of a folder, hidden ones left out."""
    return sorted(n for n in os.listdir(folder) if not n.startswith(".") and not os.path.isdir(folder / n))


def _holds_folders_only(folder: Path) -> bool:
    """Whether this is the folder of a student who has handed in other weeks."""
    try:
        return not _names(folder) and bool(os.listdir(folder))
    except OSError:
        return False  # reading it will say why


def _file_of(path: Path, week_name: str) -> Path:
    """The file to read, inside the folder that it claims to be in."""
    try:
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise _Unreadable("it is a symbolic link that leads out of its folder")
        if not path.is_dir():
            return path
        names = _names(path)
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a name with a zero byte
        raise _Unreadable(_reason(error)) from None
    for suffix in SUFFIXES:
        if week_name + suffix in names:
            return _file_of(path / (week_name + suffix), week_name)
    for suffix in SUFFIXES:
        found = [name for name in names if name.lower().endswith(suffix)]
        if len(found) > 1:
            several = ", ".join(map(_clean, found[:5]))
            raise _Unreadable(f"there are several files ({several}): name one of them {week_name + suffix}")
        if found:
            return _file_of(path / found[0], week_name)
    raise _Unreadable(f"there is no notebook in this folder: {week_name}.ipynb is expected")


def _read(file: Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES."""
    if file.suffix.lower() not in SUFFIXES:
        raise _Unreadable(f"only {' and '.join(SUFFIXES)} files can be read")
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise _Unreadable("it is not a regular file")
        with file.open("rb") as handle:
            data = handle.read(MAX_BYTES + 1)
    except OSError as error:
        raise _Unreadable(_reason(error)) from None
    if len(data) > MAX_BYTES:
        raise _Unreadable(
            f"it is larger than {MAX_BYTES // 1_000_000} MB: clear the outputs and save it again"
        )
    if not data.strip():
        raise _Unreadable("it is empty")
    return data


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()


def _notebook_cells(data: bytes) -> Iterator[Cell]:
    try:
        notebook = json.loads(data)
    except json.JSONDecodeError as error:
        raise _Unreadable(
            f"it is no notebook: no JSON at line {error.lineno} ({error.msg.lower()})"
        ) from None
    except (ValueError, RecursionError):
        raise _Unreadable("it is no notebook: no JSON that can be read") from None
    for number, cell in enumerate(_cells_of(notebook), 1):
        source = cell.get("source", cell.get("input", "")) if isinstance(cell, dict) else None
        lines = [source] if isinstance(source, str) else source
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise _Unreadable(f"it is no notebook: its cell {number} is no text")
        kind = cell.get("cell_type")
        metadata = cell.get("metadata")
        grading = metadata.get("nbgrader") if isinstance(metadata, dict) else None
        grade_id = grading.get("grade_id") if isinstance(grading, dict) else None
        yield Cell(
            _text("".join(lines)),
            cell["id"] if isinstance(cell.get("id"), str) else "",
            kind if kind in ("code", "raw") else "markdown",
            _text(grade_id) if isinstance(grade_id, str) else None,
        )


def _cells_of(notebook: Any) -> Iterator[Any]:
    """The cells of a notebook; nbformat 3 keeps them in worksheets."""
    notebook = notebook if isinstance(notebook, dict) else {}
    sheets = [notebook] if "cells" in notebook else notebook.get("worksheets")
    for sheet in sheets if isinstance(sheets, list) and sheets else [None]:
        cells = sheet.get("cells") if isinstance(sheet, dict) else None
        if not isinstance(cells, list):
            raise _Unreadable("it is no notebook: it has no list of cells")
        yield from cells


def _python_cells(data: bytes) -> Iterator[Cell]:
    """A Python file as one cell, or as those that `# %%` lines begin."""
    try:
        text = _text(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _Unreadable("it is no UTF-8 text") from None
    starts = [match.start() for match in re.finditer(r"^# ?%%", text, re.MULTILINE)]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        if part := text[start:end].strip("\n"):
            yield Cell(part, "", "markdown" if re.match(r"# ?%%.*\[(markdown|md|raw)\]", part) else "code")


def _text(text: str) -> str:
    """Unix lines, and no lone surrogates: they can't be sent on."""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace").decode()


def _identified(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells, each with an id of its own: what it claims if that is valid and new, else its number."""
    taken: set[str] = set()
    identified = []
    for number, cell in enumerate(cells, 1):
        if number > MAX_CELLS:
            raise _Unreadable(f"it has more than {MAX_CELLS} cells")
        valid = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell.id)
        name = _unused(cell.id if valid else f"cell-{number}", taken)
        identified.append(Cell(cell.source, name, cell.kind, cell.grade_id))
    return tuple(identified)
