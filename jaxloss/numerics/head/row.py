"""The softmax of a row of logits, from its tiles: what a loss may know of it, and what it passes back.

Each logit is read once: the statistics of a row are a monoid, joined over classes, tiles and devices. The class of the
label is left out of the sum of the others, so that a confident row costs that sum and not a difference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.classes import is_at, is_class
from jaxloss.numerics.platform import entry_on_cpu, row_sum, tied
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.types import Array


class Softmax(NamedTuple):
    """What a loss may know of the softmax of one row; None is what it does not read.

    Attributes:
        surprisal: -log p of the label.
        complement: 1 - p of the label, as the sum of the others.
        mean_surprisal: The mean of -log p over all classes that may be chosen.
        entropy: The sum of -p log p.
        log_partition: log Z, the logsumexp of the logits.
    """

    surprisal: Any
    complement: Any
    mean_surprisal: Any
    entropy: Any
    log_partition: Any


@dataclass(frozen=True)
class Link:
    """The loss of one row, a function of its Softmax and of what else is given by name.

    Attributes:
        function: As its author wrote it.
        fixed: The arguments that are no arrays.
        reads: Which statistics it uses.
        dtype: The dtype of its value.
    """

    function: Callable[..., Any]
    fixed: Mapping[str, Any] = field(hash=False)
    reads: frozenset[str]
    dtype: Any

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

    def __call__(self, softmax: Softmax, given: Mapping[str, Any]) -> Array:
        return jnp.asarray(self.function(softmax, **self.fixed, **given)).astype(self.dtype)

    def values_and_slopes(
        self, softmax: Softmax, each: dict[str, Array], shared: dict[str, Array], wanted: frozenset[str]
    ) -> tuple[Array, tuple[Softmax, dict[str, Array]]]:
        """The value of each row, and its slopes in the softmax and in the given arrays that are wanted."""
        given = each | shared
        moving = {name: x for name, x in given.items() if name in wanted}
        still = {name: x for name, x in given.items() if name not in wanted}

        def one_row(softmax: Softmax, moving: dict[str, Array], still: dict[str, Array]) -> Any:
            return self(softmax, moving | still)

        axes = [{name: 0 if name in each else None for name in part} for part in (moving, still)]
        return jax.vmap(jax.value_and_grad(one_row, (0, 1)), (0, *axes))(softmax, moving, still)


# -------------------------------------------------------------------------------------------- the statistics of a row


class Rows(NamedTuple):
    """The statistics of rows, each `[n]`; None is what the link does not need.

    Attributes:
        largest: The largest logit of all.
        others: The sum of exp(logit - largest) over all classes but the label.
        label: The logit of the label; 0 as long as it was not met.
        total: The sum of the logits of all possible classes but the label.
        rest: The sum of exp(logit - largest) over all classes but one of the largest.
        moment: The sum of (largest - logit) exp(logit - largest).
    """

    largest: Array
    others: Array
    label: Array
    total: Array | None
    rest: Array | None
    moment: Array | None


def leaves(link: Link, logits: Array, hot: Array) -> Rows:
    """The statistics of single classes, from their logits, -inf where impossible; `hot` at the label."""
    one, zero = jnp.ones_like(logits), jnp.zeros_like(logits)
    possible = logits > -jnp.inf
    other = jnp.where(hot | jnp.isneginf(logits), zero, one)
    by_entropy = "entropy" in link.reads
    return Rows(
        largest=jnp.maximum(logits, jnp.finfo(logits.dtype).min),
        others=tied(other, logits),
        label=jnp.where(hot, logits, zero),
        total=jnp.where(hot | ~possible, zero, logits) if "mean_surprisal" in link.reads else None,
        rest=tied(jnp.where(possible, zero, -one), logits) if by_entropy else None,
        moment=tied(zero, logits) if by_entropy else None,
    )


def nothing(link: Link, shape: tuple[int, ...], dtype: Any) -> Rows:
    """The statistics of no class."""
    logits = jnp.full(shape, -jnp.inf, dtype)
    return leaves(link, logits, jnp.zeros(shape, bool))


def join(a: Rows, b: Rows) -> Rows:
    """The statistics of both; associative and commutative."""
    first = a.largest >= b.largest
    largest = jnp.where(first | jnp.isnan(a.largest), a.largest, b.largest)
    # The larger one keeps its weights as they are, and takes those of the smaller one by this factor.
    decay = jnp.exp(jnp.where(first, b.largest - a.largest, a.largest - b.largest))
    of_a, of_b = jnp.where(first, 1, decay), jnp.where(first, decay, 1)
    rest = moment = None
    if a.rest is not None and b.rest is not None and a.moment is not None and b.moment is not None:
        rest = jnp.where(first, a.rest + (1 + b.rest) * decay, b.rest + (1 + a.rest) * decay)
        furthest = jnp.finfo(largest.dtype).max
        down_a = jnp.minimum(largest - a.largest, furthest) * (1 + a.rest)
        down_b = jnp.minimum(largest - b.largest, furthest) * (1 + b.rest)
        moment = (a.moment + down_a) * of_a + (b.moment + down_b) * of_b
    return Rows(
        largest,
        a.others * of_a + b.others * of_b,
        a.label + b.label,
        None if a.total is None or b.total is None else a.total + b.total,
        rest,
        moment,
    )


def joined_over(axis_name: Any, rows: Rows) -> Rows:
    """The statistics of the classes of all devices along a mesh axis of a `shard_map`; on one of them is the label."""
    largest = jax.lax.pmax(jax.lax.stop_gradient(rows.largest), axis_name)
    change = jnp.maximum(rows.largest - largest, jnp.finfo(largest.dtype).min)
    decay, top = jnp.exp(change), rows.largest == largest
    rest = moment = None
    if rows.rest is not None and rows.moment is not None:
        all_here = 1 + rows.rest
        rest = jnp.where(top, rows.rest * decay + jnp.expm1(change), all_here * decay)
        moment = rows.moment * decay + -change * all_here * decay
    sums: Rows = jax.lax.psum(Rows(largest, rows.others * decay, rows.label, rows.total, rest, moment), axis_name)
    if sums.rest is not None:
        sums = sums._replace(rest=sums.rest + (jax.lax.psum(top.astype(largest.dtype), axis_name) - 1))
    return sums._replace(largest=largest)


def swept(link: Link, logits: Array, column: Array) -> Rows:
    """The statistics of a tile, by one reduction that reads each logit once; not for a CPU, which makes it a slow loop.

    >>> link = Link(None, {}, frozenset({"surprisal"}), jnp.float32)
    >>> rows = swept(link, jnp.array([[20.0, 0.0]]), jnp.array([0]))
    >>> print(rows.largest, rows.others)
    [20.] [2.0611537e-09]
    """
    operands = leaves(link, logits, is_at(logits, column))
    kept = [name for name, x in operands._asdict().items() if x is not None]

    def named(values: Any) -> Rows:
        return Rows(**{**dict.fromkeys(Rows._fields), **dict(zip(kept, values, strict=True))})

    def combine(a: Any, b: Any) -> Any:
        return tuple(getattr(join(named(a), named(b)), name) for name in kept)

    start = nothing(link, (), logits.dtype)
    given = [getattr(operands, name) for name in kept], [getattr(start, name) for name in kept]
    return named(jax.lax.reduce(tuple(given[0]), tuple(given[1]), combine, (logits.ndim - 1,)))


def summed(link: Link, logits: Array, column: Array, *, smooth: bool) -> Rows:
    """The statistics of a tile by plain sums and one maximum, which a CPU forms fast.

    All is a function of logit - largest, the largest's own included: so it does not depend on the largest, nor does a
    derivative, and where one class has nearly all of the probability nothing of its size is left to cancel. `smooth`
    says that JAX will differentiate it; the mask that a CPU adds up in one loop has half a slope where weights are 1.
    """
    largest = jnp.maximum(jnp.max(logits, axis=-1), jnp.finfo(logits.dtype).min)
    below, hot = logits - largest[..., None], is_at(logits, column)
    if smooth:
        others = jnp.sum(jnp.where(hot, 0, jnp.exp(below)), axis=-1)
        label = jnp.sum(jnp.where(hot, logits, 0), axis=-1)
    else:
        places = jax.lax.broadcasted_iota(logits.dtype, (1, logits.shape[-1]), 1)
        y = column.astype(logits.dtype)[..., None]
        masked = lambda x, m, j, y: jnp.minimum(jnp.exp(x - m), jnp.abs(j - y))  # noqa: E731
        others = row_sum(masked, logits, largest[..., None], places, y)[..., 0]
        label = jnp.where(is_class(column, logits.shape[-1]), entry_on_cpu(logits, column), 0)
    total = rest = moment = None
    if "mean_surprisal" in link.reads:
        total = jnp.sum(jnp.where(hot | jnp.isneginf(logits), 0, logits), axis=-1)
    if "entropy" in link.reads:
        top, weights = below == 0, jnp.exp(below)
        rest = jnp.sum(jnp.where(top, 0, weights), axis=-1) + (jnp.sum(jnp.where(top, weights, 0), axis=-1) - 1)
        moment = -jnp.sum(jnp.where(weights > 0, below, 0) * weights, axis=-1)
    return Rows(largest, others, label, total, rest, moment)


# ---------------------------------------------------------------------------- from the statistics to the loss and back


class Shares(NamedTuple):
    """How the probability of a row is shared out.

    Attributes:
        possible: Whether the label may be chosen.
        largest: The largest logit.
        gap: How far below it the logit of the label is.
        mean_gap: The mean of (largest - logit) under the softmax, or None.
        total: The sum of exp(logit - largest).
        probability: That of the label.
        complement: That of the other classes.
    """

    possible: Array
    largest: Array
    gap: Array
    mean_gap: Array | None
    total: Array
    probability: Array
    complement: Array


class Pull(NamedTuple):
    """The numbers of each row that make its gradient.

    It is (scale + bend * (largest - logit - mean_gap)) * exp(logit - largest) - shift, and `label` at the label.
    """

    scale: Array
    largest: Array
    bend: Array | None
    mean_gap: Array | None
    shift: Array | None
    label: Array


def softmax_of(link: Link, rows: Rows, classes: Array) -> tuple[Softmax, Shares]:
    """What the link reads of rows with so many possible classes, and what their gradient needs beside."""
    possible = rows.label != -jnp.inf
    gap = jnp.where(possible, rows.largest - rows.label, jnp.inf)
    own = jnp.exp(-gap)
    # The sum of all weights is 1 + excess; the excess is never negative, but where no class is possible.
    excess = jnp.where(rows.others + jnp.expm1(-gap) < 0, 0, rows.others + jnp.expm1(-gap))
    if rows.rest is not None:
        excess = jnp.where(rows.rest < 0, 0, rows.rest)
    total, log_total = 1 + excess, jnp.log1p(excess)
    mean_surprisal = mean_gap = entropy = None
    if rows.total is not None:
        mean_surprisal = (rows.largest - (rows.total + jnp.where(possible, rows.label, 0)) / classes) + log_total
    if rows.moment is not None:
        mean_gap = rows.moment / total
        entropy = mean_gap + log_total
    shares = Shares(possible, rows.largest, gap, mean_gap, total, own / total, rows.others / total)
    known = Softmax(gap + log_total, shares.complement, mean_surprisal, entropy, rows.largest + log_total)
    return Softmax(*(x if name in link.reads else None for name, x in known._asdict().items())), shares


def pull_of(shares: Shares, slopes: Softmax, weights: Array, classes: Array) -> Pull:
    """What makes the gradient of the rows, from the slopes of the loss in the softmax.

    In the logits, surprisal and complement have the slopes p - e and p_y (p - e), where e is 1 at the label and else 0;
    mean surprisal has p - 1/k, entropy p (largest - logit - mean_gap), and the log-partition p.
    """
    given = slopes
    slopes = Softmax(*(0.0 if x is None else x for x in given))
    away = slopes.surprisal + multiply_no_nan(shares.probability, jnp.asarray(slopes.complement, weights.dtype))
    scale = away + slopes.mean_surprisal + slopes.log_partition
    at_label = slopes.log_partition * shares.probability - (away + slopes.mean_surprisal) * shares.complement
    shift = bend = None
    if given.mean_surprisal is not None:
        at_label = at_label + slopes.mean_surprisal * (1 - 1 / classes)
        shift = weights * slopes.mean_surprisal / classes
    if given.entropy is not None and shares.mean_gap is not None:
        gap = jnp.where(shares.possible, shares.gap, 0)
        at_label = at_label + slopes.entropy * shares.probability * (gap - shares.mean_gap)
        bend = weights * slopes.entropy / shares.total
    at_label = jnp.where(shares.possible, weights * at_label, 0)
    return Pull(weights * scale / shares.total, shares.largest, bend, shares.mean_gap, shift, at_label)


def gradient_of(pull: Pull, logits: Array, column: Array) -> Array:
    """The gradient of the cost in a tile of logits."""
    below = logits - pull.largest[:, None]
    scale = pull.scale[:, None]
    if pull.bend is not None and pull.mean_gap is not None:
        scale = scale - pull.bend[:, None] * (jnp.where(below > -jnp.inf, below, 0) + pull.mean_gap[:, None])
    slope = scale * jnp.exp(below)
    if pull.shift is not None:
        slope = jnp.where(below > -jnp.inf, slope - pull.shift[:, None], 0)
    return jnp.where(is_at(logits, column), pull.label[:, None], slope)
