"""The leaves that have several inputs or outputs, or none: what joins the paths of a Graph.

Fork is put in by the composites themselves, wherever a tensor has several readers; users need not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import arguments, initializers
from ..errors import ArgumentError, ShapeError
from ..ops.arithmetic import add_backward, combine_forward, multiply_backward
from ..ops.layout import Array, laid_like
from ..tensor import Parameter, Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Wiring(Layer):
    """A leaf whose `x` is a list of tensors, or for Fork whose `y` is.

    Whatever the contract of a layer says of the input's shape is here said of the first output's.
    """

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies = None

    def join(self, shapes: Sequence[Shape]) -> Shape:
        """The shape of each output, for inputs of these shapes; raises ShapeError where they do not fit."""
        raise NotImplementedError


class Fork(Wiring):
    """Hands its input on to several readers; its backward pass adds up what comes back.

    Every other layer can therefore simply overwrite the gradient at its input.
    """

    views = {"forward"}
    in_place = True

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs

    def join(self, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]

    def forward(self, x: Sequence[Tensor], y: Sequence[Tensor], block: Block) -> None:  # type: ignore[override]
        for output in y:
            np.copyto(output.value, x[0].value)

    def backward(self, x: Sequence[Tensor], y: Sequence[Tensor], block: Block) -> None:  # type: ignore[override]
        combine_forward(np.add, [output.grad for output in y], x[0].grad)


class Elementwise(Wiring):
    """Inputs of one shape.

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does: (c, 1, 1) then meets
            every pixel of (c, h, w).
    """

    def __init__(self, stretch: bool = False) -> None:
        self.stretch = arguments.flag(type(self).__name__, "stretch", stretch)

    def join(self, shapes: Sequence[Shape]) -> Shape:
        name = type(self).__name__
        if len(shapes) < 2:
            raise ShapeError(f"{name}: expected two inputs or more, got {len(shapes)}.")
        given = ", ".join(map(str, shapes))
        if not self.stretch and len(set(shapes)) > 1:
            raise ShapeError(f"{name}: expected inputs of one shape, got {given}.")
        if len({len(shape) for shape in shapes}) > 1:
            raise ShapeError(f"{name}: expected inputs of as many axes each, got {given}.")
        try:
            return np.broadcast_shapes(*shapes)
        except ValueError:
            raise ShapeError(f"{name}: expected inputs that can be stretched to one shape, got {given}.") from None


class Add(Elementwise):
    """The sum y = x₁ + x₂ + … of tensors.

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does.
    """

    views = {"backward"}
    in_place = True

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        combine_forward(np.add, [each.value for each in x], y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        for other in reversed(x):  # the first may lie where y.grad does
            if other.has_grad:
                add_backward(y.grad, other.grad)


class Mul(Elementwise):
    """y = x₁ · x₂ · …, element by element.

    The gates of squeeze-and-excitation (Hu et al. 2018, arXiv:1709.01507) are (c, 1, 1) times (c, h, w).

    Args:
        stretch: Take axes of length 1 too, each stretched to the others' length as NumPy does.
    """

    reads = {"input"}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"product": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        combine_forward(np.multiply, [each.value for each in x], y.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        product = laid_like(y.grad, block.scratch["product"])
        for number, target in enumerate(x):
            if target.has_grad:
                others = [other.value for other in (*x[:number], *x[number + 1 :])]
                multiply_backward(others, y.grad, target.grad, product)


class Concat(Wiring):
    """The inputs side by side along one axis.

    Args:
        dim: The axis, counted as PyTorch does, with the batch as 0: 1 are the channels; negative from the end.
    """

    def __init__(self, dim: int = 1) -> None:
        self.dim = arguments.whole("Concat", "dim", dim)
        if self.dim == 0:
            raise ArgumentError("Concat: dim must not be the batch, 0.")

    def join(self, shapes: Sequence[Shape]) -> Shape:
        if not shapes:
            raise ShapeError("Concat: expected at least one input, got none.")
        axis = self.dim if self.dim > 0 else self.dim + len(shapes[0]) + 1
        if not 1 <= axis <= len(shapes[0]):
            raise ShapeError(f"Concat: dim {self.dim} must be an axis of the inputs, got {shapes[0]} for one image.")
        if len({(*shape[: axis - 1], *shape[axis:]) for shape in shapes}) != 1:
            raise ShapeError(
                f"Concat: expected inputs that differ only in axis {axis}, got {', '.join(map(str, shapes))}."
            )
        return (*shapes[0][: axis - 1], sum(shape[axis - 1] for shape in shapes), *shapes[0][axis:])

    def _parts(self, x: Sequence[Tensor], whole: Array) -> list[Array]:
        """The part of the output's array that each input has."""
        axis = self.dim % whole.ndim
        parts, start = [], 0
        for part in x:
            stop = start + part.shape[axis]
            parts.append(whole[(*[slice(None)] * axis, slice(start, stop))])
            start = stop
        return parts

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        for source, part in zip(x, self._parts(x, y.value), strict=True):
            np.copyto(part, source.value)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        for target, part in zip(x, self._parts(x, y.grad), strict=True):
            if target.has_grad:
                np.copyto(target.grad, part)


class Constant(Wiring):
    """A learned array, the same for every image: it reads nothing.

        y[i] = weight

    A position embedding is a Constant that is added, a class token one that is concatenated.

    Args:
        shape: Of the array, and of the output of each image.
        learned: False for an array that is stored with the model but not learned.
    """

    def __init__(self, shape: Sequence[int], learned: bool = True) -> None:
        self.shape = arguments.wholes("Constant", "shape", shape)
        if not self.shape or min(self.shape) < 1:
            raise ArgumentError(f"Constant: sizes must be positive, got the shape {shape}.")
        self.learned = arguments.flag("Constant", "learned", learned)
        self.weight: Parameter | Array
        if self.learned:
            self.weight = Parameter(self.shape, initializers.small_normal)
        else:
            self.weight = np.zeros(self.shape, np.float32)
            self.buffers = ("weight",)

    def join(self, shapes: Sequence[Shape]) -> Shape:
        if shapes:
            raise ShapeError(f"Constant: expected no input, got {len(shapes)}.")
        return self.shape

    def forward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        np.copyto(y.value, self.weight.array if isinstance(self.weight, Parameter) else self.weight)

    def backward(self, x: Sequence[Tensor], y: Tensor, block: Block) -> None:  # type: ignore[override]
        if isinstance(self.weight, Parameter):
            block.grad(self.weight)[...] += y.grad.sum(axis=0)
