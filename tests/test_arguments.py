from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade import arguments
from colonnade.errors import ArgumentError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_whole_numbers_are_pythons_and_numpys(value: Any) -> None:
    made = arguments.whole("Layer", "size", value, 1)
    assert made == 3
    assert type(made) is int


@pytest.mark.parametrize("value", [2.0, np.float32(2), True, np.True_, "2", None, [2], np.array([2]), 2 + 0j])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^Layer: size must be a whole number, got .*\.$"):
        arguments.whole("Layer", "size", value)


@pytest.mark.parametrize(
    ("value", "bounds", "rule"),
    [
        (0, (1,), "be positive"),
        (-1, (0,), "be zero or more"),
        (1, (2,), "be at least 2"),
        (5, (1, 4), "lie between 1 and 4"),
        (10**400, (0, 9), "lie between 0 and 9"),
    ],
)
def test_whole_numbers_keep_their_bounds(value: int, bounds: tuple[int, ...], rule: str) -> None:
    with pytest.raises(ArgumentError, match=f"^Layer: size must {rule}, got ") as caught:
        arguments.whole("Layer", "size", value, *bounds)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float16(0.5), np.array(0.5)])
def test_numbers_are_pythons_and_numpys(value: Any) -> None:
    made = arguments.number("SGD", "lr", value, 0)
    assert made == 0.5
    assert type(made) is float


@pytest.mark.parametrize("value", ["0.1", True, None, [0.1], 1j, Decimal("0.1"), math.nan, math.inf, 10**400])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^SGD: lr must be a finite number, got .*\.$") as caught:
        arguments.number("SGD", "lr", value, 0)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("value", "bounds", "rule"),
    [
        (-0.5, {"least": 0}, "be zero or more"),
        (0, {"above": 0}, "be positive"),
        (0.5, {"least": 1}, "be at least 1"),
        (2, {"least": 0, "most": 1}, "lie between 0 and 1"),
        (1, {"least": 0, "below": 1}, "be at least 0 and below 1"),
        (0, {"above": 0, "most": 1}, "be above 0 and at most 1"),
        (3, {"most": 2}, "be at most 2"),
        (math.nan, {"least": 0, "finite": False}, "be zero or more"),
    ],
)
def test_numbers_keep_their_bounds(value: float, bounds: dict[str, Any], rule: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^SGD: lr must {rule}, got {value}\.$"):
        arguments.number("SGD", "lr", value, **bounds)


def test_infinity_is_taken_where_it_has_a_meaning() -> None:
    assert arguments.number("Softplus", "threshold", math.inf, 0, finite=False) == math.inf


@pytest.mark.parametrize("value", [True, np.True_, 1, np.int64(1)])
def test_flags_are_truth_values_or_one_and_zero(value: Any) -> None:
    assert arguments.flag("Layer", "bias", value) is True


@pytest.mark.parametrize("value", ["no", None, 2, 1.0, [], np.array([True])])
def test_what_is_no_flag_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^Layer: bias must be True or False, got .*\.$"):
        arguments.flag("Layer", "bias", value)


def test_an_unknown_choice_is_told_what_there_is() -> None:
    with pytest.raises(ArgumentError, match=r"^Pad: mode must be 'a' or 'b', got 'c'\.$"):
        arguments.choice("Pad", "mode", "c", ("a", "b"))
    with pytest.raises(ArgumentError, match=r"^Pad: mode must be one of a, b, c, got \['a'\]\.$"):
        arguments.choice("Pad", "mode", ["a"], ["a", "b", "c"])  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3, np.int32(3), (3, 3), [3, 3], np.array([3, 3]), (np.int64(3), 3)])
def test_a_pair_is_one_number_or_two(value: Any) -> None:
    made = arguments.pair("Conv2d", "stride", value, 1)
    assert made == (3, 3)
    assert all(type(each) is int for each in made)


@pytest.mark.parametrize("value", [(3,), (3, 3, 3), 3.0, (3, 3.0), "33", b"33", None, (True, 1), {3: 3}])
def test_what_is_no_pair_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"^Conv2d: stride must be a whole number or a pair of them, got .*\.$"):
        arguments.pair("Conv2d", "stride", value, 1)


def test_ragged_lists_are_no_array() -> None:
    with pytest.raises(ArgumentError, match=r"^fit: x must hold numbers in a regular array, got lists of different"):
        arguments.array("fit", "x", [[1, 2], [3]])
    with pytest.raises(ArgumentError, match=r"^fit: x must hold numbers in a regular array, got an array of <U1\.$"):
        arguments.array("fit", "x", ["a"])


def test_a_class_where_an_object_is_due_is_told_so() -> None:
    with pytest.raises(ArgumentError, match=r"got <class 'float'> \(the class itself: add parentheses\?\)\.$"):
        arguments.instance("fit", "optimizer", float, int, "an optimizer")


def test_what_is_not_supported_is_said_by_name() -> None:
    arguments.unsupported("Layer", "why", foreach=(np.False_, False))
    with pytest.raises(ArgumentError, match=r"^Layer: foreach is not supported \(why\), got True\.$"):
        arguments.unsupported("Layer", "why", foreach=(True, False))
    with pytest.raises(ArgumentError, match=r"^Layer: device must be None or 'cpu', got 'cuda'\.$"):
        arguments.placeless("Layer", "cuda", None)
    with pytest.raises(ArgumentError, match=r"^Layer: dtype is not supported \(all layers of a model have one: "):
        arguments.placeless("Layer", "cpu", "float64")


def test_long_values_are_shown_short_and_in_one_line() -> None:
    with pytest.raises(ArgumentError) as caught:
        arguments.whole("Layer", "size", ["x" * 5000 + "\n"] * 5000)
    assert len(str(caught.value)) < 2500
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["a", Path("a"), Path(), "\udcff"])
def test_paths_are_what_a_name_can_be(value: Any) -> None:
    assert arguments.path("load", "path", value) is value


@pytest.mark.parametrize("value", [3, None, b"a", "", "a\0b", Path("a\0b"), ["a"]])
def test_what_is_no_path_is_refused_by_all_that_read_and_write(value: Any) -> None:
    model = cn.Model([cn.Flatten(), cn.Dense(4, 2)]).build((1, 2, 2))
    images = cn.data.Arrays(np.zeros((2, 1, 2, 2)))
    for who, ask in {
        "load: path": cn.load,
        "load_torch: path": cn.load_torch,
        "save: path": model.save,
        "export_onnx: path": lambda path: cn.export_onnx(model, path),
        "ImageFolder: path": cn.data.ImageFolder,
        "cached_features: folder": lambda path: cn.cached_features(model, images, path),
    }.items():
        with pytest.raises(ArgumentError, match=f"^{who} must be a path, got ") as raised:
            ask(value)
        assert "\0" not in str(raised.value)
