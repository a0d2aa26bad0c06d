"""The tempered logarithm and softmax, and the divergence that goes with them, smooth through the temperature 1.

With log_t(p) = (p^(1 - t) - 1) / (1 - t), whose inverse has a heavy tail for t > 1 and a bounded support for t < 1.
A probability is a power of its surprisal, which would make of its last digit as many as it is large: so a surprisal has
two words.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import finite_slope, multiply_no_nan, ratio
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.logits import relative, sum_of_others
from jaxloss.numerics.words import (
    Words,
    alone,
    log1p_in_words,
    log_in_words,
    product_in_words,
    quotient_in_words,
    sum_in_words,
)
from jaxloss.types import Array

_STEPS = 8


@jax.jit
def tempered_surprisal(logits: Array, temperature: Array) -> Array:
    r"""The negative log-probability of each class of a tempered softmax.

    $$ -\log p_j = \frac{1}{t - 1} \log(1 + (t - 1)(\lambda - x_j)), \qquad \lambda : \sum_j p_j = 1 $$

    The normaliser is found by Newton's method for the norm, of the order 1 / (1 - t), of what p is a power of. As a
    function of the unknown this is concave for t > 1 and convex for t < 1, so that every step is a safe one. Its
    derivative is that of the equation, not of the steps. At t = 1 it is `surprisal`. For t >= 0.

    >>> first, second = jnp.exp(-tempered_surprisal(jnp.array([2.0, 0.0]), jnp.array(2.0)))
    >>> print(f"{first:.4f} {second:.4f}")
    0.7071 0.2929
    """
    return _surprisal(logits, temperature)[0]


@jax.custom_jvp
@jax.jit
def _surprisal(logits: Array, temperature: Array) -> Words:
    """In two words, the slope all in the first."""
    gap, error, _, _ = relative(logits, None)
    ties = jnp.maximum(jnp.sum(gap == 0, axis=-1, keepdims=True), 1).astype(gap.dtype)
    possible = gap != jnp.inf
    others = possible & (gap != 0)
    gap = jnp.where(possible, gap, 0)
    tau, tau_lost = two_sum(temperature.astype(logits.dtype)[..., None], jnp.full_like(temperature, -1)[..., None])

    def step(_: int, first: Array) -> Array:
        stretched = (gap - error) * jnp.exp(-tau * first)
        weight = jnp.where(others, jnp.exp(-_log1p_over(stretched, tau)), 0)
        total = jnp.sum(weight, axis=-1, keepdims=True)
        kept = jnp.sum(multiply_no_nan(weight, 1 / (1 + multiply_no_nan(tau, stretched))), axis=-1, keepdims=True)
        slope = (ties + kept) / (ties + total)
        excess = jnp.log1p(ties - 1 + total) - first
        return jnp.maximum(first + _log1p_over(_expm1_over(excess, tau) / slope, tau), 0)

    first = jax.lax.fori_loop(0, _STEPS, step, jnp.zeros_like(ties))
    # One step more, in two words, from the p of the first class whose p^(t - 1) has one.
    power = jnp.maximum(jnp.exp(-tau * first), jnp.finfo(gap.dtype).tiny)
    surprise = _over(log_in_words(*alone(power)), (-tau, -tau_lost))
    more, share = _log1p_over_in_words(product_in_words((gap, -error), alone(power)), (tau, tau_lost))
    weight = jnp.where(others, jnp.exp(-more[0]) * (1 - more[1]), 0)
    total = jnp.sum(weight, axis=-1, keepdims=True)
    kept = jnp.sum(multiply_no_nan(weight, share), axis=-1, keepdims=True)
    excess = (jnp.log1p(ties - 1 + total) - surprise[0]) - surprise[1]
    change = excess * ((ties + total) / (ties + kept))
    cost, lost = sum_in_words(surprise, sum_in_words(more, alone(multiply_no_nan(share, change))))
    largest = jnp.log1p(ties - 1 + (total + change * (total - kept)))
    return jnp.where(possible, jnp.where(others, cost, largest), jnp.inf), jnp.where(others, lost, 0)


@_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, temperature), (dx, dt) = primals, tangents
    cost = _surprisal(logits, temperature)
    temperature = temperature.astype(logits.dtype)[..., None]
    tau = two_sum(temperature, jnp.full_like(temperature, -1))
    decay, escort = _power(cost, tau), _power(cost, alone(temperature))
    mass = jnp.sum(escort, axis=-1, keepdims=True)
    bend = finite_slope(_bend(cost[0], tau[0]))
    p = _power(cost, alone(jnp.ones_like(temperature)))
    shift = ratio(jnp.sum(escort * dx - multiply_no_nan(p, bend) * dt[..., None], axis=-1, keepdims=True), mass)
    return cost, alone(decay * (shift - dx) + bend * dt[..., None])


@jax.custom_jvp
@jax.jit
def tempered_divergence(targets: Array, logits: Array, t1: Array, t2: Array) -> Array:
    r"""The divergence of targets from a softmax of temperature t2, by the convex function of the logarithm of t1.

    $$ \sum_j \left[ y_j (\log_{t_1} y_j - \log_{t_1} p_j)
       - \frac{y_j^{2 - t_1} - p_j^{2 - t_1}}{2 - t_1} \right] $$

    Every bracket is at least 0 and is formed from log(y / p), of whose square it is where the two are near. At
    t1 = t2 = 1 it is the relative entropy. The gradient in a target of 0 is taken as 0 at t1 = 1, where it is infinite.

    >>> targets, logits = jnp.array([1.0, 0.0]), jnp.array([2.0, 0.0])
    >>> print(f"{tempered_divergence(targets, logits, jnp.array(1.0), jnp.array(1.0)):.4f}")
    0.1269
    """
    return jnp.sum(_bracket(targets, _surprisal(logits, t2), t1.astype(logits.dtype)[..., None]), axis=-1)


@tempered_divergence.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (targets, logits, t1, t2), (dtargets, dx, dt1, dt2) = primals, tangents
    cost = _surprisal(logits, t2)
    t1_, t2_ = (t.astype(logits.dtype)[..., None] for t in (t1, t2))
    one = jnp.ones_like(t1_)
    delta, tau, more = two_sum(one, -t1_), two_sum(t2_, -one), two_sum(t2_, -t1_)
    p, decay, power = (_power(cost, exponent) for exponent in (alone(one), tau, delta))
    distance = _distance(targets, cost)
    near = (targets != 0) & (distance > -1)
    rest = jnp.where(near, -targets * jnp.expm1(-jnp.where(near, distance, 0)), targets - p)
    pull = rest * _power(cost, more)
    escort = _power(cost, alone(t2_))
    escort = ratio(escort, jnp.sum(escort, axis=-1, keepdims=True))
    pulls = sum_of_others(jnp.maximum(pull, 0)) - sum_of_others(jnp.maximum(-pull, 0))
    slope_x = escort * pulls - pull * sum_of_others(escort)

    level = _power(_surprise(targets), delta)
    small = (targets != 0) & (jnp.abs(multiply_no_nan(delta[0], distance)) < 1)
    relative_change = -_expm1_over(jnp.where(small, -distance, 0), delta[0])
    change = jnp.where(targets != 0, level, 0) - power
    slope_y = jnp.where(small, level * relative_change, ratio(change, delta[0]))

    bend = _bend(cost[0], tau[0])
    along = multiply_no_nan(rest * power, bend)
    shared = ratio(jnp.sum(multiply_no_nan(p, bend), axis=-1), jnp.sum(p * decay, axis=-1))
    slope_t2 = jnp.sum(along, axis=-1) - jnp.sum(pull, axis=-1) * shared

    def of_t1(t1: Array) -> Array:
        return jnp.sum(_bracket(targets, cost, t1.astype(logits.dtype)[..., None]), axis=-1)

    change = jnp.sum(slope_x * dx + finite_slope(slope_y) * dtargets, axis=-1)
    value, change_t1 = jax.jvp(of_t1, (t1,), (dt1,))
    return value, change + change_t1 + finite_slope(slope_t2) * dt2


def _surprise(targets: Array) -> Words:
    """Minus the logarithm of a target; of 0 it is 0."""
    log, lost = log_in_words(*alone(jnp.where(targets != 0, targets, 1)))
    return -log, -lost


def _distance(targets: Array, cost: Words) -> Array:
    """The logarithm of y / p, where there is a target."""
    surprise, lost = _surprise(targets)
    return jnp.where(targets != 0, sum_in_words(cost, (-surprise, -lost))[0], 0)


def _power(cost: Words, exponent: Words) -> Array:
    """Of the probability; where that is 0, it is 0 unless the exponent is."""
    never = cost[0] == jnp.inf
    argument, lost = product_in_words((jnp.where(never, 0, cost[0]), cost[1]), exponent)
    return jnp.where(never, jnp.where(exponent[0] == 0, 1, 0), jnp.exp(-argument) * (1 - lost))


def _bracket(targets: Array, cost: Words, t1: Array) -> Array:
    inside = targets != 0
    distance = _distance(targets, cost)
    delta, exponent = 1 - t1, two_sum(jnp.full_like(t1, 2), -t1)
    near = inside & (jnp.abs(distance) < 2)
    level = _power(_surprise(targets), exponent)
    apart = jnp.where(inside, -_expm1_over(jnp.where(near, 2, -distance), delta) - 1 / (1 + delta), 0)
    tail = _power(cost, exponent) / (1 + delta)
    together = level * _exponentials(jnp.where(near, distance, 0), delta)
    return jnp.where(near, together, jnp.where(inside, multiply_no_nan(level, apart), 0) + tail)


def _exponentials(x: Array, delta: Array) -> Array:
    """The integral of exp(-delta x) (1 - exp(-x)) from 0 to a number up to 2, as a function of its half, h.

    It is 2 exp(-(delta + 1/2) h) (sinh(h/2) (A + B) - cosh(h/2) (A - B)), A = sinh((1 + delta) h) / (1 + delta) and
    B = sinh(delta h) / delta, where less cancels than in its own series.
    """
    h = 0.5 * x
    square, single = h * h, x.dtype == jnp.float32
    factor, power = jnp.ones_like(x), jnp.ones_like(delta)
    difference, differences, sums = jnp.zeros_like(delta), jnp.zeros_like(x), jnp.full_like(x, 2)
    for order in range(1, 8 if single else 14):
        factor = factor * (square / (2 * order * (2 * order + 1)))
        # (1 + delta)^2n - delta^2n, and delta^2n.
        difference, power = difference * jnp.square(1 + delta) + power * (1 + 2 * delta), power * jnp.square(delta)
        differences, sums = differences + factor * difference, sums + factor * (difference + 2 * power)
    half = jnp.ones_like(x)
    for order in range(4 if single else 8, 0, -1):
        half = 1 + 0.25 * square / (2 * order * (2 * order + 1)) * half
    grown = 0.5 * h * half * sums - jnp.cosh(0.5 * h) * differences
    return x * jnp.exp(-(delta + 0.5) * h) * grown


def _over(a: Words, tau: Words) -> Words:
    """The quotient; at tau = 0 it is 0."""
    high, low = quotient_in_words(a, (jnp.where(tau[0] == 0, 1, tau[0]), tau[1]))
    return jnp.where(tau[0] == 0, 0, high), jnp.where(tau[0] == 0, 0, low)


def _log1p_over_in_words(x: Words, tau: Words) -> tuple[Words, Array]:
    """`_log1p_over`, and 1 / (1 + tau x)."""
    product, lost = product_in_words(x, tau)
    inside = (product > -1) | jnp.isnan(product)
    small = jnp.abs(product) < jnp.finfo(product.dtype).eps ** 2
    usual = inside & ~small
    high, low = _over(log1p_in_words(jnp.where(usual, product, 1), jnp.where(usual, lost, 0)), tau)
    high, low = jnp.where(small, x[0], high), jnp.where(small, x[1], low)
    share = 1 / jnp.where(inside, 1 + product, jnp.inf)
    return (jnp.where(inside, high, jnp.inf), jnp.where(inside, low, 0)), share


def _log1p_over(x: Array, tau: Array) -> Array:
    """Of log(1 + tau x) / tau, which at tau = 0 is x; inf where the logarithm has left its domain."""
    product = multiply_no_nan(tau, x)
    inside = (product > -1) | jnp.isnan(product)
    small = (jnp.abs(product) < 1) & (product != 0)
    inner = jnp.where(small, product, 1)
    outer = jnp.log1p(jnp.where(inside, product, 0)) / jnp.where(small | (tau == 0), 1, tau)
    value = jnp.where(product == 0, x, jnp.where(small, x * (jnp.log1p(inner) / inner), outer))
    return jnp.where(inside, value, jnp.inf)


@jax.custom_jvp
def _expm1_over(x: Array, tau: Array) -> Array:
    """Of (exp(tau x) - 1) / tau, which at tau = 0 is x."""
    product = multiply_no_nan(tau, x)
    small = (jnp.abs(product) < 1) & (product != 0)
    inner = jnp.where(small, product, 1)
    outer = jnp.expm1(product) / jnp.where(small | (tau == 0), 1, tau)
    return jnp.where(product == 0, x, jnp.where(small, x * (jnp.expm1(inner) / inner), outer))


@_expm1_over.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (x, tau), (dx, dtau) = primals, tangents
    product = multiply_no_nan(tau, x)
    value = _expm1_over(x, tau)
    small = jnp.abs(product) < 1
    inner = jnp.where(small, product, 0)
    # The sum of (n + 1) z^n / (n + 2)!.
    series, factor = jnp.full_like(inner, 0.5), jnp.full_like(inner, 0.5)
    for order in range(1, 12 if x.dtype == jnp.float32 else 20):
        factor = factor * (inner / (order + 2))
        series = series + (order + 1) * factor
    near = jnp.square(jnp.where(small, x, 0)) * series
    growth = jnp.exp(product)
    outer = multiply_no_nan(growth, jnp.where(small, 0, x)) - jnp.where(small, 0, value)
    slope = jnp.where(small, near, outer / jnp.where(small, 1, tau))
    return value, growth * dx + finite_slope(slope) * dtau


def _bend(cost: Array, tau: Array) -> Array:
    """The slope of log(1 + tau y) / tau in tau, by its value s: of u = tau s, -s^2 (u - 1 + exp(-u)) / u^2.

    It is 0 for a class that has no probability because tau < 0, and goes on having none.
    """
    cost = jnp.where(jnp.isposinf(cost) & (tau < 0), 0, cost)
    product = multiply_no_nan(tau, cost)
    small = jnp.abs(product) < 1
    inner = jnp.where(small, product, 0)
    series, factor = jnp.full_like(inner, 0.5), jnp.full_like(inner, 0.5)
    for order in range(1, 12 if cost.dtype == jnp.float32 else 20):
        factor = factor * (-inner / (order + 2))
        series = series + factor
    near = jnp.square(jnp.where(small, cost, 0)) * series
    safe = jnp.where(small, 1, tau)
    return -jnp.where(small, near, (product + jnp.expm1(-product)) / safe / safe)
