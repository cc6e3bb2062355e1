"""Notebooks that students have handed in under another name."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

log = logging.getLogger("nbgrader")


def adopt_renamed(assignment: str, student: str, notebooks: list[str]) -> None:
    """Copy a renamed notebook to the name that nbgrader looks for; a `pre_convert_hook` of `Autograde`.

    A notebook is taken for one that is missing if it holds more of its graded cells than any other does.
    The original stays.

    Args:
        assignment: as on the command line; not used, since the paths say it.
        student: likewise.
        notebooks: the paths of one submission's notebooks; copies are added to it.
    """
    if not notebooks:
        return
    folder = Path(notebooks[0]).parent
    for path in adopt(folder, Path("source") / folder.name):
        notebooks.append(str(path))


def adopt(folder: Path, source: Path) -> list[Path]:
    """Copy the renamed notebooks in `folder` to the names that those in `source` have; the copies."""
    wanted = {path.stem: grade_ids(path) for path in sorted(source.glob("*.ipynb"))}
    present = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    made = []
    for name, ids in wanted.items():
        if name in present:
            continue
        shared = {p: len(ids & grade_ids(p)) for stem, p in present.items() if stem not in wanted}
        best = max(shared.values(), default=0)
        found = [p for p, count in shared.items() if count == best > 0]
        if len(found) != 1:
            log.warning("%s.ipynb is not in %s, and no other notebook there can stand for it", name, folder)
            continue
        copy = folder / f"{name}.ipynb"
        shutil.copy(found[0], copy)
        log.warning("%s has no %s.ipynb: %s is graded as such", folder, name, found[0].name)
        made.append(copy)
    return made


def grade_ids(path: Path) -> set[str]:
    """The names that a notebook's cells have for nbgrader; none where it can't be read."""
    try:
        notebook: Any = json.loads(path.read_text(encoding="utf-8"))
        claims = [cell.get("metadata", {}).get("nbgrader", {}) for cell in notebook["cells"]]
        return {c["grade_id"] for c in claims if isinstance(c.get("grade_id"), str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
