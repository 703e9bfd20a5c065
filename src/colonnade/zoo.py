"""Models that everybody knows, by name. Each takes one image's shape, the number of classes and Model's options."""

from __future__ import annotations

from typing import Any

from .composites import Node, Residual
from .errors import ArgumentError, ShapeError
from .layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    ReLU,
    Tanh,
)
from .model import Model
from .tensor import Shape


def lenet5(input_shape: Shape = (1, 28, 28), classes: int = 10, **options: Any) -> Model:
    """LeNet-5: two convolutions of 5×5 with tanh and average pooling, three dense layers (LeCun et al. 1998).

    The first convolution pads by 2, so that 28×28 images go where the paper's 32×32 went.
    """
    channels, height, width = _image("lenet5", input_shape, classes)
    size = ((height // 2 - 4) // 2, (width // 2 - 4) // 2)
    if min(size) < 1:
        raise ShapeError(f"lenet5: images must be at least 12×12, got {height}×{width}.")
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
    channels, height, width = _image("cnn", input_shape, classes)
    if min(height, width) < 4:
        raise ShapeError(f"cnn: images must be at least 4×4, got {height}×{width}.")
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
    channels, height, width = _image("vgg", input_shape, classes)
    if min(height, width) < 8:
        raise ShapeError(f"vgg: images must be at least 8×8, got {height}×{width}.")
    layers: list[Node] = []
    for filters in (64, 128, 256):
        for _ in range(2):
            layers += [Conv2d(channels, filters, 3, padding=1, bias=False), BatchNorm2d(filters), ReLU()]
            channels = filters
        layers.append(MaxPool2d(2))
    layers += [Flatten(), Dense(channels * (height // 8) * (width // 8), classes)]
    return Model(layers, **options).build(input_shape)


def resnet20(input_shape: Shape = (3, 32, 32), classes: int = 10, **options: Any) -> Model:
    """The CIFAR network of 20 layers of He et al. 2015 (arXiv:1512.03385, section 4.2), with projection shortcuts."""
    channels, _, _ = _image("resnet20", input_shape, classes)
    layers: list[Node] = [Conv2d(channels, 16, 3, padding=1, bias=False), BatchNorm2d(16), ReLU()]
    channels = 16
    for filters, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, 1, 1):
            layers += [_basic_block(channels, filters, stride), ReLU()]
            channels = filters
    layers += [AdaptiveAvgPool2d(1), Flatten(), Dense(channels, classes)]
    return Model(layers, **options).build(input_shape)


def _basic_block(channels: int, filters: int, stride: int) -> Residual:
    main: list[Node] = [
        *(Conv2d(channels, filters, 3, stride=stride, padding=1, bias=False), BatchNorm2d(filters), ReLU()),
        *(Conv2d(filters, filters, 3, padding=1, bias=False), BatchNorm2d(filters)),
    ]
    if stride == 1 and channels == filters:
        return Residual(main)
    return Residual(main, [Conv2d(channels, filters, 1, stride=stride, bias=False), BatchNorm2d(filters)])


def _image(name: str, input_shape: Shape, classes: int) -> Shape:
    if len(input_shape) != 3:
        raise ShapeError(f"{name}: expected one image's shape (c, h, w), got {tuple(input_shape)}.")
    if classes < 1:
        raise ArgumentError(f"{name}: classes must be positive, got {classes}.")
    return tuple(input_shape)
