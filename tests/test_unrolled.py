"""A network keeps what it is for several sizes, and lets go of it where layers keep something of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ShapeError
from colonnade.limits import Limits


class Shift(cn.Layer):
    """y = x + the height that it was built for, of less than 20."""

    def build(self, shape: Any, rng: Any) -> Any:
        self.height = shape[1]
        if self.height >= 20:
            raise ShapeError("Shift: too high.")
        return shape

    def forward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
        np.add(x.value, self.height, out=y.value)

    def backward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
        np.copyto(x.grad, y.grad)


def batch(height: int, width: int = 5) -> Any:
    return np.random.default_rng(height).normal(size=(2, 3, height, width)).astype(np.float32)


def test_the_steps_of_a_size_are_there_again_when_it_comes_back() -> None:
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.Residual([cn.ReLU()]), cn.AdaptiveAvgPool2d(1)], seed=0)
    first = model(batch(6))
    steps, parameters = model.steps, model.parameters()
    model(batch(9))
    assert model.steps is not steps
    assert model.output_shape == (4, 1, 1)
    np.testing.assert_array_equal(model(batch(6)), first)
    assert model.steps is steps
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))


def test_a_layer_that_keeps_something_of_its_inputs_shape_is_right_at_each() -> None:
    model = cn.Model([Shift()])
    for height in (6, 9, 6, 6, 9):
        np.testing.assert_array_equal(model(batch(height)), batch(height) + height)
        with pytest.raises(ShapeError, match="too high"):
            model(batch(20))
        assert model.input_shape == (3, height, 5)
        np.testing.assert_array_equal(model(batch(height)), batch(height) + height)


def test_products_of_tensors_are_right_at_each_size() -> None:
    graph = cn.Graph({"turned": (cn.Permute((0, 1, 3, 2)), "input"), "y": (cn.MatMul(), "input", "turned")})
    model = cn.Model(graph)
    for height, width in ((4, 5), (7, 3), (4, 5), (7, 30), (7, 3)):
        x = batch(height, width)
        y = model(x, training=True)
        np.testing.assert_allclose(y, x @ x.transpose(0, 1, 3, 2), rtol=1e-4, atol=1e-5)
        grad = model.backward(np.ones_like(y))
        np.testing.assert_allclose(grad, 2 * np.ones_like(y) @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("memory", "kept"), [(1e3, 1), (2 * 8 * 2 * 4 * 112, 2), (1e12, 8)])
def test_fewer_plans_wait_where_their_kernels_would_take_much_of_the_memory(memory: float, kept: int) -> None:
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.AdaptiveAvgPool2d(1)], seed=0)  # 112 parameters
    outputs = [model(batch(height)) for height in (6, 9)]
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.AdaptiveAvgPool2d(1)], seed=0)
    model.limits = Limits(memory, 1e12)
    assert model._plans_kept() == kept
    if memory > 1e5:
        for _ in range(2):
            for height, expected in zip((6, 9), outputs, strict=True):
                np.testing.assert_array_equal(model(batch(height)), expected)
