"""Fine-tuning: a new head on features that are computed once, then everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError
from colonnade.tuning import suited_epochs, train_head, with_head

Array = np.ndarray[Any, Any]
RNG = np.random.default_rng(0)


def stripes(count: int) -> tuple[Array, Array]:
    """Small pictures of two kinds: stripes that lie, and stripes that stand."""
    y = np.arange(count) % 2
    lying = np.broadcast_to((np.arange(8) % 4 < 2)[:, np.newaxis], (8, 8)) * 200
    x = np.where(y[:, np.newaxis, np.newaxis] == 0, lying, lying.T) + RNG.integers(0, 50, (count, 8, 8))
    return x[:, np.newaxis].astype(np.uint8), y


@pytest.fixture
def base() -> cn.Model:
    model = cn.zoo.cnn((1, 8, 8), 5, seed=2)
    model.normalization = {"mean": [0.4], "std": [0.3]}
    return model


@pytest.mark.parametrize(
    ("make", "shape", "head"),
    [
        (cn.zoo.cnn, (1, 8, 8), ("11.weight", "11.bias")),
        (cn.zoo.resnet20, (3, 8, 8), ("23.weight", "23.bias")),
        (cn.zoo.squeezenet, (3, 8, 8), ("classifier.1.weight", "classifier.1.bias")),
        (cn.zoo.densenet, (3, 8, 8), ("classifier.weight", "classifier.bias")),
        (cn.zoo.vit_tiny, (3, 8, 8), ("heads.head.weight", "heads.head.bias")),
    ],
)
def test_a_new_head_leaves_all_else_as_it_was(
    make: Callable[..., cn.Model], shape: tuple[int, ...], head: tuple[str, ...]
) -> None:
    base = make(shape, 7, seed=1)
    before = base.state_dict()
    model = with_head(base, ["a", "b", "c"], seed=3)
    after = model.state_dict()
    assert model.output_shape == (3,)
    assert model.classes == ["a", "b", "c"]
    assert [name for name in before if before[name].shape != after[name].shape] == [*head]
    assert all(np.array_equal(before[name], after[name]) for name in before if name not in head)
    assert not any(after[name].any() for name in head)
    after_all = base.state_dict()
    assert all(np.array_equal(before[name], after_all[name]) for name in before)


def test_the_head_learns_and_the_body_stays(base: cn.Model, tmp_path: Path) -> None:
    x, y = stripes(64)
    before = base.state_dict()
    model = cn.fine_tune(base, (x, y), validation=stripes(20), head_epochs=20, epochs=0, cache=tmp_path)
    assert cn.evaluate(model, *stripes(40))["accuracy"] == 1.0
    assert model.normalization == base.normalization
    after = model.state_dict()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["11.weight", "11.bias"]
    assert len([*tmp_path.glob("features-*.npy")]) == 2
    assert all(np.array_equal(array, before[name]) for name, array in base.state_dict().items())


def test_of_few_images_the_head_alone_learns_unless_epochs_are_said(base: cn.Model) -> None:
    assert [suited_epochs(images) for images in (1, 999, 1_000, 60_000)] == [0, 0, 10, 10]
    before = base.state_dict()
    after = cn.fine_tune(base, stripes(32), head_epochs=1).state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["11.weight", "11.bias"]


def test_options_without_epochs_are_refused(base: cn.Model) -> None:
    with pytest.raises(ArgumentError, match=r"fine_tune: lr, clip: the head alone learns, .* say epochs=10, too"):
        cn.fine_tune(base, stripes(32), lr=1e-3, clip=1.0)


def test_then_everything_learns(base: cn.Model) -> None:
    x, y = stripes(32)
    model = cn.fine_tune(base, (x, y), head_epochs=1, epochs=3)
    before, after = base.state_dict(), model.state_dict()
    assert all(not np.array_equal(before[name], after[name]) for name in before if name.endswith("weight"))


def test_the_body_learns_at_a_lower_rate_than_the_head(base: cn.Model) -> None:
    """The first step of Adam moves each number by the rate, whatever its gradient."""
    x, y = stripes(32)
    start = cn.fine_tune(base, (x, y), head_epochs=2, epochs=0)
    moved: dict[str, float] = {}
    model = cn.fine_tune(base, (x, y), head_epochs=2, epochs=1, lr=1e-2, body_lr=1e-4, schedule=None)
    for name, array in model.state_dict().items():
        if name.endswith(("weight", "bias")):
            moved[name] = float(np.abs(array - start.state_dict()[name]).max())
    assert moved["11.weight"] == pytest.approx(1e-2, rel=0.1)
    assert max(rate for name, rate in moved.items() if not name.startswith("11.")) == pytest.approx(1e-4, rel=0.1)


def test_by_default_the_body_learns_at_a_tenth_of_the_rate(base: cn.Model) -> None:
    x, y = stripes(32)
    tenth, default = (
        cn.fine_tune(base, (x, y), head_epochs=1, epochs=1, lr=1e-2, **more).state_dict()
        for more in ({"body_lr": 1e-3}, {})
    )
    assert all(np.array_equal(tenth[name], default[name]) for name in tenth)


def test_what_takes_its_time_before_the_head_is_told_as_it_goes(base: cn.Model) -> None:
    told: list[tuple[str, int, int]] = []
    model = with_head(base, 2)
    images, held_out = cn.data.Arrays(*stripes(64)), cn.data.Arrays(*stripes(20))
    train_head(model, images, held_out, epochs=2, watch=lambda *what: told.append(what))
    assert told == [("features", 64, 64), ("features", 20, 20), *(("new head", step, 4) for step in range(1, 5))]


def test_the_same_seed_gives_the_same_bits(base: cn.Model) -> None:
    data = stripes(32)
    states = [cn.fine_tune(base, data, head_epochs=2, epochs=1, seed=4).state_dict() for _ in range(2)]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_a_data_set_brings_its_classes_and_its_test_part(base: cn.Model) -> None:
    digits = cn.data.load("digits")
    told: list[Any] = []

    class Told(cn.training.callbacks.Callback):
        def on_epoch_end(self, record: Any) -> None:
            told.append(record["test_accuracy"])

    model = cn.fine_tune(base, digits, head_epochs=1, epochs=1, callbacks=[Told()])
    assert model.classes == digits.classes
    assert len(told) == 1
    assert told[0] is not None


def test_classes_may_be_names_which_pair_the_validation(base: cn.Model) -> None:
    x, y = stripes(64)
    names = np.array(["standing", "lying"])[1 - y]  # sorted, "lying" is 0
    told: list[float] = []

    class Told(cn.training.callbacks.Callback):
        def on_epoch_end(self, record: Any) -> None:
            told.append(record["test_accuracy"])

    only = y == 1  # one class alone
    with pytest.warns(UserWarning, match="1 of the model's classes has no images here: lying"):
        model = cn.fine_tune(base, (x, names), validation=(x[only], names[only]), epochs=1, lr=1e-4, callbacks=[Told()])
    assert model.classes == ["lying", "standing"]
    assert list(model.predict(x, names=True)) == list(names)
    assert told == [1.0]


def test_a_tuned_model_runs_as_its_base_does_but_answers_by_no_mirror_images(base: cn.Model) -> None:
    base = cn.Model(base.layers, share_memory=False, compiled=False).build((1, 8, 8))
    base.mirrored = True
    model = with_head(base, 2)
    assert (model.share_memory, model.compiled, model.mirrored) == (False, False, False)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, r"data must be what colonnade.data.load gives, examples or a pair of arrays \(x, y\), got NoneType"),
        ("photographs", r"data must be what colonnade.data.load gives, .* got str"),
        ((stripes(4)[0], [0, 0.5, 1, 1]), "a class for each image, .* got float64 of shape"),
        ((stripes(4)[0], np.eye(4)), "a class for each image, .* got float64 of shape"),
        ((stripes(4)[0], None), "expected targets y"),
    ],
)
def test_what_is_no_data_is_refused(base: cn.Model, data: Any, message: str) -> None:
    with pytest.raises(cn.errors.ArgumentError, match=f"fine_tune: .*{message}"):
        cn.fine_tune(base, data)
    with pytest.raises(cn.errors.ArgumentError, match=r"must be a Model, as .*load gives, got str"):
        cn.fine_tune("base.safetensors", data)  # type: ignore[arg-type]


def test_an_option_that_fit_has_not_is_told_before_the_head_is_trained(base: cn.Model) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'augment'"):
        cn.fine_tune(base, stripes(4), epochs=0, augment="flip")


def test_the_head_is_trained_on_what_a_frozen_body_makes(base: cn.Model) -> None:
    """As if it were the only part of the whole model that learns."""
    x, y = stripes(64)
    examples = cn.data.Arrays(x, y)
    by_features, whole = with_head(base, 2), with_head(base, 2)
    train_head(by_features, examples, epochs=2, seed=0)
    whole.freeze(*{step.name for step in whole.steps if step.name != "11"})
    optimizer = cn.training.optimizer("adamw", [each for each in whole.parameters() if each.trainable], 1e-3)
    cn.fit(whole, examples, epochs=2, batch_size=32, optimizer=optimizer, schedule="one-cycle", seed=0)
    assert by_features.steps[-1].parameters[0].array == pytest.approx(whole.steps[-1].parameters[0].array, abs=1e-4)


def test_what_has_no_head_is_refused() -> None:
    with pytest.raises(cn.errors.ArgumentError, match="with_head: the model has nothing that learns"):
        cn.fine_tune(cn.Model([cn.ReLU()]).build((4,)), (np.zeros((4, 4), np.float32), np.arange(4)))
    with pytest.raises(cn.errors.ArgumentError, match=r"must be dense or a 1×1 convolution, got Conv2d"):
        with_head(cn.Model([cn.Conv2d(1, 2, 3)]).build((1, 8, 8)), 3)


def test_numbers_out_of_range_are_refused(base: cn.Model) -> None:
    x, y = stripes(8)
    with pytest.raises(cn.errors.ArgumentError, match="fine_tune: epochs must"):
        cn.fine_tune(base, (x, y), epochs=-1)
    with pytest.raises(cn.errors.ArgumentError, match="fine_tune: body_lr must be zero or more, got -1"):
        cn.fine_tune(base, (x, y), body_lr=-1)
    with pytest.raises(cn.errors.ArgumentError, match="fine_tune: lr must be a finite number, got 'much'"):
        cn.fine_tune(base, (x, y), lr="much")  # type: ignore[arg-type]
    with pytest.raises(cn.errors.ArgumentError, match="with_head: classes must be positive, got 0"):
        with_head(base, 0)
