"""The course that is attacked, the judge, what can be reached around it, and what there is before and after."""

from __future__ import annotations

import dataclasses
import functools
import io
import logging
import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

import autograder
from autograder import dashboard, pages
from autograder.confinement import Level, Limits, levels
from autograder.confinement.seal import Seal
from autograder.display import summary, to_text
from autograder.grading import bench, grade_submission
from autograder.guests import Zygote, ZygoteFailed, settle
from autograder.judge import Bench
from autograder.results import Report
from autograder.submissions import read_submission
from tests.attacks.attack import TARGET, WEEK, honest
from tests.attacks.canaries import leaked, planted
from tests.sample_reports import without_ours

# A hundred attackers shall cost seconds. Honest answers need a few milliseconds.
LIMITS = dataclasses.replace(
    Limits(),
    cell_cpu=0.6,
    call_cpu=0.25,
    notebook_cpu=1.5,
    exercise_cpu=2.0,
    wall_factor=2.0,
    memory_bytes=512 << 20,
    scratch_bytes=128 << 20,
    scratch_files=5000,
    file_bytes=16 << 20,
)
ENVIRONMENT_SECRET = "CANARY-environment-7c1f04be"


@dataclass(frozen=True)
class Confinement:
    """A level, and whether its seal is left out altogether, to see what attacks would do then."""

    level: Level
    bare: bool = False

    def __str__(self) -> str:
        return "nothing" if self.bare else f"{self.level.box}+{self.level.seal}"

    @property
    def mechanisms(self) -> set[str]:
        """What there is to stop an attack."""
        how = Seal() if self.bare else levels.plan(self.level)
        parts = {"landlock": how.landlock, "seccomp": how.program, "user": how.uid}
        return {self.level.box} | {name for name, part in parts.items() if part}

    @contextmanager
    def zygote(self) -> Iterator[Zygote]:
        with pytest.MonkeyPatch.context() as patch:
            if self.bare:
                patch.setattr(levels, "plan", lambda level: Seal())
            with Zygote(LIMITS, self.level) as zygote:
                yield zygote


@functools.cache
def all_confinements() -> Sequence[Confinement]:
    """All levels that hold on this machine, and nothing at all."""
    found = []
    for level in levels.candidates():
        with suppress(ZygoteFailed):
            Zygote(level=level, bare=True).close()
            found.append(Confinement(level))
    return [*found, Confinement(Level("none", "none"), bare=True)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "confinement" in metafunc.fixturenames:
        every = metafunc.config.getoption("--levels") == "all"
        found = all_confinements() if every else [Confinement(settle().level)]
        metafunc.parametrize("confinement", found, ids=str, scope="session")


@pytest.fixture(scope="session")
def course_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course, made ready once for all test processes, with a gradebook in it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "canary-course"
    with FileLock(shared / "canary-course.lock"):
        if not folder.exists():
            shutil.copytree(
                Path(__file__).parent / "course", folder, ignore=shutil.ignore_patterns(".*", "__*")
            )
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
        for kind, family, address in (
            ("udp", socket.AF_INET, ("127.0.0.1", 0)),
            ("datagram", socket.AF_UNIX, str(self.folder / "datagrams")),
            ("abstract datagram", socket.AF_UNIX, f"\0autograder-{os.getpid()}-datagram"),
        ):
            self.sockets[kind] = datagrams = socket.socket(family, socket.SOCK_DGRAM)
            datagrams.bind(address)
        for each in self.sockets.values():
            each.setblocking(False)
        return self

    def come(self) -> set[str]:
        """The kinds that have been reached since they were last asked."""
        found = set()
        for kind, each in self.sockets.items():
            while True:
                try:
                    if each.type == socket.SOCK_DGRAM:
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

    confinement: Confinement
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
            "DATAGRAM": sockets["datagram"].getsockname(),
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
        """Grade with every cell run: what is left out can't attack."""
        submission = read_submission(path, WEEK)
        return grade_submission(self.bench, submission, self.zygote, limits=LIMITS, execute="all")


@contextmanager
def judge(confinement: Confinement, course: Path, folder: Path) -> Iterator[Judge]:
    """A judge whose files are all in `folder`."""
    for name in ("submitted", "reports", "tmp"):
        (folder / name).mkdir()
    honest(folder / "submitted", "neighbour", {})
    (folder / "reports" / "neighbour.json").write_text("{}")
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    with ExitStack() as stack:
        stack.enter_context(_temporary(folder / "tmp"))
        logging.getLogger().addHandler(handler)
        stack.callback(logging.getLogger().removeHandler, handler)
        listeners = Listeners(folder).open()
        stack.callback(listeners.close)
        zygote = stack.enter_context(confinement.zygote())
        yield Judge(confinement, course, folder, listeners, bench(course, WEEK), zygote, log)


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
def the_judge(
    confinement: Confinement, course_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judge]:
    with judge(confinement, course_folder, tmp_path_factory.mktemp("judge")) as one:
        yield one


@dataclass(frozen=True)
class Belongings:
    """What there is of processes, descriptors, threads, mounts and temporary files, and the state of all others."""

    processes: int
    descriptors: int
    threads: int
    mounts: str
    temporary: Sequence[str]
    files: Mapping[str, tuple[int, int]]

    @classmethod
    def now(cls, judges: Path) -> Belongings:
        """Those of this process and of whatever was started with its temporary files in this judge's folder."""
        temporary = judges / "tmp"
        mounts = Path("/proc/self/mountinfo")
        kept = [judges / "submitted", judges / "reports", Path(autograder.__file__).parent]
        return cls(
            len(processes(temporary)),
            len(os.listdir("/dev/fd")),
            threading.active_count(),
            mounts.read_text() if mounts.exists() else "",
            # A zygote that was replaced has another folder: names are random.
            sorted(
                re.sub("(?<=autograder-)[^/]+", "", str(p.relative_to(temporary))) for p in _tree(temporary)
            ),
            {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for folder in kept for p in _tree(folder)},
        )


def _tree(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name == "__pycache__":
            continue
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


@contextmanager
def redirected(path: Path) -> Iterator[None]:
    """Have what this process and its children write to stdout and stderr written to a file."""
    before = os.dup(1), os.dup(2)
    with path.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    try:
        yield
    finally:
        for stream, old in zip((1, 2), before, strict=True):
            os.dup2(old, stream)
            os.close(old)


def artefacts(reports: Sequence[Report], folder: Path) -> dict[str, str]:
    """Everything that comes out of grading, by what it is: reports, pages, and what the terminal shows."""
    found = {f"report {r.student}": r.to_json() for r in reports}
    for path in dashboard.write(folder / "pages", reports):
        found[f"{path.parent.name} {path.name}"] = without_ours(path.read_text())
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


def words(report: Report) -> str:
    """All that a report says about what happened, a line each."""
    lines = list(report.problems)
    lines += [f"cell {c.cell}: {c.name}: {c.message}" for c in report.cells]
    for exercise in report.exercises:
        lines += [f"{exercise.name}: {note}" for note in exercise.notes]
        lines += [f"{exercise.name}: {c.name}: {c.message}" for c in exercise.checks if c.message]
    return "\n".join(lines)


# What terminals act on, and characters that reorder a line.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
INERT = set(
    "html head meta title style body main header footer nav section article aside h1 h2 h3 h4 h5 h6 p div span "
    "pre code mark strong em small b i ul ol li dl dt dd table caption thead tbody tfoot tr th td colgroup col "
    "bdi br wbr hr details summary a svg g path rect circle line defs symbol use time abbr input label "
    "figure figcaption text select option output".split()
)


class _Reader(HTMLParser):
    """Collects what a page does on its own, or on a click that leads out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INERT and (tag, dict(attrs).get("href")) != ("link", "data:,"):  # no icon
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            leads_out = name in ("href", "src", "action") and re.match(r"\s*(\w*:(?!,)|//)", value or "")
            if name.startswith("on") or (name == "style" and "url" in (value or "")) or leads_out:
                self.found.append(f"<{tag} {name}={value!r}>")


def dangers(text: str) -> list[str]:
    """What a text or page holds that would act on a terminal, or in a browser."""
    reader = _Reader()
    if text.lstrip().startswith("<!"):
        reader.feed(without_ours(text))
    return CONTROLS.findall(text) + reader.found


def secrets_in(found: Mapping[str, str], judge: Judge, more: Iterable[str] = ()) -> set[str]:
    """The canaries in artefacts, in the judge's log and in what the zygote has written."""
    texts = [*found.values(), judge.log.getvalue(), judge.zygote._log_tail(), *more]
    return leaked(texts, judge.canaries)
