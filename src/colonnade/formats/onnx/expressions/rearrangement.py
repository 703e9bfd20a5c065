"""Layers that move numbers, and images of other sizes, in the operators of ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .... import layers
from ....layers.borders import Border
from ....layers.wiring import Fork
from ....ops.layout import Array
from ....ops.resampling import linear_matrix, nearest_index
from ..writer import Expression, GraphWriter

CLOSE = 2e-6  # pixels: so far from where it should be an interpolated number may be taken


def same(graph: GraphWriter, layer: layers.Layer, x: str) -> str:
    """Nothing is written: the layer hands on what it reads, as dropout does outside training."""
    return x


def constant(graph: GraphWriter, layer: layers.Constant) -> str:
    """The array once for each image."""
    shape = graph.node("Concat", graph.batch(), graph.constant("shape", layer.shape), axis=0)
    return graph.node("Expand", graph.parameter("weight"), shape)


def reshape(graph: GraphWriter, layer: layers.Flatten | layers.Unflatten, x: str) -> str:
    return graph.node("Reshape", x, graph.constant("shape", [0, *graph.output_shape]))  # 0: as many as there are


def permute(graph: GraphWriter, layer: layers.Permute, x: str) -> str:
    return graph.node("Transpose", x, perm=[axis % len(layer.dims) for axis in layer.dims])


def select(graph: GraphWriter, layer: layers.Select, x: str) -> str:
    return graph.node("Gather", x, graph.constant("index", layer.index), axis=layer.dim % (len(graph.shape) + 1))


def concat(graph: GraphWriter, layer: layers.Concat, *inputs: str) -> str:
    return graph.node("Concat", *inputs, axis=layer.dim % (len(graph.output_shape) + 1))


def slices(graph: GraphWriter, layer: layers.Slice, x: str) -> str:
    axis = layer.dim % (len(graph.shape) + 1)
    places = range(graph.shape[axis - 1])[layer.start : layer.end : layer.step]
    end = places.stop if places.stop >= 0 else np.iinfo(np.int64).min  # −1 would be the last place
    numbers = {"starts": places.start, "ends": end, "axes": axis, "steps": places.step}
    return graph.node("Slice", x, *(graph.constant(name, [number]) for name, number in numbers.items()))


def index_select(graph: GraphWriter, layer: layers.IndexSelect, x: str) -> str:
    return graph.node("Gather", x, graph.constant("index", layer.index), axis=layer.dim % (len(graph.shape) + 1))


def expand(graph: GraphWriter, layer: layers.Expand, x: str) -> str:
    return graph.node("Expand", x, graph.constant("shape", [1, *graph.output_shape]))  # 1: stretched to the batch


def tile(graph: GraphWriter, layer: layers.Tile, x: str) -> str:
    return graph.node("Tile", x, graph.constant("repeats", [1, *layer.repeats]))


def pad(graph: GraphWriter, layer: layers.Pad, x: str) -> str:
    sides = np.reshape(layer.padding, (-1, 2))[::-1]  # of the last axes: before and after
    if layer.mode == "circular":  # has been one of Pad's modes since opset 19 only
        for axis, (before, after) in enumerate(sides.tolist(), len(graph.shape) + 1 - len(sides)):
            size = graph.shape[axis - 1]
            places = np.arange(-before, size + after) % size
            x = graph.node("Gather", x, graph.constant("places", places), axis=axis) if before or after else x
        return x
    value, mode = (layer.value if layer.mode == "constant" else 0.0), layer.mode.replace("replicate", "edge")
    before, after = sides.T.tolist()
    return padded(graph, x, before, after, value, mode)


def padded(
    graph: GraphWriter, x: str, before: Sequence[int], after: Sequence[int], value: float, mode: str = "constant"
) -> str:
    """A border around the last axes of all that there are beside the batch."""
    beside = [0] * (len(graph.shape) + 1 - len(before))
    sides = graph.constant("pads", [*beside, *before, *beside, *after])
    return graph.node("Pad", x, sides, graph.constant("value", value) if value else "", mode=mode)


def zero_pad(graph: GraphWriter, layer: layers.ZeroPad2d, x: str) -> str:
    return padded(graph, x, [layer.top, layer.left], [layer.bottom, layer.right], 0.0)


def pixel_shuffle(graph: GraphWriter, layer: layers.PixelShuffle, x: str) -> str:
    return graph.node("DepthToSpace", x, blocksize=layer.upscale_factor, mode="CRD")


def pixel_unshuffle(graph: GraphWriter, layer: layers.PixelUnshuffle, x: str) -> str:
    """SpaceToDepth puts the channels last within the pixels of a square; here they come first."""
    (channels, height, width), factor = graph.output_shape, layer.downscale_factor
    sizes = [0, channels // factor**2, height, factor, width, factor]
    parted = graph.node("Reshape", x, graph.constant("squares", sizes))
    turned = graph.node("Transpose", parted, perm=[0, 1, 3, 5, 2, 4])
    return graph.node("Reshape", turned, graph.constant("shape", [0, *graph.output_shape]))


def channel_shuffle(graph: GraphWriter, layer: layers.ChannelShuffle, x: str) -> str:
    parted = graph.node("Reshape", x, graph.constant("groups", [0, layer.groups, graph.shape[0] // layer.groups, -1]))
    turned = graph.node("Transpose", parted, perm=[0, 2, 1, 3])
    return graph.node("Reshape", turned, graph.constant("shape", [0, *graph.shape]))


def upsample(graph: GraphWriter, layer: layers.Upsample, x: str) -> str:
    """One Resize where its positions are ours, however it rounds, else the pixels or products of the layer."""
    nearest, corners = layer.mode == "nearest", bool(layer.align_corners)
    factors: list[np.float32] = []
    taken: list[Array] = []  # for each direction an index, or a matrix
    agree = True
    for axis, (size, outputs) in enumerate(zip(graph.shape[1:], graph.output_shape[1:], strict=True)):
        scale = layer.advance(axis, size, outputs, len(graph.shape) - 1)
        # With `align_corners` the sizes tell the positions, and to some the factor does: so let it say the same.
        factors.append(_factor(size, outputs, size / outputs if corners else scale))
        find = nearest_index(size, outputs, scale) if nearest else linear_matrix(size, outputs, scale, corners, float)
        taken.append(find)
        for dtype in (np.float32, np.float64):
            positions = _positions(layer.mode, corners, size, outputs, factors[-1].astype(dtype))
            if nearest:
                agree &= np.array_equal(positions.astype(np.intp), find)
            else:
                agree &= np.allclose(positions, find @ np.arange(size), rtol=0, atol=CLOSE)
    if not agree and nearest:
        for axis, index in enumerate(taken, 2):
            x = graph.node("Gather", x, graph.constant("index", index), axis=axis)
        return x
    if not agree:
        return resampled(graph, x, *taken)
    how = {"mode": "linear", "coordinate_transformation_mode": "align_corners" if corners else "half_pixel"}
    if nearest:
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return graph.node("Resize", x, "", graph.constant("scales", np.array([1, 1, *factors]), np.float32), **how)


def _positions(mode: str, corners: bool, size: int, outputs: int, factor: np.floating[Any]) -> Array:
    """Where ONNX's Resize looks for each output, in the type of the factor."""
    steps = np.arange(outputs, dtype=factor.dtype)
    if mode == "nearest":
        found: Array = steps / factor
    elif corners:
        found = steps * factor.dtype.type(size - 1) / factor.dtype.type(max(outputs - 1, 1))
    else:
        half = factor.dtype.type(0.5)
        found = (steps + half) / factor - half
    return np.clip(found, 0, size - 1)


def _factor(size: int, outputs: int, scale: float) -> np.float32:
    """1 / scale in float32, a bit more or less where ⌊size · factor⌋ would else be another number of outputs."""
    factor = np.float32(1 / scale)
    for _ in range(2):
        reached = int(size * float(factor)), int(np.float32(size) * factor)  # both ways to multiply are in use
        if min(reached) < outputs:
            factor = np.nextafter(factor, np.float32(math.inf))
        elif max(reached) > outputs:
            factor = np.nextafter(factor, np.float32(0))
    return factor


def resize(graph: GraphWriter, layer: layers.Resize, x: str) -> str:
    """V x Hᵀ: what the programs that run ONNX do in some of these modes differs."""
    y = resampled(graph, x, *(layer.matrix(axis, graph.shape[1 + axis], graph.dtype) for axis in (0, 1)))
    if not layer.extrapolation_value:
        return y
    outside = np.logical_or.outer(*(layer.outside(axis, graph.shape[1 + axis]) for axis in (0, 1)))
    return graph.node("Add", y, graph.constant("outside", outside * layer.extrapolation_value))


def resampled(graph: GraphWriter, x: str, *matrices: Array) -> str:
    """The axes of pixels of each channel, each multiplied by its matrix (outputs, size): of images V x Hᵀ."""
    sizes = list(graph.shape)
    for axis, matrix in enumerate(matrices[:-1], 1):
        sizes[axis] = len(matrix)
        below = math.prod(sizes[axis + 1 :])  # of what stands between the axis and the last one a row is made
        deep = axis + 2 < len(sizes)
        if deep:
            x = graph.node("Reshape", x, graph.constant("rows", [0, *sizes[:axis], -1, below]))
        x = graph.node("MatMul", graph.constant("matrix", matrix), x)
        if deep:
            x = graph.node("Reshape", x, graph.constant("size", [0, *sizes]))
    return graph.node("MatMul", x, graph.constant("horizontal", matrices[-1].T))


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    Fork: same,
    **dict.fromkeys(Border.__subclasses__(), pad),
    layers.ChannelShuffle: channel_shuffle,
    layers.Concat: concat,
    layers.Constant: constant,
    **dict.fromkeys((layers.Dropout, layers.Dropout1d, layers.Dropout2d, layers.Dropout3d), same),
    layers.Expand: expand,
    layers.Flatten: reshape,
    layers.Identity: same,
    layers.IndexSelect: index_select,
    layers.Pad: pad,
    layers.Permute: permute,
    layers.PixelShuffle: pixel_shuffle,
    layers.PixelUnshuffle: pixel_unshuffle,
    layers.Reshape: reshape,
    layers.Resize: resize,
    layers.Select: select,
    layers.Slice: slices,
    layers.Tile: tile,
    layers.Unflatten: reshape,
    layers.Upsample: upsample,
    layers.ZeroPad2d: zero_pad,
}
