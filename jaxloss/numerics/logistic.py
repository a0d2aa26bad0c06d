"""Sigmoid of logits: what a side costs, without ever leaving the log domain or subtracting from 1."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    multiply_bounded,
    multiply_no_nan,
    reused,
    sigmoid,
    softplus,
)
from jaxloss.numerics.exact import two_sum
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def logistic_surprisal(logit: Array, target: Array, positive_weight: Array, smoothing: Array) -> Array:
    r"""The cross entropy of a target in [0, 1] with the sigmoid of a logit, its positive part weighed.

    $$ w\,p\,\log(1 + e^{-x}) + n \log(1 + e^x), \qquad \frac{\partial}{\partial x} = n\,\sigma(x) - w\,p\,\sigma(-x),
       \qquad p = (1 - s)\,y + s / 2, \quad n = (1 - s)(1 - y) + s / 2 $$

    The two terms of each slope, which near x = 0 are nearly equal, are subtracted before they are rounded. At a logit
    of inf or -inf on the right side the value is 0 and the gradient 0, on the wrong side the value is inf and the
    gradient in the logit n or -w p.

    >>> logit, one, zero = jnp.array(20.0), jnp.array(1.0), jnp.array(0.0)
    >>> print(f"{logistic_surprisal(logit, one, one, zero):.3e} {logistic_surprisal(logit, zero, one, zero):.3f}")
    2.061e-09 20.000
    """
    positive, negative = _sides(target, smoothing)
    positive = positive_weight * positive
    # The two softplus in one logarithm.
    ramps = multiply_bounded(positive, jnp.maximum(-logit, 0)) + multiply_bounded(negative, jnp.maximum(logit, 0))
    return ramps + (positive + negative) * jnp.log1p(jnp.exp(-jnp.abs(logit)))


@logistic_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    dlogit, dtarget, dweight, dsmoothing = tangents
    logit, target, weight, smoothing, one = apart(*primals, jnp.ones((), primals[0].dtype))
    positive, negative = _sides(target, smoothing, one)
    slope_weight = multiply_no_nan(positive, softplus(-logit))
    positive = weight * positive
    tail = jnp.exp(-jnp.abs(logit))
    rises = logit >= one - 1
    far = jnp.where(rises, negative - positive * tail, negative * tail - positive)
    near = (negative - positive) + jnp.where(rises, -positive, negative) * jnp.expm1(-jnp.abs(logit))
    slope_logit = jnp.where(tail > 0.5, near, far) / (one + tail)
    # softplus(x) is max(x, 0) plus this.
    shared = jnp.log1p(tail)
    slope_target = multiply_no_nan(weight, jnp.maximum(-logit, 0)) - jnp.maximum(logit, 0) + (weight - 1) * shared
    value = logistic_surprisal(*primals)
    slope_target, slope_weight = (
        jnp.where(jnp.isinf(slope) & jnp.isfinite(value), 0, finite_slope(slope))
        for slope in (slope_target, slope_weight)
    )
    mixed = (1 - smoothing) * dtarget + (0.5 - target) * dsmoothing
    return value, slope_logit * dlogit + slope_target * mixed + slope_weight * dweight


def _sides(target: Array, smoothing: Array, one: Any = 1) -> tuple[Array, Array]:
    """The smoothed target and its complement, both exact at their small end."""
    positive = (1 - smoothing) * target + 0.5 * smoothing
    return positive, (1 - smoothing) * (one - target) + 0.5 * smoothing


@jax.custom_jvp
@jax.jit
def softplus_difference(a: Array, b: Array) -> Array:
    r"""The softplus of the difference of two logits, which is -log sigmoid(b - a).

    $$ \log(1 + e^{a - b}) $$

    What the rounding takes from the difference is carried into its exponential, as for `surprisal`. The gradient in a
    is sigmoid(a - b), in b minus that.

    >>> print(f"{softplus_difference(jnp.array(-40.1), jnp.array(39.9)):.4e}")
    1.8049e-35
    """
    difference, lost = two_sum(a, -b)
    return reused(softplus(difference) + sigmoid(difference) * lost)


@softplus_difference.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (a, b), (da, db) = apart(*primals), tangents
    difference, lost = two_sum(a, -b)
    slope = reused(sigmoid(difference)) * (1 + jax.lax.stop_gradient(lost) * sigmoid(-difference))
    return softplus_difference(*primals), slope * (da - db)
