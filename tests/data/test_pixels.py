"""What a model remembers of the pixels it was trained on, and what it makes of others."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import explain, storage
from colonnade.data import Arrays
from colonnade.data.pixels import Pixels, remembered, unit
from colonnade.errors import ArgumentError, FileFormatError

BYTES = np.random.default_rng(0).integers(0, 256, (24, 1, 6, 5), dtype=np.uint8)
LABELS = np.arange(24) % 3
NORMALIZATION = {"mean": [0.5], "std": [0.25]}

# The same photographs in all ways that can be told apart.
SAME: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "bytes": lambda x: x,
    "floats to 255": lambda x: x.astype(np.float32),
    "doubles to 255": lambda x: x.astype(np.float64),
    "int64": lambda x: x.astype(np.int64),
    "uint16": lambda x: x.astype(np.uint16),
    "floats to 1": lambda x: x / np.float32(255),
    "doubles to 1": lambda x: x / 255,
}
STRANGE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "standardised": lambda x: (x / 255 - 0.13) / 0.31,
    "from -1 to 1": lambda x: x / 127.5 - 1,
    "uint16 to 65535": lambda x: x.astype(np.uint16) * 257,
    "negative": lambda x: -x.astype(np.int64),
}


def network(**options: Any) -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.ReLU(), cn.Flatten(), cn.Dense(4 * 4 * 3, 3)]
    return cn.Model(layers, seed=1, **options)


def trained(x: Any, **options: Any) -> cn.Model:
    model = network()
    model.fit(x, LABELS, batch_size=8, epochs=2, **options)
    return model


@pytest.mark.parametrize("on", SAME)
@pytest.mark.parametrize("normalization", [None, NORMALIZATION])
def test_the_same_photographs_have_the_same_answers_in_whatever_way_they_come(
    on: str, normalization: dict[str, list[float]] | None
) -> None:
    model = trained(SAME[on](BYTES), normalization=normalization)
    expected = model.predict_proba(SAME[on](BYTES))
    known = model.evaluate(SAME[on](BYTES), LABELS)
    for asked in SAME:
        given = SAME[asked](BYTES)
        np.testing.assert_allclose(model.predict_proba(given), expected, atol=2e-5, err_msg=asked)
        np.testing.assert_allclose(model.predict_proba(given, batch_size=5), expected, atol=2e-5, err_msg=asked)
        np.testing.assert_array_equal(model.predict(given), expected.argmax(axis=1), err_msg=asked)
        found = model.evaluate(Arrays(given, LABELS), batch_size=7)
        assert found["loss"] == pytest.approx(known["loss"], rel=1e-5), asked


@pytest.mark.parametrize("asked", SAME)
def test_the_maps_of_a_photograph_are_the_same_in_whatever_way_it_comes(asked: str) -> None:
    model = trained(BYTES)
    for make in (explain.grad_cam, explain.occlusion):
        np.testing.assert_allclose(make(model, SAME[asked](BYTES)[0], 1), make(model, BYTES[0], 1), atol=1e-5)


@pytest.mark.parametrize("asked", STRANGE)
@pytest.mark.parametrize("on", ["bytes", "floats to 1", "floats to 255"])
def test_what_cannot_be_meant_is_refused(on: str, asked: str) -> None:
    model, given = trained(SAME[on](BYTES)), STRANGE[asked](BYTES)
    told = r"expected pixels like those in training, (bytes|numbers) from 0 to (255|1), got (whole )?numbers from "
    for ask in (model.predict, model.predict_outputs, model.predict_proba):
        with pytest.raises(ArgumentError, match=f"^{ask.__name__}: {told}"):
            ask(given)
    with pytest.raises(ArgumentError, match=f"^evaluate: {told}"):
        model.evaluate(given, LABELS)
    with pytest.raises(ArgumentError, match=f"^grad_cam: {told}"):
        explain.grad_cam(model, given[0])
    with pytest.raises(ArgumentError, match=f"^fit: validation: {told}"):
        network().fit(SAME[on](BYTES), LABELS, validation=(given, LABELS))


def test_a_model_of_standardised_numbers_takes_those_and_neither_bytes_nor_their_values() -> None:
    standardised = STRANGE["standardised"](BYTES)
    model = trained(standardised)
    assert model.pixels is not None
    assert model.pixels["least"] < 0
    for given in (
        standardised,
        standardised.astype(np.float32),
        1.5 * standardised[:2],
        0 * standardised,
        standardised[:1],
    ):
        assert model.predict(given).shape == (len(given),)
    for name in ("bytes", "floats to 255", "int64"):
        with pytest.raises(
            ArgumentError, match=r"^predict: expected pixels like those in training, numbers from -0\.4"
        ):
            model.predict(SAME[name](BYTES))
    for far in (SAME["uint16"](BYTES) * 257, 1000.0 * BYTES, -1000.0 * BYTES, 100 * standardised):
        with pytest.raises(ArgumentError, match=r"numbers from -0\.4.*, got (whole )?numbers from"):
            model.predict(far)


def test_a_model_of_numbers_to_16_takes_them_as_bytes_too() -> None:
    levels = (BYTES // 16).astype(np.uint8)
    for on, asked in ((np.float64, np.uint8), (np.uint8, np.float32), (np.int64, np.uint8), (np.uint8, np.int64)):
        model = trained(levels.astype(on))
        expected = model.predict_proba(levels.astype(on))
        np.testing.assert_allclose(model.predict_proba(levels.astype(asked)), expected, atol=1e-6)
    with pytest.raises(ArgumentError, match="numbers from 0 to 15, got numbers from 0 to 1"):
        trained(levels.astype(np.float32)).predict(levels / 15)
    with pytest.raises(ArgumentError, match="numbers from 0 to 15, got bytes from 0 to 255"):
        trained(levels.astype(np.float32)).predict(BYTES)


@pytest.mark.parametrize("on", SAME)
def test_black_is_black(on: str) -> None:
    model = trained(SAME[on](BYTES))
    black = np.zeros((2, 1, 6, 5))
    expected = model.predict_proba(black.astype(np.uint8))
    for kind in (np.float32, np.float64, np.int64, np.bool_):
        np.testing.assert_array_equal(model.predict_proba(black.astype(kind)), expected)


def test_true_is_white() -> None:
    drawn = BYTES > 127
    for on in ("bytes", "floats to 1", "floats to 255", "int64"):
        model = trained(SAME[on](BYTES))
        expected = model.predict_proba(np.where(drawn, 255, 0).astype(np.uint8))
        np.testing.assert_allclose(model.predict_proba(drawn), expected, atol=1e-5)


def test_a_dark_photograph_is_dark_as_whole_numbers_too() -> None:
    model, dark = trained(BYTES), BYTES[:2] // 128
    for kind in (np.int64, np.uint16, np.int32):
        np.testing.assert_array_equal(model.predict_proba(dark.astype(kind)), model.predict_proba(dark))


def test_pixels_that_resizing_carried_over_the_ends_are_taken() -> None:
    overshot = 1.1 * (BYTES / 255 - 0.5) + 0.5
    for on in ("bytes", "floats to 1"):
        model = trained(SAME[on](BYTES))
        np.testing.assert_allclose(model.predict_proba(255 * overshot), model.predict_proba(overshot), atol=1e-5)


def test_an_outlier_is_no_other_range() -> None:
    scaled = BYTES / 255
    model = trained(scaled)
    expected = model.predict_proba(scaled)
    scaled[0, 0, 0, 0] = 40.0
    np.testing.assert_allclose(model.predict_proba(scaled)[1:], expected[1:], atol=1e-6)


def test_rows_of_numbers_have_no_range() -> None:
    rows = BYTES.reshape(24, -1)
    model = cn.Model([cn.Dense(30, 3)])
    model.fit(rows / 255, LABELS)
    assert model.predict(1000.0 * rows).shape == (24,)
    np.testing.assert_allclose(model.predict_proba(rows), model.predict_proba(rows / 255), atol=1e-6)
    model = cn.Model([cn.Dense(30, 3)])
    model.fit(rows, LABELS)
    np.testing.assert_allclose(model.predict_proba(rows.astype(np.float64)), model.predict_proba(rows), atol=1e-6)


def test_images_that_do_not_lie_in_memory_are_told_apart_too(tmp_path: Any) -> None:
    model = trained(BYTES)
    np.save(tmp_path / "x.npy", BYTES.astype(np.float32))
    for examples in (Arrays(tmp_path / "x.npy", LABELS), Arrays(BYTES.astype(np.int64), LABELS)):
        np.testing.assert_allclose(model.predict_proba(examples), model.predict_proba(BYTES), atol=1e-6)
    again = network()
    again.fit(Arrays(tmp_path / "x.npy", LABELS), batch_size=8, epochs=2)
    assert again.pixels == {"kind": "floats", "least": 0.0, "most": 255.0}


@pytest.mark.parametrize("on", ["bytes", "floats to 255"])
def test_training_goes_on_with_the_same_photographs_in_another_way(on: str) -> None:
    models = [trained(SAME[on](BYTES), normalization=NORMALIZATION) for _ in range(2)]
    remembered_before = models[0].pixels
    for model, more in zip(models, ("bytes", "doubles to 255"), strict=True):
        model.fit(SAME[more](BYTES), LABELS, batch_size=8)
        assert model.pixels == remembered_before
    np.testing.assert_allclose(models[0].predict_proba(BYTES), models[1].predict_proba(BYTES), atol=1e-5)


def test_training_on_other_images_is_remembered_instead() -> None:
    model = trained(BYTES)
    model.fit(STRANGE["standardised"](BYTES), LABELS)
    assert model.pixels is not None
    assert model.pixels["kind"] == "floats"


def test_the_pixels_go_along_with_a_model(tmp_path: Any) -> None:
    model = trained(BYTES)
    assert model.pixels == {"kind": "bytes", "least": 0.0, "most": 255.0}
    model.save(tmp_path / "model.safetensors")
    cn.export_onnx(model, tmp_path / "model.onnx")
    others = [cn.load(tmp_path / "model.safetensors"), cn.load(tmp_path / "model.onnx"), copy.deepcopy(model)]
    for other in (*others, model.cut(1)):
        assert other.pixels == model.pixels
    expected = model.predict_proba(BYTES)
    np.testing.assert_allclose(others[0].predict_proba(BYTES.astype(np.float64)), expected, atol=1e-6)


def rewritten(path: Any, pixels: Any) -> None:
    """A model file that says something else of the pixels; nothing for None."""
    tensors, metadata = storage.read(path)
    description = json.loads(metadata["colonnade"])
    del description["pixels"]
    storage.write(
        path, tensors, {"colonnade": json.dumps(description | ({} if pixels is None else {"pixels": pixels}))}
    )


def test_a_file_of_before_knows_nothing_of_pixels(tmp_path: Any) -> None:
    model, path = trained(BYTES), tmp_path / "model.safetensors"
    model.save(path)
    rewritten(path, None)
    old = cn.load(path)
    assert old.pixels is None
    np.testing.assert_array_equal(old.predict_proba(BYTES), model.predict_proba(BYTES))


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "inches", "least": 0, "most": 1},
        {"kind": "bytes"},
        {"kind": "floats", "least": 2, "most": 1},
        {"kind": "floats", "least": "a", "most": 1},
        {"kind": [], "least": 0, "most": 1},
        "bytes",
        3,
    ],
)
def test_a_file_that_says_nonsense_of_pixels_is_refused(tmp_path: Any, said: Any) -> None:
    model, path = trained(BYTES), tmp_path / "model.safetensors"
    model.save(path)
    rewritten(path, said)
    with pytest.raises(FileFormatError, match="pixels: expected a kind, and the least and the greatest number of it"):
        cn.load(path)


def test_nothing_is_known_of_a_model_that_was_not_trained_here() -> None:
    model = network()
    assert unit("predict", remembered(model.pixels), BYTES) == 255
    np.testing.assert_allclose(model.predict_proba(BYTES), model.predict_proba(BYTES / 255), atol=1e-6)
    assert unit("predict", Pixels("bytes", 0, 255), np.full((1, 1, 2, 2), np.nan)) == 1


def test_the_classifier_takes_the_same_images_in_another_way() -> None:
    learn = pytest.importorskip("colonnade.sklearn", reason="scikit-learn is not installed")
    for on, asked in (
        ("bytes", "doubles to 255"),
        ("doubles to 255", "bytes"),
        ("bytes", "floats to 1"),
        ("int64", "bytes"),
    ):
        classifier = learn.ImageClassifier(epochs=2, random_state=0).fit(SAME[on](BYTES[:, 0]), LABELS)
        expected = classifier.predict_proba(SAME[on](BYTES[:, 0]))
        np.testing.assert_allclose(classifier.predict_proba(SAME[asked](BYTES[:, 0])), expected, atol=1e-4)
