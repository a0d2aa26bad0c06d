"""Costs of a standardised error that stop growing with it, and the family that has them as members (Barron 2019).

An exponential, and a high power, turn the last digit of their argument into many of their own. So what the rounding of
the error lost is passed beside it (`lost`), and squares and quotients are formed with their rounding errors.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, at_least, at_most, finite_slope, inlined, log1p, reused
from jaxloss.numerics.exact import residual, sum_of_three, two_sum
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def difference(x: Array, y: Array) -> tuple[Array, Array]:
    r"""The rounded difference, and what the rounding took from it.

    $$ x - y $$

    The gradient is all in the first.

    >>> print(*difference(jnp.array(1e8), jnp.array(0.5)))
    1e+08 -0.5
    """
    return two_sum(x, -y)


@difference.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    dx, dy = tangents
    return difference(*primals), (dx - dy, jnp.zeros_like(dx))


@jax.custom_jvp
@jax.jit
def robust_cost(error: Array, lost: Array, alpha: Array, scale: Array) -> Array:
    r"""The general robust cost of an error, with alpha from -inf over 0 and 2 to any number.

    $$ \frac{b}{\alpha} \left[ (1 + z / b)^{\alpha / 2} - 1 \right], \qquad z = (e / c)^2, \quad b = |\alpha - 2| $$

    At alpha = 2 it is z / 2, at 0 it is log(1 + z / 2), at -inf it is 1 - exp(-z / 2), and near them it is near those.
    The gradient is e / c^2 (1 + z / b)^(alpha / 2 - 1). That in alpha, which is infinite at 2, is 0 there.

    >>> x, zero, one = jnp.array(3.0), jnp.array(0.0), jnp.array(1.0)
    >>> print([f"{robust_cost(x, zero, alpha, one):.3f}" for alpha in map(jnp.array, (2.0, 1.0, 0.0, -jnp.inf))])
    ['4.500', '2.162', '1.705', '0.989']
    """
    x, z, z_low, w, base, base_low, b, far = _base(error, lost, alpha, scale)
    log_base, growth = _log_of_base(x, z, w, base, base_low, b, far)
    finite = jnp.where(jnp.isinf(alpha), 0, alpha)
    beyond = b > _exponential(x)
    q = jnp.where(beyond, jnp.sign(alpha - 2) * growth + log_base, 0.5 * finite * log_base)
    power = _power(x, z, z_low, w, base, base_low, alpha, far, 1)

    near = growth * expm1_ratio(jnp.clip(q, -0.5, 0.5))
    divisor = jnp.where(alpha > 1, alpha, 1)
    above = x * (x * power / divisor) + b * (power - 1) / divisor
    below = jnp.where(jnp.isinf(alpha), -1, b / jnp.where(finite == 0, 1, finite)) * (power - 1)
    value = jnp.where(jnp.abs(q) < 0.5, near, jnp.where(alpha > 1, above, below))
    limit = jnp.where(alpha >= 0, jnp.inf, jnp.where(jnp.isinf(alpha), 1, b / jnp.where(alpha == 0, 1, -finite)))
    return jnp.where(jnp.isinf(error), limit, value)


@robust_cost.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (*errors, alpha, scale), (de, _, dalpha, dscale) = primals, tangents
    error, lost = apart(*errors)
    slope = robust_influence(error, lost, alpha, scale)
    slope_scale = _slope_in_scale(error, lost, alpha, scale)
    value, largest = robust_cost(*primals), float(jnp.finfo(error.dtype).max)
    slope_alpha = jnp.where(jnp.isinf(value), largest, finite_slope(_slope_in_alpha(error, alpha, scale)))
    return value, slope * de + slope_scale * dscale + slope_alpha * dalpha


@jax.custom_jvp
@jax.jit
def robust_influence(error: Array, lost: Array, alpha: Array, scale: Array) -> Array:
    r"""The gradient of `robust_cost` in the error.

    $$ \frac{e}{c^2} (1 + z / b)^{\alpha / 2 - 1} $$

    At an error of 0 it is 0.

    >>> print(robust_influence(jnp.array(1e30), jnp.array(0.0), jnp.array(0.0), jnp.array(1.0)))
    2e-30
    """
    _, share, root = _influence(error, lost, alpha, scale)
    return finite_slope(share / scale * root * root)


@robust_influence.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (error, lost, alpha, scale), (de, _, dalpha, dscale) = primals, tangents
    influence = robust_influence(error, lost, alpha, scale)
    w, log_base, bend = _bend(error, alpha, scale)
    zero = error == 0
    weight = jnp.where(zero, 1 / (scale * scale), influence / jnp.where(zero, 1, error))
    slope_alpha = 0.5 * influence * (log_base - w / (1 + w))
    slope_scale = -influence * (1 + bend) / scale
    return influence, weight * bend * de + slope_alpha * dalpha + slope_scale * dscale


@jax.custom_jvp
def _slope_in_scale(error: Array, lost: Array, alpha: Array, scale: Array) -> Array:
    """The gradient of `robust_cost` in the scale, -e / c times that in the error, which may underflow before it."""
    x, share, root = _influence(error, lost, alpha, scale)
    product = jnp.where(alpha > 1, (x * root) * (share * root), x * share * root * root)
    return jnp.where(jnp.isinf(error), 0, finite_slope(-product / scale))


@_slope_in_scale.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (error, _, alpha, scale), (de, _, dalpha, dscale) = primals, tangents
    slope, influence = _slope_in_scale(*primals), robust_influence(*primals)
    w, log_base, bend = _bend(error, alpha, scale)
    slope_alpha = 0.5 * slope * (log_base - w / (1 + w))
    return slope, slope_alpha * dalpha - ((1 + bend) * influence * de + (2 + bend) * slope * dscale) / scale


def _bend(error: Array, alpha: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The quotient w = z / b, log(1 + w), and how many times the gradient over the error the second derivative is."""
    z, w, log_base, _ = _plain(error, alpha, scale)
    finite = jnp.where(jnp.isinf(alpha), 0, alpha)
    return w, log_base, jnp.where(jnp.isinf(alpha), 1 - z, (1 + (finite - 1) * w) / (1 + w))


def _influence(error: Array, lost: Array, alpha: Array, scale: Array) -> tuple[Array, Array, Array]:
    """The error over the scale, and the gradient as a share of it and the root of the power, which may underflow."""
    x, z, z_low, w, base, base_low, b, far = _base(error, lost, alpha, scale)
    root = _power(x, z, z_low, w, base, base_low, alpha, far, 2)
    share = jnp.where(
        far, jnp.where(jnp.isinf(b), 0, b) / jnp.where(far, x, 1), x / base * (1 - reused(base_low / base))
    )
    return x, jnp.where(alpha > 1, x, share), root


def _base(error: Array, lost: Array, alpha: Array, scale: Array) -> tuple[Array, ...]:
    """The error over the scale, z, w = z / b and 1 + w, with what they lost; where x is far, they are of 0."""
    info = jnp.finfo(error.dtype)
    error = jnp.clip(error, -info.max, info.max)
    x = jnp.clip(error / scale, -info.max, info.max)
    far = jnp.abs(x) > 2.0 ** int(0.39 * info.maxexp)
    # Quotients in their high digits and an exact rest: a compiler may make products of them, and fuse those into sums.
    # What is small has no digits to lose beside 1, and those of its square may underflow.
    high = jnp.where(far, 0, jnp.where(jnp.abs(x) < 2.0**-30, x, _high_digits(x)))
    rest = reused(jnp.where(far, 0, residual(jnp.where(far, 0, error), high, scale) + lost) / scale)
    z, z_low = two_sum(high * high, rest * (2 * high + rest))

    difference, difference_low = two_sum(alpha, jnp.full_like(alpha, -2))
    b, b_low = jnp.abs(difference), jnp.sign(difference) * difference_low
    usable = (b > 0) & (b < jnp.inf)
    divisor = jnp.where(usable, b, 1)
    w = jnp.where(usable, z / divisor, 0)
    high = _high_digits(w)
    rest = residual(jnp.where(usable, z, 0), high, divisor) + jnp.where(usable, z_low - high * b_low, 0)
    base, base_low = two_sum(jnp.ones_like(w), high)
    base, base_low = two_sum(base, base_low + reused(rest / divisor))
    return x, z, z_low, w, base, base_low, b, far


def _high_digits(x: Array) -> Array:
    info = jnp.finfo(x.dtype)
    return jax.lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2)


def _exponential(x: Array) -> float:
    """From which b on the power is taken as an exponential: there the base has lost too much."""
    return float(2.0 ** ((jnp.finfo(x.dtype).nmant + 1) // 2))


def _log_of_base(
    x: Array, z: Array, w: Array, base: Array, base_low: Array, b: Array, far: Array
) -> tuple[Array, Array]:
    """The logarithm of 1 + w, and b / 2 times it, which is z / 2 for the largest b."""
    near = (w < 0.4) & ~far
    half = jnp.where(near, reused(w / (2 + w)), 0)
    square, series = half * half, jnp.zeros_like(half)
    for order in range(2 * (jnp.finfo(x.dtype).nmant // 5) + 3, 1, -2):
        series = (series + 1 / order) * square
    logarithm = reused(jnp.log(jnp.where(far, jnp.abs(x), base)))
    finite_b = jnp.where((b > 0) & (b < jnp.inf), b, 1)
    apart = jnp.where(far, 2 * logarithm - jnp.log(finite_b), logarithm + reused(base_low / base))
    log_base = jnp.where(near, 2 * half * (1 + series), apart)
    return log_base, jnp.where(near, z / (2 + w) * (1 + series), 0.5 * finite_b * apart)


def _power(
    x: Array, z: Array, z_low: Array, w: Array, base: Array, base_low: Array, alpha: Array, far: Array, degree: int
) -> Array:
    """The power alpha / 2 of 1 + z / b, for alpha > 1 divided by 1 + z / b; of that, the root of a degree."""
    b, sign = jnp.abs(alpha - 2), jnp.sign(alpha - 2)
    finite = jnp.where(jnp.isinf(alpha), 0, alpha)
    exponent = 0.5 / degree * jnp.where(alpha > 1, finite - 2, finite)
    of_base = base**exponent * (1 + exponent * reused(base_low / base))
    of_size = jnp.where(far, jnp.abs(x), 1) ** (2 * exponent)
    inside = (b > 0) & (b < jnp.inf) & (of_size > 0) & (of_size < jnp.inf)
    of_size = of_size * jnp.where(inside, b, 1) ** jnp.where(inside, -exponent, 0)

    # exp of b / 2 log(1 + z / b) = z / 2 - z / 2 (w / 2 - w^2 / 3 + ...), of which z / 2 has all its digits.
    small = jnp.minimum(w, 0.1)
    series = jnp.zeros_like(small)
    for order in range(7, 1, -1):
        series = small * (1 / order - series)
    argument, argument_low = two_sum(0.5 * z, -0.5 * z * series)
    decay = jnp.exp(sign * argument / degree) * (1 + sign * (argument_low + 0.5 * z_low) / degree)
    decay = jnp.where(far | (w > 0.1), jnp.where(sign > 0, jnp.inf, 0), decay)
    decay = jnp.where((alpha > 1) | far, decay, decay * base ** (1 / degree))
    return jnp.where(b > _exponential(x), decay, jnp.where(far, of_size, of_base))


def expm1_ratio(x: Array) -> Array:
    """(exp(x) - 1) / x for |x| up to 1/2."""
    series = jnp.ones_like(x)
    for order in range(jnp.finfo(x.dtype).nmant // 4 + 4, 1, -1):
        series = 1 + x / order * series
    return series


def _plain(error: Array, alpha: Array, scale: Array) -> tuple[Array, Array, Array, Array]:
    """z, w, and the logarithm and the power of 1 + w, differentiated as they stand; w is 0 at alpha = 2 and -inf."""
    largest = 2.0 ** int(0.39 * jnp.finfo(error.dtype).maxexp)
    x = error / scale
    far = jnp.abs(x) > largest
    z = jnp.square(jnp.where(far, largest, x))
    b = jnp.abs(alpha - 2)
    usable = (b > 0) & (b < jnp.inf)
    w = jnp.where(usable, z / jnp.where(usable, b, 1), 0)
    beyond = jnp.where(far & usable, jnp.abs(x) / largest, 1)
    finite = jnp.where(jnp.isinf(alpha), 0, alpha)
    return z, w, log1p(w) + 2 * jnp.log(beyond), (1 + w) ** (0.5 * finite) * beyond**finite


def _slope_in_alpha(error: Array, alpha: Array, scale: Array) -> Array:
    """L^2 / 2 P |X(-q) - X(-L)| with L = log(1 + z / b), q = alpha L / 2, P = exp(q), X(t) = (exp(t) - 1 - t) / t^2."""
    _, _, log_base, power = _plain(error, alpha, scale)
    log_base, power = (jnp.minimum(x, jnp.finfo(error.dtype).max) for x in (log_base, power))
    finite = jnp.where(jnp.isinf(alpha), 0, alpha)
    q = 0.5 * finite * log_base
    terms = jnp.finfo(error.dtype).nmant // 3 + 5

    near = (log_base < 1) & (jnp.abs(q) < 1)
    a, c = jnp.where(near, log_base, 0), jnp.where(near, q, 0)
    sums, last, series = jnp.ones_like(a), jnp.ones_like(a), jnp.full_like(a, 1 / 6)
    for n in range(2, terms):
        last = last * c
        sums = a * sums + last
        series = series + (-1) ** (n + 1) / math.factorial(n + 2) * sums
    nearby = 0.5 * a * a * power * (0.5 * (2 - finite) * a * series)

    flat = jnp.abs(q) < 0.5
    inner, outer = jnp.where(flat, q, 0), jnp.where(flat, 1, q)
    psi = sum(inner**n * (1 / (math.factorial(n) * (n + 2))) for n in range(terms))
    psi = jnp.where(flat, psi, ((outer - 1) * jnp.where(flat, 1, power) + 1) / (outer * outer))
    small = log_base < 0.5
    inner, outer = jnp.where(small, log_base, 0), jnp.where(small, 1, log_base)
    chi = sum((-inner) ** n * (1 / math.factorial(n + 2)) for n in range(terms))
    chi = jnp.where(small, chi, (outer - 1 + jnp.exp(-outer)) / outer / outer)
    apart = jnp.sign(2 - alpha) * (0.5 * log_base * (log_base * (psi - power * chi)))
    return jnp.where(near, jnp.abs(nearby), jnp.where(jnp.isinf(alpha), 0, apart))


@jax.custom_jvp
@inlined
def biweight(x: Array, y: Array, scale: Array) -> Array:
    r"""The cost of an error e = x - y that is constant beyond the scale.

    $$ \frac{c^2}{6} \left[ 1 - (1 - z)^3 \right] = \frac{e^2}{6} (3 - z (3 - z)), \qquad z = (e / c)^2 \le 1 $$

    The gradient is e (1 - z)^2, and 0 from the scale on. It is that of what is left to the scale, c - |e|, which has
    all its digits.

    >>> print(f"{biweight(jnp.array(0.5), jnp.array(0.0), jnp.array(1.0)):.4f}")
    0.0964
    """
    bounded = at_most(scale, jnp.abs(x - y))
    z = jnp.square(bounded / scale)
    return bounded * bounded * (0.5 - z * (0.5 - z / 6))


@biweight.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y, scale, one), (dx, dy, dscale) = apart(*primals, jnp.ones((), primals[0].dtype)), tangents
    sign = jax.lax.stop_gradient(jnp.sign(x - y))
    room = sum_of_three(sign * y, -sign * x, scale)
    bounded = jnp.clip(x - y, -scale, scale)
    left = jnp.maximum(room, 0) / scale * (one + jnp.abs(bounded) / scale)
    z = jnp.square(bounded / scale)
    slope_scale = scale * z * z * (one - 2 * z / 3)
    return biweight(*primals), bounded * left * left * (dx - dy) + slope_scale * dscale


@jax.custom_jvp
@inlined
def logarithmic_hinge(x: Array, y: Array, width: Array, curvature: Array) -> Array:
    r"""The logarithm of 1 + |e| / epsilon of an error e = x - y up to a width w, a line of slope 1 beyond.

    $$ w \log(1 + \min(|e|, w) / \epsilon) + \max(|e| - w, 0) $$

    At an error of 0 the gradient is 0, else up to the width w / (epsilon + |e|).

    >>> print(f"{logarithmic_hinge(jnp.array(3.0), jnp.array(0.0), jnp.array(2.0), jnp.array(0.5)):.4f}")
    4.2189
    """
    size = jnp.abs(x - y)
    return width * log1p(at_most(width, size) / curvature) + at_least(0, size - width)


@logarithmic_hinge.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (x, y, width, curvature), (dx, dy, dwidth, dcurvature) = apart(*primals), tangents
    sign = jnp.sign(x - y)
    size = jnp.minimum(jnp.abs(x - y), width)
    outside = sum_of_three(sign * x, -sign * y, -width) > 0
    share = width / (curvature + size)
    slope = jnp.where(outside, 1, share) * sign
    slope_width = log1p(size / curvature) - jnp.where(outside, curvature / (curvature + width), 0)
    derivative = slope * (dx - dy) + slope_width * dwidth - share * size / curvature * dcurvature
    return logarithmic_hinge(*primals), derivative
