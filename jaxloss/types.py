"""The vocabulary of every parameter list: arrays, options and the range of an option."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp

Array: TypeAlias = jax.Array
Shape: TypeAlias = tuple[int, ...]

Input: TypeAlias = Any
"""An array parameter: a caller may pass anything array-like, the term receives a `jax.Array`."""

TRACED = "may be traced"
BYTES = "a number of bytes, on which shapes depend"

Number: TypeAlias = Annotated[Any, TRACED]
"""A numeric option: a Python or NumPy number, or an array that all items share.

The term does not branch on it, so that an eager call traces it, and compiles no program for another number.
"""


@dataclass(frozen=True)
class Interval:
    """The range of an option. A number out of it is refused; an array, which may be traced, is NaN out of it.

    The attributes are those of `annotated_types.Interval`, so an option annotated with that package is checked too.
    """

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None


Negative: TypeAlias = Annotated[Number, Interval(lt=0)]
Positive: TypeAlias = Annotated[Number, Interval(gt=0)]
NonNegative: TypeAlias = Annotated[Number, Interval(ge=0)]
UnitInterval: TypeAlias = Annotated[Number, Interval(ge=0, le=1)]
Memory: TypeAlias = Annotated[Any, BYTES, Interval(gt=0)]
"""Bytes that a loss may take. They decide shapes, so they are never traced."""


def computing_dtype(arrays: Iterable[Array]) -> Any:
    """The widest floating dtype among the arrays, at least float32. Python scalars have no say (their type is weak)."""
    deciding = [a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.floating) and not a.weak_type]
    if not deciding:
        return jax.dtypes.canonicalize_dtype(float)
    return jnp.dtype(jnp.float64 if jnp.float64 in deciding else jnp.float32)


@functools.cache
def is_label(array_name: str) -> bool:
    """Whether a parameter of this name takes integers."""
    return array_name.split("_")[-1] in ("label", "labels")


@functools.cache
def is_mask(array_name: str) -> bool:
    """Whether a parameter of this name takes booleans."""
    return array_name.split("_")[-1] == "mask"
