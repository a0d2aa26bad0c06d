"""The Renyi divergence of distributions, true at and near its limit of order 1, where it is the relative entropy."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import finite_slope, log1p, multiply_no_nan, ratio, safe_log
from jaxloss.numerics.exact import exact_sum, grid_above, on_grid, residual, two_sum
from jaxloss.numerics.exponentials import expm1
from jaxloss.numerics.probabilities import log_ratio
from jaxloss.types import Array


@jax.custom_jvp
@jax.jit
def renyi(p: Array, q: Array, alpha: Array) -> Array:
    r"""The Renyi divergence of order alpha over the last axis; at alpha = 1 the relative entropy.

    $$ \frac{1}{\alpha - 1} \log S = \frac{\log(1 + (\alpha - 1) N)}{\alpha - 1}, \qquad
       S = \sum_j p_j^\alpha q_j^{1 - \alpha}, \qquad N = \frac{S - 1}{\alpha - 1} $$

    N has a limit at alpha = 1, and is summed without cancellation between its terms where p and q are near. The
    gradient in p is alpha / (alpha - 1) (p/q)^(alpha - 1) / S, and 0 at p = 0; in q it is -(p/q)^alpha / S, and 0 at
    q = 0 for alpha < 1. At q = 0 < p and alpha >= 1 the value is inf.

    >>> p, q = jnp.array([0.5, 0.5]), jnp.array([0.25, 0.75])
    >>> print([f"{renyi(p, q, jnp.array(alpha)):.4f}" for alpha in (0.999, 1.0, 1.001)])
    ['0.1437', '0.1438', '0.1440']
    """
    order = _beside(alpha, p)
    excess = alpha - 1
    scaled, reference, impossible = _powers(p, q, order)
    directly = ratio(safe_log(jnp.sum(p * scaled, axis=-1)), excess) + jnp.squeeze(reference, -1)
    surplus = _surplus(p, q, order, scaled, reference == 0)
    logarithm = excess * surplus
    far = jnp.abs(logarithm) > 0.5
    small = jnp.where(far, 0, logarithm)
    limit = jnp.where(small == 0, 1, ratio(log1p(small), small)) * surplus
    return jnp.where(impossible, jnp.inf, jnp.where(far & (excess != 0), directly, limit))


@renyi.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (p, q, alpha), (dp, dq, dalpha) = primals, tangents
    value = renyi(p, q, alpha)
    order = _beside(alpha, p)
    excess = order - 1
    scaled, _, _ = _powers(p, q, order)
    total = jnp.sum(p * scaled, axis=-1, keepdims=True)
    tilt = jnp.where(excess == 0, 1, ratio(scaled, total))
    log = log_ratio(p, q)
    slope_p = jnp.where(excess == 0, log + 1, ratio(order, excess) * tilt)
    quotient = jnp.where(q == 0, jnp.inf, ratio(p, q))
    at_zero = jnp.where(order == 0, ratio(jnp.ones_like(total), total), 0)
    slope_q = -jnp.where((q == 0) & (excess < 0), at_zero, multiply_no_nan(tilt, quotient))
    slope_p, slope_q = (finite_slope(jnp.where(p == 0, 0, slope)) for slope in (slope_p, slope_q))
    return value, jnp.sum(slope_p * dp + slope_q * dq, axis=-1) + _slope_in_order(p, log, tilt, value, alpha) * dalpha


def _powers(p: Array, q: Array, order: Array) -> tuple[Array, Array, Array]:
    """(p / q)^(order - 1), over that of a reference whose logarithm is given too; and whether the sum is infinite."""
    excess, excess_lost = two_sum(order, jnp.full_like(order, -1))
    present = p != 0
    apart = present & (q != 0)
    p, q_apart = jnp.where(apart, p, 1), jnp.where(apart, q, 1)
    quotient = ratio(p, q_apart)
    largest = jax.lax.stop_gradient(jnp.max(quotient, axis=-1, keepdims=True))
    beyond = excess * safe_log(largest) > 0.7 * jnp.log(jnp.finfo(p.dtype).max)
    reference = jnp.where(beyond, largest, 1)
    base = quotient / reference
    # What the quotients lost in rounding, which a high power multiplies, and the order less 1, which a far base does.
    lost = _lost_of_quotient(p, quotient, q_apart) + ratio(residual(quotient, base, reference), quotient)
    lost = excess * lost + multiply_no_nan(excess_lost, safe_log(base))
    # A NaN in q beside p = 0 stays one.
    unused = jnp.where(q >= 0, 0, q)
    powers = jnp.where(apart, base**excess * (1 + lost), unused)
    impossible = jnp.any(present & (q == 0), axis=-1) & jnp.squeeze(jnp.broadcast_to(excess >= 0, beyond.shape), -1)
    return powers, safe_log(reference), impossible


def _lost_of_quotient(p: Array, quotient: Array, q: Array) -> Array:
    """In units of it, what rounding took from p / q; the smaller factor is raised, so that no part underflows."""
    scale = 2.0 ** (jnp.finfo(p.dtype).maxexp // 2)
    unit = jnp.where(jnp.minimum(p, q) < 1 / scale, scale, 1).astype(p.dtype)
    by_q = q < quotient
    lost = residual(unit * p, jnp.where(by_q, 1, unit) * quotient, jnp.where(by_q, unit, 1) * q)
    return ratio(lost, unit * p)


def _surplus(p: Array, q: Array, order: Array, powers: Array, known: Array) -> Array:
    """The sum of p (p / q)^e - 1 over e = order - 1; at e = 0 that of p log(p / q). The powers serve where known.

    Of a term with p near q, p - q is taken: what is left is of the size of its square, p l (f(e l) - f(-l)) with the
    log ratio l and f(x) = (exp(x) - 1) / x, whose divided difference is a series of positive weights. The differences
    are added exactly, as is what p misses of a sum of 1.
    """
    excess = order - 1
    log = log_ratio(p, q)
    gone = jnp.isinf(log)  # the power of p / 0
    log = jnp.where(gone, 0, log)
    power = excess * log
    near = (p > 0) & ~gone & (jnp.abs(log) < 0.69) & (jnp.abs(power) < 1)
    u, v = jnp.where(near, power, 0), jnp.where(near, -log, 0)
    symmetric, power_of_v, weight = jnp.ones_like(p), jnp.ones_like(p), 0.5
    series = weight * symmetric
    for order_of_term in range(2, 13 if jnp.finfo(p.dtype).nmant < 30 else 21):
        power_of_v = power_of_v * v
        symmetric = u * symmetric + power_of_v
        weight = weight / (order_of_term + 1)
        series = series + weight * symmetric
    square = p * (order * v * v) * series
    grown = jnp.where(gone, -1, jnp.where((jnp.abs(power) < 1) | ~known, expm1(power), powers - 1))
    far = jnp.where(excess == 0, log, ratio(grown, jnp.broadcast_to(excess, p.shape)))
    terms = jnp.where(near, square, p * far)
    differences = exact_sum(jnp.where(near, p - q, 0))
    missing = _beyond_one(p)
    return jnp.sum(terms, axis=-1) + (differences + ratio(missing, jnp.squeeze(excess, -1)))


def _slope_in_order(p: Array, log: Array, tilt: Array, value: Array, alpha: Array) -> Array:
    """The relative entropy of the tilted distribution from p, over (alpha - 1)^2; at alpha = 1 half the variance."""
    excess = alpha - 1
    beside = _beside(excess, p)
    away = jnp.where((p == 0) | jnp.isinf(log), 0, log - jnp.expand_dims(jnp.where(jnp.isinf(value), 0, value), -1))
    exponent = beside * away
    near = jnp.abs(exponent) < 1
    small = jnp.where(near, exponent, 0)
    # (x exp(x) - exp(x) + 1) / x^2 is the sum of (n + 1) x^n / (n + 2)!.
    factorial, power, series = 1.0, jnp.ones_like(p), jnp.zeros_like(p)
    for n in range(12 if jnp.finfo(p.dtype).nmant < 30 else 20):
        factorial = factorial * (n + 2) if n else 2.0
        series = series + ((n + 1) / factorial) * power
        power = power * small
    close = p * (away * away) * series
    squared = jnp.broadcast_to(beside * beside, p.shape)
    far = ratio(p * (tilt * exponent - tilt + 1), squared)
    missing = -_beyond_one(p)
    slope = jnp.sum(jnp.where(near & ~jnp.isinf(log), close, far), axis=-1) + ratio(missing, excess * excess)
    return jnp.where(jnp.isinf(value), 0, slope)


def _beyond_one(p: Array) -> Array:
    """The sum of p minus 1, as by `exact_sum` of p and -1, without joining them, which a sharded axis forbids.

    Of probabilities that were rounded nothing but roundings may be left: so two grids, and the sums on both are exact.
    """
    bound = 2 * (p.shape[-1] + 1) * jnp.maximum(jnp.max(p, axis=-1, keepdims=True, initial=0), 1)
    high = on_grid(p, jax.lax.reduce_precision(bound, jnp.finfo(p.dtype).nexp, 0))
    middle = on_grid(p - high, grid_above(jnp.abs(p - high)))
    return ((jnp.sum(high, axis=-1) - 1) + jnp.sum(middle, axis=-1)) + jnp.sum((p - high) - middle, axis=-1)


def _beside(alpha: Array, p: Array) -> Array:
    """The order, shaped to meet the rows."""
    alpha = jnp.asarray(alpha, p.dtype)
    return jnp.expand_dims(alpha, -1) if alpha.ndim else jnp.broadcast_to(alpha, (*p.shape[:-1], 1))
