"""Masks inside an item: an array named `..._mask` deletes slots from every array that has its core axes.

A deleted slot may hold anything, as a masked item may, and is replaced in the same way. The term only leaves it out of
its sums.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.core.arguments import Layout
from jaxloss.core.term import Core, Term
from jaxloss.core.weighting import both, expand, items_of
from jaxloss.types import Array, is_label, is_mask

_SPLIT_BY = {"class_mask": "class_axis_name", "item_mask": "batch_axis_name"}
"""The options that name the mesh axes over which the slots of a mask are split."""

Kept: TypeAlias = tuple[Array, tuple[int, ...]]
"""A mask in the rank of an array, and the axes of the array that are those of the mask."""


def of_outputs(term: Term, arrays: Mapping[str, Array], layout: Layout) -> Array | None:
    """Which values count by the masks whose core axes are those of the output."""
    counted = None
    for name, core in _masks(term, arrays).items():
        if core == term.core.output:
            mask = arrays[name]
            counted = both(counted, mask.reshape((1,) * (len(layout.values) - mask.ndim) + mask.shape))
    return counted


def left(term: Term, arrays: Mapping[str, Array], layout: Layout, options: Mapping[str, Any]) -> Array | None:
    """Which items have a slot left by each mask, in the rank of the values. One that has none costs 0, and counts."""
    counted = None
    for name, core in _masks(term, arrays).items():
        if core and core != term.core.output:
            some = jnp.any(arrays[name], axis=tuple(range(-len(core), 0)))
            split = options.get(_SPLIT_BY.get(name, ""))
            if split is not None:
                some = jax.lax.psum(some.astype(jnp.int32), split) > 0
            leading = some.shape or (1,) * len(layout.leading)
            counted = both(counted, some.reshape(leading + (1,) * len(layout.output)))
    return counted


def kept(term: Term, name: str, arrays: Mapping[str, Array], layout: Layout, items: Array) -> list[Kept]:
    """Which slots of an array are kept, by each mask and at each place of its axes, and along which axes."""
    found = []
    core = dict(zip(term.arrays, term.core.inputs, strict=True))[name]
    for mask, axes in _masks(term, arrays).items():
        if axes and not is_mask(name):
            lead = arrays[name].ndim - len(core)
            for places in _places(axes, core):
                aligned = _aligned(_as_mapped(mask, name, arrays, layout, items), lead, len(core), places)
                found.append((aligned, tuple(lead + place for place in places)))
    return found


def unmask(term: Term, arrays: dict[str, Array], layout: Layout, counted: Array | None) -> dict[str, Array]:
    """The arrays with shared masks open to items that do not count: their label 0 may be a class that one forbids."""
    labels = any(layout.mapped[name] and is_label(name) and name in term.constants for name in arrays)
    if counted is None or not labels:
        return arrays
    items = jnp.broadcast_to(items_of(counted, layout), layout.leading)
    opened = {
        name: expand(~items, len(core)) | arrays[name].reshape((1,) * items.ndim + arrays[name].shape)
        for name, core in _masks(term, arrays).items()
        if core and not layout.mapped[name]
    }
    return arrays | opened


def _masks(term: Term, arrays: Mapping[str, Array]) -> dict[str, Core]:
    cores = zip(term.arrays, term.core.inputs, strict=True)
    return {name: core for name, core in cores if is_mask(name) and name in arrays}


def _places(axes: Core, core: Core) -> Iterator[tuple[int, ...]]:
    """Where the axes of a mask stand among those of an array: (n) at 0 and at 1 of (n, n)."""
    for places in itertools.product(*([i for i, axis in enumerate(core) if axis == own] for own in axes)):
        if len(set(axes)) == len(axes) or list(places) == sorted(set(places)):
            yield places


def _as_mapped(mask: str, name: str, arrays: Mapping[str, Array], layout: Layout, items: Array) -> Array:
    """The mask for an array: of one that all items share, a slot counts if it does for any of them."""
    array = arrays[mask]
    if layout.mapped[name] or not layout.mapped[mask]:
        return array
    rank = len(layout.leading)
    return jnp.any(array & expand(items, array.ndim - rank), axis=tuple(range(rank)))


def _aligned(mask: Array, lead: int, core: int, places: tuple[int, ...]) -> Array:
    """The mask with its axes at their places among those of an array, and length 1 at the others."""
    own = mask.ndim - len(places)
    order = sorted(range(len(places)), key=places.__getitem__)
    mask = mask.transpose(*range(own), *(own + i for i in order))
    shape = [1] * core
    for place, size in zip(sorted(places), mask.shape[own:], strict=True):
        shape[place] = size
    return mask.reshape(*(mask.shape[:own] or (1,) * lead), *shape)
