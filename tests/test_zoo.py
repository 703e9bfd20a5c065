"""The networks of the zoo are those of the papers, layer by layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

NAMES = ["lenet5", "cnn", "vgg", "resnet20"]


def outline(model: cn.Model) -> list[str]:
    """Each layer's type, and how many channels or features it puts out where it says so."""
    lines = []
    for layer in model:
        width = getattr(layer, "out_channels", None) or getattr(layer, "out_features", None)
        lines.append(type(layer).__name__ + (f" {width}" if width else ""))
    return lines


def test_cnn_is_the_standard_one() -> None:
    model = cn.zoo.cnn()
    block = ["BatchNorm2d", "ReLU", "MaxPool2d"]
    assert outline(model) == ["Conv2d 32", *block, "Conv2d 64", *block, "Flatten", "Dense 128", "ReLU", "Dense 10"]
    for position in (0, 4):
        config = model[position].config()
        assert (config["kernel_size"], config["padding"], config["bias"]) == (3, 1, True)
    assert model.state_dict()["9.weight"].shape == (128, 64 * 7 * 7)


def test_vgg_has_three_pairs_without_bias() -> None:
    model = cn.zoo.vgg()
    assert [line for line in outline(model) if line not in ("BatchNorm2d", "ReLU")] == [
        *("Conv2d 64", "Conv2d 64", "MaxPool2d"),
        *("Conv2d 128", "Conv2d 128", "MaxPool2d"),
        *("Conv2d 256", "Conv2d 256", "MaxPool2d"),
        *("Flatten", "Dense 10"),
    ]
    assert not any(layer.config()["bias"] for layer in model if isinstance(layer, cn.Conv2d))
    assert model.state_dict()["22.weight"].shape == (10, 256 * 4 * 4)


def test_lenet5_has_the_maps_of_the_paper() -> None:
    model = cn.zoo.lenet5()
    shapes = [row["output_shape"] for row in model.table()["layers"] if row["type"] in ("Conv2d", "AvgPool2d", "Dense")]
    assert shapes == [[6, 28, 28], [6, 14, 14], [16, 10, 10], [16, 5, 5], [120], [84], [10]]


def test_resnet20_has_twenty_layers_and_the_papers_parameters() -> None:
    model = cn.zoo.resnet20()
    weights = {name: array for name, array in model.state_dict().items() if name.endswith("weight") and array.ndim > 1}
    projections = [name for name in weights if ".shortcut." in name]
    assert len(weights) - len(projections) == 20
    assert len(projections) == 2
    # He et al. count 0.27 million; the two projections add 16·32 + 32·64 and their batch norms.
    assert round(sum(parameter.size for parameter in model.parameters()) / 1e6, 2) == 0.27
    sizes = [row["output_shape"] for row in model.table()["layers"] if row["name"].endswith("main.3")]
    assert sizes == [[16, 32, 32]] * 3 + [[32, 16, 16]] * 3 + [[64, 8, 8]] * 3


@pytest.mark.parametrize("name", NAMES)
def test_image_size_classes_and_the_models_options_are_arguments(name: str) -> None:
    model = getattr(cn.zoo, name)(input_shape=(2, 16, 20), classes=7, seed=5, dtype="float64", share_memory=False)
    assert (model.input_shape, model.output_shape) == ((2, 16, 20), (7,))
    assert (model.seed, model.dtype, model.share_memory) == (5, np.float64, False)
    assert model(np.ones((3, 2, 16, 20))).shape == (3, 7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"input_shape": (28, 28)}, ShapeError, r"expected one image's shape \(c, h, w\), got \(28, 28\)"),
        ({"classes": 0}, ArgumentError, "classes must be positive, got 0"),
    ],
)
def test_arguments_out_of_range_are_named(
    name: str, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"{name}: {message}"):
        getattr(cn.zoo, name)(**arguments)


@pytest.mark.parametrize(("name", "least"), [("lenet5", 12), ("cnn", 4), ("vgg", 8)])
def test_the_least_image_is_taken_and_a_smaller_one_named(name: str, least: int) -> None:
    make = getattr(cn.zoo, name)
    assert make(input_shape=(1, least, least)).output_shape == (10,)
    with pytest.raises(ShapeError, match=f"{name}: images must be at least {least}×{least}, got {least}×{least - 1}"):
        make(input_shape=(1, least, least - 1))
