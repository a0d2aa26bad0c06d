"""Negative log-likelihoods of real outcomes, constants included, scales in the log domain."""

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import gamma_surprisal, gaussian_surprisal, laplace_surprisal, of_error, student_t_surprisal
from jaxloss.types import Array, Input, Positive


@custom_loss
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
    return of_error(gaussian_surprisal)(mean, target, log_variance)


@custom_loss
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
    return of_error(laplace_surprisal)(location, target, log_scale)


@custom_loss
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
    return of_error(student_t_surprisal)(location, target, log_scale, degrees_of_freedom)


@custom_loss
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
    return gamma_surprisal(log_mean, target, log_shape)
