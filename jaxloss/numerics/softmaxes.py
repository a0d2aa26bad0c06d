"""Two softmax distributions by their logits: how far apart they are, true also where the logits are nearly the same."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.numerics.divergences import jensen_shannon_at, log_to_mean
from jaxloss.numerics.elementary import apart, inlined, largest_like, log1p, ratio, reused
from jaxloss.numerics.exact import halves, residual, split
from jaxloss.numerics.exponentials import exp_remainder, expm1
from jaxloss.numerics.rows import row_sums
from jaxloss.types import Array


class _Rows(NamedTuple):
    """What two rows of logits are to each other; the last axis kept."""

    p_largest: Array
    q_largest: Array
    q_there: Array
    """The logit of q where that of p is the largest."""
    p_total: Array
    """The sum of the weights, of which that of the largest is 1; inf where no class is possible in one of the rows."""
    q_total: Array
    log_quotient: Array
    """Of the totals of q and p."""
    mean: Array
    """Of the log ratio less that at the largest of p, under p."""
    log_ratio: Array
    """That at the largest of p."""


class _Pair(NamedTuple):
    """Of each class: p, q, log(p / q), that minus its mean under p, and how far each logit is below the largest."""

    p: Array
    q: Array
    log_ratio: Array
    centred: Array
    p_gap: Array
    q_gap: Array


@jax.custom_jvp
@inlined
def softmax_relative_entropy(p_logits: Array, q_logits: Array, temperature: Array | None) -> Array:
    r"""The relative entropy of two softmax distributions over the last axis.

    $$ \sum_j p_j \log \frac{p_j}{q_j}, \qquad
       \frac{\partial}{\partial x_j} = \frac{p_j}{T} \left( \log \frac{p_j}{q_j} - D \right), \quad
       \frac{\partial}{\partial z_j} = \frac{q_j - p_j}{T} $$

    with p = softmax(x / T), q = softmax(z / T) and D the value; no temperature is one of 1. The log ratio is taken of
    differences of logits, which carry their rounding errors. A class of logit -inf in both, or in x, has no gradient.
    One in z alone costs inf, and the gradient is finite.

    >>> print(f"{softmax_relative_entropy(jnp.array([1e-3, 0.0]), jnp.zeros(2), None):.4e}")
    1.2500e-07
    """
    return _divergence(p_logits, q_logits, temperature, _rows(p_logits, q_logits, temperature))


@softmax_relative_entropy.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    p_logits, q_logits, temperature = primals
    rows = _rows(p_logits, q_logits, temperature)
    value = _divergence(p_logits, q_logits, temperature, rows)
    pair = _compare(p_logits, q_logits, temperature, rows)
    pair = pair._replace(centred=jnp.where(jnp.isinf(value)[..., None], 0, pair.centred))
    near = (jnp.abs(pair.log_ratio) < 1) & (pair.p > 0)
    inside = jnp.where(near, -pair.log_ratio, 0)
    surplus = jnp.where(near, pair.p * expm1(inside), pair.q - pair.p)
    dx, dz, dtemperature = tangents
    change = pair.p * pair.centred * dx + surplus * dz
    if temperature is None:
        return value, jnp.sum(change, axis=-1)
    change = jnp.sum(change / _beside_a_row(temperature), axis=-1)
    return value, change + _slope_in_temperature(pair, value) / temperature * dtemperature


def _divergence(p_logits: Array, q_logits: Array, temperature: Array | None, rows: _Rows) -> Array:
    r"""By the log ratios less their mean m, which is 0 under p, so that no term is below 0:

    $$ \log \sum_j p_j e^{y_j} = \log \left( 1 + \sum_j p_j \left[ e^{y_j} - 1 - y_j \right] \right), \qquad
       y_j = m - \log \frac{p_j}{q_j} $$

    What the rounding takes from the mean counts by its square only. Far apart, the mean itself.
    """
    rough = rows.mean + rows.log_ratio
    near = rough < 2
    p_logits, q_logits, *numbers = apart(p_logits, q_logits, *rows)
    rows = _Rows(*numbers)
    p, q, relative, log_ratio = _classes(p_logits, q_logits, temperature, rows)
    y = jnp.minimum(rows.mean, 100) - relative
    # Where p is tiny beside q, p e^y is taken of q.
    bounded, tilted = jnp.minimum(y, 5), jnp.exp(jnp.minimum(rough, 2)) * q
    terms = p * (exp_remainder(bounded) - (y - bounded)) + jnp.maximum(tilted - math.exp(5) * p, 0)
    infinite = _impossible(q_logits, rows.q_largest) & ~_impossible(p_logits, rows.p_largest)
    total = jnp.sum(reused(jnp.where(infinite, jnp.inf, jnp.where(near, terms, p * log_ratio))), axis=-1)
    return jnp.where(jnp.squeeze(near, -1), jnp.log1p(total), total)


def _slope_in_temperature(pair: _Pair, value: Array) -> Array:
    """The slope in the logarithm of the temperature: of each class its slopes times how far its logits are below those
    of the most probable.

    Where p is near q these are of the size of their difference, and sum to one of the size of its square. By p_below =
    q_below - relative, their two terms are gathered in two of that size.
    """
    p, q, p_below = pair.p, pair.q, pair.p_gap
    top = (p_below == 0) & (p > 0)
    mean = _at(top, pair.centred)
    relative = pair.centred - mean
    q_below = pair.q_gap - _at(top & (pair.centred == mean), pair.q_gap)
    value = _beside_a_row(value)
    near = (jnp.abs(pair.log_ratio) < 1) & (p > 0) & (value < 1)
    value = jnp.where(near, value, 0)
    gathered = (jnp.where(near, _excess(pair), 0) - p * value) * q_below - p * pair.centred * relative
    return jnp.sum(jnp.where(near, gathered, p * pair.centred * p_below + (q - p) * q_below), axis=-1)


def _excess(pair: _Pair) -> Array:
    """The bracket p log(p / q) - p + q, by the log ratio."""
    p, q, log_ratio = pair.p, pair.q, pair.log_ratio
    impossible = log_ratio == jnp.inf
    # A NaN is usable, and stays one.
    usable = (p != 0) & ~jnp.isinf(log_ratio)
    log_ratio = jnp.where(usable, log_ratio, 0)
    low = log_ratio < -2
    near = p * exp_remainder(-jnp.where(low, 0, log_ratio))
    bracket = jnp.where(low, q + p * (log_ratio - 1), near)
    return jnp.where(impossible, jnp.inf, jnp.where(usable, bracket, q))


@jax.custom_jvp
@jax.jit
def softmax_jensen_shannon(p_logits: Array, q_logits: Array) -> Array:
    r"""The Jensen-Shannon divergence of two softmax distributions over the last axis.

    $$ \tfrac12 \sum_j \left[ p_j \log \frac{p_j}{m_j} + q_j \log \frac{q_j}{m_j} \right], \qquad
       \frac{\partial}{\partial x_j} = \tfrac12 p_j \left( c_j - \sum_i p_i c_i \right), \quad
       c_j = \log \frac{p_j}{m_j} $$

    with p = softmax(x), q = softmax(z) and m their mean. Near ones are compared by the difference of their logits. A
    class of logit -inf has no gradient.

    >>> print(f"{softmax_jensen_shannon(jnp.array([1e-3, 0.0]), jnp.zeros(2)):.4e}")
    3.1250e-08
    """
    pair = _compare(p_logits, q_logits, None, _rows(p_logits, q_logits, None))
    return jnp.sum(jensen_shannon_at(pair.p, pair.q, _half(pair)), axis=-1)


@softmax_jensen_shannon.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    p_logits, q_logits = primals
    pair = _compare(p_logits, q_logits, None, _rows(p_logits, q_logits, None))
    half = _half(pair)
    slopes = (
        0.5 * a * _centred(a, jnp.where(a == 0, 0, log_to_mean(a, b, towards)))
        for a, b, towards in ((pair.p, pair.q, half), (pair.q, pair.p, -half))
    )
    change = sum(slope * tangent for slope, tangent in zip(slopes, tangents, strict=True))
    return softmax_jensen_shannon(*primals), jnp.sum(change, axis=-1)


def _half(pair: _Pair) -> Array:
    """(p - q) / (p + q)."""
    near = (jnp.abs(pair.log_ratio) < 1) & (pair.p > 0)
    growth = expm1(jnp.where(near, pair.log_ratio, 0))
    return jnp.where(near, growth / (2 + growth), ratio(pair.p - pair.q, pair.p + pair.q))


def _centred(p: Array, x: Array) -> Array:
    """A vector minus its mean, first against its value at the most probable class, which may be all but 1."""
    x = x - _at(p == jnp.max(p, axis=-1, keepdims=True), x)
    return x - jnp.sum(p * x, axis=-1, keepdims=True)


def _at(places: Array, x: Array) -> Array:
    """The largest entry among some places, finite also among none; by comparison, which works on a sharded axis."""
    lowest = -jnp.finfo(x.dtype).max / 2
    return jnp.max(jnp.where(places, x, lowest), axis=-1, keepdims=True)


def _rows(p_logits: Array, q_logits: Array, temperature: Array | None) -> _Rows:
    most = _bound(p_logits)
    lowest = -most / 2
    largest = (jnp.max(x, axis=-1, keepdims=True, initial=lowest) for x in (p_logits, q_logits))
    p_largest, q_largest = apart(*(jnp.minimum(x, most) for x in largest))
    q_there = _where_largest(q_logits, p_logits, *apart(p_largest))

    def p_and_ratio(p_logits: Array, q_logits: Array) -> tuple[Array, ...]:
        p, _, relative, _ = _weighed(p_logits, q_logits, temperature, p_largest, q_largest, q_there)
        # What is small is added up without the largest, which would round it.
        is_largest = p_logits >= p_largest
        return is_largest.astype(p.dtype), jnp.where(is_largest, 0, p), p * relative

    # Each short enough for XLA on a CPU to form four exponentials at a time.
    count, others, total = row_sums(p_and_ratio, *apart(p_logits, q_logits), width=4)
    (q_total,) = row_sums(lambda x: (_weight(*_below(x, q_largest, temperature)),), q_logits, width=4)
    p_total, q_total = (jnp.where(total == 0, 1, total) for total in (count + others, q_total))
    log_quotient = jnp.log(q_total / p_total)
    log_ratio = log_quotient + _over(q_largest - q_there, temperature)
    numbers = apart(p_largest, q_largest, q_there, p_total, q_total, log_quotient, total / p_total, log_ratio)
    rows, no_class = _Rows(*numbers), (p_largest == lowest) | (q_largest == lowest)
    return rows._replace(p_total=jnp.where(no_class, jnp.inf, p_total), q_total=jnp.where(no_class, jnp.inf, q_total))


def _bound(logits: Array) -> float:
    """From which on a logit counts as infinite, so that no difference of two is, nor what `split` takes of it."""
    info = jnp.finfo(logits.dtype)
    return float(info.max) * 2.0**-info.nmant


def _where_largest(x: Array, logits: Array, largest: Array) -> Array:
    """The entry of x where a logit is the largest, by arithmetic alone, which fuses with the maximum over a row."""
    most = _bound(logits)
    bound, steep = apart(jnp.full_like(largest, most), largest_like(largest))
    far_below = (jnp.minimum(logits, bound) - largest) * steep
    return jnp.max(jnp.minimum(x, bound) + far_below, axis=-1, keepdims=True, initial=-most)


def _classes(p_logits: Array, q_logits: Array, temperature: Array | None, rows: _Rows) -> tuple[Array, ...]:
    """Of each class p, q, and the log ratio, less that at the largest of p and itself."""
    p, q, relative, log_ratio = _weighed(p_logits, q_logits, temperature, *rows[:3])
    return p / rows.p_total, q / rows.q_total, relative, log_ratio + rows.log_quotient


def _weighed(
    p_logits: Array, q_logits: Array, temperature: Array | None, p_largest: Array, q_largest: Array, q_there: Array
) -> tuple[Array, ...]:
    """As `_classes`, but of weights; what is near that at the largest of p is taken of differences between the rows."""
    most = _bound(p_logits)
    difference, lost = _difference(jnp.clip(p_logits, -most, most), jnp.clip(q_logits, -most, most))
    there, lost_there = _difference(p_largest, q_there)
    relative = _over((difference - there) + (lost - lost_there), temperature)
    p, p_lost = _below(p_logits, p_largest, temperature)
    q, q_lost = _below(q_logits, q_largest, temperature)
    return _weight(p, p_lost), _weight(q, q_lost), relative, (p - q) + (p_lost - q_lost)


def _weight(below: Array, lost: Array) -> Array:
    return jnp.exp(below) * (1 + lost)


def _below(logits: Array, largest: Array, temperature: Array | None) -> tuple[Array, Array]:
    """Logits less the largest, over the temperature, and what the rounding took."""
    most = _bound(logits)
    difference, lost = _difference(jnp.clip(logits, -most, most), largest)
    if temperature is None:
        return difference, lost
    temperature = _beside_a_row(temperature)
    difference = jnp.maximum(difference, -most * temperature)
    inverse, inverse_low, inverse_lost = _inverse(temperature)
    high, low = split(difference)
    product = high * inverse
    rest = (low * inverse + difference * inverse_low) + (difference * inverse_lost + lost * inverse)
    quotient = product + rest
    return quotient, rest - (quotient - product)


def _inverse(x: Array) -> tuple[Array, Array, Array]:
    """One over x: half of its digits, whose product with half of another's is exact, the rest, and what it lost."""
    inverse = 1 / x
    return apart(*halves(inverse), residual(jnp.ones_like(x), inverse, x) / x)


def _difference(a: Array, b: Array) -> tuple[Array, Array]:
    """Of two finite numbers, and what the rounding took (Knuth)."""
    difference = a - b
    part = difference + b
    return difference, (a - part) + ((part - difference) - b)


def _over(x: Array, temperature: Array | None) -> Array:
    """Also over a temperature that is nearly 0, finite."""
    if temperature is None:
        return x
    temperature = _beside_a_row(temperature)
    most = _bound(x) * temperature
    return jnp.clip(x, -most, most) / temperature


@jax.custom_jvp
@inlined
def _compare(p_logits: Array, q_logits: Array, temperature: Array | None, rows: _Rows) -> _Pair:
    shift = _shift(p_logits, q_logits, temperature, rows)
    p_logits, q_logits, shift = apart(p_logits, q_logits, shift)
    p, q, relative, rough = _classes(p_logits, q_logits, temperature, rows)
    p_impossible, q_impossible = _impossible(p_logits, rows.p_largest), _impossible(q_logits, rows.q_largest)
    infinite = jnp.where(p_impossible, jnp.where(q_impossible, 0, -jnp.inf), jnp.inf)
    log_ratio = jnp.where(jnp.abs(rows.log_ratio) < 0.5, relative + shift, rough)
    log_ratio = jnp.where(p_impossible | q_impossible, infinite, log_ratio)
    p_gap = _over(jnp.maximum(rows.p_largest - p_logits, 0), temperature)
    q_gap = _over(jnp.maximum(rows.q_largest - q_logits, 0), temperature)
    gaps = jnp.where(p_impossible, 0, p_gap), jnp.where(q_impossible, 0, q_gap)
    return _Pair(p, q, log_ratio, relative - rows.mean, *gaps)


def _shift(p_logits: Array, q_logits: Array, temperature: Array | None, rows: _Rows) -> Array:
    """The log ratio at the largest of p, where p and q are near there beyond the digits that the surprisals share."""
    p, q, relative, _ = _classes(p_logits, q_logits, temperature, rows)
    impossible = _impossible(p_logits, rows.p_largest) | _impossible(q_logits, rows.q_largest)
    near = jnp.abs(rows.log_ratio) < 0.5
    # The sum of p exp(-relative) - p, which is q times a constant - p.
    low = (relative >= -1) & ~impossible
    scale = jnp.exp(jnp.where(near, rows.log_ratio, 0))
    terms = jnp.where(low, p * expm1(-jnp.where(low, relative, 0)), q * scale - p)
    total = jnp.sum(reused(terms), axis=-1, keepdims=True)
    return jnp.where(near, log1p(jnp.where(near, total, 0)), rows.log_ratio)


def _impossible(logits: Array, largest: Array) -> Array:
    """Beside a logit of inf every other is."""
    most = _bound(logits)
    return (logits <= -most) | ((largest == most) & (logits < most))


@_compare.defjvp
def _(primals: Any, tangents: Any) -> Any:
    pair, temperature = _compare(*primals), primals[2]
    p, q = pair.p, pair.q
    dx, dz, dtemperature, _ = tangents
    if temperature is not None:
        inverse, dtemperature = _beside_a_row(1 / temperature), _beside_a_row(dtemperature)
        # Each up to a shift of the row, which changes nothing.
        dx, dz = inverse * (dx + pair.p_gap * dtemperature), inverse * (dz + pair.q_gap * dtemperature)
    dlog_p = dx - jnp.sum(p * dx, axis=-1, keepdims=True)
    dlog_q = dz - jnp.sum(q * dz, axis=-1, keepdims=True)
    apart = dx - dz
    change_of_mean = jnp.sum(p * (apart + dlog_p * pair.centred), axis=-1, keepdims=True)
    return pair, _Pair(
        p * dlog_p,
        q * dlog_q,
        dlog_p - dlog_q,
        apart - change_of_mean,
        _at(pair.p_gap == 0, dx) - dx,
        _at(pair.q_gap == 0, dz) - dz,
    )


def _beside_a_row(x: Array) -> Array:
    """One number a row, shaped to meet the rows; a single number as it is."""
    return jnp.expand_dims(x, -1) if jnp.ndim(x) else x
