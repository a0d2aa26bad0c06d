"""The cost of a logit, weighed down where the logit is already right: powers of a sigmoid, true in both tails."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope, log1p, multiply_no_nan, sigmoid, softplus
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
