"""DenseNet: every layer sees what all layers before it made."""

from __future__ import annotations

from typing import Any

from ..arguments import whole
from ..composites import Graph
from ..errors import ArgumentError
from ..layers import AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Concat, Conv2d, Dense, Flatten, ReLU
from ..model import Model
from ..storage import StrPath
from ..tensor import Shape
from .arguments import image
from .blocks import sequence
from .weights import made


def densenet(
    input_shape: Shape = (3, 32, 32),
    classes: int = 10,
    *,
    depth: int = 40,
    growth: int = 12,
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """DenseNet-BC for small images, with the names of torchvision's DenseNets.

    | part | of `depth` 40, `growth` 12 | output |
    | --- | --- | --- |
    | features.conv0 | 3×3 | 24×32×32 |
    | features.denseblock1 | 6 layers: 1×1 to 48, 3×3 to 12, beside all that was there | 96×32×32 |
    | features.transition1 | 1×1 to half the channels, mean of 2×2 | 48×16×16 |
    | features.denseblock2 | 6 layers | 120×16×16 |
    | features.transition2 | | 60×8×8 |
    | features.denseblock3 | 6 layers | 132×8×8 |
    | features.norm5, classifier | batch norm, ReLU, mean over all places, dense | classes |

    Batch norm and ReLU stand before each convolution but the first. 176,122 parameters for ten classes; 769,162 of
    depth 100, which is the paper's. Huang et al. 2017, Densely connected convolutional networks, arXiv:1608.06993.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        depth: Layers with weights, 4 and a multiple of 6.
        growth: Channels that each layer adds.
        weights: A safetensors file with trained weights, a state dict of a DenseNet of torchvision's names.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or too small a one.
        ArgumentError: A depth that does not fit, or a number below one.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    channels, _, _ = image("densenet", input_shape, classes, least=4)
    if whole("densenet", "depth", depth) < 10 or depth % 6 != 4:
        raise ArgumentError(f"densenet: depth must be 4 more than a multiple of 6, got {depth}.")
    growth = whole("densenet", "growth", growth, 1)
    filters = 2 * growth
    features: dict[str, Any] = {"conv0": Conv2d(channels, filters, 3, padding=1, bias=False)}
    for number in (1, 2, 3):
        layers = (depth - 4) // 6
        features[f"denseblock{number}"] = _dense_block(filters, growth, layers)
        filters += layers * growth
        if number < 3:
            features[f"transition{number}"] = sequence(
                norm=BatchNorm2d(filters),
                relu=ReLU(),
                conv=Conv2d(filters, filters // 2, 1, bias=False),
                pool=AvgPool2d(2),
            )
            filters //= 2
    net = sequence(
        features=sequence(**features, norm5=BatchNorm2d(filters)),
        relu=ReLU(),
        avgpool=AdaptiveAvgPool2d(1),
        flatten=Flatten(),
        classifier=Dense(filters, classes),
    )
    return made("densenet", net, input_shape, weights, (), options)


def _dense_block(channels: int, growth: int, layers: int) -> Graph:
    nodes: dict[str, tuple[Any, ...]] = {}
    seen = "input"
    for number in range(1, layers + 1):
        nodes[f"denselayer{number}"] = (_dense_layer(channels, growth), seen)
        nodes[f"concat{number}"] = (Concat(), seen, f"denselayer{number}")
        channels += growth
        seen = f"concat{number}"
    return Graph(nodes)


def _dense_layer(channels: int, growth: int) -> Graph:
    return sequence(
        norm1=BatchNorm2d(channels),
        relu1=ReLU(),
        conv1=Conv2d(channels, 4 * growth, 1, bias=False),
        norm2=BatchNorm2d(4 * growth),
        relu2=ReLU(),
        conv2=Conv2d(4 * growth, growth, 3, padding=1, bias=False),
    )
