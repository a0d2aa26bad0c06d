"""Negative log-likelihoods of real outcomes, constants included, scales in the log domain."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input
from jaxloss.numerics import gaussian_surprisal, laplace_surprisal


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

    Source: Nix and Weigend (1994), Estimating the mean and variance of the target probability distribution, equation 2.

    >>> print(f"{gaussian_nll(6.1, 6.3, 0.0):.4f}")
    0.9389
    """
    return gaussian_surprisal(mean - target, log_variance)


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
    return laplace_surprisal(location - target, log_scale)
