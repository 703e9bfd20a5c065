"""Compiled models in several threads and processes: whoever starts, forks or is forked, the bits are the same."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

import colonnade as cn

X = np.random.default_rng(0).normal(size=(6, 1, 12, 12)).astype(np.float32)


def network() -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Flatten(), cn.Dense(400, 10)]
    return cn.Model(layers, seed=1, compiled=True)


def small(number: int) -> cn.Model:
    """One of some models that take a second or two to compile."""
    layers: list[list[cn.Layer]] = [[cn.SiLU()], [cn.MaxPool2d(2), cn.Tanh()], [cn.Flatten(), cn.Dense(144, 3)]]
    return cn.Model(layers[number % 3], seed=1, compiled=True)


def trained(model: cn.Model | None = None) -> bytes:
    """The bits of an output and all gradients of a step."""
    model = model or network()
    y = model(X, training=True)
    model.zero_grad()
    model.backward(y)
    return b"".join([y.tobytes(), *(parameter.grad.tobytes() for parameter in model.parameters())])


def in_threads(work: Callable[[int], bytes]) -> list[bytes]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(work, range(12)))


def bits(number: int) -> bytes:
    return trained()


def in_processes(method: str) -> Callable[[Callable[[int], bytes]], list[bytes]]:
    def run(work: Callable[[int], bytes]) -> list[bytes]:
        with ProcessPoolExecutor(2, multiprocessing.get_context(method)) as pool:
            return list(pool.map(work, range(4)))

    return run


def in_joblib(backend: str) -> Callable[[Callable[[int], bytes]], list[bytes]]:
    def run(work: Callable[[int], bytes]) -> list[bytes]:
        joblib = pytest.importorskip("joblib")
        found: list[bytes] = joblib.Parallel(2, backend=backend)(joblib.delayed(work)(number) for number in range(4))
        return found

    return run


WAYS = {
    "threads": in_threads,
    "spawned": in_processes("spawn"),
    "forked": in_processes("fork"),
    "loky": in_joblib("loky"),
    "threads of joblib": in_joblib("threading"),
}


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("way", WAYS)
def test_a_step_has_the_same_bits_wherever_it_is_computed(way: str) -> None:
    assert set(WAYS[way](bits)) == {trained()}


@pytest.mark.thorough
def test_one_model_is_called_by_several_threads_at_once() -> None:
    model = network()
    expected = model(X).tobytes()
    assert set(in_threads(lambda number: model(X).tobytes())) == {expected}


PROGRAM = """
import os, random, signal, sys, threading, time
import colonnade as cn
from tests.compiled.test_processes import small, trained

draw, results, children = random.Random(int(sys.argv[1])), {}, []
cn.set_threads(2)

def use(number):
    results[number] = trained(small(number))

def child():
    inner = os.fork()  # and one of a child's own
    signal.alarm(100)
    found = trained(small(number)) == trained(small(number))
    return found and (inner == 0 or os.waitpid(inner, 0)[1] == 0)

threads = [threading.Thread(target=use, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads) or len(children) < 4:
    time.sleep(draw.random() * float(sys.argv[2]))
    number = len(children)
    children.append(os.fork())
    if children[-1] == 0:
        os._exit(0 if child() else 1)
    if len(children) > 2 and os.waitpid(children[-3], 0)[1]:
        sys.exit("a child fails")
for last in children[-2:]:
    if os.waitpid(last, 0)[1]:
        sys.exit("a child fails")
for thread in threads:
    thread.join()
print(all(results[number] == trained(small(number)) for number in range(3)))
"""


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_children_forked_while_threads_make_their_first_passes_compute_too(tmp_path: Path) -> None:
    """First where all is compiled, then where it is found."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for seed, pause in ((0, 0.5), (1, 0.1), (2, 0.05), (3, 0.02)):
        command = [sys.executable, "-W", "ignore", "-c", PROGRAM, str(seed), str(pause)]
        root = Path(__file__).parents[2]
        run = subprocess.run(
            command, env=environment, cwd=root, capture_output=True, text=True, timeout=300, check=False
        )
        assert (run.returncode, run.stdout) == (0, "True\n"), run.stderr
