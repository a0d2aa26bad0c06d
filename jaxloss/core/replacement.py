"""What takes the place of what does not count: of masked items, and of deleted slots inside an item.

Masking the output of a term is not enough: the backward pass multiplies the zero it gets by the slope at the masked
input, and `0 * nan` is NaN. So the inputs are replaced first: by the constants that the term declares (`stand_in=`),
which costs no pass over the data, or else by the first slot of the same item and the first item that count, which are
inside the domain of the term whatever that domain is.
"""

import functools
import operator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core import slots
from jaxloss.core.call import Call
from jaxloss.core.slots import choose, expand, items_of
from jaxloss.types import Array, is_label, is_mask

_FILL = 0.5
"""Stands in where nothing counts at all. A probability, a rate and a logit may be one half; the result is not used."""


def replace_masked(call: Call, counted: Array | None, shared: bool = True) -> Call:
    """The call with all that does not count replaced, and what items share without a gradient where nothing counts.

    Without `shared`, arrays that items share stay as they are, for a sum whose weights are 0 there.
    """
    if counted is None:
        return call
    rank, items = len(call.leading), items_of(counted, call)
    arrays = {}
    for name, array in call.arrays.items():
        kept = slots.kept(call, name, items)
        if call.is_mapped(name) or not rank:
            kept.append((expand(items, array.ndim - rank), tuple(range(rank))))
            arrays[name] = _replaced(call, name, array, kept)
        else:
            arrays[name] = _gated(items, _replaced(call, name, array, kept)) if shared else array
    return replace(call, arrays=arrays, options={name: _gated(items, x) for name, x in call.options.items()})


def _replaced(call: Call, name: str, array: Array, kept: list[slots.Kept]) -> Array:
    """An array with all that some mask does not keep replaced: by a constant, or the first kept along its axes."""
    if not kept:
        return array
    constant = call.term.constants.get(name, True if is_mask(name) else 0 if is_label(name) else _FILL)
    if not (is_label(name) or is_mask(name) or jnp.issubdtype(array.dtype, jnp.inexact)):
        array = array.astype(call.dtype)  # integers for real numbers, of which none is 0.5
    searched = [] if name in call.term.constants else [(mask, axes) for mask, axes in kept if axes]
    if len(kept) > 1 or not searched:  # at once: between two masks there would be poison left, for jax_debug_nans
        array = choose(functools.reduce(operator.and_, [mask for mask, _ in kept]), array, constant)
    for mask, axes in searched:
        array = jnp.where(mask, array, _first(array, mask, axes, constant))
    return array


def _first(array: Array, counted: Array, axes: tuple[int, ...], constant: float) -> Array:
    """The first entry that counts along some axes, which stay with length 1; a constant where none counts.

    Found by comparison and sum, which work on sharded axes, where indexing does not.
    """
    for axis in axes[::-1]:  # one by one, since a number for the entries of all axes together may not fit 32 bits
        size = array.shape[axis]
        number = jax.lax.broadcasted_iota(jnp.int32, [size if i == axis else 1 for i in range(array.ndim)], axis)
        smallest = jnp.min(jnp.where(counted, number, size), axis=axis, keepdims=True, initial=size)
        chosen = jnp.where(counted & (number == smallest), array, jnp.zeros((), array.dtype))
        over = jnp.any if array.dtype == bool else jnp.sum
        array, counted = over(chosen, axis=axis, keepdims=True).astype(array.dtype), smallest < size
    return jax.lax.stop_gradient(jnp.where(counted, array, jnp.asarray(constant).astype(array.dtype)))


def _gated(items: Array, value: Any) -> Any:
    """What all items share, without a gradient where no item counts."""
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.where(jnp.any(items), value, jax.lax.stop_gradient(value))
    return value
