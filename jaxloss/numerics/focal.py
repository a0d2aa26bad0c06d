"""The focal cost of a logit, and the logistic function as its slopes take it."""

from typing import Any

import jax.numpy as jnp

from jaxloss.numerics.safe import finite_slope, multiply_no_nan, power, safe_log, safe_log1p
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array


# A derivative that cancels: 1 - sigmoid. Slopes are made of exp(-x), and values of exp(-|x|): an exponential of both
# would be written to memory on an H100.
@with_slopes(lambda _, x: plain_sigmoid(x), lambda share, x: share * plain_sigmoid(x) * plain_sigmoid(-x))
def share_of_sigmoid(share: Any, x: Array) -> Array:
    """A share of the logistic function."""
    return share / (1 + jnp.exp(-x))


def plain_sigmoid(x: Array) -> Array:
    """The logistic function, for slopes."""
    return share_of_sigmoid(1.0, x)


def log_of(p: Array, complement: Array) -> Array:
    """The logarithm of p, from whichever of p and 1 - p is small."""
    return jnp.where(p < 0.5, safe_log(jnp.where(p < 0.5, p, 1)), safe_log1p(-jnp.where(p < 0.5, 0, complement)))


def slope_in_gamma(p: Array, complement: Array, gamma: Array) -> Array:
    """That of the focal cost of a positive of probability p."""
    slope_of_power = power(complement, gamma) * finite_slope(log_of(complement, p))
    return multiply_no_nan(slope_of_power, -log_of(p, complement))


def _slope_of_focal(x: Array, gamma: Array) -> Array:
    p, complement = plain_sigmoid(x), plain_sigmoid(-x)
    return power(complement, gamma) * (gamma * multiply_no_nan(p, log_of(p, complement)) - complement)


# Derivatives that overflow or cancel in the tails.
@with_slopes(_slope_of_focal, lambda x, gamma: slope_in_gamma(plain_sigmoid(x), plain_sigmoid(-x), gamma))
def focal(x: Array, gamma: Array) -> Array:
    """The cost of a positive at a logit: (1 - p)^gamma times -log p."""
    return sigmoid(-x) ** gamma * softplus(-x)
