"""Data that do not fit into memory, or are never there at once, train in constant memory, to the same weights."""

import tracemalloc

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import Arrays, ImageFolder, Stream

from . import pictures

SHAPE = (3, 16, 16)


def fit(x, y=None, epochs=1, **options):
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.ReLU(), cn.Flatten(), cn.Dense(4 * 14 * 14, 2)], seed=0)
    history = cn.fit(model, x, y, epochs=epochs, batch_size=32, seed=1, **options)
    return model, history


def weights(model):
    return np.concatenate([array.ravel() for array in model.state_dict().values()])


@pytest.fixture
def mapped(tmp_path):
    """The path of 3,072 images, 2.4 MB as bytes and 9.4 MB as float32."""
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.uint8, (3072, *SHAPE))
    x[:] = np.arange(3072)[:, None, None, None] % 256
    x.flush()
    return path


LABELS = (np.arange(3072) % 256 >= 128).astype(int)


@pytest.mark.parametrize("augmentation", [None, lambda x, targets, draws: (x[..., ::-1], targets)])
def test_mapped_file_trains_in_constant_memory(mapped, augmentation):
    def peak(images):
        tracemalloc.start()
        try:
            _, history = fit(Arrays(images, LABELS[: len(images)]), augmentation=augmentation)
            return tracemalloc.get_traced_memory()[1], history
        finally:
            tracemalloc.stop()

    images = np.load(mapped, mmap_mode="r")
    peak(images[:256])  # what is imported and made but once
    few, _ = peak(images[:256])
    all_of_them, history = peak(images)
    assert np.isfinite(history[-1]["train_loss"])
    assert all_of_them - few < 5e5  # the images are 2.4 MB, their targets and their order 0.1 MB


def test_mapped_file_trains_to_the_weights_that_arrays_train_to(mapped):
    images = np.load(mapped)[:500]
    labels = LABELS[:500]
    expected, _ = fit(images, labels)
    found, _ = fit(Arrays(np.load(mapped, mmap_mode="r")[:500], labels))
    np.testing.assert_array_equal(weights(found), weights(expected))


def test_folder_trains_to_the_weights_that_its_images_as_arrays_train_to(tmp_path):
    folder = ImageFolder(pictures.folder(tmp_path, step=3, dark=40, light=40), 16)
    expected, _ = fit(folder.take(np.arange(80)), folder.targets, epochs=2)
    for examples in (folder, ImageFolder(tmp_path, 16, cache=tmp_path / "cache")):
        for workers in (None, 0, 3):
            found, _ = fit(examples, epochs=2, workers=workers)
            np.testing.assert_array_equal(weights(found), weights(expected))


def test_stream_trains_in_constant_memory():
    def make(epoch):
        rng = np.random.default_rng(epoch)
        while True:
            targets = rng.integers(0, 2, 32)
            yield (rng.random((32, *SHAPE), np.float32) + targets[:, None, None, None]) / 2, targets

    fit(Stream(make, 3, SHAPE))
    tracemalloc.start()
    try:
        _, history = fit(Stream(make, 60, SHAPE))  # 60 batches are 5.9 MB
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.isfinite(history[-1]["train_loss"])
    assert peak < 3e6
