"""One call at a time, whatever interrupts it and whoever forks."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from colonnade.errors import StateError
from colonnade.turns import Turns, receive
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
