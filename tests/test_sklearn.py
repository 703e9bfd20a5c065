"""ImageClassifier: one of scikit-learn's estimators, by scikit-learn's own checks; what it takes and refuses."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

pytest.importorskip("sklearn", reason="scikit-learn is not installed")

import joblib
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import (
    check_methods_sample_order_invariance,
    check_sample_weight_equivalence_on_dense_data,
    parametrize_with_checks,
)

from colonnade.sklearn import ImageClassifier

ROWS, LABELS = load_digits(return_X_y=True)
ROWS, LABELS = ROWS[:300], LABELS[:300]
RNG = np.random.default_rng(0)

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weighted and repeated images give the same up to the rounding of float32, about 1e-6; the check demands 1e-7. "
        "In float64 it passes: see test_weighted_is_repeated_in_float64"
    ),
    "check_methods_sample_order_invariance": (
        "a product of BLAS rounds a row by its place among the rows, in float32 by about 1e-7, which is what the check "
        "demands. In float64 it passes: see test_the_order_of_images_is_their_own_in_float64"
    ),
}


def few(**arguments: Any) -> ImageClassifier:
    """One that is trained for a moment."""
    return ImageClassifier(**{"epochs": 2, "random_state": 0} | arguments)


def small(input_shape: tuple[int, ...], classes: int, seed: int, dtype: str = "float32") -> cn.Model:
    """A network of its own for images of any size."""
    layers = [cn.Conv2d(input_shape[0], 4, 3, padding=1), cn.ReLU(), cn.AdaptiveAvgPool2d(2), cn.Flatten()]
    return cn.Model([*layers, cn.Dense(16, classes)], seed=seed, dtype=dtype)


def dense(input_shape: tuple[int, ...], classes: int, seed: int) -> cn.Model:
    return cn.Model([cn.Dense(*input_shape, 16), cn.ReLU(), cn.Dense(16, classes)], seed=seed, dtype="float64")


# scikit-learn's own checks


@pytest.mark.thorough
# Whether rounding stands in the way depends on the processor, whose products are more or less even.
@parametrize_with_checks([ImageClassifier()], expected_failed_checks=lambda _: EXPECTED_FAILURES, xfail_strict=False)
def test_scikit_learns_own_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_weighted_is_repeated_in_float64() -> None:
    """What the check that is expected to fail asks for, where rounding does not stand in the way."""
    check_sample_weight_equivalence_on_dense_data("ImageClassifier", ImageClassifier(dense, image_shape="flat"))


def test_the_order_of_images_is_their_own_in_float64() -> None:
    check_methods_sample_order_invariance("ImageClassifier", ImageClassifier(dense, image_shape="flat"))


@pytest.mark.thorough
def test_the_check_that_needs_an_environment_of_its_own() -> None:
    """parametrize_with_checks skips one where SciPy has not been told of array namespaces before its import."""
    code = (
        "from sklearn.utils.estimator_checks import check_array_api_input as check;"
        "from colonnade.sklearn import ImageClassifier;"
        "check('ImageClassifier', ImageClassifier(epochs=2), array_namespace='numpy', expect_only_array_outputs=False)"
    )
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr


# In company


def test_it_learns_the_digits() -> None:
    x, y = load_digits(return_X_y=True)
    fitted = ImageClassifier(epochs=6, random_state=0).fit(x[:800], y[:800])
    assert fitted.score(x[800:], y[800:]) > 0.9


def test_it_works_in_a_pipeline_and_a_grid_search() -> None:
    pipeline = make_pipeline(MinMaxScaler(), few())
    grid = {"imageclassifier__lr": [1e-6, 3e-3], "imageclassifier__model": ["cnn", "lenet5", small][::2]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(ROWS, LABELS)
    assert search.best_params_["imageclassifier__lr"] == 3e-3
    assert search.predict(ROWS).shape == (300,)


def test_cross_validation_is_the_same_in_parallel() -> None:
    x, y = ROWS[:100], LABELS[:100]
    alone = cross_val_score(few(), x, y, cv=2)
    with joblib.parallel_config(backend="threading"):
        np.testing.assert_array_equal(cross_val_score(few(), x, y, cv=2, n_jobs=2), alone)


def test_cross_validation_runs_in_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_THREADS", "1")
    estimator = few(model=cn.zoo.cnn((1, 8, 8)))  # a Model, which must reach the other process
    x, y = ROWS[:100], LABELS[:100]
    alone = cross_val_score(estimator, x, y, cv=2)
    with joblib.parallel_config(backend="loky"):
        np.testing.assert_array_equal(cross_val_score(estimator, x, y, cv=2, n_jobs=2), alone)


def test_a_fitted_one_is_dumped_and_loaded(tmp_path: Path) -> None:
    fitted = few().fit(ROWS, LABELS)
    expected = fitted.predict_proba(ROWS)
    joblib.dump(fitted, tmp_path / "digits.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "digits.joblib").predict_proba(ROWS), expected)
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(again.predict_proba(ROWS), expected)
    assert again.history_ == fitted.history_


def test_clone_copies_arguments_and_nothing_learned() -> None:
    fitted = few(model=cn.zoo.cnn((1, 8, 8)), lr=0.01).fit(ROWS, LABELS)
    copy = clone(fitted)
    assert not hasattr(copy, "model_")
    assert copy.get_params()["lr"] == 0.01
    with pytest.raises(NotFittedError):
        copy.predict(ROWS)


def test_the_same_random_state_gives_the_same_bits() -> None:
    one, other, third = (few(random_state=state).fit(ROWS, LABELS).predict_proba(ROWS) for state in (1, 1, 2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, third)


# The shapes that images come in


@pytest.mark.parametrize(
    ("shape", "arguments", "expected", "channels"),
    [
        ((8, 6), {}, (1, 8, 6), None),
        ((3, 8, 6), {}, (3, 8, 6), "first"),
        ((8, 6, 3), {}, (3, 8, 6), "last"),
        ((8, 6, 1), {}, (1, 8, 6), "last"),
        ((4, 8, 6), {}, (4, 8, 6), "first"),
        ((3, 8, 3), {"channels": "last"}, (3, 3, 8), "last"),
        ((3, 8, 3), {"channels": "first"}, (3, 8, 3), "first"),
        ((9, 8, 6), {"channels": "first"}, (9, 8, 6), "first"),
        ((64,), {}, (1, 8, 8), None),
        ((48,), {"image_shape": (8, 6)}, (1, 8, 6), None),
        ((144,), {"image_shape": (8, 6, 3)}, (3, 8, 6), "last"),
        ((144,), {"image_shape": [3, 8, 6]}, (3, 8, 6), "first"),
        ((144,), {"image_shape": (8, 3, 6), "channels": "last"}, (6, 8, 3), "last"),
        ((8, 6), {"image_shape": (8, 6)}, (1, 8, 6), None),
    ],
)
def test_every_layout_reaches_the_model_as_channels_height_width(
    shape: tuple[int, ...], arguments: dict[str, Any], expected: tuple[int, ...], channels: str | None
) -> None:
    x = RNG.integers(0, 256, (12, *shape)).astype(np.uint8)
    fitted = few(model=small, **arguments).fit(x, np.arange(12) % 3)
    assert fitted.model_.input_shape == expected
    assert fitted.channels_ == channels
    assert fitted.n_features_in_ == np.prod(shape)
    whole = fitted.predict_proba(x)
    image = x.reshape(12, *fitted.image_shape_)
    if image.ndim == 3:
        image = image[:, None]
    elif channels == "last":
        image = np.moveaxis(image, -1, 1)
    np.testing.assert_allclose(whole, fitted.model_.predict_proba(image.copy()), rtol=1e-5)
    np.testing.assert_array_equal(fitted.predict_proba(x.reshape(12, -1)), whole)  # rows of the same pixels


def test_rows_without_places_are_features() -> None:
    x = RNG.normal(size=(40, 5)) * [1, 10, 100, 1000, 1e4] + 5
    y = (x[:, 3] > 5).astype(int)
    fitted = ImageClassifier(random_state=0).fit(x, y)
    assert fitted.model_.input_shape == (5,)
    assert fitted.score(x, y) > 0.9
    assert ImageClassifier(image_shape="flat", epochs=1).fit(ROWS, LABELS).model_.input_shape == (64,)


def test_rows_fit_a_given_model() -> None:
    x = RNG.normal(size=(12, 3 * 6 * 4))
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.Flatten(), cn.Dense(4 * 4 * 2, 3)]).build((3, 6, 4))
    first = few(model=model).fit(x, np.arange(12) % 3)
    assert (first.image_shape_, first.channels_) == ((3, 6, 4), "first")
    last = few(model=model, channels="last").fit(x, np.arange(12) % 3)
    assert (last.image_shape_, last.channels_) == ((6, 4, 3), "last")
    assert last.model_.input_shape == (3, 6, 4)


def test_bytes_are_pixels_and_the_model_keeps_the_normalization() -> None:
    x = RNG.integers(0, 256, (30, 3, 6, 6)).astype(np.uint8)
    fitted = few(model=small).fit(x, np.arange(30) % 3)
    kept = fitted.model_.normalization
    assert kept is not None
    np.testing.assert_allclose(kept["mean"], (x / 255).mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(kept["std"], (x / 255).std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_feature_that_never_changes_is_left_alone() -> None:
    fitted = few().fit(np.array([[1e9, 0.0], [1e9, 1.0]] * 5), [0, 1] * 5)
    assert fitted.model_.normalization["std"] == [1.0, 0.5]


def test_lists_frames_tensors_and_anything_with_an_array_are_taken() -> None:
    class Images:
        def __init__(self, array: Any) -> None:
            self.array = array

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.asarray(self.array, dtype)

    images, labels = ROWS[:100].reshape(-1, 8, 8), LABELS[:100]
    fitted = few().fit(images, labels)
    expected = fitted.predict_proba(images)
    for kind in (np.ndarray.tolist, Images, np.asfortranarray):
        again = few().fit(kind(images), kind(labels))
        np.testing.assert_array_equal(again.predict_proba(kind(images)), expected)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    again = few().fit(torch.from_numpy(images), torch.from_numpy(labels))
    np.testing.assert_array_equal(again.predict_proba(torch.from_numpy(images)), expected)


def test_a_data_frames_columns_are_remembered() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(ROWS, columns=[f"pixel {number}" for number in range(64)])
    fitted = few().fit(frame, pandas.Series(LABELS))
    assert list(fitted.feature_names_in_) == list(frame.columns)
    np.testing.assert_array_equal(fitted.predict_proba(frame), few().fit(ROWS, LABELS).predict_proba(ROWS))
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[frame.columns[::-1]])
    assert not hasattr(fitted.fit(ROWS.reshape(-1, 8, 8), LABELS), "feature_names_in_")


# Labels and weights


def test_labels_may_be_text() -> None:
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
    fitted = few().fit(ROWS, names[LABELS])
    assert list(fitted.classes_) == sorted(names)
    assert set(fitted.predict(ROWS)) <= set(names)
    assert fitted.model_.classes == sorted(names)


def test_the_model_inside_is_one_for_the_command_line(tmp_path: Path) -> None:
    fitted = few().fit(ROWS, LABELS)
    fitted.model_.save(tmp_path / "digits.safetensors")
    again = cn.load(tmp_path / "digits.safetensors")
    np.testing.assert_array_equal(again.predict(ROWS.reshape(-1, 1, 8, 8)), fitted.predict(ROWS))


def test_weights_of_one_are_no_weights() -> None:
    plain = few().fit(ROWS, LABELS).predict_proba(ROWS)
    weighted = few().fit(ROWS, LABELS, sample_weight=np.full(300, 7.0)).predict_proba(ROWS)
    np.testing.assert_array_equal(plain, weighted)


def test_weights_of_zero_leave_images_out() -> None:
    weights = np.arange(300) % 2
    kept = few().fit(ROWS[1::2], LABELS[1::2]).predict_proba(ROWS)
    weighted = few().fit(ROWS, LABELS, sample_weight=weights).predict_proba(ROWS)
    np.testing.assert_array_equal(kept, weighted)


def test_class_weights_are_sample_weights() -> None:
    by_class = {label: 1.0 + label for label in range(10)}
    x = ROWS
    one = few(class_weight=by_class).fit(x, LABELS)
    # The same in the loss; sample weights count in the normalization too, which a model of its own fixes.
    model = cn.zoo.cnn((1, 8, 8))
    model.normalization = one.model_.normalization
    a = few(model=model, class_weight=by_class).fit(x, LABELS).predict_proba(x)
    b = few(model=model).fit(x, LABELS, sample_weight=1.0 + LABELS).predict_proba(x)
    np.testing.assert_array_equal(a, b)


def test_balanced_classes_weigh_the_same() -> None:
    rare = np.r_[np.zeros(95, int), np.ones(5, int)]
    x = RNG.normal(size=(100, 5))
    plain, balanced = (ImageClassifier(class_weight=each, random_state=0).fit(x, rare) for each in (None, "balanced"))
    assert balanced.predict_proba(x)[:, 1].mean() > plain.predict_proba(x)[:, 1].mean()


# How it is trained


def test_a_given_model_is_where_training_starts_and_stays_as_it_is() -> None:
    model = cn.zoo.cnn((1, 8, 8), seed=3)
    before = model.state_dict()
    fitted = few(model=model, lr=0.0, optimizer=partial(cn.SGD, momentum=0.9)).fit(ROWS, LABELS)
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)
        if name.endswith(("weight", "bias")):
            np.testing.assert_array_equal(fitted.model_.state_dict()[name], array)


def test_a_given_model_keeps_its_normalization() -> None:
    model = cn.zoo.cnn((1, 8, 8))
    model.normalization = {"mean": [3.0], "std": [2.0]}
    assert few(model=model).fit(ROWS, LABELS).model_.normalization == {"mean": [3.0], "std": [2.0]}


def test_few_images_are_seen_more_often() -> None:
    assert len(ImageClassifier(dense, image_shape="flat").fit(ROWS[:64], LABELS[:64]).history_) == 300
    assert len(few(epochs=None, batch_size=4, model=small).fit(ROWS[:64], LABELS[:64]).history_) == 20
    assert len(few(epochs=3).fit(ROWS, LABELS).history_) == 3


def test_a_share_of_each_class_is_held_out() -> None:
    fitted = few(validation_fraction=0.2).fit(ROWS, LABELS)
    assert all(record["test_accuracy"] is not None for record in fitted.history_)
    assert few().fit(ROWS, LABELS).history_[-1]["test_loss"] is None


def test_patience_ends_a_run_that_gets_no_better() -> None:
    fitted = few(epochs=50, lr=0.0, patience=3, validation_fraction=0.2, model=small).fit(ROWS, LABELS)
    assert len(fitted.history_) == 4


def test_an_augmentation_changes_what_is_trained_on() -> None:
    plain, light, again = (
        few(augmentation=each).fit(ROWS, LABELS).predict_proba(ROWS)
        for each in (None, "light", cn.data.augmentation.preset("light"))
    )
    assert not np.array_equal(plain, light)
    np.testing.assert_array_equal(light, again)


def test_verbose_is_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    few(verbose=True, validation_fraction=0.2, class_weight="balanced").fit(ROWS, LABELS)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2/2: train loss ")
    assert "test accuracy" in lines[1]
    few().fit(ROWS, LABELS)
    assert capsys.readouterr().out == ""


# What does not fit

IMAGES = np.zeros((6, 3, 32, 3))
SIX = np.arange(6) % 2


@pytest.mark.parametrize(
    ("arguments", "x", "error", "message"),
    [
        ({}, IMAGES, ArgumentError, r"both the first and the last axis are at most 4.*\(3, 32, 3\): say channels="),
        ({}, np.zeros((6, 8, 8, 8)), ArgumentError, r"neither the first nor the last axis is at most 4.*\(8, 8, 8\)"),
        ({}, np.zeros((6, 1, 1, 8, 8)), ShapeError, r"images of two or three axes, got images of shape \(1, 1, 8, 8\)"),
        ({"channels": "middle"}, IMAGES, ArgumentError, "channels must be 'first', 'last' or 'auto', got 'middle'"),
        ({}, np.zeros((6, 3072)), ArgumentError, "rows of 3072 numbers are no square images .* give image_shape"),
        ({"model": "cnn"}, np.zeros((6, 20)), ArgumentError, "rows of 20 numbers are no square images"),
        ({"image_shape": (8, 9)}, np.zeros((6, 64)), ShapeError, r"image_shape \(8, 9\) asks for 72 numbers an image"),
        ({"image_shape": (8, 8)}, np.zeros((6, 4, 16)), ShapeError, r"image_shape \(8, 8\) asks .* shape \(4, 16\)"),
        ({"image_shape": (64,)}, np.zeros((6, 64)), ArgumentError, r"two or three positive whole numbers, got \(64,\)"),
        ({"image_shape": (8, -8)}, np.zeros((6, 64)), ArgumentError, "positive whole numbers"),
        ({"image_shape": "square"}, np.zeros((6, 64)), ArgumentError, "image_shape must be sizes, or 'flat'"),
        ({"image_shape": "flat"}, np.zeros((6, 8, 8)), ArgumentError, r"'flat' for rows .* images of shape \(8, 8\)"),
        ({"model": "lenet"}, np.zeros((6, 64)), ArgumentError, "there is no model 'lenet': did you mean lenet5"),
        ({"model": "zzz"}, np.zeros((6, 64)), ArgumentError, "expected 'auto', .*cnn"),
        ({"model": 3}, np.zeros((6, 64)), ArgumentError, "there is no model 3"),
        ({"model": "Model"}, np.zeros((6, 64)), ArgumentError, "there is no model 'Model'"),
        ({"model": lambda **_: None}, np.zeros((6, 64)), ArgumentError, "model must return a Model, got NoneType"),
        ({"model": cn.zoo.cnn((1, 8, 8))}, np.zeros((6, 64)), ShapeError, r"must put out \(2,\).*got \(10,\)"),
        ({"model": "cnn"}, np.zeros((6, 9)), ShapeError, "cnn: images must be at least 4×4, got 3×3"),
        ({"optimizer": "sdg"}, np.zeros((6, 64)), ArgumentError, "got 'sdg'"),
        ({"epochs": 0}, np.zeros((6, 64)), ArgumentError, "epochs must be positive, got 0"),
        ({"batch_size": 0}, np.zeros((6, 64)), ArgumentError, "batch_size must be a positive whole number, got 0"),
        ({"batch_size": "64"}, np.zeros((6, 64)), ArgumentError, "batch_size must be .* got '64'"),
        ({"validation_fraction": 1.0}, np.zeros((6, 64)), ArgumentError, r"validation_fraction must be in \[0, 1\)"),
        ({"validation_fraction": "0.2"}, np.zeros((6, 64)), ArgumentError, "validation_fraction must be .* got '0.2'"),
        ({"patience": 3}, np.zeros((6, 64)), ArgumentError, "patience looks at images held out: give a validation"),
        ({"augmentation": "dark"}, np.zeros((6, 64)), ArgumentError, "There is no augmentation 'dark'"),
        ({"class_weight": {7: 1.0}}, np.zeros((6, 64)), ArgumentError, "class_weight names 7, which is no label in y"),
        ({"class_weight": [1.0, 2.0]}, np.zeros((6, 64)), ArgumentError, "class_weight must be a number by label"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: Any, x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as raised:
        ImageClassifier(**arguments).fit(x, SIX)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([1.0, 2.0], ShapeError, r"a number for each of 6 images, got shape \(2,\)"),
        ([-1.0, 1, 1, 1, 1, 1], ArgumentError, "must not be negative, nor all zero, got -1 as the least"),
        (np.zeros(6), ArgumentError, "must not be negative, nor all zero, got 0 as the least"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        few().fit(np.zeros((6, 64)), SIX, sample_weight=weights)


def test_images_of_another_shape_than_in_fit_are_refused() -> None:
    fitted = few(model=small).fit(np.zeros((6, 8, 6)), SIX)
    with pytest.raises(ShapeError, match=r"expected images of shape \(8, 6\), as in fit, got \(6, 8\)"):
        fitted.predict(np.zeros((2, 6, 8)))


def test_without_scikit_learn_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import colonnade.sklearn"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = result.stderr.splitlines()[-1]
    assert last.endswith('colonnade.sklearn needs scikit-learn 1.6 or newer: pip install "colonnade[sklearn]".')


def test_the_package_does_not_import_scikit_learn() -> None:
    code = "import sys, colonnade; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def _named(*classes: str) -> tuple[cn.Model, np.ndarray, np.ndarray]:
    """A model that tells shades apart, its outputs in this order, and images of them with their labels."""
    from tests.data.pictures import SHADES, expert

    labels = np.array(sorted(classes) * 10)
    images = np.zeros((len(labels), 3, 1, 1), np.uint8)
    images[:, 0, 0, 0] = [SHADES[label] for label in labels]
    model = expert(*classes)
    model.normalization = {"mean": [0.0] * 3, "std": [1.0] * 3}
    return model, images, labels


@pytest.mark.parametrize("weighted", [False, True])
def test_a_given_models_classes_are_paired_with_labels_by_name(weighted: bool) -> None:
    model, x, y = _named("tulips", "daisy", "roses")
    weights = {"sample_weight": np.linspace(0.5, 1.5, len(y))} if weighted else {}
    classifier = ImageClassifier(
        model, epochs=1, optimizer="sgd", lr=1e-4, validation_fraction=0.2, channels="first", random_state=0
    )
    classifier.fit(x, y, **weights)
    assert classifier.classes_.tolist() == ["daisy", "roses", "tulips"]
    assert classifier.history_[0]["train_loss"] < 0.1
    assert classifier.history_[0]["test_accuracy"] == 1
    assert classifier.model_.classes == ["tulips", "daisy", "roses"]
    assert classifier.score(x, y) == 1
    np.testing.assert_array_equal(classifier.predict_proba(x).argmax(axis=1), np.searchsorted(classifier.classes_, y))


def test_labels_that_a_given_model_does_not_know_are_named() -> None:
    model, x, y = _named("tulips", "daisy", "roses")
    y[y == "daisy"] = "orchi"
    with pytest.raises(ArgumentError, match="got orchi, which it has not"):
        ImageClassifier(model, epochs=1, channels="first").fit(x, y)


def test_labels_that_are_numbers_count_a_given_models_outputs() -> None:
    model, x, y = _named("daisy", "roses", "tulips")
    classifier = ImageClassifier(model, epochs=1, optimizer="sgd", lr=1e-4, channels="first", random_state=0)
    assert classifier.fit(x, np.searchsorted(np.unique(y), y)).history_[0]["train_accuracy"] == 1
