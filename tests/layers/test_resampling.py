"""Upsample, where sizes stay the same or double."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn


@pytest.mark.parametrize("arguments", [{"mode": "nearest"}, {"mode": "bilinear"}])
def test_a_size_that_stays_is_copied(arguments: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
    model = cn.Model([cn.Upsample(scale_factor=(1.1, 1.2), **arguments)])
    np.testing.assert_array_equal(model(x, training=True), x)
    np.testing.assert_array_equal(model.backward(x), x)


def test_the_nearest_of_twice_as_many_are_doubled() -> None:
    x = np.arange(8.0).reshape(1, 1, 2, 4)
    y = cn.Model([cn.Upsample(scale_factor=(1.0, 2.05))])(x)
    np.testing.assert_array_equal(y, np.repeat(x, 2, axis=3))


@pytest.mark.parametrize("seed", range(2))
def test_upsamplings_of_every_kind_are_those_of_torch(seed: int) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from tests.formats import resizings

    assert resizings.differences_from_torch(150, seed) == []
