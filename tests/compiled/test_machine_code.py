"""Files of machine code: read where they are whole and one's own, and written where that can be."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from colonnade.compiled import machine_code

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such bits")


def kept(*folders: Path, key: str = "key") -> bytes | None:
    return machine_code.read(iter(folders), "add", key)


def keep(*folders: Path, key: str = "key", content: bytes = b"code") -> None:
    machine_code.write(iter(folders), "add", key, content)


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_kept_is_found_under_its_key_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert kept(folder) is None
    keep(folder)
    keep(folder, key="other", content=b"other code")
    assert kept(folder) == b"code"
    assert kept(folder, key="other") == b"other code"
    keep(folder, content=b"made again")
    assert kept(folder) == b"made again"
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("length", [0, 1, 31, 32, 35])
def test_a_file_that_was_cut_short_is_not_taken(tmp_path: Path, length: int) -> None:
    keep(tmp_path)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert kept(tmp_path) is None


@pytest.mark.parametrize("place", [0, 31, 32, -1])
def test_a_file_with_another_byte_is_not_taken_and_written_anew(tmp_path: Path, place: int) -> None:
    keep(tmp_path)
    path = only_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert kept(tmp_path) is None
    keep(tmp_path)
    assert kept(tmp_path) == b"code"


def test_a_file_under_the_name_of_another_key_is_not_taken(tmp_path: Path) -> None:
    keep(tmp_path)
    first = only_file(tmp_path)
    keep(tmp_path, key="other")
    (second,) = set(tmp_path.iterdir()) - {first}
    first.replace(second)
    assert kept(tmp_path, key="other") is None


@POSIX
@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_a_file_that_others_can_write_to_is_not_read(tmp_path: Path, mode: int) -> None:
    keep(tmp_path)
    only_file(tmp_path).chmod(mode)
    assert kept(tmp_path) is None


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775, 0o757])
def test_a_folder_that_others_can_write_to_is_neither_read_nor_written(tmp_path: Path, mode: int) -> None:
    folder, next_best = tmp_path / "open", tmp_path / "own"
    keep(folder)
    folder.chmod(mode)
    assert kept(folder) is None
    keep(folder, next_best, content=b"elsewhere")
    assert kept(folder, next_best) == b"elsewhere"
    assert len(list(folder.iterdir())) == len(list(next_best.iterdir())) == 1


@POSIX
def test_what_belongs_to_another_user_is_not_read_but_for_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(tmp_path)
    owner = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert (kept(tmp_path) is None) is (owner != 0)
    real = os.stat_result

    def of_another(status: os.stat_result) -> os.stat_result:
        return real((status.st_mode, 0, 0, 1, owner + 2, *status[5:]))

    descriptor_status = os.fstat
    monkeypatch.setattr(os, "fstat", lambda descriptor: of_another(descriptor_status(descriptor)))
    assert kept(tmp_path) is None


@POSIX
def test_what_is_made_is_nobody_elses_to_write_to_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keep(tmp_path / "folder")
    finally:
        os.umask(before)
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755
    assert only_file(tmp_path / "folder").stat().st_mode & 0o777 == 0o644
    assert kept(tmp_path / "folder") == b"code"


def test_where_one_folder_cannot_be_made_the_next_is_taken(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    keep(tmp_path / "file" / "folder", tmp_path / "file", tmp_path / "own")
    assert kept(tmp_path / "file" / "folder", tmp_path / "file", tmp_path / "own") == b"code"


def test_where_none_takes_it_nothing_is_kept_and_nothing_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    keep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_named_folder_comes_first_then_the_package_then_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_CACHE", "users")

    def places(named: str) -> Iterator[Path]:
        return machine_code.folders(named)

    package = Path(machine_code.__file__).parent / "__pycache__" / "machine_code"
    assert list(places("")) == [package, Path("users", "machine_code")]
    assert list(places("named")) == [Path("named", "colonnade"), package, Path("users", "machine_code")]


def age(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_was_not_read_for_long_is_removed_when_other_code_is_written(tmp_path: Path) -> None:
    for key, seconds in {"new": 0.0, "old": machine_code.UNREAD - 60, "too old": machine_code.UNREAD + 60}.items():
        before = set(tmp_path.iterdir())
        keep(tmp_path, key=key)
        (path,) = set(tmp_path.iterdir()) - before
        age(path, seconds)
    keep(tmp_path)
    assert [kept(tmp_path, key=key) for key in ("new", "old", "too old", "key")] == [b"code", b"code", None, b"code"]


def test_what_is_read_now_and_then_stays(tmp_path: Path) -> None:
    keep(tmp_path)
    for _ in range(4):
        age(only_file(tmp_path), machine_code.UNREAD - 60)
        assert kept(tmp_path) == b"code"
        assert only_file(tmp_path).stat().st_mtime > time.time() - 60
    modified = time.time() - machine_code.NOTED / 2
    os.utime(only_file(tmp_path), (modified, modified))
    assert kept(tmp_path) == b"code"
    assert only_file(tmp_path).stat().st_mtime == pytest.approx(modified)  # noted once a day


def test_the_longest_unread_of_too_many_bytes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "BYTES", 10_000)
    for number in range(20):
        keep(tmp_path, key=str(number), content=bytes(1000))
        for path in tmp_path.iterdir():
            age(path, time.time() - path.stat().st_mtime + 10)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    found = [number for number in range(20) if kept(tmp_path, key=str(number))]
    assert found == list(range(11, 20))


def test_parts_that_nobody_finished_are_removed(tmp_path: Path) -> None:
    keep(tmp_path)
    part = only_file(tmp_path).with_name(f".{only_file(tmp_path).name}.0123456789abcdef")
    part.touch()
    keep(tmp_path)
    assert part.name in names(tmp_path)  # another process may be writing it
    age(part, machine_code.UNREAD + 60)
    keep(tmp_path)
    assert part.name not in names(tmp_path)


def test_whatever_else_lies_in_the_folder_or_elsewhere_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_code, "BYTES", 1)
    folder, elsewhere = tmp_path / "folder", tmp_path / "elsewhere.code"
    keep(folder)
    code = only_file(folder).name if names(folder) else "add-" + "0" * 24 + ".code"
    elsewhere.write_bytes(b"mine")
    others = ["notes", "add.code", f"x{code}.txt", ".hidden", "add-xyz.code"]
    for name in others:
        (folder / name).write_bytes(b"mine")
    (folder / ("link-" + "0" * 24 + ".code")).symlink_to(elsewhere)
    (folder / ("folder-" + "0" * 24 + ".code")).mkdir()
    for path in [*folder.iterdir(), elsewhere]:
        age(path, 2 * machine_code.UNREAD)
    keep(folder, key="other")
    assert names(folder) == {*others, "link-" + "0" * 24 + ".code", "folder-" + "0" * 24 + ".code"}
    assert elsewhere.read_bytes() == b"mine"


def test_files_that_other_processes_remove_meanwhile_are_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(tmp_path)
    age(only_file(tmp_path), machine_code.UNREAD + 60)
    unlink = Path.unlink

    def second(path: Path, missing_ok: bool = False) -> None:
        unlink(path)
        unlink(path)

    monkeypatch.setattr(Path, "unlink", second)
    keep(tmp_path, key="other")
    assert (kept(tmp_path), kept(tmp_path, key="other")) == (None, b"code")
