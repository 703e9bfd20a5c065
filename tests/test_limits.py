"""What a model from a file asks for is known, and refused where it is too much, before anything is begun."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import limits, storage
from colonnade.composites import construct, describe
from colonnade.errors import ArgumentError, LimitError
from colonnade.limits import Limits, of_files
from colonnade.model import Model

IMAGE = (1, 8, 8)


def file_of(folder: Path, layers: list[dict[str, Any]], shape: tuple[int, ...] | None = IMAGE) -> Path:
    """A file that describes a model without weights."""
    described = {"version": 1, "architecture": layers, "input_shape": shape, "dtype": "float32", "seed": 0}
    described |= {"classes": None, "normalization": None, "frozen": []}
    storage.write(folder / "model.safetensors", {}, {"colonnade": json.dumps(described)})
    return folder / "model.safetensors"


TOO_MUCH: dict[str, tuple[list[dict[str, Any]], tuple[int, ...]]] = {
    "windows of which the number is given": (
        [{"type": "AdaptiveMaxPool2d", "output_size": [1, 2 * 10**9]}],
        IMAGE,
    ),
    "averages of so many": ([{"type": "AdaptiveAvgPool2d", "output_size": 10**6}], IMAGE),
    "a size": ([{"type": "Resize", "size": [8, 10**9]}], IMAGE),
    "a size of a million both ways": ([{"type": "Resize", "size": 10**6}], IMAGE),
    "a factor": ([{"type": "Upsample", "scale_factor": 1e6}], IMAGE),
    "a factor that no size is": ([{"type": "Upsample", "scale_factor": 1e12, "mode": "bilinear"}], IMAGE),
    "a border": ([{"type": "ZeroPad2d", "padding": 10**9}], IMAGE),
    "copies": ([{"type": "Tile", "repeats": [1, 10**6, 10**6]}], IMAGE),
    "an input": ([{"type": "ReLU"}], (1, 10**6, 10**6)),
    "an input that is made small": ([{"type": "AdaptiveAvgPool2d", "output_size": 1}], (1, 10**6, 10**6)),
    "smoothing over much": (
        [{"type": "Resize", "size": 8, "scales": [1e-9, 1e-9], "mode": "linear", "antialias": True}],
        IMAGE,
    ),
    "one after the other": ([{"type": "Upsample", "scale_factor": 10}] * 6, IMAGE),
    "a window over much": ([{"type": "AvgPool2d", "kernel_size": 2**14, "stride": 1}], (1, 2**15, 2**15)),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_small_file_that_asks_for_too_much_is_refused_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    layers, shape = TOO_MUCH[name]
    path = file_of(tmp_path, layers, shape)
    assert path.stat().st_size < 1000
    with pytest.raises(
        LimitError, match=r"layer \d, \w+: with it one image takes .* more than the .* allowed"
    ) as caught:
        cn.load(path, memory="4G", work=1e12)
    assert str(caught.value).startswith(f"{path}: ")
    assert isinstance(caught.value, MemoryError)


def test_a_model_whose_input_is_not_known_is_refused_when_it_is(tmp_path: Path) -> None:
    model = cn.load(file_of(tmp_path, [{"type": "Upsample", "scale_factor": 1e6}], None), memory="1G")
    for use in (lambda: model.summary(IMAGE), lambda: model.plan((1, *IMAGE)), lambda: model(np.zeros((1, *IMAGE)))):
        with pytest.raises(LimitError, match="layer 0, Upsample"):
            use()
    assert model.input_shape is None
    assert deepcopy(model).limits == model.limits == Limits(10**9, limits.MOST_WORK)


SMALL_FOR_ALL_THEIR_NUMBERS = [
    {"type": "MaxPool2d", "kernel_size": 10**9, "stride": 1, "padding": 10**9 // 2},
    {"type": "AvgPool2d", "kernel_size": [1, 10**7], "stride": 1, "padding": [0, 10**7 // 2]},
    {"type": "MaxPool2d", "kernel_size": 2**31 - 1, "stride": 2**29, "padding": 2**30 - 1},
    {"type": "LocalResponseNorm", "size": 2**63 - 1},
    {"type": "AdaptiveMaxPool2d", "output_size": [1, 10**5]},
]


@pytest.mark.parametrize("layer", SMALL_FOR_ALL_THEIR_NUMBERS, ids=lambda layer: layer["type"])
def test_what_sounds_large_and_is_not_is_run(layer: dict[str, Any], tmp_path: Path) -> None:
    model = cn.load(file_of(tmp_path, [layer]), memory="2G", work=1e11)
    model.summary()
    y = model(np.ones((2, *IMAGE), np.float32), training=True)
    assert np.isfinite(y).all()
    assert np.isfinite(model.backward(np.ones_like(y))).all()


@pytest.mark.parametrize("kind", ["MaxPool2d", "AvgPool2d"])
@pytest.mark.parametrize(("kernel", "stride"), [(1001, 1), (1001, 333), (97, 40), (64, 1)])
def test_windows_far_larger_than_the_image_are_those_of_torch(kind: str, kernel: int, stride: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 7))
    options = {"kernel_size": kernel, "stride": stride, "padding": kernel // 2}
    model = cn.Model([getattr(cn, kind)(**options)], dtype="float64")
    y = model(x, training=True)
    given = torch.tensor(x, requires_grad=True)
    wanted = getattr(torch.nn, kind)(**options)(given)
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-12)
    gradient = np.random.default_rng(1).normal(size=y.shape)
    wanted.backward(torch.tensor(gradient))
    np.testing.assert_allclose(model.backward(gradient), given.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 65), (3, 2**31 - 1), (1, 10**9)])
def test_depthwise_convolutions_of_a_stride_beyond_the_image_are_those_of_torch(kernel: int, stride: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 7))
    model = cn.Model([cn.Conv2d(4, 4, kernel, stride=stride, padding=kernel // 2, groups=4)], dtype="float64")
    twin = torch.nn.Conv2d(4, 4, kernel, stride=min(stride, 1000), padding=kernel // 2, groups=4, dtype=torch.float64)
    y = model(x, training=True)
    twin.load_state_dict({name.removeprefix("0."): torch.tensor(array) for name, array in model.state_dict().items()})
    given = torch.tensor(x, requires_grad=True)
    wanted = twin(given)
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-12)
    wanted.backward(torch.ones_like(wanted))
    np.testing.assert_allclose(model.backward(np.ones_like(y)), given.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["kernel_size", "stride", "dilation"])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
def test_convolutions_of_any_size_are_refused_before_anything_is_made_of_them(
    kind: str, name: str, tmp_path: Path
) -> None:
    layer = {"type": kind, "in_channels": 4, "out_channels": 4, "kernel_size": 3, "groups": 4} | {name: 2**31 - 1}
    with pytest.raises(cn.errors.FileFormatError, match=r"0\.weight should be"):
        cn.load(file_of(tmp_path, [layer]))


@pytest.mark.parametrize("size", [1, 4, 5, 9, 40, 2**62])
def test_neighbours_beyond_all_channels_are_none(size: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 3))
    y = cn.Model([cn.LocalResponseNorm(size, alpha=0.3)], dtype="float64")(x)
    small = torch.nn.LocalResponseNorm(min(size, 100), alpha=0.3)(torch.tensor(x)).numpy()
    wanted = small if size <= 100 else x  # α / size is nothing
    np.testing.assert_allclose(y, wanted, rtol=1e-12)


@pytest.mark.parametrize(("size", "outputs"), [(8, 3), (3, 8), (7, 5), (5, 7), (1, 4), (4, 1), (6, 6), (100, 7)])
def test_adaptive_maxima_of_any_number_are_those_of_torch(size: int, outputs: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = np.random.default_rng(0).normal(size=(2, 3, size, 6))
    model = cn.Model([cn.AdaptiveMaxPool2d((outputs, 4))], dtype="float64")
    y = model(x, training=True)
    given = torch.tensor(x, requires_grad=True)
    wanted = torch.nn.AdaptiveMaxPool2d((outputs, 4))(given)
    np.testing.assert_array_equal(y, wanted.detach().numpy())
    gradient = np.random.default_rng(1).normal(size=y.shape)
    wanted.backward(torch.tensor(gradient))
    np.testing.assert_allclose(model.backward(gradient), given.grad.numpy(), rtol=1e-12, atol=1e-13)


def test_what_every_layer_takes_is_counted_at_least_as_its_multiplications() -> None:
    from tests.test_contract import LAYERS

    for layer, shape in LAYERS:
        model = cn.Model(construct(describe([layer]))).build(shape)
        plan = model.plan((2, *shape))
        multiplications = sum(step.layer.multiplications(step.shape) for step in plan.steps)
        outputs = sum(math.prod(step.outputs[0].shape) for step in plan.steps)
        assert plan.work >= 2 * (multiplications + limits.NUMBER * outputs)


def test_a_batch_that_does_not_fit_is_refused_before_it_is_run(tmp_path: Path) -> None:
    path = file_of(tmp_path, [{"type": "Upsample", "scale_factor": 8}])
    model = cn.load(path, memory="1M")
    assert model(np.zeros((1, *IMAGE))).shape == (1, 1, 64, 64)
    with pytest.raises(LimitError, match=r"a batch of 200 images takes [\d,]+ bytes, more than the 1,000,000"):
        model(np.zeros((200, *IMAGE)))
    with pytest.raises(LimitError, match="a batch of 200 images"):
        model(np.zeros((200, *IMAGE)), training=True)
    assert model(np.zeros((1, *IMAGE))).shape == (1, 1, 64, 64)  # and is usable afterwards


def test_models_of_ones_own_are_refused_where_the_machine_has_too_little() -> None:
    model = cn.Model([cn.Upsample(scale_factor=10**7)])
    assert model.plan((1, *IMAGE)).bytes >= 4 * 64 * 10**14  # one may ask
    assert "×80000000×80000000" in model.summary(IMAGE)
    with pytest.raises(LimitError, match=r"a batch of 1 images takes [\d,]+ bytes, more than the [\d,]+ there are"):
        model(np.zeros((1, *IMAGE)))


def test_a_plan_that_no_number_of_bytes_holds_is_one_line() -> None:
    with pytest.raises(LimitError, match=r"a plan of .*e\+\d+ bytes is none for any machine"):
        cn.Model([cn.Upsample(scale_factor=1e30)]).summary(IMAGE)


def test_more_axes_than_an_array_has_are_refused() -> None:
    with pytest.raises(cn.errors.ShapeError, match="layer 0, Reshape: more than 30 axes"):
        cn.Model([cn.Reshape((1,) * 40)]).build((1,))


def test_limits_are_what_is_said_or_the_environments_or_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(limits.MEMORY, raising=False)
    monkeypatch.delenv(limits.WORK, raising=False)
    assert of_files() == Limits(limits.machine_memory(), limits.MOST_WORK)
    assert 10**8 < limits.machine_memory() < 10**15
    monkeypatch.setenv(limits.MEMORY, "2G")
    monkeypatch.setenv(limits.WORK, "1e9")
    assert of_files() == Limits(2 * 10**9, 10**9)
    assert of_files("1Gi", 5) == Limits(2**30, 5)


@pytest.mark.parametrize("value", [0, -1, math.nan, "much", "-3G", True, [1], ""])
def test_a_limit_that_is_no_positive_number_is_one_line(value: Any, tmp_path: Path) -> None:
    path = file_of(tmp_path, [{"type": "ReLU"}])
    with pytest.raises(ArgumentError, match="load: memory"):
        cn.load(path, memory=value)
    with pytest.raises(ArgumentError, match="load: work"):
        cn.load(path, work=value)


def test_onnx_files_have_limits_too(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="onnx is not installed")
    cn.export_onnx(Model([cn.Upsample(scale_factor=4)]).build(IMAGE), tmp_path / "a.onnx")
    assert cn.load(tmp_path / "a.onnx", memory="1M").limits == Limits(10**6, limits.MOST_WORK)
    with pytest.raises(LimitError, match=r"a\.onnx: layer .*, more than the 1e\+03 that are allowed"):
        cn.load(tmp_path / "a.onnx", memory="1k")
    with pytest.raises(LimitError, match="multiplications, more than the 1e"):
        cn.load(tmp_path / "a.onnx", work=1000)


def test_many_layers_are_planned_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    model = cn.load(file_of(tmp_path, [{"type": "ReLU"}] * 1000))
    x = np.ones((2, *IMAGE), np.float32)
    np.testing.assert_array_equal(model(x, training=True), x)
