"""Convolutions and pools in the operators of ONNX."""

from __future__ import annotations

import math

import numpy as np

from .... import layers
from ....layers.adaptive import AdaptiveAvgPool, AdaptiveMaxPool
from ....layers.convolution import Convolution
from ....layers.pooling import AvgPool, MaxPool, WindowPooling
from ....layers.transposed_convolution import TransposedConvolution
from ....ops.adaptive import side_by_side
from ....ops.pooling import adaptive_matrix
from ....ops.window import Window
from ..writer import Expression, GraphWriter
from .rearrangement import padded, resampled


def convolution(graph: GraphWriter, layer: Convolution, x: str) -> str:
    before, after = _padding(layer.window)
    moves = _moves(layer.window)
    arrays = graph.parameter("weight"), graph.parameter("bias")
    return graph.node("Conv", x, *arrays, pads=[*before, *after], group=layer.groups, **moves)


def transposed_convolution(graph: GraphWriter, layer: TransposedConvolution, x: str) -> str:
    before, _ = _padding(layer.window)
    weight, bias = graph.parameter("weight"), graph.parameter("bias")
    how = {"group": layer.groups, **_moves(layer.window)}
    if all(more < stride for more, stride in zip(layer.extra, layer.window.stride, strict=True)):
        return graph.node("ConvTranspose", x, weight, bias, pads=before * 2, output_padding=layer.extra, **how)
    # ONNX Runtime takes no output padding of a stride or more: cut off less there, and where nothing is, add zeros.
    ends = [border - more for border, more in zip(before, layer.extra, strict=True)]
    kept = graph.node("ConvTranspose", x, weight, pads=[*before, *(max(0, end) for end in ends)], **how)
    if min(ends) < 0:
        kept = padded(graph, kept, [0] * len(ends), [max(0, -end) for end in ends], 0.0)
    return graph.node("Add", kept, graph.by_channel("bias")) if bias else kept


def unfold(graph: GraphWriter, layer: layers.Unfold, x: str) -> str:
    """A convolution of each channel by itself, whose kernels pick one pixel of a window each."""
    before, after = _padding(layer.window)
    channels = graph.shape[0]
    how = {"pads": [*before, *after], "group": channels, **_moves(layer.window)}
    columns = graph.node("Conv", x, _picking(graph, layer.window, channels), **how)
    return graph.node("Reshape", columns, graph.constant("columns", [0, *graph.output_shape]))


def fold(graph: GraphWriter, layer: layers.Fold, x: str) -> str:
    """The same the other way: a transposed convolution."""
    channels, *size = graph.output_shape
    outputs = layer.window.output_size(layer.size)
    images = graph.node("Reshape", x, graph.constant("images", [0, graph.shape[0], *outputs]))
    before, after = _padding(layer.window)
    missing = [whole - made for whole, made in zip(size, layer.window.input_size(outputs), strict=True)]
    how = {"pads": [*before, *after], "output_padding": missing, "group": channels, **_moves(layer.window)}
    return graph.node("ConvTranspose", images, _picking(graph, layer.window, channels), **how)


def _picking(graph: GraphWriter, window: Window, channels: int) -> str:
    """For each channel the kernels (k_h · k_w, 1, k_h, k_w) of which each picks one pixel."""
    count = math.prod(window.kernel)
    kernels = np.eye(count).reshape(count, 1, *window.kernel)
    return graph.constant("pick", np.tile(kernels, (channels, 1, 1, 1)))


def max_pool(graph: GraphWriter, layer: MaxPool, x: str) -> str:
    moves = _moves(layer.window)
    before, after = _reached(graph, layer)
    if np.greater_equal([before, after], moves["kernel_shape"]).any():
        # A dilated window may reach further out than ONNX Runtime lets a padding go.
        x = padded(graph, x, before, after, -math.inf)
        before = after = [0] * len(before)
    return graph.node("MaxPool", x, pads=[*before, *after], **moves)


def avg_pool(graph: GraphWriter, layer: AvgPool, x: str) -> str:
    moves = _moves(layer.window)
    del moves["dilations"]  # an average has none, and its operator has the attribute only since opset 19
    before, after = _reached(graph, layer)
    padding, divisor = _padding(layer.window), layer.divisor_override
    counted = layer.count_include_pad or divisor is not None
    beyond = [max(0, reached - end) for reached, end in zip(after, padding[1], strict=True)]
    if divisor is None and counted and any(beyond):
        # What hangs over the padding does not count, the padding does: so let that be part of the image.
        x = padded(graph, x, *padding, 0.0)
        before, after, counted = [0] * len(before), beyond, False
    mean = graph.node("AveragePool", x, pads=[*before, *after], count_include_pad=int(counted), **moves)
    if divisor is None:
        return mean
    return graph.node("Mul", mean, graph.constant("share", math.prod(moves["kernel_shape"]) / divisor))


def adaptive_avg_pool(graph: GraphWriter, layer: AdaptiveAvgPool, x: str) -> str:
    if (tiles := _tiles(graph)) is None:
        sizes = zip(graph.shape[1:], graph.output_shape[1:], strict=True)
        return resampled(graph, x, *(adaptive_matrix(size, outputs, float) for size, outputs in sizes))
    if set(graph.output_shape[1:]) == {1}:
        return graph.node("GlobalAveragePool", x)
    return graph.node("AveragePool", x, kernel_shape=tiles, strides=tiles)


def adaptive_max_pool(graph: GraphWriter, layer: AdaptiveMaxPool, x: str) -> str:
    if set(graph.output_shape[1:]) == {1}:
        return graph.node("GlobalMaxPool", x)
    if (tiles := _tiles(graph)) is None:
        # Windows of different length: shorter ones are filled up with their last row, which changes no maximum.
        tiles = []
        for axis, (size, outputs) in enumerate(zip(graph.shape[1:], graph.output_shape[1:], strict=True), 2):
            rows, tile = side_by_side(size, outputs)
            tiles.append(tile)
            x = graph.node("Gather", x, graph.constant("rows", rows), axis=axis)
    return graph.node("MaxPool", x, kernel_shape=tiles, strides=tiles)


def _moves(window: Window) -> dict[str, list[int]]:
    """How a window moves, as attributes."""
    return {"kernel_shape": [*window.kernel], "strides": [*window.stride], "dilations": [*window.dilation]}


def _padding(window: Window) -> tuple[list[int], list[int]]:
    """Before and after the image, along each axis."""
    return [*window.before], [*window.after]


def _reached(graph: GraphWriter, layer: WindowPooling) -> tuple[list[int], list[int]]:
    """The padding that a pool's windows reach, which with `ceil_mode` is not what was asked for."""
    before, after = _padding(layer.window)
    if layer.ceil_mode:
        moves = zip(before, *_moves(layer.window).values(), graph.shape[1:], graph.output_shape[1:], strict=True)
        after = [
            max(0, (outputs - 1) * stride + dilation * (kernel - 1) + 1 - size - start)
            for start, kernel, stride, dilation, size, outputs in moves
        ]
    return before, after


def _tiles(graph: GraphWriter) -> list[int] | None:
    """The size of each window where as many as there are outputs lie side by side; None where they do not."""
    sizes = [divmod(size, outputs) for size, outputs in zip(graph.shape[1:], graph.output_shape[1:], strict=True)]
    return None if any(rest for _, rest in sizes) else [size for size, _ in sizes]


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    **dict.fromkeys((layers.AdaptiveAvgPool1d, layers.AdaptiveAvgPool2d, layers.AdaptiveAvgPool3d), adaptive_avg_pool),
    **dict.fromkeys((layers.AdaptiveMaxPool1d, layers.AdaptiveMaxPool2d, layers.AdaptiveMaxPool3d), adaptive_max_pool),
    **dict.fromkeys((layers.AvgPool1d, layers.AvgPool2d, layers.AvgPool3d), avg_pool),
    **dict.fromkeys((layers.Conv1d, layers.Conv2d, layers.Conv3d), convolution),
    **dict.fromkeys((layers.ConvTranspose1d, layers.ConvTranspose2d, layers.ConvTranspose3d), transposed_convolution),
    layers.Fold: fold,
    **dict.fromkeys((layers.MaxPool1d, layers.MaxPool2d, layers.MaxPool3d), max_pool),
    layers.Unfold: unfold,
}
