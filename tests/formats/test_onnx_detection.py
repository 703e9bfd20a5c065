"""Files that end in NonMaxSuppression, beside ONNX Runtime: each image's rows, those that there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import FileFormatError, StateError

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import import_model  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402

Array = np.ndarray[Any, Any]
CLASSES, BOXES = 3, 40
PARTS: dict[str, Any] = {"s": [4, CLASSES], "most": [5], "overlap": np.float32([0.4]), "score": np.float32([0.9])}
# x holds for each box four numbers and a score for each class.
HEAD = [op("Split", "x s", "boxes t", axis=2), op("Transpose", "t", "scores", perm=[0, 2, 1])]


def suppression(**how: Any) -> Any:
    return op("NonMaxSuppression", "boxes scores most overlap score", "rows", **how)


def detections(images: int, seed: int = 0) -> Array:
    """Boxes around a few places, so that many overlap."""
    rng = np.random.default_rng(seed)
    places, sizes = rng.integers(1, 5, (images, BOXES, 2)) * 3, rng.uniform(1, 4, (images, BOXES, 2))
    return np.concatenate(
        [places + rng.normal(size=places.shape) * 0.3, sizes, rng.random((images, BOXES, CLASSES))], 2, dtype=np.float32
    )


def theirs(model: Any, x: Array) -> list[Array]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), None, ["CPUExecutionProvider"])
    made: list[Array] = session.run(None, {"x": x})
    return made


def rows_graph(images: int | str, **how: Any) -> Any:
    return graph([*HEAD, suppression(**how), op("Cast", "rows", to=1)], (images, BOXES, 4 + CLASSES), **PARTS)


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("images", [1, 3])
def test_the_rows_that_there_are_are_those_of_onnx_runtime(center: int, images: int) -> None:
    model = rows_graph("N", center_point_box=center)
    x = detections(images)
    ours = import_model(model)(x)
    assert ours.shape == (images, CLASSES * 5, 3)
    listed = [np.insert(each[each[:, 2] >= 0][:, 1:], 0, number, axis=1) for number, each in enumerate(ours)]
    np.testing.assert_array_equal(np.concatenate(listed), theirs(model, x)[0])
    assert (ours[ours[..., 2] < 0] == -1).all()


@pytest.mark.parametrize("pairs", [False, True])
def test_what_is_taken_by_rows_is_that_of_onnx_runtime_and_zero_where_there_is_none(pairs: bool) -> None:
    take = (
        [op("Gather", "rows both", "ends", axis=1), op("GatherND", "x ends", "taken")]
        if pairs
        else [op("Gather", "rows two", "column", axis=1), op("Squeeze", "column one", "place")]
        + [op("Gather", "x place", "some", axis=1), op("Squeeze", "some zero", "taken")]
    )
    if not pairs:
        take[-1] = op("Identity", "some", "taken")
    model = graph(
        [*HEAD, suppression(), *take, op("Identity", "taken", "y")],
        (1, BOXES, 4 + CLASSES),
        **PARTS,
        both=[0, 2],
        two=[2],
        one=[1],
        zero=[0],
    )
    x = detections(1)
    ours, wanted = import_model(model)(x)[0], theirs(model, x)[0].reshape(-1, 4 + CLASSES)
    there = np.abs(ours).sum(axis=1) > 0
    np.testing.assert_array_equal(ours[there], wanted)
    assert len(wanted) < CLASSES * 5


def test_a_selection_says_that_it_has_no_gradient() -> None:
    model = import_model(rows_graph("N"))
    y = model(detections(2), training=True)
    with pytest.raises(StateError, match="NonMaxSuppression: a choice has no gradient"):
        model.backward(np.ones_like(y))


def test_nothing_is_kept_where_nobody_says_how_much() -> None:
    model = graph(
        [*HEAD, op("NonMaxSuppression", "boxes scores"), op("Cast", "y", "z", to=1)],
        ("N", BOXES, 4 + CLASSES),
        outputs="z",
        s=[4, CLASSES],
    )
    with pytest.raises(FileFormatError, match=r"NonMaxSuppression .* can't be run: it keeps no box of any class"):
        import_model(model)


def test_no_class_has_more_rows_than_there_are_boxes() -> None:
    assert cn.Model(
        cn.Graph(
            {"boxes": (cn.Slice(2, 0, 4), "input"), "s": (cn.Slice(2, 4, 6), "input"),
             "scores": (cn.Permute((0, 2, 1)), "s"), "y": (cn.NonMaxSuppression(100), "boxes", "scores")}
        )
    ).build((7, 6)).output_shape == (2, 7)  # fmt: skip
