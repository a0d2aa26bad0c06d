"""Quotients, roots, logarithms, products and the logistic function, each with a slope that is right at the corner."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.types import Array

inlined = functools.partial(jax.jit, inline=True)
"""Compiled when called alone, and inside another program a part of it, which fuses with what is around."""


@jax.custom_jvp
@jax.jit
def ratio(numerator: Array, denominator: Array) -> Array:
    r"""The quotient, 0 where the denominator is 0.

    $$ n / d $$

    At `d = 0` value and gradient are 0. Where the quotient is infinite the gradient in d is the largest finite number.
    The gradient goes through `1 / d`, not `1 / d**2`, which leaves float32 for |d| outside 1e-19 to 1e19.

    >>> ratio(jnp.array([3.0, 3.0]), jnp.array([2.0, 0.0]))
    Array([1.5, 0. ], dtype=float32)
    """
    nonzero = denominator != 0
    return jnp.where(nonzero, numerator / jnp.where(nonzero, denominator, 1), 0)


@functools.partial(ratio.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    (numerator, denominator), (dn, dd) = primals, tangents
    quotient = ratio(numerator, denominator)
    reciprocal = ratio(jnp.ones_like(denominator), denominator)
    # A mean divides by a number that has no tangent, and then is traced in half the time.
    if isinstance(dd, SymbolicZero):
        return quotient, dn * reciprocal
    by_denominator = -dd * finite_slope(quotient * reciprocal)
    if isinstance(dn, SymbolicZero):
        return quotient, by_denominator
    return quotient, dn * reciprocal + by_denominator


@jax.custom_jvp
@inlined
def absolute(x: Array) -> Array:
    r"""The absolute value, with subgradient 0 at 0.

    $$ |x| = x \operatorname{sign} x $$

    >>> jax.grad(absolute)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return jnp.abs(x)


@absolute.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return absolute(x), jnp.sign(x) * dx


@jax.custom_jvp
@jax.jit
def safe_square(x: Array) -> Array:
    r"""The square, whose slope at inf is the largest finite number.

    $$ x^2 $$

    At inf and -inf the value is inf and the gradient the largest finite number of that sign.

    >>> print(safe_square(jnp.array(-jnp.inf)), safe_square(jnp.array(3.0)))
    inf 9.0
    """
    return jnp.square(x)


@safe_square.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return safe_square(x), dx * finite_slope(2 * x)


@jax.jit
def safe_sqrt(x: Array) -> Array:
    r"""The square root, whose slope at 0 is taken as 0.

    $$ \sqrt x $$

    At 0 the value is 0 and the gradient is 0 (the true one-sided slope is infinite). Below 0 it is NaN.

    >>> jax.grad(safe_sqrt)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    positive = x != 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1)), 0)


@jax.custom_jvp
@jax.jit
def safe_log(x: Array) -> Array:
    r"""The natural logarithm, whose slope at 0 is the largest finite number.

    $$ \log x $$

    At 0 the value is -inf and the gradient the largest finite number, so that no product with a zero becomes NaN.
    Below 0 it is NaN.

    >>> safe_log(jnp.array([0.0, 1.0]))
    Array([-inf,   0.], dtype=float32)
    """
    return jnp.log(x)


@safe_log.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return safe_log(x), dx * jnp.where(x == 0, largest_like(x), ratio(jnp.ones_like(x), x))


@jax.custom_jvp
@jax.jit
def safe_log1p(x: Array) -> Array:
    r"""The natural logarithm of 1 + x, whose slope at -1 is the largest finite number.

    $$ \log(1 + x) $$

    At -1 as `safe_log` at 0. Exact for small x.

    >>> print(safe_log1p(jnp.array(-1.0)), safe_log1p(jnp.array(1e-9)))
    -inf 1e-09
    """
    return log1p(x)


@safe_log1p.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return safe_log1p(x), dx * jnp.where(x == -1, largest_like(x), ratio(jnp.ones_like(x), 1 + x))


def log1p(x: Array) -> Array:
    """The logarithm of 1 + x. That of XLA:CPU is 130 ulp off in float64 between -0.42 and -0.29; its mirror is not."""
    if x.dtype != jnp.float64:
        return jnp.log1p(x)
    mirrored = (x > -0.5) & (x < -0.25)
    inside = jnp.where(mirrored, x, 0)
    log = jnp.log1p(jnp.where(mirrored, -inside / (1 + inside), x))
    return jnp.where(mirrored, -log, log)


@jax.custom_jvp
@jax.jit
def multiply_no_nan(weight: Array, value: Array) -> Array:
    r"""The product, 0 where the weight is 0 even if the value is infinite.

    $$ w\,v, \qquad 0 \cdot \infty = 0 $$

    The gradient in w is v, and 0 where w is 0 and v infinite; the gradient in v is w.

    >>> print(multiply_no_nan(jnp.array([0.0, 2.0]), jnp.array([jnp.inf, 3.0])))
    [0. 6.]
    """
    return weight * jnp.where((weight == 0) & jnp.isinf(value), 0, value)


@multiply_no_nan.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (weight, value), (dw, dv) = primals, tangents
    slope = jnp.where((weight == 0) & jnp.isinf(value), 0, finite_slope(value))
    return multiply_no_nan(weight, value), dw * slope + weight * dv


@jax.jit
def xlogy(x: Array, y: Array) -> Array:
    r"""The product of x with the logarithm of y, 0 where x is 0.

    $$ x \log y, \qquad 0 \log 0 = 0 $$

    At x = 0 the gradient in y is 0 and the gradient in x is log y, taken as 0 where y is 0 too.

    >>> xlogy(jnp.array([0.0, 1.0]), jnp.array([0.0, 0.0]))
    Array([  0., -inf], dtype=float32)
    """
    return multiply_no_nan(x, safe_log(y))


@jax.jit
def xlog1py(x: Array, y: Array) -> Array:
    r"""The product of x with the logarithm of 1 + y, 0 where x is 0.

    $$ x \log(1 + y), \qquad 0 \log 0 = 0 $$

    Corners as for `xlogy`. Exact for small y.

    >>> xlog1py(jnp.array([0.0, 1.0]), jnp.array([-1.0, 1e-9]))
    Array([0.e+00, 1.e-09], dtype=float32)
    """
    return multiply_no_nan(x, safe_log1p(y))


@jax.custom_jvp
@jax.jit
def log1mexp(x: Array) -> Array:
    r"""The logarithm of 1 - exp(-x), for x >= 0 (Maechler 2012, equation 7).

    $$ \log(1 - e^{-x}) $$

    At 0 the value is -inf and the gradient the largest finite number.

    >>> print(f"{log1mexp(jnp.array(1e-9)):.3f} {log1mexp(jnp.array(50.0)):.3e}")
    -20.723 -1.929e-22
    """
    small = x < 0.6931472
    return jnp.where(small, safe_log(-jnp.expm1(-x)), log1p(-jnp.exp(-jnp.where(small, 1, x))))


@log1mexp.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    slope = jnp.where(x == 0, largest_like(x), ratio(jnp.exp(-x), -jnp.expm1(-x)))
    return log1mexp(x), dx * slope


@jax.custom_jvp
def power(base: Array, exponent: Array) -> Array:
    """The power of a base >= 0; at base 0 it is 1 for the exponent 0 and else 0, also where it would be infinite."""
    return jnp.where(base == 0, jnp.where(exponent == 0, 1, 0), jnp.where(base == 0, 1, base) ** exponent)


@power.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (base, exponent), (dbase, dexponent) = primals, tangents
    result = power(base, exponent)
    log_base = safe_log(jnp.where(base == 0, 1, base))
    return result, dbase * (exponent * power(base, exponent - 1)) + dexponent * (result * log_base)


@jax.custom_jvp
@jax.jit
def sigmoid(x: Array) -> Array:
    r"""The logistic function, whose gradient does not vanish before its time.

    $$ \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \sigma'(x) = \sigma(x)\,\sigma(-x) $$

    The form sigma (1 - sigma) of the gradient is 0 already at x = 17 in float32; this one is 4e-8 there, as it should.

    >>> print(f"{jax.grad(sigmoid)(20.0):.3e}")
    2.061e-09
    """
    tail = reused(jnp.exp(-jnp.abs(x)))
    return jnp.where(jnp.signbit(x), tail, 1) / (1 + tail)


@sigmoid.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return sigmoid(x), dx * (sigmoid(x) * sigmoid(-x))


@jax.custom_jvp
@inlined
def softplus(x: Array) -> Array:
    r"""The smooth ramp, which is -log sigmoid(-x).

    $$ \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|}) $$

    Exact in both tails and at -inf (0) and inf (inf). The gradient is `sigmoid(x)`.

    >>> print(f"{softplus(jnp.array(-20.0)):.3e} {softplus(jnp.array(1e4)):.0f}")
    2.061e-09 10000
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = apart(*primals), tangents
    return softplus(*primals), dx * sigmoid(x)


def largest_like(x: Array) -> Array:
    """The largest finite number, in the shape of x."""
    return jnp.full_like(x, jnp.finfo(x.dtype).max)


def finite_slope(slope: Array) -> Array:
    """An infinite slope as the largest finite number of its sign."""
    return jnp.where(jnp.isinf(slope), jnp.sign(slope) * largest_like(slope), slope)


def at_least(bound: Any, x: Array) -> Array:
    """The maximum of a bound and x, NaN where x is.

    Of two operands one of which is NaN, the kernel that sums on a CPU takes the second, and a constant is made that.
    """
    (bound,) = apart(jnp.asarray(bound, x.dtype))
    return jnp.maximum(bound, x)


def at_most(bound: Any, x: Array) -> Array:
    """The minimum of a bound and x, NaN where x is, as in `at_least`. One inside the other would become a `clamp`."""
    (bound,) = apart(jnp.asarray(bound, x.dtype))
    return jnp.minimum(bound, x)


@jax.custom_jvp
def reused(x: Array) -> Array:
    """The same number, for several uses, or for a sum that is to take it whole.

    What takes long, such as a quotient or an exponential, XLA on a CPU does not compute inside of each use, but writes
    to memory, as long as the data. Of what comes after it, and is done in no time, it sees that the uses are one loop.
    """
    return jax.lax.clamp(jnp.asarray(-jnp.inf, x.dtype), x, jnp.asarray(jnp.inf, x.dtype))


@reused.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return reused(*primals), tangents[0]


@functools.cache
def of_error(cost: Callable[..., Array]) -> Callable[..., Array]:
    """A cost of an error e = x - y as one of x and y, of which value and slope take the difference each for itself.

    Shared by the two, it would be written to memory.
    """

    @jax.custom_jvp
    @inlined
    def of_two(x: Array, y: Array, *options: Array) -> Array:
        return cost(x - y, *options)

    @of_two.defjvp
    @inlined
    def _(primals: Any, tangents: Any) -> Any:
        (x, y, *options), (dx, dy, *doptions) = apart(*primals), tangents
        return of_two(*primals), jax.jvp(cost, (x - y, *options), (dx - dy, *doptions))[1]

    return of_two


def apart(*arrays: Array) -> Any:
    """The same numbers, which the compiler takes for others.

    A slope of these shares nothing with the value. What the two shared, as little as 1 - y, XLA on a CPU would write
    to memory, as long as the data, where computing it twice costs nothing. Even a constant: hence the `one` that goes
    along with the arrays, and of which a slope makes the constants that its value has too.
    """
    return jax.lax.optimization_barrier(arrays)
