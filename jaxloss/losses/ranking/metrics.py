"""Losses made of ranking metrics: of smooth ranks, and pairs weighed by what their exchange would change."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import known
from jaxloss.numerics.order import places_by
from jaxloss.numerics.pairs import members, sums_over_pairs
from jaxloss.numerics.safe import ratio
from jaxloss.numerics.softplus import sigmoid, softplus
from jaxloss.types import Array, Input, NonNegative, Positive


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
    listed = members(scores, item_mask)
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
    listed = members(scores, item_mask)
    relevant = listed & (targets > 0)
    places = places_by(jnp.where(listed, -scores, jnp.inf))
    ahead = _rank_excess(scores, places, listed, temperature) + places.astype(scores.dtype)
    best = jnp.min(jnp.where(relevant, ahead, jnp.inf))
    found = jnp.any(relevant)
    return jnp.where(found, best / (1 + jnp.where(found, best, 0)), 0) + known(targets, listed)


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
    if top is not None and not (isinstance(top, int) and top >= 1):
        raise ValueError(f"lambda_rank: top must be a whole number >= 1, got {top!r}.")
    listed, last = members(scores, item_mask), scores.shape[0] if top is None else top
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
