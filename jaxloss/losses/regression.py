"""Regression: elementwise losses of the error e = prediction - target."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input, Positive
from jaxloss.numerics import absolute


@custom_loss
def squared_error(prediction: Input, target: Input) -> Array:
    r"""The squared error; its mean is the MSE.

    $$ (\hat y - y)^2 $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 with gradient 0 at a perfect prediction.

    Source: Gauss (1809), Theoria motus, section 179. Half of it is the l2 loss of other libraries.

    >>> print(f"{squared_error(6.1, 6.3):.2f}")
    0.04
    """
    return jnp.square(prediction - target)


@custom_loss
def absolute_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error; its mean is the MAE.

    $$ |\hat y - y| $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 at a perfect prediction, with subgradient 0.

    Source: Laplace (1774), Memoire sur la probabilite des causes par les evenements.

    >>> print(f"{absolute_error(6.1, 6.3):.1f}")
    0.2
    """
    return absolute(prediction - target)


@custom_loss
def huber(prediction: Input, target: Input, *, delta: Positive = 1.0) -> Array:
    r"""The squared error near the target, the absolute error away from it.

    $$ \begin{cases} \tfrac12 e^2 & |e| \le \delta \\ \delta |e| - \tfrac12 \delta^2 & |e| > \delta \end{cases},
       \qquad e = \hat y - y $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        delta: Where the parabola becomes a line, in units of the target, > 0.

    Corners: 0 with gradient 0 at a perfect prediction; value and gradient are continuous at |e| = delta.

    Raises:
        ValueError: `delta` is not > 0.

    Source: Huber (1964), Robust estimation of a location parameter, equation 9.

    >>> print(f"{huber(6.1, 6.3, delta=1.0):.2f}")
    0.02
    """
    error = prediction - target
    near = absolute(error) <= delta
    inside = jnp.where(near, error, 0)
    outside = jnp.where(near, delta, absolute(error))
    return jnp.where(near, 0.5 * inside * inside, delta * (outside - 0.5 * delta))
