"""The term on every item: mapped over the leading axes, or called once if it is elementwise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.arguments import Layout
from jaxloss.core.term import Term
from jaxloss.core.types import Array


def values_of(term: Term, layout: Layout, arrays: dict[str, Array], options: dict[str, Any]) -> Array:
    """The unreduced values."""
    names = tuple(arrays)

    def one_item(*args: Array) -> Array:
        keywords: dict[str, Any] = dict.fromkeys(term.arrays) | dict(zip(names, args, strict=True)) | options
        positional = [keywords.pop(name) for name in term.arrays]
        return _checked_value(term, layout, arrays, term.function(*positional, **keywords))

    values = one_item
    if term.signature is not None:
        in_axes = tuple(0 if layout.mapped[name] else None for name in names)
        for _ in layout.leading:
            values = jax.vmap(values, in_axes)
    return values(*arrays.values())


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
