"""Archives that lie about names, sizes and kinds of what they hold are unpacked as far as they are honest."""

from __future__ import annotations

import gzip
import io
import os
import random
import stat
import struct
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder import archives
from autograder.archives import Unpacked, is_archive, stem, unpack

KINDS = (".ipynb", ".py")
MB = 1_000_000

Members = dict[str, bytes]


def zipped(members: Members | list[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as file:
        for name, content in members.items() if isinstance(members, dict) else members:
            file.writestr(name, content)
    return data.getvalue()


def tarred(members: Members | list[tuple[Any, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=format) as file:
        for name, content in members.items() if isinstance(members, dict) else members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return data.getvalue()


def gzipped(members: Members) -> bytes:
    return gzip.compress(tarred(members))


FORMATS: dict[str, Callable[[Any], bytes]] = {"a.zip": zipped, "a.tar": tarred, "a.tar.gz": gzipped}


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "outer" / "into"
    folder.mkdir(parents=True)
    return folder


def undone(data: bytes, into: Path, name: str = "a.zip", largest: int = 20 * MB) -> tuple[Members, Unpacked]:
    """The files that were written, by their path in the folder, and the rest of what is said of them."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        result = unpack(file, name, into, KINDS, largest)
    for path in into.rglob("*"):
        kind = os.lstat(path).st_mode
        assert stat.S_ISDIR(kind) or (stat.S_ISREG(kind) and path.suffix in KINDS)
        assert path.resolve().is_relative_to(into) and len(os.fsencode(path.name)) <= 140
    assert list(into.parent.iterdir()) == [into]
    files = {str(p.relative_to(into)): p.read_bytes() for p in sorted(into.rglob("*")) if p.is_file()}
    return files, result


def reasons(result: Unpacked) -> list[str]:
    return [refused.reason for refused in result.refused]


# Honest archives


@pytest.mark.parametrize("name", FORMATS)
def test_notebooks_and_python_files_are_unpacked_and_nothing_else_is(name: str, into: Path) -> None:
    members = {
        "alice/final.ipynb": b"{}",
        "alice/helper.PY": b"x = 1",
        "alice/data.csv": b"1,2",
        "./bob/Zo\u00eb M.ipynb": b"2" * 100_000,
        "carol/answers.pdf": b"%PDF",
        "__MACOSX/alice/._final.ipynb": b"junk",
        "dave/.git/hooks/x.py": b"junk",
        "dave/__pycache__/x.py": b"junk",
    }
    files, result = undone(FORMATS[name](members), into, name)
    assert files == {
        "alice/final.ipynb": b"{}",
        "alice/helper.py": b"x = 1",
        "bob/Zo\u00eb M.ipynb": b"2" * 100_000,
    }
    assert result.refused == result.renamed == []
    assert result.others == [into / "alice" / "data.csv", into / "carol" / "answers.pdf"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tar_is_read_with_long_names_and_those_of_any_script(format: int, into: Path) -> None:
    name = "/".join(["folder of a student whose name is long"] * 4) + "/李 Zo\u00eb.ipynb"
    data = tarred({"first.py": b"1", name: b"2" * 1000, "last.py": b"3"}, format)
    assert undone(data, into, "a.tar")[0] == {"first.py": b"1", name: b"2" * 1000, "last.py": b"3"}


def test_archives_in_an_archive_are_unpacked_into_folders_of_their_names(into: Path) -> None:
    inner = {"week/final.ipynb": b"1", "b.zip": zipped({"c.ipynb": b"2"})}
    data = zipped(
        {"alice.zip": zipped(inner), "bob/work.tgz": gzipped({"x.py": b"3"}), "bob/work/y.py": b"4"}
    )
    files, result = undone(data, into)
    assert files == {"alice/week/final.ipynb": b"1", "bob/work/x.py": b"3", "bob/work-2/y.py": b"4"}
    assert result.inner == [into / "alice", into / "bob" / "work"]
    assert reasons(result) == ["it is an archive in an archive in an archive"]
    assert result.refused[0].name == "a.zip: alice.zip: b.zip"


def test_folders_are_made_also_where_nothing_is_in_them(into: Path) -> None:
    undone(zipped({"alice/": b"", "bob/notes.txt": b""}), into)
    assert sorted(p.name for p in into.iterdir()) == ["alice", "bob"]


@pytest.mark.parametrize(
    ("name", "is_one", "start"),
    [
        ("a.zip", True, "a"),
        ("a.b.TAR.GZ", True, "a.b"),
        ("a.tgz", True, "a"),
        ("a.tar", True, "a"),
        ("a.gz", False, "a.gz"),
        ("zip", False, "zip"),
    ],
)
def test_an_archive_is_known_by_its_name(name: str, is_one: bool, start: str) -> None:
    assert (is_archive(name), stem(name)) == (is_one, start)


def test_names_in_the_encodings_of_other_systems(into: Path) -> None:
    """macOS writes UTF-8 and doesn't say so; old programs on Windows write backslashes."""
    data = zipped({"Zoë_x.py": b"1"})
    unmarked = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        unmarked[at : at + 2] = b"\0\0"
    assert "Zoë_x.py" in undone(bytes(unmarked), into)[0]
    assert "alice/b.py" in undone(zipped({"alice\\b.py": b"1"}), into)[0]


# Names


BAD_NAMES = {
    "../x.py": "leads out",
    "a/../../x.py": "leads out",
    "a/../x.py": "leads out",
    "..\\x.py": "leads out",
    "a\\..\\..\\x.py": "leads out",
    "/etc/x.py": "leads out",
    "//host/share/x.py": "leads out",
    "\\\\host\\share\\x.py": "leads out",
    "C:x.py": "leads out",
    "c:\\windows\\x.py": "leads out",
    "n" * 10_000 + ".py": "more than 1,000 characters",
    "/".join(["d"] * 11) + "/x.py": "10 parts",
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: name[:20])
def test_no_name_leads_out_of_the_folder(format: str, name: str, into: Path) -> None:
    files, result = undone(FORMATS[format]({"a.py": b"1", name: b"evil", "b.py": b"2"}), into, format)
    assert files == {"a.py": b"1", "b.py": b"2"}
    assert len(result.refused) == 1 and BAD_NAMES[name] in result.refused[0].reason
    assert result.refused[0].path is None


def test_a_name_with_a_zero_byte_is_refused(into: Path) -> None:
    data = zipped({"a.py": b"1", "evil.py_.txt": b"2"}).replace(b"evil.py_.txt", b"evil.py\0.txt")
    files, result = undone(data, into)
    assert files == {"a.py": b"1"} and "zero byte" in reasons(result)[0]


def test_odd_names_are_made_safe_and_kept_apart(into: Path) -> None:
    names = [
        "x.py",
        "X.py",
        "x .py",
        "é.py",
        "e\u0301.py",
        "a\x1b[31m\u202e.py",
        "con.py",
        "x.py/y.py",
        "…/z.py",
    ]
    data = zipped({name: str(i).encode() for i, name in enumerate(names)})
    files, result = undone(data, into)
    assert sorted(files.values()) == [str(i).encode() for i in range(len(names))]
    assert len({name.casefold() for name in files}) == len(names)
    assert files["x.py"] == b"0" and files["x.py-4/y.py"] == b"7" and files["con_.py"] == b"6"
    assert {new for _, new in result.renamed} >= {"X-2.py", "con_.py", "a_[31m_.py"}


def test_a_member_that_is_there_twice_counts_once_and_it_is_said(into: Path) -> None:
    link = zipfile.ZipInfo("b.py")
    link.external_attr = stat.S_IFLNK << 16
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped([("a.py", b"first"), ("a.py", b"last"), (link, b"a.py"), ("b.py", b"honest")])
    files, result = undone(data, into)
    assert files == {"a.py": b"last", "b.py": b"honest"}
    assert reasons(result).count("it is in the archive twice: the last one counts") == 2
    assert all(refused.path is None for refused in result.refused)


# Links and devices


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_a_zip_makes_no_links_and_no_devices(kind: int, into: Path) -> None:
    special, folder = zipfile.ZipInfo("alice/x.py"), zipfile.ZipInfo("alice/y")
    special.external_attr = folder.external_attr = (kind | 0o777) << 16
    files, result = undone(zipped([(special, b"/etc/passwd"), (folder, b"/etc"), ("b.py", b"1")]), into)
    assert files == {"alice/x.py": b"", "b.py": b"1"}, "an empty file stands for what was refused"
    assert [refused.path for refused in result.refused] == [into / "alice" / "x.py", None]
    assert all("it is a" in reason for reason in reasons(result))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"?"]
)
def test_a_tar_makes_no_links_and_no_devices(kind: bytes, into: Path) -> None:
    special = tarfile.TarInfo("alice/x.py")
    special.type, special.linkname = kind, "/etc/passwd"
    data = tarred([(special, b""), ("b.py", b"1")])
    files, result = undone(data, into, "a.tar")
    assert files == {"alice/x.py": b"", "b.py": b"1"} and reasons(result)[0].startswith("it is ")
    assert len(result.refused) == 1 and result.refused[0].path == into / "alice" / "x.py"


def test_a_link_in_a_tar_is_not_followed_by_what_comes_after_it(into: Path, tmp_path: Path) -> None:
    link = tarfile.TarInfo("alice")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    files, result = undone(tarred([(link, b""), ("alice/x.py", b"1")]), into, "a.tar")
    assert files == {"alice/x.py": b"1"} and reasons(result) == ["it is a symbolic link"]
    assert not (tmp_path / "x.py").exists()


# Sizes


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_too_large_is_refused_and_the_rest_is_not(name: str, into: Path) -> None:
    data = FORMATS[name]({"a.py": b"1" * 1000, "b.py": b"0" * 1001, "c.py": b"2"})
    files, result = undone(data, into, name, largest=1000)
    assert files == {"a.py": b"1" * 1000, "b.py": b"", "c.py": b"2"}
    assert [refused.path for refused in result.refused] == [into / "b.py"]


def test_a_zip_that_claims_small_sizes_is_measured(into: Path) -> None:
    data = bytearray(zipped({"bomb.py": b"0" * 3 * MB, "b.py": b"1"}))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(signature) + offset
        data[at : at + 4] = struct.pack("<I", 10)
    files, result = undone(bytes(data), into, largest=MB)
    assert files == {"bomb.py": b"", "b.py": b"1"} and "damaged" in reasons(result)[0]


def test_all_of_an_archive_may_not_become_too_large(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE", 10 * MB)
    data = zipped({f"{i}.py": b"0" * MB for i in range(15)})
    assert len(data) * archives.RATIO < 10 * MB
    files, result = undone(data, into)
    assert sum(map(len, files.values())) == 10 * MB
    assert len(result.refused) == 5 and "unpacks to more than 10 MB" in reasons(result)[0]


def test_an_archive_may_grow_by_what_is_usual(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE", MB)
    data = zipped({f"{i}.py": random.Random(i).randbytes(5_000) * 20 for i in range(30)})
    assert MB < 30 * 100_000 < archives.RATIO * len(data)
    files, result = undone(data, into)
    assert len(files) == 30 and result.refused == []


def test_a_bomb_of_one_student_leaves_the_others_room(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_OWN_BYTES", 2 * MB)
    monkeypatch.setattr(archives, "MAX_OWN_MEMBERS", 20)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 10)
    monkeypatch.setattr(archives, "MAX_INNER", 3 * MB)
    monkeypatch.setattr(archives, "FREE", MB // 2)
    bombs = {f"mallory{i}.zip": zipped({f"{n}.py": b"0" * MB for n in range(50)}) for i in range(3)}
    files, result = undone(zipped({**bombs, "large.zip": b"0" * 4 * MB, "zoe.py": b"1"}), into)
    assert files["zoe.py"] == b"1" and sum(map(len, files.values())) == 3 * 2 * MB + 1
    assert sum("unpacks to more than 2 MB" in reason for reason in reasons(result)) == 3 * 18
    assert sum("too many members" in reason for reason in reasons(result)) == 3
    assert "larger than 3 MB" in reasons(result)[-1]


def test_the_archive_of_one_student_may_be_smaller(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_OWN_BYTES", MB)
    with tempfile.TemporaryFile() as file:
        file.write(zipped({"a.py": b"0" * MB, "b.py": b"1"}))
        file.seek(0)
        result = unpack(file, "a.zip", into, KINDS, 20 * MB, own=True)
    assert [refused.name for refused in result.refused] == ["a.zip: b.py"]


def test_members_that_share_their_bytes_are_counted_each(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bomb of Fifield (2019): one compressed kernel, named by many entries of the list."""
    monkeypatch.setattr(archives, "FREE", 5 * MB)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.py", b"0" * MB)
        for _ in range(19):
            file.filelist.append(file.filelist[0])
    files, result = undone(data.getvalue(), into)
    assert sum(map(len, files.values())) <= 5 * MB and result.refused


def test_a_gzip_of_great_size_is_not_read_to_its_end(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "FREE", 2 * MB)
    monkeypatch.setattr(archives, "RATIO", 1)
    read = 0

    class Counting(gzip.GzipFile):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal read
            data = super().read(size)
            read += len(data)
            return data

    data = gzip.compress(tarred([("a.py", b"1"), ("large.bin", b"0" * 30 * MB), ("b.py", b"2")]))
    monkeypatch.setattr(archives.gzip, "GzipFile", Counting)
    files, result = undone(data, into, "a.tgz")
    assert files == {"a.py": b"1"} and "unpacks to more than 2 MB" in reasons(result)[-1]
    assert 0 < read <= 2 * MB + 10_000


@pytest.mark.parametrize("name", FORMATS)
def test_members_are_counted(name: str, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 5)
    files, result = undone(FORMATS[name]({f"{i}.py": b"1" for i in range(7)}), into, name)
    assert len(files) == 5 and "too many members" in reasons(result)[0]
    assert result.refused[0].path == into


def test_a_list_of_members_that_is_too_long_is_not_read(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_INDEX", 70_000)
    files, result = undone(zipped({f"{'n' * 200}{i}.py": b"" for i in range(1000)}), into)
    assert files == {} and "list of its members" in reasons(result)[0]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_a_tar_is_not_read_into_memory_whatever_its_size(kind: bytes, into: Path) -> None:
    header = tarfile.TarInfo("header")
    header.type = kind
    for size, reason in ((archives.MAX_HEADER + 1, "too long"), (1 << 40, "unpacks to more than")):
        header.size = size
        data = header.tobuf(tarfile.GNU_FORMAT) + b"0" * 200_000
        assert reason in reasons(undone(data, into, "a.tar")[1])[0]


def test_sparse_files_stay_unwritten(into: Path) -> None:
    sparse = tarfile.TarInfo("holes.py")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 1 << 40
    files, result = undone(sparse.tobuf(tarfile.GNU_FORMAT) + bytes(10_240), into, "a.tar")
    assert files == {} and result.refused


@pytest.mark.parametrize("size", [-512, -1, 1 << 62])
def test_a_size_that_can_not_be_ends_a_tar(size: int, into: Path) -> None:
    """CVE-2025-8194: tarfile goes back by a negative size, and reads the same header for ever."""
    wrong = tarfile.TarInfo("b.py")
    wrong.size = size
    data = tarred({"a.py": b"1"})[:1024] + wrong.tobuf(tarfile.GNU_FORMAT) + bytes(2048)
    files, result = undone(data, into, "a.tar")
    assert files == {"a.py": b"1"} and len(result.refused) == 1


# Damage


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"PK", b"PK\5\6" + bytes(18), b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(99), b"x" * 9999]
)
def test_what_is_no_archive_raises_nothing(name: str, data: bytes, into: Path) -> None:
    files, _ = undone(data, into, name)
    assert files == {}


def test_an_encrypted_or_unusual_member_is_refused(into: Path) -> None:
    data = bytearray(zipped({"a.py": b"1", "b.py": b"2"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    files, result = undone(bytes(data), into)
    assert files == {"a.py": b"", "b.py": b"2"} and reasons(result) == ["it is encrypted"]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_is_compressed_in_an_unusual_way_is_refused(method: int, into: Path) -> None:
    files, result = undone(zipped({"a.py": b"1"}, method), into)
    assert files["a.py"] == b"" and "deflate" in reasons(result)[0]


def test_a_damaged_member_is_emptied_and_refused(into: Path) -> None:
    content = random.Random(0).randbytes(100_000)
    data = bytearray(zipped({"a.py": content, "b.py": b"2"}))
    data[50_000] ^= 255
    files, result = undone(bytes(data), into)
    assert files == {"a.py": b"", "b.py": b"2"} and "damaged" in reasons(result)[0]


def test_a_full_disk_is_nobodys_fault_but_ours(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_copy", full)
    with pytest.raises(OSError, match="No space left"):
        undone(zipped({"a.py": b"1"}), into)


def test_a_great_many_of_one_name_take_no_great_time(into: Path) -> None:
    names = [f"a{i % 7}.py" for i in range(1_000)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = zipped([(name, str(i).encode()) for i, name in enumerate(names)])
    files, result = undone(data, into)
    assert len(files) == 7 and files["a1.py"] == b"995" and len(result.refused) == 993


SEEDS = {
    name: make({"a/b.py": b"1" * 300, "é.ipynb": b"2", "c.zip": zipped({"d.py": b"3"})})
    for name, make in FORMATS.items()
}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_no_damage_raises_or_writes_elsewhere(tmp_path: Path, name: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        into = Path(folder) / "into"
        into.mkdir()
        seed = bytearray(gzip.decompress(SEEDS[name]) if name.endswith("gz") else SEEDS[name])
        for _ in range(data.draw(st.integers(1, 4))):
            seed[data.draw(st.integers(0, len(seed) - 1))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.just(len(seed)) | st.integers(0, len(seed)))
        raw = bytes(seed[:cut])
        undone(gzip.compress(raw) if name.endswith("gz") else raw, into, name, largest=10_000)
