"""Products of PyTorch, and layers whose weights are handed to them.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import layers
from ....layers.base import Layer
from ..values import BATCH, Array, Batch, Convert, Fixed, Merged, Tensor, Unconvertible, Value, array_of, weights_of
from .arithmetic import add, mul
from .axes import reshape

if TYPE_CHECKING:
    from ..importer import Importer


def matmul(graph: Importer, input: Any, other: Any) -> Tensor:
    if isinstance(input, Value) and input.rank == 2 and isinstance(other, Array) and other.tensor.ndim == 2:
        return linear(graph, input, Array(other.path, other.tensor.T, other.parameter))  # rows by one matrix
    if isinstance(other, Array) and other.tensor.ndim == 1 and isinstance(input, Value):
        return mv(graph, input, other)
    return graph.put(layers.MatMul(), *graph.pair(input, other))


def mv(graph: Importer, input: Any, vec: Any) -> Tensor:
    """A matrix of each image, or several, and a vector that is the same for every image."""
    y = graph.value(matmul(graph, input, column_of(graph, vec)))
    return reshape(graph, y, y.batch, *y.known[:-1])


def dot(graph: Importer, input: Any, other: Any) -> Tensor:
    """Of two such vectors, as a vector of one number."""
    y = matmul(graph, reshape(graph, input, BATCH, 1, *input.known), column_of(graph, other))
    return reshape(graph, y, BATCH, 1)


def column_of(graph: Importer, vector: Any) -> Value:
    """A vector that is the same for every image, as a matrix of one column."""
    value = vector if isinstance(vector, Value) else graph.constant(vector, 2)
    return graph.value(reshape(graph, value, BATCH, *value.known, 1))


def baddbmm(graph: Importer, input: Any, batch1: Any, batch2: Any, beta: float = 1, alpha: float = 1) -> Tensor:
    product = mul(graph, matmul(graph, batch1, batch2), alpha)
    return add(graph, product, input, beta)


def linear(graph: Importer, input: Any, weight: Any, bias: Any = None) -> Tensor:
    if isinstance(weight, Fixed):
        y = _calculated_linear(graph, input, weight.value)
        return y if bias is None else graph.call_function("add", y, bias)
    outputs, inputs = array_of(weight).tensor.shape
    if isinstance(bias, Value) and bias.shape == (outputs,):  # of a call whose tensors are all the same for every image
        bias = Fixed(bias)
    if isinstance(bias, Fixed):
        return add(graph, linear(graph, input, weight), bias)
    return graph.weighed(layers.Dense(inputs, outputs, bias is not None), weights_of(weight=weight, bias=bias), input)


def convolution(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor:  # fmt: skip
        if isinstance(input, Merged):
            return _convolution_of_each(
                kind, graph, input, graph.value(weight), bias, stride, padding, dilation, groups
            )
        calculated = isinstance(weight, Fixed)
        outputs, inputs, *kernel_size = weight.value.known if calculated else array_of(weight).tensor.shape
        size = tuple(kernel_size)
        stride, padding, dilation = (tuple(x) if isinstance(x, list) else x for x in (stride, padding, dilation))
        layer = kind(inputs * groups, outputs, size, stride, padding, dilation, groups, bias is not None)
        if calculated:
            return _calculated_convolution(graph, layer, graph.value(input), weight.value, bias)
        return graph.weighed(layer, weights_of(weight=weight, bias=bias), input)

    return convert


def _convolution_of_each(
    kind: Callable[..., Layer], graph: Importer, images: Merged, kernels: Value, bias: Any, stride: Any, padding: Any,
    dilation: Any, groups: Any,
) -> Tensor:  # fmt: skip
    """A convolution of (1, n · c, h, w) with as many groups for each image, and so with kernels of its own."""
    if not isinstance(groups, Batch) or groups.times.denominator != 1 or not kernels.windows:
        raise Unconvertible("the images of a batch would be mixed")
    x, outputs = images.value, kernels.windows
    layer = kind(x.known[0], outputs, kernels.known[1:], stride, padding, dilation, int(groups.times), bias is not None)
    if bias is not None:
        bias = Fixed(graph.value(reshape(graph, bias, BATCH, outputs)))
    return Merged(graph.value(_calculated_convolution(graph, layer, x, graph.together(kernels), bias)))


def _calculated_linear(graph: Importer, input: Any, weight: Value) -> Tensor:
    """x Wᵀ, W being calculated: for each image by itself."""
    x, turned = graph.value(input), Fixed(graph.value(graph.put(layers.Permute((0, 2, 1)), weight)))
    if x.rank > 2:
        return matmul(graph, x, turned)
    rows = matmul(graph, reshape(graph, x, x.batch, 1, *x.known), turned)
    return reshape(graph, rows, x.batch, weight.known[0])


def _calculated_convolution(graph: Importer, layer: Any, x: Value, weight: Value, bias: Any) -> Tensor:
    """A convolution whose kernel is calculated: for each image a product with its windows."""
    if x.windows:
        raise Unconvertible("its weight is calculated, and windows stand in the axis of the batch")
    shape = layer.build(x.known, np.random.default_rng(0))
    window, groups = layer.window, layer.groups
    if len(shape) > 3:
        raise Unconvertible("its weight is calculated, and its input are volumes")
    # A sequence is an image of one row.
    kernel, stride, dilation = ((1, *each)[-2:] for each in (window.kernel, window.stride, window.dilation))
    top, bottom, left, right = (0, 0, *window.padding)[-4:]
    if len(shape) == 2:
        x = graph.value(reshape(graph, x, x.batch, x.known[0], 1, x.known[1]))
    if top or bottom or left or right:
        x = graph.value(graph.put(layers.ZeroPad2d((left, right, top, bottom)), x))
    numbers, places = math.prod(weight.known[1:]), math.prod(shape[1:])
    columns = x if kernel == stride == (1, 1) else graph.put(layers.Unfold(kernel, dilation, 0, stride), x)
    parted = (groups,) if groups > 1 else ()
    columns = reshape(graph, columns, x.batch, *parted, numbers, places)
    matrices = reshape(graph, weight, x.batch, *parted, layer.out_channels // groups, numbers)
    y = reshape(graph, matmul(graph, matrices, columns), x.batch, *shape)
    if bias is None:
        return y
    column = graph.call_function("reshape", bias, (layer.out_channels, *[1] * (len(shape) - 1)))
    return graph.call_function("add", y, column)  # type: ignore[no-any-return]


def transposed_convolution(kind: Callable[..., Layer]) -> Convert:
    def convert(
        graph: Importer, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Tensor:  # fmt: skip
        inputs, outputs, *kernel_size = array_of(weight).tensor.shape
        stride, padding, output_padding, dilation = (
            tuple(x) if isinstance(x, list) else x for x in (stride, padding, output_padding, dilation)
        )
        layer = kind(
            inputs, outputs * groups, tuple(kernel_size), stride, padding, output_padding, groups, bias is not None,
            dilation,
        )  # fmt: skip
        return graph.weighed(layer, weights_of(weight=weight, bias=bias), input)

    return convert


def embedding(graph: Importer, input: Any, weight: Any, padding_idx: int | None = None, **options: Any) -> Tensor:
    if any(options.get(name) for name in ("max_norm", "scale_grad_by_freq")):
        raise Unconvertible("max_norm and scale_grad_by_freq are not supported")
    numbers, width = array_of(weight).tensor.shape
    return graph.weighed(layers.Embedding(numbers, width, padding_idx), {"weight": weight}, input)
