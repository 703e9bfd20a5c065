"""What all networks of the zoo take, checked."""

from __future__ import annotations

from .. import arguments
from ..errors import ShapeError
from ..tensor import Shape

LARGE = 64  # pixels from which on a network takes images in as ImageNet's are


def image(name: str, input_shape: Shape, classes: int, least: int = 1) -> tuple[int, int, int]:
    """One image's shape, (c, h, w).

    Raises:
        ShapeError: Another number of axes, or fewer pixels than `least` a side.
        ArgumentError: No class.
    """
    sizes = arguments.wholes(name, "input_shape", input_shape)
    if len(sizes) != 3:
        raise ShapeError(f"{name}: expected one image's shape (c, h, w), got {sizes}.")
    arguments.whole(name, "classes", classes, 1)
    channels, height, width = sizes
    if min(height, width) < least:
        raise ShapeError(f"{name}: images must be at least {least}×{least}, got {height}×{width}.")
    return channels, height, width


def imagenet_stem(name: str, stem: str | None, input_shape: Shape) -> bool:
    """Whether a network begins as for ImageNet, with strides, rather than as for the small images of CIFAR.

    Args:
        name: The network's.
        stem: "imagenet" or "cifar"; None for what suits the images: ImageNet's from 64 pixels on.
        input_shape: One image's.

    Raises:
        ArgumentError: Another stem.
    """
    if stem is not None:
        arguments.choice(name, "stem", stem, ("imagenet", "cifar"))
    return stem == "imagenet" if stem else min(input_shape[1:]) >= LARGE
