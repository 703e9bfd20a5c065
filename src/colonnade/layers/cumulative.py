"""CumSum: running sums."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .. import arguments
from ..ops.cumulative import cumsum_backward, cumsum_forward
from ..tensor import Shape, Tensor
from .base import Block
from .rearrangement import Rearrangement, axis_of


class CumSum(Rearrangement):
    """y[n, …, i, …] = Σ x[n, …, j, …] over j ≤ i: the running sum along an axis of each image.

    Shapes: any (n, ...), the output as the input.

    Args:
        dim: The axis, counted with the batch as axis 0, negative from the end.
        exclusive: Over j < i: the first sum is zero.
        reverse: From the end: over j ≥ i.

    Raises:
        ShapeError: An axis that one image does not have.

    After torch.cumsum, and CumSum of ONNX.
    """

    rectifies: ClassVar[bool | None] = False

    def __init__(self, dim: int, exclusive: bool = False, reverse: bool = False) -> None:
        self.dim = arguments.whole("CumSum", "dim", dim)
        self.exclusive = arguments.flag("CumSum", "exclusive", exclusive)
        self.reverse = arguments.flag("CumSum", "reverse", reverse)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis_of("CumSum", self.dim, shape)
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        cumsum_forward(x.value, self.dim % x.value.ndim, self.exclusive, self.reverse, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        cumsum_backward(y.grad, self.dim % y.grad.ndim, self.exclusive, self.reverse, x.grad)
