"""What is kept is whole, under its key, or made again."""

from autograder import store


def test_a_value_is_found_under_its_key_alone(tmp_path):
    path = tmp_path / "week" / "exercise" / "check"
    store.keep(path, "a", [1, 2.5])
    assert store.load(path, "a") == [1, 2.5]
    assert store.load(path, "b") is None
    path.write_bytes(path.read_bytes()[:-3])
    assert store.load(path, "a") is None


def test_a_folder_that_cannot_be_written_costs_time_and_is_said_once(tmp_path, caplog):
    (tmp_path / "week").write_text("a file where a folder is needed")
    for name in ("one", "two"):
        path = tmp_path / "week" / "exercise" / name
        store.keep(path, "a", 1)
        assert store.load(path, "a") is None
    (record,) = caplog.records
    assert str(tmp_path / "week") in record.getMessage() and "writable" in record.getMessage()
