"""Compiled dropout against the layers, with the random stream that the executor gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.dropout import GROUP, draw_factors, dropout
from colonnade.layers import Dropout, Dropout2d
from tests.layers.passes import passes

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]


def stream() -> np.random.Philox:
    """A stream that begins anew each time, as a model hands them out."""
    return np.random.Philox(np.random.SeedSequence((7, 3, 2, 1)))


def key() -> Array:
    found: Array = stream().state["state"]["key"]
    return found


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.3, 1.0])
def test_dropout_is_the_layer_bit_for_bit(p: float) -> None:
    rng = np.random.default_rng(0)
    for size in (*range(1, 35), 100, 256):
        for start in (0, 5):
            x, grad_y = rng.normal(size=(2, 3, size)).astype(np.float32)
            x[0, 0] = np.nan
            expected = passes(Dropout(p), x, grad_y, start=start, stream=stream)
            for values, numpys in zip((x, grad_y), expected, strict=True):
                y = np.full_like(values, np.nan)
                dropout(values, key(), start, p, y)
                np.testing.assert_array_equal(y, numpys)
                dropout(values, key(), start, p, values)
                np.testing.assert_array_equal(values, numpys)


def test_the_factors_of_channels_are_those_of_dropout2d_bit_for_bit() -> None:
    for channels in (*range(1, 2 * GROUP + 2), 70):
        x = np.random.default_rng(0).normal(size=(3, channels, 2, 2)).astype(np.float32)
        expected, _ = passes(Dropout2d(0.4), x, start=2, stream=stream)
        factors = np.full((3, channels), np.nan, np.float32)
        draw_factors(key(), 2, 0.4, factors)
        np.testing.assert_array_equal(x * factors[:, :, None, None], expected)


def test_images_draw_the_same_wherever_the_batch_is_cut() -> None:
    x = np.ones((6, 21), np.float32)
    whole, parts = np.empty_like(x), np.empty_like(x)
    dropout(x, key(), 0, 0.5, whole)
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        dropout(x[start:stop], key(), start, 0.5, parts[start:stop])
    np.testing.assert_array_equal(parts, whole)
