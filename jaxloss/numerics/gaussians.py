"""Gaussians by mean and log variance: their divergence, true where they are nearly the same and where they are far."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, finite_slope, inlined, reused
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.exponentials import exp_series
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def gaussian_relative_entropy(p_mean: Array, p_log_variance: Array, q_mean: Array, q_log_variance: Array) -> Array:
    r"""The elementwise relative entropy of Gaussians.

    $$ \tfrac12 \left( e^d - 1 - d \right) + \tfrac12 \delta^2, \qquad
       d = \log \sigma_p^2 - \log \sigma_q^2, \quad \delta = (\mu_p - \mu_q) / \sigma_q $$

    Neither term is below 0, and neither is formed as a difference of near-equal numbers. The gradient in the means is
    +-(mu_p - mu_q) / sigma_q^2, in the log variances it is (e^d - 1) / 2 and (1 - e^d - delta^2) / 2. Equal means
    differ by 0 standard deviations, however small these are.

    >>> one, zero = jnp.array(1.0), jnp.array(0.0)
    >>> print(f"{gaussian_relative_entropy(one, one, zero, zero):.4f}")
    0.8591
    """
    remainder, _ = _carried(p_log_variance, q_log_variance)
    deviation, _ = _deviation(p_mean, q_mean, q_log_variance)
    return reused(remainder + (0.5 * deviation) * deviation)


@gaussian_relative_entropy.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    p_mean, p_log_variance, q_mean, q_log_variance = apart(*primals)
    dp_mean, dp_log_variance, dq_mean, dq_log_variance = tangents
    _, growth = _carried(p_log_variance, q_log_variance)
    deviation, slope = _deviation(p_mean, q_mean, q_log_variance)
    slope_q = finite_slope(growth + (0.5 * deviation) * deviation)
    slope = finite_slope(slope)
    change = slope * (dp_mean - dq_mean) + finite_slope(growth) * dp_log_variance - slope_q * dq_log_variance
    return gaussian_relative_entropy(*primals), change


@jax.custom_jvp
@inlined
def relative_entropy_to_standard_normal(mean: Array, log_variance: Array) -> Array:
    r"""The elementwise relative entropy of a Gaussian to the one of mean 0 and variance 1.

    $$ \tfrac12 \left( e^v - 1 - v \right) + \tfrac12 \mu^2, \qquad v = \log \sigma^2 $$

    The gradient in the mean is mu, in the log variance (e^v - 1) / 2.

    >>> print(f"{relative_entropy_to_standard_normal(jnp.array(1.0), jnp.array(1.0)):.4f}")
    0.8591
    """
    remainder, _ = _half_remainder(log_variance)
    return reused(remainder + (0.5 * mean) * mean)


@relative_entropy_to_standard_normal.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (mean, log_variance), (dmean, dlog_variance) = apart(*primals), tangents
    _, growth = _half_remainder(log_variance)
    change = finite_slope(mean) * dmean + finite_slope(growth) * dlog_variance
    return relative_entropy_to_standard_normal(*primals), change


@jax.custom_jvp
def _carried(a: Array, b: Array) -> tuple[Array, Array]:
    """The `_half_remainder` of a - b, with what the rounding takes from that difference."""
    d, lost = two_sum(a, -b)
    remainder, growth = _half_remainder(d)
    return remainder + finite_slope(growth) * lost, growth + finite_slope(growth + 0.5) * lost


@_carried.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (da, db), (remainder, growth) = tangents, _carried(*primals)
    return (remainder, growth), (finite_slope(growth) * (da - db), finite_slope(growth + 0.5) * (da - db))


@jax.custom_jvp
def _half_remainder(d: Array) -> tuple[Array, Array]:
    """Half of e^d - 1 - d, and half of e^d - 1."""
    # Half of the exponential, where the whole may overflow. Where it counts, d - 1 is exact.
    half = reused(jnp.exp(d - 1) * (0.5 * math.e))
    near = (d > -1) & (d < 2)
    inside = jnp.where(near, d, 0)
    square = 0.5 * inside * inside * exp_series(inside)
    far = half - 0.5 * (1 + jnp.where(jnp.isinf(half), 0, d))
    return jnp.where(near, square, far), jnp.where(near, 0.5 * inside + square, half - 0.5)


@_half_remainder.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (dd,), (remainder, growth) = tangents, _half_remainder(*primals)
    return (remainder, growth), (finite_slope(growth) * dd, finite_slope(growth + 0.5) * dd)


@jax.custom_jvp
def _deviation(p_mean: Array, q_mean: Array, q_log_variance: Array) -> tuple[Array, Array]:
    """The difference of the means in standard deviations, and that over the standard deviation."""
    difference = p_mean - q_mean
    first, second = _inverse_deviation(q_log_variance)
    second = jnp.where(difference == 0, 1, second)
    deviation = (difference * first) * second
    return deviation, (deviation * first) * second


@_deviation.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (p_mean, q_mean, q_log_variance), (dp_mean, dq_mean, db) = primals, tangents
    deviation, slope = _deviation(p_mean, q_mean, q_log_variance)
    first, second = _inverse_deviation(q_log_variance)
    inverse = first * second
    once, twice = finite_slope(inverse), finite_slope(inverse * inverse)
    change = dp_mean - dq_mean
    return (deviation, slope), (
        once * change - 0.5 * finite_slope(deviation) * db,
        twice * change - finite_slope(slope) * db,
    )


def _inverse_deviation(log_variance: Array) -> tuple[Array, Array]:
    """One over the standard deviation in two factors, the first a constant, as their product may leave the range."""
    half = math.floor(0.9 * math.log(jnp.finfo(log_variance.dtype).max))
    low, high = log_variance < -2 * half, log_variance > 2 * half
    first = jnp.where(low, math.exp(half), jnp.where(high, math.exp(-half), 1.0)).astype(log_variance.dtype)
    shift = jnp.where(low, 2.0 * half, jnp.where(high, -2.0 * half, 0.0)).astype(log_variance.dtype)
    return first, jnp.exp(-0.5 * (log_variance + shift))
