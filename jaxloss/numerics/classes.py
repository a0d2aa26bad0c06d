"""Integer labels: where they are along the classes, and NaN where they are no class."""

import functools

import jax
import jax.numpy as jnp

from jaxloss.numerics.platform import may_be_split
from jaxloss.types import Array, Input


@functools.partial(jax.jit, static_argnums=(1, 2))
def one_hot(label: Array, classes: int, dtype: Input = jnp.float32) -> Array:
    r"""The indicator of a label; NaN in every class if the label is none of them.

    $$ t_j = [j = y] $$

    A label outside 0 to k - 1 has no indicator. NaN says so, where wrapping or clamping would pass the row of another
    class.

    >>> print(one_hot(jnp.array(1), 3), one_hot(jnp.array(-1), 3))
    [0. 1. 0.] [nan nan nan]
    """
    label = jnp.asarray(label)
    indicator = jax.lax.broadcasted_iota(jnp.int32, (*label.shape, classes), label.ndim) == label[..., None]
    return jnp.where(is_class(label, classes)[..., None], indicator.astype(dtype), jnp.nan)


def pick(values: Array, label: Array) -> Array:
    r"""The entry of the last axis that the label names; NaN if it names none.

    $$ v_y $$

    It is a comparison and a sum, which is part of another pass over the values on a TPU or a GPU, and works on a split
    axis, where an index does not; on a CPU it is an index.

    >>> print(pick(jnp.array([5.0, 7.0]), jnp.array(1)))
    7.0
    """

    def by_comparison(values: Array, label: Array) -> Array:
        return jnp.sum(jnp.where(is_at(values, label), values, 0), axis=-1)

    def by_index(values: Array, label: Array) -> Array:
        return jnp.take_along_axis(values, label[..., None], axis=-1, mode="clip")[..., 0]

    if may_be_split(values):  # every branch is traced, and an index refuses a split axis
        entry = by_comparison(values, label)
    else:
        entry = jax.lax.platform_dependent(values, label, cpu=by_index, default=by_comparison)
    return jnp.where(is_class(label, values.shape[-1]), entry, jnp.nan)


def is_at(values: Array, label: Array) -> Array:
    """Whether each entry of the last axis is the one that the label names."""
    return jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1) == label[..., None]


def is_class(label: Array, classes: int) -> Array:
    """Whether the label is one of the classes."""
    return (label >= 0) & (label < classes)
