"""AdaptiveMaxPool2d: as many maxima as are asked for."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import arguments
from ..limits import CALL, NUMBER
from ..ops import adaptive, pooling
from ..ops.layout import Array, channels_first, channels_last
from ..ops.window import Pair, Window
from ..tensor import Shape, Tensor
from .base import Block, Direction, Scratch
from .pooling import AdaptivePooling, max_backward, max_forward, max_scratch


class Copies(NamedTuple):
    """The rows and columns that are copied where windows differ in size; see `adaptive.side_by_side`."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


class AdaptiveMaxPool2d(AdaptivePooling):
    """Maxima over as many windows as are asked for: window i of o covers rows ⌊i·h/o⌋ up to ⌈(i + 1)·h/o⌉.

    Shapes: x (n, c, h, w), y (n, c, h_out, w_out).

    Args:
        output_size: (h_out, w_out), or one number for both. None in the pair stands for the input's size.
        return_indices: False, the only way there is.

    Raises:
        ArgumentError: Anything but that.
        ShapeError: An input that is no image.

    A NaN is the maximum of its window. Of equal maxima the first in row-major order takes the gradient.
    After torch.nn.AdaptiveMaxPool2d.
    """

    # As MaxPool2d: where the maxima are is saved.
    reads: ClassVar[set[str]] = set()
    cheap = False
    takes_maximum = True

    def __init__(self, output_size: int | tuple[int | None, int | None], return_indices: bool = False) -> None:
        arguments.unsupported("AdaptiveMaxPool2d", "a layer has one output", return_indices=(return_indices, False))
        self.return_indices = False
        super().__init__(output_size)
        self._found: dict[Pair, tuple[Window, Pair, Copies | None]] = {}

    def _windows(self, shape: Shape) -> tuple[Window, Pair, Copies | None]:
        """The window, the size of the images that it moves over, and what is copied to make these."""
        size = (shape[2], shape[3])
        if (found := self._found.get(size)) is None:
            found = self._find((shape[2], shape[3]))
            self._found = {size: found}  # the tables of one size: they may be large
        return found

    def _find(self, size: Pair) -> tuple[Window, Pair, Copies | None]:
        outputs = (self.sizes[0] or size[0], self.sizes[1] or size[1])
        window = adaptive.regular_window(size, outputs)
        if window is not None:
            return window, size, None
        rows, height = adaptive.side_by_side(size[0], outputs[0])
        columns, width = adaptive.side_by_side(size[1], outputs[1])
        return Window((height, width), (height, width)), (len(rows), len(columns)), Copies(rows, columns)

    def _outputs(self, shape: Shape) -> Shape:
        return (shape[0], self.sizes[0] or shape[2], self.sizes[1] or shape[3], shape[1])

    def work(self, shape: Shape) -> int:
        channels, *size = shape
        outputs = (self.sizes[0] or size[0], self.sizes[1] or size[1])
        height, width = (size[axis] + 2 * outputs[axis] for axis in (0, 1))  # of what is copied, at most
        seen = math.prod(-(-size[axis] // outputs[axis]) + 1 for axis in (0, 1))
        return NUMBER * channels * height * (size[1] + 2 * width) + seen * CALL

    def prepared_bytes(self, shape: Shape) -> int:
        return 8 * 4 * sum((size or 0) + given for size, given in zip(self.sizes, shape[1:], strict=True))

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        images, channels, _, across = shape
        window, (height, width), copies = self._windows(shape)
        spaces = max_scratch(window, (images, channels, height, width), self._outputs(shape), direction)
        if copies is not None:
            spaces["between"] = Scratch((images, height, across, channels))
            spaces["copies"] = Scratch((images, height, width, channels))
        return spaces

    def saved(self, shape: Shape) -> dict[str, Scratch]:
        return {"winners": Scratch(self._outputs(shape), pooling.winner_dtype(self._windows(shape)[0]))}

    def forward(self, x: Tensor, y: Tensor, block: Block) -> None:
        window, _, copies = self._windows(x.value.shape)
        image = channels_last(x.value)
        if copies is not None:
            adaptive.lay_side_by_side(image, *copies, block.scratch["between"], block.scratch["copies"])
            image = block.scratch["copies"]
        max_forward(channels_first(image), window, y.value, block)

    def backward(self, x: Tensor, y: Tensor, block: Block) -> None:
        window, _, copies = self._windows(x.grad.shape)
        target: Array = channels_last(x.grad)
        written = target if copies is None else block.scratch["copies"]
        max_backward(y.grad, window, channels_first(written), block)
        if copies is not None:
            adaptive.gather_back(block.scratch["copies"], *copies, block.scratch["between"], target)
