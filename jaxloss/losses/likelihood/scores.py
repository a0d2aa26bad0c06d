"""Proper scores: of class probabilities, of a predicted Gaussian, of an ensemble."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input
from jaxloss.numerics import one_hot


@custom_loss(signature="(k),()->()")
def brier(probabilities: Input, labels: Input) -> Array:
    r"""The squared distance of a distribution over classes from the label.

    $$ \sum_{j=1}^k (p_j - [j = y])^2 $$

    Args:
        probabilities: `[..., k]`, in [0, 1], k >= 1.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: 0 with gradient 0 for the certain and right, 2 for the certain and wrong. A label outside 0 to k - 1 gives
    NaN. Of two classes this is twice the score of the probability of one of them.

    Raises:
        TypeError: The labels are not integers.

    Source: Brier (1950), Verification of forecasts expressed in terms of probability, equation 2.

    >>> import jax.numpy as jnp
    >>> print(f"{brier(jnp.array([0.7, 0.2, 0.1]), 0):.2f}")
    0.14
    """
    return jnp.sum(jnp.square(probabilities - one_hot(labels, probabilities.shape[-1], probabilities.dtype)))
