from __future__ import annotations

import numpy as np

from colonnade.layers.standardization import LayerNorm, LayerNorm2d
from tests.layers.passes import laid, passes


def test_layer_norm_of_images_is_layer_norm_of_each_pixels_channels() -> None:
    rng = np.random.default_rng(0)
    x, grad_y = (laid(rng.normal(size=(2, 6, 3, 4))) for _ in range(2))
    y, grad_x = passes(LayerNorm2d(6, eps=1e-5, affine=False), x, grad_y)
    rows, grad_rows = (array.transpose(0, 2, 3, 1).reshape(-1, 6) for array in (x, grad_y))
    expected, grad_expected = passes(LayerNorm(6, elementwise_affine=False), rows, grad_rows)
    np.testing.assert_allclose(y.transpose(0, 2, 3, 1).reshape(-1, 6), expected, rtol=1e-12)
    np.testing.assert_allclose(grad_x.transpose(0, 2, 3, 1).reshape(-1, 6), grad_expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(y.mean(axis=1), 0, atol=1e-12)
