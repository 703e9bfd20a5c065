"""What is stored: arrays by name and a little text, in one safetensors file. Nothing is ever unpickled.

A file is written beside its place and renamed over it: whoever reads finds the old file or the new one, whole, also
after a crash or on a full disk.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .documents import reason, refusing
from .errors import ArgumentError, FileFormatError, LimitError
from .limits import machine_memory
from .ops.layout import Array

StrPath = str | os.PathLike[str]


def write(path: StrPath, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays and text as one safetensors file, whole or not at all.

    Args:
        path: Replaced if it is there.
        tensors: Arrays of any layout, booleans or numbers.
        metadata: Text by name.

    Raises:
        ArgumentError: An array of a type that the format does not know, or a path that is no plain file.
        OSError: What the disk says.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save

    # The library copies memory as it lies, whatever the strides: a kernel, which is a view, would come out scrambled.
    # ascontiguousarray would do, but makes an array (1,) of a number ().
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    try:
        content = save(contiguous, dict(metadata))
    except SafetensorError as error:
        raise ArgumentError(f"{path}: the arrays can't be stored ({reason(error)}).") from error
    replace(path, content)


def read(path: StrPath) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays and the text in a safetensors file.

    The library checks the header against the size of the file before anything is allocated.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A folder, another kind of file, a truncated one, or types that NumPy does not know.
        LimitError: A file that is larger than the memory.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if not path.is_file():  # a named pipe would keep us waiting
        raise FileFormatError(f"{path}: expected a safetensors file, got {_kind(path)}.")
    if (size := path.stat().st_size) > machine_memory():
        raise LimitError(f"{path}: its {size:,} bytes are more than the {machine_memory():,} of memory there are.")
    # A hostile header comes out as an error of the library's own, or one of NumPy's at shapes or types it can't hold.
    with refusing(f"{path}: no safetensors file, or a truncated one"), safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        # Another package may have taught NumPy types of its own, of which nothing here knows.
        if foreign := [name for name, array in tensors.items() if array.dtype.kind not in "biuf"]:
            raise TypeError(f"{foreign[0]} holds {tensors[foreign[0]].dtype}")
        return tensors, file.metadata() or {}


def replace(path: StrPath, content: bytes) -> None:
    """Put `content` in the place of a file, whole or not at all; the file keeps its permissions.

    Raises:
        ArgumentError: A path that is there and no plain file: renaming over a device or a pipe would destroy it.
        OSError: What the disk says; nothing is left behind.
    """
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: StrPath) -> Iterator[BinaryIO]:
    """As `replace`, of a content that is written piece by piece: the file takes its place where the block ends well.

    Raises:
        ArgumentError: A path that is there and no plain file.
        OSError: What the disk says; nothing is left behind.
    """
    path = Path(os.path.realpath(path))  # a link stays one, and what it points to is replaced
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder.")
    if path.exists() and not path.is_file():
        raise ArgumentError(f"{path}: expected a file to write, got {_kind(path)}.")
    temporary = path.with_name(f".{path.name}.{_unused()}")
    try:
        with temporary.open("xb") as file:  # made anew, with the permissions that the user's mask grants
            yield file
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except BaseException as error:  # an interrupt included
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # a full disk does not say of which file
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


def remove_leftovers(path: StrPath) -> None:
    """Remove what processes that were killed while they replaced a file have left beside it."""
    path = Path(path)
    for temporary in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 8}"):
        temporary.unlink(missing_ok=True)


def check_writable(folder: StrPath) -> Path:
    """Make `folder` if it is not there, and write a file in it to see that one can; returns its path.

    Raises:
        ArgumentError: A folder that can't be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{_unused()}"
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise ArgumentError(f"{folder}: can't write to this output folder ({error.strerror}).") from error
    return folder


def _sync_folder(folder: Path) -> None:
    """Have the rename itself on the disk; Windows opens no folder and needs none of this."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unused() -> str:
    """The end of a file name that nobody has taken."""
    return os.urandom(4).hex()


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a device or a pipe"
