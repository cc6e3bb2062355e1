"""Notebooks: the source from lesson and references, the release that students get, and solved ones.

A lesson is Markdown with Jinja2. `{{ exercise("name") }}` becomes the stub of a reference and the cell that
checks it, `{{ question("name", points=2) }}` a written answer; fenced `python` blocks become code cells.
`{% call question("name", points=2) %}`, a mark scheme, `{% endcall %}`: the same with a mark scheme, which
stands in the cell of the source notebook and not in what students get.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import inspect
import re
import symtable
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import nbformat
from nbformat import NotebookNode, v4

if TYPE_CHECKING:
    from autograder.course import Week

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
UNANSWERED = "YOUR ANSWER HERE"  # nbgrader's own words: its release has them too

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
PIECE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>\S*)[^\n]*\n(?P<code>.*?)^(?P=fence)[`~]*[ \t]*$"
    r"|(?P<open>^(?:```|~~~))|(?P<heading>^(?=#{1,6} ))|\0(?P<kind>\w+) (?P<name>[^\0]+)\0",
    re.MULTILINE | re.DOTALL,
)


def build_source(week: Week) -> NotebookNode:
    """The instructor's notebook of a week, model solutions included; the same bytes every time.

    Raises:
        ValueError: names file and line where lesson and exercises don't match, or where a reference needs
            what the notebook doesn't define.
    """
    lesson = week.folder / "lesson.md"
    exercises = {exercise.name: exercise.reference for exercise in week.exercises}
    points: dict[str, int] = {}
    schemes: dict[str, str] = {}

    def place(kind: str, name: str, worth: int) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise ValueError(f"{name!r} can't name a cell: use letters, digits, _ and -")
        if name in points:
            raise ValueError(f"{name!r} stands in the lesson twice")
        points[name] = worth
        return f"\0{kind} {name}\0"

    def exercise(name: str) -> str:
        if name not in exercises:
            raise ValueError(f"{name!r} is no exercise of {week.name}; there are {', '.join(exercises)}")
        return place("exercise", name, week.max_points(name))

    def question(name: str, points: int, caller: Callable[[], str] | None = None) -> str:
        if caller is not None:
            schemes[name] = f"**Mark scheme** ({points} points)\n\n{caller().strip()}"
        if name in exercises or name.removeprefix("check_") in exercises:
            raise ValueError(f"the question {name!r} has the name of an exercise's cell")
        return place("question", name, points)

    text = _render(lesson, exercise=exercise, question=question, week=week)
    for name, reference in exercises.items():
        if name not in points:
            path, _, node = _definition(reference)
            call = f'{{{{ exercise("{name}") }}}}'
            raise ValueError(
                f"{path}:{node.lineno}: {name} is an exercise of {week.name}, but {lesson} has no {call}"
            )

    imports = [pair for reference in exercises.values() for pair in _imports(reference)]
    known = {*dir(builtins), *(name for name, _ in imports)}
    cells: list[NotebookNode] = []
    for kind, content in _pieces(lesson, text):
        if kind == "exercise":
            known.add(content)
            source = marked_source(exercises[content])
            _require_known(exercises[content], source, known)
            cells.append(_graded(v4.new_code_cell(source), content, solution=True))
            cells.append(_graded(v4.new_code_cell(f"check({content})"), f"check_{content}", points[content]))
        elif kind == "question":
            # What a solution cell of text holds, nbgrader's release replaces by `UNANSWERED`.
            cell = v4.new_markdown_cell(schemes.get(content, UNANSWERED))
            cells.append(_graded(cell, content, points[content], solution=True))
        else:
            cells.append(v4.new_code_cell(content) if kind == "code" else v4.new_markdown_cell(content))
    setup = v4.new_code_cell(_setup({line for _, line in imports}, week.name))
    cells.insert(int(bool(cells) and cells[0].cell_type == "markdown"), setup)
    _identify(cells)
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = v4.new_notebook(
        cells=cells, metadata={"kernelspec": python, "language_info": {"name": "python"}}
    )
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    return notebook


def clear_solutions(notebook: NotebookNode) -> NotebookNode:
    """What students get of a source notebook: nbgrader's own release of it, made without a gradebook."""
    from nbgrader import preprocessors as nbgrader

    resources: dict[str, Any] = {}
    notebook = deepcopy(notebook)
    for step in (
        nbgrader.LockCells,
        nbgrader.ClearSolutions,
        nbgrader.ClearOutput,
        nbgrader.ClearHiddenTests,
        nbgrader.ClearMarkScheme,
        nbgrader.ComputeChecksums,
        nbgrader.CheckCellMetadata,
    ):
        notebook, resources = step().preprocess(notebook, resources)
    return notebook


def solve(notebook: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """The notebook with `answers` (sources, by grade id) in its solution cells."""
    notebook = deepcopy(notebook)
    cells = {
        cell.metadata.nbgrader.grade_id: cell
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for name, source in answers.items():
        if name not in cells:
            raise ValueError(f"{name!r} is no solution cell of the notebook; there are {', '.join(cells)}")
        cells[name].source = source
    return notebook


def marked_source(reference: Callable[..., Any]) -> str:
    """A reference's source as a solution cell, its `require(...)` statements left out.

    What students write stands between solution marks: the body of a function after its docstring, for a class
    the bodies of its methods but `__init__`.
    """
    path, lines, definition = _definition(reference)
    functions = [definition]
    if isinstance(definition, ast.ClassDef):
        functions = [
            node for node in definition.body if isinstance(node, FUNCTIONS) and node.name != "__init__"
        ]
        if not functions:
            raise ValueError(
                f"{path}:{definition.lineno}: {definition.name} leaves students no method to write"
            )
    kept = dict(enumerate(lines, 1))
    for guard, instead in _guards(definition):
        for number in range(guard.lineno, guard.end_lineno + 1):
            kept.pop(number)
        if instead:
            kept[guard.lineno] = " " * guard.col_offset + instead
    for function in functions:
        body = function.body[ast.get_docstring(function) is not None :]
        numbers = [
            n for n in range(_start(function, lines), function.end_lineno + 1) if kept.get(n, "").strip()
        ]
        if not numbers or lines[body[0].lineno - 1][: body[0].col_offset].strip():
            raise ValueError(f"{path}:{function.lineno}: {function.name} has no body on lines of its own")
        indent = " " * body[0].col_offset
        kept[numbers[0]] = f"{indent}{BEGIN}\n{kept[numbers[0]]}"
        kept[numbers[-1]] += f"\n{indent}{END}"
    first = min(node.lineno for node in (definition, *definition.decorator_list))
    return "\n".join(kept[n] for n in range(first, definition.end_lineno + 1) if n in kept)


def _render(lesson: Path, **names: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(lesson.parent), undefined=jinja2.StrictUndefined, autoescape=False
    )
    try:
        return environment.get_template(lesson.name).render(names)
    except jinja2.TemplateNotFound:
        raise ValueError(f"{lesson}:1: there is no such lesson") from None
    except jinja2.TemplateSyntaxError as error:
        raise ValueError(f"{error.filename or lesson}:{error.lineno}: {error.message}") from error
    except Exception as error:
        # Jinja2 rewrites the traceback, so that it shows the lines of the lesson.
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(lesson)
        ]
        raise ValueError(f"{lesson}:{lines[-1] if lines else 1}: {error}") from error


def _pieces(lesson: Path, text: str) -> Iterator[tuple[str, str]]:
    """(kind, content) of the parts of a lesson: Markdown, cut at headings, code, exercises and questions."""
    start = 0
    for match in PIECE.finditer(text):
        if match["code"] is not None and match["language"] != "python":
            continue  # other languages are only shown
        line = text.count("\n", 0, match.start()) + 1
        if match["open"]:
            raise ValueError(f"{lesson}:{line}: this code block has no end")
        if markdown := text[start : match.start()].strip():
            yield "markdown", markdown
        start = match.end()
        if match["kind"]:
            yield match["kind"], match["name"]
        elif match["code"] is not None:
            yield "code", _python(lesson, line + 1, match["code"].strip("\n"))
    if markdown := text[start:].strip():
        yield "markdown", markdown


def _python(lesson: Path, line: int, code: str) -> str:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError) as error:
        where = line + (getattr(error, "lineno", None) or 1) - 1
        raise ValueError(
            f"{lesson}:{where}: this code block is no Python: {getattr(error, 'msg', error)}"
        ) from error
    return code


def _definition(reference: Callable[..., Any]) -> tuple[str, list[str], Any]:
    """The file of a reference, its lines, and the definition in its syntax tree."""
    path = inspect.getsourcefile(reference) or ""
    text = Path(path).read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)) and node.name == reference.__name__:
            return path, text.split("\n"), node
    raise ValueError(f"{path}:1: {reference.__name__} is not defined at the top of the module")


def _imports(reference: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """(name, statement) of what a reference's module imports from outside the folder of references."""
    path = Path(inspect.getsourcefile(reference) or "")
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (
            node.level or (node.module or "").split(".")[0] == path.parent.name
        ):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                yield (alias.asname or alias.name).split(".")[0], ast.unparse(node)


def _setup(imports: set[str], week: str) -> str:
    """The first code cell: imports and the week's checks."""

    def place(line: str) -> tuple[bool, bool, bool, str]:
        module = line.split()[1].split(".")[0]
        return module != "__future__", module not in sys.stdlib_module_names, line.startswith("from"), line

    order = sorted({*imports, "import matplotlib.pyplot as plt"}, key=place)
    return "\n".join([*order, "", "from autograder import load_checks", "", f'check = load_checks("{week}")'])


def _guards(owner: ast.AST) -> Iterator[tuple[Any, str | None]]:
    """The statements that only guard the domain, each with what stands in their place."""
    for _, block in ast.iter_fields(owner):
        nodes = [node for node in block if isinstance(node, ast.AST)] if isinstance(block, list) else []
        guards = [node for node in nodes if is_guard(node)]
        for node in nodes:
            if node not in guards:
                yield from _guards(node)
            else:
                yield node, "pass" if guards == nodes and node is guards[0] else None


def is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.If | ast.For | ast.With):
        return all(map(is_guard, [*node.body, *getattr(node, "orelse", [])]))
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "require"
    )


def _start(function: Any, lines: list[str]) -> int:
    """The first line of a body: after the docstring, or at the comments above the first statement."""
    if ast.get_docstring(function) is not None:
        return function.body[0].end_lineno + 1
    start = function.body[0].lineno
    while not lines[start - 2].strip() or lines[start - 2].lstrip().startswith("#"):
        start -= 1
    return start


def _require_known(reference: Callable[..., Any], source: str, known: set[str]) -> None:
    path, _, definition = _definition(reference)
    unknown = set(_global_names(symtable.symtable(source, path, "exec"))) - known
    for node in ast.walk(definition):
        if isinstance(node, ast.Name) and node.id in unknown:
            raise ValueError(
                f"{path}:{node.lineno}: {reference.__name__} uses {node.id}, which is neither imported "
                "nor an exercise above it in the lesson: the notebook does not define it"
            )


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and symbol.is_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)


def _graded(cell: NotebookNode, name: str, points: int | None = None, solution: bool = False) -> NotebookNode:
    """Give a cell nbgrader's metadata: a solution, a grade where there are points, or both."""
    grade = points is not None
    cell.metadata["nbgrader"] = {
        "cell_type": cell.cell_type,
        "grade": grade,
        "grade_id": name,
        "locked": grade and not solution,
        "schema_version": 3,
        "solution": solution,
        "task": False,
    } | ({"points": points} if grade else {})
    return cell


def _identify(cells: list[NotebookNode]) -> None:
    """Give every cell an id that depends on its grade id or its source alone."""
    taken: set[str] = set()
    for cell in cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        count = 0
        while not 0 < len(name) <= 64 or name in taken:
            name = hashlib.sha256(f"{cell.cell_type} {count} {cell.source}".encode()).hexdigest()[:12]
            count += 1
        taken.add(name)
        cell.id = name
