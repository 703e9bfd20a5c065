"""Images of another size: Resize, and Upsample, as it was called before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..folding import MOST_NUMBERS
from ..values import Images, Layout, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call


def upsample(call: Call) -> Value:
    x = call.plain()
    scales = call.attribute("scales") if call.opset < 9 else call.known(1)
    return _before_opset_11(call, x, [float(each) for each in np.ravel(scales)])


def resize(call: Call) -> Value:
    x = call.plain()
    if call.opset < 11:
        return _before_opset_11(call, x, [float(each) for each in call.known(1).ravel()])
    rank = x.layout.rank
    axes = [x.layout.axis(axis) for axis in call.attribute("axes", range(rank))]
    given = call.optional(2)
    scales = [1.0] * rank
    sizes: list[int] | None = None
    if given is not None and given.size:
        for axis, scale in zip(axes, given.ravel(), strict=True):
            scales[axis] = float(scale)
    else:
        # The first size may hold that of the batch.
        wanted = dict(zip(axes, call.known(3).ravel().tolist(), strict=True))
        sizes = [size if axis == 0 else int(wanted.get(axis, size)) for axis, size in enumerate(x.layout.sizes)]
        policy = call.attribute("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [np.float32(sizes[axis]) / np.float32(x.layout.sizes[axis]) for axis in axes]
            ratio = min(ratios) if policy == "not_larger" else max(ratios)
            scales = [float(ratio) if axis in axes else 1.0 for axis in range(rank)]
            sizes = [int(np.float32(size * scale) + 0.5) for size, scale in zip(x.layout.sizes, scales, strict=True)]
        else:
            scales = [size / own for size, own in zip(sizes, x.layout.sizes, strict=True)]
    coordinates = call.attribute("coordinate_transformation_mode", "half_pixel")
    region = None
    if coordinates == "tf_crop_and_resize":
        roi = call.known(1).ravel()
        region = [0.0] * rank + [1.0] * rank
        for place, axis in enumerate(axes):
            region[axis], region[axis + rank] = float(roi[place]), float(roi[place + len(axes)])
    elif list(x.layout.sizes) == (sizes or _sizes(x.layout.sizes, scales)):
        return x  # whatever the scales, as those take it who run such files
    rounding = call.attribute("nearest_mode", "round_prefer_floor")
    return _resized(call, x, scales, sizes, coordinates, rounding, region)


def _before_opset_11(call: Call, x: Images, scales: list[float]) -> Images:
    """The nearest pixel is that before its place where an axis becomes longer, and that behind it where shorter."""
    if list(x.layout.sizes) == _sizes(x.layout.sizes, scales):
        return x
    larger, smaller = [max(scale, 1.0) for scale in scales], [min(scale, 1.0) for scale in scales]
    if call.attribute("mode", "nearest") != "nearest" or min(scales) >= 1:
        return _resized(call, x, scales, None, "asymmetric", "floor")
    if max(scales) > 1:
        x = _resized(call, x, larger, None, "asymmetric", "floor")
    return _resized(call, x, smaller, None, "asymmetric", "ceil")


def _sizes(own: Sequence[int], scales: Sequence[float]) -> list[int]:
    """In float32, as those multiply who run such files: 10 pixels at 0.7 times are 7."""
    return [int(np.float32(size) * np.float32(scale)) for size, scale in zip(own, scales, strict=True)]


def _resized(
    call: Call,
    x: Images,
    scales: list[float],
    sizes: list[int] | None,
    coordinates: str,
    rounding: str,
    region: list[float] | None = None,
) -> Images:
    own = x.layout.sizes
    if len(scales) != len(own) or not all(0 < scale < math.inf for scale in scales):
        raise UnsupportedError(f"it makes images of {own[1:]} larger by {scales}")
    made = sizes or _sizes(own, scales)
    if scales[0] != 1 or made[0] != own[0]:
        raise UnsupportedError("it makes the batch another")
    if min(made) < 1 or max(wanted * size for wanted, size in zip(made, own, strict=True)) > MOST_NUMBERS:
        raise UnsupportedError(f"it makes a tensor of {own[1:]} one of {made[1:]}")
    if len(own) not in (3, 4) or made[1] != own[1]:
        return _axis_by_axis(call, x, scales, made, coordinates, rounding, region)
    rows = len(own) == 4
    high, wide = (made[2], made[3]) if rows else (1, made[2])
    ratio = (scales[2], scales[3]) if rows else (1.0, scales[2])
    image = x if rows else call.importer.reshaped(x, Layout((*own[:2], 1, own[2]), 0))
    ratios = zip((high, wide), (own[2], own[3]) if rows else (1, own[2]), ratio, strict=True)
    by_size = all(math.isclose(outputs / size, scale, rel_tol=1e-6) for outputs, size, scale in ratios)
    layer = _layer(call, (high, wide), ratio, coordinates, rounding, region, by_size)
    y = call.emit(layer, image, layout=Layout((*own[:2], high, wide), 0))
    return y if rows else call.importer.reshaped(y, Layout((*own[:2], wide), 0))


def _axis_by_axis(
    call: Call,
    x: Images,
    scales: list[float],
    sizes: list[int],
    coordinates: str,
    rounding: str,
    region: list[float] | None,
) -> Images:
    """One axis after the other, as the rows of an image whose columns stay."""
    if coordinates == "tf_half_pixel_for_nn":
        raise UnsupportedError(f"other axes than the two of images, with {coordinates}")
    rank = len(sizes)
    for axis in range(1, rank):
        size, outputs, scale = x.layout.sizes[axis], sizes[axis], scales[axis]
        ends = (0.0, 1.0) if region is None else (region[axis], region[axis + rank])
        if size == outputs and ends == (0.0, 1.0):
            continue
        ahead, behind = math.prod(x.layout.sizes[1:axis]), math.prod(x.layout.sizes[axis + 1 :])
        image = call.importer.reshaped(x, Layout((1, ahead, size, behind), 0))
        part = None if region is None else [0.0, 0.0, ends[0], 0.0, 1.0, 1.0, ends[1], 1.0]
        by_size = math.isclose(outputs / size, scale, rel_tol=1e-6)
        layer = _layer(call, (outputs, behind), (scale, 1.0), coordinates, rounding, part, by_size)
        y = call.emit(layer, image, layout=Layout((1, ahead, outputs, behind), 0))
        x = call.importer.reshaped(y, x.layout.resized({axis: outputs}))
    return x


def _layer(
    call: Call,
    size: tuple[int, int],
    scales: tuple[float, float],
    coordinates: str,
    rounding: str,
    region: list[float] | None,
    by_size: bool,
) -> layers.Layer:
    """An Upsample where it says the same, else a Resize.

    PyTorch's goes by the sizes where they stay, whatever the scale is; ONNX goes by the scale.
    """
    mode = call.attribute("mode", "nearest")
    antialias, outside = (bool(call.attribute(name, 0)) for name in ("antialias", "exclude_outside"))
    larger = all(scale >= 1 and scale == int(scale) for scale in scales)
    if (
        mode == "nearest"
        and larger
        and (coordinates, rounding)
        in (
            ("asymmetric", "floor"),
            ("half_pixel", "round_prefer_floor"),
            ("half_pixel", "round_prefer_ceil"),
        )
    ):
        return layers.Upsample(scale_factor=scales)
    squares = coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and min(size) > 1)
    if mode in ("linear", "bilinear") and not (antialias or outside):
        if squares and by_size:
            return layers.Upsample(size, mode="bilinear")
        if coordinates == "align_corners":
            return layers.Upsample(size, mode="bilinear", align_corners=True)
    half = None if region is None else len(region) // 2
    part = (0.0, 0.0, 1.0, 1.0)
    if region is not None and half is not None:
        starts, ends = region[2:half], region[half + 2 :]
        rows = len(starts) == 2
        part = (starts[0], starts[1], ends[0], ends[1]) if rows else (0.0, starts[0], 1.0, ends[0])
    return layers.Resize(
        size,
        scales,
        {"bilinear": "linear"}.get(mode, mode),
        coordinates,
        rounding,
        call.attribute("cubic_coeff_a", -0.75),
        outside,
        antialias,
        part,
        call.attribute("extrapolation_value", 0.0),
    )


CONVERSIONS: dict[str, Conversion] = {"Resize": resize, "Upsample": upsample}
