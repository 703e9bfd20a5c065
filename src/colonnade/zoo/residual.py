"""Residual networks (He et al. 2015, Deep residual learning for image recognition, arXiv:1512.03385)."""

from __future__ import annotations

from typing import Any

from ..arguments import whole
from ..composites import Graph, Node, Residual
from ..composites.chain import Chain
from ..layers import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm2d,
    Conv2d,
    Dense,
    Flatten,
    Identity,
    MaxPool2d,
    ReLU,
)
from ..model import Model
from ..storage import StrPath
from ..tensor import Shape
from .arguments import image, imagenet_stem
from .blocks import sequence
from .weights import made


def resnet20(input_shape: Shape = (3, 32, 32), classes: int = 10, **options: Any) -> Model:
    """The CIFAR network of 20 layers of He et al. 2015 (arXiv:1512.03385, section 4.2), with projection shortcuts."""
    channels, _, _ = image("resnet20", input_shape, classes)
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


def resnet9(input_shape: Shape = (3, 32, 32), classes: int = 10, *, width: int = 24, **options: Any) -> Model:
    """A residual network of few, wide layers, which learns small photographs in few epochs.

    | part | | output |
    | --- | --- | --- |
    | convolution | 3×3 | 24×32×32 |
    | convolution, pool | 3×3, max pool of 2 | 48×16×16 |
    | residual | two of 3×3 | 48×16×16 |
    | convolution, pool | | 96×8×8 |
    | convolution, pool | | 192×4×4 |
    | residual | two of 3×3 | 192×4×4 |
    | global pool, dense | the mean over all places | classes |

    Each convolution is without bias, with batch norm and ReLU; 927,010 parameters for ten classes. After the
    network of Page 2018 for DAWNBench (How to train your ResNet), at three eighths of its width, so that two cores
    learn in half an hour, and with the mean in place of the maximum, which at the same rates of learning burst.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        width: Channels of the first convolution; the others have 2, 4 and 8 times as many.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or images of less than 8 pixels a side.
        ArgumentError: No class, or no width.
    """
    channels, _, _ = image("resnet9", input_shape, classes, least=8)
    whole("resnet9", "width", width, 1)

    def convolution(before: int, filters: int) -> list[Node]:
        return [Conv2d(before, filters, 3, padding=1, bias=False), BatchNorm2d(filters), ReLU()]

    def residual(filters: int) -> Residual:
        return Residual([*convolution(filters, filters), *convolution(filters, filters)])

    layers: list[Node] = [
        *(*convolution(channels, width), *convolution(width, 2 * width), MaxPool2d(2), residual(2 * width)),
        *(*convolution(2 * width, 4 * width), MaxPool2d(2)),
        *(*convolution(4 * width, 8 * width), MaxPool2d(2), residual(8 * width)),
        *(AdaptiveAvgPool2d(1), Flatten(), Dense(8 * width, classes)),
    ]
    return Model(layers, **options).build(input_shape)


def resnet18(
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
    *,
    stem: str | None = None,
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """The ResNet of 18 layers, with the names of torchvision's: its weights load.

    | part | | output |
    | --- | --- | --- |
    | conv1, bn1, relu, maxpool | 7×7, 64, stride 2; pool of 3×3, stride 2 | 64×56×56 |
    | layer1 | two blocks of two 3×3 | 64×56×56 |
    | layer2 | the same, the first convolution with stride 2 | 128×28×28 |
    | layer3 | | 256×14×14 |
    | layer4 | | 512×7×7 |
    | avgpool, flatten, fc | mean over all places, dense | classes |

    11,689,512 parameters for 1000 classes.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        stem: "imagenet" as above; "cifar" for small images: conv1 is 3×3 with stride 1, and there is no pool. By
            default what suits the images: "imagenet" from 64 pixels on.
        weights: A safetensors file with trained weights, a state dict of torchvision or timm.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's.
        ArgumentError: Another stem, or no class.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    channels, _, _ = image("resnet18", input_shape, classes)
    large = imagenet_stem("resnet18", stem, input_shape)
    net = sequence(
        conv1=Conv2d(channels, 64, 7, 2, 3, bias=False) if large else Conv2d(channels, 64, 3, 1, 1, bias=False),
        bn1=BatchNorm2d(64),
        relu=ReLU(),
        maxpool=MaxPool2d(3, 2, 1) if large else Identity(),
        layer1=Chain([_named_block(64, 64, 1), _named_block(64, 64, 1)]),
        layer2=Chain([_named_block(64, 128, 2), _named_block(128, 128, 1)]),
        layer3=Chain([_named_block(128, 256, 2), _named_block(256, 256, 1)]),
        layer4=Chain([_named_block(256, 512, 2), _named_block(512, 512, 1)]),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        fc=Dense(512, classes),
    )
    return made("resnet18", net, input_shape, weights, (), options)


def _named_block(channels: int, filters: int, stride: int) -> Graph:
    """The same block by torchvision's names."""
    narrows = stride > 1 or channels != filters
    projection = Chain([Conv2d(channels, filters, 1, stride, bias=False), BatchNorm2d(filters)])
    return Graph(
        {
            "conv1": (Conv2d(channels, filters, 3, stride, 1, bias=False), "input"),
            "bn1": (BatchNorm2d(filters), "conv1"),
            "relu1": (ReLU(), "bn1"),
            "conv2": (Conv2d(filters, filters, 3, 1, 1, bias=False), "relu1"),
            "bn2": (BatchNorm2d(filters), "conv2"),
            **({"downsample": (projection, "input")} if narrows else {}),
            "add": (Add(), "bn2", "downsample" if narrows else "input"),
            "relu2": (ReLU(), "add"),
        }
    )
