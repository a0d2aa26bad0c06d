"""The softmax of a row of logits, and what its classes cost.

With the largest logit m and the weights w_j = exp(x_j - m), the probabilities are p_j = w_j / sum(w), and the costs

    -log p_j = (m - x_j) + log(sum(w))

In a confident row all of these are differences of numbers near 1, which cancel. So one class is left out of the sum of
the weights: the label y, or in a row of targets the largest. With the sum s over all others,

    -log p_y = log(1 + s exp(m - x_y)), and of the largest -log p = log(1 + s), 1 - p = s / (1 + s)

so that a confident row costs 1e-9 when it should. Here m may be any number near the largest logit: a compiler may form
the logits again in another loop and round them otherwise, and nothing asks which logit equals the maximum.

On a TPU or a GPU all numbers of a row come from one reduction, the sweep, which reads the logits once. XLA for a CPU
makes a slow loop of that; there they are a few sums.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.classes import is_at, is_at_in_slope
from jaxloss.numerics.platform import apart_on_cpu, entry_on_cpu, row_sum, tied
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.safe import finite_slope, is_zero, multiply_no_nan, safe_square
from jaxloss.types import Array, Number


class Row(NamedTuple):
    """What a row of logits costs, and its log-partition. What is not asked for is None."""

    surprisal: Array
    """-log p of the label, or the sum over classes of -t_j log p_j."""
    log_partition: Array
    """log Z, the logarithm of the sum of exp(x_j), as a finite number."""
    mean_surprisal: Any = None
    """The mean of -log p_j over the possible classes, those of a logit above -inf."""
    classes: Any = None
    """How many of these there are."""
    complement: Any = None
    """The sum over classes of t_j (1 - p_j)."""

    @property
    def possible(self) -> Array:
        """Whether any class is; also where the label is no class, whose cost is NaN."""
        return (self.log_partition > -_bound(self.log_partition)) | jnp.isnan(self.surprisal)


def cross_entropy(row: Any, label_smoothing: Number = 0.0, z_loss: Number = 0.0) -> Array:
    r"""The cross entropy of a `Row`, or of the `Softmax` of a linear head, its label or targets smoothed.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j} $$

    >>> print(cross_entropy(Row(2.0, 0.0, 4.0), label_smoothing=0.25))
    2.5
    """
    cost: Array = row.surprisal
    if not is_zero(label_smoothing):
        cost = multiply_no_nan(1 - label_smoothing, cost) + multiply_no_nan(label_smoothing, row.mean_surprisal)
    return cost if is_zero(z_loss) else cost + multiply_no_nan(z_loss, safe_square(row.log_partition))


# ----------------------------------------------------------------------------------------------- the row of a label


def label_row(logits: Array, label: Array, *, spread: bool = False) -> Row:
    """The row of a label, whose cost is NaN if it is no class; `spread` asks for the mean over classes."""
    return _of_label(logits, label, spread, False)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _of_label(logits: Array, label: Array, spread: bool, sloped: bool) -> tuple[Row, Array]:
    """The row, and the probabilities, of which that of the label counts for nothing; `sloped`: they are needed."""
    by_sums = functools.partial(_label_sums, spread=spread, sloped=sloped)
    by_sweep = functools.partial(_label_sweep, spread=spread)
    numbers, weights = jax.lax.platform_dependent(logits, label, cpu=by_sums, default=by_sweep)
    logit, others, largest, *rest = numbers
    y = label.astype(logits.dtype)
    no_class = 0 * jnp.sqrt(jnp.minimum(y, (logits.shape[-1] - 1) - y))  # NaN, formed only where it is due
    gap = _gap(logit, largest) + no_class
    log_total = jnp.log1p(jnp.maximum(others + jnp.expm1(-gap), -0.5))
    surprisal = jnp.where(gap < 1, jnp.log1p(others * jnp.exp(jnp.minimum(gap, 1))), gap + log_total)
    total = jnp.maximum(others + jnp.exp(-gap), 0.5)  # 0 where no class is possible
    return _row(surprisal, largest, log_total, *rest), weights / total[..., None]


@_of_label.defjvp  # a sweep: JAX has no derivative of a reduction of several numbers together
def _(spread: bool, _sloped: bool, primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    row, p = _of_label(logits, label, spread, True)
    at, surprisal = is_at_in_slope(logits, label), row.surprisal[..., None]
    dsurprisal = _sum(jnp.where(at, -complement(surprisal), p) * dx)  # p - 1 at the label
    p = jnp.where(at, jnp.exp(-surprisal), p)
    return (row, p), (_change_of_row(row, dsurprisal, p, logits, dx), p * change_of_log_probabilities(p, dx)[0])


def _label_sweep(x: Array, label: Array, *, spread: bool) -> tuple[list[Array], Array]:
    at, zero = is_at(x, label), np.zeros((), x.dtype)
    each = [_where(at, x), tied(~at, x), _bounded(x)]
    each += [tied(_possible(x), x), tied(jnp.zeros_like(x), x)] if spread else []
    start = [zero, zero, zero - _bound(x), zero, zero][: len(each)]

    def join(one: list[Array], other: list[Array]) -> list[Array]:
        (xy, s, m, *g), (xz, u, n, *h) = one, other
        first, gap = m >= n, jnp.abs(m - n)
        decay = jnp.exp(-gap)
        joined = [xy + xz, jax.lax.select(first, s + u * decay, u + s * decay), jnp.maximum(m, n)]
        return [*joined, g[0] + h[0], g[1] + h[1] + jax.lax.select(first, h[0], g[0]) * gap] if spread else joined

    row = jax.lax.reduce(each, start, join, (x.ndim - 1,))
    return row, _weights(x, row[2])


def _label_sums(x: Array, label: Array, *, spread: bool, sloped: bool) -> tuple[list[Array], Array]:
    largest = _largest(x)
    weights = _weights(x, largest)
    if sloped:
        weights = _where(~is_at(x, label), weights)
        others = _sum(weights)
    else:
        places, y = jax.lax.iota(x.dtype, x.shape[-1]), label.astype(x.dtype)[..., None]
        others = row_sum(lambda w, j, y: jnp.minimum(w, jnp.abs(j - y)), weights, places, y)[..., 0]
    return [entry_on_cpu(x, label), others, largest, *(_spread_sums(x, largest) if spread else [])], weights


# ------------------------------------------------------------------------------------------------ the row of targets


class _Parts(NamedTuple):
    """What the slopes of a row of targets are made of."""

    probabilities: Array
    largest: Array
    """m."""
    log_total: Array
    """log Z - m, which is log(1 + s)."""
    total: Array
    """The sum of all targets."""
    elsewhere: Array
    """The sum of the targets of all classes but the largest."""
    shared: Any = None
    """The sum over these of t_j p_j."""

    @property
    def top(self) -> Array:
        """The class that has more than 0.7 of the probability, if one has: no logit is asked whether it is m."""
        return self.probabilities > 0.73

    @property
    def beside(self) -> Array:
        """1 - p of the top."""
        return -jnp.expm1(-self.log_total)


def target_row(logits: Array, targets: Array, *, spread: bool = False, shared: bool = False) -> Row:
    """The row of targets; `spread` asks for the mean over classes, `shared` for the complement."""
    return _of_targets(logits, targets, spread, shared)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _of_targets(logits: Array, targets: Array, spread: bool, shared: bool) -> tuple[Row, _Parts]:
    by_sums, by_sweep = (functools.partial(f, spread=spread, shared=shared) for f in (_target_sums, _target_sweep))
    reached = _inf_where((logits == -jnp.inf) & (targets != 0), targets)  # a class of logit -inf is out of reach
    numbers = jax.lax.platform_dependent(logits, targets, reached, cpu=by_sums, default=by_sweep)
    largest, others, total, elsewhere, cost, *rest = numbers
    log_total = jnp.log1p(others)
    row = _row(_beside_inf(largest, cost) + total * log_total, largest, log_total, *rest[: 2 * spread])
    parts = _Parts(_weights(logits, largest) / (1 + others)[..., None], largest, log_total, total, elsewhere)
    if shared:
        parts = parts._replace(shared=rest[-1] / (1 + others))
        row = row._replace(complement=(total - elsewhere) * parts.beside + (elsewhere - parts.shared))
    return row, parts


def _change_of_targets(spread: bool, shared: bool, primals: Any, tangents: Any) -> Any:
    (logits, targets), (dx, dt) = primals, tangents
    row, parts = _of_targets(logits, targets, spread, shared)
    change, change_of_parts = jax.tree.map(jnp.zeros_like, (row, parts))
    top, p = parts.top, parts.probabilities
    if not isinstance(dx, SymbolicZero):
        # T p - t, which of the top is what all others have of the targets, less T times what they have of p.
        (at_top,) = apart_on_cpu(parts.elsewhere - parts.total * parts.beside)  # a number of a row, formed once
        slope = jnp.where(top, at_top[..., None], parts.total[..., None] * p - targets)
        change = _change_of_row(row, _sum(slope * dx), p, logits, dx)
        dlog_p, shift, mean = change_of_log_probabilities(p, dx)
        dp = p * dlog_p
        change_of_parts = change_of_parts._replace(probabilities=dp, largest=shift, log_total=mean)
        if shared:  # p (sum of t p - t), the same way
            at_top = parts.shared - (parts.total - parts.elsewhere) * parts.beside
            slope = p * jnp.where(top, at_top[..., None], (parts.total - row.complement)[..., None] - targets)
            change = change._replace(complement=_sum(slope * dx))
            change_of_parts = change_of_parts._replace(shared=_sum(_unless(top, targets * dp)))
    if not isinstance(dt, SymbolicZero):
        # The slope in the target of a class of logit -inf is infinite, and taken as 0 where that is 0.
        dt = jnp.where(jnp.isneginf(logits) & (targets == 0), 0, dt)
        costs = finite_slope(_gap(logits, parts.largest[..., None]) + parts.log_total[..., None])
        change = change._replace(surprisal=change.surprisal + _sum(costs * dt))
        away = jnp.where(top, 0, dt)
        change_of_parts = change_of_parts._replace(total=_sum(dt), elsewhere=_sum(away))
        if shared:
            complements = jnp.where(top, parts.beside[..., None], 1 - p)
            change = change._replace(complement=change.complement + _sum(complements * dt))
            change_of_parts = change_of_parts._replace(shared=change_of_parts.shared + _sum(p * away))
    return (row, parts), (change, change_of_parts)


_of_targets.defjvp(_change_of_targets, symbolic_zeros=True)  # a sweep: as of a label


def _target_sweep(x: Array, t: Array, reached: Array, *, spread: bool, shared: bool) -> list[Array]:
    zero, none = np.zeros((), x.dtype), tied(jnp.zeros_like(x), x)
    t = t + none
    each = [_bounded(x), none, t, none, reached - t]
    each += [tied(_possible(x), x), none] if spread else []
    each += [none] if shared else []
    start = [zero - _bound(x), zero - 1, *[zero] * (len(each) - 2)]  # of no class, whose weights sum to 0

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
    largest = _largest(x)
    weights = _weights(x, largest)
    near = weights >= 0.5
    others = _sum(weights) - 1
    certain = others < 0.38  # a little more than beside a top; then all but the largest are away
    others = jax.lax.select(certain, _sum(_unless(near, weights)), others)
    cost = _sum(_unless(near & certain[..., None], reached * (largest[..., None] - _bounded(x))))
    total, elsewhere = _sum(t), _sum(_unless(near, t))
    row = [largest, others, total, elsewhere, cost, *(_spread_sums(x, largest) if spread else [])]
    if shared:
        row[3] = jax.lax.select(certain, elsewhere, total)
        row += [jax.lax.select(certain, _sum(_unless(near, t * weights)), _sum(t * weights))]
    return row


# -------------------------------------------------------------------------------------------------------- parts of both


def _row(surprisal: Array, largest: Array, log_total: Array, *spread: Array) -> Row:
    """With the log-partition; of the sums over possible classes of 1 and of m - x_j, also with their mean cost."""
    row = Row(surprisal, largest + log_total)
    if not spread:
        return row
    classes, gaps = spread
    mean = _beside_inf(largest, gaps) / jnp.maximum(classes, 1) + log_total
    return row._replace(mean_surprisal=_where(classes > 1, mean), classes=classes)


def _change_of_row(row: Row, dsurprisal: Array, p: Array, logits: Array, dx: Array) -> Row:
    """The slope of log Z is p, and that of the mean cost is p less the mean over possible classes."""
    change = jax.tree.map(jnp.zeros_like, row)._replace(surprisal=dsurprisal, log_partition=_sum(p * dx))
    if row.classes is None:
        return change
    several, share = (row.classes > 1)[..., None], _possible(logits) / jnp.maximum(row.classes, 1)[..., None]
    return change._replace(mean_surprisal=_sum(jnp.where(several, p - share, 0) * dx))


def change_of_log_probabilities(p: Array, dx: Array) -> tuple[Array, Array, Array]:
    """The change of log p, which is dx less the sum of p dx, relative to the logit of a class of p near 1.

    A shift of all logits changes nothing. Without it 1 - p would cancel there, in second derivatives. Returned are also
    the shift, and the sum of p dx beside it.
    """
    near_1 = (p > 0.7).astype(p.dtype)
    shift = _sum(near_1 * dx)
    dx = (1 - near_1) * (dx - shift[..., None])
    mean = _sum(p * dx)
    return dx - mean[..., None], shift, mean


def _weights(logits: Array, largest: Array) -> Array:
    """exp(x - m), the same for every logit of inf."""
    return jnp.exp(jnp.minimum(logits, _bound(logits)) - largest[..., None])


def _gap(logits: Array, largest: Array) -> Array:
    """M - x, infinite if m stands for a logit of inf and x is not."""
    bound = _bound(logits)
    beside_inf = (largest >= bound) & (logits < bound)
    gap = largest - jnp.minimum(logits, bound)
    return jnp.where(beside_inf, gap + jnp.inf, gap)


def _possible(logits: Array) -> Array:
    return (logits > -jnp.inf).astype(logits.dtype)


def _bound(x: Array) -> float:
    """Beyond it a logit counts as infinite; of two such numbers the difference is finite."""
    return 0.5 * float(jnp.finfo(x.dtype).max)


def _bounded(x: Array) -> Array:
    bound = np.asarray(_bound(x), x.dtype)
    return jax.lax.clamp(-bound, x, bound)


def _beside_inf(largest: Array, cost: Array) -> Array:
    """The cost of logits below the largest, which is infinite if that is inf."""
    return _inf_where((largest >= _bound(largest)) & (cost > 0), cost)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1)


def _where(condition: Array, x: Array) -> Array:
    """The number where the condition holds, else 0: `jnp.where` in fewer equations."""
    return jax.lax.select(condition, x, jnp.zeros_like(x))


def _unless(condition: Array, x: Array) -> Array:
    return jax.lax.select(condition, jnp.zeros_like(x), x)


def _inf_where(condition: Array, x: Array) -> Array:
    return jax.lax.select(condition, jnp.full_like(x, jnp.inf), x)


def _largest(x: Array) -> Array:
    return _bounded(jnp.max(x, axis=-1))


def _spread_sums(x: Array, largest: Array) -> list[Array]:
    """How many classes are possible, and the sum of their gaps."""
    possible = _possible(x)
    return [_sum(possible), _sum(possible * (largest[..., None] - _bounded(x)))]


def complement(surprisal: Array) -> Array:
    """1 - p, by -log p."""
    return -expm1(-surprisal)


def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    log_partition = _of_targets(logits, jnp.zeros_like(logits), False, False)[0].log_partition
    infinite = jnp.abs(log_partition) >= _bound(logits)
    largest = jnp.max(logits, axis=-1)
    return log_partition + jax.lax.stop_gradient(jnp.where(infinite, largest - log_partition, 0))


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
    return jnp.where(parts.top, 0, _gap(logits, parts.largest[..., None])) + parts.log_total[..., None]
