"""Layers that move numbers, across every number of axes: three are an image, which lies in memory in another order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import colonnade as cn

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]
SHAPES: list[Shape] = [
    (12,),
    (1,),
    (4, 6),
    (1, 5),
    (4, 3, 2),
    (6, 1, 2),
    (1, 3, 4),
    (5, 1, 1),
    (2, 3, 4, 2),
    (2, 1, 3, 2, 2),
]


def reshapes(shape: Shape) -> Iterator[Shape]:
    """The shapes of as many numbers in one to five axes, some of each."""
    count = math.prod(shape)
    divisors = [each for each in range(1, count + 1) if count % each == 0]
    yield (count,)
    for first in divisors:
        yield (first, count // first)
        yield (first, 1, count // first)
        yield (1, first, 1, count // first)
        for second in [each for each in divisors if (count // first) % each == 0][:3]:
            yield (first, second, count // first // second)
            yield (second, 1, first, 1, count // first // second)


def moves(shape: Shape) -> Iterator[tuple[Any, Callable[[Array], Array]]]:
    """Layers that take the shape, each with what it is in NumPy."""
    axes = range(1, len(shape) + 1)
    for start in axes:
        for end in range(start, len(shape) + 1):
            joined = (*shape[: start - 1], math.prod(shape[start - 1 : end]), *shape[end:])
            yield cn.Flatten(start, end), lambda x, to=joined: x.reshape(len(x), *to)
            yield cn.Flatten(start - len(shape) - 1, end), lambda x, to=joined: x.reshape(len(x), *to)
    for axis in axes:
        size = shape[axis - 1]
        for first in [each for each in range(1, size + 1) if size % each == 0]:
            for sizes in ((first, size // first), (first, 1, size // first)):
                parted = (*shape[: axis - 1], *sizes, *shape[axis:])
                yield cn.Unflatten(axis, sizes), lambda x, to=parted: x.reshape(len(x), *to)
        if len(shape) > 1:
            yield cn.Select(axis, size - 1), lambda x, axis=axis: x.take(-1, axis)
        yield cn.IndexSelect(axis, (0, -1, 0)), lambda x, axis=axis: x.take([0, -1, 0], axis)
        yield cn.Slice(axis, None, None, -1), lambda x, axis=axis: np.flip(x, axis)
    for to in reshapes(shape):
        yield cn.Reshape(to), lambda x, to=to: x.reshape(len(x), *to)
    rng = np.random.default_rng(len(shape))
    for _ in range(3):
        dims = (0, *(int(axis) + 1 for axis in rng.permutation(len(shape))))
        yield cn.Permute(dims), lambda x, dims=dims: x.transpose(dims)
    yield cn.Tile([2] * len(shape)), lambda x: np.tile(x, (1, *[2] * (x.ndim - 1)))
    wide = tuple(3 if size == 1 else size for size in shape)
    yield cn.Expand(wide), lambda x, to=wide: np.broadcast_to(x, (len(x), *to))


def hold(layers: list[Any], shape: Shape, expected: Callable[[Array], Array], share: bool) -> None:
    """Whether a model puts every number where NumPy does, and sends every gradient back to where its number was."""
    x = np.random.default_rng(0).normal(size=(2, *shape))
    model = cn.Model(layers, dtype="float64", share_memory=share)
    places = expected(np.arange(x.size).reshape(x.shape))
    y = model(x, training=True)
    np.testing.assert_array_equal(y, x.ravel()[places], err_msg=f"{layers} of {shape}")
    grad_y = np.random.default_rng(1).integers(-9, 9, places.shape).astype(float)
    expected_grad = np.bincount(places.ravel(), grad_y.ravel(), x.size).reshape(x.shape)
    np.testing.assert_array_equal(model.backward(grad_y), expected_grad, err_msg=f"{layers} of {shape}, backward")
    np.testing.assert_array_equal(model(x), x.ravel()[places], err_msg=f"{layers} of {shape}, outside training")


# Hundreds of models each: one shape with images on both sides of the layer, and one that has none.
PLAIN: list[Shape] = [(4, 3, 2), (4, 6)]
each_shape = pytest.mark.parametrize(
    "shape", [pytest.param(each, marks=[] if each in PLAIN else [pytest.mark.thorough]) for each in SHAPES], ids=str
)


@each_shape
@pytest.mark.parametrize("share", [True, False], ids=["shared", "alone"])
def test_numbers_go_where_numpy_puts_them(shape: Shape, share: bool) -> None:
    for layer, expected in moves(shape):
        hold([layer], shape, expected, share)


@each_shape
def test_they_do_between_other_views_too(shape: Shape) -> None:
    flat = (math.prod(shape),)
    for layer, expected in moves(shape):
        made = expected(np.zeros((1, *shape))).shape[1:]
        around = [cn.Unflatten(1, shape), cn.Identity(), layer, cn.Reshape(made), cn.Flatten()]
        hold(around, flat, lambda x, expected=expected: expected(x.reshape(len(x), *shape)).reshape(len(x), -1), True)


def test_unflattening_and_joining_again_changes_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(2, 1, 6, 3, 2))
    for layers in ([cn.Unflatten(2, (2, 3)), cn.Flatten(2, 3)], [cn.Flatten(1, 2), cn.Unflatten(1, (1, 6))]):
        hold(layers, x.shape[1:], lambda x: x, True)
    hold([cn.Unflatten(1, (2, 3)), cn.Flatten(1, 2)], (6, 3, 2), lambda x: x, True)
