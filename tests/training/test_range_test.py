"""The learning-rate range test."""

import numpy as np
import pytest

import colonnade as cn
from colonnade import training
from colonnade.data import load
from colonnade.errors import ArgumentError
from colonnade.optimizers import SGD
from colonnade.training import learning_rate_range_test
from tests.training.softmax_regression import SoftmaxRegression


def test_model_and_optimizer_are_as_they_were(data):
    x, y = load("digits").train.x[:200], load("digits").train.y[:200]
    layers = [cn.Conv2d(1, 4, 3), cn.BatchNorm2d(4), cn.ReLU(), cn.Flatten(), cn.Dropout(0.2), cn.Dense(144, 10)]
    model = cn.Model(layers, seed=1)
    optimizer = training.optimizer("adamw", model.parameters(), 0.003)
    model.fit(x, y, optimizer=optimizer)
    before = model.state_dict() | optimizer.state_dict() | {"position": np.array(model.position)}
    found = learning_rate_range_test(model, x, y, batch_size=32, steps=20, optimizer=optimizer)
    after = model.state_dict() | optimizer.state_dict() | {"position": np.array(model.position)}
    assert before.keys() == after.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name])
    assert not any(parameter.grad.any() for parameter in model.parameters())
    assert found == learning_rate_range_test(model, x, y, batch_size=32, steps=20, optimizer=optimizer)


def test_rates_rise_from_low_to_high_and_the_suggestion_is_a_tenth_of_the_best(data, model):
    found = learning_rate_range_test(model, *data, low=1e-4, high=1e-1, steps=31, batch_size=8)
    np.testing.assert_allclose(found.rates, np.geomspace(1e-4, 1e-1, 31))
    assert len(found.losses) == 31
    assert found.suggested == found.rates[int(np.argmin(found.losses))] / 10


def test_the_edge_of_a_quadratic_is_found(model):
    """Gradient descent on a bowl bursts beyond a rate of 2 / curvature: known from theory."""
    x, y = np.eye(4)[:2] * 2, np.zeros((2, 3))  # y = x W; ½ Σ y² has the curvature |x|² = 4, the edge lies at 0.5

    def bowl(outputs, targets):
        return 0.5 * float(np.sum((outputs - 1) ** 2)), outputs - 1

    optimizer = SGD(model.build((4,)).parameters())
    found = learning_rate_range_test(
        model, x, y, low=1e-3, high=10.0, steps=60, batch_size=2, loss=bowl, optimizer=optimizer
    )
    assert 0.5 < found.rates[-1] < 5  # it ended soon after the edge
    assert 0.005 < found.suggested < 0.5


@pytest.mark.thorough  # one is searched and trained with in tests/cli/test_train.py too
def test_a_suggested_rate_trains_the_digits():
    digits = load("digits")
    model = cn.zoo.cnn(digits.input_shape, seed=0)
    found = learning_rate_range_test(model, digits.train, batch_size=64, normalization=digits.normalization)
    assert 1e-4 < found.suggested < 0.1
    optimizer = training.optimizer("adamw", model.parameters(), found.suggested)
    history = model.fit(
        digits.train,
        epochs=5,
        batch_size=64,
        optimizer=optimizer,
        validation=digits.test,
        schedule=training.schedule("one-cycle"),
        normalization=digits.normalization,
    )
    assert history[-1]["test_accuracy"] > 0.95


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "at least 2 steps, got 1e-06 to 1.0 in 1"),
        ({"low": 1.0, "high": 0.5}, "expected low < high and at least 2 steps, got 1.0 to 0.5"),
        ({"low": 0}, "low must be positive, got 0"),
        ({"batch_size": 0}, "batch_size must be positive, got 0"),
        ({"loss": lambda y, t: (float("nan"), y)}, "expected a finite loss at the lowest rate, got none"),
        ({"optimizer": SGD(SoftmaxRegression(3).build((4,)).parameters())}, "must learn this model's parameters"),
    ],
)
def test_wrong_arguments_are_one_line(data, model, options, message):
    with pytest.raises(ArgumentError, match=message):
        learning_rate_range_test(model, *data, **options)
