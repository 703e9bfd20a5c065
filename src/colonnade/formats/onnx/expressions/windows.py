"""Convolutions and pools in the operators of ONNX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .... import layers
from ....ops.adaptive import side_by_side
from ....ops.pooling import adaptive_matrix
from ....ops.sequence import Stride1d
from ....ops.window import Window
from ..writer import Expression, GraphWriter
from .rearrangement import padded, resampled


def convolution(graph: GraphWriter, layer: layers.Conv1d | layers.Conv2d, x: str) -> str:
    before, after = _padding(layer.window)
    moves = _moves(layer.window)
    arrays = graph.parameter("weight"), graph.parameter("bias")
    return graph.node("Conv", x, *arrays, pads=[*before, *after], group=layer.groups, **moves)


def transposed_convolution(graph: GraphWriter, layer: layers.ConvTranspose2d, x: str) -> str:
    moves, (top, _, left, _), (more_rows, more_columns) = _moves(layer.window), layer.window.padding, layer.extra
    weight, bias = graph.parameter("weight"), graph.parameter("bias")
    how = {"group": layer.groups, **moves}
    if all(more < stride for more, stride in zip(layer.extra, layer.window.stride, strict=True)):
        return graph.node("ConvTranspose", x, weight, bias, pads=[top, left] * 2, output_padding=layer.extra, **how)
    # ONNX Runtime takes no output padding of a stride or more: cut off less there, and where nothing is, add zeros.
    ends = [top - more_rows, left - more_columns]
    kept = graph.node("ConvTranspose", x, weight, pads=[top, left, *(max(0, end) for end in ends)], **how)
    if min(ends) < 0:
        kept = padded(graph, kept, [0, 0], [max(0, -end) for end in ends], 0.0)
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


def max_pool(graph: GraphWriter, layer: layers.MaxPool1d | layers.MaxPool2d, x: str) -> str:
    moves = _moves(layer.window)
    before, after = _reached(graph, layer)
    if np.greater_equal([before, after], moves["kernel_shape"]).any():
        # A dilated window may reach further out than ONNX Runtime lets a padding go.
        x = padded(graph, x, before, after, -math.inf)
        before = after = [0] * len(before)
    return graph.node("MaxPool", x, pads=[*before, *after], **moves)


def avg_pool(graph: GraphWriter, layer: layers.AvgPool1d | layers.AvgPool2d, x: str) -> str:
    moves = _moves(layer.window)
    del moves["dilations"]  # an average has none, and its operator has the attribute only since opset 19
    before, after = _reached(graph, layer)
    padding, divisor = _padding(layer.window), getattr(layer, "divisor_override", None)
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


def adaptive_avg_pool(graph: GraphWriter, layer: layers.AdaptiveAvgPool2d, x: str) -> str:
    if (tiles := _tiles(graph)) is None:
        sizes = zip(graph.shape[1:], graph.output_shape[1:], strict=True)
        return resampled(graph, x, *(adaptive_matrix(size, outputs, float) for size, outputs in sizes))
    if graph.output_shape[1:] == (1, 1):
        return graph.node("GlobalAveragePool", x)
    return graph.node("AveragePool", x, kernel_shape=tiles, strides=tiles)


def adaptive_max_pool(graph: GraphWriter, layer: layers.AdaptiveMaxPool2d, x: str) -> str:
    if graph.output_shape[1:] == (1, 1):
        return graph.node("GlobalMaxPool", x)
    if (tiles := _tiles(graph)) is None:
        # Windows of different length: shorter ones are filled up with their last row, which changes no maximum.
        tiles = []
        for axis, size, outputs in zip((2, 3), graph.shape[1:], graph.output_shape[1:], strict=True):
            rows, tile = side_by_side(size, outputs)
            tiles.append(tile)
            x = graph.node("Gather", x, graph.constant("rows", rows), axis=axis)
    return graph.node("MaxPool", x, kernel_shape=tiles, strides=tiles)


def _moves(window: Window | Stride1d) -> dict[str, list[int]]:
    """How a window moves, as attributes."""
    if isinstance(window, Stride1d):
        return {"kernel_shape": [window.kernel], "strides": [window.stride], "dilations": [window.dilation]}
    return {"kernel_shape": [*window.kernel], "strides": [*window.stride], "dilations": [*window.dilation]}


def _padding(window: Window | Stride1d) -> tuple[list[int], list[int]]:
    """Before and after the image, along each axis."""
    if isinstance(window, Stride1d):
        return [window.before], [window.after]
    top, bottom, left, right = window.padding
    return [top, left], [bottom, right]


def _reached(graph: GraphWriter, layer: Any) -> tuple[list[int], list[int]]:
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
    layers.AdaptiveAvgPool2d: adaptive_avg_pool,
    layers.AdaptiveMaxPool2d: adaptive_max_pool,
    layers.AvgPool1d: avg_pool,
    layers.AvgPool2d: avg_pool,
    layers.Conv1d: convolution,
    layers.Conv2d: convolution,
    layers.ConvTranspose2d: transposed_convolution,
    layers.Fold: fold,
    layers.MaxPool1d: max_pool,
    layers.MaxPool2d: max_pool,
    layers.Unfold: unfold,
}
