"""Losses that compare several outputs: a gradient at each, beside PyTorch and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import colonnade as cn
from colonnade.errors import ArgumentError, ShapeError

N, D = 7, 5


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


SIGNS = np.array([1, -1, -1, 1, 1, -1, -1])
VECTORS = tuple(normal(N, D, seed=seed) for seed in range(3))
STACKS = tuple(normal(2, 3, D, seed=seed) for seed in range(3))
# The name in torch.nn, its arguments, those of the call, and which of these have a gradient.
CASES: dict[str, tuple[str, dict[str, Any], tuple[np.ndarray, ...], tuple[int, ...]]] = {}
for reduction in ("mean", "sum", "none"):
    for arguments in (
        *({"margin": margin} for margin in (0.1, 1.0, 4.0)),
        *({"p": p, "margin": 2.0} for p in (1.0, 1.5, 3.0, math.inf)),
        *({"swap": True, "p": p, "margin": 3.0} for p in (1.0, 2.0, math.inf)),
        {"eps": 0.1},
    ):
        name = f"triplets, {reduction}, {arguments}"
        CASES[name] = ("TripletMarginLoss", arguments | {"reduction": reduction}, VECTORS, (0, 1, 2))
    CASES[f"triplets of stacks, {reduction}"] = ("TripletMarginLoss", {"reduction": reduction}, STACKS, (0, 1, 2))
    for margin in (0.0, 0.3, -0.5):
        CASES[f"cosines, {reduction}, {margin}"] = (
            "CosineEmbeddingLoss",
            {"margin": margin, "reduction": reduction},
            (*VECTORS[:2], SIGNS),
            (0, 1),
        )
    CASES[f"cosine of two vectors, {reduction}"] = (
        "CosineEmbeddingLoss",
        {"reduction": reduction},
        (VECTORS[0][0], VECTORS[1][0], np.array(1)),
        (0, 1),
    )
    for full in (False, True):
        for shape in ((N, D), (N, 1), (1, D), (N,)):
            CASES[f"normal, {reduction}, full {full}, var {shape}"] = (
                "GaussianNLLLoss",
                {"full": full, "reduction": reduction},
                (VECTORS[0], VECTORS[1], np.exp(normal(*shape, seed=4))),
                (0, 2),
            )
    CASES[f"normal of images, {reduction}"] = (
        "GaussianNLLLoss",
        {"eps": 0.5, "reduction": reduction},
        (normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1), 0.6 + normal(2, 1, 4, 4, seed=2) ** 2),
        (0, 2),
    )

each_case = pytest.mark.parametrize(("kind", "arguments", "given", "at"), CASES.values(), ids=CASES.keys())


def carried(values: Any) -> Any:
    return None if isinstance(values, float) else normal(*values.shape, seed=5)


@each_case
def test_gradients_agree_with_central_differences(kind, arguments, given, at):
    loss = getattr(cn, kind)(**arguments)
    gradient = carried(loss(*given)[0])
    weights = 1 if gradient is None else gradient
    _, grads = loss(*given, gradient=gradient)
    step = 1e-6
    for number, grad in zip(at, grads, strict=True):
        for place in np.ndindex(given[number].shape):
            ends = []
            for sign in (1, -1):
                moved = [each.copy() for each in given]
                moved[number][place] += sign * step
                ends.append(loss(*moved)[0])
            difference = np.sum((ends[0] - ends[1]) * weights) / (2 * step)
            assert difference == pytest.approx(grad[place], rel=1e-5, abs=1e-8)


@each_case
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_losses_and_gradients_agree_with_pytorch(kind, arguments, given, at, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    given = [each.astype(dtype) if each.dtype.kind == "f" else each for each in given]
    theirs = [torch.tensor(each, requires_grad=number in at) for number, each in enumerate(given)]
    their_loss = getattr(torch.nn, kind)(**arguments)(*theirs)
    loss = getattr(cn, kind)(**arguments)
    our_loss, _ = loss(*given)
    gradient = carried(our_loss)
    their_loss.backward(None if gradient is None else torch.tensor(gradient.astype(dtype)))
    _, grads = loss(*given, gradient=gradient)
    np.testing.assert_allclose(our_loss, their_loss.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1)
    for number, grad in zip(at, grads, strict=True):
        assert grad.dtype == dtype
        np.testing.assert_allclose(grad, theirs[number].grad.numpy(), rtol=tolerance, atol=tolerance)


@each_case
def test_gradients_are_new_arrays_and_nothing_given_is_written(kind, arguments, given, at):
    before = [each.copy() for each in given]
    _, grads = getattr(cn, kind)(**arguments)(*given)
    assert isinstance(grads, tuple)
    for number, grad in zip(at, grads, strict=True):
        assert grad.shape == given[number].shape
        assert not any(
            np.shares_memory(grad, each) for each in (*given, *(other for other in grads if other is not grad))
        )
    for each, same in zip(given, before, strict=True):
        np.testing.assert_array_equal(each, same)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_that_are_the_same_have_no_slope_rather_than_none_that_is_a_number(dtype):
    x = np.zeros((2, 3), dtype)
    loss, grads = cn.TripletMarginLoss(eps=0, swap=True)(x, x, x)
    assert loss == 1
    for grad in grads:
        np.testing.assert_array_equal(grad, 0)
    loss, grads = cn.CosineEmbeddingLoss()(x, x + 1, [1, -1])
    assert loss == 0.5
    assert all(np.isfinite(grad).all() for grad in grads)


def test_equal_distances_share_the_gradient_as_in_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    anchor, negative = np.zeros((1, 2)), np.ones((1, 2))  # the positive is the anchor: both are as far from the other
    theirs = [torch.tensor(each, requires_grad=True) for each in (anchor, anchor, negative)]
    torch.nn.TripletMarginLoss(swap=True, margin=4.0)(*theirs).backward()
    _, grads = cn.TripletMarginLoss(swap=True, margin=4.0)(anchor, anchor, negative)
    for grad, their in zip(grads, theirs, strict=True):
        np.testing.assert_allclose(grad, their.grad.numpy(), rtol=1e-12)


def test_by_hand():
    a, p, n = np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([[0.0, 2.0]])
    loss, grads = cn.TripletMarginLoss(margin=1.0, eps=0)(a, p, n)
    assert loss == 5 - 2 + 1
    np.testing.assert_allclose(grads[0], [[-0.6, -0.8 + 1]])
    np.testing.assert_allclose(grads[1], [[0.6, 0.8]])
    np.testing.assert_allclose(grads[2], [[0, -1]])
    assert cn.CosineEmbeddingLoss()([[3.0, 0.0]], [[0.0, 2.0]], [1])[0] == 1
    loss, (at_mean, at_var) = cn.GaussianNLLLoss(full=True)(np.array([[1.0]]), [[3]], np.array([[4.0]]))
    assert loss == pytest.approx(0.5 * (math.log(2 * math.pi * 4) + 1), rel=1e-15)
    assert at_mean[0, 0] == -0.5
    assert at_var[0, 0] == 0


def test_one_variance_for_all():
    y, targets = normal(N, D), normal(N, D, seed=1)
    loss, (at_mean, at_var) = cn.GaussianNLLLoss(reduction="sum")(y, targets, np.array(2.0))
    expected, (same, each) = cn.GaussianNLLLoss(reduction="sum")(y, targets, np.full((N, D), 2.0))
    assert loss == expected
    np.testing.assert_array_equal(at_mean, same)
    assert at_var == pytest.approx(each.sum(), rel=1e-12)
    assert cn.GaussianNLLLoss(reduction="sum")(y, targets, 2.0)[0] == expected


def test_a_variance_of_nothing_learns_to_grow():
    _, (_, at_var) = cn.GaussianNLLLoss(eps=0.25)(np.ones((1, 1)), [[2]], np.zeros((1, 1)))
    assert at_var[0, 0] == 0.5 * (1 - 4) / 0.25


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("kind", "rest"),
    [
        ("TripletMarginLoss", (np.zeros((2, 2)), np.ones((2, 2)))),
        ("CosineEmbeddingLoss", (np.ones((2, 2)), [1, 1])),
        ("GaussianNLLLoss", (np.zeros((2, 2)), np.ones((2, 2)))),
    ],
)
def test_what_is_no_finite_number_is_told_without_a_warning(kind, rest, bad):
    value, _ = getattr(cn, kind)()(np.array([[bad, 0.0], [0.0, 0.0]]), *rest)
    assert not math.isfinite(value)


@pytest.mark.parametrize(
    ("kind", "arguments", "given", "error", "message"),
    [
        ("TripletMarginLoss", {"margin": 0}, None, ArgumentError, "margin must be positive, got 0"),
        ("TripletMarginLoss", {"p": 0}, None, ArgumentError, "p must be positive, got 0"),
        ("TripletMarginLoss", {"reduction": "none", "reduce": False}, None, ArgumentError, "reduce is not supported"),
        ("CosineEmbeddingLoss", {"margin": 2}, None, ArgumentError, "margin must lie between -1 and 1, got 2"),
        ("GaussianNLLLoss", {"eps": 0}, None, ArgumentError, "eps must be positive, got 0"),
        (
            *("TripletMarginLoss", {}, (np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 1))), ShapeError),
            r"anchor, positive, negative must have one shape, got \(2, 3\), \(2, 3\), \(2, 1\)",
        ),
        (
            *("TripletMarginLoss", {}, (np.zeros((2, 3)), np.zeros((2, 3), int), np.zeros((2, 3))), ArgumentError),
            r"positive must be floating point, got int64",
        ),
        (
            *("TripletMarginLoss", {}, (np.zeros((0, 3)),) * 3, ArgumentError),
            r"expected at least one image, got anchor of shape \(0, 3\)",
        ),
        (
            *("CosineEmbeddingLoss", {}, (np.zeros((2, 3)), np.zeros((2, 3)), [1, 0]), ArgumentError),
            r"targets must be 1 or -1, got 0",
        ),
        (
            *("CosineEmbeddingLoss", {}, (np.zeros((2, 3)), np.zeros((2, 3)), [1]), ShapeError),
            r"x1 and x2 \(n, features\) need targets \(n,\), got \(2, 3\) and \(1,\)",
        ),
        (
            *("GaussianNLLLoss", {}, (np.zeros((2, 3)), np.zeros((2, 3)), np.full((2, 3), -1.0)), ArgumentError),
            r"var must not be negative, got -1",
        ),
        (
            *("GaussianNLLLoss", {}, (np.zeros((2, 3)), np.zeros((2, 1)), np.ones((2, 3))), ShapeError),
            r"targets must have the shape of y, \(2, 3\), got \(2, 1\)",
        ),
        *(
            (
                *("GaussianNLLLoss", {}, (np.zeros((2, 4, 3)), np.zeros((2, 4, 3)), np.ones(shape)), ShapeError),
                r"var must have the shape \(2, 4, 3\), with 1 for one axis or without the last, or be a number, got",
            )
            for shape in ((2, 4, 2), (2,), (1, 1, 3), (3,), (4, 3), (1, 2, 4, 3))
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(kind, arguments, given, error, message):
    with pytest.raises(error, match=f"^{kind}: {message}"):
        getattr(cn, kind)(**arguments)(*given)
