"""A tile of the logits of a linear head: some rows (tokens) by some columns (classes).

Products are added up in float32 or wider, of the arrays as they are.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.devices import explicit
from jaxloss.numerics.head.plan import Task
from jaxloss.numerics.platform import cut
from jaxloss.numerics.slopes import moves
from jaxloss.types import Array


class Head(NamedTuple):
    """The parameters that all rows share; None is not there. The kernel is `[d, v]`, or an embedding `[v, d]`."""

    kernel: Array
    bias: Array | None
    possible: Array | None
    softcap: Array | None


def some_classes(task: Task, head: Head, start: Any, columns: int) -> Head:
    """The parameters of some classes. The kernel of an impossible class may hold anything, and is 0."""
    axis = 0 if task.classes_first else 1
    kernel, bias, possible, softcap = head
    if columns < task.classes:
        kernel = cut(kernel, start, columns, axis)
        bias, possible = (None if x is None else cut(x, start, columns, 0) for x in (bias, possible))
    if possible is not None:
        kernel = jnp.where(jnp.expand_dims(possible, 1 - axis), kernel, jnp.zeros((), kernel.dtype))
    return Head(kernel, bias, possible, softcap)


def multiply(a: Array, b: Array, axis_a: int, axis_b: int, dtype: Any, sharding: Any = None) -> Array:
    """The product of two matrices over one axis of each, added up wide. Equal narrow dtypes are multiplied as such."""
    if a.dtype != b.dtype:
        a, b = a.astype(dtype), b.astype(dtype)
    axes = ((axis_a,), (axis_b,)), ((), ())
    return jax.lax.dot_general(a, b, axes, preferred_element_type=dtype, out_sharding=sharding)


def logits_of(task: Task, head: Head, hidden: Array) -> Array:
    """The logits of some rows and the classes of this head, -inf where a class is impossible."""
    product = _product(task, hidden, head.kernel, task.dtype)
    logits = product if head.bias is None else product + head.bias[None, :]
    if head.softcap is not None:
        logits = head.softcap * jnp.tanh(logits / head.softcap)
    return logits if head.possible is None else jnp.where(head.possible[None, :], logits, -jnp.inf)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 3))
def _product(task: Task, hidden: Array, kernel: Array, dtype: Any) -> Array:
    rows, columns = explicit(hidden)[:1], explicit(kernel)[:1] if task.classes_first else explicit(kernel)[1:]
    split = jax.P(*rows, *columns) if rows else None  # on a mesh of explicit axes, as rows and classes are
    return multiply(hidden, kernel, 1, 1 if task.classes_first else 0, dtype, split)


# A change that is rounded where products are narrow, as is the gradient of a logit, its transpose.
@functools.partial(_product.defjvp, symbolic_zeros=True)
def _(task: Task, dtype: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
    (hidden, kernel), (of_hidden, of_kernel) = primals, tangents
    factors = [(x, y) for x, y in ((of_hidden, kernel), (hidden, of_kernel)) if moves(x) and moves(y)]
    changes = [_product(task, *pair, task.factor).astype(dtype) for pair in factors]
    return _product(task, hidden, kernel, dtype), sum(changes[1:], start=changes[0])


def before_the_cap(head: Head, logits: Array, slope: Array) -> tuple[Array, Array | None]:
    """The gradient in the logits before the cap, from that in the capped ones, and the sum of that in the cap."""
    if head.softcap is None:
        return slope, None
    share = jnp.where(jnp.isneginf(logits), 0, logits / head.softcap)
    bent = 1 - jnp.square(share)
    in_cap = share - jnp.where(bent > 0, jnp.arctanh(jnp.where(bent > 0, share, 0)) * bent, 0)
    return slope * bent, jnp.sum(slope * in_cap)
