"""The data sets known by name."""

import gzip
import importlib.util
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from colonnade.data import NAMES, Dataset, Examples, load
from colonnade.errors import DataError

ROOT = Path(__file__).parents[2]


def dataset(train=(6, 1, 2, 2), test=(3, 1, 2, 2), labels=0, classes=("a", "b")):
    parts = (Examples(np.zeros(shape, np.uint8), np.full(shape[0], labels)) for shape in (train, test))
    return Dataset("made", *parts, list(classes))


def write_mnist(folder, train=30, test=10, labels=None, suffix=".gz"):
    """Four idx files as the official ones, of random 28×28 images; returns the arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", train), ("t10k", test)):
        x = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        y = rng.integers(0, 10, count if labels is None else labels, dtype=np.uint8)
        for kind, array in (("images-idx3", x), ("labels-idx1", y)):
            header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
            content = header + array.tobytes()
            path = folder / f"{part}-{kind}-ubyte{suffix}"
            path.write_bytes(gzip.compress(content) if suffix else content)
        parts[part] = x, y
    return parts


def test_digits_are_real_scans_split_by_class():
    digits = load("digits")
    assert digits.input_shape == (1, 8, 8)
    assert digits.classes == [str(digit) for digit in range(10)]
    assert len(digits.train.x) + len(digits.test.x) == 1797
    for x, y in (digits.train, digits.test):
        assert (x.dtype, y.dtype) == (np.uint8, np.int64)
        assert (x.min(), x.max()) == (0, 255)
    of_class, held_out = np.bincount(digits.train.y), np.bincount(digits.test.y)
    np.testing.assert_array_equal(held_out, (of_class + held_out) // 5)


def test_no_held_out_digit_is_among_the_training_digits():
    digits = load("digits")
    train = {image.tobytes() for image in digits.train.x}
    assert not any(image.tobytes() in train for image in digits.test.x)


def test_the_file_of_digits_is_what_the_script_makes():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    spec = importlib.util.spec_from_file_location("make_digits", ROOT / "scripts" / "make_digits.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with np.load(script.FILE, allow_pickle=False) as stored:
        made = script.arrays()
        assert sorted(stored) == sorted(made)
        for name, array in made.items():
            np.testing.assert_array_equal(stored[name], array)


def test_normalization_is_mean_and_deviation_of_the_training_pixels():
    x = np.random.default_rng(0).integers(0, 256, (2000, 3, 4, 5), dtype=np.uint8)
    made = Dataset("made", Examples(x, np.zeros(2000, int)), Examples(x[:1], np.zeros(1, int)), ["a"])
    np.testing.assert_allclose(made.normalization["mean"], (x / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(made.normalization["std"], (x / 255).std(axis=(0, 2, 3)), rtol=1e-10)


def test_channel_without_spread_is_divided_by_one():
    assert dataset().normalization == {"mean": [0.0], "std": [1.0]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": (0, 1, 2, 2)}, "at least one image in the test part"),
        ({"test": (3, 1, 2, 3)}, "one shape"),
        ({"labels": 2}, "labels must be under 2, got 2"),
    ],
)
def test_data_that_contradict_themselves_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        dataset(**arguments)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("inside", ["", "fashion-mnist"])
def test_idx_files_are_found_in_the_folder_or_its_sub_folder(tmp_path, suffix, inside):
    parts = write_mnist(tmp_path / inside, suffix=suffix)
    loaded = load("fashion-mnist", tmp_path)
    for examples, part in ((loaded.train, "train"), (loaded.test, "t10k")):
        np.testing.assert_array_equal(examples.x[:, 0], parts[part][0])
        np.testing.assert_array_equal(examples.y, parts[part][1])
    assert loaded.classes[9] == "Ankle boot"


def test_sub_folder_of_the_name_comes_before_the_folder_itself(tmp_path):
    write_mnist(tmp_path, train=30)
    write_mnist(tmp_path / "mnist", train=20)
    assert len(load("mnist", tmp_path).train.x) == 20


def test_environment_names_the_folder(tmp_path, monkeypatch):
    write_mnist(tmp_path)
    monkeypatch.setenv("COLONNADE_DATA", str(tmp_path))
    assert load("mnist").input_shape == (1, 28, 28)


def test_folder_that_is_not_named_or_not_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("COLONNADE_DATA", raising=False)
    with pytest.raises(DataError, match="COLONNADE_DATA"):
        load("mnist")
    with pytest.raises(DataError, match="nowhere"):
        load("mnist", tmp_path / "nowhere")


def test_missing_file_is_named_with_where_to_put_it(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"put the official t10k-labels-idx1-ubyte or .*\.gz into .*mnist"):
        load("mnist", tmp_path)


def test_labels_of_another_number_than_the_images_are_refused(tmp_path):
    write_mnist(tmp_path, labels=9)
    with pytest.raises(DataError, match="a label for each image, got 30 training images, 9"):
        load("mnist", tmp_path)


def test_cifar10_is_read_from_its_binary_batches(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    records = {}
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        records[name] = rng.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[name][:, 0] = rng.integers(0, 10, 4)
        records[name].tofile(folder / name)
    cifar = load("cifar10", tmp_path)
    assert cifar.input_shape == (3, 32, 32)
    assert len(cifar.train.x) == 20
    np.testing.assert_array_equal(cifar.test.y, records["test_batch.bin"][:, 0])
    # Second image, green, third row, fifth column: label, a channel of red, two rows, four pixels before it.
    assert cifar.test.x[1, 1, 2, 4] == records["test_batch.bin"][1, 1 + 1024 + 2 * 32 + 4]
    (folder / "data_batch_3.bin").write_bytes(bytes(3072))
    with pytest.raises(DataError, match=r"data_batch_3\.bin: expected records of 3,073 bytes, got 3,072"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize(
    ("name", "near"), [("digit", "digits"), ("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist")]
)
def test_unknown_name_brings_the_nearest(name, near):
    with pytest.raises(DataError, match=f"did you mean {near}"):
        load(name)


def test_name_like_no_other_brings_them_all():
    with pytest.raises(DataError, match=r"digits, mnist, fashion-mnist or cifar10"):
        load("imagenet21k")


def test_folder_of_photographs_is_not_supported_yet(tmp_path):
    with pytest.raises(DataError, match="not supported yet"):
        load(str(tmp_path))
    assert len(NAMES) == 4


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_files_hold_what_is_known_of_them(name):
    folder = Path(os.environ.get("COLONNADE_DATA", "."), name)
    if not folder.is_dir():
        pytest.skip(f"COLONNADE_DATA names no folder that holds {name}")
    loaded = load(name, folder)
    assert loaded.train.x.shape == (60_000, 1, 28, 28)
    assert loaded.test.x.shape == (10_000, 1, 28, 28)
    known = {"mnist": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}[name]  # as everybody's tutorials have them
    assert (*loaded.normalization["mean"], *loaded.normalization["std"]) == pytest.approx(known, abs=6e-5)
