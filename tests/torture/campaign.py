"""Runs and models ill-treated: killed, interrupted, asked to end, without room, two in one folder, forked.

A round is a process of its own, forked from this one, and one ill turn that it takes at a random moment. Nothing may
hang, no file may be torn, a model must compute afterwards what it should, and a run that goes on as often as it takes
must leave, to the byte, the model of one that nothing befell.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np

import colonnade as cn
from colonnade import claims, storage
from colonnade.data import augmentation, load
from colonnade.errors import ArgumentError
from colonnade.training import checkpoint, fit
from tests.interrupting import interrupted, operations

PATIENCE = 120.0  # seconds after which a round is taken to hang
REFUSED = 2
FILES = {"checkpoint.safetensors", "metrics.jsonl", "model.safetensors"}
DIGITS = load("digits")
X, Y = DIGITS.train.x[:100], DIGITS.train.y[:100]


class FaultError(Exception):
    """What should not be."""


def require(truth: object, what: str) -> None:
    if not truth:
        raise FaultError(what)


def network() -> cn.Model:
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Flatten(), cn.Dropout(0.2), cn.Dense(144, 10)]
    return cn.Model(layers, seed=1)


def train(folder: Path, model: cn.Model | None = None) -> None:
    """A run of 15 steps that writes a checkpoint at each, and whose images are prepared by threads; it goes on."""
    fit(
        model or network(),
        X,
        Y,
        epochs=3,
        batch_size=20,
        augmentation=augmentation.preset("characters"),
        validation=(X, Y),
        workers=2,
        out=folder,
        checkpoint_seconds=0,
        resume=(folder / "checkpoint.safetensors").exists(),
    )


def require_right(model: cn.Model) -> None:
    """Have a model compute what another of its weights does."""
    twin = network()
    twin.build(model.input_shape or X.shape[1:])
    twin.load_state_dict(model.state_dict())
    require(np.array_equal(model(X), twin(X), equal_nan=True), "the model computes something else than its weights say")


def require_whole(folder: Path, killed: bool) -> None:
    """Have every file of a run's folder be whole, and nothing else lie there but what the killed leave."""
    for path in folder.iterdir():
        if path.name in FILES:
            continue
        left = path.name == claims.MARK or path.name.startswith(storage.TEMPORARY)
        require(killed and left, f"{path.name} was left")
    if (folder / "checkpoint.safetensors").exists():
        checkpoint.read(folder)
    if (folder / "model.safetensors").exists():
        cn.load(folder / "model.safetensors")
    if (folder / "metrics.jsonl").exists():
        for line in (folder / "metrics.jsonl").read_text().splitlines():
            json.loads(line)


def fork(work: Callable[[], int | None]) -> int:
    """A process that does some work and ends with its status; it is at work when this returns."""
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        os.read(ready, 1)
        os.close(ready)
        return child
    status: object = 1
    try:
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for number in (signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            cn.set_threads(2)
            os.write(tell, b"!")
            status = work() or 0
        except KeyboardInterrupt:
            status = 130
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)
    except BaseException:  # the interrupt came last of all
        os._exit(130)


def wait(child: int) -> int:
    """The status of a process; negative where a signal has ended it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise FaultError("it hangs")


class Campaign:
    """Rounds of every kind, each by a method of the kind's name that returns what became of it.

    Args:
        seed: Of all moments.
        folder: For the runs' files.
    """

    KINDS = ("runs", "storms", "operations", "disks", "pairs", "forks", "starts")

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.run = folder / "run"
        started = time.monotonic()
        require(wait(fork(lambda: train(folder / "undisturbed"))) == 0, "an undisturbed run fails")
        self.seconds = time.monotonic() - started
        self.expected = (folder / "undisturbed" / "model.safetensors").read_bytes()

    def runs(self) -> str:
        """A run that is killed, interrupted or asked to end, and goes on in the next round."""
        name = self.random.choice(["SIGKILL", "SIGINT", "SIGTERM", "SIGHUP"])
        child = fork(self._train_and_use)
        time.sleep(self.random.random() * self.seconds)
        os.kill(child, getattr(signal, name))
        status, number = wait(child), getattr(signal, name)
        # Before the run has its folder, and after it, a process that is asked to end ends at once.
        require(status in (0, -number if name != "SIGINT" else 130, 128 + number), f"{name}: status {status}")
        if self.run.exists():
            require_whole(self.run, status != 0)  # what an interrupt left is claimed by nobody, and goes with the next
        if status == 0:
            require((self.run / "model.safetensors").read_bytes() == self.expected, "another model came out")
            shutil.rmtree(self.run)
        return f"{name} {status}"

    def _train_and_use(self) -> int:
        model = network()
        try:
            train(self.run, model)
        except KeyboardInterrupt:
            require_right(model)
            return 130
        return 0

    def storms(self) -> str:
        """Interrupts that come one upon the other while a model predicts."""
        moments = random.Random(self.random.random())
        status = wait(fork(lambda: _storm(moments, 20)))
        require(status in (0, 130), f"status {status}")  # 130: one came between the lines of the round itself
        return "20 interrupts"

    def operations(self) -> str:
        """An interrupt between any two operations of a pass, a step, an epoch, of saving and loading."""
        name, place = self.random.choice(sorted(WORKS)), self.random.random()
        file = self.folder / "model"
        require(wait(fork(lambda: _interrupt(WORKS[name], place, file))) == 0, f"after an interrupt in: {name}")
        return name

    def disks(self) -> str:
        """A run that goes on where its files have no room."""
        folder, place = self.folder / "disk", self.random.random()
        shutil.copytree(self.folder / "undisturbed", folder, dirs_exist_ok=True)
        (folder / "model.safetensors").unlink(missing_ok=True)
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        size = len(before["checkpoint.safetensors"])

        def work() -> int:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(place * 1.5 * size), int(place * 1.5 * size)))
            try:
                train(folder)
            except (ArgumentError, OSError) as error:
                require("too large" in str(error), str(error))
                return REFUSED
            return 0

        status = wait(fork(work))
        require_whole(folder, killed=False)
        if status == REFUSED:
            require({path.name: path.read_bytes() for path in folder.iterdir()} == before, "a file has changed")
        else:
            require(status == 0, f"status {status}")
            require((folder / "model.safetensors").read_bytes() == self.expected, "another model came out")
        return f"{place * 1.5:.1f} of the checkpoint: {'refused' if status else 'done'}"

    def pairs(self) -> str:
        """Two runs that begin in one folder at nearly the same time."""
        folder = self.folder / "pair"

        def work() -> int:
            try:
                train(folder)
            except ArgumentError as error:
                require("another run holds this folder" in str(error), str(error))
                return REFUSED
            return 0

        children = [fork(work)]
        time.sleep(self.random.random() ** 3 * self.seconds)
        children.append(fork(work))
        statuses = sorted(map(wait, children))
        require(statuses in ([0, 0], [0, REFUSED]), f"statuses {statuses}")
        require_whole(folder, killed=False)
        require((folder / "model.safetensors").read_bytes() == self.expected, "another model came out")
        shutil.rmtree(folder)
        return "one refused" if statuses[1] else "one after the other"

    def forks(self) -> str:
        """Processes forked while another thread trains the same model."""
        require(wait(fork(_fork_within)) == 0, "a forked child fails")
        return "3 forks"

    def starts(self) -> str:
        """An interrupt while the command line starts, or runs."""
        command = [sys.executable, "-m", "colonnade", "train", "--epochs", "2", "--overwrite"]
        command += ["--out", str(self.folder / "start")]
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, preexec_fn=_interruptible
        ) as process:
            # Python itself needs a moment before any line of ours can be run.
            while process.poll() is None and "/numpy/" not in Path(f"/proc/{process.pid}/maps").read_text():
                time.sleep(0.001)
            time.sleep(self.random.random() ** 2 * 4 * self.seconds)
            process.send_signal(signal.SIGINT)
            try:
                _, said = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise FaultError("it hangs") from None
        told = [line for line in said.splitlines() if line.startswith("interrupted")]
        require(process.returncode in (0, 130), f"status {process.returncode}: {said}")
        require(len(told) == (process.returncode == 130) and "Traceback" not in said, said)
        return f"status {process.returncode}"


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _storm(moments: random.Random, interrupts: int) -> None:
    model, over = network(), threading.Event()
    expected, caught = model(X), 0

    def interrupt() -> None:
        while not over.wait(moments.random() * 0.02):
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()

    def predict() -> None:
        nonlocal caught
        while caught < interrupts:
            try:
                require(np.array_equal(model(X), expected), "wrong in a storm")
            except KeyboardInterrupt:
                caught += 1
        over.set()

    while not over.is_set():
        with suppress(KeyboardInterrupt):  # one that came while another was counted
            predict()
    for _ in range(100):  # the last may be still to come
        try:
            time.sleep(0.001)
        except KeyboardInterrupt:
            continue
    require(np.array_equal(model(X), expected), "wrong after a storm")


def _step(model: cn.Model, file: Path) -> None:
    optimizer = cn.SGD(model.parameters(), lr=0.01, momentum=0.9)
    y = model(X, training=True)
    model.zero_grad()
    model.backward(y)  # towards nothing, where it stays
    optimizer.step()


WORKS: dict[str, Callable[[cn.Model, Path], object]] = {
    "an epoch": lambda model, file: fit(model, X, Y, batch_size=50, workers=2, validation=(X, Y)),
    "inference": lambda model, file: model(X),
    "loading": lambda model, file: cn.load(file),
    "prediction": lambda model, file: model.predict(X, batch_size=30, workers=2),
    "saving": lambda model, file: model.save(file),
    "a step": _step,
}


def _interrupt(work: Callable[[cn.Model, Path], object], place: float, file: Path) -> None:
    whole = network()
    whole(X)
    whole.save(file)
    count = operations(lambda: work(network(), file))
    model = network()
    interrupted(lambda: work(model, file), int(place * count))
    results: list[bool] = []

    def use() -> None:
        require_right(model)
        _step(model, file)
        require_right(model)
        results.append(True)

    use()
    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join(PATIENCE / 2)
    require(len(results) == 2, "another thread waits for good, or finds other numbers")
    cn.load(file)
    fit(model, X, Y, batch_size=50, workers=2)
    storage.remove_leftovers(file.parent)


def _fork_within() -> None:
    model, over = network(), threading.Event()

    def use() -> None:
        while not over.is_set():
            _step(model, Path())

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    try:
        for _ in range(3):
            require(wait(fork(lambda: require_right(model) or _step(model, Path()))) == 0, "the child fails")
    finally:
        over.set()
        thread.join()


def torture(rounds: int, seed: int = 0, kinds: tuple[str, ...] = Campaign.KINDS) -> tuple[Counter[str], list[str]]:
    """So many rounds, of each kind in turn: what became of them, and what should not have."""
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(seed, Path(folder))
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            try:
                outcomes[f"{kind}: {getattr(campaign, kind)()}"] += 1
            except Exception as error:
                faults.append(f"round {number} of seed {seed}, {kind}: {error!r}")
                print(faults[-1], file=sys.stderr, flush=True)
    return outcomes, faults


def main(arguments: list[str]) -> int:
    numbers = [int(each) for each in arguments if each.isdecimal()]
    kinds = tuple(each for each in arguments if not each.isdecimal())
    if unknown := [kind for kind in kinds if kind not in Campaign.KINDS] or not numbers:
        print(f"torture N [SEED] [{'|'.join(Campaign.KINDS)}...], got {unknown or arguments}", file=sys.stderr)
        return 2
    outcomes, faults = torture(numbers[0], numbers[1] if len(numbers) > 1 else 0, kinds or Campaign.KINDS)
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:7}  {outcome}")
    print(f"{len(faults):7}  faults")
    return 1 if faults else 0
