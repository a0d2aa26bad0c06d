"""Segmentation by overlap: the pixels that are wrong, as a share of a region.

A region is flattened to n pixels, on the last axis, and every axis before it is a batch: `[b, n]` are the masks of b
images, `[b, c, n]` those of c classes in each (`jnp.moveaxis(x.reshape(b, -1, c), 1, 2)` of `[b, h, w, c]`). An image
`[b, h, w]` that is not reshaped has a region in each *row*.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.safe import power, ratio, safe_sqrt, share
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, NonNegative, Positive


class _Pixels(NamedTuple):
    """What each pixel has of the overlap, of the prediction alone and of the truth alone."""

    both: Array
    false_positive: Array
    false_negative: Array


def _slope_of_smaller(x: Array, y: Array) -> Array:
    """At a tie one half, but at 0 and 1, where x can only move to one side."""
    at_tie = jnp.where(y == 0, 0, jnp.where(y == 1, 1, 0.5))
    return jnp.where(x < y, 1, jnp.where(x > y, 0, at_tie)).astype(x.dtype)


@with_slopes(_slope_of_smaller, lambda x, y: _slope_of_smaller(y, x))  # ties of a minimum, at the ends of the domain
def _smaller(x: Array, y: Array) -> Array:
    return jnp.minimum(x, y)


def _pixels(probabilities: Array, targets: Array, overlap: str = "product") -> _Pixels:
    if overlap == "minimum":
        both = _smaller(probabilities, targets)
        return _Pixels(both, probabilities - both, targets - both)
    return _Pixels(probabilities * targets, probabilities * (1 - targets), targets * (1 - probabilities))


def _check_overlap(loss: str, overlap: str) -> None:
    if overlap not in ("product", "minimum"):
        raise ValueError(f"{loss}: overlap must be 'product' or 'minimum', got {overlap!r}.")


def _outside(probabilities: Array, targets: Array) -> Array:
    """0, and NaN where a probability or a target is not in [0, 1]."""
    # A sum like those of the overlap: all are one pass then, where `jnp.all` would be another one on a TPU.
    p, y = jax.lax.stop_gradient((probabilities, targets))
    beyond = jnp.maximum(jnp.maximum(-p, p - 1), 0) + jnp.maximum(jnp.maximum(-y, y - 1), 0)
    return nan_unless(jnp.sum(beyond) == 0, p.dtype)


def _share_of_wrong(wrong: Array, right: Array, pixel_mask: Input, smooth: Input) -> Array:
    """The sum over pixels of what is wrong, over that of all."""
    return share(jnp.sum(wrong, where=pixel_mask), jnp.sum(right, where=pixel_mask) + smooth)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def dice(
    probabilities: Input,
    targets: Input,
    pixel_mask: Input = None,
    *,
    smooth: NonNegative = 0.0,
    squared: bool = False,
    overlap: str = "product",
) -> Array:
    r"""One minus the Dice coefficient of a region, which is the F1 score of its pixels.

    $$ 1 - \frac{2 \sum_i p_i y_i + s}{\sum_i p_i + \sum_i y_i + s}
       = \frac{\sum_i p_i + y_i - 2 p_i y_i}{\sum_i p_i + y_i + s} $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels of a region: `jax.nn.sigmoid` or `jax.nn.softmax` of
            logits.
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default: `labels != 255`.
        smooth: s, in pixels, >= 0. Where images may be without the region take 1: an empty truth then says that
            nothing should be predicted. Dice alone can then settle at predicting nothing, in a network without
            normalisation; a cross entropy added to it mends that.
        squared: Whether the denominator has squares, sum p^2 + sum y^2 + s over sum (p - y)^2, as in V-Net.
        overlap: "product", as written, or "minimum", which has min(p, y) in place of p y: the same for targets 0 and 1.
            Of soft targets, only this form and the squared one are least at p = y.

    Each leading index is a region, with a value of its own: one of an image, or of an image and a class. To leave out
    the background or a class that an image does not have, mask values with `where=`, and weigh classes with `weights=`.
    Dice of a whole batch, which pools the pixels of its images, is a Tally for each class. The end of the example makes
    it, exact for any split into micro-batches and devices.

    Corners: where nothing is true and nothing predicted it is 0 with gradient 0; where nothing is true and something
    predicted 1 with gradient 0, unless `smooth` is positive. A region whose pixels are all masked costs 0, and counts:
    `where=pixel_mask.any(-1)` leaves it out. A probability or a target outside [0, 1] gives NaN.

    Raises:
        ValueError: `smooth` is negative, `overlap` an unknown name, or "minimum" with `squared`.

    Source: Milletari et al. (2016), V-Net, equation of section 3 (squared); Drozdzal et al. (2016), The importance of
    skip connections, section 2.3; Dice (1945), Measures of the amount of ecologic association between species.

    >>> import jax.numpy as jnp
    >>> p, y = jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])
    >>> print(f"{dice(p, y):.6f} {dice(p, y, squared=True):.6f} {dice(p, y, smooth=1.0):.6f}")
    0.421053 0.290323 0.333333
    >>> import jax
    >>> from jaxloss import Tally, value_and_grad
    >>> def cost(logits, batch):  # masks of c classes, [b, c, n]
    ...     p, y = jax.nn.sigmoid(logits + batch["x"]), batch["y"]
    ...     return Tally(jnp.sum(p + y - 2 * p * y, (0, 2)), jnp.sum(p + y, (0, 2)))
    >>> batch = {"x": jnp.linspace(-2, 2, 12).reshape(3, 2, 2), "y": jnp.arange(12).reshape(3, 2, 2) % 3 / 2}
    >>> mean_over_classes = lambda tally: jnp.mean(tally.mean)
    >>> for size in (None, 2):
    ...     value, slope = value_and_grad(cost, mean_over_classes, microbatch_size=size)(jnp.float32(0), batch)
    ...     print(f"{value:.4f} {slope:.4f}")
    0.4575 -0.0864
    0.4575 -0.0864
    """
    _check_overlap("dice", overlap)
    if squared:
        if overlap == "minimum":
            raise ValueError("dice: squared=True has an overlap of its own; leave out overlap='minimum'.")
        largest = jnp.maximum(jnp.max(probabilities), jnp.max(targets))
        largest = jax.lax.stop_gradient(jnp.maximum(largest, jnp.sqrt(jnp.asarray(smooth, largest.dtype))))
        unit = 1 / jnp.where(largest == 0, 1, largest)  # squares of small numbers leave the format
        wrong = jnp.square((probabilities - targets) * unit)
        right, smooth = 2 * (probabilities * unit) * (targets * unit), smooth * unit * unit
    else:
        both, false_positive, false_negative = _pixels(probabilities, targets, overlap)
        wrong, right = false_positive + false_negative, 2 * both
    return _share_of_wrong(wrong, right, pixel_mask, smooth) + _outside(probabilities, targets)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def jaccard(
    probabilities: Input,
    targets: Input,
    pixel_mask: Input = None,
    *,
    smooth: NonNegative = 0.0,
    overlap: str = "product",
) -> Array:
    r"""One minus the intersection over the union of a region and its truth.

    $$ 1 - \frac{\sum_i p_i y_i + s}{\sum_i (p_i + y_i - p_i y_i) + s}
       = \frac{\sum_i p_i + y_i - 2 p_i y_i}{\sum_i p_i + y_i - p_i y_i + s} $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels of a region.
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.
        smooth: s, in pixels, >= 0.
        overlap: "product", as written, or "minimum", which has min(p, y) in place of p y.

    Regions, classes and whole batches as in `dice`; the Tally of a batch has the denominator sum p + y - p y.

    Corners: as those of `dice`.

    Raises:
        ValueError: `smooth` is negative, or `overlap` an unknown name.

    Source: Rahman and Wang (2016), Optimizing intersection-over-union in deep neural networks, equation 3; Jaccard
    (1912), The distribution of the flora in the alpine zone.

    >>> import jax.numpy as jnp
    >>> print(f"{jaccard(jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])):.6f}")
    0.592593
    """
    _check_overlap("jaccard", overlap)
    both, false_positive, false_negative = _pixels(probabilities, targets, overlap)
    cost = _share_of_wrong(false_positive + false_negative, both, pixel_mask, smooth)
    return cost + _outside(probabilities, targets)


def _tversky(
    probabilities: Array,
    targets: Array,
    pixel_mask: Input,
    alpha: Input,
    beta: Input,
    smooth: Input,
    overlap: str = "product",
) -> Array:
    both, false_positive, false_negative = _pixels(probabilities, targets, overlap)
    wrong = alpha * false_positive + beta * false_negative
    return _share_of_wrong(wrong, both, pixel_mask, smooth) + _outside(probabilities, targets)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def tversky(
    probabilities: Input,
    targets: Input,
    pixel_mask: Input = None,
    *,
    alpha: NonNegative = 0.3,
    beta: NonNegative = 0.7,
    smooth: NonNegative = 0.0,
    overlap: str = "product",
) -> Array:
    r"""One minus the Tversky index of a region: an overlap that weighs false positives and false negatives.

    $$ 1 - \frac{TP + s}{TP + \alpha\, FP + \beta\, FN + s}, \qquad
       TP = \sum_i p_i y_i, \quad FP = \sum_i p_i (1 - y_i), \quad FN = \sum_i (1 - p_i)\, y_i $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels of a region.
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.
        alpha: The weight of false POSITIVES, >= 0. Some libraries have alpha and beta the other way round.
        beta: The weight of false negatives, >= 0. Both 1/2 is `dice` with half its smooth, both 1 is `jaccard`.
        smooth: s, in pixels, >= 0.
        overlap: "product", as written, or "minimum", which has min(p, y) in place of p y.

    Regions, classes and whole batches as in `dice`; the Tally of a batch has the numerator alpha FP + beta FN and the
    denominator TP + alpha FP + beta FN.

    Corners: as those of `dice`.

    Raises:
        ValueError: An option is negative, or `overlap` an unknown name.

    Source: Salehi et al. (2017), Tversky loss function for image segmentation, equation 3.

    >>> import jax.numpy as jnp
    >>> print(f"{tversky(jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])):.6f}")
    0.432990
    """
    _check_overlap("tversky", overlap)
    return _tversky(probabilities, targets, pixel_mask, alpha, beta, smooth, overlap)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def focal_tversky(
    probabilities: Input,
    targets: Input,
    pixel_mask: Input = None,
    *,
    alpha: NonNegative = 0.3,
    beta: NonNegative = 0.7,
    gamma: Positive = 0.75,
    smooth: NonNegative = 0.0,
) -> Array:
    r"""A power of the Tversky loss: below 1 it keeps pulling at regions that are nearly right.

    $$ \left( 1 - \frac{TP + s}{TP + \alpha\, FP + \beta\, FN + s} \right)^\gamma $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels of a region.
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.
        alpha: The weight of false positives, >= 0.
        beta: The weight of false negatives, >= 0.
        gamma: The exponent, > 0; the paper writes 1 / gamma for it, with 4/3.
        smooth: s, in pixels, >= 0.

    Corners: as those of `tversky`; at 0, where the slope of a power below 1 is infinite, the gradient is 0.

    Raises:
        ValueError: An option is out of range.

    Source: Abraham and Khan (2019), A novel focal Tversky loss function with improved attention U-Net, equation 4.

    >>> import jax.numpy as jnp
    >>> print(f"{focal_tversky(jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])):.6f}")
    0.533775
    """
    return power(_tversky(probabilities, targets, pixel_mask, alpha, beta, smooth), gamma)


@custom_loss(signature="(n,c),(n,c),(n)->()", stand_in=0.5)
def generalized_dice(
    probabilities: Input, targets: Input, pixel_mask: Input = None, *, weighting: str = "square"
) -> Array:
    r"""One minus the Dice coefficient of all classes together, each weighed by how small it is.

    $$ 1 - \frac{2 \sum_c w_c \sum_i p_{ic} y_{ic}}{\sum_c w_c \sum_i (p_{ic} + y_{ic})}, \qquad
       w_c = \Bigl( \min_{k:\,v_k > 0} v_k / v_c \Bigr)^2, \quad v_c = \sum_i y_{ic} $$

    Args:
        probabilities: `[..., n, c]`, p, in [0, 1], of c classes at the n pixels of an image.
        targets: `[..., n, c]`, y, in [0, 1]: `jax.nn.one_hot(labels, c)`.
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.
        weighting: "square", as written; "simple", without the square; "uniform", all 1.

    The weights are relative to that of the smallest class, so no 1 / v^2 overflows; a class that the image does not
    have weighs as much as the smallest.

    Corners: where no class is true all weigh 1; nothing true and nothing predicted costs 0. An image whose pixels are
    all masked costs 0, and counts. A probability or a target outside [0, 1] gives NaN.

    Raises:
        ValueError: `weighting` is an unknown name.

    Source: Sudre et al. (2017), Generalised Dice overlap as a deep learning loss function, section 2.1; classes that
    an image does not have as in NiftyNet.

    >>> import jax.numpy as jnp
    >>> p = jnp.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.1, 0.9]])
    >>> y = jnp.eye(2)[jnp.array([0, 1, 1, 1])]
    >>> print(f"{generalized_dice(p, y):.6f} {generalized_dice(p, y, weighting='uniform'):.6f}")
    0.394737 0.300000
    """
    powers = {"square": 2, "simple": 1, "uniform": 0}
    if weighting not in powers:
        raise ValueError(f"generalized_dice: weighting must be 'square', 'simple' or 'uniform', got {weighting!r}.")
    counts = None if pixel_mask is None else pixel_mask[:, None]
    both, false_positive, false_negative = _pixels(probabilities, targets)
    wrong, right = (jnp.sum(x, axis=0, where=counts) for x in (false_positive + false_negative, 2 * both))
    volume = jnp.sum(targets, axis=0, where=counts)
    smallest = jnp.min(jnp.where(volume > 0, volume, jnp.inf))
    weight = jnp.where(volume > 0, smallest / jnp.where(volume > 0, volume, 1), 1) ** powers[weighting]
    return share(jnp.sum(weight * wrong), jnp.sum(weight * right)) + _outside(probabilities, targets)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def matthews(probabilities: Input, targets: Input, pixel_mask: Input = None) -> Array:
    r"""One minus the correlation of a region and its truth over the pixels, from 0 to 2.

    $$ 1 - \frac{TP \cdot TN - FP \cdot FN}{\sqrt{(TP + FP)(TP + FN)(TN + FP)(TN + FN)}} $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels of a region. TP = sum p y, FP = sum p (1 - y),
            FN = sum (1 - p) y, TN = sum (1 - p)(1 - y).
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.

    Pixels outside the region count as much as those inside. Regions and classes as in `dice`. For a whole batch take
    the four sums as Tallies over the pixels, and the formula as the last step.

    Corners: 0 where nothing is wrong, also where all pixels are of one class. Else, with one class only in the truth or
    in the prediction, it is 1 with gradient 0. A region whose pixels are all masked costs 0, and counts. A probability
    or a target outside [0, 1] gives NaN.

    Source: Abhishek and Hamarneh (2021), Matthews correlation coefficient loss for deep convolutional networks,
    equation 5; Matthews (1975), Comparison of the predicted and observed secondary structure of T4 phage lysozyme.

    >>> import jax.numpy as jnp
    >>> print(f"{matthews(jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])):.5f}")
    0.79899
    """
    pixels = (*_pixels(probabilities, targets), (1 - probabilities) * (1 - targets))
    tp, fp, fn, tn = (jnp.mean(x, where=pixel_mask) for x in pixels)  # means: products of counts leave the format
    scale = safe_sqrt(tp + fp) * safe_sqrt(tp + fn) * safe_sqrt(tn + fp) * safe_sqrt(tn + fn)
    agreement = tp * tn - fp * fn
    # 1 - N / D = (D^2 - N^2) / (D (D + N)), which does not cancel near 0.
    difference = tp * tn * (fp + fn) + fp * fn * (tp + tn)
    positive = (agreement > 0) | (fp + fn == 0)
    near = ratio(ratio(difference, scale), scale + jnp.where(positive, agreement, 0))
    cost = jnp.where(positive, near, 1 - ratio(agreement, scale))
    return cost + _outside(probabilities, targets)
