"""The softmax of a row of logits, taken against one of its classes.

With the reference class y, the largest logit m and the sum over the other classes s, the log-odds against y are

    a = log sum over j != y of exp(x_j - x_y) = (m - x_y) + log s

and then -log p_y = softplus(a), 1 - p_y = sigmoid(a): nothing cancels, so that a confident row costs 1e-9 when it should.
Only m + log s matters, so that m may be any number near the largest logit. A GPU may form the logits again in another
kernel and round them otherwise; therefore nothing here compares a logit with a maximum.

A row of a TPU or a GPU is one reduction, so that the logits are read once. On a CPU, where XLA makes a slow loop of
that, it is a few sums. The reference is the label, or for target distributions one of the largest logits.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.classes import is_at, is_class, nan_unless
from jaxloss.numerics.platform import entry_on_cpu, row_sum
from jaxloss.numerics.safe import multiply_no_nan, safe_log
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


class Row(NamedTuple):
    """A row of logits x against a reference class y. What is not asked for is None."""

    largest: Array
    """m, a finite number near the largest logit. The derivatives take it as a constant."""
    others: Array
    """s, the sum over all classes but y of exp(x_j - m)."""
    logit: Array
    """x_y."""
    count: Array | None = None
    """The number of possible classes, of a logit above -inf."""
    gaps: Array | None = None
    """The sum over possible classes of m - x_j."""

    @property
    def gap(self) -> Array:
        """m - x_y; infinite if another logit is inf and x_y is not."""
        bound = _bound(self.largest)
        return jnp.where(
            (self.largest >= bound) & (self.logit < bound), jnp.inf, self.largest - jnp.minimum(self.logit, bound)
        )

    @property
    def possible(self) -> Array:
        """Whether any class is."""
        return self.largest > -_bound(self.largest)

    @property
    def odds(self) -> Array:
        """The log-odds against y: -inf where no other class is possible, inf where y is not."""
        gap, alone = self.gap, self.others < jnp.finfo(self.others.dtype).tiny
        return jnp.where(alone & (gap < jnp.inf), -jnp.inf, gap + jnp.log(jnp.where(alone, 1, self.others)))

    @property
    def surprisal(self) -> Array:
        """-log p_y."""
        return _surprisal(self.gap, self.others)

    @property
    def complement(self) -> Array:
        """1 - p_y."""
        return _complement(self.gap, self.others)

    @property
    def log_total(self) -> Array:
        """The logarithm of the sum over all classes of exp(x_j - m)."""
        return jnp.log1p(_total_less_1(self.gap, self.others))

    @property
    def mean_surprisal(self) -> Array:
        """The mean over possible classes of -log p_j."""
        mean_gap = _beside_inf(self.largest, self.gaps) / jnp.maximum(self.count, 1)
        return jnp.where(self.count > 1, mean_gap + self.log_total, 0)


def _total_less_1(gap: Array, others: Array) -> Array:
    """s + exp(-gap) - 1, by a small s if the label is among the largest, else by an s of at least 1."""
    own = jnp.exp(-gap)
    return jnp.where(gap < 1, others + (own - 1), own + jnp.where(others > 0, others - 1, 0))


def _probability(gap: Array, others: Array) -> Array:
    return jnp.exp(-gap) / (1 + _total_less_1(gap, others))


def _slope_of_complement(gap: Array, others: Array) -> Array:
    return _probability(gap, others) * _complement(gap, others)


def _change_of_complement(gap: Array, others: Array) -> Array:
    return _probability(gap, others) / (1 + _total_less_1(gap, others))


@with_slopes(_slope_of_complement, _change_of_complement)  # a derivative that cancels: 1 - p less its square
def _complement(gap: Array, others: Array) -> Array:
    return others / (1 + _total_less_1(gap, others))


@with_slopes(_complement, lambda gap, others: 1 / (1 + _total_less_1(gap, others)))  # a derivative that cancels, as above
def _surprisal(gap: Array, others: Array) -> Array:
    near = gap < 1
    of_near = others / jnp.exp(-jnp.where(near, gap, 0))
    return jnp.where(near, 0, gap) + jnp.log1p(jnp.where(near, of_near, _total_less_1(gap, others)))


class TargetRow(NamedTuple):
    """A row of logits with targets t, against one of the largest logits, of class i. What is not asked for is None."""

    row: Row
    target: Array
    """t_i."""
    elsewhere: Array
    """The sum of the targets of all classes but i."""
    cost: Array
    """The sum over these of t_j (m - x_j)."""
    shared: Array | None = None
    """The sum over these of t_j exp(x_j - m)."""

    @property
    def surprisal(self) -> Array:
        """The sum over classes of -t_j log p_j."""
        of_others = _beside_inf(self.row.largest, self.cost) + self.elsewhere * self.row.log_total
        return of_others + multiply_no_nan(self.target, self.row.surprisal)

    @property
    def complement(self) -> Array:
        """The sum over classes of t_j (1 - p_j)."""
        return self.target * self.row.complement + (self.elsewhere - self.shared / jnp.exp(self.row.log_total))


# ------------------------------------------------------------------------------------------------ the row of a label


def label_row(logits: Array, label: Array, *, spread: bool = False) -> Row:
    """The row against its label, NaN if that is no class; `spread` asks for count and gaps."""
    row, _ = _against_label(logits, label, spread)
    return row._replace(logit=row.logit + nan_unless(is_class(label, logits.shape[-1]), row.logit.dtype))


@functools.partial(jax.custom_jvp, nondiff_argnums=(2,))
def _against_label(logits: Array, label: Array, spread: bool) -> tuple[Row, Array]:
    """The row, and exp(x - m) of all its logits."""
    by_sums, by_sweep = (functools.partial(f, spread=spread) for f in (_label_sums, _label_sweep))
    return jax.lax.platform_dependent(logits, label, cpu=by_sums, default=by_sweep)


@_against_label.defjvp  # a sweep: JAX has no derivative of a reduction of several numbers together
def _(spread: bool, primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    row, weights = _against_label(logits, label, spread)
    return (row, weights), (_change_of_row(row, weights, is_at(logits, label), logits, dx), weights * dx)


def _change_of_row(row: Row, weights: Array, at: Array, logits: Array, dx: Array) -> Row:
    none, others = jnp.zeros_like(row.largest), _sum(jnp.where(at, 0, weights) * dx)
    change = Row(none, others, _sum(jnp.where(at, dx, 0)))
    return change if row.gaps is None else change._replace(count=none, gaps=-_sum(jnp.where(_possible(logits), dx, 0)))


def _label_sweep(x: Array, label: Array, *, spread: bool) -> tuple[Row, Array]:
    """In one reading, on a TPU or a GPU."""
    at, bound, zero = is_at(x, label), _bound(x), jnp.zeros((), x.dtype)
    count, gaps = (_possible(x).astype(x.dtype), jnp.zeros_like(x)) if spread else (None, None)
    row = Row(jnp.clip(x, -bound, bound), jnp.where(at, zero, 1), jnp.where(at, x, 0), count, gaps)
    start = Row(-bound, *(None if part is None else zero for part in row[1:]))

    def join(one: Row, other: Row) -> Row:
        gap, larger, smaller = _by_size(one, other)
        others = larger.others + smaller.others * jnp.exp(-gap)
        return Row(larger.largest, others, one.logit + other.logit, *_joined_gaps(gap, larger, smaller))

    row = jax.lax.reduce(row, start, join, (x.ndim - 1,))
    return row, _weights(x, row.largest)


def _label_sums(x: Array, label: Array, *, spread: bool) -> tuple[Row, Array]:
    """In a few sums, on a CPU."""
    largest = _largest(x)
    weights = _weights(x, largest)
    others = _sum_of_others(weights, label.astype(x.dtype))
    return Row(largest, others, entry_on_cpu(x, label), *(_spread_sums(x, largest) if spread else ())), weights


# ----------------------------------------------------------------------------------------------- the row of targets


def target_row(logits: Array, targets: Array, *, spread: bool = False, shared: bool = False) -> TargetRow:
    """The row with its targets; `spread` asks for count and gaps, `shared` for what `complement` needs."""
    return _against_largest(logits, targets, spread, shared)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _against_largest(logits: Array, targets: Array, spread: bool, shared: bool) -> tuple[TargetRow, Array, Array]:
    """The row, i, and exp(x - m) of all logits."""
    by_sums, by_sweep = (functools.partial(f, spread=spread, shared=shared) for f in (_target_sums, _target_sweep))
    row, place, weights = jax.lax.platform_dependent(logits, targets, cpu=by_sums, default=by_sweep)
    none_possible = row.row.largest <= -_bound(logits)
    logit = jnp.where(none_possible, -jnp.inf, row.row.logit)
    return row._replace(row=row.row._replace(logit=logit)), place, weights


def _change_of_target_row(spread: bool, shared: bool, primals: Any, tangents: Any) -> Any:
    (logits, targets), (dx, dt) = primals, tangents
    row, place, weights = _against_largest(logits, targets, spread, shared)
    at, none = is_at(logits, place.astype(jnp.int32)), jnp.zeros_like(row.target)
    change, change_of_weights = jax.tree.map(jnp.zeros_like, row), jnp.zeros_like(weights)
    if not isinstance(dx, SymbolicZero):
        cost = -_sum(jnp.where(at, 0, targets) * dx)
        in_shared = _sum(jnp.where(at, 0, targets * weights) * dx) if shared else None
        change = TargetRow(_change_of_row(row.row, weights, at, logits, dx), none, none, cost, in_shared)
        change_of_weights = weights * dx
    if not isinstance(dt, SymbolicZero):
        # A class of logit -inf without a target has an infinite slope, taken as 0; with one, the largest finite slope.
        idle = ~_possible(logits) & (targets == 0)
        dt_elsewhere = jnp.where(at | idle, 0, dt)
        gap = jnp.minimum(row.row.largest[..., None] - logits, jnp.finfo(logits.dtype).max)
        in_targets = (jnp.where(at, dt, 0), dt_elsewhere, gap * dt_elsewhere, weights * dt_elsewhere)
        change = change._replace(
            target=change.target + _sum(in_targets[0]),
            elsewhere=change.elsewhere + _sum(in_targets[1]),
            cost=change.cost + _sum(in_targets[2]),
            shared=change.shared + _sum(in_targets[3]) if shared else None,
        )
    return (row, place, weights), (change, none, change_of_weights)


_against_largest.defjvp(_change_of_target_row, symbolic_zeros=True)  # a sweep, as above


class _Targets(NamedTuple):
    """What the sweep knows of some classes with targets."""

    largest: Array
    others: Array
    place: Array
    target: Array
    elsewhere: Array
    cost: Array
    shared: Array | None
    count: Array | None
    gaps: Array | None


def _target_sweep(x: Array, t: Array, *, spread: bool, shared: bool) -> tuple[TargetRow, Array, Array]:
    """In one reading, on a TPU or a GPU; i is the first of the largest, met in the same reduction."""
    bound, zero = _bound(x), jnp.zeros((), x.dtype)
    place = jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1)
    unreachable = jnp.where(~_possible(x) & (t != 0), jnp.inf, zero)
    none = jnp.zeros_like(x)
    count, gaps = (_possible(x).astype(x.dtype), none) if spread else (None, None)
    each = _Targets(jnp.clip(x, -bound, bound), none, place, t, none, unreachable, none if shared else None, count, gaps)
    start = _Targets(-bound, zero - 1, *(None if part is None else zero for part in each[2:]))

    def join(one: _Targets, other: _Targets) -> _Targets:
        gap, larger, smaller = _by_size(one, other)
        weight, target = jnp.exp(-gap), smaller.target + smaller.elsewhere
        return _Targets(
            larger.largest,
            larger.others + (1 + smaller.others) * weight,
            larger.place,
            larger.target,
            larger.elsewhere + target,
            larger.cost + smaller.cost + target * gap,
            larger.shared + (smaller.target + smaller.shared) * weight if shared else None,
            *_joined_gaps(gap, larger, smaller),
        )

    found = jax.lax.reduce(each, start, join, (x.ndim - 1,))
    row = Row(found.largest, found.others, found.largest, found.count, found.gaps)
    return TargetRow(row, found.target, found.elsewhere, found.cost, found.shared), found.place, _weights(x, found.largest)


def _target_sums(x: Array, t: Array, *, spread: bool, shared: bool) -> tuple[TargetRow, Array, Array]:
    """In a few sums, on a CPU; i is the last within log 2 of the largest."""
    largest, big = _largest(x), float(jnp.finfo(x.dtype).max)
    weights = _weights(x, largest)
    near = row_sum(
        lambda x, m, reach, j, big: jnp.minimum(j, ((x - m) + reach) * big),
        *(x, largest[..., None], math.log(2), _places(x), big),
        by=jnp.max,
    )
    place = jnp.clip(near[..., 0], 0, x.shape[-1] - 1)
    index = place.astype(jnp.int32)
    others = _sum_of_others(weights, place)
    row = Row(largest, others, entry_on_cpu(x, index), *(_spread_sums(x, largest) if spread else ()))

    def elsewhere(summand: Callable[..., Array], *operands: Any) -> Array:
        masked = lambda j, i, *xs: jnp.minimum(jnp.abs(j - i), 1) * summand(*xs)  # noqa: E731
        return row_sum(masked, _places(x), place[..., None], *operands)[..., 0]

    def cost(t: Array, x: Array, m: Array, one: Array, big: Array, bound: Array) -> Array:
        reachable = jnp.abs(t) / (one - jnp.minimum(jnp.abs(t) * big, one))  # 0 where t is 0, else inf
        return t * jnp.minimum(m - jnp.minimum(x, bound), reachable)

    return (
        TargetRow(
            row,
            entry_on_cpu(t, index),
            elsewhere(lambda t: t, t),
            elsewhere(cost, t, x, largest[..., None], jnp.ones((), x.dtype), big, _bound(x)),
            elsewhere(lambda t, w: t * w, t, weights) if shared else None,
        ),
        place,
        weights,
    )


# -------------------------------------------------------------------------------------------------- parts of both


def _weights(logits: Array, largest: Array) -> Array:
    """exp(x - m), the same for every logit of inf."""
    return jnp.exp(jnp.minimum(logits, _bound(logits)) - largest[..., None])


def _possible(logits: Array) -> Array:
    return logits > -jnp.inf


def _bound(x: Array) -> Array:
    """Beyond it a logit counts as infinite; of two such numbers the difference is finite."""
    return jnp.asarray(0.5 * float(jnp.finfo(x.dtype).max), x.dtype)


def _beside_inf(largest: Array, cost: Array) -> Array:
    """The cost of logits below the largest, which is infinite if that is inf."""
    return jnp.where((largest >= _bound(largest)) & (cost > 0), jnp.inf, cost)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1)


def _by_size(one: Any, other: Any) -> Any:
    """How far apart the largest logits of two parts are, the part with the larger, and the other."""
    first = one.largest >= other.largest
    larger = jax.tree.map(lambda x, y: jnp.where(first, x, y), one, other)
    smaller = jax.tree.map(lambda x, y: jnp.where(first, y, x), one, other)
    return larger.largest - smaller.largest, larger, smaller


def _joined_gaps(gap: Array, larger: Any, smaller: Any) -> tuple[Array | None, Array | None]:
    if larger.gaps is None:
        return None, None
    return larger.count + smaller.count, larger.gaps + smaller.gaps + smaller.count * gap


def _places(x: Array) -> Array:
    return jax.lax.iota(x.dtype, x.shape[-1])


def _largest(x: Array) -> Array:
    return jnp.clip(jnp.max(x, axis=-1), -_bound(x), _bound(x))


def _sum_of_others(weights: Array, place: Array) -> Array:
    """The sum of all weights, which are at most 1, but the one at a place."""
    others = row_sum(lambda w, j, i: jnp.minimum(w, jnp.abs(j - i)), weights, _places(weights), place[..., None])
    return others[..., 0]


def _spread_sums(x: Array, largest: Array) -> tuple[Array, Array]:
    """Count and gaps, where a class of logit -inf is possible 0 times."""

    def possible(x: Array, big: Array) -> Array:
        return jnp.minimum(jnp.maximum(x + big, 0), 1)

    def gap(x: Array, m: Array, big: Array, bound: Array) -> Array:
        return possible(x, big) * (m - jnp.clip(x, -bound, bound))

    big, bound = float(jnp.finfo(x.dtype).max), _bound(x)
    count = row_sum(possible, x, big)
    gaps = row_sum(gap, x, largest[..., None], big, bound)
    return count[..., 0], gaps[..., 0]


def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    largest = jax.lax.stop_gradient(_largest(logits))
    return largest + safe_log(_sum(_weights(logits, largest)))
