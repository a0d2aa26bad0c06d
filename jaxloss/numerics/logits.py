"""Softmax of logits: what a class costs, without ever leaving the log domain or subtracting from 1."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.elementary import apart, at_least, finite_slope, inlined, multiply_no_nan
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.partition import Row, mean_gap_and_count, row_and_sums, row_and_weights, row_of
from jaxloss.numerics.rows import may_be_split, row_sums
from jaxloss.types import Array, Input


@functools.partial(jax.jit, static_argnums=(1, 2))
def one_hot(label: Array, classes: int, dtype: Input = jnp.float32) -> Array:
    r"""The indicator of a label; NaN in every class if the label is none of them.

    $$ t_j = [j = y] $$

    A label outside 0 to k - 1 has no indicator. NaN is what tells, where wrapping or clamping would pass the row of
    another class.

    >>> print(one_hot(jnp.array(1), 3), one_hot(jnp.array(-1), 3))
    [0. 1. 0.] [nan nan nan]
    """
    label = wide(label)
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


def entry_of_label(values: Array, label: Array) -> Array:
    """As `pick`; from its place where the axis is not split over devices."""
    if may_be_split(values):
        return pick(values, label)
    known = (label >= 0) & (label < values.shape[-1])
    entry = jnp.take_along_axis(values, jnp.where(known, label, 0)[..., None], axis=-1)
    return jnp.where(known, jnp.squeeze(entry, -1), jnp.nan)


def wide(label: Array) -> Array:
    """A label of fewer than 32 bits may be too small to number the classes."""
    return label.astype(jnp.int32) if label.dtype.itemsize < 4 else label


@jax.custom_jvp
@inlined
def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    return _log_partition(row_of(logits))


@logsumexp.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits,), (dx,) = primals, tangents
    row, p = row_and_probabilities(logits)
    return _log_partition(row), jnp.sum(p * dx, axis=-1)


def _log_partition(row: Row) -> Array:
    return jnp.squeeze(jnp.where(row.at_largest == 0, row.others - jnp.inf, row.largest + row.log_rest), -1)


@jax.custom_jvp
@inlined
def uniform_surprisal(logits: Array) -> Array:
    r"""The negative log-probability that a softmax gives to a class, in the mean over those that are possible.

    $$ \frac{1}{k} \sum_{x_j > -\infty} -\log \operatorname{softmax}(x)_j $$

    Where all k classes but one are impossible it is 0, and where all are; a class of logit -inf has no gradient.

    >>> print(f"{uniform_surprisal(jnp.array([20.0, 0.0, -jnp.inf])):.3f}")
    10.000
    """
    row = row_of(logits)
    return jnp.squeeze(mean_gap_and_count(logits, row.largest)[0] + row.log_rest, -1)


@uniform_surprisal.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits,), (dx,) = primals, tangents
    row, p = row_and_probabilities(logits)
    mean, count = mean_gap_and_count(logits, row.largest)
    classes = jnp.maximum(count, 1)
    uniform = (logits > -jnp.inf).astype(logits.dtype) / classes
    # At the largest by the complements of both, which are 0 where it is the only one.
    slope = jnp.where(logits == row.largest, (classes - 1) / classes - row.others / row.total, p - uniform)
    return jnp.squeeze(mean + row.log_rest, -1), jnp.sum(slope * dx, axis=-1)


@jax.custom_jvp
@inlined
def row_and_probabilities(logits: Array) -> tuple[Row, Array]:
    """A row of logits and its softmax, of which the slope is that of `softmax`, whatever was left out in its sums."""
    row, weights = row_and_weights(logits)
    return row, weights / row.total


@row_and_probabilities.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    _, change_of_row = jax.jvp(row_of, primals, tangents)
    _, (dp, _) = jax.jvp(lambda x: softmax(x, None), primals, tangents)
    return row_and_probabilities(*primals), (change_of_row, dp)


@jax.custom_jvp
@inlined
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
    return row_of(logits).surprisal(logits)


@surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits,), (dx,) = primals, tangents
    dx = _against_largest(logits, dx)
    expected = jnp.sum(softmax(logits, None)[0] * dx, axis=-1, keepdims=True)
    return surprisal(logits), expected - dx


@jax.custom_jvp
@inlined
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
    # What the weights here shared with another term of the cost, such as a z-loss, would be written to memory.
    logits, targets = apart(logits, targets)
    row, (gap, everywhere) = row_and_sums(lambda m, x, t: (gap_of_target(t, x, m), t), logits, targets)
    return jnp.squeeze(expected(row, gap, everywhere), -1)


def _change_of_expected(primals: Any, tangents: Any) -> Any:
    (targets, logits), (dt, dx) = primals, tangents
    if isinstance(dx, SymbolicZero):
        value, change = expected_surprisal(targets, logits), jnp.zeros((), logits.dtype)
    else:
        value, slope = _expected_and_slope(targets, logits)
        change = jnp.sum(slope * dx, axis=-1)
    if not isinstance(dt, SymbolicZero):
        change += jnp.sum(_slope_in_targets(targets, logits) * dt, axis=-1)
    return value, change


@inlined
def _expected_and_slope(targets: Array, logits: Array) -> tuple[Array, Array]:
    row, p = row_and_probabilities(logits)
    gap, everywhere, elsewhere = row_sums(
        lambda t, x: (gap_of_target(t, x, row.largest), t, jnp.where(x == row.largest, 0, t)), targets, logits
    )
    slope = slope_of_expected(targets, p, row.complement, elsewhere, everywhere)
    return jnp.squeeze(expected(row, gap, everywhere), -1), slope


@inlined
def _slope_in_targets(targets: Array, logits: Array) -> Array:
    cost = surprisal(logits)
    return jnp.where((targets == 0) & jnp.isinf(cost), 0, finite_slope(cost))


expected_surprisal.defjvp(_change_of_expected, symbolic_zeros=True)


def gap_of_target(target: Array, logit: Array, largest: Array) -> Array:
    """The target of a class times the gap to the largest."""
    gap = at_least(0, jnp.minimum(largest, jnp.finfo(logit.dtype).max) - logit)
    return target * jnp.where(target == 0, 0, gap)


def expected(row: Row, gap: Array, everywhere: Array) -> Array:
    """The expected surprisal, by these sums, the last axis kept. Beside an inf every finite gap is inf."""
    gap = jnp.where(jnp.isposinf(row.largest), multiply_no_nan(gap, jnp.inf), gap)
    return gap + everywhere * row.log_rest


@jax.custom_jvp
@inlined
def slope_of_expected(targets: Array, p: Array, complement: Array, elsewhere: Array, everywhere: Array) -> Array:
    """Of each class its probability times all other targets, less its target times all other probabilities.

    Of the most probable class, to which belong the complement and the targets elsewhere, no sum is formed by
    subtraction.
    """
    return _shared_out(targets, p, complement, elsewhere, everywhere)


@slope_of_expected.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (_, p, complement, _, everywhere), (dt, dp, _, delsewhere, deverywhere) = primals, tangents
    change = _shared_out(dt, p, complement, delsewhere, deverywhere) + everywhere * dp
    return slope_of_expected(*primals), change


def _shared_out(targets: Array, p: Array, complement: Array, elsewhere: Array, everywhere: Array) -> Array:
    """Linear in the targets, and so written that JAX can see it."""
    # Above 1 / 2 by more than rounding, by which a class that is not the largest may be too, or one of two.
    is_largest = p > 0.51
    others = jnp.where(is_largest, complement, 1 - p)
    return p * jnp.where(is_largest, elsewhere, everywhere - targets) - targets * others


@jax.custom_jvp
@jax.jit
def softmax(logits: Array, correction: Array | None) -> tuple[Array, Array]:
    """The probabilities, and beside each the sum of the others, neither by subtraction from 1 where it would cancel."""
    if correction is None:
        row, p = row_and_probabilities(logits)
        return p, row.beside(p)
    gap, _, weight, others = relative(logits, correction)
    total = 1 + others
    complement = jnp.where(gap == 0, others, total - weight)
    return weight / total, complement / total


@softmax.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, correction), (dx, _) = primals, tangents
    p, others = softmax(logits, correction)
    dx = _against_largest(logits, dx)
    dp = p * (dx - jnp.sum(p * dx, axis=-1, keepdims=True))
    return (p, others), (dp, -dp)


def _against_largest(logits: Array, dx: Array) -> Array:
    """The tangent minus that of the largest logit, which changes no slope of a softmax.

    At a confident row all that a slope takes in is then weighed by the small probabilities of the other classes, and
    nothing of the size of 1 is left to cancel.
    """
    is_largest = (logits == jnp.max(logits, axis=-1, keepdims=True)) & (logits > -jnp.inf)
    count = jnp.sum(is_largest, axis=-1, keepdims=True)
    of_largest = jnp.sum(jnp.where(is_largest, dx, 0), axis=-1, keepdims=True)
    return jnp.where(is_largest & (count == 1), 0, dx - of_largest / jnp.maximum(count, 1).astype(dx.dtype))


@jax.custom_jvp
def sum_of_others(x: Array) -> Array:
    """Beside each of the entries >= 0 the sum of the others, never by subtraction from a sum that it dominates."""
    largest = jnp.max(x, axis=-1, keepdims=True)
    is_largest = x == largest
    rest = jnp.sum(jnp.where(is_largest, 0, x), axis=-1, keepdims=True)
    ties = largest * (jnp.sum(is_largest, axis=-1, keepdims=True) - 1).astype(x.dtype)
    return jnp.where(is_largest, rest + ties, rest + ties + (largest - x))


@sum_of_others.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Linear, though how it is added up depends on which entry is the largest.
    (x,), (dx,) = primals, tangents
    return sum_of_others(x), jnp.sum(dx, axis=-1, keepdims=True) - dx


@jax.jit
def relative(logits: Array, correction: Array | None) -> tuple[Array, Array, Array, Array]:
    """Logits against the largest, m: the gaps m - x, what rounding took from x - m, the weights exp(x - m), and the sum
    of all weights but one of m's.

    The rounding error of the gap is carried into its exponential: a gap of 80 is off by up to 4e-6, and so would be
    the weight, 50 ulp. A correction is what an earlier rounding has already taken from the logits.
    """
    largest = jnp.max(logits, axis=-1, keepdims=True)
    finite = jnp.where(jnp.isfinite(largest), largest, 0)
    ordinary = jnp.isfinite(logits) & jnp.isfinite(largest)
    difference, error = two_sum(jnp.where(ordinary, logits, finite), -finite)

    is_largest = (logits == largest) & (largest > -jnp.inf)
    if correction is not None:
        correction = jnp.where(ordinary, jax.lax.stop_gradient(correction), 0)
        error = error + correction - jnp.max(jnp.where(is_largest, correction, -jnp.inf), axis=-1, keepdims=True)
        error = jnp.where(ordinary & jnp.isfinite(error), error, 0)
    # Where m is inf, all else is infinitely far; a NaN stays one.
    far = jnp.where(jnp.isnan(logits), logits, jnp.where(jnp.isnan(largest), largest, jnp.inf))
    gap = jnp.where(is_largest, 0, jnp.where(ordinary, -difference, far))
    decay = jnp.exp(-gap)
    weight = jnp.where(is_largest, 1 + error, decay + decay * error)
    runners_up = jnp.sum(jnp.where(is_largest, error, weight), axis=-1, keepdims=True)
    ties = jnp.sum(is_largest, axis=-1, keepdims=True) - 1
    return gap, error, weight, runners_up + jnp.maximum(ties, 0).astype(logits.dtype)
