"""Arrays over devices: how an axis is split, and over which axes of a `shard_map` an array varies."""

from collections.abc import Iterable
from typing import Any

import jax

from jaxloss.types import Array


def explicit(array: Array) -> tuple[Any, ...]:
    """How each axis is split over explicit mesh axes; nothing where there are none."""
    sharding = jax.typeof(array).sharding
    return tuple(sharding.spec) if jax.sharding.AxisType.Explicit in sharding.mesh.axis_types else ()


def alone(array: Array) -> bool:
    """Whether no mesh is in view over whose devices the compiler may have split the array."""
    mesh = jax.typeof(array).sharding.mesh
    return mesh.empty or mesh.size == 1 or set(mesh.axis_types) == {jax.sharding.AxisType.Manual}


def varying(array: Array) -> frozenset[Any]:
    """The mesh axes of a `shard_map` over which an array varies."""
    kind = jax.typeof(array)
    return frozenset(kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying)


def vary(array: Any, along: Iterable[Any]) -> Any:
    """The array as one that varies over mesh axes too.

    Where a loop uses an array that all devices share, this is done before the loop. In the loop it would be done for
    each part, and its transpose, a sum over devices, with it.
    """
    missing = tuple(frozenset(along) - varying(array)) if isinstance(array, jax.Array) else ()
    return jax.lax.pcast(array, missing, to="varying") if missing else array
