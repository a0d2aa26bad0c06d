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
    bias, possible = (None if x is None else walk.cut(x, start, width, 0) for x in (head.bias, head.possible))
    return _capped(Head(kernel, bias, possible, head.softcap), _product(task, hidden, kernel, task.dtype))


def logits_and_change(
    task: Task, head: Head, hidden: Array, change_of_head: Head, change_of_hidden: Array | None
) -> tuple[Array, Array]:
    """The logits of all classes, and how they change with what moves; None does not.

    The change of a product of bfloat16 arrays is rounded, as the gradient of a logit is when it meets one.
    """
    dtype = jnp.bfloat16 if task.narrow else task.dtype
    product = _product(task, hidden, head.kernel, task.dtype)
    change = jnp.zeros_like(product)
    if change_of_hidden is not None:
        change = change + _product(task, change_of_hidden, head.kernel, dtype).astype(task.dtype)
    if change_of_head.kernel is not None:
        change = change + _product(task, hidden, change_of_head.kernel, dtype).astype(task.dtype)
    moved = {name: x for name, x in change_of_head._asdict().items() if x is not None and name != "kernel"}

    def capped(product: Array, moving: dict[str, Array]) -> Array:
        return _capped(head._replace(**moving), product)

    at = product, {name: getattr(head, name) for name in moved}
    return jax.jvp(capped, at, (change, moved))


def _product(task: Task, hidden: Array, kernel: Array, dtype: Any) -> Array:
    spread = _spread(hidden, kernel, task.classes_first)
    return multiply(hidden, kernel, 1, 1 if task.classes_first else 0, dtype, spread)


def _capped(head: Head, product: Array) -> Array:
    logits = product if head.bias is None else product + head.bias[None, :]
    if head.softcap is not None:
        logits = head.softcap * jnp.tanh(logits / head.softcap)
    return logits if head.possible is None else jnp.where(head.possible[None, :], logits, -jnp.inf)


def before_the_cap(head: Head, logits: Array, slope: Array) -> tuple[Array, Array | None]:
    """The gradient in the logits before the cap, from that in the capped ones, and the sum of that in the cap."""
    if head.softcap is None:
        return slope, None
    share = jnp.where(jnp.isneginf(logits), 0, logits / head.softcap)
    bent = 1 - jnp.square(share)
    in_cap = share - jnp.where(bent > 0, jnp.arctanh(jnp.where(bent > 0, share, 0)) * bent, 0)
    return slope * bent, jnp.sum(slope * in_cap)


def spread_of(array: Array) -> Any:
    """How an array is split over explicit mesh axes; None where there are none."""
    spread = explicit(array)
    return jax.P(*spread) if spread else None


def _spread(hidden: Array, kernel: Array, classes_first: bool) -> Any:
    """On a mesh of explicit axes: rows as they are split, and columns as they are."""
    rows, classes = explicit(hidden)[:1], explicit(kernel)[:1] if classes_first else explicit(kernel)[1:]
    return jax.P(*rows, *classes) if rows else None
