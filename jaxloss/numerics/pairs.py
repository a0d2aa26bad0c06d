"""Sums over all pairs of some members, without an array of all pairs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.types import Array

_BLOCK = 32  # members whose pairs are formed at once
_FEW = 64  # members of one number each, of which all pairs are: in a loop a GPU reads and writes more


def members(scores: Array, mask: Array | None) -> Array:
    """Which are members: those of the mask, or all."""
    return jnp.ones_like(scores, bool) if mask is None else mask


def sums_over_pairs(term: Callable[..., Any], *arrays: Array) -> Any:
    r"""For each member, the sums of terms over all members, itself among them.

    $$ S_i = \sum_j f(x_i, x_j) $$

    Args:
        term: Takes the numbers of one member, `[]` each, and then the arrays of all, `[n]` each; returns arrays `[n]`.
        arrays: `[n]` each.

    Memory follows n, as of `some_at_a_time`, where they are many.

    >>> print(sums_over_pairs(lambda x, xs: jnp.abs(x - xs), jnp.array([0.0, 1.0, 3.0])))
    [4. 3. 5.]
    """
    few = arrays[0].shape[0] <= _FEW and all(x.ndim == 1 for x in arrays)
    return some_at_a_time(
        lambda *one: jax.tree.map(jnp.sum, term(*one, *arrays)), *arrays, block=_FEW if few else _BLOCK
    )


def some_at_a_time(function: Callable[..., Any], *arrays: Array, block: int = _BLOCK) -> Any:
    """A function of each member, which may look at all: formed for a block at a time, and again for the gradient.

    >>> print(some_at_a_time(lambda x: x + 1, jnp.array([0.0, 1.0, 3.0])))
    [1. 2. 4.]
    """

    @jax.checkpoint
    def of_one(one: tuple[Array, ...]) -> Any:
        return function(*one)

    if arrays[0].shape[0] <= block:
        return jax.vmap(of_one)(arrays)
    return jax.lax.map(of_one, arrays, batch_size=block)
