"""Places that are computed: TakeAlongDim, ScatterAlongDim, TopKIndices, OneHot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError, StateError
from ..ops import indexing
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch
from .embedding import whole_numbers
from .rearrangement import axis_of
from .wiring import Wiring

REDUCTIONS = ("none", *indexing.REDUCTIONS)


class Indexed(Wiring):
    """What those share whose second input are places along an axis of the first."""

    reads: ClassVar[set[str]] = {"input"}
    cheap = False

    def __init__(self, dim: int = 1) -> None:
        self.dim = arguments.whole(type(self).__name__, "dim", dim)
        self.shapes: tuple[Shape, ...] = ()  # of the inputs, without the batch

    def _axis(self, shapes: Sequence[Shape], count: int) -> int:
        """The axis, of so many inputs of as many axes each."""
        name = type(self).__name__
        given = ", ".join(map(str, shapes))
        if len(shapes) != count or len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"{name}: expected {count} inputs of as many axes each, got {given}.")
        self.shapes = tuple(shapes)
        return axis_of(name, self.dim, shapes[0])

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        index = (shape[0], *self.shapes[1])
        return {"index": Scratch(index, np.intp), "differs": Scratch(index, np.bool_)}

    def _index(self, x: Sequence[Tensor], block: Block) -> Array:
        size = x[0].shape[self.dim]
        scratch = block.scratch["index"], block.scratch["differs"]
        return whole_numbers(type(self).__name__, x[1].value, -size, size - 1, *scratch)

    def work(self, shape: Shape) -> int:
        return 8 * sum(math.prod(each) for each in self.shapes)


class TakeAlongDim(Indexed):
    """y[n, …, i, …] = x₁[n, …, x₂[n, …, i, …], …]: numbers from places that are computed.

    The gradient goes where the numbers came from; at the places it is zero.

    Shapes: x₁ (n, ...), x₂ with as many axes, y as both, but along `dim` as long as x₂. Along the other axes length 1
    is stretched.

    Args:
        dim: The axis, counted with the batch as axis 0, negative from the end.

    Raises:
        ShapeError: Other than two inputs, of as many axes each, that fit.
        ArgumentError: In a batch, a number that is no place.

    After torch.take_along_dim.
    """

    def join(self, shapes: Sequence[Shape]) -> Shape:
        axis = self._axis(shapes, 2) - 1
        x, index = shapes
        try:
            return np.broadcast_shapes((*x[:axis], 1, *x[axis + 1 :]), index)
        except ValueError:
            raise ShapeError(
                f"TakeAlongDim: expected inputs that differ only in axis {axis + 1}, got {x} and {index}."
            ) from None

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        axis = self.dim % x[0].value.ndim
        indexing.take_along_forward(x[0].value, self._index(x, block), axis, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if x[0].has_grad:
            axis = self.dim % y.grad.ndim
            indexing.take_along_backward(self._index(x, block), y.grad, axis, x[0].shape, x[0].grad)
        if x[1].has_grad:
            x[1].grad.fill(0)


class ScatterAlongDim(Indexed):
    """y = x₁, but y[n, …, x₂[n, …, i, …], …] = x₃[n, …, i, …]: numbers put to places that are computed.

    Of several numbers for one place the last counts. With `reduce` they are combined with what is there; there is no
    gradient with "mul", "max" and "min": `backward` raises StateError where somebody needs it. At places it is zero.

    Shapes: x₁ (n, ...), x₃ with as many axes, no longer than x₁ along axes other than `dim`: it goes to the first
    places there; x₂ as x₃, where length 1 is stretched along those axes; y as x₁.

    Args:
        dim: The axis, counted with the batch as axis 0, negative from the end.
        reduce: "none", "add", "mul", "max" or "min".

    Raises:
        ShapeError: Other than three inputs, of as many axes each, that fit.
        ArgumentError: In a batch, a number that is no place.

    After ScatterElements of ONNX.
    """

    def __init__(self, dim: int = 1, reduce: str = "none") -> None:
        super().__init__(dim)
        arguments.choice("ScatterAlongDim", "reduce", reduce, REDUCTIONS)
        self.reduce = reduce

    def join(self, shapes: Sequence[Shape]) -> Shape:
        axis = self._axis(shapes, 3) - 1
        x, index, source = shapes
        long = [place for place, size in enumerate(source) if place != axis and size > x[place]]
        fits = [
            own == size or (place != axis and own == 1)
            for place, (own, size) in enumerate(zip(index, source, strict=True))
        ]
        if long or not all(fits):
            raise ShapeError(
                f"ScatterAlongDim: expected places and numbers that fit an input of {x}, got {index}, {source}."
            )
        return x

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        axis = self.dim % y.value.ndim
        indexing.scatter_forward(x[0].value, self._index(x, block), x[2].value, axis, self.reduce, y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if self.reduce not in ("none", "add") and (x[0].has_grad or x[2].has_grad):
            raise StateError(
                f"ScatterAlongDim: with {self.reduce!r} there is no gradient: cut the model before it, or freeze what "
                "leads to it."
            )
        index, axis = self._index(x, block), self.dim % y.grad.ndim
        if x[2].has_grad:
            indexing.scatter_backward_source(index, y.grad, axis, x[2].shape, self.reduce, x[2].grad)
        if x[0].has_grad:
            indexing.scatter_backward_input(index, y.grad, axis, x[2].shape, self.reduce, x[0].grad)
        if x[1].has_grad:
            x[1].grad.fill(0)


class TopKIndices(Layer):
    """The places of the `k` greatest numbers along an axis of each image, the greatest first; of equal ones the first.

    A place has no gradient: `backward` raises StateError where one comes back that is not zero. The
    numbers themselves, with a gradient, are what :class:`TakeAlongDim` takes from there.

    Shapes: x (n, ...), y with length k along `dim`.

    Args:
        k: How many.
        dim: The axis, counted with the batch as axis 0, negative from the end.
        largest: False for the least numbers, the least first.

    Raises:
        ShapeError: An axis that one image does not have, or that is shorter than k.

    The second output of torch.topk.
    """

    reads: ClassVar[set[str]] = set()

    def __init__(self, k: int, dim: int = -1, largest: bool = True) -> None:
        self.k = arguments.whole("TopKIndices", "k", k, 1)
        self.dim = arguments.whole("TopKIndices", "dim", dim)
        self.largest = arguments.flag("TopKIndices", "largest", largest)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = axis_of("TopKIndices", self.dim, shape) - 1
        if shape[axis] < self.k:
            raise ShapeError(
                f"TopKIndices: expected {self.k} numbers or more along axis {axis + 1}, got {shape[axis]}."
            )
        return (*shape[:axis], self.k, *shape[axis + 1 :])

    def work(self, shape: Shape) -> int:
        return 32 * math.prod(shape)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        indexing.top_k_places(x.value, self.k, self.dim % x.value.ndim, self.largest, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if not x.has_grad:
            return
        if y.grad.any():
            raise StateError(
                "TopKIndices: a place has no gradient: cut the model before it, or freeze what leads to it."
            )
        x.grad.fill(0)


class OneHot(Layer):
    """y[n, …, i, …] = 1 where x[n, …] = i, else 0: a number becomes a row of zeros with a one at its place.

    A number out of range has no one; −1 is the last place. No gradient passes: it is zero.

    Shapes: x (n, ...), y with an axis of length num_classes more.

    Args:
        num_classes: How many places there are.
        dim: Where the new axis is among those of y, counted with the batch as axis 0, negative from the end.

    Raises:
        ShapeError: An axis that one image does not have.

    After torch.nn.functional.one_hot.
    """

    reads: ClassVar[set[str]] = set()

    def __init__(self, num_classes: int, dim: int = -1) -> None:
        self.num_classes = arguments.whole("OneHot", "num_classes", num_classes, 1)
        self.dim = arguments.whole("OneHot", "dim", dim)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = axis_of("OneHot", self.dim, (*shape, 1)) - 1
        return (*shape[:axis], self.num_classes, *shape[axis:])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        indexing.one_hot(x.value, self.num_classes, self.dim % y.value.ndim, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if x.has_grad:
            x.grad.fill(0)
