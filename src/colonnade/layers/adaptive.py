"""AdaptiveMaxPool2d: as many maxima as are asked for."""

from __future__ import annotations

import math

from ..ops.adaptive import adaptive_max_pool2d_backward, adaptive_max_pool2d_forward, bounds
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .pooling import AdaptivePooling


class AdaptiveMaxPool2d(AdaptivePooling):
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
