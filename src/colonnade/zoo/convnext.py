"""ConvNeXt: a convolutional network in the shape of a transformer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ..arguments import whole, wholes
from ..composites import Graph, Node
from ..composites.chain import Chain
from ..errors import ArgumentError
from ..layers import GELU, AdaptiveAvgPool2d, Add, Constant, Conv2d, Dense, Flatten, Identity, LayerNorm2d, Mul
from ..model import Model
from ..storage import StrPath
from ..tensor import Shape
from .arguments import image
from .blocks import sequence
from .weights import Renaming, made

LAYER_SCALE = 1e-6  # what the layer scales begin with: each block is nearly the identity


def convnext_tiny(
    input_shape: Shape = (3, 224, 224),
    classes: int = 1000,
    *,
    patch_size: int | None = None,
    depths: Sequence[int] = (3, 3, 9, 3),
    widths: Sequence[int] = (96, 192, 384, 768),
    weights: StrPath | None = None,
    **options: Any,
) -> Model:
    """ConvNeXt-T, with the names of torchvision's.

    | part | | output |
    | --- | --- | --- |
    | features.0 | patches of 4×4 to 96, layer norm | 96×56×56 |
    | features.1 | 3 blocks | 96×56×56 |
    | features.2, 3 | layer norm, 2×2 with stride 2; 3 blocks | 192×28×28 |
    | features.4, 5 | the same; 9 blocks | 384×14×14 |
    | features.6, 7 | the same; 3 blocks | 768×7×7 |
    | avgpool, classifier | mean over all places, layer norm, dense | classes |

    A block is x + γ · f(x), f being a 7×7 convolution of each channel by itself, layer norm over the channels, 1×1 to
    four times the channels, GELU, 1×1 back. γ, the layer scale, is a number for each channel, at first 1e-6.
    28,589,128 parameters for 1000 classes. Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545, without
    stochastic depth. The 1×1 convolutions are torchvision's Linear, with two axes more.

    Args:
        input_shape: One image's, (c, h, w).
        classes: Numbers out.
        patch_size: Pixels of a side of the patches that the network begins with. By default 4, as the paper has it,
            and less for images of less than 32 pixels.
        depths: Blocks of each stage.
        widths: Channels of each stage.
        weights: A safetensors file with trained weights, a state dict of torchvision or timm.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or too small a one.
        ArgumentError: Not as many depths as widths, or a number below one.
        FileNotFoundError: No such file of weights.
        FileFormatError: Weights of another kind, or of another network.
    """
    depths, widths = wholes("convnext_tiny", "depths", depths), wholes("convnext_tiny", "widths", widths)
    if not depths or len(depths) != len(widths) or min(*depths, *widths) < 1:
        raise ArgumentError(
            f"convnext_tiny: expected a positive depth and width for each stage, got {depths} and {widths}."
        )
    least = 2 ** (len(widths) - 1)  # pixels left for each stage to halve
    channels, height, width = image("convnext_tiny", input_shape, classes, least)
    usual = min(4, min(height, width) // least)
    patch = usual if patch_size is None else whole("convnext_tiny", "patch_size", patch_size, 1)
    image("convnext_tiny", input_shape, classes, least * patch)
    features: list[Node] = [Chain([Conv2d(channels, widths[0], patch, patch), LayerNorm2d(widths[0])])]
    features.append(Chain([_block(widths[0]) for _ in range(depths[0])]))
    for (before, filters), depth in zip(pairwise(widths), depths[1:], strict=True):
        features.append(Chain([LayerNorm2d(before), Conv2d(before, filters, 2, 2)]))
        features.append(Chain([_block(filters) for _ in range(depth)]))
    net = sequence(
        features=Chain(features),
        avgpool=AdaptiveAvgPool2d(1),
        classifier=Chain([LayerNorm2d(widths[-1]), Flatten(), Dense(widths[-1], classes)]),
    )
    model = made("convnext_tiny", net, input_shape, weights, _timm_names(len(widths)), options)
    if weights is not None:
        return model
    for parameter in model.parameters():
        if parameter.name.endswith("layer_scale.weight"):
            parameter.array.fill(LAYER_SCALE)
    return model


def _block(channels: int) -> Graph:
    block: list[Node] = [
        Conv2d(channels, channels, 7, padding=3, groups=channels),
        Identity(),  # where torchvision moves the channels last, as they lie here already
        LayerNorm2d(channels),
        *(Conv2d(channels, 4 * channels, 1), GELU(), Conv2d(4 * channels, channels, 1)),
    ]
    return Graph(
        {
            "block": (Chain(block), "input"),
            "layer_scale": (Constant((channels, 1, 1)),),
            "scaled": (Mul(stretch=True), "block", "layer_scale"),
            "add": (Add(), "input", "scaled"),
        }
    )


def _timm_names(stages: int) -> Renaming:
    """What timm's ConvNeXt calls its parts."""
    layers = {"conv_dw": 0, "norm": 2, r"mlp\.fc1": 3, r"mlp\.fc2": 5}
    names = [(r"stem\.(.*)", r"features.0.\1")]
    for stage in range(stages):
        block, ours = rf"stages\.{stage}\.blocks\.(\d+)", rf"features.{2 * stage + 1}.\1"
        names.append((rf"stages\.{stage}\.downsample\.(.*)", rf"features.{2 * stage}.\1"))
        names.append((rf"{block}\.gamma", rf"{ours}.layer_scale.weight"))
        names += [(rf"{block}\.{name}\.(\w+)", rf"{ours}.block.{layer}.\2") for name, layer in layers.items()]
    return [*names, (r"head\.norm\.(\w+)", r"classifier.0.\1"), (r"head\.fc\.(\w+)", r"classifier.2.\1")]
