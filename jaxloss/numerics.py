"""Formulas that stay true where the textbook form does not, each with its value and its gradient at the corner.

Three habits run through this file. The *input* of a function is replaced where the function has no finite slope, never
only its output, because `0 * inf` in a backward pass is NaN. A gradient that the textbook form computes as a difference
of near-equal numbers has a rule of its own (`custom_jvp`, so that forward mode and second order keep working). A slope
that is truly infinite is returned as the largest finite number, so that a zero tangent times it is 0.

Each is jitted, as those of `jax.nn` are: called outside `jit` it is one compiled program, not one for each operation.
Functions on vectors (`logsumexp`, `expected_surprisal`, the distances) reduce the last axis.
"""

import functools

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array, Input

# ------------------------------------------------------------------------------------------------- sums and differences


@jax.custom_jvp
@jax.jit
def sum_of_three(a: Array, b: Array, c: Array) -> Array:
    r"""The sum of three numbers, true to the last digit also where the first two swallow the third, or all cancel.

    $$ a + b + c $$

    >>> print(sum_of_three(jnp.array(1e8), jnp.array(0.25), jnp.array(-1e8)))
    0.25
    """
    partial, lost = _two_sum(a, b)
    total, lost_too = _two_sum(partial, c)
    return total + (lost + lost_too)


@sum_of_three.defjvp
@jax.jit
def _(primals, tangents):
    (a, b, c), (da, db, dc) = primals, tangents
    return sum_of_three(a, b, c), da + db + dc


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum, and exactly what the rounding took from it (Knuth); nothing where the sum is not finite."""
    total = a + b
    finite = jnp.isfinite(total)
    a, b, reached = (jnp.where(finite, x, 0) for x in (a, b, total))
    part = reached - a
    return total, (a - (reached - part)) + (b - part)


def _exact_sum(x: Array) -> Array:
    """The sum over the last axis, true also where it is nearly 0 beside its terms (Rump, Ogita and Oishi's extraction).

    Against a power of two above every partial sum, the high digits of all terms lie on one grid and add up exactly.
    """
    bound = 2 * max(x.shape[-1], 1) * jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)
    grid = jax.lax.reduce_precision(bound, jnp.finfo(x.dtype).nexp, 0)
    high = (x + grid) - grid
    return jnp.sum(high, axis=-1) + jnp.sum(x - high, axis=-1)


@jax.custom_jvp
@jax.jit
def _residual(b: Array, factor: Array, a: Array) -> Array:
    """The difference b - factor * a, true to the last digit however near the two are.

    Each factor is split in two halves, of so few digits that their products are exact (Dekker).
    """
    info = jnp.finfo(a.dtype)
    factor_high, a_high = (jax.lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2) for x in (factor, a))
    factor_low, a_low = factor - factor_high, a - a_high
    return (((b - factor_high * a_high) - factor_high * a_low) - factor_low * a_high) - factor_low * a_low


@_residual.defjvp
@jax.jit
def _(primals, tangents):
    (b, factor, a), (db, dfactor, da) = primals, tangents
    return _residual(b, factor, a), db - dfactor * a - factor * da


# ------------------------------------------------------------------------------------------------ quotients and roots


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


@ratio.defjvp
@jax.jit
def _(primals, tangents):
    (numerator, denominator), (dn, dd) = primals, tangents
    quotient = ratio(numerator, denominator)
    reciprocal = ratio(jnp.ones_like(denominator), denominator)
    return quotient, dn * reciprocal - dd * _finite(quotient * reciprocal)


@jax.jit
def absolute(x: Array) -> Array:
    r"""The absolute value, with subgradient 0 at 0.

    $$ |x| = x \operatorname{sign} x $$

    >>> jax.grad(absolute)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return x * jnp.sign(x)


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
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return safe_square(x), dx * _finite(2 * x)


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
def safe_norm(x: Array) -> Array:
    r"""The Euclidean norm over the last axis, of vectors of any length from 1e-38 to 1e38.

    $$ \lVert x \rVert = m \sqrt{\textstyle\sum_i (x_i / m)^2}, \qquad m = \max_i |x_i| $$

    At the zero vector value and gradient are 0.

    >>> print(safe_norm(jnp.array([3e20, 4e20])), jax.grad(safe_norm)(jnp.zeros(2)))
    5e+20 [0. 0.]
    """
    largest = jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)
    return jnp.squeeze(largest, -1) * jnp.sqrt(jnp.sum(jnp.square(_over(x, largest)), axis=-1))


@safe_norm.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return safe_norm(x), jnp.sum(unit_vector(x) * dx, axis=-1)


@jax.jit
def unit_vector(x: Array) -> Array:
    r"""The vector over the last axis divided by its norm; 0, with gradient 0, for the zero vector.

    $$ x / \lVert x \rVert $$

    >>> print(unit_vector(jnp.array([3e-30, 4e-30])), unit_vector(jnp.zeros(2)))
    [0.6 0.8] [0. 0.]
    """
    scaled = _over(x, jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1, keepdims=True, initial=0)))
    return ratio(scaled, safe_sqrt(jnp.sum(jnp.square(scaled), axis=-1, keepdims=True)))


def _over(x: Array, largest: Array) -> Array:
    """The vector over its largest component; where that is infinite, the infinite components alone."""
    finite = jnp.isfinite(largest)
    direction = jnp.where(jnp.isinf(x), jnp.sign(x), 0)
    return jnp.where(finite | jnp.isnan(largest), ratio(x, jnp.where(finite, largest, 1)), direction)


# ------------------------------------------------------------------------------------------- logarithms and products


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
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    nonzero = x != 0
    return safe_log(x), dx * jnp.where(nonzero, 1 / jnp.where(nonzero, x, 1), _largest(x))


@jax.custom_jvp
@jax.jit
def safe_log1p(x: Array) -> Array:
    r"""The natural logarithm of 1 + x, whose slope at -1 is the largest finite number.

    $$ \log(1 + x) $$

    At -1 as `safe_log` at 0. Exact for small x.

    >>> print(safe_log1p(jnp.array(-1.0)), safe_log1p(jnp.array(1e-9)))
    -inf 1e-09
    """
    return _log1p(x)


@safe_log1p.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    inside = x != -1
    return safe_log1p(x), dx * jnp.where(inside, 1 / jnp.where(inside, 1 + x, 1), _largest(x))


def _log1p(x: Array) -> Array:
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
def _(primals, tangents):
    (weight, value), (dw, dv) = primals, tangents
    slope = jnp.where((weight == 0) & jnp.isinf(value), 0, _finite(value))
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
def rel_entr(p: Array, q: Array) -> Array:
    r"""The elementwise relative entropy.

    $$ p \log(p / q), \qquad 0 \log(0 / q) = 0 $$

    Infinite where q is 0 and p is not. Where p and q are near, the logarithm is taken of the difference, which is
    exact. The gradient in p is log(p/q) + 1, taken as 0 where p is 0 (the true slope is infinite); the gradient in q is
    -p/q, 0 where p is 0.

    >>> print(rel_entr(jnp.array([0.0, 1.0, 0.5]), jnp.array([0.0, 1.0, 0.0])))
    [ 0.  0. inf]
    """
    return multiply_no_nan(p, _log_ratio(p, q))


@rel_entr.defjvp
@jax.jit
def _(primals, tangents):
    (p, q), (dp, dq) = primals, tangents
    slope_p = jnp.where(p == 0, 0, _finite(_log_ratio(p, q) + 1))
    # p / q is infinite for q = 0 and may overflow for q > 0.
    slope_q = jnp.where(p == 0, 0, _finite(jnp.where(q == 0, jnp.inf, ratio(p, q))))
    return rel_entr(p, q), dp * slope_p - dq * slope_q


@jax.custom_jvp
@jax.jit
def relative_entropy(p: Array, q: Array) -> Array:
    r"""The sum of `rel_entr` over the last axis, true also for distributions that are nearly the same.

    $$ \sum_j p_j \log \frac{p_j}{q_j}
       = \sum_j \left[ p_j \log \frac{p_j}{q_j} - (p_j - q_j) \right] + \sum_j (p_j - q_j) $$

    Where p and q are near, the first form sums terms of the size of p - q to a total of the size of its square. Each
    bracket of the second is of that size already, and the differences outside are exact. Corners as for `rel_entr`.

    >>> print(f"{relative_entropy(jnp.array([0.5005, 0.4995]), jnp.array([0.5, 0.5])):.3e}")
    5.000e-07
    """
    # log(p / q) is 2 atanh of half, so the bracket is difference * half + 2 p (atanh(half) - half).
    difference = p - q
    half = ratio(difference, p + q)
    near = jnp.abs(half) <= 1 / 3  # within a factor of 2, where the difference is exact
    half, square = jnp.where(near, half, 0), jnp.square(jnp.where(near, half, 0))
    series = jnp.zeros_like(half)
    for order in range(2 * (jnp.finfo(p.dtype).nmant // 3) + 3, 1, -2):
        series = series * square + 1 / order
    bracket = difference * half + 2 * p * (half * square * series)
    inner = jnp.sum(jnp.where(near, bracket, rel_entr(p, q)), axis=-1)
    return inner + _exact_sum(jnp.where(near, difference, 0))


@relative_entropy.defjvp
@jax.jit
def _(primals, tangents):
    return relative_entropy(*primals), jnp.sum(jax.jvp(rel_entr, primals, tangents)[1], axis=-1)


def _log_ratio(p: Array, q: Array) -> Array:
    near = jnp.abs(p - q) < 0.5 * q
    exact = _log1p(ratio(jnp.where(near, p - q, 0), jnp.where(near, q, 1)))
    apart = (p != 0) & ~near
    safe_p, safe_q = jnp.where(apart, p, 1), jnp.where(apart, q, 1)
    quotient = ratio(safe_p, safe_q)
    # Two logarithms only where the quotient leaves the range: their difference would cancel elsewhere.
    in_range = (quotient < jnp.inf) & (quotient > jnp.finfo(p.dtype).tiny)
    far = jnp.where(in_range, safe_log(jnp.where(in_range, quotient, 1)), safe_log(safe_p) - safe_log(safe_q))
    # 0, but NaN for a q that is no probability.
    unused = safe_log(jnp.where(q >= 0, 1, q))
    return jnp.where(near, exact, jnp.where(apart, far, unused))


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
    return jnp.where(small, safe_log(-jnp.expm1(-x)), _log1p(-jnp.exp(-jnp.where(small, 1, x))))


@log1mexp.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    zero = x == 0
    slope = jnp.where(zero, _largest(x), 1 / jnp.expm1(jnp.where(zero, 1, x)))
    return log1mexp(x), dx * slope


@jax.custom_jvp
@jax.jit
def modulated_log(p: Array, complement: Array, gamma: Array) -> Array:
    r"""The logarithm of a probability, weighed down where it is already high (the focal factor).

    $$ (1 - p)^\gamma \log p $$

    The complement 1 - p is passed beside p, so that both are exact at their small end; the gradient is that in p. At
    p = 1 the value is 0 and the gradient 0 (1 if gamma is 0); at p = 0 the value is -inf and the gradient the largest
    finite number.

    >>> print(f"{modulated_log(jnp.array(0.9), jnp.array(0.1), jnp.array(2.0)):.5f}")
    -0.00105
    """
    return _power(complement, gamma) * _log_probability(p, complement)


@modulated_log.defjvp
@jax.jit
def _(primals, tangents):
    (p, complement, gamma), (dp, _, dgamma) = primals, tangents
    log_p = _log_probability(p, complement)
    # -log p / (1 - p) tends to 1 at p = 1, so that no power below zero of 1 - p is ever formed.
    steepness = jnp.where(complement == 0, 1, -ratio(log_p, complement))
    slope = _power(complement, gamma) * jnp.where(p == 0, _largest(p), ratio(jnp.ones_like(p), p) + gamma * steepness)
    value = modulated_log(p, complement, gamma)
    # log(1 - p) is 0 where log p is infinite, and the other way round.
    inside = (p > 0) & (complement > 0)
    log_complement = _log_probability(jnp.where(inside, complement, 1), jnp.where(inside, p, 0))
    return value, dp * slope + dgamma * (jnp.where(inside, value, 0) * log_complement)


def _log_probability(p: Array, complement: Array) -> Array:
    low = p < 0.5
    return jnp.where(low, safe_log(jnp.where(low, p, 1)), safe_log1p(-jnp.where(low, 0, complement)))


@jax.custom_jvp
def _power(base: Array, exponent: Array) -> Array:
    """The power of a base >= 0; at base 0 it is 1 for the exponent 0 and else 0, also where it would be infinite."""
    return jnp.where(base == 0, jnp.where(exponent == 0, 1, 0), jnp.where(base == 0, 1, base) ** exponent)


@_power.defjvp
def _(primals, tangents):
    (base, exponent), (dbase, dexponent) = primals, tangents
    power = _power(base, exponent)
    log_base = safe_log(jnp.where(base == 0, 1, base))
    return power, dbase * (exponent * _power(base, exponent - 1)) + dexponent * (power * log_base)


# ------------------------------------------------------------------------------------------------- logits, two classes


@jax.custom_jvp
@jax.jit
def sigmoid(x: Array) -> Array:
    r"""The logistic function, whose gradient does not vanish before its time.

    $$ \sigma(x) = \frac{1}{1 + e^{-x}}, \qquad \sigma'(x) = \sigma(x)\,\sigma(-x) $$

    The form sigma (1 - sigma) of the gradient is 0 already at x = 17 in float32; this one is 4e-8 there, as it should.

    >>> print(f"{jax.grad(sigmoid)(20.0):.3e}")
    2.061e-09
    """
    tail = jnp.exp(-jnp.abs(x))
    return jnp.where(x >= 0, 1, tail) / (1 + tail)


@sigmoid.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return sigmoid(x), dx * (sigmoid(x) * sigmoid(-x))


@jax.custom_jvp
@jax.jit
def softplus(x: Array) -> Array:
    r"""The smooth ramp, which is -log sigmoid(-x).

    $$ \log(1 + e^x) = \max(x, 0) + \log(1 + e^{-|x|}) $$

    Exact in both tails and at -inf (0) and inf (inf). The gradient is `sigmoid(x)`.

    >>> print(f"{softplus(jnp.array(-20.0)):.3e} {softplus(jnp.array(1e4)):.0f}")
    2.061e-09 10000
    """
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


@softplus.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    return softplus(x), dx * sigmoid(x)


@jax.custom_jvp
@jax.jit
def binary_surprisal(p: Array, target: Array) -> Array:
    r"""The cross entropy of a target in [0, 1] with the probability p of a one.

    $$ -\left[ y \log p + (1 - y) \log(1 - p) \right], \qquad
       \frac{\partial}{\partial p} = \frac{p - y}{p\,(1 - p)}, \qquad
       \frac{\partial}{\partial y} = \log \frac{1 - p}{p} $$

    Neither slope is formed as the difference of its two terms, which cancel at p = y and at p = 1/2. 0 log 0 = 0. At
    p = y = 0 the gradient in p is 1, at p = y = 1 it is -1, and that in y, truly infinite, is 0. At the other corners
    the value is inf and the gradient the largest finite number of its sign. For p outside [0, 1] the value is NaN.

    >>> wrong, right = jnp.array(0.0), jnp.array(1.0)
    >>> print(binary_surprisal(right, right), binary_surprisal(wrong, right), jax.grad(binary_surprisal)(right, right))
    0.0 inf -1.0
    """
    return -(xlogy(target, p) + xlog1py(1 - target, -p))


@binary_surprisal.defjvp
@jax.jit
def _(primals, tangents):
    (p, target), (dp, dtarget) = primals, tangents
    variance = p * (1 - p)
    at_an_end = jnp.where(p == target, 1 - 2 * p, (2 * p - 1) * _largest(p))
    slope_p = jnp.where(variance == 0, at_an_end, ratio(p - target, variance))

    near = jnp.abs(p - 0.5) < 0.25
    middle, outer = jnp.where(near, p, 0.5), jnp.where(near, 0.5, p)
    log_odds = jnp.where(near, _log1p(ratio(1 - 2 * middle, middle)), safe_log1p(-outer) - safe_log(outer))
    slope_target = jnp.where((p == target) & jnp.isinf(log_odds), 0, _finite(log_odds))
    return binary_surprisal(p, target), slope_p * dp + slope_target * dtarget


@jax.custom_jvp
@jax.jit
def logistic_surprisal(logit: Array, target: Array, complement: Array, positive_weight: Array) -> Array:
    r"""The cross entropy of a target in [0, 1] with the sigmoid of a logit, its positive part weighed.

    $$ w\,y\,\log(1 + e^{-x}) + (1 - y) \log(1 + e^x), \qquad
       \frac{\partial}{\partial x} = (1 - y)\,\sigma(x) - w\,y\,\sigma(-x) $$

    The complement 1 - y is passed beside y, so that both are exact at their small end; the gradient is that in y. The
    two terms of each slope, which near x = 0 are nearly equal, are subtracted before they are rounded. At a logit of
    inf or -inf on the right side the value is 0 and the gradient 0, on the wrong side the value is inf and the gradient
    in the logit 1 - y or -w y.

    >>> logit, one, zero = jnp.array(20.0), jnp.array(1.0), jnp.array(0.0)
    >>> print(f"{logistic_surprisal(logit, one, zero, one):.3e} {logistic_surprisal(logit, zero, one, one):.3f}")
    2.061e-09 20.000
    """
    positive = multiply_no_nan(positive_weight * target, softplus(-logit))
    return positive + multiply_no_nan(complement, softplus(logit))


@logistic_surprisal.defjvp
@jax.jit
def _(primals, tangents):
    (logit, target, complement, weight), (dlogit, dtarget, _, dweight) = primals, tangents
    value = logistic_surprisal(logit, target, complement, weight)
    positive = weight * target
    tail = jnp.exp(-jnp.abs(logit))
    rises = logit >= 0
    far = jnp.where(rises, complement - positive * tail, complement * tail - positive)
    near = (complement - positive) + jnp.where(rises, -positive, complement) * jnp.expm1(-jnp.abs(logit))
    slope_logit = jnp.where(tail > 0.5, near, far) / (1 + tail)
    # softplus(x) is max(x, 0) plus this.
    shared = jnp.log1p(tail)
    slope_target = multiply_no_nan(weight, jnp.maximum(-logit, 0)) - jnp.maximum(logit, 0) + (weight - 1) * shared
    slope_weight = multiply_no_nan(target, softplus(-logit))
    slope_target, slope_weight = (
        jnp.where(jnp.isinf(slope) & jnp.isfinite(value), 0, _finite(slope)) for slope in (slope_target, slope_weight)
    )
    return value, slope_logit * dlogit + slope_target * dtarget + slope_weight * dweight


# ------------------------------------------------------------------------------------------------ logits, many classes


@functools.partial(jax.jit, static_argnums=(1, 2))
def one_hot(label: Array, classes: int, dtype: Input = jnp.float32) -> Array:
    r"""The indicator of a label; NaN in every class if the label is none of them.

    $$ t_j = [j = y] $$

    A label outside 0 to k - 1 has no indicator. NaN is what tells, where wrapping or clamping would pass the row of
    another class.

    >>> print(one_hot(jnp.array(1), 3), one_hot(jnp.array(-1), 3))
    [0. 1. 0.] [nan nan nan]
    """
    if label.dtype.itemsize < 4:  # too small to number the classes
        label = label.astype(jnp.int32)
    indicator = jax.lax.broadcasted_iota(label.dtype, (*label.shape, classes), label.ndim) == label[..., None]
    known = (label >= 0) & (label < classes)
    return jnp.where(known[..., None], indicator.astype(dtype), jnp.nan)


@jax.jit
def pick(values: Array, label: Array) -> Array:
    r"""The entry of the last axis that the label names; NaN if it names none.

    $$ v_y $$

    Written as a comparison and a sum, which works on a sharded axis, where a gather does not.

    >>> print(pick(jnp.array([5.0, 7.0]), jnp.array(1)))
    7.0
    """
    indicator = one_hot(label, values.shape[-1], values.dtype)
    chosen = jnp.sum(jnp.where(indicator == 1, values, 0), axis=-1)
    return jnp.where((label >= 0) & (label < values.shape[-1]), chosen, jnp.nan)


@jax.custom_jvp
@jax.jit
def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    largest = jnp.max(logits, axis=-1)
    return largest + jnp.log1p(jnp.squeeze(_relative(logits)[2], -1))


@logsumexp.defjvp
@jax.jit
def _(primals, tangents):
    (logits,), (dx,) = primals, tangents
    return logsumexp(logits), jnp.sum(_softmax(logits)[0] * dx, axis=-1)


@jax.custom_jvp
@jax.jit
def surprisal(logits: Array) -> Array:
    r"""The negative log-probability of each class of a softmax.

    $$ s_j = -\log \operatorname{softmax}(x)_j = (\max x - x_j) + \log(1 + r), \qquad
       r = \sum_{i \ne \operatorname{arg\,max} x} e^{x_i - \max x} $$

    Both terms are at least 0, so nothing cancels: a confident class has a surprisal of 1e-9 when it should, and not 0.
    A class of logit -inf has inf.

    >>> confident, wrong = surprisal(jnp.array([20.0, 0.0]))
    >>> print(f"{confident:.3e} {wrong:.3f}")
    2.061e-09 20.000
    """
    gap, _, others = _relative(logits)
    return gap + jnp.log1p(others)


@surprisal.defjvp
@jax.jit
def _(primals, tangents):
    (logits,), (dx,) = primals, tangents
    dx = _against_largest(logits, dx)
    expected = jnp.sum(_softmax(logits)[0] * dx, axis=-1, keepdims=True)
    return surprisal(logits), expected - dx


@jax.custom_jvp
@jax.jit
def expected_surprisal(targets: Array, logits: Array) -> Array:
    r"""The cross entropy of targets with the softmax of logits, over the last axis.

    $$ \sum_j t_j s_j, \qquad \frac{\partial}{\partial x_j} = p_j \sum_{i \ne j} t_i - t_j \sum_{i \ne j} p_i $$

    with the `surprisal` s and p = softmax(x). The gradient at the label is minus the probability of the other classes
    and is never formed as p - 1. A class with no target costs nothing whatever its logit; one with a target and a logit
    of -inf costs inf.

    >>> label, other = jax.grad(expected_surprisal, 1)(jnp.array([1.0, 0.0]), jnp.array([20.0, 0.0]))
    >>> print(f"{label:.3e} {other:.3e}")
    -2.061e-09 2.061e-09
    """
    return jnp.sum(multiply_no_nan(targets, surprisal(logits)), axis=-1)


@expected_surprisal.defjvp
@jax.jit
def _(primals, tangents):
    (targets, logits), (dt, dx) = primals, tangents
    p, others = _softmax(logits)
    slope_x = p * _sum_of_others(targets) - targets * others
    cost = surprisal(logits)
    slope_t = jnp.where((targets == 0) & jnp.isinf(cost), 0, _finite(cost))
    return expected_surprisal(targets, logits), jnp.sum(slope_x * dx + slope_t * dt, axis=-1)


@jax.custom_jvp
@jax.jit
def _softmax(logits: Array) -> tuple[Array, Array]:
    """The probabilities, and beside each the sum of the others, neither by subtraction from 1 where it would cancel."""
    gap, weight, others = _relative(logits)
    total = 1 + others
    complement = jnp.where(gap == 0, others, total - weight)
    return weight / total, complement / total


@_softmax.defjvp
@jax.jit
def _(primals, tangents):
    (logits,), (dx,) = primals, tangents
    p, others = _softmax(logits)
    dx = _against_largest(logits, dx)
    dp = p * (dx - jnp.sum(p * dx, axis=-1, keepdims=True))
    return (p, others), (dp, -dp)


def _against_largest(logits: Array, dx: Array) -> Array:
    """The tangent minus that of the largest logit, which changes no slope of a softmax.

    At a confident row all that a slope takes in is then weighed by the small probabilities of the other classes, and
    nothing of the size of 1 is left to cancel.
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    is_largest = ((logits == largest) & (largest > -jnp.inf)).astype(logits.dtype)
    return dx - jnp.sum(dx * ratio(is_largest, jnp.sum(is_largest, axis=-1, keepdims=True)), axis=-1, keepdims=True)


def _sum_of_others(x: Array) -> Array:
    """Beside each of the entries >= 0 the sum of the others, never by subtraction from a sum that it dominates."""
    largest = jnp.max(x, axis=-1, keepdims=True)
    is_largest = x == largest
    rest = jnp.sum(jnp.where(is_largest, 0, x), axis=-1, keepdims=True)
    ties = largest * (jnp.sum(is_largest, axis=-1, keepdims=True) - 1).astype(x.dtype)
    return jnp.where(is_largest, rest + ties, rest + ties + (largest - x))


@jax.jit
def _relative(logits: Array) -> tuple[Array, Array, Array]:
    """Logits against the largest, m: the gaps m - x, the weights exp(x - m), and the sum of all weights but one of m's.

    The rounding error of the gap is carried into its exponential: a gap of 80 is off by up to 4e-6, and so would be
    the weight, 50 ulp.
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    finite = jnp.where(jnp.isfinite(largest), largest, 0)
    ordinary = jnp.isfinite(logits) & jnp.isfinite(largest)
    difference, error = _two_sum(jnp.where(ordinary, logits, finite), -finite)

    is_largest = (logits == largest) & (largest > -jnp.inf)
    # Where m is inf, all else is infinitely far; a NaN stays one.
    far = jnp.where(jnp.isnan(logits), logits, jnp.where(jnp.isnan(largest), largest, jnp.inf))
    gap = jnp.where(is_largest, 0, jnp.where(ordinary, -difference, far))
    decay = jnp.exp(-gap)
    weight = jnp.where(is_largest, 1, decay + decay * error)
    runners_up = jnp.sum(jnp.where(is_largest, 0, weight), axis=-1, keepdims=True)
    ties = jnp.sum(is_largest, axis=-1, keepdims=True) - 1
    return gap, weight, runners_up + jnp.maximum(ties, 0).astype(logits.dtype)


# ------------------------------------------------------------------------------------------------------------ distances


@jax.jit
def euclidean_distance(u: Array, v: Array) -> Array:
    r"""The Euclidean distance over the last axis; its gradient at u = v is 0.

    $$ \lVert u - v \rVert $$

    >>> print(euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    5.0
    """
    return safe_norm(u - v)


@jax.jit
def squared_euclidean_distance(u: Array, v: Array) -> Array:
    r"""The squared Euclidean distance over the last axis.

    $$ \lVert u - v \rVert^2 $$

    >>> print(squared_euclidean_distance(jnp.array([0.0, 3.0]), jnp.array([4.0, 0.0])))
    25.0
    """
    return jnp.sum(jnp.square(u - v), axis=-1)


@jax.custom_jvp
@jax.jit
def squared_distance_difference(u: Array, v: Array, w: Array) -> Array:
    r"""How much farther u is from v than from w, in squared Euclidean distance over the last axis.

    $$ \lVert u - v \rVert^2 - \lVert u - w \rVert^2 = (w - v) \cdot (u - v + u - w) $$

    Finite wherever the difference is, also where both squares overflow (from 2e19 on). It does not cancel where u is
    far from both. The gradient in u is 2 (w - v), in v -2 (u - v), in w 2 (u - w).

    >>> u, v, w = jnp.zeros(2), jnp.array([3e30, 4e30]), jnp.array([5e30, 0.0])
    >>> print(squared_distance_difference(u, v, w), squared_distance_difference(u, v, 2 * w))
    0.0 -inf
    """
    product, _, scale = _product_of_differences(u, v, w)
    return product * scale * scale


@squared_distance_difference.defjvp
@jax.jit
def _(primals, tangents):
    (u, v, w), (du, dv, dw) = primals, tangents
    slope = jnp.sum((w - v) * du - (u - v) * dv + (u - w) * dw, axis=-1)
    return squared_distance_difference(u, v, w), 2 * slope


@jax.custom_jvp
@jax.jit
def distance_difference(u: Array, v: Array, w: Array) -> Array:
    r"""How much farther u is from v than from w, in Euclidean distance over the last axis.

    $$ \lVert u - v \rVert - \lVert u - w \rVert
       = \frac{(w - v) \cdot (u - v + u - w)}{\lVert u - v \rVert + \lVert u - w \rVert} $$

    It does not cancel where u is far from both. The gradient of a distance that is 0 is 0.

    >>> print(f"{distance_difference(jnp.array([1e6, 0.0]), jnp.array([0.0, 1.0]), jnp.array([0.01, 0.0])):.4f}")
    0.0100
    """
    product, total, scale = _product_of_differences(u, v, w)
    return ratio(product, total) * scale


@distance_difference.defjvp
@jax.jit
def _(primals, tangents):
    (u, v, w), (du, dv, dw) = primals, tangents
    slope = unit_vector(u - v) * (du - dv) - unit_vector(u - w) * (du - dw)
    return distance_difference(u, v, w), jnp.sum(slope, axis=-1)


def _product_of_differences(u: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
    """(w - v) . (u - v + u - w) over the square of a scale, the two distances over the scale, and the scale."""
    to_v, to_w, between = _finite(u - v), _finite(u - w), _finite(w - v)
    scaled, scale = _unit_scale(jnp.stack([to_v, to_w], axis=-2), axis=(-2, -1))
    scale = jnp.squeeze(scale, -1)
    a, b = scaled[..., 0, :], scaled[..., 1, :]
    total = safe_norm(a) + safe_norm(b)
    return jnp.sum(ratio(between, scale) * (a + b), axis=-1), total, jnp.squeeze(scale, -1)


@jax.custom_jvp
@jax.jit
def cosine_distance(u: Array, v: Array) -> Array:
    r"""One minus the cosine of the angle between vectors, over the last axis.

    $$ 1 - \cos\theta = \frac{\sin^2\theta}{1 + \cos\theta}, \qquad \cos\theta = \hat u \cdot \hat v, \qquad
       \sin\theta = \lVert \hat v - (\hat u \cdot \hat v)\,\hat u \rVert $$

    The second form, which does not cancel, serves where the angle is below 60 degrees. A zero vector has cosine 0, so
    distance 1, and gradient 0.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    (a, _), (b, _) = _unit_scale(u), _unit_scale(v)
    cosine = ratio(_dot(a, b), safe_sqrt(_dot(a, a)) * safe_sqrt(_dot(b, b)))
    across = _across(b, a)
    near = ratio(_dot(across, across), _dot(b, b) * (1 + jnp.maximum(cosine, 0)))
    return jnp.squeeze(jnp.where(cosine > 0.5, near, 1 - cosine), -1)


@cosine_distance.defjvp
@jax.jit
def _(primals, tangents):
    (u, v), (du, dv) = primals, tangents
    (a, scale_u), (b, scale_v) = _unit_scale(u), _unit_scale(v)
    lengths = safe_sqrt(_dot(a, a)) * safe_sqrt(_dot(b, b))
    slope_u = ratio(ratio(_across(b, a), lengths), scale_u)
    slope_v = ratio(ratio(_across(a, b), lengths), scale_v)
    return cosine_distance(u, v), -jnp.sum(slope_u * du + slope_v * dv, axis=-1)


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b, axis=-1, keepdims=True)


def _unit_scale(x: Array, axis: int | tuple[int, ...] = -1) -> tuple[Array, Array]:
    """The vector with components of about 1, and by what it was divided: a power of two, which rounds nothing.

    Of a vector with infinite components those alone are left.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True, initial=0))
    # Halved where rounding up to a power of two would overflow.
    scale = jax.lax.reduce_precision(jnp.where(largest > 1, largest / 2, largest), jnp.finfo(x.dtype).nexp, 0)
    direction = jnp.where(jnp.isinf(x), jnp.sign(x), 0)
    return jnp.where(jnp.isinf(scale), direction, ratio(x, jnp.where(jnp.isinf(scale), 1, scale))), scale


def _across(b: Array, a: Array) -> Array:
    """The part of b at right angles to a, subtracted twice, since the first factor is rounded."""
    squared = _dot(a, a)
    rough = _residual(b, ratio(_dot(b, a), squared), a)
    return _residual(rough, ratio(_dot(rough, a), squared), a)


def _largest(x: Array) -> Array:
    return jnp.full_like(x, jnp.finfo(x.dtype).max)


def _finite(slope: Array) -> Array:
    """An infinite slope as the largest finite number of its sign."""
    return jnp.where(jnp.isinf(slope), jnp.sign(slope) * _largest(slope), slope)
