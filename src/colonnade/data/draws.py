"""Random numbers that belong to images: given by seed, epoch and the image's position, by nothing else.

A stream of NumPy's would hand out its numbers in the order of the calls: which image gets which would depend on the
batch it is in, and on the worker that comes first. Here each number has an address, and is computed from that alone.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import arguments
from ..errors import ArgumentError

Counters = NDArray[np.uint64]
Numbers = float | NDArray[Any]

# The step of SplitMix64: 2⁶⁴ divided by the golden ratio, made odd.
STEP = 0x9E3779B97F4A7C15
WORD = 0xFFFFFFFFFFFFFFFF


def mix(numbers: Counters) -> Counters:
    """Scramble 64-bit numbers so that those of neighbours have nothing in common: one to one, in place.

    The output function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
    """
    numbers ^= numbers >> np.uint64(30)
    numbers *= np.uint64(0xBF58476D1CE4E5B9)
    numbers ^= numbers >> np.uint64(27)
    numbers *= np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers


class Draws:
    """Random numbers for the images of a batch, a row an image.

        number = mix(key + (i + 1) · step)        key = mix(… mix(mix(seed) + epoch) + position …) + call)

    Number i of a row depends on (seed, epoch, position, call, i) alone: an image gets the same numbers in any batch,
    in any company, whoever asks first. Each call of a method is the next `call`, counted from 0, so the same calls in
    the same order give the same numbers.

    Args:
        seed: Of the run, a whole number from 0.
        epoch: Its epoch.
        positions: (n,), which images of the data set these are.

    Raises:
        ArgumentError: A seed or an epoch that is no whole number from 0.
    """

    def __init__(self, seed: int, epoch: int, positions: ArrayLike) -> None:
        seed = arguments.whole("Draws", "seed", seed, 0, long=True)
        epoch = arguments.whole("Draws", "epoch", epoch, 0, long=True)
        self._keys = np.zeros(len(np.asarray(positions)), np.uint64)  # (n,)
        while True:  # all of a seed counts, also of one that is longer than 64 bits
            self._absorb(seed & WORD)
            seed >>= 64
            if not seed:
                break
        self._absorb(int(epoch) & WORD)
        self._absorb(np.asarray(positions).astype(np.uint64))
        self._calls = 0

    def __len__(self) -> int:
        """The number of images."""
        return len(self._keys)

    def uniform(self, low: Numbers = 0.0, high: Numbers = 1.0, size: int | tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Numbers from [low, high), (n, *size), float64.

        Args:
            low: A number, or an array that broadcasts to (n, *size).
            high: Likewise.
            size: How many numbers for each image, in what shape.
        """
        numbers = self._unit(size)
        low = np.asarray(low, np.float64)
        numbers *= np.asarray(high, np.float64) - low
        numbers += low
        return numbers

    def integers(self, low: Numbers, high: Numbers, size: int | tuple[int, ...] = ()) -> NDArray[np.int64]:
        """Whole numbers from low to high − 1, (n, *size), int64; each as likely as the others, to 1 in 2³².

        Args:
            low: A whole number, or an array that broadcasts to (n, *size).
            high: Likewise, above `low` by at most 2³².

        Raises:
            ArgumentError: A range without any number, or one too large.
        """
        low = np.asarray(low, np.int64)
        span = np.asarray(high, np.int64) - low
        if (span < 1).any() or (span > 1 << 32).any():
            raise ArgumentError(
                f"Draws: integers needs 1 to 2³² numbers to draw from, got {span.min()} to {span.max()}."
            )
        words = self._words(size)
        words >>= np.uint64(32)
        words *= span.astype(np.uint64)  # the product's upper half is even over the range (Lemire 2019)
        words >>= np.uint64(32)
        return np.asarray(words.astype(np.int64) + low)

    def normal(self, size: int | tuple[int, ...] = ()) -> NDArray[np.float64]:
        """Numbers from the normal distribution of mean 0 and deviation 1, (n, *size), float64.

        √(−2 ln(1 − u)) · cos(2π v)        u, v uniform (Box and Muller 1958)
        """
        shape = (size,) if isinstance(size, int) else tuple(size)
        u, v = np.moveaxis(self._unit((2, *shape)), 1, 0)
        radius = np.sqrt(-2 * np.log1p(-u))
        return np.asarray(radius * np.cos(2 * math.pi * v))

    def bernoulli(self, p: Numbers, size: int | tuple[int, ...] = ()) -> NDArray[np.bool_]:
        """True with probability p, (n, *size); never for 0, always for 1."""
        return np.asarray(self._unit(size) < p)

    def _unit(self, size: int | tuple[int, ...]) -> NDArray[np.float64]:
        """Uniform numbers from [0, 1): the upper 53 bits, as many as a float64 has."""
        words = self._words(size)
        words >>= np.uint64(11)
        return np.asarray(words * 2.0**-53)

    def _words(self, size: int | tuple[int, ...]) -> Counters:
        """The next call's numbers of 64 bits, (n, *size)."""
        shape = (size,) if isinstance(size, int) else tuple(size)
        keys = mix(self._keys + np.uint64((self._calls * STEP + 1) & WORD))  # a stream of its own for each call
        self._calls += 1
        offsets = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(STEP)
        return mix(keys[:, None] + offsets).reshape(len(keys), *shape)

    def _absorb(self, number: int | Counters) -> None:
        """Make the keys depend on one more part of the address."""
        self._keys += np.uint64(number) if isinstance(number, int) else number
        self._keys += np.uint64(STEP)
        mix(self._keys)
