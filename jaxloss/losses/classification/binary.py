"""Two classes: a probability or a logit of the class 1, and a target in [0, 1]."""

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import (
    binary_surprisal,
    focal_surprisal,
    logistic_surprisal,
    modulated_binary_surprisal,
    modulated_surprisal,
    multiply_no_nan,
    reused,
    shifted_surprisal,
)
from jaxloss.types import Array, Input, NonNegative, UnitInterval


@custom_loss
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
    return binary_surprisal(probabilities, targets)


@custom_loss
def sigmoid_binary_cross_entropy(
    logits: Input, targets: Input, *, positive_weight: NonNegative = 1.0, label_smoothing: UnitInterval = 0.0
) -> Array:
    r"""The cross entropy of the sigmoid of a logit with a 0/1 target.

    $$ w\,y\,\log(1 + e^{-x}) + (1 - y) \log(1 + e^x), \qquad y \leftarrow (1 - s)\,y + s / 2 $$

    Args:
        logits: Log odds of the class 1, any shape.
        targets: In [0, 1], the shape of `logits`.
        positive_weight: w, what a positive counts against a negative, >= 0: a number, or an array along the trailing
            axes (one for each label).
        label_smoothing: s, in [0, 1].

    Corners: exact in both tails, 0 at a logit of inf on a positive and of -inf on a negative. At a logit of inf on the
    wrong side the cost is inf and the gradient in the logit +-1.

    Raises:
        ValueError: An option is out of range, or `positive_weight` does not align with the trailing axes.

    Source: Good (1952), Rational decisions, its logarithmic score, at p = sigmoid(x).

    >>> import jax.numpy as jnp
    >>> print(f"{sigmoid_binary_cross_entropy(jnp.array([0.0, 100.0]), jnp.array([1.0, 0.0])):.4f}")
    50.3466
    """
    return logistic_surprisal(logits, targets, positive_weight, label_smoothing)


@custom_loss
def binary_focal(
    probabilities: Input, targets: Input, *, alpha: UnitInterval = 0.25, gamma: NonNegative = 2.0
) -> Array:
    r"""The cross entropy of a probability, weighed down where it is already right.

    $$ -\alpha_t (1 - p_t)^\gamma \log p_t, \qquad
       (p_t, \alpha_t) = \begin{cases} (p, \alpha) & y = 1 \\ (1 - p, 1 - \alpha) & y = 0 \end{cases} $$

    Args:
        probabilities: Of the class 1, in [0, 1], any shape.
        targets: In [0, 1], the shape of `probabilities`. One between 0 and 1 mixes the two cases in that proportion.
        alpha: What a positive counts, in [0, 1]; a negative counts 1 - alpha.
        gamma: How strongly the easy ones are weighed down, >= 0; 0 leaves the cross entropy, times alpha_t.

    Corners: 0 with a finite gradient at p_t = 1; inf at p_t = 0, with the largest finite number for gradient. From a
    network, take `sigmoid_focal` on its logits instead, which has neither corner.

    Raises:
        ValueError: An option is out of range.

    Source: Lin et al. (2017), Focal loss for dense object detection, equation 5.

    >>> print(f"{binary_focal(0.9, 1.0, alpha=0.25, gamma=2.0):.6f}")  # often printed as 0.001, which is off
    0.000263
    """
    return modulated_binary_surprisal(probabilities, targets, gamma, alpha, 1 - alpha)


@custom_loss
def sigmoid_focal(logits: Input, targets: Input, *, alpha: UnitInterval = None, gamma: NonNegative = 2.0) -> Array:
    r"""The cross entropy of the sigmoid of a logit, weighed down where it is already right.

    $$ \alpha\,y\,\sigma(-x)^\gamma \log(1 + e^{-x}) + (1 - \alpha)(1 - y)\,\sigma(x)^\gamma \log(1 + e^x) $$

    Args:
        logits: Log odds x of the class 1, any shape.
        targets: In [0, 1], the shape of `logits`. One between 0 and 1 mixes the two cases in that proportion.
        alpha: What a positive counts, in [0, 1]; a negative counts 1 - alpha. With None, unlike 1/2, both count 1.
        gamma: How strongly the easy ones are weighed down, >= 0; 0 leaves the cross entropy.

    Corners: exact in both tails, as long as the format has numbers that small; the gradient is finite for any gamma,
    0 too. 0 at a logit of inf on a positive and of -inf on a negative. At a logit of inf on the wrong side the cost is
    inf, and the gradient in the logit that of the cross entropy.

    Raises:
        ValueError: An option is out of range.

    Source: Lin et al. (2017), Focal loss for dense object detection, equation 5, at p = sigmoid(x).

    >>> import jax.numpy as jnp
    >>> print(f"{sigmoid_focal(jnp.array([2.0, -1.0]), jnp.array([1.0, 1.0])):.4f}")
    0.3518
    """
    positive_weight, negative_weight = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
    return focal_surprisal(logits, targets, gamma, positive_weight, negative_weight)


@custom_loss
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

    Corners: a negative of probability m or less has value and gradient 0. Exact in both tails. A logit of inf on a
    negative costs -(1 - m)^gamma_negative log m with gradient 0, and inf with gradient 1 where m is 0; one of -inf on a
    positive costs inf with gradient -1.

    Raises:
        ValueError: An option is out of range.

    Source: Ridnik et al. (2021), Asymmetric loss for multi-label classification, section 2.

    >>> import jax.numpy as jnp
    >>> print(f"{asymmetric(jnp.array([2.0, 2.0, -3.0]), jnp.array([1.0, 0.0, 0.0])):.4f}")
    0.2872
    """
    positive = multiply_no_nan(targets, modulated_surprisal(logits, gamma_positive))
    return reused(positive + multiply_no_nan(1 - targets, shifted_surprisal(logits, gamma_negative, shift)))
