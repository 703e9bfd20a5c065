"""Changes of colour, and the operations of RandAugment, against Pillow, colorsys and closed forms."""

import colorsys
import math

import numpy as np
import pytest

from colonnade.data.augmentation import ColorJitter, RandAugment, RandomRotation, adjustments
from colonnade.data.augmentation.policy import OPERATIONS
from colonnade.data.augmentation.sampling import sample
from colonnade.data.draws import Draws

LABELS = np.zeros(0, np.int64)


def photographs(n=4, channels=3, height=20, width=15):
    """Bytes (n, h, w, c) without the darkest and the brightest, so that contrast can still be stretched."""
    rng = np.random.default_rng(5)
    smooth = (
        rng.random((n, 1, 1, channels)) + np.linspace(0, 1, width)[:, None] + np.linspace(0, 1, height)[:, None, None]
    )
    noisy = smooth + 0.3 * rng.random((n, height, width, channels))
    return (20 + 200 * noisy / noisy.max()).astype(np.uint8)


def changed(adjust, pixels, amount=None):
    """The bytes (n, h, w, c) as numbers from 0 to 255 after an adjustment by one amount."""
    x = (pixels / 255).astype(np.float32)
    adjust(x) if amount is None else adjust(x, np.full(len(x), amount))
    return x * 255


def pillow(change, pixels):
    """What `change` makes of each image in Pillow."""
    image = pytest.importorskip("PIL.Image")
    return np.stack([np.asarray(change(image.fromarray(each.squeeze()))).reshape(each.shape) for each in pixels])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("adjust", "name"),
    [
        (adjustments.adjust_brightness, "Brightness"),
        (adjustments.adjust_contrast, "Contrast"),
        (adjustments.adjust_saturation, "Color"),
        (adjustments.adjust_sharpness, "Sharpness"),
    ],
)
def test_factors_do_what_pillow_s_do(adjust, name, channels, factor):
    enhance = getattr(pytest.importorskip("PIL.ImageEnhance"), name)
    pixels = photographs(channels=channels)
    expected = pillow(lambda image: enhance(image).enhance(factor), pixels)
    # Pillow rounds its grey, its mean and its smooth image to bytes before it mixes, and then cuts to a byte.
    np.testing.assert_allclose(changed(adjust, pixels, factor), expected, atol=1 + max(1, abs(1 - factor)))


def test_contrast_of_a_closed_form():
    x = np.array([0.2, 0.4, 0.6, 0.8]).reshape(1, 2, 2, 1)
    adjustments.adjust_contrast(x, np.array([1.5]))
    np.testing.assert_allclose(x.ravel(), [0.05, 0.35, 0.65, 0.95])
    two = np.array([[0.1, 0.3], [0.5, 0.7]]).reshape(1, 1, 2, 2)  # of another channel count: the plain mean, 0.4
    adjustments.adjust_contrast(two, np.array([0.5]))
    np.testing.assert_allclose(two.ravel(), [0.25, 0.35, 0.45, 0.55])


@pytest.mark.parametrize("shift", [-0.5, -0.21, 0.0, 0.1, 0.34, 0.5])
def test_hue_is_turned_as_in_colorsys(shift):
    x = np.random.default_rng(0).random((2, 6, 7, 3))
    corners = np.array(np.meshgrid([0, 0.5, 1], [0, 0.5, 1], [0, 0.5, 1])).reshape(3, -1).T  # grey and pure colours
    x[:, :4].reshape(2, -1, 3)[:, :27] = corners
    expected = np.empty_like(x)
    for place in np.ndindex(x.shape[:3]):
        hue, saturation, value = colorsys.rgb_to_hsv(*x[place])
        expected[place] = colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value)
    adjustments.adjust_hue(x, np.full(2, shift))
    np.testing.assert_allclose(x, expected, atol=1e-12)


@pytest.mark.parametrize("bits", range(9))
def test_posterize_keeps_the_upper_bits(bits):
    pixels = photographs()
    np.testing.assert_allclose(
        changed(adjustments.posterize, pixels, bits), pixels & (0xFF00 >> bits & 0xFF), atol=1e-4
    )


@pytest.mark.parametrize("threshold", [0, 77, 128, 255, 256])
def test_solarize_inverts_what_is_bright(threshold):
    pixels = photographs()
    np.testing.assert_allclose(
        changed(adjustments.solarize, pixels, threshold / 255),
        np.where(pixels >= threshold, 255 - pixels, pixels),
        atol=1e-4,
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_autocontrast_and_equalize_are_pillow_s(channels):
    operations = pytest.importorskip("PIL.ImageOps")
    pixels = photographs(channels=channels)
    pixels[0, ..., 0] = 99  # a channel that does not change
    pixels[1, ..., -1] = np.where(pixels[1, ..., -1] > 128, 250, 3)  # and one of two levels
    np.testing.assert_allclose(changed(adjustments.equalize, pixels), pillow(operations.equalize, pixels), atol=1e-4)
    # Pillow cuts to a byte where we keep the fraction.
    np.testing.assert_allclose(
        changed(adjustments.autocontrast, pixels), pillow(operations.autocontrast, pixels), atol=1
    )


def test_images_of_one_channel_have_neither_saturation_nor_hue():
    x = np.random.default_rng(0).random((3, 1, 5, 6), dtype=np.float32)
    y, _ = ColorJitter(saturation=0.9, hue=0.5)(x, LABELS, Draws(0, 0, np.arange(3)))
    np.testing.assert_array_equal(y, x)


def test_jitter_draws_factors_within_their_bounds_for_each_image():
    x = np.full((3000, 1, 1, 1), 0.25)
    y, _ = ColorJitter(brightness=0.5)(x, LABELS, Draws(0, 0, np.arange(3000)))
    factor = y.ravel() / 0.25
    assert 0.5 <= factor.min() < 0.51
    assert 1.49 < factor.max() <= 1.5
    assert abs(factor.mean() - 1) < 4 * math.sqrt(1 / 12 / 3000)


def test_jitter_is_brightness_contrast_saturation_and_hue_in_this_order():
    x = (photographs() / 255).astype(np.float64).transpose(0, 3, 1, 2)
    y, _ = ColorJitter((1.2, 1.2), (0.7, 0.7), (1.9, 1.9), (0.1, 0.1))(x, LABELS, Draws(0, 0, np.arange(4)))
    expected = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    adjustments.adjust_brightness(expected, np.full(4, 1.2))
    adjustments.adjust_contrast(expected, np.full(4, 0.7))
    adjustments.adjust_saturation(expected, np.full(4, 1.9))
    adjustments.adjust_hue(expected, np.full(4, 0.1))
    np.testing.assert_array_equal(y.transpose(0, 2, 3, 1), expected)


def operated(name, sign, x, **arguments):
    """The images (n, h, w, c) after one operation of RandAugment."""
    y = x.copy()
    RandAugment(**arguments).change(y, np.full(len(x), OPERATIONS.index(name)), np.full(len(x), float(sign)))
    return y


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(
    ("name", "adjust"),
    [
        ("Brightness", adjustments.adjust_brightness),
        ("Color", adjustments.adjust_saturation),
        ("Contrast", adjustments.adjust_contrast),
        ("Sharpness", adjustments.adjust_sharpness),
    ],
)
def test_randaugment_s_factors_follow_the_magnitude(name, adjust, sign):
    x = photographs() / 255
    expected = x.copy()
    adjust(expected, np.full(4, 1 + sign * 0.9 * 12 / 30))
    np.testing.assert_allclose(operated(name, sign, x, magnitude=12), expected, rtol=1e-12)


def test_randaugment_s_other_operations_follow_the_magnitude():
    pixels = photographs()
    x = pixels / 255
    np.testing.assert_array_equal(operated("Identity", 1, x), x)
    # 8 − 4 · 9 / 30 = 6.8, rounded 7 bits; a threshold of 1 − 9 / 30
    np.testing.assert_allclose(operated("Posterize", 1, x) * 255, pixels & 0b11111110)
    np.testing.assert_allclose(operated("Solarize", -1, x), np.where(x >= 0.7, 1 - x, x))
    for name in ("AutoContrast", "Equalize"):
        expected = x.copy()
        getattr(adjustments, name.lower())(expected)
        np.testing.assert_array_equal(operated(name, 1, x), expected)


@pytest.mark.parametrize("sign", [-1, 1])
def test_randaugment_s_moves_follow_the_magnitude(sign):
    x = photographs(height=20, width=15) / 255
    strength = 9 / 30
    turned, _ = RandomRotation((sign * 30 * strength,) * 2, "bilinear", fill=0.5)(
        x.transpose(0, 3, 1, 2), LABELS, Draws(0, 0, np.arange(4))
    )
    options = {"interpolation": "bilinear", "fill": 0.5}
    np.testing.assert_allclose(operated("Rotate", sign, x, **options), turned.transpose(0, 2, 3, 1), atol=1e-12)
    right = sign * int(150 / 331 * 15 * strength)
    expected = np.full_like(x, 0.5)
    expected[:, :, max(right, 0) : 15 + min(right, 0)] = x[:, :, max(-right, 0) : 15 - max(right, 0)]
    np.testing.assert_array_equal(operated("TranslateX", sign, x, **options), expected)
    down = sign * int(150 / 331 * 20 * strength)
    expected = np.full_like(x, 0.5)
    expected[:, max(down, 0) : 20 + min(down, 0)] = x[:, max(-down, 0) : 20 - max(down, 0)]
    np.testing.assert_array_equal(operated("TranslateY", sign, x, **options), expected)
    # A shear moves a row in proportion to its distance from the image's upper edge, the middle of row 0 by half a step.
    for name, axis in (("ShearX", 2), ("ShearY", 1)):
        y = operated(name, sign, x, **options)
        slope = sign * 0.3 * strength
        one, nought, shift = np.ones(4), np.zeros(4), np.full(4, slope / 2)
        across = (one, one * slope, shift, nought, one, nought)
        along = (one, nought, nought, one * slope, one, shift)
        naive = sample(x, across if axis == 2 else along, "bilinear", np.full(3, 0.5))
        np.testing.assert_allclose(y, naive, atol=1e-12)


def test_randaugment_of_magnitude_0_leaves_bytes_alone():
    x = photographs() / 255
    for name in (*OPERATIONS[:10], "Posterize", "Solarize"):
        np.testing.assert_allclose(operated(name, 1, x, magnitude=0), x, atol=1e-12, err_msg=name)


def test_randaugment_draws_all_operations_alike_and_num_ops_of_them(monkeypatch):
    seen = []
    monkeypatch.setattr(RandAugment, "change", lambda self, x, operation, sign: seen.append((operation, sign)))
    x = np.zeros((2800, 1, 2, 2))
    RandAugment(num_ops=3)(x, LABELS, Draws(0, 0, np.arange(2800)))
    assert len(seen) == 3
    counts = np.bincount(np.concatenate([operation for operation, _ in seen]), minlength=14)
    expected = 3 * 2800 / 14
    assert len(counts) == 14 == len(OPERATIONS)
    assert ((counts - expected) ** 2 / expected).sum() < 34.5  # 99.9 % of chi-squared with 13 degrees of freedom
    signs = np.concatenate([sign for _, sign in seen])
    assert set(signs) == {-1, 1}
    assert abs(signs.mean()) < 4 / math.sqrt(len(signs))
    assert not np.array_equal(seen[0][0], seen[1][0])


@pytest.mark.parametrize("size", [(2, 9), (9, 2), (1, 1)])
def test_sharpness_leaves_images_without_inner_pixels(size):
    x = np.random.default_rng(0).random((2, *size, 3))
    kept = x.copy()
    adjustments.adjust_sharpness(x, np.full(2, 1.9))
    np.testing.assert_array_equal(x, kept)
