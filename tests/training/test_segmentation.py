"""Training on a class of each pixel, some of which do not count: beside PyTorch and beside what is counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

import colonnade as cn
from colonnade.data.augmentation import Compose, RandomAffine, RandomHorizontalFlip
from colonnade.errors import ArgumentError, ShapeError

UNKNOWN = 255


@pytest.fixture
def pixels() -> tuple[np.ndarray, np.ndarray]:
    """Pictures, and the class of each of their pixels; some have none, of the second picture all."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 2, 5, 7))
    classes = rng.integers(0, 3, (6, 5, 7))
    classes[rng.random(classes.shape) < 0.3] = UNKNOWN
    classes[1] = UNKNOWN
    return x, classes


def small(dtype: str = "float64") -> cn.Model:
    return cn.Model([cn.Conv2d(2, 4, 3, padding=1), cn.Tanh(), cn.Conv2d(4, 3, 1)], seed=0, dtype=dtype)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_step_is_that_of_pytorch(pixels, accumulate):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, classes = pixels
    weight = np.array([1.0, 0.5, 2.0])
    model = small().build((2, 5, 7))
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(4, 3, 1)
    ).double()
    theirs.load_state_dict({name: torch.tensor(array) for name, array in model.state_dict().items()})
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    loss = torch.nn.CrossEntropyLoss(torch.tensor(weight), ignore_index=UNKNOWN)(
        theirs(torch.tensor(x)), torch.tensor(classes)
    )
    loss.backward()
    optimizer.step()
    history = model.fit(
        x,
        classes,
        optimizer=cn.SGD(model.parameters(), lr=0.1),
        loss=cn.CrossEntropyLoss(weight, ignore_index=UNKNOWN),
        batch_size=6,
        shuffle=False,
        accumulate=accumulate,
    )
    assert history[0]["train_loss"] == pytest.approx(loss.item(), rel=1e-12)
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(array, theirs.state_dict()[name].numpy(), rtol=1e-9, atol=1e-12, err_msg=name)


def test_only_pixels_that_count_are_right_or_wrong(pixels):
    x, classes = pixels
    model = small()
    found = model.evaluate(x, classes, loss=cn.CrossEntropyLoss(ignore_index=UNKNOWN), batch_size=4)
    answers = model.predict(x)
    assert answers.shape == classes.shape
    counted = classes != UNKNOWN
    assert found["accuracy"] == pytest.approx(np.mean(answers[counted] == classes[counted]))
    outputs = model(x)
    log_p = outputs - np.log(np.exp(outputs).sum(axis=1, keepdims=True))
    chosen = np.take_along_axis(log_p, np.where(counted, classes, 0)[:, None], axis=1)[:, 0]
    assert found["loss"] == pytest.approx(-chosen[counted].mean())


def test_targets_that_are_no_class_of_each_pixel_are_named(pixels):
    x, classes = pixels
    with pytest.raises(ArgumentError, match="fit: CrossEntropyLoss: class numbers must be from 0 to 2, got 255"):
        small().fit(x, classes)
    with pytest.raises(
        ShapeError, match=r"fit: CrossEntropyLoss: targets .* must be class numbers of shape \(6, 5, 7\)"
    ):
        small().fit(x, classes[:, None], loss=cn.CrossEntropyLoss(ignore_index=UNKNOWN))


def test_an_augmentation_moves_the_classes_with_the_pixels():
    """Each pixel's class is written in it: moved alike, a model that reads it is never wrong."""
    classes = np.random.default_rng(0).integers(0, 3, (20, 8, 9))
    x = (classes[:, None] == np.arange(3)[:, None, None]).astype(np.float32)
    model = cn.Model([cn.Conv2d(3, 3, 1, bias=False)]).build((3, 8, 9))
    model.load_state_dict({"0.weight": np.eye(3).reshape(3, 3, 1, 1)})
    augmentation = Compose([RandomHorizontalFlip(), RandomAffine(30, translate=(0.3, 0.3))])
    history = model.fit(x, classes, optimizer=cn.SGD(model.parameters(), lr=1e-9), augmentation=augmentation)
    assert history[0]["train_accuracy"] == 1
