"""The order, the cut and the content of batches."""

import numpy as np
import pytest

from colonnade.data.batches import Batches, cut, order
from colonnade.errors import ArgumentError, DivergenceError, ShapeError

NORMALIZATION = {"mean": [0.2, 0.4, 0.6], "std": [0.5, 0.25, 2.0]}


def expected(x, normalization=NORMALIZATION):
    """The formula of the docstring, in float64."""
    pixels = x / 255 if x.dtype == np.uint8 else x.astype(np.float64)
    mean, std = (np.array(normalization[name]).reshape(-1, *[1] * (x.ndim - 2)) for name in ("mean", "std"))
    return (pixels - mean) / std


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), dtype=np.uint8)


@pytest.mark.parametrize(("images", "batch_size"), [(1, 1), (5, 2), (10, 3), (10, 9), (10, 10), (10, 11), (129, 128)])
def test_cut_covers_every_image_once_in_order(images, batch_size):
    seen = [number for batch in cut(images, batch_size) for number in range(images)[batch]]
    assert seen == list(range(images))


@pytest.mark.parametrize(
    ("images", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (9, 4, [4, 5]), (5, 4, [5]), (1, 4, [1]), (8, 4, [4, 4]), (3, 1, [1, 2])],
)
def test_last_batch_of_one_image_goes_with_the_batch_before(images, batch_size, sizes):
    assert [batch.stop - batch.start for batch in cut(images, batch_size)] == sizes


def test_order_depends_on_seed_and_epoch_alone():
    assert sorted(order(50, 3, 7)) == list(range(50))
    assert order(50, 3, 7).tolist() == order(50, 3, 7).tolist()
    assert order(50, 3, 7).tolist() != order(50, 3, 8).tolist()
    assert order(50, 3, 7).tolist() != order(50, 4, 7).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("source", [np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    ],
    ids=["channels-first", "channels-last", "every second image", "every second column"],
)
def test_batch_is_taken_converted_and_normalised(images, dtype, source, layout):
    x = layout(images.astype(source))
    positions = np.array([3, 19, 0, 3])
    batch = Batches(x, dtype, NORMALIZATION).take(positions)
    assert batch.dtype == dtype
    np.testing.assert_allclose(batch, expected(x[positions]), rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)


def test_bytes_are_divided_by_255_and_other_numbers_left_alone(images):
    positions = np.arange(4)
    np.testing.assert_allclose(Batches(images, np.float64).take(positions), images[:4] / 255, rtol=1e-12)
    for source in (np.int32, np.float32):
        np.testing.assert_array_equal(Batches(images.astype(source), np.float32).take(positions), images[:4])


def test_rows_of_features_are_normalised_along_axis_1():
    x = np.arange(12, dtype=np.float64).reshape(4, 3)
    np.testing.assert_allclose(Batches(x, np.float64, NORMALIZATION).take(np.array([2])), expected(x[2:3]))


def test_batches_reuse_their_memory_and_leave_the_images_alone(images):
    kept = images.copy()
    batches = Batches(images, np.float32, NORMALIZATION)
    first = batches.take(np.arange(8))
    second = batches.take(np.arange(8, 14))
    assert np.shares_memory(first, second)
    np.testing.assert_array_equal(images, kept)


def test_images_may_be_anything_with_array():
    class Held:
        def __array__(self, dtype=None, copy=None):
            return np.ones((3, 1, 2, 2))

    assert Batches(Held(), np.float32).take(np.array([0, 2])).shape == (2, 1, 2, 2)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_image_that_is_not_finite_is_named(wrong):
    x = np.zeros((6, 1, 2, 2), np.float32)
    x[4, 0, 1, 1] = wrong
    batches = Batches(x, np.float32)
    batches.take(np.array([0, 1, 2]))
    with pytest.raises(DivergenceError, match=r"image 4 holds NaN or infinity"):
        batches.take(np.array([5, 4]))


def test_finite_images_whose_sum_overflows_are_taken():
    x = np.full((2, 1, 2, 2), 3e38, np.float32)
    np.testing.assert_array_equal(Batches(x, np.float32).take(np.arange(2)), x)


@pytest.mark.parametrize(
    ("normalization", "message"),
    [
        ({"mean": [0.0], "std": [1.0]}, "for each of 3, got 1 and 1"),
        ({"mean": [0, 0, 0], "std": [1, 0, 1]}, "stds above 0"),
        ({"mean": [0, np.nan, 0], "std": [1, 1, 1]}, "finite means"),
    ],
)
def test_wrong_normalization_is_refused(images, normalization, message):
    with pytest.raises(ArgumentError, match=message):
        Batches(images, np.float32, normalization)


def test_what_is_no_batch_of_images_is_refused():
    with pytest.raises(ShapeError, match=r"shape \(0, 1, 2, 2\)"):
        Batches(np.zeros((0, 1, 2, 2)), np.float32)
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        Batches(np.zeros(3), np.float32)
    with pytest.raises(ArgumentError, match="real numbers"):
        Batches(np.array([["a"]]), np.float32)
