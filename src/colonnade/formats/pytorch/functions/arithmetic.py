"""Functions of PyTorch that calculate with numbers one by one, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from .... import layers
from ....layers.base import Layer
from ..values import Array, Tensor, Unconvertible

if TYPE_CHECKING:
    from ..importer import Importer


def number_of(x: Any) -> float | None:
    """A number, or the only one of an array that is not learned; None for a tensor."""
    if isinstance(x, Array):
        return x.number
    return x if isinstance(x, int | float) else None


def affine(graph: Importer, x: Any, scale: float, shift: float) -> Tensor:
    return graph.put(layers.Affine(scale, shift), x)


def join(kind: Callable[..., Layer]) -> Callable[[Importer, Any, Any], Tensor]:
    """A function of two tensors, element by element, of which one may be an array or a number."""

    def convert(graph: Importer, input: Any, other: Any) -> Tensor:
        return graph.join(kind, input, other)

    return convert


def add(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1, alpha * number)
    if (number := number_of(input)) is not None:
        return affine(graph, other, alpha, number)
    if alpha != 1:
        other = affine(graph, other, alpha, 0)
    return join(layers.Add)(graph, input, other)


def sub(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1, -alpha * number)
    if (number := number_of(input)) is not None:
        return affine(graph, other, -alpha, number)
    if alpha != 1:
        other = affine(graph, other, alpha, 0)
    return join(layers.Sub)(graph, input, other)


def rsub(graph: Importer, input: Any, other: Any, alpha: float = 1) -> Tensor:
    return sub(graph, other, input, alpha)


def mul(graph: Importer, input: Any, other: Any) -> Tensor:
    for x, y in ((input, number_of(other)), (other, number_of(input))):
        if y is not None:
            return affine(graph, x, y, 0)
    return join(layers.Mul)(graph, input, other)


def div(graph: Importer, input: Any, other: Any, rounding_mode: str | None = None) -> Tensor:
    if rounding_mode is not None:
        whole = layers.Floor() if rounding_mode == "floor" else layers.Trunc()
        return graph.put(whole, join(layers.Div)(graph, input, other))
    if (number := number_of(other)) is not None:
        return affine(graph, input, 1 / number, 0)
    if (number := number_of(input)) is not None:
        inverse = graph.put(layers.Reciprocal(), other)
        return inverse if number == 1 else affine(graph, inverse, number, 0)
    return join(layers.Div)(graph, input, other)


def addcmul(graph: Importer, input: Any, tensor1: Any, tensor2: Any, value: float = 1) -> Tensor:
    product = graph.call_function("mul", tensor1, tensor2)
    return graph.call_function("add", input, product, alpha=value)  # type: ignore[no-any-return]


def addcdiv(graph: Importer, input: Any, tensor1: Any, tensor2: Any, value: float = 1) -> Tensor:
    quotient = graph.call_function("div", tensor1, tensor2)
    return graph.call_function("add", input, quotient, alpha=value)  # type: ignore[no-any-return]


def neg(graph: Importer, input: Any) -> Tensor:
    return affine(graph, input, -1, 0)


def power(graph: Importer, input: Any, exponent: Any) -> Tensor:
    if (number := number_of(exponent)) is not None:
        return graph.put(layers.Power(number), input)
    return join(layers.Pow)(graph, input, exponent)


def square(graph: Importer, input: Any) -> Tensor:
    return power(graph, input, 2)


def rsqrt(graph: Importer, input: Any) -> Tensor:
    return graph.put(layers.Reciprocal(), graph.put(layers.Sqrt(), input))


def clamp(graph: Importer, input: Any, min: Any = None, max: Any = None) -> Tensor:
    x: Tensor = graph.value(input)
    if number_of(min) is None is not min or number_of(max) is None is not max:
        for kind, bound in ((layers.Maximum, min), (layers.Minimum, max)):
            x = x if bound is None else join(kind)(graph, x, bound)
        return x
    if min is not None and max is not None:
        return graph.put(layers.Hardtanh(min, max), x)
    if min is not None:
        return graph.put(layers.Threshold(min, min), x)
    if max is not None:
        return neg(graph, graph.put(layers.Threshold(-max, -max), neg(graph, x)))
    return x


def where(graph: Importer, condition: Any, input: Any, other: Any) -> Tensor:
    which, left = graph.pair(condition, input)
    return graph.put(layers.Where(stretch=True), which, left, graph.pair(which, other)[1])


def masked_fill(graph: Importer, input: Any, mask: Any, value: Any) -> Tensor:
    """`value` where the mask is true."""
    x = graph.value(input)
    if isinstance(mask, Array):
        mask = Array(mask.path, mask.tensor.to(torch.float64))
    number = number_of(value)
    if number is None:
        raise Unconvertible("value must be a number")
    x, which = graph.pair(x, mask)
    return graph.put(layers.Where(stretch=True), which, graph.pair(x, number)[1], x)


def not_equal(graph: Importer, input: Any, other: Any) -> Tensor:
    return graph.put(layers.LogicalNot(), join(layers.Equal)(graph, input, other))


def truth(graph: Importer, input: Any) -> Tensor:
    """1 for all but 0."""
    return graph.put(layers.LogicalNot(), graph.put(layers.LogicalNot(), input))


def glu(graph: Importer, input: Any, dim: int = -1) -> Tensor:
    x, gate = graph.call_function("chunk", input, 2, dim)
    return join(layers.Mul)(graph, x, graph.put(layers.Sigmoid(), gate))


def floor_divide(graph: Importer, input: Any, other: Any) -> Tensor:
    return div(graph, input, other, "floor")


def lerp(graph: Importer, input: Any, end: Any, weight: Any) -> Tensor:
    """input + weight · (end − input)."""
    step = graph.call_function("mul", graph.call_function("sub", end, input), weight)
    return graph.call_function("add", step, input)  # type: ignore[no-any-return]


def scaled(kind: Callable[[], Layer], factor: float, after: bool = True) -> Callable[[Importer, Any], Tensor]:
    """A function that is another one but for a factor: before it, or after it."""

    def convert(graph: Importer, input: Any) -> Tensor:
        if after:
            return affine(graph, graph.put(kind(), input), factor, 0)
        return graph.put(kind(), affine(graph, input, factor, 0))

    return convert


def expm1(graph: Importer, input: Any) -> Tensor:
    return affine(graph, graph.put(layers.Exp(), input), 1, -1)


def log1p(graph: Importer, input: Any) -> Tensor:
    return graph.put(layers.Log(), affine(graph, input, 1, 1))
