from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.errors import ArgumentError
from colonnade.layers.dense import Dense
from colonnade.layers.dropout import Dropout
from colonnade.model import Model
from tests.layers.passes import laid, passes

Array = np.ndarray[Any, Any]


def stream() -> np.random.Philox:
    """A stream that begins anew each time, as a model hands them out."""
    return np.random.Philox(7)


def drop(p: float, x: Array, **options: Any) -> tuple[Array, Array]:
    return passes(Dropout(p), x, stream=stream, **options)


@pytest.mark.parametrize("shape", [(40, 3, 5, 7), (40, 100), (40, 5, 21)], ids=str)
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p: float, shape: tuple[int, ...]) -> None:
    y, _ = drop(p, np.ones(shape))
    assert set(np.unique(y)) == {0.0, 1 / (1 - p)}
    deviation = np.sqrt(p / (1 - p) / y.size)
    assert abs(y.mean() - 1) < 5 * deviation


def test_every_place_of_an_image_is_drawn_by_itself() -> None:
    y, _ = drop(0.5, np.ones((200, 3, 5, 7)))
    kept = (y > 0).reshape(200, -1)
    assert (np.abs(kept.mean(axis=0) - 0.5) < 0.2).all()
    assert len({row.tobytes() for row in kept}) == 200
    agreement = np.corrcoef(kept.T) - np.eye(kept.shape[1])
    assert np.abs(agreement).max() < 0.4


def test_the_gradient_is_dropped_where_the_value_was() -> None:
    y, grad_x = drop(0.5, np.ones((4, 3, 5, 7)))
    np.testing.assert_array_equal(y, grad_x)


def test_a_batch_in_parts_drops_what_the_whole_batch_drops() -> None:
    x = np.random.default_rng(0).normal(size=(6, 3, 5, 7))
    whole, _ = drop(0.5, x)
    for start, stop in ((0, 1), (1, 4), (4, 6)):
        part, _ = drop(0.5, laid(x[start:stop]), start=start)
        np.testing.assert_array_equal(part, whole[start:stop])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_in_place_is_bit_for_bit_the_same(dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=(6, 3, 5, 7)).astype(dtype)
    for apart, shared in zip(drop(0.3, x), drop(0.3, x, in_place=True), strict=True):
        np.testing.assert_array_equal(apart, shared)


@pytest.mark.parametrize("in_place", [False, True])
def test_in_evaluation_nothing_is_dropped(in_place: bool) -> None:
    x = np.random.default_rng(0).normal(size=(6, 3, 5, 7))
    y, grad_x = passes(Dropout(0.9), x, x, training=False, in_place=in_place)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, x)


def test_the_extremes_drop_nothing_and_all() -> None:
    x = np.random.default_rng(0).normal(size=(6, 100))
    np.testing.assert_array_equal(drop(0.0, x)[0], x)
    np.testing.assert_array_equal(drop(1.0, x)[0], 0)


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_a_probability_out_of_range_gets_one_line(p: float) -> None:
    with pytest.raises(ArgumentError, match=f"Dropout: p must lie between 0 and 1, got {p}"):
        Dropout(p)


def test_a_dropout_of_nothing_makes_no_call() -> None:
    def calls(p: float) -> int:
        plan = Model([Dense(3, 3), Dropout(p), Dense(3, 3)]).plan((4, 3), training=True)
        return sum(call.step.name == "1" for segment in plan.segments for call in segment.calls)

    assert calls(0.1) > 0
    assert calls(0.0) == 0
