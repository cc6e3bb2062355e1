"""A course folder: finding it, loading its weeks, and everything that belongs to one week."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder import battery
from autograder.exercises import TIERS, Assignment, Check, Exercise, Solution
from autograder.store import fingerprint, source_of

CONFIG = "course.toml"


class CourseError(ValueError):
    """A course folder that can't be used; the message names the file and what to do."""


@dataclass
class Week:
    """One assignment with its checks and, where the course has them, its known answers."""

    name: str
    folder: Path
    title: str
    exercises: list[Exercise]
    checks: list[Check]
    solutions: list[Solution]
    seed: str
    cache: Path

    def exercise(self, name: str) -> Exercise:
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        names = ", ".join(e.name for e in self.exercises)
        raise CourseError(f"exercise {name!r} is not in {self.name}; it has {names}")

    def checks_of(self, exercise: str, tiers: tuple[str, ...] = ("public", "hidden")) -> list[Check]:
        """The checks of one exercise, gates first, in the order in which they are judged."""
        checks = [c for c in self.checks if c.exercise == exercise and c.tier in tiers]
        return sorted(checks, key=lambda c: not c.gate)

    def max_points(self, exercise: str, tiers: tuple[str, ...] = ("public", "hidden")) -> int:
        return sum(c.points for c in self.checks_of(exercise, tiers))

    def solutions_of(self, exercise: str, mistakes: bool) -> list[Solution]:
        return [s for s in self.solutions if s.exercise == exercise and s.is_mistake == mistakes]

    @cached_property
    def references(self) -> dict[str, Any]:
        """The reference functions by name: the namespace of a perfect submission."""
        return {e.name: e.reference for e in self.exercises}

    def sources(self, check: Check) -> str:
        """A fingerprint of the course files that decide how a check judges."""
        body = "" if check.battery else _source(check.body)
        answers = [_source(s.function) for s in self.solutions if s.exercise == check.exercise]
        module = inspect.getsourcefile(self.exercise(check.exercise).reference) or ""
        line = 0 if check.battery else check.body.__code__.co_firstlineno
        return fingerprint(
            Path(module).read_bytes(), body, line, *answers, self.exercise(check.exercise).differentiable
        )


@dataclass
class Course:
    """A folder with `course.toml`, `assignments`, `solutions` and the references they use."""

    root: Path
    title: str
    seed: str
    _weeks: dict[str, Week] = field(default_factory=dict)

    @classmethod
    def find(cls, start: Path | str | None = None) -> Course:
        """The course at `start`, in a folder above it, at $AUTOGRADER_COURSE, or beside this package."""
        if start is not None and not Path(start).exists():
            raise CourseError(f"course folder {str(start)!r} does not exist")
        places = [Path(start)] if start is not None else [Path.cwd()]
        if start is None and os.environ.get("AUTOGRADER_COURSE"):
            places.insert(0, Path(os.environ["AUTOGRADER_COURSE"]))
        if start is None:
            places.append(Path(__file__).parent)
        for place in places:
            for folder in [place.resolve(), *place.resolve().parents]:
                if (folder / CONFIG).is_file():
                    return cls.load(folder)
        raise CourseError(
            f"no {CONFIG} in {places[0].resolve()} or above it: name the course with --course DIR"
        )

    @classmethod
    def load(cls, root: Path) -> Course:
        try:
            config = tomllib.loads((root / CONFIG).read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise CourseError(f"{root / CONFIG}: {error}") from None
        seed = str(config.get("seed", ""))
        if not re.fullmatch(r"[0-9a-f]{32}", seed):
            raise CourseError(
                f"{root / CONFIG}: seed must be 32 hexadecimal digits, made once per course: "
                'python -c "import secrets; print(secrets.token_hex(16))"'
            )
        return cls(root, str(config.get("title", root.name)), seed)

    @property
    def names(self) -> list[str]:
        """The weeks' names, in order."""
        return sorted(p.parent.name for p in (self.root / "assignments").glob("*/assignment.py"))

    def weeks(self) -> Iterator[Week]:
        for name in self.names:
            yield self.week(name)

    def resolve(self, name: str) -> str:
        """The full name of a week given as "week07_vae", "week07", "7" or "vae"."""
        wanted = name.strip("/").split("/")[-1]
        found = [n for n in self.names if wanted == n]
        if not found:
            number = f"week{int(wanted):02d}" if wanted.isdigit() else wanted
            found = [n for n in self.names if n.startswith(number + "_") or n.endswith("_" + wanted)]
        if len(found) != 1:
            raise CourseError(
                f"week {name!r} is not in {self.root / 'assignments'}: there are {', '.join(self.names)}"
            )
        return found[0]

    def week(self, name: str) -> Week:
        """Load one week; CourseError names the file that is wrong."""
        name = self.resolve(name)
        if name not in self._weeks:
            self._weeks[name] = self._load(name)
        return self._weeks[name]

    def _load(self, name: str) -> Week:
        folder = self.root / "assignments" / name
        if str(self.root) not in sys.path:
            sys.path.insert(0, str(self.root))
        module = load_module(folder / "assignment.py")
        assignment = getattr(module, "assignment", None)
        if not isinstance(assignment, Assignment):
            raise CourseError(
                f"{folder / 'assignment.py'}: expected `assignment = Assignment(title, exercises)`"
            )
        exercises = list(assignment.exercises)
        names = [e.name for e in exercises]
        checks: list[Check] = []
        for tier in ("public", "hidden"):
            path = folder / f"{tier}_checks.py"
            for check in marked(load_module(path), Check) if path.is_file() else []:
                if check.exercise not in names:
                    raise CourseError(
                        f"{path}: check {check.name!r} is of {check.exercise!r}, no exercise of {name}"
                    )
                if check.tier and check.tier not in TIERS:
                    raise CourseError(f"{path}: tier {check.tier!r} of {check.name!r} is not one of {TIERS}")
                checks.append(replace(check, tier=check.tier or tier))
        all_checks = [
            c for e in exercises for c in [*battery.checks(e), *(c for c in checks if c.exercise == e.name)]
        ]
        solutions: list[Solution] = []
        for kind in ("accepted", "mistakes"):
            path = self.root / "solutions" / name / f"{kind}.py"
            for solution in marked(load_module(path), Solution) if path.is_file() else []:
                if solution.exercise not in names:
                    raise CourseError(
                        f"{path}: {solution.name!r} answers {solution.exercise!r}, no exercise of {name}"
                    )
                solutions.append(solution)
        return Week(
            name,
            folder,
            assignment.title,
            exercises,
            all_checks,
            solutions,
            self.seed,
            self.root / ".autograder",
        )


@cache
def _source(function: Any) -> str:
    """Where all checks of an exercise ask for the same answers: to find a class, a whole file is parsed."""
    return inspect.getsource(function)


def load_module(path: Path) -> ModuleType:
    """Import a file under a name of its own, however often files of that name exist."""
    name = f"_autograder_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # inspect.getsource and dataclasses look there
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CourseError(f"{path}: {type(error).__name__}: {error}") from error
    return module


def marked(module: ModuleType, kind: type) -> list[Any]:
    """The records that decorators left on a module's functions, in the order of their definition."""
    records = [getattr(v, "__autograder__", None) for v in vars(module).values()]
    return [r for r in records if isinstance(r, kind)]


@cache
def checks_key(root: str, week: str) -> str:
    """A fingerprint of all course files that decide about a week's marks."""
    course = Path(root)
    files = [course / CONFIG]
    for folder in ("assignments", "solutions"):
        files += sorted((course / folder / week).rglob("*.py"))
    return fingerprint(source_of(files), source_of(sorted(_imported(course, files))))


def _imported(course: Path, files: Sequence[Path]) -> set[Path]:
    """The course's own modules that these files import, and those that they import in turn."""
    found: set[Path] = set()
    left = [path for path in files if path.suffix == ".py"]
    while left:
        tree = ast.parse(left.pop().read_text(encoding="utf-8"))
        names: list[str] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            place = course.joinpath(*name.split("."))
            for path in (place.with_suffix(".py"), place / "__init__.py"):
                if path.is_file() and path not in found:
                    found.add(path)
                    left.append(path)
    return found
