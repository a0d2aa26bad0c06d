"""Metric learning: similarities of a batch, each weighed by how wrong it is."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.anchors import Members, by_anchors, directions, log_sum, members, products, whole
from jaxloss.numerics.classes import is_class, known, nan_unless
from jaxloss.numerics.safe import largest_like, positive_part, ratio
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Memory, NonNegative, Number, Positive


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def multi_similarity(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    alpha: Positive = 2.0,
    beta: Positive = 50.0,
    base: Number = 0.5,
    mining_margin: NonNegative = 0.1,
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The soft maxima of how far an anchor's positives lie below a cosine, and of how far its negatives lie above.

    $$ \frac1\alpha \log\Bigl( 1 + \sum_{p} e^{-\alpha (s_{ip} - b)} \Bigr)
       + \frac1\beta \log\Bigl( 1 + \sum_{n} e^{\beta (s_{in} - b)} \Bigr), \qquad
       s_{ip} < \max_N s_{in} + \epsilon, \quad s_{in} > \min_P s_{ip} - \epsilon $$

    Args:
        embeddings: `[..., n, d]`, of any length: s is the cosine.
        labels: `[..., n]`, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        alpha: How sharply positives are weighed, > 0.
        beta: How sharply negatives are weighed, > 0.
        base: b, a cosine.
        mining_margin: epsilon, >= 0; inf takes all pairs.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has pairs of its own. The mean over all devices is that of `reduce(multi_similarity, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The embeddings are gathered where a mesh splits
    the batch, and never an `[n, n]`.

    Corners: with mining an anchor without a positive or without a negative costs 0 with gradient 0, and counts. An
    anchor is left out of its own positives by its number, so that twins count. A negative label gives NaN for its
    anchor, which `where=labels >= 0` leaves out of the mean.

    Raises:
        ValueError: An option is out of range.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Wang et al. (2019), Multi-similarity loss with general pair weighting, equation 15; b is that of the
    authors' code.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> print(f"{multi_similarity(embeddings, labels):.6f}")
    0.679073
    """
    (embeddings,) = directions("multi_similarity", "cosine", embeddings)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        s, here, alike = products(x, others), who.are_others(all_of_them), who.are_alike(all_of_them)
        positives, negatives = here & alike, here & ~alike
        none = 0.5 * largest_like(s)
        nearest = jnp.max(jnp.where(negatives, s, -none), axis=-1, keepdims=True)
        farthest = jnp.min(jnp.where(positives, s, none), axis=-1, keepdims=True)
        positives &= s < nearest + mining_margin
        negatives &= s > farthest - mining_margin
        pull = softplus(log_sum(-alpha * (s - base), positives)) / alpha
        return pull + softplus(log_sum(beta * (s - base), negatives)) / beta, ()

    cost, _ = by_anchors(rows, (embeddings, these), others.shape[0], memory)
    return cost + these.invalid(cost.dtype) + known(others)


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def circle(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    margin: NonNegative = 0.4,
    gamma: Positive = 80.0,
    hold_weights: bool = False,
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The soft maximum of negative cosines less that of positive ones, each weighed by how far it is from its optimum.

    $$ \log\Bigl( 1 + \sum_{n} e^{\gamma [s_{in} + m]_+ (s_{in} - m)}
       \sum_{p} e^{-\gamma [1 + m - s_{ip}]_+ (s_{ip} - 1 + m)} \Bigr) $$

    Args:
        embeddings: `[..., n, d]`, of any length: s is the cosine.
        labels: `[..., n]`, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        margin: m, >= 0.
        gamma: A scale, > 0; 256 with a margin of 0.25 for faces.
        hold_weights: True takes no gradient through the factors [.]_+, as the paper does.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has pairs of its own. The mean over all devices is that of `reduce(circle, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The embeddings are gathered where a mesh splits
    the batch, and never an `[n, n]`. A wrong label weighs most.

    Corners: an anchor without a positive or without a negative costs 0 with gradient 0, and counts. A negative label
    gives NaN for its anchor, which `where=labels >= 0` leaves out of the mean.

    Raises:
        ValueError: An option is out of range.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Sun et al. (2020), Circle loss, equation 6 with the optima and margins of section 3.3, for each anchor.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> print(f"{circle(embeddings, labels):.4f}")
    49.6640
    """
    (embeddings,) = directions("circle", "cosine", embeddings)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def weighed(weight: Array, gap: Array) -> Array:
        weight = positive_part(weight)
        return gamma * (jax.lax.stop_gradient(weight) if hold_weights else weight) * gap

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        s, here, alike = products(x, others), who.are_others(all_of_them), who.are_alike(all_of_them)
        positives, negatives = here & alike, here & ~alike
        push = log_sum(weighed(s + margin, s - margin), negatives)
        pull = log_sum(-weighed(1 + margin - s, s - 1 + margin), positives)
        both = jnp.any(positives, -1) & jnp.any(negatives, -1)
        return jnp.where(both, softplus(jnp.where(both, push, 0) + jnp.where(both, pull, 0)), 0), ()

    cost, _ = by_anchors(rows, (embeddings, these), others.shape[0], memory)
    return cost + these.invalid(cost.dtype)


@custom_loss(signature="(n,d),(n),(v,d),(n)->()", stand_in=0.5)
def proxy_anchor(
    embeddings: Input,
    labels: Input,
    proxies: Input,
    item_mask: Input = None,
    *,
    margin: Number = 0.1,
    alpha: Positive = 32.0,
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""For each class's proxy the soft maxima of how far its members lie from it, and how near all others.

    $$ \frac1{|V_+|} \sum_{v \in V_+} \log\Bigl( 1 + \sum_{i:\, y_i = v} e^{-\alpha (s_{iv} - m)} \Bigr)
       + \frac1{|V|} \sum_{v} \log\Bigl( 1 + \sum_{i:\, y_i \ne v} e^{\alpha (s_{iv} + m)} \Bigr) $$

    Args:
        embeddings: `[..., n, d]`, of any length: s is the cosine.
        labels: `[..., n]`, y, integers from 0 to v - 1.
        proxies: `[v, d]`, the learned proxy of each class, shared by all.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        margin: m, a cosine.
        alpha: How sharply the members are weighed, > 0.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. The value is
            that of all members, on each device.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives one value for all, since it has two denominators. V_+ are the
    classes of which a member is there.

    Corners: where no member is there it is 0 with gradient 0, and counts in the mean. A label outside 0 to v - 1 gives
    NaN.

    Raises:
        ValueError: `alpha` is not positive.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Kim et al. (2020), Proxy anchor loss for deep metric learning, equation 4.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> print(f"{proxy_anchor(embeddings, labels, jnp.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])):.4f}")
    20.2800
    """
    embeddings, proxies = directions("proxy_anchor", "cosine", embeddings, proxies)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    classes = jnp.arange(proxies.shape[0], dtype=labels.dtype)

    def rows(anchors: tuple[Array, Members]) -> tuple[tuple[()], tuple[Array, Array, Array]]:
        x, who = anchors
        s, own = products(x, proxies), who.labels[:, None] == classes[None]
        here = jnp.ones((1, 1), bool) if who.mask is None else who.mask[:, None]
        pull, push = log_sum(-alpha * (s - margin), own & here, 0), log_sum(alpha * (s + margin), ~own & here, 0)
        return (), (pull, push, jnp.any(own & here, axis=0))

    _, of_blocks = by_anchors(rows, (embeddings, these), proxies.shape[0], memory)
    local = log_sum(of_blocks[0], axis=0), log_sum(of_blocks[1], axis=0), jnp.any(of_blocks[2], axis=0)
    pull, push, some = whole(jax.tree.map(lambda x: x[None], local), batch_axis_name)
    present = jnp.any(some, axis=0)
    pulled = jnp.sum(jnp.where(present, softplus(log_sum(pull, axis=0)), 0))
    pushed = jnp.mean(softplus(log_sum(push, axis=0)))
    valid = jnp.all(is_class(labels, proxies.shape[0]))
    if batch_axis_name is not None:
        valid = jax.lax.psum((~valid).astype(jnp.int32), batch_axis_name) == 0
    return ratio(pulled, jnp.sum(present, dtype=pulled.dtype)) + pushed + nan_unless(valid, pulled.dtype)
