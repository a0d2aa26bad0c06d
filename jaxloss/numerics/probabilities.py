"""Entropies of a probability in [0, 1], exact at 0 and at 1."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.numerics.elementary import (
    apart,
    finite_slope,
    inlined,
    largest_like,
    log1p,
    multiply_bounded,
    multiply_no_nan,
    power,
    ratio,
    safe_log,
    safe_log1p,
)
from jaxloss.types import Array


def log_probability(p: Array, complement: Array) -> Array:
    """The logarithm of a probability, of whichever of p and 1 - p is small."""
    low = p < 0.5
    return jnp.where(low, safe_log(jnp.where(low, p, 1)), safe_log1p(-jnp.where(low, 0, complement)))


@jax.custom_jvp
@inlined
def binary_surprisal(p: Array, target: Array) -> Array:
    r"""The cross entropy of a target in [0, 1] with the probability p of a one.

    $$ -\left[ y \log p + (1 - y) \log(1 - p) \right], \qquad
       \frac{\partial}{\partial p} = \frac{p - y}{p\,(1 - p)}, \qquad
       \frac{\partial}{\partial y} = \log \frac{1 - p}{p} $$

    Neither slope is formed as the difference of its two terms, which cancel at p = y and at p = 1/2. 0 log 0 = 0. At
    p = y = 0 the gradient in p is 1, at p = y = 1 it is -1, and that in y, truly infinite, is 0. At the other corners
    the value is inf and the gradient the largest finite number of its sign. For p outside [0, 1] the value is NaN.

    >>> wrong, right = jnp.array(0.0), jnp.array(1.0)
    >>> print(binary_surprisal(wrong, right), jax.grad(binary_surprisal)(right, right))
    inf -1.0
    """
    # With no weight of theirs, the logarithms of 0 are those of the least number.
    tiny, eps = float(jnp.finfo(p.dtype).tiny), float(jnp.finfo(p.dtype).epsneg)
    log = jnp.log(p + (tiny - tiny * jnp.sign(target)))
    log_complement = log1p((eps - eps * jnp.sign(1 - target)) - p)
    return -(target * log + (1 - target) * log_complement)


@binary_surprisal.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    (p, target, one), (dp, dtarget) = apart(*primals, jnp.ones((), primals[0].dtype)), tangents
    variance = p * (one - p)
    # At 0 as 1 / (1 - p), at 1 as -1 / p, also in what comes of another derivative.
    at_an_end = jnp.where(p == target, one + p - 3 * target, jnp.sign(p - target) * largest_like(p))
    slope_p = jnp.where(variance == 0, at_an_end, (p - target) / jnp.where(variance == 0, one, variance))

    near = jnp.abs(p - 0.5) < 0.25
    middle, outer = jnp.where(near, p, 0.5), jnp.where(near, 0.5, p)
    log_odds = jnp.where(near, log1p(ratio(1 - 2 * middle, middle)), safe_log1p(-outer) - safe_log(outer))
    slope_target = jnp.where((p == target) & jnp.isinf(log_odds), 0, finite_slope(log_odds))
    return binary_surprisal(*primals), slope_p * dp + slope_target * dtarget


@jax.custom_jvp
@inlined
def modulated_binary_surprisal(
    p: Array, target: Array, gamma: Array, positive_weight: Array, negative_weight: Array
) -> Array:
    r"""The `binary_surprisal`, both of its terms weighed, and weighed down where the probability is already right.

    $$ -w_+\,y\,(1 - p)^\gamma \log p - w_-\,(1 - y)\,p^\gamma \log(1 - p) $$

    At the right end the value is 0, and the gradient in p is 0, or what that of the logarithm is if gamma is 0; at the
    wrong end the value is inf and the gradient the largest finite number of its sign.

    >>> one = jnp.array(1.0)
    >>> print(f"{modulated_binary_surprisal(jnp.array(0.9), one, jnp.array(2.0), one, one):.5f}")
    0.00105
    """
    (one,) = apart(jnp.ones((), p.dtype))
    positive = positive_weight * target * (one - p) ** gamma
    negative = negative_weight * (one - target) * p**gamma
    return multiply_bounded(positive, -jnp.log(p)) + multiply_bounded(negative, -log1p(-p))


@modulated_binary_surprisal.defjvp
@inlined
def _(primals: Any, tangents: Any) -> Any:
    dp, dtarget, dgamma, dpositive, dnegative = tangents
    # But not gamma, whose power may be a square.
    p, target, positive_weight, negative_weight, one = apart(*primals[:2], *primals[3:], jnp.ones((), primals[0].dtype))
    gamma = primals[2]
    change = jnp.zeros_like(p)
    for q, complement, cost, cost_of_complement, weight, share, dweight, sign in (
        (p, one - p, -safe_log(p), -safe_log1p(-p), positive_weight, target, dpositive, 1),
        (one - p, p, -safe_log1p(-p), -safe_log(p), negative_weight, one - target, dnegative, -1),
    ):
        factor = power(complement, gamma)
        # -log p / (1 - p) tends to 1 at p = 1, so that no power below zero of 1 - p is ever formed.
        steepness = jnp.where(complement == 0, 1, ratio(jnp.where(q == 0, 0, cost), complement))
        slope = jnp.where(q == 0, largest_like(q), factor * (ratio(jnp.ones_like(q), q) + gamma * steepness))
        term = finite_slope(multiply_no_nan(factor, cost))
        change = change - weight * share * slope * sign * dp
        kept = jnp.where((weight * share == 0) & (q == 0), 0, term)
        change = change + kept * (share * dweight + sign * weight * dtarget)
        # log(1 - p) is 0 where log p is infinite, and the other way round.
        inside = (q > 0) & (complement > 0)
        change = (
            change - weight * share * (jnp.where(inside, term, 0) * jnp.where(inside, cost_of_complement, 0)) * dgamma
        )
    return modulated_binary_surprisal(*primals), change
