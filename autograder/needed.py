"""Which of a notebook's statements the graded functions need, found by reading it.

    cut(["import torch", "def f(x):\\n    return x.exp()\\nf(torch.ones(3))"], ["f"])
    # ["", "def f(x):\\n    return x.exp()"]

Lessons train models with the graded functions; to judge these, that need not be run again. Needed is what
binds their names and, in turn, all names used there. Marks must be those of the whole notebook, so that these
stay, too:

- all that binds a needed name, anywhere: the last binding wins, be it that of a loop's variable called `sum`;
- whatever may reach a needed object that can be changed (a list, a tensor, a model, a function with a mutable
  default), directly or through what it calls;
- what outlasts its cell: attributes set from outside, `torch.set_default_dtype` and its like, modules that
  aren't known to be harmless;
- what stands above a needed statement in its cell: it could raise, and the statement would not be run;
- before a needed statement that computes something, everything: random numbers depend on all earlier draws.

A notebook that looks at itself (`globals`, `exec`, unknown magics) is not cut at all. These are rules about
text, and who means to can get round them. Nothing is gained by that: the cut notebook could be handed in.
Marks can differ in one way, in favour of right answers: cells left out don't use up the time and can't end
their process.
"""

from __future__ import annotations

import ast
import dis
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType

from autograder.forbidden import LONGEST_NOTEBOOK
from autograder.uses import loaded

MOST_STATEMENTS = 500  # of a notebook that is read; nobody writes more

# What IPython understands and no name depends on. Cells with other magics can't be read.
_MAGIC = re.compile(r"(?m)^([ \t]*)(?:!|%(?:matplotlib|config|pip)\b|\??[\w.]+\?+[ \t]*$).*$")
_CELL_MAGIC = re.compile(r"\A\s*%%(?:time|capture)[ \t]*$", re.MULTILINE)
_HISTORY = re.compile(r"_+\d*|_i+\d*|_[iod]h|In|Out")  # names that IPython binds

# Names and attributes by which a notebook gets at what it does not name.
_MIRRORS = re.compile(
    r"__(builtins|bases|closure|code|defaults|delattr|dict|enter|exit|func|getattribute|globals|import|kwdefaults"
    r"|loader|mro|self|setattr|spec|subclasses|wrapped)__|compile|eval|exec|get_ipython|globals|locals|vars"
)
_METHODS = ("compile", "eval")  # of models and of modules such as `re`: no mirrors
_OF_CLASSES = ("__new__", "__class_getitem__")  # class methods without a decorator
_REACHING = ("delattr", "getattr", "open", "setattr")
_LASTING = re.compile(r"_*((set|use|disable|register|update|install|reset)(_|$)|enable_(?!grad)|save|seterr)")
_HARMLESS = frozenset(
    "IPython abc autograder cmath collections copy dataclasses einops enum functools itertools jaxtyping "
    "math matplotlib numpy operator random re scipy statistics string time torch tqdm typing "
    "typing_extensions".split()
)
_OF_TENSORS = ("data", "grad", "requires_grad", "training")  # setting them changes one object alone
_DECORATORS = frozenset(
    "abstractmethod classmethod dataclass enable_grad inference_mode jaxtyped no_grad overload override "
    "property setter staticmethod".split()
)
_BUILT_IN = frozenset("abs bool float frozenset int len max min range round str tuple".split())
_FIXED_CALLS = re.compile(
    r"math\.\w+|torch\.(device|finfo|iinfo|Size|cuda\.is_available)|typing\.(TypeVar|NewType)|numpy\.dtype"
)
# fmt: off
_FIXED = (
    ast.Constant, ast.Name, ast.Attribute, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.Tuple, ast.Subscript, ast.Slice, ast.Starred, ast.JoinedStr, ast.FormattedValue, ast.keyword,
    ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)
# fmt: on


class _Unclear(Exception):
    """What the notebook does can't be told from its text."""


def cut(sources: Sequence[str], names: Iterable[str]) -> list[str] | None:
    """The cells with what the named functions don't need left out.

    Args:
        sources: the code cells.
        names: what is graded.

    Returns:
        as many cells, each the beginning of its source, so that lines keep their numbers, or "";
        None where everything has to be run: a name is bound nowhere, or the text does not tell.
    """
    try:
        if sum(map(len, sources)) > LONGEST_NOTEBOOK:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of doubtful syntax
            notebook = _Notebook([s for i, source in enumerate(sources) for s in _statements(source, i)])
            last = {s.cell: s for s in notebook.needed_by(names)}
    except (_Unclear, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return [last[i].up_to_here(source) if i in last else "" for i, source in enumerate(sources)]


@dataclass(frozen=True, eq=False)
class _Statement:
    """A statement at the top level of a cell; a cell with magics stays `whole` or is left out."""

    cell: int
    node: ast.stmt
    whole: bool

    @cached_property
    def _code(self) -> CodeType:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        return compile(ast.Module([self.node], []), "cell", "exec", flags, dont_inherit=True)

    @cached_property
    def binds(self) -> set[str]:
        """The notebook's names that it binds or deletes, itself or in a function."""
        own = _arguments(self._code, "STORE_NAME", "DELETE_NAME")
        return {*own, *self.declared_global}

    @cached_property
    def declared_global(self) -> set[str]:
        """The names that functions in it bind for all."""
        return {
            name for code in _codes(self._code) for name in _arguments(code, "STORE_GLOBAL", "DELETE_GLOBAL")
        }

    @cached_property
    def uses(self) -> set[str]:
        """The names that it looks up in the notebook, now or when what it defines is called."""
        return {*loaded(self._code), *self.declared_global}

    def up_to_here(self, source: str) -> str:
        """The cell up to the end of this statement."""
        if self.whole:
            return source
        lines = source.split("\n")[: self.node.end_lineno]
        lines[-1] = lines[-1].encode()[: self.node.end_col_offset].decode()
        return "\n".join(lines)


def _statements(source: str, cell: int) -> Iterator[_Statement]:
    if re.search(r"(?m)^[ \t]*In ?\[", source):  # IPython takes it for its prompt
        raise _Unclear
    try:
        tree, whole = ast.parse(source), False
    except SyntaxError:
        tree, whole = ast.parse(_MAGIC.sub(r"\1pass", _CELL_MAGIC.sub("", source))), True
    yield from (_Statement(cell, node, whole) for node in tree.body)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _arguments(code: CodeType, *operations: str) -> Iterator[str]:
    return (i.argval for i in dis.get_instructions(code) if i.opname in operations)


class _Notebook:
    """All statements, and what they have to do with each other."""

    def __init__(self, statements: Sequence[_Statement]) -> None:
        if len(statements) > MOST_STATEMENTS:
            raise _Unclear
        self.statements = statements
        self.binders: dict[str, list[_Statement]] = {}
        self.paths: dict[str, set[str]] = {}  # what imported names stand for, and names given to these
        self.modules: set[str] = set()
        self._reach: dict[_Statement, set[str]] = {}
        for statement in statements:
            if any(map(_HISTORY.fullmatch, statement.uses)):
                raise _Unclear
            for name in statement.binds:
                self.binders.setdefault(name, []).append(statement)
            for node in ast.walk(statement.node):
                self._take_names(node)
        lasting = {s for s in statements if self._lasts(s)}
        self._lasting = {
            s
            for s in statements
            if s in lasting or any(b in lasting for n in self._reached(s) for b in self._of(n))
        }

    def _take_names(self, node: ast.AST) -> None:
        match node:
            case ast.Import():
                for alias in node.names:
                    name = alias.asname or alias.name.partition(".")[0]
                    self.modules.add(name)
                    self.paths.setdefault(name, set()).add(alias.name if alias.asname else name)
            case ast.ImportFrom():
                for alias in node.names:
                    path = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                    self.paths.setdefault(alias.asname or alias.name, set()).add(path)
            case ast.Assign(targets=[ast.Name(id=name)]) if paths := self._paths_of(node.value):
                self.paths.setdefault(name, set()).update(paths)

    def needed_by(self, names: Iterable[str]) -> list[_Statement]:
        """The statements that the named functions need, in order."""
        wanted, kept = set(names), set[_Statement]()
        if not wanted <= self.binders.keys():
            raise _Unclear
        while True:
            changeable = {n for n in wanted if not all(self._fixes(s, n) for s in self.binders.get(n, ()))}
            new = [s for s in self.statements if s not in kept and self._matters(s, wanted, changeable)]
            if not new:
                return [s for s in self.statements if s in kept]
            for statement in new:
                kept.update(self._before(statement))
            wanted |= {name for s in kept for name in s.uses}

    def _matters(self, statement: _Statement, wanted: set[str], changeable: set[str]) -> bool:
        """It binds something wanted, changes it, or may do so unseen."""
        if statement.binds & wanted:
            return True
        if self._is_definition(statement.node):
            return False  # what it does, those do that call it
        return statement in self._lasting or not changeable.isdisjoint(self._reached(statement))

    def _before(self, statement: _Statement) -> list[_Statement]:
        """What has to be run with a statement, itself included, whatever the names in it."""
        cell = [s for s in self.statements if s.cell == statement.cell]
        own = cell if statement.whole else cell[: cell.index(statement) + 1]
        if all(self._is_settled(s.node) for s in own):
            return own
        return [s for s in self.statements if s.cell < statement.cell] + own

    def _of(self, name: str) -> Sequence[_Statement]:
        return self.binders.get(name, ())

    def _reached(self, statement: _Statement) -> set[str]:
        """The names that it uses, and all that are used where these are bound."""
        if statement not in self._reach:
            waiting = list(statement.uses)
            found = set(waiting)
            for name in waiting:  # grows on the way
                more = {used for binder in self._of(name) for used in binder.uses} - found
                waiting += more
                found |= more
            self._reach[statement] = found
        return self._reach[statement]

    # What nodes of the syntax tree do

    def _paths_of(self, node: ast.AST) -> set[str]:
        """The full names that an expression may have, such as "torch.exp", if it begins with an import."""
        if isinstance(node, ast.Name):
            return self.paths.get(node.id, set())
        if isinstance(node, ast.Attribute):
            return {f"{path}.{node.attr}" for path in self._paths_of(node.value)}
        return set()

    def _lasts(self, statement: _Statement) -> bool:
        """It changes what the notebook doesn't name, or what it defines does when it is called."""
        nodes = list(ast.walk(statement.node))
        own = {id(node) for node in nodes for node in _own_attributes(node)}
        heads = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        modules = self.modules & statement.uses
        found = False
        for node in nodes:
            match node:
                case ast.Name(id=name):
                    if _MIRRORS.fullmatch(name):
                        raise _Unclear
                    if name in modules and id(node) not in heads:
                        raise _Unclear  # a module goes by another name
                    found |= name in _REACHING or any(map(_may_last, self._paths_of(node)))
                case ast.Attribute(attr=name):
                    if _MIRRORS.fullmatch(name) and name not in _METHODS:
                        raise _Unclear
                    found |= any(map(_may_last, self._paths_of(node)))
                    found |= (
                        not isinstance(node.ctx, ast.Load) and name not in _OF_TENSORS and id(node) not in own
                    )
                case ast.Subscript(value=ast.Attribute() as value) if not isinstance(node.ctx, ast.Load):
                    found |= any(not path.startswith("matplotlib") for path in self._paths_of(value))
                case ast.Import():
                    found |= any(not _is_harmless(alias.name) for alias in node.names)
                case ast.ImportFrom():
                    harmless = not node.level and _is_harmless(node.module or "")
                    found |= not harmless or node.names[0].name == "*"
                case ast.FunctionDef(name="__init_subclass__"):
                    raise _Unclear
        return found

    def _fixes(self, statement: _Statement, name: str) -> bool:
        """It binds the name to what nothing else can change."""
        match statement.node:
            case ast.Import() | ast.ImportFrom() | ast.Delete():
                return True
            case ast.FunctionDef(name=own) | ast.AsyncFunctionDef(name=own) | ast.ClassDef(name=own):
                plain = own == name and self._is_definition(statement.node)
                return plain and name not in statement.declared_global
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign() as node:
                return node.value is None or self._is_fixed(node.value)
        return False

    def _is_settled(self, node: ast.stmt) -> bool:
        """What comes of it depends on the names in it alone, not on random numbers drawn before."""
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Delete() | ast.Pass():
                return True
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                parts = [*getattr(node, "targets", ()), getattr(node, "target", None), node.value]
                return all(part is None or self._is_fixed(part, displays=True) for part in parts)
            case ast.Expr(value=ast.Call(func=function, args=args, keywords=keywords)):
                known = bool(self._paths_of(function))
                return known and all(self._is_fixed(a, displays=True) for a in [*args, *keywords])
            case ast.Expr():
                return self._is_fixed(node.value, displays=True)
        return self._is_definition(node)

    def _is_definition(self, node: ast.stmt) -> bool:
        """A function or class with nothing to remember, which does nothing until it is called."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                arguments = [a for a in ast.walk(node.args) if isinstance(a, ast.arg)]
                hints = [node.returns, *(a.annotation for a in arguments)]
                defaults = [*node.args.defaults, *node.args.kw_defaults]
            case ast.ClassDef(keywords=[]):
                hints, defaults = list(node.bases), []
                for part in node.body:
                    match part:
                        case ast.Assign() | ast.AnnAssign():
                            defaults.append(part.value)
                        case ast.Expr(value=ast.Constant()) | ast.Pass():
                            pass
                        case _ if not self._is_definition(part):
                            return False
            case _:
                return False
        return (
            all(_last_name(d) in _DECORATORS for d in node.decorator_list)
            and all(self._is_fixed(hint, displays=True) for hint in hints if hint)
            and all(self._is_fixed(default) for default in defaults if default)
        )

    def _is_fixed(self, node: ast.AST, displays: bool = False) -> bool:
        """An expression that makes nothing changeable, or with `displays` new lists and the like alone."""
        if isinstance(node, ast.Lambda):
            return all(self._is_fixed(d) for d in [*node.args.defaults, *node.args.kw_defaults] if d)
        return all(
            isinstance(n, _FIXED)
            or (displays and isinstance(n, (ast.List, ast.Dict, ast.Set)))
            or (isinstance(n, ast.Call) and self._is_fixed_call(n.func))
            for n in ast.walk(node)
        )

    def _is_fixed_call(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Name) and function.id in _BUILT_IN:
            return function.id not in self.binders
        return any(map(_FIXED_CALLS.fullmatch, self._paths_of(function)))


def _own_attributes(node: ast.AST) -> Iterator[ast.Attribute]:
    """Where the methods of a class set attributes of their own object."""
    for method in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(method, ast.FunctionDef) and method.name not in _OF_CLASSES and method.args.args:
            if any(_last_name(d) in ("classmethod", "staticmethod") for d in method.decorator_list):
                continue
            own = method.args.args[0].arg
            for inner in ast.walk(method):
                if isinstance(inner, ast.Attribute) and getattr(inner.value, "id", "") == own:
                    yield inner


def _last_name(decorator: ast.expr) -> str:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    return getattr(node, "attr", getattr(node, "id", ""))


def _is_harmless(path: str) -> bool:
    return path.partition(".")[0] in _HARMLESS


def _may_last(path: str) -> bool:
    """Of the full name of something imported: calling it may have effects that last."""
    top, *rest = path.split(".")
    return top not in _HARMLESS or (top != "matplotlib" and bool(rest) and bool(_LASTING.match(rest[-1])))
