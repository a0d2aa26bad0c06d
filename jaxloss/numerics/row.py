"""The softmax of a row of logits with a label: its sums over the classes, and what a loss may know of it.

With the largest logit m, a confident row is a small number formed of others near 1, which cancel. So the class y of the
label is left out of the sum of the weights exp(x - m). With the sum s over all others,

    -log p_y = log(1 + s exp(m - x_y))

and a confident row costs 1e-9 when it should. Here m may be any number near the largest logit: a compiler may form the
logits again in another loop and round them otherwise, and nothing asks which logit equals the maximum.

The sums are a monoid, joined over classes, tiles and devices. On a TPU or a GPU one reduction forms them all, the
sweep, which reads each logit once. XLA for a CPU makes a slow loop of that; there they are a few sums.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.classes import is_at, is_class, place_of_largest
from jaxloss.numerics.platform import apart_on_cpu, entry_on_cpu, tied
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


class Softmax(NamedTuple):
    """What a loss may know of the softmax of one row; None is what it does not read."""

    surprisal: Any  # -log p of the label; of targets t the sum of -t log p
    complement: Any = None  # 1 - p of the label, as the sum of the others; of targets the sum of t (1 - p)
    mean_surprisal: Any = None  # the mean of -log p over all classes that may be chosen
    entropy: Any = None  # the sum of -p log p
    log_partition: Any = None  # log Z, the logsumexp of the logits, as a finite number


class Rows(NamedTuple):
    """Sums over the classes of rows; None is what nobody asks for."""

    largest: Any  # m, the largest logit
    others: Any  # the sum of exp(x - m) over all classes but the label
    label: Any  # the logit of the label; 0 as long as it was not met
    classes: Any = None  # how many classes are possible, those of a logit above -inf
    gaps: Any = None  # the sum of m - x over these
    rest: Any = None  # the sum of exp(x - m) over all classes but one of the largest
    moment: Any = None  # the sum of (m - x) exp(x - m), which moves as that of (m - x + 1) exp(x - m) does
    top: Any = None  # the place of a largest logit, as a real number


# ------------------------------------------------------------------------------------------------------- the statistics


def leaves(reads: frozenset[str], logits: Array, hot: Array) -> Rows:
    """The statistics of single classes, from their logits, -inf where impossible; `hot` at the label."""
    one_class = Rows(bounded(logits), tied(~hot, logits), zero_unless(hot, logits))
    none = lambda: tied(jnp.zeros_like(logits), logits)  # noqa: E731
    if "mean_surprisal" in reads:
        one_class = one_class._replace(classes=tied(possible(logits), logits), gaps=none())
    if "entropy" in reads:
        one_class = one_class._replace(rest=tied(possible(logits) - 1, logits), moment=none())
    if "top" in reads:
        places = jax.lax.broadcasted_iota(logits.dtype, logits.shape, logits.ndim - 1)
        one_class = one_class._replace(top=none() + places)  # split over a mesh as the logits are
    return one_class


def nothing(reads: frozenset[str], dtype: Any) -> Rows:
    """The statistics of no class."""
    zero = np.zeros((), dtype)
    mean, entropy, top = (zero if name in reads else None for name in ("mean_surprisal", "entropy", "top"))
    return Rows(zero - bound(zero), zero, zero, mean, mean, None if entropy is None else zero - 1, entropy, top)


def join(a: Rows, b: Rows) -> Rows:
    """The statistics of both; associative and commutative."""
    first, gap = a.largest >= b.largest, jnp.abs(a.largest - b.largest)
    decay = jnp.exp(-gap)

    def ordered(name: str) -> tuple[Array, Array]:
        """That of the row of the larger logit, and that of the other."""
        one, two = getattr(a, name), getattr(b, name)
        return jax.lax.select(first, one, two), jax.lax.select(first, two, one)

    near, far = ordered("others")
    both = Rows(jnp.maximum(a.largest, b.largest), near + far * decay, a.label + b.label)
    if a.gaps is not None:
        both = both._replace(classes=a.classes + b.classes, gaps=a.gaps + b.gaps + ordered("classes")[1] * gap)
    if a.rest is not None:
        (near, far), (moment, lower) = ordered("rest"), ordered("moment")
        weight = (1 + far) * decay
        both = both._replace(rest=near + weight, moment=moment + lower * decay + gap * weight)
    return both if a.top is None else both._replace(top=ordered("top")[0])


def joined_over(axis_name: Any, rows: Rows) -> Rows:
    """The statistics of the classes of all devices along a mesh axis of a `shard_map`; on one of them is the label."""
    largest = jax.lax.pmax(rows.largest, axis_name)
    gap, here = largest - rows.largest, rows.largest == largest
    decay = jnp.exp(-gap)
    sums = rows._replace(largest=here.astype(largest.dtype), others=rows.others * decay, top=None)
    if rows.gaps is not None:
        sums = sums._replace(gaps=rows.gaps + rows.classes * gap)
    if rows.rest is not None:
        weight = (1 + rows.rest) * decay
        sums = sums._replace(rest=jnp.where(here, rows.rest, weight), moment=rows.moment * decay + gap * weight)
    sums = jax.lax.psum(sums, axis_name)
    if sums.rest is not None:  # on each device a largest class was left out
        sums = sums._replace(rest=sums.rest + (sums.largest - 1))
    return sums._replace(largest=largest, top=None if rows.top is None else jnp.where(here, rows.top, -1))


def swept(reads: frozenset[str], logits: Array, column: Array) -> Rows:
    """The statistics of rows, by one reduction that reads each logit once; not for a CPU, which makes it a slow loop.

    >>> rows = swept(frozenset(), jnp.array([[20.0, 0.0]]), jnp.array([0]))
    >>> print(rows.largest, rows.others)
    [20.] [2.0611537e-09]
    """
    operands, structure = jax.tree.flatten(leaves(reads, logits, is_at(logits, column)))

    def combine(a: Any, b: Any) -> Any:
        return jax.tree.leaves(join(jax.tree.unflatten(structure, a), jax.tree.unflatten(structure, b)))

    start = jax.tree.leaves(nothing(reads, logits.dtype))
    rows: Rows = jax.tree.unflatten(structure, jax.lax.reduce(operands, start, combine, (logits.ndim - 1,)))
    return rows


def summed(reads: frozenset[str], logits: Array, column: Array, weighed: bool = False) -> Rows:
    """The statistics of rows by plain sums and one maximum, which a CPU forms fast.

    `weighed` says that the weights of all classes are formed in any case, for a slope: then the sum is of these.
    """
    if logits.shape[:-1] == (1,):  # under `vmap` XLA 0.10 for a CPU crashes in a sum over `[n, 1, v]`
        return jax.tree.map(lambda x: x[None], summed(reads, logits[0], column[0], weighed))
    largest = largest_of(logits)
    if weighed:
        others = over_classes(zero_where(is_at(logits, column), weights_of(logits, largest)))
    else:
        places = jax.lax.broadcasted_iota(logits.dtype, (1,) * (logits.ndim - 1) + logits.shape[-1:], logits.ndim - 1)
        # The minimum with the distance is 0 at the label, and nowhere else less than the weight, which is at most 1.
        x, m, j, y = apart_on_cpu(logits, largest[..., None], places, column.astype(logits.dtype)[..., None])
        others = over_classes(jnp.minimum(jnp.exp(jnp.minimum(x, bound(x)) - m), 2 * jnp.abs(j - y)))
    rows = Rows(largest, others, zero_unless(is_class(column, logits.shape[-1]), entry_on_cpu(logits, column)))
    if "mean_surprisal" in reads:
        classes, gaps = classes_and_gaps(logits, largest)
        rows = rows._replace(classes=classes, gaps=gaps)
    if "entropy" in reads:
        below = logits - largest[..., None]
        at_top, weights = below == 0, jnp.exp(below)
        rest = over_classes(zero_where(at_top, weights)) + (over_classes(zero_unless(at_top, weights)) - 1)
        rows = rows._replace(rest=rest, moment=-over_classes(jnp.where(weights > 0, below, 0) * weights))
    return rows._replace(top=place_of_largest(logits).astype(logits.dtype)) if "top" in reads else rows


# ---------------------------------------------------------------------------- from the statistics to the loss and back


def softmax_of(reads: frozenset[str], rows: Rows, gap: Array) -> Softmax:
    """What a loss reads of the rows with these statistics, and with this gap m - x of the label."""
    log_total = _log_total(gap, rows.others)
    mean = None if rows.gaps is None else mean_surprisal(rows.largest, log_total, rows.classes, rows.gaps)
    return Softmax(
        surprisal=_surprisal(gap, rows.others, log_total) if "surprisal" in reads else None,
        complement=complement(_surprisal(gap, rows.others, log_total)) if "complement" in reads else None,
        mean_surprisal=mean,
        entropy=None if rows.rest is None else _entropy(rows.rest, rows.moment),
        log_partition=rows.largest + log_total if "log_partition" in reads else None,
    )


def complement(surprisal: Array) -> Array:
    """1 - p, by -log p."""
    return -expm1(-surprisal)


# From the gap m - x of the label and the sum of exp(x - m) over all others alone.


def probability_scale(gap: Array, others: Array) -> Array:
    """Z exp(-m), at least 1 but for rounding; 0.5 where no class is possible."""
    return jnp.maximum(others + jnp.exp(-gap), 0.5)


def _slope_in_gap(gap: Array, others: Array, log_total: Array) -> Array:
    return complement(_surprisal(gap, others, log_total))


def _slope_in_others(gap: Array, others: Array, *_: Array) -> Array:
    return 1 / probability_scale(gap, others)


# A derivative that cancels: 1 - p. It is the whole one in gap and others, that by log Z too.
@with_slopes(_slope_in_gap, _slope_in_others, None)
def _surprisal(gap: Array, others: Array, log_total: Array) -> Array:
    """log(1 + s exp(gap)): by a small s if the label is near the largest, else by log Z - m."""
    near = jnp.log1p(others * jnp.exp(jnp.minimum(gap, 1)))
    return jax.lax.select(gap < 1, near, gap + log_total)


def _less_p(gap: Array, others: Array) -> Array:
    return -jnp.exp(-_surprisal(gap, others, _log_total(gap, others)))


@with_slopes(_less_p, _slope_in_others)  # an infinite slope times 0
def _log_total(gap: Array, others: Array) -> Array:
    """Log Z - m."""
    return jnp.log1p(jnp.maximum(others + jnp.expm1(-gap), -0.5))


def mean_surprisal(largest: Array, log_total: Array, classes: Array, gaps: Array) -> Array:
    """The mean of -log p over the possible classes, by their number and the sum of m - x."""
    return zero_unless(classes > 1, beside_inf(largest, gaps) / jnp.maximum(classes, 1) + log_total)


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
    weights = weights_of(logits, largest)
    gradient = jnp.where(is_at(logits, column), slopes.label[:, None], slopes.others[:, None] * weights)
    if slopes.gaps is not None:
        gradient = gradient - possible(logits) * slopes.gaps[:, None]
    if slopes.rest is None:
        return gradient
    below = zero_unless(logits > -jnp.inf, logits - largest[:, None])
    return gradient + (slopes.rest[:, None] - slopes.moment[:, None] * below) * weights


def change_of(rows: Rows, logits: Array, column: Array, change: Array, axis_name: Any) -> Rows:
    """How the statistics change with the logits: the transpose of `gradient_of`.

    The largest logit moves as the logit at `top` does, and all else is relative to it: where one class has nearly all
    of the probability, nothing of its size is left to cancel.
    """
    over_devices = functools.partial(jax.lax.psum, axis_name=axis_name)
    at_top, hot = is_at(logits, rows.top.astype(np.int32)), is_at(logits, column)
    tops = over_devices(over_classes(at_top.astype(logits.dtype)))
    of_largest = over_devices(over_classes(zero_unless(at_top, change))) / tops
    relative = change - of_largest[:, None]
    moved = weights_of(logits, rows.largest) * relative
    sums = Rows(None, over_classes(zero_where(hot, moved)), over_classes(zero_unless(hot, change)))
    if rows.gaps is not None:
        sums = sums._replace(gaps=-over_classes(zero_unless(logits > -jnp.inf, relative)))
    if rows.rest is not None:
        above = zero_unless(logits > -jnp.inf, rows.largest[:, None] - logits)
        sums = sums._replace(rest=over_classes(moved), moment=over_classes(above * moved))
    still = jax.tree.map(jnp.zeros_like, Rows(None, None, None, classes=rows.classes, top=rows.top))
    return over_devices(sums)._replace(largest=of_largest, classes=still.classes, top=still.top)


# ---------------------------------------------------------------------------------------------- logits, also infinite


def bound(x: Any) -> float:
    """Beyond it a logit counts as infinite; of two such numbers the difference is finite."""
    return 0.5 * float(jnp.finfo(x.dtype).max)


def bounded(x: Array) -> Array:
    """The logits as finite numbers."""
    limit = np.asarray(bound(x), x.dtype)
    return jax.lax.clamp(-limit, x, limit)


def largest_of(logits: Array) -> Array:
    """The largest logit, as a finite number."""
    return bounded(jnp.max(logits, axis=-1))


def weights_of(logits: Array, largest: Array) -> Array:
    """exp(x - m), the same for every logit of inf."""
    return jnp.exp(jnp.minimum(logits, bound(logits)) - largest[..., None])


def gap_of(logits: Array, largest: Array) -> Array:
    """M - x, infinite if m stands for a logit of inf and x is not."""
    limit = bound(logits)
    gap = largest - jnp.minimum(logits, limit)
    return jax.lax.select((largest >= limit) & (logits < limit), gap + jnp.inf, gap)


def beside_inf(largest: Array, cost: Array) -> Array:
    """The cost of logits below the largest, which is infinite if that is inf."""
    return inf_where((largest >= bound(largest)) & (cost > 0), cost)


def possible(logits: Array) -> Array:
    """1 for a class that may be chosen, 0 for one of logit -inf."""
    return (logits > -jnp.inf).astype(logits.dtype)


def classes_and_gaps(logits: Array, largest: Array) -> tuple[Array, Array]:
    """How many classes are possible, and the sum of their gaps."""
    return over_classes(possible(logits)), over_classes(possible(logits) * (largest[..., None] - bounded(logits)))


def over_classes(x: Array) -> Array:
    """The sum over the last axis."""
    return jnp.sum(x, axis=-1)


def zero_unless(condition: Array, x: Array) -> Array:
    """The number where the condition holds, else 0: `jnp.where` in fewer equations."""
    return jax.lax.select(condition, x, jnp.zeros_like(x))


def zero_where(condition: Array, x: Array) -> Array:
    """0 where the condition holds, else the number."""
    return jax.lax.select(condition, jnp.zeros_like(x), x)


def inf_where(condition: Array, x: Array) -> Array:
    """Infinity where the condition holds, else the number."""
    return jax.lax.select(condition, jnp.full_like(x, jnp.inf), x)
