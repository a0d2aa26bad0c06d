"""Negative log-probabilities of counts, by the saddle-point form: a sum of positive terms that does not cancel."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope, log1p, multiply_no_nan
from jaxloss.numerics.special import (
    HALF_LOG_2PI,
    digamma_of_successor,
    divergence,
    log_factorial_ratio,
    stirling_error,
    stirling_slope,
)


@jax.custom_jvp
@jax.jit
def poisson_surprisal(log_rate: Array, count: Array) -> Array:
    r"""The negative log-probability of a count under a Poisson distribution.

    $$ e^x - k x + \log k! = \left[ k \log \frac{k}{e^x} + e^x - k \right] + \tfrac12 \log 2 \pi k + \delta(k) $$

    with the `stirling_error`. The count may be any number >= 0; below 0 it is NaN. No rate and no count cost 0, with
    gradient 0; no rate and a count cost inf, with gradient -k in x.

    >>> print(f"{poisson_surprisal(jnp.log(3.0), jnp.array(5.0)):.5f} {poisson_surprisal(-jnp.inf, jnp.array(0.0))}")
    2.29443 0.0
    """
    rate = jnp.exp(log_rate)
    cost = _cost_of_count(count, rate, log_rate, _excess(log_rate, rate, count))
    return jnp.where(rate == jnp.inf, jnp.inf, cost)


@poisson_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (log_rate, count), (dx, dk) = primals, tangents
    value, rate = poisson_surprisal(log_rate, count), jnp.exp(log_rate)
    slope_k = _slope_of_count(count, rate, log_rate)
    slope_k = jnp.where(jnp.isinf(slope_k) & jnp.isfinite(value), 0, finite_slope(slope_k))
    return value, dx * finite_slope(_excess(log_rate, rate, count)) + dk * slope_k


def _excess(log_rate: Array, rate: Array, count: Array) -> Array:
    """The difference exp(x) - k. Where both are near 1, what each is more than 1 is subtracted."""
    near = (jnp.abs(log_rate) < 0.7) & (count > 0.5) & (count < 2)
    return jnp.where(near, jnp.expm1(jnp.where(near, log_rate, 0)) - (count - 1), rate - count)


def _cost_of_count(count: Array, rate: Array, log_rate: Array, excess: Array) -> Array:
    """The Poisson cost, given rate - count too. A count below 1, where log k is large, takes the plain form."""
    few = count < 1
    many = jnp.where(few, 1, count)
    linear = rate + multiply_no_nan(count, log_factorial_ratio(jnp.where(few, count, 0)) - log_rate)
    apart = divergence(excess, excess / (rate + many), many, _log_ratio(many, rate, log_rate))
    saddle = apart + ((HALF_LOG_2PI + 0.5 * jnp.log(many)) + stirling_error(many))
    return jnp.where(few, jnp.where(count < 0, jnp.nan, linear), saddle)


def _slope_of_count(count: Array, rate: Array, log_rate: Array) -> Array:
    few = count < 1
    many = jnp.where(few, 1, count)
    linear = digamma_of_successor(jnp.where(few, count, 0)) - log_rate
    return jnp.where(few, linear, _log_ratio(many, rate, log_rate) + (0.5 / many + stirling_slope(many)))


def _log_ratio(many: Array, rate: Array, log_rate: Array) -> Array:
    """The logarithm of k / rate, from that of the rate where the quotient leaves the format."""
    quotient = many / rate
    in_range = (quotient > jnp.finfo(rate.dtype).tiny) & (quotient < jnp.inf)
    near = (quotient > 0.5) & (quotient < 2)
    small = jnp.where(near, many - rate, 0) / jnp.where(near, rate, 1)
    return jnp.where(
        near,
        log1p(small),
        jnp.log(jnp.where(in_range, quotient, many)) - jnp.where(in_range, 0, log_rate),
    )
