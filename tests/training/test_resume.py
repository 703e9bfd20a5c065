"""A run that is stopped and resumed is, bit for bit, the run that was never stopped."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage, training
from colonnade.data import augmentation, load
from colonnade.errors import ArgumentError, FileFormatError
from colonnade.training import Callback, EarlyStopping, fit
from tests.training.softmax_regression import SoftmaxRegression, checkpoint

DIGITS = load("digits")
FEW = slice(None, 100)


def network(**options):
    """A network with all that could go wrong: batch norm's statistics, random numbers of dropout."""
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Flatten(), cn.Dropout(0.2), cn.Dense(144, 10)]
    return cn.Model(layers, **{"seed": 1} | options)


def train(out=None, model=None, **changes):
    """A run with all that a checkpoint must hold; returns its model and its history."""
    model = model or network()
    arguments = {
        "x": DIGITS.train.x[FEW],
        "y": DIGITS.train.y[FEW],
        "validation": (DIGITS.test.x[FEW], DIGITS.test.y[FEW]),
        "epochs": 3,
        "batch_size": 24,
        "optimizer": training.optimizer("adamw", model.parameters(), 0.01),
        "schedule": training.schedule("one-cycle"),
        "average": 0.8,
        "clip": 1.0,
        "accumulate": 2,
        "augmentation": augmentation.preset("characters"),
        "normalization": DIGITS.normalization,
        "callbacks": [EarlyStopping(patience=2)],
    } | changes
    return model, fit(model, out=out, **arguments)


def steady(history):
    """A history without what no two runs share: time."""
    return [
        {k: v for k, v in record.items() if k not in ("seconds", "images_per_second", "waiting")} for record in history
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    _, history = train(folder)
    return (folder / "model.safetensors").read_bytes(), steady(history)


class Stop(Callback):
    """Interrupts the run after so many steps, counted over all epochs; or in an evaluation."""

    def __init__(self, steps=None, evaluations=None):
        self.steps, self.evaluations = steps, evaluations

    def on_batch_end(self, record):
        if (record.epoch - 1) * record.steps + record.step == self.steps:
            raise KeyboardInterrupt

    def on_evaluation_begin(self):
        if self.evaluations is not None:
            self.evaluations -= 1
            if self.evaluations == 0:
                raise KeyboardInterrupt


@pytest.mark.parametrize("step", range(1, 16))
def test_a_run_interrupted_after_any_step_goes_on_to_the_same_bits(tmp_path, undisturbed, step):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[EarlyStopping(patience=2), Stop(step)])
    _, history = train(tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == undisturbed[0]
    assert steady(history) == undisturbed[1]
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == history


def test_an_interrupt_in_the_middle_of_an_evaluation_changes_nothing(tmp_path, undisturbed, monkeypatch):
    from colonnade.training import run

    evaluate, calls = run.evaluate, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(run, "evaluate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path)
    assert len(checkpoint(tmp_path)[1]["history"]) == 1
    train(tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == undisturbed[0]


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_interrupt_between_two_epochs_leaves_a_checkpoint_that_goes_on(tmp_path, undisturbed, monkeypatch, epoch):
    write, written = storage.write, []

    def interrupted(path, *content):
        write(path, *content)
        written.append(path)
        if len(written) == epoch:  # the checkpoint of that epoch, which is then over
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(storage, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, checkpoint_seconds=None)
    monkeypatch.undo()
    assert len(written) == epoch + 1  # on its way out the run writes where it stands: before the next epoch
    _, history = train(tmp_path, resume=True)
    assert ((tmp_path / "model.safetensors").read_bytes(), steady(history)) == undisturbed


def test_a_run_of_some_steps_goes_on_to_the_same_bits(tmp_path):
    _, history = train(tmp_path / "whole", steps=12)
    assert len(history) == 3
    train(tmp_path / "parts", steps=12, max_time=1e-9)
    _, resumed = train(tmp_path / "parts", steps=12, resume=True)
    assert steady(resumed) == steady(history)
    whole, parts = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert parts == whole
    train(tmp_path / "parts", steps=12, resume=True)  # nothing is left to be done
    assert (tmp_path / "parts" / "model.safetensors").read_bytes() == whole
    with pytest.raises(ArgumentError, match=r"total_steps was 12, is now 14"):
        train(tmp_path / "parts", steps=14, resume=True)


def test_time_that_is_up_ends_a_run_that_can_go_on(tmp_path, undisturbed):
    model, history = train(tmp_path, max_time=1e-9)
    assert len(history) == 1
    assert history.stopped == "the time was up in epoch 1, after step 1 of 5"
    assert cn.load(tmp_path / "model.safetensors").state_dict().keys() == model.state_dict().keys()
    assert (checkpoint(tmp_path)[1]["epoch"], checkpoint(tmp_path)[1]["step"]) == (1, 1)
    _, history = train(tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == undisturbed[0]
    assert steady(history) == undisturbed[1]


def test_a_checkpoint_is_written_within_an_epoch_as_often_as_asked(tmp_path):
    seen = []

    class Look(Callback):
        def on_batch_end(self, record):
            if (tmp_path / "checkpoint.safetensors").exists():
                run = checkpoint(tmp_path)[1]
                seen.append((run["epoch"], run["step"]))

    train(tmp_path, callbacks=[Look()], epochs=2, checkpoint_seconds=0)
    assert seen == [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 1), (2, 2), (2, 3), (2, 4)]
    seen.clear()
    (tmp_path / "checkpoint.safetensors").unlink()
    train(tmp_path, callbacks=[Look()], epochs=2, checkpoint_seconds=None)
    assert set(seen) == {(1, 5)}


def test_a_finished_run_resumed_is_finished(tmp_path, undisturbed):
    train(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    model, history = train(tmp_path, resume=tmp_path / "checkpoint.safetensors")
    assert (tmp_path / "model.safetensors").read_bytes() == undisturbed[0]
    assert steady(history) == undisturbed[1]
    assert model.position == (0, 0)


def test_a_run_that_stopped_early_stays_stopped_and_keeps_its_best_weights(tmp_path):
    still = {"schedule": None, "average": None, "callbacks": [EarlyStopping("test_accuracy", patience=1)], "epochs": 50}
    first = network()
    nothing_new = training.optimizer("sgd", first.parameters(), 0.0)
    model, history = train(tmp_path, first, optimizer=nothing_new, **still)
    assert history.stopped == f"1 epochs brought no better test_accuracy than {history[0]['test_accuracy']:.6g}"
    assert len(history) == 2
    again = network()
    still["callbacks"] = [EarlyStopping("test_accuracy", patience=1)]
    _, resumed = train(
        tmp_path, again, optimizer=training.optimizer("sgd", again.parameters(), 0.0), resume=True, **still
    )
    assert resumed.stopped == history.stopped
    assert steady(resumed) == steady(history)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array)


def test_more_epochs_may_be_added_where_the_schedule_does_not_know_their_number(tmp_path):
    constant = {"schedule": None, "callbacks": []}
    train(tmp_path, epochs=1, **constant)
    _, history = train(tmp_path, epochs=3, resume=True, **constant)
    whole, _ = train(epochs=3, **constant)
    assert len(history) == 3
    for name, array in cn.load(tmp_path / "model.safetensors").state_dict().items():
        np.testing.assert_array_equal(array, whole.state_dict()[name])
    with pytest.raises(ArgumentError, match=r"holds epoch 3, expected at most epochs=2\."):
        train(tmp_path, epochs=2, resume=True, **constant)


def test_reducing_on_plateau_and_cycled_momentum_go_on_too(tmp_path):
    for make in (
        lambda optimizer: cn.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0, threshold_mode="abs"),
        lambda optimizer: cn.OneCycleLR(optimizer, 0.1, total_steps=15),
    ):
        weights = []
        for stop in (None, 8):
            model = network()
            optimizer = training.optimizer("sgd", model.parameters())
            if stop:
                with pytest.raises(KeyboardInterrupt):
                    train(tmp_path, model, optimizer=optimizer, schedule=make(optimizer), callbacks=[Stop(stop)])
                model = network()
                optimizer = training.optimizer("sgd", model.parameters())
            resume = stop is not None
            train(tmp_path, model, optimizer=optimizer, schedule=make(optimizer), callbacks=[], resume=resume)
            weights.append((tmp_path / "model.safetensors").read_bytes())
        assert weights[0] == weights[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: cn.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda p: cn.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
        lambda p: cn.Adam(p, amsgrad=True),
        lambda p: cn.NAdam(p),
        lambda p: cn.RMSprop(p, momentum=0.9, centered=True),
        lambda p: cn.Adagrad(p, lr_decay=0.1, initial_accumulator_value=0.1),
        lambda p: cn.Lion(p),
    ],
    ids=["nesterov", "dampening", "amsgrad", "nadam", "rmsprop", "adagrad", "lion"],
)
def test_every_optimizer_goes_on_bit_for_bit(tmp_path, make):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 4)), np.arange(20) % 3
    weights = []
    for stop in (None, 7):
        model = SoftmaxRegression(3)
        options = {"epochs": 3, "batch_size": 4, "out": tmp_path}
        if stop:
            with pytest.raises(KeyboardInterrupt):
                fit(model, x, y, optimizer=make(model.build((4,)).parameters()), callbacks=[Stop(stop)], **options)
            model = SoftmaxRegression(3)
        fit(model, x, y, optimizer=make(model.build((4,)).parameters()), resume=stop is not None, **options)
        weights.append(model.weight.value.copy())
    np.testing.assert_array_equal(weights[0], weights[1])


# What differs


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"batch_size": 25}, r"run: batch_size was 24, is now 25\.$"),
        ({"seed": 3}, "seed was 1, is now 3"),
        ({"shuffle": False}, "shuffle was True, is now False"),
        ({"clip": None}, "clip was 1.0, is now None"),
        ({"accumulate": 1}, "accumulate was 2, is now 1"),
        ({"average": 0.5}, r"run: average\.decay was 0\.8, is now 0\.5\.$"),
        ({"average": None}, r"run: average was 'Average', is now None\.$"),
        ({"epochs": 4}, r"run: epochs was 3, is now 4\.$"),
        ({"callbacks": [EarlyStopping(patience=3)]}, r"run: EarlyStopping\.patience was 2, is now 3\.$"),
        ({"augmentation": None}, "augmentation was 'Compose', is now None"),
        ({"augmentation": augmentation.preset("light")}, "augmentation.transforms differs"),
        ({"loss": cn.CrossEntropyLoss(label_smoothing=0.1)}, "loss.label_smoothing was 0.0, is now 0.1"),
        ({"normalization": {"mean": [0.5], "std": [0.5]}}, "normalization.mean"),
        ({"x": 255 - DIGITS.train.x[FEW]}, r"run: data\.pixels differs\.$"),
        ({"y": 9 - DIGITS.train.y[FEW]}, r"data.targets differs\."),
        (
            {"x": DIGITS.train.x[:90], "y": DIGITS.train.y[:90]},
            r"run: data\.images was 100, is now 90; data\.targets differs(; data\.pixels differs)?\.$",
        ),
        ({"validation": None, "callbacks": [EarlyStopping("train_loss", 2)]}, "validation differs"),
        ({"model": network(seed=2)}, "seed was 1, is now 2; .*model_seed was 1, is now 2"),
        ({"model": network(dtype="float64")}, "dtype was 'float32', is now 'float64'"),
        ({"model": cn.Model([cn.Flatten(), cn.Dense(64, 10)], seed=1)}, r"is of another run: architecture.* differs"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_resume_with_anything_else_names_what_differs(undisturbed, tmp_path_factory, tmp_path, change, named):
    folder = tmp_path_factory.getbasetemp() / "undisturbed0"
    model = change.pop("model", network())
    before = model.state_dict()
    with pytest.raises(ArgumentError, match=named) as raised:
        train(None, model, resume=folder, **change)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(f"fit: {folder / 'checkpoint.safetensors'} is of another run: ")
    for name, array in before.items():
        np.testing.assert_array_equal(model.state_dict()[name], array)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda p: cn.SGD(p, lr=0.01), "optimizer.*was 'AdamW', is now 'SGD'"),
        (lambda p: cn.AdamW(p, lr=0.01, weight_decay=0.1), "optimizer.weight_decay was 0.01, is now 0.1"),
        (lambda p: cn.AdamW(p, lr=0.02), r"run: schedule\.\w+ was .*, is now"),
    ],
)
def test_a_resume_with_another_optimizer_names_it(undisturbed, tmp_path_factory, make, named):
    model = network()
    with pytest.raises(ArgumentError, match=named):
        train(None, model, optimizer=make(model.parameters()), resume=tmp_path_factory.getbasetemp() / "undisturbed0")


def test_a_learning_rate_that_differs_is_named_where_there_is_no_schedule(tmp_path):
    for rate in (0.1, 0.2):
        model = SoftmaxRegression(3)
        x, y = np.ones((6, 4)), np.arange(6) % 3
        optimizer = cn.SGD(model.build((4,)).parameters(), lr=rate)
        if rate == 0.1:
            fit(model, x, y, optimizer=optimizer, out=tmp_path)
        else:
            with pytest.raises(ArgumentError, match=r"optimizer\.lr was 0\.1, is now 0\.2"):
                fit(model, x, y, optimizer=optimizer, out=tmp_path, resume=True)


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda path: path.unlink(), FileNotFoundError, "there is no such checkpoint to resume"),
        (lambda path: path.write_bytes(b"{}"), FileFormatError, "no safetensors file, or a truncated one"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), FileFormatError, "no safetensors file, or a trunc"),
        (lambda path: network().build((1, 8, 8)).save(path), FileFormatError, "expected a checkpoint, got a model"),
        (
            lambda path: storage.write(path, {"a": np.zeros(1)}, {}),
            FileFormatError,
            "got another kind of safetensors file",
        ),
        (
            lambda path: storage.write(path, {}, {"format": "colonnade checkpoint", "version": "99"}),
            FileFormatError,
            r"of another version of Colonnade \(format 99, this one reads 2\)",
        ),
        (
            lambda path: storage.write(path, {}, {"format": "colonnade checkpoint", "version": "2", "run": "[]"}),
            FileFormatError,
            "a damaged checkpoint: it does not say of what run",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path, spoil, error, message):
    train(tmp_path, epochs=1)
    path = tmp_path / "checkpoint.safetensors"
    spoil(path)
    with pytest.raises(error, match=message) as raised:
        train(tmp_path, epochs=1, resume=True)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_checkpoint_that_lacks_arrays_is_damaged_and_the_model_stays(tmp_path):
    train(tmp_path)
    path = tmp_path / "checkpoint.safetensors"
    tensors, metadata = storage.read(path)
    for name in ("model.0.weight", "optimizer.exp_avg", "Average.average"):
        storage.write(path, {key: array for key, array in tensors.items() if key != name}, metadata)
        model = network().build((1, 8, 8))
        before = model.state_dict()
        with pytest.raises(FileFormatError, match="a damaged checkpoint"):
            train(tmp_path, model, resume=True)
        for key, array in before.items():
            np.testing.assert_array_equal(model.state_dict()[key], array)


def test_resume_needs_a_folder():
    with pytest.raises(ArgumentError, match=r"resume=True needs the folder of the run, fit\(out=\.\.\.\), got none"):
        train(resume=True)


# SIGKILL

PROGRAM = """
import sys
from tests.training.test_resume import train
train(sys.argv[1], epochs=40, checkpoint_seconds=0, resume=sys.argv[2] == "resume", callbacks=[])
"""


@pytest.mark.thorough
@pytest.mark.skipif(os.name != "posix", reason="kills a POSIX process")
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    """Each step writes its checkpoint, so that most kills come in the middle of one."""
    folder = tmp_path / "killed"
    moments = random.Random(0)
    kills = places = torn = 0
    environment = os.environ | {"COLONNADE_THREADS": "1"}
    before = None
    while True:
        resume = "resume" if (folder / "checkpoint.safetensors").exists() else "anew"
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), resume], env=environment)
        # At least twenty, and on until enough have come in the middle: how many do is up to the machine.
        if kills < 20 or places <= 10 or not torn:
            # The clock starts when it has got further than the last: starting takes longer than all the rest.
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline and stamp(folder) in (before, None):
                time.sleep(0.001)
            time.sleep(moments.random() * 0.05)
            process.kill()
        status = process.wait(timeout=120)
        if status == 0:
            break
        assert status == -9
        kills += 1
        before = stamp(folder)
        places += checkpoint(folder)[1]["step"] not in (0, 5)
        torn += any(path.name.startswith(storage.TEMPORARY) for path in folder.iterdir())
    assert kills >= 20
    assert places > 10  # in the middle of an epoch
    assert torn > 0  # in the middle of a file
    _, history = train(tmp_path / "whole", epochs=40, callbacks=[])
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == len(history) == 40
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.jsonl",
        "model.safetensors",
    ]


def stamp(folder):
    path = folder / "checkpoint.safetensors"
    return path.stat().st_mtime_ns if path.exists() else None


# Names of classes


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["b", "a", *"cdefghij"], "classes differ: they are in another order"),
        (["a", "z", *"cdefghij"], "classes differ: 'b' is missing, 'z' is new"),
    ],
)
def test_a_run_is_not_resumed_with_other_classes_and_they_are_named(tmp_path, names, message):
    first, again = network(), network()
    first.classes, again.classes = list("abcdefghij"), names
    train(tmp_path, first, epochs=1)
    with pytest.raises(ArgumentError, match=message):
        train(tmp_path, again, resume=True)


def test_a_run_whose_classes_were_renamed_on_disk_is_not_resumed(tmp_path):
    from tests.data.pictures import shaded

    def run(**options):
        model = cn.Model([cn.Flatten(), cn.Dense(3, 2)], seed=0)
        fit(model, cn.data.ImageFolder(tmp_path / "images", 1), out=tmp_path / "run", **options)
        return model

    shaded(tmp_path / "images", daisy=4, roses=4)
    run(epochs=1)
    assert run(epochs=2, resume=True).classes == ["daisy", "roses"]
    (tmp_path / "images" / "roses").rename(tmp_path / "images" / "tulips")
    with pytest.raises(ArgumentError, match="classes differ: 'roses' is missing, 'tulips' is new"):
        run(epochs=3, resume=True)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What the checkpoint of a whole run holds."""
    folder = tmp_path_factory.mktemp("stored")
    train(out=folder)
    return storage.read(folder / "checkpoint.safetensors")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ({"epoch": [1]}, r"its place: epoch can't be \[1\]"),
        ({"epoch": 10**30}, "its place: epoch can't be 10{30}"),
        ({"epoch": True}, "its place: epoch can't be True"),
        ({"epoch": -1}, "its place: epoch can't be -1"),
        ({"epoch": 1.5}, r"its place: epoch can't be 1\.5"),
        ({"epoch": 5}, "it stands in epoch 5 after 3"),
        ({"step": "2"}, "its place: step can't be '2'"),
        ({"step": 10**6}, "it stands after step 1000000 of"),
        ({"seconds": float("nan")}, "its place: seconds can't be nan"),
        ({"step": 2, "seconds": 0}, "its steps took no time"),
        ({"stopped": 1}, "its place: stopped can't be 1"),
        ({"mean": []}, r"its place: mean can't be \[\]"),
        ({"mean": {}}, "it lacks 'images'"),
        ({"callbacks": None}, "its place: callbacks can't be None"),
        ({"callbacks": {}}, "it lacks 'Scheduler'"),
    ],
    ids=str,
)
def test_a_place_that_no_run_stands_in_is_one_line(tmp_path, stored, place, message):
    tensors, metadata = stored
    run = json.loads(metadata["run"])
    run["place"] |= place
    storage.write(tmp_path / "checkpoint.safetensors", tensors, metadata | {"run": json.dumps(run)})
    with pytest.raises(FileFormatError, match=f"a damaged checkpoint .*{message}") as caught:
        train(out=tmp_path, resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("run", ["[" * 5000 + "]" * 5000, "null", "[]", '{"settings": 3, "place": {}, "history": []}'])
def test_a_hostile_description_of_a_run_is_one_line(tmp_path, run):
    storage.write(tmp_path / "a", {}, {"format": "colonnade checkpoint", "version": "2", "run": run})
    with pytest.raises(FileFormatError, match="a damaged checkpoint: it does not say of what run") as caught:
        training.checkpoint.read(tmp_path / "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("steps", [-1, 2**62])
def test_an_optimizers_state_of_more_steps_than_there_is_time_for_is_refused(steps):
    optimizer = cn.NAdam(network().build((1, 8, 8)).parameters())
    with pytest.raises(ArgumentError, match="NAdam: step must lie between 0 and"):
        optimizer.load_state_dict(optimizer.state_dict() | {"step": np.array(steps)})
    optimizer.load_state_dict(optimizer.state_dict() | {"step": np.array(2**40)})
    assert optimizer._product < 1e-300
