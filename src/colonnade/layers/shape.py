"""Layers that change the shape and no number: Identity, Flatten."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..errors import ShapeError
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer


class Identity(Layer):
    """y = x.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    views: ClassVar[set[str]] = {"forward", "backward"}
    rectifies = None

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(y.value, x.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        np.copyto(x.grad, y.grad)


class Flatten(Layer):
    """The axes from `start_dim` to `end_dim` as one, the last of them running fastest.

    Of an image batch (n, c, h, w) it makes (n, c · h · w), in the paper's order. Images lie channels-last, so that is
    a transposing copy, unless they have but one channel or one pixel: then the memory is in this order already.

    Args:
        start_dim: The first axis to join, counted with the batch as axis 0.
        end_dim: The last.

    Raises:
        ShapeError: Axes that the input does not have, in the wrong order, or the axis of the batch among them.
    """

    reads: ClassVar[set[str]] = set()
    rectifies = None

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = len(shape) + 1
        start, end = (axis + axes if axis < 0 else axis for axis in (self.start_dim, self.end_dim))
        if not 1 <= start <= end < axes:
            raise ShapeError(
                f"Flatten: expected axes 1 to {axes - 1} of an input of shape {shape}, in order, "
                f"got start_dim={self.start_dim}, end_dim={self.end_dim}."
            )
        return (*shape[: start - 1], math.prod(shape[start - 1 : end]), *shape[end:])

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        joins_none = self.start_dim % (len(shape) + 1) == self.end_dim % (len(shape) + 1)
        return len(shape) != 3 or joins_none or shape[0] == 1 or shape[1] * shape[2] == 1

    # Of x and y, the one that is laid out plainly takes the shape of the other: so it stays a view.

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if x.value.ndim == 4:
            np.copyto(y.value.reshape(x.value.shape), x.value)
        else:
            np.copyto(y.value, x.value.reshape(y.value.shape))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if x.grad.ndim == 4:
            np.copyto(x.grad, y.grad.reshape(x.grad.shape))
        else:
            np.copyto(x.grad.reshape(y.grad.shape), y.grad)
