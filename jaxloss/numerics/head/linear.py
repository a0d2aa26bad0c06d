"""A loss of the softmax of a linear head over many rows: what is given, made ready for the sweep."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

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
    arrays = hidden, _columns(labels).reshape(rows), weights.reshape(rows).astype(dtype), head, given
    if not groups:
        return total_cost(task, bound, *arrays)
    within = tuple(axis for axis in range(labels.ndim) if axis not in groups)
    return jnp.sum(costs(task, bound, *arrays).reshape(labels.shape), axis=within)


def linked_softmax(
    link: Callable[..., Any], logits: Array, label: Array, axis_name: Input, shared: Mapping[str, Any]
) -> Array:
    """A loss of the softmax of one row of logits `[k]`, its classes whole or split over devices.

    It is the linear head whose only hidden number is 1. A class of logit -inf is not there. Inside `shard_map`,
    `axis_name` names the mesh axes of the classes: the label counts over all of them, and no row is gathered.

    >>> print(f"{linked_softmax(lambda softmax: softmax.entropy, jnp.array([20.0, 0.0]), jnp.array(0), None, {}):.3e}")
    4.328e-08
    """
    one, possible = jnp.ones(1, logits.dtype), logits != -jnp.inf
    kernel = jnp.where(possible, logits, 0)[None]
    rows = one, label, kernel, None, possible, one[0]
    return linear_softmax_sum(link, *rows, each={}, shared=shared, axis_name=axis_name, strategy="fast")


def _columns(labels: Array) -> Array:
    """Labels as numbers of columns, in 32 bits; one that does not fit them is none, and stays none."""
    beyond = (labels < 0) | (labels > jnp.iinfo(jnp.int32).max)
    return jnp.where(beyond, -1, labels.astype(jnp.int32))
