"""Tables kept between processes: read where they are whole and trusted, made again everywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nanomg import sealed, user_cache


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


def saved(folder: Path, value: int) -> Path:
    """A table in which `a` has a value."""
    table = user_cache.ValueTable("numbers", lambda: "1")
    table.get("a", lambda: value)
    table.save()
    return folder / "numbers.table"


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content.partition(b"\n")[2],
        lambda content: content.replace(b'{"a": 5}', b'{"a": 6}'),
        lambda content: content.replace(b'"version": "1"', b'"version": "2"'),
        lambda content: sealed.seal({"name": "numbers.table", "version": "1"}, b"3"),
        lambda content: sealed.seal({"name": "other.table", "version": "1"}, b'{"a": 5}'),
        lambda content: b"[" * 100_000,
    ],
)
def test_a_damaged_table_is_made_again(folder: Path, damage: Callable[[bytes], bytes]) -> None:
    path = saved(folder, 5)
    path.write_bytes(damage(path.read_bytes()))
    table = user_cache.ValueTable("numbers", lambda: "1")
    assert table.get("a", lambda: 1) == 1
    table.save()
    assert user_cache.ValueTable("numbers", lambda: "1").get("a", lambda: 2) == 1


def test_a_table_of_a_folder_that_others_write_to_is_not_believed(folder: Path) -> None:
    saved(folder, 5)
    folder.chmod(0o777)
    with pytest.warns(UserWarning, match=r"others may write to it; clear it \(nanomg cache --clear\)"):
        assert user_cache.ValueTable("numbers", lambda: "1").get("a", lambda: 1) == 1


def of_another(path: Path) -> None:
    """Give a file to another user, as root can."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    os.chown(path, 65534, -1)


def link_to_elsewhere(path: Path) -> None:
    path.rename(path.with_suffix(".other"))
    path.symlink_to(path.with_suffix(".other"))


def named_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "left",
    [
        of_another,
        lambda path: path.chmod(0o620),
        lambda path: path.chmod(0o602),
        lambda path: os.link(path, path.with_suffix(".second")),
        link_to_elsewhere,
        named_pipe,
    ],
    ids=["of another user", "the group writes", "others write", "two names", "a link", "a named pipe"],
)
def test_what_others_may_have_left_in_a_folder_is_not_believed(folder: Path, left: Callable[[Path], object]) -> None:
    path = saved(folder, 5)
    assert user_cache.read(folder, path.name) is not None
    left(path)
    assert folder.stat().st_mode & 0o777 == 0o700  # safe by now
    assert user_cache.read(folder, path.name) is None
    assert user_cache.ValueTable("numbers", lambda: "1").get("a", lambda: 1) == 1


def test_no_file_stands_for_another(folder: Path) -> None:
    path = saved(folder, 5)
    path.rename(folder / "letters.table")
    assert user_cache.read(folder, "letters.table") is None
