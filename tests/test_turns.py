"""One call at a time, whatever interrupts it and whoever forks."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from types import FrameType

import pytest

from colonnade import turns
from colonnade.errors import StateError
from colonnade.turns import Turns, receive, undisturbed, unforked
from tests.interrupting import interrupted, operations


def test_calls_wait_for_one_another_and_return_what_they_make() -> None:
    turns = Turns()
    inside: list[int] = []

    def work(number: int) -> int:
        inside.append(number)
        assert len(inside) == 1
        assert inside.pop() == number
        return -number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda number: turns.take(work, number), range(2000))) == [-n for n in range(2000)]


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        turns.take(lambda: 1 / 0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(turns.take, int).result(30) == 0


def test_an_interrupt_between_any_two_operations_leaves_the_turn_to_other_threads() -> None:
    count = operations(lambda: Turns().take(int))
    assert count > 30
    with ThreadPoolExecutor(1) as pool:
        for number in range(count):
            turns = Turns()
            interrupted(lambda turns=turns: turns.take(int), number)
            assert pool.submit(turns.take, int).result(30) == 0, number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_waits_for_nobody_whom_it_has_not_got() -> None:
    turns, within, over = Turns(), threading.Event(), threading.Event()
    thread = threading.Thread(target=turns.take, args=(lambda: within.set() or over.wait(60),))
    thread.start()
    within.wait(60)
    child = os.fork()
    if child == 0:
        try:
            turns.take(int)
            receive(SimpleQueue(), os.getppid())
        except StateError as error:
            os._exit(0 if "forked while its threads were at work" in str(error) else 1)
        os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    over.set()
    thread.join()


def held_until(over: threading.Event) -> threading.Thread:
    """A thread whose work is done undisturbed, and is under way, until the event."""
    within = threading.Event()
    thread = threading.Thread(target=undisturbed, args=(lambda: within.set() or over.wait(60),))
    thread.start()
    assert within.wait(60)
    return thread


def test_undisturbed_work_is_done_by_another_thread_one_at_a_time() -> None:
    inside: list[int] = []
    seen: list[int] = []

    def work(number: int) -> int:
        inside.append(number)
        assert len(inside) == 1
        seen.append(threading.get_ident())
        assert undisturbed(lambda: inside.pop()) == number  # within such work it is simply done
        return -number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(undisturbed, [work] * 200, range(200))) == [-number for number in range(200)]
    assert threading.get_ident() not in seen


def test_what_undisturbed_work_raises_is_raised_to_its_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        undisturbed(lambda: 1 / 0)
    assert undisturbed(int) == 0


def test_an_interrupt_between_any_two_operations_leaves_undisturbed_work_to_others() -> None:
    for number in range(operations(lambda: undisturbed(int))):
        interrupted(lambda: undisturbed(int), number)
        assert undisturbed(lambda: -1) == -1, number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_undisturbed_work_and_the_child_goes_on_to_its_own() -> None:
    over, ended = threading.Event(), threading.Event()
    thread = held_until(over)
    threading.Timer(0.3, lambda: ended.set() or over.set()).start()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if ended.is_set() and undisturbed(int) == 0 else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert undisturbed(int) == 0
    thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_undisturbed_work_may_fork_by_itself() -> None:
    def work() -> int:
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(undisturbed(int))
        return os.waitpid(child, 0)[1]

    assert undisturbed(work) == 0
    assert undisturbed(int) == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_an_interrupt_of_a_fork_has_it_neither_wait_less_nor_hold_longer() -> None:
    over, came = threading.Event(), []
    thread = held_until(over)

    def handle(number: int, frame: FrameType | None) -> None:
        if frame is not None and frame.f_code.co_filename == turns.__file__:
            came.append(frame.f_code.co_name)
            raise KeyboardInterrupt

    def interrupt() -> None:
        while len(came) < 20:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.002)
        over.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        threading.Thread(target=interrupt).start()
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(0 if over.is_set() and undisturbed(int) == 0 else 1)
        assert os.waitpid(child, 0)[1] == 0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(undisturbed, int).result(30) == 0
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        thread.join()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_a_call_that_none_may_come_into() -> None:
    within, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=unforked, args=(lambda: within.set() or over.wait(60),))
    thread.start()
    within.wait(60)
    threading.Timer(0.2, over.set).start()
    child = os.fork()
    if not child:  # it finds the lock free, and the call over
        os._exit(0 if over.is_set() and unforked(lambda: 7) == 7 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    thread.join()


def test_an_interrupt_between_any_two_operations_leaves_calls_without_forks_to_others() -> None:
    count = operations(lambda: unforked(int))
    with ThreadPoolExecutor(1) as pool:
        for number in range(count):
            interrupted(lambda: unforked(int), number)
            assert pool.submit(unforked, int).result(30) == 0, number
