"""A surprisal with another weight on the first term of its expansion in the probability of all other classes."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.core.types import Array
from jaxloss.numerics import partition
from jaxloss.numerics.elementary import finite_slope, inlined, multiply_no_nan
from jaxloss.numerics.exponentials import exp_remainder
from jaxloss.numerics.labels import expected_complement
from jaxloss.numerics.logits import slope_of_expected, softmax
from jaxloss.numerics.partition import entry_at, is_index, sum_without
from jaxloss.numerics.softmax_row import Row, bounded_surprisal, divisor_of, numbers_of, row_of


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
    row, w, change = row_of(logits), weight[..., None], jnp.zeros((), logits.dtype)
    if not isinstance(dx, SymbolicZero):
        p, others = softmax(logits, None)
        gain = targets * jnp.where(w < -0.5, (1 + w) - w * others, 1 + w * p)
        change += jnp.sum(slope_of_expected(gain, logits, row) * dx, axis=-1)
    if not isinstance(dt, SymbolicZero):
        elsewhere = row.surprisal(logits) + w * softmax(logits, None)[1]
        cost = jnp.where(is_index(logits, row.place), _at_largest(w, row), elsewhere)
        slope = jnp.where((targets == 0) & jnp.isinf(cost), 0, finite_slope(cost))
        change += jnp.sum(slope * dt, axis=-1)
    if not isinstance(dweight, SymbolicZero):
        change += expected_complement(targets, logits) * dweight
    return _value(targets, logits, w, row), change


polynomial_surprisal.defjvp(_change, symbolic_zeros=True)


def _value(targets: Array, logits: Array, weight: Array, row: Row) -> Array:
    numbers = (*numbers_of(row), *divisor_of(row, logits.shape[-1]), weight)
    elsewhere = sum_without(_term, row.place, (targets, logits), numbers)
    own = multiply_no_nan(entry_at(targets, row.place), _at_largest(weight, row))
    return jnp.squeeze(elsewhere + own, -1)


def _term(target: Array, logit: Array, *numbers: Array) -> Array:
    of_surprisal, (origin, total, weight) = numbers[:4], numbers[4:]
    p = partition.weight(logit, origin) / total
    return target * (bounded_surprisal(target, logit, *of_surprisal) + weight * (of_surprisal[-1] - p))


def _at_largest(weight: Array, row: Row) -> Array:
    """Of the most probable class, -log p + w (1 - p), and with s = -log p also (1 + w) s - w (exp(-s) - 1 + s)."""
    s = row.log_rest
    cost = jnp.where(weight < 0, (1 + weight) * s - weight * exp_remainder(-s), s + weight * row.complement)
    return jnp.where(jnp.isneginf(row.largest), jnp.inf, cost)
