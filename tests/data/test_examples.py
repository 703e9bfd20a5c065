"""Images in arrays."""

import threading
import tracemalloc

import numpy as np
import pytest

from colonnade.data.examples import Arrays, Joined
from colonnade.errors import ArgumentError, DataError, ShapeError


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 3, 5, 4), dtype=np.uint8)


LAYOUTS = {
    "channels-first": lambda x: x,
    "channels-last": lambda x: x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
    "every second image": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second column": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_images_are_taken_by_their_positions_into_an_array_of_their_own(images, layout):
    examples = Arrays(layout(images), np.arange(20))
    positions = np.array([3, 19, 0, 3])
    taken = examples.take(positions)
    np.testing.assert_array_equal(taken, images[positions])
    assert taken.dtype == np.uint8
    assert not np.shares_memory(taken, examples.x)
    assert not np.shares_memory(taken, examples.take(positions))
    assert (len(examples), examples.shape) == (20, (3, 5, 4))


def test_arrays_unpack_to_the_two_they_were_made_of(images):
    labels = np.arange(20)
    x, y = Arrays(images, labels)
    assert x is images
    assert y is labels
    assert Arrays(images, labels).y is labels


def test_class_numbers_become_int64_and_other_targets_stay(images):
    assert Arrays(images, np.zeros(20, np.uint8)).targets.dtype == np.int64
    assert Arrays(images, [0] * 20).targets.dtype == np.int64
    assert Arrays(images, np.zeros((20, 4), np.float32)).targets.dtype == np.float32
    assert Arrays(images, np.zeros((20, 3), np.uint8)).targets.dtype == np.uint8


def test_targets_may_be_left_out(images):
    assert Arrays(images).targets.shape == (20, 0)


def test_images_may_be_anything_with_array():
    class Held:
        def __array__(self, dtype=None, copy=None):
            return np.ones((3, 1, 2, 2))

    assert Arrays(Held(), [0, 1, 2]).take(np.array([0, 2])).shape == (2, 1, 2, 2)


@pytest.mark.parametrize("as_array", [lambda path: path, str, lambda path: np.load(path, mmap_mode="r")])
def test_mapped_file_is_read_where_images_are_taken_and_nowhere_else(tmp_path, as_array):
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", np.uint8, (4096, 3, 32, 32))  # 12 MB
    x[:] = np.arange(4096)[:, None, None, None] % 251
    x.flush()
    tracemalloc.start()
    try:
        examples = Arrays(as_array(path), np.zeros(4096, int))
        assert not examples.in_memory
        taken = examples.take(np.array([4000, 5]))
        assert tracemalloc.get_traced_memory()[1] < 1 << 18
    finally:
        tracemalloc.stop()
    assert taken[:, 0, 0, 0].tolist() == [4000 % 251, 5]


def test_arrays_in_memory_say_so(images):
    assert Arrays(images).in_memory
    assert Arrays(images[2:]).in_memory
    assert repr(Arrays(images)) == "Arrays(20 images of 3×5×4, uint8)"


def test_several_threads_may_take_at_once(images):
    examples, taken = Arrays(images), {}

    def work(number):
        for _ in range(200):
            taken[number] = examples.take(np.array([number, 7]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, part in taken.items():
        np.testing.assert_array_equal(part, images[[number, 7]])


def test_what_is_no_batch_of_images_is_refused(images):
    with pytest.raises(ShapeError, match=r"at least one image, .* shape \(0, 1, 2, 2\)"):
        Arrays(np.zeros((0, 1, 2, 2)))
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        Arrays(np.zeros(3))
    with pytest.raises(ArgumentError, match="real numbers"):
        Arrays(np.array([["a"]]))
    for targets in (np.zeros(19), np.zeros(()), [[0] * 20]):
        with pytest.raises(ShapeError, match="a target for each of 20 images, got y of shape"):
            Arrays(images, targets)


def test_broken_npy_files_are_one_line_each(tmp_path):
    whole = tmp_path / "whole.npy"
    np.save(whole, np.zeros((10, 1, 8, 8)))
    (tmp_path / "cut.npy").write_bytes(whole.read_bytes()[:-9])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "objects.npy", np.array([{}], object))
    for name, message in (
        ("missing", "no such file"),
        ("cut", r"whole \.npy"),
        ("text", r"whole \.npy"),
        ("empty", r"whole \.npy"),
        ("objects", r"whole \.npy"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            Arrays(tmp_path / f"{name}.npy")
        assert str(caught.value).startswith(str(tmp_path))
        assert "pickle.load" not in str(caught.value)  # no advice to run what is in it
        assert "\n" not in str(caught.value)


# Joined


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_joined_examples_are_those_of_their_parts_one_after_the_other(images, dtype):
    x = images.astype(dtype)
    parts = [Arrays(x[:7], np.arange(7)), Arrays(x[7:8], np.arange(7, 8)), Arrays(x[8:], np.arange(8, 20))]
    whole = Joined(parts, ["a", "b"])
    assert (len(whole), whole.shape, whole.classes) == (20, (3, 5, 4), ["a", "b"])
    np.testing.assert_array_equal(whole.targets, np.arange(20))
    for positions in (np.arange(20), np.array([19, 0, 7, 7, 3]), np.array([8])):
        taken = whole.take(positions)
        np.testing.assert_array_equal(taken, x[positions])
        assert taken.dtype == dtype


def test_joined_examples_must_be_of_one_shape(images):
    with pytest.raises(ShapeError, match=r"images of one shape, got \(3, 5, 3\) and \(3, 5, 4\)"):
        Joined([Arrays(images, np.arange(20)), Arrays(images[..., :3], np.arange(20))])
