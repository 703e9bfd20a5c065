"""Gradient clipping and the moving average of weights, against PyTorch and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, DivergenceError, ShapeError
from colonnade.initializers import zeros
from colonnade.optimizers import CHUNK
from colonnade.tensor import Parameter, ParameterBuffer


def laid(*shapes: tuple[int, ...], dtype: str = "float64", seed: int = 0) -> list[Parameter]:
    parameters = [Parameter(shape, zeros) for shape in shapes]
    ParameterBuffer(parameters, dtype)
    rng = np.random.default_rng(seed)
    for parameter in parameters:
        parameter.value = rng.normal(size=parameter.shape)
        parameter.grad = rng.normal(size=parameter.shape)
    return parameters


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 1e3])
def test_clipping_by_norm_agrees_with_pytorch(norm_type: float, max_norm: float) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ours = laid((4, 3), (5,), (2, 3, 2, 2))
    theirs = [torch.nn.Parameter(torch.tensor(parameter.value.copy())) for parameter in ours]
    for their, parameter in zip(theirs, ours, strict=True):
        their.grad = torch.tensor(parameter.grad.copy())
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    assert cn.clip_grad_norm(ours, max_norm, norm_type) == pytest.approx(expected.item(), rel=1e-12)
    for their, parameter in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(parameter.grad, their.grad.numpy(), rtol=1e-12)


def test_a_clipped_norm_is_the_greatest_allowed_over_chunks_and_buffers() -> None:
    parameters = [*laid((CHUNK + 7,), (3, 5)), *laid((2, 2), seed=1)]
    before = np.concatenate([parameter.grad.ravel() for parameter in parameters])
    assert cn.clip_grad_norm(parameters, 2.0) == pytest.approx(np.linalg.norm(before), rel=1e-12)
    after = np.concatenate([parameter.grad.ravel() for parameter in parameters])
    assert np.linalg.norm(after) == pytest.approx(2.0, rel=1e-5)
    np.testing.assert_allclose(after / before, after[0] / before[0], rtol=1e-12)


def test_clipping_leaves_parameters_that_were_not_given() -> None:
    parameters = laid((3,), (4,), (5,))
    before = parameters[1].grad.copy()
    cn.clip_grad_norm([parameters[0], parameters[2]], 0.01)
    cn.clip_grad_value([parameters[0], parameters[2]], 0.001)
    np.testing.assert_array_equal(parameters[1].grad, before)


def test_clipping_by_value_cuts_every_number() -> None:
    (parameter,) = laid((5,))
    parameter.grad = np.array([-3.0, -0.5, 0.0, 0.5, 3.0])
    cn.clip_grad_value([parameter], 0.75)
    np.testing.assert_array_equal(parameter.grad, [-0.75, -0.5, 0, 0.5, 0.75])


def test_a_norm_that_is_not_finite_is_returned_or_refused() -> None:
    (parameter,) = laid((2,))
    parameter.grad = np.array([math.inf, 1.0])
    with pytest.raises(DivergenceError, match=r"^clip_grad_norm: expected gradients of a finite norm, got inf\.$"):
        cn.clip_grad_norm([parameter], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(parameter.grad, [math.inf, 1])
    assert cn.clip_grad_norm([parameter], 1.0) == math.inf
    np.testing.assert_array_equal(parameter.grad, [math.nan, 0])


def test_bounds_out_of_range_are_refused_in_one_line() -> None:
    with pytest.raises(ArgumentError, match=r"^clip_grad_norm: max_norm must be zero or more, got -1\.$"):
        cn.clip_grad_norm(laid((2,)), -1)
    with pytest.raises(ArgumentError, match=r"^clip_grad_norm: norm_type must be positive, got 0\.$"):
        cn.clip_grad_norm(laid((2,)), 1, 0)
    with pytest.raises(ArgumentError, match=r"^clip_grad_value: clip_value must be zero or more, got nan\.$"):
        cn.clip_grad_value(laid((2,)), math.nan)


def test_the_average_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    ours = laid((4, 3), (5,))
    module = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(each.value.copy())) for each in ours])
    theirs = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.8))
    average = cn.ExponentialMovingAverage(ours, decay=0.8)
    rng = np.random.default_rng(5)
    for _ in range(6):
        for their, parameter in zip(module, ours, strict=True):
            parameter.value = rng.normal(size=parameter.shape)
            their.data = torch.tensor(parameter.value.copy())
        theirs.update_parameters(module)
        average.update()
    with average.applied():
        for their, parameter in zip(theirs.module, ours, strict=True):
            np.testing.assert_allclose(parameter.value, their.detach().numpy(), rtol=1e-12)


def test_the_average_stands_in_the_parameters_place_until_the_block_ends() -> None:
    parameters = laid((CHUNK + 3,), (4,), dtype="float32")
    average = cn.ExponentialMovingAverage([parameters[1], parameters[0]], decay=0.5)
    start = [parameter.value.copy() for parameter in parameters]
    average.update()
    for parameter in parameters:
        parameter.value += 1
    average.update()
    now = [parameter.value.copy() for parameter in parameters]
    with average.applied():
        for parameter, before in zip(parameters, start, strict=True):
            np.testing.assert_allclose(parameter.value, before + 0.5, rtol=1e-6, atol=1e-6)
    with pytest.raises(ZeroDivisionError), average.applied():
        raise ZeroDivisionError
    for parameter, value in zip(parameters, now, strict=True):
        np.testing.assert_array_equal(parameter.value, value)


def test_a_model_notices_that_the_average_was_put_in_place() -> None:
    model = cn.Model([cn.Conv2d(1, 2, 3), cn.BatchNorm2d(2)], seed=0)
    x = np.random.default_rng(0).normal(size=(2, 1, 5, 5))
    before = model(x)
    average = cn.ExponentialMovingAverage(model.parameters(), decay=0.5)
    optimizer = cn.SGD(model.parameters(), lr=1.0)
    model(x, training=True)
    model.backward(np.ones((2, 2, 3, 3)))
    optimizer.step()
    moved = model(x)
    with average.applied():
        averaged = model(x)
    np.testing.assert_array_equal(model(x), moved)
    assert not np.array_equal(averaged, moved)
    assert averaged.shape == before.shape


def test_a_loaded_average_goes_on_where_it_was() -> None:
    parameters, others = laid((3, 2), (4,)), laid((3, 2), (4,))
    first, second = (cn.ExponentialMovingAverage(each, decay=0.9) for each in (parameters, others))
    first.update()
    parameters[0].value += 1
    first.update()
    second.load_state_dict(first.state_dict())
    for average, each in ((first, parameters), (second, others)):
        each[0].value = np.ones((3, 2))
        each[1].value = np.zeros(4)
        average.update()
    np.testing.assert_array_equal(first.average, second.average)
    assert second.updates == 3


def test_an_average_that_cannot_be_taken_is_refused_in_one_line() -> None:
    parameters = laid((3,))
    with pytest.raises(
        ArgumentError, match=r"^ExponentialMovingAverage: expected parameters to average, got an empty list\.$"
    ):
        cn.ExponentialMovingAverage([])
    message = r"^ExponentialMovingAverage: decay must lie between 0 and 1, got 1\.5\.$"
    with pytest.raises(ArgumentError, match=message):
        cn.ExponentialMovingAverage(parameters, decay=1.5)
    with pytest.raises(ArgumentError, match=r"^ExponentialMovingAverage: parameters must be of one type, got \["):
        cn.ExponentialMovingAverage([*parameters, *laid((2,), dtype="float32")])
    average = cn.ExponentialMovingAverage(parameters)
    with pytest.raises(ArgumentError, match=r"the state must hold \['average', 'updates'\], got \['average'\]\.$"):
        average.load_state_dict({"average": np.zeros(3)})
    with pytest.raises(ShapeError, match=r"average must have the shape \(3,\), got \(2,\)\.$"):
        average.load_state_dict({"average": np.zeros(2), "updates": np.array(1)})
