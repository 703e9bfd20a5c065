"""Graphs within a graph: If, Loop and Scan, beside ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402  # needs the packages above

from colonnade.formats.onnx import import_model  # noqa: E402
from tests.formats.onnx_graphs import graph, op  # noqa: E402

Array = np.ndarray[Any, Any]
FLOAT, INT, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
W = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)


def body(nodes: list[Any], inputs: dict[str, int], outputs: dict[str, int], **constants: Array) -> Any:
    """A graph within the graph, its values by name and type."""
    ports = [
        [helper.make_tensor_value_info(name, kind, None if kind == FLOAT else []) for name, kind in each.items()]
        for each in (inputs, outputs)
    ]
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    return helper.make_graph(nodes, "body", *ports, arrays)


def branches() -> dict[str, Any]:
    """One that multiplies by a matrix of its own, another that only hands on what is outside."""
    return {
        "then_branch": body([op("MatMul", "x w", "m"), op("Relu", "m", "t")], {}, {"t": FLOAT}, w=W),
        "else_branch": body([op("Identity", "x", "t")], {}, {"t": FLOAT}),
    }


def step() -> Any:
    """h ← tanh(h w) + i; what h was is kept."""
    nodes = [
        *(op("MatMul", "h w", "m"), op("Tanh", "m", "n"), op("Cast", "i", "f", to=FLOAT), op("Add", "n f", "next")),
        *(op("Identity", "going", "on"), op("Identity", "h", "before")),
    ]
    inputs = {"i": INT, "going": BOOL, "h": FLOAT}
    return body(nodes, inputs, {"on": BOOL, "next": FLOAT, "before": FLOAT})


CASES = {
    "If, true": graph(op("If", "c", **branches()), ("N", 3, 4), c=np.array(True)),
    "If, false": graph(op("If", "c", **branches()), ("N", 3, 4), c=np.array(False)),
    "If, by a shape": graph(
        [op("Shape", "x", "s", start=1, end=2), op("Greater", "s k", "c"), op("If", "c", **branches())],
        ("N", 3, 4),
        k=[2],
    ),
    "If within an If": graph(
        op("If", "c", **branches() | {"then_branch": body([op("If", "c", "u", **branches())], {}, {"u": FLOAT})}),
        ("N", 3, 4),
        c=np.array(True),
    ),
    "Loop": graph(
        [op("Loop", "k c x", "h rows", body=step()), op("Transpose", "rows", "t", perm=[1, 2, 3, 0])]
        + [op("ReduceSum", "t a", "s", keepdims=0), op("Add", "h s")],
        ("N", 3, 4),
        k=np.array(5),
        c=np.array(True),
        w=W,
        a=[3],
    ),
    "Loop that stops by itself": graph(
        op(
            "Loop",
            "- c x",
            "y",
            body=body(
                [op("Mul", "h h", "next"), op("Less", "i k", "on")],
                {"i": INT, "going": BOOL, "h": FLOAT},
                {"on": BOOL, "next": FLOAT},
                k=np.array(2),
            ),
        ),
        ("N", 3, 4),
        c=np.array(True),
    ),
    "Scan": graph(
        [
            op("Slice", "x z e a", "first"),
            op("Squeeze", "first a", "start"),
            op(
                "Scan",
                "start x",
                "last y",
                body=body(
                    [op("MatMul", "h w", "m"), op("Add", "m part", "next"), op("Tanh", "next", "out")],
                    {"h": FLOAT, "part": FLOAT},
                    {"next": FLOAT, "out": FLOAT},
                ),
                num_scan_inputs=1,
                scan_input_axes=[1],
                scan_input_directions=[1],
                scan_output_axes=[1],
            ),
        ],
        ("N", 3, 4),
        z=[0],
        e=[1],
        a=[1],
        w=W,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_graph_within_a_graph_is_that_of_onnx_runtime(name: str) -> None:
    session = onnxruntime.InferenceSession(CASES[name].SerializeToString(), providers=["CPUExecutionProvider"])
    ours = import_model(CASES[name])
    for images in (1, 3):
        x = np.random.default_rng(images).normal(size=(images, 3, 4)).astype(np.float32)
        np.testing.assert_allclose(ours(x), session.run(["y"], {"x": x})[0], rtol=1e-4, atol=1e-5)


def test_every_turn_of_a_loop_has_the_same_weights() -> None:
    model = import_model(CASES["Loop"])
    assert [parameter.shape for parameter in model.parameters()] == [W.shape]
    y = model(np.ones((2, 3, 4)), training=True)
    model.backward(np.ones_like(y))
    assert np.abs(next(iter(model.parameters())).grad).min() > 0


REFUSED = {
    "is computed from the images": graph(
        op(
            "Loop",
            "k c x",
            "y",
            body=body(
                [op("ReduceSum", "h a", "s", keepdims=0), op("Greater", "s z", "on"), op("Tanh", "h", "next")],
                {"i": INT, "going": BOOL, "h": FLOAT},
                {"on": BOOL, "next": FLOAT},
                z=np.array(0, np.float32),
                a=np.array([1]),
            ),
        ),
        (1, 4),
        k=np.array(5),
        c=np.array(True),
    ),
    r"its graphs unfold to more than 100,000 nodes": graph(
        op(
            "Loop",
            "k c x",
            "y",
            body=body([op("Identity", "going", "on")], {"i": INT, "going": BOOL, "h": FLOAT}, {"on": BOOL, "h": FLOAT}),
        ),
        ("N", 4),
        k=np.array(1 << 60),
        c=np.array(True),
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_known_only_when_it_runs_is_refused(reason: str) -> None:
    with pytest.raises(FileFormatError, match=reason):
        import_model(REFUSED[reason])


def test_a_loop_trains_and_is_saved(tmp_path: Any) -> None:
    model = import_model(CASES["Scan"])
    model.save(tmp_path / "scan.safetensors")
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(cn.load(tmp_path / "scan.safetensors")(x), model(x))
