"""Which forbidden functions an answer uses, found by reading the notebook, never by running it.

    exercise(transformers.layer_norm, forbids={"torch.nn.functional.layer_norm": "binding"})

It is a rule about the text: imports, aliases and helpers are followed, but a call can be hidden from it, in a
string that is executed for example. It is for exercises that a library would answer in one line.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

LONGEST = 100_000  # characters of a cell that is read; nobody writes more
LONGEST_NOTEBOOK = 300_000
MOST_PATHS = 100  # that one expression may stand for
METHODS = "torch.Tensor."  # names that begin so are also found as methods of whatever they are called on

_Bindings = dict[str, list[ast.AST]]  # what each name is bound to, in order
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_UNKNOWN = ast.Constant(None)


@dataclass(frozen=True)
class Use:
    """A forbidden name, and where it is used: the code cell, counted from 1, and the line in it."""

    name: str
    cell: int
    line: int


def parsed(source: str) -> ast.Module | None:
    """The syntax tree of a cell, without what is IPython's alone, or None where there is none."""
    if len(source) > LONGEST:
        return None
    source = re.sub(r"\A\s*%%(?:time|capture|prun)\b.*", "", source)
    plain = re.sub(r"(?m)^([ \t]*)(?:[%!?].*|.*\?[ \t]*)$", r"\1pass", source)
    plain = re.sub(r"(?m)^([ \t]*[\w., ]+=)[ \t]*[%!].*$", r"\1 None", plain)
    for text in (source, plain):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
            continue
    return None


def uses(sources: Sequence[str], name: str, forbidden: Iterable[str]) -> list[Use]:
    """The forbidden names that a function or class uses, itself or through others of the notebook.

    Args:
        sources: the code cells.
        name: the function or class.
        forbidden: full names, such as "torch.logsumexp"; a module stands for all that is in it, and
            "torch.Tensor.logsumexp" for a method of that name.
    """
    notebook, length = _Notebook(), 0
    for number, source in enumerate(sources, 1):
        length += len(source)
        tree = parsed(source) if length <= LONGEST_NOTEBOOK else None
        if tree is not None:
            notebook.add(tree, number)
    found: dict[Use, None] = {}
    try:
        for cell, line, path in notebook.used_by(name):
            found |= {Use(known, cell, line): None for known in forbidden if _is(path, known)}
    except RecursionError:
        pass  # the text is not a person's
    return list(found)


def remarks(found: Iterable[Use], forbids: Mapping[str, str]) -> list[str]:
    """What a student is told of uses, each forbidden name once."""
    first: dict[str, Use] = {}
    for use in found:
        first.setdefault(use.name, use)
    costs = {"binding": "it earns no points as long as it does", "advisory": "that costs no points"}
    return [
        f"this exercise is to be solved without `{name}`, which line {use.line} of code cell {use.cell} "
        f"uses: {costs[forbids[name]]} (found by reading the notebook)"
        for name, use in first.items()
    ]


def _is(path: str, known: str) -> bool:
    return f"{path}.".startswith(f"{known}.") or (
        known.startswith(METHODS) and path == known[len(METHODS) - 1 :]
    )


@dataclass
class _Notebook:
    """What the cells bind at their top level, and which methods their classes have."""

    names: dict[str, tuple[int, ast.AST]] = field(default_factory=dict)  # cell and last binding
    stars: list[str] = field(default_factory=list)  # modules of which everything was imported
    methods: set[str] = field(default_factory=set)

    def add(self, tree: ast.Module, number: int) -> None:
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                self.methods |= {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                self.stars.append(node.module or "")
        for name, nodes in bindings(tree, inside=False).items():
            self.names[name] = number, nodes[-1]

    def used_by(self, name: str) -> Iterator[tuple[int, int, str]]:
        """Cell, line and full name of all that is mentioned in the code that `name` stands for."""
        waiting = [name]
        for user in waiting:  # grows on the way
            if user not in self.names:
                continue
            cell, definition = self.names[user]
            reader = _Reader(self, bindings(definition) if isinstance(definition, _FUNCTIONS) else {})
            for node in ast.walk(definition):
                for path in reader.paths(node):
                    yield cell, getattr(node, "lineno", 1), path
                if isinstance(node, ast.Name) and node.id not in {*reader.local, *waiting}:
                    waiting.append(node.id)


@dataclass
class _Reader:
    """Finds out what expressions in one definition stand for."""

    notebook: _Notebook
    local: Mapping[str, Sequence[ast.AST]]
    known: dict[int, set[str]] = field(default_factory=dict)  # by node

    def paths(self, node: ast.AST) -> set[str]:
        """The full names that an expression may have; ".name" for an attribute of something unknown."""
        if id(node) not in self.known:
            self.known[id(node)] = set()  # should it lead back to itself
            self.known[id(node)] = set(list(self._paths(node))[:MOST_PATHS])
        return self.known[id(node)]

    def _paths(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Name):
            yield from self._names(node.id)
        elif isinstance(node, ast.Attribute):
            yield from self._attribute(node.value, node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            match node.args[1:2]:
                case [ast.Constant(value=str(name))]:
                    yield from self._attribute(node.args[0], name)

    def _names(self, name: str) -> Iterator[str]:
        if name in self.local:
            for node in self.local[name]:
                yield from self.paths(node)
        elif name in self.notebook.names:
            _, node = self.notebook.names[name]
            if not isinstance(node, _FUNCTIONS):
                yield from self.paths(node)
        else:
            yield from (f"{module}.{name}" for module in self.notebook.stars)

    def _attribute(self, owner: ast.expr, name: str) -> Iterator[str]:
        modules = [path for path in self.paths(owner) if not path.startswith(".")]
        yield from (f"{path}.{name}" for path in modules)
        if not modules and name not in self.notebook.methods:
            yield f".{name}"


def bindings(tree: ast.AST, inside: bool = True) -> _Bindings:
    """What is bound in a tree; `inside` of the functions in it, too, or their names alone."""
    found: _Bindings = {}
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if node is not tree:
            for name, value in _bound_by(node):
                found.setdefault(name, []).append(value)
        if inside or not isinstance(node, _FUNCTIONS):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def _bound_by(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The names that one node binds, each with what it is bound to."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node
        case ast.Import():
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield alias.asname or top, alias if alias.asname else ast.alias(top, lineno=node.lineno)
        case ast.ImportFrom():
            for alias in node.names:
                full = ast.alias(f"{node.module or ''}.{alias.name}", lineno=node.lineno)
                yield alias.asname or alias.name, full
        case ast.Assign():
            for target in node.targets:
                yield from ((name, node.value) for name in _names_in(target))
        case ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
            yield from ((name, value) for name in _names_in(node.target))
        case ast.For() | ast.AsyncFor() | ast.comprehension():
            yield from ((name, _UNKNOWN) for name in _names_in(node.target))
        case ast.withitem(optional_vars=ast.expr() as target):
            yield from ((name, _UNKNOWN) for name in _names_in(target))
        case ast.arg():
            yield node.arg, _UNKNOWN


def _names_in(target: ast.AST) -> list[str]:
    return [n.id for n in ast.walk(target) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
