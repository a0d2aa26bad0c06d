"""Smooth and lopsided forms of |e| and of e^2, each with its slope in closed form, for errors from 1e-38 to 1e38.

The slope is an expression of its own in the error, so nothing has to be kept from the value and nothing cancels. Value
and slope share no subexpression but the error, and a value selects nothing (`where`): XLA on a CPU would write either
out to memory, as long as the data, in the midst of what is else one pass.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, at_least, at_most, finite_slope, inlined, ratio
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def half_square(error: Array) -> Array:
    r"""Half the square of the error, halved first, since the square alone may overflow.

    $$ \tfrac12 e^2 $$

    >>> print(half_square(jnp.array(3.0)))
    4.5
    """
    return 0.5 * error * error


@half_square.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error,), (de,) = primals, tangents
    return half_square(error), error * de


@jax.custom_jvp
@inlined
def positive_part(error: Array) -> Array:
    r"""The error where it is positive, and else 0.

    $$ \max(e, 0) $$

    At the kink the gradient is 0.

    >>> print(positive_part(jnp.array([-1.0, 2.0])))
    [0. 2.]
    """
    return at_least(0, error)


@positive_part.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error,), (de,) = primals, tangents
    return positive_part(error), jnp.where(error > 0, de, 0)


@jax.custom_jvp
@inlined
def clipped_square(error: Array, delta: Array) -> Array:
    r"""Half the square of the error up to delta, from there on a line.

    $$ c\,(|e| - \tfrac12 c), \qquad c = \min(|e|, \delta) $$

    The gradient is c sign e, 0 at an error of 0; that in delta is |e| - delta beyond delta and 0 before.

    >>> print(clipped_square(jnp.array(3.0), jnp.array(1.0)), clipped_square(jnp.array(0.5), jnp.array(1.0)))
    2.5 0.125
    """
    size = jnp.abs(error)
    bounded = jnp.minimum(size, delta)
    return bounded * (size - 0.5 * bounded)


@clipped_square.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, delta), (de, ddelta) = primals, tangents
    beyond = jnp.maximum(jnp.abs(error) - delta, 0)
    return clipped_square(error, delta), jnp.clip(error, -delta, delta) * de + finite_slope(beyond) * ddelta


@jax.custom_jvp
@inlined
def smooth_absolute(error: Array, beta: Array) -> Array:
    r"""The absolute value, rounded off by a parabola below beta.

    $$ c\,(|e| - \tfrac12 \beta c), \qquad c = \min(|e| / \beta, 1) $$

    At beta = 0 it is |e|, with gradient 0 at an error of 0. The gradient in beta is -c^2 / 2, also at beta = 0.

    >>> print(smooth_absolute(jnp.array(3.0), jnp.array(1.0)), smooth_absolute(jnp.array(3.0), jnp.array(0.0)))
    2.5 3.0
    """
    return _rounded_off(jnp.abs(error), beta)


@smooth_absolute.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, beta), (de, dbeta) = primals, tangents
    slope = _smooth_sign(error, beta)
    return smooth_absolute(error, beta), slope * de - 0.5 * jnp.square(slope) * dbeta


def _rounded_off(size: Array, beta: Array) -> Array:
    half = at_most(0.5, size * (0.5 * _steepness(beta, size)))
    return (half + half) * (size - beta * half)


def _smooth_sign(error: Array, beta: Array) -> Array:
    return jnp.clip(error * _steepness(beta, error), -1, 1)


def _steepness(beta: Array, error: Array) -> Array:
    """The reciprocal of beta; of 0, and of what is nearly 0, the largest there is."""
    smallest = jnp.finfo(error.dtype).tiny
    beta = jnp.where(beta < smallest, smallest, beta)
    return ratio(jnp.ones_like(beta), beta)


@jax.custom_jvp
@inlined
def log_cosh(error: Array) -> Array:
    r"""The logarithm of the hyperbolic cosine.

    $$ \log \cosh e = |e| - s + \log\left(1 + (\cosh s - 1) - \tfrac{1}{2e}(1 - e^{-2 (|e| - s)})\right),
       \qquad s = \min(|e|, 1) $$

    Up to 1 it is the logarithm of 1 + (cosh e - 1), with the series of the cosine, so that nothing cancels; beyond 1
    the series stays what it is at 1. The gradient is tanh e, and its own 1 / cosh^2 e, which is 8e-9 at 10 and not 0.

    >>> print(f"{log_cosh(jnp.array(1e-4)):.3e} {log_cosh(jnp.array(1e4)):.4f}")
    5.000e-09 9999.3066
    """
    size = jnp.abs(error)
    inside = jnp.minimum(size, 1)
    square = inside * inside
    series = jnp.ones_like(square)
    for order in range(2 * (jnp.finfo(error.dtype).nmant // 6) + 4, 2, -2):
        series = 1 + square * series * (1 / (order * (order - 1)))
    beyond = size - inside
    return beyond + jnp.log1p(0.5 * square * series - 0.18393972058572117 * (1 - jnp.exp(-2 * beyond)))


@log_cosh.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error,), (de,) = primals, tangents
    return log_cosh(error), _tanh(error) * de


@jax.custom_jvp
def _tanh(x: Array) -> Array:
    return jnp.tanh(x)


@_tanh.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    decay = jnp.exp(-2 * jnp.abs(x))
    # 1 / cosh^2, which 1 - tanh^2 is only near 0.
    return _tanh(x), 4 * decay / jnp.square(1 + decay) * dx


@jax.custom_jvp
@inlined
def hyperbola(error: Array, delta: Array) -> Array:
    r"""Half the square of the error near 0, which bends into a line of slope delta away from it.

    $$ \delta^2 \left(\sqrt{1 + z^2} - 1\right) = \frac{e^2}{1 + \sqrt{1 + z^2}}, \qquad z = e / \delta $$

    Beyond |z| = 1e18, where the square would overflow, the root is |z|. The gradient is e / sqrt(1 + z^2).

    >>> print(f"{hyperbola(jnp.array(1e30), jnp.array(2.0)):.3e} {hyperbola(jnp.array(1e-4), jnp.array(2.0)):.3e}")
    2.000e+30 5.000e-09
    """
    size = jnp.abs(error)
    bounded = jnp.minimum(size, 1e18 * delta)
    half = bounded / (2 * delta)
    return 0.5 * size * (bounded / (0.5 + jnp.sqrt(0.25 + half * half)))


@hyperbola.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, delta), (de, ddelta) = primals, tangents
    bounded = jnp.clip(error, -2e18 * delta, 2e18 * delta)
    z = bounded / delta
    root = jnp.sqrt(1 + z * z)
    slope_delta = jnp.abs(error) * (jnp.square(z / (1 + root)) * (jnp.abs(z) / root))
    return hyperbola(error, delta), bounded / root * de + finite_slope(slope_delta) * ddelta


@jax.custom_jvp
@inlined
def tilted_absolute(error: Array, level: Array) -> Array:
    r"""The absolute value, counted by the level below 0 and by the rest of 1 above (the check function).

    $$ \tau \max(-e, 0) + (1 - \tau) \max(e, 0) $$

    At an error of 0 the gradient is 0. A side that counts 0 is 0 also where the error is infinite.

    >>> print(tilted_absolute(jnp.array([-1.0, 1.0]), jnp.array(0.75)))
    [0.75 0.25]
    """
    below, above, level = _sides(error, level)
    return level * below + (1 - level) * above


@tilted_absolute.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, level), (de, dlevel) = primals, tangents
    slope_level = jnp.where(jnp.isinf(error), 0, -error)
    return tilted_absolute(error, level), jnp.sign(error) * _side(error, level) * de + slope_level * dlevel


@jax.custom_jvp
@inlined
def tilted_square(error: Array, level: Array) -> Array:
    r"""The square, counted by the level below 0 and by the rest of 1 above.

    $$ \tau \max(-e, 0)^2 + (1 - \tau) \max(e, 0)^2 $$

    The gradient is 2 e times what that side counts. A side that counts 0 is 0 also where the error is infinite.

    >>> print(tilted_square(jnp.array([-2.0, 2.0]), jnp.array(0.75)))
    [3. 1.]
    """
    below, above, level = _sides(error, level)
    return level * below * below + (1 - level) * above * above


@tilted_square.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, level), (de, dlevel) = primals, tangents
    largest = jnp.finfo(error.dtype).max  # so that a side that counts 0 has no slope where the error is infinite
    slope = 2 * _side(error, level) * jnp.clip(error, -largest, largest)
    slope_level = -error * jnp.abs(error)
    return tilted_square(error, level), slope * de + jnp.where(jnp.isinf(slope_level), 0, slope_level) * dlevel


@jax.custom_jvp
@inlined
def tilted_smooth_absolute(error: Array, level: Array, beta: Array) -> Array:
    r"""`smooth_absolute`, counted by the level below 0 and by the rest of 1 above.

    $$ \tau\,s(\max(-e, 0)) + (1 - \tau)\,s(\max(e, 0)), \qquad s(e) = \int_0^e \min(x / \beta, 1)\,dx $$

    Corners as for the two it is made of.

    >>> print(tilted_smooth_absolute(jnp.array([-3.0, 3.0]), jnp.array(0.75), jnp.array(2.0)))
    [1.5 0.5]
    """
    below, above, level = _sides(error, level)
    return level * _rounded_off(below, beta) + (1 - level) * _rounded_off(above, beta)


@tilted_smooth_absolute.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (error, level, beta), (de, dlevel, dbeta) = primals, tangents
    side, slope = _side(error, level), _smooth_sign(error, beta)
    slope_level = jnp.where(jnp.isinf(error), 0, -jnp.sign(error) * smooth_absolute(error, beta))
    derivative = side * slope * de + slope_level * dlevel - 0.5 * side * jnp.square(slope) * dbeta
    return tilted_smooth_absolute(error, level, beta), derivative


def _sides(error: Array, level: Array) -> tuple[Array, Array, Array]:
    """How far below 0, how far above, never infinite where that counts 0, and the level in the dtype of the error."""
    level = level.astype(error.dtype)
    below = at_most(jnp.where(level == 0, 0, jnp.inf), -at_most(0, error))
    above = at_most(jnp.where(level == 1, 0, jnp.inf), -at_most(0, -error))
    return below, above, level


def _side(error: Array, level: Array) -> Array:
    level, one = apart(level.astype(error.dtype), jnp.ones((), error.dtype))
    return jnp.where(jnp.signbit(error), level, one - level)
