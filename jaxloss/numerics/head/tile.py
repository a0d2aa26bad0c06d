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


def some_classes(walk: Walk, task: Task, head: Head, start: Any) -> Head:
    """The parameters of the classes of a tile. The kernel of an impossible class may hold anything, and is 0."""
    axis = 0 if task.classes_first else 1
    kernel = walk.cut(head.kernel, start, axis)
    bias, possible = (None if x is None else walk.cut(x, start, 0) for x in (head.bias, head.possible))
    if possible is not None:
        kernel = jnp.where(jnp.expand_dims(possible, 1 - axis), kernel, jnp.zeros((), kernel.dtype))
    return Head(kernel, bias, possible, head.softcap)


def multiply(a: Array, b: Array, axis_a: int, axis_b: int, dtype: Any, sharding: Any = None) -> Array:
    """The product of two matrices over one axis of each, added up wide. Equal narrow dtypes are multiplied as such."""
    if a.dtype != b.dtype:
        a, b = a.astype(dtype), b.astype(dtype)
    return jax.lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=dtype, out_sharding=sharding
    )


def logits_of(task: Task, head: Head, hidden: Array) -> Array:
    """The logits of some rows and the classes of this head, -inf where a class is impossible."""
    return _capped(head, _product(task, head, hidden, task.dtype))


def logits_and_change(
    task: Task, head: Head, hidden: Array, change_of_head: Head, change_of_hidden: Array | None
) -> tuple[Array, Array]:
    """The logits of all classes, and how they change with what moves; None does not.

    The change of a product of bfloat16 arrays is rounded, as the gradient of a logit is when it meets one.
    """
    dtype = jnp.bfloat16 if task.narrow else task.dtype
    product = _product(task, head, hidden, task.dtype)
    change = jnp.zeros_like(product)
    if change_of_hidden is not None:
        change = change + _product(task, head, change_of_hidden, dtype).astype(task.dtype)
    if change_of_head.kernel is not None:
        change = change + _product(task, change_of_head, hidden, dtype).astype(task.dtype)
    moved = {name: x for name, x in change_of_head._asdict().items() if x is not None and name != "kernel"}

    def capped(product: Array, moving: dict[str, Array]) -> Array:
        return _capped(head._replace(**moving), product)

    at = product, {name: getattr(head, name) for name in moved}
    return jax.jvp(capped, at, (change, moved))


def _product(task: Task, head: Head, hidden: Array, dtype: Any) -> Array:
    rows, columns = explicit(hidden)[:1], explicit(head.kernel)[:1] if task.classes_first else explicit(head.kernel)[1:]
    split = jax.P(*rows, *columns) if rows else None  # on a mesh of explicit axes, as rows and classes are
    return multiply(hidden, head.kernel, 1, 1 if task.classes_first else 0, dtype, split)


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
