"""Ctrl-C, and the signals that ask a process to end: held back while something must not be torn in two."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

# They end a process at once, unless something is done about it. Windows knows only the first.
ENDING = ("SIGTERM", "SIGHUP")


class Ending:
    """What is done when a process is asked to end: SystemExit, with the status that a shell would tell."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise SystemExit(128 + number); a forked child, which has none of the work, ends at once."""
        import signal

        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise SystemExit(128 + number)


@contextmanager
def ending_as_exit() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise SystemExit(143) and (129) in the block, where they would end the process at once.

    So only in the main thread, where alone signals arrive, and where nobody else has taken them.
    """
    import signal

    taken: list[int] = []
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (getattr(signal, name) for name in ENDING if hasattr(signal, name)):
                if signal.getsignal(number) is signal.SIG_DFL:
                    taken.append(number)
                    signal.signal(number, Ending())
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Interrupts:
    """What came while interrupts were held back.

    Attributes:
        waiting: The signal that is waiting for the end of the block, if there is one.
        forced: Whether a second one has torn the block in two.
    """

    def __init__(self) -> None:
        self.waiting: int | None = None
        self.forced = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold back a Ctrl-C, and what `ending_as_exit` takes, to the end of the block; a second one is not held back.

        Only where Python's own handler is in place, or that one, and in the main thread, where alone signals arrive.
        """
        import signal

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        # Ctrl-C comes last, and is given back last: as soon as it is, an interrupt may come anywhere.
        for name in (*ENDING, "SIGINT"):
            number = getattr(signal, name, None)
            handler: Any = None if number is None else signal.getsignal(number)
            if number is not None and (handler is signal.default_int_handler or isinstance(handler, Ending)):
                before[number] = handler
        self.waiting = None

        def hold(number: int, frame: FrameType | None) -> None:
            if self.waiting is not None:
                self.forced = True
                before[number](number, frame)
            self.waiting = number

        try:
            for number in before:
                signal.signal(number, hold)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self.waiting is not None:
            before[self.waiting](self.waiting, None)
