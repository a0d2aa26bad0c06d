"""A tile of the logits of a linear head: some rows (tokens) by some columns (classes).

Products are added up in float32 or wider, of the arrays as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.types import Array


@dataclass(frozen=True)
class Tiling:
    """How a sweep walks the logits: facts that are known before any value is.

    Attributes:
        rows: How many rows are taken at a time.
        columns: How many columns of the gradient are formed at a time.
        keep: Whether the logits of the rows at hand are kept whole between the softmax and the gradient.
        classes_first: Whether the kernel is `[v, d]`.
        words: Whether 16-bit arrays are cut as integers, for a compiler that would otherwise widen all of them.
        strided: Whether the rows are taken in strides and classes are never cut, as arrays sharded over a mesh are.
        axis_name: The mesh axes over which the classes are split by hand.
        dtype: In which all is added up.
    """

    rows: int
    columns: int
    keep: bool
    classes_first: bool
    words: bool
    strided: bool
    axis_name: Any
    dtype: Any
    remembers: bool = True

    def differentiable(self) -> "Tiling":
        """The same walk for plain autodiff: integers would swallow a derivative, and a part is formed again for it."""
        return replace(self, words=False, keep=False, remembers=False)

    def remember(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return function if self.remembers else jax.checkpoint(function)


class Head(NamedTuple):
    """The parameters that all rows share. What is None is not there; `possible` says which classes there are."""

    kernel: Array
    bias: Array | None
    possible: Array | None
    softcap: Array | None

    def count(self, tiling: Tiling) -> int:
        """How many columns there are."""
        return self.kernel.shape[0 if tiling.classes_first else 1]


def columns(tiling: Tiling, head: Head, start: Any, width: int) -> Array:
    """Some columns of the kernel. Those of impossible classes may hold anything, and are 0."""
    axis = 0 if tiling.classes_first else 1
    kernel = cut(tiling, head.kernel, start, width, axis)
    if head.possible is None:
        return kernel
    possible = cut(tiling, head.possible, start, width, 0)
    return jnp.where(jnp.expand_dims(possible, 1 - axis), kernel, jnp.zeros((), kernel.dtype))


def cut(tiling: Tiling, array: Array, start: Any, width: int, axis: int) -> Array:
    """Some places of an axis, from a start that may be known only in a loop."""
    if width == array.shape[axis]:
        return array
    if tiling.words and array.dtype.itemsize == 2:
        words = jax.lax.bitcast_convert_type(array, jnp.uint16)
        return jax.lax.bitcast_convert_type(jax.lax.dynamic_slice_in_dim(words, start, width, axis), array.dtype)
    return jax.lax.dynamic_slice_in_dim(array, start, width, axis)


def multiply(tiling: Tiling, a: Array, b: Array, axis_a: int, axis_b: int, sharding: Any = None) -> Array:
    """The product of two matrices over one axis of each, added up wide. Equal narrow dtypes are multiplied as such."""
    if a.dtype != b.dtype:
        a, b = a.astype(tiling.dtype), b.astype(tiling.dtype)
    return jax.lax.dot_general(
        a, b, (((axis_a,), (axis_b,)), ((), ())), preferred_element_type=tiling.dtype, out_sharding=sharding
    )


def logits_of(tiling: Tiling, head: Head, hidden: Array, start: Any, width: int) -> Array:
    """The logits of a tile, -inf where a class is impossible."""
    kernel = columns(tiling, head, start, width)
    logits = multiply(tiling, hidden, kernel, 1, 1 if tiling.classes_first else 0, _sharding(hidden, kernel, tiling))
    if head.bias is not None:
        logits = logits + cut(tiling, head.bias, start, width, 0).astype(tiling.dtype)[None, :]
    if head.softcap is not None:
        logits = head.softcap * jnp.tanh(logits / head.softcap)
    if head.possible is not None:
        logits = jnp.where(cut(tiling, head.possible, start, width, 0)[None, :], logits, -jnp.inf)
    return logits


def _sharding(hidden: Array, kernel: Array, tiling: Tiling) -> Any:
    """On a mesh of explicit axes: rows as they are split, and columns as they are."""
    rows, classes = explicit(hidden)[:1], explicit(kernel)[:1] if tiling.classes_first else explicit(kernel)[1:]
    return jax.P(*rows, *classes) if rows else None


def explicit(array: Array) -> tuple[Any, ...]:
    """How each axis is split over explicit mesh axes; nothing where there are none."""
    sharding = jax.typeof(array).sharding
    return tuple(sharding.spec) if jax.sharding.AxisType.Explicit in sharding.mesh.axis_types else ()


def put_at_label(tiling: Tiling, tile: Array, column: Array, value: Any) -> Array:
    """The tile with another entry at the label of each row that has it in this tile."""
    value = jnp.broadcast_to(jnp.asarray(value, tile.dtype), column.shape)
    if tiling.strided:
        return jnp.where(_is_label(tile, column), value[:, None], tile)
    return tile.at[jnp.arange(len(column)), _inside(tile, column)].set(value, mode="drop", unique_indices=True)


def at_label(tiling: Tiling, tile: Array, column: Array) -> Array:
    """The entry at the label; -inf in a row whose label is in another tile."""
    if tiling.strided:
        return jnp.max(jnp.where(_is_label(tile, column), tile, -jnp.inf), axis=1)
    return tile.at[jnp.arange(len(column)), _inside(tile, column)].get(mode="fill", fill_value=-jnp.inf)


def _is_label(tile: Array, column: Array) -> Array:
    return jax.lax.broadcasted_iota(column.dtype, tile.shape, 1) == column[:, None]


def _inside(tile: Array, column: Array) -> Array:
    width = tile.shape[1]
    return jnp.where((column >= 0) & (column < width), column, width)
