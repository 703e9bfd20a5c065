"""Activations, forward and backward: of a tile inside any compiled function, and of whole arrays.

A kind of activation is a whole number, known when a function is compiled: `activate(RELU, tile, a, b)` becomes the few
instructions of that kind. a and b are its parameters, zero where it has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import types
from numba.extending import overload

from ..ops.gates import FARTHEST, LINEAR
from ..ops.gaussian import FARTHEST as ERF_END, SHORT, SHORT_END, TANH_CUBE, TANH_END, TANH_SCALE
from . import functions
from .compilation import compiled, inlined
from .elementwise import absolute, greatest, least, multiply_add, polynomial, square_root, where_equal, where_greater
from .runs import RUN, load_run, store_run

_gelu_gate = polynomial(*SHORT)


@inlined
def _identity(x, a, b):
    """y = x."""
    return x


@inlined
def _identity_gradient(y, grad_y, a, b):
    return grad_y


@inlined
def _relu(x, a, b):
    """y = max(x, 0)."""
    return greatest(x, 0.0)


@inlined
def _relu_gradient(y, grad_y, a, b):
    return grad_y * where_equal(y, 0.0, 0.0, 1.0)


@inlined
def _leaky_relu(x, a, b):
    """y = x where x > 0, else a · x."""
    if a == 0.0:  # not zero by infinity
        return greatest(x, 0.0)
    return where_greater(x, 0.0, x, x * a)


@inlined
def _leaky_relu_gradient(x, grad_y, a, b):
    return grad_y * where_greater(x, 0.0, 1.0, a)


@inlined
def _clip(x, a, b):
    """y = min(max(x, a), b): Hardtanh, ReLU6."""
    return least(greatest(x, a), b)


@inlined
def _clip_gradient(y, grad_y, a, b):
    return grad_y * where_greater(y, a, where_greater(b, y, 1.0, 0.0), 0.0)


@inlined
def _threshold(x, a, b):
    """y = x where x > a, else b."""
    return where_greater(x, a, x, where_equal(x, x, b, x))  # NaN is not equal to itself, and stays


@inlined
def _threshold_gradient(x, grad_y, a, b):
    return grad_y * where_greater(x, a, 1.0, where_equal(x, x, 0.0, 1.0))


@inlined
def _elu(x, a, b):
    """y = b · x where x > 0, else a (eˣ − 1): ELU with b = 1, SELU with b its scale and a = b · α."""
    return where_greater(x, 0.0, x * b, functions.expm1(least(x, 0.0)) * a)


@inlined
def _elu_gradient(x, grad_y, a, b):
    return grad_y * where_greater(x, 0.0, b, functions.exp(least(x, 0.0)) * a)


@inlined
def _celu(x, a, b):
    """y = max(x, 0) + a (exp(min(x, 0) / a) − 1)."""
    return where_greater(x, 0.0, x, functions.expm1(least(x, 0.0) / a) * a)


@inlined
def _celu_gradient(x, grad_y, a, b):
    return grad_y * functions.exp(least(x, 0.0) / a)


@inlined
def _softplus(x, a, b):
    """y = log(1 + exp(a x)) / a, and x where a x > b."""
    return where_greater(x, b / a, x, functions.softplus(x * a) * (1.0 / a))


@inlined
def _softplus_gradient(x, grad_y, a, b):
    return grad_y * where_greater(x, b / a, 1.0, functions.sigmoid(x * a))


@inlined
def _softsign(x, a, b):
    """y = x / (1 + |x|), for |x| up to 10³⁰: beyond, y is ±1."""
    x = least(greatest(x, -1e30), 1e30)
    return x / (absolute(x) + 1.0)


@inlined
def _softsign_gradient(y, grad_y, a, b):
    root = 1.0 - absolute(y)
    return grad_y * (root * root)


@inlined
def _tanh(x, a, b):
    """y = tanh x."""
    return functions.tanh(x)


@inlined
def _tanh_gradient(y, grad_y, a, b):
    return grad_y * (1.0 - y * y)


@inlined
def _sigmoid(x, a, b):
    """y = 1 / (1 + e⁻ˣ)."""
    return functions.sigmoid(x)


@inlined
def _sigmoid_gradient(y, grad_y, a, b):
    return grad_y * ((1.0 - y) * y)


@inlined
def _hardsigmoid(x, a, b):
    """y = min(max(x / 6 + ½, 0), 1)."""
    return least(greatest(x * (1 / 6) + 0.5, 0.0), 1.0)


@inlined
def _hardsigmoid_gradient(y, grad_y, a, b):
    return _clip_gradient(y, grad_y, 0.0, 1.0) * (1 / 6)


@inlined
def _hardswish(x, a, b):
    """y = x · min(max(x / 6 + ½, 0), 1)."""
    return greatest(x, -3.0) * _hardsigmoid(x, a, b)  # the gate is shut there


@inlined
def _hardswish_gradient(x, grad_y, a, b):
    gate = _hardsigmoid(x, a, b)
    x = least(greatest(x, -3.0), 3.0)
    return grad_y * (gate + x * _clip_gradient(gate, x * 0.0 + 1 / 6, 0.0, 1.0))


@inlined
def _silu(x, a, b):
    """y = x σ(x)."""
    return greatest(x, -FARTHEST) * functions.sigmoid(x)


@inlined
def _silu_gradient(x, grad_y, a, b):
    gate = functions.sigmoid(x)
    x = least(greatest(x, -FARTHEST), FARTHEST)
    return grad_y * (gate * multiply_add(x, 1.0 - gate, 1.0))


@inlined
def _mish_gate(power):
    """tanh(log(1 + e)) = n / (n + 2), with n = e (e + 2)."""
    n = power * (power + 2.0)
    return n / (n + 2.0)


@inlined
def _mish(x, a, b):
    """y = x tanh(log(1 + eˣ))."""
    return greatest(x, -FARTHEST) * _mish_gate(functions.exp(least(x, LINEAR)))


@inlined
def _mish_gradient(x, grad_y, a, b):
    power = functions.exp(least(x, LINEAR))
    gate = _mish_gate(power)
    x = least(greatest(x, -FARTHEST), FARTHEST)
    return grad_y * multiply_add(x * (power / (power + 1.0)), 1.0 - gate * gate, gate)


@inlined
def _normal(x):
    """Φ(x) = σ(2 x G(x²)), G the polynomial of `ops.gaussian`, for |x| up to SHORT_END; zero at its lower end."""
    return where_greater(x, -SHORT_END, functions.sigmoid(x * _gelu_gate(x * x) * 2.0), x * 0.0)


@inlined
def _gelu(x, a, b):
    """y = x Φ(x)."""
    x = greatest(x, -SHORT_END)
    return x * _normal(least(x, SHORT_END))


@inlined
def _gelu_gradient(x, grad_y, a, b):
    """Φ(x) + x φ(x)."""
    x = least(greatest(x, -SHORT_END), SHORT_END)
    density = functions.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
    return grad_y * multiply_add(x, density, _normal(x))


@inlined
def _gelu_tanh(x, a, b):
    """y = x σ(2 √(2/π) (x + 0.044715 x³)) = ½ x (1 + tanh(…))."""
    x = greatest(x, -TANH_END)  # where the gate is all but zero: a larger x would still show
    bounded = least(x, TANH_END)
    return x * functions.sigmoid(bounded * multiply_add(bounded * bounded, TANH_CUBE, 1.0) * (2 * TANH_SCALE))


@inlined
def _gelu_tanh_gradient(x, grad_y, a, b):
    """σ + 2 x σ (1 − σ) √(2/π) (1 + 3 · 0.044715 x²)."""
    x = least(greatest(x, -TANH_END), TANH_END)
    square = x * x * TANH_CUBE
    gate = functions.sigmoid(x * (square + 1.0) * (2 * TANH_SCALE))
    slope = multiply_add(square, 6 * TANH_SCALE, 2 * TANH_SCALE) * x
    return grad_y * multiply_add(slope, gate * (1.0 - gate), gate)


@inlined
def _exp(x, a, b):
    """y = eˣ."""
    return functions.exp(x)


@inlined
def _exp_gradient(y, grad_y, a, b):
    return grad_y * y


@inlined
def _log(x, a, b):
    """y = log x."""
    return functions.log(x)


@inlined
def _log_gradient(x, grad_y, a, b):
    return grad_y / x


@inlined
def _sqrt(x, a, b):
    """y = √x."""
    return square_root(x)


@inlined
def _sqrt_gradient(y, grad_y, a, b):
    return grad_y / y * 0.5


@inlined
def _reciprocal(x, a, b):
    """y = 1 / x."""
    return 1.0 / x


@inlined
def _reciprocal_gradient(y, grad_y, a, b):
    return grad_y * (y * y) * -1.0


@inlined
def _square(x, a, b):
    """y = x²."""
    return x * x


@inlined
def _square_gradient(x, grad_y, a, b):
    return grad_y * (x * 2.0)


@inlined
def _abs(x, a, b):
    """y = |x|."""
    return absolute(x)


@inlined
def _abs_gradient(x, grad_y, a, b):
    return grad_y * where_greater(x, 0.0, 1.0, where_greater(0.0, x, -1.0, x))  # zero and NaN are their own signs


@inlined
def _erf(x, a, b):
    """y = erf x."""
    return functions.erf(x)


@inlined
def _erf_gradient(x, grad_y, a, b):
    x = least(greatest(x, -ERF_END), ERF_END)
    return grad_y * (functions.exp(x * x * -1.0) * (2 / math.sqrt(math.pi)))


@inlined
def _affine(x, a, b):
    """y = a x + b."""
    return x * a + b


@inlined
def _affine_gradient(y, grad_y, a, b):
    return grad_y * a


class Kind(NamedTuple):
    """An activation: its two functions of a tile, and what the gradient reads, the layer's output or its input."""

    forward: Callable[..., Any]
    gradient: Callable[..., Any]
    reads: Literal["output", "input", "nothing"]


# A kind's number is its place here.
KINDS = (
    Kind(_identity, _identity_gradient, "nothing"),
    Kind(_relu, _relu_gradient, "output"),
    Kind(_leaky_relu, _leaky_relu_gradient, "input"),  # with a ≥ 0 the output does as well: it has the same sign
    Kind(_clip, _clip_gradient, "output"),
    Kind(_threshold, _threshold_gradient, "input"),
    Kind(_elu, _elu_gradient, "input"),
    Kind(_celu, _celu_gradient, "input"),
    Kind(_softplus, _softplus_gradient, "input"),
    Kind(_softsign, _softsign_gradient, "output"),
    Kind(_tanh, _tanh_gradient, "output"),
    Kind(_sigmoid, _sigmoid_gradient, "output"),
    Kind(_hardsigmoid, _hardsigmoid_gradient, "output"),
    Kind(_hardswish, _hardswish_gradient, "input"),
    Kind(_silu, _silu_gradient, "input"),
    Kind(_mish, _mish_gradient, "input"),
    Kind(_gelu, _gelu_gradient, "input"),
    Kind(_gelu_tanh, _gelu_tanh_gradient, "input"),
    Kind(_exp, _exp_gradient, "output"),
    Kind(_log, _log_gradient, "input"),
    Kind(_sqrt, _sqrt_gradient, "output"),
    Kind(_reciprocal, _reciprocal_gradient, "output"),
    Kind(_square, _square_gradient, "input"),
    Kind(_abs, _abs_gradient, "input"),
    Kind(_erf, _erf_gradient, "input"),
    Kind(_affine, _affine_gradient, "nothing"),
)
(
    IDENTITY,
    RELU,
    LEAKY_RELU,
    CLIP,
    THRESHOLD,
    ELU,
    CELU,
    SOFTPLUS,
    SOFTSIGN,
    TANH,
    SIGMOID,
    HARDSIGMOID,
    HARDSWISH,
    SILU,
    MISH,
    GELU,
    GELU_TANH,
    EXP,
    LOG,
    SQRT,
    RECIPROCAL,
    SQUARE,
    ABS,
    ERF,
    AFFINE,
) = range(len(KINDS))


class Activation(NamedTuple):
    """An activation as compiled functions know it: the number of its kind, and its parameters."""

    kind: int = IDENTITY
    a: np.float32 = np.float32(0)
    b: np.float32 = np.float32(0)

    @property
    def reads(self) -> set[str]:
        """What its gradient reads."""
        reads = KINDS[self.kind].reads
        return set() if reads == "nothing" else {reads}


# Nothing: y = x.
NONE = Activation()


def activate(kind: int, x: Any, a: float, b: float) -> Any:
    """Of a tile x, in compiled code: the activation of that kind with the parameters a and b."""
    raise NotImplementedError("activate: of tiles only, in compiled functions.")


def activation_gradient(kind: int, known: Any, grad_y: Any, a: float, b: float) -> Any:
    """Of tiles, in compiled code: grad_x from grad_y and what the kind reads, its input or its output."""
    raise NotImplementedError("activation_gradient: of tiles only, in compiled functions.")


_options = {"error_model": "numpy", "forceinline": True}


@overload(activate, strict=False, prefer_literal=True, jit_options=_options)
def _activate(kind: Any, x: Any, a: Any, b: Any) -> Any:
    if not isinstance(kind, types.IntegerLiteral):
        return None
    function = KINDS[kind.literal_value].forward
    return lambda kind, x, a, b: function(x, a, b)


@overload(activation_gradient, strict=False, prefer_literal=True, jit_options=_options)
def _activation_gradient(kind: Any, known: Any, grad_y: Any, a: Any, b: Any) -> Any:
    if not isinstance(kind, types.IntegerLiteral):
        return None
    function = KINDS[kind.literal_value].gradient
    return lambda kind, known, grad_y, a, b: function(known, grad_y, a, b)


@lru_cache
def activation_forward(kind: int) -> Callable[..., None]:
    """The function that writes y = activation(x), for arrays of one size; y may be x."""

    @compiled
    def forward(x, a, b, y):
        if x.size != y.size:
            raise ValueError("activation_forward: x and y must be of one size.")
        for i in range(0, x.size, RUN):
            store_run(activate(kind, load_run(x, i), a, b), y, i)

    return forward


@lru_cache
def activation_backward(kind: int) -> Callable[..., None]:
    """The function that writes grad_x, for arrays of one size; grad_x may be grad_y.

    `known` is the input or the output of the forward pass, as `KINDS[kind].reads` says.
    """

    @compiled
    def backward(known, grad_y, a, b, grad_x):
        if known.size != grad_x.size or grad_y.size != grad_x.size:
            raise ValueError("activation_backward: known, grad_y and grad_x must be of one size.")
        for i in range(0, grad_x.size, RUN):
            grad = activation_gradient(kind, load_run(known, i), load_run(grad_y, i), a, b)
            store_run(grad, grad_x, i)

    return backward
