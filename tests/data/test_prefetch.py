"""Work done ahead."""

import _thread
import os
import threading
from contextlib import closing

import pytest

from colonnade.data.prefetch import prefetch
from colonnade.errors import StateError
from tests.interrupting import interrupted, operations, threads_come_back_to


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 3, 50])
def test_results_come_in_the_order_of_the_items(workers, items):
    assert list(prefetch(lambda n: n * n, range(items), workers, ahead=3)) == [n * n for n in range(items)]


def test_without_workers_nothing_is_done_before_it_is_asked_for():
    done = []
    results = prefetch(done.append, range(5), workers=0)
    assert done == []
    next(results)
    assert done == [0]


def test_no_more_is_begun_than_was_allowed():
    begun = []
    with closing(prefetch(lambda n: begun.append(n) or n, range(100), workers=1, ahead=3)) as results:
        assert [next(results) for _ in range(10)] == list(range(10))
    assert len(begun) <= 13
    assert begun == list(range(len(begun)))


def test_results_are_made_while_the_caller_is_busy():
    made = threading.Event()
    with closing(prefetch(lambda n: made.set() if n == 1 else None, range(3), workers=1, ahead=1)) as results:
        next(results)
        assert made.wait(30)


def test_error_is_raised_where_its_result_was_due_and_ends_the_threads():
    def work(number):
        if number == 3:
            raise KeyError(number)
        return number

    before = _thread._count()
    results = prefetch(work, range(10), workers=2, ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(results)
    assert threads_come_back_to(before)


def test_closing_early_ends_the_threads():
    before = _thread._count()
    results = prefetch(lambda n: n, range(1000), workers=3)
    next(results)
    results.close()
    assert threads_come_back_to(before)


def test_an_interrupt_anywhere_leaves_no_thread_behind():
    before = _thread._count()

    def work():
        with closing(prefetch(lambda n: n, range(5), workers=2, ahead=2)) as results:
            assert list(results) == list(range(5))

    for number in range(0, operations(work), 3):
        assert interrupted(work, number)
        assert threads_come_back_to(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_told_that_it_has_no_threads_and_may_begin_anew():
    started, go_on = threading.Event(), threading.Event()

    def work(number):
        if os.getpid() == parent and number:
            started.set()
            go_on.wait(60)
        return number

    parent = os.getpid()
    with closing(prefetch(work, range(3), workers=2)) as results:
        assert next(results) == 0
        started.wait(60)
        child = os.fork()
        if child == 0:
            try:
                next(results)
            except StateError as error:
                anew = list(prefetch(work, range(9), workers=2)) == list(range(9))
                os._exit(0 if anew and "the child has none" in str(error) else 1)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        go_on.set()
        assert list(results) == [1, 2]
