"""What is left of an exponential or a logarithm without its first terms, where subtracting them would cancel."""

import math

import jax.numpy as jnp

from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


@with_slopes(jnp.exp)  # a derivative that cancels: to JAX it is 1 + expm1(x)
def expm1(x: Array) -> Array:
    """The exponential less 1."""
    return jnp.expm1(x)


@with_slopes(expm1)  # a derivative that cancels
def exp_remainder(x: Array) -> Array:
    r"""The exponential without its first two terms, which is at least 0.

    $$ e^x - 1 - x $$

    >>> print(f"{exp_remainder(jnp.array(1e-4)):.4e}")
    5.0002e-09
    """
    near = jnp.abs(x) < 1
    inside = jnp.where(near, x, 0)
    return jnp.where(near, jnp.square(inside) * exp_series(inside), jnp.exp(x) - (1 + x))


def expm1_ratio(x: Array) -> Array:
    r"""The mean slope of the exponential between 0 and x; 1 at 0.

    $$ (e^x - 1) / x $$

    >>> print(expm1_ratio(jnp.array(0.0)))
    1.0
    """
    near = jnp.abs(x) < 1
    inside, outside = jnp.where(near, x, 0), jnp.where(near, 1, x)
    return jnp.where(near, 1 + inside * exp_series(inside), jnp.expm1(outside) / outside)


def exp_remainder_ratio(x: Array) -> Array:
    r"""The remainder of the exponential over the square; 1/2 at 0.

    $$ (e^x - 1 - x) / x^2 $$

    >>> print(exp_remainder_ratio(jnp.array(0.0)))
    0.5
    """
    near = jnp.abs(x) < 1
    inside, outside = jnp.where(near, x, 0), jnp.where(near, 1, x)
    return jnp.where(near, exp_series(inside), (jnp.exp(outside) - 1 - outside) / outside / outside)


def log1p_ratio(x: Array) -> Array:
    r"""The mean slope of the logarithm between 1 and 1 + x, for x > -1; 1 at 0.

    $$ \log(1 + x) / x $$

    >>> print(log1p_ratio(jnp.array(0.0)))
    1.0
    """
    near = jnp.abs(x) < 0.5
    inside, outside = jnp.where(near, x, 0), jnp.where(near, 1, x)
    return jnp.where(near, 1 / expm1_ratio(jnp.log1p(inside)), jnp.log1p(outside) / outside)


def exp_series(x: Array) -> Array:
    """(exp(x) - 1 - x) / x^2 = 1/2 + x/6 + x^2/24 + ..., for x between -1 and 1."""
    highest = 11 if jnp.finfo(x.dtype).nmant < 30 else 20
    series = jnp.full_like(x, 1 / math.factorial(highest))
    for order in range(highest - 1, 1, -1):
        series = series * x + 1 / math.factorial(order)
    return series
