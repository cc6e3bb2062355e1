"""A new course: nbgrader's folders and configuration, and one example week with everything a week has."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from autograder.course import CONFIG, CourseError
from autograder.templating import environment, template_folder

EXAMPLE = "week01_squared_error"


def new_course(folder: Path, title: str) -> list[Path]:
    """Write a course into a new folder: what was written.

    Raises:
        CourseError: there is a course already; the message says how to go on.
    """
    for name in (CONFIG, "nbgrader_config.py"):
        if (folder / name).exists():
            raise CourseError(
                f"{folder / name} exists: give the name of a new folder. To move one of nbgrader over, add "
                "to its nbgrader_config.py: from autograder.nbgrader import configure; configure(c)"
            )
    given = template_folder() / "course"
    facts = {
        "title": title.replace("\\", "").replace('"', "'"),
        "seed": secrets.token_hex(16),
        "course_id": re.sub(r"[^A-Za-z0-9_-]+", "-", folder.resolve().name).strip("-") or "course",
    }
    written = []
    for path in sorted(p for p in given.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
        name = path.relative_to(given).as_posix()
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".j2":
            text = environment().get_template(f"course/{name}").render(facts)
        to = folder / ({"gitignore": ".gitignore"}.get(name) or name.removesuffix(".j2"))
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
        written.append(to)
    return written
