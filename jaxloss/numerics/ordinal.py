"""The probability that a logistic variable falls between two thresholds, in the log domain."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import finite_slope, largest_like, log1mexp, ratio, sigmoid, softplus
from jaxloss.numerics.exact import two_sum
from jaxloss.numerics.logits import pick
from jaxloss.types import Array


@jax.jit
def interval_of(thresholds: Array, label: Array) -> tuple[Array, Array]:
    r"""The ends of the interval that a label names among those into which increasing thresholds cut the line.

    $$ (\theta_y, \theta_{y+1}), \qquad \theta_0 = -\infty, \quad \theta_k = \infty $$

    By comparison and sum, as `pick`. A label outside 0 to k - 1 gives NaN for both.

    >>> print(*interval_of(jnp.array([-1.0, 1.0]), jnp.array(0)))
    -inf -1.0
    """
    last = thresholds.shape[-1]
    lower = pick(thresholds, jnp.clip(label - 1, 0, last - 1))
    upper = pick(thresholds, jnp.clip(label, 0, last - 1))
    known = (label >= 0) & (label <= last)
    lower, upper = jnp.where(label == 0, -jnp.inf, lower), jnp.where(label == last, jnp.inf, upper)
    return jnp.where(known, lower, jnp.nan), jnp.where(known, upper, jnp.nan)


@jax.custom_jvp
@jax.jit
def interval_surprisal(x: Array, lower: Array, upper: Array) -> Array:
    r"""The negative log-probability that a logistic variable of mean x falls between two thresholds.

    $$ -\log \left[ \sigma(u - x) - \sigma(l - x) \right]
       = \log(1 + e^{x - u}) + \log(1 + e^{l - x}) - \log(1 - e^{l - u}) $$

    Every term is at least 0, so that nothing cancels in the tails. The slopes in the thresholds are sums of two terms
    of one sign, that in x is the difference of two sigmoids, which is not formed as one. A threshold may be infinite.
    Where both are the same the value is inf, with the largest finite number for slope in both; where the lower one is
    above the upper it is NaN.

    >>> zero, one, infinite = jnp.array(0.0), jnp.array(1.0), jnp.array(jnp.inf)
    >>> print(f"{interval_surprisal(zero, -one, one):.4f} {interval_surprisal(zero, zero, infinite):.4f}")
    0.7719 0.6931
    """
    above, error_above, below, error_below = _distances(x, lower, upper)
    outside = _softplus(-above, -error_above) + _softplus(below, error_below)
    return outside - log1mexp(_width(lower, upper)[0])


@interval_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (x, lower, upper), (dx, dlower, dupper) = primals, tangents
    above, error_above, below, error_below = _distances(x, lower, upper)
    beyond, short = _sigmoid(-above, -error_above), _sigmoid(below, error_below)
    # sigmoid(v) - sigmoid(w) is sigmoid(v) sigmoid(-w) (1 - exp(w - v)).
    everywhere = (above == jnp.inf) & (below == -jnp.inf)
    balance, error = two_sum(-above, jnp.where(everywhere, 0, -below))
    balance = jnp.where(everywhere, 0, balance) + (error - error_above - error_below)
    surplus = -jnp.expm1(-jnp.abs(balance))
    rises = balance >= 0
    slope_x = surplus * jnp.where(rises, beyond * _sigmoid(-below, -error_below), -short * _sigmoid(above, error_above))
    width, error = _width(lower, upper)
    closeness = ratio(jnp.exp(-width), -jnp.expm1(-width))
    closeness = closeness - closeness * (error * (1 + closeness))
    closeness = jnp.where(width == 0, largest_like(width), finite_slope(closeness))
    change = slope_x * dx + (short + closeness) * dlower - (beyond + closeness) * dupper
    return interval_surprisal(x, lower, upper), change


def _distances(x: Array, lower: Array, upper: Array) -> tuple[Array, Array, Array, Array]:
    """Of both thresholds from x, each with what rounding took from it. An infinite one is infinitely far from any x."""
    no_end, no_start = upper == jnp.inf, lower == -jnp.inf
    above, error_above = two_sum(jnp.where(no_end, 0, upper), -x)
    below, error_below = two_sum(jnp.where(no_start, 0, lower), -x)
    # A NaN is not lost where the threshold is infinite.
    nothing = jnp.where(jnp.isnan(x), x, 0)
    above, below = jnp.where(no_end, jnp.inf, above) + nothing, jnp.where(no_start, -jnp.inf, below) + nothing
    error_above, error_below = jnp.where(no_end, 0, error_above), jnp.where(no_start, 0, error_below)
    return above, jax.lax.stop_gradient(error_above), below, jax.lax.stop_gradient(error_below)


def _width(lower: Array, upper: Array) -> tuple[Array, Array]:
    same = lower == upper
    width, error = two_sum(jnp.where(same, 0, upper), -jnp.where(same, 0, lower))
    return width, jax.lax.stop_gradient(error)


def _softplus(x: Array, error: Array) -> Array:
    value = softplus(x)
    return value * (1 + error * ratio(sigmoid(x), value))


def _sigmoid(x: Array, error: Array) -> Array:
    return sigmoid(x) * (1 + error * sigmoid(-x))
