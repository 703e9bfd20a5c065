"""Requests run together, each gets its own answer, and nobody waits for what nobody wants."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from colonnade.serving.batching import Batcher, BusyError, _size
from colonnade.serving.settings import Settings

from . import servers  # noqa: F401 - skips where serving is not installed


class Model:
    """Doubles, and notes the batches that it sees."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.may = Event()
        self.may.set()

    def __call__(self, inputs):
        self.may.wait(20)
        self.batches.append(len(inputs[0]))
        return (2 * inputs[0],)


def rows(*values: float) -> tuple[np.ndarray]:
    return (np.array(values)[:, None],)


def run(work, **settings):
    """What `work(model, batcher)` returns."""

    async def main():
        model = Model()
        together = settings.pop("together", True)
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(model, Settings(**settings), pool, together=together)
            result = await work(model, batcher)
            await batcher.close()
        return model, result

    with ThreadPoolExecutor(1) as own:  # a browser that is driven in this thread has a loop in it
        return own.submit(asyncio.run, main()).result()


def test_each_gets_its_own_answer():
    async def work(model, batcher):
        model.may.clear()
        tasks = [asyncio.create_task(batcher.submit(rows(*range(k, 2 * k)))) for k in range(1, 8)]
        await asyncio.sleep(0.05)
        model.may.set()
        return [answer[:, 0].tolist() for (answer,) in await asyncio.gather(*tasks)]

    model, answers = run(work)
    assert answers == [[2.0 * v for v in range(k, 2 * k)] for k in range(1, 8)]
    assert len(model.batches) < 7
    assert all(size == _size(size, 64) for size in model.batches)


def test_one_alone_is_answered_at_once():
    async def work(_, batcher):
        return await asyncio.wait_for(batcher.submit(rows(1)), 10)

    model, _ = run(work, max_wait=60)
    assert model.batches == [1]


def test_a_batch_is_no_larger_than_it_may_be():
    async def work(model, batcher):
        model.may.clear()
        tasks = [asyncio.create_task(batcher.submit(rows(v))) for v in range(20)]
        await asyncio.sleep(0.05)
        model.may.set()
        await asyncio.gather(*tasks)

    model, _ = run(work, max_batch=4)
    assert max(model.batches) == 4


def test_images_of_another_shape_wait_for_their_turn():
    async def work(_, batcher):
        shapes = [(1, 2), (1, 3), (1, 2)]
        answers = await asyncio.gather(*(batcher.submit((np.ones(shape),)) for shape in shapes))
        return [answer.shape for (answer,) in answers]

    _, shapes = run(work)
    assert shapes == [(1, 2), (1, 3), (1, 2)]


def test_what_was_given_up_is_not_computed():
    async def work(model, batcher):
        model.may.clear()
        first = asyncio.create_task(batcher.submit(rows(0)))
        await asyncio.sleep(0.05)
        given_up = [asyncio.create_task(batcher.submit(rows(v))) for v in (1, 2)]
        last = asyncio.create_task(batcher.submit(rows(3)))
        await asyncio.sleep(0.05)
        for task in given_up:
            task.cancel()
        await asyncio.gather(*given_up, return_exceptions=True)
        assert batcher.waiting == 1
        model.may.set()
        await asyncio.gather(first, last)

    model, _ = run(work)
    assert sum(model.batches) == 2


def test_too_many_are_refused():
    async def work(model, batcher):
        model.may.clear()
        running = asyncio.create_task(batcher.submit(rows(0)))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(batcher.submit(rows(1, 2, 3)))
        await asyncio.sleep(0.05)
        with pytest.raises(BusyError, match="3 images wait already") as refused:
            await batcher.submit(rows(4, 5))
        model.may.set()
        await asyncio.gather(running, waiting)
        return refused.value.retry_after

    _, seconds = run(work, max_waiting=4)
    assert seconds >= 1


def test_an_error_is_that_of_its_batch_alone():
    async def work(model, batcher):
        def fail(inputs):
            raise ValueError("no")

        good, batcher.run = batcher.run, fail
        with pytest.raises(ValueError, match="no"):
            await batcher.submit(rows(1))
        batcher.run = good
        return await batcher.submit(rows(1))

    _, (answer,) = run(work)
    assert answer.tolist() == [[2.0]]


def test_an_error_is_that_of_its_request_alone():
    async def work(model, batcher):
        def particular(inputs):
            if 13 in inputs[0]:
                raise ValueError("unlucky")
            return model(inputs)

        model.may.clear()
        first = asyncio.create_task(batcher.submit(rows(0)))
        await asyncio.sleep(0.05)
        batcher.run = particular
        tasks = [asyncio.create_task(batcher.submit(rows(v))) for v in (12, 13, 14)]
        await asyncio.sleep(0.05)
        model.may.set()
        await first
        return await asyncio.gather(*tasks, return_exceptions=True)

    _, (before, unlucky, after) = run(work)
    assert before[0].tolist() == [[24.0]]
    assert after[0].tolist() == [[28.0]]
    assert str(unlucky) == "unlucky"


def test_a_request_of_more_images_than_run_together_runs_in_parts():
    async def work(_, batcher):
        (answer,) = await batcher.submit(rows(*range(11)))
        return answer[:, 0].tolist()

    model, answer = run(work, max_batch=4)
    assert answer == [2.0 * v for v in range(11)]
    assert model.batches == [4, 4, 4]


def test_requests_run_one_by_one_where_a_layer_looks_at_the_whole_batch():
    async def work(model, batcher):
        await asyncio.gather(*(batcher.submit(rows(*range(3))) for _ in range(4)))

    model, _ = run(work, together=False)
    assert model.batches == [3, 3, 3, 3]


@pytest.mark.parametrize(("images", "size"), [(1, 1), (2, 2), (3, 4), (33, 64), (64, 64), (65, 65)])
def test_sizes_of_batches_are_few(images, size):
    assert _size(images, 64) == size
