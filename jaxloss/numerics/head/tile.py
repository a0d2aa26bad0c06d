"""A tile of the logits of a linear head: some rows (tokens) by some columns (classes).

Products are added up in float32 or wider, of the arrays as they are.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.devices import explicit
from jaxloss.numerics.head.plan import Task, Walk
from jaxloss.types import Array


class Head(NamedTuple):
    """The parameters that all rows share; None is not there. The kernel is `[d, v]`, or an embedding `[v, d]`."""

    kernel: Array
    bias: Array | None
    possible: Array | None
    softcap: Array | None


def columns(walk: Walk, task: Task, head: Head, start: Any, width: int) -> Array:
    """Some columns of the kernel. Those of impossible classes may hold anything, and are 0."""
    axis = 0 if task.classes_first else 1
    kernel = walk.cut(head.kernel, start, width, axis)
    if head.possible is None:
        return kernel
    possible = walk.cut(head.possible, start, width, 0)
    return jnp.where(jnp.expand_dims(possible, 1 - axis), kernel, jnp.zeros((), kernel.dtype))


def multiply(a: Array, b: Array, axis_a: int, axis_b: int, dtype: Any, sharding: Any = None) -> Array:
    """The product of two matrices over one axis of each, added up wide. Equal narrow dtypes are multiplied as such."""
    if a.dtype != b.dtype:
        a, b = a.astype(dtype), b.astype(dtype)
    return jax.lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=dtype, out_sharding=sharding
    )


def logits_of(walk: Walk, task: Task, head: Head, hidden: Array, start: Any, width: int) -> Array:
    """The logits of a tile, -inf where a class is impossible."""
    kernel = columns(walk, task, head, start, width)
    spread = _spread(hidden, kernel, task.classes_first)
    logits = multiply(hidden, kernel, 1, 1 if task.classes_first else 0, task.dtype, spread)
    if head.bias is not None:
        logits = logits + walk.cut(head.bias, start, width, 0).astype(task.dtype)[None, :]
    if head.softcap is not None:
        logits = head.softcap * jnp.tanh(logits / head.softcap)
    if head.possible is not None:
        logits = jnp.where(walk.cut(head.possible, start, width, 0)[None, :], logits, -jnp.inf)
    return logits


def before_the_cap(head: Head, logits: Array, slope: Array) -> tuple[Array, Array | None]:
    """The gradient in the logits before the cap, from that in the capped ones, and the sum of that in the cap."""
    if head.softcap is None:
        return slope, None
    share = jnp.where(jnp.isneginf(logits), 0, logits / head.softcap)
    bent = 1 - jnp.square(share)
    in_cap = share - jnp.where(bent > 0, jnp.arctanh(jnp.where(bent > 0, share, 0)) * bent, 0)
    return slope * bent, jnp.sum(slope * in_cap)


def _spread(hidden: Array, kernel: Array, classes_first: bool) -> Any:
    """On a mesh of explicit axes: rows as they are split, and columns as they are."""
    rows, classes = explicit(hidden)[:1], explicit(kernel)[:1] if classes_first else explicit(kernel)[1:]
    return jax.P(*rows, *classes) if rows else None
