"""Losses of a whole list: softmax and the likelihood of its order, by sorting."""

import math

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import known
from jaxloss.numerics.order import log_sum_of_larger, partial_nll
from jaxloss.numerics.pairs import members
from jaxloss.numerics.safe import multiply_no_nan
from jaxloss.numerics.softmax import target_row
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def listwise_softmax(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""The cross entropy of the softmax of the scores of a list with its relevances, which are taken as they are.

    $$ \sum_i y_i \Bigl( \log \sum_j e^{s_j} - s_i \Bigr) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y >= 0, the relevances. Divided by their sum they are the normalised form; the softmax of
            the grades gives ListNet.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Corners: without a relevant document it is 0 with gradient 0. So it is with every document deleted, and it counts in
    the mean; `where=item_mask.any(-1)` leaves such a list out. A relevant document of score -inf costs inf.

    Source: Bruch et al. (2019), An analysis of the softmax cross entropy loss for learning-to-rank with binary
    relevance, equation 3; ListNet: Cao et al. (2007), Learning to rank: from pairwise approach to listwise approach.

    >>> import jax.numpy as jnp
    >>> print(f"{listwise_softmax(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    3.222818
    """
    if item_mask is None:
        return target_row(scores, targets).surprisal
    row = target_row(jnp.where(item_mask, scores, -jnp.inf), jnp.where(item_mask, targets, 0))
    return jnp.where(jnp.any(item_mask), row.surprisal, 0)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def list_mle(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""The negative log-likelihood of the order of the relevances, drawn one document after the other (Plackett-Luce).

    $$ \sum_i \Bigl[ \log \sum_{j:\,y_j \le y_i} e^{s_j} - s_i \Bigr] $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances. The documents are sorted by them: this axis must not be sharded.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Documents of one relevance share a denominator, so that their order does not matter. Up to 256 documents meet in
    pairs, more are sorted.

    Corners: an order that is surely right costs 1e-9 when it should. With every document deleted it is 0 with gradient
    0, and counts in the mean; `where=item_mask.any(-1)` leaves such a list out. A document of score -inf costs inf.

    Source: Xia et al. (2008), Listwise approach to learning to rank, section 4.3; ties: Breslow (1974), Covariance
    analysis of censored survival data.

    >>> import jax.numpy as jnp
    >>> print(f"{list_mle(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    1.534534
    """
    listed = members(scores, item_mask)
    nll = partial_nll(-targets, jnp.where(listed, scores, -jnp.inf), listed, average_ties=False)
    return nll + known(targets, listed)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def unique_softmax(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""Each document against those of lower relevance, weighed by its gain.

    $$ \sum_i (2^{y_i} - 1) \Bigl[ \log \Bigl( e^{s_i} + \sum_{j:\,y_j < y_i} e^{s_j} \Bigr) - s_i \Bigr] $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y >= 0, the relevances. The documents are sorted by them: this axis must not be sharded.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Up to 256 documents meet in pairs, more are sorted.

    Corners: a document of relevance 0 costs nothing, also of score -inf. With every document deleted it is 0 with
    gradient 0, and counts in the mean; `where=item_mask.any(-1)` leaves such a list out.

    Source: Zhu and Klabjan (2020), Listwise learning to rank by exploring unique ratings, equation 6.

    >>> import jax.numpy as jnp
    >>> print(f"{unique_softmax(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.4f}")
    4.3497
    """
    listed = members(scores, item_mask)
    gain = jnp.where(listed, jnp.expm1(math.log(2) * targets), 0)
    log_sum = log_sum_of_larger(-targets, jnp.where(listed, scores, -jnp.inf))
    return jnp.sum(multiply_no_nan(gain, softplus(log_sum - jnp.where(listed, scores, 0))))
