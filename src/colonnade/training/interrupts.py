"""Ctrl-C, held back while something must not be torn in two."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class Interrupts:
    """What came while interrupts were held back.

    Attributes:
        waiting: Whether one is waiting for the end of the block.
        forced: Whether a second one has torn the block in two.
    """

    def __init__(self) -> None:
        self.waiting = False
        self.forced = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold back a Ctrl-C to the end of the block; a second one is not held back.

        Only where Python's own handler is in place, and in the main thread, where alone interrupts arrive.
        """
        import signal

        main = threading.current_thread() is threading.main_thread()
        if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            yield
            return
        self.waiting = False

        def hold(number: int, frame: FrameType | None) -> None:
            if self.waiting:
                self.forced = True
                signal.default_int_handler(number, frame)
            self.waiting = True

        signal.signal(signal.SIGINT, hold)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.waiting:
            raise KeyboardInterrupt
