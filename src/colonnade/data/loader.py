"""The batches that a model is fed, made ready ahead of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .. import arguments
from ..errors import ArgumentError
from ..ops.layout import Array, channels_first, channels_last
from .batches import Batches, Conversion, Normalization, cut, order, require_finite
from .draws import Draws
from .examples import Arrays, Examples
from .pixels import Scale
from .prefetch import default_workers, prefetch
from .stream import Stream

Augmentation = Callable[[Array, Array, Draws], tuple[Array, Array]]


class Batch(NamedTuple):
    """What a step is taken on.

    Attributes:
        x: (n, c, h, w), numbers of the model's type; valid until the next batch is asked for. A tuple of arrays where
            a model has several inputs.
        targets: (n, ...); a tuple where it has several outputs.
        waited: Seconds that the caller waited for it.
    """

    x: Any
    targets: Any
    waited: float

    @property
    def images(self) -> int:
        """n."""
        return len(self.x[0] if isinstance(self.x, tuple) else self.x)

    def part(self, start: int, stop: int) -> tuple[Any, Any]:
        """x and targets of some of its images."""
        x, targets = (
            tuple(each[start:stop] for each in all_) if isinstance(all_, tuple) else all_[start:stop]
            for all_ in (self.x, self.targets)
        )
        return x, targets


class Loader:
    """The epochs of a data set as batches: gathered, augmented, normalised.

        x = (augmentation(pixels) − mean) / std        pixels = bytes / 255, or the numbers as they are

    The batches are given by (seed, epoch, position) alone, for any number of workers. Arrays in memory, left as they
    are, are taken by the caller's own thread, into memory that is used again: faster than any thread could hand them
    over. All else is made ready by worker threads while the caller is busy with the batch before.

    Args:
        examples: The data set. Of a `Stream` the batches come as they are made: `batch_size` and `shuffle` are not
            asked, and one thread makes them all.
        batch_size: Images in a batch; see `cut` for the last one.
        dtype: The model's type.
        normalization: `mean` and `std` of each channel; None leaves the pixels as they are.
        augmentation: Called with pixels (n, c, h, w), their targets and the `Draws` of these images; returns both,
            the images of the same shape and type.
        shuffle: See the images of each epoch in another order.
        seed: Of the order and the augmentation.
        workers: Threads; none with 0. By default as many as there are cores, or none where they do not pay.
        ahead: Batches that are made ready ahead; at least one a worker.
        scale: What the numbers stand for; by default bytes are divided by 255, and all else is taken as it is.

    Raises:
        ArgumentError: Numbers out of range, no images, or a normalization of wrong length or without spread.
    """

    def __init__(
        self,
        examples: Examples | Stream,
        batch_size: int,
        *,
        dtype: DTypeLike,
        normalization: Normalization | None = None,
        augmentation: Augmentation | None = None,
        shuffle: bool = True,
        seed: int = 0,
        workers: int | None = None,
        ahead: int = 2,
        scale: Scale | None = None,
    ) -> None:
        self.examples = examples
        self.batch_size = batch_size = arguments.whole("Loader", "batch_size", batch_size, 1)
        if augmentation is not None and (isinstance(augmentation, type) or not callable(augmentation)):
            got = arguments.shown(augmentation) + arguments.hint(augmentation)
            raise ArgumentError(f"Loader: augmentation must be one of colonnade.data.augmentation, got {got}.")
        self.augmentation = augmentation
        self.shuffle = arguments.flag("Loader", "shuffle", shuffle)
        self.seed = arguments.whole("Loader", "seed", seed, 0, long=True)
        workers = None if workers is None else arguments.whole("Loader", "workers", workers, 0)
        self.dtype = np.dtype(dtype)
        self.normalization = normalization
        self.ahead = arguments.whole("Loader", "ahead", ahead, 1)
        self.scale = scale
        self._images = len(examples.shape) == 3
        self._slices: list[slice] = []
        self._in_place: Batches | None = None
        if isinstance(examples, Stream):
            self.workers = 1 if workers is None else min(workers, 1)  # a generator is at one place at a time
        else:
            if not len(examples):
                raise ArgumentError("Loader: expected at least one image, got none.")
            self._slices = cut(len(examples), batch_size)
            self.workers = default_workers() if workers is None else workers
            if isinstance(examples, Arrays) and examples.in_memory and augmentation is None:
                unit = None if scale is None else scale.of(examples, examples.x)
                self._in_place = Batches(examples.x, self.dtype, normalization, unit)
                self.workers = 0
        self._conversion(self.dtype, normalization)  # raises where the normalization does not fit

    def __len__(self) -> int:
        """The steps of an epoch."""
        return self.examples.steps if isinstance(self.examples, Stream) else len(self._slices)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on: the very ones that an epoch from its beginning would have.

        Args:
            number: The epoch's number: with the seed, what its order and its augmentation come from.
            start: How many steps of it are done.

        Raises:
            ArgumentError: A step that the epoch does not have, or an augmentation that returns something else.
            DivergenceError: An image that holds NaN or infinity; the message names its position.
            DataError: An image that can't be read.
        """
        number, start = (
            arguments.whole("Loader", name, value, 0) for name, value in (("epoch", number), ("start", start))
        )
        if start > len(self):
            raise ArgumentError(f"Loader: an epoch has {len(self)} steps, got one that starts at {start}.")
        return self._epoch(number, start)

    def _epoch(self, number: int, start: int) -> Iterator[Batch]:
        make = self._from_stream(number, start) if isinstance(self.examples, Stream) else self._from_examples(number)
        with closing(prefetch(make, range(start, len(self)), self.workers, self.ahead)) as batches:
            began = time.perf_counter()
            for x, targets in batches:
                yield Batch(x, targets, time.perf_counter() - began)
                began = time.perf_counter()

    def _from_examples(self, epoch: int) -> Callable[[int], tuple[Array, Array]]:
        """What makes the batch of a step."""
        examples = self.examples
        assert not isinstance(examples, Stream)
        count = len(examples)
        positions = order(count, self.seed, epoch) if self.shuffle else np.arange(count)

        def make(step: int) -> tuple[Array, Array]:
            chosen = positions[self._slices[step]]
            targets = examples.targets[chosen]
            if self._in_place is not None:
                return self._in_place.take(chosen), targets
            return self._prepare(examples.take(chosen), targets, epoch, chosen)

        return make

    def _from_stream(self, epoch: int, start: int) -> Callable[[int], tuple[Array, Array]]:
        """What makes the batch of a step; to be called step by step."""
        assert isinstance(self.examples, Stream)
        batches = self.examples.batches(epoch, start)

        def make(step: int) -> tuple[Array, Array]:
            x, targets = next(batches)
            return self._prepare(x, targets, epoch, (step << 32) + np.arange(len(x)))

        return make

    def _prepare(self, taken: Array, targets: Array, epoch: int, positions: Array) -> tuple[Array, Array]:
        """Images as a model takes them, channels-last in memory, in an array of their own."""
        require_finite(taken, positions)
        laid = self._laid(taken)
        batch = np.empty(laid.shape, self.dtype)
        unit = None if self.scale is None else self.scale.of(self.examples, taken)
        if self.augmentation is None:
            self._conversion(taken.dtype, self.normalization, unit)(laid, batch)
            return self._given(batch), targets
        self._conversion(taken.dtype, None, unit)(laid, batch)
        answer = self.augmentation(self._given(batch), targets, Draws(self.seed, epoch, positions))
        if (
            not isinstance(answer, tuple)
            or len(answer) != 2
            or not all(isinstance(each, np.ndarray) for each in answer)
        ):
            raise ArgumentError(
                f"Loader: the augmentation must return two arrays, images and targets, got {arguments.shown(answer)}."
            )
        augmented, targets = answer
        if augmented.shape != taken.shape or augmented.dtype != self.dtype or len(targets) != len(taken):
            raise ArgumentError(
                f"Loader: the augmentation must return images {taken.shape}, {self.dtype}, and a target for each; "
                f"got {augmented.shape}, {augmented.dtype}, and {len(targets)} targets."
            )
        self._conversion(self.dtype, self.normalization)(self._laid(augmented), batch)
        return self._given(batch), targets

    def _conversion(
        self, source: DTypeLike, normalization: Normalization | None, unit: float | None = None
    ) -> Conversion:
        return Conversion(self.examples.shape, source, self.dtype, normalization, self._images, unit)

    def _laid(self, x: Array) -> Array:
        """A batch in the order in which it is to lie in memory: images channels-last, all else as it is written."""
        return channels_last(x) if self._images else x

    def _given(self, x: Array) -> Array:
        """The other way round."""
        return channels_first(x) if self._images else x
