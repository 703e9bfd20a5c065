"""Models that answer by the mean of their outputs for an image and for its mirror image."""

import copy
import json

import numpy as np
import pytest

import colonnade as cn
from colonnade import storage, tuning
from colonnade.errors import ArgumentError, FileFormatError

SHAPE = (3, 6, 7)


def made(mirrored: bool = True) -> cn.Model:
    layers = [cn.Conv2d(3, 4, 3), cn.ReLU(), cn.Flatten(), cn.Dense(4 * 4 * 5, 3)]
    model = cn.Model(layers, seed=1).build(SHAPE)
    model.classes = ["ant", "bee", "cat"]
    model.mirrored = mirrored
    return model


@pytest.fixture
def images():
    return np.random.default_rng(0).random((5, *SHAPE), np.float32)


def means(model, images):
    """(f(x) + f(x mirrored)) / 2, by the network alone."""
    return (model(images) + model(np.flip(images, 3))) / 2


def softmax(y):
    exponentials = np.exp(y.astype(np.float64) - y.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_all_answers_are_of_the_mean_of_both_outputs(images):
    model = made()
    expected = means(model, images)
    np.testing.assert_array_equal(model.predict_outputs(images), expected)
    np.testing.assert_allclose(model.predict_proba(images), softmax(expected), rtol=1e-5)
    np.testing.assert_array_equal(model.predict(images), expected.argmax(axis=1))
    targets = np.array([0, 1, 2, 0, 1])
    found = model.evaluate(images, targets)
    assert found["loss"] == pytest.approx(-np.log(softmax(expected)[np.arange(5), targets]).mean(), rel=1e-5)
    assert found["accuracy"] == np.mean(expected.argmax(axis=1) == targets)
    answer = model.classify(images[0])
    assert dict(answer)["bee"] == pytest.approx(softmax(expected)[0, 1], rel=1e-5)


def test_mirror_images_have_the_same_answer_to_the_bit_with_any_number_of_threads(images):
    model, threads = made(), cn.get_threads()
    expected = model.predict_outputs(images)
    np.testing.assert_array_equal(model.predict_outputs(np.flip(images, 3)), expected)
    try:
        for number in (1, 2, 3):
            cn.set_threads(number)
            np.testing.assert_array_equal(model.predict_outputs(images), expected)
    finally:
        cn.set_threads(threads)


def test_the_network_alone_and_a_model_without_the_mark_know_nothing_of_mirror_images(images):
    model, plain = made(), made(mirrored=False)
    np.testing.assert_array_equal(model(images), plain(images))
    np.testing.assert_array_equal(plain.predict_outputs(images), plain(images))
    model.mirrored = False
    np.testing.assert_array_equal(model.predict_outputs(images), plain(images))


def test_training_tests_the_model_as_it_answers(images):
    model = made()
    targets = np.array([0, 1, 2, 0, 1])
    history = model.fit(images, targets, epochs=1, batch_size=4, validation=(images, targets), progress=False)
    assert history[-1]["test_loss"] == model.evaluate(images, targets)["loss"]
    model.mirrored = False
    assert history[-1]["test_loss"] != model.evaluate(images, targets)["loss"]


def test_the_mark_is_saved_copied_and_shown(tmp_path):
    model = made()
    model.save(tmp_path / "m.safetensors")
    assert cn.load(tmp_path / "m.safetensors").mirrored
    assert copy.deepcopy(model).mirrored
    assert model.table()["mirrored"]
    assert "an image and for its mirror image" in model.summary()
    assert "an image and for its mirror image" in model._repr_html_()
    plain = made(mirrored=False)
    plain.save(tmp_path / "m.safetensors")
    assert not cn.load(tmp_path / "m.safetensors").mirrored
    assert not copy.deepcopy(plain).mirrored
    assert "mirror" not in plain.summary() + plain._repr_html_()


def test_a_part_of_a_model_and_a_new_head_have_no_mark():
    lower, upper = made().split(2)
    assert not lower.mirrored
    assert not upper.mirrored
    assert not tuning.with_head(made(), 2).mirrored


def test_what_is_neither_true_nor_false_is_no_mark(tmp_path):
    model = made()
    with pytest.raises(ArgumentError, match="Model: mirrored must be True or False, got 'yes'"):
        model.mirrored = "yes"
    description = model.description() | {"mirrored": "yes"}
    storage.write(tmp_path / "m.safetensors", model.state_dict(), {"colonnade": json.dumps(description)})
    with pytest.raises(FileFormatError, match="mirrored must be True or False"):
        cn.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("model", "x"),
    [
        (cn.Model([cn.Dense(4, 2)]).build((4,)), np.zeros((2, 4), np.float32)),
        (cn.Model([cn.Conv2d(3, 2, 3)]).build(SHAPE), np.zeros((2, *SHAPE), np.float32)),
    ],
)
def test_a_model_whose_outputs_may_say_where_things_are_is_refused(model, x):
    model.mirrored = True
    with pytest.raises(ArgumentError, match=r"predict_outputs: model.mirrored is for models of images \(c, h, w\)"):
        model.predict_outputs(x)


def test_pytorch_gets_the_network_and_gives_the_mark_back(images):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = made()
    module = model.to_torch()
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(images)).numpy(), model(images), rtol=1e-4, atol=1e-5)
    assert cn.from_torch(module).mirrored
