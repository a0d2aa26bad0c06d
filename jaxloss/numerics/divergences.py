"""Relative entropies term by term, of probabilities or amounts, zeros and near-equal ones included."""

import jax
import jax.numpy as jnp

from jaxloss.numerics.safe import finite_slope, largest_like, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


def _reciprocal(x: Array) -> Array:
    return ratio(jnp.ones_like(x), x)


@with_slopes(lambda p, _: _reciprocal(p), lambda _, q: -_reciprocal(q))  # a derivative that overflows
def log_ratio(p: Array, q: Array) -> Array:
    r"""The logarithm of a quotient, by the roots a and b, whose quotient stays within the format.

    $$ \log(p / q) = \pm 2 \log\left(1 + \frac{|p - q|}{\min(a, b)\,(a + b)}\right), \qquad a^2 = p, \quad b^2 = q $$

    Nothing cancels where p and q are near. It is inf where q alone is 0, and NaN where one of them is negative. Where p
    is 0 it is a finite number, whose product with p is 0. A slope that is infinite is 0.

    >>> near, far = log_ratio(jnp.array([1.0, 1e-30]), jnp.array([1 - 2**-24, 1e30]))
    >>> print(f"{near:.3e} {far:.2f}")
    5.960e-08 -138.16
    """
    a, b = jnp.sqrt(p), jnp.sqrt(q)
    size = 2 * jnp.log1p(jnp.abs(p - q) / (jnp.minimum(a, b) * (a + b) + _absent(p)))
    return jnp.where(p < q, -size, size)


@with_slopes(lambda p, _: _reciprocal(p), lambda _, q: -_reciprocal(q))  # a derivative that overflows
def _log_ratio_in_slope(p: Array, q: Array) -> Array:
    """The same by other operations: what a value and a slope share, a GPU or a TPU may write to memory."""
    difference = p - q
    near = jnp.log1p(difference / jnp.maximum(q, jnp.finfo(q.dtype).tiny))
    far = 2 * jnp.log(jax.lax.rsqrt(q + _absent(p)) / jax.lax.rsqrt(p + _absent(p)))
    return jnp.where(jnp.abs(difference) < 0.5 * q, near, far)


def _absent(p: Array) -> Array:
    return (p == 0).astype(p.dtype)


def nonnegative(p: Array) -> Array:
    """The number; NaN where it is negative."""
    return p + jnp.sqrt(jax.lax.stop_gradient(jnp.minimum(p, 0)))


@with_slopes(  # an infinite slope times 0
    lambda p, q: (1 - _absent(p)) * jnp.minimum(1 + _log_ratio_in_slope(p, q), jnp.finfo(p.dtype).max),
    lambda p, q: -jnp.minimum(p / (q + _absent(p)), jnp.finfo(p.dtype).max),
)
def rel_entr(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy.

    $$ p \log(p / q), \qquad 0 \log(0 / q) = 0 $$

    Infinite where q is 0 and p is not. The gradient in p is log(p/q) + 1, taken as 0 where p is 0 (the true slope is
    infinite); the gradient in q is -p/q, 0 where p is 0. An infinite one is the largest finite number. A negative
    number gives NaN.

    >>> print(rel_entr(jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 1.0, 0.0])))
    [ 0.  0. inf]
    """
    return p * log_ratio(p, q)


@with_slopes(  # an infinite slope times 0, and a derivative that cancels
    lambda p, q: (1 - _absent(p)) * jnp.minimum(_log_ratio_in_slope(p, q), jnp.finfo(p.dtype).max),
    lambda p, q: jnp.where(q == 0, jnp.where(p == 0, 1, -largest_like(p)), finite_slope(ratio(q - p, q))),
)
def kl_div(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy of amounts, which is at least 0, and 0 where they are equal.

    $$ p \log(p / q) - p + q $$

    At p = 0 the value is q and the gradient in p 0 (the true slope is infinite). At q = 0 < p the value is inf and the
    gradients are the largest finite number, and minus that in q. The gradient in p is log(p/q), in q it is (q - p)/q.

    >>> print(kl_div(jnp.array([0.0, 1.0, 1.0]), jnp.array([0.5, 1.0, 0.0])))
    [0.5 0.  inf]
    """
    value = p * log_ratio(p, q) - (p - q)
    return jnp.where(value < 0, 0, value)  # by rounding, where p is near q
