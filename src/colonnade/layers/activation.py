"""Activations: functions of each number by itself, and Softmax."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ShapeError
from ..ops import activation
from ..ops.layout import laid_like
from ..ops.softmax import softmax_backward, softmax_forward
from ..tensor import Shape, Tensor
from .base import Block, Direction, Layer, Scratch


class Activation(Layer):
    """What the elementwise layers share: they work in place, and their backward reads the output alone."""

    reads: ClassVar[set[str]] = {"output"}
    in_place = True
    cheap = True
    monotone = True


class ReLU(Activation):
    """y = max(x, 0), elementwise.

    Shapes: any (n, ...), the output as the input. A NaN stays a NaN.

    Args:
        inplace: Taken for PyTorch's sake, without effect: the plan knows where memory may be shared.
    """

    rectifies = True

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = arguments.flag("ReLU", "inplace", inplace)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            # For a single image, filling them costs what they save.
            return {"zeros": Scratch((math.prod(shape[1:]),))} if shape[0] > 1 else {}
        return {"mask": Scratch((math.prod(shape),), np.bool_)}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if len(x.value) == 1:
            activation.relu_forward(x.value, y.value)
            return
        zeros = block.scratch["zeros"]
        zeros.fill(0)
        activation.relu_forward(x.value, y.value, laid_like(x.value, zeros))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        mask = laid_like(y.value, block.scratch["mask"])
        activation.relu_backward(y.value, y.grad, x.grad, mask)


class LeakyReLU(Activation):
    """y = x where x > 0, else negative_slope · x, elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        negative_slope: Any finite number.
        inplace: Without effect, as in :class:`ReLU`.

    Raises:
        ArgumentError: A slope that is not finite.

    Maas et al. 2013, Rectifier nonlinearities improve neural network acoustic models.
    """

    rectifies = True

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = arguments.number("LeakyReLU", "negative_slope", negative_slope)
        self.inplace = arguments.flag("LeakyReLU", "inplace", inplace)
        if self.negative_slope < 0:
            self.monotone = False

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"scaled" if direction == "forward" else "factor": Scratch((math.prod(shape),))}

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        # Of a slope below zero the output does not tell on which side the input was.
        return {} if self.negative_slope >= 0 else {"side": Scratch((shape[0], math.prod(shape[1:])), np.bool_)}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        scaled = laid_like(x.value, block.scratch["scaled"])
        side = laid_like(x.value, block.saved["side"]) if self.negative_slope < 0 and block.saved else None
        activation.leaky_relu_forward(x.value, self.negative_slope, y.value, scaled, side)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        factor = laid_like(y.value, block.scratch["factor"])
        side = y.value if self.negative_slope >= 0 else laid_like(y.value, block.saved["side"])
        activation.leaky_relu_backward(side, y.grad, self.negative_slope, x.grad, factor)


class Tanh(Activation):
    """y = tanh x, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"slope": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        activation.tanh_forward(x.value, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        activation.tanh_backward(y.value, y.grad, x.grad, laid_like(y.value, block.scratch["slope"]))


class Sigmoid(Activation):
    """y = 1 / (1 + exp(−x)), elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"slope": Scratch((math.prod(shape),))} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        activation.sigmoid_forward(x.value, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        activation.sigmoid_backward(y.value, y.grad, x.grad, laid_like(y.value, block.scratch["slope"]))


class Softmax(Layer):
    """y = exp(x) / Σ exp(x), along one axis; the losses take logits, so a classifier that trains needs none.

    Shapes: any (n, ...), the output as the input.

    Args:
        dim: The axis that sums to one, counted with the batch as axis 0.

    Raises:
        ShapeError: An axis that the input does not have, or axis 0, which would mix the images of a batch.

    Written in docs/math/softmax_cross_entropy.md.
    """

    reads: ClassVar[set[str]] = {"output"}
    in_place = True

    def __init__(self, dim: int = 1) -> None:
        self.dim = arguments.whole("Softmax", "dim", dim)

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axes = len(shape) + 1
        if not -axes <= self.dim < axes or self.dim % axes == 0:
            raise ShapeError(f"Softmax: dim must be an axis of one image, 1 to {len(shape)}, got {self.dim}.")
        return shape

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        softmax_forward(x.value, self.dim, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        softmax_backward(y.value, y.grad, self.dim, x.grad)
