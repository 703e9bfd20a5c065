"""Arrays from what a file says of them: never more memory than there are bytes, and no path out of the folder."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from ...errors import FileFormatError
from ...ops.layout import Array

# Bits of a number, where that is not what NumPy says.
BITS = {
    **dict.fromkeys(("UINT4", "INT4", "FLOAT4E2M1"), 4),
    **dict.fromkeys(("UINT2", "INT2"), 2),
}
# Types of which every number is a float32 too: that is what they become.
NARROW = ("float16", "bfloat16")
REFUSED = ("UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128")


class Folder(NamedTuple):
    """Where data may lie that is not in the file itself.

    Attributes:
        path: Of the file's own folder.
        links: Whether what lies there may be a link to elsewhere, as in the cache of a download.
    """

    path: Path
    links: bool = False


def widened(array: Array) -> Array:
    """An array of 16-bit floating point numbers as float32; any other as it is."""
    return array.astype(np.float32) if array.dtype.name in NARROW else array


def to_array(tensor: TensorProto, owner: str, folder: Folder | None) -> Array:
    """The array that a tensor of the file holds; float32 where that has 16 bits a number.

    Args:
        tensor: As it stands in the file.
        owner: What to call it in errors.
        folder: Where data may lie that is not in the file itself; None for nowhere.

    Raises:
        FileFormatError: Text or complex numbers, negative sizes, another number of bytes than the shape asks for, or
            data outside the folder.
    """
    kind = kind_of(tensor.data_type, owner)
    shape = tuple(tensor.dims)
    if any(size < 0 for size in shape):
        raise FileFormatError(f"{owner}: sizes must not be negative, got {shape}.")
    bits = BITS.get(kind) or 8 * onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    count = math.prod(shape)
    expected = -(-count * bits // 8)
    if tensor.data_location == TensorProto.EXTERNAL:
        held = TensorProto(dims=shape, data_type=tensor.data_type)
        held.raw_data = _outside(tensor, owner, folder, expected)
        return widened(numpy_helper.to_array(held))
    if tensor.HasField("raw_data"):
        there, wanted, unit = len(tensor.raw_data), expected, "bytes"
    else:
        field = onnx.helper.tensor_dtype_to_field(tensor.data_type)  # the one of several that counts for this type
        there, unit = len(getattr(tensor, field)), "numbers"
        wanted = -(-count * bits // 8) if kind in BITS else count
    if there != wanted:
        raise FileFormatError(f"{owner}: a shape of {shape} takes {wanted} {unit}, the file holds {there}.")
    return widened(numpy_helper.to_array(tensor))


def kind_of(data_type: int, owner: str) -> str:
    """The name of a type of numbers; raises FileFormatError for what is none."""
    if data_type not in TensorProto.DataType.values():
        raise FileFormatError(f"{owner}: numbers of an unknown type, {data_type}.")
    kind: str = TensorProto.DataType.Name(data_type)
    if kind in REFUSED:
        raise FileFormatError(f"{owner}: expected numbers, got a tensor of {kind}.")
    return kind


def _outside(tensor: TensorProto, owner: str, folder: Folder | None, expected: int) -> bytes:
    """Bytes from another file of the same folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise FileFormatError(f"{owner}: its data lies in another file, {location!r}, and the model was given without.")
    path = _inside(location, owner, folder)
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or expected)
    except ValueError:
        raise FileFormatError(f"{owner}: expected whole numbers for offset and length, got {entries}.") from None
    # Unasked no link is followed: between the check and the reading one might be put there.
    unlinked = 0 if folder.links else getattr(os, "O_NOFOLLOW", 0)
    try:
        descriptor = os.open(path, os.O_RDONLY | unlinked | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise FileFormatError(f"{owner}: its data should lie in {path}: {error.strerror}.") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileFormatError(f"{owner}: {path} is no plain file.")
    with os.fdopen(descriptor, "rb") as file:
        if length != expected or offset < 0 or offset + length > status.st_size:
            raise FileFormatError(
                f"{owner}: expected {expected} bytes, the file names {length} at {offset} of {path}, which has "
                f"{status.st_size}."
            )
        file.seek(offset)
        return file.read(length)


def _inside(location: str, owner: str, folder: Folder) -> Path:
    """The path of a file in the folder, or in one below; raises for any other, and for a link unasked."""
    windows, posix = PureWindowsPath(location), PurePosixPath(location)
    outside = windows.is_absolute() or windows.drive or windows.root or posix.is_absolute() or ".." in windows.parts
    if not location or "\0" in location or outside:
        raise FileFormatError(f"{owner}: its data must lie in the model's own folder, the file names {location!r}.")
    path = folder.path
    for part in posix.parts:
        path = path / part
        if path.is_symlink() and not folder.links:
            raise FileFormatError(
                f"{owner}: its data must lie in the model's own folder, {path} is a link: allow_links=True follows it."
            )
    return path
