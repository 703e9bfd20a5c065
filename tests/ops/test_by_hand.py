"""Every op is called as a student would: in one line, with arrays alone, and compared with PyTorch.

`out` and scratch are left out here; with them, and in either order in memory, the same numbers come.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from colonnade.ops import (
    activation,
    adaptive,
    arithmetic,
    attention,
    bilinear,
    convolution,
    convolution_nd,
    cumulative,
    dense,
    depthwise,
    dropout,
    embedding,
    functions,
    gates,
    gaussian,
    indexing,
    local_response,
    matmul,
    normalization,
    pieces,
    pooling,
    quantization,
    rearrangement,
    recurrent,
    reduction,
    resampling,
    rms_norm,
    sampling,
    softmax,
    standardization,
    trigonometric,
    unfolding,
)
from colonnade.ops.window import Window
from tests.test_docs import ops

torch = pytest.importorskip("torch")
functional = torch.nn.functional

Array = np.ndarray[Any, Any]
random = np.random.default_rng(0)


def numbers(*shape: int, least: float | None = None) -> Array:
    """Of both signs, none at a kink; or from `least` on."""
    values = random.normal(size=shape)
    return np.abs(values) + least if least is not None else np.where(np.abs(values) < 0.05, 0.5, values)


class Case(NamedTuple):
    """One function by hand, and what PyTorch makes of the same inputs.

    Attributes:
        forward: Of the inputs.
        backward: Of the inputs, the output and the gradient at it: the gradients at the first inputs, None for one that
            is not compared.
        torch: Of the inputs as tensors.
        inputs: Arrays.
    """

    forward: Callable[..., Array]
    backward: Callable[..., Any]
    torch: Callable[..., Any]
    inputs: tuple[Array, ...]


def of_input(forward: Any, backward: Any, torch_: Any, x: Array | None = None, *options: Any) -> Case:
    """A function of one input whose backward pass reads the input."""
    x = numbers(2, 3, 4, 5) if x is None else x
    return Case(lambda x: forward(x, *options), lambda x, y, g: [backward(x, g, *options)], torch_, (x,))


def of_output(forward: Any, backward: Any, torch_: Any, x: Array | None = None, *options: Any) -> Case:
    """A function of one input whose backward pass reads the output."""
    x = numbers(2, 3, 4, 5) if x is None else x
    return Case(lambda x: forward(x, *options), lambda x, y, g: [backward(y, g, *options)], torch_, (x,))


def without(forward: Any, backward: Any, torch_: Any, x: Array) -> Case:
    """A function of one input whose backward pass reads neither."""
    return Case(forward, lambda x, y, g: [backward(g)], torch_, (x,))


INSIDE = np.linspace(-0.9, 0.9, 12).reshape(3, 4)  # of what asin, acos and atanh take
UNFOLDED = Window((3, 2), (2, 3), (1, 1, 2, 2), (1, 2))
W, PADDED, STRIDED = Window((3, 2)), Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((3, 3), (2, 2), (1, 1, 1, 1), (2, 1))
S = Window((3,), (2,), (1, 1), (2,))
VOLUME = Window((3, 2, 1), (2, 1, 2), (1, 1, 0, 1, 2, 0), (1, 2, 1))
KEPT, CHANNELS_KEPT = random.random((2, 3, 4, 5)) >= 0.4, random.random((2, 3)) >= 0.4
FACTOR = random.random((2, 2, 5, 5))
SCORES = np.empty((2, 2, 5, 4))  # takes the gradient at the scores, which is that at a mask
INDEX = random.integers(0, 7, (2, 5))
PLACES = random.integers(-4, 4, (2, 3, 2, 5))
BOXES = np.array([[[0.2, 0.4, 3.1, 2.5]], [[-1.0, 1.0, 2.0, 6.0]]])
V, H = random.random((6, 4)), random.random((3, 5))
images = numbers(2, 3, 4, 5)
sequences = numbers(2, 4, 9)
volumes = numbers(2, 4, 5, 4, 3)


def roi_align(x: Any, boxes: Array, size: tuple[int, int], samples: int) -> Any:
    """One box of each image, by a grid over it; what is a whole pixel outside counts as zero."""
    height, width = x.shape[2:]
    grids = []
    for left, top, right, bottom in boxes:
        rows = top + (bottom - top) / size[0] / samples * (np.arange(size[0] * samples) + 0.5)
        columns = left + (right - left) / size[1] / samples * (np.arange(size[1] * samples) + 0.5)
        seen = [(places >= -1) & (places <= end) for places, end in ((rows, height), (columns, width))]
        ends = ((rows, height), (columns, width))
        places = [np.clip(each, 0, end - 1) * 2 / (end - 1) - 1 for each, end in ends]
        grids.append((np.stack(np.meshgrid(*places, indexing="ij")[::-1], axis=-1), np.outer(*seen)))
    grid, seen_ = (torch.tensor(np.stack(each)) for each in zip(*grids, strict=True))
    looked = functional.grid_sample(x, grid, padding_mode="border", align_corners=True) * seen_[:, None]
    return functional.avg_pool2d(looked, samples)[:, None]


def roi_align_max(x: Any, boxes: Array, size: tuple[int, int], samples: int) -> Any:
    """One box of each image: the greatest of all weighted pixels around the places of a part, place by place."""
    made = []
    for image, (left, top, right, bottom) in zip(x, boxes, strict=True):
        for i, j in np.ndindex(*size):
            found = []
            for a, b in np.ndindex(samples, samples):
                row = top + (bottom - top) * (i + (a + 0.5) / samples) / size[0]
                column = left + (right - left) * (j + (b + 0.5) / samples) / size[1]
                if not (-1 <= row <= image.shape[1] and -1 <= column <= image.shape[2]):
                    found.append(torch.zeros(len(image), dtype=x.dtype))
                    continue
                row, column = (
                    min(max(at, 0), end - 1) for at, end in ((row, image.shape[1]), (column, image.shape[2]))
                )
                for k, m in ((int(row), int(column)), *ends_of(row, column)):
                    weight = max(0, 1 - abs(row - k)) * max(0, 1 - abs(column - m))
                    inside = min(k, image.shape[1] - 1), min(m, image.shape[2] - 1)
                    found.append(image[:, *inside] * weight)
            made.append(torch.stack(found).max(0).values)
    return torch.stack(made).reshape(len(x), *size, -1).permute(0, 3, 1, 2)[:, None]


def ends_of(row: float, column: float) -> list[tuple[int, int]]:
    """The other three pixels around a place."""
    k, m = int(row), int(column)
    return [(k, m + 1), (k + 1, m), (k + 1, m + 1)]


def convolved(window: Window, groups: int = 1, inputs: int = 4, outputs: int = 6) -> Case:
    top, _, left, _ = window.padding
    size = (9, 8)

    def backward(x: Array, k: Array, b: Array, y: Array, g: Array) -> list[Array]:
        return [
            convolution.conv2d_backward_input(g, k, window, size=size, groups=groups),
            convolution.conv2d_backward_weight(x, g, window, groups=groups),
            convolution.conv2d_backward_bias(g),
        ]

    return Case(
        lambda x, k, b: convolution.conv2d_forward(x, k, b, window),
        backward,
        lambda x, k, b: functional.conv2d(x, k, b, window.stride, (top, left), window.dilation, groups),
        (numbers(3, inputs, *size), numbers(outputs, inputs // groups, *window.kernel), numbers(outputs)),
    )


def convolved_nd(x: Array, window: Window, groups: int) -> Case:
    """A convolution of arrays that lie as they are written, beside PyTorch's of padded ones: sides may differ."""
    size = x.shape[2:]
    theirs = getattr(functional, f"conv{len(size)}d")
    sides = [side for axis in reversed(range(len(size))) for side in window.padding[2 * axis : 2 * axis + 2]]
    return Case(
        lambda x, k, b: convolution_nd.conv_nd_forward(x, k, b, window),
        lambda x, k, b, y, g: [
            convolution_nd.conv_nd_backward_input(g, k, window, size=size, groups=groups),
            convolution_nd.conv_nd_backward_weight(x, g, window, groups=groups),
            convolution_nd.conv_nd_backward_bias(g),
        ],
        lambda x, k, b: theirs(functional.pad(x, sides), k, b, window.stride, 0, window.dilation, groups),
        (x, numbers(6, x.shape[1] // groups, *window.kernel), numbers(6)),
    )


def transposed_nd(x: Array, window: Window, outputs: int) -> Case:
    theirs = getattr(functional, f"conv_transpose{x.ndim - 2}d")
    return Case(
        lambda x, k: convolution_nd.conv_nd_backward_input(x, k, window),
        lambda x, k, y, g: [
            convolution_nd.conv_nd_forward(g, k, None, window),
            convolution_nd.conv_nd_backward_weight(g, x, window),
        ],
        lambda x, k: theirs(x, k, None, window.stride, window.before, 0, 1, window.dilation),
        (x, numbers(x.shape[1], outputs, *window.kernel)),
    )


def pooled(x: Array, window: Window, kind: str) -> Case:
    """Maxima or averages over any number of axes; the same padding on both sides."""
    size, theirs = x.shape[2:], getattr(functional, f"{kind}_pool{x.ndim - 2}d")
    if kind == "avg":
        return without(
            lambda x: pooling.avg_pool_forward(x, window),
            lambda g: pooling.avg_pool_backward(g, window, size=size),
            lambda x: theirs(x, window.kernel, window.stride, window.before),
            x,
        )
    return Case(
        lambda x: pooling.max_pool_forward(x, window),
        lambda x, y, g: [pooling.max_pool_backward(g, pooling.max_pool_winners(x, y, window), window, size=size)],
        lambda x: theirs(x, window.kernel, window.stride, window.before, window.dilation),
        (x,),
    )


def batch_norm_gradients(x: Array, w: Array, b: Array, y: Array, g: Array) -> list[Array]:
    statistics = normalization.batch_statistics(x)
    sums = normalization.batch_norm_backward_sums(x, g, statistics.mean)
    return [
        normalization.batch_norm_backward(x, g, w),
        *normalization.batch_norm_backward_parameters(sums, statistics.variance),
    ]


def adaptive_max(x: Array) -> Array:
    """Maxima of windows of two sizes, which are laid side by side first."""
    (rows, height), (columns, width) = adaptive.side_by_side(4, 3), adaptive.side_by_side(5, 2)
    laid = adaptive.lay_side_by_side(x.transpose(0, 2, 3, 1), [rows, columns]).transpose(0, 3, 1, 2)
    return pooling.max_pool_forward(laid, Window((height, width), (height, width)))


def adaptive_max_gradient(x: Array, y: Array, g: Array) -> list[Array]:
    (rows, height), (columns, width) = adaptive.side_by_side(4, 3), adaptive.side_by_side(5, 2)
    window = Window((height, width), (height, width))
    laid = adaptive.lay_side_by_side(x.transpose(0, 2, 3, 1), [rows, columns]).transpose(0, 3, 1, 2)
    back = pooling.max_pool_backward(g, pooling.max_pool_winners(laid, y, window), window)
    return [adaptive.gather_back(back.transpose(0, 2, 3, 1), [rows, columns]).transpose(0, 3, 1, 2)]


def stretched(torch_: Any, forward: Any, backward: Any) -> Case:
    """Of two inputs, of which the second is stretched: gradients are written into arrays of the inputs' shapes."""
    return Case(forward, backward, torch_, (numbers(2, 3, 4, least=0.5), numbers(2, 1, 4, least=0.5)))


def recurrent_case(kind: str, reverse: bool = False) -> Case:
    """A cell along a sequence, with the states before the first step."""
    gates, states = {"rnn": (1, 1), "lstm": (4, 2), "gru": (3, 1)}[kind]
    shapes = [(2, 6, 4), (gates * 5, 4), (gates * 5, 5), (gates * 5,), (gates * 5,), *[(2, 5)] * states]
    forward, backward = {
        "rnn": (recurrent.rnn_forward, recurrent.rnn_backward),
        "lstm": (recurrent.lstm_forward, recurrent.lstm_backward),
        "gru": (recurrent.gru_forward, recurrent.gru_backward),
    }[kind]

    def gradients(x: Array, *arrays: Array) -> Any:
        *weights, y, g = arrays
        made = {}
        if kind != "rnn":
            made["gates"] = np.empty((2, 6, gates * 5))
            made[{"lstm": "cells", "gru": "hidden"}[kind]] = np.empty((2, 6, 5))
            forward(x, *weights, reverse=reverse, **made)
        first = dict(zip(("h0", "c0"), weights[4:], strict=False))
        found = backward(x, y, g, *weights[:2], **made, **first, reverse=reverse)
        return found[: 6 + (states == 2)]

    def theirs(x: Any, weight_ih: Any, weight_hh: Any, bias_ih: Any, bias_hh: Any, *first: Any) -> Any:
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        given = dict(zip(names, (weight_ih, weight_hh, bias_ih, bias_hh), strict=True))
        module = getattr(torch.nn, kind.upper())(4, 5, batch_first=True, dtype=torch.float64)
        begin = tuple(each[None] for each in first) if states == 2 else first[0][None]
        y = torch.func.functional_call(module, given, (x.flip(1) if reverse else x, begin))[0]
        return y.flip(1) if reverse else y

    return Case(
        lambda x, *weights: forward(x, *weights, reverse=reverse),
        gradients,
        theirs,
        tuple(numbers(*shape) for shape in shapes),
    )


CASES = {
    "rms_norm": Case(
        lambda x, w: rms_norm.rms_norm_forward(x, w, 0.1),
        lambda x, w, y, g: rms_norm.rms_norm_backward(x, g, w, 0.1),
        lambda x, w: functional.rms_norm(x, w.shape, w, 0.1),
        (images, numbers(3, 4, 5)),
    ),
    "rms_norm without weight": Case(
        rms_norm.rms_norm_forward,
        lambda x, y, g: rms_norm.rms_norm_backward(x, g)[:1],
        lambda x: functional.rms_norm(x, (4,)),
        (numbers(2, 3, 4),),
    ),
    "bilinear": Case(
        bilinear.bilinear_forward,
        lambda x, z, w, b, y, g: [
            bilinear.bilinear_backward_left(g, z, w),
            bilinear.bilinear_backward_right(x, g, w),
            bilinear.bilinear_backward_weight(x, z, g),
        ],
        functional.bilinear,
        (numbers(2, 3, 4), numbers(2, 3, 5), numbers(6, 4, 5), numbers(6)),
    ),
    "unfold": without(
        lambda x: unfolding.unfold_forward(x, UNFOLDED),
        lambda g: unfolding.unfold_backward(g, UNFOLDED, (4, 5)),
        lambda x: functional.unfold(x, (3, 2), (1, 2), (1, 2), (2, 3)),
        images,
    ),
    "fold": without(
        lambda x: unfolding.fold_forward(x, UNFOLDED, (4, 5)),
        lambda g: unfolding.fold_backward(g, UNFOLDED),
        lambda x: functional.fold(x, (4, 5), (3, 2), (1, 2), (1, 2), (2, 3)),
        numbers(2, 18, 6),
    ),
    "channel_shuffle": without(
        lambda x: resampling.channel_shuffle_forward(x, 2),
        lambda g: resampling.channel_shuffle_backward(g, 2),
        lambda x: functional.channel_shuffle(x, 2),
        numbers(2, 6, 4, 5),
    ),
    "rnn": recurrent_case("rnn"),
    "lstm": recurrent_case("lstm"),
    "gru": recurrent_case("gru"),
    "rnn from the end": recurrent_case("rnn", True),
    "lstm from the end": recurrent_case("lstm", True),
    "gru from the end": recurrent_case("gru", True),
    "relu": of_output(activation.relu_forward, activation.relu_backward, functional.relu),
    "leaky_relu": of_input(activation.leaky_relu_forward, activation.leaky_relu_backward, functional.leaky_relu),
    "leaky_relu of a slope below zero": of_input(
        activation.leaky_relu_forward,
        activation.leaky_relu_backward,
        lambda x: functional.leaky_relu(x, -0.5),
        None,
        -0.5,
    ),
    "tanh": of_output(activation.tanh_forward, activation.tanh_backward, torch.tanh),
    "sigmoid": of_output(activation.sigmoid_forward, activation.sigmoid_backward, torch.sigmoid),
    "elu": of_input(pieces.elu_forward, pieces.elu_backward, functional.elu),
    "selu": of_input(
        pieces.elu_forward, pieces.elu_backward, functional.selu, None, 1.6732632423543772, 1.0507009873554805
    ),
    "celu": of_input(functions.celu_forward, functions.celu_backward, lambda x: functional.celu(x, 0.75), None, 0.75),
    "softplus": of_input(pieces.softplus_forward, pieces.softplus_backward, functional.softplus),
    "clip": of_output(
        pieces.clip_forward, pieces.clip_backward, lambda x: functional.hardtanh(x, -0.7, 0.9), None, -0.7, 0.9
    ),
    "threshold": Case(
        lambda x: functions.threshold_forward(x, 0.3, -2.0),
        lambda x, y, g: [functions.threshold_backward(x, g, 0.3)],
        lambda x: functional.threshold(x, 0.3, -2.0),
        (images,),
    ),
    "prelu": Case(
        pieces.prelu_forward,
        lambda x, w, y, g: [pieces.prelu_backward_input(x, g, w), pieces.prelu_backward_weight(x, g)],
        functional.prelu,
        (images, numbers(3)),
    ),
    "silu": of_input(gates.silu_forward, gates.silu_backward, functional.silu),
    "mish": of_input(gates.mish_forward, gates.mish_backward, functional.mish),
    "hardsigmoid": of_output(
        gates.hardsigmoid_forward, gates.hardsigmoid_backward, functional.hardsigmoid, numbers(2, 3, 4, 5) * 3
    ),
    "hardswish": of_input(
        gates.hardswish_forward, gates.hardswish_backward, functional.hardswish, numbers(2, 3, 4, 5) * 3
    ),
    "gelu": Case(
        gaussian.gelu_forward,
        lambda x, y, g: [gaussian.gelu_backward(g, gaussian.gelu_slope(x))],
        functional.gelu,
        (images,),
    ),
    "gelu by tanh": Case(
        gaussian.gelu_tanh_forward,
        lambda x, y, g: [gaussian.gelu_backward(g, gaussian.gelu_slope(x, gaussian.gelu_tanh_forward))],
        lambda x: functional.gelu(x, approximate="tanh"),
        (images,),
    ),
    "affine": without(
        lambda x: functions.affine_forward(x, 3.0, -1.0),
        lambda g: functions.affine_backward(g, 3.0),
        lambda x: 3 * x - 1,
        images,
    ),
    "abs": of_input(functions.abs_forward, functions.abs_backward, torch.abs),
    "exp": of_output(functions.exp_forward, functions.exp_backward, torch.exp),
    "log": of_input(functions.log_forward, functions.log_backward, torch.log, numbers(3, 4, least=0.1)),
    "sqrt": of_output(functions.sqrt_forward, functions.sqrt_backward, torch.sqrt, numbers(3, 4, least=0.1)),
    "reciprocal": of_output(functions.reciprocal_forward, functions.reciprocal_backward, torch.reciprocal),
    "power": of_input(
        functions.power_forward, functions.power_backward, lambda x: x**2.5, numbers(3, 4, least=0.1), 2.5
    ),
    "erf": of_input(functions.erf_forward, functions.erf_backward, torch.erf),
    "sin": of_input(trigonometric.sin_forward, trigonometric.sin_backward, torch.sin),
    "cos": of_input(trigonometric.cos_forward, trigonometric.cos_backward, torch.cos),
    "tan": of_output(trigonometric.tan_forward, trigonometric.tan_backward, torch.tan),
    "asin": of_input(trigonometric.asin_forward, trigonometric.asin_backward, torch.asin, INSIDE),
    "acos": of_input(trigonometric.acos_forward, trigonometric.acos_backward, torch.acos, INSIDE),
    "atan": of_input(trigonometric.atan_forward, trigonometric.atan_backward, torch.atan),
    "sinh": of_input(trigonometric.sinh_forward, trigonometric.sinh_backward, torch.sinh),
    "cosh": of_input(trigonometric.cosh_forward, trigonometric.cosh_backward, torch.cosh),
    "asinh": of_input(trigonometric.asinh_forward, trigonometric.asinh_backward, torch.asinh),
    "acosh": of_input(trigonometric.acosh_forward, trigonometric.acosh_backward, torch.acosh, numbers(3, 4, least=1.1)),
    "atanh": of_input(trigonometric.atanh_forward, trigonometric.atanh_backward, torch.atanh, INSIDE),
    "softsign": of_output(functions.softsign_forward, functions.softsign_backward, functional.softsign),
    "softmax": of_output(softmax.softmax_forward, softmax.softmax_backward, lambda x: torch.softmax(x, 1)),
    "log_softmax": of_output(
        softmax.log_softmax_forward, softmax.log_softmax_backward, lambda x: torch.log_softmax(x, 2), None, 2
    ),
    "dropout": without(
        lambda x: dropout.dropout_forward(x, KEPT, 0.4),
        lambda g: dropout.dropout_backward(g, KEPT, 0.4),
        lambda x: x * torch.tensor(KEPT) / 0.6,
        images,
    ),
    "dropout of channels": without(
        lambda x: dropout.channel_dropout_forward(x, CHANNELS_KEPT, 0.4),
        lambda g: dropout.channel_dropout_backward(g, CHANNELS_KEPT, 0.4),
        lambda x: x * torch.tensor(CHANNELS_KEPT)[:, :, None, None] / 0.6,
        images,
    ),
    "dense": Case(
        dense.dense_forward,
        lambda x, w, b, y, g: [
            dense.dense_backward_input(g, w),
            dense.dense_backward_weight(x, g),
            dense.dense_backward_bias(g),
        ],
        functional.linear,
        (numbers(2, 5, 4), numbers(3, 4), numbers(3)),
    ),
    "remainder": Case(
        arithmetic.remainder_forward,
        lambda a, b, y, g: [arithmetic.add_backward(g), arithmetic.remainder_backward_right(a, b, g)],
        lambda a, b: a - torch.floor(a / b).detach() * b,
        (numbers(3, 4), numbers(3, 4)),
    ),
    "fmod": Case(
        lambda a, b: arithmetic.remainder_forward(a, b, truncated=True),
        lambda a, b, y, g: [arithmetic.add_backward(g), arithmetic.remainder_backward_right(a, b, g, truncated=True)],
        torch.fmod,
        (numbers(3, 4), numbers(3, 4)),
    ),
    "cumsum": without(
        lambda x: cumulative.cumsum_forward(x, 2),
        lambda g: cumulative.cumsum_backward(g, 2),
        lambda x: torch.cumsum(x, 2),
        images,
    ),
    "cumsum from the end, without itself": without(
        lambda x: cumulative.cumsum_forward(x, 2, exclusive=True, reverse=True),
        lambda g: cumulative.cumsum_backward(g, 2, exclusive=True, reverse=True),
        lambda x: x.sum(2, keepdim=True) - torch.cumsum(x, 2),
        images,
    ),
    "triangle": without(
        lambda x: rearrangement.triangle_forward(x, 1),
        lambda g: rearrangement.triangle_backward(g, 1),
        lambda x: torch.tril(x, 1),
        images,
    ),
    "upper triangle": without(
        lambda x: rearrangement.triangle_forward(x, -1, upper=True),
        lambda g: rearrangement.triangle_backward(g, -1, upper=True),
        lambda x: torch.triu(x, -1),
        images,
    ),
    "take_along": without(
        lambda x: indexing.take_along_forward(x, PLACES, 2),
        lambda g: indexing.take_along_backward(PLACES, g, 2, images.shape),
        lambda x: torch.take_along_dim(x, torch.tensor(PLACES % 4), 2),
        images,
    ),
    "scatter": Case(
        lambda x, s: indexing.scatter_forward(x, PLACES[:, :, :1], s, 2),
        lambda x, s, y, g: [
            indexing.scatter_backward_input(PLACES[:, :, :1], g, 2, s.shape),
            indexing.scatter_backward_source(PLACES[:, :, :1], g, 2, s.shape),
        ],
        lambda x, s: torch.scatter(x, 2, torch.tensor(PLACES[:, :, :1] % 4), s),
        (images, numbers(2, 3, 1, 5)),
    ),
    "scatter and add": Case(
        lambda x, s: indexing.scatter_forward(x, PLACES, s, 2, "add"),
        lambda x, s, y, g: [
            indexing.scatter_backward_input(PLACES, g, 2, s.shape, "add"),
            indexing.scatter_backward_source(PLACES, g, 2, s.shape, "add"),
        ],
        lambda x, s: torch.scatter_add(x, 2, torch.tensor(PLACES % 4), s),
        (images, numbers(2, 3, 2, 5)),
    ),
    "grid_sample": Case(
        sampling.grid_sample_forward,
        lambda x, p, y, g: [
            sampling.grid_sample_backward_input(p, g, x.shape),
            sampling.grid_sample_backward_grid(x, p, g),
        ],
        lambda x, p: functional.grid_sample(x, p, align_corners=False),
        (images, numbers(2, 6, 3, 2)),
    ),
    "roi_align": without(
        lambda x: sampling.roi_align_forward(x, BOXES, (2, 3), 0.9, 2),
        lambda g: sampling.roi_align_backward(BOXES, g, images.shape, 0.9, 2),
        lambda x: roi_align(x, BOXES[:, 0] * 0.9 - 0.5, (2, 3), 2),
        images,
    ),
    "roi_align_max": Case(
        lambda x: sampling.roi_align_max_forward(x, BOXES, (2, 3), 0.9, 2),
        lambda x, y, g: [sampling.roi_align_max_backward(x, BOXES, g, 0.9, 2)],
        lambda x: roi_align_max(x, BOXES[:, 0] * 0.9 - 0.5, (2, 3), 2),
        (images,),
    ),
    "matmul": Case(
        matmul.matmul_forward,
        lambda a, b, y, g: [matmul.matmul_backward_left(g, b), matmul.matmul_backward_right(a, g)],
        torch.matmul,
        (numbers(2, 3, 4, 5), numbers(2, 3, 5, 6)),
    ),
    "matmul of stretched stacks": Case(
        matmul.matmul_forward,
        lambda a, b, y, g: [
            matmul.matmul_backward_left(g, b, np.empty_like(a)),
            matmul.matmul_backward_right(a, g, np.empty_like(b)),
        ],
        torch.matmul,
        (numbers(2, 1, 4, 5), numbers(2, 3, 5, 6)),
    ),
    "conv2d": convolved(W),
    "conv2d with padding": convolved(PADDED),
    "conv2d with stride, dilation and groups": convolved(STRIDED, 2),
    "conv2d of each channel": convolved(PADDED, 4, 4, 4),
    "conv2d of single pixels": convolved(Window((1, 1))),
    "depthwise": Case(
        lambda x, k: depthwise.depthwise_forward(x, k, W),
        lambda x, k, y, g: [depthwise.depthwise_backward_input(g, k, W), depthwise.depthwise_backward_weight(x, g, W)],
        lambda x, k: functional.conv2d(x, k, groups=3),
        (images, numbers(3, 1, 3, 2)),
    ),
    "transposed convolution": Case(
        lambda x, k: convolution.conv2d_backward_input(x, k, STRIDED),
        lambda x, k, y, g: [
            convolution.conv2d_forward(g, k, None, STRIDED),
            convolution.conv2d_backward_weight(g, x, STRIDED),
        ],
        lambda x, k: functional.conv_transpose2d(x, k, None, 2, 1, dilation=(2, 1)),
        (numbers(2, 4, 5, 4), numbers(4, 3, 3, 3)),
    ),
    "conv1d": convolved_nd(sequences, S, 1),
    "conv1d in groups": convolved_nd(sequences, S, 2),
    "conv3d": convolved_nd(volumes, Window((2, 2, 2)), 1),
    "conv3d with stride, dilation, sides that differ, and groups": convolved_nd(volumes, VOLUME, 2),
    "conv3d of each channel": convolved_nd(volumes[:, :3], Window((3, 3, 3), (), (1,) * 6), 3),
    "conv3d in parts of a volume": convolved_nd(numbers(1, 8, 9, 40, 36), Window((3, 3, 3), (1, 2, 2), (1,) * 6), 1),
    "conv1d in parts of a sequence": convolved_nd(numbers(2, 64, 5000), Window((3,), (), (1, 1)), 1),
    "transposed convolution along sequences": transposed_nd(sequences, S, 3),
    "transposed convolution of volumes": transposed_nd(volumes, Window((3, 2, 2), (2, 1, 2), (1,) * 6, (1, 2, 1)), 3),
    "transposed convolution in parts": transposed_nd(
        numbers(1, 8, 5, 20, 18), Window((3, 3, 3), (2, 2, 2), (1,) * 6), 8
    ),
    "batch_norm": Case(
        normalization.batch_norm_forward,
        batch_norm_gradients,
        lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        (images, numbers(3), numbers(3)),
    ),
    "batch_norm outside training": without(
        lambda x: normalization.batch_norm_forward(
            x, None, None, 0.0, normalization.Statistics(np.full(3, 2.0), np.full(3, 4.0), 0)
        ),
        lambda g: normalization.batch_norm_backward_constant(g, np.full(3, 0.5)),
        lambda x: (x - 2) / 2,
        images,
    ),
    "batch_norm of volumes": Case(
        normalization.batch_norm_forward,
        batch_norm_gradients,
        lambda x, w, b: functional.batch_norm(x, None, None, w, b, training=True),
        (volumes, numbers(4), numbers(4)),
    ),
    "instance norm of volumes": Case(
        lambda x: standardization.group_norm_forward(x, 4),
        lambda x, y, g: standardization.group_norm_backward(x, g, 4)[:1],
        functional.instance_norm,
        (volumes,),
    ),
    "layer_norm": Case(
        standardization.layer_norm_forward,
        lambda x, w, b, y, g: standardization.layer_norm_backward(x, g, w),
        lambda x, w, b: functional.layer_norm(x, w.shape, w, b),
        (numbers(2, 7, 6), numbers(6), numbers(6)),
    ),
    "layer_norm of whole images": Case(
        standardization.layer_norm_forward,
        lambda x, w, b, y, g: standardization.layer_norm_backward(x, g, w),
        lambda x, w, b: functional.layer_norm(x, w.shape, w, b),
        (images, numbers(3, 4, 5), numbers(3, 4, 5)),
    ),
    "group_norm": Case(
        lambda x, w, b: standardization.group_norm_forward(x, 2, w, b),
        lambda x, w, b, y, g: standardization.group_norm_backward(x, g, 2, w),
        lambda x, w, b: functional.group_norm(x, 2, w, b),
        (numbers(2, 6, 4, 5), numbers(6), numbers(6)),
    ),
    "instance norm": Case(
        lambda x: standardization.group_norm_forward(x, 3),
        lambda x, y, g: standardization.group_norm_backward(x, g, 3)[:1],
        functional.instance_norm,
        (images,),
    ),
    "local_response": of_input(
        local_response.local_response_forward,
        local_response.local_response_backward,
        lambda x: functional.local_response_norm(x, 4, 0.5, 0.7, 1.5),
        numbers(2, 7, 3, 2),
        4,
        0.5,
        0.7,
        1.5,
    ),
    "attention": Case(
        attention.attention_forward,
        lambda q, k, v, y, g: attention.attention_backward(q, k, v, g),
        functional.scaled_dot_product_attention,
        (numbers(2, 2, 5, 3), numbers(2, 2, 5, 3), numbers(2, 2, 5, 3)),
    ),
    "attention to another sequence, masked": Case(
        lambda q, k, v, m: attention.attention_forward(q, k, v, mask=m),
        lambda q, k, v, m, y, g: [
            *attention.attention_backward(q, k, v, g, mask=m, grad_scores=SCORES),
            SCORES.sum((0, 1)),
        ],
        lambda q, k, v, m: functional.scaled_dot_product_attention(q, k, v, m),
        (numbers(2, 2, 5, 3), numbers(2, 2, 4, 3), numbers(2, 2, 4, 6), numbers(5, 4)),
    ),
    "causal attention": Case(
        lambda q, k, v: attention.attention_forward(q, k, v, mask=attention.causal_mask(5, 4, float)),
        lambda q, k, v, y, g: attention.attention_backward(q, k, v, g, mask=attention.causal_mask(5, 4, float)),
        lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
        (numbers(2, 2, 5, 3), numbers(2, 2, 4, 3), numbers(2, 2, 4, 3)),
    ),
    "attention with dropout": Case(
        lambda q, k, v: attention.attention_forward(q, k, v, FACTOR),
        lambda q, k, v, y, g: attention.attention_backward(q, k, v, g, FACTOR),
        lambda q, k, v: (torch.softmax(q @ k.mT / 3**0.5, 3) * torch.tensor(FACTOR)) @ v,
        (numbers(2, 2, 5, 3), numbers(2, 2, 5, 3), numbers(2, 2, 5, 3)),
    ),
    "embedding": Case(
        lambda table: embedding.embedding_forward(INDEX, table),
        lambda table, y, g: [embedding.embedding_backward(INDEX, g, 7, 3)],
        lambda table: functional.embedding(torch.tensor(INDEX), table, 3),
        (numbers(7, 4),),
    ),
    "max_pool2d": Case(
        lambda x: pooling.max_pool_forward(x, STRIDED),
        lambda x, y, g: [pooling.max_pool_backward(g, pooling.max_pool_winners(x, y, STRIDED), STRIDED, size=(9, 8))],
        lambda x: functional.max_pool2d(x, 3, 2, 1, (2, 1)),
        (numbers(2, 3, 9, 8),),
    ),
    "avg_pool2d": without(
        lambda x: pooling.avg_pool_forward(x, W),
        lambda g: pooling.avg_pool_backward(g, W),
        lambda x: functional.avg_pool2d(x, (3, 2), 1),
        images,
    ),
    "avg_pool2d by tiles": without(
        lambda x: pooling.avg_pool2d_tiles_forward(x, Window((2, 3), (2, 3))),
        lambda g: pooling.avg_pool2d_tiles_backward(g, Window((2, 3), (2, 3))),
        lambda x: functional.avg_pool2d(x, (2, 3)),
        numbers(2, 3, 4, 6),
    ),
    "adaptive_avg_pool2d": without(
        lambda x: pooling.adaptive_avg_pool2d_forward(x, (3, 2)),
        lambda g: pooling.adaptive_avg_pool2d_backward(g, (4, 5)),
        lambda x: functional.adaptive_avg_pool2d(x, (3, 2)),
        images,
    ),
    "adaptive_avg_pool2d to one pixel": without(
        lambda x: pooling.adaptive_avg_pool2d_forward(x, (1, 1)),
        lambda g: pooling.adaptive_avg_pool2d_backward(g, (4, 5)),
        lambda x: functional.adaptive_avg_pool2d(x, 1),
        images,
    ),
    "adaptive maxima": Case(
        adaptive_max, adaptive_max_gradient, lambda x: functional.adaptive_max_pool2d(x, (3, 2)), (images,)
    ),
    "max_pool1d": pooled(sequences, S, "max"),
    "avg_pool1d": pooled(sequences, Window((3,), (2,), (1, 1)), "avg"),
    "max_pool3d": pooled(volumes, Window((3, 2, 3), (2, 1, 1), (1,) * 6, (1, 2, 1)), "max"),
    "avg_pool3d": pooled(volumes, Window((3, 2, 3), (2, 1, 1), (1,) * 6), "avg"),
    "adaptive_avg_pool1d": without(
        lambda x: pooling.adaptive_avg_pool_nd_forward(x, (4,)),
        lambda g: pooling.adaptive_avg_pool_nd_backward(g, (9,)),
        lambda x: functional.adaptive_avg_pool1d(x, 4),
        sequences,
    ),
    "adaptive_avg_pool3d": without(
        lambda x: pooling.adaptive_avg_pool_nd_forward(x, (3, 1, 2)),
        lambda g: pooling.adaptive_avg_pool_nd_backward(g, (5, 4, 3)),
        lambda x: functional.adaptive_avg_pool3d(x, (3, 1, 2)),
        volumes,
    ),
    "resample of volumes": without(
        lambda x: resampling.resample_nd_forward(x, [V.T[:, :5], V, H[:, :3]]),
        lambda g: resampling.resample_nd_backward(g, [V.T[:, :5], V, H[:, :3]]),
        lambda x: torch.einsum("ncdhw,id,jh,kw->ncijk", x, *map(torch.tensor, (V.T[:, :5], V, H[:, :3]))),
        volumes,
    ),
    "nearest": without(
        lambda x: resampling.nearest_forward(
            x, resampling.nearest_index(4, 8, 0.5), resampling.nearest_index(5, 10, 0.5)
        ),
        lambda g: resampling.resample_backward(
            g,
            resampling.nearest_matrix(4, 8, 0.5, np.dtype(float)),
            resampling.nearest_matrix(5, 10, 0.5, np.dtype(float)),
        ),
        lambda x: functional.interpolate(x, scale_factor=2),
        images,
    ),
    "resample": without(
        lambda x: resampling.resample_forward(x, V, H),
        lambda g: resampling.resample_backward(g, V, H),
        lambda x: torch.tensor(V) @ x @ torch.tensor(H).mT,
        images,
    ),
    "shuffle": without(
        lambda x: resampling.shuffle_forward(x, 2),
        lambda g: resampling.shuffle_backward(g, 2),
        lambda x: functional.pixel_shuffle(x, 2),
        numbers(2, 8, 3, 4),
    ),
    "slice": without(
        lambda x: rearrangement.slice_forward(x, (slice(None), slice(2), 1)),
        lambda g: rearrangement.slice_backward(g, (slice(None), slice(2), 1), images.shape),
        lambda x: x[:, :2, 1],
        images,
    ),
    "index_select": without(
        lambda x: rearrangement.index_select_forward(x, 2, [3, 0, 3]),
        lambda g: rearrangement.index_select_backward(g, 2, [3, 0, 3], 4),
        lambda x: torch.index_select(x, 2, torch.tensor([3, 0, 3])),
        images,
    ),
    "tile": without(
        lambda x: rearrangement.tile_forward(x, (1, 2, 3)),
        lambda g: rearrangement.tile_backward(g, (1, 2, 3)),
        lambda x: torch.tile(x, (1, 1, 2, 3)),
        images,
    ),
    **{
        f"pad by {mode}": without(
            lambda x, mode=mode: rearrangement.pad_forward(x, [(0, 0), (1, 2), (2, 1)], mode, 7.0),
            lambda g, mode=mode: rearrangement.pad_backward(g, [(0, 0), (1, 2), (2, 1)], mode),
            lambda x, mode=mode: functional.pad(x, (2, 1, 1, 2), mode, 7.0 if mode == "constant" else None),
            images,
        )
        for mode in ("constant", "reflect", "replicate", "circular")
    },
    "sum": without(
        lambda x: reduction.sum_forward(x, (1, 3)),
        lambda g: reduction.sum_backward(g, images.shape),
        lambda x: x.sum((1, 3), keepdim=True),
        images,
    ),
    "mean": without(
        lambda x: reduction.mean_forward(x, (2,)),
        lambda g: reduction.mean_backward(g, images.shape),
        lambda x: x.mean(2, keepdim=True),
        images,
    ),
    "product": of_input(
        lambda x: reduction.product_forward(x, (2,)),
        lambda x, g: reduction.product_backward(x, g, (2,)),
        lambda x: x.prod(2, keepdim=True),
    ),
    "extremum": Case(
        lambda x: reduction.extremum_forward(x, (1, 2)),
        lambda x, y, g: [reduction.extremum_backward(x, y, g, (1, 2))],
        lambda x: torch.amax(x, (1, 2), keepdim=True),
        (np.round(images),),
    ),
    "log_sum_exp": Case(
        lambda x: reduction.log_sum_exp_forward(x, (1, 2)),
        lambda x, y, g: [reduction.log_sum_exp_backward(x, y, g)],
        lambda x: torch.logsumexp(x, (1, 2), keepdim=True),
        (images,),
    ),
    "add": stretched(
        torch.add,
        lambda a, b: arithmetic.combine_forward(np.add, [a, b]),
        lambda a, b, y, g: [arithmetic.add_backward(g), arithmetic.add_backward(g, np.empty_like(b))],
    ),
    "subtract": stretched(
        torch.subtract,
        arithmetic.subtract_forward,
        lambda a, b, y, g: [arithmetic.add_backward(g), arithmetic.subtract_backward_right(g, np.empty_like(b))],
    ),
    "multiply": stretched(
        torch.multiply,
        lambda a, b: arithmetic.combine_forward(np.multiply, [a, b]),
        lambda a, b, y, g: [
            arithmetic.multiply_backward([b], g),
            arithmetic.multiply_backward([a], g, np.empty_like(b)),
        ],
    ),
    "divide": stretched(
        torch.divide,
        arithmetic.divide_forward,
        lambda a, b, y, g: [
            arithmetic.divide_backward_left(b, g),
            arithmetic.divide_backward_right(a, b, g, np.empty_like(b)),
        ],
    ),
    "pow": stretched(
        torch.pow,
        arithmetic.pow_forward,
        lambda a, b, y, g: [
            arithmetic.pow_backward_base(a, b, g),
            arithmetic.pow_backward_exponent(a, b, g, np.empty_like(b)),
        ],
    ),
    "maximum": stretched(
        torch.maximum,
        lambda a, b: arithmetic.combine_forward(np.maximum, [a, b]),
        lambda a, b, y, g: [
            arithmetic.choice_backward(each, y, arithmetic.choice_share([a, b], y, g), np.empty_like(each))
            for each in (a, b)
        ],
    ),
    "where": Case(
        lambda a, b, c: arithmetic.where_forward(c, a, b),
        lambda a, b, c, y, g: [arithmetic.where_backward(c, g, True), arithmetic.where_backward(c, g, False)],
        lambda a, b, c: torch.where(c != 0, a, b),
        (numbers(2, 3), numbers(2, 3), np.array([[0.0, 1.0, -2.0], [0.0, 0.0, 3.0]])),
    ),
    "dequantize": without(
        lambda x: quantization.dequantize_forward(x, 0.25, 3.0),
        lambda g: quantization.dequantize_backward(g, 0.25),
        lambda x: (x - 3) * 0.25,
        images,
    ),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@each_case
def test_an_op_by_hand_is_pytorchs(case: Case) -> None:
    tensors = [torch.tensor(x, requires_grad=True) for x in case.inputs]
    expected = case.torch(*tensors)
    y = case.forward(*case.inputs)
    np.testing.assert_allclose(y, expected.detach(), rtol=1e-9, atol=1e-11)
    grad_y = np.random.default_rng(1).normal(size=y.shape)
    expected.backward(torch.tensor(grad_y))
    gradients = case.backward(*case.inputs, y, grad_y)
    assert len(gradients) >= 1
    for gradient, tensor in zip(gradients, tensors, strict=False):
        # PyTorch has the sixth of hardsigmoid in float32.
        np.testing.assert_allclose(gradient, tensor.grad, rtol=5e-8, atol=1e-10)


@each_case
def test_an_op_takes_images_in_either_order_and_leaves_its_inputs_alone(case: Case) -> None:
    inputs = [last(x) for x in case.inputs]
    kept = [x.copy() for x in inputs]
    y = case.forward(*inputs)
    np.testing.assert_allclose(y, case.forward(*case.inputs), rtol=1e-10, atol=1e-12)
    grad_y = np.random.default_rng(1).normal(size=y.shape)
    for found, expected in zip(
        case.backward(*inputs, y, last(grad_y)), case.backward(*case.inputs, y, grad_y), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    for x, before in zip(inputs, kept, strict=True):
        np.testing.assert_array_equal(x, before)


def last(x: Array) -> Array:
    """Images channels-last in memory, all else as it is."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if x.ndim == 4 else x


def test_gelu_in_float32_and_quantize_have_no_peer_in_float64() -> None:
    x = images.astype(np.float32)
    np.testing.assert_allclose(gaussian.gelu_forward_short(x), gaussian.gelu_forward(images), atol=3e-7)
    np.testing.assert_array_equal(
        quantization.quantize_forward(np.array([-9.0, 0.6, 1.25, 99.0]), 0.5, 3.0, 0, 8), [0, 4, 5, 8]
    )


def test_an_op_writes_to_memory_that_lies_in_no_order() -> None:
    x, w, grad_y = numbers(2, 6, 4, 5), numbers(6), numbers(2, 6, 4, 5)
    rows = x.transpose(0, 2, 3, 1).copy()
    for expected, write in (
        (standardization.group_norm_forward(x, 2, w), lambda out: standardization.group_norm_forward(x, 2, w, out=out)),
        (
            standardization.group_norm_backward(x, grad_y, 2)[0],
            lambda out: standardization.group_norm_backward(x, grad_y, 2, out=out)[0],
        ),
        (standardization.layer_norm_forward(rows, w), lambda out: standardization.layer_norm_forward(rows, w, out=out)),
        (dense.dense_forward(rows, w[None]), lambda out: dense.dense_forward(rows, w[None], out=out)),
        (dense.dense_backward_input(x, w[:5, None]), lambda out: dense.dense_backward_input(x, w[:5, None], out)),
        (
            pooling.avg_pool2d_tiles_forward(x, Window((2, 5), (2, 5))),
            lambda out: pooling.avg_pool2d_tiles_forward(x, Window((2, 5), (2, 5)), out),
        ),
        (resampling.resample_backward(x, V.T, H.T), lambda out: resampling.resample_backward(x, V.T, H.T, out)),
        (matmul.matmul_forward(x, x.mT), lambda out: matmul.matmul_forward(x, x.mT, out)),
    ):
        assert expected is not None
        out = np.full((*expected.shape[:-1], 2 * expected.shape[-1]), np.nan)[..., ::2]
        assert write(out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-14)


def test_every_pass_is_called_here_by_hand() -> None:
    source = inspect.getsource(sys.modules[__name__])
    assert [name for name in ops() if ".".join(name.split(".")[-2:]) not in source] == []
