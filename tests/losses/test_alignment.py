"""CTC: beside all paths written down, beside PyTorch and beside finite differences."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from colonnade.errors import ArgumentError, ShapeError
from colonnade.losses import CTCLoss

T, N, C = 8, 4, 5


def log_softmax(x):
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def log_probabilities(*shape, seed=0):
    return log_softmax(np.random.default_rng(seed).normal(size=shape))


def spelled(path, blank):
    """What a path spells."""
    joined = [letter for letter, _ in itertools.groupby(path)]
    return tuple(letter for letter in joined if letter != blank)


def by_all_paths(log_p, text, blank):
    """−log of the sum over all paths that spell the text; log_p (t, C)."""
    steps, classes = log_p.shape
    total = sum(
        math.exp(sum(log_p[step, letter] for step, letter in enumerate(path)))
        for path in itertools.product(range(classes), repeat=steps)
        if spelled(path, blank) == tuple(text)
    )
    return -math.log(total) if total else math.inf


TEXTS = {
    "different lengths": ([[1, 2, 3], [2, 0, 0], [1, 1, 0], [4, 3, 4]], [8, 8, 8, 8], [3, 1, 2, 3]),
    "shorter sequences": ([[1, 2, 3], [2, 2, 2], [3, 1, 0], [4, 0, 0]], [8, 7, 4, 1], [3, 3, 2, 1]),
    "an empty text": ([[1, 2], [0, 0], [3, 3], [0, 0]], [8, 8, 5, 3], [2, 0, 2, 0]),
}
each_text = pytest.mark.parametrize(("labels", "steps", "lengths"), TEXTS.values(), ids=TEXTS.keys())


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("text", [(), (1,), (1, 3), (1, 1), (3, 1, 3), (1, 1, 1)])
def test_the_loss_is_the_sum_over_all_paths(text, blank):
    log_p = log_probabilities(5, 1, 4, seed=len(text))
    text = tuple(0 if blank and letter == blank else letter for letter in text)
    labels = np.array([[*text, -1]])
    values, _ = CTCLoss(blank, reduction="none")(log_p, labels)
    assert values[0] == pytest.approx(by_all_paths(log_p[:, 0], text, blank), rel=1e-12)


def test_a_sequence_too_short_for_its_text_is_infinite_or_left_out():
    log_p = log_probabilities(2, 2, C)
    labels = [[1, 1], [1, 2]]  # a blank has to part the first two
    values, _ = CTCLoss(reduction="none")(log_p, labels)
    assert values[0] == math.inf
    assert math.isfinite(values[1])
    loss, grad = CTCLoss(reduction="none", zero_infinity=True)(log_p, labels)
    assert list(loss) == [0, values[1]]
    np.testing.assert_array_equal(grad[:, 0], 0)
    assert grad[:, 1].any()


@each_text
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-4)])
def test_loss_and_gradient_agree_with_pytorch(labels, steps, lengths, reduction, zero_infinity, dtype, tolerance):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    blank = 0
    log_p = log_probabilities(T, N, C).astype(dtype)
    theirs = torch.tensor(log_p, requires_grad=True)
    given = (torch.tensor(labels), torch.tensor(steps), torch.tensor(lengths))
    their_loss = torch.nn.CTCLoss(blank, reduction, zero_infinity)(theirs, *given)
    loss = CTCLoss(blank, reduction, zero_infinity)
    ours, _ = loss(log_p, labels, steps, lengths)
    weights = np.array([1.0, -2.0, 0.5, 3.0], dtype) if reduction == "none" else None
    their_loss.backward(None if weights is None else torch.tensor(weights))
    _, grad = loss(log_p, labels, steps, lengths, gradient=weights)
    assert grad.dtype == dtype
    np.testing.assert_allclose(ours, their_loss.detach().numpy(), rtol=tolerance)
    np.testing.assert_allclose(grad, theirs.grad.numpy(), rtol=tolerance, atol=tolerance)


@each_text
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_behind_a_log_softmax_the_gradient_agrees_with_central_differences(labels, steps, lengths, reduction):
    logits = np.random.default_rng(1).normal(size=(T, N, C))
    loss = CTCLoss(reduction=reduction)
    _, grad = loss(log_softmax(logits), labels, steps, lengths)
    at_logits = grad - np.exp(log_softmax(logits)) * grad.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(at_logits, grad, rtol=0, atol=1e-12)  # the softmax takes nothing from it
    step = 1e-5
    for place in np.ndindex(logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * step
            ends.append(loss(log_softmax(moved), labels, steps, lengths)[0])
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(at_logits[place], rel=1e-6, abs=1e-8)


@each_text
def test_texts_one_after_the_other_padded_ones_and_batches_first_are_the_same(labels, steps, lengths):
    log_p = log_probabilities(T, N, C)
    expected, grad = CTCLoss()(log_p, labels, steps, lengths)
    flat = [letter for text, length in zip(labels, lengths, strict=True) for letter in text[:length]]
    padded = [[*text[:length], *[-1] * (5 - length)] for text, length in zip(labels, lengths, strict=True)]
    turned = np.ascontiguousarray(np.swapaxes(log_p, 0, 1))
    ways = {
        "flat": CTCLoss()(log_p, np.array(flat, int), steps, lengths),
        "padded": CTCLoss()(log_p, padded, steps),
        "bytes": CTCLoss()(log_p, np.array(labels, np.uint8), np.array(steps, np.int32), np.array(lengths, np.int8)),
    }
    for name, (loss, each) in ways.items():
        assert loss == expected, name
        np.testing.assert_array_equal(each, grad, err_msg=name)
    loss, each = CTCLoss(batch_first=True)(turned, labels, steps, lengths)
    assert loss == expected
    np.testing.assert_array_equal(each, np.swapaxes(grad, 0, 1))


def test_classes_that_cannot_be_and_steps_that_do_not_count_are_no_trouble():
    log_p = log_probabilities(T, 1, C)
    log_p[:, :, 4] = -math.inf
    log_p[6:] = math.nan
    loss, grad = CTCLoss()(log_p, [[1, 2]], [6], [2])
    assert math.isfinite(loss)
    assert np.isfinite(grad).all()
    np.testing.assert_array_equal(grad[:, :, 4], 0)
    np.testing.assert_array_equal(grad[6:], 0)
    log_p[2, 0, 1] = math.nan
    assert math.isnan(CTCLoss()(log_p, [[1, 2]], [6], [2])[0])


def test_long_sequences_stay_exact():
    # Every path is as likely as any other: of t steps, C^(−t) each, and a text of one letter has t (t + 1) / 2 paths.
    log_p = np.full((2000, 1, C), -math.log(C), np.float32)
    loss, _ = CTCLoss(reduction="sum")(log_p, [[3]])
    assert loss == pytest.approx(2000 * float(np.float32(math.log(C))) - math.log(2000 * 2001 / 2), rel=1e-12)


LOG_P = log_probabilities(T, 2, C)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((LOG_P[0], [[1], [2]]), ShapeError, r"y must have the shape \(t, n, C\), got \(2, 5\)"),
        ((LOG_P, [[1]]), ShapeError, r"targets must have the shape \(2, s\), got \(1, 1\)"),
        ((LOG_P, [[1.0], [2.0]]), ArgumentError, "class numbers must be integers, got float64"),
        ((LOG_P, [[1], [5]]), ArgumentError, "class numbers must be from 0 to 4 and not 0, the blank, got 5"),
        ((LOG_P, [[1], [0]]), ArgumentError, "class numbers must be from 0 to 4 and not 0, the blank, got 0"),
        ((LOG_P, [[1, 2], [-1, 2]]), ArgumentError, "expected negative targets at the end of a text, got some within"),
        ((LOG_P, [1, 2]), ArgumentError, "texts one after the other need target_lengths, got none"),
        ((LOG_P, [1, 2], [8, 8], [1, 2]), ShapeError, "target_lengths must add up to 2, got 3"),
        ((LOG_P, [[1], [2]], [8], [1, 1]), ShapeError, r"input_lengths must have the shape \(2,\), got \(1,\)"),
        (
            *((LOG_P, [[1], [2]], [8, 9], [1, 1]), ArgumentError),
            "input_lengths must be whole numbers from 0 to 8, got 9",
        ),
        (
            *((LOG_P, [[1], [2]], [8, 8], [1, 2]), ArgumentError),
            "target_lengths must be whole numbers from 0 to 1, got 2",
        ),
        (
            *((LOG_P, [[1], [2]], [8.0, 8.0], [1, 1]), ArgumentError),
            "input_lengths must be whole numbers from 0 to 8, got 8.0",
        ),
        ((LOG_P, "texts"), ArgumentError, "targets must hold numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(given, error, message):
    with pytest.raises(error, match=f"^CTCLoss: {message}"):
        CTCLoss()(*given)


def test_a_blank_that_is_no_class_is_refused():
    with pytest.raises(ArgumentError, match=r"^CTCLoss: blank must be one of 5 classes, got 5\.$"):
        CTCLoss(5)(LOG_P, [[1], [2]])


def test_what_no_path_spells_has_a_gradient_as_in_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    log_p = log_probabilities(3, 2, C)
    texts, steps, lengths = np.array([[1, 1, 2], [3, 0, 0]]), np.array([3, 3]), np.array([3, 1])
    values, grad = CTCLoss(reduction="none")(log_p, texts, steps, lengths)
    there = torch.tensor(log_p, requires_grad=True)
    expected = torch.nn.CTCLoss(reduction="none")(there, *map(torch.tensor, (texts, steps, lengths)))
    expected.sum().backward()
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad, there.grad.numpy(), rtol=1e-10, atol=1e-12)
    assert np.isnan(grad[:, 0]).all()
