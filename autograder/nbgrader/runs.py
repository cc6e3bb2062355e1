"""One submitted notebook, run in guests: what comes of it is written into its cells.

A `Job` holds everything that decides about the outcome, so that its fingerprint says whether an outcome
from before still holds. For cells with tests nbgrader's rules hold (see `_tested`), for check cells the
judge's verdict.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import secrets
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autograder.confinement import Limits
from autograder.course import checks_key
from autograder.display import exercise_html, exercise_text
from autograder.grading import Staged, engine_key, grade_submission, holding, submission_key
from autograder.guests import GuestDied, Zygote
from autograder.judge import Bench
from autograder.pages import number
from autograder.replay import Sitting
from autograder.results import ExerciseResult, Report
from autograder.store import fingerprint
from autograder.submissions import Cell, Submission

Output = dict[str, Any]

TESTS = "tests"
CHECK = "check_"  # what the grade ids of check cells begin with; the exercise's name follows
MOST_CARRIED = 24 << 20  # bytes of files that go along with a notebook, compressed
MOST_WRITTEN = 16 << 20  # bytes of files that a notebook may leave behind
MOST_FILES = 100

# Students' code runs in the process that answers, so that an answer is worth what these controls say.
_DISTRUSTED = (
    "the notebook changes how cells are run or errors are shown (in a control cell beside this one an error "
    "did not come through), so that its tests prove nothing; take out what does that"
)


@dataclass(frozen=True)
class CodeCell:
    """A code cell with the part it plays: "" (nothing to grade), "tests", or an exercise's name."""

    source: str
    id: str
    role: str = ""
    points: float = 0.0


@dataclass(frozen=True)
class Job:
    """A notebook of a student, restored, and all else that decides about its outcome.

    `files` are what lies beside the notebook, by relative path. `week` is the notebook's week in the course
    at `root`, or "" where there are no checks of ours.
    """

    student: str
    assignment: str
    notebook: str
    cells: tuple[CodeCell, ...]
    files: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    ignore_stderr: bool = False
    timeout_error: Mapping[str, Any] = field(default_factory=dict)
    root: str = ""
    week: str = ""
    tier: str = "hidden"

    def key(self) -> str:
        """A fingerprint of the submission, the checks and the engine."""
        checks = checks_key(self.root, self.week) if self.week else ""
        return fingerprint(self.submission_key(), checks, engine_key())

    def submission_key(self) -> str:
        """A fingerprint of the submission, and of how it is run."""
        files = [(name, hashlib.sha256(p.read_bytes()).hexdigest()) for name, p in sorted(self.files.items())]
        cells = [asdict(cell) for cell in self.cells]
        how = [dict(self.environment), asdict(self.limits), self.ignore_stderr, dict(self.timeout_error)]
        what = [self.student, self.assignment, self.notebook, self.tier]
        return fingerprint(json.dumps([what, cells, files, how]))


@dataclass
class Outcome:
    """What came of a notebook: each code cell's outputs, and the report where it was judged.

    `faults` says, by the number of the code cell, what of ours kept it from being graded.
    """

    key: str
    submission_key: str
    outputs: list[list[Output]]
    counts: list[int | None]
    faults: dict[int, str] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)  # files that the notebook left, in base 64
    report: Report | None = None

    def to_json(self) -> str:
        data = asdict(self) | {"report": self.report.to_json() if self.report else None}
        return json.dumps(data)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Raises ValueError, KeyError or TypeError for what `to_json` did not write."""
        data = json.loads(text)
        data["faults"] = {int(i): fault for i, fault in data["faults"].items()}
        if data["report"] is not None:
            data["report"] = Report.from_json(data["report"])
        return cls(**data)


def run(
    job: Job,
    zygote: Zygote,
    ready: Bench | None = None,
    old: Outcome | None = None,
    exercises: Collection[str] = (),
) -> Outcome:
    """Run a notebook in guests and grade it. Never raises: what is our fault is in the outcome.

    Args:
        ready: the week's bench; needed where the job has a week.
        old: an earlier outcome, of which is kept what still holds.
        exercises: what is judged again in any case.
    """
    key = ""
    sitting: Sitting | None = None
    try:
        key = job.key()
        stage = _Stage(job)
        sitting = Sitting(zygote, stage.cells, job.limits)
        report = None
        if ready is not None and any(cell.role not in ("", TESTS) for cell in job.cells):
            submission, staged = _submission(job), Staged(sitting, stage.places)
            same = old is not None and old.submission_key == job.submission_key()
            now = submission_key(submission, job.tier, job.limits, zygote.level)
            kept = holding(ready, old.report if old and same else None, now, exercises)
            report = grade_submission(
                ready, submission, zygote, job.tier, job.limits, staged=staged, kept=kept
            )
        if not sitting.results:
            sitting.guest()
        if stage.lister and (problem := _first_problem(sitting)):
            raise RuntimeError(f"the notebook's folder could not be prepared: {problem}")
        outcome = Outcome(key, job.submission_key(), *_shown(job, sitting, stage), report=report)
        for i, cell in enumerate(job.cells):
            if cell.role == TESTS:
                _tested(job, i, cell, stage, sitting, outcome)
            elif cell.role:
                _judged(i, cell, outcome)
        outcome.written = _left_behind(sitting, job, stage)
        return outcome
    except Exception as error:
        return failed(job, key, f"{type(error).__name__}: {error}")
    finally:
        if sitting is not None:
            sitting.close()


def failed(job: Job, key: str, reason: str) -> Outcome:
    """The outcome where we failed: nothing is graded."""
    graded = {i: reason for i, cell in enumerate(job.cells) if cell.role}
    outputs: list[list[Output]] = [[] for _ in job.cells]
    for i in graded:
        outputs[i] = [_fault(reason)]
    return Outcome(key, "", outputs, [None] * len(job.cells), graded)


def _submission(job: Job) -> Submission:
    cells = tuple(Cell(c.source, c.id, grade_id=c.role if c.role != TESTS else None) for c in job.cells)
    digest = hashlib.sha256(json.dumps([c.source for c in cells]).encode()).hexdigest()
    return Submission(job.student, Path(f"{job.notebook}.ipynb"), cells, digest)


class _Stage:
    """The cells that are really run: the notebook's, one before them, and a control after each with tests.

    `places` has the notebook's cells, `controls` by the number of a cell with tests the control after it.
    """

    def __init__(self, job: Job) -> None:
        self.cells: list[dict[str, str]] = []
        self.places: list[int] = []
        self.controls: dict[int, int] = {}
        self.lister = ""
        tests = any(cell.role == TESTS for cell in job.cells)
        if job.files or job.environment or tests:
            self.lister = f"_files_{secrets.token_hex(8)}"
            self.cells.append({"source": _first(job, self.lister), "id": "first"})
        for i, cell in enumerate(job.cells):
            self.places.append(len(self.cells))
            self.cells.append({"source": cell.source, "id": cell.id})
            if cell.role == TESTS:
                word = secrets.token_hex(8)
                self.controls[i] = len(self.cells)
                self.cells.append({"source": _CONTROL.format(word=word), "id": f"control-{word}"})


# Neither leaves a trace in the notebook's numbers.
_FIRST = """
def {lister}(files, environment):
    import base64, os, zlib
    os.environ.update(environment)
    for name, data in files.items():
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        with open(name, "wb") as file:
            file.write(zlib.decompress(base64.b85decode(data)))
    known = {{name: os.stat(name).st_mtime_ns for name in files}}
    def listed():
        found, room = {{}}, {room}
        for folder, folders, names in os.walk("."):
            folders[:] = [f for f in folders if not f.startswith((".", "__pycache__"))]
            for name in names:
                path = os.path.relpath(os.path.join(folder, name))
                if path.startswith(".") or not os.path.isfile(path) or os.path.islink(path):
                    continue
                room -= os.path.getsize(path)
                if known.get(path) != os.stat(path).st_mtime_ns and room >= 0 and len(found) < {most}:
                    with open(path, "rb") as file:
                        found[path] = base64.b64encode(file.read()).decode()
        return found
    return listed
{lister} = {lister}({files!r}, {environment!r})
get_ipython().execution_count -= 1
"""
_CONTROL = """
get_ipython().execution_count -= 1
assert "{word}" == "not {word}"
"""


def _first(job: Job, lister: str) -> str:
    """The cell before the notebook's: the files beside it, and nbgrader's environment variables."""
    files, room = {}, MOST_CARRIED
    for name, path in sorted(job.files.items()):
        data = base64.b85encode(zlib.compress(path.read_bytes(), 6)).decode()
        room -= len(data)
        if room >= 0:
            files[name] = data
    return _FIRST.format(
        lister=lister, files=files, environment=dict(job.environment), room=MOST_WRITTEN, most=MOST_FILES
    )


def _first_problem(sitting: Sitting) -> str:
    """What the cell before the notebook's stumbled over."""
    if 0 in sitting.fatal:
        return sitting.fatal[0].detail
    outputs = (sitting.results[0] or {}).get("outputs", ()) if sitting.results else ()
    return "; ".join(o["evalue"] for o in outputs if o["output_type"] == "error")


def _shown(job: Job, sitting: Sitting, stage: _Stage) -> tuple[list[list[Output]], list[int | None]]:
    """Each cell's outputs as the notebook has them, and its number in the order of execution."""
    outputs: list[list[Output]] = []
    counts: list[int | None] = []
    for number_, place in enumerate(stage.places, 1):
        result = sitting.results[place] if place < len(sitting.results) else None
        shown = list((result or {}).get("outputs", ()))
        if place in sitting.fatal:
            shown.append(_death(sitting.fatal[place], job))
        elif result is None:
            reason = "this cell was not run, since too many others ended their process"
            shown.append(_error("NotRun", reason))
        for output in shown:
            if output["output_type"] == "execute_result":
                output["execution_count"] = number_
        outputs.append(shown)
        counts.append(number_)
    return outputs, counts


def _death(death: GuestDied, job: Job) -> Output:
    if death.kind == "time" and job.timeout_error:
        return {"output_type": "error", **job.timeout_error}
    names = {"time": "CellTimeoutError", "memory": "MemoryError", "exited": "SystemExit"}
    return _error(names.get(death.kind, "DeadKernelError"), death.detail)


def _error(name: str, message: str, text: str = "") -> Output:
    lines = [f"\x1b[0;31m{name}\x1b[0m: {message}", *text.splitlines()]
    return {"output_type": "error", "ename": name, "evalue": message, "traceback": lines}


def _fault(reason: str) -> Output:
    return _error("NotGraded", f"a fault of the grader, not of the submission: {reason}")


def _score(value: float, count: int | None) -> Output:
    """A score as nbgrader reads it."""
    data = {"text/plain": _decimal(value)}
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": count}


def _decimal(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.1f}"


# Cells with tests


def _tested(job: Job, i: int, cell: CodeCell, stage: _Stage, sitting: Sitting, outcome: Outcome) -> None:
    """Make a test cell's outputs such that nbgrader's rules give what the tests say, and nothing else does.

    An error is worth nothing, wherever it stands; a number that the last expression gives is the score;
    else the cell is worth all its points. Every cell ends with an output that says so: silence earns nothing.
    """
    outputs = outcome.outputs[i]
    if job.ignore_stderr:
        for output in outputs:
            if output.get("name") == "stderr":
                output["name"] = "stdout"
    errors = [o for o in outputs if o["output_type"] == "error"]
    others = [o for o in outputs if o["output_type"] != "error"]
    results = [o for o in others if o["output_type"] == "execute_result"]
    stated = results[-1] if results and _ends_in_expression(cell.source) else None
    if stated is not None and not stated["data"].get("text/plain"):
        stated = None
    for output in results:
        if output is not stated:  # shown by what the tests call, not by the tests
            output["output_type"] = "display_data"
            del output["execution_count"]
    if not errors and not _control_held(i, stage, sitting):
        errors = [_error("NotBelieved", _DISTRUSTED)]
    said = str(stated["data"]["text/plain"]) if stated else ""
    value = _number(said)
    if not errors and value is not None and (value < 0 or value != value):
        errors = [_error("NoScore", f"the tests give {said.strip()}, which is no score")]
    if not errors and value is not None and value > cell.points * (1 + 1e-9):
        outcome.faults[i] = f"the tests give {said.strip()} of {number(cell.points)} points"
        outcome.outputs[i] = [_fault(outcome.faults[i]), *others]
    elif errors:
        # Zero, whatever else the cell shows: nbgrader goes by what it meets first.
        outcome.outputs[i] = [*errors, *others]
    else:
        score = cell.points if value is None else min(value, cell.points)
        if stated is None:
            outcome.outputs[i] = [*others, _score(score, outcome.counts[i])]
        elif value is not None:
            stated["data"]["text/plain"] = _decimal(score) if value > cell.points else said
            outcome.outputs[i] = others


def _ends_in_expression(source: str) -> bool:
    """Whether the cell's last statement has a value; where that can't be known, it may."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return True  # magics; or no Python, and then there is an error
    return bool(body) and isinstance(body[-1], ast.Expr)


def _number(text: str) -> float | None:
    """The number in an output, as nbgrader reads it."""
    try:
        return float(text)
    except ValueError:
        return None


def _control_held(i: int, stage: _Stage, sitting: Sitting) -> bool:
    """The control after a cell failed as it must: there, at least, an error came through."""
    place = stage.controls[i]
    result = sitting.results[place] if place < len(sitting.results) else None
    return any(o["output_type"] == "error" for o in (result or {}).get("outputs", ()))


# Check cells


def _judged(i: int, cell: CodeCell, outcome: Outcome) -> None:
    """Put the judge's feedback and score into a check cell, in place of whatever it shows."""
    report = outcome.report
    found = [e for e in report.exercises if e.name == cell.role] if report else []
    if report is None or report.status == "unreadable" or not found:
        _ungraded(i, outcome, "; ".join(report.problems) if report else "the exercise was not judged")
        return
    result = found[0]
    if result.status == "fault" or (report.status == "fault" and not result.checks):
        _ungraded(i, outcome, "; ".join([*result.notes, *_faults(result), *report.problems]))
        return
    score = min(cell.points, cell.points * result.score / result.max_score if result.max_score else 0.0)
    text = exercise_text(result)
    feedback = {
        "output_type": "display_data",
        "data": {"text/html": exercise_html(result, (score, cell.points)), "text/plain": text},
        "metadata": {},
    }
    end = _score(score, outcome.counts[i]) if score > 0 else _error("NoPoints", text.splitlines()[0])
    outcome.outputs[i] = [feedback, end]


def _faults(result: ExerciseResult) -> list[str]:
    return [check.message for check in result.checks if check.verdict == "fault"]


def _ungraded(i: int, outcome: Outcome, reason: str) -> None:
    outcome.faults[i] = reason or "unknown"
    outcome.outputs[i] = [_fault(outcome.faults[i])]


# What the notebook leaves behind


def _left_behind(sitting: Sitting, job: Job, stage: _Stage) -> dict[str, str]:
    """The files that the notebook wrote, in base 64: for whoever grades by hand. Nothing hangs on them."""
    if not stage.lister:
        return {}
    reply = sitting.ask({"op": "call", "name": stage.lister, "args": []})
    found = reply.get("value")
    if not isinstance(found, dict) or len(found) > MOST_FILES:
        return {}
    kept, room = {}, MOST_WRITTEN
    for name, data in found.items():
        if not isinstance(name, str) or not isinstance(data, str) or not _is_plain(name):
            continue
        room -= len(data)
        if name not in job.files and room >= 0:
            kept[name] = data
    return kept


def _is_plain(name: str) -> bool:
    """A relative path of ordinary names, and none that nbgrader reads."""
    parts = name.split("/")
    return (
        len(name) < 200
        and name.isprintable()
        and all(part and not part.startswith(".") and "\\" not in part and ":" not in part for part in parts)
        and parts[-1] != "timestamp.txt"
        and not name.lower().endswith((".ipynb", ".py", ".html", ".htm", ".js", ".pyc", ".checks"))
    )
