"""The unit deviances of the Tweedie family, a power of the mean at a time, without a hole at the powers 1 and 2."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.densities import scaled
from jaxloss.numerics.elementary import apart, finite_slope, multiply_no_nan, reused
from jaxloss.numerics.exact import residual, two_sum
from jaxloss.numerics.exponentials import expm1
from jaxloss.numerics.words import alone, log_in_words
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def power_deviance(log_mean: Array, outcome: Array, power: Array) -> Array:
    r"""Twice the integral of (y - t) / t^p from the mean m to the outcome y.

    $$ 2 \left[ \frac{y^{2 - p}}{(1 - p)(2 - p)} - \frac{y\,m^{1 - p}}{1 - p} + \frac{m^{2 - p}}{2 - p} \right]
       = 2 L^2 y^c \left[ c\,h(-c L) + (1 - c)\,h((1 - c) L) \right] $$

    with c = 2 - p, L = log(y / m) and h(z) = (exp(z) - 1 - z) / z^2, for p from 1 to 2: two terms >= 0, so that nothing
    cancels at y = m, and none is infinite at p = 1 or 2. For p > 2 the terms are c h(c L) and h(L), over p - 1. At
    p = 0 it is (y - m)^2, with slope 0 in p. For other p below 1, and for y < 0 unless p = 0, it is NaN. At y = 0 it is
    finite for p < 2, with gradient 0 in y where the true one is infinite.

    >>> print([f"{power_deviance(jnp.array(0.0), jnp.array(2.0), jnp.array(p)):.4f}" for p in (0.0, 1.0, 1.5, 2.0)])
    ['1.0000', '0.7726', '0.6863', '0.6137']
    """
    power = power.astype(log_mean.dtype)
    q = _Parts(log_mean, outcome, power)
    square = jnp.square(q.error)
    at_zero = 2 * q.mean_term / jnp.where(power < 2, q.c, 1)
    at_zero = jnp.where(power < 2, at_zero, jnp.inf)
    deviance = jnp.where((outcome == 0) & (power >= 1), at_zero, 2 * (q.first + q.second))
    return jnp.where(power == 0, square, jnp.where(power < 1, jnp.nan, deviance))


@power_deviance.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (*arrays, power), (dm, dy, dp) = primals, tangents
    log_mean, outcome = apart(*arrays)
    power = power.astype(log_mean.dtype)
    value = power_deviance(*primals)
    q = _Parts(log_mean, outcome, power)
    slope_m = -2 * q.cross_error
    rise = (1 - power) * q.log_ratio
    edge = jnp.where(rise > 0, q.outcome ** (1 - power), _exp_product(1 - power, log_mean))
    slope_y = (2 * q.log_ratio * _mean_exponential(rise)) * edge
    slope_y = jnp.where(outcome == 0, jnp.where(power < 2, 0, -jnp.inf), slope_y)
    slope_y = jnp.where(power == 0, 2 * q.error, slope_y)

    rest = 2 * jnp.square(q.log_ratio) * q.difference()
    finite = jnp.isfinite(value) & (power >= 1)
    held = jnp.where(finite, value, 0)
    slope_c = jnp.where(finite, held * log_mean + rest, 0)
    empty = jnp.where(power < 2, multiply_no_nan(held, log_mean - 1 / jnp.where(power < 2, q.c, 1)), 0)
    slope_p = -jnp.where(outcome == 0, empty, slope_c)
    return value, dm * finite_slope(slope_m) + dy * finite_slope(slope_y) + dp * finite_slope(slope_p)


class _Parts:
    """What value and slopes share. No factor leaves the format unless the term that it is in does."""

    def __init__(self, log_mean: Array, outcome: Array, power: Array) -> None:
        is_low = power < 2
        self.c = c = 2 - power
        self.outcome = jnp.where(outcome == 0, 1, outcome)
        self.log_ratio = reused(jnp.where(outcome == 0, 0, _log_ratio(self.outcome, log_mean)))
        # Near m, y - m is a share of y, and so is its product with a power of m.
        near = (outcome > 0) & (jnp.abs(self.log_ratio) < 0.7)
        share = -expm1(-jnp.where(near, self.log_ratio, 0))
        self.error = jnp.where(near, outcome * share, outcome - reused(jnp.exp(log_mean)))
        self.mean_term = _exp_product(c, log_mean)  # m^c
        twice = jnp.abs((1 - power) * log_mean) > 0.9 * math.log(jnp.finfo(log_mean.dtype).max)
        factor = _exp_product((1 - power) * jnp.where(twice, 0.5, 1), log_mean)
        self.cross_term = (outcome * factor) * jnp.where(twice, factor, 1)  # y m^(c - 1)
        excess = scaled(outcome, log_mean) - 1
        far = jnp.where(excess < 1, self.mean_term * jnp.minimum(excess, 1), self.cross_term - self.mean_term)
        self.cross_error = jnp.where(near, self.cross_term * share, far)  # (y - m) m^(c - 1)
        self.outcome_term = reused(self.outcome**c)

        falls, rises = self.log_ratio < 0, self.log_ratio > 0
        near_term = jnp.where(is_low, self.outcome_term, self.mean_term)
        first_term = jnp.where(falls == is_low, self.mean_term, self.outcome_term)
        second_term = jnp.where(rises, self.cross_term, near_term)
        other, over = jnp.where(is_low, power - 1, 1), jnp.where(is_low, 1, power - 1)
        self.first = _weighed_exponential(jnp.abs(c), -self.log_ratio, near_term, first_term) / over
        self.second = _weighed_exponential(other, self.log_ratio, near_term, second_term) / over

    def difference(self) -> Array:
        """The difference y^c (h((1 - c) L) - h(-c L)), where it is small by its series, which begins with L / 6."""
        one, other = (1 - self.c) * self.log_ratio, -self.c * self.log_ratio
        near = jnp.maximum(jnp.abs(one), jnp.abs(other)) < 1
        a, b = jnp.where(near, one, 0), jnp.where(near, other, 0)
        last, symmetric, series = jnp.ones_like(a), jnp.ones_like(a), jnp.full_like(a, 1 / 6)
        for n in range(2, 11 if a.dtype == jnp.float32 else 18):
            last = last * b
            symmetric = a * symmetric + last
            series = series + symmetric * (1 / math.factorial(n + 2))
        upper = jnp.where(one > 0, self.cross_term, self.outcome_term) * _second_exponential(one)
        lower = jnp.where(other > 0, self.mean_term, self.outcome_term) * _second_exponential(other)
        return jnp.where(near, self.outcome_term * self.log_ratio * series, upper - lower)


@jax.custom_jvp
def _log_ratio(outcome: Array, log_mean: Array) -> Array:
    """The logarithm of y / m, true also where the two are near, and log m is far from 0."""
    usable = (outcome > 0) & jnp.isfinite(outcome) & jnp.isfinite(log_mean)
    log_outcome, rest = log_in_words(*alone(jnp.where(usable, outcome, 1)))
    value, lost = two_sum(log_outcome, -jnp.where(usable, log_mean, 0))
    return jnp.where(usable, value + (lost + rest), jnp.where(outcome < 0, jnp.nan, outcome - log_mean))


@_log_ratio.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (outcome, log_mean), (dy, dm) = primals, tangents
    return _log_ratio(outcome, log_mean), dy / outcome - dm


def _exp_product(factor: Array, x: Array) -> Array:
    """The exponential of a product, with what is rounded off the product."""
    product = factor * x
    factor = factor + jnp.zeros_like(x)
    finite = jnp.isfinite(product)
    lost = residual(jnp.where(finite, product, 0), jnp.where(finite, factor, 0), jnp.where(finite, x, 0))
    exponential = reused(jnp.exp(product))
    return jnp.where(jnp.isfinite(exponential), exponential - exponential * lost, exponential)


def _mean_exponential(z: Array) -> Array:
    """The mean of exp between 0 and z, over its maximum."""
    size = jnp.abs(z)
    return jnp.where(size == 0, 1, -expm1(-size) / jnp.where(size == 0, 1, size))


def _weighed_exponential(weight: Array, x: Array, term: Array, far_term: Array) -> Array:
    """The product w x^2 h(w x) = (exp(w x) - 1 - w x) / w with a term; far from 0 with the larger term of both ends."""
    z = weight * x
    near, series, rest = _remainder(z)
    return jnp.where(near, (z * x) * series * term, rest / jnp.where(near, 1, weight) * far_term)


def _second_exponential(z: Array) -> Array:
    """The function h(z) = (exp(z) - 1 - z) / z^2, over exp(z) for z > 0."""
    near, series, rest = _remainder(z)
    outside = jnp.where(near, 2, z)
    return jnp.where(near, series * jnp.exp(-jnp.clip(z, 0, 2)), rest / outside / outside)


def _remainder(z: Array) -> tuple[Array, Array, Array]:
    """Whether z is near 0, there h(z) by its series, and elsewhere exp(z) - 1 - z, over exp(z) for z > 0."""
    near = jnp.abs(z) <= 2
    inside, outside = jnp.clip(z, -2.125, 2.125), jnp.where(near, 2, z)
    series = jnp.zeros_like(z)
    for order in range(15 if z.dtype == jnp.float32 else 26, 1, -1):
        series = series * inside + 1 / math.factorial(order)
    decay = reused(jnp.exp(-jnp.abs(outside)))
    return near, series, jnp.where(outside > 0, (1 - decay) - outside * decay, (decay - 1) - outside)
