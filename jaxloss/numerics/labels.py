"""What a softmax gives to one class, the label: its surprisal, a power of its probability, and what the others have.

A `correction` is what rounding took from each logit. It is far below the last digit of a logit, but not of its
exponential, and has no gradient: that of the logit is the whole one.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import finite_slope, inlined, multiply_no_nan, power, ratio
from jaxloss.numerics.exact import halves, two_sum
from jaxloss.numerics.logits import entry_of_label, pick, relative, softmax, sum_of_others, surprisal, wide
from jaxloss.numerics.partition import Row, gap_to, is_index, row_and_weights, row_of, split_as
from jaxloss.numerics.probabilities import log_probability
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def label_surprisal(logits: Array, label: Array, correction: Array | None = None) -> Array:
    r"""The negative log-probability that the softmax of logits gives to a label.

    $$ -\log p_y, \qquad \frac{\partial}{\partial x_j} = p_j - [j = y] $$

    As the entry of `surprisal` that `pick` takes; the gradient at the label is minus the probability of the others. A
    label of logit -inf costs inf, one that is no class NaN.

    >>> print(f"{label_surprisal(jnp.array([20.0, 0.0]), jnp.array(0)):.3e}")
    2.061e-09
    """
    label = wide(label)
    if correction is not None:
        gap, error, _, others = relative(logits, correction)
        return pick(gap - error, label) + jnp.log1p(jnp.squeeze(others, -1))
    return _cost(row_of(logits), entry_of_label(logits, label))


@label_surprisal.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits, label, correction), (dx, _, _) = primals, tangents
    label = wide(label)
    if correction is not None:
        p, others = softmax(logits, correction)
        indicator = is_index(p, label)
        # Split over devices as the probabilities are, which a condition has to be.
        known = ((label >= 0) & (label < logits.shape[-1]))[..., None] | indicator
        slope = jnp.where(known, jnp.where(indicator, -others, p), jnp.nan)
        return label_surprisal(*primals), jnp.sum(slope * dx, axis=-1)
    (row, weights), entry = row_and_weights(logits), entry_of_label(logits, label)
    return _cost(row, entry), jnp.sum(_slope(logits, label, row, weights, entry) * dx, axis=-1)


def _cost(row: Row, entry: Array) -> Array:
    return gap_to(jnp.squeeze(row.largest, -1), entry) + jnp.squeeze(row.log_rest, -1)


@jax.custom_jvp
@inlined
def _slope(logits: Array, label: Array, row: Row, weights: Array, entry: Array) -> Array:
    """The probabilities, but at the label minus what the others have; NaN if it is no class."""
    others = row.beside(row.probability(entry[..., None]))
    return jnp.where(is_index(logits, label), -others, weights / row.total + 0 * others)


@_slope.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits, *_), (dx, *_) = primals, tangents
    slope = _slope(*primals)
    dp = jax.jvp(lambda x: softmax(x, None)[0], (logits,), (dx,))[1]
    return slope, jnp.where(jnp.isnan(slope), slope, dp)


@jax.custom_jvp
@inlined
def label_complement(logits: Array, label: Array) -> Array:
    r"""The probability that the softmax of logits gives to all classes but the label.

    $$ 1 - p_y = \sum_{j \ne y} p_j, \qquad \frac{\partial}{\partial x_j} = p_y \, (p_j - [j = y]) $$

    Never by subtraction from 1. A label that is no class gives NaN.

    >>> print(f"{label_complement(jnp.array([20.0, 0.0]), jnp.array(0)):.3e}")
    2.061e-09
    """
    row, entry = row_of(logits), entry_of_label(logits, wide(label))
    return jnp.squeeze(row.beside(row.probability(entry[..., None])), -1)


@label_complement.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    p = label_power(logits, label, jnp.ones(label.shape, logits.dtype))
    return label_complement(*primals), p * _change(logits, label, dx)


@jax.custom_jvp
@inlined
def label_power(logits: Array, label: Array, exponent: Array) -> Array:
    r"""A power of the probability that the softmax of logits gives to a label.

    $$ p_y^q = e^{-q\,(\max x - x_y)} \, e^{-q \log(1 + r)}, \qquad r = \sum_{i \ne \arg\max x} e^{x_i - \max x} $$

    For q >= 0. The first exponent is not rounded, which at 80 would cost 50 ulp. Where p is 0 the value is 0, or 1 if q
    is 0, and the gradient 0. A label that is no class gives NaN.

    >>> print(f"{label_power(jnp.array([100.0, 0.0]), jnp.array(1), jnp.array(0.5)):.3e}")
    1.929e-22
    """
    row, entry = row_of(logits), entry_of_label(logits, wide(label))
    largest = jnp.squeeze(row.largest, -1)
    gap = gap_to(largest, entry)
    far = gap >= jnp.finfo(gap.dtype).max / 2
    # Of two infinite ones the gap is 0.
    known = far | (gap == 0)
    near, lost = two_sum(jnp.where(known, 0, largest), jnp.where(known, 0, -entry))
    exponent = exponent.astype(gap.dtype)
    (exponent_high, exponent_low), (near_high, near_low) = halves(exponent), halves(near)
    # Exact beside what is small, so that nothing is rounded that an exponential would magnify.
    large = exponent_high * near_high
    rest = exponent_high * near_low + exponent_low * near + exponent * lost
    # Not as a product of exponentials, of which XLA would make the exponential of a rounded sum.
    decay = jnp.exp(-large)
    first = jnp.where(far, jnp.where(exponent == 0, 1, 0), multiply_no_nan(decay, 1 + jnp.expm1(-rest)))
    return first * (1 + jnp.squeeze(row.rest, -1)) ** -exponent


@label_power.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (logits, label, exponent), (dx, _, dq) = primals, tangents
    result = label_power(*primals)
    slope_q = finite_slope(multiply_no_nan(result, label_surprisal(logits, label)))
    return result, -(exponent * result * _change(logits, label, dx)) - slope_q * dq


@jax.custom_jvp
@jax.jit
def generalized_surprisal(logits: Array, label: Array, q: Array) -> Array:
    r"""The surprisal of a label, bounded by 1 / q: the Box-Cox form of the logarithm of its probability.

    $$ \frac{1 - p_y^q}{q}, \qquad \lim_{q \to 0} = -\log p_y, \qquad
       \frac{\partial}{\partial x_j} = p_y^q \, (p_j - [j = y]) $$

    Exact for every q >= 0, small ones and 0 included. Where p is 0 the value is 1 / q and the gradient 0; if q is 0
    too, as for `label_surprisal`.

    >>> logits, label = jnp.array([0.0, 0.0]), jnp.array(0)
    >>> print(f"{generalized_surprisal(logits, label, jnp.array(1.0)):.4f}")
    0.5000
    >>> print(f"{generalized_surprisal(logits, label, jnp.array(0.0)):.4f}")
    0.6931
    """
    cost = label_surprisal(logits, label)
    product = multiply_no_nan(q, cost)
    small = product < 1
    inner = jnp.where(small & (product != 0), product, 1)
    near = jnp.where(product == 0, cost, cost * (-jnp.expm1(-inner) / inner))
    return jnp.where(small, near, -jnp.expm1(-product) / jnp.where(small, 1, split_as(cost, q)))


@generalized_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, label, q), (dx, _, dq) = primals, tangents
    cost = label_surprisal(logits, label)
    slope_q = -finite_slope(_bend(multiply_no_nan(q, cost), cost, q))
    return generalized_surprisal(*primals), label_power(*primals) * _change(logits, label, dx) + slope_q * dq


def _bend(product: Array, cost: Array, q: Array) -> Array:
    """Of u = q s, (1 - (1 + u) exp(-u)) / q^2, which for small u is a series of positive terms times s^2."""
    small = product < 2
    inner = jnp.where(small, product, 0)
    series = jnp.zeros_like(inner)
    for order in range(jnp.finfo(cost.dtype).nmant // 3 + 8, 2, -1):
        series = (series + 1) * (inner / order)
    near = jnp.square(jnp.where(small, cost, 0)) * jnp.exp(-inner) * (0.5 + 0.5 * series)
    safe_q = jnp.where(small, 1, split_as(cost, q))
    outer = jnp.where(small, 1, product)
    return jnp.where(small, near, (1 - jnp.exp(-outer) - multiply_no_nan(jnp.exp(-outer), outer)) / safe_q / safe_q)


@jax.custom_jvp
@jax.jit
def modulated_label_surprisal(logits: Array, label: Array, gamma: Array) -> Array:
    r"""The surprisal of a label, weighed down where the softmax of logits is already right (the focal factor).

    $$ -(1 - p_y)^\gamma \log p_y $$

    Exact in both tails. Where p is 1 value and gradient are 0; where it is 0 as for `label_surprisal`.

    >>> print(f"{modulated_label_surprisal(jnp.array([3.0, 0.0]), jnp.array(0), jnp.array(2.0)):.3e}")
    1.093e-04
    """
    return power(label_complement(logits, label), gamma) * label_surprisal(logits, label)


@modulated_label_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, label, gamma), (dx, _, dgamma) = primals, tangents
    p = label_power(logits, label, jnp.ones(label.shape, logits.dtype))
    complement, cost = label_complement(logits, label), label_surprisal(logits, label)
    # -log p / (1 - p) tends to 1 at p = 1, so that no power below zero of 1 - p is ever formed.
    steepness = jnp.where(complement == 0, 1, ratio(multiply_no_nan(p, cost), complement))
    slope = power(complement, gamma) * (1 + gamma * steepness)
    value = modulated_label_surprisal(*primals)
    inside = (complement > 0) & (p > 0)
    log_complement = log_probability(jnp.where(inside, complement, 1), jnp.where(inside, p, 0))
    slope_gamma = jnp.where(inside, value, 0) * log_complement
    return value, slope * _change(logits, label, dx) + slope_gamma * dgamma


@jax.custom_jvp
@jax.jit
def expected_complement(targets: Array, logits: Array) -> Array:
    r"""What the softmax of logits gives to other classes than the target, in the mean over targets.

    $$ \sum_j t_j (1 - p_j), \qquad
       \frac{\partial}{\partial x_j} = p_j \sum_{i \ne j} t_i p_i - t_j p_j \sum_{i \ne j} p_i $$

    No probability is subtracted from 1, neither in the value nor in the gradient. A class of logit -inf has no gradient
    in its target, as in `expected_surprisal`.

    >>> print(f"{expected_complement(jnp.array([1.0, 0.0]), jnp.array([20.0, 0.0])):.3e}")
    2.061e-09
    """
    return jnp.sum(targets * softmax(logits, None)[1], axis=-1)


@expected_complement.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (targets, logits), (dt, dx) = primals, tangents
    p, others = softmax(logits, None)
    slope = p * (sum_of_others(targets * p) - targets * others)
    slope_t = jnp.where(jnp.isinf(surprisal(logits)), 0, others)
    return expected_complement(targets, logits), jnp.sum(slope * dx + slope_t * dt, axis=-1)


def is_label(logits: Array, label: Array) -> Array:
    """Where along the last axis the label is."""
    return jax.lax.broadcasted_iota(label.dtype, logits.shape, logits.ndim - 1) == label[..., None]


def _change(logits: Array, label: Array, dx: Array) -> Array:
    return jax.jvp(lambda x: label_surprisal(x, label), (logits,), (dx,))[1]
