"""Functions of PyTorch that make one number of many, as layers.

A function here has the name and the arguments of the one in PyTorch; `graph` is where it puts its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .... import layers
from ....layers.base import Layer
from ..values import Array, Convert, Tensor, Unconvertible, Value
from .arithmetic import affine, clamp, join, square

if TYPE_CHECKING:
    from ..importer import Importer


def reduction(kind: Callable[..., Layer]) -> Convert:
    def convert(graph: Importer, input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        if dim is None or dim == ():
            raise Unconvertible("the images of a batch would be mixed: dim must be given")
        return graph.put(kind(dim, keepdim), input)

    return convert


def root(graph: Importer, input: Any, p: float = 2) -> Tensor:
    """Of a sum of powers; where all of them are zero PyTorch has no gradient."""
    return graph.put(layers.Power(1 / p, flat_at_zero=True), input)


def norm(
    graph: Importer, input: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None,
    out: None = None,
) -> Tensor:  # fmt: skip
    """(Σ |x|ᵖ)^(1/p) along some axes, or the greatest |x|."""
    if p in (2, "fro", None):
        return root(graph, reduction(layers.Sum)(graph, square(graph, input), dim, keepdim))
    size = graph.put(layers.Abs(), input)
    if p == float("inf"):
        return reduction(layers.Amax)(graph, size, dim, keepdim)  # type: ignore[no-any-return]
    if p == 1:
        return reduction(layers.Sum)(graph, size, dim, keepdim)  # type: ignore[no-any-return]
    if not isinstance(p, int | float) or p <= 0:
        raise Unconvertible(f"p must be positive, got {p!r}")
    powers = graph.put(layers.Power(p, flat_at_zero=True), size)
    return root(graph, reduction(layers.Sum)(graph, powers, dim, keepdim), p)


def normalize(
    graph: Importer, input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    size = clamp(graph, norm(graph, input, p, dim, True), min=eps)
    return join(layers.Div)(graph, input, size)


def variance(
    graph: Importer, input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
    correction: float | None = None,
) -> Tensor:  # fmt: skip
    x = graph.value(input)
    if dim is None or isinstance(dim, bool):
        raise Unconvertible("the images of a batch would be mixed: dim must be given")
    axes = tuple(x.axis(axis) for axis in ((dim,) if isinstance(dim, int) else dim))
    count = math.prod(x.known[axis - 1] for axis in axes)
    divisor = count - (int(unbiased) if correction is None else correction)
    if divisor <= 0:
        raise Unconvertible(f"the variance of {count} numbers can't be divided by {divisor}")
    centred = join(layers.Sub)(graph, x, graph.put(layers.Mean(axes, True), x))
    mean = graph.put(layers.Mean(axes, keepdim), square(graph, centred))
    return mean if divisor == count else affine(graph, mean, count / divisor, 0)


def deviation(
    graph: Importer, input: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
    correction: float | None = None,
) -> Tensor:  # fmt: skip
    return root(graph, variance(graph, input, dim, unbiased, keepdim, correction))


def extreme(kind: Callable[..., Layer], place: Callable[..., Layer], of_two: Callable[..., Layer]) -> Convert:
    """`max` and `min`: of two tensors, or along an axis, and then the places too."""

    def convert(graph: Importer, input: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if isinstance(dim, Value | Array) or other is not None:
            return join(of_two)(graph, input, dim if other is None else other)
        x = graph.value(input)
        if dim is None:
            raise Unconvertible("the images of a batch would be mixed: dim must be given")
        return graph.put(kind(dim, keepdim), x), graph.put(place(dim, keepdim), x)

    return convert


def with_mean(function: Convert) -> Convert:
    """The variance or deviation, and the mean."""

    def convert(graph: Importer, input: Any, dim: Any = None, *args: Any, keepdim: bool = False, **kwargs: Any) -> Any:
        spread = function(graph, input, dim, *args, keepdim=keepdim, **kwargs)
        return spread, reduction(layers.Mean)(graph, input, dim, keepdim)

    return convert


def cosine_similarity(graph: Importer, x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The product of two vectors, each divided by its length, or by ε if that is more."""
    one, two = (graph.call_function("normalize", each, 2.0, dim, eps) for each in (x1, x2))
    return graph.call_function("sum", graph.call_function("mul", one, two), dim)  # type: ignore[no-any-return]


def cdist(graph: Importer, x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Tensor:
    """The distance of each row of one matrix from each row of the other."""
    one, two = (graph.call_function("unsqueeze", each, dim) for each, dim in ((x1, -2), (x2, -3)))
    return norm(graph, graph.call_function("sub", one, two), p, -1)


def pairwise_distance(
    graph: Importer, x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    difference = affine(graph, graph.call_function("sub", x1, x2), 1, eps)
    return norm(graph, difference, p, -1, keepdim)
