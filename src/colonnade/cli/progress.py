"""What a person sees while a command works, apart from the training, which shows itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console

Item = TypeVar("Item")


class CompilingLine:
    """A line on standard error that says what is compiled, for as long as it is; on a terminal alone.

    It is what :func:`colonnade.compiled.heard_by` takes.
    """

    def __call__(self, function: str | None, count: int) -> None:
        """Draw it, or with None take it away."""
        if (console := Console(stderr=True)).is_terminal:
            from ..training.progress import compiling

            sys.stderr.write("\r\x1b[K" + ("" if function is None else compiling(count, console.width - 1)))
            sys.stderr.flush()


def counted(items: Iterable[Item], total: int, what: str, shown: bool) -> Iterator[Item]:
    """Items, one after the other, with a bar on standard error that says how many there have been.

    Args:
        items: Are handed on.
        total: How many there will be.
        what: They are called, in the plural.
        shown: Whether there is a bar at all; there is none where there is no terminal.
    """
    console = Console(stderr=True, highlight=False, markup=False)
    if not shown or not console.is_terminal:
        yield from items
        return
    from ..training.progress import bars, fitting, room

    with bars(console) as drawn:
        started = time.perf_counter()
        task = drawn.add_task(what, total=total, numbers="")
        for done, item in enumerate(items, 1):
            speed = done / (time.perf_counter() - started)
            parts = [(0, f"{done:,} of {total:,}"), (1, f"{speed:,.0f} {what}/s")]
            drawn.update(task, completed=done, numbers=fitting(parts, room(console, what)))
            yield item
