"""The box: the command that starts the zygote where there is little to see.

In bubblewrap and in a container the zygote has its own processes, network, mounts and host name; it reads the
interpreter and its libraries, writes to a folder in memory of limited size, and sees nothing else.
"""

from __future__ import annotations

import functools
import os
import pwd
import secrets
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograder.confinement import Limits
from autograder.templating import template_folder

_PACKAGE = Path(__file__).resolve().parent.parent

IMAGE = "localhost/genai-autograder-guest"
INNER = "/run/autograder"  # where a container finds the folder with the zygote's socket
_INNER_SCRATCH = "/scratch"
_NOBODY = 65534

# Read by the dynamic linker and by libraries of their own accord.
_SYSTEM = (
    "/usr /bin /sbin /lib /lib32 /lib64 /libx32 /etc/alternatives /etc/fonts /etc/ld.so.cache "
    "/etc/ld.so.conf /etc/ld.so.conf.d /etc/localtime"
).split()


@functools.cache
def readable() -> tuple[str, ...]:
    """What guests may read: the interpreter, its libraries, this package and the system's libraries."""
    paths = [*_SYSTEM, sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    paths += sysconfig.get_paths().values()
    paths += [p for p in sys.path if p in site.getsitepackages()]
    paths += [*_links(sys.executable), str(_PACKAGE), str(template_folder())]
    kept: list[str] = []
    for path in sorted({os.path.abspath(p) for p in paths if os.path.lexists(p)}):
        if not any(Path(path).is_relative_to(k) and not os.path.islink(k) for k in kept):
            kept.append(path)
    return tuple(kept)


def _links(path: str) -> Iterator[str]:
    """The folders of a program and of every link on the way to it."""
    for _ in range(40):
        yield os.path.dirname(path)
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def exposing(path: Path) -> str | None:
    """The folder that guests may read and that `path` lies in, or None."""
    real = path.resolve()
    return next((p for p in readable() if real.is_relative_to(Path(p).resolve())), None)


def bubblewrap(command: Sequence[str], scratch: Path, limits: Limits) -> list[str]:
    """The command line that runs `command` in bubblewrap, with `scratch` as its only writable folder."""
    program = shutil.which("bwrap") or "bwrap"
    arguments = "--unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try".split()
    arguments += "--die-with-parent --new-session --hostname guest --cap-drop ALL".split()
    if os.getuid():
        arguments.append("--unshare-user")
    else:  # for the zygote to become an ordinary user with
        arguments += "--cap-add CAP_SETUID --cap-add CAP_SETGID".split()
    mounted = [*map(Path, readable()), scratch]
    for folder in sorted({str(parent) for path in mounted for parent in path.parents[:-1]}):
        if not os.path.islink(folder):  # what lies around a mount would else be closed to all but its maker
            arguments += ["--perms", "0755", "--dir", folder]
    for path in readable():
        if os.path.islink(path):
            arguments += ["--symlink", os.readlink(path), path]
        else:
            arguments += ["--ro-bind", path, path]
    arguments += ["--ro-bind-try", "/sys/devices/system/cpu", "/sys/devices/system/cpu"]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev"]
    arguments += ["--size", str(limits.scratch_bytes), "--perms", "1777", "--tmpfs", str(scratch)]
    arguments += ["--remount-ro", "/", "--chdir", str(scratch)]
    return [program, *arguments, "--", *command]


@functools.cache
def engine() -> str | None:
    """podman or docker, whichever is installed."""
    return shutil.which("podman") or shutil.which("docker")


def container(command: Sequence[str], meeting: Path, limits: Limits) -> list[str]:
    """The command line that runs `command` in a container of `IMAGE` (see Containerfile).

    Args:
        meeting: a folder that the judge and the container share, for the zygote's socket alone.
    """
    memory = str(limits.memory_bytes + (2 << 30))  # what the zygote has imported comes on top
    return [
        *(engine() or "podman", "run", "--rm", "--interactive", "--pull=never"),
        f"--name=autograder-{secrets.token_hex(6)}",
        *("--network=none", "--read-only", "--cap-drop=all", "--security-opt=no-new-privileges"),
        *(f"--user={_NOBODY}:{_NOBODY}", f"--pids-limit={limits.threads + 64}"),
        *(f"--memory={memory}", f"--memory-swap={memory}", "--ipc=private", "--hostname=guest"),
        f"--tmpfs={_INNER_SCRATCH}:rw,nosuid,nodev,noexec,size={limits.scratch_bytes},mode=1777",
        f"--volume={meeting}:{INNER}",
        f"--workdir={_INNER_SCRATCH}",
        *(f"--env={name}={value}" for name, value in environment(Path(_INNER_SCRATCH)).items()),
        IMAGE,
        *command,
    ]


def environment(scratch: Path) -> dict[str, str]:
    """All that a zygote's environment holds, and so a guest's."""
    return {
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "CUDA_VISIBLE_DEVICES": "",  # no driver may start threads in a process that forks
    }


def spare_uid() -> int:
    """A user that nobody is, for the guests of a root judge: one of those that systemd keeps for services."""
    first, last = 61184, 65519
    known = {user.pw_uid for user in pwd.getpwall()}
    while (uid := first + secrets.randbelow(last - first + 1)) in known:
        pass
    return uid


@functools.cache
def out_of_reach() -> str | None:
    """The first of what guests must read that only the judge's user can; None if everybody can."""
    looking = "import os, sys; print(*[p for p in sys.argv[1:] if not os.access(p, os.R_OK)][:1])"
    needed = [p for p in readable() if os.path.isdir(p)]
    try:
        found = subprocess.run(
            [sys.executable, "-I", "-S", "-c", looking, *needed],
            capture_output=True,
            text=True,
            cwd="/",
            user=_NOBODY,
            group=_NOBODY,
            extra_groups=[],
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return sys.executable
    return found.stdout.strip() or None
