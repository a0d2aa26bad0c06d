"""Accelerated failure time: the logarithm of a time, known up to an interval, has a location and a scale."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import exp_remainder, expm1_ratio
from jaxloss.numerics.safe import safe_log
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import log1mexp, softplus
from jaxloss.numerics.special import times_exp
from jaxloss.types import Array, Input


class _Distribution(NamedTuple):
    """Of the standardised log time z: -log f(z), -log F(z), -log(1 - F(z)), and -log(F(z + d) - F(z)).

    The last one takes z, z + d and d, which is more exact than the difference of the others.
    """

    at: Callable[[Array], Array]
    before: Callable[[Array], Array]
    after: Callable[[Array], Array]
    between: Callable[[Array, Array, Array], Array]


def _slope_of_gumbel_before(z: Array) -> Array:
    """-h / (e^h - 1), h = e^z."""
    hazard = jnp.exp(jnp.minimum(z, 7.0))  # beyond, the slope is below the least number of every format
    return jnp.where(z < 7, -jnp.exp(-hazard) / expm1_ratio(-hazard), 0)


@with_slopes(_slope_of_gumbel_before)  # a derivative that overflows
def _gumbel_before(z: Array) -> Array:
    """-log(1 - exp(-e^z)), which is -z where e^z has left the format."""
    return jnp.where(z < -15, -z + 0.5 * jnp.exp(z), -log1mexp(jnp.exp(jnp.maximum(z, -15))))


def _gumbel_after(z: Array) -> Array:
    """e^z, with a finite slope where it is infinite."""
    return times_exp(jnp.ones_like(z), z)


def _gumbel_between(start: Array, end: Array, width: Array) -> Array:
    # exp(-e^z) (1 - exp(-e^(z + d) (1 - e^-d)))
    return _gumbel_after(start) + _gumbel_before(end + log1mexp(width))


def _logistic_between(start: Array, end: Array, width: Array) -> Array:
    # sigmoid(z + d) sigmoid(-z) (1 - e^-d)
    return softplus(-end) + softplus(start) - log1mexp(width)


def _mills(z: Array) -> Array:
    """The slope of -log Phi(-z), which is the hazard of the normal distribution; right in both tails."""
    far = z > 5
    beyond, inside = jnp.where(far, z, 5), jnp.where(far, 0, z)
    fraction = beyond
    for order in range(30, 0, -1):  # Laplace's continued fraction
        fraction = beyond + order / fraction
    density = jnp.exp(-0.5 * jnp.square(inside)) * math.sqrt(2 / math.pi)
    return jnp.where(far, fraction, density / jax.lax.erfc(inside * math.sqrt(0.5)))


@with_slopes(_mills)  # a derivative that cancels
def _normal_after(z: Array) -> Array:
    """-log Phi(-z)."""
    far = z > 5
    beyond, inside = jnp.where(far, z, 5), jnp.where(far, 0, z)
    in_tail = 0.5 * jnp.square(beyond) + 0.5 * math.log(2 * math.pi) + jnp.log(_mills(beyond))
    smaller = 0.5 * jax.lax.erfc(jnp.abs(inside) * math.sqrt(0.5))  # of the two sides
    return jnp.where(far, in_tail, -jnp.where(inside < 0, jnp.log1p(-smaller), jnp.log(smaller)))


def _normal_between(start: Array, end: Array, width: Array) -> Array:
    """By the nearer tail, and what the negative log of its probability gains from one end to the other.

    Over a narrow interval the gain is the integral of its slope (Gauss-Legendre), since the difference would cancel.
    """
    nearer = start + end > 0
    low, high = jnp.where(nearer, start, -end), jnp.where(nearer, end, -start)
    narrow = width < 1
    step = jnp.where(narrow, width, 1)
    quadrature = np.polynomial.legendre.leggauss(6)
    nodes, weights = (jnp.asarray(x / 2, low.dtype).reshape(-1, *[1] * low.ndim) for x in quadrature)
    integral = step * jnp.sum(weights * _mills(low[None] + (nodes + 0.5) * step[None]), axis=0)
    difference = _normal_after(jnp.where(narrow, low + 1, high)) - _normal_after(low)
    return _normal_after(low) - log1mexp(jnp.where(narrow, integral, difference))


_DISTRIBUTIONS: Mapping[str, _Distribution] = {
    "weibull": _Distribution(
        at=lambda z: 1 + exp_remainder(z),
        before=_gumbel_before,
        after=_gumbel_after,
        between=_gumbel_between,
    ),
    "lognormal": _Distribution(
        at=lambda z: 0.5 * jnp.square(z) + 0.5 * math.log(2 * math.pi),
        before=lambda z: _normal_after(-z),
        after=_normal_after,
        between=_normal_between,
    ),
    "loglogistic": _Distribution(
        at=lambda z: softplus(z) + softplus(-z),
        before=lambda z: softplus(-z),
        after=softplus,
        between=_logistic_between,
    ),
}


@custom_loss(stand_in=0.5)
def aft_nll(location: Input, lower: Input, upper: Input, log_scale: Input, *, distribution: str = "weibull") -> Array:
    r"""The negative log-likelihood of a time known up to an interval, whose logarithm has a location and a scale.

    $$ -\log \frac{f(z)}{\sigma t} \text{ at } t = l = u, \qquad
       -\log \left[ F(z_u) - F(z_l) \right] \text{ else}, \qquad
       z = \frac{\log t - \mu}\sigma, \quad \sigma = e^s $$

    Args:
        location: mu, the location of the logarithm of the time, any shape.
        lower: l, the start of the interval in which the event came, >= 0, the shape of `location`.
        upper: u, its end. `lower` = `upper` is an event at that time, `lower` = 0 a left-censored one, `upper` = inf
            a right-censored one.
        log_scale: s, the logarithm of the scale of the logarithm of the time, the shape of `location`.
        distribution: Of the time: "weibull", F(z) = 1 - exp(-e^z); "lognormal", F(z) = Phi(z); "loglogistic",
            F(z) = 1 / (1 + e^-z).

    It is the whole likelihood of the time, with the slope of the logarithm.

    Corners: an interval from 0 to inf costs 0. Right in both tails, with the gradient. `lower` > `upper` gives NaN.

    Raises:
        ValueError: `distribution` is an unknown name.

    Source: Kalbfleisch and Prentice (2002), The statistical analysis of failure time data, sections 2.2 and 3.2.

    >>> import jax.numpy as jnp
    >>> event, censored, interval = (2.0, 2.0), (2.0, jnp.inf), (1.0, 2.0)
    >>> print(*(f"{aft_nll(0.5, *times, jnp.log(0.8)):.6f}" for times in (event, censored, interval)))
    1.501643 1.273073 1.185654
    """
    if distribution not in _DISTRIBUTIONS:
        raise ValueError(f"aft_nll: distribution must be one of {', '.join(_DISTRIBUTIONS)}, got {distribution!r}.")
    law = _DISTRIBUTIONS[distribution]
    from_start, without_end, event = lower == 0, upper == jnp.inf, (lower == upper) & (lower > 0)
    start, end = jnp.where(from_start, 1, lower), jnp.where(without_end, 1, upper)

    def standardised(log_time: Array) -> Array:
        return times_exp(log_time - location, -log_scale)

    z = standardised(jnp.log(start))
    at_event = law.at(z) + log_scale + jnp.log(start)
    bounded = ~(from_start | without_end | event)
    # The width in log time, which a difference of logarithms would lose.
    growth = jnp.where(bounded, (upper - lower) / jnp.where(bounded, lower, 1), 1)
    width = times_exp(jnp.log1p(growth), -log_scale)
    z_end = standardised(safe_log(end))
    censored = jnp.where(from_start, jnp.where(without_end, 0, law.before(z_end)), law.after(z))
    z, z_end = jnp.where(bounded, z, 0), jnp.where(bounded, z_end, 1)
    return jnp.where(event, at_event, jnp.where(bounded, law.between(z, z_end, width), censored))
