"""ONNX files that leave sizes open, of images or of the batch."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError, LimitError, ShapeError, StateError
from colonnade.limits import Limits

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import _model, import_model  # noqa: E402  # needs the packages above
from colonnade.formats.onnx.reading import parse  # noqa: E402
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
    for wrong in ((1, 12, 10), (12, 10)):  # another number of channels, or of axes
        shown = re.escape(str(wrong))
        with pytest.raises(FileFormatError, match=rf"an image of shape {shown} is none of \(3, H, W\): say how large"):
            cn.load(path, wrong)
    with pytest.raises(ShapeError, match=r"images of \(1, 12, 10\) don't fit: .* is none of \(3, H, W\)"):
        cn.load(path)(np.zeros((2, 1, 12, 10)))


def test_what_is_saved_is_for_one_size(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"the sizes of its images are open.*call model.build\(\(c, h, w\)\) first"):
        cn.load(path).save(tmp_path / "model.safetensors")
    with pytest.raises(StateError, match="the sizes of its images are open"):
        cn.load(path).cut("conv")
    assert cn.load(path).build((3, 8, 6)).cut("conv").output_shape == (4, 4, 3)


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
    with pytest.raises(FileFormatError, match=r"operator NonZero of opset \d+ can't be run: how much it puts out"):
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


def counted(model: cn.Model) -> list[Any]:
    """The shapes that a model's graph is made for from here on."""
    made: list[Any] = []
    remake = model.remake
    assert remake is not None

    class Counted:
        open = remake.open

        def __call__(self, shapes: Any) -> Any:
            made.append(shapes)
            return remake(shapes)

    model.remake = Counted()
    return made


def test_a_size_that_comes_again_is_not_read_again_and_the_one_used_last_of_all_goes(path: Path) -> None:
    model = cn.load(path)
    made = counted(model)
    sizes = [(3, 6 + number, 7) for number in range(8)]
    for size in (*sizes, *sizes, sizes[0]):
        model(weights(1, *size))
    assert made == [(size,) for size in sizes]
    model(weights(1, 3, 20, 20))
    model(weights(1, *sizes[0]))
    assert len(made) == 9
    model(weights(1, *sizes[1]))
    assert made[8:] == [((3, 20, 20),), (sizes[1],)]


def test_backward_is_of_the_size_that_ran_forward(path: Path) -> None:
    models = [cn.load(path), cn.load(path)]
    x = weights(2, 3, 12, 9)
    gradients = []
    for number, model in enumerate(models):
        y = model(x, training=True)
        if number:
            model(weights(4, 3, 20, 30))
        gradients.append(model.backward(np.ones_like(y)))
    np.testing.assert_array_equal(*gradients)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_array_equal(one.grad, other.grad)


def test_all_sizes_train_one_flat_buffer_whose_optimizer_may_be_older(path: Path) -> None:
    model = cn.load(path)
    optimizer = cn.SGD(model.parameters(), lr=0.1)
    (buffer,) = {parameter.buffer for parameter in model.parameters()}
    before = model.state_dict()
    for number, size in enumerate([(9, 9), (12, 16), (9, 9)]):
        y = model(weights(2, 3, *size), training=True)
        model.backward(np.ones_like(y))
        optimizer.step()
        state = model.state_dict()
        assert all((state[name] != before[name]).any() for name in state), number
        before = state
    assert {parameter.buffer for parameter in model.parameters()} == {buffer}


def test_what_is_frozen_is_so_at_every_size(path: Path) -> None:
    model = cn.load(path)
    model(weights(1, 3, 9, 9))
    model.freeze()
    for size in ((12, 8), (9, 9)):
        model(weights(1, 3, *size))
        assert model.frozen
        assert not any(step.layer.trainable for step in model.steps if step.parameters)
    model.unfreeze("conv")
    model(weights(1, 3, 12, 8))
    assert next(step for step in model.steps if step.name == "conv").layer.trainable


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own
def test_a_copy_takes_every_size_too(path: Path, copied: Any) -> None:
    model = cn.load(path)
    model.parameters()[0].value *= 2
    for own in (None, (3, 9, 9)):
        other = copied(model)
        assert other.input_shape == model.input_shape == own
        x, small = weights(2, 3, 13, 20), weights(1, 3, 8, 6)
        np.testing.assert_array_equal(other(x), model(x))
        np.testing.assert_array_equal(other(small), model(small))
        other.parameters()[0].value *= 2
        assert np.abs(other(x) - model(x)).max() > 1e-3
        model(weights(1, 3, 9, 9))


def test_threads_with_a_size_each_get_what_they_would_alone(path: Path) -> None:
    model = cn.load(path)
    batches = [weights(2, 3, 7 + side, 9, seed=side) for side in range(4)]
    alone = [cn.load(path)(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for y, expected in zip(pool.map(model, batches), alone, strict=True):
                np.testing.assert_array_equal(y, expected)


def test_a_size_beyond_the_limits_is_refused_and_others_run_on(path: Path) -> None:
    for limits in ({"memory": "1M"}, {"work": 4e6}):
        model = cn.load(path, **limits)  # type: ignore[arg-type]
        x = weights(1, 3, 16, 16)
        y = model(x)
        with pytest.raises(LimitError, match=r"one image takes .* more than the .* that are allowed"):
            model(np.zeros((1, 3, 2000, 1000), np.float32))
        np.testing.assert_array_equal(model(x), y)


def test_constants_of_a_size_count_against_the_limit_before_they_are_made() -> None:
    nodes = [
        op("Shape", "x", "shape"),
        op("Slice", "shape two four", "size"),
        op("ReduceProd", "size", "n", keepdims=0),
    ]
    nodes += [op("Range", "zero n one", "r"), op("Cast", "r", "f", to=1), op("ReduceMean", "f", "m"), op("Add", "x m")]
    content = graph(nodes, ("N", 1, "H", "W"), two=[2], four=[4], zero=np.int64(0), one=np.int64(1))
    model = _model(parse(content), None, Limits(4e6, 1e12))
    assert model(np.zeros((1, 1, 3, 4), np.float32)).max() == 5.5
    with pytest.raises(ShapeError, match=r"images of \(1, 700, 2000\) don't fit: .* it makes 1,400,000 numbers out of"):
        model(np.zeros((1, 1, 700, 2000), np.float32))


def test_weights_that_are_computed_from_the_size_are_not_taken_for_those_of_another() -> None:
    nodes = [op("Shape", "x", "shape", start=2, end=3), op("Cast", "shape", "height", to=1)]
    nodes += [op("Mul", "ones height", "kernel"), op("Conv", "x kernel")]
    model = import_model(graph(nodes, ("N", 1, "H", 3), ones=np.ones((1, 1, 1, 1), np.float32)))
    for height in (5, 3, 5):
        np.testing.assert_array_equal(model(np.ones((2, 1, height, 3))), np.full((2, 1, height, 3), height))


def test_summary_shows_a_file_that_leaves_sizes_open(path: Path) -> None:
    model = cn.load(path)
    assert "x 3×224×224" in model.summary()
    assert "x 3×20×30" in model.summary((3, 20, 30))
    model(weights(1, 3, 9, 8))
    assert "x 3×9×8" in model.summary()


def test_sizes_that_nobody_has_memory_for_are_refused_at_once(path: Path) -> None:
    model = cn.load(path)
    with pytest.raises((LimitError, ShapeError), match=r"more than"):
        model(np.broadcast_to(np.float32(0), (1, 3, 300_000, 300_000)))
    with pytest.raises((LimitError, ShapeError), match=r"more than"):
        model(np.broadcast_to(np.float32(0), (1, 3, 2**40, 1)))
    nodes = [op("Shape", "x", "shape"), op("ConstantOfShape", "shape", "zeros"), op("Add", "x zeros")]
    model = import_model(graph(nodes, ("N", "C", "H")))
    with pytest.raises((LimitError, ShapeError), match=r"more than"):
        model(np.broadcast_to(np.float32(0), (1, 2**30, 2**20)))
    np.testing.assert_array_equal(model(weights(2, 3, 4)), weights(2, 3, 4))


def test_minus_one_is_a_size_left_open() -> None:
    content = graph(op("Relu", "x"), ("N", 3, "H"))
    for axis in (0, 2):
        content.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = -1
    model = import_model(content)
    assert model.open_shape == (3, None)
    np.testing.assert_array_equal(model(-weights(2, 3, 4)), np.maximum(-weights(2, 3, 4), 0))
