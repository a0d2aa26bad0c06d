"""How much each value counts: steps, mask and weights become one coefficient a value, before any value exists.

Every chain of mean and sum steps is linear in the values. So the cost is

    how(Tally(sum of coefficient * value, weight of what counts))

and the coefficients are the only place where masks, weights and group sizes meet.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import jax.numpy as jnp

from jaxloss.core.arguments import Shape
from jaxloss.core.masking import Selection
from jaxloss.core.tally import Tally
from jaxloss.numerics import ratio
from jaxloss.types import Array

How: TypeAlias = Literal["mean", "sum", "none"] | Callable[[Tally], Array]


class Step(NamedTuple):
    """An inner step: reduce these axes of what the steps before it left, within each group."""

    how: Literal["mean", "sum"]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How the values of a loss become a cost: inner steps, then the last; over which mesh axes, how many at a time."""

    steps: tuple[Step, ...] = ()
    last: How | None = None
    axis_name: tuple[Hashable, ...] = ()
    chunk_size: int | None = None


MEAN_OF_ALL = Plan()


class Share(NamedTuple):
    """What the numerator takes of each value, and what all of them add to the denominator.

    `coefficient` is None where it is 1 throughout. `reduced` are the axes that inner steps reduce.
    """

    coefficient: Array | None
    weight: Array
    reduced: tuple[int, ...]


def share(loss: str, steps: Sequence[Step], selection: Selection, values: Shape, dtype: Any) -> Share:
    """Runs the steps on the mask and the weights alone.

    A step that reduces an axis of the weights uses them, and each group it leaves counts once. A step that reduces none
    leaves them to the step that does, at last to the last one. A group with nothing that counts does not count.
    """
    counted, weights = selection.counted, selection.weights
    if 0 in values and counted is None:  # a group of no values has nothing that counts
        counted = jnp.zeros((1,) * len(values), bool)
    coefficient: Array | None = None
    left = tuple(range(len(values)))
    for step in steps:
        axes = _named(loss, step, left)
        used = weights if any(axis < selection.weight_axes for axis in axes) else None
        if used is not None:
            weights = None
        factor = used
        if step.how == "mean":
            total = _total(counted, used, axes, values, dtype)
            factor = ratio(jnp.ones_like(total) if used is None else used, total)
        coefficient = _times(coefficient, factor)
        counted = None if counted is None else jnp.any(counted, axis=axes, keepdims=True)
        left = tuple(axis for axis in left if axis not in axes)
    weight = _total(counted, weights, left, values, dtype)
    reduced = tuple(axis for axis in range(len(values)) if axis not in left)
    return Share(_times(coefficient, weights), jnp.reshape(weight, ()), reduced)


def mean_beforehand(part: Share, rank: int) -> Array:
    """The coefficients of the mean itself: what is summed with them needs no division, nor does its gradient."""
    factor = ratio(jnp.ones_like(part.weight), part.weight).reshape((1,) * rank)
    return factor if part.coefficient is None else part.coefficient * factor


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


def _total(counted: Array | None, weights: Array | None, axes: tuple[int, ...], values: Shape, dtype: Any) -> Array:
    """The weight of what counts along some axes, which stay with length 1."""
    if weights is not None:
        summed = weights if counted is None else jnp.where(counted, weights, 0)
        total = jnp.sum(summed, axis=axes, keepdims=True)
    elif counted is not None:
        # In integers: float32 stops counting at 2**24.
        summed = counted
        total = jnp.sum(counted, axis=axes, keepdims=True, dtype=jnp.int32).astype(dtype)
    else:
        return jnp.full((1,) * len(values), math.prod(values[axis] for axis in axes), dtype)
    repeats = math.prod(values[axis] for axis in axes if summed.shape[axis] == 1)
    return total * repeats if repeats != 1 else total


def _times(one: Array | None, other: Array | None) -> Array | None:
    if one is None or other is None:
        return other if one is None else one
    return one * other
