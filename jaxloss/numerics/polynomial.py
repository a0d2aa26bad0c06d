"""A surprisal with another weight on the first term of its expansion in the probability of all other classes."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics import partition
from jaxloss.numerics.elementary import finite_slope, inlined
from jaxloss.numerics.exponentials import exp_remainder
from jaxloss.numerics.labels import expected_complement
from jaxloss.numerics.logits import expected, gap_of_target, row_and_probabilities, slope_of_expected, softmax
from jaxloss.numerics.partition import Row, row_of
from jaxloss.numerics.rows import row_sums
from jaxloss.types import Array


@jax.custom_jvp
@inlined
def polynomial_surprisal(targets: Array, logits: Array, weight: Array) -> Array:
    r"""The cross entropy of targets with the softmax of logits, and a weight times what the softmax gives elsewhere.

    $$ \sum_j t_j \left[ -\log p_j + w\,(1 - p_j) \right], \qquad
       \frac{\partial}{\partial x_j} = p_j \sum_{i \ne j} g_i - g_j \sum_{i \ne j} p_i, \quad g_j = t_j (1 + w p_j) $$

    The gradient is that of an `expected_surprisal` with the targets g. For weights near -1 they are formed from 1 + w
    and 1 - p, where 1 + w p would cancel: of a confident row the gradient is the square of 1 - p, and not 0. Corners as
    for `expected_surprisal`.

    >>> slope = jax.grad(polynomial_surprisal, 1)(jnp.array([1.0, 0.0]), jnp.array([20.0, 0.0]), jnp.array(-1.0))
    >>> print(f"{slope[0]:.3e}")
    -4.248e-18
    """
    return _value(targets, logits, weight[..., None], row_of(logits))


def _change(primals: Any, tangents: Any) -> Any:
    (targets, logits, weight), (dt, dx, dweight) = primals, tangents
    (row, _), w, change = row_and_probabilities(logits), weight[..., None], jnp.zeros((), logits.dtype)
    if not isinstance(dx, SymbolicZero):
        p, others = softmax(logits, None)
        gain = targets * jnp.where(w < -0.5, (1 + w) - w * others, 1 + w * p)
        everywhere, elsewhere = row_sums(lambda t, x: (t, jnp.where(x == row.largest, 0, t)), gain, logits)
        change += jnp.sum(slope_of_expected(gain, p, row.complement, elsewhere, everywhere) * dx, axis=-1)
    if not isinstance(dt, SymbolicZero):
        cost = row.surprisal(logits) + w * softmax(logits, None)[1]
        cost = jnp.where(logits == row.largest, _at_largest(w, row), cost)
        slope = jnp.where((targets == 0) & jnp.isinf(cost), 0, finite_slope(cost))
        change += jnp.sum(slope * dt, axis=-1)
    if not isinstance(dweight, SymbolicZero):
        change += expected_complement(targets, logits) * dweight
    return _value(targets, logits, w, row), change


polynomial_surprisal.defjvp(_change, symbolic_zeros=True)


def _value(targets: Array, logits: Array, weight: Array, row: Row) -> Array:
    """Of the largest apart from all others, of which none has a probability above 1 / 2."""

    def at_largest(target: Array, logit: Array) -> tuple[Array, Array]:
        return gap_of_target(target, logit, row.largest), jnp.where(logit == row.largest, target, 0)

    def of_others(target: Array, logit: Array) -> tuple[Array, Array]:
        others = jnp.where(logit == row.largest, 0, target)
        return others, others * partition.weight(logit, row.origin)

    gap, certain = row_sums(at_largest, targets, logits)
    elsewhere, shared = row_sums(of_others, targets, logits)
    cost_of_others = expected(row, gap, elsewhere) + weight * (elsewhere - shared / row.total)
    return jnp.squeeze(cost_of_others + certain * _at_largest(weight, row), -1)


def _at_largest(weight: Array, row: Row) -> Array:
    """Of the most probable class, -log p + w (1 - p), and with s = -log p also (1 + w) s - w (exp(-s) - 1 + s)."""
    s = row.log_rest
    return jnp.where(weight < 0, (1 + weight) * s - weight * exp_remainder(-s), s + weight * row.complement)
