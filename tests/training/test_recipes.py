"""Settings by name."""

import numpy as np
import pytest

from colonnade import schedules, training, zoo
from colonnade.data import augmentation
from colonnade.errors import ArgumentError
from colonnade.optimizers import SGD, AdamW
from tests.training.softmax_regression import SoftmaxRegression


def test_optimizers_are_known_by_name():
    parameters = SoftmaxRegression(3).build((4,)).parameters()
    assert isinstance(training.optimizer("adamw", parameters), AdamW)
    assert training.optimizer("sgd", parameters, lr=0.2).lr == 0.2
    with pytest.raises(ArgumentError, match=r"sgd, adam, adamw, .*, got 'newton'"):
        training.optimizer("newton", parameters)


@pytest.mark.parametrize("steps", [1, 2, 100])
@pytest.mark.parametrize("name", ["cosine", "one-cycle"])
def test_schedules_rise_to_the_rate_and_fall_to_almost_nothing(name, steps):
    optimizer = SGD(SoftmaxRegression(3).build((4,)).parameters(), lr=0.5)
    make = training.schedule(name)
    assert make is not None
    schedule, rates = make(optimizer, steps), []
    for _ in range(steps):
        rates.append(optimizer.lr)
        schedule.step()
    assert isinstance(schedule, schedules.Schedule)
    if steps == 100:
        top = int(np.argmax(rates))
        assert rates[top] == pytest.approx(0.5)
        assert 0 < top < 25
        assert (np.diff(rates[: top + 1]) > 0).all()
        assert (np.diff(rates[top:]) < 0).all()
        assert rates[-1] < 0.001


def test_a_constant_rate_needs_no_schedule_and_an_unknown_name_is_refused():
    assert training.schedule("constant") is None
    with pytest.raises(ArgumentError, match="schedule: expected one of constant, cosine, one-cycle, got 'step'"):
        training.schedule("step")


@pytest.mark.parametrize("data", [*training.RECIPES, "a folder"])
def test_every_recipe_is_made_of_what_there_is(data):
    recipe = training.recipe(data)
    assert callable(getattr(zoo, recipe.model))
    assert recipe.optimizer in training.OPTIMIZERS
    assert recipe.schedule in training.SCHEDULES
    assert recipe.augmentation in augmentation.PRESETS


@pytest.mark.parametrize(
    ("images", "side", "network", "epochs", "batch"),
    [
        (600, 64, "photo_cnn", 100, 32),
        (50_000, 64, "photo_cnn", 8, 128),
        (1_000_000, 64, "photo_cnn", 4, 128),
        (50_000, 32, "resnet9", 16, 128),
        (50_000, 128, "photo_cnn", 4, 128),
        (2_000, 32, "resnet9", 100, 128),
        (1_999, 32, "photo_cnn", 100, 32),
        (0, 64, "photo_cnn", 100, 32),
    ],
)
def test_photographs_are_trained_on_by_how_many_and_how_large_they_are(images, side, network, epochs, batch):
    recipe = training.recipe("a folder", images, side)
    assert (recipe.model, recipe.epochs, recipe.batch_size) == (network, epochs, batch)


def test_a_data_set_by_name_is_trained_on_as_a_folder_of_as_many_images():
    assert training.recipe("cifar10") == training.recipe("a folder", 50_000, 32)
    assert training.recipe("mnist", 600, 64) == training.recipe("mnist")
