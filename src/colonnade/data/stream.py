"""Batches that a function makes while the model learns: data without an end, or without positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, DataError, ShapeError
from ..ops.layout import Array


class Stream:
    """Batches from a generator, for data that are made, or read in their own order: one batch at a time in memory.

        def make(epoch):
            rng = np.random.default_rng([seed, epoch])
            while True:
                yield rng.random((64, 1, 28, 28), np.float32), rng.integers(0, 10, 64)

        stream = Stream(make, steps=100, shape=(1, 28, 28))

    Where images can be reached by their position, write the four members of `Examples` instead: they can then be
    shuffled, and a resumed run need not make again what it has seen.

    Args:
        make: Called with the epoch's number, from 1; returns an iterable of batches (x, targets). For a resumed run
            to be the run that was never stopped, it must make the same batches for the same epoch.
        steps: Batches in an epoch. More are not asked for.
        shape: Of one image, (c, h, w).

    Raises:
        ArgumentError: `make` is no function, or steps or shape are no positive whole numbers.
    """

    def __init__(
        self, make: Callable[[int], Iterable[tuple[ArrayLike, ArrayLike]]], steps: int, shape: tuple[int, ...]
    ) -> None:
        if not callable(make):
            raise ArgumentError(f"Stream: make must be a function of the epoch's number, got {type(make).__name__}.")
        self.steps: int = arguments.whole("Stream", "steps", steps, 1)
        self.shape: tuple[int, ...] = arguments.wholes("Stream", "shape", shape)
        if not shape or min(self.shape) < 1:
            raise ArgumentError(f"Stream: shape must be positive whole numbers, (c, h, w), got {shape!r}.")
        self.make: Callable[[int], Iterable[tuple[ArrayLike, ArrayLike]]] = make

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of an epoch from step `start` on; those before are made and thrown away.

        Raises:
            ArgumentError: Something else than pairs of images and targets.
            ShapeError: Images of another shape, or targets of another number than the images.
            DataError: The iterable ended before its time.
        """
        step = 0
        for batch in self.make(epoch):
            step += 1
            if step > start:
                yield self._checked(batch, f"Stream: epoch {epoch}, step {step}")
            if step == self.steps:
                return
        raise DataError(f"Stream: expected {self.steps} batches in epoch {epoch}, got {step}.")

    def _checked(self, batch: tuple[ArrayLike, ArrayLike], who: str) -> tuple[Array, Array]:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            raise ArgumentError(f"{who}: expected a batch (x, targets), got {type(batch).__name__}.")
        x, targets = np.asarray(batch[0]), np.asarray(batch[1])
        if x.shape[1:] != self.shape or not len(x):
            shape = ", ".join(map(str, self.shape))
            raise ShapeError(f"{who}: expected images of shape (n, {shape}), got {x.shape}.")
        if not targets.ndim or len(targets) != len(x):
            raise ShapeError(f"{who}: expected a target for each of {len(x)} images, got shape {targets.shape}.")
        return x, targets.astype(np.int64) if targets.ndim == 1 and targets.dtype.kind in "ui" else targets

    def __repr__(self) -> str:
        return f"Stream({self.steps} batches of images of {'×'.join(map(str, self.shape))})"
