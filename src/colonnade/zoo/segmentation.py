"""U-Net: an image in, a class of each pixel out."""

from __future__ import annotations

from typing import Any

from ..arguments import flag, whole
from ..composites import Graph, Node
from ..composites.chain import Chain
from ..layers import BatchNorm2d, Concat, Conv2d, ConvTranspose2d, MaxPool2d, ReLU, Upsample, ZeroPad2d
from ..model import Model
from ..tensor import Shape
from .arguments import image
from .blocks import sequence


def unet(
    input_shape: Shape = (3, 128, 128),
    classes: int = 2,
    *,
    width: int = 64,
    depth: int = 4,
    bilinear: bool = False,
    **options: Any,
) -> Model:
    """U-Net: down to few pixels of many channels and up again, each level beside the one of its size on the way down.

    | part | | output |
    | --- | --- | --- |
    | inc | twice 3×3, batch norm, ReLU | 64×128×128 |
    | down1 | max pool 2, then the same to twice the channels | 128×64×64 |
    | down2, down3, down4 | likewise | 1024×8×8 |
    | up1 | transposed 2×2, stride 2, to half the channels; joined with down3's; twice 3×3 as in inc | 512×16×16 |
    | up2, up3, up4 | likewise | 64×128×128 |
    | outc | 1×1 | classes×128×128 |

    31,037,698 parameters for images of three channels and two classes. Train it with `CrossEntropyLoss`, the targets
    class numbers (n, h, w). The names are those of the implementation for PyTorch that is most in use. Ronneberger et
    al. 2015, arXiv:1505.04597; with batch norm, and with borders, so that what comes out is as large as the image.

    Args:
        input_shape: One image's, (c, h, w), each side at least 2 to the power of `depth`. A side that does not halve
            so often loses a row or column on the way down, and gets zeros for it on the way up.
        classes: Numbers out, of each pixel.
        width: Channels of the first level, twice as many on each further one.
        depth: How often the image is halved.
        bilinear: Whether the way up enlarges images by interpolation rather than by transposed convolutions; the
            lowest level and those on the way up then have half the channels.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's, or a side that is too small.
        ArgumentError: A number below one.
    """
    depth = whole("unet", "depth", depth, 1)
    width = whole("unet", "width", width, 1)
    halves = flag("unet", "bilinear", bilinear)
    channels, rows, columns = image("unet", input_shape, classes, 2**depth)
    filters = [width * 2**level for level in range(depth + 1)]
    sides = [(rows >> level, columns >> level) for level in range(depth + 1)]
    deepest = filters[-1] // 2 if halves else filters[-1]
    nodes: dict[str, tuple[Any, ...]] = {"inc": (_twice(channels, filters[0]), "input")}
    names = ["inc"]
    for level in range(1, depth + 1):
        wide = deepest if level == depth else filters[level]
        narrowed = Chain([MaxPool2d(2), _twice(filters[level - 1], wide)])
        nodes[f"down{level}"] = (sequence(maxpool_conv=narrowed), names[-1])
        names.append(f"down{level}")
    before, below = names[-1], deepest
    for number, level in enumerate(reversed(range(depth)), 1):
        own = filters[level]
        made = own // 2 if halves and level else own
        up = _up(below, own, made, halves, sides[level + 1], sides[level])
        nodes[f"up{number}"] = (up, before, names[level])
        before, below = f"up{number}", made
    nodes["outc"] = (sequence(conv=Conv2d(below, classes, 1)), before)
    return Model(Graph(nodes), **options).build(input_shape)


def _twice(channels: int, filters: int, inside: int | None = None) -> Graph:
    """A convolution, batch norm and ReLU, twice."""
    inside = filters if inside is None else inside
    layers: list[Node] = [
        *(Conv2d(channels, inside, 3, padding=1, bias=False), BatchNorm2d(inside), ReLU()),
        *(Conv2d(inside, filters, 3, padding=1, bias=False), BatchNorm2d(filters), ReLU()),
    ]
    return sequence(double_conv=Chain(layers))


def _up(below: int, beside: int, filters: int, bilinear: bool, small: tuple[int, int], large: tuple[int, int]) -> Graph:
    """One level up: what comes from below made as large as what stands beside, both joined.

    Args:
        below: Channels from below.
        beside: Channels of the level on the way down.
        filters: Channels out.
        bilinear: Whether it is enlarged by interpolation.
        small: Its pixels below.
        large: Those beside.
    """
    enlarged: Node = (
        Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        if bilinear
        else ConvTranspose2d(below, below // 2, 2, 2)
    )
    rows, columns = (large[axis] - 2 * small[axis] for axis in (0, 1))
    joined = beside + (below if bilinear else below // 2)
    nodes: dict[str, tuple[Any, ...]] = {"up": (enlarged, "input")}
    if rows or columns:
        nodes["pad"] = (ZeroPad2d((columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)), "up")
    nodes["cat"] = (Concat(), "beside", "pad" if "pad" in nodes else "up")
    nodes["conv"] = (_twice(joined, filters, joined // 2 if bilinear else None), "cat")
    return Graph(nodes, ["input", "beside"])
