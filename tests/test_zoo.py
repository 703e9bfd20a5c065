"""The networks of the zoo are those of the papers, layer by layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

SMALL: dict[str, dict[str, Any]] = {
    "convnext_tiny": {"depths": (1, 1), "widths": (8, 16)},
    "densenet": {"depth": 10, "growth": 4},
    "mobilenet_v2": {"width": 0.25},
    "name_transformer": {"width": 12, "depth": 1},
    "unet": {"width": 4, "depth": 2},
    "vit_tiny": {"width": 12, "depth": 1},
}
NAMES = [name for name in cn.zoo.__all__ if name != "autoencoder" and not name.startswith("name_")]


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
    options: dict[str, Any] = {"seed": 5, "dtype": "float64", "share_memory": False, **SMALL.get(name, {})}
    model = getattr(cn.zoo, name)(input_shape=(2, 16, 20), classes=7, **options)
    made = (7, 16, 20) if name == "unet" else (7,)
    assert (model.input_shape, model.output_shape) == ((2, 16, 20), made)
    assert (model.seed, model.dtype, model.share_memory) == (5, np.float64, False)
    assert model(np.ones((3, 2, 16, 20))).shape == (3, *made)


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


@pytest.mark.parametrize(
    ("name", "least"),
    [
        *(
            ("lenet5", 12),
            ("cnn", 4),
            ("vgg", 8),
            ("photo_cnn", 16),
            ("resnet9", 8),
            ("densenet", 4),
            ("squeezenet", 8),
        ),
        ("convnext_tiny", 8),
        ("unet", 16),
    ],
)
def test_the_least_image_is_taken_and_a_smaller_one_named(name: str, least: int) -> None:
    make = getattr(cn.zoo, name)
    assert make(input_shape=(1, least, least), classes=3).output_shape[0] == 3
    with pytest.raises(ShapeError, match=f"{name}: images must be at least {least}×{least}, got {least}×{least - 1}"):
        make(input_shape=(1, least, least - 1))


@pytest.mark.parametrize(
    ("name", "options", "count", "operations"),
    [
        ("mlp", {}, 784 * 512 + 512 + 512 * 256 + 256 + 256 * 10 + 10, 0.00),
        ("resnet18", {}, 11_689_512, 1.81),  # this and the next three: torchvision's
        ("mobilenet_v2", {}, 3_504_872, 0.30),
        ("squeezenet", {}, 1_235_496, 0.35),
        ("convnext_tiny", {}, 28_589_128, 4.46),
        ("vit_tiny", {}, 5_717_416, 1.26),  # 5.7 million: DeiT-Ti, Touvron et al. 2021, table 1
        ("densenet", {}, 176_122, 0.07),
        ("densenet", {"depth": 100}, 769_162, 0.29),  # 0.8 million: Huang et al. 2017, table 2
        ("autoencoder", {}, 5_257, 0.00),
        ("name_model", {}, 27 * 10 + 30 * 200 + 200 + 200 * 27 + 27, 0.00),
        ("name_lstm", {}, 27 * 64 + 4 * 64 * (64 + 64 + 2) + 64 * 27 + 27, 0.00),
        ("name_transformer", {}, 27 * 64 + 16 * 64 + 2 * 49_984 + 2 * 64 + 64 * 27 + 27, 0.00),
        ("unet", {}, 31_037_698, 12.05),
    ],
    ids=str,
)
def test_parameters_and_operations_are_as_many_as_published(
    name: str, options: dict[str, Any], count: int, operations: float
) -> None:
    """Operations are multiplications and additions of one image, a pair counted as one, in billions."""
    table = getattr(cn.zoo, name)(**options).table()
    assert table["parameters"] == count
    assert table["flops"] / 2e9 == pytest.approx(operations, abs=0.01)


@pytest.mark.parametrize("name", cn.zoo.__all__)
def test_what_is_saved_and_loaded_is_the_same_network(name: str, tmp_path: Path) -> None:
    shape = (3,) if name.startswith("name_") else (3, 16, 16)
    model = getattr(cn.zoo, name)(input_shape=shape, **SMALL.get(name, {}))
    x = np.random.default_rng(0).integers(0, 27, (2, *shape))
    model(x, training=True)  # moves the running statistics
    model.save(tmp_path / "model.safetensors")
    again = cn.load(tmp_path / "model.safetensors")
    assert again.summary() == model.summary()
    assert list(again.state_dict()) == list(model.state_dict())
    assert again(x).tobytes() == model(x).tobytes()


@pytest.mark.parametrize("name", cn.zoo.__all__)
def test_the_command_line_knows_every_network(name: str) -> None:
    runner = pytest.importorskip("typer.testing", reason="the command line needs typer").CliRunner()
    from colonnade.cli.main import app

    result = runner.invoke(app, ["summary", name, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["model"] == name


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize(
    ("name", "first"), [("resnet18", "conv1"), ("mobilenet_v2", "features.0.0"), ("squeezenet", "features.0")]
)
def test_the_stem_is_an_argument_and_by_default_that_of_the_images_size(name: str, first: str, stem: str) -> None:
    def stride(pixels: int, **options: Any) -> int:
        model = getattr(cn.zoo, name)(input_shape=(3, pixels, pixels), classes=3, **options)
        rows = {row["name"]: row["output_shape"] for row in model.table()["layers"]}
        return round(pixels / rows[first][1])

    expected = 2 if stem == "imagenet" else 1
    assert stride(48, stem=stem) == expected
    assert stride(64 if stem == "imagenet" else 63) == expected
    with pytest.raises(ArgumentError, match=f"{name}: stem must be 'imagenet' or 'cifar', got 'large'"):
        stride(32, stem="large")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.zoo.mlp(hidden=(5, 0)), r"mlp: hidden must hold positive widths, got \(5, 0\)\."),
        (lambda: cn.zoo.mobilenet_v2(width=0), r"mobilenet_v2: width must be positive, got 0\."),
        (lambda: cn.zoo.densenet(depth=41), r"densenet: depth must be 4 more than a multiple of 6, got 41\."),
        (lambda: cn.zoo.densenet(depth=4), r"densenet: depth must be 4 more than a multiple of 6, got 4\."),
        (lambda: cn.zoo.densenet(growth=0), r"densenet: growth must be positive, got 0\."),
        (
            lambda: cn.zoo.convnext_tiny(depths=(1, 2), widths=(3,)),
            r"convnext_tiny: expected a positive depth and width for each stage, got \(1, 2\) and \(3,\)\.",
        ),
        (lambda: cn.zoo.convnext_tiny(patch_size=0), r"convnext_tiny: patch_size must be positive, got 0\."),
        (
            lambda: cn.zoo.convnext_tiny((3, 24, 24), patch_size=4),
            r"convnext_tiny: images must be at least 32×32, got 24×24\.",
        ),
        (lambda: cn.zoo.vit_tiny(depth=0), r"vit_tiny: depth must be positive, got 0\."),
        (
            lambda: cn.zoo.vit_tiny(heads=5),
            r"MultiheadAttention: embed_dim must be divisible by num_heads = 5, got 192\.",
        ),
        (
            lambda: cn.zoo.vit_tiny((3, 30, 32), patch_size=4),
            r"vit_tiny: images must part into patches of 4×4, got 30×32\.",
        ),
        (
            lambda: cn.zoo.autoencoder(classes=10),
            r"autoencoder: it puts out images and has no classes, got classes=10\.",
        ),
        (lambda: cn.zoo.autoencoder(code=0), r"autoencoder: code must be positive, got 0\."),
        (
            lambda: cn.zoo.autoencoder((28, 28)),
            r"autoencoder: expected one image's shape \(c, h, w\), got \(28, 28\)\.",
        ),
        (
            lambda: cn.zoo.name_model((3, 4)),
            r"name_model: expected the length of the context, \(k,\), got \(3, 4\)\.",
        ),
        (
            lambda: cn.zoo.name_lstm((3, 4)),
            r"name_lstm: expected the length of the context, \(t,\), got \(3, 4\)\.",
        ),
        (
            lambda: cn.zoo.name_lstm(layers=0),
            r"name_lstm: layers must be positive, got 0\.",
        ),
        (
            lambda: cn.zoo.name_transformer(()),
            r"name_transformer: expected the length of the context, \(t,\), got \(\)\.",
        ),
        (
            lambda: cn.zoo.name_transformer(depth=0),
            r"name_transformer: depth must be positive, got 0\.",
        ),
        (
            lambda: cn.zoo.unet(depth=0),
            r"unet: depth must be positive, got 0\.",
        ),
        (
            lambda: cn.zoo.unet(width=0),
            r"unet: width must be positive, got 0\.",
        ),
        (
            lambda: cn.zoo.name_model(hidden=0),
            r"name_model: hidden must be positive, got 0\.",
        ),
    ],
)
def test_options_that_make_no_network_are_one_line(make: Callable[[], cn.Model], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize("size", [(28, 28), (7, 10), (1, 1), (5, 6)], ids=str)
def test_the_autoencoder_puts_out_an_image_of_the_inputs_size(size: tuple[int, int]) -> None:
    model = cn.zoo.autoencoder((2, *size))
    assert model.output_shape == (2, *size)
    assert model.cut("encoder2").output_shape == (8, -(-size[0] // 4), -(-size[1] // 4))


def test_the_parts_of_a_network_are_split_and_frozen_by_their_names() -> None:
    model = cn.zoo.resnet18((3, 32, 32), 5)
    body, head = model.split("flatten")
    assert (body.output_shape, head.output_shape) == ((512,), (5,))
    model.freeze("conv1", "bn1", "layer1", "layer2.0")
    learned = {parameter.name for parameter in model.parameters() if parameter.trainable}
    assert "layer2.1.conv1.weight" in learned
    assert not any(name.startswith(("conv1", "bn1", "layer1", "layer2.0")) for name in learned)


def test_convnext_begins_with_layer_scales_that_make_its_blocks_nearly_the_identity() -> None:
    state = cn.zoo.convnext_tiny((3, 32, 32), 5, depths=(1, 1), widths=(4, 8)).state_dict()
    scales = [array for name, array in state.items() if name.endswith("layer_scale.weight")]
    assert len(scales) == 2
    assert all((array == np.float32(1e-6)).all() for array in scales)


@pytest.mark.parametrize("name", ["name_lstm", "name_transformer"])
def test_a_model_of_names_does_not_look_ahead(name: str) -> None:
    model = getattr(cn.zoo, name)((6,), 27, seed=1)
    x = np.random.default_rng(0).integers(0, 27, (4, 6))
    y = model(x)
    assert y.shape == (4, 27, 6)
    for place in range(6):
        other = x.copy()
        other[:, place] = (other[:, place] + 1) % 27
        before, behind = np.split(model(other) - y, [place], axis=2)
        assert not before.any()
        assert (np.abs(behind).max(axis=1) > 0).all()  # the character and all that follows see it


def test_an_lstm_of_names_has_the_weights_of_any_length() -> None:
    short, long = cn.zoo.name_lstm((4,)), cn.zoo.name_lstm((9,))
    long.load_state_dict(short.state_dict())
    x = np.random.default_rng(0).integers(0, 27, (3, 9))
    np.testing.assert_allclose(long(x)[:, :, :4], short(x[:, :4]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (15, 21), (10, 13)], ids=str)
def test_the_unet_puts_out_an_image_of_the_inputs_size(size: tuple[int, int], bilinear: bool) -> None:
    model = cn.zoo.unet((2, *size), 5, width=2, depth=3, bilinear=bilinear)
    assert model.output_shape == (5, *size)
