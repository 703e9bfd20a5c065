"""Tensor and Parameter: a value, its gradient, and the flat buffer behind them."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade import initializers
from colonnade.errors import LimitError
from colonnade.tensor import Parameter, ParameterBuffer, Tensor, contiguous_runs, unchanged_since


def test_value_and_gradient_are_zeros_made_when_first_asked_for() -> None:
    tensor = Tensor((2, 3), np.float64)
    assert not tensor.has_grad
    tensor.zero_grad()
    assert not tensor.has_grad, "nobody asked for a gradient, so none is made"
    np.testing.assert_array_equal(tensor.value, np.zeros((2, 3)))
    assert tensor.grad.dtype == np.float64
    assert tensor.has_grad
    with pytest.raises(AttributeError, match="Tensor has no attribute 'gradient'"):
        _ = tensor.gradient  # type: ignore[attr-defined]


def test_a_gradient_adds_up_is_stepped_along_and_zeroed() -> None:
    tensor = Tensor.of(np.array([1.0, 2.0]))
    tensor.add_grad(np.array([1.0, -1.0]))
    tensor.add_grad(np.array([3.0, 0.0]))
    np.testing.assert_array_equal(tensor.grad, [4.0, -1.0])
    tensor.step(0.5)
    np.testing.assert_array_equal(tensor.value, [-1.0, 2.5])
    tensor.zero_grad()
    np.testing.assert_array_equal(tensor.grad, [0.0, 0.0])


def test_a_tensor_of_arrays_holds_these_arrays() -> None:
    value, grad = np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)
    tensor = Tensor.of(value, grad)
    assert tensor.value is value
    assert tensor.grad is grad
    assert (tensor.shape, tensor.dtype) == ((2, 2), np.float32)


def kernel_and_bias() -> tuple[Parameter, Parameter]:
    return Parameter((2, 3, 4, 5), initializers.zeros, memory_axes=(0, 2, 3, 1)), Parameter((2,), initializers.zeros)


def test_parameters_are_views_of_one_buffer_in_the_order_of_their_memory() -> None:
    kernel, bias = kernel_and_bias()
    buffer = ParameterBuffer([kernel, bias], np.float32)
    assert buffer.value.shape == buffer.grad.shape == (122,)
    buffer.value[:] = np.arange(122)
    np.testing.assert_array_equal(kernel.value, np.arange(120).reshape(2, 4, 5, 3).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(bias.value, [120, 121])
    kernel.grad = np.ones((2, 3, 4, 5))
    bias.add_grad(np.array([2, 3]))
    np.testing.assert_array_equal(buffer.grad, [1] * 120 + [2, 3])
    bias.value = np.array([7, 8])
    np.testing.assert_array_equal(buffer.value[120:], [7, 8])


def test_a_parameter_of_no_model_has_a_buffer_of_its_own() -> None:
    _, bias = kernel_and_bias()
    bias.value[...] = 1
    bias.add_grad(np.array([1, 2]))
    bias.step(0.5)
    np.testing.assert_array_equal(bias.value, [0.5, 0.0])


def test_neighbours_in_a_buffer_are_one_run() -> None:
    parameters = [Parameter((size,), initializers.zeros) for size in (2, 3, 4)]
    buffer = ParameterBuffer(parameters, np.float32)
    assert contiguous_runs(parameters) == [(buffer, slice(0, 9))]
    assert contiguous_runs([parameters[0], parameters[2]]) == [(buffer, slice(0, 2)), (buffer, slice(5, 9))]
    assert contiguous_runs([parameters[1], parameters[0]]) == [(buffer, slice(2, 5)), (buffer, slice(0, 2))]


def test_who_was_handed_a_value_may_write_to_it_unseen() -> None:
    kernel, bias = kernel_and_bias()
    buffer = ParameterBuffer([kernel, bias], np.float32)
    seen = unchanged_since([kernel, bias])
    assert seen is not None
    assert unchanged_since([kernel, bias]) == seen
    buffer.version += 1
    assert unchanged_since([kernel, bias]) != seen
    _ = bias.value
    assert unchanged_since([kernel, bias]) is None


@pytest.mark.parametrize("shape", [(10**7, 10**7), (2**31 - 1, 2**31 - 1)])
def test_weights_that_no_memory_holds_are_refused_before_they_are_made(shape: tuple[int, int]) -> None:
    with pytest.raises(LimitError, match=r"^Model: [\d,]+ parameters and their gradients take [\d,]+ bytes, more than"):
        cn.Model([cn.Dense(*shape)])
