"""Negative log-likelihoods of counts, constants included, rates and dispersions in the log domain."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input
from jaxloss.numerics import poisson_surprisal


@custom_loss
def poisson_nll(log_rate: Input, target: Input) -> Array:
    r"""The negative log-likelihood of a Poisson distribution, with the factorial.

    $$ e^x - y x + \log y! $$

    Args:
        log_rate: x, the logarithm of the predicted rate, any shape; -inf is the rate 0.
        target: Counts >= 0, the shape of `log_rate`. One between the integers is taken by the gamma function.

    Corners: no rate and no count cost 0, with gradient 0; no rate and a count cost inf, with gradient -y in x. A
    negative target gives NaN.

    Source: Nelder and Wedderburn (1972), Generalized linear models, section 3.1; its stable form: Loader (2000), Fast
    and accurate computation of binomial probabilities, section 4.

    >>> import jax.numpy as jnp
    >>> print(f"{poisson_nll(jnp.log(3.0), 5):.4f}")  # with Stirling's formula for the factorial, 2.2778
    2.2944
    """
    return poisson_surprisal(log_rate, target)
