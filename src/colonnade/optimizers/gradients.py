"""Gradients held within bounds, before a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from .. import arguments
from ..errors import DivergenceError
from ..ops.layout import Array
from ..tensor import Parameter, contiguous_runs
from .base import CHUNK


def clip_grad_norm(
    parameters: Iterable[Parameter], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> float:
    """Scale all gradients together so that their norm, as one vector, is at most `max_norm`.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6)),  ‖g‖ = (Σ |g|ᵖ)^(1/p)

    Args:
        parameters: Whose gradients.
        max_norm: The greatest norm.
        norm_type: p; infinity for the greatest absolute value.
        error_if_nonfinite: Refuse a norm that is NaN or infinite; otherwise the gradients become NaN or zero.

    Returns:
        The norm before, in float64.

    Raises:
        ArgumentError: A negative norm, or p that is not positive.
        DivergenceError: A norm that is no finite number, if that was asked for.

    Pascanu et al. 2013, arXiv:1211.5063; after torch.nn.utils.clip_grad_norm_.
    """
    max_norm = arguments.number("clip_grad_norm", "max_norm", max_norm, 0, finite=False)
    norm_type = arguments.number("clip_grad_norm", "norm_type", norm_type, above=0, finite=False)
    parameters = list(parameters)
    with np.errstate(over="ignore", invalid="ignore"):
        norm = _norm(parameters, norm_type)
        if error_if_nonfinite and not math.isfinite(norm):
            raise DivergenceError(f"clip_grad_norm: expected gradients of a finite norm, got {norm}.")
        factor = max_norm / (norm + 1e-6)
        if not factor >= 1:  # so written that NaN is handed on
            for chunk in _chunks(parameters):
                np.multiply(chunk, factor, out=chunk)
    return norm


def _norm(parameters: list[Parameter], p: float) -> float:
    if p == math.inf:
        return float(np.max([np.abs(chunk).max() for chunk in _chunks(parameters)], initial=0))
    if p == 2:
        return math.sqrt(sum(float(np.dot(chunk, chunk)) for chunk in _chunks(parameters)))
    return float(sum(float(np.sum(np.abs(chunk) ** p, dtype=np.float64)) for chunk in _chunks(parameters)) ** (1 / p))


def clip_grad_value(parameters: Iterable[Parameter], clip_value: float) -> None:
    """Cut every number of the gradients to [−clip_value, clip_value].

    Raises:
        ArgumentError: A negative value.
    """
    clip_value = arguments.number("clip_grad_value", "clip_value", clip_value, 0, finite=False)
    for chunk in _chunks(list(parameters)):
        np.clip(chunk, -clip_value, clip_value, out=chunk)


def _chunks(parameters: list[Parameter]) -> Iterator[Array]:
    """The gradients, piece by piece: views that stay in cache."""
    for buffer, run in contiguous_runs(parameters):
        for start in range(run.start, run.stop, CHUNK):
            yield buffer.grad[start : min(start + CHUNK, run.stop)]
