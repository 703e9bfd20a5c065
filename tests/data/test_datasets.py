"""Data sets, by name and in folders."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import NAMES, Arrays, Dataset, ImageFolder, folder, load
from colonnade.errors import ArgumentError, DataError

from . import pictures
from .official_files import write_mnist

ROOT = Path(__file__).parents[2]


def dataset(train=(6, 1, 2, 2), test=(3, 1, 2, 2), labels=0, classes=("a", "b")):
    parts = (Arrays(np.zeros(shape, np.uint8), np.full(shape[0], labels)) for shape in (train, test))
    return Dataset("made", *parts, list(classes))


@pytest.fixture
def photographs(tmp_path):
    return pictures.folder(tmp_path / "photographs", daisy=5, rose=6)


# The digits


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
    digits = cn.data.digits()
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


# Any data set


def test_normalization_is_mean_and_deviation_of_the_training_pixels():
    x = np.random.default_rng(0).integers(0, 256, (2000, 3, 40, 5), dtype=np.uint8)
    for pixels in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        made = Dataset("made", Arrays(pixels, np.zeros(2000, int)), Arrays(x[:1], np.zeros(1, int)), ["a"])
        np.testing.assert_allclose(made.normalization["mean"], (x / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
        np.testing.assert_allclose(made.normalization["std"], (x / 255).std(axis=(0, 2, 3)), rtol=1e-10)


def test_of_images_on_disk_some_evenly_spaced_are_read_for_the_normalization(tmp_path):
    path = tmp_path / "x.npy"
    x = np.random.default_rng(0).integers(0, 256, (5000, 1, 2, 2), dtype=np.uint8)
    np.save(path, x)
    made = Dataset("made", Arrays(path, np.zeros(5000, int)), Arrays(x[:1], np.zeros(1, int)), ["a"])
    looked_at = x[np.rint(np.linspace(0, 4999, 2048)).astype(int)] / 255
    np.testing.assert_allclose(made.normalization["mean"], [looked_at.mean()], rtol=1e-12)
    np.testing.assert_allclose(made.normalization["std"], [looked_at.std()], rtol=1e-10)


def test_channel_without_spread_is_divided_by_one():
    assert dataset().normalization == {"mean": [0.0], "std": [1.0]}


def test_dataset_says_what_it_holds():
    assert repr(dataset()) == "Dataset('made', 6 + 3 images of 1×2×2, 2 classes)"


@pytest.mark.parametrize(
    ("arguments", "message"), [({"test": (3, 1, 2, 3)}, "one shape"), ({"labels": 2}, "labels must be under 2, got 2")]
)
def test_data_that_contradict_themselves_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        dataset(**arguments)


# Folders


def test_folder_is_split_where_it_has_no_parts(photographs):
    for loaded in (load(photographs), load(str(photographs)), folder(photographs)):
        assert loaded.classes == ["daisy", "rose"]
        assert loaded.input_shape == (3, 64, 64)
        assert (len(loaded.train), len(loaded.test)) == (9, 2)
        assert isinstance(loaded.train, ImageFolder)
        assert repr(loaded) == f"Dataset({str(photographs)!r}, 9 + 2 images of 3×64×64, 2 classes)"


def test_folder_is_found_beside_other_data(photographs, monkeypatch):
    assert len(load("photographs", photographs.parent).train) == 9
    monkeypatch.setenv("COLONNADE_DATA", str(photographs.parent))
    assert len(load("photographs").train) == 9


def test_folder_is_resized_and_coloured_as_asked(photographs):
    assert load(photographs, size=(8, 4), channels=1).input_shape == (1, 8, 4)
    with pytest.raises(ArgumentError, match="size must be"):
        load(photographs, size=0)


def test_normalization_of_a_folder_is_that_of_its_pixels(photographs):
    loaded = folder(photographs, 4)
    x = loaded.train.take(np.arange(9)) / 255
    np.testing.assert_allclose(loaded.normalization["mean"], x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(loaded.normalization["std"][:2], x.std(axis=(0, 2, 3))[:2], rtol=1e-9)
    assert loaded.normalization["std"][2] == 1  # of one shade in all of them


def test_decoded_images_of_a_folder_are_kept_unless_told_otherwise(photographs, tmp_path, monkeypatch):
    monkeypatch.setenv("COLONNADE_CACHE", str(tmp_path / "cache"))
    folder(photographs, cache=False)
    assert not (tmp_path / "cache").exists()
    load(photographs)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_folder_options_are_handed_on(photographs):
    (photographs / "rose" / "000.png").write_text("no image")
    with pytest.raises(DataError, match=r"rose/000\.png"):
        folder(photographs)
    with pytest.warns(UserWarning, match="left out"):
        assert len(folder(photographs, on_error="skip", held_out=0.5, seed=1).test) == 4


def test_folder_trains_a_model(tmp_path):
    loaded = folder(pictures.folder(tmp_path / "photographs", step=20, dark=6, light=6), 8)
    model = cn.Model([cn.Flatten(), cn.Dense(192, 2)], seed=0)
    history = cn.fit(
        model, loaded.train, epochs=40, batch_size=4, validation=loaded.test, normalization=loaded.normalization
    )
    assert history[-1]["train_accuracy"] == 1
    assert history[-1]["test_accuracy"] == 1


# Names


@pytest.mark.parametrize(
    ("name", "near"),
    [("digit", "digits"), ("MNIST", "mnist"), ("fashion_mnist", "fashion-mnist"), ("cifar", "cifar10")],
)
def test_unknown_name_brings_the_nearest(name, near):
    with pytest.raises(DataError, match=f"did you mean {near}"):
        load(name)


def test_name_like_no_other_brings_them_all():
    with pytest.raises(DataError, match="digits, mnist, fashion-mnist, kmnist, cifar10, cifar100 or a folder"):
        load("imagenet21k")
    with pytest.raises(DataError, match="There is no data set ''"):
        load("")


def test_every_name_is_loaded_by_its_function(tmp_path):
    assert set(NAMES) == {"digits", "mnist", "fashion-mnist", "kmnist", "cifar10", "cifar100"}
    for name in NAMES[1:]:
        with pytest.raises(DataError, match=f"{name}: put the official .* into "):
            load(name, tmp_path, download=False)


def test_names_of_the_package_are_there():
    assert all(hasattr(cn.data, name) for name in cn.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'imagenet'"):
        _ = cn.data.imagenet


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_named_data_are_found_in_a_folder(tmp_path, name):
    parts = write_mnist(tmp_path / name)
    np.testing.assert_array_equal(load(name, tmp_path).train.x[:, 0], parts["train"][0])


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_files_hold_what_is_known_of_them(name):
    path = Path(os.environ.get("COLONNADE_DATA", "."), name)
    if not path.is_dir():
        pytest.skip(f"COLONNADE_DATA names no folder that holds {name}")
    loaded = load(name, path)
    assert loaded.train.x.shape == (60_000, 1, 28, 28)
    assert loaded.test.x.shape == (10_000, 1, 28, 28)
    known = {"mnist": (0.1307, 0.3081), "fashion-mnist": (0.2860, 0.3530)}[name]  # as everybody's tutorials have them
    assert (*loaded.normalization["mean"], *loaded.normalization["std"]) == pytest.approx(known, abs=6e-5)
