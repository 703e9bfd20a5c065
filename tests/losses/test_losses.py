"""The losses against closed forms, finite differences and PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from colonnade import losses
from colonnade.errors import ArgumentError, ShapeError
from colonnade.losses import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)

N, C = 6, 5


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def labels(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, C, shape)


def probabilities(*shape: int, seed: int = 1) -> np.ndarray:
    share = np.random.default_rng(seed).random(shape)
    return share / share.sum(axis=1, keepdims=True)


def with_ignored(targets: np.ndarray, ignore_index: int = -100) -> np.ndarray:
    targets = targets.copy()
    targets.flat[::3] = ignore_index
    return targets


CLASS_WEIGHTS = [0.5, 2.0, 1.0, 0.0, 3.0]
FLOAT_WEIGHTS = np.random.default_rng(2).random((N, 1))
POSITIVE_WEIGHTS = [0.5, 2.0, 1.0, 0.1, 3.0]

# The name in torch.nn, its arguments, y and the targets: each row is held against PyTorch and finite differences.
CASES: dict[str, tuple[str, dict[str, Any], np.ndarray, np.ndarray]] = {}
for reduction in ("mean", "sum", "none"):
    for name, weight in (("", None), (", weighted", CLASS_WEIGHTS)):
        for smoothing in (0.0, 0.1, 1.0):
            arguments = {"reduction": reduction, "weight": weight, "label_smoothing": smoothing}
            key = f"cross entropy, {reduction}{name}, smoothing {smoothing}"
            CASES[key] = ("CrossEntropyLoss", arguments, normal(N, C), labels(N))
            CASES[f"{key}, ignored"] = ("CrossEntropyLoss", arguments, normal(N, C), with_ignored(labels(N)))
            CASES[f"{key}, probabilities"] = ("CrossEntropyLoss", arguments, normal(N, C), probabilities(N, C))
            CASES[f"{key}, per pixel"] = (
                "CrossEntropyLoss",
                {**arguments, "ignore_index": 2},
                normal(2, C, 3, 4),
                labels(2, 3, 4),
            )
            CASES[f"{key}, probabilities per pixel"] = (
                "CrossEntropyLoss",
                arguments,
                normal(2, C, 3, 4),
                probabilities(2, C, 3, 4),
            )
    CASES[f"squares, {reduction}"] = ("MSELoss", {"reduction": reduction}, normal(N, C), normal(N, C, seed=1))
    CASES[f"squares of images, {reduction}"] = (
        "MSELoss",
        {"reduction": reduction},
        normal(2, 3, 4, 5),
        normal(2, 3, 4, 5, seed=1),
    )
    for name, weight in (("", None), (", weighted", CLASS_WEIGHTS)):
        for index in (-100, 2):
            arguments = {"reduction": reduction, "weight": weight, "ignore_index": index}
            key = f"log-likelihood, {reduction}{name}, ignoring {index}"
            CASES[key] = ("NLLLoss", arguments, normal(N, C), with_ignored(labels(N), index))
            CASES[f"{key}, per pixel"] = ("NLLLoss", arguments, normal(2, C, 3, 4), labels(2, 3, 4))
    CASES[f"absolute, {reduction}"] = ("L1Loss", {"reduction": reduction}, normal(N, C), normal(N, C, seed=1))
    for size in (0.3, 1.0, 4.0):
        CASES[f"smooth, {reduction}, beta {size}"] = (
            "SmoothL1Loss",
            {"reduction": reduction, "beta": size},
            normal(2, 3, 4, 5),
            normal(2, 3, 4, 5, seed=1),
        )
        CASES[f"Huber, {reduction}, delta {size}"] = (
            "HuberLoss",
            {"reduction": reduction, "delta": size},
            normal(2, 3, 4, 5),
            normal(2, 3, 4, 5, seed=1),
        )
    CASES[f"smooth, {reduction}, beta 0"] = (
        "SmoothL1Loss",
        {"reduction": reduction, "beta": 0.0},
        normal(N, C),
        normal(N, C, seed=1),
    )
    for weight in (None, FLOAT_WEIGHTS):
        for pos_weight in (None, POSITIVE_WEIGHTS):
            CASES[f"binary, {reduction}, weight {weight is not None}, pos_weight {pos_weight is not None}"] = (
                "BCEWithLogitsLoss",
                {"reduction": reduction, "weight": weight, "pos_weight": pos_weight},
                3 * normal(N, C),
                np.random.default_rng(3).random((N, C)).round(1),
            )

for reduction in ("mean", "sum", "none", "batchmean"):
    for log_target in (False, True):
        shares = probabilities(N, C)
        if not log_target:
            shares[0] = [0, 0.5, 0, 0.5, 0]
        CASES[f"divergence, {reduction}, log_target {log_target}"] = (
            "KLDivLoss",
            {"reduction": reduction, "log_target": log_target},
            np.log(probabilities(N, C, seed=4)),
            np.log(shares) if log_target else shares,
        )

each_case = pytest.mark.parametrize(("kind", "arguments", "y", "targets"), CASES.values(), ids=CASES.keys())


def make(kind: str, arguments: dict[str, Any]) -> Loss:
    return getattr(losses, kind)(**arguments)


def carried(values: Any) -> Any:
    """What is carried back through a loss: nothing but the loss itself, or a weight of each value."""
    return None if isinstance(values, float) else normal(*values.shape, seed=5)


@each_case
def test_the_gradient_agrees_with_central_differences(kind, arguments, y, targets):
    loss = make(kind, arguments)
    gradient = carried(loss(y, targets)[0])
    _, grad = loss(y, targets, gradient=gradient)
    weights = 1 if gradient is None else gradient
    step = 1e-5
    for at in np.ndindex(y.shape):
        above, below = y.copy(), y.copy()
        above[at] += step
        below[at] -= step
        difference = np.sum((loss(above, targets)[0] - loss(below, targets)[0]) * weights) / (2 * step)
        assert difference == pytest.approx(grad[at], rel=1e-6, abs=1e-8)


@each_case
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")  # PyTorch's advice on its own KLDivLoss
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_loss_and_gradient_agree_with_pytorch(kind, arguments, y, targets, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    y = y.astype(dtype)
    if targets.dtype.kind == "f":
        targets = targets.astype(dtype)
    theirs = {
        name: torch.tensor(np.asarray(value, dtype)) if isinstance(value, list | np.ndarray) else value
        for name, value in arguments.items()
    }
    their_y = torch.tensor(y, requires_grad=True)
    their_loss = getattr(torch.nn, kind)(**theirs)(their_y, torch.tensor(targets))
    our_loss, _ = make(kind, arguments)(y, targets)
    gradient = carried(our_loss)
    their_loss.backward(None if gradient is None else torch.tensor(gradient.astype(dtype)))
    _, our_grad = make(kind, arguments)(y, targets, gradient=gradient)

    np.testing.assert_allclose(our_loss, their_loss.detach().numpy(), rtol=tolerance, atol=tolerance * 0.1)
    np.testing.assert_allclose(our_grad, their_y.grad.numpy(), rtol=tolerance, atol=tolerance * 0.1)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_gradient_is_a_new_array_of_the_type_of_y_and_nothing_given_is_written(kind, arguments, y, targets, dtype):
    y, before, targets_before = y.astype(dtype), y.astype(dtype), targets.copy()
    loss, grad = make(kind, arguments)(y, targets)
    assert type(loss) is float or (arguments["reduction"] == "none" and loss.dtype == y.dtype)
    assert grad.dtype == y.dtype
    assert grad.shape == y.shape
    assert not np.shares_memory(grad, y)
    assert not np.shares_memory(grad, targets)
    np.testing.assert_array_equal(y, before)
    np.testing.assert_array_equal(targets, targets_before)


@each_case
def test_a_channels_last_batch_gives_the_same_as_a_channels_first_one(kind, arguments, y, targets):
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(y, 1, -1)), -1, 1)
    loss, grad = make(kind, arguments)(turned, targets)
    expected_loss, expected_grad = make(kind, arguments)(y, targets)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(grad, expected_grad, rtol=1e-12, atol=1e-15)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes():
    loss, grad = CrossEntropyLoss()(np.zeros((4, 10)), [0, 3, 3, 9])
    assert loss == pytest.approx(math.log(10), rel=1e-12)
    expected = np.full((4, 10), 0.1 / 4)
    expected[range(4), [0, 3, 3, 9]] = -0.9 / 4
    np.testing.assert_allclose(grad, expected, rtol=1e-12)


def test_cross_entropy_stays_finite_at_logits_whose_exponential_is_not():
    y = np.array([[1e4, -1e4], [1e4, -1e4]], np.float32)
    loss, grad = CrossEntropyLoss()(y, [0, 1])
    assert loss == 1e4  # nothing for the first image, the distance of its logits for the second
    np.testing.assert_array_equal(grad, [[0, 0], [0.5, -0.5]])


def test_a_class_ruled_out_by_a_logit_of_minus_infinity_costs_nothing():
    loss, grad = CrossEntropyLoss()(np.array([[0.0, 0.0, -math.inf]]), [1])
    assert loss == pytest.approx(math.log(2), rel=1e-12)
    np.testing.assert_allclose(grad, [[0.5, -0.5, 0]], rtol=1e-12)


def test_ignored_targets_have_no_gradient_and_do_not_count():
    y = normal(N, C)
    targets = labels(N)
    targets[2] = -100
    loss, grad = CrossEntropyLoss()(y, targets)
    kept = [0, 1, 3, 4, 5]
    expected_loss, expected_grad = CrossEntropyLoss()(y[kept], targets[kept])
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_array_equal(grad[2], 0)
    np.testing.assert_allclose(grad[kept], expected_grad, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64"])
def test_class_numbers_may_be_of_any_integer_type(dtype):
    loss, grad = CrossEntropyLoss()(normal(N, C), labels(N).astype(dtype))
    expected_loss, expected_grad = CrossEntropyLoss()(normal(N, C), labels(N))
    assert loss == expected_loss
    np.testing.assert_array_equal(grad, expected_grad)


def test_a_sum_over_nothing_is_zero():
    loss, grad = CrossEntropyLoss(reduction="sum")(normal(2, C), [-100, -100])
    assert loss == 0
    np.testing.assert_array_equal(grad, np.zeros((2, C)))


def test_squares_by_hand():
    loss, grad = MSELoss()(np.array([[1.0, 2.0], [3.0, 4.0]]), [[1, 0], [0, 4]])
    assert loss == (4 + 9) / 4
    np.testing.assert_array_equal(grad, [[0, 1], [1.5, 0]])


def test_binary_cross_entropy_at_zero_is_the_logarithm_of_two():
    loss, grad = BCEWithLogitsLoss()(np.zeros((1, 2)), [[0, 1]])
    assert loss == pytest.approx(math.log(2), rel=1e-12)
    np.testing.assert_array_equal(grad, [[0.25, -0.25]])


def test_binary_cross_entropy_stays_exact_at_large_logits():
    y = np.array([[1e4, -1e4, 1e4, -1e4]], np.float32)
    loss, grad = BCEWithLogitsLoss(reduction="sum")(y, [[1, 0, 0, 1]])
    assert loss == 2e4
    np.testing.assert_array_equal(grad, [[0, 0, 1, -1]])
    small, _ = BCEWithLogitsLoss()(np.array([[50.0]]), [[1]])
    assert small == pytest.approx(math.exp(-50), rel=1e-12)


def test_the_reported_loss_is_summed_in_float64():
    # 4096² + 1 = 2²⁴ + 1 is the first whole number that float32 has not.
    loss, _ = MSELoss(reduction="sum")(np.array([[4096, 1]], np.float32), [[0, 0]])
    assert loss == 2**24 + 1


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (CrossEntropyLoss(), [0, 1]),
        (NLLLoss(), [0, 1]),
        *((loss, np.zeros((2, 2))) for loss in (MSELoss(), L1Loss(), SmoothL1Loss(), HuberLoss(), BCEWithLogitsLoss())),
        (KLDivLoss(), np.ones((2, 2))),
    ],
)
def test_a_loss_that_is_no_finite_number_is_returned_without_a_warning(loss, targets, bad):
    value, _ = loss(np.array([[bad, 0], [0, 0]], np.float32), targets)
    assert not math.isfinite(value)


@pytest.mark.parametrize("kind", ["CrossEntropyLoss", "NLLLoss"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_nan_under_a_class_of_weight_zero_is_seen_and_under_an_ignored_target_not(kind, smoothing):
    torch = pytest.importorskip("torch")
    arguments = {"label_smoothing": smoothing} if kind == "CrossEntropyLoss" else {}
    y, weight = np.array([[math.nan, 1, 2], [1, 2, 3]], np.float32), np.array([0, 1, 2], np.float32)
    for targets in ([0, 1], [-100, 1]):
        value, _ = getattr(losses, kind)(weight, **arguments)(y, targets)
        ours = getattr(torch.nn, kind)(torch.tensor(weight), **arguments)
        expected = ours(torch.tensor(y), torch.tensor(targets)).item()
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize(
    "kind", ["CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss"]
)
def test_what_holds_for_every_loss_is_refused_in_one_line(kind):
    with pytest.raises(ArgumentError, match=rf"^{kind}: reduction must be one of mean, sum, none, got 'batchmean'\.$"):
        make(kind, {"reduction": "batchmean"})
    with pytest.raises(ArgumentError, match=rf"^{kind}: expected at least one image, got y of shape \(0, 5\)\.$"):
        make(kind, {})(np.zeros((0, 5)), np.zeros((0, 5)))
    with pytest.raises(ArgumentError, match=rf"^{kind}: y must be floating point, got int64\.$"):
        make(kind, {})(np.zeros((2, 5), np.int64), np.zeros((2, 5)))


@pytest.mark.parametrize(
    ("targets", "error", "message"),
    [
        ([0, 5], ArgumentError, r"class numbers must be from 0 to 4, got 5\."),
        ([0, -1], ArgumentError, r"class numbers must be from 0 to 4, got -1\."),
        ([0.0, 1.0], ArgumentError, r"class numbers must be integers, got float64\."),
        ([True, False], ArgumentError, r"class numbers must be integers, got bool\."),
        (
            [0],
            ShapeError,
            r"targets for y of shape \(2, 5\) must be class numbers of shape \(2,\) or "
            r"probabilities of shape \(2, 5\), got \(1,\)\.",
        ),
        ([[0, 1, 0], [1, 0, 0]], ShapeError, r"targets .* got \(2, 3\)\."),
        (np.eye(5, dtype=int)[:2], ArgumentError, r"probabilities must be floating point, got int64\."),
        ([-100, -100], ArgumentError, r"a mean needs a target that counts, got none in 2\."),
    ],
)
def test_targets_that_do_not_fit_are_refused_in_one_line(targets, error, message):
    with pytest.raises(error, match=f"^CrossEntropyLoss: {message}$"):
        CrossEntropyLoss()(np.zeros((2, 5)), targets)


def test_arguments_of_cross_entropy_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(
        ArgumentError, match=r"^CrossEntropyLoss: label_smoothing must lie between 0 and 1, got 1\.5\.$"
    ):
        CrossEntropyLoss(label_smoothing=1.5)
    with pytest.raises(ShapeError, match=r"^CrossEntropyLoss: weight must have the shape \(5,\), got \(3,\)\.$"):
        CrossEntropyLoss(weight=[1, 2, 3])(np.zeros((2, 5)), [0, 1])
    with pytest.raises(
        ShapeError, match=r"^CrossEntropyLoss: y must have the shape \(n, classes, \.\.\.\), got \(5,\)"
    ):
        CrossEntropyLoss()(np.zeros(5), 0)


def test_the_targets_of_a_whole_data_set_can_be_checked_without_outputs():
    loss = CrossEntropyLoss(ignore_index=-1)
    loss.check((4, 3), np.array([0, 2, -1, 1]))
    with pytest.raises(ArgumentError, match="class numbers must be from 0 to 2, got 3"):
        loss.check((4, 3), np.array([0, 2, -1, 3]))
    MSELoss().check((4, 3), np.zeros((4, 3)))
    with pytest.raises(ShapeError, match=r"MSELoss: targets must have the shape of y, \(4, 3\), got \(3,\)"):
        MSELoss().check((4, 3), np.zeros(3))


@pytest.mark.parametrize("kind", ["MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss", "KLDivLoss"])
def test_targets_of_another_shape_are_not_broadcast(kind):
    message = rf"^{kind}: targets must have the shape of y, \(3, 1\), got \(3,\)\.$"
    with pytest.raises(ShapeError, match=message):
        make(kind, {})(np.zeros((3, 1)), np.zeros(3))


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
def test_binary_weights_that_do_not_broadcast_are_refused(name):
    message = rf"^BCEWithLogitsLoss: {name} must have a shape that broadcasts to \(2, 3\), got \(2,\)\.$"
    with pytest.raises(ShapeError, match=message):
        BCEWithLogitsLoss(**{name: [1.0, 2.0]})(np.zeros((2, 3)), np.zeros((2, 3)))


def test_log_likelihood_of_log_softmax_is_cross_entropy():
    y, targets = normal(N, C), labels(N)
    log_p = y - np.log(np.exp(y).sum(axis=1, keepdims=True))
    assert NLLLoss()(log_p, targets)[0] == pytest.approx(CrossEntropyLoss()(y, targets)[0], rel=1e-12)


def test_log_likelihood_takes_no_probabilities():
    message = r"^NLLLoss: targets must be class numbers, one for all classes, got \(2, 5\)\.$"
    with pytest.raises(ShapeError, match=message):
        NLLLoss()(np.zeros((2, 5)), np.ones((2, 5)))


def test_absolute_errors_by_hand():
    y, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), [[1.5, 0], [0, 4]]
    assert L1Loss(reduction="sum")(y, targets)[0] == 0.5 + 2 + 3
    np.testing.assert_array_equal(L1Loss(reduction="sum")(y, targets)[1], [[-1, 1], [1, 0]])
    assert HuberLoss("sum")(y, targets)[0] == 0.125 + 1.5 + 2.5
    np.testing.assert_array_equal(HuberLoss("sum", 2.5)(y, targets)[1], [[-0.5, 2], [2.5, 0]])
    assert SmoothL1Loss(reduction="sum", beta=2)(y, targets)[0] == 0.0625 + 1 + 2
    np.testing.assert_array_equal(SmoothL1Loss(reduction="sum", beta=2)(y, targets)[1], [[-0.25, 1], [1, 0]])


def test_the_divergence_of_a_distribution_from_itself_is_zero():
    p = probabilities(N, C)
    assert KLDivLoss(reduction="batchmean")(np.log(p), p)[0] == pytest.approx(0, abs=1e-15)
    # All on one of four classes, against even shares: two bits, in nats, for each image.
    loss, _ = KLDivLoss(reduction="batchmean")(np.full((3, 4), -math.log(4)), np.eye(4)[:3])
    assert loss == pytest.approx(math.log(4), rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (HuberLoss, {"delta": 0}, r"HuberLoss: delta must be positive, got 0\."),
        (SmoothL1Loss, {"beta": -1}, r"SmoothL1Loss: beta must be zero or more, got -1\."),
        (
            KLDivLoss,
            {"reduction": "total"},
            r"KLDivLoss: reduction must be one of mean, sum, none, batchmean, got 'total'\.",
        ),
        (MSELoss, {"reduction": "batchmean"}, r"MSELoss: reduction must be one of mean, sum, none, got 'batchmean'\."),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(kind, arguments, message):
    with pytest.raises(ArgumentError, match=f"^{message}$"):
        kind(**arguments)


def test_values_by_hand():
    y, targets = np.array([[1.0, 2.0], [3.0, 4.0]]), [[1, 0], [0, 4]]
    values, grad = MSELoss(reduction="none")(y, targets)
    np.testing.assert_array_equal(values, [[0, 4], [9, 0]])
    np.testing.assert_array_equal(grad, [[0, 4], [6, 0]])  # of their sum
    weighted, grad = MSELoss(reduction="none")(y, targets, gradient=[[1, 0.5], [0, 2]])
    np.testing.assert_array_equal(weighted, values)
    np.testing.assert_array_equal(grad, [[0, 2], [0, 0]])


REDUCED = {name: case for name, case in CASES.items() if case[1]["reduction"] != "none"}


@pytest.mark.parametrize(("kind", "arguments", "y", "targets"), REDUCED.values(), ids=REDUCED.keys())
def test_the_mean_of_the_values_is_the_mean_with_weights_for_it(kind, arguments, y, targets):
    loss, grad = make(kind, arguments)(y, targets)
    values, _ = make(kind, arguments | {"reduction": "none"})(y, targets)
    total, count, summed = make(kind, arguments).summed(y, targets)
    share = 1 if arguments["reduction"] == "sum" else 1 / count
    assert np.sum(values) == pytest.approx(total, rel=1e-12)
    assert np.sum(values) * share == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(summed * share, grad, rtol=1e-12, atol=1e-15)
    weighted = make(kind, arguments | {"reduction": "none"})(y, targets, gradient=np.full(values.shape, share))[1]
    np.testing.assert_allclose(weighted, grad, rtol=1e-12, atol=1e-15)


def test_a_number_is_carried_back_through_a_mean():
    y, targets = normal(N, C), labels(N)
    loss, grad = CrossEntropyLoss()(y, targets)
    same, doubled = CrossEntropyLoss()(y, targets, gradient=2)
    assert same == loss
    np.testing.assert_allclose(doubled, 2 * grad, rtol=1e-15)


@pytest.mark.parametrize(
    ("loss", "gradient", "message"),
    [
        (MSELoss(), np.ones((2, 3)), r"MSELoss: gradient must be one number, got \(2, 3\)\."),
        (
            MSELoss(reduction="none"),
            np.ones(2),
            r"MSELoss: gradient must have the shape \(2, 3\), as the values, got \(2,\)\.",
        ),
        (MSELoss(reduction="none"), 1.0, r"MSELoss: gradient must have the shape \(2, 3\), as the values, got \(\)\."),
    ],
)
def test_a_gradient_of_another_shape_is_refused(loss, gradient, message):
    with pytest.raises(ShapeError, match=f"^{message}$"):
        loss(np.zeros((2, 3)), np.zeros((2, 3)), gradient=gradient)
