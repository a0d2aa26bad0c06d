"""A loss of the softmax of a linear head over many rows: what is given, made ready for the sweep."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxloss.numerics.classes import in_32_bits
from jaxloss.numerics.head import plan
from jaxloss.numerics.head.link import linked
from jaxloss.numerics.head.sweep import costs, total_cost
from jaxloss.numerics.head.tile import Head
from jaxloss.types import Array, Input, Number, computing_dtype


def linear_softmax_sum(
    link: Callable[..., Any],
    hidden: Array,
    labels: Array,
    kernel: Array,
    bias: Array | None,
    class_mask: Array | None,
    weights: Array,
    *,
    each: Mapping[str, Array],
    shared: Mapping[str, Any],
    classes_first: bool = False,
    softcap: Number | None = None,
    axis_name: Input = None,
    strategy: str = "auto",
    memory: int | float | None = None,
    groups: tuple[int, ...] = (),
) -> Array:
    r"""The weighted sum of a loss of the softmax of a linear head, whose logits never exist all at once.

    $$ \sum_i w_i\, \varphi(S(x_i, y_i), e_i), \qquad x_{ij} = c \tanh\frac{h_i^T W_j + b_j}{c} $$

    With hidden `[..., d]`, labels and weights `[...]`, a kernel `[d, v]` (`[v, d]` if `classes_first`), a bias and a
    class_mask `[v]` or None. `link(softmax, **each, **shared)` is phi, the loss of one row: of a `Softmax`, of numbers
    of its own from arrays `[...]`, and of what all rows share. With `groups`, axes of the labels, there is one sum for
    each of their entries. The other options are those of `linear_softmax_cross_entropy`.

    >>> def focal(softmax, power):
    ...     return softmax.complement**power * softmax.surprisal
    >>> arrays = jnp.eye(2), jnp.array([0, 1]), jnp.diag(jnp.array([1.0, 40.0])), None, None, jnp.array([0.0, 1.0])
    >>> print(f"{linear_softmax_sum(focal, *arrays, each={}, shared={'power': 1.0}):.3e}")
    1.805e-35
    """
    dtype = jnp.promote_types(computing_dtype((hidden, kernel)), weights.dtype)
    if bias is not None:
        bias = bias.astype(dtype) if class_mask is None else jnp.where(class_mask, bias.astype(dtype), 0)
    head = Head(kernel, bias, class_mask, None if softcap is None else jnp.asarray(softcap).astype(dtype))
    rows = math.prod(labels.shape)
    hidden = hidden.reshape(rows, -1)
    bound, given = linked(link, {name: x.reshape(rows) for name, x in each.items()}, shared, dtype)
    task = plan.task(hidden, kernel, dtype, classes_first, axis_name, strategy, memory)
    arrays = hidden, in_32_bits(labels).reshape(rows), weights.reshape(rows).astype(dtype), head, given
    if not groups:
        return total_cost(task, bound, *arrays)
    within = tuple(axis for axis in range(labels.ndim) if axis not in groups)
    return jnp.sum(costs(task, bound, *arrays).reshape(labels.shape), axis=within)
