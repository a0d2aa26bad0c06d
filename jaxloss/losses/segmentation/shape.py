"""Segmentation by shape: how far wrong pixels are from the boundary, and whether thin structures hold together."""

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.safe import multiply_no_nan, power, ratio, share
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, NonNegative, Positive


def _outside(*probabilities: Array) -> Array:
    """0, and NaN where a probability is not in [0, 1]."""
    inside = jnp.stack([(p >= 0) & (p <= 1) for p in probabilities])
    return nan_unless(jnp.all(inside, axis=0), probabilities[0].dtype)


@custom_loss(stand_in=0.5)
def boundary(probabilities: Input, signed_distances: Input) -> Array:
    r"""The probability of a pixel, times its distance from the boundary of the true region, negative inside.

    $$ p\,\phi $$

    Args:
        probabilities: p, in [0, 1], any shape.
        signed_distances: phi, the shape of `probabilities`: negative inside the true region, 0 on its rim, positive
            outside, and 0 in an image without the region, or full of it. With SciPy, as the data are loaded:
            `edt(1 - y) * (1 - y) - (edt(y) - 1) * y`.

    It is negative where the prediction is right: its least is the sum over the region itself. The mean is the paper's.
    It has little to say far from the right answer; add it to an overlap loss.

    Corners: a probability of 0 costs 0, also at an infinite distance. One outside [0, 1] gives NaN.

    Source: Kervadec et al. (2019), Boundary loss for highly unbalanced segmentation, equation 5.

    >>> import jax.numpy as jnp
    >>> print(f"{boundary(jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([-1, 0, 1, 2])):.6f}")
    -0.075000
    """
    return multiply_no_nan(probabilities, signed_distances) + _outside(probabilities)


@custom_loss(stand_in=0.5)
def hausdorff(
    probabilities: Input,
    targets: Input,
    prediction_distances: Input,
    target_distances: Input,
    *,
    alpha: Positive = 2.0,
) -> Array:
    r"""The squared error of a pixel, weighed by its distances from the boundaries of prediction and truth.

    $$ (p - y)^2 \left( d_P^\alpha + d_Y^\alpha \right) $$

    Args:
        probabilities: p, in [0, 1], any shape.
        targets: y, in [0, 1], the shape of `probabilities`.
        prediction_distances: d_P >= 0, the distance of each pixel from the boundary of the region p > 0.5, 0 in an
            image where it is empty or full. Made on the host, by `jax.pure_callback`; it is a constant to the gradient.
        target_distances: d_Y >= 0, the same of y.
        alpha: How strongly far pixels count, > 0.

    Its mean stands for the Hausdorff distance, the largest distance of a wrong pixel.

    Corners: 0 with gradient 0 at p = y. A probability or a target outside [0, 1], or a negative distance, gives NaN.

    Raises:
        ValueError: `alpha` is not positive.

    Source: Karimi and Salcudean (2019), Reducing the Hausdorff distance in medical image segmentation, equation 8.

    >>> import jax.numpy as jnp
    >>> p, y = jnp.array([0.8, 0.6, 0.3, 0.1]), jnp.array([1, 0, 1, 0])
    >>> print(f"{hausdorff(p, y, jnp.array([1, 0, 1, 2]), jnp.array([0, 1, 0, 1])):.6f}")
    0.235000
    """
    weight = power(prediction_distances, alpha) + power(target_distances, alpha)
    distances = nan_unless((prediction_distances >= 0) & (target_distances >= 0), weight.dtype)
    return jnp.square(probabilities - targets) * weight + _outside(probabilities, targets) + distances


def _slope_of_harmonic(x: Array, y: Array) -> Array:
    return -2 * jnp.square(ratio(y, x + y))


@with_slopes(
    lambda x, y, *_: _slope_of_harmonic(x, y), lambda x, y, *_: _slope_of_harmonic(y, x), None, None
)  # a derivative that cancels: the complements fall as the shares rise
def _harmonic_complement(x: Array, y: Array, one_less_x: Array, one_less_y: Array) -> Array:
    """One minus the harmonic mean of two shares; 1 where both are 0."""
    none = x + y == 0
    return jnp.where(none, 1, (x * one_less_y + y * one_less_x) / jnp.where(none, 1, x + y))


@custom_loss(signature="(n),(n),(n),(n),(n)->()", stand_in=0.5)
def cl_dice(
    probabilities: Input,
    targets: Input,
    prediction_skeleton: Input,
    target_skeleton: Input,
    pixel_mask: Input = None,
    *,
    smooth: NonNegative = 0.0,
) -> Array:
    r"""One minus the Dice coefficient of centre lines: of vessels and roads, which must not break.

    $$ 1 - \frac{2\,P\,T}{P + T}, \qquad
       P = \frac{\sum_i S^P_i y_i + s}{\sum_i S^P_i + s}, \quad T = \frac{\sum_i S^Y_i p_i + s}{\sum_i S^Y_i + s} $$

    Args:
        probabilities: `[..., n]`, p, in [0, 1], at the n pixels, or voxels, of a region.
        targets: `[..., n]`, y, 0 or 1, or soft, in [0, 1].
        prediction_skeleton: `[..., n]`, S^P in [0, 1], the centre line of the prediction, flattened like it:
            `jaxloss.numerics.soft_skeleton(image)`, through which the gradient goes.
        target_skeleton: `[..., n]`, S^Y in [0, 1], that of the truth.
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default.
        smooth: s, in pixels, >= 0; the paper's code has 1.

    P is the share of the predicted centre line inside the truth, T that of the true one inside the prediction.

    Corners: an empty skeleton has the share 1. Where both shares are 0 it is 1 with gradient 0. A region whose pixels
    are all masked costs 0, and counts: `where=pixel_mask.any(-1)` leaves it out. A number outside [0, 1] gives NaN.

    Raises:
        ValueError: `smooth` is negative.

    Source: Shit et al. (2021), clDice, equations 1 and 2 and algorithm 1.

    >>> import jax.numpy as jnp
    >>> from jaxloss.numerics import soft_skeleton
    >>> image = jnp.zeros((3, 5)).at[1].set(jnp.array([0.9, 0.8, 0.9, 0.7, 0.9]))
    >>> truth = (image > 0).astype(float)
    >>> skeletons = (soft_skeleton(x, iterations=1).reshape(-1) for x in (image, truth))
    >>> print(f"{cl_dice(image.reshape(-1), truth.reshape(-1), *skeletons):.6f}")
    0.086957
    """

    def shares(skeleton: Array, region: Array) -> tuple[Array, Array]:
        inside = jnp.sum(skeleton * region, where=pixel_mask) + smooth
        beside = jnp.sum(skeleton * (1 - region), where=pixel_mask)
        return jnp.where(inside + beside == 0, 1, share(inside, beside)), share(beside, inside)

    precision, imprecision = shares(prediction_skeleton, targets)
    sensitivity, insensitivity = shares(target_skeleton, probabilities)
    cost = _harmonic_complement(precision, sensitivity, imprecision, insensitivity)
    outside = _outside(probabilities, targets, prediction_skeleton, target_skeleton)
    return cost + jnp.sum(outside)
