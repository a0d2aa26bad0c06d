"""Distributions over k classes by their logits, compared without ever leaving the log domain."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_at, pick
from jaxloss.numerics.platform import apart_on_cpu, row_sum
from jaxloss.numerics.remainders import exp_remainder
from jaxloss.types import Array, Input, Positive


class _Top(NamedTuple):
    """The most probable class of a row of logits; the last axis kept."""

    place: Array
    largest: Array
    others: Array
    """The sum over all other classes of exp(x - largest)."""
    beside: Array
    """The logit of the other row at this place."""

    @property
    def total(self) -> Array:
        return 1 + self.others


class _Pair(NamedTuple):
    """Two distributions over the classes."""

    p: Array
    q: Array
    log_ratio: Array
    """log(p / q) of each class."""
    centred: Array
    """That less its mean under p, which is the divergence."""
    value: Array
    """The divergence of p from q."""


def _bound(logits: Array) -> float:
    """From which on a logit counts as infinite, so that differences of differences stay finite."""
    return float(jnp.finfo(logits.dtype).max) / 4


def _bounded(logits: Array) -> Array:
    return jnp.clip(logits, -_bound(logits), _bound(logits))


def _tops(x: Array, z: Array) -> tuple[_Top, _Top]:
    """The most probable class of both rows: on a CPU by sums, elsewhere in one reading of both."""

    def by_sums(x: Array, z: Array) -> tuple[_Top, _Top]:
        x, z = apart_on_cpu(x, z)
        return _top_by_sums(x, z), _top_by_sums(z, x)

    return jax.lax.platform_dependent(x, z, cpu=by_sums, default=_tops_in_one_reading)


def _top_by_sums(x: Array, z: Array) -> _Top:
    largest = jnp.max(x, axis=-1, keepdims=True)
    places = jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1)
    steep = jnp.asarray(float(jnp.finfo(x.dtype).max), x.dtype)
    place = jnp.max(places - (largest - x) * steep, axis=-1, keepdims=True)
    # A minimum with the distance to a place is a mask that a CPU adds up in one loop.
    others = row_sum(
        lambda x, m, k, place: jnp.minimum(jnp.exp(x - m), jnp.abs(k - place)), x, largest, places, place
    )
    place = place.astype(jnp.int32)
    return _Top(place, largest, others, pick(z, place[..., 0])[..., None])


def _tops_in_one_reading(x: Array, z: Array) -> tuple[_Top, _Top]:
    def join(a: _Top, b: _Top) -> _Top:
        first = a.largest >= b.largest
        fall = jnp.exp(-jnp.abs(a.largest - b.largest))
        others = jnp.where(first, a.others + b.total * fall, b.others + a.total * fall)
        place, largest, beside = (jnp.where(first, k, l) for k, l in ((a[0], b[0]), (a[1], b[1]), (a[3], b[3])))
        return _Top(place, largest, others, beside)

    def join_both(a: Any, b: Any) -> tuple[Array, ...]:
        return (*join(_Top(*a[:4]), _Top(*b[:4])), *join(_Top(*a[4:]), _Top(*b[4:])))

    place = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
    zero = jnp.zeros_like(x)
    # What has no class has a total of 0.
    lowest = jnp.finfo(x.dtype).min
    none = (jnp.int32(0), *(jnp.asarray(k, x.dtype) for k in (lowest, -1, 0)))
    found = jax.lax.reduce((place, x, zero, z, place, z, zero, x), none + none, join_both, (x.ndim - 1,))
    found = [k[..., None] for k in found]
    return _Top(*found[:4]), _Top(*found[4:])


def _impossible(logits: Array, largest: Array) -> Array:
    """Beside a logit of inf every other class is impossible."""
    bound = _bound(logits)
    return (logits <= -bound) | ((largest >= bound) & (logits < bound))


def _bracket(p: Array, q: Array, log_ratio: Array) -> Array:
    """p log(p / q) - p + q = p (exp(-l) - 1 + l), which is at least 0."""
    near = jnp.abs(log_ratio) < 1
    return jnp.where(near, p * exp_remainder(-jnp.where(near, log_ratio, 0)), p * log_ratio - p + q)


def _divergence(x: Array, z: Array) -> _Pair:
    r"""The relative entropy of softmax(x) from softmax(z), and what its slopes are made of.

    The log ratio of a class is that of the most probable class of x and a difference d of differences of logits. With
    both rows' totals rounded it is off by the same t in all classes, so that

    $$ D = \sum_j \left[ p_j l_j - p_j + q_j \right] - t^2 / 2, \qquad t = \sum_j (q_j - p_j) $$

    to the order of t^3, and t is what the sum of the brackets and the mean of l differ by.
    """
    x_top, z_top = _tops(x, z)
    none = (x_top.largest <= -_bound(x)) | (z_top.largest <= -_bound(z))
    x_total, z_total = (jnp.where(none, jnp.inf, top.total) for top in (x_top, z_top))
    at_top = jnp.log1p(z_top.others) - jnp.log1p(x_top.others) + (z_top.largest - x_top.beside)
    at_top = jnp.where(none, 0, at_top)

    def weights(x: Array, largest: Array, total: Array) -> Array:
        return jnp.exp(x - largest) / total

    def beyond_top(x: Array, z: Array, at_top: Array, place: Array) -> Array:
        return jnp.where(is_at(x, place[..., 0]), 0, (x - z) - at_top)

    def bracket(
        x: Array, z: Array, x_largest: Array, x_total: Array, z_largest: Array, z_total: Array,
        apart: Array, place: Array, at_top: Array
    ) -> Array:
        infinite = _impossible(z, z_largest) & ~_impossible(x, x_largest)
        p, q = weights(x, x_largest, x_total), weights(z, z_largest, z_total)
        return jnp.where(infinite, jnp.inf, _bracket(p, q, beyond_top(x, z, apart, place) + at_top))

    def product(x: Array, z: Array, x_largest: Array, x_total: Array, apart: Array, place: Array) -> Array:
        return weights(x, x_largest, x_total) * beyond_top(x, z, apart, place)

    apart = x_top.largest - x_top.beside
    brackets = row_sum(
        bracket, x, z, x_top.largest, x_total, z_top.largest, z_total, apart, x_top.place, at_top
    )
    mean = row_sum(product, x, z, x_top.largest, x_total, apart, x_top.place)
    excess = jnp.where(brackets < 1, brackets - (mean + at_top), 0)
    value = brackets - 0.5 * jnp.square(excess)

    p, q = weights(x, x_top.largest, x_total), weights(z, z_top.largest, z_total)
    beyond = beyond_top(x, z, apart, x_top.place)
    centred = jnp.where(jnp.isinf(value), 0, beyond - mean)
    return _Pair(p, q, beyond + (at_top + excess), centred, value)


@jax.custom_jvp
def _compare(x: Array, z: Array) -> _Pair:
    return _divergence(x, z)


@_compare.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: that of a row of probabilities of which one is nearly 1.
    (dx, dz), pair = tangents, _compare(*primals)
    dlog_p = dx - jnp.sum(pair.p * dx, axis=-1, keepdims=True)
    dlog_q = dz - jnp.sum(pair.q * dz, axis=-1, keepdims=True)
    dlog_ratio = dlog_p - dlog_q
    dvalue = jnp.sum(pair.p * pair.centred * dx + _surplus(pair) * dz, axis=-1, keepdims=True)
    return pair, _Pair(pair.p * dlog_p, pair.q * dlog_q, dlog_ratio, dlog_ratio - dvalue, dvalue)


def _surplus(pair: _Pair) -> Array:
    """q - p, by the log ratio where they are near."""
    near = (jnp.abs(pair.log_ratio) < 1) & (pair.p > 0)
    return jnp.where(near, pair.p * jnp.expm1(-jnp.where(near, pair.log_ratio, 0)), pair.q - pair.p)


@jax.custom_jvp
def _jensen_shannon(x: Array, z: Array) -> Array:
    pair = _compare(x, z)
    of_p, of_q = _surprises(pair)
    near = jnp.abs(pair.log_ratio) < 1
    brackets = pair.p * exp_remainder(-jnp.where(near, of_p, 0)) + pair.q * exp_remainder(-jnp.where(near, of_q, 0))
    return 0.5 * jnp.sum(jnp.where(near, brackets, pair.p * of_p + pair.q * of_q), axis=-1)


@_jensen_shannon.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: a cost less its mean, which are nearly the same at the top of a confident row.
    (x, z), pair = primals, _compare(*primals)
    tops = _tops(jax.lax.stop_gradient(x), jax.lax.stop_gradient(z))
    change = jnp.zeros_like(pair.value)
    for p, cost, top, tangent in zip(pair[:2], _surprises(pair), tops, tangents, strict=True):
        at_top = is_at(cost, top.place[..., 0])
        beyond = jnp.where(at_top, 0, cost - jnp.sum(jnp.where(at_top, cost, 0), axis=-1, keepdims=True))
        slope = 0.5 * p * (beyond - jnp.sum(p * beyond, axis=-1, keepdims=True))
        change = change + jnp.sum(slope * tangent, axis=-1, keepdims=True)
    return _jensen_shannon(*primals), change[..., 0]


def _surprises(pair: _Pair) -> tuple[Array, Array]:
    """log(p / m) and log(q / m) with the mean m of p and q; 0 where p or q is 0."""
    log_ratios = (jnp.where(p == 0, 0, sign * pair.log_ratio) for p, sign in ((pair.p, 1), (pair.q, -1)))
    of_p, of_q = (-jnp.log1p(0.5 * jnp.expm1(-log_ratio)) for log_ratio in log_ratios)
    return of_p, of_q


@custom_loss(signature="(k),(k)->()")
def kl_divergence_with_logits(p_logits: Input, q_logits: Input, *, temperature: Positive = 1.0) -> Array:
    r"""The Kullback-Leibler divergence of one softmax distribution from another, in nats: what distillation minimises.

    $$ D(p \,\|\, q) = \sum_j p_j \log \frac{p_j}{q_j}, \qquad
       p = \operatorname{softmax}(x / T), \quad q = \operatorname{softmax}(z / T) $$

    Args:
        p_logits: x, `[..., k]`: those of the truth, or of the teacher.
        q_logits: z, `[..., k]`: those of the model, or of the student.
        temperature: T, > 0. The gradient falls as 1 / T^2 for large T; no factor T^2 makes up for it here.

    Corners: true to the last digits where the logits are nearly the same, 0 with gradient 0 where they are. A class of
    logit -inf in both, or in x, has no gradient; one in z alone costs inf, and the gradient is finite. A logit beyond
    4e31 (in float32) counts as infinite.

    Raises:
        ValueError: `temperature` is not > 0.

    Source: Kullback and Leibler (1951), On information and sufficiency, its I(1:2); with a temperature: Hinton et al.
    (2015), Distilling the knowledge in a neural network, section 2.

    >>> import jax.numpy as jnp
    >>> teacher, student = jnp.array([2.0, 1.0, -jnp.inf]), jnp.array([1.0, 1.5, -jnp.inf])
    >>> print(f"{kl_divergence_with_logits(teacher, student):.4f}")
    0.2574
    """
    if not (isinstance(temperature, int | float) and temperature == 1):
        p_logits, q_logits = _bounded(p_logits) / temperature, _bounded(q_logits) / temperature
    return _compare(_bounded(p_logits), _bounded(q_logits)).value[0]


@custom_loss(signature="(k),(k)->()")
def jensen_shannon_divergence_with_logits(p_logits: Input, q_logits: Input) -> Array:
    r"""The mean divergence of two softmax distributions from their mixture, in nats.

    $$ \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q), \qquad
       p = \operatorname{softmax}(x), \quad q = \operatorname{softmax}(z) $$

    Args:
        p_logits: x, `[..., k]`.
        q_logits: z, `[..., k]`.

    Corners: true to the last digits where the logits are nearly the same, 0 with gradient 0 where they are; log 2 at
    most. A class of logit -inf has no gradient.

    Source: Lin (1991), Divergence measures based on the Shannon entropy, equation 4.1, with equal weights.

    >>> import jax.numpy as jnp
    >>> p_logits, q_logits = jnp.array([2.0, 1.0, -jnp.inf]), jnp.array([1.0, 1.5, -jnp.inf])
    >>> print(f"{jensen_shannon_divergence_with_logits(p_logits, q_logits):.4f}")
    0.0647
    """
    return _jensen_shannon(_bounded(p_logits), _bounded(q_logits))
