"""Who handed in what: courses keep their submissions in many ways, and none of them stops the class."""

from __future__ import annotations

import os
import socket
import zipfile
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from autograder import collect, submissions
from autograder.collect import Entry, Found, find_submissions
from autograder.submissions import read_submission

WEEK = "week07_vae"


def write(path: Path, source: str = "x = 1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(source)]), path)
    return path


def notebook(source: str = "x = 1") -> str:
    return nbformat.writes(v4.new_notebook(cells=[v4.new_code_cell(source)]))


def archive(path: Path, **or_members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in or_members.items():
            file.writestr(name, content)
    return path


def students(*paths: Path, scratch: Path | None = None) -> list[str]:
    return [entry.student for entry in find_submissions(paths, WEEK, scratch).entries]


def sources(found: Found) -> dict[str, str]:
    """The first code cell of each student, or why there is none."""
    read = {e.student: read_submission(e.path, WEEK, e.student, e.problem) for e in found.entries}
    return {name: s.code[0].source if s.cells else s.problems[0] for name, s in read.items()}


@pytest.fixture
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch")


# Files and folders


def test_files_are_named_after_students_or_stand_in_folders_that_are(tmp_path: Path) -> None:
    paths = [
        tmp_path / "alice.ipynb",
        tmp_path / "bob" / f"{WEEK}.ipynb",
        tmp_path / "carol" / WEEK / f"{WEEK}.py",
    ]
    expected = [Entry(*pair) for pair in zip(["alice", "bob", "carol"], paths, strict=True)]
    assert find_submissions(paths, WEEK) == Found(expected)
    assert read_submission(paths[2], WEEK).id == "carol"
    assert read_submission(paths[2], WEEK, "dave").id == "dave"


def test_a_folder_of_files_holds_one_submission_per_file(tmp_path: Path) -> None:
    for name in ("bob.ipynb", "alice.ipynb", "carol.py", "notes.txt", ".hidden.ipynb"):
        (tmp_path / name).write_text("")
    assert students(tmp_path) == ["alice", "bob", "carol"]


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    write(tmp_path / "alice.ipynb")
    for i in range(7):
        (tmp_path / f"answers{i}.pdf").write_text("")
    (remark,) = find_submissions([tmp_path], WEEK).remarks
    assert "answers0.pdf" in remark and "and 2 more" in remark and "alice" not in remark


def test_the_submitted_tree_of_nbgrader_holds_one_submission_per_student(tmp_path: Path) -> None:
    write(tmp_path / "alice" / WEEK / f"{WEEK}.ipynb", "x = 1")
    write(tmp_path / "bob" / WEEK / "renamed.ipynb", "x = 2")
    write(tmp_path / "carol" / "week06_transformers" / "week06_transformers.ipynb", "x = 3")
    found = find_submissions([tmp_path], WEEK)
    assert found.entries == [Entry("alice", tmp_path / "alice" / WEEK), Entry("bob", tmp_path / "bob" / WEEK)]
    assert found.left_out == [] and "carol" in found.remarks[0]
    assert sources(found) == {"alice": "x = 1", "bob": "x = 2"}
    assert find_submissions([tmp_path / "alice"], WEEK).entries == found.entries[:1]
    assert find_submissions([tmp_path / "alice" / WEEK], WEEK).entries == found.entries[:1]


def test_a_folder_of_folders_holds_one_submission_per_folder_also_where_it_is_empty(tmp_path: Path) -> None:
    write(tmp_path / "alice" / "any.ipynb")
    (tmp_path / "bob").mkdir()
    (tmp_path / "carol").mkdir()
    (tmp_path / "carol" / "answers.pdf").write_text("")
    found = find_submissions([tmp_path], WEEK)
    assert [e.student for e in found.entries] == ["alice", "bob", "carol"]
    assert [len(read_submission(e.path, WEEK).problems) for e in found.entries] == [0, 1, 1]


def test_a_folder_that_holds_folders_only_is_not_left_out_silently(tmp_path: Path) -> None:
    write(tmp_path / "alice" / "final" / "any.ipynb")
    found = find_submissions([tmp_path], WEEK)
    assert found.entries == [] and "alice" in found.left_out[0]


def test_students_of_one_name_are_told_apart_and_it_is_said(tmp_path: Path) -> None:
    paths = [
        tmp_path / "a" / "alice.ipynb",
        tmp_path / "b" / "Alice.py",
        tmp_path / "alice" / f"{WEEK}.ipynb",
    ]
    found = find_submissions(paths, WEEK)
    assert [e.student for e in found.entries] == ["alice", "Alice-2", "alice-3"]
    assert len(found.remarks) == 2 and "Alice-2" in found.remarks[0] and "Alice.py" in found.remarks[0]


def test_a_name_that_is_changed_is_said(tmp_path: Path) -> None:
    found = find_submissions([tmp_path / "a\x1b[2Jb.ipynb"], WEEK)
    assert [e.student for e in found.entries] == ["a_[2Jb"]
    assert "a_[2Jb" in found.remarks[0]


@pytest.mark.parametrize(
    ("path", "student"),
    [
        (f"alice_{WEEK}.ipynb", "alice"),
        (f"{WEEK}-alice.ipynb", "alice"),
        (f"doejane_LATE_4321_987654_{WEEK}-1.ipynb", "doejane_LATE_4321_987654"),
        (f"Ada Lovelace_17_assignsubmission_file_{WEEK}.ipynb", "Ada Lovelace_17"),
        (f"Ada Lovelace_17_assignsubmission_file_/{WEEK}.ipynb", "Ada Lovelace_17"),
        ("Ada_17_assignsubmission_file_Bob_18_assignsubmission_file_x.ipynb", "Ada_17"),
        (f"{WEEK}-alice-main/{WEEK}.ipynb", "alice-main"),
        (f"{WEEK}-2.ipynb", f"{WEEK}-2"),
        ("week06-alice.ipynb", "week06-alice"),
    ],
)
def test_what_platforms_put_around_a_name_is_left_out(path: str, student: str) -> None:
    assert read_submission(Path("/nowhere") / path, WEEK).id == student


# What is no submission


def test_nothing_in_a_folder_stops_the_class(tmp_path: Path) -> None:
    folder = tmp_path / "class"
    write(folder / "alice.ipynb")
    write(folder / "zoe" / f"{WEEK}.ipynb")
    os.mkfifo(folder / "pipe.ipynb")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(folder)  # the names of sockets are short
        try:
            listener.bind("socket.py")
        finally:
            os.chdir(here)
    (folder / "dangling.ipynb").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "loop.py").symlink_to("loop.py")
    (folder / "dir.ipynb").mkdir()
    (folder / "deep").joinpath(*["d"] * 300).mkdir(parents=True)
    (folder / "self").mkdir()
    (folder / "self" / "again").symlink_to(folder)
    with (folder / "huge.ipynb").open("wb") as file:
        file.truncate(1 << 40)
    (folder / os.fsdecode(b"\xff\xfe.ipynb")).write_text(notebook())
    (folder / ("n" * 249 + ".ipynb")).write_text(notebook())
    (folder / "x\n\x1b[31m.ipynb").write_text(notebook())
    read = sources(find_submissions([folder], WEEK))
    assert read["alice"] == read["zoe"] == "x = 1"
    assert "not a regular file" in read["pipe"] and "not a regular file" in read["socket"]
    assert "symbolic link" in read["dangling"] and "symbolic link" in read["loop"]
    assert "larger than 20 MB" in read["huge"]
    assert read["__"] == read["n" * 120] == read["x__[31m"] == "x = 1"
    assert "no notebook" in read["dir"] and "no notebook" in read["self"]


def test_no_link_in_a_class_leads_to_another_ones_work(tmp_path: Path) -> None:
    write(tmp_path / "alice" / WEEK / f"{WEEK}.ipynb", "secret = 1")
    (tmp_path / "mallory").symlink_to("alice")
    (tmp_path / "trudy.ipynb").symlink_to(f"alice/{WEEK}/{WEEK}.ipynb")
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / WEEK).symlink_to(f"../alice/{WEEK}")
    read = sources(find_submissions([tmp_path], WEEK))
    assert read.pop("alice") == "secret = 1"
    assert set(read) == {"mallory", "trudy", "eve"}
    assert all("symbolic link" in problem for problem in read.values())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_can_not_be_read_is_reported(tmp_path: Path) -> None:
    write(tmp_path / "alice.ipynb")
    (tmp_path / "bob").mkdir(mode=0)
    read = sources(find_submissions([tmp_path], WEEK))
    assert read["alice"] == "x = 1" and "permission denied" in read["bob"]


def test_a_folder_that_breaks_while_it_is_read_is_reported(tmp_path: Path, monkeypatch) -> None:
    """As root, too, and for whatever reason a file system has."""
    write(tmp_path / "alice.ipynb")
    write(tmp_path / "bob" / "any.ipynb")
    scandir = os.scandir

    def broken(path: Path) -> object:
        if Path(path).name == "bob":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", broken)
    read = sources(find_submissions([tmp_path], WEEK))
    assert read["alice"] == "x = 1" and "permission denied" in read["bob"]
    assert "permission denied" in find_submissions([tmp_path / "bob"], WEEK).left_out[0]


def test_a_huge_folder_is_refused_and_its_neighbours_are_not(tmp_path: Path, monkeypatch) -> None:
    write(tmp_path / "alice.ipynb")
    for i in range(6):
        write(tmp_path / "bob" / f"{i}.txt")
    monkeypatch.setattr(submissions, "MAX_FILES", 5)
    read = sources(find_submissions([tmp_path], WEEK))
    assert read["alice"] == "x = 1" and "more than 5 files" in read["bob"]
    monkeypatch.setattr(collect, "MAX_ENTRIES", 5)
    assert "more than 5 entries" in find_submissions([tmp_path / "bob"], WEEK).left_out[0]
    assert "more than 5 entries" in sources(find_submissions([tmp_path], WEEK))["bob"]


def test_a_module_beside_the_notebook_does_nothing(tmp_path: Path) -> None:
    write(tmp_path / "alice" / "final.ipynb", "import torch")
    (tmp_path / "alice" / "torch.py").write_text("raise SystemExit")
    assert sources(find_submissions([tmp_path], WEEK)) == {"alice": "import torch"}


# Archives


@pytest.mark.parametrize(
    "names",
    [
        ["Ada_1_assignsubmission_file_/any.ipynb", "Bob_2_assignsubmission_file_/final.ipynb"],
        [f"Ada_1_assignsubmission_file_{WEEK}.ipynb", "Bob_2_assignsubmission_file_final.ipynb"],
        [f"Ada_1/{WEEK}/{WEEK}.ipynb", f"Bob_2/{WEEK}/{WEEK}.ipynb"],
        [f"submitted/Ada_1/{WEEK}/{WEEK}.ipynb", f"submitted/Bob_2/{WEEK}/renamed.ipynb"],
        [f"{WEEK}/Ada_1.ipynb", f"{WEEK}/Bob_2.py"],
        ["Ada_1/src/deep/er/final.ipynb", "Bob_2/final.ipynb"],
        [f"Ada_1/{WEEK}.ipynb", f"Ada_1/notes/{WEEK}.ipynb", "Bob_2/b.ipynb", "Bob_2/old/b.ipynb"],
    ],
)
def test_the_archive_of_a_class_is_as_platforms_pack_it(tmp_path: Path, scratch: Path, names) -> None:
    junk = ["__MACOSX/Ada_1/._any.ipynb", ".DS_Store", "Ada_1/.ipynb_checkpoints/any-checkpoint.ipynb"]
    members = {name: "x = 1" if name.endswith(".py") else notebook() for name in names}
    path = archive(tmp_path / "class.zip", **members, **dict.fromkeys(junk, "junk"))
    found = find_submissions([path], WEEK, scratch)
    assert sources(found) == {"Ada_1": "x = 1", "Bob_2": "x = 1"}
    assert found.left_out == found.remarks == []


def test_the_same_students_are_found_in_a_folder_and_in_its_archive(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "class"
    write(folder / "alice" / "any.ipynb", "a = 1")
    write(folder / "bob.ipynb", "b = 1")
    (folder / "carol").mkdir()
    (folder / "carol" / "answers.pdf").write_text("")
    (folder / "dave").mkdir()
    (folder / "eve.pdf").write_text("")
    packed = archive(tmp_path / "packed.zip")
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    plain, unpacked = find_submissions([folder], WEEK), find_submissions([packed], WEEK, scratch)
    assert sources(plain) == sources(unpacked)
    assert [len(f.remarks) for f in (plain, unpacked)] == [1, 1] and "eve.pdf" in unpacked.remarks[0]


def test_the_archive_of_one_student_is_named_after_them(tmp_path: Path, scratch: Path) -> None:
    named = archive(tmp_path / "alice.zip", **{f"{WEEK}.ipynb": notebook()})
    assert students(named, scratch=scratch) == ["alice"]
    other = archive(tmp_path / "bob.zip", **{"bob-main/src/final.ipynb": notebook()})
    assert students(named, other, scratch=scratch) == ["alice", "bob"]
    weekly = archive(tmp_path / "carol" / f"{WEEK}.zip", **{f"{WEEK}.ipynb": notebook()})
    assert students(weekly, scratch=scratch) == ["carol"]


def test_archives_of_students_in_a_folder_or_in_an_archive(tmp_path: Path, scratch: Path) -> None:
    folder = tmp_path / "class"
    archive(folder / "alice.zip", **{"final.ipynb": notebook("a = 1")})
    archive(folder / "bob" / "homework.zip", **{"homework/final.ipynb": notebook("b = 1")})
    archive(folder / "carol" / f"{WEEK}.zip", **{f"{WEEK}/{WEEK}.ipynb": notebook("c = 1")})
    write(folder / "dave" / "final.ipynb", "d = 1")
    archive(folder / "dave" / "data.zip", **{"other.ipynb": notebook("no")})
    expected = {"alice": "a = 1", "bob": "b = 1", "carol": "c = 1", "dave": "d = 1"}
    assert sources(find_submissions([folder], WEEK, scratch)) == expected
    packed = tmp_path / "class.zip"
    with zipfile.ZipFile(packed, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    assert sources(find_submissions([packed], WEEK, scratch)) == expected


def test_of_a_student_s_archive_no_more_is_kept_than_will_be_read(tmp_path: Path, scratch: Path) -> None:
    """Or else a class of large archives would fill the disk."""
    members = {f"old/{i}.ipynb": notebook() for i in range(5)} | {f"final/{WEEK}.ipynb": notebook("y = 2")}
    write(tmp_path / "class" / "bob.ipynb")
    archive(tmp_path / "class" / "alice.zip", **members)
    found = find_submissions([tmp_path / "class"], WEEK, scratch)
    assert sources(found) == {"alice": "y = 2", "bob": "x = 1"}
    assert [p.name for p in scratch.rglob("*") if p.is_file() and p.stat().st_size] == [f"{WEEK}.ipynb"]


def test_what_can_not_be_unpacked_is_its_students_problem_alone(tmp_path: Path, scratch: Path) -> None:
    path = archive(tmp_path / "class.zip")
    link = zipfile.ZipInfo(f"link/{WEEK}.ipynb")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"alice/{WEEK}.ipynb", notebook())
        file.writestr("broken.zip", b"PK\x03\x04 no archive")
        file.writestr("huge.ipynb", b"0" * 20_000_001)
        file.writestr(link, "../alice/week07_vae.ipynb")
        file.writestr("../../escaped.ipynb", notebook())
        file.writestr("zoe.ipynb", notebook())
    found = find_submissions([path], WEEK, scratch)
    read = sources(found)
    assert read["alice"] == read["zoe"] == "x = 1"
    assert "broken: it is damaged" in read["broken"]
    assert "huge.ipynb: it is larger than 20 MB" in read["huge"]
    assert f"{WEEK}.ipynb: it is a symbolic link" in read["link"]
    assert set(read) == {"alice", "broken", "huge", "link", "zoe"}
    assert len(found.left_out) == 4
    assert any("../../escaped.ipynb: its name leads out" in line for line in found.left_out)
    assert not list(tmp_path.rglob("escaped*")) and not list(scratch.rglob("escaped*"))


def test_students_whose_folders_differ_in_spelling_alone_stay_apart(tmp_path: Path, scratch: Path) -> None:
    names = ["Zo\u00eb", "Zoe\u0308", "ZO\u00cb", "a/../b"]
    members = {f"{name}/{WEEK}.ipynb": notebook(f"x = {i}") for i, name in enumerate(names)}
    found = find_submissions([archive(tmp_path / "class.zip", **members)], WEEK, scratch)
    assert sources(found) == {"Zoë": "x = 0", "Zoë-2": "x = 1", "ZOË-3": "x = 2"}
    assert len(found.left_out) == 1 and "a/../b" in found.left_out[0]
    assert len(found.remarks) == 2 and "Zoë-2" in found.remarks[0] and "ZOË-3" in found.remarks[1]


def test_an_archive_that_is_none_is_reported(tmp_path: Path, scratch: Path) -> None:
    write(tmp_path / "alice.ipynb")
    (tmp_path / "bob.zip").write_bytes(b"no archive")
    (tmp_path / "carol.tar.gz").write_bytes(b"\x1f\x8b\x08 cut off")
    os.mkfifo(tmp_path / "dave.zip")
    read = sources(find_submissions([tmp_path], WEEK, scratch))
    assert read["alice"] == "x = 1"
    assert "damaged" in read["bob"] and "carol" in read and "not a regular file" in read["dave"]
    assert "not unpacked here" in sources(find_submissions([tmp_path], WEEK))["bob"]
    assert students(tmp_path / "bob.zip", scratch=scratch) == ["bob"]


def test_nothing_is_written_outside_the_folder_for_it(tmp_path: Path, scratch: Path) -> None:
    path = archive(tmp_path / "class.zip", **{f"alice/{WEEK}.ipynb": notebook(), "bob/answers.pdf": "pdf"})
    before = sorted(tmp_path.rglob("*"))
    find_submissions([path], WEEK, scratch)
    assert sorted(tmp_path.rglob("*")) == before
    assert [p.name for p in scratch.rglob("*") if p.is_file()] == [f"{WEEK}.ipynb"]
