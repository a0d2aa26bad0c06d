"""Contrastive losses: each member of a batch is to be most similar to its own positive."""

from typing import Any

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.anchors import Members, by_anchors, directions, log_sum, members, of_these, products, whole
from jaxloss.numerics.devices import vary, varying
from jaxloss.numerics.softmax import target_row
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Memory, Number, Positive


@custom_loss(signature="(d),(d),(m,d),(m)->()", stand_in=0.5)
def info_nce(
    query: Input,
    positive: Input,
    negatives: Input,
    negative_mask: Input = None,
    *,
    temperature: Positive = 0.07,
    similarity: str = "cosine",
) -> Array:
    r"""The surprisal of the positive of a query among negatives, in a softmax of similarities.

    $$ \log\Bigl( 1 + \sum_k e^{(s_k - s_+) / \tau} \Bigr) $$

    Args:
        query: `[..., d]`, embeddings.
        positive: `[..., d]`, the embedding that belongs to each.
        negatives: `[m, d]`, embeddings that belong to none and are shared by all, such as a queue of MoCo; or
            `[..., m, d]`, hard negatives of each query. Stop their gradient outside, where the method asks for it.
        negative_mask: `[m]` or `[..., m]`, True for the negatives that are there, all by default.
        temperature: tau, > 0.
        similarity: "cosine", or "dot" for the product of the vectors as they come.

    Corners: a confident query costs 1e-9 when it should. A zero vector has cosine 0 with everything, and gradient 0.
    Without a negative it is 0, and counts in the mean.

    Raises:
        ValueError: `temperature` is not positive, or `similarity` is an unknown name.

    Source: van den Oord et al. (2018), Representation learning with contrastive predictive coding, equation 4; He et
    al. (2020), Momentum contrast for unsupervised visual representation learning, equation 1.

    >>> import jax.numpy as jnp
    >>> query, positive, negatives = jnp.array([1.0, 0.0]), jnp.array([0.8, 0.6]), jnp.array([[0.0, 1.0], [-0.6, 0.8]])
    >>> print(f"{info_nce(query, positive, negatives, temperature=0.5):.6f}")
    0.233257
    """
    query, positive, negatives = directions("info_nce", similarity, query, positive, negatives)
    query = query / temperature
    others = log_sum(products(query[None], negatives)[0], negative_mask)
    return softplus(others - jnp.sum(query * positive))


@custom_loss(signature="(n,d),(n,d),(n),(n)->(n)", stand_in=0.5)
def clip(
    first: Input,
    second: Input,
    labels: Input = None,
    item_mask: Input = None,
    *,
    temperature: Positive = 0.07,
    symmetric: bool = True,
    similarity: str = "cosine",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The surprisal of the own partner among those of all members of a batch, and the same the other way round.

    $$ \frac12 \Bigl[ \log \sum_j e^{s_{ij} / \tau} + \log \sum_j e^{s_{ji} / \tau} \Bigr] - \frac{s_{ii}}\tau $$

    Args:
        first: `[..., n, d]`, embeddings of images, say.
        second: `[..., n, d]`, embeddings of their texts, in the same order.
        labels: `[..., n]`, integers from 0 on. Members of one label, duplicate texts say, are not each other's
            negatives: they are in neither sum.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        temperature: tau, > 0; of a learned scale `jnp.exp(-log_scale)`.
        symmetric: False takes one direction alone, without the half: the first among the seconds.
        similarity: "cosine", or "dot" for the product of the vectors as they come.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has negatives of its own. The mean over all devices is that of `reduce(clip, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The second embeddings are gathered where a mesh
    splits the batch, and never an `[n, n]`. Fewer members are another loss: embed in parts, and take the loss of all.

    Corners: a confident member costs 1e-9 when it should, and one without negatives 0. A zero vector has cosine 0 with
    everything, and gradient 0. A negative label gives NaN.

    Raises:
        ValueError: `temperature` is not positive, or `similarity` is an unknown name.
        TypeError: `memory` is traced.

    Source: Radford et al. (2021), Learning transferable visual models from natural language supervision, figure 3; one
    direction: Sohn (2016), Improved deep metric learning with multi-class N-pair loss objective, equation 3, and
    Karpukhin et al. (2020), Dense passage retrieval, equation 2.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.8, 0.6], [-0.6, 0.8]])
    >>> print(f"{clip(first, second, temperature=0.5):.6f} {clip(first, second, temperature=0.5, symmetric=False):.6f}")
    0.286024 0.286024
    """
    first, second = directions("clip", similarity, first, second)
    first = first / temperature
    own = jnp.sum(first * second, axis=-1)
    these = members(first, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((second, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, Any]:
        x, who = anchors
        logits, negatives = products(x, others), who.are_others(all_of_them)
        if labels is not None:
            negatives &= ~who.are_alike(all_of_them)
        return log_sum(logits, negatives), log_sum(logits, negatives, 0) if symmetric else ()

    of_rows, of_columns = by_anchors(rows, (first, these), others.shape[0], memory)
    cost = softplus(of_rows - own)
    if symmetric:
        by_device = whole(log_sum(of_columns, axis=0)[None], batch_axis_name)
        of_columns = of_these(log_sum(by_device, axis=0), these, batch_axis_name)
        cost = 0.5 * (cost + softplus(of_columns - own))
    return cost + these.invalid(cost.dtype)


@custom_loss(signature="(n,d),(n,d),(n),(n)->(n)", stand_in=0.5)
def siglip(
    first: Input,
    second: Input,
    labels: Input = None,
    item_mask: Input = None,
    *,
    temperature: Positive = 0.1,
    bias: Number = -10.0,
    similarity: str = "cosine",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The logistic loss of each member with all partners of a batch: its own is one, the others are none.

    $$ \sum_j \log\left(1 + e^{-z_{ij} (s_{ij} / \tau + b)}\right), \qquad z_{ii} = 1, \quad z_{ij} = -1 $$

    Args:
        first: `[..., n, d]`, embeddings of images, say.
        second: `[..., n, d]`, embeddings of their texts, in the same order.
        labels: `[..., n]`, integers from 0 on. Members of one label, duplicate texts say, are left out of each other's
            sum.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        temperature: tau, > 0; of a learned scale `jnp.exp(-log_scale)`.
        bias: b, which starts where a pair is as likely to belong together as one of a large batch.
        similarity: "cosine", or "dot" for the product of the vectors as they come.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has negatives of its own. The mean over all devices is that of `reduce(siglip, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each: a sum over partners, of which a call takes the
    mean. The second embeddings are gathered where a mesh splits the batch, and never an `[n, n]`.

    Corners: right in both tails. A zero vector has cosine 0 with everything, and gradient 0. A negative label gives
    NaN.

    Raises:
        ValueError: `temperature` is not positive, or `similarity` is an unknown name.
        TypeError: `memory` is traced.

    Source: Zhai et al. (2023), Sigmoid loss for language image pre-training, algorithm 1.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.8, 0.6], [-0.6, 0.8]])
    >>> print(f"{siglip(first, second):.6f}")
    2.136003
    """
    first, second = directions("siglip", similarity, first, second)
    first, bias = first / temperature, vary(bias, varying(first))
    these = members(first, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((second, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        logits, own = products(x, others) + bias, who.are_themselves(all_of_them)
        counted = who.are_there(all_of_them)
        if labels is not None:
            counted &= own | ~who.are_alike(all_of_them)
        costs = softplus(jnp.where(own, -logits, logits))
        return jnp.sum(jnp.where(counted, costs, 0), axis=-1), ()

    cost, _ = by_anchors(rows, (first, these), others.shape[0], memory)
    return cost + these.invalid(cost.dtype)


@custom_loss(signature="(n,d),(n,d),(n)->(n)", stand_in=0.5)
def nt_xent(
    first: Input,
    second: Input,
    item_mask: Input = None,
    *,
    temperature: Positive = 0.1,
    similarity: str = "cosine",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The surprisal of the other view of a member among both views of all others: the mean of the two views'.

    $$ \frac12 \sum_{z \in \{x_i, y_i\}} \Bigl[ \log \sum_{a \ne z} e^{s(z, a) / \tau} - \frac{s(x_i, y_i)}\tau \Bigr],
       \qquad a \in \{x_1, y_1, \dots, x_n, y_n\} $$

    Args:
        first: x, `[..., n, d]`, embeddings of one view of each member.
        second: y, `[..., n, d]`, of another view, in the same order.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        temperature: tau, > 0.
        similarity: "cosine", or "dot" for the product of the vectors as they come.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has negatives of its own. The mean over all devices is that of `reduce(nt_xent, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The embeddings are gathered where a mesh splits
    the batch, and never an `[n, n]`. Fewer members are another loss: embed in parts, and take the loss of all.

    Corners: a view is left out of its own sum by its number, so that twins count. A confident member costs 1e-9 when it
    should, and n = 1 costs 0. A zero vector has cosine 0 with everything, and gradient 0.

    Raises:
        ValueError: `temperature` is not positive, or `similarity` is an unknown name.
        TypeError: `memory` is traced.

    Source: Chen et al. (2020), A simple framework for contrastive learning of visual representations, equation 1.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([[1.0, 0.0], [0.0, 1.0]]), jnp.array([[0.8, 0.6], [-0.6, 0.8]])
    >>> print(f"{nt_xent(first, second, temperature=0.5):.6f}")
    0.430190
    """
    views = directions("nt_xent", similarity, first, second)
    scaled = tuple(x / temperature for x in views)
    own = jnp.sum(scaled[0] * views[1], axis=-1)
    these = members(first, None, item_mask, batch_axis_name)
    others, all_of_them = whole((views, these), batch_axis_name)

    def rows(anchors: tuple[tuple[Array, Array], Members]) -> tuple[tuple[Array, ...], tuple[()]]:
        both, who = anchors
        negatives = who.are_others(all_of_them)

        def of_view(z: Array) -> Array:
            return jnp.logaddexp(*(log_sum(products(z, x), negatives) for x in others))

        return tuple(map(of_view, both)), ()

    negatives, _ = by_anchors(rows, (scaled, these), 4 * others[0].shape[0], memory)
    return 0.5 * (softplus(negatives[0] - own) + softplus(negatives[1] - own))


@custom_loss(signature="(n,d),(n),(n)->(n)", stand_in=0.5)
def supervised_contrastive(
    embeddings: Input,
    labels: Input,
    item_mask: Input = None,
    *,
    temperature: Positive = 0.1,
    similarity: str = "cosine",
    batch_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The mean surprisal of the members of an anchor's class among all others of a batch.

    $$ \log \sum_{a \ne i} e^{s_{ia} / \tau} - \frac1{|P(i)|} \sum_{p \in P(i)} \frac{s_{ip}}\tau, \qquad
       P(i) = \{p \ne i : y_p = y_i\} $$

    Args:
        embeddings: `[..., n, d]`. Of several views make one axis, and repeat the labels.
        labels: `[..., n]`, y, integers from 0 on, which are compared for equality.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        temperature: tau, > 0.
        similarity: "cosine", or "dot" for the product of the vectors as they come.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has positives and negatives of its own. The mean over all devices is that of
            `reduce(supervised_contrastive, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The embeddings are gathered where a mesh splits
    the batch, and never an `[n, n]`. A wrong label is one of the mean over positives.

    Corners: an anchor without a positive costs 0 with gradient 0, and counts. A confident one costs 1e-9 when it
    should. A zero vector has cosine 0 with everything, and gradient 0. A negative label gives NaN for its anchor, which
    `where=labels >= 0` leaves out of the mean; it still is a negative of the others.

    Raises:
        ValueError: `temperature` is not positive, or `similarity` is an unknown name.
        TypeError: The labels are not integers, or `memory` is traced.

    Source: Khosla et al. (2020), Supervised contrastive learning, equation 2, without the factor of the authors' code.

    >>> import jax.numpy as jnp
    >>> embeddings, labels = jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]]), jnp.array([0, 0, 1, 1])
    >>> print(f"{supervised_contrastive(embeddings, labels, temperature=0.5):.6f}")
    1.270714
    """
    (embeddings,) = directions("supervised_contrastive", similarity, embeddings)
    these = members(embeddings, labels, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        here = who.are_others(all_of_them)
        positives = (here & who.are_alike(all_of_them)).astype(x.dtype)
        share = positives / jnp.maximum(jnp.sum(positives, axis=-1, keepdims=True), 1)
        return target_row(jnp.where(here, products(x, others), -jnp.inf), share).surprisal, ()

    scaled = embeddings / temperature
    cost, _ = by_anchors(rows, (scaled, these), others.shape[0], memory)
    return cost + these.invalid(cost.dtype)
