"""A surprisal with another weight on the first term of its expansion in the probability of all other classes."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope
from jaxloss.numerics.labels import expected_complement
from jaxloss.numerics.logits import expected_surprisal, softmax, sum_of_others, surprisal


@jax.custom_jvp
@jax.jit
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
    return expected_surprisal(targets, logits) + weight * expected_complement(targets, logits)


@polynomial_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (targets, logits, weight), (dt, dx, dweight) = primals, tangents
    p, others = softmax(logits, None)
    cost, row = surprisal(logits), weight[..., None]
    gain = targets * jnp.where(row < -0.5, (1 + row) - row * others, 1 + row * p)
    slope_x = p * _elsewhere(gain) - gain * others
    slope_t = jnp.where((targets == 0) & jnp.isinf(cost), 0, finite_slope(cost))
    slope_t = slope_t + row * jnp.where(jnp.isinf(cost), 0, others)
    change = jnp.sum(slope_x * dx + slope_t * dt, axis=-1) + expected_complement(targets, logits) * dweight
    return polynomial_surprisal(targets, logits, weight), change


@jax.custom_jvp
def _elsewhere(gain: Array) -> Array:
    """Beside each entry the sum of the others, of either sign."""
    return sum_of_others(jnp.maximum(gain, 0)) - sum_of_others(jnp.maximum(-gain, 0))


@_elsewhere.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # It is linear, though how it is added up depends on which entry is the greatest.
    (gain,), (dgain,) = primals, tangents
    return _elsewhere(gain), jnp.sum(dgain, axis=-1, keepdims=True) - dgain
