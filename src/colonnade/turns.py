"""What threads wait for: a turn, an answer. Neither keeps anyone waiting for good, whatever interrupts or forks."""

from __future__ import annotations

import _thread
import atexit
import logging  # noqa: F401 - a fork takes its lock, and has to wait below before it does: see the end
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NoReturn, TypeVar

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


_undisturbed = threading.RLock()  # held while something is done undisturbed, and while the process forks
_brief = threading.RLock()  # held by `unforked`, and while the process forks
_here = threading.local()


def undisturbed(work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work(*arguments)` returns, called where neither an interrupt nor a fork comes in between.

    To import and to compile takes locks of Python and Numba. An interrupt may leave one held, and a child that is
    forked meanwhile has it held by a thread that it has not got. So a thread of its own does such work, since an
    interrupt comes to the main thread alone; and a fork waits until it is done. There is one at a time. An interrupt
    of the caller is raised at once, and the work goes on to its end.
    """
    if hasattr(_here, "works"):  # undisturbed already
        return work(*arguments)
    answers: SimpleQueue[Callable[[], Result]] = SimpleQueue()

    def answer() -> None:
        with _undisturbed:
            _here.works = True
            try:
                result = work(*arguments)
            except BaseException as error:
                answers.put(partial(_raise, error))
            else:
                answers.put(lambda: result)

    process = os.getpid()
    _thread.start_new_thread(answer, ())
    return receive(answers, process)()


def unforked(work: Callable[..., Result], *arguments: Any) -> Result:
    """What `work(*arguments)` returns, called where no fork comes in between: for calls of microseconds.

    A library that takes a lock of its own meanwhile would have it held for good in the child.
    """
    try:
        try:
            _brief.acquire()
            return work(*arguments)
        finally:
            _release(_brief)
    except BaseException:  # as in `Turns`
        _release(_brief)
        raise


def _raise(error: BaseException) -> NoReturn:
    raise error


def _begin_fork() -> None:
    if not hasattr(_here, "works"):
        _take(_undisturbed)
    _take(_brief)


def _take(lock: Any) -> None:
    while True:
        try:
            lock.acquire()
            return
        except BaseException:  # of a signal: the fork is not called off by it, it would only wait no longer
            continue


def _end_fork() -> None:
    """Let go, in the parent and in the child: in both it is the thread that forked."""
    try:
        _let_go()
    except BaseException:  # as in `Turns`
        _let_go()
        raise


def _let_go() -> None:
    for lock in (_brief,) if hasattr(_here, "works") else (_brief, _undisturbed):
        with suppress(RuntimeError):  # when it is held no more; an interrupt may have had it taken twice
            while True:
                lock.release()


def _wait() -> None:
    with _undisturbed:
        pass


# A process that ends takes Python and LLVM away from under who is still at work.
atexit.register(_wait)
# What is registered last comes first in a fork. `logging` takes its lock there, which an import may need: it was
# registered before.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_begin_fork, after_in_parent=_end_fork, after_in_child=_end_fork)
