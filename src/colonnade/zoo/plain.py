"""Chains of layers: a multilayer perceptron, and the convolutional networks of the first twenty years."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..arguments import wholes
from ..composites import Node
from ..errors import ArgumentError
from ..layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    Tanh,
)
from ..model import Model
from ..tensor import Shape
from .arguments import image


def mlp(
    input_shape: Shape = (1, 28, 28), classes: int = 10, *, hidden: Sequence[int] = (512, 256), **options: Any
) -> Model:
    """A multilayer perceptron: dense layers, a ReLU behind each but the last (Rumelhart et al. 1986).

    | layer | output |
    | --- | --- |
    | flatten | 784 |
    | dense, ReLU | 512 |
    | dense, ReLU | 256 |
    | dense | classes |

    535,818 parameters for 28×28 images and ten classes.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        hidden: The width of each hidden layer.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's.
        ArgumentError: A number below one.
    """
    channels, height, width = image("mlp", input_shape, classes)
    hidden = wholes("mlp", "hidden", hidden)
    if min(hidden, default=1) < 1:
        raise ArgumentError(f"mlp: hidden must hold positive widths, got {hidden}.")
    layers: list[Node] = [Flatten()]
    features = channels * height * width
    for units in hidden:
        layers += [Dense(features, units), ReLU()]
        features = units
    return Model([*layers, Dense(features, classes)], **options).build(input_shape)


def lenet5(input_shape: Shape = (1, 28, 28), classes: int = 10, **options: Any) -> Model:
    """LeNet-5: two convolutions of 5×5 with tanh and average pooling, three dense layers (LeCun et al. 1998).

    The first convolution pads by 2, so that 28×28 images go where the paper's 32×32 went.
    """
    channels, height, width = image("lenet5", input_shape, classes, least=12)
    size = ((height // 2 - 4) // 2, (width // 2 - 4) // 2)
    layers: list[Node] = [
        *(Conv2d(channels, 6, 5, padding=2), Tanh(), AvgPool2d(2)),
        *(Conv2d(6, 16, 5), Tanh(), AvgPool2d(2)),
        Flatten(),
        *(Dense(16 * size[0] * size[1], 120), Tanh()),
        *(Dense(120, 84), Tanh()),
        Dense(84, classes),
    ]
    return Model(layers, **options).build(input_shape)


def cnn(input_shape: Shape = (1, 28, 28), classes: int = 10, **options: Any) -> Model:
    """The standard CNN: two convolutions of 3×3 with batch norm, ReLU and max pooling, two dense layers."""
    channels, height, width = image("cnn", input_shape, classes, least=4)
    layers: list[Node] = [
        *(Conv2d(channels, 32, 3, padding=1), BatchNorm2d(32), ReLU(), MaxPool2d(2)),
        *(Conv2d(32, 64, 3, padding=1), BatchNorm2d(64), ReLU(), MaxPool2d(2)),
        Flatten(),
        *(Dense(64 * (height // 4) * (width // 4), 128), ReLU()),
        Dense(128, classes),
    ]
    return Model(layers, **options).build(input_shape)


def vgg(input_shape: Shape = (3, 32, 32), classes: int = 10, **options: Any) -> Model:
    """A small VGG: pairs of 3×3 convolutions of 64, 128 and 256 channels, each with batch norm and ReLU, then a pool.

    After Simonyan and Zisserman 2014, arXiv:1409.1556.
    """
    channels, height, width = image("vgg", input_shape, classes, least=8)
    layers: list[Node] = []
    for filters in (64, 128, 256):
        for _ in range(2):
            layers += [Conv2d(channels, filters, 3, padding=1, bias=False), BatchNorm2d(filters), ReLU()]
            channels = filters
        layers.append(MaxPool2d(2))
    layers += [Flatten(), Dense(channels * (height // 8) * (width // 8), classes)]
    return Model(layers, **options).build(input_shape)


def photo_cnn(input_shape: Shape = (3, 64, 64), classes: int = 10, **options: Any) -> Model:
    """A small network for a few hundred photographs: it sees what is in them, not where.

    Four convolutions of 3×3 to 32, 64, 128 and 128 channels without bias, each with batch norm, ReLU and a max pool of
    2; then the mean over all places (Lin et al. 2013, arXiv:1312.4400), dropout and one dense layer: a quarter of a
    million weights, nearly all of them shared by all places, so that little is learned by heart.
    """
    channels, _, _ = image("photo_cnn", input_shape, classes, least=16)
    layers: list[Node] = []
    for filters in (32, 64, 128, 128):
        layers += [Conv2d(channels, filters, 3, padding=1, bias=False), BatchNorm2d(filters), ReLU(), MaxPool2d(2)]
        channels = filters
    layers += [AdaptiveAvgPool2d(1), Flatten(), Dropout(0.2), Dense(channels, classes)]
    return Model(layers, **options).build(input_shape)
