"""What counts: `where`, the inner masks of the outputs, and `weights`."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.arguments import Layout, Shape
from jaxloss.types import Array


@dataclass(frozen=True)
class Selection:
    """Which values count, and how much. Both have the rank of the values, with length 1 along axes they do not have.

    `counted` is None where all do, `weights` is None where all weigh 1; `weight_axes` says how many axes weights have.
    """

    counted: Array | None
    weights: Array | None
    weight_axes: int


def select(
    loss: str, where: Array | None, outputs: Array | None, weights: Array | None, values: Shape, dtype: Any
) -> Selection:
    """Joins `where`, the inner masks of the outputs, and `weights`.

    Weights are 0 where a value does not count, and NaN where they are negative. A weight of 0 or a subnormal one, which
    some chips take for 0, is a mask.
    """
    counted = None if where is None else expand(where, _leading_part(loss, "where", where.shape, values))
    counted = both(counted, outputs)
    if weights is None:
        return Selection(counted, None, 0)
    missing = _leading_part(loss, "weights", weights.shape, values)
    axes = weights.ndim
    if counted is not None:  # before anything else touches them: a masked weight may be NaN or negative
        usable = _any(counted, tuple(range(axes, len(values))))
        weights = choose(jnp.broadcast_to(usable, weights.shape), weights, 0)
    weights = expand(weights.astype(dtype), missing)
    smallest = float(jnp.finfo(dtype).tiny)
    weights += jnp.sqrt(jnp.minimum(jax.lax.stop_gradient(weights), 0))  # NaN where negative, else 0
    return Selection(both(counted, ~(weights < smallest)), weights, axes)


def _leading_part(loss: str, name: str, shape: Shape, values: Shape) -> int:
    """How many trailing axes of the values the array does not have."""
    if shape != values[: len(shape)]:
        raise ValueError(
            f"{loss}: {name} must have the shape of the values {values} or a leading part of it, got {shape}; "
            f"it is never aligned with the trailing axes."
        )
    return len(values) - len(shape)


def both(one: Array | None, other: Array | None) -> Array | None:
    """True where both masks are; None is True everywhere."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def choose(counted: Array, array: Array, constant: float) -> Array:
    """The array, with a constant where it does not count: `jnp.where`, in fewer equations where shapes agree."""
    if counted.shape == array.shape:
        return jax.lax.select(counted, array, jax.lax.full_like(array, constant))
    return jnp.where(counted, array, jnp.asarray(constant, array.dtype))


def items_of(counted: Array, layout: Layout) -> Array:
    """Which items count: those with a value that does."""
    return _any(counted, tuple(range(len(layout.leading), counted.ndim)))


def _any(counted: Array, axes: tuple[int, ...]) -> Array:
    return jnp.any(counted, axis=axes) if axes else counted


def expand(array: Array, missing: int) -> Array:
    """The array with further axes of length 1."""
    return array.reshape(array.shape + (1,) * missing) if missing else array
