"""Images of other sizes, beside ONNX Runtime and PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from tests.formats.exported import with_other_numbers

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import exporter, import_model  # noqa: E402
from tests.formats import resizings  # noqa: E402


def run(model: Any, x: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString()).run(None, {model.graph.input[0].name: x})[0]


@pytest.mark.parametrize("seed", range(4))
def test_resizes_of_every_kind_are_those_of_onnx_runtime(seed: int) -> None:
    assert resizings.differences(100, seed) == []


@pytest.mark.parametrize(("size", "scale", "made"), [(10, 0.7, 7), (20, 0.9, 18), (10, 1.3, 13), (20, 3.3, 66)])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_a_size_is_the_scale_times_the_size_in_float32(mode: str, size: int, scale: float, made: int) -> None:
    scales = np.array([1, 1, scale, scale], np.float32)
    model = import_model(resizings.Case(13, (2, 3, size, size), {"scales": scales}, {"mode": mode}).model())
    assert model.output_shape == (3, made, made)


def test_a_place_half_way_is_half_way_but_for_rounding() -> None:
    how = {"coordinate_transformation_mode": "half_pixel_symmetric", "nearest_mode": "floor"}
    case = resizings.Case(19, (1, 1, 5, 5), {"scales": np.array([1, 1, 1.5, 1.5], np.float32)}, how)
    x = np.arange(25, dtype=np.float32).reshape(case.shape)
    np.testing.assert_array_equal(import_model(case.model())(x), run(case.model(), x))


def test_before_opset_11_the_nearest_pixel_of_a_smaller_image_is_the_one_behind() -> None:
    case = resizings.Case(10, (1, 1, 2, 4), {"scales": np.array([1, 1, 0.6, 0.6], np.float32)}, {"mode": "nearest"})
    x = np.arange(1, 9, dtype=np.float32).reshape(case.shape)
    assert import_model(case.model())(x).tolist() == [[[[1, 3]]]]  # ONNX's own example


@pytest.mark.parametrize("seed", range(2))
def test_upsamplings_come_back_from_onnx_runtime_as_they_are(seed: int) -> None:
    for shape, arguments in resizings.upsamplings(40, seed):
        model = with_other_numbers(cn.Model([cn.Upsample(**arguments)]).build(shape))
        x = np.random.default_rng(seed).normal(size=(2, *shape)).astype(np.float32)
        theirs = run(exporter.describe(model, opset=18), x)
        np.testing.assert_allclose(theirs, model(x), rtol=1e-4, atol=1e-4, err_msg=f"{shape}, {arguments}")
