"""Integer labels: where they are along the classes, and NaN where they are no class."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.platform import entry_by_comparison, entry_on_cpu, may_be_split
from jaxloss.types import Array, Input


def one_hot(label: Array, classes: int, dtype: Input = jnp.float32) -> Array:
    r"""The indicator of a label; NaN in every class if the label is none of them.

    $$ t_j = [j = y] $$

    A label outside 0 to k - 1 has no indicator. NaN says so, where wrapping or clamping would pass the row of another
    class.

    >>> print(one_hot(jnp.array(1), 3), one_hot(jnp.array(-1), 3))
    [0. 1. 0.] [nan nan nan]
    """
    label = _wide(jnp.asarray(label))
    indicator = jax.lax.broadcasted_iota(label.dtype, (*label.shape, classes), label.ndim) == label[..., None]
    return indicator.astype(dtype) + nan_unless(is_class(label, classes), dtype)[..., None]


def pick(values: Array, label: Array) -> Array:
    r"""The entry of the last axis that the label names; NaN if it names none.

    $$ v_y $$

    It is a comparison and a sum, which is part of another pass over the values on a TPU or a GPU, and works on a split
    axis, where an index does not; on a CPU it is an index.

    >>> print(pick(jnp.array([5.0, 7.0]), jnp.array(1)))
    7.0
    """
    label = _wide(jnp.asarray(label))
    return entry(values, label) + nan_unless(is_class(label, values.shape[-1]), values.dtype)


def entry(values: Array, place: Array) -> Array:
    """The entry of the last axis at a place that it has."""
    return jax.lax.platform_dependent(values, place, cpu=entry_on_cpu, default=entry_by_comparison)


def is_at(values: Array, label: Array) -> Array:
    """Whether each entry of the last axis is the one that the label names."""
    return _split_alike(_places(values, label) == label[..., None], values)


def is_at_in_slope(values: Array, label: Array) -> Array:
    """`is_at` by other arithmetic: XLA for a GPU writes out one comparison that a sum and a slope share."""
    return _split_alike(_places(values, label) - label[..., None] == 0, values)


def _places(values: Array, label: Array) -> Array:
    return jax.lax.broadcasted_iota(label.dtype, values.shape, values.ndim - 1)


def _split_alike(at: Array, values: Array) -> Array:
    """A condition has to be split over devices as the values are."""
    return at & ~jnp.isnan(values) if may_be_split(values) else at


def place_of_largest(values: Array) -> Array:
    """The place of a largest entry of the last axis. On a CPU an argmax is slow, and on a split axis it gathers."""

    def by_comparison(values: Array) -> Array:
        places = jax.lax.broadcasted_iota(jnp.int32, values.shape, values.ndim - 1)
        return jnp.max(jnp.where(values >= jnp.max(values, axis=-1, keepdims=True), places, -1), axis=-1)

    def by_argmax(values: Array) -> Array:
        return jax.lax.argmax(values, values.ndim - 1, jnp.int32)

    if may_be_split(values):
        return by_comparison(values)
    return jax.lax.platform_dependent(values, cpu=by_comparison, default=by_argmax)


def is_class(label: Array, classes: int) -> Array:
    """Whether the label is one of the classes."""
    return (label >= 0) & (label < classes)


def nan_unless(valid: Array, dtype: Input) -> Array:
    """0 where it is valid, and else NaN, which is not formed where all is valid: `jax_debug_nans` would stop there."""
    return jnp.sqrt(0 - (~valid).astype(dtype))


def known(x: Array, counted: Array | bool = True) -> Array:
    """0, or NaN where a number that counts is NaN, which what only compares or chooses would pass over.

    >>> print(known(jnp.array([1.0, jnp.nan]), jnp.array([True, False])))
    0.0
    """
    return nan_unless(jnp.all((x == x) | jnp.logical_not(counted)), x.dtype)


def on_this_device(label: Array, classes: int, axis_name: Any) -> Array:
    """The label as a place among the classes of this device, where they are split over axes of a `shard_map`."""
    return label - (jax.lax.axis_index(axis_name) * classes).astype(label.dtype) if axis_name else label


def in_32_bits(label: Array) -> Array:
    """The label in 32 bits; one that does not fit them is no class, and stays none."""
    beyond = (label < 0) | (label > jnp.iinfo(jnp.int32).max)
    return jnp.where(beyond, -1, label.astype(jnp.int32))


def _wide(label: Array) -> Array:
    """The label in 32 bits at least: fewer may be too few to number the classes."""
    return label.astype(jnp.int32) if label.dtype.itemsize < 4 else label
