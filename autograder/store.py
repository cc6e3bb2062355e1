"""Files of examples and tolerances: written whole or not at all, and thrown away when they don't fit."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from autograder import wire

_log = logging.getLogger(__name__)

LIMITS = wire.Limits(frame_bytes=256 << 20, values=1 << 24, tensors=1 << 22)


def fingerprint(*parts: object) -> str:
    """A short hash of the parts' texts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()[:20]


def source_of(paths: Iterable[Path]) -> str:
    """A fingerprint of files' contents."""
    return fingerprint(*(path.read_bytes() for path in paths if path.is_file()))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def save(path: Path, key: str, value: Any) -> None:
    """Write a value that the wire can carry, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(zlib.compress(wire.encode([key, value], LIMITS), 6))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def keep(path: Path, key: str, value: Any) -> None:
    """Save what can be made again: where that can't be, it is made each time, and a warning says so."""
    try:
        save(path, key, value)
    except OSError as error:
        _warn(str(path.parent.parent), error.strerror or str(error))


@functools.cache
def _warn(folder: str, reason: str) -> None:
    _log.warning(
        "examples and tolerances can't be kept in %s (%s), so they are made anew each time: "
        "have that folder writable, or prepare the course once as its owner",
        folder,
        reason,
    )


def load(path: Path, key: str) -> Any:
    """The value saved under this key, or None where there is none, another, or a damaged one."""
    try:
        found, value = unpack(path.read_bytes())
    except (OSError, zlib.error, wire.WireError, ValueError, TypeError):
        return None
    return value if found == key else None


def unpack(data: bytes) -> Any:
    """What `save` wrote."""
    inflate = zlib.decompressobj()
    raw = inflate.decompress(data, LIMITS.frame_bytes)
    if inflate.unconsumed_tail:
        raise ValueError("the file unpacks to more than 256 MiB")
    if not inflate.eof:
        raise ValueError("the file is cut off")
    return wire.decode(raw, LIMITS)
