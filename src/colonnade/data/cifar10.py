"""The binary batches of CIFAR-10: records of a label and 3·32·32 bytes, the red ones first (Krizhevsky 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from ..ops.layout import Array, channels_first

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32


def read(paths: Sequence[Path]) -> tuple[Array, Array]:
    """Images (n, 3, 32, 32) as bytes, channels-last in memory as a model wants them, and labels (n,) as int64.

    Raises:
        DataError: A file that is no whole number of records.
    """
    for path in paths:
        size = path.stat().st_size
        if size % RECORD:
            raise DataError(f"{path}: expected records of {RECORD:,} bytes, got {size:,} bytes; download it again.")
    records = np.concatenate([np.fromfile(path, np.uint8).reshape(-1, RECORD) for path in paths])
    images = records[:, 1:].reshape(-1, *IMAGE)
    return channels_first(np.ascontiguousarray(images.transpose(0, 2, 3, 1))), records[:, 0].astype(np.int64)
