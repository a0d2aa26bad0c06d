"""The one place where items are cut: strided parts of one size, and a shorter rest.

A part takes every k-th item. So along a sharded axis each device has as much of every part as the others: nothing is
gathered on Auto meshes, and nothing is refused on Explicit ones, as a contiguous part would be.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.tally import is_tally
from jaxloss.types import Array


class Parts(NamedTuple):
    """What was cut: the parts of full size stacked along a new first axis, and the rest, or None."""

    stacked: Any
    rest: Any


def cut(tree: Any, size: int, asked: str) -> Parts:
    """Cuts the first axis of every leaf. `asked` names, for an error, who asked for parts of this size."""
    count = jax.tree.leaves(tree)[0].shape[0]
    rounds = count // size
    for leaf in jax.tree.leaves(tree):
        _refuse_uneven_shards(leaf, count, size, asked)

    def strides(x: Array) -> Array:
        head = x if count == size * rounds else x[: size * rounds]
        return jnp.moveaxis(head.reshape(size, rounds, *x.shape[1:]), 1, 0)

    rest = jax.tree.map(lambda x: x[size * rounds :], tree) if count % size else None
    return Parts(jax.tree.map(strides, tree), rest)


def _refuse_uneven_shards(x: Array, count: int, size: int, asked: str) -> None:
    """A part must be as much from each device as from the others; known here on Explicit meshes alone."""
    sharding = jax.typeof(x).sharding
    names = sharding.spec[0] or ()
    shards = math.prod(sharding.mesh.shape[name] for name in (names if isinstance(names, tuple) else (names,)))
    if shards > 1 and (count % size or size % shards):
        raise ValueError(
            f"{asked}={size} must divide the {count} items and be a multiple of the {shards} devices over which they "
            f"are sharded."
        )


def add_up(parts: Parts, step: Callable[[Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    """The sum over the parts of what `step` returns first, and, stacked over the parts, what it returns second."""
    first = jax.eval_shape(lambda stacked: step(jax.tree.map(lambda x: x[0], stacked))[0], parts.stacked)

    def one_more(total: Any, part: Any) -> tuple[Any, Any]:
        result, beside = step(part)
        return jax.tree.map(operator.add, total, result, is_leaf=is_tally), beside

    total, stacked = jax.lax.scan(one_more, jax.tree.map(jnp.zeros_like, first), parts.stacked)
    if parts.rest is None:
        return total, stacked
    total, last = one_more(total, parts.rest)
    return total, jax.tree.map(lambda all_before, x: jnp.concatenate([all_before, x[None]]), stacked, last)
