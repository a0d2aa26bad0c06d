"""The softmax of a row of logits, held against one of its classes.

With the largest logit m, the class y and the sum s over all classes but y of exp(x_j - m),

    log((1 - p_y) / p_y) = (m - x_y) + log s

in which nothing cancels, so that a confident row costs 1e-9 when it should. Only m + log s matters: m may be any number
near the largest logit. A GPU may form the logits again in another kernel and round them otherwise; therefore nothing
here asks which logit equals the maximum.

On a TPU or a GPU all numbers of a row come from one reduction, the sweep, which reads the logits once. XLA for a CPU
makes a slow loop of that; there they are a few sums.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from jaxloss.numerics.classes import is_at
from jaxloss.numerics.platform import entry_on_cpu, row_sum, tied
from jaxloss.numerics.safe import finite_slope
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array


class Row(NamedTuple):
    """A row of logits against one class y. What is not asked for is None."""

    gap: Array
    """m - x_y; inf if there is no y."""
    others: Array
    """s, the sum over all classes but y of exp(x_j - m)."""
    largest: Array
    """m, a finite number near the largest logit, which the derivatives take as a constant."""
    classes: Any = None
    """The number of possible classes, of a logit above -inf."""
    gaps: Any = None
    """The sum over possible classes of m - x_j."""

    @property
    def surprisal(self) -> Array:
        """-log p_y."""
        return _surprisal(self.gap, self.others)

    @property
    def complement(self) -> Array:
        """1 - p_y."""
        return _complement(self.gap, self.others)

    @property
    def odds(self) -> Array:
        """The log-odds against y: -inf where no other class is possible, inf where y is not."""
        alone = (self.others < jnp.finfo(self.others.dtype).tiny) & (self.gap < jnp.inf)
        return jnp.where(alone, -jnp.inf, self.gap + jnp.log(jnp.where(alone, 1, self.others)))

    @property
    def log_partition(self) -> Array:
        """Log Z."""
        return self.largest + _log_total(self.gap, self.others)

    @property
    def mean_surprisal(self) -> Array:
        """The mean over possible classes of -log p_j."""
        mean = _beside_inf(self.largest, self.gaps) / jnp.maximum(self.classes, 1) + _log_total(self.gap, self.others)
        return jnp.where(self.classes > 1, mean, 0)

    @property
    def possible(self) -> Array:
        """Whether any class is."""
        return self.largest > -_bound(self.largest)


class TargetRow(NamedTuple):
    """A row of logits with targets t, against the class i of a probability near 1, if there is one."""

    row: Row
    total: Array
    """The sum of all targets."""
    elsewhere: Array
    """The sum of the targets of all classes but i."""
    cost: Array
    """The sum over these of t_j (m - x_j)."""
    shared: Any = None
    """The sum over these of t_j exp(x_j - m)."""

    @property
    def surprisal(self) -> Array:
        """The sum over classes of -t_j log p_j."""
        return _expected(self.row.gap, self.row.others, self.total, self.elsewhere, self.cost)

    @property
    def complement(self) -> Array:
        """The sum over classes of t_j (1 - p_j)."""
        of_others = self.elsewhere - self.shared * jnp.exp(-_log_total(self.row.gap, self.row.others))
        return (self.total - self.elsewhere) * self.row.complement + of_others


# ------------------------------------------------------------------------------------------- from gap and others alone


def _total(gap: Array, others: Array) -> Array:
    """Z exp(-m), at least 1 but for rounding; 1 where no class is possible."""
    total = others + jnp.exp(-gap)
    return jnp.where(total == 0, 1, total)


def _reciprocal(gap: Array, others: Array, *_: Array) -> Array:
    return 1 / _total(gap, others)


def _product(gap: Array, others: Array) -> Array:
    return _probability(gap, others) * _complement(gap, others)


def _quotient(gap: Array, others: Array) -> Array:
    return _probability(gap, others) / _total(gap, others)


@with_slopes(lambda *row: -_product(*row), lambda *row: -_quotient(*row))  # a derivative that cancels: p - p^2
def _probability(gap: Array, others: Array) -> Array:
    return jnp.exp(-gap) / _total(gap, others)


@with_slopes(_product, _quotient)  # a derivative that cancels, as above
def _complement(gap: Array, others: Array) -> Array:
    return others / _total(gap, others)


@with_slopes(_complement, _reciprocal)  # a derivative that cancels: 1 - p
def _surprisal(gap: Array, others: Array) -> Array:
    """log(1 + s exp(gap)): by a small s if y is among the largest, else by an s of at least 1."""
    near, own = gap < 1, jnp.exp(-gap)
    less_1 = jnp.where(near, others / jnp.maximum(own, 0.25), (others - 1) + own)
    return jnp.where(near, 0, gap) + jnp.log1p(jnp.maximum(less_1, -0.5))


@with_slopes(lambda *row: -_probability(*row), _reciprocal)  # an infinite slope times 0
def _log_total(gap: Array, others: Array) -> Array:
    return jnp.log1p(jnp.maximum(others + jnp.expm1(-gap), -0.5))


@with_slopes(
    lambda gap, others, total, elsewhere, _: (
        (total - elsewhere) * _complement(gap, others) - elsewhere * _probability(gap, others)
    ),
    lambda gap, others, total, *_: total / _total(gap, others),
    lambda gap, others, *_: _log_total(gap, others),
    None,
    lambda gap, *_: jnp.ones_like(gap),
)  # a derivative that cancels: p sum t - t
def _expected(gap: Array, others: Array, total: Array, _elsewhere: Array, cost: Array) -> Array:
    return cost + total * _log_total(gap, others)


# ----------------------------------------------------------------------------------------------- the row of a label


def label_row(logits: Array, label: Array, *, spread: bool = False) -> Row:
    """The row against its label, with a gap of NaN if that is no class; `spread` asks for classes and gaps."""
    return _against_label(logits, label, spread, False)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _against_label(logits: Array, label: Array, spread: bool, sloped: bool) -> tuple[Row, Array]:
    """The row, and the exp(x - m) that s is the sum of; `sloped` says that they are needed."""
    by_sums = functools.partial(_label_sums, spread=spread, sloped=sloped)
    by_sweep = functools.partial(_label_sweep, spread=spread)
    (logit, others, largest, *rest), weights = jax.lax.platform_dependent(logits, label, cpu=by_sums, default=by_sweep)
    y = label.astype(logits.dtype)
    no_class = 0 * jnp.sqrt(jnp.minimum(y, (logits.shape[-1] - 1) - y))  # NaN, formed only where it is due
    return Row(_gap(logit, largest) + no_class, others, largest, *rest), weights


@_against_label.defjvp  # a sweep: JAX has no derivative of a reduction of several numbers together
def _(spread: bool, _sloped: bool, primals: Any, tangents: Any) -> Any:
    (logits, label), (dx, _) = primals, tangents
    row, weights = _against_label(logits, label, spread, True)
    return (row, weights), (_change_of_row(row, weights, is_at(logits, label), logits, dx), weights * dx)


def _change_of_row(row: Row, weights: Array, at: Array, logits: Array, dx: Array) -> Row:
    none = jnp.zeros_like(row.gap)
    change = Row(-_sum(jnp.where(at, dx, 0)), _sum(weights * dx), none)
    return change if row.gaps is None else change._replace(classes=none, gaps=-_sum(_possible(logits) * dx))


def _label_sweep(x: Array, label: Array, *, spread: bool) -> tuple[list[Array], Array]:
    at, bound, zero = is_at(x, label), np.asarray(_bound(x), x.dtype), np.zeros((), x.dtype)
    each = [jnp.where(at, x, 0), tied(~at, x), jnp.clip(x, -bound, bound)]
    each += [tied(_possible(x), x), tied(jnp.zeros_like(x), x)] if spread else []
    start = [zero, zero, -bound, zero, zero][: len(each)]

    def join(one: list[Array], other: list[Array]) -> list[Array]:
        (xy, s, m, *g), (xz, u, n, *h) = one, other
        first, gap = m >= n, jnp.abs(m - n)
        decay = jnp.exp(-gap)
        joined = [xy + xz, jnp.where(first, s + u * decay, u + s * decay), jnp.maximum(m, n)]
        return [*joined, g[0] + h[0], g[1] + h[1] + jnp.where(first, h[0], g[0]) * gap] if spread else joined

    row = jax.lax.reduce(each, start, join, (x.ndim - 1,))
    return row, jnp.where(at, 0, _weights(x, row[2]))


def _label_sums(x: Array, label: Array, *, spread: bool, sloped: bool) -> tuple[list[Array], Array]:
    largest = _largest(x)
    weights = _weights(x, largest)
    if sloped:
        weights = jnp.where(is_at(x, label), 0, weights)
        others = _sum(weights)
    else:
        places, y = jax.lax.iota(x.dtype, x.shape[-1]), label.astype(x.dtype)[..., None]
        others = row_sum(lambda w, j, y: jnp.minimum(w, jnp.abs(j - y)), weights, places, y)[..., 0]
    return [entry_on_cpu(x, label), others, largest, *(_spread_sums(x, largest) if spread else [])], weights


# ------------------------------------------------------------------------------------------------ the row of targets


def target_row(logits: Array, targets: Array, *, spread: bool = False, shared: bool = False) -> TargetRow:
    """The row with its targets; `spread` asks for classes and gaps, `shared` for what `complement` needs."""
    return _against_certain(logits, targets, spread, shared)[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _against_certain(logits: Array, targets: Array, spread: bool, shared: bool) -> tuple[TargetRow, Array]:
    """The row, and exp(x - m) of all its logits."""
    by_sums, by_sweep = (functools.partial(f, spread=spread, shared=shared) for f in (_target_sums, _target_sweep))
    (certain, others, largest, *rest), weights = jax.lax.platform_dependent(
        logits, targets, cpu=by_sums, default=by_sweep
    )
    total, elsewhere, cost, *rest = rest
    row = Row(jnp.where(certain, 0, jnp.inf).astype(logits.dtype), others, largest, *rest[shared:])
    return TargetRow(row, total, elsewhere, _beside_inf(largest, cost), *rest[:shared]), weights


def _change_of_target_row(spread: bool, shared: bool, primals: Any, tangents: Any) -> Any:
    (logits, targets), (dx, dt) = primals, tangents
    row, weights = _against_certain(logits, targets, spread, shared)
    at = (row.row.gap == 0)[..., None] & (weights > 0.5)
    away = (~at).astype(weights.dtype)
    change, of_weights = jax.tree.map(jnp.zeros_like, row), jnp.zeros_like(weights)
    if not isinstance(dx, SymbolicZero):
        cost, of_weights = -_sum(away * targets * dx), weights * dx
        change = change._replace(row=_change_of_row(row.row, away * weights, at, logits, dx), cost=cost)
        change = change._replace(shared=_sum(away * targets * of_weights)) if shared else change
    if not isinstance(dt, SymbolicZero):
        # The slope in the target of a class of logit -inf is infinite, and taken as 0 where that is 0.
        gap = finite_slope(_gap(logits, row.row.largest[..., None]))
        dt = jnp.where(jnp.isneginf(logits) & (targets == 0), 0, dt)
        change = change._replace(total=_sum(dt), elsewhere=_sum(away * dt), cost=change.cost + _sum(away * gap * dt))
        change = change._replace(shared=change.shared + _sum(away * weights * dt)) if shared else change
    return (row, weights), (change, of_weights)


_against_certain.defjvp(_change_of_target_row, symbolic_zeros=True)  # a sweep, as above


def _is_certain(weight: Array) -> Array:
    """Whether one class has most of the sum of weights, of which the largest is 1: all others are below 1 / 2 then."""
    return weight < 1.4


def _target_sweep(x: Array, t: Array, *, spread: bool, shared: bool) -> tuple[list[Array], Array]:
    bound, zero, none = _bound(x), jnp.zeros((), x.dtype), tied(jnp.zeros_like(x), x)
    unreachable = jnp.where(jnp.isneginf(x) & (t != 0), jnp.inf, none)
    each = [jnp.clip(x, -bound, bound), none, t + none, none, unreachable, *[none] * shared]
    each += [tied(_possible(x), x), none] if spread else []
    start = [zero - bound, zero - 1, *[zero] * (len(each) - 2)]

    def join(one: list[Array], other: list[Array]) -> list[Array]:
        (m, s, t, e, d, *g), (n, u, v, f, c, *h) = one, other
        first, gap = m >= n, jnp.abs(m - n)
        decay, less = jnp.exp(-gap), jnp.where(first, v, t)
        others = jnp.where(first, s + (1 + u) * decay, u + (1 + s) * decay)
        joined = [jnp.maximum(m, n), others, t + v, jnp.where(first, e, f) + less, d + c + less * gap]
        if shared:
            q, r = g.pop(0), h.pop(0)
            joined += [jnp.where(first, q + (r + (v - f)) * decay, r + (q + (t - e)) * decay)]
        return [*joined, g[0] + h[0], g[1] + h[1] + jnp.where(first, h[0], g[0]) * gap] if spread else joined

    largest, others, total, elsewhere, cost, *rest = jax.lax.reduce(each, start, join, (x.ndim - 1,))
    certain = _is_certain(1 + others)
    rest[:shared] = [jnp.where(certain, q, q + (total - elsewhere)) for q in rest[:shared]]
    others, elsewhere = jnp.where(certain, others, 1 + others), jnp.where(certain, elsewhere, total)
    return [certain, others, largest, total, elsewhere, cost, *rest], _weights(x, largest)


def _target_sums(x: Array, t: Array, *, spread: bool, shared: bool) -> tuple[list[Array], Array]:
    largest = _largest(x)
    weights = _weights(x, largest)
    weight, small = _sum(weights), weights < 0.5
    certain = _is_certain(weight)

    def of_others(x: Array) -> Array:
        return jnp.where(certain, _sum(jnp.where(small, x, 0)), _sum(x))

    reached = jnp.where(small | ~certain[..., None], jnp.where(jnp.isneginf(x) & (t != 0), jnp.inf, t), 0)
    cost = row_sum(
        lambda t, x, m, bound: t * (m - jnp.clip(x, -bound, bound)), reached, x, largest[..., None], _bound(x)
    )
    row = [certain, of_others(weights), largest, _sum(t), of_others(t), cost[..., 0]]
    row += [of_others(t * weights)] if shared else []
    return row + (_spread_sums(x, largest) if spread else []), weights


# -------------------------------------------------------------------------------------------------------- parts of both


def _weights(logits: Array, largest: Array) -> Array:
    """exp(x - m), the same for every logit of inf."""
    return jnp.exp(jnp.minimum(logits, _bound(logits)) - largest[..., None])


def _gap(logits: Array, largest: Array) -> Array:
    """M - x, infinite if m stands for a logit of inf and x is not."""
    bound = _bound(logits)
    beside_inf = (largest >= bound) & (logits < bound)
    return (largest - jnp.minimum(logits, bound)) + jnp.where(beside_inf, jnp.inf, 0)


def _possible(logits: Array) -> Array:
    return (logits > -jnp.inf).astype(logits.dtype)


def _bound(x: Array) -> float:
    """Beyond it a logit counts as infinite; of two such numbers the difference is finite."""
    return 0.5 * float(jnp.finfo(x.dtype).max)


def _beside_inf(largest: Array, cost: Array) -> Array:
    """The cost of logits below the largest, which is infinite if that is inf."""
    return jnp.where((largest >= _bound(largest)) & (cost > 0), jnp.inf, cost)


def _sum(x: Array) -> Array:
    return jnp.sum(x, axis=-1)


def _largest(x: Array) -> Array:
    return jnp.clip(jnp.max(x, axis=-1), -_bound(x), _bound(x))


def _spread_sums(x: Array, largest: Array) -> list[Array]:
    """Classes and gaps on a CPU, where a class of logit -inf is possible 0 times."""

    def possible(x: Array, big: Array) -> Array:
        return jnp.minimum(jnp.maximum(x + big, 0), 1)

    def gap(x: Array, m: Array, big: Array, bound: Array) -> Array:
        return possible(x, big) * (m - jnp.clip(x, -bound, bound))

    big, bound = float(jnp.finfo(x.dtype).max), _bound(x)
    return [row_sum(possible, x, big)[..., 0], row_sum(gap, x, largest[..., None], big, bound)[..., 0]]


def logsumexp(logits: Array) -> Array:
    r"""The log-partition function over the last axis.

    $$ \log \sum_j e^{x_j} $$

    A -inf logit counts for nothing. Where all are -inf the value is -inf and the gradient 0.

    >>> print(f"{logsumexp(jnp.array([-jnp.inf, 0.0, 0.0])):.4f}", jax.grad(logsumexp)(jnp.full(2, -jnp.inf)))
    0.6931 [0. 0.]
    """
    (row, *_), _ = _against_certain(logits, jnp.zeros_like(logits), False, False)
    return jax.lax.stop_gradient(jnp.max(logits, axis=-1)) + _log_total(row.gap, row.others)


def surprisal(logits: Array) -> Array:
    r"""The negative log-probability of each class of a softmax.

    $$ -\log \operatorname{softmax}(x)_j $$

    A confident class has a surprisal of 1e-9 when it should, and the slope to it. A class of logit -inf has inf.

    >>> confident, wrong = surprisal(jnp.array([20.0, 0.0]))
    >>> print(f"{confident:.3e} {wrong:.3f}")
    2.061e-09 20.000
    """
    (row, *_), weights = _against_certain(logits, jnp.zeros_like(logits), False, False)
    of_others = _gap(logits, row.largest[..., None]) + _log_total(row.gap, row.others)[..., None]
    return jnp.where((row.gap == 0)[..., None] & (weights > 0.5), row.surprisal[..., None], of_others)
