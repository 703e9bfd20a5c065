"""Training models of several inputs and outputs, beside a loop written by hand and beside PyTorch."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import Stream
from colonnade.data.augmentation import MixUp, RandomHorizontalFlip
from colonnade.errors import ArgumentError, DivergenceError, ShapeError
from colonnade.losses import CrossEntropyLoss, MSELoss
from colonnade.optimizers import SGD
from colonnade.training import CSVLogger, JointLoss

N = 22


def two_by_two(dtype: str = "float32", seed: int = 0) -> cn.Model:
    """Two inputs, image and row; two outputs, classes and a number."""
    nodes = {
        "conv": (cn.Conv2d(1, 4, 3), "image"),
        "norm": (cn.BatchNorm2d(4), "conv"),
        "relu": (cn.ReLU(), "norm"),
        "flat": (cn.Flatten(), "relu"),
        "joined": (cn.Concat(1), "flat", "row"),
        "dropped": (cn.Dropout(0.3), "joined"),
        "digit": (cn.Dense(4 * 16 + 5, 3), "dropped"),
        "size": (cn.Dense(4 * 16 + 5, 1), "joined"),
    }
    return cn.Model(cn.Graph(nodes, ["image", "row"], ["digit", "size"]), seed=seed, dtype=dtype)


def heads(dtype: str = "float32") -> cn.Model:
    """One input, two outputs."""
    nodes = {
        "flat": (cn.Flatten(), "image"),
        "hidden": (cn.Dense(36, 8), "flat"),
        "bent": (cn.Tanh(), "hidden"),
        "digit": (cn.Dense(8, 3), "bent"),
        "size": (cn.Dense(8, 1), "bent"),
    }
    return cn.Model(cn.Graph(nodes, ["image"], ["digit", "size"]), seed=0, dtype=dtype)


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "image": rng.normal(size=(N, 1, 6, 6)).astype(np.float32),
        "row": rng.normal(size=(N, 5)).astype(np.float32),
        "digit": np.arange(N) % 3,
        "size": rng.normal(size=(N, 1)).astype(np.float32),
    }


def both(arrays: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: arrays[name] for name in names}


OPTIONS = {"loss": {"digit": "cross_entropy", "size": "mse"}, "loss_weights": {"digit": 1, "size": 0.25}}


def fitted(model: cn.Model, arrays: dict[str, np.ndarray], **options) -> cn.training.History:
    settings = {"epochs": 2, "batch_size": 7, **OPTIONS} | options
    optimizer = SGD(model.build(((1, 6, 6), (5,))).parameters(), lr=0.1, momentum=0.9)
    return model.fit(both(arrays, "image", "row"), both(arrays, "digit", "size"), optimizer=optimizer, **settings)


def assert_same(one: cn.Model, other: cn.Model) -> None:
    states = one.state_dict(), other.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, array in states[0].items():
        np.testing.assert_array_equal(array, states[1][name], err_msg=name)


# The loop


def test_fit_is_the_loop_by_hand_bit_for_bit(arrays):
    ours, theirs = two_by_two(), two_by_two()
    history = fitted(ours, arrays, seed=3)
    optimizer = SGD(theirs.build(((1, 6, 6), (5,))).parameters(), lr=0.1, momentum=0.9)
    losses = []
    for epoch in (1, 2):
        order = np.random.default_rng([3, epoch]).permutation(N)
        sums = np.zeros(2)
        for step, start in enumerate((0, 7, 14), 1):  # the last single one joins the batch before
            chosen = order[start : start + 7 if step < 3 else N]
            theirs.position = (epoch, step)
            digit, size = theirs((arrays["image"][chosen], arrays["row"][chosen]), training=True)
            first, at_digit = CrossEntropyLoss()(digit, arrays["digit"][chosen])
            second, at_size = MSELoss()(size, arrays["size"][chosen])
            theirs.zero_grad()
            theirs.backward((at_digit, 0.25 * at_size), input_gradient=False)
            optimizer.step()
            sums += np.array([first, second]) * len(chosen)
        losses.append(sums / N)
    assert_same(ours, theirs)
    np.testing.assert_allclose(history.train_loss_digit, [one for one, _ in losses], rtol=1e-12)
    np.testing.assert_allclose(history.train_loss_size, [other for _, other in losses], rtol=1e-12)
    np.testing.assert_allclose(history.train_loss, [one + 0.25 * other for one, other in losses], rtol=1e-12)


def test_one_step_is_that_of_pytorch(arrays):
    torch = pytest.importorskip("torch")
    model = heads("float64").build((1, 6, 6))
    weights = {name: torch.tensor(array, requires_grad=True) for name, array in model.state_dict().items()}
    bent = torch.tanh(
        torch.nn.functional.linear(
            torch.tensor(arrays["image"]).double().flatten(1), weights["hidden.weight"], weights["hidden.bias"]
        )
    )
    digit, size = (
        torch.nn.functional.linear(bent, weights[f"{name}.weight"], weights[f"{name}.bias"])
        for name in ("digit", "size")
    )
    loss = 2 * torch.nn.functional.cross_entropy(digit, torch.tensor(arrays["digit"]))
    loss = loss + 0.5 * torch.nn.functional.mse_loss(size, torch.tensor(arrays["size"]).double())
    loss.backward()
    torch.optim.SGD(weights.values(), lr=0.1).step()
    optimizer = SGD(model.parameters(), lr=0.1)
    targets = arrays["digit"], arrays["size"]
    settings = {"loss": ("cross_entropy", MSELoss()), "loss_weights": (2, 0.5), "batch_size": N, "shuffle": False}
    history = model.fit(arrays["image"], targets, optimizer=optimizer, **settings)
    assert history[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-12)
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, weights[name].detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def test_tuples_and_dicts_in_any_order_are_the_same(arrays):
    one, other = two_by_two(), two_by_two()
    fitted(one, arrays)
    optimizer = SGD(other.build(((1, 6, 6), (5,))).parameters(), lr=0.1, momentum=0.9)
    x, y = (arrays["image"], arrays["row"]), both(arrays, "size", "digit")
    settings = {"loss": ("cross_entropy", "mse"), "loss_weights": [1, 0.25]}
    other.fit(x, y, epochs=2, batch_size=7, optimizer=optimizer, **settings)
    assert_same(one, other)


def test_parts_of_a_batch_add_up_to_its_gradient(arrays):
    one, other = heads("float64"), heads("float64")
    arrays["digit"][:5] = -100  # the parts do not weigh the same
    for model, accumulate in ((one, 1), (other, 3)):
        optimizer = SGD(model.build((1, 6, 6)).parameters(), lr=0.1)
        model.fit(arrays["image"], both(arrays, "digit", "size"), optimizer=optimizer, accumulate=accumulate, **OPTIONS)
    for name, array in one.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], rtol=1e-12, atol=1e-14)


def test_a_model_of_several_inputs_and_one_output_takes_one_loss(arrays):
    nodes = {
        "flat": (cn.Flatten(), "image"),
        "joined": (cn.Concat(1), "flat", "row"),
        "digit": (cn.Dense(41, 3), "joined"),
    }
    model = cn.Model(cn.Graph(nodes, ["image", "row"]), seed=0)
    x = both(arrays, "row", "image")
    history = model.fit(x, arrays["digit"], epochs=60, optimizer="sgd", validation=(x, arrays["digit"]))
    assert history[-1]["test_accuracy"] > 0.9
    assert set(history[0]) == set(cn.training.EpochRecord.__annotations__)
    predicted = model.predict((arrays["image"], arrays["row"]))
    assert np.mean(predicted == arrays["digit"]) == history[-1]["test_accuracy"]


def test_one_loss_serves_all_outputs(arrays):
    nodes = {"left": (cn.Dense(5, 2), "row"), "right": (cn.Dense(5, 3), "row")}
    model = cn.Model(cn.Graph(nodes, ["row"], ["left", "right"]), seed=0)
    model.fit(arrays["row"], (arrays["digit"] % 2, arrays["digit"]), epochs=2)
    left, right = model.predict_proba(arrays["row"])
    assert (left.shape, right.shape) == ((N, 2), (N, 3))
    np.testing.assert_allclose(right.sum(axis=1), 1, rtol=1e-5)
    for made, expected in zip(model.predict_outputs(arrays["row"], batch_size=5), model(arrays["row"]), strict=True):
        np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-6)


def test_an_output_whose_loss_needs_no_target_is_given_none(arrays):
    def smallness(y, target):
        assert target.shape == (len(y), 0)
        return float(np.mean(y**2)), 2 * y / y.size

    model = heads()
    history = model.fit(arrays["image"], {"digit": arrays["digit"], "size": None}, loss=("cross_entropy", smallness))
    assert history[0]["train_accuracy_size"] is None
    assert history[0]["train_accuracy_digit"] == history[0]["train_accuracy"]


def test_bytes_are_divided_by_255_in_every_input(arrays):
    images = np.random.default_rng(1).integers(0, 256, (N, 1, 6, 6), np.uint8)
    one, other = two_by_two(), two_by_two()
    fitted(one, arrays | {"image": images})
    fitted(other, arrays | {"image": images * np.float32(1 / 255)})
    for name, array in one.state_dict().items():
        np.testing.assert_allclose(array, other.state_dict()[name], rtol=1e-4, atol=1e-5)


def test_a_budget_of_memory_cuts_the_batch(arrays):
    model = two_by_two().build(((1, 6, 6), (5,)))
    whole = model.plan(((N, 1, 6, 6), (N, 5)), training=True).bytes
    with pytest.raises(ArgumentError, match="a step of 2 images at a time needs"):
        fitted(model, arrays, memory=1000, batch_size=N)
    assert len(fitted(model, arrays, memory=2 * whole + 100_000, batch_size=N)) == 2


# Going on, and files


def test_a_run_that_was_stopped_goes_on_bit_for_bit(arrays, tmp_path):
    x, y = both(arrays, "image", "row"), both(arrays, "digit", "size")
    whole, stopped = two_by_two(), two_by_two()
    expected = fitted(whole, arrays, epochs=3, validation=(x, y), out=tmp_path / "whole")
    settings = {"epochs": 3, "validation": (x, y), "out": tmp_path / "run", "checkpoint_seconds": 0}

    class Stop(cn.training.Callback):
        def on_batch_end(self, record):
            if (record.epoch, record.step) == (2, 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(stopped, arrays, callbacks=[Stop()], **settings)
    fresh = two_by_two()
    history = fitted(fresh, arrays, resume=True, **settings)
    assert_same(whole, fresh)
    for name in ("train_loss", "train_loss_digit", "train_loss_size", "test_loss_size", "test_accuracy_digit"):
        assert getattr(history, name) == getattr(expected, name)
    with pytest.raises(ArgumentError, match=r"another run: loss.weights"):
        fitted(two_by_two(), arrays, resume=True, **settings | {"loss_weights": (1, 1)})
    with pytest.raises(ArgumentError, match=r"another run: data"):
        fitted(two_by_two(), arrays | {"row": arrays["row"] + 1}, resume=True, **settings)


def test_every_loss_has_a_column_in_history_and_logs(arrays, tmp_path):
    x, y = both(arrays, "image", "row"), both(arrays, "digit", "size")
    model, seen = two_by_two(), []

    class Listener(cn.training.Callback):
        def on_batch_end(self, record):
            seen.append(record.losses)

    logs = [CSVLogger(tmp_path / "run.csv"), Listener()]
    history = fitted(model, arrays, validation=(x, y), out=tmp_path / "run", callbacks=logs)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == list(history)
    with (tmp_path / "run.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = model.evaluate(x, y, **OPTIONS)
    for name in ("digit", "size"):
        assert float(rows[-1][f"train_loss_{name}"]) == history[-1][f"train_loss_{name}"]
        assert float(rows[-1][f"test_loss_{name}"]) == found[f"loss_{name}"] == history[-1][f"test_loss_{name}"]
    assert found["loss"] == found["loss_digit"] + 0.25 * found["loss_size"]
    assert set(seen[0]) == {"digit", "size"}
    assert seen[-1]["size"] == history[-1]["train_loss_size"]
    assert "train loss size" in repr(history)


def test_a_run_may_be_judged_by_one_output(arrays, tmp_path):
    x, y = both(arrays, "image", "row"), both(arrays, "digit", "size")
    best = cn.training.BestCheckpoint(tmp_path / "best.safetensors", "test_accuracy_digit")
    stopping = cn.training.EarlyStopping("train_loss_size", patience=9)
    history = fitted(two_by_two(), arrays, epochs=4, validation=(x, y), callbacks=[best, stopping])
    assert best.best == max(history.test_accuracy_digit)
    assert stopping.best == min(history.train_loss_size)
    with pytest.raises(
        ArgumentError, match="monitor must be one of train_loss, train_loss_digit, train_loss_size, got"
    ):
        fitted(two_by_two(), arrays, callbacks=[cn.training.EarlyStopping("train_loss_sise")])


def test_evaluation_is_that_of_one_batch(arrays):
    model = two_by_two("float64")
    x, y = (arrays["image"], arrays["row"]), (arrays["digit"], arrays["size"])
    losses = JointLoss(("digit", "size"), (CrossEntropyLoss(), MSELoss()), (1.0, 0.25))
    expected, gradients = losses(model(x), y)
    for batch_size in (4, N):
        found = model.evaluate(x, y, batch_size=batch_size, **OPTIONS)
        assert found["loss"] == pytest.approx(expected, rel=1e-12)
        assert found["accuracy"] == found["accuracy_digit"]
        assert found["n"] == N
    assert [gradient.shape for gradient in gradients] == [(N, 3), (N, 1)]


# Augmentation


def test_one_image_input_is_augmented(arrays):
    seen = []

    class Recorded(RandomHorizontalFlip):
        def __call__(self, x, targets, draws):
            answer = super().__call__(x, targets, draws)
            seen.append(answer[0].copy())
            return answer

    targets = both(arrays, "digit", "size")
    heads().fit(arrays["image"], targets, augmentation=Recorded(1.0), shuffle=False, workers=0, **OPTIONS)
    np.testing.assert_array_equal(np.concatenate(seen), arrays["image"][..., ::-1])


@pytest.mark.parametrize("augmentation", [MixUp(classes=3), cn.data.augmentation.Compose([MixUp(classes=3)])])
def test_an_augmentation_that_mixes_targets_is_refused(arrays, augmentation):
    with pytest.raises(ArgumentError, match="mixes targets: it must leave them"):
        heads().fit(arrays["image"], both(arrays, "digit", "size"), augmentation=augmentation, **OPTIONS)


def test_another_that_changes_targets_is_refused(arrays):
    with pytest.raises(ArgumentError, match="mixes targets: it must leave them"):
        heads().fit(
            *(arrays["image"], both(arrays, "digit", "size")), augmentation=lambda x, t, draws: (x, t[::-1]), **OPTIONS
        )


def test_several_inputs_are_not_augmented_and_not_normalised(arrays):
    with pytest.raises(ArgumentError, match=r"augmentation must be None for a model of several inputs \(image, row\)"):
        fitted(two_by_two(), arrays, augmentation=RandomHorizontalFlip())
    with pytest.raises(ArgumentError, match="normalization must be None for a model of several inputs"):
        fitted(two_by_two(), arrays, normalization={"mean": [0], "std": [1]})


# What is refused


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": lambda a: {"image": a["image"]}}, ArgumentError, "arrays for image, row, got none for row"),
        ({"x": lambda a: a}, ArgumentError, "arrays for image, row, got one for digit, size as well"),
        ({"x": lambda a: a["image"]}, ArgumentError, "arrays for each of image, row, .* got ndarray"),
        ({"x": lambda a: (a["image"],)}, ArgumentError, "arrays for each of image, row, .* got 1 in a tuple"),
        ({"x": lambda a: (a["image"], a["row"][1:])}, ShapeError, "of each input, got 22 of 'image', 21 of 'row'"),
        ({"x": lambda a: (a["image"], a["digit"])}, ShapeError, r"\(n, ...\) of 'row', got int64 of shape \(22,\)"),
        ({"x": lambda a: (a["image"], a["row"][:, :4])}, ShapeError, "joined|digit|Dense"),
        ({"x": lambda a: (a["image"], a["row"] * np.nan)}, DivergenceError, "input 'row': image 14 holds NaN"),
        ({"x": lambda a: Stream(lambda: iter(()), 3, (5,))}, ArgumentError, "several inputs or outputs, got Stream"),
        ({"x": lambda a: cn.data.Arrays(a["row"])}, ArgumentError, "several inputs or outputs, got Arrays"),
        ({"y": lambda a: None}, ArgumentError, "expected targets y for digit, size, got none"),
        ({"y": lambda a: {"size": a["size"]}}, ArgumentError, "targets for digit, size, got none for digit"),
        ({"y": lambda a: (a["digit"], a["size"][:9])}, ShapeError, r"a target of 'size' for each of 22 .* \(9, 1\)"),
        (
            {"y": lambda a: (a["digit"] + 1, a["size"])},
            ArgumentError,
            "output 'digit': CrossEntropyLoss: class numbers",
        ),
        ({"loss": {"digit": "mse"}}, ArgumentError, "a loss for digit, size, got none for size"),
        ({"loss": ("mse",)}, ArgumentError, "a loss for each of digit, size, .* got 1 in a tuple"),
        ({"loss": "no such"}, ArgumentError, "no such"),
        ({"loss_weights": {"digit": 1, "sise": 1}}, ArgumentError, "a weight for digit, size, got none for size"),
        ({"loss_weights": (1, -1)}, ArgumentError, "loss_weights of 'size'"),
        ({"loss_weights": (0, 0)}, ArgumentError, "loss_weights must not all be 0"),
        ({"validation": lambda a: a["image"]}, ArgumentError, r"fit: validation: expected a pair \(x, y\)"),
        ({"validation": lambda a: ((a["image"],), ())}, ArgumentError, "fit: validation: .* got 1 in a tuple"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(arrays, change, error, message):
    model = two_by_two()
    given = {"x": (arrays["image"], arrays["row"]), "y": (arrays["digit"], arrays["size"]), **OPTIONS}
    given |= {name: value(arrays) if callable(value) else value for name, value in change.items()}
    with pytest.raises(error, match=message) as caught:
        model.fit(given.pop("x"), given.pop("y"), **given)
    assert "\n" not in str(caught.value)


def test_weights_of_one_output_are_refused(arrays):
    model = cn.Model([cn.Dense(5, 3)], seed=0)
    with pytest.raises(ArgumentError, match="loss_weights are of a model of several outputs"):
        model.fit(arrays["row"], arrays["digit"], loss_weights=(1,))


def test_the_range_test_takes_them_too(arrays):
    x, y = both(arrays, "image", "row"), both(arrays, "digit", "size")
    found = cn.training.learning_rate_range_test(two_by_two(), x, y, steps=6, batch_size=8, **OPTIONS)
    assert found.suggested > 0
