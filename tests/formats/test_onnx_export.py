"""Exported models, held against themselves in ONNX Runtime."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.composites import KNOWN
from colonnade.errors import ArgumentError, MissingExtraError
from colonnade.tensor import Tensor
from tests.formats.exported import (
    MORE,
    Array,
    Shape,
    batch,
    distinct,
    made,
    named,
    network,
    numbers,
    with_other_numbers,
)
from tests.test_contract import CHAINS, LAYERS as CONTRACT_LAYERS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from onnx import numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from colonnade.formats.onnx import exporter, import_model  # noqa: E402
from colonnade.formats.onnx.expressions import EXPRESSIONS  # noqa: E402

try:
    from tests.test_against_torch import LAYERS as TORCH_LAYERS
except pytest.skip.Exception:  # without PyTorch its table can't be had, and the other one has every layer
    TORCH_LAYERS = []


def run(graph: Any, **inputs: Array) -> list[Array]:
    """What ONNX Runtime makes of these inputs, each cast to what the graph declares."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])
    types = {
        each.name: {"tensor(float)": np.float32, "tensor(int64)": np.int64}[each.type] for each in session.get_inputs()
    }
    assert types.keys() == inputs.keys()
    return list(session.run(None, {name: array.astype(types[name]) for name, array in inputs.items()}))


def agrees(model: cn.Model, opset: int = 18, count: int = 0, **options: Any) -> None:
    """Batches of one and of three give, in ONNX Runtime, our own numbers, to 1e-5 of the greatest or of one."""
    graph = exporter.describe(model, opset=opset, **options)
    for images in (1, 3):
        x = batch(model.input_shape, images, count)
        (theirs,), ours = run(graph, input=x), model(x)
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * max(1, np.nanmax(np.abs(ours))))


@pytest.mark.parametrize(("layer", "shape"), distinct([*CONTRACT_LAYERS, *TORCH_LAYERS]), ids=named)
def test_every_layer_agrees_with_onnx_runtime(layer: Any, shape: Shape) -> None:
    agrees(made([layer], shape), count=numbers(layer))


@pytest.mark.parametrize(("layers", "shape"), CHAINS, ids=range(len(CHAINS)))
def test_every_chain_agrees_with_onnx_runtime(layers: list[Any], shape: Shape) -> None:
    agrees(made(layers, shape))


def test_there_is_no_layer_that_cannot_be_expressed() -> None:
    assert set(KNOWN.values()) - set(EXPRESSIONS) == set()


def test_the_page_says_what_becomes_of_each_layer() -> None:
    operators: dict[str, set[str]] = {name: set() for name in KNOWN}
    met = set()
    for layers, shape in [*(([layer], shape) for layer, shape in [*CONTRACT_LAYERS, *MORE]), *CHAINS]:
        model = made(layers, shape)
        graph = exporter.describe(model, opset=18).graph
        for step in model.steps:
            met.add(type(step.layer).__name__)
            own = (node.op_type for node in graph.node if node.name.split("/")[0] == step.name)
            operators.setdefault(type(step.layer).__name__, set()).update(own)
    assert met >= KNOWN.keys(), "a layer that is in none of the tables"
    rows = [
        f"| `{name}` | {', '.join(sorted(operators[name])) or 'nothing: it is left out'} |" for name in sorted(KNOWN)
    ]
    page = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
    table = page.partition("| layer | operators, of opset 18 |\n| --- | --- |\n")[2].partition("\n\n")[0]
    assert table.splitlines() == rows


@pytest.mark.parametrize(("layer", "shape"), MORE, ids=named)
def test_what_onnx_says_otherwise_agrees_all_the_same(layer: Any, shape: Shape) -> None:
    agrees(made([layer], shape), count=numbers(layer))


@pytest.mark.parametrize("opset", [13, 17, 20, 23])
def test_operators_that_are_newer_than_the_opset_are_put_together_from_older_ones(opset: int) -> None:
    chain = [
        *(cn.Conv2d(3, 4, 3), cn.GELU(), cn.GELU("tanh"), cn.Mish(), cn.Hardswish(), cn.LayerNorm2d(4)),
        *(cn.GroupNorm(2, 4), cn.BatchNorm2d(4, track_running_stats=False), cn.AvgPool2d(2, ceil_mode=True)),
        *(cn.Upsample(size=(5, 4)), cn.Flatten(2), cn.LayerNorm((4, 20)), cn.Mean(2), cn.Softplus(2, 1)),
    ]
    model = with_other_numbers(cn.Model(chain).build((3, 8, 9)))
    graph = exporter.describe(model, opset=opset)
    assert [each.version for each in graph.opset_import] == [opset]
    # No node is newer than that.
    assert all(onnx.defs.get_schema(node.op_type, opset).since_version <= opset for node in graph.graph.node)
    agrees(model, opset)


@pytest.mark.parametrize("name", cn.zoo.__all__)
def test_every_network_of_the_zoo_agrees_with_onnx_runtime(name: str) -> None:
    agrees(network(name), count=27 if name.startswith("name_") else 0)


def test_names_are_those_of_the_state_dict() -> None:
    model = cn.zoo.resnet20(input_shape=(3, 8, 8))
    graph = exporter.describe(model, opset=18).graph
    arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for name, array in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(arrays[name], array)
    nodes = {node.name: node.op_type for node in graph.node}
    assert (nodes["0"], nodes["3.main.0"], nodes["3.add"]) == ("Conv", "Conv", "Add")
    assert len(nodes) == len(graph.node)
    assert [each.name for each in (*graph.input, *graph.output)] == ["input", "output"]


def test_the_batch_is_free_and_the_image_is_not() -> None:
    graph = exporter.describe(cn.zoo.cnn(input_shape=(1, 12, 8)), opset=18).graph
    (declared,) = graph.input
    dimensions = declared.type.tensor_type.shape.dim
    assert [each.dim_param or each.dim_value for each in dimensions] == ["batch", 1, 12, 8]
    (declared,) = graph.output
    assert [each.dim_param or each.dim_value for each in declared.type.tensor_type.shape.dim] == ["batch", 10]


def test_a_graph_has_its_own_names_of_inputs_and_outputs_and_stores_a_shared_layer_once() -> None:
    shared = cn.Dense(4, 3)
    body = cn.Graph(
        {
            "one": (shared, "left"),
            "two": (shared, "right"),
            "both": (cn.Add(), "one", "two"),
            "norm": (cn.Softmax(), "both"),
        },
        inputs=["left", "right"],
        outputs=["norm", "both", "one"],
    )
    model = with_other_numbers(cn.Model(body).build(((4,), (4,))))
    graph = exporter.describe(model, opset=18)
    assert [each.name for each in graph.graph.input] == ["left", "right"]
    assert [each.name for each in graph.graph.output] == ["norm", "both", "one"]
    assert [each.name for each in graph.graph.initializer] == ["one.weight", "one.bias"]
    left, right = batch((4,), 3), batch((4,), 3)[::-1]
    for theirs, ours in zip(run(graph, left=left, right=right), model((left, right)), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ({"same": (cn.Identity(), "input")}, None),  # an output that is an input
        ({"a": (cn.Tanh(), "input"), "b": (cn.Identity(), "a"), "c": (cn.Identity(), "a")}, ["b", "c", "a"]),
        ({"output": (cn.Tanh(), "input"), "next": (cn.Sigmoid(), "output")}, None),  # a node called as the output is
        ({"x": (cn.Dense(4, 4), "input"), "x.weight": (cn.Tanh(), "x"), "y": (cn.ReLU(), "x.weight")}, None),
        ({"y/Mul": (cn.Sigmoid(), "input"), "y": (cn.SiLU(), "y/Mul"), "y/Sigmoid": (cn.Tanh(), "y")}, None),
    ],
)
def test_names_that_meet_are_kept_apart(nodes: dict[str, Any], outputs: list[str] | None) -> None:
    model = cn.Model(cn.Graph(nodes, outputs=outputs)).build((4,))
    graph = exporter.describe(model, opset=18)
    x = batch((4,), 3)
    ours = model(x) if outputs else (model(x),)
    for theirs, mine in zip(run(graph, input=x), ours, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5)


def test_names_that_were_set_are_those_of_the_file_with_a_number_behind_what_is_taken() -> None:
    model = cn.Model(cn.Graph({"a": (cn.Dense(4, 4), "x"), "b": (cn.Tanh(), "a")}, ["x"], ["b", "a"])).build((4,))
    model.inputs, model.outputs = ["image"], ["image", "a.weight"]
    made = exporter.describe(model, opset=18)
    assert [each.name for each in (*made.graph.input, *made.graph.output)] == ["image", "image_2", "a.weight_2"]
    x = batch((4,), 3)
    for theirs, ours in zip(run(made, image=x), model({"image": x}), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5)
    again = import_model(made)
    assert (again.inputs, again.outputs) == (("image",), ("image", "a.weight"))


def test_numbers_to_look_up_are_int64_and_floats_that_are_looked_up_are_cast() -> None:
    model = cn.zoo.name_model()
    (declared,) = exporter.describe(model, opset=18).graph.input
    assert declared.type.tensor_type.elem_type == onnx.TensorProto.INT64
    chain = cn.Model([cn.Affine(shift=1.0), cn.Embedding(6, 3)]).build((4,))
    (declared,) = exporter.describe(chain, opset=18).graph.input
    assert declared.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    agrees(chain, count=5)


def mirrored(model: cn.Model) -> cn.Model:
    model.mirrored = True
    return model


def test_normalization_is_in_the_graph_where_asked_for() -> None:
    model = cn.zoo.cnn(input_shape=(3, 8, 8))
    model.normalization = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    pixels = np.random.default_rng(0).random((3, 3, 8, 8))
    mean, std = (np.reshape(model.normalization[name], (3, 1, 1)) for name in ("mean", "std"))
    ours = model((pixels - mean) / std)
    within, before = (exporter.describe(model, opset=18, normalization=each) for each in (True, False))
    np.testing.assert_allclose(run(within, input=pixels)[0], ours, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(run(before, input=(pixels - mean) / std)[0], ours, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("normalization", [False, True])
def test_a_mirrored_model_is_exported_with_the_mean_over_mirror_images(
    tmp_path: Path, opset: int, normalization: bool
) -> None:
    model = cn.zoo.resnet9((3, 8, 12), 4, width=2, seed=0)
    model.normalization = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.6, 0.7]}
    model.mirrored = True
    pixels = np.random.default_rng(0).random((3, 3, 8, 12)).astype(np.float32)
    mean, std = (np.reshape(model.normalization[name], (3, 1, 1)).astype(np.float32) for name in ("mean", "std"))
    expected = model.predict_outputs(pixels)
    cn.export_onnx(model, tmp_path / "m.onnx", opset=opset, normalization=normalization)
    (found,) = run(onnx.load(tmp_path / "m.onnx"), input=pixels if normalization else (pixels - mean) / std)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    again = cn.load(tmp_path / "m.onnx")
    assert again.mirrored is not normalization  # the graph is then more than the model, and has both in it
    np.testing.assert_allclose(again.predict_outputs(pixels), expected, rtol=1e-4, atol=1e-5)
    count = sum(parameter.size for parameter in model.parameters()) + 6 * normalization  # by channel
    assert sum(parameter.size for parameter in again.parameters()) == count  # both passes are of the same weights


def test_the_file_says_what_the_classes_and_the_normalization_are(tmp_path: Path) -> None:
    model = cn.zoo.cnn(input_shape=(1, 8, 8), classes=3)
    model.classes, model.normalization = ["ant", "bee", "café"], {"mean": [0.5], "std": [0.25]}
    for normalization in (False, True):
        cn.export_onnx(model, tmp_path / "m.onnx", normalization=normalization)
        about = {each.key: json.loads(each.value) for each in onnx.load(tmp_path / "m.onnx").metadata_props}
        assert about.pop("classes") == model.classes
        assert ("colonnade" in about) is not normalization
        about.pop("colonnade", None)
        assert about == ({} if normalization else {"normalization": model.normalization})


def test_a_model_of_float64_stays_one() -> None:
    layers = [cn.Conv2d(2, 4, 3), cn.BatchNorm2d(4), cn.CELU(0.5), cn.GELU(), cn.Flatten(), cn.Dense(48, 3)]
    model = with_other_numbers(cn.Model(layers, dtype="float64").build((2, 6, 5)))
    graph = exporter.describe(model, opset=18)
    x = batch((2, 6, 5), 3)
    (theirs,) = ReferenceEvaluator(graph).run(None, {"input": x})  # ONNX Runtime convolves in float32 only
    assert theirs.dtype == np.float64
    np.testing.assert_allclose(theirs, model(x), rtol=1e-6)  # ε and α are float32 in ONNX


class Square(cn.Layer):
    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(x.value, x.value, out=y.value)


class Scale(cn.Layer):
    def __init__(self, channels: int) -> None:
        self.channels, self.weight = channels, cn.Parameter((channels,), cn.initializers.ones)

    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.multiply(x.value, self.weight.array[:, None, None], out=y.value)


class Silent(cn.Layer):
    vanishes = True

    def forward(self, x: Tensor, y: Tensor, block: cn.Block) -> None:
        np.copyto(y.value, x.value)


def test_layers_of_ones_own_are_said_by_ones_own_functions() -> None:
    model = with_other_numbers(cn.Model([Square(), Scale(2), Silent()]).build((2, 3, 4)))
    custom: dict[type[cn.Layer], Callable[..., str]] = {
        Square: lambda graph, layer, x: graph.node("Mul", x, x),
        Scale: lambda graph, layer, x: graph.node("Mul", x, graph.by_channel("weight")),
    }
    agrees(model, custom=custom)


def test_ones_own_function_comes_before_the_tables() -> None:
    model = cn.Model([cn.SiLU()]).build((3,))
    graph = exporter.describe(model, opset=24, custom={cn.SiLU: lambda graph, layer, x: graph.node("Swish", x)})
    assert [node.op_type for node in graph.graph.node] == ["Swish"]


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (cn.Model([cn.ReLU()]), {}, "the size of the model's input is not known"),
        (cn.Model([cn.ReLU()]).build((3,)), {"opset": 12}, r"opset must be from 13 to \d+, got 12"),
        (cn.Model([cn.ReLU()]).build((3,)), {"opset": 999}, r"opset must be from 13 to \d+, got 999"),
        (cn.Model([cn.ReLU()]).build((3,)), {"opset": "18"}, r"opset must be from 13 to \d+, got '18'"),
        (cn.Model([cn.ReLU()]).build((3,)), {"normalization": True}, "normalization was asked for, and the model has"),
        (cn.zoo.name_model(), {"normalization": True}, "normalization is for models of one input, images"),
        (mirrored(cn.Model([cn.ReLU()]).build((3,))), {}, r"model.mirrored is for models of images \(c, h, w\)"),
        (
            cn.Model([cn.ReLU(), cn.Residual([Square()])]).build((3,)),
            {},
            "layer 1.main.0, Square, cannot be expressed in ONNX: say how with custom={Square: function}",
        ),
        (
            cn.Model([Square()]).build((3,)),
            {"custom": {Square: lambda graph, layer, x: None}},
            "the function for Square must return the name of its output, got None",
        ),
        (
            cn.Model([Square()]).build((3,)),
            {"custom": {Square: lambda graph, layer, x: graph.node("Squared", x)}},
            "the functions in custom made no valid graph .*Squared",
        ),
    ],
    ids=range(10),
)
def test_what_cannot_be_exported_is_one_line_and_leaves_the_file_that_is_there(
    model: cn.Model, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what was there")
    with pytest.raises(ArgumentError, match=f"^export_onnx: .*{message}") as caught:
        cn.export_onnx(model, path, **options)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", ["model.safetensors", "model", "onnx"])
def test_the_name_of_the_file_ends_in_onnx(name: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"the file's name must end in \.onnx, got "):
        cn.export_onnx(cn.zoo.lenet5(), tmp_path / name)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        cn.export_onnx(cn.zoo.lenet5(), tmp_path / "nowhere" / "model.onnx")


def test_more_weights_than_a_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporter, "LARGEST", 1000)
    with pytest.raises(ArgumentError, match=r"an ONNX file holds weights of at most 1,000 bytes, these take [\d,]+"):
        cn.export_onnx(cn.zoo.lenet5(), tmp_path / "model.onnx")


def test_without_the_package_the_command_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "onnx" or "formats.onnx" in each]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)  # imports as if it were not there
    with pytest.raises(MissingExtraError, match=r'pip install "colonnade\[onnx\]"'):
        cn.export_onnx(cn.zoo.lenet5(), tmp_path / "model.onnx")
