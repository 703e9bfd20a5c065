"""Functions of each number of a tile: exponential, logarithm, tanh, sigmoid, erf.

They are right to about two last digits of float32 everywhere, denormals included, and carry NaN and the infinities as
NumPy does. The polynomials were fitted in float64 for the least largest error.
"""

from __future__ import annotations

import math

from .compilation import inlined
from .elementwise import (
    absolute,
    copy_sign,
    exponent,
    greatest,
    least,
    mantissa,
    multiply_add,
    nearest,
    polynomial,
    power_of_two,
    where_equal,
    where_greater,
)

LOG2_E, SQRT_2 = 1 / math.log(2), math.sqrt(2)
# ln 2 in two parts: whole numbers times the first are exact.
LN2_HIGH = 0.693359375
LN2_LOW = math.log(2) - LN2_HIGH

# (eʳ − 1 − r) / r² for |r| ≤ ½ ln 2 (Cephes).
_beyond_linear = polynomial(
    5.0000001201e-1, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4
)
# 2 artanh(s) / s by s², for s up to ⅓.
_artanh = polynomial(
    1.9999999997987592,
    0.6666667949073312,
    0.3999867763577855,
    0.28621058265624566,
    0.21389773846491605,
    0.24425654602777358,
)
# erf(x) / x by x², for x up to ERF_SMALL; log(1 − erf(x)) from there to ERF_END, where erf is 1 to the last digit.
ERF_SMALL, ERF_END = 0.93, 4.0
_erf_small = polynomial(
    1.1283791666423268,
    -0.37612633697105524,
    0.11283693942142804,
    -0.02685927078458453,
    0.0052006343065358835,
    -0.0008137437569679364,
    8.345224915785014e-05,
)
_log_erfc = polynomial(
    -0.00020700850781432144,
    -1.127627400582139,
    -0.6372657522668306,
    -0.1038563744747653,
    0.02218977683611026,
    -0.0030336924386716066,
    0.00019494676167521036,
)


@inlined
def _reduce(x):
    """n and eʳ − 1 with x = n ln 2 + r, n whole and |r| ≤ ½ ln 2."""
    n = nearest(x * LOG2_E)
    r = multiply_add(n, -LN2_LOW, multiply_add(n, -LN2_HIGH, x))
    return n, multiply_add(_beyond_linear(r), r * r, r)


@inlined
def exp(x):
    """eˣ = 2ⁿ eʳ."""
    n, grown = _reduce(least(greatest(x, -104.0), 89.0))
    # In two factors, since 2ⁿ by itself may be no float32 where the result is one.
    half = nearest(n * 0.5)
    return (grown + 1.0) * power_of_two(half) * power_of_two(n - half)


@inlined
def expm1(x):
    """eˣ − 1 = 2ⁿ (eʳ − 1) + (2ⁿ − 1), for x up to 88: right near zero too."""
    n, grown = _reduce(least(greatest(x, -80.0), 88.0))
    power = power_of_two(n)
    return multiply_add(grown, power, power - 1.0)


@inlined
def log(x):
    """log x = e ln 2 + log m, with x = m 2ᵉ and ½√2 ≤ m < √2; log m = 2 artanh((m − 1) / (m + 1))."""
    denormal = where_greater(1.1754944e-38, x, 1.0, 0.0)
    scaled = where_greater(denormal, 0.5, x * 16777216.0, x)
    e, m = exponent(scaled), mantissa(scaled)
    large = where_greater(m, SQRT_2, 1.0, 0.0)
    e = multiply_add(denormal, -24.0, e + large)
    m = where_greater(large, 0.5, m * 0.5, m)
    s = (m - 1.0) / (m + 1.0)
    found = multiply_add(e, LN2_HIGH, multiply_add(e, LN2_LOW, s * _artanh(s * s)))
    found = where_equal(x, math.inf, x, found)
    found = where_equal(x, 0.0, -math.inf, found)
    return where_greater(x, -0.0, found, where_equal(x, 0.0, found, math.nan))


@inlined
def log1p_of_share(x):
    """log(1 + x) = 2 artanh(x / (2 + x)), for x from 0 to 1."""
    s = x / (x + 2.0)
    return s * _artanh(s * s)


@inlined
def tanh(x):
    """tanh x = (e²ˣ − 1) / (e²ˣ + 1), which is ±1 to the last digit from 10 on."""
    grown = expm1(least(absolute(x), 10.0) * 2.0)
    return copy_sign(grown / (grown + 2.0), x)


@inlined
def sigmoid(x):
    """1 / (1 + e⁻ˣ); where the exponential overflows it is 0."""
    return 1.0 / (exp(x * -1.0) + 1.0)


@inlined
def erf(x):
    """2/√π ∫₀ˣ exp(−t²) dt, by two polynomials."""
    size = least(absolute(x), ERF_END)
    large = 1.0 - exp(_log_erfc(size))
    return copy_sign(where_greater(size, ERF_SMALL, large, size * _erf_small(size * size)), x)


@inlined
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + exp(−|x|))."""
    return greatest(x, 0.0) + log1p_of_share(exp(absolute(x) * -1.0))
