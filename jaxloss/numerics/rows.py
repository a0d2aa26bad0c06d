"""Several sums, or several largest, over the last axis, in one pass over what they share.

A sum over a row that XLA on a CPU is given alone, it hands to a kernel that takes in little beside arithmetic, and of
several arrays takes long. Of several at once it makes one loop, which takes in all that they are made of.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.partition import may_be_split


@jax.custom_jvp
def row_sums(*terms: Array) -> tuple[Array, ...]:
    """Of each the sum over the last axis, which is kept."""
    # One twice, so that it is not alone.
    blocks = [_blocks(term) for term in (*terms, terms[0])[: max(len(terms), 2)]]
    zeros = [jnp.zeros((), block.dtype) for block in blocks]
    sums = jax.lax.optimization_barrier(jax.lax.reduce(blocks, zeros, _add, (blocks[0].ndim - 1,)))
    return tuple(jnp.sum(x, axis=-1, keepdims=True) for x in sums[: len(terms)])


@row_sums.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return row_sums(*primals), tuple(jnp.sum(x, axis=-1, keepdims=True) for x in tangents)


def row_largest(*sizes: Array) -> tuple[Array, ...]:
    """Of each, numbers >= 0, the largest of the last axis, which is kept; it has no slope."""
    sizes = jax.lax.stop_gradient(sizes)
    zeros = [jnp.zeros((), size.dtype) for size in sizes]
    largest = jax.lax.reduce(list(sizes), zeros, _largest, (sizes[0].ndim - 1,))
    return tuple(x[..., None] for x in largest)


def _add(xs: Any, ys: Any) -> Any:
    return [x + y for x, y in zip(xs, ys, strict=True)]


def _largest(xs: Any, ys: Any) -> Any:
    return [jnp.maximum(x, y) for x, y in zip(xs, ys, strict=True)]


def _blocks(row: Array) -> Array:
    """Of 16 or a little less, whose sums wait for each other no longer, and are rounded less often, than a row's."""
    length = row.shape[-1]
    width = next((width for width in range(16, 7, -1) if length % width == 0), length)
    width = length if may_be_split(row) else width
    return row.reshape(*row.shape[:-1], length // max(width, 1), width)
