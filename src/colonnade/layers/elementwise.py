"""What the activations share whose slope is told by the input."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..ops.layout import Array, laid_like
from ..tensor import Shape
from .base import Block, Direction, Layer, Scratch


class Elementwise(Layer):
    """An activation that works in place and reads its input in backward.

    Class attributes:
        arrays: How many scratch arrays of the input's size each direction needs.
        masks: How many of bools.
    """

    in_place = True
    cheap = True
    rectifies = True
    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 1}
    masks: ClassVar[dict[Direction, int]] = {}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = math.prod(shape)
        arrays, masks = self.arrays.get(direction, 0), self.masks.get(direction, 0)
        wanted = {"arrays": Scratch((arrays, size))} if arrays else {}
        return wanted | ({"masks": Scratch((masks, size), np.bool_)} if masks else {})

    def parts(self, x: Array, block: Block) -> list[Array]:
        """The scratch arrays in the shape and order of `x`, those of bools last."""
        return block.once("parts", lambda: [laid_like(x, row) for flat in block.scratch.values() for row in flat])
