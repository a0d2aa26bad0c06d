"""What a compiler has to be told, chosen by the platform a program is lowered for and not by the one that lowers it.

XLA for a CPU adds up a row in one loop if the summand is made of + - * / min max abs exp log and sqrt, and if nothing
that the loop reads is shared with another one; else it writes the summand to memory first. XLA for a GPU or a TPU needs
no such help. So there are two rules here, and losses meet them by name only: what a sum reads comes from a barrier on a
CPU, and a mask in a summand is a minimum.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.devices import vary, varying
from jaxloss.types import Array


def apart_on_cpu(*arrays: Array) -> tuple[Array, ...]:
    """The same arrays, on a CPU behind optimization barriers: what reads them is a loop of its own there."""
    # One barrier for each: of one for all, every result would vary over the mesh axes of any.
    barriers = lambda *xs: tuple(map(jax.lax.optimization_barrier, xs))  # noqa: E731
    return jax.lax.platform_dependent(*arrays, cpu=barriers, default=lambda *xs: xs)


def row_sum(summand: Callable[..., Array], *operands: Any, by: Callable[..., Array] = jnp.sum) -> Array:
    """The sum over the last axis, which is kept, of an arithmetic expression of the operands.

    These are arrays, numbers of a row (with a last axis of length 1) and constants. All that the expression reads is
    passed, not closed over. `by=jnp.max` takes the largest in place of the sum.
    """
    return by(summand(*apart_on_cpu(*map(jnp.asarray, operands))), axis=-1, keepdims=True)


def tied(constant: Array, x: Array) -> Array:
    """The constant, as something with a tangent beside x, which JAX asks of every operand of a joint reduction.

    After a rematerialised loop a rule of our own is forgotten, and JAX differentiates the reduction itself.
    """
    return jax.lax.select(np.False_, x, constant.astype(x.dtype))


def entry_by_comparison(values: Array, index: Array) -> Array:
    """The entry of the last axis at an index, as a sum: part of another pass over the values on a TPU or a GPU."""
    at = jax.lax.broadcasted_iota(index.dtype, values.shape, values.ndim - 1) == index[..., None]
    return jnp.sum(jnp.where(at, values, 0), axis=-1)


def entry_on_cpu(values: Array, index: Array) -> Array:
    """The entry of the last axis at an index, read from its place; of an axis that may be split, by comparison."""
    if may_be_split(values) or may_be_split(index):
        return entry_by_comparison(values, index)
    return jnp.take_along_axis(values, index[..., None], axis=-1, mode="clip")[..., 0]


def may_be_split(values: Array) -> bool:
    """Whether a mesh is in view that may split it over devices, where an entry cannot be read from its place."""
    return not jax.typeof(values).sharding.mesh.empty


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def cut(array: Array, start: Any, width: int, axis: int) -> Array:
    """Some places of an axis, for a loop over it.

    Of 16-bit numbers XLA for a CPU would widen the whole array before the loop, if one barrier did not bind it to what
    changes inside.
    """
    if array.dtype.itemsize == 2:
        both = array, vary(start, varying(array))
        bound = lambda *both: jax.lax.optimization_barrier(both)  # noqa: E731
        array, start = jax.lax.platform_dependent(*both, cpu=bound, default=lambda *both: both)
    return jax.lax.dynamic_slice_in_dim(array, start, width, axis)


@cut.defjvp
def _cut_jvp(width: int, axis: int, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Without the barrier, behind which XLA would not write the slope of a part in its place."""
    return cut(*primals, width, axis), jax.lax.dynamic_slice_in_dim(tangents[0], primals[1], width, axis)
