"""The commands that look at a corpus: what checks ask, with what inputs, and how close an answer must be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from autograder.cli_common import COURSE, open_course

if TYPE_CHECKING:
    from rich.table import Table

    from autograder.exercises import Check
    from autograder.judge import Bench
    from autograder.trials import Material

_ASKS = {"close": "expected", "equal": "exactly", "differ": "other than"}


@click.group()
def corpus() -> None:
    """Look at the examples that everyone is judged on.

    \b
    Example: autograder corpus show week07_vae
    """


@corpus.command()
@click.argument("week")
@click.option("--exercise", help="Only this exercise.")
@click.option("--check", "check_name", help="Only the checks of this name.")
@click.option(
    "--example",
    type=click.IntRange(1),
    help="One example of the checks that are left: inputs, answer, tolerance. The smallest is 1.",
)
@COURSE
def show(
    week: str, exercise: str | None, check_name: str | None, example: int | None, course: Path | None
) -> None:
    """List the checks of WEEK with their examples, or show one example as code with its expected answer.

    The week's id is the one that reports carry. It shows what students must not see: hidden checks' examples.

    \b
    Example: autograder corpus show week07_vae
             autograder corpus show week07_vae --exercise elbo --check agrees --example 3
    """
    import sys

    from rich.console import Console

    from autograder.grading import bench

    found = open_course(course)
    ready = bench(found.root, found.resolve(week))
    names = [ready.week.exercise(exercise).name] if exercise else ready.functions
    checks = [c for n in names for c in ready.week.checks_of(n) if check_name in (None, c.name)]
    if not checks:
        known = ", ".join(dict.fromkeys(c.name for n in names for c in ready.week.checks_of(n)))
        raise click.UsageError(f"no check is called {check_name!r}; there are {known}")
    if example is None:
        click.echo(f"{ready.week.name}: corpus {ready.corpus_id(('public', 'hidden'))}")
        console = Console(width=None if sys.stdout.isatty() else 120)
        for name in dict.fromkeys(c.exercise for c in checks):
            console.print(_table(ready, name, [c for c in checks if c.exercise == name]))
        return
    if not exercise:
        raise click.UsageError("--example is of one exercise: name it with --exercise NAME")
    for check in checks:
        count = len(ready.material(check).trials)
        if example > count:
            raise click.UsageError(f"{check.name} has {count} examples: there is no {example}")
        click.echo("\n".join(_example(ready, check, example)))


def _table(ready: Bench, exercise: str, checks: list[Check]) -> Table:
    """The checks of an exercise, a row for each."""
    from rich.table import Table

    from autograder import store, wire

    table = Table(title=exercise, title_justify="left")
    for heading in ("check", "tier", "examples", "left out", "tolerance", "corpus"):
        table.add_column(heading, no_wrap=heading in ("check", "tolerance", "corpus"))
    for check in checks:
        material = ready.material(check)
        count, left_out = len(material.trials), len(material.left_out)
        share = f"{left_out} ({left_out / count:.0%})" if left_out else "0"
        own = store.fingerprint(wire.encode([dict(t.example.values) for t in material.trials]))
        table.add_row(check.name, check.tier, str(count), share, _tolerances(material), own[:12])
    return table


def _tolerances(material: Material) -> str:
    """The smallest and the largest that any comparison allows besides the last digits."""
    earned = [t.absolute for trial in material.judged for t in trial.calibration.tolerances.values()]
    return f"{min(earned):.1g} to {max(earned):.1g}" if any(earned) else "exact"


def _example(ready: Bench, check: Check, number: int) -> Iterator[str]:
    """One example as code to run below the answers, what each comparison expects, and how closely."""
    from autograder.calls import LocalSession, Log
    from autograder.closeness import record
    from autograder.literals import literal, script, shown
    from autograder.trials import dtype_of, run_body

    trial = ready.material(check).trials[number - 1]
    values = ready.values(check, trial.example)
    log: Log = []
    session = LocalSession(ready.week.references)
    compared = record(lambda: run_body(ready.week, check, session, ready.exact, values, log))
    dtype = str(dtype_of(check)).removeprefix("torch.")
    yield f"# {check.exercise}: {check.name} ({check.tier}, {dtype}), example {number}: {check.title}"
    yield script(log, ready.signatures)
    yield ""
    if trial.calibration.left_out:
        yield f"# left out for everyone: {trial.calibration.left_out}"
    for key, (relation, _, expected) in compared.items():
        tolerance = trial.calibration.tolerances.get(key)
        answer = literal(expected) if check.double else shown(expected)
        yield f"# {_ASKS.get(relation, relation.replace('_', ' '))} {answer}"
        if tolerance and tolerance.left_out:
            yield f"#     not asked here: {tolerance.left_out}"
        elif tolerance and tolerance.absolute:
            yield f"#     give or take {tolerance.absolute:.2g}, and each number's last digits"


def commands() -> list[click.Command]:
    """What the command line takes from here."""
    return [corpus]
