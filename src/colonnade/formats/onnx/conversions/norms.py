"""Roots of sums of powers: LpNormalization, and LpPool over windows or all pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..values import Images, Known, Value
from .elementwise import Conversion
from .reductions import reduced
from .windows import average_pool, windows

if TYPE_CHECKING:
    from ..call import Call


def lp_normalization(call: Call) -> Value:
    x = call.data()
    norm = _total(call, x, [x.layout.axis(call.attribute("axis", -1))])
    # Where all is zero, zero is left: it is divided by the least number there is.
    parts, layout = call.importer.aligned([norm, Known(np.array(np.finfo(np.float32).tiny))])
    norm = call.emit(layers.Maximum(stretch=True), *parts, layout=layout)
    parts, layout = call.importer.aligned([x, norm])
    return call.emit(layers.Div(stretch=True), *parts, layout=layout)


def global_pool(call: Call) -> Value:
    x = call.plain()
    return _total(call, x, range(2, x.layout.rank))


def pool(call: Call) -> Value:
    """The mean of powers, times as many as a window has: the border is zero, and counts."""
    x, kernel = call.plain(), tuple(call.attribute("kernel_shape"))
    each = windows(call, x.layout.sizes[2:], kernel)
    attributes = {
        "kernel_shape": list(kernel),
        "strides": [axis.stride for axis in each],
        "dilations": [axis.dilation for axis in each],
        "pads": [*(axis.before for axis in each), *(axis.after + max(0, axis.beyond) for axis in each)],
        "count_include_pad": 1,
    }
    node = replace(call.node, operator="AveragePool", attributes=attributes)
    mean = average_pool(type(call)(call.importer, node, [_powers(call, x)]))
    assert isinstance(mean, Images)
    return _root(call, call.emit(layers.Affine(math.prod(kernel)), mean))


def _total(call: Call, x: Images, axes: range | list[int]) -> Images:
    """The root of the sum of powers along axes, which stay with length 1."""
    return _root(call, reduced(call, _powers(call, x), axes, True, layers.Sum))


def _powers(call: Call, x: Images) -> Images:
    """|x|ᵖ."""
    p = call.attribute("p", 2)
    if p == 2:
        return call.emit(layers.Power(2.0), x)
    sizes = call.emit(layers.Abs(), x)
    return sizes if p == 1 else call.emit(layers.Power(float(p), flat_at_zero=True), sizes)


def _root(call: Call, x: Images) -> Images:
    """The p-th root, without a gradient where all is zero."""
    p = call.attribute("p", 2)
    return x if p == 1 else call.emit(layers.Power(1 / p, flat_at_zero=True), x)


CONVERSIONS: dict[str, Conversion] = {
    "GlobalLpPool": global_pool,
    "LpNormalization": lp_normalization,
    "LpPool": pool,
}
