"""Levels of confinement: found by trying, never lowered silently, and machines that lack something."""

from __future__ import annotations

import errno
import logging
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from autograder import guests
from autograder.cli import main
from autograder.confinement import BOXES, SEALS, Level, Limits, box, landlock, levels, probe, scratch, seccomp
from autograder.guests import Guest, Zygote, ZygoteFailed, settle

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
HERE = list(levels.candidates())
SEALED = [level for level in HERE if level.seal != "none"]
LANDLOCK = [level for level in HERE if level.seal == "landlock"]


@pytest.fixture(autouse=True)
def fresh_findings() -> Iterator[None]:
    """What one test makes of this machine is no other's."""
    found = (settle, levels._why_no_bubblewrap, levels._why_no_container, box.engine, levels._why_no_landlock)
    for function in (*found, levels._why_no_uid, levels._why_no_seccomp, seccomp.program, landlock.abi):
        function.cache_clear()
    yield
    for function in (*found, levels._why_no_uid, levels._why_no_seccomp, seccomp.program, landlock.abi):
        function.cache_clear()


def holds(level: Level, secrets: tuple[Path, ...] = ()) -> bool:
    try:
        Zygote(level=level, secrets=secrets, bare=True).close()
    except ZygoteFailed:
        return False
    return True


def deeds(level: Level) -> set[str]:
    """What a guest at this level can do of what none may do."""
    with Zygote(level=level, bare=True) as zygote, probe.Canary() as canary, zygote.guest() as guest:
        return {*guest.probe(canary.targets), *canary.harmed()}


# Levels


def test_levels_are_ordered_by_what_they_hold() -> None:
    best, worst = Level(BOXES[0], SEALS[0]), Level(BOXES[-1], SEALS[-1])
    assert best.at_least(worst) and best.at_least(best) and not worst.at_least(best)
    assert not Level("none", "landlock").at_least(Level("container", "uid"))
    with pytest.raises(ValueError, match="no level"):
        Level("cardboard", "landlock")


@pytest.mark.parametrize("level", SEALED, ids=str)
def test_a_sealed_guest_can_do_nothing_that_is_forbidden(level: Level) -> None:
    assert deeds(level) <= probe.ALLOWED[level.seal]


@linux
def test_an_unsealed_guest_can_do_nearly_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the probe would find nothing wherever it looks."""
    monkeypatch.setattr(box, "out_of_reach", lambda: "all")  # a root judge's guests stay root
    monkeypatch.setattr(levels, "_why_no_seccomp", lambda: "not here")
    can = deeds(Level("none", "none"))
    assert can >= {
        "read a file",
        "list a folder",
        "write a file",
        "replace a file",
        "change a file",
        "write a temporary file elsewhere",
        "signal a process",
        "signal its parent",
        "start a process",
        "run a program",
        "open a socket",
        "connect to a port",
        "make memory that no limit counts",
        "own a descriptor's signals",
        "make a namespace",
        "send to a named socket",
    }
    assert not can & {"use a descriptor of the judge", "use a capability"}


@pytest.mark.parametrize("level", LANDLOCK, ids=str)
def test_a_level_that_lets_guests_read_a_secret_does_not_hold(level: Level) -> None:
    assert not holds(level, (Path(box.__file__),))  # this package is theirs to read
    assert holds(level, (Path(__file__),))


def test_the_best_level_that_holds_is_settled_on_and_failures_are_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if len(SEALED) < 2:
        pytest.skip("there are no two levels here to choose between")
    monkeypatch.setattr(levels, "candidates", lambda: iter(SEALED))
    real = guests.Zygote._holes
    monkeypatch.setattr(
        guests.Zygote, "_holes", lambda self: ["fly"] if self.level == SEALED[0] else real(self)
    )
    with caplog.at_level(logging.ERROR):
        level, failures = settle()
    assert level == SEALED[1]
    assert failures == (f"{SEALED[0]} does not hold here: a guest could fly",)
    assert "could fly" in caplog.text


def test_one_zygote_is_enough_to_find_the_best_level(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    real = guests.Zygote._forked
    monkeypatch.setattr(guests.Zygote, "_forked", lambda self: started.append(self.level) or real(self))
    with guests.best_zygote((Path(__file__),)) as zygote, zygote.guest() as guest:
        assert guest.run([{"source": "1 + 1", "id": "a"}])[0]["outputs"][0]["data"]["text/plain"] == "2"
        assert zygote.level == settle((Path(__file__),)).level
    assert started == [zygote.level, zygote.level]  # the second to settle it


def test_one_zygote_after_a_level_that_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    if len(SEALED) < 2:
        pytest.skip("there are no two levels here to choose between")
    monkeypatch.setattr(levels, "candidates", lambda: iter(SEALED))
    real = guests.Zygote._holes
    monkeypatch.setattr(
        guests.Zygote, "_holes", lambda self: ["fly"] if self.level == SEALED[0] else real(self)
    )
    with guests.best_zygote() as zygote:
        assert zygote.level == SEALED[1]
    monkeypatch.setattr(levels, "candidates", lambda: iter(SEALED[:1]))
    with pytest.raises(ZygoteFailed, match="could fly"):
        guests.best_zygote()


def test_a_level_that_is_asked_for_is_never_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(ZygoteFailed, match="is not to be had here: this kernel has no Landlock"):
        Zygote(level=Level("none", "landlock"), bare=True)


# Machines that lack something


@linux
def test_without_bubblewrap_there_is_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box.shutil, "which", lambda name: None)
    level, _ = settle()
    assert level.box == "none"
    assert "apt install bubblewrap" in levels.lacking(level)[0]
    assert level == next(c for c in HERE if c.box == "none")


@linux
@pytest.mark.skipif(
    os.getuid() == 0 or Level("bubblewrap", "landlock") not in HERE, reason="root needs no user namespaces"
)
def test_without_user_namespaces_bubblewrap_says_what_to_allow() -> None:
    program = (
        "from autograder.guests import settle; from autograder.confinement import levels\n"
        "level, _ = settle(); print(level); print(*levels.lacking(level), sep='\\n')"
    )
    limited = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all "$@"'
    unshared = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", limited, "sh"]
    run = subprocess.run(
        [*unshared, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(guests.__file__).parent.parent)},
    )
    assert run.stdout.startswith("box none, seal landlock"), run.stderr
    assert "allow user namespaces" in run.stdout


@pytest.mark.skipif(not LANDLOCK, reason="needs Landlock")
@pytest.mark.parametrize("version", range(1, 8))
def test_an_old_landlock_seals_as_well(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its version doesn't know, seccomp refuses."""
    if version > landlock.abi():
        pytest.skip("newer than this kernel's")
    monkeypatch.setattr(landlock, "abi", lambda: version)
    assert not deeds(Level("none", "landlock"))


@linux
def test_without_landlock_a_root_judge_gives_guests_a_user_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(levels, "why_no_box", lambda name: None if name == "none" else "not here")
    level, _ = settle()
    if os.getuid() == 0 and not box.out_of_reach():
        assert level == Level("none", "uid")
    else:
        assert level == Level("none", "none")
    assert any("lsm=" in reason for reason in levels.lacking(level))


@linux
def test_without_libseccomp_or_on_an_unknown_machine_nothing_is_sealed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(seccomp.Unavailable, match="pip install"):
        seccomp.program()
    assert {level.seal for level in levels.candidates()} == {"none"}
    for function in (levels._why_no_landlock, levels._why_no_seccomp):
        function.cache_clear()

    class Stranger:
        def __init__(self, action: int) -> None:
            raise OSError(errno.EDOM, "unknown architecture")

    pyseccomp = type(sys)("pyseccomp")
    pyseccomp.SyscallFilter, pyseccomp.ERRNO = Stranger, int  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyseccomp", pyseccomp)
    with pytest.raises(seccomp.Unavailable, match=r"can't make a filter for .*unknown architecture"):
        seccomp.program()
    assert "unknown architecture" in (levels.why_no_seal("landlock") or "")


@linux
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_calls_are_known_on_both_architectures(machine: str) -> None:
    pyseccomp = pytest.importorskip("pyseccomp")
    arch = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}[machine]
    lists = f"{seccomp._FILES} {seccomp._WAITING} {seccomp._MEMORY} {seccomp._ITSELF} {seccomp._SOCKETS}"
    names = [*lists.split(), *seccomp._PROCESS, *seccomp._CHOICES, "clone", "clone3"]
    unknown = set()
    for name in names:
        try:
            number = pyseccomp.resolve_syscall(arch, name)
        except OSError:
            number = -1
        if number < 0:
            unknown.add(name)
    # What aarch64 never had, because it has a newer call of the kind, and what is another architecture's.
    old = set(
        """access alarm creat dup2 epoll_create epoll_wait eventfd getdents getpgrp lstat mkdir open pause
        pipe poll readlink rename rmdir select stat symlink time unlink arch_prctl""".split()
    )
    foreign = {"riscv_flush_icache", "pselect6_time64", "get_thread_area"}
    assert unknown <= foreign | (old if machine == "aarch64" else set())


# Refusing to grade


@pytest.mark.parametrize("flags", [[], ["--require-confinement"], ["--allow-unconfined"]])
def test_grading_with_hidden_checks_needs_a_seal(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    notebook = tmp_path / "ada.py"
    notebook.write_text("x = 1\n")
    monkeypatch.setattr(guests, "settle", lambda secrets=(): guests.Settled(Level(), ("no luck",)))
    monkeypatch.setattr("autograder.cli_grade.graded", lambda *a: [])
    command = ["grade", "week07_vae", str(notebook), "--out", str(tmp_path / "out"), *flags]
    result = CliRunner().invoke(main, command)
    if flags == ["--allow-unconfined"]:
        assert result.exit_code == 0
    else:
        assert result.exit_code == 2
        assert "no luck" in result.output
    public = CliRunner().invoke(main, [*command, "--tier", "public"])
    assert public.exit_code == (2 if "--require-confinement" in flags else 0)


def test_a_box_is_not_asked_for_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    notebook = tmp_path / "ada.py"
    notebook.write_text("x = 1\n")
    settled = guests.Settled(Level("none", "landlock"), ())
    monkeypatch.setattr(guests, "settle", lambda secrets=(): settled)
    monkeypatch.setattr("autograder.cli_grade.graded", lambda *a: [])
    command = ["grade", "week07_vae", str(notebook), "--out", str(tmp_path / "out")]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert CliRunner().invoke(main, [*command, "--require-confinement"]).exit_code == 2


# The container, whose engine doesn't run here: a stand-in reads its command line and runs what it says.

STAND_IN = """#!{python}
import os, subprocess, sys
arguments = sys.argv[1:]
if arguments[:2] == ["image", "inspect"]:
    sys.exit(0)
at = arguments.index("{image}")
flags, command = arguments[:at], arguments[at + 1:]
open("{seen}", "w").write("\\n".join(flags))
shared, inner = next(f for f in flags if f.startswith("--volume=")).split("=", 1)[1].split(":")
names = dict(f[6:].split("=", 1) for f in flags if f.startswith("--env="))
names |= {{"HOME": shared, "TMPDIR": shared, "PYTHONPATH": "{root}"}}
command = [c.replace(inner, shared) for c in command]
sys.exit(subprocess.run([sys.executable, *command[1:]], env=names).returncode)
"""


@linux
def test_a_zygote_in_a_container_is_met_at_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    podman, seen = tmp_path / "podman", tmp_path / "seen"
    root = Path(guests.__file__).parent.parent
    podman.write_text(STAND_IN.format(python=sys.executable, image=box.IMAGE, seen=seen, root=root))
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    level = Level("container", "landlock" if LANDLOCK else "none")
    assert level in levels.candidates()
    plan = levels.plan
    # The stand-in has no image: its guests read what lies here.
    monkeypatch.setattr(
        levels, "plan", lambda level: guests.Seal(program=plan(level).program, landlock=0, uid=0)
    )
    monkeypatch.setattr(guests.Zygote, "_holes", lambda self: [])
    with Zygote(Limits(scratch_bytes=1 << 20), level=level, bare=True) as zygote, zygote.guest() as guest:
        assert isinstance(guest, Guest)
    flags = seen.read_text().splitlines()
    assert {
        "--network=none",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--pull=never",
        "--user=65534:65534",
    } <= set(flags)
    assert any(f.startswith("--tmpfs=/scratch:") and "size=1048576" in f and "noexec" in f for f in flags)
    assert [f for f in flags if f.startswith("--volume=")] == [next(f for f in flags if "meeting" in f)]


@linux
def test_without_an_image_the_container_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    podman = tmp_path / "podman"
    podman.write_text("#!/bin/sh\necho 'Error: no such image' >&2; exit 125\n")
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reason = levels.why_no_box("container")
    assert reason is not None and "no such image" in reason and "podman build" in reason
    assert not any(level.box == "container" for level in levels.candidates())


# What guests may read, and their scratch folder


def test_the_course_and_the_home_folder_are_not_readable() -> None:
    root = Path(guests.__file__).parent.parent
    for path in (root / "course.toml", root / "reference_impl", Path.home() / ".ssh", Path("/etc/shadow")):
        assert box.exposing(path) is None
    assert box.exposing(Path(guests.__file__)) is not None


def test_scratch_is_measured_as_far_as_its_limit_reaches(tmp_path: Path) -> None:
    deep = tmp_path
    for i in range(20):
        deep /= "d"
        deep.mkdir()
        (deep / f"{i}").write_bytes(bytes(100_000))
    size, files = scratch.usage(tmp_path, 1000)
    assert files == 40 and size >= 20 * 100_000
    assert scratch.usage(tmp_path, 10)[1] == 11
    assert scratch.delete(tmp_path) and not tmp_path.exists()


def test_a_canary_notices_what_is_done_to_it() -> None:
    with probe.Canary() as canary:
        assert canary.harmed() == []
        socket.create_connection(("127.0.0.1", canary.targets["port"])).close()
        canary.file.chmod(stat.S_IRUSR | stat.S_IWUSR | stat.S_IROTH)
        assert canary.harmed() == ["connect to a port", "change a file's mode"]
        canary.file.write_text("sparrow")
        assert canary.harmed() == ["change a file"]
