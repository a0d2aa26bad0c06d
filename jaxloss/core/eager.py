"""A call outside any transformation is one compiled program for a loss and its shapes, kept for the next call.

Op by op, each primitive would be dispatched alone. A program is kept for a term and a plan, the options that are not
traced, and what the functions in them read beside their arguments: closures and globals, by identity. A call goes its
plain way where an argument is traced, where a function is no plain one or reads a tracer or a NumPy array (which may
change in place), and where a term looks at the values of its arrays.
"""

import functools
import types
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from jaxloss.core.call import Call
from jaxloss.core.term import Term
from jaxloss.core.weighting import Reduction

_KEPT = 256
_LOOKS_AT_VALUES = (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)

Evaluate = Callable[[Reduction, Call], Any]


def run(evaluate: Evaluate, plan: Reduction, call: Call) -> Any:
    """`evaluate(plan, call)`, compiled where it can be."""
    term = call.term
    numbers = {n: x for n, x in call.options.items() if n in term.traced and _is_traced(x, term.defaults.get(n))}
    # By value and by text, as 1, 1.0 and True are equal.
    fixed = tuple((n, x, None if callable(x) else str(x)) for n, x in call.options.items() if n not in numbers)
    reads = _read_by(filter(callable, [term.function, term.weighted_sum, plan.last, *(x for _, x, _ in fixed)]))
    arrays = [*call.arrays.values(), call.where, call.weights, *numbers.values()]
    if reads is None or any(isinstance(array, jax.core.Tracer) for array in arrays):
        return evaluate(plan, call)
    try:
        program = _program(evaluate, plan, term, fixed, reads)
    except TypeError:  # an option that cannot be compared: an array, a list
        return evaluate(plan, call)
    try:
        return program(call.arrays, numbers, call.where, call.weights)
    except _LOOKS_AT_VALUES:
        return evaluate(plan, call)


def _is_traced(option: Any, default: Any) -> bool:
    """Whether it is a number, but not the default, for which a term may be simpler."""
    if isinstance(option, int | float):
        return not isinstance(option, bool) and option != default
    return isinstance(option, jax.Array)


@functools.lru_cache(maxsize=_KEPT)
def _program(evaluate: Evaluate, plan: Reduction, term: Term, fixed: tuple[Any, ...], _: "_Reads") -> Any:
    options = {name: option for name, option, _ in fixed}

    @functools.partial(jax.jit, inline=True)
    def program(arrays: Any, numbers: Any, where: Any, weights: Any) -> Any:
        in_order = {name: arrays[name] for name in term.arrays if name in arrays}  # jit sorts a dict by its keys
        return evaluate(plan, Call(term, in_order, options | numbers, where, weights))

    return program


class _Reads:
    """Objects, equal where each is the same as in the other. Held, so that no other takes the place of one."""

    def __init__(self, objects: list[Any]) -> None:
        self.objects = objects
        self.identity = tuple(map(id, objects))

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reads) and self.identity == other.identity


def _read_by(functions: Iterable[Any]) -> _Reads | None:
    """What functions read beside their arguments; None where that cannot be told, or may change unseen."""
    objects: list[Any] = []
    for function in functions:
        if not isinstance(function, types.FunctionType):
            return None
        try:
            objects += [cell.cell_contents for cell in function.__closure__ or ()]
        except ValueError:  # a name that is not bound yet
            return None
        objects += [function.__globals__.get(name) for name in _names(function.__code__)]
    return None if any(isinstance(x, jax.core.Tracer | np.ndarray) for x in objects) else _Reads(objects)


@functools.cache
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The globals that a function may read, itself or by a function inside it."""
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return tuple(dict.fromkeys([*code.co_names, *(name for names in inner for name in names)]))
