"""Convolutions and pools, with every kind of border that ONNX knows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .... import layers
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import cut, padded

if TYPE_CHECKING:
    from ..call import Call


class Windows(NamedTuple):
    """How windows move along one axis.

    Attributes:
        size: Of the input.
        kernel: Numbers of a window.
        stride: From one window to the next.
        dilation: From one number of a window to the next.
        before: Border before the input.
        after: Border after it.
        many: How many windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    many: int

    @property
    def extent(self) -> int:
        """What one window spans."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def beyond(self) -> int:
        """How far the last window reaches beyond the border; negative where it ends before."""
        return (self.many - 1) * self.stride + self.extent - (self.before + self.size + self.after)


def windows(call: Call, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> list[Windows]:
    """The windows of a convolution or pool along each axis, from the node's attributes."""
    axes = len(sizes)
    strides, dilations = (list(call.attribute(name) or [1] * axes) for name in ("strides", "dilations"))
    pads = list(call.attribute("pads") or [0] * (2 * axes))
    if len(kernel) != axes or len(strides) != axes or len(dilations) != axes or len(pads) != 2 * axes:
        raise UnsupportedError(f"windows of {len(kernel)} axes on images of {axes}")
    if min((*kernel, *strides, *dilations)) < 1 or min(pads) < 0:
        raise UnsupportedError(f"windows of {kernel}, strides {strides}, dilations {dilations}, borders {pads}")
    automatic = call.attribute("auto_pad", "NOTSET")
    made = []
    for axis, size in enumerate(sizes):
        stride, extent = strides[axis], dilations[axis] * (kernel[axis] - 1) + 1
        before, after = pads[axis], pads[axis + axes]
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, (-(-size // stride) - 1) * stride + extent - size)
            before = total // 2 if automatic == "SAME_UPPER" else total - total // 2
            after = total - before
        elif automatic == "VALID":
            before = after = 0
        room = before + size + after - extent
        count = room // stride + 1
        if call.attribute("ceil_mode", 0) and automatic not in ("SAME_UPPER", "SAME_LOWER"):
            count = -(-room // stride) + 1
            count -= (count - 1) * stride >= size + before  # a window must begin within the image or before it
        if room < 0 or count < 1:
            raise UnsupportedError(f"a window spans {extent}, more than the {before + size + after} there are")
        made.append(Windows(size, kernel[axis], stride, dilations[axis], before, after, count))
    return made


def _spatial(x: Images) -> tuple[int, ...]:
    sizes = x.layout.sizes[2:]
    if len(sizes) not in (1, 2, 3):
        raise UnsupportedError(f"there are layers for one to three axes of pixels, it has {len(sizes)}")
    return sizes


def _layer(name: str, axes: int) -> Any:
    """The layer of that name for so many axes of pixels."""
    return getattr(layers, f"{name}{axes}d")


def _along(numbers: Iterable[int]) -> Any:
    """A number for each axis, as a layer's argument."""
    return tuple(int(each) for each in numbers)


def _of_rows(call: Call, x: Images) -> Value:
    """Along sequences of which no axis is the batch, (a, c, l): each is a row of one image."""
    turned = call.importer.transposed(x, (1, 0, 2))
    image = call.importer.reshaped(turned, Layout((1, *turned.layout.sizes), 0))
    given, attributes = call.value(1), dict(call.node.attributes)
    weight = Known(call.known(1)[:, :, None], given.name if isinstance(given, Known) else None)
    for name in attributes.keys() & {"kernel_shape", "strides", "dilations"}:
        attributes[name] = [1, *attributes[name]]
    if "pads" in attributes:
        before, after = attributes["pads"]
        attributes["pads"] = [0, before, 0, after]
    node = replace(call.node, attributes=attributes)
    y = convolution(type(call)(call.importer, node, [image, weight, *call.inputs[2:]]))
    assert isinstance(y, Images)
    return call.importer.transposed(call.importer.reshaped(y, Layout(y.layout.sizes[1:], None)), (1, 0, 2), call.name)


def convolution(call: Call) -> Value:
    layout = call.data().layout
    if layout.batch is None and layout.rank == 3 and layout.sizes[0] > 1:
        return _of_rows(call, call.data())
    x, weight = call.plain(), call.known(1)
    bias = call.optional(2)
    sizes = _spatial(x)
    kernel = tuple(call.attribute("kernel_shape") or weight.shape[2:])
    if kernel != weight.shape[2:] or weight.ndim != x.layout.rank:
        raise UnsupportedError(f"kernels of shape {weight.shape} on images of {x.layout.rank - 2} axes")
    groups, channels = call.attribute("group", 1), x.layout.sizes[1]
    each = windows(call, sizes, kernel)
    even = all(axis.before == axis.after for axis in each)
    if not even:
        x = padded(call, x, {place + 2: (axis.before, axis.after) for place, axis in enumerate(each)})
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias})
    layer = _layer("Conv", len(sizes))(
        channels,
        len(weight),
        tuple(axis.kernel for axis in each),
        tuple(axis.stride for axis in each),
        tuple(axis.before if even else 0 for axis in each),
        tuple(axis.dilation for axis in each),
        groups,
        bias is not None,
    )
    layout = Layout((1, len(weight), *(axis.many for axis in each)), 0)
    return call.emit(layer, x, layout=layout, names=call.names(1, 2), weights=weights)


def transposed_convolution(call: Call) -> Value:
    x, weight, bias = call.plain(), call.known(1), call.optional(2)
    sizes = _spatial(x)
    axes = len(sizes)
    kernel = tuple(call.attribute("kernel_shape") or weight.shape[2:])
    groups, channels = call.attribute("group", 1), x.layout.sizes[1]
    if kernel != weight.shape[2:] or weight.ndim != x.layout.rank or groups < 1:
        raise UnsupportedError(f"kernels of shape {weight.shape} on images of {axes} axes")
    strides, dilations, extra = (
        list(call.attribute(name) or [default] * axes)
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0))
    )
    reached = [
        (sizes[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1 + extra[axis]
        for axis in range(axes)
    ]
    borders = _cropped(call, sizes, reached, extra, strides)
    outputs = [whole - sum(border) for whole, border in zip(reached, borders, strict=True)]
    even = all(before == after for before, after in borders)
    padding = [before if even else 0 for before, _ in borders]
    layer = _layer("ConvTranspose", axes)(
        channels,
        weight.shape[1] * groups,
        kernel,
        tuple(strides),
        tuple(padding),
        tuple(extra),
        groups,
        bias is not None,
        tuple(dilations),
    )
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias})
    layout = Layout((1, layer.out_channels, *(outputs if even else reached)), 0)
    y = call.emit(layer, x, layout=layout, names=call.names(1, 2), weights=weights)
    if not even:
        for axis, (before, _) in enumerate(borders):
            y = cut(call, y, axis + 2, slice(before, before + outputs[axis]), f"{call.name}.crop")
    return y


def _cropped(
    call: Call, sizes: tuple[int, ...], reached: list[int], extra: list[int], strides: list[int]
) -> list[tuple[int, int]]:
    """What is cut off the output of a transposed convolution, before and after, of each axis.

    Where a larger one is wanted than the windows reach, `reached` and the output padding `extra` grow.
    """
    axes, automatic = len(sizes), call.attribute("auto_pad", "NOTSET")
    wanted = call.attribute("output_shape")
    if wanted is None and automatic in ("SAME_UPPER", "SAME_LOWER"):
        wanted = [size * stride for size, stride in zip(sizes, strides, strict=True)]
    if wanted is not None:
        borders = []
        for axis, size in enumerate(wanted[-axes:]):
            extra[axis] += max(0, size - reached[axis])
            reached[axis] = max(size, reached[axis])
            total = reached[axis] - size
            less = total // 2
            borders.append((less, total - less) if automatic == "SAME_UPPER" else (total - less, less))
        return borders
    pads = list(call.attribute("pads") or [0] * (2 * axes)) if automatic != "VALID" else [0] * (2 * axes)
    return [(pads[axis], pads[axis + axes]) for axis in range(axes)]


def max_pool(call: Call) -> Value:
    x = call.plain()
    if call.needed(1):
        raise UnsupportedError("a layer has one output, and the places of the maxima are wanted too")
    sizes = _spatial(x)
    each = windows(call, sizes, tuple(call.attribute("kernel_shape")))
    native = all(axis.before == axis.after <= axis.extent // 2 for axis in each)
    ceil = bool(call.attribute("ceil_mode", 0))
    if not native:
        borders = {place + 2: (axis.before, max(0, axis.after + axis.beyond)) for place, axis in enumerate(each)}
        x = padded(call, x, borders, value=-math.inf)
    layer = _layer("MaxPool", len(sizes))(
        _along(axis.kernel for axis in each),
        _along(axis.stride for axis in each),
        _along(axis.before if native else 0 for axis in each),
        _along(axis.dilation for axis in each),
        ceil_mode=ceil and native,
    )
    return call.emit(layer, x, layout=Layout((1, x.layout.sizes[1], *(axis.many for axis in each)), 0))


def average_pool(call: Call) -> Value:
    x = call.plain()
    sizes = _spatial(x)
    each = windows(call, sizes, tuple(call.attribute("kernel_shape")))
    counted = bool(call.attribute("count_include_pad", 0))
    native = all(axis.before == axis.after <= axis.extent // 2 and axis.dilation == 1 for axis in each)
    kernel, strides = _along(axis.kernel for axis in each), _along(axis.stride for axis in each)
    pool = _layer("AvgPool", len(sizes))
    channels = x.layout.sizes[1]
    layout = Layout((1, channels, *(axis.many for axis in each)), 0)
    if native:
        padding, ceil = _along(axis.before for axis in each), bool(call.attribute("ceil_mode", 0))
        return call.emit(pool(kernel, strides, padding, ceil, counted), x, layout=layout)
    # The border is written out, and its windows' averages divided by what they should have been divided by.
    borders = {place + 2: (axis.before, max(0, axis.after + axis.beyond)) for place, axis in enumerate(each)}
    image = padded(call, x, borders)
    weights: dict[str, Array] | None = None
    if all(axis.dilation == 1 for axis in each):
        layer = pool(kernel, strides)
    else:
        dilations = _along(axis.dilation for axis in each)
        layer = _layer("Conv", len(sizes))(channels, channels, kernel, strides, 0, dilations, channels, bias=False)
        weights = {"weight": np.full((channels, 1, *kernel), 1 / math.prod(kernel))}
    y = call.emit(layer, image, layout=layout, weights=weights)
    if weights is not None:
        call.importer.fixed.append(y.node)
    shares = reduce(np.multiply.outer, (_share(axis, counted) for axis in each))
    if (shares != 1).any():
        parts, layout = call.importer.aligned([y, Known(shares[None, None])])
        y = call.emit(layers.Mul(stretch=True), *parts, layout=layout)
    return y


def _share(axis: Windows, counted: bool) -> Array:
    """How many times as large an average is if only what counts is divided by, for each window along an axis."""
    starts = np.arange(axis.many)[:, None] * axis.stride - axis.before
    places = starts + np.arange(axis.kernel) * axis.dilation  # (windows, kernel)
    low, high = (-axis.before, axis.size + axis.after) if counted else (0, axis.size)
    inside = ((places >= low) & (places < high)).sum(axis=1)
    share: Array = axis.kernel / np.maximum(inside, 1)
    return share


def global_pool(average: bool) -> Conversion:
    def convert(call: Call) -> Value:
        x = call.plain()
        layout = x.layout.resized(dict.fromkeys(range(2, x.layout.rank), 1))
        if (axes := x.layout.rank - 2) in (1, 2, 3):
            return call.emit(_layer("AdaptiveAvgPool" if average else "AdaptiveMaxPool", axes)(1), x, layout=layout)
        dims = tuple(range(2, x.layout.rank))
        return call.emit((layers.Mean if average else layers.Amax)(dims, True), x, layout=layout) if dims else x

    return convert


CONVERSIONS: dict[str, Conversion] = {
    "AveragePool": average_pool,
    "Conv": convolution,
    "ConvTranspose": transposed_convolution,
    "GlobalAveragePool": global_pool(average=True),
    "GlobalMaxPool": global_pool(average=False),
    "MaxPool": max_pool,
}
