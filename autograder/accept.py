"""A right answer that was rejected becomes a known answer: `autograder accept`.

Tolerances are earned with all accepted answers, so that one more can widen them, for everyone who writes it
in such a way. It is added only if it then gets full marks and every known answer still gets what it should;
otherwise it is wrong, and its counterexample shows how. Nothing in the course changes before that is known.
"""

from __future__ import annotations

import ast
import builtins
import dis
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from autograder import forbidden
from autograder.course import CourseError, Week, checks_key, load_module, marked
from autograder.exercises import Solution
from autograder.explain import exercise_of
from autograder.grading import bench
from autograder.judge import Bench
from autograder.qualify import qualify
from autograder.results import FAILED, ExerciseResult, Report
from autograder.submissions import Submission
from autograder.trials import LocalReplayer
from autograder.uses import loaded

IMPORT = "from autograder.author import accepted"
EMPTY = f'"""Other right ways to write the answers. All of them must get full marks."""\n\n{IMPORT}\n'


# A student's code as a known answer


@dataclass(frozen=True)
class _Statement:
    """One statement at the top level of a notebook, the names that it binds and those that it needs."""

    tree: ast.stmt
    binds: frozenset[str]
    needs: frozenset[str]


def written(week: Week, exercise: str, submission: Submission, report: Report, beside: str = EMPTY) -> str:
    """The answer in a submission, as source for accepted.py: its code, without comments and docstrings.

    What it needs of the notebook comes along. Other exercises that it calls are the student's own where they
    got full marks, and the references elsewhere.

    Args:
        week: the assignment.
        exercise: which of its exercises.
        submission: what was handed in.
        report: what came of it.
        beside: the text of accepted.py: what it imports is not imported again.

    Raises:
        CourseError: it can't be taken out of the notebook; says what is in the way.
    """
    name = f"{exercise.lower()}_from_report_{submission.digest[:8]}"
    if any(s.name == name for s in week.solutions):
        raise CourseError(f"{name} is among the accepted answers of {week.name} already")
    right = {e.name for e in report.exercises if e.status == "passed"}
    ours = set(week.references) - right - {exercise}
    parts = _parts(submission, exercise, ours)
    used = sorted(ours.intersection(n for p in parts for n in p.needs))
    imports = [ast.parse(f"from {week.references[n].__module__} import {n}").body[0] for n in used]
    imports += [p.tree for p in parts if isinstance(p.tree, (ast.Import, ast.ImportFrom))]
    there = {ast.unparse(s) for s in ast.parse(beside).body}
    imports = [s for s in imports if ast.unparse(s) not in there]
    definitions = [p for p in parts if not isinstance(p.tree, (ast.Import, ast.ImportFrom))]
    doc = f"Right, and rejected once: of the submission with the digest {submission.digest[:12]}."
    body = [ast.Expr(ast.Constant(doc)), *imports]
    match [d.tree for d in definitions]:
        case [ast.FunctionDef(decorator_list=[]) as only] if _stands_alone(only, exercise, definitions[0]):
            arguments, body = only.args, body + only.body
        case several:
            arguments = ast.arguments([], [], ast.arg("arguments"), [], [], None, [])
            body = [*body, *several, *ast.parse(f"return {exercise}(*arguments)").body]
    function = ast.FunctionDef(name, arguments, body, [])
    return f'@accepted("{exercise}")\n{ast.unparse(ast.fix_missing_locations(function))}\n'


def _stands_alone(function: ast.FunctionDef, exercise: str, statement: _Statement) -> bool:
    """It does not call itself, and no default needs anything: it may have another name, in another place."""
    defaults = [d for d in (*function.args.defaults, *function.args.kw_defaults) if d is not None]
    return exercise not in statement.needs and all(isinstance(d, ast.Constant) for d in defaults)


def _parts(submission: Submission, exercise: str, given: set[str]) -> list[_Statement]:
    """The statements that an answer is made of, in order; the names in `given` come from elsewhere."""
    statements = list(_statements(submission))
    chosen: set[int] = set()
    waiting = [exercise]
    for name in waiting:  # grows on the way
        for i in _binding(statements, name):
            chosen.add(i)
            waiting += sorted(statements[i].needs - given - {*waiting})
    parts = [statements[i] for i in sorted(chosen)]
    if not parts:
        raise CourseError(f"the submission does not define {exercise}")
    unknown = {*waiting} - {n for p in parts for n in p.binds} - {*dir(builtins)}
    stars = [s.tree for s in statements if isinstance(s.tree, ast.ImportFrom) and s.tree.names[0].name == "*"]
    obstacle = ast.unparse(stars[0]) if unknown and stars else ""
    if any(isinstance(node, ast.Global) for p in parts for node in ast.walk(p.tree)):
        obstacle = "global"
    if obstacle:
        raise CourseError(f"{exercise} needs `{obstacle}`: write it into accepted.py by hand, and qualify")
    return parts


def _statements(submission: Submission) -> Iterator[_Statement]:
    """The statements of a notebook, without what is IPython's alone, docstrings and annotations."""
    for cell in submission.code:
        tree = forbidden.parsed(cell.source)
        for statement in tree.body if tree else ():
            _strip(statement)
            module = ast.fix_missing_locations(ast.Module([statement], []))
            try:
                code = compile(
                    module, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
                )
            except (SyntaxError, ValueError, RecursionError):
                continue
            binds = (
                i.argval for i in dis.get_instructions(code) if i.opname in ("STORE_NAME", "STORE_GLOBAL")
            )
            yield _Statement(statement, frozenset(binds), frozenset(loaded(code)))


def _strip(statement: ast.stmt) -> None:
    for node in ast.walk(statement):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            node.returns = None
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            documented = ast.get_docstring(node, clean=False) is not None
            node.body = node.body[documented:] or [ast.Pass()]
        if isinstance(node, ast.arg):
            node.annotation = None


def _binding(statements: Sequence[_Statement], name: str) -> Iterator[int]:
    """The last statement that binds a name; those before it, too, if it only changes what they bound."""
    for i in reversed(range(len(statements))):
        if name in statements[i].binds:
            yield i
            if not isinstance(statements[i].tree, ast.AugAssign):
                return


# Trying it


@dataclass
class Tried:
    """What became of an answer, and how the course would change.

    `against` says why it can't be accepted, if it can't. `widened` has by check the largest factor by which
    a tolerance grows, where it does.
    """

    against: list[str]
    result: ExerciseResult
    widened: Mapping[str, float]


def accepted_file(week: Week) -> Path:
    """Where the accepted answers of a week are."""
    return week.folder.parent.parent / "solutions" / week.name / "accepted.py"


def accept(week: Week, exercise: str, answer: str) -> Tried:
    """Add an answer to a week's accepted.py, if it is right: the course stays as it is where it is not.

    The answer is run in this process, as all known answers are.

    Args:
        week: the assignment.
        exercise: which of its exercises.
        answer: what `written` made.
    """
    path = accepted_file(week)
    text = path.read_text(encoding="utf-8") if path.is_file() else EMPTY
    if not re.search(r"^from autograder\.author import .*\baccepted\b", text, re.MULTILINE):
        raise CourseError(f"{path}: add a line `{IMPORT}`")
    text = f"{text.rstrip()}\n\n\n{answer}"
    with tempfile.TemporaryDirectory(prefix="accept-") as scratch:
        candidate = Path(scratch, path.name)
        candidate.write_text(text, encoding="utf-8")
        answers = marked(load_module(candidate), Solution)
        mistakes = [s for s in week.solutions if s.is_mistake]
        changed = replace(week, solutions=[*answers, *mistakes], cache=Path(scratch, "cache"))
        own, new = (w.cache / week.name / exercise for w in (week, changed))
        if own.is_dir():
            shutil.copytree(own, new)
        tried = _tried(week, changed, exercise, answers[-1])
        if not tried.against:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            shutil.copytree(new, own, dirs_exist_ok=True)  # what was earned need not be earned again
            bench.cache_clear()
            checks_key.cache_clear()
    return tried


def _tried(week: Week, changed: Week, exercise: str, answer: Solution) -> Tried:
    """Judge an answer by the checks as they would be with it, and qualify the exercise."""
    ready = Bench(changed)
    result = ready.judge_exercise(exercise, LocalReplayer(ready.namespace(answer)))
    if result.score < result.max_score:
        lost = [c.name for c in result.checks if c.points < c.max_points]
        return Tried([f"it loses {', '.join(lost)} also by its own tolerances"], result, {})
    found = qualify(changed, only=[exercise]).exceptions
    before = qualify(week, only=[exercise]).exceptions if found else []
    against = [e for e in found if e not in before]
    return Tried(against, result, {} if against else dict(_widened(Bench(week), ready, exercise)))


def _widened(before: Bench, after: Bench, exercise: str) -> Iterator[tuple[str, float]]:
    """By check, the largest factor by which a tolerance grows, where it grows at all."""
    for check in before.week.checks_of(exercise):
        old = {t.example.choices: t.calibration.tolerances for t in before.material(check).trials}
        factors = [
            tolerance.absolute / was.absolute
            for trial in after.material(check).trials
            for key, tolerance in trial.calibration.tolerances.items()
            if (was := old.get(trial.example.choices, {}).get(key)) and was.absolute
        ]
        if factors and max(factors) > 1:
            yield check.name, max(factors)


def affected(report: Report, exercise: str, reports: Sequence[Report]) -> list[tuple[Report, ExerciseResult]]:
    """Who lost points in this exercise by a check that failed in `report`, too."""
    failing = {(c.name, c.tier) for c in exercise_of(report, exercise).checks if c.verdict == FAILED}
    return [
        (other, found)
        for other in reports
        if other.assignment == report.assignment
        for found in other.exercises
        if found.name == exercise and found.score < found.max_score
        if failing & {(c.name, c.tier) for c in found.checks if c.verdict == FAILED}
    ]
