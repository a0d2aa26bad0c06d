"""Negative log-likelihoods of real outcomes, constants included, scales in the log domain."""

import math

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import exp_remainder
from jaxloss.numerics.safe import finite_slope, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.numerics.special import (
    HALF_LOG_2PI,
    half_scaled_square,
    log_factorial_ratio,
    scaled_stirling_slope,
    stirling_remainder,
    times_exp,
)
from jaxloss.types import Array, Input, Positive


@custom_loss(stand_in=0.5)
def gaussian_nll(mean: Input, target: Input, log_variance: Input) -> Array:
    r"""The negative log-likelihood of a Gaussian.

    $$ \tfrac12 \left( \log 2\pi + s + (\mu - y)^2 e^{-s} \right) $$

    Args:
        mean: The predicted mean, any shape.
        target: True values, the shape of `mean`.
        log_variance: s, the logarithm of the predicted variance, the shape of `mean`.

    Corners: at a perfect prediction (log 2 pi + s) / 2, with gradient 0 in the mean and 1/2 in s. No variance is
    clipped: for an error that is not 0 the value grows as exp(-s).

    Source: Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution, its cost.

    >>> print(f"{gaussian_nll(6.1, 6.3, 0.0):.4f}")
    0.9389
    """
    return HALF_LOG_2PI + 0.5 * log_variance + half_scaled_square(mean - target, log_variance)


def _size_in_log_scale(error: Array, log_scale: Array) -> Array:
    return -finite_slope(_scaled_size(error, log_scale))


@with_slopes(
    lambda error, log_scale: finite_slope(times_exp(jnp.sign(error), -log_scale)), _size_in_log_scale
)  # an infinite slope times 0, and a slope that JAX gets wrong: that of |e| at 0 is 1 to it
def _scaled_size(error: Array, log_scale: Array) -> Array:
    return times_exp(jnp.abs(error), -log_scale)


@custom_loss(stand_in=0.5)
def laplace_nll(location: Input, target: Input, log_scale: Input) -> Array:
    r"""The negative log-likelihood of a Laplace distribution.

    $$ \log 2 + s + |\mu - y|\, e^{-s} $$

    Args:
        location: The predicted median, any shape.
        target: True values, the shape of `location`.
        log_scale: s, the logarithm of the predicted mean absolute error, the shape of `location`.

    Corners: at a perfect prediction log 2 + s, with subgradient 0 in the location and gradient 1 in s.

    Source: Laplace (1774), Memoire sur la probabilite des causes par les evenements.

    >>> print(f"{laplace_nll(6.1, 6.3, 0.0):.4f}")
    0.8931
    """
    return math.log(2) + log_scale + _scaled_size(location - target, log_scale)


def _slope_of_normalizer(freedom: Array) -> Array:
    half = 0.5 * freedom
    of_remainders = scaled_stirling_slope(half) / half - scaled_stirling_slope(half + 0.5) / (half + 0.5)
    return finite_slope(0.5 * (of_remainders - exp_remainder(-jnp.log1p(1 / freedom))))


@with_slopes(_slope_of_normalizer)  # a derivative that cancels
def _log_normalizer(freedom: Array) -> Array:
    """The logarithm of Gamma(n / 2) sqrt(n pi) / Gamma((n + 1) / 2), about log(2 pi) / 2 + 1 / (4 n)."""
    half, inverse = 0.5 * freedom, 1 / freedom
    remainders = stirling_remainder(half) - stirling_remainder(half + 0.5)
    return HALF_LOG_2PI + remainders + 0.5 * ratio(exp_remainder(jnp.log1p(inverse)), inverse)


def _log_odds(error: Array, log_scale: Array, freedom: Array) -> Array:
    """The logarithm L of z^2 / n, whose logistic function is the share z^2 / (n + z^2): no square leaves the format."""
    none = (error == 0) | jnp.isinf(freedom)
    log_square = 2 * (jnp.log(jnp.where(none, 1, jnp.abs(error))) - log_scale)
    return jnp.where(none, -jnp.inf, log_square - jnp.log(freedom))


def _tail_in_error(error: Array, log_scale: Array, freedom: Array) -> Array:
    """The slope (n + 1) / n times z e^-s / (1 + z^2 / n), beyond sqrt(n) scales (n + 1) / e times the share."""
    # Without the logarithms of the value, since a GPU writes to memory what a value and a slope share.
    root = finite_slope(times_exp(error, -log_scale)) * jax.lax.rsqrt(freedom)  # of z^2 / n
    far = jnp.abs(root) > 1
    near = times_exp(jnp.where(far, 0, error), -2 * log_scale) / (1 + jnp.square(jnp.where(far, 0, root)))
    share = 1 / (1 + jnp.square(1 / jnp.where(far, root, 1)))
    beyond = (jnp.where(far, freedom, 0) + 1) * ratio(share, error)
    return finite_slope(jnp.where(far, beyond, (1 + 1 / freedom) * near))


def _tail_in_log_scale(error: Array, log_scale: Array, freedom: Array) -> Array:
    """The slope (1 - z^2) / (1 + z^2 / n), beyond sqrt(n) scales (n + 1) / (1 + z^2 / n) - n."""
    log_odds = _log_odds(error, log_scale, freedom)
    far = log_odds > 0
    near = finite_slope(1 - jnp.square(times_exp(jnp.where(far, 0, error), -log_scale))) * sigmoid(-log_odds)
    n = jnp.where(far, freedom, 0)
    root = jnp.exp(0.5 * (jnp.log1p(n) - jnp.where(far, log_odds, 0)))
    return jnp.where(far, jnp.square(root) * sigmoid(log_odds) - n, near)


def _tail_in_freedom(error: Array, log_scale: Array, freedom: Array) -> Array:
    log = softplus(_log_odds(error, log_scale, freedom))
    return 0.5 * (exp_remainder(-log) + jnp.expm1(-log) / freedom)


@with_slopes(_tail_in_error, _tail_in_log_scale, _tail_in_freedom)  # derivatives that overflow and cancel
def _scale_and_tail(error: Array, log_scale: Array, freedom: Array) -> Array:
    """The sum s + (n + 1) / 2 log(1 + z^2 / n), which near z = 0 and at n = inf is s + (1 + 1 / n) z^2 / 2."""
    log_odds = _log_odds(error, log_scale, freedom)
    near = log_odds < math.log(jnp.finfo(error.dtype).eps)
    parabola = (1 + 1 / freedom) * half_scaled_square(jnp.where(near, error, 0), 2 * log_scale)
    return log_scale + jnp.where(near, parabola, 0.5 * (jnp.where(near, 0, freedom) + 1) * softplus(log_odds))


@custom_loss(stand_in=0.5)
def student_t_nll(location: Input, target: Input, log_scale: Input, *, degrees_of_freedom: Positive) -> Array:
    r"""The negative log-likelihood of Student's t distribution, whose tails forgive outliers.

    $$ \log \frac{\Gamma(\frac \nu 2) \sqrt{\nu \pi}}{\Gamma(\frac{\nu + 1}2)}
       + s + \frac{\nu + 1}2 \log\left( 1 + \frac{(\mu - y)^2 e^{-2 s}}{\nu} \right) $$

    Args:
        location: The predicted median, any shape.
        target: True values, the shape of `location`.
        log_scale: s, the logarithm of the predicted scale, the shape of `location`. The variance is
            exp(2 s) nu / (nu - 2), for nu > 2.
        degrees_of_freedom: nu, > 0; 1 is the Cauchy distribution, and inf the Gaussian, from which 1e6 hardly differs.

    Corners: gradient 0 in the location at a perfect prediction. For an error that is large the value grows as its
    logarithm, and the gradient falls as (nu + 1) / |error|.

    Raises:
        ValueError: `degrees_of_freedom` is not > 0.

    Source: Lange et al. (1989), Robust statistical modeling using the t distribution, the density of its model.

    >>> print(f"{student_t_nll(6.1, 6.3, 0.0, degrees_of_freedom=3.0):.4f}")
    1.0274
    """
    return _log_normalizer(degrees_of_freedom) + _scale_and_tail(location - target, log_scale, degrees_of_freedom)


def _log_quotient(log_mean: Array, outcome: Array) -> Array:
    return jnp.log(jnp.where(outcome == 0, 1, outcome)) - log_mean


def _gamma_in_log_mean(log_mean: Array, outcome: Array, log_shape: Array) -> Array:
    """The slope a (1 - y / m)."""
    shape, quotient = finite_slope(jnp.exp(log_shape)), outcome * jnp.exp(-log_mean)
    near = quotient < 2
    slope = shape * (1 - jnp.where(near, quotient, 0))
    return finite_slope(jnp.where(near, slope, shape - times_exp(outcome, log_shape - log_mean)))


def _gamma_in_outcome(log_mean: Array, outcome: Array, log_shape: Array) -> Array:
    """The slope a / m - (a - 1) / y."""
    zero, t = outcome == 0, _log_quotient(log_mean, outcome)
    y, excess = jnp.where(zero, 1, outcome), jnp.expm1(log_shape)  # a - 1
    near = (jnp.exp(log_shape) * jnp.expm1(t) + 1) / y
    far = jnp.exp(log_shape - log_mean) - jnp.where(zero, jnp.where(excess > 0, jnp.inf, -jnp.inf), ratio(excess, y))
    far = jnp.where(zero & (excess == 0), jnp.exp(-log_mean), far)
    return finite_slope(jnp.where((jnp.abs(t) < 1) & ~zero, near, far))


def _gamma_in_log_shape(log_mean: Array, outcome: Array, log_shape: Array) -> Array:
    """The slope a (y / m - 1 - log(y / m)) + a delta'(a) - 1 / 2."""
    t = _log_quotient(log_mean, outcome)
    slope = _times_remainder(log_shape, t) + (scaled_stirling_slope(finite_slope(jnp.exp(log_shape))) - 0.5)
    return finite_slope(jnp.where(outcome == 0, 0, slope))


def _times_remainder(log_shape: Array, t: Array) -> Array:
    """The product a (e^t - 1 - t), where e^t may leave the format and a e^t may not."""
    shape, far = finite_slope(jnp.exp(log_shape)), t > 1
    return jnp.where(far, jnp.exp(log_shape + t) - shape * (1 + t), shape * exp_remainder(jnp.where(far, 0, t)))


@with_slopes(_gamma_in_log_mean, _gamma_in_outcome, _gamma_in_log_shape)  # derivatives that cancel and overflow
def _gamma(log_mean: Array, outcome: Array, log_shape: Array) -> Array:
    r"""With t = log(y / m) and the Stirling remainder delta it is

    $$ a (e^t - 1 - t) + \log y + \tfrac12 \log \frac{2 \pi} a + \delta(a) $$

    of which no term is large where they cancel. For a shape below 2 and a small outcome the terms of the definition do
    not cancel, and these would.
    """
    shape, excess, t = finite_slope(jnp.exp(log_shape)), jnp.expm1(log_shape), _log_quotient(log_mean, outcome)
    log_outcome = jnp.log(jnp.where(outcome == 0, 1, outcome))

    few = log_shape < math.log(2)
    a, b = jnp.where(shape < 1, shape, 0), jnp.where(few & (shape >= 1), excess, 0)  # log a! - log a, or log (a - 1)!
    log_gamma = a * log_factorial_ratio(a) + b * log_factorial_ratio(b) - jnp.minimum(log_shape, 0)
    of_few = log_gamma - shape * log_shape  # log Gamma(a) - a log a
    constant = HALF_LOG_2PI - 0.5 * log_shape + stirling_remainder(jnp.where(few, 2, shape))

    near = _times_remainder(log_shape, t) + log_outcome + jnp.where(few, of_few + shape, constant)
    low = jnp.exp(log_shape + t) + shape * log_mean - excess * log_outcome + of_few
    value = jnp.where(few & (t < -1), low, near)
    at_zero = jnp.where(excess == 0, log_mean, jnp.where(excess > 0, jnp.inf, -jnp.inf))
    return jnp.where(outcome == 0, at_zero, value)


@custom_loss(stand_in=0.5)
def gamma_nll(log_mean: Input, target: Input, log_shape: Input) -> Array:
    r"""The negative log-likelihood of a gamma distribution: a positive outcome of constant relative spread.

    $$ \log \Gamma(a) + a \log \frac{\mu}a - (a - 1) \log y + \frac{a y}{\mu} $$

    Args:
        log_mean: The logarithm of the predicted mean mu, any shape.
        target: True values > 0, the shape of `log_mean`.
        log_shape: The logarithm of the shape a, of the shape of `log_mean`. The variance is mu^2 / a.

    Corners: a target of 0 costs -inf for a < 1, inf for a > 1, and log mu for a = 1, with a finite gradient. A negative
    target gives NaN.

    Source: McCullagh and Nelder (1989), Generalized linear models, section 8.2.

    >>> print(f"{gamma_nll(0.0, 2.0, 0.0):.4f}")  # of shape 1, the exponential distribution
    2.0000
    """
    return _gamma(log_mean, target, log_shape)
