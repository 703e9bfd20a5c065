from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.errors import ShapeError
from colonnade.layers.shape import Flatten, Identity, Permute, Select
from tests.layers.passes import laid, passes

Array = np.ndarray[Any, Any]


def numbers(shape: tuple[int, ...]) -> Array:
    return laid(np.random.default_rng(0).normal(size=shape))


@pytest.mark.parametrize(
    ("dims", "shape", "flat"),
    [
        ((1, -1), (2, 3, 4, 5), (2, 60)),
        ((1, 2), (2, 3, 4, 5), (2, 12, 5)),
        ((2, -1), (2, 3, 4, 5), (2, 3, 20)),
        ((-2, -1), (2, 3, 4, 5), (2, 3, 20)),
        ((2, 2), (2, 3, 4, 5), (2, 3, 4, 5)),
        ((1, -1), (2, 1, 4, 5), (2, 20)),
        ((1, -1), (2, 6, 1, 1), (2, 6)),
        ((1, -1), (2, 7), (2, 7)),
        ((1, -1), (2, 3, 4), (2, 12)),
        ((1, 2), (2, 3, 4, 5, 2), (2, 12, 5, 2)),
    ],
    ids=str,
)
def test_flatten_joins_axes_in_the_papers_order(
    dims: tuple[int, int], shape: tuple[int, ...], flat: tuple[int, ...]
) -> None:
    x, grad_y = numbers(shape), numbers(flat)
    y, grad_x = passes(Flatten(*dims), x, grad_y)
    np.testing.assert_array_equal(y, x.reshape(flat))
    np.testing.assert_array_equal(grad_x, grad_y.reshape(shape))


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((3, 4, 5), False),
        ((3, 4, 1), False),
        ((1, 4, 5), True),
        ((6, 1, 1), True),
        ((7,), True),
        ((3, 4), True),
    ],
    ids=str,
)
def test_flatten_is_a_view_exactly_where_memory_is_in_order_already(shape: tuple[int, ...], view: bool) -> None:
    layer = Flatten()
    for direction in ("forward", "backward"):
        assert layer.only_copies(shape, direction) == view
    x = numbers((2, *shape))
    memory = x.transpose(0, 2, 3, 1).ravel() if x.ndim == 4 else x.ravel()
    assert np.array_equal(memory, x.reshape(-1)) == view


@pytest.mark.parametrize(("start_dim", "end_dim"), [(0, -1), (2, 1), (1, 4), (-4, -1), (4, 4)])
def test_axes_that_cannot_be_joined_get_one_line(start_dim: int, end_dim: int) -> None:
    message = f"Flatten: expected axes 1 to 3 of an input of shape .*, got start_dim={start_dim}, end_dim={end_dim}"
    with pytest.raises(ShapeError, match=message):
        Flatten(start_dim, end_dim).build((3, 4, 5), np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 7)], ids=str)
def test_identity_changes_nothing(shape: tuple[int, ...]) -> None:
    x, grad_y = numbers(shape), numbers(shape)[::-1]
    y, grad_x = passes(Identity(), x, grad_y)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, grad_y)
    assert Identity().views == {"forward", "backward"}


@pytest.mark.parametrize(
    ("dims", "shape"),
    [((0, 2, 1), (2, 3, 4)), ((0, 3, 1, 2), (2, 3, 4, 5)), ((0, -1, -2), (2, 3, 4)), ((0, 1), (2, 3))],
    ids=str,
)
def test_permute_is_numpys_transpose_and_its_gradient_the_way_back(
    dims: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    x = numbers(shape)
    grad_y = laid(np.random.default_rng(1).normal(size=x.transpose(dims).shape))
    y, grad_x = passes(Permute(dims), x, grad_y)
    np.testing.assert_array_equal(y, x.transpose(dims))
    np.testing.assert_array_equal(grad_x.transpose(dims), grad_y)


@pytest.mark.parametrize(
    ("dim", "index", "shape"), [(1, 0, (2, 3, 4)), (2, -1, (2, 3, 4)), (-1, 2, (2, 3, 4, 5))], ids=str
)
def test_select_takes_one_place_and_sends_the_gradient_there_alone(
    dim: int, index: int, shape: tuple[int, ...]
) -> None:
    x = numbers(shape)
    grad_y = laid(np.random.default_rng(1).normal(size=x.take(index, dim).shape))
    y, grad_x = passes(Select(dim, index), x, grad_y)
    np.testing.assert_array_equal(y, x.take(index, dim))
    np.testing.assert_array_equal(grad_x.take(index, dim), grad_y)
    assert np.count_nonzero(grad_x) == grad_y.size
