"""Dropout1d, Dropout2d, Dropout3d: whole channels are left out at random while training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..ops.dropout import channel_dropout_backward, channel_dropout_forward, dropout_kept
from ..ops.layout import Array
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch, expect_axes


class ChannelDropout(Layer):
    """Dropout1d, Dropout2d and Dropout3d, but for the number of axes.

    Attributes:
        axes: How many axes of positions a channel has.
    """

    axes: ClassVar[int]
    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    vanishes = True
    rectifies = None

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = arguments.number(type(self).__name__, "p", p, 0, 1)
        self.inplace = arguments.flag(type(self).__name__, "inplace", inplace)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        expect_axes(type(self).__name__, shape, self.axes)
        return shape

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        return self.p == 0

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        drawn = (shape[0], 8 * -(shape[1] // -8))  # the stream gives eight at a time
        return {"random": Scratch(drawn, np.float32), "kept": Scratch(drawn, np.bool_)}

    def _kept(self, channels: int, block: Block) -> Array:
        """Which channels of each image are kept, the same in both directions."""
        return dropout_kept(block.random(block.scratch["random"]), self.p, block.scratch["kept"])[:, :channels]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training:
            channel_dropout_forward(x.value, self._kept(x.value.shape[1], block), self.p, y.value)
        else:
            np.copyto(y.value, x.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training:
            channel_dropout_backward(y.grad, self._kept(y.grad.shape[1], block), self.p, x.grad)
        else:
            np.copyto(x.grad, y.grad)


class Dropout2d(ChannelDropout):
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

    axes = 2


class Dropout1d(ChannelDropout):
    """As :class:`Dropout2d`, for sequences (n, c, l)."""

    axes = 1


class Dropout3d(ChannelDropout):
    """As :class:`Dropout2d`, for volumes (n, c, d, h, w)."""

    axes = 3
