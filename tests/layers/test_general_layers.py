"""Functions, arithmetic, reductions, rearrangements: beside NumPy and PyTorch, on values and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError, StateError

Array = np.ndarray[Any, Any]
X = np.random.default_rng(0).normal(size=(3, 4, 5, 6))  # (n, c, h, w)
POSITIVE = np.abs(X) + 0.1
INSIDE = np.tanh(X)


def run(layer: Any, x: Array) -> Array:
    y: Array = cn.Model([layer], dtype="float64")(x)
    return y


def erf(x: Array) -> Array:
    import math

    return np.vectorize(math.erf)(x)


FUNCTIONS: list[tuple[Any, Callable[[Array], Array], Array]] = [
    (cn.Affine(2.0, -0.5), lambda x: 2 * x - 0.5, X),
    (cn.Abs(), np.abs, X),
    (cn.Exp(), np.exp, X),
    (cn.Log(), np.log, POSITIVE),
    (cn.Sqrt(), np.sqrt, POSITIVE),
    (cn.Reciprocal(), lambda x: 1 / x, X),
    (cn.Erf(), erf, 3 * X),
    (cn.Sin(), np.sin, X),
    (cn.Cos(), np.cos, X),
    (cn.Tan(), np.tan, X),
    (cn.Asin(), np.arcsin, INSIDE),
    (cn.Acos(), np.arccos, INSIDE),
    (cn.Atan(), np.arctan, 3 * X),
    (cn.Sinh(), np.sinh, X),
    (cn.Cosh(), np.cosh, X),
    (cn.Asinh(), np.arcsinh, 3 * X),
    (cn.Acosh(), np.arccosh, 1 + POSITIVE),
    (cn.Atanh(), np.arctanh, INSIDE),
    (cn.Softsign(), lambda x: x / (1 + np.abs(x)), X),
    (cn.Power(2), lambda x: x**2, X),
    (cn.Power(0.5), np.sqrt, POSITIVE),
    (cn.Power(-1.5), lambda x: x**-1.5, POSITIVE),
    (cn.CELU(0.6), lambda x: np.where(x > 0, x, 0.6 * np.expm1(x / 0.6)), X),
    (cn.Threshold(0.3, -2.0), lambda x: np.where(x > 0.3, x, -2.0), X),
    (cn.Sign(), np.sign, np.round(X)),
    (cn.Floor(), np.floor, 3 * X),
    (cn.Ceil(), np.ceil, 3 * X),
    (cn.Round(), np.round, np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]])),
    (cn.Trunc(), np.trunc, 3 * X),
    (cn.LogicalNot(), lambda x: x == 0, np.round(X)),
    (cn.Quantize(0.5, 3, 0, 7), lambda x: np.clip(np.rint(x / 0.5) + 3, 0, 7), X),
    (cn.Dequantize(0.5, 3), lambda x: (x - 3) * 0.5, np.round(X)),
    (
        cn.Dequantize((0.5, 1, 2, 3), (0, 1, 0, 1), dim=1),
        lambda x: (x - np.array([0, 1, 0, 1])[:, None, None]) * np.array([0.5, 1, 2, 3])[:, None, None],
        np.round(X),
    ),
]
REDUCTIONS: list[tuple[Any, Callable[[Array], Array]]] = [
    (cn.Sum(), lambda x: x.sum(axis=(1, 2, 3))),
    (cn.Sum((1, -1), keepdim=True), lambda x: x.sum(axis=(1, 3), keepdims=True)),
    (cn.Mean((2, 3)), lambda x: x.mean(axis=(2, 3))),
    (cn.Mean(2, keepdim=True), lambda x: x.mean(axis=2, keepdims=True)),
    (cn.Prod(1), lambda x: x.prod(axis=1)),
    (cn.Amax((1, 2)), lambda x: x.max(axis=(1, 2))),
    (cn.Amin(3), lambda x: x.min(axis=3)),
    (cn.LogSumExp((2, 3)), lambda x: np.log(np.exp(x).sum(axis=(2, 3)))),
    (cn.Argmax(1), lambda x: x.argmax(axis=1)),
    (cn.Argmin(-1, keepdim=True), lambda x: x.argmin(axis=3, keepdims=True)),
]
REARRANGEMENTS: list[tuple[Any, Callable[[Array], Array]]] = [
    (cn.Reshape((5, -1)), lambda x: x.reshape(3, 5, 24)),
    (cn.Reshape((6, 5, 4)), lambda x: x.reshape(3, 6, 5, 4)),
    (cn.Reshape((120,)), lambda x: x.reshape(3, 120)),
    (cn.Slice(2, 1, 4), lambda x: x[:, :, 1:4]),
    (cn.Slice(-1, None, None, -2), lambda x: x[..., ::-2]),
    (cn.Slice(1, -3), lambda x: x[:, -3:]),
    (cn.IndexSelect(3, (5, 0, 0, -1)), lambda x: x[..., [5, 0, 0, -1]]),
    (cn.Pad((1, 2, 0, 3), value=-1.5), lambda x: np.pad(x, [(0, 0), (0, 0), (0, 3), (1, 2)], constant_values=-1.5)),
    (cn.Pad((2, 1, 1, 2), "reflect"), lambda x: np.pad(x, [(0, 0), (0, 0), (1, 2), (2, 1)], "reflect")),
    (cn.Pad((2, 9, 1, 0), "replicate"), lambda x: np.pad(x, [(0, 0), (0, 0), (1, 0), (2, 9)], "edge")),
    (cn.Pad((2, 1, 5, 0), "circular"), lambda x: np.pad(x, [(0, 0), (0, 0), (5, 0), (2, 1)], "wrap")),
    (cn.Tile((2, 1, 3)), lambda x: np.tile(x, (1, 2, 1, 3))),
    (cn.Tril(-1), lambda x: np.tril(x, -1)),
    (cn.Triu(1), lambda x: np.triu(x, 1)),
    (cn.CumSum(1), lambda x: np.cumsum(x, 1)),
    (cn.CumSum(-1, reverse=True), lambda x: np.flip(np.cumsum(np.flip(x, -1), -1), -1)),
    (cn.TopKIndices(2, 2), lambda x: np.argsort(-x, 2)[:, :, :2]),
    (cn.TopKIndices(2, largest=False), lambda x: np.argsort(x, -1)[..., :2]),
]


def name(value: Any) -> str:
    """A layer's; a function or an array is told by it."""
    return repr(value)[:40] if isinstance(value, cn.Layer) else ""


@pytest.mark.parametrize(("layer", "function", "x"), FUNCTIONS, ids=name)
def test_function_is_that_of_numpy(layer: Any, function: Callable[[Array], Array], x: Array) -> None:
    np.testing.assert_allclose(run(layer, x), function(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("layer", "function"), [*REDUCTIONS, *REARRANGEMENTS], ids=name)
def test_reduction_or_rearrangement_is_that_of_numpy(layer: Any, function: Callable[[Array], Array]) -> None:
    y = run(layer, X)
    np.testing.assert_allclose(y, function(X), rtol=1e-12, atol=1e-12)


def test_expand_repeats_without_a_word() -> None:
    x = X[:, :, :1]
    np.testing.assert_array_equal(run(cn.Expand((-1, 5, 6)), x), np.broadcast_to(x, (3, 4, 5, 6)))


def test_of_equal_numbers_the_place_is_the_first_or_the_last() -> None:
    x = np.array([[1.0, 2, 2, 0, 2]])
    assert run(cn.Argmax(1), x) == 1
    assert run(cn.Argmax(1, select_last=True), x) == 4


JOINS: list[tuple[Any, Callable[..., Array]]] = [
    (cn.Sub(stretch=True), lambda a, b: a - b),
    (cn.Div(stretch=True), lambda a, b: a / b),
    (cn.Pow(stretch=True), lambda a, b: a**b),
    (cn.Maximum(stretch=True), np.maximum),
    (cn.Minimum(stretch=True), np.minimum),
    (cn.Remainder(stretch=True), lambda a, b: np.remainder(a, b)),
    (cn.Fmod(stretch=True), lambda a, b: np.fmod(a, b)),
    (cn.Equal(stretch=True), np.equal),
    (cn.Less(stretch=True), np.less),
    (cn.LessEqual(stretch=True), np.less_equal),
    (cn.Greater(stretch=True), np.greater),
    (cn.GreaterEqual(stretch=True), np.greater_equal),
    (cn.LogicalAnd(stretch=True), np.logical_and),
    (cn.LogicalOr(stretch=True), np.logical_or),
    (cn.LogicalXor(stretch=True), np.logical_xor),
    (cn.MatMul(), lambda a, b: a @ np.broadcast_to(b, a.shape).swapaxes(2, 3)),
]


@pytest.mark.parametrize(("layer", "function"), JOINS, ids=name)
def test_layer_of_two_is_that_of_numpy(layer: Any, function: Callable[..., Array]) -> None:
    turned = isinstance(layer, cn.MatMul)
    nodes = {"t": (cn.Permute((0, 1, 3, 2)), "b"), "y": (layer, "a", "t")} if turned else {"y": (layer, "a", "b")}
    a, b = np.round(POSITIVE * 2), np.round(POSITIVE[::-1] * 2)
    if not turned:
        b = b[:, :, :1] if not isinstance(layer, cn.Div | cn.Remainder) else b[:, :, :1] + 1
    y = cn.Model(cn.Graph(nodes, inputs=("a", "b")), dtype="float64")((a, b))
    np.testing.assert_allclose(y, function(a, b), rtol=1e-12)


def test_where_chooses_by_what_is_not_zero() -> None:
    graph = cn.Graph({"y": (cn.Where(stretch=True), "which", "a", "b")}, inputs=("which", "a", "b"))
    which = np.round(X)
    y = cn.Model(graph, dtype="float64")((which, X, POSITIVE[:, :1]))
    np.testing.assert_array_equal(y, np.where(which != 0, X, POSITIVE[:, :1]))


def test_gradients_of_equal_extremes_are_shared() -> None:
    model = cn.Model([cn.Amax(1)], dtype="float64")
    model(np.array([[3.0, 1, 3, 0]]), training=True)
    np.testing.assert_array_equal(model.backward(np.array([6.0])), [[3, 0, 3, 0]])


@pytest.mark.parametrize("layer", [cn.Argmax(1), cn.Argmin(1), cn.TopKIndices(1), cn.Quantize(0.1)], ids=repr)
def test_what_has_no_gradient_says_so(layer: Any) -> None:
    model = cn.Model([layer])
    y = model(X, training=True)
    with pytest.raises(StateError, match=r"has no gradient: cut the model before it, or freeze what leads to it\."):
        model.backward(np.ones_like(y))


def test_behind_what_has_no_gradient_what_is_frozen_stays() -> None:
    model = cn.Model([cn.Dense(6, 4), cn.Quantize(0.1, 100), cn.Dequantize(0.1, 100), cn.Dense(4, 2)])
    model.freeze("0", "1")
    y = model(X[:, 0, 0], training=True)
    model.backward(np.ones_like(y), input_gradient=False)
    assert model.parameters()[2].grad.any()


torch_cases: list[tuple[Any, str, tuple[Any, ...], dict[str, Any]]] = [
    (cn.LocalResponseNorm(3, 0.2, 0.6, 2.0), "local_response_norm", (3, 0.2, 0.6, 2.0), {}),
    (cn.LocalResponseNorm(4, 0.2), "local_response_norm", (4, 0.2), {}),
    (cn.Resize((9, 7), mode="linear"), "interpolate", ((9, 7),), {"mode": "bilinear"}),
    (
        cn.Resize((3, 4), mode="linear", antialias=True, exclude_outside=True),
        "interpolate",
        ((3, 4),),
        {"mode": "bilinear", "antialias": True},
    ),
    (cn.Resize((9, 7), mode="cubic"), "interpolate", ((9, 7),), {"mode": "bicubic"}),
    (
        cn.Resize((9, 7), mode="cubic", coordinates="align_corners"),
        "interpolate",
        ((9, 7),),
        {"mode": "bicubic", "align_corners": True},
    ),
    (cn.Resize((9, 7), coordinates="asymmetric", nearest_mode="floor"), "interpolate", ((9, 7),), {"mode": "nearest"}),
    (cn.Pad((2, 1, 1, 2), "reflect"), "pad", ((2, 1, 1, 2), "reflect"), {}),
    (cn.CELU(0.6), "celu", (0.6,), {}),
    (cn.Threshold(0.3, -2.0), "threshold", (0.3, -2.0), {}),
]


@pytest.mark.parametrize(("layer", "name", "arguments", "options"), torch_cases, ids=lambda value: repr(value)[:50])
def test_layer_is_that_of_torch(layer: Any, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = torch.from_numpy(X).requires_grad_()
    theirs = getattr(torch.nn.functional, name)(x, *arguments, **options)
    model = cn.Model([layer], dtype="float64")
    ours = model(X, training=True)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-6, atol=1e-9)
    slope = np.random.default_rng(1).normal(size=ours.shape)
    theirs.backward(torch.from_numpy(slope))
    np.testing.assert_allclose(model.backward(slope), x.grad.numpy(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cn.CELU(0), "CELU: alpha must be positive, got 0."),
        (lambda: cn.Slice(1, 0, 3, 0), "Slice: step must not be zero, got 0."),
        (lambda: cn.IndexSelect(1, ()), "IndexSelect: index must hold at least one place, got none."),
        (
            lambda: cn.Reshape((2, -1, -1)),
            "Reshape: shape must hold positive sizes, and -1 at most once, got (2, -1, -1).",
        ),
        (lambda: cn.Reshape((0, 3)), "Reshape: shape must hold positive sizes, and -1 at most once, got (0, 3)."),
        (lambda: cn.Pad((1,)), "Pad: padding must be pairs of numbers, zero or more, got (1,)."),
        (lambda: cn.Pad((1, -1)), "Pad: padding must be pairs of numbers, zero or more, got (1, -1)."),
        (
            lambda: cn.Pad((1, 1), "wrap"),
            "Pad: mode must be one of constant, reflect, replicate, circular, got 'wrap'.",
        ),
        (lambda: cn.Expand((3, 0)), "Expand: shape must hold positive sizes or -1, got (3, 0)."),
        (lambda: cn.Tile((2, 0)), "Tile: repeats must be positive, got (2, 0)."),
        (lambda: cn.Quantize(0), "Quantize: scale must be positive, got 0."),
        (lambda: cn.Quantize(0.1, low=3, high=3), "Quantize: low must be below high, got 3 and 3."),
        (
            lambda: cn.Dequantize((0.1, 0.2), (1, 2, 3)),
            "Dequantize: expected a zero point for each scale, got (0.1, 0.2) and (1, 2, 3).",
        ),
        (lambda: cn.Resize(0), "Resize: size must be positive, got 0."),
        (lambda: cn.Resize(3, mode="best"), "Resize: mode must be one of nearest, linear, cubic, got 'best'."),
        (
            lambda: cn.Resize(3, coordinates="here"),
            "Resize: coordinates must be one of half_pixel, half_pixel_symmetric, ",
        ),
        (lambda: cn.Resize(3, nearest_mode="up"), "Resize: nearest_mode must be one of round_prefer_floor, "),
        (lambda: cn.Resize(3, (1.0, 0.0)), "Resize: scales must be positive, got 0.0."),
        (lambda: cn.Resize(3, region=(0, 0, 1)), "Resize: region must be four numbers, got (0, 0, 1)."),
        (lambda: cn.LocalResponseNorm(0), "LocalResponseNorm: size must be positive, got 0."),
    ],
)
def test_arguments_out_of_range(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{re.escape(message)}"):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (cn.Sum(0), (3, 4), "Sum: dim must be different axes of one image, 1 to 2, got 0."),
        (cn.Mean((1, -2)), (3, 4), "Mean: dim must be different axes of one image, 1 to 2, got (1, -2)."),
        (cn.Argmax(3), (3, 4), "Argmax: dim must be an axis of one image, 1 to 2, got 3."),
        (
            cn.Slice(0, 1),
            (3, 4),
            "Slice: dim must be an axis of one image, 1 to 2, got 0 for an input of shape (3, 4).",
        ),
        (
            cn.Slice(1, 5),
            (3, 4),
            "Slice: nothing lies from 5 to None in steps of 1 along axis 1 of an input of shape (3, 4).",
        ),
        (cn.IndexSelect(2, (0, 4)), (3, 4), "IndexSelect: axis 2 has 4 places, got 4 in index."),
        (cn.Reshape((5, -1)), (3, 4), "Reshape: expected as many numbers as in (5, -1), got an input of shape (3, 4)."),
        (cn.Pad((0, 0, 1, 1)), (3,), "Pad: expected at least 2 axes, got an input of shape (3,)."),
        (cn.Pad((3, 0), "reflect"), (2, 3), "Pad: a border by 'reflect' is at most 2 wide on an axis of 3, got 3."),
        (cn.Pad((4, 0), "circular"), (2, 3), "Pad: a border by 'circular' is at most 3 wide on an axis of 3, got 4."),
        (cn.Expand((3, 4)), (3, 2), "Expand: expected an input that stretches to (3, 4), got one of shape (3, 2)."),
        (cn.Tile((2, 2)), (3,), "Tile: expected 2 axes beside the batch, got (3,) for one image."),
        (cn.Quantize((0.1, 0.2)), (3,), "Quantize: expected an axis 1 of 2, got an input of shape (3,)."),
        (cn.Resize(3), (3, 4), "Resize: expected images (c, h, w), got an input of shape (3, 4)."),
    ],
)
def test_inputs_that_do_not_fit(layer: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=f"^layer 0, {re.escape(message)}$"):
        cn.Model([layer]).build(shape)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (cn.Sub(), [(3,), (3,), (3,)], "Sub: expected two inputs, got 3."),
        (cn.Where(), [(3,), (3,)], "Where: expected three inputs, got 2."),
        (cn.Div(), [(3,), (1,)], "Div: expected inputs of one shape, got (3,), (1,)."),
        (cn.MatMul(), [(3, 4), (3, 4)], "MatMul: expected as many columns as rows, got (3, 4), (3, 4)."),
        (
            cn.MatMul(),
            [(4,), (4, 3)],
            "MatMul: expected two inputs of as many axes each, two or more, got (4,), (4, 3).",
        ),
        (
            cn.MatMul(),
            [(2, 3, 4), (3, 4, 5)],
            "MatMul: expected stacks of matrices that can be stretched to one, got (2, 3, 4), (3, 4, 5).",
        ),
    ],
)
def test_inputs_that_do_not_fit_together(layer: Any, shapes: list[tuple[int, ...]], message: str) -> None:
    names = [f"x{number}" for number in range(len(shapes))]
    model = cn.Model(cn.Graph({"y": (layer, *names)}, inputs=names))
    with pytest.raises(ShapeError, match=f"^layer y, {re.escape(message)}$"):
        model.build(shapes)
