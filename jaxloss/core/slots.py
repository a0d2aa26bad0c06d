"""Masks inside an item: an array named `..._mask` deletes slots from every array that has its core axes.

A deleted slot may hold anything, as a masked item may, and is replaced in the same way. The term only leaves it out of
its sums.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.core.call import Call
from jaxloss.core.term import Core
from jaxloss.types import Array, is_label, is_mask

_SPLIT_BY = {"class_mask": "class_axis_name", "item_mask": "batch_axis_name"}
"""The options that name the mesh axes over which the slots of a mask are split."""

Kept: TypeAlias = tuple[Array, tuple[int, ...]]
"""A mask in the rank of an array, and the axes of the array that are those of the mask."""


def of_outputs(call: Call) -> Array | None:
    """Which values count by the masks whose core axes are those of the output."""
    counted = None
    for name, core in _masks(call).items():
        if core == call.term.output:
            counted = both(counted, lead(call.arrays[name], len(call.values)))
    return counted


def left(call: Call) -> Array | None:
    """Which items have a slot left by each mask, in the rank of the values. One that has none costs 0, and counts.

    A mask of labels alone does not decide it: a sequence without labels has a cost.
    """
    counted = None
    for name, core in _masks(call).items():
        if core and core != call.term.output and not _of_labels_alone(call, core):
            some = jnp.any(call.arrays[name], axis=tuple(range(-len(core), 0)))
            split = call.options.get(_SPLIT_BY.get(name, ""))
            if split is not None:
                some = jax.lax.psum(some.astype(jnp.int32), split) > 0
            counted = both(counted, expand(lead(some, len(call.leading)), len(call.output)))
    return counted


def kept(call: Call, name: str, items: Array) -> list[Kept]:
    """Which slots of an array are kept, by each mask and at each place of its axes, and along which axes."""
    found: list[Kept] = []
    core = call.term.cores[name]
    for mask, axes in _masks(call).items():
        if axes and not is_mask(name):
            before = call.arrays[name].ndim - len(core)
            for places in _places(axes, core):
                aligned = _aligned(_as_mapped(call, mask, name, items), before, len(core), places)
                found.append((aligned, tuple(before + place for place in places)))
    return found


def unmask(call: Call, counted: Array | None) -> dict[str, Array]:
    """The arrays with shared masks open to items that do not count: their label 0 may be a class that one forbids."""
    term, arrays = call.term, call.arrays
    if counted is None or not any(
        is_label(name) and name in term.constants and call.is_mapped(name) for name in arrays
    ):
        return arrays
    items = jnp.broadcast_to(items_of(counted, call), call.leading)
    return arrays | {
        name: expand(~items, len(core)) | lead(arrays[name], items.ndim + len(core))
        for name, core in _masks(call).items()
        if core and not call.is_mapped(name)
    }


def _masks(call: Call) -> dict[str, Core]:
    return {name: core for name, core in call.term.cores.items() if is_mask(name) and name in call.arrays}


def _of_labels_alone(call: Call, axes: Core) -> bool:
    having = [name for name, core in call.term.cores.items() if set(axes) <= set(core) and not is_mask(name)]
    return bool(having) and all(map(is_label, having))


def _places(axes: Core, core: Core) -> Iterator[tuple[int, ...]]:
    """Where the axes of a mask stand among those of an array: (n) at 0 and at 1 of (n, n)."""
    for places in itertools.product(*([i for i, axis in enumerate(core) if axis == own] for own in axes)):
        if len(set(axes)) == len(axes) or list(places) == sorted(set(places)):
            yield places


def _as_mapped(call: Call, mask: str, name: str, items: Array) -> Array:
    """The mask for an array: of one that all items share, a slot counts if it does for any of them."""
    array, rank = call.arrays[mask], len(call.leading)
    if call.is_mapped(name) or not call.is_mapped(mask):
        return array
    return jnp.any(array & expand(items, array.ndim - rank), axis=tuple(range(rank)))


def _aligned(mask: Array, before: int, core: int, places: tuple[int, ...]) -> Array:
    """The mask with its axes at their places among those of an array, and length 1 at the others."""
    own = mask.ndim - len(places)
    order = sorted(range(len(places)), key=places.__getitem__)
    mask = mask.transpose(*range(own), *(own + i for i in order))
    shape = [1] * core
    for place, size in zip(sorted(places), mask.shape[own:], strict=True):
        shape[place] = size
    return mask.reshape(*(mask.shape[:own] or (1,) * before), *shape)


# ------------------------------------------------------------------------------------------------- masks of any kind


def both(one: Array | None, other: Array | None) -> Array | None:
    """The product of two masks, or of two factors, each of which may be None for 1 everywhere."""
    if one is None or other is None:
        return other if one is None else one
    return one * other


def choose(counted: Array, array: Array, constant: float) -> Array:
    """The array, with a constant where it does not count: `jnp.where`, in fewer equations where shapes agree."""
    narrow = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4
    return (_choose_narrow if narrow else _choose)(counted, array, constant)


def _choose(counted: Array, array: Array, constant: float) -> Array:
    if counted.shape == array.shape:
        return jax.lax.select(counted, array, jax.lax.full_like(array, constant))
    return jnp.where(counted, array, jnp.asarray(constant, array.dtype))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _choose_narrow(counted: Array, array: Array, constant: float) -> Array:
    return _choose(counted, array, constant)


# A choice in float32, in which the loss is computed: of one after a gradient is rounded a TPU makes a pass of its own.
@_choose_narrow.defjvp
def _(constant: float, primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    change = _choose(primals[0], tangents[1].astype(jnp.float32), 0)
    return _choose_narrow(*primals, constant), change.astype(tangents[1].dtype)


def items_of(counted: Array, call: Call) -> Array:
    """Which items count: those with a value that does."""
    return any_of(counted, tuple(range(len(call.leading), counted.ndim)))


def any_of(counted: Array, axes: tuple[int, ...], *, keepdims: bool = False) -> Array:
    """Whether any entry along some axes counts, of which there may be none."""
    return jnp.any(counted, axis=axes, keepdims=keepdims) if axes else counted


def expand(array: Array, missing: int) -> Array:
    """The array with further axes of length 1."""
    return array.reshape(array.shape + (1,) * missing) if missing else array


def lead(array: Array, rank: int) -> Array:
    """The array in a rank, with axes of length 1 before its own."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim < rank else array
