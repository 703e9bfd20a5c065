"""Activations that let x through a gate: GELU, SiLU, Mish, Hardswish, and the gate Hardsigmoid."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np

from .. import arguments
from ..ops import gates, gaussian
from ..ops.layout import laid_like
from ..tensor import Shape, Tensor
from .activation import Activation
from .base import Block, Direction, Scratch
from .elementwise import Elementwise


class GELU(Elementwise):
    """y = x Φ(x), elementwise, with Φ the distribution function of the normal distribution.

    Shapes: any (n, ...), the output as the input.

    Args:
        approximate: "none" for Φ itself, "tanh" for y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))).

    Raises:
        ArgumentError: Another approximation.

    Hendrycks and Gimpel 2016, Gaussian error linear units, arXiv:1606.08415.
    """

    # The slope is made of what the output is made of. Saved in place of the input, it takes no more memory.
    reads: ClassVar[set[str]] = set()
    cheap = False
    arrays: ClassVar[dict[Direction, int]] = {"forward": 4}

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = arguments.choice("GELU", "approximate", approximate, ("none", "tanh"))

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"slope": Scratch((shape[0], math.prod(shape[1:])))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        exact = self.approximate == "none"
        run, count = (gaussian.gelu_forward, 4) if exact else (gaussian.gelu_tanh_forward, 3)
        if block.saved:
            for values, out, slope, *scratch in self.runs(block, "forward", x.value, y.value, block.saved["slope"]):
                run(values, out, slope, *scratch[:count])
        else:
            for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
                run(values, out, None, *scratch[:count])

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        gaussian.gelu_backward(y.grad, laid_like(y.grad, block.saved["slope"]), x.grad)


class SiLU(Elementwise):
    """y = x σ(x), elementwise: also called swish.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Ramachandran et al. 2017, Searching for activation functions, arXiv:1710.05941.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 3}

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = arguments.flag("SiLU", "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            gates.silu_forward(values, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            gates.silu_backward(values, grad_y, out, *scratch)


class Mish(Elementwise):
    """y = x tanh(log(1 + eˣ)), elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Misra 2019, Mish: a self regularized non-monotonic activation function, arXiv:1908.08681.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 2, "backward": 3}

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = arguments.flag("Mish", "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            gates.mish_forward(values, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            gates.mish_backward(values, grad_y, out, *scratch)


class Hardswish(Elementwise):
    """y = x · min(max(x / 6 + ½, 0), 1), elementwise: swish without an exponential.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Howard et al. 2019, Searching for MobileNetV3, arXiv:1905.02244.
    """

    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 2}
    masks: ClassVar[dict[Direction, int]] = {"backward": 1}

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = arguments.flag("Hardswish", "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            gates.hardswish_forward(values, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            gates.hardswish_backward(values, grad_y, out, *scratch)


class Hardsigmoid(Activation):
    """y = min(max(x / 6 + ½, 0), 1), elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        inplace: Without effect, as in :class:`~colonnade.ReLU`.

    Courbariaux et al. 2015, BinaryConnect, arXiv:1511.00363; the slope of torch.nn.Hardsigmoid.
    """

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = arguments.flag("Hardsigmoid", "inplace", inplace)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        return {"masks": Scratch((2, math.prod(shape)), np.bool_)} if direction == "backward" else {}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        gates.hardsigmoid_forward(x.value, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        masks = [laid_like(y.value, mask) for mask in block.scratch["masks"]]
        gates.hardsigmoid_backward(y.value, y.grad, x.grad, *masks)
