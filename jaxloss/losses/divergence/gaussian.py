"""Gaussians, by mean and log variance, one for each element."""

import math

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.remainders import exp_remainder, expm1
from jaxloss.numerics.safe import finite_slope, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.special import half_scaled_square
from jaxloss.types import Array, Input


def _half_expm1(x: Array) -> Array:
    return jnp.where(x > 1, jnp.exp(x - math.log(2)) - 0.5, 0.5 * expm1(jnp.where(x > 1, 0, x)))


@with_slopes(lambda x: finite_slope(_half_expm1(x)))  # an infinite slope times 0
def _half_exp_remainder(x: Array) -> Array:
    """(exp(x) - 1 - x) / 2, also where the exponential overflows and half of it does not."""
    near = jnp.abs(x) < 1
    inside, outside = jnp.where(near, x, 0), jnp.where(near | (x == jnp.inf), 0, x)
    far = jnp.where(x == jnp.inf, jnp.inf, jnp.exp(outside - math.log(2)) - 0.5 * (1 + outside))
    return jnp.where(near, 0.5 * exp_remainder(inside), far)


@custom_loss(stand_in=0.5)
def gaussian_kl_divergence(p_mean: Input, p_log_variance: Input, q_mean: Input, q_log_variance: Input) -> Array:
    r"""The Kullback-Leibler divergence of one Gaussian from another, in nats.

    $$ D(p \,\|\, q) = \frac12 \left[ \log \frac{\sigma_q^2}{\sigma_p^2} +
       \frac{\sigma_p^2 + (\mu_p - \mu_q)^2}{\sigma_q^2} - 1 \right] $$

    Args:
        p_mean: mu_p, any shape.
        p_log_variance: The logarithm of sigma_p^2, in nats, the shape of `p_mean`.
        q_mean: mu_q, the shape of `p_mean`.
        q_log_variance: The logarithm of sigma_q^2, in nats, the shape of `p_mean`.

    For Gaussians of several independent components, sum over these: `reduce(gaussian_kl_divergence, "sum", axis=-1)`.

    Corners: 0 with gradient 0 where the two are the same, and right where they are nearly so. Equal
    means differ by 0 standard deviations, however small these are. A divergence beyond the format is inf, with the
    largest finite number for gradient.

    Source: Kullback and Leibler (1951), On information and sufficiency, its I(1:2), for normal densities.

    >>> print(f"{gaussian_kl_divergence(1.0, 0.0, 0.0, 0.0):.2f} {gaussian_kl_divergence(0.0, 1.0, 0.0, 0.0):.4f}")
    0.50 0.3591
    """
    log_ratio = p_log_variance - q_log_variance
    return _half_exp_remainder(log_ratio) + half_scaled_square(p_mean - q_mean, q_log_variance)


@custom_loss(stand_in=0.5)
def standard_normal_kl_divergence(mean: Input, log_variance: Input) -> Array:
    r"""The Kullback-Leibler divergence of a Gaussian from the standard normal one: the latent term of a VAE.

    $$ D\left( \mathcal N(\mu, \sigma^2) \,\|\, \mathcal N(0, 1) \right)
       = \tfrac12 \left[ \mu^2 + \sigma^2 - 1 - \log \sigma^2 \right] $$

    Args:
        mean: mu, any shape.
        log_variance: The logarithm of sigma^2, in nats, the shape of `mean`.

    A latent vector is summed over: `reduce(standard_normal_kl_divergence, "sum", axis=-1)`. The plain call is the mean
    over its components too, which is smaller by their number.

    Corners: 0 with gradient 0 at the standard normal, and right near it.

    Source: Kingma and Welling (2014), Auto-encoding variational Bayes, appendix B, with the sign turned.

    >>> print(f"{standard_normal_kl_divergence(1.0, 0.0):.2f} {standard_normal_kl_divergence(0.0, 1.0):.4f}")
    0.50 0.3591
    """
    return _half_exp_remainder(log_variance) + safe_square(math.sqrt(0.5) * mean)
