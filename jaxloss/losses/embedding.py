"""Embedding: losses that place vectors by their distances."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.norms import cosine_distance, euclidean_distance
from jaxloss.numerics.safe import positive_part
from jaxloss.types import Array, Input, NonNegative


@jax.custom_jvp
def _difference_of_squares(anchor: Array, positive: Array, negative: Array) -> Array:
    """The squared distance to the positive less that to the negative, by the distances: both may be infinite."""
    to_positive, to_negative = euclidean_distance(anchor, positive), euclidean_distance(anchor, negative)
    return (to_positive - to_negative) * (to_positive + to_negative)


@_difference_of_squares.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # A derivative that cancels, and is 0 to JAX where a distance is 0.
    (anchor, positive, negative), (da, dp, dn) = primals, tangents
    change = (anchor - positive) * (da - dp) - (anchor - negative) * (da - dn)
    return _difference_of_squares(*primals), 2 * jnp.sum(change, axis=-1)


@custom_loss(signature="(d),(d),(d)->()", stand_in={"anchor": 0.5, "positive": 1.0, "negative": 2.0})
def triplet(
    anchor: Input,
    positive: Input,
    negative: Input,
    *,
    margin: NonNegative = 0.2,
    distance: str | Callable[[Array, Array], Array] = "euclidean",
) -> Array:
    r"""How far the positive is from being nearer to the anchor than the negative, by a margin.

    $$ \max(d(a, p) - d(a, n) + m, 0) $$

    Args:
        anchor: `[..., d]`, embeddings.
        positive: `[..., d]`, embeddings of the same class.
        negative: `[..., d]`, embeddings of another class.
        margin: m, in units of the distance, >= 0.
        distance: "euclidean", "squared_euclidean", "cosine" (one minus the cosine), or a function of two vectors.

    Corners: the gradient of a distance of 0 is 0, so anchor = positive is harmless. At the hinge the gradient is 0. A
    zero vector has cosine 0 with everything.

    Raises:
        ValueError: `margin` is negative, or `distance` is an unknown name.

    Source: Schroff et al. (2015), FaceNet, equation 3 (there with squared distances).

    >>> import jax.numpy as jnp
    >>> anchor, positive, negative = jnp.zeros(2), jnp.array([0.3, 0.4]), jnp.array([0.6, 0.8])
    >>> print(f"{triplet(anchor, positive, negative):.1f} {triplet(anchor, negative, positive):.1f}")
    0.0 0.7
    """
    if callable(distance):
        to_positive, to_negative = distance(anchor, positive), distance(anchor, negative)
    elif distance == "cosine":
        to_positive, to_negative = cosine_distance(anchor, positive), cosine_distance(anchor, negative)
    elif distance == "euclidean":
        to_positive, to_negative = euclidean_distance(anchor, positive), euclidean_distance(anchor, negative)
    elif distance == "squared_euclidean":
        return positive_part(_difference_of_squares(anchor, positive, negative) + margin)
    else:
        known = "euclidean, squared_euclidean, cosine"
        raise ValueError(f"triplet: distance must be one of {known}, or a function, got {distance!r}.")
    return positive_part(to_positive - to_negative + margin)


@custom_loss(stand_in=0.5)
def triplet_from_distances(positive_distance: Input, negative_distance: Input, *, margin: NonNegative = 0.2) -> Array:
    r"""The triplet loss of distances already at hand.

    $$ \max(d(a, p) - d(a, n) + m, 0) $$

    Args:
        positive_distance: From the anchor to the positive, any shape.
        negative_distance: From the anchor to the negative, the shape of `positive_distance`.
        margin: m, in units of the distance, >= 0.

    Corners: at the hinge the gradient is 0.

    Raises:
        ValueError: `margin` is negative.

    Source: Schroff et al. (2015), FaceNet, equation 3.

    >>> print(f"{triplet_from_distances(0.5, 1.0, margin=0.2):.1f} {triplet_from_distances(1.0, 0.5, margin=0.2):.1f}")
    0.0 0.7
    """
    return positive_part(positive_distance - negative_distance + margin)
