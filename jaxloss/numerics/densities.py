"""Negative log-densities of an error whose scale is given in logarithms, true also at extreme scales and errors."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import absolute, finite_slope

LOG_2 = math.log(2)
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@jax.custom_jvp
@jax.jit
def gaussian_surprisal(error: Array, log_variance: Array) -> Array:
    r"""The negative log-density of a Gaussian error.

    $$ \tfrac12 \left( \log 2\pi + s + e^2 \exp(-s) \right) $$

    The square is taken after the scaling, so that neither an error of 1e30 nor a log-variance of -80 overflows alone.
    An infinite gradient is the largest finite number of its sign.

    >>> print(f"{gaussian_surprisal(jnp.array(1e30), jnp.array(80.0)):.3e}")
    9.024e+24
    """
    standard = scaled(error, 0.5 * log_variance)
    square = 0.5 * jnp.square(standard)
    return jnp.where(square == jnp.inf, jnp.inf, (HALF_LOG_2PI + 0.5 * log_variance) + square)


@gaussian_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, log_variance), (de, ds) = primals, tangents
    half = 0.5 * log_variance
    standard = scaled(error, half)
    slope_s = -0.5 * scaled_excess(absolute(error), half) * (absolute(standard) + 1)
    slope_e = scaled(standard, half)
    return gaussian_surprisal(error, log_variance), de * finite_slope(slope_e) + ds * finite_slope(slope_s)


@jax.custom_jvp
@jax.jit
def laplace_surprisal(error: Array, log_scale: Array) -> Array:
    r"""The negative log-density of a Laplace error.

    $$ \log 2 + s + |e| \exp(-s) $$

    At e = 0 the gradient in e is 0. An infinite gradient is the largest finite number of its sign.

    >>> print(f"{laplace_surprisal(jnp.array(0.0), jnp.array(-90.0)):.3f}")
    -89.307
    """
    standard = scaled(absolute(error), log_scale)
    return jnp.where(standard == jnp.inf, jnp.inf, (LOG_2 + log_scale) + standard)


@laplace_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, log_scale), (de, ds) = primals, tangents
    slope_e = scaled(jnp.sign(error), log_scale)
    slope_s = -scaled_excess(absolute(error), log_scale)
    return laplace_surprisal(error, log_scale), de * finite_slope(slope_e) + ds * finite_slope(slope_s)


def scaled(x: Array, log_scale: Array) -> Array:
    """The quotient x exp(-s), 0 where x is. Where exp(-s) might leave the format, its root is multiplied in twice."""
    twice = jnp.abs(log_scale) > 0.9 * math.log(jnp.finfo(log_scale.dtype).max)
    factor = jnp.exp(-jnp.where(twice, 0.5 * log_scale, log_scale))
    return jnp.where(x == 0, 0, (x * factor) * jnp.where(twice, factor, 1))


def scaled_excess(x: Array, log_scale: Array) -> Array:
    """The difference x exp(-s) - 1. Where both x and exp(-s) are near 1, what each is more than 1 is added up."""
    near = (jnp.abs(log_scale) < LOG_2) & (x > 0.5) & (x < 2)
    inside = jnp.where(near, x, 1)
    return jnp.where(
        near,
        inside * jnp.expm1(-jnp.where(near, log_scale, 0)) + (inside - 1),
        scaled(x, log_scale) - 1,
    )
