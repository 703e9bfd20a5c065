"""Threads that wait for work, how many there may be, and BLAS held to one of its own meanwhile."""

from __future__ import annotations

import _thread
import os
import queue
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from . import arguments, blas
from .errors import ArgumentError
from .turns import Turns, receive, unforked


class Job:
    """Work that the caller's thread shares with others, each with a number of its own; the caller's is 0.

    Whoever comes to help takes a number, and answers when he is done. All of this belongs to the job: a caller who is
    interrupted leaves it behind, and what becomes of it then touches no other.

    Args:
        work: Called with the number of a worker, until there is nothing left to do.
        workers: How many there may be.
    """

    def __init__(self, work: Callable[[int], None], workers: int) -> None:
        self._work = work
        self._begun = workers - 1  # how many will answer
        # The caller's context goes along: it holds what NumPy is to do about overflows, which is nothing.
        self._free = deque((worker, copy_context()) for worker in range(1, workers))
        self._answers: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def help(self) -> None:
        """Take part, if a number is left."""
        try:
            worker, context = self._free.popleft()
        except IndexError:  # the caller is done
            return
        try:
            context.run(self._work, worker)
        except BaseException as error:
            self._answers.put(error)
        else:
            self._answers.put(None)

    def finish(self) -> None:
        """Do the caller's part, and wait for those who have begun theirs; the first error is raised here.

        An interrupt is raised at once.
        """
        process = os.getpid()
        errors: list[BaseException | None] = []
        try:
            self._work(0)
        except Exception as error:
            errors.append(error)
        with suppress(IndexError):
            while True:  # who has not begun need not
                self._free.pop()
                self._begun -= 1
        errors += [receive(self._answers, process) for _ in range(self._begun)]
        for first in filter(None, errors):
            raise first


class Workers:
    """Threads that wait for jobs. The caller's own thread is the first worker, so one worker needs no thread at all.

    BLAS is held to one thread a worker while they run, and given back what it had afterwards.
    """

    def __init__(self) -> None:
        self._count: int | None = None
        self._turns = Turns()
        self._before: list[int] | None = None  # how many threads BLAS had, while it is held
        self._start_over()
        os.register_at_fork(after_in_child=self._start_over)

    def _start_over(self) -> None:
        """Begin without threads: a forked child has none but the one that forked."""
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._threads = 0
        self._holders: set[object] = set()

    @property
    def count(self) -> int:
        """How many workers there may be."""
        if self._count is None:
            self._count = _default_threads()
        return self._count

    @count.setter
    def count(self, count: int) -> None:
        self._count = count

    def hold(self, work: Callable[..., None], *arguments: Any) -> None:
        """Call `work(*arguments)` while BLAS is held to one thread."""
        holder = object()
        try:
            try:
                self._turns.take(self._hold, holder)
                work(*arguments)
            finally:
                self._turns.take(self._let_go, holder)
        except BaseException:  # as in `Turns`: an interrupt may have come just before
            self._turns.take(self._let_go, holder)
            raise

    def _hold(self, holder: object) -> None:
        if self._before is None:
            self._before = [library.get() for library in blas.threads()]
        if not self._holders:  # also in a child that was forked just before, or after, BLAS was held
            self._set_blas_threads([1] * len(self._before))
        self._holders.add(holder)

    def _let_go(self, holder: object) -> None:
        self._holders.discard(holder)
        if self._before is not None and not self._holders:
            self._set_blas_threads(self._before)
            self._before = None

    @staticmethod
    def _set_blas_threads(counts: Sequence[int]) -> None:
        for library, count in zip(blas.threads(), counts, strict=True):
            unforked(library.set, count)  # it takes a lock of the library's

    def run(self, work: Callable[[int], None], workers: int) -> None:
        """Call `work(worker)` on up to so many workers at once, and wait; the first error is raised here.

        Who comes when all is done is not waited for. An interrupt does not wait at all: the others may then go on for
        a while, and what they write to is not to be used again.
        """
        while self._threads < workers - 1:
            # Begun without `threading`: an interrupt within that may leave a lock of all threads held.
            _thread.start_new_thread(_serve, (self._jobs,))
            self._threads += 1
        job = Job(work, workers)
        for _ in range(1, workers):
            self._jobs.put(job)
        job.finish()

    def each(self, work: Callable[[int, int], None], count: int, workers: int) -> None:
        """Call `work(worker, number)` once for each number below `count`, on up to so many workers, as in `run`."""
        if min(count, workers) <= 1:
            for number in range(count):
                work(0, number)
            return
        # None is taken twice, in a Python without the interpreter's lock either: there, an iterator is not safe.
        numbers = deque(range(count))

        def take(worker: int) -> None:
            while True:
                try:
                    number = numbers.popleft()
                except IndexError:  # all are taken
                    return
                work(worker, number)

        try:
            self.run(take, min(count, workers))
        except BaseException:
            numbers.clear()  # what is left of a pass that failed need not be done
            raise


def _serve(jobs: queue.SimpleQueue[Job]) -> None:
    """What a thread does all its life."""
    process = os.getpid()
    while True:
        job = jobs.get()
        job.help()
        del job  # it is not kept in memory until the next comes
        if os.getpid() != process:
            os._exit(1)  # the work has forked, and in the child there is nobody to go on for


def _default_threads() -> int:
    setting = os.environ.get("COLONNADE_THREADS")
    if setting is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not setting.isdecimal() or int(setting) < 1:
        raise ArgumentError(f"COLONNADE_THREADS must be a positive whole number, got {setting!r}.")
    return int(setting)


WORKERS = Workers()


def spread(work: Callable[[int], None], count: int) -> None:
    """Call `work(number)` once for each number below `count`, on as many threads as compute, and wait."""
    WORKERS.each(lambda _, number: work(number), count, WORKERS.count)


def set_threads(threads: int) -> None:
    """Set how many threads compute; also the environment variable COLONNADE_THREADS.

    The default is the number of cores this process may use. Results are the same bits for any number.

    Raises:
        ArgumentError: Less than one.
    """
    WORKERS.count = arguments.whole("set_threads", "threads", threads, 1)


def get_threads() -> int:
    """How many threads compute."""
    return WORKERS.count
