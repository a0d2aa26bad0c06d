"""Negative log-likelihoods of counts, constants included, rates and dispersions in the log domain."""

from typing import Annotated, Any

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import negative_binomial_surprisal, poisson_surprisal, power_deviance
from jaxloss.types import Array, Input, Interval


@custom_loss
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
    return poisson_surprisal(log_rate, target)


@custom_loss
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
    return negative_binomial_surprisal(log_mean, target, log_dispersion)


@custom_loss
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
    return power_deviance(log_mean, target, power)
