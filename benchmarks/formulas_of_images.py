"""The plainest formulas of the losses of images and sounds; a part of `formulas`."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array
from jax.nn import one_hot, relu

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


SEGMENTATION = {
    "dice": _dice,
    "jaccard": _jaccard,
    "tversky": _tversky,
    "focal_tversky": lambda probabilities, targets, *, gamma=0.75: _tversky(probabilities, targets) ** gamma,
    "generalized_dice": _generalized_dice,
    "matthews": _matthews,
    "lovasz_hinge": lambda logits, labels: _lovasz(relu(1 - logits * (2 * labels - 1)), labels),
    "lovasz_softmax": _lovasz_softmax,
}

OF_IMAGES: Mapping[str, Callable[..., Array]] = {**SEGMENTATION}
