"""From what a caller passed to the arrays and options of a term, or to a sentence that says what is wrong."""

import contextlib
import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.signature import Core, show
from jaxloss.core.term import RESERVED, Term
from jaxloss.types import Array, is_label, is_mask

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Which axes of the arrays count items: the leading ones, before the core axes of the signature."""

    leading: Shape
    output: Shape
    mapped: Mapping[str, bool]

    @property
    def values(self) -> Shape:
        """The shape of the unreduced values."""
        return self.leading + self.output


class Given(NamedTuple):
    """What a caller passed: arrays that are such, options that are in range, each by its name."""

    arrays: dict[str, Array]
    options: dict[str, Any]
    where: Array | None
    weights: Array | None


def bind(term: Term, args: Sequence[Any], keywords: Mapping[str, Any], where: Any = None, weights: Any = None) -> Given:
    """The arrays that were passed, and all options, with defaults."""
    for name in keywords:
        if name not in term.parameters:
            raise TypeError(_unknown(term, name))
    if len(args) > len(term.arrays):
        named = f", and takes its options by name ({', '.join(term.options)})" if term.options else ""
        raise TypeError(f"{term.name} takes {len(term.arrays)} arrays{named}; got {len(args)} positional arguments.")
    values = {**term.defaults, **dict(zip(term.arrays, args, strict=False)), **keywords}
    if len(values) < len(term.parameters) or any(name in keywords for name in term.arrays[: len(args)]):
        try:
            term.call_signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{term.name}: {error}; it takes {', '.join(term.parameters)}.") from None
    arrays = {
        name: as_array(term.name, name, values[name])
        for name in term.arrays
        if not (values[name] is None and name in term.defaults)
    }
    options = {name: _checked_option(term, name, values[name]) for name in term.options}
    return Given(arrays, options, as_where(term.name, where), as_weights(term.name, weights))


def _unknown(term: Term, name: str) -> str:
    known = [*term.parameters, *RESERVED]
    guess = difflib.get_close_matches(name, known, n=1)
    suggestion = f"; did you mean {guess[0]!r}?" if guess else "."
    return f"{term.name} has no argument {name!r}, it takes {', '.join(known)}{suggestion}"


# -------------------------------------------------------------------------------------------------------------- arrays


def as_array(loss: str, name: str, value: Any) -> Array:
    """The argument as an array of the kind its name asks for: labels are integers, masks booleans, all else real."""
    if is_label(name):
        value = _narrow(value)
    array = convert(loss, name, value)
    if is_label(name):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise TypeError(
                f"{loss}: {name} must be integers, got {array.dtype} of shape {array.shape}; "
                f"convert class numbers with {name}.astype(int), or a one-hot array with jnp.argmax({name}, -1)."
            )
        return array.astype(jnp.int32) if array.dtype.itemsize < 4 else array
    if is_mask(name):
        if array.dtype != bool:
            raise TypeError(f"{loss}: {name} must be booleans, got {array.dtype}; write {name} != 0.")
        return array
    if not _is_real(array.dtype):
        raise TypeError(f"{loss}: {name} must be real numbers, got {array.dtype}.")
    return array


def as_where(loss: str, where: Any) -> Array | None:
    """Which values count, as booleans."""
    if where is None:
        return None
    mask = convert(loss, "where", where)
    if mask.dtype != bool:
        raise TypeError(
            f"{loss}: where must be booleans, got {mask.dtype}; write mask != 0 if it says which values count, "
            f"pass it as weights= if it says how much."
        )
    return mask


def as_weights(loss: str, weights: Any) -> Array | None:
    """How much values count, as real numbers."""
    if isinstance(weights, int | float | np.number | np.ndarray) and np.ndim(weights) == 0 and not weights >= 0:
        raise ValueError(f"{loss}: weights must be >= 0, got {weights!r}.")
    return None if weights is None else as_array(loss, "weights", weights)


def convert(loss: str, name: str, value: Any) -> Array:
    """Anything array-like as an array. Python and NumPy scalars stay weakly typed: they do not decide the dtype."""
    if isinstance(value, jax.Array):
        return value
    if isinstance(value, np.generic):
        value = value.item()
    try:
        if isinstance(value, str | bytes) or np.asarray(value).dtype.kind in "OSUMm":
            raise TypeError
        return jnp.asarray(value)
    except jax.errors.TracerArrayConversionError:  # a list of traced arrays
        return jnp.asarray(value)
    except (TypeError, ValueError):
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{loss}: {name} must be an array, got {came}.") from None


def _narrow(labels: Any) -> Any:
    """Labels in 32 bits. JAX would wrap a larger one round, perhaps into another class; -1 is no class."""
    if isinstance(labels, int | list | tuple) and not isinstance(labels, bool):
        with contextlib.suppress(ValueError, jax.errors.TracerArrayConversionError):
            labels = np.asarray(labels)
    if not (isinstance(labels, np.ndarray | np.generic) and np.issubdtype(labels.dtype, np.integer)):
        return labels
    labels = np.asarray(labels)
    return np.where((labels >= 0) & (labels <= np.iinfo(np.int32).max), labels, -1).astype(np.int32)


@functools.cache
def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer) or dtype == np.bool_


def layout(term: Term, arrays: Mapping[str, Array]) -> Layout:
    """Splits every shape into leading and core axes, and refuses shapes that do not agree."""
    cores = {name: core for name, core in zip(term.arrays, term.core.inputs, strict=True) if name in arrays}
    shapes = {name: array.shape for name, array in arrays.items()}
    leading = {name: _leading(term.name, name, shapes[name], core) for name, core in cores.items()}
    _check_leading(term, arrays, leading)
    sizes = _core_sizes(term, arrays, cores)
    batch = next((axes for axes in leading.values() if axes), ())
    for name, array in arrays.items():
        # k integers shared by k items of k classes are far more often k labels than one distribution.
        if array.shape == batch != () and not leading[name] and _looks_like_labels(name, array):
            raise ValueError(
                f"{term.name}: {name} must be real numbers to be shared by all items, got {array.dtype} of "
                f"shape {array.shape}{_label_hint(arrays, name)}."
            )
    output = tuple(sizes[axis] for axis in term.core.output)
    return Layout(batch, output, {name: bool(axes) for name, axes in leading.items()})


def _leading(loss: str, name: str, shape: Shape, core: Core) -> Shape:
    if len(shape) < len(core):
        raise ValueError(f"{loss}: {name} must have at least the axes {show(core)}, got shape {shape}.")
    return shape[: len(shape) - len(core)]


def _core_sizes(term: Term, arrays: Mapping[str, Array], cores: Mapping[str, Core]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    owners: dict[str, str] = {}
    for name, core in cores.items():
        shape = arrays[name].shape
        for axis, size in zip(core, shape[len(shape) - len(core) :], strict=True):
            expected = sizes.setdefault(axis, int(axis) if axis.isdigit() else size)
            owner = owners.setdefault(axis, name)
            if size != expected:
                against = (
                    f"{owner} has {expected} (shape {arrays[owner].shape})"
                    if owner != name
                    else f"it must have {expected}"
                )
                raise ValueError(
                    f"{term.name}: {name} has {size} along its axis {axis!r} (shape {shape}), where {against}"
                    f"{_label_hint(arrays, name)}."
                )
    return sizes


def _check_leading(term: Term, arrays: Mapping[str, Array], leading: Mapping[str, Shape]) -> None:
    with_items = {name: axes for name, axes in leading.items() if axes}
    for name, axes in with_items.items():
        first = next(iter(with_items))
        if axes == with_items[first]:
            continue
        shapes = f"{arrays[first].shape} and {arrays[name].shape}"
        what = (
            "the same shape" if term.signature is None else f"the same leading axes, before those of {term.signature!r}"
        )
        raise ValueError(f"{term.name}: {first} and {name} must have {what}, got {shapes}{_fix(arrays, first, name)}.")


def _fix(arrays: Mapping[str, Array], first: str, second: str) -> str:
    for one, other in ((first, second), (second, first)):
        shape, target = arrays[one].shape, arrays[other].shape
        for axis in range(-len(shape), 0):
            squeezed = shape[: axis + len(shape)] + shape[axis + len(shape) + 1 :]
            if shape[axis] == 1 and squeezed == target:
                return f"; drop the axis of length 1 with {one}.squeeze({axis})"
    if arrays[first].shape == arrays[second].shape and is_label(second):
        return (
            f"; {second} looks one-hot: pass jnp.argmax({second}, -1), or use the form of this loss that takes targets"
        )
    return _label_hint(arrays, second) or "; nothing is broadcast, so shape them alike"


def _label_hint(arrays: Mapping[str, Array], name: str) -> str:
    if _looks_like_labels(name, arrays[name]) and any(
        other.shape[:-1] == arrays[name].shape for other in arrays.values()
    ):
        return (
            f"; {name} looks like integer labels: pass jax.nn.one_hot({name}, k), or use the form of this loss "
            f"that takes labels"
        )
    return ""


def _looks_like_labels(name: str, array: Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.integer) and not is_label(name)


def cast(arrays: Mapping[str, Array], dtype: Any) -> dict[str, Array]:
    """All real arrays in the computing dtype; labels and masks as they are."""
    return {n: a if is_label(n) or is_mask(n) else a.astype(dtype) for n, a in arrays.items()}


# ------------------------------------------------------------------------------------------------------------- options


def _checked_option(term: Term, name: str, value: Any) -> Any:
    """The option, its range checked if it is a plain number; an int where a float is due is that float.

    A NumPy number is the Python number that it stands for, so that no term has to know two kinds.
    """
    default, given, limits = term.defaults.get(name), value, term.limits.get(name, ())
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if limits and not _is_number(value) and not (value is None and name in term.defaults and default is None):
        raise TypeError(f"{term.name}: {name} must be a number or an array, got {given!r}.")
    if isinstance(value, int | float):
        if not all(holds(value, bound) for _, bound, holds in limits):
            expected = " and ".join(f"{sign}{bound}" for sign, bound, _ in limits)
            raise ValueError(f"{term.name}: {name} must be {expected}, got {given!r}.")
        if isinstance(value, int) and not isinstance(value, bool) and (limits or isinstance(default, float)):
            return float(value)
    return value


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or (
        isinstance(value, np.ndarray | jax.Array) and _is_real(value.dtype)
    )


def prepare_options(term: Term, options: Mapping[str, Any], values: Shape, dtype: Any) -> dict[str, Any]:
    """Array options in the computing dtype, and for elementwise terms aligned with the trailing axes of the values."""
    return {name: _prepared(term, name, option, values, dtype) for name, option in options.items()}


def _prepared(term: Term, name: str, option: Any, values: Shape, dtype: Any) -> Any:
    if not isinstance(option, np.ndarray | jax.Array) or option.dtype == bool:
        return option
    array = jnp.asarray(option).astype(dtype)
    if term.signature is not None or array.ndim == 0:
        return array
    padded = (1,) * (len(values) - array.ndim) + array.shape
    if len(padded) != len(values) or any(size not in (1, full) for size, full in zip(padded, values, strict=True)):
        raise ValueError(
            f"{term.name}: {name} must be a number or align with the trailing axes of the values, "
            f"got shape {array.shape} for values of shape {values}."
        )
    return array.reshape(padded)
