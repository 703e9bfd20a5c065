"""What the activations share whose slope is told by the input."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..ops.layout import Array, in_memory_order
from ..tensor import Shape
from .base import Block, Direction, Layer, Scratch

# How many numbers go through all passes of an op together. Some arrays of it fit the second-level cache, and the start
# of a pass is not felt.
RUN = 65536


class Elementwise(Layer):
    """An activation that works in place and reads its input in backward.

    Class attributes:
        arrays: How many scratch arrays of a run's size each direction needs.
        masks: How many of bools.
    """

    in_place = True
    cheap = True
    rectifies = True
    arrays: ClassVar[dict[Direction, int]] = {"forward": 1, "backward": 1}
    masks: ClassVar[dict[Direction, int]] = {}

    def scratch(self, shape: Shape, direction: Direction) -> dict[str, Scratch]:
        size = min(math.prod(shape), RUN)
        arrays, masks = self.arrays.get(direction, 0), self.masks.get(direction, 0)
        wanted = {"arrays": Scratch((arrays, size))} if arrays else {}
        return wanted | ({"masks": Scratch((masks, size), np.bool_)} if masks else {})

    def runs(self, block: Block, name: str, *arrays: Array) -> list[list[Array]]:
        """Runs of the arrays with the scratch arrays beside them, those of bools last; made once, under that name.

        A run goes through all the passes of an op while it is in the first caches.
        """
        return self._runs(block, *arrays)

    @staticmethod
    def _runs(block: Block, *arrays: Array) -> list[list[Array]]:
        flats = [in_memory_order(array) for array in arrays]
        scratch = [row for rows in block.scratch.values() for row in rows]
        made = []
        for start in range(0, flats[0].size, RUN):
            run = [flat[start : start + RUN] for flat in flats]
            made.append(run + [row[: run[0].size] for row in scratch])
        return made
