"""What is stored: arrays by name and a little text, in one safetensors file. Nothing is ever unpickled.

A file is written beside its place and renamed over it: whoever reads finds the old file or the new one, whole, also
after a crash or on a full disk.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .claims import claim, is_still
from .documents import parse_json, read_bytes, reason, refusing
from .errors import ArgumentError, FileFormatError, LimitError
from .limits import machine_memory
from .ops.layout import Array

StrPath = str | os.PathLike[str]
# How the files begin that take the place of others when they are whole.
TEMPORARY = ".colonnade-"
# The end of the name of an index of several files, and what the name of one of these may be.
INDEX = ".safetensors.index.json"
PLAIN_NAME = re.compile(r"[\w-][\w.-]{0,200}\.safetensors", re.ASCII)
# Types of numbers that are read, as the format calls them.
KINDS = {"BOOL", "BF16", "F16", "F32", "F64", *(f"{sign}{bits}" for sign in "IU" for bits in (8, 16, 32, 64))}


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
    """The arrays and the text in a safetensors file, or in the files that an index names, with the text of all.

    The library checks the header against the size of the file before anything is allocated. Arrays of bfloat16, which
    NumPy has not, come as float32, without loss.

    Args:
        path: The file; or an index of several, `model.safetensors.index.json` as Hugging Face writes it, beside them.

    Raises:
        FileNotFoundError: No such file.
        FileFormatError: A folder, another kind of file, a truncated one, or other types that NumPy does not know. Of an
            index also one that names what is no file beside it, or an array that its file lacks.
        LimitError: Files that are larger than the memory.
    """
    tensors: dict[str, Array] = {}
    metadata: dict[str, str] = {}
    for part, names in _parts(Path(path)).items():
        with _opened(part) as file:
            for name in _held(part, file, names):
                kind = file.get_slice(name).get_dtype()
                if kind not in KINDS:
                    raise FileFormatError(f"{part}: {name} holds numbers of the type {kind}, which NumPy has not.")
                tensors[name] = _bfloat16(part, name) if kind == "BF16" else file.get_tensor(name)
            metadata |= file.metadata() or {}
    return tensors, metadata


def shapes(path: StrPath) -> dict[str, tuple[int, ...]]:
    """The shapes of the arrays that `read` reads, none of which is read; raises what it raises, but for their types."""
    found: dict[str, tuple[int, ...]] = {}
    for part, names in _parts(Path(path)).items():
        with _opened(part) as file:
            found |= {name: tuple(file.get_slice(name).get_shape()) for name in _held(part, file, names)}
    return found


def is_index(path: StrPath) -> bool:
    """Whether a name is that of an index of several safetensors files."""
    return os.fspath(path).lower().endswith(INDEX)


def indexed(path: Path) -> dict[str, list[str]]:
    """The names of the files that an index names, all of which lie beside it, and the arrays that each holds.

    Raises:
        FileNotFoundError: No such index.
        FileFormatError: No index, or one with a name that leads elsewhere.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    found: dict[str, list[str]] = {}
    with refusing(f"{path}: no index of safetensors files", ours=True):
        for name, file in parse_json(read_bytes(path))["weight_map"].items():
            if not isinstance(file, str) or not PLAIN_NAME.fullmatch(file):
                raise ValueError(
                    f"expected names of files beside it, such as model-00001-of-00002.safetensors, {file!r}"
                )
            found.setdefault(file, []).append(name)
        if not found:
            raise ValueError("it names none")
    return found


def _parts(path: Path) -> dict[Path, list[str] | None]:
    """The files to read, and the arrays to take of each; None for all."""
    if not is_index(path):
        return {path: None}
    parts: dict[Path, list[str] | None] = {path.parent / file: names for file, names in indexed(path).items()}
    if missing := [part.name for part in parts if not part.exists()]:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise FileFormatError(f"{path}: it names {missing[0]}{more}, expected beside it, where there is no such file.")
    _require_memory(path, sum(part.stat().st_size for part in parts))
    return parts


def _held(part: Path, file: Any, names: list[str] | None) -> list[str]:
    """The arrays to take of a file; raises FileFormatError where it lacks one."""
    held = list(file.keys())
    if names is None:
        return held
    if lacking := set(names) - set(held):
        raise FileFormatError(f"{part}: it lacks {min(lacking)}, which the index says it holds.")
    return names


def _bfloat16(path: Path, name: str) -> Array:
    """An array of a file whose header the library has checked, its numbers the upper halves of float32's."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        told = parse_json(file.read(length))[name]
        start, stop = told["data_offsets"]
        file.seek(8 + length + start)
        upper = np.frombuffer(file.read(stop - start), "<u2")
    return (upper.astype(np.uint32) << 16).view(np.float32).reshape(told["shape"])


@contextmanager
def _opened(path: StrPath) -> Iterator[Any]:
    """A safetensors file of a size that the memory holds; what is wrong with it is a FileFormatError."""
    from safetensors import safe_open

    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if not path.is_file():  # a named pipe would keep us waiting
        raise FileFormatError(f"{path}: expected a safetensors file, got {_kind(path)}.")
    _require_memory(path, path.stat().st_size)
    # A hostile header comes out as an error of the library's own, or one of NumPy's at shapes or types it can't hold.
    with refusing(f"{path}: no safetensors file, or a truncated one"), safe_open(path, framework="numpy") as file:
        yield file


def _require_memory(path: Path, size: int) -> None:
    if size > machine_memory():
        raise LimitError(f"{path}: its {size:,} bytes are more than the {machine_memory():,} of memory there are.")


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
    path = _replaceable(path)
    try:
        with _temporary(path.parent) as (file, temporary):
            yield file
            file.flush()
            os.fsync(file.fileno())
            if path.exists():
                temporary.chmod(stat.S_IMODE(path.stat().st_mode))
            if os.name != "posix":  # Windows renames no file that is open
                file.close()
            temporary.replace(path)
    except OSError as error:
        if error.filename is None:  # a full disk does not say of which file
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


@contextmanager
def reserved(path: StrPath, size: int = 0) -> Iterator[None]:
    """See, before it matters, that a file of so many bytes can be put in a place; they are set aside in the block.

    Raises:
        ArgumentError: A place that can't be written to, or not so much room.
    """
    try:
        target = _replaceable(path)
        with _temporary(target.parent) as (file, _):
            if size:
                _set_aside(file, target.parent, size)
            yield
    except OSError as error:
        what = f"{size:,} bytes to this file" if size else "this file"
        reason = str(error.strerror or error).rstrip(".")
        raise ArgumentError(f"{path}: can't write {what} ({reason}).") from error


def _set_aside(file: BinaryIO, folder: Path, size: int) -> None:
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except (
        AttributeError,
        OSError,
    ) as error:  # there is no such function everywhere, nor does each file system know it
        if isinstance(error, OSError) and error.errno not in {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}:
            raise
        import shutil

        if shutil.disk_usage(folder).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None


def _replaceable(path: StrPath) -> Path:
    """The file that is to be replaced: a link stays one, and what it points to is it."""
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder.")
    if path.exists():
        if not path.is_file():
            raise ArgumentError(f"{path}: expected a file to write, got {_kind(path)}.")
        if not os.access(path, os.W_OK):  # a rename would not ask
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


@contextmanager
def _temporary(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A file of a name that always fits, gone after the block unless it was renamed; claimed while its owner lives."""
    process = os.getpid()
    while True:
        path = folder / f"{TEMPORARY}{os.urandom(8).hex()}"
        try:
            with path.open("xb") as file:  # made anew, with the permissions that the user's mask grants
                claim(file)
                if not is_still(file, path):  # taken for a leftover just before it was claimed
                    continue
                yield file, path
                return
        finally:
            if os.getpid() == process:
                path.unlink(missing_ok=True)


def remove_leftovers(folder: StrPath) -> None:
    """Remove what processes that were killed while they replaced a file have left in a folder."""
    for path in Path(folder).glob(f"{TEMPORARY}{'[0-9a-f]' * 16}"):
        with suppress(OSError), path.open("r+b") as file:
            if claim(file):
                path.unlink()


def check_writable(folder: StrPath) -> Path:
    """Make `folder` if it is not there, and write a file in it to see that one can; returns its path.

    Raises:
        ArgumentError: A folder that can't be made or written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _temporary(folder):
            pass
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


def _kind(path: Path) -> str:
    return "a folder" if path.is_dir() else "a device or a pipe"
