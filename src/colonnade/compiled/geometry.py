"""Which runs of numbers a convolution reads: forward, and for the gradient at its input.

In one axis, output o of a convolution reads the input at o · stride + k · dilation − padding for each k of the kernel.
The other way, input i gets from output (i + padding − k · dilation) / stride for those k that make it a whole number:
a fixed set of k for each remainder of (i + padding) by the stride. So the gradient at the input is one gathering for
each remainder, every multiplication of which counts: no zeros between the numbers of a strided gradient.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby, product
from typing import NamedTuple

import numpy as np

from ..ops.layout import Array, empty
from ..ops.window import Sizes, Window
from .direct import Walk
from .packing import in_panels
from .registers import WIDTH, Size, largest_rows, vectors_for


class Axis(NamedTuple):
    """Positions along one axis of what is written, and what each reads.

    Attributes:
        start: The first position.
        step: From one position to the next.
        positions: How many there are.
        read_step: What they read moves on by so much.
        taps: Which values of the kernel, in the order of what they read.
        places: What each of them reads, seen from the first position; negative before the array's first.
    """

    start: int
    step: int
    positions: int
    read_step: int
    taps: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def first(self) -> int:
        """The first place that is read."""
        return min(self.places, default=0)

    @property
    def last(self) -> int:
        """The last place that is read."""
        return max(self.places, default=0) + (self.positions - 1) * self.read_step


def forward_axes(kernel: int, stride: int, dilation: int, padding: int, count: int) -> list[Axis]:
    """How `count` outputs of a convolution read its input."""
    places = tuple(tap * dilation - padding for tap in range(kernel))
    return [Axis(0, 1, count, stride, tuple(range(kernel)), places)]


def backward_axes(kernel: int, stride: int, dilation: int, padding: int, count: int) -> list[Axis]:
    """How the gradients at `count` inputs of a convolution read the gradient at its output."""
    made = []
    for start in range(min(stride, count)):
        taps = [tap for tap in reversed(range(kernel)) if (start + padding - tap * dilation) % stride == 0]
        places = tuple((start + padding - tap * dilation) // stride for tap in taps)
        made.append(Axis(start, stride, len(range(start, count, stride)), 1, tuple(taps), places))
    return made


class Part(NamedTuple):
    """One gathering: the positions that it writes, and where in the kernel and in what is read its numbers stand.

    Attributes:
        vertical, horizontal: The two axes.
        offsets: (runs,): where each run begins, seen from a position.
        run: Numbers of a run.
        walk: How positions step through both arrays.
        tile: The size of the tiles.
    """

    vertical: Axis
    horizontal: Axis
    offsets: Array
    run: int
    walk: Walk
    tile: Size


class Gathering(NamedTuple):
    """All that is written from images of one shape.

    Attributes:
        padded: (h, w) of the images with the border that is read.
        top, left: Where the images stand in it.
        parts: What is written, part by part.
        pads: Whether there is a border at all.
    """

    padded: tuple[int, int]
    top: int
    left: int
    parts: tuple[Part, ...]
    pads: bool


def even(length: int, most: int) -> int:
    """Rows of tiles that cover `length` positions, at most so many, as even as can be."""
    return -(-length // -(-length // most))


def tile_size(width: int, outputs: int) -> Size:
    """Rows and vectors of the tiles for rows of `width` positions and so many outputs."""
    vectors = vectors_for(outputs)
    return Size(even(width, largest_rows(vectors)), vectors)


@lru_cache(maxsize=4096)
def gathering(
    window: Window, read: tuple[int, int, int, int], written: tuple[int, int, int, int], groups: int, forward: bool
) -> Gathering:
    """How a convolution (or with `forward` false its input's gradient) reads images and writes images.

    Args:
        window: The convolution's.
        read: (n, h, w, c) of what is read: the input, or the gradient at the output.
        written: (n, h, w, c) of what is written.
        groups: Of channels.
        forward: Which of the two.
    """
    images, height, width, channels = read
    _, rows, columns, outputs = written
    axes_of = forward_axes if forward else backward_axes
    vertical = axes_of(window.kernel[0], window.stride[0], window.dilation[0], window.padding[0], rows)
    horizontal = axes_of(window.kernel[1], window.stride[1], window.dilation[1], window.padding[2], columns)
    top, left = (max(0, -min(axis.first for axis in axes)) for axes in (vertical, horizontal))
    padded = (
        top + max(height, max(axis.last for axis in vertical) + 1),
        left + max(width, max(axis.last for axis in horizontal) + 1),
    )
    depth = channels // groups
    parts = []
    for down, across in product(vertical, horizontal):
        # Neighbouring places are one run, unless other groups' channels lie between them.
        apart = [place - number for number, place in enumerate(across.places)]
        merged = [len(list(run)) for _, run in groupby(apart)]
        length = merged[0] if merged and groups == 1 and len(set(merged)) == 1 else 1
        offsets = [
            ((vertical_place + top) * padded[1] + place + left) * channels
            for vertical_place in down.places
            for place in across.places[::length]
        ]
        walk = Walk(
            images, down.positions, across.positions,
            0, padded[0] * padded[1] * channels, down.read_step * padded[1] * channels, across.read_step * channels,
            depth,
            (down.start * columns + across.start) * outputs, rows * columns * outputs, down.step * columns * outputs,
            across.step * outputs, outputs // groups,
        )  # fmt: skip
        if (
            len(offsets) == 1
            and down.step == across.step == 1
            and padded == (height, width)
            and walk.x_row == across.positions * walk.x_column
            and walk.x_image == down.positions * walk.x_row
        ):
            # The image is its own column matrix: all positions are one row.
            walk = walk._replace(images=1, height=1, width=images * down.positions * across.positions)
        size = tile_size(walk.width, outputs // groups)
        parts.append(Part(down, across, np.array(offsets, np.int64), length * depth, walk, size))
    return Gathering(padded, top, left, tuple(parts), padded != (height, width))


class GradientTiles(NamedTuple):
    """How the gradient at a kernel is cut into tiles.

    Attributes:
        kernel: (groups, runs, run, outputs), how the tiles write it.
        offsets: (runs,): where each run begins, seen from a position.
        step: From one number of a run to the next.
        lines: Runs that a tile takes.
        rows: Numbers that it takes of each.
        vectors: Of outputs.
        depthwise: Whether each output sees its own channel alone.
    """

    kernel: tuple[int, int, int, int]
    offsets: Array
    step: int
    lines: int
    rows: int
    vectors: int
    depthwise: bool

    @property
    def sums(self) -> tuple[int, ...]:
        """The shape of all tiles: (tiles, rows, columns)."""
        groups, runs, run, outputs = self.kernel
        columns = self.vectors * WIDTH
        tiles = groups * -(-runs // self.lines) * -(-run // self.rows) * -(-outputs // columns)
        return tiles, self.lines * self.rows, columns


def gradient_tiles(part: Part, kernel: Sizes, groups: int, outputs: int) -> GradientTiles:
    """The tiles for the gradient at a kernel of this size, with the runs of a gathering's one part."""
    offsets, run, step, vectors = part.offsets, part.run, 1, part.tile.vectors
    depthwise = run == 1 < groups == outputs
    if depthwise:
        # A row of the kernel is a run of numbers that lie apart.
        step = int(offsets[1] - offsets[0]) if kernel[1] > 1 else 0
        offsets, run, vectors = offsets[:: kernel[1]].copy(), kernel[1], 1
    most = largest_rows(vectors)
    rows = even(run, most)
    # The runs of one tile lie evenly: those that follow one another in a row of the kernel, or one of each row.
    apart = len(offsets) // kernel[0]
    lines = max(each for each in range(1, most // rows + 1) if apart % each == 0)
    if apart == 1:
        lines = even(len(offsets), most // rows)
    shape = (1, len(offsets), run, outputs) if depthwise else (groups, len(offsets), run, outputs // groups)
    return GradientTiles(shape, offsets, step, lines, rows, vectors, depthwise)


def packed(kernel: Array, part: Part, out: Array | None = None) -> Array:
    """A kernel as a part's tiles read it.

    Args:
        kernel: (groups, k_h, k_w, channels, outputs), contiguous: all of it, outputs being what is written.
        part: The part.
        out: Of the result's shape; made where there is none.

    Returns:
        (groups, blocks, runs, run, columns): outputs in blocks of a tile's columns, the last filled up with zeros.
    """
    groups, height, width, _, outputs = kernel.shape
    columns = part.tile.vectors * WIDTH
    taps = part.vertical.taps, part.horizontal.taps
    if taps != (tuple(range(height)), tuple(range(width))):
        kernel = np.ascontiguousarray(kernel[:, taps[0]][:, :, taps[1]]) if part.offsets.size else kernel[:, :0]
    rows, blocks = part.offsets.size * part.run, -(-outputs // columns)
    if out is None:
        out = empty((groups, blocks, part.offsets.size, part.run, columns), np.float32)
    for each, made in zip(kernel, out, strict=True):
        in_panels(each.reshape(rows, outputs), made.reshape(blocks, rows, columns))
    return out


def packed_bias(bias: Array | None, groups: int, outputs: int, part: Part, out: Array | None = None) -> Array:
    """A bias (groups · outputs,), or zeros, as (groups, blocks, columns)."""
    columns = part.tile.vectors * WIDTH
    if out is None:
        out = np.zeros((groups, -(-outputs // columns), columns), np.float32)
    if bias is not None:
        out.reshape(groups, -1)[:, :outputs] = bias.reshape(groups, outputs)
    return out
