"""Functions of each number by itself: what networks from elsewhere are put together from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .. import arguments
from ..ops import functions
from ..ops.layout import Array
from ..tensor import Tensor
from .base import Block, Direction, Layer
from .elementwise import Elementwise


class Function(Elementwise):
    """What these share. A subclass names the pair of operations, and the arguments that both take."""

    rectifies = False
    arrays: ClassVar[dict[Direction, int]] = {}
    apply: ClassVar[Callable[..., Array]]
    derive: ClassVar[Callable[..., Array]]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            self.apply(values, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        known = x.value if "input" in self.reads else y.value
        for values, grad_y, out, *scratch in self.runs(block, "backward", known, y.grad, x.grad):
            self.derive(values, grad_y, out, *scratch)


class Affine(Elementwise):
    """y = scale · x + shift, elementwise, with two numbers that are not learned.

    Shapes: any (n, ...), the output as the input.

    Args:
        scale: What x is multiplied by.
        shift: What is added then.
    """

    reads: ClassVar[set[str]] = set()
    rectifies = False
    arrays: ClassVar[dict[Direction, int]] = {}

    def __init__(self, scale: float = 1.0, shift: float = 0.0) -> None:
        self.scale = arguments.number("Affine", "scale", scale, finite=False)
        self.shift = arguments.number("Affine", "shift", shift, finite=False)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        functions.affine_forward(x.value, self.scale, self.shift, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        functions.affine_backward(y.grad, self.scale, x.grad)


class Abs(Function):
    """y = |x|, elementwise; at zero the slope is zero.

    Shapes: any (n, ...), the output as the input.
    """

    arrays: ClassVar[dict[Direction, int]] = {"backward": 1}
    apply, derive = staticmethod(functions.abs_forward), staticmethod(functions.abs_backward)


class Exp(Function):
    """y = eˣ, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = {"output"}
    monotone = True
    apply, derive = staticmethod(functions.exp_forward), staticmethod(functions.exp_backward)


class Log(Function):
    """y = log x, elementwise; −∞ at zero, NaN below.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(functions.log_forward), staticmethod(functions.log_backward)


class Sqrt(Function):
    """y = √x, elementwise; NaN below zero.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = {"output"}
    apply, derive = staticmethod(functions.sqrt_forward), staticmethod(functions.sqrt_backward)


class Reciprocal(Function):
    """y = 1 / x, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = {"output"}
    arrays: ClassVar[dict[Direction, int]] = {"backward": 1}
    apply, derive = staticmethod(functions.reciprocal_forward), staticmethod(functions.reciprocal_backward)


class Erf(Function):
    """y = 2/√π ∫₀ˣ exp(−t²) dt, the error function, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    monotone = True
    arrays: ClassVar[dict[Direction, int]] = {"forward": 4, "backward": 1}
    masks: ClassVar[dict[Direction, int]] = {"forward": 1}
    apply, derive = staticmethod(functions.erf_forward), staticmethod(functions.erf_backward)


class Softsign(Function):
    """y = x / (1 + |x|), elementwise.

    Shapes: any (n, ...), the output as the input.

    After torch.nn.Softsign.
    """

    reads: ClassVar[set[str]] = {"output"}
    monotone = True
    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 1}
    apply, derive = staticmethod(functions.softsign_forward), staticmethod(functions.softsign_backward)


class Power(Elementwise):
    """y = x ** exponent, elementwise; NaN where x is negative and the exponent no whole number.

    Shapes: any (n, ...), the output as the input.

    Args:
        exponent: The same for all numbers.
        flat_at_zero: Whether the gradient at 0 is 0, whatever the slope there: a root that ends a norm has an infinite
            one, and a norm of zeros is as little as there is.
    """

    rectifies = False
    arrays: ClassVar[dict[Direction, int]] = {"backward": 1}

    def __init__(self, exponent: float, flat_at_zero: bool = False) -> None:
        self.exponent = arguments.number("Power", "exponent", exponent, finite=False)
        self.flat_at_zero = arguments.flag("Power", "flat_at_zero", flat_at_zero)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        functions.power_forward(x.value, self.exponent, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, slope in self.runs(block, "backward", x.value, y.grad, x.grad):
            functions.power_backward(values, grad_y, self.exponent, out, slope, self.flat_at_zero)


class CELU(Elementwise):
    """y = max(x, 0) + α (exp(min(x, 0) / α) − 1), elementwise: an ELU whose slope has no jump.

    Shapes: any (n, ...), the output as the input.

    Args:
        alpha: α.
        inplace: Taken for PyTorch's sake, without effect.

    Raises:
        ArgumentError: α that is not positive.

    Barron 2017, Continuously differentiable exponential linear units, arXiv:1704.07483.
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = arguments.number("CELU", "alpha", alpha, above=0)
        self.inplace = arguments.flag("CELU", "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            functions.celu_forward(values, self.alpha, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            functions.celu_backward(values, grad_y, self.alpha, out, *scratch)


class Threshold(Elementwise):
    """y = x where x > threshold, else value, elementwise.

    Shapes: any (n, ...), the output as the input.

    Args:
        threshold: Above it numbers stay.
        value: What the others become.
        inplace: Taken for PyTorch's sake, without effect.

    After torch.nn.Threshold.
    """

    arrays: ClassVar[dict[Direction, int]] = {}
    masks: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 1}

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold = arguments.number("Threshold", "threshold", threshold, finite=False)
        self.value = arguments.number("Threshold", "value", value, finite=False)
        self.inplace = arguments.flag("Threshold", "inplace", inplace)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, out, *scratch in self.runs(block, "forward", x.value, y.value):
            functions.threshold_forward(values, self.threshold, self.value, out, *scratch)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        for values, grad_y, out, *scratch in self.runs(block, "backward", x.value, y.grad, x.grad):
            functions.threshold_backward(values, grad_y, self.threshold, out, *scratch)


class Stepwise(Layer):
    """Functions that are constant but for jumps: the gradient at the input is zero, as in PyTorch."""

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    function: ClassVar[np.ufunc]

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        self.function(x.value, out=y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        x.grad.fill(0)


class Sign(Stepwise):
    """y = −1, 0 or 1, as x is negative, zero or positive. No gradient passes: it is zero."""

    function = np.sign


class Floor(Stepwise):
    """y = ⌊x⌋, the whole number at or below. No gradient passes: it is zero."""

    function = np.floor


class Ceil(Stepwise):
    """y = ⌈x⌉, the whole number at or above. No gradient passes: it is zero."""

    function = np.ceil


class Round(Stepwise):
    """y is the whole number nearest to x, of two as near the even one. No gradient passes: it is zero."""

    function = np.rint


class Trunc(Stepwise):
    """y is x without its fraction, rounded towards zero. No gradient passes: it is zero."""

    function = np.trunc


class LogicalNot(Stepwise):
    """y = 1 where x is zero, else 0. No gradient passes: it is zero."""

    function: ClassVar[Any] = np.logical_not
