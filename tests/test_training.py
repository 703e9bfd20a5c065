"""The training loop, on a model that one can follow by hand: softmax regression in plain NumPy."""

import json
import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from colonnade import initializers, storage, training
from colonnade.data import load
from colonnade.errors import ArgumentError, DivergenceError, ShapeError
from colonnade.losses import CrossEntropyLoss, MSELoss
from colonnade.optimizers import SGD, AdamW
from colonnade.tensor import Parameter
from colonnade.training import Callback, evaluate, fit, predict, predict_proba


class SoftmaxRegression:
    """y = x W on flattened images, all weights zero at first; it notes what it is given."""

    def __init__(self, classes=10, seed=0, dtype="float64"):
        self.seed = seed
        self.classes = None
        self.normalization = None
        self.position = (0, 0)
        self.dtype = np.dtype(dtype)
        self.input_shape = None
        self.output_shape = (classes,)
        self.batches = []
        self.positions = []

    def build(self, input_shape):
        self.input_shape = tuple(input_shape)
        self.weight = Parameter((int(np.prod(input_shape)), *self.output_shape), initializers.zeros)
        self.weight.dtype = self.dtype
        return self

    def __call__(self, x, training=False):
        assert x.dtype == self.dtype
        self.x = x.reshape(len(x), -1).copy()
        if training:
            self.batches.append(self.x)
            self.positions.append(self.position)
        return self.x @ self.weight.value

    def backward(self, gradient, *, input_gradient=True):
        self.weight.grad += self.x.T @ gradient

    def zero_grad(self):
        self.weight.zero_grad()

    def parameters(self):
        return [self.weight]

    def state_dict(self):
        return {"0.weight": self.weight.value.copy()}

    def config(self):
        return [{"type": "SoftmaxRegression", "classes": self.output_shape[0]}]

    def save(self, path):
        storage.write(path, self.state_dict(), {})


class At(Callback):
    """Does something after one step, or after one epoch."""

    def __init__(self, act, step=None, epoch=None):
        self.act, self.step, self.epoch = act, step, epoch

    def on_batch_end(self, record):
        if record.step == self.step and record.epoch == (self.epoch or 1):
            self.act()

    def on_epoch_end(self, record):
        if self.step is None and record["epoch"] == self.epoch:
            self.act()


def interrupt():
    raise KeyboardInterrupt


@pytest.fixture
def data():
    """Twenty rows whose first number tells which row they are, of three classes."""
    x = np.random.default_rng(0).normal(size=(20, 4))
    x[:, 0] = np.arange(20) / 20
    return x, np.arange(20) % 3


@pytest.fixture
def model():
    return SoftmaxRegression(classes=3)


def rows_seen(model):
    return [np.rint(batch[:, 0] * 20).astype(int).tolist() for batch in model.batches]


def checkpoint(folder):
    tensors, metadata = storage.read(folder / "checkpoint.safetensors")
    return tensors, json.loads(metadata["run"])


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
    places = [(r.epoch, r.epochs, r.step, r.steps, r.images) for r in heard if isinstance(r, training.BatchRecord)]
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
    assert (run["epoch"], run["step"], run["seed"], run["batch_size"], run["images"]) == (2, 3, 3, 8, 20)
    assert run["config"] == model.config()
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


@pytest.fixture
def python_handles_interrupts():
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.skipif(os.name != "posix", reason="sends itself a POSIX signal")
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


@pytest.mark.skipif(os.name != "posix", reason="sends itself a POSIX signal")
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

    with pytest.raises(OSError, match="No space left"):
        fit(model, *data, epochs=3, out=tmp_path, callbacks=[At(fill, epoch=1)])
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
        ({"epochs": 0}, ArgumentError, "fit: epochs must be a positive whole number, got 0"),
        ({"epochs": 2.5}, ArgumentError, "fit: epochs must be a positive whole number, got 2.5"),
        ({"batch_size": -1}, ArgumentError, "fit: batch_size must be a positive whole number, got -1"),
        ({"batch_size": "8"}, ArgumentError, "fit: batch_size must be a positive whole number, got '8'"),
        ({"seed": -1}, ArgumentError, "fit: seed must be a whole number, not negative, got -1"),
        ({"y": np.zeros(20)}, ArgumentError, "fit: CrossEntropyLoss: class numbers must be integers, got float64"),
        ({"y": np.zeros((20, 1), int)}, ShapeError, r"fit: CrossEntropyLoss: targets for y of shape \(20, 3\)"),
        ({"y": ["a"] * 20}, ArgumentError, "class numbers must be integers, got <U1"),
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
    for ask in (predict, predict_proba):
        with pytest.raises(
            ArgumentError, match=rf"{ask.__name__}: expected at least one image, got x of shape \(0, 4\)"
        ):
            ask(model, data[0][:0])
    with pytest.raises(ArgumentError, match="predict: batch_size must be a positive whole number, got 0"):
        predict(model, data[0], batch_size=0)


def test_optimizers_are_known_by_name(model):
    parameters = model.build((4,)).parameters()
    assert isinstance(training.optimizer("adamw", parameters), AdamW)
    assert training.optimizer("sgd", parameters, lr=0.2).lr == 0.2
    with pytest.raises(ArgumentError, match="sgd, adam, adamw, got 'rmsprop'"):
        training.optimizer("rmsprop", parameters)
