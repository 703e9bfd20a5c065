"""Weights that several nodes of a file share are one set of weights here too, and are saved once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import import_model  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402


def weights(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(model: Any, x: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


def pyramid() -> Any:
    """One head over images of three sizes, with a layer norm and a product that come again and again behind it."""
    constants = {"head.weight": weights(8, 3, 3, 3), "head.bias": weights(8), "fc.weight": weights(8, 8, seed=1)}
    constants |= {
        "norm.weight": weights(8, seed=2),
        "norm.bias": weights(8, seed=3),
        "half": np.float32([1, 1, 0.5, 0.5]),
    }
    constants |= {"places": weights(8, seed=4), "flat": np.int64([0, 8, -1])}
    nodes, previous = [], "x"
    for level in range(3):
        nodes.append(op("Conv", f"{previous} head.weight head.bias", f"map{level}", pads=[1, 1, 1, 1]))
        nodes.append(op("Reshape", f"map{level} flat", f"rows{level}"))
        nodes.append(op("Transpose", f"rows{level}", f"turned{level}", perm=[0, 2, 1]))
        nodes.append(op("LayerNormalization", f"turned{level} norm.weight norm.bias", f"norm{level}"))
        nodes.append(op("MatMul", f"norm{level} fc.weight", f"fc{level}"))
        nodes.append(op("Add", f"fc{level} places", f"out{level}"))
        nodes.append(op("Resize", f"{previous} - half", f"small{level}"))
        previous = f"small{level}"
    nodes.append(op("Concat", "out0 out1 out2", axis=1))
    return graph(nodes[:-2] + nodes[-1:], ("N", 3, 16, 16), **constants)


def test_shared_weights_are_one_set_and_saved_once(tmp_path: Path) -> None:
    content = pyramid()
    model = import_model(content)
    held = sum(array.size for array in map(onnx.numpy_helper.to_array, content.graph.initializer) if array.ndim)
    assert sum(parameter.size for parameter in model.parameters()) <= held
    model.save(tmp_path / "model.safetensors")
    x = weights(2, 3, 16, 16)
    for each in (model, cn.load(tmp_path / "model.safetensors")):
        np.testing.assert_allclose(each(x), run(content, x), rtol=1e-4, atol=1e-4)


def test_equal_weights_of_other_names_stay_apart() -> None:
    ones = np.ones(4, np.float32)
    named = {"a.weight": ones, "a.bias": ones, "s": ones, "m": ones}
    nodes = [op("Identity", "a.weight", "b.weight"), op("Identity", "a.bias", "b.bias")]
    nodes += [op("BatchNormalization", "x a.weight a.bias m s", "h"), op("BatchNormalization", "h b.weight b.bias m s")]
    model = import_model(graph(nodes, ("N", 4, 3, 3), **named))
    assert {"a.weight", "b.weight"} <= {parameter.name for parameter in model.parameters()}


def test_a_layer_over_images_of_several_sizes_learns_as_in_torch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch import nn

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
            self.down = nn.Conv2d(3, 3, 3, 2, 1)

        def forward(self, x: Any) -> Any:
            smaller = self.down(x)
            return torch.cat([self.head(x).flatten(2), self.head(smaller).flatten(2)], 2)

    torch.manual_seed(0)
    module = Pyramid().double().train()
    model = cn.from_torch(module, (3, 9, 8))
    x = np.random.default_rng(0).normal(size=(4, 3, 9, 8))
    y, expected = model(x, training=True), module(torch.from_numpy(x))
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-9)
    gradient = np.random.default_rng(1).normal(size=y.shape)
    model.backward(gradient)
    expected.backward(torch.from_numpy(gradient))
    theirs = dict(module.named_parameters())
    assert {parameter.name for parameter in model.parameters()} == theirs.keys()
    for parameter in model.parameters():
        np.testing.assert_allclose(parameter.grad, theirs[parameter.name].grad.numpy(), atol=1e-8)
