"""Spectra, and what they are made with: DFT, STFT, windows of a length, bands of the mel scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import onnx

from .... import layers
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .products import dense

if TYPE_CHECKING:
    from ..call import Call


def fourier(numbers: int, parts: int, points: int, bins: int, inverse: bool = False) -> Array:
    """The matrix of a discrete Fourier transform, of real numbers alone.

    Args:
        numbers: Of the signal; those beyond `points` count as nothing.
        parts: Of each: 1 where it is real, 2 for its real part and its imaginary one.
        points: N: e^(∓2πi jk / N) is what number j adds to bin k.
        bins: How many there are.
        inverse: Whether the sign is +, and the sum is divided by N.

    Returns:
        (numbers · parts, bins · 2).
    """
    angle = 2 * np.pi * (np.multiply.outer(np.arange(numbers), np.arange(bins)) % points) / points
    cosine, sine = np.cos(angle), np.sin(angle) if inverse else -np.sin(angle)
    # (signal's number, its part, bin, part of the bin)
    matrix = np.stack([np.stack([cosine, sine], 2), np.stack([-sine, cosine], 2)], 1)[:, :parts]
    matrix[points:] = 0
    return matrix.reshape(numbers * parts, bins * 2) / (points if inverse else 1)


def dft(call: Call) -> Value:
    x = call.data()
    rank = x.layout.rank
    if call.opset < 20:
        axis = call.attribute("axis", 1)
    else:
        named = call.optional(2)
        axis = -2 if named is None else int(named.reshape(()))
    axis, parts = x.layout.axis(axis), x.layout.sizes[-1]
    x.layout.dim(axis)
    if axis == rank - 1 or parts not in (1, 2) or x.layout.batch == rank - 1:
        raise UnsupportedError("its last axis must be the real and the imaginary part")
    given, half = call.optional(1), bool(call.attribute("onesided", 0))
    inverse, numbers = bool(call.attribute("inverse", 0)), x.layout.sizes[axis]
    if inverse and half:
        return _real_signal(call, x, axis, numbers, given)
    points = numbers if given is None else int(given.reshape(()))
    if points < 1:
        raise UnsupportedError(f"a spectrum of {points}")
    bins = points // 2 + 1 if half else points
    call.importer.fold.take(numbers * parts * bins * 2)
    return _along(call, x, axis, fourier(numbers, parts, points, bins, inverse), (bins, 2))


def _real_signal(call: Call, x: Images, axis: int, bins: int, given: Array | None) -> Value:
    """The real signal of which the bins are the first half of the spectrum."""
    points = 2 * (bins - 1) if given is None else int(given.reshape(()))
    if points < 1:
        raise UnsupportedError(f"a signal of {points}")
    call.importer.fold.take(points * (points + 2))
    signal = fourier(points, 1, points, points // 2 + 1)  # of a unit at each place: its bins
    weight = np.full((points // 2 + 1, 2), 2.0)
    weight[0] = 1
    if points % 2 == 0:
        weight[-1] = 1
    matrix = (signal.reshape(points, -1, 2) * weight / points).reshape(points, -1).T
    rows = np.zeros((bins * 2, points))
    rows[: len(matrix)] = matrix[: bins * 2]
    return _along(
        call, x, axis, rows.reshape(bins, 2, points)[:, : x.layout.sizes[-1]].reshape(-1, points), (points, 1)
    )


def _along(call: Call, x: Images, axis: int, matrix: Array, ends: tuple[int, int]) -> Value:
    """A product along an axis and the last one, which becomes two axes of these sizes."""
    layout, last = x.layout, x.layout.rank - 1
    order = [*(each for each in range(last) if each != axis), axis, last]
    turned = call.importer.transposed(x, order)
    flat = turned.layout.without([last - 1]).resized({last - 1: len(matrix)})
    joined = call.importer.reshaped(turned, flat)
    made = dense(call, joined, matrix.T, None, [call.name])
    _fix(call, made)
    parted = made.layout.resized({last - 1: ends[0]}).with_ones([last]).resized({last: ends[1]})
    back = sorted(range(layout.rank), key=lambda place: order[place])
    return call.importer.transposed(call.importer.reshaped(made, parted), back, call.name)


def _fix(call: Call, made: Images) -> None:
    """Weights that only say what the operator does are not learned."""
    name = call.importer.origins.get(made.node, made.node)
    if list(call.importer.nodes[name][0].parameters()):
        call.importer.fixed.append(name)


def stft(call: Call) -> Value:
    x = call.plain()
    if x.layout.rank not in (2, 3) or (x.layout.rank == 3 and x.layout.sizes[2] not in (1, 2)):
        raise UnsupportedError("its signal must have the shape (batch, length, 1 or 2)")
    length, parts = x.layout.sizes[1], x.layout.sizes[2] if x.layout.rank == 3 else 1
    step, window, given = int(call.known(1).reshape(())), call.optional(2), call.optional(3)
    points = int(given.reshape(())) if given is not None else length if window is None else len(window)
    if step < 1 or not 1 <= points <= length:
        raise UnsupportedError(f"frames of {points} in steps of {step}, of a signal of {length}")
    frames, bins = 1 + (length - points) // step, points // 2 + 1 if call.attribute("onesided", 1) else points
    call.importer.fold.take(points * parts * bins * 2)
    weight = fourier(points, parts, points, bins).reshape(points, parts, bins * 2)
    if window is not None:
        weight = weight * window.reshape(-1, 1, 1)
    rows = call.importer.reshaped(x, Layout((1, length, parts), 0))
    turned = call.importer.transposed(rows, (0, 2, 1))
    layer = layers.Conv1d(parts, bins * 2, points, step, bias=False)
    y = call.emit(
        layer,
        turned,
        layout=Layout((1, bins * 2, frames), 0),
        weights={"weight": np.ascontiguousarray(weight.transpose(2, 1, 0))},
    )
    _fix(call, y)
    back = call.importer.transposed(y, (0, 2, 1))
    return call.importer.reshaped(back, Layout((1, frames, bins, 2), 0), call.name)


# What is known at load


def window(shape: Callable[[Array], Array]) -> Conversion:
    """A window of a length, from its height at an angle from 0 to 2π."""

    def convert(call: Call) -> Value:
        size = int(call.known(0).reshape(()))
        call.importer.fold.take(max(0, size))
        steps = size if call.attribute("periodic", 1) else size - 1
        return Known(shape(2 * np.pi * np.arange(size) / max(1, steps)).astype(_type(call)))

    return convert


def mel_weights(call: Call) -> Value:
    """Triangles over the bins of a spectrum, as ONNX rounds their corners."""
    bands, points, rate = (int(call.known(place).reshape(())) for place in range(3))
    low, high = (2595 * math.log10(1 + float(call.known(place).reshape(())) / 700) for place in (3, 4))
    call.importer.fold.take(max(0, bands) * (max(0, points) // 2 + 1))
    mels = np.arange(bands + 2) * ((high - low) / (bands + 2)) + low
    corners = ((points + 1) * (700 * (10 ** (mels / 2595) - 1)) // rate).astype(int)
    made = np.zeros((points // 2 + 1, bands))
    for band, (left, middle, right) in enumerate(zip(corners, corners[1:], corners[2:], strict=False)):
        up, down = np.arange(left, middle + 1), np.arange(middle, right)
        made[up, band] = (up - left) / (middle - left) if middle > left else 1
        made[down, band] = (right - down) / max(1, right - middle)
    return Known(made.astype(_type(call)))


def _type(call: Call) -> np.dtype[np.generic]:
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.attribute("output_datatype", onnx.TensorProto.FLOAT)))


CONVERSIONS: dict[str, Conversion] = {
    "BlackmanWindow": window(lambda angle: 0.42 - 0.5 * np.cos(angle) + 0.08 * np.cos(2 * angle)),
    "DFT": dft,
    "HammingWindow": window(lambda angle: 25 / 46 - 21 / 46 * np.cos(angle)),
    "HannWindow": window(lambda angle: 0.5 - 0.5 * np.cos(angle)),
    "MelWeightMatrix": mel_weights,
    "STFT": stft,
}
