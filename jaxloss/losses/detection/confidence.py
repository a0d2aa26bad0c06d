"""Scores of a detector: of its classes, of the quality of a box, of the place of an edge or a centre."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless, pick
from jaxloss.numerics.focal import focal
from jaxloss.numerics.safe import absolute, finite_slope, multiply_no_nan, positive_part, power, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softmax import target_row
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array, Input, NonNegative


def _outside(targets: Array) -> Array:
    """0, and NaN where a target is not in [0, 1]."""
    return nan_unless((targets >= 0) & (targets <= 1), targets.dtype)


def _bins_beside(logits: Array, target: Array) -> Array:
    """A target as the shares of the two bins beside it."""
    bins = jnp.zeros_like(logits) + jax.lax.iota(logits.dtype, logits.shape[0])  # split over devices as the logits are
    return positive_part(1 - absolute(bins - target))


@jax.custom_jvp
def _cost_of_bins(logits: Array, target: Array) -> Array:
    return target_row(logits, _bins_beside(logits, target)).surprisal


@_cost_of_bins.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels, in the target: log Z is in the cost of both bins. At a bin it is the middle.
    logits, target = primals
    shares = _bins_beside(logits, target)
    cost, change = jax.jvp(lambda x: target_row(x, shares).surprisal, (logits,), tangents[:1])
    last = logits.shape[0] - 1
    left, right = (jnp.clip(x, 0, last).astype(jnp.int32) for x in (jnp.ceil(target) - 1, jnp.floor(target) + 1))
    fall = finite_slope(finite_slope(pick(logits, left)) - finite_slope(pick(logits, right)))
    return cost, change + ratio(fall, (right - left).astype(fall.dtype)) * tangents[1]


@custom_loss(signature="(k),()->()", stand_in={"logits": 0.5, "target": 0.0})
def distribution_focal(logits: Input, target: Input) -> Array:
    r"""The cross entropy of a distribution over bins with the two bins beside a number.

    $$ \sum_j \max(0,\, 1 - |j - t|) \,(\log Z - x_j), \qquad Z = \sum_j e^{x_j} $$

    Args:
        logits: `[..., k]`, x, of the bins 0 to k - 1: where an edge of a box may be.
        target: `[...]`, t, where it is, in bins, from 0 to k - 1.

    Corners: at t = k - 1 it is the cost of the last bin. A logit of -inf with no share costs nothing. A target outside
    0 to k - 1 gives NaN. At a bin, where the slope in t jumps, it is the mean of both sides.

    Source: Li et al. (2020), Generalized focal loss, equation 6.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([0.1, 0.5, 0.2, -0.3])
    >>> print(f"{distribution_focal(logits, 1.3):.6f} {distribution_focal(logits, 3.0):.6f}")
    1.140985 1.850985
    """
    inside = (target >= 0) & (target <= logits.shape[0] - 1)
    return _cost_of_bins(logits, jnp.where(inside, target, 0)) + nan_unless(inside, logits.dtype)


def _cross_entropy(logits: Array, targets: Array) -> Array:
    return multiply_no_nan(targets, softplus(-logits)) + multiply_no_nan(1 - targets, softplus(logits))


def _error(logits: Array, targets: Array) -> Array:
    """The target less the probability."""
    return targets * sigmoid(-logits) - (1 - targets) * sigmoid(logits)


@with_slopes(
    lambda x, k: k * power(absolute(x), k - 1),
    lambda x, k: jnp.sign(x) * power(absolute(x), k) * jnp.log(jnp.where(x == 0, 1, absolute(x))),
)  # a slope that JAX gets wrong: that of the sign, at 0
def _signed_power(x: Array, k: Array) -> Array:
    return jnp.sign(x) * power(absolute(x), k)


def _slope_in_logit(x: Array, y: Array, beta: Array) -> Array:
    error = _error(x, y)
    of_weight = beta * _signed_power(error, beta - 1) * (sigmoid(x) * sigmoid(-x))
    return -multiply_no_nan(of_weight, _cross_entropy(x, y)) - power(absolute(error), beta) * error


def _slope_in_target(x: Array, y: Array, beta: Array) -> Array:
    error = _error(x, y)
    slope = beta * _cross_entropy(x, y) - multiply_no_nan(error, x)
    return _signed_power(error, beta - 1) * finite_slope(slope)


def _slope_in_beta(x: Array, y: Array, beta: Array) -> Array:
    size = absolute(_error(x, y))
    log_size = jnp.log(jnp.where(size == 0, 1, size))
    return multiply_no_nan(power(size, beta) * log_size, finite_slope(_cross_entropy(x, y)))


@with_slopes(_slope_in_logit, _slope_in_target, _slope_in_beta)  # an infinite cost times a slope of 0
def _quality_focal(x: Array, y: Array, beta: Array) -> Array:
    return multiply_no_nan(power(absolute(_error(x, y)), beta), _cross_entropy(x, y))


@custom_loss(stand_in=0.5)
def quality_focal(logits: Input, targets: Input, *, beta: NonNegative = 2.0) -> Array:
    r"""The cross entropy of a logit with a quality, weighed down where it is already right.

    $$ |y - \sigma(x)|^\beta \left[ \log(1 + e^x) - x y \right] $$

    Args:
        logits: x, any shape.
        targets: y, in [0, 1], the shape of `logits`: the IoU of the box, 0 where there is none. Of many classes,
            `[..., k]` with the IoU in the column of the class, and `jaxloss.reduce(..., "sum", axis=-1)`.
        beta: How strongly what is right is weighed down, >= 0.

    Corners: right in both tails. At a logit of inf or -inf it is 0 where the sigmoid is y, and else inf. At
    sigma(x) = y, where the slope may be infinite for beta < 1, the gradient is 0. A target outside [0, 1] gives NaN.

    Raises:
        ValueError: `beta` is negative.

    Source: Li et al. (2020), Generalized focal loss, equation 5.

    >>> print(f"{quality_focal(0.5, 0.7):.6f}")
    0.003752
    """
    return _quality_focal(logits, targets, beta) + _outside(targets)


@custom_loss(stand_in=0.5)
def varifocal(logits: Input, targets: Input, *, alpha: NonNegative = 0.75, gamma: NonNegative = 2.0) -> Array:
    r"""The cross entropy of a logit with a quality: positives count by their quality, negatives as in focal loss.

    $$ y \left[ \log(1 + e^x) - x y \right] \text{ for } y > 0, \qquad
       \alpha\,\sigma(x)^\gamma \log(1 + e^x) \text{ for } y = 0 $$

    Args:
        logits: x, any shape.
        targets: y, in [0, 1], the shape of `logits`: the IoU of the box, 0 for a negative.
        alpha: The weight of a negative, >= 0.
        gamma: How strongly easy negatives are weighed down, >= 0.

    Corners: right in both tails. It jumps as y leaves 0, where its slope in y is taken as 0. A target outside [0, 1]
    gives NaN.

    Raises:
        ValueError: An option is negative.

    Source: Zhang et al. (2021), VarifocalNet, equation 2.

    >>> print(f"{varifocal(0.5, 0.7):.6f} {varifocal(0.5, 0.0):.6f}")
    0.436854 0.283059
    """
    of_positive = multiply_no_nan(targets, _cross_entropy(logits, targets))
    return jnp.where(targets > 0, of_positive, alpha * focal(-logits, gamma)) + _outside(targets)


@custom_loss(stand_in=0.5)
def gaussian_focal(logits: Input, targets: Input, *, alpha: NonNegative = 2.0, beta: NonNegative = 4.0) -> Array:
    r"""The focal cost of a heatmap: a peak is a positive, and the nearer to one, the less a negative counts.

    $$ \sigma(-x)^\alpha \log(1 + e^{-x}) \text{ for } y = 1, \qquad
       (1 - y)^\beta\,\sigma(x)^\alpha \log(1 + e^x) \text{ else} $$

    Args:
        logits: x, any shape.
        targets: y, in [0, 1], the shape of `logits`: Gaussian bumps whose peaks are exactly 1, in float32: bfloat16
            rounds 0.9981 to 1, which is a peak more.
        alpha: How strongly what is right is weighed down, >= 0.
        beta: How strongly the neighbours of a peak are weighed down, >= 0.

    The cost of the paper is the sum over the number of peaks, exact over batches and devices as
    `Tally(jaxloss.reduce(gaussian_focal, "sum").tally(logits, targets).numerator, (targets == 1).sum())`.

    Corners: right in both tails. It jumps at y = 1, where its slope in y is taken as 0. A target outside [0, 1] gives
    NaN.

    Raises:
        ValueError: An option is negative.

    Source: Law and Deng (2018), CornerNet, equation 1.

    >>> print(f"{gaussian_focal(0.5, 0.7):.6f} {gaussian_focal(0.5, 1.0):.6f}")
    0.003057 0.067573
    """
    peak = targets == 1
    of_rest = multiply_no_nan(power(1 - jnp.where(peak, 0, targets), beta), focal(-logits, alpha))
    return jnp.where(peak, focal(logits, alpha), of_rest) + _outside(targets)
