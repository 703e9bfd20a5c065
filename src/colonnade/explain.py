"""What a model looks at: Grad-CAM, occlusion, and the feature maps of a layer.

All three are about a model as it is outside training, batch norm with its running statistics and dropout at rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from . import arguments
from .data.pairing import listed
from .errors import ArgumentError, ShapeError
from .layers import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, ZeroPad2d
from .layers.wiring import Fork
from .model import Model
from .ops.layout import Array
from .ops.resampling import linear_matrix
from .ops.softmax import softmax_forward
from .steps import Step
from .tensor import Shape
from .training.inference import prepared

LISTED = 100  # layers in a message
AT_ONCE = 128  # occluded copies of the image that are run together
# What only summarises or moves the maps of the layer before it.
POOLS = (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, ZeroPad2d)


def grad_cam(model: Model, image: ArrayLike, class_number: int | None = None, layer: str | None = None) -> Array:
    """Where the evidence for a class lies, as seen from one layer: a map (h, w) in [0, 1], as large as the image.

        map = max(0, Σₖ αₖ Aₖ)        αₖ = the mean over positions of ∂ score / ∂ Aₖ

    A is the layer's output (k maps) and the score the class's output, before any softmax of the loss. The map is
    resized linearly and divided by its greatest value; it is zero where nothing speaks for the class.

    Args:
        model: One that puts out a number for each class.
        image: (c, h, w), bytes or numbers, prepared as by `predict`.
        class_number: The class to explain; by default the likeliest.
        layer: The name of a layer that puts out maps, "6" or "3.main.0"; by default the last but pools.

    Raises:
        ArgumentError: No such class or layer, or a model that has seen no image.
        ShapeError: An image that does not fit, a layer that puts out no maps, or outputs that are no classes.

    Selvaraju et al. 2017, arXiv:1610.02391.
    """
    x = _prepared("grad_cam", model, image)
    _require_classes("grad_cam", model)
    number = find_maps("grad_cam", model, layer)
    scores = model(x)[0]
    at_output = np.zeros((1, len(scores)), model.dtype)
    at_output[0, _class_number("grad_cam", scores, class_number)] = 1
    maps = model.trace(x, at_output, training=False)[number].output
    weights = maps.grad[0].mean(axis=(1, 2))  # (k,)
    heat = np.maximum(np.tensordot(weights, maps.value[0], axes=1), 0)
    heat = _resized(heat, x.shape[2:])
    greatest = heat.max()
    return np.asarray(heat / greatest if greatest > 0 else heat)


def occlusion(
    model: Model,
    image: ArrayLike,
    class_number: int | None = None,
    *,
    size: int | None = None,
    stride: int | None = None,
    fill: float = 0.0,
) -> Array:
    """How much of a class's probability is lost when a part of the image is covered: a map (h, w), as the image.

    A square is slid over the image. Each pixel has the mean, over the squares that cover it, of the class's
    probability with nothing covered less that with the square covered: positive where the image speaks for the class.

    Args:
        model: One that puts out a number for each class.
        image: (c, h, w), bytes or numbers, prepared as by `predict`.
        class_number: The class to explain; by default the likeliest.
        size: The side of the square in pixels; by default a quarter of the image's shorter side.
        stride: Pixels from one square to the next; by default a quarter of `size`. The last one touches the border.
        fill: What covers, after normalisation: 0 is the mean colour of the training images.

    Raises:
        ArgumentError: No such class, a size or stride out of range, or a model that has seen no image.
        ShapeError: An image that does not fit, or outputs that are no classes.

    Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    x = _prepared("occlusion", model, image)
    _require_classes("occlusion", model)
    height, width = x.shape[2:]
    size = max(1, min(height, width) // 4) if size is None else size
    size = arguments.whole("occlusion", "size", size, 1, min(height, width))
    stride = arguments.whole("occlusion", "stride", max(1, size // 4) if stride is None else stride, 1)
    whole = _probabilities(model, x)[0]
    number = _class_number("occlusion", whole, class_number)
    corners = [(top, left) for top in _places(height, size, stride) for left in _places(width, size, stride)]
    lost, covered = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(corners), AT_ONCE):
        part = corners[start : start + AT_ONCE]
        copies = np.repeat(x, len(part), axis=0)
        for copy, (top, left) in zip(copies, part, strict=True):
            copy[:, top : top + size, left : left + size] = fill
        for (top, left), probability in zip(part, _probabilities(model, copies)[:, number], strict=True):
            lost[top : top + size, left : left + size] += whole[number] - probability
            covered[top : top + size, left : left + size] += 1
    return lost / np.maximum(covered, 1)


def feature_maps(model: Model, image: ArrayLike, layer: str | None = None) -> Array:
    """What a layer puts out for an image, (k, h, w).

    Args:
        model: Any that takes images.
        image: (c, h, w), bytes or numbers, prepared as by `predict`.
        layer: The layer's name, "6" or "3.main.0"; by default the last that puts out maps, but pools.

    Raises:
        ArgumentError: No such layer, or a model that has seen no image.
        ShapeError: An image that does not fit, or a layer that puts out no maps.
    """
    x = _prepared("feature_maps", model, image)
    number = find_maps("feature_maps", model, layer)
    return np.ascontiguousarray(model.trace(x)[number].output.value[0])


def map_layers(model: Model) -> list[str]:
    """The names of the layers that put out maps (k, h, w) of more than one position, in their order.

    Raises:
        ArgumentError: A model that has seen no image.
        ShapeError: A model of other inputs than one image.
    """
    _input_shape("map_layers", model)
    return [step.name for step in model.steps if _puts_out_maps(step)]


def default_layer(model: Model) -> str:
    """The last layer that puts out maps, but pools, which only make them coarser.

    Raises:
        ArgumentError: A model that has seen no image.
        ShapeError: A model in which no layer puts out maps, or of other inputs than one image.
    """
    _input_shape("default_layer", model)
    return model.steps[find_maps("default_layer", model, None)].name


def find_maps(who: str, model: Model, name: str | None) -> int:
    """Which step puts out the layer's maps: the last of a composite's; by default the last with maps, but pools.

    Raises:
        ArgumentError: No such layer; the message lists those that there are.
        ShapeError: A layer that puts out no maps.
    """
    steps = model.steps
    numbered = [*enumerate(steps)]
    if name is None:
        found = [(number, step) for number, step in numbered if _puts_out_maps(step)]
        found = [(number, step) for number, step in found if not isinstance(step.layer, POOLS)] or found
        if not found:
            raise ShapeError(f"{who}: no layer puts out maps (k, h, w) of more than one position.")
        return found[-1][0]
    found = [
        (number, step)
        for number, step in numbered
        if f"{step.name}.".startswith(f"{name}.") and not isinstance(step.layer, Fork)
    ]
    if not found:
        import difflib  # few mistype a name

        near = difflib.get_close_matches(name, [step.name for step in steps], n=1, cutoff=0)
        raise ArgumentError(
            f"{who}: expected the name of a layer, such as {near[0]!r}, got {name!r}: {_those_with_maps(steps)}."
        )
    number, last = found[-1]
    if not _puts_out_maps(last):
        raise ShapeError(
            f"{who}: layer {name} puts out no maps of more than one position, but {last.outputs[0].shape}: "
            f"{_those_with_maps(steps)}."
        )
    return number


def _those_with_maps(steps: Sequence[Step]) -> str:
    names = [step.name for step in steps if _puts_out_maps(step) and not isinstance(step.layer, Fork)]
    return f"those that put out maps are {listed(names, LISTED)}" if names else "no layer puts out maps"


def _puts_out_maps(step: Step) -> bool:
    shape = step.outputs[0].shape
    return len(step.outputs) == 1 and len(shape) == 3 and shape[1] * shape[2] > 1


def _input_shape(who: str, model: Model) -> Shape:
    shape = model.input_shape
    if shape is None:
        raise ArgumentError(f"{who}: the model has never seen an image: build it first.")
    if len(model.inputs) != 1 or len(shape) != 3:
        raise ShapeError(f"{who}: expected a model of images (c, h, w), got one of inputs {shape}.")
    return tuple(shape)


def _prepared(who: str, model: Model, image: ArrayLike) -> Array:
    """The image as a batch of one, as the model takes it."""
    shape, array = _input_shape(who, model), np.asarray(image)
    if array.shape != shape:
        raise ShapeError(f"{who}: expected one image of shape {shape}, got {array.shape}.")
    return prepared(who, model, array[np.newaxis])


def _require_classes(who: str, model: Model) -> None:
    shape = model.output_shape
    if len(model.outputs) != 1 or len(shape) != 1:
        raise ShapeError(f"{who}: expected a number for each class, got outputs of shape {shape}.")


def _probabilities(model: Model, x: Array) -> Array:
    outputs = model(x)
    softmax_forward(outputs, 1, out=outputs)
    return np.asarray(outputs)


def _class_number(who: str, scores: Array, number: int | None) -> int:
    if number is None:
        return int(scores.argmax())
    return arguments.whole(who, "class_number", number, 0, len(scores) - 1)


def _resized(heat: Array, shape: Shape) -> Array:
    """A map (h, w) in another size, interpolated linearly, as PyTorch does without `align_corners`."""
    vertical, horizontal = (
        linear_matrix(before, after, before / after, False, np.float64)
        for before, after in zip(heat.shape, shape, strict=True)
    )
    return np.asarray(vertical @ heat @ horizontal.T)


def _places(extent: int, size: int, stride: int) -> Iterator[int]:
    """Where squares begin, the last one at the border."""
    yield from range(0, extent - size, stride)
    yield extent - size
