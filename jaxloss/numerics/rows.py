"""Several sums, or several largest, over the last axis, in one pass over what they share.

A sum over a row that XLA on a CPU is given alone, it hands to a kernel that takes in little beside arithmetic, and of
several arrays takes long. Of several at once it makes one loop, which takes in all that they are made of. On a GPU it
does so of itself, and blocks would only slow it down.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import apart, reused
from jaxloss.types import Array


def row_sums(terms: Callable[..., tuple[Array, ...]], *rows: Array, width: int = 8) -> tuple[Array, ...]:
    """Of each of the terms, formed of the entries of rows, the sum over the last axis, which is kept.

    First of every eighth of 64 entries: XLA on a CPU unrolls a sum of 8, but no longer one, and forms 8 of them side by
    side, exponentials too. Where the terms are long, it takes a smaller width.
    """
    length = rows[0].shape[-1]
    by_blocks = _on_cpu() and not any(map(may_be_split, rows))
    whole = length - length % (8 * width) if by_blocks else 0
    if not whole:
        return tuple(_sum(x) for x in terms(*rows))
    parts = terms(*(row[..., :whole] for row in rows))
    sums = _sums_of_blocks(*(x.reshape(*x.shape[:-1], -1, width, 8) for x in parts))
    if whole == length:
        return sums
    return tuple(x + _sum(y) for x, y in zip(sums, terms(*(row[..., whole:] for row in rows)), strict=True))


@jax.custom_jvp
def _sums_of_blocks(*blocks: Array) -> tuple[Array, ...]:
    # One twice, so that it is not alone.
    summed = [*blocks, blocks[0]][: max(len(blocks), 2)]
    zeros = [jnp.zeros((), block.dtype) for block in summed]
    sums = apart(*jax.lax.reduce(summed, zeros, _add, (blocks[0].ndim - 2,)))
    return tuple(reused(_sum(x.reshape(*x.shape[:-2], -1))) for x in sums[: len(blocks)])


@_sums_of_blocks.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return _sums_of_blocks(*primals), tuple(jnp.sum(x, axis=(-3, -2, -1))[..., None] for x in tangents)


def row_largest(*sizes: Array) -> tuple[Array, ...]:
    """Of each, numbers >= 0, the largest of the last axis, which is kept; it has no slope."""
    sizes = jax.lax.stop_gradient(sizes)
    if not _on_cpu():
        return tuple(jnp.max(size, axis=-1, keepdims=True, initial=0) for size in sizes)
    zeros = [jnp.zeros((), size.dtype) for size in sizes]
    largest = jax.lax.reduce(list(sizes), zeros, _largest, (sizes[0].ndim - 1,))
    return tuple(x[..., None] for x in largest)


def written(x: Array) -> Array:
    """The same numbers; on a CPU formed once, however many read them."""
    return apart(x)[0] if _on_cpu() else x


def may_be_split(values: Array) -> bool:
    """Whether the last axis may be split over devices, where an entry cannot be read from its place."""
    return not jax.typeof(values).sharding.mesh.empty


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1, keepdims=True)


def _add(xs: Any, ys: Any) -> Any:
    return [x + y for x, y in zip(xs, ys, strict=True)]


def _largest(xs: Any, ys: Any) -> Any:
    return [jnp.maximum(x, y) for x, y in zip(xs, ys, strict=True)]
