"""Embedding: losses that place vectors by their distances."""

from collections.abc import Callable

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.norms import cosine_distance, euclidean_distance
from jaxloss.numerics.safe import positive_part
from jaxloss.types import Array, Input, NonNegative


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
    elif distance in ("euclidean", "squared_euclidean"):
        to_positive, to_negative = euclidean_distance(anchor, positive), euclidean_distance(anchor, negative)
    else:
        known = "euclidean, squared_euclidean, cosine"
        raise ValueError(f"triplet: distance must be one of {known}, or a function, got {distance!r}.")
    farther = to_positive - to_negative
    if distance == "squared_euclidean":  # the difference of the squares, which may both be infinite
        farther = farther * (to_positive + to_negative)
    return positive_part(farther + margin)


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
