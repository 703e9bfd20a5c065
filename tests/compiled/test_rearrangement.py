"""Compiled rearrangements against NumPy's indexing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled.rearrangement import add_runs, copied, copy_runs, gather, inverse, runs_of, summed, turn

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

RNG = np.random.default_rng(0)
TABLES = {
    "as it is": np.arange(70),
    "backwards": np.arange(70)[::-1],
    "every second": np.arange(0, 70, 2),
    "a part": np.arange(20, 61),
    "two parts": np.r_[30:65, 3:20],
    "a border": np.r_[[-1] * 19, 0:70, [-1] * 3],
    "a border of one": np.r_[-1, 0:70],
    "borders between": np.pad(np.arange(70).reshape(7, 10), 2, constant_values=-1).reshape(-1),
    "anywhere": RNG.permutation(70),
    "anywhere, with zeros": np.where(RNG.random(70) < 0.3, -1, RNG.permutation(70)),
    "twice": np.repeat(np.arange(70).reshape(7, 10), 2, axis=0).reshape(-1),
    "each twice": np.repeat(np.arange(70), 2),
    "any number of times": RNG.integers(-1, 70, 133),
}


def expected(x: Array, source: Array) -> Array:
    return np.where(source < 0, 0, x[:, source])


@pytest.mark.parametrize("name", TABLES)
def test_numbers_come_from_where_the_table_says(name: str) -> None:
    source, x = TABLES[name], RNG.normal(size=(3, 70)).astype(np.float32)
    x[1, 5] = np.nan
    for copy, table in (copied(source), (copy_runs, runs_of(source))):
        y = np.full((3, source.size), np.nan, np.float32)
        copy(x, table, y)
        np.testing.assert_array_equal(y, expected(x, source))


@pytest.mark.parametrize("sizes", [(1, 16, 17), (1, 40, 33), (3, 18, 16), (2, 64, 100)], ids=str)
def test_matrices_are_transposed_without_a_table(sizes: tuple[int, int, int]) -> None:
    source = np.arange(np.prod(sizes)).reshape(sizes).swapaxes(1, 2).reshape(-1)
    x = RNG.normal(size=(3, source.size)).astype(np.float32)
    copy, table = copied(source)
    assert copy is turn
    assert [*table] == [*sizes[1:]]
    y = np.full_like(x, np.nan)
    copy(x, table, y)
    np.testing.assert_array_equal(y, x[:, source])
    swapped = source.copy()
    swapped[[-1, -2]] = swapped[[-2, -1]]
    assert copied(swapped)[0] is not turn


@pytest.mark.parametrize("sizes", [(15, 4), (-3, -20), (0, 60), (60,)])
def test_matrices_that_do_not_fill_an_image_are_refused(sizes: tuple[int, ...]) -> None:
    x = np.ones((1, 70), np.float32)
    with pytest.raises(ValueError, match=r"^turn: "):
        turn(x, np.array(sizes), x.copy())


@pytest.mark.parametrize("name", TABLES)
def test_what_leads_back_sums_what_came_from_a_place(name: str) -> None:
    source, grad_y = TABLES[name], RNG.normal(size=(3, TABLES[name].size)).astype(np.float32)
    exact = np.zeros((3, 70))
    for number, place in enumerate(source):
        if place >= 0:
            exact[:, place] += grad_y[:, number]
    grad_x = np.full((3, 70), np.nan, np.float32)
    add_runs(grad_y, runs_of(source), grad_x)
    np.testing.assert_allclose(grad_x, exact, rtol=1e-6, atol=1e-6)
    again = np.full((3, 70), np.nan, np.float32)
    add, table = summed(source)
    add(grad_y, table, again)
    np.testing.assert_array_equal(again, grad_x)
    back = inverse(source, 70)
    assert (back is None) is (name in ("twice", "each twice", "any number of times"))
    if back is not None:
        grad_x.fill(np.nan)
        copy, table = copied(back)
        copy(grad_y, table, grad_x)
        np.testing.assert_array_equal(grad_x, exact.astype(np.float32))


def test_runs_are_as_long_as_can_be() -> None:
    np.testing.assert_array_equal(runs_of(np.array([4, 5, 6, -1, -1, 0, 1, 1])),
                                  [[0, 4, 3], [3, -1, 2], [5, 0, 2], [7, 1, 1]])  # fmt: skip


def test_tables_that_lead_outside_are_refused() -> None:
    x, y = np.ones((2, 5), np.float32), np.ones((2, 4), np.float32)
    with pytest.raises(ValueError, match="gather: sources must lie in x"):
        gather(False)(x, np.array([0, 1, 5, 2], np.int32), y)
    with pytest.raises(ValueError, match="gather: sources must lie in x"):
        gather(False)(x, np.array([0, 1, -1, 2], np.int32), y)
    with pytest.raises(ValueError, match="gather: x and y must have as many images"):
        gather(True)(x, np.zeros(3, np.int32), y)
    for runs in ([[0, 2, 4]], [[1, 0, 4]], [[-1, 0, 2]], [[0, -2, 2]], [[0, 0, -1]]):
        for function, arrays in ((copy_runs, (x, y)), (add_runs, (y, x))):
            with pytest.raises(ValueError, match="runs must lie in x and in y"):
                function(arrays[0], np.array(runs), arrays[1])
    with pytest.raises(ValueError, match="copy_runs: x and y must have as many images"):
        copy_runs(x, np.array([[0, 0, 4]]), y[:1].copy())
