"""Sums over all pairs of some members, without an array of all pairs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.types import Array

_BLOCK = 32  # members whose pairs are formed at once


def members(scores: Array, mask: Array | None) -> Array:
    """Which are members: those of the mask, or all."""
    return jnp.ones_like(scores, bool) if mask is None else mask


def sums_over_pairs(term: Callable[..., Any], *arrays: Array) -> Any:
    r"""For each member, the sums of terms over all members, itself among them.

    $$ S_i = \sum_j f(x_i, x_j) $$

    Args:
        term: Takes the numbers of one member, `[]` each, and then the arrays of all, `[n]` each; returns arrays `[n]`.
        arrays: `[n]` each.

    Some members at a time are formed, and again for the gradient, so that memory follows n.

    >>> print(sums_over_pairs(lambda x, xs: jnp.abs(x - xs), jnp.array([0.0, 1.0, 3.0])))
    [4. 3. 5.]
    """

    @jax.checkpoint
    def to_all(one: tuple[Array, ...]) -> Any:
        return jax.tree.map(jnp.sum, term(*one, *arrays))

    if arrays[0].shape[0] <= _BLOCK:
        return jax.vmap(to_all)(arrays)
    return jax.lax.map(to_all, arrays, batch_size=_BLOCK)
