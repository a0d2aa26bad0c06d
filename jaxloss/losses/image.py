"""Images: how alike two of them look, and how rough one is. An image is `[h, w, c]`, channels last."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.norms import safe_norm
from jaxloss.numerics.remainders import expm1
from jaxloss.numerics.safe import absolute, multiply_no_nan, ratio, safe_log1p
from jaxloss.numerics.slopes import moves, with_slopes
from jaxloss.types import Array, Input, NonNegative, Positive


class _Likeness(NamedTuple):
    """Of each window of two images and each channel, what their means and their structure have apart, in [0, 2]."""

    of_means: Array
    of_structure: Array


def _window(size: int, sigma: Array, dtype: Input) -> Array:
    place = jnp.arange(size, dtype=dtype) - (size - 1) / 2
    weights = jnp.exp(-0.5 * jnp.square(place / sigma))
    # A barrier, without which XLA takes 80 seconds in place of 4 to compile `ms_ssim` for a GPU.
    return jax.lax.optimization_barrier(weights / jnp.sum(weights))


def _mean_and_variance(images: Array, window: Array) -> tuple[Array, Array]:
    """Of the windows inside each image, `[3, h, w, c]`: first down a column, then along it.

    A variance is the mean square from the mean, which is never negative, and right on a bright flat patch.
    """
    mean, variance = images, jnp.zeros_like(images)
    for axis in (1, 2):
        starts = range(images.shape[axis] - window.shape[0] + 1, images.shape[axis] + 1)
        cut = [[jax.lax.slice_in_dim(x, k, last, axis=axis) for k, last in enumerate(starts)] for x in (mean, variance)]
        mean = sum(w * x for w, x in zip(window, cut[0], strict=True))
        variance = sum(w * (v + jnp.square(x - mean)) for w, x, v in zip(window, *cut, strict=True))
    return mean, variance


def _mean(images: Array, window: Array) -> Array:
    """The mean alone, as a sum of padded images: its transpose, the gradient, is a sum of slices, which chips fuse."""
    more = window.shape[0] - 1
    for axis in (1, 2):
        pads = ([(k, more - k) if side == axis else (0, 0) for side in range(4)] for k in range(more + 1))
        padded = (jnp.pad(w * images, pad) for w, pad in zip(window[::-1], pads, strict=True))
        spread = functools.reduce(jnp.add, padded)
        images = jax.lax.slice_in_dim(spread, more, images.shape[axis], axis=axis)
    return images


_moments = jax.custom_jvp(_mean_and_variance)


# Differences from the mean, of which JAX would keep one for each place in the window.
@functools.partial(_moments.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> Any:
    (images, window), (of_images, of_window) = primals, tangents
    mean, variance = _moments(images, window)
    changes = []
    if moves(of_images):
        of_mean = _mean(of_images, window)
        changes.append((of_mean, 2 * (_mean(images * of_images, window) - mean * of_mean)))
    if moves(of_window):
        changes.append(jax.jvp(functools.partial(_mean_and_variance, images), (window,), (of_window,))[1])
    return (mean, variance), jax.tree.map(lambda *parts: sum(parts[1:], start=parts[0]), *changes)


def _slope_of_means(x: Array, y: Array, error: Array, constant: Array) -> Array:
    total = jnp.square(x) + jnp.square(y) + constant
    return 2 * ratio(error, total) * ratio(constant + y * (x + y), total)


@with_slopes(
    _slope_of_means,
    lambda x, y, *rest: -_slope_of_means(y, x, *rest),
    None,  # it moves as x - y, which is in these two
    lambda *of: -jnp.square(ratio(of[2], jnp.square(of[0]) + jnp.square(of[1]) + of[3])),
)  # a derivative that cancels, of a bright and a dark image
def _means_apart(x: Array, y: Array, error: Array, constant: Array) -> Array:
    """(x - y)^2 / (x^2 + y^2 + C), with the difference as such."""
    return ratio(jnp.square(error), jnp.square(x) + jnp.square(y) + constant)


def _likeness(images: Array, max_value: Array, window: Array, k1: Array, k2: Array) -> _Likeness:
    """Of x, y and x - y: 1 - l = (m_x - m_y)^2 / (m_x^2 + m_y^2 + C1), and 1 - cs the same of the variances."""
    (x, y, error), (var_x, var_y, var_error) = _moments(images, window)
    of_means = _means_apart(x, y, error, jnp.square(k1 * max_value))
    return _Likeness(of_means, ratio(var_error, var_x + var_y + jnp.square(k2 * max_value)))


def _check_size(loss: str, shape: tuple[int, ...], least: int, why: str) -> None:
    if min(shape[:2]) < least:
        last = "; channels are the last axis: jnp.moveaxis(image, -3, -1)" if shape[0] < 5 <= shape[2] else ""
        raise ValueError(
            f"{loss}: an image must have at least {least} pixels along each side for {why}, got {shape}{last}."
        )


@custom_loss(signature="(h,w,c),(h,w,c)->()", stand_in=0.5)
def ssim(
    prediction: Input,
    target: Input,
    *,
    max_value: Positive = 1.0,
    window_size: int = 11,
    sigma: Positive = 1.5,
    k1: NonNegative = 0.01,
    k2: NonNegative = 0.03,
) -> Array:
    r"""One minus the structural similarity of two images, from 0 to 2.

    $$ 1 - \operatorname{mean} \left[ \frac{2 \mu_x \mu_y + C_1}{\mu_x^2 + \mu_y^2 + C_1} \cdot
       \frac{2 \sigma_{xy} + C_2}{\sigma_x^2 + \sigma_y^2 + C_2} \right], \qquad C_i = (k_i L)^2, $$

    with the means, variances and covariance in a Gaussian window, and the mean over channels and over the windows that
    lie inside the image.

    Args:
        prediction: `[..., h, w, c]`, x. A grey image has c = 1.
        target: `[..., h, w, c]`, y.
        max_value: L, the range of a pixel, > 0: 255 for bytes.
        window_size: Pixels along the side of a window.
        sigma: The standard deviation of the window, in pixels, > 0.
        k1: Of the constant beside the means, >= 0.
        k2: Of the constant beside the variances, >= 0.

    Corners: 0 with gradient 0 at equal images. A variance is never negative, on bright flat patches too.

    Raises:
        ValueError: The image is smaller than the window, or an option is out of range.

    Source: Wang et al. (2004), Image quality assessment: from error visibility to structural similarity, equation 13.

    >>> import jax.numpy as jnp
    >>> i, j = jnp.arange(11.0)[:, None, None], jnp.arange(11.0)[None, :, None]
    >>> image = (i + 2 * j) / 40
    >>> print(f"{ssim(image, image + 0.1 * ((i + j) % 2)):.6f}")
    0.150162
    """
    _check_size("ssim", prediction.shape, window_size, f"window_size={window_size}")
    images = jnp.stack([prediction, target, prediction - target])
    means, structure = _likeness(images, max_value, _window(window_size, sigma, images.dtype), k1, k2)
    return jnp.mean(means + (1 - means) * structure)  # 1 - l cs


_WANG = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@custom_loss(signature="(h,w,c),(h,w,c)->()", stand_in=0.5)
def ms_ssim(
    prediction: Input,
    target: Input,
    *,
    max_value: Positive = 1.0,
    window_size: int = 11,
    sigma: Positive = 1.5,
    k1: NonNegative = 0.01,
    k2: NonNegative = 0.03,
    scale_weights: Input = _WANG,
) -> Array:
    r"""One minus the structural similarity of two images at several scales.

    $$ 1 - \operatorname{mean}_c\; (\overline{l\,cs})_M^{w_M} \prod_{j<M} \max(\overline{cs}_j, 0)^{w_j} $$

    with the two factors of `ssim`, their means over the windows of each scale, and means of 2 x 2 pixels from one scale
    to the next.

    Args:
        prediction: `[..., h, w, c]`, x. A grey image has c = 1.
        target: `[..., h, w, c]`, y.
        max_value: The range of a pixel, > 0: 255 for bytes.
        window_size: Pixels along the side of a window.
        sigma: The standard deviation of the window, in pixels, > 0.
        k1: Of the constant beside the means, >= 0.
        k2: Of the constant beside the variances, >= 0.
        scale_weights: `[M]`, w, the exponents, finest scale first. Of an odd side the last row or column is lost before
            it is halved; so the default needs 176 pixels along each side.

    Corners: 0 with gradient 0 at equal images. Where the mean of a factor is negative it counts as 0: the channel costs
    1, with gradient 0.

    Raises:
        ValueError: The image is too small for the scales, or an option is out of range.

    Source: Wang et al. (2003), Multiscale structural similarity for image quality assessment, equation 7.

    >>> import jax.numpy as jnp
    >>> i, j = jnp.arange(22.0)[:, None, None], jnp.arange(22.0)[None, :, None]
    >>> image = (i + 2 * j) / 80
    >>> print(f"{ms_ssim(image, image + 0.1 * ((i + j) % 2), scale_weights=(0.5, 0.5)):.6f}")
    0.204112
    """
    weights = jnp.asarray(scale_weights, prediction.dtype)
    scales = weights.shape[0]
    least = window_size * 2 ** (scales - 1)
    _check_size("ms_ssim", prediction.shape, least, f"window_size={window_size} at {scales} scales")
    window = _window(window_size, sigma, prediction.dtype)
    images = jnp.stack([prediction, target, prediction - target])
    apart = []  # 1 - the mean of a factor, for each scale and channel
    for scale in range(scales):
        means, structure = _likeness(images, max_value, window, k1, k2)
        last = scale == scales - 1
        apart.append(jnp.mean(means + (1 - means) * structure if last else structure, (0, 1)))
        images = images if last else _halved(images)
    lost = jnp.stack(apart)
    log_factors = safe_log1p(-jnp.where(lost >= 1, 1, lost))
    return jnp.mean(-expm1(jnp.sum(multiply_no_nan(weights[:, None], log_factors), axis=0)))


def _halved(images: Array) -> Array:
    h, w = images.shape[1] // 2 * 2, images.shape[2] // 2 * 2
    top, bottom = (images[:, row:h:2, :w:2] + images[:, row:h:2, 1:w:2] for row in (0, 1))
    return (top + bottom) / 4


@custom_loss(signature="(h,w,c)->()", stand_in=0.5)
def total_variation(prediction: Input, *, isotropic: bool = False) -> Array:
    r"""How much an image changes from pixel to pixel, summed over it.

    $$ \sum_{i,j} |x_{i,j+1} - x_{i,j}| + |x_{i+1,j} - x_{i,j}| $$

    Args:
        prediction: `[..., h, w, c]`, x. A grey image has c = 1.
        isotropic: Whether to sum the lengths of the two differences, sqrt(dx^2 + dy^2), in place of their sizes. At the
            last row and column the missing difference is 0.

    A cost is the mean over images of this sum; for one over pixels divide by their number.

    Corners: 0 with gradient 0 where the image is flat.

    Source: Rudin et al. (1992), Nonlinear total variation based noise removal algorithms, equation 2.2 (isotropic).

    >>> import jax.numpy as jnp
    >>> image = jnp.array([[[0.1], [0.4]], [[0.2], [0.9]]])
    >>> print(f"{total_variation(image):.6f} {total_variation(image, isotropic=True):.6f}")
    1.600000 1.516228
    """
    right, below = jnp.diff(prediction, axis=1), jnp.diff(prediction, axis=0)
    if not isotropic:
        return jnp.sum(absolute(right)) + jnp.sum(absolute(below))
    both = jnp.pad(right, [(0, 0), (0, 1), (0, 0)]), jnp.pad(below, [(0, 1), (0, 0), (0, 0)])
    return jnp.sum(safe_norm(jnp.stack(both, axis=-1)))


@custom_loss(signature="(n,d),(m,d)->()", stand_in=0.5)
def style(features: Input, target: Input) -> Array:
    r"""The mean squared difference of the Gram matrices of two images' features: what they have wherever it is.

    $$ \frac1{d^2} \sum_{ij} \left( \frac{F^\top F}{n} - \frac{T^\top T}{m} \right)_{ij}^2 $$

    Args:
        features: `[..., n, d]`, F, of d channels at the n places of an image, from a network of yours.
        target: `[..., m, d]`, T, of the image whose style is wanted; its size may be another.

    There is one Gram matrix an image, never one over a batch. Several layers are a sum, with weights of yours. This is
    the authors' code; the equation of the paper has a quarter of it.

    Corners: 0 with gradient 0 at equal Gram matrices.

    Source: Gatys et al. (2016), Image style transfer using convolutional neural networks, equation 4.

    >>> import jax.numpy as jnp
    >>> print(f"{style(jnp.array([[1.0, 2.0], [0.0, 1.0]]), jnp.array([[1.0, 1.0], [1.0, 0.0]])):.6f}")
    1.187500
    """

    def gram(x: Array) -> Array:
        return jnp.matmul(x.T, x, precision=jax.lax.Precision.HIGHEST) / x.shape[0]

    return jnp.mean(jnp.square(gram(features) - gram(target)))
