"""The epochs of a data set as batches."""

import _thread
import threading
import tracemalloc

import numpy as np
import pytest

from colonnade.data.batches import order
from colonnade.data.draws import Draws
from colonnade.data.examples import Arrays
from colonnade.data.loader import Loader
from colonnade.errors import ArgumentError, DivergenceError
from tests.interrupting import threads_come_back_to

NORMALIZATION = {"mean": [0.2, 0.4, 0.6], "std": [0.5, 0.25, 2.0]}


class Elsewhere:
    """Images that are no arrays, so that they are taken by threads; it notes how many take at once."""

    def __init__(self, x, targets):
        self.x, self.targets = x, targets
        self.shape = x.shape[1:]
        self.threads = set()

    def __len__(self):
        return len(self.x)

    def take(self, positions):
        self.threads.add(threading.get_ident())
        return self.x[positions]


@pytest.fixture
def x():
    return np.random.default_rng(0).integers(0, 256, (22, 3, 5, 4), dtype=np.uint8)


def epochs(examples, numbers=(1, 2), batch_size=4, start=0, **options):
    loader = Loader(examples, batch_size, **{"dtype": "float32", "seed": 3, **options})
    return [(batch.x.copy(), batch.targets) for number in numbers for batch in loader.epoch(number, start)]


def same(one, other):
    assert len(one) == len(other)
    for (x, targets), (other_x, other_targets) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, other_x)
        np.testing.assert_array_equal(targets, other_targets)


def jitter(x, targets, draws):
    return x * draws.uniform(0.5, 1.5, (1, 1, 1)).astype(x.dtype), targets


@pytest.mark.parametrize("kind", [Arrays, Elsewhere])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("source", [np.uint8, np.int32, np.float32, np.float64])
def test_batches_are_the_images_in_their_order_normalised(x, kind, dtype, source):
    x = x.astype(source)
    batches = epochs(kind(x, np.arange(22)), dtype=dtype, normalization=NORMALIZATION)
    assert [len(batch) for batch, _ in batches] == [4, 4, 4, 4, 4, 2] * 2
    chosen = np.concatenate([order(22, 3, epoch) for epoch in (1, 2)])
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in batches]), chosen)
    pixels = x[chosen] / 255 if source == np.uint8 else x[chosen].astype(np.float64)
    mean, std = (np.reshape(NORMALIZATION[name], (3, 1, 1)) for name in ("mean", "std"))
    found = np.concatenate([batch for batch, _ in batches])
    assert found.dtype == dtype
    np.testing.assert_allclose(found, (pixels - mean) / std, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=1e-5)


@pytest.mark.parametrize("augmentation", [None, jitter])
def test_batches_are_the_same_bits_for_any_number_of_workers(x, augmentation):
    options = {"normalization": NORMALIZATION, "augmentation": augmentation}
    expected = epochs(Elsewhere(x, np.arange(22)), workers=0, **options)
    for workers in (1, 2, 7, None):
        same(epochs(Elsewhere(x, np.arange(22)), workers=workers, **options), expected)
    same(epochs(Arrays(x, np.arange(22)), **options), expected)


@pytest.mark.parametrize("augmentation", [None, jitter])
def test_an_epoch_resumed_is_the_rest_of_it(x, augmentation):
    for examples in (Arrays(x, np.arange(22)), Elsewhere(x, np.arange(22))):
        whole = epochs(examples, numbers=[5], augmentation=augmentation)
        for start in (0, 1, 5, 6):
            same(epochs(examples, numbers=[5], start=start, augmentation=augmentation), whole[start:])


def test_what_is_drawn_for_an_image_does_not_depend_on_the_batch_it_is_in(x):
    def images(**options):
        batches = epochs(Arrays(x, np.arange(22)), numbers=[1], augmentation=jitter, **options)
        return {int(target): image for x, targets in batches for image, target in zip(x, targets, strict=True)}

    expected = images()
    for other in (images(batch_size=7), images(shuffle=False), images(batch_size=22)):
        for number, image in other.items():
            np.testing.assert_array_equal(image, expected[number])


def test_augmentation_sees_pixels_from_0_to_1_channels_last_and_may_change_targets(x):
    seen = []

    def augmentation(pixels, targets, draws):
        seen.append(pixels.copy())
        assert pixels.transpose(0, 2, 3, 1).flags.c_contiguous
        assert isinstance(draws, Draws)
        return pixels[..., ::-1], np.eye(22)[targets]

    batches = epochs(
        Arrays(x, np.arange(22)), numbers=[1], augmentation=augmentation, normalization=NORMALIZATION, shuffle=False,
        workers=1,
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate(seen), x / 255, rtol=1e-6)
    mean, std = (np.reshape(NORMALIZATION[name], (3, 1, 1)) for name in ("mean", "std"))
    np.testing.assert_allclose(
        np.concatenate([batch for batch, _ in batches]), (x[..., ::-1] / 255 - mean) / std, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(np.concatenate([targets for _, targets in batches]), np.eye(22))


def test_what_an_augmentation_returns_is_not_written_to(x):
    fixed = np.full((4, 3, 5, 4), 0.5, np.float32)
    for _ in epochs(
        Arrays(x[:4], np.arange(4)), augmentation=lambda x, t, draws: (fixed, t), normalization=NORMALIZATION
    ):
        assert (fixed == 0.5).all()


@pytest.mark.parametrize(
    "augmentation",
    [
        lambda x, targets, draws: (x[:, :, 1:], targets),
        lambda x, targets, draws: (x.astype(np.float64), targets),
        lambda x, targets, draws: (x, targets[1:]),
    ],
    ids=["shape", "type", "targets"],
)
def test_augmentation_that_returns_something_else_is_refused(x, augmentation):
    with pytest.raises(ArgumentError, match=r"must return images \(4, 3, 5, 4\), float32, and a target for each; got"):
        epochs(Arrays(x, np.arange(22)), augmentation=augmentation)


def test_threads_are_used_where_they_pay_and_nowhere_else(x):
    assert Loader(Arrays(x, np.arange(22)), 4, dtype="float32").workers == 0
    assert Loader(Arrays(x, np.arange(22)), 4, dtype="float32", augmentation=jitter, workers=3).workers == 3
    for workers in (0, 1):
        examples = Elsewhere(x, np.arange(22))
        list(Loader(examples, 4, dtype="float32", workers=workers).epoch(1))
        assert len(examples.threads) == 1
        assert (threading.get_ident() in examples.threads) is (workers == 0)


def test_arrays_in_memory_are_taken_into_memory_that_is_used_again(x):
    batches = Loader(Arrays(x, np.arange(22)), 4, dtype="float32").epoch(1)
    assert np.shares_memory(next(batches).x, next(batches).x)


def test_features_are_batched_as_images_are():
    x = np.arange(24, dtype=np.float64).reshape(8, 3)
    for examples in (Arrays(x, np.arange(8)), Elsewhere(x, np.arange(8))):
        batches = epochs(examples, numbers=[1], shuffle=False, normalization=NORMALIZATION, dtype="float64")
        found = np.concatenate([batch for batch, _ in batches])
        np.testing.assert_allclose(found, (x - NORMALIZATION["mean"]) / NORMALIZATION["std"])


def test_waiting_is_told_in_seconds(x):
    for examples in (Arrays(x, np.arange(22)), Elsewhere(x, np.arange(22))):
        assert all(0 <= batch.waited < 60 for batch in Loader(examples, 4, dtype="float32").epoch(1))


@pytest.mark.parametrize("kind", [Arrays, Elsewhere])
def test_image_that_is_not_finite_is_named(kind):
    x = np.zeros((9, 1, 2, 2))
    x[6, 0, 1, 1] = np.nan
    with pytest.raises(DivergenceError, match="image 6 holds NaN or infinity"):
        epochs(kind(x, np.zeros(9)))


def test_an_error_in_a_worker_ends_the_epoch_and_the_threads(x):
    class Broken(Elsewhere):
        def take(self, positions):
            if 13 in positions:
                raise DivergenceError("image 13 fell over.")
            return super().take(positions)

    before = _thread._count()
    with pytest.raises(DivergenceError, match="image 13"):
        epochs(Broken(x, np.arange(22)), workers=2)
    assert threads_come_back_to(before)


def test_images_larger_than_memory_pass_in_constant_memory(tmp_path):
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.uint8, (8192, 3, 32, 32))  # 25 MB of bytes, 100 MB of float32
    x[:] = 7
    x.flush()
    del x
    examples = Arrays(path, np.zeros(8192, int))
    tracemalloc.start()
    try:
        count = sum(len(batch.x) for batch in Loader(examples, 32, dtype="float32", workers=2).epoch(1))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 8192
    assert peak < 4e6  # a batch of float32 takes 0.4 MB


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"seed": -1}, "seed must be zero or more, got -1"),
        ({"workers": -1}, "workers must be zero or more"),
        ({"ahead": 0}, "ahead must be positive"),
        ({"start": 7}, "an epoch has 6 steps, got one that starts at 7"),
        ({"start": -1}, "start must be"),
        ({"numbers": [-1]}, "epoch must be zero or more, got -1"),
        ({"normalization": {"mean": [0.0], "std": [1.0]}}, "for each of 3, got 1 and 1"),
    ],
)
def test_wrong_arguments_are_refused_before_the_first_batch(x, options, message):
    for examples in (Arrays(x, np.arange(22)), Elsewhere(x, np.arange(22))):
        with pytest.raises(ArgumentError, match=message):
            epochs(examples, **options)


def test_no_images_are_refused(x):
    with pytest.raises(ArgumentError, match="at least one image"):
        Loader(Elsewhere(x[:0], np.zeros(0)), 4, dtype="float32")
