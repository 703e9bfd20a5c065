"""ONNX files of 16-bit floating point numbers, on a grid of 8 bits, and with outputs of unknown shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # needs the packages above

from colonnade.errors import FileFormatError  # noqa: E402
from colonnade.formats.onnx import import_model  # noqa: E402
from tests.formats.onnx_graphs import graph, op  # noqa: E402

HALF, BRAIN, FLOAT = TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT


def weights(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(kind: int, shape: list[Any] | None = None) -> Any:
    """A network whose graph and weights are of that type."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [
        op("Conv", "x conv.weight conv.bias", "c", pads=[1, 1, 1, 1]),
        op("Mul", "c scale", "s"),
        op("Relu", "s", "r"),
        op("GlobalAveragePool", "r", "g"),
        op("Flatten", "g", "f"),
        op("Gemm", "f fc.weight fc.bias", "y", transB=1),
    ]
    arrays = {
        "conv.weight": weights(4, 3, 3, 3),
        "conv.bias": weights(4),
        "scale": weights(1, 4, 1, 1),
        "fc.weight": weights(5, 4),
        "fc.bias": weights(5),
    }
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, shape or ["N", 3, "H", "W"])],
        [helper.make_tensor_value_info("y", kind, ["N", 5])],
        [numpy_helper.from_array(array.astype(dtype), name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_half_precision_is_computed_in_single_and_learned() -> None:
    content = network(HALF)
    session = ort.InferenceSession(content.SerializeToString())
    model = import_model(content)
    assert {parameter.name for parameter in model.parameters()} >= {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    for size in ((5, 6), (8, 4)):
        x = weights(2, 3, *size).astype(np.float16)
        y = model(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, session.run(None, {"x": x})[0], atol=2e-2)


def test_brain_floats_are_their_values() -> None:
    x = weights(2, 3, 5, 6)
    y = import_model(network(BRAIN))(x)
    brain = helper.tensor_dtype_to_np_dtype(BRAIN)
    content = network(FLOAT)
    for tensor in content.graph.initializer:
        rounded = numpy_helper.to_array(tensor).astype(brain).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    session = ort.InferenceSession(content.SerializeToString())
    np.testing.assert_allclose(y, session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)
    names = {"conv.weight", "conv.bias", "fc.weight", "fc.bias"}
    assert {parameter.name for parameter in import_model(network(BRAIN)).parameters()} >= names


@pytest.mark.parametrize("kind", [HALF, BRAIN])
def test_casts_between_the_types_leave_the_numbers(kind: int) -> None:
    nodes = [op("Cast", "x", "h", to=kind), op("Mul", "h half", "m"), op("Cast", "m", "y", to=FLOAT)]
    content = graph(nodes, ("N", 4), half=np.asarray([0.5], helper.tensor_dtype_to_np_dtype(kind)))
    x = np.array([[1, 2, -3, 0.5]], np.float32)
    np.testing.assert_array_equal(import_model(content)(x), x / 2)


def test_weights_of_half_precision_are_cast_in_the_graph() -> None:
    nodes = [op("Cast", "half", "w", to=FLOAT), op("MatMul", "x w")]
    w = weights(4, 3).astype(np.float16)
    x = weights(2, 4)
    model = import_model(graph(nodes, ("N", 4), half=w))
    np.testing.assert_allclose(model(x), x @ w.astype(np.float32), rtol=1e-5, atol=1e-6)


def test_outputs_need_no_declared_shape() -> None:
    content = graph([op("Relu", "x", "r"), op("Flatten", "r", "y")], ("N", 3, "H", 2), outputs="r y")
    for output in content.graph.output:
        output.type.tensor_type.ClearField("shape")
    x = weights(2, 3, 4, 2)
    r, y = import_model(content)(x)
    np.testing.assert_array_equal(r, np.maximum(x, 0))
    np.testing.assert_array_equal(y, r.reshape(2, -1))


def test_an_input_without_a_shape_must_have_it_said() -> None:
    content = graph(op("Relu", "x"), ("N", 3, 4))
    content.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(FileFormatError, match=r"input 'x': the file says nothing of its shape: .* input_shape"):
        import_model(content)
    x = weights(2, 5, 6)
    np.testing.assert_array_equal(import_model(content, input_shape=(5, 6))(x), np.maximum(x, 0))


@pytest.mark.parametrize("by_channel", [False, True])
def test_a_network_on_a_grid_of_8_bits_is_what_its_file_says(by_channel: bool) -> None:
    kernel = weights(4, 3, 3, 3)
    scale = np.abs(kernel).max((1, 2, 3)) / 127 if by_channel else np.abs(kernel).max() / np.float32(127)
    integers = np.round(kernel / scale.reshape(-1, 1, 1, 1)).astype(np.int8)
    nodes = [
        op("QuantizeLinear", "x sx zx", "qx"),
        op("DequantizeLinear", "qx sx zx", "dx"),
        op("DequantizeLinear", "w sw zw", "dw", axis=0),
        op("Conv", "dx dw", "c", pads=[1, 1, 1, 1]),
        op("Relu", "c", "r"),
        op("QuantizeLinear", "r sy zy", "qy"),
        op("DequantizeLinear", "qy sy zy", "y"),
    ]
    constants: dict[str, Any] = {"w": integers, "sw": scale.astype(np.float32), "zw": np.zeros(scale.shape, np.int8)}
    constants |= {"sx": np.float32(0.03), "zx": np.uint8(120), "sy": np.float32(0.1), "zy": np.uint8(0)}
    content = graph(nodes, ("N", 3, "H", "W"), **constants)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(content.SerializeToString(), options)
    model = import_model(content)
    for size in ((6, 7), (9, 5)):
        x = weights(2, 3, *size)
        y, expected = model(x), session.run(None, {"x": x})[0]
        off = np.abs(y - expected)
        assert off.max() < 0.11  # a number that is half-way between two of the grid may be either
        assert (off > 1e-5).mean() < 0.01
        assert np.unique(y).size > 20
