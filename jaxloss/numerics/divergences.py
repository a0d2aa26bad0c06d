"""Relative entropies term by term, of probabilities or amounts, zeros and near-equal ones included."""

import jax.numpy as jnp

from jaxloss.numerics.remainders import exp_remainder
from jaxloss.numerics.safe import finite_slope, largest_like, multiply_no_nan, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


def _reciprocal(x: Array) -> Array:
    return ratio(jnp.ones_like(x), x)


@with_slopes(lambda p, _: _reciprocal(p), lambda _, q: -_reciprocal(q))  # a derivative that overflows
def log_ratio(p: Array, q: Array) -> Array:
    r"""The logarithm of a quotient, taken of the difference where p and q are near.

    $$ \log(p / q) $$

    It is -inf where p is 0, inf where q alone is, and NaN where one of them is negative. A slope that is infinite is 0.

    >>> print(f"{log_ratio(jnp.array(1.0), jnp.array(1 - 2**-24)):.3e}", log_ratio(jnp.array(1e-30), jnp.array(1e30)))
    5.960e-08 -138.15511
    """
    near = jnp.abs(p - q) < 0.5 * q
    close = jnp.log1p(jnp.where(near, p - q, 0) / jnp.where(near, q, 1))
    # The quotient of the roots stays within the format. The root of a negative number is NaN.
    apart = 2 * jnp.log(jnp.sqrt(p) / jnp.sqrt(jnp.where((p == 0) & (q == 0), 1, q)))
    return jnp.where(near, close, apart)


def _slope_of_p(p: Array, q: Array) -> Array:
    return jnp.where(p == 0, 0, finite_slope(log_ratio(p, q) + 1))


def _slope_of_q(p: Array, q: Array) -> Array:
    quotient = p / jnp.where(q == 0, 1, q)
    return -finite_slope(jnp.where(q == 0, jnp.where(p == 0, 0, largest_like(p)), quotient))


@with_slopes(_slope_of_p, _slope_of_q)  # an infinite slope times 0
def rel_entr(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy.

    $$ p \log(p / q), \qquad 0 \log(0 / q) = 0 $$

    Infinite where q is 0 and p is not. The gradient in p is log(p/q) + 1, taken as 0 where p is 0 (the true slope is
    infinite); the gradient in q is -p/q, 0 where p is 0. An infinite one is the largest finite number. A negative
    number gives NaN.

    >>> print(rel_entr(jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 1.0, 0.0])))
    [ 0.  0. inf]
    """
    return multiply_no_nan(p, log_ratio(p, q))


@with_slopes(  # an infinite slope times 0, and a derivative that cancels
    lambda p, q: jnp.where(p == 0, 0, finite_slope(log_ratio(p, q))),
    lambda p, q: jnp.where(q == 0, jnp.where(p == 0, 1, -largest_like(p)), finite_slope(ratio(q - p, q))),
)
def kl_div(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy of amounts, which is at least 0, and 0 where they are equal only.

    $$ p \log(p / q) - p + q = p \left( e^{-l} - 1 + l \right), \qquad l = \log(p / q) $$

    At p = 0 the value is q and the gradient in p 0 (the true slope is infinite). At q = 0 < p the value is inf and the
    gradients are the largest finite number, and minus that in q. The gradient in p is log(p/q), in q it is (q - p)/q.

    >>> print(kl_div(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.5, 1.0, 0.0])))
    [0.5 0.  inf]
    """
    log = log_ratio(p, q)
    near = jnp.abs(log) < 1
    return jnp.where(near, p * exp_remainder(-jnp.where(near, log, 0)), multiply_no_nan(p, log) - (p - q))
