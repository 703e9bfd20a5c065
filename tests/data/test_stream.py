"""Batches that a function makes."""

import numpy as np
import pytest

from colonnade.data.loader import Loader
from colonnade.data.stream import Stream
from colonnade.errors import ArgumentError, DataError, ShapeError

SHAPE = (1, 2, 2)


def endless(epoch):
    rng = np.random.default_rng([7, epoch])
    while True:
        yield rng.random((5, *SHAPE)), rng.integers(0, 3, 5, dtype=np.uint8)


def made(epochs, start=0, workers=None):
    loader = Loader(Stream(endless, 6, SHAPE), 1, dtype="float32", workers=workers)
    return [batch for epoch in epochs for batch in loader.epoch(epoch, start)]


@pytest.mark.parametrize("workers", [0, None, 4])
def test_an_epoch_is_the_first_batches_that_are_made(workers):
    batches, source = made([3], workers=workers), endless(3)
    assert len(batches) == 6
    for batch in batches:
        x, targets = next(source)
        np.testing.assert_array_equal(batch.x, x.astype(np.float32))
        assert batch.x.dtype == np.float32
        np.testing.assert_array_equal(batch.targets, targets)
        assert batch.targets.dtype == np.int64


def test_an_epoch_resumed_is_the_rest_of_it():
    whole, rest = made([2]), made([2], start=4)
    assert len(rest) == 2
    for one, other in zip(whole[4:], rest, strict=True):
        np.testing.assert_array_equal(one.x, other.x)


def test_augmentation_draws_by_epoch_step_and_place_in_the_batch():
    def note(x, targets, draws):
        return x + draws.uniform()[:, None, None, None].astype(x.dtype), targets

    stream = Stream(lambda epoch: iter([(np.zeros((3, *SHAPE)), np.zeros(3))] * 2), 2, SHAPE)
    numbers = {
        float(number)
        for epoch in (1, 2)
        for batch in Loader(stream, 1, dtype="float64", augmentation=note).epoch(epoch)
        for number in batch.x[:, 0, 0, 0]
    }
    assert len(numbers) == 12
    again = [batch.x for batch in Loader(stream, 1, dtype="float64", augmentation=note).epoch(2, start=1)]
    assert set(again[0][:, 0, 0, 0].tolist()) < numbers


def test_a_stream_that_ends_early_is_refused():
    stream = Stream(lambda epoch: [(np.zeros((2, *SHAPE)), np.zeros(2))] * 3, 4, SHAPE)
    with pytest.raises(DataError, match="expected 4 batches in epoch 1, got 3"):
        list(Loader(stream, 1, dtype="float32").epoch(1))


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        (np.zeros((2, *SHAPE)), ArgumentError, r"epoch 1, step 1: expected a batch \(x, targets\), got ndarray"),
        ((np.zeros((2, 3, 2, 2)), np.zeros(2)), ShapeError, r"shape \(n, 1, 2, 2\), got \(2, 3, 2, 2\)"),
        ((np.zeros((0, *SHAPE)), np.zeros(0)), ShapeError, r"got \(0, 1, 2, 2\)"),
        ((np.zeros((2, *SHAPE)), np.zeros(3)), ShapeError, r"a target for each of 2 images, got shape \(3,\)"),
    ],
)
def test_batches_of_another_kind_are_refused_by_epoch_and_step(batch, error, message):
    with pytest.raises(error, match=message):
        next(Stream(lambda epoch: [batch], 1, SHAPE).batches(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), 2, SHAPE), "make must be a function"),
        ((endless, 0, SHAPE), "steps must be positive, got 0"),
        ((endless, 2.0, SHAPE), "steps"),
        ((endless, 2, ()), "shape must be"),
        ((endless, 2, (1, 0)), r"shape must be .* got \(1, 0\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        Stream(*arguments)
