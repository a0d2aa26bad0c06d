"""Self-supervision: views agree, and the embeddings of a batch spread."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.anchors import (
    Members,
    by_anchors,
    chosen,
    directions,
    log_sum,
    members,
    products,
    whole,
)
from jaxloss.numerics.classes import known
from jaxloss.numerics.devices import explicit
from jaxloss.numerics.norms import euclidean_distance, squared_euclidean_distance
from jaxloss.numerics.safe import positive_part, ratio, safe_log, safe_sqrt
from jaxloss.numerics.softmax import target_row
from jaxloss.types import Array, Input, Memory, NonNegative, Positive


@custom_loss(signature="(k),(k),(k)->()", stand_in=0.5)
def dino(
    student_logits: Input,
    teacher_logits: Input,
    center: Input = None,
    *,
    student_temperature: Positive = 0.1,
    teacher_temperature: Positive = 0.04,
) -> Array:
    r"""The cross entropy of a student with a teacher whose logits are centred and sharpened.

    $$ -\sum_j q_j \log p_j, \qquad q = \operatorname{softmax}\frac{t - c}{\tau_t}, \quad
       p = \operatorname{softmax}\frac{s}{\tau_s} $$

    Args:
        student_logits: s, `[..., k]`.
        teacher_logits: t, `[..., k]`. Its gradient is real: pass `jax.lax.stop_gradient(teacher_logits)`.
        center: c, `[k]`, shared by all: a running mean of the teacher's logits, which the caller keeps.
        student_temperature: tau_s, > 0.
        teacher_temperature: tau_t, > 0.

    For iBOT the items are patches, and `where` says which of them are masked. Of several views take all pairs by
    `jax.vmap`, and leave out the equal ones with `where`.

    Corners: a confident item may cost 1e-9. A class of logit -inf in the student costs inf where the teacher has it.

    Raises:
        ValueError: A temperature is not positive.

    Source: Caron et al. (2021), Emerging properties in self-supervised vision transformers, equation 1 and section 3.1.

    >>> import jax.numpy as jnp
    >>> student, teacher, center = jnp.array([1.0, 2.0, 0.5]), jnp.array([0.5, 1.5, 1.0]), jnp.array([0.1, 0.2, 0.0])
    >>> print(f"{dino(student, teacher, center):.6f}")
    0.008337
    """
    teacher = teacher_logits if center is None else teacher_logits - center
    teacher = teacher - jax.lax.stop_gradient(jnp.max(teacher))  # for the slope in the temperature, which cancels
    return target_row(student_logits / student_temperature, jax.nn.softmax(teacher / teacher_temperature)).surprisal


@custom_loss(signature="(n,d),(n)->(n)", stand_in=0.5)
def koleo(embeddings: Input, item_mask: Input = None, *, batch_axis_name: Any = None, memory: Memory = None) -> Array:
    r"""The negative logarithm of the distance to the nearest other member of a batch, on the unit sphere.

    $$ -\log \min_{j \ne i} \lVert u_i - u_j \rVert, \qquad u = x / \lVert x \rVert $$

    Args:
        embeddings: x, `[..., n, d]`, of any length.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. Without it each
            device has neighbours of its own. The mean over all devices is that of `reduce(koleo, axis_name=...)`.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives a value for each. The nearest is chosen by the cosine, and its
    distance formed by difference. It may be negative.

    Corners: a duplicate costs inf, with a gradient that is not NaN: mask it. An anchor without another member costs 0
    with gradient 0, and counts.

    Raises:
        TypeError: `memory` is traced.

    Source: Sablayrolles et al. (2019), Spreading vectors for similarity search, equation 2.

    >>> import jax.numpy as jnp
    >>> print(f"{koleo(jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])):.6f}")
    0.860505
    """
    (embeddings,) = directions("koleo", "cosine", embeddings)
    these = members(embeddings, None, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[Array, tuple[()]]:
        x, who = anchors
        here = who.are_others(all_of_them)
        some = jnp.any(here, axis=-1)
        near = jax.lax.stop_gradient(products(x, others))
        return jnp.where(some, -safe_log(jnp.where(some, euclidean_distance(x, chosen(others, near, here)), 1)), 0), ()

    cost, _ = by_anchors(rows, (embeddings, these), others.shape[0], memory)
    return cost + known(others)


@custom_loss(signature="(n,d),(n)->()", stand_in=0.5)
def uniformity(
    embeddings: Input, item_mask: Input = None, *, t: Positive = 2.0, batch_axis_name: Any = None, memory: Memory = None
) -> Array:
    r"""The logarithm of the mean Gaussian potential of all pairs of a batch, on the unit sphere.

    $$ \log \frac{2}{n (n - 1)} \sum_{i < j} e^{-t \lVert u_i - u_j \rVert^2}, \qquad u = x / \lVert x \rVert $$

    Args:
        embeddings: x, `[..., n, d]`, of any length.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        t: How sharply distances count, > 0.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split. The value is
            that of all members; `reduce(uniformity, axis_name=...)` has it on each device.
        memory: How many bytes the similarities at hand may take; None is 8 MiB.

    It couples the n members of its call, and gives one value for all: the logarithm is taken of a mean. It is at most
    0, for embeddings that are all equal.

    Corners: of fewer than two members it is 0 with gradient 0, and counts in the mean.

    Raises:
        ValueError: `t` is not positive.
        TypeError: `memory` is traced.

    Source: Wang and Isola (2020), Understanding contrastive representation learning, section 4.1.2.

    >>> import jax.numpy as jnp
    >>> print(f"{uniformity(jnp.array([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6], [0.0, 1.0]])):.6f}")
    -1.015692
    """
    (embeddings,) = directions("uniformity", "cosine", embeddings)
    these = members(embeddings, None, item_mask, batch_axis_name)
    others, all_of_them = whole((embeddings, these), batch_axis_name)

    def rows(anchors: tuple[Array, Members]) -> tuple[tuple[Array, Array], tuple[()]]:
        x, who = anchors
        here = who.are_others(all_of_them)
        squares = squared_euclidean_distance(x[:, None], others[None])
        return (log_sum(-t * squares, here), jnp.sum(here, axis=-1, dtype=x.dtype)), ()

    (of_rows, counts), _ = by_anchors(rows, (embeddings, these), others.size, memory)
    of_devices = whole((log_sum(of_rows)[None], jnp.sum(counts)[None]), batch_axis_name)
    total, pairs = log_sum(of_devices[0]), jnp.sum(of_devices[1])
    some = pairs > 0
    return jnp.where(some, jnp.where(some, total, 0) - jnp.log(jnp.where(some, pairs, 1)), 0)


class _Moments:
    """Sums over the members that are there, on all devices over which they are split."""

    def __init__(self, like: Array, item_mask: Array | None, axis_name: Any) -> None:
        self.here = (
            jnp.ones((like.shape[0], 1), like.dtype) if item_mask is None else item_mask[:, None].astype(like.dtype)
        )
        self.axis_name = axis_name
        self.count = self.total(self.here)[0]

    def total(self, x: Array) -> Array:
        """The sum over members."""
        return self.over_devices(jnp.sum(x * self.here, axis=0))

    def over_devices(self, total: Array) -> Array:
        return total if self.axis_name is None else jax.lax.psum(total, self.axis_name)

    def centred(self, x: Array) -> Array:
        """The members less their mean: exactly 0 where all are equal, as they are taken less their maximum first."""
        largest = jnp.max(jnp.where(self.here > 0, jax.lax.stop_gradient(x), -jnp.inf), axis=0, keepdims=True)
        largest = largest if self.axis_name is None else jax.lax.pmax(largest, self.axis_name)
        x = x - jnp.where(largest > -jnp.inf, largest, 0)
        return (x - (self.total(x) / jnp.maximum(self.count, 1))[None]) * self.here

    def product(self, x: Array, y: Array) -> Array:
        """`[d, d]`, the sum over members of the products of all features."""
        everywhere = jax.P(None, None) if any(explicit(x)) else None  # of members that an explicit mesh splits
        return self.over_devices(jnp.matmul(x.T, y, precision=jax.lax.Precision.HIGHEST, out_sharding=everywhere))


@custom_loss(signature="(n,d),(n,d),(n)->()", stand_in=0.5)
def barlow_twins(
    first: Input,
    second: Input,
    item_mask: Input = None,
    *,
    redundancy_weight: NonNegative = 0.005,
    batch_axis_name: Any = None,
) -> Array:
    r"""How far the correlations of two views' features over a batch are from the identity.

    $$ \sum_i (1 - C_{ii})^2 + \lambda \sum_{i \ne j} C_{ij}^2, \qquad
       C_{ij} = \frac{\sum_b \tilde x_{bi} \tilde y_{bj}}
       {\sqrt{\sum_b \tilde x_{bi}^2} \sqrt{\sum_b \tilde y_{bj}^2}} $$

    Args:
        first: x, `[..., n, d]`, embeddings of one view of each member; with its own means and deviations.
        second: y, `[..., n, d]`, of another view, in the same order.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        redundancy_weight: lambda, >= 0.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split, whose moments
            are summed over devices; `reduce(barlow_twins, axis_name=...)` has the value on each device.

    It couples the n members of its call, and gives one value for all. The tilde is the difference from the mean.

    Corners: a feature that is constant has correlation 0 with all, and gradient 0. With every member deleted it is 0
    with gradient 0, and counts in the mean.

    Raises:
        ValueError: `redundancy_weight` is negative.

    Source: Zbontar et al. (2021), Barlow twins, equations 1 and 2.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([[1.0, 2.0], [3.0, 0.0], [2.0, 4.0]]), jnp.array([[1.0, 1.0], [2.0, 0.0], [4.0, 3.0]])
    >>> print(f"{barlow_twins(first, second):.6f}")
    0.455492
    """
    moments = _Moments(first, item_mask, batch_axis_name)
    x, y = moments.centred(first), moments.centred(second)
    deviations = (safe_sqrt(moments.total(jnp.square(z))) for z in (x, y))
    x, y = (z * ratio(jnp.ones_like(s), s)[None] for z, s in zip((x, y), deviations, strict=True))
    correlations = moments.product(x, y)
    own = jnp.eye(first.shape[1], dtype=bool)
    costs = jnp.where(own, jnp.square(1 - correlations), redundancy_weight * jnp.square(correlations))
    return jnp.sum(costs)


@custom_loss(signature="(n,d),(n,d),(n)->()", stand_in=0.5)
def vicreg(
    first: Input,
    second: Input,
    item_mask: Input = None,
    *,
    invariance_weight: NonNegative = 25.0,
    variance_weight: NonNegative = 25.0,
    covariance_weight: NonNegative = 1.0,
    epsilon: NonNegative = 1e-4,
    batch_axis_name: Any = None,
) -> Array:
    r"""Views agree, each feature varies over a batch, and no two features vary together.

    $$ \lambda \operatorname{mean}(x - y)^2 + \frac\mu2 [v(x) + v(y)] + \nu [c(x) + c(y)], \qquad
       v = \operatorname{mean}_j \max(0, 1 - \sqrt{V_{jj} + \epsilon}), \quad c = \frac1d \sum_{i \ne j} V_{ij}^2 $$

    Args:
        first: x, `[..., n, d]`, embeddings of one view of each member.
        second: y, `[..., n, d]`, of another view, in the same order.
        item_mask: `[..., n]`, True for the members of the batch, all by default.
        invariance_weight: lambda, >= 0.
        variance_weight: mu, >= 0. The authors' code halves it, which the paper does not.
        covariance_weight: nu, >= 0.
        epsilon: Added to the variances, >= 0: a part of the model.
        batch_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the n members are split, whose moments
            are summed over devices; `reduce(vicreg, axis_name=...)` has the value on each device.

    It couples the n members of its call, and gives one value for all. V is the covariance over the batch, by n - 1.

    Corners: of one member the variances are 0. With every member deleted it is 0 with gradient 0, and counts in the
    mean.

    Raises:
        ValueError: An option is negative.

    Source: Bardes et al. (2022), VICReg, equations 1 to 6, as in the authors' code.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([[1.0, 2.0], [3.0, 0.0], [2.0, 4.0]]), jnp.array([[1.0, 1.0], [2.0, 0.0], [4.0, 3.0]])
    >>> print(f"{vicreg(first / 10, second / 10):.5f}")
    21.49893
    """
    moments, size = _Moments(first, item_mask, batch_axis_name), first.shape[1]
    own = jnp.eye(size, dtype=bool)
    apart = jnp.sum(moments.total(jnp.square(first - second))) / (jnp.maximum(moments.count, 1) * size)

    def spread(view: Array) -> Array:
        x = moments.centred(view)
        covariance = moments.product(x, x) / jnp.maximum(moments.count - 1, 1)
        variances = jnp.sum(jnp.where(own, covariance, 0), axis=0)
        lacking = jnp.mean(positive_part(1 - safe_sqrt(variances + epsilon)))
        together = jnp.sum(jnp.where(own, 0, jnp.square(covariance))) / size
        return 0.5 * variance_weight * lacking + covariance_weight * together

    return invariance_weight * apart + spread(first) + spread(second)
