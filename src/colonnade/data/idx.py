"""The idx files of MNIST and its successors.

Four bytes (0, 0, the type of the numbers, how many dimensions), each dimension as a big-endian 32-bit number, then
the numbers themselves (LeCun, Cortes and Burges, "The MNIST database of handwritten digits").
"""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..documents import reason
from ..errors import DataError
from ..ops.layout import Array

UNSIGNED_BYTE = 0x08
READ_AT_ONCE = 1 << 20
# Deflate never makes more than 1,032 bytes of one: a header that claims more can be refused unread.
GREATEST_COMPRESSION = 1032


def read(path: Path, dimensions: int) -> Array:
    """The array of bytes in an idx file, gzipped or not.

    Memory grows with what the file turns out to hold, never with what its header claims.

    Args:
        path: The file; gzip is recognised by its first bytes, not by its name.
        dimensions: How many the array must have: 3 for images (n, h, w), 1 for labels (n,).

    Raises:
        DataError: Another kind of file, one that holds fewer or more numbers than it claims, or a broken gzip.
    """
    try:
        with path.open("rb") as file:
            stored = os.fstat(file.fileno()).st_size
            gzipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not gzipped:
                return _parse(path, file, dimensions, at_most=stored)
            import gzip  # most users read no idx file

            with gzip.open(file) as unzipped:
                return _parse(path, cast(BinaryIO, unzipped), dimensions, at_most=stored * GREATEST_COMPRESSION)
    except EOFError:
        raise DataError(f"{path}: the gzip file is truncated; copy or download it again.") from None
    except DataError:
        raise
    except Exception as error:  # what the disk says, and whatever gzip makes of a broken file
        raise DataError(f"{path}: can't be read ({reason(error)}); copy or download it again.") from error


def _parse(path: Path, file: BinaryIO, dimensions: int, at_most: int) -> Array:
    header = file.read(4 + 4 * dimensions)
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != magic:
        raise DataError(f"{path}: an idx file of {dimensions} dimensions begins with {magic!r}, got {header[:4]!r}.")
    if len(header) < 4 + 4 * dimensions:
        raise DataError(f"{path}: truncated within its header; copy or download it again.")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    claimed = math.prod(shape)
    if len(header) + claimed > at_most:
        raise DataError(f"{path}: claims shape {shape}, more than a file of its size can hold; download it again.")
    content = bytearray()
    # One more byte is asked for than is due, to notice if there is one.
    while chunk := file.read(min(READ_AT_ONCE, claimed + 1 - len(content))):
        content += chunk
    if len(content) != claimed:
        got = "more" if len(content) > claimed else f"{len(content):,}"
        raise DataError(f"{path}: expected {claimed:,} bytes of shape {shape}, got {got}; download it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)
