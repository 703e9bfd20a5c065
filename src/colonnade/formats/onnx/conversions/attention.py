"""Attention, and the rotation of queries and keys by their places."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import layers
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion
from .parts import cut, joined
from .products import product
from .reductions import reduced

if TYPE_CHECKING:
    from ..call import Call

BOOL = np.dtype(np.bool_)


def attention(call: Call) -> list[Value | None]:
    """softmax(scale · Q Kᵀ + M) V, with all that the operator knows beside it."""
    flat = _rank(call.value(0)) == 3
    counts = [call.attribute(f"{name}_num_heads") for name in ("q", "kv", "kv")]
    queries, keys, values = (_by_head(call, call.value(place), counts[place]) for place in range(3))
    before = 0
    if call.has(4):
        before = _sizes(call.value(4))[2]
        keys, values = _behind(call, call.value(4), keys), _behind(call, call.value(5), values)
    present = keys, values
    heads = _sizes(queries)[1]
    keys, values = (_for_each_head(call, each, heads) for each in (keys, values))
    scale = call.attribute("scale") or 1 / math.sqrt(_sizes(queries)[3])
    scores = product(call, _scaled(call, queries, scale), _turned(call, keys))
    stages: dict[int, Value] = {0: scores}
    if softcap := call.attribute("softcap", 0.0):
        scores = call.emit(
            layers.Affine(softcap), call.emit(layers.Tanh(), call.emit(layers.Affine(1 / softcap), scores))
        )
    stages[1] = stages[2] = scores
    looks: Value | None = None
    if (mask := _mask(call, _sizes(scores)[2], _sizes(scores)[3], before)) is not None:
        mode = call.attribute("qk_matmul_output_mode", 0) if call.needed(3) else 0
        stages[2] = _join(call, "Add", scores, mask) if mode == 2 else scores
        mask, looks = _without_empty_rows(call, mask)
        scores = _images(_join(call, "Add", scores, mask))
    weights = call.emit(layers.Softmax(scores.layout.dim(3)), scores)
    if looks is not None:
        weights = _images(_join(call, "Mul", weights, looks))
    stages[3] = weights
    y: Images = product(call, weights, values)
    if flat:
        y = call.importer.transposed(y, (0, 2, 1, 3))
        images, length, count, size = y.layout.sizes
        y = call.importer.reshaped(y, Layout((images, length, count * size), *_batch(y.layout)))
    return [y, *present, stages[call.attribute("qk_matmul_output_mode", 0)]]


def _by_head(call: Call, x: Value, count: int | None) -> Value:
    """(n, heads, t, d), of that or of (n, t, heads · d)."""
    if _rank(x) == 4:
        return x
    if _rank(x) != 3 or not count or _sizes(x)[2] % count:
        raise UnsupportedError(f"it parts a tensor of {_sizes(x)} into {count} heads")
    images, length, width = _sizes(x)
    parted = (images, length, count, width // count)
    if isinstance(x, Known):
        return Known(x.array.reshape(parted).transpose(0, 2, 1, 3))
    return call.importer.transposed(call.importer.reshaped(x, Layout(parted, *_batch(x.layout))), (0, 2, 1, 3))


def _behind(call: Call, first: Value, second: Value) -> Value:
    """Two tensors (n, heads, t, d), one behind the other."""
    if isinstance(first, Known) and isinstance(second, Known):
        return Known(np.concatenate([first.array, second.array], axis=2))
    return joined(call, [first, second], 2)


def _for_each_head(call: Call, x: Value, heads: int) -> Value:
    """Keys or values with as many heads as the queries have: each stands for several."""
    own = _sizes(x)[1]
    if own == heads:
        return x
    if heads % own:
        raise UnsupportedError(f"{heads} heads of queries share {own} of keys and values")
    places = [place for place in range(own) for _ in range(heads // own)]
    if isinstance(x, Known):
        return Known(x.array[:, places])
    return call.emit(layers.IndexSelect(x.layout.dim(1), places), x, layout=x.layout.resized({1: heads}))


def _scaled(call: Call, x: Value, factor: float) -> Value:
    return Known(x.array * np.asarray(factor, x.dtype)) if isinstance(x, Known) else call.emit(layers.Affine(factor), x)


def _turned(call: Call, x: Value) -> Value:
    """Keys (n, heads, s, d) as (n, heads, d, s)."""
    if isinstance(x, Known):
        return Known(x.array.swapaxes(2, 3))
    return call.importer.transposed(x, (0, 1, 3, 2))


def _mask(call: Call, length: int, keys: int, before: int) -> Value | None:
    """What is added to the scores: −∞ for what is not looked at. None for nothing.

    Args:
        call: The node.
        length: Queries of a sequence.
        keys: Keys.
        before: How many of them were there before the first query's.
    """
    total: Value | None = None
    left, right = (call.attribute(f"{side}_window_size", -1) for side in ("left", "right"))
    ends = [right] if right >= 0 else []
    ends += [0] if call.attribute("is_causal", 0) else []
    places = np.arange(keys) - np.arange(length)[:, None]  # of a key, counted from that of the query
    if call.has(6):  # how many keys each image has; the last query is at the last of them
        count = _beside(call, call.value(6))
        most = places + length
        bounds = [("LessOrEqual", np.arange(keys) + np.zeros((length, 1), int) + 1)]
        bounds += [("LessOrEqual", most - end) for end in ends]
        allowed = [_join(call, kind, Known(bound[None, None]), count) for kind, bound in bounds]
        if left >= 0:
            allowed.append(_join(call, "LessOrEqual", count, Known((most + left)[None, None])))
        for each in allowed:
            total = _sum(call, total, _as_numbers(call, each))
    else:
        open_ = np.ones((length, keys), bool)
        for end in ends:
            open_ &= places - before <= end
        if left >= 0:
            open_ &= before - places <= left
        if not open_.all():
            total = Known(np.where(open_, 0.0, -np.inf))
    return _sum(call, total, _given(call, call.value(3), keys)) if call.has(3) else total


def _beside(call: Call, count: Value) -> Value:
    """A number for each image, (n,), as (n, 1, 1, 1)."""
    if isinstance(count, Known):
        return Known(count.array.reshape(-1, 1, 1, 1))
    return call.importer.reshaped(count, count.layout.with_ones([1, 2, 3]))


def _given(call: Call, mask: Value, keys: int) -> Value:
    """The mask that the node is given, as numbers to add; what it does not reach is not looked at."""
    short = keys - _sizes(mask)[-1]
    numbers = _as_numbers(call, mask) if mask.dtype == BOOL else mask
    if short <= 0:
        return numbers
    if isinstance(numbers, Known):
        wider = [(0, 0)] * (numbers.array.ndim - 1) + [(0, short)]
        return Known(np.pad(numbers.array.astype(np.float64), wider, constant_values=-np.inf))
    layout = numbers.layout
    sizes = [1 if axis == layout.batch else size for axis, size in enumerate(layout.sizes[:-1])]
    return joined(call, [numbers, Known(np.full((*sizes, short), -np.inf))], layout.rank - 1)


def _as_numbers(call: Call, allowed: Value) -> Value:
    """0 where it is true, else −∞."""
    if isinstance(allowed, Known):
        return Known(np.where(allowed.array, 0.0, -np.inf))
    return _join(call, "Where", allowed, Known(np.array(0.0)), Known(np.array(-np.inf)))


def _sum(call: Call, total: Value | None, part: Value) -> Value:
    return part if total is None else _join(call, "Add", total, part)


def _without_empty_rows(call: Call, mask: Value) -> tuple[Value, Value | None]:
    """The mask with zeros in the rows that it leaves nothing of; and 0 for these rows, 1 for others."""
    if isinstance(mask, Known):
        looks = np.asarray(mask.array.max(axis=-1, keepdims=True) > -np.inf)
        if looks.all():
            return mask, None
        return Known(np.where(looks, mask.array, 0.0)), Known(looks.astype(np.float64))
    greatest = reduced(call, mask, [mask.layout.rank - 1], True, layers.Amax)
    found = _join(call, "Greater", greatest, Known(np.array(-np.inf)))
    return _join(call, "Where", found, mask, Known(np.array(0.0))), found


# Of each operator the layer, and what NumPy does with constants.
OPERATIONS: dict[str, tuple[Any, Any]] = {
    "Add": (layers.Add, np.add),
    "Greater": (layers.Greater, np.greater),
    "LessOrEqual": (layers.LessEqual, np.less_equal),
    "Mul": (layers.Mul, np.multiply),
    "Sub": (layers.Sub, np.subtract),
    "Where": (layers.Where, np.where),
}
TRUTHS = ("Greater", "LessOrEqual")


def _join(call: Call, operator: str, *values: Value) -> Value:
    """Values combined element by element; at once where all are known."""
    make, compute = OPERATIONS[operator]
    if all(isinstance(each, Known) for each in values):
        return Known(compute(*(each.array for each in values if isinstance(each, Known))))
    parts, layout = call.importer.aligned(values)
    return call.emit(make(stretch=True), *parts, layout=layout, dtype=BOOL if operator in TRUTHS else parts[-1].dtype)


def _images(value: Value) -> Images:
    assert isinstance(value, Images)
    return value


def _rank(value: Value) -> int:
    return len(_sizes(value))


def _sizes(value: Value) -> tuple[int, ...]:
    return value.array.shape if isinstance(value, Known) else value.layout.sizes


def _batch(layout: Layout) -> tuple[int | None, int, int]:
    return layout.batch, layout.outer, layout.inner


def rotary_embedding(call: Call) -> Value:
    """Pairs of numbers (a, b) of each position, turned: (a cos − b sin, a sin + b cos)."""
    x = call.data()
    flat = x.layout.rank == 3
    count = call.attribute("num_heads", 0)
    if flat:
        x = _images(_by_head(call, x, count))
    if x.layout.rank != 4:
        raise UnsupportedError(f"it turns a tensor of {x.layout.sizes}")
    size = x.layout.sizes[3]
    width = call.attribute("rotary_embedding_dim", 0) or size
    cos, sin = (_angles(call, place, width // 2) for place in (1, 2))
    turned, rest = cut(call, x, 3, slice(0, width)), x
    paired = bool(call.attribute("interleaved", 0))
    halves = [slice(0, None, 2), slice(1, None, 2)] if paired else [slice(0, width // 2), slice(width // 2, width)]
    one, other = (cut(call, turned, 3, half) for half in halves)
    ends: list[Value] = [
        _join(call, "Sub", _join(call, "Mul", one, cos), _join(call, "Mul", other, sin)),
        _join(call, "Add", _join(call, "Mul", one, sin), _join(call, "Mul", other, cos)),
    ]
    if paired:
        columns = [call.importer.reshaped(_images(each), _images(each).layout.with_ones([4])) for each in ends]
        y = joined(call, columns, 4)
        y = call.importer.reshaped(y, x.layout.resized({3: width}))
    else:
        y = joined(call, ends, 3)
    if width < size:
        y = joined(call, [y, cut(call, rest, 3, slice(width, size))], 3)
    if not flat:
        return y
    y = call.importer.transposed(y, (0, 2, 1, 3))
    return call.importer.reshaped(y, call.data().layout)


def _angles(call: Call, place: int, width: int) -> Value:
    """Cosines or sines of all positions, (n or 1, 1, t, width)."""
    cache = call.value(place)
    if call.has(3):
        cache = _looked_up(call, cache, call.value(3))
    if _sizes(cache)[-1] != width or _rank(cache) != 3:
        raise UnsupportedError(f"it turns {2 * width} numbers by {_sizes(cache)} angles")
    if isinstance(cache, Known):
        return Known(cache.array[:, None])
    return call.importer.reshaped(cache, cache.layout.with_ones([1]))


def _looked_up(call: Call, table: Value, places: Value) -> Value:
    """Rows of a table at places (n, t)."""
    if isinstance(table, Images) and table.content is not None:
        table = Known(table.content)
    if not isinstance(table, Known):
        raise UnsupportedError("its angles are computed, and looked up")
    if isinstance(places, Known):
        return Known(table.array[places.array])
    rows, width = table.array.shape
    layout = Layout((*places.layout.sizes, width), *_batch(places.layout))
    weights = {"weight": table.array}
    made = call.emit(layers.Embedding(rows, width), places, layout=layout, dtype=table.dtype, weights=weights)
    call.importer.fixed.append(made.node)
    return made


CONVERSIONS: dict[str, Conversion] = {"Attention": attention, "RotaryEmbedding": rotary_embedding}
