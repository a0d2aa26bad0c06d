"""Many classes: probabilities, or logits of which the softmax is taken, and a label or a target distribution."""

from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import pick
from jaxloss.numerics.safe import is_zero, safe_log, xlogy
from jaxloss.numerics.softmax import cross_entropy, label_row, linked_softmax, target_row
from jaxloss.types import Array, Input, NonNegative, UnitInterval


@custom_loss(signature="(k),(k)->()", stand_in=0.5)
def categorical_cross_entropy(probabilities: Input, targets: Input) -> Array:
    r"""The cross entropy of a distribution over classes with a target distribution.

    $$ -\sum_{j=1}^k y_j \log p_j $$

    Args:
        probabilities: `[..., k]`, in [0, 1]. From a network, take `softmax_cross_entropy` on its logits instead.
        targets: `[..., k]`, one-hot or any distribution.

    Corners: 0 log 0 = 0. A class that has a target and no probability costs inf, with the largest finite number for
    gradient. Probabilities are never clipped and need not sum to 1.

    Source: Good (1952), Rational decisions, its logarithmic score.

    >>> import jax.numpy as jnp
    >>> print(f"{categorical_cross_entropy(jnp.array([0.7, 0.2, 0.1]), jnp.array([1, 0, 0])):.3f}")
    0.357
    """
    return -jnp.sum(xlogy(targets, probabilities))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def sparse_categorical_cross_entropy(probabilities: Input, labels: Input) -> Array:
    r"""The cross entropy of a distribution over classes with an integer label.

    $$ -\log p_y $$

    Args:
        probabilities: `[..., k]`, in [0, 1]. From a network, take `softmax_cross_entropy_with_integer_labels` on its
            logits instead.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: a label outside 0 to k - 1 gives NaN. A label with no probability costs inf, with the largest finite number
    for gradient.

    Raises:
        TypeError: The labels are not integers.

    Source: Good (1952), Rational decisions, its logarithmic score.

    >>> import jax.numpy as jnp
    >>> print(f"{sparse_categorical_cross_entropy(jnp.array([0.7, 0.2, 0.1]), 0):.3f}")
    0.357
    """
    return -safe_log(pick(probabilities, labels))


@custom_loss(signature="(k),(k),(k)->()", stand_in={"logits": 0.5, "targets": 0.0})
def softmax_cross_entropy(
    logits: Input,
    targets: Input,
    class_mask: Input = None,
    *,
    label_smoothing: UnitInterval = 0.0,
    z_loss: NonNegative = 0.0,
) -> Array:
    r"""The cross entropy of the softmax of logits with a target distribution.

    $$ \sum_j t_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j}, \qquad t_j = (1 - s)\,y_j + s / k $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        targets: `[..., k]`, one-hot or any distribution.
        class_mask: `[k]` shared, or `[..., k]`: True where a class may be chosen. The others, like those of logit -inf,
            have no probability and no gradient, are not smoothed over, and may hold anything; targets there are
            dropped.
        label_smoothing: s, in [0, 1], spread over the k classes that may be chosen.
        z_loss: z, the weight of the squared log-partition, >= 0.

    Corners: a confident row may cost 1e-9, and does not round to 0. A class of logit -inf with no target costs nothing;
    with a target it costs inf, and the gradient is finite. A row whose classes are all masked costs 0.

    Raises:
        ValueError: An option is out of range.

    Source: Bridle (1990), Probabilistic interpretation of feedforward network outputs, its softmax; smoothing: Szegedy
    et al. (2016), Rethinking the Inception architecture, section 7; z-loss: Chowdhery et al. (2022), PaLM, section 5.

    >>> import jax.numpy as jnp
    >>> print(f"{softmax_cross_entropy(jnp.array([-jnp.inf, 0.0, 0.0]), jnp.array([0.0, 1.0, 0.0])):.4f}")
    0.6931
    """
    row = target_row(*_possible(class_mask, logits, targets), spread=not is_zero(label_smoothing))
    return _unless_masked(class_mask, cross_entropy(row, label_smoothing, z_loss))


@custom_loss(signature="(k),(),(k)->()", stand_in=0.5)
def softmax_cross_entropy_with_integer_labels(
    logits: Input,
    labels: Input,
    class_mask: Input = None,
    *,
    label_smoothing: UnitInterval = 0.0,
    z_loss: NonNegative = 0.0,
    class_axis_name: Any = None,
) -> Array:
    r"""The cross entropy of the softmax of logits with an integer label.

    $$ (1 - s)(\log Z - x_y) + \frac{s}{k} \sum_j (\log Z - x_j) + z (\log Z)^2, \qquad Z = \sum_j e^{x_j} $$

    Args:
        logits: `[..., k]`, unnormalised log-probabilities.
        labels: `[...]`, integers from 0 to k - 1.
        class_mask: `[k]` shared, or `[..., k]`: True where a class may be chosen. The others, like those of logit -inf,
            have no probability and no gradient, are not smoothed over, and may hold anything.
        label_smoothing: s, in [0, 1], spread over the k classes that may be chosen.
        z_loss: z, the weight of the squared log-partition, >= 0.
        class_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the classes of logits and class_mask are
            split. Labels count over all of them, and no row is gathered.

    Corners: a label outside 0 to k - 1 gives NaN, also the -100 that marks padding elsewhere: pass
    `where=labels != -100`. Otherwise as `softmax_cross_entropy`.

    Raises:
        TypeError: The labels are not integers.
        ValueError: An option is out of range.

    Source: as `softmax_cross_entropy`.

    >>> import jax.numpy as jnp
    >>> logits, labels = jnp.array([[1.0, 2.0], [3.0, 1.0]]), jnp.array([0, -100])
    >>> print(f"{softmax_cross_entropy_with_integer_labels(logits, labels, where=labels != -100):.4f}")
    1.3133
    """
    (logits,) = _possible(class_mask, logits)
    if class_axis_name is not None:
        options = {"label_smoothing": label_smoothing, "z_loss": z_loss}
        return linked_softmax(cross_entropy, logits, labels, class_axis_name, options)
    row = label_row(logits, labels, spread=not is_zero(label_smoothing))
    return _unless_masked(class_mask, cross_entropy(row, label_smoothing, z_loss))


def _possible(class_mask: Array | None, logits: Array, targets: Array | None = None) -> tuple[Array, ...]:
    if class_mask is not None:
        logits = jnp.where(class_mask, logits, -jnp.inf)
        targets = None if targets is None else jnp.where(class_mask, targets, 0)
    return (logits,) if targets is None else (logits, targets)


def _unless_masked(class_mask: Array | None, cost: Array) -> Array:
    """The cost, and 0 where the mask leaves no class; the NaN of a label that is none stays."""
    return cost if class_mask is None else jnp.where(jnp.any(class_mask, axis=-1) | jnp.isnan(cost), cost, 0)
