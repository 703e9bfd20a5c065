"""Which way a convolution is computed, from shapes alone: by windows, by patches, as a product of large matrices."""

from __future__ import annotations

from ..ops.window import Window
from . import patches, pointwise, scattering
from .activation import NONE, Activation
from .depthwise import Depthwise
from .patches import Winograd, WinogradGradient
from .pointwise import Pointwise, PointwiseGradient
from .scattering import Scattered
from .ways import Gradient, Image, Product
from .windows import Direct, DirectGradient


def product(
    window: Window, read: Image, written: Image, groups: int, forward: bool, activation: Activation = NONE
) -> Product:
    """How images are multiplied with a kernel; see `Direct` for the arguments."""
    if 1 < groups == read[2] == written[2]:
        return Depthwise(window, read, written, forward, activation)
    if patches.suits(window, read[2], written[2], groups):
        return Winograd(window, read, written, forward, activation)
    if pointwise.suits(window, read[2], written[2], groups):
        return Pointwise(read, written, forward, activation)
    if not forward and groups == 1 and scattering.suits(window, read, written):
        return Scattered(window, read, written, activation)
    return Direct(window, read, written, groups, forward, activation)


def kernel_gradient(window: Window, read: Image, written: Image, groups: int) -> Gradient:
    """How the gradient at the kernel is computed: the same rule."""
    if patches.suits(window, read[2], written[2], groups):
        return WinogradGradient(window, read, written)
    if pointwise.suits(window, read[2], written[2], groups):
        return PointwiseGradient(read, written)
    return DirectGradient(window, read, written, groups)
