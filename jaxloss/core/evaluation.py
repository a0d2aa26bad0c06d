"""The term on every item, and the sum of what each value counts."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core import slots
from jaxloss.core.arguments import Layout, cast
from jaxloss.core.replacement import replace_masked
from jaxloss.core.term import Term
from jaxloss.core.weighting import both, choose
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array


@dataclass(frozen=True)
class Items:
    """The items of one call, with nothing left to check, and each share known.

    `counted` and `coefficient` have the rank of the values, with length 1 along axes on which they do not depend, or
    are None where every value counts, or counts 1. So is `kept`, which says which items are not to be replaced.
    `weighed` says whether the coefficients may be 0.
    """

    term: Term
    layout: Layout
    arrays: dict[str, Array]
    options: dict[str, Any]
    counted: Array | None
    kept: Array | None
    coefficient: Array | None
    weighed: bool
    dtype: Any


def add_up(items: Items, axes: tuple[int, ...]) -> Array:
    """The sum over some axes of coefficient * value, where a value that does not count is 0, whatever it is."""
    if items.term.weighted_sum is not None and axes:
        # A weighted sum deletes the slots of shared arrays itself, which may be too large for a copy.
        total = _weighted_sum(items.term.weighted_sum, _replaced(items, shared=False), axes)
        if total is not NotImplemented:
            return total
    items = _replaced(items, shared=True)
    values = _values(items).astype(items.dtype)
    if items.counted is not None:
        values = choose(items.counted, values, 0)
    if items.coefficient is not None:
        values = multiply_no_nan(items.coefficient, values) if items.weighed else items.coefficient * values
    return jnp.sum(values, axis=axes)


def _replaced(items: Items, shared: bool) -> Items:
    """The items with something harmless in the place of what does not count. One without any slot costs 0."""
    term, layout, arrays, options = items.term, items.layout, items.arrays, items.options
    left = slots.left(term, arrays, layout, options)
    counted, kept = both(items.counted, left), both(items.kept, left)
    if counted is None:
        return items
    kept = jnp.ones((1,) * len(layout.values), bool) if kept is None else kept
    arrays, options = replace_masked(term, arrays, options, layout, kept, shared)
    return replace(items, arrays=arrays, options=options, counted=counted)


def _weighted_sum(function: Callable[..., Any], items: Items, axes: tuple[int, ...]) -> Any:
    """The sum over some axes as the author of the term takes it, who sees each array as it came and whole."""
    values = items.layout.values
    groups = tuple(axis for axis in range(len(values)) if axis not in axes)
    by_group = {"groups": groups} if "groups" in inspect.signature(function).parameters else {}
    if groups and not by_group:
        return NotImplemented
    weights = jnp.ones((1,) * len(values), items.dtype) if items.coefficient is None else items.coefficient
    if items.counted is not None:
        weights = jnp.where(items.counted, weights, 0)
    arrays = [items.arrays.get(name) for name in items.term.arrays]
    total = function(*arrays, jnp.broadcast_to(weights, values), **items.options, **by_group)
    if total is NotImplemented:
        return total
    expected = tuple(values[axis] for axis in groups)
    if jnp.shape(total) != expected:
        one = f"one number for each group, of shape {expected}" if groups else "one number"
        raise ValueError(f"{items.term.name}: weighted_sum must return {one}, got shape {jnp.shape(total)}.")
    return jnp.asarray(total).astype(items.dtype)


def _values(items: Items) -> Array:
    term, layout, options = items.term, items.layout, items.options
    arrays = slots.unmask(term, cast(items.arrays, items.dtype), layout, items.counted)
    names = tuple(arrays)

    def one_item(*args: Array) -> Array:
        keywords: dict[str, Any] = dict.fromkeys(term.arrays) | dict(zip(names, args, strict=True)) | options
        positional = [keywords.pop(name) for name in term.arrays]
        return _checked_value(term, layout, arrays, term.evaluate(*positional, **keywords))

    values = one_item
    if term.signature is not None:
        cores = dict(zip(term.arrays, term.core.inputs, strict=True))
        in_axes = tuple(0 if array.ndim > len(cores[name]) else None for name, array in arrays.items())
        for _ in layout.leading:
            values = jax.vmap(values, in_axes)
    return _invalid_options(term, options, values(*arrays.values()))


def _invalid_options(term: Term, options: dict[str, Any], values: Array) -> Array:
    """The values, NaN where an array option is: one out of its range, which the formula may not come to use."""
    for name, option in options.items():
        if term.limits.get(name) and isinstance(option, jax.Array):
            invalid = jnp.where(jnp.isnan(option), option, 0).astype(values.dtype)
            values = values + (invalid if term.signature is None else jnp.sum(invalid))
    return values


def _checked_value(term: Term, layout: Layout, arrays: dict[str, Array], value: Any) -> Array:
    expected = layout.values if term.signature is None else layout.output
    if not isinstance(value, jax.Array | np.ndarray | np.generic | int | float):
        raise TypeError(f"{term.name}: the term must return an array, got {type(value).__name__}.")
    value = jnp.asarray(value)
    if value.shape == expected:
        return value
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    if term.signature is None:
        raise ValueError(
            f"{term.name}: an elementwise term must return the shape of its arrays {expected}, got {value.shape} from "
            f"{shapes}; leave mean and sum to reduce, or declare signature= if one item is more than one number."
        )
    raise ValueError(
        f"{term.name}: by its signature {term.signature!r} the term must return shape {expected} for one item, "
        f"got {value.shape}; leave mean and sum over items to reduce."
    )
