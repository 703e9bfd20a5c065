"""Convolution by register tiles: no window is ever written down.

Channels last, a row of a window already stands in the image as one run of numbers. So the column matrix X_col of the
paper is read where it lies: at a position's own place in the image, plus an offset for each run. What differs between
a convolution, its two gradients, strides, dilations, groups and transposed convolutions are these offsets, and how
positions step through the arrays: a :class:`Walk`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from .activation import activate
from .compilation import compiled, inlined
from .memory import clear, copy
from .reductions import column_sums
from .registers import WIDTH
from .tiles import (
    add_outer,
    add_outer_lines,
    add_outers,
    add_product_lines,
    load,
    load_first,
    store,
    store_first,
    zeros,
)

# The kernel's gradient is summed over so many numbers of input and output at a time, which stay in a core's cache,
NEAR = 1 << 15
# but over no fewer positions than make up for loading and storing the sums.
LEAST_POSITIONS = 128


class Walk(NamedTuple):
    """How output positions step through what is read, x, and what is written, y: all counted in numbers.

    Position (n, i, j) of `images` × `height` × `width` begins at start + n · image + i · row + j · column of each.
    A group's channels begin `group` after those of the group before.
    """

    images: int
    height: int
    width: int
    x_start: int
    x_image: int
    x_row: int
    x_column: int
    x_group: int
    y_start: int
    y_image: int
    y_row: int
    y_column: int
    y_group: int


@compiled
def _last(images, height, width, start, image, row, column, group, groups):
    """The furthest place that a walk begins a position at; less than zero where it leaves the array in front."""
    if min(start, image, row, column, group) < 0:
        return -1
    return start + (images - 1) * image + (height - 1) * row + (width - 1) * column + (groups - 1) * group


@compiled
def require_inside(walk, groups, x_size, y_size, offsets, run, outputs):
    """Raise ValueError where a walk would leave one of its arrays: looked at once, before anything is read."""
    if walk.images < 1 or walk.height < 1 or walk.width < 1:
        raise ValueError("direct convolution: a walk must have positions")
    x = _last(walk.images, walk.height, walk.width, walk.x_start, walk.x_image, walk.x_row, walk.x_column,
              walk.x_group, groups)  # fmt: skip
    y = _last(walk.images, walk.height, walk.width, walk.y_start, walk.y_image, walk.y_row, walk.y_column,
              walk.y_group, groups)  # fmt: skip
    for offset in offsets:
        if x < 0 or offset < 0 or x + offset + run > x_size:
            raise ValueError("direct convolution: a walk must stay inside what it reads")
    if y < 0 or y + outputs > y_size:
        raise ValueError("direct convolution: a walk must stay inside what it writes")


@compiled
def pad(x, padded, top, left):
    """Copy images x (n, h, w, c) into `padded` at (top, left), and zeros around them."""
    images, height, width, channels = x.shape
    n, rows, columns, c = padded.shape
    if n != images or c != channels or top < 0 or left < 0 or top + height > rows or left + width > columns:
        raise ValueError("pad: the images must fit into what is padded")
    row, place = columns * channels, 0
    before, behind = left * channels, (columns - left - width) * channels
    at = 0
    for _ in range(images):
        clear(padded, place, top * row)
        place += top * row
        for _ in range(height):
            clear(padded, place, before)
            place += before
            copy(x, at, padded, place, width * channels)
            place += width * channels
            at += width * channels
            clear(padded, place, behind)
            place += behind
        below = (rows - top - height) * row
        clear(padded, place, below)
        place += below


@lru_cache
def windows_times_kernel(rows: int, vectors: int, kind: int) -> Any:
    """Y = activation(X_col K + b) by tiles of `rows` neighbouring positions and 16 · `vectors` outputs.

    Args of the function that is returned:
        x: What is read; of any shape.
        kernel: (groups, blocks, offsets, run, 16 · vectors): the outputs of a group in blocks, the last filled up.
        bias: (groups, blocks, 16 · vectors).
        y: What is written.
        offsets: (runs,): where each run of a window begins, seen from its position.
        run: Numbers of each.
        outputs: Of each group.
        walk: Its width must be `rows` at least.
        a, b: The activation's parameters.
    """
    columns = vectors * WIDTH

    @compiled
    def forward(x, kernel, bias, y, offsets, run, outputs, walk, a, b):
        groups, blocks, runs, length, filled_up = kernel.shape
        pairs = run // 2 * 2 if vectors == 1 else 0
        require_inside(walk, groups, x.size, y.size, offsets, run, outputs)
        if runs != len(offsets) or length != run or filled_up != columns or blocks * columns < outputs:
            raise ValueError("direct convolution: the kernel must be packed for the tile")
        if bias.shape != (groups, blocks, columns) or walk.width < rows:
            raise ValueError("direct convolution: bias and tile must fit")
        for group in range(groups):
            for block in range(blocks):
                b_at = (group * blocks + block) * columns
                first = b_at * runs * run
                left = outputs - block * columns
                for image in range(walk.images):
                    for row in range(walk.height):
                        x_at = walk.x_start + group * walk.x_group + image * walk.x_image + row * walk.x_row
                        y_at = walk.y_start + group * walk.y_group + image * walk.y_image + row * walk.y_row
                        y_at += block * columns
                        column = 0
                        while column < walk.width:
                            # The last tile of a row covers some positions a second time, to the same numbers.
                            column = min(column, walk.width - rows)
                            at, to = x_at + column * walk.x_column, y_at + column * walk.y_column
                            k = first
                            tile = load(rows, vectors, bias, b_at, 0)
                            for offset in offsets:
                                for c in range(at + offset, at + offset + pairs, 2):
                                    tile = add_outers(tile, x, c, walk.x_column, kernel, k, 2)
                                    k += 2 * columns
                                for c in range(at + offset + pairs, at + offset + run):
                                    tile = add_outer(tile, x, c, walk.x_column, kernel, k)
                                    k += columns
                            if left >= columns:
                                store(activate(kind, tile, a, b), y, to, walk.y_column)
                            else:
                                store_first(activate(kind, tile, a, b), y, to, walk.y_column, left)
                            column += rows

    return forward


@inlined
def _sides(walk):
    """Images, rows and columns of a box of positions that stay in cache until all tiles have seen them."""
    most = max(LEAST_POSITIONS, NEAR // (walk.x_column + walk.y_column))
    width, height = min(walk.width, most), min(walk.height, max(1, most // walk.width))
    return min(walk.images, max(1, most // (walk.width * walk.height))), height, width


@inlined
def _box(walk, number, images, height, width):
    """Of the boxes with such sides that a walk consists of, one, as a walk of its own."""
    rest, column = divmod(number, -(-walk.width // width))
    image, row = divmod(rest, -(-walk.height // height))
    image, row, column = image * images, row * height, column * width
    return Walk(
        min(images, walk.images - image), min(height, walk.height - row), min(width, walk.width - column),
        walk.x_start + image * walk.x_image + row * walk.x_row + column * walk.x_column,
        walk.x_image, walk.x_row, walk.x_column, walk.x_group,
        walk.y_start + image * walk.y_image + row * walk.y_row + column * walk.y_column,
        walk.y_image, walk.y_row, walk.y_column, walk.y_group,
    )  # fmt: skip


@lru_cache
def windows_times_gradient(lines: int, rows: int, vectors: int, depthwise: bool) -> Any:
    """grad_K = X_colᵀ grad_Y by tiles of `rows` numbers of each of `lines` runs and 16 · `vectors` outputs.

    Args of the function that is returned: as of :func:`windows_times_kernel`, and
        grad: The gradient at y.
        grad_kernel: Overwritten: (groups, runs, run, outputs); depthwise, where each output sees its own channel alone,
            (1, runs, run, channels).
        sums: Scratch for all tiles; empty to let each tile see all positions at once.
        offsets: (runs,): those of a tile lie evenly, and it takes whole runs if it takes several.
        step: From one number of a run to the next.
        begins, ends: Whether these are the first images and the last: between, the sums stay in `sums`.
    """
    columns, size = vectors * WIDTH, lines * rows * vectors * WIDTH
    numbers = lines * rows

    @inlined
    def summed(x, x_at, line, step, grad, y_at, left, box):
        """The tile's sums over a box of positions."""
        tile = zeros(numbers, vectors)
        for image in range(box.images):
            for row in range(box.height):
                i = x_at + image * box.x_image + row * box.x_row
                j = y_at + image * box.y_image + row * box.y_row
                for _ in range(box.width):
                    if depthwise:
                        tile = add_product_lines(tile, x, i, line, rows, step, grad, j, left)
                    else:
                        tile = add_outer_lines(tile, x, i, line, rows, grad, j, left)
                    i += box.x_column
                    j += box.y_column
        return tile

    @inlined
    def apart(offsets, first):
        """How far the runs of a tile lie apart; raises ValueError where they do not lie evenly."""
        line = offsets[first + 1] - offsets[first] if lines > 1 else 0
        for n in range(lines):
            if offsets[first + n] != offsets[first] + n * line:
                raise ValueError("direct convolution: the runs of a tile must lie evenly")
        return line

    @compiled
    def backward(x, grad, grad_kernel, sums, offsets, step, walk, begins, ends):
        groups, runs, run, outputs = grad_kernel.shape
        reach = (run - 1) * step + (outputs if depthwise else 1)
        require_inside(walk, groups, x.size, grad.size, offsets, reach, outputs)
        if runs != len(offsets) or runs < lines or run < rows or (lines > 1 and run > rows):
            raise ValueError("direct convolution: runs must be as many and as long as the tile's")
        if step < 0 or not (depthwise or step == 1):
            raise ValueError("direct convolution: the numbers of a run must follow one another")
        images, height, width = walk.images, walk.height, walk.width
        if sums.size or not (begins and ends):
            images, height, width = _sides(walk)
            if sums.size < groups * -(-outputs // columns) * -(-runs // lines) * -(-run // rows) * size:
                raise ValueError("direct convolution: scratch must hold all tiles")
        boxes = -(-walk.images // images) * -(-walk.height // height) * -(-walk.width // width)
        for number in range(boxes):
            box = _box(walk, number, images, height, width)
            place = 0
            for group in range(groups):
                for o in range(0, outputs, columns):
                    first = 0
                    while first < runs:
                        first = min(first, runs - lines)
                        line = apart(offsets, first)
                        c = 0
                        while c < run:
                            c = min(c, run - rows)
                            x_at = box.x_start + group * box.x_group + offsets[first] + c * step
                            y_at = box.y_start + group * box.y_group + o
                            if depthwise:
                                x_at += o
                            tile = summed(x, x_at, line, step, grad, y_at, outputs - o, box)
                            if number or not begins:
                                tile = tile + load(numbers, vectors, sums, place, columns)
                            if ends and number == boxes - 1:
                                to = ((group * runs + first) * run + c) * outputs + o
                                store_first(tile, grad_kernel, to, outputs, outputs - o)
                            else:
                                store(tile, sums, place, columns)
                            place += size
                            c += rows
                        first += lines

    return backward


@compiled
def position_sums(grad, sums):
    """sums (c,) = Σ grad over positions, grad (positions, c), in float32."""
    positions, channels = grad.shape
    if sums.size != channels:
        raise ValueError("position_sums: a sum for each channel")
    for c in range(0, channels, WIDTH):
        left = channels - c
        whole = positions // 4 * 4
        tile = zeros(4, 1)
        for p in range(0, whole, 4):
            tile = tile + load_first(4, 1, grad, p * channels + c, channels, left)
        total = column_sums(tile)
        for p in range(whole, positions):
            total = total + load_first(1, 1, grad, p * channels + c, channels, left)
        store_first(total, sums, c, 0, left)
