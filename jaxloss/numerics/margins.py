"""By how much a score is on the right side: of a sign, and of the scores of all other classes."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxloss.core.types import Array
from jaxloss.numerics.elementary import finite_slope
from jaxloss.numerics.exact import sum_of_three
from jaxloss.numerics.logits import one_hot, pick


@jax.custom_jvp
@jax.jit
def signed_margin(score: Array, sign: Array) -> Array:
    r"""The score, counted in the direction of a sign; NaN if the sign is neither -1 nor 1.

    $$ y f, \qquad y \in \{-1, 1\} $$

    A 0 that stands for the negative class would make every score right. NaN is what tells. The gradient in y is f, at
    an infinite score the largest finite number.

    >>> print(signed_margin(jnp.array([3.0, 3.0, 3.0]), jnp.array([1.0, -1.0, 0.0])))
    [ 3. -3. nan]
    """
    return jnp.where(jnp.abs(sign) == 1, sign * score, jnp.nan)


@signed_margin.defjvp
@jax.jit
def _(primals: Any, tangents: Any) -> Any:
    (score, sign), (dscore, dsign) = primals, tangents
    return signed_margin(score, sign), dscore * sign + dsign * finite_slope(score)


@jax.jit
def shortfall(scores: Array, label: Array, margin: Array) -> Array:
    r"""By how much the score of a label fails to lead all others by a margin, over the last axis; below 0 if it leads.

    $$ m + \max_{j \ne y} x_j - x_y $$

    Rounded once, however near the three cancel. A label that has no rival has -inf, one of score -inf has inf, one that
    is no class has NaN. Where several rivals tie, the gradient is shared among them.

    >>> print(shortfall(jnp.array([1.0, 4.0, 2.5]), jnp.array(1), jnp.array(1.0)))
    -0.5
    """
    chosen = one_hot(label, scores.shape[-1], scores.dtype) == 1
    rival = jnp.max(jnp.where(chosen, -jnp.inf, scores), axis=-1)
    own = pick(scores, label)
    # Where both are infinite on the same side: a label that cannot be is wrong, one that must be is right.
    undecided = jnp.isinf(own) & (rival == own)
    return sum_of_three(jnp.where(undecided, 0, rival), jnp.full_like(own, margin), -own)
