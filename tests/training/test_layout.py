"""Images in another layout or size than a model takes: what it takes, what was given, and what may be the matter."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ShapeError

RNG = np.random.default_rng(0)


def bytes_of(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def model() -> cn.Model:
    """Of 3×16×16 bytes, normalised."""
    made = cn.Model([cn.Conv2d(3, 4, 3), cn.Flatten(), cn.Dense(4 * 14 * 14, 2)])
    normalization = {"mean": [0.5] * 3, "std": [0.2] * 3}
    made.fit(bytes_of(4, 3, 16, 16), np.arange(4) % 2, normalization=normalization)
    return made


ASK = {
    "predict": lambda model, x: model.predict(x),
    "predict_proba": lambda model, x: model.predict_proba(x),
    "predict_outputs": lambda model, x: model.predict_outputs(x),
    "evaluate": lambda model, x: model.evaluate(x, np.zeros(len(x), int)),
    "fit": lambda model, x: model.fit(x, np.zeros(len(x), int)),
}


@pytest.mark.parametrize("who", ASK)
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((4, 16, 16, 3), r"got \(4, 16, 16, 3\): are the channels last\?$"),
        ((4, 32, 32, 3), r"got \(4, 32, 32, 3\): are the channels last\?$"),
        ((3, 16, 16), r"got \(3, 16, 16\): is it one image\? Add an axis, x\[None\]\.$"),
        ((4, 3, 32, 32), r"got \(4, 3, 32, 32\) \(.*layer 2.*\): model\.classify resizes images"),
        ((4, 1, 16, 16), r"got \(4, 1, 16, 16\)\.$"),
    ],
)
def test_what_the_model_takes_and_what_was_given_are_said(model, who, shape, message):
    with pytest.raises(ShapeError, match=rf"^{who}: this model takes 3×16×16, bytes or numbers in 0\.\.1; {message}"):
        ASK[who](model, bytes_of(*shape))
    assert model.input_shape == (3, 16, 16)


def test_a_model_that_flattens_its_images_does_not_take_channels_that_are_last():
    model = cn.zoo.mlp((3, 8, 8), 2)
    with pytest.raises(
        ShapeError, match=r"predict: this model takes 3×8×8; got \(2, 8, 8, 3\): are the channels last\?"
    ):
        model.predict(bytes_of(2, 8, 8, 3))


def test_grey_images_without_their_channel_are_told_how_to_get_one():
    model = cn.zoo.cnn((1, 8, 8), 2)
    with pytest.raises(ShapeError, match=r"got \(5, 8, 8\): give each image its channel, x\[:, None\]\."):
        model.predict(bytes_of(5, 8, 8))


def test_a_model_that_has_seen_nothing_yet_says_it_too():
    model = cn.Model([cn.Conv2d(3, 4, 3), cn.Flatten(), cn.Dense(16, 2)])
    with pytest.raises(ShapeError, match=r"got \(4, 16, 16, 3\): are the channels last\?$"):
        model.fit(bytes_of(4, 16, 16, 3), np.zeros(4, int), normalization={"mean": [0.5] * 3, "std": [0.2] * 3})
    assert model.input_shape is None


def test_other_numbers_than_bytes_are_named_as_the_model_knows_them():
    model = cn.Model([cn.Flatten(), cn.Dense(12, 2)])
    model.fit(np.linspace(-2, 2, 24).reshape(2, 3, 2, 2), [0, 1])
    with pytest.raises(ShapeError, match=r"this model takes 3×2×2, numbers from -2 to 2; got \(2, 2, 2, 3\)"):
        model.predict(np.zeros((2, 2, 2, 3)))


def test_images_of_another_size_are_taken_where_the_layers_take_them(model):
    open_model = cn.Model([cn.Conv2d(3, 4, 3), cn.AdaptiveAvgPool2d(1), cn.Flatten(), cn.Dense(4, 2)])
    open_model.build((3, 16, 16))
    assert open_model.predict(bytes_of(2, 3, 20, 24)).shape == (2,)
