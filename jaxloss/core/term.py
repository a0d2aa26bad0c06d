"""Term: the formula an author wrote, and what its parameter list and its signature say about it."""

import functools
import inspect
import math
import operator
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.types import TRACED, Array, Shape, is_label, is_mask

RESERVED = ("where", "weights")
Core: TypeAlias = tuple[str, ...]
"""The core axes of an array, by name."""
_DIMENSIONS = r"\((\w+(,\w+)*)?\)"
_SIGNATURE = re.compile(rf"{_DIMENSIONS}(,{_DIMENSIONS})*->{_DIMENSIONS}")
_COMPARISONS = {
    "gt": (">", operator.gt),
    "ge": (">=", operator.ge),
    "lt": ("<", operator.lt),
    "le": ("<=", operator.le),
}
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@functools.cache
def parse(text: str) -> tuple[tuple[Core, ...], Core]:
    """Reads NumPy's gufunc notation, "(n,d),(n)->(n)": the core axes of each array, and of the value."""
    compact = re.sub(r"\s", "", text)
    if not _SIGNATURE.fullmatch(compact):
        raise ValueError(f"signature must read like '(k),()->()', with one output, got {text!r}.")
    *inputs, output = (tuple(re.findall(r"\w+", core)) for core in re.findall(r"\([^)]*\)", compact))
    for axis in output:
        if not any(axis in core for core in inputs):
            raise ValueError(f"signature {text!r} has the output axis {axis!r}, which no input has.")
    return tuple(inputs), output


@dataclass(frozen=True)
class Term:
    """A formula about one item. Positional parameters are arrays, keyword-only parameters are options.

    `weighted_sum` is None, or the same formula summed over many items without their values ever existing all at once.
    `stand_in` is None, or what takes the place of a masked item: the pairs of array and constant.
    """

    function: Callable[..., Any]
    signature: str | None
    weighted_sum: Callable[..., Any] | None = None
    stand_in: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.signature, str | None):
            raise TypeError(f"{self.name}: signature must be text such as '(k),()->()', got {self.signature!r}.")
        if self.weighted_sum is not None and not (callable(self.weighted_sum) and self.signature):
            raise TypeError(
                f"{self.name}: weighted_sum must be a function and goes with a signature, got {self.weighted_sum!r}."
            )
        for parameter in self.parameters.values():
            self._check_parameter(parameter)
        if not self.arrays:
            raise TypeError(f"{self.name} takes no array; its positional parameters are the arrays of one item.")
        if self.signature is not None and len(parse(self.signature)[0]) != len(self.arrays):
            raise ValueError(
                f"{self.name}: signature {self.signature!r} describes {len(parse(self.signature)[0])} arrays, "
                f"but the term takes {len(self.arrays)}: {', '.join(self.arrays)}."
            )
        if self.stand_in is not None:
            object.__setattr__(self, "stand_in", self._constants())

    def _check_parameter(self, parameter: inspect.Parameter) -> None:
        name, default = parameter.name, parameter.default
        if name in RESERVED:
            raise TypeError(
                f"{self.name} declares {name!r}, which every loss has already; drop it from the term, "
                f"and name a mask inside one item after what it masks (class_mask, item_mask)."
            )
        if parameter.kind in _VARIADIC:
            raise TypeError(f"{self.name} takes {parameter}; name each array and each option instead.")
        if parameter.kind in _POSITIONAL and default is not parameter.empty and default is not None:
            raise TypeError(
                f"{self.name}: positional parameters are arrays, and {name!r} has the default {default!r}; "
                f"make it an option by a '*' before it."
            )

    def _constants(self) -> tuple[tuple[str, float], ...]:
        """What stands in for each array: what was declared, 0 for other labels and True for other masks."""
        given = self.stand_in
        if isinstance(given, int | float):
            given = {name: given for name in self.arrays if not (is_label(name) or is_mask(name))}
        try:
            declared = dict(given)
        except (TypeError, ValueError):
            declared = {}
        numbers = all(isinstance(constant, int | float) and math.isfinite(constant) for constant in declared.values())
        if not declared or not numbers or not set(declared) <= set(self.arrays):
            raise TypeError(
                f"{self.name}: stand_in must be a finite number, or a mapping from some of {', '.join(self.arrays)} to "
                f"finite numbers, got {self.stand_in!r}."
            )
        labels, masks = filter(is_label, self.arrays), filter(is_mask, self.arrays)
        return tuple(sorted((dict.fromkeys(labels, 0) | dict.fromkeys(masks, True) | declared).items()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Without what is cached: an annotation need not be picklable where the function is.
        return Term, (self.function, self.signature, self.weighted_sum, self.stand_in)

    # ----------------------------------------------------------------------------------------------- the parameter list

    @functools.cached_property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def is_of_the_library(self) -> bool:
        return str(getattr(self.function, "__module__", None)).startswith("jaxloss.losses.")

    @functools.cached_property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.function).parameters

    @functools.cached_property
    def arrays(self) -> tuple[str, ...]:
        return tuple(name for name, parameter in self.parameters.items() if parameter.kind in _POSITIONAL)

    @functools.cached_property
    def options(self) -> tuple[str, ...]:
        return tuple(name for name in self.parameters if name not in self.arrays)

    @functools.cached_property
    def defaults(self) -> Mapping[str, Any]:
        return {name: p.default for name, p in self.parameters.items() if p.default is not p.empty}

    @functools.cached_property
    def cores(self) -> Mapping[str, Core]:
        """The core axes of each array. An axis named by a number has that size."""
        inputs = [()] * len(self.arrays) if self.signature is None else parse(self.signature)[0]
        return dict(zip(self.arrays, inputs, strict=True))

    @functools.cached_property
    def output(self) -> Core:
        return () if self.signature is None else parse(self.signature)[1]

    @functools.cached_property
    def constants(self) -> Mapping[str, float]:
        """What stands in for each array, by name; nothing where the term declares none."""
        return dict(self.stand_in or ())

    @functools.cached_property
    def ranges(self) -> Mapping[str, tuple[Any, ...]]:
        """The `Interval`s in the annotations of the options."""
        try:
            hints = typing.get_type_hints(self.function, include_extras=True)
        except Exception:  # annotations are free text, and may name what cannot be found
            hints = {}
        return {name: getattr(hints[name], "__metadata__", ()) for name in self.options if name in hints}

    @functools.cached_property
    def limits(self) -> Mapping[str, list[tuple[str, float, Callable[[Any, Any], Any]]]]:
        """What a number must be, for each option: the sign in words, the end of the range, the comparison."""
        return {
            name: [
                (sign, getattr(interval, limit), holds)
                for interval in intervals
                for limit, (sign, holds) in _COMPARISONS.items()
                if getattr(interval, limit, None) is not None
            ]
            for name, intervals in self.ranges.items()
        }

    @functools.cached_property
    def traced(self) -> frozenset[str]:
        """The options that an eager call may trace: those annotated with a `Number`, or a range of one."""
        return frozenset(name for name, marks in self.ranges.items() if TRACED in marks)

    # ------------------------------------------------------------------------------------------------------ the formula

    def evaluate(self, arrays: Mapping[str, Array], options: Mapping[str, Any], expected: Shape) -> Array:
        """What the formula returns; what authors most often get wrong in it is refused in their words."""
        try:
            value = self.function(*map(arrays.get, self.arrays), **options)
        except (TypeError, ValueError, IndexError) as error:
            advice = self._advice(type(error), str(error))
            if advice is None:
                raise
            raise type(error)(f"{self.name}: {str(error).splitlines()[0].rstrip('.')}; {advice}.") from error
        if not isinstance(value, jax.Array | np.ndarray | np.generic | int | float):
            raise TypeError(f"{self.name}: the term must return an array, got {type(value).__name__}.")
        value = jnp.asarray(value)
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise TypeError(
                f"{self.name}: the term must return real numbers, got {value.dtype}; cast them by .astype(float)."
            )
        if value.shape != expected:
            raise ValueError(f"{self.name}: {self._mistaken_shape(value.shape, arrays, options, expected)}.")
        return value

    def _advice(self, kind: type[Exception], said: str) -> str | None:
        """What the author of the formula most likely mistook, by an error of JAX."""
        if kind in (TypeError, ValueError) and "integer" in said and "ind" in said.lower():  # indices, an indexer
            return "an array comes to the term as integers where it is named labels or ..._labels, else as real numbers"
        if kind is not IndexError and not (kind is ValueError and "axis" in said and "out of bounds" in said):
            return None
        if self.signature is None:
            return "leave mean and sum to reduce, or declare signature= if one item is more than one number"
        return f"a term sees one item, with the axes of its signature {self.signature!r} and none before them"

    def _mistaken_shape(
        self, shape: Shape, arrays: Mapping[str, Array], options: Mapping[str, Any], expected: Shape
    ) -> str:
        if self.signature is None:
            came = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            return (
                f"an elementwise term must return the shape of its arrays {expected}, got {shape} from {came}; "
                f"leave mean and sum to reduce, or declare signature= if one item is more than one number"
            )
        for name, option in options.items():
            if getattr(option, "shape", ()) and len(shape) > len(self.output):
                return (
                    f"the term returned shape {shape} for one item, from the array option {name!r} of shape "
                    f"{option.shape}; all items share an option, so what varies by item must be an array: "
                    f"a parameter before the '*', and in the signature"
                )
        return (
            f"by its signature {self.signature!r} the term must return shape {expected} for one item, got {shape}; "
            f"leave mean and sum over items to reduce"
        )
