"""Sums that do not drift: a sum in floating point, and beside it what its additions have rounded away."""

import jax
import jax.numpy as jnp

from jaxloss.types import Array

Sum = tuple[Array, Array]
"""A sum and its rest, of at most half a last digit: the two together are right to twice as many digits."""


def add(a: Sum, b: Sum) -> Sum:
    r"""The sum of two sums, each with its rest.

    $$ s = \mathrm{fl}(a + b), \qquad r = (a + b) - s $$

    r is a floating-point number, and known exactly (Knuth's TwoSum). It joins the rests that a and b bring, and what
    of the three is large enough joins s. So 16777216 + 1 is (16777216, 1), and after one more 1 it is (16777218, 0).

    The derivative is that of a + b: the rests are constants.
    """
    (a_sum, a_rest), (b_sum, b_rest) = a, b
    plain = a_sum + b_sum
    correction = jax.lax.stop_gradient(_rounded_away(a_sum, b_sum, plain) + (a_rest + b_rest))
    total = plain + correction
    return total, jax.lax.stop_gradient(_rounded_away(plain, correction, total))


def _rounded_away(a: Array, b: Array, total: Array) -> Array:
    """What the total of a and b has rounded away: (a + b) - total, or 0 where that is no finite number."""
    finite = jnp.isfinite(total)
    a, b, total = (jnp.where(finite, x, 0) for x in (a, b, total))
    part_of_b = total - a
    return (a - (total - part_of_b)) + (b - part_of_b)
