"""Callbacks: what is done beside the loop."""

import csv
import json
import sys

import numpy as np
import pytest

from colonnade import schedules, storage, training
from colonnade.errors import ArgumentError, MissingExtraError
from colonnade.initializers import zeros
from colonnade.optimizers import SGD
from colonnade.tensor import Parameter
from colonnade.training import (
    Average,
    BestCheckpoint,
    Callback,
    CSVLogger,
    EarlyStopping,
    JSONLines,
    Scheduler,
    TensorBoard,
    fit,
)
from tests.training.softmax_regression import SoftmaxRegression


class Weights(Callback):
    """Notes the weights after every step and at the end of every epoch."""

    def __init__(self):
        self.after_steps, self.after_epochs, self.rates = [], [], []

    def on_train_begin(self, run):
        self.run = run

    def on_batch_end(self, record):
        self.after_steps.append(self.run.model.weight.value.copy())
        self.rates.append(record.lr)

    def on_epoch_end(self, record):
        self.after_epochs.append(self.run.model.weight.value.copy())


def sgd(model, **options):
    return SGD(model.build((4,)).parameters(), **{"lr": 0.5} | options)


def spoiling(model, data, after):
    """Validation that the model gets better at for so many epochs only: then its weights are drawn at random."""

    class Spoil(Callback):
        def on_epoch_end(self, record):
            if record["epoch"] >= after:
                model.weight.value[...] = 10 * np.random.default_rng(record["epoch"]).normal(size=(4, 3))

    return Spoil()


# Early stopping, best checkpoint


def test_early_stopping_waits_patiently_and_gives_back_the_best_weights(data, model):
    weights, stopping = Weights(), EarlyStopping(patience=3)
    history = fit(
        model,
        *data,
        epochs=100,
        optimizer=sgd(model),
        validation=data,
        callbacks=[weights, stopping, spoiling(model, data, after=4)],
    )
    best = int(np.argmin(history.test_loss))
    assert len(history) == best + 1 + 3
    assert stopping.epoch == best + 1
    assert stopping.best == history[best]["test_loss"]
    assert history.stopped == f"3 epochs brought no better test_loss than {stopping.best:.6g}"
    np.testing.assert_array_equal(model.weight.value, weights.after_epochs[best])


def test_early_stopping_may_leave_the_last_weights(data, model):
    stopping = EarlyStopping("test_accuracy", patience=1, min_delta=1.0, restore_best=False)
    weights = Weights()
    history = fit(model, *data, epochs=9, optimizer=sgd(model), validation=data, callbacks=[weights, stopping])
    assert len(history) == 2
    np.testing.assert_array_equal(model.weight.value, weights.after_epochs[-1])


def test_a_run_without_a_reason_to_stop_runs_to_its_end(data, model):
    history = fit(model, *data, epochs=5, optimizer=sgd(model), callbacks=[EarlyStopping("train_loss", patience=1)])
    assert len(history) == 5
    assert history.stopped is None


def test_best_checkpoint_is_the_model_of_the_best_epoch(data, model, tmp_path):
    weights, best = Weights(), BestCheckpoint(tmp_path / "best.safetensors", "test_accuracy")
    history = fit(
        model,
        *data,
        epochs=8,
        optimizer=sgd(model),
        validation=data,
        callbacks=[weights, best, spoiling(model, data, after=5)],
    )
    number = int(np.argmax(history.test_accuracy))  # the first of equals
    assert best.epoch == number + 1
    stored, _ = storage.read(tmp_path / "best.safetensors")
    np.testing.assert_array_equal(stored["0.weight"], weights.after_epochs[number])


def test_a_callback_may_stop_a_run_in_the_middle_of_an_epoch(data, model):
    class Enough(Callback):
        def on_train_begin(self, run):
            self.run = run

        def on_batch_end(self, record):
            if (record.epoch, record.step) == (2, 1):
                self.run.stop("enough")

    history = fit(model, *data, epochs=5, batch_size=8, callbacks=[Enough()])
    assert [record["epoch"] for record in history] == [1, 2]
    assert history.stopped == "enough"
    assert len(model.batches) == 4


# Schedules and averages


def test_a_schedule_sets_the_rate_of_every_step(data, model):
    weights = Weights()
    fit(
        model,
        *data,
        epochs=2,
        batch_size=5,
        optimizer=sgd(model),
        schedule=lambda optimizer, steps: schedules.LinearLR(optimizer, 0.125, 1.0, steps - 1),
        callbacks=[weights],
    )
    np.testing.assert_allclose(weights.rates, 0.5 * np.linspace(0.125, 1, 8))


def test_a_schedule_may_count_epochs(data, model):
    optimizer, weights = sgd(model), Weights()
    halving = Scheduler(schedules.StepLR(optimizer, 1, gamma=0.5), each="epoch")
    history = fit(model, *data, epochs=3, batch_size=10, optimizer=optimizer, callbacks=[halving, weights])
    assert weights.rates == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]
    assert history.lr == [0.5, 0.25, 0.125]


def test_a_plateau_reduces_the_rate(data, model):
    optimizer = sgd(model, lr=0.25)
    plateau = schedules.ReduceLROnPlateau(optimizer, factor=0.1, patience=0, threshold=100, threshold_mode="abs")
    history = fit(model, *data, epochs=3, optimizer=optimizer, validation=data, schedule=plateau)
    np.testing.assert_allclose(history.lr, [0.25, 0.25, 0.025])


@pytest.mark.parametrize("name", ["cosine", "one-cycle", "plain cosine"])
def test_a_schedule_that_fit_makes_is_of_this_run_alone(data, model, name):
    make = {"plain cosine": lambda optimizer, steps: schedules.CosineAnnealingLR(optimizer, steps)}.get(name)
    optimizer, rates = sgd(model), []
    for _ in range(2):
        noted = Weights()
        fit(
            model, *data, batch_size=2, optimizer=optimizer, schedule=make or training.schedule(name), callbacks=[noted]
        )
        rates.append(noted.rates)
        assert optimizer.lr == 0.5
    assert rates[0] == rates[1]
    assert len(set(rates[0])) > 1


def test_the_average_is_what_is_evaluated_and_kept(data, model, tmp_path):
    weights = Weights()
    other = SoftmaxRegression(3)
    history = fit(
        model,
        *data,
        epochs=2,
        batch_size=5,
        optimizer=sgd(model),
        average=0.75,
        validation=data,
        callbacks=[weights],
        out=tmp_path,
    )
    fit(other, *data, epochs=2, batch_size=5, optimizer=sgd(other), callbacks=[plain := Weights()])
    np.testing.assert_array_equal(weights.after_steps, plain.after_steps)  # it learns as without
    mean = plain.after_steps[0]
    means = [mean]
    for value in plain.after_steps[1:]:
        means.append(means[-1] + 0.25 * (value - means[-1]))
    np.testing.assert_allclose(weights.after_epochs, [means[3], means[7]])
    np.testing.assert_allclose(model.weight.value, means[7])
    np.testing.assert_array_equal(storage.read(tmp_path / "model.safetensors")[0]["0.weight"], model.weight.value)
    assert history[-1]["test_loss"] == training.evaluate(model, *data)["loss"]


def test_early_stopping_keeps_the_average_where_there_is_one(data, model):
    weights = Weights()
    stopping = EarlyStopping("train_loss", patience=1)
    fit(model, *data, epochs=3, optimizer=sgd(model), average=0.5, callbacks=[weights, stopping])
    np.testing.assert_array_equal(model.weight.value, weights.after_epochs[-1])


# What is written


def test_csv_and_json_lines_hold_the_history(data, model, tmp_path):
    history = fit(
        model,
        *data,
        epochs=3,
        callbacks=[CSVLogger(tmp_path / "run.csv"), JSONLines(tmp_path / "run.jsonl")],
    )
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{name: float(value) if value else None for name, value in row.items()} for row in rows] == history
    assert [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()] == history


def test_tensorboard_reads_what_is_written(data, model, tmp_path):
    pytest.importorskip("tensorboardX", reason="tensorboardX writes the event files")
    history = fit(model, *data, epochs=2, batch_size=5, validation=data, callbacks=[TensorBoard(tmp_path, every=2)])
    values = scalars(tmp_path)
    for name in ("train_loss", "test_accuracy", "lr", "images_per_second"):
        found = dict(values[f"epoch/{name}"])
        np.testing.assert_allclose([found[4], found[8]], getattr(history, name), rtol=1e-6)
    assert [step for step, _ in values["step/train_loss"]] == [2, 4, 6, 8]


def scalars(folder):
    """The numbers in the event files of a folder, by tag: a list of (step, value)."""
    from tensorboardX.proto.event_pb2 import Event

    values = {}
    for path in folder.iterdir():
        content = path.read_bytes()
        while content:  # records of a length, its checksum, the event, its checksum
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                values.setdefault(value.tag, []).append((event.step, value.simple_value))
    return values


def test_tensorboard_that_is_not_installed_is_one_line_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r'not installed: pip install "colonnade\[tensorboard\]"\.'):
        TensorBoard(tmp_path)


# What goes wrong


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping("test_los"), "EarlyStopping: monitor must be one of test_loss, test_accuracy, train"),
        (lambda: EarlyStopping(patience=0), "EarlyStopping: patience must be positive, got 0"),
        (lambda: EarlyStopping(min_delta=-1), "EarlyStopping: min_delta must be zero or more, got -1"),
        (
            lambda: BestCheckpoint("a", min_delta=float("nan")),
            "BestCheckpoint: min_delta must be a finite number, got nan",
        ),
        (
            lambda: Scheduler(schedules.StepLR(SGD([Parameter((1,), zeros)]), 1), each="week"),
            "Scheduler: each must be 'step' or 'epoch', got 'week'",
        ),
        (lambda: TensorBoard("a", every=0), "TensorBoard: every must be positive, got 0"),
        (lambda: Average().state_dict(), "Average: it has seen no run yet"),
    ],
)
def test_wrong_arguments_are_one_line(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"callbacks": [EarlyStopping()]}, r"EarlyStopping: test_loss needs fit\(validation=\.\.\.\), got none"),
        ({"average": 1.5}, "fit: average must lie between 0 and 1, got 1.5"),
        (
            {"schedule": schedules.StepLR(SGD(SoftmaxRegression(3).build((4,)).parameters()), 1)},
            "the schedule must be one of the optimizer that is used, got another's",
        ),
    ],
)
def test_callbacks_that_do_not_fit_the_run_are_found_before_the_first_step(data, model, options, message):
    with pytest.raises(ArgumentError, match=message):
        fit(model, *data, normalization={"mean": [0] * 4, "std": [1] * 4}, **options)
    assert model.batches == []
    assert model.normalization is None


def test_a_measure_that_is_never_taken_is_named(data, model):
    stopping = EarlyStopping("train_accuracy")
    with pytest.raises(ArgumentError, match="train_accuracy needs class numbers as targets, got others"):
        fit(model, data[0], data[0][:, :3], loss=lambda y, t: (1.0, 0 * y), callbacks=[stopping])
