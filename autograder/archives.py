"""Archives of submissions, unpacked without trusting anything that stands in them.

Only files of the wanted kinds are written: regular ones, of capped size, under clean names, inside the folder
given, whatever a member calls itself, links to or claims to be. What is refused says why, and the rest is
unpacked.
"""

from __future__ import annotations

import functools
import gzip
import os
import re
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Protocol

from autograder.names import clean, unused

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz")

MAX_MEMBERS, MAX_OWN_MEMBERS = 50_000, 10_000  # files and folders in a class's archive, and in one student's
MAX_DEPTH = 10  # folders in folders
MAX_NAME = 1_000  # characters of a member's name with its folders
MAX_BYTES = 4_000_000_000  # written of a class's archive,
FREE, RATIO = 1_000_000_000, 100  # and beyond FREE at most RATIO times what it has
MAX_OWN_BYTES = 40_000_000  # written of one student's archive
MAX_INNER = 100_000_000  # bytes of an archive in an archive, and of a tar that is one student's
MAX_INDEX = 16_000_000  # bytes of a zip's list of its members
MAX_HEADER = 65_536  # bytes of a tar's header for a long name
CHUNK = 1 << 16

_LEFT_BEHIND = (".", "__MACOSX", "__pycache__")  # by systems, not by students
_BROKEN = (
    zipfile.BadZipFile, tarfile.HeaderError, gzip.BadGzipFile, zlib.error, struct.error, EOFError, IndexError,
    OverflowError, RuntimeError, ValueError,
)  # fmt: skip
_SPECIAL = {
    stat.S_IFLNK: "it is a symbolic link",
    stat.S_IFCHR: "it is a device",
    stat.S_IFBLK: "it is a device",
    stat.S_IFIFO: "it is a pipe",
    stat.S_IFSOCK: "it is a socket",
}
_TAR_SPECIAL = {
    tarfile.SYMTYPE: "it is a symbolic link",
    tarfile.LNKTYPE: "it is a link to another member",
    tarfile.CHRTYPE: "it is a device",
    tarfile.BLKTYPE: "it is a device",
    tarfile.FIFOTYPE: "it is a pipe",
}


@dataclass(frozen=True)
class Refused:
    """A member, or a whole archive, that was not unpacked.

    `path` is the empty file that stands for it, or the folder; None where it has no place.
    """

    name: str
    reason: str
    path: Path | None = None


@dataclass
class Unpacked:
    """What came of an archive, beside files in a folder."""

    refused: list[Refused] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)  # where files of other kinds would be
    inner: list[Path] = field(default_factory=list)  # folders that were archives
    renamed: list[tuple[str, str]] = field(default_factory=list)  # what is not called as in the archive


def is_archive(name: str) -> bool:
    """Whether a file of this name is one that `unpack` knows."""
    return name.lower().endswith(ENDINGS)


def stem(name: str) -> str:
    """An archive's name without its ending."""
    lengths = [len(ending) for ending in ENDINGS if name.lower().endswith(ending)]
    return name[: -max(lengths)] if lengths else name


def unpack(
    file: IO[bytes], name: str, into: Path, kinds: tuple[str, ...], largest: int, own: bool = False
) -> Unpacked:
    """Unpack an archive, and each archive in it into a folder of its name.

    Nothing that they hold raises; OSError says that this machine can't: there is no room, say.

    Args:
        file: the archive, open for reading.
        name: its name, whose ending says what it is.
        into: an empty folder that nobody else can write to.
        kinds: endings of the files that are written, in lower case.
        largest: bytes that a file may have.
        own: whether it is one student's, which may unpack to less than a class's.
    """
    size = os.fstat(file.fileno()).st_size
    room = min(MAX_BYTES, max(FREE, RATIO * size))
    unpacking = _Unpacking(into, kinds, largest)
    unpacking.archive(file, name, (), name, _owns() if own else _Allowance(room, MAX_MEMBERS, room))
    return unpacking.unpacked


class _Refusal(Exception):
    """Why a member, or the rest of an archive, is not unpacked: in words for its author."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Member:
    name: str
    open: Callable[[], _Readable]
    is_folder: bool = False
    problem: str = ""


@dataclass
class _Allowance:
    """What an archive may still take: bytes written, members, and bytes of a tar read."""

    left: int
    members: int
    read: int
    is_inner: bool = False

    def __post_init__(self) -> None:
        self.size = self.left

    def count(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise _Refusal("it has too many members: what comes after them is left out")

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _Refusal(f"its archive unpacks to more than {self.size // 1_000_000:,} MB")


def _owns(is_inner: bool = False) -> _Allowance:
    """The same for each student: nobody's archive takes the room of another one's."""
    return _Allowance(MAX_OWN_BYTES, MAX_OWN_MEMBERS, MAX_INNER, is_inner)


class _Unpacking:
    """Where members go: each under a name that no other one in its folder has, on any file system."""

    def __init__(self, root: Path, kinds: tuple[str, ...], largest: int) -> None:
        self.kinds = kinds
        self.largest = largest
        self.unpacked = Unpacked()
        self._refused: dict[Path, int] = {}  # which one of those refused a file stands for
        self._places: dict[tuple[str, ...], Path] = {(): root}
        self._taken: defaultdict[Path, dict[str, int]] = defaultdict(dict)

    def archive(
        self, file: IO[bytes], name: str, base: tuple[str, ...], label: str, allowance: _Allowance
    ) -> None:
        """Unpack one archive into the folder for `base`."""
        try:
            for member in _zip(file) if name.lower().endswith(".zip") else _tar(file, allowance.read):
                allowance.count()
                self._member(member, base, f"{label}: {member.name[:MAX_NAME]}", allowance)
        except (_Refusal, *_BROKEN) as error:
            self._refuse(label, _reason(error), self._folder(base))

    def _member(self, member: _Member, base: tuple[str, ...], label: str, allowance: _Allowance) -> None:
        path = None
        try:
            parts = (*base, *_parts(member.name))
            if any(part.startswith(_LEFT_BEHIND) for part in parts[len(base) :]):
                return
            if member.is_folder or parts == base:
                self._folder(parts)
            elif is_archive(parts[-1]):
                if allowance.is_inner:
                    raise _Refusal("it is an archive in an archive in an archive")
                parts = (*parts[:-1], f"{parts[-1]}/")  # a folder may have the same name
                path = self._folder(parts, stem(parts[-1][:-1]))
                self.unpacked.inner.append(path)
                self._inner(member, parts, label)
            elif parts[-1].lower().endswith(self.kinds):
                path = self._file(parts)
                if path.exists():
                    self._replace(path, label)
                with path.open("wb") as file:
                    _copy(member, file, self.largest, allowance)
            elif member.problem:
                raise _Refusal(member.problem)
            else:
                self.unpacked.others.append(self._folder(parts[:-1]) / clean(parts[-1]))
        except (_Refusal, *_BROKEN) as error:
            if path and path.is_file():
                os.truncate(path, 0)
            self._refuse(label, _reason(error), path)

    def _inner(self, member: _Member, parts: tuple[str, ...], label: str) -> None:
        """Unpack an archive in an archive."""
        with tempfile.TemporaryFile() as file:
            _copy(member, file, MAX_INNER)
            file.seek(0)
            self.archive(file, parts[-1][:-1], parts, label, _owns(is_inner=True))

    def _replace(self, path: Path, label: str) -> None:
        """Say that a member takes the place of one of the same name, as it does in other programs."""
        if path in self._refused:
            number = self._refused.pop(path)
            self.unpacked.refused[number] = replace(self.unpacked.refused[number], path=None)
        self._refuse(label, "it is in the archive twice: the last one counts", None)

    def _refuse(self, label: str, reason: str, path: Path | None) -> None:
        if path:
            self._refused[path] = len(self.unpacked.refused)
        self.unpacked.refused.append(Refused(label, reason, path))

    def _folder(self, parts: tuple[str, ...], name: str = "") -> Path:
        if parts not in self._places:
            parent = self._folder(parts[:-1])
            self._places[parts] = self._new(parent, name or parts[-1], "")
            self._places[parts].mkdir(mode=0o700)
        return self._places[parts]

    def _file(self, parts: tuple[str, ...]) -> Path:
        key = (*parts, "/")
        if key not in self._places:
            parent = self._folder(parts[:-1])
            self._places[key] = self._new(parent, *os.path.splitext(parts[-1]))
        return self._places[key]

    def _new(self, parent: Path, start: str, ending: str) -> Path:
        name = unused(clean(start), self._taken[parent], ending.lower())
        if name != start + ending.lower():
            self.unpacked.renamed.append((start + ending, name))
        return parent / name


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, _Refusal) else "it is damaged, or not what its name says"


def _parts(name: str) -> tuple[str, ...]:
    """The folders and the file that a member's name leads to; old programs write backslashes between them."""
    parts = tuple(part for part in re.split(r"[/\\]", name[: MAX_NAME + 1]) if part not in ("", "."))
    if len(name) > MAX_NAME or len(parts) > MAX_DEPTH:
        raise _Refusal(f"its name has more than {MAX_NAME:,} characters or {MAX_DEPTH} parts")
    if "\0" in name:
        raise _Refusal("its name has a zero byte in it")
    if ".." in parts or re.match(r"[/\\]|[A-Za-z]:", name):
        raise _Refusal("its name leads out of the archive")
    return parts


def _copy(member: _Member, to: IO[bytes], largest: int, allowance: _Allowance | None = None) -> None:
    """Write what a member really holds, which may be more than it says."""
    if member.problem:
        raise _Refusal(member.problem)
    source, size = member.open(), 0
    while data := source.read(CHUNK):
        size += len(data)
        if size > largest:
            raise _Refusal(f"it is larger than {largest // 1_000_000} MB")
        if allowance:
            allowance.take(len(data))
        to.write(data)


class _Bounded:
    """A file of which no more than MAX_INDEX bytes are read at once: zipfile reads lists of members whole."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.tell, self.seekable = file.tell, file.seekable

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and offset < 0:
            raise ValueError("a place before the file")  # OSError would be this machine's
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, MAX_INDEX + 1) if size >= 0 else MAX_INDEX + 1)
        if len(data) > MAX_INDEX:
            raise _Refusal(f"the list of its members is larger than {MAX_INDEX // 1_000_000} MB")
        return data


def _zip(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(_Bounded(file)) as archive:  # type: ignore[arg-type]
        for info in archive.infolist():
            problem = _SPECIAL.get(stat.S_IFMT(info.external_attr >> 16), "")
            if info.flag_bits & 0x1:
                problem = "it is encrypted"
            elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                problem = "it is compressed in a way that few programs know: use the usual one, deflate"
            name = info.orig_filename if "\0" in info.orig_filename else _unicode(info)
            yield _Member(name, functools.partial(archive.open, info), info.is_dir(), problem)


def _unicode(info: zipfile.ZipInfo) -> str:
    """A member's name, also where it is in UTF-8 and doesn't say so, as macOS writes it."""
    try:
        return info.filename if info.flag_bits & 0x800 else info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


class _Stream:
    """A file that is read from its beginning, once, up to a number of bytes."""

    def __init__(self, file: _Readable, size: int) -> None:
        self._file = file
        self.left = size

    def read(self, size: int) -> bytes:
        """At most `size` bytes; fewer only where it ends."""
        data = self._file.read(min(size, self.left))
        self.left -= len(data)
        return data

    def skip(self) -> None:
        while self.left:
            if not self.read(CHUNK):
                raise EOFError


def _tar(file: IO[bytes], largest: int) -> Iterator[_Member]:
    """The members of a tar, plain or gzipped.

    tarfile reads headers of any length into memory, and before Python 3.14 it can be made to read forever, so
    that it only takes apart the blocks of 512 bytes here.
    """
    zipped = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    stream = _Stream(gzip.GzipFile(fileobj=file) if zipped else file, largest)
    headers: dict[str, str] = {}
    while (block := stream.read(tarfile.BLOCKSIZE)).strip(b"\0"):
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        size = int(headers.get("size", info.size))
        end = stream.left - size - -size % tarfile.BLOCKSIZE
        if size < 0:
            raise ValueError("a size that can't be")
        if end < 0:
            raise _Refusal(f"it unpacks to more than {largest // 1_000_000:,} MB")
        if info.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            if size > MAX_HEADER:
                raise _Refusal("a name in it is too long")
            data = stream.read(size)
            long_name = {"path": data.rstrip(b"\0").decode("utf-8", "surrogateescape")}
            headers |= long_name if info.type == tarfile.GNUTYPE_LONGNAME else _records(data)
        elif info.type not in (tarfile.XGLTYPE, tarfile.GNUTYPE_LONGLINK):
            if info.issparse():
                raise _Refusal("it holds a sparse file: what comes after it is left out")
            problem = _TAR_SPECIAL.get(info.type, "" if info.isreg() or info.isdir() else "it is no file")
            content = functools.partial(_Stream, stream, size)
            yield _Member(headers.get("path", info.name), content, info.isdir(), problem)
            headers = {}
        _Stream(stream, stream.left - end).skip()


def _records(data: bytes) -> dict[str, str]:
    """What a header of POSIX's later format says: lines of "length key=value"."""
    records = {}
    while data.strip(b"\0"):
        digits = re.match(rb"(\d{1,6}) ", data)
        length = int(digits[1]) if digits else 0
        if not digits or not len(digits[0]) < length <= len(data):
            raise ValueError("a header that can't be read")
        key, _, value = data[len(digits[0]) : length].decode("utf-8", "surrogateescape").partition("=")
        records[key] = value.removesuffix("\n")
        data = data[length:]
    return records
