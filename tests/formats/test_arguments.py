"""Every argument of every layer, away from its default, comes back from our own file, from ONNX and from PyTorch."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.composites import describe
from colonnade.composites.construction import KNOWN
from tests.formats.exported import (
    Shape,
    attending,
    batch,
    detecting,
    named,
    numbers,
    of_two,
    sampled,
    with_other_numbers,
    with_places,
)

# Each layer with arguments that are none of its defaults; together the rows of a layer cover all that it keeps.
ROWS: list[tuple[Any, Shape]] = [
    (cn.AdaptiveAvgPool2d((2, 3)), (2, 5, 4)),
    (cn.AdaptiveMaxPool2d((2, 3)), (2, 5, 4)),
    (cn.Affine(0.7, -0.2), (2, 3)),
    (cn.Amax((1, 2), True), (2, 3)),
    (cn.Amin((1, 2), True), (2, 3)),
    (cn.Argmax(2, True, True), (2, 3)),
    (cn.Argmin(2, True, True), (2, 3)),
    (cn.AvgPool1d((3,), (2,), (1,), True, False), (2, 8)),
    (cn.AvgPool2d((3, 2), (2, 1), (1, 0), True, False, 5), (2, 6, 6)),
    (cn.BatchNorm1d(3, 1e-3, 0.37), (3,)),
    (cn.BatchNorm1d(3, 1e-3, None, False), (3, 4)),
    (cn.BatchNorm1d(3, 1e-3, None, True, False, bias=False), (3, 4)),
    (cn.BatchNorm2d(3, 1e-3, 0.37), (3, 4, 5)),
    (cn.BatchNorm3d(3, 1e-3, 0.37), (3, 2, 3, 2)),
    (cn.BatchNorm3d(3, 1e-3, None, False), (3, 2, 3, 2)),
    (cn.BatchNorm3d(3, 1e-3, 0.25, True, False, bias=False), (3, 2, 3, 2)),
    (cn.BatchNorm2d(3, 1e-3, None, False), (3, 4, 5)),
    (cn.BatchNorm2d(3, 1e-3, 0.25, False, False), (3, 4, 5)),
    (cn.BatchNorm2d(3, 1e-3, 0.25, True, True, bias=False), (3, 4, 5)),
    (cn.CELU(0.7, True), (2, 3)),
    (cn.Constant((3, 4), False), ()),
    (cn.Conv1d(4, 6, (3,), (2,), (1,), (2,), 2, False), (4, 9)),
    (cn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (2, 1), 2, False), (4, 9, 8)),
    (cn.Conv2d(4, 6, (3, 2), (1, 1), "same", (1, 1)), (4, 9, 8)),
    (cn.Conv3d(4, 6, (3, 2, 1), (2, 1, 2), (1, 2, 0), (2, 1, 1), 2, False), (4, 6, 5, 4)),
    (cn.ConvTranspose1d(4, 6, (3,), (2,), (1,), (2,), 2, False, (3,)), (4, 5)),
    (cn.ConvTranspose3d(4, 6, (3, 2, 1), (2, 3, 1), (1, 0, 0), (1, 2, 0), 2, False, (2, 1, 1)), (4, 3, 2, 2)),
    (cn.Conv1d(4, 6, (3,), (1,), "same", (2,), padding_mode="replicate"), (4, 9)),
    (cn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (2, 1), 2, False, "reflect"), (4, 9, 8)),
    (cn.Conv2d(4, 6, (3, 3), (1, 1), (2, 2), (1, 1), padding_mode="circular"), (4, 9, 8)),
    (cn.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (2, 1)), (4, 5, 4)),
    (cn.CumSum(2, True, True), (2, 3)),
    (cn.Dense(4, 3, False), (4,)),
    (cn.Dense(4, 3), (2, 3, 4)),
    (cn.Dequantize((0.3, 0.5), (1.0, 2.0), 2), (3, 2)),
    (cn.Dropout(0.3, True), (5,)),
    (cn.Dropout1d(0.3, True), (5, 2)),
    (cn.Dropout2d(0.3, True), (5, 2, 2)),
    (cn.Dropout3d(0.3, True), (5, 2, 1, 2)),
    (cn.ELU(0.7, True), (2, 3)),
    (cn.Embedding(7, 3, 2), (4,)),
    (cn.Expand((3, 4)), (1, 4)),
    (cn.Flatten(2, 3), (2, 3, 4)),
    (cn.GELU("tanh"), (2, 3)),
    (cn.GroupNorm(2, 6, 1e-3, False), (6, 3, 2)),
    (cn.GroupNorm(2, 6, 1e-3, bias=False), (6, 3, 2)),
    *((kind(True), (2, 3)) for kind in (cn.Hardsigmoid, cn.Hardswish, cn.Mish, cn.ReLU, cn.ReLU6, cn.SELU, cn.SiLU)),
    (cn.Hardtanh(-0.5, 0.7, True), (2, 3)),
    (cn.IndexSelect(2, (1, 0, -1)), (3, 4)),
    (cn.InstanceNorm2d(3, 1e-3, 0.37, True, True), (3, 4, 2)),
    (cn.InstanceNorm2d(3, 1e-3, None, True, bias=False), (3, 4, 2)),
    (cn.InstanceNorm3d(3, 1e-3, 0.37, True, True), (3, 2, 2, 2)),
    (cn.InstanceNorm3d(3, 1e-3, None, True, bias=False), (3, 2, 2, 2)),
    (cn.LayerNorm((3, 4), 1e-3, False), (3, 4)),
    (cn.LayerNorm((4,), 1e-3, True, False), (3, 4)),
    (cn.LayerNorm2d(3, 1e-3, False), (3, 4, 2)),
    (cn.LeakyReLU(0.3, True), (2, 3)),
    (cn.LocalResponseNorm(4, 0.5, 0.6, 2.0), (5, 3, 2)),
    (cn.LogSoftmax(2), (2, 3)),
    (cn.LogSumExp(2, True), (2, 3)),
    (cn.MaxPool1d((3,), (2,), (1,), (2,), ceil_mode=True), (2, 12)),
    (cn.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), ceil_mode=True), (2, 8, 8)),
    (cn.MaxPool3d((3, 2, 1), (2, 1, 2), (1, 0, 0), (1, 2, 1), ceil_mode=True), (2, 6, 5, 4)),
    (cn.AvgPool3d((3, 2, 1), (2, 1, 2), (1, 0, 0), True, False, 5), (2, 6, 5, 4)),
    (cn.AdaptiveAvgPool1d(3), (2, 5)),
    (cn.AdaptiveAvgPool3d((3, None, 2)), (2, 5, 2, 3)),
    (cn.AdaptiveMaxPool1d(3), (2, 5)),
    (cn.AdaptiveMaxPool3d((3, None, 2)), (2, 5, 2, 3)),
    (cn.Mean((2,), True), (2, 3)),
    (cn.MultiheadAttention(6, 3, 0.2, False, True, True, is_causal=True, return_weights=True), (4, 6)),
    (
        cn.MultiheadAttention(
            6, 3, kdim=4, vdim=5, attn_mask="bool", key_padding_mask="float", zero_empty_rows=True, return_weights=True
        ),
        (4, 6),
    ),
    (cn.OneHot(3, 1), (2, 3)),
    (cn.PReLU(3, 0.1), (3, 2, 2)),
    (cn.Pad((1, 2, 0, 1), "reflect"), (2, 3, 4)),
    (cn.Pad((1, 2), value=0.5), (2, 3)),
    (cn.Permute((0, 2, 1)), (2, 3)),
    (cn.PixelShuffle(2), (8, 2, 3)),
    (cn.PixelUnshuffle(2), (2, 4, 6)),
    (cn.Bilinear(4, 4, 3, False), ()),
    (cn.Unfold((3, 2), (1, 2), (2, 1), (2, 3)), (2, 5, 6)),
    (cn.Fold((6, 7), (3, 2), (1, 2), (2, 1), (2, 3)), (12, 12)),
    (cn.InstanceNorm1d(3, 1e-3, 0.37, True, True), (3, 4)),
    (cn.InstanceNorm1d(3, 1e-3, None, True, bias=False), (3, 4)),
    (cn.ChannelShuffle(2), (6, 3)),
    (cn.ReflectionPad1d((2, 1)), (2, 5)),
    (cn.ReflectionPad2d((1, 2, 2, 1)), (2, 3, 4)),
    (cn.ReplicationPad1d(3), (2, 5)),
    (cn.ReplicationPad2d((3, 1, 0, 2)), (2, 3, 4)),
    (cn.CircularPad1d((2, 1)), (3, 4)),
    (cn.CircularPad2d(1), (2, 3, 4)),
    (cn.ReflectionPad3d((1, 0, 1, 2, 0, 1)), (2, 3, 4, 2)),
    (cn.ReplicationPad3d((1, 0, 1, 2, 0, 1)), (2, 3, 4, 2)),
    (cn.CircularPad3d((1, 0, 1, 2, 0, 1)), (2, 3, 4, 2)),
    (cn.ZeroPad1d((2, 1)), (2, 3)),
    (cn.ZeroPad3d((1, 0, 1, 2, 0, 1)), (2, 3, 4, 2)),
    (cn.RMSNorm((3, 5), 0.1), (3, 5)),
    (cn.RMSNorm(5, elementwise_affine=False), (3, 5)),
    (cn.RNN(3, 4, 2, "relu", False, dropout=0.2, bidirectional=True, return_states=True), (5, 3)),
    (cn.LSTM(3, 4, 2, False, dropout=0.2, bidirectional=True, return_states=True), (5, 3)),
    (cn.LSTM(3, 4, 2, bidirectional=True, return_states=True), (2, 5, 3)),
    (cn.GRU(3, 4, 2, False, dropout=0.2, bidirectional=True, return_states=True, reset_after=False), (5, 3)),
    (cn.Power(3.0), (2, 3)),
    (cn.Power(0.5, True), (2, 3)),
    (cn.Prod(2, True), (2, 3)),
    (cn.Quantize((0.1, 0.3), (2.0, 3.0), -8, 7, 2), (3, 2)),
    (cn.Reshape((3, 2)), (2, 3)),
    (cn.Resize((5, 7), (1.7, 1.8), "cubic", "asymmetric", "ceil", -0.5, True, True), (2, 3, 4)),
    (
        cn.Resize(4, coordinates="tf_crop_and_resize", region=(0.1, 0.2, 1.2, 0.8), extrapolation_value=0.5),
        (2, 3, 5),
    ),
    (cn.Select(2, 1), (2, 3)),
    (cn.Slice(2, 1, 6, 2), (2, 7)),
    (cn.Softmax(2), (2, 3)),
    (cn.Softplus(2.0, 1.0), (2, 3)),
    (cn.Sum(2, True), (2, 3)),
    (cn.Threshold(0.4, -1.0, True), (2, 3)),
    (cn.Tile((2, 3)), (2, 3)),
    (cn.TopKIndices(2, 1, False), (3, 2)),
    (cn.Tril(1), (2, 3)),
    (cn.Triu(-1), (2, 3)),
    (cn.Unflatten(2, (2, 3)), (2, 6)),
    (cn.Upsample((5, 7), None, "bilinear", True), (2, 3, 4)),
    (cn.Upsample(None, (1.7, 2.3), "bilinear", False, True), (2, 3, 4)),
    (cn.Upsample(5, None, "linear", True), (2, 3)),
    (cn.Upsample(None, (2.0, 1.7, 0.5), "trilinear", False, True), (2, 2, 3, 4)),
    (cn.ZeroPad2d((1, 2, 0, 3)), (2, 3, 4)),
    (cn.Concat(2), ()),
    *((getattr(cn, kind)(stretch=True), ()) for kind in ("Add", "Sub", "Mul", "Div", "Pow", "Maximum", "Minimum")),
    *((getattr(cn, kind)(stretch=True), ()) for kind in ("Remainder", "Fmod")),
    (cn.TakeAlongDim(2), ()),
    (cn.ScatterAlongDim(2, "add"), ()),
    (cn.GridSample("cubic", "border", True), (3, 4, 5)),
    (cn.RoiAlign((2, 3), 0.5, 2, False, "max"), (3, 4, 5)),
    (cn.NonMaxSuppression(3, 0.4, 0.2, True), (5, 6)),
    *((getattr(cn, kind)(stretch=True), ()) for kind in ("Equal", "Less", "LessEqual", "Greater", "GreaterEqual")),
    *((getattr(cn, kind)(stretch=True), ()) for kind in ("LogicalAnd", "LogicalOr", "LogicalXor")),
    (cn.Where(stretch=True), ()),
]

# What has one value that is taken.
ONLY = {"return_indices", "padding_mode"}


def model_of(layer: Any, shape: Shape) -> cn.Model:
    """A model of the layer, with all that it is beside its layers away from the defaults too."""
    if isinstance(layer, cn.Constant):
        body: Any = cn.Graph({"array": (layer,), "both": (cn.Concat(2), "input", "array")})
    elif isinstance(layer, cn.TakeAlongDim | cn.ScatterAlongDim):
        body = with_places(layer)
    elif isinstance(layer, cn.MultiheadAttention) and layer.masks:
        body = attending(layer)
    elif isinstance(layer, cn.GridSample):
        body = sampled(layer)
    elif isinstance(layer, cn.RoiAlign):
        body = cn.Graph({"box": (cn.Constant((2, 4)),), "both": (layer, "input", "box")})
    elif isinstance(layer, cn.NonMaxSuppression):
        body = detecting(layer)
    elif isinstance(layer, cn.OneHot):
        body = [cn.Sign(), layer]
    elif isinstance(layer, cn.Where):
        body = cn.Graph({"left": (cn.Round(), "input"), "both": (layer, "left", "input", "left")})
    else:
        body = of_two(layer) if not shape else [layer, cn.Identity()]
    shape = shape or (3, 4)
    model = with_other_numbers(cn.Model(body, seed=11).build(shape))
    if not isinstance(model.body, cn.Graph):
        model.freeze("0")
    output = model.output_shape
    model.classes = [f"class {number}" for number in range(output[0])] if output else None
    model.normalization = {"mean": [0.1] * shape[0], "std": [0.3] * shape[0]}
    return model


def is_the_same(back: cn.Model, model: cn.Model, exactly: bool = True) -> None:
    """All that it says of itself, and its numbers."""
    assert back.description() == model.description()
    assert back.state_dict().keys() == model.state_dict().keys()
    for name, array in back.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    count = max(numbers(layer) for layer in model.layers) if not isinstance(model.body, cn.Graph) else 0
    x = batch(model.input_shape, 2, count)
    np.testing.assert_allclose(back(x), model(x), rtol=0 if exactly else 1e-5)


@pytest.mark.parametrize(("layer", "shape"), ROWS, ids=named)
def test_every_argument_comes_back_from_our_own_file(layer: Any, shape: Shape, tmp_path: Path) -> None:
    model = model_of(layer, shape)
    model.save(tmp_path / "model.safetensors")
    is_the_same(cn.load(tmp_path / "model.safetensors"), model)


@pytest.mark.parametrize(("layer", "shape"), ROWS, ids=named)
def test_every_argument_comes_back_from_onnx(layer: Any, shape: Shape, tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    model = model_of(layer, shape)
    cn.export_onnx(model, tmp_path / "model.onnx")
    is_the_same(cn.load(tmp_path / "model.onnx"), model)


@pytest.mark.parametrize(("layer", "shape"), ROWS, ids=named)
def test_every_argument_comes_back_from_torch(layer: Any, shape: Shape) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    model = model_of(layer, shape)
    is_the_same(cn.from_torch(model.to_torch()), model)


def test_the_table_has_every_argument_of_every_layer() -> None:
    covered: dict[str, set[str]] = {}
    for layer, _ in ROWS:
        defaults = {name: each.default for name, each in inspect.signature(type(layer)).parameters.items()}
        away = {name for name, value in layer.config().items() if value != defaults[name]}
        covered.setdefault(type(layer).__name__, set()).update(away)
    for name, kind in KNOWN.items():
        arguments = {*inspect.signature(kind).parameters} if kind.__init__ is not object.__init__ else set()
        kept = {each for layer, _ in ROWS if type(layer) is kind for each in layer.config()}
        assert name in covered or not arguments - {"args", "kwargs"}, name
        assert kept - covered.get(name, set()) <= ONLY, name


def test_momentum_is_that_of_onnx(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = cn.Model([cn.BatchNorm2d(3, momentum=0.3)]).build((3, 4, 5))
    cn.export_onnx(model, tmp_path / "model.onnx")
    content = onnx.load(tmp_path / "model.onnx")
    attributes = {each.name: each.f for each in content.graph.node[0].attribute}
    assert attributes["momentum"] == pytest.approx(0.7)  # the share of the old, where PyTorch's is that of the new
    del content.metadata_props[:]
    onnx.save(content, tmp_path / "bare.onnx")
    assert describe(cn.load(tmp_path / "bare.onnx").layers)[0]["nodes"][0]["layer"]["momentum"] == 0.3


@pytest.mark.parametrize("change", ["operator", "constant", "name", "description"])
def test_a_file_that_others_changed_is_what_its_graph_says(change: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = cn.Model([cn.Affine(2.0, 1.0), cn.ReLU(), cn.Dropout(0.2)]).build((3,))
    cn.export_onnx(model, tmp_path / "model.onnx")
    content = onnx.load(tmp_path / "model.onnx")
    if change == "operator":
        content.graph.node[2].op_type = "Sigmoid"
    elif change == "constant":
        scale = content.graph.initializer[0]
        scale.CopyFrom(onnx.numpy_helper.from_array(np.float32(3), scale.name))
    elif change == "name":
        content.graph.input[0].name = content.graph.node[0].input[0] = "pixels"
    else:
        content.metadata_props[0].value = content.metadata_props[0].value.replace("Affine", "Affin")
    onnx.save(content, tmp_path / "model.onnx")
    back = cn.load(tmp_path / "model.onnx")
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    y = (3 if change == "constant" else 2) * x + 1
    np.testing.assert_allclose(back(x), 1 / (1 + np.exp(-y)) if change == "operator" else np.maximum(y, 0), rtol=1e-6)


def test_weights_that_others_changed_are_taken(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = cn.Model([cn.Dropout(0.2), cn.Dense(3, 2)]).build((3,))
    cn.export_onnx(model, tmp_path / "model.onnx")
    content = onnx.load(tmp_path / "model.onnx")
    weight = next(each for each in content.graph.initializer if each.name == "1.weight")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full((2, 3), 7, np.float32), "1.weight"))
    onnx.save(content, tmp_path / "model.onnx")
    back = cn.load(tmp_path / "model.onnx")
    assert (back.state_dict()["1.weight"] == 7).all()
    assert back.layers[0].config()["p"] == 0.2
