"""No compiled function touches memory that is not its arrays': other types, layouts and sizes are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import njit
from numba.core.errors import TypingError

from colonnade.compiled import addition, dropout, layer_norm, prelu, softmax, steps
from colonnade.compiled.activation import GELU, RELU, activation_backward, activation_forward
from colonnade.compiled.tiles import add_outer, load, load_bytes, load_first, store, store_bytes, store_first, zeros

Array = np.ndarray[Any, Any]


def good(*shape: int) -> Array:
    return np.ones(shape, np.float32)


@njit
def _load(x):  # type: ignore[no-untyped-def]
    load(1, 1, x, 0, 0)


@njit
def _load_first(x):  # type: ignore[no-untyped-def]
    load_first(1, 1, x, 0, 0, 3)


@njit
def _store(y):  # type: ignore[no-untyped-def]
    store(zeros(1, 1), y, 0, 0)


@njit
def _store_first(y):  # type: ignore[no-untyped-def]
    store_first(zeros(1, 1), y, 0, 0, 3)


@njit
def _add_outer_left(x):  # type: ignore[no-untyped-def]
    add_outer(zeros(1, 1), x, 0, 0, np.zeros(16, np.float32), 0)


@njit
def _add_outer_right(w):  # type: ignore[no-untyped-def]
    add_outer(zeros(1, 1), np.zeros(16, np.float32), 0, 0, w, 0)


@njit
def _load_bytes(x):  # type: ignore[no-untyped-def]
    load_bytes(1, 1, x, 0, 0, 3)


@njit
def _store_bytes(y):  # type: ignore[no-untyped-def]
    store_bytes(zeros(1, 1), y, 0, 0, 3)


def unwritable() -> Array:
    array = good(32)
    array.flags.writeable = False
    return array


OPERATIONS = [_load, _load_first, _store, _store_first, _add_outer_left, _add_outer_right]
STRANGE = {
    "float64": np.ones(32),
    "integers": np.ones(32, np.int32),
    "every second": good(64)[::2],
    "columns first": np.asfortranarray(good(8, 4)),
    "a number": np.float32(1),
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", STRANGE)
def test_a_tile_refuses_arrays_of_another_type_or_layout(operation: Callable[..., None], name: str) -> None:
    function = operation.__name__.strip("_").removesuffix("_left").removesuffix("_right")
    with pytest.raises(TypingError, match=rf"{function}: arrays must be C-contiguous float32, got "):
        operation(STRANGE[name])


@pytest.mark.parametrize("operation", [_load_bytes, _store_bytes], ids=lambda each: each.__name__)
@pytest.mark.parametrize("array", [good(32), np.ones(32, np.int8), np.ones(64, np.uint8)[::2], np.uint8(1)])
def test_bytes_are_those_of_arrays_of_uint8_alone(operation: Callable[..., None], array: Any) -> None:
    with pytest.raises(TypingError, match=rf"{operation.__name__.strip('_')}: arrays must be C-contiguous uint8, got "):
        operation(array)


@pytest.mark.parametrize("operation", [_store, _store_first], ids=lambda each: each.__name__)
def test_a_tile_is_not_stored_where_nothing_may_be_written(operation: Callable[..., None]) -> None:
    with pytest.raises(TypingError, match="the array must be writable"):
        operation(unwritable())


def test_a_tile_is_loaded_from_an_array_that_may_not_be_written() -> None:
    _load(unwritable())


ROWS, VECTOR, IMAGES = good(5, 7), good(7), good(2, 5, 7)

# Each function with arguments that fit; every array of theirs is then made larger, and smaller, by itself.
CALLS: dict[str, tuple[Callable[..., None], list[Any]]] = {
    "activation_forward": (activation_forward(RELU), [VECTOR, 0.0, 0.0, VECTOR]),
    "activation_backward": (activation_backward(RELU), [VECTOR, VECTOR, 0.0, 0.0, VECTOR]),
    "addition_forward": (addition.addition_forward(RELU), [VECTOR, VECTOR, 0.0, 0.0, VECTOR]),
    "addition_backward": (addition.addition_backward(GELU), [VECTOR, VECTOR, VECTOR, 0.0, 0.0, VECTOR]),
    "multiplication_forward": (addition.multiplication_forward, [VECTOR] * 3),
    "multiplication_backward": (addition.multiplication_backward, [VECTOR] * 5),
    "channel_scaling_forward": (addition.channel_scaling_forward, [IMAGES, good(2, 7), IMAGES]),
    "channel_scaling_backward": (
        addition.channel_scaling_backward,
        [IMAGES, good(2, 7), IMAGES, IMAGES, good(2, 7)],
    ),
    "prelu_forward": (prelu.prelu_forward, [ROWS, VECTOR, ROWS]),
    "prelu_backward": (prelu.prelu_backward, [ROWS, ROWS, VECTOR, ROWS, VECTOR]),
    "softmax_forward": (softmax.softmax_forward, [ROWS] * 2),
    "softmax_backward": (softmax.softmax_backward, [ROWS] * 3),
    "log_softmax_forward": (softmax.log_softmax_forward, [ROWS] * 2),
    "log_softmax_backward": (softmax.log_softmax_backward, [ROWS] * 3),
    "layer_norm_forward": (layer_norm.layer_norm_forward, [ROWS, 1e-5, VECTOR, VECTOR, ROWS]),
    "layer_norm_backward": (layer_norm.layer_norm_backward, [ROWS, ROWS, 1e-5, VECTOR, ROWS, VECTOR, VECTOR]),
    "group_norm_forward": (layer_norm.group_norm_forward, [IMAGES, 7, 1e-5, VECTOR, VECTOR, IMAGES]),
    "group_norm_backward": (
        layer_norm.group_norm_backward,
        [IMAGES, IMAGES, 7, 1e-5, VECTOR, IMAGES, VECTOR, VECTOR],
    ),
    "sgd": (steps.sgd, [VECTOR, VECTOR, VECTOR, 0.1, 0.9, 1.0, 0.0, False, 1.0]),
    "adam": (steps.adam, [*[VECTOR] * 5, 0.1, 0.9, 0.999, 1e-8, 0.0, False, 1, 1.0]),
    "nadam": (steps.nadam, [*[VECTOR] * 4, 0.1, 0.9, 0.999, 1.0, 1.0, 1e-8, 0.0, False, 1, 1.0]),
    "adagrad": (steps.adagrad, [*[VECTOR] * 3, 0.1, 1e-8, 0.0, 1.0]),
    "adamax": (steps.adamax, [*[VECTOR] * 4, 0.1, 0.9, 0.999, 1e-8, 0.0, 1, 1.0]),
    "radam": (steps.radam, [*[VECTOR] * 4, 0.1, 0.1, 0.1, 0.9, 0.999, 1e-8, 0.0, False, 1.0]),
    "adadelta": (steps.adadelta, [*[VECTOR] * 4, 0.1, 0.9, 1e-8, 0.0, 1.0]),
    "rmsprop": (steps.rmsprop, [*[VECTOR] * 5, 0.1, 0.9, 1e-8, 0.9, 0.0, 1.0]),
    "lion": (steps.lion, [*[VECTOR] * 3, 0.1, 0.9, 0.99, 0.0, 1.0]),
    "dropout": (dropout.dropout, [ROWS, np.zeros(2, np.uint64), 0, 0.5, ROWS]),
}


def resized(array: Array, by: int) -> Array:
    """The array with its last axis longer by so much."""
    return np.ones((*array.shape[:-1], array.shape[-1] + by), array.dtype)


@pytest.mark.thorough
@pytest.mark.parametrize("name", CALLS)
def test_a_function_refuses_arrays_that_do_not_fit_each_other(name: str) -> None:
    function, arguments = CALLS[name]
    function(*[each.copy() if isinstance(each, np.ndarray) else each for each in arguments])
    tried = 0
    for place, argument in enumerate(arguments):
        for by in (-1, 1, 64):
            if isinstance(argument, np.ndarray):
                given = [each.copy() if isinstance(each, np.ndarray) else each for each in arguments]
                given[place] = resized(argument, by)
                with pytest.raises(ValueError, match=rf"^{name}: "):
                    function(*given)
                tried += 1
    assert tried >= 6


# To compile each of them takes half a second; these few have vectors, rows and images.
FEW = {"sgd", "softmax_backward", "channel_scaling_forward"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else [pytest.mark.thorough]) for name in CALLS]
)
def test_of_empty_arrays_a_function_makes_nothing(name: str) -> None:
    function, arguments = CALLS[name]
    largest = max(each.ndim for each in arguments if isinstance(each, np.ndarray))
    # No images, no rows; where there are neither, no numbers.
    empty = [each[:0] if isinstance(each, np.ndarray) and each.dtype == np.float32 else each for each in arguments]
    if largest > 1:
        vectors = [isinstance(each, np.ndarray) and each.ndim == 1 for each in arguments]
        empty = [each if vector else none for each, none, vector in zip(arguments, empty, vectors, strict=True)]
    function(*[each.copy() if isinstance(each, np.ndarray) else each for each in empty])


def test_every_function_is_tried() -> None:
    public = set()
    for module in (addition, dropout, layer_norm, prelu, softmax, steps):
        for name, value in vars(module).items():
            if hasattr(value, "py_func") and value.py_func.__module__ == module.__name__ and name[0] != "_":
                public.add(name)
    assert public - set(CALLS) == {"draw_factors", "hide_later"}  # which take one array


@pytest.mark.parametrize("groups", [0, -1, 2, 8])
def test_group_norm_refuses_groups_that_do_not_divide_the_channels(groups: int) -> None:
    with pytest.raises(ValueError, match=r"group_norm_forward: groups must divide the channels\."):
        layer_norm.group_norm_forward(IMAGES, groups, 1e-5, VECTOR, VECTOR, IMAGES.copy())
    with pytest.raises(ValueError, match=r"group_norm_backward: groups must divide the channels\."):
        layer_norm.group_norm_backward(IMAGES, IMAGES, groups, 1e-5, VECTOR, IMAGES.copy(), VECTOR, VECTOR)


@pytest.mark.parametrize("size", [1, 3])
def test_dropout_refuses_a_key_of_another_size(size: int) -> None:
    key = np.zeros(size, np.uint64)
    with pytest.raises(ValueError, match=r"dropout: .* key \(2,\)\."):
        dropout.dropout(ROWS, key, 0, 0.5, ROWS.copy())
    with pytest.raises(ValueError, match=r"draw_factors: key must be \(2,\)\."):
        dropout.draw_factors(key, 0, 0.5, ROWS.copy())


def test_a_whole_function_refuses_another_type() -> None:
    with pytest.raises(TypingError, match="arrays must be C-contiguous float32"):
        softmax.softmax_forward(np.ones((3, 4)), np.ones((3, 4)))
