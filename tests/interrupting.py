"""Interrupts between any two operations: what a Ctrl-C may do, at every place where it may come."""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import colonnade

PACKAGE = str(Path(colonnade.__file__).parent)


class _Countdown:
    """Traces the package's own code in this thread, and raises KeyboardInterrupt before its n-th operation."""

    def __init__(self, operations: int) -> None:
        self.left = operations

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "call":
            if not frame.f_code.co_filename.startswith(PACKAGE):
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.left -= 1
            if self.left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self


def _run(work: Callable[[], Any], countdown: _Countdown) -> None:
    before = sys.gettrace()
    sys.settrace(countdown)
    try:
        work()
    finally:
        sys.settrace(before)


def operations(work: Callable[[], Any]) -> int:
    """How many operations of the package's own code the call takes."""
    countdown = _Countdown(sys.maxsize)
    _run(work, countdown)
    return sys.maxsize - countdown.left


def interrupted(work: Callable[[], Any], operation: int) -> bool:
    """Call, with an interrupt before so many operations; whether there was one: not where it took fewer."""
    countdown = _Countdown(operation)
    with suppress(KeyboardInterrupt):  # what it came in may have swallowed it
        _run(work, countdown)
    return countdown.left < 0


def threads_come_back_to(before: int) -> bool:
    """Whether no more threads are left than `_thread._count()` told before; the end of one may take a moment."""
    deadline = time.monotonic() + 30
    while _thread._count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    return _thread._count() <= before
