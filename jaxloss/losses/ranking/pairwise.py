"""Losses of the pairs of documents of different relevance."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import known
from jaxloss.numerics.margins import misses
from jaxloss.numerics.pairs import members, sums_over_pairs
from jaxloss.numerics.safe import positive_part, ratio
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, NonNegative


def _mean_over_pairs(scores: Array, targets: Array, item_mask: Array | None, cost: Callable[[Array], Array]) -> Array:
    """The mean of a cost of s_i - s_j over the pairs of a list with y_i > y_j; 0 if there are none."""

    def term(s: Array, y: Array, here: Array, others: Array, grades: Array, listed: Array) -> tuple[Array, Array]:
        counts = here & listed & (y > grades)
        return jnp.where(counts, cost(s - others), 0), counts

    listed = members(scores, item_mask)
    sums, counts = sums_over_pairs(term, scores, targets, listed)
    return ratio(jnp.sum(sums), jnp.sum(counts.astype(scores.dtype))) + known(targets, listed)


_FEW = 2048  # documents whose pairs are formed sooner than sorted


def _mean_of_misses(scores: Array, targets: Array, item_mask: Array | None, margin: Any, power: int) -> Array:
    """The mean over the pairs of a list of what they miss of a margin, to the power 1 or 2."""
    if scores.shape[0] <= _FEW:
        return _mean_over_pairs(scores, targets, item_mask, lambda ahead: positive_part(margin - ahead) ** power)
    listed = members(scores, item_mask)
    mean = ratio(*misses(scores, targets, listed, jnp.asarray(margin, scores.dtype), power))
    return mean + known(scores, listed) + known(targets, listed)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def pairwise_logistic(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""The logistic loss of the differences of scores, over the pairs of documents of different relevance.

    $$ \operatorname*{mean}_{i, j:\,y_i > y_j} \log \bigl( 1 + e^{-(s_i - s_j)} \bigr) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Time grows as n^2, memory as n. The axis must not be sharded.

    Corners: without a pair it is 0 with gradient 0, so also with every document deleted; it counts in the mean, and
    `where=item_mask.any(-1)` leaves such a list out. At equal scores the slope of a pair is -1/2.

    Source: Burges et al. (2005), Learning to rank using gradient descent, equation 3 (RankNet).

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_logistic(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    0.584484
    """
    return _mean_over_pairs(scores, targets, item_mask, lambda ahead: softplus(-ahead))


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def pairwise_hinge(scores: Input, targets: Input, item_mask: Input = None, *, margin: NonNegative = 1.0) -> Array:
    r"""By how much pairs of documents of different relevance miss a margin between their scores.

    $$ \operatorname*{mean}_{i, j:\,y_i > y_j} \max \bigl( 0, m - (s_i - s_j) \bigr) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.
        margin: m >= 0.

    From 2049 documents on, by sorts: for g grades time grows as n log(n)^2 log(g), and second derivatives are those of
    forward over reverse mode. Memory grows as n. The axis must not be sharded.

    Corners: as `pairwise_logistic`; at the margin the slope is 0.

    Raises:
        ValueError: `margin` is negative.

    Source: Herbrich et al. (1999), Support vector learning for ordinal regression, its equation 8 with slack.

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_hinge(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    0.666667
    """
    return _mean_of_misses(scores, targets, item_mask, margin, power=1)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def pairwise_squared_hinge(
    scores: Input, targets: Input, item_mask: Input = None, *, margin: NonNegative = 1.0
) -> Array:
    r"""The square of by how much pairs of documents of different relevance miss a margin; of two grades, of the AUC.

    $$ \operatorname*{mean}_{i, j:\,y_i > y_j} \max \bigl( 0, m - (s_i - s_j) \bigr)^2 $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.
        margin: m >= 0.

    From 2049 documents on, by sorts: for g grades time grows as n log(n)^2 log(g), and second derivatives are those of
    forward over reverse mode. Memory grows as n. The axis must not be sharded.

    Corners: as `pairwise_logistic`; at the margin the slope is 0.

    Raises:
        ValueError: `margin` is negative.

    Source: Yan et al. (2003), Optimizing classifier performance via an approximation to the Wilcoxon-Mann-Whitney
    statistic, equation 6, at power 2.

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_squared_hinge(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    1.333333
    """
    return _mean_of_misses(scores, targets, item_mask, margin, power=2)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def pairwise_squared_error(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""The squared error of the differences of scores, over all pairs of documents; in O(n).

    $$ \operatorname*{mean}_{i \ne j} \bigl[ (s_i - s_j) - (y_i - y_j) \bigr]^2
       = \frac2{n - 1} \sum_i (e_i - \bar e)^2, \qquad e = s - y $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Corners: of one document, or of none, it is 0 with gradient 0, and counts in the mean; `where=item_mask.any(-1)`
    leaves an empty list out.

    Source: the variance of the errors, twice; pairs of a document with itself do not count.

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_squared_error(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    2.000000
    """
    error, listed = scores - targets, members(scores, item_mask)
    count = jnp.sum(listed, dtype=error.dtype)
    mean = ratio(jnp.sum(jnp.where(listed, error, 0)), count)
    return ratio(2 * jnp.sum(jnp.where(listed, jnp.square(error - mean), 0)), jnp.maximum(count - 1, 0))
