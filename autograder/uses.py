"""Which of a notebook's names a function uses, found without running it."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator, Mapping
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

_LOADS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")


def used_by(value: Any, names: Mapping[str, Any]) -> list[str]:
    """Which of the notebook's names a function or class uses, directly or through others.

    Args:
        value: the function.
        names: the notebook's names, as its functions have them for their globals.
    """
    found: list[str] = []
    waiting = [value]
    for user in waiting:  # grows on the way
        for code in _codes(user, names, set()):
            for word in loaded(code):
                if word in names and word not in found:
                    found.append(word)
                    waiting.append(names[word])
    return found


def _codes(value: Any, names: Mapping[str, Any], seen: set[int]) -> Iterator[CodeType]:
    """The code that the notebook gave a function, a class's methods, or what a partial or decorator holds."""
    if id(value) in seen:
        return
    seen.add(id(value))
    inner: list[Any] = []
    if isinstance(value, FunctionType):
        if value.__globals__ is names:
            yield value.__code__
        inner = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
        inner.append(getattr(value, "__wrapped__", None))
    elif isinstance(value, type):
        if value.__module__ == names.get("__name__"):
            inner = [*vars(value).values(), *value.__bases__]
    elif isinstance(value, functools.partial):
        inner = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, (MethodType, staticmethod, classmethod)):
        inner = [value.__func__]
    elif isinstance(value, property):
        inner = [value.fget]
    elif not isinstance(value, ModuleType):
        inner = [type(value)]
    for part in inner:
        yield from _codes(part, names, seen)


def loaded(code: CodeType) -> Iterator[str]:
    """The names that code looks up outside of its functions, in their order and as often as it does."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in _LOADS:
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from loaded(constant)
