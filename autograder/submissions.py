"""What a student hands in: a notebook, or a Python file of the same name, read without trusting a byte.

Nothing here executes anything or follows a link out of its folder, and nothing raises: a submission that
can't be read says why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from autograder.names import clean, unused

SUFFIXES = (".ipynb", ".py")  # in this order of preference
MAX_BYTES = 20_000_000
MAX_CELLS = 2_000
MAX_FILES = 10_000  # in a folder

_READ = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _READ |= getattr(os, _flag, 0)  # not every system has each


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


class Unreadable(Exception):
    """Why a submission can't be read, in words for its author."""


def read_submission(
    path: Path | str, week_name: str, student: str | None = None, problem: str = ""
) -> Submission:
    """Read a notebook (nbformat 3 or 4), a Python file, or the folder that holds one of them.

    Args:
        path: the file or folder.
        week_name: in a folder, a file of this name is preferred; else there must be just one.
        student: the submission's id; left out, it comes from the path as in `collect.find_submissions`.
        problem: what is already known to be wrong with it: then it is not read.
    """
    path = Path(path)
    cells: tuple[Cell, ...] = ()
    problems: tuple[str, ...] = ()
    try:
        if problem:
            raise Unreadable(problem)
        file = file_of(path, week_name)
        data = _read(file)
        cells = _identified(_python_cells(data) if file.suffix.lower() == ".py" else _notebook_cells(data))
    except Unreadable as error:
        problems = (f"{clean(path.absolute().name)}: {error}",)
    sources = [cell.source for cell in cells if cell.kind == "code"]
    digest = hashlib.sha256(json.dumps(sources).encode()).hexdigest()
    return Submission(student or clean(student_of(path, week_name)), path, cells, digest, problems)


def student_of(path: Path, week_name: str) -> str:
    """A student's name from the file or, where that is named after the week, from the folder it is in.

    What Moodle and students put around it is left out: "Ada Lovelace_17_assignsubmission_file_" and
    "week07_vae-ada" are "Ada Lovelace_17" and "ada".
    """
    path = Path(os.path.abspath(path))
    stem = path.stem if path.suffix.lower() in SUFFIXES else path.name
    week = re.escape(week_name)
    for name in (stem, *(parent.name for parent in path.parents)):
        name = re.sub(r"_assignsubmission_.*", "", name, flags=re.DOTALL)
        name = re.sub(rf"^{week}[-_]+(?!\d{{0,2}}$)|[-_]+{week}(?:-\d+)?$", "", name)
        if name != week_name:
            return name
    return ""


def file_of(path: Path, week_name: str) -> Path:
    """The file to read: `path` itself, or the one in this folder. Raises Unreadable where there is none."""
    if not os.path.isdir(_inside(path)):
        return path
    names = file_names(path)
    for suffix in SUFFIXES:
        if week_name + suffix in names:
            return path / (week_name + suffix)
    for suffix in SUFFIXES:
        found = [name for name in names if name.lower().endswith(suffix)]
        if len(found) > 1:
            several = ", ".join(map(clean, found[:5]))
            raise Unreadable(f"there are several files ({several}): name one of them {week_name + suffix}")
        if found:
            return path / found[0]
    raise Unreadable(f"there is no notebook in this folder: {week_name}.ipynb is expected")


def file_names(folder: Path) -> list[str]:
    """The names in a folder that are no folders', hidden ones left out. Raises Unreadable."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count == MAX_FILES:
                    raise Unreadable(f"there are more than {MAX_FILES:,} files in this folder")
                if not entry.name.startswith(".") and not os.path.isdir(entry):
                    names.append(entry.name)
    except (OSError, ValueError) as error:
        raise Unreadable(reason(error)) from None
    return sorted(names)


def opened(path: Path) -> IO[bytes]:
    """A regular file, open for reading, and no other than the one looked at. Raises Unreadable."""
    real = _inside(path)
    try:
        if not stat.S_ISREG(os.stat(real).st_mode):  # opening a device may do something
            raise Unreadable("it is not a regular file")
        file = open(os.open(real, _READ), "rb")  # noqa: SIM115
    except (OSError, ValueError) as error:
        raise Unreadable(reason(error)) from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise Unreadable("it is not a regular file")


def _inside(path: Path) -> Path:
    """Where a path leads, which must be inside the folder that it claims to be in."""
    try:
        real = path.resolve()
        if real.is_relative_to(path.parent.resolve()):
            return real
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a name with a zero byte
        raise Unreadable(reason(error)) from None
    raise Unreadable("it is a symbolic link that leads out of its folder")


def reason(error: Exception) -> str:
    """An error of the file system in words, without the path."""
    if isinstance(error, RuntimeError):
        return "it is a symbolic link that leads to itself"
    return (getattr(error, "strerror", None) or str(error)).lower()


def _read(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_BYTES."""
    if path.suffix.lower() not in SUFFIXES:
        raise Unreadable(f"only {' and '.join(SUFFIXES)} files can be read")
    try:
        with opened(path) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(reason(error)) from None
    if len(data) > MAX_BYTES:
        raise Unreadable(
            f"it is larger than {MAX_BYTES // 1_000_000} MB: clear the outputs and save it again"
        )
    if not data.strip():
        raise Unreadable("it is empty")
    return data


def _notebook_cells(data: bytes) -> Iterator[Cell]:
    try:
        notebook = json.loads(data)
    except json.JSONDecodeError as error:
        raise Unreadable(f"it is no notebook: no JSON at line {error.lineno} ({error.msg.lower()})") from None
    except (ValueError, RecursionError):
        raise Unreadable("it is no notebook: no JSON that can be read") from None
    for number, cell in enumerate(_cells_of(notebook), 1):
        source = cell.get("source", cell.get("input", "")) if isinstance(cell, dict) else None
        lines = [source] if isinstance(source, str) else source
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise Unreadable(f"it is no notebook: its cell {number} is no text")
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
            raise Unreadable("it is no notebook: it has no list of cells")
        yield from cells


def _python_cells(data: bytes) -> Iterator[Cell]:
    """A Python file as one cell, or as those that `# %%` lines begin."""
    try:
        text = _text(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unreadable("it is no UTF-8 text") from None
    starts = [match.start() for match in re.finditer(r"^# ?%%", text, re.MULTILINE)]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        if part := text[start:end].strip("\n"):
            yield Cell(part, "", "markdown" if re.match(r"# ?%%.*\[(markdown|md|raw)\]", part) else "code")


def _text(text: str) -> str:
    """Unix lines, and no lone surrogates: they can't be sent on."""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace").decode()


def _identified(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """The cells, each with an id of its own: what it claims if that is valid and new, else its number."""
    taken: dict[str, int] = {}
    identified = []
    for number, cell in enumerate(cells, 1):
        if number > MAX_CELLS:
            raise Unreadable(f"it has more than {MAX_CELLS} cells")
        valid = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", cell.id)
        name = unused(cell.id if valid else f"cell-{number}", taken)
        identified.append(Cell(cell.source, name, cell.kind, cell.grade_id))
    return tuple(identified)
