"""The loss of one row of a head, as its author wrote it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.classes import is_class, nan_unless
from jaxloss.numerics.devices import vary, varying
from jaxloss.numerics.head.plan import Task
from jaxloss.numerics.row import Rows, Softmax, gap_of, softmax_of
from jaxloss.numerics.safe import finite_slope
from jaxloss.types import Array

Parameters = dict[str, Array]


class Given(NamedTuple):
    """What a link takes beside the softmax, by name: a number of each row `[n]`, and arrays that all rows share."""

    each: Parameters
    shared: Parameters

    @property
    def all(self) -> Parameters:
        return self.each | self.shared


@dataclass(frozen=True)
class Link:
    """The loss of one row, a function of its Softmax and of what else is given by name."""

    function: Callable[..., Any]
    fixed: Mapping[str, Any] = field(hash=False)  # the arguments that are no arrays
    reads: frozenset[str]  # which numbers of the softmax it uses
    dtype: Any  # of its value

    def values_and_slopes(
        self, task: Task, rows: Rows, labels: Array, given: Given, wanted: frozenset[str]
    ) -> tuple[Array, Rows, Parameters]:
        """The value of each row, NaN where the label is no class, and its slopes in statistics and given arrays."""
        given = given._replace(shared=vary(given.shared, varying((rows, given.each))))

        def softmax_of_rows(rows: Rows) -> Softmax:
            label = jnp.where(jnp.isneginf(rows.label), -jnp.inf, rows.label)  # an impossible class has no slope
            return softmax_of(self.reads, rows, gap_of(label, rows.largest))

        def one_row(softmax: Softmax, moving: Parameters, given: Parameters) -> Any:
            return jnp.asarray(self.function(softmax, **self.fixed, **(given | moving))).astype(self.dtype)

        softmax, back = jax.vjp(softmax_of_rows, rows._replace(top=None))
        moving = {name: x for name, x in given.all.items() if name in wanted}
        axes = {name: 0 if name in given.each else None for name in given.all}
        each_row = jax.vmap(jax.value_and_grad(one_row, (0, 1)), (0, {name: axes[name] for name in moving}, axes))
        values, (slopes, in_given) = each_row(softmax, moving, given.all)
        (in_rows,) = back(jax.tree.map(finite_slope, slopes))
        named = is_class(labels, task.classes * jax.lax.axis_size(task.axis_name))
        return values + nan_unless(named, values.dtype), in_rows, in_given


def linked(
    function: Callable[..., Any], each: Mapping[str, Array], shared: Mapping[str, Any], dtype: Any
) -> tuple[Link, Given]:
    """The link, traced once to see which statistics it uses, and its arrays, real ones in the computing dtype."""

    def real(x: Array) -> Array:
        return x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    arrays = {name: x for name, x in shared.items() if isinstance(x, np.ndarray | np.generic | jax.Array)}
    fixed = {name: x for name, x in shared.items() if name not in arrays}
    given = Given(*({name: real(jnp.asarray(x)) for name, x in part.items()} for part in (each, arrays)))
    name = getattr(function, "__name__", type(function).__name__)
    softmax = Softmax(*[jax.ShapeDtypeStruct((), dtype)] * len(Softmax._fields))
    of_one_row = {name: jax.ShapeDtypeStruct((), x.dtype) for name, x in given.each.items()}
    program = jax.make_jaxpr(functools.partial(function, **fixed))(softmax, **of_one_row, **given.shared).jaxpr
    if [x.aval.shape for x in program.outvars] != [()]:
        shapes = ", ".join(str(x.aval.shape) for x in program.outvars)
        raise ValueError(f"{name} must return one number for one token, got shape {shapes or 'nothing'}.")
    used = {id(x) for equation in program.eqns for x in equation.invars} | {id(x) for x in program.outvars}
    reads = frozenset(n for n, x in zip(Softmax._fields, program.invars, strict=False) if id(x) in used)
    if not reads:
        raise ValueError(f"{name} must use its first argument, one of {', '.join(Softmax._fields)}; it uses none.")
    return Link(function, fixed, reads, dtype), given
