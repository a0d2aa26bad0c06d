"""Two classes: a probability or a logit of the class 1, and a target in [0, 1]."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.focal import focal, log_of, plain_sigmoid, share_of_sigmoid, slope_in_gamma
from jaxloss.numerics.safe import (
    finite_slope,
    largest_like,
    multiply_no_nan,
    power,
    ratio,
    slope_in_weight,
    xlog1py,
    xlogy,
)
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array, Input, NonNegative, UnitInterval


@custom_loss(stand_in=0.5)
def binary_cross_entropy(probabilities: Input, targets: Input) -> Array:
    r"""The cross entropy of a probability with a 0/1 target.

    $$ -\left[ y \log p + (1 - y) \log(1 - p) \right] $$

    Args:
        probabilities: Of the class 1, in [0, 1], any shape. From a network, take `sigmoid_binary_cross_entropy` on its
            logits instead: a probability that has rounded to 1 has lost what the gradient needs.
        targets: In [0, 1], the shape of `probabilities`.

    Corners: 0 log 0 = 0. A certain mistake (p = 0, y = 1) costs inf, and its gradient is the largest finite number.
    Probabilities are never clipped; one outside [0, 1] gives NaN.

    Source: Good (1952), Rational decisions, its logarithmic score.

    >>> print(f"{binary_cross_entropy(0.8, 1.0):.3f}")
    0.223
    """
    return -xlogy(targets, probabilities) - xlog1py(1 - targets, -probabilities)


@with_slopes(plain_sigmoid)  # a slope that JAX gets wrong: half a one at x = 0, NaN at inf
def _softplus(x: Array) -> Array:
    return softplus(x)


@custom_loss(stand_in=0.5)
def sigmoid_binary_cross_entropy(
    logits: Input, targets: Input, *, positive_weight: NonNegative = 1.0, label_smoothing: UnitInterval = 0.0
) -> Array:
    r"""The cross entropy of the sigmoid of a logit with a 0/1 target.

    $$ w\,y\,\log(1 + e^{-x}) + (1 - y) \log(1 + e^x), \qquad y \leftarrow (1 - s)\,y + s / 2 $$

    Args:
        logits: Log odds of the class 1, any shape.
        targets: In [0, 1], the shape of `logits`.
        positive_weight: w, the weight of a positive against a negative, >= 0: a number, or an array along the trailing
            axes (one for each label).
        label_smoothing: s, in [0, 1].

    Corners: right in both tails, 0 at a logit of inf on a positive and of -inf on a negative. At a logit of inf on the
    wrong side the cost is inf and the gradient in the logit +-1.

    Raises:
        ValueError: An option is out of range, or `positive_weight` does not align with the trailing axes.

    Source: Good (1952), Rational decisions, its logarithmic score, at p = sigmoid(x).

    >>> import jax.numpy as jnp
    >>> print(f"{sigmoid_binary_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1.0, 0.0])):.4f}")
    50.3466
    """
    positive = (1 - label_smoothing) * targets + 0.5 * label_smoothing
    negative = (1 - label_smoothing) * (1 - targets) + 0.5 * label_smoothing
    of_positive, of_negative = _softplus(-logits), _softplus(logits)
    return multiply_no_nan(positive_weight * positive, of_positive) + multiply_no_nan(negative, of_negative)


def _slope_of_positive(weight: Array, p: Array, gamma: Array) -> Array:
    inside = jnp.where(p == 0, 1, p)
    slope = power(1 - p, gamma - 1) * gamma * jnp.log(inside) * weight - power(1 - p, gamma) * ratio(weight, inside)
    return jnp.where(p == 0, -largest_like(p) * weight, slope)


def _change_of_mean_slope(p: Array) -> Array:
    return (1 / (1 - p) - _mean_slope(p)) / jnp.where(p == 0, 1, p)


@with_slopes(_change_of_mean_slope)  # a derivative that overflows: 1 / p^2
def _mean_slope(p: Array) -> Array:
    """That of -log(1 - p) between 0 and p > 0."""
    return -jnp.log1p(-p) / jnp.where(p == 0, 1, p)


def _slope_of_negative(weight: Array, p: Array, gamma: Array) -> Array:
    inside = jnp.where(p == 1, 0, p)
    slope = power(p, gamma) / (1 - inside) + power(p, gamma) * (gamma * _mean_slope(inside))
    return weight * jnp.where(p == 1, largest_like(p), slope)


@with_slopes(
    lambda weight, p, gamma: slope_in_weight(weight, power(1 - p, gamma) * -jnp.log(p)),
    _slope_of_positive,
    lambda weight, p, gamma: weight * slope_in_gamma(p, 1 - p, gamma),
)  # an infinite slope at p = 0; the weight is inside since the second one, by 1 / p^2, overflows without it
def _focal_of_positive(weight: Array, p: Array, gamma: Array) -> Array:
    return multiply_no_nan(weight, power(1 - p, gamma) * -jnp.log(p))


@with_slopes(
    lambda weight, p, gamma: slope_in_weight(weight, power(p, gamma) * -jnp.log1p(-p)),
    _slope_of_negative,
    lambda weight, p, gamma: weight * slope_in_gamma(1 - p, p, gamma),
)  # an infinite slope at p = 1
def _focal_of_negative(weight: Array, p: Array, gamma: Array) -> Array:
    return multiply_no_nan(weight, power(p, gamma) * -jnp.log1p(-p))


@custom_loss(stand_in=0.5)
def binary_focal(
    probabilities: Input, targets: Input, *, alpha: UnitInterval = 0.25, gamma: NonNegative = 2.0
) -> Array:
    r"""The cross entropy of a probability, weighed down where it is already right.

    $$ -\alpha_t (1 - p_t)^\gamma \log p_t, \qquad
       (p_t, \alpha_t) = \begin{cases} (p, \alpha) & y = 1 \\ (1 - p, 1 - \alpha) & y = 0 \end{cases} $$

    Args:
        probabilities: Of the class 1, in [0, 1], any shape.
        targets: In [0, 1], the shape of `probabilities`. One between 0 and 1 mixes the two cases in that proportion.
        alpha: The weight of a positive, in [0, 1]; a negative has 1 - alpha.
        gamma: How strongly the easy ones are weighed down, >= 0; 0 leaves the cross entropy, times alpha_t.

    Corners: 0 with a finite gradient at p_t = 1; inf at p_t = 0, with the largest finite number for gradient. From a
    network, take `sigmoid_focal` on its logits instead, which has neither corner.

    Raises:
        ValueError: An option is out of range.

    Source: Lin et al. (2017), Focal loss for dense object detection, equation 5.

    >>> print(f"{binary_focal(0.9, 1.0, alpha=0.25, gamma=2.0):.6f}")  # often printed as 0.001, which is off
    0.000263
    """
    of_positive = _focal_of_positive(alpha * targets, probabilities, gamma)
    return of_positive + _focal_of_negative((1 - alpha) * (1 - targets), probabilities, gamma)


def _positive_less_negative(x: Array, gamma: Array) -> Array:
    """The cost of a positive less that of a negative: odd in x, so that the size of x decides."""
    side = jnp.where(x < 0, -1, 1).astype(x.dtype)
    size = side * jnp.where(jnp.isinf(x), 0, x)
    return -side * sigmoid(size) ** gamma * (size - jnp.expm1(-gamma * size) * softplus(-size))


@with_slopes(
    lambda *arguments: _positive_less_negative(*arguments[3:]),
    lambda target, *_: target,
    lambda target, *_: 1 - target,
    None,
    None,
)  # a derivative that cancels: beside x = 0 both cost the same
def _mixture(target: Array, of_positive: Array, of_negative: Array, *_: Array) -> Array:
    """The cost of a target between 0 and 1. The last two arguments, the logit and gamma, serve the slope alone."""
    return multiply_no_nan(target, of_positive) + multiply_no_nan(1 - target, of_negative)


@custom_loss(stand_in=0.5)
def sigmoid_focal(logits: Input, targets: Input, *, alpha: UnitInterval = None, gamma: NonNegative = 2.0) -> Array:
    r"""The cross entropy of the sigmoid of a logit, weighed down where it is already right.

    $$ \alpha\,y\,\sigma(-x)^\gamma \log(1 + e^{-x}) + (1 - \alpha)(1 - y)\,\sigma(x)^\gamma \log(1 + e^x) $$

    Args:
        logits: Log odds x of the class 1, any shape.
        targets: In [0, 1], the shape of `logits`. One between 0 and 1 mixes the two cases in that proportion.
        alpha: The weight of a positive, in [0, 1]; a negative has 1 - alpha. With None, unlike 1/2, both have 1.
        gamma: How strongly the easy ones are weighed down, >= 0; 0 leaves the cross entropy.

    Corners: right in both tails, down to where the format underflows; the gradient is finite for any gamma, 0 too.
    The cost is 0 at a logit of inf on a positive and of -inf on a negative. At a logit of inf on the wrong side the
    cost is inf, and the gradient in the logit that of the cross entropy.

    Raises:
        ValueError: An option is out of range.

    Source: Lin et al. (2017), Focal loss for dense object detection, equation 5, at p = sigmoid(x).

    >>> import jax.numpy as jnp
    >>> print(f"{sigmoid_focal(jnp.array([2.0, -1.0]), jnp.array([1.0, 1.0])):.4f}")
    0.3518
    """
    of_positive, of_negative = focal(logits, gamma), focal(-logits, gamma)
    if alpha is None:
        return _mixture(targets, of_positive, of_negative, logits, gamma)
    return multiply_no_nan(alpha * targets, of_positive) + multiply_no_nan((1 - alpha) * (1 - targets), of_negative)


def _shifted(x: Array, shift: Array) -> tuple[Array, Array, Array]:
    """Whether sigmoid(x) is above the shift m, p_m and 1 - p_m."""
    active = ~(plain_sigmoid(x) <= shift)
    return active, jnp.where(active, plain_sigmoid(x) - shift, 0.5), jnp.where(active, plain_sigmoid(-x) + shift, 0.5)


def _slope_in_logit(x: Array, gamma: Array, shift: Array) -> Array:
    active, p, complement = _shifted(x, shift)
    steep = 1 - gamma * ratio(multiply_no_nan(complement, log_of(complement, p)), p)
    # sigmoid(-x) / (1 - p_m), right also where both underflow.
    log_odds = jnp.where(shift == 0, jnp.inf, -x - jnp.log(shift / (1 + shift)))
    slope = power(p, gamma) * plain_sigmoid(x) * share_of_sigmoid(steep, log_odds) / (1 + shift)
    return jnp.where(active, slope, 0)


def _slope_in_shift(x: Array, gamma: Array, shift: Array) -> Array:
    active, p, complement = _shifted(x, shift)
    steep = 1 / complement - multiply_no_nan(gamma / p, log_of(complement, p))
    return jnp.where(active, -finite_slope(power(p, gamma) * steep), 0)


def _slope_in_exponent(x: Array, gamma: Array, shift: Array) -> Array:
    active, p, complement = _shifted(x, shift)
    return jnp.where(active, slope_in_gamma(complement, p, gamma), 0)


@with_slopes(_slope_in_logit, _slope_in_exponent, _slope_in_shift)  # derivatives that overflow or cancel in the tails
def _shifted_focal(x: Array, gamma: Array, shift: Array) -> Array:
    """The cost of a negative at a logit: p_m^gamma times -log(1 - p_m), where 1 - p_m = sigmoid(-x) + m."""
    active = ~(sigmoid(x) <= shift)
    log_complement = jnp.logaddexp(-softplus(x), jnp.log(shift))
    return jnp.where(active, jnp.where(active, sigmoid(x) - shift, 1) ** gamma * -log_complement, 0)


@custom_loss(stand_in=0.5)
def asymmetric(
    logits: Input,
    targets: Input,
    *,
    gamma_negative: NonNegative = 4.0,
    gamma_positive: NonNegative = 1.0,
    shift: UnitInterval = 0.05,
) -> Array:
    r"""The focal cost of one of many labels, weighed down more for negatives, of which the easiest cost nothing.

    $$ -y\,(1 - p)^{\gamma_+} \log p - (1 - y)\,p_m^{\gamma_-} \log(1 - p_m), \qquad
       p = \sigma(x), \quad p_m = \max(p - m, 0) $$

    Args:
        logits: Log odds x of each label, any shape.
        targets: In [0, 1], the shape of `logits`. One between 0 and 1 mixes the two cases in that proportion.
        gamma_negative: How strongly easy negatives are weighed down, >= 0.
        gamma_positive: How strongly easy positives are weighed down, >= 0.
        shift: m, the probability up to which a negative costs nothing, in [0, 1].

    Corners: a negative of probability m or less has value and gradient 0. Right in both tails. A logit of inf on a
    negative costs -(1 - m)^gamma_negative log m with gradient 0, and inf with gradient 1 where m is 0; one of -inf on a
    positive costs inf with gradient -1.

    Raises:
        ValueError: An option is out of range.

    Source: Ridnik et al. (2021), Asymmetric loss for multi-label classification, section 2.

    >>> import jax.numpy as jnp
    >>> print(f"{asymmetric(jnp.array([2.0, 2.0, -3.0]), jnp.array([1.0, 0.0, 0.0])):.4f}")
    0.2872
    """
    of_positive, of_negative = focal(logits, gamma_positive), _shifted_focal(logits, gamma_negative, shift)
    return multiply_no_nan(targets, of_positive) + multiply_no_nan(1 - targets, of_negative)
