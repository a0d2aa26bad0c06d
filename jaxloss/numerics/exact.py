"""Sums and differences whose rounding errors are carried along (Knuth, Dekker), for where near-equal numbers meet."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def sum_of_three(a: Array, b: Array, c: Array) -> Array:
    r"""The sum of three numbers, true to the last digit also where the first two swallow the third, or all cancel.

    $$ a + b + c $$

    >>> print(sum_of_three(jnp.array(1e8), jnp.array(0.25), jnp.array(-1e8)))
    0.25
    """
    partial, lost = two_sum(a, b)
    total, lost_too = two_sum(partial, c)
    return total + (lost + lost_too)


@sum_of_three.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (a, b, c), (da, db, dc) = primals, tangents
    return sum_of_three(a, b, c), da + db + dc


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum, and exactly what the rounding took from it (Knuth); nothing where the sum is not finite."""
    total = a + b
    finite = jnp.isfinite(total)
    a, b, reached = (jnp.where(finite, x, 0) for x in (a, b, total))
    part = reached - a
    return total, (a - (reached - part)) + (b - part)


def exact_sum(x: Array) -> Array:
    """The sum over the last axis, true also where it is nearly 0 beside its terms (Rump, Ogita and Oishi's extraction).

    Against a power of two above every partial sum, the high digits of all terms lie on one grid and add up exactly.
    """
    high = on_grid(x, grid_above(jnp.abs(x)))
    return jnp.sum(high, axis=-1) + jnp.sum(x - high, axis=-1)


def grid_above(size: Array) -> Array:
    """A power of two above every partial sum over the last axis of numbers of at most this size."""
    bound = 2 * max(size.shape[-1], 1) * jnp.max(size, axis=-1, keepdims=True, initial=0)
    return jax.lax.reduce_precision(bound, jnp.finfo(size.dtype).nexp, 0)


def on_grid(x: Array, grid: Array) -> Array:
    """The high digits of a number, those that its sum with the grid keeps."""
    return (x + grid) - grid


def halves(x: Array) -> tuple[Array, Array]:
    """A number as the sum of two of so few digits that products of halves are exact (Dekker)."""
    info = jnp.finfo(x.dtype)
    high = jax.lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2)
    return high, x - high


def split(x: Array, one: Any = 1.0) -> tuple[Array, Array]:
    """`halves` of a number below 1e30 by arithmetic alone, which fuses with a sum."""
    spread = x * ((2.0 ** ((jnp.finfo(x.dtype).nmant + 2) // 2) + 1) * one)
    high = spread - (spread - x)
    return high, x - high


@jax.custom_jvp
@jax.jit
def residual(b: Array, factor: Array, a: Array) -> Array:
    """The difference b - factor * a, true to the last digit however near the two are."""
    return _less(b, halves(factor), halves(a))


@residual.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (b, factor, a), (db, dfactor, da) = primals, tangents
    return residual(b, factor, a), db - dfactor * a - factor * da


def small_residual(b: Array, factor: Array, a: Array) -> Array:
    """The `residual` of numbers below 1e30 by arithmetic alone, which fuses with a sum."""
    return _less(b, split(factor), split(a))


def _less(b: Array, factor: tuple[Array, Array], a: tuple[Array, Array]) -> Array:
    (factor_high, factor_low), (a_high, a_low) = factor, a
    return (((b - factor_high * a_high) - factor_high * a_low) - factor_low * a_high) - factor_low * a_low
