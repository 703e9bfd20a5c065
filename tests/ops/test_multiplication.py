"""Products in parts are the products, whatever the shapes, and whoever multiplies."""

from __future__ import annotations

import numpy as np
import pytest

from colonnade.ops import multiplication
from colonnade.ops.layout import ALIGNMENT, empty
from colonnade.ops.multiplication import SMALL, Parts, cost, multiply, operands, panels, parts

SHAPES = [
    (1820, 144, 16),
    (455, 576, 64),  # rows that leave a rest
    (449, 576, 128),  # a prime number of them
    (256, 2304, 256),  # too large a second operand
    (96, 1152, 256),
    (6272, 25, 6),
    (3, 9001, 70),
    (70000, 4, 8),
    (1, 1, 1),
    (5, 7, 3),
]


@pytest.fixture(params=[True, False], ids=["in place", "packed"])
def in_place(request, monkeypatch):
    """As with OpenBLAS's AVX-512 kernels, and as with any other library."""
    parts.cache_clear()
    monkeypatch.setattr(multiplication, "multiplies_in_place", lambda: request.param)
    yield request.param
    parts.cache_clear()


def whole_numbers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers whose products and sums float32 holds exactly: there is one right answer."""
    return rng.integers(-8, 9, shape).astype(np.float32)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("rows", "inner", "columns"), SHAPES)
def test_a_product_in_parts_is_the_product(in_place, rows, inner, columns, groups):
    rng = np.random.default_rng(rows)
    left, right = whole_numbers(rng, groups, rows, inner), whole_numbers(rng, groups, inner, columns)
    way = parts(rows, inner, columns)
    laid = np.ascontiguousarray(panels(right, way.columns))
    for second in (panels(right, way.columns), laid):
        out = np.full((groups, rows, columns), np.nan, np.float32)
        multiply(operands(left, second, out))
        np.testing.assert_array_equal(out, left @ right)


@pytest.mark.parametrize(("rows", "inner", "columns"), [(84, 896, 90), (16, 9600, 27), (32, 100_000, 9), (6, 13, 25)])
def test_partial_sums_add_up_to_the_product(in_place, rows, inner, columns):
    rng = np.random.default_rng(inner)
    left, right = whole_numbers(rng, 2, inner, rows), whole_numbers(rng, 2, inner, columns)
    way = parts(rows, inner, columns, summed=True)
    sums = np.full((inner // way.inner, 2, rows, columns), np.nan, np.float32)
    multiply(way.operands(left.transpose(0, 2, 1), panels(right, way.columns), sums))
    np.testing.assert_array_equal(sums.sum(axis=0), left.transpose(0, 2, 1) @ right)


@pytest.mark.parametrize("summed", [True, False])
def test_parts_divide_what_they_must_and_cost_no_more_than_the_whole(in_place, summed):
    for rows in (1, 7, 48, 100, 196, 449, 784, 8192):
        for inner in (9, 25, 144, 576, 1152, 3000):
            for columns in (1, 6, 16, 42, 64, 84, 256):
                way = parts(rows, inner, columns, summed=summed)
                assert columns % way.columns == 0
                assert inner % way.inner == 0
                assert way.inner == inner or summed
                assert 1 <= way.rows <= rows
                sides = (rows, inner, columns)
                assert cost(way, *sides) <= cost(Parts(*sides), *sides)
                if way != Parts(*sides):
                    assert in_place
                    assert way.rows * way.inner * way.columns <= SMALL


def test_where_all_is_packed_in_any_case_nothing_is_cut():
    multiplication.parts.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiplication, "multiplies_in_place", lambda: False)
        assert parts(4096, 144, 16) == Parts(4096, 144, 16)
    multiplication.parts.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiplication, "multiplies_in_place", lambda: True)
        assert parts(4096, 144, 16).rows < 4096
    multiplication.parts.cache_clear()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.bool_])
@pytest.mark.parametrize("shape", [0, 1, 1000, (0, 3), (3, 5, 7)])
def test_arrays_begin_at_a_cache_line(shape, dtype):
    for _ in range(5):
        array = empty(shape, dtype)
        assert array.shape == np.empty(shape).shape
        assert array.dtype == dtype
        assert array.size == 0 or array.ctypes.data % ALIGNMENT == 0
        assert array.flags.c_contiguous
        assert array.flags.writeable
