"""Divergences term by term: each term is at least 0, so that nothing cancels where two distributions are near."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.norms import safe_norm, unit_vector
from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    largest_like,
    log1p,
    multiply_no_nan,
    ratio,
    reused,
    safe_log,
    safe_sqrt,
)
from jaxloss.numerics.probabilities import log_excess, log_ratio, rel_entr
from jaxloss.types import Array

_LOG_2 = 0.6931471805599453


@jax.custom_jvp
@jax.jit
def kl_div(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy of amounts, which is at least 0, and 0 where they are equal only.

    $$ p \log(p / q) - p + q $$

    At p = 0 the value is q and the gradient in p 0 (the true slope is infinite). At q = 0 < p the value is inf and the
    gradients are the largest finite number, and minus that in q. The gradient in p is log(p/q), in q it is (q - p)/q.

    >>> print(kl_div(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.5, 1.0, 0.0])))
    [0.5 0.  inf]
    """
    difference = p - q
    half = ratio(difference, p + q)
    near = jnp.abs(half) <= 0.5
    close = log_excess(p, difference, jnp.where(near, half, 0), within=1 / 2)
    return jnp.where(near, close, rel_entr(p, q) - difference)


@kl_div.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (p, q), (dp, dq) = apart(*primals), tangents
    slope_p = jnp.where(p == 0, 0, finite_slope(log_ratio(p, q)))
    at_zero = jnp.where(p == 0, 1, -largest_like(p))
    slope_q = jnp.where(q == 0, at_zero, finite_slope(ratio(q - p, q)))
    return kl_div(*primals), dp * slope_p + dq * slope_q


@jax.custom_jvp
@jax.jit
def jensen_shannon(p: Array, q: Array) -> Array:
    r"""The elementwise Jensen-Shannon divergence, which is at least 0, and 0 where the two are equal only.

    $$ \tfrac12 p \log \frac{p}{m} + \tfrac12 q \log \frac{q}{m}
       = \frac m2 \left[ (1 + h) \log(1 + h) + (1 - h) \log(1 - h) \right], \qquad
       m = \tfrac12 (p + q), \quad h = \frac{p - q}{p + q} $$

    For |h| up to 1/2 by the series of the bracket, whose terms are all positive. The gradient in p is log(p/m)/2, at
    p = 0 it is 0 (the true slope is infinite), at p = q = 0 it is log(2)/2.

    >>> print(jensen_shannon(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.0, 1.0, 0.0])))
    [0.        0.        0.3465736]
    """
    return jensen_shannon_at(p, q, ratio(p - q, p + q))


@jensen_shannon.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (p, q), (dp, dq) = apart(*primals), tangents
    half = ratio(p - q, p + q)
    slope_p, slope_q = (
        0.5 * jnp.where(a == 0, jnp.where(b == 0, _LOG_2, 0), reused(log_to_mean(a, b, towards)))
        for a, b, towards in ((p, q, half), (q, p, -half))
    )
    return jensen_shannon(*primals), dp * slope_p + dq * slope_q


def jensen_shannon_at(p: Array, q: Array, half: Array) -> Array:
    """The same with h beside p and q, which may be known better than they show."""
    near = jnp.abs(half) <= 0.5
    square = jnp.square(jnp.where(near, half, 0))
    series = jnp.zeros_like(p)
    for order in range(2 * (jnp.finfo(p.dtype).nmant // 2) + 2, 0, -2):
        series = series * square + 1 / (order * (order - 1))
    apart = multiply_no_nan(p, log_to_mean(p, q, half)) + multiply_no_nan(q, log_to_mean(q, p, -half))
    return 0.5 * jnp.where(near, (p + q) * (square * series), apart)


def log_to_mean(p: Array, q: Array, half: Array) -> Array:
    """The logarithm of p over the mean of p and q; -inf where p alone is 0."""
    near = jnp.abs(half) < 0.5
    safe_p, safe_total = jnp.where(near, 1, p), jnp.where(near, 2, p + q)
    share = ratio(safe_p, safe_total)
    in_range = (share > jnp.finfo(p.dtype).tiny) | (safe_p == 0)
    quotient = safe_log(jnp.where(in_range, 2 * share, 1))
    far = jnp.where(in_range, quotient, safe_log(safe_p) - safe_log(safe_total) + _LOG_2)
    return jnp.where(near, log1p(jnp.where(near, half, 0)), far)


@jax.custom_jvp
@jax.jit
def hellinger(p: Array, q: Array) -> Array:
    r"""The Hellinger distance over the last axis.

    $$ \frac{1}{\sqrt 2} \lVert d \rVert, \qquad
       d_j = \sqrt{p_j} - \sqrt{q_j} = \frac{p_j - q_j}{\sqrt{p_j} + \sqrt{q_j}} $$

    The second form of d does not cancel. At p = q value and gradient are 0. At p_j = 0 < q_j the gradient in p_j is 0
    (the true slope is infinite).

    >>> print(f"{hellinger(jnp.array([0.5 + 2**-20, 0.5 - 2**-20]), jnp.array([0.5, 0.5])):.3e}")
    6.743e-07
    """
    return jnp.sqrt(0.5) * safe_norm(_difference_of_roots(p, q))


@hellinger.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (p, q), (dp, dq) = primals, tangents
    distance = hellinger(p, q)
    direction = jnp.sqrt(0.125) * unit_vector(_difference_of_roots(p, q))
    # Where both are 0, the square of the distance rises by half of what is added to one.
    at_zero = ratio(jnp.full_like(distance, 0.25), distance)[..., None]
    slope_p, slope_q = (
        jnp.where((p == 0) & (q == 0), at_zero, ratio(towards, safe_sqrt(x)))
        for towards, x in ((direction, p), (-direction, q))
    )
    return distance, jnp.sum(slope_p * dp + slope_q * dq, axis=-1)


def _difference_of_roots(p: Array, q: Array) -> Array:
    return ratio(p - q, safe_sqrt(p) + safe_sqrt(q))
