"""What the modules of the command line share: options, the course, confinement, exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder.reveal import DEFAULT, LEVELS

if TYPE_CHECKING:
    from autograder.confinement import Level
    from autograder.course import Course
    from autograder.results import Report

LOST, USAGE, FAULT = 1, 2, 3

COURSE = click.option(
    "--course",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The course folder. Default: the one around the working directory.",
)
EXECUTE = click.option(
    "--execute",
    type=click.Choice(["needed", "all"]),
    default="needed",
    show_default=True,
    help="all: run every cell. needed: only what the functions depend on, and all before a point is lost.",
)
REVEAL = click.option(
    "--reveal",
    type=click.Choice(LEVELS),
    default=DEFAULT,
    show_default=True,
    help="What students see of hidden checks: title and verdict; also why; also the failing input.",
)


def open_course(path: Path | None) -> Course:
    """The course that is named, or the one around the working directory; torch gets one thread."""
    import torch

    from autograder.course import Course

    torch.set_num_threads(1)
    return Course.find(path)


def weeks(course: Course, name: str) -> list[str]:
    """The weeks that a name stands for, "all" for every one."""
    return course.names if name == "all" else [course.resolve(name)]


def confined(
    secrets: tuple[Path, ...], tier: str, require: bool, allow: bool, elsewhere: Level | None = None
) -> Level:
    """The best level that this machine has; says what is missing, and refuses where it is too little.

    Args:
        secrets: files that no guest may read.
        tier: whose checks are judged.
        require: refuse unless guests are boxed and sealed.
        allow: hidden checks even where guests can't be sealed.
        elsewhere: the level that other machines have, where these grade.
    """
    from autograder.confinement import Level, levels
    from autograder.guests import Settled, settle

    level, failures = Settled(elsewhere, ()) if elsewhere else settle(secrets)
    missing = "".join(f"\n  {reason}" for reason in (*levels.lacking(level), *failures))
    if require and not level.at_least(Level("container", "uid")):
        raise click.UsageError(f"guests are not confined as required ({level}):{missing}")
    if level.seal == "none" and tier != "public" and not allow:
        raise click.UsageError(
            f"guests can't be sealed here ({level}), so that students' code could read the hidden checks and "
            f"write its own grade:{missing}\nGrade where they can be (see autograder doctor), with --tier "
            "public, or with --allow-unconfined."
        )
    if missing:
        click.echo(f"guests run with {level}; better would need:{missing}", err=True)
    return level


def exit_for(reports: Sequence[Report]) -> None:
    """Exit with the code of a fault of ours, or of lost points, if there is one."""
    if any(r.status == "fault" for r in reports):
        raise SystemExit(FAULT)
    if any(r.score < r.max_score or r.status != "graded" for r in reports):
        raise SystemExit(LOST)
