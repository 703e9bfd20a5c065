"""Functions of PyTorch that resize images, or put a border around them, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from .... import layers
from ..values import BATCH, Array, Tensor, Unconvertible, Value
from .axes import permute, reshape
from .products import matmul

if TYPE_CHECKING:
    from ..importer import Importer


def interpolate(
    graph: Importer, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    size, scale_factor = (tuple(each) if isinstance(each, Sequence) else each for each in (size, scale_factor))
    if antialias:
        return _resized(graph, x, size, scale_factor, mode, align_corners)
    if mode in ("nearest", "linear", "bilinear", "trilinear"):
        return graph.put(layers.Upsample(size, scale_factor, mode, align_corners, recompute_scale_factor), x)
    scales = None
    if size is None:
        factors = scale_factor if isinstance(scale_factor, tuple) else (scale_factor, scale_factor)
        size = tuple(math.floor(length * factor) for length, factor in zip(x.known[1:], factors, strict=True))
        scales = None if recompute_scale_factor else factors
    if mode == "area":
        return graph.put(layers.AdaptiveAvgPool2d(size), x)
    if mode == "nearest-exact":
        return graph.put(layers.Resize(size, scales, nearest_mode="round_prefer_ceil"), x)
    if mode != "bicubic":
        raise Unconvertible(f"mode must be one that Upsample or Resize has, got {mode!r}")
    coordinates = "align_corners" if align_corners else "half_pixel"
    return graph.put(layers.Resize(size, scales, mode="cubic", coordinates=coordinates), x)


def _resized(graph: Importer, x: Value, size: Any, scale_factor: Any, mode: str, align_corners: bool | None) -> Tensor:
    """V x Hᵀ of each channel, with the matrices that PyTorch resizes the axes with."""

    def matrix(length: int, axis: int) -> torch.Tensor:
        columns = torch.eye(length, dtype=torch.float64)[None, None]
        given: dict[str, Any] = {}
        if size is not None:
            given["size"] = (size if isinstance(size, int) else int(size[axis]), length)
        else:
            given["scale_factor"] = (scale_factor if isinstance(scale_factor, int | float) else scale_factor[axis], 1.0)
        made = torch.nn.functional.interpolate(columns, **given, mode=mode, align_corners=align_corners, antialias=True)
        return made[0, 0]

    vertical, horizontal = (matrix(length, axis) for axis, length in enumerate(x.known[-2:]))
    return matmul(graph, Array("resizing", vertical), matmul(graph, x, Array("resizing", horizontal.T)))


def grid_sample(
    graph: Importer, input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:  # fmt: skip
    how = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    return graph.put(layers.GridSample(how, padding_mode, bool(align_corners)), *graph.pair(input, grid))


def affine_grid(graph: Importer, theta: Any, size: Any, align_corners: bool | None = None) -> Tensor:
    """The places (n, ..., axes) where matrices (n, axes, axes + 1) move those of a grid of `size`."""
    axes = len(size) - 2
    one = torch.eye(axes, axes + 1, dtype=torch.float64)[None]
    places = functional.affine_grid(one, [1, 1, *size[2:]], bool(align_corners)).reshape(-1, axes)
    homogeneous = Array("grid", torch.cat([places, torch.ones(len(places), 1, dtype=torch.float64)], 1))
    moved = matmul(graph, homogeneous, permute(graph, theta, 0, 2, 1))
    return reshape(graph, moved, BATCH, *size[2:], axes)


def pad(graph: Importer, input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    x, sides = graph.value(input), tuple(pad)
    if min(sides, default=0) < 0:  # it cuts off
        for axis, (before, after) in enumerate(zip(sides[::2], sides[1::2], strict=True), 1):
            if min(before, after) < 0:
                x = graph.value(graph.put(layers.Slice(-axis, max(-before, 0), min(after, 0) or None), x))
        sides = tuple(max(each, 0) for each in sides)
    if x.shape is not None and len(sides) // 2 > len(x.shape):
        raise Unconvertible("the axis of the batch can't be padded")
    if mode == "constant" and not value and len(sides) == 4 and (x.shape is None or len(x.shape) == 3):
        left, right, top, bottom = sides
        return graph.put(layers.ZeroPad2d((left, right, top, bottom)), x)
    return graph.put(layers.Pad(sides, mode, value or 0.0), x)
