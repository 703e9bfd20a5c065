"""Work done ahead by threads: the only ones beside the executor's."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

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
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor  # dear to import, and data in memory need no thread
    from itertools import islice

    remaining = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="colonnade-data") as pool:
        under_way = deque(pool.submit(function, item) for item in islice(remaining, max(workers, ahead)))
        try:
            while under_way:
                result = under_way.popleft().result()
                under_way.extend(pool.submit(function, item) for item in islice(remaining, 1))
                yield result
        finally:
            for future in under_way:
                future.cancel()
