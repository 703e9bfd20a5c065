"""Products of large matrices by register tiles, in blocks that stay in the caches (Goto and van de Geijn 2008).

A tile runs through `TERMS` terms before what it has summed is put aside. So many rows of the right matrix, laid out in
panels as wide as a tile, stay in the second-level cache while all rows of the left one go by. What tiles read of the
left one is laid out too, where more than one panel is multiplied with it: rows that lie far apart drive one another out
of the first-level cache. A sum that was put aside has the bits of one that was not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ..ops.layout import Array
from .activation import activate
from .compilation import compiled, inlined
from .geometry import tile_size
from .registers import WIDTH, vectors_for
from .tiles import add_outer, load, load_first, spread, store, store_first, transposed, zeros

# Terms that are added before a sum is put aside, columns of the right matrix that are laid out at once, and tiles
# whose sums are put aside together.
TERMS, COLUMNS, TILES = 256, 256, 16
# A tile's rows are laid out so far apart: at cache lines that do not drive one another out.
APART = TERMS + WIDTH


@inlined
def _lay_rows(rows, a, first, k, terms, y, to):
    """y[to + r · APART + i] = a[first + r, k + i]."""
    row = a.shape[1]
    at, whole = first * row + k, terms // WIDTH * WIDTH
    for i in range(0, whole, WIDTH):
        store(load(rows, 1, a, at + i, row), y, to + i, APART)
    if whole < terms:
        store(load_first(rows, 1, a, at + whole, row, terms - whole), y, to + whole, APART)


@inlined
def _lay_columns(rows, vectors, a, first, last, k, terms, y, to):
    """y[to + (t · TERMS + i) · 16 · vectors + r] = a[k + i, r of tile first + t], for all tiles before `last`."""
    count, width = a.shape[1], vectors * WIDTH
    for i in range(terms):
        at, place = (k + i) * count, to + i * width
        for number in range(first, last):
            r = min(number * rows, count - rows)
            if count - r >= width:
                store(load(1, vectors, a, at + r, 0), y, place, 0)
            else:
                store(load_first(1, vectors, a, at + r, 0, count - r), y, place, 0)
            place += TERMS * width


@inlined
def _lay_panel(vectors, b, k, c, terms, y, to):
    """y[to + i · columns + j] = b[k + i, c + j], a panel; zeros behind b's last column."""
    row, columns = b.shape[1], vectors * WIDTH
    at, left = k * row + c, row - c
    if left >= columns:
        whole = terms // 4 * 4
        for i in range(0, whole, 4):
            store(load(4, vectors, b, at + i * row, row), y, to + i * columns, columns)
        for i in range(whole, terms):
            store(load(1, vectors, b, at + i * row, 0), y, to + i * columns, 0)
    else:
        for i in range(terms):
            store(load_first(1, vectors, b, at + i * row, 0, left), y, to + i * columns, 0)


@inlined
def _lay_turned_panel(vectors, b, k, c, terms, y, to):
    """y[to + i · columns + j] = b[c + j, k + i], a panel; zeros behind b's last row."""
    (rows, row), columns = b.shape, vectors * WIDTH
    whole = terms // WIDTH * WIDTH
    for first in range(0, columns, WIDTH):
        at, left = (c + first) * row + k, rows - c - first
        squares = whole if left >= WIDTH else 0
        for i in range(0, squares, WIDTH):
            store(transposed(load(WIDTH, 1, b, at + i, row)), y, to + i * columns + first, columns)
        for i in range(squares, terms):
            store(zeros(1, 1), y, to + i * columns + first, 0)
            for j in range(min(WIDTH, left)):
                y[to + i * columns + first + j] = b[c + first + j, k + i]


def room(count: int, terms: int, outputs: int) -> int:
    """The numbers of scratch memory that a product of these sizes needs at the most."""
    rows, vectors = tile_size(count, outputs)
    columns, tiles = vectors * WIDTH, min(TILES, -(-count // rows))
    wide = min(COLUMNS, -(-outputs // columns) * columns)
    laid = max(rows * APART, tiles * TERMS * -(-rows // WIDTH) * WIDTH)
    return min(TERMS, terms) * wide + tiles * rows * wide + laid


PLAIN, TURNED, PANELS = range(3)  # how the right matrix lies


@lru_cache
def gemm(rows: int, vectors: int, a_turned: bool, b_lies: int, lays: bool, kind: int) -> Any:
    """Y = activation(A B + b) by tiles of `rows` rows and 16 · `vectors` columns.

    Args of the function that is returned:
        a: (rows, terms), or turned (terms, rows); there must be `rows` rows at least.
        b: (terms, columns), turned (columns, terms), or in panels (blocks, terms, 16 · vectors).
        bias: (columns,), or None.
        y: (rows, columns), overwritten.
        work: Scratch of `room` numbers.
        p, q: The activation's parameters.
    """
    columns, abreast = vectors * WIDTH, -(-rows // WIDTH)
    width = abreast * WIDTH

    @inlined
    def lay_right(b, o, end, k, deep, work):
        """The right matrix's columns from o to end, and `deep` terms from k on, to work."""
        for c in range(o, end, columns):
            if b_lies == TURNED:
                _lay_turned_panel(vectors, b, k, c, deep, work, (c - o) * deep)
            else:
                _lay_panel(vectors, b, k, c, deep, work, (c - o) * deep)

    @inlined
    def sums_before(bias, c, left, k, work, put):
        """What was put aside before term k; before the first it is the bias."""
        if k > 0:
            return load(rows, vectors, work, put, columns)
        if bias is None:
            return zeros(rows, vectors)
        return spread(rows, load_first(1, vectors, bias, c, 0, left))

    @inlined
    def write(tile, y, to, outputs, left, p, q):
        if left >= columns:
            store(activate(kind, tile, p, q), y, to, outputs)
        else:
            store_first(activate(kind, tile, p, q), y, to, outputs, left)

    @compiled
    def multiply(a, b, bias, y, work, p, q):
        count, outputs = y.shape
        terms = a.shape[0] if a_turned else a.shape[1]
        blocks = -(-outputs // columns)
        if (a.shape[1] if a_turned else a.shape[0]) != count or count < rows:
            raise ValueError("gemm: the left matrix must have as many rows as the result, and as a tile at least.")
        if b_lies == PANELS:
            fits = b.shape == (blocks, terms, columns)
        elif b_lies == TURNED:
            fits = b.shape == (outputs, terms)
        else:
            fits = b.shape == (terms, outputs)
        if not fits or (bias is not None and bias.size != outputs):
            raise ValueError(
                "gemm: the right matrix must have the left one's terms and, as bias, the result's columns."
            )
        tiles, wide = -(-count // rows), min(COLUMNS, blocks * columns)
        aside = min(TERMS, terms) * wide
        laid = aside + min(TILES, tiles) * rows * wide
        if work.size < laid + max(rows * APART, min(TILES, tiles) * TERMS * width):
            raise ValueError("gemm: there must be room for what is laid out.")
        left = work if lays else a.reshape(-1)
        right = b.reshape(-1) if b_lies == PANELS else work
        if a_turned:
            step, ahead = 1, width if lays else count
        else:
            step, ahead = APART if lays else terms, 1
        for o in range(0, outputs, COLUMNS):
            end = min(outputs, o + COLUMNS)
            for first in range(0, tiles, TILES):
                last = min(tiles, first + TILES)
                for k in range(0, terms, TERMS):
                    deep = min(TERMS, terms - k)
                    if b_lies != PANELS and (first == 0 or terms > TERMS):
                        lay_right(b, o, end, k, deep, work)
                    if lays and a_turned:
                        _lay_columns(rows, abreast, a, first, last, k, deep, work, laid)
                    for number in range(first, last):
                        # The last tile covers some rows a second time, to the same numbers.
                        r = min(number * rows, count - rows)
                        if lays and a_turned:
                            start = laid + (number - first) * TERMS * width
                        elif lays:
                            _lay_rows(rows, a, r, k, deep, work, laid)
                            start = laid
                        else:
                            start = r * step + k * ahead
                        for c in range(o, end, columns):
                            put = aside + ((number - first) * wide + c - o) * rows
                            tile = sums_before(bias, c, end - c, k, work, put)
                            at = c * terms + k * columns if b_lies == PANELS else (c - o) * deep
                            for i in range(deep):
                                tile = add_outer(tile, left, start + i * ahead, step, right, at + i * columns)
                            if k + deep < terms:
                                store(tile, work, put, columns)
                            else:
                                write(tile, y, r * outputs + c, outputs, end - c, p, q)

    return multiply


def gemm_for(y: Array, a_turned: bool = False, b_lies: int = PLAIN, kind: int = 0) -> Any:
    """The function that writes y: see :func:`gemm`."""
    count, outputs = y.shape
    rows, vectors = tile_size(count, outputs)
    return gemm(rows, vectors, a_turned, b_lies, outputs > vectors * WIDTH, kind)


def panel_shape(terms: int, outputs: int) -> tuple[int, int, int]:
    """The right matrix's in panels, (blocks, terms, columns)."""
    columns = vectors_for(outputs) * WIDTH
    return -(-outputs // columns), terms, columns
