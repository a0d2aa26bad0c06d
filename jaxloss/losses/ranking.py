"""Learning to rank: one item is one list of documents, with a score and a graded relevance each.

The means are over the pairs of one list. For the mean over all pairs of a batch pass the number of pairs as `weights=`.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.order import in_order, partial_nll, places_by
from jaxloss.numerics.pairs import sums_over_pairs
from jaxloss.numerics.safe import multiply_no_nan, positive_part, ratio
from jaxloss.numerics.softmax import target_row
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array, Input, NonNegative, Positive


def _listed(scores: Array, item_mask: Array | None) -> Array:
    return jnp.ones_like(scores, bool) if item_mask is None else item_mask


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

    Documents of one relevance share a denominator, so that their order does not matter.

    Corners: an order that is surely right costs 1e-9 when it should. With every document deleted it is 0 with gradient
    0, and counts in the mean; `where=item_mask.any(-1)` leaves such a list out. A document of score -inf costs inf.

    Source: Xia et al. (2008), Listwise approach to learning to rank, section 4.3; ties: Breslow (1974), Covariance
    analysis of censored survival data.

    >>> import jax.numpy as jnp
    >>> print(f"{list_mle(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    1.534534
    """
    listed = _listed(scores, item_mask)
    return partial_nll(-targets, jnp.where(listed, scores, -jnp.inf), listed, average_ties=False)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def unique_softmax(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""Each document against those of lower relevance, weighed by its gain.

    $$ \sum_i (2^{y_i} - 1) \Bigl[ \log \Bigl( e^{s_i} + \sum_{j:\,y_j < y_i} e^{s_j} \Bigr) - s_i \Bigr] $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y >= 0, the relevances. The documents are sorted by them: this axis must not be sharded.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Corners: a document of relevance 0 costs nothing, also of score -inf. With every document deleted it is 0 with
    gradient 0, and counts in the mean; `where=item_mask.any(-1)` leaves such a list out.

    Source: Zhu and Klabjan (2020), Listwise learning to rank by exploring unique ratings, equation 6.

    >>> import jax.numpy as jnp
    >>> print(f"{unique_softmax(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    4.349746
    """
    listed = _listed(scores, item_mask)
    ordered = in_order(-targets, jnp.where(listed, scores, -jnp.inf))
    gain = jnp.where(listed, jnp.expm1(math.log(2) * targets), 0)[ordered.order]
    return jnp.sum(multiply_no_nan(gain, softplus(ordered.after - ordered.scores)))


# ------------------------------------------------------------------------------------------------------------ pairs


def _mean_over_pairs(scores: Array, targets: Array, item_mask: Array | None, cost: Callable[[Array], Array]) -> Array:
    """The mean of a cost of s_i - s_j over the pairs of a list with y_i > y_j; 0 if there are none."""

    def term(s: Array, y: Array, here: Array, others: Array, grades: Array, listed: Array) -> tuple[Array, Array]:
        counts = here & listed & (y > grades)
        return jnp.where(counts, cost(s - others), 0), counts

    sums, counts = sums_over_pairs(term, scores, targets, _listed(scores, item_mask))
    return ratio(jnp.sum(sums), jnp.sum(counts.astype(scores.dtype)))


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def pairwise_logistic(scores: Input, targets: Input, item_mask: Input = None) -> Array:
    r"""The logistic loss of the differences of scores, over the pairs of documents of different relevance.

    $$ \operatorname*{mean}_{i, j:\,y_i > y_j} \log \bigl( 1 + e^{-(s_i - s_j)} \bigr) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.

    Time grows as n^2, memory as n.

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

    Time grows as n^2, memory as n.

    Corners: as `pairwise_logistic`; at the margin the slope is 0.

    Raises:
        ValueError: `margin` is negative.

    Source: Herbrich et al. (1999), Support vector learning for ordinal regression, its equation 8 with slack.

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_hinge(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    0.666667
    """
    return _mean_over_pairs(scores, targets, item_mask, lambda ahead: positive_part(margin - ahead))


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

    Time grows as n^2, memory as n.

    Corners: as `pairwise_logistic`; at the margin the slope is 0.

    Raises:
        ValueError: `margin` is negative.

    Source: Yan et al. (2003), Optimizing classifier performance via an approximation to the Wilcoxon-Mann-Whitney
    statistic, equation 6, at power 2.

    >>> import jax.numpy as jnp
    >>> print(f"{pairwise_squared_hinge(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    1.333333
    """
    return _mean_over_pairs(scores, targets, item_mask, lambda ahead: jnp.square(positive_part(margin - ahead)))


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
    error, listed = scores - targets, _listed(scores, item_mask)
    count = jnp.sum(listed, dtype=error.dtype)
    mean = ratio(jnp.sum(jnp.where(listed, error, 0)), count)
    return ratio(2 * jnp.sum(jnp.where(listed, jnp.square(error - mean), 0)), jnp.maximum(count - 1, 0))


# ------------------------------------------------------------------------------------------------------ the metrics


def _gains(targets: Array, listed: Array) -> Array:
    """2^y - 1, in units of 2^max y, which 2^128 needs."""
    grades = jnp.where(listed, targets, 0)
    top = jax.lax.stop_gradient(jnp.max(grades))
    return -jnp.exp(math.log(2) * (grades - top)) * jnp.expm1(-math.log(2) * grades)


def _discount(place: Array, dtype: Any) -> Array:
    """The discount of a place from 0, 1 / log2(2 + place)."""
    return math.log(2) / jnp.log(2 + place.astype(dtype))


def _rank_excess(scores: Array, before: Array, listed: Array, temperature: Any) -> Array:
    r"""By how much the smooth rank of each exceeds its place in an order, given as places.

    The documents that come after it are counted by $\sigma((s_j - s_i) / T)$, and those before it by how much they
    fall short of 1: so no small excess is lost in a rank.
    """

    def term(s: Array, place: Array, here: Array, others: Array, places: Array, counts: Array) -> Array:
        ahead = (others - s) / temperature
        excess = jnp.where(places > place, sigmoid(ahead), -sigmoid(-ahead))
        return jnp.where(here & counts & (places != place), excess, 0)

    excess: Array = sums_over_pairs(term, scores, before, listed)
    return excess


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def approx_ndcg(scores: Input, targets: Input, item_mask: Input = None, *, temperature: Positive = 0.1) -> Array:
    r"""One minus the normalised discounted cumulative gain of smooth ranks.

    $$ 1 - \frac1{\max \mathrm{DCG}} \sum_i \frac{2^{y_i} - 1}{\log_2(1 + r_i)}, \qquad
       r_i = 1 + \sum_{j \ne i} \sigma \left( \frac{s_j - s_i}T \right) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, y >= 0, the relevances. The documents are sorted by them: this axis must not be sharded.
        item_mask: `[..., n]`, True for the documents of the list, all by default.
        temperature: T > 0, in units of the scores; towards 0 it becomes one minus the metric.

    Time grows as n^2, memory as n.

    Corners: 0 for the best order of scores far apart; where no document is relevant, or every one deleted, 0 with
    gradient 0, which counts in the mean.

    Raises:
        ValueError: `temperature` is not positive.

    Source: Qin et al. (2010), A general approximation framework for direct optimization of information retrieval
    measures, equations 8 and 11; the temperature: Bruch et al. (2019), Revisiting approximate metric optimization.

    >>> import jax.numpy as jnp
    >>> print(f"{approx_ndcg(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    0.203301
    """
    listed = _listed(scores, item_mask)
    gains = _gains(targets, listed)
    # The best order; equal grades by score, so that they exchange no places.
    best = places_by(jnp.where(listed, -targets, jnp.inf), -scores)
    rank = 1 + best.astype(scores.dtype)
    excess = _rank_excess(scores, best, listed, temperature)
    # 1 / log2(1 + k) - 1 / log2(1 + r), where r exceeds k.
    missed = math.log(2) * jnp.log1p(excess / (1 + rank)) / (jnp.log1p(rank) * jnp.log1p(rank + excess))
    return ratio(jnp.sum(gains * missed), jnp.sum(gains * _discount(best, scores.dtype)))


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def approx_mrr(scores: Input, targets: Input, item_mask: Input = None, *, temperature: Positive = 0.1) -> Array:
    r"""One minus the reciprocal of the smooth rank of the best relevant document.

    $$ 1 - \max_{i:\,y_i > 0} \frac1{r_i}, \qquad
       r_i = 1 + \sum_{j \ne i} \sigma \left( \frac{s_j - s_i}T \right) $$

    Args:
        scores: `[..., n]`, one for each document.
        targets: `[..., n]`, relevant where y > 0.
        item_mask: `[..., n]`, True for the documents of the list, all by default.
        temperature: T > 0, in units of the scores.

    Time grows as n^2, memory as n.

    Corners: where no document is relevant, or every one deleted, 0 with gradient 0, which counts in the mean.

    Raises:
        ValueError: `temperature` is not positive.

    Source: Qin et al. (2010), A general approximation framework for direct optimization of information retrieval
    measures, its ranks in the reciprocal rank.

    >>> import jax.numpy as jnp
    >>> scores, targets = jnp.array([2.0, 1.0, 3.0]), jnp.array([1.0, 0.0, 0.0])
    >>> print(f"{approx_mrr(scores, targets, temperature=1.0):.6f}")
    0.500000
    """
    listed = _listed(scores, item_mask)
    relevant = listed & (targets > 0)
    places = places_by(jnp.where(listed, -scores, jnp.inf))
    ahead = _rank_excess(scores, places, listed, temperature) + places.astype(scores.dtype)
    best = jnp.min(jnp.where(relevant, ahead, jnp.inf))
    found = jnp.any(relevant)
    return jnp.where(found, best / (1 + jnp.where(found, best, 0)), 0)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.0)
def lambda_rank(
    scores: Input,
    targets: Input,
    item_mask: Input = None,
    *,
    scheme: str = "lambda_rank",
    sigma: Positive = 1.0,
    mu: NonNegative = 10.0,
    top: int | None = None,
) -> Array:
    r"""The logistic loss of pairs, each weighed by what exchanging its two documents would change in the NDCG.

    $$ \sum_{i, j:\,y_i > y_j} w_{ij} \log \bigl( 1 + e^{-\sigma (s_i - s_j)} \bigr), \qquad
       w_{ij} = |G_i - G_j| \left| \frac1{D_i} - \frac1{D_j} \right| $$

    with the gain $G = (2^y - 1) / \max \mathrm{DCG}$ and $D = \log_2(1 + \text{rank})$ of the rank by score.

    Args:
        scores: `[..., n]`, one for each document. They are sorted: this axis must not be sharded.
        targets: `[..., n]`, y >= 0, the relevances.
        item_mask: `[..., n]`, True for the documents of the list, all by default.
        scheme: "lambda_rank"; "ndcg_loss2", whose second factor is |1 / log2(1 + d) - 1 / log2(2 + d)| of the
            difference d of the ranks; "ndcg_loss2++", mu times that and the first one.
        sigma: The slope of the logistic, > 0.
        mu: The weight of the second factor of "ndcg_loss2++", >= 0.
        top: Of how many places the NDCG is; a pair of which neither document is among them weighs nothing. None is all.

    The weights are constant between changes of the order, so the gradient is that of the costs. Time grows as n^2,
    memory as n. Documents of equal score rank by their place in the list: a new network has only such, and equal ranks
    would leave it without a gradient. It is the one loss here that sees the order of its documents.

    Corners: without a pair it is 0 with gradient 0, so also with every document deleted; it counts in the mean, and
    `where=item_mask.any(-1)` leaves such a list out.

    Raises:
        ValueError: `scheme` is an unknown name, or an option is out of range.

    Source: Burges (2010), From RankNet to LambdaRank to LambdaMART, section 4; the schemes: Wang et al. (2018), The
    LambdaLoss framework for ranking metric optimization, equations 15 to 18.

    >>> import jax.numpy as jnp
    >>> print(f"{lambda_rank(jnp.array([2.0, 1.0, 3.0]), jnp.array([2.0, 0.0, 1.0])):.6f}")
    0.318343
    """
    if scheme not in ("lambda_rank", "ndcg_loss2", "ndcg_loss2++"):
        raise ValueError(f"lambda_rank: scheme must be 'lambda_rank', 'ndcg_loss2' or 'ndcg_loss2++', got {scheme!r}.")
    if top is not None and top < 1:
        raise ValueError(f"lambda_rank: top must be 1 or more, got {top}.")
    listed, last = _listed(scores, item_mask), scores.shape[0] if top is None else top
    gains = _gains(targets, listed)
    best = places_by(jnp.where(listed, -targets, jnp.inf))
    gains = ratio(gains, jnp.sum(jnp.where(best < last, gains * _discount(best, scores.dtype), 0)))
    place = places_by(jnp.where(listed, -scores, jnp.inf))

    def term(s: Array, y: Array, gain: Array, at: Array, here: Array, *others: Array) -> Array:
        scores, grades, gains, places, listed = others
        counts = here & listed & (y > grades) & (jnp.minimum(at, places) < last)
        exchanged = jnp.abs(_discount(at, s.dtype) - _discount(places, s.dtype))
        apart = jnp.where(at == places, 1, jnp.abs(at - places))
        beside = _discount(apart - 1, s.dtype) - _discount(apart, s.dtype)
        weight = {"lambda_rank": exchanged, "ndcg_loss2": beside, "ndcg_loss2++": mu * beside + exchanged}[scheme]
        return jnp.where(counts, jnp.abs(gain - gains) * weight * softplus(sigma * (scores - s)), 0)

    return jnp.sum(sums_over_pairs(term, scores, targets, gains, place, listed))
