"""What threads wait for: a turn, an answer. Neither keeps anyone waiting for good, whatever interrupts or forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .errors import StateError

Result = TypeVar("Result")


class Turns:
    """Calls that wait for one another, as behind a lock.

    A KeyboardInterrupt can come between any two operations of the main thread, also where a `with` has just taken a
    lock, or is about to give it back. The lock would then be held for good. Here it is given back twice, and an
    interrupt can spare it only one of them. A forked process begins with a lock of its own: that of its parent may be
    held by a thread that it does not have.
    """

    def __init__(self) -> None:
        self._locks: dict[int, Any] = {}  # by process

    def take(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """What `work(*arguments)` returns, called when nobody else is within such a call."""
        process = os.getpid()
        lock = self._locks.get(process) or self._locks.setdefault(process, threading.RLock())
        try:
            try:
                lock.acquire()
                return work(*arguments)
            finally:
                _release(lock)
        except BaseException:
            _release(lock)
            raise


def receive(answers: SimpleQueue[Result], process: int) -> Result:
    """The next answer of a thread.

    Args:
        answers: Where it is put.
        process: In which it was asked for.

    Raises:
        StateError: In a child of that process, which has not got the thread.
    """
    while True:
        try:
            return answers.get(timeout=1)
        except Empty:
            if os.getpid() != process:
                raise StateError("The process was forked while its threads were at work: the child has none.") from None


def _release(lock: Any) -> None:
    with suppress(RuntimeError):  # this thread may not hold it: it was given back already, or never taken
        lock.release()
