"""Classes that have an order: one real prediction, and thresholds that cut the line into the classes."""

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import interval_of, interval_surprisal
from jaxloss.types import Array, Input


@custom_loss(signature="(),(),(c)->()")
def ordinal_cross_entropy(prediction: Input, labels: Input, thresholds: Input) -> Array:
    r"""The cross entropy of ordered classes, each the part of the line between two thresholds (proportional odds).

    $$ -\log \left[ \sigma(\theta_{y+1} - f) - \sigma(\theta_y - f) \right], \qquad
       -\infty = \theta_0 < \theta_1 < \dots < \theta_k = \infty $$

    Args:
        prediction: `[...]`, f, on the scale of log odds; the larger, the higher the class.
        labels: `[...]`, integers from 0 to k - 1, from the lowest class to the highest.
        thresholds: `[k - 1]` shared, or `[..., k - 1]`, increasing. To train them, let the first one and the logarithms
            of the steps be the parameters, and add the steps up.

    Corners: exact in the tails, where the two sigmoids are nearly the same. A class between equal thresholds has no
    probability: as a label it costs inf, and the gradient is finite. A class between decreasing ones costs NaN, and so
    does a label outside 0 to k - 1. With two classes and the threshold 0 it is `sigmoid_binary_cross_entropy`.

    Raises:
        TypeError: The labels are not integers.

    Source: McCullagh (1980), Regression models for ordinal data, section 2.

    >>> import jax.numpy as jnp
    >>> print(f"{ordinal_cross_entropy(jnp.array([0.0, 3.0]), jnp.array([1, 2]), jnp.array([-1.0, 1.0])):.4f}")
    0.4494
    """
    lower, upper = interval_of(thresholds, labels)
    return interval_surprisal(prediction, lower, upper)
