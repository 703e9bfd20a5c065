"""Erased rectangles as sets of pixels; mixed images and their targets."""

import math
import re

import numpy as np
import pytest

import colonnade as cn
from colonnade.data.augmentation import CutMix, Cutout, MixUp, RandomErasing
from colonnade.data.augmentation.mixing import draw_beta
from colonnade.data.draws import Draws
from colonnade.errors import ArgumentError, ShapeError


def images(n=300, channels=2, height=16, width=20):
    """Images (n, c, h, w) without a zero."""
    return 0.1 + 0.9 * np.random.default_rng(2).random((n, height, width, channels)).transpose(0, 3, 1, 2)


def applied(augment, x, targets=None, seed=0):
    targets = np.arange(len(x)) % 10 if targets is None else targets
    return augment(x, targets, Draws(seed, 0, np.arange(len(x))))


def rectangle(mask):
    """Top, bottom, left, right of a set of pixels (h, w); fails where that is no full rectangle."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    assert mask[top:bottom, left:right].all()
    assert mask.sum() == (bottom - top) * (right - left)
    return top, bottom, left, right


def test_erasing_takes_a_rectangle_of_the_area_and_shape_asked_for():
    x = images(400, height=40, width=50)
    y, _ = applied(RandomErasing(p=1, scale=(0.1, 0.3), ratio=(0.5, 3), value=(0, 1.5)), x)
    np.testing.assert_array_equal(y[:, 0] == 0, y[:, 1] == 1.5)
    places = set()
    for image, erased in zip(x, y, strict=True):
        mask = erased[0] == 0
        np.testing.assert_array_equal(erased[:, ~mask], image[:, ~mask])
        top, bottom, left, right = rectangle(mask)
        height, width = bottom - top, right - left
        # Both sides were rounded.
        assert (height + 0.5) * (width + 0.5) >= 0.1 * 2000
        assert (height - 0.5) * (width - 0.5) <= 0.3 * 2000
        assert (height + 0.5) / (width - 0.5) >= 0.5
        assert (height - 0.5) / (width + 0.5) <= 3
        places |= {("top", top == 0), ("bottom", bottom == 40), ("left", left == 0), ("right", right == 50)}
    assert len(places) == 8  # it touches each side, and does not


def test_erasing_happens_with_probability_p():
    x = images(2000, height=8, width=8)
    y, _ = applied(RandomErasing(p=0.3), x)
    assert abs((y != x).any(axis=(1, 2, 3)).mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)
    np.testing.assert_array_equal(applied(RandomErasing(p=0), x)[0], x)


def test_erasing_at_random_writes_numbers_from_0_to_1_for_each_pixel_and_channel():
    x = images(200) + 5
    y, _ = applied(RandomErasing(p=1, value="random"), x)
    drawn = y[y < 5]
    np.testing.assert_array_equal((y < 5).all(axis=1), (y < 5).any(axis=1))
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert abs(drawn.mean() - 0.5) < 4 * math.sqrt(1 / 12 / drawn.size)
    assert len(np.unique(drawn)) == drawn.size


@pytest.mark.parametrize("size", [1, 4, 5, 30])
def test_cutout_takes_a_square_about_any_pixel(size):
    x = images(2000, channels=1, height=9, width=7)
    y, _ = applied(Cutout(size), x)
    expected = set()
    for row, column in np.ndindex(9, 7):
        top, left = row - size // 2, column - size // 2
        expected.add((max(0, top), min(9, top + size), max(0, left), min(7, left + size)))
    assert {rectangle(erased[0] == 0) for erased in y} == expected
    np.testing.assert_array_equal(y[y != 0], x[y != 0])
    assert abs((applied(Cutout(size, p=0.25), x)[0] != x).any(axis=(1, 2, 3)).mean() - 0.25) < 0.04


def test_mixup_is_linear_in_images_and_targets():
    x = images(50)
    targets = np.arange(50) % 10
    y, mixed = applied(MixUp(0.8, classes=10), x, targets)
    share = mixed[np.arange(50), targets]
    partner = np.roll(np.arange(50), 1)
    np.testing.assert_allclose(mixed[np.arange(50), targets[partner]], 1 - share)
    np.testing.assert_allclose(mixed.sum(axis=1), 1)
    for image in range(50):
        expected = share[image] * x[image] + (1 - share[image]) * x[partner[image]]
        np.testing.assert_allclose(y[image], expected, rtol=1e-12)
    assert share.min() < 0.1
    assert share.max() > 0.9


def test_cutmix_takes_a_rectangle_of_the_partner_and_shares_targets_by_area():
    x, targets = images(200), np.arange(200) % 10
    y, mixed = applied(CutMix(classes=10), x, targets)
    share = mixed[np.arange(200), targets]
    for image in range(200):
        mask = (y[image] != x[image]).all(axis=0)
        np.testing.assert_array_equal(y[image, :, mask], x[image - 1, :, mask])
        np.testing.assert_array_equal(y[image, :, ~mask], x[image, :, ~mask])
        if mask.any():
            rectangle(mask)
        np.testing.assert_allclose(share[image], 1 - mask.mean())
    assert mixed[np.arange(200), np.roll(targets, 1)] == pytest.approx(1 - share)


@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_distributions_are_mixed_as_classes_are(mixing):
    x, classes = images(20), np.arange(20) % 5
    y, expected = applied(mixing(classes=5), x, classes)
    other, mixed = applied(mixing(), x, np.eye(5, dtype=np.float32)[classes])
    np.testing.assert_array_equal(other, y)
    np.testing.assert_allclose(mixed, expected, rtol=1e-6)


@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_a_batch_of_one_image_is_left_as_it_is(mixing):
    x = images(1)
    y, mixed = applied(mixing(classes=3), x, np.array([2]))
    np.testing.assert_allclose(y, x, rtol=1e-12)
    np.testing.assert_allclose(mixed, [[0, 0, 1]])


@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_the_share_is_the_image_s_own_whatever_its_company(mixing):
    x = images(30)
    augment, targets = mixing(classes=2), np.zeros(30, np.int64)
    targets[10] = 1
    _, together = applied(augment, x, targets)
    _, fewer = augment(x[9:12], targets[9:12], Draws(0, 0, np.arange(9, 12)))
    assert fewer[1, 1] == together[10, 1]


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0, 3.0, 50.0])
def test_shares_follow_the_beta_distribution(alpha):
    share = draw_beta(Draws(1, 0, np.arange(20000)), alpha)
    variance = 1 / (4 * (2 * alpha + 1))
    kurtosis = 3 - 6 / (2 * alpha + 3)
    assert abs(share.mean() - 0.5) < 4 * math.sqrt(variance / 20000)
    assert abs(share.var() / variance - 1) < 4 * math.sqrt((kurtosis - 1) / 20000)
    stats = pytest.importorskip("scipy.stats", reason="compares with SciPy's distribution")
    assert stats.kstest(share, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1e6])
def test_shares_are_numbers_from_0_to_1_for_any_alpha(alpha):
    share = draw_beta(Draws(0, 0, np.arange(1000)), alpha)
    assert np.isfinite(share).all()
    assert share.min() >= 0
    assert share.max() <= 1


@pytest.mark.parametrize("mixing", [MixUp, CutMix])
def test_cross_entropy_takes_mixed_targets_as_pytorch_does(mixing):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    _, mixed = applied(mixing(classes=10), images(30))
    y = np.random.default_rng(0).normal(size=(30, 10))
    loss, grad = cn.CrossEntropyLoss(label_smoothing=0.1)(y, mixed)
    outputs = torch.tensor(y, requires_grad=True)
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(outputs, torch.tensor(mixed))
    expected.backward()
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(grad, outputs.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize(
    ("mixing", "targets", "error", "message"),
    [
        (MixUp(), np.zeros(4, int), ArgumentError, "MixUp: classes must be given where targets are class numbers."),
        (CutMix(classes=3), np.array([0, 1, 2, 3]), ArgumentError, "CutMix: class numbers must be in [0, 3), got 3."),
        (MixUp(classes=3), np.array([0, 1, 2, -1]), ArgumentError, "MixUp: class numbers must be in [0, 3), got -1."),
        (MixUp(classes=3), np.zeros(3, int), ShapeError, "MixUp: expected a target for each of 4 images, got 3."),
        (CutMix(classes=3), np.zeros((4, 2)), ShapeError, "CutMix: expected distributions over 3 classes, got 2."),
        (MixUp(classes=3), np.zeros(4), ShapeError, "MixUp: targets must be class numbers (n,) or distributions"),
        (MixUp(classes=3), np.zeros((4, 3), int), ShapeError, "got int64 of shape (4, 3)."),
    ],
)  # fmt: skip
def test_targets_that_can_not_be_mixed_are_refused(mixing, targets, error, message):
    with pytest.raises(error, match=re.escape(message)):
        applied(mixing, images(4), targets)
