"""Negative log-probabilities of counts, by the saddle-point form: a sum of positive terms that does not cancel."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.elementary import apart, finite_slope, log1p, multiply_no_nan, reused
from jaxloss.numerics.special import (
    HALF_LOG_2PI,
    digamma_of_successor,
    divergence,
    log1p_shortfall,
    log_factorial_ratio,
    scaled_stirling_slope,
    stirling_error,
    stirling_error_from_one,
    stirling_slope,
    stirling_slope_from_one,
)
from jaxloss.types import Array


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
    rate = reused(jnp.exp(log_rate))
    cost = _cost_of_count(count, rate, log_rate, _excess(log_rate, rate, count))
    return jnp.where(rate == jnp.inf, jnp.inf, cost)


@poisson_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (log_rate, count), (dx, dk) = apart(*primals), tangents
    value, rate = poisson_surprisal(*primals), reused(jnp.exp(log_rate))
    slope_k = _slope_of_count(count, rate, log_rate)
    slope_k = jnp.where(jnp.isinf(slope_k) & jnp.isfinite(value), 0, finite_slope(slope_k))
    return value, dx * finite_slope(_excess(log_rate, rate, count)) + dk * slope_k


def _excess(log_rate: Array, rate: Array, count: Array) -> Array:
    """The difference exp(x) - k. Where both are near 1, what each is more than 1 is subtracted."""
    near = (jnp.abs(log_rate) < 0.7) & (count > 0.5) & (count < 2)
    return jnp.where(near, jnp.expm1(jnp.clip(log_rate, -0.75, 0.75)) - (count - 1), rate - count)


def _cost_of_count(count: Array, rate: Array, log_rate: Array, excess: Array) -> Array:
    """The Poisson cost, given rate - count too. A count below 1, where log k is large, takes the plain form."""
    few = count < 1
    many = jnp.maximum(count, 0.875)
    linear = rate + multiply_no_nan(count, log_factorial_ratio(jnp.minimum(count, 1.125)) - log_rate)
    bracket = divergence(excess, reused(excess / (rate + many)), many, _far_log_ratio(many, rate, log_rate))
    saddle = bracket + ((HALF_LOG_2PI + 0.5 * jnp.log(many)) + stirling_error_from_one(many))
    return jnp.where(few, jnp.where(count < 0, jnp.nan, linear), saddle)


def _slope_of_count(count: Array, rate: Array, log_rate: Array) -> Array:
    few = count < 1
    many = jnp.maximum(count, 0.875)
    linear = digamma_of_successor(jnp.minimum(count, 1.125)) - log_rate
    return jnp.where(few, linear, _log_ratio(many, rate, log_rate) + (0.5 / many + stirling_slope_from_one(many)))


def _log_ratio(many: Array, rate: Array, log_rate: Array) -> Array:
    """The logarithm of k / rate."""
    small = reused((many - rate) / rate)
    near = (small > -0.5) & (small < 1)
    return jnp.where(near, log1p(jnp.clip(small, -0.75, 1.5)), _far_log_ratio(many, rate, log_rate))


def _far_log_ratio(many: Array, rate: Array, log_rate: Array) -> Array:
    """Where they are apart by a factor of 2: from the logarithm of the rate where the quotient leaves the format."""
    quotient = reused(many / rate)
    in_range = (quotient > jnp.finfo(rate.dtype).tiny) & (quotient < jnp.inf)
    return jnp.log(jnp.where(in_range, quotient, many)) - jnp.where(in_range, 0, log_rate)


@jax.custom_jvp
@jax.jit
def negative_binomial_surprisal(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    r"""The negative log-probability of a count of mean m and variance m + a m^2.

    $$ \log k! + \log \frac{\Gamma(r)}{\Gamma(k + r)} + k \log \frac{r + m}{m} + r \log \frac{r + m}{r},
       \qquad r = 1 / a $$

    This is the Poisson cost at the rate m (r + k) / (r + m), and three terms >= 0 that vanish with the dispersion a:
    half of log(1 + a k), a difference of Stirling errors, and r (u - log(1 + u)) with u = (k - m) / (r + m). At a
    log-dispersion of -inf it is the Poisson cost.

    >>> log_mean, count = jnp.log(3.0), jnp.array(5.0)
    >>> print(f"{negative_binomial_surprisal(log_mean, count, jnp.array(0.0)):.5f}")
    2.82470
    """
    q = _Dispersed(log_mean, count, log_dispersion)
    poisson = _cost_of_count(count, q.rate, q.log_rate, q.excess)
    spread = 0.5 * q.log1p_of_count() + _stirling_fall(q.shape, count)
    cost = poisson + (spread + q.divergence_of_shape())
    cost = jnp.where(q.rate == jnp.inf, jnp.inf, cost)
    return jnp.where(count == 0, cost * jnp.exp(-q.beyond), cost + q.beyond)


@negative_binomial_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (log_mean, count, log_dispersion), (dm, dk, da) = apart(*primals), tangents
    q = _Dispersed(log_mean, count, log_dispersion)
    value = negative_binomial_surprisal(*primals)
    fading, total = jnp.exp(-q.beyond), q.shape + count
    slope_k = _slope_of_count(count, q.rate, q.log_rate) + (0.5 - scaled_stirling_slope(total)) / total
    slope_k = jnp.where(jnp.isinf(slope_k) & jnp.isfinite(value), 0, finite_slope(slope_k))
    of_stirling = scaled_stirling_slope(total) / (1 + q.dispersion * count) - scaled_stirling_slope(q.shape)
    few = _few_beside(q.shape, count)
    shape, added = jnp.where(few, q.shape, 1), jnp.where(few, count, 0)
    fall = jax.jvp(lambda r: _stirling_fall(r, added), (shape,), (jnp.ones_like(shape),))[1]
    of_stirling = jnp.where(few, -shape * fall, of_stirling)
    slope_a = (0.5 * count / total + jnp.where(count == 0, 0, of_stirling)) - q.divergence_of_shape()
    slope_a = jnp.where(count == 0, slope_a * fading, slope_a)
    return value, dm * finite_slope(q.excess * fading) + dk * slope_k + da * finite_slope(slope_a)


def _few_beside(shape: Array, count: Array) -> Array:
    return (count < shape / 16) & (shape < math.sqrt(jnp.finfo(shape.dtype).max))


def _stirling_fall(shape: Array, count: Array) -> Array:
    """How much the Stirling error falls from the shape to the shape and a count more.

    Of a count that is small beside the shape it is the integral of the slope, by the quadrature of Gauss.
    """
    few = _few_beside(shape, count)
    start, length = jnp.where(few, shape, 1), jnp.where(few, count, 0)
    # A point adds 8 bits: the next term of its error is less by the square of count / shape.
    points, weights = np.polynomial.legendre.leggauss(math.ceil(jnp.finfo(shape.dtype).nmant / 8))
    slopes = (
        w * stirling_slope(start + float(0.5 + 0.5 * x) * length)
        for x, w in zip(points, map(float, weights), strict=True)
    )
    return jnp.where(few, -0.5 * length * sum(slopes), stirling_error(shape) - stirling_error(shape + count))


class _Dispersed:
    """What value and slopes of a negative binomial share, none of it through a number that leaves the format."""

    def __init__(self, log_mean: Array, count: Array, log_dispersion: Array) -> None:
        info = jnp.finfo(log_mean.dtype)
        largest = 0.98 * math.log(info.max)
        held = jnp.minimum(log_dispersion, largest)
        self.beyond = jnp.where(log_dispersion > largest, log_dispersion - largest, 0)
        # The minimum changes nothing, but of a product of exponentials XLA makes that of a rounded sum.
        self.dispersion = jnp.minimum(jnp.exp(held), float(info.max))
        self.shape, mean = reused(jnp.exp(-held)), reused(jnp.exp(log_mean))
        self.count, self.held = count, held

        # The odds a m, and the shares r / (r + m) and m / (r + m).
        ordinary = (jnp.abs(log_mean) < largest) & (jnp.abs(held) < largest)
        odds = jnp.where(ordinary, self.dispersion * mean, jnp.exp(held + log_mean))
        of_shape, of_mean = reused(1 / (1 + odds)), reused(1 / (1 + 1 / odds))
        alone = jnp.where(odds > 1, self.shape * of_mean, mean * of_shape)
        # Where the odds leave the format, what is a multiple of them may not.
        few, many = odds < 2.0**-60, (odds > 2.0**60) & (mean > 1)
        times = 1 + jnp.minimum(self.dispersion * count, float(info.max))
        self.rate = jnp.where(few, alone * times, alone + count * of_mean)
        self.log_rate = jnp.where(
            self.rate > info.tiny,
            jnp.log(jnp.maximum(self.rate, info.tiny)),
            log_mean + self.log1p_of_count(),
        )
        moderate = mean < math.sqrt(info.max)
        excess = _excess(jnp.where(moderate, log_mean, 0), jnp.where(moderate, mean, 1), count)
        share = jnp.where(many, reused(excess / mean) * alone, excess * of_shape)
        self.excess = jnp.where(moderate, share, alone - count * of_shape)

        self.u = jnp.minimum(-self.excess * self.dispersion, float(info.max))
        quotient = reused((self.shape + count) / (self.shape + mean))
        inside = quotient > info.tiny
        self.log_quotient = jnp.log(jnp.where(inside, quotient, self.shape + count)) - jnp.where(inside, 0, log_mean)

    def log1p_of_count(self) -> Array:
        product = self.dispersion * self.count
        beyond = product == jnp.inf
        logs = self.held + jnp.log(jnp.where(beyond, self.count, 1))
        return jnp.where(beyond, logs, log1p(jnp.where(beyond, 1, product)))

    def divergence_of_shape(self) -> Array:
        """The divergence r (u - log(1 + u)), where r u is minus the excess."""
        low = self.u < -0.5
        far = -self.excess - jnp.where(low, self.shape, 1) * jnp.where(low, self.log_quotient, 0)
        return jnp.where(low, far, -self.excess * log1p_shortfall(jnp.where(low, 0, self.u)))
