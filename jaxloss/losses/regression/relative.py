"""Regression: errors relative to the size of the target, and losses that no common factor changes."""

import math

import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics import norms
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.safe import (
    finite_slope,
    largest_like,
    ratio,
)
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input, UnitInterval


def _slope_of_log_ratio(x: Array, y: Array, shift: float) -> Array:
    """The slope in x, 1 / (shift + x). Where it is infinite it is taken as 1, and as 0 if x = y."""
    zero = shift + x == 0
    return jnp.where(zero & (x == y), 0, 1 / jnp.where(zero, 1, shift + x))


@with_slopes(  # a derivative that overflows, and an infinite slope times 0
    _slope_of_log_ratio,
    lambda x, y, shift: -_slope_of_log_ratio(y, x, shift),
    None,
)
def _log_ratio(x: Array, y: Array, shift: float) -> Array:
    """The logarithm of (shift + x) / (shift + y), right for x near y. It is 0 where both sums are 0."""
    gap, least = jnp.abs(x - y), shift + jnp.minimum(x, y)
    divisor = jnp.where(gap == 0, 1, least)
    quotient = jnp.where(least < 0, -2, gap / divisor)  # the logarithm of 1 - 2 is NaN
    # The quotient may overflow; beyond 2^114 its logarithm is that of its share of 2^64, and 64 log 2.
    share = 2.0**-64 * gap / divisor
    far = share > 2.0**50
    size = jnp.log1p(jnp.where(far, share, quotient)) + jnp.where(far, 64 * math.log(2), 0)
    return jnp.sign(x - y) * size


def _slope_of_squared_log_error(x: Array, y: Array) -> Array:
    # By the ratio the other way round, since a GPU writes to memory what a value and a slope share.
    return finite_slope(-2 * (finite_slope(_log_ratio(y, x, 1.0)) * _slope_of_log_ratio(x, y, 1.0)))


@with_slopes(_slope_of_squared_log_error, lambda x, y: _slope_of_squared_log_error(y, x))  # an infinite slope times 0
def _squared_log_error(x: Array, y: Array) -> Array:
    return jnp.square(_log_ratio(x, y, 1.0))


@custom_loss(stand_in=0.5)
def squared_log_error(prediction: Input, target: Input) -> Array:
    r"""The squared error of the logarithms of 1 plus prediction and target, for counts and other sizes.

    $$ \left[ \log(1 + \hat y) - \log(1 + y) \right]^2 $$

    Args:
        prediction: Predictions, > -1, any shape.
        target: True values, > -1, the shape of `prediction`.

    Corners: 0 with gradient 0 at a perfect prediction, also at -1. Where only one of the two is -1 the cost is inf and
    the gradient in that one the largest finite number. Below -1 it is NaN, and so it is where both are inf.

    Source: Jachner et al. (2007), Statistical methods for the qualitative assessment of dynamic models with time delay.

    >>> print(f"{squared_log_error(1.0, 3.0):.4f}")
    0.4805
    """
    return _squared_log_error(prediction, target)


def _relative_error_in_x(x: Array, y: Array) -> Array:
    return jnp.sign(x - y) * jnp.where(y == 0, largest_like(y), finite_slope(ratio(jnp.ones_like(y), jnp.abs(y))))


def _relative_error_in_y(x: Array, y: Array) -> Array:
    slope = finite_slope(ratio(ratio(x, y), jnp.abs(y)))
    return -jnp.sign(x - y) * jnp.where(y == 0, jnp.sign(x) * largest_like(y), slope)


@with_slopes(_relative_error_in_x, _relative_error_in_y)  # a derivative that cancels: (1 - (y - x) / y) / y for x << y
def _relative_error(x: Array, y: Array) -> Array:
    # Halves, since the difference may overflow where the quotient does not.
    return 2 * (jnp.abs(0.5 * x - 0.5 * y) / jnp.where(x == y, 1, jnp.abs(y)))


@custom_loss(stand_in=0.5)
def absolute_percentage_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error in units of the target, as a share and not in percent; its mean is the MAPE.

    $$ \left| \frac{\hat y - y}{y} \right| $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`. Where they are 0, take `where=`.

    Corners: 0 with subgradient 0 at a perfect prediction, also of 0. Any other prediction of 0 costs inf, and its
    gradient is the largest finite number. Of an infinite target it is NaN.

    Source: de Myttenaere et al. (2016), Mean absolute percentage error for regression models, section 1.

    >>> print(f"{absolute_percentage_error(90.0, 100.0):.2f}")
    0.10
    """
    return _relative_error(prediction, target)


def _slope_in_scale(error: Array, scale: Array) -> Array:
    return -finite_slope(_per_scale(_per_scale(error, scale), scale))


@with_slopes(lambda error, scale: jnp.sign(error) * finite_slope(1 / scale), _slope_in_scale)  # an infinite slope
def _per_scale(error: Array, scale: Array) -> Array:
    return jnp.where(error == 0, 0, jnp.abs(error) * (1 / scale))


@custom_loss(stand_in=0.5)
def scaled_absolute_error(prediction: Input, target: Input, scale: Input) -> Array:
    r"""The absolute error in units of a scale, that of its series; its mean is the MASE.

    $$ \frac{|\hat y - y|}{s} $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.
        scale: s > 0, the shape of `prediction`: broadcast that of each series, for the MASE the mean absolute error of
            the naive forecast in the training data.

    The scale is a factor and no weight, which would cancel in the mean.

    Corners: 0 with subgradient 0 at a perfect prediction, also of scale 0. Any other error of scale 0 costs inf, and
    its gradient is the largest finite number; leave such series out with `where=`. A negative scale gives NaN.

    Source: Hyndman and Koehler (2006), Another look at measures of forecast accuracy, section 4.

    >>> print(f"{scaled_absolute_error(3.0, 5.0, 1.6):.2f}")
    1.25
    """
    return _per_scale(prediction - target, scale) + nan_unless(scale >= 0, scale.dtype)


def _scaled(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Both, the sum of their sizes, and by how much they were scaled so that it and its reciprocal are finite."""
    scale = jnp.where(jnp.maximum(jnp.abs(x), jnp.abs(y)) > 1, 0.125, 1).astype(x.dtype)
    x, y = scale * finite_slope(x), scale * finite_slope(y)
    return x, y, jnp.abs(x) + jnp.abs(y), scale


def _symmetric_relative_error_in_x(x: Array, y: Array) -> Array:
    """4 |y| / (|x| + |y|)^2 with the sign of x - y; 0 where the signs of x and y differ."""
    agree = jnp.sign(x) == jnp.sign(y)
    x, y, total, scale = _scaled(x, y)
    slope = jnp.sign(x - y) * finite_slope(ratio(4 * scale * ratio(jnp.abs(y), total), total))
    return jnp.where(agree, slope, 0)


@with_slopes(  # a derivative that cancels: 1 / (x + y) - (x - y) / (x + y)^2 for x >> y
    _symmetric_relative_error_in_x,
    lambda x, y: _symmetric_relative_error_in_x(y, x),
)
def _symmetric_relative_error(x: Array, y: Array) -> Array:
    x, y, total, _ = _scaled(x, y)
    return 2 * ratio(jnp.abs(x - y), total)


@custom_loss(stand_in=0.5)
def symmetric_absolute_percentage_error(prediction: Input, target: Input) -> Array:
    r"""The absolute error in units of the mean size of prediction and target, from 0 to 2; its mean is the SMAPE.

    $$ \frac{2\,|\hat y - y|}{|\hat y| + |y|} $$

    Args:
        prediction: Predictions, any shape.
        target: True values, the shape of `prediction`.

    Corners: 0 with subgradient 0 at a perfect prediction, also of 0. Where the signs differ it is 2 with gradient 0.

    Source: Makridakis (1993), Accuracy measures: theoretical and practical concerns, as a share.

    >>> print(f"{symmetric_absolute_percentage_error(90.0, 110.0):.2f}")
    0.20
    """
    return _symmetric_relative_error(prediction, target)


@custom_loss(signature="(d),(d)->()", stand_in=0.5)
def cosine_distance(prediction: Input, target: Input) -> Array:
    r"""One minus the cosine of the angle between two vectors, from 0 to 2.

    $$ 1 - \frac{\hat y \cdot y}{\lVert \hat y \rVert \lVert y \rVert} $$

    Args:
        prediction: `[..., d]`, vectors.
        target: `[..., d]`, vectors.

    Corners: a zero vector has cosine 0 with everything, and gradient 0. Vectors of any length, from 1e-38 to 1e38, and
    ones that are nearly parallel are told apart, as far as the rounding of a vector allows it. An infinite component
    gives NaN.

    Source: Salton et al. (1975), A vector space model for automatic indexing, section 1.

    >>> import jax.numpy as jnp
    >>> print(f"{cosine_distance(jnp.array([3.0, 4.0]), jnp.array([4.0, 3.0])):.2f}")
    0.04
    """
    return norms.cosine_distance(prediction, target)


@custom_loss(signature="(n),(n),(n)->()", stand_in=0.5)
def scale_invariant_log_error(
    prediction: Input, target: Input, pixel_mask: Input = None, *, variance_focus: UnitInterval = 0.5
) -> Array:
    r"""The mean squared log error of one image, less a share of what a common factor explains.

    $$ \frac1n \sum_i d_i^2 - \lambda \left( \frac1n \sum_i d_i \right)^2
       = \frac1n \sum_i (d_i - \bar d)^2 + (1 - \lambda)\,\bar d^2, \qquad d_i = \log \hat y_i - \log y_i $$

    Args:
        prediction: `[..., n]`, depths > 0 at the n pixels of an image.
        target: `[..., n]`, true depths > 0.
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts. A masked pixel is left out of both means, may hold
            any number (a depth of 0, NaN), and has gradient 0. `where` speaks of images, not of pixels.
        variance_focus: lambda, in [0, 1]: 0 is the mean squared log error, 1 its variance, which no common factor
            changes.

    Corners: 0 with gradient 0 at a perfect prediction. A depth of 0 costs inf, below 0 it is NaN. An image without a
    pixel that counts costs 0, and counts in the mean: `where=pixel_mask.any(-1)` leaves it out.

    Raises:
        ValueError: `variance_focus` is outside [0, 1].

    Source: Eigen et al. (2014), Depth map prediction from a single image using a multi-scale deep network, equation 4.

    >>> import jax.numpy as jnp
    >>> target = jnp.array([1.0, 2.0, 4.0])
    >>> print(f"{scale_invariant_log_error(3 * target, target, variance_focus=0.5):.4f}")
    0.6035
    >>> holes = jnp.array([1.0, 0.0, 4.0])
    >>> print(f"{scale_invariant_log_error(3 * target, holes, holes > 0, variance_focus=0.5):.4f}")
    0.6035
    """
    counts = jnp.ones(target.shape, bool) if pixel_mask is None else pixel_mask
    n = jnp.maximum(jnp.sum(counts), 1).astype(prediction.dtype)
    d = _log_ratio(jnp.where(counts, prediction, 1), jnp.where(counts, target, 1), 0.0)
    largest = float(jnp.finfo(d.dtype).max) ** 0.75
    d = jnp.clip(d, -largest, largest)  # so that an infinite one has a mean, and an infinite square
    mean = jnp.sum(d) / n
    deviation = jnp.where(counts, d - mean, 0)
    return jnp.sum(jnp.square(deviation)) / n + (1 - variance_focus) * mean * mean
