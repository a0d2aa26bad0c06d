"""Points that carry a mass."""

import functools

import jax
import jax.numpy as jnp

from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.order import split_as
from jaxloss.numerics.safe import ratio
from jaxloss.types import Array


def with_masses(points: Array, mass: Array | None) -> tuple[Array, Array]:
    """The points, `[n]` or `[n, d]`, with 0 for those of mass 0, and masses `[n]` of sum 1.

    No mass is the same one for all; where each is 0, all stay 0. A mass below 0 gives NaN.

    >>> print(with_masses(jnp.array([1.0, jnp.nan, 3.0]), jnp.array([3.0, 0.0, 1.0])))
    (Array([1., 0., 3.], dtype=float32), Array([0.75, 0.  , 0.25], dtype=float32))
    """
    if mass is None:
        count = points.shape[0]
        share = jnp.full_like(points, 1 / max(1, count), shape=(count,))
        return points, split_as(points if points.ndim == 1 else points[:, 0], share)
    there = mass != 0
    points = jnp.where(there if points.ndim == 1 else there[:, None], points, 0)
    mass = jnp.where(there, mass, 0) + nan_unless(jnp.all(mass >= 0), mass.dtype)  # a mass of 0 has no slope
    share = ratio(mass, jax.lax.stop_gradient(jnp.max(mass)))  # the sum may leave the format
    return points, ratio(share, jnp.sum(share))


def present(*sets: tuple[Array, Array | None]) -> Array:
    """Whether each set of points has a mass; where none is given, a point, which XLA need not find out."""
    each = [jnp.array(points.shape[0] > 0) if mass is None else jnp.any(mass != 0) for points, mass in sets]
    return functools.reduce(jnp.logical_and, each)
