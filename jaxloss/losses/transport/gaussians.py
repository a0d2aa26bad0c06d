"""Transport between Gaussians."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.safe import finite_slope, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.special import times_exp
from jaxloss.types import Array, Input


def _half_deviation(log_variance: Array) -> Array:
    return finite_slope(0.5 * jnp.exp(0.5 * log_variance))


@with_slopes(lambda p, _: _half_deviation(p), lambda _, q: -_half_deviation(q))  # a derivative that cancels
def _difference_of_deviations(p_log_variance: Array, q_log_variance: Array) -> Array:
    """The difference of two standard deviations, by that of their logarithms."""
    larger = jnp.maximum(p_log_variance, q_log_variance)
    smaller = jnp.minimum(p_log_variance, q_log_variance)
    same = larger == smaller
    log_ratio = jnp.where(same, 0, 0.5 * (smaller - jnp.where(same, smaller, larger)))
    highest = 1.4 * jnp.log(jnp.finfo(larger.dtype).max)  # beyond, every difference leaves the format
    difference = times_exp(-expm1(log_ratio), jnp.minimum(0.5 * larger, highest))
    return jnp.where(p_log_variance < q_log_variance, -difference, difference)


@custom_loss(stand_in=0.5)
def gaussian_wasserstein(p_mean: Input, p_log_variance: Input, q_mean: Input, q_log_variance: Input) -> Array:
    r"""The squared Wasserstein distance of order 2 between two Gaussians.

    $$ (\mu_p - \mu_q)^2 + (\sigma_p - \sigma_q)^2 $$

    Args:
        p_mean: mu_p, any shape.
        p_log_variance: The logarithm of sigma_p^2, in nats, the shape of `p_mean`. At -inf all is at the mean.
        q_mean: mu_q, the shape of `p_mean`.
        q_log_variance: The logarithm of sigma_q^2, in nats, the shape of `p_mean`.

    For Gaussians of several independent components, sum over these: `reduce(gaussian_wasserstein, "sum", axis=-1)`.

    Corners: 0 with gradient 0 where the two are the same, and right where they are nearly so. A distance beyond the
    format is inf, with a gradient that is not NaN.

    Source: Dowson and Landau (1982), The Frechet distance between multivariate normal distributions, equation 4, of one
    component.

    >>> print(f"{gaussian_wasserstein(1.0, 0.0, 0.0, 1.386294):.5f}")
    2.00000
    """
    return safe_square(p_mean - q_mean) + safe_square(_difference_of_deviations(p_log_variance, q_log_variance))
