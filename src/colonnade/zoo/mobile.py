"""Networks made to be small: SqueezeNet and MobileNetV2, with the names of torchvision's."""

from __future__ import annotations

from typing import Any

from ..arguments import number
from ..composites import Graph, Node
from ..composites.chain import Chain
from ..layers import (
    AdaptiveAvgPool2d,
    Add,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dense,
    Dropout,
    Flatten,
    MaxPool2d,
    ReLU,
    ReLU6,
)
from ..model import Model
from ..storage import StrPath
from ..tensor import Shape
from .arguments import image, imagenet_stem
from .blocks import sequence
from .weights import Renaming, made

# Of each stage: how much wider its blocks are inside, channels out, blocks, stride of the first (Sandler, table 2).
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def squeezenet(
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
    *,
    stem: str | None = None,
    dropout: float = 0.5,
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """SqueezeNet 1.1: fire modules, few channels squeezed out of many, in front of the 3×3 convolutions.

    | part | squeeze, then 1×1 and 3×3 side by side | output |
    | --- | --- | --- |
    | features.0, 2 | 3×3, stride 2; max pool of 3×3, stride 2 | 64×55×55 |
    | features.3, 4, 5 | 16 → 64 + 64, twice; max pool | 128×27×27 |
    | features.6, 7, 8 | 32 → 128 + 128, twice; max pool | 256×13×13 |
    | features.9, 10 | 48 → 192 + 192, twice | 384×13×13 |
    | features.11, 12 | 64 → 256 + 256, twice | 512×13×13 |
    | classifier | dropout, 1×1 convolution, ReLU, mean over all places | classes |

    1,235,496 parameters for 1000 classes. Iandola et al. 2016, arXiv:1602.07360; 1.1 is the authors' own revision,
    with less than half of the operations.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        stem: "imagenet" as above; "cifar" for small images: the first convolution has stride 1 and a padding of 1.
            By default what suits the images: "imagenet" from 64 pixels on.
        dropout: The probability that a number is left out before the classifier.
        weights: A safetensors file with trained weights, a state dict of torchvision or timm.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or too small a one.
        ArgumentError: Another stem, no class, or a probability out of range.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    large = imagenet_stem("squeezenet", stem, input_shape)
    channels, _, _ = image("squeezenet", input_shape, classes, least=17 if large else 8)
    features: list[Node] = [
        Conv2d(channels, 64, 3, 2) if large else Conv2d(channels, 64, 3, 1, 1),
        *(ReLU(), MaxPool2d(3, 2, ceil_mode=True)),
        *(_fire(64, 16, 64), _fire(128, 16, 64), MaxPool2d(3, 2, ceil_mode=True)),
        *(_fire(128, 32, 128), _fire(256, 32, 128), MaxPool2d(3, 2, ceil_mode=True)),
        *(_fire(256, 48, 192), _fire(384, 48, 192), _fire(384, 64, 256), _fire(512, 64, 256)),
    ]
    classifier = [Dropout(dropout), Conv2d(512, classes, 1), ReLU(), AdaptiveAvgPool2d(1)]
    net = sequence(features=Chain(features), classifier=Chain(classifier), flatten=Flatten())
    return made("squeezenet", net, input_shape, weights, (), options)


def _fire(channels: int, squeezed: int, expanded: int) -> Graph:
    return Graph(
        {
            "squeeze": (Conv2d(channels, squeezed, 1), "input"),
            "squeeze_activation": (ReLU(), "squeeze"),
            "expand1x1": (Conv2d(squeezed, expanded, 1), "squeeze_activation"),
            "expand1x1_activation": (ReLU(), "expand1x1"),
            "expand3x3": (Conv2d(squeezed, expanded, 3, padding=1), "squeeze_activation"),
            "expand3x3_activation": (ReLU(), "expand3x3"),
            "concat": (Concat(), "expand1x1_activation", "expand3x3_activation"),
        }
    )


def mobilenet_v2(
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
    *,
    width: float = 1.0,
    stem: str | None = None,
    dropout: float = 0.2,
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """MobileNetV2: wide inside and narrow between, each channel convolved by itself where it is wide.

    | part | t, the widening | blocks | stride | output |
    | --- | --- | --- | --- | --- |
    | features.0 | 3×3 convolution | | 2 | 32×112×112 |
    | features.1 | 1 | 1 | 1 | 16×112×112 |
    | features.2–3 | 6 | 2 | 2 | 24×56×56 |
    | features.4–6 | 6 | 3 | 2 | 32×28×28 |
    | features.7–10 | 6 | 4 | 2 | 64×14×14 |
    | features.11–13 | 6 | 3 | 1 | 96×14×14 |
    | features.14–16 | 6 | 3 | 2 | 160×7×7 |
    | features.17 | 6 | 1 | 1 | 320×7×7 |
    | features.18 | 1×1 convolution | | 1 | 1280×7×7 |
    | avgpool, classifier | mean over all places, dropout, dense | | | classes |

    3,504,872 parameters for 1000 classes. Sandler et al. 2018, MobileNetV2, arXiv:1801.04381.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        width: All channels are as many times wider, rounded to multiples of 8; the 1280 only where that is more.
        stem: "imagenet" as above; "cifar" for small images: the strides of features.0 and features.2 are 1. By
            default what suits the images: "imagenet" from 64 pixels on.
        dropout: The probability that a number is left out before the classifier.
        weights: A safetensors file with trained weights, a state dict of torchvision or timm.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's.
        ArgumentError: Another stem, no class, a width that is not positive, or a probability out of range.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    channels, _, _ = image("mobilenet_v2", input_shape, classes)
    width = number("mobilenet_v2", "width", width, above=0)
    large = imagenet_stem("mobilenet_v2", stem, input_shape)
    filters = _multiple_of_8(32 * width)
    features: list[Node] = [_convolution(channels, filters, 3, 2 if large else 1)]
    for widening, base, blocks, stride in STAGES:
        outputs = _multiple_of_8(base * width)
        for block in range(blocks):
            first = stride if block == 0 and (large or base != 24) else 1
            features.append(_inverted_residual(filters, outputs, first, widening))
            filters = outputs
    last = _multiple_of_8(1280 * max(1.0, width))
    features.append(_convolution(filters, last, 1, 1))
    net = sequence(
        features=Chain(features),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        classifier=Chain([Dropout(dropout), Dense(last, classes)]),
    )
    return made("mobilenet_v2", net, input_shape, weights, _timm_names(), options)


def _convolution(channels: int, filters: int, kernel_size: int, stride: int, groups: int = 1) -> Chain:
    padding = kernel_size // 2
    convolution = Conv2d(channels, filters, kernel_size, stride, padding, groups=groups, bias=False)
    return Chain([convolution, BatchNorm2d(filters), ReLU6()])


def _inverted_residual(channels: int, filters: int, stride: int, widening: int) -> Graph:
    inside = channels * widening
    layers: list[Node] = [_convolution(channels, inside, 1, 1)] if widening > 1 else []
    layers += [
        _convolution(inside, inside, 3, stride, groups=inside),
        *(Conv2d(inside, filters, 1, bias=False), BatchNorm2d(filters)),
    ]
    if stride > 1 or channels != filters:
        return sequence(conv=Chain(layers))
    return Graph({"conv": (Chain(layers), "input"), "add": (Add(), "input", "conv")})


def _timm_names() -> Renaming:
    """What timm's MobileNetV2 calls its parts: stages of blocks, where torchvision counts through."""
    wide = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
    narrow = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}
    parts = {"conv_stem": "features.0.0", "bn1": "features.0.1", "classifier": "classifier.1"}
    number = 1
    for stage, (widening, _, blocks, _) in enumerate(STAGES):
        for block in range(blocks):
            layers = wide if widening > 1 else narrow
            parts |= {
                rf"blocks\.{stage}\.{block}\.{name}": f"features.{number}.conv.{own}" for name, own in layers.items()
            }
            number += 1
    parts |= {"conv_head": f"features.{number}.0", "bn2": f"features.{number}.1"}
    return [(rf"{theirs}\.(\w+)", rf"{ours}.\1") for theirs, ours in parts.items()]


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never a tenth less (the authors' rule)."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
