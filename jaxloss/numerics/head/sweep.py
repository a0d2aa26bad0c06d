"""A loss of the softmax of a linear head, summed over rows, without its logits.

Three layers make this differentiable in every mode. `_sweep` is the algorithm, and makes the gradient on the way.
`_slopes` is the same with its derivative by plain autodiff, but opaque, so that reverse mode does not store what the
loops could. `total_cost` is the sum alone; its rule takes values and slopes from one sweep.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.devices import explicit, vary, varying
from jaxloss.numerics.head import plan
from jaxloss.numerics.head.plan import Task, Walk
from jaxloss.numerics.head.row import (
    Link,
    Pull,
    Rows,
    Softmax,
    gradient_of,
    join,
    joined_over,
    nothing,
    pull_of,
    softmax_of,
    summed,
    swept,
)
from jaxloss.numerics.head.tile import Head, before_the_cap, columns, logits_of, multiply
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


class Classes(NamedTuple):
    """The first class here, how many may be chosen and how many there are on all devices, and along which mesh axes of
    a `shard_map` a sum over them varies.
    """

    first: Array
    possible: Array
    everywhere: Array
    along: frozenset[Any]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total_cost(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The weighted sum of the costs of all rows: hidden `[n, d]`, labels and weights `[n]`."""
    values, _ = _on_each_platform(task, link, frozenset(), hidden, labels, weights, head, given)
    return jnp.sum(multiply_no_nan(weights, values))


# A sweep that makes its gradient on the way.
@functools.partial(total_cost.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, primals: Any, tangents: Any) -> Any:
    weights = primals[2]
    dhidden, _, dweights, dhead, dgiven = tangents
    named = {"hidden": dhidden, "weights": dweights, **dhead._asdict(), **dgiven.each, **dgiven.shared}
    moved = {
        name: tangent.astype(task.dtype)
        for name, tangent in named.items()
        if tangent is not None and not isinstance(tangent, jax.custom_derivatives.SymbolicZero)
    }
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
    return _on_each_platform(task, link, wanted, *arrays)


# A sweep that makes its gradient on the way: that of this gradient is JAX's.
@_slopes.defjvp
def _(task: Task, link: Link, wanted: frozenset[str], primals: Any, tangents: Any) -> Any:
    sweep = functools.partial(_sweep, plan.differentiable(task), task, link, wanted)
    return jax.jvp(lambda *arrays: _wide(sweep(*arrays), task), primals, tangents)


def _on_each_platform(task: Task, link: Link, wanted: frozenset[str], *arrays: Any) -> tuple[Array, Parameters]:
    """The sweep, walked as it suits the platform that the program is lowered for."""

    def on(platform: str) -> Any:
        walk = plan.walk(platform, task, bool(wanted & BY_TILES))
        return lambda *arrays: _wide(_sweep(walk, task, link, wanted, *arrays), task)

    return jax.lax.platform_dependent(*arrays, cpu=on("cpu"), tpu=on("tpu"), default=on("gpu"))


def _wide(result: tuple[Array, Parameters], task: Task) -> tuple[Array, Parameters]:
    """The kernel's slope in the dtype that all walks return: narrow where products are."""
    values, slopes = result
    narrow = jnp.bfloat16 if task.narrow else task.dtype
    return values, {name: x.astype(narrow) if name == "kernel" else x for name, x in slopes.items()}


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
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted of the weighted sum."""
    classes = _classes(task, head, (hidden, labels, weights, *given.each.values()))
    rows = {"hidden": hidden, "labels": labels, "weights": weights, "given": given.each}
    some_rows = functools.partial(_some_rows, walk, task, link, wanted, head, classes, given.shared)
    one_part = walk.rows >= task.rows
    # Where all rows pass at once a tile of the kernel's slope is final, and is rounded as it is written.
    narrow = jnp.bfloat16 if one_part and task.narrow and not walk.on_cpu else task.dtype
    sums = {
        name: vary(_zeros(x, narrow if name == "kernel" else task.dtype), classes.along)
        for name, x in head._asdict().items()
        if name in wanted & BY_TILES
    }
    if one_part:
        sums, (values, slopes) = some_rows(sums, rows)
    else:
        sums, (values, slopes) = _by_parts(walk, task, some_rows, sums, rows)
    for name in slopes.keys() & (given.each.keys() | given.shared.keys()):
        slopes[name] = multiply_no_nan(weights.reshape(-1, *[1] * (slopes[name].ndim - 1)), slopes[name])
    for name in slopes.keys() & given.shared.keys():
        slopes[name] = jnp.sum(slopes[name], axis=0)
    return values, {**sums, **slopes}


def _by_parts(walk: Walk, task: Task, some_rows: Any, sums: Parameters, rows: Any) -> tuple[Parameters, Any]:
    """Some rows at a time. A last part that would be shorter overlaps the one before, with weight 0 where it does."""
    size, count = walk.rows, -(-task.rows // walk.rows)
    missing = count * size - task.rows

    def part(number: Array) -> Any:
        if walk.strided:
            strides = jax.tree.map(lambda x: x.reshape(size, count, *x.shape[1:]), rows)
            return jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, number, 1, keepdims=False), strides)
        start = jnp.minimum(number * size, task.rows - size)
        some = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), rows)
        done = start + jnp.arange(size, dtype=np.int32) < number * size
        return some | {"weights": jnp.where(done, 0, some["weights"])}

    def whole(parts: Array) -> Array:
        if walk.strided:
            return jnp.moveaxis(parts, 0, 1).reshape(-1, *parts.shape[2:])
        return jnp.concatenate([parts[:-1].reshape(-1, *parts.shape[2:]), parts[-1, missing:]])

    body = walk.repeat(lambda sums, number: some_rows(sums, part(number)))
    sums, each = jax.lax.scan(body, sums, jnp.arange(count, dtype=np.int32))
    return sums, jax.tree.map(whole, each)


def _some_rows(
    walk: Walk,
    task: Task,
    link: Link,
    wanted: frozenset[str],
    head: Head,
    classes: Classes,
    shared: Parameters,
    sums: Parameters,
    part: dict[str, Any],
) -> tuple[Parameters, tuple[Array, Parameters]]:
    """The slopes of the head after some more rows, their values, and the slopes of what is theirs."""
    hidden, labels, weights = part["hidden"], part["labels"], part["weights"]
    column = labels - classes.first
    known = (labels >= 0) & (labels < classes.everywhere)
    statistics = functools.partial(summed, smooth=walk.smooth) if walk.on_cpu else swept
    kept = logits_of(walk, task, head, hidden, 0, task.classes) if walk.keep else None

    def tile_of(hidden: Array, start: Any, width: int) -> Array:
        return logits_of(walk, task, head, hidden, start, width) if kept is None else walk.cut(kept, start, width, 1)

    def look(start: Any, width: int, rows: Rows | None) -> Rows:
        some = statistics(link, tile_of(hidden, start, width), column - start)
        return some if rows is None else join(rows, some)

    none = None
    if walk.columns < task.classes:
        none = jax.tree.map(lambda x: vary(x, classes.along), nothing(link, labels.shape, task.dtype))
    stats = _over_columns(walk, task, look, none)
    if task.axis_name is not None:
        stats = joined_over(task.axis_name, stats)
    softmax, shares = softmax_of(link, stats, classes.possible)
    values, (slopes, in_given) = _linked(link, softmax, part["given"], shared, wanted)
    values = values + nan_unless(known, values.dtype)
    if not wanted & BY_TILES:
        return sums, (values, in_given)
    pull = pull_of(shares, slopes, weights + nan_unless(known | (weights == 0), weights.dtype), classes.possible)
    if kept is None:
        # Behind a barrier, so that the second product of a whole row is not taken for the first, which would be kept.
        hidden, pull = jax.lax.optimization_barrier((hidden, pull))

    def pull_back(start: Any, width: int, carry: Any) -> Any:
        tile = tile_of(hidden, start, width)
        return _pull_back(walk, task, wanted, head, hidden, pull, tile, column - start, start, carry)

    in_hidden = vary(_zeros(hidden, task.dtype), classes.along) if "hidden" in wanted else None
    sums, in_hidden = _over_columns(walk, task, pull_back, (sums, in_hidden))
    return sums, (values, in_given if in_hidden is None else in_given | {"hidden": in_hidden})


def _pull_back(
    walk: Walk,
    task: Task,
    wanted: frozenset[str],
    head: Head,
    hidden: Array,
    pull: Pull,
    tile: Array,
    column: Array,
    start: Any,
    carry: tuple[Parameters, Any],
) -> tuple[Parameters, Any]:
    """Adds what a tile of logits passes back to the head, and to the hidden states of its rows."""
    (sums, in_hidden), width = carry, tile.shape[1]
    slope, in_cap = before_the_cap(head, tile, gradient_of(pull, tile, column))
    narrow = slope.astype(jnp.bfloat16) if task.narrow else slope
    sums = dict(sums)
    if "kernel" in wanted:
        spread, first = explicit(head.kernel) or None, task.classes_first
        # A CPU multiplies slowly by matrices whose first axis is summed over, and XLA takes in a transpose.
        upright = apart_on_cpu((narrow if first else hidden).T)[0]
        block = multiply(upright, hidden if first else narrow, 1, 0, task.dtype, spread and jax.P(*spread))
        sums["kernel"] = _add(walk, task, sums["kernel"], block, start, 0 if first else 1)
    if "bias" in wanted:
        sums["bias"] = _add(walk, task, sums["bias"], jnp.sum(slope, axis=0), start, 0)
    if in_cap is not None and "softcap" in wanted:
        sums["softcap"] = sums["softcap"] + in_cap
    if "hidden" in wanted:
        kernel, spread = columns(walk, task, head, start, width), explicit(hidden) or None
        product = multiply(narrow, kernel, 1, 0 if task.classes_first else 1, task.dtype, spread and jax.P(*spread))
        in_hidden = in_hidden + product
    return sums, in_hidden


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

        carry, _ = jax.lax.scan(walk.repeat(one_more), carry, jnp.arange(whole, dtype=np.int32))
    left = task.classes - whole * width
    return body(whole * width, left, carry) if left else carry


# ------------------------------------------------------------------------------------------------- arrays over devices


def _classes(task: Task, head: Head, rows: tuple[Array, ...]) -> Classes:
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
    along = frozenset[Any]().union(*(varying(x) for x in (first, *rows, *jax.tree.leaves(head))))
    return Classes(first, jnp.maximum(possible, 1).astype(task.dtype), count, along)


def _linked(
    link: Link, softmax: Softmax, each: Parameters, shared: Parameters, wanted: frozenset[str]
) -> tuple[Array, tuple[Softmax, Parameters]]:
    along = frozenset[Any]().union(*(varying(x) for x in jax.tree.leaves((softmax, each))))
    return link.values_and_slopes(softmax, each, {name: vary(x, along) for name, x in shared.items()}, wanted)


def _zeros(like: Array, dtype: Any) -> Array:
    spread = explicit(like)
    return jnp.zeros(like.shape, dtype, out_sharding=jax.P(*spread)) if spread else jnp.zeros(like.shape, dtype)
