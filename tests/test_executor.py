"""The executor: the same bits for any number of threads, and memory that is known beforehand."""

from __future__ import annotations

import faulthandler
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import colonnade as cn
from colonnade import blas
from colonnade.errors import ArgumentError, StateError
from tests.interrupting import interrupted, operations


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = cn.get_threads()
    yield
    cn.set_threads(before)


def train(name: str, steps: int = 3, images: int = 20, **options: object) -> cn.Model:
    shapes = {"cnn": (1, 12, 12), "resnet20": (3, 16, 16), "lenet5": (1, 16, 16), "vgg": (3, 8, 8)}
    model: cn.Model = getattr(cn.zoo, name)(input_shape=shapes[name], seed=3, **options)
    optimizer = cn.SGD(model.parameters(), lr=0.01, momentum=0.9)
    rng = np.random.default_rng(1)
    for _ in range(steps):
        y = model(rng.normal(size=(images, *shapes[name])), training=True)
        _, grad = cn.CrossEntropyLoss()(y, rng.integers(0, 10, images))
        model.zero_grad()
        model.backward(grad, input_gradient=False)
        optimizer.step()
    return model


def held_libraries() -> list[dict[str, Any]]:
    """The BLAS libraries that were there at the first pass: others come with other tests."""
    known = {library.filepath for library in blas._libraries()}
    return [library for library in threadpool_info() if library["filepath"] in known]


def digest(model: cn.Model) -> str:
    state = model.state_dict()
    return hashlib.sha256(b"".join(state[name].tobytes() for name in sorted(state))).hexdigest()


@pytest.mark.parametrize("name", ["cnn", "resnet20"])
def test_training_gives_the_same_bits_with_any_number_of_threads_and_again(name: str) -> None:
    digests = set()
    for threads in (1, 2, 5, 1):
        cn.set_threads(threads)
        digests.add(digest(train(name)))
    assert len(digests) == 1
    assert digest(train(name, steps=2)) not in digests


def test_dropout_gives_the_same_bits_with_any_number_of_threads_and_moves_on_with_the_step() -> None:
    outputs = []
    for threads in (1, 2, 5):
        cn.set_threads(threads)
        model = cn.Model([cn.Conv2d(1, 3, 3), cn.Dropout(0.4), cn.Flatten(), cn.Dropout(0.2)], seed=4)
        outputs.append(model(np.ones((40, 1, 9, 9)), training=True))
    assert outputs[0].tobytes() == outputs[1].tobytes() == outputs[2].tobytes()
    model.position = (0, 1)
    assert not np.array_equal(outputs[0], model(np.ones((40, 1, 9, 9)), training=True))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_plans_bytes_are_what_is_allocated(training: bool, threads: int) -> None:
    cn.set_threads(threads)
    model = cn.zoo.resnet20(input_shape=(3, 16, 16))
    x = np.zeros((24, 3, 16, 16), np.float32)
    plan = model.plan(x.shape, training=training)
    model(x, training=training)
    memory = model.memory[training]
    assert memory.batch.nbytes + sum(worker.nbytes for worker in memory.workers) == plan.bytes


@pytest.mark.parametrize("name", ["lenet5", "cnn", "vgg", "resnet20"])
def test_after_the_first_step_nothing_grows_with_the_batch(name: str) -> None:
    cn.set_threads(1)  # with more, which worker makes its views of which lane when is a matter of chance
    peaks = {}
    for images in (8, 64):
        model = train(name, steps=1, images=images)
        assert model.input_shape is not None
        x = np.ones((images, *model.input_shape), np.float32)
        grad = np.ones((images, 10), np.float32)
        tracemalloc.start()
        model(x, training=True)
        model.backward(grad, input_gradient=False)
        peaks[images] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # The caller's own copy of ten outputs an image, and a few objects for each lane; far from even one activation.
    first_activation = 56 * 4 * np.prod(model.plan((1, *model.input_shape)).steps[0].outputs[0].shape)
    assert peaks[64] - peaks[8] < first_activation / 5


def test_blas_gets_its_threads_back() -> None:
    def counts() -> list[int]:
        return [library["num_threads"] for library in held_libraries()]

    before = counts()
    train("cnn", steps=1)
    assert counts() == before


def test_an_error_in_a_worker_is_raised_where_the_model_was_called() -> None:
    class Broken(cn.Layer):
        def forward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
            raise ZeroDivisionError("broken")

    cn.set_threads(3)
    model = cn.Model([Broken()])
    with pytest.raises(ZeroDivisionError, match="broken"):
        model(np.zeros((4000, 1, 30, 30)))
    cn.set_threads(2)
    assert cn.Model([cn.ReLU()])(np.ones((2, 3))).sum() == 6


def test_a_layer_is_handed_tensors_of_the_shape_and_type_of_their_arrays() -> None:
    seen: list[tuple[cn.Tensor, int]] = []

    class Looking(cn.Layer):
        def forward(self, x: cn.Tensor, y: cn.Tensor, block: cn.Block) -> None:
            y.value[...] = x.value
            seen.extend((tensor, block.images) for tensor in (x, y))

    cn.Model([Looking()], dtype="float64")(np.ones((7, 3, 5, 4)))
    assert sum(images for _, images in seen) == 2 * 7
    for tensor, images in seen:
        assert tensor.shape == tensor.value.shape == (images, 3, 5, 4)
        assert tensor.dtype == tensor.value.dtype == np.float64


def test_a_model_may_be_called_while_a_backward_pass_is_due() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 1, 12, 12))
    grads = []
    for meanwhile in (False, True):
        model = cn.zoo.cnn(input_shape=(1, 12, 12), seed=2)
        y = model(x, training=True)
        if meanwhile:
            model.predict(rng.normal(size=(300, 1, 12, 12)))
        grads.append(model.backward(np.ones_like(y)))
    assert np.array_equal(*grads)


def small(seed: int = 1) -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.AdaptiveAvgPool2d(1), cn.Flatten(), cn.Dense(4, 3)]
    return cn.Model(layers, seed=seed)


def step(model: cn.Model, x: np.ndarray) -> tuple[np.ndarray, ...]:
    model.zero_grad()
    y = model(x, training=True)
    return y, model.backward(np.ones_like(y)), *(parameter.grad.copy() for parameter in model.parameters())


SMALL = np.random.default_rng(0).normal(size=(300, 1, 12, 12)).astype(np.float32)


# An interrupt may come between opening a file and closing it: Python then says so, and that is all.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["first call", "inference", "step", "another shape"])
def test_after_an_interrupt_anywhere_the_model_computes_what_it_should_for_every_thread(kind: str) -> None:
    cn.set_threads(2)
    counts = [library["num_threads"] for library in threadpool_info()]
    tall = SMALL[:80].repeat(2, axis=2)
    works = {
        "first call": lambda model: model(SMALL),
        "inference": lambda model: model(SMALL),
        "step": lambda model: step(model, SMALL),
        "another shape": lambda model: model(tall),
    }

    def prepared() -> cn.Model:
        model = small()
        if kind != "first call":
            works[kind if kind != "another shape" else "inference"](model)
        return small() if kind == "first call" else model

    running = small()
    step(running, SMALL)
    expected = {"infer": small()(SMALL), "tall": small()(tall), "step": step(small(), SMALL), "then": running(SMALL)}
    begun = prepared()
    count = operations(lambda: works[kind](begun))
    numbers = np.random.default_rng(1).choice(count, 25, replace=False)
    with ThreadPoolExecutor(1) as pool:
        for turn, number in enumerate(numbers):
            model = prepared()
            interrupted(lambda model=model: works[kind](model), number)
            call = (lambda *args: pool.submit(*args).result(60)) if turn % 2 else (lambda work, *args: work(*args))
            if kind != "step":  # which moves the running statistics, or does not
                assert np.array_equal(call(model, SMALL), expected["infer"]), number
                assert np.array_equal(call(model, tall), expected["tall"]), number
            for found, wanted in zip(call(step, model, SMALL), expected["step"], strict=True):
                assert np.array_equal(found, wanted), number
            assert [library["num_threads"] for library in threadpool_info()] == counts, number


STORM = """
import os, random, signal, threading, time
import numpy as np, colonnade as cn

signal.signal(signal.SIGINT, signal.default_int_handler)
cn.set_threads(2)
model = cn.zoo.cnn(input_shape=(1, 12, 12), seed=0)
x = np.random.default_rng(0).normal(size=(100, 1, 12, 12))
expected = model(x)
caught = 0
storm = threading.Event()

def interrupt():
    moments = random.Random(0)
    while not storm.wait(moments.random() * 0.01):
        os.kill(os.getpid(), signal.SIGINT)

def predict():
    global caught
    while caught < 150:
        try:
            while True:
                assert np.array_equal(model(x), expected)
        except KeyboardInterrupt:
            caught += 1

thread = threading.Thread(target=interrupt)
thread.start()
while not storm.is_set():
    try:
        predict()
        storm.set()
        thread.join()
    except KeyboardInterrupt:
        pass
assert np.array_equal(model(x), expected)
print("done")
"""


@pytest.mark.skipif(os.name != "posix", reason="interrupts a POSIX process")
def test_a_storm_of_interrupts_stops_no_prediction_for_good() -> None:
    run = subprocess.run([sys.executable, "-c", STORM], capture_output=True, text=True, timeout=120, check=False)
    assert (run.stdout, run.returncode) == ("done\n", 0), run.stderr


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_child(work: Callable[[], bool]) -> bool:
    """Whether `work` is true in a forked process, within a minute; where it waits for ever, its stack is shown."""
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
        os._exit(0 if work() else 1)
    return os.waitpid(child, 0)[1] == 0


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_computes_too() -> None:
    cn.set_threads(2)
    model = cn.zoo.cnn(input_shape=(1, 12, 12))
    x = np.ones((64, 1, 12, 12))
    expected = model(x)
    assert in_child(lambda: np.array_equal(model(x), expected))


FIRST = """
import os, signal, sys, threading
import numpy as np, colonnade as cn

found = threading.Event()
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "threadpoolctl":
            found.set()
            threading.Event().wait(0.3)

sys.meta_path.insert(0, Slow())
use = lambda: cn.zoo.lenet5(input_shape=(1, 12, 12))(np.ones((4, 1, 12, 12)))
thread = threading.Thread(target=use)
thread.start()
found.wait(60)
child = os.fork()
if child == 0:
    signal.alarm(30)
    use()
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@forks
def test_a_child_forked_while_another_thread_runs_the_first_pass_of_all_computes_too() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FIRST]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.stdout, run.returncode) == ("0\n", 0), run.stderr


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("moment", ["before it is held", "after it was given back"])
def test_a_child_forked_while_another_thread_is_about_to_hold_blas_or_gives_it_back_holds_it(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    calls: list[int] = []
    forked: list[bool] = []

    class Look(cn.Identity):
        views = set()

        def forward(self, x: object, y: object, block: object) -> None:
            seen.extend(each["num_threads"] for each in held_libraries())
            super().forward(x, y, block)  # type: ignore[arg-type]

    def child() -> bool:
        seen.clear()
        cn.Model([Look()])(np.ones((4, 3)))
        return set(seen) == {1}

    first, *others = blas.threads()

    def set_threads(count: int) -> None:
        calls.append(count)
        if not forked and len(calls) == 1 and moment == "before it is held":
            forked.append(in_child(child))
        first.set(count)
        if not forked and len(calls) == 2 and moment == "after it was given back":
            forked.append(in_child(child))

    before = first.get()
    first.set(2)
    monkeypatch.setattr(blas, "threads", lambda: [blas.Threads(first.get, set_threads), *others])
    try:
        thread = threading.Thread(target=lambda: cn.Model([cn.ReLU()])(np.ones((4, 3))))
        thread.start()
        thread.join()
    finally:
        first.set(before)
    assert forked == [True]


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("training", [False, True])
def test_a_child_forked_while_another_thread_is_in_the_model_computes_too(training: bool) -> None:
    cn.set_threads(2)
    model = small()
    expected, trained = small()(SMALL), step(small(), SMALL)
    stop = threading.Event()

    def use() -> None:
        while not stop.is_set():
            if training:
                step(model, SMALL)
            else:
                model(SMALL)

    def child() -> bool:
        same = training or np.array_equal(model(SMALL), expected)
        return same and all(map(np.array_equal, step(model, SMALL), trained))

    thread = threading.Thread(target=use)
    thread.start()
    try:
        for _ in range(8):
            assert in_child(child)
    finally:
        stop.set()
        thread.join()


@forks
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_by_a_layer_uses_the_model_and_ends_with_its_thread() -> None:
    """By the caller's thread and by a worker's; the child that goes on with the pass is told that it can't."""
    cn.set_threads(2)
    inner = small()
    expected = inner(SMALL)
    forked: list[tuple[bool, int, int]] = []

    class Forking(cn.Identity):
        views = set()

        def forward(self, x: object, y: object, block: cn.Block) -> None:
            time.sleep(0.01)  # so that both threads come to have a part
            super().forward(x, y, block)  # type: ignore[arg-type]
            main = threading.get_ident() == caller
            if os.getpid() == parent and main not in [each[0] for each in forked]:
                child = os.fork()
                if child == 0:
                    signal.alarm(60)
                    if not np.array_equal(inner(SMALL), expected):
                        os._exit(2)
                    return
                forked.append((main, *os.waitpid(child, 0)))

    parent, caller = os.getpid(), threading.get_ident()
    model = cn.Model([Forking()])
    try:
        y = model(np.ones((200, 4, 80, 80), np.float32))
    except StateError as error:
        assert os.getpid() != parent
        os._exit(0 if "forked while its threads were at work" in str(error) else 3)
    if os.getpid() != parent:
        os._exit(0)
    assert y.all()
    assert {each[0] for each in forked} == {True, False}
    # The caller's goes on to the error, a worker's has nobody to tell.
    assert {main: os.waitstatus_to_exitcode(status) for main, _, status in forked} == {True: 0, False: 1}


def test_models_in_several_threads_do_not_disturb_one_another() -> None:
    cn.set_threads(2)
    models = [cn.zoo.cnn(input_shape=(1, 12, 12), seed=seed) for seed in range(3)]
    x = np.random.default_rng(0).normal(size=(90, 1, 12, 12))
    expected = [model(x) for model in models]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda number: models[number % 3](x), range(60)))
    for number, result in enumerate(results):
        assert np.array_equal(result, expected[number % 3])


def test_a_number_of_threads_below_one_is_refused() -> None:
    with pytest.raises(ArgumentError, match="set_threads: threads must be positive, got 0"):
        cn.set_threads(0)


@pytest.mark.parametrize(
    ("value", "stdout", "stderr"),
    [("3", "3\n", ""), ("many", "", "COLONNADE_THREADS must be a positive whole number, got 'many'.\n")],
)
def test_the_environment_sets_the_threads(value: str, stdout: str, stderr: str) -> None:
    code = "import colonnade as cn; print(cn.get_threads())"
    environment = {**os.environ, "COLONNADE_THREADS": value}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == stdout
    assert run.stderr.endswith(stderr)


def test_blas_has_one_thread_while_any_thread_runs_a_model_and_gets_its_own_back() -> None:
    seen: list[int] = []

    class Look(cn.Identity):
        views = set()

        def forward(self, x: object, y: object, block: object) -> None:
            seen.extend(each["num_threads"] for each in held_libraries())
            super().forward(x, y, block)  # type: ignore[arg-type]

    def run() -> None:
        for _ in range(20):
            cn.Model([Look()])(np.ones((4, 3)))

    before = [each["num_threads"] for each in threadpool_info()]
    run()  # this thread comes first
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen
    assert set(seen) == {1}
    assert [each["num_threads"] for each in threadpool_info()] == before


@pytest.mark.parametrize(
    "norm",
    [cn.BatchNorm2d(2, affine=False), cn.InstanceNorm2d(2, track_running_stats=True), cn.GroupNorm(1, 2, affine=False)],
)
def test_a_norm_without_weights_may_stand_first_where_no_gradient_at_the_input_is_wanted(norm: Any) -> None:
    layers = [norm, cn.Tanh(), cn.Conv2d(2, 1, 1)]
    x = np.random.default_rng(0).normal(size=(4, 2, 3, 3))
    gradients = []
    for wanted in (True, False):
        model = cn.Model(cn.composites.construct(cn.composites.describe(layers)), dtype="float64", seed=0)
        y = model(x, training=True)
        assert (model.backward(y, input_gradient=wanted) is None) is not wanted
        gradients.append([parameter.grad.tobytes() for parameter in model.parameters()])
    assert gradients[0] == gradients[1]
