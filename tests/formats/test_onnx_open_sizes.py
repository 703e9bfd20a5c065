"""ONNX files that leave sizes open, of images or of the batch."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError, ShapeError, StateError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import import_model  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402

LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def weights(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A network whose layers depend on the size of its images: it comes back to it, and looks at the middle row."""
    nodes = [
        op("Conv", "x conv.weight conv.bias", "small", strides=[2, 2], pads=[1, 1, 1, 1]),
        op("Shape", "x", "shape"),
        op("Slice", "shape two four", "size"),
        op("Shape", "small", "shape_small"),
        op("Slice", "shape_small zero two", "head"),
        op("Concat", "head size", "whole", axis=0),
        op("Resize", "small - - whole", "large", mode="linear"),
        op("Div", "size halves", "middle"),
        op("Slice", "middle zero one", "row"),
        op("Slice", "large zero row axis", "cut"),
        op("GlobalAveragePool", "cut", "mean"),
        op("Flatten", "mean"),
    ]
    constants = {"conv.weight": weights(4, 3, 3, 3), "conv.bias": weights(4)}
    content = graph(nodes, ("N", 3, "H", "W"), zero=[0], one=[1], two=[2], four=[4], halves=[2], axis=[2], **constants)
    onnx.save(content, tmp_path / "open.onnx")
    return tmp_path / "open.onnx"


def test_sizes_are_taken_from_each_batch_and_weights_stay(path: Path) -> None:
    model = cn.load(path)
    assert model.input_shape is None
    parameters = model.parameters()
    session = ort.InferenceSession(path)
    for height, width in ((8, 6), (13, 20), (7, 5), (8, 6)):
        x = weights(2, 3, height, width)
        np.testing.assert_allclose(model(x), session.run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)
        assert model.input_shape == (3, height, width)
    assert all(ours is before for ours, before in zip(model.parameters(), parameters, strict=True))
    y = model(x, training=True)
    model.backward(np.ones_like(y))
    cn.SGD(model.parameters(), lr=1.0).step()
    other = weights(2, 3, 9, 9)
    learned = model(other)
    assert np.abs(learned - session.run(None, {"x": other})[0]).max() > 1e-3  # it is not read from the file again
    np.testing.assert_array_equal(copy.deepcopy(model)(other), learned)


def test_sizes_can_be_said(path: Path, tmp_path: Path) -> None:
    model = cn.load(path, (3, 12, 10))
    assert model.input_shape == cn.load(path, input_shape=(3, 12, 10)).input_shape == (3, 12, 10)
    model.save(tmp_path / "model.safetensors")
    assert cn.load(tmp_path / "model.safetensors", input_shape=(3, 12, 10)).output_shape == (4,)
    with pytest.raises(FileFormatError, match="say how large an image is"):
        cn.load(path, (1, 12, 10))


def test_what_is_saved_is_for_one_size(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"the sizes of its images are open.*call model.build\(\(c, h, w\)\) first"):
        cn.load(path).save(tmp_path / "model.safetensors")


def test_images_that_do_not_fit_are_refused_and_others_run_on() -> None:
    content = graph([op("Flatten", "x", "f"), op("MatMul", "f w")], ("N", 1, "H", 8), w=weights(64, 3))
    model = import_model(content)
    x = weights(2, 1, 8, 8)
    y = model(x)
    with pytest.raises(ShapeError, match=r"Model: images of \(1, 9, 8\) don't fit: .*a matrix of 64 rows meets 72"):
        model(weights(2, 1, 9, 8))
    np.testing.assert_array_equal(model(x), y)


def test_what_no_size_would_help_is_named_at_once() -> None:
    nodes = [op("AveragePool", "x", "p", kernel_shape=[8, 8]), op("Erf", "p", "e"), op("NonZero", "e")]
    with pytest.raises(FileFormatError, match=r"operator NonZero of opset \d+ can't be run: there is no layer for it"):
        import_model(graph(nodes, ("N", 3, "H", "W")))
    needs = [op("Flatten", "x", "f"), op("MatMul", "f w")]
    with pytest.raises(FileFormatError, match="say how large an image is"):
        import_model(graph(needs, ("N", 3, "H", "W"), w=weights(75, 3)))


@pytest.mark.parametrize("images", ["N", 5])
@pytest.mark.parametrize(
    ("start", "end"), [(0, 10**9), (0, 2**31 - 1), (0, MOST), (LEAST, MOST), (-(10**9), 10**9), (-MOST, MOST)]
)
def test_a_slice_of_all_images_is_none(images: int | str, start: int, end: int) -> None:
    x = weights(5, 4, 3)
    model = import_model(graph(op("Slice", "x s e a"), (images, 4, 3), s=[start], e=[end], a=[0]))
    np.testing.assert_array_equal(model(x), x)


@pytest.mark.parametrize(("start", "end", "step"), [(0, -1, 1), (1, MOST, 1), (0, 4, 1), (-2, MOST, 1), (0, MOST, 2)])
def test_a_slice_of_some_images_is_refused(start: int, end: int, step: int) -> None:
    content = graph(op("Slice", "x s e a t"), ("N", 4, 3), s=[start], e=[end], a=[0], t=[step])
    with pytest.raises(FileFormatError, match="it cuts axis 0, the batch"):
        import_model(content)


def test_a_slice_by_the_size_of_the_batch_is_one_of_all_images_or_refused() -> None:
    def cut(multiple: int) -> Any:
        nodes = [op("Shape", "x", "shape", end=1), op("Mul", "shape m", "end"), op("Reshape", "x twice", "r")]
        nodes += [op("Slice", "r zero end zero", "s"), op("Reshape", "s once")]
        return graph(nodes, ("N", 4, 3), m=[multiple], zero=[0], twice=[-1, 6], once=[-1, 4, 3])

    x = weights(5, 4, 3)
    np.testing.assert_array_equal(import_model(cut(2))(x), x)
    with pytest.raises(FileFormatError, match="it cuts axis 0, the batch"):
        import_model(cut(1))
