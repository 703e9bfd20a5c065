"""Many numbers of an image become one: Sum, Mean, Prod, Amax, Amin, LogSumExp, Argmax, Argmin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError, StateError
from ..ops import reduction
from ..ops.layout import Array, laid_like
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Reduction(Layer):
    """What these share: which axes are reduced, and what is left."""

    cheap = True
    dim: int | tuple[int, ...] | None
    keepdim: bool

    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None:
        name = type(self).__name__
        self.dim = None
        if dim is not None:
            self.dim = (arguments.wholes if arguments.is_sequence(dim) else arguments.whole)(name, "dim", dim)
        self.keepdim = arguments.flag(name, "keepdim", keepdim)

    def axes(self, count: int) -> tuple[int, ...]:
        """The reduced axes of an array of `count` axes, the batch's included, in order."""
        if self.dim is None:
            return tuple(range(1, count))
        given = (self.dim,) if isinstance(self.dim, int) else self.dim
        axes = sorted(axis + count if axis < 0 else axis for axis in given)
        if not axes or not all(1 <= axis < count for axis in axes) or len(set(axes)) < len(axes):
            raise ShapeError(
                f"{type(self).__name__}: dim must be different axes of one image, 1 to {count - 1}, got {self.dim}."
            )
        return tuple(axes)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = self.axes(len(shape) + 1)
        kept = [(axis, size) for axis, size in enumerate(shape, 1) if self.keepdim or axis not in axes]
        return tuple(1 if axis in axes else size for axis, size in kept)

    def spread(self, x: Array, y: Array) -> Array:
        """Of the output or its gradient, a view with axes of length 1, so that it broadcasts to x."""
        return y if self.keepdim else np.expand_dims(y, self.axes(x.ndim))


class Sum(Reduction):
    """The sum over some axes of each image.

    Shapes: x (n, ...), y without the axes `dim`, or with 1 for each where `keepdim`.

    Args:
        dim: The axis or axes, counted with the batch as axis 0, negative from the end; None for all of an image.
        keepdim: Whether the axes stay, of length 1.

    Raises:
        ShapeError: An axis that one image does not have.

    After torch.sum.
    """

    reads: ClassVar[set[str]] = set()

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reduction.sum_forward(x.value, self.axes(x.value.ndim), self.spread(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reduction.sum_backward(self.spread(x.grad, y.grad), x.grad.shape, x.grad)


class Mean(Sum):
    """The mean over some axes of each image; shapes, arguments and errors as in :class:`Sum`.

    After torch.mean.
    """

    rectifies = None

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reduction.mean_forward(x.value, self.axes(x.value.ndim), self.spread(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reduction.mean_backward(self.spread(x.grad, y.grad), x.grad.shape, x.grad)


class Prod(Reduction):
    """The product over some axes of each image; shapes, arguments and errors as in :class:`Sum`.

    After torch.prod.
    """

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        count = math.prod(shape[axis] for axis in self.axes(len(shape)))
        rows = Scratch((math.prod(shape) // count, count))
        return {"values": rows, "others": rows}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reduction.product_forward(x.value, self.axes(x.value.ndim), self.spread(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        scratch = block.scratch["values"], block.scratch["others"]
        grad_y, axes = self.spread(x.value, y.grad), self.axes(x.value.ndim)
        reduction.product_backward(x.value, grad_y, axes, x.grad, *scratch)


class Extreme(Reduction):
    """What Amax and Amin share."""

    reads: ClassVar[set[str]] = {"input", "output"}
    choose: ClassVar[np.ufunc]

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"chosen": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        axes = self.axes(x.value.ndim)
        reduction.extremum_forward(x.value, axes, self.choose, self.spread(x.value, y.value))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, grad_y = (self.spread(x.value, each) for each in (y.value, y.grad))
        chosen = laid_like(x.value, block.scratch["chosen"])
        reduction.extremum_backward(x.value, values, grad_y, self.axes(x.value.ndim), x.grad, chosen)


class Amax(Extreme):
    """The greatest over some axes of each image; shapes, arguments and errors as in :class:`Sum`.

    The gradient goes in equal parts to equal ones. After torch.amax.
    """

    choose = np.maximum


class Amin(Extreme):
    """The least over some axes of each image; shapes, arguments and errors as in :class:`Sum`.

    The gradient goes in equal parts to equal ones. After torch.amin.
    """

    choose = np.minimum


class LogSumExp(Reduction):
    """y = log Σ eˣ over some axes of each image; shapes, arguments and errors as in :class:`Sum`.

    After torch.logsumexp.
    """

    reads: ClassVar[set[str]] = {"input", "output"}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"terms": Scratch((math.prod(shape),))} if direction == "forward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        terms = laid_like(x.value, block.scratch["terms"])
        reduction.log_sum_exp_forward(x.value, self.axes(x.value.ndim), self.spread(x.value, y.value), terms)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values, grad_y = (self.spread(x.value, each) for each in (y.value, y.grad))
        reduction.log_sum_exp_backward(x.value, values, grad_y, x.grad)


class Place(Layer):
    """What Argmax and Argmin share."""

    reads: ClassVar[set[str]] = set()
    find: ClassVar[Callable[..., Any]]

    def __init__(self, dim: int = 1, keepdim: bool = False, select_last: bool = False) -> None:
        name = type(self).__name__
        self.dim = arguments.whole(name, "dim", dim)
        self.keepdim = arguments.flag(name, "keepdim", keepdim)
        self.select_last = arguments.flag(name, "select_last", select_last)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        count = len(shape) + 1
        axis = self.dim + count if self.dim < 0 else self.dim
        if not 1 <= axis < count:
            raise ShapeError(
                f"{type(self).__name__}: dim must be an axis of one image, 1 to {count - 1}, got {self.dim}."
            )
        return (*shape[: axis - 1], *((1,) if self.keepdim else ()), *shape[axis:])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        values = np.flip(x.value, self.dim) if self.select_last else x.value
        places = self.find(values, axis=self.dim, keepdims=self.keepdim)
        np.copyto(y.value, x.value.shape[self.dim] - 1 - places if self.select_last else places)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if not x.has_grad:
            return
        if y.grad.any():
            raise StateError(
                f"{type(self).__name__}: a place has no gradient: cut the model before it, or freeze what leads to it."
            )
        x.grad.fill(0)


class Argmax(Place):
    """The place of the greatest number along an axis of each image; of equal ones the first.

    A place has no gradient: `backward` raises StateError where one comes back that is not zero.

    Shapes: x (n, ...), y without the axis `dim`, or with length 1 there where `keepdim`.

    Args:
        dim: The axis, counted with the batch as axis 0, negative from the end.
        keepdim: Whether the axis stays, of length 1.
        select_last: Of equal ones take the last.

    Raises:
        ShapeError: An axis that one image does not have.
    """

    find = staticmethod(np.argmax)


class Argmin(Place):
    """The place of the least number along an axis of each image; all else as in :class:`Argmax`."""

    find = staticmethod(np.argmin)
