"""A loss of the softmax of a linear head, summed over rows, without its logits.

Rows are taken some at a time. Either the logits of these rows are kept until their gradient is formed, in the same
sweep (three matrix products in all, as many as with all logits at hand); or nothing but a tile ever exists, and is
formed twice (four products, in the least memory).

Three layers make this differentiable in every mode. `_sweep` is the algorithm. `_slopes` is the same with its
derivative by plain autodiff, but opaque, so that reverse mode does not store what the loops could. `_total` is the sum
alone; its rule takes values and slopes from one sweep.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.linear_softmax import (
    Link,
    Pull,
    Rows,
    Softmax,
    add_tile,
    gradient_of,
    no_rows_yet,
    pull_of,
    rebased,
    softmax_of,
)
from jaxloss.numerics.linear_tiles import Head, Tiling, columns, cut, explicit, logits_of, multiply
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
    """The first class at hand, how many may be chosen and how many there are on all devices, and over which mesh axes
    of a `shard_map` what is summed varies.
    """

    first: Array
    possible: Array
    everywhere: Array
    along: frozenset[Any]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def total_cost(
    tiling: Tiling, link: Link, hidden: Array, labels: Array, weights: Array, head: Head, given: Given
) -> Array:
    """The weighted sum of the costs of all rows: hidden `[n, d]`, labels and weights `[n]`."""
    values, _ = _sweep(tiling, link, frozenset(), hidden, labels, weights, head, given)
    return jnp.sum(multiply_no_nan(weights, values))


@functools.partial(total_cost.defjvp, symbolic_zeros=True)
def _(tiling: Tiling, link: Link, primals: Any, tangents: Any) -> Any:
    weights = primals[2]
    dhidden, _, dweights, dhead, dgiven = tangents
    moved = {
        name: tangent.astype(tiling.dtype)
        for name, tangent in {
            "hidden": dhidden,
            "weights": dweights,
            **dhead._asdict(),
            **dgiven.each,
            **dgiven.shared,
        }.items()
        if tangent is not None and not isinstance(tangent, jax.custom_derivatives.SymbolicZero)
    }
    values, slopes = _slopes(tiling, link, frozenset(moved), *primals)
    slopes["weights"] = values
    tangent = jnp.zeros((), tiling.dtype)
    for name in moved.keys() & BY_TILES:
        tangent = tangent + jnp.sum(slopes[name] * moved[name])
    if tiling.axis_name is not None and moved.keys() & BY_TILES:  # each device has the share of its classes
        tangent = jax.lax.psum(tangent, tiling.axis_name)
    for name in moved.keys() - BY_TILES:
        tangent = tangent + jnp.sum(slopes[name] * moved[name])
    return jnp.sum(multiply_no_nan(weights, values)), tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _slopes(
    tiling: Tiling, link: Link, wanted: frozenset[str], *arrays: *tuple[Array, Array, Array, Head, Given]
) -> tuple[Array, Parameters]:
    return _sweep(tiling, link, wanted, *arrays)


@_slopes.defjvp
def _(tiling: Tiling, link: Link, wanted: frozenset[str], primals: Any, tangents: Any) -> Any:
    return jax.jvp(functools.partial(_sweep, tiling.differentiable(), link, wanted), primals, tangents)


# As one program also outside of `jit`, compiled once for equal links; inside of it nothing is to be seen of this.
@functools.partial(jax.jit, static_argnums=(0, 1, 2), inline=True)
def _sweep(
    tiling: Tiling,
    link: Link,
    wanted: frozenset[str],
    hidden: Array,
    labels: Array,
    weights: Array,
    head: Head,
    given: Given,
) -> tuple[Array, Parameters]:
    """The value of each row, and the slopes that are wanted of the weighted sum."""
    classes = _classes(tiling, head, (hidden, labels, weights, *given.each.values()))
    summed = {name: array for name, array in head._asdict().items() if name in wanted & BY_TILES}
    sums = {name: _vary(_zeros(x, tiling.dtype), classes.along) for name, x in summed.items()}
    # Rows that fill the last part are the last one once more, which is in the domain of the link, of weight 0.
    rows = _split(tiling, {"hidden": hidden, "labels": labels, "given": given.each}, "edge")
    rows |= _split(tiling, {"weights": weights}, "constant")
    if "kernel" in wanted and tiling.words:
        rows["upright"] = _as_words(jnp.swapaxes(rows["hidden"], 1, 2))
    if tiling.words:
        rows["hidden"] = _as_words(rows["hidden"])

    kept = None
    if tiling.keep and wanted & BY_TILES and tiling.columns < head.count(tiling):
        # In the carry, so that one buffer serves all parts.
        kept = _vary(jnp.zeros((tiling.rows, head.count(tiling)), tiling.dtype), classes.along)

    def some_rows(carry: Any, part: dict[str, Any]) -> Any:
        part = jax.tree.map(lambda x: _from_words(x, hidden.dtype), part)
        return _some_rows(tiling, link, wanted, head, classes, given.shared, part, carry)

    (sums, _), each = jax.lax.scan(tiling.remember(some_rows), (sums, kept), rows)
    values, slopes = jax.tree.map(lambda x: _join(tiling, x, len(labels)), each)
    for name in slopes.keys() & (given.each.keys() | given.shared.keys()):
        slopes[name] = multiply_no_nan(weights.reshape(-1, *[1] * (slopes[name].ndim - 1)), slopes[name])
    for name in slopes.keys() & given.shared.keys():
        slopes[name] = jnp.sum(slopes[name], axis=0)
    return values, {**sums, **slopes}


def _some_rows(
    tiling: Tiling,
    link: Link,
    wanted: frozenset[str],
    head: Head,
    classes: Classes,
    shared: Parameters,
    part: dict[str, Any],
    carry: tuple[Parameters, Any],
) -> tuple[tuple[Parameters, Any], tuple[Array, Parameters]]:
    """What some rows add to the sums, and what is theirs: values and slopes."""
    (sums, kept), pulls = carry, bool(wanted & BY_TILES)
    hidden, labels, weights = part["hidden"], part["labels"], part["weights"]
    count = head.count(tiling)
    column = labels - classes.first
    known = (labels >= 0) & (labels < classes.everywhere)

    def look(start: Any, width: int, carry: tuple[Rows, Any]) -> tuple[Rows, Any]:
        rows, kept = carry
        tile = logits_of(tiling, head, hidden, start, width)
        if tiling.keep and pulls:
            kept = tile if kept is None else jax.lax.dynamic_update_slice_in_dim(kept, tile, start, 1)
        return add_tile(tiling, rows, tile, column - start), kept

    stats = jax.tree.map(lambda x: _vary(x, classes.along), no_rows_yet(link, len(labels), tiling.dtype))
    stats, logits = _over_columns(tiling, count, look, (stats, kept))
    if tiling.axis_name is not None:
        stats = _over_devices(tiling, stats, (column >= 0) & (column < count))
    softmax, shares = softmax_of(link, stats, classes.possible)
    values, (slopes, in_given) = _linked(link, softmax, part["given"], shared, wanted)
    values = jnp.where(known, values, jnp.nan)
    if not pulls:
        return (sums, kept), (values, in_given)
    pull = pull_of(shares, slopes, jnp.where(known | (weights == 0), weights, jnp.nan), classes.possible)

    def pull_back(start: Any, width: int, carry: tuple[Parameters, Any]) -> tuple[Parameters, Any]:
        kept = tiling.keep
        tile = cut(tiling, logits, start, width, 1) if kept else logits_of(tiling, head, hidden, start, width)
        return _pull_back(tiling, wanted, head, part, pull, tile, column - start, start, carry)

    in_hidden = _vary(_zeros(hidden, tiling.dtype), classes.along) if "hidden" in wanted else None
    sums, in_hidden = _over_columns(tiling, count, pull_back, (sums, in_hidden))
    # What was formed is kept as the buffer of the next part.
    kept = None if kept is None else logits
    return (sums, kept), (values, in_given if in_hidden is None else in_given | {"hidden": in_hidden})


def _over_devices(tiling: Tiling, rows: Rows, here: Array) -> Rows:
    """The statistics of the classes of all devices; on one of them is the label here."""
    largest = jax.lax.pmax(rows.largest, tiling.axis_name)
    rows = rebased(rows, largest)._replace(label=jnp.where(here, rows.label, 0))
    sums: Rows = jax.lax.psum(rows, tiling.axis_name)
    return sums._replace(largest=largest)


def _linked(
    link: Link, softmax: Softmax, each: Parameters, shared: Parameters, wanted: frozenset[str]
) -> tuple[Array, tuple[Softmax, Parameters]]:
    along = frozenset[Any]().union(*(_varying(x) for x in jax.tree.leaves((softmax, each))))
    return link.values_and_slopes(softmax, each, {name: _vary(x, along) for name, x in shared.items()}, wanted)


def _pull_back(
    tiling: Tiling,
    wanted: frozenset[str],
    head: Head,
    part: dict[str, Any],
    pull: Pull,
    tile: Array,
    column: Array,
    start: Any,
    carry: tuple[Parameters, Any],
) -> tuple[Parameters, Any]:
    """Adds what a tile of logits passes back to the parameters and to the rows."""
    (sums, in_hidden), width = carry, tile.shape[1]
    sums = dict(sums)
    slope, in_cap = gradient_of(tiling, head, pull, tile, column)
    narrow = slope
    if part["hidden"].dtype == head.kernel.dtype == jnp.bfloat16:
        narrow = slope.astype(jnp.bfloat16)
    if "hidden" in wanted:
        kernel = columns(tiling, head, start, width)
        spread = explicit(part["hidden"]) or None
        product = multiply(tiling, narrow, kernel, 1, 0 if tiling.classes_first else 1, spread and jax.P(*spread))
        in_hidden = in_hidden + product
    if "kernel" in wanted:
        axis = 0 if tiling.classes_first else 1
        spread = explicit(head.kernel) or None
        if "upright" in part:
            block = multiply(tiling, part["upright"], narrow, 1, 0)
            # Behind a barrier: folded into the product, the transpose makes one that XLA:CPU cannot run.
            block = jax.lax.optimization_barrier(block).T if tiling.classes_first else block
        elif tiling.classes_first:
            block = multiply(tiling, narrow, part["hidden"], 0, 0, spread and jax.P(*spread))
        else:
            block = multiply(tiling, part["hidden"], narrow, 0, 0, spread and jax.P(*spread))
        sums["kernel"] = _add(sums["kernel"], block, start, axis)
    if "bias" in wanted:
        sums["bias"] = _add(sums["bias"], jnp.sum(slope, axis=0), start, 0)
    if in_cap is not None and "softcap" in wanted:
        sums["softcap"] = sums["softcap"] + in_cap
    return sums, in_hidden


def _classes(tiling: Tiling, head: Head, rows: tuple[Array, ...]) -> Classes:
    count = head.count(tiling)
    possible = jnp.asarray(count) if head.possible is None else jnp.sum(head.possible)
    first = jnp.int32(0)
    if tiling.axis_name is not None:
        first = jax.lax.axis_index(tiling.axis_name) * count
        possible, count = jax.lax.psum((possible, count), tiling.axis_name)
    along = frozenset[Any]().union(*(_varying(x) for x in (first, *rows, *jax.tree.leaves(head))))
    return Classes(first, jnp.maximum(possible, 1).astype(tiling.dtype), jnp.int32(count), along)


# --------------------------------------------------------------------------------------------------------------- loops


def _over_columns(tiling: Tiling, count: int, body: Any, carry: Any) -> Any:
    """`carry = body(start, width, carry)` for all columns; what is left at the end has its own true width."""
    whole = count // tiling.columns
    if whole > 1:
        carry = jax.lax.fori_loop(
            np.int32(0), np.int32(whole), lambda i, c: body(i * tiling.columns, tiling.columns, c), carry
        )
    elif whole:
        carry = body(0, tiling.columns, carry)
    left = count - whole * tiling.columns
    return body(whole * tiling.columns, left, carry) if left else carry


def _add(array: Array, block: Array, start: Any, axis: int) -> Array:
    if block.shape == array.shape:
        return array + block
    before = jax.lax.dynamic_slice_in_dim(array, start, block.shape[axis], axis)
    return jax.lax.dynamic_update_slice_in_dim(array, before + block, start, axis)


def _split(tiling: Tiling, rows: dict[str, Any], filled: str) -> dict[str, Any]:
    """The rows in parts of equal size, the last filled as `jnp.pad` does it."""
    size = tiling.rows

    def parts(x: Array) -> Array:
        if tiling.strided:
            return jnp.moveaxis(x.reshape(size, -1, *x.shape[1:]), 1, 0)
        missing = -len(x) % size
        x = jnp.pad(x, [(0, missing)] + [(0, 0)] * (x.ndim - 1), filled) if missing else x
        return x.reshape(-1, size, *x.shape[1:])

    return jax.tree.map(parts, rows)


def _join(tiling: Tiling, parts: Array, count: int) -> Array:
    if tiling.strided:
        parts = jnp.moveaxis(parts, 0, 1)
    return parts.reshape(-1, *parts.shape[2:])[:count]


def _as_words(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, jnp.uint16) if x.dtype.itemsize == 2 else x


def _from_words(x: Array, dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(x, dtype) if x.dtype == jnp.uint16 else x


# ------------------------------------------------------------------------------------------------- arrays over devices


def _zeros(like: Array, dtype: Any) -> Array:
    spread = explicit(like)
    return jnp.zeros(like.shape, dtype, out_sharding=jax.P(*spread)) if spread else jnp.zeros(like.shape, dtype)


def _varying(x: Array) -> frozenset[Any]:
    """The mesh axes of a `shard_map` over which an array varies."""
    kind = jax.typeof(x)
    return frozenset(kind.vma if hasattr(kind, "vma") else kind.manual_axis_type.varying)


def _vary(x: Array, along: frozenset[Any]) -> Array:
    """As a start of a loop whose results vary along these axes."""
    missing = tuple(along - _varying(x))
    return jax.lax.pcast(x, missing, to="varying") if missing else x
