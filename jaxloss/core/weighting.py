"""How much each value counts: steps, mask and weights become one coefficient a value, before any value exists.

Every chain of mean and sum steps is linear in the values. So the cost is

    how(Tally(sum of coefficient * value, weight of what counts))

and the coefficients are the only place where masks, weights and group sizes meet.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxloss.core import words
from jaxloss.core.arguments import Layout, Shape
from jaxloss.core.tally import Tally
from jaxloss.numerics.safe import ratio
from jaxloss.types import Array

How: TypeAlias = Literal["mean", "sum", "none"] | Callable[[Tally], Array]


class Step(NamedTuple):
    """An inner step: reduce these axes of what the steps before it left, within each group."""

    how: Literal["mean", "sum"]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Reduction:
    """How the values of a loss become a cost: inner steps, then the last; over which mesh axes, how many at a time."""

    steps: tuple[Step, ...] = ()
    last: How | None = None
    axis_name: tuple[Hashable, ...] = ()
    chunk_size: int | None = None


MEAN_OF_ALL = Reduction()


class Weighting(NamedTuple):
    """Which values count, how much the numerator takes of each, and what all of them add to the denominator.

    `counted` and `coefficient` have the rank of the values, with length 1 along axes on which they do not depend; they
    are None where all values count, or count 1. `weighed` says whether weights are part of the coefficients. `weight`
    is a number where no mask and no weight is given, and `is_count` says that it counts values or groups. `reduced` are
    the axes that inner steps reduce.
    """

    counted: Array | None
    coefficient: Array | None
    weighed: bool
    weight: Array | float
    is_count: bool
    reduced: tuple[int, ...]

    def mean(self, numerator: Array) -> Array:
        """The numerator over the weight; 0 where nothing counts."""
        return numerator / _at_least_one(self.weight) if self.is_count else ratio(numerator, self.weight)

    def coefficient_of_mean(self, rank: int, dtype: Any) -> Array:
        """The coefficients of the mean itself: what is summed with them needs no division, nor does its gradient."""
        factor = self.mean(jnp.ones((), dtype)).reshape((1,) * rank)
        return factor if self.coefficient is None else self.coefficient * factor


def weigh(
    loss: str,
    steps: Sequence[Step],
    where: Array | None,
    outputs: Array | None,
    weights: Array | None,
    values: Shape,
    dtype: Any,
) -> Weighting:
    """Runs the steps on the mask (`where`, and the inner masks of the outputs) and the weights alone.

    The first step that reduces an axis of the weights uses them, and each group that it leaves counts once; if none
    does, the last step uses them. A group with nothing that counts does not count.
    """
    counted = both(None if where is None else _aligned(loss, "where", where, values), outputs)
    weighed, weight_axes = weights is not None, 0 if weights is None else weights.ndim
    if weights is not None:
        weights, counted = _usable(_aligned(loss, "weights", weights, values), counted, weight_axes, dtype)
    # A group of no values has nothing that counts.
    groups = jnp.zeros((1,) * len(values), bool) if counted is None and 0 in values else counted
    coefficient: Array | None = None
    left = tuple(range(len(values)))
    for step in steps:
        axes = _named(loss, step, left)
        used = weights if any(axis < weight_axes for axis in axes) else None
        factor = used
        if used is not None:
            weights = None
        if step.how == "mean":
            total = _total(groups, used, axes, values, dtype, keepdims=True)
            factor = 1 / _at_least_one(total) if used is None else ratio(used, total)
        coefficient = _times(coefficient, factor)
        groups = None if groups is None else jnp.any(groups, axis=axes, keepdims=True)
        left = tuple(axis for axis in left if axis not in axes)
    weight = _total(groups, weights, left, values, dtype, keepdims=False)
    reduced = tuple(axis for axis in range(len(values)) if axis not in left)
    return Weighting(counted, _times(coefficient, weights), weighed, weight, weights is None, reduced)


def reduces_items(loss: str, steps: Sequence[Step], values: Shape) -> bool:
    """Whether a step reduces the first axis of the values."""
    left = tuple(range(len(values)))
    for step in steps:
        axes = _named(loss, step, left)
        if 0 in axes:
            return True
        left = tuple(axis for axis in left if axis not in axes)
    return False


def _named(loss: str, step: Step, left: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of the values that a step means, which counts on what the steps before it left."""
    rank = len(left)
    if any(not -rank <= axis < rank for axis in step.axes):
        raise ValueError(f"{loss}: axis={step.axes} is out of range for values with {rank} axes left to reduce.")
    axes = tuple(left[axis] for axis in step.axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{loss}: axis={step.axes} names an axis twice.")
    return axes


def _aligned(loss: str, name: str, array: Array, values: Shape) -> Array:
    """The array in the rank of the values, with length 1 along the trailing axes that it does not have."""
    if array.shape != values[: array.ndim]:
        raise ValueError(
            f"{loss}: {name} must have the shape of the values {values} or a leading part of it, got {array.shape}; "
            f"it is never aligned with the trailing axes{words.to_lead(array.shape, name, values)}."
        )
    return expand(array, len(values) - array.ndim)


def _usable(weights: Array, counted: Array | None, axes: int, dtype: Any) -> tuple[Array, Array | None]:
    """The weights, 0 where masked and NaN where negative, and which values count.

    A weight of 0 is a mask, and so is a subnormal one, which some chips take for 0.
    """
    if counted is not None:  # before anything else touches them: a masked weight may be NaN or negative
        some = _any(counted, tuple(range(axes, counted.ndim)), keepdims=True)
        weights = choose(jnp.broadcast_to(some, weights.shape), weights, 0)
    weights = weights.astype(dtype)
    weights = choose(weights >= 0, weights, jnp.inf)
    weights += weights - weights  # 0, and NaN for what is infinite: a constant NaN would stop `jax_debug_nans`
    return weights, both(counted, ~(weights < float(jnp.finfo(dtype).tiny)))


def _total(
    counted: Array | None, weights: Array | None, axes: tuple[int, ...], values: Shape, dtype: Any, *, keepdims: bool
) -> Any:
    """The weight of what counts along some axes, all that are left unless `keepdims`; no tracer where it is known."""
    if counted is None and weights is None:
        size: Any = math.prod(values[axis] for axis in axes)
        shape = (1,) * len(values) if keepdims else ()
        if export.is_symbolic_dim(size):  # unknown until the exported program is called
            return jnp.full(shape, jnp.asarray(size)).astype(dtype)
        return np.full(shape, size, dtype) if keepdims else float(size)
    summed: Any = counted if weights is None else weights if counted is None else choose(counted, weights, 0)
    repeats: Any = math.prod(values[axis] for axis in axes if summed.shape[axis] == 1)
    known = not export.is_symbolic_dim(summed.size)
    if weights is None and known and summed.size >= 2**31:  # more than 32 bits count: by rows first
        summed = jnp.sum(summed, axis=axes[-1], keepdims=True, dtype=jnp.int32).astype(dtype)
    # Booleans in integers: float32 stops counting at 2**24.
    kind = jnp.int32 if summed.dtype == bool else dtype
    total = jnp.sum(summed, axis=axes if keepdims else None, keepdims=keepdims, dtype=kind).astype(dtype)
    if export.is_symbolic_dim(repeats):
        return total * jnp.asarray(repeats).astype(dtype)
    return total * float(repeats) if repeats != 1 else total


def _at_least_one(count: Any) -> Any:
    """A number to divide by: where it was 0, nothing counts and the numerator is 0."""
    return jnp.maximum(count, 1) if isinstance(count, jax.Array) else count


def _times(one: Array | None, other: Array | None) -> Array | None:
    if one is None or other is None:
        return other if one is None else one
    return one * other


# --------------------------------------------------------------------------------------------------------------- masks


def both(one: Array | None, other: Array | None) -> Array | None:
    """True where both masks are; None is True everywhere."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def choose(counted: Array, array: Array, constant: float) -> Array:
    """The array, with a constant where it does not count: `jnp.where`, in fewer equations where shapes agree."""
    if counted.shape == array.shape:
        return jax.lax.select(counted, array, jax.lax.full_like(array, constant))
    return jnp.where(counted, array, jnp.asarray(constant, array.dtype))


def of_items(where: Array | None, weights: Array | None, layout: Layout, dtype: Any) -> Array | None:
    """Which items count by a mask and weights of items, in the rank of the values.

    What masks outputs of an item deletes nothing: a member whose own output does not count serves the others.
    """
    rank, counted = len(layout.leading), None
    for mask in (where, None if weights is None else weights.astype(dtype) >= float(jnp.finfo(dtype).tiny)):
        if mask is not None and mask.ndim <= rank:
            counted = both(counted, expand(mask, len(layout.values) - mask.ndim))
    return counted


def items_of(counted: Array, layout: Layout) -> Array:
    """Which items count: those with a value that does."""
    return _any(counted, tuple(range(len(layout.leading), counted.ndim)), keepdims=False)


def expand(array: Array, missing: int) -> Array:
    """The array with further axes of length 1."""
    return array.reshape(array.shape + (1,) * missing) if missing else array


def _any(counted: Array, axes: tuple[int, ...], *, keepdims: bool) -> Array:
    return jnp.any(counted, axis=axes, keepdims=keepdims) if axes else counted
