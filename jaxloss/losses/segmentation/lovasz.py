"""Segmentation by the Lovasz extension: the Jaccard loss of a set of wrong pixels, made convex in their errors."""

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_class, nan_unless
from jaxloss.numerics.order import split_as
from jaxloss.numerics.safe import multiply_no_nan, positive_part, ratio
from jaxloss.types import Array, Input


def _steps(errors: Array, positive: Array, pixel_mask: Input) -> Array:
    """How much the Jaccard loss grows as each pixel joins the wrong ones, those with the largest errors first.

    They are slopes: the errors decide on the order only.
    """
    errors = jax.lax.stop_gradient(errors)
    if pixel_mask is not None:  # what does not count joins last, without a step
        errors, positive = jnp.where(pixel_mask, errors, -jnp.inf), positive & pixel_mask
    place = split_as(errors, jax.lax.iota(jnp.int32, errors.shape[0]))
    _, positive, order = jax.lax.sort((-errors, positive, place), num_keys=1)
    total, missed = jnp.sum(positive, dtype=jnp.int32), jnp.cumsum(positive, dtype=jnp.int32)
    extra = place - missed + positive.astype(jnp.int32)  # false positives before this pixel
    union = (total + extra).astype(errors.dtype)
    of_negative = jnp.where(union == 0, 1, ratio((total - missed).astype(errors.dtype), union) / (union + 1))
    _, steps = jax.lax.sort((order, jnp.where(positive, 1 / jnp.where(positive, union, 1), of_negative)), num_keys=1)
    return steps if pixel_mask is None else jnp.where(pixel_mask, steps, 0)


@custom_loss(signature="(n),(n),(n)->()", stand_in={"logits": 0.5, "labels": 0})
def lovasz_hinge(logits: Input, labels: Input, pixel_mask: Input = None) -> Array:
    r"""The convex extension of the Jaccard loss of a region, at the hinge errors of its pixels.

    $$ \sum_i \max(m_i, 0)\, \Delta_i, \qquad m_i = 1 - x_i (2 y_i - 1), $$

    with the step Delta of the Jaccard loss of the wrong pixels as pixel i joins them, those of larger m first.

    Args:
        logits: `[..., n]`, x, at the n pixels of a region. They are sorted: this axis must not be sharded.
        labels: `[..., n]`, y, integers, 1 inside the region and 0 outside.
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default: `labels != 255`.

    Each leading index is a region: an image `[b, h, w]` that is not reshaped has one in each row.

    Corners: a region with nothing true costs the largest hinge error. Equal errors may join in any order, which gives a
    subgradient. A region whose pixels are all masked costs 0, and counts: `where=pixel_mask.any(-1)` leaves it out. A
    label that is neither 0 nor 1 gives NaN.

    Raises:
        TypeError: The labels are not integers.

    Source: Berman et al. (2018), The Lovasz-softmax loss, equation 9 and algorithm 1.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([1.0, -0.5, 0.2, -2.0])
    >>> print(f"{lovasz_hinge(logits, jnp.array([1, 1, 0, 0])):.6f} {lovasz_hinge(logits, jnp.zeros(4, int)):.6f}")
    0.950000 2.000000
    """
    positive = labels == 1
    errors = 1 - jnp.where(positive, logits, -logits)
    wrong = multiply_no_nan(_steps(errors, positive, pixel_mask), positive_part(errors))
    return jnp.sum(wrong) + nan_unless(jnp.all(is_class(labels, 2)), logits.dtype)


@custom_loss(signature="(n,c),(n),(n)->()", stand_in={"probabilities": 0.5, "labels": 0})
def lovasz_softmax(probabilities: Input, labels: Input, pixel_mask: Input = None, *, classes: str = "present") -> Array:
    r"""The convex extension of the Jaccard loss of a class, at the errors of its probabilities; the mean over classes.

    $$ \frac1{|C|} \sum_{c \in C} \sum_i e_{ic}\, \Delta_{ic}, \qquad e_{ic} = \bigl| [l_i = c] - p_{ic} \bigr|, $$

    with the step Delta of the Jaccard loss of the wrong pixels of class c as pixel i joins them, those of larger e
    first.

    Args:
        probabilities: `[..., n, c]`, p, in [0, 1], of c classes at the n pixels of an image. They are sorted along the
            pixels: that axis must not be sharded.
        labels: `[..., n]`, l, integers from 0 to c - 1.
        pixel_mask: `[n]` or `[..., n]`, True where a pixel counts, all by default: `labels != 255`.
        classes: "present", C is the classes that occur among the labels of the image; "all", every class.

    An image is a leading index. To pool the images of a batch, make their pixels one axis; it couples them.

    Corners: equal errors may join in any order, which gives a subgradient. Without a pixel that counts it is 0, and
    counts: `where=pixel_mask.any(-1)` leaves it out. A label outside 0 to c - 1 and a probability outside [0, 1] give
    NaN.

    Raises:
        TypeError: The labels are not integers.
        ValueError: `classes` is neither "present" nor "all".

    Source: Berman et al. (2018), The Lovasz-softmax loss, equation 12 and algorithm 1.

    >>> import jax.numpy as jnp
    >>> p, labels = jnp.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), jnp.array([0, 1])
    >>> print(f"{lovasz_softmax(p, labels):.6f} {lovasz_softmax(p, labels, classes='all'):.6f}")
    0.450000 0.400000
    """
    if classes not in ("present", "all"):
        raise ValueError(f"lovasz_softmax: classes must be 'present' or 'all', got {classes!r}.")

    def of_class(probability: Array, number: Array) -> tuple[Array, Array]:
        positive = labels == number
        errors = jnp.where(positive, 1 - probability, probability)
        present = jnp.any(positive, where=pixel_mask)
        return jnp.sum(errors * _steps(errors, positive, pixel_mask)), present | (classes == "all")

    numbers = jax.lax.iota(labels.dtype, probabilities.shape[1])
    costs, counted = jax.vmap(of_class, (1, 0))(probabilities, numbers)
    mean = ratio(jnp.sum(jnp.where(counted, costs, 0)), jnp.sum(counted, dtype=costs.dtype))
    inside = jnp.all((probabilities >= 0) & (probabilities <= 1))
    known = jnp.all(is_class(labels, probabilities.shape[1]))
    return mean + nan_unless(inside & known, probabilities.dtype)
