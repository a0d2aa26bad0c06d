"""A loss of the softmax of a linear head, summed over rows, without its logits.

Two functions are differentiable in every mode. `total_cost` is the sum over all rows; its rule makes the gradient in
the same sweep as the value. `costs` has one number for each row; its gradient waits for the cotangent of each, and
forms the logits again. Both rest on `_statistics`, whose rule says how the sums over classes move with the head.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.classes import is_class, nan_unless
from jaxloss.numerics.devices import vary, varying
from jaxloss.numerics.head import plan
from jaxloss.numerics.head.plan import Task, Walk
from jaxloss.numerics.head.row import (
    Given,
    Link,
    Parameters,
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
from jaxloss.numerics.head.tile import (
    Head,
    before_the_cap,
    logits_and_change,
    logits_of,
    multiply,
    some_classes,
    spread_of,
)
from jaxloss.numerics.platform import apart_on_cpu
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array

BY_TILES = frozenset({"hidden", "kernel", "bias", "softcap"})
"""The slopes that are summed over classes, a tile at a time; those of the other arguments need whole rows only."""


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total_cost(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The weighted sum of the costs of all rows: hidden `[n, d]`, labels and weights `[n]`."""
    return jnp.sum(costs(task, link, hidden, labels, weights, head, given))


# A sweep that makes its gradient on the way.
@functools.partial(total_cost.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, primals: Any, tangents: Any) -> Any:
    dhidden, _, dweights, dhead, dgiven = tangents
    named = {"hidden": dhidden, "weights": dweights, **dhead._asdict(), **dgiven.each, **dgiven.shared}
    moved = {name: x.astype(task.dtype) for name, x in named.items() if _moves(x)}
    values, slopes = _slopes(task, link, frozenset(moved), *primals)
    slopes["weights"] = values
    of_classes = of_rows = jnp.zeros((), task.dtype)
    for name, x in moved.items():
        change = jnp.sum(slopes[name].astype(task.dtype) * x)
        of_classes, of_rows = (of_classes + change, of_rows) if name in BY_TILES else (of_classes, of_rows + change)
    if moved.keys() & BY_TILES:  # each device has the share of its classes
        of_classes = jax.lax.psum(of_classes, task.axis_name)
    return jnp.sum(multiply_no_nan(primals[2], values)), of_classes + of_rows


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _slopes(
    task: Task, link: Link, wanted: frozenset[str], *arrays: *tuple[Array, Array, Array, Head, Given]
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted of their weighted sum."""
    walk_on = plan.gradient if wanted & BY_TILES else plan.value
    return _on_each_platform(task, walk_on, functools.partial(_sweep, task, link, wanted), *arrays)


# A sweep, whose derivative is that of the same sums in a walk that JAX can differentiate.
@functools.partial(_slopes.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, wanted: frozenset[str], primals: Any, tangents: Any) -> Any:
    arrays: list[Any]
    structure: Any
    arrays, structure = jax.tree.flatten(primals)
    moved = {i: x for i, x in enumerate(structure.flatten_up_to(tangents)) if _moves(x)}

    def of_moved(moving: dict[int, Array]) -> Any:
        hidden, labels, weights, head, given = structure.unflatten([moving.get(i, x) for i, x in enumerate(arrays)])
        rows = _statistics(task, link.reads, hidden, labels, head)
        sweep = functools.partial(_sweep, task, link, wanted)
        return _on_each_platform(task, plan.whole_rows, sweep, hidden, labels, weights, head, given, rows)

    return jax.jvp(of_moved, ({i: arrays[i] for i in moved},), (moved,))


def costs(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The cost of each row, times its weight."""
    rows = _statistics(task, link.reads, hidden, labels, head)
    return multiply_no_nan(weights, _linked(task, link, rows, labels, head, given, frozenset())[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _statistics(task: Task, reads: frozenset[str], hidden: Array, labels: Array, head: Head) -> Rows:
    """The statistics of all rows."""

    def sweep(walk: Walk, hidden: Array, labels: Array, head: Head) -> Rows:
        def look(_: None, part: Any, _new: Any) -> tuple[None, Rows]:
            hidden, labels = part
            return None, _look(walk, task, reads, head, hidden, labels, _kept(walk, task, head, hidden))

        return _by_parts(walk, task, look, None, (hidden, labels))[1]

    # Where a derivative follows, the logits of whole rows will be there for it in any case.
    walk_on = plan.whole_rows if "top" in reads else plan.value
    return _on_each_platform(task, walk_on, sweep, hidden, labels, head)


# A sweep, of which JAX would keep the logits.
@functools.partial(_statistics.defjvp, symbolic_zeros=True)
def _(task: Task, reads: frozenset[str], primals: Any, tangents: Any) -> Any:
    full = _statistics(task, reads | {"top"}, *primals)
    of_hidden, _, of_head = jax.tree.map(lambda x: x if _moves(x) else None, tangents)

    def sweep(walk: Walk, full: Rows, hidden: Array, labels: Array, head: Head, of_hidden: Any, of_head: Head) -> Rows:
        along, narrow = varying((full, hidden, labels, head)), head.kernel.dtype
        head, of_head = vary((head, of_head), along)
        if walk.rows < task.rows and of_head.kernel is not None:  # whose cotangent is added up over the parts
            of_head = of_head._replace(kernel=of_head.kernel.astype(task.dtype))

        @jax.checkpoint
        def change(_: None, part: Any, _new: Any) -> tuple[None, Rows]:
            rows, hidden, labels, of_hidden = part
            now = of_head if of_head.kernel is None else of_head._replace(kernel=of_head.kernel.astype(narrow))
            logits, changes = logits_and_change(task, some_classes(walk, task, head, 0), hidden, now, of_hidden)
            return None, change_of(rows, logits, labels - _first_class(task), changes, task.axis_name)

        return _by_parts(walk, task, change, None, (full, hidden, labels, of_hidden))[1]

    changes = _on_each_platform(task, plan.whole_rows, sweep, full, *primals, of_hidden, of_head)
    if "top" in reads:
        return full, changes._replace(top=jnp.zeros_like(full.top))
    return full._replace(top=None), changes


def _moves(tangent: Any) -> bool:
    return tangent is not None and not isinstance(tangent, SymbolicZero)


def _on_each_platform(task: Task, walk_on: Callable[[Task, str], Walk], sweep: Callable[..., Any], *arrays: Any) -> Any:
    """The sweep, walked as it suits the platform that the program is lowered for."""
    cpu, tpu, gpu = (functools.partial(sweep, walk_on(task, platform)) for platform in ("cpu", "tpu", "gpu"))
    return jax.lax.platform_dependent(*arrays, cpu=cpu, tpu=tpu, default=gpu)


# ------------------------------------------------------------------------------------------------------------ the sweep


def _sweep(
    task: Task,
    link: Link,
    wanted: frozenset[str],
    walk: Walk,
    hidden: Array,
    labels: Array,
    weights: Array,
    head: Head,
    given: Given,
    rows: Rows | None = None,
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted; `rows` are their statistics if JAX differentiates this."""
    along = varying((hidden, labels, weights, head, given.each))
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
        kept = _kept(walk, task, head, hidden)
        if rows is None:
            rows = _look(walk, task, link.reads, head, hidden, labels, kept)
        values, slopes, in_given = _linked(task, link, rows, labels, head, Given(each, given.shared), wanted)
        if not wanted & BY_TILES:
            return sums, (values, in_given)
        weights = jnp.where(new & (weights != 0), weights + nan_unless(~jnp.isnan(values), weights.dtype), 0)
        slopes, largest = jax.tree.map(lambda x: weights * x, slopes), rows.largest
        if kept is None:
            # Behind a barrier, so that the second product of a whole row is not taken for the first, and kept.
            hidden, slopes, largest = jax.lax.optimization_barrier((hidden, slopes, largest))

        def pull_back(start: Any, again: Any, carry: tuple[Parameters, Any]) -> tuple[Parameters, Any]:
            (sums, in_hidden), first, some = carry, task.classes_first, some_classes(walk, task, head, start)
            tile, column = _tile(walk, task, some, hidden, labels, kept, start, again)
            slope, in_cap = before_the_cap(head, tile, gradient_of(slopes, largest, tile, column))
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
                change = multiply(factor, some.kernel, 1, 0 if first else 1, task.dtype, spread_of(hidden))
                in_hidden = in_hidden + change
            return sums, in_hidden

        in_hidden = vary(_zeros(hidden, task.dtype), along) if "hidden" in wanted else None
        sums, in_hidden = _over_columns(walk, task, pull_back, (sums, in_hidden))
        return sums, (values, in_given if in_hidden is None else in_given | {"hidden": in_hidden})

    body = some_rows if rows is None else jax.checkpoint(some_rows)
    sums, (values, slopes) = _by_parts(walk, task, body, sums, (hidden, labels, weights, given.each, rows))
    for name in slopes.keys() - {"hidden"}:
        slopes[name] = multiply_no_nan(weights.reshape(-1, *[1] * (slopes[name].ndim - 1)), slopes[name])
        if name in given.shared:
            slopes[name] = jnp.sum(slopes[name], axis=0)
    # In the dtype that all walks return: narrow where products are.
    return values, slopes | {name: x.astype(narrow) if name == "kernel" else x for name, x in sums.items()}


def _kept(walk: Walk, task: Task, head: Head, hidden: Array) -> Array | None:
    """The logits of some rows, of all classes, where the walk keeps them."""
    whole = replace(walk, columns=task.classes)
    return logits_of(task, some_classes(whole, task, head, 0), hidden) if walk.keep else None


def _look(
    walk: Walk, task: Task, reads: frozenset[str], head: Head, hidden: Array, labels: Array, kept: Array | None
) -> Rows:
    """The statistics of some rows, over all classes; `kept` are their logits if they are there."""
    statistics = summed if walk.on_cpu else swept

    def look(start: Any, again: Any, rows: Rows | None) -> Rows:
        some = some_classes(walk, task, head, start)
        more = statistics(reads, *_tile(walk, task, some, hidden, labels, kept, start, again))
        return more if rows is None else join(rows, more)

    none = None
    if walk.columns < task.classes:
        along = varying((hidden, labels, head))
        none = vary(nothing(reads, labels.shape, task.dtype), along)
    rows = _over_columns(walk, task, look, none)
    return with_its_weights(joined_over(task.axis_name, rows) if task.axis_name else rows)


def _tile(
    walk: Walk, task: Task, some: Head, hidden: Array, labels: Array, kept: Array | None, start: Any, again: Any
) -> tuple[Array, Array]:
    """The logits of some rows and classes, and the column of the label; the first `again` columns are not there."""
    tile = logits_of(task, some, hidden) if kept is None else walk.cut(kept, start, 1)
    column = labels - _first_class(task) - start
    if task.classes % walk.columns:
        places = jax.lax.broadcasted_iota(np.int32, (1, walk.columns), 1)
        tile, column = jnp.where(places < again, -jnp.inf, tile), jnp.where(column < again, -1, column)
    return tile, column


def _add(walk: Walk, task: Task, array: Array, block: Array, start: Any, axis: int) -> Array:
    """The slope after one more block: added to it, or in its place where all rows pass at once."""
    block = block.astype(array.dtype)
    if walk.rows < task.rows:
        block = block + jax.lax.dynamic_slice_in_dim(array, start, block.shape[axis], axis)
    whole = block.shape == array.shape
    return block if whole else jax.lax.dynamic_update_slice_in_dim(array, block, start, axis)


# ----------------------------------------------------------------------------------------------------------- the loops


def _by_parts(walk: Walk, task: Task, body: Any, carry: Any, rows: Any) -> tuple[Any, Any]:
    """`carry, results = body(carry, part, new)` for some rows at a time; `new` says which of them count."""
    size, count = walk.rows, -(-task.rows // walk.rows)
    if count <= 1:
        return body(carry, rows, True)

    def some_rows(carry: Any, number: Array) -> Any:
        if walk.strided:
            strides = jax.tree.map(lambda x: x.reshape(size, count, *x.shape[1:]), rows)
            part = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, number, 1, keepdims=False), strides)
            return body(carry, part, True)
        start, again = _place(number, size, task.rows)
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), rows)
        return body(carry, part, jnp.arange(size, dtype=np.int32) >= again)

    def whole(parts: Array) -> Array:
        if walk.strided:
            return jnp.moveaxis(parts, 0, 1).reshape(-1, *parts.shape[2:])
        flat, again = parts.reshape(-1, *parts.shape[2:]), -task.rows % size
        return jnp.concatenate([flat[size:], flat[again:size]]) if again else flat

    carry, each = jax.lax.scan(some_rows, carry, jnp.arange(count, dtype=np.int32))
    return carry, jax.tree.map(whole, each)


def _over_columns(walk: Walk, task: Task, body: Any, carry: Any) -> Any:
    """`carry = body(start, again, carry)` for all columns; the first `again` of a tile do not count."""
    size, count = walk.columns, -(-task.classes // walk.columns)
    if count == 1:
        return body(0, 0, carry)

    def one_more(carry: Any, number: Array) -> Any:
        return body(*_place(number, size, task.classes), carry), None

    return jax.lax.scan(one_more, carry, jnp.arange(count, dtype=np.int32))[0]


def _place(number: Array, size: int, total: int) -> tuple[Any, Any]:
    """Where a part starts, and how many of its places come again in a later one.

    If the size does not divide the total, the first part is the end of all, and the next ones go on from the start.
    """
    again = -total % size
    if not again:
        return number * size, 0
    first = number == 0
    return jnp.where(first, total - size, (number - 1) * size), jnp.where(first, again, 0)


# --------------------------------------------------------------------------------------------- from sums to the loss


def _linked(
    task: Task, link: Link, rows: Rows, labels: Array, head: Head, given: Given, wanted: frozenset[str]
) -> tuple[Array, Rows, Parameters]:
    """The value of each row, NaN where the label is no class, and its slopes in the statistics and in what is given."""
    given = given._replace(shared=vary(given.shared, varying((rows, given.each))))
    rows = rows._replace(top=None)
    values, (slopes, in_given) = link.values_and_slopes(rows, _possible_classes(task, head), given, wanted)
    everywhere = task.classes * jax.lax.axis_size(task.axis_name)
    return values + nan_unless(is_class(labels, everywhere), values.dtype), slopes, in_given


def _first_class(task: Task) -> Any:
    """The number of the first class on this device."""
    return jax.lax.axis_index(task.axis_name) * task.classes if task.axis_name else 0


def _possible_classes(task: Task, head: Head) -> Array:
    """How many classes may be chosen, on all devices; at least 1."""
    possible = jnp.ones(task.classes, bool) if head.possible is None else head.possible
    if head.bias is not None and head.softcap is None:
        possible = possible & (head.bias != -jnp.inf)
    count = jax.lax.psum(jnp.sum(possible, dtype=np.int32), task.axis_name)
    return jnp.maximum(count, 1).astype(task.dtype)


def _zeros(like: Array, dtype: Any) -> Array:
    return jnp.zeros(like.shape, dtype, out_sharding=spread_of(like))
