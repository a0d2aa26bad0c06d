"""Values a chunk at a time, forgotten after use and computed again for the gradient.

The coefficients are known before any value exists, so a chunk needs nothing of the others: the scan adds up the same
sum in another order. How items are cut is `splitting`'s affair.
"""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.arguments import Layout, cast
from jaxloss.core.evaluation import Items, add_up
from jaxloss.core.splitting import cut as cut_into_parts
from jaxloss.numerics.devices import vary, varying
from jaxloss.types import Array

Axes = tuple[int, ...]


def add_up_by_chunks(items: Items, axes: Axes, whole: Axes, size: int) -> Array:
    """`add_up` over `axes`, which are all of the values or just those that stay whole, `size` items at a time."""
    leading, output = items.layout.leading, items.layout.output
    cut = tuple(axis for axis in range(len(leading)) if axis not in whole)
    count = math.prod(leading[axis] for axis in cut)
    if count <= size:
        return add_up(items, axes)
    uncut = tuple(leading[axis] for axis in range(len(leading)) if axis in whole)
    everything = len(axes) == len(leading) + len(output)
    inner = tuple(range(0 if everything else 1, 1 + len(uncut)))
    inner += tuple(axis - len(cut) + 1 for axis in axes if axis >= len(leading))
    varied = _by_item(items, cut)
    parts = cut_into_parts(varied, size, f"{items.term.name}: chunk_size")
    shared = _shared(items, varied)

    @jax.checkpoint
    def chunk(part: dict[str, Any]) -> Array:
        length = jax.tree.leaves(part)[0].shape[0]
        layout = Layout((length, *uncut), output, items.layout.mapped)
        arrays, options = shared["arrays"] | part["arrays"], shared["options"] | part["options"]
        if inner and items.term.weighted_sum is not None:  # it takes arrays as they came; the loop adds up wide
            arrays = {name: x.astype(items.arrays[name].dtype) for name, x in arrays.items()}
        return add_up(
            replace(
                items,
                layout=layout,
                arrays=arrays,
                options=options,
                counted=part["counted"],
                coefficient=part["coefficient"],
            ),
            inner,
        )

    results = jax.lax.scan(lambda _, part: (None, chunk(part)), None, parts.stacked)[1]
    tail = [] if parts.rest is None else [chunk(parts.rest)]
    if everything:
        return sum(tail, start=jnp.sum(results))
    results = jnp.moveaxis(results, 0, 1).reshape(-1, *results.shape[2:])
    return jnp.concatenate([results, *tail]).reshape(*(leading[axis] for axis in cut), *results.shape[1:])


def _by_item(items: Items, cut: Axes) -> dict[str, Any]:
    """All that varies from item to item, with one axis of items in front."""
    rank, leading = len(items.layout.values), items.layout.leading

    def in_front(x: Array) -> Array:
        full = tuple(leading[axis] if axis in cut else size for axis, size in enumerate(x.shape))
        moved = jnp.moveaxis(jnp.broadcast_to(x, full), cut, range(len(cut)))
        return moved.reshape(-1, *moved.shape[len(cut) :])

    aligned = {name: x for name, x in items.options.items() if items.term.signature is None and _has_rank(x, rank)}
    return {
        "arrays": {name: in_front(x) for name, x in items.arrays.items() if items.layout.mapped[name]},
        "options": {name: in_front(x) for name, x in aligned.items()},
        "counted": None if items.counted is None else in_front(items.counted),
        "coefficient": None if items.coefficient is None else in_front(items.coefficient),
    }


def _has_rank(option: Any, rank: int) -> bool:
    return isinstance(option, jax.Array) and option.ndim == rank


def _shared(items: Items, varied: dict[str, Any]) -> dict[str, Any]:
    """What all items share, ready for a loop that adds up its gradients: in the wide dtype, varying as the items do."""
    along = frozenset[Any]().union(*(varying(x) for x in jax.tree.leaves(varied)))
    arrays = {name: x for name, x in items.arrays.items() if name not in varied["arrays"]}
    options = {name: x for name, x in items.options.items() if name not in varied["options"]}
    return {
        "arrays": {name: vary(x, along) for name, x in cast(arrays, items.dtype).items()},
        "options": {name: vary(x, along) for name, x in options.items()},
    }
