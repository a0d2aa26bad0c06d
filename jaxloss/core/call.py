"""Call: what a caller passed, as the arrays and options of a term, or as a sentence that says what is wrong."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core import words
from jaxloss.core.term import RESERVED, Term
from jaxloss.types import BYTES, Array, Shape, computing_dtype, is_label, is_mask


@dataclass(frozen=True)
class Call:
    """A term and what it is called with: arrays that are such, options that are in range, each by its name.

    The leading axes of an array, before the core axes of the signature, count items. All arrays that have some have the
    same; the others are shared by all items.
    """

    term: Term
    arrays: dict[str, Array]
    options: dict[str, Any]
    where: Array | None
    weights: Array | None

    def is_mapped(self, name: str) -> bool:
        """Whether an array has leading axes."""
        return self.arrays[name].ndim > len(self.term.cores[name])

    def wide(self, name: str) -> Array:
        """An array in the dtype that the values are computed in; labels and masks as they are."""
        return self.arrays[name] if is_label(name) or is_mask(name) else self.arrays[name].astype(self.dtype)

    @property
    def values(self) -> Shape:
        """The shape of the unreduced values."""
        return self.leading + self.output

    @functools.cached_property
    def leading(self) -> Shape:
        leading = {}
        for name, array in self.arrays.items():
            core = self.term.cores[name]
            if array.ndim < len(core):
                axes = ", ".join(core)
                raise ValueError(
                    f"{self.term.name}: {name} must have at least the axes ({axes}), got shape {array.shape}."
                )
            leading[name] = array.shape[: array.ndim - len(core)]
        first, *others = [name for name in leading if leading[name]] or [""]
        for name in others:
            if leading[name] != leading[first]:
                raise ValueError(f"{self.term.name}: {words.of_leading_axes(self.term, self.arrays, first, name)}.")
        return leading.get(first, ())

    @functools.cached_property
    def output(self) -> Shape:
        """The shape of the value of one item."""
        term, sizes, owners = self.term, dict[str, int](), dict[str, str]()
        for name, array in self.arrays.items():
            core = term.cores[name]
            for axis, size in zip(core, array.shape[array.ndim - len(core) :], strict=True):
                expected = sizes.setdefault(axis, int(axis) if axis.isdigit() else size)
                owner = owners.setdefault(axis, name)
                if size != expected:
                    other = f"{owner} has {expected} (shape {self.arrays[owner].shape})"
                    raise ValueError(
                        f"{term.name}: {name} has {size} along its axis {axis!r} (shape {array.shape}), where "
                        f"{other if owner != name else f'it must have {expected}'}"
                        f"{words.to_fit(term, self.arrays, name, size, owner, expected)}."
                    )
        for name, array in self.arrays.items():
            # k integers shared by k items of k classes are far more often k labels than one distribution.
            if array.shape == self.leading != () and not self.is_mapped(name) and words.look_like_labels(name, array):
                raise ValueError(
                    f"{term.name}: {name} must be real numbers to be shared by all items, got {array.dtype} of "
                    f"shape {array.shape}{words.of_labels(term, self.arrays, name)}."
                )
        return tuple(sizes[axis] for axis in term.output)

    @functools.cached_property
    def dtype(self) -> Any:
        """The dtype that the values are computed in."""
        return computing_dtype(self.arrays.values())


def bind(term: Term, args: Sequence[Any], keywords: Mapping[str, Any], where: Any = None, weights: Any = None) -> Call:
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
            inspect.signature(term.function).bind(*args, **keywords)
        except TypeError as error:
            raise TypeError(f"{term.name}: {error}; it takes {', '.join(term.parameters)}.") from None
    if isinstance(weights, int | float | np.number | np.ndarray) and np.ndim(weights) == 0 and not weights >= 0:
        raise ValueError(f"{term.name}: weights must be >= 0, got {weights!r}.")
    passed = [name for name in term.arrays if not (values[name] is None and name in term.defaults)]
    return Call(
        term,
        {name: _array(term, name, values[name], values) for name in passed},
        {name: _option(term, name, values[name]) for name in term.options},
        None if where is None else _array(term, "where", where, values),
        None if weights is None else _array(term, "weights", weights, values),
    )


# -------------------------------------------------------------------------------------------------------------- arrays


def _array(term: Term, name: str, value: Any, values: Mapping[str, Any]) -> Array:
    """An array of the kind that its name asks for: labels are integers, masks booleans, all else real numbers."""
    array = convert(term.name, name, value)
    if is_label(name) and jnp.issubdtype(array.dtype, jnp.integer):
        return array.astype(jnp.int32) if array.dtype.itemsize < 4 else array
    is_selection = is_mask(name) or name == "where"
    if is_label(name) or not (array.dtype == bool if is_selection else _is_real(array.dtype)):
        raise TypeError(f"{term.name}: {words.of_kind(term, name, array, np.shape(values[term.arrays[0]]))}.")
    return array


def convert(asked: str, name: str, value: Any) -> Array:
    """Anything array-like as an array. Python and NumPy scalars stay weakly typed: they do not decide the dtype.

    An integer that does not fit becomes a float, where JAX would wrap it round; a label becomes -1, which is no class.
    """
    if isinstance(value, jax.Array):
        return value
    if hasattr(value, "__jax_array__"):
        return convert(asked, name, value.__jax_array__())
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and not -(2**31) <= value < 2**31:
        value = -1 if is_label(name) else float(value)
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{asked}: {name} is a masked array, and JAX would drop its mask; pass {name}.data, and where=~{name}.mask."
        )
    try:
        host = np.asarray(value)
        if host.dtype.kind in "OSUMm":
            raise TypeError
    except jax.errors.TracerArrayConversionError:  # a list of traced arrays
        return jnp.asarray(value)
    except (TypeError, ValueError):
        came = f"{value.dtype} array" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"{asked}: {name} must be an array, got {came}.") from None
    if isinstance(value, int | float | complex):
        return jnp.asarray(value)
    if host.dtype.kind in "iu" and host.size:
        kept = np.iinfo(jax.dtypes.canonicalize_dtype(host.dtype))
        if is_label(name):
            host = np.where((host >= 0) & (host < 2**31), host.astype(np.int32), np.int32(-1))
        elif host.dtype != kept.dtype and (host.min() < kept.min or host.max() > kept.max):
            host = host.astype(jax.dtypes.canonicalize_dtype(float))
    return jnp.asarray(host)


@functools.cache
def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer) or dtype == np.bool_


# ------------------------------------------------------------------------------------------------------------- options


def _option(term: Term, name: str, given: Any) -> Any:
    """The option, its range checked if it is a plain number; an int where a float is due is that float.

    A NumPy number is the Python number that it stands for, so that no term has to know two kinds.
    """
    default, limits = term.parameters[name].default, term.limits.get(name, ())
    value = given
    if hasattr(value, "__jax_array__") and not isinstance(value, jax.Array):
        value = value.__jax_array__()
    if isinstance(value, np.generic | np.ndarray) and value.ndim == 0:
        value = value.item()
    elif isinstance(value, np.ndarray) or (isinstance(value, list | tuple) and (limits or name in term.traced)):
        value = convert(term.name, name, value)
    wanted = _wanted(term, name)
    if wanted and not (value is None and default is None) and not wanted[1](value):
        raise TypeError(f"{term.name}: {name} must be {wanted[0]}, got {given!r}.")
    if isinstance(value, int | float):
        if not all(holds(value, end) for _, end, holds in limits):
            expected = " and ".join(f"{sign} {end}" for sign, end, _ in limits)
            raise ValueError(f"{term.name}: {name} must be {expected}, got {given!r}.")
        if isinstance(value, int) and not isinstance(value, bool) and (limits or isinstance(default, float)):
            return float(value)
    return value


def _wanted(term: Term, name: str) -> tuple[str, Callable[[Any], bool]] | None:
    """What an option must be by its annotation or its default, in words and as a test."""
    marks = term.ranges.get(name, ())
    if BYTES in marks:
        return "a number of bytes, as shapes depend on it", _is_plain
    if name in term.traced or term.limits.get(name):
        return "a number or an array", _is_number
    return ("True or False", _may_be_flag) if isinstance(term.parameters[name].default, bool) else None


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _may_be_flag(value: Any) -> bool:
    return isinstance(value, bool) or not isinstance(value, int | float | str | None)


def _is_number(value: Any) -> bool:
    if isinstance(value, jax.Array):
        return _is_real(value.dtype)
    return _is_plain(value)


def prepare_options(call: Call) -> dict[str, Any]:
    """Array options in the computing dtype, and for elementwise terms aligned with the trailing axes of the values."""
    return {name: _prepared(call, name, option) for name, option in call.options.items()}


def _prepared(call: Call, name: str, option: Any) -> Any:
    if not isinstance(option, jax.Array) or option.dtype == bool:
        return option
    array, values = option.astype(call.dtype), call.values
    for _, end, holds in call.term.limits.get(name, ()):
        inside = holds(array, end).astype(call.dtype)
        array = array * (inside / inside)  # NaN out of range, by 0 / 0: no constant that jax_debug_nans would find
    if call.term.signature is not None or array.ndim == 0:
        return array
    padded = (1,) * (len(values) - array.ndim) + array.shape
    if len(padded) != len(values) or any(size not in (1, full) for size, full in zip(padded, values, strict=True)):
        raise ValueError(
            f"{call.term.name}: {name} must be a number or align with the trailing axes of the values, "
            f"got shape {array.shape} for values of shape {values}; what varies by item must be an array of the term, "
            f"a parameter before its '*'."
        )
    return array.reshape(padded)
