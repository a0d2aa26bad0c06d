"""A loss of the softmax of a linear head, summed over rows, without its logits.

Two functions are differentiable in every mode. `total_cost` is the sum over all rows; its rule makes the gradient in
the same sweep as the value. `costs` has one number for each row; its gradient waits for the cotangent of each, and
forms the logits again. Both rest on `_statistics`, whose rule says how the sums over classes move with the head.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.devices import vary, varying
from jaxloss.numerics.head import plan
from jaxloss.numerics.head.plan import Task, Walk
from jaxloss.numerics.head.row import (
    Link,
    Rows,
    change_of,
    gradient_of,
    join,
    joined_over,
    nothing,
    summed,
    swept,
    with_its_weights,
)
from jaxloss.numerics.head.tile import Head, before_the_cap, columns, logits_and_change, logits_of, multiply, spread_of
from jaxloss.numerics.platform import apart_on_cpu
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array

Parameters = dict[str, Array]
BY_TILES = frozenset({"hidden", "kernel", "bias", "softcap"})
"""The slopes that are summed over classes, a tile at a time; those of the other arguments need whole rows only."""


class Given(NamedTuple):
    """What a link takes beside the softmax, by name: a number of each row `[n]`, and arrays that all rows share."""

    each: Parameters
    shared: Parameters


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total_cost(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The weighted sum of the costs of all rows: hidden `[n, d]`, labels and weights `[n]`."""
    return jnp.sum(costs(task, link, hidden, labels, weights, head, given))


# A sweep that makes its gradient on the way.
@functools.partial(total_cost.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, primals: Any, tangents: Any) -> Any:
    weights = primals[2]
    dhidden, _, dweights, dhead, dgiven = tangents
    named = {"hidden": dhidden, "weights": dweights, **dhead._asdict(), **dgiven.each, **dgiven.shared}
    moved = {name: x.astype(task.dtype) for name, x in named.items() if _moves(x)}
    values, slopes = _slopes(task, link, frozenset(moved), *primals)
    slopes["weights"] = values
    tangent = jnp.zeros((), task.dtype)
    for name in moved.keys() & BY_TILES:
        tangent = tangent + jnp.sum(slopes[name].astype(task.dtype) * moved[name])
    if task.axis_name is not None and moved.keys() & BY_TILES:  # each device has the share of its classes
        tangent = jax.lax.psum(tangent, task.axis_name)
    for name in moved.keys() - BY_TILES:
        tangent = tangent + jnp.sum(slopes[name] * moved[name])
    return jnp.sum(multiply_no_nan(weights, values)), tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _slopes(
    task: Task, link: Link, wanted: frozenset[str], *arrays: *tuple[Array, Array, Array, Head, Given]
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted of their weighted sum."""

    def sweep(walk: Walk, *arrays: Any) -> tuple[Array, Parameters]:
        return _sweep(walk, task, link, wanted, *arrays)

    walk_on = plan.gradient if wanted & BY_TILES else plan.value
    return _on_each_platform(functools.partial(walk_on, task), sweep, *arrays)


# A sweep, whose derivative is that of the same sums in a walk that JAX can differentiate.
@functools.partial(_slopes.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, wanted: frozenset[str], primals: Any, tangents: Any) -> Any:
    arrays: list[Any]
    structure: Any
    arrays, structure = jax.tree.flatten(primals)
    moved = {i: x for i, x in enumerate(structure.flatten_up_to(tangents)) if _moves(x)}

    def sweep(walk: Walk, *arrays: Any) -> tuple[Array, Parameters]:
        return _sweep(walk, task, link, wanted, *arrays)

    def of_moved(moving: dict[int, Array]) -> Any:
        hidden, labels, weights, head, given = jax.tree.unflatten(
            structure, [moving.get(i, x) for i, x in enumerate(arrays)]
        )
        rows = _statistics(task, link.reads, hidden, labels - _classes(task, head).first, head)
        return _on_each_platform(
            functools.partial(plan.whole_rows, task), sweep, hidden, labels, weights, head, given, rows
        )

    return jax.jvp(of_moved, ({i: arrays[i] for i in moved},), (moved,))


def costs(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The cost of each row, times its weight."""
    classes = _classes(task, head)
    rows = _statistics(task, link.reads, hidden, labels - classes.first, head)
    return multiply_no_nan(weights, _linked(link, rows, labels, classes, given, frozenset())[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _statistics(task: Task, reads: frozenset[str], hidden: Array, column: Array, head: Head) -> Rows:
    """The statistics of all rows, with the label of each in this column."""

    def sweep(walk: Walk, hidden: Array, column: Array, head: Head) -> Rows:
        def look(_: None, part: Any, _new: Any) -> tuple[None, Rows]:
            hidden, column = part
            kept = logits_of(walk, task, head, hidden, 0, task.classes) if walk.keep else None
            return None, _look(walk, task, reads, head, hidden, column, kept)

        return _by_parts(walk, task, look, None, (hidden, column))[1]

    # Where a derivative follows, the logits of whole rows will be there for it in any case.
    walk_on = plan.whole_rows if "top" in reads else plan.value
    return _on_each_platform(functools.partial(walk_on, task), sweep, hidden, column, head)


# A sweep, of which JAX would keep the logits.
@functools.partial(_statistics.defjvp, symbolic_zeros=True)
def _(task: Task, reads: frozenset[str], primals: Any, tangents: Any) -> Any:
    full = _statistics(task, reads | {"top"}, *primals)
    of_hidden, _, of_head = jax.tree.map(lambda x: x if _moves(x) else None, tangents)

    def sweep(walk: Walk, full: Rows, hidden: Array, column: Array, head: Head, of_hidden: Any, of_head: Head) -> Rows:
        along, narrow = _along(full, hidden, column, head), head.kernel.dtype
        head, of_head = jax.tree.map(lambda x: vary(x, along), (head, of_head))
        if walk.rows < task.rows and of_head.kernel is not None:  # whose cotangent is added up over the parts
            of_head = of_head._replace(kernel=of_head.kernel.astype(task.dtype))

        @jax.checkpoint
        def change(_: None, part: Any, _new: Any) -> tuple[None, Rows]:
            rows, hidden, column, of_hidden = part
            now = of_head if of_head.kernel is None else of_head._replace(kernel=of_head.kernel.astype(narrow))
            whole = head._replace(kernel=columns(walk, task, head, 0, task.classes))
            logits, changes = logits_and_change(task, whole, hidden, now, of_hidden)
            return None, change_of(rows, logits, column, changes, task.axis_name)

        return _by_parts(walk, task, change, None, (full, hidden, column, of_hidden))[1]

    changes = _on_each_platform(functools.partial(plan.whole_rows, task), sweep, full, *primals, of_hidden, of_head)
    if "top" in reads:
        return full, changes._replace(top=jnp.zeros_like(full.top))
    return full._replace(top=None), changes


def _moves(tangent: Any) -> bool:
    return tangent is not None and not isinstance(tangent, SymbolicZero)


def _on_each_platform(walk_on: Callable[[str], Walk], sweep: Callable[..., Any], *arrays: Any) -> Any:
    """The sweep, walked as it suits the platform that the program is lowered for."""
    cpu, tpu, gpu = (functools.partial(sweep, walk_on(platform)) for platform in ("cpu", "tpu", "gpu"))
    return jax.lax.platform_dependent(*arrays, cpu=cpu, tpu=tpu, default=gpu)


# ------------------------------------------------------------------------------------------------------------ the sweep


def _sweep(
    walk: Walk,
    task: Task,
    link: Link,
    wanted: frozenset[str],
    hidden: Array,
    labels: Array,
    weights: Array,
    head: Head,
    given: Given,
    rows: Rows | None = None,
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted; `rows` are their statistics if JAX differentiates this."""
    classes, along = _classes(task, head), _along(hidden, labels, weights, head, given.each)
    # Where all rows pass at once a tile of the kernel's slope is final, and is rounded as it is written.
    narrow = jnp.bfloat16 if task.narrow else task.dtype
    in_kernel = narrow if walk.rows >= task.rows and not walk.on_cpu else task.dtype
    sums = {
        name: vary(_zeros(x, in_kernel if name == "kernel" else task.dtype), along)
        for name, x in head._asdict().items()
        if name in wanted & BY_TILES
    }

    def some_rows(sums: Parameters, part: Any, new: Any) -> tuple[Parameters, tuple[Array, Parameters]]:
        hidden, labels, weights, each, rows = part
        column = labels - classes.first
        kept = logits_of(walk, task, head, hidden, 0, task.classes) if walk.keep else None
        if rows is None:
            rows = _look(walk, task, link.reads, head, hidden, column, kept)
        values, slopes, in_given = _linked(link, rows, labels, classes, Given(each, given.shared), wanted)
        if not wanted & BY_TILES:
            return sums, (values, in_given)
        weights = jnp.where(new & (weights != 0), weights + nan_unless(~jnp.isnan(values), weights.dtype), 0)
        slopes, largest = jax.tree.map(lambda x: weights * x, slopes), rows.largest
        if kept is None:
            # Behind a barrier, so that the second product of a whole row is not taken for the first, and kept.
            hidden, slopes, largest = jax.lax.optimization_barrier((hidden, slopes, largest))

        def pull_back(start: Any, width: int, carry: tuple[Parameters, Any]) -> tuple[Parameters, Any]:
            (sums, in_hidden), first = carry, task.classes_first
            tile = _tile(walk, task, head, hidden, kept, start, width)
            slope, in_cap = before_the_cap(head, tile, gradient_of(slopes, largest, tile, column - start))
            factor = slope.astype(jnp.bfloat16) if task.narrow else slope
            sums = dict(sums)
            if "kernel" in wanted:
                # A CPU multiplies slowly by matrices whose first axis is summed over, and XLA takes in a transpose.
                upright = apart_on_cpu((factor if first else hidden).T)[0]
                block = multiply(upright, hidden if first else factor, 1, 0, task.dtype, spread_of(head.kernel))
                sums["kernel"] = _add(walk, task, sums["kernel"], block, start, 0 if first else 1)
            if "bias" in wanted:
                sums["bias"] = _add(walk, task, sums["bias"], jnp.sum(slope, axis=0), start, 0)
            if "softcap" in wanted and in_cap is not None:
                sums["softcap"] = sums["softcap"] + in_cap
            if "hidden" in wanted:
                kernel = columns(walk, task, head, start, width)
                in_hidden = in_hidden + multiply(factor, kernel, 1, 0 if first else 1, task.dtype, spread_of(hidden))
            return sums, in_hidden

        in_hidden = vary(_zeros(hidden, task.dtype), along) if "hidden" in wanted else None
        sums, in_hidden = _over_columns(walk, task, pull_back, (sums, in_hidden))
        return sums, (values, in_given if in_hidden is None else in_given | {"hidden": in_hidden})

    body = some_rows if rows is None else jax.checkpoint(some_rows)
    sums, (values, slopes) = _by_parts(walk, task, body, sums, (hidden, labels, weights, given.each, rows))
    for name in slopes.keys() & (given.each.keys() | given.shared.keys()):
        slopes[name] = multiply_no_nan(weights.reshape(-1, *[1] * (slopes[name].ndim - 1)), slopes[name])
    for name in slopes.keys() & given.shared.keys():
        slopes[name] = jnp.sum(slopes[name], axis=0)
    # In the dtype that all walks return: narrow where products are.
    return values, slopes | {name: x.astype(narrow) if name == "kernel" else x for name, x in sums.items()}


def _by_parts(walk: Walk, task: Task, body: Any, carry: Any, rows: Any) -> tuple[Any, Any]:
    """`carry, results = body(carry, part, new)` for some rows at a time.

    A last part that would be shorter overlaps the one before, and `new` says which of its rows were not there.
    """
    size, count = walk.rows, -(-task.rows // walk.rows)
    if count <= 1:
        return body(carry, rows, True)

    def some_rows(carry: Any, number: Array) -> Any:
        if walk.strided:
            strides = jax.tree.map(lambda x: x.reshape(size, count, *x.shape[1:]), rows)
            part = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, number, 1, keepdims=False), strides)
            return body(carry, part, True)
        start = jnp.minimum(number * size, task.rows - size)
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), rows)
        return body(carry, part, start + jnp.arange(size, dtype=np.int32) >= number * size)

    def whole(parts: Array) -> Array:
        if walk.strided:
            return jnp.moveaxis(parts, 0, 1).reshape(-1, *parts.shape[2:])
        return jnp.concatenate([parts[:-1].reshape(-1, *parts.shape[2:]), parts[-1, count * size - task.rows :]])

    carry, each = jax.lax.scan(some_rows, carry, jnp.arange(count, dtype=np.int32))
    return carry, jax.tree.map(whole, each)


def _tile(walk: Walk, task: Task, head: Head, hidden: Array, kept: Array | None, start: Any, width: int) -> Array:
    return logits_of(walk, task, head, hidden, start, width) if kept is None else walk.cut(kept, start, width, 1)


def _look(
    walk: Walk, task: Task, reads: frozenset[str], head: Head, hidden: Array, column: Array, kept: Array | None
) -> Rows:
    """The statistics of some rows, over all classes; `kept` are their logits if they are there."""
    statistics = summed if walk.on_cpu else swept

    def look(start: Any, width: int, rows: Rows | None) -> Rows:
        some = statistics(reads, _tile(walk, task, head, hidden, kept, start, width), column - start)
        return some if rows is None else join(rows, some)

    none = None
    if walk.columns < task.classes:
        along = _along(hidden, column, head)
        none = jax.tree.map(lambda x: vary(x, along), nothing(reads, column.shape, task.dtype))
    rows = _over_columns(walk, task, look, none)
    return with_its_weights(rows if task.axis_name is None else joined_over(task.axis_name, rows))


def _add(walk: Walk, task: Task, array: Array, block: Array, start: Any, axis: int) -> Array:
    """The slope after one more block: added to it, or in its place where all rows pass at once."""
    block = block.astype(array.dtype)
    if walk.rows < task.rows:
        block = block + jax.lax.dynamic_slice_in_dim(array, start, block.shape[axis], axis)
    whole = block.shape == array.shape
    return block if whole else jax.lax.dynamic_update_slice_in_dim(array, block, start, axis)


def _over_columns(walk: Walk, task: Task, body: Any, carry: Any) -> Any:
    """`carry = body(start, width, carry)` for all columns; what is left at the end has its own true width."""
    whole, width = task.classes // walk.columns, walk.columns
    if whole == 1:
        carry = body(0, width, carry)
    elif whole:

        def one_more(carry: Any, number: Array) -> Any:
            return body(number * width, width, carry), None

        carry, _ = jax.lax.scan(one_more, carry, jnp.arange(whole, dtype=np.int32))
    left = task.classes - whole * width
    return body(whole * width, left, carry) if left else carry


# --------------------------------------------------------------------------------------------- from sums to the loss


def _linked(
    link: Link, rows: Rows, labels: Array, classes: "Classes", given: Given, wanted: frozenset[str]
) -> tuple[Array, Rows, Parameters]:
    """The value of each row, NaN where the label is no class, and its slopes in the statistics and in what is given."""
    along = _along(rows, given.each)
    shared = {name: vary(x, along) for name, x in given.shared.items()}
    values, (slopes, in_given) = link.values_and_slopes(
        rows._replace(top=None), classes.possible, given.each, shared, wanted
    )
    known = (labels >= 0) & (labels < classes.everywhere)
    return values + nan_unless(known, values.dtype), slopes, in_given


class Classes(NamedTuple):
    """The first class here, and how many may be chosen and how many there are on all devices."""

    first: Array
    possible: Array
    everywhere: Array


def _classes(task: Task, head: Head) -> Classes:
    count = jnp.int32(task.classes)
    possible = count
    if head.possible is not None or head.bias is not None:
        may_be = jnp.ones(task.classes, bool) if head.possible is None else head.possible
        if head.bias is not None and head.softcap is None:
            may_be = may_be & (head.bias != -jnp.inf)
        possible = jnp.sum(may_be, dtype=np.int32)
    first = jnp.int32(0)
    if task.axis_name is not None:
        first = jax.lax.axis_index(task.axis_name) * count
        possible, count = jax.lax.psum((possible, count), task.axis_name)
    return Classes(first, jnp.maximum(possible, 1).astype(task.dtype), count)


def _along(*arrays: Any) -> frozenset[Any]:
    """The mesh axes of a `shard_map` over which any of the arrays varies."""
    return frozenset[Any]().union(*(varying(x) for x in jax.tree.leaves(arrays)))


def _zeros(like: Array, dtype: Any) -> Array:
    return jnp.zeros(like.shape, dtype, out_sharding=spread_of(like))
