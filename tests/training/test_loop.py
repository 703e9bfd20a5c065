"""The training loop, on a model that one can follow by hand: softmax regression in plain NumPy."""

import json
import os
import signal
import threading
import time
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage
from colonnade.data import Arrays, Stream, load
from colonnade.errors import ArgumentError, DivergenceError, ShapeError
from colonnade.losses import CrossEntropyLoss, MSELoss
from colonnade.optimizers import SGD, AdamW
from colonnade.training import BatchRecord, Callback, evaluate, fit, predict, predict_outputs, predict_proba
from tests.training.softmax_regression import At, SoftmaxRegression, checkpoint, interrupt, rows_seen

# The loop


def test_training_is_the_textbook_loop(data, model):
    x, y = data
    fit(model, x, y, epochs=2, batch_size=5, shuffle=False, optimizer=SGD(model.build((4,)).parameters(), lr=0.5))
    w = np.zeros((4, 3))
    for _ in range(2):
        for start in range(0, 20, 5):
            batch = x[start : start + 5]
            p = np.exp(batch @ w)
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(5), y[start : start + 5]] -= 1
            w -= 0.5 * batch.T @ p / 5
    np.testing.assert_allclose(model.weight.value, w, rtol=1e-12)


def test_digits_are_learned_from_bytes():
    digits = load("digits")
    model = SoftmaxRegression(dtype="float32")
    history = fit(model, *digits.train, epochs=10, validation=digits.test, normalization=digits.normalization)
    assert history[-1]["test_accuracy"] > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_every_image_is_seen_once_an_epoch_in_the_order_of_seed_and_epoch(data, model):
    fit(model, *data, epochs=2, batch_size=6, seed=5)
    seen = [row for batch in rows_seen(model) for row in batch]
    assert sorted(seen[:20]) == sorted(seen[20:]) == list(range(20))
    assert seen[:20] == np.random.default_rng([5, 1]).permutation(20).tolist()
    assert seen[20:] == np.random.default_rng([5, 2]).permutation(20).tolist()


def test_seed_is_the_models_unless_given(data):
    first, second, third = (SoftmaxRegression(3, seed=seed) for seed in (4, 0, 0))
    fit(first, *data)
    fit(second, *data, seed=4)
    fit(third, *data)
    assert rows_seen(first) == rows_seen(second)
    assert rows_seen(first) != rows_seen(third)


def test_without_shuffle_images_come_as_they_are(data, model):
    fit(model, *data, batch_size=8, shuffle=False)
    assert rows_seen(model) == [list(range(8)), list(range(8, 16)), list(range(16, 20))]


def test_last_single_image_joins_the_batch_before(data, model):
    fit(model, data[0][:9], data[1][:9], batch_size=4, shuffle=False)
    assert rows_seen(model) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


def test_model_is_told_epoch_and_step(data, model):
    fit(model, *data, epochs=2, batch_size=10)
    assert model.positions == [(1, 1), (1, 2), (2, 1), (2, 2)]


def test_same_seed_gives_the_same_bits(data):
    weights = []
    for _ in range(2):
        model = SoftmaxRegression(3)
        fit(model, *data, epochs=3, batch_size=7)
        weights.append(model.weight.value.tobytes())
    assert weights[0] == weights[1]


def test_targets_may_be_numbers(data, model):
    x, _ = data
    history = fit(
        model, x, x @ np.ones((4, 3)), epochs=60, loss=MSELoss(), batch_size=5, validation=(x, x @ np.ones((4, 3)))
    )
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    assert history[-1]["train_accuracy"] is history[-1]["test_accuracy"] is None


# Normalization


def test_model_keeps_the_normalization_and_evaluation_and_prediction_use_it():
    digits = load("digits")
    model = SoftmaxRegression()
    fit(model, *digits.train, epochs=2, normalization=digits.normalization)
    assert model.normalization == digits.normalization
    x, y = digits.test
    mean, std = (digits.normalization[name][0] for name in ("mean", "std"))
    logits = ((x / 255 - mean) / std).reshape(len(x), -1) @ model.weight.value
    np.testing.assert_array_equal(predict(model, x), logits.argmax(axis=1))
    assert evaluate(model, x, y)["accuracy"] == np.mean(logits.argmax(axis=1) == y)


def test_fit_goes_on_with_the_normalization_that_the_model_has(data, model):
    x, y = data
    model.normalization = {"mean": [0, 0, 0, 0], "std": [2, 2, 2, 2]}
    fit(model, x, y, batch_size=20, shuffle=False)
    np.testing.assert_allclose(model.batches[0], x / 2)


# Records


def test_history_has_a_record_an_epoch(data, model):
    history = fit(model, *data, epochs=3, validation=data)
    assert [record["epoch"] for record in history] == history.epoch == [1, 2, 3]
    assert set(history[0]) == {
        "epoch",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
        "seconds",
        "images_per_second",
        "waiting",
        "lr",
    }
    assert history[0]["images_per_second"] == pytest.approx(20 / history[0]["seconds"])
    assert len(repr(history).splitlines()) == 4
    assert len({len(line) for line in repr(history).splitlines()}) == 1
    with pytest.raises(AttributeError, match="no column 'loss'"):
        _ = history.loss


def test_train_loss_is_the_mean_over_images_before_each_step(data, model):
    # A learning rate of zero: the weights stay zero, every class is as likely, the first of equals is told.
    history = fit(model, *data, batch_size=8, optimizer=SGD(model.build((4,)).parameters(), lr=0), validation=data)
    for part in ("train", "test"):
        assert history[0][f"{part}_loss"] == pytest.approx(np.log(3))
        assert history[0][f"{part}_accuracy"] == np.mean(data[1] == 0)


def test_without_validation_there_are_no_test_numbers(data, model):
    history = fit(model, *data)
    assert history[0]["test_loss"] is history[0]["test_accuracy"] is None


def test_callbacks_hear_of_every_step_and_epoch(data, model):
    heard = []
    callback = SimpleNamespace(on_batch_end=heard.append, on_epoch_end=heard.append)
    history = fit(model, *data, epochs=2, batch_size=8, callbacks=[callback, Callback()])
    places = [(r.epoch, r.epochs, r.step, r.steps, r.images) for r in heard if isinstance(r, BatchRecord)]
    assert places == [(epoch, 2, step, 3, images) for epoch in (1, 2) for step, images in ((1, 8), (2, 16), (3, 20))]
    assert heard[3] is history[0]
    assert heard[2].loss == history[0]["train_loss"]
    assert heard[2].accuracy == history[0]["train_accuracy"]


# Evaluation and prediction


@pytest.mark.parametrize("batch_size", [1, 7, 20, 100])
def test_batch_size_changes_no_result(data, model, batch_size):
    x, y = data
    fit(model, x, y, epochs=3)
    logits = x @ model.weight.value
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    result = evaluate(model, x, y, batch_size=batch_size)
    assert result["n"] == 20
    assert result["loss"] == pytest.approx(-np.log(p[np.arange(20), y]).mean())
    assert result["accuracy"] == np.mean(p.argmax(axis=1) == y)
    np.testing.assert_allclose(predict_proba(model, x, batch_size=batch_size), p, rtol=1e-12)
    np.testing.assert_allclose(predict_outputs(model, x, batch_size=batch_size), logits, rtol=1e-12)
    np.testing.assert_array_equal(predict(model, x, batch_size=batch_size), p.argmax(axis=1))


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropyLoss(weight=[0.1, 1.0, 5.0]),
        CrossEntropyLoss(ignore_index=1),
        CrossEntropyLoss(reduction="sum"),
        CrossEntropyLoss(weight=[0.1, 1.0, 5.0], reduction="sum", label_smoothing=0.1),
    ],
    ids=["class weights", "ignored class", "sum", "weighted sum"],
)
def test_the_loss_of_many_batches_is_that_of_one(data, model, loss):
    x, y = data
    y = np.where(np.arange(20) < 12, y, 0)  # so that batches differ in what their images weigh
    fit(model, x, y, epochs=3)
    whole, _ = loss(x @ model.weight.value, y)
    if loss.reduction == "sum":
        whole /= loss.count((20, 3), y)
    for batch_size in (4, 7, 20):
        assert evaluate(model, x, y, batch_size=batch_size, loss=loss)["loss"] == pytest.approx(whole)
    still = SGD(model.parameters(), lr=0)
    assert fit(model, x, y, loss=loss, optimizer=still, batch_size=7)[0]["train_loss"] == pytest.approx(whole)


IGNORING = [
    CrossEntropyLoss(ignore_index=-1),
    CrossEntropyLoss(ignore_index=-1, weight=[0.5, 1.0, 3.0], label_smoothing=0.2),
    CrossEntropyLoss(ignore_index=-1, weight=[0.0, 1.0, 3.0], label_smoothing=0.2),
    CrossEntropyLoss(ignore_index=-1, reduction="sum"),
]
SAID = ["mean", "weighted and smoothed", "a weight of zero, smoothed", "sum"]


def partly_ignored(data):
    """A third of the rows, one after the other, whose targets are left out; then some whose class may weigh nothing."""
    x, y = data
    return x, np.concatenate([np.full(8, -1), np.zeros(4, np.int64), y[12:]])


def of_all(loss, outputs, targets):
    """The mean loss of the whole, by PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs = torch.nn.CrossEntropyLoss(
        None if loss.weight is None else torch.tensor(loss.weight, dtype=torch.float64),
        ignore_index=loss.ignore_index,
        label_smoothing=loss.label_smoothing,
    )
    return theirs(torch.tensor(outputs), torch.tensor(targets)).item()


@pytest.mark.parametrize("loss", IGNORING, ids=SAID)
@pytest.mark.parametrize("batch_size", [2, 3, 4, 7, 20])
def test_batches_without_a_target_that_counts_change_nothing_in_the_mean_of_all(data, model, loss, batch_size):
    x, y = partly_ignored(data)
    fit(model, *data, epochs=3)
    expected = of_all(loss, x @ model.weight.value, y)
    found = evaluate(model, x, y, batch_size=batch_size, loss=loss)
    assert found["loss"] == pytest.approx(expected, rel=1e-12)
    assert found["accuracy"] == np.mean(predict(model, x)[8:] == y[8:])
    still = SGD(model.parameters(), lr=0)
    record = fit(model, x, y, loss=loss, optimizer=still, batch_size=batch_size, shuffle=False, validation=(x, y))[0]
    assert record["train_loss"] == pytest.approx(expected, rel=1e-12)
    assert record["test_loss"] == pytest.approx(expected, rel=1e-12)


def test_no_step_is_taken_on_a_batch_in_which_no_target_counts(data, model):
    x, y = partly_ignored(data)
    optimizer = SGD(model.build((4,)).parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    model.weight.value[...] = 1
    seen = []
    note = SimpleNamespace(on_batch_end=lambda record: seen.append(model.weight.value.copy()))
    loss = CrossEntropyLoss(ignore_index=-1)
    fit(model, x, y, loss=loss, optimizer=optimizer, batch_size=4, shuffle=False, epochs=2, callbacks=[note])
    moved = [np.any(after != before) for before, after in pairwise([np.ones((4, 3)), *seen])]
    assert moved == [False, False, True, True, True] * 2


@pytest.mark.parametrize("loss", IGNORING, ids=SAID)
@pytest.mark.parametrize("parts", [2, 5, 10])
def test_parts_without_a_target_that_counts_leave_the_gradient_of_the_whole(data, loss, parts):
    x, y = partly_ignored(data)
    weights = []
    for accumulate in (1, parts):
        each = SoftmaxRegression(3)
        optimizer = SGD(each.build((4,)).parameters(), lr=0.1)
        fit(each, x, y, epochs=3, batch_size=20, loss=loss, accumulate=accumulate, optimizer=optimizer, shuffle=False)
        weights.append(each.weight.value)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-12)


def test_a_set_without_a_target_that_counts_is_refused_before_the_first_step(data, model):
    x, nothing, loss = data[0], np.full(20, -1), CrossEntropyLoss(ignore_index=-1)
    message = r"a mean needs a target that counts, got none in 20\.$"
    with pytest.raises(ArgumentError, match=f"^evaluate: {message}"):
        evaluate(model, x, nothing, loss=loss)
    with pytest.raises(ArgumentError, match=f"^fit: {message}"):
        fit(model, x, nothing, loss=loss)
    with pytest.raises(ArgumentError, match=f"^fit: validation: {message}"):
        fit(model, *data, loss=loss, validation=(x, nothing))
    assert model.batches == []
    stream = Stream(lambda epoch: iter([(x, nothing)]), 1, (4,))
    with pytest.raises(ArgumentError, match=r"^fit: epoch 1: a mean needs a target that counts, got none in 20 images"):
        fit(model, stream, loss=loss)


def test_a_model_that_puts_out_nan_gives_no_class(data, model):
    x = data[0].copy()
    x[:, 3] = np.arange(20) != 7
    model.build((4,)).weight.value[3, 0] = -np.inf  # times zero it is NaN
    with np.errstate(invalid="ignore"):
        assert np.all(predict(model, x[:7]) > 0)
        for ask in (predict, predict_outputs, predict_proba):
            with pytest.raises(DivergenceError, match=rf"^{ask.__name__}: the model puts out NaN for image 7\.$"):
                ask(model, x, batch_size=3)


def test_ignored_targets_are_neither_right_nor_wrong(data, model):
    x, y = data
    fit(model, x, y, epochs=3)
    counted = y != 0
    expected = np.mean(predict(model, x)[counted] == y[counted])
    assert evaluate(model, x, y, loss=CrossEntropyLoss(ignore_index=0))["accuracy"] == expected


def test_numbers_of_numpy_are_written_too(data, model, tmp_path):
    def loss(y, targets):
        value, gradient = CrossEntropyLoss()(y, targets)
        return np.float32(value), gradient

    fit(model, *data, loss=loss, epochs=np.int64(2), batch_size=np.int32(8), seed=np.uint8(3), out=tmp_path)
    assert checkpoint(tmp_path)[1]["seed"] == 3


def test_probabilities_of_huge_outputs_are_finite(data, model):
    model.build((4,)).weight.value[...] = 1e4 * np.arange(12).reshape(4, 3)
    np.testing.assert_allclose(predict_proba(model, data[0]).sum(axis=1), 1)


# The files of a run


def test_run_leaves_metrics_checkpoint_and_model(data, model, tmp_path):
    history = fit(model, *data, epochs=2, validation=data, out=tmp_path / "runs" / "a")
    folder = tmp_path / "runs" / "a"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.jsonl",
        "model.safetensors",
    ]
    assert [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] == history
    np.testing.assert_array_equal(storage.read(folder / "model.safetensors")[0]["0.weight"], model.weight.value)


def test_checkpoint_holds_what_is_needed_to_go_on(data, model, tmp_path):
    optimizer = AdamW(model.build((4,)).parameters())
    fit(model, *data, epochs=2, batch_size=8, seed=3, optimizer=optimizer, out=tmp_path)
    tensors, run = checkpoint(tmp_path)
    np.testing.assert_array_equal(tensors.pop("model.0.weight"), model.weight.value)
    assert set(tensors) == {f"optimizer.{name}" for name in optimizer.state_dict()}
    for name, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(tensors[f"optimizer.{name}"], array)
    assert (run["epoch"], run["step"], run["seed"], run["batch_size"], run["data"]["images"]) == (2, 3, 3, 8, 20)
    assert run["architecture"] == model.config()
    assert [record["epoch"] for record in run["history"]] == [1, 2]


def test_unwritable_folder_is_found_before_the_first_step(data, model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ArgumentError, match="can't write to this output folder"):
        fit(model, *data, out=tmp_path / "file")
    assert model.batches == []


@pytest.mark.parametrize("place", [{"step": 2, "epoch": 2}, {"epoch": 2}])
def test_interrupt_writes_the_checkpoint_and_is_raised_again(data, model, tmp_path, place):
    with pytest.raises(KeyboardInterrupt):
        fit(model, *data, epochs=5, batch_size=8, out=tmp_path, callbacks=[At(interrupt, **place)])
    tensors, run = checkpoint(tmp_path)
    assert (run["epoch"], run["step"]) == (2, place.get("step", 3))
    np.testing.assert_array_equal(tensors["model.0.weight"], model.weight.value)
    assert not (tmp_path / "model.safetensors").exists()


def signal_in_the_middle_of_step(model, monkeypatch, step, times=1):
    backward = model.backward

    def signalled(gradient, **options):
        if model.position == (1, step):
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
        return backward(gradient, **options)

    monkeypatch.setattr(model, "backward", signalled)


@pytest.mark.usefixtures("python_handles_interrupts")
def test_interrupt_in_the_middle_of_a_step_waits_until_it_is_whole(data, model, tmp_path, monkeypatch):
    signal_in_the_middle_of_step(model, monkeypatch, step=2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, *data, batch_size=5, out=tmp_path)
    stopped, run = checkpoint(tmp_path)
    assert run["step"] == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    other = SoftmaxRegression(3)  # stopped between two steps
    with pytest.raises(KeyboardInterrupt):
        fit(other, *data, batch_size=5, callbacks=[At(interrupt, step=2)])
    np.testing.assert_array_equal(stopped["model.0.weight"], other.weight.value)


@pytest.mark.usefixtures("python_handles_interrupts")
def test_second_interrupt_stops_at_once_and_keeps_no_half_step(data, model, tmp_path, monkeypatch):
    signal_in_the_middle_of_step(model, monkeypatch, step=2, times=2)
    with pytest.raises(KeyboardInterrupt):
        fit(model, *data, batch_size=5, out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_training_runs_outside_the_main_thread(data, model):
    thread = threading.Thread(target=fit, args=(model, *data))
    thread.start()
    thread.join()
    assert len(model.batches) == 1


def test_full_disk_leaves_the_last_checkpoint_whole(data, model, tmp_path, monkeypatch):
    def fill():
        def fail(descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(
        OSError, match="No space left on device: the checkpoint can't be written; the one before stays whole"
    ):
        fit(model, *data, epochs=3, out=tmp_path, callbacks=[At(fill, step=1, epoch=2)])
    assert checkpoint(tmp_path)[1]["epoch"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]


# What goes wrong


def test_image_that_is_not_finite_stops_the_run_by_epoch_step_and_image(data, model):
    x, y = data
    x[13, 2] = np.nan
    with pytest.raises(DivergenceError, match=r"^fit: epoch 1, step 3: image 13 holds NaN or infinity\.$"):
        fit(model, x, y, batch_size=5, shuffle=False)
    assert len(model.batches) == 2
    with pytest.raises(DivergenceError, match=r"^evaluate: image 13"):
        evaluate(model, x, y)
    with pytest.raises(DivergenceError, match=r"^predict: image 13"):
        predict(model, x)


def test_loss_that_became_nan_stops_the_run_and_the_last_good_checkpoint_stays(data, model, tmp_path):
    def spoil():
        model.weight.value[...] = np.nan

    with pytest.raises(DivergenceError, match=r"epoch 2, step 2: the loss became nan.*checkpoint.* holds epoch 1"):
        fit(model, *data, epochs=3, batch_size=5, out=tmp_path, callbacks=[At(spoil, step=1, epoch=2)])
    tensors, run = checkpoint(tmp_path)
    assert (run["epoch"], run["step"]) == (1, 4)
    assert np.isfinite(tensors["model.0.weight"]).all()


def test_weights_that_the_last_step_of_an_epoch_spoiled_are_not_kept(data, model, tmp_path):
    def spoil():
        model.weight.value[0, 0] = np.inf

    with pytest.raises(DivergenceError, match=r"epoch 2, step 4: 0\.weight is no longer finite"):
        fit(model, *data, epochs=2, batch_size=5, out=tmp_path, callbacks=[At(spoil, step=4, epoch=2)])
    assert checkpoint(tmp_path)[1]["epoch"] == 1


def test_interrupt_does_not_write_spoiled_weights(data, model, tmp_path):
    def spoil_and_interrupt():
        model.weight.value[0, 0] = np.nan
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        fit(model, *data, epochs=2, batch_size=5, out=tmp_path, callbacks=[At(spoil_and_interrupt, step=2, epoch=2)])
    assert checkpoint(tmp_path)[1]["epoch"] == 1


def test_runaway_training_is_one_error_and_no_warning(data, model):
    optimizer = SGD(model.build((4,)).parameters(), lr=1e200)
    with pytest.raises(DivergenceError, match="fit: epoch"):
        fit(model, data[0], data[0][:, :3], epochs=50, batch_size=5, loss=MSELoss(), optimizer=optimizer)


@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_are_checked_before_the_first_update(data, model, wrong):
    x, y = data
    y = y.copy()
    y[19] = wrong  # in the last batch
    for arguments in ({"y": y}, {"y": data[1], "validation": (x, y)}):
        with pytest.raises(ArgumentError, match=f"class numbers must be from 0 to 2, got {wrong}"):
            fit(model, x, batch_size=5, shuffle=False, **arguments)
        assert not model.weight.value.any()
    with pytest.raises(ArgumentError, match=r"^evaluate: CrossEntropyLoss: class numbers must be from 0 to 2"):
        evaluate(model, x, y, batch_size=5)


def test_labels_that_the_loss_ignores_are_allowed(data, model):
    x, y = data
    y = np.where(np.arange(20) == 7, -1, y)
    fit(model, x, y, loss=CrossEntropyLoss(ignore_index=-1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": 0}, ArgumentError, "fit: epochs must be positive, got 0"),
        ({"epochs": 2.5}, ArgumentError, "fit: epochs must be a whole number, got 2.5"),
        ({"batch_size": -1}, ArgumentError, "fit: batch_size must be positive, got -1"),
        ({"batch_size": "8"}, ArgumentError, "fit: batch_size must be a whole number, got '8'"),
        ({"seed": -1}, ArgumentError, "fit: seed must be zero or more, got -1"),
        ({"y": np.zeros(20)}, ArgumentError, "fit: CrossEntropyLoss: class numbers must be integers, got float64"),
        ({"y": np.zeros((20, 1), int)}, ShapeError, r"fit: CrossEntropyLoss: targets for y of shape \(20, 3\)"),
        ({"y": ["a"] * 20}, ArgumentError, r"fit: expected a name for each of the outputs \(3,\), got 1 in y: a\."),
        ({"y": np.zeros(19, int)}, ShapeError, r"a target for each of 20 images, got y of shape \(19,\)"),
        ({"y": 3}, ShapeError, "a target for each"),
        ({"x": np.zeros((0, 4)), "y": np.zeros(0, int)}, ArgumentError, "at least one image"),
        ({"validation": (np.zeros((2, 4)), [0])}, ShapeError, "fit: validation: expected a target for each of 2"),
        ({"validation": (np.zeros((0, 4)), [])}, ArgumentError, "fit: validation: expected at least one image"),
        ({"validation": np.zeros((3, 4))}, ArgumentError, r"fit: validation: expected a pair \(x, y\), got ndarray"),
        (
            {"validation": (np.zeros((2, 5)), [0, 1])},
            ShapeError,
            r"fit: validation: expected images of shape \(4,\), as in training, got \(5,\)",
        ),
        (
            {"validation": (np.array([[0.0] * 4, [np.nan] * 4]), [0, 1])},
            DivergenceError,
            "fit: validation: image 1 holds NaN or infinity",
        ),
        ({"normalization": {"mean": [0], "std": [0]}}, ArgumentError, "normalization"),
        ({"accumulate": 0}, ArgumentError, "fit: accumulate must be positive, got 0"),
        ({"clip": -1}, ArgumentError, "fit: clip must be positive, got -1"),
        ({"memory": 0}, ArgumentError, "fit: memory must be positive, got 0"),
        ({"steps": 0}, ArgumentError, "fit: steps must be positive, got 0"),
        ({"max_time": np.nan}, ArgumentError, "fit: max_time must be a finite number, got nan"),
        ({"checkpoint_seconds": -1}, ArgumentError, "fit: checkpoint_seconds must be zero or more, got -1"),
        ({"workers": -1}, ArgumentError, "fit: workers must be zero or more, got -1"),
        ({"y": None}, ArgumentError, "fit: expected targets y, or x with targets of its own, got ndarray"),
        ({"x": Arrays(np.zeros((2, 4)), [0, 1])}, ArgumentError, "fit: Arrays has targets of its own, expected no y"),
    ],
)
def test_wrong_arguments_are_one_line_and_nothing_is_trained(data, model, change, error, message):
    with pytest.raises(error, match=message) as raised:
        fit(model, **({"x": data[0], "y": data[1]} | change))
    assert "\n" not in str(raised.value)
    assert model.batches == []


def test_a_run_that_is_refused_leaves_no_trace(data, model, tmp_path):
    model.normalization = {"mean": [0.0] * 4, "std": [1.0] * 4}
    with pytest.raises(ArgumentError, match="class numbers"):
        fit(model, data[0], data[1] + 1, normalization={"mean": [9] * 4, "std": [9] * 4}, out=tmp_path / "run")
    assert model.normalization == {"mean": [0.0] * 4, "std": [1.0] * 4}
    assert list(tmp_path.iterdir()) == []


def test_predicting_nothing_is_refused(data, model):
    fit(model, *data)
    for ask in (predict, predict_outputs, predict_proba):
        with pytest.raises(
            ArgumentError, match=rf"{ask.__name__}: expected at least one image, got x of shape \(0, 4\)"
        ):
            ask(model, data[0][:0])
    with pytest.raises(ArgumentError, match="predict: batch_size must be positive, got 0"):
        predict(model, data[0], batch_size=0)


def test_an_optimizer_of_another_model_is_noticed(data, model):
    other = SoftmaxRegression(3)
    optimizer = SGD(other.build((4,)).parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match=r"must learn this model's parameters, got 1 of another model, such as"):
        fit(model, *data, optimizer=optimizer)
    assert model.batches == []
    assert not other.weight.grad.any()


# Examples and streams


def test_examples_bring_their_targets(data, model):
    x, y = data
    other = SoftmaxRegression(3)
    first = fit(model, Arrays(x, y), validation=Arrays(x, y), epochs=2, batch_size=8)
    second = fit(other, x, y, validation=(x, y), epochs=2, batch_size=8)
    assert first.test_loss == second.test_loss
    assert evaluate(model, Arrays(x, y)) == evaluate(other, x, y)
    np.testing.assert_array_equal(predict(model, Arrays(x, y)), predict(model, x))
    np.testing.assert_array_equal(predict_proba(model, Arrays(x)), predict_proba(model, x))


def test_a_stream_is_trained_on_as_it_comes(data, model, tmp_path):
    x, y = data

    def make(epoch):
        for start in range(epoch, 20, 5):
            yield x[start : start + 5], y[start : start + 5]

    history = fit(model, Stream(make, steps=3, shape=(4,)), epochs=2, validation=data, out=tmp_path)
    assert len(history) == 2
    assert rows_seen(model) == [list(range(start, start + 5)) for start in (1, 6, 11, 2, 7, 12)]


def test_waiting_is_told_apart_from_computing(data, model):
    class Slow(Arrays):
        def take(self, positions):
            time.sleep(0.02)
            return super().take(positions)

    heard = []
    slow = Slow(*data)
    slow.in_memory = False
    callback = SimpleNamespace(on_batch_end=heard.append)
    history = fit(model, slow, batch_size=5, workers=0, callbacks=[callback])
    assert [record.waiting >= 0.02 * record.step for record in heard] == [True] * 4
    assert heard[-1].waiting == history[0]["waiting"] <= history[0]["seconds"] == heard[-1].seconds


def test_mixed_images_are_right_by_their_greater_part(model):
    x, y = np.eye(4)[[0, 1, 2, 0, 1, 2]], np.arange(6) % 3

    def mix(x, targets, draws):
        return x, 0.9 * np.eye(3)[targets] + 0.1 * np.eye(3)[(targets + 1) % 3]

    history = fit(
        model, x, y, epochs=50, batch_size=6, augmentation=mix, optimizer=AdamW(model.build((4,)).parameters(), 0.1)
    )
    assert history[-1]["train_accuracy"] == 1
    assert 0.3 < history[-1]["train_loss"] < 0.4  # the entropy of (0.9, 0.1) is 0.325


# Parts of a batch, norms, budgets


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropyLoss(),
        CrossEntropyLoss(weight=[0.1, 1.0, 5.0]),
        CrossEntropyLoss(ignore_index=1),
        CrossEntropyLoss(reduction="sum"),
        lambda y, targets: CrossEntropyLoss()(y, targets),
    ],
    ids=["mean", "class weights", "ignored class", "sum", "a function"],
)
@pytest.mark.parametrize("parts", [2, 3, 10])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(data, loss, parts):
    x, y = data
    y = np.where(np.arange(20) < 8, 1, y)  # the first parts hold one class alone, which may not count
    whole, cut = SoftmaxRegression(3), SoftmaxRegression(3)
    histories = [
        fit(each, x, y, epochs=3, batch_size=20, shuffle=False, loss=loss, accumulate=accumulate,
            optimizer=SGD(each.build((4,)).parameters(), lr=0.1))
        for each, accumulate in ((whole, 1), (cut, parts))
    ]  # fmt: skip
    assert len(cut.batches) == 3 * parts
    np.testing.assert_allclose(cut.weight.value, whole.weight.value, rtol=1e-12)
    np.testing.assert_allclose(histories[1].train_loss, histories[0].train_loss)
    assert histories[1].train_accuracy == histories[0].train_accuracy


def test_parts_draw_other_random_numbers_and_hold_two_images(data, model):
    fit(model, *data, batch_size=7, accumulate=7, shuffle=False)
    assert [len(batch) for batch in model.batches] == [2, 2, 3, 2, 2, 3, 2, 2, 2]
    assert model.positions[:4] == [(1, 1, 1), (1, 1, 2), (1, 1, 3), (1, 2, 1)]


def test_gradients_are_cut_to_a_norm(data, model):
    fit(model, *data, batch_size=20, clip=0.01, optimizer=SGD(model.build((4,)).parameters(), lr=1.0))
    assert np.linalg.norm(model.weight.value) == pytest.approx(0.01, rel=1e-3)


def digits_model():
    layers = [cn.Conv2d(1, 16, 3, padding=1), cn.ReLU(), cn.Flatten(), cn.Dense(1024, 10)]
    return cn.Model(layers, seed=0).build((1, 8, 8))


def test_a_batch_is_cut_until_it_fits_the_memory():
    digits = load("digits")
    x, y = digits.train.x[:128], digits.train.y[:128]
    model = digits_model()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    fixed = 3 * sum(parameter.size for parameter in model.parameters()) * 4 + 128 * 64 * 4

    def needed(images):
        return fixed + model.plan((images, 1, 8, 8), training=True).bytes

    def parts(memory, **options):
        seen = []
        callback = SimpleNamespace(on_train_begin=lambda run: seen.append(run.accumulate))
        fit(model, x, y, optimizer=optimizer, memory=memory, callbacks=[callback], **options)
        return seen[0]

    assert needed(128) > needed(64) > needed(32)
    assert parts(needed(128) + 100) == 1
    assert parts(needed(128) - 100) == 2
    assert parts(needed(32) + 100) <= 4
    assert parts(needed(128) + 100, accumulate=3) == 3
    assert parts(needed(128) + 100, validation=(x, y)) > 1
    with pytest.raises(
        ArgumentError, match=r"a step of 2 images at a time needs [\d,]+ bytes, [\d,]+ more than memory="
    ):
        fit(model, x, y, optimizer=optimizer, memory=needed(2) - 100)


def test_memory_needs_a_model_with_a_plan(data, model):
    with pytest.raises(ArgumentError, match="memory needs a model that plans its memory"):
        fit(model, *data, memory=1e9)


@pytest.mark.parametrize(("steps", "of_epochs"), [(1, [1]), (4, [4]), (6, [4, 2]), (100, [4, 4, 4])])
def test_steps_end_the_last_epoch_early_and_the_schedule_with_it(data, model, steps, of_epochs):
    rates, seen = [], []

    class Watch(Callback):
        def on_train_begin(self, run):
            assert (run.total, run.epochs) == (sum(of_epochs), len(of_epochs))

        def on_batch_end(self, record):
            rates.append(record.lr)
            seen.append((record.epoch, record.step, record.steps))

    options = {"optimizer": "sgd", "schedule": "one-cycle", "callbacks": [Watch()], "validation": data}
    history = fit(model, *data, epochs=3, batch_size=5, steps=steps, **options)
    assert seen == [(epoch, step, of) for epoch, of in enumerate(of_epochs, 1) for step in range(1, of + 1)]
    assert history.stopped is None
    assert [record["epoch"] for record in history] == list(range(1, len(of_epochs) + 1))
    assert history[-1]["test_accuracy"] is not None
    if len(rates) > 2:
        assert rates[-1] < 1e-3 * max(rates)


def test_time_that_is_up_ends_a_run_behind_the_step(data, model):
    history = fit(model, *data, epochs=1000, batch_size=5, validation=data, max_time=1e-9)
    assert len(model.batches) == 1
    assert len(history) == 1
    assert history[0]["test_accuracy"] is not None
    assert history.stopped == "the time was up in epoch 1, after step 1 of 4"
    assert fit(model, *data, max_time=60).stopped is None
