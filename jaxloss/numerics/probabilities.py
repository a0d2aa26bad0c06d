"""Entropies of probabilities in [0, 1], exact at 0, at 1 and where two of them are nearly the same."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    inlined,
    log1p,
    multiply_no_nan,
    ratio,
    safe_log,
    safe_log1p,
)
from jaxloss.numerics.exact import grid_above, on_grid
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def rel_entr(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy.

    $$ p \log(p / q), \qquad 0 \log(0 / q) = 0 $$

    Infinite where q is 0 and p is not. Where p and q are near, the logarithm is taken of the difference, which is
    exact. The gradient in p is log(p/q) + 1, taken as 0 where p is 0 (the true slope is infinite); the gradient in q is
    -p/q, 0 where p is 0.

    >>> print(rel_entr(jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 1.0, 0.0])))
    [ 0.  0. inf]
    """
    return multiply_no_nan(p, log_ratio(p, q))


@rel_entr.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (p, q), (dp, dq) = primals, tangents
    slope_p = jnp.where(p == 0, 0, finite_slope(log_ratio(p, q) + 1))
    # p / q is infinite for q = 0 and may overflow for q > 0.
    slope_q = jnp.where(p == 0, 0, finite_slope(jnp.where(q == 0, jnp.inf, ratio(p, q))))
    return rel_entr(p, q), dp * slope_p - dq * slope_q


@jax.custom_jvp
@inlined
def relative_entropy(p: Array, q: Array) -> Array:
    r"""The sum of `rel_entr` over the last axis, true also for distributions that are nearly the same.

    $$ \sum_j p_j \log \frac{p_j}{q_j}
       = \sum_j \left[ p_j \log \frac{p_j}{q_j} - (p_j - q_j) \right] + \sum_j (p_j - q_j) $$

    Where p and q are near, the first form sums terms of the size of p - q to a total of the size of its square. Each
    bracket of the second is of that size already, and the differences outside are exact. Corners as for `rel_entr`.

    >>> print(f"{relative_entropy(jnp.array([0.5 + 2**-11, 0.5 - 2**-11]), jnp.array([0.5, 0.5])):.3e}")
    4.768e-07
    """
    # Two sums, each of numbers of its own: what they shared would be written to memory.
    first = apart(p, q, grid_above(jnp.abs(p - q)), jnp.ones((), p.dtype))
    high, rest = _high_digits(*first), _rest(*apart(*first))
    return jnp.sum(high, axis=-1) + jnp.sum(rest, axis=-1)


@relative_entropy.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    return relative_entropy(*primals), jnp.sum(jax.jvp(rel_entr, apart(*primals), tangents)[1], axis=-1)


def _high_digits(p: Array, q: Array, grid: Array, one: Array) -> Array:
    return on_grid(p - _nearest(p, q, one), grid)


def _rest(p: Array, q: Array, grid: Array, one: Array) -> Array:
    """By arithmetic alone, p log(p / q) less the high digits of the difference p - c, which is exact; c is `_nearest`.

    That is p log(p / c) - (p - c), the low digits, and p log(c / q), which is 0 where q is that near itself.
    """
    info = jnp.finfo(p.dtype)
    near = _nearest(p, q, one)
    difference, positive = p - near, jnp.maximum(float(info.tiny) * one, near)
    bracket = log_excess(p, difference, difference / (p + positive), within=1 / 3)
    # Where p is 0 the quotient is lifted above 1 and kept finite, and so is its logarithm.
    quotient = jnp.minimum(float(info.max) * one, (q + (positive - near)) / positive)
    # 0 where the two are the same, of which a GPU has a quotient beside 1.
    differ = jnp.minimum(one, jnp.abs(q - near) * (float(info.max) * one))
    return (bracket + (difference - on_grid(difference, grid))) - differ * p * jnp.log(quotient)


def _nearest(p: Array, q: Array, one: Array) -> Array:
    """Of the numbers within a factor of 2 of p, the one nearest to q; NaN where q is, as in `at_least`."""
    return jnp.minimum(p + p, jnp.maximum(0.5 * one * p, q))


def log_excess(p: Array, difference: Array, half: Array, within: float) -> Array:
    """The bracket p log(p / q) - (p - q) of p and q that are near, by half = (p - q) / (p + q), at most `within`.

    The logarithm is 2 atanh(half), so this is difference * half + 2 p (atanh(half) - half).
    """
    square = jnp.square(half)
    highest, *others = _atanh_excess(within, jnp.finfo(p.dtype).nmant)
    series: Any = highest
    for coefficient in others:
        series = series * square + coefficient
    return half * (difference + (p + p) * (square * series))


@functools.cache
def _atanh_excess(within: float, bits: int) -> list[float]:
    """Of (atanh(h) - h) / h^3 in h^2, a polynomial that is true to so many bits up to h, from the highest power."""

    def series(square: Any) -> Any:
        return sum(square**k / (2 * k + 3) for k in range(64))

    # An interpolation in Chebyshev points gains so many bits with each degree (Bernstein), as the pole is at 1.
    pole = 2 / within**2 - 1
    degree = math.ceil((bits - 3) / math.log2(pole + math.sqrt(pole**2 - 1)))
    polynomial = np.polynomial.Chebyshev.interpolate(series, degree, [0, within**2])
    return [float(c) for c in polynomial.convert(kind=np.polynomial.Polynomial).coef[::-1]]


def log_ratio(p: Array, q: Array) -> Array:
    """The logarithm of p / q, exact where the two are near and where the quotient leaves the range; 0 where p is 0."""
    near = jnp.abs(p - q) < 0.5 * q
    exact = log1p(ratio(jnp.where(near, p - q, 0), jnp.where(near, q, 1)))
    apart = (p != 0) & ~near
    safe_p, safe_q = jnp.where(apart, p, 1), jnp.where(apart, q, 1)
    quotient = ratio(safe_p, safe_q)
    # Two logarithms only where the quotient leaves the range: their difference would cancel elsewhere.
    in_range = (quotient < jnp.inf) & (quotient > jnp.finfo(p.dtype).tiny)
    far = jnp.where(in_range, safe_log(jnp.where(in_range, quotient, 1)), safe_log(safe_p) - safe_log(safe_q))
    # 0, but NaN for a q that is no probability.
    unused = safe_log(jnp.where(q >= 0, 1, q))
    return jnp.where(near, exact, jnp.where(apart, far, unused))


def log_probability(p: Array, complement: Array) -> Array:
    """The logarithm of a probability, of whichever of p and 1 - p is small."""
    low = p < 0.5
    return jnp.where(low, safe_log(jnp.where(low, p, 1)), safe_log1p(-jnp.where(low, 0, complement)))
