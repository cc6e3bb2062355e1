"""The course that is attacked, the judge, what can be reached around it, and what there is before and after."""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

import autograder
from autograder import confinement, pages
from autograder.confinement import Level, Limits
from autograder.display import summary, to_text
from autograder.grading import bench, grade_submission
from autograder.guests import Zygote
from autograder.judge import Bench
from autograder.results import Report
from autograder.submissions import read_submission
from tests.attacks.attack import TARGET, WEEK, Attack, honest
from tests.attacks.canaries import leaked, planted

# A hundred attackers shall cost seconds. Honest answers need a few milliseconds.
LIMITS = dataclasses.replace(
    Limits(),
    cell_cpu=0.6,
    call_cpu=0.25,
    notebook_cpu=1.5,
    exercise_cpu=2.0,
    wall_factor=2.0,
    memory_bytes=512 << 20,
    file_bytes=16 << 20,
)
ENVIRONMENT_SECRET = "CANARY-environment-7c1f04be"


def levels() -> list[Level]:
    """The levels that hold on this machine, the best first."""
    return list(getattr(confinement, "levels", lambda: [confinement.level()])())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "level" in metafunc.fixturenames:
        found = levels() if metafunc.config.getoption("--levels") == "all" else levels()[:1]
        metafunc.parametrize("level", found, ids=str, scope="session")


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, made ready once for all test processes, with a gradebook in it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "canary-course"
    with FileLock(shared / "canary-course.lock"):
        if not folder.exists():
            shutil.copytree(Path(__file__).parent / "course", folder)
            (folder / "gradebook.db").write_text("SQLite format 3\0 CANARY-gradebook-0ad9e35c")
        ready = bench(folder, WEEK)
        for check in ready.week.checks:
            ready.material(check)
    return folder


@dataclass
class Listeners:
    """Places on this machine that a guest could try to reach, and how many have come."""

    folder: Path
    sockets: dict[str, socket.socket] = field(default_factory=dict)

    def open(self) -> Listeners:
        for kind, family, address in (
            ("tcp", socket.AF_INET, ("127.0.0.1", 0)),
            ("unix", socket.AF_UNIX, str(self.folder / "socket")),
            ("abstract", socket.AF_UNIX, f"\0autograder-{os.getpid()}"),
        ):
            self.sockets[kind] = listener = socket.socket(family)
            listener.bind(address)
            listener.listen(64)
        self.sockets["udp"] = datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        for each in self.sockets.values():
            each.setblocking(False)
        return self

    def come(self) -> set[str]:
        """The kinds that have been reached since they were last asked."""
        found = set()
        for kind, each in self.sockets.items():
            while True:
                try:
                    if kind == "udp":
                        each.recv(100)
                    else:
                        each.accept()[0].close()
                except BlockingIOError:
                    break
                found.add(kind)
        return found

    def close(self) -> None:
        for each in self.sockets.values():
            each.close()


@dataclass
class Judge:
    """A judge and its zygote at one level, with everything around them that an attack may go for."""

    level: Level
    course: Path
    folder: Path  # submissions, reports and temporary files
    listeners: Listeners
    bench: Bench
    zygote: Zygote
    log: io.StringIO

    @property
    def world(self) -> dict[str, Any]:
        """What attackers know: more than any student would."""
        sockets = self.listeners.sockets
        return {
            "COURSE": str(self.course),
            "SUBMITTED": str(self.folder / "submitted"),
            "REPORTS": str(self.folder / "reports"),
            "ENGINE": str(Path(autograder.__file__).parent),
            "TEMPORARY": str(self.folder / "tmp"),
            "TCP": sockets["tcp"].getsockname()[1],
            "UDP": sockets["udp"].getsockname()[1],
            "UNIX": sockets["unix"].getsockname(),
            "ABSTRACT": sockets["abstract"].getsockname().decode(),
            "PUBLISHED": self.published,
        }

    @cached_property
    def published(self) -> dict[str, Any]:
        """The published examples of the target with their answers, as any student can make them."""
        week = self.bench.week
        check = next(c for c in week.checks_of(TARGET) if c.name == "published")
        inputs = [t.example.values["x"] for t in self.bench.material(check).trials]
        return {repr(x.tolist()): week.references[TARGET](x).tolist() for x in inputs}

    @property
    def canaries(self) -> set[str]:
        return planted(self.course) | planted(self.folder / "submitted") | {ENVIRONMENT_SECRET}

    def grade(self, path: Path) -> Report:
        return grade_submission(self.bench, read_submission(path, WEEK), self.zygote, limits=LIMITS)


@contextmanager
def judge(level: Level, course: Path, folder: Path) -> Iterator[Judge]:
    """A judge whose files are all in `folder`."""
    for name in ("submitted", "reports", "tmp"):
        (folder / name).mkdir()
    honest(folder / "submitted", "neighbour")
    (folder / "reports" / "neighbour.json").write_text("{}")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    with ExitStack() as stack:
        stack.enter_context(_temporary(folder / "tmp"))
        logging.getLogger().addHandler(handler)
        stack.callback(logging.getLogger().removeHandler, handler)
        listeners = Listeners(folder).open()
        stack.callback(listeners.close)
        zygote = stack.enter_context(started(level))
        yield Judge(level, course, folder, listeners, bench(course, WEEK), zygote, log)


def started(level: Level) -> Zygote:
    """A zygote of this level."""
    if level == confinement.level():
        return Zygote(LIMITS)
    return Zygote(LIMITS, level=level)  # type: ignore[call-arg]


@contextmanager
def _temporary(folder: Path) -> Iterator[None]:
    """Have temporary files made in `folder`, here and in the processes that are started."""
    before = {name: os.environ.get(name) for name in ("TMPDIR", "AUTOGRADER_TEST_SECRET")}
    os.environ |= {"TMPDIR": str(folder), "AUTOGRADER_TEST_SECRET": ENVIRONMENT_SECRET}
    tempfile.tempdir = None
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        tempfile.tempdir = None


@pytest.fixture(scope="session")
def the_judge(level: Level, course_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    with judge(level, course_folder, tmp_path_factory.mktemp("judge")) as one:
        yield one


@dataclass(frozen=True)
class Belongings:
    """What there is of processes, descriptors, threads, mounts and temporary files."""

    processes: int
    descriptors: int
    threads: int
    mounts: str
    files: Sequence[str]

    @classmethod
    def now(cls, temporary: Path) -> Belongings:
        return cls(
            len(processes(temporary)),
            len(os.listdir("/dev/fd")),
            threading.active_count(),
            Path("/proc/self/mountinfo").read_text() if Path("/proc/self/mountinfo").exists() else "",
            # A zygote that was replaced has another folder: names are random.
            sorted(
                re.sub("(?<=autograder-)[^/]+", "", str(p.relative_to(temporary))) for p in _tree(temporary)
            ),
        )


def _tree(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _tree(entry)


def processes(temporary: Path) -> set[int]:
    """Our descendants, and whatever was started with its home in our temporary folder."""
    parents: dict[int, int] = {}
    ours: set[int] = set()
    for name in os.listdir("/proc") if Path("/proc").is_dir() else []:
        if not name.isdigit():
            continue
        try:
            stat = Path(f"/proc/{name}/stat").read_text()
            environment = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
        if f"HOME={temporary}".encode() in environment:
            ours.add(int(name))
    for pid in parents:
        ancestor = pid
        while ancestor in parents and ancestor != os.getpid():
            ancestor = parents[ancestor]
        if ancestor == os.getpid() != pid:
            ours.add(pid)
    return ours


def artefacts(reports: Sequence[Report], folder: Path) -> dict[str, str]:
    """Everything that comes out of grading, by what it is: reports, pages, and what the terminal shows."""
    found = {f"report {r.student}": r.to_json() for r in reports}
    for path in pages.write(folder / "pages", reports):
        found[f"page {path.name}"] = path.read_text()
    shutil.rmtree(folder / "pages")
    for report in reports:
        console = Console(file=io.StringIO(), width=200)
        pages.show(report, console)
        found[f"terminal {report.student}"] = console.file.getvalue()  # type: ignore[attr-defined]
    found["summary"] = to_text(summary(reports))
    return found


def breaches(report: Report) -> set[str]:
    """What an attack says that it has found a way to."""
    return set(re.findall("<([a-z0-9 -]+)>", " ".join(re.findall("BREACHED .*", report.to_json()))))


def secrets_in(found: Mapping[str, str], judge: Judge, more: Iterable[str] = ()) -> set[str]:
    """The canaries in artefacts, in the judge's log and in what the zygote has written."""
    texts = [*found.values(), judge.log.getvalue(), judge.zygote._log_tail(), *more]
    return leaked(texts, judge.canaries)


def attack_ids(attack: Attack) -> str:
    return attack.name
