"""Products of large matrices against NumPy's in float64."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from colonnade.compiled import activation, gemm
from colonnade.compiled.packing import in_panels

pytestmark = pytest.mark.thorough

# Rows, terms and columns: remainders of a tile, and more than is laid out at once in each direction.
SIZES = [(13, 16, 33), (30, 530, 24), (517, 261, 300)]
# How the factors lie: turned or not, and of the right one how.
LIES = [(False, gemm.PLAIN), (False, gemm.TURNED), (False, gemm.PANELS), (True, gemm.PLAIN)]
ZERO = np.float32(0)


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def multiplied(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, a_turned: bool, b_lies: int) -> np.ndarray:
    """The product of a and b, handed over as they are to lie."""
    count, terms, outputs = *a.shape, b.shape[1]
    y = np.full((count, outputs), np.nan, np.float32)
    work = np.full(gemm.room(count, terms, outputs) + 32, np.nan, np.float32)
    left = np.ascontiguousarray(a.T if a_turned else a)
    right = np.ascontiguousarray(b.T if b_lies == gemm.TURNED else b)
    if b_lies == gemm.PANELS:
        right = np.full(gemm.panel_shape(terms, outputs), np.nan, np.float32)
        in_panels(np.ascontiguousarray(b), right)
    gemm.gemm_for(y, a_turned, b_lies)(left, right, bias, y, work[:-32], ZERO, ZERO)
    assert np.isnan(work[-32:]).all(), "written behind its room"
    return y


@pytest.mark.parametrize(("a_turned", "b_lies"), LIES)
def test_products_of_any_size_however_their_factors_lie(a_turned: bool, b_lies: int) -> None:
    for count, terms, outputs in SIZES:
        a, b, bias = numbers(count, terms), numbers(terms, outputs), numbers(outputs)
        right = a.astype(np.float64) @ b.astype(np.float64)
        found = multiplied(a, b, bias, a_turned, b_lies)
        assert np.abs(found - right - bias).max() <= 1e-5 * np.abs(right).max(), (count, terms, outputs)


def test_a_row_has_the_same_bits_however_many_others_there_are() -> None:
    a, b = numbers(517, 600), numbers(600, 70)
    whole = multiplied(a, b, None, False, gemm.PLAIN)
    for start, stop in ((0, 1), (14, 31)):
        part = multiplied(np.ascontiguousarray(a[start:stop]), b, None, False, gemm.PANELS)
        np.testing.assert_array_equal(part, whole[start:stop])


def test_the_activation_is_that_of_the_whole_sum() -> None:
    a, b = numbers(20, 600), numbers(600, 40)
    y, work = np.empty((20, 40), np.float32), np.empty(gemm.room(20, 600, 40), np.float32)
    gemm.gemm_for(y, kind=activation.RELU)(a, b, None, y, work, ZERO, ZERO)
    np.testing.assert_array_equal(y, np.maximum(multiplied(a, b, None, False, gemm.PLAIN), 0))


def test_nan_stays_in_its_row_and_column() -> None:
    a, b = numbers(40, 300), numbers(300, 50)
    a[3, 299], b[7, 20] = np.nan, np.nan
    wrong = np.isnan(multiplied(a, b, None, False, gemm.PLAIN))
    assert wrong[3].all()
    assert wrong[:, 20].all()
    assert wrong.sum() == 50 + 40 - 1


@pytest.mark.parametrize(
    ("a", "b", "y", "work", "match"),
    [
        ((19, 30), (30, 40), (20, 40), 1 << 17, "left matrix"),
        ((20, 30), (31, 40), (20, 40), 1 << 17, "right matrix"),
        ((20, 30), (30, 41), (20, 40), 1 << 17, "right matrix"),
        ((20, 30), (30, 40), (20, 40), 100, "room"),
    ],
)
def test_what_does_not_fit_is_refused(
    a: tuple[int, int], b: tuple[int, int], y: tuple[int, int], work: int, match: str
) -> None:
    result = numbers(*y)
    times = gemm.gemm_for(result)
    with pytest.raises(ValueError, match=f"gemm: .*{match}"):
        times(numbers(*a), numbers(*b), None, result, numbers(work), ZERO, ZERO)
