"""Negative log-densities of an error whose scale is given in logarithms, true also at extreme scales and errors."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import absolute, apart, finite_slope, log1p, multiply_no_nan, reused
from jaxloss.numerics.special import (
    HALF_LOG_2PI,
    chebyshev,
    divergence,
    log1p_lag,
    log1p_shortfall,
    log_factorial_ratio,
    scaled_stirling_slope,
    stirling_error,
    stirling_slope,
)
from jaxloss.types import Array

LOG_2 = math.log(2)

# Of the score of a Gaussian, less that of its mean, over z^2: a Chebyshev series in z^2 / 2 - 1.
_SCORE = (
    0.34775478163207658,
    -0.046749903358031507,
    0.0040791170030944213,
    -0.00033254955562494311,
    2.4255002840452216e-5,
    -1.5768878455777076e-6,
    9.1884611612818775e-8,
    -4.8351901569411699e-9,
    2.3153088609177338e-10,
    -1.0159472700576525e-11,
    4.1108241272874146e-13,
    -1.54243077220699e-14,
    5.3932444595770773e-16,
)


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
    square = (0.5 * standard) * standard  # halved first, since the square alone may overflow
    return jnp.where(square == jnp.inf, jnp.inf, (HALF_LOG_2PI + 0.5 * log_variance) + square)


@gaussian_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, log_variance), (de, ds) = apart(*primals), tangents
    half = 0.5 * log_variance
    standard = scaled(error, half)
    slope_s = -0.5 * scaled_excess(absolute(error), half) * (absolute(standard) + 1)
    slope_e = scaled(standard, half)
    return gaussian_surprisal(*primals), de * finite_slope(slope_e) + ds * finite_slope(slope_s)


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
    (error, log_scale), (de, ds) = apart(*primals), tangents
    slope_e = scaled(jnp.sign(error), log_scale)
    slope_s = -scaled_excess(absolute(error), log_scale)
    return laplace_surprisal(*primals), de * finite_slope(slope_e) + ds * finite_slope(slope_s)


@jax.custom_jvp
@jax.jit
def student_t_surprisal(error: Array, log_scale: Array, freedom: Array) -> Array:
    r"""The negative log-density of an error of Student's t distribution with n degrees of freedom.

    $$ \log \frac{\Gamma(\frac n2) \sqrt{n \pi}}{\Gamma(\frac{n + 1}2)}
       + s + \frac{n + 1}2 \log\left( 1 + \frac{z^2}{n} \right), \qquad z = e \exp(-s) $$

    The constant is half of log 2 pi and a positive rest of 1 / (4 n), of which nothing cancels for large n. The square
    of z may leave the format. At n = inf it is the Gaussian.

    >>> print(f"{student_t_surprisal(jnp.array(1e30), jnp.array(-80.0), jnp.array(4.0)):.3f}")
    662.903
    """
    standard, square = _standard_square(error, log_scale, freedom)
    near = square <= 1
    inside = jnp.where(near, square, 0)
    parabola = 0.5 * (1 + 1 / freedom) * jnp.square(jnp.where(near, standard, 0)) * (1 - log1p_shortfall(inside))
    tail = 0.5 * (freedom + 1) * _log1p_square(error, log_scale, freedom, jnp.where(near, 1, square))
    half = 0.5 * freedom
    rest = stirling_error(half) - stirling_error(half + 0.5) + 0.5 * log1p_shortfall(1 / freedom)
    cost = jnp.where(near, parabola, tail)
    return jnp.where(cost == jnp.inf, jnp.inf, ((HALF_LOG_2PI + rest) + log_scale) + cost)


@student_t_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, log_scale, freedom), (de, ds, dn) = apart(*primals), tangents
    standard, square = _standard_square(error, log_scale, freedom)
    near = square <= 1
    inside, outside = jnp.where(near, square, 0), jnp.where(near, 1, square)
    inverse = reused(1 / outside)

    steep = scaled(jnp.where(near, standard, 0), log_scale) * (1 + 1 / freedom) / (1 + inside)
    flat = (freedom + 1) / (jnp.where(near, 1, absolute(error)) * (1 + inverse))
    slope_e = jnp.sign(error) * jnp.where(near, steep, flat)

    excess = scaled_excess(jnp.where(near, absolute(error), 0), log_scale)
    slope_s = jnp.where(
        near, -excess * (1 + jnp.where(near, standard, 0)) / (1 + inside), (inverse - freedom) / (1 + inverse)
    )

    half = 0.5 * freedom
    of_constant = stirling_slope(half) - stirling_slope(half + 0.5) - log1p_lag(1 / freedom)
    lag = jnp.where(near, log1p_lag(inside), _log1p_square(error, log_scale, freedom, outside) - 1 / (1 + inverse))
    share = jnp.where(near, inside / (1 + inside), 1 / (1 + inverse))
    slope_n = 0.5 * (of_constant + (lag - share / freedom))
    value = student_t_surprisal(*primals)
    return value, de * finite_slope(slope_e) + ds * finite_slope(slope_s) + dn * finite_slope(slope_n)


def _standard_square(error: Array, log_scale: Array, freedom: Array) -> tuple[Array, Array]:
    standard = scaled(absolute(error), log_scale)
    return standard, jnp.square(multiply_no_nan(jax.lax.rsqrt(freedom), standard))


def _log1p_square(error: Array, log_scale: Array, freedom: Array, square: Array) -> Array:
    """The logarithm of 1 + z^2 / n, from logarithms where z^2 is beyond the format."""
    beyond = jnp.isinf(square)
    logs = 2 * (jnp.log(jnp.where(beyond, absolute(error), 1)) - log_scale) - jnp.log(freedom)
    return jnp.where(beyond, logs, log1p(jnp.where(beyond, 1, square)))


@jax.custom_jvp
@jax.jit
def gaussian_score(error: Array, log_scale: Array) -> Array:
    r"""The integral of the squared difference between a Gaussian distribution and the step at the outcome.

    $$ \sigma \left[ z (2 \Phi(z) - 1) + 2 \varphi(z) - \frac1{\sqrt\pi} \right], \qquad
       \sigma = e^s, \quad z = e / \sigma $$

    Within two standard deviations it is a series in z^2, of positive terms; beyond, |e| less a share of sigma. Neither
    z nor its square need fit the format. The gradient in e is 2 Phi(z) - 1, that in s is the expected rise of the score
    with sigma, negative where |z| > sqrt(log 2).

    >>> print(f"{gaussian_score(jnp.array(0.0), jnp.array(0.0)):.4f} {gaussian_score(jnp.array(1e30), -jnp.inf):.1e}")
    0.2337 1.0e+30
    """
    size, (scale, unit) = absolute(error), _exp_in_units(log_scale)
    standard = reused(scaled(size, log_scale))
    near = standard <= 2
    square = jnp.square(jnp.minimum(standard, 2.125))
    inside = scale * ((math.sqrt(2) - 1) / math.sqrt(math.pi) + square * chebyshev(_SCORE, 0.5 * square - 1))
    outer = jnp.clip(standard, 1.875, 40)
    tail = math.sqrt(2 / math.pi) * jnp.exp(-0.5 * outer * outer) - outer * jax.lax.erfc(outer * math.sqrt(0.5))
    return jnp.where(near, inside * unit, size - scale * (1 / math.sqrt(math.pi) - tail) * unit)


@gaussian_score.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, log_scale), (de, ds) = apart(*primals), tangents
    standard, (scale, unit) = scaled(absolute(error), log_scale), _exp_in_units(log_scale)
    slope_e = jnp.sign(error) * jax.lax.erf(standard * math.sqrt(0.5))
    slope_s = scale / math.sqrt(math.pi) * jnp.expm1(0.5 * (LOG_2 - jnp.square(standard))) * unit
    return gaussian_score(*primals), de * slope_e + ds * finite_slope(slope_s)


def _exp_in_units(x: Array) -> tuple[Array, Array]:
    """The exponential, beyond the format in units of e^2, for what is a fraction of it."""
    beyond = x > math.floor(math.log(jnp.finfo(x.dtype).max))
    return reused(jnp.exp(jnp.where(beyond, x - 2, x))), jnp.where(beyond, math.exp(2), 1)


@jax.custom_jvp
@jax.jit
def gamma_surprisal(log_mean: Array, outcome: Array, log_shape: Array) -> Array:
    r"""The negative log-density of an outcome > 0 of given mean m under a gamma distribution of shape a.

    $$ a \left[ \frac ym - 1 - \log \frac ym \right] + \log y + \tfrac12 \log \frac{2 \pi}a + \delta(a) $$

    with the `stirling_error`. The bracket is >= 0, and 0 at y = m. An outcome of 0 costs -inf for a < 1, inf for a > 1
    and log m for a = 1; the gradient is finite. Below 0 it is NaN.

    >>> print(f"{gamma_surprisal(jnp.array(0.0), jnp.array(2.0), jnp.array(0.0)):.4f}")
    2.0000
    """
    shape, zero = reused(jnp.exp(log_shape)), outcome == 0
    few = log_shape < 0
    small = jnp.where(few, shape, 0)
    log_outcome = jnp.log(jnp.where(zero, 1, outcome))
    constant = HALF_LOG_2PI - 0.5 * log_shape + stirling_error(jnp.where(few, 1, shape))
    constant = jnp.where(few, small * (1 - log_shape + log_factorial_ratio(small)) - log_shape, constant)
    value = _scaled_bracket(log_mean, outcome, shape) + (log_outcome + constant)
    at_zero = jnp.where(shape == 1, log_mean, jnp.sign(shape - 1) * jnp.inf)
    return jnp.where(zero & jnp.isfinite(log_mean), at_zero, value)


@gamma_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (log_mean, outcome, log_shape), (dm, dy, da) = apart(*primals), tangents
    shape, zero = reused(jnp.exp(log_shape)), outcome == 0
    excess = _scaled_excess_of(log_mean, outcome, shape)
    at_zero = jnp.where(shape == 1, jnp.exp(-log_mean), jnp.sign(1 - shape) * jnp.inf)
    # a / m - (a - 1) / y: where y < m, with what a is more than 1, which at a = 1 leaves 1 / m.
    below, divisor = jnp.minimum(scaled_excess(outcome, log_mean), 0), jnp.where(zero, 1, outcome)
    under = jnp.expm1(log_shape) * below / divisor + scaled(jnp.ones_like(outcome), log_mean)
    positive = jnp.where(below < 0, under, (excess + 1) / divisor)
    positive = jnp.where(excess == jnp.inf, scaled(shape, log_mean), positive)
    slope_y = jnp.where(zero, at_zero, positive)
    bracket = _scaled_bracket(log_mean, jnp.where(zero, 1, outcome), shape)
    slope_a = jnp.where(zero, 0, bracket + (scaled_stirling_slope(shape) - 0.5))
    value = gamma_surprisal(*primals)
    return value, -dm * finite_slope(excess) + dy * finite_slope(slope_y) + da * finite_slope(slope_a)


def _scaled_excess_of(log_mean: Array, outcome: Array, shape: Array) -> Array:
    """The difference y / m - 1, times the shape, which may be small where the quotient is beyond the format."""
    excess = scaled_excess(outcome, log_mean)
    beyond = excess == jnp.inf
    return jnp.where(beyond, scaled(outcome * shape, log_mean), shape * jnp.where(beyond, 0, excess))


def _scaled_bracket(log_mean: Array, outcome: Array, shape: Array) -> Array:
    """The divergence of 1 from y / m, times the shape."""
    excess = scaled_excess(outcome, log_mean)
    beyond = excess == jnp.inf
    quotient = jnp.where(beyond, 0, scaled(outcome, log_mean))
    in_range = quotient > jnp.finfo(quotient.dtype).tiny
    log = jnp.log(jnp.where(in_range, quotient, outcome)) - jnp.where(in_range, 0, log_mean)
    inside = jnp.where(beyond, 0, excess)
    bracket = divergence(inside, jnp.where(beyond, 1, inside / (quotient + 1)), jnp.ones_like(excess), -log)
    return multiply_no_nan(bracket, shape) + jnp.where(beyond, scaled(outcome * shape, log_mean), 0)


def scaled(x: Array, log_scale: Array) -> Array:
    """The quotient x exp(-s), 0 where x is. Where exp(-s) might leave the format, its root is multiplied in twice."""
    twice = jnp.abs(log_scale) > 0.9 * math.log(jnp.finfo(log_scale.dtype).max)
    factor = reused(jnp.exp(-jnp.where(twice, 0.5 * log_scale, log_scale)))
    return jnp.where(x == 0, 0, (x * factor) * jnp.where(twice, factor, 1))


def scaled_excess(x: Array, log_scale: Array) -> Array:
    """The difference x exp(-s) - 1. Where both x and exp(-s) are near 1, what each is more than 1 is added up."""
    near = (jnp.abs(log_scale) < LOG_2) & (x > 0.5) & (x < 2)
    inside = jnp.clip(x, 0.375, 2.5)
    return jnp.where(
        near,
        inside * jnp.expm1(-jnp.clip(log_scale, -0.75, 0.75)) + (inside - 1),
        scaled(x, log_scale) - 1,
    )
