"""The softmax of a row of logits, and what its classes cost.

The statistics of a row with a label are those of `row`, where the label is left out of the sum of the weights. A row of
targets leaves out the largest logit m. With the sum s of exp(x - m) over all others,

    -log p = log(1 + s), 1 - p = s / (1 + s) of the largest, and -log p_j = (m - x_j) + log(1 + s)

It has a sweep of its own on a TPU or a GPU.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.numerics.classes import is_at, is_at_in_slope
from jaxloss.numerics.head.linear import linear_softmax_sum
from jaxloss.numerics.platform import apart_on_cpu, tied
from jaxloss.numerics.row import (
    Softmax,
    beside_inf,
    bound,
    bounded,
    classes_and_gaps,
    complement,
    gap_of,
    inf_where,
    largest_of,
    mean_surprisal,
    over_classes,
    possible,
    probability_scale,
    softmax_of,
    summed,
    swept,
    weights_of,
    zero_where,
)
from jaxloss.numerics.safe import finite_slope, is_zero, multiply_no_nan, safe_square
from jaxloss.numerics.slopes import moves
from jaxloss.types import Array, Input, Number


def cross_entropy(row: Softmax, label_smoothing: Number = 0.0, z_loss: Number = 0.0) -> Array:
    r"""The cross entropy of a row, its label or targets smoothed.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j} $$

    >>> print(cross_entropy(Softmax(2.0, mean_surprisal=4.0), label_smoothing=0.25))
    2.5
    """
    cost: Array = row.surprisal
    if not is_zero(label_smoothing):
        cost = multiply_no_nan(1 - label_smoothing, cost) + multiply_no_nan(label_smoothing, row.mean_surprisal)
    return cost if is_zero(z_loss) else cost + multiply_no_nan(z_loss, safe_square(row.log_partition))


# ----------------------------------------------------------------------------------------------- the row of a label


def label_row(logits: Array, label: Array, *, spread: bool = False) -> Softmax:
    """The softmax of a label, whose cost is NaN if it is no class; `spread` asks for the mean over classes."""
    reads = frozenset(("surprisal", "log_partition") + ("mean_surprisal",) * spread)
    return _of_label(logits, label, reads, False)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _of_label(logits: Array, label: Array, reads: frozenset[str], sloped: bool) -> tuple[Softmax, Array, Any]:
    """The softmax, the probabilities, and how many classes are possible; `sloped`: the probabilities are needed."""
    by_sums, by_sweep = functools.partial(summed, reads, weighed=sloped), functools.partial(swept, reads)
    rows = jax.lax.platform_dependent(logits, label, cpu=by_sums, default=by_sweep)
    y = label.astype(logits.dtype)
    no_class = 0 * jnp.sqrt(jnp.minimum(y, (logits.shape[-1] - 1) - y))  # NaN, formed only where it is due
    gap = gap_of(rows.label, rows.largest) + no_class
    row, at = softmax_of(reads, rows, gap), is_at(logits, label)
    others = zero_where(at, weights_of(logits, rows.largest)) / probability_scale(gap, rows.others)[..., None]
    return row, jnp.where(at, jnp.exp(-row.surprisal)[..., None], others), rows.classes


@_of_label.defjvp  # a sweep: JAX has no derivative of a reduction of several numbers together
def _(reads: frozenset[str], _sloped: bool, primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    row, p, classes = _of_label(logits, label, reads, True)
    less_1 = -complement(row.surprisal)[..., None]  # p - 1, at the label
    dsurprisal = over_classes(jnp.where(is_at_in_slope(logits, label), less_1, p) * dx)
    change = _change_of_row(row, classes, dsurprisal, p, logits, dx)
    still = jax.tree.map(jnp.zeros_like, classes)
    return (row, p, classes), (change, p * change_of_log_probabilities(p, dx)[0], still)


def linked_softmax(
    link: Callable[..., Any], logits: Array, label: Array, axis_name: Input, shared: Mapping[str, Any]
) -> Array:
    """A loss of the softmax of one row of logits `[k]`, its classes whole or split over devices.

    It is the linear head whose only hidden number is 1. A class of logit -inf is not there. Inside `shard_map`,
    `axis_name` names the mesh axes of the classes: the label counts over all of them, and no row is gathered.

    >>> print(f"{linked_softmax(lambda softmax: softmax.entropy, jnp.array([20.0, 0.0]), jnp.array(0), None, {}):.3e}")
    4.328e-08
    """
    one, possible = jnp.ones(1, logits.dtype), logits != -jnp.inf
    rows = one, label, jnp.where(possible, logits, 0)[None], None, possible, one[0]
    return linear_softmax_sum(link, *rows, each={}, shared=shared, axis_name=axis_name, strategy="fast")


# ------------------------------------------------------------------------------------------------ the row of targets


class _Parts(NamedTuple):
    """What the slopes of a row of targets are made of."""

    probabilities: Array
    largest: Array  # m
    log_total: Array  # log Z - m, which is log(1 + s)
    total: Array  # the sum of all targets
    elsewhere: Array  # the sum of the targets of all classes but the largest
    classes: Any = None  # how many classes are possible
    shared: Any = None  # the sum over all classes but the largest of t_j p_j

    @property
    def top(self) -> Array:
        """The class that has more than 0.7 of the probability, if one has: no logit is asked whether it is m."""
        return self.probabilities > 0.73

    @property
    def beside(self) -> Array:
        """1 - p of the top."""
        return -jnp.expm1(-self.log_total)


def target_row(logits: Array, targets: Array, *, spread: bool = False, shared: bool = False) -> Softmax:
    """The softmax of targets; `spread` asks for the mean over classes, `shared` for the complement."""
    return _of_targets(logits, targets, spread, shared)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _of_targets(logits: Array, targets: Array, spread: bool, shared: bool) -> tuple[Softmax, _Parts]:
    by_sums, by_sweep = (functools.partial(f, spread=spread, shared=shared) for f in (_target_sums, _target_sweep))
    reached = inf_where((logits == -jnp.inf) & (targets != 0), targets)  # a class of logit -inf is out of reach
    numbers = jax.lax.platform_dependent(logits, targets, reached, cpu=by_sums, default=by_sweep)
    largest, others, total, elsewhere, cost, *rest = numbers
    log_total = jnp.log1p(others)
    row = Softmax(beside_inf(largest, cost) + total * log_total, log_partition=largest + log_total)
    parts = _Parts(weights_of(logits, largest) / (1 + others)[..., None], largest, log_total, total, elsewhere)
    if spread:
        classes, gaps = rest[:2]
        row = row._replace(mean_surprisal=mean_surprisal(largest, log_total, classes, gaps))
        parts = parts._replace(classes=classes)
    if shared:
        parts = parts._replace(shared=rest[-1] / (1 + others))
        row = row._replace(complement=(total - elsewhere) * parts.beside + (elsewhere - parts.shared))
    return row, parts


@functools.partial(_of_targets.defjvp, symbolic_zeros=True)  # a sweep: JAX has no derivative of a joint reduction
def _(spread: bool, shared: bool, primals: Any, tangents: Any) -> Any:
    (logits, targets), (dx, dt) = primals, tangents
    row, parts = _of_targets(logits, targets, spread, shared)
    change, change_of_parts = jax.tree.map(jnp.zeros_like, (row, parts))
    top, p = parts.top, parts.probabilities
    if moves(dx):
        # T p - t, which of the top is what all others have of the targets, less T times what they have of p.
        (at_top,) = apart_on_cpu(parts.elsewhere - parts.total * parts.beside)  # a number of a row, formed once
        slope = jnp.where(top, at_top[..., None], parts.total[..., None] * p - targets)
        change = _change_of_row(row, parts.classes, over_classes(slope * dx), p, logits, dx)
        dlog_p, shift, mean = change_of_log_probabilities(p, dx)
        dp = p * dlog_p
        change_of_parts = change_of_parts._replace(probabilities=dp, largest=shift, log_total=mean)
        if shared:  # p (sum of t p - t), the same way
            at_top = parts.shared - (parts.total - parts.elsewhere) * parts.beside
            slope = p * jnp.where(top, at_top[..., None], (parts.total - row.complement)[..., None] - targets)
            change = change._replace(complement=over_classes(slope * dx))
            change_of_parts = change_of_parts._replace(shared=over_classes(zero_where(top, targets * dp)))
    if moves(dt):
        # The slope in the target of a class of logit -inf is infinite, and taken as 0 where that is 0.
        dt = jnp.where(jnp.isneginf(logits) & (targets == 0), 0, dt)
        costs = finite_slope(gap_of(logits, parts.largest[..., None]) + parts.log_total[..., None])
        change = change._replace(surprisal=change.surprisal + over_classes(costs * dt))
        away = jnp.where(top, 0, dt)
        change_of_parts = change_of_parts._replace(total=over_classes(dt), elsewhere=over_classes(away))
        if shared:
            complements = jnp.where(top, parts.beside[..., None], 1 - p)
            change = change._replace(complement=change.complement + over_classes(complements * dt))
            change_of_parts = change_of_parts._replace(shared=change_of_parts.shared + over_classes(p * away))
    return (row, parts), (change, change_of_parts)


def _target_sweep(x: Array, t: Array, reached: Array, *, spread: bool, shared: bool) -> list[Array]:
    zero, none = np.zeros((), x.dtype), tied(jnp.zeros_like(x), x)
    t = t + none
    each = [bounded(x), none, t, none, reached - t]
    each += [tied(possible(x), x), none] if spread else []
    each += [none] if shared else []
    start = [zero - bound(x), zero - 1, *[zero] * (len(each) - 2)]  # of no class, whose weights sum to 0

    def join(one: list[Array], other: list[Array]) -> list[Array]:
        (m, s, t, e, d, *g), (n, u, v, f, c, *h) = one, other
        first, gap = m >= n, jnp.abs(m - n)
        decay, less = jnp.exp(-gap), jax.lax.select(first, v, t)
        others = jax.lax.select(first, s + (1 + u) * decay, u + (1 + s) * decay)
        joined = [jnp.maximum(m, n), others, t + v, jax.lax.select(first, e, f) + less, d + c + less * gap]
        if spread:
            joined += [g[0] + h[0], g[1] + h[1] + jax.lax.select(first, h[0], g[0]) * gap]
        if shared:
            with_top = jax.lax.select(first, h[-1] + (v - f), g[-1] + (t - e))
            joined += [jax.lax.select(first, g[-1], h[-1]) + with_top * decay]
        return joined

    return jax.lax.reduce(each, start, join, (x.ndim - 1,))


def _target_sums(x: Array, t: Array, reached: Array, *, spread: bool, shared: bool) -> list[Array]:
    largest = largest_of(x)
    weights = weights_of(x, largest)
    near = weights >= 0.5
    others = over_classes(weights) - 1
    certain = others < 0.38  # a little more than beside a top; then all but the largest are away
    others = jax.lax.select(certain, over_classes(zero_where(near, weights)), others)
    cost = over_classes(zero_where(near & certain[..., None], reached * (largest[..., None] - bounded(x))))
    total, elsewhere = over_classes(t), over_classes(zero_where(near, t))
    row = [largest, others, total, elsewhere, cost, *(classes_and_gaps(x, largest) if spread else [])]
    if shared:
        row[3] = jax.lax.select(certain, elsewhere, total)
        row += [jax.lax.select(certain, over_classes(zero_where(near, t * weights)), over_classes(t * weights))]
    return row


# -------------------------------------------------------------------------------------------------------- parts of both


def _change_of_row(row: Softmax, classes: Any, dsurprisal: Array, p: Array, logits: Array, dx: Array) -> Softmax:
    """The slope of log Z is p, and that of the mean cost is p less the mean over possible classes."""
    change = jax.tree.map(jnp.zeros_like, row)._replace(surprisal=dsurprisal, log_partition=over_classes(p * dx))
    if classes is None:
        return change
    several, share = (classes > 1)[..., None], possible(logits) / jnp.maximum(classes, 1)[..., None]
    return change._replace(mean_surprisal=over_classes(jnp.where(several, p - share, 0) * dx))


def change_of_log_probabilities(p: Array, dx: Array) -> tuple[Array, Array, Array]:
    """The change of log p, which is dx less the sum of p dx, relative to the logit of a class of p near 1.

    A shift of all logits changes nothing. Without it 1 - p would cancel there, in second derivatives. Returned are also
    the shift, and the sum of p dx beside it.
    """
    near_1 = (p > 0.7).astype(p.dtype)
    shift = over_classes(near_1 * dx)
    dx = (1 - near_1) * (dx - shift[..., None])
    mean = over_classes(p * dx)
    return dx - mean[..., None], shift, mean


def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    log_partition = _of_targets(logits, jnp.zeros_like(logits), False, False)[0].log_partition
    infinite = jnp.abs(log_partition) >= bound(logits)
    return log_partition + jax.lax.stop_gradient(jnp.where(infinite, jnp.max(logits, axis=-1) - log_partition, 0))


def partition(logits: Array) -> tuple[Array, Array]:
    r"""The largest logit m, and log Z - m: the two terms >= 0 of a surprisal are m - x_j and log Z - m.

    >>> largest, rest = partition(jnp.array([20.0, 0.0]))
    >>> print(f"{largest:.0f} {rest:.3e}")
    20 2.061e-09
    """
    parts = _of_targets(logits, jnp.zeros_like(logits), False, False)[1]
    return parts.largest, parts.log_total


def surprisal(logits: Array) -> Array:
    r"""The negative log-probability of each class of a softmax.

    $$ -\log \operatorname{softmax}(x)_j $$

    A confident class has a surprisal of 1e-9 when it should, and the slope to it. A class of logit -inf has inf.

    >>> confident, wrong = surprisal(jnp.array([20.0, 0.0]))
    >>> print(f"{confident:.3e} {wrong:.3f}")
    2.061e-09 20.000
    """
    parts = _of_targets(logits, jnp.zeros_like(logits), False, False)[1]
    # The largest has log Z - m, whose slope has nothing to cancel.
    return jnp.where(parts.top, 0, gap_of(logits, parts.largest[..., None])) + parts.log_total[..., None]
