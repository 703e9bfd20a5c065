"""What a model of several inputs or outputs is trained on: arrays that go in step.

x[a][k], x[b][k], ... and t[u][k], t[v][k], ... belong together: they are example k
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from ..errors import ArgumentError, DivergenceError
from ..ops.layout import Array
from .batches import Normalization
from .draws import Draws
from .examples import Arrays
from .loader import Augmentation, Batch, Loader
from .pixels import Scale


class Parallel:
    """Examples whose x is one array of each input, and whose targets are one array of each output.

    Where there is one input, or one output, `shape` and `take`, or `targets`, are those of :class:`Arrays`; where
    there are several, they are tuples in the order of the names.

    Args:
        inputs: An array (n, ...) by the name of each input.
        targets: An array (n, ...) by the name of each output; none to predict.
    """

    def __init__(self, inputs: Mapping[str, Array], targets: Mapping[str, Array]) -> None:
        self.x = dict(inputs)
        first = next(iter(self.x.values()))
        wanted = tuple(Arrays(first, each).targets for each in targets.values())
        self._count = len(first)
        self.targets: Any = wanted[0] if len(wanted) == 1 else wanted

    @property
    def shape(self) -> Any:
        """Of one example of each input."""
        shapes = tuple(each.shape[1:] for each in self.x.values())
        return shapes if len(shapes) > 1 else shapes[0]

    def __len__(self) -> int:
        return self._count

    def take(self, positions: Array) -> Any:
        """The examples at these positions, an array of each input."""
        taken = tuple(np.asarray(each[positions]) for each in self.x.values())
        return taken if len(taken) > 1 else taken[0]


class ParallelLoader:
    """The epochs of parallel arrays as batches, in which `x` and `targets` may be tuples.

    Each input has a :class:`Loader`. As their order comes from (seed, epoch) alone, they all go in step; what they
    hand out beside the images are the positions, by which the targets are taken.

    Args:
        examples: The arrays.
        batch_size: Examples in a batch.
        dtype: The model's type.
        normalization: As for `Loader`, for one input alone.
        augmentation: As for `Loader`, for one input alone; it must leave the targets as they are.
        shuffle: See the examples of each epoch in another order.
        seed: Of the order and the augmentation.
        workers: Threads of each input; see `Loader`.
        scale: What the numbers of one input stand for. Of several, bytes are divided by 255, and all else is taken as
            it is.

    Raises:
        ArgumentError: A normalization or an augmentation of several inputs, or one that mixes images.
    """

    def __init__(
        self,
        examples: Parallel,
        batch_size: int,
        *,
        dtype: DTypeLike,
        normalization: Normalization | None = None,
        augmentation: Augmentation | None = None,
        shuffle: bool = True,
        seed: int = 0,
        workers: int | None = None,
        scale: Scale | None = None,
    ) -> None:
        several = len(examples.x) > 1
        for name, value in (("normalization", normalization), ("augmentation", augmentation)):
            if several and value is not None:
                names = ", ".join(examples.x)
                raise ArgumentError(f"Loader: {name} must be None for a model of several inputs ({names}).")
        self.examples = examples
        self.normalization, self.augmentation = normalization, augmentation
        self.scale = None if several else scale
        if augmentation is not None:
            augmentation = _apart(augmentation)
        positions = np.arange(len(examples))
        self._loaders = {
            name: Loader(
                Arrays(each, positions),
                batch_size,
                dtype=dtype,
                normalization=normalization,
                augmentation=augmentation,
                shuffle=shuffle,
                seed=seed,
                workers=workers,
                scale=self.scale,
            )
            for name, each in examples.x.items()
        }
        one = next(iter(self._loaders.values()))
        self.batch_size, self.shuffle, self.seed, self.ahead = one.batch_size, one.shuffle, one.seed, one.ahead
        self.workers = sum(loader.workers for loader in self._loaders.values())

    def __len__(self) -> int:
        """The steps of an epoch."""
        return len(next(iter(self._loaders.values())))

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on; see `Loader.epoch`."""
        targets = self.examples.targets
        with ExitStack() as stack:
            epochs = [
                stack.enter_context(closing(_named(name, loader.epoch(number, start))))  # type: ignore[type-var]
                for name, loader in self._loaders.items()
            ]
            for batches in zip(*epochs, strict=True):
                chosen = batches[0].targets
                x = tuple(batch.x for batch in batches)
                wanted = tuple(each[chosen] for each in targets) if isinstance(targets, tuple) else targets[chosen]
                yield Batch(x if len(x) > 1 else x[0], wanted, sum(batch.waited for batch in batches))


def loader_for(examples: Any) -> Callable[..., Any]:
    """The class that makes batches of these examples."""
    return ParallelLoader if isinstance(examples, Parallel) else Loader


def _named(name: str, batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches of an input, whose faults say which input it is."""
    try:
        yield from batches
    except DivergenceError as error:
        raise DivergenceError(f"input {name!r}: {error}") from None


def _apart(augmentation: Augmentation) -> Augmentation:
    """An augmentation that changes images alone: what several outputs should be where images are mixed, nobody knows.

    Raises:
        ArgumentError: One that mixes images, at once where it is known to, else at the first batch.
    """
    refusal = f"Loader: {type(augmentation).__name__} mixes targets: it must leave them for a model of several outputs."
    if _mixes(augmentation):
        raise ArgumentError(refusal)

    def augmented(x: Array, positions: Array, draws: Draws) -> tuple[Array, Array]:
        answer = augmentation(x, positions, draws)
        if isinstance(answer, tuple) and len(answer) == 2 and not np.array_equal(answer[1], positions):
            raise ArgumentError(refusal)
        return answer

    return augmented if callable(augmentation) and not isinstance(augmentation, type) else augmentation


def _mixes(augmentation: Any) -> bool:
    from .augmentation.mixing import Mixing  # most runs have none

    parts = getattr(augmentation, "transforms", ())
    return isinstance(augmentation, Mixing) or any(map(_mixes, parts if isinstance(parts, list | tuple) else ()))
