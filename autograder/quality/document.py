"""What was measured, as tables: at the terminal, and in a Markdown file with a section per week."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.quality.measure import ENOUGH, Measured, Verdict, said

TOP = """# Measured quality of the checks

Written by `make quality`; change nothing here by hand. For each exercise:

- **Known**: accepted answers with full marks, mistakes that lose points and are named, stubs that earn
  nothing, checks that catch something: as many as are as they should be, of all (`autograder qualify`).
- **Mutants**: small changes of the reference's source (signs, constants, operators, axes, arguments, dropped
  terms and calls, comparisons, indices, flags, branches, detached gradients), each judged as a student's
  answer would be. **Caught** are those that lose at least one point; a time-out is none. **Equivalent** are
  those that are right, too, each with the reason in the week's `solutions/*/equivalent.toml`.
- **Share**: caught of all that are not equivalent.
- **Properties**: the share that loses points without any comparison with the reference's answers.
- **Right**: accepted answers and implementations by others (`oracles.py`), judged on corpora of other
  seeds, with one thread of torch and with two: judgements with full marks, of all.
"""
_COLUMNS = ("known", "mutants", "caught", "equivalent", "share", "properties", "right")


def is_good(results: Sequence[Measured]) -> bool:
    """Nothing is wrong, and enough of the week's mutants lose points."""
    caught, judged = sum(m.caught for m in results), sum(len(m.judged) for m in results)
    return not any(m.problems for m in results) and caught >= ENOUGH * judged


def _share(part: int, whole: int) -> str:
    # Rounded down: nothing but all is 100 %.
    return f"{1000 * part // whole / 10} %" if whole else "-"


def _cells(results: Sequence[Measured]) -> list[str]:
    judged, caught = sum(len(m.judged) for m in results), sum(m.caught for m in results)
    pairs = [
        tuple(map(sum, zip(*(getattr(m, name) for m in results), strict=True)))
        for name in ("qualified", "right")
    ]
    known, right = (f"{a}/{b}" for a, b in pairs)
    equivalent = sum(len(m.equivalent) for m in results)
    by_property = sum(m.by_property for m in results)
    mutants = str(sum(len(m.verdicts) for m in results))
    shares = _share(caught, judged), _share(by_property, judged)
    return [known, mutants, str(caught), str(equivalent), *shares, right]


def _rows(results: Sequence[Measured]) -> list[list[str]]:
    rows = [[m.exercise, *_cells([m])] for m in results]
    return [*rows, ["all", *_cells(results)]] if len(rows) > 1 else rows


def _survivor(verdict: Verdict) -> str:
    mutant = verdict.mutant
    return f"{mutant.exercise}, line {mutant.line}, {mutant.kind}: {said(mutant.change)} ({verdict.note})"


def show(console: Console, week: str, results: Sequence[Measured], listed: bool = False) -> None:
    """Print the table of a week, then each survivor and each problem in a line of its own."""
    table = Table("exercise", *_COLUMNS, title=week, title_justify="left")
    for row in _rows(results):
        table.add_row(*row)
    console.print(table)
    for measured in results:
        for verdict in measured.survivors:
            console.print(Text.assemble(("survives: ", "yellow"), _survivor(verdict)), soft_wrap=True)
        for problem in measured.problems:
            console.print(Text.assemble(("✗ ", "red"), f"{measured.exercise}: {problem}"), soft_wrap=True)
        for verdict in measured.judged if listed else ():
            if verdict.caught and not verdict.by_property:
                line = f"{_survivor(verdict).rpartition(' (')[0]} ({verdict.caught})"
                console.print(Text.assemble("by comparison alone: ", line), soft_wrap=True)


def _section(week: str, results: Sequence[Measured], seeds: int) -> str:
    lines = [
        f"## {week}",
        "",
        f"Right answers: corpora of {seeds} other {'seed' if seeds == 1 else 'seeds'}.",
        "",
    ]
    for row in (["exercise", *_COLUMNS], ["---", *["---:"] * len(_COLUMNS)], *_rows(results)):
        lines.append(f"| {' | '.join(row)} |")
    survivors = [v for m in results for v in m.survivors]
    if survivors:
        lines += ["", "Survivors:", ""]
        for verdict in survivors:
            mutant = verdict.mutant
            change = " → ".join(f"`{text}`" for text in mutant.change)
            lines.append(f"- `{mutant.exercise}`, line {mutant.line}: {change} ({verdict.note})")
    problems = [f"- `{m.exercise}`: {p}" for m in results for p in m.problems]
    if problems:
        lines += ["", "Problems:", "", *problems]
    return "\n".join(lines) + "\n"


def updated(old: str, week: str, results: Sequence[Measured], seeds: int) -> str:
    """The Markdown file with a week's section in the place of the one that it had."""
    sections = {}
    for part in old.split("\n## ")[1:]:
        sections[part.split("\n", 1)[0]] = f"## {part.strip()}\n"
    sections[week] = _section(week, results, seeds)
    return "\n".join([TOP, *(sections[name] for name in sorted(sections))])
