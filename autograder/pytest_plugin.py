"""Submissions under pytest: `pytest --submission week07.ipynb --week week07_vae`, a test for each check.

A test passes if its check earns its points; a fault of ours is an error, not a failure. Students' code runs
in guests, never in pytest's own process: with --submission nothing else is collected, and no conftest.py is
read. Without it this plugin does nothing and imports nothing.
"""

from __future__ import annotations

import itertools
import os
import shlex
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from autograder.collect import Entry, Found
    from autograder.confinement import Level
    from autograder.exercises import Check
    from autograder.grading import Examination
    from autograder.judge import Bench
    from autograder.results import CheckResult, ExerciseResult


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    # Other projects may have options of these names: they stay theirs, unless submissions are to be judged.
    config: Any = pluginmanager.get_plugin("pytestconfig")
    words = [*config.invocation_params.args, *config.getini("addopts"), os.environ.get("PYTEST_ADDOPTS", "")]
    if not any("--submission" in str(word) for word in words):
        return
    group = parser.getgroup("autograder", "submissions, a test for each check")
    group.addoption(
        "--submission",
        action="append",
        metavar="PATH",
        help="What to judge: a notebook, a student's folder, a class of them, an archive (may be repeated).",
    )
    group.addoption("--week", help="The week: week07_vae, 7 or vae; or the file *.checks that students got.")
    group.addoption(
        "--tier", choices=("public", "hidden"), default="hidden", help="hidden (default) includes public."
    )
    group.addoption("--course", help="The course folder. Default: the one around the working directory.")
    group.addoption(
        "--require-confinement", action="store_true", help="Refuse unless guests are boxed and sealed."
    )
    group.addoption(
        "--allow-unconfined",
        action="store_true",
        help="Use hidden checks even where guests can't be sealed: their code could write its own grade.",
    )


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    if getattr(early_config.known_args_namespace, "submission", None):
        early_config.known_args_namespace.noconftest = True  # it may be a student's
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """With xdist: a notebook is run by one worker, or, if there is one only, an exercise is judged by one."""
    paths, option = config.getoption("submission", None), config.option
    if paths:
        _refuse_foreign_settings(config)
    if paths and getattr(option, "numprocesses", None) and option.dist == "no":
        alone = len(paths) == 1 and paths[0].lower().endswith((".ipynb", ".py"))
        option.dist = "loadscope" if alone else "loadfile"
    return (yield)


def _refuse_foreign_settings(config: pytest.Config) -> None:
    """Have paths given in a way in which pytest does not look for its settings beside them.

    Words that don't begin with a dash are paths to it before it knows the options, and a student's pytest.ini
    can name plugins to import.
    """
    here = config.invocation_params.dir
    words = [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, config.invocation_params.args)]
    for option, path in itertools.pairwise(words):
        folder = (here / path) if (here / path).is_dir() else (here / path).parent
        if option == "--submission" and folder.resolve() != here.resolve():
            raise pytest.UsageError(
                f"write --submission={path}, with =, or else pytest would take a pytest.ini in {folder} for "
                "its own, which may be a student's"
            )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("submission", None):
        config.pluginmanager.register(_Judge(config), "autograder-judge")


class _Judge:
    """Judges each exercise of each submission when the first of its tests is run, in one guest at a time."""

    ready: Bench
    found: Found
    level: Level
    secrets: tuple[Path, ...] = ()

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._scratch = tempfile.TemporaryDirectory(prefix="submissions-")
        self._results: dict[tuple[str, str], ExerciseResult | Exception] = {}
        self._examined: Examination | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        import click

        from autograder.course import CourseError

        if self.config.args_source is pytest.Config.ArgsSource.ARGS:
            others = " ".join(self.config.args)
            raise pytest.UsageError(f"{others}: with --submission nothing else is run; choose with -k or -m")
        self.config.args = []
        self.config.args_source = pytest.Config.ArgsSource.ARGS
        try:
            self._prepare()
        except (CourseError, ValueError) as error:
            raise pytest.UsageError(str(error)) from None
        except click.UsageError as error:
            raise pytest.UsageError(error.message) from None

    def _prepare(self) -> None:
        import torch

        from autograder.bundle import SUFFIX, Published
        from autograder.cli_common import confined
        from autograder.collect import find_submissions
        from autograder.course import Course
        from autograder.grading import bench, secret_files
        from autograder.guests import settle

        torch.set_num_threads(1)
        option = self.config.option
        if not option.week:
            raise ValueError("say with --week whose checks: --week week07_vae")
        if option.week.endswith(SUFFIX):
            self.ready, option.tier = Published.load(Path(option.week)), "public"
        else:
            course = Course.find(option.course)
            week = course.resolve(option.week)
            self.ready, self.secrets = bench(course.root, week), secret_files(course.root, week)
        if hasattr(self.config, "workerinput") or option.collectonly:
            self.level = settle(self.secrets).level
        else:
            flags = (option.require_confinement, option.allow_unconfined)
            self.level = confined(self.secrets, option.tier, *flags)
        for path in option.submission:
            if not os.path.lexists(path):
                raise ValueError(f"there is no {path}")
        name = self.ready.week.name
        self.found = find_submissions(option.submission, name, Path(self._scratch.name))
        if not self.found.entries:
            raise ValueError(f"no submission of {name} in {', '.join(option.submission)}")
        for tier in ("public", "hidden"):
            self.config.addinivalue_line("markers", f"{tier}: checks that students {_HAVE[tier]}")
        for exercise in self.ready.functions:
            self.config.addinivalue_line("markers", f"{exercise}: the checks of this exercise")

    def pytest_report_header(self) -> list[str]:
        from autograder.pages import plain

        what = f"{self.ready.week.name}, {self.config.option.tier} checks, guests run with {self.level}"
        remarks = [" ".join(plain(line, 400).split()) for line in self.found.remarks[:20]]
        return [f"submissions: {len(self.found.entries)} of {what}", *remarks]

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        for entry in self.found.entries:
            name = entry.student
            items += session.genitems(
                Submission.from_parent(session, name=name, nodeid=name, judge=self, entry=entry)
            )
        for i, reason in enumerate(self.found.left_out, 1):
            name = f"left-out-{i}"
            items.append(LeftOut.from_parent(session, name=name, nodeid=name, reason=reason))

    @property
    def tiers(self) -> tuple[str, ...]:
        from autograder.grading import TIERS_UP_TO

        return TIERS_UP_TO[self.config.option.tier]

    def result(self, entry: Entry, exercise: str) -> ExerciseResult:
        """The result of an exercise; what kept us from judging it is raised whenever it is asked for."""
        from autograder.grading import bounded_memory

        key = (entry.student, exercise)
        if key not in self._results:
            try:
                with bounded_memory():
                    self._results[key] = self._judged(entry, exercise)
            except Exception as error:
                self._results[key] = error
        found = self._results[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _judged(self, entry: Entry, exercise: str) -> ExerciseResult:
        from autograder.grading import examination, own_zygote
        from autograder.submissions import read_submission

        if self._examined is None or self._examined.submission.id != entry.student:
            self._close()
            submission = read_submission(entry.path, self.ready.week.name, entry.student, entry.problem)
            if submission.problems:
                return self._unread(exercise, submission.problems)
            zygote = own_zygote(self.level, self.secrets)
            self._examined = examination(self.ready, submission, zygote, self.config.option.tier)
        return self._examined.result(exercise)

    def _unread(self, exercise: str, problems: tuple[str, ...]) -> ExerciseResult:
        from autograder.results import FAILED, CheckResult, ExerciseResult

        checks = self.ready.week.checks_of(exercise, self.tiers)
        message = "; ".join(problems)
        lost = [CheckResult(c.name, c.title, c.tier, FAILED, 0, c.points, message) for c in checks]
        return ExerciseResult(exercise, 0, sum(c.points for c in checks), lost, "failed")

    def _close(self) -> None:
        if self._examined is not None:
            self._examined.sitting.close()
            self._examined = None

    def pytest_unconfigure(self) -> None:
        self._close()
        self._scratch.cleanup()


_HAVE = {"public": "have", "hidden": "don't have"}


class Submission(pytest.Collector):
    """One student's; what is in it is known without running it."""

    def __init__(self, *, judge: _Judge, entry: Entry, **more: Any) -> None:
        super().__init__(**more)
        self.judge, self.entry = judge, entry

    def collect(self) -> Iterator[pytest.Collector]:
        for name in self.judge.ready.functions:
            yield Exercise.from_parent(self, name=name)


class Exercise(pytest.Collector):
    """One exercise of a submission."""

    parent: Submission

    def collect(self) -> Iterator[pytest.Item]:
        judge, entry = self.parent.judge, self.parent.entry
        for check in judge.ready.week.checks_of(self.name, judge.tiers):
            name = f"{check.name}[{check.tier}]"
            yield Question.from_parent(self, name=name, judge=judge, entry=entry, check=check)


class Question(pytest.Item):
    """One check of one exercise of one submission; it is marked with its tier and its exercise."""

    def __init__(self, *, judge: _Judge, entry: Entry, check: Check, **more: Any) -> None:
        super().__init__(**more)
        self._judge, self._entry, self._check = judge, entry, check
        self._result: ExerciseResult | None = None
        for name in (check.tier, check.exercise):
            self.add_marker(name)

    def _own(self, result: ExerciseResult) -> CheckResult:
        own = (self._check.name, self._check.tier)
        return next(c for c in result.checks if (c.name, c.tier) == own)

    def setup(self) -> None:
        """Judge the exercise: what goes wrong here is no failure of the student's."""
        from autograder.results import FAULT

        self._result = self._judge.result(self._entry, self._check.exercise)
        if self._own(self._result).verdict == FAULT:
            pytest.fail(f"a fault of ours: {self._own(self._result).message}", pytrace=False)

    def runtest(self) -> None:
        from autograder.display import check_text
        from autograder.results import FAILED, SKIPPED

        assert self._result is not None
        check = self._own(self._result)
        if check.verdict == SKIPPED:
            pytest.skip(check.message)
        if check.verdict == FAILED or check.points < check.max_points:
            pytest.fail(check_text(self._result, check), pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self._entry.path, None, self.nodeid


class LeftOut(pytest.Item):
    """Something that was handed in and can't be judged: it fails, so that nobody overlooks it."""

    def __init__(self, *, reason: str, **more: Any) -> None:
        super().__init__(**more)
        self._reason = reason

    def runtest(self) -> None:
        from autograder.pages import plain

        pytest.fail(f"left out: {plain(self._reason, 1000)}", pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.nodeid
