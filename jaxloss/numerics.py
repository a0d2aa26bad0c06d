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

# ------------------------------------------------------------------------------------------------ quotients and roots


@jax.custom_jvp
@jax.jit
def ratio(numerator: Array, denominator: Array) -> Array:
    r"""The quotient, 0 where the denominator is 0.

    $$ n / d $$

    At `d = 0` value and gradient are 0. The gradient goes through `1 / d`, not `1 / d**2`, which leaves float32 for
    |d| outside 1e-19 to 1e19.

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
    return quotient, dn * reciprocal - dd * (quotient * reciprocal)


@jax.jit
def absolute(x: Array) -> Array:
    r"""The absolute value, with subgradient 0 at 0.

    $$ |x| = x \operatorname{sign} x $$

    >>> jax.grad(absolute)(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    return x * jnp.sign(x)


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
    return jnp.log1p(x)


@safe_log1p.defjvp
@jax.jit
def _(primals, tangents):
    (x,), (dx,) = primals, tangents
    inside = x != -1
    return safe_log1p(x), dx * jnp.where(inside, 1 / jnp.where(inside, 1 + x, 1), _largest(x))


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
    r"""x times the logarithm of y, 0 where x is 0.

    $$ x \log y, \qquad 0 \log 0 = 0 $$

    At x = 0 the gradient in y is 0 and the gradient in x is log y, taken as 0 where y is 0 too.

    >>> xlogy(jnp.array([0.0, 1.0]), jnp.array([0.0, 0.0]))
    Array([  0., -inf], dtype=float32)
    """
    return multiply_no_nan(x, safe_log(y))


@jax.jit
def xlog1py(x: Array, y: Array) -> Array:
    r"""x times the logarithm of 1 + y, 0 where x is 0.

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


def _log_ratio(p: Array, q: Array) -> Array:
    near = jnp.abs(p - q) < 0.5 * q
    exact = jnp.log1p(ratio(jnp.where(near, p - q, 0), jnp.where(near, q, 1)))
    apart = (p != 0) & ~near
    safe_p, safe_q = jnp.where(apart, p, 1), jnp.where(apart, q, 1)
    quotient = ratio(safe_p, safe_q)
    # Two logarithms only where the quotient leaves the range: their difference would cancel elsewhere.
    in_range = (quotient < jnp.inf) & (quotient > jnp.finfo(p.dtype).tiny)
    far = jnp.where(in_range, safe_log(jnp.where(in_range, quotient, 1)), safe_log(safe_p) - safe_log(safe_q))
    return jnp.where(near, exact, jnp.where(apart, far, 0))


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
    return jnp.where(small, safe_log(-jnp.expm1(-x)), jnp.log1p(-jnp.exp(-jnp.where(small, 1, x))))


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


def _power(base: Array, exponent: Array) -> Array:
    return jnp.where(base == 0, jnp.where(exponent == 0, 1, 0), jnp.where(base == 0, 1, base) ** exponent)


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
    indicator = jnp.arange(classes, dtype=label.dtype) == label[..., None]
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
    # Where the indicator is NaN every entry is kept, as NaN.
    return jnp.sum(jnp.where(indicator == 0, 0, jnp.where(indicator == 1, values, indicator)), axis=-1)


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
    slope_x = p * (jnp.sum(targets, axis=-1, keepdims=True) - targets) - targets * others
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
    dp = p * (dx - jnp.sum(p * dx, axis=-1, keepdims=True))
    return (p, others), (dp, -dp)


@jax.jit
def _relative(logits: Array) -> tuple[Array, Array, Array]:
    """Logits against the largest, m: the gaps m - x, the weights exp(x - m), and the sum of all weights but one of m's.

    The rounding error of the gap is carried into its exponential: a gap of 80 is off by up to 4e-6, and so would be
    the weight, 50 ulp (Knuth's exact subtraction).
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    finite = jnp.where(jnp.isfinite(largest), largest, 0)
    ordinary = jnp.isfinite(logits) & jnp.isfinite(largest)
    x = jnp.where(ordinary, logits, finite)
    difference = x - finite
    subtracted = difference - x
    error = (x - (difference - subtracted)) - (finite + subtracted)

    is_largest = (logits == largest) & (largest > -jnp.inf)
    # Where m is inf, all else is infinitely far; a NaN stays one.
    far = jnp.where(jnp.isnan(logits) | jnp.isnan(largest), jnp.nan, jnp.inf)
    gap = jnp.where(is_largest, 0, jnp.where(ordinary, -difference, far))
    decay = jnp.exp(-gap)
    weight = jnp.where(is_largest, 1, decay + decay * jnp.where(ordinary, error, 0))
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


@jax.jit
def cosine_distance(u: Array, v: Array) -> Array:
    r"""One minus the cosine of the angle between vectors, over the last axis.

    $$ 1 - \hat u \cdot \hat v = \tfrac12 \lVert \hat u - \hat v \rVert^2, \qquad \hat u = u / \lVert u \rVert $$

    The second form, which does not cancel, serves where the angle is below 60 degrees. A zero vector has cosine 0, so
    distance 1, and gradient 0.

    >>> print(f"{cosine_distance(jnp.array([1e-30, 0.0]), jnp.array([1e20, 1e16])):.2e}")
    5.00e-09
    """
    a, b = unit_vector(u), unit_vector(v)
    cosine = jnp.sum(a * b, axis=-1)
    return jnp.where(cosine > 0.5, 0.5 * squared_euclidean_distance(a, b), 1 - cosine)


def _largest(x: Array) -> Array:
    return jnp.full_like(x, jnp.finfo(x.dtype).max)


def _finite(slope: Array) -> Array:
    """An infinite slope as the largest finite number of its sign."""
    return jnp.where(jnp.isinf(slope), jnp.sign(slope) * _largest(slope), slope)
