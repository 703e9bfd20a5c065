"""Numbers on a grid, as quantised networks have them: Quantize, Dequantize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError, StateError
from ..ops.layout import Array
from ..ops.quantization import dequantize_backward, dequantize_forward, quantize_forward
from ..tensor import Shape, Tensor
from .base import Block, Layer


class Grid(Layer):
    """What these share: the step of the grid and the number that stands for zero, for all or along one axis."""

    reads: ClassVar[set[str]] = set()
    in_place = True
    cheap = True
    scale: float | tuple[float, ...]
    zero_point: float | tuple[float, ...]
    dim: int

    def _take(self, scale: float | Sequence[float], zero_point: float | Sequence[float], dim: int) -> None:
        name = type(self).__name__
        several = arguments.is_sequence(scale)
        self.scale = (arguments.numbers if several else arguments.number)(name, "scale", scale, above=0)
        several = arguments.is_sequence(zero_point)
        self.zero_point = (arguments.numbers if several else arguments.number)(name, "zero_point", zero_point)
        self.dim = arguments.whole(name, "dim", dim)
        if self.scale == ():
            raise ArgumentError(f"{name}: expected at least one scale, got none.")
        lengths = {len(each) for each in (self.scale, self.zero_point) if isinstance(each, tuple)}
        if len(lengths) > 1:
            raise ArgumentError(f"{name}: expected a zero point for each scale, got {scale!r} and {zero_point!r}.")

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        axis = self.dim + len(shape) + 1 if self.dim < 0 else self.dim
        for each in (self.scale, self.zero_point):
            if isinstance(each, tuple) and (not 1 <= axis <= len(shape) or shape[axis - 1] != len(each)):
                raise ShapeError(
                    f"{type(self).__name__}: expected an axis {self.dim} of {len(each)}, got an input of shape {shape}."
                )
        return shape

    def _vectors(self, x: Array, block: Block) -> tuple[Array | float, Array | float]:
        """Scale and zero point, so that they broadcast to x."""

        def along(value: float | tuple[float, ...]) -> Array | float:
            if not isinstance(value, tuple):
                return value
            axis = self.dim % x.ndim
            return np.array(value, x.dtype).reshape(-1, *[1] * (x.ndim - 1 - axis))

        return along(self.scale), along(self.zero_point)


class Quantize(Grid):
    """y = min(max(round(x / scale) + zero_point, low), high): the nearest place on a grid, of two as near the even one.

    It can't be trained through: `backward` raises StateError where somebody needs the gradient at its input.

    Shapes: any (n, ...), the output as the input.

    Args:
        scale: From one place of the grid to the next; a number, or one for each place along the axis `dim`.
        zero_point: The number that stands for zero, likewise.
        low: The least output.
        high: The greatest.
        dim: The axis, counted with the batch as axis 0; negative from the end.

    Raises:
        ArgumentError: A scale that is not positive, or a least that is not below the greatest.
        ShapeError: An input whose axis `dim` has another length.

    Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference,
    arXiv:1712.05877.
    """

    def __init__(
        self,
        scale: float | Sequence[float],
        zero_point: float | Sequence[float] = 0.0,
        low: float = 0.0,
        high: float = 255.0,
        dim: int = 1,
    ) -> None:
        self._take(scale, zero_point, dim)
        self.low = arguments.number("Quantize", "low", low, finite=False)
        self.high = arguments.number("Quantize", "high", high, finite=False)
        if not self.low < self.high:
            raise ArgumentError(f"Quantize: low must be below high, got {low} and {high}.")

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        scale, zero_point = self._vectors(x.value, block)
        quantize_forward(x.value, scale, zero_point, self.low, self.high, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        if x.has_grad:
            raise StateError("Quantize: rounding has no gradient: cut the model before it, or freeze what leads to it.")


class Dequantize(Grid):
    """y = (x − zero_point) · scale: from the places on a grid back to numbers.

    Shapes: any (n, ...), the output as the input.

    Args:
        scale: As in :class:`Quantize`.
        zero_point: As there.
        dim: As there.

    Raises:
        ArgumentError: A scale that is not positive.
        ShapeError: An input whose axis `dim` has another length.
    """

    def __init__(self, scale: float | Sequence[float], zero_point: float | Sequence[float] = 0.0, dim: int = 1) -> None:
        self._take(scale, zero_point, dim)

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        dequantize_forward(x.value, *self._vectors(x.value, block), y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        dequantize_backward(y.grad, self._vectors(x.grad, block)[0], x.grad)
