"""The softmax of a row of logits, from its tiles: what a loss may know of it, and what it passes back.

Each logit is read once: the statistics of a row are a monoid, joined over classes, tiles and devices. The class of the
label is left out of the sum of the others, so that a confident row costs that sum and not a difference.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.classes import is_at, is_class, place_of_largest
from jaxloss.numerics.platform import entry_on_cpu, row_sum, tied
from jaxloss.numerics.safe import finite_slope
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softmax import complement
from jaxloss.types import Array


class Softmax(NamedTuple):
    """What a loss may know of the softmax of one row; None is what it does not read."""

    surprisal: Any  # -log p of the label
    complement: Any  # 1 - p of the label, as the sum of the others
    mean_surprisal: Any  # the mean of -log p over all classes that may be chosen
    entropy: Any  # the sum of -p log p
    log_partition: Any  # log Z, the logsumexp of the logits


Parameters = dict[str, Array]


class Given(NamedTuple):
    """What a link takes beside the softmax, by name: a number of each row `[n]`, and arrays that all rows share."""

    each: Parameters
    shared: Parameters


@dataclass(frozen=True)
class Link:
    """The loss of one row, a function of its Softmax and of what else is given by name."""

    function: Callable[..., Any]  # as its author wrote it
    fixed: Mapping[str, Any] = field(hash=False)  # the arguments that are no arrays
    reads: frozenset[str]  # which numbers of the softmax it uses
    dtype: Any  # of its value

    @classmethod
    def of(cls, function: Callable[..., Any], fixed: Mapping[str, Any], dtype: Any, given: Mapping[str, Any]) -> "Link":
        """Traces the function once, with arrays of these shapes, to see which statistics it uses."""
        name = getattr(function, "__name__", type(function).__name__)
        softmax = Softmax(*[jax.ShapeDtypeStruct((), dtype)] * len(Softmax._fields))
        program = jax.make_jaxpr(lambda softmax, given: function(softmax, **fixed, **given))(softmax, given).jaxpr
        if [x.aval.shape for x in program.outvars] != [()]:
            shapes = ", ".join(str(x.aval.shape) for x in program.outvars)
            raise ValueError(f"{name} must return one number for one token, got shape {shapes or 'nothing'}.")
        used = {id(x) for equation in program.eqns for x in equation.invars} | {id(x) for x in program.outvars}
        reads = frozenset(n for n, x in zip(Softmax._fields, program.invars, strict=False) if id(x) in used)
        if not reads:
            raise ValueError(f"{name} must use its first argument, one of {', '.join(Softmax._fields)}; it uses none.")
        return cls(function, fixed, reads, dtype)

    def values_and_slopes(
        self, rows: "Rows", classes: Array, given: Given, wanted: frozenset[str]
    ) -> tuple[Array, tuple["Rows", Parameters]]:
        """The value of each row, and its slopes in the statistics and in the given arrays that are wanted."""
        softmax, back = jax.vjp(lambda rows: softmax_of(self.reads, rows, classes), rows)
        named = given.each | given.shared
        moving = {name: x for name, x in named.items() if name in wanted}
        still = {name: x for name, x in named.items() if name not in wanted}

        def one_row(softmax: Softmax, moving: Parameters, still: Parameters) -> Any:
            return jnp.asarray(self.function(softmax, **self.fixed, **moving, **still)).astype(self.dtype)

        axes = [{name: 0 if name in given.each else None for name in part} for part in (moving, still)]
        values, (slopes, in_given) = jax.vmap(jax.value_and_grad(one_row, (0, 1)), (0, *axes))(softmax, moving, still)
        (in_rows,) = back(jax.tree.map(finite_slope, slopes))
        return values, (in_rows, in_given)


# -------------------------------------------------------------------------------------------- the statistics of a row


class Rows(NamedTuple):
    """Sums over the classes of rows, each `[n]`; None is what nobody asks for."""

    largest: Any  # m, the largest logit
    others: Any  # the sum of exp(x - m) over all classes but the label
    label: Any  # the logit of the label; 0 as long as it was not met
    total: Any  # the sum of the logits of all possible classes but the label
    rest: Any  # the sum of exp(x - m) over all classes but one of the largest
    moment: Any  # the sum of (m - x) exp(x - m), which moves as that of (m - x + 1) exp(x - m) does
    top: Any  # the place of a largest logit, as a real number


def leaves(reads: frozenset[str], logits: Array, hot: Array) -> Rows:
    """The statistics of single classes, from their logits, -inf where impossible; `hot` at the label."""
    places = jax.lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)
    one, zero, possible = jnp.ones_like(logits), jnp.zeros_like(logits), ~jnp.isneginf(logits)
    return Rows(
        largest=jnp.maximum(logits, jnp.finfo(logits.dtype).min),
        others=tied(jnp.where(possible & ~hot, one, zero), logits),
        label=jnp.where(hot, logits, zero),
        total=jnp.where(possible & ~hot, logits, zero) if "mean_surprisal" in reads else None,
        rest=tied(jnp.where(possible, zero, -one), logits) if "entropy" in reads else None,
        moment=tied(zero, logits) if "entropy" in reads else None,
        top=tied(zero + places, logits) if "top" in reads else None,
    )


def nothing(reads: frozenset[str], shape: tuple[int, ...], dtype: Any) -> Rows:
    """The statistics of no class."""
    none = leaves(reads, jnp.full((*shape, 1), -jnp.inf, dtype), jnp.zeros((*shape, 1), bool))
    return jax.tree.map(lambda x: x[..., 0], none)


def join(a: Rows, b: Rows) -> Rows:
    """The statistics of both; associative and commutative."""
    first = (a.largest >= b.largest) | jnp.isnan(a.largest)
    gap = jnp.minimum(jnp.abs(a.largest - b.largest), jnp.finfo(a.largest.dtype).max)
    decay = jnp.exp(-gap)

    def of(one: Rows, other: Rows) -> Rows:
        """With the larger of the two first."""
        rest = moment = None
        if one.rest is not None:
            rest = one.rest + (1 + other.rest) * decay
            moment = one.moment + (other.moment + gap * (1 + other.rest)) * decay
        total = None if one.total is None else one.total + other.total
        others, label = one.others + other.others * decay, one.label + other.label
        return Rows(one.largest, others, label, total, rest, moment, one.top)

    return jax.tree.map(functools.partial(jnp.where, first), of(a, b), of(b, a))


def joined_over(axis_name: Any, rows: Rows) -> Rows:
    """The statistics of the classes of all devices along a mesh axis of a `shard_map`; on one of them is the label."""
    largest = jax.lax.pmax(rows.largest, axis_name)
    gap = jnp.minimum(largest - rows.largest, jnp.finfo(largest.dtype).max)
    decay, here = jnp.exp(-gap), rows.largest == largest
    sums = rows._replace(largest=here.astype(largest.dtype), others=rows.others * decay, top=None)
    if rows.rest is not None:
        moment = (rows.moment + gap * (1 + rows.rest)) * decay
        sums = sums._replace(rest=jnp.where(here, rows.rest, (1 + rows.rest) * decay), moment=moment)
    sums = jax.lax.psum(sums, axis_name)
    if sums.rest is not None:  # on each device a largest class was left out
        sums = sums._replace(rest=sums.rest + (sums.largest - 1))
    return sums._replace(largest=largest, top=None if rows.top is None else jnp.where(here, rows.top, -1))


def swept(reads: frozenset[str], logits: Array, column: Array) -> Rows:
    """The statistics of a tile, by one reduction that reads each logit once; not for a CPU, which makes it a slow loop.

    >>> rows = swept(frozenset(), jnp.array([[20.0, 0.0]]), jnp.array([0]))
    >>> print(rows.largest, rows.others)
    [20.] [2.0611537e-09]
    """
    operands, structure = jax.tree.flatten(leaves(reads, logits, is_at(logits, column)))
    start = jax.tree.leaves(nothing(reads, (), logits.dtype))

    def combine(a: Any, b: Any) -> Any:
        return jax.tree.leaves(join(jax.tree.unflatten(structure, a), jax.tree.unflatten(structure, b)))

    rows: Rows = jax.tree.unflatten(structure, jax.lax.reduce(operands, start, combine, (logits.ndim - 1,)))
    return rows


def summed(reads: frozenset[str], logits: Array, column: Array) -> Rows:
    """The statistics of a tile by plain sums and one maximum, which a CPU forms fast."""
    if logits.shape[:-1] == (1,):  # under `vmap` XLA 0.10 for a CPU crashes in a sum over `[n, 1, v]`
        return jax.tree.map(lambda x: x[None], summed(reads, logits[0], column[0]))
    largest = jnp.maximum(jnp.max(logits, axis=-1), jnp.finfo(logits.dtype).min)
    places = jax.lax.broadcasted_iota(logits.dtype, (1,) * (logits.ndim - 1) + logits.shape[-1:], logits.ndim - 1)
    m, y = largest[..., None], column.astype(logits.dtype)[..., None]
    # The minimum is 0 at the label, and nowhere else less than the weight, which is at most 1.
    others = row_sum(lambda x, m, j, y: jnp.minimum(jnp.exp(x - m), 2 * jnp.abs(j - y)), logits, m, places, y)[..., 0]
    label = jnp.where(is_class(column, logits.shape[-1]), entry_on_cpu(logits, column), 0)
    top = place_of_largest(logits).astype(logits.dtype) if "top" in reads else None
    rows = Rows(largest, others, label, None, None, None, top)
    if "mean_surprisal" in reads:
        other = jnp.where(is_at(logits, column) | jnp.isneginf(logits), 0, logits)
        rows = rows._replace(total=jnp.sum(other, axis=-1))
    if "entropy" in reads:
        below = logits - m
        at_top, weights = below == 0, jnp.exp(below)
        rest = jnp.sum(jnp.where(at_top, 0, weights), axis=-1) + (jnp.sum(jnp.where(at_top, weights, 0), axis=-1) - 1)
        rows = rows._replace(rest=rest, moment=-jnp.sum(jnp.where(weights > 0, below, 0) * weights, axis=-1))
    return rows


# ---------------------------------------------------------------------------- from the statistics to the loss and back


def softmax_of(reads: frozenset[str], rows: Rows, classes: Array) -> Softmax:
    """What the link reads, of rows with so many possible classes."""
    possible = ~jnp.isneginf(rows.label)
    gap = jnp.where(possible, rows.largest - rows.label, jnp.inf)
    mean = None
    if rows.total is not None:
        gaps = classes * rows.largest - (rows.total + jnp.where(possible, rows.label, 0))
        mean = jnp.where(classes > 1, gaps / jnp.maximum(classes, 1) + _log_total(gap, rows.others), 0)
    return Softmax(
        surprisal=_surprisal(gap, rows.others) if "surprisal" in reads else None,
        complement=_complement(gap, rows.others) if "complement" in reads else None,
        mean_surprisal=mean,
        entropy=None if rows.rest is None else _entropy(rows.rest, rows.moment),
        log_partition=rows.largest + _log_total(gap, rows.others) if "log_partition" in reads else None,
    )


# From the gap m - x of the label and the sum of exp(x - m) over all others alone.


def _total(gap: Array, others: Array) -> Array:
    """Z exp(-m), at least 1 but for rounding; 1 where no class is possible."""
    total = others + jnp.exp(-gap)
    return jnp.where(total == 0, 1, total)


def _complement(gap: Array, others: Array) -> Array:
    return complement(_surprisal(gap, others))


@with_slopes(_complement, lambda *row: 1 / _total(*row))  # a derivative that cancels: 1 - p
def _surprisal(gap: Array, others: Array) -> Array:
    """log(1 + s exp(gap)): by a small s if the label is among the largest, else by an s of at least 1."""
    near, own = gap < 1, jnp.exp(-gap)
    less_1 = jnp.where(near, others / jnp.maximum(own, 0.25), (others - 1) + own)
    return jnp.where(near, 0, gap) + jnp.log1p(jnp.maximum(less_1, -0.5))


# An infinite slope times 0.
@with_slopes(lambda *row: -jnp.exp(-_surprisal(*row)), lambda *row: 1 / _total(*row))
def _log_total(gap: Array, others: Array) -> Array:
    return jnp.log1p(jnp.maximum(others + jnp.expm1(-gap), -0.5))


def _all(rest: Array) -> Array:
    """The sum of all weights; 1 where no class is possible, and rest is -1."""
    return jnp.where(rest < 0, 1, 1 + rest)


def with_its_weights(rows: Rows) -> Rows:
    """Lets the moment move as its comment says, so that no slope of the entropy is a difference of larger ones."""
    if rows.rest is None:
        return rows
    return rows._replace(moment=rows.moment + (rows.rest - jax.lax.stop_gradient(rows.rest)))


def _moment(rest: Array, moment: Array) -> Array:
    """The moment, as it moves in truth."""
    return moment - (rest - jax.lax.stop_gradient(rest))


# A derivative that cancels.
@with_slopes(lambda rest, moment: -_moment(rest, moment) / _all(rest) ** 2, lambda rest, _: 1 / _all(rest))
def _entropy(rest: Array, moment: Array) -> Array:
    return moment / _all(rest) + jnp.log1p(jnp.where(rest < 0, 0, rest))


def gradient_of(slopes: Rows, largest: Array, logits: Array, column: Array) -> Array:
    """The gradient of the cost in a tile of logits, from its slopes in the statistics of the rows."""
    below = logits - largest[:, None]
    weights, possible = jnp.exp(below), below > -jnp.inf
    gradient = slopes.others[:, None] * weights
    if slopes.total is not None:
        gradient = gradient + jnp.where(possible, slopes.total[:, None], 0)
    gradient = jnp.where(is_at(logits, column), slopes.label[:, None], gradient)
    if slopes.rest is None:
        return gradient
    return gradient + (slopes.rest[:, None] - slopes.moment[:, None] * jnp.where(possible, below, 0)) * weights


def change_of(rows: Rows, logits: Array, column: Array, change: Array, axis_name: Any) -> Rows:
    """How the statistics change with the logits: the transpose of `gradient_of`.

    The largest logit moves as the logit at `top` does, and all else is relative to it: where one class has nearly all
    of the probability, nothing of its size is left to cancel.
    """
    over_classes = functools.partial(jnp.sum, axis=-1)
    over_devices = functools.partial(jax.lax.psum, axis_name=axis_name)
    at_top, hot = is_at(logits, rows.top.astype(np.int32)), is_at(logits, column)
    tops = over_devices(over_classes(at_top.astype(logits.dtype)))
    of_largest = over_devices(over_classes(jnp.where(at_top, change, 0))) / tops
    below = logits - rows.largest[:, None]
    weights, relative = jnp.exp(below), change - of_largest[:, None]
    moved = weights * relative
    sums = Rows(
        None,
        over_classes(jnp.where(hot, 0, moved)),
        over_classes(jnp.where(hot, change, 0)),
        None if rows.total is None else over_classes(jnp.where(hot | jnp.isneginf(logits), 0, change)),
        None if rows.rest is None else over_classes(moved),
        None if rows.moment is None else over_classes(jnp.where(below > -jnp.inf, -below, 0) * moved),
        None,
    )
    return over_devices(sums)._replace(largest=of_largest)
