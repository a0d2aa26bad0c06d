"""Triplets of a batch: the members of a class are to lie nearer to each other than to the others, by a margin."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.anchors import Members, by_anchors, chosen, members, nearness, whole
from jaxloss.numerics.classes import known
from jaxloss.numerics.norms import named_distance, unit_vector
from jaxloss.numerics.order import count_below, order_by
from jaxloss.numerics.safe import positive_part, ratio
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Memory, NonNegative


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def batch_hard_triplet(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    margin: NonNegative = 0.2,
    soft_margin: bool = False,
    distance: str = "euclidean",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""How far the farthest member of an anchor's class is from being nearer than the nearest of the others.

    $$ \max\Bigl( \max_{p \in P(i)} d_{ip} - \min_{n \in N(i)} d_{in} + m,\; 0 \Bigr) $$

    Args:
        embeddings: `[..., n, d]`.
        labels: `[..., n]`, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        margin: m, in units of the distance, >= 0.
        soft_margin: True takes log(1 + exp(.)) of the difference in place of the hinge, without the margin.
        distance: "euclidean", "squared_euclidean" or "cosine" (one minus the cosine).
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device mines among its own. The mean over all devices is that of `reduce(..., axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The two are chosen by products of vectors, and
    their distances formed by difference. A wrong label is most likely to be chosen.

    Corners: an anchor without a positive or without a negative costs 0 with gradient 0, and counts. The gradient of a
    distance of 0 is 0. A negative label gives NaN for its anchor, which `where=labels >= 0` leaves out of the mean; it
    still is a negative of the others.

    Raises:
        ValueError: `margin` is negative, or `distance` is an unknown name.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Hermans et al. (2017), In defense of the triplet loss for person re-identification, equation 5.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> hard, soft = (batch_hard_triplet(embeddings, labels, soft_margin=soft) for soft in (False, True))
    >>> print(f"{hard:.6f} {soft:.6f}")
    0.636778 0.938835
    """
    measure = named_distance("batch_hard_triplet", distance)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        near = nearness(*(map(unit_vector, (x, others)) if distance == "cosine" else (x, others)))
        here, alike = who.are_others(all_of_them), who.are_alike(all_of_them)
        positives, negatives = here & alike, here & ~alike
        to_positive = measure(x, chosen(others, -near, positives))
        to_negative = measure(x, chosen(others, near, negatives))
        gap = to_positive - to_negative
        cost = softplus(gap) if soft_margin else positive_part(gap + margin)
        return jnp.where(jnp.any(positives, -1) & jnp.any(negatives, -1), cost, 0), ()

    cost, _ = by_anchors(rows, (embeddings, these), others.shape[0], memory)
    return cost + these.invalid(cost.dtype) + known(others)


def _of_sorted(
    loss: str,
    of_anchor: Callable[[Array, Array, Array], Array],
    embeddings: Array,
    labels: Array,
    item_mask: Array | None,
    distance: str,
    batch_axis_name: Any,
    memory: Any,
) -> Array:
    """What an anchor says of its distances to all, `[n]`, of which some are to positives and some to negatives."""
    measure = named_distance(loss, distance)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        here, alike = who.are_others(all_of_them), who.are_alike(all_of_them)
        return jax.vmap(of_anchor)(measure(x[:, None], others[None]), here & alike, here & ~alike), ()

    # A gradient forms the differences of the vectors too.
    cost, _ = by_anchors(rows, (embeddings, these), others.size, memory)
    return cost + these.invalid(cost.dtype) + known(others)


def _in_order(distances: Array, negatives: Array) -> Array:
    """The distances to negatives, the nearest first, and then inf."""
    distances = jnp.where(negatives, distances, jnp.inf)
    return distances[order_by(distances)]


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def batch_semi_hard_triplet(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    margin: NonNegative = 0.2,
    distance: str = "euclidean",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The mean over an anchor's positives of the triplet loss with the nearest negative that lies beyond the positive.

    $$ \frac1{|P(i)|} \sum_{p \in P(i)} \max(d_{ip} - d_{i\nu} + m,\; 0), \qquad
       d_{i\nu} = \min \{d_{in} : d_{in} > d_{ip}\}, \text{ or else } \max_n d_{in} $$

    Args:
        embeddings: `[..., n, d]`.
        labels: `[..., n]`, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        margin: m, in units of the distance, >= 0.
        distance: "euclidean", "squared_euclidean" or "cosine" (one minus the cosine).
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device mines among its own. The mean over all devices is that of `reduce(..., axis_name=...)`.
        memory: How many bytes the differences at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each, whose mean is not the mean over all pairs where
    classes have unequal sizes.

    Corners: an anchor without a positive or without a negative costs 0 with gradient 0, and counts. The gradient of a
    distance of 0 is 0. A negative label gives NaN for its anchor, which `where=labels >= 0` leaves out of the mean.

    Raises:
        ValueError: `margin` is negative, or `distance` is an unknown name.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Schroff et al. (2015), FaceNet, section 3.2; the fall-back to the farthest negative is that of TensorFlow.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> print(f"{batch_semi_hard_triplet(embeddings, labels):.6f}")
    0.230986
    """

    def of_anchor(distances: Array, positives: Array, negatives: Array) -> Array:
        ordered, count = _in_order(distances, negatives), jnp.sum(negatives, dtype=jnp.int32)
        nearer = count_below(ordered, distances, or_at=True)
        nearest = ordered[jnp.clip(nearer, 0, jnp.maximum(count - 1, 0))]
        costs = jnp.where(positives, positive_part(distances - nearest + margin), 0)
        return jnp.sum(costs) / jnp.maximum(jnp.sum(positives, dtype=costs.dtype), 1)

    name = "batch_semi_hard_triplet"
    return _of_sorted(name, of_anchor, embeddings, labels, item_mask, distance, batch_axis_name, memory)


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def batch_all_triplet(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    margin: NonNegative = 0.2,
    active_only: bool = False,
    distance: str = "euclidean",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The mean triplet loss of an anchor with each of its positives and each of its negatives.

    $$ \frac1{|P(i)| |N(i)|} \sum_{p \in P(i)} \sum_{n \in N(i)} \max(d_{ip} - d_{in} + m,\; 0) $$

    Args:
        embeddings: `[..., n, d]`.
        labels: `[..., n]`, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        margin: m, in units of the distance, >= 0.
        active_only: True divides by the number of the anchor's triplets that cost anything.
        distance: "euclidean", "squared_euclidean" or "cosine" (one minus the cosine).
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has triplets of its own. The mean over all devices is that of `reduce(..., axis_name=...)`.
        memory: How many bytes the differences at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The sums are taken along the sorted negatives:
    the triplets themselves, n^3 of them, are never formed.

    Corners: an anchor without a positive or without a negative costs 0 with gradient 0, and counts, as does one whose
    triplets all cost nothing. The gradient of a distance of 0 is 0. A negative label gives NaN for its anchor, which
    `where=labels >= 0` leaves out of the mean.

    Raises:
        ValueError: `margin` is negative, or `distance` is an unknown name.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Hermans et al. (2017), In defense of the triplet loss for person re-identification, equation 6.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> every, active = (batch_all_triplet(embeddings, labels, active_only=active) for active in (False, True))
    >>> print(f"{every:.6f} {active:.6f}")
    0.433882 0.549375
    """

    def of_anchor(distances: Array, positives: Array, negatives: Array) -> Array:
        ordered = _in_order(distances, negatives)
        sums = jnp.cumsum(jnp.where(ordered < jnp.inf, ordered, 0))
        reach = distances + margin  # the negatives nearer than that cost something
        active = count_below(ordered, reach, or_at=False)
        count = active.astype(distances.dtype)
        nearer = jnp.where(active > 0, sums[jnp.maximum(active - 1, 0)], 0)
        cost = jnp.sum(jnp.where(positives, count * reach - nearer, 0))
        pairs = jnp.sum(positives, dtype=cost.dtype) * jnp.sum(negatives, dtype=cost.dtype)
        return ratio(cost, jnp.sum(jnp.where(positives, count, 0)) if active_only else pairs)

    return _of_sorted("batch_all_triplet", of_anchor, embeddings, labels, item_mask, distance, batch_axis_name, memory)
