"""Answers that are alike once names, comments and formatting are gone: pairs to look at, never a verdict."""

from __future__ import annotations

import ast
import hashlib
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from autograder.forbidden import LONGEST_NOTEBOOK, bindings, parsed
from autograder.results import Report

SMALLEST = 30  # nodes of a syntax tree; what is shorter is written alike by honest students, too
FEWEST = 3  # exercises that two students must share before they are named


def fingerprints(sources: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """For each name that the cells define: a hash of its last definition, the same for all that differ in
    local names, comments, docstrings, annotations and formatting alone. Short answers have none.
    """
    last: dict[str, ast.stmt] = {}
    room = LONGEST_NOTEBOOK
    for source in sources:
        room -= len(source)
        if room < 0:
            break
        tree = parsed(source)
        for node in tree.body if tree else ():
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
                last[node.name] = node
    found = {}
    for name, definition in last.items():
        try:
            if sum(1 for _ in ast.walk(definition)) >= SMALLEST:
                found[name] = hashlib.sha256(_normalised(definition).encode()).hexdigest()[:16]
        except (RecursionError, MemoryError):
            continue
    return found


def _normalised(definition: ast.AST) -> str:
    """The definition as text, with names of its own numbered in the order in which they stand."""
    own = bindings(definition).keys()
    numbers: dict[str, str] = {}

    def number(name: str) -> str:
        return numbers.setdefault(name, f"_{len(numbers)}") if name in own else name

    def told(node: object) -> str:
        if isinstance(node, list):
            return "[" + ",".join(map(told, node)) + "]"
        if not isinstance(node, ast.AST):
            return repr(node)
        parts = []
        for field, value in ast.iter_fields(node):
            if field in ("annotation", "returns", "type_comment", "ctx", "kind"):
                continue
            if field == "body" and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                value = value[ast.get_docstring(node) is not None :]
            if isinstance(value, str) and field in ("id", "arg", "name"):
                value = number(value)
            parts.append(told(value))
        return f"{type(node).__name__}({','.join(parts)})"

    return told(definition)


@dataclass(frozen=True)
class Pair:
    """Two submissions with the same code in some exercises, and how surprising that is in bits."""

    first: int
    second: int
    exercises: tuple[str, ...]
    bits: float


def pairs(reports: Sequence[Report], most: int = 50) -> list[Pair]:
    """The pairs of reports that share code which few others have, the most surprising first.

    Code that n of N students have counts log2(N / n) bits; what more than a twentieth of a class (and more
    than two) have is an obvious way to write it and counts nothing.
    """
    shared: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for exercise, groups in _groups(reports).items():
        everybody = sum(map(len, groups.values()))
        for students in groups.values():
            if 2 <= len(students) <= max(2, everybody // 20):
                for pair in combinations(students, 2):
                    shared[pair][exercise] = math.log2(everybody / len(students))
    found = [
        Pair(a, b, tuple(bits), sum(bits.values()))
        for (a, b), bits in shared.items()
        if len(bits) >= FEWEST and sum(bits.values()) > 0
    ]
    return sorted(found, key=lambda p: (-p.bits, p.first, p.second))[:most]


def _groups(reports: Sequence[Report]) -> Mapping[str, Mapping[str, list[int]]]:
    """For each exercise and each code: the places of the reports with that code."""
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, report in enumerate(reports):
        for exercise in report.exercises:
            if exercise.code:
                groups[exercise.name][exercise.code].append(i)
    return groups
