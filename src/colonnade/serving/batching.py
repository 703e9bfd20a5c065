"""Requests of many clients, gathered so that a model runs them together."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..errors import ColonnadeError
from ..ops.layout import Array
from ..tensor import Shape
from .settings import Settings

Run = Callable[[tuple[Array, ...]], tuple[Array, ...]]
Observe = Callable[[int, float], None]

# The share of a batch that has to be filled for the rest to be filled up; with less, half of it runs, and others wait.
FILLED = 0.75
# Of the mean of seconds per image: how much of it the newest batch is.
NEWEST = 0.2


class BusyError(ColonnadeError):
    """More waits for a model than may; `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(slots=True)
class Job:
    """A request: some images, and who waits for them."""

    inputs: tuple[Array, ...]  # (n, ...) each
    answer: asyncio.Future[tuple[Array, ...]]
    arrived: float

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.inputs[0])

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Of an image of each input."""
        return tuple(each.shape[1:] for each in self.inputs)


class Batcher:
    """A queue before a model: what waits when the model becomes free runs together.

    A free model waits for as many images as ran the last time, but not longer than `max_wait`: a client alone is
    answered at once, and of many that ask again as soon as they are answered all come together. Batches have the sizes
    1, 2, 4, ... up to `max_batch`, so that the model keeps a plan for each; a batch that is nearly full is filled up.

    Args:
        run: Computes a batch; called in a thread of `pool`.
        settings: `max_batch`, `max_wait` and `max_waiting`.
        pool: Where it runs.
        observe: Is told of each batch: its images, and the seconds that it took.
        together: Whether images of different requests may run together. They may not where a layer looks at the whole
            batch, since an answer would depend on who else has asked.
    """

    def __init__(
        self, run: Run, settings: Settings, pool: Executor, observe: Observe = lambda *_: None, together: bool = True
    ) -> None:
        self.run = run
        self.together = together
        self.waiting = 0  # images
        self._settings, self._pool, self._observe = settings, pool, observe
        self._jobs: deque[Job] = deque()
        self._came = asyncio.Event()
        self._expected = 1  # images that will soon be there
        self._seconds = 0.0  # for an image
        self._closing = False
        self._task = asyncio.ensure_future(self._serve())

    async def submit(self, inputs: tuple[Array, ...]) -> tuple[Array, ...]:
        """The outputs for some images. Whoever is cancelled while they wait has given them up: they are not computed.

        Raises:
            BusyError: Too many wait already.
        """
        images = len(inputs[0])
        if self._closing:
            raise BusyError("The server is shutting down.", 1)
        if self.waiting and self.waiting + images > self._settings.max_waiting:
            seconds = max(1, math.ceil(self.waiting * self._seconds))
            raise BusyError(f"{self.waiting:,} images wait already; try again in {seconds} s.", seconds)
        job = Job(inputs, asyncio.get_running_loop().create_future(), perf_counter())
        self._jobs.append(job)
        self.waiting += images
        self._came.set()
        try:
            return await job.answer
        finally:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        """Take a job that nobody waits for any more out of the queue, if it is there."""
        with suppress(ValueError):
            self._jobs.remove(job)
            self.waiting -= job.images

    async def close(self) -> None:
        """Answer what waits, and end."""
        self._closing = True
        self._came.set()
        await self._task

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._jobs or not self._closing:
            await self._gather()
            jobs = self._take()
            if not jobs:
                continue
            start = perf_counter()
            answers = await loop.run_in_executor(self._pool, self._compute, jobs)
            images = sum(job.images for job in jobs)
            self._expected = images + self.waiting
            seconds = perf_counter() - start
            self._seconds += NEWEST * (seconds / images - self._seconds) if self._seconds else seconds / images
            self._observe(images, seconds)
            for job, answer in zip(jobs, answers, strict=True):
                if job.answer.done():  # given up
                    continue
                if isinstance(answer, Exception):
                    job.answer.set_exception(answer)
                else:
                    job.answer.set_result(answer)

    async def _gather(self) -> None:
        """Wait for a job, and then a little for others."""
        while not self._jobs and not self._closing:
            self._came.clear()
            await self._came.wait()
        wanted = min(self._expected, self._settings.max_batch)
        while self.together and self._jobs and self.waiting < wanted and not self._closing:
            left = self._settings.max_wait - (perf_counter() - self._jobs[0].arrived)
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), max(left, 0))
            except TimeoutError:
                return

    def _take(self) -> list[Job]:
        """The jobs that run next: the oldest, and of the others those of the same shape, as far as there is room."""
        jobs: list[Job] = []
        images = 0
        most = self._settings.max_batch if self.together else 0
        for job in self._jobs:
            if jobs and images + job.images > most:
                break
            if not jobs or job.shapes == jobs[0].shapes:
                jobs.append(job)
                images += job.images
        full = _size(images, most)
        if images < FILLED * full:
            while len(jobs) > 1 and images > full // 2:
                images -= jobs.pop().images
        for job in jobs:
            self._forget(job)
        return jobs

    def _compute(self, jobs: Sequence[Job]) -> list[tuple[Array, ...] | Exception]:
        """The outputs for each of some jobs, or what went wrong with it."""
        try:
            return [*self._outputs(jobs)]
        except Exception as error:  # theirs to hear, whatever it is
            if len(jobs) == 1:
                return [error]
        # One of them may be at fault, the others are not.
        return [self._compute([job])[0] for job in jobs]

    def _outputs(self, jobs: Sequence[Job]) -> list[tuple[Array, ...]]:
        if not self.together:
            return [self.run(jobs[0].inputs)]
        columns = _joined([job.inputs for job in jobs])
        most = self._settings.max_batch
        parts = [
            self._padded(tuple(each[start : start + most] for each in columns))
            for start in range(0, len(columns[0]), most)
        ]
        outputs = _joined(parts)
        ends = np.cumsum([job.images for job in jobs]).tolist()
        return [
            tuple(output[end - job.images : end] for output in outputs) for job, end in zip(jobs, ends, strict=True)
        ]

    def _padded(self, columns: tuple[Array, ...]) -> tuple[Array, ...]:
        """The outputs for a batch, which is filled up to its size with copies of the first image."""
        images = len(columns[0])
        missing = _size(images, self._settings.max_batch) - images
        if missing:
            columns = tuple(np.concatenate([each, np.repeat(each[:1], missing, axis=0)]) for each in columns)
        outputs = self.run(columns)
        return tuple(output[:images] for output in outputs) if missing else outputs


def _joined(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """Of each column, what all parts have."""
    if len(parts) == 1:
        return parts[0]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


def _size(images: int, most: int) -> int:
    """The size of a batch that has room for so many images: a power of two, or `most`; what is more stays as it is."""
    return images if images >= most else min(most, 1 << (images - 1).bit_length())
