"""What a core can do at most: fused multiply-adds of vectors that never leave their registers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from colonnade.compiled.elementwise import multiply_add
from colonnade.compiled.reductions import row_sums
from colonnade.compiled.registers import WIDTH, largest_rows, largest_vectors
from colonnade.compiled.tiles import filled, store

# As many sums as fit the registers: each waits for its own last multiply-add, and the others go on meanwhile.
VECTORS = largest_vectors()
ROWS = largest_rows(VECTORS)
TURNS = 1 << 18  # about 1 ms


@njit(nogil=True)
def multiply_and_add(turns, a, b, y):
    tile = filled(ROWS, VECTORS, a)
    for _ in range(turns):
        tile = multiply_add(tile, a, b)
    store(row_sums(tile), y, 0, VECTORS * WIDTH)


def peak(threads: int = 1, seconds: float = 1.0) -> float:
    """Multiplications and additions of float32 a second, on so many threads at once: the best of many runs."""
    results = np.zeros((threads, ROWS, VECTORS * WIDTH), np.float32)
    scale, shift = np.float32(0.999), np.float32(0.001)

    def run(thread: int) -> None:
        multiply_and_add(TURNS, scale, shift, results[thread])

    run(0)
    best, until = float("inf"), time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < until:
            started = time.perf_counter()
            list(pool.map(run, range(threads)))
            best = min(best, time.perf_counter() - started)
    return 2.0 * threads * TURNS * ROWS * VECTORS * WIDTH / best


if __name__ == "__main__":
    for threads in (1, 2):
        print(f"{threads}: {peak(threads) / 1e9:.0f} GF/s")
