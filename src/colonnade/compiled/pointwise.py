"""Convolutions of one pixel: the images are their own column matrix, and each product is one of two large matrices."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np

from ..ops.layout import Array, empty
from ..ops.window import Window
from .activation import NONE, Activation
from .gemm import PANELS, PLAIN, TURNED, gemm_for, panel_shape, room
from .packing import in_panels
from .registers import WIDTH
from .ways import Call, Image, Packed


def suits(window: Window, channels: int, outputs: int, groups: int) -> bool:
    """Whether a convolution is 1×1 of stride 1 without padding, and has channels that fill a vector."""
    return (
        window.kernel == window.stride == (1, 1)
        and not any(window.padding)
        and groups == 1
        and min(channels, outputs) >= WIDTH
    )


class Pointwise:
    """The output of a 1×1 convolution, or the gradient at its input; see `Direct` for the arguments."""

    def __init__(self, read: Image, written: Image, forward: bool, activation: Activation = NONE) -> None:
        self.read, self.written, self.forward, self.activation = read, written, forward, activation

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """The kernel in panels, which last for many passes outside training; for the gradient as it lies in memory."""
        (_, _, _, terms, outputs), kernel = kernel.shape, kernel[0, 0, 0]
        if out is None:
            shape = panel_shape(terms, outputs) if self.forward else (outputs, terms)
            out = [(empty(shape, np.float32), np.zeros(outputs, np.float32))]
        made, filled = out[0]
        if self.forward:
            in_panels(np.ascontiguousarray(kernel), made)
        else:
            np.copyto(made, kernel.T)
        if bias is not None:
            np.copyto(filled, bias)
        return out

    def room(self, images: int) -> int:
        """For what a product of matrices lays out."""
        return room(images * self.written[0] * self.written[1], self.read[2], self.written[2])

    def calls(self, x: Array, kernels: Packed, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ((kernel, bias),), (kind, a, b) = kernels, self.activation
        x, y = x.reshape(-1, x.shape[3]), y.reshape(-1, y.shape[3])
        times = gemm_for(y, b_lies=PANELS if self.forward else TURNED, kind=kind)
        yield times, (x, kernel, bias, y, work, a, b)


class PointwiseGradient:
    """The gradient at the kernel of a 1×1 convolution: X transposed times the gradient at the output."""

    def __init__(self, read: Image, written: Image) -> None:
        self.pixels, self.shape = read[0] * read[1], (read[2], written[2])

    def room(self, images: int) -> int:
        """For the gradient, and for what a product of matrices lays out."""
        channels, outputs = self.shape
        return room(channels, images * self.pixels, outputs) + channels * outputs

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (1, 1, 1, c_in, c_out), in scratch memory."""
        size = self.shape[0] * self.shape[1]
        kernel = work[:size].reshape(self.shape)
        x, grad = x.reshape(-1, x.shape[3]), grad.reshape(-1, grad.shape[3])
        times = gemm_for(kernel, a_turned=True, b_lies=PLAIN)
        yield times, (x, grad, None, kernel, work[size:], NONE.a, NONE.b)
        return kernel[None, None, None]
