"""Layers that change the shape and no number: Identity, Flatten, Unflatten, Reshape, Permute, Select."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array, reshape, same_order
from ..ops.rearrangement import Index, along, slice_backward, slice_forward
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Identity(Layer):
    """y = x.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    views: ClassVar[set[str]] = {"forward", "backward"}
    rectifies = None
    ignored = ("args", "kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Take anything, as PyTorch's does: so it stands in for any layer."""

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(y.value, x.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(x.grad, y.grad)


class Reshaping(Layer):
    """What Flatten, Unflatten and Reshape share: the numbers stay in order, the last axis running fastest.

    Images lie channels-last, so where images are read or made that is a transposing copy, unless they have but one
    channel or one pixel.
    """

    reads: ClassVar[set[str]] = set()
    rectifies = None

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        return same_order(shape, self.build(shape, np.random.default_rng(0)))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        made = self.build(shape[1:], np.random.default_rng(0))
        return {"plain": Scratch((math.prod(shape),))} if len(shape) == 4 and len(made) == 3 else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reshape(x.value, y.value, self._plain(x.value, y.value, block))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        reshape(y.grad, x.grad, self._plain(y.grad, x.grad, block))

    @staticmethod
    def _plain(given: Array, wanted: Array, block: Block) -> Array | None:
        return block.scratch["plain"] if given.ndim == wanted.ndim == 4 else None


class Flatten(Reshaping):
    """The axes from `start_dim` to `end_dim` as one, the last of them running fastest.

    Of an image batch (n, c, h, w) it makes (n, c · h · w), in the paper's order.

    Args:
        start_dim: The first axis to join, counted with the batch as axis 0.
        end_dim: The last.

    Raises:
        ShapeError: Axes that the input does not have, in the wrong order, or the axis of the batch among them.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = arguments.whole("Flatten", "start_dim", start_dim)
        self.end_dim = arguments.whole("Flatten", "end_dim", end_dim)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = len(shape) + 1
        start, end = (axis + axes if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 1 <= start <= end < axes:
            raise ShapeError(
                f"Flatten: expected axes 1 to {axes - 1} of an input of shape {shape}, in order, "
                f"got start_dim={self.start_dim}, end_dim={self.end_dim}."
            )
        return (*shape[: start - 1], math.prod(shape[start - 1 : end]), *shape[end:])


class Unflatten(Reshaping):
    """One axis as several, the last of them running fastest.

    Args:
        dim: The axis to part, counted with the batch as axis 0.
        unflattened_size: The sizes it becomes; one of them may be −1, for what is left.

    Raises:
        ArgumentError: Sizes that are not positive, or more than one −1.
        ShapeError: An axis that the input does not have, that of the batch, or one of another size.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        sizes = arguments.wholes("Unflatten", "unflattened_size", unflattened_size)
        if not sizes or sizes.count(-1) > 1 or not all(size == -1 or size >= 1 for size in sizes):
            raise ArgumentError(
                f"Unflatten: unflattened_size must hold positive sizes, and -1 at most once, got {unflattened_size!r}."
            )
        self.dim, self.unflattened_size = arguments.whole("Unflatten", "dim", dim), sizes

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = len(shape) + 1
        axis = self.dim + axes if self.dim < 0 else self.dim
        if not 1 <= axis < axes:
            raise ShapeError(f"Unflatten: dim must be an axis of one image, 1 to {len(shape)}, got {self.dim}.")
        size = shape[axis - 1]
        known = math.prod(each for each in self.unflattened_size if each != -1)
        sizes = tuple(size // known if each == -1 else each for each in self.unflattened_size)
        if math.prod(sizes) != size:
            raise ShapeError(
                f"Unflatten: axis {axis} of size {size} does not part into {self.unflattened_size}, "
                f"for an input of shape {shape}."
            )
        return (*shape[: axis - 1], *sizes, *shape[axis:])


class Reshape(Reshaping):
    """The numbers of each image in another shape, the last axis running fastest.

    Shapes: x (n, ...), y (n, *shape).

    Args:
        shape: Of one image; one size may be −1, for what is left.

    Raises:
        ArgumentError: Sizes that are not positive, or more than one −1.
        ShapeError: An input of another number of numbers.

    Flatten and Unflatten join or part single axes.
    """

    cheap = True

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = arguments.wholes("Reshape", "shape", shape)
        if self.shape.count(-1) > 1 or not all(size == -1 or size >= 1 for size in self.shape):
            raise ArgumentError(f"Reshape: shape must hold positive sizes, and -1 at most once, got {shape!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        count = math.prod(shape)
        known = math.prod(size for size in self.shape if size != -1)
        made = tuple(count // known if size == -1 else size for size in self.shape)
        if math.prod(made) != count:
            raise ShapeError(f"Reshape: expected as many numbers as in {self.shape}, got an input of shape {shape}.")
        return made


class Permute(Layer):
    """The axes in another order: y[n, …] = x[n, …] with axis `dims[i]` of x as axis i of y.

    Args:
        dims: The axes of x in their new order, counted with the batch as axis 0, which stays the first; negative
            from the end.

    Raises:
        ArgumentError: Something other than each axis once, or another axis than the batch's in front.
        ShapeError: An input of another number of axes.

    After torch.permute.
    """

    reads: ClassVar[set[str]] = set()
    rectifies = None

    def __init__(self, dims: Sequence[int]) -> None:
        self.dims = arguments.wholes("Permute", "dims", dims)
        axes = [axis + len(self.dims) if axis < 0 else axis for axis in self.dims]
        if not axes or axes[0] != 0 or sorted(axes) != [*range(len(axes))]:
            raise ArgumentError(f"Permute: dims must be each axis once, the batch's 0 first, got {dims!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) + 1 != len(self.dims):
            raise ShapeError(
                f"Permute: expected one image of {len(self.dims) - 1} axes, got an input of shape {shape}."
            )
        return tuple((0, *shape)[axis] for axis in self.dims[1:])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(y.value, x.value.transpose(self.dims))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(x.grad.transpose(self.dims), y.grad)


class Select(Layer):
    """y = x[:, …, index, …]: one place along an axis, which is then gone.

    Args:
        dim: The axis, counted with the batch as axis 0; negative from the end.
        index: The place; negative from the end.

    Raises:
        ArgumentError: What is no whole number.
        ShapeError: An axis that one image does not have, one that is its only axis, or a place that is not on it.

    After torch.select.
    """

    reads: ClassVar[set[str]] = set()
    rectifies = None

    def __init__(self, dim: int, index: int) -> None:
        self.dim, self.index = arguments.whole("Select", "dim", dim), arguments.whole("Select", "index", index)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = self.dim + len(shape) + 1 if self.dim < 0 else self.dim
        if not 1 <= axis <= len(shape) or len(shape) < 2:
            raise ShapeError(
                f"Select: expected an axis of one image, from 1, that has others, got dim={self.dim} and {shape}."
            )
        if not -shape[axis - 1] <= self.index < shape[axis - 1]:
            raise ShapeError(f"Select: axis {axis} has {shape[axis - 1]} places, got index={self.index}.")
        return (*shape[: axis - 1], *shape[axis:])

    def _index(self, axes: int) -> Index:
        return along(self.dim % axes, self.index)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        slice_forward(x.value, self._index(x.value.ndim), y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        slice_backward(y.grad, self._index(x.grad.ndim), x.grad.shape, x.grad)
