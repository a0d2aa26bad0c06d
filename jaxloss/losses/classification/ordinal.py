"""Classes that have an order: one real prediction, and thresholds that cut the line into the classes."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_class
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import log1mexp, sigmoid, softplus
from jaxloss.types import Array, Input


def _ends(thresholds: Array, label: Array) -> tuple[Array, Array]:
    """The thresholds below and above a class; in the wrong order, which costs NaN, if the label is no class."""
    k = thresholds.shape[0] + 1
    below, above = (jnp.asarray(end, thresholds.dtype) for end in (-jnp.inf, jnp.inf))
    # Choices one after the other, which a chip makes in the pass over the labels; it would write out what it picks.
    for place in range(k - 1):
        below = jnp.where(label > place, thresholds[place], below)
        above = jnp.where(label < k - 1 - place, thresholds[-1 - place], above)
    known = is_class(label, k)
    return jnp.where(known, below, jnp.inf), jnp.where(known, above, -jnp.inf)


def _distances(f: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """How far a prediction is above its class and below it; an infinite threshold is infinitely far from any."""
    above, below = f - jnp.where(upper == jnp.inf, 0, upper), jnp.where(lower == -jnp.inf, 0, lower) - f
    return jnp.where(upper == jnp.inf, -jnp.inf, above), jnp.where(lower == -jnp.inf, -jnp.inf, below)


def _slope_in_prediction(f: Array, lower: Array, upper: Array) -> Array:
    """sigmoid(a) - sigmoid(b) as sigmoid(a) sigmoid(-b) (1 - exp(b - a)), with the larger one first."""
    above, below = _distances(f, lower, upper)
    side = 1 - 2 * (above < below).astype(f.dtype)
    larger, smaller = jnp.maximum(above, below), jnp.minimum(above, below)
    return -side * sigmoid(larger) * sigmoid(-smaller) * jnp.expm1(side * (below - above))


@with_slopes(
    _slope_in_prediction,
    lambda f, lower, upper: sigmoid(_distances(f, lower, upper)[1]),
    lambda f, lower, upper: -sigmoid(_distances(f, lower, upper)[0]),
)  # a derivative that cancels: the difference of two sigmoids
def _outside(f: Array, lower: Array, upper: Array) -> Array:
    above, below = _distances(f, lower, upper)
    return softplus(above) + softplus(below)


@custom_loss(signature="(),(),(c)->()", stand_in=0.5)
def ordinal_cross_entropy(prediction: Input, labels: Input, thresholds: Input) -> Array:
    r"""The cross entropy of ordered classes, each the part of the line between two thresholds (proportional odds).

    $$ -\log \left[ \sigma(\theta_{y+1} - f) - \sigma(\theta_y - f) \right], \qquad
       -\infty = \theta_0 < \theta_1 < \dots < \theta_k = \infty $$

    Args:
        prediction: `[...]`, f, on the scale of log odds; the larger, the higher the class.
        labels: `[...]`, integers from 0 to k - 1, from the lowest class to the highest.
        thresholds: `[k - 1]` shared, or `[..., k - 1]`, increasing. To train them, let the first one and the logarithms
            of the steps be the parameters, and add the steps up.

    Corners: right in the tails, where the two sigmoids are nearly the same. A class between equal thresholds has no
    probability: as a label it costs inf, and the gradient is finite. A class between decreasing ones costs NaN, and so
    does a label outside 0 to k - 1. With two classes and the threshold 0 it is `sigmoid_binary_cross_entropy`.

    Raises:
        TypeError: The labels are not integers.

    Source: McCullagh (1980), Regression models for ordinal data, section 2.

    >>> import jax.numpy as jnp
    >>> print(f"{ordinal_cross_entropy(jnp.array([0.0, 3.0]), jnp.array([1, 2]), jnp.array([-1.0, 1.0])):.4f}")
    0.4494
    """
    lower, upper = _ends(thresholds, labels)
    width = jnp.where(lower == upper, 0, upper - lower)
    # The difference of the two sigmoids is sigmoid(u - f) sigmoid(f - l) (1 - exp(l - u)).
    return _outside(prediction, lower, upper) - log1mexp(width)
