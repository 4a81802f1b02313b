"""Tables kept between processes: read where they are whole and trusted, made again everywhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanomg import user_cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NANOMG_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_a_table_is_read_by_the_next_process(folder: Path) -> None:
    first = user_cache.ValueTable("numbers", lambda: "1")
    assert first.get("a", lambda: [1, 0.1]) == [1, 0.1]
    first.save()
    other = user_cache.ValueTable("numbers", lambda: "1")
    assert other.get("a", lambda: pytest.fail("made again")) == [1, 0.1]
    assert user_cache.ValueTable("numbers", lambda: "2").get("a", lambda: "new") == "new"


def test_two_processes_add_to_one_table(folder: Path) -> None:
    one, other = (user_cache.ValueTable("numbers", lambda: "1") for _ in range(2))
    one.get("a", lambda: 1)
    other.get("b", lambda: 2)
    one.save()
    other.save()
    last = user_cache.ValueTable("numbers", lambda: "1")
    assert [last.get(key, lambda: 0) for key in ("a", "b", "c")] == [1, 2, 0]


def test_a_full_table_keeps_what_was_used_last(folder: Path) -> None:
    old = user_cache.ValueTable("numbers", lambda: "1", most=3)
    for key in "abc":
        old.get(key, lambda: 1)
    old.save()
    new = user_cache.ValueTable("numbers", lambda: "1", most=3)
    new.get("a", lambda: 0)
    new.get("d", lambda: 2)
    new.save()
    last = user_cache.ValueTable("numbers", lambda: "1", most=3)
    assert [last.get(key, lambda: 0) for key in "abcd"] == [1, 0, 0, 2]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "1"}', b'{"version": "1", "values": 3}'])
def test_a_damaged_table_is_made_again(folder: Path, content: bytes) -> None:
    folder.mkdir(0o700)
    (folder / "numbers.table").write_bytes(content)
    table = user_cache.ValueTable("numbers", lambda: "1")
    assert table.get("a", lambda: 1) == 1
    table.save()
    assert user_cache.ValueTable("numbers", lambda: "1").get("a", lambda: 2) == 1


def test_a_table_of_a_folder_that_others_write_to_is_not_believed(folder: Path) -> None:
    user_cache.ValueTable("numbers", lambda: "1").save()
    folder.mkdir(0o700, exist_ok=True)
    (folder / "numbers.table").write_text('{"version": "1", "values": {"a": 5}}')
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match="others may write to it"):
        assert user_cache.ValueTable("numbers", lambda: "1").get("a", lambda: 1) == 1
