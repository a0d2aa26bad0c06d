"""What counts: `where` and `weights`, and what takes the place of an item that does not.

Masking the output of a term is not enough: the backward pass multiplies the zero it gets by the slope at the masked
input, and `0 * nan` is NaN. So the inputs go first. An item that does not count is replaced by one that does, which is
inside the domain of the term whatever that domain is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.arguments import Layout, Shape, as_array, convert
from jaxloss.types import Array, is_label, is_mask

_FILL = 0.5
"""Stands in where nothing counts at all. A probability, a rate and a logit may be one half; the result is not used."""


@dataclass(frozen=True)
class Selection:
    """Which values count, and how much. Both have the rank of the values, with length 1 along axes they do not have.

    `counted` is None where all do, `weights` is None where all weigh 1; `weight_axes` says how many axes weights have.
    """

    counted: Array | None
    weights: Array | None
    weight_axes: int


def select(loss: str, where: Any, weights: Any, values: Shape, dtype: Any) -> Selection:
    """Reads `where` and `weights`: of the shape of the values, or a leading part of it."""
    counted = None
    if where is not None:
        mask = convert(loss, "where", where)
        if mask.dtype != bool:
            raise TypeError(
                f"{loss}: where must be booleans, got {mask.dtype}; write mask != 0 if it says which values count, "
                f"pass it as weights= if it says how much."
            )
        counted = _expand(mask, _leading_part(loss, "where", mask.shape, values))
    if weights is None:
        return Selection(counted, None, 0)
    if isinstance(weights, int | float | np.number) and not weights >= 0:
        raise ValueError(f"{loss}: weights must be >= 0, got {weights!r}.")
    raw = as_array(loss, "weights", weights)
    missing = _leading_part(loss, "weights", raw.shape, values)
    weighing = _expand(raw != 0, missing)
    counted = weighing if counted is None else counted & weighing
    # Selected before anything else touches them: a masked weight may be NaN.
    usable = jnp.any(counted, axis=tuple(range(raw.ndim, len(values))))
    clean = jnp.where(jnp.broadcast_to(usable, raw.shape), raw, jnp.zeros((), raw.dtype)).astype(dtype)
    return Selection(counted, _expand(clean, missing), raw.ndim)


def _leading_part(loss: str, name: str, shape: Shape, values: Shape) -> int:
    """How many trailing axes of the values the array does not have."""
    if shape != values[: len(shape)]:
        raise ValueError(
            f"{loss}: {name} must have the shape of the values {values} or a leading part of it, got {shape}; "
            f"it is never aligned with the trailing axes."
        )
    return len(values) - len(shape)


def _expand(array: Array, missing: int) -> Array:
    return array.reshape(array.shape + (1,) * missing) if missing else array


def replace_masked(
    arrays: Mapping[str, Array], options: Mapping[str, Any], layout: Layout, counted: Array
) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays with every masked item replaced, and the shared ones without a gradient where nothing counts."""
    rank = len(layout.leading)
    items = jnp.any(counted, axis=tuple(range(rank, counted.ndim)))
    any_counts = jnp.any(items)
    replaced = {}
    for name, array in arrays.items():
        if layout.mapped[name]:
            fill = _donor(array, items, layout.leading, _constant(name, array))
            replaced[name] = jnp.where(_expand(items, array.ndim - rank), array, fill)
        elif rank:
            replaced[name] = _gate(any_counts, array)
        else:
            replaced[name] = jnp.where(items, array, _constant(name, array))
    return replaced, {name: _gate(any_counts, option) for name, option in options.items()}


def _donor(array: Array, items: Array, leading: Shape, constant: Array) -> Array:
    """The first item that counts. Found by comparison and sum, which work on sharded axes, where indexing does not."""
    rank = len(leading)
    number = jnp.zeros(leading, jnp.int32)
    for axis, size in enumerate(leading):
        number = number * size + jax.lax.broadcasted_iota(jnp.int32, leading, axis)
    last = jnp.iinfo(jnp.int32).max
    is_first = items & (number == jnp.min(jnp.where(items, number, last), initial=last))
    chosen = jnp.where(_expand(is_first, array.ndim - rank), array, jnp.zeros((), array.dtype))
    over = jnp.any if array.dtype == bool else jnp.sum
    donor = over(chosen, axis=tuple(range(rank)), keepdims=True).astype(array.dtype)
    return jax.lax.stop_gradient(jnp.where(jnp.any(items), donor, constant))


def _constant(name: str, array: Array) -> Array:
    value = True if is_mask(name) else 0 if is_label(name) else _FILL
    return jnp.asarray(value).astype(array.dtype)


def _gate(any_counts: Array, value: Any) -> Any:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.inexact):
        return jnp.where(any_counts, value, jax.lax.stop_gradient(value))
    return value
