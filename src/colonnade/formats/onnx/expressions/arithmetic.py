"""Arithmetic, comparisons and reductions in the operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .... import layers
from ..writer import Expression, GraphWriter, operator


def affine(graph: GraphWriter, layer: layers.Affine, x: str) -> str:
    x = graph.node("Mul", x, graph.constant("scale", layer.scale)) if layer.scale != 1 else x
    return graph.node("Add", x, graph.constant("shift", layer.shift)) if layer.shift else x


def power(graph: GraphWriter, layer: layers.Power, x: str) -> str:
    return graph.node("Pow", x, graph.constant("exponent", layer.exponent))


def trunc(graph: GraphWriter, layer: layers.Trunc, x: str) -> str:
    return graph.node("Mul", graph.node("Sign", x), graph.node("Floor", graph.node("Abs", x)))


def add(graph: GraphWriter, layer: layers.Add, *inputs: str) -> str:
    return _one_by_one(graph, "Add", inputs)


def mul(graph: GraphWriter, layer: layers.Mul, *inputs: str) -> str:
    return _one_by_one(graph, "Mul", inputs)


def _one_by_one(graph: GraphWriter, name: str, inputs: Sequence[str]) -> str:
    total = inputs[0]
    for each in inputs[1:]:
        total = graph.node(name, total, each)
    return total


# ONNX has booleans where the layers have 0 and 1.


def comparison(name: str) -> Expression:
    """One operator that puts out booleans."""
    return lambda graph, layer, *inputs: graph.cast(graph.node(name, *inputs), graph.dtype)


def logic(name: str) -> Expression:
    """One operator that takes them, too: whatever is not zero is true."""
    return lambda graph, layer, *inputs: graph.cast(
        graph.node(name, *(graph.cast(each, np.bool_) for each in inputs)), graph.dtype
    )


def where(graph: GraphWriter, layer: layers.Where, condition: str, x: str, y: str) -> str:
    return graph.node("Where", graph.cast(condition, np.bool_), x, y)


def threshold(graph: GraphWriter, layer: layers.Threshold, x: str) -> str:
    below = graph.node("LessOrEqual", x, graph.constant("threshold", float(layer.threshold)))
    return graph.node("Where", below, graph.constant("value", float(layer.value)), x)


def remainder(graph: GraphWriter, layer: layers.Remainder, left: str, right: str) -> str:
    """Mod of floats has the sign of the first number: where that of the second is another, the second is added."""
    rest = graph.node("Mod", left, right, fmod=1)
    signs = graph.node("Mul", graph.node("Sign", rest), graph.node("Sign", right))
    differs = graph.node("Less", signs, graph.constant("zero", 0.0))
    return graph.node("Where", differs, graph.node("Add", rest, right), rest)


def fmod(graph: GraphWriter, layer: layers.Fmod, left: str, right: str) -> str:
    return graph.node("Mod", left, right, fmod=1)


# Quantisation, on the grid of the layer and not only on those of integer types


def quantize(graph: GraphWriter, layer: layers.Quantize, x: str) -> str:
    y = graph.node("Round", graph.node("Div", x, _along(graph, layer, "scale")))
    y = graph.node("Add", y, _along(graph, layer, "zero_point"))
    return graph.node("Clip", y, graph.constant("low", layer.low), graph.constant("high", layer.high))


def dequantize(graph: GraphWriter, layer: layers.Dequantize, x: str) -> str:
    return graph.node("Mul", graph.node("Sub", x, _along(graph, layer, "zero_point")), _along(graph, layer, "scale"))


def _along(graph: GraphWriter, layer: layers.Quantize | layers.Dequantize, name: str) -> str:
    """A number, or one for each place along an axis, so that it broadcasts."""
    value, axes = getattr(layer, name), len(graph.shape) + 1
    behind = axes - 1 - layer.dim % axes
    return graph.constant(name, np.reshape(value, (-1, *[1] * behind)) if isinstance(value, tuple) else value)


# Reductions


def reduction(name: str) -> Expression:
    """One operator, along the axes of the layer."""

    def expression(graph: GraphWriter, layer: layers.Sum, x: str) -> str:
        return reduced(graph, name, x, layer.axes(len(graph.shape) + 1), layer.keepdim)

    return expression


def reduced(graph: GraphWriter, name: str, x: str, axes: Sequence[int], keepdim: bool) -> str:
    """The operators but ReduceSum have got their axes as an input since opset 18 only."""
    if graph.opset >= 18 or name == "ReduceSum":
        return graph.node(name, x, graph.constant("axes", [*axes]), keepdims=int(keepdim))
    return graph.node(name, x, axes=[*axes], keepdims=int(keepdim))


def place(name: str) -> Expression:
    """ArgMax or ArgMin, whose whole numbers the layers put out as floats."""

    def expression(graph: GraphWriter, layer: layers.Argmax | layers.Argmin, x: str) -> str:
        how = {"keepdims": int(layer.keepdim), "select_last_index": int(layer.select_last)}
        return graph.cast(graph.node(name, x, axis=layer.dim, **how), graph.dtype)

    return expression


EXPRESSIONS: dict[type[layers.Layer], Expression] = {
    layers.Abs: operator("Abs"),
    layers.Acos: operator("Acos"),
    layers.Acosh: operator("Acosh"),
    layers.Add: add,
    layers.Affine: affine,
    layers.Amax: reduction("ReduceMax"),
    layers.Amin: reduction("ReduceMin"),
    layers.Argmax: place("ArgMax"),
    layers.Argmin: place("ArgMin"),
    layers.Asin: operator("Asin"),
    layers.Asinh: operator("Asinh"),
    layers.Atan: operator("Atan"),
    layers.Atanh: operator("Atanh"),
    layers.Ceil: operator("Ceil"),
    layers.Cos: operator("Cos"),
    layers.Cosh: operator("Cosh"),
    layers.Dequantize: dequantize,
    layers.Div: operator("Div"),
    layers.Equal: comparison("Equal"),
    layers.Erf: operator("Erf"),
    layers.Exp: operator("Exp"),
    layers.Fmod: fmod,
    layers.Floor: operator("Floor"),
    layers.Greater: comparison("Greater"),
    layers.GreaterEqual: comparison("GreaterOrEqual"),
    layers.Less: comparison("Less"),
    layers.LessEqual: comparison("LessOrEqual"),
    layers.Log: operator("Log"),
    layers.LogSumExp: reduction("ReduceLogSumExp"),
    layers.LogicalAnd: logic("And"),
    layers.LogicalNot: logic("Not"),
    layers.LogicalOr: logic("Or"),
    layers.LogicalXor: logic("Xor"),
    layers.MatMul: operator("MatMul"),
    layers.Maximum: operator("Max"),
    layers.Mean: reduction("ReduceMean"),
    layers.Minimum: operator("Min"),
    layers.Mul: mul,
    layers.Pow: operator("Pow"),
    layers.Power: power,
    layers.Prod: reduction("ReduceProd"),
    layers.Quantize: quantize,
    layers.Reciprocal: operator("Reciprocal"),
    layers.Remainder: remainder,
    layers.Round: operator("Round"),
    layers.Sign: operator("Sign"),
    layers.Sin: operator("Sin"),
    layers.Sinh: operator("Sinh"),
    layers.Sqrt: operator("Sqrt"),
    layers.Sub: operator("Sub"),
    layers.Sum: reduction("ReduceSum"),
    layers.Tan: operator("Tan"),
    layers.Threshold: threshold,
    layers.Trunc: trunc,
    layers.Where: where,
}
