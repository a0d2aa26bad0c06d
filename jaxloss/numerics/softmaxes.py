"""Two softmax distributions by their logits: how far apart they are, true also where the logits are nearly the same."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.divergences import jensen_shannon_at, log_to_mean
from jaxloss.numerics.elementary import finite_slope, log1p, ratio
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.exponentials import exp_remainder, expm1


class _Pair(NamedTuple):
    """Of each class: p, q, log(p / q), that minus its mean under p, and how far each logit is below the largest."""

    p: Array
    q: Array
    log_ratio: Array
    centred: Array
    p_gap: Array
    q_gap: Array


@jax.custom_jvp
@jax.jit
def softmax_relative_entropy(p_logits: Array, q_logits: Array, temperature: Array) -> Array:
    r"""The relative entropy of two softmax distributions over the last axis.

    $$ \sum_j \left[ p_j \log \frac{p_j}{q_j} - p_j + q_j \right], \qquad
       \frac{\partial}{\partial x_j} = \frac{p_j}{T} \left( \log \frac{p_j}{q_j} - D \right), \quad
       \frac{\partial}{\partial z_j} = \frac{q_j - p_j}{T} $$

    with p = softmax(x / T), q = softmax(z / T) and D the value. No term is below 0, and the log ratio is taken of
    differences of logits, which carry their rounding errors. A class of logit -inf in both, or in x, has no gradient.
    One in z alone costs inf, and the gradient is finite.

    >>> print(f"{softmax_relative_entropy(jnp.array([1e-3, 0.0]), jnp.zeros(2), jnp.array(1.0)):.4e}")
    1.2500e-07
    """
    pair = _compare(p_logits, q_logits, temperature)
    return jnp.sum(_excess(pair), axis=-1)


@softmax_relative_entropy.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    pair = _compare(*primals)
    near = (jnp.abs(pair.log_ratio) < 1) & (pair.p > 0)
    inside = jnp.where(near, -pair.log_ratio, 0)
    surplus = jnp.where(near, pair.p * expm1(inside), pair.q - pair.p)
    dx, dz, dtemperature = tangents
    inverse = _beside_a_row(1 / primals[2])
    change = jnp.sum(inverse * (pair.p * pair.centred * dx + surplus * dz), axis=-1)
    value = softmax_relative_entropy(*primals)
    return value, change + _slope_in_temperature(pair, value) / primals[2] * dtemperature


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
    pair = _compare(p_logits, q_logits, jnp.ones((), p_logits.dtype))
    return jnp.sum(jensen_shannon_at(pair.p, pair.q, _half(pair)), axis=-1)


@softmax_jensen_shannon.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    pair = _compare(*primals, jnp.ones((), primals[0].dtype))
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
    """The largest entry among some places; by comparison, which works on a sharded axis."""
    return jnp.max(jnp.where(places, x, -jnp.inf), axis=-1, keepdims=True)


@jax.custom_jvp
def _compare(p_logits: Array, q_logits: Array, temperature: Array) -> _Pair:
    temperature = _beside_a_row(temperature)
    p, p_surprisal, p_gap = _softmax(p_logits, temperature)
    q, q_surprisal, q_gap = _softmax(q_logits, temperature)

    finite = jnp.isfinite(p_logits) & jnp.isfinite(q_logits)
    difference, lost = two_sum(jnp.where(finite, p_logits, 0), jnp.where(finite, -q_logits, 0))
    difference = finite_slope(difference)
    # Against the most probable class of p, by which a shift of all logits leaves the differences.
    top = p == jnp.max(p, axis=-1, keepdims=True)
    reference = finite_slope(_at(top, difference))
    lost_there = _at(top & (difference == reference), lost)
    relative = (difference - reference) + (lost - jnp.where(jnp.isfinite(lost_there), lost_there, 0))
    relative = finite_slope(relative / temperature)
    relative = jnp.where(finite, relative, 0)

    same = (p_surprisal == q_surprisal) & jnp.isinf(p_surprisal)
    rough = jnp.where(same, 0, jnp.where(same, 0, q_surprisal) - jnp.where(same, 0, p_surprisal))
    rough_there = _at(top & (difference == reference), rough)
    near = jnp.abs(rough_there) < 0.5
    # The sum of p exp(-relative) - p, which is q times a constant - p.
    low = finite & (relative >= -1)
    scaled = q * jnp.exp(jnp.where(near, rough_there, 0)) - p
    terms = jnp.where(low, p * expm1(-jnp.where(low, relative, 0)), scaled)
    total = jnp.sum(terms, axis=-1, keepdims=True)
    log_ratio = jnp.where(finite & near, relative + log1p(jnp.where(near, total, 0)), rough)
    centred = relative - jnp.sum(p * relative, axis=-1, keepdims=True)
    return _Pair(p, q, log_ratio, centred, p_gap, q_gap)


@_compare.defjvp
def _(primals: Any, tangents: Any) -> Any:
    pair = _compare(*primals)
    p, q = pair.p, pair.q
    dx, dz, dtemperature = tangents
    inverse, dtemperature = _beside_a_row(1 / primals[2]), _beside_a_row(dtemperature)
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


def _softmax(x: Array, temperature: Array) -> tuple[Array, Array, Array]:
    """The probabilities and surprisals, and how far the logits are below the largest, over the temperature."""
    largest = jnp.max(x, axis=-1, keepdims=True)
    is_largest = (x == largest) & (largest > -jnp.inf)
    ordinary = jnp.isfinite(x) & jnp.isfinite(largest)
    difference, error = two_sum(jnp.where(ordinary, x, 0), jnp.where(ordinary, -largest, 0))
    quotient, lost = _quotient(finite_slope(-difference), temperature)
    far = jnp.where(jnp.isnan(x), x, jnp.where(jnp.isnan(largest), largest, jnp.inf))
    gap = jnp.where(is_largest, 0, jnp.where(ordinary, quotient, far))
    decay = jnp.exp(-gap)
    weight = jnp.where(is_largest, 1, decay * (1 + (error / temperature - lost)))
    ties = jnp.sum(is_largest, axis=-1, keepdims=True).astype(x.dtype) - 1
    others = jnp.sum(jnp.where(is_largest, 0, weight), axis=-1, keepdims=True) + jnp.maximum(ties, 0)
    return weight / (1 + others), gap + jnp.log1p(others), jnp.where(jnp.isfinite(gap), gap, 0)


def _quotient(a: Array, b: Array) -> tuple[Array, Array]:
    """The quotient, and what its rounding takes: by a quotient of half the digits, whose products are exact."""
    info = jnp.finfo(a.dtype)
    half = (info.nmant - 1) // 2
    high, b_high = (jax.lax.reduce_precision(x, info.nexp, half) for x in (a / b, jnp.asarray(b, a.dtype)))
    usable = jnp.isfinite(high)
    high = jnp.where(usable, high, 0)
    rest = (jnp.where(usable, a, 0) - high * b_high) - high * (b - b_high)
    quotient, lost = two_sum(high, rest / b)
    return jnp.where(usable, quotient, jnp.inf), jnp.where(usable, lost, 0)
