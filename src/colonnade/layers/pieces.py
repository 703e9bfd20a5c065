"""Activations made of pieces: ELU, SELU, Softplus, Hardtanh, ReLU6, PReLU."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops import pieces
from ..ops.layout import Array, laid_like
from ..tensor import Parameter, Shape, Tensor
from .activation import Activation
from .base import PLACE, Block, Direction, Scratch
from .elementwise import Elementwise


class ELU(Elementwise):
    """y = x where x > 0, else α (eˣ − 1), elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        alpha: α, finite.
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Raises:
        ArgumentError: α that is not finite.

    Clevert et al. 2016, Fast and accurate deep network learning by exponential linear units, arXiv:1511.07289.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 2}
    scale: ClassVar[float] = 1.0

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        name = type(self).__name__
        self.alpha, self.inplace = arguments.number(name, "alpha", alpha), arguments.flag(name, "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            pieces.elu_forward(values, self.alpha, self.scale, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            pieces.elu_backward(values, grad_y, self.alpha, self.scale, out, *scratch)


class SELU(ELU):
    """y = 1.0507 · (x where x > 0, else 1.6733 (eˣ − 1)), elementwise: keeps mean zero and variance one by itself.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Klambauer et al. 2017, Self-normalizing neural networks, arXiv:1706.02515.
    """

    rectifies = False  # it is meant to follow weights of variance 1 / fan_in, not He's
    scale = 1.0507009873554804934193349852946

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(1.6732632423543772848170429916717, inplace)


class Softplus(Elementwise):
    """y = log(1 + exp(β x)) / β, elementwise, and x where β x is beyond the threshold: a smooth ReLU.

    Shapes: any (n, ...), the output as the input.

    Args:
        beta: β, how sharp the bend is.
        threshold: From here on y = x.

    Raises:
        ArgumentError: β that is not positive, or a threshold that is no number.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 2}
    masks: ClassVar[dict[Direction, int]] = {"forward": 1}

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = arguments.number("Softplus", "beta", beta, above=0)
        self.threshold = arguments.number("Softplus", "threshold", threshold, finite=False)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            pieces.softplus_forward(values, self.beta, self.threshold, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            pieces.softplus_backward(values, grad_y, self.beta, self.threshold, out, *scratch)


class Hardtanh(Activation):
    """y = min(max(x, min_val), max_val), elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        min_val: The least output.
        max_val: The greatest.
        inplace: Without effect, as in :class:`~colonnade.ReLU`.
        min_value: PyTorch's old name of `min_val`: refused.
        max_value: That of `max_val`.

    Raises:
        ArgumentError: A least that is not below the greatest.
    """

    ignored = ("min_value", "max_value")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: None = None,
        max_value: None = None,
    ) -> None:
        name = type(self).__name__
        arguments.unsupported(name, "give min_val", min_value=(min_value, None))
        arguments.unsupported(name, "give max_val", max_value=(max_value, None))
        self.min_val = arguments.number(name, "min_val", min_val, finite=False)
        self.max_val = arguments.number(name, "max_val", max_val, finite=False)
        self.inplace = arguments.flag(name, "inplace", inplace)
        if not self.min_val < self.max_val:
            raise ArgumentError(f"Hardtanh: min_val must be below max_val, got {min_val} and {max_val}.")

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"masks": Scratch((2, math.prod(shape)), np.bool_)} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pieces.clip_forward(x.value, self.min_val, self.max_val, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        masks = [laid_like(y.value, mask) for mask in block.scratch["masks"]]
        pieces.clip_backward(y.value, y.grad, self.min_val, self.max_val, 1, x.grad, *masks)


class ReLU6(Hardtanh):
    """y = min(max(x, 0), 6), elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10.
    """

    rectifies = True

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)


class PReLU(Elementwise):
    """y = x where x > 0, else w · x, with w learned.

    Shapes: (n, c, ...), the output as the input.

    Args:
        num_parameters: 1, or the number of channels for a w of each.
        init: What w begins as.
        device: None or "cpu".
        dtype: None: a model has one type for all.

    Attributes:
        weight: w, (num_parameters,).

    Raises:
        ArgumentError: A number of parameters below one.
        ShapeError: An input of other channels.

    He et al. 2015, Delving deep into rectifiers, arXiv:1502.01852.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 2}

    ignored = PLACE

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: None = None) -> None:
        arguments.placeless("PReLU", device, dtype)
        self.num_parameters = arguments.whole("PReLU", "num_parameters", num_parameters, 1)
        self.init = arguments.number("PReLU", "init", init)
        self.weight = Parameter((self.num_parameters,), lambda shape, rng, rectified: np.full(shape, self.init))

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        if self.num_parameters not in (1, shape[0]):
            raise ShapeError(f"PReLU: expected {self.num_parameters} channels, got an input of shape {shape}.")
        return shape

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        # Whole blocks: w is repeated along them.
        return {"arrays": Scratch((self.arrays[direction], math.prod(shape)))}

    def _scratch(self, x: Array, block: Block) -> list[Array]:
        return [laid_like(x, flat) for flat in block.scratch["arrays"]]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        pieces.prelu_forward(x.value, self.weight.array, y.value, *self._scratch(x.value, block))

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        slope, side = self._scratch(x.value, block)
        of_channels = pieces.prelu_backward_weight(x.value, y.grad, slope)
        block.add_grad(self.weight, of_channels if self.num_parameters > 1 else of_channels.sum(keepdims=True))
        if x.has_grad:
            pieces.prelu_backward_input(x.value, y.grad, self.weight.array, x.grad, slope, side)
