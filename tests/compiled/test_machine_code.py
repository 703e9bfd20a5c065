"""Files of machine code: read where they are whole and one's own, and written where that can be."""

from __future__ import annotations

import errno
import os
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
