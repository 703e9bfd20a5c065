"""Classes are paired by name, in whatever order a folder and a model have them."""

import warnings

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import Arrays, ImageFolder
from colonnade.data.pairing import pair, paired
from colonnade.errors import ArgumentError

from .pictures import expert, shaded

KNOWN = ("tulips", "daisy", "roses", "dandelion")


def quiet(function, *arguments, **options):
    """Calls it and holds that nothing was warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*arguments, **options)


def test_names_find_their_places():
    assert pair("it", ["roses", "tulips"], KNOWN).tolist() == [2, 0]
    assert pair("it", ["cafe\u0301"], ["bar", "café"]).tolist() == [1]


def test_a_name_that_is_unknown_or_known_twice_is_refused():
    with pytest.raises(ArgumentError, match=r"it: expected the classes of the model \(tulips, .*\), got Roses, which"):
        pair("it", ["Roses", "tulips"], KNOWN)
    with pytest.raises(ArgumentError, match=r"it: the model has two classes 'a', expected one"):
        pair("it", ["a"], ["a", "b", "a"])
    twice = Arrays(np.zeros((2, 1), np.float32), [0, 2], ["a", "b", "a"])
    assert paired("it", twice, ["a", "b", "a"]) is twice
    many = [str(number) for number in range(1000)]
    with pytest.raises(ArgumentError, match=r"got a0, a1, .* and 992 others, which") as caught:
        pair("it", [f"a{number}" for number in range(1000)], many)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("classes", [sorted(KNOWN), KNOWN, KNOWN[::-1]])
def test_evaluate_pairs_a_folder_by_name(tmp_path, classes):
    images = ImageFolder(shaded(tmp_path, daisy=2, dandelion=1, roses=3, tulips=2), 1)
    assert quiet(expert(*classes).evaluate, images)["accuracy"] == 1


def test_evaluate_of_some_of_the_classes_says_which_are_missing(tmp_path):
    images = ImageFolder(shaded(tmp_path, roses=3, tulips=2), 1)
    with pytest.warns(UserWarning, match=r"evaluate: 2 of the model's classes have no images here: daisy, dandelion\."):
        assert expert(*KNOWN).evaluate(images)["accuracy"] == 1
    with pytest.warns(UserWarning, match=r"evaluate: 1 of the model's classes has no images here: daisy\."):
        assert expert("roses", "daisy", "tulips").evaluate(images)["accuracy"] == 1


def test_evaluate_of_a_class_that_the_model_does_not_know_is_refused(tmp_path):
    images = ImageFolder(shaded(tmp_path, roses=1, sunflowers=1), 1)
    with pytest.raises(ArgumentError, match=r"evaluate: expected the classes of the model .*, got sunflowers, which"):
        expert(*KNOWN).evaluate(images)


def test_where_one_side_has_no_names_numbers_are_taken_as_they_are(tmp_path):
    images = ImageFolder(shaded(tmp_path, roses=3, tulips=2), 1)
    model = expert("tulips", "roses")
    x = images.take(np.arange(5))
    assert quiet(model.evaluate, x, images.targets)["accuracy"] == 0
    assert quiet(model.evaluate, Arrays(x, images.targets))["accuracy"] == 0
    assert quiet(model.evaluate, Arrays(x, images.targets, ["roses", "tulips"]))["accuracy"] == 1
    model.classes = None
    assert quiet(model.evaluate, images)["accuracy"] == 0


def test_numbers_that_name_no_class_and_distributions_are_kept():
    x = np.zeros((4, 1), np.float32)
    ignored = paired("it", Arrays(x, [0, 1, -100, 255], ["b", "a"]), ["a", "b"])
    assert ignored.targets.tolist() == [1, 0, -100, 255]
    mixed = paired("it", Arrays(x[:2], np.array([[0.7, 0.3], [0, 1]]), ["b", "a"]), ["a", "b"])
    assert mixed.targets.tolist() == [[0.3, 0.7], [1, 0]]
    ones = paired("it", Arrays(x[:2], np.array([[1, 0], [0, 1]]), ["b", "a"]), ["a", "b"])
    assert ones.targets.tolist() == [[0, 1], [1, 0]]
    maps = paired("it", Arrays(x[:2], np.array([[0, 1, 9], [1, 1, 0]]), ["b", "a"]), ["a", "b"])
    assert maps.targets.tolist() == [[1, 0, 9], [0, 0, 1]]


def test_examples_whose_classes_are_no_list_of_names_have_none():
    examples = Arrays(np.zeros((2, 1), np.float32), [0, 1])
    for classes in (10, ["a", 1], "ab", []):
        examples.classes = classes
        assert paired("it", examples, ["x", "y"]) is examples


def test_fit_gives_a_model_without_names_those_of_its_images(tmp_path):
    images = ImageFolder(shaded(tmp_path, roses=3, tulips=2), 1)
    model = cn.Model([cn.Flatten(), cn.Dense(3, 2)], seed=0)
    model.fit(images)
    assert model.classes == ["roses", "tulips"]
    model.save(tmp_path / "model.safetensors")
    assert cn.load(tmp_path / "model.safetensors").classes == ["roses", "tulips"]
    wider = cn.Model([cn.Flatten(), cn.Dense(3, 10)], seed=0)
    wider.fit(images)
    assert wider.classes is None


def test_fit_goes_on_with_a_models_own_classes(tmp_path):
    """Fine-tuning on a folder that sorts its classes otherwise: nothing that was learned is taken for another."""
    images = ImageFolder(shaded(tmp_path, daisy=4, dandelion=4, roses=4, tulips=4), 1)
    model = expert(*KNOWN)
    history = quiet(model.fit, images, epochs=2, optimizer=cn.SGD(model.parameters(), lr=1e-3), validation=images)
    assert history.train_accuracy == history.test_accuracy == [1, 1]
    assert history.train_loss[0] < 0.1
    assert model.classes == list(KNOWN)


def test_fit_and_its_validation_say_what_is_missing_and_refuse_what_is_unknown(tmp_path):
    some = ImageFolder(shaded(tmp_path / "some", roses=4, tulips=4), 1)
    whole = ImageFolder(shaded(tmp_path / "whole", daisy=4, dandelion=4, roses=4, tulips=4), 1)
    model = expert(*KNOWN)
    with pytest.warns(UserWarning, match=r"fit: 2 of the model's classes have no images here: daisy, dandelion\."):
        assert model.fit(some)[-1]["train_accuracy"] == 1
    with pytest.warns(UserWarning, match=r"fit: validation: 2 of the model's classes have no images here"):
        assert model.fit(whole, validation=some)[-1]["test_accuracy"] == 1
    unknown = ImageFolder(shaded(tmp_path / "unknown", roses=1, sunflowers=1), 1)
    before = model.state_dict()
    for options in ({"x": unknown}, {"x": whole, "validation": unknown}):
        with pytest.raises(ArgumentError, match="got sunflowers, which it has not"):
            model.fit(**options)
    assert model.classes == list(KNOWN)
    assert all((before[name] == value).all() for name, value in model.state_dict().items())


def test_validation_is_paired_with_the_training_part_where_the_model_has_no_names(tmp_path):
    train = ImageFolder(shaded(tmp_path, roses=8, tulips=8), 1)
    validation = ImageFolder(tmp_path, 1, classes=["tulips", "roses"])
    model = expert("roses", "tulips")
    model.classes = None
    assert model.fit(train, validation=validation)[-1]["test_accuracy"] == 1


def test_range_test_and_cached_features_keep_the_pairing(tmp_path):
    images = ImageFolder(shaded(tmp_path, daisy=8, dandelion=8, roses=8, tulips=8), 1)
    found = cn.training.learning_rate_range_test(expert(*KNOWN), images, low=1e-7, high=1e-6, steps=4)
    assert max(found.losses) < 0.1
    body, head = expert(*KNOWN).split("0")
    features = cn.cached_features(body, images, tmp_path / "cache")
    assert features.classes == images.classes
    assert head.evaluate(features)["accuracy"] == 1
