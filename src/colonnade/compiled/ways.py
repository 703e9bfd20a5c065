"""What all ways to compute a convolution share: what they are asked for, and how they divide their scratch memory.

Three computations make up a layer: the output, and the gradients at its input and at its kernel. A way is a class, made
once for images of one shape; its `calls` are what a pass over some images comes to, functions with their arguments. All
arrays are channels-last and float32.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from typing import Any, Protocol

from ..ops.layout import Array
from .registers import WIDTH

Image = tuple[int, int, int]  # height, width and channels
Call = tuple[Any, tuple[Any, ...]]  # a function and its arguments
Packed = list[tuple[Array, Array]]  # a kernel and a bias for each part of what is written


class Product(Protocol):
    """Images times a kernel: the output of a convolution, or the gradient at its input."""

    def pack(self, kernel: Array, bias: Array | None, out: Packed | None = None) -> Packed:
        """A kernel (groups, k_h, k_w, read / groups, written / groups), contiguous, and bias as the tiles read them.

        Args:
            kernel: The kernel.
            bias: (written,), or None.
            out: What this returned before, for a bias too or for none too: it is written over.
        """
        ...

    def room(self, images: int) -> int:
        """Numbers of scratch memory that `calls` need."""
        ...

    def calls(self, x: Array, kernels: Packed, y: Array, work: Array) -> Iterator[Call]:
        """Read x (n, h, w, c) and write y."""
        ...


class Gradient(Protocol):
    """The gradient at the kernel of a convolution."""

    def room(self, images: int) -> int:
        """Numbers of scratch memory that `calls` need."""
        ...

    def calls(self, x: Array, grad: Array, work: Array) -> Generator[Call, None, Array]:
        """The gradient as (groups, k_h, k_w, c_in / groups, c_out / groups), in scratch memory."""
        ...


def carve(work: Array, *shapes: tuple[int, ...]) -> list[Array]:
    """Arrays of these shapes, one behind the other in flat scratch memory, each at the start of a vector."""
    made, start = [], 0
    for shape in shapes:
        size = math.prod(shape)
        made.append(work[start : start + size].reshape(shape))
        start += -(-size // WIDTH) * WIDTH
    return made


def room(*shapes: tuple[int, ...]) -> int:
    """The numbers of scratch memory from which :func:`carve` takes these shapes."""
    return sum(-(-math.prod(shape) // WIDTH) * WIDTH for shape in shapes)
