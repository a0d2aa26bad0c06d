"""NumPy's gufunc notation: which trailing axes of an argument belong to one item, and what one item gives."""

import functools
import re
from typing import NamedTuple

_DIMENSIONS = r"\((\w+(,\w+)*)?\)"
_SIGNATURE = re.compile(rf"{_DIMENSIONS}(,{_DIMENSIONS})*->{_DIMENSIONS}")

Core = tuple[str, ...]


class Signature(NamedTuple):
    """The core axes of each array parameter and of the value: `"(k),()->()"` is `((("k",), ()), ())`."""

    inputs: tuple[Core, ...]
    output: Core


def elementwise(number_of_arrays: int) -> Signature:
    """The signature of a term without one: every axis is a leading axis."""
    return Signature(((),) * number_of_arrays, ())


@functools.cache
def parse(text: str) -> Signature:
    """Reads `"(n,d),(n)->(n)"`. An axis named by a number has that size."""
    compact = re.sub(r"\s", "", text)
    if not _SIGNATURE.fullmatch(compact):
        raise ValueError(f"signature must read like '(k),()->()', with one output, got {text!r}.")
    left, right = compact.split("->")
    inputs = tuple(_core(part) for part in re.findall(r"\([^)]*\)", left))
    output = _core(right)
    named = {axis for core in inputs for axis in core}
    for axis in output:
        if axis not in named:
            raise ValueError(f"signature {text!r} has the output axis {axis!r}, which no input has.")
    return Signature(inputs, output)


def _core(part: str) -> Core:
    return tuple(axis for axis in part.strip("()").split(",") if axis)


def show(core: Core) -> str:
    """The axes as they stand in a signature."""
    return f"({', '.join(core)})"
