"""Negative log-likelihoods of counts, constants included, rates and dispersions in the log domain."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import exp_remainder, expm1
from jaxloss.numerics.safe import finite_slope, multiply_no_nan, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.numerics.special import (
    HALF_LOG_2PI,
    digamma_of_successor,
    log_factorial_ratio,
    scaled_stirling_slope,
    stirling_remainder,
    times_exp,
)
from jaxloss.types import Array, Input, Interval


def _few_and_many(count: Array) -> tuple[Array, Array, Array]:
    """Whether a count is below 1, the count if so, and the count if not (negative ones too, whose logarithm is NaN)."""
    few = (count >= 0) & (count < 1)
    return few, jnp.where(few, count, 0), jnp.where(few, 1, count)


def _poisson_in_count(log_rate: Array, count: Array) -> Array:
    """The digamma function of k + 1, less x."""
    few, small, many = _few_and_many(count)
    digamma = jnp.log(many) + (0.5 + scaled_stirling_slope(many)) / many
    slope = jnp.where(few, digamma_of_successor(small), digamma) - log_rate
    return jnp.where((count == 0) & (log_rate == -jnp.inf), 0, finite_slope(slope))


def _count_cost(log_rate: Array, log_excess: Array, count: Array) -> Array:
    r"""The cost of a count of given rate. From k = 1 on it is, with t = log(rate / k) and the Stirling remainder delta,

    $$ k (e^t - 1 - t) + \tfrac12 \log 2 \pi k + \delta(k) $$

    three terms >= 0 (Loader 2000). The sum of the definition cancels where the rate is near a large count.
    """
    few, small, many = _few_and_many(count)
    excess = jnp.where(few, 0, many) * exp_remainder(jnp.where(few, 0, log_excess))
    saddle = excess + (HALF_LOG_2PI + 0.5 * jnp.log(many) + stirling_remainder(many))
    linear = jnp.exp(log_rate) + multiply_no_nan(small, log_factorial_ratio(small) - log_rate)
    return jnp.where(few, linear, saddle)


@with_slopes(lambda log_rate, count: finite_slope(jnp.exp(log_rate) - count), _poisson_in_count)  # slopes that cancel
def _poisson(log_rate: Array, count: Array) -> Array:
    return _count_cost(log_rate, log_rate - jnp.log(_few_and_many(count)[2]), count)


@custom_loss(stand_in=0.5)
def poisson_nll(log_rate: Input, target: Input) -> Array:
    r"""The negative log-likelihood of a Poisson distribution, with the factorial.

    $$ e^x - y x + \log y! $$

    Args:
        log_rate: x, the logarithm of the predicted rate, any shape; -inf is the rate 0.
        target: Counts >= 0, the shape of `log_rate`. One between the integers is taken by the gamma function.

    Corners: no rate and no count cost 0, with gradient 0; no rate and a count cost inf, with gradient -y in x. A
    negative target gives NaN.

    Source: Nelder and Wedderburn (1972), Generalized linear models; its stable form: Loader (2000), Fast and accurate
    computation of binomial probabilities, its saddle-point expansion.

    >>> import jax.numpy as jnp
    >>> print(f"{poisson_nll(jnp.log(3.0), 5):.4f}")  # with Stirling's formula for the factorial, 2.2778
    2.2944
    """
    return _poisson(log_rate, target)


def _shape(log_dispersion: Array) -> Array:
    """The shape r = 1 / alpha."""
    return finite_slope(jnp.exp(-log_dispersion))


def _log_growth(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    """The logarithm H of (r + mu) / (r + k)."""
    return softplus(log_mean + log_dispersion) - _log1p_spread(count, log_dispersion)


def _log1p_spread(count: Array, log_dispersion: Array) -> Array:
    """The logarithm of 1 + alpha k."""
    some = count != 0
    return jnp.where(some, softplus(jnp.log(jnp.where(some, count, 1)) + log_dispersion), 0)


def _log_share_ratio(log_mean: Array, count: Array, log_dispersion: Array, growth: Array) -> Array:
    """The logarithm G of k / (r + k) over mu / (r + mu), for counts from 1 on."""
    log_count = jnp.log(_few_and_many(count)[2])
    log_odds = log_count + log_dispersion  # of k > r above 0: there G is near 0 where H and log(mu / k) are not
    by_rests = softplus(-(log_mean + log_dispersion)) - softplus(-log_odds)
    return jnp.where(log_odds > 0, by_rests, growth - (log_mean - log_count))


def _fall_of_remainder(count: Array, log_dispersion: Array) -> Array:
    """The difference delta(r) - delta(r + k), for a count that is small beside the shape from the slope halfway."""
    shape = _shape(log_dispersion)
    small, halfway = count < 0.01 * shape, shape + 0.5 * count
    fall = stirling_remainder(shape, -log_dispersion) - stirling_remainder(jnp.where(small, 1, shape + count))
    return jnp.where(small, -count * (scaled_stirling_slope(halfway) / halfway), jnp.where(count == 0, 0, fall))


def _of_shape(log_mean: Array, count: Array, log_dispersion: Array, growth: Array) -> Array:
    """The product r (e^-H - 1 + H)."""
    shape = _shape(log_dispersion)
    far, tiny = growth < -1, jnp.abs(growth) < jnp.finfo(growth.dtype).eps
    whole = (shape + count) * sigmoid(-(log_mean + log_dispersion))  # r e^-H, where e^-H may leave the format
    near = shape * exp_remainder(-jnp.where(far, 0, growth))
    return jnp.where(far, whole - shape * (1 - growth), jnp.where(tiny, 0.5 * (shape * growth) * growth, near))


def _curvature_in_log_mean(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    """The second derivative (r + k) times the share mu / (r + mu) and the rest of it, of which no term cancels."""
    log_odds = log_mean + log_dispersion
    share, rest = sigmoid(log_odds), sigmoid(-log_odds)
    product = jnp.where(log_odds < 0, jnp.exp(log_mean) * rest, _shape(log_dispersion) * share)  # r mu / (r + mu)
    return finite_slope(times_exp(product + count * share, -softplus(log_odds)))


def _mixed_with_log_dispersion(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    return -_binomial_in_log_mean(log_mean, count, log_dispersion) * sigmoid(log_mean + log_dispersion)


@with_slopes(
    _curvature_in_log_mean,
    lambda log_mean, _, log_dispersion: -sigmoid(-(log_mean + log_dispersion)),
    _mixed_with_log_dispersion,
)  # a derivative that cancels
def _binomial_in_log_mean(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    """The slope (mu - k) r / (r + mu). Where mu r / (r + mu) is near its limit r, that is what is differentiated."""
    log_odds, mean = log_mean + log_dispersion, finite_slope(jnp.exp(log_mean))
    plain = (log_odds < 0) | (mean < 2 * count)
    product = (jnp.where(plain, mean, 0) - count) * sigmoid(-log_odds)
    near_limit = _shape(log_dispersion) * sigmoid(log_odds) - count * sigmoid(-log_odds)
    return finite_slope(jnp.where(plain, product, near_limit))


def _binomial_in_count(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    few, small, many = _few_and_many(count)
    total, growth = _shape(log_dispersion) + count, _log_growth(log_mean, count, log_dispersion)
    of_many = _log_share_ratio(log_mean, count, log_dispersion, growth) + (0.5 + scaled_stirling_slope(many)) / many
    of_few = digamma_of_successor(small) + (growth - log_mean)
    slope = jnp.where(few, of_few, of_many) + (0.5 - scaled_stirling_slope(total)) / total
    return jnp.where((count == 0) & (log_mean == -jnp.inf), 0, finite_slope(slope))


def _binomial_in_log_dispersion(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    shape, some = _shape(log_dispersion), count != 0
    share = ratio(count, shape + count)
    remainders = (1 - share) * scaled_stirling_slope(shape + count) - scaled_stirling_slope(shape)
    spread = jnp.where(some, 0.5 * share + remainders, 0)
    growth = _log_growth(log_mean, count, log_dispersion)
    return finite_slope(spread - _of_shape(log_mean, count, log_dispersion, growth))


@with_slopes(_binomial_in_log_mean, _binomial_in_count, _binomial_in_log_dispersion)  # derivatives that cancel
def _negative_binomial(log_mean: Array, count: Array, log_dispersion: Array) -> Array:
    r"""The cost of a count at the rate mu e^-H, and three terms >= 0 that vanish with the dispersion:

    $$ \tfrac12 \log(1 + \alpha k) + \left[ \delta(r) - \delta(r + k) \right] + r \left( e^{-H} - 1 + H \right),
       \qquad H = \log \frac{r + \mu}{r + k} $$

    with the Stirling remainder delta: Loader's form of a binomial distribution.
    """
    growth = _log_growth(log_mean, count, log_dispersion)
    cost = _count_cost(log_mean - growth, -_log_share_ratio(log_mean, count, log_dispersion, growth), count)
    spread = 0.5 * _log1p_spread(count, log_dispersion) + _fall_of_remainder(count, log_dispersion)
    return cost + (spread + _of_shape(log_mean, count, log_dispersion, growth))


@custom_loss(stand_in=0.5)
def negative_binomial_nll(log_mean: Input, target: Input, log_dispersion: Input) -> Array:
    r"""The negative log-likelihood of a negative binomial distribution: counts that vary more than Poisson's.

    $$ \log y! + \log \frac{\Gamma(r)}{\Gamma(y + r)}
       + y \log \frac{r + \mu}{\mu} + r \log \frac{r + \mu}{r}, \qquad r = 1 / \alpha $$

    Args:
        log_mean: The logarithm of the predicted mean mu, any shape.
        target: Counts >= 0, the shape of `log_mean`. One between the integers is taken by the gamma function.
        log_dispersion: The logarithm of alpha, the shape of `log_mean`. The variance is mu + alpha mu^2.

    Corners: at a log-dispersion of -inf it is `poisson_nll`. No mean and no count cost 0, with gradient 0; no mean and
    a count cost inf. A negative target gives NaN.

    Source: Hilbe (2011), Negative binomial regression, chapter 8; its stable form: Loader (2000), Fast and accurate
    computation of binomial probabilities, its saddle-point expansion.

    >>> import jax.numpy as jnp
    >>> print(f"{negative_binomial_nll(jnp.log(3.0), 5, 0.0):.4f}")
    2.8247
    """
    return _negative_binomial(log_mean, target, log_dispersion)


def _tweedie_parts(log_mean: Array, outcome: Array, power: Array) -> tuple[Array, ...]:
    """log(y / m), taken as 0 at y = 0, and the powers y^(2 - p), m^(2 - p) and y m^(1 - p)."""
    y = jnp.where(outcome == 0, 1, outcome)
    log_ratio = jnp.where(outcome == 0, 0, jnp.log(y) - log_mean)
    return log_ratio, y ** (2 - power), jnp.exp((2 - power) * log_mean), times_exp(outcome, (1 - power) * log_mean)


def _over_weight(weight: Array, x: Array, start: Array, end: Array) -> Array:
    """The product of (e^(w x) - 1 - w x) / w with a number at the start, of which e^(w x) makes the one at the end."""
    z = weight * x
    near = jnp.abs(z) < 1
    inside, w = jnp.where(near, z, 1), jnp.where(near, 1, weight)
    curb = jnp.where(inside == 0, 0.5, exp_remainder(inside) / jnp.square(jnp.where(inside == 0, 1, inside)))
    return jnp.where(near, (z * x * curb) * start, (end - start * (1 + z)) / w)


def _deviance(log_mean: Array, outcome: Array, power: Array) -> Array:
    r"""The integral of 2 (y - t) / t^p from the mean m to the outcome y, with c = 2 - p and L = log(y / m):

    $$ 2 y^c \left[ \frac{h(-c L)}c + \frac{h((1 - c) L)}{1 - c} \right], \qquad h(z) = e^z - 1 - z $$

    for p from 1 to 2; for p > 2 it is 2 m^c / (p - 1) times h(c L) / (-c) + h(L). No term is below 0, so that nothing
    cancels at y = m, and none is infinite at p = 1 or 2.
    """
    log_ratio, of_outcome, of_mean, cross = _tweedie_parts(log_mean, outcome, power)
    c, low = 2 - power, power < 2
    start, end = jnp.where(low, of_outcome, of_mean), jnp.where(low, of_mean, of_outcome)
    first = _over_weight(jnp.abs(c), -log_ratio, start, end)
    second = _over_weight(jnp.where(low, power - 1, 1), log_ratio, start, cross)
    deviance = 2 * (first + second) / jnp.where(low, 1, power - 1)
    at_zero = jnp.where(low, 2 * of_mean / jnp.where(low, c, 1), jnp.inf)
    deviance = jnp.where((outcome == 0) & (power >= 1), at_zero, deviance)
    gaussian = power == 0
    is_one = jnp.sqrt(jnp.where(gaussian, 1, power - 1)) * 0 + 1  # NaN for a power between 0 and 1
    return jnp.where(gaussian, jnp.square(outcome - jnp.exp(log_mean)), deviance * is_one)


def _deviance_in_log_mean(log_mean: Array, outcome: Array, power: Array) -> Array:
    """The slope -2 (y - m) m^(1 - p)."""
    mean, exponent = finite_slope(jnp.exp(log_mean)), (1 - power) * log_mean
    near = jnp.abs(outcome - mean) < 0.5 * mean
    far = times_exp(outcome, exponent) - jnp.exp((2 - power) * log_mean)
    return -2 * finite_slope(jnp.where(near, times_exp(jnp.where(near, outcome - mean, 0), exponent), far))


def _deviance_in_outcome(log_mean: Array, outcome: Array, power: Array) -> Array:
    """The slope 2 (y^c - m^c) / c with c = 1 - p, from the larger of the two powers; 0 where infinite."""
    log_ratio, *_ = _tweedie_parts(log_mean, outcome, power)
    c = 1 - power
    rise = c * log_ratio
    up, of_outcome = rise > 0, jnp.where(outcome > 0, outcome, 1) ** c
    from_outcome, from_mean = -expm1(-jnp.where(up, rise, 0)), expm1(jnp.where(up, 0, rise))
    difference = jnp.where(up, of_outcome * from_outcome, jnp.exp(c * log_mean) * from_mean)
    slope = 2 * jnp.where(c == 0, log_ratio, difference / jnp.where(c == 0, 1, c))
    slope = jnp.where(outcome == 0, jnp.where(power < 2, 0, -jnp.inf), slope)
    return finite_slope(jnp.where(power == 0, 2 * (outcome - jnp.exp(log_mean)), slope))


def _deviance_in_power(log_mean: Array, outcome: Array, power: Array) -> Array:
    power = power + jnp.zeros_like(log_mean)
    slope = jax.jvp(lambda p: _deviance(log_mean, outcome, p), (power,), (jnp.ones_like(power),))[1]
    return jnp.where(power >= 1, finite_slope(slope), 0)


_power_deviance = with_slopes(_deviance_in_log_mean, _deviance_in_outcome, _deviance_in_power)(
    _deviance
)  # derivatives that cancel


@custom_loss(stand_in=0.5)
def tweedie_deviance(log_mean: Input, target: Input, *, power: Annotated[Any, Interval(ge=0)] = 1.5) -> Array:
    r"""The unit deviance of a Tweedie distribution: amounts whose variance is a power of their mean.

    $$ 2 \left[ \frac{y^{2 - p}}{(1 - p)(2 - p)} - \frac{y\,\mu^{1 - p}}{1 - p} + \frac{\mu^{2 - p}}{2 - p} \right] $$

    Args:
        log_mean: The logarithm of the predicted mean mu, any shape.
        target: Amounts, the shape of `log_mean`: any for the power 0, >= 0 for powers from 1 to 2, > 0 from 2 on.
        power: p, 0 or >= 1. 0 is Gaussian: (y - mu)^2. 1 is Poisson: 2 (y log(y / mu) - y + mu). Between 1 and 2 there
            may be zeros among positive amounts. 2 is gamma: 2 (y / mu - 1 - log(y / mu)). 3 is inverse Gaussian.

    Corners: 0 with gradient 0 at y = mu. A target of 0 costs 2 mu^(2 - p) / (2 - p) for p < 2, with gradient 0 in the
    target, where the true one is infinite; for p >= 2 it costs inf. A negative target gives NaN unless p is 0. At p = 0
    the slope in p is 0, since the powers beside it are no deviances.

    Raises:
        ValueError: `power` is negative or between 0 and 1, where no such distribution exists. Where it is an array,
            which is not looked into, a power between 0 and 1 gives NaN.

    Source: Jorgensen (1987), Exponential dispersion models, in the form of Dunn and Smyth (2005), Series evaluation of
    Tweedie exponential dispersion model densities, the unit deviance.

    >>> print(f"{tweedie_deviance(0.0, 2.0, power=1.5):.4f}")
    0.6863
    """
    if isinstance(power, float) and 0 < power < 1:
        raise ValueError(f"tweedie_deviance: power must be 0 or >= 1, got {power}.")
    return _power_deviance(log_mean, target, power)
