"""Features on disk: computed once, good as long as the model and the images stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.data import Arrays
from colonnade.errors import ArgumentError, DataError, ShapeError

Array = np.ndarray[Any, Any]


def backbone(seed: int = 0) -> cn.Model:
    layers = [
        *(cn.Conv2d(1, 4, 3, padding=1), cn.BatchNorm2d(4), cn.ReLU(), cn.MaxPool2d(2)),
        *(cn.Conv2d(4, 6, 3, padding=1), cn.ReLU()),
        *(cn.Flatten(), cn.Dense(6 * 4 * 4, 10)),
    ]
    return cn.Model(layers, seed=seed).build((1, 8, 8))


def images(count: int = 40, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    return Arrays(rng.integers(0, 256, (count, 1, 8, 8), np.uint8), rng.integers(0, 5, count))


class Counting:
    """Counts how many images a model runs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.images = 0
        run = cn.Model.__call__

        def counted(model: cn.Model, x: Array, training: bool = False) -> Any:
            self.images += len(x)
            return run(model, x, training)

        monkeypatch.setattr(cn.Model, "__call__", counted)


@pytest.mark.parametrize(("place", "shape"), [(5, (6, 4, 4)), (6, (96,))], ids=["images", "rows"])
def test_features_are_what_the_model_makes_of_the_images(tmp_path: Path, place: int, shape: tuple[int, ...]) -> None:
    body, data = backbone().cut(place), images()
    body.normalization = {"mean": [0.4], "std": [0.3]}
    features = cn.cached_features(body, data, tmp_path, batch_size=16)
    assert isinstance(features, Arrays)
    assert not features.in_memory
    assert features.x.shape == (40, *shape)
    assert features.x.dtype == np.float32
    expected = body((data.x.astype(np.float32) / 255 - np.float32(0.4)) / np.float32(0.3))
    np.testing.assert_allclose(features.x, expected, rtol=1e-4, atol=1e-5)
    assert features.targets is data.targets
    np.testing.assert_array_equal(features.take(np.array([3, 1])), features.x[[3, 1]])


def test_a_second_call_computes_nothing_and_a_copy_of_the_model_neither(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(monkeypatch)
    first = cn.cached_features(backbone().cut(5), images(), tmp_path)
    assert counting.images == 40
    again = cn.cached_features(backbone().cut(5), images(), tmp_path, batch_size=7, workers=1)
    assert counting.images == 40
    np.testing.assert_array_equal(first.x, again.x)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda model, data: model.parameters()[0].value.__setitem__((0, 0, 0, 0), 0.5),
        lambda model, data: model[1].running_mean.__iadd__(0.1),
        lambda model, data: setattr(model, "normalization", {"mean": [0.5], "std": [0.25]}),
        lambda model, data: data.x.__setitem__((39, 0, 7, 7), 255 - data.x[39, 0, 7, 7]),
    ],
    ids=["a weight", "a running mean", "the normalization", "a pixel"],
)
def test_other_weights_or_images_are_computed_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any
) -> None:
    body, data = backbone().cut(5), images()
    before = np.array(cn.cached_features(body, data, tmp_path).x)
    counting = Counting(monkeypatch)
    change(body, data)
    after = cn.cached_features(body, data, tmp_path).x
    assert counting.images == 40
    assert not np.array_equal(before, after)


def test_another_architecture_of_the_same_weights_is_computed_anew(tmp_path: Path) -> None:
    body = backbone().cut(5)
    other = cn.Model([*body.layers[:-1], cn.Tanh()])
    assert not np.array_equal(
        cn.cached_features(body, images(), tmp_path).x, cn.cached_features(other, images(), tmp_path).x
    )


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array", "truncated", "another shape"])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: Any) -> None:
    body = backbone().cut(5)
    expected = np.array(cn.cached_features(body, images(), tmp_path).x)
    (path,) = tmp_path.iterdir()
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "another shape":
        np.save(path, np.zeros((40, 6), np.float32))
    else:
        path.write_bytes(damage)
    np.testing.assert_array_equal(cn.cached_features(body, images(), tmp_path).x, expected)
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    body = backbone().cut(5)
    monkeypatch.setattr(cn.Model, "__call__", fail)
    with pytest.raises(KeyboardInterrupt):
        cn.cached_features(body, images(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_head_on_the_features_learns_what_the_frozen_whole_learns(tmp_path: Path) -> None:
    digits = cn.data.load("digits")

    def trained() -> cn.Model:
        model = backbone(seed=1)
        cn.fit(model, digits.train, epochs=1, batch_size=64, normalization=digits.normalization)
        return model

    options: dict[str, Any] = {"epochs": 3, "batch_size": 64, "seed": 2}
    whole = trained()
    fresh = cn.Dense(96, 10)
    whole = cn.Model([*whole.cut(6), fresh], seed=5).build((1, 8, 8))
    whole.normalization = digits.normalization
    whole.freeze(*(str(number) for number in range(7)))
    start = whole.state_dict()
    cn.fit(whole, digits.train, optimizer=cn.SGD(whole.parameters(), lr=0.1), **options)

    body = trained().cut(6)
    body.normalization = digits.normalization
    head = cn.Model([cn.Dense(96, 10)]).build((96,))
    head.load_state_dict({name: start[f"7.{name.removeprefix('0.')}"] for name in ("0.weight", "0.bias")})
    train, test = (cn.cached_features(body, part, tmp_path) for part in (digits.train, digits.test))
    cn.fit(head, train, optimizer=cn.SGD(head.parameters(), lr=0.1), **options)

    for name in ("weight", "bias"):
        np.testing.assert_allclose(
            head.state_dict()[f"0.{name}"], whole.state_dict()[f"7.{name}"], rtol=1e-3, atol=1e-4
        )
    assert cn.evaluate(head, test)["accuracy"] == cn.evaluate(whole, digits.test)["accuracy"]


def test_what_is_no_model_of_one_input_and_output_is_refused(tmp_path: Path) -> None:
    two = cn.Model(cn.Graph({"sum": (cn.Add(), "a", "b")}, inputs=("a", "b")))
    with pytest.raises(ArgumentError, match=r"cached_features: expected a model of one input, got one of 2\."):
        cn.cached_features(two, images(), tmp_path)
    with pytest.raises(ArgumentError, match=r"cached_features: expected a model of one input, got ReLU\."):
        cn.cached_features(cn.ReLU(), images(), tmp_path)  # type: ignore[arg-type]
    nodes = {"left": (cn.ReLU(), "input"), "right": (cn.Tanh(), "input")}
    outputs = cn.Model(cn.Graph(nodes, outputs=["left", "right"]))
    with pytest.raises(ArgumentError, match=r"cached_features: expected a model of one output, got 2\."):
        cn.cached_features(outputs, images(), tmp_path)
    with pytest.raises(ShapeError, match="expected 3 input channels"):
        cn.cached_features(cn.Model([cn.Conv2d(3, 2, 3)]), images(), tmp_path)
    with pytest.raises(ArgumentError, match="batch_size"):
        cn.cached_features(backbone(), images(), tmp_path, batch_size=0)


def test_a_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(DataError, match=r"features can't be written"):
        cn.cached_features(backbone(), images(), file)
