"""Boxes: how far a predicted rectangle is from the true one, by their overlap.

A box is its corners (x1, y1, x2, y2), on the last axis, in any unit. From a centre and sizes it is
`jnp.concatenate([centre - size / 2, centre + size / 2], -1)`. One with x2 < x1 or y2 < y1 is the empty set, whose width
or height counts as 0: sizes by `softplus` or `exp` make it impossible.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.safe import absolute, ratio, share
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input


class _Boxes(NamedTuple):
    """Two boxes, in units of the longer side of the hull, the box around both. Lengths are [2], along x and y."""

    size: Array
    true_size: Array
    growth: Array  # of the size, predicted less true; negative sizes too
    shift: Array  # of the centre
    hull: Array
    union: Array
    uncovered: Array  # the area of the hull less the union
    apart: Array  # 1 - intersection / union


def _length(x: Array) -> Array:
    """The length if it is positive, else 0; at 0 with half a slope, so that the slopes at equal boxes cancel."""
    return 0.5 * (x + absolute(x))


def _compare(prediction: Array, target: Array) -> _Boxes:
    low, high, true_low, true_high = prediction[:2], prediction[2:], target[:2], target[2:]
    hull = _length(jnp.maximum(high, true_high) - jnp.minimum(low, true_low))
    largest = jax.lax.stop_gradient(jnp.max(hull))
    unit = jnp.where(largest == 0, 1, largest)  # areas of sides of 1e20 and 1e-20 leave the format
    at_low, at_high = (low - true_low) / unit, (high - true_high) / unit
    size, true_size, hull = _length(high - low) / unit, _length(true_high - true_low) / unit, hull / unit
    inner = _length(jnp.minimum(high, true_high) - jnp.maximum(low, true_low)) / unit
    overlap = jnp.all(inner > 0)
    # What each box has beside the intersection: strips, where a difference of areas would cancel.
    own, missed = _length(-at_low) + _length(at_high), _length(at_low) + _length(-at_high)
    intersection = jnp.where(overlap, inner[0] * inner[1], 0)
    strips = own[0] * size[1] + missed[0] * true_size[1] + inner[0] * (own[1] + missed[1])
    wrong = jnp.where(overlap, strips, size[0] * size[1] + true_size[0] * true_size[1])
    union = wrong + intersection
    no_area = ~overlap & (union == 0)
    between = hull[0] * hull[1] - size[0] * size[1] - true_size[0] * true_size[1]
    return _Boxes(
        size=size,
        true_size=true_size,
        growth=at_high - at_low,
        shift=0.5 * (at_low + at_high),
        hull=hull,
        union=union,
        uncovered=jnp.where(overlap, own[0] * missed[1] + missed[0] * own[1], between),
        apart=jnp.where(no_area, jnp.where(jnp.all(prediction == target), 0, 1), share(wrong, intersection)),
    )


@custom_loss(signature="(4),(4)->()", stand_in=0.5)
def iou(prediction: Input, target: Input) -> Array:
    r"""One minus the intersection over the union of two boxes, from 0 to 1.

    $$ 1 - \frac{|P \cap T|}{|P \cup T|} $$

    Args:
        prediction: `[..., 4]`, P, a box (x1, y1, x2, y2), in any unit.
        target: `[..., 4]`, T, the true box.

    Each box is compared with one other. For all pairs, as a matcher wants them, map over one side:
    `jax.vmap(lambda p: jaxloss.reduce(jaxloss.iou, "none")(jnp.broadcast_to(p, targets.shape), targets))(boxes)`.

    Corners: 0 with gradient 0 at equal boxes, also of no area. Boxes that do not overlap cost 1 with gradient 0: take
    `giou`. A box with x2 < x1 or y2 < y1 is empty.

    Source: Rahman and Wang (2016), Optimizing intersection-over-union in deep neural networks, equation 3, for boxes;
    the negative logarithm of the same ratio is UnitBox: Yu et al. (2016).

    >>> import jax.numpy as jnp
    >>> print(f"{iou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 4.0])):.6f}")
    0.888889
    """
    return _compare(prediction, target).apart


@custom_loss(signature="(4),(4)->()", stand_in=0.5)
def giou(prediction: Input, target: Input) -> Array:
    r"""The IoU loss of two boxes, and the share of the box around both that neither covers; from 0 to 2.

    $$ 1 - \frac{|P \cap T|}{|P \cup T|} + \frac{|C| - |P \cup T|}{|C|}, \qquad C \text{ the box around both} $$

    Args:
        prediction: `[..., 4]`, P, a box (x1, y1, x2, y2), in any unit.
        target: `[..., 4]`, T, the true box.

    Corners: 0 with gradient 0 at equal boxes. Where C has no area the second term is 0. A box with x2 < x1 or y2 < y1
    is empty, and earns nothing by it.

    Source: Rezatofighi et al. (2019), Generalized intersection over union, algorithm 1.

    >>> import jax.numpy as jnp
    >>> print(f"{giou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 4.0])):.6f}")
    1.138889
    """
    boxes = _compare(prediction, target)
    return boxes.apart + share(boxes.uncovered, boxes.union)


def _distance(boxes: _Boxes) -> Array:
    """Of the centres, squared, over the squared diagonal of the hull."""
    return ratio(jnp.sum(jnp.square(boxes.shift)), jnp.sum(jnp.square(boxes.hull)))


@custom_loss(signature="(4),(4)->()", stand_in=0.5)
def diou(prediction: Input, target: Input) -> Array:
    r"""The IoU loss of two boxes, and the distance of their centres; from 0 to 2.

    $$ 1 - \frac{|P \cap T|}{|P \cup T|} + \frac{\rho^2}{w_C^2 + h_C^2} $$

    with rho the distance of the centres, and w_C and h_C the sides of the box around both.

    Args:
        prediction: `[..., 4]`, P, a box (x1, y1, x2, y2), in any unit.
        target: `[..., 4]`, T, the true box.

    Corners: 0 with gradient 0 at equal boxes. Where the box around both is a point the second term is 0. A box with
    x2 < x1 or y2 < y1 is empty.

    Source: Zheng et al. (2020), Distance-IoU loss, equation 7.

    >>> import jax.numpy as jnp
    >>> print(f"{diou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 4.0])):.6f}")
    1.018889
    """
    boxes = _compare(prediction, target)
    return boxes.apart + _distance(boxes)


def _slope_of_angle(width: Array, height: Array) -> Array:
    longer, shorter = jnp.maximum(width, height), jnp.minimum(width, height)
    return ratio(ratio(height, longer) / (1 + jnp.square(ratio(shorter, longer))), longer)


# Slopes that JAX gets wrong: NaN for a box of no size, and squares that leave the format.
@with_slopes(_slope_of_angle, lambda width, height: -_slope_of_angle(height, width))
def _angle(width: Array, height: Array) -> Array:
    """The arc tangent of width / height, 0 for a box of no size."""
    return jnp.arctan2(width, height)


@custom_loss(signature="(4),(4)->()", stand_in=0.5)
def ciou(prediction: Input, target: Input, *, hold_trade_off: bool = False) -> Array:
    r"""The DIoU loss of two boxes, and the difference of their aspect ratios.

    $$ 1 - \frac{|P \cap T|}{|P \cup T|} + \frac{\rho^2}{w_C^2 + h_C^2} + \alpha v, \qquad
       v = \frac4{\pi^2} \left( \arctan \frac{w_T}{h_T} - \arctan \frac{w_P}{h_P} \right)^2, \quad
       \alpha = \frac{v}{1 - \mathrm{IoU} + v} $$

    Args:
        prediction: `[..., 4]`, P, a box (x1, y1, x2, y2), in any unit.
        target: `[..., 4]`, T, the true box.
        hold_trade_off: Whether the gradient takes alpha as a constant, as the paper and torchvision do. The gradient is
            then not that of the value.

    Corners: 0 with gradient 0 at equal boxes. The arc tangent of a box of no height is pi / 2, that of one of no size
    0. A box with x2 < x1 or y2 < y1 is empty.

    Source: Zheng et al. (2020), Distance-IoU loss, equations 8 to 11.

    >>> import jax.numpy as jnp
    >>> print(f"{ciou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 4.0])):.6f}")
    1.019165
    """
    boxes = _compare(prediction, target)
    v = 4 / math.pi**2 * jnp.square(_angle(*boxes.true_size) - _angle(*boxes.size))
    trade_off = share(v, boxes.apart)
    return boxes.apart + _distance(boxes) + v * (jax.lax.stop_gradient(trade_off) if hold_trade_off else trade_off)


@custom_loss(signature="(4),(4)->()", stand_in=0.5)
def eiou(prediction: Input, target: Input) -> Array:
    r"""The DIoU loss of two boxes, and the differences of their widths and heights.

    $$ 1 - \frac{|P \cap T|}{|P \cup T|} + \frac{\rho^2}{w_C^2 + h_C^2} + \frac{(w_P - w_T)^2}{w_C^2}
       + \frac{(h_P - h_T)^2}{h_C^2} $$

    Args:
        prediction: `[..., 4]`, P, a box (x1, y1, x2, y2), in any unit.
        target: `[..., 4]`, T, the true box.

    Focal-EIoU weighs each box by a power of its IoU: `weights=jax.lax.stop_gradient(iou_of_box**0.5)`. Another loss of
    this name, Extended IoU, is not it.

    Corners: 0 with gradient 0 at equal boxes. Where a side of the box around both is 0, so is its term. A box with
    x2 < x1 or y2 < y1 is empty, but for the last two terms, which pull it back.

    Source: Zhang et al. (2021), Focal and efficient IoU loss for accurate bounding box regression, equation 6.

    >>> import jax.numpy as jnp
    >>> print(f"{eiou(jnp.array([0.0, 0.0, 2.0, 2.0]), jnp.array([1.0, 1.0, 3.0, 4.0])):.6f}")
    1.081389
    """
    boxes = _compare(prediction, target)
    return boxes.apart + _distance(boxes) + jnp.sum(jnp.square(ratio(boxes.growth, boxes.hull)))
