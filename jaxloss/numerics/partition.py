"""The largest of a row and what the others weigh beside it, in sums that XLA fuses with all that they add up.

On a CPU, XLA writes out whatever it cannot fuse into a sum: a comparison or a choice along the row, an exponential that
two sums share, even a number of each row, spread along it, that two sums share. So the sums here are of arithmetic
only, and each has its own numbers of the row.
"""

import functools

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array


@functools.partial(jax.jit, inline=True)
def largest_and_others(logits: Array) -> tuple[Array, Array]:
    r"""Of logits along the last axis, which is kept, the largest m, and the weights of all others against it.

    $$ m = \max_j x_j, \qquad \sum_{i \ne \operatorname{arg\,max} x} e^{x_i - m} $$

    The second is true to the last digit also where it is tiny beside 1, the weight of the largest. Where all logits
    are -inf it is 0; where the largest is inf, the number of the others that are inf.

    >>> largest, others = largest_and_others(jnp.array([20.0, 0.0, -jnp.inf]))
    >>> print(largest, others)
    [20.] [2.0611537e-09]
    """
    most = float(jnp.finfo(logits.dtype).max)
    largest = jnp.max(logits, axis=-1, keepdims=True)
    within = jnp.where(jnp.isneginf(largest), 0, jnp.minimum(largest, most))

    reference, bound, steep, one = _numbers_of_row(within, most, most / 4, 1)
    below_largest = jnp.minimum((reference - logits) * steep, one)
    others = jnp.sum(weight(logits, reference, bound) * below_largest, axis=-1, keepdims=True)

    reference, bound, steep, half, zero = _numbers_of_row(within, most, most / 4, 0.5, 0)
    half_at_largest = jnp.maximum(half - (reference - jnp.minimum(logits, bound)) * steep, zero)
    ties = jnp.maximum(2 * jnp.sum(half_at_largest, axis=-1, keepdims=True) - 1, 0)
    return largest, jnp.where(jnp.isposinf(largest), 0, others) + ties


def weight(logits: Array, largest: Array, bound: Array) -> Array:
    """The exponential of logits minus the largest, which is finite, true also where the difference is rounded.

    A gap of 80 is off by up to 4e-6, and so would be its exponential, 50 ulp. Of both numbers a grid takes the high
    digits, whose difference is exact as far as an exponential reaches, and the first order of the rest is carried. The
    bound is the largest finite number. A NaN stays one, though a maximum may swallow it.
    """
    # Not a constant, of which the compiler would see that adding and subtracting it changes nothing but digits.
    grid = jnp.where(jnp.isnan(largest), largest, 1536)
    finite = jnp.minimum(jnp.maximum(logits, -bound), bound)
    low, largest_high = finite - ((finite + grid) - grid), (largest + grid) - grid
    decay = jnp.exp((logits - low) - largest_high)
    return decay + decay * (low - (largest - largest_high))


def _numbers_of_row(largest: Array, *constants: float) -> tuple[Array, ...]:
    """One of each constant a row, so that no other sum shares them."""
    rows: tuple[Array, ...] = jax.lax.optimization_barrier(
        (largest, *(jnp.full_like(largest, constant) for constant in constants))
    )
    return rows
