"""Layers of places that are computed, and of images looked at there, in the operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .... import layers
from ....errors import ArgumentError
from ..writer import Expression, GraphWriter


def take_along(graph: GraphWriter, layer: layers.TakeAlongDim, x: str, index: str) -> str:
    """GatherElements, which stretches nothing."""
    image, places = layer.shapes
    axis = layer.dim % (len(image) + 1)
    output = list(graph.output_shape)
    x = _expanded(graph, x, image, [*output[: axis - 1], image[axis - 1], *output[axis:]])
    index = _expanded(graph, graph.cast(index, np.int64), places, output)
    return graph.node("GatherElements", x, index, axis=axis)


def scatter_along(graph: GraphWriter, layer: layers.ScatterAlongDim, x: str, index: str, source: str) -> str:
    least = {"none": 11, "add": 16, "mul": 16}.get(layer.reduce, 18)
    if graph.opset < least:
        raise ArgumentError(
            f"export_onnx: ScatterAlongDim with reduce={layer.reduce!r} needs opset {least}, got {graph.opset}."
        )
    image, places, given = layer.shapes
    index = _expanded(graph, graph.cast(index, np.int64), places, given)
    how = {} if layer.reduce == "none" else {"reduction": layer.reduce}
    return graph.node("ScatterElements", x, index, source, axis=layer.dim % (len(image) + 1), **how)


def _expanded(graph: GraphWriter, x: str, shape: Sequence[int], wanted: Sequence[int]) -> str:
    if tuple(shape) == tuple(wanted):
        return x
    return graph.node("Expand", x, graph.constant("shape", [1, *wanted]))  # 1: stretched to the batch


def top_k(graph: GraphWriter, layer: layers.TopKIndices, x: str) -> str:
    how = {"axis": layer.dim % (len(graph.shape) + 1), "largest": int(layer.largest)}
    return graph.cast(graph.last("TopK", 2, x, graph.constant("k", [layer.k]), **how), graph.dtype)


def one_hot(graph: GraphWriter, layer: layers.OneHot, x: str) -> str:
    """Whole numbers are compared: another has no place."""
    axis = layer.dim % (len(graph.output_shape) + 1)
    classes = np.arange(layer.num_classes).reshape(-1, *[1] * (len(graph.output_shape) - axis))
    x = graph.node("Unsqueeze", x, graph.constant("axis", [axis]))
    found = [
        graph.node("Equal", x, graph.constant("classes", classes - back, graph.dtype))
        for back in (0, layer.num_classes)
    ]
    return graph.cast(graph.node("Or", *found), graph.dtype)


def triangle(upper: bool) -> Expression:
    def expression(graph: GraphWriter, layer: layers.Tril | layers.Triu, x: str) -> str:
        if graph.opset >= 14:
            return graph.node("Trilu", x, graph.constant("diagonal", layer.diagonal), upper=int(upper))
        rows, columns = graph.shape[-2:]
        lower = np.tri(rows, columns, layer.diagonal - upper, dtype=np.bool_)
        kept = graph.constant("kept", ~lower if upper else lower, np.bool_)
        return graph.node("Where", kept, x, graph.constant("zero", 0.0))

    return expression


def cumsum(graph: GraphWriter, layer: layers.CumSum, x: str) -> str:
    axis = graph.constant("axis", layer.dim % (len(graph.shape) + 1))
    return graph.node("CumSum", x, axis, exclusive=int(layer.exclusive), reverse=int(layer.reverse))


def grid_sample(graph: GraphWriter, layer: layers.GridSample, x: str, grid: str) -> str:
    if graph.opset < 16 or (graph.opset < 20 and len(graph.output_shape) != 3):
        raise ArgumentError(
            f"export_onnx: GridSample needs opset 16, or 20 for other than two axes of pixels, got {graph.opset}."
        )
    mode = layer.mode if graph.opset >= 20 else {"linear": "bilinear", "cubic": "bicubic"}.get(layer.mode, layer.mode)
    how = {"mode": mode, "padding_mode": layer.padding_mode, "align_corners": int(layer.align_corners)}
    return graph.node("GridSample", x, grid, **how)


def roi_align(graph: GraphWriter, layer: layers.RoiAlign, x: str, boxes: str) -> str:
    """The boxes of all images in one list, with the image that each is of."""
    if graph.opset < 16 and layer.aligned:
        raise ArgumentError(f"export_onnx: RoiAlign with aligned=True needs opset 16, got {graph.opset}.")
    count, *rest = graph.output_shape
    shape = graph.node("Concat", graph.batch(), graph.constant("boxes", [1]), axis=0)
    images = graph.node("CumSum", graph.node("Expand", graph.constant("one", [[1]]), shape), graph.constant("axis", 0))
    images = graph.node("Sub", images, graph.constant("first", [[1]]))
    every = graph.node("Expand", images, graph.constant("each", [1, count]))
    how: dict[str, Any] = {"output_height": rest[1], "output_width": rest[2], "sampling_ratio": layer.sampling_ratio}
    how["mode"] = layer.mode
    if graph.opset >= 16:
        mode = "half_pixel" if layer.aligned else "output_half_pixel"
        how["coordinate_transformation_mode"] = mode
    rows = graph.node("Reshape", boxes, graph.constant("rows", [-1, 4]))
    which = graph.node("Reshape", every, graph.constant("flat", [-1]))
    y = graph.node("RoiAlign", x, rows, which, spatial_scale=layer.spatial_scale, **how)
    return graph.node("Reshape", y, graph.constant("shape", [-1, count, *rest]))


def non_max_suppression(graph: GraphWriter, layer: layers.NonMaxSuppression, x: str, scores: str) -> str:
    """The list of the boxes that are kept of all images, each put where its image, its class and its rank say."""
    classes, most = graph.output_shape
    found = graph.node(
        "NonMaxSuppression",
        graph.cast(x, np.float32),
        graph.cast(scores, np.float32),
        graph.constant("most", [most]),
        graph.constant("overlap", [layer.iou_threshold], np.float32),
        *([graph.constant("score", [layer.score_threshold], np.float32)] if np.isfinite(layer.score_threshold) else []),
        center_point_box=int(layer.centers),
    )
    image, kind, box = (graph.node("Gather", found, graph.constant(f"column{n}", n), axis=1) for n in range(3))
    every = graph.constant("classes", classes)
    row = graph.node("Add", graph.node("Mul", image, every), kind)
    rows = graph.node("Mul", graph.batch(), graph.constant("classes of each", [classes]))
    # Of equal rows, which follow each other, the first has rank 0: how many are there before it, less those of others.
    ends = [graph.node("Unsqueeze", row, graph.constant(f"axis {axis}", [axis])) for axis in (1, 0)]
    earlier = graph.node(
        "CumSum", graph.cast(graph.node("Equal", *ends), np.int64), graph.constant("along", 1), exclusive=1
    )
    own = graph.node("Mul", earlier, graph.node("EyeLike", earlier))
    rank = graph.node("ReduceSum", own, graph.constant("axes", [1]), keepdims=0)
    place = graph.node("Add", graph.node("Mul", row, graph.constant("most of each", most)), rank)
    total = graph.node("Mul", rows, graph.constant("places", [most]))
    empty = graph.node("Expand", graph.constant("none", [-1]), total)
    filled = graph.node("ScatterElements", empty, place, box, axis=0)
    return graph.cast(graph.node("Reshape", filled, graph.constant("shape", [-1, classes, most])), graph.dtype)


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.CumSum: cumsum,
    layers.GridSample: grid_sample,
    layers.NonMaxSuppression: non_max_suppression,
    layers.OneHot: one_hot,
    layers.RoiAlign: roi_align,
    layers.ScatterAlongDim: scatter_along,
    layers.TakeAlongDim: take_along,
    layers.TopKIndices: top_k,
    layers.Tril: triangle(upper=False),
    layers.Triu: triangle(upper=True),
}
