"""What students get besides the notebook: the public checks, with recorded answers instead of references.

A `.checks` file holds the stubs, the source of the public checks, and for every public check its examples,
tolerances, the reference's answers and what each known mistake gives. With these `check(...)` compares and
diagnoses without any reference.
"""

from __future__ import annotations

import ast
import linecache
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from autograder import battery, store, wire
from autograder.calls import LocalSession, Session
from autograder.closeness import Calibration
from autograder.corpus import Example
from autograder.course import CourseError, Week, marked
from autograder.exercises import Check, Exercise, Solution
from autograder.judge import Bench
from autograder.trials import Material, Recorded, Recording, Trial

FORMAT = "genai-autograder/checks/v1"
SUFFIX = ".checks"


def write(bench: Bench, stubs: str, path: Path) -> None:
    """Write the public checks of a week.

    Args:
        bench: the week, with its references and known mistakes.
        stubs: Python source that defines every exercise as students find it, imports included.
        path: the file to write.
    """
    week = bench.week
    source = week.folder / "public_checks.py"
    content = {
        "format": FORMAT,
        "week": week.name,
        "title": week.title,
        "stubs": stubs,
        "methods": {e.name: list(e.methods) for e in week.exercises},
        "forbids": {e.name: dict(e.forbids) for e in week.exercises},
        "public_checks": source.read_text() if source.is_file() else "",
        "checks": [_check(bench, c) for c in week.checks if c.tier == "public"],
    }
    store.save(path, FORMAT, content)


def _check(bench: Bench, check: Check) -> dict[str, Any]:
    trials = bench.material(check).judged
    # Agreement names the mistake; the other checks need not repeat it.
    mistakes = bench.week.solutions_of(check.exercise, mistakes=True) if check.gate else []
    return {
        "exercise": check.exercise,
        "name": check.name,
        "points": check.points,
        "examples": [_example(bench, check, trial) for trial in trials],
        "mistakes": [
            [m.name, m.sentence, [list(bench.mistake_trace(check, m, i)) for i in range(len(trials))]]
            for m in mistakes
        ],
    }


def _example(bench: Bench, check: Check, trial: Trial) -> list[Any]:
    """Values, tolerances and the reference's answers."""
    recording = Recording(bench.exact)
    outcome = bench.job(check, trial, lambda session: recording)(LocalSession(bench.week.references))
    if outcome.error is not None:
        raise CourseError(f"{check.exercise}: the reference fails {check.name}: {outcome.error}")
    return [dict(trial.example.values), trial.calibration.to_list(), recording.replies]


class Published(Bench):
    """A bench made from a `.checks` file: public checks alone, with the reference's answers recorded."""

    can_shrink = False

    def __init__(self, content: Mapping[str, Any], folder: Path) -> None:
        names: dict[str, Any] = _run_source(content["stubs"], f"{content['week']} stubs")
        exercises = [
            Exercise(
                names[name], methods={method: {} for method in methods}, forbids=content["forbids"][name]
            )
            for name, methods in content["methods"].items()
        ]
        module = ModuleType(f"{content['week']}_public_checks")
        vars(module).update(_run_source(content["public_checks"], f"{content['week']} public_checks.py"))
        written = {(c.exercise, c.name): replace(c, tier="public") for c in marked(module, Check)}
        for exercise in exercises:
            written |= {(c.exercise, c.name): c for c in battery.checks(exercise) if c.tier == "public"}
        checks = [written[c["exercise"], c["name"]] for c in content["checks"]]
        solutions = [
            Solution(c["exercise"], name, _unknown, sentence)
            for c in content["checks"]
            if written[c["exercise"], c["name"]].gate
            for name, sentence, _ in c["mistakes"]
        ]
        week = Week(content["week"], folder, content["title"], exercises, checks, solutions, "", folder)
        super().__init__(week)
        for check, data in zip(checks, content["checks"], strict=True):
            trials = []
            for values, calibration, replies in data["examples"]:
                trials.append(Trial(Example(values), Calibration.from_list(calibration), replies=replies))
            self._materials[check.exercise, check.tier, check.name] = Material(check, trials)
            for name, _, traces in data["mistakes"]:
                known = {i: (t, bool(failed)) for i, (t, failed) in enumerate(traces)}
                self._traces[check.exercise, check.tier, check.name, name] = known

    @classmethod
    def load(cls, path: Path) -> Published:
        """Read a `.checks` file.

        Raises:
            ValueError: the file is missing, damaged or of another version; says which.
        """
        try:
            found, content = store.unpack(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        except (zlib.error, wire.WireError, ValueError, TypeError):
            raise ValueError(f"{path} is damaged: take it from the assignment's folder again") from None
        if found != FORMAT:
            raise ValueError(f"{path} has the format {found!r}, not {FORMAT!r}: update genai-autograder")
        return cls(content, path.parent)

    def answers(self, check: Check, trial: Trial) -> Session:
        return Recorded(trial.replies or [])


def _unknown(*args: Any) -> Any:
    raise NotImplementedError


def _run_source(source: str, name: str) -> dict[str, Any]:
    """The names that a source defines; inspect.getsource finds its lines."""
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace: dict[str, Any] = {"__name__": name.replace(" ", "_")}
    exec(compile(source, filename, "exec"), namespace)
    return namespace


def stub_source(notebook: Any, exercises: list[str]) -> str:
    """The imports and stubs of a released notebook, as a module that `Published` can run."""
    cells = {c.metadata.get("nbgrader", {}).get("grade_id"): c.source for c in notebook.cells}
    setup = next(c.source for c in notebook.cells if c.cell_type == "code")
    lines = []
    for node in ast.parse(setup).body:
        modules = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [getattr(node, "module", "") or ""]
        )
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not any(
            m.startswith(("matplotlib", "autograder")) for m in modules
        ):
            lines.append(ast.unparse(node))
    return "\n\n".join(["\n".join(lines), *(cells[name] for name in exercises)]) + "\n"
