"""Quotients, roots, logarithms and products, each with a value and a slope that are right at the corner."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.slopes import moves, with_slopes
from jaxloss.types import Array


@jax.custom_jvp
def ratio(numerator: Array, denominator: Array) -> Array:
    r"""The quotient, 0 where the denominator is 0.

    $$ n / d $$

    At `d = 0` value and gradient are 0. Where the quotient is infinite the gradient in d is the largest finite number.

    >>> ratio(jnp.array([3.0, 3.0]), jnp.array([2.0, 0.0]))
    Array([1.5, 0. ], dtype=float32)
    """
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)


@functools.partial(ratio.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that overflows: d**2 leaves float32 for |d| outside 1e-19 to 1e19, 1 / d does not.
    (numerator, denominator), (dn, dd) = primals, tangents
    quotient, reciprocal = ratio(numerator, denominator), ratio(jnp.ones_like(denominator), denominator)
    if not moves(dd):
        return quotient, dn * reciprocal
    by_denominator = -dd * finite_slope(quotient * reciprocal)
    return quotient, dn * reciprocal + by_denominator if moves(dn) else by_denominator


def _slope_in_part(part: Array, rest: Array) -> Array:
    return ratio(ratio(rest, part + rest), part + rest)


@with_slopes(_slope_in_part, lambda part, rest: -_slope_in_part(rest, part))  # a derivative that cancels: 1 - share
def share(part: Array, rest: Array) -> Array:
    r"""The share of a part in the whole, for a part and a rest that are not negative; 0 where the whole is 0.

    $$ \frac p{p + r} $$

    At the whole of 0 the gradient is 0.

    >>> print(share(jnp.array([1.0, 0.0]), jnp.array([3.0, 0.0])))
    [0.25 0.  ]
    """
    return ratio(part, part + rest)


@with_slopes(jnp.sign)  # a slope that JAX gets wrong: it takes 1 at 0
def absolute(x: Array) -> Array:
    r"""The absolute value, with subgradient 0 at 0.

    $$ |x| $$

    >>> jax.grad(absolute)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return jnp.abs(x)


@with_slopes(lambda x: (x > 0).astype(x.dtype))  # ties of a maximum: JAX gives half a slope
def positive_part(x: Array) -> Array:
    r"""The number where it is positive, and else 0.

    $$ \max(x, 0) $$

    At 0 the gradient is 0. NaN stays NaN.

    >>> print(positive_part(jnp.array([-1.0, 2.0])))
    [0. 2.]
    """
    return jnp.where(x < 0, 0, x)  # a maximum on a CPU may drop a NaN


@with_slopes(lambda x: finite_slope(2 * x))  # an infinite slope times 0
def safe_square(x: Array) -> Array:
    r"""The square, whose slope at inf is the largest finite number.

    $$ x^2 $$

    At inf and -inf the value is inf and the gradient the largest finite number of that sign.

    >>> print(safe_square(jnp.array(-jnp.inf)), safe_square(jnp.array(3.0)))
    inf 9.0
    """
    return jnp.square(x)


def safe_sqrt(x: Array) -> Array:
    r"""The square root, whose slope at 0 is taken as 0.

    $$ \sqrt x $$

    At 0 the value is 0 and the gradient is 0 (the true one-sided slope is infinite). Below 0 it is NaN.

    >>> jax.grad(safe_sqrt)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    positive = x != 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


@with_slopes(lambda x: jnp.where(x == 0, largest_like(x), 1 / jnp.where(x == 0, 1, x)))  # an infinite slope times 0
def safe_log(x: Array) -> Array:
    r"""The natural logarithm, whose slope at 0 is the largest finite number.

    $$ \log x $$

    At 0 the value is -inf and the gradient the largest finite number, so that no product with a zero becomes NaN.
    Below 0 it is NaN.

    >>> safe_log(jnp.array([0.0, 1.0]))
    Array([-inf,   0.], dtype=float32)
    """
    return jnp.log(x)


@with_slopes(lambda x: jnp.where(x == -1, largest_like(x), 1 / jnp.where(x == -1, 1, 1 + x)))  # an infinite slope
def safe_log1p(x: Array) -> Array:
    r"""The natural logarithm of 1 + x, whose slope at -1 is the largest finite number.

    $$ \log(1 + x) $$

    At -1 as `safe_log` at 0. Right for small x.

    >>> print(safe_log1p(jnp.array(-1.0)), safe_log1p(jnp.array(1e-9)))
    -inf 1e-09
    """
    return jnp.log1p(x)


def is_zero(option: Any) -> bool:
    """Whether an option is known to be left out; one that is traced is not."""
    return isinstance(option, int | float) and option == 0


def slope_in_weight(weight: Array, value: Array) -> Array:
    """The slope of `multiply_no_nan` in the weight."""
    return jnp.where((weight == 0) & jnp.isinf(value), 0, finite_slope(value))


@with_slopes(slope_in_weight, lambda weight, _: weight)  # an infinite slope times 0
def multiply_no_nan(weight: Array, value: Array) -> Array:
    r"""The product, 0 where the weight is 0 even if the value is infinite.

    $$ w\,v, \qquad 0 \cdot \infty = 0 $$

    The gradient in w is v, and 0 where w is 0 and v infinite; the gradient in v is w.

    >>> print(multiply_no_nan(jnp.array([0.0, 2.0]), jnp.array([jnp.inf, 3.0])))
    [0. 6.]
    """
    return weight * jnp.where((weight == 0) & jnp.isinf(value), 0, value)


@with_slopes(
    lambda x, y: slope_in_weight(x, safe_log(y)), lambda x, y: jnp.where(y == 0, x * largest_like(y), ratio(x, y))
)  # an infinite slope times 0; a derivative that overflows: the second one, by 1 / y^2
def xlogy(x: Array, y: Array) -> Array:
    r"""The product of x with the logarithm of y, 0 where x is 0.

    $$ x \log y, \qquad 0 \log 0 = 0 $$

    At x = 0 the gradient in y is 0 and the gradient in x is log y, taken as 0 where y is 0 too.

    >>> xlogy(jnp.array([0.0, 1.0]), jnp.array([0.0, 0.0]))
    Array([  0., -inf], dtype=float32)
    """
    return multiply_no_nan(x, safe_log(y))


@with_slopes(
    lambda x, y: slope_in_weight(x, safe_log1p(y)),
    lambda x, y: jnp.where(y == -1, x * largest_like(y), ratio(x, 1 + y)),
)  # an infinite slope times 0; a derivative that overflows
def xlog1py(x: Array, y: Array) -> Array:
    r"""The product of x with the logarithm of 1 + y, 0 where x is 0.

    $$ x \log(1 + y), \qquad 0 \log 0 = 0 $$

    Corners as for `xlogy`. Right for small y.

    >>> xlog1py(jnp.array([0.0, 1.0]), jnp.array([-1.0, 1e-9]))
    Array([0.e+00, 1.e-09], dtype=float32)
    """
    return multiply_no_nan(x, safe_log1p(y))


def _slope_in_base(base: Array, exponent: Array) -> Array:
    return exponent * power(base, exponent - 1)


def _slope_in_exponent(base: Array, exponent: Array) -> Array:
    return power(base, exponent) * jnp.log(jnp.where(base == 0, 1, base))


@with_slopes(_slope_in_base, _slope_in_exponent)  # an infinite slope times 0
def power(base: Array, exponent: Array) -> Array:
    """The power of a base >= 0. At base 0 it is 1 for the exponent 0 and else 0, also where it would be infinite."""
    return jnp.where(base == 0, jnp.where(exponent == 0, 1, 0), jnp.where(base == 0, 1, base) ** exponent)


def largest_like(x: Array) -> Array:
    """The largest finite number, in the shape of x."""
    return jnp.full_like(x, jnp.finfo(x.dtype).max)


def finite_slope(slope: Array) -> Array:
    """The slope, and the largest finite number of its sign where it is infinite."""
    largest = jnp.finfo(slope.dtype).max
    return jnp.clip(slope, -largest, largest)
