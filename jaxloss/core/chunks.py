"""The one place where items are cut: a part at a time, inside a loop, so that no copy of the items is made.

A part is forgotten after use and computed again for the gradient. It is the same call on fewer items, so the cost of
all is what their tallies add up to.

The items along an axis lie in blocks, and a part takes the next few of each block. One device has one block. Where a
mesh may split the axis there are as many blocks as devices, if the sizes allow: then each device holds as much of every
part as the others, nothing is gathered on Auto meshes, and nothing is refused on Explicit ones.
"""

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxloss.core.call import Call
from jaxloss.core.tally import Tally, is_tally
from jaxloss.numerics.devices import explicit_shards, mesh_size, vary, varying
from jaxloss.numerics.platform import cut
from jaxloss.types import Array

Step = Callable[[Any], Any]


# ---------------------------------------------------------------------------------------------------- parts of a call


def tally(step: Callable[[Call], Tally], call: Call, reduced: tuple[int, ...], size: int) -> Tally:
    """The sum of the tallies that `step` returns for parts of at most so many items; axes in `reduced` stay whole."""

    def loop(step: Step, along: Any, axis: int, rows: int, asked: str) -> Tally:
        return add_up(lambda part: (step(part), None), along, rows, asked, axis)[0]

    return _by_axis(step, loop, call, reduced, size)


def values(step: Callable[[Call], Array], call: Call, reduced: tuple[int, ...], size: int) -> Array:
    """The values that `step` returns for parts of at most so many items, which have lost the axes in `reduced`."""

    def loop(step: Step, along: Any, axis: int, rows: int, asked: str) -> Array:
        return put_together(step, along, rows, asked, axis, axis - sum(other < axis for other in reduced))

    return _by_axis(step, loop, call, reduced, size)


def _by_axis(step: Step, loop: Callable[..., Any], call: Call, reduced: tuple[int, ...], size: int) -> Any:
    """Cuts the first axis of the items; where one index of it is more than a part, each of its parts along the next."""
    asked, dtypes = f"{call.term.name}: chunk_size={size}", {name: x.dtype for name, x in call.arrays.items()}
    check_known(call.leading, asked)

    def cut_first(call: Call, axes: list[int], size: int) -> Any:
        if math.prod(call.leading[axis] for axis in axes) <= size:
            if call.term.weighted_sum is None:
                return step(call)
            # A weighted sum sees each array as it came; the loop adds up the gradients of shared ones wide.
            return step(replace(call, arrays={name: x.astype(dtypes[name]) for name, x in call.arrays.items()}))
        axis, *others = axes
        along = _along(call, axis)
        fit = block_count(along, axis, size)  # as many rows as devices share, and multiples of these
        rows = max(size // math.prod(call.leading[other] for other in others) // fit, 1) * fit

        def one(part: Any) -> Any:
            arrays, options, selection = part
            chunk = replace(call, arrays=call.arrays | arrays, options=call.options | options, **selection)
            return cut_first(chunk, others, max(size // rows, 1))

        return loop(one, along, axis, rows, asked)

    axes = [axis for axis, count in enumerate(call.leading) if axis not in reduced and count != 1]
    return cut_first(_shared_wide(call), axes, size)


def _along(call: Call, axis: int) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """The arrays, the options, `where` and `weights`, as far as they vary along an axis of the values."""
    elementwise, rank = call.term.signature is None, len(call.values)
    options = {n: x for n, x in call.options.items() if elementwise and isinstance(x, jax.Array) and x.ndim == rank}
    selection = {"where": call.where, "weights": call.weights}
    return (
        {name: x for name, x in call.arrays.items() if call.is_mapped(name)},
        {name: x for name, x in options.items() if x.shape[axis] > 1},
        {name: x for name, x in selection.items() if x is not None and x.ndim > axis},
    )


def _shared_wide(call: Call) -> Call:
    """The call, ready for a loop that adds up the gradients of what items share: wide, and varying as items do."""
    mapped = {name: x for name, x in call.arrays.items() if call.is_mapped(name)}
    along = varying((mapped, call.where, call.weights))
    shared = vary({name: call.wide(name) for name in call.arrays if name not in mapped}, along)
    options = {name: vary(option, along) for name, option in call.options.items()}
    return replace(call, arrays=call.arrays | shared, options=options)


# ------------------------------------------------------------------------------------------------------------- parts


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


def checked_size(asked: str, size: Any) -> int:
    """The size of a part, as Python's int."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"{asked} must be an int of 1 or more, got {size!r}.")
    return int(size)


def check_known(sizes: tuple[Any, ...], asked: str) -> None:
    """Raises a sentence if a size is a symbol of `jax.export`, of which nobody knows how many parts it has."""
    if any(map(export.is_symbolic_dim, sizes)):
        raise ValueError(f"{asked} needs the number of items when the program is traced, got the sizes {sizes}.")


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
        shards = explicit_shards(x, axis)
        if blocks % shards:
            raise ValueError(
                f"{asked} must be a multiple of the {shards} devices over which the {x.shape[axis]} items are sharded."
            )
