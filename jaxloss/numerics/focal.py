"""The cost of a logit, weighed down where the logit is already right: powers of a sigmoid, true in both tails."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope, log1p, multiply_no_nan, power, ratio, sigmoid, softplus
from jaxloss.numerics.exact import two_sum


@jax.custom_jvp
@jax.jit
def modulated_surprisal(logit: Array, gamma: Array) -> Array:
    r"""What a positive costs at a logit, weighed down where it is already probable (the focal factor).

    $$ \sigma(-x)^\gamma \log(1 + e^{-x}), \qquad
       \frac{\partial}{\partial x} = -\sigma(-x)^\gamma \left[ \gamma\sigma(x) \log(1 + e^{-x}) + \sigma(-x) \right] $$

    The power is the exponential of -gamma log(1 + e^x), whose rounding errors are carried along. At inf value and
    gradient are 0; at -inf the value is inf and the gradient -1.

    >>> print(f"{modulated_surprisal(jnp.array(20.0), jnp.array(2.0)):.3e}")
    8.757e-27
    """
    return _modulation(logit, gamma) * softplus(-logit)


@modulated_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logit, gamma), (dx, dgamma) = primals, tangents
    value, cost = modulated_surprisal(logit, gamma), softplus(-logit)
    inner = gamma * multiply_no_nan(sigmoid(logit), cost) + sigmoid(-logit)
    slope_gamma = multiply_no_nan(finite_slope(value), -softplus(logit))
    return value, dx * (-_modulation(logit, gamma) * inner) + dgamma * slope_gamma


@jax.custom_jvp
@jax.jit
def _modulation(logit: Array, gamma: Array) -> Array:
    """The power gamma of sigmoid(-x), which is exp(-gamma softplus(x))."""
    finite = jnp.where(jnp.isinf(logit), 0, logit)
    info = jnp.finfo(logit.dtype)
    # Split in two halves, the steep part of the exponent is an exact product and a small rest.
    ramp, factor = jnp.maximum(finite, 0), gamma + jnp.zeros_like(logit)
    ramp_high, factor_high = (jax.lax.reduce_precision(x, info.nexp, (info.nmant - 1) // 2) for x in (ramp, factor))
    small = factor * (log1p(jnp.exp(-jnp.abs(finite))) + (ramp - ramp_high)) + (factor - factor_high) * ramp_high
    exponent, lost = two_sum(factor_high * ramp_high, small)
    inside = jnp.exp(-exponent)
    inside = inside - inside * lost
    return jnp.where(jnp.isinf(logit), jnp.where((logit < 0) | (gamma == 0), 1, 0), inside)


@_modulation.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logit, gamma), (dx, dgamma) = primals, tangents
    value = _modulation(logit, gamma)
    slope_gamma = multiply_no_nan(value, -softplus(logit))
    return value, dx * (-gamma * sigmoid(logit) * value) + dgamma * slope_gamma


@jax.custom_jvp
@jax.jit
def shifted_surprisal(logit: Array, gamma: Array, shift: Array) -> Array:
    r"""What a negative costs at a logit, its probability shifted down and then the cost weighed by it.

    $$ -p_m^\gamma \log(1 - p_m), \qquad p_m = \max(\sigma(x) - m, 0) $$

    Written with p_m = sigmoid(x) (1 - m - m e^-x), whose first factor keeps its power exact in the tail. Where the
    sigmoid is at most m, value and gradient are 0. At inf the value is that of p_m = 1 - m and the gradient 0; without
    a shift it is inf and 1.

    >>> print(f"{shifted_surprisal(jnp.array(2.0), jnp.array(4.0), jnp.array(0.05)):.4f}")
    0.8464
    """
    active, fraction, _, cost = _shifted(logit, shift)
    weight = _modulation(-logit, gamma) * power(fraction, gamma)
    return jnp.where(active, weight * cost, 0)


@shifted_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logit, gamma, shift), (dx, dgamma, dshift) = primals, tangents
    value = shifted_surprisal(logit, gamma, shift)
    active, fraction, shifted, cost = _shifted(logit, shift)
    weight = _modulation(-logit, gamma) * power(fraction, gamma)
    # -log(1 - p_m) / p_m tends to 1 at 0.
    steep = gamma * jnp.where(shifted == 0, 1, ratio(cost, shifted))

    rises = logit >= 0
    tail = jnp.exp(-jnp.abs(logit))
    left = jnp.where(rises, shift + tail + shift * tail, 1 - shifted)
    reciprocal = ratio(jnp.where(rises, 1 + tail, 1), left)
    kept = jnp.where(left == 0, 1, ratio(jnp.where(rises, tail, sigmoid(-logit)), left))

    slope_x = weight * (sigmoid(logit) * (multiply_no_nan(sigmoid(-logit), steep) + kept))
    slope_shift = finite_slope(-weight * (steep + jnp.where(left == 0, jnp.inf, reciprocal)))
    log_shifted = log1p(-(1 - jnp.where(active, fraction, 1))) - softplus(-jnp.where(active, logit, 0))
    slope_gamma = multiply_no_nan(finite_slope(value), log_shifted)
    slopes = (jnp.where(active, slope, 0) for slope in (slope_x, slope_gamma, slope_shift))
    return value, sum(slope * d for slope, d in zip(slopes, (dx, dgamma, dshift), strict=True))


def _shifted(logit: Array, shift: Array) -> tuple[Array, Array, Array, Array]:
    """Whether the sigmoid is above the shift m, how much of it is left, p_m, and -log(1 - p_m)."""
    unshifted = shift == 0
    below = shift + shift * jnp.exp(-jnp.where(unshifted, 0, jax.lax.stop_gradient(logit)))
    active = ~(below >= 1)
    x = jnp.where(active, logit, 0)
    fraction = jnp.where(active & ~unshifted, 1 - (shift + shift * jnp.exp(-jnp.where(unshifted, 0, x))), 1)
    shifted = sigmoid(x) * fraction
    small = shifted < 0.5
    near = -log1p(-jnp.where(small, shifted, 0))
    # Half the way up and beyond, 1 - p_m is (m + t + m t) / (1 + t) with t = exp(-x).
    tail = jnp.exp(-jnp.where(small, 0, x))
    far = log1p(tail) + jnp.where(unshifted, x, -jnp.log(jnp.where(unshifted, 1, shift + tail + shift * tail)))
    return active, fraction, shifted, jnp.where(small, near, far)
