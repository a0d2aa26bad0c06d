"""The one place where items are cut: a part at a time, inside the loop, so that no copy of the items is made.

The items along an axis lie in blocks, and a part takes the next few of each block. One device has one block. Where a
mesh may split the axis there are as many blocks as devices, if the sizes allow: then each device holds as much of every
part as the others, nothing is gathered on Auto meshes, and nothing is refused on Explicit ones.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.tally import is_tally
from jaxloss.numerics.devices import explicit, mesh_size
from jaxloss.numerics.platform import cut
from jaxloss.types import Array

Step = Callable[[Any], Any]


def add_up(step: Step, tree: Any, size: int, asked: str, axis: int = 0) -> tuple[Any, Any]:
    """The sum over the parts of what `step` returns first, and, stacked over the parts, what it returns second.

    Each part holds `size` items along an axis of every leaf, the last one what is left. `asked` names, for an error,
    who asked for this size.
    """
    total, stacked, last = _loop(step, tree, size, asked, axis)
    if last is None:
        return total, stacked
    return total, jax.tree.map(lambda all_before, x: jnp.concatenate([all_before, x[None]]), stacked, last)


def put_together(step: Step, tree: Any, size: int, asked: str, axis: int, along: int) -> Array:
    """What `step` returns for all parts, with the items of each in their places along an axis of the result."""
    blocks = block_count(tree, axis, size)
    _, stacked, last = _loop(lambda part: ((), step(part)), tree, size, asked, axis)
    found = _merged(jnp.moveaxis(_in_blocks(stacked, blocks, along + 1), 0, along + 1), along + 1)
    if last is not None:
        found = jnp.concatenate([found, _in_blocks(last, blocks, along)], along + 1)
    return _merged(found, along)


def block_count(tree: Any, axis: int, size: int) -> int:
    """The number of blocks, a multiple of the shards of the axis wherever `size` is one."""
    leaves = jax.tree.leaves(tree)
    return math.gcd(size, leaves[0].shape[axis], math.lcm(*map(mesh_size, leaves)))


def _loop(step: Step, tree: Any, size: int, asked: str, axis: int) -> tuple[Any, Any, Any]:
    """The sum of what `step` returns first; what it returns second, of the parts of full size stacked, and of the rest.

    A gradient computes each part again, so that it holds no copy of the items either.
    """
    blocks, count = block_count(tree, axis, size), jax.tree.leaves(tree)[0].shape[axis]
    _refuse_uneven_shards(tree, axis, blocks, asked)
    split = tree if blocks == 1 else jax.tree.map(lambda x: _in_blocks(x, blocks, axis), tree)
    width, rounds, left = size // blocks, count // size, count % size // blocks

    def part(start: Any, width: int) -> Any:
        """The items from `start` on of every block."""
        if blocks == 1:
            return jax.tree.map(lambda x: cut(x, start, width, axis), split)
        return jax.tree.map(lambda x: _merged(cut(x, start, width, axis + 1), axis), split)

    @jax.checkpoint
    def full(start: Any) -> Any:
        return step(part(start, width))

    def one_more(state: Any, _: None) -> tuple[Any, Any]:
        total, start = state
        result, beside = full(start)
        return (jax.tree.map(operator.add, total, result, is_leaf=is_tally), start + width), beside

    start, last = jnp.zeros((), jnp.int32), None
    if left:
        total, last = step(part(start + rounds * width, left))
    else:
        total = jax.tree.map(jnp.zeros_like, jax.eval_shape(full, start)[0])
    (total, _), stacked = jax.lax.scan(one_more, (total, start), length=rounds)
    return total, stacked, last


def _in_blocks(x: Array, blocks: int, axis: int) -> Array:
    return x.reshape(*x.shape[:axis], blocks, x.shape[axis] // blocks, *x.shape[axis + 1 :])


def _merged(x: Array, axis: int) -> Array:
    return x.reshape(*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])


def _refuse_uneven_shards(tree: Any, axis: int, blocks: int, asked: str) -> None:
    """A part must be as much from each device as from the others; known here on Explicit meshes alone."""
    for x in jax.tree.leaves(tree):
        names = (explicit(x) or (None,) * x.ndim)[axis] or ()
        sizes = jax.typeof(x).sharding.mesh.shape
        shards = math.prod(sizes[name] for name in (names if isinstance(names, tuple) else (names,)))
        if blocks % shards:
            raise ValueError(
                f"{asked} must be a multiple of the {shards} devices over which the {x.shape[axis]} items are sharded."
            )
