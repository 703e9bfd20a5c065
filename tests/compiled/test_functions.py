"""The functions of tiles against closed forms in float64, over all of float32's range."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit

from colonnade.compiled import functions
from colonnade.compiled.elementwise import exponent, mantissa, power_of_two, where_first
from colonnade.compiled.reductions import column_sums, row_maxima, row_sums
from colonnade.compiled.tiles import load, store, store_first

pytestmark = pytest.mark.thorough

Array = np.ndarray[Any, Any]

# As float32 has its numbers: sparse and dense, of both signs, denormal too.
RANGE = np.concatenate(
    [np.geomspace(1e-45, 3.4e38, 40_000), np.linspace(0, 110, 40_001), np.geomspace(1e-8, 12, 40_000)]
)
X = np.concatenate([RANGE, -RANGE]).astype(np.float32)
X = X[: X.size // 16 * 16]
SMALLEST_NORMAL = 1.1754944e-38


def of_tiles(function: Any) -> Callable[[Array], Array]:
    """The function of a tile as one of an array whose size is a multiple of 16."""

    @njit
    def run(x, y):  # type: ignore[no-untyped-def]
        for i in range(0, x.size, 16):
            store(function(load(1, 1, x, i, 0)), y, i, 0)

    def apply(x: Array) -> Array:
        y = np.full_like(x, np.nan)
        run(x, y)
        return y

    return apply


def sigmoid(x: Array) -> Array:
    power = np.exp(-x)
    return 1 / (1 + np.where(power > np.finfo(np.float32).max, np.inf, power))  # where float32 overflows it is 0


# Each with its closed form and how far it may be off, relative to each number.
FUNCTIONS: dict[str, tuple[Any, float]] = {
    "exp": (np.exp, 2e-7),
    "expm1": (np.expm1, 2e-7),
    "log": (np.log, 3e-7),
    "tanh": (np.tanh, 3e-7),
    "sigmoid": (sigmoid, 3e-7),
    "erf": (np.vectorize(math.erf, otypes=[float]), 3e-7),
    "softplus": (lambda x: np.logaddexp(0, x), 4e-7),
}


@pytest.fixture(scope="module", params=FUNCTIONS)
def function(request: pytest.FixtureRequest) -> tuple[Any, Any, float]:
    return of_tiles(getattr(functions, request.param)), *FUNCTIONS[request.param]


@pytest.mark.filterwarnings("ignore:.* encountered in")
def test_a_function_is_right_to_the_last_digits_everywhere(function: tuple[Any, Any, float]) -> None:
    compiled, exact, tolerance = function
    x = X[X <= 88] if exact is np.expm1 else X
    x = x[: x.size // 16 * 16]
    y, expected = compiled(x), exact(x.astype(float))
    with np.errstate(over="ignore"):
        expected = expected.astype(np.float32).astype(float)
    np.testing.assert_array_equal(y[~np.isfinite(expected)], expected[~np.isfinite(expected)])
    # Denormal results have fewer digits.
    finite = np.isfinite(expected)
    np.testing.assert_allclose(y[finite], expected[finite], rtol=tolerance, atol=3e-45)


@pytest.mark.filterwarnings("ignore:.* encountered in")
def test_a_function_carries_nan_infinities_and_zeros_as_numpy_does(function: tuple[Any, Any, float]) -> None:
    compiled, exact, tolerance = function
    ends = np.array([np.nan, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, 87.0, -87.0, -3e38], np.float32)
    if exact is not np.expm1:
        ends = np.append(ends, np.array([np.inf, 3e38], np.float32))
    x = np.resize(ends, 16)
    np.testing.assert_allclose(compiled(x), exact(x.astype(float)).astype(np.float32), rtol=tolerance, atol=3e-45)


def test_odd_functions_keep_the_sign_of_zero() -> None:
    for name in ("tanh", "erf"):
        np.testing.assert_array_equal(
            np.signbit(of_tiles(getattr(functions, name))(np.resize(np.float32([0.0, -0.0]), 16))), [False, True] * 8
        )


def test_exponent_and_mantissa_take_a_number_apart() -> None:
    x = np.abs(X[(np.abs(X) >= SMALLEST_NORMAL)])
    x = x[: x.size // 16 * 16]
    fraction, power = np.frexp(x)
    np.testing.assert_array_equal(of_tiles(exponent)(x), power - 1)
    np.testing.assert_array_equal(of_tiles(mantissa)(x), 2 * fraction)


def test_powers_of_two_are_exact() -> None:
    powers = np.arange(-126, 130, dtype=np.float32)[:256]
    whole = powers[powers <= 127][:240]
    np.testing.assert_array_equal(of_tiles(power_of_two)(whole), np.ldexp(np.float32(1), whole.astype(int)))


@njit
def _along(x, columns, sums, maxima, down, first):  # type: ignore[no-untyped-def]
    tile = load(3, 2, x, 0, 32)
    store(row_sums(tile), sums, 0, 32)
    store(row_maxima(tile), maxima, 0, 32)
    store(column_sums(tile), down, 0, 0)
    store(where_first(tile, -1.0, columns), first, 0, 32)


def test_sums_and_maxima_along_rows_and_columns() -> None:
    x = np.random.default_rng(0).integers(-50, 50, (3, 32)).astype(np.float32)  # their sums are exact
    sums, maxima, first, down = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty(32, np.float32)
    for columns in range(33):
        _along(x, columns, sums, maxima, down, first)
        np.testing.assert_array_equal(sums, np.repeat(x.sum(axis=1, keepdims=True), 32, axis=1))
        np.testing.assert_array_equal(maxima, np.repeat(x.max(axis=1, keepdims=True), 32, axis=1))
        np.testing.assert_array_equal(down, x.sum(axis=0))
        np.testing.assert_array_equal(first, np.where(np.arange(32) < columns, x, -1))
    x[1, 20] = np.nan
    _along(x, 32, sums, maxima, down, first)
    assert np.isnan(maxima[1]).all()
    assert np.isfinite(maxima[[0, 2]]).all()


@njit
def _store_first(x, y, columns):  # type: ignore[no-untyped-def]
    store_first(load(1, 1, x, 0, 0), y, 0, 0, columns)


def test_a_masked_store_writes_nothing_behind_its_columns() -> None:
    x = np.arange(16, dtype=np.float32)
    for columns in range(17):
        y = np.full(16, np.nan, np.float32)
        _store_first(x, y, columns)
        np.testing.assert_array_equal(y, np.where(np.arange(16) < columns, x, np.nan))
