"""Every layer at random: its arguments drawn to fit a shape, sizes from one up. What graphs at random are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import colonnade as cn

Shape = tuple[int, ...]


class Dice:
    """What is drawn, by one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def number(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(least, max(least, most) + 1))

    def flag(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def real(self, least: float, most: float) -> float:
        return round(float(self.rng.uniform(least, most)), 2)

    def each(self, axes: int, least: int, most: int) -> Any:
        """A size for all axes of pixels, or one for each."""
        return self.number(least, most) if self.flag() else tuple(self.number(least, most) for _ in range(axes))

    def divisor(self, number: int) -> int:
        return int(self.pick([each for each in range(1, number + 1) if number % each == 0]))

    def sizes(self, product: int, axes: int) -> Shape:
        """So many sizes of that product, the last what is left."""
        sizes: list[int] = []
        for _ in range(axes - 1):
            sizes.append(self.divisor(product))
            product //= sizes[-1]
        made = [*sizes, product]
        return tuple(made[place] for place in self.rng.permutation(axes))

    def axis(self, shape: Shape) -> int:
        """One of an image's axes, counted with the batch, from the front or from the end."""
        axis = self.number(1, len(shape))
        return axis - len(shape) - 1 if self.flag() else axis

    def axes(self, shape: Shape) -> Any:
        """None, an axis, or several."""
        if self.flag(0.25):
            return None
        if self.flag():
            return self.axis(shape)
        chosen = self.rng.permutation(len(shape))[: self.number(1, len(shape))] + 1
        return tuple(int(axis) for axis in chosen)


Draw = Callable[[Dice, Shape], Any]


def pixels(shape: Shape) -> int:
    """How many axes of pixels a layer has for images of a shape, whether or not it takes them."""
    return min(max(len(shape) - 1, 1), 3)


def of_axes(name: str, shape: Shape) -> Any:
    """The layer of that name for so many axes of pixels."""
    return getattr(cn, f"{name}{pixels(shape)}d")


# Layers that take any shape and keep it, and never leave a range that a few of them in a row can't stand.
ELEMENTWISE: dict[str, Draw] = {
    "Identity": lambda d, s: cn.Identity(),
    "ReLU": lambda d, s: cn.ReLU(),
    "LeakyReLU": lambda d, s: cn.LeakyReLU(d.pick([0.01, 0.3, 1.5, -0.5])),
    "Tanh": lambda d, s: cn.Tanh(),
    "Sigmoid": lambda d, s: cn.Sigmoid(),
    "ELU": lambda d, s: cn.ELU(d.real(0.5, 1.5)),
    "SELU": lambda d, s: cn.SELU(),
    "CELU": lambda d, s: cn.CELU(d.real(0.5, 1.5)),
    "GELU": lambda d, s: cn.GELU(d.pick(["none", "tanh"])),
    "SiLU": lambda d, s: cn.SiLU(),
    "Mish": lambda d, s: cn.Mish(),
    "Hardswish": lambda d, s: cn.Hardswish(),
    "Hardsigmoid": lambda d, s: cn.Hardsigmoid(),
    "Hardtanh": lambda d, s: cn.Hardtanh(-d.real(0.1, 1), d.real(0.1, 1)),
    "ReLU6": lambda d, s: cn.ReLU6(),
    "Softplus": lambda d, s: cn.Softplus(d.real(0.5, 2), d.real(1, 20)),
    "Softsign": lambda d, s: cn.Softsign(),
    "Affine": lambda d, s: cn.Affine(d.real(-1.5, 1.5), d.real(-1, 1)),
    "Abs": lambda d, s: cn.Abs(),
    "Erf": lambda d, s: cn.Erf(),
    "Sin": lambda d, s: cn.Sin(),
    "Cos": lambda d, s: cn.Cos(),
    "Atan": lambda d, s: cn.Atan(),
    "Asinh": lambda d, s: cn.Asinh(),
    "Threshold": lambda d, s: cn.Threshold(d.real(-0.5, 0.5), d.real(-1, 1)),
    "Dropout": lambda d, s: cn.Dropout(d.pick([0.0, 0.0, 0.0, 0.4, 1.0])),
    "PReLU": lambda d, s: cn.PReLU(d.pick([1, s[0]])),
    "Softmax": lambda d, s: cn.Softmax(d.axis(s)),
    "LogSoftmax": lambda d, s: cn.LogSoftmax(d.axis(s)),
    "Dequantize": lambda d, s: _dequantize(d, s),
    "LayerNorm": lambda d, s: _layer_norm(d, s),
    "BatchNorm1d": lambda d, s: cn.BatchNorm1d(s[0], affine=d.flag(), momentum=d.pick([0.1, 0.3, None])),
    "BatchNorm": lambda d, s: of_axes("BatchNorm", s)(s[0], affine=d.flag(), track_running_stats=d.flag(0.8)),
    "GroupNorm": lambda d, s: cn.GroupNorm(d.divisor(s[0]), s[0], affine=d.flag()),
    "InstanceNorm": lambda d, s: of_axes("InstanceNorm", s)(s[0], affine=d.flag(), track_running_stats=d.flag()),
    "RMSNorm": lambda d, s: cn.RMSNorm(s[d.number(0, len(s) - 1) :], 1e-3, d.flag()),
    "LayerNorm2d": lambda d, s: cn.LayerNorm2d(s[0], affine=d.flag()),
    "LocalResponseNorm": lambda d, s: cn.LocalResponseNorm(d.number(1, 5), d.real(0.1, 1), d.real(0.3, 1), 1.5),
    "Dropout of channels": lambda d, s: of_axes("Dropout", s)(d.pick([0.0, 0.0, 0.0, 0.4])),
    "Convolution same": lambda d, s: _same(d, s),
    "MultiheadAttention": lambda d, s: cn.MultiheadAttention(
        s[-1], d.divisor(s[-1]), 0.0, d.flag(), d.flag(0.3), d.flag(0.3), is_causal=d.flag(0.3)
    ),
    "TransformerEncoderLayer": lambda d, s: _encoder_layer(d, s),
    "TransformerEncoder": lambda d, s: cn.TransformerEncoder(
        _encoder_layer(d, s), 2, d.pick([None, cn.LayerNorm(s[-1])])
    ),
    "Tril": lambda d, s: cn.Tril(d.number(-2, 2)),
    "Triu": lambda d, s: cn.Triu(d.number(-2, 2)),
    "CumSum": lambda d, s: cn.CumSum(d.axis(s), exclusive=d.flag(), reverse=d.flag()),
}  # fmt: skip

# Those that must not see large numbers: a Tanh is put before them.
BOUNDED: dict[str, Draw] = {
    "Exp": lambda d, s: cn.Exp(),
    "Power": lambda d, s: cn.Power(d.pick([1, 2, 3, 4])),
    "Prod": lambda d, s: cn.Prod(d.axes(s), d.flag()),
}

# Those that take positive numbers: a Sigmoid, moved away from zero, is put before them.
POSITIVE: dict[str, Draw] = {
    "Log": lambda d, s: cn.Log(),
    "Sqrt": lambda d, s: cn.Sqrt(),
    "Reciprocal": lambda d, s: cn.Reciprocal(),
    "Power of any exponent": lambda d, s: cn.Power(d.real(-2, 2)),
}

# Those that jump: what two frameworks compute alike but for the last bit must not come near them.
JUMPING: dict[str, Draw] = {
    "Sign": lambda d, s: cn.Sign(),
    "Floor": lambda d, s: cn.Floor(),
    "Ceil": lambda d, s: cn.Ceil(),
    "Round": lambda d, s: cn.Round(),
    "Trunc": lambda d, s: cn.Trunc(),
    "LogicalNot": lambda d, s: cn.LogicalNot(),
}

# Those through which no gradient passes.
CLOSED: dict[str, Draw] = {
    "Argmax": lambda d, s: cn.Argmax(d.axis(s), d.flag(), d.flag()),
    "Argmin": lambda d, s: cn.Argmin(d.axis(s), d.flag(), d.flag()),
    "TopKIndices": lambda d, s: _at(d, s, lambda axis, size: cn.TopKIndices(d.number(1, size), axis, largest=d.flag())),
    "Quantize": lambda d, s: cn.Quantize(d.real(0.05, 0.2), float(d.number(0, 3)), -10.0, 10.0),
}

RESHAPING: dict[str, Draw] = {
    "Flatten": lambda d, s: cn.Flatten(*_range(d, s)),
    "Unflatten": lambda d, s: _unflatten(d, s),
    "Reshape": lambda d, s: cn.Reshape(_one_left(d, d.sizes(math.prod(s), d.number(1, 5)))),
    "Permute": lambda d, s: cn.Permute((0, *(int(axis) + 1 for axis in d.rng.permutation(len(s))))),
    "Select": lambda d, s: _at(d, s, lambda axis, size: cn.Select(axis, d.number(-size, size - 1))),
    "Slice": lambda d, s: cn.Slice(d.axis(s), d.number(-2, 2), d.pick([None, 4, -1]), d.pick([1, 1, 2, 3, -1, -2])),
    "IndexSelect": lambda d, s: _at(
        d, s, lambda axis, size: cn.IndexSelect(axis, [d.number(-size, size - 1) for _ in range(d.number(1, 4))])
    ),
    "Pad": lambda d, s: _pad(d, s),
    "Expand": lambda d, s: cn.Expand([d.pick([-1, 2, 3]) if size == 1 else d.pick([-1, size]) for size in s]),
    "Tile": lambda d, s: cn.Tile([d.number(1, 3) for _ in s]),
    "PixelShuffle": lambda d, s: cn.PixelShuffle(d.pick([each for each in (1, 2, 3) if s[0] % each**2 == 0])),
    "Unfold": lambda d, s: cn.Unfold(d.each(2, 1, 3), d.each(2, 1, 2), d.each(2, 0, 2), d.each(2, 1, 2)),
    "Fold": lambda d, s: _fold(d, s),
    "PixelUnshuffle": lambda d, s: cn.PixelUnshuffle(d.pick([1, 2, 3])),
    "ChannelShuffle": lambda d, s: cn.ChannelShuffle(d.divisor(s[0])),
    "Border": lambda d, s: of_axes(d.pick(["ReflectionPad", "ReplicationPad", "CircularPad", "ZeroPad"]), s)(
        d.pick([d.number(0, 2), tuple(d.number(0, 2) for _ in range(2 * pixels(s)))])
    ),
}  # fmt: skip

REDUCING: dict[str, Draw] = {
    "Sum": lambda d, s: cn.Sum(d.axes(s), d.flag()),
    "Mean": lambda d, s: cn.Mean(d.axes(s), d.flag()),
    "Amax": lambda d, s: cn.Amax(d.axes(s), d.flag()),
    "Amin": lambda d, s: cn.Amin(d.axes(s), d.flag()),
    "LogSumExp": lambda d, s: cn.LogSumExp(d.axes(s), d.flag()),
}

RECURRENT: dict[str, Draw] = {
    "RNN": lambda d, s: _recurrent(d, s, cn.RNN, nonlinearity=d.pick(["tanh", "relu"])),
    "LSTM": lambda d, s: _recurrent(d, s, cn.LSTM),
    "GRU": lambda d, s: _recurrent(d, s, cn.GRU, reset_after=d.flag()),
}

WEIGHING: dict[str, Draw] = {
    "Convolution": lambda d, s: _convolution(d, s),
    "Convolution with borders": lambda d, s: _convolution(
        d, s, padding_mode=d.pick(["reflect", "replicate", "circular"])
    ),
    "Transposed convolution": lambda d, s: _transposed(d, s),
    "Dense": lambda d, s: cn.Dense(s[-1], _width(d), d.flag()),
    **RECURRENT,
}

POOLING: dict[str, Draw] = {
    "MaxPool": lambda d, s: _pool(d, s, "MaxPool", dilation=d.each(pixels(s), 1, 2)),
    "AvgPool": lambda d, s: _average_pool(d, s),
    "AdaptiveAvgPool": lambda d, s: of_axes("AdaptiveAvgPool", s)(d.each(pixels(s), 1, 6)),
    "AdaptiveMaxPool": lambda d, s: of_axes("AdaptiveMaxPool", s)(d.each(pixels(s), 1, 6)),
    "Upsample": lambda d, s: _upsample(d, s),
    "Resize": lambda d, s: _resize(d),
}

# How often each family is drawn.
FAMILIES: list[tuple[dict[str, Draw], float]] = [
    (ELEMENTWISE, 3.0),
    (RESHAPING, 3.0),
    (WEIGHING, 2.5),
    (POOLING, 1.2),
    (REDUCING, 0.8),
    (BOUNDED, 0.3),
    (POSITIVE, 0.3),
]


def _range(d: Dice, shape: Shape) -> tuple[int, int]:
    start, end = sorted((d.number(1, len(shape)), d.number(1, len(shape))))
    return start, end - len(shape) - 1 if d.flag() else end


def _one_left(d: Dice, sizes: Shape) -> Shape:
    """The sizes, perhaps with a −1 for one of them."""
    if d.flag(0.7):
        return sizes
    place = d.number(0, len(sizes) - 1)
    return (*sizes[:place], -1, *sizes[place + 1 :])


def _unflatten(d: Dice, shape: Shape) -> Any:
    axis = d.axis(shape)
    return cn.Unflatten(axis, _one_left(d, d.sizes((0, *shape)[axis], d.number(1, 3))))


def _at(d: Dice, shape: Shape, make: Callable[[int, int], Any]) -> Any:
    axis = d.axis(shape)
    return make(axis, (0, *shape)[axis])


def _pad(d: Dice, shape: Shape) -> Any:
    mode = d.pick(["constant", "constant", "reflect", "replicate", "circular"])
    sides = [d.number(0, 2) for _ in range(2 * d.number(1, len(shape)))]
    return cn.Pad(sides, mode, d.real(-1, 1) if mode == "constant" else 0.0)


def _dequantize(d: Dice, shape: Shape) -> Any:
    if d.flag():
        return cn.Dequantize(d.real(0.2, 1.5), d.real(-1, 1))
    axis = d.axis(shape)
    size = (0, *shape)[axis]
    return cn.Dequantize([d.real(0.2, 1.5) for _ in range(size)], [d.real(-1, 1) for _ in range(size)], axis)


def _layer_norm(d: Dice, shape: Shape) -> Any:
    learned = d.flag()
    return cn.LayerNorm(shape[d.number(0, len(shape) - 1) :], 1e-3, learned, bias=d.flag())


def _width(d: Dice) -> int:
    """Of an output: mostly a few channels, now and then so many that products are cut in another way."""
    return d.number(1, 8) if d.flag(0.9) else d.pick([16, 40, 64, 184, 500, 1104])


def _recurrent(d: Dice, shape: Shape, kind: Any, **arguments: Any) -> Any:
    flags = {"bias": d.flag(), "bidirectional": d.flag(), "return_states": d.flag(0.3)}
    return kind(shape[-1], d.number(1, 5), d.number(1, 2), **flags, **arguments)


def _grouped(d: Dice, channels: int) -> tuple[int, int]:
    """How many groups, and how many channels go out."""
    groups = d.pick([1, 1, channels, d.divisor(channels)])
    wide = _width(d)
    return groups, wide if groups == 1 else groups * d.number(1, 3)


def _convolution(d: Dice, shape: Shape, **arguments: Any) -> Any:
    groups, outputs = _grouped(d, shape[0])
    axes = pixels(shape)
    padding = d.pick([0, d.each(axes, 0, 3), "valid", "same"])
    stride = 1 if padding == "same" else d.each(axes, 1, 3)
    sizes = d.each(axes, 1, 4), stride, padding, d.each(axes, 1, 2)
    return of_axes("Conv", shape)(shape[0], outputs, *sizes, groups, d.flag(), **arguments)


def _same(d: Dice, shape: Shape) -> Any:
    axes = pixels(shape)
    sizes = {"kernel_size": d.each(axes, 1, 3), "dilation": d.each(axes, 1, 2), "groups": d.divisor(shape[0])}
    mode = d.pick(["zeros", "zeros", "reflect", "replicate", "circular"])
    kind = of_axes("Conv", shape)
    return kind(shape[0], shape[0], **sizes, padding="same", bias=d.flag(), padding_mode=mode)


def _transposed(d: Dice, shape: Shape) -> Any:
    groups, outputs = _grouped(d, shape[0])
    axes, stride = pixels(shape), d.number(1, 3)
    sizes = d.each(axes, 1, 3), stride, d.number(0, 1), d.number(0, stride - 1)
    kind = of_axes("ConvTranspose", shape)
    return kind(shape[0], outputs, *sizes, groups, d.flag(), d.each(axes, 1, 2))


def _pool(d: Dice, shape: Shape, name: str, **options: Any) -> Any:
    axes = pixels(shape)
    dilated = options.get("dilation", 1) not in (1, (1,) * axes)
    border = 0 if dilated else d.number(0, 1)  # a window of padding alone would have no maximum
    sizes = d.each(axes, 1, 3), d.pick([None, d.each(axes, 1, 3)]), border
    return of_axes(name, shape)(*sizes, ceil_mode=d.flag(), **options)


def _average_pool(d: Dice, shape: Shape) -> Any:
    divided = {"divisor_override": d.pick([None, 3])} if pixels(shape) > 1 else {}  # of one axis there is none
    return _pool(d, shape, "AvgPool", count_include_pad=d.flag(), **divided)


def _fold(d: Dice, shape: Shape) -> Any:
    """Of columns that some number of windows fits."""
    size = tuple(d.number(1, 7) for _ in range(2))
    return cn.Fold(size, d.each(2, 1, 3), d.each(2, 1, 2), d.each(2, 0, 1), d.each(2, 1, 2))


def _encoder_layer(d: Dice, shape: Shape) -> Any:
    sizes = shape[-1], d.divisor(shape[-1]), d.number(1, 6), 0.0
    kind = d.pick(["relu", "gelu"])
    return cn.TransformerEncoderLayer(
        *sizes, activation=kind, norm_first=d.flag(), bias=d.flag(), is_causal=d.flag(0.3)
    )


def _upsample(d: Dice, shape: Shape) -> Any:
    mode = d.pick(["nearest", {1: "linear", 2: "bilinear", 3: "trilinear"}[pixels(shape)]])
    corners = None if mode == "nearest" else d.flag()
    if d.flag():
        return cn.Upsample(size=d.each(pixels(shape), 1, 6), mode=mode, align_corners=corners)
    return cn.Upsample(scale_factor=d.pick([1, 2, 3, 1.5, 0.5]), mode=mode, align_corners=corners)


def _resize(d: Dice) -> Any:
    mode = d.pick(["nearest", "linear", "cubic"])
    coordinates = d.pick(["half_pixel", "align_corners", "asymmetric"])
    nearest = d.pick(["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
    return cn.Resize(d.each(2, 1, 6), mode=mode, coordinates=coordinates, nearest_mode=nearest)
