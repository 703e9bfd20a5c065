"""Work done ahead by threads: the only ones beside the executor's."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from ..turns import receive

Item = TypeVar("Item")
Result = TypeVar("Result")


def default_workers() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int, ahead: int = 0
) -> Generator[Result, None, None]:
    """`map(function, items)` with the next results in the making while the caller is busy with one.

    The order is that of the items, whoever is done first. What `function` raises is raised where its result was due.
    Closing the iterator waits for what is under way, and begins nothing more.

    Args:
        function: Called in several threads at once, if there are several workers.
        items: What it is called with.
        workers: How many threads; with none, nothing is done before it is asked for.
        ahead: How many results may be finished or under way before they are asked for; at least one a worker.
    """
    if not workers:
        yield from map(function, items)
        return
    import _thread  # data in memory need no thread
    from collections import deque
    from contextlib import suppress
    from itertools import islice
    from queue import Empty, SimpleQueue

    remaining, process, begun = iter(items), os.getpid(), 0
    asked: SimpleQueue[Any] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()
    due: deque[SimpleQueue[tuple[Any, BaseException | None]]] = deque()
    # With the caller his threads end, also where an interrupt spares him the lines below.
    caller = _Caller()
    end = weakref.ref(caller, asked.put)

    def ask(count: int) -> None:
        nonlocal begun
        for item in islice(remaining, count):
            # Nothing here is made of Python's own locks: an interrupt within one may leave it held for good.
            answer: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
            asked.put((item, answer))
            due.append(answer)
            if begun < workers:
                _thread.start_new_thread(_serve, (function, asked, ended, end))
                begun += 1

    try:
        ask(max(workers, ahead))
        while due:
            result, error = receive(due.popleft(), process)
            if error is not None:
                raise error
            ask(1)
            yield result
    finally:
        with suppress(Empty):
            while True:
                asked.get_nowait()
        del caller
        if os.getpid() == process:
            for _ in range(begun):
                ended.get()


class _Caller:
    """Stands for the caller: `weakref` tells when he is gone."""

    __slots__ = ("__weakref__",)


def _serve(function: Callable[[Any], Any], asked: Any, ended: Any, end: Any) -> None:
    while (order := asked.get()) is not end:
        item, answer = order
        try:
            answer.put((function(item), None))
        except BaseException as error:
            answer.put((None, error))
        del order, item, answer  # nothing is kept in memory while there is nothing to do
    asked.put(end)  # for the next
    ended.put(None)
