"""Decoded images on disk: one file, memory-mapped, that is good for as long as the files it was made of stay the same.

A safetensors file of two arrays: `images` (n, h, w, c), bytes, and `broken` (n,), which of them could not be read.
The images come first, so that they begin where the header ends. What they were made of is in the header, as a hash.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..ops.layout import Array
from ..places import CACHE
from ..storage import replacing

VERSION = 2
LONGEST = 32  # signs of a folder's name, at most four bytes each: the file's name has to fit on the disk


def file_name(folder: Path, shape: tuple[int, int, int]) -> str:
    """The cache of the images of a folder, decoded to (h, w, c): one for each folder and shape."""
    folder = folder.resolve()
    of = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    return f"{folder.name[:LONGEST]}-{'x'.join(map(str, shape))}-{of}.safetensors"


def fingerprint(folder: Path, paths: Sequence[Path]) -> str:
    """A hash of all that the decoded images depend on: the files' names, sizes and times, and what reads them."""
    import PIL

    made_of = hashlib.sha256(json.dumps([VERSION, PIL.__version__]).encode())
    for path in paths:
        try:
            stat = path.stat()
            told: list[int | None] = [stat.st_size, stat.st_mtime_ns]
        except OSError as error:  # a link to nothing, in a circle, or to where nobody may look
            told = [error.errno]
        made_of.update(json.dumps([str(path).removeprefix(str(folder)), *told]).encode())
    return made_of.hexdigest()


def read(path: Path, made_of: str, images: int, shape: tuple[int, int, int]) -> tuple[Array, Array] | None:
    """The images (n, h, w, c), memory-mapped, and which are broken (n,); None where there is no such file.

    Nor is there if it was made of other files, or is not whole.
    """
    header = _header(made_of, images, shape)
    try:
        with path.open("rb") as file:
            if file.read(len(header)) != header:
                return None
        size = images * math.prod(shape)
        if path.stat().st_size != len(header) + size + images:
            return None
        mapped = np.memmap(path, np.uint8, "r", len(header), (size + images,))
    except OSError:
        return None
    return np.asarray(mapped[:size]).reshape(images, *shape), np.array(mapped[size:], np.bool_)


def write(path: Path, made_of: str, shape: tuple[int, int, int], images: int, decoded: Iterable[Array | None]) -> None:
    """Write images as they come, None for those that are broken: the file takes its place when it is whole.

    Raises:
        DataError: A disk that is full, or a folder that can't be written to; what was there before stays.
    """
    broken = np.zeros(images, np.bool_)
    nothing = np.zeros(shape, np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(_header(made_of, images, shape))
            for position, image in enumerate(decoded):
                broken[position] = image is None
                file.write(np.ascontiguousarray(nothing if image is None else image).data)
            file.write(broken.data)
    except OSError as error:
        raise DataError(
            f"{path}: the cache of decoded images can't be written ({error.strerror}); make room, "
            f"name another folder in {CACHE} or by cache=, or do without by cache=False."
        ) from error


def _header(made_of: str, images: int, shape: tuple[int, int, int]) -> bytes:
    """The beginning of the file, the same to the byte for the same content: to compare it is to check it."""
    size = images * math.prod(shape)
    described = {
        "__metadata__": {"format": "colonnade image cache", "made_of": made_of},
        "images": {"dtype": "U8", "shape": [images, *shape], "data_offsets": [0, size]},
        "broken": {"dtype": "BOOL", "shape": [images], "data_offsets": [size, size + images]},
    }
    text = json.dumps(described).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
