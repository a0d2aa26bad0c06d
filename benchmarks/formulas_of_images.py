"""The plainest formulas of the losses of images and sounds; a part of `formulas`."""

from collections.abc import Callable, Mapping

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

OF_IMAGES: Mapping[str, Callable[..., Array]] = {**SEGMENTATION, **DETECTION}
