"""Many classes, and labels of which some are wrong: softmax losses that a confident wrong label cannot dominate."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input, Negative, NonNegative, UnitInterval
from jaxloss.numerics import generalized_surprisal, label_complement, label_surprisal, multiply_no_nan


@custom_loss(signature="(k),()->()")
def generalized_cross_entropy(logits: Input, labels: Input, *, q: UnitInterval = 0.7) -> Array:
    r"""Between the softmax cross entropy (q = 0) and the mean absolute error of probabilities (q = 1).

    $$ \frac{1 - p_y^q}{q}, \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        q: How much a label that looks wrong is held to be wrong, in [0, 1].

    Corners: at q = 0 it is the cross entropy, and for small q as exact. Never above 1 / q: a label of logit -inf costs
    1 / q and has no gradient (at q = 0 it costs inf, and the gradient is finite). A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Zhang and Sabuncu (2018), Generalized cross entropy loss for training deep neural networks with noisy
    labels, equation 6.

    >>> import jax.numpy as jnp
    >>> print(f"{generalized_cross_entropy(jnp.array([0.0, 0.0]), 0, q=1.0):.4f}")
    0.5000
    """
    return generalized_surprisal(logits, labels, q)


@custom_loss(signature="(k),()->()")
def symmetric_cross_entropy(
    logits: Input, labels: Input, *, alpha: NonNegative = 0.1, beta: NonNegative = 1.0, log_zero: Negative = -4.0
) -> Array:
    r"""The softmax cross entropy, and the one with label and prediction exchanged, in which log 0 is a number.

    $$ -\alpha \log p_y - \beta A\,(1 - p_y), \qquad p = \operatorname{softmax}(x) $$

    The exchanged one is the sum over classes of -p_j log t_j, where t is the one-hot label: log 1 is 0, log 0 is A.

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        alpha: What the cross entropy counts, >= 0. The paper has 0.1 for CIFAR-10, 6.0 for CIFAR-100.
        beta: What the exchanged one counts, >= 0. The paper has 1.0 for CIFAR-10, 0.1 for CIFAR-100.
        log_zero: A, what stands for log 0, < 0.

    Corners: exact for a confident row. A label of logit -inf costs inf, and the gradient is finite; with alpha = 0 it
    costs -beta A. A label outside 0 to k - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: Wang et al. (2019), Symmetric cross entropy for robust learning with noisy labels, equation 7.

    >>> import jax.numpy as jnp
    >>> print(f"{symmetric_cross_entropy(jnp.array([0.0, 0.0]), 0, alpha=0.1, beta=1.0):.4f}")
    2.0693
    """
    cross_entropy, exchanged = label_surprisal(logits, labels), -log_zero * label_complement(logits, labels)
    return multiply_no_nan(alpha, cross_entropy) + beta * exchanged
