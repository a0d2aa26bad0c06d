"""Many classes, some rare or hard: softmax cross entropies that weigh the easy down or move the line for the rare."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_at, pick
from jaxloss.numerics.row import complement
from jaxloss.numerics.safe import multiply_no_nan, power, ratio
from jaxloss.numerics.slopes import with_slopes
from jaxloss.numerics.softmax import label_row, target_row
from jaxloss.numerics.softplus import log1mexp
from jaxloss.types import Array, Input, NonNegative, Number, Positive


def _slope_in_surprisal(surprisal: Array, gamma: Array) -> Array:
    u = jnp.minimum(surprisal, 80)  # beyond it u / expm1(u) is nothing beside 1, and is not formed of inf
    return power(complement(surprisal), gamma) * (1 + gamma * ratio(u, jnp.expm1(u)))


def _slope_in_gamma(surprisal: Array, gamma: Array) -> Array:
    corner = (surprisal == 0) | (surprisal == jnp.inf)
    inside = jnp.where(corner, 1, surprisal)
    return jnp.where(corner, 0, power(complement(inside), gamma) * inside * log1mexp(inside))


@with_slopes(_slope_in_surprisal, _slope_in_gamma)  # an infinite slope times 0
def _focal(surprisal: Array, gamma: Array) -> Array:
    """(1 - p)^gamma (-log p), by -log p."""
    return power(complement(surprisal), gamma) * surprisal


@custom_loss(signature="(k),()->()", stand_in=0.5)
def softmax_focal(logits: Input, labels: Input, *, gamma: NonNegative = 2.0) -> Array:
    r"""The softmax cross entropy, weighed down where it is already right.

    $$ -(1 - p_y)^\gamma \log p_y, \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        gamma: How strongly the easy ones are weighed down, >= 0; 0 leaves the cross entropy.

    Corners: exact for a confident row, where 1 - p is the sum of the others. A label outside 0 to k - 1 gives NaN. A
    label of logit -inf costs inf, and the gradient is finite.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Lin et al. (2017), Focal loss for dense object detection, equation 4, at the softmax.

    >>> print(f"{softmax_focal(jnp.array([2.0, 0.0, 0.0]), 0, gamma=2.0):.5f}")
    0.01087
    """
    return _focal(label_row(logits, labels).surprisal, jnp.asarray(gamma, logits.dtype))


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def poly_cross_entropy(logits: Input, targets: Input, *, epsilon: Number = 2.0) -> Array:
    r"""The softmax cross entropy with another weight on the first term of its expansion in 1 - p.

    $$ \sum_j t_j \left[ -\log p_j + \epsilon\,(1 - p_j) \right], \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        targets: `[..., k]`, one-hot or any distribution.
        epsilon: The weight added to the first term; 0 leaves the cross entropy. Below -1 a confident row costs less
            if it is less confident.

    Corners: exact for a confident row. A class of logit -inf with no target costs nothing; with a target it costs inf,
    and the gradient is finite.

    Raises:
        TypeError: An argument is unknown.

    Source: Leng et al. (2022), PolyLoss: a polynomial expansion perspective of classification loss functions, its
    Poly-1.

    >>> print(f"{poly_cross_entropy(jnp.array([2.0, 0.0, 0.0]), jnp.array([1, 0, 0]), epsilon=2.0):.4f}")
    0.6656
    """
    row = target_row(logits, targets, shared=True)
    return row.surprisal + epsilon * row.complement


@custom_loss(signature="(k),()->()", stand_in=0.5)
def logit_adjusted_cross_entropy(
    logits: Input, labels: Input, *, log_prior: Input, temperature: NonNegative = 1.0
) -> Array:
    r"""The softmax cross entropy of logits to which the log-frequencies of the classes are added in training.

    $$ -\log \operatorname{softmax}(x + \tau \log \pi)_y $$

    The logits alone, without the prior, then rank the classes as if all were equally frequent.

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        log_prior: `[k]`, log pi, the log-frequencies of the classes, up to a constant.
        temperature: tau, >= 0.

    Corners: exact also where the sum of logit and prior is rounded. A class of log-prior -inf has no probability: as a
    label it costs inf, and the gradient is finite. A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Menon et al. (2021), Long-tail learning via logit adjustment, equation 10.

    >>> log_prior = jnp.log(jnp.array([0.75, 0.25]))
    >>> print(f"{logit_adjusted_cross_entropy(jnp.array([0.0, 0.0]), 1, log_prior=log_prior):.4f}")
    1.3863
    """
    return label_row(logits + multiply_no_nan(temperature, jnp.asarray(log_prior, logits.dtype)), labels).surprisal


@custom_loss(signature="(k),()->()", stand_in=0.5)
def ldam(
    logits: Input, labels: Input, *, class_counts: Input, max_margin: NonNegative = 0.5, scale: Positive = 30.0
) -> Array:
    r"""The softmax cross entropy of scaled logits, less a margin at the label, which is larger for a rarer class.

    $$ -\log \operatorname{softmax}(s\,(x - \Delta_y e_y))_y, \qquad
       \Delta_y = \Delta_{\max} \left( \frac{\min_j n_j}{n_y} \right)^{1/4} $$

    Args:
        logits: `[..., k]`, by the paper cosines: of normalised features with normalised weights.
        labels: `[...]`, integers from 0 to k - 1.
        class_counts: `[k]`, n, how often each class is in the training data, > 0.
        max_margin: The margin of the rarest class, in units of the logits, >= 0.
        scale: s, > 0; 1 without a margin leaves the cross entropy.

    Corners: exact for a confident row, whatever the scale. A label of logit -inf costs inf, and the gradient is finite.
    A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Cao et al. (2019), Learning imbalanced datasets with label-distribution-aware margin loss, equation 13.

    >>> print(f"{ldam(jnp.array([0.5, 0.4]), 1, class_counts=jnp.array([1000, 10]), scale=10.0):.4f}")
    6.0025
    """
    class_counts = jnp.asarray(class_counts, logits.dtype)
    margin = max_margin * (jnp.min(class_counts) / pick(class_counts, labels)) ** 0.25
    paid = jnp.where(is_at(logits, labels), logits - margin, logits)
    return label_row(multiply_no_nan(scale, paid), labels).surprisal
