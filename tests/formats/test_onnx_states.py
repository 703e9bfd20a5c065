"""ONNX files with states as inputs and outputs, which have their batch elsewhere, or none."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from onnx import helper, numpy_helper  # noqa: E402  # needs the packages above

from colonnade.formats.onnx import import_model  # noqa: E402
from tests.formats.onnx_graphs import graph, op  # noqa: E402


def weights(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def recogniser(batch: int | str, state: list[int | str]) -> Any:
    """The means of a chunk's convolution change a state of 4 numbers, or two of them, and that is what is put out."""
    nodes = [op("Conv", "x kernel", "c"), op("ReduceMean", "c", "m", axes=[2], keepdims=0)]
    if len(state) == 3:
        nodes += [op("Unsqueeze", "m zero", "seen"), op("MatMul", "s w", "old"), op("Add", "old seen", "sum")]
        nodes += [op("Tanh", "sum", "t"), op("ReduceMean", "t", "both", axes=[0], keepdims=0), op("MatMul", "both v")]
    else:
        nodes += [op("MatMul", "s w", "old"), op("Add", "old m", "sum"), op("Tanh", "sum", "t"), op("MatMul", "t v")]
    arrays = {"kernel": weights(4, 1, 5), "w": weights(4, 4) / 2, "v": weights(4, 4), "zero": np.array([0])}
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", 1, [batch, 1, "T"]), helper.make_tensor_value_info("s", 1, state)],
        [helper.make_tensor_value_info(name, 1, None) for name in ("y", "t")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("batch", "state", "streams"),
    [
        ("N", [1, 4], 1),
        ("N", [4], 1),
        (1, [4], 1),
        ("N", [2, "N", 4], 3),
        ("N", [2, 1, 4], 1),
        (1, [2, 1, 4], 1),
        (1, [1, 1, 4], 1),
    ],
)
def test_a_recogniser_is_called_chunk_by_chunk(batch: int | str, state: list[int | str], streams: int) -> None:
    content = recogniser(batch, state)
    session = ort.InferenceSession(content.SerializeToString())
    model = import_model(content)
    ours = theirs = np.zeros([streams if size == "N" else int(size) for size in state], np.float32)
    shape = ours.shape
    for number, length in enumerate((20, 9, 20)):
        x = weights(streams, 1, length, seed=number)
        y, ours = model({"x": x, "s": ours})
        expected, theirs = session.run(None, {"x": x, "s": theirs})
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
        ours, theirs = ours.reshape(shape), theirs.reshape(shape)


def test_chunks_of_one_stream_may_come_in_a_row() -> None:
    nodes = [op("Unsqueeze", "x one", "u"), op("Conv", "u kernel bias", "v", pads=[1, 2], strides=[2])]
    nodes += [op("ReduceMax", "v", "m", axes=[2], keepdims=0), op("Unsqueeze", "m one", "rows")]
    nodes += [op("LSTM", "rows w r b - h0 c0", "all h c", hidden_size=3), op("Squeeze", "all inner", "o")]
    nodes += [op("Transpose", "o", "t", perm=[1, 0]), op("Unsqueeze", "t zero", "n"), op("Conv", "n last", "p")]
    nodes += [op("Reshape", "p flat", "y")]
    arrays = {"kernel": weights(4, 1, 5), "bias": weights(4), "one": np.array([1]), "inner": np.array([1, 2])}
    arrays |= {"zero": np.array([0]), "flat": np.array([-1]), "last": weights(1, 3, 1)}
    arrays |= {"w": weights(1, 12, 4), "r": weights(1, 12, 3, seed=1), "b": weights(1, 24, seed=2)}
    shapes: dict[str, list[int | str]] = {"x": ["sequence_length", 20], "h0": [1, 1, 3], "c0": [1, 1, 3]}
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info(name, 1, None) for name in ("y", "h", "c")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    content = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session, model = ort.InferenceSession(content.SerializeToString()), import_model(content)
    ours = theirs = [weights(1, 1, 3, seed=5), weights(1, 1, 3, seed=6)]
    for length in (4, 1, 7):
        x = weights(length, 20, seed=length)
        y, *ours = model({"x": x, "h0": ours[0], "c0": ours[1]})
        expected, *theirs = session.run(None, {"x": x, "h0": theirs[0], "c0": theirs[1]})
        for mine, other in zip((y, *ours), (expected, *theirs), strict=True):
            assert mine.shape == other.shape
            np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_gradients_have_the_shapes_of_the_file() -> None:
    model = import_model(recogniser("N", [2, "N", 4]))
    assert (model.input_axes, model.output_axes) == ((0, 1), (0, 1))
    x, s = weights(3, 1, 20), weights(2, 3, 4)
    y, t = model((x, s), training=True)
    at_x, at_s = model.backward((np.zeros_like(y), np.ones_like(t)))
    assert at_x.shape == x.shape
    np.testing.assert_allclose(at_s, (1 - t**2) @ (weights(4, 4).T / 2), rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match="expected as many images of each input, got 3, 2"):
        model((x, s[:, :2]))


def test_steps_may_come_before_the_batch_in_an_output() -> None:
    x = weights(2, 4, 3)
    model = import_model(graph(op("Transpose", "x", perm=[1, 0, 2]), ("N", "T", 3)))
    for length in (4, 2):
        y = model(x[:, :length], training=True)
        np.testing.assert_array_equal(y, x[:, :length].transpose(1, 0, 2))
        np.testing.assert_array_equal(model.backward(y), x[:, :length])


@pytest.mark.parametrize(
    ("batch", "state", "declared"),
    [
        ("N", [2, "N", 4], [["batch", 1, 20], [2, "batch", 4]]),
        (1, [2, 1, 4], [[1, 1, 20], [2, 1, 4]]),
        (1, [4], [[1, 1, 20], [4]]),
    ],
)
def test_where_the_batch_is_is_saved_exported_and_copied(
    tmp_path: Path, batch: int | str, state: list[int | str], declared: list[list[Any]]
) -> None:
    model = import_model(recogniser(batch, state))
    streams = 3 if batch == "N" else 1
    x, s = weights(streams, 1, 20), weights(*(streams if size == "N" else int(size) for size in state))
    expected = model((x, s))
    model.save(tmp_path / "model.safetensors")
    cn.export_onnx(model, tmp_path / "model.onnx")
    for other in (copy.deepcopy(model), *(cn.load(tmp_path / f"model.{each}") for each in ("safetensors", "onnx"))):
        assert (other.input_axes, other.output_axes) == (model.input_axes, model.output_axes)
        for one, two in zip(other((x, s)), expected, strict=True):
            np.testing.assert_array_equal(one, two)
    session = ort.InferenceSession(tmp_path / "model.onnx")
    assert [each.shape for each in session.get_inputs()] == declared
    for one, two in zip(session.run(None, {"x": x, "s": s}), expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def rated() -> Any:
    """Which branch runs is what `rate` says; it has no axes, and the state's batch is its second."""
    nodes = [op("Equal", "rate high", "c"), op("MatMul", "s w", "t")]
    then, other = (
        helper.make_graph([op("Mul", f"x {name}", "m")], "body", [], [helper.make_tensor_value_info("m", 1, None)])
        for name in ("two", "three")
    )
    nodes += [op("If", "c", "y", then_branch=then, else_branch=other)]
    arrays = {"high": np.array(16_000), "w": weights(4, 4), "two": np.float32(2), "three": weights(8)}
    shapes: dict[str, list[int | str]] = {"x": ["N", "T"], "s": [2, "N", 4]}
    made = helper.make_graph(
        nodes,
        "graph",
        [
            *(helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items()),
            helper.make_tensor_value_info("rate", 7, []),
        ],
        [helper.make_tensor_value_info(name, 1, None) for name in ("y", "t")],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_inputs_that_never_change_are_said_at_load(tmp_path: Path) -> None:
    path, content = tmp_path / "rated.onnx", rated()
    path.write_bytes(content.SerializeToString())
    session = ort.InferenceSession(path)
    for rate, length in ((16_000, 5), (8_000, 8)):  # each branch for lengths of its own
        model = cn.load(path, constants={"rate": rate})
        assert (model.inputs, model.input_axes) == (("x", "s"), (0, 1))
        x, s = weights(3, length), weights(2, 3, 4)
        expected = session.run(None, {"x": x, "s": s, "rate": np.array(rate)})
        for ours, theirs in zip(model({"x": x, "s": s}), expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("constants", "message"),
    [
        ({"speed": 1}, r"constants must be inputs of the file \(x, s, rate\), got 'speed'"),
        ({"rate": [1, 2]}, r"the input 'rate' has the shape \(\), got \(2,\)"),
        ({"s": np.zeros((3, 1, 4))}, r"the input 's' has the shape \(2, 'N', 4\), got \(3, 1, 4\)"),
        ({"rate": "fast"}, r"constants\['rate'\] must hold numbers"),
    ],
)
def test_constants_that_are_no_inputs_are_refused(tmp_path: Path, constants: dict[str, Any], message: str) -> None:
    path = tmp_path / "rated.onnx"
    path.write_bytes(rated().SerializeToString())
    with pytest.raises(ArgumentError, match=message):
        cn.load(path, constants=constants)


def test_constants_are_for_onnx_files(tmp_path: Path) -> None:
    cn.Model([cn.Dense(2, 2)]).build((2,)).save(tmp_path / "model.safetensors")
    with pytest.raises(ArgumentError, match="constants are inputs of an ONNX file, and this is none"):
        cn.load(tmp_path / "model.safetensors", constants={"rate": 1})
