"""Upsample, where sizes stay the same or double, and volumes are no images."""

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


@pytest.mark.parametrize(("factor", "length"), [(1.1, 9), (2.3, 3), (2.3, 10), (0.7, 10)])
@pytest.mark.parametrize("axes", [1, 3])
def test_the_nearest_of_sequences_and_volumes_are_taken_by_the_factor_alone(
    axes: int, factor: float, length: int
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).normal(size=(2, 3, *[length] * axes)).astype(np.float32)
    model = cn.Model([cn.Upsample(scale_factor=factor)])
    y = model(x, training=True)
    np.testing.assert_array_equal(y, torch.nn.Upsample(scale_factor=factor)(torch.tensor(x)).numpy())
    # PyTorch's own gradient is that of a copy where the sizes are the same: what each number was taken for is added up.
    places = np.minimum((np.arange(y.shape[2]) / factor).astype(int), length - 1)
    expected = y
    for axis in range(2, y.ndim):
        expected = np.stack([expected.compress(places == place, axis).sum(axis) for place in range(length)], axis)
    np.testing.assert_allclose(model.backward(y), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(2))
def test_upsamplings_of_every_kind_are_those_of_torch(seed: int) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from tests.formats import resizings

    assert resizings.differences_from_torch(150, seed) == []
