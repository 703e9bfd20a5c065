"""What `fit`, `evaluate` and their kin are given: names that people know, and all else in one line."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import training
from colonnade.errors import ArgumentError, ColonnadeError

X = np.random.default_rng(0).normal(size=(12, 1, 4, 4)).astype(np.float32)
Y = np.arange(12) % 3


def model(**options: Any) -> cn.Model:
    return cn.Model([cn.Flatten(), cn.Dense(16, 3)], **options).build((1, 4, 4))


@pytest.mark.parametrize("name", [*training.OPTIMIZERS, "Adam", "AdamW", "SGD", "RMSprop"])
def test_optimizers_are_taken_by_name(name: str) -> None:
    named, made = model(), model()
    kind, settings = training.OPTIMIZERS[name.lower()]
    named.fit(X, Y, epochs=2, batch_size=4, optimizer=name)
    made.fit(X, Y, epochs=2, batch_size=4, optimizer=kind(made.parameters(), **settings))
    for key, value in named.state_dict().items():
        np.testing.assert_array_equal(value, made.state_dict()[key])


@pytest.mark.parametrize("name", ["cross_entropy", "cross-entropy", "CrossEntropy"])
def test_cross_entropy_is_taken_by_name(name: str) -> None:
    assert model().fit(X, Y, loss=name)[0]["train_loss"] == model().fit(X, Y)[0]["train_loss"]
    assert model().evaluate(X, Y, loss=name) == model().evaluate(X, Y)


# Those of one output, whose targets have its shape or are classes; the others are in test_several_outputs.py.
ALONE = {name: kind for name, kind in training.LOSSES.items() if len(kind().inputs) == 1 and name != "ctc"}


@pytest.mark.parametrize(("name", "kind"), ALONE.items())
def test_losses_are_taken_by_name(name: str, kind: Any) -> None:
    outputs = model()(X)
    targets = Y if kind in (cn.CrossEntropyLoss, cn.NLLLoss) else np.abs(outputs) / 9
    assert model().evaluate(X, targets, loss=name)["loss"] == pytest.approx(kind()(outputs, targets)[0], rel=1e-5)


@pytest.mark.parametrize("name", ["constant", "cosine", "one-cycle", "one_cycle", "OneCycle"])
def test_schedules_are_taken_by_name(name: str) -> None:
    rates: list[float] = []

    class Rates(training.Callback):
        def on_batch_end(self, record: training.BatchRecord) -> None:
            rates.append(record.lr)

    own = model()
    optimizer = cn.SGD(own.parameters(), lr=0.1)
    own.fit(X, Y, epochs=5, batch_size=4, optimizer=optimizer, schedule=name, callbacks=[Rates()])
    assert len(rates) == 15
    assert (len(set(rates)) == 1) == (name == "constant")
    assert optimizer.lr == 0.1


def test_an_augmentation_is_taken_by_the_name_of_its_preset() -> None:
    model().fit(X, Y, augmentation="flip")


class HasNothing:
    pass


CASES: list[tuple[dict[str, Any], str]] = [
    (
        {"optimizer": "newton"},
        "fit: optimizer: expected one of sgd, adam, adamw, nadam, rmsprop, adagrad, adadelta, adamax, radam, lion, got",
    ),
    ({"optimizer": cn.SGD}, "fit: optimizer must be a name or an optimizer, got <class 'colonnade.optimizers.sgd.SGD'"),
    ({"optimizer": 0.1}, "fit: optimizer must be a name or an optimizer, got 0.1."),
    ({"loss": "hinge"}, "fit: loss: expected one of cross_entropy, nll, bce_with_logits, mse, l1, smooth_l1, huber, k"),
    ({"loss": cn.CrossEntropyLoss}, "fit: loss must be a name or a loss, got <class 'colonnade.losses.classification."),
    ({"loss": 3}, "fit: loss must be a name or a loss, got 3."),
    ({"schedule": "sometimes"}, "fit: schedule: expected one of constant, cosine, one-cycle, got 'sometimes'."),
    ({"schedule": cn.StepLR}, "fit: schedule must be a name, a schedule, or a function of an optimizer and its steps,"),
    ({"schedule": lambda optimizer, steps: 0.1}, "fit: schedule must be a function that makes a schedule, got 0.1."),
    ({"schedule": 5}, "fit: schedule must be a name, a schedule, or a function of an optimizer and its steps, got 5."),
    ({"callbacks": [print]}, "fit: callbacks must be callbacks, which have methods such as on_epoch_end, got <built-i"),
    ({"callbacks": [training.EarlyStopping]}, "fit: callbacks must be callbacks, which have methods such as on_epoch"),
    ({"callbacks": training.EarlyStopping("train_loss")}, "fit: callbacks must be a list of callbacks, got <colonnade"),
    ({"callbacks": [HasNothing()]}, "fit: callbacks must be callbacks, which have methods such as on_epoch_end, got <"),
    ({"normalization": {"mean": [0]}}, "normalization: expected {'mean': [...], 'std': [...]}, numb"),
    ({"normalization": [0, 1]}, "normalization: expected {'mean': [...], 'std': [...]}, numbers by chan"),
    ({"normalization": {"mean": ["a"], "std": [1]}}, "normalization: expected {'mean': [...], 'std': [...]}, num"),
    ({"augmentation": "sparkle"}, "fit: There is no augmentation 'sparkle': "),
    ({"augmentation": 5}, "Loader: augmentation must be one of colonnade.data.augmentation, got 5."),
    ({"augmentation": cn.data.augmentation.Compose}, "Loader: augmentation must be one of colonnade.data.augmentation"),
    ({"epochs": "3"}, "fit: epochs must be a whole number, got '3'."),
    ({"epochs": True}, "fit: epochs must be a whole number, got True."),
    ({"batch_size": 8.0}, "fit: batch_size must be a whole number, got 8.0."),
    ({"clip": "1"}, "fit: clip must be a finite number, got '1'."),
    ({"average": 2}, "fit: average must lie between 0 and 1, got 2."),
    ({"shuffle": "no"}, "fit: shuffle must be True or False, got 'no'."),
    ({"workers": 1.5}, "fit: workers must be a whole number, got 1.5."),
    ({"seed": 1.5}, "fit: seed must be a whole number, got 1.5."),
    ({"out": 5}, "fit: out must be a path, got 5."),
    ({"out": ""}, "fit: out must be a path, got ''."),
    ({"out": "a\0b"}, "fit: out must be a path, got 'a\\x00b'."),
    ({"resume": 5}, "fit: resume must be a path, got 5."),
    ({"max_time": "20m"}, "fit: max_time must be a finite number, got '20m'."),
    ({"checkpoint_seconds": "often"}, "fit: checkpoint_seconds must be a finite number, got 'often'."),
    ({"validation": (X,)}, "fit: validation: expected a pair (x, y), got tuple."),
    ({"validation": (X, ["a"] * 12)}, "fit: validation: y holds names, a, and the model's classes have none"),
    ({"x": [[1.0, 2.0], [3.0]]}, "fit: x must hold numbers in a regular array, got lists of different lengths."),
    ({"x": HasNothing()}, "fit: x must hold numbers in a regular array, got an array of object."),
    ({"x": cn.data.digits()}, "fit: expected one part of a data set, its train or its test, got Dataset('digits', "),
    ({"y": [[0], [1, 2]]}, "fit: y must hold numbers in a regular array, got lists of different lengths."),
    ({"y": -np.ones((12, 3))}, "fit: CrossEntropyLoss: targets of y's shape, (12, 3), are probabilities or weights of"),
    ({"y": np.full((12, 3), 2.0), "loss": "bce_with_logits"}, "fit: BCEWithLogitsLoss: targets must be from 0, no, to"),
    ({"y": ["a"] * 12}, "fit: expected a name for each of the outputs (3,), got 1 in y: a."),
]  # fmt: skip


@pytest.mark.parametrize(("given", "message"), CASES, ids=[message[:60] for _, message in CASES])
def test_all_else_is_one_line_before_anything_is_written(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    own = model()
    before = own.state_dict()
    arguments = {"x": X, "y": Y, "out": tmp_path / "run"} | given
    with pytest.raises(ArgumentError) as caught:
        own.fit(arguments.pop("x"), arguments.pop("y"), **arguments)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    for name, array in own.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("y", [np.linspace(0, 1, 12, dtype=np.float32)[:, np.newaxis], np.zeros(12, np.int64)])
def test_a_cross_entropy_of_one_output_is_refused_by_what_to_choose(y: Any) -> None:
    one = cn.Model([cn.Flatten(), cn.Dense(X[0].size, 1)], seed=0)
    rule = r"CrossEntropyLoss: of one class it is 0 .* loss='bce_with_logits' for yes or no, loss='mse' for a number"
    with pytest.raises(ArgumentError, match=f"^fit: {rule}"):
        one.fit(X, y)
    with pytest.raises(ArgumentError, match=f"^evaluate: {rule}"):
        one.evaluate(X, y)
    assert np.isfinite(one.fit(X, y.reshape(12, 1), loss="mse", normalization=None)[-1]["train_loss"])


def test_texts_that_no_path_spells_are_refused_by_how_many_steps_they_need() -> None:
    x, texts = np.zeros((3, 4, 5), np.float32), np.array([[1, 2, 3, -1], [1, 1, 2, -1], [1, 1, 1, -1]])
    rule = r"fit: CTCLoss: a text of 3 letters needs 5 steps, one more between equal letters, got 4: .* \(1 of 3 texts;"
    model = cn.Model([cn.Dense(5, 4), cn.LogSoftmax(2)], seed=0)
    with pytest.raises(ArgumentError, match=rule):
        model.fit(x, texts, loss="ctc")
    lost = cn.CTCLoss(zero_infinity=True, batch_first=True)
    assert np.isfinite(model.fit(x, texts, loss=lost, normalization=None)[-1]["train_loss"])


@pytest.mark.parametrize("answer", [None, 0.5, (0.5,), (None, np.zeros((12, 3))), (0.5, np.zeros(3)), "ab"])
def test_a_loss_that_returns_something_else_is_told_what_to_return(answer: Any) -> None:
    own = model()
    for ask in (own.fit, own.evaluate):
        with pytest.raises(
            ArgumentError, match=r"^A loss must return a number and the gradient at the outputs, \(12, "
        ):
            ask(X, Y, loss=lambda outputs, targets: answer)


@pytest.mark.parametrize("answer", [None, X, (X,), (None, Y), "ab"])
def test_an_augmentation_that_returns_something_else_is_told_what_to_return(answer: Any) -> None:
    with pytest.raises(ArgumentError, match="the augmentation must return two arrays, images and targets, got "):
        model().fit(X, Y, augmentation=lambda images, targets, draws: answer)


HUGE = 10**400
WRONG: list[Any] = [object(), int, "zzz", -1, -1.5, [], {}, [[1], [1, 2]], np.zeros((2, 2)), float("nan"), HUGE]


@pytest.mark.parametrize("argument", list(inspect.signature(training.fit).parameters)[1:])
def test_whatever_is_given_to_fit_is_taken_or_refused_in_one_line(
    argument: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    messages = []
    for value in WRONG:
        if argument == "seed" and value is HUGE:
            continue  # a seed may be as long as one likes
        arguments = {"x": X, "y": Y} | {argument: value}
        try:
            model().fit(arguments.pop("x"), arguments.pop("y"), **arguments)
        except (ColonnadeError, FileNotFoundError) as error:
            messages.append(str(error))
    assert len(messages) > 4
    assert all("\n" not in message and len(message) < 400 for message in messages)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda m: m.evaluate(X, Y, loss="hinge"), "evaluate: loss: expected one of cross_entropy, "),
        (lambda m: m.evaluate(X, Y, batch_size=2.0), "evaluate: batch_size must be a whole number, got 2.0."),
        (lambda m: m.evaluate([[1], [1, 2]], Y), "evaluate: x must hold numbers in a regular array, got lists of diff"),
        (lambda m: m.predict(X, workers="two"), "predict: workers must be a whole number, got 'two'."),
        (lambda m: m.predict(X, normalization={}), "normalization: expected {'mean': [...], 'std': [...]}, numb"),
        (lambda m: m.build((1, 4.0, 4)), "Model: a shape must be whole numbers in order, got (1, 4.0, 4)."),
        (lambda m: m.build("144"), "Model: expected a shape for each input (input), got '144'."),
        (lambda m: m.load_state_dict([1]), "Model: the state must be a dict of arrays by name, got [1]."),
        (lambda m: m.load_state_dict({}, assign=True), "Model: assign is not supported (arrays are copied), got True."),
        (lambda m: cn.Model(cn.Dense), "Model: expected a list of layers, got <class 'colonnade.layers.dense.Dense'>."),
        (lambda m: cn.Model(5), "Model: expected a list of layers, got 5."),
        (lambda m: cn.Model([cn.ReLU]), "Model: layer 0 must be a layer, got <class 'colonnade.layers.activation.ReLU"),
        (lambda m: cn.Model([], seed=True), "Model: seed must be a whole number, got True."),
        (lambda m: cn.Model([], share_memory="no"), "Model: share_memory must be True or False, got 'no'."),
        (lambda m: cn.Model([], dtype=object()), "Model: dtype must be float32 or float64, got <object object at"),
        (lambda m: cn.set_threads(2.0), "set_threads: threads must be a whole number, got 2.0."),
        (lambda m: cn.zoo.cnn(classes=2.0), "cnn: classes must be a whole number, got 2.0."),
        (lambda m: cn.zoo.cnn("abc"), "cnn: input_shape must be whole numbers in order, got 'abc'."),
        (lambda m: training.learning_rate_range_test(m, X, Y, optimizer="x"), "learning_rate_range_test: optimizer: e"),
        (lambda m: training.learning_rate_range_test(m, X, Y, low="x"), "learning_rate_range_test: low must be a fini"),
    ],
)  # fmt: skip
def test_what_else_is_asked_is_held_to_the_same_rules(ask: Any, message: str) -> None:
    with pytest.raises(ColonnadeError) as caught:
        ask(model())
    assert str(caught.value).startswith(message)
