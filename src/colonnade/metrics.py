"""Metrics: how good a batch of outputs is, in numbers for people rather than for the optimizer."""

from __future__ import annotations

import numpy as np

from .ops.layout import Array


def are_labels(targets: Array, outputs: Array) -> bool:
    """Whether the targets are class numbers, one where `outputs` has a number for each class along its axis 1."""
    return targets.dtype.kind in "iu" and outputs.ndim >= 2 and targets.ndim == outputs.ndim - 1


def correct(outputs: Array, labels: Array) -> int:
    """How many labels are the class of the greatest output; the first of equals.

    Shapes: outputs (n, classes, ...), labels (n, ...).
    """
    return int(np.count_nonzero(outputs.argmax(axis=1) == labels))
