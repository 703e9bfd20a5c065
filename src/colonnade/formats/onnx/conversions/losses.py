"""Losses that a graph holds: of class numbers that are an input like any other."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .... import layers
from ..values import Images, Known, UnsupportedError, Value
from .elementwise import BOOL, Conversion
from .parts import beside
from .reductions import reduced

if TYPE_CHECKING:
    from ..call import Call


def negative_log_likelihood(call: Call) -> Value:
    return _loss(call, call.data(0))


def softmax_cross_entropy(call: Call) -> list[Value | None]:
    x = call.data(0)
    log_p = call.emit(layers.LogSoftmax(x.layout.dim(1)), x)
    return [_loss(call, log_p), log_p]


def _loss(call: Call, log_p: Images) -> Images:
    """−Σ q · log p / Σ q, with the weight of its class, or 1, for q of each target; 0 where it is left out."""
    places = log_p.layout.without([1])
    dim, classes = log_p.layout.dim(1), log_p.layout.sizes[1]
    labels = beside(call, call.value(1), places)
    counted = None
    if (ignored := call.attribute("ignore_index")) is not None:
        left_out = _joined(call, layers.Equal(stretch=True), labels, Known(np.array(float(ignored))))
        counted = call.emit(layers.LogicalNot(), left_out, dtype=BOOL)
        labels = _joined(call, layers.Where(stretch=True), counted, labels, Known(np.array(0.0)))
    index = call.importer.reshaped(labels, places.with_ones([1]))
    picked = call.emit(layers.TakeAlongDim(dim), log_p, index, layout=log_p.layout.resized({1: 1}), dtype=log_p.dtype)
    values = call.emit(layers.Affine(-1.0), call.importer.reshaped(picked, places))
    q = _weights(call, labels, classes, dim, log_p) if call.has(2) else None
    if q is not None:
        values = _joined(call, layers.Mul(stretch=True), values, q)
    if counted is not None:
        zero = Known(np.array(0.0))
        values = _joined(call, layers.Where(stretch=True), counted, values, zero)
        q = counted if q is None else _joined(call, layers.Where(stretch=True), counted, q, zero)
    values = Images(values.node, values.layout, log_p.dtype)
    reduction = call.attribute("reduction", "mean")
    if reduction == "none":
        return values
    if reduction not in ("mean", "sum"):
        raise UnsupportedError(f"its reduction is {reduction!r}")
    axes = range(places.rank)
    total = reduced(call, values, axes, False, layers.Sum)
    if reduction == "sum":
        return total
    if q is None:
        return call.emit(layers.Affine(1 / math.prod(places.sizes)), total)
    return _joined(call, layers.Div(stretch=True), total, reduced(call, q, axes, False, layers.Sum))


def _weights(call: Call, labels: Images, classes: int, dim: int, log_p: Images) -> Images:
    """The weight of each target's class."""
    rows = log_p.layout
    ones = call.emit(layers.OneHot(classes, dim), labels, layout=rows, dtype=log_p.dtype)
    weight, axes = call.value(2), [1] * (rows.rank - 2)
    if isinstance(weight, Known):
        weight = Known(weight.array.reshape(classes, *axes), weight.name)
    else:
        weight = call.importer.reshaped(weight, weight.layout.with_ones(range(1, rows.rank - 1)))
    weighted = _joined(call, layers.Mul(stretch=True), ones, weight)
    return call.emit(layers.Sum(dim), weighted, layout=rows.without([1]))


def _joined(call: Call, layer: layers.Layer, *values: Value) -> Images:
    """A layer of several inputs, element by element."""
    inputs, layout = call.importer.aligned(values)
    return call.emit(layer, *inputs, layout=layout)


CONVERSIONS: dict[str, Conversion] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
