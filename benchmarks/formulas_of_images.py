"""The plainest formulas of the losses of images and sounds; a part of `formulas`."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
from jax import Array
from jax.nn import log_softmax, one_hot, relu, sigmoid, softplus

# ----------------------------------------------------------------------------------------------------- segmentation


def _cells(p: Array, y: Array) -> tuple[Array, Array, Array]:
    """True positives, false positives and false negatives."""
    return jnp.sum(p * y, -1), jnp.sum(p * (1 - y), -1), jnp.sum((1 - p) * y, -1)


def _dice(probabilities: Array, targets: Array, *, smooth: float = 0.0) -> Array:
    both = jnp.sum(probabilities * targets, -1)
    return 1 - (2 * both + smooth) / (jnp.sum(probabilities, -1) + jnp.sum(targets, -1) + smooth)


def _jaccard(probabilities: Array, targets: Array, *, smooth: float = 0.0) -> Array:
    both = jnp.sum(probabilities * targets, -1)
    return 1 - (both + smooth) / (jnp.sum(probabilities, -1) + jnp.sum(targets, -1) - both + smooth)


def _tversky(probabilities: Array, targets: Array, *, alpha: float = 0.3, beta: float = 0.7) -> Array:
    tp, fp, fn = _cells(probabilities, targets)
    return 1 - tp / (tp + alpha * fp + beta * fn)


def _generalized_dice(probabilities: Array, targets: Array) -> Array:
    volume = jnp.sum(targets, -2)
    both, whole = jnp.sum(probabilities * targets, -2), jnp.sum(probabilities + targets, -2)
    return 1 - 2 * jnp.sum(both / volume**2, -1) / jnp.sum(whole / volume**2, -1)


def _matthews(probabilities: Array, targets: Array) -> Array:
    tp, fp, fn = (x / probabilities.shape[-1] for x in _cells(probabilities, targets))
    tn = 1 - tp - fp - fn
    return 1 - (tp * tn - fp * fn) / jnp.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))


def _lovasz(errors: Array, positive: Array) -> Array:
    """The gradient of the Jaccard loss of sorted errors, as Berman et al. write it, times the errors."""
    order = jnp.argsort(-errors, -1)
    errors, positive = (jnp.take_along_axis(x, order, -1) for x in (errors, positive.astype(errors.dtype)))
    total = jnp.sum(positive, -1, keepdims=True)
    loss = 1 - (total - jnp.cumsum(positive, -1)) / (total + jnp.cumsum(1 - positive, -1))
    return jnp.sum(errors * jnp.diff(loss, axis=-1, prepend=0), -1)


def _lovasz_softmax(probabilities: Array, labels: Array) -> Array:
    positive = jnp.swapaxes(one_hot(labels, probabilities.shape[-1]), -1, -2)
    costs = _lovasz(abs(positive - jnp.swapaxes(probabilities, -1, -2)), positive)
    return jnp.mean(costs, -1, where=jnp.any(positive, -1))


def _cl_dice(probabilities: Array, targets: Array, skeleton: Array, true_skeleton: Array) -> Array:
    precision = jnp.sum(skeleton * targets, -1) / jnp.sum(skeleton, -1)
    sensitivity = jnp.sum(true_skeleton * probabilities, -1) / jnp.sum(true_skeleton, -1)
    return 1 - 2 * precision * sensitivity / (precision + sensitivity)


SEGMENTATION = {
    "dice": _dice,
    "jaccard": _jaccard,
    "tversky": _tversky,
    "focal_tversky": lambda probabilities, targets, *, gamma=0.75: _tversky(probabilities, targets) ** gamma,
    "generalized_dice": _generalized_dice,
    "matthews": _matthews,
    "lovasz_hinge": lambda logits, labels: _lovasz(relu(1 - logits * (2 * labels - 1)), labels),
    "lovasz_softmax": _lovasz_softmax,
    "boundary": lambda probabilities, signed_distances: probabilities * signed_distances,
    "hausdorff": lambda p, y, d_p, d_y, *, alpha=2.0: (p - y) ** 2 * (d_p**alpha + d_y**alpha),
    "cl_dice": _cl_dice,
}

# -------------------------------------------------------------------------------------------------------- detection


def _area(low: Array, high: Array) -> Array:
    return jnp.prod(relu(high - low), -1)


def _boxes(prediction: Array, target: Array) -> tuple[Array, Array, Array]:
    """The IoU of two boxes, their union, and the sides of the box around both."""
    low, high, true_low, true_high = *jnp.split(prediction, 2, -1), *jnp.split(target, 2, -1)
    both = _area(jnp.maximum(low, true_low), jnp.minimum(high, true_high))
    union = _area(low, high) + _area(true_low, true_high) - both
    return both / union, union, jnp.maximum(high, true_high) - jnp.minimum(low, true_low)


def _giou(prediction: Array, target: Array) -> Array:
    iou, union, hull = _boxes(prediction, target)
    area = jnp.prod(hull, -1)
    return 1 - iou + (area - union) / area


def _diou(prediction: Array, target: Array) -> Array:
    iou, _, hull = _boxes(prediction, target)
    shift = (prediction - target)[..., :2] + (prediction - target)[..., 2:]
    return 1 - iou + jnp.sum(shift**2, -1) / 4 / jnp.sum(hull**2, -1)


def _ciou(prediction: Array, target: Array) -> Array:
    (w, h), (true_w, true_h) = (jnp.moveaxis(x[..., 2:] - x[..., :2], -1, 0) for x in (prediction, target))
    v = 4 / jnp.pi**2 * (jnp.atan(true_w / true_h) - jnp.atan(w / h)) ** 2
    return _diou(prediction, target) + v**2 / (1 - _boxes(prediction, target)[0] + v)


def _eiou(prediction: Array, target: Array) -> Array:
    growth = (prediction - target)[..., 2:] - (prediction - target)[..., :2]
    return _diou(prediction, target) + jnp.sum((growth / _boxes(prediction, target)[2]) ** 2, -1)


def _distribution_focal(logits: Array, target: Array) -> Array:
    left = jnp.floor(target).astype(jnp.int32)
    costs = -log_softmax(logits)
    of_left, of_right = (jnp.take_along_axis(costs, bins[..., None], -1)[..., 0] for bins in (left, left + 1))
    return (left + 1 - target) * of_left + (target - left) * of_right


def _cross_entropy(logits: Array, targets: Array) -> Array:
    return softplus(logits) - logits * targets


DETECTION = {
    "iou": lambda prediction, target: 1 - _boxes(prediction, target)[0],
    "giou": _giou,
    "diou": _diou,
    "ciou": _ciou,
    "eiou": _eiou,
    "distribution_focal": _distribution_focal,
    "quality_focal": lambda logits, targets, *, beta=2.0: (
        abs(targets - sigmoid(logits)) ** beta * _cross_entropy(logits, targets)
    ),
    "varifocal": lambda logits, targets, *, alpha=0.75, gamma=2.0: (
        jnp.where(targets > 0, targets, alpha * sigmoid(logits) ** gamma) * _cross_entropy(logits, targets)
    ),
    "gaussian_focal": lambda logits, targets, *, alpha=2.0, beta=4.0: jnp.where(
        targets == 1,
        sigmoid(-logits) ** alpha * softplus(-logits),
        (1 - targets) ** beta * sigmoid(logits) ** alpha * softplus(logits),
    ),
}

# --------------------------------------------------------------------------------------------------- images, sounds


def _blur(image: Array, window_size: int, sigma: float) -> Array:
    window = jnp.exp(-0.5 * ((jnp.arange(window_size) - (window_size - 1) / 2) / sigma) ** 2)
    for axis in (-3, -2):
        image = jnp.apply_along_axis(lambda x: jnp.convolve(x, window / jnp.sum(window), "valid"), axis, image)
    return image


def _factors(x: Array, y: Array, window_size: int = 11, sigma: float = 1.5) -> tuple[Array, Array]:
    blur = lambda image: _blur(image, window_size, sigma)  # noqa: E731
    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x**2) - mx**2, blur(y**2) - my**2, blur(x * y) - mx * my
    return (2 * mx * my + 1e-4) / (mx**2 + my**2 + 1e-4), (2 * both + 9e-4) / (vx + vy + 9e-4)


def _ssim(prediction: Array, target: Array, **options: float) -> Array:
    means, structure = _factors(prediction, target, **options)
    return 1 - jnp.mean(means * structure, (-3, -2, -1))


def _halved(image: Array) -> Array:
    *leading, h, w, c = image.shape
    return jnp.mean(image.reshape(*leading, h // 2, 2, w // 2, 2, c), (-4, -2))


def _ms_ssim(
    x: Array,
    y: Array,
    *,
    window_size: int = 11,
    scale_weights: Sequence[float] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333),
) -> Array:
    product = 1.0
    for weight in scale_weights[:-1]:
        product *= relu(jnp.mean(_factors(x, y, window_size)[1], (-3, -2))) ** weight
        x, y = _halved(x), _halved(y)
    means, structure = _factors(x, y, window_size)
    return 1 - jnp.mean(product * relu(jnp.mean(means * structure, (-3, -2))) ** scale_weights[-1], -1)


def _total_variation(x: Array) -> Array:
    return jnp.sum(abs(jnp.diff(x, axis=-2)), (-3, -2, -1)) + jnp.sum(abs(jnp.diff(x, axis=-3)), (-3, -2, -1))


def _gram(features: Array) -> Array:
    return jnp.swapaxes(features, -1, -2) @ features / features.shape[-2]


def _magnitude(x: Array, fft: int, hop: int, window: int) -> Array:
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(fft // 2, fft // 2)], mode="reflect")
    start = (fft - window) // 2
    weights = (
        jnp.zeros(fft).at[start : start + window].set(0.5 - 0.5 * jnp.cos(2 * jnp.pi * jnp.arange(window) / window))
    )
    places = hop * jnp.arange(1 + (x.shape[-1] - fft) // hop)[:, None] + jnp.arange(fft)
    return jnp.sqrt(jnp.maximum(abs(jnp.fft.rfft(x[..., places] * weights)) ** 2, 1e-7))


def _multi_resolution_stft(
    prediction: Array,
    target: Array,
    *,
    fft_sizes: Sequence[int] = (1024, 2048, 512),
    hop_sizes: Sequence[int] = (120, 240, 50),
    window_sizes: Sequence[int] = (600, 1200, 240),
) -> Array:
    total = 0.0
    for sizes in zip(fft_sizes, hop_sizes, window_sizes, strict=True):
        x, y = _magnitude(prediction, *sizes), _magnitude(target, *sizes)
        off = jnp.sqrt(jnp.sum((y - x) ** 2, (-2, -1)) / jnp.sum(y**2, (-2, -1)))
        total += off + jnp.mean(abs(jnp.log(y) - jnp.log(x)), (-2, -1))
    return total / len(fft_sizes)


def _scale_invariant_sdr(x: Array, y: Array) -> Array:
    along = jnp.sum(x * y, -1, keepdims=True) / jnp.sum(y * y, -1, keepdims=True) * y
    return -10 * jnp.log10(jnp.sum(along**2, -1) / jnp.sum((x - along) ** 2, -1))


IMAGES_AND_SOUNDS = {
    "ssim": _ssim,
    "ms_ssim": _ms_ssim,
    "total_variation": _total_variation,
    "style": lambda features, target: jnp.mean((_gram(features) - _gram(target)) ** 2, (-2, -1)),
    "multi_resolution_stft": _multi_resolution_stft,
    "scale_invariant_sdr": _scale_invariant_sdr,
}

OF_IMAGES: Mapping[str, Callable[..., Array]] = {**SEGMENTATION, **DETECTION, **IMAGES_AND_SOUNDS}
