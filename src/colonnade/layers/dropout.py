"""Dropout: some numbers are left out at random while training."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from .. import arguments
from ..ops.dropout import dropout_backward, dropout_forward, dropout_kept
from ..ops.layout import Array, laid_like
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Dropout(Layer):
    """y = x · m / (1 − p) in training, m being 0 with probability p and else 1, for each number; y = x otherwise.

    The division keeps the mean, so nothing changes in evaluation. The mask is not stored: the block's random stream
    gives the same numbers again in the backward pass.

    Shapes: any (n, ...), the output as the input.

    Args:
        p: The probability that a number is left out, from 0 to 1.
        inplace: Taken for PyTorch's sake, without effect.

    Raises:
        ArgumentError: p outside that range.

    Srivastava et al. 2014, Dropout: a simple way to prevent neural networks from overfitting.
    """

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    vanishes = True
    rectifies = None

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        self.p = arguments.number("Dropout", "p", p, 0, 1)
        self.inplace = arguments.flag("Dropout", "inplace", inplace)

    def only_copies(self, shape: Shape, direction: Direction) -> bool:
        return self.p == 0

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        drawn = (shape[0], 8 * -(math.prod(shape[1:]) // -8))
        return {"random": Scratch(drawn, np.float32), "kept": Scratch(drawn, np.bool_)}

    def _kept(self, x: Array, block: Block) -> Array:
        """What is kept of x, the same in both directions."""
        kept = dropout_kept(block.random(block.scratch["random"]), self.p, block.scratch["kept"])
        return laid_like(x, kept[:, : math.prod(x.shape[1:])])

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training:
            dropout_forward(x.value, self._kept(x.value, block), self.p, y.value)
        else:
            np.copyto(y.value, x.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if block.training:
            dropout_backward(y.grad, self._kept(y.grad, block), self.p, x.grad)
        else:
            np.copyto(x.grad, y.grad)
