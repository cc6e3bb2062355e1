"""Says in a student's own kernel when a fresh run of the notebook would give another result.

While the notebook is worked on, a hook remembers which cell ran with which source. Against these stands the
notebook as it is now: its file, where that is found, with whatever was run since it was saved. Of every name
that the checked function uses, the definition that ran last must be one that a fresh run would use.
"""

from __future__ import annotations

import ast
import dis
import functools
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.uses import used_by

MOST_BYTES = 20_000_000  # of a notebook's file, which is read at every check
CLOCKS = 1.0  # seconds by which those of kernel and file may differ
_STORES = ("STORE_NAME", "STORE_GLOBAL")
_PYTHON_CELLS = ("%%time", "%%capture", "%%prun")


@dataclass
class _Run:
    """One execution of a cell."""

    info: Any
    cell: str | None  # its id, None outside of notebooks
    source: str
    time: float
    label: str = "[*]"  # as Jupyter shows it
    failed: bool = False


@dataclass
class _Cell:
    """A code cell of the notebook as it is now; `run` is its latest, if it ran at all."""

    id: str
    source: str
    run: _Run | None = None


_runs: list[_Run] = []


def watch() -> None:
    """Remember from now on what is run, if this is IPython."""
    shell = _shell()
    if shell is not None and not getattr(shell, "_autograder_watched", False):
        shell._autograder_watched = True
        shell.events.register("pre_run_cell", _begin)
        shell.events.register("post_run_cell", _end)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _begin(info: Any) -> None:
    cell = getattr(info, "cell_id", None)
    _runs.append(_Run(info, cell, info.raw_cell, time.time()))


def _end(result: Any) -> None:
    for run in reversed(_runs):
        if run.info is result.info:
            run.label, run.failed = f"[{result.execution_count or '*'}]", not result.success
            break


def notes(name: str, namespace: Mapping[str, Any]) -> list[str]:
    """Why a fresh run would give another result for the function `name`, in sentences; never raises.

    Args:
        name: the exercise.
        namespace: the notebook's names, with the checked function under `name`.
    """
    with suppress(Exception), warnings.catch_warnings():  # a remark is not worth an error
        warnings.simplefilter("ignore")
        return list(_notes(name, namespace))
    return []


def _notes(name: str, namespace: Mapping[str, Any]) -> Iterator[str]:
    shell = _shell()
    if shell is None or not _runs or not any(run.cell for run in _runs):
        return
    if shell.user_ns.get(name) is not namespace[name]:
        yield f"what you check here is not what `{name}` stands for in the notebook, which is what counts"
        return
    cells, loose = _notebook(shell.user_ns)
    here = next((i for i, c in enumerate(cells) if c.run is _runs[-1]), len(cells))
    for used in [name, *used_by(namespace[name], shell.user_ns)]:
        if any(used in _definitions(run.source) for run in loose):
            continue  # its place in the notebook is not known
        run = next((r for r in reversed(_runs) if used in _definitions(r.source)), None)
        if run is not None and not run.failed:
            note = _note(used, name, run, cells, here, isinstance(shell.user_ns[used], ModuleType))
            if note:
                yield note


def _note(used: str, name: str, run: _Run, cells: list[_Cell], here: int, is_module: bool) -> str:
    """What a fresh run has under the name `used` in the place of what `run` has left there, if it differs."""
    what = f"`{used}`" if used == name else f"`{used}`, which `{name}` uses,"
    places = [i for i, cell in enumerate(cells) if used in _definitions(cell.source)]
    if not places:
        if any(_definitions(cell.source) is _NOT_PYTHON for cell in cells):
            return ""
        return f"{what} is defined by no cell any more: in a fresh run it would be missing"
    # A fresh run checks with the last definition above, and is graded with the last of all.
    fresh = {places[-1], *[i for i in places if i <= here][-1:]}
    mine = _definitions(run.source)[used]
    if is_module or any(_definitions(cells[i].source)[used] == mine for i in fresh):
        return ""
    other = cells[min(fresh)]
    if other.run is not None and other.run.failed:
        return ""
    if other.run is run or other.id == run.cell:
        return f"{what} has been edited since its cell ran as {run.label}: run that cell again"
    when = f"the one that ran as {other.run.label}" if other.run else "one that has not been run"
    return (
        f"{what} is here what the cell run as {run.label} made of it, but the cell that defines it last in "
        f"the notebook is {when}: a fresh run uses that one"
    )


def _notebook(names: Mapping[str, Any]) -> tuple[list[_Cell], list[_Run]]:
    """The notebook's code cells as they are now, and the latest runs of cells whose place is not known."""
    latest: dict[object, _Run] = {}
    for run in _runs:  # in the order of each cell's first run
        latest[run.cell or id(run)] = run
    saved, cells = _file(names)
    if not cells:
        return [_Cell(r.cell, r.source, r) for r in latest.values() if r.cell], [
            r for r in latest.values() if not r.cell
        ]
    by_id = {cell.id: cell for cell in cells}
    shared = any(run.cell in by_id for run in latest.values())  # else by source: some editors have other ids
    by_source = {cell.source: cell for cell in cells}
    loose = []
    for run in latest.values():
        cell = by_id.get(run.cell or "") if shared else by_source.get(run.source)
        unsaved = saved < run.time + CLOCKS
        if cell is not None:
            cell.run = run
            cell.source = run.source if unsaved else cell.source
        elif unsaved:
            loose.append(run)
    return cells, loose


def _file(names: Mapping[str, Any]) -> tuple[float, list[_Cell]]:
    """When the notebook was saved, and its code cells then; none where it is not found."""
    path = Path(str(names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME") or ""))
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = path.stat()
        if path.suffix == ".ipynb" and found.st_size <= MOST_BYTES:
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            code = [c for c in cells if c["cell_type"] == "code"]
            return found.st_mtime, [_Cell(c.get("id", ""), "".join(c["source"])) for c in code]
    return 0.0, []


_NOT_PYTHON: dict[str, str] = {}


@functools.lru_cache(maxsize=1000)
def _definitions(source: str) -> dict[str, str]:
    """The names that a cell binds, each with the statements that bind it, in a form that ignores layout."""
    if source.startswith(_PYTHON_CELLS):
        source = source.partition("\n")[2]
    found: dict[str, str] = {}
    try:
        statements = ast.parse(_shell().transform_cell(source)).body
        for statement in statements:
            module = ast.Module([statement], [])
            code = compile(module, "", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            for instruction in dis.get_instructions(code):
                if instruction.opname in _STORES:
                    found[instruction.argval] = found.get(instruction.argval, "") + ast.dump(statement)
    except (SyntaxError, ValueError):
        return _NOT_PYTHON
    return found
