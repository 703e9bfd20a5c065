"""How the elementwise functions go through memory: flat arrays in runs, matrices some rows at a time.

Several vectors in each turn keep the processor busy while one of them waits. What is left over at an end is loaded and
stored with a mask by the same code.
"""

from __future__ import annotations

import math

from .compilation import inlined
from .reductions import column_sums
from .registers import WIDTH, registers
from .tiles import load, load_first, store, store_first

# Vectors of a run, of a flat array, and rows of a matrix in each turn, with room in the registers for what is made of
# them. A power of two: what each of so many counts in a mean is exact.
VECTORS = ROWS = 4 if math.prod(registers()) >= 512 else 2
RUN = VECTORS * WIDTH
# So many turns are added up in float32, their sums in float64.
TURNS = 256


@inlined
def load_run(x, i):
    """x[i : i + RUN] as one row; zeros behind x's end."""
    if x.size - i >= RUN:
        return load(1, VECTORS, x, i, 0)
    return load_first(1, VECTORS, x, i, 0, x.size - i)


@inlined
def store_run(tile, y, i):
    """y[i : i + RUN] = tile, as far as y goes."""
    if y.size - i >= RUN:
        store(tile, y, i, 0)
    else:
        store_first(tile, y, i, 0, y.size - i)


@inlined
def together(left, step):
    """How many of the rows that are left the next turn takes, how far apart they are, and what each counts in a sum.

    It takes `ROWS`; or of fewer the first alone, as so many that lie in one place and count a part of one each.
    """
    if left >= ROWS:
        return ROWS, step, 1.0
    return 1, 0, 1.0 / ROWS


@inlined
def load_rows(x, i, step, columns):
    """Rows of up to 16 numbers, `step` apart; zeros behind `columns`."""
    if columns >= WIDTH:
        return load(ROWS, 1, x, i, step)
    return load_first(ROWS, 1, x, i, step, columns)


@inlined
def store_rows(tile, y, i, step, columns):
    """What `load_rows` loads, stored."""
    if columns >= WIDTH:
        store(tile, y, i, step)
    else:
        store_first(tile, y, i, step, columns)


@inlined
def add_columns(total, part, c, left, sums):
    """Add the sum of a tile's rows to sums[c : c + left], float64; `part` is scratch, (16,)."""
    store_first(column_sums(total), part, 0, 0, left)
    for k in range(min(left, WIDTH)):
        sums[c + k] += part[k]
