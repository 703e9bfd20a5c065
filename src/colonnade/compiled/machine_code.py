"""Files of machine code: where they lie, who may have written them, and whether they are whole.

What Numba makes of a function is kept pickled, and to unpickle what somebody else wrote is to do what he likes. So a
file is read only where it and its folder belong to this user or to root, and nobody else may write to either. What
was cut short or has changed on the disk does not fit its digest, and is made again.

Machine code of other versions, processors and sources lies beside it, since they may run in turns. Files that were not
read for long are removed as others are written, and so are the oldest of too many.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..places import cache_folder

FOLDER = "machine_code"
# In a folder, files are kept for so many seconds after they were last read, and so many bytes of them.
UNREAD = 60 * 24 * 60 * 60
BYTES = 1 << 27
# That a file is read is noted once in so many seconds.
NOTED = 24 * 60 * 60
# What `write` makes, and what is left of it where a process ended meanwhile.
_NAMED = re.compile(r"\w+-[0-9a-f]{24}\.code|\.\w+-[0-9a-f]{24}\.code\.[0-9a-f]{16}")


def folders(first: str = "") -> Iterator[Path]:
    """Where machine code may lie, the best place first: in a folder that is named, with the package, or with the user.

    Args:
        first: The folder that is named, if any.
    """
    if first:
        yield Path(first, "colonnade")
    yield Path(__file__).parent / "__pycache__" / FOLDER
    yield cache_folder() / FOLDER


def read(folders: Iterator[Path], name: str, key: str) -> bytes | None:
    """What was kept under a name for a key; None where there is nothing, or nothing that may be trusted."""
    for folder in folders:
        try:
            if not _is_ours(folder.stat()):
                continue
            with (folder / _file(name, key)).open("rb") as file:
                if not _is_ours(os.fstat(file.fileno())):
                    continue
                digest, content = file.read(hashlib.sha256().digest_size), file.read()
        except OSError:  # there is none, or not for us
            continue
        if digest == _digest(key, content):
            _note_reading(folder / _file(name, key))
            return content
    return None


def write(folders: Iterator[Path], name: str, key: str, content: bytes) -> None:
    """Keep bytes under a name for a key in the first folder that takes them; where none does they are not kept.

    What nobody has read for long is removed from that folder.
    """
    for folder in folders:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if _is_ours(folder.stat()):
                _replace(folder / _file(name, key), _digest(key, content) + content)
                _remove_unread(folder)
                return
        except OSError:  # it cannot be written to, or has no room
            continue


def _file(name: str, key: str) -> str:
    return f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.code"


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + content).digest()


def _is_ours(status: os.stat_result) -> bool:
    """Whether nobody but this user and root may write there. Taken for granted on Windows."""
    return os.name == "nt" or (status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022)


def _note_reading(path: Path) -> None:
    """Set a file's time to now: what is old was not read for long."""
    with suppress(OSError):  # the file is another user's, or was removed meanwhile
        if path.stat().st_mtime < time.time() - NOTED:
            os.utime(path)


def _remove_unread(folder: Path) -> None:
    """Remove files that were not read for `UNREAD` seconds, and the longest unread of more than `BYTES`.

    Several processes may do so at once: a process that reads a file has its content, and one that finds none makes it.
    """
    oldest, kept = time.time() - UNREAD, 0
    for read, size, path in sorted(_files(folder), reverse=True):
        kept += size
        if read < oldest or kept > BYTES:
            with suppress(OSError):  # another process was first, or it is not ours to remove
                path.unlink()


def _files(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Files of machine code in a folder, each with the time it was last read and its size; never anything else."""
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # removed by another process meanwhile
                if _NAMED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)


def _replace(path: Path, content: bytes) -> None:
    """Write a file that others see whole or not at all."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "wb") as file:
            file.write(content)
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
