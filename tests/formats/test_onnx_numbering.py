"""ONNX graphs that count the images of a batch, as PyTorch writes `x[arange(len(x))]` and views by strides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from colonnade.errors import FileFormatError

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")

from colonnade.formats.onnx import import_model  # noqa: E402  # needs the packages above
from tests.formats.onnx_graphs import graph, op  # noqa: E402

# The numbers of the images, 0 and on.
COUNTED = [op("Shape", "x", "shape", end=1), op("Squeeze", "shape", "n"), op("Range", "zero n one", "r")]
CONSTANTS: Any = {"zero": np.int64(0), "one": np.int64(1), "axis": [1], "flat": [-1]}


def weights(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def strided(*axes: list[int]) -> Any:
    """Nodes that take from each image of (4, 3) the numbers that the axes' offsets add up to."""
    places: dict[str, Any] = {f"a{number}": np.asarray(axis) for number, axis in enumerate(axes)}
    shapes = [(1,) * (number + 1) + (-1,) + (1,) * (len(axes) - 1 - number) for number in range(len(axes))]
    places = {name: place.reshape(shape) for (name, place), shape in zip(places.items(), shapes, strict=True)}
    nodes = [op("Reshape", "x flat", "f"), op("Mul", "r twelve", "m")]
    nodes += [op("Unsqueeze", "m later", "s0")]
    nodes += [op("Add", f"s{number} a{number}", f"s{number + 1}") for number in range(len(axes))]
    constants = {"twelve": np.int64(12), "later": list(range(1, len(axes) + 1)), **places}
    return [*COUNTED, *nodes, op("Gather", f"f s{len(axes)}")], constants


TAKEN: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Gather": ([*COUNTED, op("Gather", "x r")], {}),
    "Gather a column": ([*COUNTED, op("Unsqueeze", "r axis", "c"), op("Gather", "x c")], {}),
    "GatherND": ([*COUNTED, op("Unsqueeze", "r last", "c"), op("GatherND", "x c")], {"last": [-1]}),
    "reshaped": ([*COUNTED, op("Reshape", "r column", "c"), op("GatherND", "x c")], {"column": [-1, 1]}),
    "transposed by strides": strided([0, 1, 2], [0, 3, 6, 9]),
    "every other": strided([0, 6], [1, 2]),
    "overlapping": strided([0, 3, 6], [0, 1, 2, 3, 4, 5]),
}


@pytest.mark.parametrize("name", TAKEN)
def test_each_image_is_taken_from_by_its_own_number(name: str) -> None:
    nodes, constants = TAKEN[name]
    content = graph(nodes, ("N", 4, 3), **CONSTANTS, **constants)
    session = ort.InferenceSession(content.SerializeToString())
    model = import_model(content)
    for images in (1, 5):
        x = weights(images, 4, 3)
        np.testing.assert_array_equal(model(x), session.run(None, {"x": x})[0])


REFUSED: dict[str, tuple[list[Any], dict[str, Any], str]] = {
    "the next image": ([*COUNTED, op("Add", "r one", "c"), op("Gather", "x c")], {}, "from other images than its own"),
    "beyond an image": (*strided([0, 12]), "it takes from other images than its own"),
    "another axis": ([*COUNTED, op("Gather", "x r", axis=1)], {}, "the numbers of the images along another axis"),
    "a number": (
        [*COUNTED, op("Cast", "r", "f", to=1), op("Sqrt", "f")],
        {},
        "computes with the numbers of the images",
    ),
    "an output": ([*COUNTED, op("Identity", "r", "y")], {}, "output 'y' does not depend on an input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_see_other_images_is_refused(name: str) -> None:
    nodes, constants, message = REFUSED[name]
    with pytest.raises(FileFormatError, match=message):
        import_model(graph(nodes, ("N", 4, 3), **CONSTANTS, **constants))
