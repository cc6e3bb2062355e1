"""Mutants of a reference: small changes of its source, each of which some check should notice.

What students are given is left as it is: signatures' annotations, docstrings, the `__init__` of classes; so
are `require(...)` statements, which guard a reference's domain and are no part of the answer, and all that
has to do with devices, of which the CPU is the only one here.
"""

from __future__ import annotations

import ast
import copy
import inspect
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder.exercises import Exercise
from autograder.notebooks import is_guard

_RENAMED = [  # functions and methods that are taken for each other
    ("sum", "mean"), ("sum", "prod"), ("sum", "logsumexp"), ("sum", "norm"), ("max", "min"), ("amax", "amin"),
    ("argmax", "argmin"), ("maximum", "minimum"), ("any", "all"), ("cumsum", "cumprod"), ("cummax", "cummin"),
    ("std", "var"), ("softmax", "log_softmax"), ("sigmoid", "tanh"), ("sigmoid", "logsigmoid"),
    ("relu", "tanh"), ("relu", "softplus"), ("sin", "cos"), ("exp", "expm1"), ("log", "log1p"),
    ("log", "log2"), ("square", "sqrt"), ("square", "abs"), ("floor", "ceil"), ("floor", "round"),
    ("tril", "triu"), ("zeros", "ones"), ("zeros_like", "ones_like"), ("rand", "randn"),
    ("clamp_min", "clamp_max"), ("cat", "stack"), ("append", "extend"), ("mul_", "add_"),
    ("mse_loss", "l1_loss"),
]  # fmt: skip
_REDUCTIONS = set(
    "sum mean prod max min amax amin argmax argmin any all std var softmax log_softmax logsumexp norm "
    "cumsum cumprod flip sort topk".split()
)
_STRINGS = {"sum": "mean", "mean": "sum", "left": "right", "right": "left"}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)  # a op b is not b op a
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_COMMUTATIVE = set("transpose swapaxes maximum minimum max min add mul dot logaddexp hypot gcd".split())
_KEPT_CALLS = set("range len zip enumerate list tuple dict set int str isinstance super print".split())
_NO_MATHEMATICS = ("device", "strict")  # arguments that say where, or guard
_TRANSPOSES = ("T", "mT", "H", "mH")
_SHAPE = ("dtype", "device", "ndim", "shape")  # what does not depend on a tensor's values
_LIKE = ("zeros_like", "ones_like", "empty_like", "full_like", "new_zeros", "new_ones", "new_tensor", "len")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Change = tuple[str, ast.AST]  # what kind of change it is, and the node instead


@dataclass(frozen=True)
class Mutant:
    """A reference with one change: `before` and `after` are the changed statement, of a block its head."""

    exercise: str
    kind: str
    line: int  # in the file of the reference
    before: str
    after: str
    source: str

    @property
    def change(self) -> tuple[str, str]:
        return self.before, self.after

    def build(self, module: ModuleType) -> Any:
        """The mutated function or class, which finds all else in the reference's module."""
        space = dict(vars(module))
        exec(compile(self.source, f"<mutant of {self.exercise}>", "exec"), space)
        return space[self.exercise]


def module_of(exercise: Exercise) -> ModuleType:
    """The module of an exercise's reference."""
    return sys.modules[exercise.reference.__module__]


def mutants(exercise: Exercise, exercises: Collection[str] = ()) -> list[Mutant]:
    """All mutants of a reference and of what it calls in its module, but other exercises.

    Args:
        exercise: whose reference is changed.
        exercises: names of the week's exercises: these are not changed along with it.
    """
    text = Path(inspect.getsourcefile(exercise.reference) or "").read_text(encoding="utf-8")
    return list(mutants_of(text, exercise.name, exercises, exercise.differentiable, exercise.methods))


def mutants_of(
    text: str,
    name: str,
    others: Collection[str] = (),
    differentiable: bool | Sequence[str] = False,
    methods: Collection[str] = (),
) -> Iterator[Mutant]:
    """The mutants of the definition `name` in a module's text, see `mutants`.

    Args:
        text: the module's source.
        name: the function or class at its top.
        others: definitions that stay as they are.
        differentiable: as in `exercise`: where no gradient is asked for, nothing is detached.
        methods: those of a class that `differentiable=True` stands for.
    """
    tree = ast.parse(text)
    future = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    whole = ast.Module([*future, *_definitions(tree, name, others)], [])
    modules = {
        a.asname or a.name.split(".")[0] for n in tree.body if isinstance(n, ast.Import) for a in n.names
    }
    modules |= {a.asname or a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names}
    original, seen = ast.unparse(whole), set()
    for place in _places(whole, _Scope(frozenset(modules), differentiable, frozenset(methods))):
        before = _head(place.statement)
        for kind, new in _changes(place):
            place.put(new)
            source = ast.unparse(whole)
            after = _head(new if place.node is place.statement else place.statement)
            place.put(place.node)
            if source != original and source not in seen:
                seen.add(source)
                line: int = getattr(place.node, "lineno", 0) or getattr(place.statement, "lineno", 0)
                yield Mutant(name, kind, line, before, after, source)


def _definitions(tree: ast.Module, name: str, others: Collection[str]) -> list[ast.stmt]:
    """The definition of a name and those at the top of the module that it needs, in the module's order."""
    at_top: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            at_top[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in ast.walk(node):
                if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                    at_top[target.id] = node
    if name not in at_top:
        raise ValueError(f"{name} is not defined at the top of its module")
    needed, new = {name}, [name]
    while new:
        used = {n.id for n in ast.walk(at_top[new.pop()]) if isinstance(n, ast.Name)}
        found = (used & at_top.keys()) - needed - set(others)
        needed |= found
        new += found
    chosen = [at_top[n] for n in needed]
    return [node for node in tree.body if node in chosen]


# Where something can be changed


@dataclass(frozen=True)
class _Scope:
    """What is known where a node stands."""

    modules: frozenset[str]
    differentiable: bool | Sequence[str]
    methods: frozenset[str]
    siblings: Mapping[str, str] = field(default_factory=dict)  # each name with another of its kind
    bound: frozenset[str] = frozenset()  # names that had a value before
    detachable: frozenset[str] = frozenset()

    def within(self, function: ast.FunctionDef, in_class: bool) -> _Scope:
        """The scope of a function's body."""
        siblings, detachable = dict(self.siblings), set(self.detachable)
        arguments = _parameters(function)
        kinds: dict[str, list[str]] = {}
        for argument in arguments:
            if argument.annotation is not None:
                kinds.setdefault(ast.dump(argument.annotation), []).append(argument.arg)
        for unpacked in _unpacked(function):
            kinds.setdefault(" ".join(unpacked), unpacked)
        for names in kinds.values():
            siblings.update(zip(names, names[1:] + names[:1], strict=True))
        asked = self.differentiable
        if in_class:
            compared = self.methods if asked is True else asked or ()
            asked = bool(asked) and (function.name in compared or function.name.startswith("_"))
        for argument in arguments:
            is_float = argument.annotation is not None and "Float[" in ast.unparse(argument.annotation)
            if (asked is True and is_float) or (not isinstance(asked, bool) and argument.arg in asked):
                detachable.add(argument.arg)
        if asked:
            detachable |= _assigned(function)
        return replace(
            self,
            siblings={k: v for k, v in siblings.items() if k != v},
            bound=self.bound | {a.arg for a in arguments},
            detachable=frozenset(detachable),
        )


def _parameters(function: ast.FunctionDef) -> list[ast.arg]:
    arguments = function.args
    return [a for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs] if a.arg != "self"]


def _assigned(node: ast.AST) -> set[str]:
    """The names that a node's statements assign."""
    targets = [t for n in ast.walk(node) if isinstance(n, ast.Assign) for t in n.targets]
    names = [n for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, ast.Store)}


def _unpacked(function: ast.AST) -> list[list[str]]:
    """The names that are unpacked together: values of one kind."""
    return [
        [e.id for e in target.elts if isinstance(e, ast.Name)]
        for node in ast.walk(function)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Tuple)
    ]


@dataclass(frozen=True)
class _Place:
    """A node in its parent's field, within a statement, and how to put another there."""

    parent: ast.AST
    name: str
    index: int | None
    node: ast.AST
    statement: ast.AST
    scope: _Scope

    def put(self, new: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.name, new)
        else:
            getattr(self.parent, self.name)[self.index] = new


def _places(parent: ast.AST, scope: _Scope, statement: ast.AST | None = None) -> Iterator[_Place]:
    """All places below a node where something can be changed, in the order of the text."""
    if isinstance(parent, ast.ClassDef):
        scope = replace(scope, siblings=_attributes(parent))
    for name, index, node in _children(parent):
        if isinstance(node, ast.stmt) and (is_guard(node) or _is_docstring(node)):
            continue
        if isinstance(node, FUNCTIONS) and node.name == "__init__":
            continue
        if name == "func" and isinstance(node, ast.Name):
            continue  # what is called is changed with the call
        if isinstance(node, ast.Attribute) and node.attr == "device":
            continue
        if isinstance(node, ast.keyword) and node.arg in _NO_MATHEMATICS:
            continue
        inner = scope
        if isinstance(node, ast.FunctionDef):
            inner = scope.within(node, isinstance(parent, ast.ClassDef))
        elif name == "slice" or isinstance(node, ast.Compare) or _is_call_of(node, "detach"):
            inner = replace(scope, detachable=frozenset())  # no gradient goes through there
        own = node if isinstance(node, ast.stmt) else statement
        changeable = isinstance(node, (ast.expr, ast.stmt, ast.comprehension))
        if own is not None and changeable and not _moves_to_a_device(node):
            yield _Place(parent, name, index, node, own, inner)
        if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Constant):
            continue  # -1 is one number
        yield from _places(node, inner, own)
        if isinstance(node, ast.Assign):
            scope = replace(scope, bound=scope.bound | _assigned(node))


def _with(node: Any, **fields: Any) -> Any:
    """A copy of a node in which some fields are others."""
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _children(parent: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    """What a node holds that is executed in its place: no annotations and decorators."""
    for name, value in ast.iter_fields(parent):
        if name in ("annotation", "returns", "decorator_list", "bases", "ctx", "type_params"):
            continue
        if isinstance(parent, ast.Raise):
            continue  # messages are no mathematics
        if isinstance(parent, ast.AnnAssign) and name == "target":
            continue
        if isinstance(value, ast.AST):
            yield name, None, value
        elif isinstance(value, list):
            yield from ((name, i, v) for i, v in enumerate(value) if isinstance(v, ast.AST))


def _is_call_of(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and _name_of(node) == name


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _moves_to_a_device(node: ast.AST) -> bool:
    """A call `v.to(x.device)`, which makes no difference here."""
    if not (isinstance(node, ast.Call) and _name_of(node) == "to" and len(node.args) == 1):
        return False
    return isinstance(node.args[0], ast.Attribute) and node.args[0].attr == "device"


def _attributes(definition: ast.ClassDef) -> dict[str, str]:
    """Attributes of a class that `__init__` makes in the same way, each with the next of its kind."""
    kinds: dict[str, list[str]] = {}
    for function in definition.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                    names = kinds.setdefault(ast.dump(node.value), [])
                    names.append("self." + node.targets[0].attr)
    return {
        a: b
        for names in kinds.values()
        if len(names) > 1
        for a, b in zip(names, names[1:] + names[:1], strict=True)
    }


def _head(node: ast.AST) -> str:
    """A statement as one line: of a block its head, of a function without annotations."""
    if isinstance(node, ast.Pass):
        return "pass"
    if isinstance(node, FUNCTIONS):
        arguments = copy.deepcopy(node.args)
        for argument in ast.walk(arguments):
            if isinstance(argument, ast.arg):
                argument.annotation = None
        node = _with(node, args=arguments, returns=None, decorator_list=[])
    if hasattr(node, "body") and isinstance(node.body, list):
        node = _with(node, body=[ast.Pass()], **({"orelse": []} if hasattr(node, "orelse") else {}))
        return ast.unparse(node).removesuffix("pass").strip()
    return ast.unparse(node)


# What can be changed there


def _changes(place: _Place) -> Iterator[Change]:
    """All that stands for a place's node in its mutants."""
    node = place.node
    if isinstance(node, ast.stmt):
        yield from _changed_statement(node, place.scope)
    elif isinstance(node, ast.Constant):
        yield from _changed_constant(node)
    elif isinstance(node, ast.UnaryOp):
        yield from _changed_unary(node)
    elif isinstance(node, ast.BinOp):
        yield from _changed_binary(node)
    elif isinstance(node, ast.BoolOp):
        yield "boolean", _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        for i in range(len(node.values)):
            kept = node.values[:i] + node.values[i + 1 :]
            yield "dropped term", kept[0] if len(kept) == 1 else _with(node, values=kept)
    elif isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                yield "comparison", _with(node, ops=[*node.ops[:i], other(), *node.ops[i + 1 :]])
    elif isinstance(node, ast.Call):
        yield from _changed_call(node, place.scope)
    elif isinstance(node, ast.IfExp):
        yield "branch", node.body
        yield "branch", node.orelse
        yield "branch", _with(node, body=node.orelse, orelse=node.body)
    elif isinstance(node, ast.comprehension):
        for i in range(len(node.ifs)):
            yield "branch", _with(node, ifs=node.ifs[:i] + node.ifs[i + 1 :])
    elif isinstance(node, ast.Slice):
        yield from _changed_slice(node)
    elif isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Load):
        for swapped in _swapped(node.elts):
            yield "swapped operands", _with(node, elts=swapped)
    elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
        yield from _changed_name(node, place)
    if (
        isinstance(place.parent, ast.Subscript)
        and place.name == "slice"
        and isinstance(node, (ast.Name, ast.BinOp))
    ):
        yield "off by one", _plus(node, 1)


def _swapped(nodes: Sequence[ast.expr]) -> Iterator[list[ast.expr]]:
    """Neighbours swapped, one pair at a time."""
    for i in range(len(nodes) - 1):
        if not any(isinstance(n, ast.Starred) for n in nodes[: i + 2]):
            yield [*nodes[:i], nodes[i + 1], nodes[i], *nodes[i + 2 :]]


def _plus(node: ast.expr, k: int) -> ast.expr:
    operator = ast.Add() if k > 0 else ast.Sub()
    return ast.BinOp(node, operator, ast.Constant(abs(k)))


def _negated(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)


def _number(value: int | float) -> ast.expr:
    return ast.Constant(value) if value >= 0 else _negated(ast.Constant(-value))


def _changed_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "flag", ast.Constant(not value)
    elif isinstance(value, int):
        whole = {0: [1, -1], 1: [0, 2]}.get(value, [value + 1, value - 1, 2 * value])
        yield from (("constant", _number(other)) for other in dict.fromkeys(whole))
    elif isinstance(value, float):
        others = {0.0: [1.0]}.get(value, [0.0, 2 * value] if abs(value) < 1e-2 else [value + 1, 2 * value])
        yield from (("constant", _number(other)) for other in others)
    elif isinstance(value, str) and value in _STRINGS:
        yield "constant", ast.Constant(_STRINGS[value])


def _changed_unary(node: ast.UnaryOp) -> Iterator[Change]:
    value = node.operand.value if isinstance(node.operand, ast.Constant) else None
    if isinstance(node.op, ast.USub) and isinstance(value, (int, float)):
        others = [1 - value, -1 - value] if isinstance(value, int) else [value, -2 * value]
        yield from (("axis or constant", _number(other)) for other in others)
    else:
        yield "sign" if isinstance(node.op, ast.USub) else "boolean", node.operand


def _changed_binary(node: ast.BinOp) -> Iterator[Change]:
    if type(node.op) in _OPERATORS:
        yield "operator", _with(node, op=_OPERATORS[type(node.op)]())
    if isinstance(node.op, ast.MatMult):
        yield "transpose", _with(node, right=ast.Attribute(node.right, "mT", ast.Load()))
    if isinstance(node.op, _ORDERED):
        yield "swapped operands", _with(node, left=node.right, right=node.left)
    yield "dropped operand", node.left
    if not isinstance(node.op, ast.Pow):
        yield "dropped operand", _negated(node.right) if isinstance(node.op, ast.Sub) else node.right


def _name_of(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _changed_call(node: ast.Call, scope: _Scope) -> Iterator[Change]:
    name = _name_of(node)
    is_method = isinstance(node.func, ast.Attribute) and not _is_module(node.func.value, scope)
    for pair in _RENAMED:
        for old, new in (pair, pair[::-1]):
            if name == old:
                yield "function", _renamed(node, new)
    if is_method:
        if not _is_self(node.func.value):  # type: ignore[attr-defined]
            yield "dropped call", node.func.value  # type: ignore[attr-defined]
        elif node.args:
            yield "dropped call", node.args[0]
    elif node.args and name not in _KEPT_CALLS and not isinstance(node.args[0], ast.Starred):
        yield "dropped call", node.args[0]
    for swapped in _swapped(node.args) if name not in _COMMUTATIVE else ():
        yield "swapped arguments", _with(node, args=swapped)
    for i, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in _NO_MATHEMATICS:
            yield "dropped argument", _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
    if name in _REDUCTIONS and len(node.args) > (0 if is_method else 1):
        yield "dropped argument", _with(node, args=node.args[:-1])
    if name in ("range", "arange"):
        for i, argument in enumerate(node.args):
            if not isinstance(argument, (ast.Constant, ast.UnaryOp)):
                for k in (1, -1):
                    yield (
                        "off by one",
                        _with(node, args=[*node.args[:i], _plus(argument, k), *node.args[i + 1 :]]),
                    )


def _renamed(call: ast.Call, name: str) -> ast.Call:
    if isinstance(call.func, ast.Attribute):
        return _with(call, func=_with(call.func, attr=name))
    return _with(call, func=ast.Name(name, ast.Load()))


def _is_module(node: ast.AST, scope: _Scope) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in scope.modules


def _is_self(node: ast.AST) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id == "self"


def _changed_slice(node: ast.Slice) -> Iterator[Change]:
    for bound in ("lower", "upper"):
        value = getattr(node, bound)
        if value is None:
            continue
        yield "slice", _with(node, **{bound: None})
        if not isinstance(value, (ast.Constant, ast.UnaryOp)):
            for k in (1, -1):
                yield "off by one", _with(node, **{bound: _plus(value, k)})
    if node.step is not None:
        yield "slice", _with(node, step=None)


def _changed_name(node: ast.Name | ast.Attribute, place: _Place) -> Iterator[Change]:
    scope, parent = place.scope, place.parent
    if isinstance(node, ast.Attribute):
        if node.attr in _TRANSPOSES:
            yield "transpose", node.value
        elif node.attr in ("float64", "float32"):
            yield "dtype", _with(node, attr="float32" if node.attr == "float64" else "float64")
    if isinstance(parent, ast.Attribute) and parent.attr in (*_SHAPE, *_LIKE):
        return
    if isinstance(parent, ast.Call) and _name_of(parent) in _LIKE:
        return
    text = ast.unparse(node)
    if text in scope.siblings:
        yield "swapped names", ast.parse(scope.siblings[text], mode="eval").body
    if isinstance(node, ast.Name) and node.id in scope.detachable and place.name != "func":
        yield "detached", ast.Call(ast.Attribute(node, "detach", ast.Load()), [], [])


def _changed_statement(node: ast.stmt, scope: _Scope) -> Iterator[Change]:
    if isinstance(node, ast.FunctionDef):
        yield from _swapped_parameters(node)
        if node.args.defaults:  # the first can be left out alone
            yield "default", _with(node, args=_with(node.args, defaults=node.args.defaults[1:]))
    elif isinstance(node, (ast.If, ast.While)):
        yield "branch", _with(node, test=ast.UnaryOp(ast.Not(), node.test))
        yield "branch", _with(node, test=ast.Constant(False))
        if isinstance(node, ast.If):
            yield "branch", _with(node, test=ast.Constant(True))
    elif isinstance(node, ast.Return) and isinstance(
        node.value, (ast.BinOp, ast.Call, ast.Name, ast.Subscript)
    ):
        yield "sign", _with(node, value=_negated(node.value))
    elif isinstance(node, ast.AugAssign):
        yield "dropped statement", ast.Pass()
        if type(node.op) in _OPERATORS:
            yield "operator", _with(node, op=_OPERATORS[type(node.op)]())
        yield "operator", ast.Assign([node.target], node.value, lineno=node.lineno)
    elif isinstance(node, ast.Assign):
        if _assigned(node) <= scope.bound:  # without it, the value from before is used
            yield "dropped statement", ast.Pass()
    elif isinstance(node, (ast.Expr, ast.Raise, ast.Break, ast.Continue, ast.Delete)):
        yield "dropped statement", ast.Pass()
        if isinstance(node, (ast.Break, ast.Continue)):
            yield "branch", ast.Continue() if isinstance(node, ast.Break) else ast.Break()
    elif isinstance(node, ast.With):
        yield "dropped call", ast.If(ast.Constant(True), node.body, [])
    elif isinstance(node, ast.For):
        yield "loop", _with(node, body=[*node.body, ast.Break()])
        if not (isinstance(node.target, ast.Name) and node.target.id == "_"):
            yield (
                "loop",
                _with(node, iter=ast.Call(ast.Name("reversed", ast.Load()), [_listed(node.iter)], [])),
            )


def _listed(node: ast.expr) -> ast.expr:
    return ast.Call(ast.Name("list", ast.Load()), [node], [])


def _swapped_parameters(function: ast.FunctionDef) -> Iterator[Change]:
    """Two parameters of the same kind in the other order."""
    arguments = function.args
    for i, one in enumerate(arguments.args):
        for j in range(i + 1, len(arguments.args)):
            two = arguments.args[j]
            if one.annotation and two.annotation and ast.dump(one.annotation) == ast.dump(two.annotation):
                swapped = list(arguments.args)
                swapped[i], swapped[j] = two, one
                yield "swapped parameters", _with(function, args=_with(arguments, args=swapped))
                break
