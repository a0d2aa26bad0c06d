"""The cost of a logit, weighed down where the logit is already right: powers of a sigmoid, true in both tails."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    log1p,
    multiply_bounded,
    multiply_no_nan,
    power,
    ratio,
    reused,
    sigmoid,
    softplus,
)
from jaxloss.numerics.exact import halves, split, two_sum
from jaxloss.numerics.exponentials import log1p_of_tail
from jaxloss.types import Array

_LOG_2 = 0.6931471805599453


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
    shared, _ = log1p_of_tail(jnp.abs(logit))
    return _modulation(logit, gamma) * (jnp.maximum(-logit, 0) + shared)


@modulated_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logit, gamma), (dx, dgamma) = apart(*primals), tangents
    value, cost, tail = modulated_surprisal(*primals), reused(softplus(-logit)), reused(jnp.exp(-jnp.abs(logit)))
    # The sigmoids of x and of -x, both without their denominator, which is taken once.
    right, wrong = jnp.where(logit >= 0, 1, tail), jnp.where(logit >= 0, tail, 1)
    inner = (gamma * multiply_no_nan(right, cost) + wrong) / (1 + tail)
    slope_gamma = multiply_no_nan(finite_slope(value), -softplus(logit))
    return value, dx * (-_modulation(logit, gamma) * inner) + dgamma * slope_gamma


@jax.custom_jvp
@jax.jit
def _modulation(logit: Array, gamma: Array) -> Array:
    """The power gamma of sigmoid(-x), which is exp(-gamma softplus(x))."""
    finite = jnp.where(jnp.isinf(logit), 0, logit)
    shared, shared_low = log1p_of_tail(jnp.abs(finite))
    cost, cost_low = two_sum(jnp.maximum(finite, 0), shared)
    # Split in two halves, the exponent is an exact product and a small rest.
    (high, low), (gamma_high, gamma_low) = halves(cost), halves(gamma + jnp.zeros_like(logit))
    rest = gamma_high * low + gamma_low * cost + gamma * (cost_low + shared_low)
    exponent, lost = two_sum(gamma_high * high, rest)
    inside = reused(jnp.exp(-exponent))
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
def focal_surprisal(logit: Array, target: Array, gamma: Array, positive_weight: Array, negative_weight: Array) -> Array:
    r"""The cost of a target in [0, 1] at a logit, weighed down where the logit is already right.

    $$ w_+\,y\,\sigma(-x)^\gamma \log(1 + e^{-x}) + w_-\,(1 - y)\,\sigma(x)^\gamma \log(1 + e^x) $$

    Both terms are a `modulated_surprisal`, with its corners; here they share the exponential and the logarithm.

    >>> one = jnp.array(1.0)
    >>> print(f"{focal_surprisal(jnp.array(20.0), one, jnp.array(2.0), one, one):.3e}")
    8.757e-27
    """
    below, above = jnp.maximum(-logit, 0), jnp.maximum(logit, 0)
    shared = jnp.log1p(jnp.exp(-jnp.abs(logit)))
    gammas = halves(gamma + jnp.zeros((), logit.dtype))
    positive = positive_weight * target * _decay(logit, shared, gammas)
    negative = negative_weight * (1 - target) * _decay(-logit, shared, gammas)
    return multiply_bounded(positive, below + shared) + multiply_bounded(negative, above + shared)


@focal_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    dlogit, dtarget, dgamma, dpositive, dnegative = tangents
    logit, target, gamma, positive_weight, negative_weight, one = apart(*primals, jnp.ones((), primals[0].dtype))
    zero = one - 1
    below, above = jnp.maximum(-logit, zero), jnp.maximum(logit, zero)
    tail = jnp.exp(-jnp.abs(logit))
    shared = jnp.log1p(tail)
    gammas = halves(gamma + zero)
    at_positive, at_negative = _decay(logit, shared, gammas, one), _decay(-logit, shared, gammas, one)
    rises = logit >= zero
    # The sigmoids of x and of -x, both without their denominator, which is taken once.
    right, wrong = jnp.where(rises, one, tail), jnp.where(rises, tail, one)

    positive, negative = positive_weight * target, negative_weight * (one - target)
    surprise, relief, large = below + shared, above + shared, 2.0**99 * one
    steep_positive = at_positive * (gamma * (right * jnp.minimum(surprise, large)) + wrong)
    steep_negative = at_negative * (gamma * (wrong * jnp.minimum(relief, large)) + right)
    slope = (negative * steep_negative - positive * steep_positive) / (one + tail)
    # At 0 the two are equally steep: beside it their difference, to first order, with 1 - y not rounded by itself.
    balance = negative_weight - (negative_weight + positive_weight) * target
    flat = jnp.abs(logit) * (one + gamma) < float(jnp.finfo(logit.dtype).eps) ** 0.5 * one
    curvature = jnp.exp2(-gamma) * (gamma * (0.5 * _LOG_2 * (gamma - 1) + 1) + 0.5)
    beside = negative * curvature * jnp.where(flat, logit, zero)
    change = jnp.where(flat, balance * steep_positive / (one + tail) + beside, slope) * dlogit
    slope_target = jnp.zeros_like(logit)
    for weight, sign, decay, cost, exponent, share, dshare in (
        (positive_weight, 1, at_positive, surprise, relief, target, dpositive),
        (negative_weight, -1, at_negative, relief, surprise, one - target, dnegative),
    ):
        term = finite_slope(decay * cost)
        kept = jnp.where((weight * share == 0) & jnp.isinf(cost), 0, term)
        slope_target = slope_target + sign * finite_slope(weight * kept)
        change = change + share * kept * dshare
        change = change + weight * share * multiply_no_nan(term, -exponent) * dgamma
    # Near 0 the costs of the two classes are nearly equal: their difference, of which nothing cancels.
    inside = jnp.where(jnp.abs(logit) < one, logit, zero)
    near = (jnp.abs(logit) < one) & (gamma * jnp.abs(inside) < one)
    spared = jnp.where(near, relief, zero)
    grown = positive_weight * inside + negative_weight * (jnp.expm1(gamma * inside) * spared)
    difference = at_positive * ((positive_weight - negative_weight) * spared - grown)
    return focal_surprisal(*primals), change + jnp.where(near, difference, slope_target) * dtarget


def _decay(logit: Array, shared: Array, gammas: tuple[Array, Array], one: Any = 1.0) -> Array:
    """The exponential of -gamma (max(x, 0) + shared), true to the last digit: an exact product and a rest.

    The ramp is bounded, and written without two bounds, which XLA would merge to a `clamp` that fuses with no sum.
    """
    ramp = 2 * one * jnp.minimum(0.5 * one * jnp.maximum(logit, one - one), 2.0**99 * one)
    high, low = split(ramp, one)
    gamma_high, gamma_low = gammas
    steep = gamma_high * high
    rest = (gamma_high + gamma_low) * shared + (gamma_high * low + gamma_low * ramp)
    exponent = steep + rest
    part = exponent - steep
    lost = (steep - (exponent - part)) + (rest - part)
    inside = jnp.exp(-exponent)
    return inside - inside * lost


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
    active, _, powered, _, cost = _shifted(logit, shift, gamma)
    weight = reused(_modulation(-logit, gamma) * powered)
    return jnp.where(active, weight * cost, 0)


@shifted_surprisal.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (logit, gamma, shift), (dx, dgamma, dshift) = primals, tangents
    (logit,) = apart(logit)
    value = shifted_surprisal(*primals)
    active, taken, powered, shifted, cost = _shifted(logit, shift, gamma)
    weight = reused(_modulation(-logit, gamma) * powered)
    # -log(1 - p_m) / p_m tends to 1 at 0.
    steep = gamma * jnp.where(shifted == 0, 1, ratio(cost, shifted))

    # Where exp(-x) leaves the format its part in the slope, over m, may not: from 61 on in units of exp(-61).
    deep, rises = (logit > 61) & (shift > 0), logit >= 0
    unit = jnp.where(deep, math.exp(-61), 1)
    units = reused(jnp.exp(-(jnp.abs(logit) - jnp.where(deep, 61, 0))))
    tail = unit * units
    left = jnp.where(rises, shift + tail + shift * tail, 1 - shifted)
    reciprocal = ratio(jnp.where(rises, 1 + tail, 1), left)
    right, wrong = (reused(part / (1 + tail)) for part in (jnp.where(rises, 1, tail), jnp.where(rises, units, 1)))
    kept = jnp.where(left == 0, 1, ratio(jnp.where(rises, units, wrong), left))

    slope_x = weight * (right * (multiply_no_nan(wrong, steep) + kept)) * unit
    slope_shift = finite_slope(-weight * (steep + jnp.where(left == 0, jnp.inf, reciprocal)))
    log_shifted = log1p(-taken) - softplus(-jnp.where(active, logit, 0))
    slope_gamma = multiply_no_nan(finite_slope(value), log_shifted)
    slopes = (jnp.where(active, slope, 0) for slope in (slope_x, slope_gamma, slope_shift))
    return value, sum(slope * d for slope, d in zip(slopes, (dx, dgamma, dshift), strict=True))


def _shifted(logit: Array, shift: Array, gamma: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Whether the sigmoid is above the shift m, what share it takes, the power of the rest, p_m, and -log(1 - p_m)."""
    unshifted = shift == 0
    below = shift + shift * jnp.exp(-jnp.where(unshifted, 0, jax.lax.stop_gradient(logit)))
    active = ~(below >= 1)
    x = jnp.where(active, logit, 0)
    shifts = active & ~unshifted
    taken = jnp.where(shifts, shift + shift * jnp.exp(-jnp.where(unshifted, 0, x)), 0)
    fraction, lost = two_sum(jnp.ones_like(x), -taken)
    # A power multiplies what the difference lost in rounding.
    powered = power(fraction, gamma) * (1 + gamma * (lost / fraction))
    # With t = exp(-|x|), p_m / (1 - p_m) is (1 - m - m t) / (t + m + m t), or (t - m - m t) / (1 + m + m t) below 0.
    rises = x >= 0
    tail = reused(jnp.exp(-jnp.where(rises, x, -x)))
    right, wrong = jnp.where(rises, 1, tail), jnp.where(rises, tail, 1)
    kept, left = fraction * right, jnp.where(unshifted, 1, wrong + (shift + shift * tail))
    odds = reused((kept + lost * right) / left)
    whole = reused(1 + odds)
    logarithm = reused(jnp.log(whole)) + reused((odds - (whole - 1)) / whole)
    cost = jnp.where(unshifted, softplus(x), logarithm)
    return active, taken, powered, reused(kept / (1 + tail)), cost
