"""Arrays over devices: how an axis is split, and over which axes of a `shard_map` an array varies."""

import math
from collections.abc import Iterable
from typing import Any

import jax

from jaxloss.types import Array


def explicit(array: Array) -> tuple[Any, ...]:
    """How each axis is split over explicit mesh axes; nothing where there are none."""
    sharding = jax.typeof(array).sharding
    return tuple(sharding.spec) if jax.sharding.AxisType.Explicit in sharding.mesh.axis_types else ()


def spread_of(array: Array) -> Any:
    """The same as one specification; None where there are none."""
    spread = explicit(array)
    return jax.P(*spread) if spread else None


def explicit_shards(array: Array, axis: int) -> int:
    """Over how many devices explicit mesh axes split an axis; 1 where there are none."""
    names = (explicit(array) or (None,) * array.ndim)[axis] or ()
    sizes = jax.typeof(array).sharding.mesh.shape
    return math.prod(sizes[name] for name in (names if isinstance(names, tuple) else (names,)))


def alone(array: Array) -> bool:
    """Whether no mesh is in view over whose devices the compiler may have split the array."""
    mesh = jax.typeof(array).sharding.mesh
    return mesh.empty or mesh.size == 1 or set(mesh.axis_types) == {jax.sharding.AxisType.Manual}


def mesh_size(array: Array) -> int:
    """Over how many devices the compiler may have split the array, at most."""
    return 1 if alone(array) else jax.typeof(array).sharding.mesh.size


def varying(tree: Any) -> frozenset[Any]:
    """The mesh axes of a `shard_map` over which an array varies, or any array of a tree."""
    kinds = map(jax.typeof, jax.tree.leaves(tree))
    each = (kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying for kind in kinds)
    return frozenset[Any]().union(*each)


def vary(tree: Any, along: frozenset[Any]) -> Any:
    """The arrays of a tree as such that vary over mesh axes too.

    Where a loop uses an array that all devices share, this is done before the loop. In the loop it would be done for
    each part, and its transpose, a sum over devices, with it.
    """

    def one(x: Any) -> Any:
        missing = tuple(along - varying(x)) if isinstance(x, jax.Array) else ()
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(one, tree)


def check_axis_names(asked: str, names: Iterable[Any], arrays: Iterable[Array], option: str = "axis_name") -> None:
    """Raises a sentence if a name is none of the mesh axes over which a `shard_map` around the call splits the data."""
    around = jax.sharding.get_abstract_mesh()
    meshes = [around, *(jax.typeof(array).sharding.mesh for array in arrays)]
    known = next((mesh.axis_names for mesh in meshes if not mesh.empty), ())
    for name in names:
        try:
            jax.lax.axis_size(name)
        except NameError:
            axes = ", ".join(map(repr, around.manual_axes or known))
            if around.manual_axes:
                fix = f"is no axis of the shard_map around the call, which has {axes}."
            else:
                mesh = f" over a mesh, here one with the axes {axes}" if axes else ""
                fix = (
                    f"needs a jax.shard_map around the call{mesh}; where jit alone sees sharded arrays the cost is "
                    f"that of all the data already: leave {option} out."
                )
            raise ValueError(f"{asked}: {option}={name!r} {fix}") from None
