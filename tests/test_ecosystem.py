"""The doors that others come in by: safetensors, pickle, anything with `__array__`, data frames, the shell."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 1, 6, 6)).astype(np.float32)
Y = np.arange(12) % 3


def small(**options: Any) -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Dropout(0.5), cn.Flatten(), cn.Dense(4 * 16, 3)]
    return cn.Model(layers, **options)


class Shift(cn.Layer):
    """A layer of a user's own: y = x + by."""

    def __init__(self, by: float) -> None:
        self.by = by

    def forward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
        np.add(x.value, self.by, out=y.value)

    def backward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
        x.grad[...] = y.grad


# Model files


def test_a_model_file_loads_with_the_safetensors_package_alone(tmp_path: Path) -> None:
    model = small(seed=3)
    model.fit(X, Y)
    model.save(tmp_path / "model.safetensors")
    code = (
        "import json, sys; from safetensors.numpy import load_file;"
        "state = load_file('model.safetensors'); assert 'colonnade' not in sys.modules;"
        "print(json.dumps({name: [str(array.dtype), array.tolist()] for name, array in state.items()}))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {
        name: [str(array.dtype), array.tolist()] for name, array in model.state_dict().items()
    }


# Pickle, for multiprocessing and joblib; Colonnade itself never unpickles


def copies() -> list[Any]:
    """The ways to copy a model."""

    def pickled(model: cn.Model) -> cn.Model:
        again: cn.Model = pickle.loads(pickle.dumps(model))  # noqa: S301
        return again

    return [pytest.param(pickled, id="pickle"), pytest.param(copy.deepcopy, id="deepcopy")]


@pytest.mark.parametrize("copied", copies())
def test_a_copy_is_the_same_model_with_weights_of_its_own(copied: Callable[[cn.Model], cn.Model]) -> None:
    model = small(seed=5, dtype="float64", share_memory=False)
    model.fit(X, Y, normalization={"mean": [0.1], "std": [2.0]})
    model.classes = ["a", "b", "c"]
    model.freeze("0")
    again = copied(model)
    assert again(X).tobytes() == model(X).tobytes()
    assert repr(again) == repr(model)
    assert again.description() == model.description()
    assert again.share_memory is False
    again.parameters()[0].value[...] = 0
    assert model.parameters()[0].value.any()


@pytest.mark.parametrize("copied", copies())
def test_a_copy_goes_on_training_as_the_model_does(copied: Callable[[cn.Model], cn.Model]) -> None:
    model = small(seed=5)
    model.fit(X, Y)
    again = copied(model)
    for each in (model, again):
        each.fit(X, Y, epochs=2, optimizer=cn.SGD(each.parameters(), lr=0.1))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)


@pytest.mark.parametrize("copied", copies())
def test_a_model_that_has_seen_nothing_is_copied(copied: Callable[[cn.Model], cn.Model]) -> None:
    model = small(seed=7)
    again = copied(model)
    assert again.input_shape is None
    np.testing.assert_array_equal(again(X), model(X))


@pytest.mark.parametrize("copied", copies())
def test_layers_of_ones_own_and_all_wirings_are_copied(copied: Callable[[cn.Model], cn.Model]) -> None:
    body = cn.Model([cn.Conv2d(2, 2, 1), Shift(0.5)])
    model = cn.Model(
        [cn.Conv2d(1, 2, 3, padding=1), cn.Residual([body]), cn.Branches([cn.ReLU()], [Shift(1.0)]), cn.Flatten()]
    )
    expected = model(X)
    np.testing.assert_array_equal(copied(model)(X), expected)


@pytest.mark.parametrize("copied", copies())
def test_every_network_of_the_zoo_is_copied(copied: Callable[[cn.Model], cn.Model]) -> None:
    for make, shape in ((cn.zoo.lenet5, (1, 28, 28)), (cn.zoo.resnet20, (3, 16, 16))):
        model = make(shape)
        x = RNG.normal(size=(2, *shape))
        np.testing.assert_array_equal(copied(model)(x), model(x))


def test_a_model_works_in_another_process() -> None:
    model = small(seed=9)
    expected = model(X)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(model, (X,)), expected)


# Anything with __array__


class Images:
    """What has `__array__`, and nothing else that NumPy knows."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.array, dtype)


def only_array(array: Any) -> Any:
    return Images(array)


def tensor(array: Any) -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed").from_numpy(np.array(array))


def frame(array: Any) -> Any:
    """A data frame of rows; a series of labels."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    return pandas.Series(array) if array.ndim == 1 else pandas.DataFrame(array)


def lists(array: Any) -> Any:
    return array.tolist()


@pytest.mark.parametrize("kind", [only_array, tensor, frame, lists])
def test_every_door_takes_anything_with_an_array(kind: Callable[[Any], Any]) -> None:
    x = X.reshape(12, 36)  # flat rows, so that a data frame can hold them

    def results(convert: Callable[[Any], Any]) -> list[Any]:
        """What every method gives when its arguments come as `convert` makes them."""
        model = cn.Model([cn.Dense(36, 8), cn.ReLU(), cn.Dense(8, 3)], seed=1)
        history = model.fit(convert(x), convert(Y), validation=(convert(x), convert(Y)), batch_size=4)
        found = [history[0]["train_loss"], history[0]["test_loss"]]
        found += [model.evaluate(convert(x), convert(Y))["loss"]]
        found += [model.predict(convert(x)), model.predict_proba(convert(x)), model(convert(x))]
        y = model(convert(x), training=True)
        loss, gradient = cn.CrossEntropyLoss()(y, convert(Y))
        found += [loss, gradient, model.backward(convert(gradient))]
        model.load_state_dict({name: convert(array) for name, array in model.state_dict().items()})
        return [*found, model(convert(x))]

    for expected, got in zip(results(np.asarray), results(kind), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("kind", [only_array, tensor, lists])
def test_images_come_as_anything_with_an_array(kind: Callable[[Any], Any]) -> None:
    model, other = small(seed=1), small(seed=1)
    model.fit(X, Y)
    other.fit(kind(X), kind(Y))
    np.testing.assert_array_equal(other.predict_proba(kind(X)), model.predict_proba(X))


@pytest.mark.parametrize("kind", [only_array, tensor, frame])
def test_data_sets_are_made_of_anything_with_an_array(kind: Callable[[Any], Any]) -> None:
    x, y = X.reshape(12, 36), Y
    arrays = cn.data.Arrays(kind(x), kind(y))
    assert (len(arrays), arrays.shape) == (12, (36,))
    np.testing.assert_array_equal(arrays.take(np.array([3, 1])), x[[3, 1]])
    np.testing.assert_array_equal(arrays.targets, y)


def test_a_history_becomes_a_data_frame() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    history = small().fit(X, Y, epochs=3)
    table = pandas.DataFrame(history)
    assert list(table.epoch) == [1, 2, 3]
    assert list(table.train_loss) == history.train_loss


# The shell


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "colonnade"],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_python_m_colonnade_is_the_command_line() -> None:
    result = run()
    assert result.returncode == 0
    assert "Usage: colonnade" in result.stdout


@pytest.mark.parametrize(
    "shell", ["bash", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("zsh", "fish"))]
)
def test_a_shell_is_given_its_script_for_completion(shell: str) -> None:
    result = run(_COLONNADE_COMPLETE=f"source_{shell}")
    assert result.returncode == 0, result.stderr
    assert "_COLONNADE_COMPLETE=complete_" + shell in result.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("colonnade tr", "train", marks=pytest.mark.thorough),
        ("colonnade train --ep", "--epochs"),
        pytest.param("colonnade --ver", "--version", marks=pytest.mark.thorough),
    ],
)
def test_a_word_is_completed(words: str, expected: str) -> None:
    place = str(len(words.split()) - 1)
    result = run(_COLONNADE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=place)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [expected]
