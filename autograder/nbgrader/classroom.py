"""A whole class of an nbgrader course: graded in parallel first, then written into the gradebook, one by one.

Results are kept as they come, so that a run that was ended goes on where it stopped, and what has not changed
is not graded twice. nbgrader's own pass over the class then finds every result and executes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode, v4
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import AutogradeApp
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.utils import rmtree, setenv
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SAWarning

from autograder.course import CourseError
from autograder.display import what_happened
from autograder.grading import bench, own_zygote, prepare
from autograder.nbgrader.execute import RESULTS, GuestExecute, load, save, secrets
from autograder.nbgrader.renamed import adopt
from autograder.nbgrader.restore import Released, RestoreCells, released_cells, restore
from autograder.nbgrader.runs import Job, Outcome, failed, run
from autograder.pages import number, plain
from autograder.results import Report
from autograder.store import fingerprint, source_of
from autograder.workers import InProcess, Lost, Processes

MOST_BYTES = 100_000_000  # of a notebook's file


@dataclass
class Submission:
    """What a student handed in: the jobs of its notebooks, and what could not be read."""

    student: str
    folder: Path
    jobs: list[Job] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    digest: str = ""  # of all files


@dataclass
class Graded:
    """A student's place in the gradebook after the pass."""

    student: str
    score: float
    max_score: float
    needs_manual: bool
    reports: list[Report] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Classroom:
    """An assignment of an nbgrader course with all submissions of it.

    Args:
        root: the course folder, with nbgrader_config.py.
        assignment: its name for nbgrader.
        students: only these; all if empty.
        tier: "public" or "hidden", which includes the public checks.
    """

    def __init__(
        self, root: Path, assignment: str, students: Collection[str] = (), tier: str = "hidden"
    ) -> None:
        self.root, self.assignment, self.tier = root.resolve(), assignment, tier
        with contextlib.chdir(self.root):
            app = AutogradeApp()
            app.initialize([assignment, "--log-level=WARN"])
        app.coursedir.assignment_id = assignment
        self.converter = _Bookkeeping(coursedir=app.coursedir, parent=app)
        self.db_url: str = app.coursedir.db_url
        self.course_id: str = app.coursedir.course_id
        self.outcomes: dict[tuple[str, str], Outcome] = {}
        self.submissions = self._submissions(set(students))

    # Reading

    def _submissions(self, students: set[str]) -> list[Submission]:
        converter = self.converter
        try:
            converter.init_notebooks()
        except NbGraderException:
            raise CourseError(
                f"no submission of {self.assignment} in {converter._format_source(self.assignment, '*')}: "
                "collect them with `nbgrader collect` or `nbgrader zip_collect`, or put them there"
            ) from None
        with Gradebook(self.db_url, self.course_id) as gradebook:
            try:
                names = [n.name for n in gradebook.find_assignment(self.assignment).notebooks]
            except MissingEntry:
                names = []
            released = {name: released_cells(gradebook, name, self.assignment) for name in names}
        if not names:
            raise CourseError(
                f"the gradebook doesn't know {self.assignment}: run "
                f"`nbgrader generate_assignment {self.assignment}` first"
            )
        converter.exporter = converter.exporter_class(parent=converter, config=converter.config)
        executor = GuestExecute(parent=converter.exporter)
        missing = RestoreCells(parent=converter.exporter).missing_cell_notification
        pattern = converter._format_source("(?P<assignment>.*)", "(?P<student>.*)", escape=True)
        found = []
        for folder in sorted(converter.assignments):
            match = re.match(pattern, folder)
            student = match["student"] if match else ""
            if student and (not students or student in students):
                found.append(self._read(Path(folder), student, released, executor, missing))
        if lost := students - {s.student for s in found}:
            raise CourseError(f"no submission of {self.assignment} by {', '.join(sorted(lost))}")
        return found

    def _read(
        self,
        folder: Path,
        student: str,
        released: Mapping[str, Sequence[Released]],
        executor: GuestExecute,
        missing: str,
    ) -> Submission:
        submission = Submission(student, folder)
        coursedir = self.converter.coursedir
        adopt(folder, Path(coursedir.format_path(coursedir.source_directory, ".", self.assignment)))
        for name, cells in sorted(released.items()):
            path = folder / f"{name}.ipynb"
            if not path.is_file():
                continue
            about = {"student": student, "assignment": self.assignment, "notebook": name}
            try:
                notebook = read(path)
            except Exception as error:
                submission.unreadable[name] = str(error) or type(error).__name__
                notebook = stand_in(submission.unreadable[name])
            restore(notebook, cells, missing)
            with setenv(NBGRADER_EXECUTION="autograde"):
                submission.jobs.append(executor.job(notebook, about))
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        submission.digest = fingerprint([str(path.relative_to(folder)) for path in files], source_of(files))
        return submission

    # Grading

    def require(self, exercises: Collection[str]) -> None:
        """CourseError for an exercise that no submitted notebook can have."""
        known = {name for root, week in self.weeks for name in bench(root, week).functions}
        if unknown := set(exercises) - known:
            raise CourseError(
                f"{', '.join(sorted(unknown))}: no exercise of {self.assignment}; "
                f"it has {', '.join(sorted(known)) or 'none'}"
            )

    @property
    def weeks(self) -> list[tuple[Path, str]]:
        """The course folder and the week of every notebook that has checks of ours."""
        return sorted({(Path(job.root), job.week) for s in self.submissions for job in s.jobs if job.week})

    def pending(self, force: bool, exercises: Collection[str] = ()) -> list[tuple[Job, Outcome | None]]:
        """The jobs without a result that holds, each with the one that it can keep in part, if any."""
        left = []
        for submission in self.submissions:
            for job in submission.jobs:
                old = None if force else load(self.root, job)
                again = set(exercises) & {c.role for c in job.cells}
                if old is not None and not again:
                    self.outcomes[job.student, job.notebook] = old
                else:
                    left.append((job, None if force else load(self.root, job, whole=False)))
        return left

    def grade(
        self,
        todo: Sequence[tuple[Job, Outcome | None]],
        jobs: int,
        exercises: Collection[str] = (),
        done: Callable[[Outcome, Job], None] = lambda outcome, job: None,
    ) -> None:
        """Run and judge what is left, in several processes; every result is kept as soon as it is there."""
        jobs = min(jobs, len(todo))
        with Processes(jobs) if jobs > 1 else InProcess() as workers:
            if jobs > 1:  # examples and tolerances, once for all
                weeks = {(Path(job.root), job.week, job.tier) for job, _ in todo if job.week}
                parts = [(r, w, e, t) for r, w, t in sorted(weeks) for e in bench(r, w).functions]
                list(workers.each(prepare, parts))
            tasks = [Task(self.root, job, old, tuple(exercises)) for job, old in todo]
            for task, outcome in workers.each(work, tasks):
                job = task.job
                if isinstance(outcome, Lost):
                    outcome = failed(job, job.key(), outcome.reason)
                self.outcomes[job.student, job.notebook] = outcome
                done(outcome, job)

    # The gradebook

    def due(self, force: bool) -> set[str]:
        """The students whose results the gradebook does not have yet."""
        booked = self._booked()
        return {
            s.student
            for s in self.submissions
            if force or booked.get(s.student) != self._state(s) or not self._has_destination(s.student)
        }

    def book(self, due: set[str], told: Callable[[str], None] = lambda student: None) -> None:
        """nbgrader's own pass over these students' submissions: it executes nothing."""
        booked = self._booked()
        handed_in = {s.student: s for s in self.submissions}

        def finished(student: str) -> None:
            booked[student] = self._state(handed_in[student])
            self._record(booked)
            told(student)

        self.converter.begin(due, self.outcomes, handed_in, finished)
        if due:
            with contextlib.suppress(NbGraderException), warnings.catch_warnings():
                # It has said which it could not enter, and entered the others.
                warnings.simplefilter("ignore", SAWarning)
                self.converter.start()

    def _booked(self) -> dict[str, str]:
        try:
            found = json.loads(self._ledger.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _record(self, booked: Mapping[str, str]) -> None:
        from autograder import store

        self._ledger.parent.mkdir(parents=True, exist_ok=True)
        store.write_text(self._ledger, json.dumps(booked, indent=1))

    @property
    def _ledger(self) -> Path:
        return self.root / RESULTS / self.assignment / "booked.json"

    def _has_destination(self, student: str) -> bool:
        return Path(self.converter._format_dest(self.assignment, student)).is_dir()

    def _state(self, submission: Submission) -> str:
        """Changes with whatever the gradebook has to learn of."""
        outcomes = [self.outcomes[job.student, job.notebook] for job in submission.jobs]
        keys = [(o.key, sorted(o.faults.items())) for o in outcomes]
        return fingerprint(keys, submission.digest, sorted(submission.unreadable))

    def results(self) -> list[Graded]:
        """What the gradebook says of each student now."""
        graded = []
        with Gradebook(self.db_url, self.course_id) as gradebook:
            for submission in self.submissions:
                problems = [
                    f"{name}.ipynb can't be read: {why}" for name, why in submission.unreadable.items()
                ]
                try:
                    found = gradebook.find_submission(self.assignment, submission.student)
                    numbers = (found.score, found.max_score, bool(found.needs_manual_grade))
                except MissingEntry:
                    numbers = (0.0, 0.0, True)
                    problems.append("nbgrader could not enter it: see the messages above")
                row = Graded(submission.student, *numbers, problems=problems)
                for job in submission.jobs:
                    outcome = self.outcomes[job.student, job.notebook]
                    row.faults += [f"{job.cells[i].role}: {why}" for i, why in outcome.faults.items()]
                    if outcome.report is not None:
                        row.reports.append(outcome.report)
                graded.append(row)
        return graded

    def write_reports(self, folder: Path) -> None:
        """Write the reports of all that was judged, from which `autograder report` makes pages."""
        from autograder import store

        reports = [o.report for o in self.outcomes.values() if o.report is not None]
        several = len({r.assignment for r in reports}) > 1
        if reports:
            folder.mkdir(parents=True, exist_ok=True)
        for report in reports:
            store.write_text(folder / _place_of(report, several), report.to_json())

    def table(self, rows: Sequence[Graded]) -> Table:
        """The class on one screen: the gradebook's scores, and in a few words what happened."""
        table = Table(title=self.assignment, title_justify="left", pad_edge=False)
        table.add_column("student", no_wrap=True)
        table.add_column("score", justify="right", no_wrap=True)
        table.add_column("what happened")
        for row in rows:
            words = [f"NOT GRADED, our fault: {fault}" for fault in row.faults] + row.problems
            words += [what_happened(r) for r in row.reports if not row.problems]
            words += ["something is left to grade by hand"] if row.needs_manual and not row.faults else []
            score = f"{number(row.score)} / {number(row.max_score)}"
            style = "red" if row.faults else "yellow" if row.problems else ""
            table.add_row(plain(row.student, 60), score, Text(plain("; ".join(words), 600)), style=style)
        return table


def _place_of(report: Report, several: bool) -> str:
    return f"{report.student}--{report.assignment}.json" if several else f"{report.student}.json"


def read(path: Path) -> NotebookNode:
    """A submitted notebook; raises whatever says why it can't be read."""
    if path.is_symlink() or path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it is a link, or larger than {MOST_BYTES // 1_000_000} MB")
    return nbformat.read(path, as_version=4)


def stand_in(why: str) -> NotebookNode:
    """What is graded in place of a notebook that can't be read."""
    text = f"**The notebook that was handed in can't be read, so that nothing in it counts:** {why[:500]}"
    return v4.new_notebook(cells=[v4.new_markdown_cell(text)])


class _Bookkeeping(Autograde):
    """nbgrader's autograding of some students, with notebooks that can't be read replaced."""

    def begin(
        self,
        due: set[str],
        outcomes: Mapping[tuple[str, str], Outcome],
        submissions: Mapping[str, Submission],
        finished: Callable[[str], None],
    ) -> None:
        self.due, self.outcomes, self.handed_in, self.finished = due, outcomes, submissions, finished

    def init_destination(self, assignment_id: str, student_id: str) -> bool:
        if student_id not in self.due:
            return False
        destination = self._format_dest(assignment_id, student_id)
        if os.path.exists(destination):
            rmtree(destination)
        return True

    def convert_single_notebook(self, notebook_filename: str) -> None:
        path = Path(notebook_filename)
        resources = self.init_single_notebook_resources(notebook_filename)
        why = self.handed_in[resources["nbgrader"]["student"]].unreadable.get(path.stem)
        if why is None:
            super().convert_single_notebook(notebook_filename)
            return
        self.log.warning("%s can't be read, so that nothing in it counts: %s", notebook_filename, why)
        self._sanitizing = True
        self._init_preprocessors()
        self.write_single_notebook(*self.exporter.from_notebook_node(stand_in(why), resources=resources))
        copy = os.path.join(self.writer.build_directory, path.name)
        self._sanitizing = False
        self._init_preprocessors()
        try:
            with setenv(NBGRADER_EXECUTION="autograde"):
                super(Autograde, self).convert_single_notebook(copy)
        finally:
            self._sanitizing = True

    def set_permissions(self, assignment_id: str, student_id: str) -> None:
        """The last step of a submission that went well."""
        super().set_permissions(assignment_id, student_id)
        self.finished(student_id)


# Workers


class Task(NamedTuple):
    """A notebook to grade; of `old` is kept what still holds, but for these exercises."""

    root: Path
    job: Job
    old: Outcome | None
    exercises: tuple[str, ...]


def work(task: Task) -> Outcome:
    """Grade one notebook and keep the result: what a worker does."""
    root, job, old, exercises = task
    try:
        ready = bench(Path(job.root), job.week) if job.week else None
        outcome = run(job, own_zygote(secrets=secrets(root)), ready, old, exercises)
    except Exception as error:
        return failed(job, job.key(), f"{type(error).__name__}: {error}")
    if not outcome.faults:
        save(root, job, outcome)
    return outcome


__all__ = ["Classroom", "Graded", "Submission", "work"]
