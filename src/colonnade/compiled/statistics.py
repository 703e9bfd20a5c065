"""What a batch norm makes of its sums, compiled: few numbers, once a pass, while all workers wait."""

from __future__ import annotations

import math

import numpy as np

from .compilation import compiled


@compiled
def batch_norm_statistics(lanes, size, weight, bias, eps, running, share, statistics, vectors):
    """From moments of the lanes to μ and σ², and to what y = (x − centre) · scale + shift reads.

    Args:
        lanes: (lanes, 4, c): of each the count, m, mean − m and Σ(x − mean)², as `batch_norm_moments` joins them.
        size: How many numbers of a channel there are.
        weight: γ, (c,) or empty for one.
        bias: β, (c,) or empty for zero.
        eps: ε.
        running: Running mean and variance, (c,) each or empty for none: they move by `share` towards this batch's.
        share: The weight of this batch in them.
        statistics: Written: (2, c) in float64, μ and σ².
        vectors: Written: (3, c) in float32, centre, scale and shift.
    """
    channels = vectors.shape[1]
    mean, variance = running
    if lanes.shape[1] != 4 or lanes.shape[2] != channels or statistics.shape != (2, channels) or len(vectors) != 3:
        raise ValueError("batch_norm_statistics: moments (lanes, 4, c), statistics (2, c) and vectors (3, c)")
    if max(weight.size % channels, bias.size % channels, mean.size % channels, variance.size % channels):
        raise ValueError("batch_norm_statistics: parameters and running statistics must be (c,), or empty")
    for c in range(channels):
        # As `join_moments`, of all at once: about m of the first lane.
        near, count, moved = lanes[0, 1, c], 0.0, 0.0
        for lane in range(len(lanes)):
            count += lanes[lane, 0, c]
            moved += lanes[lane, 0, c] * (lanes[lane, 1, c] - near + lanes[lane, 2, c])
        moved /= count
        squares = 0.0
        for lane in range(len(lanes)):
            apart = lanes[lane, 1, c] - near + lanes[lane, 2, c] - moved
            squares += lanes[lane, 3, c] + lanes[lane, 0, c] * apart**2
        mu, var = near + moved, squares / size
        if var < 0:
            var = 0.0
        statistics[0, c], statistics[1, c] = mu, var
        if mean.size:
            mean[c] = mean[c] + share * (mu - mean[c])
            variance[c] = variance[c] + share * (var * (size / (size - 1)) - variance[c])
        centre = np.float32(mu)
        scale = (np.float64(weight[c]) if weight.size else 1.0) / math.sqrt(var + eps)
        shift = np.float64(bias[c]) if bias.size else 0.0
        vectors[0, c], vectors[1, c], vectors[2, c] = centre, scale, shift - (mu - centre) * scale


@compiled
def batch_norm_gradients(lanes, size, weight, eps, statistics, centre, gradients, vectors):
    """From the lanes' sums to the gradients of γ and β, and to what the gradient at the input reads.

    Args:
        lanes: (lanes, 4, c): of each Σ grad_y and Σ grad_y · (x − centre), and two rows that nobody reads.
        size: How many numbers of a channel there are.
        weight: γ, (c,) or empty for one.
        eps: ε.
        statistics: (2, c), μ and σ².
        centre: (c,): μ as float32 tells it.
        gradients: Written: (2, c) in float64, of γ and of β.
        vectors: Written: (3, c) in float32: grad_x = v₀ · grad_y + v₁ · (x − centre) + v₂.
    """
    channels = vectors.shape[1]
    if lanes.shape[1] != 4 or lanes.shape[2] != channels or statistics.shape != (2, channels) or len(vectors) != 3:
        raise ValueError("batch_norm_gradients: sums (lanes, 4, c), statistics (2, c) and vectors (3, c)")
    if gradients.shape != (2, channels) or centre.size != channels or weight.size % channels:
        raise ValueError("batch_norm_gradients: gradients (2, c), centre (c,), weight (c,) or empty")
    for c in range(channels):
        of_grad, products = 0.0, 0.0
        for lane in range(len(lanes)):
            of_grad += lanes[lane, 0, c]
            products += lanes[lane, 1, c]
        missed = statistics[0, c] - centre[c]
        products -= missed * of_grad
        inverse = 1.0 / math.sqrt(statistics[1, c] + eps)
        scale = (np.float64(weight[c]) if weight.size else 1.0) * inverse
        of_x = -scale * inverse * inverse * products / size
        gradients[0, c], gradients[1, c] = products * inverse, of_grad
        vectors[0, c], vectors[1, c] = scale, of_x
        vectors[2, c] = -scale * of_grad / size - of_x * missed
