"""The preprocessor in place of nbgrader's `Execute`: notebooks run in guests, check cells go to the judge."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from nbgrader.utils import find_all_files, is_grade, is_solution
from traitlets import Bool, Float, Integer, Unicode

from autograder.confinement import Limits
from autograder.course import CONFIG, Course, CourseError
from autograder.grading import bench, own_zygote
from autograder.nbgrader.restore import NOTE
from autograder.nbgrader.runs import CHECK, TESTS, CodeCell, Job, Outcome, failed, run
from autograder.store import fingerprint

RESULTS = Path(".autograder") / "results"


_UNSEALED = (
    "so that students' code could read the hidden checks and write its own grade: see `autograder doctor`, "
    "or set c.GuestExecute.allow_unconfined"
)


class NotPython(Exception):
    """The course's own notebook is in a language that guests don't speak: a mistake in the course."""


class GuestExecute(Execute):
    """Runs every notebook in a confined process of its own and grades it; never raises for a submission.

    It has the options of `Execute` (`c.Execute.timeout`, `--no-execute`, ...) and a few more. A submission
    that can't be graded through a fault of ours stays ungraded, with an error in the log.
    """

    course = Unicode(
        "", help="The folder with course.toml, where there are checks. Default: the course folder."
    ).tag(config=True)
    memory = Integer(2 << 30, help="Bytes that a notebook may use.").tag(config=True)
    call_seconds = Float(5.0, help="CPU seconds that one call of a student's function may take.").tag(
        config=True
    )
    allow_unconfined = Bool(
        False, help="Grade with hidden checks even where guests can't be sealed (see docs/security.md)."
    ).tag(config=True)
    ignore_stderr = Bool(
        False, help="Warnings don't cost a test cell's points. (By nbgrader's rule any stderr is worth zero.)"
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any = None, km: Any = None) -> tuple[NotebookNode, Any]:
        """Run the notebook and put what comes of it, or came of it before, into its code cells."""
        resources = {} if resources is None else resources
        about = resources.get("nbgrader", {})
        self._refuse_other_languages(nb, about)
        try:
            job = self.job(nb, about)
        except Exception as error:
            self.log.exception("the notebook can't be prepared")
            job = _bare_job(nb, about)
            outcome = failed(job, "", f"{type(error).__name__}: {error}")
        else:
            outcome = self._outcome(job)
        _insert(nb, job, outcome)
        self._keep_files(outcome, resources)
        if outcome.faults:
            self._leave_ungraded(nb, outcome, about)
        return nb, resources

    def job(self, nb: NotebookNode, about: Mapping[str, str]) -> Job:
        """The notebook with all that decides about its outcome."""
        root, week = self.week(about)
        exercises = bench(Path(root), week).functions if week else []
        return Job(
            about.get("student", ""),
            about.get("assignment", ""),
            about.get("notebook", ""),
            code_cells(nb, exercises),
            self._files(about),
            {name: value for name, value in os.environ.items() if name.startswith("NBGRADER_")},
            self.limits(),
            self.ignore_stderr,
            dict(self.error_on_timeout or {}),
            root,
            week,
        )

    def limits(self) -> Limits:
        """What a notebook may use. `timeout` is of a cell, of CPU time or of sleep; none means an hour."""
        seconds = float(self.timeout) if self.timeout and self.timeout > 0 else 3600.0
        return Limits(
            cell_cpu=seconds,
            call_cpu=self.call_seconds,
            notebook_cpu=max(600.0, 2 * seconds),
            wall_factor=1.0,
            memory_bytes=self.memory,
        )

    def week(self, about: Mapping[str, str]) -> tuple[str, str]:
        """The course folder and the week that a notebook is of; empty where it is of none of ours."""
        folder = Path(self.course) if self.course else self._root()
        if folder is None or not about or not (folder / CONFIG).is_file():
            return "", ""
        course = Course.load(folder.resolve())
        name = about.get("notebook", "")
        return (str(course.root), name) if name in course.names else ("", "")

    def _outcome(self, job: Job) -> Outcome:
        """What is stored for exactly this job, else what running it gives, which is stored then."""
        root = self._root()
        known = getattr(self._converter(), "outcomes", {}).get((job.student, job.notebook))
        if known is not None and known.key == job.key():
            return known
        saved = load(root, job) if root else None
        if saved is not None:
            return saved
        try:
            ready = bench(Path(job.root), job.week) if job.week else None
            zygote = own_zygote(secrets=secrets(root) if root else ())
            if ready is not None and zygote.level.seal == "none" and not self.allow_unconfined:
                return failed(job, "", f"guests can't be sealed here ({zygote.level}), {_UNSEALED}")
            outcome = run(job, zygote, ready)
        except Exception as error:
            self.log.exception("the notebook can't be run")
            return failed(job, "", f"{type(error).__name__}: {error}")
        if root and not outcome.faults and job.student:
            save(root, job, outcome)
        return outcome

    def _converter(self) -> Autograde | None:
        found = getattr(self.parent, "parent", None)
        return found if isinstance(found, Autograde) else None

    def _root(self) -> Path | None:
        converter = self._converter()
        return Path(converter.coursedir.root) if converter else None

    def _files(self, about: Mapping[str, str]) -> dict[str, Path]:
        converter = self._converter()
        if converter is None:  # a notebook by itself, as when it is validated
            return files_in(Path.cwd(), [])
        return files_beside(converter, about["assignment"], about["student"])

    def _refuse_other_languages(self, nb: NotebookNode, about: Mapping[str, str]) -> None:
        """What students' notebooks claim doesn't count where the gradebook knows the course's own."""
        if not about:
            return
        with Gradebook(about["db_url"]) as gradebook:
            known = gradebook.find_notebook(about["notebook"], about["assignment"]).kernelspec
        spec = json.loads(known) if known else None
        language = str((spec or {}).get("language", "python")).lower()
        if language not in ("python", "python3", "ipython"):
            raise NotPython(
                f"{about['notebook']} is a notebook in {language}: guests run Python. Grade this assignment "
                "with nbgrader's own Execute."
            )

    def _keep_files(self, outcome: Outcome, resources: Mapping[str, Any]) -> None:
        """Put the files that the notebook wrote beside the graded notebook, where none of that name is."""
        folder = resources.get("metadata", {}).get("path")
        if not folder or self._converter() is None:
            return
        for name, data in outcome.written.items():
            path = Path(folder) / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.parent.resolve().is_relative_to(Path(folder).resolve()):
                    with path.open("xb") as file:
                        file.write(base64.b64decode(data))
            except (OSError, ValueError) as error:
                self.log.warning("%s, which the notebook wrote, is not kept: %s", name, error)

    def _leave_ungraded(self, nb: NotebookNode, outcome: Outcome, about: Mapping[str, str]) -> None:
        """Take the cells that we could not grade out of nbgrader's hands, and say so."""
        code = [cell for cell in nb.cells if cell.cell_type == "code"]
        who = " of ".join(about.get(name, "?") for name in ("notebook", "student"))
        for i, reason in outcome.faults.items():
            settings = code[i].metadata["nbgrader"]
            self.log.error("NOT GRADED: cell %r in %s: %s", settings["grade_id"], who, reason)
            settings["grade"] = False
            settings["locked"] = True
            try:
                with Gradebook(about["db_url"]) as gradebook:
                    names = (settings["grade_id"], about["notebook"], about["assignment"], about["student"])
                    grade = gradebook.find_grade(*names)
                    grade.auto_score, grade.needs_manual_grade = None, True
                    gradebook.db.commit()
            except Exception:
                self.log.exception("the gradebook could not be told of it")


def code_cells(nb: NotebookNode, exercises: list[str]) -> tuple[CodeCell, ...]:
    """The code cells of a restored notebook with the parts they play."""
    cells = []
    for i, cell in enumerate(nb.cells):
        if cell.cell_type != "code":
            continue
        role, points = "", 0.0
        if is_grade(cell) and not is_solution(cell):
            name = cell.metadata["nbgrader"]["grade_id"]
            points = float(cell.metadata["nbgrader"]["points"])
            exercise = name.removeprefix(CHECK)
            role = exercise if name.startswith(CHECK) and exercise in exercises else TESTS
        cells.append(CodeCell(_clean(cell.source), f"cell-{i + 1}", role, points))
    return tuple(cells)


def _clean(source: str) -> str:
    """The source without lone surrogates, which can't be sent."""
    return source.encode("utf-8", "replace").decode()


def _bare_job(nb: NotebookNode, about: Mapping[str, str]) -> Job:
    student, assignment, notebook = (about.get(name, "") for name in ("student", "assignment", "notebook"))
    return Job(student, assignment, notebook, code_cells(nb, []))


def _insert(nb: NotebookNode, job: Job, outcome: Outcome) -> None:
    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    for cell, outputs, count in zip(code, outcome.outputs, outcome.counts, strict=True):
        shown = [NotebookNode(output) for output in json.loads(json.dumps(outputs))]
        note = cell.metadata.get(NOTE)
        if note:
            data = NotebookNode({"text/plain": note})
            shown.insert(0, NotebookNode(output_type="display_data", data=data, metadata=NotebookNode()))
        cell.outputs = [_nodes(output) for output in shown]
        cell.execution_count = count


def _nodes(value: Any) -> Any:
    if isinstance(value, dict):
        return NotebookNode({k: _nodes(v) for k, v in value.items()})
    return [_nodes(v) for v in value] if isinstance(value, list) else value


def files_beside(converter: Autograde, assignment: str, student: str) -> dict[str, Path]:
    """What lies beside a student's notebooks when they are graded: theirs, and over these the course's."""
    coursedir = converter.coursedir
    submitted = Path(coursedir.format_path(coursedir.submitted_directory, student, assignment))
    source = Path(coursedir.format_path(coursedir.source_directory, ".", assignment))
    kept = converter.exclude_overwriting.get(assignment, [])
    ours = {name: path for name, path in files_in(source, coursedir.ignore).items() if name not in kept}
    return files_in(submitted, coursedir.ignore) | ours


def files_in(folder: Path, ignore: list[str]) -> dict[str, Path]:
    """The files in a folder, by relative path, without notebooks and what only graders need."""
    unneeded = ["*.ipynb", "*.checks", "timestamp.txt", ".*", "nbgrader_config.py", "*.db"]
    found = (Path(name) for name in find_all_files(str(folder), [*ignore, *unneeded]))
    return {path.relative_to(folder).as_posix(): path for path in sorted(found) if not path.is_symlink()}


def secrets(root: Path) -> tuple[Path, ...]:
    """Files of an nbgrader course that no guest may read."""
    names = (CONFIG, "gradebook.db", "nbgrader_config.py")
    return tuple(root / name for name in names if (root / name).is_file())


# Results


def place(root: Path, job: Job) -> Path:
    """Where the outcome of a student's notebook is kept."""
    name = f"{job.notebook[:80]}-{fingerprint(job.assignment, job.student, job.notebook)}"
    return root / RESULTS / f"{job.assignment}".replace("/", "_") / f"{name.replace('/', '_')}.json"


def load(root: Path, job: Job, whole: bool = True) -> Outcome | None:
    """The outcome that was kept for exactly this job; if not `whole`, one of the same submission will do."""
    try:
        outcome = Outcome.from_json(place(root, job).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    same = outcome.key == job.key() if whole else outcome.submission_key == job.submission_key()
    return outcome if same else None


def save(root: Path, job: Job, outcome: Outcome) -> None:
    """Keep an outcome, whole or not at all."""
    from autograder import store

    path = place(root, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    store.write_text(path, outcome.to_json())


__all__ = [
    "CourseError",
    "GuestExecute",
    "NotPython",
    "code_cells",
    "files_beside",
    "load",
    "save",
    "secrets",
]
