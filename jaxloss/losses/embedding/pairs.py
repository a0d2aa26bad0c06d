"""Pairs and triples of embeddings: losses that place vectors by their distances."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import nan_unless
from jaxloss.numerics.norms import cosine_distance, euclidean_distance, named_distance
from jaxloss.numerics.safe import positive_part
from jaxloss.types import Array, Input, NonNegative, Number

Distance: TypeAlias = str | Callable[[Array, Array], Array]


def _measure(loss: str, distance: Distance) -> Callable[[Array, Array], Array]:
    """The function of two vectors that a distance is, or is the name of."""
    return distance if callable(distance) else named_distance(loss, distance, ", or a function")


@custom_loss(signature="(d),(d),()->()", stand_in={"first": 0.5, "second": 1.0})
def contrastive(
    first: Input, second: Input, labels: Input, *, margin: NonNegative = 1.0, distance: Distance = "euclidean"
) -> Array:
    r"""Half the squared distance of a pair that belongs together, and of one that does not what it lacks to a margin.

    $$ \tfrac12 d^2 \text{ if } y = 1, \qquad \tfrac12 \max(m - d, 0)^2 \text{ if } y = 0, \qquad d = d(a, b) $$

    Args:
        first: a, `[..., d]`, embeddings.
        second: b, `[..., d]`, embeddings.
        labels: y, `[...]`, 1 where the pair is of one class, 0 where it is of two. The paper has them the other way.
        margin: m, in units of the distance, >= 0.
        distance: "euclidean", "squared_euclidean", "cosine" (one minus the cosine), or a function of two vectors.

    Corners: of equal vectors of two classes the value is m^2 / 2 and the gradient 0, since no direction is given. A
    zero vector has cosine 0 with everything. Other labels give NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: `margin` is negative, or `distance` is an unknown name.

    Source: Hadsell et al. (2006), Dimensionality reduction by learning an invariant mapping, equation 4.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([1.0, 0.0]), jnp.array([0.8, 0.6])
    >>> print(f"{contrastive(first, second, 1):.6f} {contrastive(first, second, 0):.6f}")
    0.200000 0.067544
    """
    apart = _measure("contrastive", distance)(first, second)
    off = jnp.where(labels == 1, apart, positive_part(margin - apart))
    return 0.5 * jnp.square(off) + nan_unless((labels == 0) | (labels == 1), off.dtype)


@custom_loss(signature="(d),(d),()->()", stand_in={"first": 0.5, "second": 1.0, "target": 1.0})
def cosine_embedding(first: Input, second: Input, target: Input, *, margin: Number = 0.0) -> Array:
    r"""One minus the cosine of a pair that belongs together, and of one that does not what the cosine exceeds.

    $$ 1 - \cos\theta \text{ if } y = 1, \qquad \max(\cos\theta - m, 0) \text{ if } y = -1 $$

    Args:
        first: `[..., d]`, embeddings.
        second: `[..., d]`, embeddings.
        target: y, `[...]`, 1 where the pair belongs together, -1 where it does not.
        margin: m, the cosine that those who do not may have.

    Corners: a zero vector has cosine 0 with everything, and gradient 0. Nearly parallel vectors are as exact as others.
    At the hinge the gradient is 0. Other targets give NaN.

    Raises:
        TypeError: `margin` is not a number.

    Source: the `cosine_embedding_loss` of PyTorch.

    >>> import jax.numpy as jnp
    >>> first, second = jnp.array([1.0, 0.0]), jnp.array([0.8, 0.6])
    >>> print(f"{cosine_embedding(first, second, 1.0):.1f} {cosine_embedding(first, second, -1.0, margin=0.5):.1f}")
    0.2 0.3
    """
    apart = cosine_distance(first, second)
    cost = jnp.where(target == 1, apart, positive_part((1 - apart) - margin))
    return cost + nan_unless((target == 1) | (target == -1), cost.dtype)


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
    distance: Distance = "euclidean",
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
    if distance == "squared_euclidean":
        return positive_part(_difference_of_squares(anchor, positive, negative) + margin)
    measure = _measure("triplet", distance)
    return positive_part(measure(anchor, positive) - measure(anchor, negative) + margin)


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
