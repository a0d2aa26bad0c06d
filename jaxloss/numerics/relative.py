"""Relative differences: quotients and logarithms of quotients of numbers that may be equal, far apart or 0."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, finite_slope, inlined, largest_like, reused
from jaxloss.numerics.exact import residual, sum_of_three
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def log_ratio(x: Array, y: Array) -> Array:
    r"""The difference of two logarithms, true also where the numbers are near, or their quotient leaves the format.

    $$ \log x - \log y = 2 \operatorname{artanh} \frac{x - y}{x + y} $$

    The second form serves within a factor of 1.4. At x = y = 0 value and gradients are 0; else, where one is 0, the
    value is infinite and the gradient in it the largest finite number. Below 0 it is NaN.

    >>> print(f"{log_ratio(jnp.array(1e30), jnp.array(1e-30)):.4f} {log_ratio(jnp.array(1e-9), jnp.array(0.0))}")
    138.1551 inf
    """
    # One logarithm is taken, and that of the quotient is corrected.
    negative, gap = (x < 0) | (y < 0), x - y
    near = jnp.abs(gap) <= 0.4 * jnp.minimum(x, y)
    apart = (x != y) & ~near
    half = jnp.where(near & (gap != 0), gap, 0) / jnp.where(near & (gap != 0), x + y, 1)
    square, series = jnp.square(half), jnp.zeros_like(half)
    for order in range(2 * (jnp.finfo(x.dtype).nmant // 5) + 3, 1, -2):
        series = (series + 1 / order) * square
    x, y = jnp.where(apart, x, 1), jnp.where(apart, y, 1)
    quotient = x / y
    # With room for the last digits of the quotient.
    in_range = (quotient < jnp.inf) & (quotient > jnp.finfo(x.dtype).tiny / jnp.finfo(x.dtype).eps)
    # The logarithm of a quotient beyond the format is twice that of its root.
    root = jnp.sqrt(x) / jnp.sqrt(y)
    far = jnp.log(jnp.where(in_range, quotient, root)) * jnp.where(in_range, 1, 2)
    x, y, quotient = (jnp.where(in_range, z, 1) for z in (x, y, quotient))
    lost = jnp.where(in_range, residual(x, quotient, y), 0)
    value = jnp.where(apart, far + lost / x, 2 * half * (1 + series))
    return value + jnp.sqrt(jnp.where(negative, -1, 0).astype(value.dtype))  # NaN below 0


@log_ratio.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = primals, tangents
    slope_x, slope_y = (_slope_of_log(1 / jnp.where(z == 0, 1, z), z == 0, x == y) for z in (x, y))
    return log_ratio(x, y), slope_x * dx - slope_y * dy


def _slope_of_log(slope: Array, at_zero: Array, equal: Array) -> Array:
    return jnp.where(at_zero, jnp.where(equal, 0, largest_like(slope)), slope)


@jax.custom_jvp
@inlined
def squared_log1p_ratio(x: Array, y: Array) -> Array:
    r"""The square of the difference of two logarithms of 1 + x and 1 + y.

    $$ \left[ \log(1 + x) - \log(1 + y) \right]^2 $$

    At x = y it is 0 with gradient 0, also at -1; else, where one is -1, it is inf and the gradient in that one the
    largest finite number of its sign. Below -1, and of two infinities, it is NaN.

    >>> print(f"{squared_log1p_ratio(jnp.array(1e-9), jnp.array(3e-9)):.3e}")
    4.000e-18
    """
    return jnp.square(_log1p_distance(x, y, *apart(jnp.ones((), x.dtype))))


@squared_log1p_ratio.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y, one), (dx, dy) = apart(*primals, jnp.ones((), primals[0].dtype)), tangents
    return squared_log1p_ratio(*primals), _log1p_slope(x, y, one) * dx + _log1p_slope(y, x, one) * dy


def _log1p_slope(x: Array, y: Array, one: Array) -> Array:
    """The slope of the square in x."""
    beyond, largest = jnp.isinf(x) | (x == y), float(jnp.finfo(x.dtype).max)
    return jnp.where(beyond, 0, jnp.clip(2 * _log1p_ratio(x, y, one) / jnp.where(beyond, 1, 1 + x), -largest, largest))


@jax.custom_jvp
def _log1p_ratio(x: Array, y: Array, one: Array) -> Array:
    return jnp.sign(x - y) * _log1p_distance(x, y, one)


@_log1p_ratio.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x, y, _), (dx, dy, _) = primals, tangents
    return _log1p_ratio(*primals), dx / (1 + x) - dy / (1 + y)


def _log1p_distance(x: Array, y: Array, one: Array) -> Array:
    """The size of log(1 + x) - log(1 + y), by arithmetic alone: log(1 + q) with q = |x - y| / (1 + min(x, y))."""
    largest = float(jnp.finfo(x.dtype).max) * one
    gap, least = jnp.abs(x - y), jnp.minimum(x, y)
    # 1 + min(x, y), and what its rounding lost (Dekker); at least 1 where x = y, which may both be -1.
    high, low = jnp.maximum(one, least), jnp.minimum(one, least)
    total = high + low
    lost = low - (total - high)
    divisor = jnp.maximum(one - gap * largest, total)
    # In two parts, the second beyond 2^100, since the quotient may leave the format.
    quotient = jnp.minimum(2.0**100 * one, gap / divisor)
    beyond = jnp.maximum(one, 2.0**-100 * one * gap / divisor)
    # What the roundings of 1 + q and of the divisor lost, in units of 1 + max(x, y).
    whole = one + quotient
    rest = (quotient - (whole - one)) * divisor - quotient * lost
    # Below -1 the logarithm of a negative number.
    return (jnp.log(whole) + rest / (gap + divisor)) + jnp.log(beyond + jnp.minimum(one - one, total * largest))


@jax.custom_jvp
@inlined
def relative_error(x: Array, y: Array) -> Array:
    r"""The difference in units of the second number.

    $$ \left| \frac{x - y}{y} \right| $$

    At x = y it is 0 with gradient 0, also at 0. At y = 0 it is else inf, and the gradients are the largest finite
    numbers.

    >>> print(relative_error(jnp.array([3.0, 0.0, 1.0]), jnp.array([2.0, 0.0, 0.0])))
    [0.5 0.  inf]
    """
    # Half the difference, which cannot overflow, over y, and over 1 more where there is none.
    half = jnp.abs(0.5 * x - 0.5 * y)
    return 2 * (half / (jnp.abs(y) + (1 - jnp.minimum(half * float(jnp.finfo(x.dtype).max), 1))))


@relative_error.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y, one), (dx, dy) = apart(*primals, jnp.ones((), primals[0].dtype)), tangents
    largest = float(jnp.finfo(x.dtype).max) * one
    sign, y = jnp.sign(x - y), jnp.where(x == y, one, y)
    steep = jnp.minimum(one / jnp.abs(y), largest)
    slope_x, slope_y = sign * steep, sign * jnp.clip(-(x / y) * steep, -largest, largest)
    return relative_error(*primals), slope_x * dx + slope_y * dy


@jax.custom_jvp
@inlined
def symmetric_relative_error(x: Array, y: Array) -> Array:
    r"""The difference in units of the mean size of the two, from 0 to 2.

    $$ \frac{2 |x - y|}{|x| + |y|} $$

    At x = y it is 0 with gradient 0, also at 0. Where the signs differ it is 2, with gradient 0.

    >>> print(symmetric_relative_error(jnp.array([3.0, 0.0, 3e38]), jnp.array([1.0, 0.0, -3e38])))
    [1. 0. 2.]
    """
    x, y, _ = _scaled(x, y)
    total = jnp.abs(x) + jnp.abs(y)
    return jnp.where(total == 0, 0, 2 * jnp.abs(x - y) / jnp.maximum(total, float(jnp.finfo(total.dtype).tiny)))


@symmetric_relative_error.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y), (dx, dy) = apart(*primals), tangents
    # The sizes add up to nothing where the signs differ, and to twice the other one where they agree.
    agreeing = 1 + jnp.sign(x) * jnp.sign(y)
    x, y, scale = _scaled(x, y)
    total = jnp.abs(x) + jnp.abs(y)
    total = jnp.where(total == 0, 1, total)
    shared = 2 * jnp.sign(x - y) * agreeing
    slope_x, slope_y = (finite_slope(reused(shared * (jnp.abs(z) / total) / total)) for z in (y, x))
    return symmetric_relative_error(*primals), scale * (slope_x * dx - slope_y * dy)


def _scaled(x: Array, y: Array) -> tuple[Array, Array, Array]:
    """Both over 4 where one is large, so that neither their sum nor their difference overflows; inf as the largest."""
    largest = jnp.finfo(x.dtype).max
    x, y = jnp.clip(x, -largest, largest), jnp.clip(y, -largest, largest)
    scale = jnp.where(jnp.maximum(jnp.abs(x), jnp.abs(y)) > 1, 0.25, 1).astype(x.dtype)
    return x * scale, y * scale, scale


@jax.custom_jvp
@inlined
def excess(x: Array, y: Array, allowed: Array) -> Array:
    r"""By how much two numbers differ more than is allowed, true to the last digit.

    $$ \max(|x - y| - \varepsilon, 0) $$

    The gradient is 0 where they differ no more than is allowed.

    >>> print(f"{excess(jnp.array(1.25), jnp.array(1.0), jnp.array(0.1)):.2f}")
    0.15
    """
    sign = jnp.sign(x - y)
    difference = sum_of_three(sign * x, -sign * y, -allowed)
    return jnp.where(difference <= 0, 0, difference)


@excess.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y, allowed), (dx, dy, dallowed) = primals, tangents
    value = excess(x, y, allowed)
    counts = (value > 0).astype(value.dtype)
    return value, counts * (jnp.sign(x - y) * (dx - dy) - dallowed)


@jax.custom_jvp
@jax.jit
def second_moment(x: Array, focus: Array) -> Array:
    r"""The mean square over the last axis, less a share of the squared mean, which at 1 leaves the variance.

    $$ \frac1n \sum_i x_i^2 - \lambda \bar x^2 = \frac1n \sum_i (x_i - \bar x)^2 + (1 - \lambda)\,\bar x^2 $$

    The second form does not cancel. An infinite entry costs inf; the gradient is then the largest finite number.

    >>> x = jnp.array([1.0, 3.0])
    >>> print(second_moment(x, jnp.array(1.0)), second_moment(x, jnp.array(0.0)))
    1.0 5.0
    """
    mean, deviation = _mean_and_deviation(x)
    return jnp.mean(jnp.square(deviation), axis=-1) + (1 - focus) * mean * mean


@second_moment.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x, focus), (dx, dfocus) = primals, tangents
    mean, deviation = _mean_and_deviation(x)
    slope = 2 * (deviation + ((1 - focus) * mean)[..., None])
    return second_moment(x, focus), jnp.mean(slope * dx, axis=-1) - finite_slope(mean * mean) * dfocus


def _mean_and_deviation(x: Array) -> tuple[Array, Array]:
    largest = jnp.finfo(x.dtype).max ** 0.75
    x = jnp.clip(x, -largest, largest)
    rough = jnp.mean(x, axis=-1, keepdims=True)
    # Twice, since the first mean is rounded.
    mean = rough + jnp.mean(x - rough, axis=-1, keepdims=True)
    return jnp.squeeze(mean, -1), x - mean
