"""Numbers in two words, the second what the rounding of the first lost; and sums, products, quotients, logarithms.

An exponential turns the last digit of a large argument into many of its own: in two words the argument has more. Of a
product or quotient the first half of the digits is taken, and to that what it lacks is added: a compiler may make an
operation a part of the sum that follows, where it has other digits than alone.
"""

import math
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import inlined, reused
from jaxloss.numerics.exact import halves, residual, two_sum
from jaxloss.types import Array

Words: TypeAlias = tuple[Array, Array]

_LOST_OF_LOG_2 = 2.3190468138462996e-17  # by the rounding of math.log(2)


def alone(x: Array) -> Words:
    """A number that has lost nothing."""
    return x, jnp.zeros_like(x)


def sum_in_words(a: Words, b: Words) -> Words:
    """The sum."""
    total, lost = two_sum(a[0], b[0])
    return two_sum(total, lost + (a[1] + b[1]))


@jax.custom_jvp
def product_in_words(a: Words, b: Words) -> Words:
    """The product; the slope is all in the first word."""
    (a_high, a_low), (b_high, b_low) = halves(a[0]), halves(b[0])
    cross = (a_high * b_low + a_low * b_high) + a_low * b_low
    return two_sum(a_high * b_high, cross + (a[0] * b[1] + a[1] * b[0]))


@product_in_words.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = primals, tangents
    slope = (da[0] + da[1]) * b[0] + a[0] * (db[0] + db[1])
    return product_in_words(a, b), alone(slope)


def quotient_in_words(a: Words, b: Words) -> Words:
    """The quotient."""
    high = halves(reused(a[0] / b[0]))[0]
    return two_sum(high, reused((residual(a[0], high, b[0]) + a[1] - high * b[1]) / b[0]))


@jax.custom_jvp
@inlined
def log_in_words(x: Array, lost: Array) -> Words:
    """The logarithm of a number > 0; the slope is all in the first word."""
    return _assembled(*_normalised(x, lost))


@log_in_words.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, lost), (dx, _) = primals, tangents
    return log_in_words(x, lost), (dx / x, jnp.zeros_like(x))


@jax.custom_jvp
@inlined
def log1p_in_words(x: Array, lost: Array) -> Words:
    """The logarithm of 1 + x, where that is > 0; the slope is all in the first word."""
    excess, excess_lost, exponent = _normalised(*sum_in_words(alone(jnp.ones_like(x)), (x, lost)))
    small = jnp.abs(x) < 0.25
    return _assembled(jnp.where(small, x, excess), jnp.where(small, lost, excess_lost), jnp.where(small, 0, exponent))


@log1p_in_words.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, lost), (dx, _) = primals, tangents
    return log1p_in_words(x, lost), (dx / (1 + x), jnp.zeros_like(x))


def _normalised(x: Array, lost: Array) -> tuple[Array, Array, Array]:
    """Of x = 2^k m, with m about 1, the m - 1 in two words, and k."""
    mantissa, exponent = jnp.frexp(x)
    low = mantissa < 0.75
    mantissa, exponent = jnp.where(low, 2 * mantissa, mantissa), exponent - low.astype(exponent.dtype)
    return mantissa - 1, lost * (mantissa / x), exponent.astype(x.dtype)


def _assembled(excess: Array, lost: Array, exponent: Array) -> Words:
    """Of log m, which with z = (m - 1) / (m + 1) is 2 z + 2 z^3 / 3 + ..., and k log 2; only z needs two words."""
    z, z_lost = quotient_in_words((excess, lost), sum_in_words(alone(jnp.full_like(excess, 2)), (excess, lost)))
    info = jnp.finfo(excess.dtype)
    square, series = z * z, jnp.zeros_like(z)
    for order in range(2 * (info.nmant // 5) + 3, 1, -2):
        series = (series + 1 / order) * square
    unit = 2.0 ** (info.nmant - info.nexp)
    log_2 = math.floor(math.log(2) * unit) / unit  # so short that its product with k is exact
    rest = (math.log(2) - log_2) + _LOST_OF_LOG_2
    return sum_in_words((exponent * log_2, exponent * rest), (2 * z, 2 * (z_lost + z * series)))
