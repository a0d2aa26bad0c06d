"""Many classes, some rare or hard: softmax cross entropies that weigh the easy down or move the line for the rare."""

from jaxloss.core.loss import custom_loss
from jaxloss.core.types import Array, Input, NonNegative, Number
from jaxloss.numerics import expected_complement, expected_surprisal, modulated_surprisal


@custom_loss(signature="(k),()->()")
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

    >>> import jax.numpy as jnp
    >>> print(f"{softmax_focal(jnp.array([2.0, 0.0, 0.0]), 0, gamma=2.0):.5f}")
    0.01087
    """
    return modulated_surprisal(logits, labels, gamma)


@custom_loss(signature="(k),(k)->()")
def poly_cross_entropy(logits: Input, targets: Input, *, epsilon: Number = 2.0) -> Array:
    r"""The softmax cross entropy with another weight on the first term of its expansion in 1 - p.

    $$ \sum_j t_j \left[ -\log p_j + \epsilon\,(1 - p_j) \right], \qquad p = \operatorname{softmax}(x) $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        targets: `[..., k]`, one-hot or any distribution.
        epsilon: What the first term counts beyond 1; 0 leaves the cross entropy. Below -1 a confident row gains by
            being less so.

    Corners: exact for a confident row. A class of logit -inf with no target costs nothing; with a target it costs inf,
    and the gradient is finite.

    Raises:
        TypeError: An argument is unknown.

    Source: Leng et al. (2022), PolyLoss: a polynomial expansion perspective of classification loss functions,
    equation 4.

    >>> import jax.numpy as jnp
    >>> print(f"{poly_cross_entropy(jnp.array([2.0, 0.0, 0.0]), jnp.array([1, 0, 0]), epsilon=2.0):.4f}")
    0.6656
    """
    return expected_surprisal(targets, logits) + epsilon * expected_complement(targets, logits)
