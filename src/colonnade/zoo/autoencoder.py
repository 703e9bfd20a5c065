"""A convolutional autoencoder: what goes in comes out, through a narrow place."""

from __future__ import annotations

from typing import Any

from ..arguments import whole
from ..errors import ArgumentError
from ..layers import Conv2d, ConvTranspose2d, ReLU
from ..model import Model
from ..tensor import Shape
from .arguments import image
from .blocks import sequence


def autoencoder(input_shape: Shape = (1, 28, 28), classes: None = None, *, code: int = 8, **options: Any) -> Model:
    """A convolutional autoencoder: two convolutions halve the image, two transposed ones double it again.

    | part | | output |
    | --- | --- | --- |
    | encoder1 | 3×3 to 32, stride 2, ReLU | 32×14×14 |
    | encoder2 | 3×3 to `code`, stride 2 | 8×7×7 |
    | decoder1 | ReLU, transposed 3×3 to 32, stride 2, ReLU | 32×14×14 |
    | decoder2 | transposed 3×3, stride 2 | 1×28×28 |

    5,257 parameters for images of one channel. Train it with `MSELoss`, the images their own targets; or, to take
    noise away, on noisy images with the clean ones as targets (Vincent et al. 2008, Extracting and composing robust
    features with denoising autoencoders). `model.cut("encoder2")` is the encoder.

    Args:
        input_shape: One image's, (c, h, w), of any size.
        classes: There are none: it puts out an image.
        code: Channels at the narrow place.
        options: `Model`'s: seed, dtype, share_memory.

    Raises:
        ShapeError: A shape that is no image's.
        ArgumentError: Classes, or a code below one.
    """
    if classes is not None:
        raise ArgumentError(f"autoencoder: it puts out images and has no classes, got classes={classes!r}.")
    code = whole("autoencoder", "code", code, 1)
    channels, height, width = image("autoencoder", input_shape, 1)
    # ⌈h / 2⌉ pixels become 2⌈h / 2⌉ − 1, and one more where h is even.
    half = (-(-height // 2), -(-width // 2))
    net = sequence(
        encoder1=Conv2d(channels, 32, 3, 2, 1),
        relu1=ReLU(),
        encoder2=Conv2d(32, code, 3, 2, 1),
        relu2=ReLU(),
        decoder1=ConvTranspose2d(code, 32, 3, 2, 1, _evens(half)),
        relu3=ReLU(),
        decoder2=ConvTranspose2d(32, channels, 3, 2, 1, _evens((height, width))),
    )
    return Model(net, **options).build(input_shape)


def _evens(size: tuple[int, int]) -> tuple[int, int]:
    """One where a number is even, else zero."""
    return (size[0] + 1) % 2, (size[1] + 1) % 2
