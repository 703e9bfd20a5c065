"""Sums over the lanes of a batch."""

from __future__ import annotations

import numpy as np

from .layout import Array


def fold(parts: Array, start: int, total: Array) -> None:
    """total += Σ of the parts along a tree: neighbours are added in pairs, then pairs of pairs.

    Args:
        parts: (k, ...), of which the numbers from `start` on are summed, and used up.
        start: The first.
        total: (size,).
    """
    parts = parts[:, start : start + total.size]
    while len(parts) > 1:
        pairs = parts[: len(parts) // 2 * 2]
        np.add(pairs[::2], pairs[1::2], out=pairs[::2])
        parts = parts[::2]
    np.add(total, parts[0], out=total)
