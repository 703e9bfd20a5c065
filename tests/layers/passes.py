"""One leaf layer taken through one forward and one backward pass, by itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from colonnade.layers.base import Block, Layer, Prepared, Scratch
from colonnade.ops.layout import Array
from colonnade.tensor import Tensor


def laid(values: Array) -> Array:
    """A copy laid out as the package does it: images channels-last, all else plainly."""
    if values.ndim == 4:
        return np.array(values.transpose(0, 2, 3, 1), order="C").transpose(0, 3, 1, 2)
    return np.array(values, order="C")


def unknown(shape: tuple[int, ...], dtype: Any) -> Array:
    """Memory in which whatever is read before it is written shows: NaN, or True."""
    return laid(np.full(shape, True if np.dtype(dtype) == np.bool_ else np.nan, dtype))


def block(
    layer: Layer,
    x: Array,
    direction: Any,
    *,
    training: bool = True,
    start: int = 0,
    stream: Any = None,
    saved: dict[str, Array] | None = None,
) -> Block:
    """A block that holds `x`, with the scratch that the layer asks for."""
    scratch = unwritten(layer.scratch(x.shape, direction), x)
    return Block(training, start, len(x), scratch, Prepared(x.shape), stream=stream, saved=saved)


def unwritten(wanted: dict[str, Scratch], x: Array) -> dict[str, Array]:
    """Arrays that a layer asks for, full of NaN or, where there is none, of ones in every bit."""

    def fill(dtype: np.dtype[Any]) -> Any:
        return np.nan if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max

    dtypes = {name: np.dtype(asked.dtype or x.dtype) for name, asked in wanted.items()}
    return {name: np.full(asked.shape, fill(dtypes[name]), dtypes[name]) for name, asked in wanted.items()}


def passes(
    layer: Layer, x: Array, grad_y: Array | None = None, *, in_place: bool = False, **options: Any
) -> tuple[Array, Array]:
    """The output for `x`, and the gradient at the input for `grad_y` (ones if left out).

    What the layer does not declare to read is hidden from its backward pass. With `in_place` output and input are one
    array, and so are their gradients.
    """
    shape = (len(x), *layer.build(x.shape[1:], np.random.default_rng(0)))
    source, target = Tensor(x.shape, x.dtype), Tensor(shape, x.dtype)
    source.value = laid(x)
    target.value = source.value if in_place else unknown(shape, x.dtype)
    saved = unwritten(layer.saved(x.shape), x)
    layer.forward(source, target, block(layer, x, "forward", saved=saved, **options))
    y = target.value.copy()
    assert y.shape == shape
    assert y.dtype == x.dtype

    target.grad = laid(np.ones(shape, x.dtype) if grad_y is None else grad_y)
    source.grad = target.grad if in_place else unknown(x.shape, x.dtype)
    if not in_place:
        for tensor, side in ((source, "input"), (target, "output")):
            if side not in layer.reads:
                tensor.value.fill(np.nan)
    layer.backward(source, target, block(layer, x, "backward", saved=saved, **options))
    return y, source.grad.copy()
