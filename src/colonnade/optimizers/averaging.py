"""A running mean of the weights, which often does better than the last of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from .. import arguments
from ..errors import ArgumentError, ShapeError
from ..ops.layout import Array
from ..tensor import Parameter, contiguous_runs
from .base import CHUNK


class ExponentialMovingAverage:
    """a ← decay · a + (1 − decay) · value, after every step; the first takes the values as they are.

    The model learns as before. For as long as the average is wanted, it stands in the parameters' place::

        average = ExponentialMovingAverage(model.parameters(), decay=0.999)
        for x, y in batches:
            ...
            optimizer.step()
            average.update()
        with average.applied():
            model.evaluate(x, y)

    Running statistics of normalisations are no parameters, and stay as they are.

    Args:
        params: The parameters to average.
        decay: How much of the average is kept, from 0 to 1.

    Raises:
        ArgumentError: No parameters, or a decay outside that range.

    Polyak and Juditsky 1992; the values of torch.optim.swa_utils.get_ema_multi_avg_fn.
    """

    def __init__(self, params: Iterable[Parameter], decay: float = 0.999) -> None:
        self.decay = arguments.number("ExponentialMovingAverage", "decay", decay, 0, 1)
        if isinstance(params, type) or not isinstance(params, Iterable):
            raise ArgumentError(f"ExponentialMovingAverage: expected parameters, got {arguments.shown(params)}.")
        self.parameters = list(params)
        if strange := [each for each in self.parameters if not isinstance(each, Parameter)]:
            raise ArgumentError(
                f"ExponentialMovingAverage: expected parameters, got a {type(strange[0]).__name__} in them."
            )
        if not self.parameters:
            raise ArgumentError("ExponentialMovingAverage: expected parameters to average, got an empty list.")
        dtypes = {buffer.value.dtype for buffer, _ in contiguous_runs(self.parameters)}
        if len(dtypes) > 1:
            raise ArgumentError(
                f"ExponentialMovingAverage: parameters must be of one type, got {sorted(map(str, dtypes))}."
            )
        size = sum(parameter.size for parameter in self.parameters)
        self.updates = 0
        self.average: Array = np.empty(size, dtypes.pop())  # (size,)
        self._scratch: Array = np.empty(min(size, CHUNK), self.average.dtype)
        for values, average, _ in self._chunks():
            np.copyto(average, values)

    def update(self) -> None:
        """Take the parameters' present values into the average."""
        for values, average, difference in self._chunks():
            if self.updates == 0:
                np.copyto(average, values)
            else:
                np.subtract(values, average, out=difference)
                difference *= 1 - self.decay
                average += difference
        self.updates += 1

    def swap(self) -> None:
        """Exchange the average and the parameters' values."""
        self._count_change()  # before, since an interrupt may come in between, and after, since a call may
        for values, average, held in self._chunks():
            np.copyto(held, values)
            np.copyto(values, average)
            np.copyto(average, held)
        self._count_change()

    def _count_change(self) -> None:
        for buffer, _ in contiguous_runs(self.parameters):
            buffer.version += 1

    def _chunks(self) -> Iterator[tuple[Array, Array, Array]]:
        """The values and their averages piece by piece, with scratch of that size: all stays in cache."""
        position = 0
        for buffer, run in contiguous_runs(self.parameters):
            for start in range(run.start, run.stop, CHUNK):
                size = min(CHUNK, run.stop - start)
                average = self.average[position : position + size]
                yield buffer.value[start : start + size], average, self._scratch[:size]
                position += size

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The average in the parameters' place, until the block ends."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def state_dict(self) -> dict[str, Array]:
        """A copy of the average, and how many values it has taken in."""
        return {"updates": np.array(self.updates, np.int64), "average": self.average.copy()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on from where `state_dict` was called.

        Raises:
            ArgumentError: The state of something else.
            ShapeError: An average of other parameters.
        """
        if set(state) != {"updates", "average"}:
            raise ArgumentError(
                f"ExponentialMovingAverage: the state must hold ['average', 'updates'], got {sorted(state)}."
            )
        if np.shape(state["average"]) != self.average.shape:
            raise ShapeError(
                f"ExponentialMovingAverage: average must have the shape {self.average.shape}, "
                f"got {np.shape(state['average'])}."
            )
        self.updates = int(state["updates"])
        self.average[...] = state["average"]
