"""Metrics: how good a batch of outputs is, in numbers for people rather than for the optimizer."""

from __future__ import annotations

import numpy as np

from .ops.layout import Array


def are_labels(targets: Array, outputs: Array) -> bool:
    """Whether the targets are class numbers, one where `outputs` has a number for each class along its axis 1."""
    return targets.dtype.kind in "iu" and outputs.ndim >= 2 and targets.ndim == outputs.ndim - 1


def right(outputs: Array, labels: Array) -> Array:
    """Which labels are the class of the greatest output, the first of equals; booleans of the shape of `labels`.

    Shapes: outputs (n, classes, ...), labels (n, ...).
    """
    return np.asarray(outputs.argmax(axis=1) == labels)
