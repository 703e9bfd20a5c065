"""A model file by whoever: a model, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage
from colonnade.errors import ArgumentError, FileFormatError

DEEP = "[" * 5000 + "]" * 5000


@pytest.fixture
def parts() -> tuple[dict[str, Any], dict[str, Any]]:
    """What a model file holds: arrays, and a description."""
    model = cn.Model([cn.Conv2d(2, 3, 3), cn.BatchNorm2d(3), cn.ReLU(), cn.Flatten(), cn.Dense(48, 2)], seed=0)
    model.build((2, 6, 6))
    return model.state_dict(), json.loads(json.dumps(model.description()))


def written(folder: Path, tensors: dict[str, Any], text: str) -> Path:
    storage.write(folder / "a.safetensors", tensors, {"colonnade": text})
    return folder / "a.safetensors"


def refused(path: Path, message: str) -> None:
    with pytest.raises(FileFormatError, match=message) as caught:
        cn.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(str(path)) == 1
    assert "\n" not in str(caught.value)


NO_JSON = ["", "{", DEEP, DEEP[:5000], '{"version": 1' + "0" * 400 + "}"]


@pytest.mark.parametrize("text", [*NO_JSON, "[]", "null", '"a"', "3"], ids=lambda text: text[:9])
def test_a_description_that_is_none_is_one_line(tmp_path: Path, text: str) -> None:
    refused(written(tmp_path, {}, text), "not a Colonnade model: it holds no description of one")


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a newer version": ({"version": 99}, "written by a newer version"),
    "no architecture": ({"architecture": None}, "not a whole Colonnade model"),
    "a layer nobody knows": ({"architecture": [{"type": "os.system"}]}, "unknown layer 'os.system'"),
    "a layer's type that is a list": ({"architecture": [{"type": ["ReLU"]}]}, "not a whole Colonnade model"),
    "no type": ({"architecture": [{}]}, "it lacks 'type'"),
    "arguments of another layer": ({"architecture": [{"type": "ReLU", "stride": 3}]}, "unexpected keyword argument"),
    "composites without end": (
        {"architecture": json.loads('[{"type": "Chain", "layers": ' * 60 + "[]" + "}]" * 60)},
        "nested more than 32 deep",
    ),
    "a shape of text": ({"input_shape": "abc"}, "not a whole Colonnade model"),
    "a shape of lists": ({"input_shape": [[2], [6], [6]]}, "not a whole Colonnade model"),
    "a seed of text": ({"seed": "x"}, "seed must be"),
    "another type of numbers": ({"dtype": "object"}, "dtype must be float32 or float64, got 'object'"),
    "a type of numbers that is none": ({"dtype": "a,b["}, "dtype must be float32 or float64"),
    "one class too many": ({"classes": ["a", "b", "c"]}, "expected a name for each of 2 outputs, got 3"),
    "classes that are numbers": ({"classes": [1, 2]}, "classes must be a list of names"),
    "a normalisation of text": ({"normalization": "x"}, "normalization: expected"),
    "a normalisation without spread": ({"normalization": {"mean": [0, 0], "std": [0, 1]}}, "stds above 0"),
    "a normalisation of huge numbers": ({"normalization": {"mean": [0, 10**400], "std": [1, 1]}}, "1,000 bits"),
    "a normalisation of other images": ({"normalization": {"mean": [0], "std": [1]}}, "a mean and a std for each of 2"),
    "frozen layers that are none": ({"frozen": ["nothing"]}, "no layer or parameter is called 'nothing'"),
    "names of inputs that are numbers": ({"inputs": [3]}, "inputs must be a list of names"),
    "one output too many": ({"outputs": ["a", "b"]}, "expected a name for each of the 1 outputs"),
    "frozen numbers": ({"frozen": [3]}, "not a whole Colonnade model"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_description_that_makes_no_sense_is_one_line(name: str, tmp_path: Path, parts: Any) -> None:
    (tensors, description), (changes, message) = parts, CHANGES[name]
    refused(written(tmp_path, tensors, json.dumps(description | changes)), message)


def test_a_normalisation_is_checked_where_the_images_are_not_known(tmp_path: Path, parts: Any) -> None:
    tensors, description = parts
    changes = {"input_shape": None, "normalization": {"mean": "x"}}
    refused(written(tmp_path, tensors, json.dumps(description | changes)), "normalization: expected")


def test_weights_of_another_shape_are_refused_before_any_are_made(tmp_path: Path, parts: Any) -> None:
    tensors, description = parts
    description["architecture"][4]["out_features"] = 10**12
    refused(written(tmp_path, tensors, json.dumps(description)), r"4\.weight should be \(1000000000000, 48\)")


def test_an_unchanged_file_is_the_model(tmp_path: Path, parts: Any) -> None:
    tensors, description = parts
    model = cn.load(written(tmp_path, tensors, json.dumps(description)))
    assert model(np.zeros((1, 2, 6, 6))).shape == (1, 2)


def test_names_of_inputs_and_outputs_are_saved_and_files_without_them_are_read(tmp_path: Path, parts: Any) -> None:
    tensors, description = parts
    path = written(tmp_path, tensors, json.dumps(description | {"inputs": ["image"], "outputs": ["classes"]}))
    model = cn.load(path)
    assert (model.inputs, model.outputs) == (("image",), ("classes",))
    model.save(path)
    assert cn.load(path).outputs == ("classes",)
    of_before = {name: value for name, value in description.items() if name not in ("inputs", "outputs")}
    old = cn.load(written(tmp_path, tensors, json.dumps(of_before)))
    assert (old.inputs, old.outputs) == (("input",), ("output",))


def test_a_name_of_another_format_is_refused(tmp_path: Path) -> None:
    model = cn.Model([cn.Flatten(), cn.Dense(4, 2)]).build((1, 2, 2))
    with pytest.raises(ArgumentError, match=r"^save: a name that ends in \.onnx is of ONNX: use export_onnx, got "):
        model.save(tmp_path / "model.ONNX")
    assert list(tmp_path.iterdir()) == []
