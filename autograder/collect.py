"""Who handed in what: submissions found in files, folders and archives, as learning platforms give them out.

Nothing here raises for what it finds: an entry that can't be graded is reported, and the others are graded.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from autograder import archives, submissions
from autograder.names import clean, unused
from autograder.submissions import SUFFIXES, Unreadable

MAX_ENTRIES = 50_000  # in the folder of a class


class Entry(NamedTuple):
    """One student's submission: a file, or the folder that holds it; `problem` says why it can't be read."""

    student: str
    path: Path
    problem: str = ""


@dataclass
class Found:
    """The submissions; what is left out, and why; and what else a person should know.

    No two students are the same, in more than case and spelling. The lines may hold what students wrote.
    """

    entries: list[Entry] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_submissions(paths: Iterable[Path | str], week_name: str, scratch: Path | None = None) -> Found:
    """The submissions in files, folders and archives, in the order of their paths.

    Each of `paths` is a file, one student's folder, a folder of files named after students, a folder of
    students' folders, such as nbgrader's `submitted`, or an archive of any of these. An archive in a folder
    or in an archive is one student's, and so is one of several `paths` if it holds a single submission.

    Args:
        paths: where to look.
        week_name: the assignment; files and folders of this name are preferred.
        scratch: an existing folder that nobody else can read, for what archives hold. The caller deletes it
            after grading. Without one, archives are left out.
    """
    search = _Search(week_name, scratch)
    starts = [Path(path) for path in paths]
    several = sum(archives.is_archive(path.name) for path in starts) > 1
    for path in starts:
        if os.path.isdir(path):
            search.folder(path, path)
        elif archives.is_archive(path.name):
            search.archive(path, several)
        else:
            search.add(path, path)
    return search.found


class _Listing(NamedTuple):
    files: set[str]
    folders: set[str]
    links: set[str]


class _Search:
    """Looks through folders; what a folder is called may differ from where it was unpacked to."""

    def __init__(self, week_name: str, scratch: Path | None) -> None:
        self.week = week_name
        self.scratch = scratch
        self.found = Found()
        self._taken: dict[str, int] = {}
        self._refused: dict[Path, str] = {}  # by what stands for it
        self._refused_in: dict[Path, Path] = {}  # the first one in each folder
        self._others: list[Path] = []
        self._inner: set[Path] = set()

    def add(self, path: Path, named: Path, problem: str = "") -> None:
        """A submission, with an id that no other one has."""
        name = submissions.student_of(named, self.week)
        student = unused(clean(name), self._taken)
        if student != clean(name):
            self.found.remarks.append(f"{named}: called {student}, since there is another {clean(name)}")
        elif student != unicodedata.normalize("NFC", " ".join(name.split())):
            self.found.remarks.append(f"{named}: called {student}")
        if self._refused and not problem:
            path, problem = self._what_was_refused(path)
        self.found.entries.append(Entry(student, path, problem))

    def _what_was_refused(self, path: Path) -> tuple[Path, str]:
        """The file that would be read, and why it was not unpacked."""
        try:
            file = submissions.file_of(path, self.week)
            return (file, self._refused[file]) if file in self._refused else (path, "")
        except Unreadable:
            refused = self._refused_in.get(path)
            return (refused, self._refused[refused]) if refused else (path, "")

    def folder(self, folder: Path, named: Path, unpacked: bool = False) -> None:
        """A student's folder, or one of a class."""
        try:
            files, folders, links = _listing(folder)
        except Unreadable as error:
            self.found.left_out.append(f"{named}: {error}")
            return
        if any(self.week + suffix in files | links for suffix in SUFFIXES):
            self.add(folder, named)
        elif self.week in folders | links:
            choose = self._within if unpacked else self.add
            choose(folder / self.week, named / self.week)
        else:
            weekly = any(self._is_weeks(folder / name / self.week) for name in folders)
            others = [path.name for path in self._others if path.parent == folder]
            for name in sorted(files | folders | links):
                path, its_name = folder / name, named / name
                if name in folders:
                    self._student(path, its_name, unpacked, weekly)
                elif archives.is_archive(name) and name in files:
                    self._own_archive(path, its_name)
                elif name.lower().endswith(SUFFIXES) or os.path.isdir(path):
                    self.add(path, its_name, "it is a symbolic link" if name in links else "")
                else:
                    others.append(name)
            if others:
                some = ", ".join(others[:5]) + (f" and {len(others) - 5} more" if len(others) > 5 else "")
                self.found.remarks.append(f"{named}: no {' or '.join(SUFFIXES)}, left out: {some}")

    def _is_weeks(self, folder: Path) -> bool:
        """Whether this is one of nbgrader's folders, not an archive of this name."""
        return os.path.isdir(folder) and folder not in self._inner

    def _student(self, folder: Path, named: Path, unpacked: bool, weekly: bool) -> None:
        """The folder of one student in a class; `weekly` if students have a folder for each assignment."""
        try:
            files, folders, links = _listing(folder)
        except Unreadable as error:
            self.add(folder, named, str(error))
            return
        packed = [name for name in files if archives.is_archive(name)]
        others = folders and not files and not links and not any(folder / n in self._inner for n in folders)
        if others and self.week not in folders and (weekly or not unpacked):
            lines = self.found.remarks if weekly else self.found.left_out
            lines.append(f"{named}: there are folders in it, and none of them is {self.week}")
        elif unpacked:
            self._within(folder, named)
        elif self.week in folders | links:
            self.add(folder / self.week, named / self.week)
        elif len(packed) == 1 and not any(name.lower().endswith(SUFFIXES) for name in files | links):
            self._own_archive(folder / packed[0], named)
        else:
            self.add(folder, named)

    def archive(self, path: Path, several: bool) -> None:
        """The archive of a class, or one of several students'."""
        named = path.with_name(archives.stem(path.name))
        try:
            root = folder = self._unpacked(path)
        except Unreadable as error:
            self.add(path, named, str(error))
            return
        files = [file for file in root.rglob("*") if file.is_file()]
        if several and len(files) == 1:
            self._within(root, named)
            return
        while len(files) > 1 and (inner := self._wrapped(folder)):
            folder = inner
        self.folder(folder, named / folder.relative_to(root), unpacked=True)

    def _wrapped(self, folder: Path) -> Path | None:
        """The folder of a class that is all there is in this one."""
        outer = _listing(folder)
        if outer.files or len(outer.folders) != 1:
            return None
        (name,) = outer.folders
        inner = _listing(folder / name)
        names = inner.files | inner.folders
        is_students = self.week in names or any(self.week + suffix in names for suffix in SUFFIXES)
        return None if is_students or len(names) < 2 else folder / name

    def _own_archive(self, path: Path, named: Path) -> None:
        """An archive that one student handed in."""
        if archives.is_archive(named.name):
            named = named.with_name(archives.stem(named.name))
        try:
            self._within(self._unpacked(path, own=True), named)
        except Unreadable as error:
            self.add(path, named, str(error))

    def _within(self, folder: Path, named: Path) -> None:
        """The submission in a folder that was unpacked, in whatever folder of it the student has put it."""
        files: dict[Path, list[str]] = {}
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                files.setdefault(file.parent, []).append(file.name)

        def rank(holder: Path) -> tuple[bool, int]:
            return all(self.week + suffix not in files[holder] for suffix in SUFFIXES), len(holder.parts)

        best = sorted(files, key=rank)
        if len(best) > 1 and rank(best[0]) == rank(best[1]):
            several = " and ".join(str(holder.relative_to(folder)) for holder in best[:2])
            problem = f"there are notebooks in several folders ({several}): name one {self.week}{SUFFIXES[0]}"
            self.add(folder, named, problem)
        else:
            self.add(best[0] if best else folder, named)
        path = self.found.entries[-1].path
        for file in (holder / name for holder in files for name in files[holder]):
            if path not in (file, file.parent):  # it will not be read
                os.truncate(file, 0)

    def _unpacked(self, archive: Path, own: bool = False) -> Path:
        """A new folder with what an archive holds. Raises Unreadable where that is nothing."""
        if self.scratch is None:
            raise Unreadable("archives are not unpacked here")
        folder = Path(tempfile.mkdtemp(dir=self.scratch), clean(archives.stem(archive.name)))
        folder.mkdir()
        with submissions.opened(archive) as file:
            unpacked = archives.unpack(file, archive.name, folder, SUFFIXES, submissions.MAX_BYTES, own)
        self._others += unpacked.others
        self._inner.update(unpacked.inner)
        self.found.remarks += [f"{archive.name}: {old} is called {new}" for old, new in unpacked.renamed]
        for refused in unpacked.refused:
            self.found.left_out.append(f"{refused.name}: {refused.reason}")
            if refused.path:
                self._refused[refused.path] = refused.reason
                for place in (refused.path, *refused.path.parents):
                    self._refused_in.setdefault(place, refused.path)
        if folder in self._refused and not any(folder.iterdir()):
            raise Unreadable(self._refused[folder])
        return folder


def _listing(folder: Path) -> _Listing:
    """What is in a folder, without what systems and editors leave there. Raises Unreadable."""
    listing = _Listing(set(), set(), set())
    try:
        with os.scandir(folder) as entries:
            for count, entry in enumerate(entries):
                if count == MAX_ENTRIES:
                    raise Unreadable(f"there are more than {MAX_ENTRIES:,} entries in this folder")
                if entry.name.startswith((".", "__")):
                    continue
                folder_or_file = listing.folders if entry.is_dir(follow_symlinks=False) else listing.files
                (listing.links if entry.is_symlink() else folder_or_file).add(entry.name)
    except (OSError, ValueError) as error:
        raise Unreadable(submissions.reason(error)) from None
    return listing
