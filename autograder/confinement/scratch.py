"""The folder that a guest may write to: how much is in it, and how it is deleted."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def usage(folder: Path, most_files: int) -> tuple[int, int]:
    """The bytes on disk and the number of entries beneath a folder; counting ends at `most_files` + 1."""
    size = count = 0
    folders = [os.fspath(folder)]
    while folders and count <= most_files:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                count += 1
                if count > most_files:
                    break
                with contextlib.suppress(OSError):
                    size += 512 * entry.stat(follow_symlinks=False).st_blocks
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return size, count


def delete(folder: Path) -> bool:
    """Delete a folder that may hold anything; False if something remains.

    Folders in it are emptied into it first, so that no depth, name or permission is in the way.
    """
    prefix, taken = secrets.token_hex(8), 0
    try:
        os.chmod(folder, 0o700)
        while entries := list(os.scandir(folder)):
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                os.chmod(entry.path, 0o700)
                for name in os.listdir(entry.path):
                    inner = os.path.join(entry.path, name)
                    if os.path.isdir(inner) and not os.path.islink(inner):
                        os.chmod(inner, 0o700)  # a folder that can't be written to can't be moved
                    taken += 1
                    os.rename(inner, folder / f"{prefix}-{taken}")
                os.rmdir(entry.path)
        os.rmdir(folder)
    except OSError:
        return False
    return True
