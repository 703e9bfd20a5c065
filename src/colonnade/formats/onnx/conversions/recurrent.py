"""Recurrent operators: RNN, LSTM, GRU."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .... import layers
from ....layers.recurrent import Recurrent
from ....ops.layout import Array
from ..values import Images, Known, Layout, UnsupportedError, Value
from .elementwise import Conversion

if TYPE_CHECKING:
    from ..call import Call

# Which of ONNX's gates each of ours is.
GATES = {"RNN": (0,), "LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2)}
FUNCTIONS = {"RNN": [["tanh"], ["relu"]], "LSTM": [["sigmoid", "tanh", "tanh"]], "GRU": [["sigmoid", "tanh"]]}
STATES = {"RNN": 1, "LSTM": 2, "GRU": 1}


def recurrent(call: Call) -> list[Value | None]:
    """One layer, of one direction or both. ONNX has (t, n, d) and (directions, n, k), or the batch first."""
    kind, batch_axis = call.node.operator, 1 - call.attribute("layout", 0)
    x = _batch_first(call, call.data(), batch_axis)
    weights, recurrent, bias = call.known(1), call.known(2), call.optional(3)
    ends, reverse = _directions(call), call.attribute("direction", "forward") == "reverse"
    functions = _functions(call, kind, len(ends))
    length, width = x.layout.sizes[1:]
    _require_whole_sequences(call, length)
    if call.has(7):
        raise UnsupportedError("it has peepholes")
    if call.attribute("clip") is not None or call.attribute("input_forget", 0):
        raise UnsupportedError("clip and input_forget are not supported")
    size = recurrent.shape[2]
    settings: dict[str, Any] = {"bias": bias is not None, "bidirectional": len(ends) == 2}
    settings["return_states"] = states_wanted = call.needed(1) or call.needed(2)
    if kind == "RNN":
        settings["nonlinearity"] = functions[0]
    if kind == "GRU":
        settings["reset_after"] = bool(call.attribute("linear_before_reset", 0))
    arrays: dict[str, Array] = {}
    for number, end in enumerate(ends):
        arrays[f"weight_ih_l0{end}"] = _rows(weights[number], kind, size)
        arrays[f"weight_hh_l0{end}"] = _rows(recurrent[number], kind, size)
        if bias is not None:
            for name, part in zip(("bias_ih_l0", "bias_hh_l0"), np.split(bias[number], 2), strict=True):
                arrays[name + end] = _rows(part, kind, size)
    initial = [_initial(call, place, batch_axis, x.layout, len(ends), size) for place in range(5, 5 + STATES[kind])]
    if any(initial):
        zeros = np.zeros((len(ends), size), x.dtype)
        initial = [each or _constant(call, zeros, x.layout) for each in initial]
    if reverse:
        x = call.emit(layers.Slice(x.layout.dim(1), None, None, -1), x)
    layer: Recurrent = getattr(layers, kind)(width, size, **settings)
    y = _called(call, layer, arrays, [x, *(each for each in initial if each)])
    made: list[Value | None] = [None, None, None]
    sequence = _part(call, y, 0, length) if states_wanted else y
    if call.needed(0):
        if reverse:
            sequence = call.emit(layers.Slice(sequence.layout.dim(1), None, None, -1), sequence)
        parted = replace(sequence.layout, sizes=(x.layout.sizes[0], length, len(ends), size))
        order = (1, 2, 0, 3) if batch_axis else (0, 1, 2, 3)
        made[0] = call.importer.transposed(call.importer.reshaped(sequence, parted), order)
    for state in range(STATES[kind] if states_wanted else 0):
        if call.needed(1 + state):
            row = _part(call, y, length + state, length + state + 1)
            parted = replace(row.layout, sizes=(x.layout.sizes[0], len(ends), size))
            swapped = (1, 0, 2) if batch_axis else (0, 1, 2)
            made[1 + state] = call.importer.transposed(call.importer.reshaped(row, parted), swapped)
    return made


def dynamic_quantize_lstm(call: Call) -> list[Value | None]:
    """ONNX Runtime's LSTM of whole numbers, (directions, inputs, 4k): here of what they stand for, in floats.

    It rounds sequences and states to a grid of 255 steps before each product. They are not rounded here.
    """
    weights = [Known(_scaled(call, place, scale)) for place, scale in ((1, 8), (2, 10))]
    given = {place: call.inputs[place] for place in range(3, 8) if call.has(place)}
    inputs = [call.data(), *weights, *(given.get(place) for place in range(3, 8))]
    node = replace(call.node, operator="LSTM", inputs=(*call.node.inputs[:8], *[""] * (8 - len(call.node.inputs[:8]))))
    return recurrent(type(call)(call.importer, node, inputs))


def _scaled(call: Call, place: int, scale: int) -> Array:
    """(directions, 4k, inputs), of weights whose scales and zero points are one a direction, or one a row."""
    numbers, steps, zeros = call.known(place), call.known(scale), call.known(scale + 1)
    rows = [each.astype(np.float32).reshape(len(numbers), 1, -1) for each in (steps, zeros)]
    return ((numbers.astype(np.float32) - rows[1]) * rows[0]).transpose(0, 2, 1)


def _batch_first(call: Call, x: Images, axis: int) -> Images:
    """(n, a, b), of a tensor whose batch is that axis, alone or joined with others."""
    if x.layout.rank != 3 or x.layout.batch not in (None, axis):
        raise UnsupportedError(f"it expects three axes, of which axis {axis} is the batch")
    return call.importer.transposed(x, (1, 0, 2)) if axis else x


def _directions(call: Call) -> tuple[str, ...]:
    """What the names of each direction's parameters end in."""
    direction = call.attribute("direction", "forward")
    if direction not in ("forward", "reverse", "bidirectional"):
        raise UnsupportedError(f"the direction {direction!r}")
    return ("", "_reverse") if direction == "bidirectional" else ("",)


def _functions(call: Call, kind: str, directions: int) -> list[str]:
    """The functions of one direction; raises UnsupportedError for others than the usual."""
    given = [str(each).lower() for each in call.attribute("activations", [])]
    for known in FUNCTIONS[kind]:
        if given in ([], known * directions):
            return known
    raise UnsupportedError(f"the functions {', '.join(given)}")


def _require_whole_sequences(call: Call, length: int) -> None:
    if call.has(4) and (call.known(4) != length).any():
        raise UnsupportedError("its sequences are of different lengths")


def _rows(array: Array, kind: str, size: int) -> Array:
    """(gates · k, ...) with the gates in our order."""
    parts = array.reshape(len(GATES[kind]), size, *array.shape[1:])
    return parts[list(GATES[kind])].reshape(array.shape)


def _initial(call: Call, place: int, axis: int, layout: Layout, directions: int, size: int) -> Images | None:
    """The states before the first step, (n, directions, k); None for zeros."""
    if not call.has(place):
        return None
    value = call.value(place)
    if isinstance(value, Images):
        return None if _is_zero(call, value.node) else _batch_first(call, value, axis)
    array = value.array.transpose(1, 0, 2) if axis else value.array
    if not array.any():
        return None
    if layout.batch is None:
        return _constant(call, array, layout)
    own = replace(layout, sizes=(layout.sizes[0], directions, size))
    return _constant(call, call.importer.per_image(array, own), layout, value.name)


def _is_zero(call: Call, node: str) -> bool:
    """Whether a node puts out nothing but zeros, the same for every image, as states mostly begin."""
    layer, *reads = call.importer.nodes.get(node, (None,))
    if isinstance(layer, layers.Slice | layers.Reshape | layers.Permute | layers.Expand):
        return _is_zero(call, reads[0])
    weight = layer.weight if isinstance(layer, layers.Constant) else None
    return isinstance(weight, np.ndarray) and not weight.any()


def _constant(call: Call, array: Array, like: Layout, name: str | None = None) -> Images:
    """States that every image has: of each of its sequences, or the same for all."""
    layout = replace(like, sizes=(like.sizes[0], *array.shape[-2:]))
    return call.importer.constant(np.broadcast_to(array, layout.image), layout, name, array.dtype)


def _called(call: Call, layer: Recurrent, weights: dict[str, Array], inputs: list[Images]) -> Images:
    """The layer's output. An image's sequences run together; one after the other where each begins with states."""
    layout = inputs[0].layout
    count, length, _ = layout.sizes
    rows, width = length + layer.state_rows, layer.hidden_size * (2 if layer.bidirectional else 1)
    if any(replace(each.layout, sizes=(each.layout.sizes[0], *layout.sizes[1:])) != layout for each in inputs):
        raise UnsupportedError("its states are not those of its sequences")
    names, made = call.names(1, 2), replace(layout, sizes=(count, rows, width))
    if count > 1 and len(inputs) == 1:
        x = call.importer.reshaped(inputs[0], Layout(layout.sizes, None))
        y = call.emit(layer, x, layout=Layout(made.sizes, None), names=names, weights=weights)
        return call.importer.reshaped(y, made)
    parts = []
    for number in range(count):
        own = [_along(call, each, number) for each in inputs]
        y = call.emit(layer, *own, layout=Layout((rows, width), None), names=names, weights=weights)
        parts.append(y if count == 1 else call.importer.reshaped(y, Layout((1, rows, width), None)))
    y = parts[0] if count == 1 else call.emit(layers.Concat(1), *parts, layout=Layout(made.sizes, None))
    return call.importer.reshaped(y, made)


def _along(call: Call, x: Images, number: int) -> Images:
    """One of the sequences of an image."""
    count, *sizes = x.layout.sizes
    if count > 1:
        x = call.importer.reshaped(x, Layout(x.layout.sizes, None))
        x = call.emit(layers.Slice(1, number, number + 1), x, layout=Layout((1, *sizes), None))
    return call.importer.reshaped(x, Layout(tuple(sizes), None))


def _part(call: Call, y: Images, start: int, end: int) -> Images:
    """Some rows of the output."""
    layer = layers.Slice(y.layout.dim(1), start, end)
    return call.emit(layer, y, layout=y.layout.resized({1: end - start}))


CONVERSIONS: dict[str, Conversion] = {
    "GRU": recurrent,
    "LSTM": recurrent,
    "RNN": recurrent,
    "com.microsoft.DynamicQuantizeLSTM": dynamic_quantize_lstm,
}
