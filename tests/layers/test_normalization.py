"""Normalisation of numbers far from zero: against float64, and beside PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn

# The layer, its arguments, the shape of a batch. Some maps are large, some lengths are prime.
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("BatchNorm2d", (6,), {}, (8, 6, 12, 11)),
    ("BatchNorm2d", (3,), {}, (2, 3, 113, 97)),
    ("BatchNorm1d", (16,), {}, (67, 16)),
    ("BatchNorm1d", (5,), {}, (9, 5, 31)),
    ("InstanceNorm2d", (6,), {"affine": True}, (4, 6, 12, 11)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 113, 128)),
    ("GroupNorm", (2, 6), {}, (4, 6, 12, 11)),
    ("GroupNorm", (1, 4), {}, (2, 4, 128, 113)),
    ("GroupNorm", (2, 6), {}, (4, 6, 127)),
    ("LayerNorm", (768,), {}, (16, 768)),
    ("LayerNorm", (48,), {}, (5, 7, 48)),
    ("LayerNorm", ((6, 30, 31),), {}, (4, 6, 30, 31)),
]
MEANS = [0.0, 3.0, 10.0, 1e3, -1e4]
EPS = float(np.finfo(np.float32).eps)


def drawn(shape: tuple[int, ...], mean: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (rng.normal(size=shape) + mean).astype(np.float32), rng.normal(size=shape).astype(np.float32)


def results(model: Any, x: np.ndarray, grad: np.ndarray) -> dict[str, np.ndarray]:
    """A training step, and inference with the statistics that it left."""
    found = {"y": model(x, training=True), "grad_x": model.backward(grad)}
    found |= {f"grad of {parameter.name}": parameter.grad.copy() for parameter in model.parameters()}
    found |= {name: array for name, array in model.state_dict().items() if "running" in name}
    return found | {"inference": model(x)}


def torch_results(torch: Any, module: Any, x: np.ndarray, grad: np.ndarray) -> dict[str, np.ndarray]:
    given = torch.tensor(x, requires_grad=True)
    y = module(given)
    y.backward(torch.tensor(grad))
    found = {"y": y, "grad_x": given.grad}
    found |= {f"grad of 0.{name}": parameter.grad for name, parameter in module.named_parameters()}
    found |= {f"0.{name}": array for name, array in module.named_buffers() if "running" in name}
    module.eval()
    return {name: each.detach().numpy() for name, each in (found | {"inference": module(given)}).items()}


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=str)
def test_norms_are_as_exact_as_those_of_pytorch_however_far_the_mean(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...], mean: float
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, grad = drawn(shape, mean)
    if "Batch" in name or options.get("track_running_stats"):
        options = {**options, "momentum": 1.0}  # inference is then with this batch's own statistics
    ours = results(cn.Model([getattr(cn, name)(*arguments, **options)]), x, grad)
    kind = getattr(torch.nn, name)
    theirs = torch_results(torch, kind(*arguments, **options), x, grad)
    exact = torch_results(torch, kind(*arguments, **options).double(), x.astype(np.float64), grad.astype(np.float64))
    assert ours.keys() == exact.keys()
    for key, truth in exact.items():
        error, theirs_error = (np.abs(each[key] - truth).max() for each in (ours, theirs))
        # Inference is with a mean that float32 has rounded: with that of ours here, not with the exact one.
        rounding = EPS * abs(mean) if key == "inference" else 0.0
        assert error <= max(theirs_error, 4 * EPS * max(1.0, np.abs(truth).max())) + rounding, key


@pytest.mark.parametrize("mean", [1e3, -1e5, 1e7])
@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=str)
def test_float64_norms_see_the_spread_however_far_the_mean(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...], mean: float
) -> None:
    # Whole numbers, so that moving them is exact: the results may not change.
    rng = np.random.default_rng(0)
    x, grad = rng.integers(-9, 9, shape).astype(float), rng.normal(size=shape)
    near, far = (
        results(cn.Model([getattr(cn, name)(*arguments, **options)], dtype="float64"), each, grad)
        for each in (x, x + mean)
    )
    for key in near.keys() - {"0.running_mean", "0.running_var", "inference"}:
        # One unit in the last place of the mean is all that is lost.
        np.testing.assert_allclose(far[key], near[key], atol=1e-14 * abs(mean), err_msg=key)
    if "0.running_var" in near:
        np.testing.assert_allclose(far["0.running_var"], near["0.running_var"], rtol=1e-12)


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), CASES, ids=str)
def test_a_norm_of_one_number_repeated_is_nothing_but_its_bias(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    model = cn.Model([getattr(cn, name)(*arguments, **options)])
    x = np.broadcast_to(np.float32(12345.678), shape)
    model(x, training=True)  # the parameters are there from now on
    model.parameters()[1].value[...] = 0.5
    y = model(x, training=True)
    np.testing.assert_allclose(y, 0.5, atol=1e-6)
    assert np.isfinite(model.backward(np.ones_like(y))).all()
