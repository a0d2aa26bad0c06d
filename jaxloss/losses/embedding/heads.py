"""Margins in a softmax of cosines: classes are directions, and the label's own is made to look less similar."""

import math
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.anchors import log_sum, products
from jaxloss.numerics.classes import is_class, nan_unless, on_this_device
from jaxloss.numerics.head.linear import linear_softmax_sum
from jaxloss.numerics.norms import safe_norm, unit_vector
from jaxloss.numerics.platform import may_be_split
from jaxloss.numerics.row import Softmax
from jaxloss.numerics.safe import safe_log
from jaxloss.numerics.softplus import softplus
from jaxloss.types import Array, Input, Interval, Memory, NonNegative, Number, Positive

_Angle: TypeAlias = Annotated[Number, Interval(ge=0, le=math.pi)]
Margin = Callable[[Array, Array, Any], Array]
"""The cosine of unit vectors `[..., d]`, an embedding and the direction of its class, with a margin."""


def _with_angle(x: Array, own: Array, margin: Any) -> Array:
    cosine = jnp.sum(x * own, axis=-1)
    sine = safe_norm(x - cosine[..., None] * own)  # finite slopes at 0 and pi, where 1 - cosine^2 has none
    sine = jnp.where((cosine == 0) & (sine == 0), 1, sine)  # a zero vector is at right angles to all
    margin = jnp.asarray(margin, x.dtype)
    turned = cosine * jnp.cos(margin) - sine * jnp.sin(margin)
    return jnp.where(cosine < -jnp.cos(margin), cosine - margin * jnp.sin(margin), turned)


def _with_difference(x: Array, own: Array, margin: Any) -> Array:
    return jnp.sum(x * own, axis=-1) - margin


def _directions(kernel: Array) -> Array:
    """The unit vectors of the classes, `[d, v]`."""
    return unit_vector(kernel.T).T


def _own(directions: Array, labels: Array, axis_name: Any) -> Array:
    """The direction of each label, `[..., d]`, on all devices over which the classes are split."""
    count = directions.shape[1]
    place = on_this_device(labels, count, axis_name)
    if axis_name is None and may_be_split(directions):  # where an index cannot be read from its place
        hot = place[..., None] == jax.lax.broadcasted_iota(place.dtype, (*place.shape, count), place.ndim)
        return jnp.matmul(hot.astype(directions.dtype), directions.T, precision=jax.lax.Precision.HIGHEST)
    own = jnp.moveaxis(jnp.take(directions, jnp.clip(place, 0, count - 1), axis=1), 0, -1)
    own = jnp.where(is_class(place, count)[..., None], own, 0)
    return own if axis_name is None else jax.lax.psum(own, axis_name)


def _log_sum_of_others(x: Array, label: Array, directions: Array, axis_name: Any) -> Array:
    """Log sum exp of the products of one vector with the directions of all classes but its own."""
    count = directions.shape[1]
    is_other = jnp.arange(count, dtype=label.dtype) != on_this_device(label, count, axis_name)
    here = log_sum(products(x[None], directions.T)[0], is_other)
    if axis_name is None:
        return here
    largest = jax.lax.pmax(jax.lax.stop_gradient(here), axis_name)
    return largest + jnp.log(jax.lax.psum(jnp.exp(here - largest), axis_name))  # the same on all devices


def _outside(label: Array, directions: Array, axis_name: Any) -> Array:
    """0, and NaN for a label that is no class."""
    classes = directions.shape[1] * (1 if axis_name is None else jax.lax.axis_size(axis_name))
    return nan_unless(is_class(label, classes), directions.dtype)


def _link(softmax: Softmax, target: Array) -> Array:
    return softplus(safe_log(softmax.complement) + softmax.log_partition - target)


def _sum_of(margin_of: Margin) -> Callable[..., Any]:
    """The weighted sum over many embeddings, without the logits of all at once."""

    def weighted_sum(
        embeddings: Array,
        labels: Array,
        kernel: Array,
        weights: Array,
        *,
        scale: Any,
        margin: Any,
        class_axis_name: Any,
        memory: Any,
        groups: tuple[int, ...],
    ) -> Any:
        if kernel.ndim != 2 or labels.shape != embeddings.shape[:-1]:
            return NotImplemented
        x, directions = unit_vector(embeddings.astype(weights.dtype)), _directions(kernel.astype(weights.dtype))
        target = scale * margin_of(x, _own(directions, labels, class_axis_name), margin)
        return linear_softmax_sum(
            _link,
            scale * x,
            labels,
            directions,
            None,
            None,
            weights,
            each={"target": target},
            shared={},
            axis_name=class_axis_name,
            memory=memory,
            groups=groups,
        )

    return weighted_sum


@custom_loss(signature="(d),(),(d,v)->()", weighted_sum=_sum_of(_with_angle), stand_in=0.5)
def arcface(
    embeddings: Input,
    labels: Input,
    kernel: Input,
    *,
    scale: Positive = 64.0,
    margin: _Angle = 0.5,
    class_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The softmax cross entropy of scaled cosines, where the angle to the label's direction is enlarged by a margin.

    $$ \log\Bigl( 1 + \sum_{j \ne y} e^{s (\cos\theta_j - c)} \Bigr), \qquad
       c = \begin{cases} \cos(\theta_y + m) & \theta_y \le \pi - m \\
       \cos\theta_y - m \sin m & \text{else} \end{cases} $$

    Args:
        embeddings: `[..., d]`.
        labels: `[...]`, y, integers from 0 to v - 1.
        kernel: `[d, v]`, the directions of the classes as columns, of any length, shared by all.
        scale: s, > 0.
        margin: m, in radians, from 0 to pi.
        class_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the kernel is split by classes. Labels
            count over all of them.
        memory: How many bytes the logits at hand may take, as of `linear_softmax_cross_entropy`.

    Means and sums are taken without the logits of all embeddings at once.

    Corners: at theta = 0 and pi the gradient is finite. The second branch, the authors', goes on falling, and jumps at
    the seam. A zero vector has cosine 0 with everything. A label outside 0 to v - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: `scale` is not positive, or `margin` is out of range.

    Source: Deng et al. (2019), ArcFace, equation 3; the second branch is that of the authors' code.

    >>> import jax.numpy as jnp
    >>> embedding, kernel = jnp.array([1.0, 0.5]), jnp.array([[1.0, 0.2, -0.5], [0.0, 1.0, 0.8]])
    >>> print(f"{arcface(embedding, 0, kernel, scale=4.0):.6f}")
    0.815141
    """
    del memory
    x, directions = unit_vector(embeddings), _directions(kernel)
    cosine = _with_angle(x, _own(directions, labels, class_axis_name), margin)
    others = _log_sum_of_others(scale * x, labels, directions, class_axis_name)
    return softplus(others - scale * cosine) + _outside(labels, directions, class_axis_name)


@custom_loss(signature="(d),(),(d,v)->()", weighted_sum=_sum_of(_with_difference), stand_in=0.5)
def cosface(
    embeddings: Input,
    labels: Input,
    kernel: Input,
    *,
    scale: Positive = 64.0,
    margin: NonNegative = 0.35,
    class_axis_name: Any = None,
    memory: Memory = None,
) -> Array:
    r"""The softmax cross entropy of scaled cosines, where that to the label's direction is lowered by a margin.

    $$ \log\Bigl( 1 + \sum_{j \ne y} e^{s (\cos\theta_j - \cos\theta_y + m)} \Bigr) $$

    Args:
        embeddings: `[..., d]`.
        labels: `[...]`, y, integers from 0 to v - 1.
        kernel: `[d, v]`, the directions of the classes as columns, of any length, shared by all.
        scale: s, > 0.
        margin: m, >= 0; with 0 it is the normalised softmax.
        class_axis_name: Inside `shard_map`, the mesh axis, or axes, over which the kernel is split by classes. Labels
            count over all of them.
        memory: How many bytes the logits at hand may take, as of `linear_softmax_cross_entropy`.

    Means and sums are taken without the logits of all embeddings at once.

    Corners: a zero vector has cosine 0 with everything, and gradient 0. A label outside 0 to v - 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: `scale` is not positive, or `margin` is out of range.

    Source: Wang et al. (2018), CosFace, equation 4.

    >>> import jax.numpy as jnp
    >>> embedding, kernel = jnp.array([1.0, 0.5]), jnp.array([[1.0, 0.2, -0.5], [0.0, 1.0, 0.8]])
    >>> print(*(f"{cosface(embedding, 0, kernel, scale=4.0, margin=margin):.6f}" for margin in (0.35, 0.0)))
    0.874676 0.296221
    """
    del memory
    x, directions = unit_vector(embeddings), _directions(kernel)
    cosine = _with_difference(x, _own(directions, labels, class_axis_name), margin)
    others = _log_sum_of_others(scale * x, labels, directions, class_axis_name)
    return softplus(others - scale * cosine) + _outside(labels, directions, class_axis_name)
