"""Files that belong to one process while it works on them, and to nobody as soon as it has ended, however it did.

The operating system keeps the lock, also between the machines that share a folder, and gives it back when a process is
killed: a claim is never stale.
"""

from __future__ import annotations

import errno
import os
import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from .errors import ArgumentError

MARK = ".colonnade.run"
_DESCRIBED = re.compile(r"process (\d+) on (\S+) since ([-\d]+ [:\d]+)")
# What a file system says that knows no locks.
_WITHOUT_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
# Beyond all content: where a region is locked, as on Windows, nobody else could read it.
_FAR = 1 << 30

_claimed: weakref.WeakSet[BinaryIO] = weakref.WeakSet()


def claim(file: BinaryIO) -> bool | None:
    """Claim an open file until it is closed: false where another has it, None where the file system knows no locks."""
    try:
        _lock(file.fileno())
    except OSError as error:
        return None if error.errno in _WITHOUT_LOCKS else False
    _claimed.add(file)
    return True


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_still(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is the one at `path`: its owner may have removed it before it was claimed here."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for one run.

    Raises:
        ArgumentError: Another run holds it; the message says which.
    """
    path, process = folder / MARK, os.getpid()
    while True:
        # Unbuffered, so that a forked child has nothing to write when it closes its own.
        with path.open("a+b", buffering=0) as mark:
            claimed = claim(mark)
            if claimed is False or (claimed is None and _may_live(mark)):
                raise ArgumentError(f"{folder}: another run holds this folder{_holder(mark, path, claimed)}.")
            if not is_still(mark, path):
                continue
            mark.truncate(0)
            mark.write(_description().encode())
            try:
                yield
            finally:
                if os.getpid() == process:
                    with suppress(OSError):  # a mark that is left holds nothing
                        path.unlink()
            return


def _description() -> str:
    import platform
    import time

    host = re.sub(r"\s", "_", platform.node()) or "this machine"
    return f"process {os.getpid()} on {host} since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def _read(mark: BinaryIO) -> re.Match[str] | None:
    mark.seek(0)
    return _DESCRIBED.fullmatch(mark.read(500).decode(errors="replace"))


def _holder(mark: BinaryIO, path: Path, claimed: bool | None) -> str:
    found = _read(mark)
    who = f": {found[0]}" if found else ""
    return who if claimed is False else f"{who}; if it is no longer running, remove {path}"


def _may_live(mark: BinaryIO) -> bool:
    """Whether the process that left its mark may still run, where no lock can tell."""
    import platform

    found = _read(mark)
    if found is None or found[2] != platform.node():
        return found is not None
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _leave_to_parent() -> None:
    """A forked child has its parent's files, and would keep their locks when the parent has ended.

    They are not closed, which would write what their buffers hold a second time.
    """
    claimed = [file for file in _claimed if not file.closed]
    if claimed:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for file in claimed:
            os.dup2(nowhere, file.fileno(), inheritable=False)
        os.close(nowhere)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
