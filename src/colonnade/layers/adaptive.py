"""AdaptiveMaxPool2d: as many maxima as are asked for."""

from __future__ import annotations

import math

import numpy as np

from ..errors import ArgumentError
from ..ops.adaptive import adaptive_max_pool2d_backward, adaptive_max_pool2d_forward, bounds
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .pooling import Pooling


class AdaptiveMaxPool2d(Pooling):
    """Maxima over as many windows as are asked for: window i of o covers rows ⌊i·h/o⌋ up to ⌈(i + 1)·h/o⌉.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both. None in the pair stands for the input's size.

    Raises:
        ArgumentError: Anything but that.
        ShapeError: An input that is no image.

    A NaN is the maximum of its window. Of equal maxima the first in row-major order takes the gradient.
    After torch.nn.AdaptiveMaxPool2d.
    """

    reads = {"input"}

    def __init__(self, output_size: int | tuple[int | None, int | None]) -> None:
        self.output_size = output_size
        sizes = output_size if isinstance(output_size, list | tuple) else (output_size, output_size)
        valid = all(size is None or (isinstance(size, int) and size >= 1) for size in sizes)
        if not valid or len(sizes) != 2 or output_size is None:
            raise ArgumentError(
                f"AdaptiveMaxPool2d: output_size must be a positive number, or a pair with None, got {output_size!r}."
            )
        self.sizes: tuple[int | None, int | None] = (sizes[0], sizes[1])

    def build(self, shape: Shape, rng: np.random.Generator) -> Shape:
        channels, height, width = self._image(shape)
        return (channels, self.sizes[0] or height, self.sizes[1] or width)

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        if direction == "forward":
            return {}
        images, channels, *size = shape
        spans = [bounds(each, wanted or each) for each, wanted in zip(size, self.sizes, strict=True)]
        largest = math.prod(max(stop - start for start, stop in span) for span in spans)
        return {"space": Scratch((images * largest * channels,))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        adaptive_max_pool2d_forward(x.value, y.value)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        adaptive_max_pool2d_backward(x.value, y.grad, x.grad, block.scratch["space"])
