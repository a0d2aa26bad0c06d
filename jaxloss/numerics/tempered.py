"""The tempered logarithm and softmax, and the divergence that goes with them, smooth through the temperature 1.

With log_t(p) = (p^(1 - t) - 1) / (1 - t), whose inverse has a heavy tail for t > 1 and a bounded support for t < 1.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope, multiply_no_nan, safe_log
from jaxloss.numerics.logits import relative, sum_of_others

_STEPS = 12


@jax.custom_jvp
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
    gap, error, _, _ = relative(logits, None)
    gap = gap - error
    ties = jnp.maximum(jnp.sum(gap == 0, axis=-1, keepdims=True), 1).astype(gap.dtype)
    tau = temperature.astype(logits.dtype)[..., None] - 1
    others = gap != 0

    def beyond(first: Array) -> tuple[Array, Array]:
        """How much more surprising than the first class each is, and how fast that falls with the first."""
        stretched = gap * jnp.exp(-tau * first)
        base = 1 + multiply_no_nan(tau, stretched)
        return _log1p_over(stretched, tau), 1 / base

    def step(_: int, first: Array) -> Array:
        more, share = beyond(first)
        weight = jnp.where(others, jnp.exp(-more), 0)
        total = jnp.sum(weight, axis=-1, keepdims=True)
        kept = jnp.sum(multiply_no_nan(weight, share), axis=-1, keepdims=True)
        slope = (ties + kept) / (ties + total)
        excess = jnp.log1p(ties - 1 + total) - first
        return jnp.maximum(first + _log1p_over(_expm1_over(excess, tau) / slope, tau), 0)

    first = jax.lax.fori_loop(0, _STEPS, step, jnp.zeros_like(ties))
    total = jnp.sum(jnp.where(others, jnp.exp(-beyond(first)[0]), 0), axis=-1, keepdims=True)
    first = jnp.log1p(ties - 1 + total)
    return first + jnp.where(others, beyond(first)[0], 0)


@tempered_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logits, temperature), (dx, dt) = primals, tangents
    cost = tempered_surprisal(logits, temperature)
    tau = temperature.astype(logits.dtype)[..., None] - 1
    decay, escort = _power(cost, tau), _power(cost, 1 + tau)
    mass = jnp.sum(escort, axis=-1, keepdims=True)
    bend = finite_slope(_bend(cost, tau))
    shift = jnp.sum(escort * dx - multiply_no_nan(jnp.exp(-cost), bend) * dt[..., None], axis=-1, keepdims=True) / mass
    return cost, decay * (shift - dx) + bend * dt[..., None]


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
    cost = tempered_surprisal(logits, t2)
    return jnp.sum(_bracket(targets, cost, 1 - t1.astype(logits.dtype)[..., None]), axis=-1)


@tempered_divergence.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (targets, logits, t1, t2), (dtargets, dx, dt1, dt2) = primals, tangents
    cost = tempered_surprisal(logits, t2)
    delta, tau = 1 - t1.astype(logits.dtype)[..., None], t2.astype(logits.dtype)[..., None] - 1
    p, decay = jnp.exp(-cost), _power(cost, tau)
    distance = _log_ratio(targets, cost)
    near = (targets != 0) & (distance > -1)
    rest = jnp.where(near, -targets * jnp.expm1(-jnp.where(near, distance, 0)), targets - p)
    pull = rest * _power(cost, delta + tau)
    escort = _power(cost, 1 + tau)
    escort = escort / jnp.sum(escort, axis=-1, keepdims=True)
    pulls = sum_of_others(jnp.maximum(pull, 0)) - sum_of_others(jnp.maximum(-pull, 0))
    slope_x = escort * pulls - pull * sum_of_others(escort)

    inside = targets != 0
    level = jnp.where(inside, targets, 1) ** delta
    at_zero = jnp.where(delta == 0, 0, -_power(cost, delta) / jnp.where(delta == 0, 1, delta))
    slope_y = jnp.where(inside, -level * _expm1_over(jnp.where(inside, -distance, 0), delta), at_zero)

    bend = _bend(cost, tau)
    along = multiply_no_nan(rest * _power(cost, delta), bend)
    shared = jnp.sum(multiply_no_nan(p, bend), axis=-1) / jnp.sum(p * decay, axis=-1)
    slope_t2 = jnp.sum(along, axis=-1) - jnp.sum(pull, axis=-1) * shared

    def of_t1(t1: Array) -> Array:
        return jnp.sum(_bracket(targets, cost, 1 - t1.astype(logits.dtype)[..., None]), axis=-1)

    change = jnp.sum(slope_x * dx + finite_slope(slope_y) * dtargets, axis=-1)
    value, change_t1 = jax.jvp(of_t1, (t1,), (dt1,))
    return value, change + change_t1 + finite_slope(slope_t2) * dt2


def _log_ratio(targets: Array, cost: Array) -> Array:
    """The logarithm of y / p, where there is a target."""
    inside = targets != 0
    return jnp.where(inside, safe_log(jnp.where(inside, targets, 1)) + cost, 0)


def _power(cost: Array, exponent: Array) -> Array:
    """Of the probability; where that is 0, it is 0 unless the exponent is."""
    finite = jnp.where(cost == jnp.inf, 0, cost)
    return jnp.where(cost == jnp.inf, jnp.where(exponent == 0, 1, 0), jnp.exp(-exponent * finite))


def _bracket(targets: Array, cost: Array, delta: Array) -> Array:
    inside = targets != 0
    distance = _log_ratio(targets, cost)
    near = inside & (jnp.abs(distance) < 1)
    # The integral of exp(-delta x) (1 - exp(-x)) from 0 to the distance.
    x = jnp.where(near, distance, 0)
    series = jnp.zeros_like(x)
    factor, difference, power = jnp.ones_like(x), jnp.zeros_like(delta), jnp.ones_like(delta)
    for order in range(1, 16 if targets.dtype == jnp.float32 else 28):
        factor = factor * (-x / (order + 1))
        # (1 + delta)^n - delta^n, and delta^n.
        difference, power = difference * (1 + delta) + power, power * delta
        series = series - factor * difference
    level = jnp.where(inside, targets, 1) ** (1 + delta)
    apart = jnp.where(inside, -_expm1_over(jnp.where(near, 1, -distance), delta) - 1 / (1 + delta), 0)
    tail = _power(cost, 1 + delta) / (1 + delta)
    return jnp.where(near, level * (x * series), jnp.where(inside, multiply_no_nan(level, apart), 0) + tail)


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
    """The slope of log(1 + tau y) / tau in tau, by its value s: of u = tau s, -s^2 (u - 1 + exp(-u)) / u^2."""
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
