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


class _Side(NamedTuple):
    """The sides of two boxes along one axis, in units of the longest side of the hull, the box around both."""

    size: Array
    true_size: Array
    at_low: Array  # how far the predicted corner is beyond the true one
    at_high: Array
    hull: Array
    inner: Array  # of the intersection, 0 where there is none

    @property
    def growth(self) -> Array:
        """Of the size, predicted less true; negative sizes too."""
        return self.at_high - self.at_low

    @property
    def shift(self) -> Array:
        """Of the centre."""
        return 0.5 * (self.at_low + self.at_high)

    @property
    def own(self) -> Array:
        """What the predicted side has beside the intersection."""
        return _length(-self.at_low) + _length(self.at_high)

    @property
    def missed(self) -> Array:
        """What the true side has beside the intersection."""
        return _length(self.at_low) + _length(-self.at_high)


class _Boxes(NamedTuple):
    """Two boxes, by their sides and areas."""

    x: _Side
    y: _Side
    union: Array
    uncovered: Array  # the area of the hull less the union
    apart: Array  # 1 - intersection / union


def _length(x: Array) -> Array:
    """The length if it is positive, else 0; at 0 with half a slope, so that the slopes at equal boxes cancel."""
    return 0.5 * (x + absolute(x))


def _side(low: Array, high: Array, true_low: Array, true_high: Array) -> _Side:
    """By its corners, in their unit."""
    return _Side(
        size=_length(high - low),
        true_size=_length(true_high - true_low),
        at_low=low - true_low,
        at_high=high - true_high,
        hull=_length(jnp.maximum(high, true_high) - jnp.minimum(low, true_low)),
        inner=_length(jnp.minimum(high, true_high) - jnp.maximum(low, true_low)),
    )


def _compare(prediction: Array, target: Array) -> _Boxes:
    # Numbers of a box, and no arrays of two: of these XLA would write each one to memory.
    x, y = (_side(prediction[i], prediction[i + 2], target[i], target[i + 2]) for i in (0, 1))
    largest = jax.lax.stop_gradient(jnp.maximum(x.hull, y.hull))
    unit = jnp.where(largest == 0, 1, largest)  # areas of sides of 1e20 and 1e-20 leave the format
    x, y = (_Side(*(length / unit for length in side)) for side in (x, y))
    overlap = (x.inner > 0) & (y.inner > 0)
    intersection = jnp.where(overlap, x.inner * y.inner, 0)
    # Strips, where a difference of areas would cancel.
    strips = x.own * y.size + x.missed * y.true_size + x.inner * (y.own + y.missed)
    areas = x.size * y.size + x.true_size * y.true_size
    wrong = jnp.where(overlap, strips, areas)
    union = wrong + intersection
    same = (x.at_low == 0) & (x.at_high == 0) & (y.at_low == 0) & (y.at_high == 0)
    no_area = ~overlap & (union == 0)
    return _Boxes(
        x,
        y,
        union,
        uncovered=jnp.where(overlap, x.own * y.missed + x.missed * y.own, x.hull * y.hull - areas),
        apart=jnp.where(no_area, jnp.where(same, 0, 1), share(wrong, intersection)),
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
    x, y = boxes.x, boxes.y
    return ratio(jnp.square(x.shift) + jnp.square(y.shift), jnp.square(x.hull) + jnp.square(y.hull))


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
    x, y = boxes.x, boxes.y
    v = 4 / math.pi**2 * jnp.square(_angle(x.true_size, y.true_size) - _angle(x.size, y.size))
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
    grown = sum(jnp.square(ratio(side.growth, side.hull)) for side in (boxes.x, boxes.y))
    return boxes.apart + _distance(boxes) + grown
