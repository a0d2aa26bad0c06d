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

from jaxloss.numerics import row
from jaxloss.numerics.classes import nan_unless, on_this_device
from jaxloss.numerics.devices import spread_of, vary, varying
from jaxloss.numerics.head import plan
from jaxloss.numerics.head.link import Given, Link, Parameters
from jaxloss.numerics.head.plan import Task, Walk
from jaxloss.numerics.head.tile import Head, before_the_cap, logits_of, multiply, some_classes
from jaxloss.numerics.platform import apart_on_cpu, cut
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.numerics.slopes import moves
from jaxloss.types import Array

BY_TILES = frozenset({"hidden", "kernel", "bias", "softcap"})  # whose slopes are sums over tiles of classes


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total_cost(task: Task, link: Link, *arrays: *tuple[Array, Array, Array, Head, Given]) -> Array:
    """The weighted sum of the costs of all rows: hidden `[n, d]`, labels and weights `[n]`, the head, what is given."""
    return jnp.sum(costs(task, link, *arrays))


# A sweep that makes its gradient on the way.
@functools.partial(total_cost.defjvp, symbolic_zeros=True)
def _(task: Task, link: Link, primals: Any, tangents: Any) -> Any:
    dhidden, _, dweights, dhead, dgiven = tangents
    named = {"hidden": dhidden, "weights": dweights, **dhead._asdict(), **dgiven.all}
    moved = {name: x.astype(task.dtype) for name, x in named.items() if moves(x)}
    values, slopes = _slopes(task, link, frozenset(moved), *primals)
    slopes["weights"] = values

    def change(name: str, by: Array) -> Array:
        of_it = jnp.sum(slopes[name].astype(task.dtype) * by)
        return jax.lax.psum(of_it, task.axis_name) if name in BY_TILES else of_it  # a device has that of its classes

    changes = [change(name, by) for name, by in moved.items()]
    return jnp.sum(multiply_no_nan(primals[2], values)), sum(changes[1:], start=changes[0])


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
    at, moved = (jax.tree.map(lambda dx, x: x if moves(dx) else None, tangents, xs) for xs in (primals, tangents))

    def of_moved(at: Any) -> Any:
        or_still = functools.partial(jax.tree.map, lambda x, still: still if x is None else x)
        hidden, labels, _, head, _ = arrays = or_still(at, primals, is_leaf=lambda x: x is None)
        rows = _statistics(task, link.reads, hidden, labels, head)
        sweep = functools.partial(_sweep, task, link, wanted)
        return _on_each_platform(task, plan.whole_rows, sweep, *arrays, rows)

    return jax.jvp(of_moved, (at,), (moved,))


def costs(task: Task, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given) -> Array:
    """The cost of each row, times its weight."""
    rows = _statistics(task, link.reads, hidden, labels, head)
    return multiply_no_nan(weights, link.values_and_slopes(task, rows, labels, given, frozenset())[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _statistics(task: Task, reads: frozenset[str], hidden: Array, labels: Array, head: Head) -> row.Rows:
    """The statistics of all rows."""

    def sweep(walk: Walk, hidden: Array, labels: Array, head: Head) -> row.Rows:
        def look(_: None, part: Any, _new: Any) -> tuple[None, row.Rows]:
            return None, _tiles(task, walk, head, *part).look(reads)

        return _by_parts(task, walk, look, None, (hidden, labels))[1]

    # Where a derivative follows, the logits of whole rows will be there for it in any case.
    walk_on = plan.whole_rows if "top" in reads else plan.value
    return _on_each_platform(task, walk_on, sweep, hidden, labels, head)


# A sweep, of which JAX would keep the logits.
@functools.partial(_statistics.defjvp, symbolic_zeros=True)
def _(task: Task, reads: frozenset[str], primals: Any, tangents: Any) -> Any:
    full = _statistics(task, reads | {"top"}, *primals)
    of_hidden, _, of_head = jax.tree.map(lambda x: x if moves(x) else None, tangents)

    def sweep(
        walk: Walk, full: row.Rows, hidden: Array, labels: Array, head: Head, of_hidden: Any, of_head: Head
    ) -> row.Rows:
        head, of_head = vary((head, of_head), varying((full, hidden, labels, head)))
        if walk.rows < task.rows and of_head.kernel is not None:  # whose cotangent is added up over the parts
            of_head = of_head._replace(kernel=of_head.kernel.astype(task.dtype))

        @jax.checkpoint
        def change(_: None, part: Any, _new: Any) -> tuple[None, row.Rows]:
            rows, hidden, labels, of_hidden = part
            named = {"hidden": hidden, **head._asdict()}
            changes = {"hidden": of_hidden, **of_head._asdict()}.items()
            moved = {name: x.astype(named[name].dtype) for name, x in changes if x is not None}

            def logits(moving: Parameters) -> Array:
                hidden, *of_classes = (named | moving).values()
                return logits_of(task, some_classes(task, Head(*of_classes), 0, task.classes), hidden)

            tile, in_tile = jax.jvp(logits, ({name: named[name] for name in moved},), (moved,))
            column = on_this_device(labels, task.classes, task.axis_name)
            return None, row.change_of(rows, tile, column, in_tile, task.axis_name)

        return _by_parts(task, walk, change, None, (full, hidden, labels, of_hidden))[1]

    changes = _on_each_platform(task, plan.whole_rows, sweep, full, *primals, of_hidden, of_head)
    return (full, changes) if "top" in reads else (full._replace(top=None), changes._replace(top=None))


def _on_each_platform(task: Task, walk_on: Callable[[Task, str], Walk], sweep: Callable[..., Any], *arrays: Any) -> Any:
    """The sweep, walked as it suits the platform that the program is lowered for."""
    cpu, tpu, gpu = (functools.partial(sweep, walk_on(task, platform)) for platform in ("cpu", "tpu", "gpu"))
    return jax.lax.platform_dependent(*arrays, cpu=cpu, tpu=tpu, default=gpu)


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
    rows: row.Rows | None = None,
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted; `rows` are their statistics if JAX differentiates this."""
    along = varying((hidden, labels, weights, head, given.each))

    def zeros(like: Array, dtype: Any) -> Array:
        return vary(jnp.zeros(like.shape, dtype, out_sharding=spread_of(like)), along)

    # Where all rows pass at once a tile of the kernel's slope is final, and is rounded as it is written.
    in_kernel = task.factor if walk.rows >= task.rows and not walk.on_cpu else task.dtype
    wanted_of_head = {name: x for name, x in head._asdict().items() if name in wanted}
    sums = {name: zeros(x, in_kernel if name == "kernel" else task.dtype) for name, x in wanted_of_head.items()}

    def some_rows(sums: Parameters, part: Any, new: Any) -> tuple[Parameters, tuple[Array, Parameters]]:
        hidden, labels, weights, each, rows = part
        tiles = _tiles(task, walk, head, hidden, labels)
        rows = tiles.look(link.reads) if rows is None else rows
        values, slopes, in_given = link.values_and_slopes(task, rows, labels, given._replace(each=each), wanted)
        if not wanted & BY_TILES:
            return sums, (values, in_given)
        weights = jnp.where(new & (weights != 0), weights + nan_unless(~jnp.isnan(values), weights.dtype), 0)
        slopes, largest = jax.tree.map(lambda x: weights * x, slopes), rows.largest
        if tiles.kept is None:
            # Behind a barrier, so that the second product of a whole row is not taken for the first, and kept.
            hidden, slopes, largest = jax.lax.optimization_barrier((hidden, slopes, largest))
            tiles = tiles._replace(hidden=hidden)

        def pull_back(start: Any, again: Any, carry: tuple[Parameters, Any]) -> tuple[Parameters, Any]:
            (sums, in_hidden), first = carry, task.classes_first
            some, tile, column = tiles.at(start, again)
            slope, in_cap = before_the_cap(head, tile, row.gradient_of(slopes, largest, tile, column))
            factor, sums = slope.astype(task.factor), dict(sums)
            if "kernel" in wanted:
                # A CPU multiplies slowly by matrices whose first axis is summed over, and XLA takes in a transpose.
                upright = apart_on_cpu((factor if first else hidden).T)[0]
                block = multiply(upright, hidden if first else factor, 1, 0, task.dtype, spread_of(head.kernel))
                sums["kernel"] = _add(task, walk, sums["kernel"], block, start, 0 if first else 1)
            if "bias" in wanted:
                sums["bias"] = _add(task, walk, sums["bias"], jnp.sum(slope, axis=0), start, 0)
            if "softcap" in wanted and in_cap is not None:
                sums["softcap"] = sums["softcap"] + in_cap
            if "hidden" in wanted:
                in_hidden += multiply(factor, some.kernel, 1, 0 if first else 1, task.dtype, spread_of(hidden))
            return sums, in_hidden

        in_hidden = zeros(hidden, task.dtype) if "hidden" in wanted else None
        sums, in_hidden = _over_columns(task, walk, pull_back, (sums, in_hidden))
        return sums, (values, in_given if in_hidden is None else in_given | {"hidden": in_hidden})

    body = some_rows if rows is None else jax.checkpoint(some_rows)
    sums, (values, slopes) = _by_parts(task, walk, body, sums, (hidden, labels, weights, given.each, rows))
    for name in slopes.keys() - {"hidden"}:
        slopes[name] = multiply_no_nan(weights.reshape(-1, *[1] * (slopes[name].ndim - 1)), slopes[name])
        if name in given.shared:
            slopes[name] = jnp.sum(slopes[name], axis=0)
    # In the dtype that all walks return: narrow where products are.
    return values, slopes | {name: x.astype(task.factor) if name == "kernel" else x for name, x in sums.items()}


class _Tiles(NamedTuple):
    """The logits of some rows, a tile of classes at a time."""

    task: Task
    walk: Walk
    head: Head
    hidden: Array
    labels: Array
    kept: Array | None  # the logits of all classes, where the walk keeps them

    def at(self, start: Any, again: Any) -> tuple[Head, Array, Array]:
        """The parameters of a tile, its logits, and the column of the label; the first `again` are not there."""
        task, columns = self.task, self.walk.columns
        some = some_classes(task, self.head, start, columns)
        column = on_this_device(self.labels, task.classes, task.axis_name) - start
        if self.kept is None:
            tile = logits_of(task, some, self.hidden)
        else:
            tile = self.kept if columns == task.classes else cut(self.kept, start, columns, 1)
        if task.classes % columns:
            places = jax.lax.broadcasted_iota(np.int32, (1, columns), 1)
            tile, column = jnp.where(places < again, -jnp.inf, tile), jnp.where(column < again, -1, column)
        return some, tile, column

    def look(self, reads: frozenset[str]) -> row.Rows:
        """The statistics of these rows, over all classes."""
        task, rows = self.task, None
        statistics = row.summed if self.walk.on_cpu else row.swept

        def one_tile(start: Any, again: Any, rows: row.Rows | None) -> row.Rows:
            _, tile, column = self.at(start, again)
            more = statistics(reads, tile, column)
            return more if rows is None else row.join(rows, more)

        if self.walk.columns < task.classes:
            none = jax.tree.map(lambda x: jnp.full(self.labels.shape, x), row.nothing(reads, task.dtype))
            rows = vary(none, varying((self.hidden, self.labels, self.head)))
        rows = _over_columns(task, self.walk, one_tile, rows)
        return row.with_its_weights(row.joined_over(task.axis_name, rows) if task.axis_name else rows)


def _tiles(task: Task, walk: Walk, head: Head, hidden: Array, labels: Array) -> _Tiles:
    kept = logits_of(task, some_classes(task, head, 0, task.classes), hidden) if walk.keep else None
    return _Tiles(task, walk, head, hidden, labels, kept)


def _add(task: Task, walk: Walk, array: Array, block: Array, start: Any, axis: int) -> Array:
    """The slope after one more block: added to it, or in its place where all rows pass at once."""
    block = block.astype(array.dtype)
    if walk.rows < task.rows:
        block = block + jax.lax.dynamic_slice_in_dim(array, start, block.shape[axis], axis)
    return block if block.shape == array.shape else jax.lax.dynamic_update_slice_in_dim(array, block, start, axis)


def _by_parts(task: Task, walk: Walk, body: Any, carry: Any, rows: Any) -> tuple[Any, Any]:
    """`carry, results = body(carry, part, new)` for some rows at a time; `new` says which of them count.

    A last part that is not full begins again with the first rows. Those split over a mesh are taken in strides.
    """
    size, count = walk.rows, -(-task.rows // walk.rows)
    if count <= 1:
        return body(carry, rows, True)
    shape, axis = ((size, count), 1) if task.shards is not None else ((count, size), 0)

    def parts(x: Array) -> Array:
        full = jnp.concatenate([x, x[: size * count - task.rows]]) if task.rows % size else x
        return jnp.moveaxis(full.reshape(*shape, *x.shape[1:]), axis, 0)

    def whole(x: Array) -> Array:
        return jnp.moveaxis(x, 0, axis).reshape(-1, *x.shape[2:])[: task.rows]

    new = jnp.arange(size * count).reshape(count, size) < task.rows
    carry, each = jax.lax.scan(lambda carry, xs: body(carry, *xs), carry, (jax.tree.map(parts, rows), new))
    return carry, jax.tree.map(whole, each)


def _over_columns(task: Task, walk: Walk, body: Any, carry: Any) -> Any:
    """`carry = body(start, again, carry)` for all columns; the first `again` of a tile do not count.

    If the size does not divide the total, the first tile is the end of all, and the next ones go on from the start.
    """
    size, again = walk.columns, -task.classes % walk.columns
    if size >= task.classes:
        return body(0, 0, carry)

    def one_more(carry: Any, number: Array) -> Any:
        if not again:
            return body(number * size, 0, carry), None
        first = number == 0
        start = jnp.where(first, task.classes - size, (number - 1) * size)
        return body(start, jnp.where(first, again, 0), carry), None

    return jax.lax.scan(one_more, carry, jnp.arange(-(-task.classes // size), dtype=np.int32))[0]
