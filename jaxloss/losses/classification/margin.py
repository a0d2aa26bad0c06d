"""Classification by a margin: a score should be on the right side, and clearly so."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.loss import custom_loss
from jaxloss.numerics.classes import is_at, nan_unless, pick, place_of_largest
from jaxloss.numerics.safe import finite_slope, safe_square
from jaxloss.numerics.slopes import with_slopes
from jaxloss.types import Array, Input


@with_slopes(lambda _, score: finite_slope(score), lambda sign, _: sign)  # an infinite slope times 0
def _signed(sign: Array, score: Array) -> Array:
    """The score on the side of the sign, NaN if that is neither -1 nor 1: a class 0 would make every score right."""
    known = jnp.abs(sign) == 1
    # A difference of infinities, since `jax_debug_nans` stops at a NaN that is only written down.
    return jnp.where(known, sign * score, jnp.inf) - jnp.where(known, jnp.zeros_like(score), jnp.inf)


@with_slopes(lambda x: 0.5 * (jnp.sign(x) + 1))  # ties of a maximum
def _positive_part(x: Array) -> Array:
    """max(x, 0), at 0 with the middle of the two slopes. NaN stays, which a maximum on a CPU may drop."""
    return jnp.where(x < 0, 0, x)


@custom_loss(stand_in={"prediction": 0.5, "target": 1.0})
def hinge(prediction: Input, target: Input) -> Array:
    r"""How far a score is from being on the right side by 1.

    $$ \max(0, 1 - y f) $$

    Args:
        prediction: The score f, any shape.
        target: The class y as a sign, -1 or 1, the shape of `prediction`. Of classes 0 and 1 take `2 * labels - 1`.

    Corners: a target that is neither -1 nor 1 gives NaN: classes 0 and 1 would silently cost 1 or nothing. At the kink
    y f = 1 the gradient is the middle of its two sides. A score of inf on the right side costs 0, with gradient 0.

    Source: Cortes and Vapnik (1995), Support-vector networks, section 3, by its slack variables.

    >>> import jax.numpy as jnp
    >>> print(f"{hinge(jnp.array([0.5, 2.0, -1.0]), jnp.array([1, 1, 1])):.4f}")
    0.8333
    """
    return _positive_part(1 - _signed(target, prediction))


@custom_loss(stand_in={"prediction": 0.5, "target": 1.0})
def squared_hinge(prediction: Input, target: Input) -> Array:
    r"""The square of how far a score is from being on the right side by 1.

    $$ \max(0, 1 - y f)^2 $$

    Args:
        prediction: The score f, any shape.
        target: The class y as a sign, -1 or 1, the shape of `prediction`. Of classes 0 and 1 take `2 * labels - 1`.

    Corners: a target that is neither -1 nor 1 gives NaN. Smooth at y f = 1, where value and gradient are 0. At a score
    of inf on the wrong side the cost is inf, and the gradient the largest finite number of its sign.

    Source: Lee and Mangasarian (2001), SSVM: A smooth support vector machine for classification, section 2.

    >>> import jax.numpy as jnp
    >>> print(squared_hinge(jnp.array([0.5, 2.0]), jnp.array([1, -1])))
    4.625
    """
    return safe_square(_positive_part(1 - _signed(target, prediction)))


@custom_loss(stand_in={"prediction": 0.5, "target": 1.0})
def perceptron(prediction: Input, target: Input) -> Array:
    r"""How far a score is on the wrong side.

    $$ \max(0, -y f) $$

    Args:
        prediction: The score f, any shape.
        target: The class y as a sign, -1 or 1, the shape of `prediction`. Of classes 0 and 1 take `2 * labels - 1`.

    Corners: a target that is neither -1 nor 1 gives NaN. At a score of 0 the cost is 0 and the gradient the middle of
    its two sides, -y / 2, so that learning can start from there.

    Source: Rosenblatt (1958), The perceptron: a probabilistic model for information storage and organization in the
    brain, whose rule is the gradient of this.

    >>> import jax.numpy as jnp
    >>> print(perceptron(jnp.array([0.5, 2.0]), jnp.array([1, -1])))
    1.0
    """
    return _positive_part(0 - _signed(target, prediction))


@jax.custom_jvp
def _lead_of_rival(scores: Array, label: Array) -> Array:
    """The largest score of another class less that of the label; NaN if a score is or the label is no class."""
    return _largest(_others(scores, label)) - pick(scores, label)


@_lead_of_rival.defjvp
def _(primals: Any, tangents: Any) -> Any:
    # Ties of a maximum: the slope of one of the rivals, whose place it keeps and not the row.
    (scores, label), (dscores, _) = primals, tangents
    rival = place_of_largest(_others(scores, label))
    change = jnp.where(is_at(scores, rival), dscores, 0) - jnp.where(is_at(scores, label), dscores, 0)
    return _lead_of_rival(scores, label), jnp.sum(change, axis=-1)


def _others(scores: Array, label: Array) -> Array:
    # Not -inf, so that a label of that score costs inf also where all classes have it.
    return jnp.where(is_at(scores, label), jnp.finfo(scores.dtype).min, scores)


def _largest(scores: Array) -> Array:
    """The largest entry of the last axis, NaN if one is."""

    def on_cpu(scores: Array) -> Array:  # where a maximum loses a NaN
        return jnp.max(scores, axis=-1) + nan_unless(~jnp.any(jnp.isnan(scores), axis=-1), scores.dtype)

    return jax.lax.platform_dependent(scores, cpu=on_cpu, default=functools.partial(jnp.max, axis=-1))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def multiclass_hinge(logits: Input, labels: Input) -> Array:
    r"""How far the score of a label is from leading those of all other classes by 1.

    $$ \max\left(0, 1 + \max_{j \ne y} x_j - x_y\right) $$

    Args:
        logits: `[..., k]`, a score for each class.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: a label outside 0 to k - 1 gives NaN. At a kink, where the label leads by 1 or rivals tie, the gradient is
    a subgradient: of rivals that tie, one has it. A label of score -inf costs inf. The class axis may be sharded.

    Raises:
        TypeError: The labels are not integers.

    Source: Crammer and Singer (2001), On the algorithmic implementation of multiclass kernel-based vector machines, the
    bound of the error in section 3.

    >>> import jax.numpy as jnp
    >>> print(multiclass_hinge(jnp.array([[1.0, 4.0, 2.5], [1.0, 0.0, 1.5]]), jnp.array([1, 0])))
    0.75
    """
    return _positive_part(1 + _lead_of_rival(logits, labels))


@custom_loss(signature="(k),()->()", stand_in=0.5)
def multiclass_perceptron(logits: Input, labels: Input) -> Array:
    r"""How far the score of a label is behind the largest.

    $$ \max_j x_j - x_y $$

    Args:
        logits: `[..., k]`, a score for each class.
        labels: `[...]`, integers from 0 to k - 1.

    Corners: a label outside 0 to k - 1 gives NaN. Where classes tie for the largest score the gradient is a
    subgradient, and not 0 if the label is one of them: with all scores 0 learning can start. A label of score -inf
    costs inf. The class axis may be sharded.

    Raises:
        TypeError: The labels are not integers.

    Source: Collins (2002), Discriminative training methods for hidden Markov models, section 2, whose rule is the
    gradient of this.

    >>> import jax.numpy as jnp
    >>> print(multiclass_perceptron(jnp.array([[1.0, 4.0, 2.5], [1.0, 0.0, 1.5]]), jnp.array([1, 0])))
    0.25
    """
    return _positive_part(_lead_of_rival(logits, labels))
