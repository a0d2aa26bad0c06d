"""The tempered softmax and the divergence that goes with it, smooth through the temperature 1.

With log_t(p) = (p^(1 - t) - 1) / (1 - t), whose inverse has a heavy tail for t > 1 and a bounded support for t < 1.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.classes import is_at
from jaxloss.numerics.remainders import exp_remainder_ratio, expm1_ratio, log1p_ratio
from jaxloss.numerics.safe import finite_slope, multiply_no_nan, power, ratio
from jaxloss.numerics.slopes import with_slopes
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
    is_top = is_at(logits, jnp.argmax(logits, axis=-1))
    possible = logits > -jnp.inf
    gap = jnp.where(is_top, 0, jnp.where(possible, largest, 0) - jnp.where(possible, logits, 0))

    def beyond_top(of_top: Array) -> tuple[Array, Array]:
        """The surprisal of each class less that of the top, and the slope that its logarithm has there."""
        stretched = gap * jnp.exp(-tau * of_top)
        base = 1 + tau * stretched
        inside = possible & ~(base <= 0)
        stretched = jnp.where(inside, stretched, 0)
        return jnp.where(inside, stretched * log1p_ratio(tau * stretched), jnp.inf), jnp.where(inside, base, jnp.inf)

    def step(_: int, of_top: Array) -> Array:
        """One of Newton's method for the norm of the order 1 / (1 - t), which never goes too far."""
        beyond, base = beyond_top(of_top)
        weight = jnp.where(is_top, 0, jnp.exp(-beyond))
        total = jnp.sum(weight, axis=-1, keepdims=True)
        slope = (1 + jnp.sum(weight / base, axis=-1, keepdims=True)) / (1 + total)
        excess = jnp.log1p(total) - of_top
        change = excess * expm1_ratio(tau * excess) / slope
        return jnp.maximum(of_top + change * log1p_ratio(tau * change), 0)

    of_top = jax.lax.fori_loop(0, _STEPS, step, jnp.zeros_like(largest))
    beyond, _ = beyond_top(of_top)
    of_top = jnp.log1p(jnp.sum(jnp.where(is_top, 0, jnp.exp(-beyond)), axis=-1, keepdims=True))
    return jnp.where(possible, of_top + beyond, jnp.inf)


_STEPS = 9


@tempered_surprisal.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # An implicit solve.
    (logits, temperature), (dx, dt) = primals, tangents
    cost = tempered_surprisal(logits, temperature)
    tau = temperature - 1
    finite = jnp.where(jnp.isposinf(cost), 0, cost)
    p, decay, escort = (jnp.where(jnp.isposinf(cost), 0, jnp.exp(-t * finite)) for t in (1, tau, temperature))
    # The slope in t of log(1 + (t - 1) y) / (t - 1), by its value.
    bend = -jnp.square(finite) * exp_remainder_ratio(-tau * finite) * dt
    # A shift of all changes nothing. Relative to the top, nothing of the size of 1 is left to cancel.
    is_top = is_at(logits, jnp.argmax(logits, axis=-1))
    dx = jnp.where(is_top, 0, dx - jnp.sum(jnp.where(is_top, dx, 0), axis=-1, keepdims=True))
    shift = ratio(jnp.sum(escort * dx - p * bend, axis=-1, keepdims=True), jnp.sum(escort, axis=-1, keepdims=True))
    return cost, decay * (shift - dx) + bend


def _parts(target: Array, cost: Array) -> tuple[Array, Array, Array]:
    """Whether both y and p are there, log(y / p) where they are, and p."""
    both = (target != 0) & ~jnp.isposinf(cost)
    log = jnp.where(both, jnp.log(jnp.where(target != 0, target, 1)) + jnp.where(both, cost, 0), 0)
    return both, log, jnp.exp(-cost)


def _slope_in_target(target: Array, cost: Array, delta: Array) -> Array:
    both, log, p = _parts(target, cost)
    small = both & (jnp.abs(delta * log) < 1)
    apart = ratio(power(target, delta) - power(p, delta), delta)
    slope = jnp.where(small, power(target, delta) * log * expm1_ratio(-delta * jnp.where(small, log, 0)), apart)
    return finite_slope(jnp.where((target == 0) & (delta == 0), 0, slope))


def _slope_in_cost(target: Array, cost: Array, delta: Array) -> Array:
    both, log, p = _parts(target, cost)
    near = both & (jnp.abs(log) < 1)
    rest = jnp.where(near, -target * jnp.expm1(-jnp.where(near, log, 0)), target - p)
    return rest * power(p, delta)


def _slope_in_delta(target: Array, cost: Array, delta: Array) -> Array:
    def bracket(delta: Array) -> Array:
        return _bracket(target, cost, delta)

    return finite_slope(jax.jvp(bracket, (delta,), (jnp.ones_like(delta),))[1])


def _bracket(target: Array, cost: Array, delta: Array) -> Array:
    both, log, p = _parts(target, cost)
    near = both & (jnp.abs(log) < 1)
    level, inside = power(target, 1 + delta), jnp.where(near, log, 0)
    # y^(1 + d) times the integral of exp(-d s) (1 - exp(-s)) from 0 to log(y / p): log^2 times a series in its
    # multiples by d and by 1 + d.
    u, v = -delta * inside, -(1 + delta) * inside
    symmetric, power_of_v, series = jnp.ones_like(log), jnp.ones_like(log), jnp.full_like(log, 0.5)
    for order in range(3, 16 if log.dtype == jnp.float32 else 28):
        power_of_v = power_of_v * v
        symmetric = u * symmetric + power_of_v
        series = series + symmetric * (1 / math.factorial(order))
    close = level * jnp.square(inside) * series
    logs = jnp.where(both, log * expm1_ratio(-delta * log), jnp.where(delta == 0, jnp.inf, ratio(1, delta)))
    apart = multiply_no_nan(level, logs) + (power(p, 1 + delta) - level) / (1 + delta)
    return jnp.where(near, close, apart)


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
