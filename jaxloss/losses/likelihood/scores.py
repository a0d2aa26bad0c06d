"""Proper scores: of class probabilities, of a predicted Gaussian, of an ensemble."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import energy, ensemble_score, gaussian_score, of_error, one_hot
from jaxloss.types import Array, Input


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


@custom_loss
def crps_gaussian(mean: Input, target: Input, log_scale: Input) -> Array:
    r"""The continuous ranked probability score of a Gaussian.

    $$ \sigma \left[ z (2 \Phi(z) - 1) + 2 \varphi(z) - \frac1{\sqrt\pi} \right], \qquad
       \sigma = e^s, \quad z = \frac{y - \mu}\sigma $$

    Args:
        mean: The predicted mean, any shape.
        target: True values, the shape of `mean`.
        log_scale: s, the logarithm of the predicted standard deviation, the shape of `mean`. At -inf the forecast is
            certain.

    Corners: at a perfect mean 0.2337 sigma, with gradient 0 in the mean. It is in units of the target and tends to the
    absolute error as sigma tends to 0.

    Source: Gneiting et al. (2005), Calibrated probabilistic forecasting using ensemble model output statistics,
    equation 5.

    >>> print(f"{crps_gaussian(6.1, 6.3, 0.0):.4f}")
    0.2496
    """
    return of_error(gaussian_score)(mean, target, log_scale)


@custom_loss(signature="(m),()->()")
def crps_ensemble(samples: Input, target: Input) -> Array:
    r"""The continuous ranked probability score of an ensemble, in O(m log m).

    $$ \frac1m \sum_{i=1}^m |x_i - y| - \frac1{2 m^2} \sum_{i,j} |x_i - x_j| $$

    Args:
        samples: `[..., m]`, the members of the ensemble, in any order. They are sorted: this axis must not be sharded.
        target: `[...]`, true values.

    Corners: of one member, or of members that are all equal, it is the absolute error. Where members are equal, or hit
    the target, the gradient is the middle of the subgradients. The score is that of the ensemble as a distribution; it
    is not the fair score, whose second sum is over m (m - 1).

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, equation 21; the sum
    over gaps: Hersbach (2000), Decomposition of the continuous ranked probability score, for an ensemble.

    >>> import jax.numpy as jnp
    >>> print(f"{crps_ensemble(jnp.array([1.0, -1.0, 4.0]), 0.0):.4f}")
    0.8889
    """
    return ensemble_score(samples, target)


@custom_loss(signature="(m,d),(d)->()")
def energy_score(samples: Input, target: Input) -> Array:
    r"""The energy score of an ensemble of vectors; in one dimension it is `crps_ensemble`.

    $$ \frac1m \sum_{i=1}^m \lVert x_i - y \rVert - \frac1{2 m^2} \sum_{i,j} \lVert x_i - x_j \rVert $$

    Args:
        samples: `[..., m, d]`, the members of the ensemble.
        target: `[..., d]`, true vectors.

    Corners: of one member, or of members that are all equal, it is the Euclidean distance. The gradient of a distance
    that is 0 is 0. Time grows as m^2 d, memory as m d.

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, equation 22.

    >>> import jax.numpy as jnp
    >>> print(f"{energy_score(jnp.array([[3.0, 0.0], [0.0, 4.0]]), jnp.zeros(2)):.2f}")
    2.25
    """
    return energy(samples, target)
