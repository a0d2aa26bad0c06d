"""A tile of the logits of a linear head: what it adds to the softmax of its rows, and what it passes back.

A tile is some rows (tokens) by some columns (classes). All sums are taken in float32 or wider; in a row, the class of
the label is kept apart from the others, so that a confident row costs the sum of its others and not a difference.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import multiply_no_nan


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
    label_smoothing: Array | None
    z_loss: Array | None
    softcap: Array | None

    def count(self, tiling: Tiling) -> int:
        """How many columns there are."""
        return self.kernel.shape[0 if tiling.classes_first else 1]


class Rows(NamedTuple):
    """Of each row: the largest logit but the label's, the sum of exp(logit - largest) of all but the label, the logit
    of the label (-inf as long as it was not met), and the sum of all but the label that are possible.
    """

    largest: Array
    others: Array
    label: Array
    total: Array


class Costs(NamedTuple):
    """Of each row: the surprisal of the label, the mean surprisal of all classes (or None), and the log-partition."""

    surprisal: Array
    uniform: Array | None
    log_partition: Array


class Pull(NamedTuple):
    """What the gradient of each row is made of: scale * exp(logit - largest) - shift, and at the label `label`."""

    scale: Array
    largest: Array
    shift: Array | None
    label: Array


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


# ------------------------------------------------------------------------------------------------------------- softmax


def no_rows_yet(count: int, dtype: Any) -> Rows:
    """The statistics of no tile; the largest is the lowest finite number, as two infinities have no difference."""
    return Rows(*(jnp.full(count, x, dtype) for x in (jnp.finfo(dtype).min, 0, -jnp.inf, 0)))


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


def add_tile(tiling: Tiling, head: Head, rows: Rows, tile: Array, column: Array) -> Rows:
    """What the rows know after one more tile."""
    label = at_label(tiling, tile, column)
    # Never more than -inf. As it depends on the label, the tile is read before it is changed, and changed in place.
    tile = put_at_label(tiling, tile, column, jnp.minimum(label, -jnp.inf))
    largest = jax.lax.stop_gradient(jnp.maximum(rows.largest, jnp.max(tile, axis=1)))
    others = rows.others * jnp.exp(rows.largest - largest) + jnp.sum(jnp.exp(tile - largest[:, None]), axis=1)
    total = rows.total
    if head.label_smoothing is not None:
        total = total + jnp.sum(jnp.where(tile != -jnp.inf, tile, 0), axis=1)
    return Rows(largest, others, jnp.maximum(rows.label, label), total)


def costs_and_pull(head: Head, rows: Rows, known: Array, weights: Array, classes: Array) -> tuple[Costs, Pull]:
    """From the statistics of whole rows to what they cost, and to what their gradient is made of."""
    largest = jax.lax.stop_gradient(jnp.maximum(rows.largest, rows.label))
    others = rows.others * jnp.exp(rows.largest - largest)
    possible = rows.label != -jnp.inf
    gap = jnp.where(possible, largest - rows.label, jnp.inf)
    # 1 + excess is the sum of all, and never less than 1, but where no class is possible.
    excess = others + jnp.expm1(-gap)
    excess = jnp.where(excess < 0, 0, excess)
    log_total = jnp.log1p(excess)
    log_partition = largest + log_total
    weights = jnp.where(known | (weights == 0), weights, jnp.nan)
    uniform = shift = None
    probability = jnp.exp(-gap) / (1 + excess)
    at_label = -others / (1 + excess)
    scale = weights / (1 + excess)
    if head.z_loss is not None:
        slope = 2 * head.z_loss * log_partition
        at_label = at_label + slope * probability
        scale = scale * (1 + slope)
    if head.label_smoothing is not None:
        label = jnp.where(possible, rows.label, 0)
        uniform = (largest - (rows.total + label) / classes) + log_total
        at_label = at_label + head.label_smoothing * (1 - 1 / classes)
        shift = weights * head.label_smoothing / classes
    at_label = jnp.where(possible, weights * at_label, 0)
    return Costs(jnp.where(known, gap + log_total, jnp.nan), uniform, log_partition), Pull(
        scale, largest, shift, at_label
    )


def cost_of(head: Head, costs: Costs) -> Array:
    """The value of each row."""
    value = costs.surprisal
    smoothing = head.label_smoothing
    if costs.uniform is not None and smoothing is not None:
        value = multiply_no_nan(1 - smoothing, value) + multiply_no_nan(smoothing, costs.uniform)
    return value if head.z_loss is None else value + head.z_loss * jnp.square(costs.log_partition)


# ------------------------------------------------------------------------------------------------------------ gradient


def gradient_of(tiling: Tiling, head: Head, pull: Pull, tile: Array, column: Array) -> tuple[Array, Array | None]:
    """The gradient of the cost in the logits of a tile before the cap, and the sum of that in the cap."""
    slope = pull.scale[:, None] * jnp.exp(tile - pull.largest[:, None])
    if pull.shift is not None:
        slope = slope - pull.shift[:, None]
        if head.possible is not None:
            slope = jnp.where(tile != -jnp.inf, slope, 0)
    slope = put_at_label(tiling, slope, column, pull.label)
    if head.softcap is None:
        return slope, None
    share = tile / head.softcap
    if head.possible is not None:
        share = jnp.where(tile != -jnp.inf, share, 0)
    bent = 1 - jnp.square(share)
    in_cap = share - jnp.where(bent > 0, jnp.arctanh(jnp.where(bent > 0, share, 0)) * bent, 0)
    return slope * bent, jnp.sum(slope * in_cap)
