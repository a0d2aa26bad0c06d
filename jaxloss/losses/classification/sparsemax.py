"""Classification by distributions that may be sparse: a class far enough behind has no probability at all."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.simplex import sparse_surprisal
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input


def _probability(s: Array) -> Array:
    return (jnp.clip(s, -1, 1) + 1) / 2


@with_slopes(_probability)  # in other arithmetic than the value, whose conditions a GPU would write out for both
def _cost_of_wrong(s: Array) -> Array:
    """The largest p s + p (1 - p): that of the probability of the wrong class by its score s."""
    return jnp.where(s < 1, jnp.square(_probability(s)), s)


@custom_loss(stand_in=0.5)
def sparsemax(logits: Input, labels: Input) -> Array:
    r"""The cost of a label of two classes under sparsemax, which is 0 once the logit is right by 1.

    $$ \max_{0 \le p \le 1} \left[ p s + p (1 - p) \right], \qquad
       s = \begin{cases} -x & y = 1 \\ x & y = 0 \end{cases} $$

    Args:
        logits: A score x for the class 1 against the class 0, any shape.
        labels: Integers, 0 or 1, the shape of `logits`.

    Corners: a label that is neither 0 nor 1 gives NaN. From 1 on the right side, inf too, value and gradient are
    exactly 0; from 1 on the wrong side the cost is the size of the logit.

    Raises:
        TypeError: The labels are not integers.

    Source: Blondel et al. (2020), Learning with Fenchel-Young losses, section 4.4.

    >>> import jax.numpy as jnp
    >>> print(sparsemax(jnp.array([0.5, 2.0, 2.0]), jnp.array([1, 1, 0])))
    0.6875
    """
    known = (labels == 0) | (labels == 1)
    return _cost_of_wrong((1 - 2 * labels.astype(logits.dtype)) * logits + nan_unless(known, logits.dtype))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def multiclass_sparsemax(logits: Input, labels: Input) -> Array:
    r"""The cost of a label under sparsemax, which is 0 once its logit leads all others by 1.

    $$ \max_{p \in \Delta} \left[ p \cdot x - \tfrac12 \lVert p \rVert^2 \right] + \tfrac12 - x_y,
       \qquad \nabla_x = p^* - e_y $$

    with the simplex of distributions over the k classes, and p* the one that is nearest to x.

    Args:
        logits: `[..., k]`, a score for each class.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: a label outside 0 to k - 1 gives NaN. Exact where the label leads by nearly 1; from 1 on value and
    gradient are exactly 0. A class of logit -inf has no probability; if it is the label the cost is inf. The threshold
    is found by steps of Newton that end at the exact support, without a sort, so the class axis may be sharded.

    Raises:
        TypeError: The labels are not integers.

    Source: Martins and Astudillo (2016), From softmax to sparsemax, section 3.2.

    >>> import jax.numpy as jnp
    >>> print(multiclass_sparsemax(jnp.array([[1.0, 0.5, 0.0], [3.0, 0.0, 1.5]]), jnp.array([0, 0])))
    0.03125
    """
    return sparse_surprisal(logits, labels, 1)


@custom_loss(signature="(k),()->()", stand_in=0.5)
def entmax15(logits: Input, labels: Input) -> Array:
    r"""The cost of a label under 1.5-entmax, halfway from softmax to sparsemax; 0 once its logit leads all others by 2.

    $$ \max_{p \in \Delta} \Big[ p \cdot x + \tfrac43 \sum_j \big( p_j - p_j^{3/2} \big) \Big] - x_y,
       \qquad \nabla_x = p^* - e_y, \qquad p^*_j = \left[ x_j / 2 - \tau \right]_+^2 $$

    with the simplex of distributions over the k classes, and tau such that p* is one.

    Args:
        logits: `[..., k]`, a score for each class.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: a label outside 0 to k - 1 gives NaN. Exact where the label leads by nearly 2; from 2 on value and
    gradient are exactly 0. A class of logit -inf has no probability; if it is the label the cost is inf. The threshold
    is found by steps of Newton to the rounding of the format, without a sort, so the class axis may be sharded.

    Raises:
        TypeError: The labels are not integers.

    Source: Peters et al. (2019), Sparse sequence-to-sequence models, section 3, at alpha = 1.5.

    >>> import jax.numpy as jnp
    >>> print(f"{entmax15(jnp.array([[1.0, 0.5, 0.0], [3.0, 0.0, 0.5]]), jnp.array([0, 0])):.5f}")
    0.10163
    """
    return sparse_surprisal(logits, labels, 2)
