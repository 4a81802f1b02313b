"""Exponential functions, logarithms and powers of vectors: no tables, no branches, the same code for every lane.

| function | largest error [ulp], double | float |
| --- | --- | --- |
| `exp` | 1.08 | 1.05 |
| `expm1` | 1.83 | 1.78 |
| `log` | 0.88 | 0.92 |
| `log1p` | 1.44 | 1.52 |
| `tanh` | 2.49 | 2.50 |
| `logistic` | 2.16 | 2.33 |
| `cbrt` | 0.73 | 0.73 |
| `power` | 1.22 | 1.16 |

Measured over five million numbers each. Infinity and "not a number" are treated as in JAX. Numbers below the smallest normal one
count as 0, as XLA has it on a CPU.

Methods are the common ones (J.-M. Muller, Elementary Functions, 3rd edition, 2016, chapters 4, 8 and 11): `exp` by subtracting a
whole number of ln 2 held in two parts (W. J. Cody and W. Waite, 1980), `log` by the series of the inverse hyperbolic tangent of
f / (2 + f), and powers by the same series in two parts. The polynomials interpolate the rest of each series at Chebyshev nodes of
the interval that is left; `tests/solver/native/test_mathematics.py` computes them again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from nanomg.solver.native.ir import Value, scalar_of


class _Precision(NamedTuple):
    integer: str
    fraction: int  # bits of the fraction
    bias: int  # of the exponent
    magic: float  # adding it rounds to a whole number, which its last bits then hold
    ln2_high: float  # so short that its product with an exponent is exact
    ln2_low: float
    exp: tuple[float, ...]  # (exp r - 1 - r) / r^2
    exp_ends: tuple[float, float]  # where exp leaves the normal numbers
    log: tuple[float, ...]  # (2 atanh(s) / s - 2) / s^2 in powers of s^2
    cubic: tuple[float, ...]  # (3 atanh(s) / s - 3 - s^2) / s^4 in powers of s^2
    half: int  # bits to clear so that the product of two numbers is exact
    log2_high: float  # 2 / (3 ln 2), so short that the product with half a number is exact
    log2_low: float
    tiny: float  # the smallest normal number
    far: float  # stands for the logarithm of infinity in powers


_PRECISIONS = {
    "double": _Precision(
        integer="i64",
        fraction=52,
        bias=1023,
        magic=1.5 * 2.0**52,
        ln2_high=0.6931471803691238,
        ln2_low=1.9082149292705877e-10,
        exp=(
            0.5000000000000001,
            0.16666666666666669,
            0.04166666666662413,
            0.008333333333330062,
            0.0013888888917213717,
            0.00019841269863053618,
            2.4801521295954376e-05,
            2.7557268459997064e-06,
            2.7620088445409746e-07,
            2.510038549551032e-08,
        ),
        exp_ends=(-708.3964185322641, 709.782712893384),
        log=(
            0.666666666666667,
            0.39999999999899444,
            0.2857142862600327,
            0.22222211130259878,
            0.18182889455674947,
            0.15331710618210773,
            0.14616585424888623,
        ),
        cubic=(
            0.6,
            0.4285714285714405,
            0.3333333333248383,
            0.272727275030892,
            0.23076892443777647,
            0.20002207040770967,
            0.1755935450923681,
            0.17584767935814777,
        ),
        half=27,
        log2_high=0.9617966860532761,
        log2_low=7.872699542894897e-09,
        tiny=2.0**-1022,
        far=2.0**900,
    ),
    "float": _Precision(
        integer="i32",
        fraction=23,
        bias=127,
        magic=1.5 * 2.0**23,
        ln2_high=0.693145751953125,
        ln2_low=1.4286068203094173e-06,
        exp=(0.5, 0.16666576985746366, 0.04166655462408066, 0.008363179862499237, 0.0013926183587713494),
        exp_ends=(-87.33654022216797, 88.72283172607422),
        log=(0.6666666655445165, 0.40000121876972, 0.2855081659971155, 0.23330581938241893),
        cubic=(0.6000002258363308, 0.4284335414765594, 0.3457235715241703),
        half=12,
        log2_high=0.961669921875,
        log2_low=0.0001267720509756049,
        tiny=2.0**-126,
        far=2.0**60,
    ),
}


def coefficients(real: str, name: str) -> tuple[float, ...]:
    """The polynomial of `exp`, of `log` or of powers (`cubic`) for `double` or `float`, constant term first."""
    return tuple(getattr(_PRECISIONS[real], name))


def _precision(x: Value) -> _Precision:
    return _PRECISIONS[scalar_of(x.kind)]


def _bits(x: Value) -> Value:
    return x.to(x.kind.replace(scalar_of(x.kind), _precision(x).integer), "bitcast")


def _real(bits: Value, like: Value) -> Value:
    return bits.to(like.kind, "bitcast")


def _polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """Sum of c_i x^i: pairs of terms, then pairs of those, so that few operations wait for another."""
    power = x
    level: list[Value | float] = list(coefficients)
    while len(level) > 1:
        odd = level.pop() if len(level) % 2 else None
        level = [power * b + a for a, b in zip(level[::2], level[1::2], strict=True)]
        if odd is not None:
            level.append(odd)
        if len(level) > 1:
            power = power * power
    assert isinstance(level[0], Value)
    return level[0]


def _halves(x: Value) -> tuple[Value, Value]:
    """A number as the sum of its leading digits and the rest, so that products of leading digits are exact."""
    high = _real(_bits(x).whole("and", -(1 << _precision(x).half)), x)
    return high, x - high


# ---------------------------------------------------------------- exponential functions
def _whole_part(x: Value) -> tuple[Value, Value]:
    """The nearest whole number, and the same as an integer in the last bits."""
    moved = x + _precision(x).magic
    return moved - _precision(x).magic, _bits(moved)


def _exp_minus_one(r: Value) -> Value:
    """exp(r) - 1 for |r| <= ln(2) / 2."""
    return r * r * _polynomial(r, _precision(r).exp) + r


def _reduced(x: Value) -> tuple[Value, Value]:
    """r and the integer n with x = n ln 2 + r."""
    p = _precision(x)
    n, integer = _whole_part(x * (1 / math.log(2)))
    return (x - n * p.ln2_high) - n * p.ln2_low, integer


def _scaled(x: Value, n: Value) -> Value:
    """x 2^n, as long as that is a normal number."""
    return _real(_bits(x) + n.whole("shl", _precision(x).fraction), x)


def _held(x: Value, low: float, high: float) -> Value:
    """The number, or the nearest limit; a number that is none stays so."""
    above = x.is_(">", high).where(x.function.number(x.kind, high), x)
    return above.is_("<", low).where(x.function.number(x.kind, low), above)


def exp(x: Value) -> Value:
    """e to the power of x."""
    low, high = _precision(x).exp_ends
    r, n = _reduced(x)
    result = _scaled(_exp_minus_one(r) + 1.0, n)
    zero, infinite = x.function.number(x.kind, 0.0), x.function.number(x.kind, math.inf)
    return x.is_(">", high).where(infinite, x.is_("<", low).where(zero, result))


def expm1(x: Value) -> Value:
    """exp(x) - 1, exact to the last digits near 0."""
    p = _precision(x)
    x = _held(x, -(p.fraction + 4) * math.log(2), p.exp_ends[1] * (1 + 2.0**-p.fraction))
    whole, n = _whole_part(x * (1 / math.log(2)))
    near, low = x - whole * p.ln2_high, whole * p.ln2_low
    r = near - low
    lost = (near - r) - low
    minus_one = r + (r * r * _polynomial(r, p.exp) + lost)
    scale = _real((n + (p.bias - 1)).whole("shl", p.fraction), x)  # half of 2^n, which may be too large
    return (scale * minus_one + (scale - 0.5)) * 2.0


def tanh(x: Value) -> Value:
    """Hyperbolic tangent."""
    e = expm1(x.intrinsic("fabs") * -2.0)
    size = -e / (e + 2.0)
    return x.is_("<", 0.0).where(-size, size)


def logistic(x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    return 1.0 / (exp(-x) + 1.0)


# ---------------------------------------------------------------- logarithms
def _split(x: Value) -> tuple[Value, Value, Value]:
    """f and the whole number e with x = 2^e (1 + f), 1 + f between the roots of 1/2 and 2; and e as an integer."""
    p = _precision(x)
    one = p.bias << p.fraction
    root = {"i64": 0x3FE6A09E667F3BCD, "i32": 0x3F3504F3}[p.integer]
    bits = _bits(x)
    exponent = (bits + (one - root)).whole("lshr", p.fraction) - p.bias
    f = _real(bits - exponent.whole("shl", p.fraction), x) - 1.0
    moved = _real(exponent + _bits(x.function.number(x.kind, p.magic)), x)
    return f, moved - p.magic, exponent


def _log_of(f: Value, e: Value) -> Value:
    """e ln 2 + log(1 + f)."""
    p = _precision(f)
    s = f / (f + 2.0)
    z = s * s
    rest = f - z * _polynomial(z, p.log)  # log(1 + f) = f - s (f - z R)
    return e * p.ln2_high + (f - (s * rest - e * p.ln2_low))


def log(x: Value) -> Value:
    """Natural logarithm."""
    p = _precision(x)
    number = x.function.number
    result = x.is_("<", p.tiny).where(number(x.kind, -math.inf), _log_of(*_split(x)[:2]))
    result = x.is_("==", math.inf).where(x, result)
    return x.is_(">", -p.tiny).where(result, math.nan)


def log1p(x: Value) -> Value:
    """log(1 + x), exact to the last digits near 0."""
    p = _precision(x)
    u = x + 1.0
    f, e, exponent = _split(u)
    lost = x - (u - 1.0)
    # what the sum lost, in units of 2^e; it does not matter where x is large, and there the scale may not be a number
    scale = _real((p.bias - exponent).whole("shl", p.fraction), x)
    large = x.is_(">", 2.0 ** (p.fraction + 8))
    result = _log_of(large.where(f, lost * scale + f), e)
    result = x.is_("==", math.inf).where(x, result)
    result = x.is_("==", -1.0).where(x.function.number(x.kind, -math.inf), result)
    return x.is_(">=", -1.0).where(result, math.nan)


# ---------------------------------------------------------------- powers
def log2_in_parts(x: Value) -> tuple[Value, Value]:
    """The logarithm to base 2 of a number that is not negative, as a sum; very large sums stand for those of 0 and infinity."""
    p = _precision(x)
    f, e, _ = _split(x)
    d = f + 2.0
    lost = f - (d - 2.0)
    inverse = 1.0 / d
    s, _ = _halves(f * inverse)
    d_high, d_low = _halves(d)
    s_low = (((f - s * d_high) - s * d_low) - s * lost) * inverse
    z = s * s  # exact
    z_low = s_low * (s * 2.0 + s_low)
    # 3 atanh(s) / s = 3 + z + z^2 Q(z)
    w = z + 3.0
    total = z + z_low
    w_low = (z - (w - 3.0)) + (total * total * _polynomial(total, p.cubic) + z_low)
    w_high, w_rest = _halves(w)
    w_rest = w_rest + w_low
    product = s * w_high  # exact
    product_low = s * w_rest + s_low * (w + w_low)
    # times 2 / (3 ln 2)
    high, rest = _halves(product + product_low)
    rest = (product - high) + product_low
    result = high * p.log2_high  # exact
    result_low = (high + rest) * p.log2_low + rest * p.log2_high
    sum_ = e + result
    sum_low = (result - (sum_ - e)) + result_low
    sum_ = x.is_("<", p.tiny).where(x.function.number(x.kind, -p.far), sum_)
    return x.is_("==", math.inf).where(x.function.number(x.kind, p.far), sum_), sum_low


def power(x: Value, y: Value, negative: Value | None = None) -> Value:
    """x to the power of y.

    Args:
        x: Bases.
        y: Exponents, of a size below 2^64: those of larger size have the same powers.
        negative: What the power of |x| is multiplied by where x is negative; if left out, no x is.
    """
    p = _precision(x)
    size = x if negative is None else x.intrinsic("fabs")
    a, a_low = log2_in_parts(size)
    a_high, a_rest = _halves(a)
    y_high, y_rest = _halves(y)
    product = y_high * a_high  # exact
    product_low = y_high * (a_rest + a_low) + y_rest * (a + a_low)
    total = product + product_low
    n, integer = _whole_part(total)
    r = ((product - n) + product_low) * math.log(2)
    result = _scaled(_exp_minus_one(r) + 1.0, integer)
    number = x.function.number
    result = total.is_(">=", p.bias + 1.0).where(number(x.kind, math.inf), result)
    result = total.is_("<", 1.0 - p.bias).where(number(x.kind, 0.0), result)
    either = size + y
    result = either.is_("!=", either).where(either, result)
    result = (y.is_("==", 0.0) | size.is_("==", 1.0)).where(number(x.kind, 1.0), result)
    return result if negative is None else x.is_("<", 0.0).where(result * negative, result)


def cbrt(x: Value) -> Value:
    """Cube root."""
    size = x.intrinsic("fabs")
    first = power(size, x.function.number(x.kind, 1 / 3))
    ordinary = size.is_(">", 0.0) & size.is_("<", math.inf)
    better = first - (first - size / (first * first)) * (1 / 3)
    result = ordinary.where(better, size)
    return x.is_("<", 0.0).where(-result, result)
