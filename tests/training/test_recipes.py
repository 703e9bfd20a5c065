"""Settings by name."""

import numpy as np
import pytest

import colonnade as cn
from colonnade import schedules, training, zoo
from colonnade.data import augmentation
from colonnade.errors import ArgumentError
from colonnade.optimizers import SGD, AdamW
from colonnade.training import recipes
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


@pytest.mark.parametrize("data", [*recipes.KNOWN, "a folder"])
def test_every_recipe_is_made_of_what_there_is(data):
    recipe = training.recipe(data)
    assert callable(getattr(zoo, recipe.model))
    assert recipe.optimizer in training.OPTIMIZERS
    assert recipe.schedule in training.SCHEDULES
    assert recipe.augmentation in augmentation.PRESETS


@pytest.mark.parametrize(
    ("images", "shape", "network", "epochs", "batch"),
    [
        (600, (3, 64, 64), "photo_cnn", 100, 32),
        (50_000, (3, 64, 64), "photo_cnn", 8, 128),
        (1_000_000, (3, 64, 64), "photo_cnn", 4, 128),
        (50_000, (3, 128, 128), "photo_cnn", 4, 128),
        (50_000, (3, 32, 32), "resnet9", 8, 128),
        (60_000, (1, 28, 28), "resnet9", 9, 128),
        (2_000, (3, 32, 32), "resnet9", 100, 128),
        (50_000, (3, 48, 64), "resnet9", 4, 128),
        (1_999, (3, 32, 32), "photo_cnn", 100, 32),
        (1_000_000, (3, 15, 15), "cnn", 20, 64),
        (0, (3, 64, 64), "photo_cnn", 100, 32),
    ],
)
def test_images_are_trained_on_by_how_many_and_how_large_they_are(images, shape, network, epochs, batch):
    recipe = training.recipe("a folder", images, shape)
    assert (recipe.model, recipe.epochs, recipe.batch_size) == (network, epochs, batch)
    assert callable(getattr(zoo, network))
    getattr(zoo, network)(shape)  # is large enough for it


@pytest.mark.parametrize("images", [100, 50_000])
@pytest.mark.parametrize("side", [8, 32, 64])
def test_images_in_colour_are_mirrored_in_training_and_when_asked_about_and_grey_ones_never(images, side):
    colour, grey = (training.recipe(None, images, (channels, side, side)) for channels in (3, 1))
    assert (colour.mirrored, grey.mirrored) == (True, False)
    assert augmentation.mirrors(augmentation.preset(colour.augmentation))
    assert grey.augmentation == "characters"


@pytest.mark.parametrize("name", ["mnist", "kmnist", "fashion-mnist", "cifar10", "cifar100"])
def test_a_data_set_by_name_is_trained_on_as_a_folder_of_as_many_images(name):
    known = recipes.KNOWN[name]
    folder = training.recipe("a folder", known.images, known.shape)
    named = training.recipe(name, 600, (3, 64, 64))
    assert named._replace(augmentation=folder.augmentation) == folder
    assert named.mirrored is known.mirrored


def test_what_is_known_of_the_digits_is_so():
    digits = cn.data.load("digits")
    assert recipes.KNOWN["digits"][:2] == (len(digits.train), digits.input_shape)
