"""Proper scores: of class probabilities, of a predicted Gaussian, of an ensemble, of quantiles and intervals."""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless, one_hot
from jaxloss.numerics.norms import euclidean_distance
from jaxloss.numerics.platform import may_be_split
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.safe import absolute, finite_slope, multiply_no_nan, positive_part
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.special import times_exp
from jaxloss.types import Array, Input, Interval, Number


@custom_loss(signature="(k),()->()", stand_in=0.5)
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


@custom_loss(signature="(k),()->()", stand_in=0.5)
def ranked_probability_score(probabilities: Input, labels: Input) -> Array:
    r"""The squared distance of a distribution over ordered classes from the label, between their cumulative sums.

    $$ \sum_{j<k} \Bigl( \sum_{i \le j} p_i - [y \le j] \Bigr)^2 $$

    Args:
        probabilities: `[..., k]`, in [0, 1], k >= 1. They are added up: this axis must not be sharded.
        labels: `[...]`, integers from 0 to k - 1, of classes in order.

    It is the squared earth mover's distance of neighbours one apart, and the CRPS of a histogram.

    Corners: 0 with gradient 0 for the certain and right, the number of classes between for the certain and wrong. A
    label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.

    Source: Epstein (1969), A scoring system for probability forecasts of ranked categories, as half its complement;
    Murphy (1971), A note on the ranked probability score, equation 3.

    >>> import jax.numpy as jnp
    >>> print(f"{ranked_probability_score(jnp.array([0.2, 0.5, 0.3]), 0):.2f}")
    0.73
    """
    error = probabilities - one_hot(labels, probabilities.shape[-1], probabilities.dtype)
    return jnp.sum(jnp.square(jnp.cumsum(error)[:-1]))


def _share_below(error: Array, log_scale: Array) -> Array:
    """The slope in the error, sign(z) (2 Phi(|z|) - 1)."""
    return jax.lax.erf(times_exp(error, -log_scale) * math.sqrt(0.5))


def _rise_with_scale(error: Array, log_scale: Array) -> Array:
    """The slope in the log-scale, sigma (2 phi(z) - 1 / sqrt(pi))."""
    square = jnp.square(jnp.clip(times_exp(error, -log_scale), -100, 100))  # phi is 0 beyond, in every format
    return times_exp(expm1(0.5 * (math.log(2) - square)) / math.sqrt(math.pi), log_scale)


# Derivatives that overflow.
@with_slopes(_share_below, lambda error, log_scale: finite_slope(_rise_with_scale(error, log_scale)))
def _gaussian_score(error: Array, log_scale: Array) -> Array:
    """The score is homogeneous in the error and sigma, so it is made of its slopes (Euler)."""
    return error * _share_below(error, log_scale) + _rise_with_scale(error, log_scale)


@custom_loss(stand_in=0.5)
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
    return _gaussian_score(mean - target, log_scale)


@jax.custom_jvp
def _ensemble_score(samples: Array, outcome: Array) -> Array:
    r"""The integral of the squared difference between the distribution of the samples and the step at the outcome.

    The samples are sorted, and the gaps between neighbours added up, each times its share of F or 1 - F squared: no sum
    over pairs, and nothing to cancel.
    """
    return _score(jnp.sort(samples, axis=-1), outcome)


@_ensemble_score.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Ties of a sort: of members that are equal, and at the outcome, it is the middle of the subgradients.
    (samples, outcome), (dx, dy) = primals, tangents
    members = samples.shape[-1]
    places = jax.lax.broadcasted_iota(jnp.int32, samples.shape, samples.ndim - 1)
    ordered, places = jax.lax.sort((samples, places), dimension=-1, num_keys=1)
    side = jnp.sign(samples - outcome[..., None])
    slope = (members * side - _put_back(_lead(ordered), places)) / members**2
    return _score(ordered, outcome), jnp.sum(slope * dx, axis=-1) - dy * (jnp.sum(side, axis=-1) / members)


def _score(ordered: Array, outcome: Array) -> Array:
    members = ordered.shape[-1]
    share = (1 + jax.lax.broadcasted_iota(ordered.dtype, ordered.shape, ordered.ndim - 1)) / members
    outcome = outcome[..., None]
    gaps_below = jnp.diff(jnp.minimum(ordered, outcome), axis=-1, append=outcome)
    gaps_above = jnp.diff(jnp.maximum(ordered, outcome), axis=-1, prepend=outcome)
    below = jnp.sum(gaps_below * jnp.square(share), axis=-1)
    return below + jnp.sum(gaps_above * jnp.square(jnp.flip(share, axis=-1)), axis=-1)


def _put_back(ordered: Array, places: Array) -> Array:
    """To the places from which they were sorted."""
    if may_be_split(ordered):
        return jax.lax.sort((places, ordered), dimension=-1, num_keys=1)[1]
    return jnp.put_along_axis(jnp.zeros_like(ordered), places, ordered, axis=-1, inplace=False)


def _lead(ordered: Array) -> Array:
    """How many of the sorted samples are smaller, less how many are larger."""
    place = jax.lax.broadcasted_iota(jnp.int32, ordered.shape, ordered.ndim - 1)
    rises = ordered[..., 1:] > ordered[..., :-1]
    edge = jnp.ones_like(rises, shape=(*ordered.shape[:-1], 1))
    first = jnp.where(jnp.concatenate([edge, rises], -1), place, 0)
    last = jnp.where(jnp.concatenate([rises, edge], -1), place, ordered.shape[-1])
    smaller = jax.lax.cummax(first, axis=ordered.ndim - 1)
    not_larger = jax.lax.cummin(last, axis=ordered.ndim - 1, reverse=True) + 1
    return (smaller + not_larger - ordered.shape[-1]).astype(ordered.dtype)


@custom_loss(signature="(m),()->()", stand_in=0.5)
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
    return _ensemble_score(samples, target)


_NUMBERS = 2**17  # of the differences that are formed at once


@custom_loss(signature="(m,d),(d)->()", stand_in=0.5)
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
    members = samples.shape[0]
    # Some members at a time, formed anew for the gradient, so that memory follows m d and not m^2 d.
    to_members = jax.checkpoint(lambda x: jnp.sum(euclidean_distance(x[None], samples)))
    block = max(1, _NUMBERS // samples.size)
    if block < members:
        pairs = jnp.sum(jax.lax.map(to_members, samples, batch_size=block))
    else:
        pairs = jnp.sum(euclidean_distance(samples[:, None], samples[None]))
    return jnp.mean(euclidean_distance(samples, target[None])) - pairs / (2 * members**2)


@custom_loss(signature="(q),()->(q)", stand_in=0.5)
def multi_quantile(prediction: Input, target: Input, *, quantiles: Input) -> Array:
    r"""The pinball loss of several predicted quantiles of one target; `reduce` takes the mean over them.

    $$ |\tau_j - [u_j < 0]|\,|u_j|, \qquad u_j = y - \hat y_j $$

    Args:
        prediction: `[..., q]`, predictions of the quantiles.
        target: `[...]`, true values.
        quantiles: `[q]`, tau, the share of targets that should lie below each prediction, in [0, 1].

    Twice the mean over levels that are symmetric about 1/2 is the weighted interval score, and tends to the CRPS as the
    levels get closer. The weighted quantile loss of a data set divides by the sum of |y|, which is no weight:
    `Tally(2 * reduce(multi_quantile, "sum").tally(...).numerator, abs(y).sum())`.

    Corners: 0 at a perfect prediction, with subgradient 0. Predictions that cross are scored as they stand. A quantile
    outside [0, 1] gives NaN.

    Raises:
        ValueError: `quantiles` are not one for each prediction.

    Source: Koenker and Bassett (1978), Regression quantiles, equation 3.1, at each level.

    >>> import jax.numpy as jnp
    >>> print(f"{multi_quantile(jnp.array([1.0, 2.0, 4.0]), 3.0, quantiles=jnp.array([0.1, 0.5, 0.9])):.6f}")
    0.266667
    """
    levels = jnp.asarray(quantiles, prediction.dtype)
    if levels.shape != prediction.shape:
        raise ValueError(
            f"multi_quantile: quantiles must be one for each of the {prediction.shape[-1]} predictions along the last "
            f"axis, got shape {levels.shape}."
        )
    error = prediction - target
    inside = nan_unless((levels >= 0) & (levels <= 1), prediction.dtype)
    return multiply_no_nan(jnp.where(error > 0, 1 - levels, levels), absolute(error)) + inside


@custom_loss(stand_in=0.5)
def interval_score(
    lower: Input, upper: Input, target: Input, *, alpha: Annotated[Number, Interval(gt=0, lt=1)] = 0.1
) -> Array:
    r"""The width of a predicted interval, and a penalty for a target outside it.

    $$ (u - l) + \frac2\alpha \max(l - y, 0) + \frac2\alpha \max(y - u, 0) $$

    Args:
        lower: l, the lower end of a central interval that should hold a share 1 - alpha of the targets, any shape.
        upper: u, its upper end, the shape of `lower`.
        target: True values, the shape of `lower`.
        alpha: The share of the targets that may lie outside, in (0, 1).

    Divided by the scale of each series it is the mean scaled interval score (MSIS).

    Corners: a target at an end of the interval has no penalty, with subgradient 0 of it. Ends that cross are scored as
    they stand.

    Raises:
        ValueError: `alpha` is outside (0, 1).

    Source: Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, equation 43.

    >>> print(f"{interval_score(1.0, 4.0, 5.0, alpha=0.2):.1f}")
    13.0
    """
    return (upper - lower) + 2 / alpha * (positive_part(lower - target) + positive_part(target - upper))
