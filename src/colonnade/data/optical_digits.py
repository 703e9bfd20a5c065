"""The digits that the package carries: the UCI optical digits, see digits.txt beside this file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..ops.layout import Array

FILE = Path(__file__).with_name("digits.npz")


def read() -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Images (n, 1, 8, 8) as bytes and labels (n,) as int64, of the training and of the test part.

    The scans count the dots of ink in 4×4 cells, 0 to 16; they are stretched to the 0 to 255 of other images.
    """
    with np.load(FILE, allow_pickle=False) as stored:
        train, test = (
            (_as_bytes(stored[f"{part}_images"]), stored[f"{part}_labels"].astype(np.int64))
            for part in ("train", "test")
        )
    return train, test


def _as_bytes(ink: Array) -> Array:
    return np.rint(ink[:, np.newaxis] * np.float32(255 / 16)).astype(np.uint8)
