"""The tempered softmax and the divergence that goes with it, smooth through the temperature 1.

With log_t(p) = (p^(1 - t) - 1) / (1 - t), whose inverse has a heavy tail for t > 1 and a bounded support for t < 1.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.remainders import exp_remainder_ratio, expm1_ratio
from jaxloss.numerics.safe import finite_slope, multiply_no_nan, ratio
from jaxloss.numerics.slopes import moves, with_slopes
from jaxloss.numerics.softmax import change_of_log_probabilities
from jaxloss.types import Array


@jax.custom_jvp
def tempered_surprisal(logits: Array, temperature: Array) -> Array:
    r"""The negative log-probability of each class of a tempered softmax, over the last axis.

    $$ -\log p_j = \frac{1}{t - 1} \log(1 + (t - 1)(\lambda - x_j)), \qquad \lambda : \sum_j p_j = 1 $$

    At t = 1 it is that of softmax. For t >= 0, a number. inf where a class has no probability, with gradient 0.

    >>> first, second = jnp.exp(-tempered_surprisal(jnp.array([2.0, 0.0]), jnp.array(2.0)))
    >>> print(f"{first:.4f} {second:.4f}")
    0.7071 0.2929
    """
    tau = temperature - 1
    largest = jnp.max(logits, axis=-1, keepdims=True)
    possible = logits != -jnp.inf
    gap = jnp.where(possible & (logits != largest), largest - logits, 0)
    divisor = jnp.where(tau == 0, 1, tau)

    def beyond_top(of_top: Array) -> tuple[Array, Array]:
        """What the surprisal of each class is more than that of the top, and p^(1 - t) relative to it."""
        stretched = gap * jnp.exp(-tau * of_top)
        base = tau * stretched
        return jnp.where(tau == 0, stretched, jnp.log1p(jnp.maximum(base, -1)) / divisor), 1 + base

    def step(_: int, of_top: Array) -> Array:
        """One step of Newton for log(sum p) = 0, which after the first one never goes too far."""
        beyond, base = beyond_top(of_top)
        weight = jnp.where(possible, jnp.exp(-beyond), 0)
        is_far = weight < 0.5
        near, far = (jnp.sum(jnp.where(of, weight, 0), axis=-1, keepdims=True) for of in (~is_far, is_far))
        others = far + jnp.where(near < 1.25, 0, near - 1)  # of one near class, the top
        slope = jnp.sum(jnp.where(weight > 0, weight / base, 0), axis=-1, keepdims=True)
        return jnp.maximum(of_top + (jnp.log1p(others) - of_top) * (1 + others) / slope, 0)

    of_top = jax.lax.fori_loop(0, 12, step, jnp.zeros_like(largest))
    return jnp.where(possible, beyond_top(of_top)[0] + of_top, jnp.inf)


@functools.partial(tempered_surprisal.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    # An implicit solve.
    (logits, temperature), (dx, dt) = primals, tangents
    cost = tempered_surprisal(logits, temperature)
    possible = cost < jnp.inf
    finite = jnp.where(possible, cost, 0)
    decay, escort = (jnp.where(possible, jnp.exp(-t * finite), 0) for t in (temperature - 1, temperature))
    # The slope in t of log(1 + (t - 1) y) / (t - 1), by its value.
    bend = jnp.zeros_like(cost)
    if moves(dt):
        bend = -jnp.square(finite) * exp_remainder_ratio((1 - temperature) * finite) * dt
    dx = dx if moves(dx) else jnp.zeros_like(cost)
    total = jnp.sum(escort, axis=-1, keepdims=True)
    moved = ratio(jnp.sum(jnp.exp(-cost) * bend, axis=-1, keepdims=True), total)
    return cost, bend - decay * (change_of_log_probabilities(ratio(escort, total), dx)[0] + moved)


def _log_of_quotient(target: Array, cost: Array) -> tuple[Array, Array, Array]:
    """Whether both y and p are there, log y, and log(y / p) where both are."""
    both = (target > 0) & (cost < jnp.inf)
    log_target = jnp.log(jnp.where(target == 0, 1, target))
    return both, log_target, jnp.where(both, log_target + cost, 0)


def _power_of_p(cost: Array, exponent: Array) -> Array:
    return jnp.exp(-exponent * jnp.minimum(cost, jnp.finfo(cost.dtype).max))


def _slope_in_target(target: Array, cost: Array, delta: Array) -> Array:
    both, log_target, log = _log_of_quotient(target, cost)
    level = jnp.exp(delta * log_target)
    small = both & (jnp.abs(delta * log) < 1)
    apart = ratio(jnp.where(target == 0, 0, level) - _power_of_p(cost, delta), delta)
    slope = jnp.where(small, level * log * expm1_ratio(-delta * jnp.where(small, log, 0)), apart)
    return finite_slope(jnp.where((target == 0) & (delta == 0), 0, slope))


def _slope_in_cost(target: Array, cost: Array, delta: Array) -> Array:
    both, _, log = _log_of_quotient(target, cost)
    near = both & (jnp.abs(log) < 1)
    rest = jnp.where(near, -target * jnp.expm1(-jnp.where(near, log, 0)), target - jnp.exp(-cost))
    return rest * _power_of_p(cost, delta)


def _slope_in_delta(target: Array, cost: Array, delta: Array) -> Array:
    return finite_slope(jax.jvp(functools.partial(_bracket, target, cost), (delta,), (jnp.ones_like(delta),))[1])


def _bracket(target: Array, cost: Array, delta: Array) -> Array:
    both, log_target, log = _log_of_quotient(target, cost)
    level = target * jnp.exp(delta * log_target)
    # y^(1 + d) times the integral of exp(-d s) (1 - exp(-s)) from 0 to log(y / p): log^2 times a series in its
    # multiples by d and by 1 + d.
    near = jnp.clip(log, -0.5, 0.5)
    u, v = -delta * near, -(1 + delta) * near
    symmetric, power_of_v, series = v * 0 + 1, v * 0 + 1, v * 0 + 0.5
    for order in range(3, 11 if log.dtype == jnp.float32 else 20):
        power_of_v = power_of_v * v
        symmetric = u * symmetric + power_of_v
        series = series + symmetric * (1 / math.factorial(order))
    logs = jnp.where(both, log * expm1_ratio(-delta * log), jnp.where(delta == 0, jnp.inf, ratio(1, delta)))
    apart = multiply_no_nan(level, logs) + (_power_of_p(cost, 1 + delta) - level) / (1 + delta)
    return jnp.where(both & (log == near), level * jnp.square(near) * series, apart)


@with_slopes(_slope_in_target, _slope_in_cost, _slope_in_delta)  # a derivative that cancels where p is near y
def tempered_bracket(target: Array, cost: Array, delta: Array) -> Array:
    r"""The tempered divergence of a target y from a probability p, by the surprisal -log p and delta = 1 - t.

    $$ y\,(\log_t y - \log_t p) - \frac{y^{2 - t} - p^{2 - t}}{2 - t} $$

    At least 0. Where p is near y it is of the size of the square of their difference, and so formed. At t = 1 the
    gradient in a target of 0, truly infinite, is 0, and a target beside p = 0 costs inf.

    >>> print(f"{tempered_bracket(jnp.array(1.0), jnp.array(0.6931472), jnp.array(0.0)):.4f}")
    0.1931
    """
    return _bracket(target, cost, delta)
