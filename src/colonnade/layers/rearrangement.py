"""Layers that move numbers and compute none: Slice, IndexSelect, Pad, Expand, Tile, Tril, Triu."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops import rearrangement
from ..ops.layout import laid_like
from ..ops.reduction import sum_to
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch

MODES = ("constant", "reflect", "replicate", "circular")


def axis_of(name: str, dim: int, shape: Shape) -> int:
    """An axis of a batch of images of `shape`, counted from its front; raises ShapeError in the name of a layer."""
    axis = dim + len(shape) + 1 if dim < 0 else dim
    if not 1 <= axis <= len(shape):
        raise ShapeError(
            f"{name}: dim must be an axis of one image, 1 to {len(shape)}, got {dim} for an input of shape {shape}."
        )
    return axis


class Rearrangement(Layer):
    """What these share: backward reads neither side, and the layer before sees through them."""

    reads: ClassVar[set[str]] = set()
    cheap = True
    rectifies: ClassVar[bool | None] = None


class Slice(Rearrangement):
    """y = x[:, …, start:end:step, …], as in Python.

    Args:
        dim: The axis, counted with the batch as axis 0; negative from the end.
        start: The first place; negative from the end.
        end: The place after the last, likewise; None for all that follow.
        step: From one place to the next; negative to go backwards.

    Raises:
        ArgumentError: A step of zero.
        ShapeError: An axis that one image does not have, or a slice of nothing.
    """

    def __init__(self, dim: int, start: int | None, end: int | None = None, step: int = 1) -> None:
        self.dim, self.step = arguments.whole("Slice", "dim", dim), arguments.whole("Slice", "step", step)
        if self.step == 0:
            raise ArgumentError(f"Slice: step must not be zero, got {step}.")
        self.start = None if start is None else arguments.whole("Slice", "start", start)
        self.end = None if end is None else arguments.whole("Slice", "end", end)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = axis_of(type(self).__name__, self.dim, shape)
        size = len(range(shape[axis - 1])[self.start : self.end : self.step])
        if not size:
            raise ShapeError(
                f"Slice: nothing lies from {self.start} to {self.end} in steps of {self.step} along axis {axis} of an "
                f"input of shape {shape}."
            )
        return (*shape[: axis - 1], size, *shape[axis:])

    def _index(self, axes: int) -> rearrangement.Index:
        return rearrangement.along(self.dim % axes, slice(self.start, self.end, self.step))

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.slice_forward(x.value, self._index(x.value.ndim), y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.slice_backward(y.grad, self._index(x.grad.ndim), x.grad.shape, x.grad)


class IndexSelect(Rearrangement):
    """y[:, …, i, …] = x[:, …, index[i], …].

    Args:
        dim: The axis, counted with the batch as axis 0; negative from the end.
        index: The places, in any order, any number of times; negative from the end.

    Raises:
        ArgumentError: No place at all.
        ShapeError: An axis that one image does not have, or a place that is not on it.

    After torch.index_select.
    """

    def __init__(self, dim: int, index: Sequence[int]) -> None:
        self.dim = arguments.whole("IndexSelect", "dim", dim)
        self.index = arguments.wholes("IndexSelect", "index", index)
        if not self.index:
            raise ArgumentError("IndexSelect: index must hold at least one place, got none.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = axis_of(type(self).__name__, self.dim, shape)
        size = shape[axis - 1]
        if outside := [place for place in self.index if not -size <= place < size]:
            raise ShapeError(f"IndexSelect: axis {axis} has {size} places, got {outside[0]} in index.")
        return (*shape[: axis - 1], len(self.index), *shape[axis:])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.index_select_forward(x.value, self.dim % x.value.ndim, self.index, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        axis = self.dim % y.grad.ndim
        rearrangement.index_select_backward(y.grad, axis, self.index, x.grad.shape[axis], x.grad)


class Pad(Rearrangement):
    """A border around each image, of one number or of what is beside it.

    Args:
        padding: How much before and after, the last axis first, then the one before it …: (left, right, top, bottom).
        mode: "constant"; "reflect": mirrored at the edge, which is not repeated; "replicate": the edge again and
            again; "circular": what is at the other end.
        value: The number, for "constant".

    Raises:
        ArgumentError: An odd or negative number of sides, or another mode.
        ShapeError: An input of too few axes, or too small for so wide a border of its own numbers.

    After torch.nn.functional.pad. Around pixels, of zeros, there is the faster ZeroPad2d.
    """

    def __init__(self, padding: Sequence[int], mode: str = "constant", value: float = 0.0) -> None:
        self.padding = arguments.wholes("Pad", "padding", padding)
        self.value = arguments.number("Pad", "value", value, finite=False)
        if not self.padding or len(self.padding) % 2 or min(self.padding) < 0:
            raise ArgumentError(f"Pad: padding must be pairs of numbers, zero or more, got {padding!r}.")
        self.mode = arguments.choice("Pad", "mode", mode, MODES)

    def _borders(self, axes: int) -> list[tuple[int, int]]:
        """Of the axes after the batch, first to last."""
        pairs = list(zip(self.padding[::2], self.padding[1::2], strict=True))[::-1]
        return [(0, 0)] * (axes - len(pairs)) + pairs

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(self.padding) > 2 * len(shape):
            raise ShapeError(f"Pad: expected at least {len(self.padding) // 2} axes, got an input of shape {shape}.")
        borders = self._borders(len(shape))
        for size, border in zip(shape, borders, strict=True):
            most = {"reflect": size - 1, "circular": size}.get(self.mode)
            if most is not None and max(border) > most:
                raise ShapeError(
                    f"{type(self).__name__}: a border by {self.mode!r} is at most {most} wide on an axis of {size}, "
                    f"got {max(border)}."
                )
        return tuple(before + size + after for size, (before, after) in zip(shape, borders, strict=True))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward" or self.mode == "constant":
            return {}
        return {"gathered": Scratch((shape[0] * math.prod(self.build(shape[1:], np.random.default_rng(0))),))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.pad_forward(x.value, self._borders(x.value.ndim - 1), self.mode, self.value, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        gathered = None if self.mode == "constant" else laid_like(y.grad, block.scratch["gathered"])
        rearrangement.pad_backward(y.grad, self._borders(y.grad.ndim - 1), self.mode, x.grad, gathered)


class Expand(Rearrangement):
    """Axes of length 1 stretched, as NumPy broadcasts: every number is there many times.

    Args:
        shape: Of one image, as many axes as the input has; −1 leaves one as it is.

    Raises:
        ArgumentError: A size that is neither positive nor −1.
        ShapeError: An input of other axes, or one that can't be stretched so.

    After torch.Tensor.expand.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = arguments.wholes("Expand", "shape", shape)
        if not all(size == -1 or size >= 1 for size in self.shape):
            raise ArgumentError(f"Expand: shape must hold positive sizes or -1, got {shape!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        fits = len(shape) == len(self.shape)
        if not fits or any(
            size not in (1, wanted) and wanted != -1 for size, wanted in zip(shape, self.shape, strict=True)
        ):
            raise ShapeError(f"Expand: expected an input that stretches to {self.shape}, got one of shape {shape}.")
        return tuple(size if wanted == -1 else wanted for size, wanted in zip(shape, self.shape, strict=True))

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(y.value, x.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        sum_to(y.grad, x.grad)


class Tile(Rearrangement):
    """Each image several times side by side.

    Args:
        repeats: How often along each of its axes.

    Raises:
        ArgumentError: A number below one.
        ShapeError: An input of another number of axes.

    After torch.tile.
    """

    def __init__(self, repeats: Sequence[int]) -> None:
        self.repeats = arguments.wholes("Tile", "repeats", repeats)
        if not all(count >= 1 for count in self.repeats):
            raise ArgumentError(f"Tile: repeats must be positive, got {repeats!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != len(self.repeats):
            raise ShapeError(f"Tile: expected {len(self.repeats)} axes beside the batch, got {shape} for one image.")
        return tuple(size * count for size, count in zip(shape, self.repeats, strict=True))

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.tile_forward(x.value, self.repeats, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.tile_backward(y.grad, self.repeats, x.grad)


class Triangle(Rearrangement):
    """What Tril and Triu share."""

    upper: ClassVar[bool]

    def __init__(self, diagonal: int = 0) -> None:
        self.diagonal = arguments.whole(type(self).__name__, "diagonal", diagonal)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) < 2:
            raise ShapeError(f"{type(self).__name__}: expected matrices, got an input of shape {shape}.")
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.triangle_forward(x.value, self.diagonal, self.upper, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        rearrangement.triangle_backward(y.grad, self.diagonal, self.upper, x.grad)


class Tril(Triangle):
    """The lower triangle of each matrix, the last two axes being the matrices': zero above it.

    Shapes: x (n, ..., rows, columns), y as x.

    Args:
        diagonal: The last that is kept: 0 for the main one, 1 for that above it, negative for those below.

    Raises:
        ShapeError: An input that is no matrix.

    After torch.tril.
    """

    upper = False


class Triu(Triangle):
    """The upper triangle of each matrix, zero below it; `diagonal` is the first that is kept.

    Shapes, arguments and errors as in :class:`Tril`. After torch.triu.
    """

    upper = True
