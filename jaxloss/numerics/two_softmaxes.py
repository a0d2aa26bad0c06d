"""Two rows of logits: the distributions that they stand for, compared without ever leaving the log domain."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.classes import entry, is_at
from jaxloss.numerics.platform import apart_on_cpu, row_sum, tied
from jaxloss.numerics.remainders import exp_remainder, exp_series
from jaxloss.numerics.slopes import moves
from jaxloss.numerics.softmax import change_of_log_probabilities
from jaxloss.types import Array


class _Top(NamedTuple):
    """The most probable class of a row of logits; the last axis is kept."""

    place: Array  # as a real number
    largest: Array
    beside: Array  # the logit of the other row at this place
    others: Array  # the sum over all other classes of exp((x - largest) / T)

    @property
    def total(self) -> Array:
        return 1 + self.others


class Pair(NamedTuple):
    """Two distributions over the classes."""

    p: Array
    q: Array
    log_ratio: Array  # log(p / q) of each class
    surplus: Array  # q - p of each class
    centred: Array  # log(p / q) less its mean under p, which is the divergence
    value: Array  # the divergence of p from q


def _bound(logits: Array) -> float:
    """The size from which on a logit counts as infinite, so that differences of differences stay finite."""
    return float(jnp.finfo(logits.dtype).max) / 4


def _bounded(logits: Array) -> Array:
    return jnp.clip(logits, -_bound(logits), _bound(logits))


def _over(difference: Array, temperature: Array | None) -> Array:
    return difference if temperature is None else _bounded(difference / temperature)


def _tops(x: Array, z: Array, temperature: Array | None) -> tuple[_Top, _Top]:
    """The most probable class of both rows: by sums on a CPU, and elsewhere in one reading of both."""

    def by_sums(x: Array, z: Array, *temperature: Array) -> tuple[_Top, _Top]:
        return _top_by_sums(x, z, *temperature), _top_by_sums(z, x, *temperature)

    if temperature is not None:  # which the function of a reduction cannot see
        return by_sums(x, z, temperature)
    return jax.lax.platform_dependent(x, z, cpu=by_sums, default=_tops_in_one_reading)


def _top_by_sums(x: Array, z: Array, temperature: Array | None = None) -> _Top:
    def by_arithmetic(x: Array) -> Array:  # argmax is a slow loop on a CPU
        (largest,) = apart_on_cpu(jnp.max(x, axis=-1, keepdims=True))
        places = jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1)
        return jnp.max(places - (largest - x) * float(jnp.finfo(x.dtype).max), axis=-1).astype(jnp.int32)

    def other_weights(x: Array, largest: Array, place: Array) -> Array:
        # A minimum with the distance to a place is a mask that a CPU adds up in one loop.
        distance = jnp.abs(jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1) - place)
        return jnp.minimum(jnp.exp(_over(x - largest, temperature)), distance)

    place = jax.lax.platform_dependent(x, cpu=by_arithmetic, default=lambda x: jax.lax.argmax(x, x.ndim - 1, jnp.int32))
    largest, beside = (entry(row, place)[..., None] for row in (x, z))
    place = place[..., None].astype(x.dtype)
    return _Top(place, largest, beside, row_sum(other_weights, x, largest, place))


def _tops_in_one_reading(x: Array, z: Array) -> tuple[_Top, _Top]:
    def join(a: _Top, b: _Top) -> _Top:
        first = a.largest >= b.largest
        fall = jnp.exp(-jnp.abs(a.largest - b.largest))
        others = jnp.where(first, a.others + b.total * fall, b.others + a.total * fall)
        place, largest, beside = (jnp.where(first, of_a, of_b) for of_a, of_b in zip(a[:3], b[:3], strict=True))
        return _Top(place, largest, beside, others)

    def join_both(a: Any, b: Any) -> tuple[Array, ...]:
        return (*join(_Top(*a[:4]), _Top(*b[:4])), *join(_Top(*a[4:]), _Top(*b[4:])))

    def leaves(x: Array, z: Array) -> _Top:
        place = jax.lax.broadcasted_iota(x.dtype, x.shape, x.ndim - 1)
        zero = jnp.zeros_like(x)
        return _Top(tied(zero + place, x), x, z, tied(zero, x))

    # The total over no class is 0.
    none = tuple(jnp.asarray(k, x.dtype) for k in (0, jnp.finfo(x.dtype).min, 0, -1))
    found = jax.lax.reduce((*leaves(x, z), *leaves(z, x)), none + none, join_both, (x.ndim - 1,))
    found = [k[..., None] for k in found]
    return _Top(*found[:4]), _Top(*found[4:])


def _impossible(logits: Array, largest: Array) -> Array:
    """Which classes have probability 0; beside a logit of inf, all others."""
    bound = _bound(logits)
    return (logits <= -bound) | ((largest >= bound) & (logits < bound))


def _bracket(p: Array, q: Array, log_ratio: Array) -> Array:
    """The term p log(p / q) - p + q = p (exp(-l) - 1 + l), which is at least 0."""
    near = jnp.clip(log_ratio, -1, 1)
    close = p * (near * near) * exp_series(-near)
    return jnp.where(log_ratio == near, close, p * log_ratio - p + q)


def _divergence(x: Array, z: Array, temperature: Array | None) -> Pair:
    r"""The relative entropy of softmax(x / T) from softmax(z / T), and the parts of its slopes.

    The log ratio of a class is that of the most probable class of x and a difference d of differences of logits. With
    the totals of both rows rounded it is off by the same t in all classes, and

    $$ D = \sum_j \left[ p_j l_j - p_j + q_j \right] - t^2 / 2, \qquad t = \sum_j (q_j - p_j) $$

    to the order of t^3, where t is the difference between the sum of the brackets and the mean of l.
    """
    over = functools.partial(_over, temperature=temperature)
    x, z = _bounded(x), _bounded(z)
    x_top, z_top = _tops(x, z, temperature)
    none = (x_top.largest <= -_bound(x)) | (z_top.largest <= -_bound(z))
    x_total, z_total = (jnp.where(none, jnp.inf, top.total) for top in (x_top, z_top))
    parts = jnp.log1p(z_top.others), jnp.log1p(x_top.others), over(z_top.largest - x_top.beside)
    of_totals = jnp.where(none, 0, parts[0] - parts[1])
    at_top = jnp.where(none, 0, parts[2]) + of_totals
    together = jnp.abs(at_top) < 2

    p = jnp.exp(over(x - x_top.largest)) / x_total
    q = jnp.exp(over(z - z_top.largest)) / z_total
    # A difference of differences: of logits that are far, each relative to its own row first.
    far = jnp.abs(x_top.largest - x_top.beside) > 1024
    beyond_top = (x - jnp.where(far, x_top.largest, 0)) - (z - jnp.where(far, x_top.beside, 0))
    beyond_top = over(beyond_top - jnp.where(far, 0, x_top.largest - x_top.beside))
    beyond_top = jnp.where(is_at(x, x_top.place[..., 0]), 0, beyond_top)

    infinite = jnp.any(_impossible(z, z_top.largest) & ~_impossible(x, x_top.largest), axis=-1, keepdims=True)
    brackets = jnp.sum(_bracket(p, q, beyond_top + at_top), axis=-1, keepdims=True)
    mean = jnp.sum(p * beyond_top, axis=-1, keepdims=True)
    rounded = brackets + jnp.abs(mean) > sum(parts)  # where t is known no better than the totals
    excess = jnp.where(infinite | none | rounded, 0, brackets - (mean + at_top))
    value = jnp.where(infinite, jnp.inf, brackets - 0.5 * jnp.square(excess))

    log_ratio = beyond_top + (at_top + excess)
    # Where the most probable classes are far apart, by each row's own.
    rough = over(x - x_top.largest) - over(z - z_top.largest) + of_totals
    log_ratio = jnp.where(together, log_ratio, rough)
    near = together & (jnp.abs(log_ratio) < 1) & (p > 0)
    surplus = jnp.where(near, p * jnp.expm1(-jnp.where(near, log_ratio, 0)), q - p)
    return Pair(p, q, log_ratio, surplus, jnp.where(infinite, 0, beyond_top - mean), value)


@jax.custom_jvp
def compare(x: Array, z: Array, temperature: Array | None) -> Pair:
    """Softmax(x / T) and softmax(z / T), and the divergence of the first from the second; None is T = 1."""
    return _divergence(x, z, temperature)


@functools.partial(compare.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: that of a row of probabilities of which one is nearly 1.
    (x, z, temperature), pair = primals, compare(*primals)
    dx, dz = (dx if moves(dx) else jnp.zeros_like(x) for dx in tangents[:2])
    if temperature is not None:
        if moves(tangents[2]):
            # Relative to the largest, which changes nothing.
            dx, dz = (
                dx - _over(row - jax.lax.stop_gradient(jnp.max(row, axis=-1, keepdims=True)), temperature) * tangents[2]
                for row, dx in ((_bounded(x), dx), (_bounded(z), dz))
            )
        dx, dz = dx / temperature, dz / temperature
    dlog_p, dlog_q = (change_of_log_probabilities(*one)[0] for one in ((pair.p, dx), (pair.q, dz)))
    dvalue = jnp.sum(pair.p * pair.centred * dx + pair.surplus * dz, axis=-1, keepdims=True)
    dlog_ratio = dlog_p - dlog_q
    dp, dq = pair.p * dlog_p, pair.q * dlog_q
    return pair, Pair(dp, dq, dlog_ratio, dq - dp, dlog_ratio - dvalue, dvalue)


def mixture_divergence(x: Array, z: Array, weight: Any) -> Array:
    r"""The divergence of two rows from their mixture, w D(p || m) + (1 - w) D(q || m) with m = w p + (1 - w) q.

    Of softmax(x) and softmax(z), right where these are nearly the same; 0 with gradient 0 where they are.

    >>> print(f"{mixture_divergence(jnp.array([2.0, 1.0]), jnp.array([1.0, 1.5]), 0.5):.4f}")
    0.0647
    """
    pair = compare(x, z, None)
    return _mixture_divergence(x, z, weight, pair, _surprises(pair, weight))


@jax.custom_jvp
def _mixture_divergence(_x: Array, _z: Array, weight: Any, pair: Pair, costs: tuple[Array, Array]) -> Array:
    near = jnp.abs(pair.log_ratio) < 1
    of_rows = [(weight, pair.p, costs[0]), (1 - weight, pair.q, costs[1])]
    brackets = sum(w * p * exp_remainder(-jnp.where(near, cost, 0)) for w, p, cost in of_rows)
    return jnp.sum(jnp.where(near, brackets, sum(w * p * cost for w, p, cost in of_rows)), axis=-1)


@functools.partial(_mixture_divergence.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels: p times a cost less its mean, which at the top of a confident row are nearly the same.
    (_, _, weight, pair, costs), (dx, dz, dweight, *_) = primals, tangents
    change = jnp.zeros_like(pair.value)
    for share, p, cost, tangent in zip((weight, 1 - weight), pair[:2], costs, (dx, dz), strict=True):
        if moves(tangent):
            change += jnp.sum(share * p * change_of_log_probabilities(p, cost)[0] * tangent, axis=-1, keepdims=True)
    if moves(dweight):
        # The two divergences by the remainders of the value, where p - q, whose sum is 0, is left out of every term.
        near = jnp.abs(pair.log_ratio) < 1
        of_p, of_q = (p * exp_remainder(-jnp.where(near, cost, 0)) for p, cost in zip(pair[:2], costs, strict=True))
        far = pair.p * costs[0] - pair.q * costs[1] + pair.surplus
        change += dweight * jnp.sum(jnp.where(near, of_p - of_q, far), axis=-1, keepdims=True)
    return _mixture_divergence(*primals), change[..., 0]


def _surprises(pair: Pair, weight: Any) -> tuple[Array, Array]:
    """log(p / m) and log(q / m) with the mixture m of p and q; 0 where p or q is 0."""
    shares = (pair.p, 1, 1 - weight), (pair.q, -1, weight)
    log_ratios = ((jnp.where(p == 0, 0, sign * pair.log_ratio), share) for p, sign, share in shares)
    of_p, of_q = (-jnp.log1p(share * jnp.expm1(-log_ratio)) for log_ratio, share in log_ratios)
    return of_p, of_q
