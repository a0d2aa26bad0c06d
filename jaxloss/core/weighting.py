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

from jaxloss.core import slots, words
from jaxloss.core.call import Call
from jaxloss.core.slots import any_of, both, choose, expand
from jaxloss.core.tally import Tally
from jaxloss.numerics.safe import ratio
from jaxloss.types import Array, Shape

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
    weight: Any
    is_count: bool
    reduced: tuple[int, ...]

    def mean(self, numerator: Array) -> Array:
        """The numerator over the weight; 0 where nothing counts."""
        return numerator / _at_least_one(self.weight) if self.is_count else ratio(numerator, self.weight)


def weigh(call: Call, steps: Sequence[Step]) -> Weighting:
    """Runs the steps on the mask (`where`, and the inner masks of the outputs) and the weights alone.

    The first step that reduces an axis of the weights uses them, and each group that it leaves counts once; if none
    does, the last step uses them. A group with nothing that counts does not count.
    """
    values, dtype = call.values, call.dtype
    counted = both(_aligned(call, "where", call.where), slots.of_outputs(call))
    axes_of_weights = 0 if call.weights is None else call.weights.ndim
    weights = _aligned(call, "weights", call.weights)
    if weights is not None:
        weights, counted = _usable(weights, counted, axes_of_weights, dtype)
    # A group of no values has nothing that counts.
    groups = jnp.zeros((1,) * len(values), bool) if counted is None and 0 in values else counted
    coefficient: Array | None = None
    left = tuple(range(len(values)))
    for step in steps:
        axes = _named(call.term.name, step, left)
        factor = used = weights if any(axis < axes_of_weights for axis in axes) else None
        if used is not None:
            weights = None
        if step.how == "mean":
            total = _total(groups, used, axes, values, dtype, keepdims=True)
            factor = 1 / _at_least_one(total) if used is None else ratio(used, total)
        coefficient = both(coefficient, factor)
        groups = None if groups is None else jnp.any(groups, axis=axes, keepdims=True)
        left = tuple(axis for axis in left if axis not in axes)
    weight = _total(groups, weights, left, values, dtype, keepdims=False)
    reduced = tuple(axis for axis in range(len(values)) if axis not in left)
    return Weighting(counted, both(coefficient, weights), call.weights is not None, weight, weights is None, reduced)


def _named(loss: str, step: Step, left: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of the values that a step means, which counts on what the steps before it left."""
    rank = len(left)
    if any(not -rank <= axis < rank for axis in step.axes):
        raise ValueError(f"{loss}: axis={step.axes} is out of range for values with {rank} axes left to reduce.")
    axes = tuple(left[axis] for axis in step.axes)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{loss}: axis={step.axes} names an axis twice.")
    return axes


def _aligned(call: Call, name: str, array: Array | None) -> Array | None:
    """The array in the rank of the values, with length 1 along the trailing axes that it does not have."""
    values = call.values
    if array is None or array.shape == values[: array.ndim]:
        return None if array is None else expand(array, len(values) - array.ndim)
    raise ValueError(
        f"{call.term.name}: {name} must have the shape of the values {values} or a leading part of it, got "
        f"{array.shape}; it is never aligned with the trailing axes{words.to_lead(array.shape, name, values)}."
    )


def _usable(weights: Array, counted: Array | None, axes: int, dtype: Any) -> tuple[Array, Array | None]:
    """The weights, 0 where masked and NaN where negative, and which values count.

    A weight of 0 is a mask, and so is a subnormal one, which some chips take for 0.
    """
    if counted is not None:  # before anything else touches them: a masked weight may be NaN or negative
        some = any_of(counted, tuple(range(axes, counted.ndim)), keepdims=True)
        weights = choose(jnp.broadcast_to(some, weights.shape), weights, 0)
    weights = weights.astype(dtype)
    weights = choose(weights >= 0, weights, jnp.inf)
    weights += weights - weights  # 0, and NaN for what is infinite: a constant NaN would stop `jax_debug_nans`
    return weights, both(counted, ~(weights < float(jnp.finfo(dtype).tiny)))


def _total(
    counted: Array | None, weights: Array | None, axes: tuple[int, ...], values: Shape, dtype: Any, *, keepdims: bool
) -> Any:
    """The weight of what counts along some axes, all that are left unless `keepdims`; no tracer where it is known."""
    total: Any = counted if weights is None else weights if counted is None else choose(counted, weights, 0)
    if total is None:
        total, repeated = np.ones((1,) * len(values) if keepdims else (), dtype), axes
    else:
        repeated = tuple(axis for axis in axes if total.shape[axis] == 1)
        if weights is None and not export.is_symbolic_dim(total.size) and total.size >= 2**31:
            # More than 32 bits count: by rows first.
            total = jnp.sum(total, axis=axes[-1], keepdims=True, dtype=jnp.int32).astype(dtype)
        # Booleans in integers: float32 stops counting at 2**24.
        kind = jnp.int32 if total.dtype == bool else dtype
        total = jnp.sum(total, axis=axes if keepdims else None, keepdims=keepdims, dtype=kind).astype(dtype)
    times: Any = math.prod(values[axis] for axis in repeated)
    if export.is_symbolic_dim(times):  # unknown until the exported program is called
        return total * jnp.asarray(times).astype(dtype)
    return total if times == 1 else total * float(times)


def _at_least_one(count: Any) -> Any:
    """A number to divide by: where it was 0, nothing counts and the numerator is 0."""
    return jnp.maximum(count, 1) if isinstance(count, jax.Array) else count
