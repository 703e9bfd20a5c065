"""How a batch is cut: into lanes, the same images everywhere, and each lane into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from ..errors import LimitError

# As many workers can share a batch, if it is large enough; each lane has sums and gradients of its own.
LANES = 8
# Each lane makes calls of its own and goes over all gradients of parameters: with fewer images that takes too long
# beside what is computed of them.
LANE_IMAGES = 32
# A block's arrays at one step take about so much; compiled, where a call costs less, a part of it.
BLOCK_BYTES = 1 << 22
COMPILED_PART = 2
# Gradients of parameters, a copy for each lane, take no more than this; beyond, lanes share theirs.
GRADIENT_BYTES = 1 << 26
# Of one segment: a step over so many reads and writes terabytes, and to list them takes long.
MOST_BLOCKS = 1 << 18

Run = tuple[int, int]  # the first image, and the one after the last


class Cut(NamedTuple):
    """How a batch is cut for one segment. It depends on shapes alone, never on the number of threads.

    Attributes:
        lanes: Each a list of blocks (start, stop).
        together: So many neighbouring lanes add their gradients to one copy, one lane after the other.
    """

    lanes: tuple[tuple[Run, ...], ...]
    together: int

    @property
    def block(self) -> int:
        """Images of the largest block."""
        return max(stop - start for lane in self.lanes for start, stop in lane)

    @property
    def tasks(self) -> list[range]:
        """The lanes that one worker takes, one after the other."""
        count = len(self.lanes)
        return [range(start, min(start + self.together, count)) for start in range(0, count, self.together)]


NO_CUT = Cut((), 1)


def lanes_of(images: int) -> list[Run]:
    """The lanes of a batch, from its size alone.

    A power of two, so that no worker of two or four waits for the last; two at least, if there are two images.
    """
    count = max(images // LANE_IMAGES, min(images, 2))
    return even(0, images, min(1 << (count.bit_length() - 1), LANES))


def cut(lanes: Sequence[Run], image_bytes: int, gradient_bytes: int, part: int = 1) -> Cut:
    """Cut the lanes for one segment.

    Args:
        lanes: Of the batch.
        image_bytes: What one image's arrays take at the widest call.
        gradient_bytes: What one copy of the parameters' gradients takes.
        part: A block takes such a part of `BLOCK_BYTES`.

    Raises:
        LimitError: More blocks than anybody could run.
    """
    block, images = max(1, BLOCK_BYTES // part // max(1, image_bytes)), lanes[-1][1]
    if images > block * MOST_BLOCKS:
        raise LimitError(f"a plan of {images:,} images is none for any machine.")
    together = 1
    while together * 2 < len(lanes) and gradient_bytes * (len(lanes) // together) > GRADIENT_BYTES:
        together *= 2
    return Cut(tuple(tuple(even(start, stop, -(-(stop - start) // block))) for start, stop in lanes), together)


def even(start: int, stop: int, parts: int) -> list[Run]:
    """Cut a run into parts whose lengths differ by one at the most."""
    bounds = [start + (stop - start) * part // parts for part in range(parts + 1)]
    return list(pairwise(bounds))
