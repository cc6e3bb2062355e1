"""A PostgreSQL server for a test: in a folder of its own, listening on a socket there, gone afterwards."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def _program(name: str) -> str | None:
    debian = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(debian[0]) if debian else shutil.which(name)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The URL of an empty database on a new server; the test is skipped where there is none to be had."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("no psycopg2 here: pip install psycopg2-binary")
    # The server refuses to run as root: it gets an account of its own, or nobody's.
    user = _account() if os.getuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # a short path: sockets have no room for long ones
    data = folder / "data"
    data.mkdir()
    if user is not None:
        shutil.chown(data, user)
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        made = subprocess.run(command, user=user, cwd="/", capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"PostgreSQL does not start here: {(made.stderr or made.stdout).strip()[-300:]}")

    stop = [pg_ctl, "--pgdata", str(data), "--mode", "immediate", "stop"]
    try:
        run(initdb, "--pgdata", str(data), "--username", "grader", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off"
        run(
            pg_ctl,
            "--pgdata",
            str(data),
            "--wait",
            "--log",
            str(folder / "log"),
            "--options",
            options,
            "start",
        )
        yield f"postgresql+psycopg2://grader@/postgres?host={folder}"
    finally:
        subprocess.run(stop, user=user, cwd="/", capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _account() -> str:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip("PostgreSQL does not run as root, and there is no other account")
