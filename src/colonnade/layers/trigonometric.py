"""Sines, tangents and their kin, of a circle and of a hyperbola, each number by itself."""

from __future__ import annotations

from typing import ClassVar

from ..ops import trigonometric
from .base import Direction
from .functions import Function


class Trigonometric(Function):
    """What these share: one array of scratch for the slope."""

    arrays: ClassVar[dict[Direction, int]] = {"backward": 1}


class Sin(Trigonometric):
    """y = sin x, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.sin_forward), staticmethod(trigonometric.sin_backward)


class Cos(Trigonometric):
    """y = cos x, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.cos_forward), staticmethod(trigonometric.cos_backward)


class Tan(Trigonometric):
    """y = tan x, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    reads: ClassVar[set[str]] = {"output"}
    apply, derive = staticmethod(trigonometric.tan_forward), staticmethod(trigonometric.tan_backward)


class Asin(Trigonometric):
    """y = arcsin x, elementwise, from −π/2 to π/2; NaN outside of −1 to 1.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.asin_forward), staticmethod(trigonometric.asin_backward)


class Acos(Trigonometric):
    """y = arccos x, elementwise, from 0 to π; NaN outside of −1 to 1.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.acos_forward), staticmethod(trigonometric.acos_backward)


class Atan(Trigonometric):
    """y = arctan x, elementwise, from −π/2 to π/2.

    Shapes: any (n, ...), the output as the input.
    """

    monotone = True
    apply, derive = staticmethod(trigonometric.atan_forward), staticmethod(trigonometric.atan_backward)


class Sinh(Trigonometric):
    """y = (eˣ − e⁻ˣ) / 2, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    monotone = True
    apply, derive = staticmethod(trigonometric.sinh_forward), staticmethod(trigonometric.sinh_backward)


class Cosh(Trigonometric):
    """y = (eˣ + e⁻ˣ) / 2, elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.cosh_forward), staticmethod(trigonometric.cosh_backward)


class Asinh(Trigonometric):
    """y = log(x + √(x² + 1)), elementwise.

    Shapes: any (n, ...), the output as the input.
    """

    monotone = True
    apply, derive = staticmethod(trigonometric.asinh_forward), staticmethod(trigonometric.asinh_backward)


class Acosh(Trigonometric):
    """y = log(x + √(x² − 1)), elementwise; NaN below 1.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.acosh_forward), staticmethod(trigonometric.acosh_backward)


class Atanh(Trigonometric):
    """y = ½ log((1 + x) / (1 − x)), elementwise; NaN outside of −1 to 1.

    Shapes: any (n, ...), the output as the input.
    """

    apply, derive = staticmethod(trigonometric.atanh_forward), staticmethod(trigonometric.atanh_backward)
