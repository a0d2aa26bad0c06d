"""The members of the general robust family in closed forms of their own: costs of an error in units of a scale.

Errors and scales run from 1e-38 to 1e38, so their quotient may leave the format where a cost or a slope does not: each
is written in quotients that are bounded where that matters. As in `errors`, a value selects nothing, and shares with
the slopes nothing but the error.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, at_most, inlined
from jaxloss.numerics.exact import halves, residual, two_sum
from jaxloss.numerics.robust import expm1_ratio
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def hyperbolic_well(error: Array, scale: Array) -> Array:
    r"""Half the square of x = e / c near 0, which bends into a line of slope 1 / c away from it.

    $$ \sqrt{1 + x^2} - 1 = \frac{x^2}{1 + \sqrt{1 + x^2}}, \qquad x = e / c $$

    The gradient is x / sqrt(1 + x^2) / c.

    >>> print(f"{hyperbolic_well(jnp.array(1e-4), jnp.array(1.0)):.3e}")
    5.000e-09
    """
    x = jnp.abs(error) / scale
    half = jnp.minimum(0.5 * x, 2.0 ** int(0.47 * jnp.finfo(error.dtype).maxexp))
    return 0.5 * x * (half / (0.25 + 0.5 * jnp.sqrt(0.25 + half * half)))


@hyperbolic_well.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    slope, slope_scale = _hyperbolic_slopes(*primals)
    return hyperbolic_well(*primals), slope * tangents[0] + slope_scale * tangents[1]


@jax.custom_jvp
@inlined
def _hyperbolic_slopes(error: Array, scale: Array) -> tuple[Array, Array]:
    scale, one = _apart(scale, error)
    inner, outer = _bounded(error, scale, one)
    share = inner / jnp.sqrt(outer * outer + inner * inner)
    slope, x = share / scale, error / scale
    slope_scale = -slope * x
    return slope, jnp.where(jnp.isinf(slope_scale), 0, slope_scale)


@_hyperbolic_slopes.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    x = _moderate(*primals)
    root = jnp.sqrt(1 + x * x)
    return _hyperbolic_slopes(*primals), _bend(x, x / root, 1 / (root * root * root), primals[1], tangents)


@jax.custom_jvp
@inlined
def logarithmic_well(error: Array, scale: Array) -> Array:
    r"""Half the square of x = e / c near 0, and twice the logarithm of its size away from it.

    $$ \log(1 + \tfrac12 x^2), \qquad x = e / c $$

    Where the square would overflow it is $4 \log(|x|^{1/2} 2^{-1/4})$. The gradient is 1 / (c^2 / e + e / 2), 0 at 0,
    and that in the scale tends to -2 / c.

    >>> print(f"{logarithmic_well(jnp.array(1e-4), jnp.array(1.0)):.3e}")
    5.000e-09
    >>> print(f"{logarithmic_well(jnp.array(1e30), jnp.array(1e-20)):.4f}")
    229.5654
    """
    size = jnp.abs(error)
    largest = 2.0 ** int(0.47 * jnp.finfo(error.dtype).maxexp)
    x = jnp.minimum(size / scale, largest)
    far = jnp.sign(jnp.maximum(size / scale - largest, 0))
    root = jnp.sqrt(size) / jnp.sqrt(scale)
    return (1 + 3 * far) * jnp.log1p((1 - far) * (x * (0.5 * x)) + far * (0.5**0.25 * root))


@logarithmic_well.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    slope, slope_scale = _logarithmic_slopes(*primals)
    return logarithmic_well(*primals), slope * tangents[0] + slope_scale * tangents[1]


@jax.custom_jvp
@inlined
def _logarithmic_slopes(error: Array, scale: Array) -> tuple[Array, Array]:
    scale, one = _apart(scale, error)
    inner, outer = _bounded(error, scale, one)
    slope_scale = -(inner / scale) * (inner / (outer * outer + 0.5 * inner * inner))
    return one / (scale * (scale / error) + 0.5 * one * error), slope_scale


@_logarithmic_slopes.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    x = _moderate(*primals)
    square = 1 + 0.5 * x * x
    return _logarithmic_slopes(*primals), _bend(x, x / square, (2 - square) / (square * square), primals[1], tangents)


@jax.custom_jvp
@inlined
def rational_well(error: Array, scale: Array) -> Array:
    r"""Half the square of x = e / c near 0, which tends to 2 away from it.

    $$ \frac{2 x^2}{x^2 + 4}, \qquad x = e / c $$

    The gradient is 16 x / (x^2 + 4)^2 / c, 0 at 0 and at inf.

    >>> print(rational_well(jnp.array(2.0), jnp.array(1.0)), rational_well(jnp.array(jnp.inf), jnp.array(1.0)))
    1.0 2.0
    """
    size = jnp.abs(error)
    inner, outer = at_most(1, size / scale), at_most(1, scale / size)
    return 2 * inner * inner / (inner * inner + 4 * outer * outer)


@rational_well.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    slope, slope_scale = _rational_slopes(*primals)
    return rational_well(*primals), slope * tangents[0] + slope_scale * tangents[1]


@jax.custom_jvp
@inlined
def _rational_slopes(error: Array, scale: Array) -> tuple[Array, Array]:
    scale, one = _apart(scale, error)
    inner, outer = _bounded(error, scale, one)
    four = 4 * one
    whole = inner * inner + four * outer * outer
    share = four * inner * outer / whole
    return four * outer / scale * (outer / whole) * share, -(share / scale) * share


@_rational_slopes.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    x = _moderate(*primals)
    whole = x * x + 4
    first, second = 16 * x / (whole * whole), 16 * (4 - 3 * x * x) / (whole * whole * whole)
    return _rational_slopes(*primals), _bend(x, first, second, primals[1], tangents)


@jax.custom_jvp
@inlined
def gaussian_well(error: Array, lost: Array, scale: Array) -> Array:
    r"""Half the square of x = e / c near 0, which tends to 1 away from it as fast as a Gaussian falls.

    $$ 1 - e^{-x^2 / 2}, \qquad x = e / c $$

    The gradient is x exp(-x^2 / 2) / c. The exponential makes many digits of the last one of x, so what the rounding of
    the error lost is passed beside it.

    >>> print(f"{gaussian_well(jnp.array(1e-4), jnp.array(0.0), jnp.array(1.0)):.3e}")
    5.000e-09
    """
    del lost
    x = at_most(_NOTHING_LEFT, jnp.abs(error) / scale)
    half = x * (0.5 * x)
    near = jnp.minimum(half, 0.5)
    risen = near * expm1_ratio(-near)
    return risen + (1 - risen) * (1 - jnp.exp(near - half))


@gaussian_well.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    slope, slope_scale = _gaussian_slopes(*primals)
    return gaussian_well(*primals), slope * tangents[0] + slope_scale * tangents[2]


_NOTHING_LEFT = 2.0**10
"""The size of x from which on exp(-x^2 / 4) is 0 in every format."""


@jax.custom_jvp
@inlined
def _gaussian_slopes(error: Array, lost: Array, scale: Array) -> tuple[Array, Array]:
    scale, one = _apart(scale, error)
    x, root = _root_of_gaussian(error, lost, scale, one)
    pull = x * root
    return pull / scale * root, -(pull / scale) * pull


@_gaussian_slopes.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    error, _, scale = primals
    x = _moderate(error, scale)
    decay = jnp.exp(-0.5 * x * x)
    bend = _bend(x, x * decay, (1 - x * x) * decay, scale, (tangents[0], tangents[2]))
    return _gaussian_slopes(*primals), bend


def _root_of_gaussian(error: Array, lost: Array, scale: Array, one: Array) -> tuple[Array, Array]:
    """x, and exp(-x^2 / 4), whose square may be below the format where the slope is not."""
    info = jnp.finfo(error.dtype)
    # In units of a power of two near the scale, so that no product of digits falls below the format.
    units = 1 / jax.lax.reduce_precision(jnp.minimum(scale, 2.0 ** (info.maxexp - 3)), info.nexp, 0)
    scale, units = apart(scale * units, units)
    largest = _NOTHING_LEFT * scale
    error, lost = jnp.clip(error * units, -largest, largest), jnp.clip(lost * units, -one, one)
    x = error / scale
    high, _ = halves(x)
    rest = (residual(error, high, scale) + lost) / scale
    quarter = 0.25 * one
    argument, argument_low = two_sum(quarter * high * high, quarter * rest * (high + high + rest))
    return x, jnp.exp(-argument) * (one - argument_low)


def _apart(scale: Array, error: Array) -> Any:
    """The scale of the slopes and their constants. Not the error: that is cheaper to compute twice than to write."""
    return apart(scale, jnp.ones((), error.dtype))


def _bounded(error: Array, scale: Array, one: Array) -> tuple[Array, Array]:
    """The error over the scale, of a size up to 1, and the size of the scale over the error, up to 1."""
    return jnp.clip(error / scale, -one, one), jnp.minimum(jnp.abs(scale / error), one)


def _moderate(error: Array, scale: Array) -> Array:
    """The error over the scale, so far that its sixth power is finite: beyond, no cost bends."""
    largest = 2.0 ** int(0.15 * jnp.finfo(error.dtype).maxexp)
    return jnp.clip(error / scale, -largest, largest)


def _bend(x: Array, first: Array, second: Array, scale: Array, tangents: Any) -> tuple[Array, Array]:
    """The change of the slopes in error and scale of a cost of x = e / c, from its derivatives in x."""
    de, dscale = tangents
    mixed, per = first + x * second, 1 / scale
    by_error = (second * de - mixed * dscale) * per * per
    by_scale = (x * (first + mixed) * dscale - mixed * de) * per * per
    return by_error, by_scale
