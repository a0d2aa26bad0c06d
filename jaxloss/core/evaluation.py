"""From a call to its number: what each value counts, the values, their sum, and the last step."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core import chunks, slots
from jaxloss.core.call import Call, prepare_options
from jaxloss.core.replacement import replace_masked
from jaxloss.core.slots import both, choose, expand
from jaxloss.core.tally import Tally, finish_by
from jaxloss.core.weighting import Reduction, Weighting, weigh
from jaxloss.numerics.devices import check_axis_names
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.numerics.slopes import moves
from jaxloss.types import Array


def cost(plan: Reduction, call: Call) -> Array:
    """The cost: a scalar, unless the last step is "none"."""
    name = call.term.name
    if plan.last == "none":
        return _values(plan, call)
    if plan.axis_name:
        check_axis_names(name, plan.axis_name, call.arrays.values())
        return finish(plan, jax.lax.psum(tally(plan, call), plan.axis_name), name)
    if plan.chunk_size is None and plan.last in (None, "mean"):
        return _mean(plan, call)
    return finish(plan, tally(plan, call, split=False), name)


def tally(plan: Reduction, call: Call, split: bool = True) -> Tally:
    """What these items add to numerator and denominator of the cost, where `split` says that others are elsewhere."""
    call, part = _prepared(plan, call)
    if split and call.leading and 0 in part.reduced:
        raise ValueError(
            f"{call.term.name}: an inner step reduces the first axis of values of shape {call.values}, "
            f"so its groups may lie across the split and their tallies do not add up; "
            f"call the loss on all items at once."
        )
    if plan.chunk_size is not None:
        step = functools.partial(tally, replace(plan, chunk_size=None), split=False)
        return chunks.tally(step, call, part.reduced, plan.chunk_size)
    return Tally(_add_up(call, part, _all_axes(call)), part.weight)


def finish(plan: Reduction, tally: Tally, loss: str) -> Array:
    """The last step."""
    if plan.last == "none":
        raise ValueError(f"{loss}: the last step is 'none', which has no finish; name another with reduce.")
    if callable(plan.last):
        return finish_by(plan.last, tally, loss)
    return tally.numerator if plan.last == "sum" else tally.mean


def _mean(plan: Reduction, call: Call) -> Array:
    """The mean of all, whose number of values is a constant of the program where it is known."""
    call, part = _prepared(plan, call)
    if call.term.weighted_sum is None:
        return part.mean(_add_up(call, part, _all_axes(call), divided=not part.is_count))
    # What is summed with the coefficients of the mean itself needs no division, nor does its gradient.
    factor = part.mean(jnp.ones((1,) * len(call.values), call.dtype))
    return _add_up(call, part._replace(coefficient=both(part.coefficient, factor)), _all_axes(call))


def _values(plan: Reduction, call: Call) -> Array:
    """What the inner steps leave."""
    call, part = _prepared(plan, call)
    if plan.chunk_size is not None:
        step = functools.partial(_values, replace(plan, chunk_size=None))
        return chunks.values(step, call, part.reduced, plan.chunk_size)
    return _add_up(call, part, part.reduced)


def _all_axes(call: Call) -> tuple[int, ...]:
    return tuple(range(len(call.values)))


def _prepared(plan: Reduction, call: Call) -> tuple[Call, Weighting]:
    for option, names in call.options.items():
        if option.endswith("_axis_name") and names is not None:
            names = names if isinstance(names, tuple) else (names,)
            check_axis_names(call.term.name, names, call.arrays.values(), option)
    part = weigh(call, plan.steps)
    return replace(call, options=prepare_options(call)), part


def _add_up(call: Call, part: Weighting, axes: tuple[int, ...], divided: bool = False) -> Array:
    """The sum over some axes of coefficient * value, where a value that does not count is 0, whatever it is.

    `divided` says that the weight of what counts will divide it.
    """
    left = slots.left(call)
    counted = both(part.counted, left)
    kept = both(_items(call), left) if call.output and counted is not None else counted
    if call.term.weighted_sum is not None and axes:
        # A weighted sum deletes the slots of shared arrays itself, which may be too large for a copy.
        replaced = replace_masked(call, kept, shared=False)
        total = _weighted_sum(call.term.weighted_sum, replaced, counted, part.coefficient, axes)
        if total is not NotImplemented:
            return total
    values = _term_on_every_item(replace_masked(call, kept), counted).astype(call.dtype)
    if counted is not None:
        values = choose(counted, values, 0)
    if part.coefficient is not None:
        if divided:
            values = _weighed(part.coefficient, values, part.weight)
        else:
            values = multiply_no_nan(part.coefficient, values) if part.weighed else part.coefficient * values
    return jnp.sum(values, axis=axes)


@jax.custom_jvp
def _weighed(coefficient: Array, values: Array, _weight: Array) -> Array:
    """Coefficient * value, for a sum that `_weight` divides."""
    return multiply_no_nan(coefficient, values)


# A pass less on a TPU: the sum waits for the weight, as its gradient does, and XLA forms both in one pass.
@functools.partial(_weighed.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    coefficient, values, weight = primals
    factors = {"weight": jnp.where(weight != 0, coefficient, 0), "value": values}
    moved = {name: x for name, x in zip(factors, tangents, strict=False) if moves(x)}
    still = {name: x for name, x in factors.items() if name not in moved}
    product = functools.partial(multiply_no_nan, **still)
    return jax.jvp(lambda moving: product(**moving), ({name: factors[name] for name in moved},), (moved,))


def _items(call: Call) -> Array:
    """Which items count by a mask and weights of whole items, in the rank of the values.

    What masks outputs of an item deletes nothing: a member whose own output does not count serves the others.
    """
    counted = jnp.ones((1,) * len(call.values), bool)
    used = None if call.weights is None else call.weights.astype(call.dtype) >= float(jnp.finfo(call.dtype).tiny)
    for mask in (call.where, used):
        if mask is not None and mask.ndim <= len(call.leading):
            counted = counted & expand(mask, len(call.values) - mask.ndim)
    return counted


def _term_on_every_item(call: Call, counted: Array | None) -> Array:
    call = replace(call, arrays=slots.unmask(call, counted))
    term, arrays = call.term, {name: call.wide(name) for name in call.arrays}
    expected = call.values if term.signature is None else call.output

    def one_item(*args: Array) -> Array:
        return term.evaluate(dict(zip(arrays, args, strict=True)), call.options, expected)

    if term.signature is not None:
        in_axes = tuple(0 if array.ndim > len(term.cores[name]) else None for name, array in arrays.items())
        for _ in call.leading:
            one_item = jax.vmap(one_item, in_axes)
    values = one_item(*arrays.values())
    for name, option in call.options.items():
        # NaN where an array option is, as one out of its range is: the formula may not come to use it.
        if term.limits.get(name) and isinstance(option, jax.Array):
            invalid = jnp.where(jnp.isnan(option), option, 0).astype(values.dtype)
            values = values + (invalid if term.signature is None else jnp.sum(invalid))
    return values


def _weighted_sum(
    function: Callable[..., Any], call: Call, counted: Array | None, coefficient: Array | None, axes: tuple[int, ...]
) -> Any:
    """The sum over some axes as the author of the term takes it, who sees each array as it came and whole."""
    values = call.values
    groups = tuple(axis for axis in range(len(values)) if axis not in axes)
    by_group = {"groups": groups} if "groups" in inspect.signature(function).parameters else {}
    if groups and not by_group:
        return NotImplemented
    weights = jnp.ones((1,) * len(values), call.dtype) if coefficient is None else coefficient
    if counted is not None:
        weights = jnp.where(counted, weights, 0)
    arrays = map(call.arrays.get, call.term.arrays)
    total = function(*arrays, jnp.broadcast_to(weights, values), **call.options, **by_group)
    if total is NotImplemented:
        return total
    expected = tuple(values[axis] for axis in groups)
    if jnp.shape(total) != expected:
        one = f"one number for each group, of shape {expected}" if groups else "one number"
        raise ValueError(f"{call.term.name}: weighted_sum must return {one}, got shape {jnp.shape(total)}.")
    return jnp.asarray(total).astype(call.dtype)
