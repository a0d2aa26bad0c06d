"""From what a caller passed to the arrays and options of a term, or to a sentence that says what is wrong."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core import words
from jaxloss.core.term import RESERVED, Core, Term
from jaxloss.types import Array, is_label, is_mask
from jaxloss.types import Shape as Shape

_PLAIN = frozenset({bool, int, float, str, type(None)})


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
    for name, value in keywords.items():
        if name not in term.parameters:
            raise TypeError(words.unknown(term, name, value))
    if len(args) > len(term.arrays):
        raise TypeError(
            f"{term.name} takes {len(term.arrays)} arrays ({', '.join(term.arrays)}), and by name "
            f"{', '.join([*term.options, *RESERVED])}; got {len(args)} positional arguments."
        )
    values = {**term.defaults, **dict(zip(term.arrays, args, strict=False)), **keywords}
    if len(values) < len(term.parameters) or any(name in keywords for name in term.arrays[: len(args)]):
        try:
            term.call_signature.bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{term.name}: {error}; it takes {', '.join(term.parameters)}.") from None
    arrays = {
        name: _array(term, name, values) for name in term.arrays if not (values[name] is None and name in term.defaults)
    }
    options = {name: _option(term, name, values[name]) for name in term.options}
    return Given(
        arrays,
        options,
        None if where is None else _where(term, where),
        None if weights is None else _weights(term, weights),
    )


# -------------------------------------------------------------------------------------------------------------- arrays


def _array(term: Term, name: str, values: Mapping[str, Any]) -> Array:
    """The argument as an array of the kind its name asks for: labels are integers, masks booleans, all else real."""
    array = _convert(term, name, values[name])
    if is_label(name):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            fix = words.to_integers(term, name, array.shape, np.shape(values[term.arrays[0]]))
            raise TypeError(
                f"{term.name}: {name} must be integers, got {array.dtype} of shape {array.shape}; pass {fix}."
            )
        return array.astype(jnp.int32) if array.dtype.itemsize < 4 else array
    if is_mask(name):
        if array.dtype != bool:
            fix = f"write {name} != 0"
            if not array.shape and term.options:
                fix = f"options go by name ({', '.join(term.options)})"
            raise TypeError(f"{term.name}: {name} must be booleans, got {array.dtype} of shape {array.shape}; {fix}.")
        return array
    if not _is_real(array.dtype):
        raise TypeError(f"{term.name}: {name} must be real numbers, got {array.dtype}.")
    return array


def _where(term: Term, where: Any) -> Array:
    """Which values count, as booleans."""
    mask = _convert(term, "where", where)
    if mask.dtype != bool:
        raise TypeError(
            f"{term.name}: where must be booleans, got {mask.dtype}; write mask != 0 if it says which values count, "
            f"pass it as weights= if it says how much."
        )
    return mask


def _weights(term: Term, weights: Any) -> Array:
    """How much values count, as real numbers."""
    if isinstance(weights, int | float | np.number | np.ndarray) and np.ndim(weights) == 0 and not weights >= 0:
        raise ValueError(f"{term.name}: weights must be >= 0, got {weights!r}.")
    return _array(term, "weights", {"weights": weights})


def _convert(term: Term, name: str, value: Any) -> Array:
    """Anything array-like as an array. Python and NumPy scalars stay weakly typed: they do not decide the dtype."""
    if isinstance(value, jax.Array):
        return value
    if hasattr(value, "__jax_array__"):
        return _convert(term, name, value.__jax_array__())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        value = -1 if is_label(name) else float(value)
    try:
        host = np.asanyarray(value)
        if host.dtype.kind in "OSUMm":
            raise TypeError
    except jax.errors.TracerArrayConversionError:  # a list of traced arrays
        return jnp.asarray(value)
    except (TypeError, ValueError):
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{term.name}: {name} must be an array, got {came}.") from None
    return jnp.asarray(value) if isinstance(value, int | float | complex) else from_host(term.name, name, host)


def from_host(asked: str, name: str, value: Any) -> Array:
    """An array of NumPy as one of JAX, which by itself wraps integers of 64 bits round and drops masks.

    A label that does not fit becomes -1, which is no class. Other integers that do not fit become floats.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{asked}: {name} is a masked array, and JAX would drop its mask; pass {name}.data, and where=~{name}.mask."
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.size:
        kept = np.iinfo(jax.dtypes.canonicalize_dtype(value.dtype))
        if is_label(name):
            fits = (value >= 0) & (value < 2**31)
            value = np.where(fits, value.astype(np.int32), np.int32(-1))
        elif value.dtype != kept.dtype and (value.min() < kept.min or value.max() > kept.max):
            value = value.astype(jax.dtypes.canonicalize_dtype(float))
    return jnp.asarray(value)


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
        if array.shape == batch != () and not leading[name] and words.look_like_labels(name, array):
            raise ValueError(
                f"{term.name}: {name} must be real numbers to be shared by all items, got {array.dtype} of "
                f"shape {array.shape}{words.of_labels(term, arrays, name)}."
            )
    output = tuple(sizes[axis] for axis in term.core.output)
    return Layout(batch, output, {name: bool(axes) for name, axes in leading.items()})


def _leading(loss: str, name: str, shape: Shape, core: Core) -> Shape:
    if len(shape) < len(core):
        raise ValueError(f"{loss}: {name} must have at least the axes ({', '.join(core)}), got shape {shape}.")
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
                    f"{words.of_labels(term, arrays, name) or words.swapped(owner, arrays[owner].shape, size)}."
                )
    return sizes


def _check_leading(term: Term, arrays: Mapping[str, Array], leading: Mapping[str, Shape]) -> None:
    with_items = [name for name, axes in leading.items() if axes]
    for name in with_items[1:]:
        first = with_items[0]
        if leading[name] == leading[first]:
            continue
        shapes = f"{arrays[first].shape} and {arrays[name].shape}"
        what = (
            "the same shape" if term.signature is None else f"the same leading axes, before those of {term.signature!r}"
        )
        fix = words.to_agree(term, arrays, leading, first, name)
        raise ValueError(f"{term.name}: {first} and {name} must have {what}, got {shapes}{fix}.")


def cast(arrays: Mapping[str, Array], dtype: Any) -> dict[str, Array]:
    """All real arrays in the computing dtype; labels and masks as they are."""
    return {n: a if is_label(n) or is_mask(n) else a.astype(dtype) for n, a in arrays.items()}


# ------------------------------------------------------------------------------------------------------------- options


def _option(term: Term, name: str, value: Any) -> Any:
    """The option, its range checked if it is a plain number; an int where a float is due is that float.

    A NumPy number is the Python number that it stands for, so that no term has to know two kinds.
    """
    default, given, limits = term.defaults.get(name), value, term.limits.get(name, ())
    if type(value) not in _PLAIN and not isinstance(value, jax.Array):
        if hasattr(value, "__jax_array__"):
            value = value.__jax_array__()
        if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
            value = value.item()
        elif isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and (limits or name in term.traced)):
            value = _convert(term, name, value)
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
    for _, bound, holds in term.limits.get(name, ()):
        inside = holds(array, bound).astype(dtype)
        array = array * (inside / inside)  # NaN out of range, by 0 / 0: no constant that jax_debug_nans would find
    if term.signature is not None or array.ndim == 0:
        return array
    padded = (1,) * (len(values) - array.ndim) + array.shape
    if len(padded) != len(values) or any(size not in (1, full) for size, full in zip(padded, values, strict=True)):
        raise ValueError(
            f"{term.name}: {name} must be a number or align with the trailing axes of the values, "
            f"got shape {array.shape} for values of shape {values}; what varies by item must be an array of the term, "
            f"a parameter before its '*'."
        )
    return array.reshape(padded)
