"""Dropout2d: whole channels are left out at random while training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..ops.layout import Array, channels_last
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Dropout2d(Layer):
    """y = x · m / (1 − p) in training, m being 0 with probability p and else 1, for each channel of each image.

    Outside training y = x. Neighbouring pixels tell much the same, so that leaving out single ones hides little.

    Shapes: x and y (n, c, h, w).

    Args:
        p: The probability that a channel is left out, from 0 to 1.
        inplace: Taken for PyTorch's sake, without effect.

    Raises:
        ArgumentError: p outside that range.
        ShapeError: An input that is no image.

    Tompson et al. 2015, Efficient object localization using convolutional networks, arXiv:1411.4280.
    """

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    vanishes = True
    rectifies = None

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = arguments.number("Dropout2d", "p", p, 0, 1)
        self.inplace = arguments.flag("Dropout2d", "inplace", inplace)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if len(shape) != 3:
            raise ShapeError(f"Dropout2d: expected images (c, h, w), got an input of shape {shape}.")
        return shape

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        return self.p == 0

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        drawn = (shape[0], 8 * -(shape[1] // -8))  # the stream gives eight at a time
        return {"random": Scratch(drawn, np.float32), "factor": Scratch(drawn)}

    def _drop(self, x: Array, y: Array, block: Block) -> None:
        if not block.training:
            np.copyto(y, x)
            return
        factor = block.scratch["factor"]
        np.greater_equal(block.random(block.scratch["random"]), self.p, out=factor)
        np.multiply(factor, 1 / (1 - self.p) if self.p < 1 else 0.0, out=factor)
        np.multiply(channels_last(x), factor[:, None, None, : x.shape[1]], out=channels_last(y))

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._drop(x.value, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self._drop(y.grad, x.grad, block)
